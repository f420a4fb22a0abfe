//! Several servers that act as one, over a bus (PROTOCOL §12), as a machine without I/O, clock or randomness.
//!
//! ```text
//!   clients here: enter, leave, signal ─▶ ┌─────────┐ ─▶ Publish, Subscribe ─▶ the bus
//!   messages from the bus ──────────────▶ │ Cluster │
//!   bus up, bus down, time ─────────────▶ └─────────┘ ─▶ Tell: who came and left elsewhere, signals ─▶ TopicState
//! ```
//!
//! Each server numbers what happens among its own clients, and says of each change in a room to which version it
//! applies. Whoever misses one sees that the next does not fit, or hears a version it does not have, and asks for a
//! snapshot, of which it tells its clients the difference. So nothing here depends on a bus that loses nothing: only how
//! soon clients hear does.
//!
//! Left out: the bus itself, and how fast it may be fed. The driver subscribes to [`Subject::All`] and to its own
//! [`Subject::Server`] before it says [`handle_up`](Cluster::handle_up).

mod message;
mod room;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::cbor::ByteVec;
use crate::id::{ServerKey, SessionId, Topic};
use crate::origin::Origin;
use crate::signal::Bytes;
use crate::time::Now;

pub use message::{
    Alive, BusMessage, BusSignal, Change, Envelope, Instance, MAX_BUS_MESSAGE, MAX_SERVERS, News, Snapshot,
    Subject, VERSION,
};
pub use room::{Elsewhere, MAX_SHOWN};

use room::{Room, Signalled, Told};

/// How often a server says that it runs.
pub const BEAT: Duration = Duration::from_secs(2);

/// After so much silence a server is gone. Three beats, and a second for the way.
pub const LEASE: Duration = Duration::from_secs(7);

/// What a server is given after the bus was down, or after this one slept, before its silence counts.
const GRACE: Duration = Duration::from_secs(4);

/// In what time the versions of all rooms are said once, so that a loss nobody noticed is found.
pub const RESTATE: Duration = Duration::from_secs(30);

/// After so long without hearing its version, a server's part of a room is asked for.
pub const DOUBT: Duration = Duration::from_secs(75);

/// How long the goodbye of a server is remembered, so that what is still under way does not bring it back.
const REMEMBERED: Duration = Duration::from_secs(60);

/// Signals that wait until their sender's arrival is heard of, and their bytes. One waits for milliseconds, and mostly
/// none does.
const MAX_EARLY: (usize, usize) = (1024, 4 * 1024 * 1024);

/// How often all rooms are restated at most.
const RESTATE_AGAIN: Duration = Duration::from_secs(1);

/// What the driver is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClusterOutput {
    /// Publish these bytes.
    Publish(Subject, Vec<u8>),
    /// Ask the bus for the messages of a room.
    Subscribe(Topic),
    /// No more of them.
    Unsubscribe(Topic),
    /// Tell the clients of a room here.
    Tell(Topic, Elsewhere),
    /// Relay a signal from a client at another server, if its receiver is still in the room.
    Relay {
        /// The room.
        topic: Topic,
        /// From whom.
        from: SessionId,
        /// For whom.
        to: SessionId,
        /// Opaque.
        body: Bytes,
    },
    /// For the log.
    Noted(Noted),
}

/// What an operator may want to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    /// Another server was heard.
    Joined(Instance),
    /// Another server said goodbye.
    Stopped(Instance),
    /// Another server is silent; its clients count as gone.
    Lost(Instance),
    /// Another server has another key, or speaks another version: it is not heard.
    Foreign(Instance, ServerKey, u32),
    /// Another server names other addresses to its clients.
    OtherOrigins(Instance),
}

/// Who a server is, to the others.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    /// This start of it; random.
    pub instance: Instance,
    /// Its key.
    pub key: ServerKey,
    /// The first bytes of a hash of its origins.
    pub origins: [u8; 8],
}

impl Identity {
    /// A start of the server with this key and these origins.
    pub fn new(instance: [u8; 16], key: ServerKey, origins: &[Origin]) -> Self {
        let mut origins: Vec<String> = origins.iter().map(ToString::to_string).collect();
        origins.sort();
        let hash: [u8; 32] = Sha256::digest(origins.join("\n")).into();
        let mut digest = [0; 8];
        digest.copy_from_slice(&hash[..8]);
        Self { instance: Instance::from_bytes(instance), key, origins: digest }
    }
}

