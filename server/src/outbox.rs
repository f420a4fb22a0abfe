//! What waits for one client to read it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::config::OutboxLimits;
use crate::socket::Outgoing;

/// A bounded queue into one client's task. Anybody may push; only that task takes.
#[derive(Debug)]
pub(crate) struct Outbox {
    limits: OutboxLimits,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Outgoing>,
    bytes: usize,
    overflowed: bool,
    stopping: bool,
    waker: Option<Waker>,
}

/// What the client's task takes out.
#[derive(Debug)]
pub(crate) enum Taken {
    /// Write this.
    Outgoing(Outgoing),
    /// More came than fits; it was thrown away. Said once.
    Overflowed,
    /// The server is stopping. Said once.
    Stopping,
}

impl Outbox {
    pub(crate) fn new(limits: OutboxLimits) -> Self {
        Self { limits, queue: Mutex::default() }
    }

    /// Adds to the end. Never blocks: if it does not fit, the client is given up.
    pub(crate) fn push(&self, outgoing: Outgoing) {
        let mut queue = self.lock();
        queue.bytes += outgoing.len();
        if queue.bytes > self.limits.bytes || queue.waiting.len() >= self.limits.messages {
            // The stream has a hole from here on. The bytes stay counted, so nothing is taken in after it.
            queue.bytes = usize::MAX / 2;
            queue.waiting = VecDeque::new();
            queue.overflowed = true;
        } else {
            queue.waiting.push_back(outgoing);
        }
        wake(queue);
    }

    /// The server is stopping.
    pub(crate) fn stop(&self) {
        let mut queue = self.lock();
        queue.stopping = true;
        wake(queue);
    }

    /// What to do next; messages only if they `fit` into the socket now.
    pub(crate) fn poll(&self, cx: &mut Context<'_>, fit: bool) -> Poll<Taken> {
        let mut queue = self.lock();
        if std::mem::take(&mut queue.overflowed) {
            return Poll::Ready(Taken::Overflowed);
        }
        if std::mem::take(&mut queue.stopping) {
            return Poll::Ready(Taken::Stopping);
        }
        if fit && let Some(outgoing) = queue.waiting.pop_front() {
            queue.bytes -= outgoing.len();
            return Poll::Ready(Taken::Outgoing(outgoing));
        }
        if queue.waiting.is_empty() && queue.waiting.capacity() > 64 {
            queue.waiting = VecDeque::new();
        }
        match &mut queue.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// What is left, for the last words before a close.
    pub(crate) fn take_all(&self) -> VecDeque<Outgoing> {
        let mut queue = self.lock();
        queue.bytes = 0;
        std::mem::take(&mut queue.waiting)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(mut queue: MutexGuard<'_, Queue>) {
    let waker = queue.waker.take();
    drop(queue);
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(outbox: &Outbox) -> Option<Taken> {
        match outbox.poll(&mut Context::from_waker(Waker::noop()), true) {
            Poll::Ready(taken) => Some(taken),
            Poll::Pending => None,
        }
    }

    #[test]
    fn rv5_an_outbox_that_overflows_says_so_once_and_holds_nothing() {
        let outbox = Outbox::new(OutboxLimits { bytes: 10, messages: 3 });
        outbox.push(Outgoing::text("12345".into()));
        outbox.push(Outgoing::text("67890".into()));
        assert!(matches!(taken(&outbox), Some(Taken::Outgoing(_))));
        outbox.push(Outgoing::text("123456".into()));
        outbox.push(Outgoing::text("1".into()));
        assert!(matches!(taken(&outbox), Some(Taken::Overflowed)));
        assert!(taken(&outbox).is_none());
        assert!(outbox.take_all().is_empty());
    }

    #[test]
    fn rv5_an_outbox_counts_messages_too() {
        let outbox = Outbox::new(OutboxLimits { bytes: 10, messages: 2 });
        (0..3).for_each(|_| outbox.push(Outgoing::Ping));
        assert!(matches!(taken(&outbox), Some(Taken::Overflowed)));
    }
}
