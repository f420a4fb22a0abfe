//! The files of `docs/vectors`, made from fixed seeds, and what is committed held against them.
//!
//! `UPDATE_VECTORS=1 cargo test -p symbolon-core vectors` writes them anew. That changes the protocol: a vector that was
//! released may gain neighbours and may not change.

mod canvas;
mod handshake;
mod messages;
mod records;

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{check, files};

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
    ("keys", messages::keys),
    ("records", records::records),
    ("membership", records::membership),
    ("tickets", messages::tickets),
    ("sign-in", messages::sign_in),
    ("admission", messages::admission),
    ("handshakes", handshake::handshakes),
    ("frames", messages::frames),
    ("mesh", messages::mesh),
    ("canvas", canvas::canvas),
];

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../docs/vectors/{name}.json"))
}

/// What is committed under this name.
fn committed(name: &str) -> Value {
    serde_json::from_str(&text(name)).expect("it is JSON")
}

fn text(name: &str) -> String {
    std::fs::read_to_string(path(name)).expect("the file of vectors is there")
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

#[test]
fn as5_the_vectors_hold() {
    let mut here: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
    here.sort_unstable();
    assert_eq!(here, files().collect::<Vec<_>>());
    for name in here {
        let count = check(name, &text(name));
        assert!(count.as_ref().is_ok_and(|count| *count > 0), "{count:?}");
    }
}

/// Every number, text and truth value in a vector says something that the check holds it to.
#[test]
fn as5_a_vector_with_any_value_changed_does_not_hold() {
    for (name, _) in FILES {
        let file = committed(name);
        let mut places = Vec::new();
        leaves(&file, String::new(), &mut places);
        for place in places {
            let mut changed = file.clone();
            let value = changed.pointer_mut(&place).unwrap();
            *value = match value {
                // The first character: the last of an id has bits that nobody reads.
                Value::String(text) if text.starts_with('0') => format!("1{}", &text[1..]).into(),
                Value::String(text) if text.is_empty() => "x".into(),
                Value::String(text) => {
                    let first = text.chars().next().map_or(0, char::len_utf8);
                    format!("0{}", &text[first..]).into()
                }
                Value::Number(number) => (number.as_i64().unwrap() ^ 1).into(),
                Value::Bool(was) => (!*was).into(),
                _ => "x".into(),
            };
            let outcome = check(name, &changed.to_string());
            assert!(outcome.is_err(), "{name}{place} can be {}", changed.pointer(&place).unwrap());
        }
        assert!(check(name, "{}").is_err());
    }
}

const UNREAD: [&str; 4] = ["what", "why", "refused", "text_main"];

/// The places of all values but those that are for people, those that are to be refused, and the text that only a
/// document can tell.
fn leaves(value: &Value, place: String, into: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members.iter().filter(|(key, _)| !UNREAD.contains(&key.as_str())) {
                leaves(member, format!("{place}/{key}"), into);
            }
        }
        Value::Array(list) => {
            for (at, element) in list.iter().enumerate() {
                leaves(element, format!("{place}/{at}"), into);
            }
        }
        _ => into.push(place),
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
