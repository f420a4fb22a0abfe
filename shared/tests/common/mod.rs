//! Several authors editing one document with `yrs`, exchanging every transaction's update.
#![allow(
    dead_code,
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::pedantic,
    clippy::collapsible_if,
    unreachable_pub
)]

pub mod watch;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use symbolon_core::update::{Checked, Known, Shape, UpdateError, check};
use yrs::block::{ItemContent, Prelim, Unused};
use yrs::branch::BranchPtr;
use yrs::types::Attrs;
use yrs::updates::decoder::Decode;
use yrs::{
    Any, Array, ArrayPrelim, Map, MapPrelim, MapRef, OffsetKind, Options, Out, ReadTxn, Text, TextPrelim,
    Transact, TransactionMut, UndoManager, Update, WriteTxn, XmlElementPrelim, XmlFragment, XmlTextPrelim,
};

#[derive(Debug, Clone, Default)]
pub struct Clocks(pub BTreeMap<u64, u64>);

impl Known for Clocks {
    fn clock(&self, client: u64) -> u64 {
        self.0.get(&client).copied().unwrap_or(0)
    }
}

#[derive(Debug, Clone)]
pub struct Frame {
    pub author: usize,
    pub client: u64,
    pub update: Vec<u8>,
    pub start: u64,
    pub known: Clocks,
}

#[derive(Debug, Clone)]
pub enum Op {
    Insert(usize, u32, String),
    Delete(usize, u32, u32),
    Format(usize, u32, u32, bool),
    Embed(usize, u32),
    EmbedType(usize, u32),
    Set(usize, u8, u8),
    Remove(usize, u8),
    Nest(usize, u8),
    NestArray(usize, u8),
    SetNested(usize, u8, u8),
    NestAndDrop(usize, u8),
    Push(usize, u32, u8),
    Pull(usize, u32, u32),
    Xml(usize, u8),
    XmlRemove(usize),
    Draw(usize, u32, Vec<u8>),
    Erase(usize, u32, u32),
    Many(usize, u8),
    Undo(usize),
    Redo(usize),
    Sync(usize, u64),
}

pub const AUTHORS: usize = 3;

pub fn op() -> impl Strategy<Value = Op> {
    let a = 0..AUTHORS;
    let s = "[a-zé😀\\n ]{1,6}";
    prop_oneof![
        6 => (a.clone(), any::<u32>(), s).prop_map(|(a, p, s)| Op::Insert(a, p, s)),
        4 => (a.clone(), any::<u32>(), 1..6u32).prop_map(|(a, p, n)| Op::Delete(a, p, n)),
        3 => (a.clone(), any::<u32>(), 1..6u32, any::<bool>()).prop_map(|(a, p, n, on)| Op::Format(a, p, n, on)),
        1 => (a.clone(), any::<u32>()).prop_map(|(a, p)| Op::Embed(a, p)),
        1 => (a.clone(), any::<u32>()).prop_map(|(a, p)| Op::EmbedType(a, p)),
        2 => (a.clone(), 0..4u8, any::<u8>()).prop_map(|(a, k, v)| Op::Set(a, k, v)),
        1 => (a.clone(), 0..4u8).prop_map(|(a, k)| Op::Remove(a, k)),
        2 => (a.clone(), 0..4u8).prop_map(|(a, k)| Op::Nest(a, k)),
        1 => (a.clone(), 0..4u8).prop_map(|(a, k)| Op::NestArray(a, k)),
        3 => (a.clone(), 0..4u8, any::<u8>()).prop_map(|(a, k, v)| Op::SetNested(a, k, v)),
        1 => (a.clone(), 0..4u8).prop_map(|(a, k)| Op::NestAndDrop(a, k)),
        2 => (a.clone(), any::<u32>(), any::<u8>()).prop_map(|(a, p, v)| Op::Push(a, p, v)),
        2 => (a.clone(), any::<u32>(), 1..3u32).prop_map(|(a, p, n)| Op::Pull(a, p, n)),
        1 => (a.clone(), any::<u8>()).prop_map(|(a, v)| Op::Xml(a, v)),
        1 => a.clone().prop_map(Op::XmlRemove),
        2 => (a.clone(), any::<u32>(), prop::collection::vec(any::<u8>(), 0..9)).prop_map(|(a, p, s)| Op::Draw(a, p, s)),
        2 => (a.clone(), any::<u32>(), 1..3u32).prop_map(|(a, p, n)| Op::Erase(a, p, n)),
        1 => (a.clone(), any::<u8>()).prop_map(|(a, v)| Op::Many(a, v)),
        1 => a.clone().prop_map(Op::Undo),
        1 => a.clone().prop_map(Op::Redo),
        5 => (a, any::<u64>()).prop_map(|(a, mask)| Op::Sync(a, mask)),
    ]
}

