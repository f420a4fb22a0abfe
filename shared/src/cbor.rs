//! CBOR (RFC 8949) as this protocol uses it: maps with integer keys, or lists; nothing behind the value.
//!
//! [`members!`] and [`elements!`] say what a structure looks like. All of them share the few functions of [`Reader`]
//! and [`Writer`], which know no types: that is a third of the code that derived implementations are.

use minicbor::Decoder;
use minicbor::data::Type;

/// Bytes that are not the CBOR that was expected here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed data: {0}")]
pub struct DecodeError(String);

impl DecodeError {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// Reads exactly one value; anything behind it is an error.
pub(crate) fn decode<'b, T: Decode<'b>>(bytes: &'b [u8]) -> Result<T, DecodeError> {
    let mut reader = Reader(Decoder::new(bytes));
    match T::decode(&mut reader) {
        Ok(value) if reader.0.position() == bytes.len() => Ok(value),
        Ok(_) => Err(DecodeError::new("trailing bytes")),
        Err(Malformed) => Err(DecodeError::new("a value is missing or of another form")),
    }
}

/// The value as CBOR.
pub(crate) fn encode<T: Encode>(value: &T) -> Vec<u8> {
    let mut writer = Writer(Vec::new());
    value.encode(&mut writer);
    writer.0
}

/// Bytes that are a byte string in CBOR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByteVec(Vec<u8>);

impl From<Vec<u8>> for ByteVec {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl std::ops::Deref for ByteVec {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// What a [`Reader`] read is not what was expected.
#[derive(Debug)]
pub(crate) struct Malformed;

impl From<minicbor::decode::Error> for Malformed {
    fn from(_: minicbor::decode::Error) -> Self {
        Self
    }
}

/// A type with a form in CBOR.
pub(crate) trait Decode<'b>: Sized {
    fn decode(reader: &mut Reader<'b>) -> Result<Self, Malformed>;

    /// What a structure has in place of a value that is missing.
    fn missing() -> Result<Self, Malformed> {
        Err(Malformed)
    }
}

/// A type with a form in CBOR.
pub(crate) trait Encode {
    fn encode(&self, writer: &mut Writer);

    /// Whether a map leaves it out.
    fn is_absent(&self) -> bool {
        false
    }
}

pub(crate) struct Reader<'b>(Decoder<'b>);

impl<'b> Reader<'b> {
    #[inline(never)]
    pub(crate) fn integer(&mut self) -> Result<i64, Malformed> {
        Ok(self.0.i64()?)
    }

    #[inline(never)]
    pub(crate) fn unsigned(&mut self) -> Result<u64, Malformed> {
        Ok(self.0.u64()?)
    }

    #[inline(never)]
    pub(crate) fn bytes(&mut self) -> Result<&'b [u8], Malformed> {
        Ok(self.0.bytes()?)
    }

    #[inline(never)]
    pub(crate) fn text(&mut self) -> Result<&'b str, Malformed> {
        Ok(self.0.str()?)
    }

    #[inline(never)]
    pub(crate) fn skip(&mut self) -> Result<(), Malformed> {
        Ok(self.0.skip()?)
    }

    /// Whether a `null` was next, which is passed over then.
    #[inline(never)]
    fn null(&mut self) -> Result<bool, Malformed> {
        let null = self.0.datatype()? == Type::Null;
        if null {
            self.0.skip()?;
        }
        Ok(null)
    }

    /// The begin of a list of exactly so many elements.
    #[inline(never)]
    pub(crate) fn tuple(&mut self, len: u64) -> Result<(), Malformed> {
        if self.0.array()? == Some(len) { Ok(()) } else { Err(Malformed) }
    }

    /// The begin of a list or a map; how many elements follow, if that is said.
    #[inline(never)]
    fn begin(&mut self, map: bool) -> Result<Option<u64>, Malformed> {
        Ok(if map { self.0.map()? } else { self.0.array()? })
    }

    /// Whether a list or map goes on.
    #[inline(never)]
    fn goes_on(&mut self, left: &mut Option<u64>) -> Result<bool, Malformed> {
        match left {
            Some(0) => return Ok(false),
            Some(left) => *left -= 1,
            None if self.0.datatype()? == Type::Break => {
                self.0.skip()?;
                return Ok(false);
            }
            None => {}
        }
        Ok(true)
    }

