//! A link by each of the two handshakes, with the secrets that the vectors give.

use serde_json::{Value, json};

use super::{array, bytes, each, is, is_bytes, is_text, must, parsed, said, text};
use crate::crypto::Rng;
use crate::crypto::keys::{BoxSecret, DeviceKeys, derive};
use crate::crypto::noise::{Initiator, Pattern, Responder};
use crate::link::{Kind, Signal, prologue};

/// From which the initiator's and the responder's ephemeral secrets come.
pub(super) const EPHEMERAL: [[u8; 32]; 2] = [[0x70; 32], [0x71; 32]];

/// The ephemeral secret that a side makes from its generator: what a Noise library calls `e`.
pub(super) fn ephemeral(seed: [u8; 32]) -> [u8; 32] {
    Rng::from_seed(seed).split().bytes()
}

pub(super) fn handshakes(file: &Value) -> Result<usize, String> {
    each(file, "handshakes", |vector| {
        let sides = [("initiator", EPHEMERAL[0], [1; 32]), ("responder", EPHEMERAL[1], [2; 32])];
        let [here, there] = sides.map(|(name, seed, device)| {
            let side = &vector[name];
            is_bytes(side, "ephemeral_secret", ephemeral(seed))?;
            let keys = DeviceKeys::from_seed(&device);
            is_text(side, "device", keys.id())?;
            is_bytes(side, "box_secret", keys.box_secret.as_bytes())?;
            Ok::<_, String>(keys.box_secret)
        });
        let (here, there) = (here?, there?);
        let sessions = (parsed(&vector["initiator"], "session")?, parsed(&vector["responder"], "session")?);
        let tag = array(vector, "tag")?;
        let bound = prologue(&parsed(vector, "room")?, &sessions.0, &sessions.1, &tag);
        is_bytes(vector, "prologue", &bound)?;
        let pattern = match text(vector, "pattern")? {
            "Noise_IK_25519_ChaChaPoly_SHA256" => Pattern::Ik,
            "Noise_KK_25519_ChaChaPoly_SHA256" => Pattern::Kk,
            _ => return Err("pattern is unknown".into()),
        };
        let (message1, message2) = (bytes(vector, "message1")?, bytes(vector, "message2")?);
        must(message1[..32] == *public(EPHEMERAL[0]).as_slice(), "message1 begins with another key than e")?;
        must(message2[..32] == *public(EPHEMERAL[1]).as_slice(), "message2 begins with another key than e")?;

        let key = here.public();
        let remote = (pattern == Pattern::Kk).then_some(&key);
        let mut rng = Rng::from_seed(EPHEMERAL[1]);
        let (responder, payload) =
            Responder::read(pattern, &there, remote, &bound, &message1, &mut rng).map_err(said)?;
        is_bytes(vector, "payload1", &payload)?;
        must(payload_text(&payload)? == text(vector, "offer")?, "payload1 has another offer")?;
        must(responder.remote() == Some(key), "the initiator has another key")?;
        let payload2 = bytes(vector, "payload2")?;
        let (again, mut channel) = responder.finish(&payload2).map_err(said)?;
        is_bytes(vector, "message2", again)?;
        is_bytes(vector, "handshake_hash", channel.hash())?;
        must(payload_text(&payload2)? == text(vector, "answer")?, "payload2 has another answer")?;

        let sealed = bytes(vector, "sealed_signal")?;
        must(sealed.len() > 17 && sealed[0] == 4 && sealed[1..9] == tag, "sealed_signal begins differently")?;
        let number = sealed[9..17].iter().fold(0, |sum: u64, byte| sum << 8 | u64::from(*byte));
        is(vector, "sealed_number", number)?;
        let plain = channel.open(number, &sealed[17..]).map_err(said)?;
        is_bytes(vector, "sealed_plain", &plain)?;
        must(payload_text(&plain)? == text(vector, "candidate")?, "sealed_plain has another candidate")?;

        let payload = bytes(vector, "payload1")?;
        let mut rng = Rng::from_seed(EPHEMERAL[0]);
        let (initiator, again) =
            Initiator::start(pattern, &here, &there.public(), &bound, &payload, &mut rng).map_err(said)?;
        is_bytes(vector, "message1", again)?;
        let (payload, transport) = initiator.finish(&message2).map_err(said)?;
        is_bytes(vector, "payload2", payload)?;
        let first = if pattern == Pattern::Ik { Kind::FirstIk } else { Kind::FirstKk };
        is_bytes(vector, "signal1", Signal { kind: first, tag, payload: &message1 }.encode())?;
        is_bytes(vector, "signal2", Signal { kind: Kind::Second, tag, payload: &message2 }.encode())?;

        // The first part on the channel is the confirmation: the urgent lane, its last part.
        let hash = bytes(vector, "handshake_hash")?;
        for label in ["initiator", "responder"] {
            let value: [u8; 32] = derive(&hash, &[b"symbolon/1/export/", label.as_bytes()]);
            must(transport.export(label.as_bytes()) == value, "the export is made differently")?;
            is_bytes(vector, &format!("confirm_{label}"), [&[2], &value[..]].concat())?;
        }
        parts(&vector["channel"]).map_err(|why| format!("channel: {why}"))
    })
}

fn public(ephemeral_seed: [u8; 32]) -> [u8; 32] {
    *BoxSecret::from_bytes(ephemeral(ephemeral_seed)).public().as_bytes()
}

/// The text under key 0 of a payload.
fn payload_text(payload: &[u8]) -> Result<String, String> {
    let mut decoder = minicbor::Decoder::new(payload);
    decoder.map().map_err(said)?;
    must(decoder.u8().map_err(said)? == 0, "a payload begins with its text")?;
    decoder.str().map(str::to_owned).map_err(said)
}

fn parts(channel: &Value) -> Result<(), String> {
    let message = bytes(&channel["urgent"], "message")?;
    is_bytes(&channel["urgent"], "part", [&[2], &message[..]].concat())?;
    // 16 KiB and the bulk lane's bit, then the rest and the bit of the last part.
    let parts = json!([{ "header": 1, "payload_bytes": 16384 }, { "header": 3, "payload_bytes": 5 }]);
    is(&channel["bulk"], "parts", parts)?;
    is(&channel["bulk"], "message", "0xab, 16389 times")?;
    is_bytes(channel, "ping", [2, 0])?;
    is_bytes(channel, "pong", [2, 1])
}
