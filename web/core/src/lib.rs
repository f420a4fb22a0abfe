//! The peer's machine for browsers.

use wasm_bindgen::prelude::wasm_bindgen;

/// One peer.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Core {}

#[wasm_bindgen]
impl Core {
    /// The device of a seed.
    pub fn device(seed: &[u8]) -> Result<String, wasm_bindgen::JsError> {
        let seed: [u8; 32] = seed.try_into()?;
        Ok(symbolon_core::crypto::keys::DeviceKeys::from_seed(&seed).sign.device().to_string())
    }
}
