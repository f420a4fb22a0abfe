//! Who is a member, as a pure function of a set of records (PROTOCOL §3.7).
//!
//! [`Records`] holds the hash DAG of one room; [`Membership::of`] reads it. The order in which records arrived has no
//! influence on the result.

mod records;

pub use records::{Inserted, Records};

use crate::crypto::keys::BoxKey;
use crate::id::{DeviceId, RecordId};
use crate::record::{Acceptance, Body, DeviceRecord, Invite, Record};
use crate::sorted::{Map, Set};

/// The longest chain of records from a member to the genesis that a handshake carries, in bytes.
pub const MAX_CHAIN: usize = 48 * 1024;

/// A member of the room and how it became one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The device.
    pub device: DeviceRecord,
    /// Who invited it; `None` for the founder.
    pub invited_by: Option<DeviceId>,
    /// The acceptance it was let in with, and the first countersignature that counts; `None` for the founder.
    pub admission: Option<Admission>,
    /// How many invites lie between it and the genesis.
    pub rank: u32,
}

/// The records that make a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Admission {
    /// The invite it took.
    pub invite: RecordId,
    /// Its acceptance.
    pub acceptance: RecordId,
    /// By a member.
    pub countersignature: RecordId,
}

/// Who is a member, and which invites have places left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Membership {
    members: Map<DeviceId, Box<Member>>,
    /// Every device that a member ever let in, whether or not its place went to another.
    admitted: Map<DeviceId, Box<Member>>,
    invites: Map<RecordId, Places>,
}

/// The state of one invite that a member issued.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Places {
    left: u32,
    takers: Set<DeviceId>,
}

impl Membership {
    /// Evaluates the records.
    pub fn of(records: &Records) -> Self {
        let mut this = Self::default();
        let genesis = records.genesis();
        let Body::Genesis(body) = genesis.body() else { return this };
        let founder = Member { device: body.founder.clone(), invited_by: None, admission: None, rank: 0 };
        insert(&mut this.members, founder.clone());
        insert(&mut this.admitted, founder);
        // Those let in let others in: each round adds some, or a shorter way to the genesis, or is the last.
        let acceptances = acceptances(records);
        while this.admit_round(records, &acceptances) {}
        // Places are given only now, when all takers are known.
        for (id, candidates) in &acceptances {
            this.place(records, id, candidates);
        }
        this
    }

    fn admit_round(&mut self, records: &Records, acceptances: &Map<RecordId, Vec<Candidate<'_>>>) -> bool {
        let mut grew = false;
        for (id, candidates) in acceptances {
            let Some((_, rank)) = self.invite(records, id) else { continue };
            for (candidate, by) in self.let_in(candidates) {
                let member = candidate.member(records, id, by[0], rank);
                grew |= member.is_some_and(|member| insert(&mut self.admitted, member));
            }
        }
        grew
    }

