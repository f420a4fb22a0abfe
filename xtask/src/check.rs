//! Everything that must hold before a change is good.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::run::{cargo, npm, print_durations, programs, root, step, timed};
use crate::tools::Browsers;
use crate::{demo, nat, tools, web};

pub(crate) fn everything() -> Result<(), String> {
    // Asked first: what is missing is not to be learnt after half an hour.
    tools::turnserver()?;
    let browsers = tools::browsers()?;
    let done = all_steps(&browsers);
    print_durations();
    done?;
    println!("All is well.");
    Ok(())
}

fn all_steps(browsers: &Browsers) -> Result<(), String> {
    step("format", &mut cargo(["fmt", "--all", "--check"]))?;
    // Before the rest, since the programs under test carry the page.
    web::build()?;
    web::checks()?;
    step("types of the page", &mut npm(["run", "--silent", "--workspaces", "--if-present", "check"]))?;
    let deny = ["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"];
    step("lints", &mut cargo(deny))?;
    rust_tests(None)?;
    step("tests in browsers", with(browsers, &mut npm(["test", "--silent"]))?)?;
    timed("demo", demo::check_what_is_built)?;
    nat::run_if_possible()?;
    let mut doc = cargo(["doc", "--workspace", "--no-deps", "--all-features"]);
    step("docs", doc.env("RUSTDOCFLAGS", "-D warnings"))?;
    licences()
}

/// The tests whose name contains `name`, in Rust and in browsers.
pub(crate) fn tests_named(name: &str) -> Result<(), String> {
    let files = browser_tests_naming(name)?;
    if files.is_empty() {
        println!("── no test in browsers has {name:?} in its name");
        return rust_tests(Some(name));
    }
    let browsers = tools::browsers()?;
    web::build()?;
    web::checks()?;
    rust_tests(Some(name))?;
    let mut node = Command::new("node");
    node.current_dir(root().join("web")).args(["--test", "--test-concurrency=1"]);
    node.arg(format!("--test-name-pattern={}", escaped(name))).args(files);
    step("tests in browsers", with(&browsers, &mut node)?)
}

/// Tells the tests where browsers and programs are.
fn with<'a>(browsers: &Browsers, tests: &'a mut Command) -> Result<&'a mut Command, String> {
    tests.env("SYMBOLON_CHROMIUM", &browsers.chromium).env("SYMBOLON_FIREFOX", &browsers.firefox);
    Ok(tests.env("SYMBOLON_BIN_DIR", programs()?))
}

fn rust_tests(name: Option<&str>) -> Result<(), String> {
    // The program that writes the bindings has no tests, and would be built a second time with other features.
    let tests = ["test", "--workspace", "--all-features", "--exclude", "symbolon-bindgen"];
    step("tests", cargo(tests).args(name))
}

/// The files in `web/test` that have the text somewhere.
fn browser_tests_naming(name: &str) -> Result<Vec<PathBuf>, String> {
    let folder = root().join("web/test");
    let entries = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| {
        file.to_string_lossy().ends_with(".test.mjs")
            && fs::read_to_string(file).is_ok_and(|text| text.contains(name))
    });
    files.sort();
    Ok(files)
}

/// A regular expression that fits the text alone.
fn escaped(text: &str) -> String {
    let special = |c: char| r"\^$.|?*+()[]{}/".contains(c);
    text.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

/// Licences and sources of what is built in. The list of known vulnerabilities needs the network of its publisher,
/// so it is asked for separately: `cargo deny check advisories`.
fn licences() -> Result<(), String> {
    let check = ["deny", "--all-features", "check", "bans", "licenses", "sources"];
    let there = cargo(["deny", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if there.is_ok_and(|status| status.success()) {
        return step("licences", &mut cargo(check));
    }
    // For here alone, and not optimised: that takes minutes more than it saves.
    let tools = root().join("target/tools");
    if !tools.join("bin/cargo-deny").is_file() {
        let install = ["install", "cargo-deny", "--locked", "--debug", "--quiet", "--root"];
        step("cargo-deny (missing, so it is installed)", cargo(install).arg(&tools))?;
    }
    let mut path = tools.join("bin").into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    step("licences", cargo(check).env("PATH", path))
}

pub(crate) fn benchmarks() -> Result<(), String> {
    browser_benchmarks()?;
    server_benchmarks(&[])?;
    step("connections", &mut cargo(["run", "--release", "-p", "symbolon", "--example", "rtc_setup"]))?;
    step("peers", &mut cargo(["bench", "-p", "symbolon", "--bench", "rooms"]))
}

/// This server beside others that are installed; `--install` gets them first, `--threads N` is for this server, and names
/// of figures choose these alone.
pub(crate) fn server_benchmarks(options: &[&str]) -> Result<(), String> {
    let tools = root().join("target/tools");
    let (install, rest): (Vec<&str>, Vec<&str>) = options.iter().partition(|option| **option == "--install");
    if !install.is_empty() {
        let matchbox = ["install", "matchbox_server", "--locked", "--root"];
        step("matchbox_server", cargo(matchbox).arg(&tools))?;
        step(
            "y-webrtc and peer",
            npm(["install", "--no-save", "--prefix"]).arg(&tools).args(["y-webrtc", "peer"]),
        )?;
    }
    let mut bench = cargo(["bench", "-p", "symbolon-server", "--bench", "relay", "--"]);
    step("server", bench.args(rest).env("SYMBOLON_TOOLS", tools))
}

/// Honest rooms and floods together for so many minutes.
pub(crate) fn soak(minutes: &str) -> Result<(), String> {
    if !minutes.parse::<f64>().is_ok_and(|minutes| minutes > 0.0) {
        return Err(format!("{minutes:?} is no number of minutes"));
    }
    step("soak", &mut cargo(["bench", "-p", "symbolon-server", "--bench", "relay", "--", "soak", minutes]))
}

/// The package beside y-webrtc, and the page, in Chromium.
pub(crate) fn browser_benchmarks() -> Result<(), String> {
    let browsers = tools::browsers()?;
    web::build()?;
    step("programs", &mut cargo(["build", "--release", "-p", "symbolon-server", "-p", "symbolon"]))?;
    let mut run = Command::new("node");
    run.current_dir(root().join("web")).args(["--import", "./bench/run.mjs", "bench/page.mjs"]);
    run.env("SYMBOLON_BIN_DIR", programs()?.with_file_name("release"));
    step("browsers", run.env("SYMBOLON_CHROMIUM", &browsers.chromium))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_pattern() {
        assert_eq!(escaped("cl5_a_link"), "cl5_a_link");
        assert_eq!(escaped("a (b) c.d"), r"a \(b\) c\.d");
    }
}
