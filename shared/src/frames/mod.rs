//! The signed change log: every change is a frame of its author's chain (PROTOCOL §7).
//!
//! [`Log`] holds the chains of one room and says which frames may be applied, in an order that has causes first. It
//! never merges: what an update means is for Yjs to say.

mod log;

pub use log::{Inserted, Log, Misbehaviour};

use std::sync::Arc;

use crate::cbor::{self, ByteVec, DecodeError};
use crate::crypto::keys::{BadSignature, Domain, SignKey, Signature, sha256, verify};
use crate::id::{DeviceId, FrameId, RoomId};
use crate::update;

/// The largest frame on the wire, in bytes: a whole update and what surrounds it.
pub const MAX_FRAME: usize = update::MAX_UPDATE + 64 * 1024;

/// The most frames of others one frame may name as seen.
pub const MAX_SEEN: usize = 1024;

/// One author's chain of frames: a device may have several Y.Docs open, each with an incarnation of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainId {
    /// Who signs.
    pub author: DeviceId,
    /// Counts up from 0.
    pub incarnation: u32,
}

cbor::elements! { ChainId { 0: author, 1: incarnation } }

impl ChainId {
    /// The Yjs client id of this chain: the first 53 bits of SHA-256(author ‖ incarnation).
    pub fn client(&self) -> u64 {
        let hash = sha256(&[&self.author.as_bytes()[..], &self.incarnation.to_be_bytes()].concat());
        let mut first = [0; 8];
        first.copy_from_slice(&hash[..8]);
        u64::from_be_bytes(first) >> 11
    }
}

/// How many frames of each chain somebody has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier(pub crate::sorted::Map<ChainId, u32>);

impl Frontier {
    /// Frames of this chain.
    pub fn count(&self, chain: &ChainId) -> u32 {
        self.0.get(chain).copied().unwrap_or(0)
    }

    /// Whether everything in `other` is in here too.
    pub fn covers(&self, other: &Self) -> bool {
        other.0.iter().all(|(chain, count)| self.count(chain) >= *count)
    }

    /// Adds one frame of a chain.
    pub fn add(&mut self, chain: ChainId, seq: u32) {
        let count = self.0.entry(chain).or_default();
        *count = (*count).max(seq.saturating_add(1));
    }
}

/// A signed change. Cheap to clone.
#[derive(Clone)]
pub struct Frame {
    id: FrameId,
    room: RoomId,
    chain: ChainId,
    seq: u32,
    prev: Option<FrameId>,
    seen: Arc<[FrameId]>,
    update: Arc<[u8]>,
    wire: Arc<[u8]>,
}

struct Wire {
    body: ByteVec,
    signature: Signature,
}

cbor::elements! { Wire { 0: body, 1: signature } }

struct Fields<'a> {
    room: RoomId,
    author: DeviceId,
    incarnation: u32,
    seq: u32,
    prev: Option<FrameId>,
    seen: Vec<FrameId>,
    update: &'a [u8],
}

cbor::members! { Fields<'b> { 0: room, 1: author, 2: incarnation, 3: seq, 4: prev, 5: seen, 6: update } }

/// Why bytes are not a frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Over [`MAX_FRAME`], or more than [`MAX_SEEN`] frames seen.
    #[error("a frame is over the limit")]
    TooLarge,
    /// Not a frame.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// Not signed by its author.
    #[error(transparent)]
    Signature(#[from] BadSignature),
}

impl Frame {
    /// Reads a frame and checks its author's signature.
    pub fn decode(wire: &[u8]) -> Result<Self, FrameError> {
        let (frame, body, signature) = Self::parse(wire)?;
        verify(frame.chain.author.as_bytes(), Domain::Frame, &body, &signature)?;
        Ok(frame)
    }

    /// Reads a frame that was checked before it was stored.
    pub(crate) fn decode_stored(wire: &[u8]) -> Result<Self, FrameError> {
        Self::parse(wire).map(|(frame, ..)| frame)
    }

    fn parse(wire: &[u8]) -> Result<(Self, ByteVec, Signature), FrameError> {
        if wire.len() > MAX_FRAME {
            return Err(FrameError::TooLarge);
        }
        let Wire { body, signature } = cbor::decode(wire)?;
        let fields: Fields<'_> = cbor::decode(&body)?;
        if fields.seen.len() > MAX_SEEN || fields.update.len() > update::MAX_UPDATE {
            return Err(FrameError::TooLarge);
        }
        let frame = Self {
            id: FrameId::from_bytes(sha256(&body)),
            room: fields.room,
            chain: ChainId { author: fields.author, incarnation: fields.incarnation },
            seq: fields.seq,
            prev: fields.prev,
            seen: fields.seen.into(),
            update: fields.update.to_vec().into(),
            wire: wire.into(),
        };
        Ok((frame, body, signature))
    }

    /// Signs a frame.
    pub(crate) fn sign(
        key: &SignKey,
        room: RoomId,
        incarnation: u32,
        seq: u32,
        prev: Option<FrameId>,
        seen: Vec<FrameId>,
        update: &[u8],
    ) -> Self {
        let author = key.device();
        let fields = Fields { room, author, incarnation, seq, prev, seen: seen.clone(), update };
        let body = cbor::encode(&fields);
        let id = FrameId::from_bytes(sha256(&body));
        let signature = key.sign(Domain::Frame, &body);
        let wire = cbor::encode(&Wire { body: body.into(), signature });
        let chain = ChainId { author, incarnation };
        Self { id, room, chain, seq, prev, seen: seen.into(), update: update.into(), wire: wire.into() }
    }

    /// SHA-256 of the body.
    pub fn id(&self) -> FrameId {
        self.id
    }

    /// The room it is for.
    pub fn room(&self) -> RoomId {
        self.room
    }

    /// Whose it is.
    pub fn chain(&self) -> ChainId {
        self.chain
    }

    /// Its place in the chain, from 0.
    pub fn seq(&self) -> u32 {
        self.seq
    }

    /// The Yjs update (v1); may be empty.
    pub fn update(&self) -> &Arc<[u8]> {
        &self.update
    }

    /// The exact bytes to store and to send on.
    pub fn wire(&self) -> &[u8] {
        &self.wire
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frame").field("chain", &self.chain).field("seq", &self.seq).finish_non_exhaustive()
    }
}
