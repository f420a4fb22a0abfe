//! Keys, tickets, sign-in, proofs, frames and messages.

use serde_json::{Value, json};

use super::super::read::{DOMAINS, challenge_bytes, hello_bytes};
use super::super::{hex, ids};
use super::records::opened;
use super::{DAY, TIME, author, described, room, secret, session};
use crate::admission::{ANNOUNCEMENT, Prover, TAG, announce};
use crate::crypto::Rng;
use crate::crypto::keys::{BoxKey, DeviceKeys, SignKey, derive, invite_key};
use crate::frames::{ChainId, Frame, Frontier, Log};
use crate::id::{Nonce, RoomId};
use crate::mesh::{Item, Knowledge, Message, Relay};
use crate::presence::Presence;
use crate::signal::{
    Bytes, Challenge, ClientMessage, Hello, IceServer, Limits, Present, Refusal, RefusalCode, ServerMessage,
};
use crate::ticket::{Ticket, TicketServer};
use crate::topology::LinkList;

pub(super) fn keys() -> Value {
    let devices: Vec<Value> = (1..=3u8)
        .map(|n| {
            let keys = DeviceKeys::from_seed(&[n; 32]);
            json!({
                "seed": hex([n; 32]),
                "sign_secret": hex(derive::<32>(&[n; 32], &[b"symbolon/1/sign"])),
                "sign_public": hex(keys.id().as_bytes()),
                "device": keys.id().to_string(),
                "box_secret": hex(keys.box_secret.as_bytes()),
                "box_public": hex(keys.box_secret.public().as_bytes()),
            })
        })
        .collect();
    let invites: Vec<Value> = (0x30..=0x32u8)
        .map(|n| {
            json!({
                "seed": hex([n; 32]),
                "secret": hex(derive::<32>(&[n; 32], &[b"symbolon/1/invite"])),
                "public": hex(invite_key(&[n; 32]).public()),
            })
        })
        .collect();
    let invite_public = invite_key(&[0x30; 32]).public();
    let proof_key = secret().proof_key(&invite_public);
    let (newcomer, member) = (session(0x41), session(0x42));
    let tag: [u8; TAG] = derive(&proof_key, &[b"symbolon/1/tag", newcomer.as_bytes(), member.as_bytes()]);
    let rooms = json!([{
        "secret": hex(secret().as_bytes()),
        "topic": secret().topic().to_string(),
        "announce_key": hex(secret().announce_key()),
        "invite_public": hex(invite_public),
        "proof_key": hex(proof_key),
        "newcomer": newcomer.to_string(),
        "member": member.to_string(),
        "proof_tag": hex(tag),
    }]);
    let key = SignKey::from_secret(&[1; 32]);
    let signatures: Vec<Value> = DOMAINS
        .iter()
        .map(|(domain, label)| {
            json!({
                "label": label,
                "secret": hex([1; 32]),
                "public": hex(key.public()),
                "message": hex(b"hello"),
                "signature": hex(key.sign(*domain, b"hello").as_bytes()),
            })
        })
        .collect();
    json!({ "devices": devices, "invites": invites, "rooms": rooms, "signatures": signatures })
}

/// The ticket for the invite of [`room`].
pub(super) fn ticket(full: bool) -> Ticket {
    let (records, invite) = room();
    let mut servers = vec![TicketServer { origin: "ws://127.0.0.1:7600".parse().unwrap(), key: None }];
    if full {
        let key = Some(SignKey::from_secret(&[0x50; 32]).server());
        servers.insert(0, TicketServer { origin: "wss://rooms.example.org".parse().unwrap(), key });
    }
    Ticket {
        servers,
        room: records.room(),
        secret: secret(),
        issuer: author(1).device(),
        issuer_box: author(1).keys().box_secret.public(),
        invite: invite.id(),
        seed: [0x30; 32],
        expires: TIME + DAY,
        bound: full.then(|| author(2).device()),
    }
}

