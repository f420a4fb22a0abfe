//! Finds what someone did to a text, and where that goes in a text that has moved on.

use std::ops::Range;

use imara_diff::{Algorithm, Diff, InternedInput};

/// Over this many edits a finer diff is not worth its time; the next coarser one is taken.
const MAX_EDITS: usize = 16_384;

/// Replaces `range` of the text before all edits of its list (UTF-16 units) by `insert`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edit {
    pub(crate) range: Range<u32>,
    pub(crate) insert: String,
}

impl Edit {
    /// By how much it makes the text longer.
    pub(crate) fn growth(&self) -> i64 {
        i64::from(units(&self.insert)) - i64::from(self.range.end - self.range.start)
    }

    /// Its range in a text that is `shift` longer before it.
    pub(crate) fn moved(&self, shift: i64) -> Range<u32> {
        moved(self.range.start, shift)..moved(self.range.end, shift)
    }
}

fn moved(unit: u32, shift: i64) -> u32 {
    u32::try_from(i64::from(unit) + shift).unwrap_or(0)
}

/// The edits that turn `base` into `new`, in order and apart from each other: whole words where
/// that is affordable, cut to the characters that differ.
pub(crate) fn between(base: &str, new: &str) -> Vec<Edit> {
    let lines = hunks(base, new, |text| text.split_inclusive('\n').collect::<Vec<_>>());
    let words: Vec<_> = lines
        .iter()
        .flat_map(|(old, fresh)| {
            hunks(&base[old.clone()], &new[fresh.clone()], words)
                .into_iter()
                .map(|(o, f)| (shift(&o, old.start), shift(&f, fresh.start)))
        })
        .take(MAX_EDITS + 1)
        .collect();
    let chosen = if words.len() <= MAX_EDITS {
        words
    } else if lines.len() <= MAX_EDITS {
        lines
    } else {
        vec![(0..base.len(), 0..new.len())]
    };
    in_units(base, new, &chosen)
}

fn shift(range: &Range<usize>, by: usize) -> Range<usize> {
    range.start + by..range.end + by
}

/// The byte ranges of `base` and `new` that differ, as whole tokens.
fn hunks<'a>(
    base: &'a str,
    new: &'a str,
    tokens: fn(&'a str) -> Vec<&'a str>,
) -> Vec<(Range<usize>, Range<usize>)> {
    let (before, after) = (tokens(base), tokens(new));
    let mut input = InternedInput::default();
    input.update_before(before.iter().copied());
    input.update_after(after.iter().copied());
    let mut diff = Diff::compute(Algorithm::Histogram, &input);
    diff.postprocess_no_heuristic(&input);
    let (before, after) = (starts(&before), starts(&after));
    diff.hunks()
        .map(|hunk| {
            let old = before[hunk.before.start as usize]..before[hunk.before.end as usize];
            let fresh = after[hunk.after.start as usize]..after[hunk.after.end as usize];
            (old, fresh)
        })
        .collect()
}

/// The byte at which each token starts, and the end.
fn starts(tokens: &[&str]) -> Vec<usize> {
    let mut at = 0;
    let mut starts = vec![0];
    starts.extend(tokens.iter().map(|token| {
        at += token.len();
        at
    }));
    starts
}

fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut from = 0;
    let mut in_word = false;
    for (at, c) in text.char_indices() {
        let letter = c.is_alphanumeric();
        if at > from && !(letter && in_word) {
            words.push(&text[from..at]);
            from = at;
        }
        in_word = letter;
    }
    if from < text.len() {
        words.push(&text[from..]);
    }
    words
}

fn in_units(base: &str, new: &str, hunks: &[(Range<usize>, Range<usize>)]) -> Vec<Edit> {
    let mut edits = Vec::with_capacity(hunks.len());
    let (mut byte, mut unit) = (0, 0);
    for (old, fresh) in hunks {
        let (removed, inserted) = (&base[old.clone()], &new[fresh.clone()]);
        let head = common(removed.chars(), inserted.chars());
        let (removed, inserted) = (&removed[head..], &inserted[head..]);
        let tail = common(removed.chars().rev(), inserted.chars().rev());
        let removed = &removed[..removed.len() - tail];
        let inserted = &inserted[..inserted.len() - tail];

        unit += units(&base[byte..old.start + head]);
        byte = old.start + head;
        if removed.is_empty() && inserted.is_empty() {
            continue;
        }
        edits.push(Edit { range: unit..unit + units(removed), insert: inserted.to_owned() });
    }
    edits
}

/// The bytes two sequences of characters have in common at their start.
fn common(a: impl Iterator<Item = char>, b: impl Iterator<Item = char>) -> usize {
    a.zip(b).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum()
}

/// The length of a text in UTF-16 units.
pub(crate) fn units(text: &str) -> u32 {
    let units: usize = text.chars().map(char::len_utf16).sum();
    u32::try_from(units).unwrap_or(u32::MAX)
}

