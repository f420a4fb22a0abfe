//! Strokes of a canvas: whole sixteenths in the document, plain numbers for JavaScript.

use js_sys::{Array, Float64Array, Uint8Array};
use symbolon_core::canvas::{self, FULL, Point, SCALE, Stroke};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast as _, JsValue};

use crate::Result;
use crate::js::{error, object, text};

/// How far, in sixteenths, a finished stroke may be from the one that was drawn.
const TOLERANCE: u16 = 4;

/// How much, in sixteenths, may be cut off its corners.
const CORNER: u16 = 24;

/// The bytes of a finished stroke. `color` is `#rrggbb`; `points` are triples of x, y and pressure (0 to 1).
#[wasm_bindgen]
pub fn stroke_encode(color: &str, width: f64, points: &[f64]) -> Result<Uint8Array> {
    let color = canvas::color_from_text(color).ok_or_else(|| invalid("a colour is #rrggbb"))?;
    let points: Vec<Point> = points
        .chunks_exact(3)
        .map(|point| Point {
            x: sixteenths(point[0]),
            y: sixteenths(point[1]),
            pressure: (point[2].clamp(0.0, 1.0) * f64::from(FULL)).round() as u8,
        })
        .collect();
    let points = canvas::hold_corners(&canvas::simplify(&points, TOLERANCE), CORNER);
    let width = sixteenths(width).clamp(1, i32::from(u16::MAX)) as u16;
    let stroke = Stroke::new(color, width, points).map_err(|why| invalid(&why.to_string()))?;
    Ok(Uint8Array::from(&stroke.encode()[..]))
}

/// A stroke of a document: `{color, width, points}`.
#[wasm_bindgen]
pub fn stroke_decode(bytes: &[u8]) -> Result<JsValue> {
    let stroke = Stroke::decode(bytes).map_err(|why| invalid(&why.to_string()))?;
    let numbers =
        |point: &Point| [units(point.x), units(point.y), f64::from(point.pressure) / f64::from(FULL)];
    let points: Vec<f64> = stroke.points().iter().flat_map(numbers).collect();
    Ok(object([
        ("color", text(canvas::color_text(stroke.color()))),
        ("width", units(i32::from(stroke.width())).into()),
        ("points", Float64Array::from(&points[..]).into()),
    ]))
}

/// Whether an eraser of this radius touches a stroke of a document; one that is none is touched nowhere.
#[wasm_bindgen]
pub fn stroke_hits(bytes: &[u8], x: f64, y: f64, radius: f64) -> bool {
    let radius = sixteenths(radius).unsigned_abs();
    Stroke::decode(bytes).is_ok_and(|stroke| canvas::hits(&stroke, sixteenths(x), sixteenths(y), radius))
}

/// A drawing of these strokes; those that are none are left out.
#[wasm_bindgen]
pub fn strokes_svg(strokes: &Array) -> String {
    let bytes = strokes.iter().filter_map(|stroke| stroke.dyn_into::<Uint8Array>().ok());
    let strokes: Vec<Stroke> = bytes.filter_map(|bytes| Stroke::decode(&bytes.to_vec()).ok()).collect();
    canvas::svg(&strokes)
}

fn sixteenths(units: f64) -> i32 {
    // Saturates, and makes nothing of what is no number.
    (units * f64::from(SCALE)).round() as i32
}

fn units(sixteenths: i32) -> f64 {
    f64::from(sixteenths) / f64::from(SCALE)
}

fn invalid(why: &str) -> JsValue {
    error("invalid_request", why)
}
