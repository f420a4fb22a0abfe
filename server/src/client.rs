//! Drives one client's machine: feeds it what arrives, does what it says.

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::upgrade::Upgraded;
use symbolon_core::id::Nonce;
use symbolon_core::rendezvous::{CloseReason, Connection, ConnectionOutput, Terms, Violation};
use symbolon_core::signal::{MAX_MESSAGE, RefusalCode};
use tokio::time::Sleep;

use crate::budget::{Budget, Share};
use crate::clock::Clock;
use crate::cluster::ClusterStatus;
use crate::door::Seat;
use crate::metrics::{self, CLOSED, Metrics};
use crate::outbox::{Due, Outbox, Told};
use crate::registry::{NotEntered, Registry};
use crate::turn::Turn;
use crate::wire::{self, Reader, Wire};
use crate::ws::{Decoder, Event, Malformed};

/// How much is read at once. One buffer to a thread, for all its clients.
const READ: usize = 64 * 1024;

/// How long a client may take to read the last words and to answer the close.
const LINGER: Duration = Duration::from_secs(2);

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into());
}

/// What all clients' tasks share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// For those who connect from now on.
    pub(crate) terms: RwLock<Arc<Terms>>,
    pub(crate) registry: Registry,
    /// How it is with the other servers, if this one is not alone.
    pub(crate) cluster: Option<Arc<ClusterStatus>>,
    pub(crate) clock: Clock,
    pub(crate) turn: Option<Arc<Turn>>,
    /// Bytes that may wait for one client.
    pub(crate) outbox: usize,
    /// Bytes that may be held for all.
    pub(crate) budget: Arc<Budget>,
    pub(crate) metrics: Arc<Metrics>,
}

