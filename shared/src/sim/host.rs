//! A machine: its disk, its documents, and a driver that follows the rules of the real one.

use std::collections::BTreeMap;
use std::time::Duration;

use super::rtc::EndId;
use super::server::{Direction, SocketId};
use super::{Event, HostId, World};
use crate::crypto::keys::sha256;
use crate::id::RoomId;
use crate::node::{Config, Event as NodeEvent, Input, LinkId, Node, Output, room_prefix};
use crate::origin::Origin;
use crate::time::Now;

/// Outputs one node may have at once; more of them is a loop without end.
const MAX_OUTPUTS: usize = 1_000_000;

/// Timers that may fire at one moment.
const MAX_TIMERS: u32 = 50;

/// The driver looks at its surroundings so often, in milliseconds.
const LOOK_MS: u64 = 10_000;

/// The document behind one room of one node.
pub trait Document {
    /// An empty document, to be edited as `client`.
    fn new(client: u64) -> Self;
    /// Applies another's update.
    fn apply(&mut self, update: &[u8]);
    /// Edits as `client` from now on.
    fn set_client(&mut self, client: u64);
    /// What was edited here since the last call.
    fn take_updates(&mut self) -> Vec<Vec<u8>>;
}

/// Where a kill -9 meets a driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// Between two events.
    Now,
    /// At the next commit, before it is on disk.
    BeforeCommit,
    /// At the next commit, after it is on disk and before anybody is told.
    AfterCommit,
}

/// A machine, switched on or not.
pub(super) struct Host<D> {
    name: String,
    seed: [u8; 32],
    disk: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(super) running: Option<Running<D>>,
    /// How often it was switched on.
    pub(super) boots: u64,
    /// Until when it sleeps.
    pub(super) asleep: Option<Duration>,
    doom: Option<Crash>,
    /// How long after the next crash it is switched on again.
    pub(super) back: Option<Duration>,
    timer: Option<(Duration, u64)>,
    /// How often its timer fired at this moment.
    fired: (Duration, u32),
    /// `PeerConnection`s it ever made.
    pub(super) connections: u64,
    /// Bytes it ever gave to its channels.
    pub(super) sent: u64,
    pub(super) told: Vec<NodeEvent>,
}

/// What a crash takes away.
pub(super) struct Running<D> {
    pub(super) node: Node,
    pub(super) docs: BTreeMap<RoomId, D>,
    pub(super) sockets: BTreeMap<Origin, SocketId>,
    pub(super) ends: BTreeMap<LinkId, EndId>,
    /// The world's time when its monotonic clock was at zero; moves on while it sleeps.
    pub(super) zero: Duration,
}

impl<D: Document> World<D> {
    /// A machine, switched on, with a device of its own and nothing on its disk.
    pub fn add_host(&mut self, name: &str) -> HostId {
        let id = HostId(self.hosts.len());
        self.hosts.push(Host {
            name: name.to_owned(),
            seed: self.rng.bytes(),
            disk: BTreeMap::new(),
            running: None,
            boots: 0,
            asleep: None,
            doom: None,
            back: None,
            timer: None,
            fired: (Duration::ZERO, 0),
            connections: 0,
            sent: 0,
            told: Vec::new(),
        });
        self.boot(id);
        id
    }

    /// Switches a machine on; its node has what was persisted.
    pub fn boot(&mut self, id: HostId) {
        let host = &mut self.hosts[id.0];
        if host.running.is_some() {
            return;
        }
        host.boots += 1;
        host.doom = None;
        let (user, device) = (host.name.clone(), format!("{}'s device", host.name));
        let config = Config { seed: host.seed, rng: self.rng.bytes(), user, device };
        let now = Now { monotonic: Duration::ZERO, ..Self::now(self) };
        let mut node = match Node::new(&config, now) {
            Ok(node) => node,
            Err(error) => panic!("a node could not be made: {error}"),
        };
        let host = &mut self.hosts[id.0];
        let entries = host.disk.iter().map(|(key, value)| (&key[..], &value[..]));
        if let Err(error) = node.restore(entries, now) {
            panic!("{} does not read back what it stored: {error}", host.name);
        }
        node.start(now);
        let (docs, sockets, ends) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        host.running = Some(Running { node, docs, sockets, ends, zero: self.now });
        self.note("boot", id.0 as u64, &[]);
        self.carry_out(id);
    }