/// What has been counted since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages from the bus that were no messages.
    pub garbage: u64,
    /// Snapshots asked for because something was missed.
    pub asked: u64,
    /// Times that all rooms were stated anew.
    pub restated: u64,
    /// Signals for clients elsewhere that could not be sent, or from there that could not be delivered.
    pub dropped: u64,
}

#[derive(Debug)]
struct Server {
    heard: Duration,
    /// Since when it is open whether it still has the clients it said, because messages between it and this server may
    /// have been lost.
    doubted: Option<Duration>,
    /// The number of its last signal.
    signals: u64,
}

/// One server's part in the cluster.
///
/// After every `handle_*`, drain [`poll_output`](Self::poll_output), in order, and arm one timer for
/// [`poll_timeout`](Self::poll_timeout). Nothing is published between [`handle_down`](Self::handle_down) and
/// [`handle_up`](Self::handle_up).
#[derive(Debug)]
pub struct Cluster {
    identity: Identity,
    up: bool,
    /// Numbers everything that this server says in an order.
    clock: u64,
    beat_at: Duration,
    rooms: BTreeMap<Topic, Room>,
    servers: BTreeMap<Instance, Server>,
    /// Those that said goodbye, and when.
    stopped: BTreeMap<Instance, Duration>,
    /// Those unknown, and when they were last heard.
    strangers: BTreeMap<Instance, Duration>,
    /// Those that are no servers of this cluster, and when they were last heard.
    foreign: BTreeMap<Instance, Duration>,
    /// Signals that overtook their sender's arrival, and until when they wait.
    early: VecDeque<(Instance, BusSignal, Duration)>,
    /// The last room that was restated in turn.
    walked: Option<Topic>,
    restated: Option<Duration>,
    restate: bool,
    counts: Counts,
    outputs: VecDeque<ClusterOutput>,
}

impl Cluster {
    /// A server alone, and without a bus.
    pub fn new(identity: Identity, now: Now) -> Self {
        Self {
            identity,
            up: false,
            clock: 0,
            beat_at: now.monotonic + BEAT,
            rooms: BTreeMap::new(),
            servers: BTreeMap::new(),
            stopped: BTreeMap::new(),
            strangers: BTreeMap::new(),
            foreign: BTreeMap::new(),
            early: VecDeque::new(),
            walked: None,
            restated: None,
            restate: false,
            counts: Counts::default(),
            outputs: VecDeque::new(),
        }
    }

    /// Whether there is a bus.
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// How many other servers are known to run.
    pub fn servers(&self) -> usize {
        self.servers.len()
    }

    /// How many servers are heard that do not belong here.
    pub fn foreign(&self) -> usize {
        self.foreign.len()
    }

    /// What has been counted.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// A client here came into a room, or announced itself anew.
    pub fn handle_enter(&mut self, topic: Topic, session: SessionId, announcement: Bytes) {
        let new = !self.rooms.contains_key(&topic);
        if new {
            self.rooms.insert(topic, Room::new(self.up));
            self.outputs.push_back(ClusterOutput::Tell(topic, Elsewhere::Cleared));
            if self.up {
                self.outputs.push_back(ClusterOutput::Subscribe(topic));
            }
        }
        let Some(room) = self.rooms.get_mut(&topic) else { return };
        if room.enter(session, announcement.clone()) {
            let change = Change { session, announcement: Some(announcement.0.into()) };
            self.changed(topic, change, new);
        }
        self.tell(topic);
    }

    /// A client here left a room.
    pub fn handle_leave(&mut self, topic: Topic, session: SessionId) {
        let Some(room) = self.rooms.get_mut(&topic) else { return };
        if !room.leave(session) {
            return;
        }
        self.changed(topic, Change { session, announcement: None }, false);
        let Some(room) = self.rooms.get(&topic) else { return };
        if !room.here.is_empty() {
            return self.tell(topic);
        }
        if room.subscribed {
            self.outputs.push_back(ClusterOutput::Unsubscribe(topic));
        }
        self.rooms.remove(&topic);
    }

    /// A client here sent a signal to somebody who is not here.
    pub fn handle_signal(&mut self, topic: Topic, from: SessionId, to: SessionId, body: Bytes) {
        let room = self.rooms.get(&topic).filter(|room| room.here.contains_key(&from));
        let place = room.and_then(|room| Some((room.place_of(to)?, room.version)));
        let (Some((place, version)), true) = (place, self.up) else {
            self.counts.dropped += 1;
            return;
        };
        self.clock += 1;
        let number = self.clock;
        let signal = BusSignal { topic, version, number, from, to, body: body.0.into() };
        self.publish(Subject::Server(place), BusMessage::Signal(signal));
    }

