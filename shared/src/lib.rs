//! The rules of the Symbolon protocol, as state machines without I/O, clock or global randomness.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod admission;
mod cbor;
pub mod crypto;
pub mod frames;
pub mod gossip;
pub mod id;
pub mod link;
pub mod membership;
pub mod mesh;
pub mod node;
pub mod origin;
pub mod record;
pub mod rendezvous;
pub mod signal;
#[cfg(feature = "sim")]
pub mod sim;
pub mod ticket;
pub mod time;
pub mod topology;
pub mod update;

pub use cbor::DecodeError;
