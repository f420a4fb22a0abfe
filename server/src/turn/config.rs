//! What an operator may choose of the relay.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use symbolon_core::rendezvous::{Rate, SeatLimits, TurnSecret, TurnTerms};

use super::ranges::Network;

/// STUN and TURN in this server.
#[derive(Debug, Clone)]
pub struct TurnConfig {
    /// Where to listen for UDP.
    pub udp: Vec<SocketAddr>,
    /// Where to listen for TCP.
    pub tcp: Vec<SocketAddr>,
    /// Where to listen for TLS, with the server's certificate.
    pub tls: Vec<SocketAddr>,
    /// The name or address under which clients are told to dial. If none: the first of `public`.
    pub host: Option<String>,
    /// The addresses at which relays are reached from outside, at most one of each family. If none: the listening
    /// addresses that are no wildcards.
    pub public: Vec<IpAddr>,
    /// The ports that relays get.
    pub ports: RangeInclusive<u16>,
    /// Shown to clients; goes into their keys.
    pub realm: String,
    /// What credentials are made with; a fresh random one if none.
    pub secret: Option<String>,
    /// A file that holds it, in place of the text.
    pub secret_file: Option<PathBuf>,
    /// A TURN server elsewhere, in place of this one: its `turn:` and `turns:` addresses. `secret` is its
    /// `static-auth-secret`.
    pub external: Vec<String>,
    /// How long credentials are good for.
    pub life: Duration,
    /// Networks into which relays may send, although they are not public.
    pub allow_private: Vec<Network>,
    /// How much may be used.
    pub limits: TurnLimits,
}

/// How much of the relay may be used.
#[derive(Debug, Clone, Copy)]
pub struct TurnLimits {
    /// Relays in all.
    pub allocations: usize,
    /// Relays of one session.
    pub allocations_per_session: usize,
    /// Relays of one IPv4 address or one IPv6 /64.
    pub allocations_per_address: usize,
    /// Addresses that one relay may exchange data with.
    pub peers: usize,
    /// Bytes through one relay, both ways together.
    pub bandwidth: Rate,
    /// Bytes through all relays.
    pub total_bandwidth: Rate,
    /// TCP connections in all.
    pub streams: usize,
    /// TCP connections from one IPv4 address or one IPv6 /64.
    pub streams_per_address: usize,
    /// Answers to one address before it has shown credentials.
    pub strangers: Rate,
}

/// The default life of credentials.
pub const CREDENTIAL_LIFE: Duration = Duration::from_secs(60 * 60);

impl TurnConfig {
    /// Whether there is a relay in this server.
    pub fn listens(&self) -> bool {
        !(self.udp.is_empty() && self.tcp.is_empty() && self.tls.is_empty())
    }

    /// The secret, wherever it is; nothing if a random one is to be made.
    pub(crate) fn secret(&self) -> Result<Option<String>, String> {
        let Some(path) = &self.secret_file else { return Ok(self.secret.clone()) };
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let secret = text.trim();
        if secret.is_empty() {
            Err(format!("{} is empty", path.display()))
        } else {
            Ok(Some(secret.to_owned()))
        }
    }

    /// What sessions are told of a relay elsewhere.
    pub(crate) fn elsewhere(&self) -> Result<Option<TurnTerms>, String> {
        if self.external.is_empty() {
            return Ok(None);
        }
        if self.listens() {
            return Err("it is to listen itself and to be elsewhere; name one".to_owned());
        }
        let Some(secret) = self.secret()? else {
            return Err("the one elsewhere shares a secret (static-auth-secret); name it too".to_owned());
        };
        let secret = TurnSecret::new(secret.into_bytes());
        Ok(Some(TurnTerms { urls: self.external.clone(), secret, life: self.life }))
    }
}

impl TurnLimits {
    /// Who may have a stream.
    pub(super) fn seats(&self) -> SeatLimits {
        SeatLimits {
            total: self.streams,
            per_source: self.streams_per_address,
            arrivals: self.strangers,
            notices: self.strangers,
        }
    }
}

impl Default for TurnLimits {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Self {
            // Each costs a socket, a task and about 3 KiB.
            allocations: 4096,
            // A room of 64 through one session, with two local addresses for each link.
            allocations_per_session: 128,
            allocations_per_address: 512,
            // One member's candidates: the other side takes at most 32.
            peers: 32,
            bandwidth: Rate { per_second: 2 * MIB, burst: 4 * MIB },
            total_bandwidth: Rate { per_second: 32 * MIB, burst: 32 * MIB },
            streams: 4096,
            streams_per_address: 256,
            // An office whose 30 members open the page at once asks about 500 times.
            strangers: Rate { per_second: 64, burst: 512 },
        }
    }
}

impl Default for TurnConfig {
    fn default() -> Self {
        Self {
            udp: Vec::new(),
            tcp: Vec::new(),
            tls: Vec::new(),
            host: None,
            public: Vec::new(),
            ports: 49152..=65535,
            realm: "symbolon".to_owned(),
            secret: None,
            secret_file: None,
            external: Vec::new(),
            life: CREDENTIAL_LIFE,
            allow_private: Vec::new(),
            limits: TurnLimits::default(),
        }
    }
}
