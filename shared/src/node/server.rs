//! The servers this node is signed in to: dialling, the challenge, the session (PROTOCOL §5).

use std::collections::VecDeque;
use std::time::Duration;

use super::io::{JoinFailure, Output, ServerStatus};
use super::store;
use crate::crypto::Rng;
use crate::crypto::keys::SignKey;
use crate::id::{ServerKey, SessionId, Topic};
use crate::origin::Origin;
use crate::signal::{
    Bytes, Challenge, ClientMessage, Hello, IceServer, Present, Refusal, ServerMessage, VERSIONS,
};
use crate::sorted::{Map, Set};
use crate::time::Now;

/// From dialling to being signed in.
const SIGN_IN: Duration = Duration::from_secs(10);

/// A server pings every 30 s at the latest; one that is silent for longer is gone.
const SILENCE: Duration = Duration::from_secs(75);

/// Only who stayed signed in for so long starts over with the shortest delay: else a server that welcomes and breaks
/// down would be dialled in a loop.
const STEADY: Duration = Duration::from_secs(20);

/// After a change of the network a server has so long to show that the connection lives.
const PROBE: Duration = Duration::from_secs(5);

/// Delays between attempts: 0.5 s, ×1.5, at most 60 s, each jittered down to its half.
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// What happened at a server, for the rooms.
#[derive(Debug)]
pub(super) enum ServerEvent {
    Ready,
    Down,
    /// It cannot be reached, for another reason than before.
    Trouble,
    Entered {
        topic: Topic,
        peers: Vec<Present>,
    },
    Arrived {
        topic: Topic,
        peer: Present,
    },
    Left {
        topic: Topic,
        session: SessionId,
    },
    Signal {
        topic: Topic,
        from: SessionId,
        body: Vec<u8>,
    },
}

enum State {
    /// Waiting for the moment to dial.
    Resting(Duration),
    Dialling(Duration),
    ExpectChallenge(Duration),
    ExpectWelcome(Duration, SignKey),
    Ready {
        session: SessionId,
        ice_servers: Vec<IceServer>,
        since: Duration,
        heard: Duration,
        /// By when something must be heard.
        probe: Option<Duration>,
        /// When to go, if the server is about to stop.
        leave: Option<Duration>,
    },
}

struct Server {
    state: State,
    attempts: u32,
    key: Option<ServerKey>,
    trouble: Option<JoinFailure>,
}

/// All servers of this node's rooms.
#[derive(Default)]
pub(super) struct Servers {
    by_origin: Map<Origin, Server>,
    /// Keys of servers met before, also of those not in use now.
    pins: Map<Origin, ServerKey>,
    /// Those whose key is on disk.
    stored: Set<Origin>,
    /// Keys that tickets name for servers not met yet; gone with the last room that uses the server.
    expected: Map<Origin, ServerKey>,
    events: VecDeque<(Origin, ServerEvent)>,
}

impl Servers {
    /// A key stored earlier.
    pub(super) fn pin(&mut self, origin: Origin, key: ServerKey) {
        self.stored.insert(origin.clone());
        self.pins.insert(origin, key);
    }

    /// A ticket names this key; what was seen before counts more.
    pub(super) fn expect_key(&mut self, origin: &Origin, key: Option<ServerKey>) {
        let Some(key) = key else { return };
        if !self.pins.contains_key(origin) {
            self.expected.insert(origin.clone(), key);
            if let Some(server) = self.by_origin.get_mut(origin) {
                server.key.get_or_insert(key);
            }
        }
    }

    pub(super) fn key(&self, origin: &Origin) -> Option<ServerKey> {
        self.pins.get(origin).copied()
    }

    /// Begins to use a server; says whether it is signed in already.
    pub(super) fn want(&mut self, origin: &Origin, out: &mut VecDeque<Output>, now: Now) -> bool {
        let server = self.by_origin.entry(origin.clone()).or_insert_with(|| {
            out.push_back(Output::Dial { origin: origin.clone() });
            Server {
                state: State::Dialling(now.monotonic + SIGN_IN),
                attempts: 0,
                key: self.pins.get(origin).or_else(|| self.expected.get(origin)).copied(),
                trouble: None,
            }
        });
        matches!(server.state, State::Ready { .. })
    }

