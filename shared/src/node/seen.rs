//! What came once and must not count again: proofs and first messages, which the server could send a second time.

use std::collections::{BTreeSet, VecDeque};

/// How many are remembered. Only what verified is, so nobody can push them out at will.
const MAX: usize = 4096;

/// A bounded memory of hashes, the oldest forgotten first.
#[derive(Debug, Default)]
pub(super) struct Seen {
    order: VecDeque<[u8; 32]>,
    set: BTreeSet<[u8; 32]>,
}

impl Seen {
    /// Whether this came before.
    pub(super) fn contains(&self, hash: &[u8; 32]) -> bool {
        self.set.contains(hash)
    }

    /// Remembers it.
    pub(super) fn insert(&mut self, hash: [u8; 32]) {
        if self.set.insert(hash) {
            self.order.push_back(hash);
        }
        if self.order.len() > MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.set.remove(&oldest);
        }
    }
}
