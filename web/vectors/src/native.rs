//! A document as native peers hold it, and edits of one.

use std::collections::HashMap;

use js_sys::Array;
use wasm_bindgen::prelude::wasm_bindgen;
use yrs::block::{ClientID, ItemContent, Prelim, Unused};
use yrs::branch::BranchPtr;
use yrs::types::Attrs;
use yrs::types::text::YChange;
use yrs::updates::decoder::Decode as _;
use yrs::{
    Any, Array as _, ArrayPrelim, Map as _, MapPrelim, OffsetKind, Options, Out, ReadTxn as _, StateVector,
    Text as _, TextPrelim, TextRef, Transact as _, TransactionMut, Update, WriteTxn as _, Xml as _,
    XmlElementPrelim, XmlFragment as _, XmlTextPrelim,
};

use crate::{Result, content, refused};

/// A document of `yrs`, with the options of `peer/src/doc.rs`.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Native {
    doc: yrs::Doc,
}

#[wasm_bindgen]
impl Native {
    /// Empty; edits are made as `client`.
    #[wasm_bindgen(constructor)]
    pub fn new(client: f64) -> Self {
        let mut options = Options::with_client_id(ClientID::new(client as u64));
        options.offset_kind = OffsetKind::Utf16;
        options.skip_gc = false;
        options.cleanup_formatting = false;
        Self { doc: yrs::Doc::with_options(options) }
    }

    /// Applies an update that passed the check.
    pub fn apply(&self, update: &[u8]) -> Result<()> {
        let update = Update::decode_v1(update).map_err(refused)?;
        let mut txn = self.doc.transact_mut();
        let applied = txn.apply_update(update);
        let pending = txn.prune_pending().is_some();
        applied.map_err(refused)?;
        if pending { Err(refused("it builds on something that is missing")) } else { Ok(()) }
    }

    /// What is in the roots: names of the form `KIND:NAME`.
    pub fn content(&self, roots: Vec<String>) -> String {
        let mut txn = self.doc.transact_mut();
        let mut whole = serde_json::Map::new();
        for name in roots {
            let root = match name.split(':').next() {
                Some("text") => Out::YText(txn.get_or_insert_text(name.as_str())),
                Some("map") => Out::YMap(txn.get_or_insert_map(name.as_str())),
                Some("xml") => Out::YXmlFragment(txn.get_or_insert_xml_fragment(name.as_str())),
                _ => Out::YArray(txn.get_or_insert_array(name.as_str())),
            };
            whole.insert(name, content::out(&root, &txn));
        }
        serde_json::Value::from(whole).to_string()
    }

    /// All of it as one update.
    pub fn state(&self) -> Vec<u8> {
        self.doc.transact().encode_state_as_update_v1(&StateVector::default())
    }

    /// One transaction of edits; its update, if it changed anything.
    pub fn edit(&self, edits: &Array) -> Option<Vec<u8>> {
        let mut txn = self.doc.transact_mut();
        for edit in edits.iter() {
            let [kind, at, len] = [0, 1, 2].map(|n| part(&edit, n).as_f64().unwrap_or_default() as u32);
            let text = part(&edit, 3).as_string().unwrap_or_default();
            change(&mut txn, kind, at, len, &text);
        }
        txn.commit();
        txn.has_changes().then(|| txn.encode_update_v1())
    }
}

fn part(edit: &wasm_bindgen::JsValue, n: u32) -> wasm_bindgen::JsValue {
    js_sys::Reflect::get_u32(edit, n).unwrap_or_default()
}