    pub(super) fn keep_only(&mut self, used: &Set<Origin>, out: &mut VecDeque<Output>) {
        self.expected.retain(|origin, _| used.contains(origin));
        self.by_origin.retain(|origin, _| {
            let keep = used.contains(origin);
            if !keep {
                out.push_back(Output::HangUp { origin: origin.clone() });
            }
            keep
        });
    }

    pub(super) fn session(&self, origin: &Origin) -> Option<SessionId> {
        match self.by_origin.get(origin)?.state {
            State::Ready { session, .. } => Some(session),
            _ => None,
        }
    }

    /// STUN and TURN servers of all servers. What is none is left out: browsers make no connection at all with a list in
    /// which one entry is wrong.
    pub(super) fn ice_servers(&self) -> Vec<IceServer> {
        let ready = self.by_origin.values().filter_map(|server| match &server.state {
            State::Ready { ice_servers, .. } => Some(ice_servers),
            _ => None,
        });
        ready.flatten().filter_map(with_addresses).collect()
    }

    /// What went wrong at these servers, if none of them is signed in.
    pub(super) fn trouble(&self, origins: &[Origin]) -> Option<JoinFailure> {
        let servers: Vec<&Server> = origins.iter().filter_map(|origin| self.by_origin.get(origin)).collect();
        if servers.iter().any(|server| matches!(server.state, State::Ready { .. })) {
            return None;
        }
        let unreachable = || JoinFailure::ServerUnreachable("no answer".into());
        Some(servers.iter().find_map(|server| server.trouble.clone()).unwrap_or_else(unreachable))
    }

    /// Sends to a server that is signed in; says whether it is.
    pub(super) fn send(&self, origin: &Origin, message: &ClientMessage, out: &mut VecDeque<Output>) -> bool {
        let ready = self.session(origin).is_some();
        if ready {
            out.push_back(Output::SendServer { origin: origin.clone(), text: message.encode() });
        }
        ready
    }

    pub(super) fn handle_opened(&mut self, origin: &Origin, now: Now) {
        if let Some(server) = self.by_origin.get_mut(origin)
            && matches!(server.state, State::Dialling(_))
        {
            server.state = State::ExpectChallenge(now.monotonic + SIGN_IN);
        }
    }

    pub(super) fn handle_ping(&mut self, origin: &Origin, now: Now) {
        if let Some(server) = self.by_origin.get_mut(origin)
            && let State::Ready { heard, probe, .. } = &mut server.state
        {
            (*heard, *probe) = (now.monotonic, None);
        }
    }