impl Shared {
    pub(crate) fn terms(&self) -> Arc<Terms> {
        Arc::clone(&self.terms.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Other terms; whoever is connected keeps those it was welcomed with.
    pub(crate) fn set_terms(&self, terms: Terms) {
        *self.terms.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(terms);
    }
}

struct Client {
    reader: Reader,
    decoder: Decoder,
    /// What the decoder keeps.
    kept: Share,
    timer: Pin<Box<Sleep>>,
    /// What the timer is set to; may be earlier than what the machine wants, never later.
    armed: Option<Duration>,
    driven: Driven,
}

/// The machine, and what carries out what it says.
struct Driven {
    connection: Connection,
    outbox: Arc<Outbox>,
    seat: Arc<Seat>,
    shared: Arc<Shared>,
    /// When it connected.
    since: Duration,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy)]
enum End {
    /// The client went.
    Gone,
    /// The server closes.
    Closed(CloseReason),
}

/// Serves one client until it is gone.
pub(crate) async fn serve(upgraded: Upgraded, seat: Arc<Seat>, shared: Arc<Shared>) {
    let Wire { reader, writer, early, held } = wire::split(upgraded);
    let outbox = Outbox::new(shared.outbox, writer, &shared.budget);
    let number = shared.registry.opened(&outbox);
    let nonce = Nonce::from_bytes(rand::random());
    let now = shared.clock.now();
    let connection = Connection::new(shared.terms(), nonce, now);
    let mut client = Client {
        reader,
        decoder: Decoder::new(MAX_MESSAGE),
        kept: Share::new(&shared.budget),
        timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
        armed: None,
        driven: Driven { connection, outbox, seat, shared, since: now.monotonic },
    };
    let begun = client.begin(held, early);
    let end = match begun {
        Some(end) => end,
        None => std::future::poll_fn(|cx| client.poll(cx)).await,
    };
    client.driven.shared.registry.closed(number);
    let metrics = &client.driven.shared.metrics;
    match end {
        End::Gone => {
            metrics.count(CLOSED, "gone");
            tracing::debug!("a client has gone");
        }
        End::Closed(reason) => {
            metrics.count(CLOSED, metrics::closed(reason));
            tracing::debug!(?reason, "a client is closed");
            if reason.is_offence()
                && let Some(wait) = client.driven.seat.offence(client.driven.shared.clock.now())
            {
                tracing::debug!(?wait, "its address waits");
            }
            if let Some(code) = farewell(reason) {
                // Boxed, so that those who stay need not have the room for it.
                Box::pin(client.close(code)).await;
            }
        }
    }
}

/// How to say goodbye (RFC 6455 §7.4.1); nothing to those who broke the protocol, and nothing to those who would not
/// hear it.
fn farewell(reason: CloseReason) -> Option<u16> {
    match reason {
        CloseReason::Idle => Some(1000),
        CloseReason::Refused(RefusalCode::ShuttingDown) => Some(1001),
        CloseReason::Refused(_) => Some(1008),
        CloseReason::NoHello | CloseReason::Violation(_) | CloseReason::Dead | CloseReason::SlowReader => {
            None
        }
    }
}

impl Client {
    /// Says what is left to say of HTTP and what the machine says first, and takes what came with the request.
    fn begin(&mut self, held: Vec<u8>, mut early: Vec<u8>) -> Option<End> {
        let mut due = Due::default();
        self.driven.outbox.push_held(&held, &mut due);
        // Whoever stays for years does not keep how it came.
        drop(held);
        self.driven.settle(&mut due).or_else(|| self.take(&mut early, &mut due))
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let mut due = Due::default();
        loop {
            if let Poll::Ready(told) = self.driven.outbox.poll(cx) {
                match told {
                    Told::Overflowed => self.driven.connection.handle_slow_reader(),
                    Told::Stopping => self.driven.connection.handle_shutdown(),
                    Told::Broken => return Poll::Ready(self.driven.gone(&mut due)),
                }
                if let Some(end) = self.driven.settle(&mut due) {
                    return Poll::Ready(end);
                }
                continue;
            }
            let mut more = false;
            // While the bus to the other servers takes no more, clients wait.
            let waits =
                self.driven.shared.registry.link().is_some_and(|link| link.poll_clear(cx).is_pending());
            let read = SCRATCH.with_borrow_mut(|scratch| {
                let read = if waits { Poll::Pending } else { self.reader.poll_read(cx, scratch) };
                match read {
                    Poll::Pending => None,
                    Poll::Ready(Ok(read @ 1..)) => {
                        more = read == scratch.len();
                        Some(self.take(&mut scratch[..read], &mut due))
                    }
                    Poll::Ready(Ok(0) | Err(_)) => Some(Some(self.driven.gone(&mut due))),
                }
            });
            match read {
                Some(Some(end)) => return Poll::Ready(end),
                Some(None) if more => {
                    // It sends faster than it is read: others first.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                // What was said is written before more is read, which also asks the outbox again.
                Some(None) => due.flush(),
                None => match self.poll_timer(cx, &mut due) {
                    Poll::Ready(Some(end)) => return Poll::Ready(end),
                    Poll::Ready(None) => {}
                    Poll::Pending => return Poll::Pending,
                },
            }
        }
    }

    /// Ready if something was due.
    fn poll_timer(&mut self, cx: &mut Context<'_>, due: &mut Due) -> Poll<Option<End>> {
        let Driven { connection, shared, .. } = &mut self.driven;
        // Deadlines mostly move away: the timer is moved when one is earlier, and otherwise when it has fired.
        if let Some(deadline) = connection.poll_timeout()
            && self.armed.is_none_or(|armed| deadline < armed)
        {
            self.timer.as_mut().reset(shared.clock.instant(deadline));
            self.armed = Some(deadline);
        }
        if self.armed.is_none() || self.timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.armed = None;
        connection.handle_timeout(shared.clock.now());
        Poll::Ready(self.driven.settle(due))
    }

    /// Deals with all that was read.
    fn take(&mut self, mut bytes: &mut [u8], due: &mut Due) -> Option<End> {
        let now = self.driven.shared.clock.now();
        loop {
            match self.decoder.next(&mut bytes) {
                Ok(None) => break,
                Ok(Some(Event::Text(text))) => self.driven.connection.handle_text(text, now),
                Ok(Some(Event::Ping(payload))) => {
                    self.driven.outbox.push_pong(payload, due);
                    self.driven.connection.handle_alive(now);
                }
                Ok(Some(Event::Pong)) => self.driven.connection.handle_alive(now),
                Ok(Some(Event::Close(code))) => {
                    self.driven.outbox.push_close(code, due);
                    return Some(self.driven.gone(due));
                }
                Err(malformed) => {
                    tracing::debug!(%malformed, "a client breaks the WebSocket protocol");
                    self.driven.connection.handle_violation(match malformed {
                        Malformed::TooLong => Violation::TooLong,
                        _ => Violation::NotText,
                    });
                }
            }
            if let Some(end) = self.driven.settle(due) {
                return Some(end);
            }
        }
        if self.kept.set(self.decoder.kept()).is_err() {
            self.driven.connection.handle_crowded();
            return self.driven.settle(due);
        }
        None
    }

    /// Writes the last words and a close frame, then waits until the client has read them: a socket closed with unread
    /// input is reset, and the reset overtakes what was written.
    async fn close(mut self, code: u16) {
        let outbox = Arc::clone(&self.driven.outbox);
        outbox.push_close(Some(code), &mut Due::default());
        let _ = tokio::time::timeout(LINGER, async {
            std::future::poll_fn(|cx| outbox.poll_written(cx)).await;
            std::future::poll_fn(|cx| self.poll_discard(cx)).await;
        })
        .await;
    }

    /// Ready when the client has closed too.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        SCRATCH.with_borrow_mut(|scratch| {
            loop {
                let Poll::Ready(read) = self.reader.poll_read(cx, scratch) else { return Poll::Pending };
                let Ok(read @ 1..) = read else { return Poll::Ready(()) };
                let mut bytes = &mut scratch[..read];
                loop {
                    match self.decoder.next(&mut bytes) {
                        Ok(None) => break,
                        Ok(Some(Event::Close(_))) | Err(_) => return Poll::Ready(()),
                        Ok(Some(_)) => {}
                    }
                }
            }
        })
    }
}

