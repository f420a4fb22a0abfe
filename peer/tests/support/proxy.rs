//! A proxy that stands between peers and the real server and is, as far as peers can see, the server: it records every
//! frame, and drops, changes, replays, moves and invents messages as the test says. This is what a hostile server can
//! do, but for the keys it does not have.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use futures_util::{SinkExt as _, StreamExt as _};
use symbolon::Origin;
use symbolon_core::id::SessionId;
use symbolon_core::signal::{Bytes, ClientMessage, ServerMessage};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::deadline;

/// Messages that may wait on their way to one side; the bad-input tests invent thousands at once.
const WAITING: usize = 65_536;

/// One text frame that arrived at the proxy.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Which connection, in the order in which they came, from 1.
    pub connection: usize,
    /// The client's session, once it has said hello.
    pub session: Option<SessionId>,
    pub from_client: bool,
    pub text: String,
    /// Whether the proxy passed it on as it was.
    pub passed: bool,
}

impl Frame {
    pub fn client(&self) -> Option<ClientMessage> {
        self.from_client.then(|| ClientMessage::decode(&self.text).ok()).flatten()
    }

    pub fn server(&self) -> Option<ServerMessage> {
        (!self.from_client).then(|| ServerMessage::decode(&self.text).ok()).flatten()
    }

    /// The signal a client sent: to whom, and its body.
    pub fn sent(&self) -> Option<(SessionId, Vec<u8>)> {
        match self.client()? {
            ClientMessage::Signal { to, body, .. } => Some((to, body.0)),
            _ => None,
        }
    }

    /// The signal a client got: from whom, and its body.
    pub fn got(&self) -> Option<(SessionId, Vec<u8>)> {
        match self.server()? {
            ServerMessage::Signal { from, body, .. } => Some((from, body.0)),
            _ => None,
        }
    }
}

/// What becomes of a frame.
#[derive(Debug, Clone)]
pub enum Verdict {
    Pass,
    Drop,
    /// These travel in its place.
    Instead(Vec<Message>),
    /// The connection is closed, as if the network had broken.
    Cut,
}

type Hook = Box<dyn FnMut(&Frame) -> Verdict + Send>;

/// What the proxy does with new connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Serve,
    /// Closes them before a word is said.
    Refuse,
    /// Takes them and says nothing.
    Silent,
}

struct Way {
    session: Option<SessionId>,
    to_client: mpsc::Sender<Message>,
    to_server: mpsc::Sender<Message>,
    /// Dropped to cut the connection.
    _cut: watch::Sender<()>,
}

struct State {
    upstream: Option<SocketAddr>,
    mode: Mode,
    frames: Vec<Frame>,
    attempts: usize,
    ended: Vec<usize>,
    pongs: Vec<Vec<u8>>,
    ways: BTreeMap<usize, Way>,
    hook: Option<Hook>,
}

#[derive(Clone)]
struct Shared {
    state: Arc<Mutex<State>>,
    changed: watch::Sender<usize>,
}

