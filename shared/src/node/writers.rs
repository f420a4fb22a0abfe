//! The Y.Docs that write in a room. Each has an incarnation of its own, and so a chain and a Yjs client id (PROTOCOL
//! §7.2): a native peer has one, a browser one for every tab.

use super::io::Output;
use super::room::Room;
use super::{Ctx, VerbError};
use crate::frames::ChainId;
use crate::id::DeviceId;

/// How an open Y.Doc writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Writer {
    /// Its number among the Y.Docs of this device.
    pub incarnation: u32,
    /// Its Yjs client id, at most 53 bits.
    pub client: u64,
}

impl Room {
    /// A Y.Doc was opened. It gets back the incarnation it had, or one that no other open Y.Doc has.
    pub(super) fn open_writer(
        &mut self,
        wanted: Option<u32>,
        ctx: &mut Ctx<'_>,
    ) -> Result<Writer, VerbError> {
        if !self.member {
            return Err(VerbError::NotAMember);
        }
        let own = ctx.author.device();
        let free = |number: &u32| !self.open.contains(number);
        let mut known = std::iter::once(self.incarnation).chain(self.further.iter().copied());
        let found = known.clone().find(|number| Some(*number) == wanted && free(number));
        let incarnation = found.or_else(|| known.find(free)).unwrap_or_else(|| {
            let next = self.next_incarnation(&own);
            self.further.insert(next);
            self.persist_meta(ctx);
            next
        });
        self.open.insert(incarnation);
        Ok(Writer { incarnation, client: ChainId { author: own, incarnation }.client() })
    }

    /// A Y.Doc was closed; another may have its incarnation.
    pub(super) fn close_writer(&mut self, incarnation: u32, ctx: &mut Ctx<'_>) {
        if self.open.remove(&incarnation) {
            self.show(incarnation, None, ctx);
        }
    }

    /// A chain of this device came back from others with frames that are not here: a disk was lost in between, and
    /// whoever writes on does so under another incarnation.
    pub(super) fn written_elsewhere(&mut self, incarnation: u32, ctx: &mut Ctx<'_>) {
        let own = ctx.author.device();
        let next = self.next_incarnation(&own);
        let client = ChainId { author: own, incarnation: next }.client();
        if incarnation == self.incarnation {
            self.incarnation = next;
            ctx.emit(Output::SetClient { room: self.id, client });
        } else if self.further.remove(&incarnation) {
            self.further.insert(next);
        } else {
            return;
        }
        self.persist_meta(ctx);
        if let Some(state) = self.shown.get(&incarnation).map(|shown| shown.state.clone()) {
            self.show(incarnation, None, ctx);
            self.show(next, state, ctx);
        }
        if self.open.remove(&incarnation) {
            self.open.insert(next);
            let writer = Writer { incarnation: next, client };
            ctx.emit(Output::Writer { room: self.id, was: incarnation, writer });
        }
    }

    /// Above all that this device is known to have used.
    fn next_incarnation(&self, own: &DeviceId) -> u32 {
        let used = std::iter::once(self.incarnation).chain(self.further.iter().copied()).max();
        self.log.fresh_incarnation(own).max(used.unwrap_or(0).saturating_add(1))
    }
}
