//! Any sequence of inputs, sensible or not: the node does not panic, comes to an end, and stays small.
#![allow(missing_docs, clippy::unwrap_used, clippy::pedantic)]

use std::time::Duration;

use proptest::prelude::*;
use symbolon_core::crypto::Rng;
use symbolon_core::crypto::keys::{RoomSecret, SignKey};
use symbolon_core::id::{Nonce, RoomId, SessionId, Topic};
use symbolon_core::link::{Kind, Signal};
use symbolon_core::node::{Config, Input, InviteOptions, LinkId, Node, Output};
use symbolon_core::origin::Origin;
use symbolon_core::signal::{Bytes, Challenge, Limits, Present, Refusal, RefusalCode, ServerMessage};
use symbolon_core::ticket::Ticket;
use symbolon_core::time::Now;

/// Outputs of one call; more is a loop without end.
const MAX_OUTPUTS: usize = 10_000;

#[derive(Debug, Clone)]
enum Op {
    Wait(u64),
    Timer,
    Opened,
    Closed,
    Ping,
    Text(String),
    Challenge(u8),
    Welcome,
    Refuse,
    Entered(Vec<(u8, bool)>),
    Arrived(u8, bool),
    Left(u8),
    Signal(u8, u8, Vec<u8>),
    Network,
    Describe(u64, usize),
    Candidate(u64, usize),
    Open(u64),
    Part(u64, Vec<u8>),
    Sent(u64, usize),
    Gone(u64),
    Create,
    Join(u8),
    Leave,
    Invite,
    Changed,
    Flush,
    Update(Vec<u8>),
    OpenWriter(Option<u32>),
    CloseWriter(u32),
    Write(u32, Vec<u8>),
    Show(u32, Option<String>),
}

fn op() -> impl Strategy<Value = Op> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..80);
    let link = || 0..6u64;
    prop_oneof![
        4 => prop_oneof![0..50u64, 0..20_000u64, Just(100_000u64)].prop_map(Op::Wait),
        4 => Just(Op::Timer),
        3 => Just(Op::Opened),
        1 => Just(Op::Closed),
        1 => Just(Op::Ping),
        1 => ".{0,40}".prop_map(Op::Text),
        3 => (0..3u8).prop_map(Op::Challenge),
        3 => Just(Op::Welcome),
        1 => Just(Op::Refuse),
        2 => proptest::collection::vec((any::<u8>(), any::<bool>()), 0..5).prop_map(Op::Entered),
        3 => (any::<u8>(), any::<bool>()).prop_map(|(n, member)| Op::Arrived(n, member)),
        1 => any::<u8>().prop_map(Op::Left),
        3 => (any::<u8>(), 0..6u8, bytes()).prop_map(|(n, kind, body)| Op::Signal(n, kind, body)),
        1 => Just(Op::Network),
        2 => (link(), prop_oneof![Just(10usize), Just(70_000usize)]).prop_map(|(l, n)| Op::Describe(l, n)),
        1 => (link(), prop_oneof![Just(10usize), Just(7_000usize)]).prop_map(|(l, n)| Op::Candidate(l, n)),
        1 => link().prop_map(Op::Open),
        2 => (link(), bytes()).prop_map(|(l, part)| Op::Part(l, part)),
        1 => (link(), 0..100_000usize).prop_map(|(l, n)| Op::Sent(l, n)),
        1 => link().prop_map(Op::Gone),
        1 => Just(Op::Create),
        1 => (0..3u8).prop_map(Op::Join),
        1 => Just(Op::Leave),
        1 => Just(Op::Invite),
        1 => Just(Op::Changed),
        1 => Just(Op::Flush),
        1 => bytes().prop_map(Op::Update),
        1 => proptest::option::of(0..4u32).prop_map(Op::OpenWriter),
        1 => (0..4u32).prop_map(Op::CloseWriter),
        1 => (0..4u32, bytes()).prop_map(|(n, update)| Op::Write(n, update)),
        1 => (0..4u32, proptest::option::of("[0-9\\[\\]{}]{0,6}")).prop_map(|(n, state)| Op::Show(n, state)),
    ]
}

struct Bench {
    node: Node,
    now: Duration,
    origin: Origin,
    key: SignKey,
    rooms: Vec<RoomId>,
    secret: RoomSecret,
    topic: Topic,
    tickets: Vec<Ticket>,
    timers: u32,
}

