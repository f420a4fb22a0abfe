//! A peer on the test's strings: the real node, server and WebRTC, but the test sees and changes what goes in and out.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use symbolon::rtc::{Connection, Rtc, RtcEvent, Settings};
use symbolon::{DeviceId, Origin, RoomId, Ticket};
use symbolon_core::crypto::keys::DeviceKeys;
use symbolon_core::mesh::Message as MeshMessage;
use symbolon_core::node::{Config, Event, Input, LinkId, Node, Output};
use symbolon_core::time::Now;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use super::{deadline, unix_ms};

type Tamper = Box<dyn FnMut(Input) -> Vec<Input> + Send>;

/// See the module. It runs only while one of its methods does.
pub struct Puppet {
    pub node: Node,
    pub keys: DeviceKeys,
    began: Instant,
    pub rtc: Rtc,
    sockets: HashMap<Origin, mpsc::Sender<String>>,
    connections: HashMap<LinkId, Connection>,
    inputs: mpsc::Receiver<Input>,
    inputs_in: mpsc::Sender<Input>,
    /// All that the node stored, by key.
    pub stored: BTreeMap<Vec<u8>, Vec<u8>>,
    pub events: Vec<Event>,
    /// Sees every input before the node does.
    pub tamper: Option<Tamper>,
}

impl Puppet {
    pub fn new(name: &str) -> Self {
        Self::with_seed(name, rand::random())
    }

    pub fn with_seed(name: &str, seed: [u8; 32]) -> Self {
        let (inputs_in, inputs) = mpsc::channel(1024);
        let user = name.to_owned();
        let config = Config { seed, rng: rand::random(), device: format!("{name}'s"), user };
        let now = Now { monotonic: Duration::ZERO, unix_ms: unix_ms() };
        let settings = Settings { bind: Some(vec!["127.0.0.1".parse().unwrap()]), ..Settings::default() };
        Self {
            node: Node::new(&config, now).unwrap(),
            keys: DeviceKeys::from_seed(&seed),
            began: Instant::now(),
            rtc: Rtc::new(settings),
            sockets: HashMap::new(),
            connections: HashMap::new(),
            inputs,
            inputs_in,
            stored: BTreeMap::new(),
            events: Vec::new(),
            tamper: None,
        }
    }

    /// A new start of a device that stored this.
    pub fn restored(name: &str, seed: [u8; 32], stored: BTreeMap<Vec<u8>, Vec<u8>>) -> Self {
        let mut this = Self::with_seed(name, seed);
        let entries = stored.iter().map(|(key, value)| (&key[..], &value[..]));
        this.node.restore(entries, this.now()).unwrap();
        this.stored = stored;
        this
    }

    /// Begins to dial.
    pub fn start(&mut self) {
        self.node.start(self.now());
        self.carry_out();
    }

    pub fn device(&self) -> DeviceId {
        self.node.device()
    }

    fn now(&self) -> Now {
        Now { monotonic: self.began.elapsed(), unix_ms: unix_ms() }
    }

    /// Joins, and runs until it is in or has failed; says whether it is in.
    pub async fn join(&mut self, ticket: &Ticket, timeout: Duration) -> bool {
        let room = self.node.join(ticket, timeout, self.now()).unwrap();
        self.carry_out();
        self.run_until(|puppet| {
            puppet.events.iter().find_map(|event| match event {
                Event::Ready { room: of } if *of == room => Some(true),
                Event::JoinFailed { room: of, .. } if *of == room => Some(false),
                _ => None,
            })
        })
        .await
    }

    /// Runs until it is linked with so many members.
    pub async fn until_links(&mut self, room: RoomId, links: usize) {
        self.run_until(|puppet| puppet.node.room(&room).filter(|room| room.links == links).map(|_| ())).await;
    }

    /// Runs until `done` has something to return.
    pub async fn run_until<T>(&mut self, done: impl Fn(&Self) -> Option<T>) -> T {
        deadline(async {
            loop {
                if let Some(done) = done(self) {
                    return done;
                }
                self.step().await;
            }
        })
        .await
    }

    /// Runs for ever: to be raced against something else.
    pub async fn run(&mut self) {
        loop {
            self.step().await;
        }
    }

