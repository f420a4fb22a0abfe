//! The relay's rules (RFC 8656) as a machine: no socket, no clock, no randomness.
//!
//! After every `handle_*`, drain [`Machine::poll_output`], then arm one timer for [`Machine::poll_timeout`].

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use stun_types::AddressFamily;
use stun_types::attribute::{ErrorCode, XorMappedAddress};
use stun_types::message::{BINDING, Message, MessageClass};
use symbolon_core::id::SessionId;
use symbolon_core::rendezvous::{Bucket, Pseudonym, Source};
use symbolon_core::time::Now;
use turn_types::attribute::{Data, XorPeerAddress};
use turn_types::channel::ChannelData;
use turn_types::message::SEND;

use super::allocation::Allocation;
use super::auth::Gate;
use super::config::TurnLimits;
use super::ranges::Ranges;
use super::replies;
use super::strangers::Strangers;

/// How long relays outlive the session they were made for: long enough for a client that lost its connection to come
/// back and to make its links anew, one after the other.
pub(super) const GRACE: Duration = Duration::from_secs(2 * 60);

/// How often the machine looks for what has ended.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Where a message came from and where its answer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Client {
    pub(super) address: SocketAddr,
    pub(super) via: Via,
}

/// One listening socket, or one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Via {
    Datagrams(usize),
    Stream(u64),
}

/// A relay's number, never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct RelayId(pub(super) u64);

/// What the driver is to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Output {
    ToClient(Client, Vec<u8>),
    ToPeer(RelayId, SocketAddr, Vec<u8>),
    /// Bind a socket at the public address of this family and say so to [`Machine::handle_bound`].
    Bind(RelayId, AddressFamily),
    Close(RelayId),
}

/// What operators see.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TurnUse {
    /// Relays there are now.
    pub allocations: usize,
    /// Relays there ever were.
    pub allocated: u64,
    /// Bytes that were relayed, both ways.
    pub bytes: u64,
    /// Datagrams that were not, being over a quota of bandwidth.
    pub dropped: u64,
    /// Requests answered with an error other than a challenge.
    pub refused: u64,
}

#[derive(Debug, Default)]
pub(super) struct Session {
    pub(super) open: bool,
    pub(super) allocations: usize,
    /// When its relays end, once it is not open any more.
    pub(super) until: Option<Duration>,
}

/// Everything the relay knows.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) gate: Gate,
    pub(super) limits: TurnLimits,
    pub(super) ranges: Ranges,
    pub(super) public: Vec<IpAddr>,
    pub(super) strangers: Strangers,
    pub(super) sessions: HashMap<Pseudonym, Session>,
    pub(super) sources: HashMap<Source, usize>,
    pub(super) allocations: HashMap<RelayId, Allocation>,
    pub(super) by_client: HashMap<Client, RelayId>,
    by_address: HashMap<SocketAddr, RelayId>,
    pub(super) pending: HashMap<RelayId, Vec<u8>>,
    pub(super) next: u64,
    total: Bucket,
    swept: Duration,
    pub(super) outputs: VecDeque<Output>,
    pub(super) used: TurnUse,
}

impl Machine {
    pub(super) fn new(gate: Gate, limits: TurnLimits, ranges: Ranges, public: Vec<IpAddr>) -> Self {
        Self {
            gate,
            strangers: Strangers::new(limits.strangers),
            limits,
            ranges,
            public,
            sessions: HashMap::new(),
            sources: HashMap::new(),
            allocations: HashMap::new(),
            by_client: HashMap::new(),
            by_address: HashMap::new(),
            pending: HashMap::new(),
            next: 0,
            total: Bucket::default(),
            swept: Duration::ZERO,
            outputs: VecDeque::new(),
            used: TurnUse::default(),
        }
    }

    pub(super) fn used(&self) -> TurnUse {
        TurnUse { allocations: self.allocations.len(), ..self.used }
    }

