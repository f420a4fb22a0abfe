//! Rooms for people and programs that talk directly.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod doc;
mod driver;
mod edits;
mod error;
mod host;
mod peer;
pub mod rtc;
mod socket;
mod store;
mod trial;

pub use doc::{DocumentStatus, EditBase, TextChange};
pub use error::{Error, OpenError};
pub use host::{Audience, Hosted, Serve};
pub use peer::{Counters, InviteRequest, Options, Peer, PeerEvent};
pub use symbolon_core::canvas;
pub use symbolon_core::canvas::Stroke;
pub use symbolon_core::id::{DeviceId, RecordId, RoomId};
pub use symbolon_core::node::{
    Event, JoinFailure, MemberStatus, PresenceStatus, Reach, RoomStatus, ServerStatus,
};
pub use symbolon_core::origin::Origin;
pub use symbolon_core::ticket::Ticket;
pub use symbolon_core::topology::{Edge, EdgeState, Topology};
