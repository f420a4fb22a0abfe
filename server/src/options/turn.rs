//! The options of STUN and TURN.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use symbolon_core::rendezvous::Rate;

use super::table::field;
use super::value::{Form, Value};
use super::{Opt, Section};
use crate::turn::Network;

/// `[turn]`.
pub(super) static TURN: Section = Section {
    name: "turn",
    title: "STUN and TURN",
    about: "Peers that cannot reach each other directly are relayed. Without `udp`, `tcp` or `tls` there is no relay here; \
            with `external`, clients are told of one elsewhere. Credentials are made for each session either way.",
    options: &[
        field!(
            "udp",
            "turn-udp",
            Vec<SocketAddr>,
            config.turn.udp,
            "Where to listen for STUN and TURN over UDP, such as 0.0.0.0:3478."
        )
        .example(r#"["0.0.0.0:3478"]"#),
        field!(
            "tcp",
            "turn-tcp",
            Vec<SocketAddr>,
            config.turn.tcp,
            "Where to listen for TURN over TCP, for clients whose network lets no UDP out."
        )
        .example(r#"["0.0.0.0:3478"]"#),
        field!(
            "tls",
            "turn-tls",
            Vec<SocketAddr>,
            config.turn.tls,
            "Where to listen for TURN over TLS, with the server's own certificate; give `host` the name in it."
        )
        .example(r#"["0.0.0.0:5349"]"#),
        field!(
            "public",
            "turn-public",
            Vec<IpAddr>,
            config.turn.public,
            "The addresses at which this machine is reached from outside, one of IPv4 and one of IPv6."
        )
        .example(r#"["203.0.113.7"]"#)
        .default("the addresses listened on"),
        field!(
            "host",
            "turn-host",
            Option<String>,
            config.turn.host,
            "The name that clients are told to dial; needed for TLS, whose certificate it is to be in."
        )
        .example(r#""turn.example.org""#)
        .default("the first of `public`"),
        Opt {
            read: |settings, texts| {
                let text = String::read(texts)?;
                let ports = text.split_once('-').and_then(|(first, last)| {
                    Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
                });
                settings.config.turn.ports = ports
                    .filter(|ports| *ports.start() > 0 && !ports.is_empty())
                    .ok_or_else(|| format!("{text:?} is no range of ports; write 49152-65535"))?;
                Ok(())
            },
            show: |settings| {
                let ports = &settings.config.turn.ports;
                vec![format!("{}-{}", ports.start(), ports.end())]
            },
            placeholder: "PORTS",
            ..field!("ports", "turn-ports", String, log, "The ports that relays get, such as 49152-65535.")
        },
        field!("realm", "turn-realm", String, config.turn.realm, "The realm shown to clients."),
        field!(
            "secret",
            "turn-secret",
            Option<String>,
            config.turn.secret,
            "What credentials are made with; the same as the external server's `static-auth-secret`."
        )
        .default("random at every start")
        .example(r#""a long random text""#)
        .secret(),
        field!(
            "secret_file",
            "turn-secret-file",
            Option<PathBuf>,
            config.turn.secret_file,
            "A file that holds the secret; counts more than `secret`."
        )
        .example(r#""/var/lib/symbolon/turn-secret""#),
        field!(
            "credential_life",
            "turn-credential-life",
            Duration,
            config.turn.life,
            "How long credentials are good for; they are renewed while a client is signed in."
        ),
        field!(
            "allow_private",
            "turn-allow-private",
            Vec<Network>,
            config.turn.allow_private,
            "Networks into which data may be relayed although they are private, loopback or this machine's own."
        )
        .example(r#"["10.1.0.0/16"]"#),
        field!(
            "external",
            "turn-external",
            Vec<String>,
            config.turn.external,
            "A TURN server elsewhere with the same secret, such as turn:turn.example.org:3478?transport=udp."
        )
        .example(r#"["turn:turn.example.org:3478?transport=udp"]"#),
        field!(
            "allocations",
            "turn-allocations",
            usize,
            config.turn.limits.allocations,
            "Relays in all."
        ),
        field!(
            "allocations_per_session",
            "turn-allocations-per-session",
            usize,
            config.turn.limits.allocations_per_session,
            "Relays of one session."
        ),
        field!(
            "allocations_per_address",
            "turn-allocations-per-address",
            usize,
            config.turn.limits.allocations_per_address,
            "Relays of one IPv4 address or one IPv6 /64."
        ),
        field!(
            "peers",
            "turn-peers",
            usize,
            config.turn.limits.peers,
            "Addresses that one relay may exchange data with."
        ),
        Opt {
            read: |settings, texts| {
                let per_second = u64::read(texts)?;
                settings.config.turn.limits.bandwidth = Rate { per_second, burst: per_second.saturating_mul(2) };
                Ok(())
            },
            placeholder: "BYTES",
            ..field!(
                "bandwidth",
                "turn-bandwidth",
                u64,
                config.turn.limits.bandwidth.per_second,
                "Bytes a second through one relay, both ways together; twice as many at once."
            )
        },
        Opt {
            read: |settings, texts| {
                let per_second = u64::read(texts)?;
                settings.config.turn.limits.total_bandwidth = Rate { per_second, burst: per_second };
                Ok(())
            },
            placeholder: "BYTES",
            ..field!(
                "total_bandwidth",
                "turn-total-bandwidth",
                u64,
                config.turn.limits.total_bandwidth.per_second,
                "Bytes a second through all relays."
            )
        },
    ],
};

impl Value for IpAddr {
    const FORM: Form = Form::Text;
    const PLACEHOLDER: &'static str = "IP";
    fn read(texts: &[String]) -> Result<Self, String> {
        let text = String::read(texts)?;
        text.parse().map_err(|_| format!("{text:?} is no IP address"))
    }
    fn show(&self) -> Vec<String> {
        vec![self.to_string()]
    }
}

impl Value for Network {
    const FORM: Form = Form::Text;
    const PLACEHOLDER: &'static str = "NETWORK";
    fn read(texts: &[String]) -> Result<Self, String> {
        String::read(texts)?.parse().map_err(|error: crate::turn::ranges::NotANetwork| error.to_string())
    }
    fn show(&self) -> Vec<String> {
        vec![self.to_string()]
    }
}