impl Bench {
    fn new() -> Self {
        let origin: Origin = "ws://rendezvous.test".parse().unwrap();
        let now = Now { monotonic: Duration::ZERO, unix_ms: 1_800_000_000_000 };
        let config = |n: u8| Config { seed: [n; 32], rng: [n; 32], user: "u".into(), device: "d".into() };
        let mut node = Node::new(&config(1), now).unwrap();
        let room = node.create_room("room", std::slice::from_ref(&origin), now).unwrap();
        let options = InviteOptions { expires_ms: now.unix_ms + 3_600_000, uses: 3, bound: None };
        let own = node.invite(&room, &options, now).unwrap();
        let mut other = Node::new(&config(2), now).unwrap();
        let theirs = other.create_room("other", std::slice::from_ref(&origin), now).unwrap();
        let tickets = (0..3).map(|_| other.invite(&theirs, &options, now).unwrap()).collect();
        let key = SignKey::generate(&mut Rng::from_seed([3; 32]));
        let (secret, topic) = (own.secret.clone(), own.secret.topic());
        let mut bench = Self {
            node,
            now: now.monotonic,
            origin,
            key,
            rooms: vec![room],
            secret,
            topic,
            tickets,
            timers: 0,
        };
        bench.drain();
        bench
    }

    fn now(&self) -> Now {
        Now { monotonic: self.now, unix_ms: 1_800_000_000_000 + self.now.as_millis() as u64 }
    }

    fn text(&mut self, message: &ServerMessage) {
        let (origin, now) = (self.origin.clone(), self.now());
        self.node.handle(Input::ServerText { origin, text: message.encode() }, now);
    }

    fn present(&self, n: u8, member: bool) -> Present {
        let session = SessionId::from_bytes([n; 32]);
        let device = symbolon_core::crypto::keys::SignKey::from_secret(&[n; 32]);
        let mut rng = Rng::from_seed([n; 32]);
        let announcement = if member {
            symbolon_core::admission::announce(&self.secret, &self.topic, &session, &device, &mut rng)
        } else {
            symbolon_core::admission::announce_nothing(&mut rng)
        };
        Present { session, announcement: Bytes(announcement) }
    }

