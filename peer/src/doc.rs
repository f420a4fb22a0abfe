//! A room's document: the one place that knows `yrs`.
//!
//! ```text
//! insert, delete, merge_edit, draw, erase → yrs → take_updates → frames to sign
//! update that passed the check → apply → changes to show
//! ```
//!
//! Left out: who may change what, and in which order; that is settled before [`Doc::apply`].

mod canvas;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use yrs::block::ClientID;
use yrs::types::Delta;
use yrs::types::text::YChange;
use yrs::updates::decoder::Decode;
use yrs::{
    Any, Observable, OffsetKind, Options, Out, ReadTxn, StateVector, Text, Transact, TransactionMut, Update,
    WriteTxn,
};

use crate::edits::{self, Edit};
use canvas::CANVAS;

/// The kind of document this file edits; the root type of the text `main` is `text:main`.
const TEXT: &str = "text:";
/// The longest root name, as the check has it.
const MAX_ROOT_NAME: usize = 256;
/// The most text in one transaction, so that its update, with ids and names, is under 256 KiB.
const MAX_INSERT: usize = (256 << 10) - 1024;
/// The most UTF-16 units deleted in one transaction. At worst each is a range of its own.
const MAX_DELETE: u32 = 16 << 10;
/// Stands in a text for an embedded object, which takes up one position.
const EMBED: &str = "\u{fffc}";
/// The origin of transactions that apply others' changes, the only ones reported as changes.
const APPLIED: &str = "applied";

/// A room's Yjs document.
///
/// Positions and lengths are UTF-16 units. A text named `main` is the root type `text:main`; an
/// embedded object counts as one unit and reads as U+FFFC.
///
/// Every edit is put aside as an update; take them with [`take_updates`](Self::take_updates) and
/// sign them before [`set_client`](Self::set_client).
pub struct Doc {
    yrs: yrs::Doc,
    /// Root names of the texts that report to `changes` and the canvases that report to `drawn`.
    watched: BTreeSet<Arc<str>>,
    changes: Arc<Mutex<Vec<TextChange>>>,
    /// Names of the canvases that were changed by others.
    drawn: Arc<Mutex<BTreeSet<String>>>,
    updates: Vec<Vec<u8>>,
}

/// A root type of a room's document, named `KIND:NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentStatus {
    /// What it is: `text`, `canvas`, or what another program made of it.
    pub kind: String,
    /// Its name; the commands show `main`.
    pub name: String,
    /// The characters of a text, the strokes of a canvas.
    pub size: Option<usize>,
}

/// A stretch of a text that was replaced. Several are to be applied one after the other: positions
/// of one count what those before it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextChange {
    /// The text's name, as [`Doc::text`] takes it.
    pub document: String,
    /// Where it starts, in UTF-16 units.
    pub at: u32,
    /// The UTF-16 units removed there.
    pub deleted: u32,
    /// What was put there.
    pub inserted: String,
}

/// A text as an editor was opened with, and the document's state at that time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditBase {
    name: String,
    text: String,
    state: Vec<u8>,
}

