//! What is counted, and the text in which Prometheus takes it.
//!
//! What happens per signal adds to a cell of the thread's own; what happens per connection takes a lock, as the door
//! does anyway; what can be looked up is looked up when somebody asks.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use symbolon_core::rendezvous::{CloseReason, NoSeat};
use symbolon_core::signal::RefusalCode;

use crate::control::Control;
use crate::door::Turned;
use crate::gate::NotPassed;

/// Connections let in.
pub(crate) const ACCEPTED: &str = "symbolon_connections_accepted_total";
/// Connections turned away, by reason.
pub(crate) const TURNED: &str = "symbolon_turned_away_total";
/// Signed in or not, closed by reason.
pub(crate) const CLOSED: &str = "symbolon_closed_total";

/// Every reason, so that a first one shows as a change.
const REASONS: [(&str, &[&str]); 3] = [
    (ACCEPTED, &[""]),
    (TURNED, &["banned", "full", "address_full", "too_fast", "broken", "late", "not_tls"]),
    (
        CLOSED,
        &[
            "gone",
            "no_hello",
            "violation",
            "dead",
            "idle",
            "slow_reader",
            "full",
            "rate_limited",
            "wrong_origin",
            "unsupported_version",
            "clock_skew",
            "bad_signature",
            "session_in_use",
            "shutting_down",
            "refused",
        ],
    ),
];

/// Upper bounds of the buckets of handshakes.
const BOUNDS_MS: [u64; 12] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 10_000];

/// Cells of a counter; threads share one if there are more of them.
const CELLS: usize = 16;

/// All counters of one server.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) started: Instant,
    messages: Spread,
    bytes: Spread,
    counts: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
    /// TLS handshakes.
    pub(crate) tls: Histogram,
    /// From the upgrade to the welcome.
    pub(crate) sign_in: Histogram,
}

/// A counter of which each thread has its own cell, on a cache line of its own.
#[derive(Debug, Default)]
struct Spread([Line; CELLS]);

#[derive(Debug, Default)]
#[repr(align(128))]
struct Line(AtomicU64);

/// How long something took, by powers of about two.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; BOUNDS_MS.len() + 1],
    micros: AtomicU64,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let zeros =
            REASONS.iter().flat_map(|(name, reasons)| reasons.iter().map(|reason| ((*name, *reason), 0)));
        Self {
            started: Instant::now(),
            messages: Spread::default(),
            bytes: Spread::default(),
            counts: Mutex::new(zeros.collect()),
            tls: Histogram::default(),
            sign_in: Histogram::default(),
        }
    }

    /// A signal with a body of this size is on its way.
    pub(crate) fn relayed(&self, bytes: usize) {
        self.messages.add(1);
        self.bytes.add(bytes as u64);
    }

    /// One more of these.
    pub(crate) fn count(&self, name: &'static str, reason: &'static str) {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry((name, reason)).or_default() += 1;
    }

    /// What was counted, by name and reason.
    pub(crate) fn counts(&self) -> BTreeMap<(&'static str, &'static str), u64> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Signals relayed, and the bytes of their bodies.
    pub(crate) fn relayed_so_far(&self) -> (u64, u64) {
        (self.messages.sum(), self.bytes.sum())
    }
}

impl Spread {
    fn add(&self, number: u64) {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static MINE: Cell<usize> = Cell::new(NEXT.fetch_add(1, Ordering::Relaxed) % CELLS);
        }
        self.0[MINE.get()].0.fetch_add(number, Ordering::Relaxed);
    }

    fn sum(&self) -> u64 {
        self.0.iter().map(|line| line.0.load(Ordering::Relaxed)).sum()
    }
}

impl Histogram {
    /// It took so long.
    pub(crate) fn observe(&self, took: Duration) {
        let bucket = BOUNDS_MS.iter().position(|bound| took <= Duration::from_millis(*bound));
        self.buckets[bucket.unwrap_or(BOUNDS_MS.len())].fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(took.as_micros() as u64, Ordering::Relaxed);
    }

