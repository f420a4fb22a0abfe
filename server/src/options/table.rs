//! The options. `docs/CONFIGURATION.md` is written from here: `cargo run -p symbolon-server -- config --markdown`.

use std::path::PathBuf;
use std::time::Duration;

use symbolon_core::origin::Origin;
use symbolon_core::rendezvous::Rate;
use symbolon_core::signal::{IceServer, MAX_CLIENTS_PER_ROOM, MAX_MESSAGE};

use super::value::{Form, LogFormat, Value};
use super::{Opt, Section};
use crate::cluster::NatsUrl;
use crate::cluster::config::is_name;
use crate::key::KeySource;
use crate::proxy::ClientAddress;

/// Every section, in the order in which they are documented.
pub const SECTIONS: &[&Section] = &[&GENERAL, &TLS, &PROXY, &LIMITS, &super::turn::TURN, &CLUSTER, &ADMIN];

/// An option whose value is one field: key in the file, flag, type, field, help.
macro_rules! field {
    ($key:literal, $flag:literal, $type:ty, $first:ident $(. $more:ident)*, $help:literal) => {
        $crate::options::Opt {
            key: $key,
            flag: $flag,
            inverted: false,
            form: <$type as $crate::options::value::Value>::FORM,
            placeholder: <$type as $crate::options::value::Value>::PLACEHOLDER,
            example: "",
            default: None,
            help: $help,
            reloads: false,
            secret: false,
            read: |settings, texts| {
                settings.$first$(.$more)* = <$type as $crate::options::value::Value>::read(texts)?;
                Ok(())
            },
            show: |settings| $crate::options::value::Value::show(&settings.$first$(.$more)*),
        }
    };
}
#[allow(unused_imports)]
pub(crate) use field;

impl Opt {
    /// Can be changed in a running server.
    pub const fn reloads(self) -> Self {
        Self { reloads: true, ..self }
    }

    /// Is never shown.
    pub const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    /// Is this in the example file, where the default is nothing.
    pub const fn example(self, example: &'static str) -> Self {
        Self { example, ..self }
    }

