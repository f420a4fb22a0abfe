//! What a room is made of: records, who is a member by them, how one is admitted, and frames.

use rand_core::RngCore as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::read::signed;
use super::{array, bytes, each, hex, ids, is, is_bytes, is_text, list, must, opened, parsed, said, text};
use crate::admission::{check_proof, read_announcement};
use crate::crypto::keys::{DeviceKeys, RoomSecret, invite_key};
use crate::crypto::{Rng, seal};
use crate::frames::{Frame, Inserted, Log};
use crate::id::{DeviceId, FrameId, RoomId, SessionId};
use crate::membership::{Membership, Records};
use crate::record::{Body, Record};

/// The moment of everything in the vectors.
const TIME: u64 = 1_800_000_000_000;

pub(super) fn records(file: &Value) -> Result<usize, String> {
    let records = each(file, "records", |vector| {
        let wire = bytes(vector, "wire")?;
        let record = Record::decode(&wire).map_err(said)?;
        is_text(vector, "id", record.id())?;
        must(record.id().as_bytes()[..] == Sha256::digest(&wire)[..], "the id is of the bytes on the wire")?;
        let (body, signatures) = opened(&wire)?;
        is_bytes(vector, "body", &body)?;
        is(vector, "signatures", signatures.iter().map(hex).collect::<Value>())?;
        is_text(vector, "author", record.author())?;
        signed(record.author().as_bytes(), "symbolon/1/record", &body, &signatures[0])?;
        is(vector, "kind", record.head().kind)?;
        is(vector, "fields", fields(&record, &body)?)?;
        if matches!(record.body(), Body::Acceptance(_)) {
            let [_, by_invite] = &signatures[..] else {
                return Err("an acceptance has two signatures".into());
            };
            signed(&invite_key(&[0x30; 32]).public(), "symbolon/1/redeem", &body, by_invite)?;
        }
        Ok(())
    })?;
    let refused = each(file, "refused", |vector| {
        must(Record::decode(&bytes(vector, "wire")?).is_err(), "it is taken")
    })?;
    Ok(records + refused)
}

fn fields(record: &Record, body: &[u8]) -> Result<Value, String> {
    Ok(match record.body() {
        Body::Genesis(genesis) => {
            must(record.room() == Some(RoomId::from_bytes(*record.id().as_bytes())), "the room is another")?;
            json!({
                "time": record.head().time,
                "name": genesis.name,
                "vouchers": genesis.policy.vouchers,
                "founder": hex(genesis.founder_record.wire()),
                "nonce": hex(at_key(body, 13)?.bytes().map_err(said)?),
            })
        }
        Body::Device(device) => json!({
            "time": device.time,
            "user": device.user,
            "name": device.name,
            "box_key": hex(device.box_key.as_bytes()),
        }),
        Body::Invite(invite) => {
            let mut fields = json!({
                "room": invite.room.to_string(),
                "prev": ids(&invite.prev),
                "time": invite.time,
                "key": hex(invite.key),
                "expires": invite.expires,
                "uses": invite.uses,
            });
            if let Some(bound) = invite.bound {
                fields["bound"] = bound.to_string().into();
            }
            fields
        }
        Body::Acceptance(acceptance) => json!({
            "room": acceptance.room.to_string(),
            "invite": acceptance.invite.to_string(),
            "device": hex(at_key(body, 11)?.bytes().map_err(said)?),
        }),
        Body::Countersignature(counter) => json!({
            "room": counter.room.to_string(),
            "prev": ids(&counter.prev),
            "time": counter.time,
            "acceptance": counter.acceptance.to_string(),
        }),
        Body::Other => json!({
            "room": record.room().map(|room| room.to_string()),
            "prev": ids(&record.head().prev),
            "time": record.head().time,
            "200": at_key(body, 200)?.str().map_err(said)?,
        }),
    })
}

/// A decoder at the value under this key of a body.
fn frame_id(at: &mut minicbor::Decoder<'_>) -> Result<FrameId, String> {
    let bytes: [u8; 32] = at.bytes().map_err(said)?.try_into().map_err(said)?;
    Ok(FrameId::from_bytes(bytes))
}

fn at_key(body: &[u8], key: u8) -> Result<minicbor::Decoder<'_>, String> {
    let mut decoder = minicbor::Decoder::new(body);
    for _ in 0..decoder.map().map_err(said)?.unwrap_or_default() {
        if decoder.u8().map_err(said)? == key {
            return Ok(decoder);
        }
        decoder.skip().map_err(said)?;
    }
    Err(format!("the body has no key {key}"))
}

fn decoded(vector: &Value, key: &str) -> Result<Vec<Record>, String> {
    let wires = list(vector, key)?.iter().map(|wire| wire.as_str().and_then(super::unhex));
    let wires = wires.map(|wire| wire.ok_or_else(|| format!("{key} are not hexadecimal")));
    wires.map(|wire| Record::decode(&wire?).map_err(said)).collect()
}

/// That they hold in whatever order the records come.
pub(super) fn membership(file: &Value) -> Result<usize, String> {
    let mut rng = Rng::from_seed([0; 32]);
    each(file, "cases", |case| {
        let decoded = decoded(case, "records")?;
        let (genesis, rest) = decoded.split_first().ok_or("there are no records")?;
        for _ in 0..20 {
            let mut rest = rest.to_vec();
            for at in (1..rest.len()).rev() {
                rest.swap(at, (rng.next_u64() % (at as u64 + 1)) as usize);
            }
            let mut records = Records::new(genesis.clone()).ok_or("the first is no genesis")?;
            for record in rest {
                records.insert(record);
            }
            let membership = Membership::of(&records);
            let members = membership.members().map(|(device, member)| {
                json!({
                    "device": device.to_string(),
                    "invited_by": member.invited_by.map(|by| by.to_string()),
                    "rank": member.rank,
                })
            });
            is(case, "members", members.collect::<Value>())?;
            let admitted: Vec<DeviceId> = (1..=4)
                .map(|n| DeviceKeys::from_seed(&[n; 32]).id())
                .filter(|device| membership.was_admitted(device))
                .collect();
            is(case, "ever_admitted", ids(&admitted))?;
        }
        Ok(())
    })
}

