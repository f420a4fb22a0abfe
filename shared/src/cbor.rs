//! CBOR (RFC 8949) as this protocol uses it: maps with integer keys, nothing behind the value.

use minicbor::{Decode, Encode};

/// Bytes that are not the CBOR that was expected here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed data: {0}")]
pub struct DecodeError(String);

impl DecodeError {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// Reads exactly one value; anything behind it is an error.
pub(crate) fn decode<'b, T: Decode<'b, ()>>(bytes: &'b [u8]) -> Result<T, DecodeError> {
    let mut decoder = minicbor::Decoder::new(bytes);
    let value = decoder.decode().map_err(|error| DecodeError(error.to_string()))?;
    if decoder.position() != bytes.len() {
        return Err(DecodeError::new("trailing bytes"));
    }
    Ok(value)
}

/// The value as CBOR.
pub(crate) fn encode<T: Encode<()>>(value: &T) -> Vec<u8> {
    // Writing to a Vec cannot fail, and no encoder of this crate refuses a value.
    minicbor::to_vec(value).unwrap_or_default()
}
