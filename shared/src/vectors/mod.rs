//! The test vectors of `docs/vectors`, read as another implementation would (AS5): with the documented formulas where
//! they are short.
//!
//! Behind the feature `vectors`, so that one set of checks runs natively, in node and in browsers, and none of it is in
//! the product.
//!
//! # Layout
//! - [`check`]: all vectors of one file. `read`: keys, tickets, sign-in, the mesh; `rooms`: records, membership,
//!   admission, frames; `handshakes`; `canvas`.
//! - `make` (in tests): makes the files, and holds what is committed against that.

mod canvas;
mod handshakes;
#[cfg(test)]
mod make;
mod read;
mod rooms;

use std::fmt::Display;
use std::str::FromStr;

use serde_json::Value;

type Check = fn(&Value) -> Result<usize, String>;

const FILES: &[(&str, Check)] = &[
    ("admission", rooms::admission),
    ("canvas", canvas::canvas),
    ("frames", rooms::frames),
    ("handshakes", handshakes::handshakes),
    ("keys", read::keys),
    ("membership", rooms::membership),
    ("mesh", read::mesh),
    ("records", rooms::records),
    ("sign-in", read::sign_in),
    ("tickets", read::tickets),
];

/// The names of all files, without `.json`.
pub fn files() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(name, _)| *name)
}

/// Checks the vectors of the file with this name, and says how many there are.
///
/// # Errors
/// Names the first that does not hold.
pub fn check(name: &str, json: &str) -> Result<usize, String> {
    let at = |why: String| format!("{name}.json: {why}");
    let (_, check) = FILES
        .iter()
        .find(|(file, _)| *file == name)
        .ok_or_else(|| at("nobody knows a file of this name".into()))?;
    let file = serde_json::from_str(json).map_err(|why| at(why.to_string()))?;
    check(&file).map_err(at)
}

/// Checks each vector of a list, which must not be empty.
fn each(
    file: &Value,
    key: &str,
    mut check: impl FnMut(&Value) -> Result<(), String>,
) -> Result<usize, String> {
    let vectors = list(file, key)?;
    must(!vectors.is_empty(), &format!("{key} has none"))?;
    for (at, vector) in vectors.iter().enumerate() {
        let about = ["what", "why"].iter().find_map(|key| vector[key].as_str()).unwrap_or_default();
        check(vector).map_err(|why| format!("{key}[{at}] {about}: {why}"))?;
    }
    Ok(vectors.len())
}

fn must(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

/// That the vector has this value under this key.
fn is(vector: &Value, key: &str, found: impl Into<Value>) -> Result<(), String> {
    let found = found.into();
    if vector[key] == found { Ok(()) } else { Err(format!("{key} should be {found}")) }
}

/// That the vector has these bytes under this key.
fn is_bytes(vector: &Value, key: &str, found: impl AsRef<[u8]>) -> Result<(), String> {
    is(vector, key, hex(found))
}

/// That the vector has this id, or other text, under this key.
fn is_text(vector: &Value, key: &str, found: impl ToString) -> Result<(), String> {
    is(vector, key, found.to_string())
}

/// What a library says when something does not hold.
fn said(why: impl Display) -> String {
    why.to_string()
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    use std::fmt::Write as _;
    bytes.as_ref().iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn text<'a>(vector: &'a Value, key: &str) -> Result<&'a str, String> {
    vector[key].as_str().ok_or_else(|| format!("{key} is no text"))
}

fn number(vector: &Value, key: &str) -> Result<u64, String> {
    vector[key].as_u64().ok_or_else(|| format!("{key} is no number"))
}

fn list<'a>(vector: &'a Value, key: &str) -> Result<&'a [Value], String> {
    vector[key].as_array().map(Vec::as_slice).ok_or_else(|| format!("{key} is no list"))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |digit: &u8| char::from(*digit).to_digit(16);
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| Some((digit(high)? * 16 + digit(low)?) as u8)).collect()
}

fn bytes(vector: &Value, key: &str) -> Result<Vec<u8>, String> {
    unhex(text(vector, key)?).ok_or_else(|| format!("{key} is not hexadecimal"))
}

fn array<const N: usize>(vector: &Value, key: &str) -> Result<[u8; N], String> {
    bytes(vector, key)?.try_into().map_err(|_| format!("{key} has not {N} bytes"))
}

fn parsed<T: FromStr>(vector: &Value, key: &str) -> Result<T, String> {
    text(vector, key)?.parse().map_err(|_| format!("{key} cannot be read"))
}

fn ids<T: ToString>(ids: &[T]) -> Value {
    ids.iter().map(ToString::to_string).collect()
}

/// `[body, signature]`, or `[body, [signature, …]]`, as records, frames and what members say of themselves lie on the
/// wire.
fn opened(wire: &[u8]) -> Result<(Vec<u8>, Vec<Vec<u8>>), String> {
    let mut decoder = minicbor::Decoder::new(wire);
    must(decoder.array().map_err(said)? == Some(2), "it has not two parts")?;
    let body = decoder.bytes().map_err(said)?.to_vec();
    if decoder.datatype().map_err(said)? == minicbor::data::Type::Bytes {
        return Ok((body, vec![decoder.bytes().map_err(said)?.to_vec()]));
    }
    let count = decoder.array().map_err(said)?.unwrap_or_default();
    let signatures = (0..count).map(|_| decoder.bytes().map(<[u8]>::to_vec).map_err(said));
    Ok((body, signatures.collect::<Result<_, _>>()?))
}

/// The message with which a server whose TURN secret is this text renews a session's credentials.
fn granted(secret: &str, life_s: u64, unix_s: u64, session: &crate::id::SessionId) -> String {
    let terms = crate::rendezvous::TurnTerms {
        urls: vec!["turn:rooms.example.org:3478?transport=udp".to_owned()],
        secret: crate::rendezvous::TurnSecret::new(secret.as_bytes().to_vec()),
        life: std::time::Duration::from_secs(life_s),
    };
    let now = crate::time::Now { monotonic: std::time::Duration::ZERO, unix_ms: unix_s.saturating_mul(1000) };
    crate::signal::ServerMessage::IceServers { ice_servers: vec![terms.grant(session, now)] }.encode()
}