    pub(super) fn handle_text(
        &mut self,
        origin: &Origin,
        text: &str,
        rng: &mut Rng,
        out: &mut VecDeque<Output>,
        now: Now,
    ) {
        self.handle_ping(origin, now);
        let Some(server) = self.by_origin.get_mut(origin) else { return };
        let message = match ServerMessage::decode(text) {
            Ok(message) => message,
            // A message newer than this program.
            Err(_) if !matches!(server.state, State::ExpectChallenge(_)) => return,
            Err(error) => {
                let trouble = JoinFailure::WrongServer(format!("{origin} is not a Symbolon server: {error}"));
                return self.fail(origin, trouble, rng, out, now);
            }
        };
        let event = match (message, &mut server.state) {
            (ServerMessage::Challenge(challenge), State::ExpectChallenge(deadline)) => {
                let deadline = *deadline;
                let version = match check_challenge(&challenge, origin, server.key) {
                    Ok(version) => version,
                    Err(trouble) => return self.fail(origin, trouble, rng, out, now),
                };
                server.key = Some(challenge.server_key);
                if self.stored.insert(origin.clone()) {
                    self.pins.insert(origin.clone(), challenge.server_key);
                    out.push_back(store::persist_pin(origin, &challenge.server_key));
                }
                let key = SignKey::generate(rng);
                let hello = Hello::sign(&key, &challenge, version, origin.clone(), now.unix_ms);
                let text = ClientMessage::Hello(hello).encode();
                out.push_back(Output::SendServer { origin: origin.clone(), text });
                server.state = State::ExpectWelcome(deadline, key);
                return;
            }
            (ServerMessage::Welcome { ice_servers, drain_after, .. }, State::ExpectWelcome(_, key)) => {
                let session = key.session();
                let at = now.monotonic;
                let leave = drain_after.map(|seconds| at + until_leave(seconds, rng));
                server.state =
                    State::Ready { session, ice_servers, since: at, heard: at, probe: None, leave };
                server.trouble = None;
                ServerEvent::Ready
            }
            (ServerMessage::IceServers { ice_servers: new }, State::Ready { ice_servers, .. }) => {
                *ice_servers = new;
                return;
            }
            (ServerMessage::Drain { drain_after }, State::Ready { leave, .. }) => {
                leave.get_or_insert(now.monotonic + until_leave(drain_after, rng));
                return;
            }
            (ServerMessage::Error(refusal), _) => {
                return self.fail(origin, JoinFailure::Refused(refusal), rng, out, now);
            }
            (ServerMessage::Entered { topic, peers }, State::Ready { .. }) => {
                ServerEvent::Entered { topic, peers }
            }
            (ServerMessage::Arrived { topic, session, announcement }, State::Ready { .. }) => {
                ServerEvent::Arrived { topic, peer: Present { session, announcement } }
            }
            (ServerMessage::Left { topic, session }, State::Ready { .. }) => {
                ServerEvent::Left { topic, session }
            }
            (ServerMessage::Signal { topic, from, body: Bytes(body) }, State::Ready { .. }) => {
                ServerEvent::Signal { topic, from, body }
            }
            // A server that speaks out of turn harms nobody by it.
            _ => return,
        };
        self.events.push_back((origin.clone(), event));
    }

    pub(super) fn handle_closed(
        &mut self,
        origin: &Origin,
        reason: &str,
        rng: &mut Rng,
        out: &mut VecDeque<Output>,
        now: Now,
    ) {
        if let Some(server) = self.by_origin.get(origin)
            && !matches!(server.state, State::Resting(_))
        {
            let trouble = JoinFailure::ServerUnreachable(format!("{origin}: {reason}"));
            self.fail(origin, trouble, rng, out, now);
        }
    }

    fn fail(
        &mut self,
        origin: &Origin,
        trouble: JoinFailure,
        rng: &mut Rng,
        out: &mut VecDeque<Output>,
        now: Now,
    ) {
        let Some(server) = self.by_origin.get_mut(origin) else { return };
        if let State::Ready { since, .. } = server.state {
            self.events.push_back((origin.clone(), ServerEvent::Down));
            if now.monotonic >= since + STEADY {
                server.attempts = 0;
            }
        } else if server.trouble.as_ref() != Some(&trouble) {
            self.events.push_back((origin.clone(), ServerEvent::Trouble));
        }
        server.trouble = Some(trouble);
        let delay = back_off(FIRST_RETRY, LAST_RETRY, server.attempts, rng);
        server.attempts = server.attempts.saturating_add(1);
        server.state = State::Resting(now.monotonic + delay);
        out.push_back(Output::HangUp { origin: origin.clone() });
    }

