//! A NATS server of one's own, and servers around it.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::ops::Index;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use symbolon_core::id::Topic;
use symbolon_core::signal::{Bytes, ClientMessage, ServerMessage};
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::support::{Client, ServerProcess, topic, within};

/// A process of nats-server; killed when dropped.
pub(crate) struct Nats {
    port: u16,
    options: Vec<String>,
    child: Option<Child>,
}

impl Nats {
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    pub(crate) async fn with(options: &[&str]) -> Self {
        let mut nats = Self::reserve();
        nats.options = options.iter().map(ToString::to_string).collect();
        nats.run().await;
        nats
    }

    /// Has a port and does not run.
    pub(crate) fn reserve() -> Self {
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        Self { port, options: Vec::new(), child: None }
    }

    /// Runs, on the port it had before.
    pub(crate) async fn run(&mut self) {
        let child = Command::new("nats-server")
            .args(["--addr", "127.0.0.1", "--port", &self.port.to_string()])
            .args(&self.options)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nats-server is needed for this test: apt-get install nats-server");
        self.child = Some(child);
        within(async {
            loop {
                if let Ok(mut stream) = TcpStream::connect(self.address()).await
                    && stream.read_u8().await.is_ok()
                {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://{}", self.address())
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Servers with one key, and the folder it is in.
pub(crate) struct Servers(pub(crate) Vec<ServerProcess>, pub(crate) Arc<TempDir>);

impl Index<usize> for Servers {
    type Output = ServerProcess;

    fn index(&self, index: usize) -> &ServerProcess {
        &self.0[index]
    }
}

impl Servers {
    /// Servers that know each other.
    pub(crate) async fn start(nats: &Nats, count: usize, options: &[&str]) -> Self {
        let servers = Self::start_before(nats, count, options);
        // A room that each of them is in shows it.
        let mut clients = Vec::new();
        for server in &servers.0 {
            let mut client = Client::signed_in(server).await;
            client.say(&ClientMessage::Enter { topic: topic(255), announcement: Bytes::default() }).await;
            clients.push(client);
        }
        let all = if options.contains(&"--clients-per-room") { 1 } else { count };
        for client in &mut clients {
            let mut known = 1;
            while known < all {
                match client.next().await {
                    Some(ServerMessage::Arrived { .. }) => known += 1,
                    Some(ServerMessage::Entered { peers, .. }) => known += peers.len(),
                    other => panic!("{other:?}"),
                }
            }
        }
        servers
    }

    pub(crate) fn start_before(nats: &Nats, count: usize, options: &[&str]) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let servers = (0..count).map(|_| Self::one(nats, &folder, options)).collect();
        Self(servers, folder)
    }

    pub(crate) fn one(nats: &Nats, folder: &TempDir, options: &[&str]) -> ServerProcess {
        let key = folder.path().join("key");
        let common = ["--no-bans", "--key-file", key.to_str().unwrap(), "--nats", &nats.url()];
        ServerProcess::start_with(&[&common, options].concat())
    }

    /// One with a key of its own, whose log can be read.
    pub(crate) fn logging(nats: &Nats, log: &Path) -> (ServerProcess, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        let options = ["--no-bans", "--key-file", key.to_str().unwrap(), "--nats", &nats.url()];
        (ServerProcess::start_logging(&options, log), folder)
    }

    /// A client at each.
    pub(crate) async fn clients<const N: usize>(&self) -> [Client; N] {
        let mut clients = Vec::new();
        for server in &self.0[..N] {
            clients.push(Client::signed_in(server).await);
        }
        clients.try_into().unwrap_or_else(|_| panic!("as many clients as servers"))
    }
}

impl Client {
    /// Enters, and waits until it knows these and nobody else.
    pub(crate) async fn enter_and_meet(&mut self, room: Topic, announcement: &[u8], who: &[(&Self, &[u8])]) {
        let mut known: BTreeMap<_, _> = self.enter(room, announcement).await.into_iter().collect();
        let all = who.iter().map(|(client, said)| (client.session(), said.to_vec())).collect();
        while known != all {
            match self.next().await {
                Some(ServerMessage::Arrived { topic, session, announcement }) if topic == room => {
                    let before = known.insert(session, announcement.0.clone());
                    assert_ne!(before, Some(announcement.0), "told twice");
                }
                Some(ServerMessage::Left { topic, session }) if topic == room => {
                    assert!(known.remove(&session).is_some(), "left without having arrived");
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// These come next, in any order.
    pub(crate) async fn expect_all(&mut self, messages: &[ServerMessage]) {
        let mut due = messages.to_vec();
        while !due.is_empty() {
            let message = self.next().await.expect("the server has closed");
            let place = due.iter().position(|due| *due == message);
            due.remove(place.unwrap_or_else(|| panic!("{message:?} is none of {due:?}")));
        }
    }

    /// This comes, after whatever else.
    pub(crate) async fn expect_among(&mut self, message: &ServerMessage) {
        while self.next().await.expect("the server has closed") != *message {}
    }
}

pub(crate) fn arrived(room: u8, who: &Client, announcement: &[u8]) -> ServerMessage {
    let announcement = Bytes(announcement.to_vec());
    ServerMessage::Arrived { topic: topic(room), session: who.session(), announcement }
}

pub(crate) fn left(room: u8, who: &Client) -> ServerMessage {
    ServerMessage::Left { topic: topic(room), session: who.session() }
}
