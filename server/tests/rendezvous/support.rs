//! A server process of one's own, and a client that says what it is told to say.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::{SinkExt as _, StreamExt as _};
use symbolon_core::crypto::keys::SignKey;
use symbolon_core::id::{SessionId, Topic};
use symbolon_core::origin::Origin;
use symbolon_core::signal::{
    Bytes, Challenge, ClientMessage, Hello, IceServer, Limits, Refusal, ServerMessage,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

/// How long anything may take that is to happen at once.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// A server process; killed when dropped.
pub(crate) struct ServerProcess {
    child: Child,
    pub(crate) origin: Origin,
    stdout: BufReader<ChildStdout>,
    /// What it logs, if it is listened to.
    logs: Option<Logs>,
}

/// The log lines of a process.
struct Logs {
    lines: std::sync::mpsc::Receiver<String>,
    seen: Vec<String>,
}

impl ServerProcess {
    /// With a port and a key of its own, and no bans, so that tests that misbehave can go on.
    pub(crate) fn start(options: &[&str]) -> Self {
        Self::start_with(&[&["--key-file", "none", "--no-bans"], options].concat())
    }

    /// With exactly these options and a port of its own.
    pub(crate) fn start_with(options: &[&str]) -> Self {
        Self::spawn(options, Stdio::inherit(), None)
    }

    /// As [`start`](Self::start), with its log lines kept.
    pub(crate) fn start_heard(options: &[&str]) -> Self {
        Self::start_heard_with(&[&["--key-file", "none", "--no-bans"], options].concat())
    }

    /// As [`start_with`](Self::start_with), with its log lines kept.
    pub(crate) fn start_heard_with(options: &[&str]) -> Self {
        let mut server = Self::spawn(options, Stdio::piped(), None);
        let stderr = BufReader::new(server.child.stderr.take().unwrap());
        let (sender, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        server.logs = Some(Logs { lines, seen: Vec::new() });
        server
    }

    /// With what it logs in a file.
    pub(crate) fn start_logging(options: &[&str], log: &Path) -> Self {
        Self::spawn(options, std::fs::File::create(log).unwrap().into(), None)
    }

    /// Under a supervisor that listens at this socket.
    pub(crate) fn start_supervised(options: &[&str], socket: &Path) -> Self {
        Self::spawn(options, Stdio::null(), Some(socket))
    }

    fn spawn(options: &[&str], stderr: Stdio, supervisor: Option<&Path>) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_symbolon-server"))
            .args(["--listen", "127.0.0.1:0"])
            .args(options)
            .envs(supervisor.map(|socket| ("NOTIFY_SOCKET", socket)))
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let origin = line.trim().strip_prefix("listening on ").unwrap().parse().unwrap();
        Self { child, origin, stdout, logs: None }
    }

    /// Where the operator's listener is; asked once.
    pub(crate) fn admin(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("operator's page at http://").unwrap();
        url.trim_end_matches('/').to_owned()
    }

    /// Waits until it has logged a line with these words, since it was last asked.
    pub(crate) async fn logged(&mut self, words: &str) -> String {
        let mut logs = self.logs.take().unwrap();
        let words = words.to_owned();
        let (logs, line) = tokio::task::spawn_blocking(move || {
            let until = std::time::Instant::now() + DEADLINE;
            loop {
                let left = until.saturating_duration_since(std::time::Instant::now());
                let line = logs.lines.recv_timeout(left);
                let line = line.unwrap_or_else(|_| panic!("not logged: {words}; but: {:#?}", logs.seen));
                logs.seen.push(line.clone());
                if line.contains(&words) {
                    return (logs, line);
                }
            }
        })
        .await
        .unwrap();
        self.logs = Some(logs);
        line
    }

    /// All that it has logged, once it has ended.
    pub(crate) async fn all_logs(&mut self) -> Vec<String> {
        let mut logs = self.logs.take().unwrap();
        tokio::task::spawn_blocking(move || {
            logs.seen.extend(logs.lines.iter());
            logs.seen
        })
        .await
        .unwrap()
    }

    pub(crate) fn address(&self) -> String {
        format!("{}:{}", self.origin.host(), self.origin.port())
    }

    /// Resident memory, in bytes.
    pub(crate) fn resident(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    /// Waits for its end; says whether it was a success.
    pub(crate) async fn ended(mut self) -> bool {
        let waiting = tokio::task::spawn_blocking(move || self.child.wait().unwrap().success());
        within(waiting).await.unwrap()
    }

    /// Proves that the server still serves.
    pub(crate) async fn assert_alive(&self) {
        let mut one = Client::signed_in(self).await;
        let mut two = Client::signed_in(self).await;
        let room = topic(201);
        one.enter(room, b"one").await;
        two.enter(room, b"two").await;
        one.say(&ClientMessage::Signal { topic: room, to: two.session(), body: Bytes(vec![1]) }).await;
        two.expect(&ServerMessage::Signal { topic: room, from: one.session(), body: Bytes(vec![1]) }).await;
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One connection.
pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub(crate) key: SignKey,
    pub(crate) origin: Origin,
}

impl Client {
    /// Connected; has read nothing.
    pub(crate) async fn connect(server: &ServerProcess) -> Self {
        Self::try_connect(server).await.unwrap()
    }

    /// Connected, if the server lets it in.
    pub(crate) async fn try_connect(server: &ServerProcess) -> Result<Self, WsError> {
        Self::dial(&server.origin).await
    }

    async fn dial(origin: &Origin) -> Result<Self, WsError> {
        // Without TCP_NODELAY, two messages in a row wait for a delayed acknowledgement.
        let connecting = connect_async_with_config(origin.socket_url(), None, true);
        let (socket, _) = within(connecting).await?;
        let key = SignKey::from_secret(&rand::random());
        Ok(Self { socket, key, origin: origin.clone() })
    }

    /// Signed in at a server of whatever kind, with the STUN and TURN servers it named.
    pub(crate) async fn with_ice_servers(origin: &Origin) -> (Self, Vec<IceServer>) {
        let mut client = Self::dial(origin).await.unwrap();
        let Some(ServerMessage::Challenge(challenge)) = client.next().await else {
            panic!("the challenge comes first")
        };
        client.say(&ClientMessage::Hello(client.hello(&challenge))).await;
        match client.next().await {
            Some(ServerMessage::Welcome { ice_servers, .. }) => (client, ice_servers),
            other => panic!("the welcome comes next, not {other:?}"),
        }
    }

    /// Connected, with the challenge read and checked.
    pub(crate) async fn challenged(server: &ServerProcess) -> (Self, Challenge) {
        let mut client = Self::connect(server).await;
        match client.next().await {
            Some(ServerMessage::Challenge(challenge)) => {
                challenge.verify().unwrap();
                (client, challenge)
            }
            other => panic!("the challenge comes first, not {other:?}"),
        }
    }

    pub(crate) async fn signed_in(server: &ServerProcess) -> Self {
        Self::welcomed(server).await.0
    }

    /// Signed in with this key.
    pub(crate) async fn signed_in_as(server: &ServerProcess, key: SignKey) -> Self {
        let (mut client, challenge) = Self::challenged(server).await;
        client.key = key;
        client.say(&ClientMessage::Hello(client.hello(&challenge))).await;
        assert!(matches!(client.next().await, Some(ServerMessage::Welcome { .. })));
        client
    }

    /// Signed in, with the limits the server named.
    pub(crate) async fn welcomed(server: &ServerProcess) -> (Self, Limits) {
        let (mut client, challenge) = Self::challenged(server).await;
        client.say(&ClientMessage::Hello(client.hello(&challenge))).await;
        match client.next().await {
            Some(ServerMessage::Welcome { limits, .. }) => (client, limits),
            other => panic!("the welcome comes next, not {other:?}"),
        }
    }

    pub(crate) fn hello(&self, challenge: &Challenge) -> Hello {
        Hello::sign(&self.key, challenge, 1, self.origin.clone(), unix_ms())
    }

    pub(crate) fn session(&self) -> SessionId {
        self.key.session()
    }

    pub(crate) async fn say(&mut self, message: &ClientMessage) {
        self.send(Message::text(message.encode())).await;
    }

    /// Sends; that the server may have closed meanwhile is for the reader to find out.
    pub(crate) async fn send(&mut self, message: Message) {
        let _ = within(self.socket.send(message)).await;
    }

    /// Enters a room and reads the answer: who was there.
    pub(crate) async fn enter(&mut self, topic: Topic, announcement: &[u8]) -> Vec<(SessionId, Vec<u8>)> {
        self.say(&ClientMessage::Enter { topic, announcement: Bytes(announcement.to_vec()) }).await;
        match self.next().await {
            Some(ServerMessage::Entered { topic: entered, peers }) if entered == topic => {
                peers.into_iter().map(|peer| (peer.session, peer.announcement.0)).collect()
            }
            other => panic!("entered comes next, not {other:?}"),
        }
    }

    /// The connection under the WebSocket.
    pub(crate) fn raw(&mut self) -> &mut TcpStream {
        match self.socket.get_mut() {
            MaybeTlsStream::Plain(stream) => stream,
            _ => panic!("no TLS here"),
        }
    }

    /// The next message, or nothing if the server has closed.
    pub(crate) async fn next(&mut self) -> Option<ServerMessage> {
        // One deadline for all of it: pings go on for ever.
        within(async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Text(text))) => return Some(ServerMessage::decode(&text).unwrap()),
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                    Some(Ok(other)) => panic!("a server sends text, not {other:?}"),
                }
            }
        })
        .await
    }

    pub(crate) async fn expect(&mut self, message: &ServerMessage) {
        assert_eq!(self.next().await.as_ref(), Some(message));
    }

    /// The server closes without another word.
    pub(crate) async fn expect_silent_close(&mut self) {
        assert_eq!(self.next().await, None);
    }

    /// The server says why, once, and closes.
    pub(crate) async fn expect_refusal(&mut self) -> Refusal {
        match self.next().await {
            Some(ServerMessage::Error(refusal)) => {
                self.expect_silent_close().await;
                refusal
            }
            other => panic!("a refusal comes next, not {other:?}"),
        }
    }
}

pub(crate) fn topic(n: u8) -> Topic {
    Topic::from_bytes([n; 32])
}

pub(crate) fn unix_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("it should have happened by now")
}

/// Status and body of an answer over HTTP.
pub(crate) async fn get(address: &str, path: &str) -> (u16, String) {
    let stream = within(TcpStream::connect(address)).await.unwrap();
    get_on(stream, path, "").await
}

/// The same on a stream, with further header lines.
pub(crate) async fn get_on(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    path: &str,
    headers: &str,
) -> (u16, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    (status, body.to_owned())
}
