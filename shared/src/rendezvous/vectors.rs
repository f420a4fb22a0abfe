//! The examples of `docs/PROTOCOL.md` §5, to the byte.

use std::time::Duration;

use super::{TurnSecret, TurnTerms};
use crate::crypto::keys::SignKey;
use crate::id::Nonce;
use crate::signal::{Challenge, ClientMessage, Hello, ServerMessage};
use crate::time::Now;

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

#[test]
fn as5_turn_credentials_are_as_documented() {
    let turn = TurnTerms {
        urls: vec!["turn:rooms.example.org:3478?transport=udp".to_owned()],
        secret: TurnSecret::new(b"north".to_vec()),
        life: Duration::from_secs(3600),
    };
    let session = SignKey::from_secret(&[3; 32]).session();
    let granted = turn.grant(&session, Now { monotonic: Duration::ZERO, unix_ms: TIME });
    let message = ServerMessage::IceServers { ice_servers: vec![granted] };
    assert_eq!(ServerMessage::decode(&message.encode()).unwrap(), message);
    let documented = include_str!("../../../docs/PROTOCOL.md");
    assert!(documented.contains(&message.encode()), "not in the document:\n{}", message.encode());
}
