//! Tickets: what an inviter hands over out of band (PROTOCOL §4).
//!
//! `symbolon1` and base64url of a CBOR map with a checksum, or a link with the same behind its `#`, where no server
//! sees it.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroize as _;

use crate::cbor;
use crate::crypto::keys::{BoxKey, RoomSecret, SignKey, invite_key, sha256};
use crate::id::{DeviceId, RecordId, RoomId, ServerKey};
use crate::origin::Origin;

/// In front of every ticket.
pub const PREFIX: &str = "symbolon1";

/// The longest ticket or link, in bytes.
const MAX_TEXT: usize = 8192;

/// The most servers one ticket may name.
pub const MAX_SERVERS: usize = 8;

const CHECKSUM: usize = 4;

/// Why a text is not a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// No `symbolon1` in it.
    #[error("a ticket starts with symbolon1, or is a link with #symbolon1 in it; this is something else")]
    NotATicket,
    /// Damaged in copying.
    #[error("the ticket is damaged: a part is missing or changed; copy all of it again")]
    Damaged,
    /// From a newer program.
    #[error("the ticket is of version {0}, this program reads version 1; update it")]
    Version(u8),
    /// Much longer than any ticket.
    #[error("this is much longer than a ticket")]
    TooLong,
}

/// A server in a ticket, with its key if the issuer has met it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketServer {
    /// Where it is dialled.
    pub origin: Origin,
    /// The key it had when the issuer met it.
    pub key: Option<ServerKey>,
}

cbor::members! { TicketServer { 0: origin, 1: key } }

/// A ticket: the half that fits one invite of one room.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Where the room meets.
    pub servers: Vec<TicketServer>,
    /// The room: no server can pass off another.
    pub room: RoomId,
    /// What the room's members share.
    pub secret: RoomSecret,
    /// Who issued it.
    pub issuer: DeviceId,
    /// The issuer's box key.
    pub issuer_box: BoxKey,
    /// The invite record. Its predecessors are all that the issuer knew, so it stands for the issuer's heads too.
    pub invite: RecordId,
    /// From which the invite's key is derived.
    pub seed: [u8; 32],
    /// When it ends, in milliseconds since 1970.
    pub expires: u64,
    /// The only device that may use it, if it is bound.
    pub bound: Option<DeviceId>,
}

struct Fields {
    version: u8,
    servers: Vec<TicketServer>,
    room: RoomId,
    secret: [u8; 32],
    issuer: DeviceId,
    issuer_box: BoxKey,
    invite: RecordId,
    seed: [u8; 32],
    expires: u64,
    bound: Option<DeviceId>,
}

cbor::members! { Fields {
    0: version, 1: servers, 2: room, 3: secret, 4: issuer, 5: issuer_box, 6: invite, 7: seed, 8: expires, 9: bound,
} }

impl Ticket {
    /// The key that signs the acceptance.
    pub fn invite_key(&self) -> SignKey {
        invite_key(&self.seed)
    }

    /// The ticket as a link to a page of its first server, the secret in the fragment.
    pub fn link(&self) -> String {
        let page = self.servers.first().map(|server| server.origin.page_url()).unwrap_or_default();
        format!("{page}#{}", self.text())
    }

    /// The ticket as text. It is a secret: whoever reads it can use it.
    pub fn text(&self) -> String {
        let mut bytes = cbor::encode(&Fields {
            version: 1,
            servers: self.servers.clone(),
            room: self.room,
            secret: *self.secret.as_bytes(),
            issuer: self.issuer,
            issuer_box: self.issuer_box,
            invite: self.invite,
            seed: self.seed,
            expires: self.expires,
            bound: self.bound,
        });
        let checksum = sha256(&bytes);
        bytes.extend(&checksum[..CHECKSUM]);
        let text = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(&bytes));
        bytes.zeroize();
        text
    }
}

impl FromStr for Ticket {
    type Err = TicketError;