    async fn step(&mut self) {
        let wake = self.node.poll_timeout().map(|at| tokio::time::Instant::from_std(self.began + at));
        let timer = async {
            match wake {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            input = self.inputs.recv() => {
                let input = input.expect("the sender is in this struct");
                let inputs = self.tamper.as_mut().map_or_else(|| vec![input.clone()], |tamper| tamper(input.clone()));
                for input in inputs {
                    self.node.handle(input, self.now());
                }
            }
            () = timer => self.node.handle_timeout(self.now()),
        }
        self.carry_out();
    }

    /// Writes to every member it is linked with, past the node.
    pub fn inject(&self, message: &MeshMessage) {
        let bytes = message.encode();
        assert!(bytes.len() <= symbolon_core::link::PART, "one part is enough");
        // The urgent lane, the last part of its message.
        let part = [&[2][..], &bytes].concat();
        for connection in self.connections.values() {
            connection.send(Bytes::from(part.clone()));
        }
    }

    /// What it has stored of a room under this kind of key.
    pub fn stored(&self, room: &RoomId, kind: u8) -> Vec<Vec<u8>> {
        let prefix = [&symbolon_core::node::room_prefix(room)[..], &[kind]].concat();
        let fits = |entry: &(&Vec<u8>, &Vec<u8>)| entry.0.starts_with(&prefix);
        self.stored.iter().filter(fits).map(|(_, value)| value.clone()).collect()
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Persist { key, value } => {
                    self.stored.insert(key, value);
                }
                Output::Dial { origin } => self.dial(origin),
                Output::SendServer { origin, text } => {
                    if let Some(socket) = self.sockets.get(&origin) {
                        let _ = socket.try_send(text);
                    }
                }
                Output::HangUp { origin } => {
                    self.sockets.remove(&origin);
                }
                Output::MakeOffer { link, .. } => {
                    let made = self.rtc.offer(Vec::new());
                    self.connection(link, made);
                }
                Output::MakeAnswer { link, offer, .. } => {
                    let made = self.rtc.answer(Vec::new(), offer);
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
                Output::Event(event) => self.events.push(event),
                Output::Forget { .. }
                | Output::Apply { .. }
                | Output::SetClient { .. }
                | Output::Writer { .. }
                | Output::Presence { .. }
                | Output::Collect { .. } => {}
            }
        }
    }

    fn dial(&mut self, origin: Origin) {
        let (out, mut outbox) = mpsc::channel::<String>(512);
        self.sockets.insert(origin.clone(), out);
        let inputs = self.inputs_in.clone();
        tokio::spawn(async move {
            let connecting = tokio_tungstenite::connect_async_with_config(origin.socket_url(), None, true);
            let Ok((mut socket, _)) = connecting.await else { return };
            let _ = inputs.send(Input::ServerOpened { origin: origin.clone() }).await;
            loop {
                tokio::select! {
                    text = outbox.recv() => {
                        let Some(text) = text else { return };
                        if socket.send(Message::text(text)).await.is_err() {
                            return;
                        }
                    }
                    message = socket.next() => match message {
                        Some(Ok(Message::Text(text))) => {
                            let text = text.as_str().to_owned();
                            let _ = inputs.send(Input::ServerText { origin: origin.clone(), text }).await;
                        }
                        Some(Ok(_)) => {}
                        _ => {
                            let reason = "closed".to_owned();
                            let _ = inputs.send(Input::ServerClosed { origin, reason }).await;
                            return;
                        }
                    }
                }
            }
        });
    }

    fn connection(&mut self, link: LinkId, made: (Connection, mpsc::Receiver<RtcEvent>)) {
        let (connection, mut inbox) = made;
        self.connections.insert(link, connection);
        let inputs = self.inputs_in.clone();
        tokio::spawn(async move {
            while let Some(event) = inbox.recv().await {
                let input = match event {
                    RtcEvent::Description(sdp) => Input::Description { link, sdp },
                    RtcEvent::Candidate(candidate) => Input::Candidate { link, candidate },
                    RtcEvent::Open => Input::Opened { link },
                    RtcEvent::Message(part) => Input::Part { link, part: part.to_vec() },
                    RtcEvent::Sent(bytes) => Input::Sent { link, bytes },
                    RtcEvent::Closed(reason) => Input::Closed { link, reason },
                };
                if inputs.send(input).await.is_err() {
                    return;
                }
            }
        });
    }
}
