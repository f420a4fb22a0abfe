//! The peer's machine: servers, rooms, links and their rules, in one.
//!
//! ```text
//! driver ── Input ──► Node::handle ─┬─ Server: sign-in, who is in which topic   (one per server)
//!                                   └─ Room: records, frames, newcomers, calls  (one per room)
//!                                        └─ Link: handshake, channel            (one per attempt at a pair)
//! driver ◄─ Output ── Node::poll_output            Node::poll_timeout → Node::handle_timeout
//! ```
//!
//! Call order: [`Node::new`], [`Node::restore`] with all that was persisted, [`Node::start`]; then any input or verb.
//! After every call the driver drains [`Node::poll_output`] and arms one timer by [`Node::poll_timeout`]. Everything
//! it is told to persist must be on disk before it carries out an output that came later.

mod admit;
mod calls;
mod changes;
mod io;
mod paths;
mod presence;
mod replay;
mod room;
mod server;
mod store;
mod sync;
mod writers;

pub use io::{
    Event, IceServers, Input, InviteOptions, JoinFailure, LinkId, MemberStatus, Output, Reach, ServerStatus,
};
pub use presence::PresenceStatus;
pub use room::RoomStatus;
pub use store::{StoreError, room_prefix};
pub use writers::Writer;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::admission::Prover;
use crate::crypto::Rng;
use crate::crypto::keys::{DeviceKeys, RoomSecret, SignKey, invite_key};
use crate::frames::{ChainId, Frontier};
use crate::id::{DeviceId, RecordId, RoomId};
use crate::membership::Records;
use crate::origin::Origin;
use crate::presence::MAX_STATE;
use crate::record::{Author, MAX_NAME, Policy, RecordError};
use crate::sorted::Map;
use crate::ticket::{MAX_SERVERS, Ticket, TicketServer};
use crate::time::Now;
use crate::topology::Topology;
use room::{Join, Room};
use server::{ServerEvent, Servers};

/// Who this node is.
pub struct Config {
    /// The device's seed.
    pub seed: [u8; 32],
    /// Fresh randomness for this start.
    pub rng: [u8; 32],
    /// The user's name, 1 to 96 bytes.
    pub user: String,
    /// The device's name, 1 to 96 bytes.
    pub device: String,
}

/// What the application asked for cannot be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerbError {
    /// No such room here.
    #[error("there is no such room here")]
    NoSuchRoom,
    /// Not admitted to the room yet.
    #[error("this device is not in the room yet")]
    NotAMember,
    /// A name that is none.
    #[error("a name has 1 to {MAX_NAME} bytes and no control characters")]
    Name,
    /// No server, or more than 8.
    #[error("a room needs 1 to {MAX_SERVERS} servers")]
    Servers,
    /// A ticket must end in the future and have a use.
    #[error("a ticket needs at least one use and must not end before it is made")]
    Ticket,
    /// The chain of invites is as long as a handshake can carry.
    #[error("this device is too many invites away from the founder to invite others")]
    ChainTooLong,
    /// The ticket is for another device.
    #[error("the ticket is for another device")]
    NotForThisDevice,
    /// The ticket has ended.
    #[error("the ticket has expired")]
    Expired,
    /// Joining that room is under way.
    #[error("joining this room is under way already")]
    JoinUnderWay,
    /// What a member shows is JSON of at most 16 KiB.
    #[error("a presence is JSON of at most {} KiB", MAX_STATE / 1024)]
    Presence,
    /// A rule of the change log was broken on this side: a bug.
    #[error("the change was refused: {0}")]
    Change(String),
}

impl VerbError {
    /// A short name for programs; stays the same over versions.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoSuchRoom => "no_such_room",
            Self::NotForThisDevice => "not_for_this_device",
            Self::Expired => "expired",
            Self::JoinUnderWay => "join_under_way",
            Self::Name => "invalid_name",
            Self::ChainTooLong => "chain_too_long",
            _ => "invalid_request",
        }
    }
}

impl From<RecordError> for VerbError {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Field(_) => Self::Name,
            other => Self::Change(other.to_string()),
        }
    }
}

/// What all parts of the node work with.
struct Ctx<'a> {
    author: &'a Author,
    rng: &'a mut Rng,
    servers: &'a mut Servers,
    out: &'a mut VecDeque<Output>,
    next_link: &'a mut u64,
    now: Now,
}

