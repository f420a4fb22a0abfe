//! The check of a change before anyone applies it: a Yjs update (v1) from one author, held against
//! what that author had seen (PROTOCOL §7.3).
//!
//! ```text
//! bytes → check(update, author, start_clock, known, shape) → Checked → shape.record → apply
//! ```
//!
//! An update that passes is read alike by `yrs` and Yjs, holds structs of its author only, leaves
//! no gap in the author's clocks, refers to nothing outside the author's causal past, deletes only
//! what exists, and nests no deeper than a decoder's stack bears. What it means is not judged here.

mod number;
mod parse;
mod shape;

use std::sync::Arc;

use crate::sorted::Set;

pub(crate) use number::is_finite;
pub(crate) use parse::json;
use parse::{MAX_DEPTH, MAX_SAFE, Reader};
pub use shape::Shape;
use shape::{Container, Kind, List, Parent, Place, Run};

use crate::canvas::MAX_STROKE;

/// The largest update, in bytes.
pub const MAX_UPDATE: usize = 1 << 20;
/// The largest client id: 53 bits, what JavaScript holds exactly.
pub const MAX_CLIENT: u64 = MAX_SAFE;
/// One past the last clock of a client. `yrs` keeps clocks in 32 bits and subtracts them as `i32`.
pub const MAX_CLOCK: u64 = i32::MAX as u64;
/// The longest name of a root type, in bytes.
pub const MAX_ROOT_NAME: usize = 256;
/// How deep values may nest in values, and shared types in shared types.
pub const MAX_NESTING: u8 = MAX_DEPTH;

const HAS_ORIGIN: u8 = 0x80;
const HAS_RIGHT_ORIGIN: u8 = 0x40;
const HAS_PARENT_SUB: u8 = 0x20;
const CONTENT: u8 = 0x1f;

/// What a frame's author may refer to: the causal past of the frame.
pub trait Known {
    /// The number of clocks of `client` in the causal past (exclusive end; 0 for an unknown client).
    fn clock(&self, client: u64) -> u64;
}

/// What [`check`] found in an update that may be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The author's client id.
    pub author: u64,
    /// The author's next clock after this update.
    pub end_clock: u64,
    /// The number of structs.
    pub structs: usize,
    /// The number of clocks its delete set covers.
    pub deleted: u64,
    runs: Vec<Run>,
}

/// Why an update is refused. Every one of these is the author's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// Longer than [`MAX_UPDATE`].
    #[error("update is larger than 1 MiB")]
    TooLarge,
    /// It ends early, or claims more parts than its bytes can hold.
    #[error("update ends early")]
    Truncated,
    /// Bytes follow the delete set.
    #[error("update has trailing bytes")]
    TrailingBytes,
    /// A number over 2^53 - 1, or not in its shortest form.
    #[error("number is too large or not in its shortest form")]
    Number,
    /// A string that is not UTF-8.
    #[error("string is not UTF-8")]
    Utf8,
    /// JSON that not every decoder reads.
    #[error("embedded JSON is malformed")]
    Json,
    /// An unknown kind of value.
    #[error("value has an unknown kind")]
    Value,
    /// Values or types nested deeper than [`MAX_NESTING`].
    #[error("values or types nest deeper than 64")]
    TooDeep,
    /// A client id over [`MAX_CLIENT`].
    #[error("client id has more than 53 bits")]
    ClientTooLarge,
    /// Structs of another client, or in more than one section.
    #[error("update holds structs of another client")]
    NotTheAuthor,
    /// A struct at another clock than the author's next, or a skip.
    #[error("clocks leave a gap or go back")]
    Gap,
    /// The author has used up its clocks.
    #[error("clock is too large")]
    ClockTooLarge,
    /// A struct or a range without length.
    #[error("struct or range is empty")]
    Empty,
    /// Content that rooms do not carry: subdocuments, links, moves, hooks, obsolete JSON.
    #[error("content is not supported")]
    Unsupported,
    /// A root name over [`MAX_ROOT_NAME`].
    #[error("root name is too long")]
    NameTooLong,
    /// An origin, parent or deletion outside the author's causal past.
    #[error("reference to something its author has not seen")]
    UnknownReference,
    /// A parent that has no children.
    #[error("parent is not a shared type")]
    NotAParent,
    /// Neighbours from different places, or content that does not belong there.
    #[error("item does not fit where it is placed")]
    Misplaced,
    /// A stroke over [`MAX_STROKE`].
    #[error("stroke is larger than 128 KiB")]
    StrokeTooLarge,
    /// A delete set with a client twice, or ranges that overlap or are out of order.
    #[error("delete set is not in order")]
    DeleteSet,
}

