//! Completions and manual pages, made from the arguments.

use std::path::Path;

use clap::CommandFactory as _;
use clap_complete::Shell;
use serde_json::json;

use super::args::Arguments;
use super::print::{self, Out, bytes};
use crate::failure::Failure;

/// `symbolon completions`
pub(super) fn completions(out: Out, shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "symbolon", &mut script);
    if out.json {
        return print::line(&json!({ "completions": String::from_utf8_lossy(&script) }));
    }
    bytes(&script)
}

/// `symbolon man`
pub(super) fn man(out: Out, dir: Option<&Path>) -> Result<(), Failure> {
    let Some(dir) = dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Arguments::command())
            .render(&mut page)
            .map_err(|error| Failure::new("io", format!("the page cannot be made: {error}")))?;
        if out.json {
            return print::line(&json!({ "man": String::from_utf8_lossy(&page) }));
        }
        return bytes(&page);
    };
    std::fs::create_dir_all(dir)
        .and_then(|()| clap_mangen::generate_to(Arguments::command(), dir))
        .map_err(|error| Failure::path("io", dir, &error))?;
    out.either(&json!({ "dir": dir.display().to_string() }), || {
        format!(
            "Wrote the manual pages to {}; read one with: man {}/symbolon.1",
            dir.display(),
            dir.display()
        )
    })
}