pub(super) fn tickets() -> Value {
    use base64::Engine as _;
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let vector = |what: &str, ticket: &Ticket| {
        let servers: Vec<Value> = ticket
            .servers
            .iter()
            .map(|server| json!({ "origin": server.origin.to_string(), "key": server.key.map(|key| key.to_string()) }))
            .collect();
        let bytes = engine.decode(&ticket.text()[9..]).unwrap();
        let (cbor, checksum) = bytes.split_at(bytes.len() - 4);
        described(
            what,
            json!({
                "fields": {
                    "version": 1,
                    "servers": servers,
                    "room": ticket.room.to_string(),
                    "secret": hex(ticket.secret.as_bytes()),
                    "issuer": ticket.issuer.to_string(),
                    "issuer_box": hex(ticket.issuer_box.as_bytes()),
                    "invite": ticket.invite.to_string(),
                    "seed": hex(ticket.seed),
                    "expires": ticket.expires,
                    "bound": ticket.bound.map(|device| device.to_string()),
                },
                "cbor": hex(cbor),
                "checksum": hex(checksum),
                "text": ticket.text(),
                "link": ticket.link(),
            }),
        )
    };
    let short = ticket(false);
    let text = short.text();
    let mut newer = engine.decode(&text[9..]).unwrap();
    newer.truncate(newer.len() - 4);
    newer[2] = 2;
    let checksum = crate::crypto::keys::sha256(&newer);
    newer.extend(&checksum[..4]);
    let refused = json!([
        { "why": "not_a_ticket", "text": "" },
        { "why": "not_a_ticket", "text": "https://rooms.example.org/" },
        { "why": "damaged", "text": "symbolon1" },
        { "why": "damaged", "text": &text[..text.len() - 1] },
        { "why": "damaged", "text": format!("{}{}", &text[..40], &text[41..]) },
        { "why": "version", "text": format!("symbolon1{}", engine.encode(newer)) },
    ]);
    json!({
        "tickets": [
            vector("one server, not bound", &short),
            vector("two servers, one with its key; bound to a device", &ticket(true)),
        ],
        "refused": refused,
    })
}

pub(super) fn sign_in() -> Value {
    let origins = vec!["wss://rooms.example.org".parse().unwrap(), "ws://127.0.0.1:7600".parse().unwrap()];
    let nonce = Nonce::from_bytes([2; 32]);
    let challenge = Challenge::sign(&SignKey::from_secret(&[1; 32]), nonce, origins.clone(), TIME);
    let hello = Hello::sign(&SignKey::from_secret(&[3; 32]), &challenge, 1, origins[0].clone(), TIME + 5);
    json!({
        "server_secret": hex([1; 32]),
        "challenge_signed": hex(challenge_bytes(&challenge)),
        "challenge": ServerMessage::Challenge(challenge.clone()).encode(),
        "session_secret": hex([3; 32]),
        "hello_signed": hex(hello_bytes(&nonce, &challenge.server_key, &hello)),
        "hello": ClientMessage::Hello(hello).encode(),
        "turn_secret": "north",
        "turn_life_s": 3600,
        "turn_time_s": TIME / 1000,
        "ice_servers": crate::vectors::granted("north", 3600, TIME / 1000, &SignKey::from_secret(&[3; 32]).session()),
        "messages": signed_in(),
    })
}

/// What is said once somebody is signed in, as texts with who says it.
fn signed_in() -> Vec<Value> {
    let (topic, session, peer) = (secret().topic(), session(0x41), session(0x42));
    let (announcement, body) = (Bytes(vec![5; 136]), Bytes((0..=255).collect()));
    let ice_servers = vec![IceServer {
        urls: vec!["stun:rooms.example.org:3478".to_owned()],
        username: String::new(),
        credential: String::new(),
    }];
    let limits = Limits { message: 98_304, rooms: 64, clients_per_room: 256 };
    let refusal =
        Refusal { code: RefusalCode::Full, message: "the server is full; \"later\" may do ✓".to_owned() };
    let present = Present { session: peer, announcement: announcement.clone() };
    let client = [
        ClientMessage::Enter { topic, announcement: announcement.clone() },
        ClientMessage::Signal { topic, to: peer, body: body.clone() },
        ClientMessage::Leave { topic },
    ];
    let server = [
        ServerMessage::Welcome { ice_servers: ice_servers.clone(), limits, drain_after: None },
        ServerMessage::Welcome { ice_servers, limits, drain_after: Some(10) },
        ServerMessage::Entered { topic, peers: Vec::new() },
        ServerMessage::Entered { topic, peers: vec![present] },
        ServerMessage::Arrived { topic, session, announcement },
        ServerMessage::Signal { topic, from: session, body },
        ServerMessage::Left { topic, session },
        ServerMessage::Drain { drain_after: 10 },
        ServerMessage::Error(refusal),
    ];
    let client = client.iter().map(|message| json!({ "by": "client", "text": message.encode() }));
    client.chain(server.iter().map(|message| json!({ "by": "server", "text": message.encode() }))).collect()
}

