//! The page, from the core to the files that server and agent carry.
//!
//! ```text
//! web/core ─ rustc ─▶ wasm ─ symbolon-bindgen ─▶ web/dist/core ─▶ web/lib ─▶ web/page ─▶ web/dist/page
//! ```
//!
//! Each part is built only if something it is made of has changed since, by content: what it was made of stands, as one
//! number, in a file beside what it became.
//!
//! There is no `wasm-opt` in between: it makes the core a tenth smaller as it lies on the disk and four per cent larger
//! as it travels, compressed with brotli (binaryen 132, `-Oz`, against what rustc makes with `opt-level = "z"`).

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{cargo, npm, programs, root, step};
use crate::tools;

const WASM: &str = "wasm32-unknown-unknown";

/// What is made and not written; the npm package's licences are copies.
const MADE: [&str; 5] = ["node_modules", "dist", "target", "LICENSE-APACHE", "LICENSE-MIT"];

/// Builds the page; quick if it is there already.
///
/// A machine without Node.js is told so before anything is built.
pub(crate) fn build() -> Result<(), String> {
    tools::node()?;
    target()?;
    core()?;
    packages()?;
    page()
}

/// Rust for browsers.
fn target() -> Result<(), String> {
    let listed = Command::new("rustup").args(["target", "list", "--installed"]).output();
    let there = listed.as_ref().is_ok_and(|out| String::from_utf8_lossy(&out.stdout).contains(WASM));
    if !there && listed.is_ok() {
        step("Rust for browsers", Command::new("rustup").args(["target", "add", WASM]))?;
    }
    Ok(())
}

/// The core, as wasm and with its JavaScript side.
fn core() -> Result<(), String> {
    wasm("core for browsers", "symbolon-web", "symbolon_web", "core")
}

/// The checks that tests in browsers make with the core's own code.
pub(crate) fn checks() -> Result<(), String> {
    wasm("checks for browsers", "symbolon-web-vectors", "symbolon_web_vectors", "vectors")
}

/// Builds a package for browsers into a folder of `web/dist`.
fn wasm(what: &str, package: &str, name: &str, folder: &str) -> Result<(), String> {
    let build = ["build", "-p", package, "--profile", "web", "--target", WASM];
    step(what, &mut cargo(build))?;
    let target = programs()?.with_file_name("");
    let wasm = target.join(WASM).join(format!("web/{name}.wasm"));
    let out = root().join("web/dist").join(folder);
    let made_of = [wasm.clone(), root().join("Cargo.lock"), root().join("xtask/bindgen/src")];
    once(&made_of, &out, &[&format!("{name}.js"), &format!("{name}_bg.wasm")], || {
        let bindgen = ["run", "--quiet", "-p", "symbolon-bindgen", "--"];
        step(&format!("{what}: bindings"), cargo(bindgen).arg(&wasm).arg(&out))
    })
}

/// The packages that `web/package-lock.json` names.
fn packages() -> Result<(), String> {
    let web = root().join("web");
    let when = |path: &str| fs::metadata(web.join(path)).and_then(|found| found.modified());
    let there = when("node_modules/.package-lock.json");
    if there.is_ok_and(|there| when("package-lock.json").is_ok_and(|lock| lock <= there)) {
        return Ok(());
    }
    step("npm packages", &mut npm(["ci", "--no-progress"]))?;
    // npm leaves the file alone when nothing had to change.
    let stamp = fs::File::options().append(true).open(web.join("node_modules/.package-lock.json"));
    stamp.and_then(|file| file.set_modified(std::time::SystemTime::now())).map_err(cannot(&web))
}

/// The npm package and the page.
fn page() -> Result<(), String> {
    let web = root().join("web");
    let made_of = ["lib", "page", "package.json", "package-lock.json", "tsconfig.base.json", "dist/core"]
        .map(|name| web.join(name));
    once(&made_of, &web.join("dist/page"), &["index.html"], || {
        step("npm package and page", &mut npm(["run", "--silent", "build"]))
    })
}

/// Builds `out` unless it has these files and what it is made of has not changed since.
fn once(
    made_of: &[PathBuf],
    out: &Path,
    files: &[&str],
    build: impl FnOnce() -> Result<(), String>,
) -> Result<(), String> {
    let stamp = out.with_extension("made-of");
    let print = fingerprint(made_of).map_err(cannot(out))?;
    let there = files.iter().all(|file| out.join(file).is_file());
    if there && fs::read_to_string(&stamp).is_ok_and(|before| before == print) {
        return Ok(());
    }
    let _ = fs::remove_file(&stamp);
    build()?;
    fs::write(&stamp, print).map_err(cannot(&stamp))
}

fn cannot(path: &Path) -> impl Fn(io::Error) -> String {
    let path = path.display().to_string();
    move |error| format!("{path}: {error}")
}

/// Names and contents of all files in these places.
fn fingerprint(places: &[PathBuf]) -> io::Result<String> {
    let mut files = BTreeSet::new();
    for place in places {
        collect(place, &mut files)?;
    }
    let mut hasher = DefaultHasher::new();
    for file in files {
        let bytes = fs::read(&file)?;
        hasher.write(file.as_os_str().as_encoded_bytes());
        hasher.write_usize(bytes.len());
        hasher.write(&bytes);
    }
    Ok(format!("{:016x}\n", hasher.finish()))
}

fn collect(place: &Path, files: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    if !place.is_dir() {
        files.insert(place.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(place)? {
        let entry = entry?;
        let made = MADE.iter().any(|name| entry.file_name() == *name);
        if !made && !entry.file_name().to_string_lossy().starts_with('.') {
            collect(&entry.path(), files)?;
        }
    }
    Ok(())
}
