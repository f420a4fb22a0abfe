//! Bytes that a server passes on as they came, in base64url.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Bytes, ServerMessage};
use crate::id::{SessionId, Topic};

/// Not base64url without padding, or stray bits in the last character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("bytes are written in base64url (A-Z a-z 0-9 - _) without padding")]
pub struct NotBase64Url;

/// Opaque bytes, checked and kept as the base64url they came as: what is only passed on need not be decoded.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Encoded(Box<str>);

impl std::fmt::Debug for Encoded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Encoded({})", self.len())
    }
}

impl FromStr for Encoded {
    type Err = NotBase64Url;

    fn from_str(text: &str) -> Result<Self, NotBase64Url> {
        if is_base64url(text.as_bytes()) { Ok(Self(text.into())) } else { Err(NotBase64Url) }
    }
}

impl From<&Bytes> for Encoded {
    fn from(bytes: &Bytes) -> Self {
        Self(URL_SAFE_NO_PAD.encode(&bytes.0).into())
    }
}

impl From<&Encoded> for Bytes {
    fn from(encoded: &Encoded) -> Self {
        // Cannot fail: what is kept has been checked.
        Self(URL_SAFE_NO_PAD.decode(encoded.as_str()).unwrap_or_default())
    }
}

impl Encoded {
    /// The base64url.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How many bytes it stands for.
    pub fn len(&self) -> usize {
        self.0.len() * 3 / 4
    }

    /// Whether it stands for no bytes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A signal on its way to one client, with its body as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relayed {
    /// For whom.
    pub to: SessionId,
    /// The room both are in.
    pub topic: Topic,
    /// Who sent it.
    pub from: SessionId,
    /// What it sent.
    pub body: Encoded,
}

const PIECES: [&str; 4] = ["{\"type\":\"signal\",\"topic\":\"", "\",\"from\":\"", "\",\"body\":\"", "\"}"];

/// Characters of an id.
const ID: usize = 43;

impl Relayed {
    /// How many bytes [`write`](Self::write) writes.
    pub fn encoded_len(&self) -> usize {
        PIECES.iter().map(|piece| piece.len()).sum::<usize>() + 2 * ID + self.body.as_str().len()
    }

    /// Appends the message as JSON, as [`ServerMessage::encode`] writes it.
    pub fn write(&self, out: &mut Vec<u8>) {
        let [begin, from, body, end] = PIECES.map(str::as_bytes);
        out.extend_from_slice(begin);
        write_id(self.topic.as_bytes(), out);
        out.extend_from_slice(from);
        write_id(self.from.as_bytes(), out);
        out.extend_from_slice(body);
        out.extend_from_slice(self.body.as_str().as_bytes());
        out.extend_from_slice(end);
    }

    /// The message, with the body decoded.
    pub fn message(&self) -> ServerMessage {
        ServerMessage::Signal { topic: self.topic, from: self.from, body: Bytes::from(&self.body) }
    }
}

fn write_id(id: &[u8; 32], out: &mut Vec<u8>) {
    let mut text = [0; ID];
    // Cannot fail: 32 bytes are 43 characters.
    let _ = URL_SAFE_NO_PAD.encode_slice(id, &mut text);
    out.extend_from_slice(&text);
}

/// A signal in the form that this project's clients write it in; anything else is for the general reader.
pub(super) fn plain_signal(text: &str) -> Option<(Topic, SessionId, Encoded)> {
    let (topic, rest) = text.strip_prefix("{\"type\":\"signal\",\"topic\":\"")?.split_at_checked(ID)?;
    let (to, rest) = rest.strip_prefix("\",\"to\":\"")?.split_at_checked(ID)?;
    let body = rest.strip_prefix("\",\"body\":\"")?.strip_suffix("\"}")?;
    Some((topic.parse().ok()?, to.parse().ok()?, body.parse().ok()?))
}

/// What the strict decoder takes. Written for the compiler to look at many characters at once.
fn is_base64url(text: &[u8]) -> bool {
    let stray = match text.len() % 4 {
        0 => 0,
        2 => 0b1111,
        3 => 0b11,
        _ => return false,
    };
    let (chunks, rest) = text.as_chunks::<32>();
    let all_good =
        |bytes: &[u8]| bytes.iter().fold(0, |bad, byte| bad | u8::from(!is_of_alphabet(*byte))) == 0;
    chunks.iter().all(|chunk| all_good(chunk))
        && all_good(rest)
        && text.last().is_none_or(|last| value(*last) & stray == 0)
}

#[expect(clippy::needless_bitwise_bool, reason = "without branches, so that many are looked at at once")]
fn is_of_alphabet(byte: u8) -> bool {
    let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    let digit = byte.wrapping_sub(b'0') < 10;
    letter | digit | (byte == b'-') | (byte == b'_')
}

/// What a character of the alphabet stands for.
fn value(byte: u8) -> u8 {
    match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'-' => 62,
        _ => 63,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::ClientMessage;
    use super::*;

    #[test]
    fn a_relayed_signal_is_the_signal_that_the_general_writer_writes() {
        for len in [0, 1, 2, 3, 100, 1536] {
            let body = Bytes((0..len).map(|n| n as u8).collect());
            let (topic, from) = (Topic::from_bytes([200; 32]), SessionId::from_bytes([5; 32]));
            let relayed =
                Relayed { to: SessionId::from_bytes([6; 32]), topic, from, body: Encoded::from(&body) };
            let mut out = Vec::new();
            relayed.write(&mut out);
            assert_eq!(out.len(), relayed.encoded_len());
            let message = ServerMessage::Signal { topic, from, body };
            assert_eq!(String::from_utf8(out).unwrap(), message.encode());
            assert_eq!(relayed.message(), message);
            assert_eq!(relayed.body.len(), len);
        }
    }

    #[test]
    fn what_clients_write_takes_the_short_way_and_means_the_same() {
        let (topic, to) = (Topic::from_bytes([7; 32]), SessionId::from_bytes([8; 32]));
        let body = Bytes(vec![1, 2, 3, 4]);
        let text = ClientMessage::Signal { topic, to, body: body.clone() }.encode();
        assert_eq!(plain_signal(&text), Some((topic, to, Encoded::from(&body))));
        for other in [text.replace("AQIDBA", "AQIDBB"), text.replace('}', ",\"x\":1}"), format!(" {text}")] {
            assert_eq!(plain_signal(&other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn what_the_strict_decoder_takes_is_taken_and_nothing_else(
            text in "[A-Za-z0-9_-]{0,70}([+/= é@`{\\[:/]?)[A-Za-z0-9_-]{0,3}"
        ) {
            let known = URL_SAFE_NO_PAD.decode(&text);
            let read: Result<Encoded, _> = text.parse();
            prop_assert_eq!(read.is_ok(), known.is_ok());
            if let (Ok(read), Ok(known)) = (read, known) {
                prop_assert_eq!(Bytes::from(&read), Bytes(known.clone()));
                prop_assert_eq!(read.len(), known.len());
            }
        }
    }
}
