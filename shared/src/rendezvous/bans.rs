//! How long the address of a client that broke the protocol waits before it is served again.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use crate::time::Now;

/// The wait after a first offence; each further one doubles it.
pub const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest wait.
pub const LONGEST_WAIT: Duration = Duration::from_secs(10 * 60);

/// The longest wait of a loopback address: everybody on the machine, and everybody behind a proxy on it, shares it.
pub const LONGEST_LOOPBACK_WAIT: Duration = Duration::from_secs(8);

/// One offence is forgotten for each such time without a further one.
pub const FORGOTTEN_AFTER: Duration = Duration::from_secs(2 * 60);

/// Addresses remembered, at about 150 bytes each; the one that would be forgotten first makes room.
pub const MOST_SOURCES: usize = 16 * 1024;

/// After so many offences the wait is the longest and counting stops.
const MOST_STRIKES: u32 = 11;

/// Where connections come from: an IPv4 address, or the /64 that one IPv6 subscriber has to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source(IpAddr);

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(v6) if !v6.is_loopback() => {
                let [a, b, c, d, ..] = v6.segments();
                Self(IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)))
            }
            other => Self(other),
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            IpAddr::V6(v6) if !v6.is_loopback() => write!(f, "{v6}/64"),
            other => write!(f, "{other}"),
        }
    }
}

/// An address that waits, for the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Banned {
    /// The address.
    pub source: Source,
    /// How much longer it waits.
    pub wait: Duration,
    /// How many offences are remembered.
    pub strikes: u32,
}

#[derive(Debug, Clone, Copy)]
struct Record {
    strikes: u32,
    last: Duration,
    until: Duration,
}

impl Record {
    fn forgotten_at(&self) -> Duration {
        self.until.max(self.last + FORGOTTEN_AFTER * self.strikes)
    }
}

/// The addresses that wait.
#[derive(Debug, Default)]
pub struct Bans {
    records: BTreeMap<Source, Record>,
    /// The same, by when they are forgotten.
    order: BTreeSet<(Duration, Source)>,
}

impl Bans {
    /// How much longer `source` waits, if it does.
    pub fn waiting(&self, source: Source, now: Now) -> Option<Duration> {
        let until = self.records.get(&source)?.until;
        until.checked_sub(now.monotonic).filter(|wait| !wait.is_zero())
    }

    /// All that wait.
    pub fn all_waiting(&self, now: Now) -> impl Iterator<Item = Banned> {
        self.records.iter().filter_map(move |(source, record)| {
            let wait = record.until.checked_sub(now.monotonic).filter(|wait| !wait.is_zero())?;
            Some(Banned { source: *source, wait, strikes: record.strikes })
        })
    }

    /// A client at `source` broke the protocol; says how long it waits now.
    pub fn handle_offence(&mut self, source: Source, now: Now) -> Duration {
        let now = now.monotonic;
        let strikes = match self.records.remove(&source) {
            None => 1,
            Some(record) => {
                self.order.remove(&(record.forgotten_at(), source));
                let quiet = now.saturating_sub(record.last).as_secs() / FORGOTTEN_AFTER.as_secs();
                let forgiven = u32::try_from(quiet).unwrap_or(u32::MAX);
                record.strikes.saturating_sub(forgiven).saturating_add(1).min(MOST_STRIKES)
            }
        };
        let longest = if source.0.is_loopback() { LONGEST_LOOPBACK_WAIT } else { LONGEST_WAIT };
        let wait = (FIRST_WAIT * (1 << (strikes - 1))).min(longest);
        let record = Record { strikes, last: now, until: now + wait };
        self.forget(now);
        self.records.insert(source, record);
        self.order.insert((record.forgotten_at(), source));
        wait
    }

    /// Makes room for one more.
    fn forget(&mut self, now: Duration) {
        while let Some((at, source)) = self.order.first().copied() {
            if at > now && self.records.len() < MOST_SOURCES {
                break;
            }
            self.order.pop_first();
            self.records.remove(&source);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Now {
        Now { monotonic: Duration::from_secs(seconds), unix_ms: 0 }
    }

    fn source(text: &str) -> Source {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn rv5_each_offence_waits_longer_and_good_behaviour_is_remembered_too() {
        let mut bans = Bans::default();
        let one = source("192.0.2.1");
        let waits: Vec<u64> = (0..12).map(|_| bans.handle_offence(one, at(0)).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]);
        assert_eq!(bans.waiting(one, at(599)), Some(Duration::from_secs(1)));
        let banned = Banned { source: one, wait: Duration::from_secs(1), strikes: 11 };
        assert_eq!(bans.all_waiting(at(599)).collect::<Vec<_>>(), [banned]);
        assert_eq!(bans.waiting(one, at(600)), None);
        assert_eq!(bans.all_waiting(at(600)).count(), 0);
        assert_eq!(bans.waiting(source("192.0.2.2"), at(0)), None);
        // Ten of the eleven strikes are forgotten after twenty minutes.
        assert_eq!(bans.handle_offence(one, at(20 * 60)).as_secs(), 2);
        assert_eq!(bans.handle_offence(one, at(10_000)).as_secs(), 1);
    }

    #[test]
    fn rv5_a_loopback_address_never_waits_long() {
        let mut bans = Bans::default();
        let waits = [0; 6].map(|t| bans.handle_offence(source("::1"), at(t)).as_secs());
        assert_eq!(waits, [1, 2, 4, 8, 8, 8]);
    }

    #[test]
    fn rv5_one_subscriber_is_one_source() {
        assert_eq!(source("2001:db8:1:2:3::4"), source("2001:db8:1:2:ffff::1"));
        assert_ne!(source("2001:db8:1:2::4"), source("2001:db8:1:3::4"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
        assert_eq!(source("2001:db8:1:2:3::4").to_string(), "2001:db8:1:2::/64");
        assert_eq!(source("192.0.2.1").to_string(), "192.0.2.1");
    }

    #[test]
    fn rv5_memory_of_offenders_is_bounded() {
        let mut bans = Bans::default();
        for n in 0..u32::try_from(MOST_SOURCES).unwrap() + 100 {
            bans.handle_offence(
                IpAddr::from((0x0a00_0000 + n).to_be_bytes()).into(),
                at(u64::from(n / 1000)),
            );
        }
        assert_eq!(bans.records.len(), MOST_SOURCES);
        assert_eq!(bans.order.len(), MOST_SOURCES);
        bans.handle_offence(source("192.0.2.1"), at(1_000_000));
        assert_eq!(bans.records.len(), 1);
    }
}
