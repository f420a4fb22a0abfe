//! The machines together: a table of refusals and violations, and any sequence of operations.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::crypto::Rng;
use crate::crypto::keys::SignKey;
use crate::id::{SessionId, Topic};
use crate::origin::Origin;
use crate::signal::{
    Bytes, Challenge, ClientMessage, Hello, MAX_ANNOUNCEMENT, MAX_BODY, MAX_MESSAGE, MAX_SERVER_MESSAGE,
    Present, RefusalCode, ServerMessage,
};
use crate::time::Now;

fn origin() -> Origin {
    "ws://127.0.0.1:7600".parse().unwrap()
}

fn terms() -> Terms {
    Terms::new(SignKey::from_secret(&[1; 32]), vec![origin()])
}

fn topic(n: u8) -> Topic {
    Topic::from_bytes([n; 32])
}

/// What one client was told, and what it therefore believes.
#[derive(Default)]
struct Seen {
    challenge: Option<Challenge>,
    welcome: bool,
    texts: Vec<String>,
    rooms: BTreeMap<Topic, BTreeMap<SessionId, Bytes>>,
    signals: Vec<(Topic, SessionId)>,
    error: Option<RefusalCode>,
    closed: Option<CloseReason>,
    pings: usize,
}

struct World {
    server: Rendezvous,
    now: Now,
    seen: BTreeMap<ConnectionId, Seen>,
    transcript: String,
}

impl World {
    fn new(terms: Terms) -> Self {
        Self {
            server: Rendezvous::new(terms, Rng::from_seed([2; 32])),
            now: Now { monotonic: Duration::ZERO, unix_ms: 1_800_000_000_000 },
            seen: BTreeMap::new(),
            transcript: String::new(),
        }
    }

    fn connect(&mut self, id: u64) -> ConnectionId {
        let id = ConnectionId(id);
        self.seen.insert(id, Seen::default());
        self.server.handle_connect(id, self.now);
        self.drain();
        id
    }

    fn text(&mut self, id: ConnectionId, text: &str) {
        self.server.handle_text(id, text, self.now);
        self.drain();
    }

    fn say(&mut self, id: ConnectionId, message: &ClientMessage) {
        self.text(id, &message.encode());
    }

    fn hello(&self, id: ConnectionId, key: &SignKey) -> Hello {
        let challenge = self.seen[&id].challenge.as_ref().unwrap();
        Hello::sign(key, challenge, 1, origin(), self.now.unix_ms)
    }

    fn signed_in(&mut self, id: u64) -> ConnectionId {
        let connection = self.connect(id);
        let hello = self.hello(connection, &key(id));
        self.say(connection, &ClientMessage::Hello(hello));
        assert!(self.seen[&connection].welcome);
        connection
    }

