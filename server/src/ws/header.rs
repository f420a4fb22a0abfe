//! A frame's header (RFC 6455 §5.2).

use super::Malformed;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    pub(super) fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// The header of a client's frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) last: bool,
    pub(super) opcode: Opcode,
    pub(super) mask: [u8; 4],
    /// Bytes of the header itself.
    pub(super) size: usize,
    /// Bytes of the payload.
    pub(super) payload: u64,
}

/// Bytes of the longest header.
pub(super) const LONGEST: usize = 14;

/// The largest payload of a control frame.
pub(super) const MOST_CONTROL: u64 = 125;

impl Header {
    /// Reads the header at the beginning of `bytes`; nothing if more bytes are needed. What is wrong already in the first
    /// bytes is wrong at once.
    pub(super) fn read(bytes: &[u8]) -> Result<Option<Self>, Malformed> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        if first & 0x70 != 0 {
            return Err(Malformed::Reserved);
        }
        let opcode = match first & 0x0f {
            0 => Opcode::Continuation,
            1 => Opcode::Text,
            2 => Opcode::Binary,
            8 => Opcode::Close,
            9 => Opcode::Ping,
            10 => Opcode::Pong,
            other => return Err(Malformed::Opcode(other)),
        };
        let last = first & 0x80 != 0;
        let Some(&second) = bytes.get(1) else { return Ok(None) };
        if second & 0x80 == 0 {
            return Err(Malformed::Unmasked);
        }
        let short = u64::from(second & 0x7f);
        if opcode.is_control() && (!last || short > MOST_CONTROL) {
            return Err(Malformed::Control);
        }
        let rest = &bytes[2..];
        let (payload, rest, wide) = match short {
            126 => match rest.split_first_chunk() {
                Some((length, rest)) => (u64::from(u16::from_be_bytes(*length)), rest, 2),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk() {
                Some((length, rest)) => (u64::from_be_bytes(*length), rest, 8),
                None => return Ok(None),
            },
            short => (short, rest, 0),
        };
        if (wide == 2 && payload < 126) || (wide == 8 && u16::try_from(payload).is_ok()) {
            return Err(Malformed::LongLength);
        }
        let size = 2 + wide + 4;
        Ok(rest.first_chunk().map(|mask| Self { last, opcode, mask: *mask, size, payload }))
    }

    /// How many bytes the header that begins so has at least.
    pub(super) fn least(bytes: &[u8]) -> usize {
        match bytes.get(1).map(|second| second & 0x7f) {
            None => 2,
            Some(126) => 8,
            Some(127) => LONGEST,
            Some(_) => 6,
        }
    }
}

/// Masks or unmasks a payload that begins with the mask's first byte (RFC 6455 §5.3).
pub(super) fn mask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip([a, b, c, d, a, b, c]) {
        *byte ^= mask;
    }
}
