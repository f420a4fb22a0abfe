//! One pair of peers: handshake, offer, answer, candidates, the channel, and its end (PROTOCOL §6.3 to §6.5).
//!
//! ```text
//! initiator                                             responder
//! ExpectLocalOffer ◄─ driver makes an offer
//! ExpectAnswer      ── Noise 1 (offer) ──────────────►  Incoming::read, checked by the node, Link::answer
//!                                                       ExpectLocalAnswer ◄─ driver makes an answer
//! ExpectChannel    ◄── Noise 2 (answer) ──────────────  ExpectChannel
//!                  ◄── sealed candidates ───────────►
//! ExpectConfirm    ◄── confirm, over DTLS ──────────►   ExpectConfirm
//! Up                                                    Up
//! ```
//!
//! Call order: make one by [`Link::admit`], [`Link::call`] or [`Link::answer`]; feed it `handle_*`; after each call
//! drain [`Link::poll_output`] and read [`Link::poll_timeout`] anew.

mod first;
mod parts;

pub use first::{Incoming, Kind, Signal, prologue};
pub use parts::PART;

use std::collections::VecDeque;
use std::time::Duration;

use crate::admission::Admitted;
use crate::cbor;
use crate::crypto::Rng;
use crate::crypto::keys::{BoxKey, BoxSecret};
use crate::crypto::noise::{Initiator, Pattern, Responder, Transport};
use crate::id::DeviceId;
use crate::record::Record;
use crate::time::Now;
use first::{First, Second};
use parts::{Inbox, Outbox};

/// From the first message to a confirmed channel.
const HANDSHAKE: Duration = Duration::from_secs(15);

/// A side that has sent nothing for so long says that it is there.
const PING_EVERY: Duration = Duration::from_secs(10);

/// A side that has heard nothing for so long gives the link up.
const SILENCE: Duration = Duration::from_secs(25);

/// How long a probed link may take to show that it is alive.
const PROBE: Duration = Duration::from_millis(1500);

/// How long bytes may wait for the channel without any progress.
const STUCK: Duration = Duration::from_secs(20);

/// How long a link that is to end may take to say what was said before.
const LINGER: Duration = Duration::from_secs(1);

/// Candidates kept until they can be sealed or applied.
const MAX_CANDIDATES: usize = 64;

/// The longest SDP and candidate, in bytes.
const MAX_SDP: usize = 14 * 1024;
const MAX_CANDIDATE: usize = 1024;

const PING: &[u8] = &[0];
const PONG: &[u8] = &[1];

/// What a link wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkOutput {
    /// Make a connection and its offer.
    MakeOffer,
    /// Make a connection and its answer to this offer.
    MakeAnswer(String),
    /// Give the connection this answer.
    AcceptAnswer(String),
    /// Give the connection this remote candidate (JSON of `RTCIceCandidateInit`).
    AddCandidate(String),
    /// Send this to the peer by way of the signalling.
    Signal(Vec<u8>),
    /// Send this over the data channel.
    Channel(Vec<u8>),
    /// The peer is proven to be at the other end: messages may flow.
    Up,
    /// The peer said this.
    Message(Vec<u8>),
    /// It is over; close the connection.
    Closed(CloseReason),
}

/// Why a link ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// The handshake or the connection took too long.
    #[error("no connection could be made in time")]
    TimedOut,
    /// The peer has not been heard for too long.
    #[error("the peer is silent")]
    Silent,
    /// The channel takes no more bytes.
    #[error("the peer is too slow")]
    TooSlow,
    /// The connection ended.
    #[error("the connection ended: {0}")]
    Connection(String),
    /// The other end of the channel is not the one of the handshake, or breaks the protocol.
    #[error("the peer broke the protocol: {0}")]
    Misbehaved(&'static str),
    /// The peer is no member, or no longer one.
    #[error("the peer is not a member")]
    NoMember,
    /// Another link to the same peer took its place, or it is no longer wanted.
    #[error("the link is no longer needed")]
    Replaced,
}

/// A one-shot piece of a link's state; named after what the link awaits.
enum State {
    ExpectLocalOffer { pattern: Pattern, remote: BoxKey, prologue: Vec<u8>, records: Vec<Record>, rng: Rng },
    ExpectAnswer(Initiator),
    ExpectLocalAnswer(Responder),
    ExpectChannel,
    ExpectConfirm,
    Up,
    Closed,
}

