//! What each address takes of the server: connections, how fast they come, and how many clients are told of theirs.

use std::collections::BTreeMap;

use super::bans::Source;
use super::bucket::Bucket;
use super::terms::Rate;
use crate::time::Now;

/// Places of addresses with no connection that are looked through only when there are more of them.
const SPARE: usize = 1024;

/// What one address, and all of them, may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeatLimits {
    /// Connections in total.
    pub total: usize,
    /// Connections of one address.
    pub per_source: usize,
    /// New connections of one address.
    pub arrivals: Rate,
    /// Clients told of arrivals that clients of one address cause.
    pub notices: Rate,
}

/// Why somebody gets no seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoSeat {
    /// All are taken.
    Full,
    /// The address has as many as it may.
    SourceFull,
    /// The address takes them too fast.
    TooFast,
}

#[derive(Debug, Default)]
struct Place {
    taken: usize,
    arrivals: Bucket,
    notices: Bucket,
}

/// The seats of one server. Every [`handle_enter`](Self::handle_enter) that succeeds is given back with
/// [`handle_leave`](Self::handle_leave).
#[derive(Debug)]
pub struct Seats {
    limits: SeatLimits,
    taken: usize,
    places: BTreeMap<Source, Place>,
    /// When to look for places that are not needed any more.
    look_at: usize,
}

impl Seats {
    /// All are free.
    pub fn new(limits: SeatLimits) -> Self {
        Self { limits, taken: 0, places: BTreeMap::new(), look_at: SPARE }
    }

    /// Other limits from now on; whoever is inside stays.
    pub fn set_limits(&mut self, limits: SeatLimits) {
        self.limits = limits;
    }

    /// How many are taken.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// How many each address has, of those that have any.
    pub fn by_source(&self) -> impl Iterator<Item = (Source, usize)> {
        self.places.iter().map(|(source, place)| (*source, place.taken)).filter(|(_, taken)| *taken > 0)
    }

    /// A connection comes.
    pub fn handle_enter(&mut self, source: Source, now: Now) -> Result<(), NoSeat> {
        if self.taken >= self.limits.total {
            return Err(NoSeat::Full);
        }
        if self.places.len() >= self.look_at {
            self.places.retain(|_, place| place.is_needed(now));
            self.look_at = 2 * self.places.len() + SPARE;
        }
        let place = self.places.entry(source).or_default();
        if place.taken >= self.limits.per_source {
            return Err(NoSeat::SourceFull);
        }
        if !place.arrivals.take(self.limits.arrivals, 1, now.monotonic) {
            return Err(NoSeat::TooFast);
        }
        place.taken += 1;
        self.taken += 1;
        Ok(())
    }

    /// A client there has entered a room, and so many were told. False if that is too many: then the client is to go.
    pub fn handle_notices(&mut self, source: Source, told: usize, now: Now) -> bool {
        let notices = self.limits.notices;
        let place = self.places.get_mut(&source);
        place.is_none_or(|place| place.notices.take(notices, told as u64, now.monotonic))
    }

    /// A connection is gone.
    pub fn handle_leave(&mut self, source: Source) {
        if let Some(place) = self.places.get_mut(&source) {
            place.taken = place.taken.saturating_sub(1);
            self.taken = self.taken.saturating_sub(1);
        }
    }
}

impl Place {
    fn is_needed(&self, now: Now) -> bool {
        self.taken > 0 || !self.arrivals.is_full(now.monotonic) || !self.notices.is_full(now.monotonic)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Duration;

    use super::*;

    const LIMITS: SeatLimits = SeatLimits {
        total: 5,
        per_source: 3,
        arrivals: Rate { per_second: 1, burst: 4 },
        notices: Rate { per_second: 100, burst: 250 },
    };

    fn at(seconds: u64) -> Now {
        Now { monotonic: Duration::from_secs(seconds), unix_ms: 0 }
    }

    fn source(n: u32) -> Source {
        IpAddr::from((0x0a00_0000 + n).to_be_bytes()).into()
    }

    #[test]
    fn rv5_seats_are_limited_in_total_by_address_and_by_the_second() {
        let mut seats = Seats::new(LIMITS);
        let enter = |seats: &mut Seats, n, seconds| seats.handle_enter(source(n), at(seconds));
        assert_eq!([1, 1, 1].map(|n| enter(&mut seats, n, 0)), [Ok(()); 3]);
        assert_eq!(enter(&mut seats, 1, 0), Err(NoSeat::SourceFull));
        seats.handle_leave(source(1));
        assert_eq!(enter(&mut seats, 1, 0), Ok(()));
        seats.handle_leave(source(1));
        assert_eq!(enter(&mut seats, 1, 0), Err(NoSeat::TooFast), "four at once, then one a second");
        assert_eq!(enter(&mut seats, 1, 1), Ok(()));
        assert_eq!([2, 2].map(|n| enter(&mut seats, n, 1)), [Ok(()); 2]);
        assert_eq!(enter(&mut seats, 3, 1), Err(NoSeat::Full));
        assert_eq!(seats.by_source().collect::<Vec<_>>(), [(source(1), 3), (source(2), 2)]);
    }

    #[test]
    fn rv5_an_address_that_makes_a_crowd_hear_too_much_is_found() {
        let mut seats = Seats::new(LIMITS);
        seats.handle_enter(source(1), at(0)).unwrap();
        seats.handle_enter(source(2), at(0)).unwrap();
        assert!(seats.handle_notices(source(1), 200, at(0)));
        assert!(!seats.handle_notices(source(1), 100, at(0)));
        assert!(seats.handle_notices(source(2), 100, at(0)));
        assert!(seats.handle_notices(source(1), 100, at(1)));
    }

    #[test]
    fn rv5_memory_of_those_who_left_is_bounded() {
        let mut seats = Seats::new(LIMITS);
        for n in 0..100_000 {
            seats.handle_enter(source(n), at(u64::from(n) / 100)).unwrap();
            seats.handle_leave(source(n));
            assert!(seats.places.len() <= 3 * SPARE);
        }
        assert_eq!(seats.taken(), 0);
    }
}
