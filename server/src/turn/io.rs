//! The relay's sockets.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use stun_types::AddressFamily;
use stun_types::attribute::Realm;
use symbolon_core::id::SessionId;
use symbolon_core::rendezvous::{TurnSecret, TurnTerms};
use symbolon_core::signal::IceServer;
use symbolon_core::time::Now;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::{Notify, mpsc};
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::auth::Gate;
use super::config::TurnConfig;
use super::machine::{Client, Machine, Output, RelayId, TurnUse, Via, canonical};
use super::ranges::Ranges;
use super::stream;
use crate::ServerError;
use crate::clock::Clock;
use crate::door::Door;

/// The largest datagram there is.
const DATAGRAM: usize = 64 * 1024;

/// Ports tried for one relay. With half of them taken, one in a million relays finds none.
const PORT_TRIES: usize = 20;

thread_local! {
    /// What the sockets of this thread receive into: one for all, since relays are many and mostly quiet.
    static RECEIVED: RefCell<Vec<u8>> = RefCell::new(vec![0; DATAGRAM]);
}

/// The relay, as the rest of the server sees it.
#[derive(Debug)]
pub(crate) struct Turn {
    machine: Mutex<Machine>,
    pub(super) clock: Clock,
    listening: Vec<Arc<UdpSocket>>,
    sockets: Mutex<Sockets>,
    ports: RangeInclusive<u16>,
    public: Vec<IpAddr>,
    /// Wakes the timer's task when there is something to wait for.
    timer: Notify,
    pub(super) door: Arc<Door>,
    me: Weak<Turn>,
}

#[derive(Debug, Default)]
struct Sockets {
    relays: HashMap<RelayId, (Arc<UdpSocket>, AbortHandle)>,
    streams: HashMap<u64, mpsc::Sender<Vec<u8>>>,
    next_stream: u64,
}

/// A relay that runs until this is dropped.
#[derive(Debug)]
pub(crate) struct TurnServer {
    pub(crate) turn: Arc<Turn>,
    /// What sessions are told.
    pub(crate) terms: TurnTerms,
    pub(crate) stun: Option<IceServer>,
    tasks: JoinSet<()>,
}

impl TurnServer {
    /// Binds the listening sockets and serves them.
    pub(crate) fn start(
        config: &TurnConfig,
        acceptor: Option<TlsAcceptor>,
        clock: Clock,
    ) -> Result<Self, ServerError> {
        let udp = bind_all(&config.udp, |address| {
            let socket = std::net::UdpSocket::bind(address)?;
            socket.set_nonblocking(true)?;
            UdpSocket::from_std(socket).map(Arc::new)
        })?;
        let stream = |address| {
            let socket = std::net::TcpListener::bind(address)?;
            socket.set_nonblocking(true)?;
            TcpListener::from_std(socket)
        };
        let (tcp, tls) = (bind_all(&config.tcp, stream)?, bind_all(&config.tls, stream)?);
        if acceptor.is_none() && !tls.is_empty() {
            return Err(ServerError::Turn("it is to speak TLS, and the server has no certificate".into()));
        }
        let heard: Vec<SocketAddr> = udp.iter().filter_map(|socket| socket.local_addr().ok()).collect();
        let addresses = |all: &[TcpListener]| -> Vec<SocketAddr> {
            all.iter().filter_map(|listener| listener.local_addr().ok()).collect()
        };
        let (streamed, secured) = (addresses(&tcp), addresses(&tls));
        let public = public_addresses(config, heard.iter().chain(&streamed).chain(&secured));
        let urls = urls(config, &public, [&heard, &streamed, &secured])?;
        let secret = TurnSecret::new(match config.secret().map_err(ServerError::Turn)? {
            Some(text) => text.into_bytes(),
            None => rand::random::<[u8; 32]>().to_vec(),
        });
        let gate = Gate {
            realm: Realm::new(&config.realm)
                .map_err(|_| ServerError::Turn("its realm is longer than 763 bytes".into()))?,
            secret: secret.clone(),
            nonce_key: rand::random(),
        };
        let own = if_addrs::get_if_addrs().unwrap_or_default().into_iter().map(|interface| interface.ip());
        let own = own.chain(public.iter().copied()).collect();
        let ranges = Ranges { allow: config.allow_private.clone(), own };
        let limits = config.limits;
        let turn = Arc::new_cyclic(|me| Turn {
            machine: Mutex::new(Machine::new(gate, limits, ranges, public.clone())),
            clock,
            listening: udp,
            sockets: Mutex::default(),
            ports: config.ports.clone(),
            public,
            timer: Notify::new(),
            door: Arc::new(Door::new(limits.seats(), false)),
            me: me.clone(),
        });
        let mut tasks = JoinSet::new();
        for (number, socket) in turn.listening.iter().enumerate() {
            tasks.spawn(Arc::clone(&turn).listen(number, Arc::clone(socket)));
        }
        for listener in tcp {
            tasks.spawn(stream::accept(Arc::clone(&turn), listener, None));
        }
        for listener in tls {
            tasks.spawn(stream::accept(Arc::clone(&turn), listener, acceptor.clone()));
        }
        tasks.spawn(Arc::clone(&turn).keep_time());
        let (username, credential) = (String::new(), String::new());
        // Browsers refuse all servers if one of them has no address.
        let stun = (!urls.0.is_empty()).then_some(IceServer { urls: urls.0, username, credential });
        Ok(Self { turn, terms: TurnTerms { urls: urls.1, secret, life: config.life }, stun, tasks })
    }
}

