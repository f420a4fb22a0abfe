//! RV8: several servers on a bus that loses, delays, repeats and reorders, on virtual time. A seed replays a run.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use symbolon_core::crypto::Rng;
use symbolon_core::id::{ServerKey, SessionId, Topic};
use symbolon_core::rendezvous::TopicState;
use symbolon_core::rendezvous::cluster::{
    BEAT, Cluster, ClusterOutput, DOUBT, Identity, Instance, LEASE, Noted, RESTATE, Subject,
};
use symbolon_core::signal::{Bytes, Encoded, Present, ServerMessage};
use symbolon_core::time::Now;

const SERVERS: usize = 4;
const ROOMS: u64 = 5;
const PER_ROOM: usize = 256;

/// What goes wrong on the bus.
#[derive(Debug, Clone, Copy, Default)]
struct Faults {
    /// Of a thousand messages, how many nobody gets to know are lost.
    lost: u64,
    /// Of a thousand, how many come a second time, up to 3 s later.
    twice: u64,
    /// Whether servers die and links to the bus break.
    breaks: bool,
}

#[derive(Debug)]
enum Event {
    /// Bytes from one server for another, if that is still the same start of it on the same link.
    Arrive {
        from: usize,
        to: usize,
        start: u64,
        link: u64,
        bytes: Vec<u8>,
    },
    Timer {
        server: usize,
        start: u64,
        at: Duration,
    },
    NoticeDown {
        server: usize,
        start: u64,
    },
    Link {
        server: usize,
        start: u64,
    },
    Start {
        server: usize,
    },
}

#[derive(Default)]
struct Client {
    /// What it does.
    rooms: BTreeMap<Topic, Bytes>,
    /// What it was told.
    view: BTreeMap<Topic, BTreeMap<SessionId, Bytes>>,
    heard: Vec<(SessionId, Vec<u8>)>,
}

struct Server {
    start: u64,
    cluster: Cluster,
    rooms: BTreeMap<Topic, TopicState>,
    clients: BTreeMap<SessionId, Client>,
    /// Whether the bus hears it; counted up at each change.
    linked: bool,
    link: u64,
    subscribed: BTreeSet<Topic>,
    timer: Option<Duration>,
    noted: Vec<Noted>,
}

struct World {
    seed: u64,
    rng: Rng,
    now: Duration,
    number: u64,
    events: BTreeMap<(Duration, u64), Event>,
    servers: Vec<Option<Server>>,
    instances: BTreeMap<Instance, usize>,
    /// When the last message of a publisher, subject and subscriber arrives: the next comes no sooner.
    last: BTreeMap<(usize, Subject, usize), Duration>,
    faults: Faults,
    /// Sent signals, by body: how often each arrived.
    signals: BTreeMap<Vec<u8>, usize>,
}

fn topic(n: u64) -> Topic {
    Topic::from_bytes([n as u8 + 1; 32])
}

