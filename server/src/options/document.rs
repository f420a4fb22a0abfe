//! `docs/CONFIGURATION.md` and the example file, from the table.

use std::fmt::Write as _;

use super::table::SECTIONS;
use super::{Opt, Settings};

const HEAD: &str = "\
# Configuration of the server

`symbolon-server` needs no configuration. What it is told it takes from flags, from environment variables and from a
TOML file (`--config FILE`, or `SYMBOLON_CONFIG`). A flag counts more than a variable, a variable more than the file,
the file more than the default. An empty text counts as none. Lists are TOML arrays in the file, and separated by
commas elsewhere. A key that the table below does not know is an error.

    symbolon-server config > server.toml                     an example with every option and its default
    symbolon-server check --config server.toml               what holds, where it came from, what is wrong with it
    symbolon-server --config server.toml                     serves
    symbolon-server health --config server.toml              0 if that server serves, 1 if not
    kill -HUP PID                                            reads the file again

On SIGHUP the options marked ↻ change in the running server; the log says of others that they wait for a restart. A
file that is wrong changes nothing.

This page is written by the program (`symbolon-server config --markdown`).
";

/// `docs/CONFIGURATION.md`.
pub fn markdown() -> String {
    let defaults = Settings::default();
    let mut out = HEAD.to_owned();
    for section in SECTIONS {
        let name = if section.name.is_empty() { String::new() } else { format!(" `[{}]`", section.name) };
        let _ = write!(out, "\n## {}{name}\n\n{}\n\n", section.title, section.about);
        out.push_str("| key | flag and variable | default | |\n|---|---|---|---|\n");
        for option in section.options {
            let mark = if option.reloads { " ↻" } else { "" };
            let default = match (option.default, option.shown(&defaults)) {
                (Some(words), _) => words.to_owned(),
                (None, shown) if shown.is_empty() || shown == "[]" => "–".to_owned(),
                (None, shown) => format!("`{shown}`"),
            };
            let _ = writeln!(
                out,
                "| `{}`{mark} | `--{}` `{}` | {default} | {} |",
                option.key,
                option.flag,
                option.variable(),
                option.help
            );
        }
    }
    out
}

/// A file with every option as a comment.
pub fn example() -> String {
    let defaults = Settings::default();
    let mut out = String::from(
        "# Configuration of symbolon-server. Every option is here with its default; remove the `#` to change it.\n",
    );
    for section in SECTIONS {
        let _ = write!(out, "\n# {}\n", section.about);
        if !section.name.is_empty() {
            let _ = writeln!(out, "[{}]", section.name);
        }
        for option in section.options {
            let _ = write!(out, "\n# {}\n# {} = {}\n", option.help, option.key, value(option, &defaults));
        }
    }
    out
}

fn value(option: &Opt, defaults: &Settings) -> String {
    match (option.example, option.shown(defaults)) {
        ("", shown) if shown.is_empty() => "\"\"".to_owned(),
        ("", shown) => shown,
        (example, _) => example.to_owned(),
    }
}
