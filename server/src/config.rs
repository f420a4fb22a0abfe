//! What an operator may choose, and what holds if nothing is said.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use symbolon_core::crypto::keys::SignKey;
use symbolon_core::origin::Origin;
use symbolon_core::rendezvous::{Rate, SeatLimits, Terms};
use symbolon_core::signal::{IceServer, Limits, MAX_CLIENTS_PER_ROOM, MAX_MESSAGE};

use crate::cluster::ClusterConfig;
use crate::key::KeySource;
use crate::proxy::Proxies;
use crate::turn::TurnConfig;

/// A server's configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen; [`run`](crate::run) has a listener already and ignores it.
    pub listen: SocketAddr,
    /// The addresses clients dial. If none: the listening address, and `localhost` if that is a loopback address.
    pub origins: Vec<Origin>,
    /// The server's key.
    pub key: KeySource,
    /// STUN and TURN servers that clients are told to use.
    pub ice_servers: Vec<IceServer>,
    /// STUN and TURN, inside or elsewhere.
    pub turn: TurnConfig,
    /// Sizes and counts told to clients; capped by what the protocol allows.
    pub limits: Limits,
    /// Messages from one client.
    pub messages: Rate,
    /// Bytes from one client.
    pub bytes: Rate,
    /// Connections in total, signed in or not.
    pub connections: usize,
    /// Connections from one IPv4 address or one IPv6 /64.
    pub connections_per_address: usize,
    /// Connections a second from one such address.
    pub connection_rate: Rate,
    /// Rooms in total.
    pub rooms: usize,
    /// How often one client may enter rooms or announce itself.
    pub enters: Rate,
    /// How often clients may enter one room or announce themselves in it.
    pub room_enters: Rate,
    /// How many clients may be told of what clients of one address enter.
    pub notices: Rate,
    /// Bytes that may wait for one client before it counts as one that does not read.
    pub outbox_bytes: usize,
    /// Bytes held for all clients together: what they have not read, and what they have begun to send.
    pub buffer_bytes: usize,
    /// From the connection to a valid hello.
    pub hello_within: Duration,
    /// Silence after which a client is pinged.
    pub ping_every: Duration,
    /// Silence after which a client is dead.
    pub dead_after: Duration,
    /// Time in no room after which a client is not needed.
    pub idle_after: Duration,
    /// Whether addresses of clients that break the protocol wait.
    pub bans: bool,
    /// Whether the page is served at `/`.
    pub page: bool,
    /// How long a client that asked for a file may read nothing of it.
    pub read_within: Duration,
    /// From the connection to the end of the TLS handshake and of a PROXY header.
    pub handshake_within: Duration,
    /// The certificate, if the server speaks TLS.
    pub tls: TlsFiles,
    /// Who may speak for others.
    pub proxies: Proxies,
    /// Where the operator looks on, if anywhere.
    pub admin: Option<SocketAddr>,
    /// The other servers, if this one is not alone.
    pub cluster: ClusterConfig,
}

/// A certificate and its key, in PEM. Both or none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by those that lead to its authority.
    pub certificate: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        let terms = Terms::new(SignKey::from_secret(&[0; 32]), Vec::new());
        Self {
            listen: (Ipv4Addr::LOCALHOST, 7600).into(),
            origins: Vec::new(),
            key: KeySource::Ephemeral,
            ice_servers: Vec::new(),
            turn: TurnConfig::default(),
            limits: terms.limits,
            messages: terms.messages,
            bytes: terms.bytes,
            connections: 10_000,
            // A school or an office behind one address.
            connections_per_address: 256,
            // All of an office at once, and again when the server is back; then one every 30 ms.
            connection_rate: Rate { per_second: 32, burst: 512 },
            rooms: 100_000,
            enters: terms.enters,
            room_enters: terms.room_enters,
            // A room of 256 clients of one address that fills at once, and in which each announces itself anew, tells
            // 100 000 times of somebody.
            notices: Rate { per_second: 20_000, burst: 400_000 },
            // A newcomer in a room of 256 may be sent an offer of 4 KiB by each, all at once.
            outbox_bytes: 1024 * 1024,
            buffer_bytes: 256 * 1024 * 1024,
            hello_within: terms.hello_within,
            ping_every: terms.ping_every,
            dead_after: terms.dead_after,
            idle_after: terms.idle_after,
            bans: true,
            page: true,
            read_within: Duration::from_secs(30),
            handshake_within: Duration::from_secs(10),
            tls: TlsFiles::default(),
            proxies: Proxies::default(),
            admin: None,
            cluster: ClusterConfig::default(),
        }
    }
}

impl Config {
    /// What one address, and all together, may take.
    pub(crate) fn seats(&self) -> SeatLimits {
        SeatLimits {
            total: self.connections,
            per_source: self.connections_per_address,
            arrivals: self.connection_rate,
            notices: self.notices,
        }
    }

    /// The terms for a server with this key that listens at `address`, with TLS or without.
    pub(crate) fn terms(&self, key: SignKey, address: SocketAddr, secure: bool) -> Terms {
        let origins =
            if self.origins.is_empty() { own_origins(address, secure) } else { self.origins.clone() };
        Terms {
            key,
            origins,
            ice_servers: self.ice_servers.clone(),
            turn: None,
            limits: Limits {
                message: self.limits.message.min(MAX_MESSAGE),
                rooms: self.limits.rooms,
                clients_per_room: self.limits.clients_per_room.clamp(1, MAX_CLIENTS_PER_ROOM),
            },
            messages: self.messages,
            bytes: self.bytes,
            enters: self.enters,
            room_enters: self.room_enters,
            hello_within: self.hello_within,
            ping_every: self.ping_every,
            dead_after: self.dead_after,
            idle_after: self.idle_after,
        }
    }
}

fn own_origins(address: SocketAddr, secure: bool) -> Vec<Origin> {
    let scheme = if secure { "wss" } else { "ws" };
    let mut texts = vec![format!("{scheme}://{address}")];
    if address.ip().is_loopback() {
        texts.push(format!("{scheme}://localhost:{}", address.port()));
    }
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}
