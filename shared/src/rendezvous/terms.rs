//! What a server offers and demands.

use std::time::Duration;

use super::turn::TurnTerms;
use crate::crypto::keys::SignKey;
use crate::origin::Origin;
use crate::signal::{IceServer, Limits, MAX_CLIENTS_PER_ROOM, MAX_MESSAGE};

/// How much may come in: a steady rate, and what may come at once after a quiet time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Units a second.
    pub per_second: u64,
    /// Units at once.
    pub burst: u64,
}

/// A server's key, addresses and limits; one for all its connections.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Signs the challenges.
    pub key: SignKey,
    /// The addresses clients may dial.
    pub origins: Vec<Origin>,
    /// What clients are told to use for WebRTC.
    pub ice_servers: Vec<IceServer>,
    /// A TURN server whose credentials are made here, for each session its own.
    pub turn: Option<TurnTerms>,
    /// Sizes and counts; told to the client.
    pub limits: Limits,
    /// Messages of one client. A client that exceeds it breaks the protocol.
    pub messages: Rate,
    /// Bytes of one client, likewise.
    pub bytes: Rate,
    /// How often one client may enter rooms, or announce itself anew. One that exceeds it is refused.
    pub enters: Rate,
    /// How often clients may enter one room, or announce themselves anew in it.
    pub room_enters: Rate,
    /// From the connection to a valid hello.
    pub hello_within: Duration,
    /// After so much silence the client is pinged.
    pub ping_every: Duration,
    /// After so much silence it is dead.
    pub dead_after: Duration,
    /// After so long in no room it is not needed.
    pub idle_after: Duration,
}

impl Terms {
    /// The default limits, for this key and these addresses.
    pub fn new(key: SignKey, origins: Vec<Origin>) -> Self {
        Self {
            key,
            origins,
            ice_servers: Vec::new(),
            turn: None,
            limits: Limits { message: MAX_MESSAGE, rooms: 64, clients_per_room: MAX_CLIENTS_PER_ROOM },
            // A new link costs about eight messages (proof, offer, answer, candidates) of 2 KiB. The burst is one
            // client linking with a room of 250 at once; the rate is 25 new links in every second, for ever.
            messages: Rate { per_second: 200, burst: 2000 },
            // Twice what those messages weigh, and dozens of the largest messages in a row.
            bytes: Rate { per_second: 1024 * 1024, burst: 8 * 1024 * 1024 },
            // All of its rooms at once, in each of them a second time, and all of that again.
            enters: Rate { per_second: 16, burst: 256 },
            // A room of 256 that fills at once, in which each announces itself anew, and all of that again.
            room_enters: Rate { per_second: 32, burst: 1024 },
            hello_within: Duration::from_secs(10),
            // Under the 30 s after which the strictest home routers and proxies forget a connection.
            ping_every: Duration::from_secs(25),
            // Two pings and ten seconds.
            dead_after: Duration::from_secs(60),
            idle_after: Duration::from_secs(5 * 60),
        }
    }
}
