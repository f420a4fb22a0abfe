//! Drawings: a finished stroke is one binary value in a root `canvas:NAME` (PROTOCOL §7.4).
//!
//! ```text
//! pointer → simplify → Stroke::new → encode → the array canvas:NAME → decode → svg, hits
//! ```
//!
//! Lengths are whole sixteenths of a unit, a unit being a CSS pixel at the drawing's own scale. So all arithmetic is
//! exact, and every program draws the same. Left out: the stroke being drawn, which is presence.

mod geometry;
mod svg;
#[cfg(test)]
mod tests;

pub use geometry::{hits, hold_corners, simplify};
pub use svg::svg;

/// Sixteenths in a unit.
pub const SCALE: i32 = 16;
/// The farthest a point may lie from the origin on either axis, in sixteenths.
pub const MAX_COORDINATE: i32 = 1 << 24;
/// The most points of a stroke.
pub const MAX_POINTS: usize = 16_384;
/// The longest encoded stroke, in bytes.
pub const MAX_STROKE: usize = 128 << 10;
/// The pressure of a pen that does not tell it.
pub const FULL: u8 = 255;

const VERSION: u8 = 1;
const HAS_PRESSURE: u8 = 1;

/// Where the pen was, and how hard it pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// To the right, in sixteenths.
    pub x: i32,
    /// Downwards, in sixteenths.
    pub y: i32,
    /// From 0 to [`FULL`].
    pub pressure: u8,
}

/// A finished stroke. Only [`Stroke::new`] and [`Stroke::decode`] make one, so it is within the bounds and encodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stroke {
    color: [u8; 3],
    width: u16,
    points: Vec<Point>,
}

/// Why something is no stroke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StrokeError {
    /// It ends early, or claims more points than its bytes can hold.
    #[error("the stroke ends early")]
    Truncated,
    /// Bytes follow the last point.
    #[error("the stroke has trailing bytes")]
    TrailingBytes,
    /// A version that this program does not know.
    #[error("the stroke is of version {0}, which this program does not know")]
    Version(u8),
    /// A number too large, or not in its shortest form.
    #[error("a number of the stroke is too large or not in its shortest form")]
    Number,
    /// Unknown flags, or pressures that are all full and had to be left out.
    #[error("the stroke's flags do not fit what it holds")]
    Flags,
    /// A width of zero.
    #[error("a stroke is at least 1/16 wide")]
    Width,
    /// No points, or more than [`MAX_POINTS`].
    #[error("a stroke has 1 to 16384 points")]
    Points,
    /// A point beyond [`MAX_COORDINATE`].
    #[error("a point lies more than 1048576 from the origin")]
    Coordinate,
    /// Longer than [`MAX_STROKE`].
    #[error("the stroke is larger than 128 KiB")]
    TooLarge,
}

impl Stroke {
    /// A stroke of a colour (red, green, blue) and a width in sixteenths.
    ///
    /// # Errors
    /// If it is out of bounds. [`simplify`] brings a long trail within [`MAX_POINTS`].
    pub fn new(color: [u8; 3], width: u16, points: Vec<Point>) -> Result<Self, StrokeError> {
        if width == 0 {
            return Err(StrokeError::Width);
        }
        if points.is_empty() || points.len() > MAX_POINTS {
            return Err(StrokeError::Points);
        }
        if !points.iter().all(|point| on_canvas(point.x) && on_canvas(point.y)) {
            return Err(StrokeError::Coordinate);
        }
        let stroke = Self { color, width, points };
        if stroke.encode().len() > MAX_STROKE {
            return Err(StrokeError::TooLarge);
        }
        Ok(stroke)
    }

    /// Its red, green and blue.
    pub fn color(&self) -> [u8; 3] {
        self.color
    }

    /// Its width at full pressure, in sixteenths.
    pub fn width(&self) -> u16 {
        self.width
    }

