//! What is committed, read as another implementation would: with the documented formulas where they are short.

use ed25519_dalek::{Signature as RawSignature, VerifyingKey};
use hkdf::Hkdf;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::make::{DOMAINS, challenge_bytes, hello_bytes};
use super::records::opened;
use super::{committed, hex, list, number, parsed, unhex, unhex_n};
use crate::admission::{check_proof, read_announcement};
use crate::crypto::keys::{BoxKey, DeviceKeys, RoomSecret, SignKey, invite_key};
use crate::frames::{Frame, Log};
use crate::id::{DeviceId, RecordId, RoomId, SessionId, Topic};
use crate::membership::{Membership, Records};
use crate::mesh::Message;
use crate::record::{Body, Record};
use crate::signal::{ClientMessage, ServerMessage};
use crate::ticket::{Ticket, TicketError};
use crate::topology::LinkList;

fn hkdf(secret: &[u8], info: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    Hkdf::<Sha256>::new(None, secret).expand(info, &mut out).unwrap();
    out
}

fn holds(public: &[u8], label: &str, message: &[u8], signature: &[u8]) -> bool {
    let key = VerifyingKey::from_bytes(public.try_into().unwrap()).unwrap();
    let signed = [label.as_bytes(), &[0], message].concat();
    key.verify_strict(&signed, &RawSignature::from_slice(signature).unwrap()).is_ok()
}

#[test]
fn as5_the_vectors_of_keys_follow_from_the_formulas() {
    let file = committed("keys");
    for vector in list(&file["devices"]) {
        let seed: [u8; 32] = unhex_n(&vector["seed"]);
        assert_eq!(hkdf(&seed, b"symbolon/1/sign")[..], unhex(&vector["sign_secret"]));
        assert_eq!(hkdf(&seed, b"symbolon/1/box")[..], unhex(&vector["box_secret"]));
        let keys = DeviceKeys::from_seed(&seed);
        assert_eq!(keys.id(), parsed::<DeviceId>(&vector["device"]));
        assert_eq!(keys.id().as_bytes()[..], unhex(&vector["sign_public"]));
        assert_eq!(keys.box_secret.public(), BoxKey::from_bytes(unhex_n(&vector["box_public"])));
    }
    for vector in list(&file["invites"]) {
        let seed: [u8; 32] = unhex_n(&vector["seed"]);
        assert_eq!(hkdf(&seed, b"symbolon/1/invite")[..], unhex(&vector["secret"]));
        assert_eq!(invite_key(&seed).public()[..], unhex(&vector["public"]));
    }
    for vector in list(&file["rooms"]) {
        let secret = unhex(&vector["secret"]);
        assert_eq!(&hkdf(&secret, b"symbolon/1/topic"), parsed::<Topic>(&vector["topic"]).as_bytes());
        assert_eq!(hkdf(&secret, b"symbolon/1/announce")[..], unhex(&vector["announce_key"]));
        let proof_key = hkdf(&secret, &[b"symbolon/1/proof", &unhex(&vector["invite_public"])[..]].concat());
        assert_eq!(proof_key[..], unhex(&vector["proof_key"]));
        let (newcomer, member): (SessionId, SessionId) =
            (parsed(&vector["newcomer"]), parsed(&vector["member"]));
        let info = [b"symbolon/1/tag", &newcomer.as_bytes()[..], member.as_bytes()].concat();
        assert_eq!(hkdf(&proof_key, &info)[..8], unhex(&vector["proof_tag"]));
    }
    let signatures = list(&file["signatures"]);
    assert_eq!(signatures.len(), DOMAINS.len());
    for vector in signatures {
        let (public, message) = (unhex(&vector["public"]), unhex(&vector["message"]));
        let label = vector["label"].as_str().unwrap();
        assert!(holds(&public, label, &message, &unhex(&vector["signature"])));
        assert_eq!(SignKey::from_secret(&unhex_n(&vector["secret"])).public()[..], public);
    }
}

