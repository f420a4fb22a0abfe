//! The documents name only tests that exist.
//!
//! `cargo test -p symbolon-core --test documents -- --ignored` puts tests whose names begin with a row's id (`rv1_…`) and
//! that no row names yet into their rows; what is still missing in a row is for a person to say.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Names of functions in the sources of the workspace, and of tests in JavaScript.
fn functions() -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    let mut folders: Vec<PathBuf> =
        ["shared", "server", "peer", "xtask", "web"].iter().map(|name| root().join(name)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let made = ["target", "node_modules", "dist"];
            if path.is_dir() && !made.iter().any(|made| path.ends_with(made)) {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "mjs") {
                let text = fs::read_to_string(&path).unwrap();
                out.extend(
                    text.split("test('")
                        .skip(1)
                        .filter_map(|rest| rest.split('\'').next())
                        .map(str::to_owned),
                );
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                for rest in text.split("fn ").skip(1) {
                    out.insert(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
                }
            }
        }
    }
    out
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// What looks like the name of a test: words joined by underscores, four of them at least, in backticks.
fn tests_named(document: &str) -> BTreeSet<&str> {
    document
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|name| name.matches('_').count() >= 3)
        .filter(|name| name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'))
        .collect()
}

#[test]
fn tests_that_documents_name_exist() {
    let functions = functions();
    for document in ["REQUIREMENTS.md", "THREATS.md", "DESIGN.md", "PROTOCOL.md"] {
        let text = fs::read_to_string(root().join("docs").join(document)).unwrap();
        for name in tests_named(&text) {
            assert!(functions.contains(name), "docs/{document} names `{name}`, which is no test");
        }
    }
}

/// `RV1` for `rv1_…`.
fn row(test: &str) -> Option<String> {
    let (id, _) = test.split_once('_')?;
    let (kind, number) = id.split_at_checked(2)?;
    let kinds = ["rv", "ad", "me", "st", "cl", "as"];
    let fits = kinds.contains(&kind) && !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    fits.then(|| id.to_uppercase())
}

#[test]
#[ignore = "writes docs/REQUIREMENTS.md"]
fn requirements_are_brought_up_to_date() {
    let path = root().join("docs/REQUIREMENTS.md");
    let text = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for test in functions() {
        let (Some(row), false) = (row(&test), text.contains(&format!("`{test}`"))) else { continue };
        if let Some(line) = lines.iter_mut().find(|line| line.starts_with(&format!("| {row} |"))) {
            let cells = line.trim_end_matches(" |");
            let cells = cells.strip_suffix("| open").map_or(format!("{cells}, "), |rest| format!("{rest}| "));
            *line = format!("{cells}`{test}` |");
        }
    }
    fs::write(path, lines.join("\n") + "\n").unwrap();
}
