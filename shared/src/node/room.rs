//! One room of this node: what it holds, and how its parts meet.

use std::time::Duration;

use super::Ctx;
use super::calls::{Peer, Slot};
use super::io::{Event, LinkId, MemberStatus, Output, Reach};
use super::presence::Shown;
use super::replay::Replays;
use super::store::{self, Meta};
use super::sync::Pulling;
use crate::admission::{Admitted, Prover, announce, announce_nothing};
use crate::crypto::keys::RoomSecret;
use crate::frames::{ChainId, Frame, Frontier, Inserted, Log};
use crate::gossip::Gossip;
use crate::id::{DeviceId, RecordId, RoomId, SessionId, Topic};
use crate::link::{CloseReason, Link, LinkOutput};
use crate::membership::{self, Membership, Records};
use crate::mesh::Item;
use crate::origin::Origin;
use crate::presence::Presence;
use crate::record::{Body, Record};
use crate::signal::{Bytes, ClientMessage};
use crate::sorted::{Map, Set};
use crate::ticket::Ticket;
use crate::time::Now;
use crate::topology::{self, Topology};

/// From how many numbers a device that joins picks its incarnation; those above are left for counting up.
const FRESH_INCARNATIONS: u64 = 1 << 31;

/// A room as the application sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomStatus {
    /// Which.
    pub id: RoomId,
    /// Its name, as the founder gave it.
    pub name: String,
    /// Where it meets.
    pub servers: Vec<Origin>,
    /// How many members it has.
    pub members: usize,
    /// How many of them are linked with us.
    pub links: usize,
}

/// What a newcomer holds until it is in.
#[derive(Debug)]
pub(super) struct Join {
    pub(super) ticket: Ticket,
    pub(super) prover: Prover,
    pub(super) deadline: Duration,
    /// Sessions that have a proof, per server: how many, and when one that was lost or came too early is sent again.
    pub(super) proved: Map<(Origin, SessionId), (u32, Duration)>,
    /// When the next proofs are due.
    pub(super) next: Option<Duration>,
    /// Whether a member has answered.
    pub(super) answered: bool,
    /// In, in sync, and told so.
    pub(super) done: bool,
    /// Let in by somebody who did not know yet that the places were taken.
    pub(super) late: bool,
}

impl Join {
    pub(super) fn new(ticket: Ticket, prover: Prover, deadline: Duration) -> Self {
        Self {
            ticket,
            prover,
            deadline,
            proved: Map::new(),
            next: None,
            answered: false,
            done: false,
            late: false,
        }
    }
}

/// What became of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It counts now.
    New,
    /// It was here already.
    Known,
    /// It waits for something, or counts for nothing.
    Held,
}

/// A session in the room's topic at a server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Visible {
    /// Whose, if a member announced it.
    pub(super) device: Option<DeviceId>,
    /// Proofs it has sent.
    pub(super) proofs: u32,
    /// Counts up: of a device's sessions the newest is the one to call first.
    pub(super) number: u64,
    /// Calls to it that came to nothing since the last that did not.
    pub(super) failures: u32,
}

pub(super) struct Room {
    pub(super) id: RoomId,
    pub(super) secret: RoomSecret,
    topic: Topic,
    servers: Vec<Origin>,
    pub(super) records: Option<Records>,
    pub(super) membership: Membership,
    records_stored: usize,
    pub(super) log: Log,
    pub(super) incarnation: u32,
    /// Further incarnations of this device that this store alone writes with.
    pub(super) further: Set<u32>,
    /// Those of both that have an open Y.Doc.
    pub(super) open: Set<u32>,
    /// What our Y.Docs show, by incarnation.
    pub(super) shown: Map<u32, Shown>,
    pub(super) presence_count: u64,
    /// What is shown, and when it came.
    pub(super) presences: Map<ChainId, (Presence, Duration)>,
    pub(super) join: Option<Join>,
    pub(super) member: bool,
    pub(super) visible: Map<(Origin, SessionId), Visible>,
    /// Proofs and first messages that led to an attempt at a link.
    pub(super) replays: Replays,
    /// How many sessions were seen.
    pub(super) seen: u64,
    pub(super) slots: Map<LinkId, Slot>,
    /// Per device the link that is up.
    pub(super) up: Map<DeviceId, LinkId>,
    /// Per device the attempt that is under way.
    pub(super) pending: Map<DeviceId, LinkId>,
    pub(super) peers: Map<DeviceId, Peer>,
    pub(super) gossip: Gossip,
    pub(super) pulling: Option<Pulling>,
    /// Our session for signals over the mesh.
    pub(super) mesh_session: SessionId,
    pub(super) list_version: (u64, u64),
    pub(super) list_due: Option<Duration>,
    pub(super) last_local: Option<Duration>,
    pub(super) collect_at: Option<Duration>,
    pub(super) rejected: u64,
}

