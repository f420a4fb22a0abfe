//! Servers, the sockets to them, and whoever stands between.

use std::time::Duration;

use super::net::{Place, RETRY, Stream};
use super::{Event, HostId, ServerId, World};
use crate::crypto::Rng;
use crate::crypto::keys::SignKey;
use crate::node::Input;
use crate::origin::Origin;
use crate::rendezvous::{ConnectionId, Rendezvous, RendezvousOutput, Terms};

use super::host::Document;

/// One attempt at a connection to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SocketId(pub u64);

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

/// A message about to be sent over a socket.
#[derive(Debug, Clone, Copy)]
pub struct Passing<'a> {
    /// When.
    pub at: Duration,
    /// Over which.
    pub socket: SocketId,
    /// Whose it is.
    pub host: HostId,
    /// To which server it leads.
    pub server: ServerId,
    /// Which way the message goes.
    pub direction: Direction,
    /// The message.
    pub text: &'a str,
}

/// What is sent in the place of a message.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Over which socket; the direction stays.
    pub socket: SocketId,
    /// What.
    pub text: String,
    /// How much later than the message would have been sent.
    pub after: Duration,
}

/// Whoever reads what clients and servers say to each other: a test that watches, or a server that lies.
pub trait Between {
    /// What to send in this message's place; nothing drops it.
    fn pass(&mut self, message: &Passing<'_>) -> Vec<Verdict>;
}

impl<F: FnMut(&Passing<'_>) -> Vec<Verdict>> Between for F {
    fn pass(&mut self, message: &Passing<'_>) -> Vec<Verdict> {
        self(message)
    }
}

impl Passing<'_> {
    /// The message as it is.
    pub fn unchanged(&self) -> Verdict {
        Verdict { socket: self.socket, text: self.text.to_owned(), after: Duration::ZERO }
    }
}

pub(super) struct Server {
    pub(super) origin: Origin,
    key: SignKey,
    /// The process, if it runs.
    hub: Option<Rendezvous>,
    /// How often it was started.
    starts: u64,
    timer: Option<(Duration, u64)>,
}

/// A connection between a client and a server, or what is left of it.
#[derive(Debug, Default)]
pub(super) struct Socket {
    pub(super) host: HostId,
    boots: u64,
    server: ServerId,
    /// The start of the server that accepted it.
    served_by: u64,
    /// Whether the client still has its end.
    client: bool,
    /// Nothing gets through any more, and nobody is told.
    pub(super) cut: bool,
    up: Stream<Frame>,
    down: Stream<Frame>,
}

#[derive(Debug)]
enum Frame {
    Opened,
    Text(String),
    Ping,
    Pong,
    Closed,
}

impl<D: Document> World<D> {
    /// A server that runs, at this address.
    pub fn add_server(&mut self, origin: Origin) -> ServerId {
        let id = ServerId(self.servers.len());
        let key = SignKey::generate(&mut self.rng);
        self.servers.push(Server { origin, key, hub: None, starts: 0, timer: None });
        self.start_server(id);
        id
    }

    /// Who reads and changes what goes over the sockets.
    pub fn set_between(&mut self, between: impl Between + 'static) {
        self.between = Some(Box::new(between));
    }

    /// Starts a server that is down, with its old key.
    pub fn start_server(&mut self, id: ServerId) {
        let server = &mut self.servers[id.0];
        if server.hub.is_none() {
            let terms = Terms::new(server.key.clone(), vec![server.origin.clone()]);
            server.hub = Some(Rendezvous::new(terms, Rng::from_seed(self.rng.bytes())));
            server.starts += 1;
            self.note("server up", id.0 as u64, &[]);
        }
    }

    /// Ends a server's process. Its clients are told by the system; `silent` is a machine without power.
    pub fn kill_server(&mut self, id: ServerId, silent: bool) {
        let server = &mut self.servers[id.0];
        if server.hub.take().is_none() {
            return;
        }
        if let Some(timer) = server.timer.take() {
            self.events.remove(&timer);
        }
        self.note("server down", id.0 as u64, &[u8::from(silent)]);
        let sockets: Vec<SocketId> =
            self.sockets.iter().filter(|(_, socket)| socket.server == id).map(|(id, _)| *id).collect();
        for socket in sockets {
            if silent {
                if let Some(socket) = self.sockets.get_mut(&socket) {
                    socket.cut = true;
                }
            } else {
                self.put_frame(socket, Direction::ToClient, Frame::Closed);
            }
        }
    }

    /// Whether a server runs.
    pub fn server_runs(&self, id: ServerId) -> bool {
        self.servers[id.0].hub.is_some()
    }

