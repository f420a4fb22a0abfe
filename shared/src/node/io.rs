//! What goes into a node and what comes out of it.

use std::sync::Arc;

use super::presence::PresenceStatus;
use super::writers::Writer;
use crate::frames::ChainId;
use crate::id::{DeviceId, RoomId, ServerKey, SessionId};
use crate::link::CloseReason;
use crate::origin::Origin;
use crate::signal::{IceServer, Refusal};

/// One attempt at a link; the driver has at most one WebRTC connection for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// STUN and TURN servers to use for a connection.
pub type IceServers = Vec<IceServer>;

/// Something that happened outside.
#[derive(Debug, Clone)]
pub enum Input {
    /// The WebSocket to a server is open.
    ServerOpened {
        /// Which.
        origin: Origin,
    },
    /// A text message came from a server.
    ServerText {
        /// Which.
        origin: Origin,
        /// The message.
        text: String,
    },
    /// A ping came from a server.
    ServerPing {
        /// Which.
        origin: Origin,
    },
    /// The WebSocket to a server is closed, or could not be opened.
    ServerClosed {
        /// Which.
        origin: Origin,
        /// In words.
        reason: String,
    },
    /// An address of this machine changed, or it woke up.
    NetworkChanged,
    /// The offer or answer that was asked for.
    Description {
        /// For which link.
        link: LinkId,
        /// SDP with the candidates known so far.
        sdp: String,
    },
    /// A further local candidate.
    Candidate {
        /// For which link.
        link: LinkId,
        /// JSON of `RTCIceCandidateInit`.
        candidate: String,
    },
    /// The data channel is open.
    Opened {
        /// Of which link.
        link: LinkId,
    },
    /// A message came over the data channel.
    Part {
        /// Of which link.
        link: LinkId,
        /// The bytes.
        part: Vec<u8>,
    },
    /// So many bytes of [`Output::Send`] went into the channel.
    Sent {
        /// Of which link.
        link: LinkId,
        /// How many.
        bytes: usize,
    },
    /// The connection ended, by whatever cause.
    Closed {
        /// Of which link.
        link: LinkId,
        /// In words.
        reason: String,
    },
}

/// Something to be done outside.
#[derive(Debug, Clone)]
pub enum Output {
    /// Store this; it must be on disk before any later output is carried out.
    Persist {
        /// Begins with the room's prefix, if it belongs to one.
        key: Vec<u8>,
        /// What to store.
        value: Vec<u8>,
    },
    /// Delete all that is stored of a room.
    Forget {
        /// The room.
        room: RoomId,
    },
    /// Open a WebSocket to a server; any earlier one to it is to be closed.
    Dial {
        /// Which.
        origin: Origin,
    },
    /// Send a text message to a server.
    SendServer {
        /// Which.
        origin: Origin,
        /// The message.
        text: String,
    },
    /// Close the WebSocket to a server.
    HangUp {
        /// Which.
        origin: Origin,
    },
    /// Make a connection and an offer.
    MakeOffer {
        /// For which link.
        link: LinkId,
        /// To find one's own addresses with.
        ice_servers: IceServers,
    },
    /// Make a connection and an answer to this offer.
    MakeAnswer {
        /// For which link.
        link: LinkId,
        /// The peer's SDP.
        offer: String,
        /// To find one's own addresses with.
        ice_servers: IceServers,
    },
    /// Give the connection this answer.
    AcceptAnswer {
        /// Of which link.
        link: LinkId,
        /// The peer's SDP.
        answer: String,
    },
    /// Give the connection this remote candidate.
    AddCandidate {
        /// Of which link.
        link: LinkId,
        /// JSON of `RTCIceCandidateInit`.
        candidate: String,
    },
    /// Send this over the data channel, and say when it is in the channel by [`Input::Sent`].
    Send {
        /// Of which link.
        link: LinkId,
        /// The bytes.
        part: Vec<u8>,
    },
    /// Close the connection, if there is one. No input about it counts any more.
    Close {
        /// Of which link.
        link: LinkId,
    },
    /// Apply an update to the room's Y.Doc. It passed every check.
    Apply {
        /// Of which room.
        room: RoomId,
        /// Whose.
        chain: ChainId,
        /// Yjs update, v1.
        update: Arc<[u8]>,
    },
    /// The Yjs client id for further changes to the room's Y.Doc by `Node::local_update`.
    SetClient {
        /// Of which room.
        room: RoomId,
        /// At most 53 bits.
        client: u64,
    },
    /// An open Y.Doc, as `Node::open_writer` made it known, is to write on under another client id.
    Writer {
        /// Of which room.
        room: RoomId,
        /// The incarnation it had.
        was: u32,
        /// What it has now.
        writer: Writer,
    },
    /// A member, or a Y.Doc of this device, shows something else, or nothing any more.
    Presence {
        /// In which room.
        room: RoomId,
        /// Who and what.
        presence: PresenceStatus,
    },
    /// Hand over the changes of the room's Y.Docs by `Node::local_update` or `Node::write`.
    Collect {
        /// Of which room.
        room: RoomId,
    },
    /// Tell the application.
    Event(Event),
}

