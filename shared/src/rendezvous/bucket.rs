//! A token bucket in eight bytes (the generic cell rate algorithm, ITU-T I.371).

use std::time::Duration;

use super::terms::Rate;

/// The use made of one [`Rate`].
#[derive(Debug, Clone, Copy, Default)]
pub struct Bucket {
    /// When the bucket will be full again, in nanoseconds of the driver's clock.
    full_at: u64,
}

impl Bucket {
    /// Takes `units`, or says no and takes nothing.
    pub fn take(&mut self, rate: Rate, units: u64, now: Duration) -> bool {
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let nanos = |units: u64| units.saturating_mul(1_000_000_000) / rate.per_second.max(1);
        let full_at = self.full_at.max(now).saturating_add(nanos(units));
        if full_at - now > nanos(rate.burst) {
            return false;
        }
        self.full_at = full_at;
        true
    }

    /// Whether nothing is missing.
    pub fn is_full(self, now: Duration) -> bool {
        u128::from(self.full_at) <= now.as_nanos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rv5_a_burst_then_the_steady_rate() {
        let rate = Rate { per_second: 10, burst: 3 };
        let mut bucket = Bucket::default();
        let at = Duration::from_millis;
        assert_eq!([0, 0, 0, 0].map(|t| bucket.take(rate, 1, at(t))), [true, true, true, false]);
        assert_eq!([99, 100, 150, 200].map(|t| bucket.take(rate, 1, at(t))), [false, true, false, true]);
        assert_eq!([9000, 9000, 9000, 9000].map(|t| bucket.take(rate, 1, at(t))), [true, true, true, false]);
        assert!(!bucket.take(rate, 4, at(100_000)), "more than a burst never fits");
    }
}
