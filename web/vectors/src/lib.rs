//! What the tests in node and in browsers need of Rust, and the product does not: the checks of the test vectors, the
//! change log by itself, and `yrs` to hold Yjs against.
//!
//! ```text
//! Y.Doc ── update ──► Member: signed, checked, a frame ──► other Members ── update ──► Y.Docs, Native (yrs)
//! ```
//!
//! What is refused is thrown, as an `Error` whose message is the reason.
//!
//! # Layout
//! - [`check`], [`files`]: `docs/vectors`.
//! - [`member`]: a member's log of changes, and the check by itself.
//! - [`native`]: a document of a native peer; `content`: what is in it, as JSON.

mod content;
pub mod member;
pub mod native;

use js_sys::Error;
use symbolon_core::vectors;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

type Result<T> = std::result::Result<T, JsValue>;

/// The names of all files of vectors, without `.json`.
#[wasm_bindgen]
pub fn files() -> Vec<String> {
    vectors::files().map(str::to_owned).collect()
}

/// Checks the vectors of one file; how many there are.
#[wasm_bindgen]
pub fn check(name: &str, json: &str) -> Result<usize> {
    vectors::check(name, json).map_err(refused)
}

fn refused(why: impl ToString) -> JsValue {
    Error::new(&why.to_string()).into()
}
