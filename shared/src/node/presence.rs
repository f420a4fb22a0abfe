//! Who shows what: our own states, and those of the members who are here (PROTOCOL §8.6).

use std::time::Duration;

use super::io::Output;
use super::room::{Room, Taken};
use super::{Ctx, VerbError};
use crate::frames::ChainId;
use crate::id::DeviceId;
use crate::mesh::{Item, Message};
use crate::presence::{Presence, is_state};

/// The shortest time between two states of one Y.Doc.
const GATHER: Duration = Duration::from_millis(40);

/// How often a state is signed anew, so that it keeps counting.
const RENEWED: Duration = Duration::from_secs(15);

/// How long a state counts.
const AGE: Duration = Duration::from_secs(45);

/// The most Y.Docs of one member whose states are kept.
const MAX_OF_MEMBER: usize = 16;

/// What one of our Y.Docs shows.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) state: Option<String>,
    said: Option<Duration>,
    due: Option<Duration>,
}

/// A state as the application sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresenceStatus {
    /// Whose, and which of its Y.Docs.
    pub chain: ChainId,
    /// Its number in Yjs' awareness.
    pub clock: u64,
    /// A JSON value.
    pub state: Option<String>,
}

impl From<&Presence> for PresenceStatus {
    fn from(presence: &Presence) -> Self {
        Self { chain: presence.chain, clock: presence.clock(), state: presence.state.clone() }
    }
}

impl Room {
    /// One of our Y.Docs shows something else; `None` for nothing any more.
    pub(super) fn set_presence(
        &mut self,
        incarnation: u32,
        state: Option<String>,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), VerbError> {
        if !self.member {
            return Err(VerbError::NotAMember);
        }
        if !state.as_deref().is_none_or(is_state) {
            return Err(VerbError::Presence);
        }
        self.show(incarnation, state, ctx);
        Ok(())
    }

    pub(super) fn show(&mut self, incarnation: u32, state: Option<String>, ctx: &mut Ctx<'_>) {
        let now = ctx.now.monotonic;
        if state.is_none() && !self.shown.contains_key(&incarnation) {
            return;
        }
        let shown = self.shown.entry(incarnation).or_insert(Shown { state: None, said: None, due: None });
        if shown.said.is_some() && shown.state == state && shown.due.is_none_or(|due| due > now + GATHER) {
            return;
        }
        shown.state = state;
        shown.due = Some(shown.said.map_or(now, |said| (said + GATHER).max(now)));
        self.presence_due(ctx);
    }

    /// Says what is due, and forgets the states of those who are gone.
    pub(super) fn presence_due(&mut self, ctx: &mut Ctx<'_>) {
        let now = ctx.now.monotonic;
        let due: Vec<u32> = self
            .shown
            .iter()
            .filter(|(_, shown)| shown.due.is_some_and(|due| due <= now))
            .map(|(incarnation, _)| *incarnation)
            .collect();
        for incarnation in due {
            self.say_presence(incarnation, ctx);
        }
        let old: Vec<ChainId> =
            self.presences.iter().filter(|(_, (_, at))| *at + AGE <= now).map(|(chain, _)| *chain).collect();
        self.forget_presences(&old, ctx);
    }

    fn say_presence(&mut self, incarnation: u32, ctx: &mut Ctx<'_>) {
        let now = ctx.now.monotonic;
        let Some(shown) = self.shown.get_mut(&incarnation) else { return };
        shown.said = Some(now);
        // Alone there is nobody to renew it for; the next link makes it due again.
        let renew = shown.state.is_some() && !self.up.is_empty();
        shown.due = renew.then(|| now + RENEWED);
        let state = shown.state.clone();
        if state.is_none() {
            self.shown.remove(&incarnation);
        }
        self.presence_count += 1;
        let version = (self.list_version.0, self.presence_count);
        let presence = Presence::sign(&ctx.author.keys().sign, self.id, incarnation, version, state);
        self.spread_presence(&presence, None, ctx);
        self.keep_presence(presence, ctx);
    }