    /// Ends a machine's process as kill -9 does.
    pub fn crash(&mut self, id: HostId, when: Crash) {
        let host = &mut self.hosts[id.0];
        if when != Crash::Now {
            host.doom = Some(when);
            return;
        }
        let Some(running) = host.running.take() else { return };
        (host.asleep, host.doom) = (None, None);
        if let Some(timer) = host.timer.take() {
            self.events.remove(&timer);
        }
        if let Some(time) = host.back.take() {
            self.after(time, Event::Recover(super::faults::Recovery::Boot(id)));
        }
        // The system closes a killed process' sockets; a machine without power closes nothing.
        let silent = self.conditions.silently(&mut self.rng);
        self.note("crash", id.0 as u64, &[u8::from(silent)]);
        for socket in running.sockets.into_values() {
            self.leave_socket(socket, silent);
        }
        for end in running.ends.into_values() {
            self.ends.remove(&end);
        }
    }

    /// Takes all that is on a machine's disk, while it is off. Its device stays the same.
    pub fn wipe(&mut self, id: HostId) {
        assert!(self.hosts[id.0].running.is_none(), "a running machine holds its disk");
        self.hosts[id.0].disk.clear();
        self.note("wipe", id.0 as u64, &[]);
    }

    /// Puts a machine to sleep.
    pub fn sleep(&mut self, id: HostId, time: Duration) {
        let until = self.now + time;
        let host = &mut self.hosts[id.0];
        if host.running.is_none() || host.asleep.is_some() {
            return;
        }
        host.asleep = Some(until);
        if let Some(running) = &mut host.running {
            running.zero += time;
        }
        self.note("sleep", id.0 as u64, &[]);
        self.at(until, Event::Recover(super::faults::Recovery::Wake(id)));
    }

    pub(super) fn wake(&mut self, id: HostId) {
        let now = self.now;
        let host = &mut self.hosts[id.0];
        if let Some(until) = host.asleep.take() {
            // Woken before its time.
            if let Some(running) = &mut host.running {
                running.zero = running.zero.saturating_sub(until.saturating_sub(now));
            }
            self.note("wake", id.0 as u64, &[]);
            let look = Duration::from_millis(self.rng.below(LOOK_MS));
            self.after(look, Event::Recover(super::faults::Recovery::Noticed(id)));
            self.carry_out(id);
        }
    }

    /// A machine gets another address: nothing reaches its old connections any more.
    pub fn change_network(&mut self, id: HostId) {
        for socket in self.sockets.values_mut().filter(|socket| socket.host == id) {
            socket.cut = true;
        }
        let ends: Vec<EndId> =
            self.ends.iter().filter(|(_, end)| end.host == id).map(|(end, _)| *end).collect();
        for end in ends {
            self.cut_end(end);
        }
        self.note("network", id.0 as u64, &[]);
        let look = Duration::from_millis(self.rng.below(LOOK_MS));
        self.after(look, Event::Recover(super::faults::Recovery::Noticed(id)));
    }

    /// Hands an input to a running machine that is awake.
    pub(super) fn input(&mut self, id: HostId, input: Input) {
        let now = self.now_at(id);
        if let Some(running) = &mut self.hosts[id.0].running {
            running.node.handle(input, now);
            self.carry_out(id);
        }
    }

    pub(super) fn timer(&mut self, id: HostId) {
        let now = self.now_at(id);
        let at = self.now;
        let host = &mut self.hosts[id.0];
        host.timer = None;
        let Some(running) = host.running.as_mut().filter(|_| host.asleep.is_none()) else { return };
        host.fired = if host.fired.0 == at { (at, host.fired.1 + 1) } else { (at, 1) };
        assert!(host.fired.1 < MAX_TIMERS, "{} asks again and again for a time that has come", host.name);
        running.node.handle_timeout(now);
        self.carry_out(id);
    }

    /// Carries out all outputs: documents at once, then the disk, then everything others can see.
    pub(super) fn carry_out(&mut self, id: HostId) {
        while self.carry_out_some(id) {}
        self.arm(id);
    }

