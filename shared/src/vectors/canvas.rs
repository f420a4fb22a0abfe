//! Strokes, bytes that are none, and an update that draws.

use serde_json::{Value, json};

use super::{bytes, each, is, is_bytes, list, must, number, said};
use crate::canvas::{Stroke, color_text};
use crate::update::{Known, Shape, check};

pub(super) fn canvas(file: &Value) -> Result<usize, String> {
    let strokes = each(file, "strokes", |vector| {
        let stroke = Stroke::decode(&bytes(vector, "bytes")?).map_err(said)?;
        is_bytes(vector, "bytes", stroke.encode())?;
        is(vector, "color", color_text(stroke.color()))?;
        is(vector, "width", stroke.width())?;
        let points = stroke.points().iter().map(|point| json!([point.x, point.y, point.pressure]));
        is(vector, "points", points.collect::<Value>())
    })?;
    let refused = each(file, "refused", |vector| {
        must(Stroke::decode(&bytes(vector, "bytes")?).is_err(), "it is taken")
    })?;
    update(&file["update"], list(file, "strokes")?).map_err(|why| format!("update: {why}"))?;
    Ok(strokes + refused + 1)
}

/// That the update is one a room takes, and has the strokes in it.
fn update(vector: &Value, strokes: &[Value]) -> Result<(), String> {
    struct Nobody;
    impl Known for Nobody {
        fn clock(&self, _: u64) -> u64 {
            0
        }
    }
    let update = bytes(vector, "bytes")?;
    let author = number(vector, "client_id")?;
    let checked = check(&update, author, 0, &Nobody, &Shape::default()).map_err(said)?;
    must(checked.end_clock == strokes.len() as u64, "it has not as many clocks as there are strokes")?;
    let holds = |part: &[u8]| update.windows(part.len()).any(|window| window == part);
    must(holds(super::text(vector, "root")?.as_bytes()), "it names another root")?;
    for stroke in strokes {
        must(holds(&bytes(stroke, "bytes")?), "it lacks a stroke")?;
    }
    Ok(())
}