    /// Its points, one at least.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// The binary value that stands for it in a document.
    pub fn encode(&self) -> Vec<u8> {
        let pressure = self.points.iter().any(|point| point.pressure != FULL);
        let mut out = Vec::with_capacity(12 + self.points.len() * 4);
        out.push(VERSION);
        out.extend_from_slice(&self.color);
        number(&mut out, u32::from(self.width));
        out.push(if pressure { HAS_PRESSURE } else { 0 });
        number(&mut out, self.points.len() as u32);
        let (mut x, mut y) = (0, 0);
        for point in &self.points {
            number(&mut out, zigzag(point.x - x));
            number(&mut out, zigzag(point.y - y));
            if pressure {
                out.push(point.pressure);
            }
            (x, y) = (point.x, point.y);
        }
        out
    }

    /// Reads a binary value; the only one that stands for this stroke.
    ///
    /// # Errors
    /// If it is none. Who shows a drawing leaves out such values.
    pub fn decode(bytes: &[u8]) -> Result<Self, StrokeError> {
        if bytes.len() > MAX_STROKE {
            return Err(StrokeError::TooLarge);
        }
        let mut reader = Reader { left: bytes };
        match reader.byte()? {
            VERSION => {}
            other => return Err(StrokeError::Version(other)),
        }
        let color = [reader.byte()?, reader.byte()?, reader.byte()?];
        let width = u16::try_from(reader.number()?).map_err(|_| StrokeError::Number)?;
        if width == 0 {
            return Err(StrokeError::Width);
        }
        let pressure = match reader.byte()? {
            0 => false,
            HAS_PRESSURE => true,
            _ => return Err(StrokeError::Flags),
        };
        let count = reader.number()? as usize;
        if count == 0 || count > MAX_POINTS {
            return Err(StrokeError::Points);
        }
        if count > reader.left.len() / (2 + usize::from(pressure)) {
            return Err(StrokeError::Truncated);
        }
        let mut points = Vec::with_capacity(count);
        let (mut x, mut y) = (0, 0);
        for _ in 0..count {
            x += reader.delta()?;
            y += reader.delta()?;
            if !on_canvas(x) || !on_canvas(y) {
                return Err(StrokeError::Coordinate);
            }
            let pressure = if pressure { reader.byte()? } else { FULL };
            points.push(Point { x, y, pressure });
        }
        if !reader.left.is_empty() {
            return Err(StrokeError::TrailingBytes);
        }
        if pressure && points.iter().all(|point| point.pressure == FULL) {
            return Err(StrokeError::Flags);
        }
        Ok(Self { color, width, points })
    }
}

/// A colour as `#rrggbb`.
pub fn color_text(color: [u8; 3]) -> String {
    let mut out = String::with_capacity(7);
    out.push('#');
    for part in color {
        for digit in [part >> 4, part & 15] {
            out.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
        }
    }
    out
}

/// The colour that `#rrggbb` names, in either case.
pub fn color_from_text(text: &str) -> Option<[u8; 3]> {
    let digits: &[u8; 6] = text.strip_prefix('#')?.as_bytes().try_into().ok()?;
    let mut color = [0; 3];
    for (part, pair) in color.iter_mut().zip(digits.chunks_exact(2)) {
        for digit in pair {
            *part = *part << 4 | char::from(*digit).to_digit(16)? as u8;
        }
    }
    Some(color)
}

fn on_canvas(coordinate: i32) -> bool {
    (-MAX_COORDINATE..=MAX_COORDINATE).contains(&coordinate)
}

fn zigzag(delta: i32) -> u32 {
    ((delta << 1) ^ (delta >> 31)) as u32
}

fn number(out: &mut Vec<u8>, mut n: u32) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

struct Reader<'a> {
    left: &'a [u8],
}

impl Reader<'_> {
    fn byte(&mut self) -> Result<u8, StrokeError> {
        let (&first, rest) = self.left.split_first().ok_or(StrokeError::Truncated)?;
        self.left = rest;
        Ok(first)
    }

    /// Below 2^28, which no number of a stroke reaches.
    fn number(&mut self) -> Result<u32, StrokeError> {
        let mut n = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            n |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return if byte == 0 && shift > 0 { Err(StrokeError::Number) } else { Ok(n) };
            }
        }
        Err(StrokeError::Number)
    }

    fn delta(&mut self) -> Result<i32, StrokeError> {
        let n = self.number()?;
        Ok((n >> 1) as i32 ^ -((n & 1) as i32))
    }
}
