//! The hash of a run.

use std::time::Duration;

use crate::crypto::keys::sha256;

/// All that happened, as one hash. Two runs with the same trace were the same to the byte.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Trace {
    hash: [u8; 32],
    events: u64,
    log: Option<Vec<String>>,
}

impl Trace {
    /// The hash.
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// How many things happened.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// What happened, in words, if that was asked for.
    pub fn log(&self) -> &[String] {
        self.log.as_deref().unwrap_or_default()
    }

    pub(super) fn keep_log(&mut self) {
        self.log.get_or_insert_with(Vec::new);
    }

    pub(super) fn note(&mut self, now: Duration, what: &str, who: u64, bytes: &[u8]) {
        let time = u64::try_from(now.as_micros()).unwrap_or(u64::MAX).to_be_bytes();
        self.hash =
            sha256(&[&self.hash[..], &time, what.as_bytes(), &who.to_be_bytes(), &sha256(bytes)].concat());
        self.events += 1;
        if let Some(log) = &mut self.log {
            let text: String = String::from_utf8_lossy(bytes).chars().take(160).collect();
            log.push(format!("{:>10.3} {what} {who} {}", now.as_secs_f64(), text.escape_debug()));
        }
    }
}

impl std::fmt::Debug for Trace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let first = self.hash.iter().take(8).fold(0u64, |first, byte| first << 8 | u64::from(*byte));
        write!(f, "Trace({first:016x}, {} events)", self.events)
    }
}