impl Room {
    pub(super) fn new(
        id: RoomId,
        secret: RoomSecret,
        servers: Vec<Origin>,
        mesh_session: SessionId,
        started_ms: u64,
    ) -> Self {
        Self {
            id,
            topic: secret.topic(),
            secret,
            servers,
            records: None,
            membership: Membership::default(),
            records_stored: 0,
            log: Log::new(id),
            incarnation: 0,
            further: Set::new(),
            open: Set::new(),
            shown: Map::new(),
            presence_count: 0,
            presences: Map::new(),
            join: None,
            member: false,
            visible: Map::new(),
            replays: Replays::default(),
            seen: 0,
            slots: Map::new(),
            up: Map::new(),
            pending: Map::new(),
            peers: Map::new(),
            gossip: Gossip::default(),
            pulling: None,
            mesh_session,
            list_version: (started_ms, 0),
            list_due: None,
            last_local: None,
            collect_at: None,
            rejected: 0,
        }
    }

    /// A new room, with this node as its founder.
    pub(super) fn found(&mut self, records: Records, ctx: &mut Ctx<'_>) {
        ctx.emit(store::persist_record(&self.id, 0, records.genesis()));
        self.records_stored = 1;
        self.membership = Membership::of(&records);
        self.records = Some(records);
        self.become_member(ctx);
        ctx.event(Event::Ready { room: self.id });
        self.start(ctx);
    }

    /// Takes back what was stored; `false` if it does not fit together.
    pub(super) fn restore(
        &mut self,
        records: Records,
        incarnations: Vec<u32>,
        frames: Vec<Frame>,
        ctx: &mut Ctx<'_>,
    ) -> bool {
        self.membership = Membership::of(&records);
        self.records_stored = records.len();
        self.records = Some(records);
        for (device, _) in self.membership.members() {
            self.peers.entry(*device).or_default();
        }
        let mut incarnations = incarnations.into_iter();
        self.incarnation = incarnations.next().unwrap_or_default();
        self.further = incarnations.collect();
        self.member = self.membership.member(&ctx.author.device()).is_some();
        for frame in frames {
            let (chain, update) = (frame.chain(), frame.update().clone());
            let known = self.log.len();
            match self.log.insert(frame, |device| self.membership.was_admitted(device)) {
                // What waits was stored after what it waits for, unless the store lost something in between.
                Inserted::New(frames) if frames.len() == 1 => {}
                _ => return false,
            }
            debug_assert_eq!(self.log.len(), known + 1);
            ctx.emit(Output::Apply { room: self.id, chain, update });
        }
        ctx.emit(Output::SetClient { room: self.id, client: self.client(&ctx.author.device()) });
        true
    }

    pub(super) fn begin_join(&mut self, join: Join, ctx: &mut Ctx<'_>) {
        self.join = Some(join);
        self.start(ctx);
    }

    pub(super) fn start(&mut self, ctx: &mut Ctx<'_>) {
        for origin in self.servers.clone() {
            if ctx.servers.want(&origin, ctx.out, ctx.now) {
                self.enter(&origin, ctx);
            }
        }
    }