    /// Dials what is not dialled, dials anew what is on its way, and gives the others a moment to show that they are
    /// alive. For that the rooms enter their topics again.
    pub(super) fn network_changed(&mut self, out: &mut VecDeque<Output>, now: Now) {
        for (origin, server) in &mut self.by_origin {
            server.attempts = 0;
            if let State::Ready { probe, .. } = &mut server.state {
                probe.get_or_insert(now.monotonic + PROBE);
            } else {
                server.state = State::Dialling(now.monotonic + SIGN_IN);
                out.push_back(Output::Dial { origin: origin.clone() });
            }
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        let at = |server: &Server| match &server.state {
            State::Resting(at)
            | State::Dialling(at)
            | State::ExpectChallenge(at)
            | State::ExpectWelcome(at, _) => *at,
            State::Ready { heard, probe, leave, .. } => {
                [*probe, *leave].into_iter().flatten().fold(*heard + SILENCE, Duration::min)
            }
        };
        self.by_origin.values().map(at).min()
    }

    pub(super) fn handle_timeout(&mut self, rng: &mut Rng, out: &mut VecDeque<Output>, now: Now) {
        let mut silent = Vec::new();
        for (origin, server) in &mut self.by_origin {
            if let State::Ready { leave: Some(at), .. } = server.state
                && at <= now.monotonic
            {
                // Whoever answers at this address now, another server or the same one started anew.
                self.events.push_back((origin.clone(), ServerEvent::Down));
                out.push_back(Output::HangUp { origin: origin.clone() });
                out.push_back(Output::Dial { origin: origin.clone() });
                server.attempts = 0;
                server.state = State::Dialling(now.monotonic + SIGN_IN);
                continue;
            }
            match &server.state {
                State::Resting(at) if *at <= now.monotonic => {
                    server.state = State::Dialling(now.monotonic + SIGN_IN);
                    out.push_back(Output::Dial { origin: origin.clone() });
                }
                State::Dialling(at) | State::ExpectChallenge(at) | State::ExpectWelcome(at, _)
                    if *at <= now.monotonic =>
                {
                    silent.push(origin.clone());
                }
                State::Ready { heard, probe, .. }
                    if *heard + SILENCE <= now.monotonic
                        || probe.is_some_and(|probe| probe <= now.monotonic) =>
                {
                    silent.push(origin.clone());
                }
                _ => {}
            }
        }
        for origin in silent {
            let trouble = JoinFailure::ServerUnreachable(format!("{origin} does not answer"));
            self.fail(&origin, trouble, rng, out, now);
        }
    }

    pub(super) fn take_events(&mut self) -> Vec<(Origin, ServerEvent)> {
        self.events.drain(..).collect()
    }

    pub(super) fn status(&self) -> Vec<ServerStatus> {
        let status = |(origin, server): (&Origin, &Server)| ServerStatus {
            origin: origin.clone(),
            key: server.key,
            session: self.session(origin),
            trouble: server.trouble.as_ref().map(ToString::to_string),
        };
        self.by_origin.iter().map(status).collect()
    }
}

/// The server with those of its addresses that may be some; nothing if there are none.
fn with_addresses(server: &IceServer) -> Option<IceServer> {
    const SCHEMES: [&str; 4] = ["stun:", "stuns:", "turn:", "turns:"];
    let mut server = server.clone();
    server.urls.retain(|url| {
        SCHEMES.iter().any(|scheme| url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()))
    });
    (!server.urls.is_empty()).then_some(server)
}

/// When to leave a server that stops after so many seconds: in the first half, so that not all arrive elsewhere at once
/// and that the server need not close.
fn until_leave(seconds: u64, rng: &mut Rng) -> Duration {
    // A day at most; what a server says is not to overflow a clock.
    Duration::from_millis(rng.below(seconds.min(86_400) * 500 + 1))
}

