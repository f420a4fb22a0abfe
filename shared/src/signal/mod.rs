//! What a client and a server say to each other: JSON text, one message per WebSocket frame (PROTOCOL §5).

mod encoded;
mod json;
mod wire;

pub use encoded::{Encoded, NotBase64Url, Relayed};
pub(crate) use wire::{Request, is_hello_of_another_version};

use crate::crypto::keys::{BadSignature, Domain, SignKey, Signature, verify};
use crate::id::{Nonce, ServerKey, SessionId, Topic};
use crate::origin::Origin;

/// The protocol versions spoken here, newest last.
pub const VERSIONS: &[u32] = &[1];

/// The largest message a server accepts, in bytes of JSON: a 64 KiB Noise message in base64url, and its frame.
pub const MAX_MESSAGE: usize = 96 * 1024;

/// The largest message a client accepts, in bytes of JSON: the list of [`MAX_CLIENTS_PER_ROOM`] peers, each with the
/// largest announcement, takes 107 KiB.
pub const MAX_SERVER_MESSAGE: usize = 128 * 1024;

/// The most clients a server may let into one room.
pub const MAX_CLIENTS_PER_ROOM: usize = 256;

/// The largest announcement, in bytes.
pub const MAX_ANNOUNCEMENT: usize = 256;

/// The largest sealed body, in bytes: a Noise message and its header.
pub const MAX_BODY: usize = 66 * 1024;

/// How far a client's clock may be from the server's, in milliseconds.
pub const TIME_WINDOW_MS: u64 = 60_000;

/// A text that is not a message of this protocol.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Longer than [`MAX_MESSAGE`], or, from a server, than [`MAX_SERVER_MESSAGE`].
    #[error("a message of {0} bytes is over the limit")]
    TooLong(usize),
    /// Not one JSON object.
    #[error("not a message of this protocol: not a JSON object")]
    Json,
    /// A member is missing, given twice or of another form.
    #[error("not a message of this protocol: its member {0} is missing, given twice or of another form")]
    Member(&'static str),
}

/// From a client to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientMessage {
    /// Signs in; the answer to the challenge.
    Hello(Hello),
    /// Enters a room, or, from inside, announces itself anew.
    Enter {
        /// The room.
        topic: Topic,
        /// Who enters, opaque to the server. At most [`MAX_ANNOUNCEMENT`] bytes.
        announcement: Bytes,
    },
    /// Leaves a room.
    Leave {
        /// The room.
        topic: Topic,
    },
    /// A sealed message for one other client of the room.
    Signal {
        /// The room both are in.
        topic: Topic,
        /// For whom.
        to: SessionId,
        /// Opaque to the server. At most [`MAX_BODY`] bytes.
        body: Bytes,
    },
}

/// From the server to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerMessage {
    /// The server's first word.
    Challenge(Challenge),
    /// Signed in.
    Welcome {
        /// STUN and TURN servers to use.
        ice_servers: Vec<IceServer>,
        /// What the server allows.
        limits: Limits,
        /// When the server is about to stop: seconds after which to go elsewhere.
        drain_after: Option<u64>,
    },
    /// The STUN and TURN servers to use from now on, in place of those of the welcome.
    IceServers {
        /// All of them.
        ice_servers: Vec<IceServer>,
    },
    /// Inside a room now; these were there already.
    Entered {
        /// The room.
        topic: Topic,
        /// Who is there, oneself not included.
        peers: Vec<Present>,
    },
    /// Somebody came, or announced itself anew.
    Arrived {
        /// The room.
        topic: Topic,
        /// Its session.
        session: SessionId,
        /// Its announcement.
        announcement: Bytes,
    },
    /// Somebody left.
    Left {
        /// The room.
        topic: Topic,
        /// Its session.
        session: SessionId,
    },
    /// A sealed message from another client of the room.
    Signal {
        /// The room both are in.
        topic: Topic,
        /// Who sent it.
        from: SessionId,
        /// What it sent.
        body: Bytes,
    },
    /// The server is about to stop; the client is to go elsewhere, and closes by itself.
    Drain {
        /// Seconds after which the server has closed.
        drain_after: u64,
    },
    /// The server refuses; it closes next.
    Error(Refusal),
}

/// The server's first word on every connection (PROTOCOL §5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// Protocol versions served.
    pub versions: Vec<u32>,
    /// Fresh for this connection.
    pub nonce: Nonce,
    /// The server's key.
    pub server_key: ServerKey,
    /// The server's public addresses.
    pub origins: Vec<Origin>,
    /// The server's clock, in milliseconds since 1970.
    pub time: u64,
    /// By the server's key, over all of the above.
    pub sig: Sig,
}