impl EditBase {
    /// What to open the editor with.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Why the document did not change, or not wholly.
#[derive(Debug, thiserror::Error)]
pub enum DocError {
    /// An update that does not decode; the check refuses these.
    #[error("update is malformed: {0}")]
    Malformed(#[from] yrs::encoding::read::Error),
    /// An update that broke off half-way; the check refuses these.
    #[error("update does not apply: {0}")]
    Apply(#[from] yrs::error::UpdateError),
    /// An update applied before one it builds on. What could not be applied is dropped.
    #[error("update builds on one that is missing")]
    Pending,
    /// A position after the end of the text.
    #[error("position {at} is past the end of '{name}' at {len}")]
    OutOfRange {
        /// The text.
        name: String,
        /// The position asked for.
        at: u32,
        /// The length of the text.
        len: u32,
    },
    /// A position between the two halves of a character outside the basic plane.
    #[error("position {at} is inside a character")]
    InsideCharacter {
        /// The position asked for.
        at: u32,
    },
    /// A name too long for a root type.
    #[error("the document's name is too long: with its kind it has at most 256 bytes")]
    NameTooLong,
}

impl Doc {
    /// An empty document whose edits are made as `client` (at most 53 bits).
    #[must_use]
    pub fn new(client: u64) -> Self {
        let mut options = Options::with_client_id(ClientID::new(client));
        options.offset_kind = OffsetKind::Utf16;
        // Frames keep the history. Deleted content is dropped, as Yjs does by default.
        options.skip_gc = false;
        // It would delete format marks unsigned, while applying someone else's change.
        options.cleanup_formatting = false;
        Self {
            yrs: yrs::Doc::with_options(options),
            watched: BTreeSet::new(),
            changes: Arc::default(),
            drawn: Arc::default(),
            updates: Vec::new(),
        }
    }

    /// The client id under which edits are made.
    #[must_use]
    pub fn client(&self) -> u64 {
        self.yrs.client_id().get()
    }

    /// Makes further edits as `client`, a fresh incarnation. Updates not yet taken keep the old id.
    pub fn set_client(&mut self, client: u64) {
        if client == self.client() {
            return;
        }
        let mut fresh = Self::new(client);
        // `yrs` cannot change the id of a document. It reads back what it wrote itself.
        if fresh.apply(&self.state(&StateVector::default())).is_ok() {
            fresh.updates = std::mem::take(&mut self.updates);
            // Nothing changed in it.
            fresh.take_drawn();
            *self = fresh;
        }
    }

    /// Applies an update that passed the core's check. Returns what it changed in texts, in order.
    ///
    /// # Errors
    /// If the update is not what the check lets through. Parts of it may have been applied.
    pub fn apply(&mut self, update: &[u8]) -> Result<Vec<TextChange>, DocError> {
        let update = Update::decode_v1(update)?;
        let result = {
            let mut txn = self.yrs.transact_mut_with(APPLIED);
            let result = txn.apply_update(update);
            // A root has no type until it is asked for as one, and reports nothing before that.
            let fresh: Vec<Arc<str>> = txn
                .root_refs()
                .map(|(name, _)| name)
                .filter(|name| name.starts_with(TEXT) || name.starts_with(CANVAS))
                .filter(|name| !self.watched.contains(*name))
                .map(Arc::from)
                .collect();
            for name in fresh {
                if name.starts_with(TEXT) {
                    watch(&mut txn, &name, &self.changes);
                } else {
                    canvas::watch(&mut txn, &name, &self.drawn);
                }
                self.watched.insert(name);
            }
            let pending = txn.prune_pending().is_some();
            result?;
            if pending { Err(DocError::Pending) } else { Ok(()) }
        };
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = std::mem::take(&mut *changes);
        result.map(|()| changes)
    }

    /// A text; empty if there is none of that name.
    #[must_use]
    pub fn text(&self, name: &str) -> String {
        let txn = self.yrs.transact();
        let Some(text) = txn.get_text(root(name)) else {
            return String::new();
        };
        let mut whole = String::new();
        for part in text.diff(&txn, YChange::identity) {
            match part.insert {
                Out::Any(Any::String(part)) => whole.push_str(&part),
                _ => whole.push_str(EMBED),
            }
        }
        whole
    }

    /// The length of a text in UTF-16 units.
    #[must_use]
    pub fn len_utf16(&self, name: &str) -> u32 {
        let txn = self.yrs.transact();
        txn.get_text(root(name)).map_or(0, |text| text.len(&txn))
    }

    /// The names of all root types (`KIND:NAME`), sorted.
    #[must_use]
    pub fn documents(&self) -> Vec<String> {
        let txn = self.yrs.transact();
        let mut names: Vec<_> = txn.root_refs().map(|(name, _)| name.to_owned()).collect();
        names.sort_unstable();
        names
    }

    /// What there is of documents, by their root names.
    #[must_use]
    pub fn list(&self) -> Vec<DocumentStatus> {
        let status = |root: String| {
            let (kind, name) = root.split_once(':').unwrap_or(("", &root));
            let size = match kind {
                "text" => Some(self.text(name).chars().count()),
                "canvas" => Some(self.strokes(name).len()),
                _ => None,
            };
            DocumentStatus { kind: kind.to_owned(), name: name.to_owned(), size }
        };
        self.documents().into_iter().map(status).collect()
    }

    /// Inserts into a text. A long insertion becomes several updates of less than 256 KiB each.
    ///
    /// # Errors
    /// If `at` is past the end or inside a character.
    pub fn insert(&mut self, name: &str, at: u32, text: &str) -> Result<(), DocError> {
        self.positions(name, [at])?;
        self.insert_unchecked(name, at, text);
        Ok(())
    }

    /// Deletes a range of a text.
    ///
    /// # Errors
    /// If the range ends past the end, or starts or ends inside a character.
    pub fn delete(&mut self, name: &str, range: Range<u32>) -> Result<(), DocError> {
        self.positions(name, [range.start, range.end])?;
        self.delete_unchecked(name, range);
        Ok(())
    }

    /// Keeps a text as it is now, to open an editor with.
    #[must_use]
    pub fn snapshot(&self, name: &str) -> EditBase {
        EditBase { name: name.to_owned(), text: self.text(name), state: self.state(&StateVector::default()) }
    }

    /// Makes the changes that turned `base` into `new`. Whatever others inserted since then stays,
    /// wherever it is; of what was there before, all that either side deleted is gone.
    ///
    /// # Errors
    /// If the document's own state does not read back.
    pub fn merge_edit(&mut self, base: &EditBase, new: &str) -> Result<(), DocError> {
        let mine = edits::between(&base.text, new);
        if mine.is_empty() {
            return Ok(());
        }
        let edits = edits::rebase(mine, &self.since(base)?);
        self.replace(&base.name, &edits)
    }

    /// The local updates since the last call, merged in order as far as each stays within `max`
    /// bytes. A single update over `max` comes as it is.
    pub fn take_updates(&mut self, max: usize) -> Vec<Vec<u8>> {
        let mut groups: Vec<Vec<Vec<u8>>> = Vec::new();
        let mut size = 0;
        for update in self.updates.drain(..) {
            size += update.len();
            match groups.last_mut() {
                Some(group) if size <= max => group.push(update),
                _ => {
                    size = update.len();
                    groups.push(vec![update]);
                }
            }
        }
        let mut merged = Vec::with_capacity(groups.len());
        for mut group in groups {
            match yrs::merge_updates_v1(&group) {
                Ok(update) if group.len() > 1 && update.len() <= max => merged.push(update),
                _ => merged.append(&mut group),
            }
        }
        merged
    }

    /// Whether [`take_updates`](Self::take_updates) has something to give.
    #[must_use]
    pub fn has_updates(&self) -> bool {
        !self.updates.is_empty()
    }

    /// Bytes that are equal for documents with the same state vector, the same texts and the same canvases.
    #[must_use]
    pub fn digest_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut clocks: Vec<(u64, u32)> = {
            let state = self.yrs.transact().state_vector();
            state.iter().map(|(c, clock)| (c.get(), *clock)).collect()
        };
        clocks.sort_unstable();
        for (client, clock) in clocks {
            bytes.extend_from_slice(&client.to_be_bytes());
            bytes.extend_from_slice(&clock.to_be_bytes());
        }
        for name in self.documents() {
            let mut content = Vec::new();
            if let Some(text) = name.strip_prefix(TEXT) {
                content = self.text(text).into_bytes();
            } else if name.starts_with(CANVAS) {
                for value in canvas::values(&self.yrs.transact(), &name) {
                    content.extend_from_slice(&(value.len() as u64).to_be_bytes());
                    content.extend_from_slice(&value);
                }
            }
            for part in [name.as_bytes(), &content] {
                bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
                bytes.extend_from_slice(part);
            }
        }
        bytes
    }

    fn state(&self, from: &StateVector) -> Vec<u8> {
        self.yrs.transact().encode_state_as_update_v1(from)
    }

    /// What happened to the text since `base`: the base is brought up to date, which tells by the
    /// identity of each character, not by its looks, what came and went.
    fn since(&self, base: &EditBase) -> Result<Vec<Edit>, DocError> {
        let mut replay = Self::new(self.client());
        replay.apply(&base.state)?;
        let known = replay.yrs.transact().state_vector();
        let changes = replay.apply(&self.state(&known))?;
        let mut shift = 0;
        let mut edits = Vec::new();
        for change in changes.into_iter().filter(|c| c.document == base.name) {
            let now = Edit { range: change.at..change.at + change.deleted, insert: change.inserted };
            let range = now.moved(-shift);
            shift += now.growth();
            edits.push(Edit { range, ..now });
        }
        Ok(edits)
    }

    fn positions<const N: usize>(&self, name: &str, at: [u32; N]) -> Result<(), DocError> {
        if TEXT.len() + name.len() > MAX_ROOT_NAME {
            return Err(DocError::NameTooLong);
        }
        let len = self.len_utf16(name);
        if let Some(&at) = at.iter().find(|at| **at > len) {
            let name = name.to_owned();
            return Err(DocError::OutOfRange { name, at, len });
        }
        if at.iter().all(|at| *at == 0 || *at == len) {
            return Ok(());
        }
        let mut unit = 0;
        for c in self.text(name).chars() {
            unit += 1;
            if c.len_utf16() == 2 {
                if at.contains(&unit) {
                    return Err(DocError::InsideCharacter { at: unit });
                }
                unit += 1;
            }
        }
        Ok(())
    }

    /// Makes edits that are in order and apart, in few transactions. From the front, because each
    /// cuts a long item in two, and finding the place in it counts from its start.
    fn replace(&mut self, name: &str, edits: &[Edit]) -> Result<(), DocError> {
        self.positions(name, edits.last().map_or([0], |last| [last.range.end]))?;
        let mut shift = 0;
        let mut left = edits;
        while let Some((first, after)) = left.split_first() {
            let mut size = 0;
            let fitting = left.iter().take_while(|edit| {
                size += weight(edit);
                size <= MAX_INSERT
            });
            let (batch, rest) = left.split_at(fitting.count());
            if batch.is_empty() {
                let range = first.moved(shift);
                self.insert_unchecked(name, range.end, &first.insert);
                self.delete_unchecked(name, range);
                shift += first.growth();
                left = after;
                continue;
            }
            self.edit(name, |text, txn| {
                for edit in batch {
                    let range = edit.moved(shift);
                    text.insert(txn, range.end, &edit.insert);
                    text.remove_range(txn, range.start, range.end - range.start);
                    shift += edit.growth();
                }
            });
            left = rest;
        }
        Ok(())
    }

    fn insert_unchecked(&mut self, name: &str, at: u32, text: &str) {
        let mut at = at;
        let mut rest = text;
        while !rest.is_empty() {
            let (part, after) = rest.split_at(rest.floor_char_boundary(MAX_INSERT));
            rest = after;
            self.edit(name, |text, txn| text.insert(txn, at, part));
            at += edits::units(part);
        }
    }

    fn delete_unchecked(&mut self, name: &str, range: Range<u32>) {
        let mut left = range.end.saturating_sub(range.start);
        while left > 0 {
            let part = self.whole_characters(name, range.start, left.min(MAX_DELETE), left);
            self.edit(name, |text, txn| {
                text.remove_range(txn, range.start, part);
            });
            left -= part;
        }
    }

    /// `len` units from `at`, or one more if that would split a character.
    fn whole_characters(&self, name: &str, at: u32, len: u32, left: u32) -> u32 {
        if len < left && self.positions(name, [at + len]).is_err() { len + 1 } else { len }
    }

    fn edit(&mut self, name: &str, change: impl FnOnce(&yrs::TextRef, &mut TransactionMut)) {
        let mut txn = self.yrs.transact_mut();
        let name: Arc<str> = root(name).into();
        let text = if self.watched.contains(&name) {
            txn.get_or_insert_text(Arc::clone(&name))
        } else {
            let text = watch(&mut txn, &name, &self.changes);
            self.watched.insert(name);
            text
        };
        change(&text, &mut txn);
        txn.commit();
        if txn.has_changes() {
            self.updates.push(txn.encode_update_v1());
        }
    }
}

/// The most bytes an edit adds to an update.
fn weight(edit: &Edit) -> usize {
    const ITEM: usize = 64;
    const DELETED_UNIT: usize = MAX_INSERT / MAX_DELETE as usize;
    let deleted = (edit.range.end - edit.range.start) as usize;
    ITEM + edit.insert.len() + deleted * DELETED_UNIT
}

fn root(name: &str) -> String {
    format!("{TEXT}{name}")
}

fn watch(txn: &mut TransactionMut, root: &Arc<str>, changes: &Arc<Mutex<Vec<TextChange>>>) -> yrs::TextRef {
    let text = txn.get_or_insert_text(Arc::clone(root));
    let changes = Arc::clone(changes);
    let name = root.strip_prefix(TEXT).unwrap_or(root).to_owned();
    text.observe(APPLIED, move |txn, event| {
        if txn.origin().is_some_and(|o| o.as_ref() == APPLIED.as_bytes()) {
            let mut changes = changes.lock().unwrap_or_else(PoisonError::into_inner);
            push_changes(&mut changes, &name, event.delta(txn));
        }
    });
    text
}

fn push_changes(changes: &mut Vec<TextChange>, name: &str, delta: &[Delta]) {
    let from = changes.len();
    let mut at = 0;
    for part in delta {
        let (deleted, inserted) = match part {
            Delta::Retain(len, _) => {
                at += len;
                continue;
            }
            Delta::Deleted(len) => (*len, ""),
            Delta::Inserted(Out::Any(Any::String(text)), _) => (0, &**text),
            Delta::Inserted(..) => (0, EMBED),
        };
        let here = at;
        at += edits::units(inserted);
        match changes[from..].last_mut() {
            // What was replaced, or inserted in pieces, is one change.
            Some(last) if last.at + edits::units(&last.inserted) == here => {
                last.deleted += deleted;
                last.inserted.push_str(inserted);
            }
            _ => changes.push(TextChange {
                document: name.to_owned(),
                at: here,
                deleted,
                inserted: inserted.to_owned(),
            }),
        }
    }
}
