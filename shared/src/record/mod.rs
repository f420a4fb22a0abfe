//! Signed, hash-linked records: who founded the room, who invited whom, who was let in (PROTOCOL §3).
//!
//! ```text
//! genesis ◄── invite ◄── acceptance ◄── countersignature ◄── invite ◄── …      (◄── = is named by; a hash DAG)
//! ```
//!
//! A record on the wire is `[body, [signature, …]]`; the signatures cover the exact bytes of the body, so keys that
//! this program does not know are kept and relayed.

mod body;
mod make;

pub use body::{Acceptance, Body, Countersignature, DeviceRecord, Genesis, Head, Invite, Policy};
pub use make::Author;

use std::sync::Arc;

use crate::cbor::{self, ByteVec, DecodeError};
use crate::crypto::keys::{BadSignature, Domain, Signature, sha256, verify};
use crate::id::{DeviceId, RecordId, RoomId};

/// The largest record, in bytes on the wire.
pub const MAX_RECORD: usize = 4096;

/// The longest name of a room, a user or a device, in bytes.
pub const MAX_NAME: usize = 96;

/// The most records one record may name as its predecessors.
pub const MAX_PREV: usize = 32;

/// Why bytes are not a record that counts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Over [`MAX_RECORD`].
    #[error("a record of {0} bytes is over the limit")]
    TooLarge(usize),
    /// Not a record.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// A signature does not hold, or is missing.
    #[error(transparent)]
    Signature(#[from] BadSignature),
    /// A field has a value it may not have.
    #[error("a record's {0}")]
    Field(&'static str),
}

/// A record whose author's signature holds. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Record {
    id: RecordId,
    head: Arc<Head>,
    body: Arc<Body>,
    wire: Arc<[u8]>,
}

struct Wire {
    body: ByteVec,
    signatures: Vec<Signature>,
}

cbor::elements! { Wire { 0: body, 1: signatures } }

impl Record {
    /// Reads and checks one record.
    ///
    /// The signature by the invite key on an acceptance needs the invite and is checked by [`Acceptance::redeems`].
    pub fn decode(wire: &[u8]) -> Result<Self, RecordError> {
        if wire.len() > MAX_RECORD {
            return Err(RecordError::TooLarge(wire.len()));
        }
        let parts: Wire = cbor::decode(wire)?;
        if cbor::encode(&parts) != wire {
            // Else anyone could give one record many ids.
            return Err(RecordError::Field("outer form is not the shortest"));
        }
        let Wire { body: bytes, signatures } = parts;
        let head: Head = cbor::decode(&bytes)?;
        let own = signatures.first().ok_or(BadSignature)?;
        verify(head.author.as_bytes(), Domain::Record, &bytes, own)?;
        if head.prev.len() > MAX_PREV {
            return Err(RecordError::Field("list of predecessors is too long"));
        }
        let id = RecordId::from_bytes(sha256(wire));
        let body = Body::decode(&head, &bytes, &signatures)?;
        Ok(Self { id, head: Arc::new(head), body: Arc::new(body), wire: wire.into() })
    }

    /// SHA-256 of the bytes on the wire.
    pub fn id(&self) -> RecordId {
        self.id
    }

    /// What all records have.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// What this kind of record has.
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// Who signed it.
    pub fn author(&self) -> DeviceId {
        self.head.author
    }

    /// The exact bytes to store and to send on.
    pub fn wire(&self) -> &[u8] {
        &self.wire
    }

    /// The room this record belongs to; for a genesis the room it makes, for a device record none.
    pub fn room(&self) -> Option<RoomId> {
        match *self.body {
            Body::Genesis(_) => Some(RoomId::from_bytes(*self.id.as_bytes())),
            _ => self.head.room,
        }
    }

    /// The records this one follows directly.
    pub fn parents(&self) -> impl Iterator<Item = RecordId> + '_ {
        let named = match &*self.body {
            Body::Acceptance(acceptance) => Some(acceptance.invite),
            Body::Countersignature(countersignature) => Some(countersignature.acceptance),
            _ => None,
        };
        self.head.prev.iter().copied().chain(named)
    }

    fn seal(body: Vec<u8>, signatures: Vec<Signature>) -> Result<Self, RecordError> {
        Self::decode(&cbor::encode(&Wire { body: body.into(), signatures }))
    }
}

impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        self.wire == other.wire
    }
}

impl Eq for Record {}
