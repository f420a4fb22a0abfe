//! The wall around the `webrtc` crate: connections of one data channel, driven by plain values.
//!
//! Nothing of `webrtc` shows here. Each connection is one task that owns a `PeerConnection`; a [`Connection`] tells it
//! what to do without ever blocking, and what happens comes out of a bounded channel of [`RtcEvent`]s:
//!
//! ```text
//! accept_answer, add_candidate ─▶ ┌────────────┐ ─▶ Description, Candidate…, Open, Message…, Sent…, Closed
//! send, close, drop            ─▶ │ one task   │
//!                                 └─────┬──────┘
//!                     PeerConnection on `runtime::Tamed`, one UDP socket per address
//! ```
//!
//! A caller that stops reading events stops its peer: messages wait in SCTP, whose window closes. `Closed` has its place
//! in the channel reserved, so it never waits for the caller, and it comes after the `PeerConnection` is gone.
//!
//! What a peer sends is bounded before `webrtc` sees it: the size of a description, its number of candidates and of
//! media sections, and each candidate, which must name an IP address and UDP (no look-ups and no TCP connections on a
//! stranger's order). A second data channel is a reason to close. Messages above [`MAX_MESSAGE`] are refused: here when
//! sending; by SCTP, which drops them, when a peer sends one in spite of what the description said.
//!
//! Left out: who may connect, pings, restarts, order and end marks across connections. Closing drops what is queued.

mod bridge;
mod remote;
mod runtime;
mod wire;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

pub(crate) use bridge::tls_config;
use bytes::Bytes;
use tokio::sync::{mpsc, watch};

/// The label of the data channel, created by the offering side.
pub const LABEL: &str = "symbolon";
/// The largest message, in bytes. `webrtc` fails above.
pub const MAX_MESSAGE: usize = 64 * 1024;
/// The most bytes a caller may have given to [`Connection::send`] and not yet seen in [`RtcEvent::Sent`].
pub const MAX_UNSENT: usize = 256 * 1024;
/// The most messages of that kind, so that small ones are bounded as well.
pub const MAX_UNSENT_MESSAGES: usize = 8192;

/// Events a caller may lag behind before its peer is slowed down.
const EVENTS: usize = 64;
/// Answers and candidates on their way to the task, which takes them at once.
const SIGNALS: usize = 64;

/// A STUN or TURN server, as in a browser's `RTCIceServer`.
#[derive(Clone, Debug, Default)]
pub struct IceServer {
    /// `stun:HOST:PORT`, `turn:HOST:PORT?transport=udp`, the same with `tcp`, or `turns:HOST:PORT`.
    pub urls: Vec<String>,
    /// Empty for STUN.
    pub username: String,
    /// Empty for STUN.
    pub credential: String,
}

/// How connections are made.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Addresses to bind a UDP socket on; `None` means every local address, loopback included and link-local not.
    pub bind: Option<Vec<IpAddr>>,
    /// How long the description waits for candidates. Those found within it are part of it; later ones trickle.
    pub gather_wait: Duration,
    /// Whether nothing but relays is used, so that no peer learns this one's addresses.
    pub relay_only: bool,
    /// Authorities (DER) trusted for `turns:`, beside those that browsers trust.
    pub roots: Vec<Vec<u8>>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { bind: None, gather_wait: Duration::from_millis(150), relay_only: false, roots: Vec::new() }
    }
}

/// What a connection reports. [`Description`](RtcEvent::Description) comes first, [`Closed`](RtcEvent::Closed) last.
#[derive(Debug)]
pub enum RtcEvent {
    /// The local SDP (an offer or an answer) with the candidates gathered so far.
    Description(String),
    /// A further local candidate: JSON of an `RTCIceCandidateInit`, `{candidate, sdpMid, sdpMLineIndex}`.
    Candidate(String),
    /// The channel is open: DTLS has verified the fingerprints of both descriptions.
    Open,
    /// A message of the peer, at most [`MAX_MESSAGE`] bytes.
    Message(Bytes),
    /// So many more of the bytes given to [`Connection::send`] are in SCTP's bounded buffer.
    Sent(usize),
    /// The end, exactly once and last, with the reason in words. Its socket and task are gone.
    Closed(String),
}

/// Makes connections and counts them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Rtc {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: Settings,
    made: AtomicU64,
    alive: AtomicU64,
}

impl Rtc {
    /// Nothing is opened before the first connection.
    pub fn new(settings: Settings) -> Rtc {
        Rtc { shared: Arc::new(Shared { settings, made: AtomicU64::new(0), alive: AtomicU64::new(0) }) }
    }

    /// How many `PeerConnection`s were ever made.
    pub fn made(&self) -> u64 {
        self.shared.made.load(Ordering::SeqCst)
    }

