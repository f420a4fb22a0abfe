//! Keys, tickets, sign-in, and what linked members say.

use ed25519_dalek::{Signature as RawSignature, VerifyingKey};
use hkdf::Hkdf;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{array, bytes, each, ids, is, is_bytes, is_text, list, must, opened, parsed, said, text};
use crate::crypto::keys::{BoxKey, DeviceKeys, Domain, RoomSecret, SignKey, invite_key};
use crate::id::{DeviceId, Nonce, RoomId, ServerKey, SessionId, Topic};
use crate::mesh::Message;
use crate::presence::Presence;
use crate::signal::{Challenge, ClientMessage, Hello, ServerMessage};
use crate::ticket::{PREFIX, Ticket, TicketError};
use crate::topology::LinkList;

/// What each domain is called in the vectors, and its label without the zero byte behind it.
pub(super) const DOMAINS: &[(Domain, &str)] = &[
    (Domain::Challenge, "symbolon/1/challenge"),
    (Domain::Hello, "symbolon/1/hello"),
    (Domain::Record, "symbolon/1/record"),
    (Domain::Redeem, "symbolon/1/redeem"),
    (Domain::Proof, "symbolon/1/proof"),
    (Domain::Frame, "symbolon/1/frame"),
    (Domain::Links, "symbolon/1/links"),
    (Domain::Presence, "symbolon/1/presence"),
    (Domain::Announce, "symbolon/1/announce"),
];

fn hkdf(secret: &[u8], info: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    // 32 bytes are one block; only 255 of them would be too many.
    let _ = Hkdf::<Sha256>::new(None, secret).expand(info, &mut out);
    out
}

/// That the signature over a message under this label holds.
pub(super) fn signed(public: &[u8], label: &str, message: &[u8], signature: &[u8]) -> Result<(), String> {
    let public = public.try_into().map_err(|_| "a public key has 32 bytes")?;
    let key = VerifyingKey::from_bytes(public).map_err(said)?;
    let signature = RawSignature::from_slice(signature).map_err(said)?;
    let message = [label.as_bytes(), &[0], message].concat();
    key.verify_strict(&message, &signature).map_err(|_| format!("the signature {label} does not hold"))
}

pub(super) fn keys(file: &Value) -> Result<usize, String> {
    let devices = each(file, "devices", |vector| {
        let seed: [u8; 32] = array(vector, "seed")?;
        is_bytes(vector, "sign_secret", hkdf(&seed, b"symbolon/1/sign"))?;
        is_bytes(vector, "box_secret", hkdf(&seed, b"symbolon/1/box"))?;
        let keys = DeviceKeys::from_seed(&seed);
        is_text(vector, "device", keys.id())?;
        is_bytes(vector, "sign_public", keys.id().as_bytes())?;
        must(keys.id() == parsed::<DeviceId>(vector, "device")?, "the device reads differently")?;
        let box_public = BoxKey::from_bytes(array(vector, "box_public")?);
        must(keys.box_secret.public() == box_public, "box_public is another key's")
    })?;
    let invites = each(file, "invites", |vector| {
        let seed: [u8; 32] = array(vector, "seed")?;
        is_bytes(vector, "secret", hkdf(&seed, b"symbolon/1/invite"))?;
        is_bytes(vector, "public", invite_key(&seed).public())
    })?;
    let rooms = each(file, "rooms", |vector| {
        let secret = array(vector, "secret")?;
        let topic: Topic = parsed(vector, "topic")?;
        must(topic.as_bytes() == &hkdf(&secret, b"symbolon/1/topic"), "topic does not follow")?;
        must(topic == RoomSecret::from_bytes(secret).topic(), "topic is made differently")?;
        is_bytes(vector, "announce_key", hkdf(&secret, b"symbolon/1/announce"))?;
        let invite = bytes(vector, "invite_public")?;
        let proof_key = hkdf(&secret, &[b"symbolon/1/proof", &invite[..]].concat());
        is_bytes(vector, "proof_key", proof_key)?;
        let (newcomer, member): (SessionId, SessionId) =
            (parsed(vector, "newcomer")?, parsed(vector, "member")?);
        let info = [b"symbolon/1/tag", &newcomer.as_bytes()[..], member.as_bytes()].concat();
        is_bytes(vector, "proof_tag", &hkdf(&proof_key, &info)[..8])
    })?;
    let mut domains = DOMAINS.iter();
    let signatures = each(file, "signatures", |vector| {
        let (domain, label) = domains.next().ok_or("there are more than domains")?;
        is(vector, "label", *label)?;
        let key = SignKey::from_secret(&array(vector, "secret")?);
        is_bytes(vector, "public", key.public())?;
        let message = bytes(vector, "message")?;
        is_bytes(vector, "signature", key.sign(*domain, &message).as_bytes())?;
        signed(&key.public(), label, &message, &bytes(vector, "signature")?)
    })?;
    must(domains.next().is_none(), "signatures lack a domain")?;
    Ok(devices + invites + rooms + signatures)
}

