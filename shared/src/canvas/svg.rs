//! A drawing as a picture.

use super::{FULL, Point, SCALE, Stroke, color_text};

/// Free space around a drawing, in sixteenths.
const MARGIN: i32 = 8 * SCALE;

/// A drawing as a file of its own: SVG, as large as its strokes, which lie over each other in order.
///
/// Lengths in it are sixteenths. A stroke begins and ends at its outer points and bends towards those between, from the
/// middle of one side to the middle of the next; it is wide by the pressure, in 16 steps from a quarter to the whole.
/// Nothing in it but digits comes from the strokes.
pub fn svg(strokes: &[Stroke]) -> String {
    let [left, top, right, bottom] = extent(strokes);
    let (width, height) = (right - left, bottom - top);
    let mut out = String::from("<svg xmlns=\"http://www.w3.org/2000/svg\"");
    for (name, value) in [(" width=\"", width / SCALE), (" height=\"", height / SCALE)] {
        out.push_str(name);
        digits(&mut out, value);
        out.push('"');
    }
    out.push_str(" viewBox=\"");
    list(&mut out, &[left, top, width, height]);
    out.push_str("\"><g fill=\"none\" stroke-linecap=\"round\" stroke-linejoin=\"round\">");
    for stroke in strokes {
        draw(&mut out, stroke);
    }
    out.push_str("\n</g></svg>\n");
    out
}

/// Left, top, right and bottom, in whole units.
fn extent(strokes: &[Stroke]) -> [i32; 4] {
    let mut extent: Option<[i32; 4]> = None;
    for stroke in strokes {
        let reach = i32::from(stroke.width()).div_euclid(2) + 1;
        for point in stroke.points() {
            let [left, top, right, bottom] = extent.unwrap_or([point.x, point.y, point.x, point.y]);
            extent = Some([
                left.min(point.x - reach),
                top.min(point.y - reach),
                right.max(point.x + reach),
                bottom.max(point.y + reach),
            ]);
        }
    }
    let [left, top, right, bottom] = extent.unwrap_or_default();
    let floor = |at: i32| at.div_euclid(SCALE) * SCALE - MARGIN;
    let ceil = |at: i32| -(-at).div_euclid(SCALE) * SCALE + MARGIN;
    [floor(left), floor(top), ceil(right), ceil(bottom)]
}

/// One path for each stretch of one width.
fn draw(out: &mut String, stroke: &Stroke) {
    let points = stroke.points();
    let color = color_text(stroke.color());
    let mut last_width = None;
    let mut pen = points[0];
    for (at, &point) in points.iter().enumerate() {
        let width = width_at(stroke.width(), point.pressure);
        if last_width != Some(width) {
            if last_width.is_some() {
                out.push_str("\"/>");
            }
            out.push_str("\n<path stroke=\"");
            out.push_str(&color);
            out.push_str("\" stroke-width=\"");
            digits(out, width);
            out.push_str("\" d=\"M");
            list(out, &[pen.x, pen.y]);
            last_width = Some(width);
        }
        let next = points.get(at + 1).map(|&next| middle(point, next));
        match next {
            // From the first point straight on; with no other, a dot.
            _ if at == 0 => {
                pen = next.unwrap_or(point);
                out.push('L');
                list(out, &[pen.x, pen.y]);
            }
            Some(next) => {
                pen = next;
                out.push('Q');
                list(out, &[point.x, point.y, pen.x, pen.y]);
            }
            None => {
                out.push('L');
                list(out, &[point.x, point.y]);
            }
        }
    }
    out.push_str("\"/>");
}

/// A quarter of the width without pressure, all of it with full pressure.
fn width_at(width: u16, pressure: u8) -> i32 {
    let full = i32::from(FULL);
    let stepped = i32::from(pressure >> 4) * 17;
    (i32::from(width) * (full + 3 * stepped) / (4 * full)).max(1)
}

fn middle(a: Point, b: Point) -> Point {
    Point { x: (a.x + b.x) >> 1, y: (a.y + b.y) >> 1, pressure: b.pressure }
}

fn list(out: &mut String, values: &[i32]) {
    for (at, &value) in values.iter().enumerate() {
        if at > 0 {
            out.push(' ');
        }
        digits(out, value);
    }
}

/// By hand: where this is all there is to format, a formatter costs a browser more bytes than the drawing.
fn digits(out: &mut String, value: i32) {
    if value < 0 {
        out.push('-');
    }
    let mut left = value.unsigned_abs();
    let mut digits = [0; 10];
    let mut from = digits.len();
    loop {
        from -= 1;
        digits[from] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    out.extend(digits[from..].iter().copied().map(char::from));
}
