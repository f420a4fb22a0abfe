//! Records and who is a member by them.

use minicbor::Encoder;
use serde_json::{Value, json};

use super::super::{hex, ids};
use super::{DAY, TIME, author, described, genesis, room};
use crate::crypto::keys::{Domain, Signature, invite_key};
use crate::id::DeviceId;
use crate::membership::{Membership, Records};
use crate::record::{Author, Record};

pub(super) fn opened(wire: &[u8]) -> (Vec<u8>, Vec<Vec<u8>>) {
    super::super::opened(wire).unwrap()
}

fn wrapped(body: &[u8], signatures: &[Signature]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out);
    encoder.array(2).unwrap().bytes(body).unwrap().array(signatures.len() as u64).unwrap();
    for signature in signatures {
        encoder.bytes(signature.as_bytes()).unwrap();
    }
    out
}

fn vector(what: &str, record: &Record, fields: Value) -> Value {
    let (body, signatures) = opened(record.wire());
    let signatures: Vec<String> = signatures.iter().map(hex).collect();
    let rest = json!({
        "kind": record.head().kind,
        "author": record.author().to_string(),
        "fields": fields,
        "body": hex(body),
        "signatures": signatures,
        "wire": hex(record.wire()),
        "id": record.id().to_string(),
    });
    described(what, rest)
}

pub(super) fn records() -> Value {
    let (a, b) = (author(1), author(2));
    let genesis = genesis();
    let (mut records, invite) = room();
    let room = records.room();
    let bound_key = invite_key(&[0x31; 32]).public();
    let bound = a.invite(room, records.heads(), TIME, bound_key, TIME + DAY, 3, Some(b.device())).unwrap();
    let acceptance = b.acceptance(room, invite.id(), &invite_key(&[0x30; 32])).unwrap();
    records.insert(acceptance.clone());
    let prev = records.heads();
    let counter = a.countersignature(room, prev.clone(), TIME + 2000, acceptance.id()).unwrap();
    let later = later_kind(&a, &genesis);
    let good = json!([
        vector(
            "a device record",
            a.record(),
            json!({
                "time": TIME, "user": "Ada", "name": "laptop", "box_key": hex(a.keys().box_secret.public().as_bytes()),
            })
        ),
        vector(
            "a device record with a name outside ASCII",
            author(3).record(),
            json!({
                "time": TIME, "user": "Chloé", "name": "desk",
                "box_key": hex(author(3).keys().box_secret.public().as_bytes()),
            })
        ),
        vector(
            "a genesis",
            &genesis,
            json!({
                "time": TIME, "name": "plans", "vouchers": 1, "founder": hex(a.record().wire()),
                "nonce": hex(crate::crypto::Rng::from_seed([0x10; 32]).bytes::<16>()),
            })
        ),
        vector(
            "an invite for one device",
            &invite,
            json!({
                "room": room.to_string(), "prev": ids(&[genesis.id()]), "time": TIME + 1000,
                "key": hex(invite_key(&[0x30; 32]).public()), "expires": TIME + DAY, "uses": 1,
            })
        ),
        vector(
            "an invite for one of three devices, bound to one",
            &bound,
            json!({
                "room": room.to_string(), "prev": ids(&[invite.id()]), "time": TIME,
                "key": hex(bound_key), "expires": TIME + DAY, "uses": 3, "bound": b.device().to_string(),
            })
        ),
        vector(
            "an acceptance; its second signature is by the invite's key",
            &acceptance,
            json!({
                "room": room.to_string(), "invite": invite.id().to_string(), "device": hex(b.record().wire()),
            })
        ),
        vector(
            "a countersignature",
            &counter,
            json!({
                "room": room.to_string(), "prev": ids(&prev), "time": TIME + 2000,
                "acceptance": acceptance.id().to_string(),
            })
        ),
        vector(
            "a kind and a key of a later version: kept and relayed, without effect",
            &later,
            json!({
                "room": room.to_string(), "prev": ids(&[genesis.id()]), "time": TIME, "200": "later",
            })
        ),
    ]);
    let refused: Vec<Value> = refused(&a, &genesis, &invite)
        .into_iter()
        .map(|(why, wire)| {
            assert!(Record::decode(&wire).is_err(), "{why}");
            json!({ "why": why, "wire": hex(wire) })
        })
        .collect();
    json!({ "records": good, "refused": refused })
}

/// Kind 100 with a key 200.
fn later_kind(by: &Author, genesis: &Record) -> Record {
    let mut body = Vec::new();
    let mut e = Encoder::new(&mut body);
    e.map(6).unwrap();
    e.u8(0).unwrap().u8(100).unwrap();
    e.u8(1).unwrap().bytes(genesis.id().as_bytes()).unwrap();
    e.u8(2).unwrap().array(1).unwrap().bytes(genesis.id().as_bytes()).unwrap();
    e.u8(3).unwrap().u64(TIME).unwrap();
    e.u8(4).unwrap().bytes(by.device().as_bytes()).unwrap();
    e.u8(200).unwrap().str("later").unwrap();
    let signature = by.keys().sign.sign(Domain::Record, &body);
    Record::decode(&wrapped(&body, &[signature])).unwrap()
}

