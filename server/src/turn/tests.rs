//! The machine on virtual time.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use stun_types::attribute::{ErrorCode, Nonce, Realm, Username};
use stun_types::message::{
    IntegrityAlgorithm, LongTermKeyCredentials, Message, MessageClass, MessageWriteVec, Method,
};
use stun_types::prelude::*;
use symbolon_core::id::SessionId;
use symbolon_core::rendezvous::{TurnSecret, TurnTerms};
use symbolon_core::time::Now;
use turn_types::attribute::{Lifetime, RequestedTransport};
use turn_types::message::{ALLOCATE, REFRESH};

use super::auth::Gate;
use super::config::TurnLimits;
use super::machine::{Client, GRACE, Machine, Output, Via};
use super::ranges::Ranges;

const PEER: &str = "203.0.113.5:5000";
const LIFE: Duration = Duration::from_secs(3600);

struct World {
    machine: Machine,
    now: Now,
    client: Client,
    session: SessionId,
    username: String,
    password: String,
    nonce: Option<Nonce>,
}

impl World {
    fn new() -> Self {
        let secret = TurnSecret::new(vec![5; 32]);
        let realm = Realm::new("symbolon").unwrap();
        let gate = Gate { realm, secret: secret.clone(), nonce_key: [6; 32] };
        let public: IpAddr = "198.51.100.1".parse().unwrap();
        let mut machine = Machine::new(gate, TurnLimits::default(), Ranges::default(), vec![public]);
        let now = Now { monotonic: Duration::from_secs(50), unix_ms: 1_800_000_000_000 };
        let session = SessionId::from_bytes([1; 32]);
        machine.handle_signed_in(&session);
        let terms = TurnTerms { urls: Vec::new(), secret, life: LIFE };
        let granted = terms.grant(&session, now);
        let client = Client { address: "192.0.2.7:700".parse().unwrap(), via: Via::Datagrams(0) };
        let (username, password) = (granted.username, granted.credential);
        Self { machine, now, client, session, username, password, nonce: None }
    }

    /// Time passes, second by second, as the driver's timer makes it.
    fn pass(&mut self, time: Duration) {
        for _ in 0..time.as_secs() {
            self.now = self.now.after(Duration::from_secs(1));
            self.machine.handle_timeout(self.now);
        }
    }

    fn ask(&mut self, method: Method, attributes: &[&dyn AttributeWrite]) -> Result<u32, u16> {
        for _ in 0..2 {
            let mut out = Message::builder_request(method, MessageWriteVec::new());
            for attribute in attributes {
                out.add_attribute(*attribute).unwrap();
            }
            out.add_attribute(&Username::new(&self.username).unwrap()).unwrap();
            out.add_attribute(&Realm::new("symbolon").unwrap()).unwrap();
            let nonce = self.nonce.clone().unwrap_or_else(|| Nonce::new("0-AAAAAAAAAAA").unwrap());
            out.add_attribute(&nonce).unwrap();
            let key = LongTermKeyCredentials::new(
                self.username.clone(),
                self.password.clone(),
                "symbolon".to_owned(),
            );
            out.add_message_integrity(&key.into(), IntegrityAlgorithm::Sha1).unwrap();
            self.machine.handle_message(self.client, &out.finish(), self.now);
            let mut answer = None;
            while let Some(output) = self.machine.poll_output() {
                match output {
                    Output::ToClient(_, bytes) => answer = Some(bytes),
                    Output::Bind(relay, _) => {
                        let port = 50_000 + u16::try_from(relay.0).unwrap();
                        let address = SocketAddr::new("198.51.100.1".parse().unwrap(), port);
                        self.machine.handle_bound(relay, Some(address));
                    }
                    Output::ToPeer(..) | Output::Close(_) => {}
                }
            }
            let answer = answer.unwrap();
            let answer = Message::from_bytes(&answer).unwrap();
            if answer.has_class(MessageClass::Success) {
                return Ok(answer.attribute::<Lifetime>().map_or(0, |lifetime| lifetime.seconds()));
            }
            match (answer.attribute::<ErrorCode>().unwrap().code(), answer.attribute::<Nonce>()) {
                (438, Ok(nonce)) => self.nonce = Some(nonce),
                (code, _) => return Err(code),
            }
        }
        Err(438)
    }

    fn allocate(&mut self) -> Result<u32, u16> {
        self.ask(ALLOCATE, &[&RequestedTransport::new(RequestedTransport::UDP)])
    }

    fn refresh(&mut self, seconds: u32) -> Result<u32, u16> {
        self.ask(REFRESH, &[&Lifetime::new(seconds)])
    }

    fn relays(&self) -> usize {
        self.machine.used().allocations
    }
}

