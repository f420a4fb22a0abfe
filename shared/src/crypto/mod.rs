//! Keys, sealing and handshakes. Every primitive comes from a kept crate; nothing is invented here.

pub mod keys;
pub mod noise;
pub mod seal;

use rand_core::{CryptoRng, RngCore, SeedableRng as _};

/// The randomness of one machine: `ChaCha20`, seeded once by the driver.
///
/// A machine never asks the system for randomness, so one seed replays a run to the byte.
#[derive(Clone)]
pub struct Rng(rand_chacha::ChaCha20Rng);

impl Rng {
    /// From 32 bytes of the driver's choice: the system's randomness in a product, a test's number in a test.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(rand_chacha::ChaCha20Rng::from_seed(seed))
    }

    /// `N` fresh bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.0.fill_bytes(&mut out);
        out
    }

    /// A generator of its own, split off this one.
    pub fn split(&mut self) -> Self {
        Self::from_seed(self.bytes())
    }

    /// A number in `0..bound`, or 0 when `bound` is 0. Good for jitter, not for keys.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.0.next_u64() % bound }
    }
}

impl RngCore for Rng {
    fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        self.0.fill_bytes(dest);
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), rand_core::Error> {
        self.0.try_fill_bytes(dest)
    }
}

impl CryptoRng for Rng {}

impl std::fmt::Debug for Rng {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rng(…)")
    }
}
