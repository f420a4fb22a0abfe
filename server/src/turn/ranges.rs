//! Where relayed data may go.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;

/// Addresses that begin alike: `10.0.0.0/8`, or a single one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(IpNet);

/// A text that is no network.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no network; write it as 10.0.0.0/8, fd00::/8 or 10.1.2.3")]
pub struct NotANetwork(String);

impl Network {
    /// Whether this address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network.map(Self).map_err(|_| NotANetwork(text.to_owned()))
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Which addresses a relay may send to and hear from.
#[derive(Debug, Clone, Default)]
pub(super) struct Ranges {
    /// Allowed in spite of what they are.
    pub(super) allow: Vec<Network>,
    /// This machine's own, whose services trust it.
    pub(super) own: Vec<IpAddr>,
}

impl Ranges {
    pub(super) fn permit(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        if self.allow.iter().any(|network| network.contains(address)) {
            return true;
        }
        !self.own.contains(&address)
            && match address {
                IpAddr::V4(address) => is_public(address),
                IpAddr::V6(address) => is_public_v6(address),
            }
    }
}

/// What is not: this network, private, shared (CGNAT), loopback, link-local, protocol assignments, benchmarks,
/// multicast, reserved and broadcast (RFC 6890).
fn is_public(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || a == 0
        || (a == 100 && b & 0xc0 == 64)
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && b & 0xfe == 18)
        || a >= 224)
}

/// Global unicast, and if the address carries one of IPv4 (NAT64, 6to4), that one as well. No Teredo: it carries two.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let s = address.segments();
    let carried =
        |high: u16, low: u16| is_public(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match s {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => carried(high, low),
        [0x2001, 0, ..] => false,
        _ => s[0] & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rv7_nothing_is_relayed_into_ranges_that_are_not_public() {
        let own: IpAddr = "8.8.4.4".parse().unwrap();
        let ranges = Ranges { allow: Vec::new(), own: vec![own] };
        for bad in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "169.254.1.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "224.0.0.251",
            "240.0.0.1",
            "255.255.255.255",
            "8.8.4.4",
            "::",
            "::1",
            "fe80::1",
            "fd00::1",
            "fc00::1",
            "fec0::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:8.8.4.4",
            "::10.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::808:808",
            "2002:0a00:1::1",
            "2002:7f00:1::",
            "2001:0:1::1",
        ] {
            assert!(!ranges.permit(bad.parse().unwrap()), "{bad}");
        }
        for good in [
            "8.8.8.8",
            "203.0.113.9",
            "100.63.0.1",
            "100.128.0.1",
            "172.32.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "2606:4700::1",
            "64:ff9b::808:808",
            "2002:808:808::1",
        ] {
            assert!(ranges.permit(good.parse().unwrap()), "{good}");
        }
    }

    #[test]
    fn rv7_an_operator_may_allow_networks() {
        let allow = ["10.1.0.0/16", "::1", "fd00::/8"].map(|text| text.parse().unwrap());
        let ranges = Ranges { allow: allow.into(), own: Vec::new() };
        for good in ["10.1.255.1", "::ffff:10.1.0.0", "::1", "fdff::1", "8.8.8.8"] {
            assert!(ranges.permit(good.parse().unwrap()), "{good}");
        }
        for bad in ["10.2.0.0", "::2", "fc00::1", "127.0.0.1"] {
            assert!(!ranges.permit(bad.parse().unwrap()), "{bad}");
        }
        for bad in ["", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "host/8"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
        assert!("0.0.0.0/0".parse::<Network>().unwrap().contains("1.2.3.4".parse().unwrap()));
    }
}