    /// Closes everything.
    pub(super) fn end(&mut self, ctx: &mut Ctx<'_>) {
        for link in self.slots.keys() {
            ctx.emit(Output::Close { link: *link });
        }
        for origin in &self.servers {
            ctx.servers.send(origin, &ClientMessage::Leave { topic: self.topic }, ctx.out);
        }
    }

    /// This device is a member from now on: it says so, and the room is kept.
    fn become_member(&mut self, ctx: &mut Ctx<'_>) {
        self.member = true;
        self.incarnation = self.log.fresh_incarnation(&ctx.author.device());
        if self.join.is_some() {
            // It may have been here before, and whoever has its last frames may be away: what others know of is not
            // all that it used.
            let incarnation = ctx.rng.below(FRESH_INCARNATIONS) as u32;
            if self.log.count(&ChainId { author: ctx.author.device(), incarnation }) == 0 {
                self.incarnation = incarnation;
            }
        }
        self.persist_meta(ctx);
        ctx.emit(Output::SetClient { room: self.id, client: self.client(&ctx.author.device()) });
        for origin in self.servers.clone() {
            if ctx.servers.session(&origin).is_some() {
                self.enter(&origin, ctx);
            }
        }
    }

    pub(super) fn persist_meta(&self, ctx: &mut Ctx<'_>) {
        let meta = Meta {
            secret: *self.secret.as_bytes(),
            servers: self.servers.clone(),
            incarnation: self.incarnation,
            further: (!self.further.is_empty()).then(|| self.further.iter().copied().collect()),
        };
        ctx.emit(store::persist_meta(&self.id, &meta));
    }

    /// Enters the topic at a server, or announces itself anew there.
    pub(super) fn enter(&mut self, origin: &Origin, ctx: &mut Ctx<'_>) {
        let Some(session) = ctx.servers.session(origin) else { return };
        let announcement = if self.member {
            announce(&self.secret, &self.topic, &session, &ctx.author.keys().sign, ctx.rng)
        } else {
            announce_nothing(ctx.rng)
        };
        let message = ClientMessage::Enter { topic: self.topic, announcement: Bytes(announcement) };
        ctx.servers.send(origin, &message, ctx.out);
    }

    pub(super) fn id(&self) -> RoomId {
        self.id
    }

    pub(super) fn topic(&self) -> &Topic {
        &self.topic
    }

    pub(super) fn servers(&self) -> &[Origin] {
        &self.servers
    }

    pub(super) fn secret(&self) -> &RoomSecret {
        &self.secret
    }

    pub(super) fn is_joining(&self) -> bool {
        self.join.as_ref().is_some_and(|join| !join.done)
    }

    pub(super) fn is_member(&self) -> bool {
        self.member
    }

    pub(super) fn link(&mut self, id: LinkId) -> Option<&mut Link> {
        self.slots.get_mut(&id).map(|slot| &mut slot.link)
    }

    pub(super) fn client(&self, own: &DeviceId) -> u64 {
        ChainId { author: *own, incarnation: self.incarnation }.client()
    }

    pub(super) fn frontier(&self) -> Frontier {
        self.log.frontier()
    }

    pub(super) fn heads(&self) -> Vec<RecordId> {
        self.records.as_ref().map(Records::heads).unwrap_or_default()
    }

    pub(super) fn rejected(&self) -> u64 {
        self.rejected
    }

    pub(super) fn status(&self) -> Option<RoomStatus> {
        let Body::Genesis(genesis) = self.records.as_ref()?.genesis().body() else { return None };
        // A room one is still being let into is nobody's room yet.
        (self.member && self.join.as_ref().is_none_or(|join| join.done)).then(|| RoomStatus {
            id: self.id,
            name: genesis.name.clone(),
            servers: self.servers.clone(),
            members: self.membership.len(),
            links: self.up.len(),
        })
    }

