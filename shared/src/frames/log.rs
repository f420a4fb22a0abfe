//! The chains of one room.

use std::collections::HashMap;
use std::sync::Arc;

use super::{ChainId, Frame, Frontier, MAX_SEEN};
use crate::crypto::keys::SignKey;
use crate::id::{DeviceId, FrameId, RoomId};
use crate::sorted::{Map, Set};
use crate::update::{self, Checked, Known, Shape, UpdateError};

/// How many bytes of frames may wait for what they depend on. More come again with the next exchange of frontiers.
const MAX_WAITING_BYTES: usize = 16 * 1024 * 1024;

/// What became of a frame.
#[derive(Debug, Clone)]
pub enum Inserted {
    /// It may be applied now, and so may others that had waited for it: all of them, causes first.
    New(Vec<Frame>),
    /// It was here already.
    Known,
    /// Something it depends on is missing; it waits.
    Waiting,
    /// Its author broke the rules with it.
    Refused(Misbehaviour),
}

/// What an author did that no honest program does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misbehaviour {
    /// Two different frames with one sequence number.
    #[error("signed two different changes with one number")]
    Equivocation,
    /// An update that the bounded check refuses.
    #[error("signed a change that breaks the rules: {0}")]
    Update(#[from] UpdateError),
    /// A frame for another room, or one whose chain has the client id of another.
    #[error("signed a change that belongs elsewhere")]
    Foreign,
}

struct Chain {
    entries: Vec<Entry>,
    /// Cut off: its author was caught.
    cut: bool,
}

struct Entry {
    frame: Frame,
    /// Per chain, by its index, how many frames are in this frame's past; itself included.
    vector: Arc<[u32]>,
    /// The author's next clock after it.
    end_clock: u64,
}

/// The chains of one room, each frame of which passed every check.
pub struct Log {
    room: RoomId,
    chains: Vec<Chain>,
    index: Map<ChainId, usize>,
    by_client: Map<u64, usize>,
    by_id: HashMap<FrameId, (usize, u32)>,
    /// All frames in the order they were accepted: causes first.
    order: Vec<(usize, u32)>,
    /// Waiting for the frame with this id.
    waiting: HashMap<FrameId, Vec<Frame>>,
    /// Waiting for their author to be a member.
    strangers: HashMap<DeviceId, Vec<Frame>>,
    waiting_bytes: usize,
    /// What the accepted updates made, to hold the next one against.
    shape: Shape,
}

impl Log {
    /// An empty log.
    pub fn new(room: RoomId) -> Self {
        Self {
            room,
            chains: Vec::new(),
            index: Map::new(),
            by_client: Map::new(),
            by_id: HashMap::new(),
            order: Vec::new(),
            waiting: HashMap::new(),
            strangers: HashMap::new(),
            waiting_bytes: 0,
            shape: Shape::default(),
        }
    }

    /// How many frames there are.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The frame with this id.
    pub fn get(&self, id: &FrameId) -> Option<&Frame> {
        let (chain, seq) = self.by_id.get(id)?;
        Some(&self.chains[*chain].entries[*seq as usize].frame)
    }

    /// The `n`th accepted frame, from 0.
    pub fn nth(&self, n: usize) -> Option<&Frame> {
        let (chain, seq) = self.order.get(n)?;
        Some(&self.chains[*chain].entries[*seq as usize].frame)
    }

    /// How many frames of each chain there are.
    pub fn frontier(&self) -> Frontier {
        Frontier(self.index.iter().map(|(id, ix)| (*id, self.chains[*ix].entries.len() as u32)).collect())
    }

    /// How many frames of this chain there are.
    pub fn count(&self, chain: &ChainId) -> u32 {
        self.index.get(chain).map_or(0, |ix| self.chains[*ix].entries.len() as u32)
    }

    /// The smallest incarnation of `author` that nobody has seen a frame of.
    pub fn fresh_incarnation(&self, author: &DeviceId) -> u32 {
        let used = self.index.keys().filter(|chain| chain.author == *author);
        used.map(|chain| chain.incarnation + 1).max().unwrap_or(0)
    }

    /// Adds a frame whose signature was checked by decoding it. `counts` says whose changes count.
    pub fn insert(&mut self, frame: Frame, counts: impl Fn(&DeviceId) -> bool) -> Inserted {
        let mut accepted = Vec::new();
        let first = self.insert_one(frame, &counts, &mut accepted);
        if let Inserted::New(_) = first { self.cascade(&counts, accepted) } else { first }
    }