impl Drop for TurnServer {
    fn drop(&mut self) {
        self.tasks.abort_all();
        for (_, (_, task)) in self.turn.sockets().relays.drain() {
            task.abort();
        }
    }
}

impl Turn {
    /// A session has signed in: it may have relays.
    pub(crate) fn signed_in(&self, session: &SessionId) {
        self.drive(|machine, _| machine.handle_signed_in(session));
    }

    /// It is gone, and what it has ends soon.
    pub(crate) fn signed_out(&self, session: &SessionId) {
        self.drive(|machine, now| machine.handle_signed_out(session, now));
    }

    /// What is in use.
    pub(crate) fn used(&self) -> TurnUse {
        self.machine().used()
    }

    /// A stream has been accepted; what is to be written to it goes to `writer`.
    pub(super) fn stream_opened(&self, writer: mpsc::Sender<Vec<u8>>) -> u64 {
        let mut sockets = self.sockets();
        let number = sockets.next_stream;
        sockets.next_stream += 1;
        sockets.streams.insert(number, writer);
        number
    }

    pub(super) fn stream_closed(&self, client: Client) {
        if let Via::Stream(number) = client.via {
            self.sockets().streams.remove(&number);
        }
        self.drive(|machine, _| machine.handle_stream_end(client));
    }

    /// One message of a stream; says whether the client has a relay.
    pub(super) fn stream_message(&self, client: Client, bytes: &[u8]) -> bool {
        self.drive(|machine, now| {
            machine.handle_message(client, bytes, now);
            machine.serves(&client)
        })
    }

    async fn listen(self: Arc<Self>, number: usize, socket: Arc<UdpSocket>) {
        receive(&socket, |bytes, from| {
            let client = Client { address: canonical(from), via: Via::Datagrams(number) };
            self.drive(|machine, now| machine.handle_message(client, bytes, now));
        })
        .await;
    }

    async fn relay(self: Arc<Self>, relay: RelayId, socket: Arc<UdpSocket>) {
        receive(&socket, |bytes, from| {
            self.drive(|machine, now| machine.handle_peer(relay, from, bytes, now));
        })
        .await;
    }

    async fn keep_time(self: Arc<Self>) {
        loop {
            let next = self.machine().poll_timeout();
            match next {
                None => self.timer.notified().await,
                Some(at) => {
                    tokio::time::sleep_until(self.clock.instant(at)).await;
                    self.drive(Machine::handle_timeout);
                }
            }
        }
    }

    /// Tells the machine something and does what it says.
    fn drive<T>(&self, tell: impl FnOnce(&mut Machine, Now) -> T) -> T {
        let mut outputs = Vec::new();
        let mut machine = self.machine();
        let told = tell(&mut machine, self.clock.now());
        while let Some(output) = machine.poll_output() {
            match output {
                Output::Bind(relay, family) => {
                    let bound = self.bind(relay, family);
                    machine.handle_bound(relay, bound);
                    self.timer.notify_one();
                }
                output => outputs.push(output),
            }
        }
        drop(machine);
        for output in outputs {
            self.carry_out(output);
        }
        told
    }

    fn carry_out(&self, output: Output) {
        // What cannot be sent now is lost, as any datagram may be.
        match output {
            Output::ToClient(Client { address, via: Via::Datagrams(number) }, bytes) => {
                if let Some(socket) = self.listening.get(number) {
                    let _ = socket.try_send_to(&bytes, fitting(socket, address));
                }
            }
            Output::ToClient(Client { via: Via::Stream(number), .. }, bytes) => {
                if let Some(writer) = self.sockets().streams.get(&number) {
                    let _ = writer.try_send(bytes);
                }
            }
            Output::ToPeer(relay, peer, bytes) => {
                let socket = self.sockets().relays.get(&relay).map(|(socket, _)| Arc::clone(socket));
                if let Some(socket) = socket {
                    let _ = socket.try_send_to(&bytes, peer);
                }
            }
            Output::Close(relay) => {
                if let Some((_, task)) = self.sockets().relays.remove(&relay) {
                    task.abort();
                }
            }
            Output::Bind(..) => {}
        }
    }

