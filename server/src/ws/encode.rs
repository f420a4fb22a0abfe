//! Frames to be written: whole, unmasked.

/// The longest header of a frame that a server writes.
pub(crate) const LONGEST_HEADER: usize = 10;

/// An empty ping.
pub(crate) const PING: [u8; 2] = [0x89, 0];

/// Begins a text frame of `len` bytes.
pub(crate) fn text(len: usize, out: &mut Vec<u8>) {
    header(0x81, len, out);
}

/// A pong, with what the ping had; at most 125 bytes.
pub(crate) fn pong(payload: &[u8], out: &mut Vec<u8>) {
    header(0x8a, payload.len(), out);
    out.extend_from_slice(payload);
}

/// A close, with a code or without.
pub(crate) fn close(code: Option<u16>, out: &mut Vec<u8>) {
    let payload = code.map(u16::to_be_bytes);
    let payload = payload.as_ref().map_or(&[][..], |code| code);
    header(0x88, payload.len(), out);
    out.extend_from_slice(payload);
}

fn header(first: u8, len: usize, out: &mut Vec<u8>) {
    out.push(first);
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(len @ 0..=125), _) => out.push(len),
        (_, Ok(len)) => {
            out.push(126);
            out.extend_from_slice(&len.to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
}
