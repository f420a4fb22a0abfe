//! Drives the node: carries bytes between it and sockets, WebRTC, the store and the documents. Decides nothing.
//!
//! ```text
//! commands ─┐                    ┌─ Apply, SetClient, Collect → documents        (at once)
//! sockets  ─┼─► Node ─► outputs ─┼─ Persist, Forget → store, one commit          (before all that follows)
//! WebRTC   ─┤                    ├─ sends → sockets, WebRTC
//! one timer ┘                    └─ events, replies → application
//! ```
//!
//! What arrives while a commit is under way is taken together with the next one.

mod command;

pub(crate) use command::Command;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use command::Answer;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use symbolon_core::id::{DeviceId, RoomId};
use symbolon_core::node::{Config, Event, Input, LinkId, Node, Output};
use symbolon_core::origin::Origin;
use symbolon_core::time::Now;
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::doc::Doc;
use crate::error::{Error, OpenError};
use crate::host::Host;
use crate::peer::{Options, PeerEvent};
use crate::rtc::{Connection, IceServer, Rtc, RtcEvent};
use crate::socket::{Socket, SocketEvent, Trust};
use crate::store::{Home, Store, Write};

/// Inputs that may wait for the driver; who has more to say waits.
const INPUTS: usize = 256;

/// How many inputs share one commit.
const BATCH: usize = 256;

/// The most bytes of merged local changes in one frame.
const MAX_UPDATE: usize = 256 * 1024;

/// How often the machine's addresses and the two clocks are looked at.
const LOOK: Duration = Duration::from_secs(10);

/// A wall clock that ran so much ahead of the other one: the machine slept.
const SLEPT: Duration = Duration::from_secs(20);

/// Milliseconds since 1970.
pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Opens the home and starts the task that drives it.
pub(crate) async fn start(
    mut options: Options,
    commands: mpsc::Receiver<Command>,
    events: broadcast::Sender<PeerEvent>,
) -> Result<(DeviceId, String), OpenError> {
    // Fails only if somebody chose one before, which then serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    if let Some(file) = options.ca_file.clone() {
        options.rtc.roots.extend(blocking(move || authorities(&file)).await??);
    }
    let trust = Trust::new(&options.rtc.roots).map_err(OpenError::Authority)?;
    let path = options.home.clone();
    let (user, device) = (options.user.clone(), options.device_name.clone());
    let home = blocking(move || Home::open(&path, user.as_deref(), device.as_deref())).await??;
    let began = Instant::now();
    let now = Now { monotonic: Duration::ZERO, unix_ms: unix_ms() };
    let mut node = match restored(&home, &options.home, now).await {
        Ok(node) => node,
        Err(error) => {
            // Closing a damaged database may fail as well.
            let _ = blocking(move || drop(home)).await;
            return Err(error);
        }
    };
    node.start(now);
    let (socket_events, sockets_inbox) = mpsc::channel(INPUTS);
    let (rtc_events, rtc_inbox) = mpsc::channel(INPUTS);
    let device = node.device();
    let driver = Driver {
        node,
        began,
        store: home.store.clone(),
        rtc: Rtc::new(options.rtc),
        sockets: BTreeMap::new(),
        trust,
        attempts: 0,
        host: None,
        connections: HashMap::new(),
        docs: BTreeMap::new(),
        dirty: Vec::new(),
        waiting: Vec::new(),
        joining: Vec::new(),
        socket_events,
        rtc_events,
        events,
        broken: None,
    };
    let name = home.profile.device.clone();
    tokio::spawn(driver.run(home, commands, sockets_inbox, rtc_inbox));
    Ok((device, name))
}

/// The node with all that its home holds. Nothing is written there unless all of it is good.
async fn restored(home: &Home, path: &std::path::Path, now: Now) -> Result<Node, OpenError> {
    let path = path.join("store.redb");
    let damaged = |what: String| OpenError::Damaged { path: path.clone(), what };
    let store = home.store.clone();
    let entries = match blocking(move || store.load()).await {
        Ok(loaded) => loaded.map_err(|error| damaged(error.to_string()))?,
        Err(_) => return Err(damaged("it cannot be read".to_owned())),
    };
    let config = Config {
        seed: home.seed,
        rng: rand::random(),
        user: home.profile.user.clone(),
        device: home.profile.device.clone(),
    };
    let mut node = Node::new(&config, now).map_err(|error| OpenError::Name(error.to_string()))?;
    let entries = entries.iter().map(|(key, value)| (&key[..], &value[..]));
    node.restore(entries, now).map_err(|error| damaged(error.to_string()))?;
    let store = home.store.clone();
    match blocking(move || store.commit(&[])).await? {
        Ok(()) => Ok(node),
        Err(redb::Error::Io(error)) => Err(OpenError::Io { path, error }),
        Err(other) => Err(damaged(other.to_string())),
    }
}

