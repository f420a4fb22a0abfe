//! Newcomers, from both sides: proving a ticket, and letting in who proves one (PROTOCOL §6.2).

use std::time::Duration;

use super::Ctx;
use super::VerbError;
use super::calls::Slot;
use super::io::{InviteOptions, JoinFailure};
use super::paths::Path;
use super::replay::Replays;
use super::room::Room;
use crate::admission::{self, Admitted, check_member, check_proof};
use crate::id::{DeviceId, RecordId, SessionId};
use crate::link::{Incoming, Kind, Link, Signal, prologue};
use crate::membership::{MAX_CHAIN, Membership};
use crate::origin::Origin;
use crate::record::{Body, Record};
use crate::signal::{Bytes, ClientMessage};
use crate::sorted::Set;

/// How many sessions get a proof at once, the issuer's among them.
const PROOFS_AT_ONCE: usize = 8;

/// When the next ones get one.
const NEXT_PROOFS: Duration = Duration::from_secs(2);

/// After so long without success a session gets another proof, and after twice as long the next one: the first may be
/// lost, or have come before the invite.
const PROVE_AGAIN: Duration = Duration::from_secs(5);

/// How many newcomers may be connecting at a time.
const MAX_ADMITTING: usize = 16;

/// How many proofs one session may send to another.
const MAX_PROOFS: u32 = 8;

impl Room {
    /// Makes an invite record.
    pub(super) fn invite(
        &mut self,
        key: [u8; 32],
        options: &InviteOptions,
        ctx: &mut Ctx<'_>,
    ) -> Result<Record, VerbError> {
        let own = ctx.author.device();
        let Some(records) = self.records.as_ref().filter(|_| self.is_member()) else {
            return Err(VerbError::NotAMember);
        };
        if options.uses == 0 || options.expires_ms <= ctx.now.unix_ms {
            return Err(VerbError::Ticket);
        }
        let chain = self.membership.chain(records, &own).ok_or(VerbError::NotAMember)?;
        // Room for the invite, the acceptance and the countersignature that will follow.
        if chain.iter().map(|record| record.wire().len()).sum::<usize>() + 4096 > MAX_CHAIN / 2 {
            return Err(VerbError::ChainTooLong);
        }
        let record = ctx.author.invite(
            self.id,
            newest(records.heads()),
            ctx.now.unix_ms,
            key,
            options.expires_ms,
            options.uses,
            options.bound,
        )?;
        self.add_record(record.clone(), None, ctx);
        Ok(record)
    }

    /// A newcomer sends its proof to the members it sees: the issuer and up to seven others, later the next ones, and
    /// after a while all of them again.
    pub(super) fn prove(&mut self, ctx: &mut Ctx<'_>) {
        let Some(join) = &mut self.join else { return };
        join.next = None;
        if self.member {
            return;
        }
        let now = ctx.now.monotonic;
        if !self.pending.is_empty() || !self.up.is_empty() {
            join.next = Some(now + NEXT_PROOFS);
            return;
        }
        join.proved.retain(|at, _| self.visible.contains_key(at));
        let issuer = join.ticket.issuer;
        let candidates: Set<(u32, bool, (Origin, SessionId))> = self
            .visible
            .iter()
            .filter_map(|(at, visible)| Some((visible.device? != issuer, at.clone())))
            .map(|(other, at)| (join.proved.get(&at).map_or(0, |(times, _)| *times), other, at))
            .filter(|(times, _, at)| {
                *times < MAX_PROOFS && join.proved.get(at).is_none_or(|(_, again)| *again <= now)
            })
            .collect();
        let more = candidates.len() > PROOFS_AT_ONCE;
        for (times, _, (origin, to)) in candidates.into_iter().take(PROOFS_AT_ONCE) {
            let Some(own) = ctx.servers.session(&origin) else { continue };
            let payload = join.prover.prove(&own, &to, ctx.rng);
            let body = Signal { kind: Kind::Proof, tag: [0; 8], payload: &payload }.encode();
            let message = ClientMessage::Signal { topic: self.secret.topic(), to, body: Bytes(body) };
            ctx.servers.send(&origin, &message, ctx.out);
            join.proved.insert((origin, to), (times + 1, now + PROVE_AGAIN * 2u32.pow(times)));
        }
        let soon = now + NEXT_PROOFS;
        let again =
            join.proved.values().filter(|(times, _)| *times < MAX_PROOFS).map(|(_, at)| soon.max(*at));
        join.next = again.chain(more.then_some(soon)).min();
    }

    /// Nobody has answered, or an attempt has failed: the next proofs.
    pub(super) fn prove_more(&mut self, ctx: &mut Ctx<'_>) {
        if self.join.as_ref().is_some_and(|join| join.next.is_some_and(|at| at <= ctx.now.monotonic)) {
            self.prove(ctx);
        }
    }

    /// If joining has run out of time, why it did not work out. The room is to be dropped then.
    pub(super) fn join_failure(&self, ctx: &Ctx<'_>) -> Option<JoinFailure> {
        let join = self.join.as_ref().filter(|join| !join.done)?;
        if join.late {
            return Some(JoinFailure::Used);
        }
        if ctx.now.monotonic < join.deadline {
            return None;
        }
        Some(match ctx.servers.trouble(self.servers()) {
            _ if join.answered => JoinFailure::NoConnection,
            Some(trouble) => trouble,
            None => JoinFailure::NobodyAnswered,
        })
    }