#[test]
fn as5_the_vectors_of_records_decode_and_verify() {
    let file = committed("records");
    for vector in list(&file["records"]) {
        let wire = unhex(&vector["wire"]);
        let record = Record::decode(&wire).unwrap();
        assert_eq!(record.id(), parsed::<RecordId>(&vector["id"]));
        assert_eq!(
            Sha256::digest(&wire)[..],
            record.id().as_bytes()[..],
            "the id is of the bytes on the wire"
        );
        let (body, signatures) = opened(&wire);
        assert_eq!(body, unhex(&vector["body"]));
        let author: DeviceId = parsed(&vector["author"]);
        assert!(holds(author.as_bytes(), "symbolon/1/record", &body, &signatures[0]));
        assert_eq!(u64::from(record.head().kind), number(&vector["kind"]));
        let fields = &vector["fields"];
        match record.body() {
            Body::Genesis(genesis) => {
                assert_eq!(record.room(), Some(RoomId::from_bytes(*record.id().as_bytes())));
                assert_eq!(genesis.name, fields["name"]);
                assert_eq!(genesis.founder_record.wire(), unhex(&fields["founder"]));
            }
            Body::Device(device) => {
                assert_eq!((device.user.as_str(), device.name.as_str()), texts(fields, "user", "name"));
                assert_eq!(device.box_key.as_bytes()[..], unhex(&fields["box_key"]));
            }
            Body::Invite(invite) => {
                assert_eq!((invite.expires, u64::from(invite.uses)), numbers(fields, "expires", "uses"));
                assert_eq!(invite.key[..], unhex(&fields["key"]));
                assert_eq!(invite.bound.map(|b| b.to_string()).as_deref(), fields["bound"].as_str());
            }
            Body::Acceptance(acceptance) => {
                assert_eq!(acceptance.invite, parsed::<RecordId>(&fields["invite"]));
                let invite_public = invite_key(&[0x30; 32]).public();
                assert!(holds(&invite_public, "symbolon/1/redeem", &body, &signatures[1]));
            }
            Body::Countersignature(body) => {
                assert_eq!(body.acceptance, parsed::<RecordId>(&fields["acceptance"]));
            }
            Body::Other => assert_eq!(number(&vector["kind"]), 100),
        }
    }
    for vector in list(&file["refused"]) {
        assert!(Record::decode(&unhex(&vector["wire"])).is_err(), "{}", vector["why"]);
    }
}

fn texts<'a>(fields: &'a Value, one: &str, other: &str) -> (&'a str, &'a str) {
    (fields[one].as_str().unwrap(), fields[other].as_str().unwrap())
}

fn numbers(fields: &Value, one: &str, other: &str) -> (u64, u64) {
    (number(&fields[one]), number(&fields[other]))
}

#[test]
fn as5_the_vectors_of_tickets_parse_from_text_and_link() {
    let file = committed("tickets");
    for vector in list(&file["tickets"]) {
        let ticket: Ticket = parsed(&vector["text"]);
        assert_eq!(parsed::<Ticket>(&vector["link"]), ticket);
        let fields = &vector["fields"];
        assert_eq!(ticket.room, parsed::<RoomId>(&fields["room"]));
        assert_eq!(ticket.secret.as_bytes()[..], unhex(&fields["secret"]));
        assert_eq!(ticket.issuer, parsed::<DeviceId>(&fields["issuer"]));
        assert_eq!(ticket.issuer_box.as_bytes()[..], unhex(&fields["issuer_box"]));
        assert_eq!(ticket.invite, parsed::<RecordId>(&fields["invite"]));
        assert_eq!(ticket.seed[..], unhex(&fields["seed"]));
        assert_eq!(ticket.expires, number(&fields["expires"]));
        assert_eq!(ticket.bound.map(|device| device.to_string()).as_deref(), fields["bound"].as_str());
        assert_eq!(ticket.servers.len(), list(&fields["servers"]).len());
        assert_eq!(Sha256::digest(unhex(&vector["cbor"]))[..4], unhex(&vector["checksum"]));
    }
    for vector in list(&file["refused"]) {
        let why = match vector["text"].as_str().unwrap().parse::<Ticket>().unwrap_err() {
            TicketError::NotATicket => "not_a_ticket",
            TicketError::Damaged => "damaged",
            TicketError::Version(_) => "version",
            TicketError::TooLong => "too_long",
        };
        assert_eq!(why, vector["why"], "{}", vector["text"]);
    }
}

#[test]
fn as5_the_vectors_of_sign_in_verify_over_the_documented_bytes() {
    let file = committed("sign-in");
    let challenge = ServerMessage::decode(file["challenge"].as_str().unwrap()).unwrap();
    let hello = ClientMessage::decode(file["hello"].as_str().unwrap()).unwrap();
    let (ServerMessage::Challenge(challenge), ClientMessage::Hello(hello)) = (challenge, hello) else {
        panic!("not a challenge and a hello");
    };
    let signed = unhex(&file["challenge_signed"]);
    assert_eq!(challenge_bytes(&challenge), signed);
    assert!(holds(
        challenge.server_key.as_bytes(),
        "symbolon/1/challenge",
        &signed,
        challenge.sig.0.as_bytes()
    ));
    let signed = unhex(&file["hello_signed"]);
    assert_eq!(hello_bytes(&challenge.nonce, &challenge.server_key, &hello), signed);
    assert!(holds(hello.session.as_bytes(), "symbolon/1/hello", &signed, hello.sig.0.as_bytes()));
    assert_eq!(hello.verify(&challenge.nonce, &challenge.server_key), Ok(()));
}

