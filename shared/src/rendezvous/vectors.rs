//! The examples of `docs/PROTOCOL.md` §5, to the byte.

use crate::crypto::keys::SignKey;
use crate::id::Nonce;
use crate::signal::{Challenge, ClientMessage, Hello, ServerMessage};

const TIME: u64 = 1_800_000_000_000;

#[test]
fn as5_challenge_and_hello_are_as_documented() {
    let origins = vec!["wss://rooms.example.org".parse().unwrap(), "ws://127.0.0.1:7600".parse().unwrap()];
    let challenge =
        Challenge::sign(&SignKey::from_secret(&[1; 32]), Nonce::from_bytes([2; 32]), origins.clone(), TIME);
    let hello = Hello::sign(&SignKey::from_secret(&[3; 32]), &challenge, 1, origins[0].clone(), TIME + 5);
    let documented = include_str!("../../../docs/PROTOCOL.md");
    for message in [ServerMessage::Challenge(challenge).encode(), ClientMessage::Hello(hello).encode()] {
        assert!(documented.contains(&message), "not in the document:\n{message}");
    }
}