    /// A proof arrived. What does not hold is met with silence, and leads to no connection.
    pub(super) fn proof(&mut self, origin: &Origin, from: SessionId, proof: &[u8], ctx: &mut Ctx<'_>) {
        let Some(own) = ctx.servers.session(origin) else { return };
        let at = (origin.clone(), from);
        if !self.is_member() {
            return;
        }
        let mark = Replays::mark(Kind::Proof, [0; 8], proof);
        if self.replays.contains(&mark) {
            self.rejected += 1;
            return;
        }
        let Some(visible) = self.visible.get_mut(&at) else { return };
        visible.proofs += 1;
        if visible.proofs > MAX_PROOFS || self.admitting().count() >= MAX_ADMITTING {
            return;
        }
        let Some(records) = &self.records else { return };
        let reserved = |invite: &RecordId, device: &DeviceId| {
            self.admitting().filter(|a| a.invite() == *invite && a.device() != *device).count() as u32
        };
        let unix_ms = ctx.now.unix_ms;
        let checked =
            check_proof(records, &self.membership, &self.secret, &from, &own, proof, unix_ms, reserved);
        let Ok(admitted) = checked else {
            self.rejected += 1;
            return;
        };
        if admitted.device() == ctx.author.device() {
            return;
        }
        self.replays.insert(mark);
        self.admit(origin, own, from, admitted, ctx);
    }

    /// Builds a link to a newcomer that proved its ticket.
    fn admit(
        &mut self,
        origin: &Origin,
        own: SessionId,
        to: SessionId,
        admitted: Admitted,
        ctx: &mut Ctx<'_>,
    ) {
        let Some(records) = &self.records else { return };
        let device = admitted.device();
        let introduction =
            admission::introduction(records, &self.membership, &ctx.author.device(), &admitted.invite());
        let Ok(introduction) = introduction else {
            self.rejected += 1;
            return;
        };
        if let Some(old) = self.pending.remove(&device) {
            self.drop_link(old, ctx);
        }
        let tag: [u8; 8] = ctx.rng.bytes();
        let prologue = prologue(&self.id, &own, &to, &tag);
        let rng = ctx.rng.split();
        let box_secret = &ctx.author.keys().box_secret;
        let link = Link::admit(&admitted, box_secret, prologue, tag, introduction, rng, ctx.now);
        let path = Path::Server { origin: origin.clone(), session: to };
        let id = ctx.new_link();
        self.slots.insert(id, Slot { link, path, admitted: Some(admitted) });
        self.pending.insert(device, id);
    }

    /// A member answers our proof with message 1 of Noise IK.
    pub(super) fn first_ik(
        &mut self,
        origin: &Origin,
        from: SessionId,
        signal: &Signal<'_>,
        ctx: &mut Ctx<'_>,
    ) {
        let at = (origin.clone(), from);
        let (Some(own), Some(join)) = (ctx.servers.session(origin), &mut self.join) else { return };
        let Some(device) = self.visible.get(&at).and_then(|visible| visible.device) else { return };
        let mark = Replays::mark(signal.kind, signal.tag, signal.payload);
        if !join.proved.contains_key(&at) || self.replays.contains(&mark) {
            return;
        }
        let prologue = prologue(&self.id, &from, &own, &signal.tag);
        let box_secret = &ctx.author.keys().box_secret;
        let read = Incoming::read(box_secret, None, &prologue, signal.tag, signal.payload, ctx.rng);
        let Ok(incoming) = read else { return };
        let Ok(records) = check_member(&join.ticket, incoming.records(), &device, incoming.remote()) else {
            return;
        };
        join.answered = true;
        self.replays.insert(mark);
        if self.records.is_none() {
            ctx.emit(super::store::persist_record(&self.id, 0, records.genesis()));
            self.begin_records(Membership::of(&records), records);
        }
        self.answer(device, incoming, Path::Server { origin: origin.clone(), session: from }, ctx);
    }

    /// The newcomer's channel is confirmed: its acceptance becomes a record that all go by.
    pub(super) fn countersign(&mut self, admitted: &Admitted, ctx: &mut Ctx<'_>) {
        let acceptance = admitted.acceptance().clone();
        let Some(records) = &self.records else { return };
        let id = acceptance.id();
        let done = records
            .iter()
            .any(|record| matches!(record.body(), Body::Countersignature(body) if body.acceptance == id));
        // A device that came back has its place already.
        if done || self.membership.has_place(&admitted.invite(), &admitted.device()) {
            return;
        }
        let prev = newest(records.heads());
        let made = ctx.author.countersignature(self.id, prev, ctx.now.unix_ms, id);
        self.add_record(acceptance, None, ctx);
        if let Ok(countersignature) = made {
            self.add_record(countersignature, None, ctx);
        }
    }
}

/// At most as many predecessors as a record may name; the rest stay heads.
fn newest(mut heads: Vec<RecordId>) -> Vec<RecordId> {
    heads.truncate(crate::record::MAX_PREV);
    heads
}
