//! How a newcomer proves its ticket, and how member and newcomer check each other (PROTOCOL §6.1, §6.2).
//!
//! ```text
//! newcomer                              member
//! Prover::new(ticket)
//! Prover::prove ──── sealed proof ────► check_proof → Admitted          (anything else: silence)
//! check_member ◄──── Noise IK 1 ─────── (chain of records, offer)
//! ```

use crate::cbor::{self, ByteVec};
use crate::crypto::Rng;
use crate::crypto::keys::{BoxKey, Domain, RoomSecret, SignKey, Signature, derive, verify};
use crate::crypto::seal;
use crate::id::{DeviceId, RecordId, SessionId, Topic};
use crate::membership::{MAX_CHAIN, Membership, Records};
use crate::record::{Author, Body, Record, RecordError};
use crate::sorted::Set;
use crate::ticket::Ticket;

/// Bytes of every announcement, a member's or a newcomer's: a device id and its signature, sealed.
pub const ANNOUNCEMENT: usize = 32 + 64 + seal::OVERHEAD;

/// Bytes in front of a sealed proof, by which a member finds the invite it is for.
pub const TAG: usize = 8;

/// A member's announcement: its device and the device's signature, readable by members, bound to topic and session
/// (PROTOCOL §6.1). Without the signature anybody who ever held a ticket could announce a session as a member's.
pub fn announce(
    secret: &RoomSecret,
    topic: &Topic,
    session: &SessionId,
    device: &SignKey,
    rng: &mut Rng,
) -> Vec<u8> {
    let ad = announce_ad(topic, session);
    let signature = device.sign(Domain::Announce, &ad);
    let plain = [&device.public()[..], signature.as_bytes()].concat();
    seal::seal(&secret.announce_key(), &ad, &plain, rng)
}

/// A newcomer's announcement: random bytes of the same length.
pub fn announce_nothing(rng: &mut Rng) -> Vec<u8> {
    rng.bytes::<ANNOUNCEMENT>().to_vec()
}

/// Whose announcement this is, if a member made it for this topic and session.
pub fn read_announcement(
    secret: &RoomSecret,
    topic: &Topic,
    session: &SessionId,
    announcement: &[u8],
) -> Option<DeviceId> {
    let ad = announce_ad(topic, session);
    let plain = seal::open(&secret.announce_key(), &ad, announcement)?;
    let (device, signature) = plain.split_first_chunk::<32>()?;
    let signature = Signature::from_bytes(signature.try_into().ok()?);
    verify(device, Domain::Announce, &ad, &signature).ok()?;
    Some(DeviceId::from_bytes(*device))
}

fn announce_ad(topic: &Topic, session: &SessionId) -> Vec<u8> {
    [&topic.as_bytes()[..], session.as_bytes()].concat()
}

/// The newcomer's side: holds the ticket and the acceptance made with it.
#[derive(Debug)]
pub struct Prover {
    acceptance: Record,
    key: [u8; 32],
    sign: SignKey,
}

struct Proof {
    acceptance: ByteVec,
    signature: Signature,
}

cbor::elements! { Proof { 0: acceptance, 1: signature } }

impl Prover {
    /// Accepts the ticket's invite for the device of `author`.
    pub fn new(ticket: &Ticket, author: &Author) -> Result<Self, RecordError> {
        let invite_key = ticket.invite_key();
        let acceptance = author.acceptance(ticket.room, ticket.invite, &invite_key)?;
        let key = ticket.secret.proof_key(&invite_key.public());
        Ok(Self { acceptance, key, sign: author.keys().sign.clone() })
    }

    /// The lasting record.
    pub fn acceptance(&self) -> &Record {
        &self.acceptance
    }

    /// A proof from session `own` to the member at session `to`, worthless anywhere else.
    pub fn prove(&self, own: &SessionId, to: &SessionId, rng: &mut Rng) -> Vec<u8> {
        let signature = self.sign.sign(Domain::Proof, &signed(&self.acceptance, own, to));
        let proof = Proof { acceptance: self.acceptance.wire().to_vec().into(), signature };
        let mut out = tag(&self.key, own, to).to_vec();
        out.extend(seal::seal(&self.key, &sessions(own, to), &cbor::encode(&proof), rng));
        out
    }
}

/// A newcomer that proved a ticket. Only [`check_proof`] makes one; only with one does a link to a newcomer begin.
#[derive(Debug, Clone)]
pub struct Admitted {
    device: DeviceId,
    box_key: BoxKey,
    acceptance: Record,
    invite: RecordId,
}

