//! Who may connect: bans, and seats in total and per address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
    connections: usize,
    connections_per_address: usize,
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    bans: Bans,
    total: usize,
    by_source: HashMap<Source, usize>,
}

/// A place at the server; given back when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    door: Arc<Door>,
    source: Source,
    /// Closed once the last seat is given back.
    _open: mpsc::Sender<()>,
}

impl Door {
    pub(crate) fn new(connections: usize, connections_per_address: usize, bans: bool) -> Self {
        Self { bans, connections, connections_per_address, inside: Mutex::default() }
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
        if inside.total >= self.connections {
            return Err(Turned::Full);
        }
        let here = inside.by_source.entry(source).or_default();
        if *here >= self.connections_per_address {
            return Err(Turned::AddressFull);
        }
        *here += 1;
        inside.total += 1;
        Ok(Seat { door: Arc::clone(self), source, _open: open.clone() })
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

impl Drop for Seat {
    fn drop(&mut self) {
        let mut inside = self.door.lock();
        inside.total -= 1;
        if let Some(here) = inside.by_source.get_mut(&self.source) {
            *here -= 1;
            if *here == 0 {
                inside.by_source.remove(&self.source);
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
}