pub(super) fn tickets(file: &Value) -> Result<usize, String> {
    use base64::Engine as _;
    let base64 = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let tickets = each(file, "tickets", |vector| {
        let ticket: Ticket = parsed(vector, "text")?;
        must(parsed::<Ticket>(vector, "link")? == ticket, "the link is another ticket")?;
        is(vector, "text", ticket.text())?;
        is(vector, "link", ticket.link())?;
        let server = |server: &crate::ticket::TicketServer| json!({ "origin": server.origin.to_string(), "key": server.key.map(|key| key.to_string()) });
        let fields = json!({
            "version": 1,
            "servers": ticket.servers.iter().map(server).collect::<Vec<Value>>(),
            "room": ticket.room.to_string(),
            "secret": super::hex(ticket.secret.as_bytes()),
            "issuer": ticket.issuer.to_string(),
            "issuer_box": super::hex(ticket.issuer_box.as_bytes()),
            "invite": ticket.invite.to_string(),
            "seed": super::hex(ticket.seed),
            "expires": ticket.expires,
            "bound": ticket.bound.map(|device| device.to_string()),
        });
        is(vector, "fields", fields)?;
        let (cbor, checksum) = (bytes(vector, "cbor")?, bytes(vector, "checksum")?);
        must(Sha256::digest(&cbor)[..4] == checksum, "checksum is another's")?;
        is(vector, "text", format!("{PREFIX}{}", base64.encode([cbor, checksum].concat())))
    })?;
    let refused = each(file, "refused", |vector| {
        let why = match text(vector, "text")?.parse::<Ticket>() {
            Ok(_) => return Err("it is taken".into()),
            Err(TicketError::NotATicket) => "not_a_ticket",
            Err(TicketError::Damaged) => "damaged",
            Err(TicketError::Version(_)) => "version",
            Err(TicketError::TooLong) => "too_long",
        };
        is(vector, "why", why)
    })?;
    Ok(tickets + refused)
}

/// The bytes under a challenge's signature, written as the document has them.
pub(super) fn challenge_bytes(challenge: &Challenge) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend((challenge.versions.len() as u64).to_be_bytes());
    challenge.versions.iter().for_each(|version| out.extend(version.to_be_bytes()));
    out.extend(challenge.nonce.as_bytes());
    out.extend(challenge.server_key.as_bytes());
    out.extend((challenge.origins.len() as u64).to_be_bytes());
    for origin in challenge.origins.iter().map(ToString::to_string) {
        out.extend((origin.len() as u64).to_be_bytes());
        out.extend(origin.as_bytes());
    }
    out.extend(challenge.time.to_be_bytes());
    out
}

/// The same for a hello.
pub(super) fn hello_bytes(nonce: &Nonce, server: &ServerKey, hello: &Hello) -> Vec<u8> {
    let origin = hello.origin.to_string();
    let (version, time) = (hello.version.to_be_bytes(), hello.time.to_be_bytes());
    [&nonce.as_bytes()[..], server.as_bytes(), &version, &time, origin.as_bytes()].concat()
}

pub(super) fn sign_in(file: &Value) -> Result<usize, String> {
    let ServerMessage::Challenge(challenge) =
        ServerMessage::decode(text(file, "challenge")?).map_err(said)?
    else {
        return Err("challenge is something else".into());
    };
    let ClientMessage::Hello(hello) = ClientMessage::decode(text(file, "hello")?).map_err(said)? else {
        return Err("hello is something else".into());
    };
    let bytes = challenge_bytes(&challenge);
    is_bytes(file, "challenge_signed", &bytes)?;
    signed(challenge.server_key.as_bytes(), "symbolon/1/challenge", &bytes, challenge.sig.0.as_bytes())?;
    let server = SignKey::from_secret(&array(file, "server_secret")?);
    must(server.server() == challenge.server_key, "server_secret is another server's")?;

    let bytes = hello_bytes(&challenge.nonce, &challenge.server_key, &hello);
    is_bytes(file, "hello_signed", &bytes)?;
    signed(hello.session.as_bytes(), "symbolon/1/hello", &bytes, hello.sig.0.as_bytes())?;
    let session = SignKey::from_secret(&array(file, "session_secret")?);
    must(session.session() == hello.session, "session_secret is another session's")?;
    hello.verify(&challenge.nonce, &challenge.server_key).map_err(said)?;
    is(file, "challenge", ServerMessage::Challenge(challenge).encode())?;
    let (Some(life), Some(time)) = (file["turn_life_s"].as_u64(), file["turn_time_s"].as_u64()) else {
        return Err("turn_life_s or turn_time_s is no number".into());
    };
    let granted = super::granted(text(file, "turn_secret")?, life, time, &hello.session);
    is(file, "ice_servers", granted)?;
    is(file, "hello", ClientMessage::Hello(hello).encode())?;
    let messages = each(file, "messages", |vector| {
        let written = text(vector, "text")?;
        let again = match text(vector, "by")? {
            "client" => ClientMessage::decode(written).map_err(said)?.encode(),
            "server" => ServerMessage::decode(written).map_err(said)?.encode(),
            other => return Err(format!("nobody is called {other}")),
        };
        is(vector, "text", again)
    })?;
    Ok(3 + messages)
}

