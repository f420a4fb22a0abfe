//! XChaCha20-Poly1305 with a random nonce in front: announcements and proofs (PROTOCOL §6).

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

use super::Rng;

/// Bytes that sealing adds: 24 of nonce, 16 of tag.
pub const OVERHEAD: usize = 40;

/// `nonce ‖ ciphertext ‖ tag`, bound to the associated data `ad`.
pub fn seal(key: &[u8; 32], ad: &[u8], plain: &[u8], rng: &mut Rng) -> Vec<u8> {
    let nonce: [u8; 24] = rng.bytes();
    let cipher = XChaCha20Poly1305::new(key.into());
    let mut out = nonce.to_vec();
    // Encryption fails only beyond 256 GiB, which nothing here approaches.
    out.extend(
        cipher.encrypt(XNonce::from_slice(&nonce), Payload { msg: plain, aad: ad }).unwrap_or_default(),
    );
    out
}

/// What was sealed, or `None` if it was not sealed with this key and `ad`.
pub fn open(key: &[u8; 32], ad: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    if sealed.len() < OVERHEAD {
        return None;
    }
    let (nonce, ciphertext) = sealed.split_at(24);
    let cipher = XChaCha20Poly1305::new(key.into());
    cipher.decrypt(XNonce::from_slice(nonce), Payload { msg: ciphertext, aad: ad }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_only_with_the_same_key_and_data() {
        let mut rng = Rng::from_seed([0; 32]);
        let sealed = seal(&[1; 32], b"ad", b"plain", &mut rng);
        assert_eq!(sealed.len(), 5 + OVERHEAD);
        assert_eq!(open(&[1; 32], b"ad", &sealed).as_deref(), Some(&b"plain"[..]));
        assert_eq!(open(&[2; 32], b"ad", &sealed), None);
        assert_eq!(open(&[1; 32], b"da", &sealed), None);
        assert_eq!(open(&[1; 32], b"ad", &sealed[..39]), None);
    }
}
