//! Delays, ordered streams, and places.

use std::collections::VecDeque;
use std::time::Duration;

use super::{HostId, ServerId};
use crate::crypto::Rng;

/// How long a stream waits before it tries a path again that was shut.
pub(super) const RETRY: Duration = Duration::from_millis(300);

/// How good the network is.
#[derive(Debug, Clone, Copy)]
pub struct Conditions {
    /// The shortest and longest way of a message, in milliseconds.
    pub delay_ms: (u64, u64),
    /// Of a thousand messages, how many are lost and come later by a retransmission.
    pub lost: u64,
    /// How much later, in milliseconds.
    pub again_ms: (u64, u64),
    /// Of a thousand ends of a connection, how many leave the other side without a word.
    pub silent: u64,
}

impl Conditions {
    /// A good network.
    pub const GOOD: Self = Self { delay_ms: (5, 40), lost: 0, again_ms: (0, 0), silent: 0 };

    /// A bad one.
    pub const BAD: Self = Self { delay_ms: (5, 300), lost: 50, again_ms: (200, 900), silent: 300 };

    pub(super) fn delay(&self, rng: &mut Rng) -> Duration {
        let mut ms = between(self.delay_ms, rng);
        if rng.below(1000) < self.lost {
            ms += between(self.again_ms, rng);
        }
        // Messages of different connections overtake each other also within a millisecond.
        Duration::from_micros(ms * 1000 + rng.below(1000))
    }

    pub(super) fn silently(&self, rng: &mut Rng) -> bool {
        rng.below(1000) < self.silent
    }
}

pub(super) fn between((low, high): (u64, u64), rng: &mut Rng) -> u64 {
    low + rng.below(high.saturating_sub(low) + 1)
}

/// Somewhere bytes come from or go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Host(HostId),
    Server(ServerId),
}

pub(super) fn pair(one: Place, other: Place) -> (Place, Place) {
    (one.min(other), one.max(other))
}

/// What travels one way of a connection: reliable and in order. At most one event stands for its first message.
#[derive(Debug)]
pub(super) struct Stream<T> {
    queue: VecDeque<(Duration, T)>,
    last: Duration,
}

impl<T> Default for Stream<T> {
    fn default() -> Self {
        Self { queue: VecDeque::new(), last: Duration::ZERO }
    }
}

impl<T> Stream<T> {
    /// Puts a message on its way; gives the time of its arrival if an event is to be made for it.
    pub(super) fn push(&mut self, at: Duration, message: T) -> Option<Duration> {
        self.last = self.last.max(at);
        self.queue.push_back((self.last, message));
        (self.queue.len() == 1).then_some(self.last)
    }

    /// The message that has arrived.
    pub(super) fn pop(&mut self) -> Option<T> {
        self.queue.pop_front().map(|(_, message)| message)
    }

    /// When the next one arrives; an event is to be made for it.
    pub(super) fn next(&self) -> Option<Duration> {
        self.queue.front().map(|(at, _)| *at)
    }
}
