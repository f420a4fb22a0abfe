//! Signing and box keys, and what is derived from a seed or a room secret (PROTOCOL §2).

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::{Zeroize as _, ZeroizeOnDrop};

use super::Rng;
use crate::cbor::{Decode, Encode, Malformed, Reader, Writer};
use crate::id::{DeviceId, ServerKey, SessionId, Topic};

/// A signature did not verify, or its key is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct BadSignature;

/// An Ed25519 signature (RFC 8032), 64 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

impl Signature {
    /// The signature with exactly these bytes; whether it holds is for `verify` to say.
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// The 64 bytes.
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl std::fmt::Debug for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signature({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

impl Encode for Signature {
    fn encode(&self, writer: &mut Writer) {
        self.0.encode(writer);
    }
}

impl Decode<'_> for Signature {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Decode::decode(reader).map(Self)
    }
}

/// What a signature is for. Its label is signed in front of the message, so no signature can serve another purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domain {
    /// A server's challenge.
    Challenge,
    /// A client's answer to it.
    Hello,
    /// A record, by its author.
    Record,
    /// An acceptance, by the invite key.
    Redeem,
    /// A proof, by the newcomer's device.
    Proof,
    /// A frame of the change log.
    Frame,
    /// A member's list of its links.
    Links,
    /// What a member shows of itself.
    Presence,
    /// A member's announcement.
    Announce,
}

impl Domain {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Challenge => b"symbolon/1/challenge\0",
            Self::Hello => b"symbolon/1/hello\0",
            Self::Record => b"symbolon/1/record\0",
            Self::Redeem => b"symbolon/1/redeem\0",
            Self::Proof => b"symbolon/1/proof\0",
            Self::Frame => b"symbolon/1/frame\0",
            Self::Links => b"symbolon/1/links\0",
            Self::Presence => b"symbolon/1/presence\0",
            Self::Announce => b"symbolon/1/announce\0",
        }
    }
}

/// An Ed25519 key that signs.
#[derive(Clone)]
pub struct SignKey(SigningKey);

impl SignKey {
    /// From its 32 secret bytes (RFC 8032 §5.1.5).
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(secret))
    }

    /// A fresh one.
    pub fn generate(rng: &mut Rng) -> Self {
        let mut secret = rng.bytes();
        let key = Self::from_secret(&secret);
        secret.zeroize();
        key
    }

    /// The public half.
    pub fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// The public half as the name of a device.
    pub fn device(&self) -> DeviceId {
        DeviceId::from_bytes(self.public())
    }

    /// The public half as the name of a session.
    pub fn session(&self) -> SessionId {
        SessionId::from_bytes(self.public())
    }

    /// The public half as a server's key.
    pub fn server(&self) -> ServerKey {
        ServerKey::from_bytes(self.public())
    }

    /// Signs `domain`'s label and `message`.
    pub fn sign(&self, domain: Domain, message: &[u8]) -> Signature {
        Signature(self.0.sign(&[domain.label(), message].concat()).to_bytes())
    }
}

impl std::fmt::Debug for SignKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SignKey({:?})", self.device())
    }
}

/// Checks a signature over `domain`'s label and `message`, strictly: small-order keys and malleable forms are refused.
pub fn verify(
    public: &[u8; 32],
    domain: Domain,
    message: &[u8],
    signature: &Signature,
) -> Result<(), BadSignature> {
    let key = VerifyingKey::from_bytes(public).map_err(|_| BadSignature)?;
    let signature = ed25519_dalek::Signature::from_bytes(signature.as_bytes());
    key.verify_strict(&[domain.label(), message].concat(), &signature).map_err(|_| BadSignature)
}

/// An X25519 public key (RFC 7748), 32 bytes: where handshakes to a device are sealed to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BoxKey([u8; 32]);

impl BoxKey {
    /// The key with exactly these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for BoxKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BoxKey({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

impl Encode for BoxKey {
    fn encode(&self, writer: &mut Writer) {
        self.0.encode(writer);
    }
}

impl Decode<'_> for BoxKey {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Decode::decode(reader).map(Self)
    }
}