pub struct Author {
    pub doc: yrs::Doc,
    pub client: u64,
    out: Arc<Mutex<Vec<Vec<u8>>>>,
    remote: Arc<AtomicBool>,
    undo: UndoManager,
    applied: Vec<bool>,
}

pub fn options(client: u64, gc: bool, cleanup: bool) -> Options {
    let mut options = Options::with_client_id(yrs::block::ClientID::new(client));
    options.offset_kind = OffsetKind::Utf16;
    options.skip_gc = !gc;
    options.cleanup_formatting = cleanup;
    options
}

impl Author {
    pub fn new(index: usize) -> Self {
        // Client ids out of the order of their indices; the second keeps deleted content, as an
        // undo manager does.
        let client = [0x1f_ffff_ffff_ffff, 7, 0x1234_5678_9abc][index];
        let doc = yrs::Doc::with_options(options(client, index != 1, index != 2));
        let out = Arc::new(Mutex::new(Vec::new()));
        let remote = Arc::new(AtomicBool::new(false));
        let (o, r) = (out.clone(), remote.clone());
        doc.observe_update_v1("out", move |_, event| {
            if !r.load(Ordering::Relaxed) {
                o.lock().unwrap().push(event.update.clone());
            }
        })
        .unwrap();
        let text = doc.get_or_insert_text("text:main");
        let map = doc.get_or_insert_map("map:m");
        let mut undo =
            UndoManager::with_options(yrs::undo::Options { capture_timeout_millis: 0, ..Default::default() });
        undo.expand_scope(&doc, &text);
        undo.expand_scope(&doc, &map);
        undo.expand_scope(&doc, &doc.get_or_insert_array("canvas:main"));
        Self { doc, client, out, remote, undo, applied: Vec::new() }
    }

    pub fn clocks(&self) -> Clocks {
        let sv = self.doc.transact().state_vector();
        Clocks(sv.iter().map(|(c, n)| (c.get(), u64::from(*n))).collect())
    }

    pub fn apply(&self, update: &[u8]) {
        self.remote.store(true, Ordering::Relaxed);
        self.doc.transact_mut().apply_update(Update::decode_v1(update).unwrap()).unwrap();
        self.remote.store(false, Ordering::Relaxed);
    }

    /// Runs one edit; gives the update of its transaction, if it changed anything.
    fn edit(&mut self, op: &Op) -> Vec<Vec<u8>> {
        match op {
            Op::Undo(_) => {
                self.undo.undo_blocking();
            }
            Op::Redo(_) => {
                self.undo.redo_blocking();
            }
            _ => self.change(op),
        }
        std::mem::take(&mut *self.out.lock().unwrap())
    }

