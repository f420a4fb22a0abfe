//! The agent: one process per home directory owns its [`Peer`] and answers commands and other programs.
//!
//! ```text
//! socket ── lines ──▶ connection ── Request ──▶ methods ──▶ Peer
//!    ▲                    │                                   │
//!    └───── outbox ◀──────┴───── events ◀── subscription ─────┘
//! ```
//!
//! # Layout
//! - `place`: where the socket is, who may reach it.
//! - `jsonrpc`: messages, and what is wrong with them.
//! - `connection`: one program's connection: lines in, lines out, bounds.
//! - `methods`: what can be asked.
//! - `members`, `texts`, `canvas`: methods on a room's members, its texts, its documents and drawings.
//! - `serving`: the server that the agent hosts.
//! - `events`: what is pushed.

mod canvas;
mod connection;
mod events;
mod jsonrpc;
mod members;
mod methods;
pub(crate) mod place;
pub(crate) mod serving;
mod texts;

use std::fmt::Write as _;
use std::io;
use std::sync::Arc;

use symbolon::{Options, Peer};
use tokio::net::UnixListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, Semaphore};

use crate::failure::Failure;
use place::Home;
use serde_json::Value;
use serving::{Choice, Serving};

/// Programs connected at a time. Commands come and go; this leaves room for those that stay.
const CONNECTIONS: usize = 64;

/// What every connection works with.
struct Agent {
    peer: Peer,
    home: Home,
    serving: Serving,
    stop: Notify,
}

/// Whether the agent is there, as it tells whoever started it.
pub(crate) struct Ready {
    pub(crate) device: String,
    pub(crate) name: String,
    pub(crate) serving: Value,
}

/// Opens the home directory and serves until a signal or a `shutdown` request. Tells `ready` once it can be reached.
pub(crate) fn run(
    options: Options,
    home: Home,
    choice: Choice,
    ready: impl FnOnce(&Ready),
) -> Result<(), Failure> {
    // Everything the agent makes is for its owner alone, from the moment it is made.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new("agent", format!("the agent cannot start: {error}")))?
        .block_on(serve(options, home, choice, ready))
}

async fn serve(
    options: Options,
    home: Home,
    choice: Choice,
    ready: impl FnOnce(&Ready),
) -> Result<(), Failure> {
    let system = |error: io::Error| Failure::new("agent", format!("the agent cannot start: {error}"));
    let signals = Signals::new().map_err(system)?;
    let peer = Peer::open_with(options).await?;
    let serving = Serving::new(home.dir());
    let begun = serving.begin(&peer, choice).await;
    // The store's lock says that no other agent lives: a socket that is there is a dead one's.
    let listener = match begun.and_then(|()| home.listen()) {
        Ok(listener) => listener,
        Err(failure) => {
            peer.close().await;
            return Err(failure);
        }
    };
    let agent = Arc::new(Agent { peer, home, serving, stop: Notify::new() });
    tracing::info!(version = env!("CARGO_PKG_VERSION"), device = %agent.peer.device(), "the agent is up");
    if tracing::enabled!(tracing::Level::DEBUG) {
        tokio::spawn(events::log(agent.peer.subscribe()));
    }
    ready(&Ready {
        device: agent.peer.device().to_string(),
        name: agent.peer.name().to_owned(),
        serving: agent.serving.describe(&agent.peer).await?,
    });
    tokio::select! {
        () = accept(&listener, &agent) => {}
        () = agent.serving.keep_up(&agent.peer) => {}
        () = agent.stop.notified() => {}
        () = signals.end() => {}
    }
    tracing::info!("the agent ends");
    agent.home.remove_socket();
    agent.peer.close().await;
    Ok(())
}

async fn accept(listener: &UnixListener, agent: &Arc<Agent>) {
    let seats = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, most likely; it passes when a connection ends.
                tracing::warn!("a connection was not accepted: {error}");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        let agent = agent.clone();
        match seats.clone().try_acquire_owned() {
            Ok(seat) => {
                tokio::spawn(async move {
                    connection::serve(stream, agent).await;
                    drop(seat);
                });
            }
            Err(_) => connection::refuse(stream),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// The signals that end the agent. A closed terminal does not.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn end(mut self) {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return,
                _ = self.terminate.recv() => return,
                _ = self.hangup.recv() => {}
            }
        }
    }
}
