//! What clients cost the server in memory and processor time, and what honest clients notice of floods.
//!
//! `cargo xtask bench server`, on Linux. Starts the real server as a process of its own; the clients are in this one, so on
//! few cores the signals per second say more about both than about the server. `cargo xtask soak` runs the mixed load.
#![expect(clippy::unwrap_used, clippy::print_stdout)]

mod client;
mod cluster;
mod floods;
mod honest;
mod measures;
mod others;
mod process;
mod soak;

use measures::Relayed;

const MIB: f64 = 1024.0 * 1024.0;

#[tokio::main]
async fn main() -> std::process::ExitCode {
    let mut threads = 1;
    let mut minutes = None;
    let mut wanted = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--bench" => {}
            "--threads" => threads = arguments.next().unwrap().parse().unwrap(),
            "soak" => minutes = Some(arguments.next().map_or(10.0, |text| text.parse().unwrap())),
            _ => wanted.push(argument),
        }
    }
    let wants = |what: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == what);
    let files = raise_file_limit();
    if let Some(minutes) = minutes {
        return match soak::run(minutes).await {
            Ok(()) => {
                println!("All is well.");
                std::process::ExitCode::SUCCESS
            }
            Err(wrong) => {
                println!("{wrong}");
                std::process::ExitCode::FAILURE
            }
        };
    }
    println!("| what ({threads} server threads) | figure |\n|---|---|");
    if wants("idle") {
        for (name, rooms) in [("in no room", 0), ("in one room of its own", 1)] {
            let (bytes, _) = measures::idle(threads, 2000, rooms).await;
            println!("| memory per idle client, {name} | {:.2} KiB |", bytes / 1024.0 / 2000.0);
        }
    }
    if wants("many") {
        let count = 15_000.min(files.saturating_sub(200));
        let (held, left) = measures::idle(threads, count, 0).await;
        println!("| memory of {count} idle clients | {:.1} MiB over the baseline |", held / MIB);
        println!("| … once they are gone | {:.1} MiB over the baseline |", left / MIB);
        let (held, left) = measures::idle(threads, 5000, 1).await;
        println!("| memory of 5000 clients, each in one room | {:.1} MiB over the baseline |", held / MIB);
        println!("| … once they are gone | {:.1} MiB over the baseline |", left / MIB);
    }
    if wants("connect") {
        println!(
            "| authenticated connects per processor second | {:.0} |",
            measures::connects(threads).await
        );
    }
    if wants("arrivals") {
        println!("| arrival notices per processor second | {:.0} |", measures::arrivals(threads).await);
    }
    // Only if asked for: it needs nats-server.
    if wanted.iter().any(|wanted| wanted == "cluster") {
        for (where_, apart) in [("at one server of a cluster", false), ("at two servers", true)] {
            for window in [1, 16] {
                let (relayed, bus) = cluster::relay(threads, window, apart).await;
                print_relayed(&format!("signals {where_}, {window} outstanding"), &relayed);
                println!("| … processor seconds of nats-server in 5 s | {bus:.1} |");
                if window == 1 {
                    let pairs = measures::PAIRS as f64;
                    println!(
                        "| … a signal's way, on average | {:.0} µs |",
                        pairs * relayed.wall / relayed.signals * 1e6
                    );
                }
            }
        }
        println!("| memory per room, beside its client's | {:.1} KiB |", cluster::room(threads, 2000).await);
    }
    if wants("relay") {
        for window in [1, 16] {
            print_relayed(&format!("signals, {window} outstanding"), &measures::relay(threads, window).await);
        }
    }
    if wants("others") {
        for other in others::found() {
            match other.idle().await {
                Ok(bytes) => {
                    println!("| {}: memory per idle client | {:.1} KiB |", other.name, bytes / 1024.0);
                }
                Err(error) => println!("| {}: memory per idle client | {error} |", other.name),
            }
            for window in [1, 16] {
                let what = format!("{}: signals, {window} outstanding", other.name);
                match other.relay(window).await {
                    Ok(relayed) => print_relayed(&what, &relayed),
                    Err(error) => println!("| {what} | {error} |"),
                }
            }
        }
    }
    std::process::ExitCode::SUCCESS
}

fn print_relayed(what: &str, relayed: &Relayed) {
    let Relayed { signals, user, kernel, wall } = relayed;
    println!(
        "| {what} | {:.0} per processor second ({:.0} % kernel), {:.0}/s |",
        signals / (user + kernel),
        100.0 * kernel / (user + kernel),
        signals / wall
    );
}

/// As many files as the system allows; how many these are.
fn raise_file_limit() -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
    getrlimit(Resource::Nofile).current.map_or(usize::MAX, |files| files as usize)
}
