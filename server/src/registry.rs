//! Sessions and rooms, in maps that many clients' tasks use at once.
//!
//! Lock order: a room's shard, then a session's shard, then an outbox.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use symbolon_core::id::{SessionId, Topic};
use symbolon_core::rendezvous::{Notice, RoomFull, TopicState};
use symbolon_core::signal::{Bytes, RefusalCode, ServerMessage};

use crate::outbox::Outbox;
use crate::socket::Outgoing;

/// Who is connected, who is signed in, and who is in which room.
#[derive(Debug)]
pub(crate) struct Registry {
    clients_per_room: usize,
    sessions: DashMap<SessionId, Arc<Outbox>>,
    rooms: DashMap<Topic, TopicState>,
    /// Every connection, signed in or not, to tell all that the server stops.
    open: DashMap<u64, Arc<Outbox>>,
    next: AtomicU64,
    stopping: AtomicBool,
}

impl Registry {
    pub(crate) fn new(clients_per_room: usize) -> Self {
        Self {
            clients_per_room,
            sessions: DashMap::new(),
            rooms: DashMap::new(),
            open: DashMap::new(),
            next: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
        }
    }

    /// A connection has come; the number is for [`closed`](Self::closed).
    pub(crate) fn opened(&self, outbox: &Arc<Outbox>) -> u64 {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.open.insert(number, Arc::clone(outbox));
        if self.stopping.load(Ordering::SeqCst) {
            outbox.stop();
        }
        number
    }

    pub(crate) fn closed(&self, number: u64) {
        self.open.remove(&number);
    }

    /// Tells every connection, those to come included.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        for outbox in &self.open {
            outbox.stop();
        }
    }

    /// Whether new connections are told that the server stops.
    pub(crate) fn stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Nobody is connected.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Tells all who are signed in that the server stops after so many seconds, and those to come that it stops now.
    /// Gives all connections, to be closed in time.
    pub(crate) fn drain(&self, drain_after: u64) -> Vec<Arc<Outbox>> {
        self.stopping.store(true, Ordering::SeqCst);
        let text = Outgoing::text(ServerMessage::Drain { drain_after }.encode());
        for outbox in &self.sessions {
            outbox.push(text.clone());
        }
        self.open.iter().map(|outbox| Arc::clone(&outbox)).collect()
    }

    /// Signs a session in, unless it is signed in already.
    pub(crate) fn claim(&self, session: SessionId, outbox: &Arc<Outbox>) -> Result<(), RefusalCode> {
        match self.sessions.entry(session) {
            Entry::Occupied(_) => Err(RefusalCode::SessionInUse),
            Entry::Vacant(place) => {
                place.insert(Arc::clone(outbox));
                Ok(())
            }
        }
    }

    pub(crate) fn release(&self, session: SessionId) {
        self.sessions.remove(&session);
    }

    pub(crate) fn enter(
        &self,
        topic: Topic,
        session: SessionId,
        announcement: Bytes,
    ) -> Result<(), RoomFull> {
        let mut room = self.rooms.entry(topic).or_insert_with(|| TopicState::new(topic));
        let entered = room.handle_enter(session, announcement, self.clients_per_room);
        self.tell(&mut room);
        entered
    }

    pub(crate) fn leave(&self, topic: Topic, session: SessionId) {
        if let Entry::Occupied(mut room) = self.rooms.entry(topic) {
            room.get_mut().handle_leave(session);
            self.tell(room.get_mut());
            if room.get().is_empty() {
                room.remove();
            }
        }
    }

    pub(crate) fn relay(&self, topic: Topic, from: SessionId, to: SessionId, body: Bytes) {
        if let Some(room) = self.rooms.get(&topic)
            && let Some(notice) = room.relay(from, to, body)
        {
            self.deliver(&notice);
        }
    }

    /// The room is locked by the caller, so all its clients hear of what happens in it in one order.
    fn tell(&self, room: &mut TopicState) {
        while let Some(notice) = room.poll_output() {
            self.deliver(&notice);
        }
    }

    fn deliver(&self, notice: &Notice) {
        let text = Outgoing::text(notice.message.encode());
        for session in &notice.to {
            if let Some(outbox) = self.sessions.get(session) {
                outbox.push(text.clone());
            }
        }
    }
}