impl World {
    fn new(seed: u64, faults: Faults) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        let mut world = Self {
            seed,
            rng: Rng::from_seed(bytes),
            now: Duration::from_secs(1),
            number: 0,
            events: BTreeMap::new(),
            servers: (0..SERVERS).map(|_| None).collect(),
            instances: BTreeMap::new(),
            last: BTreeMap::new(),
            faults,
            signals: BTreeMap::new(),
        };
        (0..SERVERS).for_each(|server| world.start(server));
        world
    }

    fn now(&self) -> Now {
        Now { monotonic: self.now, unix_ms: 0 }
    }

    fn at(&mut self, at: Duration, event: Event) {
        self.number += 1;
        self.events.insert((at, self.number), event);
    }

    fn millis(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_micros(low * 1000 + self.rng.below((high - low) * 1000 + 1))
    }

    fn start(&mut self, id: usize) {
        let instance = Instance::from_bytes(self.rng.bytes());
        self.instances.insert(instance, id);
        self.number += 1;
        let identity = Identity { instance, key: ServerKey::from_bytes([1; 32]), origins: [1; 8] };
        let mut cluster = Cluster::new(identity, self.now());
        cluster.handle_up(self.now());
        let server = Server {
            start: self.number,
            cluster,
            rooms: BTreeMap::new(),
            clients: BTreeMap::new(),
            linked: true,
            link: 0,
            subscribed: BTreeSet::new(),
            timer: None,
            noted: Vec::new(),
        };
        self.servers[id] = Some(server);
        self.settle(id);
    }

    fn publish(&mut self, from: usize, subject: Subject, bytes: Vec<u8>) {
        if !self.servers[from].as_ref().is_some_and(|server| server.linked) {
            return;
        }
        for to in 0..SERVERS {
            let Some(server) = self.servers[to].as_ref().filter(|server| to != from && server.linked) else {
                continue;
            };
            let hears = match subject {
                Subject::All => true,
                Subject::Room(topic) => server.subscribed.contains(&topic),
                Subject::Server(instance) => self.instances.get(&instance) == Some(&to),
            };
            let (start, link) = (server.start, server.link);
            if !hears || self.rng.below(1000) < self.faults.lost {
                continue;
            }
            let last = self.last.get(&(from, subject, to)).copied().unwrap_or_default();
            let at = (self.now + self.millis(0, 30)).max(last);
            self.last.insert((from, subject, to), at);
            if self.rng.below(1000) < self.faults.twice {
                let again = at + self.millis(0, 3000);
                self.at(again, Event::Arrive { from, to, start, link, bytes: bytes.clone() });
            }
            self.at(at, Event::Arrive { from, to, start, link, bytes: bytes.clone() });
        }
    }

    /// Carries out what a server's machines want.
    fn settle(&mut self, id: usize) {
        while let Some(server) = &mut self.servers[id]
            && let Some(output) = server.cluster.poll_output()
        {
            match output {
                ClusterOutput::Publish(subject, bytes) => self.publish(id, subject, bytes),
                ClusterOutput::Subscribe(topic) => assert!(server.subscribed.insert(topic)),
                ClusterOutput::Unsubscribe(topic) => assert!(server.subscribed.remove(&topic)),
                ClusterOutput::Tell(topic, what) => {
                    if let Some(room) = server.rooms.get_mut(&topic) {
                        room.handle_elsewhere(what);
                    }
                    self.tell(id, topic);
                }
                ClusterOutput::Relay { topic, from, to, body } => {
                    let room = server.rooms.get(&topic);
                    if let Some(relayed) = room.and_then(|room| room.relay_in(from, to, Encoded::from(&body)))
                    {
                        let client = server.clients.get_mut(&to).expect("a client that is here");
                        client.hear(to, &relayed.message(), &mut self.signals);
                    }
                }
                ClusterOutput::Noted(noted) => server.noted.push(noted),
            }
        }
        let Some(server) = &mut self.servers[id] else { return };
        let at = server.cluster.poll_timeout();
        if server.timer != Some(at) {
            server.timer = Some(at);
            let start = server.start;
            self.at(at.max(self.now), Event::Timer { server: id, start, at });
        }
    }

    fn tell(&mut self, id: usize, topic: Topic) {
        let Some(server) = &mut self.servers[id] else { return };
        let Some(room) = server.rooms.get_mut(&topic) else { return };
        while let Some(notice) = room.poll_output() {
            for to in notice.to {
                let client = server.clients.get_mut(&to).expect("only clients here are told");
                client.hear(to, &notice.message, &mut self.signals);
            }
        }
        if room.is_empty() {
            server.rooms.remove(&topic);
        }
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Arrive { to, start, link, bytes, .. } => {
                let now = self.now();
                let Some(server) = &mut self.servers[to] else { return };
                if server.start == start && server.link == link {
                    server.cluster.handle_message(&bytes, now);
                    self.settle(to);
                }
            }
            Event::Timer { server: id, start, at } => {
                let now = self.now();
                let Some(server) = self.servers[id].as_mut().filter(|server| server.start == start) else {
                    return;
                };
                if server.timer == Some(at) {
                    server.timer = None;
                    server.cluster.handle_timeout(now);
                    self.settle(id);
                }
            }
            Event::NoticeDown { server: id, start } => {
                if let Some(server) = self.servers[id].as_mut().filter(|server| server.start == start) {
                    server.cluster.handle_down();
                    self.settle(id);
                }
            }
            Event::Link { server: id, start } => {
                let now = self.now();
                if let Some(server) = self.servers[id].as_mut().filter(|server| server.start == start) {
                    server.linked = true;
                    server.cluster.handle_up(now);
                    self.settle(id);
                }
            }
            Event::Start { server } => self.start(server),
        }
    }

    fn run(&mut self, by: Duration) {
        let end = self.now + by;
        while let Some((&(at, _), _)) = self.events.first_key_value()
            && at <= end
        {
            let ((at, _), event) = self.events.pop_first().unwrap();
            self.now = self.now.max(at);
            self.step(event);
        }
        self.now = end;
    }

    fn enter(&mut self, id: usize, session: SessionId, topic: Topic, announcement: Bytes) {
        let Some(server) = &mut self.servers[id] else { return };
        let client = server.clients.entry(session).or_default();
        client.rooms.insert(topic, announcement.clone());
        let room = server.rooms.entry(topic).or_insert_with(|| TopicState::new(topic));
        room.handle_enter(session, announcement.clone(), PER_ROOM).unwrap();
        self.tell(id, topic);
        if let Some(server) = &mut self.servers[id] {
            server.cluster.handle_enter(topic, session, announcement);
        }
        self.settle(id);
    }

    fn leave(&mut self, id: usize, session: SessionId, topic: Topic) {
        let Some(server) = &mut self.servers[id] else { return };
        let Some(client) = server.clients.get_mut(&session) else { return };
        if client.rooms.remove(&topic).is_none() {
            return;
        }
        client.view.remove(&topic);
        if let Some(room) = server.rooms.get_mut(&topic) {
            room.handle_leave(session);
        }
        server.cluster.handle_leave(topic, session);
        self.tell(id, topic);
        self.settle(id);
    }

    fn signal(&mut self, id: usize, from: SessionId, to: SessionId, topic: Topic) {
        self.number += 1;
        let body = self.number.to_be_bytes().to_vec();
        let Some(server) = &mut self.servers[id] else { return };
        if server.rooms.get(&topic).is_some_and(|room| room.is_elsewhere(to)) {
            self.signals.insert(body.clone(), 0);
            server.cluster.handle_signal(topic, from, to, Bytes(body));
            self.settle(id);
        }
    }

    /// Cuts a server off the bus for a while. It notices late.
    fn cut(&mut self, id: usize, longest: u64) {
        let Some(server) = self.servers[id].as_mut().filter(|server| server.linked) else { return };
        server.linked = false;
        server.link += 1;
        let start = server.start;
        let noticed = self.now + self.millis(0, 1000);
        let back = noticed + self.millis(0, longest);
        self.at(noticed, Event::NoticeDown { server: id, start });
        self.at(back, Event::Link { server: id, start });
        // Of what it said last, part is lost too.
        let said: Vec<_> = self
            .events
            .iter()
            .filter(|(_, event)| matches!(event, Event::Arrive { from, .. } if *from == id))
            .map(|(key, _)| *key)
            .collect();
        for key in said {
            if self.rng.below(2) == 0 {
                self.events.remove(&key);
            }
        }
    }

    /// A server dies, or stops in order, and starts again later.
    fn end(&mut self, id: usize, politely: bool) {
        if self.servers[id].is_none() {
            return;
        }
        if politely {
            for session in self.sessions(id) {
                (0..ROOMS).for_each(|n| self.leave(id, session, topic(n)));
            }
            if let Some(server) = &mut self.servers[id] {
                server.cluster.handle_shutdown();
            }
            self.settle(id);
        }
        self.servers[id] = None;
        let at = self.now + self.millis(0, 15_000);
        self.at(at, Event::Start { server: id });
    }

    fn sessions(&self, id: usize) -> Vec<SessionId> {
        self.servers[id].iter().flat_map(|server| server.clients.keys()).copied().collect()
    }

    /// One random deed.
    fn act(&mut self) {
        let id = self.rng.below(SERVERS as u64) as usize;
        let topic = topic(self.rng.below(ROOMS));
        let sessions = self.sessions(id);
        let somebody = sessions.get(self.rng.below(sessions.len() as u64) as usize).copied();
        match (self.rng.below(100), somebody) {
            (0..25, _) | (_, None) if sessions.len() < 8 => {
                let session = SessionId::from_bytes(self.rng.bytes());
                let announcement = Bytes(self.rng.bytes::<4>().to_vec());
                self.enter(id, session, topic, announcement);
            }
            (25..45, Some(session)) => {
                let announcement = Bytes(self.rng.bytes::<1>().to_vec());
                self.enter(id, session, topic, announcement);
            }
            (45..70, Some(session)) => self.leave(id, session, topic),
            (70..96, Some(session)) => {
                let known =
                    self.servers[id].as_ref().and_then(|server| server.clients[&session].view.get(&topic));
                let known: Vec<_> = known.into_iter().flat_map(BTreeMap::keys).copied().collect();
                if let Some(to) = known.get(self.rng.below(known.len() as u64) as usize) {
                    self.signal(id, session, *to, topic);
                }
            }
            (96, _) if self.faults.breaks => self.end(id, false),
            (97, _) if self.faults.breaks => self.end(id, true),
            (98, _) if self.faults.breaks => self.cut(id, 12_000),
            (99, _) if self.faults.breaks && self.rng.below(4) == 0 => {
                // The whole bus.
                (0..SERVERS).for_each(|id| self.cut(id, 3_000));
            }
            _ => {}
        }
    }

    fn riot(&mut self, deeds: usize) {
        for _ in 0..deeds {
            self.act();
            let pause = if self.rng.below(20) == 0 { self.millis(0, 4000) } else { self.millis(0, 40) };
            self.run(pause);
        }
    }

    /// Everybody knows exactly those who are in its rooms, wherever.
    fn assert_views_are_true(&self) {
        let mut truth: BTreeMap<Topic, BTreeMap<SessionId, Bytes>> = BTreeMap::new();
        let clients = || self.servers.iter().flatten().flat_map(|server| &server.clients);
        for (session, client) in clients() {
            for (topic, announcement) in &client.rooms {
                truth.entry(*topic).or_default().insert(*session, announcement.clone());
            }
        }
        for (session, client) in clients() {
            for topic in client.rooms.keys() {
                let mut others = truth[topic].clone();
                others.remove(session);
                assert_eq!(client.view[topic], others, "seed {}: {session:?} in {topic:?}", self.seed);
            }
        }
    }
}

