//! Which links there should be and which there are: every member signs its list (PROTOCOL §8.4).
//!
//! Two lists make a link sure; what one end says alone is a claim; what ought to be and is in no list is a gap.

use crate::cbor::{self, ByteVec};
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

struct Fields {
    room: RoomId,
    device: DeviceId,
    session: SessionId,
    started: u64,
    seq: u64,
    links: Vec<DeviceId>,
}

cbor::members! { Fields { 0: room, 1: device, 2: session, 3: started, 4: seq, 5: links } }

struct Wire {
    body: ByteVec,
    signature: Signature,
}

cbor::elements! { Wire { 0: body, 1: signature } }

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

/// Who is here and who is linked with whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Topology {
    /// Those who are here, in the order of their ids.
    pub present: Vec<DeviceId>,
    /// Every pair of them that is linked, says so, or should be.
    pub edges: Vec<Edge>,
}

/// Two members, in the order of their ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// The smaller.
    pub a: DeviceId,
    /// The larger.
    pub b: DeviceId,
    /// What they say.
    pub state: EdgeState,
}

/// What is known of a link between two others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EdgeState {
    /// Both ends say that there is one.
    Confirmed,
    /// One end says so.
    Claimed {
        /// Which.
        by: DeviceId,
    },
    /// There should be one, and neither says so.
    Gap,
}

/// What is known about those who are here; `claims(from, to)` says whether `from` claims a link with `to`, or `None` if
/// nobody knows what it claims.
pub fn topology(present: Vec<DeviceId>, claims: impl Fn(&DeviceId, &DeviceId) -> Option<bool>) -> Topology {
    let mut edges = Vec::new();
    for (n, a) in present.iter().enumerate() {
        let wanted = expected(a, present.iter().copied());
        for b in &present[n + 1..] {
            let state = match (claims(a, b), claims(b, a)) {
                (Some(true), Some(true)) => EdgeState::Confirmed,
                (Some(true), _) => EdgeState::Claimed { by: *a },
                (_, Some(true)) => EdgeState::Claimed { by: *b },
                // Of two whose lists have not come yet nothing is known, so nothing is missing.
                (None, None) => continue,
                _ if wanted.contains(b) => EdgeState::Gap,
                _ => continue,
            };
            edges.push(Edge { a: *a, b: *b, state });
        }
    }
    Topology { present, edges }
}

/// Those `own` should be linked with when `present` are here: all, as long as that is no more than [`FULL_MESH`].
///
/// Above that the mesh is bounded in a later version; until then it stays full, so this is where that rule goes.
pub fn expected(own: &DeviceId, present: impl IntoIterator<Item = DeviceId>) -> Vec<DeviceId> {
    present.into_iter().filter(|device| device != own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn me5_links_are_confirmed_by_both_ends_claimed_by_one_or_missing() {
        let [a, b, c] = [1, 2, 3].map(|n| DeviceId::from_bytes([n; 32]));
        let said = [(a, b), (b, a), (c, a)];
        let topology = super::topology(vec![a, b, c], |from, to| Some(said.contains(&(*from, *to))));
        let states: Vec<EdgeState> = topology.edges.iter().map(|edge| edge.state).collect();
        assert_eq!(states, [EdgeState::Confirmed, EdgeState::Claimed { by: c }, EdgeState::Gap]);
        let pairs: Vec<_> = topology.edges.iter().map(|edge| (edge.a, edge.b)).collect();
        assert_eq!(pairs, [(a, b), (a, c), (b, c)]);
    }

    #[test]
    fn me5_nothing_is_missing_between_two_of_whom_nothing_is_known() {
        let [a, b, c] = [1, 2, 3].map(|n| DeviceId::from_bytes([n; 32]));
        let topology = super::topology(vec![a, b, c], |from, _| (*from == a).then_some(false));
        let states: Vec<_> = topology.edges.iter().map(|edge| (edge.a, edge.b, edge.state)).collect();
        assert_eq!(states, [(a, b, EdgeState::Gap), (a, c, EdgeState::Gap)]);
    }
}
