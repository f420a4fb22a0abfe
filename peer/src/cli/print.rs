//! Words for people, JSON for programs.

use std::fmt::{Display, Write as _};
use std::io::{self, IsTerminal as _, Write as _};
use std::process;

use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr as _;

use crate::failure::{Failure, USAGE};

/// Standard output.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Out {
    pub(crate) json: bool,
}

impl Out {
    /// Prints the one or the other. `words` end without a newline.
    pub(crate) fn either(self, json: &Value, words: impl FnOnce() -> String) -> Result<(), Failure> {
        if self.json { line(json) } else { line(&words()) }
    }

    /// Prints a line for whoever is there to read it.
    pub(crate) fn tell(self, json: &Value, words: &str) {
        let line = if self.json { json.to_string() } else { words.to_owned() };
        let _ = write(format!("{line}\n").as_bytes());
    }

    /// Prints why a command was not done.
    pub(crate) fn failure(self, failure: &Failure) {
        let Failure { code, message } = failure;
        if self.json && code != USAGE {
            let line = json!({ "error": { "code": code, "message": message } });
            let _ = write(format!("{line}\n").as_bytes());
            return;
        }
        let mut words = format!("error: {}\n", printable(message));
        if let Some(next) = failure.next_step() {
            let _ = writeln!(words, "       {next}");
        }
        let _ = io::stderr().write_all(words.as_bytes());
    }
}

/// Prints a line.
pub(crate) fn line(line: &impl Display) -> Result<(), Failure> {
    bytes(format!("{line}\n").as_bytes())
}

/// Prints text that others wrote: as it is into a file or a pipe, without control characters on a terminal.
pub(crate) fn text(text: &str) -> Result<(), Failure> {
    if io::stdout().is_terminal() {
        let shown = printable(text);
        let end = if shown.is_empty() || shown.ends_with('\n') { "" } else { "\n" };
        bytes(format!("{shown}{end}").as_bytes())
    } else {
        bytes(text.as_bytes())
    }
}

/// Prints bytes. A reader that has seen enough ends the command.
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    match write(bytes) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => process::exit(0),
        Err(error) => Err(Failure::new("io", format!("the output cannot be written: {error}"))),
        Ok(()) => Ok(()),
    }
}

fn write(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush())
}

/// Without what would make a terminal do something, or show another text than there is.
pub(crate) fn printable(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => c,
        // Directions that embed and override.
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    text.chars().map(shown).collect()
}

/// Columns, each as wide as its widest cell. The first row is the heading.
pub(crate) fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let rows: Vec<[String; N]> = rows.iter().map(|row| row.each_ref().map(|cell| printable(cell))).collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    let lines = rows.iter().map(|row| {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width - cell.width() + 2));
        }
        line.trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The beginning of an id, enough to tell it from others.
pub(crate) fn short(id: &Value) -> String {
    id.as_str().unwrap_or_default().chars().take(10).collect()
}

/// A time in milliseconds since 1970, to the second.
pub(crate) fn time(unix_ms: u64) -> String {
    crate::failure::rfc3339(unix_ms).replace('T', " ").replace('Z', " UTC")
}

/// A word as a shell reads it back.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_.,:/@+=".contains(c);
    if !word.is_empty() && !word.starts_with('-') && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_by_what_a_terminal_shows() {
        let rows = [["A", "B"], ["ada", "1"], ["日本", "22"]].map(|row| row.map(String::from));
        assert_eq!(table(&rows), "A     B\nada   1\n日本  22");
    }

    #[test]
    fn text_of_others_cannot_steer_the_terminal() {
        assert_eq!(
            printable("a\u{1b}[2Jb\tc\r\n\u{9b}\u{202e}"),
            "a\u{fffd}[2Jb\tc\u{fffd}\n\u{fffd}\u{fffd}"
        );
    }

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(quoted("notes"), "notes");
        assert_eq!(quoted("it's ours"), r"'it'\''s ours'");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("-x"), "'-x'");
    }
}
