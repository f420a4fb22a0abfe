//! STUN and TURN: tells peers their addresses, and relays for those who cannot reach each other.
//!
//! ```text
//!   datagrams, streams ──▶ Machine ──▶ to clients: answers, data
//!   peers' datagrams   ──▶    │   └──▶ to peers, from a socket for each relay
//!   sessions in, out   ──▶    └── quotas, permissions, ranges
//! ```
//!
//! The rules are in `machine` and `requests`, which know no socket; `io` drives them. A datagram is handled under one
//! lock, held for microseconds, and sent at once or dropped, as networks do; nothing queues but the writer of a stream.
//!
//! Left out: relaying TCP (RFC 6062), reserved ports, `DONT-FRAGMENT`, ICMP.
//!
//! # Layout
//! - [`config`]: what an operator may choose.
//! - [`ranges`]: where relayed data may go.
//! - `auth`: credentials and nonces.
//! - `strangers`: how much is said to those without.
//! - `machine`, `requests`, `allocation`, `replies`: the rules.
//! - `io`, `stream`: sockets.

mod allocation;
mod auth;
pub mod config;
mod io;
mod machine;
pub mod ranges;
mod replies;
mod requests;
mod strangers;
mod stream;

#[cfg(test)]
mod tests;

pub use config::{TurnConfig, TurnLimits};
pub use machine::TurnUse;
pub use ranges::Network;

pub(crate) use io::{Turn, TurnServer};
