//! One client's connection: sign-in, limits, deadlines (PROTOCOL §5).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::bucket::Bucket;
use super::terms::Terms;
use crate::id::{Nonce, SessionId, Topic};
use crate::signal::{
    Bytes, Challenge, ClientMessage, Encoded, Hello, IceServer, MAX_ANNOUNCEMENT, MAX_BODY, Refusal,
    RefusalCode, Request, ServerMessage, TIME_WINDOW_MS, VERSIONS, is_hello_of_another_version,
};
use crate::time::Now;

/// What the driver is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectionOutput {
    /// Send this to the client.
    Send(ServerMessage),
    /// Send a WebSocket ping.
    Ping,
    /// The client has proved that it holds this session's key. Answer with [`Connection::handle_claim`], before any
    /// further text: may it sign in, and is no other connection signed in with it?
    Claim(SessionId),
    /// Let it into the room, or change its announcement; if the room is full, say so to
    /// [`Connection::handle_full`], and if too much happens there, to [`Connection::handle_crowded`].
    Enter {
        /// The room.
        topic: Topic,
        /// The client.
        session: SessionId,
        /// Its announcement.
        announcement: Bytes,
    },
    /// It is gone from the room.
    Leave {
        /// The room.
        topic: Topic,
        /// The client.
        session: SessionId,
    },
    /// Relay this, if both are in the room.
    Relay {
        /// The room.
        topic: Topic,
        /// The client.
        from: SessionId,
        /// For whom.
        to: SessionId,
        /// Opaque.
        body: Encoded,
    },
    /// The claim to the session ends.
    Release(SessionId),
    /// Send what is still to be sent and close. The last output.
    Close(CloseReason),
}

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The client was told why.
    Refused(RefusalCode),
    /// No valid hello in time.
    NoHello,
    /// The client broke the protocol.
    Violation(Violation),
    /// Nothing was heard for too long.
    Dead,
    /// In no room for too long.
    Idle,
    /// The client does not read what it is sent.
    SlowReader,
}

impl CloseReason {
    /// Whether the address is to wait before it may connect again.
    pub fn is_offence(self) -> bool {
        // An honest client's signature always verifies; its clock, its address and its version may be off.
        matches!(self, Self::Violation(_) | Self::Refused(RefusalCode::BadSignature))
    }
}

/// What a client may do against the protocol. Closed without a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Violation {
    /// A binary frame, a text that is not UTF-8, a malformed frame.
    NotText,
    /// A text that is not a message.
    NotAMessage,
    /// A message over the limit.
    TooLong,
    /// Something else than a hello, before it.
    BeforeHello,
    /// A second hello.
    SecondHello,
    /// An announcement over [`MAX_ANNOUNCEMENT`].
    LongAnnouncement,
    /// A body over [`MAX_BODY`].
    LongBody,
    /// More rooms than the welcome allowed.
    TooManyRooms,
    /// More messages or bytes than [`Terms`] allow.
    TooFast,
}

#[derive(Debug)]
enum State {
    ExpectHello {
        nonce: Nonce,
        until: Duration,
    },
    /// Waits for [`Connection::handle_claim`].
    ExpectClaim(SessionId),
    SignedIn {
        session: SessionId,
        /// In order. A list, because most clients are in one room.
        rooms: Vec<Topic>,
        /// Since when it is in no room, if it is in none.
        roomless: Duration,
        /// When its TURN credentials are to be renewed.
        renew: Option<Duration>,
    },
    Closed,
}

/// The server's side of one connection.
///
/// After every `handle_*`, drain [`poll_output`](Self::poll_output), then arm one timer for
/// [`poll_timeout`](Self::poll_timeout) and call [`handle_timeout`](Self::handle_timeout) when it fires. After
/// [`ConnectionOutput::Close`], or after [`handle_gone`](Self::handle_gone), nothing more comes out.
#[derive(Debug)]
pub struct Connection {
    terms: Arc<Terms>,
    state: State,
    messages: Bucket,
    bytes: Bucket,
    enters: Bucket,
    /// The last sign of life.
    heard: Duration,
    /// The last ping.
    pinged: Duration,
    outputs: VecDeque<ConnectionOutput>,
}