    /// How many connections a server has.
    pub fn connections(&self, id: ServerId) -> usize {
        self.servers[id.0].hub.as_ref().map_or(0, Rendezvous::connections)
    }

    /// The socket that a host has to a server now.
    pub fn socket(&self, host: HostId, server: ServerId) -> Option<SocketId> {
        self.hosts[host.0].running.as_ref()?.sockets.get(&self.servers[server.0].origin).copied()
    }

    /// Breaks a host's connection to a server, silently or not.
    pub fn cut_socket(&mut self, host: HostId, server: ServerId, silent: bool) {
        let Some(id) = self.socket(host, server) else { return };
        self.note("cut socket", id.0, &[u8::from(silent)]);
        if silent {
            if let Some(socket) = self.sockets.get_mut(&id) {
                socket.cut = true;
            }
        } else {
            self.put_frame(id, Direction::ToClient, Frame::Closed);
            self.put_frame(id, Direction::ToServer, Frame::Closed);
        }
    }

    /// Sends a text over a socket later, past whoever is between: what a hostile server replays or makes up.
    pub fn inject(&mut self, socket: SocketId, direction: Direction, text: String, after: Duration) {
        self.after(after, Event::Inject(socket, direction, text));
    }

    pub(super) fn dial(&mut self, host: HostId, origin: Origin) {
        self.number += 1;
        let id = SocketId(self.number);
        let known = self.servers.iter().position(|server| server.origin == origin);
        let boots = self.hosts[host.0].boots;
        let running = self.hosts[host.0].running.as_mut();
        let old = running.and_then(|running| running.sockets.insert(origin, id));
        if let Some(old) = old {
            self.leave_socket(old, false);
        }
        let Some(server) = known.map(ServerId) else { return };
        self.sockets.insert(id, Socket { host, boots, server, client: true, ..Socket::default() });
        let delay = self.conditions.delay(&mut self.rng);
        self.after(delay, Event::Dialled(id));
    }

    pub(super) fn dialled(&mut self, id: SocketId) {
        let now = self.now();
        let Some(socket) = self.sockets.get(&id) else { return };
        let (host, server) = (socket.host, socket.server);
        if socket.cut {
            return;
        }
        if !self.reaches(Place::Host(host), Place::Server(server)) {
            self.after(RETRY, Event::Dialled(id));
            return;
        }
        let starts = self.servers[server.0].starts;
        match &mut self.servers[server.0].hub {
            Some(hub) => {
                hub.handle_connect(ConnectionId(id.0), now);
                if let Some(socket) = self.sockets.get_mut(&id) {
                    socket.served_by = starts;
                }
                self.put_frame(id, Direction::ToClient, Frame::Opened);
                self.serve(server);
            }
            None => self.put_frame(id, Direction::ToClient, Frame::Closed),
        }
    }

    /// Sends a text, by way of whoever is between.
    pub(super) fn say(&mut self, id: SocketId, direction: Direction, text: String) {
        let Some(socket) = self.sockets.get(&id) else { return };
        let Some(mut between) = self.between.take() else { return self.put(id, direction, text) };
        let (host, server) = (socket.host, socket.server);
        let passing = Passing { at: self.now, socket: id, host, server, direction, text: &text };
        let verdicts = between.pass(&passing);
        self.between = Some(between);
        for Verdict { socket, text, after } in verdicts {
            if after == Duration::ZERO {
                self.put(socket, direction, text);
            } else {
                self.inject(socket, direction, text, after);
            }
        }
    }

    pub(super) fn put(&mut self, id: SocketId, direction: Direction, text: String) {
        self.put_frame(id, direction, Frame::Text(text));
    }

    fn put_frame(&mut self, id: SocketId, direction: Direction, frame: Frame) {
        let delay = self.conditions.delay(&mut self.rng);
        let at = self.now + delay;
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        if let Some(at) = socket.stream(direction).push(at, frame) {
            self.at(at, Event::Socket(id, direction));
        }
    }

    pub(super) fn socket_arrival(&mut self, id: SocketId, direction: Direction) {
        let Some(socket) = self.sockets.get(&id) else { return };
        let (host, server) = (socket.host, socket.server);
        if socket.cut {
            return;
        }
        if !self.reaches(Place::Host(host), Place::Server(server)) {
            self.after(RETRY, Event::Socket(id, direction));
            return;
        }
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        let stream = socket.stream(direction);
        let Some(frame) = stream.pop() else { return };
        if let Some(at) = stream.next() {
            self.at(at, Event::Socket(id, direction));
        }
        match direction {
            Direction::ToServer => self.at_server(id, server, frame),
            Direction::ToClient => self.at_client(id, host, frame),
        }
    }

