//! The server's rules (PROTOCOL §5), as machines without I/O, clock or randomness.
//!
//! ```text
//!              text, pongs, time                     who is there, who is told
//!   client ──────────────────────▶ Connection ─────────────────────────────▶ TopicState (one per room)
//!      ▲                               │ Send, Ping, Close                        │ Notice {to, message}
//!      └───────────────────────────────┴──────────────────────────────────────────┘
//! ```
//!
//! A driver keeps the connections, the rooms and the map from session to connection, and carries what one machine puts
//! out to the other. There are two drivers: [`Rendezvous`] here, for the simulator and for tests, and the server with
//! its sharded maps. Neither decides anything.
//!
//! Left out: sockets, and who may sign in where the operator does not let everybody (the answer to
//! [`ConnectionOutput::Claim`] is the place for it).
//!
//! # Layout
//! - [`terms`]: what a server offers and demands, the same for all its clients.
//! - [`connection`]: one client: sign-in, limits, deadlines.
//! - [`topic`]: one room.
//! - [`bans`]: how long the address of an offender waits.
//! - [`turn`]: credentials for TURN servers.
//! - [`bucket`]: how much of a rate is used.
//! - [`seats`]: what each address takes of the server.
//! - [`hub`]: a whole server for one thread.
//! - [`cluster`]: several servers that act as one.

pub mod bans;
pub mod bucket;
pub mod cluster;
pub mod connection;
pub mod hub;
pub mod seats;
pub mod terms;
pub mod topic;
pub mod turn;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

pub use bans::{Banned, Bans, Source};
pub use bucket::Bucket;
pub use connection::{CloseReason, Connection, ConnectionOutput, Violation};
pub use hub::{ConnectionId, Rendezvous, RendezvousOutput};
pub use seats::{NoSeat, SeatLimits, Seats};
pub use terms::{Rate, Terms};
pub use topic::{Notice, RoomFull, TopicState};
pub use turn::{Pseudonym, TurnSecret, TurnTerms};