    /// A socket at a random port of the range; gives the address at which peers reach it.
    fn bind(&self, relay: RelayId, family: AddressFamily) -> Option<SocketAddr> {
        let public = *self.public.iter().find(|ip| ip.is_ipv4() == (family == AddressFamily::IPV4))?;
        let any: IpAddr =
            if public.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let (first, last) = (*self.ports.start(), *self.ports.end());
        let socket = (0..PORT_TRIES).find_map(|_| {
            let port = first + rand::random_range(0..=last.saturating_sub(first));
            let bind = |ip: IpAddr| std::net::UdpSocket::bind((ip, port));
            match bind(public) {
                // Behind a cloud's NAT the public address is nowhere on this machine.
                Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => bind(any).ok(),
                bound => bound.ok(),
            }
        })?;
        socket.set_nonblocking(true).ok()?;
        let socket = Arc::new(UdpSocket::from_std(socket).ok()?);
        let port = socket.local_addr().ok()?.port();
        let task = tokio::spawn(self.me.upgrade()?.relay(relay, Arc::clone(&socket)));
        self.sockets().relays.insert(relay, (socket, task.abort_handle()));
        Some(SocketAddr::new(public, port))
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Taken after the machine's lock, never before.
    fn sockets(&self) -> MutexGuard<'_, Sockets> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hands out datagrams for as long as the socket lives.
async fn receive(socket: &UdpSocket, handle: impl Fn(&[u8], SocketAddr)) {
    loop {
        if socket.readable().await.is_err() {
            return;
        }
        RECEIVED.with_borrow_mut(|buffer| {
            // A bounded number before others have their turn.
            for _ in 0..32 {
                match socket.try_recv_from(buffer) {
                    Ok((len, from)) => handle(buffer.get(..len).unwrap_or_default(), from),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                    // A peer's port was closed; the others' are not.
                    Err(_) => {}
                }
            }
        });
        tokio::task::yield_now().await;
    }
}

/// The address as this socket wants it.
fn fitting(socket: &UdpSocket, address: SocketAddr) -> SocketAddr {
    match (socket.local_addr(), address) {
        (Ok(SocketAddr::V6(_)), SocketAddr::V4(address)) => {
            SocketAddr::new(address.ip().to_ipv6_mapped().into(), address.port())
        }
        _ => address,
    }
}

fn bind_all<T>(
    addresses: &[SocketAddr],
    bind: impl Fn(SocketAddr) -> io::Result<T>,
) -> Result<Vec<T>, ServerError> {
    let bind = |address: &SocketAddr| {
        bind(*address).map_err(|source| ServerError::Listen { address: *address, source })
    };
    addresses.iter().map(bind).collect()
}

/// One address of each family, the configured ones first.
fn public_addresses<'a>(config: &TurnConfig, listening: impl Iterator<Item = &'a SocketAddr>) -> Vec<IpAddr> {
    let mut public: Vec<IpAddr> = Vec::new();
    let listening = listening.map(|address| address.ip().to_canonical()).filter(|ip| !ip.is_unspecified());
    for address in config.public.iter().copied().chain(listening) {
        if !public.iter().any(|other| other.is_ipv4() == address.is_ipv4()) {
            public.push(address);
        }
    }
    public
}

/// What clients are told: STUN, and TURN.
fn urls(
    config: &TurnConfig,
    public: &[IpAddr],
    [udp, tcp, tls]: [&[SocketAddr]; 3],
) -> Result<(Vec<String>, Vec<String>), ServerError> {
    let address = |ip: &IpAddr| if ip.is_ipv4() { ip.to_string() } else { format!("[{ip}]") };
    let host = config.host.clone().or_else(|| public.first().map(address)).ok_or_else(|| {
        ServerError::Turn("it listens at no single address; name the public one that clients reach".into())
    })?;
    let stun = udp.first().map(|at| format!("stun:{host}:{}", at.port()));
    let turn = udp.first().map(|at| format!("turn:{host}:{}?transport=udp", at.port()));
    let stream = tcp.first().map(|at| format!("turn:{host}:{}?transport=tcp", at.port()));
    let secure = tls.first().map(|at| format!("turns:{host}:{}?transport=tcp", at.port()));
    Ok((stun.into_iter().collect(), turn.into_iter().chain(stream).chain(secure).collect()))
}

/// How long to wait after the system had no descriptor for a connection.
pub(super) const BREATHER: Duration = Duration::from_millis(50);
