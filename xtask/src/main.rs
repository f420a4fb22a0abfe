//! Developers' commands: `cargo xtask demo | test | bench`.

mod check;
mod demo;
mod run;

use std::process::ExitCode;

const HELP: &str = "\
Usage: cargo xtask COMMAND

  demo [--stay]   build all, start a server, open a room, let two more peers join, show the text converge;
                  with --stay keep it running for a terminal of yours
  test            everything that must hold: format, lints, tests, docs, licences, the core for browsers
  test NAME       only the tests whose name contains NAME
  bench           the figures of docs/BENCHMARKS.md
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        ["demo"] => demo::run(false),
        ["demo", "--stay"] => demo::run(true),
        ["test"] => check::everything(),
        ["test", name] => check::tests(Some(name)),
        ["bench"] => check::benchmarks(),
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}