    fn wait(&mut self, by: Duration) {
        let end = self.now.after(by);
        while let Some(at) = self.server.poll_timeout().filter(|at| *at <= end.monotonic) {
            self.now = self.now.after(at.saturating_sub(self.now.monotonic));
            self.server.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    fn drain(&mut self) {
        while let Some(output) = self.server.poll_output() {
            match output {
                RendezvousOutput::Ping(id) => self.seen.get_mut(&id).unwrap().pings += 1,
                RendezvousOutput::Close(id, reason) => {
                    writeln!(self.transcript, "{id:?} closes {reason:?}").unwrap();
                    let before = self.seen.get_mut(&id).unwrap().closed.replace(reason);
                    assert_eq!(before, None, "closed twice");
                }
                RendezvousOutput::Send(id, message) => {
                    let text = message.encode();
                    assert!(text.len() <= MAX_SERVER_MESSAGE);
                    writeln!(self.transcript, "{id:?} {text}").unwrap();
                    self.seen.get_mut(&id).unwrap().hear(message, text);
                }
            }
        }
    }
}

impl Seen {
    fn hear(&mut self, message: ServerMessage, text: String) {
        assert_eq!(self.closed, None, "told something after the close");
        assert_eq!(self.error, None, "told something after the error");
        self.texts.push(text);
        match message {
            ServerMessage::Challenge(challenge) => self.challenge = Some(challenge),
            ServerMessage::Welcome { .. } => self.welcome = true,
            ServerMessage::IceServers { .. } => {}
            ServerMessage::Drain { .. } => panic!("nobody drains this server"),
            ServerMessage::Error(refusal) => self.error = Some(refusal.code),
            ServerMessage::Entered { topic, peers } => {
                let peers =
                    peers.into_iter().map(|Present { session, announcement }| (session, announcement));
                self.rooms.insert(topic, peers.collect());
            }
            ServerMessage::Arrived { topic, session, announcement } => {
                self.rooms.get_mut(&topic).expect("entered first").insert(session, announcement);
            }
            ServerMessage::Left { topic, session } => {
                let left = self.rooms.get_mut(&topic).expect("entered first").remove(&session);
                assert!(left.is_some(), "left without having arrived");
            }
            ServerMessage::Signal { topic, from, .. } => {
                assert!(self.rooms[&topic].contains_key(&from), "a signal from nobody in the room");
                self.signals.push((topic, from));
            }
        }
    }
}

fn key(n: u64) -> SignKey {
    let mut secret = [3; 32];
    secret[..8].copy_from_slice(&n.to_be_bytes());
    SignKey::from_secret(&secret)
}

fn enter(n: u8, len: usize) -> ClientMessage {
    ClientMessage::Enter { topic: topic(n), announcement: Bytes(vec![n; len]) }
}

fn signal(n: u8, to: u64, len: usize) -> ClientMessage {
    ClientMessage::Signal { topic: topic(n), to: key(to).session(), body: Bytes(vec![n; len]) }
}

#[test]
fn rv2_a_refused_client_gets_one_error_with_a_code_and_the_close() {
    type Spoil = fn(&mut Hello, &World);
    let cases: [(RefusalCode, Spoil); 6] = [
        (RefusalCode::UnsupportedVersion, |hello, _| hello.version = 9),
        (RefusalCode::WrongOrigin, |hello, _| hello.origin = "wss://elsewhere.example".parse().unwrap()),
        (RefusalCode::ClockSkew, |hello, _| hello.time -= 60_001),
        (RefusalCode::ClockSkew, |hello, _| hello.time += 60_001),
        (RefusalCode::BadSignature, |hello, _| hello.time += 1),
        (RefusalCode::BadSignature, |hello, world| {
            *hello = world.hello(ConnectionId(0), &key(1));
        }),
    ];
    for (code, spoil) in cases {
        let mut world = World::new(terms());
        world.connect(0);
        let id = world.connect(1);
        let mut hello = world.hello(id, &key(1));
        spoil(&mut hello, &world);
        world.say(id, &ClientMessage::Hello(hello));
        let seen = &world.seen[&id];
        assert_eq!((seen.error, seen.closed), (Some(code), Some(CloseReason::Refused(code))));
        assert_eq!(seen.texts.len(), 2, "the challenge and the error");
        assert_eq!(world.server.connections(), 1);
    }
}

#[test]
fn rv2_one_session_signs_in_once_at_a_time() {
    let mut world = World::new(terms());
    let first = world.signed_in(1);
    let second = world.connect(2);
    let hello = world.hello(second, &key(1));
    world.say(second, &ClientMessage::Hello(hello));
    assert_eq!(world.seen[&second].error, Some(RefusalCode::SessionInUse));
    assert_eq!(world.seen[&first].closed, None);
    world.server.handle_gone(first, world.now);
    world.signed_in(1);
}

#[test]
fn rv2_before_sign_in_nothing_is_answered() {
    for text in ["", "{}", "hello", "{\"type\":\"hello\"}", &enter(1, 1).encode(), &signal(1, 2, 3).encode()]
    {
        let mut world = World::new(terms());
        let id = world.connect(1);
        world.text(id, text);
        let seen = &world.seen[&id];
        assert_eq!(seen.texts.len(), 1, "only the challenge");
        assert!(seen.closed.unwrap().is_offence(), "{text}");
    }
    let mut world = World::new(terms());
    let id = world.connect(1);
    world.wait(Duration::from_millis(9_999));
    assert_eq!(world.seen[&id].closed, None);
    world.wait(Duration::from_millis(1));
    assert_eq!(world.seen[&id].closed, Some(CloseReason::NoHello));
    assert_eq!(world.seen[&id].texts.len(), 1);
}

#[test]
fn rv15_a_hello_of_another_shape_and_version_hears_which_versions_are_served() {
    let mut world = World::new(terms());
    let id = world.connect(1);
    world.text(id, r#"{"type":"hello","version":2,"key":[1,2,3]}"#);
    assert_eq!(world.seen[&id].error, Some(RefusalCode::UnsupportedVersion));
    assert!(world.seen[&id].texts[1].contains("version 1;"));
}

#[test]
fn rv5_who_enters_too_often_is_told_and_so_is_a_room_that_is_entered_too_often() {
    let mut world = World::new(terms());
    let burst = terms().enters.burst;
    let id = world.signed_in(1);
    for _ in 0..burst {
        world.say(id, &enter(1, 1));
    }
    assert_eq!(world.seen[&id].error, None);
    world.say(id, &enter(1, 1));
    assert_eq!(world.seen[&id].error, Some(RefusalCode::RateLimited));
    assert_eq!(world.server.rooms(), 0);

    let crowd = terms().room_enters.burst.div_ceil(burst);
    let others: Vec<_> = (2..2 + crowd).map(|n| world.signed_in(n)).collect();
    for id in &others {
        for _ in 0..burst {
            world.say(*id, &enter(1, 1));
        }
        assert_eq!(world.seen[id].error, None);
    }
    let last = world.signed_in(99);
    world.say(last, &enter(1, 1));
    assert_eq!(world.seen[&last].error, Some(RefusalCode::RateLimited));
    // Who was inside stays, and hears nothing of the one who was not let in.
    assert_eq!(world.seen[&others[0]].rooms[&topic(1)].len() as u64, crowd - 1);
}

#[test]
fn rv5_violations_are_closed_without_a_word() {
    let too_many_rooms = (0..=64).map(|n| enter(n, 1).encode()).collect();
    let too_fast = (0..=2048).map(|_| ClientMessage::Leave { topic: topic(1) }.encode()).collect();
    let cases: [(Violation, Vec<String>); 9] = [
        (Violation::NotAMessage, vec!["[".repeat(50_000)]),
        (Violation::NotAMessage, vec![format!(r#"{{"type":"leave","x":{}"#, "[".repeat(50_000))]),
        (Violation::NotAMessage, vec![r#"{"type":"shout"}"#.into()]),
        (Violation::NotAMessage, vec![r#"{"type":"enter","topic":"x","announcement":"*"}"#.into()]),
        (Violation::TooLong, vec!["x".repeat(MAX_MESSAGE + 1)]),
        (Violation::LongAnnouncement, vec![enter(1, MAX_ANNOUNCEMENT + 1).encode()]),
        (Violation::LongBody, vec![signal(1, 2, MAX_BODY + 1).encode()]),
        (Violation::TooManyRooms, too_many_rooms),
        (Violation::TooFast, too_fast),
    ];
    for (violation, texts) in cases {
        let mut world = World::new(terms());
        let id = world.signed_in(1);
        for text in texts {
            world.text(id, &text);
        }
        let seen = &world.seen[&id];
        assert_eq!((seen.closed, seen.error), (Some(CloseReason::Violation(violation)), None));
        assert_eq!((world.server.connections(), world.server.rooms()), (0, 0));
    }
    let mut world = World::new(terms());
    let id = world.signed_in(1);
    let hello = world.hello(id, &key(1));
    world.say(id, &ClientMessage::Hello(hello));
    assert_eq!(world.seen[&id].closed, Some(CloseReason::Violation(Violation::SecondHello)));
}

#[test]
fn rv5_bytes_are_limited_as_well_as_messages() {
    let mut world = World::new(terms());
    let id = world.signed_in(1);
    let longest = signal(1, 2, MAX_BODY).encode();
    let fit = terms().bytes.burst / longest.len() as u64;
    for _ in 0..fit {
        world.text(id, &longest);
    }
    world.wait(Duration::from_millis(50));
    assert_eq!(world.seen[&id].closed, None);
    world.text(id, &longest);
    world.text(id, &longest);
    assert_eq!(world.seen[&id].closed, Some(CloseReason::Violation(Violation::TooFast)));
}

#[test]
fn rv5_the_largest_room_fits_into_one_message() {
    let mut world = World::new(terms());
    for n in 0..256 {
        let id = world.signed_in(n);
        world.say(id, &enter(1, MAX_ANNOUNCEMENT));
    }
    assert_eq!(world.seen[&ConnectionId(255)].rooms[&topic(1)].len(), 255);
    let late = world.signed_in(256);
    world.say(late, &enter(1, 1));
    assert_eq!(world.seen[&late].error, Some(RefusalCode::Full));
    assert_eq!(world.seen[&late].closed.map(CloseReason::is_offence), Some(false));
}

#[test]
fn rv14_the_silent_are_pinged_then_dead_and_the_roomless_are_idle() {
    let mut world = World::new(terms());
    let [silent, alive, idle] = [1, 2, 3].map(|n| world.signed_in(n));
    world.say(silent, &enter(1, 1));
    world.say(alive, &enter(1, 1));
    for _ in 0..60 {
        world.wait(Duration::from_secs(10));
        for id in [alive, idle] {
            world.server.handle_alive(id, world.now);
        }
        world.drain();
    }
    assert_eq!(world.seen[&silent].pings, 2);
    assert_eq!(world.seen[&silent].closed, Some(CloseReason::Dead));
    assert_eq!(world.seen[&alive].closed, None);
    assert!(world.seen[&alive].rooms[&topic(1)].is_empty(), "the dead have left");
    assert_eq!(world.seen[&idle].closed, Some(CloseReason::Idle));
}

#[test]
fn rv9_all_clients_are_told_that_the_server_stops() {
    let mut world = World::new(terms());
    world.signed_in(1);
    world.connect(2);
    world.server.handle_shutdown(world.now);
    world.drain();
    assert!(world.seen.values().all(|seen| seen.error == Some(RefusalCode::ShuttingDown)));
    assert_eq!(world.server.connections(), 0);
}

#[derive(Debug, Clone)]
enum Op {
    Connect(u64),
    Hello(u64, u64),
    Enter(u64, u8, usize),
    Leave(u64, u8),
    Signal(u64, u8, u64, usize),
    Text(u64, String),
    Alive(u64),
    Gone(u64),
    Wait(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let client = 0..6_u64;
    let room = 0..4_u8;
    prop_oneof![
        4 => client.clone().prop_map(Op::Connect),
        6 => (client.clone(), any::<bool>())
            .prop_map(|(n, own)| Op::Hello(n, if own { n } else { 0 })),
        8 => (client.clone(), room.clone(), 0..8_usize).prop_map(|(c, r, len)| Op::Enter(c, r, len)),
        1 => (client.clone(), room.clone(), 0..400_usize).prop_map(|(c, r, len)| Op::Enter(c, r, len)),
        2 => (client.clone(), room.clone()).prop_map(|(c, r)| Op::Leave(c, r)),
        8 => (client.clone(), room, client.clone(), 0..40_usize)
            .prop_map(|(c, r, to, len)| Op::Signal(c, r, to, len)),
        1 => (client.clone(), "\\PC{0,40}").prop_map(|(c, text)| Op::Text(c, text)),
        2 => client.clone().prop_map(Op::Alive),
        1 => client.prop_map(Op::Gone),
        2 => (0..40_000_u64).prop_map(Op::Wait),
    ]
}

fn play(ops: &[Op]) -> World {
    let mut terms = terms();
    terms.limits.rooms = 3;
    terms.limits.clients_per_room = 4;
    let mut world = World::new(terms);
    let mut generation = BTreeMap::new();
    for op in ops {
        // A connection's name is never used twice, so a client's next connection gets another one.
        let id = |client: &u64, generation: &BTreeMap<u64, u64>| {
            ConnectionId(client + 100 * generation.get(client).copied().unwrap_or(0))
        };
        match op {
            Op::Connect(client) => {
                let open = world.seen.get(&id(client, &generation)).is_some_and(|seen| seen.closed.is_none());
                if !open {
                    *generation.entry(*client).or_default() += 1;
                    world.connect(id(client, &generation).0);
                }
            }
            Op::Hello(client, key_of) => {
                let id = id(client, &generation);
                if world.seen.get(&id).is_some_and(|seen| seen.challenge.is_some()) {
                    let hello = world.hello(id, &key(*key_of));
                    world.say(id, &ClientMessage::Hello(hello));
                }
            }
            Op::Enter(client, room, len) => world.say(id(client, &generation), &enter(*room, *len)),
            Op::Leave(client, room) => {
                let id = id(client, &generation);
                world.say(id, &ClientMessage::Leave { topic: topic(*room) });
                if let Some(seen) = world.seen.get_mut(&id) {
                    seen.rooms.remove(&topic(*room));
                }
            }
            Op::Signal(client, room, to, len) => {
                world.say(id(client, &generation), &signal(*room, *to, *len));
            }
            Op::Text(client, text) => world.text(id(client, &generation), text),
            Op::Alive(client) => {
                world.server.handle_alive(id(client, &generation), world.now);
                world.drain();
            }
            Op::Gone(client) => {
                let id = id(client, &generation);
                world.server.handle_gone(id, world.now);
                if let Some(seen) = world.seen.get_mut(&id) {
                    seen.closed.get_or_insert(CloseReason::Dead);
                }
                world.drain();
            }
            Op::Wait(ms) => world.wait(Duration::from_millis(*ms)),
        }
        check(&world);
    }
    world
}

/// All who are in a room agree on who is in it, and the server holds nothing for anybody else.
fn check(world: &World) {
    let open: Vec<_> = world.seen.iter().filter(|(_, seen)| seen.closed.is_none()).collect();
    assert_eq!(world.server.connections(), open.len());
    let rooms: BTreeSet<_> = open.iter().flat_map(|(_, seen)| seen.rooms.keys()).collect();
    assert_eq!(world.server.rooms(), rooms.len());
    for room in rooms {
        let inside: Vec<_> = open.iter().filter_map(|(_, seen)| seen.rooms.get(room)).collect();
        assert!(inside.len() <= 4);
        assert!(inside.iter().all(|peers| peers.len() + 1 == inside.len()));
        let named: BTreeSet<_> = inside.iter().flat_map(|peers| peers.keys()).collect();
        assert!(named.len() == inside.len() || inside.len() == 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn as3_any_operations_leave_all_clients_with_one_view(ops in prop::collection::vec(op(), 0..150)) {
        play(&ops);
    }

    #[test]
    fn as1_the_same_operations_give_the_same_bytes(ops in prop::collection::vec(op(), 0..60)) {
        prop_assert_eq!(play(&ops).transcript, play(&ops).transcript);
    }
}
