//! Sessions and rooms, in maps that many clients' tasks use at once.
//!
//! Lock order: a room's shard, then a session's shard, then an outbox.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use symbolon_core::id::{SessionId, Topic};
use symbolon_core::rendezvous::cluster::Elsewhere;
use symbolon_core::rendezvous::{Notice, Rate, RoomFull, TopicState};
use symbolon_core::signal::{Bytes, Encoded, RefusalCode, Relayed, ServerMessage};
use symbolon_core::time::Now;

use crate::cluster::link::{Deed, Link};
use crate::metrics::Metrics;
use crate::outbox::{Due, Outbox};

/// Why a client is not let into a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotEntered {
    /// The room, or the server, has no place.
    Full,
    /// Too much happens in the room.
    Busy,
}

/// Who is connected, who is signed in, and who is in which room.
#[derive(Debug)]
pub(crate) struct Registry {
    clients_per_room: usize,
    most_rooms: usize,
    room_enters: Rate,
    /// To the other servers, if there are any.
    link: Option<Arc<Link>>,
    /// How many rooms there are; the map would have to be locked to count them.
    room_count: AtomicUsize,
    sessions: DashMap<SessionId, Arc<Outbox>>,
    rooms: DashMap<Topic, TopicState>,
    /// Every connection, signed in or not, to tell all that the server stops.
    open: DashMap<u64, Arc<Outbox>>,
    next: AtomicU64,
    metrics: Arc<Metrics>,
    stopping: AtomicBool,
}

impl Registry {
    pub(crate) fn new(
        clients_per_room: usize,
        most_rooms: usize,
        room_enters: Rate,
        link: Option<Arc<Link>>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            clients_per_room,
            most_rooms,
            room_enters,
            link,
            room_count: AtomicUsize::new(0),
            sessions: DashMap::new(),
            rooms: DashMap::new(),
            open: DashMap::new(),
            next: AtomicU64::new(0),
            metrics,
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

    /// Connections, those signed in, and rooms.
    pub(crate) fn counts(&self) -> [usize; 3] {
        [self.open.len(), self.sessions.len(), self.room_count.load(Ordering::Relaxed)]
    }

    /// Bytes that wait for the client for which most wait, and how many clients wait for any.
    pub(crate) fn backlog(&self) -> (usize, usize) {
        let waiting = self.open.iter().map(|outbox| outbox.waiting()).filter(|bytes| *bytes > 0);
        waiting.fold((0, 0), |(most, clients), bytes| (most.max(bytes), clients + 1))
    }

    /// Nobody is connected.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Tells all who are signed in that the server stops after so many seconds, and those to come that it stops now.
    /// Gives all connections, to be closed in time.
    pub(crate) fn drain(&self, drain_after: u64) -> Vec<Arc<Outbox>> {
        self.stopping.store(true, Ordering::SeqCst);
        let text = ServerMessage::Drain { drain_after }.encode();
        let mut due = Due::default();
        for outbox in &self.sessions {
            outbox.push_text(&text, &mut due);
        }
        due.flush();
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

    /// Lets a client in; says how many are told of it.
    pub(crate) fn enter(
        &self,
        topic: Topic,
        session: SessionId,
        announcement: Bytes,
        now: Now,
        due: &mut Due,
    ) -> Result<usize, NotEntered> {
        let mut room = match self.rooms.entry(topic) {
            Entry::Occupied(room) => room.into_ref(),
            Entry::Vacant(place) => {
                if self.room_count.fetch_add(1, Ordering::Relaxed) >= self.most_rooms {
                    self.room_count.fetch_sub(1, Ordering::Relaxed);
                    return Err(NotEntered::Full);
                }
                place.insert(TopicState::new(topic))
            }
        };
        if !room.handle_knock(self.room_enters, now) {
            return Err(NotEntered::Busy);
        }
        let deed = self.link.is_some().then(|| Deed::Enter(topic, session, announcement.clone()));
        room.handle_enter(session, announcement, self.clients_per_room)
            .map_err(|RoomFull| NotEntered::Full)?;
        self.push(deed);
        self.tell(&mut room, due);
        Ok(room.len())
    }

    pub(crate) fn leave(&self, topic: Topic, session: SessionId, due: &mut Due) {
        if let Entry::Occupied(mut room) = self.rooms.entry(topic) {
            room.get_mut().handle_leave(session);
            self.push(Some(Deed::Leave(topic, session)));
            self.tell(room.get_mut(), due);
            if room.get().is_empty() {
                room.remove();
                self.room_count.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn relay(&self, topic: Topic, from: SessionId, to: SessionId, body: Encoded, due: &mut Due) {
        let Some(room) = self.rooms.get(&topic) else { return };
        match room.relay(from, to, body) {
            Ok(relayed) => self.deliver(&relayed, due),
            Err(body) => {
                if let Some(link) = &self.link
                    && room.is_elsewhere(to)
                {
                    link.push(Deed::Signal { topic, from, to, body: Bytes::from(&body) });
                }
            }
        }
    }

    /// What the cluster says of a room.
    pub(crate) fn elsewhere(&self, topic: Topic, what: Elsewhere, due: &mut Due) {
        if let Some(mut room) = self.rooms.get_mut(&topic) {
            room.handle_elsewhere(what);
            self.tell(&mut room, due);
        }
    }

    /// A signal from another server.
    pub(crate) fn relay_in(&self, topic: Topic, from: SessionId, to: SessionId, body: &Bytes, due: &mut Due) {
        if let Some(room) = self.rooms.get(&topic)
            && let Some(relayed) = room.relay_in(from, to, Encoded::from(body))
        {
            self.deliver(&relayed, due);
        }
    }

    /// The way to the other servers, if there are any.
    pub(crate) fn link(&self) -> Option<&Arc<Link>> {
        self.link.as_ref()
    }

    /// The room is locked by the caller.
    fn push(&self, deed: Option<Deed>) {
        if let (Some(link), Some(deed)) = (&self.link, deed) {
            link.push(deed);
        }
    }

    fn deliver(&self, relayed: &Relayed, due: &mut Due) {
        if let Some(outbox) = self.sessions.get(&relayed.to) {
            outbox.push_relayed(relayed, due);
            self.metrics.relayed(relayed.body.len());
        }
    }

    /// The room is locked by the caller, so all its clients hear of what happens in it in one order.
    fn tell(&self, room: &mut TopicState, due: &mut Due) {
        while let Some(Notice { to, message }) = room.poll_output() {
            let text = message.encode();
            for session in &to {
                if let Some(outbox) = self.sessions.get(session) {
                    outbox.push_text(&text, due);
                }
            }
        }
    }
}
