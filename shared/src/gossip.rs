//! Which neighbours get an item whole and which only hear of it: Plumtree (Leitão, Pereira, Rodrigues 2007),
//! PROTOCOL §8.3.
//!
//! The machine knows ids and neighbours, not items. An author gives its own item to every neighbour of a small mesh;
//! whoever passes an item on spares those that claim a link with its author and names it to them instead.

use std::collections::VecDeque;
use std::time::Duration;

use crate::id::DeviceId;
use crate::sorted::Map;
use crate::topology::FULL_MESH;

/// What an item is known by: a record's or frame's id, or the hash of a link list.
pub type ItemId = [u8; 32];

/// How long names are gathered before they are sent.
const GATHER: Duration = Duration::from_millis(200);

/// How long after its name an item may take to come on its own.
const PATIENCE: Duration = Duration::from_millis(400);

/// Items heard of and not seen; beyond that, names are passed over and the next exchange of frontiers has them.
const MAX_MISSING: usize = 4096;

/// Names gathered for one neighbour.
const MAX_NAMES: usize = 1024;

/// Who gets a new item, and how.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// These get it whole. The others hear its name with the next [`Gossip::handle_timeout`].
    pub push: Vec<DeviceId>,
}

/// What [`Gossip::handle_timeout`] wants sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Send {
    /// These items are here.
    Have(DeviceId, Vec<ItemId>),
    /// These items are wanted, and the link in the tree.
    Graft(DeviceId, Vec<ItemId>),
}

struct Missing {
    at: Duration,
    sources: VecDeque<DeviceId>,
}

/// The tree of one member in one room.
#[derive(Default)]
pub struct Gossip {
    /// Neighbours, and whether the link is in the tree.
    neighbours: Map<DeviceId, bool>,
    names: Map<DeviceId, Vec<ItemId>>,
    send_names_at: Option<Duration>,
    missing: Map<ItemId, Missing>,
}

impl Gossip {
    /// A link came up.
    pub fn neighbour_up(&mut self, device: DeviceId) {
        self.neighbours.insert(device, true);
    }

    /// A link went down.
    pub fn neighbour_down(&mut self, device: &DeviceId) {
        self.neighbours.remove(device);
        self.names.remove(device);
    }

    /// An item is new here: made here (`from` is `None`) or received. `linked_with_author` tells who claims to have a
    /// link with its author, `has` who is known to have it.
    pub fn spread(
        &mut self,
        item: ItemId,
        from: Option<DeviceId>,
        linked_with_author: impl Fn(&DeviceId) -> bool,
        has: impl Fn(&DeviceId) -> bool,
        now: Duration,
    ) -> Spread {
        self.missing.remove(&item);
        let own = from.is_none() && self.neighbours.len() < FULL_MESH;
        let mut spread = Spread::default();
        for (device, eager) in &self.neighbours {
            if Some(*device) == from || has(device) {
                continue;
            }
            if own || (*eager && !linked_with_author(device)) {
                spread.push.push(*device);
            } else {
                let names = self.names.entry(*device).or_default();
                if names.len() < MAX_NAMES {
                    names.push(item);
                }
                self.send_names_at.get_or_insert(now + GATHER);
            }
        }
        spread
    }

    /// Who gets an item that is passed over by those who miss it.
    pub fn push_only(
        &self,
        from: Option<DeviceId>,
        linked_with_author: impl Fn(&DeviceId) -> bool,
    ) -> Vec<DeviceId> {
        let own = from.is_none() && self.neighbours.len() < FULL_MESH;
        let others = self.neighbours.iter().filter(|(device, _)| Some(**device) != from);
        let eager = others.filter(|(device, eager)| own || (**eager && !linked_with_author(device)));
        eager.map(|(device, _)| *device).collect()
    }

    /// A neighbour sent only what was here already. Says whether to tell it to prune the link.
    pub fn duplicate(&mut self, from: &DeviceId) -> bool {
        self.neighbours.get_mut(from).is_some_and(|eager| std::mem::replace(eager, false))
    }

    /// A neighbour prunes the link.
    pub fn handle_prune(&mut self, from: &DeviceId) {
        if let Some(eager) = self.neighbours.get_mut(from) {
            *eager = false;
        }
    }

