//! The messages as JSON: `type` first, then the members in the order of PROTOCOL §5.

use super::encoded::plain_signal;
use super::json::{Object, Value, Writer};
use super::{
    Bytes, Challenge, ClientMessage, DecodeError, Encoded, Hello, IceServer, Limits, MAX_MESSAGE,
    MAX_SERVER_MESSAGE, Present, Refusal, RefusalCode, ServerMessage, Sig, VERSIONS,
};
use crate::crypto::keys::Signature;
use crate::id::{SessionId, Topic};

impl ClientMessage {
    /// Reads one message; never more than [`MAX_MESSAGE`] bytes.
    pub fn decode(text: &str) -> Result<Self, DecodeError> {
        Self::from_object(&decode(text, MAX_MESSAGE)?)
    }

    fn from_object(object: &Object<'_>) -> Result<Self, DecodeError> {
        Ok(match object.text("type")? {
            "hello" => Self::Hello(hello(object)?),
            "enter" => {
                Self::Enter { topic: object.parsed("topic")?, announcement: bytes(object, "announcement")? }
            }
            "leave" => Self::Leave { topic: object.parsed("topic")? },
            "signal" => Self::Signal {
                topic: object.parsed("topic")?,
                to: object.parsed("to")?,
                body: bytes(object, "body")?,
            },
            _ => return Err(DecodeError::Member("type")),
        })
    }

    /// The message as JSON.
    pub fn encode(&self) -> String {
        let mut out;
        match self {
            Self::Hello(hello) => {
                out = Writer::new("hello");
                out.number("version", hello.version.into());
                out.bytes("session", hello.session.as_bytes());
                out.text("origin", &hello.origin.to_string());
                out.number("time", hello.time);
                out.bytes("sig", hello.sig.0.as_bytes());
                if let Some(token) = &hello.token {
                    out.text("token", token);
                }
            }
            Self::Enter { topic, announcement } => {
                out = Writer::new("enter");
                out.bytes("topic", topic.as_bytes());
                out.bytes("announcement", &announcement.0);
            }
            Self::Leave { topic } => {
                out = Writer::new("leave");
                out.bytes("topic", topic.as_bytes());
            }
            Self::Signal { topic, to, body } => {
                out = Writer::new("signal");
                out.bytes("topic", topic.as_bytes());
                out.bytes("to", to.as_bytes());
                out.bytes("body", &body.0);
            }
        }
        out.finish()
    }
}

/// A client's message as a server reads it: what it only passes on stays as it is.
#[derive(Debug)]
pub(crate) enum Request {
    Signal { topic: Topic, to: SessionId, body: Encoded },
    Other(ClientMessage),
}

impl Request {
    /// Reads one message; never more than [`MAX_MESSAGE`] bytes. Takes what [`ClientMessage::decode`] takes.
    pub(crate) fn decode(text: &str) -> Result<Self, DecodeError> {
        if text.len() <= MAX_MESSAGE
            && let Some((topic, to, body)) = plain_signal(text)
        {
            return Ok(Self::Signal { topic, to, body });
        }
        let object = decode(text, MAX_MESSAGE)?;
        Ok(match object.text("type")? {
            "signal" => Self::Signal {
                topic: object.parsed("topic")?,
                to: object.parsed("to")?,
                body: object.parsed("body")?,
            },
            _ => Self::Other(ClientMessage::from_object(&object)?),
        })
    }
}

impl ServerMessage {
    /// Reads one message; never more than [`MAX_SERVER_MESSAGE`] bytes.
    pub fn decode(text: &str) -> Result<Self, DecodeError> {
        let object = decode(text, MAX_SERVER_MESSAGE)?;
        Ok(match object.text("type")? {
            "challenge" => Self::Challenge(Challenge {
                versions: object.list("versions", Value::number)?,
                nonce: object.parsed("nonce")?,
                server_key: object.parsed("server_key")?,
                origins: object.list("origins", |origin| origin.text()?.parse().ok())?,
                time: object.number("time")?,
                sig: sig(&object)?,
            }),
            "welcome" => Self::Welcome {
                ice_servers: ice_servers(&object)?,
                limits: limits(object.object("limits")?)?,
                drain_after: object.nullable("drain_after", Value::number)?,
            },
            "ice_servers" => Self::IceServers { ice_servers: ice_servers(&object)? },
            "entered" => Self::Entered {
                topic: object.parsed("topic")?,
                peers: object.list("peers", |peer| present(peer.object()?).ok())?,
            },
            "arrived" => Self::Arrived {
                topic: object.parsed("topic")?,
                session: object.parsed("session")?,
                announcement: bytes(&object, "announcement")?,
            },
            "left" => Self::Left { topic: object.parsed("topic")?, session: object.parsed("session")? },
            "signal" => Self::Signal {
                topic: object.parsed("topic")?,
                from: object.parsed("from")?,
                body: bytes(&object, "body")?,
            },
            "drain" => Self::Drain { drain_after: object.number("drain_after")? },
            "error" => Self::Error(Refusal {
                code: RefusalCode::named(object.text("code")?),
                message: object.text("message")?.to_owned(),
            }),
            _ => return Err(DecodeError::Member("type")),
        })
    }

