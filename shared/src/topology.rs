//! Which links there should be and which there are: every member signs its list (PROTOCOL §8.4).

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use crate::cbor;
use crate::crypto::keys::{Domain, SignKey, Signature, verify};
use crate::id::{DeviceId, RoomId, SessionId};

/// Up to this many present members, every pair is linked.
pub const FULL_MESH: usize = 16;

/// The most links one list may claim.
const MAX_LINKS: usize = 1024;

/// One member's links, as it signs them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkList {
    /// Whose.
    pub device: DeviceId,
    /// The session under which it is signalled over the mesh; fresh at every start.
    pub session: SessionId,
    /// When it started, in milliseconds since 1970, and a count since: the larger pair is the newer list.
    pub version: (u64, u64),
    /// Those it is linked with.
    pub links: Vec<DeviceId>,
    /// The exact bytes to send on.
    pub wire: Vec<u8>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Fields {
    #[n(0)]
    room: RoomId,
    #[n(1)]
    device: DeviceId,
    #[n(2)]
    session: SessionId,
    #[n(3)]
    started: u64,
    #[n(4)]
    seq: u64,
    #[n(5)]
    links: Vec<DeviceId>,
}

#[derive(Encode, Decode)]
struct Wire {
    #[n(0)]
    body: ByteVec,
    #[n(1)]
    signature: Signature,
}

impl LinkList {
    /// Signs a list.
    pub fn sign(
        key: &SignKey,
        room: RoomId,
        session: SessionId,
        version: (u64, u64),
        links: Vec<DeviceId>,
    ) -> Self {
        let device = key.device();
        let fields =
            Fields { room, device, session, started: version.0, seq: version.1, links: links.clone() };
        let body = cbor::encode(&fields);
        let signature = key.sign(Domain::Links, &body);
        let wire = cbor::encode(&Wire { body: body.into(), signature });
        Self { device, session, version, links, wire }
    }

    /// Reads a list for `room`, if its signature holds.
    pub fn decode(room: RoomId, wire: &[u8]) -> Option<Self> {
        let Wire { body, signature } = cbor::decode(wire).ok()?;
        let fields: Fields = cbor::decode(&body).ok()?;
        verify(fields.device.as_bytes(), Domain::Links, &body, &signature).ok()?;
        (fields.room == room && fields.links.len() <= MAX_LINKS).then(|| Self {
            device: fields.device,
            session: fields.session,
            version: (fields.started, fields.seq),
            links: fields.links,
            wire: wire.to_vec(),
        })
    }
}

/// Those `own` should be linked with when `present` are here: all, as long as that is no more than [`FULL_MESH`].
///
/// Above that the mesh is bounded in a later version; until then it stays full, so this is where that rule goes.
pub fn expected(own: &DeviceId, present: impl IntoIterator<Item = DeviceId>) -> Vec<DeviceId> {
    present.into_iter().filter(|device| device != own).collect()
}
