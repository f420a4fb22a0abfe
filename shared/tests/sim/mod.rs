//! What the simulated worlds of the tests share: a Y.Doc, a room full of people, and what must hold in the end.
#![allow(dead_code, missing_docs, unreachable_pub)]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use symbolon_core::id::{DeviceId, RoomId, SessionId};
use symbolon_core::node::{Event, InviteOptions, JoinFailure};
use symbolon_core::origin::Origin;
use symbolon_core::signal::{ClientMessage, ServerMessage};
use symbolon_core::sim::{Conditions, Direction, Document, HostId, Passing, ServerId, Verdict, World};
use symbolon_core::ticket::Ticket;
use yrs::block::ClientID;
use yrs::updates::decoder::Decode;
use yrs::{GetString, OffsetKind, Options, ReadTxn, StateVector, Text, Transact, Update, WriteTxn};

pub const S: fn(u64) -> Duration = Duration::from_secs;

/// One text, as `peer` keeps it.
pub struct YDoc {
    yrs: yrs::Doc,
    updates: Vec<Vec<u8>>,
}

impl YDoc {
    fn edit(&mut self, change: impl FnOnce(&yrs::TextRef, &mut yrs::TransactionMut<'_>)) {
        let mut txn = self.yrs.transact_mut();
        let text = txn.get_or_insert_text("text:main");
        change(&text, &mut txn);
        txn.commit();
        if txn.has_changes() {
            self.updates.push(txn.encode_update_v1());
        }
    }

    /// Inserts at a place named in thousandths of the text.
    pub fn insert(&mut self, place: u64, what: &str) {
        let at = (u64::from(self.len()) * place / 1000) as u32;
        self.edit(|text, txn| text.insert(txn, at, what));
    }

    /// Inserts at a position in UTF-16 units.
    pub fn insert_at(&mut self, at: u32, what: &str) {
        self.edit(|text, txn| text.insert(txn, at, what));
    }

    /// Deletes up to `count` units there.
    pub fn delete(&mut self, place: u64, count: u32) {
        let len = self.len();
        let at = (u64::from(len) * place / 1000) as u32;
        self.edit(|text, txn| text.remove_range(txn, at, count.min(len - at)));
    }

    fn len(&self) -> u32 {
        let txn = self.yrs.transact();
        txn.get_text("text:main").map_or(0, |text| text.len(&txn))
    }

    pub fn text(&self) -> String {
        let txn = self.yrs.transact();
        txn.get_text("text:main").map_or_else(String::new, |text| text.get_string(&txn))
    }
}

impl Document for YDoc {
    fn new(client: u64) -> Self {
        let mut options = Options::with_client_id(ClientID::new(client));
        options.offset_kind = OffsetKind::Utf16;
        options.skip_gc = false;
        options.cleanup_formatting = false;
        Self { yrs: yrs::Doc::with_options(options), updates: Vec::new() }
    }

    fn apply(&mut self, update: &[u8]) {
        let mut txn = self.yrs.transact_mut();
        txn.apply_update(Update::decode_v1(update).unwrap()).unwrap();
        assert!(txn.prune_pending().is_none(), "an update came before what it needs");
    }

    fn set_client(&mut self, client: u64) {
        if self.yrs.client_id().get() != client {
            let state = self.yrs.transact().encode_state_as_update_v1(&StateVector::default());
            let mut fresh = Self::new(client);
            fresh.apply(&state);
            fresh.updates = std::mem::take(&mut self.updates);
            *self = fresh;
        }
    }

    fn take_updates(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.updates)
    }
}

pub type Sim = World<YDoc>;

pub fn origin() -> Origin {
    "ws://rendezvous.test:7900".parse().unwrap()
}

/// A world with one server and these people.
pub fn world(seed: u64, conditions: Conditions, names: &[&str]) -> (Sim, ServerId, Vec<HostId>) {
    let mut world = World::new(seed, conditions);
    let server = world.add_server(origin());
    let hosts = names.iter().map(|name| world.add_host(name)).collect();
    (world, server, hosts)
}

/// A world whose first host has founded a room and let the others in.
pub fn room(seed: u64, conditions: Conditions, names: &[&str]) -> (Sim, ServerId, Vec<HostId>, RoomId) {
    let (mut world, server, hosts) = world(seed, conditions, names);
    let room = world.create_room(hosts[0], &[origin()]).unwrap();
    for host in &hosts[1..] {
        let ticket = ticket(&mut world, hosts[0], &room).unwrap();
        world.join(*host, &ticket, S(60)).unwrap().unwrap();
        assert!(world.run_until(S(60), |w| is_ready(w, *host, &room)), "{host:?} did not get in");
    }
    assert!(world.run_until(S(60), |w| all_linked(w, &hosts, &room)), "not all linked");
    (world, server, hosts, room)
}

pub fn options(world: &Sim) -> InviteOptions {
    InviteOptions { expires_ms: world.now().unix_ms + 3_600_000, uses: 1, bound: None }
}

pub fn ticket(world: &mut Sim, by: HostId, room: &RoomId) -> Option<Ticket> {
    let options = options(world);
    world.with(by, |node, now| node.invite(room, &options, now))?.ok()
}

