//! The two handshakes between peers: Noise IK at first contact, Noise KK between members (PROTOCOL §6.3, Noise rev. 34).
//!
//! ```text
//! Initiator::new ─ write → message 1 → Responder::new ─ read ─ write → message 2 → Initiator::read
//!                                            └→ Transport                              └→ Transport
//! ```

use snow::params::{
    BaseChoice, CipherChoice, DHChoice, HandshakeChoice, HandshakeModifierList, HandshakePattern, HashChoice,
    NoiseParams,
};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState, StatelessTransportState};

use super::Rng;
use super::keys::{BoxKey, BoxSecret, derive};

/// The largest Noise message, in bytes (Noise §3).
pub const MAX_MESSAGE: usize = 65_535;

/// A handshake failed: a wrong key, a changed message, or one out of turn. No more is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the handshake failed")]
pub struct HandshakeError;

impl From<snow::Error> for HandshakeError {
    fn from(_: snow::Error) -> Self {
        Self
    }
}

/// Which of the two handshakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// First contact: the responder learns the initiator's static key from message 1.
    Ik,
    /// Both know each other's static key.
    Kk,
}

impl Pattern {
    fn params(self) -> NoiseParams {
        let (name, pattern) = match self {
            Self::Ik => ("Noise_IK_25519_ChaChaPoly_SHA256", HandshakePattern::IK),
            Self::Kk => ("Noise_KK_25519_ChaChaPoly_SHA256", HandshakePattern::KK),
        };
        // Said rather than parsed: the parser knows all patterns there are.
        NoiseParams::new(
            name.to_owned(),
            BaseChoice::Noise,
            HandshakeChoice { pattern, modifiers: HandshakeModifierList { list: Vec::new() } },
            DHChoice::Curve25519,
            CipherChoice::ChaChaPoly,
            HashChoice::SHA256,
        )
    }
}

/// The side that wrote message 1 and waits for message 2.
pub struct Initiator(HandshakeState);

impl Initiator {
    /// Writes message 1 with `payload`, sealed to `remote`.
    pub fn start(
        pattern: Pattern,
        own: &BoxSecret,
        remote: &BoxKey,
        prologue: &[u8],
        payload: &[u8],
        rng: &mut Rng,
    ) -> Result<(Self, Vec<u8>), HandshakeError> {
        let mut state =
            builder(pattern, own, prologue, rng)?.remote_public_key(remote.as_bytes())?.build_initiator()?;
        let message = write(&mut state, payload)?;
        Ok((Self(state), message))
    }

    /// Reads message 2: its payload and the channel the handshake made.
    pub fn finish(mut self, message: &[u8]) -> Result<(Vec<u8>, Transport), HandshakeError> {
        let payload = read(&mut self.0, message)?;
        Ok((payload, Transport::new(self.0)?))
    }
}

/// The side that has read message 1 and decides whether to answer.
pub struct Responder(HandshakeState);

impl Responder {
    /// Reads message 1. For KK, `remote` is the initiator's key; for IK it is `None`, see [`Responder::remote`].
    pub fn read(
        pattern: Pattern,
        own: &BoxSecret,
        remote: Option<&BoxKey>,
        prologue: &[u8],
        message: &[u8],
        rng: &mut Rng,
    ) -> Result<(Self, Vec<u8>), HandshakeError> {
        let mut builder = builder(pattern, own, prologue, rng)?;
        if let Some(remote) = remote {
            builder = builder.remote_public_key(remote.as_bytes())?;
        }
        let mut state = builder.build_responder()?;
        let payload = read(&mut state, message)?;
        Ok((Self(state), payload))
    }

    /// The initiator's static key, proven by message 1. The caller must check whose it is.
    pub fn remote(&self) -> Option<BoxKey> {
        let key: [u8; 32] = self.0.get_remote_static()?.try_into().ok()?;
        Some(BoxKey::from_bytes(key))
    }

    /// Writes message 2 with `payload`.
    pub fn finish(mut self, payload: &[u8]) -> Result<(Vec<u8>, Transport), HandshakeError> {
        let message = write(&mut self.0, payload)?;
        Ok((message, Transport::new(self.0)?))
    }
}

/// The sealed channel a finished handshake leaves, for candidates and restarts.
///
/// Every message carries its number, since several paths may reorder them; a number counts once, and one more than
/// [`Transport::WINDOW`] behind the newest not at all.
pub struct Transport {
    state: StatelessTransportState,
    hash: [u8; 32],
    next: u64,
    newest: u64,
    /// Bit `i` is set when number `newest - i` was received.
    seen: u64,
}

impl Transport {
    /// How far behind the newest a message may be.
    pub const WINDOW: u64 = 64;

    fn new(handshake: HandshakeState) -> Result<Self, HandshakeError> {
        let hash = handshake.get_handshake_hash().try_into().map_err(|_| HandshakeError)?;
        Ok(Self { state: handshake.into_stateless_transport_mode()?, hash, next: 0, newest: 0, seen: 0 })
    }

    /// Seals `plain`; the result is sent with its number.
    pub fn seal(&mut self, plain: &[u8]) -> Result<(u64, Vec<u8>), HandshakeError> {
        let number = self.next;
        let mut out = vec![0; plain.len() + 16];
        let written = self.state.write_message(number, plain, &mut out)?;
        out.truncate(written);
        self.next += 1;
        Ok((number, out))
    }

    /// Opens the message with this number, once.
    pub fn open(&mut self, number: u64, sealed: &[u8]) -> Result<Vec<u8>, HandshakeError> {
        if !self.fresh(number) {
            return Err(HandshakeError);
        }
        let mut out = vec![0; sealed.len()];
        let read = self.state.read_message(number, sealed, &mut out)?;
        out.truncate(read);
        self.mark(number);
        Ok(out)
    }