    fn write(&self, out: &mut String, name: &str, help: &str) {
        head(out, name, "histogram", help);
        let mut sum = 0;
        for (index, bucket) in self.buckets.iter().enumerate() {
            sum += bucket.load(Ordering::Relaxed);
            let bound =
                BOUNDS_MS.get(index).map_or("+Inf".to_owned(), |ms| (*ms as f64 / 1000.0).to_string());
            let _ = writeln!(out, "{name}_bucket{{le=\"{bound}\"}} {sum}");
        }
        let seconds = self.micros.load(Ordering::Relaxed) as f64 / 1e6;
        let _ = writeln!(out, "{name}_sum {seconds}\n{name}_count {sum}");
    }
}

/// The label of a connection turned away.
pub(crate) fn turned(reason: Turned) -> &'static str {
    match reason {
        Turned::Banned => "banned",
        Turned::NoSeat(NoSeat::Full) => "full",
        Turned::NoSeat(NoSeat::SourceFull) => "address_full",
        Turned::NoSeat(NoSeat::TooFast) => "too_fast",
    }
}

/// The label of a connection that did not get to HTTP.
pub(crate) fn not_passed(reason: &NotPassed) -> &'static str {
    match reason {
        NotPassed::Turned(reason) => turned(*reason),
        NotPassed::Broken(_) => "broken",
        NotPassed::Late => "late",
        NotPassed::Plain => "not_tls",
    }
}

/// The label of a close.
pub(crate) fn closed(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::NoHello => "no_hello",
        CloseReason::Violation(_) => "violation",
        CloseReason::Dead => "dead",
        CloseReason::Idle => "idle",
        CloseReason::SlowReader => "slow_reader",
        CloseReason::Refused(code) => match code {
            RefusalCode::Full => "full",
            RefusalCode::RateLimited => "rate_limited",
            RefusalCode::WrongOrigin => "wrong_origin",
            RefusalCode::UnsupportedVersion => "unsupported_version",
            RefusalCode::ClockSkew => "clock_skew",
            RefusalCode::BadSignature => "bad_signature",
            RefusalCode::SessionInUse => "session_in_use",
            RefusalCode::ShuttingDown => "shutting_down",
            _ => "refused",
        },
    }
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
}

fn one(out: &mut String, name: &str, kind: &str, help: &str, value: impl std::fmt::Display) {
    head(out, name, kind, help);
    let _ = writeln!(out, "{name} {value}");
}

