//! Links between members: who calls whom, by which way, and what comes of it (PROTOCOL §6.3, §8.5).

use std::time::Duration;

use super::Ctx;
use super::io::{Event, LinkId, Output};
use super::paths::Path;
use super::replay::Replays;
use super::room::{Room, Visible};
use super::server::back_off;
use crate::admission::{Admitted, read_announcement};
use crate::crypto::Rng;
use crate::id::{DeviceId, SessionId};
use crate::link::{CloseReason, Incoming, Kind, Link, LinkOutput, Signal, prologue};
use crate::mesh::{Message, Relay};
use crate::origin::Origin;
use crate::signal::{Bytes, ClientMessage, MAX_CLIENTS_PER_ROOM, Present};
use crate::sorted::Set;
use crate::topology::{LinkList, expected};

/// Delays between attempts at a lost link.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// The larger device waits for the smaller one's call so long before it calls itself.
const PATIENCE: Duration = Duration::from_secs(3);

/// Sessions of one server in one room that are kept in mind; an honest server has no more.
const MAX_VISIBLE: usize = MAX_CLIENTS_PER_ROOM;

/// How long a signed list of links counts.
const LIST_AGE: Duration = Duration::from_secs(90);

/// How often a member signs its list anew, so that it keeps counting.
const LIST_EVERY: Duration = Duration::from_secs(30);

/// How long a change of links waits for others to be told with it.
const LIST_SOON: Duration = Duration::from_millis(50);

/// One attempt at a link, or a link.
pub(super) struct Slot {
    pub(super) link: Link,
    pub(super) path: Path,
    /// The proof of a newcomer that is being let in.
    pub(super) admitted: Option<Admitted>,
}

/// What this node knows of another device in the room.
#[derive(Debug, Default)]
pub(super) struct Peer {
    pub(super) knowledge: crate::frames::Frontier,
    pub(super) heads: Vec<crate::id::RecordId>,
    /// All that it knew at its last word was here.
    pub(super) synced: bool,
    /// It was asked, over the link that is up now, and has not answered. Answers come in order or the link ends, so it
    /// is not asked twice.
    pub(super) asked: bool,
    /// Its newest list of links, and when that came.
    pub(super) list: Option<(LinkList, Duration)>,
    /// Calls through a neighbour that came to nothing since the last that did not.
    pub(super) mesh_failures: u32,
    /// When it was last seen to be online, in milliseconds since 1970.
    pub(super) seen_ms: Option<u64>,
    attempts: u32,
    next_try: Duration,
    /// Since when it could be called and was not linked.
    wanted_since: Option<Duration>,
}

impl Peer {
    /// Tries again at once.
    pub(super) fn reset(&mut self, now: Duration) {
        self.attempts = 0;
        self.next_try = now;
    }

    fn failed(&mut self, rng: &mut Rng, now: Duration) {
        self.next_try = now + back_off(FIRST_RETRY, LAST_RETRY, self.attempts, rng);
        self.attempts = self.attempts.saturating_add(1);
    }

    pub(super) fn fresh_list(&self, now: Duration) -> Option<&LinkList> {
        self.list.as_ref().filter(|(_, at)| now < *at + LIST_AGE).map(|(list, _)| list)
    }
}

impl Room {
    /// Signed in at a server and inside the topic there.
    pub(super) fn entered(&mut self, origin: &Origin, peers: Vec<Present>, ctx: &mut Ctx<'_>) {
        self.visible.retain(|(at, _), _| at != origin);
        for peer in peers {
            self.see(origin, peer, ctx);
        }
        self.prove(ctx);
        self.call_due(ctx);
        ctx.event(Event::Presence { room: self.id });
    }

    /// Somebody came to the topic, or announced itself anew.
    pub(super) fn arrived(&mut self, origin: &Origin, peer: Present, ctx: &mut Ctx<'_>) {
        self.see(origin, peer, ctx);
        self.prove(ctx);
        self.call_due(ctx);
        ctx.event(Event::Presence { room: self.id });
    }