pub(super) fn admission() -> Value {
    let member = session(0x42);
    let device = author(1).device();
    let announcement = announce(
        &secret(),
        &secret().topic(),
        &member,
        &author(1).keys().sign,
        &mut Rng::from_seed([0x60; 32]),
    );
    assert_eq!(announcement.len(), ANNOUNCEMENT);
    let newcomer = session(0x41);
    let prover = Prover::new(&ticket(false), &author(2)).unwrap();
    let proof = prover.prove(&newcomer, &member, &mut Rng::from_seed([0x61; 32]));
    let invite_public = invite_key(&[0x30; 32]).public();
    let plain = crate::crypto::seal::open(
        &secret().proof_key(&invite_public),
        &[&newcomer.as_bytes()[..], member.as_bytes()].concat(),
        &proof[TAG..],
    );
    let (records, _) = room();
    let records: Vec<String> = records.iter().map(|record| hex(record.wire())).collect();
    let signed = [&prover.acceptance().id().as_bytes()[..], newcomer.as_bytes(), member.as_bytes()].concat();
    json!({
        "room_secret": hex(secret().as_bytes()),
        "announcement": {
            "session": member.to_string(),
            "device": device.to_string(),
            "nonce": hex(&announcement[..24]),
            "bytes": hex(&announcement),
        },
        "proof": {
            "invite_seed": hex([0x30; 32]),
            "device_seed": hex([2; 32]),
            "newcomer": newcomer.to_string(),
            "member": member.to_string(),
            "records": records,
            "acceptance": hex(prover.acceptance().wire()),
            "signed": hex(signed),
            "plain": hex(plain.unwrap()),
            "tag": hex(&proof[..TAG]),
            "nonce": hex(&proof[TAG..TAG + 24]),
            "bytes": hex(&proof),
            "signal": hex([&[0][..], &proof].concat()),
        },
    })
}