fn change(txn: &mut TransactionMut<'_>, kind: u32, at: u32, len: u32, of: &str) {
    let text = txn.get_or_insert_text("text:main");
    let map = txn.get_or_insert_map("map:m");
    let list = txn.get_or_insert_array("array:a");
    let xml = txn.get_or_insert_xml_fragment("xml:x");
    let canvas = txn.get_or_insert_array("canvas:main");
    // Within a list of this length, a position and a length behind it.
    let place = |whole: u32| {
        let at = at % (whole + 1);
        (at, len.min(whole - at))
    };
    let (from, to) = match kind {
        0..=3 => {
            let (at, len) = place(text.len(txn));
            (whole(&text, txn, at), whole(&text, txn, at + len))
        }
        _ => (0, 0),
    };
    match kind {
        0 => text.insert(txn, from, of),
        1 => text.remove_range(txn, from, to - from),
        2 => {
            let (at, len) = (from, to - from);
            let value = if of.len().is_multiple_of(2) { Any::from(true) } else { Any::Null };
            if len > 0 {
                text.format(txn, at, len, Attrs::from([("bold".into(), value)]));
            }
        }
        3 => {
            let image = Any::from(HashMap::from([("src".to_owned(), Any::from(of.to_owned()))]));
            text.insert_embed(txn, from, image);
        }
        4 => {
            map.insert(txn, format!("k{}", at % 4), value(len, of));
        }
        5 => {
            map.remove(txn, &format!("k{}", at % 4));
        }
        6 => {
            let inner = map.insert(txn, format!("k{}", at % 4), MapPrelim::from([("t", of)]));
            inner.insert(txn, "text", TextPrelim::new(of)).insert(txn, 0, "in ");
            inner.insert(txn, "list", ArrayPrelim::from([1, 2])).push_back(txn, value(len, of));
        }
        7 => list.insert_range(txn, place(list.len(txn)).0, [value(len, of), value(len + 1, of)]),
        8 => {
            let (at, len) = place(list.len(txn));
            list.remove_range(txn, at, len);
        }
        9 => {
            let node = xml.insert(txn, place(xml.len(txn)).0, XmlElementPrelim::empty("p"));
            node.insert_attribute(txn, "class", of);
            node.push_back(txn, XmlTextPrelim::new(of)).format(
                txn,
                0,
                1,
                Attrs::from([("i".into(), Any::from(true))]),
            );
        }
        10 => {
            let (at, len) = place(xml.len(txn));
            xml.remove_range(txn, at, len.min(1));
        }
        11 => {
            canvas.insert(txn, place(canvas.len(txn)).0, Ink(of.as_bytes().to_vec()));
        }
        _ => {
            let (at, len) = place(canvas.len(txn));
            canvas.remove_range(txn, at, len);
        }
    }
}

/// The position, or the next one if this is between the halves of a surrogate pair.
fn whole(text: &TextRef, txn: &TransactionMut<'_>, at: u32) -> u32 {
    let mut unit = 0;
    for part in text.diff(txn, YChange::identity) {
        let Out::Any(Any::String(part)) = part.insert else {
            unit += 1;
            continue;
        };
        for c in part.chars() {
            if unit + 1 == at && c.len_utf16() == 2 {
                return at + 1;
            }
            unit += c.len_utf16() as u32;
        }
    }
    at
}

fn value(kind: u32, of: &str) -> Any {
    match kind % 8 {
        0 => Any::Null,
        1 => Any::from(f64::from(kind) * 1.5e9),
        2 => Any::from(-i64::from(kind)),
        3 => Any::from(of.to_owned()),
        4 => Any::from(vec![Any::from(1.5), Any::Undefined, Any::from(true), Any::from(f64::NAN)]),
        5 => Any::from(HashMap::from([("k".to_owned(), Any::from(vec![1u8, 2, 3]))])),
        6 => Any::from(i64::from(kind) << 60),
        _ => Any::from(of.as_bytes().to_vec()),
    }
}

/// A binary value as Yjs writes it; `yrs` by itself puts binaries among its `any` values.
struct Ink(Vec<u8>);

impl Prelim for Ink {
    type Return = Unused;

    fn into_content(self, _txn: &mut TransactionMut<'_>) -> (ItemContent, Option<Self>) {
        (ItemContent::Binary(self.0), None)
    }

    fn integrate(self, _txn: &mut TransactionMut<'_>, _inner: BranchPtr) {}
}
