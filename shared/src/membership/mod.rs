//! Who is a member, as a pure function of a set of records (PROTOCOL §3.7).
//!
//! [`Records`] holds the hash DAG of one room; [`Membership::of`] reads it. The order in which records arrived has no
//! influence on the result.

mod records;

pub use records::{Inserted, Records};

use std::collections::{BTreeMap, BTreeSet};

use crate::crypto::keys::BoxKey;
use crate::id::{DeviceId, RecordId};
use crate::record::{Body, DeviceRecord, Invite, Record};

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
    members: BTreeMap<DeviceId, Member>,
    /// Every device that a member ever let in, whether or not a rule took the place away again.
    admitted: BTreeSet<DeviceId>,
    invites: BTreeMap<RecordId, Places>,
}

/// The state of one invite that a member issued.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Places {
    left: u32,
    takers: BTreeSet<DeviceId>,
}

impl Membership {
    /// Evaluates the records.
    pub fn of(records: &Records) -> Self {
        let mut this = Self::default();
        let Body::Genesis(body) = records.genesis().body() else { return this };
        let founder = Member { device: body.founder.clone(), invited_by: None, admission: None, rank: 0 };
        let founder_id = founder.device.device;
        let acceptances = acceptances(records);
        // First, who was ever let in, by somebody who was: it grows with every round until one adds nobody.
        this.admitted.insert(founder_id);
        while this.admit_round(records, &acceptances) {}
        // Then who has a place, by the invites of those who have one.
        this.members.insert(founder_id, founder);
        while this.place_round(records, &acceptances) {}
        this
    }

    fn admit_round(&mut self, records: &Records, acceptances: &Acceptances) -> bool {
        let before = self.admitted.len();
        for (id, candidates) in acceptances {
            let issuer = records.get(id).map(Record::author);
            if issuer.is_some_and(|issuer| self.admitted.contains(&issuer)) {
                let let_in = candidates.iter().filter(|candidate| candidate.let_in(&self.admitted).is_some());
                let devices: Vec<DeviceId> = let_in.map(Candidate::device).collect();
                self.admitted.extend(devices);
            }
        }
        self.admitted.len() > before
    }

    fn place_round(&mut self, records: &Records, acceptances: &Acceptances) -> bool {
        let mut changed = false;
        for (invite_id, candidates) in acceptances {
            let Some(Body::Invite(invite)) = records.get(invite_id).map(Record::body) else { continue };
            let Some(rank) = self.members.get(&invite.issuer).map(|issuer| issuer.rank + 1) else { continue };
            let placed = self.placed(records, invite, candidates);
            let takers = placed.iter().map(|(candidate, _)| candidate.device()).collect();
            let left = invite.uses.saturating_sub(placed.len() as u32);
            self.invites.insert(*invite_id, Places { left, takers });
            for (candidate, (acceptance, countersignature)) in placed {
                let admission = Admission { invite: *invite_id, acceptance, countersignature };
                let member = Member {
                    device: candidate.record.clone(),
                    invited_by: Some(invite.issuer),
                    admission: Some(admission),
                    rank,
                };
                // A device let in twice stands by the admission nearest to the genesis, then the smallest id.
                let nearer = self.members.get(&candidate.device()).is_none_or(|known| {
                    known.admission.is_some() && (rank, member.admission) < (known.rank, known.admission)
                });
                if nearer {
                    self.members.insert(candidate.device(), member);
                    changed = true;
                }
            }
        }
        changed
    }

