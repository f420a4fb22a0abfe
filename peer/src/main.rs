//! `symbolon`: rooms on the command line, and the agent that holds a home directory's connections.
//!
//! ```text
//! command ── JSON-RPC over a Unix socket ──▶ agent ── Peer ──▶ servers and members
//! ```
//!
//! # Layout
//! - `cli`: arguments, the commands, what they print.
//! - `agent`: the process behind them, one per home directory; `docs/CONTROL.md` describes its interface.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod agent;
mod cli;
mod failure;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