    pub(super) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), on the monotonic clock.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        (!self.allocations.is_empty()).then(|| self.swept + SWEEP_EVERY)
    }

    /// A session has signed in: it may have relays.
    pub(super) fn handle_signed_in(&mut self, session: &SessionId) {
        let name = self.gate.secret.pseudonym(session);
        let session = self.sessions.entry(name).or_default();
        (session.open, session.until) = (true, None);
    }

    /// It is gone: it gets no more, and what it has ends soon.
    pub(super) fn handle_signed_out(&mut self, session: &SessionId, now: Now) {
        let name = self.gate.secret.pseudonym(session);
        if let Some(session) = self.sessions.get_mut(&name) {
            (session.open, session.until) = (false, Some(now.monotonic + GRACE));
            if session.allocations == 0 {
                self.sessions.remove(&name);
            }
        }
    }

    /// A datagram, or one message of a stream.
    pub(super) fn handle_message(&mut self, client: Client, bytes: &[u8], now: Now) {
        match bytes.first() {
            Some(0..=3) => self.handle_stun(client, bytes, now),
            Some(0x40..=0x7f) => self.handle_channel_data(client, bytes, now),
            _ => {}
        }
    }

    /// A stream is gone, and with it the relays made through it.
    pub(super) fn handle_stream_end(&mut self, client: Client) {
        if let Some(relay) = self.by_client.get(&client) {
            self.end(*relay);
        }
    }

    /// Whether this client has a relay.
    pub(super) fn serves(&self, client: &Client) -> bool {
        self.by_client.contains_key(client)
    }

    /// The answer to [`Output::Bind`].
    pub(super) fn handle_bound(&mut self, relay: RelayId, bound: Option<SocketAddr>) {
        let request = self.pending.remove(&relay);
        let Some(allocation) = self.allocations.get_mut(&relay) else { return };
        allocation.relayed = bound;
        let (client, request) = (allocation.client, request.as_deref().map(Message::from_bytes));
        if let Some(address) = bound {
            self.by_address.insert(address, relay);
            self.used.allocated += 1;
            if let Some(Ok(request)) = request {
                self.answer_allocated(relay, &request);
            }
        } else {
            if let Some(Ok(request)) = request {
                let key = allocation.caller.key.clone();
                self.refuse(client, &request, ErrorCode::INSUFFICIENT_CAPACITY, &key);
            }
            self.end(relay);
        }
    }

    /// A peer sent this to a relay.
    pub(super) fn handle_peer(&mut self, relay: RelayId, peer: SocketAddr, data: &[u8], now: Now) {
        let now = now.monotonic;
        let peer = canonical(peer);
        let Some(allocation) = self.allocations.get_mut(&relay) else { return };
        if !allocation.permits(peer.ip(), now) {
            return;
        }
        let len = data.len() as u64;
        if !allocation.bandwidth.take(self.limits.bandwidth, len, now)
            || !self.total.take(self.limits.total_bandwidth, len, now)
        {
            self.used.dropped += 1;
            return;
        }
        self.used.bytes += len;
        let bytes = match allocation.channel_to(peer, now) {
            Some(number) => replies::channel_data(number, data),
            None => replies::data_indication(peer, data),
        };
        self.outputs.push_back(Output::ToClient(allocation.client, bytes));
    }

    /// Ends what has had its time.
    pub(super) fn handle_timeout(&mut self, now: Now) {
        let now = now.monotonic;
        if now < self.swept + SWEEP_EVERY {
            return;
        }
        self.swept = now;
        let mut over: Vec<RelayId> = Vec::new();
        for (relay, allocation) in &self.allocations {
            let session_until = self.sessions.get(&allocation.caller.name).and_then(|session| session.until);
            if allocation.until <= now || session_until.is_some_and(|until| until <= now) {
                over.push(*relay);
            }
        }
        over.sort_unstable();
        for relay in over {
            self.end(relay);
        }
    }

    fn handle_stun(&mut self, client: Client, bytes: &[u8], now: Now) {
        let Ok(message) = Message::from_bytes(bytes) else { return };
        match (message.class(), message.method()) {
            (MessageClass::Request, BINDING) => self.handle_binding(client, &message, now),
            (MessageClass::Request, _) => self.handle_request(client, &message, now),
            (MessageClass::Indication, SEND) => {
                let (Ok(peer), Ok(data)) =
                    (message.attribute::<XorPeerAddress>(), message.attribute::<Data>())
                else {
                    return;
                };
                if let Some(relay) = self.by_client.get(&client) {
                    let peer = canonical(peer.addr(message.transaction_id()));
                    self.send(*relay, peer, data.data(), now);
                }
            }
            _ => {}
        }
    }

    fn handle_binding(&mut self, client: Client, request: &Message<'_>, now: Now) {
        if self.serves(&client) || self.strangers.may_answer(client.address.ip(), now.monotonic) {
            let mapped = XorMappedAddress::new(client.address, request.transaction_id());
            let answer = replies::success(request, &[&mapped], None);
            self.outputs.push_back(Output::ToClient(client, answer));
        }
    }

    fn handle_channel_data(&mut self, client: Client, bytes: &[u8], now: Now) {
        let Some(relay) = self.by_client.get(&client) else { return };
        let Ok(message) = ChannelData::parse(bytes) else { return };
        let peer = self.allocations.get(relay).and_then(|found| found.peer_of(message.id(), now.monotonic));
        if let Some(peer) = peer {
            self.send(*relay, peer, message.data(), now);
        }
    }

    /// From a client to a peer. A relay of this server is reached without a socket: the way out and back in may not
    /// exist, and nothing else at the address is to be reached.
    fn send(&mut self, relay: RelayId, peer: SocketAddr, data: &[u8], now: Now) {
        let Some(allocation) = self.allocations.get_mut(&relay) else { return };
        if !allocation.permits(peer.ip(), now.monotonic) {
            return;
        }
        let len = data.len() as u64;
        if !allocation.bandwidth.take(self.limits.bandwidth, len, now.monotonic)
            || !self.total.take(self.limits.total_bandwidth, len, now.monotonic)
        {
            self.used.dropped += 1;
            return;
        }
        self.used.bytes += len;
        match (self.by_address.get(&peer), allocation.relayed) {
            (Some(other), Some(relayed)) => self.handle_peer(*other, relayed, data, now),
            _ if self.ranges.permit(peer.ip()) => {
                self.outputs.push_back(Output::ToPeer(relay, peer, data.to_vec()));
            }
            _ => {}
        }
    }

    /// Whether a peer at this address may be talked with.
    pub(super) fn may_reach(&self, peer: IpAddr) -> bool {
        self.public.contains(&peer) || self.ranges.permit(peer)
    }

    pub(super) fn end(&mut self, relay: RelayId) {
        let Some(allocation) = self.allocations.remove(&relay) else { return };
        self.pending.remove(&relay);
        self.by_client.remove(&allocation.client);
        if let Some(address) = allocation.relayed {
            self.by_address.remove(&address);
        }
        if let Some(count) = self.sources.get_mut(&allocation.source) {
            *count -= 1;
            if *count == 0 {
                self.sources.remove(&allocation.source);
            }
        }
        if let Some(session) = self.sessions.get_mut(&allocation.caller.name) {
            session.allocations -= 1;
            if session.allocations == 0 && !session.open {
                self.sessions.remove(&allocation.caller.name);
            }
        }
        self.outputs.push_back(Output::Close(relay));
    }
}

/// The same address, without the guise of IPv6 that sockets for both give those of IPv4.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