fn refused(a: &Author, genesis: &Record, invite: &Record) -> Vec<(&'static str, Vec<u8>)> {
    let sign = |body: &[u8]| a.keys().sign.sign(Domain::Record, body);
    let (body, _) = opened(invite.wire());
    let signature = sign(&body);
    let mut changed = invite.wire().to_vec();
    *changed.last_mut().unwrap() ^= 1;
    let mut long = Vec::new();
    // 0x9a: an array whose length takes four bytes, where one would do.
    long.extend([0x9a, 0, 0, 0, 2]);
    long.extend(&invite.wire()[1..]);
    let mut indefinite = vec![0x9f];
    indefinite.extend(&invite.wire()[1..]);
    indefinite.push(0xff);
    let mut trailing = invite.wire().to_vec();
    trailing.push(0);
    let other = author(2).keys().sign.sign(Domain::Record, &body);
    let frame = a.keys().sign.sign(Domain::Frame, &body);
    let (device, _) = opened(a.record().wire());
    let control: Vec<u8> = device
        .windows(3)
        .position(|window| window == b"Ada")
        .map(|at| [&device[..at], b"A\nd", &device[at + 3..]].concat())
        .unwrap();
    // Key 12 (uses), value 1: the last two bytes of an invite that is not bound.
    let unused = [&body[..body.len() - 1], &[0]].concat();
    let mut orphans = Vec::new();
    let mut e = Encoder::new(&mut orphans);
    e.map(4).unwrap().u8(0).unwrap().u8(100).unwrap().u8(1).unwrap().bytes(genesis.id().as_bytes()).unwrap();
    e.u8(2).unwrap().array(33).unwrap();
    for n in 0..33 {
        e.bytes(&[n; 32]).unwrap();
    }
    e.u8(4).unwrap().bytes(a.device().as_bytes()).unwrap();
    let (accept_body, _) = opened(
        author(2).acceptance(genesis.room().unwrap(), invite.id(), &invite_key(&[0x30; 32])).unwrap().wire(),
    );
    let by_b = author(2).keys().sign.sign(Domain::Record, &accept_body);
    vec![
        ("the signature has a wrong bit", changed),
        ("the signature is another device's", wrapped(&body, &[other])),
        ("the signature is for another domain", wrapped(&body, &[frame])),
        ("there is no signature", wrapped(&body, &[])),
        ("an invite has one signature", wrapped(&body, &[signature, signature])),
        ("an acceptance has two signatures", wrapped(&accept_body, &[by_b])),
        ("the outer array has a length that is not the shortest", long),
        ("the outer array is of indefinite length", indefinite),
        ("a byte follows", trailing),
        ("the user's name has a line feed", wrapped(&control, &[sign(&control)])),
        ("the number of uses is zero", wrapped(&unused, &[sign(&unused)])),
        ("33 predecessors", wrapped(&orphans, &[sign(&orphans)])),
    ]
}

fn insert(into: &mut Records, records: &[Record]) {
    for record in records {
        into.insert(record.clone());
    }
}

/// One way in: the acceptance and a countersignature that knows `prev`.
fn admission(
    records: &Records,
    invite: &Record,
    seed: u8,
    who: &Author,
    by: &Author,
    prev: &Records,
) -> [Record; 2] {
    let acceptance = who.acceptance(records.room(), invite.id(), &invite_key(&[seed; 32])).unwrap();
    let by = by.countersignature(records.room(), prev.heads(), TIME + 2000, acceptance.id()).unwrap();
    [acceptance, by]
}

fn case(what: &str, records: &[Record]) -> Value {
    let mut all = Records::new(records[0].clone()).unwrap();
    insert(&mut all, &records[1..]);
    assert_eq!(all.len(), records.len(), "{what}");
    let membership = Membership::of(&all);
    let members: Vec<Value> = membership
        .members()
        .map(|(device, member)| {
            json!({
                "device": device.to_string(),
                "invited_by": member.invited_by.map(|by| by.to_string()),
                "rank": member.rank,
            })
        })
        .collect();
    let admitted: Vec<DeviceId> =
        (1..=4).map(|n| author(n).device()).filter(|device| membership.was_admitted(device)).collect();
    let wires: Vec<String> = records.iter().map(|record| hex(record.wire())).collect();
    described(what, json!({ "records": wires, "members": members, "ever_admitted": ids(&admitted) }))
}

pub(super) fn membership() -> Value {
    let (a, b, c) = (author(1), author(2), author(3));
    let (base, invite) = room();
    let start = vec![base.genesis().clone(), invite.clone()];
    let with = |more: &[&[Record]]| [&start[..], &more.concat()].concat();

    let first = admission(&base, &invite, 0x30, &b, &a, &base);
    let mut known = base.clone();
    insert(&mut known, &first);
    let key = invite_key(&[0x32; 32]).public();
    let next = b.invite(known.room(), known.heads(), TIME + 3000, key, TIME + DAY, 1, None).unwrap();
    known.insert(next.clone());
    let second = admission(&known, &next, 0x32, &c, &a, &known);

    let concurrent = admission(&base, &invite, 0x30, &c, &a, &base);
    let mut later = base.clone();
    insert(&mut later, &first);
    let too_late = admission(&later, &invite, 0x30, &c, &a, &later);
    let own = admission(&base, &invite, 0x30, &b, &b, &base);
    let acceptance_only = vec![first[0].clone()];
    json!({ "cases": [
        case("a founder alone, with an invite out", &start),
        case("an acceptance that no member countersigned", &with(&[&acceptance_only])),
        case("one is let in", &with(&[&first])),
        case("the one let in invites another, whom the founder lets in", &with(&[&first, &[next], &second])),
        case("two take one place at once: the smaller acceptance stands", &with(&[&first, &concurrent])),
        case("two take one place, the second in the knowledge of the first: it is void", &with(&[&first, &too_late])),
        case("nobody lets itself in", &with(&[&own])),
    ] })
}
