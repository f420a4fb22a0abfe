//! The files of `docs/vectors`: made from fixed seeds, held against what is committed, and read back (AS5).
//!
//! `UPDATE_VECTORS=1 cargo test -p symbolon-core vectors` writes them anew. That changes the protocol: a vector that was
//! released may gain neighbours and may not change.

mod canvas;
mod handshake;
mod make;
mod read;
mod records;

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::crypto::Rng;
use crate::crypto::keys::{DeviceKeys, RoomSecret, SignKey, invite_key};
use crate::id::SessionId;
use crate::membership::Records;
use crate::record::{Author, Policy, Record};

/// Milliseconds since 1970 at which everything in the vectors happens.
const TIME: u64 = 1_800_000_000_000;
const DAY: u64 = 24 * 3600 * 1000;

type Make = fn() -> Value;

const FILES: &[(&str, Make)] = &[
    ("keys", make::keys),
    ("records", records::records),
    ("membership", records::membership),
    ("tickets", make::tickets),
    ("sign-in", make::sign_in),
    ("admission", make::admission),
    ("handshakes", handshake::handshakes),
    ("frames", make::frames),
    ("mesh", make::mesh),
    ("canvas", canvas::canvas),
];

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../docs/vectors/{name}.json"))
}

/// What is committed under this name.
fn committed(name: &str) -> Value {
    let text = std::fs::read_to_string(path(name)).expect("the file of vectors is there");
    serde_json::from_str(&text).expect("it is JSON")
}

#[test]
fn as5_the_vectors_are_what_this_program_makes() {
    for (name, make) in FILES {
        let made = make();
        if std::env::var_os("UPDATE_VECTORS").is_some() {
            let text = serde_json::to_string_pretty(&made).unwrap();
            std::fs::write(path(name), format!("{text}\n")).unwrap();
        }
        assert_eq!(committed(name), made, "docs/vectors/{name}.json");
    }
}

/// No clock, no address, no order of a hash map gets into a vector: whenever and on whatever thread they are made.
#[test]
fn as5_the_vectors_depend_on_nothing_but_their_seeds() {
    let make_all = || FILES.iter().map(|(_, make)| make()).collect::<Vec<Value>>();
    let first = make_all();
    for _ in 0..3 {
        assert_eq!(std::thread::spawn(make_all).join().unwrap(), first);
    }
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    use std::fmt::Write as _;
    bytes.as_ref().iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn unhex(text: &Value) -> Vec<u8> {
    let text = text.as_str().expect("a text");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn unhex_n<const N: usize>(text: &Value) -> [u8; N] {
    unhex(text).try_into().expect("of this length")
}

fn parsed<T: std::str::FromStr>(text: &Value) -> T {
    text.as_str().expect("a text").parse().unwrap_or_else(|_| panic!("{text}"))
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn ids<T: ToString>(ids: &[T]) -> Value {
    ids.iter().map(ToString::to_string).collect()
}

/// The devices of all vectors, by their seeds' bytes.
fn author(n: u8) -> Author {
    let (user, name) = match n {
        1 => ("Ada", "laptop"),
        2 => ("Bo", "phone"),
        _ => ("Chloé", "desk"),
    };
    Author::new(DeviceKeys::from_seed(&[n; 32]), user, name, TIME).unwrap()
}

fn session(n: u8) -> SessionId {
    SignKey::from_secret(&[n; 32]).session()
}

fn secret() -> RoomSecret {
    RoomSecret::from_bytes([0x20; 32])
}

fn genesis() -> Record {
    author(1).genesis("plans", Policy::default(), TIME, &mut Rng::from_seed([0x10; 32])).unwrap()
}

/// The room of all vectors: Ada founded it and issued an invite with the seed 0x30…30.
fn room() -> (Records, Record) {
    let mut records = Records::new(genesis()).unwrap();
    let key = invite_key(&[0x30; 32]).public();
    let invite =
        author(1).invite(records.room(), records.heads(), TIME + 1000, key, TIME + DAY, 1, None).unwrap();
    records.insert(invite.clone());
    (records, invite)
}

fn described(what: &str, rest: Value) -> Value {
    let mut out = json!({ "what": what });
    if let (Some(out), Value::Object(rest)) = (out.as_object_mut(), rest) {
        out.extend(rest);
    }
    out
}
