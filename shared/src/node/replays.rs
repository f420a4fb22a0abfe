//! Which messages have had their effect: a server can repeat what it relayed, and each repetition would cost a
//! connection.

use std::collections::{BTreeSet, VecDeque};

use crate::crypto::keys::sha256;

/// How many messages are remembered. Only who holds a ticket or is a member can add one.
const REMEMBERED: usize = 4096;

/// Sealed messages that were opened and acted on. Their seals let nobody else make a variant of one.
#[derive(Debug, Default)]
pub(super) struct Replays {
    seen: BTreeSet<[u8; 32]>,
    order: VecDeque<[u8; 32]>,
}

impl Replays {
    /// Remembers a message; `false` if it was here before.
    pub(super) fn first_time(&mut self, message: &[u8]) -> bool {
        let hash = sha256(message);
        if !self.seen.insert(hash) {
            return false;
        }
        self.order.push_back(hash);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        true
    }
}
