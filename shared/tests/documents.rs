//! The documents name only tests that exist.
//!
//! `cargo test -p symbolon-core --test documents -- --ignored` puts tests whose names begin with a row's id (`rv1_…`) and
//! that no row names yet into their rows, those in Rust and those in `web/test`; what is still missing in a row is for
//! a person to say.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Names of functions in the Rust sources of the workspace, and of tests in `web/test`.
fn functions() -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    let mut folders: Vec<PathBuf> =
        ["shared", "server", "peer", "xtask", "web"].iter().map(|name| root().join(name)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let made = ["target", "node_modules", "dist"].iter().any(|name| path.ends_with(name));
            if path.is_dir() && !made {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                out.extend(rust_functions(&fs::read_to_string(&path).unwrap()));
            } else if path.starts_with(root().join("web/test"))
                && path.to_string_lossy().ends_with(".test.mjs")
            {
                out.extend(browser_tests(&fs::read_to_string(&path).unwrap()));
            }
        }
    }
    out
}

fn name(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn rust_functions(source: &str) -> impl Iterator<Item = String> {
    source.split("fn ").skip(1).map(name)
}

/// The names in `test('name', …)`, whatever the quotes; what is skipped by `test.skip` shows nothing. A name that has
/// more than a name's characters is none.
fn browser_tests(source: &str) -> impl Iterator<Item = String> {
    let starts = source.match_indices("test").filter(|(at, _)| {
        let before = source[..*at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && !"_.$'\"`-/".contains(c))
    });
    starts.filter_map(|(at, word)| {
        let rest = &source[at + word.len()..];
        let rest = rest.strip_prefix('(')?.trim_start();
        let quote = rest.chars().next().filter(|c| "'\"`".contains(*c))?;
        let name = name(&rest[1..]);
        rest[1 + name.len()..].starts_with(quote).then_some(name)
    })
}

#[test]
fn names_of_tests_are_found_in_both_languages() {
    let rust: Vec<String> = rust_functions("#[test]\nfn a_b_c() {}\nasync fn d_e<T>() {}").collect();
    assert_eq!(rust, ["a_b_c", "d_e"]);
    let source = r#"
        import test from 'node:test';
        test('cl5_a_link_opens_the_room', async () => {});
        test("cl5_b", { timeout: 1 }, () => {}); test(
            `cl5_c`, () => {});
        test.skip('cl5_d', () => {});
        await t.test('cl5_inner', () => {});
        latest('cl5_no'); test('has spaces', f); test(name, f); 'test'; test(
    "#;
    let browser: Vec<String> = browser_tests(source).collect();
    assert_eq!(browser, ["cl5_a_link_opens_the_room", "cl5_b", "cl5_c"]);
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