    fn from_str(text: &str) -> Result<Self, TicketError> {
        if text.len() > MAX_TEXT {
            return Err(TicketError::TooLong);
        }
        let text = text.trim();
        let text = text.rsplit_once('#').map_or(text, |(_, fragment)| fragment);
        let text = text.strip_prefix(PREFIX).ok_or(TicketError::NotATicket)?;
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| TicketError::Damaged)?;
        let split = bytes.len().checked_sub(CHECKSUM).ok_or(TicketError::Damaged)?;
        let (bytes, checksum) = bytes.split_at(split);
        if sha256(bytes)[..CHECKSUM] != *checksum {
            return Err(TicketError::Damaged);
        }
        struct Version {
            version: u8,
        }

        cbor::members! { Version { 0: version } }
        let Version { version } = cbor::decode(bytes).map_err(|_| TicketError::Damaged)?;
        if version != 1 {
            return Err(TicketError::Version(version));
        }
        let fields: Fields = cbor::decode(bytes).map_err(|_| TicketError::Damaged)?;
        if fields.servers.is_empty() || fields.servers.len() > MAX_SERVERS {
            return Err(TicketError::Damaged);
        }
        Ok(Self {
            servers: fields.servers,
            room: fields.room,
            secret: RoomSecret::from_bytes(fields.secret),
            issuer: fields.issuer,
            issuer_box: fields.issuer_box,
            invite: fields.invite,
            seed: fields.seed,
            expires: fields.expires,
            bound: fields.bound,
        })
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("room", &self.room)
            .field("invite", &self.invite)
            .finish_non_exhaustive()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.seed.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket() -> Ticket {
        Ticket {
            servers: vec![TicketServer { origin: "ws://127.0.0.1:7600".parse().unwrap(), key: None }],
            room: RoomId::from_bytes([1; 32]),
            secret: RoomSecret::from_bytes([2; 32]),
            issuer: DeviceId::from_bytes([3; 32]),
            issuer_box: BoxKey::from_bytes([4; 32]),
            invite: RecordId::from_bytes([5; 32]),
            seed: [6; 32],
            expires: 7,
            bound: None,
        }
    }

    #[test]
    fn ad2_a_ticket_is_text_or_a_link_with_the_secret_in_the_fragment() {
        let ticket = ticket();
        assert_eq!(ticket.text().parse::<Ticket>().unwrap(), ticket);
        assert_eq!(format!("  {}\n", ticket.link()).parse::<Ticket>().unwrap(), ticket);
        assert!(ticket.link().starts_with("http://127.0.0.1:7600/#symbolon1"));
        assert!(!format!("{ticket:?}").contains(&ticket.text()[9..]), "a ticket never prints itself");
    }

    #[test]
    fn malformed_tickets_are_told_apart() {
        let text = ticket().text();
        assert_eq!("".parse::<Ticket>(), Err(TicketError::NotATicket));
        assert_eq!("https://example.org/".parse::<Ticket>(), Err(TicketError::NotATicket));
        assert_eq!(PREFIX.parse::<Ticket>(), Err(TicketError::Damaged));
        assert_eq!("x".repeat(10_000).parse::<Ticket>(), Err(TicketError::TooLong));
        for cut in PREFIX.len()..text.len() {
            assert_eq!(text[..cut].parse::<Ticket>(), Err(TicketError::Damaged), "cut at {cut}");
        }
        let swapped = text.replace("AQEB", "AQEC");
        assert_ne!(swapped, text);
        assert_eq!(swapped.parse::<Ticket>(), Err(TicketError::Damaged));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_ticket_or_an_error(text in ".{0,400}", bytes in proptest::collection::vec(0u8..=255, 0..300)) {
            let _ = text.parse::<Ticket>();
            let _ = format!("{PREFIX}{text}").parse::<Ticket>();
            let mut bytes = bytes;
            let checksum = sha256(&bytes);
            bytes.extend(&checksum[..CHECKSUM]);
            let _ = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(&bytes)).parse::<Ticket>();
        }
    }
}
