//! The kinds of records and their fields, with their CBOR keys.

use super::{MAX_NAME, Record, RecordError};
use crate::cbor::{self, ByteVec};
use crate::crypto::keys::{BadSignature, BoxKey, Domain, Signature, verify};
use crate::id::{DeviceId, RecordId, RoomId};

pub(super) const GENESIS: u8 = 1;
pub(super) const DEVICE: u8 = 2;
pub(super) const INVITE: u8 = 3;
pub(super) const ACCEPTANCE: u8 = 4;
pub(super) const COUNTERSIGNATURE: u8 = 5;

/// What every record has (PROTOCOL §3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Which kind of record.
    pub kind: u8,
    /// The room; absent in a genesis and in a device record.
    pub room: Option<RoomId>,
    /// The newest membership records its author knew.
    pub prev: Vec<RecordId>,
    /// Milliseconds since 1970 on the author's clock; 0 where a record has no time of its own.
    pub time: u64,
    /// Who signed it.
    pub author: DeviceId,
}

cbor::members! { Head { 0: kind, 1: room, 2: prev or Vec::new(), 3: time or 0, 4: author } }

/// What one kind of record has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// The first record of a room.
    Genesis(Genesis),
    /// Who a device is.
    Device(DeviceRecord),
    /// One or more places in the room.
    Invite(Invite),
    /// A device takes such a place.
    Acceptance(Acceptance),
    /// A member let that device in.
    Countersignature(Countersignature),
    /// A kind newer than this program: kept, relayed, without effect.
    Other,
}

/// The first record of a room; its hash is the room's id (PROTOCOL §3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Genesis {
    /// The founder.
    pub founder: DeviceRecord,
    /// The founder's device record as it was signed.
    pub founder_record: Record,
    /// The room's name.
    pub name: String,
    /// The room's rules.
    pub policy: Policy,
}

pub(super) struct GenesisFields {
    pub(super) kind: u8,
    pub(super) time: u64,
    pub(super) author: DeviceId,
    pub(super) founder: ByteVec,
    pub(super) name: String,
    pub(super) policy: Policy,
    pub(super) nonce: ByteVec,
}

cbor::members! { GenesisFields { 0: kind, 3: time, 4: author, 10: founder, 11: name, 12: policy, 13: nonce } }

/// The rules the founder gives the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// How many users must vouch for a newcomer. This version admits with 1.
    pub vouchers: u32,
}

cbor::members! { Policy { 0: vouchers } }

impl Default for Policy {
    fn default() -> Self {
        Self { vouchers: 1 }
    }
}

/// Who a device is; signed by itself (PROTOCOL §3.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRecord {
    pub(super) kind: u8,
    /// When it was made, in milliseconds since 1970.
    pub time: u64,
    /// The device: its signing key.
    pub device: DeviceId,
    /// The name of its user.
    pub user: String,
    /// The name of the device.
    pub name: String,
    /// Where handshakes to it are sealed to.
    pub box_key: BoxKey,
}

cbor::members! { DeviceRecord { 0: kind, 3: time, 4: device, 10: user, 11: name, 12: box_key } }

/// One or more places in the room (PROTOCOL §3.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    pub(super) kind: u8,
    /// The room.
    pub room: RoomId,
    /// The newest membership records the issuer knew.
    pub prev: Vec<RecordId>,
    /// When it was made.
    pub time: u64,
    /// The issuer.
    pub issuer: DeviceId,
    /// The public key derived from the ticket's seed.
    pub key: [u8; 32],
    /// When it ends, in milliseconds since 1970.
    pub expires: u64,
    /// How many devices may take it.
    pub uses: u32,
    /// The only device that may, if it is bound.
    pub bound: Option<DeviceId>,
}

cbor::members! { Invite { 0: kind, 1: room, 2: prev, 3: time, 4: issuer, 10: key, 11: expires, 12: uses, 13: bound } }

