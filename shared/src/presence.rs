//! What a member shows of itself while it is here: cursor, name, colour, the stroke being drawn (PROTOCOL §8.6).
//!
//! Each open Y.Doc has one state, JSON text as Yjs' awareness has it. It is signed, passed on, and never stored.

use crate::cbor::{self, ByteVec};
use crate::crypto::keys::{Domain, SignKey, Signature, verify};
use crate::frames::ChainId;
use crate::id::{DeviceId, RoomId};
use crate::update::json;

/// The longest state, in bytes of JSON text.
pub const MAX_STATE: usize = 16 * 1024;

/// What one Y.Doc of a member shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// Whose, and which of its Y.Docs.
    pub chain: ChainId,
    /// When the member started, in milliseconds since 1970, and a count since: the larger pair is the newer state.
    pub version: (u64, u64),
    /// A JSON value; `None` if the Y.Doc was closed.
    pub state: Option<String>,
    /// The exact bytes to send on.
    pub wire: Vec<u8>,
}

struct Fields {
    room: RoomId,
    device: DeviceId,
    incarnation: u32,
    started: u64,
    seq: u64,
    state: Option<String>,
}

cbor::members! { Fields { 0: room, 1: device, 2: incarnation, 3: started, 4: seq, 5: state } }

struct Wire {
    body: ByteVec,
    signature: Signature,
}

cbor::elements! { Wire { 0: body, 1: signature } }

impl Presence {
    /// Signs a state, which must be one by [`is_state`].
    pub fn sign(
        key: &SignKey,
        room: RoomId,
        incarnation: u32,
        version: (u64, u64),
        state: Option<String>,
    ) -> Self {
        let device = key.device();
        let (started, seq) = version;
        let body = cbor::encode(&Fields { room, device, incarnation, started, seq, state: state.clone() });
        let signature = key.sign(Domain::Presence, &body);
        let wire = cbor::encode(&Wire { body: body.into(), signature });
        Self { chain: ChainId { author: device, incarnation }, version, state, wire }
    }

    /// Reads a state for `room`, if its signature holds.
    pub fn decode(room: RoomId, wire: &[u8]) -> Option<Self> {
        if wire.len() > MAX_STATE + 512 {
            return None;
        }
        let Wire { body, signature } = cbor::decode(wire).ok()?;
        let fields: Fields = cbor::decode(&body).ok()?;
        verify(fields.device.as_bytes(), Domain::Presence, &body, &signature).ok()?;
        let fits = fields.room == room && fields.state.as_deref().is_none_or(is_state);
        fits.then(|| Self {
            chain: ChainId { author: fields.device, incarnation: fields.incarnation },
            version: (fields.started, fields.seq),
            state: fields.state,
            wire: wire.to_vec(),
        })
    }

    /// The state's number in Yjs' awareness: larger for a newer one.
    pub fn clock(&self) -> u64 {
        // Below 2⁵³ as long as clocks are, and no member says more than one thing a millisecond.
        (self.version.0.saturating_add(self.version.1)) & ((1 << 53) - 1)
    }
}

/// Whether a text can be shown: JSON, not too long, and not nested without end.
pub fn is_state(text: &str) -> bool {
    text.len() <= MAX_STATE && json(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Rng;

    #[test]
    fn st5_a_state_counts_only_as_its_member_signed_it_for_that_room() {
        let mut rng = Rng::from_seed([1; 32]);
        let key = SignKey::generate(&mut rng);
        let room = RoomId::from_bytes([7; 32]);
        let state = Some(r#"{"cursor":3}"#.to_owned());
        let presence = Presence::sign(&key, room, 2, (1_800_000_000_000, 5), state);
        assert_eq!(Presence::decode(room, &presence.wire), Some(presence.clone()));
        assert_eq!(presence.clock(), 1_800_000_000_005);
        assert_eq!(Presence::decode(RoomId::from_bytes([8; 32]), &presence.wire), None);
        for at in 0..presence.wire.len() {
            let mut wire = presence.wire.clone();
            wire[at] ^= 1;
            assert_eq!(Presence::decode(room, &wire), None, "byte {at}");
            assert_eq!(Presence::decode(room, &presence.wire[..at]), None);
        }
    }

    #[test]
    fn st5_what_is_no_json_or_too_long_is_no_state() {
        let mut rng = Rng::from_seed([2; 32]);
        let key = SignKey::generate(&mut rng);
        let room = RoomId::from_bytes([7; 32]);
        let long = format!("\"{}\"", "x".repeat(MAX_STATE));
        let deep = "[".repeat(8000) + &"]".repeat(8000);
        for wrong in ["", "{", "nothing", "{\"a\":1}}", &long, &deep] {
            assert!(!is_state(wrong), "{}", &wrong[..wrong.len().min(20)]);
            let presence = Presence::sign(&key, room, 0, (1, 1), Some(wrong.to_owned()));
            assert_eq!(Presence::decode(room, &presence.wire), None);
        }
        assert!(is_state("null") && is_state("{\"user\":{\"name\":\"Ada\"}}"));
    }
}
