//! Signing and box keys, and what is derived from a seed or a room secret (PROTOCOL §2).

use std::sync::LazyLock;

use curve25519_dalek::constants::EIGHT_TORSION;
use ed25519_dalek::{Signer as _, SigningKey, Verifier as _, VerifyingKey};
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

/// The points of small order as a signature would have them.
static SMALL_ORDER: LazyLock<[[u8; 32]; 8]> =
    LazyLock::new(|| EIGHT_TORSION.map(|point| point.compress().to_bytes()));

/// Checks a signature over `domain`'s label and `message`, strictly: small-order keys and malleable forms are refused.
///
/// The same signatures hold as for `VerifyingKey::verify_strict`. That one finds out whether the signature's point is of
/// small order by decoding it, an eighth of all its work. As it is compared in its canonical form, its bytes say so too.
pub fn verify(
    public: &[u8; 32],
    domain: Domain,
    message: &[u8],
    signature: &Signature,
) -> Result<(), BadSignature> {
    let key = VerifyingKey::from_bytes(public).map_err(|_| BadSignature)?;
    let signature = ed25519_dalek::Signature::from_bytes(signature.as_bytes());
    if key.is_weak() || SMALL_ORDER.contains(signature.r_bytes()) {
        return Err(BadSignature);
    }
    key.verify(&[domain.label(), message].concat(), &signature).map_err(|_| BadSignature)
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

    use curve25519_dalek::Scalar;
    use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
    use curve25519_dalek::edwards::EdwardsPoint;
    use sha2::{Digest as _, Sha512};

    /// What was signed with the label before it.
    fn signed(message: &[u8]) -> Vec<u8> {
        [Domain::Frame.label(), message].concat()
    }

    fn challenge(r: &[u8; 32], a: &[u8; 32], message: &[u8]) -> Scalar {
        let hash = Sha512::new().chain_update(r).chain_update(a).chain_update(signed(message)).finalize();
        Scalar::from_bytes_mod_order_wide(&hash.into())
    }

    fn joined(r: [u8; 32], s: [u8; 32]) -> Signature {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&r);
        bytes[32..].copy_from_slice(&s);
        Signature(bytes)
    }

    /// Whether it holds; the same by the library's strict check.
    fn holds(public: &[u8; 32], message: &[u8], signature: &Signature) -> bool {
        let ours = verify(public, Domain::Frame, message, signature).is_ok();
        let strict = VerifyingKey::from_bytes(public).is_ok_and(|key| {
            let signature = ed25519_dalek::Signature::from_bytes(signature.as_bytes());
            key.verify_strict(&signed(message), &signature).is_ok()
        });
        assert_eq!(ours, strict, "{public:?} {:?}", signature.0);
        ours
    }

    fn loosely(public: &[u8; 32], message: &[u8], signature: &Signature) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(signature.as_bytes());
        VerifyingKey::from_bytes(public).unwrap().verify(&signed(message), &signature).is_ok()
    }

    #[test]
    fn rv2_a_signature_whose_point_is_of_small_order_does_not_hold() {
        let key = SigningKey::from_bytes(&[1; 32]);
        let public = key.verifying_key().to_bytes();
        let mut accepted_loosely = 0;
        for point in EIGHT_TORSION {
            let r = point.compress().to_bytes();
            // Only who has the key can make it.
            let s = (challenge(&r, &public, b"hello") * key.to_scalar()).to_bytes();
            let signature = joined(r, s);
            assert!(!holds(&public, b"hello", &signature));
            accepted_loosely += u32::from(loosely(&public, b"hello", &signature));
        }
        assert_eq!(accepted_loosely, 1, "the neutral element");
    }

    #[test]
    fn rv2_a_key_of_small_order_signs_nothing() {
        let mut accepted_loosely = 0;
        for key in EIGHT_TORSION {
            let public = key.compress().to_bytes();
            for n in 1..20_u64 {
                let s = Scalar::from(n);
                for plus in EIGHT_TORSION {
                    let point: EdwardsPoint = ED25519_BASEPOINT_POINT * s + plus;
                    let signature = joined(point.compress().to_bytes(), s.to_bytes());
                    assert!(!holds(&public, b"hello", &signature));
                    accepted_loosely += u32::from(loosely(&public, b"hello", &signature));
                }
            }
        }
        assert!(accepted_loosely >= 19, "{accepted_loosely}");
    }

    #[test]
    fn rv2_a_signature_in_another_form_does_not_hold() {
        let key = SignKey::from_secret(&[1; 32]);
        let (public, signature) = (key.public(), key.sign(Domain::Frame, b"hello"));
        assert!(holds(&public, b"hello", &signature));
        // The order of the group, added to the scalar (RFC 8032 §5.1.7).
        let order = [
            0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10_u8,
        ];
        let mut malleable = signature;
        let mut carry = 0;
        for (byte, plus) in malleable.0[32..].iter_mut().zip(order) {
            let sum = u16::from(*byte) + u16::from(plus) + carry;
            (*byte, carry) = (sum.to_le_bytes()[0], sum >> 8);
        }
        assert!(!holds(&public, b"hello", &malleable));
        // Points written with a coordinate beyond the field.
        let secret = SigningKey::from_bytes(&[1; 32]);
        for low in 0xed..=0xff {
            for sign in [0x7f, 0xff] {
                let mut r = [0xff; 32];
                (r[0], r[31]) = (low, sign);
                let s = (challenge(&r, &public, b"hello") * secret.to_scalar()).to_bytes();
                assert!(!holds(&public, b"hello", &joined(r, s)));
                assert!(!holds(&r, b"hello", &signature));
            }
        }
        for at in 0..64 {
            for bit in 0..8 {
                let mut changed = signature;
                changed.0[at] ^= 1 << bit;
                assert!(!holds(&public, b"hello", &changed));
            }
        }
    }
}
