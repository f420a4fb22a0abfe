//! A server and peers of this process, each with a home of its own.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used, clippy::expect_used)]

pub mod client;
pub mod processes;
pub mod proxy;
pub mod puppet;

use std::future::Future;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use symbolon::{Counters, InviteRequest, Options, Origin, Peer, PeerEvent, RoomId, Ticket};
use symbolon_core::crypto::keys::SignKey;
use symbolon_core::id::SessionId;
use symbolon_core::node::Event;
use symbolon_server::key::KeySource;
use symbolon_server::turn::TurnConfig;
use symbolon_server::{Config, Server};
use tokio::sync::broadcast;

use proxy::Proxy;

/// No test waits longer for one thing.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A join that is to work out.
pub const JOIN: Duration = Duration::from_secs(40);

/// A join that is to fail: long enough for an honest one to succeed several times over.
pub const SHORT: Duration = Duration::from_secs(5);

pub async fn deadline<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, what).await.expect("the deadline passed")
}

pub struct World {
    pub server: Option<Server>,
    origin: Origin,
    homes: tempfile::TempDir,
    key: SignKey,
}

pub fn config(listen: &str) -> Config {
    Config { listen: listen.parse().unwrap(), key: KeySource::Ephemeral, ..Config::default() }
}

pub fn unix_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

impl World {
    pub async fn new() -> Self {
        Self::with_origins(Vec::new()).await
    }

    /// A server behind a proxy: peers dial the proxy, and the server signs the proxy's address as its own.
    pub async fn behind_proxy() -> (Self, Proxy) {
        let proxy = Proxy::start().await;
        let world = Self::with_origins(vec![proxy.origin()]).await;
        proxy.upstream(world.server.as_ref().unwrap().local_addr());
        (world, proxy)
    }

    async fn with_origins(origins: Vec<Origin>) -> Self {
        Self::with(Config { origins, ..config("127.0.0.1:0") }).await
    }

    /// A server with STUN and TURN.
    pub async fn with_relay(turn: TurnConfig) -> Self {
        Self::with(Config { turn, ..config("127.0.0.1:0") }).await
    }

    /// A server as configured, with a key of its own.
    pub async fn with(config: Config) -> Self {
        let key = SignKey::from_secret(&rand::random());
        let config = Config { bans: false, key: KeySource::Given(key.clone()), ..config };
        let server = Server::bind(config).await.unwrap();
        let origin = server.origins()[0].clone();
        Self { server: Some(server), origin, homes: tempfile::tempdir().unwrap(), key }
    }

    /// Ends the server; nothing listens at its address afterwards.
    pub async fn stop_server(&mut self) {
        deadline(self.server.take().expect("a server runs").shutdown()).await.unwrap();
    }

    /// Starts the server again, at its old address and with its old key. Only without a proxy.
    pub async fn start_server(&mut self) {
        let listen = format!("{}:{}", self.origin.host(), self.origin.port());
        let config = Config { bans: false, key: KeySource::Given(self.key.clone()), ..config(&listen) };
        self.server = Some(Server::bind(config).await.unwrap());
    }

    pub fn origin(&self) -> Origin {
        self.origin.clone()
    }

    pub fn home(&self, name: &str) -> std::path::PathBuf {
        self.homes.path().join(name)
    }

    pub fn options(&self, name: &str) -> Options {
        let mut options = Options::new(self.home(name));
        options.user = Some(name.to_owned());
        options.device_name = Some(format!("{name}'s"));
        options.rtc.bind = Some(vec!["127.0.0.1".parse().unwrap()]);
        options
    }

    pub async fn peer(&self, name: &str) -> Peer {
        Peer::open_with(self.options(name)).await.unwrap()
    }

    /// A new peer that `by` lets into the room.
    pub async fn joined(&self, name: &str, by: &Peer, room: RoomId) -> Peer {
        let peer = self.peer(name).await;
        let ticket = ticket(by, room).await;
        peer.join(&ticket, JOIN).await.unwrap();
        peer
    }

    pub async fn until_text(&self, peer: &Peer, room: RoomId, expected: &str) {
        until(peer, async || peer.text(room, "main").await.is_ok_and(|text| text == expected)).await;
    }

    pub async fn until_links(&self, peer: &Peer, room: RoomId, links: usize) {
        until(peer, async || linked(peer, room).await == links).await;
    }
}

/// A ticket for one device.
pub async fn ticket(by: &Peer, room: RoomId) -> Ticket {
    by.invite(room, InviteRequest::default()).await.unwrap()
}

/// Its session at its first server.
pub async fn session(peer: &Peer) -> SessionId {
    peer.servers().await.unwrap()[0].session.expect("signed in")
}

pub async fn counters(peer: &Peer) -> Counters {
    peer.counters().await.unwrap()
}

/// Why somebody could not join.
pub fn code(result: Result<RoomId, symbolon::Error>) -> &'static str {
    result.expect_err("nobody may be let in").code()
}

/// With how many members it is linked.
pub async fn linked(peer: &Peer, room: RoomId) -> usize {
    peer.members(room).await.map_or(0, |all| all.iter().filter(|m| m.linked).count())
}

/// Waits, from event to event, until something holds.
pub async fn until(peer: &Peer, holds: impl AsyncFn() -> bool) {
    let mut events = peer.subscribe();
    while !holds().await {
        match events.recv().await {
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => panic!("the peer is closed"),
        }
    }
}

/// Waits until the server is, or is not, signed in to.
pub async fn until_signed_in(peer: &Peer, signed_in: bool) {
    let is =
        async || peer.servers().await.unwrap().iter().all(|server| server.session.is_some() == signed_in);
    deadline(until(peer, is)).await;
}

/// The next event that `wanted` makes something of.
pub async fn event<T>(
    events: &mut broadcast::Receiver<PeerEvent>,
    wanted: impl Fn(&PeerEvent) -> Option<T>,
) -> T {
    deadline(async {
        loop {
            match events.recv().await {
                Ok(event) => {
                    if let Some(found) = wanted(&event) {
                        return found;
                    }
                }
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => panic!("the peer is closed"),
            }
        }
    })
    .await
}

/// How many connections may be made for one link: a newcomer that another member has let in already is called over the
/// mesh, while its proof may still be on its way; two that call each other at once make one each and keep one.
pub const FOR_ONE_LINK: std::ops::RangeInclusive<u64> = 1..=2;

/// All events that are there by now.
pub fn drain(events: &mut broadcast::Receiver<PeerEvent>) -> Vec<PeerEvent> {
    std::iter::from_fn(|| events.try_recv().ok()).collect()
}

/// Whether a link ended.
pub fn link_down(event: &PeerEvent) -> bool {
    matches!(event, PeerEvent::Node(Event::LinkDown { .. }))
}
