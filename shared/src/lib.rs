//! The rules of the Symbolon protocol, as state machines without I/O, clock or global randomness.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod admission;
mod cbor;
pub mod crypto;
pub mod id;
pub mod membership;
pub mod origin;
pub mod record;
pub mod rendezvous;
pub mod signal;
pub mod ticket;
pub mod time;

pub use cbor::DecodeError;
