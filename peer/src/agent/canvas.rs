//! Methods on a room's documents and its canvases. Lengths are units in JSON, sixteenths inside.

use serde::Deserialize;
use serde_json::{Value, json};
use symbolon::Stroke;
use symbolon::canvas::{FULL, MAX_COORDINATE, Point, SCALE, color_from_text, color_text, svg};

use super::jsonrpc::{RpcError, params};
use super::methods::{InRoom, Session};
use super::texts::{MAIN, Which};
use crate::failure::Failure;

/// The colour of a stroke that names none; seen on white and on black.
const COLOR: &str = "#3366cc";
/// The width of a stroke that names none, in units.
const WIDTH: f64 = 3.0;
/// How far an eraser reaches that does not say, in units.
const RADIUS: f64 = 4.0;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Draw {
    room: String,
    document: Option<String>,
    color: Option<String>,
    width: Option<f64>,
    points: Vec<Place>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Erase {
    room: String,
    document: Option<String>,
    at: (f64, f64),
    radius: Option<f64>,
}

/// A point, with its pressure from 0 to 1 if the pen told it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Place {
    Plain(f64, f64),
    Pressed(f64, f64, f64),
}

/// Does what a request asks of documents and canvases.
pub(super) async fn call(session: &Session, method: &str, given: Value) -> Result<Value, RpcError> {
    match method {
        "documents" => documents(session, given).await,
        "strokes" => strokes(session, given, false).await,
        "svg" => strokes(session, given, true).await,
        "draw" => draw(session, given).await,
        "erase" => erase(session, given).await,
        _ => Err(RpcError::Method(method.to_owned())),
    }
}

async fn documents(session: &Session, given: Value) -> Result<Value, RpcError> {
    let room = session.room(&params::<InRoom>(given)?.room).await?;
    let documents = session.agent.peer.documents(room.id).await?;
    let described = documents.iter().map(|document| {
        let unit = match document.kind.as_str() {
            "text" => Some("characters"),
            "canvas" => Some("strokes"),
            _ => None,
        };
        json!({ "kind": document.kind, "name": document.name, "size": document.size, "unit": unit })
    });
    Ok(described.collect())
}

async fn strokes(session: &Session, given: Value, picture: bool) -> Result<Value, RpcError> {
    let Which { room, document } = params(given)?;
    let room = session.room(&room).await?;
    let strokes = session.agent.peer.strokes(room.id, document.as_deref().unwrap_or(MAIN)).await?;
    if picture {
        return Ok(json!({ "svg": svg(&strokes), "strokes": strokes.len() }));
    }
    Ok(json!({ "strokes": strokes.iter().map(describe).collect::<Vec<_>>() }))
}

async fn draw(session: &Session, given: Value) -> Result<Value, RpcError> {
    let given: Draw = params(given)?;
    let room = session.room(&given.room).await?;
    let invalid = |message: String| RpcError::from(Failure::new("invalid_stroke", message));
    let color = given.color.as_deref().unwrap_or(COLOR);
    let Some(color) = color_from_text(color) else {
        return Err(invalid(format!("{color:?} is no colour; one is written #rrggbb, such as {COLOR}")));
    };
    let width = sixteenths(given.width.unwrap_or(WIDTH))
        .and_then(|width| u16::try_from(width).ok())
        .ok_or_else(|| invalid(format!("a stroke is 1/16 to {} wide", i32::from(u16::MAX) / SCALE)))?;
    let points: Option<Vec<Point>> = given.points.iter().map(Place::point).collect();
    let points =
        points.ok_or_else(|| invalid("a point lies off the canvas, or its pressure is not 0 to 1".into()))?;
    let stroke = Stroke::new(color, width, points).map_err(|error| invalid(error.to_string()))?;
    session.agent.peer.draw(room.id, given.document.as_deref().unwrap_or(MAIN), stroke).await?;
    Ok(json!({}))
}

async fn erase(session: &Session, given: Value) -> Result<Value, RpcError> {
    let given: Erase = params(given)?;
    let room = session.room(&given.room).await?;
    let (x, y) = (sixteenths(given.at.0), sixteenths(given.at.1));
    let radius = sixteenths(given.radius.unwrap_or(RADIUS)).and_then(|radius| u32::try_from(radius).ok());
    let (Some(x), Some(y), Some(radius)) = (x, y, radius) else {
        return Err(RpcError::Params("at is a place on the canvas, radius a length".into()));
    };
    let document = given.document.as_deref().unwrap_or(MAIN);
    let erased = session.agent.peer.erase(room.id, document, (x, y), radius).await?;
    Ok(json!({ "erased": erased }))
}

impl Place {
    fn point(&self) -> Option<Point> {
        let (x, y, pressure) = match *self {
            Self::Plain(x, y) => (x, y, 1.0),
            Self::Pressed(x, y, pressure) => (x, y, pressure),
        };
        let pressed = (0.0..=1.0).contains(&pressure);
        let pressure = (pressure * f64::from(FULL)).round() as u8;
        pressed.then_some(Point { x: sixteenths(x)?, y: sixteenths(y)?, pressure })
    }
}

/// A length or a coordinate that a canvas has room for.
fn sixteenths(units: f64) -> Option<i32> {
    let sixteenths = (units * f64::from(SCALE)).round();
    (sixteenths.abs() <= f64::from(MAX_COORDINATE)).then_some(sixteenths as i32)
}

fn describe(stroke: &Stroke) -> Value {
    let point = |point: &Point| match point.pressure {
        FULL => json!([units(point.x), units(point.y)]),
        pressure => json!([units(point.x), units(point.y), f64::from(pressure) / f64::from(FULL)]),
    };
    json!({
        "color": color_text(stroke.color()),
        "width": units(stroke.width().into()),
        "points": stroke.points().iter().map(point).collect::<Vec<_>>(),
    })
}

fn units(sixteenths: i32) -> Value {
    if sixteenths % SCALE == 0 {
        json!(sixteenths / SCALE)
    } else {
        json!(f64::from(sixteenths) / f64::from(SCALE))
    }
}