/// One pair of peers, from the first signal to the end of the channel.
pub struct Link {
    peer: DeviceId,
    tag: [u8; 8],
    pattern: Pattern,
    initiator: bool,
    own: BoxSecret,
    state: State,
    transport: Option<Transport>,
    /// Local candidates that wait for the handshake's end.
    candidates: Vec<String>,
    open: bool,
    confirmed: bool,
    outbox: Outbox,
    inbox: Inbox,
    outputs: VecDeque<LinkOutput>,
    deadline: Duration,
    heard: Duration,
    said: Duration,
    progressed: Duration,
    probe: Option<Duration>,
    /// When it ends, and why.
    ending: Option<(Duration, CloseReason)>,
}

struct Candidate {
    candidate: String,
}

cbor::members! { Candidate { 0: candidate } }

impl Link {
    /// Begins a link to a newcomer that proved a ticket: Noise IK, with the records that show who we are.
    pub fn admit(
        admitted: &Admitted,
        own: &BoxSecret,
        prologue: Vec<u8>,
        tag: [u8; 8],
        introduction: Vec<Record>,
        rng: Rng,
        now: Now,
    ) -> Self {
        let state = State::ExpectLocalOffer {
            pattern: Pattern::Ik,
            remote: admitted.box_key(),
            prologue,
            records: introduction,
            rng,
        };
        Self::begin(admitted.device(), own, tag, Pattern::Ik, state, now)
    }

    /// Begins a link to another member: Noise KK.
    pub fn call(
        peer: DeviceId,
        remote: BoxKey,
        own: &BoxSecret,
        prologue: Vec<u8>,
        tag: [u8; 8],
        rng: Rng,
        now: Now,
    ) -> Self {
        let pattern = Pattern::Kk;
        let state = State::ExpectLocalOffer { pattern, remote, prologue, records: Vec::new(), rng };
        Self::begin(peer, own, tag, pattern, state, now)
    }

    fn begin(
        peer: DeviceId,
        own: &BoxSecret,
        tag: [u8; 8],
        pattern: Pattern,
        state: State,
        now: Now,
    ) -> Self {
        let mut link = Self::new(peer, own, tag, pattern, state, now);
        link.initiator = true;
        link.outputs.push_back(LinkOutput::MakeOffer);
        link
    }

    /// Answers a first message whose sender the caller has checked to be `peer`.
    pub fn answer(peer: DeviceId, incoming: Incoming, own: &BoxSecret, now: Now) -> Self {
        let state = State::ExpectLocalAnswer(incoming.responder);
        let mut link = Self::new(peer, own, incoming.tag, incoming.pattern, state, now);
        link.outputs.push_back(LinkOutput::MakeAnswer(incoming.sdp));
        link
    }

    fn new(peer: DeviceId, own: &BoxSecret, tag: [u8; 8], pattern: Pattern, state: State, now: Now) -> Self {
        Self {
            peer,
            tag,
            pattern,
            initiator: false,
            own: own.clone(),
            state,
            transport: None,
            candidates: Vec::new(),
            open: false,
            confirmed: false,
            outbox: Outbox::default(),
            inbox: Inbox::default(),
            outputs: VecDeque::new(),
            deadline: now.monotonic + HANDSHAKE,
            heard: now.monotonic,
            said: now.monotonic,
            progressed: now.monotonic,
            probe: None,
            ending: None,
        }
    }

    /// Who is at the other end.
    pub fn peer(&self) -> DeviceId {
        self.peer
    }

    /// What its signals are marked with.
    pub fn tag(&self) -> [u8; 8] {
        self.tag
    }

    /// Which handshake it began with.
    pub fn pattern(&self) -> Pattern {
        self.pattern
    }

    /// Whether we began it.
    pub fn is_initiator(&self) -> bool {
        self.initiator
    }