    /// Somebody is linked with us from now on: it hears what is shown here.
    pub(super) fn greet_with_presence(&mut self, device: &DeviceId, ctx: &mut Ctx<'_>) {
        let items: Vec<Item> = self
            .presences
            .values()
            .filter(|(presence, _)| presence.chain.author != *device && presence.state.is_some())
            .filter(|(presence, _)| presence.chain.author != ctx.author.device())
            .map(|(presence, _)| Item::Presence(presence.wire.clone().into()))
            .collect();
        if !items.is_empty() {
            self.push_items(*device, items, ctx);
        }
        // Our own are said anew: it may have heard of us before, and that we were gone.
        let now = ctx.now.monotonic;
        for shown in self.shown.values_mut() {
            shown.due = Some(shown.said.map_or(now, |said| (said + GATHER).max(now)));
        }
    }

    /// A neighbour passed on what a member shows.
    pub(super) fn add_presence(&mut self, presence: Presence, from: DeviceId, ctx: &mut Ctx<'_>) -> Taken {
        let author = presence.chain.author;
        if author == ctx.author.device() || self.membership.member(&author).is_none() {
            return Taken::Held;
        }
        let known = self.presences.get(&presence.chain).map(|(known, _)| known.version);
        if known.is_some_and(|version| version >= presence.version) {
            return Taken::Known;
        }
        let others = self.presences.keys().filter(|chain| chain.author == author).count();
        if known.is_none() && others >= MAX_OF_MEMBER {
            return Taken::Held;
        }
        self.spread_presence(&presence, Some(from), ctx);
        self.keep_presence(presence, ctx);
        Taken::New
    }

    fn keep_presence(&mut self, presence: Presence, ctx: &mut Ctx<'_>) {
        ctx.emit(Output::Presence { room: self.id, presence: PresenceStatus::from(&presence) });
        self.presences.insert(presence.chain, (presence, ctx.now.monotonic));
    }

    /// Gives it to the neighbours in the tree. The others are not told its name: by the time they asked for it, there
    /// would be a newer one.
    fn spread_presence(&mut self, presence: &Presence, from: Option<DeviceId>, ctx: &mut Ctx<'_>) {
        let author = presence.chain.author;
        let peers = &self.peers;
        let linked = |device: &DeviceId| {
            let list = peers.get(device).and_then(|peer| peer.list.as_ref());
            *device == author || list.is_some_and(|(list, _)| list.links.contains(&author))
        };
        let push = self.gossip.push_only(from, linked);
        let message = Message::Push(vec![Item::Presence(presence.wire.clone().into())]);
        for device in push {
            self.send_to(&device, &message, ctx);
        }
    }

    /// Somebody may have gone: what it showed goes too.
    pub(super) fn presence_of_absent(&mut self, ctx: &mut Ctx<'_>) {
        if self.presences.is_empty() {
            return;
        }
        let own = ctx.author.device();
        let present = self.present(&own, ctx.now.monotonic);
        let gone = |chain: &&ChainId| chain.author != own && !present.contains(&chain.author);
        let gone: Vec<ChainId> = self.presences.keys().filter(gone).copied().collect();
        self.forget_presences(&gone, ctx);
    }

    fn forget_presences(&mut self, chains: &[ChainId], ctx: &mut Ctx<'_>) {
        for chain in chains {
            let Some((mut presence, _)) = self.presences.remove(chain) else { continue };
            // Our own are said anew as long as somebody hears them; alone they last.
            if chain.author == ctx.author.device() && self.shown.contains_key(&chain.incarnation) {
                self.presences.insert(*chain, (presence, ctx.now.monotonic));
            } else if presence.state.take().is_some() {
                let status = PresenceStatus::from(&presence);
                ctx.emit(Output::Presence { room: self.id, presence: status });
                // Kept for its version: others may still pass on what it showed.
                self.presences.insert(*chain, (presence, ctx.now.monotonic));
            }
        }
    }

    /// What everybody shows who is here, ourselves included.
    pub(super) fn presence(&self) -> Vec<PresenceStatus> {
        let shown = self.presences.values().filter(|(presence, _)| presence.state.is_some());
        shown.map(|(presence, _)| PresenceStatus::from(presence)).collect()
    }

    pub(super) fn presence_times(&self) -> impl Iterator<Item = Duration> + '_ {
        let own = self.shown.values().filter_map(|shown| shown.due);
        own.chain(self.presences.values().map(|(_, at)| *at + AGE))
    }
}