    /// Which candidates have a place, each with its acceptance and countersignature. A taker whose every
    /// countersignature was made in the knowledge of as many others as there are places is void; among concurrent
    /// ones the smallest acceptance stands.
    fn placed<'a>(
        &self,
        records: &Records,
        invite: &Invite,
        candidates: &'a [Candidate],
    ) -> Vec<(&'a Candidate, (RecordId, RecordId))> {
        let uses = invite.uses as usize;
        let let_in = |candidate: &'a Candidate| Some((candidate, candidate.let_in(&self.admitted)?));
        let mut placed: Vec<_> = candidates.iter().filter_map(let_in).collect();
        if placed.len() > uses {
            let valid = |candidate: &Candidate| candidate.valid(&self.admitted).map(|(_, id)| id).collect();
            let by: Vec<Vec<RecordId>> = placed.iter().map(|(candidate, _)| valid(candidate)).collect();
            let past = |ids: &Vec<RecordId>| ids.iter().map(|id| records.past(id)).collect();
            let pasts: Vec<Vec<BTreeSet<RecordId>>> = by.iter().map(past).collect();
            let earlier = |i: usize| {
                let knew = |j: usize| pasts[i].iter().all(|past| by[j].iter().any(|id| past.contains(id)));
                (0..by.len()).filter(|&j| j != i && knew(j)).count()
            };
            let mut n = 0..by.len();
            placed.retain(|_| n.next().is_some_and(|i| earlier(i) < uses));
            placed.truncate(uses);
        }
        placed
    }

    /// The member with this device, if it is one.
    pub fn member(&self, device: &DeviceId) -> Option<&Member> {
        self.members.get(device)
    }

    /// All members, by device.
    pub fn members(&self) -> impl Iterator<Item = (&DeviceId, &Member)> {
        self.members.iter()
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
        self.admitted.contains(device)
    }

    /// Whether `device` may take this invite now: a place is left, or it has one already.
    pub fn may_take(&self, id: &RecordId, device: &DeviceId) -> bool {
        match self.invites.get(id) {
            Some(places) => places.left > 0 || places.takers.contains(device),
            None => true,
        }
    }

    /// Whether `device` has one of the invite's places.
    pub fn has_taken(&self, id: &RecordId, device: &DeviceId) -> bool {
        self.invites.get(id).is_some_and(|places| places.takers.contains(device))
    }

    /// How many places the invite has left.
    pub fn places_left(&self, id: &RecordId, invite: &Invite) -> u32 {
        self.invites.get(id).map_or(invite.uses, |places| places.left)
    }

    /// The records that show `device` to be a member, the genesis first; `None` if it is none.
    pub fn chain(&self, records: &Records, device: &DeviceId) -> Option<Vec<Record>> {
        let mut steps = Vec::new();
        let mut needed = vec![*device];
        let mut done = BTreeSet::new();
        while let Some(device) = needed.pop() {
            if !done.insert(device) {
                continue;
            }
            let member = self.member(&device)?;
            if let Some(admission) = &member.admission {
                let countersignature = records.get(&admission.countersignature)?;
                needed.push(member.invited_by?);
                needed.push(countersignature.author());
                steps.push(countersignature.clone());
                steps.push(records.get(&admission.acceptance)?.clone());
                steps.push(records.get(&admission.invite)?.clone());
            }
        }
        steps.push(records.genesis().clone());
        steps.reverse();
        Some(steps)
    }
}

/// A device that accepted an invite.
struct Candidate {
    record: DeviceRecord,
    /// Who countersigned, which of its acceptances, with which record; in the order of acceptances.
    countersigned: Vec<(DeviceId, RecordId, RecordId)>,
}

/// Per invite those that accepted it, in the order of their first acceptance's id.
type Acceptances = BTreeMap<RecordId, Vec<Candidate>>;

impl Candidate {
    fn device(&self) -> DeviceId {
        self.record.device
    }

    /// The acceptances and countersignatures that count, if those in `admitted` may let others in.
    fn valid<'a>(
        &'a self,
        admitted: &'a BTreeSet<DeviceId>,
    ) -> impl Iterator<Item = (RecordId, RecordId)> + 'a {
        let counts = |by: &DeviceId| *by != self.device() && admitted.contains(by);
        let valid = self.countersigned.iter().filter(move |(by, ..)| counts(by));
        valid.map(|(_, acceptance, countersignature)| (*acceptance, *countersignature))
    }

    fn let_in(&self, admitted: &BTreeSet<DeviceId>) -> Option<(RecordId, RecordId)> {
        self.valid(admitted).next()
    }
}

fn acceptances(records: &Records) -> Acceptances {
    let mut by_acceptance: BTreeMap<RecordId, Vec<(DeviceId, RecordId)>> = BTreeMap::new();
    for record in records.iter() {
        if let Body::Countersignature(body) = record.body() {
            by_acceptance.entry(body.acceptance).or_default().push((body.author, record.id()));
        }
    }
    let mut out: Acceptances = BTreeMap::new();
    for (id, countersigners) in by_acceptance {
        let Some(Body::Acceptance(acceptance)) = records.get(&id).map(Record::body) else { continue };
        let candidates = out.entry(acceptance.invite).or_default();
        let countersigned = countersigners.into_iter().map(|(by, record)| (by, id, record));
        match candidates.iter_mut().find(|candidate| candidate.device() == acceptance.device.device) {
            Some(candidate) => candidate.countersigned.extend(countersigned),
            None => candidates.push(Candidate {
                record: acceptance.device.clone(),
                countersigned: countersigned.collect(),
            }),
        }
    }
    out
}

#[cfg(test)]
mod tests;
