//! What an idle client costs the server in memory, and how many signals it relays in a second of its processor time.
//!
//! `cargo bench -p symbolon-server --bench relay`, on Linux. Starts the real server as a process of its own; the clients
//! are in this one, so on few cores the signals per second say more about both than about the server.
#![expect(clippy::unwrap_used, clippy::print_stdout)]

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::{SinkExt as _, StreamExt as _};
use symbolon_core::crypto::keys::SignKey;
use symbolon_core::id::{SessionId, Topic};
use symbolon_core::origin::Origin;
use symbolon_core::signal::{Bytes, ClientMessage, Hello, ServerMessage};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

const IDLE_CLIENTS: usize = 2000;
const PAIRS: usize = 8;
const BODY: usize = 1536;
const RUN: Duration = Duration::from_secs(5);

/// `USER_HZ`, in which Linux tells a process's times.
const TICKS_PER_SECOND: f64 = 100.0;

#[tokio::main]
async fn main() {
    println!("| what | figure |\n|---|---|");
    for (name, rooms) in [("signed in, in no room", 0), ("signed in, in one room of its own", 1)] {
        let bytes = idle(rooms).await;
        println!("| memory per idle client, {name} | {:.1} KiB |", bytes / 1024.0);
    }
    for window in [1, 16] {
        let Relayed { signals, user, kernel, wall } = relay(window).await;
        println!(
            "| {PAIRS} pairs, {BODY} B bodies, {window} outstanding each | {:.0} signals per processor second ({:.0} % kernel), {:.0}/s |",
            signals / (user + kernel),
            100.0 * kernel / (user + kernel),
            signals / wall
        );
    }
}

/// Bytes of resident memory per client.
async fn idle(rooms: u8) -> f64 {
    let server = Server::start();
    drop(Client::signed_in(&server.origin).await);
    let before = server.resident();
    let mut clients = Vec::with_capacity(IDLE_CLIENTS);
    for n in 0..IDLE_CLIENTS {
        let mut client = Client::signed_in(&server.origin).await;
        for room in 0..rooms {
            let mut topic = [room; 32];
            topic[..8].copy_from_slice(&(n as u64).to_be_bytes());
            client.enter(Topic::from_bytes(topic)).await;
        }
        clients.push(client);
    }
    (server.resident() - before) as f64 / IDLE_CLIENTS as f64
}

struct Relayed {
    signals: f64,
    /// Processor seconds of the server, outside and inside the kernel.
    user: f64,
    kernel: f64,
    wall: f64,
}

/// Pairs of clients, each in a room of their own: one sends, the other sends back.
async fn relay(window: usize) -> Relayed {
    let server = Server::start();
    let mut pairs = Vec::new();
    for n in 0..PAIRS {
        let topic = Topic::from_bytes([n as u8; 32]);
        let mut a = Client::signed_in(&server.origin).await;
        let mut b = Client::signed_in(&server.origin).await;
        a.enter(topic).await;
        b.enter(topic).await;
        a.next().await;
        pairs.push((a.socket, b.socket, signal(topic, b.session), signal(topic, a.session)));
    }
    let (started, before) = (Instant::now(), server.processor_seconds());
    let until = started + RUN;
    let tasks: Vec<_> = pairs
        .into_iter()
        .map(|(a, b, to_b, to_a)| {
            let echo = tokio::spawn(bounce(b, to_a, 0, until));
            (tokio::spawn(bounce(a, to_b, window, until)), echo)
        })
        .collect();
    let mut received = 0;
    for (a, b) in tasks {
        received += a.await.unwrap() + b.await.unwrap();
    }
    let after = server.processor_seconds();
    Relayed {
        signals: received as f64,
        user: after[0] - before[0],
        kernel: after[1] - before[1],
        wall: started.elapsed().as_secs_f64(),
    }
}

/// Sends `first` signals, then one for each that arrives; counts those that arrived.
async fn bounce(mut socket: Socket, signal: Utf8Bytes, first: usize, until: Instant) -> u64 {
    for _ in 0..first {
        socket.feed(Message::Text(signal.clone())).await.unwrap();
    }
    socket.flush().await.unwrap();
    let mut received = 0;
    let ended = tokio::time::sleep_until((until + Duration::from_millis(50)).into());
    tokio::pin!(ended);
    loop {
        tokio::select! {
            biased;
            message = socket.next() => match message {
                Some(Ok(Message::Text(_))) => received += 1,
                Some(Ok(_)) => continue,
                _ => return received,
            },
            () = &mut ended => return received,
        }
        if Instant::now() < until {
            socket.send(Message::Text(signal.clone())).await.unwrap();
        }
    }
}

fn signal(topic: Topic, to: SessionId) -> Utf8Bytes {
    ClientMessage::Signal { topic, to, body: Bytes(vec![7; BODY]) }.encode().into()
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

struct Client {
    socket: Socket,
    session: SessionId,
}

impl Client {
    async fn signed_in(origin: &Origin) -> Self {
        let config = WebSocketConfig::default().read_buffer_size(4096).write_buffer_size(4096);
        let (socket, _) = connect_async_with_config(origin.socket_url(), Some(config), true).await.unwrap();
        let key = SignKey::from_secret(&rand::random());
        let mut client = Self { socket, session: key.session() };
        let ServerMessage::Challenge(challenge) = client.next().await else { panic!("no challenge") };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
        let hello = Hello::sign(&key, &challenge, 1, origin.clone(), now);
        client.say(&ClientMessage::Hello(hello)).await;
        assert!(matches!(client.next().await, ServerMessage::Welcome { .. }));
        client
    }

    async fn enter(&mut self, topic: Topic) {
        self.say(&ClientMessage::Enter { topic, announcement: Bytes(vec![0; 100]) }).await;
        assert!(matches!(self.next().await, ServerMessage::Entered { .. }));
    }

    async fn say(&mut self, message: &ClientMessage) {
        self.socket.send(Message::text(message.encode())).await.unwrap();
    }

    async fn next(&mut self) -> ServerMessage {
        let message = self.socket.next().await.unwrap().unwrap();
        ServerMessage::decode(message.to_text().unwrap()).unwrap()
    }
}

struct Server {
    child: Child,
    origin: Origin,
}

impl Server {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_symbolon-server"))
            .args(["--listen", "127.0.0.1:0", "--key-file", "none", "--no-bans", "--log", "warn"])
            .args(["--connections", "20000", "--connections-per-address", "20000", "--idle-after", "1h"])
            .args(["--message-rate", "1000000000", "--byte-rate", "1000000000000"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let origin = line.trim().strip_prefix("listening on ").unwrap().parse().unwrap();
        Self { child, origin }
    }

    fn resident(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
    }

    /// Outside and inside the kernel.
    fn processor_seconds(&self) -> [f64; 2] {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // The name, in brackets, may contain spaces; utime and stime are the 12th and 13th field after it.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        [11, 12].map(|field| fields[field].parse::<f64>().unwrap() / TICKS_PER_SECOND)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