pub(super) fn varuint(mut n: u64, out: &mut Vec<u8>) {
    while n >= 0x80 {
        out.push((n & 0x7f) as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// A Yjs update (v1): `client` writes `text` to `text:main`, at the start or behind another's character.
fn insertion(client: u64, text: &str, behind: Option<(u64, u64)>) -> Vec<u8> {
    let mut out = vec![1, 1];
    varuint(client, &mut out);
    out.push(0);
    match behind {
        None => out.extend([&[4, 1, 9][..], b"text:main"].concat()),
        Some((client, clock)) => {
            out.push(0x84);
            varuint(client, &mut out);
            varuint(clock, &mut out);
        }
    }
    varuint(text.len() as u64, &mut out);
    out.extend(text.as_bytes());
    out.push(0);
    out
}

pub(super) fn three_frames() -> (RoomId, Vec<Frame>) {
    let (records, _) = room();
    let (a, b) = (author(1), author(2));
    let mut log = Log::new(records.room());
    let client = |device, incarnation| ChainId { author: device, incarnation }.client();
    let first = insertion(client(a.device(), 0), "hello", None);
    let first = log.compose(&a.keys().sign, 0, &first).unwrap();
    let mut other = Log::new(records.room());
    other.insert(first.clone(), |_| true);
    let second = insertion(client(b.device(), 3), " world", Some((client(a.device(), 0), 4)));
    let second = other.compose(&b.keys().sign, 3, &second).unwrap();
    log.insert(second.clone(), |_| true);
    let third = log.compose(&a.keys().sign, 0, &[]).unwrap();
    (records.room(), vec![first, second, third])
}

pub(super) fn frames() -> Value {
    use yrs::updates::decoder::Decode as _;
    use yrs::{GetString as _, ReadTxn as _, Transact as _};
    let (room, frames) = three_frames();
    let doc = yrs::Doc::new();
    for frame in frames.iter().filter(|frame| !frame.update().is_empty()) {
        doc.transact_mut().apply_update(yrs::Update::decode_v1(frame.update()).unwrap()).unwrap();
    }
    let read = doc.transact();
    let text = read.get_text("text:main").unwrap().get_string(&read);
    let described_frames: Vec<Value> = frames
        .iter()
        .zip(["the first of a chain", "another author's, which has seen it", "without an update"])
        .map(|(frame, what)| {
            let (body, signature) = opened(frame.wire());
            let fields: serde_json::Map<String, Value> = fields(&body);
            described(
                what,
                json!({
                    "room": room.to_string(),
                    "author": frame.chain().author.to_string(),
                    "incarnation": frame.chain().incarnation,
                    "client_id": frame.chain().client(),
                    "seq": frame.seq(),
                    "prev": fields["prev"],
                    "seen": fields["seen"],
                    "update": hex(frame.update()),
                    "body": hex(body),
                    "signature": hex(&signature[0]),
                    "wire": hex(frame.wire()),
                    "id": frame.id().to_string(),
                }),
            )
        })
        .collect();
    json!({ "frames": described_frames, "text_main": text })
}

/// `prev` and `seen` of a frame's body.
fn fields(body: &[u8]) -> serde_json::Map<String, Value> {
    use crate::id::FrameId;
    let id = |bytes: &[u8]| FrameId::from_bytes(bytes.try_into().unwrap());
    let mut out = serde_json::Map::from_iter([("prev".to_owned(), Value::Null)]);
    let mut decoder = minicbor::Decoder::new(body);
    for _ in 0..decoder.map().unwrap().unwrap() {
        match decoder.u8().unwrap() {
            4 => drop(out.insert("prev".into(), id(decoder.bytes().unwrap()).to_string().into())),
            5 => {
                let seen = (0..decoder.array().unwrap().unwrap()).map(|_| id(decoder.bytes().unwrap()));
                out.insert("seen".into(), ids(&seen.collect::<Vec<_>>()));
            }
            _ => decoder.skip().unwrap(),
        }
    }
    out
}

pub(super) fn links() -> LinkList {
    let (records, _) = room();
    let others = vec![author(2).device(), author(3).device()];
    LinkList::sign(&author(1).keys().sign, records.room(), session(0x43), (TIME, 7), others)
}

pub(super) fn mesh() -> Value {
    let (records, invite) = room();
    let (room, frames) = three_frames();
    let mut frontier = Frontier::default();
    for frame in &frames {
        frontier.add(frame.chain(), frame.seq());
    }
    let list = links();
    let state = r##"{"cursor":null,"user":{"color":"#a01f5c","name":"Ada"}}"##.to_owned();
    let shown = Presence::sign(&author(1).keys().sign, room, 0, (TIME, 9), Some(state));
    let known = || Knowledge::new(records.heads(), &frontier);
    let items = || {
        vec![
            Item::Record(invite.wire().to_vec().into()),
            Item::Frame(frames[2].wire().to_vec().into()),
            Item::Links(list.wire.clone().into()),
            Item::Presence(shown.wire.clone().into()),
        ]
    };
    let names = || vec![invite.id().as_bytes().to_vec().into(), frames[2].id().as_bytes().to_vec().into()];
    let relay = Relay {
        from: author(1).device(),
        from_session: session(0x43),
        to: author(3).device(),
        to_session: session(0x44),
        body: vec![2, 1, 2, 3, 4, 5, 6, 7, 8, 0xff].into(),
    };
    let messages: Vec<Value> = [
        ("know", Message::Know(known())),
        ("pull", Message::Pull(Knowledge::default())),
        ("batch", Message::Batch { items: items(), more: true }),
        ("push", Message::Push(items())),
        ("have", Message::Have(names())),
        ("graft", Message::Graft(names())),
        ("prune", Message::Prune),
        ("relay", Message::Relay(relay)),
    ]
    .into_iter()
    .map(|(kind, message)| json!({ "kind": kind, "urgent": message.urgent(), "cbor": hex(message.encode()) }))
    .collect();
    let chains: Vec<Value> = known()
        .chains
        .iter()
        .map(|(chain, count)| {
            json!({ "author": chain.author.to_string(), "incarnation": chain.incarnation, "frames": count })
        })
        .collect();
    json!({
        "know": { "heads": ids(&records.heads()), "chains": chains },
        "link_list": claim(
            &list.wire,
            json!({
                "room": room.to_string(),
                "device": list.device.to_string(),
                "session": list.session.to_string(),
                "started": list.version.0,
                "seq": list.version.1,
                "links": ids(&list.links),
            }),
        ),
        "presence": claim(
            &shown.wire,
            json!({
                "room": room.to_string(),
                "device": shown.chain.author.to_string(),
                "incarnation": shown.chain.incarnation,
                "client_id": shown.chain.client(),
                "started": shown.version.0,
                "seq": shown.version.1,
                "clock": shown.clock(),
                "state": shown.state,
            }),
        ),
        "messages": messages,
    })
}

/// What a member says of itself, with its body, signature and the name under which it is passed on.
fn claim(wire: &[u8], mut fields: Value) -> Value {
    let (body, signature) = opened(wire);
    fields["body"] = hex(body).into();
    fields["signature"] = hex(&signature[0]).into();
    fields["wire"] = hex(wire).into();
    fields["item_id"] = hex(crate::crypto::keys::sha256(wire)).into();
    fields
}

/// The box key of a device of the vectors.
pub(super) fn box_key(n: u8) -> BoxKey {
    author(n).keys().box_secret.public()
}