    pub(super) fn members(&self, own: &DeviceId, now: Now) -> Vec<MemberStatus> {
        let present = self.present(own, now.monotonic);
        let status = |(device, member): (&DeviceId, &membership::Member)| {
            let online = device == own || present.contains(device);
            let seen = self.peers.get(device).and_then(|peer| peer.seen_ms);
            MemberStatus {
                device: *device,
                user: member.device.user.clone(),
                name: member.device.name.clone(),
                own: device == own,
                online,
                linked: self.up.contains_key(device),
                reach: self.reach(device, own, online, now.monotonic),
                last_seen_ms: if online { Some(now.unix_ms) } else { seen },
                invited_by: member.invited_by,
            }
        };
        self.membership.members().map(status).collect()
    }

    fn reach(&self, device: &DeviceId, own: &DeviceId, online: bool, now: Duration) -> Reach {
        if device == own {
            return Reach::Own;
        }
        if self.up.contains_key(device) {
            return Reach::Direct;
        }
        if !online {
            return Reach::Away;
        }
        let through: Vec<DeviceId> =
            self.up.keys().filter(|via| self.claims(via, device, now) == Some(true)).copied().collect();
        if through.is_empty() { Reach::Connecting } else { Reach::Through(through) }
    }

    /// Whether a member's list that still counts names another.
    fn claims(&self, from: &DeviceId, to: &DeviceId, now: Duration) -> Option<bool> {
        self.peers.get(from).and_then(|peer| peer.fresh_list(now)).map(|list| list.links.contains(to))
    }

    /// Who is linked with whom, by the lists that still count and by our own links.
    pub(super) fn topology(&self, own: &DeviceId, now: Now) -> Topology {
        let now = now.monotonic;
        let mut present = self.present(own, now);
        present.insert(*own);
        let present = present.into_iter().filter(|device| self.membership.member(device).is_some()).collect();
        topology::topology(present, |from, to| {
            if from == own { Some(self.up.contains_key(to)) } else { self.claims(from, to, now) }
        })
    }

    /// Adds a record that was checked, tells the neighbours, and acts on what it changes.
    pub(super) fn add_record(&mut self, record: Record, from: Option<DeviceId>, ctx: &mut Ctx<'_>) -> Taken {
        let Some(records) = &mut self.records else { return Taken::Held };
        let item = *record.id().as_bytes();
        // Whoever was let in may write records; a newcomer's acceptance speaks for itself, by the invite's key.
        let (known, membership) = (records.len(), &self.membership);
        let counts = |records: &Records, record: &Record| {
            matches!(record.body(), Body::Acceptance(_))
                || membership.was_admitted(&record.author())
                || (records.len() > known && Membership::of(records).was_admitted(&record.author()))
        };
        let added = match records.insert_if(record, counts) {
            membership::Inserted::New(added) => added,
            membership::Inserted::Known => {
                self.gossip.arrived(&item);
                return Taken::Known;
            }
            membership::Inserted::Waiting => return Taken::Held,
            membership::Inserted::Foreign => {
                self.gossip.arrived(&item);
                return Taken::Held;
            }
        };
        for record in &added {
            ctx.emit(store::persist_record(&self.id, self.records_stored, record));
            self.records_stored += 1;
        }
        let before = std::mem::replace(&mut self.membership, Membership::of(records));
        for record in added {
            let id = *record.id().as_bytes();
            let item = Item::Record(record.wire().to_vec().into());
            self.spread(id, &record.author(), item, from, None, ctx);
        }
        self.part_from_lost(&before, ctx);
        let own = ctx.author.device();
        if let Some(join) = &mut self.join
            && !join.done
            && self.membership.was_admitted(&own)
            && self.membership.member(&own).is_none()
        {
            // The timeout that is due by it ends the attempt.
            join.late = true;
            join.deadline = ctx.now.monotonic;
        }
        let new: Vec<DeviceId> = self
            .membership
            .members()
            .map(|(device, _)| *device)
            .filter(|d| before.member(d).is_none())
            .collect();
        if !new.is_empty() {
            let membership = &self.membership;
            let frames = self.log.membership_changed(|device| membership.was_admitted(device));
            self.accepted(frames, from, ctx);
        }
        let any = !new.is_empty();
        for device in new {
            self.peers.entry(device).or_default();
            ctx.event(Event::Member { room: self.id, device });
            self.peers.entry(device).or_default();
            if device == ctx.author.device() && !self.member {
                self.become_member(ctx);
                self.refresh_list(ctx);
            }
        }
        if any {
            self.call_due(ctx);
        }
        self.check_joined(ctx);
        Taken::New
    }