#[test]
fn as5_the_vectors_of_admission_open_and_admit() {
    let file = committed("admission");
    let secret = RoomSecret::from_bytes(unhex_n(&file["room_secret"]));
    let vector = &file["announcement"];
    let (session, bytes): (SessionId, _) = (parsed(&vector["session"]), unhex(&vector["bytes"]));
    let read = read_announcement(&secret, &secret.topic(), &session, &bytes);
    assert_eq!(read, Some(parsed::<DeviceId>(&vector["device"])));
    assert_eq!(bytes[..24], unhex(&vector["nonce"]));

    let vector = &file["proof"];
    let (newcomer, member): (SessionId, SessionId) = (parsed(&vector["newcomer"]), parsed(&vector["member"]));
    let (records, _) = super::room();
    let membership = Membership::of(&records);
    let checked = |records: &Records, newcomer, member| {
        let proof = unhex(&vector["bytes"]);
        check_proof(records, &membership, &secret, newcomer, member, &proof, super::TIME, |_, _| 0)
    };
    let admitted = checked(&records, &newcomer, &member).unwrap();
    assert_eq!(hex(admitted.acceptance().wire()), vector["acceptance"]);
    assert!(checked(&records, &member, &newcomer).is_err(), "it fits one pair of sessions");
    let signed =
        [&admitted.acceptance().id().as_bytes()[..], newcomer.as_bytes(), member.as_bytes()].concat();
    assert_eq!(signed, unhex(&vector["signed"]));
    // The plain proof is [acceptance, signature].
    let (acceptance, signature) = opened(&unhex(&vector["plain"]));
    assert_eq!(acceptance, admitted.acceptance().wire());
    assert!(holds(admitted.device().as_bytes(), "symbolon/1/proof", &signed, &signature[0]));
}

#[test]
fn as5_the_vectors_of_frames_verify_and_follow_each_other() {
    let file = committed("frames");
    let vectors = list(&file["frames"]);
    let mut log = Log::new(parsed(&vectors[0]["room"]));
    for vector in vectors {
        let wire = unhex(&vector["wire"]);
        let frame = Frame::decode(&wire).unwrap();
        let (body, signature) = opened(&wire);
        assert_eq!(body, unhex(&vector["body"]));
        assert_eq!(Sha256::digest(&body)[..], frame.id().as_bytes()[..], "the id is of the body");
        let author: DeviceId = parsed(&vector["author"]);
        assert!(holds(author.as_bytes(), "symbolon/1/frame", &body, &signature[0]));
        let incarnation = u32::try_from(number(&vector["incarnation"])).unwrap();
        let hash = Sha256::digest([&author.as_bytes()[..], &incarnation.to_be_bytes()].concat());
        let client = u64::from_be_bytes(hash[..8].try_into().unwrap()) >> 11;
        assert_eq!((client, frame.chain().client()), (number(&vector["client_id"]), client));
        assert_eq!(frame.id().to_string(), vector["id"]);
        assert_eq!(u64::from(frame.seq()), number(&vector["seq"]));
        assert_eq!(frame.update()[..], unhex(&vector["update"]));
        assert!(matches!(log.insert(frame, |_| true), crate::frames::Inserted::New(new) if new.len() == 1));
    }
}

#[test]
fn as5_the_vectors_of_the_mesh_decode_to_what_they_say() {
    let file = committed("mesh");
    let vector = &file["link_list"];
    let wire = unhex(&vector["wire"]);
    let links = LinkList::decode(parsed(&vector["room"]), &wire).unwrap();
    assert_eq!(links.device, parsed::<DeviceId>(&vector["device"]));
    assert_eq!(links.session, parsed::<SessionId>(&vector["session"]));
    assert_eq!(links.version, numbers(vector, "started", "seq"));
    assert_eq!(super::ids(&links.links), vector["links"]);
    assert_eq!(Sha256::digest(&wire)[..], unhex(&vector["item_id"]));
    let (body, signature) = opened(&wire);
    assert!(holds(links.device.as_bytes(), "symbolon/1/links", &body, &signature[0]));
    assert!(LinkList::decode(RoomId::from_bytes([9; 32]), &wire).is_none(), "another room's");
    for vector in list(&file["messages"]) {
        let cbor = unhex(&vector["cbor"]);
        let message = Message::decode(&cbor).unwrap();
        assert_eq!(message.encode(), cbor);
        let kind = match message {
            Message::Know(known) => {
                assert_eq!(super::ids(&known.heads), file["know"]["heads"]);
                assert_eq!(known.chains.len(), list(&file["know"]["chains"]).len());
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
        assert_eq!(vector["kind"], kind);
    }
}