    fn see(&mut self, origin: &Origin, peer: Present, ctx: &mut Ctx<'_>) {
        let Present { session, announcement } = peer;
        let device = read_announcement(&self.secret, self.topic(), &session, &announcement.0)
            .filter(|device| *device != ctx.author.device());
        let at = (origin.clone(), session);
        let before = self.visible.get(&at).copied();
        if before.is_none() {
            self.forget_one_too_many(origin);
        }
        self.seen += 1;
        let fresh = Visible { device, proofs: 0, number: self.seen, failures: 0 };
        self.visible.insert(at, Visible { device, ..before.unwrap_or(fresh) });
        let Some(device) = device else { return };
        if before.is_none_or(|visible| visible.device != Some(device)) {
            // A session not seen before: it may have started anew. Then the link that is up is dead, and a look at it
            // shows that soon. A session that was a newcomer's is the one we linked with.
            if before.is_none()
                && let Some(slot) = self.up.get(&device).and_then(|id| self.slots.get_mut(id))
            {
                slot.link.probe(ctx.now);
            }
            // Whoever knows the room's secret can announce any device; only members are kept in mind.
            if self.membership.member(&device).is_some() {
                self.peers.entry(device).or_default().reset(ctx.now.monotonic);
            }
        }
    }

    /// Makes room for one more session of a server that names more than an honest one: strangers go first, the oldest
    /// before the others.
    fn forget_one_too_many(&mut self, origin: &Origin) {
        let here: Vec<_> = self.visible.iter().filter(|((at, _), _)| at == origin).collect();
        if here.len() >= MAX_VISIBLE {
            let first =
                here.into_iter().min_by_key(|(_, visible)| (visible.device.is_some(), visible.number));
            let at = first.map(|(at, _)| at.clone());
            at.and_then(|at| self.visible.remove(&at));
        }
    }

    /// A server says that somebody left. It may lie, so a link is only looked at: one that is dead shows soon.
    pub(super) fn left(&mut self, origin: &Origin, session: &SessionId, ctx: &mut Ctx<'_>) {
        let gone = self.visible.remove(&(origin.clone(), *session));
        let Some(device) = gone.and_then(|visible| visible.device) else { return };
        self.saw(&device, ctx);
        if let Some(slot) = self.up.get(&device).and_then(|id| self.slots.get_mut(id)) {
            slot.link.probe(ctx.now);
        }
        self.presence_of_absent(ctx);
        ctx.event(Event::Presence { room: self.id });
    }

    /// A member is here, or was until now.
    fn saw(&mut self, device: &DeviceId, ctx: &mut Ctx<'_>) {
        if let Some(peer) = self.peers.get_mut(device) {
            peer.seen_ms = Some(ctx.now.unix_ms);
        }
    }

    pub(super) fn server_down(&mut self, origin: &Origin, ctx: &mut Ctx<'_>) {
        let seen: Vec<DeviceId> = self
            .visible
            .iter()
            .filter(|((at, _), _)| at == origin)
            .filter_map(|(_, visible)| visible.device)
            .collect();
        for device in seen {
            self.saw(&device, ctx);
        }
        self.visible.retain(|(at, _), _| at != origin);
        self.presence_of_absent(ctx);
        ctx.event(Event::Presence { room: self.id });
    }

    /// A signal came through a server.
    pub(super) fn server_signal(&mut self, origin: &Origin, from: SessionId, body: &[u8], ctx: &mut Ctx<'_>) {
        let Some(signal) = Signal::decode(body) else { return };
        match signal.kind {
            Kind::Proof => self.proof(origin, from, signal.payload, ctx),
            Kind::FirstIk => self.first_ik(origin, from, &signal, ctx),
            Kind::FirstKk => {
                let Some(own) = ctx.servers.session(origin) else { return };
                let at = (origin.clone(), from);
                if let Some(device) = self.visible.get(&at).and_then(|visible| visible.device) {
                    let path = Path::Server { origin: origin.clone(), session: from };
                    self.first_kk(device, &from, &own, path, &signal, ctx);
                }
            }
            Kind::Second | Kind::Sealed => {
                let path = Path::Server { origin: origin.clone(), session: from };
                self.later_signal(&path, &signal);
            }
        }
    }

    /// A signal came over the mesh, for us or for a neighbour.
    pub(super) fn relay(&mut self, via: DeviceId, relay: Relay, ctx: &mut Ctx<'_>) {
        if relay.to != ctx.author.device() {
            // One hop only, and only under the name of the neighbour it came from.
            if relay.from == via && self.up.contains_key(&relay.to) {
                let to = relay.to;
                self.send_to(&to, &Message::Relay(relay), ctx);
            }
            return;
        }
        if relay.to_session != self.mesh_session {
            return;
        }
        let Some(signal) = Signal::decode(&relay.body) else { return };
        let path = Path::Mesh { via, session: relay.from_session };
        match signal.kind {
            Kind::Proof | Kind::FirstIk => {}
            Kind::FirstKk => {
                let own = self.mesh_session;
                self.first_kk(relay.from, &relay.from_session, &own, path, &signal, ctx);
            }
            Kind::Second | Kind::Sealed => self.later_signal(&path, &signal),
        }
    }

