//! What clients here do that other servers are to know, on its way to the task that drives the cluster.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use symbolon_core::id::{SessionId, Topic};
use symbolon_core::signal::Bytes;
use tokio::sync::Notify;

/// Bytes above which clients are not read from until there are half as many. What clients have said before that is taken
/// in all the same: comings and goings must not be lost, and there are no more of them than there are places in rooms.
const CONGESTED: usize = 4 * 1024 * 1024;

/// What an event weighs beside its body.
const OVERHEAD: usize = 160;

/// What a client here did.
#[derive(Debug)]
pub(crate) enum Deed {
    /// It came into a room, or announced itself anew.
    Enter(Topic, SessionId, Bytes),
    /// It left one.
    Leave(Topic, SessionId),
    /// It sent a signal to somebody who is not here.
    Signal { topic: Topic, from: SessionId, to: SessionId, body: Bytes },
}

/// A queue from all clients' tasks to the cluster's. Who pushes holds the room, so that the deeds of a room are in the
/// order in which its clients hear of them.
#[derive(Debug, Default)]
pub(crate) struct Link {
    queue: Mutex<Queue>,
    congested: AtomicBool,
    filled: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    deeds: VecDeque<Deed>,
    bytes: usize,
    /// Clients' tasks that wait.
    wakers: Vec<Waker>,
}

impl Deed {
    fn weight(&self) -> usize {
        let body = match self {
            Self::Enter(_, _, body) | Self::Signal { body, .. } => body.0.len(),
            Self::Leave(..) => 0,
        };
        OVERHEAD + body
    }
}

impl Link {
    pub(crate) fn push(&self, deed: Deed) {
        let mut queue = self.lock();
        queue.bytes += deed.weight();
        queue.deeds.push_back(deed);
        if queue.bytes > CONGESTED {
            self.congested.store(true, Ordering::Relaxed);
        }
        let first = queue.deeds.len() == 1;
        drop(queue);
        if first {
            self.filled.notify_one();
        }
    }

    /// Ready unless too much waits; a client's task asks before it reads.
    pub(crate) fn poll_clear(&self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.congested.load(Ordering::Relaxed) {
            return Poll::Ready(());
        }
        let mut queue = self.lock();
        if queue.bytes <= CONGESTED / 2 {
            return Poll::Ready(());
        }
        queue.wakers.push(cx.waker().clone());
        Poll::Pending
    }

    /// Resolves when there is something to take.
    pub(super) async fn filled(&self) {
        while self.lock().deeds.is_empty() {
            self.filled.notified().await;
        }
    }

    /// Takes up to `most`, oldest first.
    pub(super) fn take(&self, most: usize, out: &mut Vec<Deed>) {
        let mut queue = self.lock();
        let count = most.min(queue.deeds.len());
        out.extend(queue.deeds.drain(..count));
        queue.bytes -= out[out.len() - count..].iter().map(Deed::weight).sum::<usize>();
        let mut woken = Vec::new();
        if queue.bytes <= CONGESTED / 2 && self.congested.swap(false, Ordering::Relaxed) {
            woken = std::mem::take(&mut queue.wakers);
        }
        if queue.deeds.is_empty() && queue.deeds.capacity() > 1024 {
            queue.deeds = VecDeque::new();
        }
        drop(queue);
        woken.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rv8_clients_are_not_read_from_while_too_much_waits_for_the_bus() {
        let link = Link::default();
        let mut cx = Context::from_waker(Waker::noop());
        let signal = || Deed::Signal {
            topic: Topic::from_bytes([1; 32]),
            from: SessionId::from_bytes([2; 32]),
            to: SessionId::from_bytes([3; 32]),
            body: Bytes(vec![0; 64 * 1024]),
        };
        let mut pushed = 0;
        while link.poll_clear(&mut cx).is_ready() {
            link.push(signal());
            pushed += 1;
        }
        assert!((CONGESTED / (80 * 1024)..=CONGESTED / (64 * 1024) + 1).contains(&pushed));
        // A client that goes is heard of all the same.
        link.push(Deed::Leave(Topic::from_bytes([1; 32]), SessionId::from_bytes([2; 32])));
        let mut taken = Vec::new();
        while link.poll_clear(&mut cx).is_pending() {
            link.take(1, &mut taken);
        }
        assert!((pushed / 2..pushed / 2 + 3).contains(&taken.len()));
        link.take(usize::MAX, &mut taken);
        assert!(matches!(taken.last(), Some(Deed::Leave(..))));
        assert_eq!((taken.len(), link.lock().bytes), (pushed + 1, 0));
    }
}
