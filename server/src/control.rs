//! What a running server can be told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use symbolon_core::rendezvous::Terms;
use symbolon_core::signal::Limits;

use crate::client::Shared;
use crate::config::Config;
use crate::gate::Gate;
use crate::tls::TlsError;

/// How often clients are closed while the server drains.
const DRAIN_STEP: Duration = Duration::from_millis(50);

/// A hold on a running server.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    pub(crate) address: SocketAddr,
    pub(crate) gate: Arc<Gate>,
    pub(crate) shared: Arc<Shared>,
}

impl Control {
    /// Whether to send clients here: the answer of `/readyz`.
    pub(crate) fn ready(&self) -> (StatusCode, &'static str) {
        if self.shared.registry.stopping() {
            (StatusCode::SERVICE_UNAVAILABLE, "stopping")
        } else {
            (StatusCode::OK, "ready")
        }
    }

    /// See [`Server::reload`](crate::Server::reload).
    pub(crate) fn reload(&self, config: &Config) -> Result<(), TlsError> {
        let old = Terms::clone(&self.shared.terms());
        let told = config.terms(old.key.clone(), self.address, self.gate.secure());
        self.shared.set_terms(Terms {
            origins: told.origins,
            // How many a room holds belongs to the rooms, which are older than this.
            limits: Limits { clients_per_room: old.limits.clients_per_room, ..told.limits },
            messages: told.messages,
            bytes: told.bytes,
            enters: told.enters,
            ping_every: told.ping_every,
            dead_after: told.dead_after,
            idle_after: told.idle_after,
            ..old
        });
        self.gate.reload(config)
    }

    /// Tells every client to go elsewhere and closes those that stay, spread over the second half of `over`, so that the
    /// servers they go to are not overrun. Done when all are gone, or when the time is over.
    pub(crate) async fn drain(&self, over: Duration) {
        let registry = &self.shared.registry;
        let staying = registry.drain(over.as_secs().max(1));
        let begin = Instant::now();
        let mut closed = 0;
        while begin.elapsed() < over && !registry.is_empty() {
            tokio::time::sleep(DRAIN_STEP.min(over)).await;
            let late = begin.elapsed().saturating_sub(over / 2);
            let due = staying.len() as f64 * late.as_secs_f64() / (over / 2).as_secs_f64();
            let due = (due as usize).min(staying.len());
            staying[closed..due].iter().for_each(|outbox| outbox.stop());
            closed = due;
        }
    }
}
