//! Who is behind a proxy, as told by proxies that the operator has listed and by nobody else.

use std::io;
use std::net::{IpAddr, SocketAddr};

use hyper::HeaderMap;
use ipnet::IpNet;
use ppp::{HeaderResult, v1, v2};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

/// A header of version 2 with room for what load balancers add; one of version 1 has at most 107 bytes.
const LONGEST: usize = 1024;

/// How the listed proxies say for whom they speak. Only one way is believed: what a proxy does not write itself it passes
/// on from whoever wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientAddress {
    /// `X-Forwarded-For`, the last address in it that is not a listed proxy.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239), likewise.
    Forwarded,
    /// The PROXY protocol, version 1 or 2, before anything else.
    ProxyProtocol,
}

/// The proxies and how they speak.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// Networks whose word is believed.
    pub trusted: Vec<IpNet>,
    /// How they tell.
    pub told_by: ClientAddress,
}

impl Proxies {
    /// Whether this address may speak for others.
    pub(crate) fn trust(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted.iter().any(|network| network.contains(&address))
    }

    /// Whether a connection from there begins with a PROXY header.
    pub(crate) fn announces(&self, address: IpAddr) -> bool {
        self.told_by == ClientAddress::ProxyProtocol && self.trust(address)
    }

    /// The client of a request that came from `address`.
    pub(crate) fn client(&self, address: IpAddr, headers: &HeaderMap) -> IpAddr {
        if !self.trust(address) {
            return address;
        }
        let (name, read): (_, fn(&str) -> Option<IpAddr>) = match self.told_by {
            ClientAddress::ProxyProtocol => return address,
            ClientAddress::XForwardedFor => ("x-forwarded-for", host),
            ClientAddress::Forwarded => ("forwarded", forwarded_for),
        };
        let lines: Vec<&str> =
            headers.get_all(name).iter().map(|line| line.to_str().unwrap_or("?")).collect();
        let mut client = address;
        // Each proxy adds whom it heard, at the end. What stands before the word of one not listed is hearsay.
        for said in lines.iter().flat_map(|line| line.split(',')).rev() {
            match read(said.trim()) {
                Some(said) => client = said,
                None => break,
            }
            if !self.trust(client) {
                break;
            }
        }
        client
    }
}

/// One element of `Forwarded`.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| host(value.trim().trim_matches('"')))?
    })
}

