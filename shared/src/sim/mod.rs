//! A world of servers and nodes on a virtual network and a virtual clock, all of it drawn from one seed.
//!
//! ```text
//!            SendServer, ServerText                     Rendezvous
//!   Host ◄──────── sockets ────────► Between ◄────────► (one per server)
//!    │ ▲
//!    │ └── Send, Part ── ends (virtual `PeerConnection`s) ──► Host
//!    ├─ disk: what was persisted, all that a crash leaves
//!    └─ Document: what the application edits
//! ```
//!
//! One queue of events, ordered by virtual time and then by number, is the only thing that moves. A host drives its
//! [`Node`](crate::node::Node) by the rules of the real driver: documents at once, then one commit to the disk, then
//! everything that others can see. [`World::trace`] hashes all that happens, so two runs of one seed can be compared
//! to the byte.
//!
//! Left out: bandwidth, real SDP, and more than one process per device.
//!
//! # Layout
//! - `net`: delays, ordered streams, who reaches whom.
//! - `host`: a machine with its disk, and the driver's rules.
//! - `server`: servers, sockets, and what stands between them ([`Between`]).
//! - `rtc`: virtual `PeerConnection`s.
//! - `faults`: what goes wrong, drawn at random.
//! - `verbs`: what a test does with a host and asks of it.
//! - `trace`: the hash of a run.

mod faults;
mod host;
mod net;
mod rtc;
mod server;
mod trace;
mod verbs;

pub use host::{Crash, Document};
pub use net::Conditions;
pub use server::{Between, Direction, Passing, SocketId, Verdict};
pub use trace::Trace;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::crypto::Rng;
use crate::crypto::keys::sha256;
use crate::time::Now;
use faults::Recovery;
use host::Host;
use net::Place;
use rtc::{End, EndId};
use server::{Server, Socket};

/// When a world begins, in milliseconds since 1970.
const EPOCH_MS: u64 = 1_800_000_000_000;

/// Events one world may need; more of them is a loop without end.
const MAX_EVENTS: u64 = 2_000_000;

/// A machine with one node on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostId(pub usize);

/// A server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerId(pub usize);

/// Something that will happen.
#[derive(Debug, Clone)]
enum Event {
    /// A node's timer.
    Timer(HostId),
    ServerTimer(ServerId),
    /// A dial arrives at the server.
    Dialled(SocketId),
    /// The first message of a socket's stream arrives.
    Socket(SocketId, Direction),
    Described(EndId),
    Candidate(EndId),
    Connect(EndId),
    Opened(EndId),
    /// The first part on its way to this end arrives.
    Part(EndId),
    Sent(EndId, usize),
    Inject(SocketId, Direction, String),
    Recover(Recovery),
}

/// Everything there is.
pub struct World<D> {
    now: Duration,
    rng: Rng,
    number: u64,
    events: BTreeMap<(Duration, u64), Event>,
    conditions: Conditions,
    hosts: Vec<Host<D>>,
    servers: Vec<Server>,
    sockets: BTreeMap<SocketId, Socket>,
    ends: BTreeMap<EndId, End>,
    /// Pairs that cannot reach each other, and how many faults keep them apart.
    apart: BTreeMap<(Place, Place), u32>,
    between: Option<Box<dyn Between>>,
    trace: Trace,
}

impl<D: Document> World<D> {
    /// An empty world. The seed decides everything that is random in it.
    pub fn new(seed: u64, conditions: Conditions) -> Self {
        Self {
            now: Duration::ZERO,
            rng: Rng::from_seed(sha256(&[&b"symbolon/sim"[..], &seed.to_be_bytes()].concat())),
            number: 0,
            events: BTreeMap::new(),
            conditions,
            hosts: Vec::new(),
            servers: Vec::new(),
            sockets: BTreeMap::new(),
            ends: BTreeMap::new(),
            apart: BTreeMap::new(),
            between: None,
            trace: Trace::default(),
        }
    }

    /// The moment, as a machine with a good clock reads it.
    pub fn now(&self) -> Now {
        let ms = u64::try_from(self.now.as_millis()).unwrap_or(u64::MAX);
        Now { monotonic: self.now, unix_ms: EPOCH_MS.saturating_add(ms) }
    }

    /// The world's dice.
    pub fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// How the network is from now on.
    pub fn set_conditions(&mut self, conditions: Conditions) {
        self.conditions = conditions;
    }

