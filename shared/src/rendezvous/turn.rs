//! Credentials for TURN servers, by the convention of the "REST API for access to TURN services" (PROTOCOL §5.10).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac as _};
use sha1::Sha1;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::id::SessionId;
use crate::signal::IceServer;
use crate::time::Now;

/// What the pseudonym's hash begins with.
const DOMAIN: &[u8] = b"symbolon/1/turn\0";

/// A session's name before TURN servers: who reads it there, or on the way, cannot tell the session's key from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pseudonym([u8; 12]);

/// What a rendezvous server and its TURN server share.
#[derive(Clone)]
pub struct TurnSecret(Zeroizing<Vec<u8>>);

impl std::fmt::Debug for TurnSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TurnSecret(…)")
    }
}

/// Who may use a TURN server, where it is, and for how long.
#[derive(Debug, Clone)]
pub struct TurnTerms {
    /// `turn:` and `turns:` addresses.
    pub urls: Vec<String>,
    /// Shared with the TURN server.
    pub secret: TurnSecret,
    /// How long credentials are good for.
    pub life: Duration,
}

impl TurnTerms {
    /// Credentials for this session, good from now on.
    pub fn grant(&self, session: &SessionId, now: Now) -> IceServer {
        let life = self.life.as_secs().max(1);
        let username = self.secret.username(session, (now.unix_ms / 1000).saturating_add(life));
        let credential = self.secret.password(&username);
        IceServer { urls: self.urls.clone(), username, credential }
    }

    /// How long a session goes on with one grant: what is set up just before has a quarter of its life left.
    pub(super) fn renew_after(&self) -> Duration {
        self.life.max(Duration::from_secs(1)) * 3 / 4
    }
}

impl TurnSecret {
    /// These bytes; a text that coturn is given as `static-auth-secret` is its UTF-8.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The session's name before TURN servers with this secret.
    pub fn pseudonym(&self, session: &SessionId) -> Pseudonym {
        let hash = self.sha256(&[DOMAIN, session.as_bytes()]);
        let mut name = [0; 12];
        name.copy_from_slice(&hash[..12]);
        Pseudonym(name)
    }

    fn username(&self, session: &SessionId, expiry: u64) -> String {
        let Pseudonym(name) = self.pseudonym(session);
        format!("{expiry}:{}", URL_SAFE_NO_PAD.encode(name))
    }

    /// The password that belongs to a username, whoever made it.
    pub fn password(&self, username: &str) -> String {
        // A key of any length is one: `new_from_slice` fails for other MACs only.
        let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(&self.0) else { return String::new() };
        mac.update(username.as_bytes());
        STANDARD.encode(mac.finalize().into_bytes())
    }

    fn sha256(&self, parts: &[&[u8]]) -> [u8; 32] {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return [0; 32] };
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

/// What a username says: when it expires, in seconds since 1970, and whose it is. Says nothing about its password.
pub fn parse_username(username: &str) -> Option<(u64, Pseudonym)> {
    let (expiry, name) = username.split_once(':')?;
    let digits = !expiry.is_empty() && expiry.bytes().all(|byte| byte.is_ascii_digit());
    let name = URL_SAFE_NO_PAD.decode(name).ok()?.try_into().ok()?;
    digits.then(|| expiry.parse().ok().map(|expiry| (expiry, Pseudonym(name))))?
}

/// How much of a stream of TURN messages is the first of them (RFC 8489 §6.2.2, RFC 8656 §12.5).
#[derive(Debug, PartialEq, Eq)]
pub enum Cut {
    /// One message.
    Message {
        /// Its bytes.
        len: usize,
        /// Its bytes and the padding behind them.
        padded: usize,
    },
    /// More must come first.
    Incomplete,
    /// Neither STUN nor channel data.
    Garbage,
}

/// Looks at the beginning of what is left of a stream.
pub fn cut(bytes: &[u8]) -> Cut {
    let [first, _, high, low, ..] = *bytes else { return Cut::Incomplete };
    let len = usize::from(u16::from_be_bytes([high, low]));
    let (len, padded) = match first {
        0..=3 if len % 4 == 0 => (20 + len, 20 + len),
        0x40..=0x4f => (4 + len, (4 + len).next_multiple_of(4)),
        _ => return Cut::Garbage,
    };
    if bytes.len() < padded { Cut::Incomplete } else { Cut::Message { len, padded } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rv7_credentials_are_the_ones_coturn_computes() {
        // `openssl dgst -sha1 -hmac north -binary` over the username.
        let secret = TurnSecret::new(b"north".to_vec());
        assert_eq!(secret.password("1433895918:ninefingers"), "jy8hTxmOO7UtEKXqSkSlvakPVYA=");
    }

    #[test]
    fn rv7_a_username_names_its_session_to_the_holder_of_the_secret_only() {
        let secret = TurnSecret::new(vec![1; 32]);
        let terms = TurnTerms {
            urls: vec!["turn:t:3478".into()],
            secret: secret.clone(),
            life: Duration::from_secs(60),
        };
        let session = SessionId::from_bytes([7; 32]);
        let now = Now { monotonic: Duration::ZERO, unix_ms: 1_800_000_000_999 };
        let server = terms.grant(&session, now);
        assert_eq!(parse_username(&server.username), Some((1_800_000_060, secret.pseudonym(&session))));
        assert_ne!(secret.pseudonym(&session), secret.pseudonym(&SessionId::from_bytes([8; 32])));
        assert_ne!(secret.pseudonym(&session), TurnSecret::new(vec![2; 32]).pseudonym(&session));
        for bad in ["", ":", "1:", "1:AA", "+1:AAAAAAAAAAAAAAAA", "x:AAAAAAAAAAAAAAAA", "1:AAAAAAAAAAAAAAAA="]
        {
            assert_eq!(parse_username(bad), None, "{bad}");
        }
    }

    #[test]
    fn rv7_a_stream_is_cut_where_its_messages_end() {
        assert_eq!(cut(&[0, 1, 0]), Cut::Incomplete);
        assert_eq!(cut(&[&[0, 1, 0, 4][..], &[0; 19]].concat()), Cut::Incomplete);
        assert_eq!(cut(&[&[0, 1, 0, 4][..], &[0; 21]].concat()), Cut::Message { len: 24, padded: 24 });
        assert_eq!(cut(&[0x40, 0, 0, 1, 9]), Cut::Incomplete);
        assert_eq!(cut(&[0x40, 0, 0, 1, 9, 0, 0, 0]), Cut::Message { len: 5, padded: 8 });
        for garbage in [[0, 1, 0, 3], [0x50, 0, 0, 0], [0x80, 0, 0, 0], *b"POST"] {
            assert_eq!(cut(&garbage), Cut::Garbage);
        }
    }
}
