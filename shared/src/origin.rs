//! A server's address as clients dial it: `ws://host:port` or `wss://host` (PROTOCOL §5.1).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::cbor::{Decode, Encode, Malformed, Reader, Writer};

/// The path at which a server speaks the protocol.
pub const PATH: &str = "/ws";

/// The longest origin, in bytes.
const MAX_LENGTH: usize = 280;

/// Why a text is not a server's address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// No `ws://`, `wss://`, `http://` or `https://` in front.
    #[error(
        "a server's address starts with wss:// or ws:// (https:// and http:// mean the same), such as wss://rooms.example.org"
    )]
    Scheme,
    /// The host is missing or has characters no host has.
    #[error("the host in a server's address is a name or an IP address")]
    Host,
    /// The port is not a number up to 65535.
    #[error("the port in a server's address is a number from 1 to 65535")]
    Port,
    /// There is more than an address.
    #[error("a server's address has no path, query, fragment or password")]
    More,
}

/// Scheme, host and port of a server; two spellings of one address are equal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    secure: bool,
    /// Lower case; an IPv6 address in its brackets.
    host: String,
    port: u16,
}

impl Origin {
    /// Whether it is dialled with TLS.
    pub fn secure(&self) -> bool {
        self.secure
    }

    /// Host without brackets.
    pub fn host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// Port, also when it is the scheme's own.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Host, and port if it is not the scheme's own.
    fn authority(&self) -> String {
        let own_port = if self.secure { 443 } else { 80 };
        if self.port == own_port { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }

    /// The URL of the WebSocket.
    pub fn socket_url(&self) -> String {
        format!("{self}{PATH}")
    }

    /// The URL of the page that the same server may serve.
    pub fn page_url(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{}/", self.authority())
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let (scheme, rest) = text.split_once(':').ok_or(OriginError::Scheme)?;
        let rest = rest.strip_prefix("//").ok_or(OriginError::Scheme)?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "ws" | "http" => false,
            "wss" | "https" => true,
            _ => return Err(OriginError::Scheme),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#', '@', '\\']) {
            return Err(OriginError::More);
        }
        if rest.len() > MAX_LENGTH {
            return Err(OriginError::Host);
        }
        let (host, port) = split_port(rest)?;
        let port = match port {
            None if secure => 443,
            None => 80,
            Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or(OriginError::Port)?,
        };
        Ok(Self { secure, host: host.to_ascii_lowercase(), port })
    }
}

fn split_port(rest: &str) -> Result<(&str, Option<&str>), OriginError> {
    if let Some(inner) = rest.strip_prefix('[') {
        let (address, after) = inner.split_once(']').ok_or(OriginError::Host)?;
        address.parse::<std::net::Ipv6Addr>().map_err(|_| OriginError::Host)?;
        let host = rest.get(..address.len() + 2).ok_or(OriginError::Host)?;
        return match after {
            "" => Ok((host, None)),
            _ => Ok((host, Some(after.strip_prefix(':').ok_or(OriginError::Host)?))),
        };
    }
    let (host, port) = match rest.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (rest, None),
    };
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if host.is_empty() || !host.chars().all(fits) {
        return Err(OriginError::Host);
    }
    Ok((host, port))
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "wss" } else { "ws" };
        write!(f, "{scheme}://{}", self.authority())
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Encode for Origin {
    fn encode(&self, writer: &mut Writer) {
        writer.text(&self.to_string());
    }
}

impl Decode<'_> for Origin {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        reader.text()?.parse().map_err(|_| Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_address_are_equal() {
        let origin = |text: &str| text.parse::<Origin>();
        assert_eq!(origin("https://Rooms.Example.org/"), origin("wss://rooms.example.org:443"));
        assert_eq!(origin("ws://127.0.0.1:7600").unwrap().to_string(), "ws://127.0.0.1:7600");
        assert_eq!(origin("ws://[::1]:7600").unwrap().host(), "::1");
        assert_eq!(origin("ws://[::1]:7600").unwrap().page_url(), "http://[::1]:7600/");
        assert_eq!(origin("wss://a").unwrap().socket_url(), "wss://a/ws");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let refused = |text: &str| text.parse::<Origin>().unwrap_err();
        assert_eq!(refused("rooms.example.org"), OriginError::Scheme);
        assert_eq!(refused("ftp://a"), OriginError::Scheme);
        assert_eq!(refused("ws://"), OriginError::Host);
        assert_eq!(refused("ws://a b"), OriginError::Host);
        assert_eq!(refused("ws://[::1"), OriginError::Host);
        assert_eq!(refused("ws://a:0"), OriginError::Port);
        assert_eq!(refused("ws://a:99999"), OriginError::Port);
        assert_eq!(refused("ws://user@a"), OriginError::More);
        assert_eq!(refused("ws://a/room#secret"), OriginError::More);
    }
}
