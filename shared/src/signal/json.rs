//! JSON (RFC 8259): read into a tree that borrows from the text, and written member by member.
//!
//! Takes what `serde_json` takes: no lone surrogates, no numbers beyond those of a double, [`MAX_DEPTH`] levels.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::DecodeError;
use crate::update::is_finite;

/// How many objects and lists may be around a value.
const MAX_DEPTH: u8 = 127;

pub(crate) enum Value<'a> {
    Null,
    Bool,
    Number(&'a str),
    Text(Cow<'a, str>),
    List(Vec<Self>),
    Object(Object<'a>),
}

impl<'a> Value<'a> {
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn object(&self) -> Option<&Object<'a>> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// A whole number without fraction, exponent or sign.
    pub(crate) fn number<T: FromStr>(&self) -> Option<T> {
        match self {
            Self::Number(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok(),
            _ => None,
        }
    }
}

/// The members of an object, in their order.
pub(crate) struct Object<'a>(Vec<(Cow<'a, str>, Value<'a>)>);

impl<'a> Object<'a> {
    /// Reads a text that is one object.
    pub(crate) fn decode(text: &'a str) -> Result<Self, DecodeError> {
        let mut reader = Reader { text, at: 0 };
        let value = reader.value(0);
        reader.space();
        match value {
            Some(Value::Object(object)) if reader.at == text.len() => Ok(object),
            _ => Err(DecodeError::Json),
        }
    }

    /// The member, as `read` takes it. Missing, given twice or of another form is an error.
    pub(crate) fn member<'o, T>(
        &'o self,
        name: &'static str,
        read: impl FnOnce(&'o Value<'a>) -> Option<T>,
    ) -> Result<T, DecodeError> {
        self.find(name)?.and_then(read).ok_or(DecodeError::Member(name))
    }

    /// As [`Object::member`], but it may be missing.
    pub(crate) fn optional<'o, T>(
        &'o self,
        name: &'static str,
        read: impl FnOnce(&'o Value<'a>) -> Option<T>,
    ) -> Result<Option<T>, DecodeError> {
        let read = |value| read(value).ok_or(DecodeError::Member(name));
        self.find(name)?.map(read).transpose()
    }

    /// As [`Object::optional`], but it may be `null` too.
    pub(crate) fn nullable<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(&Value<'a>) -> Option<T>,
    ) -> Result<Option<T>, DecodeError> {
        let value = self.find(name)?.filter(|value| !matches!(value, Value::Null));
        value.map(|value| read(value).ok_or(DecodeError::Member(name))).transpose()
    }

    pub(crate) fn text(&self, name: &'static str) -> Result<&str, DecodeError> {
        self.member(name, Value::text)
    }

    pub(crate) fn parsed<T: FromStr>(&self, name: &'static str) -> Result<T, DecodeError> {
        self.text(name)?.parse().map_err(|_| DecodeError::Member(name))
    }

    pub(crate) fn number<T: FromStr>(&self, name: &'static str) -> Result<T, DecodeError> {
        self.member(name, Value::number)
    }

    /// Bytes in base64url.
    pub(crate) fn bytes(&self, name: &'static str) -> Result<Vec<u8>, DecodeError> {
        URL_SAFE_NO_PAD.decode(self.text(name)?).map_err(|_| DecodeError::Member(name))
    }

    pub(crate) fn object(&self, name: &'static str) -> Result<&Object<'a>, DecodeError> {
        self.member(name, Value::object)
    }

    pub(crate) fn list<T>(
        &self,
        name: &'static str,
        each: impl Fn(&Value<'a>) -> Option<T>,
    ) -> Result<Vec<T>, DecodeError> {
        self.member(name, |value| match value {
            Value::List(values) => values.iter().map(each).collect(),
            _ => None,
        })
    }

    fn find(&self, name: &'static str) -> Result<Option<&Value<'a>>, DecodeError> {
        let mut found = self.0.iter().filter(|(other, _)| other == name).map(|(_, value)| value);
        let value = found.next();
        if found.next().is_some() { Err(DecodeError::Member(name)) } else { Ok(value) }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn left(&self) -> &'a [u8] {
        &self.text.as_bytes()[self.at..]
    }

    fn space(&mut self) {
        while let [b' ' | b'\t' | b'\n' | b'\r', ..] = self.left() {
            self.at += 1;
        }
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.left().first().copied();
        self.at += usize::from(byte.is_some());
        byte
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.left().first() == Some(&byte);
        self.at += usize::from(found);
        found
    }

    fn word(&mut self, word: &str, value: Value<'a>) -> Option<Value<'a>> {
        self.left().strip_prefix(word.as_bytes())?;
        self.at += word.len();
        Some(value)
    }

    fn value(&mut self, depth: u8) -> Option<Value<'a>> {
        self.space();
        match self.left().first()? {
            b'{' | b'[' if depth == MAX_DEPTH => None,
            b'{' => self.object(depth + 1),
            b'[' => self.list(depth + 1),
            b'"' => self.string().map(Value::Text),
            b't' => self.word("true", Value::Bool),
            b'f' => self.word("false", Value::Bool),
            b'n' => self.word("null", Value::Null),
            _ => self.number(),
        }
    }

    fn object(&mut self, depth: u8) -> Option<Value<'a>> {
        let mut members = Vec::new();
        self.at += 1;
        self.space();
        if self.eat(b'}') {
            return Some(Value::Object(Object(members)));
        }
        loop {
            self.space();
            let name = self.string()?;
            self.space();
            if !self.eat(b':') {
                return None;
            }
            members.push((name, self.value(depth)?));
            self.space();
            match self.next()? {
                b',' => {}
                b'}' => return Some(Value::Object(Object(members))),
                _ => return None,
            }
        }
    }

    fn list(&mut self, depth: u8) -> Option<Value<'a>> {
        let mut values = Vec::new();
        self.at += 1;
        self.space();
        if self.eat(b']') {
            return Some(Value::List(values));
        }
        loop {
            values.push(self.value(depth)?);
            self.space();
            match self.next()? {
                b',' => {}
                b']' => return Some(Value::List(values)),
                _ => return None,
            }
        }
    }

    fn string(&mut self) -> Option<Cow<'a, str>> {
        if !self.eat(b'"') {
            return None;
        }
        let mut out = Cow::Borrowed("");
        loop {
            let from = self.at;
            self.at += plain(self.left());
            let piece = self.text.get(from..self.at)?;
            if out.is_empty() {
                out = Cow::Borrowed(piece);
            } else {
                out.to_mut().push_str(piece);
            }
            match self.next()? {
                b'"' => return Some(out),
                b'\\' => out.to_mut().push(self.escaped()?),
                _ => return None,
            }
        }
    }

    fn escaped(&mut self) -> Option<char> {
        Some(match self.next()? {
            byte @ (b'"' | b'\\' | b'/') => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.unit()?;
                let pair = (0xd800..0xdc00).contains(&first);
                let mut units = vec![first];
                if pair && self.eat(b'\\') && self.eat(b'u') {
                    units.push(self.unit()?);
                }
                char::decode_utf16(units).next()?.ok()?
            }
            _ => return None,
        })
    }

    fn unit(&mut self) -> Option<u16> {
        let mut unit = 0;
        for _ in 0..4 {
            unit = unit << 4 | char::from(self.next()?).to_digit(16)? as u16;
        }
        Some(unit)
    }

    fn number(&mut self) -> Option<Value<'a>> {
        let from = self.at;
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _sign = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        let text = self.text.get(from..self.at)?;
        is_finite(text).then_some(Value::Number(text))
    }

    fn digits(&mut self) -> Option<()> {
        let count = self.left().iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        (count > 0).then_some(())
    }
}