/// The certificates in a file, in DER.
fn authorities(file: &Path) -> Result<Vec<Vec<u8>>, OpenError> {
    let pem = std::fs::read(file).map_err(|error| OpenError::Io { path: file.to_owned(), error })?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let read = read.ok().filter(|read| !read.is_empty()).ok_or(OpenError::NoAuthority(file.to_owned()))?;
    Ok(read.iter().map(|certificate| certificate.to_vec()).collect())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, OpenError> {
    let failed =
        |error| OpenError::Io { path: std::path::PathBuf::new(), error: std::io::Error::other(error) };
    tokio::task::spawn_blocking(work).await.map_err(failed)
}

/// What a link's connection says.
struct LinkEvent {
    link: LinkId,
    event: RtcEvent,
}

struct Driver {
    node: Node,
    began: Instant,
    store: Store,
    rtc: Rtc,
    sockets: BTreeMap<Origin, Socket>,
    trust: Trust,
    attempts: u64,
    /// The server that is hosted here.
    host: Option<Host>,
    connections: HashMap<LinkId, Connection>,
    docs: BTreeMap<RoomId, Doc>,
    /// Rooms whose document was changed from here.
    dirty: Vec<RoomId>,
    /// Answers to be given once all outputs so far are carried out.
    waiting: Vec<Answer>,
    /// Who waits for which room.
    joining: Vec<(RoomId, oneshot::Sender<Result<RoomId, Error>>)>,
    socket_events: mpsc::Sender<SocketEvent>,
    rtc_events: mpsc::Sender<LinkEvent>,
    events: broadcast::Sender<PeerEvent>,
    /// Why the store can no longer be written.
    broken: Option<String>,
}

/// One thing that happened.
enum Happened {
    Command(Command),
    Socket(SocketEvent),
    Link(LinkEvent),
    Timer,
    Look,
    Closed,
}

impl Driver {
    async fn run(
        mut self,
        home: Home,
        mut commands: mpsc::Receiver<Command>,
        mut sockets: mpsc::Receiver<SocketEvent>,
        mut links: mpsc::Receiver<LinkEvent>,
    ) {
        let mut look = tokio::time::interval(LOOK);
        let mut surroundings = Surroundings::new(self.now());
        let mut closing = None;
        self.carry_out().await;
        while closing.is_none() {
            let wake = self.node.poll_timeout().map(|at| tokio::time::Instant::from_std(self.began + at));
            let timer = async {
                match wake {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let mut happened = tokio::select! {
                command = commands.recv() => command.map_or(Happened::Closed, Happened::Command),
                Some(event) = sockets.recv() => Happened::Socket(event),
                Some(event) = links.recv() => Happened::Link(event),
                () = timer => Happened::Timer,
                _ = look.tick() => Happened::Look,
            };
            for taken in 1..=BATCH {
                match happened {
                    Happened::Command(Command::Close(reply)) => closing = Some(Some(reply)),
                    Happened::Command(command) => self.command(command),
                    Happened::Socket(event) => self.socket_event(event),
                    Happened::Link(event) => self.link_event(event),
                    Happened::Timer => self.node.handle_timeout(self.now()),
                    Happened::Look => {
                        if surroundings.changed(self.now()) {
                            if let Some(host) = &mut self.host {
                                host.look_around();
                            }
                            self.node.handle(Input::NetworkChanged, self.now());
                        }
                    }
                    Happened::Closed => closing = Some(None),
                }
                // Before the next one is taken: what is taken must be handled.
                if closing.is_some() || taken == BATCH {
                    break;
                }
                happened = if let Ok(event) = links.try_recv() {
                    Happened::Link(event)
                } else if let Ok(event) = sockets.try_recv() {
                    Happened::Socket(event)
                } else if let Ok(command) = commands.try_recv() {
                    Happened::Command(command)
                } else {
                    break;
                };
            }
            self.carry_out().await;
        }
        self.sockets.clear();
        self.connections.clear();
        let Self { store, host, .. } = self;
        drop(store);
        if let Some(host) = host {
            host.shutdown().await;
        }
        // The last handle: the store is closed and the home free before anyone hears of it.
        let _ = tokio::task::spawn_blocking(move || drop(home)).await;
        if let Some(Some(reply)) = closing {
            let _ = reply.send(());
        }
    }

    fn now(&self) -> Now {
        Now { monotonic: self.began.elapsed(), unix_ms: unix_ms() }
    }

    fn socket_event(&mut self, event: SocketEvent) {
        if self.sockets.get(&event.origin).is_some_and(|socket| socket.attempt == event.attempt) {
            self.node.handle(event.input, self.now());
        }
    }

    fn link_event(&mut self, LinkEvent { link, event }: LinkEvent) {
        if !self.connections.contains_key(&link) {
            return;
        }
        let input = match event {
            RtcEvent::Description(sdp) => Input::Description { link, sdp },
            RtcEvent::Candidate(candidate) => Input::Candidate { link, candidate },
            RtcEvent::Open => Input::Opened { link },
            RtcEvent::Message(part) => Input::Part { link, part: part.to_vec() },
            RtcEvent::Sent(bytes) => Input::Sent { link, bytes },
            RtcEvent::Closed(reason) => Input::Closed { link, reason },
        };
        self.node.handle(input, self.now());
    }

    /// Carries out all outputs: documents at once, then the disk, then everything others can see.
    async fn carry_out(&mut self) {
        for room in std::mem::take(&mut self.dirty) {
            self.node.flush(&room, self.now());
        }
        while self.carry_out_some().await {}
    }

    /// Carries out what there is by now; says whether there was anything.
    async fn carry_out_some(&mut self) -> bool {
        let mut writes = Vec::new();
        let mut later = Vec::new();
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Persist { key, value } => writes.push(Write::Put(key, value)),
                Output::Forget { room } => {
                    self.docs.remove(&room);
                    writes.push(Write::Forget(room));
                }
                Output::Apply { room, chain, update } => self.apply(room, chain.author, &update),
                Output::SetClient { room, client } => {
                    let doc = self.docs.entry(room).or_insert_with(|| Doc::new(client));
                    if doc.client() != client {
                        doc.set_client(client);
                    }
                }
                Output::Collect { room } => self.collect(room),
                other => later.push(other),
            }
        }
        if !writes.is_empty() && self.broken.is_none() {
            let store = self.store.clone();
            let stored = tokio::task::spawn_blocking(move || store.commit(&writes)).await;
            let failure = match stored {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(error) => Some(error.to_string()),
            };
            if let Some(failure) = failure {
                self.fail(&failure);
            }
        }
        let waiting = std::mem::take(&mut self.waiting);
        if let Some(why) = self.broken.clone() {
            // What is not on disk is told to nobody.
            for answer in waiting {
                answer(Err(Error::Store(why.clone())));
            }
            return !later.is_empty();
        }
        let any = !later.is_empty();
        for output in later {
            self.send_out(output);
        }
        for answer in waiting {
            answer(Ok(()));
        }
        any
    }

    /// The store cannot be written: from here on this peer is silent, and says why to whoever asks.
    fn fail(&mut self, why: &str) {
        tracing::error!("the store cannot be written: {why}");
        self.broken = Some(why.to_owned());
        self.sockets.clear();
        self.connections.clear();
        for (_, reply) in self.joining.drain(..) {
            let _ = reply.send(Err(Error::Store(why.to_owned())));
        }
    }

    fn apply(&mut self, room: RoomId, author: DeviceId, update: &[u8]) {
        if update.is_empty() {
            return;
        }
        let client = self.node.log(&room).map_or(0, |(client, _)| client);
        let doc = self.docs.entry(room).or_insert_with(|| Doc::new(client));
        match doc.apply(update) {
            Ok(changes) => {
                if !changes.is_empty() {
                    let _ = self.events.send(PeerEvent::Text { room, author, changes });
                }
                for document in doc.take_drawn() {
                    let _ = self.events.send(PeerEvent::Canvas { room, author, document });
                }
            }
            // It passed the core's check, so this is a bug worth a report; the others' state is not touched by it.
            Err(error) => tracing::error!("a checked change could not be applied: {error}"),
        }
    }

    fn collect(&mut self, room: RoomId) {
        let Some(doc) = self.docs.get_mut(&room) else { return };
        let updates = doc.take_updates(MAX_UPDATE);
        for update in updates {
            if let Err(error) = self.node.local_update(&room, &update, self.now()) {
                tracing::error!("a local change was refused: {error}");
            }
        }
    }

    fn send_out(&mut self, output: Output) {
        match output {
            Output::Dial { origin } => {
                self.attempts += 1;
                let near = self.host.as_ref().and_then(|host| host.near(&origin));
                let socket = Socket::dial(
                    origin.clone(),
                    near,
                    self.trust.clone(),
                    self.attempts,
                    self.socket_events.clone(),
                );
                self.sockets.insert(origin, socket);
            }
            Output::HangUp { origin } => {
                self.sockets.remove(&origin);
            }
            Output::SendServer { origin, text } => {
                if self.sockets.get(&origin).is_some_and(|socket| !socket.send(text)) {
                    self.sockets.remove(&origin);
                    let reason = "it takes no more messages".to_owned();
                    self.node.handle(Input::ServerClosed { origin, reason }, self.now());
                }
            }
            Output::MakeOffer { link, ice_servers } => {
                let made = self.rtc.offer(ice(ice_servers));
                self.connection(link, made);
            }
            Output::MakeAnswer { link, offer, ice_servers } => {
                let made = self.rtc.answer(ice(ice_servers), offer);
                self.connection(link, made);
            }
            Output::AcceptAnswer { link, answer } => {
                if let Some(connection) = self.connections.get(&link) {
                    connection.accept_answer(answer);
                }
            }
            Output::AddCandidate { link, candidate } => {
                if let Some(connection) = self.connections.get(&link) {
                    connection.add_candidate(candidate);
                }
            }
            Output::Send { link, part } => {
                if let Some(connection) = self.connections.get(&link) {
                    connection.send(Bytes::from(part));
                }
            }
            Output::Close { link } => {
                self.connections.remove(&link);
            }
            Output::Presence { room, presence } => {
                let _ = self.events.send(PeerEvent::Presence { room, presence });
            }
            Output::Event(event) => self.event(event),
            Output::Persist { .. }
            | Output::Forget { .. }
            | Output::Apply { .. }
            | Output::SetClient { .. }
            | Output::Writer { .. }
            | Output::Collect { .. } => {}
        }
    }

    fn connection(&mut self, link: LinkId, made: (Connection, mpsc::Receiver<RtcEvent>)) {
        let (connection, mut inbox) = made;
        self.connections.insert(link, connection);
        let events = self.rtc_events.clone();
        tokio::spawn(async move {
            while let Some(event) = inbox.recv().await {
                if events.send(LinkEvent { link, event }).await.is_err() {
                    break;
                }
            }
        });
    }

    fn event(&mut self, event: Event) {
        let done = match &event {
            Event::Ready { room } => Some((*room, Ok(*room))),
            Event::JoinFailed { room, failure } => {
                Some((*room, Err(Error::Join { room: *room, failure: failure.clone() })))
            }
            _ => None,
        };
        if let Some((room, result)) = done {
            let (told, rest) = std::mem::take(&mut self.joining).into_iter().partition(|(of, _)| *of == room);
            self.joining = rest;
            let told: Vec<(RoomId, oneshot::Sender<_>)> = told;
            for (_, reply) in told {
                let _ = reply.send(result.clone());
            }
        }
        let _ = self.events.send(PeerEvent::Node(event));
    }
}

fn ice(servers: Vec<symbolon_core::signal::IceServer>) -> Vec<IceServer> {
    let convert = |server: symbolon_core::signal::IceServer| IceServer {
        urls: server.urls,
        username: server.username,
        credential: server.credential,
    };
    servers.into_iter().map(convert).collect()
}

/// What tells that the machine moved to another network, or slept.
struct Surroundings {
    last: Now,
    addresses: Vec<std::net::IpAddr>,
}

impl Surroundings {
    fn new(now: Now) -> Self {
        Self { last: now, addresses: addresses() }
    }

    fn changed(&mut self, now: Now) -> bool {
        let wall = Duration::from_millis(now.unix_ms.saturating_sub(self.last.unix_ms));
        let slept = wall > now.monotonic.saturating_sub(self.last.monotonic) + SLEPT;
        let addresses = addresses();
        let moved = addresses != self.addresses;
        *self = Self { last: now, addresses };
        slept || moved
    }
}

fn addresses() -> Vec<std::net::IpAddr> {
    let mut out: Vec<_> =
        if_addrs::get_if_addrs().unwrap_or_default().into_iter().map(|interface| interface.ip()).collect();
    out.sort();
    out
}