    fn carry_out_some(&mut self, id: HostId) -> bool {
        let now = self.now_at(id);
        let host = &mut self.hosts[id.0];
        let Some(running) = &mut host.running else { return false };
        let mut writes: Vec<(Vec<u8>, Option<Vec<u8>>)> = Vec::new();
        let mut later = Vec::new();
        let mut count = 0;
        while let Some(output) = running.node.poll_output() {
            count += 1;
            assert!(count < MAX_OUTPUTS, "{} does not come to an end", host.name);
            match output {
                Output::Persist { key, value } => writes.push((key, Some(value))),
                Output::Forget { room } => {
                    running.docs.remove(&room);
                    writes.push((room_prefix(&room), None));
                }
                Output::Apply { room, update, .. } => {
                    if update.is_empty() {
                        continue;
                    }
                    let client = running.node.log(&room).map_or(0, |(client, _)| client);
                    running.docs.entry(room).or_insert_with(|| D::new(client)).apply(&update);
                }
                Output::SetClient { room, client } => {
                    running.docs.entry(room).or_insert_with(|| D::new(client)).set_client(client);
                }
                Output::Collect { room } => {
                    let updates = running.docs.get_mut(&room).map(D::take_updates).unwrap_or_default();
                    for update in updates {
                        if let Err(error) = running.node.local_update(&room, &update, now) {
                            panic!("{}'s own change was refused: {error}", host.name);
                        }
                    }
                }
                other => later.push(other),
            }
        }
        if !writes.is_empty() {
            match host.doom {
                Some(Crash::BeforeCommit) => {
                    self.crash(id, Crash::Now);
                    return false;
                }
                doom => {
                    let digest = store(&mut host.disk, writes);
                    self.note("store", id.0 as u64, &digest);
                    if doom.is_some() {
                        self.crash(id, Crash::Now);
                        return false;
                    }
                }
            }
        }
        let any = !later.is_empty();
        for output in later {
            self.send_out(id, output);
        }
        any
    }

    fn send_out(&mut self, id: HostId, output: Output) {
        match output {
            Output::Dial { origin } => self.dial(id, origin),
            Output::HangUp { origin } => {
                let running = self.hosts[id.0].running.as_mut();
                if let Some(socket) = running.and_then(|running| running.sockets.remove(&origin)) {
                    let silent = self.conditions.silently(&mut self.rng);
                    self.leave_socket(socket, silent);
                }
            }
            Output::SendServer { origin, text } => {
                let running = self.hosts[id.0].running.as_ref();
                if let Some(socket) = running.and_then(|running| running.sockets.get(&origin)).copied() {
                    self.say(socket, Direction::ToServer, text);
                }
            }
            Output::MakeOffer { link, .. } => self.make_end(id, link, None),
            Output::MakeAnswer { link, offer, .. } => self.make_end(id, link, Some(&offer)),
            Output::AcceptAnswer { link, answer } => self.accept_answer(id, link, &answer),
            Output::AddCandidate { link, candidate } => {
                self.note("add candidate", link.0, candidate.as_bytes());
            }
            Output::Send { link, part } => self.send_part(id, link, part),
            Output::Close { link } => self.close_end(id, link),
            Output::Event(event) => {
                self.note("event", id.0 as u64, format!("{event:?}").as_bytes());
                self.hosts[id.0].told.push(event);
            }
            Output::Persist { .. }
            | Output::Forget { .. }
            | Output::Apply { .. }
            | Output::SetClient { .. }
            | Output::Writer { .. }
            | Output::Presence { .. }
            | Output::Collect { .. } => {}
        }
    }

    fn arm(&mut self, id: HostId) {
        let host = &self.hosts[id.0];
        let wanted = host
            .running
            .as_ref()
            .filter(|_| host.asleep.is_none())
            .and_then(|running| running.node.poll_timeout().map(|at| (at + running.zero).max(self.now)));
        if wanted == host.timer.map(|(at, _)| at) {
            return;
        }
        if let Some(old) = self.hosts[id.0].timer.take() {
            self.events.remove(&old);
        }
        let timer = wanted.map(|at| self.at(at, Event::Timer(id)));
        self.hosts[id.0].timer = timer;
    }
}

impl<D> Host<D> {
    pub(super) fn doom_lifted(&mut self) {
        self.doom = None;
    }
}

/// One commit; a value of `None` deletes all that begins with the key. Gives a digest of what was written.
fn store(disk: &mut BTreeMap<Vec<u8>, Vec<u8>>, writes: Vec<(Vec<u8>, Option<Vec<u8>>)>) -> [u8; 32] {
    let mut digest = [0; 32];
    for (key, value) in writes {
        digest = sha256(&[&digest[..], &key, value.as_deref().unwrap_or(b"forget")].concat());
        match value {
            Some(value) => {
                disk.insert(key, value);
            }
            None => disk.retain(|stored, _| !stored.starts_with(&key)),
        }
    }
    digest
}
