//! The built page, inside the programs that serve it: the server at `/`, the agent's command on loopback.
//!
//! `cargo xtask web` makes the page; what is in `web/dist/page` when this crate is built is in it, file by file, with
//! the compressed forms beside them. A build without a page has one file that says so.
//!
//! ```text
//! path, Accept-Encoding, If-None-Match ─▶ answer: a lookup in a fixed table ─▶ status, headers, bytes
//!                                           respond: the same for a whole request, with config.json
//! ```
//!
//! Nothing here does I/O: the caller has sockets, limits and time. No name in a request ever reaches a file system.
//!
//! # Layout
//! - `asset`: one file: its type, how long it may be kept.
//! - `coding`: which of its forms a client gets.
//! - `answer`: status, headers and body to a path.
//! - `respond`: the same for a request, with methods and `config.json`.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod answer;
mod asset;
mod coding;
mod respond;

pub use answer::{Answer, answer};
pub use respond::{CONFIG, respond, say};

use asset::Asset;

static TABLE: &[Asset] = include!(concat!(env!("OUT_DIR"), "/table.rs"));

/// Whether this build has the page.
pub const BUILT: bool = include!(concat!(env!("OUT_DIR"), "/built.rs"));

/// The paths that are answered, such as `/index.html`.
pub fn paths() -> impl Iterator<Item = String> {
    TABLE.iter().map(|asset| format!("/{}", asset.path))
}
