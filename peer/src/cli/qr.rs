//! A link as a QR code of half blocks.

use qrcode::{Color, EcLevel, QrCode};

/// Light modules around the code. The standard says four; two are enough for every camera and fit more terminals.
const QUIET: usize = 2;

/// Black on white, whatever the terminal's own colours.
const COLOURS: (&str, &str) = ("\u{1b}[30;107m", "\u{1b}[0m");

/// The code, two modules above each other to a character. Without `colours` it is right on a dark background.
pub(crate) fn code(text: &str, colours: bool) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let width = code.width();
    let dark = |x: usize, y: usize| {
        let inside = (QUIET..width + QUIET).contains(&x) && (QUIET..width + QUIET).contains(&y);
        inside && code[(x - QUIET, y - QUIET)] == Color::Dark
    };
    let side = width + 2 * QUIET;
    let mut lines = Vec::with_capacity(side.div_ceil(2));
    for y in (0..side).step_by(2) {
        // Below the last row, the background goes on.
        let drawn = |x, y| y < side && dark(x, y) == colours;
        let blocks = (0..side).map(|x| match (drawn(x, y), drawn(x, y + 1)) {
            (true, true) => '█',
            (true, false) => '▀',
            (false, true) => '▄',
            (false, false) => ' ',
        });
        let line: String = blocks.collect();
        lines.push(if colours { format!("{}{line}{}", COLOURS.0, COLOURS.1) } else { line });
    }
    Some(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_fits_and_a_novel_does_not() {
        let code = code("http://127.0.0.1:7600/#symbolon1abc", false).unwrap();
        let widths: Vec<usize> = code.lines().map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|width| *width == widths[0]));
        assert_eq!(widths.len(), widths[0].div_ceil(2));
        // Above the corner's mark, nothing but light.
        assert!(code.lines().next().unwrap().chars().all(|c| c == '█'));
        assert!(super::code(&"x".repeat(10_000), false).is_none());
    }
}
