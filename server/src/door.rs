//! Who may connect: bans, and seats in total and per address.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use symbolon_core::rendezvous::{Banned, Bans, NoSeat, SeatLimits, Seats, Source};
use symbolon_core::time::Now;
use tokio::sync::mpsc;

/// Why somebody is not let in. Nobody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turned {
    Banned,
    NoSeat(NoSeat),
}

/// Asked once per connection and when somebody enters a room, never while a signal is relayed.
#[derive(Debug)]
pub(crate) struct Door {
    bans: bool,
    inside: Mutex<Inside>,
}

#[derive(Debug)]
struct Inside {
    bans: Bans,
    seats: Seats,
}

/// A place at the server; given back when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    door: Arc<Door>,
    source: Source,
    /// Closed once the last seat is given back.
    _open: mpsc::Sender<()>,
}

/// Who is inside and who waits outside, for the operator.
#[derive(Debug, Clone)]
#[allow(dead_code)]
pub(crate) struct DoorSnapshot {
    /// Connections.
    pub(crate) taken: usize,
    /// The addresses with the most connections, most first.
    pub(crate) busiest: Vec<(Source, usize)>,
    /// The addresses that wait, those that wait longest first.
    pub(crate) banned: Vec<Banned>,
    /// How many addresses wait.
    pub(crate) banned_count: usize,
}

impl Door {
    pub(crate) fn new(seats: SeatLimits, bans: bool) -> Self {
        Self { bans, inside: Mutex::new(Inside { bans: Bans::default(), seats: Seats::new(seats) }) }
    }

    /// A seat for a connection from `address`.
    pub(crate) fn enter(
        self: &Arc<Self>,
        address: IpAddr,
        open: &mpsc::Sender<()>,
        now: Now,
    ) -> Result<Seat, Turned> {
        let source = Source::from(address);
        let mut inside = self.lock();
        if inside.bans.waiting(source, now).is_some() {
            return Err(Turned::Banned);
        }
        inside.seats.handle_enter(source, now).map_err(Turned::NoSeat)?;
        Ok(Seat { door: Arc::clone(self), source, _open: open.clone() })
    }

    /// Other limits from now on.
    #[allow(dead_code)]
    pub(crate) fn set_limits(&self, seats: SeatLimits) {
        self.lock().seats.set_limits(seats);
    }

    /// What the operator is shown, with at most `most` addresses of each kind.
    #[allow(dead_code)]
    pub(crate) fn snapshot(&self, most: usize, now: Now) -> DoorSnapshot {
        let inside = self.lock();
        let mut busiest: Vec<_> = inside.seats.by_source().collect();
        busiest.sort_by_key(|(_, taken)| std::cmp::Reverse(*taken));
        busiest.truncate(most);
        let mut banned: Vec<_> = inside.bans.all_waiting(now).collect();
        banned.sort_by_key(|banned| std::cmp::Reverse(banned.wait));
        let banned_count = banned.len();
        banned.truncate(most);
        DoorSnapshot { taken: inside.seats.taken(), busiest, banned, banned_count }
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// The client here broke the protocol; says how long its address waits.
    pub(crate) fn offence(&self, now: Now) -> Option<Duration> {
        self.door.bans.then(|| self.door.lock().bans.handle_offence(self.source, now))
    }
}

impl Seat {
    /// A client here has entered a room, and so many are told. False if that is too many.
    pub(crate) fn told(&self, clients: usize, now: Now) -> bool {
        self.door.lock().seats.handle_notices(self.source, clients, now)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.door.lock().seats.handle_leave(self.source);
    }
}

#[cfg(test)]
mod tests {
    use symbolon_core::rendezvous::Rate;

    use super::*;

    #[test]
    fn rv5_seats_are_limited_and_given_back_and_the_operator_sees_who_has_them() {
        let rate = Rate { per_second: 100, burst: 100 };
        let door =
            Arc::new(Door::new(SeatLimits { total: 3, per_source: 2, arrivals: rate, notices: rate }, true));
        let (open, _) = mpsc::channel(1);
        let now = Now { monotonic: Duration::ZERO, unix_ms: 0 };
        let enter = |n: u8| door.enter(IpAddr::from([192, 0, 2, n]), &open, now);
        let (first, _second) = (enter(1).unwrap(), enter(1).unwrap());
        assert_eq!(enter(1).unwrap_err(), Turned::NoSeat(NoSeat::SourceFull));
        let third = enter(2).unwrap();
        assert_eq!(enter(3).unwrap_err(), Turned::NoSeat(NoSeat::Full));
        drop(third);
        assert!(enter(3).is_ok());
        assert_eq!(first.offence(now), Some(Duration::from_secs(1)));
        drop(first);
        assert_eq!(enter(1).unwrap_err(), Turned::Banned);
        let seen = door.snapshot(10, now);
        let one = Source::from(IpAddr::from([192, 0, 2, 1]));
        assert_eq!((seen.taken, seen.busiest, seen.banned_count), (1, vec![(one, 1)], 1));
        assert_eq!(seen.banned[0].source, one);
    }
}
