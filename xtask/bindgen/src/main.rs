//! `symbolon-bindgen WASM DIR`: writes the JavaScript, the types and the stripped wasm file of a wasm build.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use wasm_bindgen_cli_support::Bindgen;

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let usage = "usage: symbolon-bindgen WASM DIR";
    let input = arguments.next().context(usage)?;
    let out = arguments.next().context(usage)?;
    Bindgen::new()
        .input_path(&input)
        .web(true)?
        .typescript(true)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(&out)
        .with_context(|| format!("{}", input.display()))
}