    /// There is a bus, or there is one again: what went over it meanwhile is lost.
    pub fn handle_up(&mut self, now: Now) {
        self.up = true;
        self.beat_at = now.monotonic + BEAT;
        self.be_lenient(now.monotonic);
        self.doubt_all(now.monotonic);
        self.greet(Subject::All, true);
        let new: Vec<_> =
            self.rooms.iter().filter(|(_, room)| !room.subscribed).map(|(topic, _)| *topic).collect();
        for topic in new {
            if let Some(room) = self.rooms.get_mut(&topic) {
                room.subscribed = true;
                self.outputs.push_back(ClusterOutput::Subscribe(topic));
            }
        }
        self.restate_all(now.monotonic);
    }

    /// There is no bus any more. Others count as running until their silence is too long.
    pub fn handle_down(&mut self) {
        self.up = false;
    }

    /// Messages were lost on the way here.
    pub fn handle_loss(&mut self, now: Now) {
        self.doubt_all(now.monotonic);
        self.want_restating(now.monotonic);
    }

    /// This server stops: the others need not wait.
    pub fn handle_shutdown(&mut self) {
        self.publish(Subject::All, BusMessage::Goodbye);
    }

    /// A message came over the bus.
    pub fn handle_message(&mut self, bytes: &[u8], now: Now) {
        let Ok(Envelope { from, message }) = Envelope::decode(bytes) else {
            self.counts.garbage += 1;
            return;
        };
        let now = now.monotonic;
        if from == self.identity.instance || self.stopped.contains_key(&from) {
            return;
        }
        match message {
            BusMessage::Alive(alive) => return self.handle_alive(from, &alive, now),
            BusMessage::Goodbye => return self.handle_goodbye(from, now),
            _ => {}
        }
        let Some(server) = self.servers.get_mut(&from) else { return self.handle_stranger(from, now) };
        server.heard = now;
        match message {
            BusMessage::News(news) => self.handle_news(from, news, now),
            BusMessage::Snapshot(Snapshot { topic, version, clients }) => {
                let Some(room) = self.rooms.get_mut(&topic) else { return };
                let clients = clients.into_iter().map(|(session, a)| (session, Bytes(a.to_vec()))).collect();
                if room.handle_snapshot(from, version, clients, now) {
                    self.ask(from, topic);
                }
                self.settle(from, topic, now);
            }
            BusMessage::Ask(topic) => self.answer(from, topic),
            BusMessage::Restate => self.want_restating(now),
            BusMessage::Signal(signal) => {
                if signal.number <= server.signals {
                    return;
                }
                server.signals = signal.number;
                self.deliver(from, signal, now + LEASE, now);
            }
            BusMessage::Alive(_) | BusMessage::Goodbye => {}
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Now) {
        let now = now.monotonic;
        if now >= self.beat_at {
            if now >= self.beat_at + BEAT {
                // It was this server that slept, not the others.
                self.be_lenient(now);
            }
            self.beat_at = now + BEAT;
            self.beat(now);
        }
        let silent: Vec<_> = self
            .servers
            .iter()
            .filter(|(_, server)| now >= server.heard + LEASE)
            .map(|(instance, _)| *instance)
            .collect();
        for instance in silent {
            self.outputs.push_back(ClusterOutput::Noted(Noted::Lost(instance)));
            self.forget(instance);
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), on the monotonic clock.
    pub fn poll_timeout(&self) -> Duration {
        let silence = self.servers.values().map(|server| server.heard + LEASE).min();
        silence.map_or(self.beat_at, |at| at.min(self.beat_at))
    }

    /// What to do next, oldest first.
    pub fn poll_output(&mut self) -> Option<ClusterOutput> {
        let output = self.outputs.pop_front();
        if output.is_none() && self.outputs.capacity() > 1024 {
            self.outputs = VecDeque::new();
        }
        output
    }

    fn handle_alive(&mut self, from: Instance, alive: &Alive, now: Duration) {
        if alive.key != self.identity.key || alive.version != VERSION {
            let known = self.foreign.contains_key(&from);
            if known || self.foreign.len() < MAX_SERVERS {
                self.foreign.insert(from, now);
            }
            if !known {
                self.outputs.push_back(ClusterOutput::Noted(Noted::Foreign(from, alive.key, alive.version)));
            }
            return;
        }
        if let Some(server) = self.servers.get_mut(&from) {
            server.heard = now;
            if alive.greets {
                // It has a new connection to the bus, and restates what rooms it has: not those it has left.
                server.doubted = Some(now);
            }
        } else {
            if self.servers.len() >= MAX_SERVERS {
                return;
            }
            self.strangers.remove(&from);
            self.servers.insert(from, Server { heard: now, doubted: None, signals: 0 });
            self.outputs.push_back(ClusterOutput::Noted(Noted::Joined(from)));
            if alive.origins != self.identity.origins {
                self.outputs.push_back(ClusterOutput::Noted(Noted::OtherOrigins(from)));
            }
            // One that has rooms already has said so when this one did not hear it.
            if alive.rooms > 0 && !self.rooms.is_empty() {
                self.publish(Subject::Server(from), BusMessage::Restate);
            }
        }
        if alive.greets {
            self.greet(Subject::Server(from), false);
        }
    }

    fn handle_goodbye(&mut self, from: Instance, now: Duration) {
        if self.servers.contains_key(&from) && self.stopped.len() < MAX_SERVERS {
            self.stopped.insert(from, now);
            self.outputs.push_back(ClusterOutput::Noted(Noted::Stopped(from)));
            self.forget(from);
        }
    }

    /// Somebody is heard before it said who it is: asks it.
    fn handle_stranger(&mut self, from: Instance, now: Duration) {
        let known = self.foreign.contains_key(&from) || self.strangers.contains_key(&from);
        if !known && self.strangers.len() < MAX_SERVERS {
            self.strangers.insert(from, now);
            self.greet(Subject::Server(from), true);
        }
    }

    fn handle_news(&mut self, from: Instance, news: News, now: Duration) {
        let News { topic, before, version, changes, asks, have } = news;
        let Some(room) = self.rooms.get_mut(&topic) else { return };
        if room.handle_news(from, before, version, changes, now) {
            self.ask(from, topic);
        }
        self.settle(from, topic, now);
        let Some(room) = self.rooms.get(&topic) else { return };
        if asks && !have.contains(&(self.identity.instance, room.version)) {
            self.answer(from, topic);
        }
    }

    fn deliver(&mut self, from: Instance, signal: BusSignal, until: Duration, now: Duration) {
        let topic = signal.topic;
        let outcome = match self.rooms.get_mut(&topic) {
            Some(room) => room.handle_signal(from, signal, now),
            None => Signalled::Dropped,
        };
        match outcome {
            Signalled::Told => {}
            Signalled::Early { signal, ask } => {
                let bytes: usize = self.early.iter().map(|(_, signal, _)| signal.body.len()).sum();
                if self.early.len() >= MAX_EARLY.0 || bytes + signal.body.len() > MAX_EARLY.1 {
                    self.counts.dropped += 1;
                } else {
                    self.early.push_back((from, signal, until));
                }
                if ask {
                    self.ask(from, topic);
                }
            }
            Signalled::Dropped => self.counts.dropped += 1,
        }
        self.tell(topic);
    }

    /// Something was heard of a room: tells it, then the signals that waited for it.
    fn settle(&mut self, from: Instance, topic: Topic, now: Duration) {
        self.tell(topic);
        if self.early.iter().any(|(server, signal, _)| *server == from && signal.topic == topic) {
            for (server, signal, until) in std::mem::take(&mut self.early) {
                if server == from && signal.topic == topic {
                    self.deliver(server, signal, until, now);
                } else {
                    self.early.push_back((server, signal, until));
                }
            }
        }
    }

    /// Numbers a change among the clients here and says it.
    fn changed(&mut self, topic: Topic, change: Change, asks: bool) {
        let Some(room) = self.rooms.get_mut(&topic) else { return };
        self.clock += 1;
        let before = std::mem::replace(&mut room.version, self.clock);
        let changes = vec![change];
        let news = News { topic, before, version: self.clock, changes, asks, have: Vec::new() };
        self.publish(Subject::Room(topic), BusMessage::News(news));
    }

    /// Says how a room stands.
    fn state(&mut self, topic: Topic, asks: bool) {
        let Some(room) = self.rooms.get(&topic) else { return };
        let version = room.version;
        let have = if asks {
            room.elsewhere
                .iter()
                .take(MAX_SERVERS)
                .map(|(server, remote)| (*server, remote.version))
                .collect()
        } else {
            Vec::new()
        };
        let news = News { topic, before: version, version, changes: Vec::new(), asks, have };
        self.publish(Subject::Room(topic), BusMessage::News(news));
    }

    fn want_restating(&mut self, now: Duration) {
        if self.restated.is_none_or(|at| now >= at + RESTATE_AGAIN) {
            self.restate_all(now);
        } else {
            self.restate = true;
        }
    }

    fn restate_all(&mut self, now: Duration) {
        self.restated = Some(now);
        self.restate = false;
        self.counts.restated += 1;
        let topics: Vec<_> = self.rooms.keys().copied().collect();
        for topic in topics {
            self.state(topic, true);
        }
    }

    fn beat(&mut self, now: Duration) {
        self.stopped.retain(|_, at| now < *at + REMEMBERED);
        self.foreign.retain(|_, at| now < *at + LEASE);
        self.strangers.retain(|_, at| now < *at + BEAT);
        let waiting = self.early.len();
        self.early.retain(|(_, _, until)| now < *until);
        self.counts.dropped += (waiting - self.early.len()) as u64;
        if !self.up {
            return;
        }
        self.greet(Subject::All, false);
        if self.restate {
            return self.restate_all(now);
        }
        for topic in self.next_rooms() {
            self.state(topic, false);
        }
        self.ask_again(now);
    }

    /// Asks those who did not answer, and those who may have nobody any more where they had somebody.
    fn ask_again(&mut self, now: Duration) {
        let long_ago = |at: Duration| now >= at + BEAT / 2;
        let mut asks = Vec::new();
        for (topic, room) in &mut self.rooms {
            for (instance, remote) in &mut room.elsewhere {
                let doubted = self.servers.get(instance).and_then(|server| server.doubted);
                let doubtful = now >= remote.confirmed + DOUBT
                    || doubted.is_some_and(|since| long_ago(since) && remote.confirmed < since);
                if remote.asked.map_or(doubtful && !remote.is_empty(), long_ago) {
                    remote.asked = Some(now);
                    asks.push((*instance, *topic));
                }
            }
        }
        for server in self.servers.values_mut() {
            server.doubted = server.doubted.filter(|since| !long_ago(*since));
        }
        for (server, topic) in asks {
            self.ask(server, topic);
        }
    }

    /// The rooms whose turn it is to be restated.
    fn next_rooms(&mut self) -> Vec<Topic> {
        use std::ops::Bound::{Excluded, Unbounded};
        let share = self.rooms.len().div_ceil((RESTATE.as_millis() / BEAT.as_millis()) as usize);
        let from = self.walked.map_or(Unbounded, Excluded);
        let next: Vec<_> = self.rooms.range((from, Unbounded)).take(share).map(|(topic, _)| *topic).collect();
        self.walked = if next.len() < share { None } else { next.last().copied() };
        next
    }

    fn doubt_all(&mut self, now: Duration) {
        self.servers.values_mut().for_each(|server| server.doubted = Some(now));
    }

    fn be_lenient(&mut self, now: Duration) {
        let least = (now + GRACE).saturating_sub(LEASE);
        self.servers.values_mut().for_each(|server| server.heard = server.heard.max(least));
    }

    fn forget(&mut self, server: Instance) {
        self.servers.remove(&server);
        let topics: Vec<_> = self.rooms.keys().copied().collect();
        for topic in topics {
            if let Some(room) = self.rooms.get_mut(&topic) {
                room.forget(server);
            }
            self.tell(topic);
        }
    }

    fn greet(&mut self, subject: Subject, greets: bool) {
        let Identity { key, origins, .. } = self.identity;
        let rooms = self.rooms.len() as u64;
        self.publish(subject, BusMessage::Alive(Alive { version: VERSION, key, origins, rooms, greets }));
    }

    fn ask(&mut self, server: Instance, topic: Topic) {
        self.counts.asked += 1;
        self.publish(Subject::Server(server), BusMessage::Ask(topic));
    }

    /// Says whom there is in a room here, nobody included.
    fn answer(&mut self, server: Instance, topic: Topic) {
        let room = self.rooms.get(&topic);
        let version = room.map_or(self.clock, |room| room.version);
        let here = room.into_iter().flat_map(|room| &room.here);
        let clients = here.map(|(session, a)| (*session, ByteVec::from(a.0.clone()))).collect();
        self.publish(Subject::Server(server), BusMessage::Snapshot(Snapshot { topic, version, clients }));
    }

    fn tell(&mut self, topic: Topic) {
        if let Some(room) = self.rooms.get_mut(&topic) {
            let told = room.tell.drain(..).map(|told| match told {
                Told::Presence(elsewhere) => ClusterOutput::Tell(topic, elsewhere),
                Told::Signal { from, to, body } => ClusterOutput::Relay { topic, from, to, body },
            });
            self.outputs.extend(told);
        }
    }

    fn publish(&mut self, subject: Subject, message: BusMessage) {
        if self.up {
            let bytes = Envelope { from: self.identity.instance, message }.encode();
            self.outputs.push_back(ClusterOutput::Publish(subject, bytes));
        }
    }
}
