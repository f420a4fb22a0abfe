//! Writes the table of the page's files: everything under `web/dist/page`, or one file that says there is no page.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

fn main() -> io::Result<()> {
    let here = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").ok_or(io::ErrorKind::NotFound)?);
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?);
    let page = here.with_file_name("dist").join("page");
    // What is not there counts as changed, and everything above this crate would be built anew each time.
    let _ = fs::create_dir_all(&page);
    println!("cargo::rerun-if-changed={}", page.display());
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/missing.html");

    let built = page.join("index.html").is_file();
    let mut table = String::from("&[\n");
    if built {
        let mut files = BTreeSet::new();
        collect(&page, &mut files)?;
        for file in files.iter().filter(|file| !is_compressed(file, &files)) {
            let path = file.strip_prefix(&page).map_err(io::Error::other)?;
            let path = path.to_str().ok_or(io::ErrorKind::InvalidData)?.replace('\\', "/");
            asset(&mut table, &path, file, &files)?;
        }
    } else {
        asset(&mut table, "index.html", &here.join("src/missing.html"), &BTreeSet::new())?;
    }
    table.push(']');
    fs::write(out.join("table.rs"), table)?;
    fs::write(out.join("built.rs"), built.to_string())
}

/// All files below a folder, without hidden ones.
fn collect(folder: &Path, files: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), files)?;
        } else {
            files.insert(entry.path());
        }
    }
    Ok(())
}

fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Whether it is the compressed form of another file.
fn is_compressed(file: &Path, files: &BTreeSet<PathBuf>) -> bool {
    let compressed = file.extension().is_some_and(|extension| extension == "br" || extension == "gz");
    compressed && files.contains(&file.with_extension(""))
}

fn asset(table: &mut String, path: &str, file: &Path, files: &BTreeSet<PathBuf>) -> io::Result<()> {
    let raw = fs::read(file)?;
    let mut hash = String::new();
    for byte in &Sha256::digest(&raw)[..16] {
        let _ = write!(hash, "{byte:02x}");
    }
    // A form that saves nothing is left out.
    let form = |suffix| {
        let form = with_suffix(file, suffix);
        let smaller =
            files.contains(&form) && fs::metadata(&form).is_ok_and(|form| form.len() < raw.len() as u64);
        if smaller { Ok(format!("Some({})", include(&form)?)) } else { Ok::<_, io::Error>("None".to_owned()) }
    };
    let (raw, brotli, gzip) = (include(file)?, form(".br")?, form(".gz")?);
    writeln!(table, "Asset {{ path: {path:?}, hash: {hash:?}, raw: {raw}, brotli: {brotli}, gzip: {gzip} }},")
        .map_err(io::Error::other)
}

fn include(file: &Path) -> io::Result<String> {
    Ok(format!("include_bytes!({:?})", file.to_str().ok_or(io::ErrorKind::InvalidData)?))
}
