//! A server and peers of this process, each with a home of its own.
#![allow(dead_code, unreachable_pub, missing_docs)]

use std::future::Future;
use std::time::Duration;

use symbolon::{Options, Origin, Peer, PeerEvent, RoomId};
use symbolon_server::key::KeySource;
use symbolon_server::{Config, Server};
use tokio::sync::broadcast;

/// No test waits longer for one thing.
pub const DEADLINE: Duration = Duration::from_secs(40);

pub async fn deadline<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, what).await.expect("the deadline passed")
}

pub struct World {
    pub server: Option<Server>,
    origin: Origin,
    homes: tempfile::TempDir,
}

pub fn config(listen: &str) -> Config {
    Config { listen: listen.parse().unwrap(), key: KeySource::Ephemeral, ..Config::default() }
}

impl World {
    pub async fn new() -> Self {
        let server = Server::bind(config("127.0.0.1:0")).await.unwrap();
        let origin = server.origins()[0].clone();
        Self { server: Some(server), origin, homes: tempfile::tempdir().unwrap() }
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

    pub async fn peer(&mut self, name: &str) -> Peer {
        Peer::open_with(self.options(name)).await.unwrap()
    }

    pub async fn until_text(&self, peer: &Peer, room: RoomId, expected: &str) {
        until(peer, async || peer.text(room, "main").await.is_ok_and(|text| text == expected)).await;
    }

    pub async fn until_links(&self, peer: &Peer, room: RoomId, links: usize) {
        until(peer, async || {
            peer.members(room).await.is_ok_and(|all| all.iter().filter(|m| m.linked).count() == links)
        })
        .await;
    }
}

/// Waits, from event to event, until something holds.
pub async fn until(peer: &Peer, holds: impl AsyncFn() -> bool) {
    let mut events = peer.subscribe();
    while !holds().await {
        match events.recv().await {
            Ok(PeerEvent::Node(_) | PeerEvent::Text { .. }) | Err(broadcast::error::RecvError::Lagged(_)) => {
            }
            Err(broadcast::error::RecvError::Closed) => panic!("the peer is closed"),
        }
    }
}