    /// Tries again what waited for its author to be a member.
    pub fn membership_changed(&mut self, counts: impl Fn(&DeviceId) -> bool) -> Vec<Frame> {
        let ready: Set<DeviceId> = self.strangers.keys().filter(|device| counts(device)).copied().collect();
        let mut accepted = Vec::new();
        for device in ready {
            for frame in self.strangers.remove(&device).unwrap_or_default() {
                self.waiting_bytes -= frame.wire().len();
                self.insert_one(frame, &counts, &mut accepted);
            }
        }
        match self.cascade(&counts, accepted) {
            Inserted::New(frames) => frames,
            _ => Vec::new(),
        }
    }

    /// Accepts, after `accepted`, all that waited for them.
    fn cascade(&mut self, counts: &dyn Fn(&DeviceId) -> bool, mut accepted: Vec<Frame>) -> Inserted {
        let mut next = 0;
        while next < accepted.len() {
            for frame in self.waiting.remove(&accepted[next].id()).unwrap_or_default() {
                self.waiting_bytes -= frame.wire().len();
                // A refusal here is the waiting author's fault, not of whoever sent the missing piece.
                self.insert_one(frame, counts, &mut accepted);
            }
            next += 1;
        }
        Inserted::New(accepted)
    }

    fn insert_one(
        &mut self,
        frame: Frame,
        counts: &dyn Fn(&DeviceId) -> bool,
        accepted: &mut Vec<Frame>,
    ) -> Inserted {
        if frame.room() != self.room {
            return Inserted::Refused(Misbehaviour::Foreign);
        }
        if self.by_id.contains_key(&frame.id()) {
            return Inserted::Known;
        }
        if !counts(&frame.chain().author) {
            return self.wait(frame, None);
        }
        let ix = self.index.get(&frame.chain()).copied();
        let entries = ix.map_or(&[][..], |ix| &self.chains[ix].entries);
        if ix.is_some_and(|ix| self.chains[ix].cut) {
            return Inserted::Refused(Misbehaviour::Equivocation);
        }
        if (frame.seq as usize) < entries.len() || (frame.seq == 0) != frame.prev.is_none() {
            return self.cut(ix, Misbehaviour::Equivocation);
        }
        if let Some(prev) = frame.prev.filter(|prev| !self.by_id.contains_key(prev)) {
            if frame.seq as usize == entries.len() {
                // It follows a frame other than the one we have under that number.
                return self.cut(ix, Misbehaviour::Equivocation);
            }
            return self.wait(frame, Some(prev));
        }
        if entries.last().map(|entry| entry.frame.id()) != frame.prev {
            return self.cut(ix, Misbehaviour::Equivocation);
        }
        if let Some(missing) = frame.seen.iter().find(|id| !self.by_id.contains_key(id)).copied() {
            return self.wait(frame, Some(missing));
        }
        let (past, start_clock) = self.past(ix, &frame);
        let checked = match self.check(&past, &frame, start_clock) {
            Ok(checked) => checked,
            Err(misbehaviour) => return self.cut(ix, misbehaviour),
        };
        let Some(ix) = ix.or_else(|| self.open_chain(frame.chain())) else {
            return Inserted::Refused(Misbehaviour::Foreign);
        };
        self.accept(ix, frame.clone(), past, start_clock, checked);
        accepted.push(frame);
        Inserted::New(Vec::new())
    }

    /// The next frame of one of our own chains. The update must be what the Y.Doc of that chain emitted next.
    pub fn compose(&mut self, key: &SignKey, incarnation: u32, update: &[u8]) -> Result<Frame, Misbehaviour> {
        let chain = ChainId { author: key.device(), incarnation };
        let ix = self.index.get(&chain).copied().or_else(|| self.open_chain(chain));
        let ix = ix.ok_or(Misbehaviour::Foreign)?;
        let seen = self.news(ix);
        let entries = &self.chains[ix].entries;
        let prev = entries.last().map(|entry| entry.frame.id());
        let frame = Frame::sign(key, self.room, incarnation, entries.len() as u32, prev, seen, update);
        let (past, start_clock) = self.past(Some(ix), &frame);
        let checked = self.check(&past, &frame, start_clock)?;
        self.accept(ix, frame.clone(), past, start_clock, checked);
        Ok(frame)
    }

