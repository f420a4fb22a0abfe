//! What waits for one client to read it, and the way into its socket.
//!
//! Whoever has something for a client puts it in, and, once it has dealt with all that it had read, writes it into the
//! client's socket itself; the client's own task is woken only if the socket takes no more.

use std::cell::RefCell;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use symbolon_core::signal::Relayed;

use crate::budget::{Budget, Share};
use crate::wire::Writer;
use crate::ws::encode;

/// How much is collected before it is written without waiting for more.
const BATCH: usize = 64 * 1024;

/// Empty buffers that a thread keeps for whoever needs one next, and the largest that it keeps.
const POOLED: usize = 8;
const POOLED_SIZE: usize = 2 * BATCH;

thread_local! {
    static POOL: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A bounded queue of frames into one client's socket. Anybody may push.
#[derive(Debug)]
pub(crate) struct Outbox {
    limit: usize,
    writer: Writer,
    queue: Mutex<Queue>,
}

#[derive(Debug)]
struct Queue {
    /// Whole frames; at first what [`Outbox::push_held`] adds. Takes no memory while nothing waits.
    frames: Vec<u8>,
    /// How much of them is written.
    written: usize,
    share: Share,
    /// Somebody is about to flush.
    due: bool,
    /// The socket takes no more; only the client's task writes.
    blocked: bool,
    /// Nothing is taken in any more.
    closed: bool,
    overflowed: bool,
    broken: bool,
    stopping: bool,
    waker: Option<Waker>,
}

/// What the client's task is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// More came than fits; it was thrown away. Said once.
    Overflowed,
    /// The server is stopping. Said once.
    Stopping,
    /// The socket is gone.
    Broken,
}

/// Outboxes with something in them that is to be written before this is dropped, at the latest.
#[derive(Debug, Default)]
pub(crate) struct Due {
    first: Option<Arc<Outbox>>,
    others: Vec<Arc<Outbox>>,
}

impl Outbox {
    /// An outbox that holds `limit` bytes at most.
    pub(crate) fn new(limit: usize, writer: Writer, budget: &Arc<Budget>) -> Arc<Self> {
        let queue = Queue {
            frames: Vec::new(),
            written: 0,
            share: Share::new(budget),
            due: false,
            blocked: false,
            closed: false,
            overflowed: false,
            broken: false,
            stopping: false,
            waker: None,
        };
        Arc::new(Self { limit, writer, queue: Mutex::new(queue) })
    }

    /// Adds bytes that are no frame, before all frames.
    pub(crate) fn push_held(self: &Arc<Self>, held: &[u8], due: &mut Due) {
        self.push(held.len(), due, |out| out.extend_from_slice(held));
    }

    /// Adds a message. Never blocks: if it does not fit, the client is given up.
    pub(crate) fn push_text(self: &Arc<Self>, text: &str, due: &mut Due) {
        self.push(text.len(), due, |out| {
            encode::text(text.len(), out);
            out.extend_from_slice(text.as_bytes());
        });
    }

    /// Adds a signal.
    pub(crate) fn push_relayed(self: &Arc<Self>, relayed: &Relayed, due: &mut Due) {
        let len = relayed.encoded_len();
        self.push(len, due, |out| {
            encode::text(len, out);
            relayed.write(out);
        });
    }

    /// Adds a ping.
    pub(crate) fn push_ping(self: &Arc<Self>, due: &mut Due) {
        self.push(0, due, |out| out.extend_from_slice(&encode::PING));
    }

    /// Adds the answer to a ping.
    pub(crate) fn push_pong(self: &Arc<Self>, payload: &[u8], due: &mut Due) {
        self.push(payload.len(), due, |out| encode::pong(payload, out));
    }

    /// Adds a close frame; nothing is taken in after it.
    pub(crate) fn push_close(self: &Arc<Self>, code: Option<u16>, due: &mut Due) {
        self.push(2, due, |out| encode::close(code, out));
        self.lock().closed = true;
    }