/// A device takes a place (PROTOCOL §3.5). Has no predecessors and no time: a newcomer knows no records yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acceptance {
    /// The room.
    pub room: RoomId,
    /// Which invite.
    pub invite: RecordId,
    /// The newcomer.
    pub device: DeviceRecord,
    body: Vec<u8>,
    by_invite: Signature,
}

pub(super) struct AcceptanceFields {
    pub(super) kind: u8,
    pub(super) room: RoomId,
    pub(super) author: DeviceId,
    pub(super) invite: RecordId,
    pub(super) device: ByteVec,
}

cbor::members! { AcceptanceFields { 0: kind, 1: room, 4: author, 10: invite, 11: device } }

impl Acceptance {
    /// Whether it was signed with the key of this invite: that its author held the ticket.
    pub fn redeems(&self, invite: &Invite) -> Result<(), BadSignature> {
        verify(&invite.key, Domain::Redeem, &self.body, &self.by_invite)
    }
}

/// A member let that device in (PROTOCOL §3.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Countersignature {
    pub(super) kind: u8,
    /// The room.
    pub room: RoomId,
    /// The newest membership records the member knew.
    pub prev: Vec<RecordId>,
    /// When it let the device in.
    pub time: u64,
    /// The member.
    pub author: DeviceId,
    /// What it countersigns.
    pub acceptance: RecordId,
}

cbor::members! { Countersignature { 0: kind, 1: room, 2: prev, 3: time, 4: author, 10: acceptance } }

impl Body {
    pub(super) fn decode(head: &Head, bytes: &[u8], signatures: &[Signature]) -> Result<Self, RecordError> {
        let expected = match head.kind {
            GENESIS | DEVICE | INVITE | COUNTERSIGNATURE => 1..=1,
            ACCEPTANCE => 2..=2,
            _ => 1..=2,
        };
        if !expected.contains(&signatures.len()) {
            return Err(BadSignature.into());
        }
        Ok(match head.kind {
            GENESIS => {
                let fields: GenesisFields = cbor::decode(bytes)?;
                let founder_record = Record::decode(&fields.founder)?;
                let Body::Device(founder) = founder_record.body() else {
                    return Err(RecordError::Field("founder is not a device record"));
                };
                if founder.device != head.author || head.room.is_some() || !head.prev.is_empty() {
                    return Err(RecordError::Field("founder is not its author"));
                }
                check_name(&fields.name)?;
                if fields.policy.vouchers != 1 {
                    return Err(RecordError::Field("policy asks for what this version cannot do"));
                }
                let founder = founder.clone();
                Self::Genesis(Genesis { founder, founder_record, name: fields.name, policy: fields.policy })
            }
            DEVICE => {
                let device: DeviceRecord = cbor::decode(bytes)?;
                check_name(&device.user)?;
                check_name(&device.name)?;
                Self::Device(device)
            }
            INVITE => {
                let invite: Invite = cbor::decode(bytes)?;
                if invite.uses == 0 {
                    return Err(RecordError::Field("number of uses is zero"));
                }
                Self::Invite(invite)
            }
            ACCEPTANCE => {
                let fields: AcceptanceFields = cbor::decode(bytes)?;
                let record = Record::decode(&fields.device)?;
                let Body::Device(device) = record.body() else {
                    return Err(RecordError::Field("newcomer is not a device record"));
                };
                if device.device != head.author {
                    return Err(RecordError::Field("newcomer is not its author"));
                }
                let by_invite = *signatures.get(1).ok_or(BadSignature)?;
                Self::Acceptance(Acceptance {
                    room: fields.room,
                    invite: fields.invite,
                    device: device.clone(),
                    body: bytes.to_vec(),
                    by_invite,
                })
            }
            COUNTERSIGNATURE => Self::Countersignature(cbor::decode(bytes)?),
            _ => Self::Other,
        })
    }
}

pub(super) fn check_name(name: &str) -> Result<(), RecordError> {
    if name.is_empty() || name.len() > MAX_NAME {
        return Err(RecordError::Field("name has 1 to 96 bytes"));
    }
    if name.chars().any(char::is_control) {
        return Err(RecordError::Field("name has a control character"));
    }
    Ok(())
}