/// Something the application may want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The room was founded, or joined and in sync.
    Ready {
        /// The room.
        room: RoomId,
    },
    /// Joining did not work out; nothing of it is left.
    JoinFailed {
        /// The room.
        room: RoomId,
        /// Why.
        failure: JoinFailure,
    },
    /// There is a new member.
    Member {
        /// Of which room.
        room: RoomId,
        /// Who.
        device: DeviceId,
    },
    /// There is a link with a member now.
    LinkUp {
        /// In which room.
        room: RoomId,
        /// With whom.
        device: DeviceId,
    },
    /// The link with a member ended.
    LinkDown {
        /// In which room.
        room: RoomId,
        /// With whom.
        device: DeviceId,
        /// Why.
        reason: CloseReason,
    },
    /// Who is online may have changed.
    Presence {
        /// In which room.
        room: RoomId,
    },
    /// All that a neighbour knew when it was asked is here.
    Synced {
        /// In which room.
        room: RoomId,
        /// With whom.
        device: DeviceId,
    },
    /// An author broke the rules and is cut off.
    Cut {
        /// In which room.
        room: RoomId,
        /// Who.
        device: DeviceId,
        /// What it did.
        why: String,
    },
    /// A server can or cannot be reached, or cannot for another reason than before.
    Server {
        /// Which.
        origin: Origin,
        /// Whether signed in.
        connected: bool,
    },
}

/// Why joining did not work out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinFailure {
    /// Signed in at a server, and no member answered.
    #[error(
        "nobody answered: no member is online, or the ticket was used, withdrawn or is not for this room; members \
         stay silent to tickets that do not fit"
    )]
    NobodyAnswered,
    /// No server could be reached.
    #[error("no server of the ticket can be reached: {0}")]
    ServerUnreachable(String),
    /// A server refused to sign this device in.
    #[error("the server refused: {}", .0.message)]
    Refused(Refusal),
    /// A server is not the one it should be.
    #[error("{0}")]
    WrongServer(String),
    /// The ticket's places went to others, as the members' records show.
    #[error("the ticket is used up: others took its places first; ask for another one")]
    Used,
    /// A member answered and no connection could be made.
    #[error("a member answered, but no direct connection could be made")]
    NoConnection,
}

impl JoinFailure {
    /// A short name for programs; stays the same over versions.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NobodyAnswered => "nobody_answered",
            Self::Used => "used",
            Self::ServerUnreachable(_) => "server_unreachable",
            Self::Refused(_) => "server_refused",
            Self::WrongServer(_) => "wrong_server",
            Self::NoConnection => "no_connection",
        }
    }
}

/// What an invite offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InviteOptions {
    /// When it ends, in milliseconds since 1970.
    pub expires_ms: u64,
    /// How many devices may take it.
    pub uses: u32,
    /// The only device that may.
    pub bound: Option<DeviceId>,
}

/// A member as one sees it from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberStatus {
    /// Who.
    pub device: DeviceId,
    /// The user's name.
    pub user: String,
    /// The device's name.
    pub name: String,
    /// Whether it is this device.
    pub own: bool,
    /// Whether it is linked with us, claims a link with anyone, or is in a topic.
    pub online: bool,
    /// Whether it is linked with us.
    pub linked: bool,
    /// By which way we reach it.
    pub reach: Reach,
    /// When it was last online, in milliseconds since 1970; `None` if not since this start.
    pub last_seen_ms: Option<u64>,
    /// Who invited it; `None` for the founder.
    pub invited_by: Option<DeviceId>,
}

/// By which way a member is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// It is this device.
    Own,
    /// Over a link.
    Direct,
    /// There is no link, and these are linked both with it and with us.
    Through(Vec<DeviceId>),
    /// It is online and there is no way yet.
    Connecting,
    /// It is not online.
    Away,
}

/// A server as one sees it from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerStatus {
    /// Where.
    pub origin: Origin,
    /// Its key, once it was met.
    pub key: Option<ServerKey>,
    /// The session there, while signed in.
    pub session: Option<SessionId>,
    /// What went wrong last.
    pub trouble: Option<String>,
}