    /// Bytes that wait.
    pub(crate) fn waiting(&self) -> usize {
        let queue = self.lock();
        queue.frames.len() - queue.written
    }

    /// The server is stopping.
    pub(crate) fn stop(&self) {
        let mut queue = self.lock();
        queue.stopping = true;
        wake(queue);
    }

    /// What the client's task is to know; writes what waits for the socket. The task is woken if there is more of either.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<Told> {
        let mut queue = self.lock();
        if queue.blocked {
            // Either all is written, or the task is woken when more can be.
            let _ = self.write(&mut queue, Some(cx));
        }
        if std::mem::take(&mut queue.overflowed) {
            return Poll::Ready(Told::Overflowed);
        }
        if std::mem::take(&mut queue.stopping) {
            return Poll::Ready(Told::Stopping);
        }
        if queue.broken {
            return Poll::Ready(Told::Broken);
        }
        match &mut queue.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// Ready when everything is written or nothing more can be.
    pub(crate) fn poll_written(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut queue = self.lock();
        if queue.broken { Poll::Ready(()) } else { self.write(&mut queue, Some(cx)) }
    }

    fn push(self: &Arc<Self>, len: usize, due: &mut Due, write: impl FnOnce(&mut Vec<u8>)) {
        let mut queue = self.lock();
        if queue.closed || queue.broken {
            return;
        }
        if queue.frames.len() - queue.written + len > self.limit {
            return overflow(queue);
        }
        if queue.frames.capacity() == 0 {
            queue.frames = POOL.with_borrow_mut(Vec::pop).unwrap_or_default();
        }
        queue.frames.reserve(len + encode::LONGEST_HEADER);
        write(&mut queue.frames);
        if queue.blocked {
            let held = queue.frames.capacity();
            if queue.share.set(held).is_err() {
                overflow(queue);
            }
        } else if queue.frames.len() >= BATCH {
            queue.due = false;
            self.flush(queue);
        } else if !queue.due {
            queue.due = true;
            drop(queue);
            due.add(self);
        }
    }

    /// Writes what fits at once; the rest is left to the client's task.
    fn flush(&self, mut queue: MutexGuard<'_, Queue>) {
        if queue.blocked || queue.broken {
            return;
        }
        if self.write(&mut queue, None).is_pending() {
            queue.blocked = true;
            let held = queue.frames.capacity();
            if queue.share.set(held).is_err() {
                return overflow(queue);
            }
        }
        if queue.blocked || queue.broken {
            wake(queue);
        }
    }

    /// Writes everything, or as much as fits; with a task's context, the task is woken when more fits.
    fn write(&self, queue: &mut Queue, mut cx: Option<&mut Context<'_>>) -> Poll<()> {
        let mut noop = Context::from_waker(Waker::noop());
        let result = loop {
            let Some(rest) = queue.frames.get(queue.written..).filter(|rest| !rest.is_empty()) else {
                let cx = cx.as_deref_mut().unwrap_or(&mut noop);
                break ready!(self.writer.poll_flush(cx));
            };
            let written = match cx.as_deref_mut() {
                Some(cx) => ready!(self.writer.poll_write(cx, rest)),
                None => match self.writer.try_write(rest) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                    written => written,
                },
            };
            match written {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => queue.written += written,
                Err(error) => break Err(error),
            }
            if queue.written >= BATCH && queue.written < queue.frames.len() {
                queue.frames.drain(..queue.written);
                queue.written = 0;
            }
        };
        queue.broken = result.is_err();
        queue.clear();
        Poll::Ready(())
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Nothing waits any more; the buffer goes to the thread's pool.
    fn clear(&mut self) {
        let mut frames = std::mem::take(&mut self.frames);
        self.written = 0;
        self.blocked = false;
        let _ = self.share.set(0);
        if frames.capacity() > 0 && frames.capacity() <= POOLED_SIZE {
            frames.clear();
            POOL.with_borrow_mut(|pool| {
                if pool.len() < POOLED {
                    pool.push(frames);
                }
            });
        }
    }
}