/// How many bytes come before the next quote, backslash or control character; eight at a time, for most of a message
/// is one long string.
fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 0xff;
    // Sets the high bit of each byte that is smaller, but for those above the first that is.
    let smaller = |word: u64, than: u8| word.wrapping_sub(ONES * u64::from(than)) & !word & (ONES * 0x80);
    let equal = |word: u64, to: u8| smaller(word ^ (ONES * u64::from(to)), 1);
    let (words, rest) = bytes.as_chunks::<8>();
    for (n, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let ends = smaller(word, b' ') | equal(word, b'"') | equal(word, b'\\');
        if ends != 0 {
            return n * 8 + ends.trailing_zeros() as usize / 8;
        }
    }
    words.len() * 8 + rest.iter().take_while(|byte| !matches!(byte, 0..b' ' | b'"' | b'\\')).count()
}

/// Writes one object.
pub(crate) struct Writer(String);

impl Writer {
    /// Begins an object with its `type`.
    pub(crate) fn new(kind: &str) -> Self {
        let mut out = Self(String::with_capacity(256));
        out.0.push('{');
        out.text("type", kind);
        out
    }

    pub(crate) fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }

    pub(crate) fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        self.string(value);
    }

    pub(crate) fn number(&mut self, name: &str, value: u64) {
        self.name(name);
        self.integer(value);
    }

    /// Bytes in base64url.
    pub(crate) fn bytes(&mut self, name: &str, value: &[u8]) {
        self.name(name);
        self.0.push('"');
        URL_SAFE_NO_PAD.encode_string(value, &mut self.0);
        self.0.push('"');
    }

    pub(crate) fn object(&mut self, name: &str, members: impl FnOnce(&mut Self)) {
        self.name(name);
        self.nested('{', '}', members);
    }

    /// A list whose values `each` writes.
    pub(crate) fn list<T>(&mut self, name: &str, values: &[T], each: impl Fn(&mut Self, &T)) {
        self.name(name);
        self.nested('[', ']', |out| {
            for value in values {
                out.comma();
                each(out, value);
            }
        });
    }

    /// An object in a list.
    pub(crate) fn element(&mut self, members: impl FnOnce(&mut Self)) {
        self.nested('{', '}', members);
    }

    /// A whole number in a list.
    pub(crate) fn integer(&mut self, value: u64) {
        // Writing to a String cannot fail.
        let _ = write!(self.0, "{value}");
    }

    /// A text in a list.
    pub(crate) fn string(&mut self, mut value: &str) {
        self.0.push('"');
        while let Some((piece, rest)) = value.split_at_checked(plain(value.as_bytes())) {
            self.0.push_str(piece);
            let mut rest = rest.chars();
            match rest.next() {
                None => break,
                Some('"') => self.0.push_str("\\\""),
                Some('\\') => self.0.push_str("\\\\"),
                Some('\u{8}') => self.0.push_str("\\b"),
                Some('\u{c}') => self.0.push_str("\\f"),
                Some('\n') => self.0.push_str("\\n"),
                Some('\r') => self.0.push_str("\\r"),
                Some('\t') => self.0.push_str("\\t"),
                Some(control) => {
                    let _ = write!(self.0, "\\u{:04x}", u32::from(control));
                }
            }
            value = rest.as_str();
        }
        self.0.push('"');
    }

    fn nested(&mut self, open: char, close: char, inside: impl FnOnce(&mut Self)) {
        self.0.push(open);
        inside(self);
        self.0.push(close);
    }

    fn name(&mut self, name: &str) {
        self.comma();
        self.string(name);
        self.0.push(':');
    }

    fn comma(&mut self) {
        if !self.0.ends_with(['{', '[']) {
            self.0.push(',');
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value as Known;

    use super::*;

    fn same(value: &Value<'_>, known: &Known) -> bool {
        match (value, known) {
            (Value::Null, Known::Null) | (Value::Bool, Known::Bool(_)) => true,
            (Value::Number(_), Known::Number(known)) => value.number::<u64>() == known.as_u64(),
            (Value::Text(text), Known::String(known)) => text == known,
            (Value::List(values), Known::Array(known)) => {
                values.len() == known.len() && values.iter().zip(known).all(|(a, b)| same(a, b))
            }
            (Value::Object(Object(members)), Known::Object(known)) => known.iter().all(|(name, known)| {
                let last = members.iter().rfind(|(other, _)| other == name);
                last.is_some_and(|(_, value)| same(value, known))
            }),
            _ => false,
        }
    }

    fn agrees(text: &str) -> bool {
        match (Object::decode(text), serde_json::from_str::<serde_json::Map<String, Known>>(text)) {
            (Ok(object), Ok(known)) => same(&Value::Object(object), &Known::Object(known)),
            (read, known) => read.is_err() && known.is_err(),
        }
    }

    #[test]
    fn what_serde_json_takes_is_taken_and_nothing_else() {
        let deep = |n| format!("{{\"a\":{}{}}}", "[".repeat(n), "]".repeat(n));
        for text in [&deep(126), &deep(127), &deep(100_000), "", "{}", " {} ", "{} {}", "[]", "1", "{\"a\"}"]
        {
            assert!(agrees(text), "{text:.40}");
        }
        for value in [
            "0",
            "-0",
            "01",
            "-",
            "1.",
            ".5",
            "1.5e-3",
            "1e999",
            "-1e999",
            "0e999",
            "1E+2",
            "+1",
            "18446744073709551615",
            "18446744073709551616",
            "true",
            "tru",
            "null",
            "nul",
            "[1,]",
            "[,]",
            "[1 2]",
            "{\"b\":}",
            "{,}",
            "\"\\ud83d\\ude00\"",
            "\"\\ud83d\"",
            "\"\\ude00\"",
            "\"\\ud83dx\"",
            "\"\\ud83d\\u0041\"",
            "\"\\ud83d\\n\"",
            "\"\\u00e9\\/\\b\\f\\n\\r\\t\\\\\\\"\"",
            "\"\\x\"",
            "\"\u{1}\"",
            "\"\u{7f}é\"",
            "\"",
            "\"abcdefgh\\",
            "\"1234567\u{1f}\"",
        ] {
            assert!(agrees(&format!("{{\"a\" :\t{value}\n}}")), "{value}");
        }
        assert!(Object::decode(&deep(126)).is_ok() && Object::decode(&deep(127)).is_err());
    }

    #[test]
    fn a_member_given_twice_is_an_error_if_it_is_asked_for() {
        let object = Object::decode("{\"a\":1,\"b\":2,\"\\u0061\":1}").unwrap();
        assert!(object.number::<u8>("a").is_err() && object.number::<u8>("b").is_ok());
    }

    proptest! {
        #[test]
        fn any_text_is_read_as_serde_json_reads_it(text in "[\\[\\]{}\",:0-9eE.+\\-a-f\\\\u d8\n]{0,24}") {
            prop_assert!(agrees(&format!("{{\"a\":{text}}}")), "{}", text);
            prop_assert!(agrees(&format!("{{\"a\":\"{text}\"}}")), "{}", text);
        }

        #[test]
        fn any_text_is_written_as_serde_json_writes_it(text in any::<String>()) {
            let mut out = Writer(String::new());
            out.string(&text);
            prop_assert_eq!(out.0, serde_json::to_string(&text).unwrap());
        }
    }
}