    fn at_server(&mut self, id: SocketId, server: ServerId, frame: Frame) {
        let now = self.now();
        let served_by = self.sockets.get(&id).map_or(0, |socket| socket.served_by);
        let Server { hub, starts, .. } = &mut self.servers[server.0];
        let Some(hub) = hub.as_mut().filter(|_| served_by == *starts) else {
            // The machine that came back knows nothing of this connection, and says so.
            self.put_frame(id, Direction::ToClient, Frame::Closed);
            return;
        };
        let connection = ConnectionId(id.0);
        let closed = matches!(frame, Frame::Closed);
        if let Frame::Text(text) = &frame {
            self.trace.note(self.now, "to server", id.0, text.as_bytes());
        }
        match frame {
            Frame::Text(text) => hub.handle_text(connection, &text, now),
            Frame::Ping | Frame::Pong => hub.handle_alive(connection, now),
            Frame::Closed => hub.handle_gone(connection, now),
            Frame::Opened => {}
        }
        if closed && self.sockets.get(&id).is_some_and(|socket| !socket.client) {
            self.sockets.remove(&id);
        }
        self.serve(server);
    }

    fn at_client(&mut self, id: SocketId, host: HostId, frame: Frame) {
        let Some(socket) = self.sockets.get(&id) else { return };
        let current = socket.client && self.hosts[host.0].boots == socket.boots;
        let origin = self.servers[socket.server.0].origin.clone();
        if !current {
            return;
        }
        match frame {
            Frame::Opened => self.input(host, Input::ServerOpened { origin }),
            Frame::Text(text) => {
                self.note("to client", id.0, text.as_bytes());
                self.input(host, Input::ServerText { origin, text });
            }
            Frame::Ping => {
                self.put_frame(id, Direction::ToServer, Frame::Pong);
                self.input(host, Input::ServerPing { origin });
            }
            Frame::Pong => {}
            Frame::Closed => self.reset_socket(id),
        }
    }

    /// The client learns that its connection is gone.
    fn reset_socket(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        let (host, was) = (socket.host, std::mem::replace(&mut socket.client, false));
        let origin = self.servers[socket.server.0].origin.clone();
        self.put_frame(id, Direction::ToServer, Frame::Closed);
        let running = self.hosts[host.0].running.as_mut();
        let current = running.is_some_and(|running| running.sockets.get(&origin) == Some(&id));
        if was && current {
            self.note("closed", id.0, &[]);
            self.input(host, Input::ServerClosed { origin, reason: "reset".into() });
        }
    }

    /// The client gives its end up.
    pub(super) fn leave_socket(&mut self, id: SocketId, silent: bool) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        socket.client = false;
        if silent {
            socket.cut = true;
        } else {
            self.put_frame(id, Direction::ToServer, Frame::Closed);
        }
    }

    pub(super) fn server_timer(&mut self, id: ServerId) {
        let now = self.now();
        self.servers[id.0].timer = None;
        if let Some(hub) = &mut self.servers[id.0].hub {
            hub.handle_timeout(now);
        }
        self.serve(id);
    }

    /// Carries out what a server wants, and arms its timer.
    fn serve(&mut self, id: ServerId) {
        while let Some(hub) = &mut self.servers[id.0].hub
            && let Some(output) = hub.poll_output()
        {
            match output {
                RendezvousOutput::Send(to, message) => {
                    self.say(SocketId(to.0), Direction::ToClient, message.encode());
                }
                RendezvousOutput::Ping(to) => {
                    self.put_frame(SocketId(to.0), Direction::ToClient, Frame::Ping);
                }
                RendezvousOutput::Close(to, why) => {
                    self.note("server closes", to.0, format!("{why:?}").as_bytes());
                    self.put_frame(SocketId(to.0), Direction::ToClient, Frame::Closed);
                }
            }
        }
        let server = &self.servers[id.0];
        let wanted = server.hub.as_ref().and_then(Rendezvous::poll_timeout).map(|at| at.max(self.now));
        if wanted != server.timer.map(|(at, _)| at) {
            if let Some(old) = self.servers[id.0].timer.take() {
                self.events.remove(&old);
            }
            let timer = wanted.map(|at| self.at(at, Event::ServerTimer(id)));
            self.servers[id.0].timer = timer;
        }
    }
}

impl Socket {
    fn stream(&mut self, direction: Direction) -> &mut Stream<Frame> {
        match direction {
            Direction::ToServer => &mut self.up,
            Direction::ToClient => &mut self.down,
        }
    }
}
