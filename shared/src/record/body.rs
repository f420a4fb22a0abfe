//! The kinds of records and their fields, with their CBOR keys.

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use super::{MAX_NAME, Record, RecordError};
use crate::cbor;
use crate::crypto::keys::{BadSignature, BoxKey, Domain, Signature, verify};
use crate::id::{DeviceId, RecordId, RoomId};

pub(super) const GENESIS: u8 = 1;
pub(super) const DEVICE: u8 = 2;
pub(super) const INVITE: u8 = 3;
pub(super) const ACCEPTANCE: u8 = 4;
pub(super) const COUNTERSIGNATURE: u8 = 5;

/// What every record has (PROTOCOL §3.1).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Head {
    /// Which kind of record.
    #[n(0)]
    pub kind: u8,
    /// The room; absent in a genesis and in a device record.
    #[n(1)]
    pub room: Option<RoomId>,
    /// The newest membership records its author knew.
    #[n(2)]
    #[cbor(default)]
    pub prev: Vec<RecordId>,
    /// Milliseconds since 1970 on the author's clock; 0 where a record has no time of its own.
    #[n(3)]
    #[cbor(default)]
    pub time: u64,
    /// Who signed it.
    #[n(4)]
    pub author: DeviceId,
}

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

#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct GenesisFields {
    #[n(0)]
    pub(super) kind: u8,
    #[n(3)]
    pub(super) time: u64,
    #[n(4)]
    pub(super) author: DeviceId,
    #[n(10)]
    pub(super) founder: ByteVec,
    #[n(11)]
    pub(super) name: String,
    #[n(12)]
    pub(super) policy: Policy,
    #[n(13)]
    pub(super) nonce: ByteVec,
}

/// The rules the founder gives the room.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Policy {
    /// How many users must vouch for a newcomer. This version admits with 1.
    #[n(0)]
    pub vouchers: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self { vouchers: 1 }
    }
}

/// Who a device is; signed by itself (PROTOCOL §3.3).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct DeviceRecord {
    #[n(0)]
    pub(super) kind: u8,
    /// When it was made, in milliseconds since 1970.
    #[n(3)]
    pub time: u64,
    /// The device: its signing key.
    #[n(4)]
    pub device: DeviceId,
    /// The name of its user.
    #[n(10)]
    pub user: String,
    /// The name of the device.
    #[n(11)]
    pub name: String,
    /// Where handshakes to it are sealed to.
    #[n(12)]
    pub box_key: BoxKey,
}

/// One or more places in the room (PROTOCOL §3.4).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Invite {
    #[n(0)]
    pub(super) kind: u8,
    /// The room.
    #[n(1)]
    pub room: RoomId,
    /// The newest membership records the issuer knew.
    #[n(2)]
    pub prev: Vec<RecordId>,
    /// When it was made.
    #[n(3)]
    pub time: u64,
    /// The issuer.
    #[n(4)]
    pub issuer: DeviceId,
    /// The public key derived from the ticket's seed.
    #[cbor(n(10), with = "minicbor::bytes")]
    pub key: [u8; 32],
    /// When it ends, in milliseconds since 1970.
    #[n(11)]
    pub expires: u64,
    /// How many devices may take it.
    #[n(12)]
    pub uses: u32,
    /// The only device that may, if it is bound.
    #[n(13)]
    pub bound: Option<DeviceId>,
}

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

#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct AcceptanceFields {
    #[n(0)]
    pub(super) kind: u8,
    #[n(1)]
    pub(super) room: RoomId,
    #[n(4)]
    pub(super) author: DeviceId,
    #[n(10)]
    pub(super) invite: RecordId,
    #[n(11)]
    pub(super) device: ByteVec,
}

impl Acceptance {
    /// Whether it was signed with the key of this invite: that its author held the ticket.
    pub fn redeems(&self, invite: &Invite) -> Result<(), BadSignature> {
        verify(&invite.key, Domain::Redeem, &self.body, &self.by_invite)
    }
}

/// A member let that device in (PROTOCOL §3.6).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Countersignature {
    #[n(0)]
    pub(super) kind: u8,
    /// The room.
    #[n(1)]
    pub room: RoomId,
    /// The newest membership records the member knew.
    #[n(2)]
    pub prev: Vec<RecordId>,
    /// When it let the device in.
    #[n(3)]
    pub time: u64,
    /// The member.
    #[n(4)]
    pub author: DeviceId,
    /// What it countersigns.
    #[n(10)]
    pub acceptance: RecordId,
}

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
