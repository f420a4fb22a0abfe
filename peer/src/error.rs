//! What can go wrong, with a code for programs and words for people.

use std::path::PathBuf;

use symbolon_core::id::RoomId;
use symbolon_core::node::{JoinFailure, VerbError};
use symbolon_core::ticket::TicketError;

/// A home directory cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("{0} is in use by another process; use its agent, or end it with `symbolon down`")]
    InUse(PathBuf),
    /// It cannot be made, read or written.
    #[error("{path} cannot be used: {error}")]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The store is not what this program wrote.
    #[error(
        "{path} is damaged ({what}); nothing was changed. Move it away to start over: other members have the rooms' \
         contents, and a new ticket lets this device back in"
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The file of authorities has none.
    #[error("{0} holds no certificate in PEM")]
    NoAuthority(PathBuf),
    /// One of its certificates is none of an authority.
    #[error("a certificate of `--ca-file` cannot be used: {0}")]
    Authority(std::io::Error),
    /// A name is too long or has control characters.
    #[error("{0}")]
    Name(String),
}

/// Something asked of a [`Peer`](crate::Peer) was not done.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// No room by that name, id or prefix.
    #[error("there is no room {0:?} here; `symbolon rooms` lists those there are")]
    NoSuchRoom(String),
    /// Several rooms fit.
    #[error("{0:?} fits several rooms; give more of the id")]
    AmbiguousRoom(String),
    /// The application asked for something that cannot be.
    #[error(transparent)]
    Verb(#[from] VerbError),
    /// The ticket is none.
    #[error(transparent)]
    Ticket(#[from] TicketError),
    /// Joining did not work out.
    #[error("{failure}")]
    Join {
        /// Which room.
        room: RoomId,
        /// Why.
        failure: JoinFailure,
    },
    /// A position or range outside the text.
    #[error("{0}")]
    Edit(String),
    /// A document cannot have that name.
    #[error("{0}")]
    DocumentName(String),
    /// The store cannot be written; nothing that was not on disk was told to others.
    #[error("the store cannot be written: {0}; free space or make it writable, then start again")]
    Store(String),
    /// A server cannot be hosted here.
    #[error("{0}")]
    Serve(String),
    /// A room is to be founded, and there is no server for it.
    #[error("a room needs a server, and this device hosts none")]
    NoServer,
    /// The peer was closed.
    #[error("the peer is closed")]
    Closed,
}

impl Error {
    /// A short name for programs; stays the same over versions.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoSuchRoom(_) => "no_such_room",
            Self::AmbiguousRoom(_) => "ambiguous_room",
            Self::Verb(error) => error.code(),
            Self::Ticket(_) => "malformed_ticket",
            Self::Join { failure, .. } => failure.code(),
            Self::Edit(_) => "out_of_range",
            Self::DocumentName(_) => "invalid_name",
            Self::Store(_) => "store",
            Self::Serve(_) => "serve",
            Self::NoServer => "no_server",
            Self::Closed => "closed",
        }
    }
}
