//! Who may connect: bans, and seats in total and per address.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
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
    /// Seats in total, known ones and others.
    total: usize,
    /// Connections of listed proxies of which it is not known yet for whom they are.
    unnamed: usize,
}

/// A place at the server; given back when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    door: Arc<Door>,
    /// Nothing while a proxy has not said for whom it is.
    source: OnceLock<Source>,
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
        let total = seats.total;
        let inside = Inside { bans: Bans::default(), seats: Seats::new(seats), total, unnamed: 0 };
        Self { bans, inside: Mutex::new(inside) }
    }

    /// A seat for a connection from `address`.
    pub(crate) fn enter(
        self: &Arc<Self>,
        address: IpAddr,
        open: &mpsc::Sender<()>,
        now: Now,
    ) -> Result<Seat, Turned> {
        let seat = self.enter_unnamed(open)?;
        seat.sit(address, now)?;
        Ok(seat)
    }

    /// A seat for a connection from a listed proxy, which is to say for whom it is.
    pub(crate) fn enter_unnamed(self: &Arc<Self>, open: &mpsc::Sender<()>) -> Result<Seat, Turned> {
        let mut inside = self.lock();
        if inside.seats.taken() + inside.unnamed >= inside.total {
            return Err(Turned::NoSeat(NoSeat::Full));
        }
        inside.unnamed += 1;
        Ok(Seat { door: Arc::clone(self), source: OnceLock::new(), _open: open.clone() })
    }

    /// Other limits from now on.
    pub(crate) fn set_limits(&self, seats: SeatLimits) {
        let mut inside = self.lock();
        inside.total = seats.total;
        inside.seats.set_limits(seats);
    }

    /// What the operator is shown, with at most `most` addresses of each kind.
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
    /// Says for whom it is. Only the first who sits counts: a connection has one client.
    pub(crate) fn sit(&self, address: IpAddr, now: Now) -> Result<(), Turned> {
        let source = Source::from(address);
        let mut inside = self.door.lock();
        if inside.bans.waiting(source, now).is_some() {
            return Err(Turned::Banned);
        }
        if self.source.get().is_some() {
            return Ok(());
        }
        inside.seats.handle_enter(source, now).map_err(Turned::NoSeat)?;
        inside.unnamed -= 1;
        let _ = self.source.set(source);
        Ok(())
    }

    /// The client here broke the protocol; says how long its address waits.
    pub(crate) fn offence(&self, now: Now) -> Option<Duration> {
        let source = *self.source.get()?;
        self.door.bans.then(|| self.door.lock().bans.handle_offence(source, now))
    }
}

impl Seat {
    /// A client here has entered a room, and so many are told. False if that is too many.
    pub(crate) fn told(&self, clients: usize, now: Now) -> bool {
        self.source.get().is_none_or(|source| self.door.lock().seats.handle_notices(*source, clients, now))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut inside = self.door.lock();
        match self.source.get() {
            Some(source) => inside.seats.handle_leave(*source),
            None => inside.unnamed -= 1,
        }
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

    #[test]
    fn rv6_a_seat_behind_a_proxy_counts_for_the_client_once_it_is_known() {
        let rate = Rate { per_second: 100, burst: 100 };
        let limits = SeatLimits { total: 3, per_source: 1, arrivals: rate, notices: rate };
        let door = Arc::new(Door::new(limits, true));
        let (open, _) = mpsc::channel(1);
        let now = Now { monotonic: Duration::ZERO, unix_ms: 0 };
        let [one, two, _three] = [(); 3].map(|()| door.enter_unnamed(&open).unwrap());
        assert_eq!(door.enter_unnamed(&open).unwrap_err(), Turned::NoSeat(NoSeat::Full));
        let at = |n: u8| IpAddr::from([192, 0, 2, n]);
        one.sit(at(1), now).unwrap();
        assert_eq!(two.sit(at(1), now), Err(Turned::NoSeat(NoSeat::SourceFull)));
        two.sit(at(2), now).unwrap();
        assert_eq!(two.offence(now), Some(Duration::from_secs(1)));
        assert_eq!(two.sit(at(2), now), Err(Turned::Banned), "also for a further request");
        drop(one);
        door.enter(at(1), &open, now).unwrap();
    }
}
