//! Time as the machines see it: told by the driver at every call, never read.

use std::time::Duration;

/// One moment, as the driver reads its two clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Now {
    /// A clock that never jumps, since any fixed moment. All deadlines are on it.
    pub monotonic: Duration,
    /// Milliseconds since 1970-01-01 UTC. Decides expiry and is shown to people, nothing else.
    pub unix_ms: u64,
}

impl Now {
    /// The same moment, `by` later on both clocks.
    pub fn after(self, by: Duration) -> Self {
        let ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        Self { monotonic: self.monotonic + by, unix_ms: self.unix_ms.saturating_add(ms) }
    }
}
