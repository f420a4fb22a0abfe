//! A whole server for one thread: what the simulator and tests drive.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::connection::{CloseReason, Connection, ConnectionOutput, Violation};
use super::terms::Terms;
use super::topic::TopicState;
use crate::crypto::Rng;
use crate::id::{Nonce, SessionId, Topic};
use crate::signal::{RefusalCode, ServerMessage};
use crate::time::Now;

/// The driver's name for one connection; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// What the driver is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RendezvousOutput {
    /// Send this.
    Send(ConnectionId, ServerMessage),
    /// Send a WebSocket ping.
    Ping(ConnectionId),
    /// Close, after what was to be sent. The connection is forgotten.
    Close(ConnectionId, CloseReason),
}

#[derive(Debug)]
struct Client {
    connection: Connection,
    timeout: Option<Duration>,
}

/// Connections, sessions and rooms of one server.
///
/// After every `handle_*`, drain [`poll_output`](Self::poll_output) and arm one timer for
/// [`poll_timeout`](Self::poll_timeout). The same seed and the same calls give the same outputs.
#[derive(Debug)]
pub struct Rendezvous {
    terms: Arc<Terms>,
    rng: Rng,
    clients: BTreeMap<ConnectionId, Client>,
    sessions: BTreeMap<SessionId, ConnectionId>,
    rooms: BTreeMap<Topic, TopicState>,
    timeouts: BTreeSet<(Duration, ConnectionId)>,
    outputs: VecDeque<RendezvousOutput>,
}

impl Rendezvous {
    /// A server without clients.
    pub fn new(terms: Terms, rng: Rng) -> Self {
        Self {
            terms: Arc::new(terms),
            rng,
            clients: BTreeMap::new(),
            sessions: BTreeMap::new(),
            rooms: BTreeMap::new(),
            timeouts: BTreeSet::new(),
            outputs: VecDeque::new(),
        }
    }

    /// How many connections, signed in or not.
    pub fn connections(&self) -> usize {
        self.clients.len()
    }

    /// How many rooms have somebody in them.
    pub fn rooms(&self) -> usize {
        self.rooms.len()
    }

    /// Somebody connected. A second connection of the same name is ignored.
    pub fn handle_connect(&mut self, id: ConnectionId, now: Now) {
        let nonce = Nonce::from_bytes(self.rng.bytes());
        let terms = &self.terms;
        self.clients.entry(id).or_insert_with(|| Client {
            connection: Connection::new(Arc::clone(terms), nonce, now),
            timeout: None,
        });
        self.settle(id, now);
    }

    /// A text frame arrived.
    pub fn handle_text(&mut self, id: ConnectionId, text: &str, now: Now) {
        self.with(id, now, |connection| connection.handle_text(text, now));
    }

    /// A ping or a pong arrived.
    pub fn handle_alive(&mut self, id: ConnectionId, now: Now) {
        self.with(id, now, |connection| connection.handle_alive(now));
    }

    /// Something arrived that is no text frame.
    pub fn handle_violation(&mut self, id: ConnectionId, violation: Violation, now: Now) {
        self.with(id, now, |connection| connection.handle_violation(violation));
    }

    /// The connection is gone.
    pub fn handle_gone(&mut self, id: ConnectionId, now: Now) {
        self.with(id, now, Connection::handle_gone);
        self.forget(id);
    }

    /// The server is stopping.
    pub fn handle_shutdown(&mut self, now: Now) {
        let ids: Vec<_> = self.clients.keys().copied().collect();
        for id in ids {
            self.with(id, now, Connection::handle_shutdown);
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Now) {
        while let Some((at, id)) = self.timeouts.first().copied().filter(|(at, _)| *at <= now.monotonic) {
            self.with(id, now, |connection| connection.handle_timeout(now));
            // A machine that asks for the same moment again would hold up all others.
            if self.timeouts.remove(&(at, id))
                && let Some(client) = self.clients.get_mut(&id)
            {
                client.timeout = None;
            }
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), on the monotonic clock.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.timeouts.first().map(|(at, _)| *at)
    }

    /// What to do next, oldest first.
    pub fn poll_output(&mut self) -> Option<RendezvousOutput> {
        self.outputs.pop_front()
    }

    fn with(&mut self, id: ConnectionId, now: Now, handle: impl FnOnce(&mut Connection)) {
        if let Some(client) = self.clients.get_mut(&id) {
            handle(&mut client.connection);
            self.settle(id, now);
        }
    }

    /// Carries what the connection puts out to where it belongs.
    fn settle(&mut self, id: ConnectionId, now: Now) {
        while let Some(client) = self.clients.get_mut(&id)
            && let Some(output) = client.connection.poll_output()
        {
            match output {
                ConnectionOutput::Send(message) => {
                    self.outputs.push_back(RendezvousOutput::Send(id, message));
                }
                ConnectionOutput::Ping => self.outputs.push_back(RendezvousOutput::Ping(id)),
                ConnectionOutput::Claim(session) => {
                    let owner = *self.sessions.entry(session).or_insert(id);
                    let answer = if owner == id { Ok(()) } else { Err(RefusalCode::SessionInUse) };
                    client.connection.handle_claim(answer, now);
                }
                ConnectionOutput::Release(session) => {
                    self.sessions.remove(&session);
                }
                ConnectionOutput::Enter { topic, session, announcement } => {
                    let room = self.rooms.entry(topic).or_insert_with(|| TopicState::new(topic));
                    let limit = self.terms.limits.clients_per_room;
                    if !room.handle_knock(self.terms.room_enters, now) {
                        client.connection.handle_crowded();
                    } else if room.handle_enter(session, announcement, limit).is_err() {
                        client.connection.handle_full(topic);
                    }
                    self.tell(topic);
                }
                ConnectionOutput::Leave { topic, session } => {
                    if let Some(room) = self.rooms.get_mut(&topic) {
                        room.handle_leave(session);
                    }
                    self.tell(topic);
                }
                ConnectionOutput::Relay { topic, from, to, body } => {
                    let relayed = self.rooms.get(&topic).and_then(|room| room.relay(from, to, body).ok());
                    if let Some(relayed) = relayed
                        && let Some(to) = self.sessions.get(&relayed.to)
                    {
                        self.outputs.push_back(RendezvousOutput::Send(*to, relayed.message()));
                    }
                }
                ConnectionOutput::Close(reason) => {
                    self.outputs.push_back(RendezvousOutput::Close(id, reason));
                    return self.forget(id);
                }
            }
        }
        self.arm(id);
    }

    fn tell(&mut self, topic: Topic) {
        let Some(room) = self.rooms.get_mut(&topic) else { return };
        while let Some(notice) = room.poll_output() {
            let to = notice.to.iter().filter_map(|session| self.sessions.get(session));
            self.outputs.extend(to.map(|id| RendezvousOutput::Send(*id, notice.message.clone())));
        }
        if room.is_empty() {
            self.rooms.remove(&topic);
        }
    }

    fn arm(&mut self, id: ConnectionId) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        let timeout = client.connection.poll_timeout();
        if timeout != client.timeout {
            if let Some(old) = client.timeout {
                self.timeouts.remove(&(old, id));
            }
            client.timeout = timeout;
            self.timeouts.extend(timeout.map(|at| (at, id)));
        }
    }

    fn forget(&mut self, id: ConnectionId) {
        if let Some(client) = self.clients.remove(&id)
            && let Some(at) = client.timeout
        {
            self.timeouts.remove(&(at, id));
        }
    }
}
