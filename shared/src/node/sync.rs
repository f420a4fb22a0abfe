//! What members tell each other over their links: gossip, and the exchange of frontiers (PROTOCOL §8.2, §8.3).

use std::time::Duration;

use super::Ctx;
use super::io::Event;
use super::room::{Room, Taken};
use crate::DecodeError;
use crate::crypto::keys::sha256;
use crate::frames::{ChainId, Frame};
use crate::gossip::{ItemId, Send};
use crate::id::{DeviceId, FrameId, RecordId};
use crate::membership::Records;
use crate::mesh::{BATCH_BYTES, Item, Knowledge, MAX_IDS, Message};
use crate::presence::Presence;
use crate::record::Record;
use crate::topology::LinkList;

/// A neighbour that does not answer a pull in this time is not waited for: the others are asked meanwhile.
const PULL: Duration = Duration::from_secs(10);

/// The one pull that is under way.
#[derive(Debug)]
pub(super) struct Pulling {
    pub(super) from: DeviceId,
    pub(super) deadline: Duration,
}

impl Room {
    /// The first words on a new link: what we know, and the lists of links that still count.
    pub(super) fn greet(&mut self, device: DeviceId, ctx: &mut Ctx<'_>) {
        self.send_to(&device, &Message::Know(self.knowledge()), ctx);
        let lists: Vec<Item> = self
            .peers
            .iter()
            .filter(|(other, peer)| **other != device && peer.list.is_some())
            .filter_map(|(_, peer)| peer.list.as_ref())
            .map(|(list, _)| Item::Links(list.wire.clone().into()))
            .collect();
        if !lists.is_empty() {
            self.send_to(&device, &Message::Push(lists), ctx);
        }
        self.greet_with_presence(&device, ctx);
    }

    fn knowledge(&self) -> Knowledge {
        Knowledge::new(self.heads(), &self.log.frontier())
    }

    /// Sends to a neighbour; passes over one that is not linked.
    pub(super) fn send_to(&mut self, device: &DeviceId, message: &Message, ctx: &mut Ctx<'_>) {
        if let Some(slot) = self.up.get(device).and_then(|id| self.slots.get_mut(id)) {
            slot.link.send(message.encode(), message.urgent(), ctx.now);
        }
    }

    /// A neighbour said something. An error means that it broke the protocol.
    pub(super) fn message(
        &mut self,
        from: DeviceId,
        bytes: &[u8],
        ctx: &mut Ctx<'_>,
    ) -> Result<(), DecodeError> {
        match Message::decode(bytes)? {
            Message::Know(knowledge) => {
                let peer = self.peers.entry(from).or_default();
                peer.knowledge = knowledge.frontier();
                peer.heads = knowledge.heads;
                if self.behind(&from) {
                    // It has said so before, perhaps, and something was missed since.
                    self.peers.entry(from).or_default().synced = false;
                }
                self.pull(ctx);
            }
            Message::Pull(knowledge) => {
                let batch = self.batch(&knowledge);
                if let Some(peer) = self.peers.get_mut(&from) {
                    peer.knowledge = knowledge.frontier();
                }
                self.send_to(&from, &batch, ctx);
            }
            Message::Batch { items, more } => {
                let mut any = false;
                for item in &items {
                    any |= self.item(from, item, ctx)? == Taken::New;
                }
                let asked =
                    self.peers.get_mut(&from).is_some_and(|peer| std::mem::replace(&mut peer.asked, false));
                if asked {
                    self.answered(from, more && any, ctx);
                }
                self.check_joined(ctx);
            }
            Message::Push(items) => {
                let mut any = false;
                for item in &items {
                    any |= self.item(from, item, ctx)? != Taken::Known;
                }
                if !any && self.gossip.duplicate(&from) {
                    self.send_to(&from, &Message::Prune, ctx);
                }
            }
            Message::Have(ids) => {
                for id in ids {
                    let Ok(id) = ItemId::try_from(&id[..]) else { continue };
                    if !self.has(&id) {
                        self.gossip.handle_have(from, id, ctx.now.monotonic);
                    }
                }
            }
            Message::Graft(ids) => {
                self.gossip.handle_graft(&from);
                let items: Vec<Item> =
                    ids.iter().filter_map(|id| self.find(&ItemId::try_from(&id[..]).ok()?)).collect();
                self.push_items(from, items, ctx);
            }
            Message::Prune => self.gossip.handle_prune(&from),
            Message::Relay(relay) => self.relay(from, relay, ctx),
        }
        Ok(())
    }

    /// Grafted items, in messages of bounded size.
    pub(super) fn push_items(&mut self, to: DeviceId, items: Vec<Item>, ctx: &mut Ctx<'_>) {
        let mut group = Vec::new();
        let mut bytes = 0;
        for item in items {
            bytes += item.bytes().len();
            group.push(item);
            if bytes >= BATCH_BYTES {
                self.send_to(&to, &Message::Push(std::mem::take(&mut group)), ctx);
                bytes = 0;
            }
        }
        if !group.is_empty() {
            self.send_to(&to, &Message::Push(group), ctx);
        }
    }