    fn later_signal(&mut self, path: &Path, signal: &Signal<'_>) {
        // The tag names the attempt, the session must be the one it is with; the seal decides.
        let slot = self
            .slots
            .values_mut()
            .find(|slot| slot.link.tag() == signal.tag && slot.path.session() == path.session());
        if let Some(slot) = slot {
            slot.link.handle_signal(signal.kind, signal.payload);
        }
    }

    /// Another member calls.
    fn first_kk(
        &mut self,
        device: DeviceId,
        from: &SessionId,
        own_session: &SessionId,
        path: Path,
        signal: &Signal<'_>,
        ctx: &mut Ctx<'_>,
    ) {
        let own = ctx.author.device();
        let Some(remote) = self.membership.box_key(&device) else { return };
        if device == own || !self.is_member() {
            return;
        }
        let mark = Replays::mark(signal.kind, signal.tag, signal.payload);
        if self.replays.contains(&mark) {
            return;
        }
        let prologue = prologue(&self.id, from, own_session, &signal.tag);
        let box_secret = &ctx.author.keys().box_secret;
        let read = Incoming::read(box_secret, Some(&remote), &prologue, signal.tag, signal.payload, ctx.rng);
        let Ok(incoming) = read else { return };
        self.replays.insert(mark);
        // Both called at once: the smaller one's offer wins.
        let ours = self.pending.get(&device).and_then(|id| self.slots.get(id));
        let ours = ours.filter(|slot| slot.link.is_initiator() && own < device).map(|slot| slot.path.clone());
        match ours {
            None => return self.answer(device, incoming, path, ctx),
            Some(ours) if ours.session() == from => return,
            Some(_) => {}
        }
        // Our offer went to another session of its, which may be dead: it goes to the one that is not.
        if let Some(old) = self.pending.remove(&device) {
            self.drop_link(old, ctx);
        }
        self.call(device, path, ctx);
    }

    /// Answers a checked first message; an attempt that is under way gives way to it.
    pub(super) fn answer(&mut self, device: DeviceId, incoming: Incoming, path: Path, ctx: &mut Ctx<'_>) {
        if let Some(old) = self.pending.remove(&device) {
            self.drop_link(old, ctx);
        }
        let link = Link::answer(device, incoming, &ctx.author.keys().box_secret, ctx.now);
        let id = ctx.new_link();
        self.slots.insert(id, Slot { link, path, admitted: None });
        self.pending.insert(device, id);
    }

    /// Ends an attempt or a link in favour of another.
    pub(super) fn drop_link(&mut self, id: LinkId, ctx: &mut Ctx<'_>) {
        if self.slots.remove(&id).is_some() {
            ctx.emit(Output::Close { link: id });
        }
    }

    /// Members that should be linked with us and are not, and that somebody may call.
    fn wanted(&self) -> impl Iterator<Item = (&DeviceId, &Peer)> {
        self.peers.iter().filter(|(device, _)| {
            self.membership.member(device).is_some()
                && !self.up.contains_key(device)
                && !self.pending.contains_key(device)
        })
    }

    /// When the next calls are due.
    pub(super) fn call_times(&self) -> Vec<Duration> {
        if !self.is_member() {
            return Vec::new();
        }
        self.wanted()
            .filter_map(|(_, peer)| peer.wanted_since.map(|since| peer.next_try.max(since)))
            .collect()
    }

    /// Calls those that are due.
    pub(super) fn call_due(&mut self, ctx: &mut Ctx<'_>) {
        let now = ctx.now.monotonic;
        if !self.is_member() {
            return;
        }
        let own = ctx.author.device();
        let wanted: Vec<DeviceId> = self.wanted().map(|(device, _)| *device).collect();
        for device in expected(&own, wanted) {
            let path = self.path(&device, now);
            let Some(peer) = self.peers.get_mut(&device) else { continue };
            let Some(path) = path else {
                peer.wanted_since = None;
                continue;
            };
            let patience = if own < device { Duration::ZERO } else { PATIENCE };
            let since = *peer.wanted_since.get_or_insert(now + patience);
            if peer.next_try.max(since) > now {
                continue;
            }
            self.call(device, path, ctx);
        }
    }