    /// The members of a map, or the elements of a list, by their keys or numbers. What `take` does not know (it says
    /// so with `false`) is passed over.
    #[inline(never)]
    pub(crate) fn structure(
        &mut self,
        map: bool,
        take: &mut dyn FnMut(i64, &mut Self) -> Result<bool, Malformed>,
    ) -> Result<(), Malformed> {
        let mut left = self.begin(map)?;
        let mut number = 0;
        while self.goes_on(&mut left)? {
            let key = if map { self.integer()? } else { number };
            if !take(key, self)? {
                self.skip()?;
            }
            number += 1;
        }
        Ok(())
    }

    /// The list of a structure with one element.
    pub(crate) fn only<T: Decode<'b>>(&mut self) -> Result<T, Malformed> {
        let mut only = None;
        self.structure(false, &mut |number, reader| {
            let known = number == 0;
            if known {
                only = Some(T::decode(reader)?);
            }
            Ok(known)
        })?;
        only.map_or_else(T::missing, Ok)
    }
}

pub(crate) struct Writer(Vec<u8>);

/// The major types that are written.
const UNSIGNED: u8 = 0;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const LIST: u8 = 4;
const MAP: u8 = 5;

impl Writer {
    /// A major type and its argument, in the shortest form.
    #[inline(never)]
    fn head(&mut self, major: u8, argument: u64) {
        let bytes = argument.to_be_bytes();
        let (info, len) = match argument {
            0..24 => (bytes[7], 0),
            24..=0xff => (24, 1),
            0x100..=0xffff => (25, 2),
            0x1_0000..=0xffff_ffff => (26, 4),
            _ => (27, 8),
        };
        self.0.push(major << 5 | info);
        self.0.extend_from_slice(&bytes[8 - len..]);
    }

    pub(crate) fn unsigned(&mut self, value: u64) {
        self.head(UNSIGNED, value);
    }

    #[inline(never)]
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.head(BYTES, bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    #[inline(never)]
    pub(crate) fn text(&mut self, text: &str) {
        self.head(TEXT, text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(crate) fn list(&mut self, len: usize) {
        self.head(LIST, len as u64);
    }

    pub(crate) fn map(&mut self, len: usize) {
        self.head(MAP, len as u64);
    }
}

/// `members! { Type { 0: field, 1: other or Vec::new(), … } }`: a map with these keys. What follows `or` is taken for
/// a missing member.
macro_rules! members {
    ($name:ident $(<$life:lifetime>)? { $($key:literal: $field:ident $(or $default:expr)?),+ $(,)? }) => {
        impl<'b> $crate::cbor::Decode<'b> for $name $(<$life>)? {
            fn decode(reader: &mut $crate::cbor::Reader<'b>) -> Result<Self, $crate::cbor::Malformed> {
                $crate::cbor::take!(reader, true, { $($key: $field $(or $default)?),+ }, Self)
            }
        }

        impl $(<$life>)? $crate::cbor::Encode for $name $(<$life>)? {
            fn encode(&self, writer: &mut $crate::cbor::Writer) {
                writer.map(0 $(+ usize::from(!$crate::cbor::Encode::is_absent(&self.$field)))+);
                $(if !$crate::cbor::Encode::is_absent(&self.$field) {
                    writer.unsigned($key);
                    $crate::cbor::Encode::encode(&self.$field, writer);
                })+
            }
        }
    };
}

/// `elements! { Type { 0: field, 1: other, … } }`: a list with these elements.
macro_rules! elements {
    ($name:ident { $($key:literal: $field:ident),+ $(,)? }) => {
        impl<'b> $crate::cbor::Decode<'b> for $name {
            fn decode(reader: &mut $crate::cbor::Reader<'b>) -> Result<Self, $crate::cbor::Malformed> {
                $crate::cbor::take!(reader, false, { $($key: $field),+ }, Self)
            }
        }

        impl $crate::cbor::Encode for $name {
            fn encode(&self, writer: &mut $crate::cbor::Writer) {
                writer.list([$($key),+].len());
                $($crate::cbor::Encode::encode(&self.$field, writer);)+
            }
        }
    };
}

/// Reads a structure and makes a value of its members.
macro_rules! take {
    ($reader:ident, $map:literal, { $($key:literal: $field:ident $(or $default:expr)?),+ }, $($make:tt)+) => {{
        $(let mut $field = None;)+
        $reader.structure($map, &mut |key, reader| {
            match key {
                $($key => $field = Some($crate::cbor::Decode::decode(reader)?),)+
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok($($make)+ {
            $($field: match $field {
                Some(value) => value,
                None => $crate::cbor::take!(@missing $($default)?),
            }),+
        })
    }};
    (@missing) => { $crate::cbor::Decode::missing()? };
    (@missing $default:expr) => { $default };
}

pub(crate) use {elements, members, take};

macro_rules! unsigned {
    ($($type:ty)+) => {$(
        impl Decode<'_> for $type {
            fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
                reader.unsigned()?.try_into().map_err(|_| Malformed)
            }
        }

        impl Encode for $type {
            fn encode(&self, writer: &mut Writer) {
                writer.unsigned((*self).into());
            }
        }
    )+};
}

unsigned!(u8 u32);

impl Decode<'_> for u64 {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        reader.unsigned()
    }
}

impl Encode for u64 {
    fn encode(&self, writer: &mut Writer) {
        writer.unsigned(*self);
    }
}

impl Decode<'_> for bool {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(reader.0.bool()?)
    }
}