    /// Takes one item; says whether it was new. An error means that the neighbour passed on what does not verify.
    fn item(&mut self, from: DeviceId, item: &Item, ctx: &mut Ctx<'_>) -> Result<Taken, DecodeError> {
        match item {
            Item::Record(wire) => {
                let record = Record::decode(wire).map_err(|error| DecodeError::new(error.to_string()))?;
                Ok(self.add_record(record, Some(from), ctx))
            }
            Item::Frame(wire) => {
                let frame = Frame::decode(wire).map_err(|error| DecodeError::new(error.to_string()))?;
                let (chain, seq) = (frame.chain(), frame.seq());
                let taken = self.add_frame(frame, Some(from), ctx);
                if let Some(peer) = self.peers.get_mut(&from)
                    && taken != Taken::Held
                {
                    peer.knowledge.add(chain, seq);
                }
                Ok(taken)
            }
            Item::Links(wire) => {
                let Some(list) = LinkList::decode(self.id, wire) else {
                    return Err(DecodeError::new("a list of links that does not verify"));
                };
                Ok(self.add_list(list, from, ctx))
            }
            Item::Presence(wire) => {
                let Some(presence) = Presence::decode(self.id, wire) else {
                    return Err(DecodeError::new("a presence that does not verify"));
                };
                Ok(self.add_presence(presence, from, ctx))
            }
        }
    }

    fn add_list(&mut self, list: LinkList, from: DeviceId, ctx: &mut Ctx<'_>) -> Taken {
        self.gossip.arrived(&sha256(&list.wire));
        let (own, device) = (ctx.author.device(), list.device);
        if device == own && list.version > self.list_version {
            // From before a restart with the clock set back: the next list must count more than this one.
            self.list_version = (list.version.0, list.version.1 + 1);
            self.refresh_list(ctx);
        }
        if device == own || self.membership.member(&device).is_none() {
            return Taken::Held;
        }
        let now = ctx.now.monotonic;
        let peer = self.peers.entry(device).or_default();
        if peer.list.as_ref().is_some_and(|(known, _)| known.version >= list.version) {
            return Taken::Known;
        }
        peer.list = Some((list.clone(), now));
        peer.seen_ms = Some(ctx.now.unix_ms);
        self.spread_list(&list, Some(from), ctx);
        self.presence_of_absent(ctx);
        ctx.event(Event::Presence { room: self.id });
        self.call_due(ctx);
        Taken::New
    }

    pub(super) fn spread_list(&mut self, list: &LinkList, from: Option<DeviceId>, ctx: &mut Ctx<'_>) {
        let item = Item::Links(list.wire.clone().into());
        self.spread(sha256(&list.wire), &list.device, item, from, None, ctx);
    }

    /// Gives a new item to the neighbours that the tree says.
    pub(super) fn spread(
        &mut self,
        id: ItemId,
        author: &DeviceId,
        item: Item,
        from: Option<DeviceId>,
        place: Option<(ChainId, u32)>,
        ctx: &mut Ctx<'_>,
    ) {
        let peers = &self.peers;
        let linked = |device: &DeviceId| {
            device == author
                || peers
                    .get(device)
                    .and_then(|peer| peer.list.as_ref())
                    .is_some_and(|(list, _)| list.links.contains(author))
        };
        let has = |device: &DeviceId| {
            place.is_some_and(|(chain, seq)| {
                peers.get(device).is_some_and(|peer| peer.knowledge.count(&chain) > seq)
            })
        };
        let spread = self.gossip.spread(id, from, linked, has, ctx.now.monotonic);
        let message = Message::Push(vec![item]);
        for device in spread.push {
            if let (Some((chain, seq)), Some(peer)) = (place, self.peers.get_mut(&device)) {
                peer.knowledge.add(chain, seq);
            }
            self.send_to(&device, &message, ctx);
        }
    }

    fn has(&self, id: &ItemId) -> bool {
        self.log.get(&FrameId::from_bytes(*id)).is_some()
            || self.records.as_ref().is_some_and(|records| records.get(&RecordId::from_bytes(*id)).is_some())
            || self.peers.values().any(|peer| peer.list.as_ref().is_some_and(|(l, _)| sha256(&l.wire) == *id))
    }

    fn find(&self, id: &ItemId) -> Option<Item> {
        if let Some(frame) = self.log.get(&FrameId::from_bytes(*id)) {
            return Some(Item::Frame(frame.wire().to_vec().into()));
        }
        if let Some(record) = self.records.as_ref()?.get(&RecordId::from_bytes(*id)) {
            return Some(Item::Record(record.wire().to_vec().into()));
        }
        let lists = self.peers.values().filter_map(|peer| peer.list.as_ref());
        lists
            .map(|(list, _)| list)
            .find(|list| sha256(&list.wire) == *id)
            .map(|list| Item::Links(list.wire.clone().into()))
    }

