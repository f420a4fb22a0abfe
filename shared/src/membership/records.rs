//! The records of one room: a hash DAG with the genesis as its root.

use crate::id::{RecordId, RoomId};
use crate::record::{Body, Record};
use crate::sorted::{Map, Set};

/// How many records may wait for their predecessors. More come again with the next exchange of frontiers.
const MAX_WAITING: usize = 1024;

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inserted {
    /// It counts now, and so do others that had waited for it: all of them, in an order that has parents first.
    New(Vec<Record>),
    /// It was here already.
    Known,
    /// Its predecessors are missing; it waits for them.
    Waiting,
    /// It belongs to another room, or to none.
    Foreign,
}

/// The records of one room. Every record's predecessors are in here too.
#[derive(Debug, Clone)]
pub struct Records {
    room: RoomId,
    genesis: Record,
    by_id: Map<RecordId, Record>,
    /// Those that no other record follows.
    heads: Set<RecordId>,
    waiting: Map<RecordId, Record>,
}

impl Records {
    /// A room with nothing but its genesis; `None` if the record is no genesis.
    pub fn new(genesis: Record) -> Option<Self> {
        let Body::Genesis(_) = genesis.body() else { return None };
        let room = genesis.room()?;
        Some(Self {
            room,
            by_id: Map::from_iter([(genesis.id(), genesis.clone())]),
            heads: Set::from_iter([genesis.id()]),
            genesis,
            waiting: Map::new(),
        })
    }

    /// An excerpt, whose records may lack predecessors: enough to follow a chain of vouchers, not to build on.
    pub(crate) fn unlinked(genesis: Record, excerpt: &[Record]) -> Self {
        let room = RoomId::from_bytes(*genesis.id().as_bytes());
        let by_id = excerpt.iter().map(|record| (record.id(), record.clone())).collect();
        let mut this = Self { room, genesis, by_id, heads: Set::new(), waiting: Map::new() };
        let unfit: Vec<RecordId> =
            this.by_id.values().filter(|record| !this.fits(record)).map(Record::id).collect();
        for id in unfit {
            this.by_id.remove(&id);
        }
        this
    }

    /// The room.
    pub fn room(&self) -> RoomId {
        self.room
    }

    /// The first record.
    pub fn genesis(&self) -> &Record {
        &self.genesis
    }

    /// The record with this id.
    pub fn get(&self, id: &RecordId) -> Option<&Record> {
        self.by_id.get(id)
    }

    /// All records, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Record> {
        self.by_id.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there are none; never so.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// The newest records: those to name as `prev`.
    pub fn heads(&self) -> Vec<RecordId> {
        self.heads.iter().copied().collect()
    }

    /// All that the record follows, itself included.
    pub fn past(&self, id: &RecordId) -> Set<RecordId> {
        self.closure([*id])
    }

    /// The records that someone who knows everything up to `heads` does not know, parents first. Ids that are not
    /// known here are passed over.
    pub fn missing(&self, heads: &[RecordId]) -> Vec<Record> {
        let known = self.closure(heads.iter().copied());
        let mut out = Vec::new();
        let mut done = known;
        let mut stack: Vec<(RecordId, bool)> = self.heads.iter().map(|id| (*id, false)).collect();
        while let Some((id, children_done)) = stack.pop() {
            if children_done {
                out.extend(self.by_id.get(&id).cloned());
            } else if done.insert(id) {
                stack.push((id, true));
                if let Some(record) = self.by_id.get(&id) {
                    stack.extend(record.parents().map(|parent| (parent, false)));
                }
            }
        }
        out
    }

    /// Adds a record whose signatures were checked by decoding it.
    pub fn insert(&mut self, record: Record) -> Inserted {
        self.insert_if(record, |_, _| true)
    }

    /// Adds a record, and those that waited for it, as far as each `counts` by the records before it.
    pub fn insert_if(&mut self, record: Record, counts: impl Fn(&Self, &Record) -> bool) -> Inserted {
        if record.room() != Some(self.room) || matches!(record.body(), Body::Device(_)) {
            return Inserted::Foreign;
        }
        if self.by_id.contains_key(&record.id()) {
            return Inserted::Known;
        }
        if !self.ready(&record) {
            if self.waiting.len() >= MAX_WAITING {
                // What waits for something that never comes must not keep out what does.
                self.waiting.clear();
            }
            self.waiting.insert(record.id(), record);
            return Inserted::Waiting;
        }
        if !self.fits(&record) || !counts(self, &record) {
            return Inserted::Foreign;
        }
        let mut added = vec![record.clone()];
        self.add(record);
        while let Some(id) = self.waiting.iter().find(|(_, record)| self.ready(record)).map(|(id, _)| *id) {
            let Some(record) = self.waiting.remove(&id) else { break };
            if self.fits(&record) && counts(self, &record) {
                added.push(record.clone());
                self.add(record);
            }
        }
        Inserted::New(added)
    }

    /// An acceptance must be signed with the key of its invite, and by the device it is bound to.
    fn fits(&self, record: &Record) -> bool {
        let Body::Acceptance(acceptance) = record.body() else { return true };
        let Some(Body::Invite(invite)) = self.get(&acceptance.invite).map(Record::body) else { return false };
        invite.bound.is_none_or(|bound| bound == acceptance.device.device)
            && acceptance.redeems(invite).is_ok()
    }

    fn ready(&self, record: &Record) -> bool {
        // A record without predecessors other than the genesis would hang in the air.
        let mut parents = record.parents().peekable();
        parents.peek().is_some() && parents.all(|parent| self.by_id.contains_key(&parent))
    }

    fn add(&mut self, record: Record) {
        for parent in record.parents() {
            self.heads.remove(&parent);
        }
        self.heads.insert(record.id());
        self.by_id.insert(record.id(), record);
    }

    fn closure(&self, from: impl IntoIterator<Item = RecordId>) -> Set<RecordId> {
        let mut out = Set::new();
        let mut stack: Vec<RecordId> = from.into_iter().collect();
        while let Some(id) = stack.pop() {
            if let Some(record) = self.by_id.get(&id)
                && out.insert(id)
            {
                stack.extend(record.parents());
            }
        }
        out
    }
}
