//! Writing records.

use super::body::{
    ACCEPTANCE, AcceptanceFields, COUNTERSIGNATURE, Countersignature, DEVICE, DeviceRecord, GENESIS,
    GenesisFields, INVITE, Invite, Policy, check_name,
};
use super::{Record, RecordError};
use crate::cbor;
use crate::crypto::Rng;
use crate::crypto::keys::{DeviceKeys, Domain, SignKey};
use crate::id::{DeviceId, RecordId, RoomId};

/// A device as an author of records.
#[derive(Debug, Clone)]
pub struct Author {
    keys: DeviceKeys,
    record: Record,
}

impl Author {
    /// A device and its freshly signed device record. `user` and `name` have 1 to 96 bytes.
    pub fn new(keys: DeviceKeys, user: &str, name: &str, time: u64) -> Result<Self, RecordError> {
        check_name(user)?;
        check_name(name)?;
        let body = cbor::encode(&DeviceRecord {
            kind: DEVICE,
            time,
            device: keys.id(),
            user: user.to_owned(),
            name: name.to_owned(),
            box_key: keys.box_secret.public(),
        });
        let record = sign(&keys.sign, body)?;
        Ok(Self { keys, record })
    }

    /// The device's keys.
    pub fn keys(&self) -> &DeviceKeys {
        &self.keys
    }

    /// The device.
    pub fn device(&self) -> DeviceId {
        self.keys.id()
    }

    /// Its device record.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Founds a room.
    pub fn genesis(
        &self,
        name: &str,
        policy: Policy,
        time: u64,
        rng: &mut Rng,
    ) -> Result<Record, RecordError> {
        check_name(name)?;
        let body = cbor::encode(&GenesisFields {
            kind: GENESIS,
            time,
            author: self.device(),
            founder: self.record.wire().to_vec().into(),
            name: name.to_owned(),
            policy,
            nonce: rng.bytes::<16>().to_vec().into(),
        });
        sign(&self.keys.sign, body)
    }

    /// Offers `uses` places to whoever holds the seed of `key`.
    #[allow(clippy::too_many_arguments)]
    pub fn invite(
        &self,
        room: RoomId,
        prev: Vec<RecordId>,
        time: u64,
        key: [u8; 32],
        expires: u64,
        uses: u32,
        bound: Option<DeviceId>,
    ) -> Result<Record, RecordError> {
        let issuer = self.device();
        let invite = Invite { kind: INVITE, room, prev, time, issuer, key, expires, uses, bound };
        sign(&self.keys.sign, cbor::encode(&invite))
    }

    /// Takes a place: signed by the device and by the invite's key.
    pub fn acceptance(&self, room: RoomId, invite: RecordId, key: &SignKey) -> Result<Record, RecordError> {
        let device = self.record.wire().to_vec().into();
        let author = self.device();
        let body = cbor::encode(&AcceptanceFields { kind: ACCEPTANCE, room, author, invite, device });
        let own = self.keys.sign.sign(Domain::Record, &body);
        let by_invite = key.sign(Domain::Redeem, &body);
        Record::seal(body, vec![own, by_invite])
    }

    /// Lets a device in.
    pub fn countersignature(
        &self,
        room: RoomId,
        prev: Vec<RecordId>,
        time: u64,
        acceptance: RecordId,
    ) -> Result<Record, RecordError> {
        let author = self.device();
        let body = Countersignature { kind: COUNTERSIGNATURE, room, prev, time, author, acceptance };
        sign(&self.keys.sign, cbor::encode(&body))
    }
}

fn sign(key: &SignKey, body: Vec<u8>) -> Result<Record, RecordError> {
    let signature = key.sign(Domain::Record, &body);
    Record::seal(body, vec![signature])
}