    /// The newest frames of those chains that have more than lies in the past of this chain's last frame.
    fn news(&self, ix: usize) -> Vec<FrameId> {
        let past = self.chains[ix].entries.last().map(|entry| &entry.vector[..]).unwrap_or_default();
        let grown = self.chains.iter().enumerate().filter(|(other, chain)| {
            *other != ix && chain.entries.len() > past.get(*other).copied().unwrap_or(0) as usize
        });
        let newest = grown.filter_map(|(_, chain)| chain.entries.last().map(|entry| entry.frame.id()));
        newest.take(MAX_SEEN).collect()
    }

    /// Per chain how many frames lie in the past of `frame`, and its author's next clock.
    fn past(&self, ix: Option<usize>, frame: &Frame) -> (Vec<u32>, u64) {
        let last = ix.and_then(|ix| self.chains[ix].entries.last());
        let mut past = last.map_or_else(Vec::new, |entry| entry.vector.to_vec());
        for id in frame.seen.iter() {
            let Some((chain, seq)) = self.by_id.get(id) else { continue };
            let vector = &self.chains[*chain].entries[*seq as usize].vector;
            if past.len() < vector.len() {
                past.resize(vector.len(), 0);
            }
            past.iter_mut().zip(vector.iter()).for_each(|(mine, theirs)| *mine = (*mine).max(*theirs));
        }
        (past, last.map_or(0, |entry| entry.end_clock))
    }

    /// `None` for a frame without an update.
    fn check(&self, past: &[u32], frame: &Frame, start_clock: u64) -> Result<Option<Checked>, Misbehaviour> {
        if frame.update.is_empty() {
            return Ok(None);
        }
        let known = Past { log: self, past };
        Ok(Some(update::check(&frame.update, frame.chain.client(), start_clock, &known, &self.shape)?))
    }

    fn accept(
        &mut self,
        ix: usize,
        frame: Frame,
        mut vector: Vec<u32>,
        start_clock: u64,
        checked: Option<Checked>,
    ) {
        let end_clock = checked.as_ref().map_or(start_clock, |checked| checked.end_clock);
        if let Some(checked) = checked {
            self.shape.record(checked);
        }
        if vector.len() <= ix {
            vector.resize(ix + 1, 0);
        }
        vector[ix] = frame.seq + 1;
        self.by_id.insert(frame.id(), (ix, frame.seq));
        self.order.push((ix, frame.seq));
        self.chains[ix].entries.push(Entry { frame, vector: vector.into(), end_clock });
    }

    /// `None` if another chain has this one's client id already.
    fn open_chain(&mut self, chain: ChainId) -> Option<usize> {
        let ix = self.chains.len();
        if self.by_client.contains_key(&chain.client()) {
            return None;
        }
        self.by_client.insert(chain.client(), ix);
        self.index.insert(chain, ix);
        self.chains.push(Chain { entries: Vec::new(), cut: false });
        Some(ix)
    }

    fn cut(&mut self, ix: Option<usize>, why: Misbehaviour) -> Inserted {
        if let Some(ix) = ix {
            self.chains[ix].cut = true;
        }
        Inserted::Refused(why)
    }

    fn wait(&mut self, frame: Frame, missing: Option<FrameId>) -> Inserted {
        let bytes = frame.wire().len();
        if self.waiting_bytes + bytes > MAX_WAITING_BYTES {
            // What waits for something that never comes must not keep out what does.
            self.waiting.clear();
            self.strangers.clear();
            self.waiting_bytes = 0;
        }
        {
            let queue = match missing {
                Some(id) => self.waiting.entry(id).or_default(),
                None => self.strangers.entry(frame.chain().author).or_default(),
            };
            if !queue.iter().any(|other| other.id() == frame.id()) {
                queue.push(frame);
                self.waiting_bytes += bytes;
            }
        }
        Inserted::Waiting
    }
}

/// What the author of one frame could refer to.
struct Past<'a> {
    log: &'a Log,
    past: &'a [u32],
}

impl Known for Past<'_> {
    fn clock(&self, client: u64) -> u64 {
        let Some(&ix) = self.log.by_client.get(&client) else { return 0 };
        let frames = self.past.get(ix).copied().unwrap_or(0) as usize;
        let Some(last) = frames.checked_sub(1) else { return 0 };
        self.log.chains[ix].entries.get(last).map_or(0, |entry| entry.end_clock)
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("frames", &self.order.len()).finish_non_exhaustive()
    }
}