pub(super) fn admission(file: &Value) -> Result<usize, String> {
    let secret = RoomSecret::from_bytes(array(file, "room_secret")?);
    let at = |key: &'static str| move |why: String| format!("{key}: {why}");
    announcement(&file["announcement"], &secret).map_err(at("announcement"))?;
    proof(&file["proof"], &secret).map_err(at("proof"))?;
    Ok(2)
}

fn announcement(vector: &Value, secret: &RoomSecret) -> Result<(), String> {
    let (session, sealed): (SessionId, _) = (parsed(vector, "session")?, bytes(vector, "bytes")?);
    let device = read_announcement(secret, &secret.topic(), &session, &sealed).ok_or("it does not open")?;
    is_text(vector, "device", device)?;
    is_bytes(vector, "nonce", &sealed[..24])
}

fn proof(vector: &Value, secret: &RoomSecret) -> Result<(), String> {
    let (newcomer, member): (SessionId, SessionId) = (parsed(vector, "newcomer")?, parsed(vector, "member")?);
    let sealed = bytes(vector, "bytes")?;
    let decoded = decoded(vector, "records")?;
    let (genesis, rest) = decoded.split_first().ok_or("there are no records")?;
    let mut records = Records::new(genesis.clone()).ok_or("the first is no genesis")?;
    for record in rest {
        records.insert(record.clone());
    }
    let membership = Membership::of(&records);
    let check = |newcomer, member| {
        check_proof(&records, &membership, secret, newcomer, member, &sealed, TIME, |_, _| 0)
    };
    let admitted = check(&newcomer, &member).map_err(|why| format!("it is rejected: {why:?}"))?;
    must(check(&member, &newcomer).is_err(), "it fits another pair of sessions")?;
    is_bytes(vector, "acceptance", admitted.acceptance().wire())?;
    let device = DeviceKeys::from_seed(&array(vector, "device_seed")?).id();
    must(admitted.device() == device, "device_seed is another device's")?;
    let bytes_signed =
        [&admitted.acceptance().id().as_bytes()[..], newcomer.as_bytes(), member.as_bytes()].concat();
    is_bytes(vector, "signed", &bytes_signed)?;

    let key = secret.proof_key(&invite_key(&array(vector, "invite_seed")?).public());
    is_bytes(vector, "tag", &sealed[..8])?;
    is_bytes(vector, "nonce", &sealed[8..32])?;
    is_bytes(vector, "signal", [&[0], &sealed[..]].concat())?;
    let sessions = [&newcomer.as_bytes()[..], member.as_bytes()].concat();
    let plain = seal::open(&key, &sessions, &sealed[8..]).ok_or("it does not open with invite_seed's key")?;
    is_bytes(vector, "plain", &plain)?;
    // The plain proof is [acceptance, signature].
    let (acceptance, signatures) = opened(&plain)?;
    must(acceptance == admitted.acceptance().wire(), "plain has another acceptance")?;
    signed(device.as_bytes(), "symbolon/1/proof", &bytes_signed, &signatures[0])
}

pub(super) fn frames(file: &Value) -> Result<usize, String> {
    let first = list(file, "frames")?.first().ok_or("there are no frames")?;
    let room: RoomId = parsed(first, "room")?;
    let mut log = Log::new(room);
    let frames = each(file, "frames", |vector| {
        let wire = bytes(vector, "wire")?;
        let frame = Frame::decode(&wire).map_err(said)?;
        let (body, signatures) = opened(&wire)?;
        is_bytes(vector, "body", &body)?;
        is_bytes(vector, "signature", &signatures[0])?;
        is_text(vector, "id", frame.id())?;
        must(frame.id().as_bytes()[..] == Sha256::digest(&body)[..], "the id is of the body")?;
        is_text(vector, "room", frame.room())?;
        let (author, incarnation) = (frame.chain().author, frame.chain().incarnation);
        is_text(vector, "author", author)?;
        signed(author.as_bytes(), "symbolon/1/frame", &body, &signatures[0])?;
        is(vector, "incarnation", incarnation)?;
        let hash = Sha256::digest([&author.as_bytes()[..], &incarnation.to_be_bytes()].concat());
        let first = hash[..8].iter().fold(0, |sum: u64, byte| sum << 8 | u64::from(*byte));
        is(vector, "client_id", first >> 11)?;
        must(frame.chain().client() == first >> 11, "the client id is made differently")?;
        is(vector, "seq", frame.seq())?;
        is_bytes(vector, "update", frame.update())?;
        let prev = at_key(&body, 4).ok().map(|mut at| frame_id(&mut at)).transpose()?;
        is(vector, "prev", prev.map(|id| id.to_string()))?;
        let mut listed = at_key(&body, 5)?;
        let count = listed.array().map_err(said)?.unwrap_or_default();
        let seen = (0..count).map(|_| frame_id(&mut listed)).collect::<Result<Vec<_>, _>>()?;
        is(vector, "seen", ids(&seen))?;
        match log.insert(frame, |_| true) {
            Inserted::New(new) if new.len() == 1 => Ok(()),
            other => Err(format!("it is not taken: {other:?}")),
        }
    })?;
    text(file, "text_main").map(|_| frames)
}
