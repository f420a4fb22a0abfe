//! Measures the wall on loopback: set-up, throughput, idle CPU, memory. `cargo run --release --example rtc_setup`
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use symbolon::rtc::{Connection, MAX_UNSENT, Rtc, RtcEvent, Settings};
use tokio::sync::mpsc::Receiver;

const RUNS: usize = 30;
const MESSAGES: usize = 4000;
const SIZE: usize = 16 * 1024;
const IDLE: usize = 15;

type Side = (Connection, Receiver<RtcEvent>);

async fn description(events: &mut Receiver<RtcEvent>) -> String {
    match events.recv().await {
        Some(RtcEvent::Description(sdp)) => sdp,
        other => panic!("expected a description, got {other:?}"),
    }
}

async fn opened(events: &mut Receiver<RtcEvent>) {
    loop {
        match events.recv().await {
            Some(RtcEvent::Open) => return,
            Some(RtcEvent::Candidate(_)) => {}
            other => panic!("expected open, got {other:?}"),
        }
    }
}

async fn pair(rtc: &Rtc) -> (Side, Side) {
    let (a, mut a_events) = rtc.offer(Vec::new());
    let (b, mut b_events) = rtc.answer(Vec::new(), description(&mut a_events).await);
    a.accept_answer(description(&mut b_events).await);
    tokio::join!(opened(&mut a_events), opened(&mut b_events));
    ((a, a_events), (b, b_events))
}

async fn closed(rtc: &Rtc, sides: Vec<Side>) {
    for (connection, mut events) in sides {
        connection.close();
        while events.recv().await.is_some() {}
    }
    assert_eq!(rtc.alive(), 0);
}

/// User and system time of this process, in milliseconds.
fn cpu_ms() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    (ticks(11) + ticks(12)) * 10
}

/// Finer than `cpu_ms`: nanoseconds on a CPU, summed over the threads.
fn cpu_ns() -> u64 {
    std::fs::read_dir("/proc/self/task").map_or(0, |tasks| {
        tasks
            .flatten()
            .filter_map(|task| {
                let stat = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
                stat.split_whitespace().next()?.parse::<u64>().ok()
            })
            .sum()
    })
}

/// How often the threads of this process slept and were woken.
fn wake_ups() -> u64 {
    std::fs::read_dir("/proc/self/task").map_or(0, |tasks| {
        tasks
            .flatten()
            .filter_map(|task| {
                let status = std::fs::read_to_string(task.path().join("status")).ok()?;
                status
                    .lines()
                    .find_map(|l| l.strip_prefix("voluntary_ctxt_switches:"))?
                    .trim()
                    .parse::<u64>()
                    .ok()
            })
            .sum()
    })
}

fn rss_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

async fn throughput(rtc: &Rtc) {
    let ((a, mut a_events), (b, mut b_events)) = pair(rtc).await;
    let start = Instant::now();
    let message = Bytes::from(vec![7; SIZE]);
    let sender = async {
        let (mut unsent, mut left) = (0, MESSAGES);
        while left > 0 {
            while left > 0 && unsent + SIZE <= MAX_UNSENT {
                let mut m = message.to_vec();
                m[..8].copy_from_slice(&((MESSAGES - left) as u64).to_be_bytes());
                a.send(m.into());
                unsent += SIZE;
                left -= 1;
            }
            match a_events.recv().await {
                Some(RtcEvent::Sent(bytes)) => unsent -= bytes,
                other => panic!("{other:?}"),
            }
        }
    };
    let receiver = async {
        for expected in 0..MESSAGES {
            match b_events.recv().await {
                Some(RtcEvent::Message(m)) => assert_eq!(m[..8], (expected as u64).to_be_bytes()),
                other => panic!("{other:?}"),
            }
        }
    };
    let cpu = cpu_ns();
    tokio::join!(sender, receiver);
    let took = start.elapsed();
    println!(
        "throughput: {:.0} MB/s, {:.1} cpu-ms/MB",
        (MESSAGES * SIZE) as f64 / 1e6 / took.as_secs_f64(),
        (cpu_ns() - cpu) as f64 / 1e6 / ((MESSAGES * SIZE) as f64 / 1e6)
    );
    closed(rtc, vec![(a, a_events), (b, b_events)]).await;
}

#[tokio::main]
async fn main() {
    let settings = Settings { bind: Some(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]), ..Settings::default() };
    let rtc = Rtc::new(settings);
    let first = pair(&rtc).await;
    closed(&rtc, vec![first.0, first.1]).await;

    let mut took = Vec::new();
    let cpu = cpu_ns();
    for _ in 0..RUNS {
        let start = Instant::now();
        let (a, b) = pair(&rtc).await;
        took.push(start.elapsed());
        closed(&rtc, vec![a, b]).await;
    }
    took.sort();
    println!(
        "set-up of {RUNS} pairs: p50 {:.1?}, p99 {:.1?}; cpu {:.1} ms each (with close)",
        took[RUNS / 2],
        took[RUNS - 1],
        (cpu_ns() - cpu) as f64 / 1e6 / RUNS as f64
    );
    for _ in 0..3 {
        throughput(&rtc).await;
    }

    let before = rss_kib();
    let mut sides = Vec::new();
    for _ in 0..IDLE {
        let (a, b) = pair(&rtc).await;
        sides.extend([a, b]);
    }
    println!("memory: {} KiB for each of {} connections", (rss_kib() - before) / (2 * IDLE as u64), 2 * IDLE);
    for after in [0, 4] {
        tokio::time::sleep(Duration::from_secs(after)).await;
        let (ms, ns, woken) = (cpu_ms(), cpu_ns(), wake_ups());
        tokio::time::sleep(Duration::from_secs(4)).await;
        let (ms, busy, woken) = (cpu_ms() - ms, (cpu_ns() - ns) as f64, (wake_ups() - woken) / 4);
        println!(
            "idle, {after} s after open, {} connections, 4 s: {ms} ms CPU (utime + stime), {:.2} ms (schedstat), \
             {:.3} % of a core, {woken} wake-ups/s",
            2 * IDLE,
            busy / 1e6,
            busy / 4e7
        );
    }
    closed(&rtc, sides).await;
}
