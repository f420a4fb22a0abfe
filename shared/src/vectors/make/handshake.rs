//! A link by each of the two handshakes, from the first signal to the channel.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::handshakes::{EPHEMERAL, ephemeral};
use super::super::hex;
use super::messages::{box_key, ticket};
use super::{TIME, author, described, room, secret, session};
use crate::admission::{Prover, check_proof, introduction};
use crate::crypto::Rng;
use crate::crypto::noise::{Pattern, Responder};
use crate::id::{RoomId, SessionId};
use crate::link::{Incoming, Kind, Link, LinkOutput, Signal, prologue};
use crate::membership::Membership;
use crate::time::Now;

const NOW: Now = Now { monotonic: Duration::ZERO, unix_ms: TIME };
const TAG: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];
const OFFER: &str = "v=0 (the offer)";
const ANSWER: &str = "v=0 (the answer)";
const CANDIDATE: &str =
    r#"{"candidate":"candidate:1 1 udp 1 192.0.2.1 4000 typ host","sdpMid":"0","sdpMLineIndex":0}"#;

fn drained(link: &mut Link) -> Vec<LinkOutput> {
    std::iter::from_fn(|| link.poll_output()).collect()
}

fn signal(link: &mut Link) -> Vec<u8> {
    let body = drained(link).into_iter().find_map(|output| match output {
        LinkOutput::Signal(body) => Some(body),
        _ => None,
    });
    body.expect("a signal")
}

fn parts(link: &mut Link) -> Vec<Vec<u8>> {
    let outputs = drained(link).into_iter();
    outputs
        .filter_map(|output| if let LinkOutput::Channel(part) = output { Some(part) } else { None })
        .collect()
}

pub(super) fn handshakes() -> Value {
    let (mut records, _) = room();
    let (a, b) = (author(1), author(2));
    let (sa, sb) = (session(0x42), session(0x41));
    let prover = Prover::new(&ticket(false), &b).unwrap();
    let proof = prover.prove(&sb, &sa, &mut Rng::from_seed([0x61; 32]));
    let membership = Membership::of(&records);
    let admitted = check_proof(&records, &membership, &secret(), &sb, &sa, &proof, TIME, |_, _| 0).unwrap();
    let shown = introduction(&records, &membership, &a.device(), &admitted.invite()).unwrap();
    let (rng, bound) = (Rng::from_seed(EPHEMERAL[0]), prologue(&records.room(), &sa, &sb, &TAG));
    let ik = Link::admit(&admitted, &a.keys().box_secret, bound, TAG, shown, rng, NOW);

    let room = records.room();
    let bound = prologue(&room, &sa, &sb, &TAG);
    let rng = Rng::from_seed(EPHEMERAL[0]);
    let kk = Link::call(b.device(), box_key(2), &a.keys().box_secret, bound, TAG, rng, NOW);
    records.insert(prover.acceptance().clone());
    json!({ "handshakes": [
        described("IK: a member to a newcomer that proved a ticket", handshake(ik, Pattern::Ik, &room, [sa, sb])),
        described("KK: a member to a member", handshake(kk, Pattern::Kk, &room, [sa, sb])),
    ] })
}

fn handshake(mut here: Link, pattern: Pattern, room: &RoomId, sessions: [SessionId; 2]) -> Value {
    let (a, b) = (author(1), author(2));
    let bound = prologue(room, &sessions[0], &sessions[1], &TAG);
    here.handle_description(OFFER.into());
    let first = signal(&mut here);
    let message1 = Signal::decode(&first).unwrap().payload.to_vec();
    let remote = (pattern == Pattern::Kk).then(|| box_key(1));
    let rng = || Rng::from_seed(EPHEMERAL[1]);
    let own = &b.keys().box_secret;
    let (responder, payload1) =
        Responder::read(pattern, own, remote.as_ref(), &bound, &message1, &mut rng()).unwrap();
    let (_, transport) = responder.finish(&payload2(ANSWER)).unwrap();
    let incoming = Incoming::read(own, remote.as_ref(), &bound, TAG, &message1, &mut rng()).unwrap();
    let mut there = Link::answer(a.device(), incoming, own, NOW);
    there.handle_description(ANSWER.into());
    let second = signal(&mut there);
    let message2 = Signal::decode(&second).unwrap().payload.to_vec();
    here.handle_signal(Kind::Second, &message2);
    here.handle_candidate(CANDIDATE.into());
    let sealed = signal(&mut here);
    there.handle_signal(Kind::Sealed, Signal::decode(&sealed).unwrap().payload);
    assert!(drained(&mut there).contains(&LinkOutput::AddCandidate(CANDIDATE.into())));
    here.handle_open(NOW);
    there.handle_open(NOW);
    let (initiator, responder) = (parts(&mut here).remove(0), parts(&mut there).remove(0));
    here.handle_channel(&responder, NOW);
    there.handle_channel(&initiator, NOW);
    assert!(here.is_up() && there.is_up());
    json!({
        "pattern": match pattern {
            Pattern::Ik => "Noise_IK_25519_ChaChaPoly_SHA256",
            Pattern::Kk => "Noise_KK_25519_ChaChaPoly_SHA256",
        },
        "room": room.to_string(),
        "initiator": side(1, &sessions[0], EPHEMERAL[0]),
        "responder": side(2, &sessions[1], EPHEMERAL[1]),
        "tag": hex(TAG),
        "prologue": hex(&bound),
        "offer": OFFER,
        "answer": ANSWER,
        "payload1": hex(payload1),
        "message1": hex(message1),
        "signal1": hex(first),
        "payload2": hex(payload2(ANSWER)),
        "message2": hex(message2),
        "signal2": hex(second),
        "handshake_hash": hex(transport.hash()),
        "candidate": CANDIDATE,
        "sealed_number": 0,
        "sealed_plain": hex(payload2(CANDIDATE)),
        "sealed_signal": hex(sealed),
        "confirm_initiator": hex(&initiator),
        "confirm_responder": hex(&responder),
        "channel": channel(here, there),
    })
}

/// The payload of message 2 and of a sealed candidate alike: a map with one text under key 0.
fn payload2(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    minicbor::Encoder::new(&mut out).map(1).unwrap().u8(0).unwrap().str(text).unwrap();
    out
}

fn side(n: u8, session: &SessionId, seed: [u8; 32]) -> Value {
    json!({
        "device": author(n).device().to_string(),
        "box_secret": hex(author(n).keys().box_secret.as_bytes()),
        "session": session.to_string(),
        "ephemeral_secret": hex(ephemeral(seed)),
    })
}

/// Messages over the link that is up: pings, and one of each lane.
fn channel(mut here: Link, mut there: Link) -> Value {
    drained(&mut here);
    drained(&mut there);
    here.probe(NOW);
    let ping = parts(&mut here).remove(0);
    there.handle_channel(&ping, NOW);
    let pong = parts(&mut there).remove(0);
    here.send(vec![0x82, 6, 0x80], true, NOW);
    let urgent = parts(&mut here).remove(0);
    here.send(vec![0xab; 16 * 1024 + 5], false, NOW);
    let bulk: Vec<Value> = parts(&mut here)
        .iter()
        .map(|part| json!({ "header": part[0], "payload_bytes": part.len() - 1 }))
        .collect();
    json!({
        "ping": hex(ping),
        "pong": hex(pong),
        "urgent": { "message": "820680", "part": hex(urgent) },
        "bulk": { "message": "0xab, 16389 times", "parts": bulk },
    })
}
