//! Signals between two sessions, and the handshake's first message as its receiver sees it (PROTOCOL §6.3).

use super::MAX_SDP;
use crate::cbor::{self, ByteVec};
use crate::crypto::Rng;
use crate::crypto::keys::{BoxKey, BoxSecret};
use crate::crypto::noise::{HandshakeError, Pattern, Responder};
use crate::id::{RoomId, SessionId};
use crate::record::Record;

/// What a signal carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A newcomer's proof of a ticket. Has no tag.
    Proof,
    /// Noise IK, message 1.
    FirstIk,
    /// Noise KK, message 1.
    FirstKk,
    /// Message 2 of either.
    Second,
    /// Sealed with the finished handshake: a number and a candidate.
    Sealed,
}

/// The body of a signal: one byte of kind, eight of tag (but for a proof), the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signal<'a> {
    /// What it carries.
    pub kind: Kind,
    /// Which attempt at a link it belongs to, chosen at random by the initiator.
    pub tag: [u8; 8],
    /// The sealed rest.
    pub payload: &'a [u8],
}

impl<'a> Signal<'a> {
    /// Reads a body; `None` if it is none.
    pub fn decode(body: &'a [u8]) -> Option<Self> {
        let (&kind, rest) = body.split_first()?;
        let kind = match kind {
            0 => return Some(Self { kind: Kind::Proof, tag: [0; 8], payload: rest }),
            1 => Kind::FirstIk,
            2 => Kind::FirstKk,
            3 => Kind::Second,
            4 => Kind::Sealed,
            _ => return None,
        };
        let (tag, payload) = rest.split_first_chunk::<8>()?;
        Some(Self { kind, tag: *tag, payload })
    }

    /// The body as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let kind = match self.kind {
            Kind::Proof => return [&[0][..], self.payload].concat(),
            Kind::FirstIk => 1,
            Kind::FirstKk => 2,
            Kind::Second => 3,
            Kind::Sealed => 4,
        };
        [&[kind][..], &self.tag, self.payload].concat()
    }
}

/// What both sides bind a handshake to: version, room, both sessions, the attempt's tag.
pub fn prologue(room: &RoomId, initiator: &SessionId, responder: &SessionId, tag: &[u8; 8]) -> Vec<u8> {
    [b"symbolon/1", &room.as_bytes()[..], initiator.as_bytes(), responder.as_bytes(), tag].concat()
}

/// The payload of message 1.
pub(super) struct First {
    sdp: String,
    /// IK only: what shows the initiator to be a member.
    records: Vec<ByteVec>,
}

cbor::members! { First { 0: sdp, 1: records or Vec::new() } }

impl First {
    pub(super) fn new(sdp: String, records: &[Record]) -> Self {
        Self { sdp, records: records.iter().map(|record| record.wire().to_vec().into()).collect() }
    }
}

/// The payload of message 2.
pub(super) struct Second {
    pub(super) sdp: String,
}

cbor::members! { Second { 0: sdp } }

/// A first message that opened. Whether its sender may link with us is for the caller to check.
pub struct Incoming {
    pub(super) responder: Responder,
    pub(super) tag: [u8; 8],
    pub(super) pattern: Pattern,
    pub(super) sdp: String,
    records: Vec<Record>,
    remote: BoxKey,
}

impl Incoming {
    /// Opens a first message sealed to `own`. For KK, `remote` is the key of the member it must come from.
    pub fn read(
        own: &BoxSecret,
        remote: Option<&BoxKey>,
        prologue: &[u8],
        tag: [u8; 8],
        message: &[u8],
        rng: &mut Rng,
    ) -> Result<Self, HandshakeError> {
        let pattern = if remote.is_some() { Pattern::Kk } else { Pattern::Ik };
        let (responder, plain) = Responder::read(pattern, own, remote, prologue, message, rng)?;
        let First { sdp, records } = cbor::decode(&plain).map_err(|_| HandshakeError)?;
        let records: Result<Vec<Record>, _> = records.iter().map(|wire| Record::decode(wire)).collect();
        let records = records.map_err(|_| HandshakeError)?;
        if sdp.len() > MAX_SDP {
            return Err(HandshakeError);
        }
        let remote = responder.remote().ok_or(HandshakeError)?;
        Ok(Self { responder, tag, pattern, sdp, records, remote })
    }

    /// What the initiator shows of itself.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The initiator's proven static key.
    pub fn remote(&self) -> &BoxKey {
        &self.remote
    }
}