impl Admitted {
    /// The newcomer.
    pub fn device(&self) -> DeviceId {
        self.device
    }

    /// Where to seal the handshake to.
    pub fn box_key(&self) -> BoxKey {
        self.box_key
    }

    /// The record to countersign.
    pub fn acceptance(&self) -> &Record {
        &self.acceptance
    }

    /// The invite it takes.
    pub fn invite(&self) -> RecordId {
        self.invite
    }
}

/// Why a proof is met with silence. Never told to anyone; for tests and counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// No open invite has this tag, or the seal does not open.
    NoSuchInvite,
    /// The inside is not a proof, or a signature does not hold.
    Malformed,
    /// The invite has ended.
    Expired,
    /// No place is left.
    Used,
    /// The invite is bound to another device.
    NotForThisDevice,
    /// Whoever issued the invite is no member.
    IssuerNotMember,
    /// The chain of records that the newcomer must be shown would be too long.
    ChainTooLong,
}

/// Checks a proof from `newcomer` to `own`, our session (PROTOCOL §6.2).
///
/// `reserved` tells how many places of an invite are promised to devices that are being let in right now.
#[allow(clippy::too_many_arguments)]
pub fn check_proof(
    records: &Records,
    membership: &Membership,
    secret: &RoomSecret,
    newcomer: &SessionId,
    own: &SessionId,
    proof: &[u8],
    unix_ms: u64,
    reserved: impl Fn(&RecordId, &DeviceId) -> u32,
) -> Result<Admitted, Rejection> {
    if proof.len() < TAG {
        return Err(Rejection::Malformed);
    }
    let (tag_bytes, sealed) = proof.split_at(TAG);
    let (id, invite, key) = records
        .iter()
        .filter_map(|record| match record.body() {
            Body::Invite(invite) => Some((record.id(), invite, secret.proof_key(&invite.key))),
            _ => None,
        })
        .find(|(_, _, key)| tag(key, newcomer, own) == tag_bytes)
        .ok_or(Rejection::NoSuchInvite)?;
    let plain = seal::open(&key, &sessions(newcomer, own), sealed).ok_or(Rejection::NoSuchInvite)?;
    let proof: Proof = cbor::decode(&plain).map_err(|_| Rejection::Malformed)?;
    let record = Record::decode(&proof.acceptance).map_err(|_| Rejection::Malformed)?;
    let Body::Acceptance(acceptance) = record.body() else { return Err(Rejection::Malformed) };
    if acceptance.invite != id || acceptance.room != records.room() || acceptance.redeems(invite).is_err() {
        return Err(Rejection::Malformed);
    }
    let device = acceptance.device.device;
    verify(device.as_bytes(), Domain::Proof, &signed(&record, newcomer, own), &proof.signature)
        .map_err(|_| Rejection::Malformed)?;
    if invite.bound.is_some_and(|bound| bound != device) {
        return Err(Rejection::NotForThisDevice);
    }
    if membership.member(&invite.issuer).is_none() {
        return Err(Rejection::IssuerNotMember);
    }
    // A device that took a place of this invite has it, even after the invite has ended. It may come with another
    // acceptance than the first time, if it lost what it had stored.
    if !membership.has_place(&id, &device) {
        if unix_ms >= invite.expires {
            return Err(Rejection::Expired);
        }
        let left = membership.places_left(&id, invite).saturating_sub(reserved(&id, &device));
        if left == 0 {
            return Err(Rejection::Used);
        }
    }
    Ok(Admitted { device, box_key: acceptance.device.box_key, acceptance: record.clone(), invite: id })
}

/// The records a member shows to a newcomer: its own chain, and the invite with its issuer's chain.
pub fn introduction(
    records: &Records,
    membership: &Membership,
    member: &DeviceId,
    invite: &RecordId,
) -> Result<Vec<Record>, Rejection> {
    let issuer = records.get(invite).map(Record::author).ok_or(Rejection::NoSuchInvite)?;
    let mut out = membership.chain(records, member).ok_or(Rejection::IssuerNotMember)?;
    out.extend(membership.chain(records, &issuer).ok_or(Rejection::IssuerNotMember)?);
    out.extend(records.get(invite).cloned());
    let mut seen = Set::new();
    out.retain(|record| seen.insert(record.id()));
    if out.iter().map(|record| record.wire().len()).sum::<usize>() > MAX_CHAIN {
        return Err(Rejection::ChainTooLong);
    }
    Ok(out)
}