    fn change(&mut self, op: &Op) {
        let mut txn = self.doc.transact_mut();
        let txn = &mut txn;
        let text = txn.get_or_insert_text("text:main");
        let map = txn.get_or_insert_map("map:m");
        let list = txn.get_or_insert_array("array:a");
        let xml = txn.get_or_insert_xml_fragment("xml:x");
        let canvas = txn.get_or_insert_array("canvas:main");
        let len = text.len(txn);
        match op {
            Op::Insert(_, at, s) => text.insert(txn, at % (len + 1), s),
            Op::Delete(_, at, n) => {
                let at = at % (len + 1);
                text.remove_range(txn, at, (*n).min(len - at));
            }
            Op::Format(_, at, n, on) => {
                let at = at % (len + 1);
                let value = if *on { Any::from(true) } else { Any::Null };
                if len > at {
                    text.format(txn, at, (*n).min(len - at), Attrs::from([("b".into(), value)]));
                }
            }
            Op::Embed(_, at) => {
                let image = Any::from(HashMap::from([("src".to_owned(), Any::from("x\"y\u{1}é"))]));
                text.insert_embed(txn, at % (len + 1), image);
            }
            Op::EmbedType(_, at) => {
                let inner = text.insert_embed(txn, at % (len + 1), MapPrelim::default());
                inner.insert(txn, "k", 1);
            }
            Op::Set(_, k, v) => {
                map.insert(txn, k.to_string(), value(*v));
            }
            Op::Remove(_, k) => {
                map.remove(txn, &k.to_string());
            }
            Op::Nest(_, k) => {
                let inner = map.insert(txn, k.to_string(), MapPrelim::from([("t", "x")]));
                let deeper = inner.insert(txn, "deep", MapPrelim::default());
                deeper.insert(txn, "text", TextPrelim::new("inside"));
            }
            Op::NestArray(_, k) => {
                let inner = map.insert(txn, k.to_string(), ArrayPrelim::from([1, 2]));
                inner.push_back(txn, MapPrelim::from([("a", 1)]));
            }
            Op::SetNested(_, k, v) => match map.get(txn, &k.to_string()) {
                Some(Out::YMap(inner)) => {
                    inner.insert(txn, format!("n{}", v % 3), value(*v));
                    if let Some(Out::YMap(deep)) = inner.get(txn, "deep") {
                        if let Some(Out::YText(text)) = deep.get(txn, "text") {
                            text.insert(txn, 0, "z");
                        }
                    }
                }
                Some(Out::YArray(inner)) => {
                    inner.push_back(txn, value(*v));
                }
                _ => {}
            },
            Op::NestAndDrop(_, k) => {
                let inner: MapRef = map.insert(txn, k.to_string(), MapPrelim::from([("t", "x")]));
                inner.insert(txn, "deep", MapPrelim::from([("y", 1)]));
                map.remove(txn, &k.to_string());
                map.insert(txn, "after", 1);
            }
            Op::Push(_, at, v) => {
                let at = at % (list.len(txn) + 1);
                if v % 4 == 0 {
                    list.insert(txn, at, MapPrelim::from([("q", 1)]));
                } else {
                    list.insert_range(txn, at, [value(*v), value(v.wrapping_add(1))]);
                }
            }
            Op::Pull(_, at, n) => {
                let len = list.len(txn);
                if len > 0 {
                    let at = at % len;
                    list.remove_range(txn, at, (*n).min(len - at));
                }
            }
            Op::Xml(_, v) => {
                let node = xml.push_back(txn, XmlElementPrelim::empty("div"));
                yrs::Xml::insert_attribute(&node, txn, "class", v.to_string());
                let inner = node.push_back(txn, XmlTextPrelim::new("hi"));
                inner.format(txn, 0, 1, Attrs::from([("i".into(), Any::from(true))]));
            }
            Op::XmlRemove(_) => {
                if xml.len(txn) > 0 {
                    xml.remove_range(txn, 0, 1);
                }
            }
            Op::Draw(_, at, stroke) => {
                let at = at % (canvas.len(txn) + 1);
                canvas.insert(txn, at, Ink(stroke.clone()));
                if stroke.len() % 3 == 0 {
                    canvas.insert(txn, at + 1, Ink(vec![1]));
                    canvas.push_back(txn, Ink(vec![2]));
                }
            }
            Op::Erase(_, at, n) => {
                let len = canvas.len(txn);
                if len > 0 {
                    let at = at % len;
                    canvas.remove_range(txn, at, (*n).min(len - at));
                }
            }
            Op::Many(_, v) => {
                canvas.push_back(txn, Ink(vec![*v]));
                canvas.remove_range(txn, 0, canvas.len(txn));
                text.insert(txn, 0, "one");
                text.insert(txn, 1, "two");
                text.remove_range(txn, 0, 4);
                map.insert(txn, "many", value(*v));
                map.insert(txn, "many", value(v.wrapping_mul(3)));
                map.insert(txn, "many", value(v.wrapping_mul(5)));
                list.insert(txn, 0, ArrayPrelim::from(["x"]));
                list.remove(txn, 0);
            }
            Op::Undo(_) | Op::Redo(_) | Op::Sync(..) => {}
        }
    }
}

