//! Distances between points and strokes, in whole numbers.

use super::{FULL, MAX_COORDINATE, MAX_POINTS, Point, Stroke};

/// Steps of a distance in a sixteenth.
const STEPS: u64 = 16;

/// How far the outline moves, in steps, when the pressure changes by one: by 3/16 of a sixteenth, as with a pen 8 units
/// wide.
const PRESSURE_STEPS: u64 = 3;

/// Points looked at together. The time is at most quadratic in this, and linear in the number of points.
const CHUNK: usize = 512;

/// Leaves out points from which the stroke through the others strays by no more than `tolerance` (sixteenths), and as
/// many more as it takes to have [`MAX_POINTS`].
///
/// Ramer, Douglas and Peucker's method. The first and the last point stay. Points beyond
/// [`MAX_COORDINATE`] are moved to the edge.
#[must_use]
pub fn simplify(points: &[Point], tolerance: u16) -> Vec<Point> {
    let edge = |at: i32| at.clamp(-MAX_COORDINATE, MAX_COORDINATE);
    let mut kept: Vec<Point> =
        points.iter().map(|point| Point { x: edge(point.x), y: edge(point.y), ..*point }).collect();
    let mut tolerance = u32::from(tolerance);
    loop {
        kept = once(&kept, u64::from(tolerance) * STEPS);
        if kept.len() <= MAX_POINTS {
            return kept;
        }
        // In the end it is larger than any distance, and only the ends of chunks stay.
        tolerance = tolerance.saturating_mul(2).max(1);
    }
}

fn once(points: &[Point], tolerance: u64) -> Vec<Point> {
    let Some((&last, _)) = points.split_last() else { return Vec::new() };
    let mut kept = Vec::new();
    let mut spans = Vec::new();
    let mut from = 0;
    while from + 1 < points.len() {
        let to = (from + CHUNK).min(points.len() - 1);
        // The next span is on top, so points are kept in order.
        spans.push((from, to));
        while let Some((a, b)) = spans.pop() {
            match farthest(points, a, b) {
                Some((at, distance)) if distance > tolerance => spans.extend([(at, b), (a, at)]),
                _ => kept.push(points[a]),
            }
        }
        from = to;
    }
    kept.push(last);
    kept
}

/// Which point between two is the farthest from the line that joins them.
fn farthest(points: &[Point], a: usize, b: usize) -> Option<(usize, u64)> {
    let (from, to) = (points[a], points[b]);
    let strays = |at| {
        let point: Point = points[at];
        let (distance, along) = to_segment(point.x, point.y, from, to);
        let drawn = i64::from(from.pressure)
            + (i64::from(to.pressure) - i64::from(from.pressure)) * along / i64::from(FULL);
        distance.max(drawn.abs_diff(i64::from(point.pressure)) * PRESSURE_STEPS)
    };
    (a + 1..b).map(|at| (at, strays(at))).max_by_key(|(_, distance)| *distance)
}

/// The distance of a place from the segment between two points, in steps, and how far along it the nearest place is,
/// from 0 to 255. Coordinates are at most twice [`MAX_COORDINATE`], so nothing overflows.
fn to_segment(x: i32, y: i32, from: Point, to: Point) -> (u64, i64) {
    let (dx, dy) = (i64::from(to.x) - i64::from(from.x), i64::from(to.y) - i64::from(from.y));
    let (px, py) = (i64::from(x) - i64::from(from.x), i64::from(y) - i64::from(from.y));
    let length = dx * dx + dy * dy;
    let dot = px * dx + py * dy;
    if length == 0 || dot <= 0 {
        return (root(px * px + py * py), 0);
    }
    if dot >= length {
        let (qx, qy) = (px - dx, py - dy);
        return (root(qx * qx + qy * qy), i64::from(FULL));
    }
    let cross = (px * dy - py * dx).unsigned_abs();
    (cross * STEPS / (length as u64).isqrt(), dot * i64::from(FULL) / length)
}

/// The square root of an area in square sixteenths, in steps.
fn root(area: i64) -> u64 {
    (area as u64 * (STEPS * STEPS)).isqrt()
}

/// Points on both sides of every corner, `reach` sixteenths away from it, so that a line that bends from middle to middle
/// cuts no more than that off a corner between two long sides. As they were, if that made too many.
pub fn hold_corners(points: &[Point], reach: u16) -> Vec<Point> {
    let mut held = Vec::with_capacity(points.len() * 3);
    for pair in points.windows(2) {
        let (a, b) = (pair[0], pair[1]);
        let (dx, dy) = (i64::from(b.x) - i64::from(a.x), i64::from(b.y) - i64::from(a.y));
        let (reach, length) = (i64::from(reach), ((dx * dx + dy * dy) as u64).isqrt() as i64);
        held.push(a);
        if length > 4 * reach {
            let (x, y) = ((dx * reach / length) as i32, (dy * reach / length) as i32);
            held.push(Point { x: a.x + x, y: a.y + y, pressure: a.pressure });
            held.push(Point { x: b.x - x, y: b.y - y, pressure: b.pressure });
        }
    }
    held.extend(points.last());
    if held.len() > MAX_POINTS { points.to_vec() } else { held }
}

/// Whether a round eraser touches a stroke. All in sixteenths; `radius` counts up to the size of the canvas.
#[must_use]
pub fn hits(stroke: &Stroke, x: i32, y: i32, radius: u32) -> bool {
    let reachable = -2 * MAX_COORDINATE..=2 * MAX_COORDINATE;
    if !reachable.contains(&x) || !reachable.contains(&y) {
        return false;
    }
    let radius = u64::from(radius.min(2 * MAX_COORDINATE as u32));
    let reach = radius * STEPS + u64::from(stroke.width) * STEPS / 2;
    let points = stroke.points();
    let touches = |from, to| to_segment(x, y, from, to).0 <= reach;
    points.iter().take(1).any(|&only| touches(only, only))
        || points.windows(2).any(|pair| touches(pair[0], pair[1]))
}
