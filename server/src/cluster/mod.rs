//! Several servers as one, over NATS. The rules are in [`symbolon_core::rendezvous::cluster`]; here is what drives them.
//!
//! ```text
//!   clients' tasks ── Registry ── enter, leave, signal ──▶ Link ──▶ ┌──────┐ ── publish, subscribe ──▶ ┌─────┐
//!                        ▲                                          │ task │                           │ Bus │ NATS
//!                        └──── who is elsewhere, signals ◀──────────└──────┘ ◀── messages, up, down ── └─────┘
//! ```
//!
//! One task owns the machine. If the bus takes no more it waits, then the `link` fills, then clients are not read
//! from: nothing grows without bound, and no client is slowed by a bus that is away, because then nothing waits for it.
//!
//! # Layout
//! - [`config`]: what an operator says.
//! - `nats`: the bus; the only file that knows the library.
//! - `link`: from the clients' tasks to the cluster's.
//! - `task`: the loop that drives the machine.

pub mod config;
pub(crate) mod link;
mod nats;
mod task;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use symbolon_core::rendezvous::cluster::Identity;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::client::Shared;
pub use config::{ClusterConfig, NatsUrl};

/// Why a server cannot take part in a cluster.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The credentials file cannot be used.
    #[error("cannot use the NATS credentials {path}: {source}")]
    Credentials {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Certificates, or a key, cannot be used.
    #[error("cannot use {path} for the connection to NATS: {why}")]
    Pem {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A server is the same user at all NATS servers.
    #[error("the addresses of NATS name different users; a server is the same user at all of them")]
    Users,
    /// The connection cannot even be tried.
    #[error("cannot connect to NATS: {0}")]
    Connect(String),
}

/// What can be seen of a server's part in a cluster.
#[derive(Debug, Default)]
pub struct ClusterStatus {
    connected: AtomicBool,
    servers: AtomicUsize,
    foreign: AtomicUsize,
    /// 0 if it is wide enough.
    narrow: AtomicUsize,
    counts: [AtomicU64; 6],
}

/// What has been counted since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClusterCounts {
    /// Messages from the bus.
    pub messages_in: u64,
    /// Messages to the bus.
    pub messages_out: u64,
    /// Messages from the bus that were none.
    pub garbage: u64,
    /// Snapshots asked for, and times that everything was stated anew, because something was missed.
    pub resyncs: u64,
    /// Signals between servers that could not be delivered: their receiver had gone, or there was no bus.
    pub dropped: u64,
    /// Messages lost here because they came faster than they were taken.
    pub lost: u64,
}

impl ClusterStatus {
    /// Whether there is a connection to the bus: a server without one serves its own clients, and nobody else's.
    pub fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    /// How many other servers are known to run.
    pub fn servers(&self) -> usize {
        self.servers.load(Ordering::Relaxed)
    }

    /// How many servers are heard that have another key or speak another version.
    pub fn foreign(&self) -> usize {
        self.foreign.load(Ordering::Relaxed)
    }

    /// The largest message that the bus passes, in bytes, if servers may have larger ones for each other.
    pub fn narrow(&self) -> Option<usize> {
        Some(self.narrow.load(Ordering::Relaxed)).filter(|most| *most > 0)
    }

    /// What has been counted.
    pub fn counts(&self) -> ClusterCounts {
        let [messages_in, messages_out, garbage, resyncs, dropped, lost] =
            std::array::from_fn(|n| self.counts[n].load(Ordering::Relaxed));
        ClusterCounts { messages_in, messages_out, garbage, resyncs, dropped, lost }
    }
}

/// A cluster that is about to be joined.
pub(crate) struct Joining {
    config: ClusterConfig,
    options: nats::Options,
    status: Arc<ClusterStatus>,
    link: Arc<link::Link>,
}

/// A server's part in a cluster, while it runs.
#[derive(Debug)]
pub(crate) struct Joined {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Joining {
    /// Reads what the configuration names; nothing if it names no bus.
    pub(crate) fn new(config: &ClusterConfig) -> Result<Option<Self>, ClusterError> {
        if config.nats.is_empty() {
            return Ok(None);
        }
        let options = nats::prepare(config)?;
        Ok(Some(Self { config: config.clone(), options, status: Arc::default(), link: Arc::default() }))
    }

    /// What can be seen of it.
    pub(crate) fn status(&self) -> Arc<ClusterStatus> {
        Arc::clone(&self.status)
    }

    /// Where the registry is to push.
    pub(crate) fn link(&self) -> Arc<link::Link> {
        Arc::clone(&self.link)
    }

    /// Begins. That there is no bus yet is no error.
    pub(crate) async fn start(self, shared: Arc<Shared>) -> Result<Joined, ClusterError> {
        let Self { config, options, status, link } = self;
        let terms = shared.terms();
        let identity = Identity::new(rand::random(), terms.key.server(), &terms.origins);
        let bus = nats::Bus::connect(options, &config).await?;
        let task = task::Task::new(identity, config.name, bus, link, status, shared).await?;
        let (stop, stopped) = oneshot::channel();
        Ok(Joined { stop, task: tokio::spawn(task.run(stopped)) })
    }
}

impl Joined {
    /// Says goodbye to the other servers.
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.task.await;
    }
}
