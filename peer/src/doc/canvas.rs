//! Drawings: arrays of binary values, one a stroke (PROTOCOL §7.4).

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use symbolon_core::canvas::Stroke;
use yrs::block::{ItemContent, Prelim, Unused};
use yrs::branch::BranchPtr;
use yrs::{
    Any, Array as _, ArrayRef, Observable as _, Out, ReadTxn, Transact as _, TransactionMut, WriteTxn,
};

use super::{APPLIED, Doc, DocError, MAX_ROOT_NAME};

/// The kind of root that holds a drawing; the canvas `main` is `canvas:main`.
pub(super) const CANVAS: &str = "canvas:";

impl Doc {
    /// The strokes of a canvas, the lowest first; values that are none are left out.
    #[must_use]
    pub fn strokes(&self, name: &str) -> Vec<Stroke> {
        values(&self.yrs.transact(), &root(name)).filter_map(|bytes| Stroke::decode(&bytes).ok()).collect()
    }

    /// Puts a stroke on top of a canvas.
    ///
    /// # Errors
    /// If the name is too long.
    pub fn draw(&mut self, name: &str, stroke: &Stroke) -> Result<(), DocError> {
        let root = root(name);
        if root.len() > MAX_ROOT_NAME {
            return Err(DocError::NameTooLong);
        }
        self.watch_canvas(&root);
        let mut txn = self.yrs.transact_mut();
        txn.get_or_insert_array(root).push_back(&mut txn, Binary(stroke.encode()));
        txn.commit();
        self.updates.push(txn.encode_update_v1());
        Ok(())
    }

    /// Takes away the strokes that are `meant`; says how many these were.
    pub fn erase(&mut self, name: &str, meant: impl Fn(&Stroke) -> bool) -> usize {
        let root = root(name);
        let meant = |bytes: Vec<u8>| Stroke::decode(&bytes).is_ok_and(|stroke| meant(&stroke));
        let which: Vec<u32> = {
            let txn = self.yrs.transact();
            (0..)
                .zip(values(&txn, &root))
                .filter(|(_, bytes)| meant(bytes.clone()))
                .map(|(at, _)| at)
                .collect()
        };
        if !which.is_empty() {
            let mut txn = self.yrs.transact_mut();
            let canvas = txn.get_or_insert_array(root);
            for at in which.iter().rev() {
                canvas.remove(&mut txn, *at);
            }
            txn.commit();
            self.updates.push(txn.encode_update_v1());
        }
        which.len()
    }

    /// The canvases that [`apply`](Self::apply) changed since the last call.
    pub fn take_drawn(&mut self) -> BTreeSet<String> {
        std::mem::take(&mut *self.drawn.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn watch_canvas(&mut self, root: &str) {
        if !self.watched.contains(root) {
            watch(&mut self.yrs.transact_mut(), root, &self.drawn);
            self.watched.insert(root.into());
        }
    }
}

/// Has the names of changed canvases put into `drawn`.
pub(super) fn watch(txn: &mut TransactionMut, root: &str, drawn: &Arc<Mutex<BTreeSet<String>>>) {
    let drawn = Arc::clone(drawn);
    let name = root.strip_prefix(CANVAS).unwrap_or(root).to_owned();
    txn.get_or_insert_array(root).observe(APPLIED, move |txn, _| {
        if txn.origin().is_some_and(|origin| origin.as_ref() == APPLIED.as_bytes()) {
            drawn.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone());
        }
    });
}

/// The values of a canvas, strokes or not.
pub(super) fn values<T: ReadTxn>(txn: &T, root: &str) -> impl Iterator<Item = Vec<u8>> {
    let canvas: Option<ArrayRef> = txn.get_array(root);
    canvas.into_iter().flat_map(|canvas| {
        canvas.iter(txn).map(|value| match value {
            Out::Any(Any::Buffer(bytes)) => bytes.to_vec(),
            // The check lets nothing else in.
            _ => Vec::new(),
        })
    })
}

fn root(name: &str) -> String {
    format!("{CANVAS}{name}")
}

/// A binary value as Yjs writes it; `yrs` by itself puts it among `any` values.
struct Binary(Vec<u8>);

impl Prelim for Binary {
    type Return = Unused;

    fn into_content(self, _txn: &mut TransactionMut) -> (ItemContent, Option<Self>) {
        (ItemContent::Binary(self.0), None)
    }

    fn integrate(self, _txn: &mut TransactionMut, _inner: BranchPtr) {}
}
