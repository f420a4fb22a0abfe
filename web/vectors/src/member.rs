//! A member's log of changes without the rest of the node, and the check of updates without the log.

use std::collections::HashMap;

use js_sys::{Array, Uint8Array};
use symbolon_core::crypto::keys::SignKey;
use symbolon_core::frames::{ChainId, Frame, Inserted, Log};
use symbolon_core::id::RoomId;
use symbolon_core::update::{Known, Shape, check};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::{Result, refused};

/// One member of a room in which everybody's changes count.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Member {
    key: SignKey,
    log: Log,
}

#[wasm_bindgen]
impl Member {
    /// The member with this number.
    #[wasm_bindgen(constructor)]
    pub fn new(number: u8) -> Self {
        Self { key: SignKey::from_secret(&[number; 32]), log: Log::new(RoomId::from_bytes([7; 32])) }
    }

    /// The client id of one of its Y.Docs.
    pub fn client(&self, incarnation: u32) -> f64 {
        ChainId { author: self.key.device(), incarnation }.client() as f64
    }

    /// Signs an update that this Y.Doc emitted; the frame to send.
    pub fn write(&mut self, incarnation: u32, update: &[u8]) -> Result<Vec<u8>> {
        let frame = self.log.compose(&self.key, incarnation, update).map_err(refused)?;
        Ok(frame.wire().to_vec())
    }

    /// Takes a frame; the updates that may be applied now, causes first.
    pub fn receive(&mut self, frame: &[u8]) -> Result<Array> {
        let frame = Frame::decode(frame).map_err(refused)?;
        match self.log.insert(frame, |_| true) {
            Inserted::New(frames) => {
                Ok(frames.iter().map(|frame| Uint8Array::from(&frame.update()[..])).collect())
            }
            Inserted::Known | Inserted::Waiting => Ok(Array::new()),
            Inserted::Refused(why) => Err(refused(why)),
        }
    }
}

/// The check of updates in the order in which they are given, everything before one being in its past.
#[wasm_bindgen]
#[derive(Debug, Default)]
pub struct Checker {
    clocks: Clocks,
    shape: Shape,
}

#[derive(Debug, Default)]
struct Clocks(HashMap<u64, u64>);

impl Known for Clocks {
    fn clock(&self, client: u64) -> u64 {
        self.0.get(&client).copied().unwrap_or(0)
    }
}

#[wasm_bindgen]
impl Checker {
    /// Nothing was accepted yet.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the update may be applied.
    pub fn check(&self, client: f64, update: &[u8]) -> bool {
        let client = client as u64;
        check(update, client, self.clocks.clock(client), &self.clocks, &self.shape).is_ok()
    }

    /// Accepts an update; the client's next clock.
    pub fn accept(&mut self, client: f64, update: &[u8]) -> Result<f64> {
        let client = client as u64;
        let checked = check(update, client, self.clocks.clock(client), &self.clocks, &self.shape);
        let checked = checked.map_err(refused)?;
        let end = checked.end_clock;
        self.clocks.0.insert(client, end);
        self.shape.record(checked);
        Ok(end as f64)
    }
}