/// Checks the update of one frame before it is applied.
///
/// `author` is the only client id that may own structs, `start_clock` its next clock before this
/// update, `known` the causal past of the frame and `shape` what all accepted updates so far made.
///
/// # Errors
/// The first rule the update breaks. Nothing of it may be applied then.
pub fn check(
    update: &[u8],
    author: u64,
    start_clock: u64,
    known: &dyn Known,
    shape: &Shape,
) -> Result<Checked, UpdateError> {
    if update.len() > MAX_UPDATE {
        return Err(UpdateError::TooLarge);
    }
    if author > MAX_CLIENT {
        return Err(UpdateError::ClientTooLarge);
    }
    if start_clock > MAX_CLOCK {
        return Err(UpdateError::ClockTooLarge);
    }
    let mut check = Check {
        reader: Reader::new(update),
        author,
        start_clock,
        clock: start_clock,
        known,
        shape,
        runs: Vec::new(),
    };
    let structs = check.structs()?;
    let deleted = check.delete_set()?;
    if !check.reader.is_empty() {
        return Err(UpdateError::TrailingBytes);
    }
    Ok(Checked { author, end_clock: check.clock, structs, deleted, runs: check.runs })
}

struct Check<'a> {
    reader: Reader<'a>,
    author: u64,
    start_clock: u64,
    /// The clock of the struct being read.
    clock: u64,
    known: &'a dyn Known,
    shape: &'a Shape,
    /// Where the structs read so far live.
    runs: Vec<Run>,
}