/// A member did not show what the ticket asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAMember {
    /// The records do not begin with the genesis the ticket names.
    #[error("the records are of another room")]
    OtherRoom,
    /// No chain of records leads from the genesis to the device.
    #[error("no chain of vouchers leads to the device")]
    NoChain,
    /// The handshake's static key is not that member's box key.
    #[error("the handshake is not by the member")]
    WrongKey,
    /// The ticket's own invite is missing.
    #[error("the ticket's invite is missing")]
    NoInvite,
}

/// What a newcomer checks of the first handshake message (PROTOCOL §6.2, AD12): that `shown` begins with the genesis
/// its ticket names, and leads to a member whose box key is the handshake's `static_key`. Returns the room's records
/// with the genesis alone; the others come over the mesh, each with all its predecessors.
pub fn check_member(
    ticket: &Ticket,
    shown: &[Record],
    device: &DeviceId,
    static_key: &BoxKey,
) -> Result<Records, NotAMember> {
    let genesis = shown.first().cloned().ok_or(NotAMember::OtherRoom)?;
    if genesis.room() != Some(ticket.room) {
        return Err(NotAMember::OtherRoom);
    }
    let records = Records::new(genesis.clone()).ok_or(NotAMember::OtherRoom)?;
    if shown.iter().any(|record| record.room() != Some(ticket.room)) {
        return Err(NotAMember::OtherRoom);
    }
    let invite = shown.iter().find(|record| record.id() == ticket.invite).ok_or(NotAMember::NoInvite)?;
    if invite.author() != ticket.issuer {
        return Err(NotAMember::NoInvite);
    }
    let membership = Membership::of(&Records::unlinked(genesis, shown));
    if membership.box_key(device) != Some(*static_key) {
        return Err(if membership.member(device).is_some() {
            NotAMember::WrongKey
        } else {
            NotAMember::NoChain
        });
    }
    if membership.box_key(&ticket.issuer) != Some(ticket.issuer_box) {
        return Err(NotAMember::NoChain);
    }
    Ok(records)
}

fn sessions(newcomer: &SessionId, member: &SessionId) -> Vec<u8> {
    [&newcomer.as_bytes()[..], member.as_bytes()].concat()
}

fn signed(acceptance: &Record, newcomer: &SessionId, member: &SessionId) -> Vec<u8> {
    [&acceptance.id().as_bytes()[..], newcomer.as_bytes(), member.as_bytes()].concat()
}

fn tag(key: &[u8; 32], newcomer: &SessionId, member: &SessionId) -> [u8; TAG] {
    derive(key, &[b"symbolon/1/tag", newcomer.as_bytes(), member.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Somebody who ever held a ticket has the room secret, and no member's key.
    #[test]
    fn ad3_nobody_announces_a_session_as_another_device() {
        let mut rng = Rng::from_seed([1; 32]);
        let (secret, topic) = (RoomSecret::from_bytes([2; 32]), Topic::from_bytes([3; 32]));
        let (member, thief) = (SignKey::from_secret(&[4; 32]), SignKey::from_secret(&[5; 32]));
        let (session, other) = (SessionId::from_bytes([6; 32]), SessionId::from_bytes([7; 32]));
        let genuine = announce(&secret, &topic, &session, &member, &mut rng);
        assert_eq!(read_announcement(&secret, &topic, &session, &genuine), Some(member.device()));
        assert_eq!(read_announcement(&secret, &topic, &other, &genuine), None, "moved to another session");
        let ad = announce_ad(&topic, &session);
        let signature = thief.sign(Domain::Announce, &ad);
        let plain = [&member.public()[..], signature.as_bytes()].concat();
        let forged = seal::seal(&secret.announce_key(), &ad, &plain, &mut rng);
        assert_eq!(read_announcement(&secret, &topic, &session, &forged), None, "signed by another device");
        // What an honest member announced elsewhere, sealed again for this session.
        let opened = seal::open(&secret.announce_key(), &ad, &genuine).unwrap();
        let again = seal::seal(&secret.announce_key(), &announce_ad(&topic, &other), &opened, &mut rng);
        assert_eq!(read_announcement(&secret, &topic, &other, &again), None, "lifted for another session");
    }
}