/// A binary value as Yjs writes it; `yrs` by itself puts binaries among its `any` values.
pub struct Ink(pub Vec<u8>);

impl Prelim for Ink {
    type Return = Unused;

    fn into_content(self, _txn: &mut TransactionMut) -> (ItemContent, Option<Self>) {
        (ItemContent::Binary(self.0), None)
    }

    fn integrate(self, _txn: &mut TransactionMut, _inner: BranchPtr) {}
}

fn value(v: u8) -> Any {
    match v % 7 {
        0 => Any::Null,
        1 => Any::from(f64::from(v) * 1e9),
        2 => Any::from(-i64::from(v)),
        3 => Any::from("s😀".to_owned()),
        4 => Any::from(vec![Any::from(1.5), Any::Undefined, Any::from(true)]),
        5 => Any::from(HashMap::from([("k".to_owned(), Any::from(vec![1u8, 2, 3]))])),
        _ => Any::from(1i64 << 40),
    }
}

#[derive(Default)]
pub struct Room {
    pub authors: Vec<Author>,
    pub log: Vec<Frame>,
    pub shape: Shape,
}

impl Room {
    pub fn new() -> Self {
        Self { authors: (0..AUTHORS).map(Author::new).collect(), ..Self::default() }
    }

    /// Runs a script; every update an author makes must pass the check.
    pub fn run(ops: &[Op]) -> Result<Self, (Frame, UpdateError)> {
        let mut room = Self::new();
        for op in ops {
            room.step(op)?;
        }
        Ok(room)
    }

    fn step(&mut self, op: &Op) -> Result<(), (Frame, UpdateError)> {
        let author = match *op {
            Op::Sync(author, mask) => {
                self.sync(author, mask);
                return Ok(());
            }
            Op::Insert(a, ..)
            | Op::Delete(a, ..)
            | Op::Format(a, ..)
            | Op::Embed(a, ..)
            | Op::EmbedType(a, ..)
            | Op::Set(a, ..)
            | Op::Remove(a, ..)
            | Op::Nest(a, ..)
            | Op::NestArray(a, ..)
            | Op::SetNested(a, ..)
            | Op::NestAndDrop(a, ..)
            | Op::Push(a, ..)
            | Op::Pull(a, ..)
            | Op::Xml(a, ..)
            | Op::XmlRemove(a)
            | Op::Draw(a, ..)
            | Op::Erase(a, ..)
            | Op::Many(a, ..)
            | Op::Undo(a)
            | Op::Redo(a) => a,
        };
        let known = self.authors[author].clocks();
        let updates = self.authors[author].edit(op);
        // An undo of several steps may make several transactions; they follow one another.
        let mut known = known;
        for update in updates {
            let client = self.authors[author].client;
            let frame = Frame { author, client, update, start: known.clock(client), known: known.clone() };
            let checked = self.accept(&frame).map_err(|e| (frame.clone(), e))?;
            if checked.end_clock > 0 {
                known.0.insert(client, checked.end_clock);
            }
            self.log.push(frame);
            let now = self.log.len();
            for a in &mut self.authors {
                a.applied.resize(now, false);
            }
            self.authors[author].applied[now - 1] = true;
        }
        assert_eq!(known.0, self.authors[author].clocks().0, "every clock was accounted for");
        Ok(())
    }

    fn accept(&mut self, frame: &Frame) -> Result<Checked, UpdateError> {
        let checked = check(&frame.update, frame.client, frame.start, &frame.known, &self.shape)?;
        self.shape.record(checked.clone());
        Ok(checked)
    }

    pub fn sync(&mut self, author: usize, mask: u64) {
        let mut have = self.authors[author].clocks();
        let me = &mut self.authors[author];
        for (at, frame) in self.log.iter().enumerate() {
            let wanted = mask >> (at % 64) & 1 == 1;
            let ready = frame.known.0.iter().all(|(client, clock)| have.clock(*client) >= *clock);
            // The author's earlier delete-only frames come first, too.
            let in_order =
                self.log[..at].iter().zip(&me.applied).all(|(f, done)| f.author != frame.author || *done);
            if wanted && ready && in_order && !me.applied[at] {
                me.apply(&frame.update);
                me.applied[at] = true;
                have = me.clocks();
            }
        }
    }
}
