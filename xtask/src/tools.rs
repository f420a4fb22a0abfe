//! What must be on the machine beside Rust, and how to get it.

use std::path::PathBuf;
use std::process::Command;

use crate::run::find;

/// The oldest node that the page's tools work with.
const NODE: (u32, u32) = (20, 19);

/// Node and npm, which build the page.
pub(crate) fn node() -> Result<(), String> {
    all(&[missing_node()])
}

/// A TURN server that is not ours, which one is to work with.
pub(crate) fn turnserver() -> Result<(), String> {
    let there = find("turnserver").is_some();
    all(&[(!there).then(|| "coturn is missing; on Debian: apt-get install coturn".to_owned())])
}

/// The browsers that the page is tested in.
pub(crate) struct Browsers {
    pub(crate) chromium: PathBuf,
    pub(crate) firefox: PathBuf,
}

/// What the tests in browsers need: browsers, and Node.js to drive them.
pub(crate) fn browsers() -> Result<Browsers, String> {
    let chromium = program("SYMBOLON_CHROMIUM", &["chromium", "chromium-browser"]);
    let firefox = program("SYMBOLON_FIREFOX", &["firefox-esr", "firefox"]);
    let missing = |found: &Option<PathBuf>, words: &str| found.is_none().then(|| words.to_owned());
    all(&[
        missing_node(),
        missing(&chromium, "Chromium is missing; on Debian: apt-get install chromium"),
        missing(&firefox, "Firefox is missing; on Debian: apt-get install firefox-esr"),
    ])?;
    chromium.zip(firefox).map(|(chromium, firefox)| Browsers { chromium, firefox }).ok_or_else(String::new)
}

/// A program that a variable names, or the first that a shell would find.
fn program(variable: &str, names: &[&str]) -> Option<PathBuf> {
    let named = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_file());
    named.or_else(|| names.iter().find_map(|name| find(name)))
}

fn all(missing: &[Option<String>]) -> Result<(), String> {
    let missing: Vec<&str> = missing.iter().flatten().map(String::as_str).collect();
    if missing.is_empty() { Ok(()) } else { Err(missing.join("\n       ")) }
}

fn missing_node() -> Option<String> {
    let get = "on Debian 13 or newer: apt-get install nodejs npm; elsewhere: https://nodejs.org";
    let (major, minor) = NODE;
    let Ok(output) = Command::new("node").arg("--version").output() else {
        return Some(format!("Node.js {major}.{minor} or newer is missing; {get}"));
    };
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !is_new_enough(&version) {
        return Some(format!("Node.js is {version}, but {major}.{minor} or newer is needed; {get}"));
    }
    find("npm").is_none().then(|| "npm is missing; on Debian: apt-get install npm".to_owned())
}

fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.trim_start_matches('v').split('.').map(|number| number.parse::<u32>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor) >= NODE,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_node_are_compared_by_number() {
        for version in ["v20.19.0", "v20.20.2", "v22.0.0", "24.1.0"] {
            assert!(is_new_enough(version), "{version}");
        }
        for version in ["v18.19.0", "v20.9.0", "v20.18.9", "v8.99.0", "", "v", "node"] {
            assert!(!is_new_enough(version), "{version}");
        }
    }
}