impl Connection {
    /// A client has connected; the first output is the challenge. The nonce is fresh and random.
    pub fn new(terms: Arc<Terms>, nonce: Nonce, now: Now) -> Self {
        let challenge = Challenge::sign(&terms.key, nonce, terms.origins.clone(), now.unix_ms);
        Self {
            state: State::ExpectHello { nonce, until: now.monotonic + terms.hello_within },
            terms,
            messages: Bucket::default(),
            bytes: Bucket::default(),
            enters: Bucket::default(),
            heard: now.monotonic,
            pinged: now.monotonic,
            outputs: [ConnectionOutput::Send(ServerMessage::Challenge(challenge))].into(),
        }
    }

    /// The session, once signed in.
    pub fn session(&self) -> Option<SessionId> {
        match &self.state {
            State::SignedIn { session, .. } => Some(*session),
            _ => None,
        }
    }

    /// A text frame arrived.
    pub fn handle_text(&mut self, text: &str, now: Now) {
        if matches!(self.state, State::Closed) {
            return;
        }
        self.heard = now.monotonic;
        let len = text.len() as u64;
        if !self.messages.take(self.terms.messages, 1, now.monotonic)
            || !self.bytes.take(self.terms.bytes, len, now.monotonic)
        {
            return self.handle_violation(Violation::TooFast);
        }
        if text.len() > self.terms.limits.message {
            return self.handle_violation(Violation::TooLong);
        }
        match (&self.state, Request::decode(text)) {
            (State::ExpectHello { nonce, .. }, Ok(Request::Other(ClientMessage::Hello(hello)))) => {
                self.handle_hello(&hello, *nonce, now);
            }
            (State::ExpectHello { .. }, Err(_)) if is_hello_of_another_version(text) => {
                self.refuse(RefusalCode::UnsupportedVersion);
            }
            (_, Err(_)) => self.handle_violation(Violation::NotAMessage),
            (State::SignedIn { .. }, Ok(message)) => self.handle_message(message, now),
            (_, Ok(_)) => self.handle_violation(Violation::BeforeHello),
        }
    }

    /// A ping or a pong arrived.
    pub fn handle_alive(&mut self, now: Now) {
        self.heard = now.monotonic;
        if !self.messages.take(self.terms.messages, 1, now.monotonic) {
            self.handle_violation(Violation::TooFast);
        }
    }

    /// The driver's answer to [`ConnectionOutput::Claim`]: welcome, or the reason why not.
    pub fn handle_claim(&mut self, answer: Result<(), RefusalCode>, now: Now) {
        let State::ExpectClaim(session) = self.state else { return };
        if let Err(code) = answer {
            return self.refuse(code);
        }
        let renew = self.next_renewal(now);
        self.state = State::SignedIn { session, rooms: Vec::new(), roomless: now.monotonic, renew };
        self.send(ServerMessage::Welcome {
            ice_servers: self.ice_servers(&session, now),
            limits: self.terms.limits,
            drain_after: None,
        });
    }

    /// The room it wanted to enter has no place.
    pub fn handle_full(&mut self, topic: Topic) {
        if let State::SignedIn { rooms, .. } = &mut self.state {
            forget(rooms, topic);
            self.refuse(RefusalCode::Full);
        }
    }

    /// What arrived is not even a text of bearable size; also how every other violation ends.
    pub fn handle_violation(&mut self, violation: Violation) {
        self.close(CloseReason::Violation(violation));
    }

    /// More is waiting for the client than the driver will hold.
    pub fn handle_slow_reader(&mut self) {
        self.close(CloseReason::SlowReader);
    }

    /// Too much at once: too many enter the room, or too many are told of what its address does, or the driver holds too
    /// much for all clients together.
    pub fn handle_crowded(&mut self) {
        self.refuse(RefusalCode::RateLimited);
    }

