//! What must be on the machine beside Rust, and how to get it.

use std::process::Command;

use crate::run::find;

/// The oldest node that the page's tools work with.
const NODE: (u32, u32) = (20, 19);

/// Node and npm, which build the page.
pub(crate) fn node() -> Result<(), String> {
    all(&[missing_node()])
}

/// What the tests in browsers need.
pub(crate) fn browsers() -> Result<(), String> {
    all(&[
        missing_node(),
        missing(&["chromium", "chromium-browser"], "Chromium", "apt-get install chromium"),
        missing(&["firefox", "firefox-esr"], "Firefox", "apt-get install firefox-esr"),
    ])
}

fn all(missing: &[Option<String>]) -> Result<(), String> {
    let missing: Vec<&str> = missing.iter().flatten().map(String::as_str).collect();
    if missing.is_empty() { Ok(()) } else { Err(missing.join("\n       ")) }
}

fn missing(programs: &[&str], name: &str, install: &str) -> Option<String> {
    let there = programs.iter().any(|program| find(program).is_some());
    (!there).then(|| format!("{name} is missing; on Debian: {install}"))
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
    missing(&["npm"], "npm", "apt-get install npm")
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