    fn run(&mut self, op: Op) {
        let now = self.now();
        let origin = self.origin.clone();
        let topic = self.topic;
        let session = |n: u8| SessionId::from_bytes([n; 32]);
        match op {
            Op::Wait(ms) => self.now += Duration::from_millis(ms),
            Op::Timer => self.timer(),
            Op::Opened => self.node.handle(Input::ServerOpened { origin }, now),
            Op::Closed => self.node.handle(Input::ServerClosed { origin, reason: "gone".into() }, now),
            Op::Ping => self.node.handle(Input::ServerPing { origin }, now),
            Op::Text(text) => self.node.handle(Input::ServerText { origin, text }, now),
            Op::Challenge(n) => {
                let key =
                    if n == 2 { SignKey::generate(&mut Rng::from_seed([9; 32])) } else { self.key.clone() };
                let nonce = Nonce::from_bytes([n; 32]);
                let challenge = Challenge::sign(&key, nonce, vec![origin], now.unix_ms);
                self.text(&ServerMessage::Challenge(challenge));
            }
            Op::Welcome => {
                let limits = Limits { message: 1, rooms: 1, clients_per_room: 1 };
                self.text(&ServerMessage::Welcome { ice_servers: Vec::new(), limits, drain_after: None });
            }
            Op::Refuse => {
                let refusal = Refusal { code: RefusalCode::Full, message: "full".into() };
                self.text(&ServerMessage::Error(refusal));
            }
            Op::Entered(peers) => {
                let peers = peers.into_iter().map(|(n, member)| self.present(n, member)).collect();
                self.text(&ServerMessage::Entered { topic, peers });
            }
            Op::Arrived(n, member) => {
                let Present { session, announcement } = self.present(n, member);
                self.text(&ServerMessage::Arrived { topic, session, announcement });
            }
            Op::Left(n) => self.text(&ServerMessage::Left { topic, session: session(n) }),
            Op::Signal(n, kind, payload) => {
                let kinds = [Kind::Proof, Kind::FirstIk, Kind::FirstKk, Kind::Second, Kind::Sealed];
                let body = match kinds.get(usize::from(kind)) {
                    Some(&kind) => Signal { kind, tag: [n; 8], payload: &payload }.encode(),
                    None => payload,
                };
                self.text(&ServerMessage::Signal { topic, from: session(n), body: Bytes(body) });
            }
            Op::Network => self.node.handle(Input::NetworkChanged, now),
            Op::Describe(link, len) => {
                let sdp = "s".repeat(len);
                self.node.handle(Input::Description { link: LinkId(link), sdp }, now);
            }
            Op::Candidate(link, len) => {
                let candidate = "c".repeat(len);
                self.node.handle(Input::Candidate { link: LinkId(link), candidate }, now);
            }
            Op::Open(link) => self.node.handle(Input::Opened { link: LinkId(link) }, now),
            Op::Part(link, part) => self.node.handle(Input::Part { link: LinkId(link), part }, now),
            Op::Sent(link, bytes) => self.node.handle(Input::Sent { link: LinkId(link), bytes }, now),
            Op::Gone(link) => {
                self.node.handle(Input::Closed { link: LinkId(link), reason: "gone".into() }, now);
            }
            Op::Create => self.rooms.extend(self.node.create_room("r", &[origin], now)),
            Op::Join(n) => {
                let ticket = self.tickets[usize::from(n)].clone();
                self.rooms.extend(self.node.join(&ticket, Duration::from_secs(30), now));
            }
            Op::Leave => {
                if self.rooms.len() > 1 {
                    let room = self.rooms.pop().unwrap();
                    let _ = self.node.leave(&room, now);
                }
            }
            Op::Invite => {
                let options = InviteOptions { expires_ms: now.unix_ms + 1000, uses: 1, bound: None };
                let _ = self.node.invite(self.rooms.last().unwrap(), &options, now);
            }
            Op::Changed => self.node.local_changed(self.rooms.last().unwrap(), now),
            Op::Flush => self.node.flush(self.rooms.last().unwrap(), now),
            Op::Update(update) => {
                let _ = self.node.local_update(self.rooms.last().unwrap(), &update, now);
            }
            Op::OpenWriter(wanted) => {
                let _ = self.node.open_writer(self.rooms.last().unwrap(), wanted, now);
            }
            Op::CloseWriter(number) => self.node.close_writer(self.rooms.last().unwrap(), number, now),
            Op::Write(number, update) => {
                let _ = self.node.write(self.rooms.last().unwrap(), number, &update, now);
            }
            Op::Show(number, state) => {
                let _ = self.node.set_presence(self.rooms.last().unwrap(), number, state, now);
            }
        }
        self.drain();
    }

    /// As the driver does, until the next moment is in the future.
    fn timer(&mut self) {
        self.timers = 0;
        while self.node.poll_timeout().is_some_and(|at| at <= self.now) {
            self.timers += 1;
            assert!(self.timers < 50, "it asks again and again for a time that has come");
            let now = self.now();
            self.node.handle_timeout(now);
            self.drain();
        }
    }

    fn drain(&mut self) {
        let mut count = 0;
        while let Some(output) = self.node.poll_output() {
            count += 1;
            assert!(count < MAX_OUTPUTS, "it does not come to an end");
            if let Output::Collect { room } = output {
                let now = self.now();
                let _ = self.node.local_update(&room, &[0, 0], now);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_sequence_of_inputs_ends_and_panics_nowhere(ops in proptest::collection::vec(op(), 1..120)) {
        let mut bench = Bench::new();
        for op in ops {
            bench.run(op);
        }
        bench.timer();
    }
}

/// A server may name sessions without end, each with an announcement that it cannot read.
#[test]
fn rv5_a_server_cannot_fill_a_members_memory_with_sessions() {
    let mut bench = Bench::new();
    for op in [Op::Opened, Op::Challenge(0), Op::Welcome] {
        bench.run(op);
    }
    let topic = bench.topic;
    for n in 0u32..2000 {
        let mut session = [1; 32];
        session[..4].copy_from_slice(&n.to_be_bytes());
        let session = SessionId::from_bytes(session);
        bench.text(&ServerMessage::Arrived { topic, session, announcement: Bytes(vec![0; 72]) });
        bench.drain();
    }
    assert_eq!(bench.node.seen_sessions(&bench.rooms[0]), 256);
}
