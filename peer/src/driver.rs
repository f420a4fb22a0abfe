//! stub
use crate::doc::EditBase;
use crate::error::{Error, OpenError};
use crate::peer::{Counters, Options, PeerEvent};
use std::ops::Range;
use std::time::Duration;
use symbolon_core::id::{DeviceId, RoomId};
use symbolon_core::node::{InviteOptions, MemberStatus, RoomStatus, ServerStatus};
use symbolon_core::origin::Origin;
use symbolon_core::ticket::Ticket;
use tokio::sync::{broadcast, mpsc, oneshot};

type Reply<T> = oneshot::Sender<T>;

/// What a [`Peer`](crate::Peer) asks of its driver.
pub(crate) enum Command {
    Create { name: String, servers: Vec<Origin>, reply: Reply<Result<RoomId, Error>> },
    Invite { room: RoomId, options: InviteOptions, reply: Reply<Result<Ticket, Error>> },
    Join { ticket: Ticket, timeout: Duration, reply: Reply<Result<RoomId, Error>> },
    Leave { room: RoomId, reply: Reply<Result<(), Error>> },
    Rooms(Reply<Vec<RoomStatus>>),
    Members { room: RoomId, reply: Reply<Result<Vec<MemberStatus>, Error>> },
    Servers(Reply<Vec<ServerStatus>>),
    Text { room: RoomId, name: String, reply: Reply<Result<String, Error>> },
    Insert { room: RoomId, name: String, at: Option<u32>, text: String, reply: Reply<Result<(), Error>> },
    Delete { room: RoomId, name: String, range: Range<u32>, reply: Reply<Result<(), Error>> },
    Snapshot { room: RoomId, name: String, reply: Reply<Result<EditBase, Error>> },
    MergeEdit { room: RoomId, name: String, base: EditBase, new: String, reply: Reply<Result<(), Error>> },
    Digest { room: RoomId, reply: Reply<Result<Vec<u8>, Error>> },
    Counters(Reply<Counters>),
    NetworkChanged(Reply<()>),
    Close(Reply<()>),
}

pub(crate) async fn start(
    _: Options,
    _: mpsc::Receiver<Command>,
    _: broadcast::Sender<PeerEvent>,
) -> Result<(DeviceId, String), OpenError> {
    todo!()
}
pub(crate) fn unix_ms() -> u64 {
    0
}