    fn call(&mut self, device: DeviceId, path: Path, ctx: &mut Ctx<'_>) {
        let Some(remote) = self.membership.box_key(&device) else { return };
        let own = match &path {
            Path::Server { origin, .. } => ctx.servers.session(origin),
            Path::Mesh { .. } => Some(self.mesh_session),
        };
        let Some(own) = own else { return };
        let tag: [u8; 8] = ctx.rng.bytes();
        let prologue = prologue(&self.id, &own, path.session(), &tag);
        let rng = ctx.rng.split();
        let box_secret = &ctx.author.keys().box_secret;
        let link = Link::call(device, remote, box_secret, prologue, tag, rng, ctx.now);
        let id = ctx.new_link();
        self.slots.insert(id, Slot { link, path, admitted: None });
        self.pending.insert(device, id);
    }

    /// What one of the links wants.
    pub(super) fn link_output(&mut self, id: LinkId, output: LinkOutput, ctx: &mut Ctx<'_>) {
        let Some(slot) = self.slots.get(&id) else { return };
        let device = slot.link.peer();
        match output {
            LinkOutput::MakeOffer => {
                let ice_servers = ctx.servers.ice_servers();
                ctx.emit(Output::MakeOffer { link: id, ice_servers });
            }
            LinkOutput::MakeAnswer(offer) => {
                let ice_servers = ctx.servers.ice_servers();
                ctx.emit(Output::MakeAnswer { link: id, offer, ice_servers });
            }
            LinkOutput::AcceptAnswer(answer) => ctx.emit(Output::AcceptAnswer { link: id, answer }),
            LinkOutput::AddCandidate(candidate) => ctx.emit(Output::AddCandidate { link: id, candidate }),
            LinkOutput::Channel(part) => ctx.emit(Output::Send { link: id, part }),
            LinkOutput::Signal(body) => self.send_signal(&slot.path.clone(), device, body, ctx),
            LinkOutput::Message(bytes) => {
                if let Err(error) = self.message(device, &bytes, ctx) {
                    let room = self.id;
                    ctx.event(Event::Cut { room, device, why: error.to_string() });
                    if let Some(link) = self.link(id) {
                        link.close(CloseReason::Misbehaved("a message that is none"));
                    }
                }
            }
            LinkOutput::Up => self.link_up(id, device, ctx),
            LinkOutput::Closed(reason) => self.link_closed(id, device, reason, ctx),
        }
    }

    fn send_signal(&mut self, path: &Path, to: DeviceId, body: Vec<u8>, ctx: &mut Ctx<'_>) {
        match path {
            Path::Server { origin, session } => {
                let topic = *self.topic();
                let message = ClientMessage::Signal { topic, to: *session, body: Bytes(body) };
                ctx.servers.send(origin, &message, ctx.out);
            }
            Path::Mesh { via, session } => {
                let relay = Relay {
                    from: ctx.author.device(),
                    from_session: self.mesh_session,
                    to,
                    to_session: *session,
                    body: body.into(),
                };
                self.send_to(via, &Message::Relay(relay), ctx);
            }
        }
    }

    fn link_up(&mut self, id: LinkId, device: DeviceId, ctx: &mut Ctx<'_>) {
        if self.pending.get(&device) == Some(&id) {
            self.pending.remove(&device);
        }
        if let Some(path) = self.slots.get(&id).map(|slot| slot.path.clone()) {
            self.rate(&device, &path, false);
        }
        let replaced = self.up.insert(device, id).filter(|old| *old != id);
        if let Some(old) = replaced {
            self.drop_link(old, ctx);
            // What was asked over it is not answered any more.
            self.pulling.take_if(|pulling| pulling.from == device);
        }
        let peer = self.peers.entry(device).or_default();
        peer.attempts = 0;
        peer.wanted_since = None;
        peer.synced = false;
        peer.asked = false;
        peer.knowledge = crate::frames::Frontier::default();
        peer.heads.clear();
        self.gossip.neighbour_up(device);
        let admitted = self.slots.get_mut(&id).and_then(|slot| slot.admitted.take());
        if let Some(admitted) = admitted {
            self.countersign(&admitted, ctx);
        }
        ctx.event(Event::LinkUp { room: self.id, device });
        self.greet(device, ctx);
        self.list_soon(ctx);
    }

