//! How much is said to those who have shown no credentials: their address may be somebody else's, who would get it all.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use symbolon_core::rendezvous::{Bucket, Rate, Source};

/// Addresses remembered; beyond, all newcomers share one bucket until some are forgotten.
const KNOWN: usize = 8192;

/// When it is worth looking again for addresses to forget.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Strangers {
    rate: Rate,
    buckets: HashMap<Source, Bucket>,
    others: Bucket,
    swept: Duration,
}

impl Strangers {
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, buckets: HashMap::new(), others: Bucket::default(), swept: Duration::ZERO }
    }

    /// Whether one more answer may go to this address.
    pub(super) fn may_answer(&mut self, address: IpAddr, now: Duration) -> bool {
        let source = Source::from(address);
        if self.buckets.len() >= KNOWN && !self.buckets.contains_key(&source) {
            if now >= self.swept + SWEEP_EVERY {
                self.swept = now;
                self.buckets.retain(|_, bucket| !bucket.is_full(now));
            }
            if self.buckets.len() >= KNOWN {
                return self.others.take(self.rate, 1, now);
            }
        }
        self.buckets.entry(source).or_default().take(self.rate, 1, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rv7_a_flood_from_made_up_addresses_is_answered_little_and_remembered_in_bounds() {
        let rate = Rate { per_second: 1, burst: 2 };
        let mut strangers = Strangers::new(rate);
        let now = Duration::from_secs(5);
        let address = |n: u32| IpAddr::from(n.to_be_bytes());
        let answers = (0..100_000).filter(|n| strangers.may_answer(address(*n), now)).count();
        assert_eq!(answers, KNOWN + 2);
        assert_eq!(strangers.buckets.len(), KNOWN);
        let later = now + Duration::from_secs(10);
        assert!(strangers.may_answer(address(200_000), later));
        assert_eq!(strangers.buckets.len(), 1);
    }
}