impl Client {
    fn hear(&mut self, me: SessionId, message: &ServerMessage, signals: &mut BTreeMap<Vec<u8>, usize>) {
        match message {
            ServerMessage::Entered { topic, peers } => {
                let peers = peers.iter().cloned();
                let peers = peers.map(|Present { session, announcement }| (session, announcement)).collect();
                self.view.insert(*topic, peers);
            }
            ServerMessage::Arrived { topic, session, announcement } => {
                assert_ne!(*session, me);
                let room = self.view.get_mut(topic).expect("entered first");
                room.insert(*session, announcement.clone());
            }
            ServerMessage::Left { topic, session } => {
                let left = self.view.get_mut(topic).expect("entered first").remove(session);
                assert!(left.is_some(), "left without having arrived");
            }
            ServerMessage::Signal { topic, from, body } => {
                assert!(self.view[topic].contains_key(from), "a signal from nobody in the room");
                let times = signals.get_mut(&body.0).expect("a signal that was sent");
                *times += 1;
                assert_eq!(*times, 1, "a signal came twice");
                self.heard.push((*from, body.0.clone()));
            }
            other => panic!("not from a room: {other:?}"),
        }
    }
}

fn seeds(count: u64) -> std::ops::Range<u64> {
    match std::env::var("SEED") {
        Ok(seed) => {
            let seed = seed.parse().unwrap();
            seed..seed + 1
        }
        Err(_) => 0..count,
    }
}