/// The stream has a hole from here on: nothing is taken in after it.
fn overflow(mut queue: MutexGuard<'_, Queue>) {
    queue.clear();
    queue.closed = true;
    queue.overflowed = true;
    wake(queue);
}

fn wake(mut queue: MutexGuard<'_, Queue>) {
    let waker = queue.waker.take();
    drop(queue);
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl Due {
    fn add(&mut self, outbox: &Arc<Outbox>) {
        match &mut self.first {
            Some(_) => self.others.push(Arc::clone(outbox)),
            none => *none = Some(Arc::clone(outbox)),
        }
    }

    /// Writes now.
    pub(crate) fn flush(&mut self) {
        for outbox in self.first.take().into_iter().chain(self.others.drain(..)) {
            let mut queue = outbox.lock();
            queue.due = false;
            outbox.flush(queue);
        }
    }
}

impl Drop for Due {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    async fn outbox(limit: usize, budget: &Arc<Budget>) -> (Arc<Outbox>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (_, writer) = listener.accept().await.unwrap().0.into_split();
        (Outbox::new(limit, Writer::Plain(writer.into()), budget), far)
    }

    fn told(outbox: &Outbox) -> Option<Told> {
        match outbox.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(told) => Some(told),
            Poll::Pending => None,
        }
    }

    /// Pushes until the socket takes no more.
    fn fill(outbox: &Arc<Outbox>, text: &str) -> usize {
        let mut pushed = 0;
        while !outbox.lock().blocked {
            outbox.push_text(text, &mut Due::default());
            pushed += 1;
        }
        pushed
    }

    #[tokio::test]
    async fn rv5_an_outbox_that_overflows_says_so_once_and_holds_nothing() {
        let budget = Budget::new(usize::MAX);
        let (outbox, _far) = outbox(100_000, &budget).await;
        let text = "x".repeat(20_000);
        fill(&outbox, &text);
        assert!(budget.held() > 0);
        assert_eq!(told(&outbox), None);
        for _ in 0..10 {
            outbox.push_text(&text, &mut Due::default());
        }
        assert_eq!(told(&outbox), Some(Told::Overflowed));
        assert_eq!(told(&outbox), None);
        outbox.push_text(&text, &mut Due::default());
        assert_eq!((budget.held(), outbox.lock().frames.capacity()), (0, 0));
    }

    #[tokio::test]
    async fn rv5_an_outbox_overflows_also_if_all_together_hold_too_much() {
        let budget = Budget::new(50_000);
        let (outbox, _far) = outbox(10_000_000, &budget).await;
        let text = "x".repeat(20_000);
        fill(&outbox, &text);
        for _ in 0..10 {
            outbox.push_text(&text, &mut Due::default());
        }
        assert_eq!(told(&outbox), Some(Told::Overflowed));
        assert_eq!(budget.held(), 0);
    }

    #[tokio::test]
    async fn rv1_what_waited_for_a_slow_reader_comes_in_order_and_whole() {
        let budget = Budget::new(usize::MAX);
        let (outbox, mut far) = outbox(100_000_000, &budget).await;
        let text = "x".repeat(30_000);
        let mut pushed = fill(&outbox, &text);
        for _ in 0..20 {
            outbox.push_text(&text, &mut Due::default());
            pushed += 1;
        }
        outbox.push_close(Some(1000), &mut Due::default());
        let frame = [&[0x81, 126][..], &30_000_u16.to_be_bytes(), text.as_bytes()].concat();
        let expected = [frame.repeat(pushed), b"\x88\x02\x03\xe8".to_vec()].concat();
        let mut read = vec![0; expected.len()];
        let writing = std::future::poll_fn(|cx| outbox.poll_written(cx));
        let ((), read_all) = tokio::join!(writing, far.read_exact(&mut read));
        read_all.unwrap();
        assert!(read == expected);
        assert_eq!((budget.held(), outbox.lock().frames.capacity()), (0, 0));
    }
}
