//! Who may connect: bans, and seats in total and per address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use symbolon_core::rendezvous::{Bans, Source};
use symbolon_core::time::Now;
use tokio::sync::mpsc;

/// Why somebody is not let in. Nobody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turned {
    Banned,
    Full,
    AddressFull,
}

/// Asked once per connection, never while a signal is relayed.
#[derive(Debug)]
pub(crate) struct Door {
    bans: bool,
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    connections: usize,
    connections_per_address: usize,
    bans: Bans,
    total: usize,
    by_source: HashMap<Source, usize>,
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

impl Door {
    pub(crate) fn new(connections: usize, connections_per_address: usize, bans: bool) -> Self {
        let inside = Inside { connections, connections_per_address, ..Inside::default() };
        Self { bans, inside: Mutex::new(inside) }
    }

    /// Other limits from now on.
    pub(crate) fn set_limits(&self, connections: usize, connections_per_address: usize) {
        let mut inside = self.lock();
        (inside.connections, inside.connections_per_address) = (connections, connections_per_address);
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
        if inside.total + inside.unnamed >= inside.connections {
            return Err(Turned::Full);
        }
        inside.unnamed += 1;
        Ok(Seat { door: Arc::clone(self), source: OnceLock::new(), _open: open.clone() })
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
        let most = inside.connections_per_address;
        let here = inside.by_source.entry(source).or_default();
        if *here >= most {
            return Err(Turned::AddressFull);
        }
        *here += 1;
        inside.total += 1;
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

impl Drop for Seat {
    fn drop(&mut self) {
        let mut inside = self.door.lock();
        let Some(source) = self.source.get() else {
            inside.unnamed -= 1;
            return;
        };
        inside.total -= 1;
        if let Some(here) = inside.by_source.get_mut(source) {
            *here -= 1;
            if *here == 0 {
                inside.by_source.remove(source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rv5_seats_are_limited_and_given_back() {
        let door = Arc::new(Door::new(3, 2, true));
        let (open, _) = mpsc::channel(1);
        let now = Now { monotonic: Duration::ZERO, unix_ms: 0 };
        let enter = |n: u8| door.enter(IpAddr::from([192, 0, 2, n]), &open, now);
        let (first, _second) = (enter(1).unwrap(), enter(1).unwrap());
        assert_eq!(enter(1).unwrap_err(), Turned::AddressFull);
        let third = enter(2).unwrap();
        assert_eq!(enter(3).unwrap_err(), Turned::Full);
        drop(third);
        assert!(enter(3).is_ok());
        assert_eq!(first.offence(now), Some(Duration::from_secs(1)));
        drop(first);
        assert_eq!(enter(1).unwrap_err(), Turned::Banned);
        assert_eq!(door.lock().by_source.len(), 1);
    }

    #[test]
    fn rv6_a_seat_behind_a_proxy_counts_for_the_client_once_it_is_known() {
        let door = Arc::new(Door::new(3, 1, true));
        let (open, _) = mpsc::channel(1);
        let now = Now { monotonic: Duration::ZERO, unix_ms: 0 };
        let [one, two, _three] = [(); 3].map(|()| door.enter_unnamed(&open).unwrap());
        assert_eq!(door.enter_unnamed(&open).unwrap_err(), Turned::Full);
        let at = |n: u8| IpAddr::from([192, 0, 2, n]);
        one.sit(at(1), now).unwrap();
        assert_eq!(two.sit(at(1), now), Err(Turned::AddressFull));
        two.sit(at(2), now).unwrap();
        assert_eq!(two.offence(now), Some(Duration::from_secs(1)));
        assert_eq!(two.sit(at(2), now), Err(Turned::Banned), "also for a further request");
        drop(one);
        door.enter(at(1), &open, now).unwrap();
    }
}