/// Everything, in Prometheus' text format 0.0.4.
pub(crate) fn text(control: &Control) -> String {
    let Control { shared, gate, .. } = control;
    let metrics = &shared.metrics;
    let mut out = String::with_capacity(8 * 1024);
    head(&mut out, "symbolon_build_info", "gauge", "The version that runs.");
    let _ = writeln!(out, "symbolon_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
    let started = SystemTime::now().checked_sub(metrics.started.elapsed());
    let started = started.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    one(&mut out, "process_start_time_seconds", "gauge", "When it started.", started.as_secs());
    if let Some(bytes) = resident_bytes() {
        one(&mut out, "process_resident_memory_bytes", "gauge", "Memory in use.", bytes);
    }

    let [sockets, sessions, rooms] = shared.registry.counts();
    let door = gate.snapshot(0, shared.clock.now());
    one(&mut out, "symbolon_connections", "gauge", "Connections, HTTP included.", door.taken);
    one(&mut out, "symbolon_websockets", "gauge", "WebSockets, signed in or not.", sockets);
    one(&mut out, "symbolon_sessions", "gauge", "Clients signed in.", sessions);
    one(&mut out, "symbolon_rooms", "gauge", "Rooms with somebody in them.", rooms);
    one(&mut out, "symbolon_banned_addresses", "gauge", "Addresses that wait.", door.banned_count);
    let stopping = u8::from(shared.registry.stopping());
    one(&mut out, "symbolon_draining", "gauge", "Whether clients are told to go elsewhere.", stopping);

    let (messages, bytes) = metrics.relayed_so_far();
    one(&mut out, "symbolon_relayed_messages_total", "counter", "Signals relayed.", messages);
    one(&mut out, "symbolon_relayed_bytes_total", "counter", "Bytes of their bodies.", bytes);

    let (most, waiting) = shared.registry.backlog();
    let held = shared.budget.held();
    one(&mut out, "symbolon_buffer_bytes", "gauge", "Bytes held for all clients.", held);
    one(&mut out, "symbolon_outbox_longest_bytes", "gauge", "Bytes that wait for the slowest client.", most);
    one(&mut out, "symbolon_outbox_waiting", "gauge", "Clients for which something waits.", waiting);

    if let Some(used) = shared.turn.as_ref().map(|turn| turn.used()) {
        one(&mut out, "symbolon_turn_allocations", "gauge", "Relays that there are now.", used.allocations);
        one(
            &mut out,
            "symbolon_turn_allocations_total",
            "counter",
            "Relays that there ever were.",
            used.allocated,
        );
        one(&mut out, "symbolon_turn_bytes_total", "counter", "Bytes relayed, both ways.", used.bytes);
        one(&mut out, "symbolon_turn_dropped_total", "counter", "Datagrams over a quota.", used.dropped);
        one(
            &mut out,
            "symbolon_turn_refused_total",
            "counter",
            "Requests answered with an error.",
            used.refused,
        );
    }

    if let Some(cluster) = &shared.cluster {
        let counts = cluster.counts();
        let connected = u8::from(cluster.is_connected());
        one(&mut out, "symbolon_cluster_connected", "gauge", "Whether the bus is reached.", connected);
        one(&mut out, "symbolon_cluster_servers", "gauge", "Other servers known to run.", cluster.servers());
        one(&mut out, "symbolon_cluster_foreign", "gauge", "Servers with another key.", cluster.foreign());
        for (name, help, count) in [
            ("messages_in", "Messages from the bus.", counts.messages_in),
            ("messages_out", "Messages to the bus.", counts.messages_out),
            ("garbage", "Messages that were none.", counts.garbage),
            ("resyncs", "Times that something missed was asked for.", counts.resyncs),
            ("dropped", "Signals that could not be delivered.", counts.dropped),
            ("lost", "Messages that came faster than they were taken.", counts.lost),
        ] {
            one(&mut out, &format!("symbolon_cluster_{name}_total"), "counter", help, count);
        }
    }

    let mut before = "";
    for ((name, reason), count) in metrics.counts() {
        if name != before {
            head(&mut out, name, "counter", help(name));
            before = name;
        }
        let _ = match reason {
            "" => writeln!(out, "{name} {count}"),
            _ => writeln!(out, "{name}{{reason=\"{reason}\"}} {count}"),
        };
    }
    metrics.tls.write(&mut out, "symbolon_tls_handshake_seconds", "Time of a TLS handshake.");
    metrics.sign_in.write(&mut out, "symbolon_sign_in_seconds", "Time from the upgrade to the welcome.");
    out
}

fn help(name: &str) -> &'static str {
    match name {
        ACCEPTED => "Connections let in.",
        TURNED => "Connections turned away before HTTP, or by a proxy's word.",
        _ => "WebSockets closed, by the client (gone) or by the server.",
    }
}

/// Of this process, where the system says so.
pub(crate) fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rv9_a_counter_of_many_threads_loses_nothing() {
        let metrics = Metrics::new();
        std::thread::scope(|scope| {
            for _ in 0..2 * CELLS {
                scope.spawn(|| (0..1000).for_each(|_| metrics.relayed(3)));
            }
        });
        assert_eq!(metrics.relayed_so_far(), (32_000, 96_000));
    }

    #[test]
    fn rv9_a_histogram_counts_up() {
        let histogram = Histogram::default();
        for ms in [0, 1, 3, 40, 20_000] {
            histogram.observe(Duration::from_millis(ms));
        }
        let mut out = String::new();
        histogram.write(&mut out, "took", "How long.");
        for line in [
            "took_bucket{le=\"0.001\"} 2",
            "took_bucket{le=\"0.05\"} 4",
            "took_bucket{le=\"+Inf\"} 5",
            "took_count 5",
            "took_sum 20.044",
        ] {
            assert!(out.lines().any(|here| here == line), "{line} in\n{out}");
        }
    }
}