    /// How many of them are not yet gone.
    pub fn alive(&self) -> u64 {
        self.shared.alive.load(Ordering::SeqCst)
    }

    /// Starts the offering side. Must be called on a tokio runtime; never blocks.
    pub fn offer(&self, ice: Vec<IceServer>) -> (Connection, mpsc::Receiver<RtcEvent>) {
        self.start(ice, None)
    }

    /// Starts the answering side. Must be called on a tokio runtime; never blocks.
    pub fn answer(&self, ice: Vec<IceServer>, offer_sdp: String) -> (Connection, mpsc::Receiver<RtcEvent>) {
        self.start(ice, Some(offer_sdp))
    }

    fn start(&self, ice: Vec<IceServer>, offer: Option<String>) -> (Connection, mpsc::Receiver<RtcEvent>) {
        let (events, events_out) = mpsc::channel(EVENTS);
        let (signals, signals_in) = mpsc::channel(SIGNALS);
        let (outbox, outbox_in) = mpsc::channel(MAX_UNSENT_MESSAGES);
        let (stop, stopped) = watch::channel(None);
        let unsent = Arc::new(AtomicUsize::new(0));
        let ending = Ending::new(Arc::clone(&self.shared), &events);
        let inputs = Inputs { signals: signals_in, outbox: outbox_in, unsent: Arc::clone(&unsent), stopped };
        tokio::spawn(wire::live(ice, offer, inputs, events, ending));
        (Connection { signals, outbox, unsent, stop }, events_out)
    }
}

/// One side of a connection. Dropping it closes the connection.
#[derive(Debug)]
pub struct Connection {
    signals: mpsc::Sender<Signal>,
    outbox: mpsc::Sender<Bytes>,
    unsent: Arc<AtomicUsize>,
    stop: watch::Sender<Option<&'static str>>,
}

impl Connection {
    /// The peer's answer to this side's offer.
    pub fn accept_answer(&self, sdp: String) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.signals.try_send(Signal::Answer(sdp)) {
            self.stop("too many signals at once");
        }
    }

    /// A candidate of the peer: JSON of an `RTCIceCandidateInit`. One that is not valid, or one too many, is ignored;
    /// one that comes before the peer's description waits for it.
    pub fn add_candidate(&self, json: String) {
        if self.signals.try_send(Signal::Candidate(json)).is_err() {
            tracing::debug!("candidate ignored: too many at once, or closed");
        }
    }

    /// Queues a message for the peer. More than [`MAX_UNSENT`] bytes on their way, or a message above [`MAX_MESSAGE`],
    /// closes the connection.
    pub fn send(&self, data: Bytes) {
        if data.len() > MAX_MESSAGE {
            return self.stop("a message to send was above 64 KiB");
        }
        let length = data.len();
        let before = self.unsent.fetch_add(length, Ordering::AcqRel);
        if before + length > MAX_UNSENT {
            return self.stop("more than 256 KiB were waiting to be sent");
        }
        if let Err(mpsc::error::TrySendError::Full(_)) = self.outbox.try_send(data) {
            self.stop("too many messages were waiting to be sent");
        }
    }

    /// Closes at once; what is queued may be lost.
    pub fn close(&self) {
        self.stop("closed here");
    }

    fn stop(&self, reason: &'static str) {
        self.stop.send_if_modified(|stopped| stopped.is_none() && stopped.replace(reason).is_none());
    }
}

enum Signal {
    Answer(String),
    Candidate(String),
}

/// Counts a connection and guarantees its last event, also when the task panics or its executor goes away.
struct Ending {
    shared: Arc<Shared>,
    counted: bool,
    reason: String,
    closed: Option<mpsc::OwnedPermit<RtcEvent>>,
}

impl Ending {
    fn new(shared: Arc<Shared>, events: &mpsc::Sender<RtcEvent>) -> Ending {
        let closed = events.clone().try_reserve_owned().ok();
        Ending { shared, counted: false, reason: "the connection's task ended".to_owned(), closed }
    }

    fn count(&mut self) {
        self.counted = true;
        self.shared.made.fetch_add(1, Ordering::SeqCst);
        self.shared.alive.fetch_add(1, Ordering::SeqCst);
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if self.counted {
            self.shared.alive.fetch_sub(1, Ordering::SeqCst);
        }
        tracing::debug!(reason = self.reason, "connection closed");
        if let Some(closed) = self.closed.take() {
            closed.send(RtcEvent::Closed(std::mem::take(&mut self.reason)));
        }
    }
}

/// What a [`Connection`] has put in.
struct Inputs {
    signals: mpsc::Receiver<Signal>,
    outbox: mpsc::Receiver<Bytes>,
    unsent: Arc<AtomicUsize>,
    stopped: watch::Receiver<Option<&'static str>>,
}
