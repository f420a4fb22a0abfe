//! The rendezvous server: brings the clients of a room together, relays their sealed signals, and need not be trusted.
//!
//! Every rule is in [`symbolon_core::rendezvous`]; here are sockets, timers and the maps in which the rules' machines
//! live. Left out: sign-in policies.
//!
//! ```text
//!   accept ─ Door (bans, seats) ─ Gate (PROXY, TLS) ─ HTTP/1 ─┬─ /         the page, from the crate that holds it
//!                                                             ├─ /healthz
//!                                                             └─ /ws ─ one task per client:
//!
//!      bytes ─ ws::Decoder ── text, ping ──▶ Connection ── enter, leave, relay ──▶ Registry: rooms, sessions
//!                                               │ send, ping                          │ notices, signals
//!      socket ◀── Outbox ◀──────────────────────┴─────────────────────────────────────┘  (also into others' outboxes)
//! ```
//!
//! A client's task owns its `Connection`; nobody else touches it. What a task has for other clients it writes into their
//! sockets itself, once it has dealt with all that it had read: a signal wakes nobody but the client it is for. An
//! outbox has no memory while its socket takes what comes, and a client that is idle has no buffer of any kind.
//!
//! Rooms live in a sharded map: arrivals and departures hold their room's shard while they are put into the outboxes, so
//! all members hear of them in one order; a signal holds it shared. Locks are taken in the order room, session, outbox,
//! and none is held across an await.
//!
//! # Layout
//! - [`config`]: what an operator may choose.
//! - [`key`]: the server's key and its file.
//! - [`options`]: the same from a file, the environment and flags.
//! - `stream`: a connection as it was accepted.
//! - `door`: who may connect: bans, and seats in total and per address.
//! - `control`: what a running server can be told.
//! - `gate`: from an accepted socket to the bytes of a known client.
//! - [`tls`]: the certificate, and its replacement.
//! - [`proxy`]: for whom a listed proxy speaks.
//! - `metrics`: what is counted.
//! - `admin`: the operator's own listener: metrics, health, a page of what goes on.
//! - `listen`: the accept loop and HTTP.
//! - `http`: the stream under HTTP, which finds readers of the page that do not read.
//! - `ws`: WebSocket, without I/O.
//! - `wire`: a client's byte stream after the upgrade.
//! - `client`: the loop that drives one client's machine.
//! - `outbox`: what waits for a client, and the way into its socket.
//! - `budget`: the memory that all these may take together.
//! - `registry`: sessions and rooms.
//! - [`cluster`]: several servers as one.
//! - [`turn`]: STUN and TURN.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod admin;
mod budget;
mod client;
mod clock;
pub mod cluster;
pub mod config;
mod control;
mod door;
mod gate;
mod http;
pub mod key;
mod listen;
mod metrics;
pub mod options;
mod outbox;
pub mod proxy;
mod registry;
mod status;
mod stream;
pub mod tls;
pub mod turn;
mod wire;
mod ws;

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use symbolon_core::id::ServerKey;
use symbolon_core::origin::Origin;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub use cluster::ClusterStatus;
pub use config::Config;
pub use key::KeySource;

/// Why a server does not start, or ends.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; is another server running there?")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The key cannot be had.
    #[error(transparent)]
    Key(#[from] key::KeyError),
    /// The server cannot take part in the cluster.
    #[error(transparent)]
    Cluster(#[from] cluster::ClusterError),
    /// The relay cannot be.
    #[error("the relay (TURN) cannot start: {0}")]
    Turn(String),
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    /// The listener broke.
    #[error("the listening socket broke: {0}")]
    Socket(#[from] std::io::Error),
}

/// A running server. Dropping it stops it too; [`shutdown`](Self::shutdown) waits until it has stopped.
#[derive(Debug)]
pub struct Server {
    control: control::Control,
    admin: Option<SocketAddr>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), ServerError>>,
}

impl Server {
    /// Listens on the configuration's address and serves, on the current tokio runtime.
    pub async fn bind(config: Config) -> Result<Self, ServerError> {
        let listener = TcpListener::bind(config.listen)
            .await
            .map_err(|source| ServerError::Listen { address: config.listen, source })?;
        let admin = match config.admin {
            Some(address) => Some(admin::Admin::bind(address).await?),
            None => None,
        };
        let prepared = listen::Listening::new(listener, config)?;
        let control = prepared.control();
        let (stop, stopped) = oneshot::channel::<()>();
        Ok(Self {
            admin: admin.as_ref().map(admin::Admin::address),
            task: tokio::spawn({
                let control = control.clone();
                async move {
                    // A dropped sender means a dropped `Server`: stop as well.
                    let serving = prepared.serve(async {
                        let _ = stopped.await;
                    });
                    match admin {
                        None => serving.await,
                        Some(admin) => tokio::select! {
                            served = serving => served,
                            () = admin.serve(control) => unreachable!("it serves for ever"),
                        },
                    }
                }
            }),
            control,
            stop,
        })
    }

    /// Where the operator's own listener is, if there is one.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// Where it listens, with the port the system chose if it was asked to.
    pub fn local_addr(&self) -> SocketAddr {
        self.control.address
    }

    /// How its addresses begin: `wss` with a certificate, `ws` without.
    pub fn scheme(&self) -> &'static str {
        if self.control.gate.secure() { "wss" } else { "ws" }
    }

    /// The key that signs its challenges.
    pub fn key(&self) -> ServerKey {
        self.control.shared.terms().key.server()
    }

    /// The addresses its challenges name.
    pub fn origins(&self) -> Vec<Origin> {
        self.control.shared.terms().origins.clone()
    }

    /// Takes over what can change in a running server: limits (told to whoever connects from now on), origins, listed
    /// proxies, and the certificate. All but the certificate is taken over also if that cannot be used.
    pub fn reload(&self, config: &Config) -> Result<(), tls::TlsError> {
        self.control.reload(config)
    }

    /// Tells every client to go elsewhere, and closes those that have not gone after about `over`, spread over the second
    /// half of it. Whoever connects meanwhile is told that the server stops, and `/readyz` says that it is not ready.
    /// Done when all are gone; [`shutdown`](Self::shutdown) comes next.
    pub async fn drain(&self, over: Duration) {
        self.control.drain(over).await;
    }

    /// How much of the relay is in use, if there is one.
    pub fn turn_use(&self) -> Option<turn::TurnUse> {
        self.control.shared.turn.as_ref().map(|turn| turn.used())
    }

    /// How it is with the other servers, if the configuration names a bus.
    pub fn cluster(&self) -> Option<&ClusterStatus> {
        self.control.shared.cluster.as_deref()
    }

    /// Stops accepting, tells every client, and returns when all are gone, after 4 s at most.
    pub async fn shutdown(self) -> Result<(), ServerError> {
        let _ = self.stop.send(());
        match self.task.await {
            Ok(result) => result,
            Err(panicked) => Err(ServerError::Socket(std::io::Error::other(panicked))),
        }
    }
}

/// Serves on `listener` until `shutdown` resolves, then stops politely, within 4 s.
pub async fn run(
    listener: TcpListener,
    config: Config,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServerError> {
    listen::Listening::new(listener, config)?.serve(shutdown).await
}
