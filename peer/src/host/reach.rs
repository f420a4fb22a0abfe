//! By which addresses a hosted server is dialled, and by whom it can be.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use symbolon_core::origin::Origin;

/// Addresses of interfaces that are signed; more would be a machine that routes for others.
const INTERFACES: usize = 16;

/// Names that lead nowhere outside a network.
const LOCAL_NAMES: [&str; 6] = [".local", ".lan", ".home", ".internal", ".home.arpa", ".localdomain"];

/// Who can reach a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Audience {
    /// Programs on this machine.
    Machine,
    /// Devices in the same network.
    Network,
    /// Whoever is let through on the way here.
    Everybody,
}

impl Audience {
    /// A short name for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Machine => "machine",
            Self::Network => "network",
            Self::Everybody => "everybody",
        }
    }

    /// Who can follow the best of these addresses.
    pub(super) fn of(servers: &[Origin]) -> Self {
        servers.iter().map(|server| Self::of_host(server.host())).max().unwrap_or(Self::Machine)
    }

    fn of_host(host: &str) -> Self {
        match host.parse() {
            Ok(ip) => Self::of_ip(ip),
            Err(_) if host == "localhost" || host.ends_with(".localhost") => Self::Machine,
            Err(_) if !host.contains('.') || LOCAL_NAMES.iter().any(|end| host.ends_with(end)) => {
                Self::Network
            }
            Err(_) => Self::Everybody,
        }
    }

    fn of_ip(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            ip if ip.is_loopback() || ip.is_unspecified() => Self::Machine,
            IpAddr::V4(ip) if ip.is_private() || ip.is_link_local() || is_shared(ip) => Self::Network,
            IpAddr::V6(ip) if ip.is_unique_local() || ip.is_unicast_link_local() => Self::Network,
            _ => Self::Everybody,
        }
    }
}

/// 100.64.0.0/10: behind a provider's NAT, or within a private network laid over others (RFC 6598).
fn is_shared(ip: Ipv4Addr) -> bool {
    let [a, b, ..] = ip.octets();
    a == 100 && b & 0xc0 == 64
}

/// What this machine has.
#[derive(Debug, Clone, Default)]
pub(super) struct Interfaces {
    /// Addresses of interfaces, loopback and link-local ones left out.
    pub(super) all: Vec<IpAddr>,
    /// Those from which it talks to other networks.
    pub(super) outward: Vec<IpAddr>,
}

/// Looks at this machine's interfaces.
pub(super) fn interfaces() -> Interfaces {
    let mut all: Vec<IpAddr> = if_addrs::get_if_addrs()
        .unwrap_or_default()
        .iter()
        .filter(|interface| !interface.is_loopback() && !interface.is_link_local())
        .map(if_addrs::Interface::ip)
        .collect();
    all.sort_unstable();
    all.dedup();
    Interfaces { all, outward: outward() }
}

/// Asks the routing table: nothing is sent to these addresses, which are for documentation (RFC 5737, RFC 3849).
fn outward() -> Vec<IpAddr> {
    let routes: [(SocketAddr, SocketAddr); 2] = [
        ((Ipv4Addr::UNSPECIFIED, 0).into(), (Ipv4Addr::new(192, 0, 2, 1), 9).into()),
        ((Ipv6Addr::UNSPECIFIED, 0).into(), (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 9).into()),
    ];
    let source = |(own, far): &(SocketAddr, SocketAddr)| {
        let socket = UdpSocket::bind(own)?;
        socket.connect(far)?;
        socket.local_addr()
    };
    routes.iter().filter_map(|route| source(route).ok()).map(|address| address.ip()).collect()
}

/// A server's addresses.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Addresses {
    /// Those that tickets name.
    pub(super) named: Vec<Origin>,
    /// Those that the server answers for; the named ones first.
    pub(super) signed: Vec<Origin>,
}