impl Ctx<'_> {
    fn emit(&mut self, output: Output) {
        self.out.push_back(output);
    }

    fn event(&mut self, event: Event) {
        self.emit(Output::Event(event));
    }

    fn new_link(&mut self) -> LinkId {
        *self.next_link += 1;
        LinkId(*self.next_link)
    }
}

/// One peer: a device, its servers and its rooms.
pub struct Node {
    author: Author,
    rng: Rng,
    servers: Servers,
    rooms: Map<RoomId, Room>,
    out: VecDeque<Output>,
    next_link: u64,
    started_ms: u64,
}

macro_rules! ctx {
    ($self:ident, $now:expr) => {
        Ctx {
            author: &$self.author,
            rng: &mut $self.rng,
            servers: &mut $self.servers,
            out: &mut $self.out,
            next_link: &mut $self.next_link,
            now: $now,
        }
    };
}

impl Node {
    /// A node with no rooms.
    pub fn new(config: &Config, now: Now) -> Result<Self, VerbError> {
        let keys = DeviceKeys::from_seed(&config.seed);
        let author = Author::new(keys, &config.user, &config.device, now.unix_ms)?;
        Ok(Self {
            author,
            rng: Rng::from_seed(config.rng),
            servers: Servers::default(),
            rooms: Map::new(),
            out: VecDeque::new(),
            next_link: 0,
            started_ms: now.unix_ms,
        })
    }

    /// This device.
    pub fn device(&self) -> DeviceId {
        self.author.device()
    }

