//! Strokes of a canvas.
