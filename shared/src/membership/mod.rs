//! Who is a member, as a pure function of a set of records (PROTOCOL §3.7).
//!
//! [`Records`] holds the hash DAG of one room; [`Membership::of`] reads it. The order in which records arrived has no
//! influence on the result.

mod records;

pub use records::{Inserted, Records};

use std::collections::{BTreeMap, BTreeSet};

use crate::crypto::keys::BoxKey;
use crate::id::{DeviceId, RecordId};
use crate::record::{Acceptance, Body, DeviceRecord, Invite, Record};

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
        let genesis = records.genesis();
        let Body::Genesis(body) = genesis.body() else { return this };
        let founder = Member { device: body.founder.clone(), invited_by: None, admission: None, rank: 0 };
        this.admitted.insert(founder.device.device);
        this.members.insert(founder.device.device, founder);
        // Members admit members: each round adds those whose issuer and countersigner are members by now. It ends,
        // since every round but the last adds one.
        let acceptances = acceptances(records);
        while this.admit_round(records, &acceptances) {}
        this
    }

    fn admit_round(
        &mut self,
        records: &Records,
        acceptances: &BTreeMap<RecordId, Vec<Candidate<'_>>>,
    ) -> bool {
        let mut grew = false;
        for (invite_id, candidates) in acceptances {
            let Some(Body::Invite(invite)) = records.get(invite_id).map(Record::body) else { continue };
            if self.invites.contains_key(invite_id) && candidates.iter().all(|c| self.counted(c)) {
                continue;
            }
            let Some(issuer) = self.members.get(&invite.issuer) else { continue };
            let rank = issuer.rank + 1;
            let standing = self.standing(records, invite, candidates);
            for candidate in &standing.all {
                grew |= self.admitted.insert(candidate.acceptance.device.device);
            }
            let places = Places {
                left: invite.uses.saturating_sub(standing.placed.len() as u32),
                takers: standing.placed.iter().map(|(c, _)| c.acceptance.device.device).collect(),
            };
            self.invites.insert(*invite_id, places);
            for (candidate, countersignature) in standing.placed {
                let device = candidate.acceptance.device.clone();
                let admission = Admission { invite: *invite_id, acceptance: candidate.id, countersignature };
                let member =
                    Member { device, invited_by: Some(invite.issuer), admission: Some(admission), rank };
                let known = self.members.entry(member.device.device);
                match known {
                    std::collections::btree_map::Entry::Vacant(entry) => {
                        entry.insert(member);
                        grew = true;
                    }
                    // A device let in twice stands by the admission nearest to the genesis, then the smallest id.
                    std::collections::btree_map::Entry::Occupied(mut entry) => {
                        let key = |m: &Member| (m.rank, m.admission);
                        if entry.get().admission.is_some() && key(&member) < key(entry.get()) {
                            entry.insert(member);
                            grew = true;
                        }
                    }
                }
            }
        }
        grew
    }

    fn counted(&self, candidate: &Candidate<'_>) -> bool {
        candidate.countersigners.iter().all(|(by, _)| self.members.contains_key(by))
            && self.admitted.contains(&candidate.acceptance.device.device)
    }

    /// Which candidates a member let in, and which of them have a place. A taker whose every countersignature was
    /// made in the knowledge of as many others as there are places is void; among concurrent ones the smallest
    /// acceptance stands.
    fn standing<'a>(
        &self,
        records: &Records,
        invite: &Invite,
        candidates: &'a [Candidate<'a>],
    ) -> Standing<'a> {
        let mut all: Vec<(&Candidate<'_>, Vec<RecordId>)> = Vec::new();
        for candidate in candidates {
            let own = candidate.acceptance.device.device;
            let valid: Vec<_> = (candidate.countersigners.iter())
                .filter(|(by, _)| *by != own && self.members.contains_key(by))
                .map(|(_, id)| *id)
                .collect();
            if !valid.is_empty() {
                all.push((candidate, valid));
            }
        }
        let mut placed: Vec<(&Candidate<'_>, RecordId)> = Vec::new();
        if all.len() <= invite.uses as usize {
            placed.extend(all.iter().map(|(candidate, by)| (*candidate, by[0])));
        } else {
            let pasts: Vec<Vec<BTreeSet<RecordId>>> =
                all.iter().map(|(_, by)| by.iter().map(|id| records.past(id)).collect()).collect();
            for (i, (candidate, by)) in all.iter().enumerate() {
                let earlier = (0..all.len())
                    .filter(|&j| j != i)
                    .filter(|&j| pasts[i].iter().all(|past| all[j].1.iter().any(|id| past.contains(id))))
                    .count();
                if earlier < invite.uses as usize {
                    placed.push((candidate, by[0]));
                }
            }
            placed.truncate(invite.uses as usize);
        }
        Standing { all: all.into_iter().map(|(candidate, _)| candidate).collect(), placed }
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

struct Standing<'a> {
    all: Vec<&'a Candidate<'a>>,
    placed: Vec<(&'a Candidate<'a>, RecordId)>,
}

/// Per invite, the acceptances that its key signed, in the order of their ids. One device counts once per invite.
fn acceptances(records: &Records) -> BTreeMap<RecordId, Vec<Candidate<'_>>> {
    let mut by_acceptance: BTreeMap<RecordId, Vec<(DeviceId, RecordId)>> = BTreeMap::new();
    for record in records.iter() {
        if let Body::Countersignature(body) = record.body() {
            by_acceptance.entry(body.acceptance).or_default().push((body.author, record.id()));
        }
    }
    let mut out: BTreeMap<RecordId, Vec<Candidate<'_>>> = BTreeMap::new();
    for (id, countersigners) in by_acceptance {
        let Some(Body::Acceptance(acceptance)) = records.get(&id).map(Record::body) else { continue };
        let Some(Body::Invite(invite)) = records.get(&acceptance.invite).map(Record::body) else { continue };
        let bound = invite.bound.is_none_or(|bound| bound == acceptance.device.device);
        if !bound || acceptance.redeems(invite).is_err() {
            continue;
        }
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