    /// 32 bytes that name this handshake and no other (PROTOCOL §6.4). They are a channel binding (Noise §11.2), not a
    /// secret: whoever saw both messages and knows the room's id and both box keys can compute them.
    pub fn export(&self, label: &[u8]) -> [u8; 32] {
        derive(&self.hash, &[b"symbolon/1/export/", label])
    }

    /// The handshake's hash, for the vectors.
    #[cfg(any(test, feature = "vectors"))]
    pub(crate) fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    fn fresh(&self, number: u64) -> bool {
        if number > self.newest || self.seen == 0 {
            return number < u64::MAX;
        }
        let behind = self.newest - number;
        behind < Self::WINDOW && self.seen & (1 << behind) == 0
    }

    fn mark(&mut self, number: u64) {
        if self.seen == 0 {
            self.newest = number;
            self.seen = 1;
        } else if number > self.newest {
            let shift = number - self.newest;
            self.seen = if shift < Self::WINDOW { self.seen << shift } else { 0 } | 1;
            self.newest = number;
        } else {
            self.seen |= 1 << (self.newest - number);
        }
    }
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transport")
            .field("next", &self.next)
            .field("newest", &self.newest)
            .finish_non_exhaustive()
    }
}

fn builder<'a>(
    pattern: Pattern,
    own: &'a BoxSecret,
    prologue: &'a [u8],
    rng: &mut Rng,
) -> Result<Builder<'a>, HandshakeError> {
    let resolver = Box::new(Resolver(rng.bytes()));
    Ok(Builder::with_resolver(pattern.params(), resolver)
        .local_private_key(own.as_bytes())?
        .prologue(prologue)?)
}

fn write(state: &mut HandshakeState, payload: &[u8]) -> Result<Vec<u8>, HandshakeError> {
    // 32 of ephemeral key, 48 of sealed static key, 16 of tag at most.
    let mut out = vec![0; payload.len() + 96];
    let written = state.write_message(payload, &mut out)?;
    out.truncate(written);
    Ok(out)
}

fn read(state: &mut HandshakeState, message: &[u8]) -> Result<Vec<u8>, HandshakeError> {
    if message.len() > MAX_MESSAGE {
        return Err(HandshakeError);
    }
    let mut out = vec![0; message.len()];
    let read = state.read_message(message, &mut out)?;
    out.truncate(read);
    Ok(out)
}

/// snow's own primitives, with randomness from a seed of the machine's in place of the system's.
struct Resolver([u8; 32]);

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Rng::from_seed(self.0)))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

impl Random for Rng {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), snow::Error> {
        rand_core::RngCore::fill_bytes(self, dest);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Transport, Transport) {
        let mut rng = Rng::from_seed([9; 32]);
        let (a, b) = (BoxSecret::from_bytes([1; 32]), BoxSecret::from_bytes([2; 32]));
        let (initiator, first) =
            Initiator::start(Pattern::Ik, &a, &b.public(), b"p", b"offer", &mut rng).unwrap();
        let (responder, payload) = Responder::read(Pattern::Ik, &b, None, b"p", &first, &mut rng).unwrap();
        assert_eq!(payload, b"offer");
        assert_eq!(responder.remote(), Some(a.public()));
        let (second, there) = responder.finish(b"answer").unwrap();
        let (payload, here) = initiator.finish(&second).unwrap();
        assert_eq!(payload, b"answer");
        assert_eq!(here.export(b"x"), there.export(b"x"));
        (here, there)
    }

    #[test]
    fn each_number_counts_once_in_any_order() {
        let (mut here, mut there) = pair();
        let sealed: Vec<_> = (0..100).map(|i| here.seal(&[i]).unwrap()).collect();
        for i in [3, 0, 2, 1, 70] {
            let (number, bytes) = &sealed[i];
            assert_eq!(there.open(*number, bytes), Ok(vec![i as u8]));
            assert_eq!(there.open(*number, bytes), Err(HandshakeError), "{i} again");
        }
        assert_eq!(there.open(sealed[5].0, &sealed[5].1), Err(HandshakeError), "too far behind");
        assert_eq!(there.open(sealed[7].0, &sealed[7].1), Ok(vec![7]));
        assert_eq!(there.open(99, &sealed[98].1), Err(HandshakeError), "a wrong number");
        assert_eq!(there.open(98, &sealed[98].1), Ok(vec![98]), "a failure marks nothing");
    }

    #[test]
    fn a_changed_prologue_key_or_byte_fails() {
        let mut rng = Rng::from_seed([9; 32]);
        let (a, b, c) =
            (BoxSecret::from_bytes([1; 32]), BoxSecret::from_bytes([2; 32]), BoxSecret::from_bytes([3; 32]));
        let (_, first) = Initiator::start(Pattern::Kk, &a, &b.public(), b"p", b"", &mut rng).unwrap();
        let mut read = |own: &BoxSecret, remote: &BoxSecret, prologue: &[u8], message: &[u8]| {
            Responder::read(Pattern::Kk, own, Some(&remote.public()), prologue, message, &mut rng).is_ok()
        };
        assert!(read(&b, &a, b"p", &first));
        assert!(!read(&b, &a, b"q", &first));
        assert!(!read(&b, &c, b"p", &first));
        assert!(!read(&c, &a, b"p", &first));
        let mut changed = first.clone();
        changed[40] ^= 1;
        assert!(!read(&b, &a, b"p", &changed));
        assert!(!read(&b, &a, b"p", &[]));
    }
}
