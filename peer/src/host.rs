//! Hosting the rendezvous: a server in this process, for this peer's rooms and for whoever is told its address.
//!
//! It is the same server as `symbolon-server`. Its key is kept in the home directory, so that members who have met it
//! know it again. The peer itself reaches it without leaving the machine, whatever address others dial.
//!
//! # Layout
//! - `reach`: what others dial, and who they can be.
//! - `server`: the server; the only file that knows its crate.

mod reach;
#[cfg_attr(not(feature = "serve"), path = "host/without.rs")]
mod server;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use serde::{Deserialize, Serialize};
use symbolon_core::id::ServerKey;
use symbolon_core::origin::Origin;

use reach::Addresses;
pub use reach::Audience;
use server::Running;

/// The file of the server's key, in the home directory.
const KEY: &str = "server.key";

/// How to host a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Serve {
    /// Where to listen; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// What others dial, named in tickets. If none: the address of this machine that leads to other networks, or the
    /// address listened on.
    #[serde(default)]
    pub servers: Vec<Origin>,
    /// Whether the page is served, too.
    #[serde(default = "yes")]
    pub page: bool,
}

fn yes() -> bool {
    true
}

impl Serve {
    /// The defaults for an address.
    pub fn new(listen: SocketAddr) -> Self {
        Self { listen, servers: Vec::new(), page: true }
    }
}

/// A server that is hosted here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosted {
    /// Where it listens, with the port that the system chose.
    pub listen: SocketAddr,
    /// What others dial; new rooms name it.
    pub servers: Vec<Origin>,
    /// Its key.
    pub key: ServerKey,
    /// Whether it serves the page.
    pub page: bool,
    /// Who can reach it by these addresses.
    pub audience: Audience,
}

/// The running server. Dropping it stops it.
#[derive(Debug)]
pub(crate) struct Host {
    /// What others dial, if the user knows better than this machine.
    given: Vec<Origin>,
    hosted: Hosted,
    /// All addresses that it signs as its own.
    signed: Vec<Origin>,
    running: Running,
}

impl Host {
    /// Starts a server whose key is in this home directory.
    pub(crate) async fn start(home: &Path, serve: &Serve) -> Result<Self, String> {
        let running = Running::start(serve.listen, &home.join(KEY), serve.page).await?;
        let hosted = Hosted {
            listen: running.address(),
            servers: Vec::new(),
            key: running.key(),
            page: serve.page,
            audience: Audience::Machine,
        };
        let mut host = Self { given: serve.servers.clone(), hosted, signed: Vec::new(), running };
        host.look_around();
        Ok(host)
    }

    /// Answers for the addresses that this machine has by now.
    pub(crate) fn look_around(&mut self) {
        let Addresses { named, signed } =
            Addresses::new(self.hosted.listen, &self.given, &reach::interfaces());
        if signed == self.signed {
            return;
        }
        self.hosted.audience = Audience::of(&named);
        self.hosted.servers = named;
        self.signed.clone_from(&signed);
        self.running.answer_for(signed);
    }

    pub(crate) fn hosted(&self) -> &Hosted {
        &self.hosted
    }

    /// Where this process reaches the server, if the address is one of its own. Others' way may lead through a router
    /// or a proxy that does not let this machine back in.
    pub(crate) fn near(&self, origin: &Origin) -> Option<SocketAddr> {
        let ip = match self.hosted.listen.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        self.signed.contains(origin).then_some(SocketAddr::new(ip, self.hosted.listen.port()))
    }

    /// Tells all clients, and returns when they are gone and the port is free, after some seconds at most.
    pub(crate) async fn shutdown(self) {
        self.running.shutdown().await;
    }
}
