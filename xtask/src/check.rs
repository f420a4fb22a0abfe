//! Everything that must hold before a change is good.

use std::process::Command;

use crate::run::{cargo, step, there_is};

const WASM: &str = "wasm32-unknown-unknown";

pub(crate) fn everything() -> Result<(), String> {
    step("format", &mut cargo(["fmt", "--all", "--check"]))?;
    let deny = ["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"];
    step("lints", &mut cargo(deny))?;
    wasm()?;
    tests(None)?;
    let mut doc = cargo(["doc", "--workspace", "--no-deps", "--all-features"]);
    step("docs", doc.env("RUSTDOCFLAGS", "-D warnings"))?;
    licences()?;
    println!("All is well.");
    Ok(())
}

/// All tests, or those whose name contains `name`.
pub(crate) fn tests(name: Option<&str>) -> Result<(), String> {
    step("tests", cargo(["test", "--workspace", "--all-features"]).args(name))
}

/// The core must run in browsers too.
fn wasm() -> Result<(), String> {
    let listed = Command::new("rustup").args(["target", "list", "--installed"]).output();
    let there = listed.as_ref().is_ok_and(|out| String::from_utf8_lossy(&out.stdout).contains(WASM));
    if !there && listed.is_ok() {
        step("the target for browsers", Command::new("rustup").args(["target", "add", WASM]))?;
    }
    step("core for browsers", &mut cargo(["build", "-p", "symbolon-core", "--target", WASM]))
}

/// Licences and sources of what is built in. The list of known vulnerabilities needs the network of its publisher,
/// so it is asked for separately: `cargo deny check advisories`.
fn licences() -> Result<(), String> {
    if !there_is("cargo", "deny") && !there_is("cargo-deny", "--version") {
        let install = ["install", "cargo-deny", "--locked"];
        step("cargo-deny (missing, so it is installed)", &mut cargo(install))?;
    }
    step("licences", &mut cargo(["deny", "--all-features", "check", "bans", "licenses", "sources"]))
}

pub(crate) fn benchmarks() -> Result<(), String> {
    step("server", &mut cargo(["bench", "-p", "symbolon-server", "--bench", "relay"]))?;
    step("connections", &mut cargo(["run", "--release", "-p", "symbolon", "--example", "rtc_setup"]))?;
    step("peers", &mut cargo(["bench", "-p", "symbolon", "--bench", "rooms"]))
}
