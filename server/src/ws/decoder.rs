//! Messages out of bytes, however these are cut.

use super::Malformed;
use super::header::{self, Header, LONGEST, Opcode};

/// What a client sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    /// A message.
    Text(&'a str),
    /// To be answered by a pong with the same bytes.
    Ping(&'a [u8]),
    /// A pong.
    Pong,
    /// The client closes, with this code if it gave one. Nothing after it counts.
    Close(Option<u16>),
}

/// One connection's decoder.
#[derive(Debug)]
pub(crate) struct Decoder {
    /// The longest message taken, in bytes.
    longest: usize,
    unfinished: Option<Box<Unfinished>>,
}

/// What has not arrived whole.
#[derive(Debug, Default)]
struct Unfinished {
    /// The beginning of a frame, its header included.
    frame: Vec<u8>,
    /// The message whose last fragment has not come.
    message: Option<Fragments>,
    /// What the last event was read from, to be forgotten.
    spent: Spent,
}

#[derive(Debug, Default)]
struct Fragments {
    text: Vec<u8>,
    /// How much of it is known to be UTF-8.
    checked: usize,
}

#[derive(Debug, Default)]
enum Spent {
    #[default]
    Nothing,
    Frame,
    Message,
}

/// Where a whole frame is.
enum Frame<'i> {
    /// Where it was read.
    Input(&'i mut [u8]),
    /// In [`Unfinished::frame`].
    Kept,
}

impl Decoder {
    pub(crate) fn new(longest: usize) -> Self {
        Self { longest, unfinished: None }
    }

    /// The next event of `input`, which is taken from its beginning; nothing once all of it is taken. After an error
    /// the connection is over.
    #[expect(clippy::mut_mut, reason = "the input is taken from its beginning")]
    pub(crate) fn next<'e, 'i: 'e>(
        &'e mut self,
        input: &mut &'i mut [u8],
    ) -> Result<Option<Event<'e>>, Malformed> {
        self.forget();
        loop {
            let Some((header, frame)) = self.frame(input)? else { return Ok(None) };
            if header.opcode.is_control() || (header.opcode == Opcode::Text && header.last) {
                return self.event(header, frame).map(Some);
            }
            self.append(header, frame)?;
            if header.last {
                return self.message().map(Some);
            }
        }
    }

    /// Bytes kept for what has not arrived whole.
    pub(crate) fn kept(&self) -> usize {
        self.unfinished.as_ref().map_or(0, |unfinished| {
            let message = unfinished.message.as_ref().map_or(0, |message| message.text.capacity());
            unfinished.frame.capacity() + message
        })
    }

    /// Forgets what the last event was read from.
    fn forget(&mut self) {
        let Some(unfinished) = &mut self.unfinished else { return };
        match std::mem::take(&mut unfinished.spent) {
            Spent::Nothing => {}
            Spent::Frame => unfinished.frame = Vec::new(),
            Spent::Message => unfinished.message = None,
        }
        if unfinished.frame.is_empty() && unfinished.message.is_none() {
            self.unfinished = None;
        }
    }

    /// One whole frame; what there is of an unfinished one is kept.
    #[expect(clippy::mut_mut, reason = "the input is taken from its beginning")]
    fn frame<'i>(&mut self, input: &mut &'i mut [u8]) -> Result<Option<(Header, Frame<'i>)>, Malformed> {
        if self.unfinished.as_ref().is_none_or(|unfinished| unfinished.frame.is_empty()) {
            if let Some((header, whole)) = self.header(input)?
                && whole <= input.len()
            {
                let (frame, rest) = std::mem::take(input).split_at_mut(whole);
                *input = rest;
                return Ok(Some((header, Frame::Input(frame))));
            }
            if input.is_empty() {
                return Ok(None);
            }
        }
        loop {
            let kept = self.unfinished.as_ref().map_or(&[][..], |unfinished| &unfinished.frame);
            let header = self.header(kept)?;
            // As long as its length is not known, no byte that may belong to the next frame is taken.
            let wanted = match header {
                Some((_, whole)) => whole - kept.len(),
                None => Header::least(kept) - kept.len(),
            };
            if let Some((header, _)) = header
                && wanted == 0
            {
                return Ok(Some((header, Frame::Kept)));
            }
            let count = wanted.min(input.len());
            if count == 0 {
                return Ok(None);
            }
            let (taken, rest) = std::mem::take(input).split_at_mut(count);
            *input = rest;
            let room = header.map_or(LONGEST, |(_, whole)| whole);
            let frame = &mut self.unfinished.get_or_insert_default().frame;
            // The memory grows with what has come, not with what was announced.
            frame.reserve_exact((2 * (frame.len() + taken.len())).min(room).saturating_sub(frame.len()));
            frame.extend_from_slice(taken);
        }
    }

    /// The header, if it may be so here, and the length of the whole frame.
    fn header(&self, bytes: &[u8]) -> Result<Option<(Header, usize)>, Malformed> {
        let Some(header) = Header::read(bytes)? else { return Ok(None) };
        let begun = self.unfinished.as_ref().and_then(|unfinished| unfinished.message.as_ref());
        let before = match (header.opcode, begun) {
            (Opcode::Continuation, None) => return Err(Malformed::ContinuesNothing),
            (Opcode::Text | Opcode::Binary, Some(_)) => return Err(Malformed::NotContinued),
            (Opcode::Binary, _) => return Err(Malformed::Binary),
            (Opcode::Continuation, Some(message)) => message.text.len(),
            _ => 0,
        };
        match usize::try_from(header.payload) {
            Ok(payload) if payload <= self.longest - before => Ok(Some((header, header.size + payload))),
            _ => Err(Malformed::TooLong),
        }
    }

    /// What a frame means that is a message of its own.
    fn event<'e, 'i: 'e>(&'e mut self, header: Header, frame: Frame<'i>) -> Result<Event<'e>, Malformed> {
        let frame = match frame {
            Frame::Input(frame) => frame,
            Frame::Kept => {
                let unfinished = self.unfinished.get_or_insert_default();
                unfinished.spent = Spent::Frame;
                unfinished.frame.as_mut_slice()
            }
        };
        let payload = &mut frame[header.size..];
        header::mask(payload, header.mask);
        Ok(match header.opcode {
            Opcode::Text => Event::Text(str::from_utf8(payload).map_err(|_| Malformed::NotUtf8)?),
            Opcode::Ping => Event::Ping(payload),
            Opcode::Close => Event::Close(close_code(payload)?),
            Opcode::Pong | Opcode::Continuation | Opcode::Binary => Event::Pong,
        })
    }

    /// Adds a fragment to its message.
    fn append(&mut self, header: Header, frame: Frame<'_>) -> Result<(), Malformed> {
        let unfinished = self.unfinished.get_or_insert_default();
        let mut kept = Vec::new();
        let frame = match frame {
            Frame::Input(frame) => frame,
            Frame::Kept => {
                kept = std::mem::take(&mut unfinished.frame);
                kept.as_mut_slice()
            }
        };
        let payload = &mut frame[header.size..];
        header::mask(payload, header.mask);
        let message = unfinished.message.get_or_insert_default();
        message.text.extend_from_slice(payload);
        match str::from_utf8(&message.text[message.checked..]) {
            Ok(_) => message.checked = message.text.len(),
            Err(error) if error.error_len().is_none() => message.checked += error.valid_up_to(),
            Err(_) => return Err(Malformed::NotUtf8),
        }
        drop(kept);
        Ok(())
    }

    /// The message whose last fragment has been added.
    fn message(&mut self) -> Result<Event<'_>, Malformed> {
        let unfinished = self.unfinished.get_or_insert_default();
        unfinished.spent = Spent::Message;
        let message = unfinished.message.get_or_insert_default();
        str::from_utf8(&message.text).map(Event::Text).map_err(|_| Malformed::NotUtf8)
    }
}

/// Reads a close frame's payload (RFC 6455 §5.5.1 and §7.4).
fn close_code(payload: &[u8]) -> Result<Option<u16>, Malformed> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() { Ok(None) } else { Err(Malformed::Close) };
    };
    let code = u16::from_be_bytes(*code);
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(Malformed::Close);
    }
    str::from_utf8(reason).map(|_| Some(code)).map_err(|_| Malformed::NotUtf8)
}
