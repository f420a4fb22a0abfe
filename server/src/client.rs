//! Drives one client's machine: feeds it what arrives, does what it says.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use symbolon_core::id::Nonce;
use symbolon_core::rendezvous::{CloseReason, Connection, ConnectionOutput, Terms};
use symbolon_core::signal::RefusalCode;
use tokio::time::Sleep;

use crate::clock::Clock;
use crate::config::OutboxLimits;
use crate::door::Seat;
use crate::outbox::{Outbox, Taken};
use crate::registry::Registry;
use crate::socket::{Farewell, Incoming, Outgoing, Socket};
use crate::turn::Turn;

/// What all clients' tasks share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) terms: Arc<Terms>,
    pub(crate) registry: Registry,
    pub(crate) clock: Clock,
    pub(crate) turn: Option<Arc<Turn>>,
    pub(crate) outbox: OutboxLimits,
}

enum Event {
    Incoming(Incoming),
    SlowReader,
    Stopping,
    Timeout,
}

struct Client {
    socket: Socket,
    outbox: Arc<Outbox>,
    timer: Pin<Box<Sleep>>,
    /// What the timer is set to; may be earlier than what the machine wants, never later.
    armed: Option<Duration>,
    unflushed: bool,
}

/// Serves one client until it is gone.
pub(crate) async fn serve(socket: Socket, seat: Arc<Seat>, shared: Arc<Shared>) {
    let outbox = Arc::new(Outbox::new(shared.outbox));
    let number = shared.registry.opened(&outbox);
    let timer = Box::pin(tokio::time::sleep(Duration::ZERO));
    let mut client = Client { socket, outbox: Arc::clone(&outbox), timer, armed: None, unflushed: false };
    let reason = drive(&mut client, &shared).await;
    shared.registry.closed(number);
    match reason {
        None => tracing::debug!("a client has gone"),
        Some(reason) => {
            tracing::debug!(?reason, "a client is closed");
            if reason.is_offence()
                && let Some(wait) = seat.offence(shared.clock.now())
            {
                tracing::debug!(?wait, "its address waits");
            }
            if let Some(farewell) = farewell(reason) {
                client.socket.close(outbox.take_all(), farewell).await;
            }
        }
    }
}

/// How to say goodbye; nothing to those who broke the protocol, and nothing to those who would not hear it.
fn farewell(reason: CloseReason) -> Option<Farewell> {
    match reason {
        CloseReason::Refused(RefusalCode::ShuttingDown) => Some(Farewell::Away),
        CloseReason::Refused(_) => Some(Farewell::Refused),
        CloseReason::Idle => Some(Farewell::Normal),
        CloseReason::NoHello | CloseReason::Violation(_) | CloseReason::Dead | CloseReason::SlowReader => {
            None
        }
    }
}

/// Returns why the server closes, or nothing if the client went by itself.
async fn drive(client: &mut Client, shared: &Shared) -> Option<CloseReason> {
    let nonce = Nonce::from_bytes(rand::random());
    let mut connection = Connection::new(Arc::clone(&shared.terms), nonce, shared.clock.now());
    let mut gone = false;
    loop {
        while let Some(output) = connection.poll_output() {
            match output {
                ConnectionOutput::Send(message) => client.outbox.push(Outgoing::text(message.encode())),
                ConnectionOutput::Ping => client.outbox.push(Outgoing::Ping),
                ConnectionOutput::Claim(session) => {
                    let answer = shared.registry.claim(session, &client.outbox);
                    if let (Ok(()), Some(turn)) = (answer, &shared.turn) {
                        turn.signed_in(&session);
                    }
                    connection.handle_claim(answer, shared.clock.now());
                }
                ConnectionOutput::Release(session) => {
                    shared.registry.release(session);
                    if let Some(turn) = &shared.turn {
                        turn.signed_out(&session);
                    }
                }
                ConnectionOutput::Enter { topic, session, announcement } => {
                    if shared.registry.enter(topic, session, announcement).is_err() {
                        connection.handle_full(topic);
                    }
                }
                ConnectionOutput::Leave { topic, session } => shared.registry.leave(topic, session),
                ConnectionOutput::Relay { topic, from, to, body } => {
                    shared.registry.relay(topic, from, to, body);
                }
                ConnectionOutput::Close(reason) => return Some(reason),
            }
        }
        if gone {
            return None;
        }
        client.arm(connection.poll_timeout(), &shared.clock);
        match std::future::poll_fn(|cx| client.poll(cx)).await {
            Event::Incoming(Incoming::Text(text)) => {
                connection.handle_text(text.as_str(), shared.clock.now());
            }
            Event::Incoming(Incoming::Alive) => connection.handle_alive(shared.clock.now()),
            Event::Incoming(Incoming::Garbage(violation)) => connection.handle_violation(violation),
            Event::Incoming(Incoming::Gone) => {
                connection.handle_gone();
                gone = true;
            }
            Event::SlowReader => connection.handle_slow_reader(),
            Event::Stopping => connection.handle_shutdown(),
            Event::Timeout => connection.handle_timeout(shared.clock.now()),
        }
    }
}

impl Client {
    /// Deadlines mostly move away: the timer is moved when one is earlier, and otherwise when it has fired.
    fn arm(&mut self, deadline: Option<Duration>, clock: &Clock) {
        if let Some(deadline) = deadline
            && self.armed.is_none_or(|armed| deadline < armed)
        {
            self.timer.as_mut().reset(clock.instant(deadline));
            self.armed = Some(deadline);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        if let Poll::Ready(event) = self.poll_write(cx) {
            return Poll::Ready(event);
        }
        if let Poll::Ready(incoming) = self.socket.poll_read(cx) {
            return Poll::Ready(Event::Incoming(incoming));
        }
        if self.armed.is_some() && self.timer.as_mut().poll(cx).is_ready() {
            self.armed = None;
            return Poll::Ready(Event::Timeout);
        }
        Poll::Pending
    }

    /// Moves what waits into the socket; ready only if something else is to be done.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        const GONE: Poll<Event> = Poll::Ready(Event::Incoming(Incoming::Gone));
        loop {
            let fit = match self.socket.poll_ready(cx) {
                Poll::Ready(Ok(())) => true,
                Poll::Ready(Err(_)) => return GONE,
                Poll::Pending => false,
            };
            match self.outbox.poll(cx, fit) {
                Poll::Ready(Taken::Outgoing(outgoing)) => {
                    if self.socket.write(outgoing).is_err() {
                        return GONE;
                    }
                    self.unflushed = true;
                }
                Poll::Ready(Taken::Overflowed) => return Poll::Ready(Event::SlowReader),
                Poll::Ready(Taken::Stopping) => return Poll::Ready(Event::Stopping),
                Poll::Pending => break,
            }
        }
        if self.unflushed {
            match self.socket.poll_flush(cx) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(_)) => return GONE,
                Poll::Pending => {}
            }
        }
        Poll::Pending
    }
}
