//! The rules of the Symbolon protocol, as state machines without I/O, clock or global randomness.
//!
//! A peer, a browser and a server each drive a machine from here: they feed it what happened and the time, and carry
//! out what it wants. So a simulator can run a whole world of them on virtual time, and one seed replays a run.
//!
//! ```text
//! bytes → decode → Input → Node::handle(input, now) → poll_output → driver → bytes
//!                              └→ poll_timeout → one timer → Node::handle_timeout(now)
//!
//!         node ── servers, rooms ─┬─ admission: who may be let in          rendezvous: the server's side
//!                                 ├─ link: one pair of peers               of the same conversation
//!                                 ├─ membership ← record: who is a member
//!                                 ├─ frames ← update: which changes count
//!                                 └─ gossip, topology, mesh: who is told what
//! ```
//!
//! Left out: sockets, WebRTC, the disk, merging (Yjs does that), and what people see. `docs/PROTOCOL.md` specifies the
//! wire to the byte, `docs/ARCHITECTURE.md` has the whole picture.
//!
//! # Layout
//! - [`node`]: the peer's machine, made of all that follows.
//! - [`rendezvous`]: the server's machines, one per connection and one per room.
//! - [`signal`]: what client and server say to each other.
//! - [`admission`]: announcements, proofs of a ticket, and how member and newcomer check each other.
//! - [`ticket`]: what an inviter hands over out of band.
//! - [`record`]: signed, hash-linked records; [`membership`]: who is a member by them.
//! - [`link`]: one pair of peers, from the first signal to the end of the channel.
//! - [`mesh`]: what linked members say; [`gossip`]: who gets it whole and who its name; [`topology`]: lists of links;
//!   [`presence`]: what members show of themselves.
//! - [`frames`]: the signed change log; [`update`]: the check of each change before it is applied; [`canvas`]: drawings.
//! - [`crypto`]: keys, sealing, handshakes, and a machine's own randomness.
//! - [`id`], [`origin`], [`time`]: ids, servers' addresses, the time as machines are told it; [`sorted`]: maps and sets.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod admission;
pub mod canvas;
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
pub mod presence;
pub mod record;
pub mod rendezvous;
pub mod signal;
#[cfg(feature = "sim")]
pub mod sim;
pub mod sorted;
pub mod ticket;
pub mod time;
pub mod topology;
pub mod update;
#[cfg(any(test, feature = "vectors"))]
pub mod vectors;

pub use cbor::{ByteVec, DecodeError};