    /// The server is stopping.
    pub fn handle_shutdown(&mut self) {
        self.refuse(RefusalCode::ShuttingDown);
    }

    /// The socket is gone.
    pub fn handle_gone(&mut self) {
        self.end();
    }

    /// The time of [`poll_timeout`](Self::poll_timeout) has come.
    pub fn handle_timeout(&mut self, now: Now) {
        self.renew_credentials(now);
        let now = now.monotonic;
        match &self.state {
            State::ExpectHello { until, .. } if now >= *until => self.close(CloseReason::NoHello),
            State::SignedIn { .. } if now >= self.heard + self.terms.dead_after => {
                self.close(CloseReason::Dead);
            }
            State::SignedIn { rooms, roomless, .. }
                if rooms.is_empty() && now >= *roomless + self.terms.idle_after =>
            {
                self.close(CloseReason::Idle);
            }
            State::SignedIn { .. } if now >= self.next_ping() => {
                self.pinged = now;
                self.outputs.push_back(ConnectionOutput::Ping);
            }
            _ => {}
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), on the monotonic clock.
    pub fn poll_timeout(&self) -> Option<Duration> {
        match &self.state {
            State::ExpectHello { until, .. } => Some(*until),
            State::SignedIn { rooms, roomless, renew, .. } => {
                let next = self.next_ping().min(self.heard + self.terms.dead_after);
                let next = renew.map_or(next, |renew| renew.min(next));
                Some(if rooms.is_empty() { next.min(*roomless + self.terms.idle_after) } else { next })
            }
            State::ExpectClaim(_) | State::Closed => None,
        }
    }

    /// What to do next, oldest first.
    pub fn poll_output(&mut self) -> Option<ConnectionOutput> {
        let output = self.outputs.pop_front();
        if output.is_none() {
            // An idle connection is to cost next to nothing.
            self.outputs = VecDeque::new();
        }
        output
    }

    fn next_ping(&self) -> Duration {
        self.heard.max(self.pinged) + self.terms.ping_every
    }

    fn handle_hello(&mut self, hello: &Hello, nonce: Nonce, now: Now) {
        let refusal = if !VERSIONS.contains(&hello.version) {
            Some(RefusalCode::UnsupportedVersion)
        } else if !self.terms.origins.contains(&hello.origin) {
            Some(RefusalCode::WrongOrigin)
        } else if hello.time.abs_diff(now.unix_ms) > TIME_WINDOW_MS {
            Some(RefusalCode::ClockSkew)
        } else if hello.verify(&nonce, &self.terms.key.server()).is_err() {
            Some(RefusalCode::BadSignature)
        } else {
            None
        };
        if let Some(code) = refusal {
            return self.refuse(code);
        }
        self.state = State::ExpectClaim(hello.session);
        self.outputs.push_back(ConnectionOutput::Claim(hello.session));
    }

    fn handle_message(&mut self, message: Request, now: Now) {
        let State::SignedIn { session, rooms, roomless, .. } = &mut self.state else { return };
        let session = *session;
        let output = match message {
            Request::Other(ClientMessage::Hello(_)) => {
                return self.handle_violation(Violation::SecondHello);
            }
            Request::Other(ClientMessage::Enter { announcement, .. })
                if announcement.0.len() > MAX_ANNOUNCEMENT =>
            {
                return self.handle_violation(Violation::LongAnnouncement);
            }
            Request::Signal { body, .. } if body.len() > MAX_BODY => {
                return self.handle_violation(Violation::LongBody);
            }
            Request::Other(ClientMessage::Enter { topic, announcement }) => {
                if !self.enters.take(self.terms.enters, 1, now.monotonic) {
                    return self.refuse(RefusalCode::RateLimited);
                }
                if let Err(place) = rooms.binary_search(&topic) {
                    if rooms.len() >= self.terms.limits.rooms {
                        return self.handle_violation(Violation::TooManyRooms);
                    }
                    rooms.reserve_exact(1);
                    rooms.insert(place, topic);
                }
                ConnectionOutput::Enter { topic, session, announcement }
            }
            Request::Other(ClientMessage::Leave { topic }) => {
                if !forget(rooms, topic) {
                    return;
                }
                *roomless = now.monotonic;
                ConnectionOutput::Leave { topic, session }
            }
            // Somebody who is not in the room is not heard there; no more needs to happen.
            Request::Signal { topic, .. } if rooms.binary_search(&topic).is_err() => return,
            Request::Signal { topic, to, body } => ConnectionOutput::Relay { topic, from: session, to, body },
            // A server reads every signal as a request of its own.
            Request::Other(ClientMessage::Signal { .. }) => return,
        };
        self.outputs.push_back(output);
    }

    /// What this session is to use for WebRTC from now on.
    fn ice_servers(&self, session: &SessionId, now: Now) -> Vec<IceServer> {
        let granted = self.terms.turn.as_ref().map(|turn| turn.grant(session, now));
        self.terms.ice_servers.iter().cloned().chain(granted).collect()
    }

    fn next_renewal(&self, now: Now) -> Option<Duration> {
        self.terms.turn.as_ref().map(|turn| now.monotonic + turn.renew_after())
    }

    fn renew_credentials(&mut self, now: Now) {
        let next = self.next_renewal(now);
        if let State::SignedIn { session, renew, .. } = &mut self.state
            && renew.is_some_and(|renew| renew <= now.monotonic)
        {
            *renew = next;
            let session = *session;
            self.send(ServerMessage::IceServers { ice_servers: self.ice_servers(&session, now) });
        }
    }

    fn send(&mut self, message: ServerMessage) {
        self.outputs.push_back(ConnectionOutput::Send(message));
    }

    fn refuse(&mut self, code: RefusalCode) {
        if matches!(self.state, State::Closed) {
            return;
        }
        let message = in_words(code, &self.terms);
        self.send(ServerMessage::Error(Refusal { code, message }));
        self.close(CloseReason::Refused(code));
    }

    fn close(&mut self, reason: CloseReason) {
        if self.end() {
            self.outputs.push_back(ConnectionOutput::Close(reason));
        }
    }

    /// Gives back what it held; false if that had been done before.
    fn end(&mut self) -> bool {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Closed => return false,
            State::ExpectHello { .. } | State::ExpectClaim(_) => {}
            State::SignedIn { session, rooms, .. } => {
                let leaves = rooms.into_iter().map(|topic| ConnectionOutput::Leave { topic, session });
                self.outputs.extend(leaves);
                self.outputs.push_back(ConnectionOutput::Release(session));
            }
        }
        true
    }
}

