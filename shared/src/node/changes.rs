//! Changes of the document: frames from others, and our own (PROTOCOL §7).

use std::time::Duration;

use super::io::{Event, Output};
use super::room::{Room, Taken};
use super::{Ctx, VerbError, store};
use crate::frames::{Frame, Inserted};
use crate::id::DeviceId;
use crate::mesh::Item;

/// Local changes that follow each other faster than this are gathered.
const GATHER: Duration = Duration::from_millis(30);

impl Room {
    /// Adds a frame that was checked.
    pub(super) fn add_frame(&mut self, frame: Frame, from: Option<DeviceId>, ctx: &mut Ctx<'_>) -> Taken {
        let chain = frame.chain();
        let item = *frame.id().as_bytes();
        match self.log.insert(frame, |device| self.membership.was_admitted(device)) {
            Inserted::New(frames) => {
                self.accepted(frames, from, ctx);
                Taken::New
            }
            Inserted::Known => {
                self.gossip.arrived(&item);
                Taken::Known
            }
            Inserted::Waiting => Taken::Held,
            Inserted::Refused(why) => {
                self.gossip.arrived(&item);
                let (room, device) = (self.id, chain.author);
                ctx.event(Event::Cut { room, device, why: why.to_string() });
                Taken::Held
            }
        }
    }

    pub(super) fn accepted(&mut self, frames: Vec<Frame>, from: Option<DeviceId>, ctx: &mut Ctx<'_>) {
        let first = self.log.len() - frames.len();
        for (n, frame) in frames.into_iter().enumerate() {
            let chain = frame.chain();
            ctx.emit(store::persist_frame(&self.id, first + n, &frame));
            ctx.emit(Output::Apply { room: self.id, chain, update: frame.update().clone() });
            if chain.author == ctx.author.device() && self.member {
                self.written_elsewhere(chain.incarnation, ctx);
            }
            self.spread_frame(&frame, from, ctx);
        }
    }

    fn spread_frame(&mut self, frame: &Frame, from: Option<DeviceId>, ctx: &mut Ctx<'_>) {
        let item = Item::Frame(frame.wire().to_vec().into());
        let place = Some((frame.chain(), frame.seq()));
        self.spread(*frame.id().as_bytes(), &frame.chain().author, item, from, place, ctx);
    }

    pub(super) fn local_changed(&mut self, ctx: &mut Ctx<'_>) {
        let now = ctx.now.monotonic;
        if self.collect_at.is_none() {
            let due = self.last_local.map_or(now, |last| last + GATHER);
            self.collect_at = Some(due.max(now));
        }
        self.collect_due(ctx);
    }

    pub(super) fn flush(&mut self, ctx: &mut Ctx<'_>) {
        self.collect_at = Some(ctx.now.monotonic);
        self.collect_due(ctx);
    }

    pub(super) fn collect_due(&mut self, ctx: &mut Ctx<'_>) {
        if self.collect_at.is_some_and(|at| at <= ctx.now.monotonic) {
            self.collect_at = None;
            self.last_local = Some(ctx.now.monotonic);
            ctx.emit(Output::Collect { room: self.id });
        }
    }

    pub(super) fn local_update(&mut self, update: &[u8], ctx: &mut Ctx<'_>) -> Result<(), VerbError> {
        self.write_as(self.incarnation, update, ctx)
    }

    pub(super) fn write(
        &mut self,
        incarnation: u32,
        update: &[u8],
        ctx: &mut Ctx<'_>,
    ) -> Result<(), VerbError> {
        if !self.open.contains(&incarnation) {
            return Err(VerbError::Change(format!("there is no open document with number {incarnation}")));
        }
        self.write_as(incarnation, update, ctx)
    }

    fn write_as(&mut self, incarnation: u32, update: &[u8], ctx: &mut Ctx<'_>) -> Result<(), VerbError> {
        if !self.member {
            return Err(VerbError::NotAMember);
        }
        let key = &ctx.author.keys().sign;
        let frame =
            self.log.compose(key, incarnation, update).map_err(|why| VerbError::Change(why.to_string()))?;
        ctx.emit(store::persist_frame(&self.id, self.log.len() - 1, &frame));
        self.spread_frame(&frame, None, ctx);
        Ok(())
    }
}
