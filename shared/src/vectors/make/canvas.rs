//! Strokes, bytes that are none, and an update that draws.

use serde_json::{Value, json};

use super::super::{bytes, hex, list};
use super::messages::varuint;
use super::{committed, described};
use crate::canvas::{FULL, MAX_COORDINATE, Point, Stroke, color_text};

/// The client id of the update's author.
const CLIENT: u64 = 7;

fn strokes() -> Vec<(&'static str, Stroke)> {
    let points = |points: &[(i32, i32, u8)]| {
        points.iter().map(|&(x, y, pressure)| Point { x, y, pressure }).collect::<Vec<_>>()
    };
    let stroke = |color, width, of: &[(i32, i32, u8)]| Stroke::new(color, width, points(of)).unwrap();
    let line: Vec<_> = (0..130).map(|n| (n * 40, n * n, FULL)).collect();
    vec![
        ("a dot", stroke([0, 0, 0], 32, &[(160, 160, FULL)])),
        (
            "three points without pressure",
            stroke([0xcc, 0x22, 0x44], 48, &[(160, 160, FULL), (3200, 640, FULL), (-16, 0, FULL)]),
        ),
        ("with pressure", stroke([0x10, 0x80, 0xff], 1, &[(0, 0, 0), (1, -1, 128), (2, -3, FULL)])),
        (
            "as far and as wide as can be",
            stroke(
                [0xff, 0xff, 0xff],
                u16::MAX,
                &[(MAX_COORDINATE, -MAX_COORDINATE, FULL), (-MAX_COORDINATE, MAX_COORDINATE, FULL)],
            ),
        ),
        ("130 points: the count takes two bytes", stroke([1, 2, 3], 200, &line)),
    ]
}

const REFUSED: &[(&str, &[u8])] = &[
    ("nothing", &[]),
    ("a later version", &[2, 0, 0, 0, 32, 0, 1, 0, 0]),
    ("no width", &[1, 0, 0, 0, 0, 0, 1, 0, 0]),
    ("a width over 65535", &[1, 0, 0, 0, 0x80, 0x80, 4, 0, 1, 0, 0]),
    ("a width not in its shortest form", &[1, 0, 0, 0, 0xa0, 0, 0, 1, 0, 0]),
    ("an unknown flag", &[1, 0, 0, 0, 32, 2, 1, 0, 0]),
    ("pressures that are all full", &[1, 0, 0, 0, 32, 1, 1, 0, 0, 255]),
    ("no points", &[1, 0, 0, 0, 32, 0, 0]),
    ("more points than bytes", &[1, 0, 0, 0, 32, 0, 2, 0, 0]),
    ("16385 points", &[1, 0, 0, 0, 32, 0, 0x81, 0x80, 1]),
    ("a point too far off", &[1, 0, 0, 0, 32, 0, 1, 0x82, 0x80, 0x80, 0x10, 0]),
    ("a number of five bytes", &[1, 0, 0, 0, 32, 0, 1, 0x80, 0x80, 0x80, 0x80, 1, 0]),
    ("a byte too many", &[1, 0, 0, 0, 32, 0, 1, 0, 0, 0]),
];

pub(super) fn canvas() -> Value {
    let strokes = strokes();
    let described_strokes: Vec<Value> = strokes
        .iter()
        .map(|(what, stroke)| {
            let points: Vec<[i32; 3]> =
                stroke.points().iter().map(|point| [point.x, point.y, point.pressure.into()]).collect();
            described(
                what,
                json!({
                    "color": color_text(stroke.color()),
                    "width": stroke.width(),
                    "points": points,
                    "bytes": hex(stroke.encode()),
                }),
            )
        })
        .collect();
    let refused: Vec<Value> =
        REFUSED.iter().map(|(why, bytes)| json!({ "why": why, "bytes": hex(bytes) })).collect();
    json!({
        "strokes": described_strokes,
        "refused": refused,
        "update": { "client_id": CLIENT, "root": "canvas:main", "bytes": hex(drawing(&strokes)) },
    })
}

/// A Yjs update (v1) that puts the strokes into `canvas:main`, one after the other.
fn drawing(strokes: &[(&str, Stroke)]) -> Vec<u8> {
    let mut out = vec![1];
    varuint(strokes.len() as u64, &mut out);
    varuint(CLIENT, &mut out);
    out.push(0);
    for (at, (_, stroke)) in strokes.iter().enumerate() {
        if at == 0 {
            out.extend([&[3, 1, 11][..], b"canvas:main"].concat());
        } else {
            out.push(0x83);
            varuint(CLIENT, &mut out);
            varuint(at as u64 - 1, &mut out);
        }
        let bytes = stroke.encode();
        varuint(bytes.len() as u64, &mut out);
        out.extend(bytes);
    }
    out.push(0);
    out
}

#[test]
fn as5_the_vectors_of_the_canvas_are_drawn() {
    use yrs::updates::decoder::Decode as _;
    use yrs::{Any, Array as _, Out, ReadTxn as _, Transact as _};
    let file = committed("canvas");
    let update = bytes(&file["update"], "bytes").unwrap();
    let doc = yrs::Doc::new();
    doc.transact_mut().apply_update(yrs::Update::decode_v1(&update).unwrap()).unwrap();
    let read = doc.transact();
    let drawn: Vec<Value> = read
        .get_array("canvas:main")
        .unwrap()
        .iter(&read)
        .map(|value| match value {
            Out::Any(Any::Buffer(bytes)) => hex(bytes).into(),
            other => panic!("{other:?}"),
        })
        .collect();
    let strokes = list(&file, "strokes").unwrap();
    assert_eq!(drawn, strokes.iter().map(|vector| vector["bytes"].clone()).collect::<Vec<_>>());
}