    /// Ends the links with those whose place went to another, and all links if it is ours.
    fn part_from_lost(&mut self, before: &Membership, ctx: &mut Ctx<'_>) {
        let own = ctx.author.device();
        let lost: Vec<DeviceId> = before
            .members()
            .map(|(device, _)| *device)
            .filter(|device| self.membership.member(device).is_none())
            .collect();
        for device in &lost {
            if *device == own {
                self.member = false;
            }
            let why = "its place went to another taker of the same invite".to_owned();
            ctx.event(Event::Cut { room: self.id, device: *device, why });
        }
        let member = self.member;
        for slot in self.slots.values_mut() {
            let device = slot.link.peer();
            if lost.contains(&device) || (!member && lost.contains(&own)) {
                slot.link.finish(CloseReason::NoMember, ctx.now);
            }
        }
    }

    /// Tells the application, once, that joining is done: in, and all that was there is here.
    pub(super) fn check_joined(&mut self, ctx: &mut Ctx<'_>) {
        let synced = self.peers.values().any(|peer| peer.synced);
        if let Some(join) = &mut self.join
            && !join.done
            && self.member
            && synced
        {
            join.done = true;
            ctx.event(Event::Ready { room: self.id });
        }
    }

    /// Carries the outputs of the links to where they belong, until there are none.
    pub(super) fn settle(&mut self, ctx: &mut Ctx<'_>) {
        loop {
            let mut outputs: Vec<(LinkId, LinkOutput)> = Vec::new();
            for (id, slot) in &mut self.slots {
                while let Some(output) = slot.link.poll_output() {
                    outputs.push((*id, output));
                }
            }
            if outputs.is_empty() {
                break;
            }
            for (id, output) in outputs {
                self.link_output(id, output, ctx);
            }
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        let join = self.join.as_ref().filter(|join| !join.done);
        let join = join.into_iter().flat_map(|join| [Some(join.deadline), join.next]).flatten();
        self.slots
            .values()
            .filter_map(|slot| slot.link.poll_timeout())
            .chain(self.call_times())
            .chain(self.gossip.poll_timeout())
            .chain(self.pulling.as_ref().map(|pulling| pulling.deadline))
            .chain(self.list_due)
            .chain(self.list_ends())
            .chain(self.presence_times())
            .chain(self.collect_at)
            .chain(join)
            .min()
    }

    pub(super) fn handle_timeout(&mut self, ctx: &mut Ctx<'_>) {
        for slot in self.slots.values_mut() {
            slot.link.handle_timeout(ctx.now);
        }
        self.settle(ctx);
        self.prove_more(ctx);
        self.list_timeout(ctx);
        self.presence_due(ctx);
        self.call_due(ctx);
        self.sync_timeout(ctx);
        self.collect_due(ctx);
    }

    /// The genesis is known: a newcomer's records begin.
    pub(super) fn begin_records(&mut self, membership: Membership, records: Records) {
        self.membership = membership;
        self.records_stored = records.len();
        self.records = Some(records);
    }

    pub(super) fn network_changed(&mut self, ctx: &mut Ctx<'_>) {
        for peer in self.peers.values_mut() {
            peer.reset(ctx.now.monotonic);
        }
        for slot in self.slots.values_mut() {
            slot.link.probe(ctx.now);
        }
        for origin in self.servers.clone() {
            self.enter(&origin, ctx);
        }
    }

    /// Who is admitted by attempts under way, for the places they hold.
    pub(super) fn admitting(&self) -> impl Iterator<Item = &Admitted> {
        self.slots.values().filter_map(|slot| slot.admitted.as_ref())
    }
}