pub(super) fn mesh(file: &Value) -> Result<usize, String> {
    let at = |key: &'static str| move |why: String| format!("{key}: {why}");
    link_list(&file["link_list"]).map_err(at("link_list"))?;
    presence(&file["presence"]).map_err(at("presence"))?;
    let messages = each(file, "messages", |vector| {
        let cbor = bytes(vector, "cbor")?;
        let message = Message::decode(&cbor).map_err(said)?;
        is_bytes(vector, "cbor", message.encode())?;
        is(vector, "urgent", message.urgent())?;
        let kind = match message {
            Message::Know(known) => {
                let chain = |(chain, frames): &(crate::frames::ChainId, u32)| {
                    json!({
                        "author": chain.author.to_string(),
                        "incarnation": chain.incarnation,
                        "frames": frames,
                    })
                };
                let chains: Vec<Value> = known.chains.iter().map(chain).collect();
                is(file, "know", json!({ "heads": ids(&known.heads), "chains": chains }))?;
                "know"
            }
            Message::Pull(_) => "pull",
            Message::Batch { .. } => "batch",
            Message::Push(_) => "push",
            Message::Have(_) => "have",
            Message::Graft(_) => "graft",
            Message::Prune => "prune",
            Message::Relay(_) => "relay",
        };
        is(vector, "kind", kind)
    })?;
    let kinds: std::collections::BTreeSet<&str> =
        list(file, "messages")?.iter().filter_map(|vector| vector["kind"].as_str()).collect();
    must(kinds.len() == 8, "messages lack a kind")?;
    Ok(messages + 2)
}

fn link_list(vector: &Value) -> Result<(), String> {
    let wire = bytes(vector, "wire")?;
    let links = LinkList::decode(parsed(vector, "room")?, &wire).ok_or("it is not taken")?;
    is_text(vector, "device", links.device)?;
    is_text(vector, "session", links.session)?;
    is(vector, "started", links.version.0)?;
    is(vector, "seq", links.version.1)?;
    is(vector, "links", ids(&links.links))?;
    claim(vector, &wire, &links.device, "symbolon/1/links")?;
    must(LinkList::decode(RoomId::from_bytes([9; 32]), &wire).is_none(), "another room takes it")
}

fn presence(vector: &Value) -> Result<(), String> {
    let wire = bytes(vector, "wire")?;
    let shown = Presence::decode(parsed(vector, "room")?, &wire).ok_or("it is not taken")?;
    is_text(vector, "device", shown.chain.author)?;
    is(vector, "incarnation", shown.chain.incarnation)?;
    is(vector, "client_id", shown.chain.client())?;
    is(vector, "started", shown.version.0)?;
    is(vector, "seq", shown.version.1)?;
    is(vector, "clock", shown.clock())?;
    is(vector, "state", shown.state)?;
    claim(vector, &wire, &shown.chain.author, "symbolon/1/presence")?;
    must(Presence::decode(RoomId::from_bytes([9; 32]), &wire).is_none(), "another room takes it")
}

/// What a member says of itself: the body, its signature, and the name under which it is passed on.
fn claim(vector: &Value, wire: &[u8], device: &DeviceId, label: &str) -> Result<(), String> {
    let (body, signatures) = opened(wire)?;
    let [signature] = &signatures[..] else { return Err("it has more than one signature".into()) };
    is_bytes(vector, "body", &body)?;
    is_bytes(vector, "signature", signature)?;
    signed(device.as_bytes(), label, &body, signature)?;
    is_bytes(vector, "item_id", Sha256::digest(wire))
}
