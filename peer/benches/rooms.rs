//! `cargo bench -p symbolon --bench rooms`: how long people wait, and what an idle agent costs.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use symbolon::{InviteRequest, Options, Peer, PeerEvent, RoomId};
use symbolon_server::{Config, KeySource, Server};

const JOINS: usize = 100;
const KEYS: usize = 200;

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        ticket_to_text().await;
        key_to_eight().await;
    });
    idle_agents();
}

async fn server() -> Server {
    let config =
        Config { listen: "127.0.0.1:0".parse().unwrap(), key: KeySource::Ephemeral, ..Config::default() };
    Server::bind(config).await.unwrap()
}

async fn peer(homes: &Path, name: &str) -> Peer {
    let mut options = Options::new(homes.join(name));
    options.device_name = Some(name.to_owned());
    Peer::open_with(options).await.unwrap()
}

/// From `join` with a ticket in hand to the text being here; the member is in its room, the newcomer is not even
/// connected to the server.
async fn ticket_to_text() {
    let server = server().await;
    let homes = tempfile::tempdir().unwrap();
    let member = peer(homes.path(), "member").await;
    let (mut whole, mut parts) = (Vec::new(), Vec::new());
    for n in 0..JOINS {
        let room = member.create(&format!("room {n}"), &[server.origins()[0].clone()]).await.unwrap();
        member.insert(room, "main", None, "the text that the newcomer waits for").await.unwrap();
        let ticket = member.invite(room, InviteRequest::default()).await.unwrap();
        let newcomer = peer(homes.path(), &format!("newcomer {n}")).await;
        let mut events = newcomer.subscribe();
        let began = Instant::now();
        let steps = tokio::spawn(async move {
            let mut steps = [None; 3];
            while steps[2].is_none() {
                if let PeerEvent::Node(event) = events.recv().await.unwrap() {
                    let step = match format!("{event:?}") {
                        text if text.starts_with("Server") => 0,
                        text if text.starts_with("LinkUp") => 1,
                        text if text.starts_with("Ready") => 2,
                        _ => continue,
                    };
                    steps[step].get_or_insert(began.elapsed());
                }
            }
            steps.map(Option::unwrap_or_default)
        });
        newcomer.join(&ticket, Duration::from_secs(30)).await.unwrap();
        assert!(newcomer.text(room, "main").await.unwrap().starts_with("the text"));
        whole.push(began.elapsed());
        parts.push(steps.await.unwrap());
        newcomer.close().await;
        member.leave(room).await.unwrap();
    }
    println!("ticket to synced text, {JOINS} newcomers   {}", spread(&mut whole));
    for (step, name) in ["signed in at the server", "linked", "in sync"].iter().enumerate() {
        let mut at: Vec<Duration> = parts.iter().map(|steps| steps[step]).collect();
        println!("  {name:<38}{}", spread(&mut at));
    }
    member.close().await;
    server.shutdown().await.unwrap();
}

/// From a key press at one of eight peers to the text being changed at the other seven.
async fn key_to_eight() {
    let server = server().await;
    let homes = tempfile::tempdir().unwrap();
    let first = peer(homes.path(), "0").await;
    let room = first.create("room", &[server.origins()[0].clone()]).await.unwrap();
    let ticket = first.invite(room, InviteRequest { uses: 7, ..InviteRequest::default() }).await.unwrap();
    let mut peers = vec![first];
    for n in 1..8 {
        let peer = peer(homes.path(), &n.to_string()).await;
        peer.join(&ticket, Duration::from_secs(30)).await.unwrap();
        peers.push(peer);
    }
    for peer in &peers {
        linked(peer, room, 7).await;
    }
    let mut at = Vec::new();
    for n in 0..KEYS {
        let author = &peers[n % 8];
        let mut others: Vec<_> = peers.iter().filter(|peer| peer.device() != author.device()).collect();
        let mut events: Vec<_> = others.iter_mut().map(|peer| peer.subscribe()).collect();
        let began = Instant::now();
        author.insert(room, "main", None, "x").await.unwrap();
        for events in &mut events {
            while !matches!(events.recv().await.unwrap(), PeerEvent::Text { .. }) {}
        }
        at.push(began.elapsed());
    }
    println!("key press to text on 7 other peers, {KEYS} keys {}", spread(&mut at));
    for peer in peers {
        peer.close().await;
    }
    server.shutdown().await.unwrap();
}

async fn linked(peer: &Peer, room: RoomId, links: usize) {
    let mut events = peer.subscribe();
    while peer.members(room).await.unwrap().iter().filter(|member| member.linked).count() != links {
        let _ = events.recv().await;
    }
}

/// Memory and CPU of agents, each a process of its own, with 1 and with 15 links.
fn idle_agents() {
    for links in [1, 15] {
        let homes = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let server = runtime.block_on(server());
        let origin = server.origins()[0].to_string();
        let agents: Vec<_> = (0..=links).map(|n| Agent::start(&homes.path().join(n.to_string()))).collect();
        agents[0].run(&["create", "room", "--server", &origin]);
        let ticket = agents[0].run(&["invite", "room", "--uses", &links.to_string(), "--json"]);
        let ticket: serde_json::Value = serde_json::from_str(&ticket).unwrap();
        for agent in &agents[1..] {
            agent.run(&["join", ticket["ticket"].as_str().unwrap()]);
        }
        for agent in &agents {
            agent.run(&["wait", "room", "--members", &agents.len().to_string()]);
        }
        std::thread::sleep(Duration::from_secs(10));
        let before: Vec<f64> = agents.iter().map(Agent::cpu_seconds).collect();
        let began = Instant::now();
        std::thread::sleep(Duration::from_secs(20));
        let over = began.elapsed().as_secs_f64();
        let spent: f64 = agents.iter().zip(&before).map(|(agent, before)| agent.cpu_seconds() - before).sum();
        let memory: u64 = agents.iter().map(Agent::resident_kib).sum();
        let count = agents.len() as f64;
        println!(
            "idle agent with {links:>2} link(s)                   {:.1} MiB resident, {:.2} % of a core",
            memory as f64 / 1024.0 / count,
            100.0 * spent / over / count,
        );
        drop(agents);
        runtime.block_on(server.shutdown()).unwrap();
    }
}

struct Agent {
    home: std::path::PathBuf,
    pid: u64,
}

impl Agent {
    fn start(home: &Path) -> Self {
        let mut agent = Self { home: home.to_owned(), pid: 0 };
        let up: serde_json::Value = serde_json::from_str(&agent.run(&["up", "--json"])).unwrap();
        agent.pid = up["pid"].as_u64().unwrap();
        agent
    }

    fn run(&self, arguments: &[&str]) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_symbolon"))
            .arg("--home")
            .arg(&self.home)
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Time on a CPU so far, from the scheduler's own count in nanoseconds, over all threads.
    fn cpu_seconds(&self) -> f64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid)).unwrap();
        let spent = tasks.map(|task| {
            let stat = std::fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap_or_default();
            stat.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0)
        });
        spent.sum::<u64>() as f64 / 1e9
    }

    fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.run(&["down"]);
    }
}

fn spread(times: &mut [Duration]) -> String {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize].as_secs_f64() * 1e3;
    format!("p50 {:6.1} ms   p99 {:6.1} ms   max {:6.1} ms", at(0.5), at(0.99), at(1.0))
}
