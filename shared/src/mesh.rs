//! What two linked members say to each other: CBOR, cut into parts on the channel (PROTOCOL §8).

use crate::cbor::{self, ByteVec, Decode, DecodeError, Encode, Malformed, Reader, Writer};
use crate::frames::{ChainId, Frontier, MAX_FRAME};
use crate::id::{DeviceId, RecordId, SessionId};

/// The largest message, in bytes: a batch with one frame of the largest size.
pub const MAX_MESSAGE: usize = MAX_FRAME + 64 * 1024;

/// A batch is closed once it holds this many bytes, so that a long history comes in pieces that the puller asks for.
pub const BATCH_BYTES: usize = 256 * 1024;

/// The most ids in one message.
pub const MAX_IDS: usize = 1024;

/// Something that all members get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A membership record.
    Record(ByteVec),
    /// A frame of the change log.
    Frame(ByteVec),
    /// A member's list of its links.
    Links(ByteVec),
    /// What a member shows of itself.
    Presence(ByteVec),
}

impl Encode for Item {
    fn encode(&self, writer: &mut Writer) {
        let (kind, bytes) = match self {
            Self::Record(bytes) => (0, bytes),
            Self::Frame(bytes) => (1, bytes),
            Self::Links(bytes) => (2, bytes),
            Self::Presence(bytes) => (3, bytes),
        };
        variant(writer, kind, 1);
        bytes.encode(writer);
    }
}

impl Decode<'_> for Item {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        reader.tuple(2)?;
        Ok(match reader.integer()? {
            0 => Self::Record(reader.only()?),
            1 => Self::Frame(reader.only()?),
            2 => Self::Links(reader.only()?),
            3 => Self::Presence(reader.only()?),
            _ => return Err(Malformed),
        })
    }
}

/// The begin of one of several kinds, with so many members.
fn variant(writer: &mut Writer, kind: u64, members: usize) {
    writer.list(2);
    writer.unsigned(kind);
    writer.list(members);
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Knowledge {
    /// Newest records.
    pub heads: Vec<RecordId>,
    /// Frames per chain.
    pub chains: Vec<(ChainId, u32)>,
}

cbor::elements! { Knowledge { 0: heads, 1: chains } }

impl Knowledge {
    /// From its two parts.
    pub fn new(heads: Vec<RecordId>, frontier: &Frontier) -> Self {
        Self { heads, chains: frontier.0.iter().map(|(chain, count)| (*chain, *count)).collect() }
    }

    /// The frames part.
    pub fn frontier(&self) -> Frontier {
        Frontier(self.chains.clone().into())
    }
}

/// A message over a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// What the sender knows; first on every link.
    Know(Knowledge),
    /// Asks for what the sender lacks.
    Pull(Knowledge),
    /// The answer to a pull, causes first.
    Batch {
        /// Records, then frames.
        items: Vec<Item>,
        /// Whether there is more; the puller asks again.
        more: bool,
    },
    /// Something new, pushed along the tree.
    Push(Vec<Item>),
    /// Something new, named to those outside the tree.
    Have(Vec<ByteVec>),
    /// The sender wants these, and the link in its tree.
    Graft(Vec<ByteVec>),
    /// The sender has this from elsewhere: the link leaves the tree.
    Prune,
    /// A sealed signal for a neighbour of the receiver, or for the receiver itself.
    Relay(Relay),
}

/// A sealed signal on its way through a common neighbour (PROTOCOL §8.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relay {
    /// Who sends it.
    pub from: DeviceId,
    /// Its session on the mesh.
    pub from_session: SessionId,
    /// For whom.
    pub to: DeviceId,
    /// The receiver's session on the mesh.
    pub to_session: SessionId,
    /// As in a signal through the server.
    pub body: ByteVec,
}

cbor::elements! { Relay { 0: from, 1: from_session, 2: to, 3: to_session, 4: body } }

impl Encode for Message {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Know(known) => only(writer, 0, known),
            Self::Pull(known) => only(writer, 1, known),
            Self::Batch { items, more } => {
                variant(writer, 2, 2);
                items.encode(writer);
                more.encode(writer);
            }
            Self::Push(items) => only(writer, 3, items),
            Self::Have(ids) => only(writer, 4, ids),
            Self::Graft(ids) => only(writer, 5, ids),
            Self::Prune => variant(writer, 6, 0),
            Self::Relay(relay) => only(writer, 7, relay),
        }
    }
}

fn only(writer: &mut Writer, kind: u64, member: &impl Encode) {
    variant(writer, kind, 1);
    member.encode(writer);
}

impl Decode<'_> for Message {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        reader.tuple(2)?;
        Ok(match reader.integer()? {
            0 => Self::Know(reader.only()?),
            1 => Self::Pull(reader.only()?),
            2 => return cbor::take!(reader, false, { 0: items, 1: more }, Self::Batch),
            3 => Self::Push(reader.only()?),
            4 => Self::Have(reader.only()?),
            5 => Self::Graft(reader.only()?),
            6 => {
                reader.skip()?;
                Self::Prune
            }
            7 => Self::Relay(reader.only()?),
            _ => return Err(Malformed),
        })
    }
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