/// Moves edits of a text onto what others have made of it since.
///
/// Both lists are edits of the same text, in order and apart. The result edits the text after
/// `theirs`; it removes only what was in the original, so nothing they inserted is lost.
pub(crate) fn rebase(mine: Vec<Edit>, theirs: &[Edit]) -> Vec<Edit> {
    let mut rebased = Vec::with_capacity(mine.len());
    let mut theirs = theirs.iter().peekable();
    // How far their edits before the current place have moved it.
    let mut shift = 0_i64;
    for edit in mine {
        let Range { mut start, end } = edit.range;
        while let Some(their) = theirs.next_if(|their| {
            their.range.end < start || { their.range.end == start && !their.range.is_empty() }
        }) {
            shift += their.growth();
        }
        // Into the hole they made, if they removed the place; else where it is now.
        let place = match theirs.peek() {
            Some(their) if their.range.start < start => moved(their.range.start, shift),
            _ => moved(start, shift),
        };
        let mut insert = edit.insert;
        if start == end {
            rebased.push(Edit { range: place..place, insert });
            continue;
        }
        // What is left of the range is removed piece by piece, around their edits.
        let mut pieces = Vec::new();
        while start < end {
            let Some(their) = theirs.peek().filter(|their| their.range.start < end) else {
                pieces.push(moved(start, shift)..moved(end, shift));
                break;
            };
            if start < their.range.start {
                pieces.push(moved(start, shift)..moved(their.range.start, shift));
            }
            start = start.max(their.range.end);
            if their.range.end > end {
                break;
            }
            shift += their.growth();
            theirs.next();
        }
        match pieces.first() {
            Some(first) if first.start == place => {}
            _ => pieces.insert(0, place..place),
        }
        rebased.extend(pieces.into_iter().map(|range| Edit { range, insert: std::mem::take(&mut insert) }));
    }
    rebased
}

#[cfg(test)]
#[allow(clippy::expect_used, clippy::cast_possible_truncation)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn apply(text: &str, edits: &[Edit]) -> String {
        let mut text: Vec<u16> = text.encode_utf16().collect();
        for edit in edits.iter().rev() {
            let range = edit.range.start as usize..edit.range.end as usize;
            text.splice(range, edit.insert.encode_utf16());
        }
        String::from_utf16(&text).expect("edits keep pairs whole")
    }

    #[test]
    fn words_cover_the_text() {
        assert_eq!(words("ab, c😀d\n"), ["ab", ",", " ", "c", "😀", "d", "\n"]);
        assert_eq!(words(""), Vec::<&str>::new());
    }

    #[test]
    fn an_edit_is_cut_to_what_differs() {
        let edits = between("one two three", "one tWo three!");
        assert_eq!(
            edits,
            [Edit { range: 5..6, insert: "W".into() }, Edit { range: 13..13, insert: "!".into() }]
        );
    }

    #[test]
    fn what_others_inserted_inside_a_deleted_range_stays() {
        let mine = between("aaa bbb ccc", "");
        let theirs = between("aaa bbb ccc", "aaa bXb ccc");
        let current = apply("aaa bbb ccc", &theirs);
        assert_eq!(apply(&current, &rebase(mine, &theirs)), "X");
    }

    proptest! {
        #[test]
        fn edits_turn_base_into_new(base in "[ab \n😀]{0,40}", new in "[ab \n😀]{0,40}") {
            let edits = between(&base, &new);
            prop_assert_eq!(apply(&base, &edits), new);
            prop_assert!(edits.windows(2).all(|w| w[0].range.end <= w[1].range.start));
        }

        /// Own insertions are upper case, theirs are digits; the base is lower case.
        #[test]
        fn rebasing_keeps_every_insertion_and_every_deletion(
            base in "[a-z]{0,30}",
            mine in edits_of("[A-Z]{0,3}"),
            theirs in edits_of("[0-9]{0,3}"),
        ) {
            let (mine, theirs) = (fit(mine, &base), fit(theirs, &base));
            let (only_mine, only_theirs) = (apply(&base, &mine), apply(&base, &theirs));
            let both = apply(&only_theirs, &rebase(mine.clone(), &theirs));

            let part = |text: &str, class: fn(&char) -> bool| text.chars().filter(class).collect::<String>();
            prop_assert_eq!(part(&both, char::is_ascii_uppercase), part(&only_mine, char::is_ascii_uppercase));
            prop_assert_eq!(part(&both, char::is_ascii_digit), part(&only_theirs, char::is_ascii_digit));
            let kept: String = base.char_indices()
                .filter(|(at, _)| !mine.iter().chain(&theirs).any(|e| e.range.contains(&(*at as u32))))
                .map(|(_, c)| c)
                .collect();
            prop_assert_eq!(part(&both, char::is_ascii_lowercase), kept);
        }
    }

    fn edits_of(insert: &'static str) -> impl Strategy<Value = Vec<(u32, u32, String)>> {
        proptest::collection::vec((0..6_u32, 0..6_u32, insert), 0..6)
    }

    fn fit(raw: Vec<(u32, u32, String)>, base: &str) -> Vec<Edit> {
        let (mut at, len) = (0, units(base));
        let mut edits = Vec::new();
        for (gap, removed, insert) in raw {
            let start = at + gap;
            let end = start + removed;
            if end > len {
                break;
            }
            edits.push(Edit { range: start..end, insert });
            at = end + 1;
        }
        edits
    }
}