fn forget(rooms: &mut Vec<Topic>, topic: Topic) -> bool {
    let place = rooms.binary_search(&topic);
    place.map(|place| rooms.remove(place)).is_ok()
}

fn in_words(code: RefusalCode, terms: &Terms) -> String {
    match code {
        RefusalCode::UnsupportedVersion => {
            let versions: Vec<String> = VERSIONS.iter().map(u32::to_string).collect();
            format!("this server speaks protocol version {}; update the older side", versions.join(", "))
        }
        RefusalCode::WrongOrigin => {
            let origins: Vec<String> = terms.origins.iter().map(ToString::to_string).collect();
            format!("this server is {}; dial one of these", origins.join(", "))
        }
        RefusalCode::ClockSkew => "your clock is more than a minute off; set it and try again".into(),
        RefusalCode::BadSignature => "the signature does not verify for this connection; connect anew".into(),
        RefusalCode::SessionInUse => {
            "another connection uses this session's key; connect with a fresh one".into()
        }
        RefusalCode::TokenRequired => {
            "this server asks for a sign-in token; get one from its operator".into()
        }
        RefusalCode::Full => "no place left; try again later".into(),
        RefusalCode::RateLimited => "too much at once; try again later".into(),
        RefusalCode::ShuttingDown => "this server is stopping; go on with another one or try later".into(),
        RefusalCode::Unknown => "refused".into(),
    }
}
