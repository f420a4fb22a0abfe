//! What a node keeps on disk: keys and values in one ordered store (PROTOCOL §9).
//!
//! | key | value |
//! |---|---|
//! | `p` origin | the server's key |
//! | `r` room `m` | secret, servers, incarnations |
//! | `r` room `g` number (8 bytes) | the membership record accepted as that number |
//! | `r` room `h` number (8 bytes) | the frame accepted as that number |

use super::io::Output;
use super::room::Room;
use super::{Ctx, Node};
use crate::cbor;
use crate::crypto::keys::{RoomSecret, SignKey};
use crate::frames::Frame;
use crate::id::{RoomId, ServerKey};
use crate::membership::Records;
use crate::origin::Origin;
use crate::record::Record;
use crate::sorted::Map;
use crate::time::Now;

const PIN: u8 = b'p';
const ROOM: u8 = b'r';
const META: u8 = b'm';
const RECORD: u8 = b'g';
const FRAME: u8 = b'h';

/// What is stored is not what this program stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// An entry does not decode.
    #[error("the entry {0} is damaged")]
    Damaged(String),
    /// A room's first record or its secret is missing.
    #[error("the room {0} is incomplete")]
    Incomplete(RoomId),
}

/// A room's own entry.
pub(super) struct Meta {
    pub(super) secret: [u8; 32],
    pub(super) servers: Vec<Origin>,
    pub(super) incarnation: u32,
    /// Further incarnations, for further Y.Docs that are open at once.
    pub(super) further: Option<Vec<u32>>,
}

cbor::members! { Meta { 0: secret, 1: servers, 2: incarnation, 3: further } }

/// What the keys of everything that belongs to a room begin with.
pub fn room_prefix(room: &RoomId) -> Vec<u8> {
    [&[ROOM][..], room.as_bytes()].concat()
}

pub(super) fn persist_pin(origin: &Origin, key: &ServerKey) -> Output {
    Output::Persist {
        key: [&[PIN][..], origin.to_string().as_bytes()].concat(),
        value: key.as_bytes().to_vec(),
    }
}

pub(super) fn persist_meta(room: &RoomId, meta: &Meta) -> Output {
    Output::Persist { key: [&room_prefix(room)[..], &[META]].concat(), value: cbor::encode(meta) }
}

pub(super) fn persist_record(room: &RoomId, number: usize, record: &Record) -> Output {
    Output::Persist { key: numbered(room, RECORD, number), value: record.wire().to_vec() }
}

pub(super) fn persist_frame(room: &RoomId, number: usize, frame: &Frame) -> Output {
    Output::Persist { key: numbered(room, FRAME, number), value: frame.wire().to_vec() }
}

fn numbered(room: &RoomId, kind: u8, number: usize) -> Vec<u8> {
    [&room_prefix(room)[..], &[kind], &(number as u64).to_be_bytes()].concat()
}

/// One room's entries, gathered.
#[derive(Default)]
struct Entries<'a> {
    meta: Option<&'a [u8]>,
    records: Vec<&'a [u8]>,
    frames: Vec<&'a [u8]>,
}

pub(super) fn restore<'a>(
    node: &mut Node,
    entries: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
    now: Now,
) -> Result<(), StoreError> {
    let mut rooms: Map<RoomId, Entries<'a>> = Map::new();
    for (key, value) in entries {
        let damaged = || StoreError::Damaged(hex(key));
        match key.split_first() {
            Some((&PIN, origin)) => {
                let origin = std::str::from_utf8(origin).ok().and_then(|text| text.parse().ok());
                let value: [u8; 32] = value.try_into().map_err(|_| damaged())?;
                node.servers.pin(origin.ok_or_else(damaged)?, ServerKey::from_bytes(value));
            }
            Some((&ROOM, rest)) => {
                let (room, rest) = rest.split_first_chunk::<32>().ok_or_else(damaged)?;
                let entries = rooms.entry(RoomId::from_bytes(*room)).or_default();
                match rest.first() {
                    Some(&META) => entries.meta = Some(value),
                    Some(&RECORD) => entries.records.push(value),
                    Some(&FRAME) => entries.frames.push(value),
                    _ => return Err(damaged()),
                }
            }
            _ => return Err(damaged()),
        }
    }
    for (id, entries) in rooms {
        // Without its own entry a room was never joined to the end.
        let Some(meta) = entries.meta else {
            node.out.push_back(Output::Forget { room: id });
            continue;
        };
        restore_room(node, id, meta, &entries, now)?;
    }
    Ok(())
}

fn restore_room(
    node: &mut Node,
    id: RoomId,
    meta: &[u8],
    entries: &Entries<'_>,
    now: Now,
) -> Result<(), StoreError> {
    let damaged = |what: &str| StoreError::Damaged(format!("{what} of room {id}"));
    let meta: Meta = cbor::decode(meta).map_err(|_| damaged("the secret"))?;
    let mut records: Option<Records> = None;
    for wire in &entries.records {
        let record = Record::decode(wire).map_err(|_| damaged("a record"))?;
        match &mut records {
            Some(records) => {
                records.insert(record);
            }
            None => records = Records::new(record).filter(|records| records.room() == id),
        }
    }
    let records = records.ok_or(StoreError::Incomplete(id))?;
    let mesh = SignKey::generate(&mut node.rng).session();
    let secret = RoomSecret::from_bytes(meta.secret);
    let mut room = Room::new(id, secret, meta.servers, mesh, node.started_ms);
    let mut ctx = Ctx {
        author: &node.author,
        rng: &mut node.rng,
        servers: &mut node.servers,
        out: &mut node.out,
        next_link: &mut node.next_link,
        now,
    };
    let frames: Result<Vec<Frame>, _> =
        entries.frames.iter().map(|wire| Frame::decode_stored(wire)).collect();
    let frames = frames.map_err(|_| damaged("a change"))?;
    let incarnations = std::iter::once(meta.incarnation).chain(meta.further.unwrap_or_default());
    if !room.restore(records, incarnations.collect(), frames, &mut ctx) {
        return Err(damaged("the order of changes"));
    }
    node.rooms.insert(id, room);
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().take(48).fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}
