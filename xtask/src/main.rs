//! Developers' commands: `cargo xtask web | demo | test | nat | container | bench`.
//!
//! # Layout
//! - `web`: the core as wasm, its bindings, the npm package, the page.
//! - `demo`: a room with the real programs, to try out or to check.
//! - `nat`: peers behind NATs.
//! - `check`: everything that must hold; the figures.
//! - `tools`: what must be on the machine, and how to get it.
//! - `run`: starting other programs.

mod check;
mod demo;
mod nat;
mod run;
mod tools;
mod web;

use std::process::{Command, ExitCode};

const HELP: &str = "\
Usage: cargo xtask COMMAND

  web             build the page: the core as wasm, its bindings, the npm package; server and agent built afterwards
                  have it inside
  demo            build all, start a server, open a room, show the page there; join from a terminal with the command
                  that is printed; Ctrl-C ends it [--no-open: do not open a browser]
  demo --check    show three peers meet and their text converge, and end by itself
  test            everything that must hold: format, lints, tests, the page in browsers, docs, licences
  test NAME       only the tests whose name contains NAME, in Rust and in browsers
  container       build the server's image with podman or docker and show what it promises; deploy/prove-container.sh
                  names the options, such as --make-base where no registry can be reached
  nat             peers behind NATs of all kinds, in network namespaces: who meets, and by which way; as root, on Linux
  bench [web]     the figures of docs/BENCHMARKS.md, or only those of the browser
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        ["web"] => web::build(),
        ["demo", "--check"] => demo::check(),
        ["demo", "--check", "--built"] => demo::check_what_is_built(),
        ["demo", ref options @ ..] if options.iter().all(|option| demo::OPTIONS.contains(option)) => {
            demo::show(options)
        }
        ["test"] => check::everything(),
        ["test", name] => check::tests_named(name),
        ["container", ref options @ ..] => {
            let mut proof = Command::new(run::root().join("deploy/prove-container.sh"));
            run::step("container", proof.args(options))
        }
        ["nat"] => nat::run(),
        ["nat", "--inside"] => nat::laboratory(),
        ["bench"] => check::benchmarks(),
        ["bench", "web"] => check::browser_benchmarks(),
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