/// The secret half of a [`BoxKey`].
#[derive(Clone, ZeroizeOnDrop)]
pub struct BoxSecret([u8; 32]);

impl BoxSecret {
    /// From its 32 secret bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 secret bytes, for the handshake.
    pub(crate) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The public half.
    pub fn public(&self) -> BoxKey {
        let secret = x25519_dalek::StaticSecret::from(self.0);
        BoxKey(x25519_dalek::PublicKey::from(&secret).to_bytes())
    }
}

/// A device's two keys, from its one seed (PROTOCOL §2.1).
#[derive(Clone)]
pub struct DeviceKeys {
    /// Signs records and frames.
    pub sign: SignKey,
    /// Opens handshakes.
    pub box_secret: BoxSecret,
}

impl DeviceKeys {
    /// HKDF-SHA256 of the seed with the labels `symbolon/1/sign` and `symbolon/1/box`.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let mut secret = derive(seed, &[b"symbolon/1/sign"]);
        let sign = SignKey::from_secret(&secret);
        secret.zeroize();
        Self { sign, box_secret: BoxSecret(derive(seed, &[b"symbolon/1/box"])) }
    }

    /// The device's name.
    pub fn id(&self) -> DeviceId {
        self.sign.device()
    }
}

impl std::fmt::Debug for DeviceKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DeviceKeys({:?})", self.id())
    }
}

/// The signing key of an invite, from the seed that travels in the ticket (PROTOCOL §4).
pub fn invite_key(seed: &[u8; 32]) -> SignKey {
    let mut secret = derive(seed, &[b"symbolon/1/invite"]);
    let key = SignKey::from_secret(&secret);
    secret.zeroize();
    key
}

/// What all members of a room share and the server must not learn (PROTOCOL §2.4).
#[derive(Clone, PartialEq, Eq, ZeroizeOnDrop)]
pub struct RoomSecret([u8; 32]);

impl RoomSecret {
    /// The secret with exactly these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes, for a ticket, the disk, or a rekey.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// What the server knows the room by.
    pub fn topic(&self) -> Topic {
        Topic::from_bytes(derive(&self.0, &[b"symbolon/1/topic"]))
    }

    /// The key that seals members' announcements.
    pub(crate) fn announce_key(&self) -> [u8; 32] {
        derive(&self.0, &[b"symbolon/1/announce"])
    }

    /// The key that seals proofs for one invite. Needs the invite's public key, which an old ticket does not give.
    pub(crate) fn proof_key(&self, invite_key: &[u8; 32]) -> [u8; 32] {
        derive(&self.0, &[b"symbolon/1/proof", invite_key])
    }
}

impl std::fmt::Debug for RoomSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RoomSecret(…)")
    }
}

/// HKDF-SHA256 (RFC 5869) without salt, the concatenated `info`, `N` bytes out (at most 8160).
pub(crate) fn derive<const N: usize>(secret: &[u8], info: &[&[u8]]) -> [u8; N] {
    const { assert!(N <= 255 * 32) };
    let mut out = [0; N];
    let hkdf = Hkdf::<Sha256>::new(None, secret);
    // The only failure is an output longer than 255 blocks, excluded above.
    let _ = hkdf.expand_multi_info(info, &mut out);
    out
}

/// SHA-256 (FIPS 180-4).
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest as _;
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_serves_one_domain_only() {
        let key = SignKey::from_secret(&[1; 32]);
        let signature = key.sign(Domain::Frame, b"hello");
        assert_eq!(verify(&key.public(), Domain::Frame, b"hello", &signature), Ok(()));
        assert_eq!(verify(&key.public(), Domain::Record, b"hello", &signature), Err(BadSignature));
        assert_eq!(verify(&key.public(), Domain::Frame, b"hell0", &signature), Err(BadSignature));
        assert_eq!(verify(&[0; 32], Domain::Frame, b"hello", &signature), Err(BadSignature));
    }
}
