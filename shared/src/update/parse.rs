//! Reads lib0's encoding from bytes nobody vouches for.
//!
//! Only what every decoder reads alike is accepted: whole numbers in their shortest form and at
//! most 2^53 - 1, and JSON that both `JSON.parse` and `serde_json` take.

use super::UpdateError;
use super::number::is_finite;

/// The largest whole number all decoders agree on (JavaScript's `MAX_SAFE_INTEGER`).
pub(super) const MAX_SAFE: u64 = (1 << 53) - 1;
/// How deep values (`Any`, JSON) may nest; their decoders recurse.
pub(super) const MAX_DEPTH: u8 = 64;

pub(super) struct Reader<'a> {
    left: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { left: bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    pub(super) fn byte(&mut self) -> Result<u8, UpdateError> {
        let (&first, rest) = self.left.split_first().ok_or(UpdateError::Truncated)?;
        self.left = rest;
        Ok(first)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], UpdateError> {
        let (taken, rest) = self.left.split_at_checked(len).ok_or(UpdateError::Truncated)?;
        self.left = rest;
        Ok(taken)
    }

    pub(super) fn uint(&mut self) -> Result<u64, UpdateError> {
        let first = self.byte()?;
        let head = u64::from(first & 0x7f);
        if first < 0x80 {
            return Ok(head);
        }
        self.uint_tail(head, 7)
    }

    fn int(&mut self) -> Result<(), UpdateError> {
        let first = self.byte()?;
        if first >= 0x80 {
            self.uint_tail(u64::from(first & 0x3f), 6)?;
        }
        Ok(())
    }

    fn uint_tail(&mut self, head: u64, head_bits: u32) -> Result<u64, UpdateError> {
        let mut value = head;
        let mut shift = head_bits;
        loop {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                let shortest = byte != 0;
                return if shortest && value <= MAX_SAFE { Ok(value) } else { Err(UpdateError::Number) };
            }
            if shift > 53 {
                return Err(UpdateError::Number);
            }
        }
    }

    /// A number of things that take at least `each` bytes, so never more than the bytes left hold.
    pub(super) fn count(&mut self, each: usize) -> Result<usize, UpdateError> {
        let count = usize::try_from(self.uint()?).map_err(|_| UpdateError::Truncated)?;
        if count > self.left.len() / each {
            return Err(UpdateError::Truncated);
        }
        Ok(count)
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], UpdateError> {
        let len = self.count(1)?;
        self.take(len)
    }

    pub(super) fn string(&mut self) -> Result<&'a str, UpdateError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| UpdateError::Utf8)
    }

    /// One lib0 `any` value.
    pub(super) fn any(&mut self, depth: u8) -> Result<(), UpdateError> {
        match self.byte()? {
            126 | 127 | 120 | 121 => Ok(()), // null, undefined, true, false
            125 => self.int(),
            124 => self.take(4).map(drop),       // float32
            123 | 122 => self.take(8).map(drop), // float64, bigint
            119 => self.string().map(drop),
            118 => {
                let inner = deeper(depth)?;
                for _ in 0..self.count(2)? {
                    self.string()?;
                    self.any(inner)?;
                }
                Ok(())
            }
            117 => {
                let inner = deeper(depth)?;
                for _ in 0..self.count(1)? {
                    self.any(inner)?;
                }
                Ok(())
            }
            116 => self.bytes().map(drop),
            _ => Err(UpdateError::Value),
        }
    }

    /// A string that holds one JSON value (embeds, format values).
    pub(super) fn json(&mut self) -> Result<(), UpdateError> {
        json(self.string()?)
    }
}

/// Whether a text is one JSON value that every decoder takes, nested at most 64 deep.
pub(crate) fn json(text: &str) -> Result<(), UpdateError> {
    let mut json = Json { left: text.as_bytes() };
    json.value(0)?;
    json.space();
    if json.left.is_empty() { Ok(()) } else { Err(UpdateError::Json) }
}

fn deeper(depth: u8) -> Result<u8, UpdateError> {
    if depth < MAX_DEPTH { Ok(depth + 1) } else { Err(UpdateError::TooDeep) }
}

struct Json<'a> {
    left: &'a [u8],
}