#[test]
fn rv8_after_deaths_and_broken_links_everybody_knows_who_is_there() {
    for seed in seeds(60) {
        let mut world = World::new(seed, Faults { breaks: true, twice: 20, lost: 0 });
        world.riot(400);
        world.faults = Faults::default();
        // The last links are mended, and those who died are missed.
        world.run(Duration::from_secs(16) + LEASE + 2 * BEAT);
        world.assert_views_are_true();
    }
}

#[test]
fn rv8_what_a_bus_loses_without_a_word_is_found_in_time() {
    for seed in seeds(60) {
        let mut world = World::new(seed, Faults { breaks: true, twice: 50, lost: 100 });
        world.riot(300);
        world.faults = Faults::default();
        world.run(DOUBT + 2 * RESTATE);
        world.assert_views_are_true();
    }
}

#[test]
fn rv8_without_faults_every_signal_arrives_once_and_changes_within_moments() {
    for seed in seeds(60) {
        let mut world = World::new(seed, Faults { twice: 50, ..Faults::default() });
        world.run(Duration::from_secs(1));
        // Nobody leaves, so that every receiver is there.
        for n in 0..40 {
            let id = world.rng.below(SERVERS as u64) as usize;
            let session = SessionId::from_bytes(world.rng.bytes());
            world.enter(id, session, topic(n % ROOMS), Bytes(vec![n as u8]));
            // Before anybody can have heard of it.
            for from in world.sessions(id) {
                let room = topic(n % ROOMS);
                let view = world.servers[id].as_ref().unwrap().clients[&from].view.get(&room).cloned();
                for to in view.unwrap_or_default().into_keys() {
                    world.signal(id, from, to, room);
                }
            }
            let pause = world.millis(0, 20);
            world.run(pause);
        }
        world.run(Duration::from_millis(200));
        world.assert_views_are_true();
        assert!(world.signals.len() > 100);
        for (signal, times) in &world.signals {
            assert_eq!(*times, 1, "seed {seed}: signal {signal:?}");
        }
        let dropped: u64 = world.servers.iter().flatten().map(|server| server.cluster.counts().dropped).sum();
        assert_eq!(dropped, 0, "seed {seed}");
    }
}

#[test]
fn rv8_a_run_is_replayed_by_its_seed() {
    let run = |seed| {
        let mut world = World::new(seed, Faults { breaks: true, twice: 50, lost: 20 });
        world.riot(200);
        let views: Vec<_> = world
            .servers
            .iter()
            .flatten()
            .flat_map(|server| {
                server.clients.values().map(|client| (client.view.clone(), client.heard.clone()))
            })
            .collect();
        (world.now, world.number, format!("{views:?}"))
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7).2, run(8).2);
}