/// RV3: the server must be reachable where we dialled it, and be the one it was last time. Gives the version to speak.
fn check_challenge(
    challenge: &Challenge,
    origin: &Origin,
    pinned: Option<ServerKey>,
) -> Result<u32, JoinFailure> {
    if challenge.verify().is_err() {
        return Err(JoinFailure::WrongServer(format!(
            "{origin} signed its challenge with a key it does not have"
        )));
    }
    if !challenge.origins.contains(origin) {
        let own: Vec<String> = challenge.origins.iter().map(ToString::to_string).collect();
        return Err(JoinFailure::WrongServer(format!(
            "the server at {origin} says it is {}; if that address is right, its operator adds it with --origin",
            own.join(", ")
        )));
    }
    if pinned.is_some_and(|key| key != challenge.server_key) {
        return Err(JoinFailure::WrongServer(format!(
            "the server at {origin} has another key than before: it is another server, or somebody is in between"
        )));
    }
    let common = VERSIONS.iter().rev().find(|version| challenge.versions.contains(version));
    common.copied().ok_or_else(|| {
        JoinFailure::Refused(Refusal {
            code: crate::signal::RefusalCode::UnsupportedVersion,
            message: format!(
                "the server speaks versions {:?}, this program {VERSIONS:?}",
                challenge.versions
            ),
        })
    })
}

/// `first`·1.5^`attempts`, at most `last`, jittered down to its half.
pub(super) fn back_off(first: Duration, last: Duration, attempts: u32, rng: &mut Rng) -> Duration {
    let full = first.as_millis() as f64 * 1.5f64.powi(attempts.min(40) as i32);
    let full = (full as u64).min(last.as_millis() as u64);
    Duration::from_millis(full / 2 + rng.below(full / 2 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Nonce;
    use crate::signal::Limits;

    fn at(seconds: u64) -> Now {
        Now { monotonic: Duration::from_secs(seconds), unix_ms: 1_800_000_000_000 }
    }

    #[test]
    fn rv7_what_is_no_address_of_a_relay_is_left_out() {
        let server = |urls: &[&str]| IceServer {
            urls: urls.iter().map(|url| (*url).to_owned()).collect(),
            username: "u".into(),
            credential: "c".into(),
        };
        assert_eq!(with_addresses(&server(&[])), None);
        assert_eq!(with_addresses(&server(&["", "turn:", "https://example.org", "javascript:1"])), None);
        let good = server(&["turns:example.org:443?transport=tcp", "stun:192.0.2.1"]);
        let mixed = server(&["turns:example.org:443?transport=tcp", "", "stun:192.0.2.1"]);
        assert_eq!(with_addresses(&mixed), Some(good));
    }

    #[test]
    fn rv9_a_client_that_is_told_leaves_in_time_and_dials_again_at_once() {
        let origin: Origin = "wss://rooms.example.org".parse().unwrap();
        let key = SignKey::from_secret(&[1; 32]);
        let limits = Limits { message: 1, rooms: 1, clients_per_room: 1 };
        let mut left_at = Set::new();
        for seed in 0..8 {
            let (mut servers, mut rng, mut out) =
                (Servers::default(), Rng::from_seed([seed; 32]), VecDeque::new());
            servers.want(&origin, &mut out, at(0));
            servers.handle_opened(&origin, at(0));
            let challenge =
                Challenge::sign(&key, Nonce::from_bytes([2; 32]), vec![origin.clone()], at(0).unix_ms);
            let welcome = ServerMessage::Welcome { ice_servers: Vec::new(), limits, drain_after: None };
            for message in [ServerMessage::Challenge(challenge), welcome] {
                servers.handle_text(&origin, &message.encode(), &mut rng, &mut out, at(0));
            }
            assert_eq!(servers.poll_timeout(), Some(SILENCE));
            let drain = ServerMessage::Drain { drain_after: 10 };
            servers.handle_text(&origin, &drain.encode(), &mut rng, &mut out, at(1));
            let leave = servers.poll_timeout().unwrap();
            assert!((1..=6).contains(&leave.as_secs()), "in the first half: {leave:?}");
            left_at.insert(leave);
            (_, out) = (servers.take_events(), VecDeque::new());
            servers.handle_timeout(&mut rng, &mut out, Now { monotonic: leave, unix_ms: 0 });
            assert!(matches!(servers.take_events()[..], [(_, ServerEvent::Down)]));
            assert!(matches!(out.make_contiguous(), [Output::HangUp { .. }, Output::Dial { .. }]));
        }
        assert!(left_at.len() > 4, "not all at once: {left_at:?}");
    }
}