impl Encode for bool {
    fn encode(&self, writer: &mut Writer) {
        writer.0.push(if *self { 0xf5 } else { 0xf4 });
    }
}

impl Decode<'_> for String {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        reader.text().map(str::to_owned)
    }
}

impl Encode for String {
    fn encode(&self, writer: &mut Writer) {
        writer.text(self);
    }
}

impl<'b> Decode<'b> for &'b [u8] {
    fn decode(reader: &mut Reader<'b>) -> Result<Self, Malformed> {
        reader.bytes()
    }
}

impl Encode for &[u8] {
    fn encode(&self, writer: &mut Writer) {
        writer.bytes(self);
    }
}

impl Decode<'_> for ByteVec {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        reader.bytes().map(|bytes| Self(bytes.to_vec()))
    }
}

impl Encode for ByteVec {
    fn encode(&self, writer: &mut Writer) {
        writer.bytes(self);
    }
}

impl<const N: usize> Decode<'_> for [u8; N] {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        reader.bytes()?.try_into().map_err(|_| Malformed)
    }
}

impl<const N: usize> Encode for [u8; N] {
    fn encode(&self, writer: &mut Writer) {
        writer.bytes(self);
    }
}

impl<'b, T: Decode<'b>> Decode<'b> for Option<T> {
    fn decode(reader: &mut Reader<'b>) -> Result<Self, Malformed> {
        if reader.null()? { Ok(None) } else { T::decode(reader).map(Some) }
    }

    fn missing() -> Result<Self, Malformed> {
        Ok(None)
    }
}

/// Only as a member of a map, which leaves it out if there is none.
impl<T: Encode> Encode for Option<T> {
    fn encode(&self, writer: &mut Writer) {
        if let Some(value) = self {
            value.encode(writer);
        }
    }

    fn is_absent(&self) -> bool {
        self.is_none()
    }
}

impl<'b, T: Decode<'b>> Decode<'b> for Vec<T> {
    fn decode(reader: &mut Reader<'b>) -> Result<Self, Malformed> {
        let mut left = reader.begin(false)?;
        let mut out = Self::new();
        while reader.goes_on(&mut left)? {
            out.push(T::decode(reader)?);
        }
        Ok(out)
    }
}

impl<T: Encode> Encode for Vec<T> {
    fn encode(&self, writer: &mut Writer) {
        writer.list(self.len());
        for value in self {
            value.encode(writer);
        }
    }
}

impl<'b, A: Decode<'b>, B: Decode<'b>> Decode<'b> for (A, B) {
    fn decode(reader: &mut Reader<'b>) -> Result<Self, Malformed> {
        reader.tuple(2)?;
        Ok((A::decode(reader)?, B::decode(reader)?))
    }
}

impl<A: Encode, B: Encode> Encode for (A, B) {
    fn encode(&self, writer: &mut Writer) {
        writer.list(2);
        self.0.encode(writer);
        self.1.encode(writer);
    }
}
