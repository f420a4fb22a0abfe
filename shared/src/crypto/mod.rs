//! Keys, sealing and handshakes. Every primitive comes from a kept crate; nothing is invented here.

pub mod keys;
pub mod noise;
pub mod seal;

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit as _, StreamCipher as _};
use rand_core::{CryptoRng, RngCore};

/// The randomness of one machine: `ChaCha20`, seeded once by the driver. Its words are those of `rand_chacha`, without a
/// second implementation of the cipher in what a browser downloads.
///
/// A machine never asks the system for randomness, so one seed replays a run to the byte.
pub struct Rng(ChaCha20);

impl Rng {
    /// From 32 bytes of the driver's choice: the system's randomness in a product, a test's number in a test.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(ChaCha20::new(&seed.into(), &[0; 12].into()))
    }

    /// `N` fresh bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.fill_bytes(&mut out);
        out
    }

    /// A generator of its own, split off this one.
    pub fn split(&mut self) -> Self {
        Self::from_seed(self.bytes())
    }

    /// A number in `0..bound`, or 0 when `bound` is 0. Good for jitter, not for keys.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next_u64() % bound }
    }
}

impl RngCore for Rng {
    fn next_u32(&mut self) -> u32 {
        u32::from_le_bytes(self.bytes())
    }

    fn next_u64(&mut self) -> u64 {
        u64::from_le_bytes(self.bytes())
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        dest.fill(0);
        self.0.apply_keystream(dest);
        // Whole words are taken.
        let mut rest = [0; 4];
        self.0.apply_keystream(&mut rest[..dest.len().next_multiple_of(4) - dest.len()]);
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(dest);
        Ok(())
    }
}

impl CryptoRng for Rng {}

impl std::fmt::Debug for Rng {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rng(…)")
    }
}

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng as _;

    use super::*;

    proptest::proptest! {
        #[test]
        fn the_randomness_is_that_of_rand_chacha(seed: [u8; 32], steps in proptest::collection::vec(0usize..300, 0..40)) {
            let (mut rng, mut known) = (Rng::from_seed(seed), rand_chacha::ChaCha20Rng::from_seed(seed));
            for step in steps {
                let (mut bytes, mut of_known) = (vec![7; step], vec![8; step]);
                match step % 5 {
                    0 => proptest::prop_assert_eq!(rng.next_u32(), known.next_u32()),
                    1 => proptest::prop_assert_eq!(rng.next_u64(), known.next_u64()),
                    _ => {
                        rng.fill_bytes(&mut bytes);
                        known.fill_bytes(&mut of_known);
                        proptest::prop_assert_eq!(bytes, of_known);
                    }
                }
            }
        }
    }
}