/// In the room, in sync and told so.
pub fn is_ready(world: &Sim, host: HostId, room: &RoomId) -> bool {
    world.node(host).is_some_and(|node| node.room(room).is_some())
}

pub fn join_failure(world: &Sim, host: HostId) -> Option<JoinFailure> {
    world.events(host).iter().find_map(|event| match event {
        Event::JoinFailed { failure, .. } => Some(failure.clone()),
        _ => None,
    })
}

pub fn device(world: &Sim, host: HostId) -> DeviceId {
    world.node(host).unwrap().device()
}

/// The devices that a host holds for members.
pub fn members(world: &Sim, host: HostId, room: &RoomId) -> BTreeSet<DeviceId> {
    let Some(node) = world.node(host) else { return BTreeSet::new() };
    node.members(room, world.now_at(host)).iter().map(|member| member.device).collect()
}

pub fn linked(world: &Sim, one: HostId, other: HostId, room: &RoomId) -> bool {
    let (Some(node), Some(there)) = (world.node(one), world.node(other)) else { return false };
    node.members(room, world.now_at(one)).iter().any(|m| m.device == there.device() && m.linked)
}

pub fn all_linked(world: &Sim, hosts: &[HostId], room: &RoomId) -> bool {
    hosts.iter().all(|one| hosts.iter().all(|other| one == other || linked(world, *one, *other, room)))
}

pub fn text(world: &Sim, host: HostId, room: &RoomId) -> String {
    world.doc(host, room).map_or_else(String::new, YDoc::text)
}

/// The same members, records, changes and text everywhere.
pub fn same_state(world: &Sim, hosts: &[HostId], room: &RoomId) -> bool {
    let state = |host: HostId| {
        let node = world.node(host)?;
        Some((members(world, host, room), node.heads(room), node.log(room)?.1, text(world, host, room)))
    };
    let first = state(hosts[0]);
    first.is_some() && hosts.iter().all(|host| state(*host) == first)
}

/// All linked, each pair by one connection, and the same state.
pub fn settled(world: &Sim, hosts: &[HostId], room: &RoomId) -> bool {
    all_linked(world, hosts, room) && same_state(world, hosts, room)
}

/// What each host says of the others, for a failing test.
pub fn picture(world: &Sim, hosts: &[HostId], room: &RoomId) -> String {
    let mut out = format!("at {:?}\n", world.now().monotonic);
    for host in hosts {
        let Some(node) = world.node(*host) else {
            out += &format!("{host:?}: off\n");
            continue;
        };
        let links: Vec<usize> =
            hosts.iter().filter(|o| linked(world, *host, **o, room)).map(|host| host.0).collect();
        out += &format!(
            "{host:?}: ready {} links {links:?} members {} heads {:?} frames {} text {:?} servers {:?}\n",
            is_ready(world, *host, room),
            members(world, *host, room).len(),
            node.heads(room),
            node.log(room).map_or(0, |(_, f)| f.0.values().sum::<u32>()),
            text(world, *host, room),
            node.servers().iter().map(|s| (s.session.is_some(), s.trouble.clone())).collect::<Vec<_>>(),
        );
    }
    out
}

/// All that went over the sockets.
#[derive(Default)]
pub struct Wire {
    pub client: Vec<(HostId, ClientMessage)>,
    pub server: Vec<(HostId, ServerMessage)>,
}

impl Wire {
    /// Watches a world's sockets from now on.
    pub fn watch(world: &mut Sim) -> Rc<RefCell<Self>> {
        let wire = Rc::new(RefCell::new(Self::default()));
        let seen = Rc::clone(&wire);
        world.set_between(move |passing: &Passing<'_>| -> Vec<Verdict> {
            seen.borrow_mut().see(passing);
            vec![passing.unchanged()]
        });
        wire
    }

    pub fn see(&mut self, passing: &Passing<'_>) {
        match passing.direction {
            Direction::ToServer => {
                self.client.push((passing.host, ClientMessage::decode(passing.text).unwrap()));
            }
            Direction::ToClient => {
                self.server.push((passing.host, ServerMessage::decode(passing.text).unwrap()));
            }
        }
    }

    /// The sessions under which a host signed in.
    pub fn sessions(&self, host: HostId) -> BTreeSet<SessionId> {
        let hello = |(who, message): &(HostId, ClientMessage)| match message {
            ClientMessage::Hello(hello) if *who == host => Some(hello.session),
            _ => None,
        };
        self.client.iter().filter_map(hello).collect()
    }

    /// Signals that anybody sent to a host.
    pub fn signals_to(&self, host: HostId) -> usize {
        let sessions = self.sessions(host);
        let to = |(_, message): &&(HostId, ClientMessage)| match message {
            ClientMessage::Signal { to, .. } => sessions.contains(to),
            _ => false,
        };
        self.client.iter().filter(to).count()
    }

    /// Signals that a host sent.
    pub fn signals_by(&self, host: HostId) -> usize {
        let by =
            |(who, m): &&(HostId, ClientMessage)| *who == host && matches!(m, ClientMessage::Signal { .. });
        self.client.iter().filter(by).count()
    }
}
