//! One relay: who asked for it, whom it may talk with, and until when.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use stun_types::message::TransactionId;
use symbolon_core::rendezvous::{Bucket, Source};

use super::auth::Caller;
use super::machine::Client;

/// RFC 8656 §9 and §12.
const PERMISSION_LIFE: Duration = Duration::from_secs(5 * 60);
const CHANNEL_LIFE: Duration = Duration::from_secs(10 * 60);

#[derive(Debug)]
pub(super) struct Allocation {
    pub(super) client: Client,
    pub(super) source: Source,
    pub(super) caller: Caller,
    /// The request that made it; repeated when its answer was lost.
    pub(super) born: TransactionId,
    /// Where peers reach it, once its socket is bound.
    pub(super) relayed: Option<SocketAddr>,
    pub(super) until: Duration,
    /// What was granted first, in seconds.
    pub(super) lifetime: u32,
    pub(super) bandwidth: Bucket,
    permissions: HashMap<IpAddr, Duration>,
    channels: HashMap<u16, (SocketAddr, Duration)>,
    numbers: HashMap<SocketAddr, u16>,
}

/// A peer or a channel that cannot be had.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// One address more than the operator allows.
    TooMany,
    /// The channel has another peer, or the peer another channel.
    Taken,
}

impl Allocation {
    pub(super) fn new(
        client: Client,
        source: Source,
        caller: Caller,
        born: TransactionId,
        until: Duration,
        lifetime: u32,
    ) -> Self {
        Self {
            client,
            source,
            caller,
            born,
            relayed: None,
            until,
            lifetime,
            bandwidth: Bucket::default(),
            permissions: HashMap::new(),
            channels: HashMap::new(),
            numbers: HashMap::new(),
        }
    }

    /// Lets these addresses send, or goes on letting them: all or none.
    pub(super) fn permit(&mut self, peers: &[IpAddr], most: usize, now: Duration) -> Result<(), Refused> {
        self.permissions.retain(|_, until| *until > now);
        let mut new: Vec<&IpAddr> =
            peers.iter().filter(|peer| !self.permissions.contains_key(peer)).collect();
        new.sort_unstable();
        new.dedup();
        if self.permissions.len() + new.len() > most {
            return Err(Refused::TooMany);
        }
        self.permissions.extend(peers.iter().map(|peer| (*peer, now + PERMISSION_LIFE)));
        Ok(())
    }

    /// Binds a channel, or goes on with it.
    pub(super) fn bind(
        &mut self,
        number: u16,
        peer: SocketAddr,
        most: usize,
        now: Duration,
    ) -> Result<(), Refused> {
        self.channels.retain(|_, (_, until)| *until > now);
        self.numbers.retain(|_, number| self.channels.contains_key(number));
        let others_peer = self.channels.get(&number).is_some_and(|(other, _)| *other != peer);
        if others_peer || self.numbers.get(&peer).is_some_and(|other| *other != number) {
            return Err(Refused::Taken);
        }
        if !self.channels.contains_key(&number) && self.channels.len() >= most {
            return Err(Refused::TooMany);
        }
        self.permit(&[peer.ip()], most, now)?;
        self.channels.insert(number, (peer, now + CHANNEL_LIFE));
        self.numbers.insert(peer, number);
        Ok(())
    }

    pub(super) fn permits(&self, peer: IpAddr, now: Duration) -> bool {
        self.permissions.get(&peer).is_some_and(|until| *until > now)
    }

    /// The peer behind a channel.
    pub(super) fn peer_of(&self, number: u16, now: Duration) -> Option<SocketAddr> {
        self.channels.get(&number).filter(|(_, until)| *until > now).map(|(peer, _)| *peer)
    }

    /// The channel to a peer.
    pub(super) fn channel_to(&self, peer: SocketAddr, now: Duration) -> Option<u16> {
        let number = self.numbers.get(&peer).copied()?;
        self.peer_of(number, now).map(|_| number)
    }
}