    /// Whether the peer is proven to be at the other end of the channel.
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Up)
    }

    /// Whether it is over.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Bytes that wait to be sent.
    pub fn pending(&self) -> usize {
        self.outbox.pending()
    }

    /// The driver made the offer or answer that was asked for.
    pub fn handle_description(&mut self, sdp: String) {
        if sdp.len() > MAX_SDP {
            // The peer would not read it.
            return self.close(CloseReason::Connection("its description is too long to be sent".into()));
        }
        match std::mem::replace(&mut self.state, State::Closed) {
            State::ExpectLocalOffer { pattern, remote, prologue, records, mut rng } => {
                let first = First::new(sdp, &records);
                match Initiator::start(
                    pattern,
                    &self.own,
                    &remote,
                    &prologue,
                    &cbor::encode(&first),
                    &mut rng,
                ) {
                    Ok((initiator, message)) => {
                        let kind = if pattern == Pattern::Ik { Kind::FirstIk } else { Kind::FirstKk };
                        self.signal(kind, &message);
                        self.state = State::ExpectAnswer(initiator);
                    }
                    Err(_) => self.end(CloseReason::Misbehaved("its key is not one")),
                }
            }
            State::ExpectLocalAnswer(responder) => match responder.finish(&cbor::encode(&Second { sdp })) {
                Ok((message, transport)) => {
                    self.signal(Kind::Second, &message);
                    self.established(transport);
                }
                Err(_) => self.end(CloseReason::Misbehaved("its key is not one")),
            },
            other => self.state = other,
        }
    }

    /// The driver found a local candidate (JSON of `RTCIceCandidateInit`).
    pub fn handle_candidate(&mut self, candidate: String) {
        if candidate.len() > MAX_CANDIDATE || self.candidates.len() >= MAX_CANDIDATES {
            return;
        }
        let Some(transport) = &mut self.transport else {
            self.candidates.push(candidate);
            return;
        };
        if let Ok((number, sealed)) = transport.seal(&cbor::encode(&Candidate { candidate })) {
            let body = [&number.to_be_bytes()[..], &sealed].concat();
            self.signal(Kind::Sealed, &body);
        }
    }

    /// A later signal with this link's tag. What does not open is passed over: the server can send anything.
    pub fn handle_signal(&mut self, kind: Kind, payload: &[u8]) {
        match kind {
            Kind::Second => {
                // A wrong second message must not end the handshake, or the server could; it can withhold the right
                // one just as well, so the attempt is spent either way and the deadline cleans up.
                if let State::ExpectAnswer(_) = &self.state
                    && let State::ExpectAnswer(initiator) =
                        std::mem::replace(&mut self.state, State::ExpectChannel)
                    && let Ok((plain, transport)) = initiator.finish(payload)
                    && let Ok(Second { sdp }) = cbor::decode(&plain)
                    && sdp.len() <= MAX_SDP
                {
                    self.outputs.push_back(LinkOutput::AcceptAnswer(sdp));
                    self.established(transport);
                }
            }
            Kind::Sealed => {
                if let Some((number, sealed)) = payload.split_first_chunk::<8>()
                    && let Some(transport) = &mut self.transport
                    && let Ok(plain) = transport.open(u64::from_be_bytes(*number), sealed)
                    && let Ok(Candidate { candidate }) = cbor::decode(&plain)
                    && candidate.len() <= MAX_CANDIDATE
                {
                    self.outputs.push_back(LinkOutput::AddCandidate(candidate));
                }
            }
            Kind::Proof | Kind::FirstIk | Kind::FirstKk => {}
        }
    }

    fn established(&mut self, transport: Transport) {
        self.transport = Some(transport);
        self.state = State::ExpectChannel;
        for candidate in std::mem::take(&mut self.candidates) {
            self.handle_candidate(candidate);
        }
        if self.open {
            self.confirm();
        }
    }

    /// The data channel is open: DTLS has verified the fingerprint of the handshake's description.
    pub fn handle_open(&mut self, now: Now) {
        if self.open || self.is_closed() {
            return;
        }
        self.open = true;
        self.said = now.monotonic;
        if self.transport.is_some() {
            self.confirm();
        }
    }

    fn confirm(&mut self) {
        let Some(mine) = self.proof_of_end(self.initiator) else { return };
        self.state = State::ExpectConfirm;
        self.send_raw(mine.to_vec(), true);
    }

    /// What the side that began (or the other) shows over the channel.
    fn proof_of_end(&self, initiator: bool) -> Option<[u8; 32]> {
        let label: &[u8] = if initiator { b"initiator" } else { b"responder" };
        self.transport.as_ref().map(|transport| transport.export(label))
    }

    /// A part arrived over the data channel.
    pub fn handle_channel(&mut self, part: &[u8], now: Now) {
        if self.is_closed() {
            return;
        }
        self.heard = now.monotonic;
        self.probe = None;
        let message = match self.inbox.take(part) {
            Ok(Some(message)) => message,
            Ok(None) => return,
            Err(_) => return self.close(CloseReason::Misbehaved("a part that is none")),
        };
        if matches!(self.state, State::Up) {
            match &message[..] {
                PING => self.send_raw(PONG.to_vec(), true),
                PONG => {}
                _ => self.outputs.push_back(LinkOutput::Message(message)),
            }
            return;
        }
        // Nothing but the confirmation may come first, and only what both ends of the handshake can compute.
        if self.proof_of_end(!self.initiator).is_none_or(|expected| message != expected) {
            return self.close(CloseReason::Misbehaved("the channel is not the handshake's"));
        }
        if matches!(self.state, State::ExpectChannel) {
            // The other side's channel opened before ours was reported open.
            self.handle_open(now);
        }
        self.confirmed = true;
        self.state = State::Up;
        self.said = now.monotonic;
        self.outputs.push_back(LinkOutput::Up);
    }

    /// The driver handed this many bytes of parts to the channel.
    pub fn handle_sent(&mut self, bytes: usize, now: Now) {
        self.outbox.sent(bytes);
        self.progressed = now.monotonic;
        self.pump();
    }

    /// The connection ended.
    pub fn handle_closed(&mut self, reason: String) {
        self.close(CloseReason::Connection(reason));
    }

    /// Sends a message; a link that is not up passes over it.
    pub fn send(&mut self, message: Vec<u8>, urgent: bool, now: Now) {
        if self.is_up() {
            self.said = now.monotonic;
            if self.outbox.pending() == 0 {
                self.progressed = now.monotonic;
            }
            self.send_raw(message, urgent);
        }
    }

    fn send_raw(&mut self, message: Vec<u8>, urgent: bool) {
        if self.outbox.push(message, urgent).is_err() {
            return self.close(CloseReason::TooSlow);
        }
        self.pump();
    }

    fn pump(&mut self) {
        while let Some(part) = self.outbox.next_part() {
            self.outputs.push_back(LinkOutput::Channel(part));
        }
    }

    /// Asks the peer to show within 1.5 s that the link is alive.
    pub fn probe(&mut self, now: Now) {
        if self.is_up() && self.probe.is_none() {
            self.probe = Some(now.monotonic + PROBE);
            self.send_raw(PING.to_vec(), true);
        }
    }

    /// Ends it.
    pub fn close(&mut self, reason: CloseReason) {
        if !self.is_closed() {
            self.end(reason);
        }
    }

    fn end(&mut self, reason: CloseReason) {
        self.state = State::Closed;
        self.outputs.push_back(LinkOutput::Closed(reason));
    }

    /// Ends it once the peer had time to hear what was said before.
    pub fn finish(&mut self, reason: CloseReason, now: Now) {
        if self.is_up() {
            self.ending.get_or_insert((now.monotonic + LINGER, reason));
        } else {
            self.close(reason);
        }
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<LinkOutput> {
        self.outputs.pop_front()
    }

    /// When [`Link::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Duration> {
        match self.state {
            State::Closed => None,
            State::Up => {
                let mut at = (self.said + PING_EVERY).min(self.heard + SILENCE);
                if self.outbox.pending() > 0 {
                    at = at.min(self.progressed + STUCK);
                }
                let ending = self.ending.as_ref().map(|(at, _)| *at);
                [self.probe, ending].into_iter().flatten().chain([at]).min()
            }
            _ => Some(self.deadline),
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Now) {
        match self.state {
            State::Closed => {}
            State::Up => {
                if let Some((_, reason)) = self.ending.take_if(|(at, _)| now.monotonic >= *at) {
                    self.close(reason);
                } else if now.monotonic >= self.heard + SILENCE
                    || self.probe.is_some_and(|at| now.monotonic >= at)
                {
                    self.close(CloseReason::Silent);
                } else if self.outbox.pending() > 0 && now.monotonic >= self.progressed + STUCK {
                    self.close(CloseReason::TooSlow);
                } else if now.monotonic >= self.said + PING_EVERY {
                    self.said = now.monotonic;
                    self.send_raw(PING.to_vec(), true);
                }
            }
            _ if now.monotonic >= self.deadline => self.close(CloseReason::TimedOut),
            _ => {}
        }
    }

    fn signal(&mut self, kind: Kind, payload: &[u8]) {
        let body = Signal { kind, tag: self.tag, payload }.encode();
        self.outputs.push_back(LinkOutput::Signal(body));
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = match self.state {
            State::ExpectLocalOffer { .. } => "ExpectLocalOffer",
            State::ExpectAnswer(_) => "ExpectAnswer",
            State::ExpectLocalAnswer(_) => "ExpectLocalAnswer",
            State::ExpectChannel => "ExpectChannel",
            State::ExpectConfirm => "ExpectConfirm",
            State::Up => "Up",
            State::Closed => "Closed",
        };
        f.debug_struct("Link").field("peer", &self.peer).field("state", &state).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