    /// The message as JSON.
    pub fn encode(&self) -> String {
        let mut out;
        match self {
            Self::Challenge(challenge) => {
                out = Writer::new("challenge");
                out.list("versions", &challenge.versions, |out, version| out.integer((*version).into()));
                out.bytes("nonce", challenge.nonce.as_bytes());
                out.bytes("server_key", challenge.server_key.as_bytes());
                out.list("origins", &challenge.origins, |out, origin| out.string(&origin.to_string()));
                out.number("time", challenge.time);
                out.bytes("sig", challenge.sig.0.as_bytes());
            }
            Self::Welcome { ice_servers, limits, drain_after } => {
                out = Writer::new("welcome");
                write_ice_servers(&mut out, ice_servers);
                out.object("limits", |out| {
                    out.number("message", limits.message as u64);
                    out.number("rooms", limits.rooms as u64);
                    out.number("clients_per_room", limits.clients_per_room as u64);
                });
                if let Some(seconds) = drain_after {
                    out.number("drain_after", *seconds);
                }
            }
            Self::IceServers { ice_servers } => {
                out = Writer::new("ice_servers");
                write_ice_servers(&mut out, ice_servers);
            }
            Self::Entered { topic, peers } => {
                out = Writer::new("entered");
                out.bytes("topic", topic.as_bytes());
                out.list("peers", peers, |out, peer| {
                    out.element(|out| {
                        out.bytes("session", peer.session.as_bytes());
                        out.bytes("announcement", &peer.announcement.0);
                    });
                });
            }
            Self::Arrived { topic, session, announcement } => {
                out = Writer::new("arrived");
                out.bytes("topic", topic.as_bytes());
                out.bytes("session", session.as_bytes());
                out.bytes("announcement", &announcement.0);
            }
            Self::Left { topic, session } => {
                out = Writer::new("left");
                out.bytes("topic", topic.as_bytes());
                out.bytes("session", session.as_bytes());
            }
            Self::Signal { topic, from, body } => {
                out = Writer::new("signal");
                out.bytes("topic", topic.as_bytes());
                out.bytes("from", from.as_bytes());
                out.bytes("body", &body.0);
            }
            Self::Drain { drain_after } => {
                out = Writer::new("drain");
                out.number("drain_after", *drain_after);
            }
            Self::Error(refusal) => {
                out = Writer::new("error");
                out.text("code", refusal.code.name());
                out.text("message", &refusal.message);
            }
        }
        out.finish()
    }
}

/// A hello of a later version may have another shape; its version is still worth an answer.
pub(crate) fn is_hello_of_another_version(text: &str) -> bool {
    let version = || {
        let object = Object::decode(text).ok()?;
        if object.text("type").ok()? == "hello" { object.number("version").ok() } else { None }
    };
    version().is_some_and(|spoken: u64| !VERSIONS.iter().any(|version| u64::from(*version) == spoken))
}

fn decode(text: &str, limit: usize) -> Result<Object<'_>, DecodeError> {
    if text.len() > limit {
        return Err(DecodeError::TooLong(text.len()));
    }
    Object::decode(text)
}

fn hello(object: &Object<'_>) -> Result<Hello, DecodeError> {
    Ok(Hello {
        version: object.number("version")?,
        session: object.parsed("session")?,
        origin: object.parsed("origin")?,
        time: object.number("time")?,
        sig: sig(object)?,
        token: object.nullable("token", |token| token.text().map(str::to_owned))?,
    })
}

fn sig(object: &Object<'_>) -> Result<Sig, DecodeError> {
    let bytes: Result<[u8; 64], _> = object.bytes("sig")?.try_into();
    bytes.map(|bytes| Sig(Signature::from_bytes(bytes))).map_err(|_| DecodeError::Member("sig"))
}

fn bytes(object: &Object<'_>, name: &'static str) -> Result<Bytes, DecodeError> {
    object.bytes(name).map(Bytes)
}

fn present(object: &Object<'_>) -> Result<Present, DecodeError> {
    Ok(Present { session: object.parsed("session")?, announcement: bytes(object, "announcement")? })
}

fn limits(object: &Object<'_>) -> Result<Limits, DecodeError> {
    Ok(Limits {
        message: object.number("message")?,
        rooms: object.number("rooms")?,
        clients_per_room: object.number("clients_per_room")?,
    })
}

fn ice_servers(object: &Object<'_>) -> Result<Vec<IceServer>, DecodeError> {
    object.list("ice_servers", |server| ice_server(server.object()?).ok())
}

fn ice_server(object: &Object<'_>) -> Result<IceServer, DecodeError> {
    let text = |name| object.optional(name, Value::text).map(|text| text.unwrap_or_default().to_owned());
    Ok(IceServer {
        urls: object.list("urls", |url| url.text().map(str::to_owned))?,
        username: text("username")?,
        credential: text("credential")?,
    })
}

fn write_ice_servers(out: &mut Writer, servers: &[IceServer]) {
    out.list("ice_servers", servers, |out, server| out.element(|out| write_ice_server(out, server)));
}

fn write_ice_server(out: &mut Writer, server: &IceServer) {
    out.list("urls", &server.urls, |out, url| out.string(url));
    if !server.username.is_empty() {
        out.text("username", &server.username);
    }
    if !server.credential.is_empty() {
        out.text("credential", &server.credential);
    }
}

const CODES: [(RefusalCode, &str); 9] = [
    (RefusalCode::UnsupportedVersion, "unsupported_version"),
    (RefusalCode::WrongOrigin, "wrong_origin"),
    (RefusalCode::ClockSkew, "clock_skew"),
    (RefusalCode::BadSignature, "bad_signature"),
    (RefusalCode::SessionInUse, "session_in_use"),
    (RefusalCode::TokenRequired, "token_required"),
    (RefusalCode::Full, "full"),
    (RefusalCode::RateLimited, "rate_limited"),
    (RefusalCode::ShuttingDown, "shutting_down"),
];

impl RefusalCode {
    fn named(name: &str) -> Self {
        CODES.iter().find(|(_, other)| *other == name).map_or(Self::Unknown, |(code, _)| *code)
    }

    fn name(self) -> &'static str {
        CODES.iter().find(|(other, _)| *other == self).map_or("unknown", |(_, name)| name)
    }
}