    /// Has a default that only words can tell.
    pub const fn default(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    const fn inverted(self) -> Self {
        Self { inverted: true, ..self }
    }

    const fn bytes(self) -> Self {
        Self { placeholder: "BYTES", ..self }
    }
}

static GENERAL: Section = Section {
    name: "",
    title: "General",
    about: "These stand at the top of the file, before the first section.",
    options: &[
        field!(
            "listen",
            "listen",
            std::net::SocketAddr,
            config.listen,
            "Address and port to listen on; port 0 lets the system choose."
        ),
        field!(
            "origins",
            "origin",
            Vec<Origin>,
            config.origins,
            "The addresses that clients dial, such as wss://rooms.example.org."
        )
        .example(r#"["wss://rooms.example.org"]"#)
        .default("ws:// and the address listened on")
        .reloads(),
        field!(
            "key_file",
            "key-file",
            KeySource,
            config.key,
            "File with the server's key, made if missing; `none` for a new key at every start."
        )
        .default("symbolon-server/key in $XDG_STATE_HOME or ~/.local/state")
        .example(r#""/var/lib/symbolon/key""#),
        Opt {
            read: |settings, texts| {
                let urls: Vec<String> = Vec::read(texts)?;
                let known = ["stun:", "stuns:", "turn:", "turns:"];
                if let Some(odd) = urls.iter().find(|url| !known.iter().any(|known| url.starts_with(known))) {
                    return Err(format!("{odd:?} is no STUN or TURN server; write stun:stun.example.org:3478"));
                }
                let server =
                    |url| IceServer { urls: vec![url], username: String::new(), credential: String::new() };
                settings.config.ice_servers = urls.into_iter().map(server).collect();
                Ok(())
            },
            show: |settings| settings.config.ice_servers.iter().flat_map(|server| server.urls.clone()).collect(),
            form: Form::List,
            placeholder: "URL",
            ..field!(
                "ice_servers",
                "ice-server",
                String,
                log,
                "STUN or TURN servers that clients are told to use, such as stun:stun.example.org:3478."
            )
        }
        .example(r#"["stun:stun.example.org:3478"]"#),
        field!("page", "no-page", bool, config.page, "Whether the page is served at `/`; else a line of text.")
            .inverted(),
        field!(
            "threads",
            "threads",
            usize,
            threads,
            "Threads that serve clients; 0 for one to each processor."
        ),
        Opt {
            read: |settings, texts| {
                let none = texts.iter().any(|text| text == "0s" || text == "0");
                settings.drain = if none { Duration::ZERO } else { Duration::read(texts)? };
                Ok(())
            },
            ..field!(
                "drain",
                "drain",
                Duration,
                drain,
                "Time that clients have to go elsewhere after SIGTERM; 0s to stop at once."
            )
        }
        .reloads(),
        Opt {
            read: |settings, texts| {
                let text = String::read(texts)?;
                text.parse::<tracing_subscriber::EnvFilter>().map_err(|error| error.to_string())?;
                settings.log = text;
                Ok(())
            },
            placeholder: "FILTER",
            ..field!(
                "log",
                "log",
                String,
                log,
                "What to log on stderr: error, warn, info, debug, trace, or a filter such as `symbolon_server=debug`."
            )
        }
        .reloads(),
        field!(
            "log_format",
            "log-format",
            LogFormat,
            log_format,
            "How to log: `text` for people, `json` for programs, one object a line."
        ),
    ],
};

static TLS: Section = Section {
    name: "tls",
    title: "TLS",
    about: "With a certificate the server speaks TLS (1.3) itself, and its own addresses are wss://. The files are \
            watched: a new certificate is shown to whoever connects from then on, and nobody is disconnected. One that \
            cannot be used changes nothing, and the log says so.",
    options: &[
        field!(
            "certificate",
            "tls-certificate",
            Option<PathBuf>,
            config.tls.certificate,
            "File with the certificate in PEM, followed by those that lead to its authority (fullchain.pem)."
        )
        .example(r#""/etc/symbolon/fullchain.pem""#)
        .reloads(),
        field!(
            "key",
            "tls-key",
            Option<PathBuf>,
            config.tls.key,
            "File with its private key in PEM (privkey.pem)."
        )
        .example(r#""/etc/symbolon/privkey.pem""#)
        .reloads(),
    ],
};

static PROXY: Section = Section {
    name: "proxy",
    title: "Behind a proxy",
    about: "Limits and waits count by the client's address. From whoever is not listed here, what a request says of \
            addresses is ignored.",
    options: &[
        field!(
            "trusted",
            "trusted-proxies",
            Vec<ipnet::IpNet>,
            config.proxies.trusted,
            "Networks of proxies that may say for whom they speak."
        )
        .example(r#"["127.0.0.1", "10.0.0.0/8"]"#)
        .reloads(),
        field!(
            "client_address",
            "client-address",
            ClientAddress,
            config.proxies.told_by,
            "How they say it: x-forwarded-for, forwarded (RFC 7239), or proxy-protocol (version 1 or 2; then each of \
             their connections begins with it)."
        )
        .reloads(),
    ],
};

static LIMITS: Section = Section {
    name: "limits",
    title: "Limits",
    about: "What one client, one room, one address and all together may use (PROTOCOL.md §5.7), and how long silence \
            may last (§5.8).",
    options: &[
        Opt {
            read: |settings, texts| {
                settings.config.limits.message = at_most(texts, MAX_MESSAGE)?;
                Ok(())
            },
            ..field!(
                "message_bytes",
                "message-bytes",
                usize,
                config.limits.message,
                "Largest message, in bytes; at most 98304."
            )
        }
        .bytes()
        .reloads(),
        field!(
            "rooms_per_client",
            "rooms-per-client",
            usize,
            config.limits.rooms,
            "Rooms one client may be in."
        )
        .reloads(),
        Opt {
            read: |settings, texts| {
                settings.config.limits.clients_per_room = at_most(texts, MAX_CLIENTS_PER_ROOM)?;
                Ok(())
            },
            ..field!(
                "clients_per_room",
                "clients-per-room",
                usize,
                config.limits.clients_per_room,
                "Clients one room may hold; at most 256."
            )
        },
        field!("connections", "connections", usize, config.connections, "Connections in total.").reloads(),
        field!(
            "connections_per_address",
            "connections-per-address",
            usize,
            config.connections_per_address,
            "Connections from one IPv4 address or one IPv6 /64."
        )
        .reloads(),
        field!("rooms", "rooms", usize, config.rooms, "Rooms in total."),
        Opt {
            read: |settings, texts| {
                let per_second = u64::read(texts)?;
                settings.config.connection_rate = Rate { per_second, burst: per_second.saturating_mul(16) };
                Ok(())
            },
            ..field!(
                "connection_rate",
                "connection-rate",
                u64,
                config.connection_rate.per_second,
                "Connections a second from one address; sixteen times as many at once."
            )
        },
        Opt {
            read: |settings, texts| {
                let per_second = u64::read(texts)?;
                settings.config.enters = Rate { per_second, burst: per_second.saturating_mul(16) };
                Ok(())
            },
            ..field!(
                "enter_rate",
                "enter-rate",
                u64,
                config.enters.per_second,
                "Times a second that one client may enter rooms or announce itself; sixteen times as many at once."
            )
        },
        Opt {
            read: |settings, texts| {
                let per_second = u64::read(texts)?;
                settings.config.room_enters = Rate { per_second, burst: per_second.saturating_mul(32) };
                Ok(())
            },
            ..field!(
                "room_rate",
                "room-rate",
                u64,
                config.room_enters.per_second,
                "Times a second that clients may enter one room or announce themselves in it; thirty-two times as many at once."
            )
        },
        Opt {
            read: |settings, texts| {
                let per_second = u64::read(texts)?;
                settings.config.notices = Rate { per_second, burst: per_second.saturating_mul(20) };
                Ok(())
            },
            ..field!(
                "notice_rate",
                "notice-rate",
                u64,
                config.notices.per_second,
                "Clients a second that are told of what clients of one address enter; twenty times as many at once."
            )
        },
        Opt {
            read: |settings, texts| {
                let per_second = u64::read(texts)?;
                settings.config.messages = Rate { per_second, burst: per_second.saturating_mul(10) };
                Ok(())
            },
            ..field!(
                "message_rate",
                "message-rate",
                u64,
                config.messages.per_second,
                "Messages a second from one client; ten times as many at once."
            )
        }
        .reloads(),
        Opt {
            read: |settings, texts| {
                let per_second = u64::read(texts)?;
                settings.config.bytes = Rate { per_second, burst: per_second.saturating_mul(8) };
                Ok(())
            },
            ..field!(
                "byte_rate",
                "byte-rate",
                u64,
                config.bytes.per_second,
                "Bytes a second from one client; eight times as many at once."
            )
        }
        .bytes()
        .reloads(),
        field!(
            "outbox_bytes",
            "outbox-bytes",
            usize,
            config.outbox_bytes,
            "Bytes that may wait for one client before it is closed as one that does not read."
        )
        .bytes(),
        field!(
            "buffer_bytes",
            "buffer-bytes",
            usize,
            config.buffer_bytes,
            "Bytes held for all clients together: what they have not read, and what they have begun to send."
        )
        .bytes(),
        field!(
            "ping_interval",
            "ping-interval",
            Duration,
            config.ping_every,
            "Silence after which a client is pinged: 25s, 500ms, 2m."
        )
        .reloads(),
        field!(
            "dead_after",
            "dead-after",
            Duration,
            config.dead_after,
            "Silence after which a client counts as dead."
        )
        .reloads(),
        field!(
            "idle_after",
            "idle-after",
            Duration,
            config.idle_after,
            "Time in no room after which a client is closed."
        )
        .reloads(),
        field!(
            "bans",
            "no-bans",
            bool,
            config.bans,
            "Whether the addresses of clients that break the protocol wait; false for tests and benchmarks."
        )
        .inverted(),
    ],
};

static ADMIN: Section = Section {
    name: "admin",
    title: "The operator's own listener",
    about: "Metrics for Prometheus at /metrics, /healthz, /readyz, and at / a page of what goes on. It shows addresses \
            of clients and asks for no password: keep it to this machine or to a network of yours.",
    options: &[field!(
        "listen",
        "admin-listen",
        Option<std::net::SocketAddr>,
        config.admin,
        "Address and port to listen on; no such listener if it is not set."
    )
    .example(r#""127.0.0.1:7601""#)],
};

static CLUSTER: Section = Section {
    name: "cluster",
    title: "Several servers as one",
    about: "Servers with the same key, the same origins and the same bus act as one: clients of a room on different \
            servers meet. The bus is NATS, without any of its additions. Without an address nothing of this is needed.",
    options: &[
        field!(
            "nats",
            "nats",
            Vec<NatsUrl>,
            config.cluster.nats,
            "NATS servers, of which one is used at a time: nats://HOST:4222 or tls://HOST:4222, with USER:PASSWORD@ or TOKEN@ before the host if need be, the same for all. With one tls://, or one of the certificates below, nothing is said without TLS."
        )
        .secret()
        .example(r#"["nats://127.0.0.1:4222"]"#),
        Opt {
            read: |settings, texts| {
                let name = String::read(texts)?;
                if !is_name(&name) {
                    return Err(format!("{name:?} is no name here; use up to 64 letters, digits, - and _"));
                }
                settings.config.cluster.name = name;
                Ok(())
            },
            ..field!(
                "name",
                "cluster-name",
                String,
                config.cluster.name,
                "The first part of every NATS subject; servers of one cluster have the same."
            )
        },
        field!(
            "nats_credentials",
            "nats-credentials",
            Option<PathBuf>,
            config.cluster.credentials,
            "A NATS credentials file (`.creds`), with a JWT and a seed."
        )
        .example(r#""/etc/symbolon/nats.creds""#),
        field!(
            "nats_ca",
            "nats-ca",
            Option<PathBuf>,
            config.cluster.ca,
            "Certificates (PEM) by which the NATS server is known, in place of the system's."
        )
        .example(r#""/etc/symbolon/nats-ca.pem""#),
        field!(
            "nats_certificate",
            "nats-certificate",
            Option<PathBuf>,
            config.cluster.certificate,
            "The certificate (PEM) shown to the NATS server."
        )
        .example(r#""/etc/symbolon/nats.pem""#),
        field!(
            "nats_certificate_key",
            "nats-certificate-key",
            Option<PathBuf>,
            config.cluster.certificate_key,
            "Its key (PEM)."
        )
        .example(r#""/etc/symbolon/nats-key.pem""#),
    ],
};

fn at_most(texts: &[String], most: usize) -> Result<usize, String> {
    match usize::read(texts)? {
        0 => Err("at least 1".to_owned()),
        number if number > most => Err(format!("{number} is more than the protocol allows, {most}")),
        number => Ok(number),
    }
}