impl Check<'_> {
    fn structs(&mut self) -> Result<usize, UpdateError> {
        match self.reader.uint()? {
            0 => return Ok(0),
            1 => {}
            _ => return Err(UpdateError::NotTheAuthor),
        }
        let structs = self.reader.count(2)?;
        if structs == 0 {
            return Err(UpdateError::Empty);
        }
        if self.client()? != self.author {
            return Err(UpdateError::NotTheAuthor);
        }
        if self.reader.uint()? != self.start_clock {
            return Err(UpdateError::Gap);
        }
        for _ in 0..structs {
            self.one_struct()?;
        }
        Ok(structs)
    }

    fn one_struct(&mut self) -> Result<(), UpdateError> {
        let (len, place, kind) = match self.reader.byte()? {
            // An honest author sends garbage for what it made and dropped in one transaction.
            0 => (self.reader.uint()?, Place::Gone, Kind::Deleted),
            10 => return Err(UpdateError::Gap),
            info => {
                let place = self.place(info)?;
                let (len, kind) = self.content(info & CONTENT, &place)?;
                (len, place, kind)
            }
        };
        if len == 0 {
            return Err(UpdateError::Empty);
        }
        let end = self.clock.checked_add(len).filter(|end| *end <= MAX_CLOCK);
        self.clock = end.ok_or(UpdateError::ClockTooLarge)?;
        let end = self.clock;
        shape::push(&mut self.runs, Run { end, place, kind });
        Ok(())
    }

    /// Reads an item's neighbours or parent, and says where that puts it.
    fn place(&mut self, info: u8) -> Result<Place, UpdateError> {
        let left = self.neighbour(info & HAS_ORIGIN != 0)?;
        let right = self.neighbour(info & HAS_RIGHT_ORIGIN != 0)?;
        match (left, right) {
            (Some(left), Some(right)) if left != right => Err(UpdateError::Misplaced),
            (Some(place), _) | (None, Some(place)) => Ok(place),
            (None, None) => {
                let parent = self.parent()?;
                let sub = if info & HAS_PARENT_SUB == 0 { None } else { Some(self.reader.string()?.into()) };
                Ok(match parent {
                    None => Place::Gone,
                    Some((_, List::Strokes, _)) if sub.is_some() => return Err(UpdateError::Misplaced),
                    Some((parent, list, depth)) => {
                        Place::In(Arc::new(Container { parent, sub, list, depth }))
                    }
                })
            }
        }
    }

    fn neighbour(&mut self, present: bool) -> Result<Option<Place>, UpdateError> {
        if !present {
            return Ok(None);
        }
        let (client, clock) = self.id()?;
        Ok(Some(self.run(client, clock)?.place.clone()))
    }

    /// The parent, what its list takes, and its depth; `None` for one that its author deleted as
    /// it made it.
    fn parent(&mut self) -> Result<Option<(Parent, List, u8)>, UpdateError> {
        match self.reader.uint()? {
            1 => {
                let name = self.reader.string()?;
                if name.len() > MAX_ROOT_NAME {
                    return Err(UpdateError::NameTooLong);
                }
                Ok(Some((Parent::Root(name.into()), List::of_root(name), 0)))
            }
            0 => {
                let (client, clock) = self.id()?;
                let run = self.run(client, clock)?;
                match (run.kind, &run.place) {
                    (Kind::Deleted, _) | (Kind::Type(_), Place::Gone) => Ok(None),
                    (Kind::Content, _) => Err(UpdateError::NotAParent),
                    (Kind::Type(list), Place::In(around)) => {
                        if around.depth >= MAX_NESTING {
                            return Err(UpdateError::TooDeep);
                        }
                        let parent = Parent::Type { client, clock };
                        Ok(Some((parent, list, around.depth + 1)))
                    }
                }
            }
            _ => Err(UpdateError::Number),
        }
    }

    /// Reads an item's content; returns its length in clocks.
    fn content(&mut self, kind: u8, place: &Place) -> Result<(u64, Kind), UpdateError> {
        let list = list_at(place);
        // Under a map key Yjs shows the last unit of a text and a mark as undefined, `yrs` the whole and nothing.
        let has_key = matches!(place, Place::In(container) if container.sub.is_some());
        if list == Some(List::Strokes) && !matches!(kind, 1 | 3) || has_key && matches!(kind, 4..=6) {
            return Err(UpdateError::Misplaced);
        }
        let len = match kind {
            1 => return Ok((self.reader.uint()?, Kind::Deleted)),
            3 => {
                let bytes = self.reader.bytes()?;
                if list == Some(List::Strokes) && bytes.len() > MAX_STROKE {
                    return Err(UpdateError::StrokeTooLarge);
                }
                1
            }
            4 => {
                let units: usize = self.reader.string()?.chars().map(char::len_utf16).sum();
                units as u64
            }
            5 => {
                self.reader.json()?;
                1
            }
            6 => {
                self.reader.string()?;
                self.reader.json()?;
                1
            }
            7 => {
                let (node, inside) = match self.reader.byte()? {
                    0 | 1 => (false, List::Values),
                    2 => (false, List::Text),
                    3 => {
                        self.reader.string()?;
                        (true, List::Nodes)
                    }
                    4 => (true, List::Nodes),
                    6 => (true, List::Text),
                    _ => return Err(UpdateError::Unsupported),
                };
                if list == Some(List::Nodes) && !node {
                    return Err(UpdateError::Misplaced);
                }
                return Ok((1, Kind::Type(inside)));
            }
            8 => {
                let values = self.reader.count(1)?;
                for _ in 0..values {
                    self.reader.any(0)?;
                }
                values as u64
            }
            // 2, obsolete JSON: `yrs` reads one string more than Yjs wrote. 9: subdocuments.
            _ => return Err(UpdateError::Unsupported),
        };
        let misplaced = match list {
            // These would take up positions without being seen.
            Some(List::Text) => matches!(kind, 3 | 8),
            // `yrs` counts a string in UTF-16 units and reads it by characters: in an array it
            // waits forever for the second half of a surrogate pair.
            Some(List::Values) => matches!(kind, 4..=6),
            // Yjs shows them, `yrs` passes over them.
            Some(List::Nodes) => true,
            Some(List::Strokes | List::Unknown) | None => false,
        };
        if misplaced {
            return Err(UpdateError::Misplaced);
        }
        Ok((len, Kind::Content))
    }

    fn delete_set(&mut self) -> Result<u64, UpdateError> {
        let mut deleted = 0;
        let clients = self.reader.count(4)?;
        let mut seen = Vec::new();
        for _ in 0..clients {
            let client = self.client()?;
            seen.push(client);
            let limit =
                if client == self.author { self.clock } else { self.known.clock(client).min(MAX_CLOCK) };
            let ranges = self.reader.count(2)?;
            if ranges == 0 {
                return Err(UpdateError::Empty);
            }
            let mut next = 0;
            for _ in 0..ranges {
                let (clock, len) = (self.reader.uint()?, self.reader.uint()?);
                if len == 0 {
                    return Err(UpdateError::Empty);
                }
                if clock < next {
                    return Err(UpdateError::DeleteSet);
                }
                // Both are below 2^53.
                next = clock + len;
                if next > limit {
                    return Err(UpdateError::UnknownReference);
                }
                deleted += len;
            }
        }
        // `yrs` lets a client's second section replace the first, Yjs adds them.
        let sections = seen.len();
        if Set::from(seen).len() < sections {
            return Err(UpdateError::DeleteSet);
        }
        Ok(deleted)
    }

    fn client(&mut self) -> Result<u64, UpdateError> {
        self.reader.uint().map_err(|error| match error {
            UpdateError::Number => UpdateError::ClientTooLarge,
            other => other,
        })
    }

    fn id(&mut self) -> Result<(u64, u64), UpdateError> {
        let client = self.client()?;
        let clock = self.reader.uint()?;
        let limit = if client == self.author { self.clock } else { self.known.clock(client) };
        if clock < limit { Ok((client, clock)) } else { Err(UpdateError::UnknownReference) }
    }

    fn run(&self, client: u64, clock: u64) -> Result<&Run, UpdateError> {
        if client == self.author && clock >= self.start_clock {
            shape::find(&self.runs, clock).ok_or(UpdateError::UnknownReference)
        } else {
            self.shape.at(client, clock)
        }
    }
}

/// What goes where an item is placed; `None` under a map key, and where nothing is kept.
fn list_at(place: &Place) -> Option<List> {
    match place {
        Place::In(container) if container.sub.is_none() => Some(container.list),
        _ => None,
    }
}
