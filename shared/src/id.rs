//! Identifiers: one newtype per role, made only by parsing or by the operation that defines them.
//!
//! All are 32 bytes, written as 43 characters of base64url without padding (RFC 4648 §5).

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::cbor::{Decode, Encode, Malformed, Reader, Writer};

/// Why a text is not an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseIdError {
    /// Not 43 characters.
    #[error("an id has 43 characters, this has {0}")]
    Length(usize),
    /// A character outside the base64url alphabet, or stray bits in the last one.
    #[error("an id is written in base64url (A-Z a-z 0-9 - _)")]
    Alphabet,
}

fn parse32(text: &str) -> Result<[u8; 32], ParseIdError> {
    if text.len() != 43 {
        return Err(ParseIdError::Length(text.chars().count()));
    }
    let mut out = [0; 32];
    match URL_SAFE_NO_PAD.decode_slice(text, &mut out) {
        Ok(32) => Ok(out),
        _ => Err(ParseIdError::Alphabet),
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// The id with exactly these bytes.
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes of the id.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:.8}…)", stringify!($name), self.to_string())
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                parse32(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl Encode for $name {
            fn encode(&self, writer: &mut Writer) {
                self.0.encode(writer);
            }
        }

        impl Decode<'_> for $name {
            fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
                Decode::decode(reader).map(Self)
            }
        }
    };
}

id! {
    /// A device: its Ed25519 public key (PROTOCOL §2.1).
    DeviceId
}
id! {
    /// One connection to a server, or one start of a node on the mesh: a fresh Ed25519 public key (PROTOCOL §2.2).
    SessionId
}
id! {
    /// A room: the id of its genesis record (PROTOCOL §3.2).
    RoomId
}
id! {
    /// A record: SHA-256 of its bytes on the wire (PROTOCOL §3.1).
    RecordId
}
id! {
    /// A frame of the change log: SHA-256 of its body (PROTOCOL §7.1).
    FrameId
}
id! {
    /// What the server knows a room by: derived from the room secret (PROTOCOL §2.4).
    Topic
}
id! {
    /// A server's Ed25519 public key, with which it signs its challenges (PROTOCOL §5.1).
    ServerKey
}
id! {
    /// A one-time number of a challenge (PROTOCOL §5.1).
    Nonce
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip_and_refuse_what_is_not_one() {
        let id = DeviceId::from_bytes([7; 32]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("".parse::<DeviceId>(), Err(ParseIdError::Length(0)));
        assert_eq!("é".repeat(21).parse::<DeviceId>(), Err(ParseIdError::Length(21)));
        assert_eq!(format!("{}=", &id.to_string()[..42]).parse::<DeviceId>(), Err(ParseIdError::Alphabet));
        // The last character carries two bits that must be zero, or one id would have four spellings.
        let mut text = id.to_string();
        text.replace_range(42.., "d");
        assert_eq!(text.parse::<DeviceId>(), Err(ParseIdError::Alphabet));
    }
}