    /// A neighbour wants items, and the link in the tree.
    pub fn handle_graft(&mut self, from: &DeviceId) {
        if let Some(eager) = self.neighbours.get_mut(from) {
            *eager = true;
        }
    }

    /// A neighbour has an item that is not here.
    pub fn handle_have(&mut self, from: DeviceId, item: ItemId, now: Duration) {
        if !self.missing.contains_key(&item) && self.missing.len() >= MAX_MISSING {
            return;
        }
        let missing = self
            .missing
            .entry(item)
            .or_insert_with(|| Missing { at: now + PATIENCE, sources: VecDeque::new() });
        if !missing.sources.contains(&from) && missing.sources.len() < 8 {
            missing.sources.push_back(from);
        }
    }

    /// An item came, by whatever way.
    pub fn arrived(&mut self, item: &ItemId) {
        self.missing.remove(item);
    }

    /// When [`Gossip::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.missing.values().map(|missing| missing.at).chain(self.send_names_at).min()
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Duration) -> Vec<Send> {
        let mut out = Vec::new();
        if self.send_names_at.is_some_and(|at| at <= now) {
            self.send_names_at = None;
            for (device, names) in std::mem::take(&mut self.names) {
                out.push(Send::Have(device, names));
            }
        }
        let due: Vec<ItemId> =
            self.missing.iter().filter(|(_, missing)| missing.at <= now).map(|(id, _)| *id).collect();
        let mut grafts: Map<DeviceId, Vec<ItemId>> = Map::new();
        for id in due {
            let Some(missing) = self.missing.get_mut(&id) else { continue };
            match missing.sources.pop_front() {
                Some(source) => {
                    missing.at = now + PATIENCE;
                    if let Some(eager) = self.neighbours.get_mut(&source) {
                        *eager = true;
                        grafts.entry(source).or_default().push(id);
                    }
                }
                None => {
                    self.missing.remove(&id);
                }
            }
        }
        out.extend(grafts.into_iter().map(|(device, ids)| Send::Graft(device, ids)));
        out
    }
}

impl std::fmt::Debug for Gossip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gossip").field("neighbours", &self.neighbours).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(n: u8) -> DeviceId {
        DeviceId::from_bytes([n; 32])
    }

    const NOBODY: fn(&DeviceId) -> bool = |_| false;
    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn an_author_reaches_all_neighbours_and_nobody_repeats_it_to_them() {
        let mut gossip = Gossip::default();
        (1..4).for_each(|n| gossip.neighbour_up(device(n)));
        let own = gossip.spread([1; 32], None, NOBODY, NOBODY, MS(0));
        assert_eq!(own.push, vec![device(1), device(2), device(3)]);
        let passed = gossip.spread([2; 32], Some(device(1)), |d| *d == device(2), NOBODY, MS(0));
        assert_eq!(passed.push, vec![device(3)], "2 has it from its author");
        assert_eq!(gossip.poll_timeout(), Some(GATHER));
        assert_eq!(gossip.handle_timeout(GATHER), vec![Send::Have(device(2), vec![[2; 32]])]);
    }

    #[test]
    fn a_missed_item_is_grafted_from_each_source_in_turn_and_then_given_up() {
        let mut gossip = Gossip::default();
        gossip.neighbour_up(device(1));
        gossip.neighbour_up(device(2));
        assert!(gossip.duplicate(&device(1)));
        assert!(!gossip.duplicate(&device(1)), "pruned once");
        gossip.handle_have(device(1), [7; 32], MS(0));
        gossip.handle_have(device(2), [7; 32], MS(0));
        assert_eq!(gossip.handle_timeout(MS(399)), vec![]);
        assert_eq!(gossip.handle_timeout(MS(400)), vec![Send::Graft(device(1), vec![[7; 32]])]);
        assert_eq!(gossip.handle_timeout(MS(800)), vec![Send::Graft(device(2), vec![[7; 32]])]);
        assert_eq!(gossip.handle_timeout(MS(1200)), vec![]);
        assert_eq!(gossip.poll_timeout(), None);
        assert_eq!(gossip.spread([8; 32], Some(device(2)), NOBODY, NOBODY, MS(0)).push, vec![device(1)]);
    }
}
