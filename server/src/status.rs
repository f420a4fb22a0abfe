//! The page for the operator: what goes on, in one look. No script; it loads itself again every few seconds.

use std::fmt::{Display, Write as _};
use std::time::Duration;

use symbolon_core::rendezvous::Rate;

use crate::control::Control;
use crate::metrics::{self, ACCEPTED, CLOSED, TURNED};

/// Its style.
pub(crate) const STYLE: &str = include_str!("status.css");

/// Addresses in a list.
const MOST: usize = 20;

/// As HTML. Nothing in it is of a client's choice but its address.
pub(crate) fn page(control: &Control) -> String {
    let Control { shared, gate, address, .. } = control;
    let metrics = &shared.metrics;
    let terms = shared.terms();
    let door = gate.snapshot(MOST, shared.clock.now());
    let [sockets, sessions, rooms] = shared.registry.counts();
    let (messages, bytes) = metrics.relayed_so_far();
    let (longest, waiting) = shared.registry.backlog();
    let counts = metrics.counts();
    let mut out = String::with_capacity(16 * 1024);
    let state = if shared.registry.stopping() {
        "<span class=\"bad\">draining: clients are told to go elsewhere</span>"
    } else {
        "<span class=\"good\">serving</span>"
    };
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"refresh\" content=\"5\">\n<title>Symbolon server</title>\n\
         <link rel=\"stylesheet\" href=\"/style.css\">\n</head>\n<body>\n<header><h1>Symbolon server</h1> {state} \
         <span class=\"dim\">{}://{address}, version {}, up {}</span></header>\n<main>\n<dl class=\"tiles\">\n",
        if gate.secure() { "wss" } else { "ws" },
        env!("CARGO_PKG_VERSION"),
        time(metrics.started.elapsed()),
    );
    let mut tile = |name: &str, value: &dyn Display| {
        let _ = writeln!(out, "<div><dt>{name}</dt><dd>{value}</dd></div>");
    };
    tile("connections", &grouped(door.taken as u64));
    tile("clients signed in", &grouped(sessions as u64));
    tile("rooms", &grouped(rooms as u64));
    tile("signals relayed", &grouped(messages));
    tile("bytes relayed", &size(bytes));
    tile("memory", &metrics::resident_bytes().map_or("unknown".to_owned(), size));
    out.push_str("</dl>\n<div class=\"columns\">\n");

    let rows = |out: &mut String, title: &str, empty: &str, rows: &[(String, String)]| {
        let _ = write!(out, "<section><h2>{title}</h2>");
        if rows.is_empty() {
            let _ = write!(out, "<p class=\"dim\">{empty}</p>");
        } else {
            out.push_str("<table>");
            for (name, value) in rows {
                let _ = write!(out, "<tr><td>{name}</td><td>{value}</td></tr>");
            }
            out.push_str("</table>");
        }
        out.push_str("</section>\n");
    };
    let by_reason = |wanted: &str| -> Vec<(String, String)> {
        let some = counts.iter().filter(|((name, _), count)| *name == wanted && **count > 0);
        some.map(|((_, reason), count)| (reason.replace('_', " "), grouped(*count))).collect()
    };
    let row = |name: &str, value: String| (name.to_owned(), value);
    let banned: Vec<_> =
        door.banned.iter().map(|banned| (banned.source.to_string(), time(banned.wait))).collect();
    let more = door.banned_count.saturating_sub(banned.len());
    let title =
        if more > 0 { format!("Addresses that wait, and {more} more") } else { "Addresses that wait".into() };
    rows(&mut out, &title, "nobody", &banned);
    let busiest: Vec<_> =
        door.busiest.iter().map(|(source, taken)| (source.to_string(), grouped(*taken as u64))).collect();
    rows(&mut out, "Most connections by address", "nobody", &busiest);
    rows(&mut out, "Turned away", "nobody so far", &by_reason(TURNED));
    rows(&mut out, "Closed", "nobody so far", &by_reason(CLOSED));
    let accepted = counts.get(&(ACCEPTED, "")).copied().unwrap_or_default();
    rows(
        &mut out,
        "Traffic",
        "",
        &[
            row("connections so far", grouped(accepted)),
            row("WebSockets now", grouped(sockets as u64)),
            row("clients for whom something waits", grouped(waiting as u64)),
            row("waiting for the slowest of them", size(longest as u64)),
            row("held for all", size(shared.budget.held() as u64)),
        ],
    );
    if let Some(used) = shared.turn.as_ref().map(|turn| turn.used()) {
        let turn = [
            row("relays now", grouped(used.allocations as u64)),
            row("relays so far", grouped(used.allocated)),
            row("relayed", size(used.bytes)),
            row("datagrams over a quota", grouped(used.dropped)),
            row("requests refused", grouped(used.refused)),
        ];
        rows(&mut out, "TURN", "", &turn);
    }
    if let Some(cluster) = &shared.cluster {
        let counts = cluster.counts();
        let reached = match (cluster.is_connected(), cluster.narrow()) {
            (true, None) => "reached".to_owned(),
            (true, Some(most)) => format!("too narrow: it loses what is over {}", size(most as u64)),
            (false, _) => "not reached".to_owned(),
        };
        let cluster = [
            row("the bus is", reached),
            row("other servers", grouped(cluster.servers() as u64)),
            row("servers with another key", grouped(cluster.foreign() as u64)),
            row(
                "messages in and out",
                format!("{} and {}", grouped(counts.messages_in), grouped(counts.messages_out)),
            ),
            row("signals not delivered", grouped(counts.dropped)),
        ];
        rows(&mut out, "Cluster", "", &cluster);
    }
    let rate = |rate: Rate, show: fn(u64) -> String| {
        format!("{} a second, {} at once", show(rate.per_second), show(rate.burst))
    };
    rows(
        &mut out,
        "Limits in force",
        "",
        &[
            row("clients in a room", grouped(terms.limits.clients_per_room as u64)),
            row("rooms of a client", grouped(terms.limits.rooms as u64)),
            row("a message", size(terms.limits.message as u64)),
            row("messages of a client", rate(terms.messages, grouped)),
            row("bytes of a client", rate(terms.bytes, size)),
            row("pinged after", time(terms.ping_every)),
            row("dead after", time(terms.dead_after)),
            row("in no room at most", time(terms.idle_after)),
        ],
    );
    let origins: Vec<_> = terms.origins.iter().map(|origin| (origin.to_string(), String::new())).collect();
    rows(&mut out, "Addresses that clients dial", "none", &origins);
    out.push_str("</div>\n</main>\n<footer class=\"dim\">Loads itself again every 5 seconds. <a href=\"/metrics\">Metrics</a></footer>\n</body>\n</html>\n");
    out
}

/// 1 234 567
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

fn size(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes}\u{a0}B") } else { format!("{value:.1}\u{a0}{}", units[unit]) }
}

fn time(span: Duration) -> String {
    let seconds = span.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}