    /// What happened so far.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Also keeps what happens in words, for the eyes of whoever looks into a failing seed.
    pub fn keep_log(&mut self) {
        self.trace.keep_log();
    }

    /// All hosts.
    pub fn hosts(&self) -> impl Iterator<Item = HostId> + use<D> {
        (0..self.hosts.len()).map(HostId)
    }

    /// Lets so much time pass.
    pub fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        while self.step(until) {}
        self.now = until;
    }

    /// Lets time pass until `done`, looked at twenty times a second; says whether it came about in `time`.
    pub fn run_until(&mut self, time: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        const LOOK: Duration = Duration::from_millis(50);
        let until = self.now + time;
        while !done(self) {
            if self.now >= until {
                return false;
            }
            self.run_for(LOOK);
        }
        true
    }

    fn step(&mut self, until: Duration) -> bool {
        let Some((&key, _)) = self.events.first_key_value() else { return false };
        if key.0 > until {
            return false;
        }
        let Some(event) = self.events.remove(&key) else { return false };
        if self.number >= MAX_EVENTS {
            let last: Vec<&String> = self.trace.log().iter().rev().take(60).collect();
            panic!("the world does not come to rest: {last:#?}");
        }
        self.now = key.0;
        self.happen(event);
        true
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Timer(host) => self.timer(host),
            Event::ServerTimer(server) => self.server_timer(server),
            Event::Dialled(socket) => self.dialled(socket),
            Event::Socket(socket, direction) => self.socket_arrival(socket, direction),
            Event::Described(end) => self.described(end),
            Event::Candidate(end) => self.candidate_found(end),
            Event::Connect(end) => self.connect(end),
            Event::Opened(end) => self.opened(end),
            Event::Part(end) => self.part_arrival(end),
            Event::Sent(end, bytes) => self.sent(end, bytes),
            Event::Inject(socket, direction, text) => self.put(socket, direction, text),
            Event::Recover(recovery) => self.recover(recovery),
        }
    }

    fn at(&mut self, time: Duration, event: Event) -> (Duration, u64) {
        self.number += 1;
        let key = (time.max(self.now), self.number);
        self.events.insert(key, event);
        key
    }

    fn after(&mut self, delay: Duration, event: Event) -> (Duration, u64) {
        self.at(self.now + delay, event)
    }

    fn note(&mut self, what: &str, who: u64, bytes: &[u8]) {
        self.trace.note(self.now, what, who, bytes);
    }

    /// Takes these hosts off the rest of the world, servers included; ended by [`World::rejoin`].
    pub fn part(&mut self, hosts: &BTreeSet<HostId>) {
        for pair in self.pairs(hosts) {
            *self.apart.entry(pair).or_default() += 1;
        }
        self.note("part", hosts.len() as u64, &[]);
    }

    /// Ends what [`World::part`] began.
    pub fn rejoin(&mut self, hosts: &BTreeSet<HostId>) {
        for pair in self.pairs(hosts) {
            if let Some(count) = self.apart.get_mut(&pair) {
                *count -= 1;
                if *count == 0 {
                    self.apart.remove(&pair);
                }
            }
        }
        self.note("rejoin", hosts.len() as u64, &[]);
    }

    fn pairs(&self, hosts: &BTreeSet<HostId>) -> Vec<(Place, Place)> {
        let outside = self.hosts().filter(|host| !hosts.contains(host)).map(Place::Host);
        let servers = (0..self.servers.len()).map(|n| Place::Server(ServerId(n)));
        let outside: Vec<Place> = outside.chain(servers).collect();
        hosts
            .iter()
            .flat_map(|host| outside.iter().map(|other| net::pair(Place::Host(*host), *other)))
            .collect()
    }

    /// Whether bytes get from one place to the other now.
    fn reaches(&self, one: Place, other: Place) -> bool {
        !self.apart.contains_key(&net::pair(one, other)) && self.awake(one) && self.awake(other)
    }

    fn awake(&self, place: Place) -> bool {
        match place {
            Place::Host(host) => self.hosts[host.0].asleep.is_none(),
            Place::Server(_) => true,
        }
    }
}

impl<D> std::fmt::Debug for World<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("now", &self.now).field("trace", &self.trace).finish_non_exhaustive()
    }
}