impl Json<'_> {
    fn space(&mut self) {
        while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] = self.left {
            self.left = rest;
        }
    }

    fn next(&mut self) -> Result<u8, UpdateError> {
        let (&first, rest) = self.left.split_first().ok_or(UpdateError::Json)?;
        self.left = rest;
        Ok(first)
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.left.first() == Some(&byte);
        if found {
            self.left = &self.left[1..];
        }
        found
    }

    fn expect(&mut self, word: &[u8]) -> Result<(), UpdateError> {
        self.left = self.left.strip_prefix(word).ok_or(UpdateError::Json)?;
        Ok(())
    }

    fn value(&mut self, depth: u8) -> Result<(), UpdateError> {
        self.space();
        match self.left.first() {
            Some(b'{') => {
                self.next()?;
                self.list(deeper(depth)?, b'}', |json, depth| {
                    json.space();
                    json.expect(b"\"")?;
                    json.string()?;
                    json.space();
                    json.expect(b":")?;
                    json.value(depth)
                })
            }
            Some(b'[') => {
                self.next()?;
                self.list(deeper(depth)?, b']', Self::value)
            }
            Some(b'"') => {
                self.next()?;
                self.string()
            }
            Some(b't') => self.expect(b"true"),
            Some(b'f') => self.expect(b"false"),
            Some(b'n') => self.expect(b"null"),
            _ => self.number(),
        }
    }

    fn list(
        &mut self,
        depth: u8,
        end: u8,
        element: fn(&mut Self, u8) -> Result<(), UpdateError>,
    ) -> Result<(), UpdateError> {
        self.space();
        if self.eat(end) {
            return Ok(());
        }
        loop {
            element(self, depth)?;
            self.space();
            match self.next()? {
                b',' => {}
                byte if byte == end => return Ok(()),
                _ => return Err(UpdateError::Json),
            }
        }
    }

    fn string(&mut self) -> Result<(), UpdateError> {
        loop {
            match self.next()? {
                b'"' => return Ok(()),
                b'\\' => match self.next()? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                    b'u' => self.escaped_unit()?,
                    _ => return Err(UpdateError::Json),
                },
                0..0x20 => return Err(UpdateError::Json),
                _ => {}
            }
        }
    }

    /// A lone surrogate is refused: `JSON.parse` takes it, `serde_json` does not.
    fn escaped_unit(&mut self) -> Result<(), UpdateError> {
        match self.hex4()? {
            0xdc00..=0xdfff => Err(UpdateError::Json),
            0xd800..=0xdbff => {
                self.expect(b"\\u")?;
                match self.hex4()? {
                    0xdc00..=0xdfff => Ok(()),
                    _ => Err(UpdateError::Json),
                }
            }
            _ => Ok(()),
        }
    }

    fn hex4(&mut self) -> Result<u32, UpdateError> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = char::from(self.next()?).to_digit(16).ok_or(UpdateError::Json)?;
            unit = unit * 16 + digit;
        }
        Ok(unit)
    }

    fn number(&mut self) -> Result<(), UpdateError> {
        let from = self.left;
        let negative = self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        let mut whole = true;
        if self.eat(b'.') {
            whole = false;
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            whole = false;
            let _sign = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        let text =
            std::str::from_utf8(&from[..from.len() - self.left.len()]).map_err(|_| UpdateError::Json)?;
        // `yrs` fails on whole numbers that fit a u64 but no i64.
        let between = whole && !negative && text.parse::<u64>().is_ok_and(|n| n > i64::MAX as u64);
        if is_finite(text) && !between { Ok(()) } else { Err(UpdateError::Json) }
    }

    fn digits(&mut self) -> Result<(), UpdateError> {
        let count = self.left.iter().take_while(|b| b.is_ascii_digit()).count();
        if count == 0 {
            return Err(UpdateError::Json);
        }
        self.left = &self.left[count..];
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn json_is_taken_only_if_every_decoder_takes_it() {
        for good in [
            "null",
            " true ",
            "0",
            "-0",
            "1.5e-3",
            "1e21",
            "\"\\ud83d\\ude00\"",
            "{}",
            "[]",
            "{\"a\":[1,{\"b\":null}]}",
            "100000000000000000000",
            "-9223372036854775808",
        ] {
            assert_eq!(json(good), Ok(()), "{good}");
            assert!(yrs::Any::from_json(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "undefined",
            "01",
            "1.",
            ".5",
            "+1",
            "1e999",
            "NaN",
            "\"\\ud83d\"",
            "\"\\udc00\"",
            "\"\u{1}\"",
            "[1,]",
            "{\"a\"}",
            "{a:1}",
            "1 2",
            "10000000000000000000",
            "\"",
            "[",
            "nul",
        ] {
            assert!(json(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn deep_json_is_refused_without_recursing() {
        let nested = |n| "[".repeat(n) + &"]".repeat(n);
        assert_eq!(json(&nested(64)), Ok(()));
        assert_eq!(json(&nested(65)), Err(UpdateError::TooDeep));
        assert_eq!(json(&nested(100_000)), Err(UpdateError::TooDeep));
    }

    #[test]
    fn numbers_have_one_form_and_fit_53_bits() {
        let read = |bytes: &[u8]| Reader::new(bytes).uint();
        assert_eq!(read(&[0]), Ok(0));
        assert_eq!(read(&[0x80, 1]), Ok(128));
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]), Ok(MAX_SAFE));
        assert_eq!(read(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10]), Err(UpdateError::Number));
        assert_eq!(read(&[0x80, 0]), Err(UpdateError::Number));
        assert_eq!(read(&[0xff; 20]), Err(UpdateError::Number));
        assert_eq!(read(&[0x80]), Err(UpdateError::Truncated));
    }

    proptest! {
        #[test]
        fn json_taken_here_is_taken_by_yrs(text in "[\\[\\]{}\",:0-9eE.+\\-a-f\\\\ud8 ]{0,24}") {
            if json(&text).is_ok() {
                prop_assert!(yrs::Any::from_json(&text).is_ok(), "{}", text);
            }
        }
    }
}
