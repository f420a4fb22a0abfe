//! Who is asking: the long-term credentials of RFC 8489 §9.2, with nonces that cost no memory.

use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use stun_types::attribute::{ErrorCode, MessageIntegrity, Nonce, Realm, Username};
use stun_types::message::{IntegrityAlgorithm, IntegrityKey, LongTermKeyCredentials, Message};
use stun_types::prelude::*;
use symbolon_core::rendezvous::turn::parse_username;
use symbolon_core::rendezvous::{Pseudonym, TurnSecret};
use symbolon_core::time::Now;

/// How long a nonce is good for, in seconds. RFC 8656 §5 asks for an hour at most.
const NONCE_LIFE: u64 = 20 * 60;

/// How much of the nonce's MAC is sent. Who guesses it still lacks a password.
const TAG: usize = 8;

/// Checks requests.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) realm: Realm,
    pub(super) secret: TurnSecret,
    pub(super) nonce_key: [u8; 32],
}

/// Somebody whose request was signed with the right password.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) username: String,
    pub(super) name: Pseudonym,
    /// Seconds since 1970 after which the credentials are good for nothing new.
    pub(super) expiry: u64,
    pub(super) key: IntegrityKey,
}

impl Gate {
    /// Who sent this; or the error code to answer with.
    pub(super) fn check(&self, message: &Message<'_>, client: SocketAddr, now: Now) -> Result<Caller, u16> {
        if !message.has_attribute(MessageIntegrity::TYPE) {
            return Err(ErrorCode::UNAUTHORIZED);
        }
        let (Ok(username), Ok(realm), Ok(nonce)) =
            (message.attribute::<Username>(), message.attribute::<Realm>(), message.attribute::<Nonce>())
        else {
            return Err(ErrorCode::BAD_REQUEST);
        };
        if realm.realm() != self.realm.realm() {
            return Err(ErrorCode::UNAUTHORIZED);
        }
        if !self.is_fresh(nonce.nonce(), client, now) {
            return Err(ErrorCode::STALE_NONCE);
        }
        let username = username.username();
        let (expiry, name) = parse_username(username).ok_or(ErrorCode::UNAUTHORIZED)?;
        let key = self.key(username);
        if message.validate_integrity_with_key(&key).is_err() {
            return Err(ErrorCode::UNAUTHORIZED);
        }
        Ok(Caller { username: username.to_owned(), name, expiry, key })
    }

    fn key(&self, username: &str) -> IntegrityKey {
        let password = self.secret.password(username);
        let realm = self.realm.realm().to_owned();
        LongTermKeyCredentials::new(username.to_owned(), password, realm).make_key(IntegrityAlgorithm::Sha1)
    }

    /// A nonce for this client alone.
    pub(super) fn nonce(&self, client: SocketAddr, now: Now) -> Option<Nonce> {
        let expiry = now.monotonic.as_secs() + NONCE_LIFE;
        let tag = self.mac(expiry, client)?.finalize().into_bytes();
        Nonce::new(&format!("{expiry:x}-{}", URL_SAFE_NO_PAD.encode(tag.get(..TAG)?))).ok()
    }

    fn is_fresh(&self, nonce: &str, client: SocketAddr, now: Now) -> bool {
        let parts = nonce.split_once('-');
        let parsed = parts.and_then(|(expiry, tag)| {
            Some((u64::from_str_radix(expiry, 16).ok()?, URL_SAFE_NO_PAD.decode(tag).ok()?))
        });
        let Some((expiry, tag)) = parsed else { return false };
        expiry >= now.monotonic.as_secs()
            && tag.len() == TAG
            && self.mac(expiry, client).is_some_and(|mac| mac.verify_truncated_left(&tag).is_ok())
    }

    fn mac(&self, expiry: u64, client: SocketAddr) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.nonce_key).ok()?;
        mac.update(&expiry.to_be_bytes());
        match client.ip().to_canonical() {
            IpAddr::V4(address) => mac.update(&address.octets()),
            IpAddr::V6(address) => mac.update(&address.octets()),
        }
        mac.update(&client.port().to_be_bytes());
        Some(mac)
    }
}