    /// The part of what `known` lacks that fits one batch.
    fn batch(&self, known: &Knowledge) -> Message {
        let mut items = Vec::new();
        let mut bytes = 0;
        let records = self.records.as_ref().map(|records| records.missing(&known.heads)).unwrap_or_default();
        for record in records {
            if bytes >= BATCH_BYTES {
                return Message::Batch { items, more: true };
            }
            bytes += record.wire().len();
            items.push(Item::Record(record.wire().to_vec().into()));
        }
        let frontier = known.frontier();
        for n in 0..self.log.len() {
            let Some(frame) = self.log.nth(n) else { break };
            if frame.seq() < frontier.count(&frame.chain()) {
                continue;
            }
            if bytes + frame.wire().len() > BATCH_BYTES && !items.is_empty() {
                return Message::Batch { items, more: true };
            }
            bytes += frame.wire().len();
            items.push(Item::Frame(frame.wire().to_vec().into()));
        }
        Message::Batch { items, more: false }
    }

    /// A neighbour answered a pull, in time or late.
    fn answered(&mut self, from: DeviceId, more: bool, ctx: &mut Ctx<'_>) {
        let waited_for = self.pulling.take_if(|pulling| pulling.from == from).is_some();
        if !more {
            // What it did not give it does not have, whatever it claimed.
            if let Some(peer) = self.peers.get_mut(&from) {
                peer.synced = true;
            }
            ctx.event(Event::Synced { room: self.id, device: from });
        } else if waited_for {
            return self.pull_from(from, ctx);
        }
        self.pull(ctx);
    }

    /// Whether a neighbour knows something that is not here.
    fn lacks(&self, device: &DeviceId) -> bool {
        self.peers.get(device).is_some_and(|peer| !peer.synced) && self.behind(device)
    }

    /// Whether a neighbour claimed to know something that is not here.
    fn behind(&self, device: &DeviceId) -> bool {
        let Some(peer) = self.peers.get(device) else { return false };
        let unknown =
            |id: &RecordId| self.records.as_ref().and_then(|records: &Records| records.get(id)).is_none();
        peer.heads.iter().any(unknown)
            || peer.knowledge.0.iter().any(|(chain, count)| self.log.count(chain) < *count)
    }

    /// Tells one neighbour after the other what is known here, so that what gossip missed is found.
    pub(super) fn tell_one(&mut self, ctx: &mut Ctx<'_>) {
        let turn = self.list_version.1 as usize % self.up.len().max(1);
        let device = self.up.keys().nth(turn).copied();
        if let Some(device) = device {
            self.send_to(&device, &Message::Know(self.knowledge()), ctx);
        }
    }

    /// Pulls what is missing, from one neighbour at a time.
    fn pull(&mut self, ctx: &mut Ctx<'_>) {
        if self.pulling.is_some() {
            return;
        }
        let free = |device: &&DeviceId| self.peers.get(device).is_some_and(|peer| !peer.asked);
        let from = self.up.keys().filter(free).find(|device| self.lacks(device)).copied();
        if let Some(from) = from {
            return self.pull_from(from, ctx);
        }
        // A neighbour that has said what it knows, all of which is here.
        let heard: Vec<DeviceId> = self
            .up
            .keys()
            .filter(|device| self.peers.get(device).is_some_and(|p| !p.synced && !p.heads.is_empty()))
            .filter(|device| !self.lacks(device))
            .copied()
            .collect();
        for device in heard {
            if let Some(peer) = self.peers.get_mut(&device) {
                peer.synced = true;
            }
            ctx.event(Event::Synced { room: self.id, device });
        }
        self.check_joined(ctx);
    }

    fn pull_from(&mut self, from: DeviceId, ctx: &mut Ctx<'_>) {
        self.pulling = Some(Pulling { from, deadline: ctx.now.monotonic + PULL });
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.asked = true;
        }
        self.send_to(&from, &Message::Pull(self.knowledge()), ctx);
    }

    /// A link is gone: what was to be pulled over it comes from another.
    pub(super) fn neighbour_gone(&mut self, device: &DeviceId, ctx: &mut Ctx<'_>) {
        if self.pulling.as_ref().is_some_and(|pulling| pulling.from == *device) {
            self.pulling = None;
            self.pull(ctx);
        }
    }

    pub(super) fn sync_timeout(&mut self, ctx: &mut Ctx<'_>) {
        if self.pulling.take_if(|pulling| pulling.deadline <= ctx.now.monotonic).is_some() {
            self.pull(ctx);
        }
        for send in self.gossip.handle_timeout(ctx.now.monotonic) {
            match send {
                Send::Have(device, ids) => {
                    let ids = ids.into_iter().map(|id| id.to_vec().into()).collect();
                    self.send_to(&device, &Message::Have(ids), ctx);
                }
                Send::Graft(device, ids) => {
                    for ids in ids.chunks(MAX_IDS) {
                        let ids = ids.iter().map(|id| id.to_vec().into()).collect();
                        self.send_to(&device, &Message::Graft(ids), ctx);
                    }
                }
            }
        }
    }
}