/// See the module.
pub struct Proxy {
    origin: Origin,
    shared: Shared,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Listens; [`Proxy::upstream`] says where the real server is.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("ws://{}", listener.local_addr().unwrap()).parse().unwrap();
        let state = State {
            upstream: None,
            mode: Mode::Serve,
            frames: Vec::new(),
            attempts: 0,
            ended: Vec::new(),
            pongs: Vec::new(),
            ways: BTreeMap::new(),
            hook: None,
        };
        let shared = Shared { state: Arc::new(Mutex::new(state)), changed: watch::channel(0).0 };
        let task = tokio::spawn(accept(listener, shared.clone()));
        Self { origin, shared, task }
    }

    pub fn origin(&self) -> Origin {
        self.origin.clone()
    }

    pub fn upstream(&self, address: SocketAddr) {
        self.with(|state| state.upstream = Some(address));
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let out = act(&mut self.shared.state.lock().unwrap());
        self.shared.changed.send_modify(|n| *n += 1);
        out
    }

    /// From now on every frame is shown to `hook` first.
    pub fn hook(&self, hook: impl FnMut(&Frame) -> Verdict + Send + 'static) {
        self.with(|state| state.hook = Some(Box::new(hook)));
    }

    /// Passes everything on again.
    pub fn honest(&self) {
        self.with(|state| {
            state.hook = None;
            state.mode = Mode::Serve;
        });
    }

    /// Cuts all connections and closes new ones at once.
    pub fn refuse(&self) {
        self.with(|state| {
            state.mode = Mode::Refuse;
            state.ways.clear();
        });
    }

    /// Cuts all connections, takes new ones, and says nothing to them.
    pub fn silent(&self) {
        self.with(|state| {
            state.mode = Mode::Silent;
            state.ways.clear();
        });
    }

    /// Cuts all connections; new ones are served.
    pub fn cut(&self) {
        self.with(|state| state.ways.clear());
    }

    /// How many connections were made to the proxy so far.
    pub fn attempts(&self) -> usize {
        self.with(|state| state.attempts)
    }

    /// All that was recorded so far.
    pub fn frames(&self) -> Vec<Frame> {
        self.with(|state| state.frames.clone())
    }

    /// How many frames were recorded so far.
    pub fn mark(&self) -> usize {
        self.with(|state| state.frames.len())
    }

    /// Says something to a client in the server's name.
    pub fn say_to(&self, session: &SessionId, message: &ServerMessage) {
        self.raw_to(session, Message::text(message.encode()));
    }

    pub fn raw_to(&self, session: &SessionId, message: Message) {
        let to = self.with(|state| {
            let way = state.ways.values().find(|way| way.session == Some(*session));
            way.expect("this session is connected").to_client.clone()
        });
        to.try_send(message).expect("it takes messages");
    }

    /// Says something to the server in a client's name.
    pub fn say_as(&self, session: &SessionId, message: &ClientMessage) {
        let to = self.with(|state| {
            let way = state.ways.values().find(|way| way.session == Some(*session));
            way.expect("this session is connected").to_server.clone()
        });
        to.try_send(Message::text(message.encode())).expect("it takes messages");
    }

    /// Waits until `found` finds something in the record.
    pub async fn until<T>(&self, found: impl Fn(&[Frame]) -> Option<T>) -> T {
        self.until_state(|state| found(&state.frames)).await
    }

    /// Waits until the client of session `to` was told that somebody is in its room: before that, it hears nothing from
    /// there.
    pub async fn until_told(&self, to: &SessionId, about: &SessionId) {
        let told = |frame: &Frame| match frame.server() {
            Some(ServerMessage::Arrived { session, .. }) => session == *about,
            Some(ServerMessage::Entered { peers, .. }) => peers.iter().any(|peer| peer.session == *about),
            _ => false,
        };
        self.until(|frames| {
            frames.iter().any(|frame| frame.session == Some(*to) && frame.passed && told(frame)).then_some(())
        })
        .await;
    }

    /// Waits until somebody was told that it is inside a room.
    pub async fn until_entered(&self) {
        let entered = |frame: &Frame| matches!(frame.server(), Some(ServerMessage::Entered { .. }));
        self.until(|frames| frames.iter().any(entered).then_some(())).await;
    }

    /// Waits until so many connections were made.
    pub async fn until_attempts(&self, attempts: usize) {
        self.until_state(|state| (state.attempts >= attempts).then_some(())).await;
    }

    /// Waits until this connection has ended.
    pub async fn until_ended(&self, connection: usize) {
        self.until_state(|state| state.ended.contains(&connection).then_some(())).await;
    }

    async fn until_state<T>(&self, found: impl Fn(&State) -> Option<T>) -> T {
        let mut changed = self.shared.changed.subscribe();
        deadline(async {
            loop {
                changed.borrow_and_update();
                if let Some(found) = found(&self.shared.state.lock().unwrap()) {
                    return found;
                }
                changed.changed().await.unwrap();
            }
        })
        .await
    }

    /// Waits until the client of this session has read everything it was sent so far.
    pub async fn until_read(&self, session: &SessionId) {
        let payload: [u8; 16] = rand::random();
        self.raw_to(session, Message::Ping(payload.to_vec().into()));
        self.until_state(|state| state.pongs.iter().any(|pong| *pong == payload).then_some(())).await;
    }

    /// Waits for the `n`th signal of this kind that reached the proxy after `mark`; returns who sent it, to whom, and
    /// the body.
    pub async fn signal(&self, mark: usize, kind: u8, n: usize) -> (SessionId, SessionId, Vec<u8>) {
        self.until(|frames| signals(&frames[mark..], kind).into_iter().nth(n)).await
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        self.shared.state.lock().unwrap().ways.clear();
    }
}

/// Kinds of signals by their first byte.
pub const PROOF: u8 = 0;
pub const FIRST_IK: u8 = 1;
pub const FIRST_KK: u8 = 2;
pub const SECOND: u8 = 3;
pub const SEALED: u8 = 4;

/// The signals of a kind that clients sent: from whom, to whom, the body.
pub fn signals(frames: &[Frame], kind: u8) -> Vec<(SessionId, SessionId, Vec<u8>)> {
    let of_kind = |frame: &Frame| {
        let (to, body) = frame.sent()?;
        (body.first() == Some(&kind)).then_some((frame.session?, to, body))
    };
    frames.iter().filter_map(of_kind).collect()
}

/// Announcements in the order in which clients made them.
pub fn announcements(frames: &[Frame]) -> Vec<(SessionId, Vec<u8>)> {
    let of = |frame: &Frame| match frame.client()? {
        ClientMessage::Enter { announcement: Bytes(bytes), .. } => Some((frame.session?, bytes)),
        _ => None,
    };
    frames.iter().filter_map(of).collect()
}

