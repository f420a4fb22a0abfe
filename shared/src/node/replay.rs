//! Signals that were acted upon once: the server, or a neighbour, may send them again (PROTOCOL §6.2).

use std::collections::VecDeque;

use crate::crypto::keys::sha256;
use crate::link::Kind;
use crate::sorted::Set;

/// How many are kept in mind. Only those that passed every check count, so nobody can fill this with noise; by the time
/// one is forgotten its sessions are long gone.
const MAX_SEEN: usize = 4096;

/// First messages and proofs that passed every check.
#[derive(Debug, Default)]
pub(super) struct Replays {
    seen: Set<[u8; 32]>,
    order: VecDeque<[u8; 32]>,
}

impl Replays {
    /// What a signal is known by here. Its seal binds it to its sessions.
    pub(super) fn mark(kind: Kind, tag: [u8; 8], payload: &[u8]) -> [u8; 32] {
        sha256(&[&[u8::from(kind == Kind::Proof)][..], &tag, payload].concat())
    }

    /// Whether it was acted upon before.
    pub(super) fn contains(&self, mark: &[u8; 32]) -> bool {
        self.seen.contains(mark)
    }

    /// It is acted upon now.
    pub(super) fn insert(&mut self, mark: [u8; 32]) {
        if self.seen.insert(mark) {
            self.order.push_back(mark);
        }
        if self.order.len() > MAX_SEEN
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_known_and_the_oldest_gives_way() {
        let mut replays = Replays::default();
        let mark = |n: u32| Replays::mark(Kind::FirstKk, [0; 8], &n.to_be_bytes());
        for n in 0..5000 {
            assert!(!replays.contains(&mark(n)));
            replays.insert(mark(n));
            replays.insert(mark(n));
        }
        assert!(replays.contains(&mark(4999)) && !replays.contains(&mark(0)));
        assert_eq!((replays.seen.len(), replays.order.len()), (MAX_SEEN, MAX_SEEN));
        assert!(!replays.contains(&Replays::mark(Kind::Proof, [0; 8], &4999u32.to_be_bytes())));
    }
}