    /// The invite, if whoever issued it was let in, and the rank of those it lets in.
    fn invite<'a>(&self, records: &'a Records, id: &RecordId) -> Option<(&'a Invite, u32)> {
        let Body::Invite(invite) = records.get(id)?.body() else { return None };
        Some((invite, self.admitted.get(&invite.issuer)?.rank + 1))
    }

    /// The candidates that somebody let in who was let in, and by which countersignatures.
    fn let_in<'a>(&self, candidates: &'a [Candidate<'a>]) -> Vec<(&'a Candidate<'a>, Vec<RecordId>)> {
        let valid = |candidate: &Candidate<'_>| -> Vec<RecordId> {
            let own = candidate.acceptance.device.device;
            let by = candidate.countersigners.iter();
            by.filter(|(by, _)| *by != own && self.admitted.contains_key(by)).map(|(_, id)| *id).collect()
        };
        candidates.iter().map(|c| (c, valid(c))).filter(|(_, by)| !by.is_empty()).collect()
    }

    /// Gives the places of one invite. A taker whose every countersignature was made in the knowledge of as many others
    /// as there are places is void; among concurrent ones the smallest acceptance stands.
    fn place(&mut self, records: &Records, id: &RecordId, candidates: &[Candidate<'_>]) {
        let Some((invite, rank)) = self.invite(records, id) else { return };
        let mut placed = self.let_in(candidates);
        if placed.len() > invite.uses as usize {
            let pasts: Vec<Vec<Set<RecordId>>> =
                placed.iter().map(|(_, by)| by.iter().map(|id| records.past(id)).collect()).collect();
            let earlier = |i: usize| {
                let knew = |j: &usize| pasts[i].iter().all(|p| placed[*j].1.iter().any(|id| p.contains(id)));
                (0..placed.len()).filter(|j| *j != i).filter(knew).count()
            };
            let in_time: Vec<bool> = (0..placed.len()).map(|i| earlier(i) < invite.uses as usize).collect();
            let mut in_time = in_time.into_iter();
            placed.retain(|_| in_time.next() == Some(true));
            placed.truncate(invite.uses as usize);
        }
        let left = invite.uses.saturating_sub(placed.len() as u32);
        let takers = placed.iter().map(|(candidate, _)| candidate.acceptance.device.device).collect();
        self.invites.insert(*id, Places { left, takers });
        for (candidate, by) in placed {
            if let Some(member) = candidate.member(records, id, by[0], rank) {
                insert(&mut self.members, member);
            }
        }
    }

    /// The member with this device, if it is one.
    pub fn member(&self, device: &DeviceId) -> Option<&Member> {
        self.members.get(device).map(|member| &**member)
    }

    /// All members, by device.
    pub fn members(&self) -> impl Iterator<Item = (&DeviceId, &Member)> {
        self.members.iter().map(|(device, member)| (device, &**member))
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is nobody; never so for a room with a genesis.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The member's box key.
    pub fn box_key(&self, device: &DeviceId) -> Option<BoxKey> {
        self.member(device).map(|member| member.device.box_key)
    }

    /// Whether a member ever let this device in: its changes count, though its place may have gone to another taker.
    pub fn was_admitted(&self, device: &DeviceId) -> bool {
        self.admitted.contains_key(device)
    }

    /// Whether `device` has one of this invite's places.
    pub fn has_place(&self, id: &RecordId, device: &DeviceId) -> bool {
        self.invites.get(id).is_some_and(|places| places.takers.contains(device))
    }

    /// How many places the invite has left.
    pub fn places_left(&self, id: &RecordId, invite: &Invite) -> u32 {
        self.invites.get(id).map_or(invite.uses, |places| places.left)
    }

    /// The records that show `device` to be a member, the genesis first; `None` if it is none.
    pub fn chain(&self, records: &Records, device: &DeviceId) -> Option<Vec<Record>> {
        self.member(device)?;
        let mut steps = Vec::new();
        let mut needed = vec![*device];
        let mut done = Set::new();
        while let Some(device) = needed.pop() {
            if !done.insert(device) {
                continue;
            }
            let member = self.admitted.get(&device)?;
            if let Some(admission) = &member.admission {
                let countersignature = records.get(&admission.countersignature)?;
                needed.push(member.invited_by?);
                needed.push(countersignature.author());
                steps.push(countersignature.clone());
                // One device may have accepted twice; the countersignature is by which it stands.
                let Body::Countersignature(body) = countersignature.body() else { return None };
                steps.push(records.get(&body.acceptance)?.clone());
                steps.push(records.get(&admission.invite)?.clone());
            }
        }
        steps.push(records.genesis().clone());
        steps.reverse();
        Some(steps)
    }
}

struct Candidate<'a> {
    id: RecordId,
    acceptance: &'a Acceptance,
    /// Who countersigned, and with which record, in the order of the records' ids.
    countersigners: Vec<(DeviceId, RecordId)>,
}

impl Candidate<'_> {
    /// What it is by one of its countersignatures.
    fn member(
        &self,
        records: &Records,
        invite: &RecordId,
        countersignature: RecordId,
        rank: u32,
    ) -> Option<Member> {
        let issuer = records.get(invite)?.author();
        let admission = Admission { invite: *invite, acceptance: self.id, countersignature };
        let device = self.acceptance.device.clone();
        Some(Member { device, invited_by: Some(issuer), admission: Some(admission), rank })
    }
}

/// Adds a member; says whether that changed anything. A device let in twice stands by the admission nearest to the
/// genesis, then the smallest id.
fn insert(members: &mut Map<DeviceId, Box<Member>>, member: Member) -> bool {
    let key = |m: &Member| (m.rank, m.admission);
    let stands = members.get(&member.device.device).is_some_and(|known| key(known) <= key(&member));
    if !stands {
        members.insert(member.device.device, Box::new(member));
    }
    !stands
}

/// Per invite, the acceptances ([`Records`] holds only those that its key signed), in the order of their ids. One device counts once per invite.
fn acceptances(records: &Records) -> Map<RecordId, Vec<Candidate<'_>>> {
    let mut by_acceptance: Map<RecordId, Vec<(DeviceId, RecordId)>> = Map::new();
    for record in records.iter() {
        if let Body::Countersignature(body) = record.body() {
            by_acceptance.entry(body.acceptance).or_default().push((body.author, record.id()));
        }
    }
    let mut out: Map<RecordId, Vec<Candidate<'_>>> = Map::new();
    for (id, countersigners) in by_acceptance {
        let Some(Body::Acceptance(acceptance)) = records.get(&id).map(Record::body) else { continue };
        let candidates = out.entry(acceptance.invite).or_default();
        let device = acceptance.device.device;
        match candidates.iter_mut().find(|c| c.acceptance.device.device == device) {
            Some(candidate) => candidate.countersigners.extend(countersigners),
            None => candidates.push(Candidate { id, acceptance, countersigners }),
        }
    }
    out
}

#[cfg(test)]
mod tests;