#[test]
fn rv7_a_relay_that_is_not_refreshed_ends() {
    let mut world = World::new();
    assert_eq!(world.allocate(), Ok(600));
    world.pass(Duration::from_secs(590));
    assert_eq!(world.refresh(600), Ok(600));
    world.pass(Duration::from_secs(599));
    assert_eq!(world.relays(), 1);
    world.pass(Duration::from_secs(2));
    assert_eq!(world.relays(), 0);
    assert_eq!(world.refresh(600), Err(437));
    assert!(world.machine.poll_timeout().is_none());
}

#[test]
fn rv7_a_session_that_is_gone_gets_no_relay_and_keeps_none_for_long() {
    let mut world = World::new();
    world.allocate().unwrap();
    world.machine.handle_signed_out(&world.session, world.now);
    let left = u32::try_from(GRACE.as_secs()).unwrap();
    assert_eq!(world.refresh(600), Ok(left));
    let first = std::mem::replace(&mut world.client.via, Via::Datagrams(1));
    assert_eq!(world.allocate(), Err(401));
    world.client.via = first;
    world.pass(GRACE.saturating_sub(Duration::from_secs(1)));
    assert_eq!(world.refresh(600), Ok(1));
    world.pass(Duration::from_secs(2));
    assert_eq!(world.relays(), 0);
    assert!(world.machine.sessions.is_empty() && world.machine.sources.is_empty());
}

#[test]
fn rv7_expired_credentials_make_no_relay_but_do_not_end_the_link_of_a_session_that_is_there() {
    let mut world = World::new();
    world.allocate().unwrap();
    for _ in 0..=LIFE.as_secs() / 500 {
        world.pass(Duration::from_secs(500));
        assert_eq!(world.refresh(600), Ok(600));
    }
    world.client.via = Via::Datagrams(1);
    assert_eq!(world.allocate(), Err(401));
    assert_eq!(world.relays(), 1);
}

#[test]
fn rv7_permissions_and_channels_expire() {
    let mut world = World::new();
    world.allocate().unwrap();
    let peer: SocketAddr = PEER.parse().unwrap();
    let relay = *world.machine.allocations.keys().next().unwrap();
    let heard = |world: &mut World| {
        world.machine.handle_peer(relay, peer, b"hello", world.now);
        world.machine.poll_output().is_some()
    };
    assert!(!heard(&mut world));
    world.machine.allocations.get_mut(&relay).unwrap().permit(&[peer.ip()], 1, world.now.monotonic).unwrap();
    assert!(heard(&mut world));
    world.pass(Duration::from_secs(299));
    assert!(heard(&mut world));
    world.pass(Duration::from_secs(1));
    assert!(!heard(&mut world));

    let allocation = world.machine.allocations.get_mut(&relay).unwrap();
    allocation.bind(0x4000, peer, 1, world.now.monotonic).unwrap();
    let ten_minutes = world.now.monotonic + Duration::from_secs(600);
    assert_eq!(allocation.peer_of(0x4000, ten_minutes), None);
    assert_eq!(allocation.peer_of(0x4000, ten_minutes.saturating_sub(Duration::from_millis(1))), Some(peer));
    let other: SocketAddr = "203.0.113.6:1".parse().unwrap();
    allocation.bind(0x4000, other, 1, ten_minutes).unwrap();
    assert_eq!(allocation.channel_to(other, ten_minutes), Some(0x4000));
}

#[test]
fn rv7_a_nonce_is_good_for_its_client_and_for_twenty_minutes() {
    let mut world = World::new();
    world.allocate().unwrap();
    let nonce = world.nonce.clone().unwrap();
    assert!(world.refresh(3600).is_ok());
    assert_eq!(world.nonce.as_ref().unwrap().nonce(), nonce.nonce());
    world.pass(Duration::from_secs(1201));
    assert!(world.refresh(3600).is_ok());
    assert_ne!(world.nonce.as_ref().unwrap().nonce(), nonce.nonce());
    // The address is another: so must be the nonce.
    let before = world.nonce.clone().unwrap();
    world.client.address = "192.0.2.7:701".parse().unwrap();
    assert!(world.allocate().is_ok());
    assert_ne!(world.nonce.as_ref().unwrap().nonce(), before.nonce());
}

#[test]
fn rv7_a_request_whose_answer_was_lost_is_answered_again() {
    let mut world = World::new();
    world.allocate().unwrap();
    assert_eq!(world.allocate(), Err(437), "another request");
    let mut out = Message::builder_request(ALLOCATE, MessageWriteVec::new());
    out.add_attribute(&RequestedTransport::new(RequestedTransport::UDP)).unwrap();
    let bytes = out.finish();
    let request = Message::from_bytes(&bytes).unwrap();
    let relay = world.machine.allocations.values_mut().next().unwrap();
    relay.born = request.transaction_id();
    let id = *world.machine.allocations.keys().next().unwrap();
    world.machine.answer_allocated(id, &request);
    assert!(matches!(world.machine.poll_output(), Some(Output::ToClient(..))));
}