impl Addresses {
    /// For a server that listens there. What the user names is signed with this machine's own loopback addresses,
    /// which tell nobody anything; otherwise with all it has, so that the page works at each of them.
    pub(super) fn new(listen: SocketAddr, given: &[Origin], interfaces: &Interfaces) -> Self {
        let ip = listen.ip();
        let fits = |address: &IpAddr| ip.is_ipv6() || address.is_ipv4();
        let (named, more) = if ip.is_unspecified() {
            let all: Vec<IpAddr> = interfaces.all.iter().copied().filter(fits).take(INTERFACES).collect();
            let outward = interfaces.outward.iter().copied().find(|address| all.contains(address));
            let best = outward.or_else(|| all.first().copied()).unwrap_or(Ipv4Addr::LOCALHOST.into());
            (best, all)
        } else {
            (ip, Vec::new())
        };
        let origin = |ip: IpAddr| format!("ws://{}", SocketAddr::new(ip, listen.port())).parse().ok();
        let mut named: Vec<Origin> = origin(named).into_iter().collect();
        let mut signed: Vec<Origin> = more.into_iter().filter_map(origin).collect();
        if !given.is_empty() {
            named = given.to_vec();
            signed.clear();
        }
        if ip.is_unspecified() || ip.is_loopback() {
            signed.extend(origin(if ip.is_ipv6() && ip.is_loopback() {
                ip
            } else {
                Ipv4Addr::LOCALHOST.into()
            }));
            signed.extend(format!("ws://localhost:{}", listen.port()).parse::<Origin>().ok());
        }
        signed.retain(|origin| !named.contains(origin));
        Self { signed: [named.clone(), signed].concat(), named }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(listen: &str, given: &[&str], all: &[&str], outward: &[&str]) -> (String, String) {
        let ips = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let given: Vec<Origin> = given.iter().map(|text| text.parse().unwrap()).collect();
        let interfaces = Interfaces { all: ips(all), outward: ips(outward) };
        let Addresses { named, signed } = Addresses::new(listen.parse().unwrap(), &given, &interfaces);
        let text = |origins: &[Origin]| {
            origins.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ").replace("ws://", "")
        };
        (text(&named), text(&signed))
    }

    #[test]
    fn rv16_tickets_name_the_address_that_leads_out() {
        let all = ["10.0.0.5", "172.17.0.1", "192.168.1.5", "fd00::5"];
        for (listen, given, outward, named, signed) in [
            (
                "0.0.0.0:7600",
                &[][..],
                &["192.168.1.5"][..],
                "192.168.1.5:7600",
                "192.168.1.5:7600 10.0.0.5:7600 172.17.0.1:7600 127.0.0.1:7600 localhost:7600",
            ),
            (
                "[::]:7600",
                &[],
                &["fd00::5"],
                "[fd00::5]:7600",
                "[fd00::5]:7600 10.0.0.5:7600 172.17.0.1:7600 192.168.1.5:7600 127.0.0.1:7600 localhost:7600",
            ),
            ("192.168.1.5:7600", &[], &["10.0.0.5"], "192.168.1.5:7600", "192.168.1.5:7600"),
            ("127.0.0.1:7600", &[], &["10.0.0.5"], "127.0.0.1:7600", "127.0.0.1:7600 localhost:7600"),
            ("[::1]:7600", &[], &["10.0.0.5"], "[::1]:7600", "[::1]:7600 localhost:7600"),
            (
                "0.0.0.0:7600",
                &["wss://rooms.example.org"],
                &["10.0.0.5"],
                "wss://rooms.example.org",
                "wss://rooms.example.org 127.0.0.1:7600 localhost:7600",
            ),
        ] {
            let expected = (named.to_owned(), signed.to_owned());
            assert_eq!(addresses(listen, given, &all, outward), expected, "{listen} {given:?}");
        }
        // A route through an address that no interface has is no help; nor is a machine without a network.
        assert_eq!(addresses("0.0.0.0:1", &[], &["10.0.0.5"], &["10.9.9.9"]).0, "10.0.0.5:1");
        assert_eq!(addresses("0.0.0.0:1", &[], &[], &[]).0, "127.0.0.1:1");
    }

    #[test]
    fn rv16_who_can_reach_a_server_is_told_by_its_address() {
        for (host, audience) in [
            ("127.0.0.1", Audience::Machine),
            ("[::1]", Audience::Machine),
            ("localhost", Audience::Machine),
            ("192.168.1.5", Audience::Network),
            ("10.1.2.3", Audience::Network),
            ("100.100.1.1", Audience::Network),
            ("169.254.1.1", Audience::Network),
            ("[fd00::1]", Audience::Network),
            ("[fe80::1]", Audience::Network),
            ("laptop", Audience::Network),
            ("laptop.local", Audience::Network),
            ("100.128.0.1", Audience::Everybody),
            ("8.8.8.8", Audience::Everybody),
            ("[2001:4860::1]", Audience::Everybody),
            ("rooms.example.org", Audience::Everybody),
        ] {
            let origin: Origin = format!("ws://{host}:7600").parse().unwrap();
            assert_eq!(Audience::of(&[origin]), audience, "{host}");
        }
        let both = ["ws://127.0.0.1:1", "wss://a.example"].map(|text| text.parse().unwrap());
        assert_eq!(Audience::of(&both), Audience::Everybody);
    }
}