async fn accept(listener: TcpListener, shared: Shared) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let (number, mode, upstream) = {
            let mut state = shared.state.lock().unwrap();
            state.attempts += 1;
            (state.attempts, state.mode, state.upstream)
        };
        shared.changed.send_modify(|n| *n += 1);
        match (mode, upstream) {
            (Mode::Serve, Some(upstream)) => {
                let (cut, cutting) = watch::channel(());
                tokio::spawn(serve(stream, upstream, number, shared.clone(), cut, cutting));
            }
            (Mode::Silent, _) => {
                tokio::spawn(async move {
                    if let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await {
                        while socket.next().await.is_some_and(|message| message.is_ok()) {}
                    }
                });
            }
            _ => drop(stream),
        }
    }
}

async fn serve(
    stream: TcpStream,
    upstream: SocketAddr,
    number: usize,
    shared: Shared,
    cut: watch::Sender<()>,
    mut cutting: watch::Receiver<()>,
) {
    tokio::select! {
        () = relay(stream, upstream, number, &shared, cut) => {}
        _ = async { cutting.changed().await } => {}
    }
    {
        let mut state = shared.state.lock().unwrap();
        state.ways.remove(&number);
        state.ended.push(number);
    }
    shared.changed.send_modify(|n| *n += 1);
}

async fn relay(
    stream: TcpStream,
    upstream: SocketAddr,
    number: usize,
    shared: &Shared,
    cut: watch::Sender<()>,
) {
    let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
    let url = format!("ws://{upstream}/ws");
    let _ = stream.set_nodelay(true);
    let Ok(client) = tokio_tungstenite::accept_async_with_config(stream, Some(config)).await else { return };
    let connecting = tokio_tungstenite::connect_async_with_config(url, Some(config), true);
    let Ok((server, _)) = connecting.await else { return };
    let (mut client_out, mut client_in) = client.split();
    let (mut server_out, mut server_in) = server.split();
    let (to_client, mut for_client) = mpsc::channel(WAITING);
    let (to_server, mut for_server) = mpsc::channel(WAITING);
    {
        let way =
            Way { session: None, to_client: to_client.clone(), to_server: to_server.clone(), _cut: cut };
        let mut state = shared.state.lock().unwrap();
        if state.mode != Mode::Serve {
            return;
        }
        state.ways.insert(number, way);
    }
    let up = async {
        while let Some(Ok(message)) = client_in.next().await {
            if !pass(message, number, true, shared, &to_server).await {
                return;
            }
        }
    };
    let down = async {
        while let Some(Ok(message)) = server_in.next().await {
            if !pass(message, number, false, shared, &to_client).await {
                return;
            }
        }
    };
    let write_up = async {
        while let Some(message) = for_server.recv().await {
            if server_out.send(message).await.is_err() {
                return;
            }
        }
    };
    let write_down = async {
        while let Some(message) = for_client.recv().await {
            if client_out.send(message).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = up => {}
        () = down => {}
        () = write_up => {}
        () = write_down => {}
    }
}

async fn pass(
    message: Message,
    connection: usize,
    from_client: bool,
    shared: &Shared,
    on: &mpsc::Sender<Message>,
) -> bool {
    let text = match &message {
        Message::Text(text) => text.as_str().to_owned(),
        // Answered by the library on this hop, and to be asked on the next.
        Message::Pong(payload) => {
            if from_client {
                shared.state.lock().unwrap().pongs.push(payload.to_vec());
                shared.changed.send_modify(|n| *n += 1);
            }
            return true;
        }
        Message::Frame(_) => return true,
        Message::Close(_) => return false,
        Message::Ping(_) | Message::Binary(_) => return on.send(message).await.is_ok(),
    };
    // Shown to the hook, recorded and passed on in one step: who sees a frame in the record, and says something to its
    // receiver then, says it after it.
    let passed = {
        let mut state = shared.state.lock().unwrap();
        let said = ClientMessage::decode(&text).ok().filter(|_| from_client);
        if let (Some(ClientMessage::Hello(hello)), Some(way)) = (said, state.ways.get_mut(&connection)) {
            way.session = Some(hello.session);
        }
        let session = state.ways.get(&connection).and_then(|way| way.session);
        let mut frame = Frame { connection, session, from_client, text, passed: true };
        let verdict = state.hook.as_mut().map_or(Verdict::Pass, |hook| hook(&frame));
        frame.passed = matches!(verdict, Verdict::Pass);
        state.frames.push(frame);
        match verdict {
            Verdict::Pass => on.try_send(message).is_ok(),
            Verdict::Drop => true,
            Verdict::Instead(messages) => messages.into_iter().all(|message| on.try_send(message).is_ok()),
            Verdict::Cut => false,
        }
    };
    shared.changed.send_modify(|n| *n += 1);
    passed
}