/// An address with or without a port.
fn host(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| text.parse().ok().map(|socket: SocketAddr| socket.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

/// Reads a PROXY header and not a byte more; the client's address, or nothing if the proxy speaks for itself.
pub(crate) async fn announced(stream: &mut TcpStream) -> io::Result<Option<IpAddr>> {
    let mut header = Vec::with_capacity(128);
    loop {
        let wanted = match wanted(&header) {
            0 => break,
            more if header.len() + more > LONGEST => return Err(malformed()),
            more => more,
        };
        let begin = header.len();
        header.resize(begin + wanted, 0);
        stream.read_exact(&mut header[begin..]).await?;
    }
    match HeaderResult::parse(&header) {
        HeaderResult::V1(Ok(header)) => Ok(match header.addresses {
            v1::Addresses::Tcp4(addresses) => Some(addresses.source_address.into()),
            v1::Addresses::Tcp6(addresses) => Some(addresses.source_address.into()),
            v1::Addresses::Unknown => None,
        }),
        HeaderResult::V2(Ok(header)) if header.command == v2::Command::Local => Ok(None),
        HeaderResult::V2(Ok(header)) => Ok(match header.addresses {
            v2::Addresses::IPv4(addresses) => Some(addresses.source_address.into()),
            v2::Addresses::IPv6(addresses) => Some(addresses.source_address.into()),
            v2::Addresses::Unspecified | v2::Addresses::Unix(_) => None,
        }),
        _ => Err(malformed()),
    }
}

/// How many more bytes surely belong to the header; none if it is complete, or none at all.
fn wanted(header: &[u8]) -> usize {
    /// Signature, command, family, length; a header of version 1 has nearly as many.
    const LEAST: usize = 15;
    const LONGEST_TEXT: usize = 107;
    if header.len() < LEAST {
        return LEAST - header.len();
    }
    if header.starts_with(v2::PROTOCOL_PREFIX) {
        let Some(&[_, _, high, low]) = header.get(12..16) else { return 16 - header.len() };
        return (16 + usize::from(u16::from_be_bytes([high, low]))).saturating_sub(header.len());
    }
    let text = header.starts_with(v1::PROTOCOL_PREFIX.as_bytes());
    usize::from(text && !header.ends_with(b"\n") && header.len() < LONGEST_TEXT)
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no PROXY header")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(told_by: ClientAddress) -> Proxies {
        Proxies { trusted: vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()], told_by }
    }

    fn client(told_by: ClientAddress, from: &str, headers: &[(&'static str, &str)]) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        proxies(told_by).client(from.parse().unwrap(), &map).to_string()
    }

    #[test]
    fn rv6_a_proxy_is_believed_for_its_own_word_only() {
        use ClientAddress::{Forwarded, XForwardedFor};
        let name = "x-forwarded-for";
        for (told_by, from, headers, expected) in [
            (XForwardedFor, "10.0.0.1", &[(name, "192.0.2.7")][..], "192.0.2.7"),
            // Somebody on the way made up what stands before the last word.
            (XForwardedFor, "10.0.0.1", &[(name, "203.0.113.9, 192.0.2.7")], "192.0.2.7"),
            (XForwardedFor, "10.0.0.1", &[(name, "203.0.113.9"), (name, "192.0.2.7, 10.0.0.2")], "192.0.2.7"),
            (XForwardedFor, "10.0.0.1", &[(name, "10.0.0.3, 10.0.0.2")], "10.0.0.3"),
            (XForwardedFor, "10.0.0.1", &[(name, "192.0.2.7, nonsense")], "10.0.0.1"),
            (XForwardedFor, "10.0.0.1", &[(name, "[2001:db8::1]:443")], "2001:db8::1"),
            (XForwardedFor, "10.0.0.1", &[(name, "192.0.2.7:1234")], "192.0.2.7"),
            (XForwardedFor, "10.0.0.1", &[("forwarded", "for=192.0.2.7")], "10.0.0.1"),
            (XForwardedFor, "10.0.0.1", &[], "10.0.0.1"),
            (XForwardedFor, "192.0.2.1", &[(name, "203.0.113.9")], "192.0.2.1"),
            (XForwardedFor, "::ffff:10.0.0.1", &[(name, "192.0.2.7")], "192.0.2.7"),
            (
                Forwarded,
                "fd00::1",
                &[("forwarded", "for=1.1.1.1, proto=https;For=\"[2001:db8::1]:4711\"")],
                "2001:db8::1",
            ),
            (Forwarded, "10.0.0.1", &[("forwarded", "for=_hidden")], "10.0.0.1"),
            (Forwarded, "10.0.0.1", &[(name, "192.0.2.7")], "10.0.0.1"),
        ] {
            assert_eq!(client(told_by, from, headers), expected, "{told_by:?} {from} {headers:?}");
        }
    }

    #[test]
    fn rv6_a_proxy_header_is_read_to_its_last_byte() {
        let text = b"PROXY TCP4 192.0.2.1 127.0.0.1 4711 80\r\n".as_slice();
        let unknown = b"PROXY UNKNOWN\r\n".as_slice();
        let binary = &[v2::PROTOCOL_PREFIX, &[0x21, 0x11, 0, 12][..], &[1; 12][..]].concat();
        for header in [text, unknown, binary] {
            let mut at = 0;
            loop {
                let more = wanted(&header[..at]);
                if more == 0 {
                    break;
                }
                at += more;
                assert!(at <= header.len(), "nothing after the header is read");
            }
            assert_eq!(at, header.len());
        }
        for garbage in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"PROXY\n\n\n\n\n\n\n\n\n\n\n\n",
            &[0x16; 20],
            "PROXY ".repeat(30).as_bytes(),
        ] {
            assert_eq!(wanted(garbage), 0);
        }
    }
}
