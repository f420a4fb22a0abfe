//! What two linked members say to each other: CBOR, cut into parts on the channel (PROTOCOL §8).

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use crate::cbor::{self, DecodeError};
use crate::frames::{ChainId, Frontier, MAX_FRAME};
use crate::id::{DeviceId, RecordId, SessionId};

/// The largest message, in bytes: a batch with one frame of the largest size.
pub const MAX_MESSAGE: usize = MAX_FRAME + 64 * 1024;

/// A batch is closed once it holds this many bytes, so that a long history comes in pieces that the puller asks for.
pub const BATCH_BYTES: usize = 256 * 1024;

/// The most ids in one message.
pub const MAX_IDS: usize = 1024;

/// Something that all members get.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Item {
    /// A membership record.
    #[n(0)]
    Record(#[n(0)] ByteVec),
    /// A frame of the change log.
    #[n(1)]
    Frame(#[n(0)] ByteVec),
    /// A member's list of its links.
    #[n(2)]
    Links(#[n(0)] ByteVec),
    /// What a member shows of itself.
    #[n(3)]
    Presence(#[n(0)] ByteVec),
}

impl Item {
    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Record(bytes) | Self::Frame(bytes) | Self::Links(bytes) | Self::Presence(bytes) => bytes,
        }
    }
}

/// What a member knows: its newest records, and how many frames of each chain it has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Knowledge {
    /// Newest records.
    #[n(0)]
    pub heads: Vec<RecordId>,
    /// Frames per chain.
    #[n(1)]
    pub chains: Vec<(ChainId, u32)>,
}

impl Knowledge {
    /// From its two parts.
    pub fn new(heads: Vec<RecordId>, frontier: &Frontier) -> Self {
        Self { heads, chains: frontier.0.iter().map(|(chain, count)| (*chain, *count)).collect() }
    }

    /// The frames part.
    pub fn frontier(&self) -> Frontier {
        let mut chains = self.chains.clone();
        // Whoever follows the rules sends them sorted; of two entries for one chain the last counts.
        chains.sort_by_key(|(chain, _)| *chain);
        Frontier(chains.into_iter().collect())
    }
}

/// A message over a link.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Message {
    /// What the sender knows; first on every link.
    #[n(0)]
    Know(#[n(0)] Knowledge),
    /// Asks for what the sender lacks.
    #[n(1)]
    Pull(#[n(0)] Knowledge),
    /// The answer to a pull, causes first.
    #[n(2)]
    Batch {
        /// Records, then frames.
        #[n(0)]
        items: Vec<Item>,
        /// Whether there is more; the puller asks again.
        #[n(1)]
        more: bool,
    },
    /// Something new, pushed along the tree.
    #[n(3)]
    Push(#[n(0)] Vec<Item>),
    /// Something new, named to those outside the tree.
    #[n(4)]
    Have(#[n(0)] Vec<ByteVec>),
    /// The sender wants these, and the link in its tree.
    #[n(5)]
    Graft(#[n(0)] Vec<ByteVec>),
    /// The sender has this from elsewhere: the link leaves the tree.
    #[n(6)]
    Prune,
    /// A sealed signal for a neighbour of the receiver, or for the receiver itself.
    #[n(7)]
    Relay(#[n(0)] Relay),
}

/// A sealed signal on its way through a common neighbour (PROTOCOL §8.5).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Relay {
    /// Who sends it.
    #[n(0)]
    pub from: DeviceId,
    /// Its session on the mesh.
    #[n(1)]
    pub from_session: SessionId,
    /// For whom.
    #[n(2)]
    pub to: DeviceId,
    /// The receiver's session on the mesh.
    #[n(3)]
    pub to_session: SessionId,
    /// As in a signal through the server.
    #[n(4)]
    pub body: ByteVec,
}

impl Message {
    /// Reads one message.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let message: Self = cbor::decode(bytes)?;
        let fits = match &message {
            Self::Know(known) | Self::Pull(known) => {
                known.heads.len() <= MAX_IDS * 4 && known.chains.len() <= MAX_IDS * 16
            }
            Self::Have(ids) | Self::Graft(ids) => ids.len() <= MAX_IDS && ids.iter().all(|id| id.len() == 32),
            _ => true,
        };
        if fits { Ok(message) } else { Err(DecodeError::new("too many ids")) }
    }

    /// The message as CBOR.
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// Whether it goes before bulk transfers.
    pub fn urgent(&self) -> bool {
        !matches!(self, Self::Batch { .. })
    }
}