impl Challenge {
    /// A signed challenge.
    pub fn sign(key: &SignKey, nonce: Nonce, origins: Vec<Origin>, time: u64) -> Self {
        let sig = Sig(Signature::from_bytes([0; 64]));
        let mut challenge =
            Self { versions: VERSIONS.to_vec(), nonce, server_key: key.server(), origins, time, sig };
        challenge.sig = Sig(key.sign(Domain::Challenge, &challenge.signed()));
        challenge
    }

    /// Checks the signature against the key named in it; whether that is the right key is for the client to know.
    pub fn verify(&self) -> Result<(), BadSignature> {
        verify(self.server_key.as_bytes(), Domain::Challenge, &self.signed(), &self.sig.0)
    }

    fn signed(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend((self.versions.len() as u64).to_be_bytes());
        self.versions.iter().for_each(|version| out.extend(version.to_be_bytes()));
        out.extend(self.nonce.as_bytes());
        out.extend(self.server_key.as_bytes());
        out.extend((self.origins.len() as u64).to_be_bytes());
        for origin in &self.origins {
            let origin = origin.to_string();
            out.extend((origin.len() as u64).to_be_bytes());
            out.extend(origin.as_bytes());
        }
        out.extend(self.time.to_be_bytes());
        out
    }
}

/// A client's answer to the challenge (PROTOCOL §5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The version to speak, one of the challenge's.
    pub version: u32,
    /// The session's key, fresh for this connection.
    pub session: SessionId,
    /// The address the client dialled.
    pub origin: Origin,
    /// The client's clock, in milliseconds since 1970.
    pub time: u64,
    /// By the session's key, over nonce, server key, version, origin and time.
    pub sig: Sig,
    /// For servers that ask for a sign-in token.
    pub token: Option<String>,
}

impl Hello {
    /// A signed answer to `challenge`.
    pub fn sign(key: &SignKey, challenge: &Challenge, version: u32, origin: Origin, time: u64) -> Self {
        let signed = Self::signed(&challenge.nonce, &challenge.server_key, version, &origin, time);
        let sig = Sig(key.sign(Domain::Hello, &signed));
        Self { version, session: key.session(), origin, time, sig, token: None }
    }

    /// Checks the signature for this nonce and server key.
    pub fn verify(&self, nonce: &Nonce, server_key: &ServerKey) -> Result<(), BadSignature> {
        let signed = Self::signed(nonce, server_key, self.version, &self.origin, self.time);
        verify(self.session.as_bytes(), Domain::Hello, &signed, &self.sig.0)
    }

    fn signed(nonce: &Nonce, server_key: &ServerKey, version: u32, origin: &Origin, time: u64) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(nonce.as_bytes());
        out.extend(server_key.as_bytes());
        out.extend(version.to_be_bytes());
        out.extend(time.to_be_bytes());
        out.extend(origin.to_string().as_bytes());
        out
    }
}

/// A client in a room, as the server tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// Its session.
    pub session: SessionId,
    /// Its announcement.
    pub announcement: Bytes,
}

/// A STUN or TURN server, as WebRTC's `RTCIceServer` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IceServer {
    /// `stun:…`, `turn:…` or `turns:…`.
    pub urls: Vec<String>,
    /// For TURN.
    pub username: String,
    /// For TURN.
    pub credential: String,
}

/// What a server allows one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest message, in bytes.
    pub message: usize,
    /// Rooms one client may be in.
    pub rooms: usize,
    /// Clients one room may hold.
    pub clients_per_room: usize,
}

/// Why a server refuses, for programs (`code`) and for people (`message`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What went wrong.
    pub code: RefusalCode,
    /// In words, with what to do next.
    pub message: String,
}

/// What a server may refuse a client for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RefusalCode {
    /// None of the client's versions is served.
    UnsupportedVersion,
    /// The address the client dialled is not one of the server's.
    WrongOrigin,
    /// The client's clock is more than a minute off.
    ClockSkew,
    /// The signature does not verify.
    BadSignature,
    /// Another connection is signed in with this session's key.
    SessionInUse,
    /// A sign-in token is needed, or this one is not good.
    TokenRequired,
    /// The server or the room is full.
    Full,
    /// Too many messages, rooms or connections.
    RateLimited,
    /// The server is stopping.
    ShuttingDown,
    /// A code newer than this program.
    Unknown,
}

/// Opaque bytes, base64url in JSON.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Bytes(pub Vec<u8>);

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bytes({})", self.0.len())
    }
}

/// A signature, base64url in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sig(pub Signature);