    fn link_closed(&mut self, id: LinkId, device: DeviceId, reason: CloseReason, ctx: &mut Ctx<'_>) {
        let slot = self.slots.remove(&id);
        ctx.emit(Output::Close { link: id });
        let now = ctx.now.monotonic;
        if self.pending.get(&device) == Some(&id) {
            self.pending.remove(&device);
            if let Some(slot) = slot {
                self.rate(&device, &slot.path, true);
            }
            if let Some(peer) = self.peers.get_mut(&device) {
                peer.failed(ctx.rng, now);
            }
        }
        if self.up.get(&device) == Some(&id) {
            self.up.remove(&device);
            self.gossip.neighbour_down(&device);
            self.neighbour_gone(&device, ctx);
            self.saw(&device, ctx);
            self.presence_of_absent(ctx);
            self.list_soon(ctx);
            ctx.event(Event::LinkDown { room: self.id, device, reason });
            if let Some(peer) = self.peers.get_mut(&device) {
                peer.failed(ctx.rng, now);
            }
        }
        self.call_due(ctx);
    }

    pub(super) fn reset_link(&mut self, device: &DeviceId) {
        if let Some(slot) = self.up.get(device).and_then(|id| self.slots.get_mut(id)) {
            slot.link.close(CloseReason::Replaced);
        }
    }

    /// Everybody who is here: linked with us, in a topic, or with a fresh list that claims a link.
    pub(super) fn present(&self, own: &DeviceId, now: Duration) -> Set<DeviceId> {
        let seen = self.visible.values().filter_map(|visible| visible.device);
        let claimed = self.peers.iter().filter(|(device, peer)| {
            // Alone it may be the last word of someone gone: somebody must claim the link back.
            peer.fresh_list(now).is_some_and(|list| {
                list.links.iter().any(|other| {
                    other != own
                        && self.up.contains_key(other)
                        && self
                            .peers
                            .get(other)
                            .and_then(|peer| peer.fresh_list(now))
                            .is_some_and(|list| list.links.contains(device))
                })
            })
        });
        self.up.keys().copied().chain(seen).chain(claimed.map(|(device, _)| *device)).collect()
    }

    fn list_soon(&mut self, ctx: &mut Ctx<'_>) {
        // A newcomer's list counts for nobody; it signs its first one when it is in.
        if !self.is_member() {
            return;
        }
        let soon = ctx.now.monotonic + LIST_SOON;
        self.list_due = Some(self.list_due.map_or(soon, |due| due.min(soon)));
    }

    /// When lists of others stop counting.
    pub(super) fn list_ends(&self) -> impl Iterator<Item = Duration> + '_ {
        self.peers.values().filter_map(|peer| peer.list.as_ref().map(|(_, at)| *at + LIST_AGE))
    }

    pub(super) fn list_timeout(&mut self, ctx: &mut Ctx<'_>) {
        let now = ctx.now.monotonic;
        let ended = |peer: &Peer| peer.list.as_ref().is_some_and(|(_, at)| *at + LIST_AGE <= now);
        if self.peers.values().any(ended) {
            self.peers.values_mut().filter(|peer| ended(peer)).for_each(|peer| peer.list = None);
            self.presence_of_absent(ctx);
            ctx.event(Event::Presence { room: self.id });
        }
        if self.list_due.is_some_and(|due| due <= ctx.now.monotonic) {
            self.refresh_list(ctx);
            self.tell_one(ctx);
        }
    }

    /// Signs our list of links anew and gives it to the neighbours.
    pub(super) fn refresh_list(&mut self, ctx: &mut Ctx<'_>) {
        self.list_version.1 += 1;
        let links: Vec<DeviceId> = self.up.keys().copied().collect();
        // Alone there is nobody to tell; the next link makes it due again.
        self.list_due = (!links.is_empty()).then(|| ctx.now.monotonic + LIST_EVERY);
        let key = &ctx.author.keys().sign;
        let list = LinkList::sign(key, self.id, self.mesh_session, self.list_version, links);
        self.spread_list(&list, None, ctx);
        let own = self.peers.entry(ctx.author.device()).or_default();
        own.list = Some((list, ctx.now.monotonic));
    }
}
