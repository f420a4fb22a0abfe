//! What a signal costs that passes from one server of a cluster to another. Needs nats-server.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use symbolon_core::signal::ServerMessage;

use crate::client::{Client, signal, topic};
use crate::measures::{BODY, PAIRS, Relayed, bounce};
use crate::process::{Process, Server};

/// Signals between pairs whose clients are at two servers, or, to compare with, at one of them.
pub(crate) async fn relay(threads: usize, window: usize, apart: bool) -> (Relayed, f64) {
    let (nats, port) = start_nats();
    let folder = tempfile::tempdir().unwrap();
    let servers = [start(threads, port, folder.path()), start(threads, port, folder.path())];
    let mut pairs = Vec::new();
    for n in 0..PAIRS {
        let topic = topic(n as u8, 0);
        let mut a = Client::signed_in(&servers[0].origin).await;
        let mut b = Client::signed_in(&servers[usize::from(apart)].origin).await;
        a.enter(topic).await;
        b.enter(topic).await;
        a.next().await;
        if apart {
            assert!(matches!(b.next().await, ServerMessage::Arrived { .. }));
        }
        pairs.push((a.socket, b.socket, signal(topic, b.session, BODY), signal(topic, a.session, BODY)));
    }
    let before = nats.seconds();
    let relayed = bounce(&[&servers[0].process, &servers[1].process], pairs, window).await;
    let bus = nats.seconds() - before;
    (relayed, bus)
}

/// Kibibytes that a server needs more for each room with one client, if it has a bus.
pub(crate) async fn room(threads: usize, count: usize) -> f64 {
    let (_nats, port) = start_nats();
    let folder = tempfile::tempdir().unwrap();
    let server = start(threads, port, folder.path());
    let mut clients = Vec::new();
    for _ in 0..count {
        clients.push(Client::signed_in(&server.origin).await);
    }
    let before = server.process.resident();
    for (number, client) in clients.iter_mut().enumerate() {
        client.enter(topic(7, number)).await;
    }
    // Nothing says when the last room is subscribed to.
    let until = Instant::now() + Duration::from_secs(2);
    tokio::time::sleep_until(until.into()).await;
    (server.process.resident() - before) as f64 / 1024.0 / count as f64
}

fn start(threads: usize, nats: u16, folder: &Path) -> Server {
    let mut command = Command::new(env!("CARGO_BIN_EXE_symbolon-server"));
    command.args(["--listen", "127.0.0.1:0", "--log", "error", "--no-bans", "--nats"]);
    command.arg(format!("nats://127.0.0.1:{nats}")).arg("--key-file").arg(folder.join("key"));
    command.arg("--threads").arg(threads.to_string());
    for rate in ["message", "byte", "enter", "connection"] {
        command.args([format!("--{rate}-rate"), "1000000000".to_owned()]);
    }
    for most in ["connections", "connections-per-address"] {
        command.args([format!("--{most}"), "20000".to_owned()]);
    }
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let origin = line.trim().strip_prefix("listening on ").unwrap().parse().unwrap();
    Server { process: Process(child), origin }
}

/// A bus at a port of its own.
fn start_nats() -> (Process, u16) {
    let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let mut nats = Command::new("nats-server");
    nats.args(["--addr", "127.0.0.1", "--port", &port.to_string()]).stderr(Stdio::null());
    match nats.spawn() {
        Ok(nats) => (Process(nats), port),
        Err(error) => panic!("nats-server is needed ({error}): apt-get install nats-server"),
    }
}
