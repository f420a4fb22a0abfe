//! The mixed load: honest rooms and floods together, a reload in the middle, a stop at the end.

use std::time::{Duration, Instant};

use std::sync::atomic::Ordering;

use crate::floods::Floods;
use crate::honest::{Found, Honest};
use crate::process::Server;

const MIB: f64 = 1024.0 * 1024.0;

/// Honest clients, two to a room.
const PAIRS: usize = 20;

/// How much more memory there may be afterwards than before, while the same honest clients are there.
const MORE: f64 = 16.0;

/// How much more there may ever be.
const MOST_MORE: f64 = 128.0;

/// What 99 of 100 signals may take, in milliseconds.
const SLOW: f64 = 50.0;

/// Runs for so long; says whether all was as it should be.
pub(crate) async fn run(minutes: f64) -> Result<(), String> {
    let total = Duration::from_secs_f64(60.0 * minutes);
    let mut server = Server::start(&["--connections", "5000"]);
    let honest = Honest::start(&server.origin, PAIRS).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = server.process.resident() as f64 / MIB;
    let began = Instant::now();
    let floods = Floods::start(&server.origin);
    let mut most = before;
    let mut reloaded = false;
    while began.elapsed() < total {
        tokio::time::sleep(Duration::from_millis(200)).await;
        most = most.max(server.process.resident() as f64 / MIB);
        if !reloaded && began.elapsed() > total / 2 {
            server.process.signal("HUP");
            reloaded = true;
        }
        if let Ok(Some(status)) = server.process.0.try_wait() {
            return Err(format!("the server ended in the middle: {status}"));
        }
    }
    let tried: Vec<_> =
        floods.tried.iter().map(|(name, tried)| (*name, tried.load(Ordering::Relaxed))).collect();
    drop(floods);
    // The slowest of what holds memory is a connection whose end is found by its silence.
    let mut after = f64::MAX;
    for _ in 0..80 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        after = server.process.resident() as f64 / MIB;
        if after - before < MORE {
            break;
        }
    }
    honest.quieten().await;
    let stopping = Instant::now();
    server.process.signal("TERM");
    let status = tokio::task::spawn_blocking(move || server.process.0.wait()).await;
    let stopped = stopping.elapsed().as_secs_f64();
    let found = honest.ended().await;
    println!("\n| {minutes} minutes of a mixed load | |\n|---|---|");
    for (name, tried) in tried {
        println!("| {name} | {tried} |");
    }
    println!(
        "| signals sent and received by {} honest clients | {}, {} |",
        2 * PAIRS,
        found.sent,
        found.received
    );
    println!(
        "| their delay: half, 99 of 100, the longest | {:.1} ms, {:.1} ms, {:.1} ms |",
        found.percentile(50.0),
        found.percentile(99.0),
        found.percentile(100.0)
    );
    println!("| memory before, at most, afterwards | {before:.1}, {most:.1}, {after:.1} MiB |");
    println!("| from SIGTERM to the end; told of it | {stopped:.1} s; {} clients |", found.told);
    let ended_well = matches!(status, Ok(Ok(status)) if status.success());
    judge(&found, before, most, after, ended_well)
}

fn judge(found: &Found, before: f64, most: f64, after: f64, ended_well: bool) -> Result<(), String> {
    let mut wrong: Vec<String> = found.wrong.iter().take(5).cloned().collect();
    let mut check = |holds: bool, what: &str| {
        if !holds {
            wrong.push(what.to_owned());
        }
    };
    check(found.sent == found.received, "signals were lost");
    check(found.percentile(99.0) < SLOW, "more than one signal of 100 took over 50 ms");
    check(after - before < MORE, "the memory did not come back");
    check(most - before < MOST_MORE, "too much memory was taken");
    check(found.told == 2 * PAIRS, "not every client was told that the server stops");
    check(ended_well, "the server did not end well");
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}
