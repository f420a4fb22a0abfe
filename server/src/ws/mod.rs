//! WebSocket (RFC 6455) as this server needs it: the server's side, text messages, no extensions; no I/O.
//!
//! ```text
//!   bytes read ──▶ Decoder::next ──▶ Event: text, ping, pong, close     (borrowed from the bytes where that is possible)
//!   text, pong ──▶ encode ──▶ bytes to be written
//! ```
//!
//! A frame is decoded where it was read. Only what has not arrived whole is kept, so a connection that is idle keeps
//! nothing; whatever is too large is refused at the header that says so.
//!
//! # Layout
//! - [`handshake`]: the HTTP request that becomes a WebSocket.
//! - [`header`]: a frame's header.
//! - [`decoder`]: messages out of bytes, however these are cut.
//! - [`encode`]: frames to be written.

pub(crate) mod decoder;
pub(crate) mod encode;
pub(crate) mod handshake;
mod header;

#[cfg(test)]
mod tests;

pub(crate) use decoder::{Decoder, Event};

/// How a client breaks RFC 6455, or what this server does not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("a reserved bit is set, and no extension was agreed on")]
    Reserved,
    #[error("the opcode {0} means nothing")]
    Opcode(u8),
    #[error("a client masks its frames")]
    Unmasked,
    #[error("a length is written in the fewest bytes")]
    LongLength,
    #[error("a control frame has at most 125 bytes and is not fragmented")]
    Control,
    #[error("a continuation of nothing")]
    ContinuesNothing,
    #[error("a new message in the middle of another")]
    NotContinued,
    #[error("this server takes no binary messages")]
    Binary,
    #[error("a message is longer than is taken")]
    TooLong,
    #[error("a text is not UTF-8")]
    NotUtf8,
    #[error("a close has no such code or form")]
    Close,
}