impl Driven {
    /// Does what the machine says.
    fn settle(&mut self, due: &mut Due) -> Option<End> {
        let Self { connection, outbox, seat, shared, since } = self;
        while let Some(output) = connection.poll_output() {
            match output {
                ConnectionOutput::Send(message) => outbox.push_text(&message.encode(), due),
                ConnectionOutput::Ping => outbox.push_ping(due),
                ConnectionOutput::Claim(session) => {
                    let answer = shared.registry.claim(session, outbox);
                    let now = shared.clock.now();
                    if answer.is_ok() {
                        shared.metrics.sign_in.observe(now.monotonic.saturating_sub(*since));
                        if let Some(turn) = &shared.turn {
                            turn.signed_in(&session);
                        }
                    }
                    connection.handle_claim(answer, now);
                }
                ConnectionOutput::Release(session) => {
                    shared.registry.release(session);
                    if let Some(turn) = &shared.turn {
                        turn.signed_out(&session);
                    }
                }
                ConnectionOutput::Enter { topic, session, announcement } => {
                    let now = shared.clock.now();
                    match shared.registry.enter(topic, session, announcement, now, due) {
                        Ok(told) if seat.told(told, now) => {}
                        Ok(_) | Err(NotEntered::Busy) => connection.handle_crowded(),
                        Err(NotEntered::Full) => connection.handle_full(topic),
                    }
                }
                ConnectionOutput::Leave { topic, session } => shared.registry.leave(topic, session, due),
                ConnectionOutput::Relay { topic, from, to, body } => {
                    shared.registry.relay(topic, from, to, body, due);
                }
                ConnectionOutput::Close(reason) => return Some(End::Closed(reason)),
            }
        }
        None
    }

    /// The client is gone.
    fn gone(&mut self, due: &mut Due) -> End {
        self.connection.handle_gone();
        let _ = self.settle(due);
        End::Gone
    }
}