    /// Takes back what [`Output::Persist`] stored, in the order of the keys. Emits [`Output::Apply`] for every frame.
    pub fn restore<'a>(
        &mut self,
        entries: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
        now: Now,
    ) -> Result<(), StoreError> {
        store::restore(self, entries, now)
    }

    /// Begins to dial the servers of the restored rooms.
    pub fn start(&mut self, now: Now) {
        let mut ctx = ctx!(self, now);
        for room in self.rooms.values_mut() {
            room.start(&mut ctx);
        }
        self.settle(now);
    }

    /// Founds a room. It is there at once, whether or not a server can be reached.
    pub fn create_room(&mut self, name: &str, servers: &[Origin], now: Now) -> Result<RoomId, VerbError> {
        if servers.is_empty() || servers.len() > MAX_SERVERS {
            return Err(VerbError::Servers);
        }
        let genesis = loop {
            let genesis = self.author.genesis(name, Policy::default(), now.unix_ms, &mut self.rng)?;
            // An id that looks like an option is a nuisance on every command line.
            if !genesis.id().to_string().starts_with('-') {
                break genesis;
            }
        };
        let records = Records::new(genesis).ok_or(VerbError::Name)?;
        let secret = RoomSecret::from_bytes(self.rng.bytes());
        let id = records.room();
        let mesh = SignKey::generate(&mut self.rng).session();
        let mut room = Room::new(id, secret, servers.to_vec(), mesh, self.started_ms);
        let mut ctx = ctx!(self, now);
        room.found(records, &mut ctx);
        self.rooms.insert(id, room);
        self.settle(now);
        Ok(id)
    }

    /// Makes an invite and the ticket for it.
    pub fn invite(&mut self, room: &RoomId, options: &InviteOptions, now: Now) -> Result<Ticket, VerbError> {
        let seed: [u8; 32] = self.rng.bytes();
        let known = self.rooms.get_mut(room).ok_or(VerbError::NoSuchRoom)?;
        let mut ctx = ctx!(self, now);
        let invite = known.invite(invite_key(&seed).public(), options, &mut ctx)?;
        let servers = known
            .servers()
            .iter()
            .map(|origin| TicketServer { origin: origin.clone(), key: self.servers.key(origin) })
            .collect();
        let ticket = Ticket {
            servers,
            room: *room,
            secret: known.secret().clone(),
            issuer: self.author.device(),
            issuer_box: self.author.keys().box_secret.public(),
            invite: invite.id(),
            seed,
            expires: options.expires_ms,
            bound: options.bound,
        };
        self.settle(now);
        Ok(ticket)
    }

    /// Asks to be let in. Ends with [`Event::Ready`] or [`Event::JoinFailed`] within `timeout`.
    pub fn join(&mut self, ticket: &Ticket, timeout: Duration, now: Now) -> Result<RoomId, VerbError> {
        if let Some(room) = self.rooms.get(&ticket.room) {
            if room.is_joining() {
                return Err(VerbError::JoinUnderWay);
            }
            if room.is_member() {
                self.out.push_back(Output::Event(Event::Ready { room: ticket.room }));
                return Ok(ticket.room);
            }
            // Our place went to another; this ticket may be for a new one.
            self.leave(&ticket.room, now)?;
        }
        if ticket.bound.is_some_and(|bound| bound != self.device()) {
            return Err(VerbError::NotForThisDevice);
        }
        if now.unix_ms >= ticket.expires {
            return Err(VerbError::Expired);
        }
        let prover = Prover::new(ticket, &self.author)?;
        let origins: Vec<Origin> = ticket.servers.iter().map(|server| server.origin.clone()).collect();
        for server in &ticket.servers {
            self.servers.expect_key(&server.origin, server.key);
        }
        let mesh = SignKey::generate(&mut self.rng).session();
        let mut room = Room::new(ticket.room, ticket.secret.clone(), origins, mesh, self.started_ms);
        let mut ctx = ctx!(self, now);
        room.begin_join(Join::new(ticket.clone(), prover, now.monotonic + timeout), &mut ctx);
        self.rooms.insert(ticket.room, room);
        self.settle(now);
        Ok(ticket.room)
    }

    /// Forgets a room: closes its links and deletes what is stored of it.
    pub fn leave(&mut self, room: &RoomId, now: Now) -> Result<(), VerbError> {
        let mut gone = self.rooms.remove(room).ok_or(VerbError::NoSuchRoom)?;
        let mut ctx = ctx!(self, now);
        gone.end(&mut ctx);
        self.out.push_back(Output::Forget { room: *room });
        self.drop_unused_servers();
        self.settle(now);
        Ok(())
    }

    /// Closes the link with a member, for an application that knows better; it is set up anew like any lost link.
    pub fn reset_link(&mut self, room: &RoomId, device: &DeviceId, now: Now) -> Result<(), VerbError> {
        self.rooms.get_mut(room).ok_or(VerbError::NoSuchRoom)?.reset_link(device);
        self.settle(now);
        Ok(())
    }

    /// The room's Y.Doc has changes that were not handed over yet. Leads to [`Output::Collect`], at once or a little
    /// later when changes come quickly.
    pub fn local_changed(&mut self, room: &RoomId, now: Now) {
        let mut ctx = ctx!(self, now);
        if let Some(room) = self.rooms.get_mut(room) {
            room.local_changed(&mut ctx);
        }
        self.settle(now);
    }

    /// As [`Node::local_changed`], for an application that waits: leads to [`Output::Collect`] at once.
    pub fn flush(&mut self, room: &RoomId, now: Now) {
        let mut ctx = ctx!(self, now);
        if let Some(room) = self.rooms.get_mut(room) {
            room.flush(&mut ctx);
        }
        self.settle(now);
    }

    /// One update of the room's Y.Doc (v1, at most 1 MiB), in answer to [`Output::Collect`].
    pub fn local_update(&mut self, room: &RoomId, update: &[u8], now: Now) -> Result<(), VerbError> {
        let known = self.rooms.get_mut(room).ok_or(VerbError::NoSuchRoom)?;
        let mut ctx = ctx!(self, now);
        let result = known.local_update(update, &mut ctx);
        self.settle(now);
        result
    }

    /// Another Y.Doc of the room was opened on this device, beside the one that [`Node::local_update`] is for: each has
    /// a client id of its own. `wanted` is the incarnation it had before a restart of the node.
    pub fn open_writer(&mut self, room: &RoomId, wanted: Option<u32>, now: Now) -> Result<Writer, VerbError> {
        let known = self.rooms.get_mut(room).ok_or(VerbError::NoSuchRoom)?;
        known.open_writer(wanted, &mut ctx!(self, now))
    }

    /// A Y.Doc was closed: its incarnation is free for the next.
    pub fn close_writer(&mut self, room: &RoomId, incarnation: u32, now: Now) {
        let mut ctx = ctx!(self, now);
        if let Some(room) = self.rooms.get_mut(room) {
            room.close_writer(incarnation, &mut ctx);
        }
        self.settle(now);
    }

    /// As [`Node::local_update`], by the Y.Doc of that incarnation.
    pub fn write(
        &mut self,
        room: &RoomId,
        incarnation: u32,
        update: &[u8],
        now: Now,
    ) -> Result<(), VerbError> {
        let known = self.rooms.get_mut(room).ok_or(VerbError::NoSuchRoom)?;
        let mut ctx = ctx!(self, now);
        let result = known.write(incarnation, update, &mut ctx);
        self.settle(now);
        result
    }

    /// All accepted updates of a room, causes first: what a fresh Y.Doc is filled with.
    pub fn updates(&self, room: &RoomId) -> impl Iterator<Item = (ChainId, &Arc<[u8]>)> {
        let log = self.rooms.get(room).map(|room| &room.log);
        let frames = log.into_iter().flat_map(|log| (0..log.len()).filter_map(|n| log.nth(n)));
        frames.map(|frame| (frame.chain(), frame.update()))
    }

    /// What one of this device's Y.Docs shows to the others: a JSON value of at most 16 KiB, or nothing any more.
    pub fn set_presence(
        &mut self,
        room: &RoomId,
        incarnation: u32,
        state: Option<String>,
        now: Now,
    ) -> Result<(), VerbError> {
        let known = self.rooms.get_mut(room).ok_or(VerbError::NoSuchRoom)?;
        let mut ctx = ctx!(self, now);
        let result = known.set_presence(incarnation, state, &mut ctx);
        self.settle(now);
        result
    }

    /// What the members who are here show, this device included.
    pub fn presence(&self, room: &RoomId) -> Vec<PresenceStatus> {
        self.rooms.get(room).map(Room::presence).unwrap_or_default()
    }

    /// Who is linked with whom, as far as it is known here.
    pub fn topology(&self, room: &RoomId, now: Now) -> Topology {
        self.rooms.get(room).map(|room| room.topology(&self.author.device(), now)).unwrap_or_default()
    }

    /// Something happened outside.
    pub fn handle(&mut self, input: Input, now: Now) {
        match input {
            Input::ServerOpened { origin } => self.servers.handle_opened(&origin, now),
            Input::ServerText { origin, text } => {
                self.servers.handle_text(&origin, &text, &mut self.rng, &mut self.out, now);
            }
            Input::ServerPing { origin } => self.servers.handle_ping(&origin, now),
            Input::ServerClosed { origin, reason } => {
                self.servers.handle_closed(&origin, &reason, &mut self.rng, &mut self.out, now);
            }
            Input::NetworkChanged => {
                self.servers.network_changed(&mut self.out, now);
                let mut ctx = ctx!(self, now);
                self.rooms.values_mut().for_each(|room| room.network_changed(&mut ctx));
            }
            Input::Description { link, sdp } => {
                self.with_link(link, now, |slot, _| slot.handle_description(sdp));
            }
            Input::Candidate { link, candidate } => {
                self.with_link(link, now, |slot, _| slot.handle_candidate(candidate));
            }
            Input::Opened { link } => self.with_link(link, now, crate::link::Link::handle_open),
            Input::Part { link, part } => {
                self.with_link(link, now, |slot, now| slot.handle_channel(&part, now));
            }
            Input::Sent { link, bytes } => {
                self.with_link(link, now, |slot, now| slot.handle_sent(bytes, now));
            }
            Input::Closed { link, reason } => {
                self.with_link(link, now, |slot, _| slot.handle_closed(reason));
            }
        }
        self.settle(now);
    }

    fn with_link(&mut self, id: LinkId, now: Now, act: impl FnOnce(&mut crate::link::Link, Now)) {
        if let Some(link) = self.rooms.values_mut().find_map(|room| room.link(id)) {
            act(link, now);
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Now) {
        self.servers.handle_timeout(&mut self.rng, &mut self.out, now);
        let mut ctx = ctx!(self, now);
        let mut failed = Vec::new();
        for (id, room) in &mut self.rooms {
            room.handle_timeout(&mut ctx);
            failed.extend(room.join_failure(&ctx).map(|failure| (*id, failure)));
        }
        for (room, failure) in failed {
            let mut ctx = ctx!(self, now);
            if let Some(mut gone) = self.rooms.remove(&room) {
                gone.end(&mut ctx);
            }
            self.out.push_back(Output::Forget { room });
            self.out.push_back(Output::Event(Event::JoinFailed { room, failure }));
            self.drop_unused_servers();
        }
        self.settle(now);
    }

    /// When [`Node::handle_timeout`] wants to be called, on the monotonic clock.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.rooms.values().filter_map(Room::poll_timeout).chain(self.servers.poll_timeout()).min()
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// Carries what happened in one part to the others, until nothing more happens.
    fn settle(&mut self, now: Now) {
        loop {
            let mut ctx = ctx!(self, now);
            for room in self.rooms.values_mut() {
                room.settle(&mut ctx);
            }
            let events = self.servers.take_events();
            if events.is_empty() {
                break;
            }
            for (origin, event) in events {
                self.server_event(&origin, event, now);
            }
        }
    }

    fn server_event(&mut self, origin: &Origin, event: ServerEvent, now: Now) {
        let mut ctx = ctx!(self, now);
        let of = |topic: &crate::id::Topic, rooms: &mut Map<RoomId, Room>| {
            rooms.values().find(|room| room.topic() == topic).map(Room::id)
        };
        match event {
            ServerEvent::Ready => {
                for room in self.rooms.values_mut().filter(|room| room.servers().contains(origin)) {
                    room.enter(origin, &mut ctx);
                }
                ctx.event(Event::Server { origin: origin.clone(), connected: true });
            }
            ServerEvent::Down => {
                self.rooms.values_mut().for_each(|room| room.server_down(origin, &mut ctx));
                ctx.event(Event::Server { origin: origin.clone(), connected: false });
            }
            ServerEvent::Trouble => ctx.event(Event::Server { origin: origin.clone(), connected: false }),
            ServerEvent::Entered { topic, peers } => {
                let id = of(&topic, &mut self.rooms);
                if let Some(room) = id.and_then(|id| self.rooms.get_mut(&id)) {
                    room.entered(origin, peers, &mut ctx);
                }
            }
            ServerEvent::Arrived { topic, peer } => {
                let id = of(&topic, &mut self.rooms);
                if let Some(room) = id.and_then(|id| self.rooms.get_mut(&id)) {
                    room.arrived(origin, peer, &mut ctx);
                }
            }
            ServerEvent::Left { topic, session } => {
                let id = of(&topic, &mut self.rooms);
                if let Some(room) = id.and_then(|id| self.rooms.get_mut(&id)) {
                    room.left(origin, &session, &mut ctx);
                }
            }
            ServerEvent::Signal { topic, from, body } => {
                let id = of(&topic, &mut self.rooms);
                if let Some(room) = id.and_then(|id| self.rooms.get_mut(&id)) {
                    room.server_signal(origin, from, &body, &mut ctx);
                }
            }
        }
    }

    fn drop_unused_servers(&mut self) {
        let used = self.rooms.values().flat_map(|room| room.servers().iter().cloned()).collect();
        self.servers.keep_only(&used, &mut self.out);
    }

    /// All rooms of this device, those it is still joining left out.
    pub fn rooms(&self) -> impl Iterator<Item = RoomStatus> + '_ {
        self.rooms.values().filter_map(Room::status)
    }

    /// One room.
    pub fn room(&self, room: &RoomId) -> Option<RoomStatus> {
        self.rooms.get(room).and_then(Room::status)
    }

    /// Who is in a room, in the order of their device ids; empty for a room that is not here.
    pub fn members(&self, room: &RoomId, now: Now) -> Vec<MemberStatus> {
        self.rooms.get(room).map(|room| room.members(&self.author.device(), now)).unwrap_or_default()
    }

    /// How the servers are.
    pub fn servers(&self) -> Vec<ServerStatus> {
        self.servers.status()
    }

    /// The Yjs client id to write with, and how much of the room's log is here.
    pub fn log(&self, room: &RoomId) -> Option<(u64, Frontier)> {
        self.rooms.get(room).map(|room| (room.client(&self.author.device()), room.frontier()))
    }

    /// The Y.Doc that [`Node::local_update`] is for.
    pub fn writer(&self, room: &RoomId) -> Option<Writer> {
        let room = self.rooms.get(room)?;
        Some(Writer { incarnation: room.incarnation, client: room.client(&self.author.device()) })
    }

    /// The newest membership records of a room.
    pub fn heads(&self, room: &RoomId) -> Vec<RecordId> {
        self.rooms.get(room).map(Room::heads).unwrap_or_default()
    }

    /// How many sessions the servers show in a room, whoever they are.
    pub fn seen_sessions(&self, room: &RoomId) -> usize {
        self.rooms.get(room).map(|room| room.visible.len()).unwrap_or_default()
    }

    /// How many newcomers' proofs were met with silence, over all rooms.
    pub fn rejected_proofs(&self) -> u64 {
        self.rooms.values().map(Room::rejected).sum()
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node")
            .field("device", &self.author.device())
            .field("rooms", &self.rooms.len())
            .finish_non_exhaustive()
    }
}
