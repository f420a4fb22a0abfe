//! Remembers where every accepted clock lives, so that an update can be held against it.

use std::sync::Arc;

use super::{Checked, UpdateError};
use crate::sorted::Map;

/// Where each accepted item of a room lives: in which list or under which map key, and whether it
/// is itself a shared type.
///
/// `yrs` and Yjs disagree, fail half-way or overflow their stacks on references that no honest
/// client makes (an item between neighbours of different lists, a parent that holds no children,
/// types nested without end). The shape is what [`check`](super::check) needs to see that: one run
/// per stretch of clocks an author wrote into one place, so that a typed text costs a single run.
///
/// It describes the frames that count and is rebuilt with them.
#[derive(Debug, Default, Clone)]
pub struct Shape {
    clients: Map<u64, Vec<Run>>,
}

impl Shape {
    /// Adds what an accepted update created. Call it once per accepted update, in each author's
    /// order.
    pub fn record(&mut self, checked: Checked) {
        if checked.runs.is_empty() {
            return;
        }
        let runs = self.clients.entry(checked.author).or_default();
        for run in checked.runs {
            push(runs, run);
        }
    }

    /// The number of runs kept, as a measure of its size (about 32 bytes each).
    #[must_use]
    pub fn runs(&self) -> usize {
        self.clients.values().map(Vec::len).sum()
    }

    pub(super) fn at(&self, client: u64, clock: u64) -> Result<&Run, UpdateError> {
        self.clients.get(&client).and_then(|runs| find(runs, clock)).ok_or(UpdateError::UnknownReference)
    }
}

/// Clocks of one author, up to `end`, that live in one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) end: u64,
    pub(super) place: Place,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Content,
    /// Deleted within the transaction that made it; what it was is not told.
    Deleted,
    /// A shared type, the only kind with children; always a run of its own.
    Type(List),
}

/// What the list part of a shared type is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    /// Strings, embeds, format marks.
    Text,
    /// Whole values, or nothing at all.
    Values,
    /// XML nodes.
    Nodes,
    /// Binary values of a bounded size, one a stroke.
    Strokes,
    /// A root whose name does not tell, which nobody reads.
    Unknown,
}

impl List {
    pub(super) fn of_root(name: &str) -> Self {
        match name.split_once(':') {
            Some(("text", _)) => Self::Text,
            Some(("array" | "map", _)) => Self::Values,
            Some(("xml", _)) => Self::Nodes,
            Some(("canvas", _)) => Self::Strokes,
            _ => Self::Unknown,
        }
    }
}

#[derive(Debug, Clone)]
pub(super) enum Place {
    /// Garbage when it was sent, or placed by a reference to garbage.
    Gone,
    In(Arc<Container>),
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Gone, Self::Gone) => true,
            (Self::In(a), Self::In(b)) => Arc::ptr_eq(a, b) || a == b,
            _ => false,
        }
    }
}

impl Eq for Place {}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Container {
    pub(super) parent: Parent,
    /// The map key; `None` for the list part.
    pub(super) sub: Option<Box<str>>,
    /// What the list part of the parent takes.
    pub(super) list: List,
    /// The number of types around it, the root not counted.
    pub(super) depth: u8,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parent {
    Root(Box<str>),
    Type { client: u64, clock: u64 },
}

pub(super) fn push(runs: &mut Vec<Run>, run: Run) {
    match runs.last_mut() {
        Some(last)
            if last.kind == run.kind && !matches!(run.kind, Kind::Type(_)) && last.place == run.place =>
        {
            last.end = run.end;
        }
        _ => runs.push(run),
    }
}

pub(super) fn find(runs: &[Run], clock: u64) -> Option<&Run> {
    runs.get(runs.partition_point(|run| run.end <= clock))
}
