//! Documents that exchange updates.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::pedantic)]

use std::collections::BTreeMap;
use std::time::Instant;

use proptest::prelude::*;
use symbolon::Stroke;
use symbolon::canvas::Point;
use symbolon::doc::{Doc, DocError, TextChange};
use symbolon_core::update::{Known, MAX_UPDATE, Shape, check};

const KIB_256: usize = 256 << 10;

#[derive(Default, Clone, Debug)]
struct Clocks(BTreeMap<u64, u64>);

impl Known for Clocks {
    fn clock(&self, client: u64) -> u64 {
        self.0.get(&client).copied().unwrap_or(0)
    }
}

/// Every update is checked, then applied to the others in an order that keeps causality.
struct Room {
    docs: Vec<Doc>,
    texts: Vec<String>,
    known: Vec<Clocks>,
    have: Vec<Vec<bool>>,
    log: Vec<(u64, u64, Vec<u8>, Vec<bool>)>,
    shape: Shape,
}

impl Room {
    fn new(clients: &[u64]) -> Self {
        Self {
            docs: clients.iter().map(|c| Doc::new(*c)).collect(),
            texts: vec![String::new(); clients.len()],
            known: vec![Clocks::default(); clients.len()],
            have: vec![Vec::new(); clients.len()],
            log: Vec::new(),
            shape: Shape::default(),
        }
    }

    fn publish(&mut self, who: usize, max: usize) {
        let client = self.docs[who].client();
        for update in self.docs[who].take_updates(max) {
            let start = self.known[who].clock(client);
            let checked =
                check(&update, client, start, &self.known[who], &self.shape).expect("own updates pass");
            let end = checked.end_clock;
            self.known[who].0.insert(client, end);
            self.shape.record(checked);
            for have in &mut self.have {
                have.push(false);
            }
            let deps = self.have[who].clone();
            *self.have[who].last_mut().unwrap() = true;
            self.log.push((client, end, update, deps));
        }
        self.texts[who] = self.docs[who].text("main");
    }

    /// Applies one update that is ready, picked by `pick`; false if there is none.
    fn deliver(&mut self, who: usize, pick: usize) -> bool {
        let ready: Vec<usize> = (0..self.log.len())
            .filter(|at| !self.have[who][*at])
            .filter(|at| self.log[*at].3.iter().zip(&self.have[who]).all(|(dep, have)| !dep || *have))
            .collect();
        if ready.is_empty() {
            return false;
        }
        let at = ready[pick % ready.len()];
        let (client, end, update, _) = &self.log[at];
        let changes = self.docs[who].apply(update).unwrap();
        self.have[who][at] = true;
        let entry = self.known[who].0.entry(*client).or_default();
        *entry = (*entry).max(*end);
        replay(&mut self.texts[who], &changes);
        assert_eq!(self.texts[who], self.docs[who].text("main"), "{changes:?}");
        true
    }

    fn settle(&mut self) {
        for who in 0..self.docs.len() {
            self.publish(who, MAX_UPDATE);
        }
        for who in 0..self.docs.len() {
            while self.deliver(who, 0) {}
        }
        let first = self.docs[0].digest_bytes();
        for doc in &self.docs {
            assert_eq!(doc.digest_bytes(), first, "{} / {}", doc.text("main"), self.docs[0].text("main"));
        }
    }
}

fn replay(text: &mut String, changes: &[TextChange]) {
    let mut units: Vec<u16> = text.encode_utf16().collect();
    for change in changes.iter().filter(|c| c.document == "main") {
        let at = change.at as usize;
        units.splice(at..at + change.deleted as usize, change.inserted.encode_utf16());
    }
    *text = String::from_utf16_lossy(&units);
}

#[derive(Debug, Clone)]
enum Op {
    Insert(usize, u32, String),
    Delete(usize, u32, u32),
    Open(usize),
    Close(usize, u32, u32, String),
    Renew(usize),
    Publish(usize, usize),
    Deliver(usize, usize),
}

fn op() -> impl Strategy<Value = Op> {
    let who = 0..3usize;
    prop_oneof![
        4 => (who.clone(), any::<u32>(), "[a-z😀\\n]{1,8}").prop_map(|(w, p, s)| Op::Insert(w, p, s)),
        3 => (who.clone(), any::<u32>(), 1..8u32).prop_map(|(w, p, n)| Op::Delete(w, p, n)),
        1 => who.clone().prop_map(Op::Open),
        1 => (who.clone(), any::<u32>(), 0..6u32, "[A-Z]{0,4}").prop_map(|(w, p, n, s)| Op::Close(w, p, n, s)),
        1 => who.clone().prop_map(Op::Renew),
        3 => (who.clone(), 0..200usize).prop_map(|(w, m)| Op::Publish(w, m)),
        6 => (who, any::<usize>()).prop_map(|(w, p)| Op::Deliver(w, p)),
    ]
}

/// The start of a character at or before `at`.
fn boundary(text: &str, at: u32) -> u32 {
    let mut unit = 0;
    for c in text.chars() {
        if unit + c.len_utf16() as u32 > at {
            break;
        }
        unit += c.len_utf16() as u32;
    }
    unit
}

fn byte(text: &str, at: u32) -> usize {
    let mut unit = 0;
    for (byte, c) in text.char_indices() {
        if unit >= at {
            return byte;
        }
        unit += c.len_utf16() as u32;
    }
    text.len()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(256)
    ))]

    #[test]
    fn three_documents_converge(ops in proptest::collection::vec(op(), 1..80)) {
        let mut room = Room::new(&[5, 0x1f_ffff_ffff_ffff, 77]);
        let mut open = vec![None; 3];
        let mut fresh = 1000;
        for op in ops {
            match op {
                Op::Insert(w, at, s) => {
                    let text = room.docs[w].text("main");
                    let at = boundary(&text, at % (room.docs[w].len_utf16("main") + 1));
                    room.docs[w].insert("main", at, &s).unwrap();
                    let mut expected = text.clone();
                    expected.insert_str(byte(&text, at), &s);
                    prop_assert_eq!(room.docs[w].text("main"), expected);
                    room.publish(w, 0);
                }
                Op::Delete(w, at, n) => {
                    let text = room.docs[w].text("main");
                    let len = room.docs[w].len_utf16("main");
                    let at = boundary(&text, at % (len + 1));
                    let end = boundary(&text, (at + n).min(len));
                    room.docs[w].delete("main", at..end).unwrap();
                    room.texts[w] = room.docs[w].text("main");
                }
                Op::Open(w) => open[w] = Some(room.docs[w].snapshot("main")),
                Op::Close(w, at, n, s) => {
                    let Some(base) = open[w].take() else { continue };
                    let from = boundary(base.text(), at % (base.text().encode_utf16().count() as u32 + 1));
                    let to = boundary(base.text(), from + n).max(from);
                    let mut new = base.text().to_owned();
                    new.replace_range(byte(base.text(), from)..byte(base.text(), to), &s);
                    let untouched = room.docs[w].snapshot("main") == base;
                    room.docs[w].merge_edit(&base, &new).unwrap();
                    room.texts[w] = room.docs[w].text("main");
                    if untouched {
                        prop_assert_eq!(room.docs[w].text("main"), new);
                    }
                }
                Op::Renew(w) => {
                    room.publish(w, 100);
                    let before = room.docs[w].digest_bytes();
                    room.docs[w].set_client(fresh);
                    fresh += 1;
                    prop_assert_eq!(room.docs[w].digest_bytes(), before);
                }
                Op::Publish(w, max) => room.publish(w, max),
                Op::Deliver(w, pick) => {
                    room.publish(w, 50);
                    room.deliver(w, pick);
                }
            }
        }
        room.settle();
    }
}

#[test]
fn an_edit_keeps_what_others_inserted_meanwhile() {
    let mut room = Room::new(&[1, 2]);
    room.docs[0].insert("main", 0, "one two three\nfour 😀 five\n").unwrap();
    room.settle();
    let base = room.docs[0].snapshot("main");
    room.docs[1].insert("main", 5, "INSIDE").unwrap();
    room.docs[1].insert("main", 0, "FIRST ").unwrap();
    let end = room.docs[1].len_utf16("main");
    room.docs[1].insert("main", end, "LAST").unwrap();
    room.settle();
    room.docs[0].merge_edit(&base, "one three\nfour 😀😀 FIVE\n").unwrap();
    assert_eq!(room.docs[0].text("main"), "FIRST one INSIDEthree\nfour 😀😀 FIVE\nLAST");
    room.settle();
}

#[test]
fn an_edit_of_what_did_not_move_is_exact() {
    let mut doc = Doc::new(1);
    doc.insert("main", 0, "a\nb\nc\n").unwrap();
    let base = doc.snapshot("main");
    doc.merge_edit(&base, "").unwrap();
    assert_eq!(doc.text("main"), "");
    let base = doc.snapshot("main");
    doc.merge_edit(&base, "x😀y").unwrap();
    assert_eq!(doc.text("main"), "x😀y");
}

#[test]
fn a_large_edit_takes_bounded_time() {
    let line = |n: u32| format!("line {} of {}\n", n.wrapping_mul(2_654_435_761) % 977, n % 31);
    let before: String = (0..75_000).map(line).collect();
    let after: String = (0..75_000).filter(|n| n % 7 != 0).map(|n| line(n ^ u32::from(n % 5 == 0))).collect();
    assert!(before.len() > 900_000);
    let mut doc = Doc::new(1);
    doc.insert("main", 0, &before).unwrap();
    doc.take_updates(MAX_UPDATE);
    let base = doc.snapshot("main");
    let from = Instant::now();
    doc.merge_edit(&base, &after).unwrap();
    let took = from.elapsed();
    assert_eq!(doc.text("main"), after);
    let updates = doc.take_updates(KIB_256);
    println!("{took:?}, {} updates, largest {}", updates.len(), updates.iter().map(Vec::len).max().unwrap());
    assert!(took.as_secs() < 20, "{took:?}");
    assert!(updates.iter().all(|u| u.len() < KIB_256));
}

#[test]
fn positions_count_utf16_units() {
    let mut doc = Doc::new(1);
    doc.insert("main", 0, "a😀b").unwrap();
    assert_eq!(doc.len_utf16("main"), 4);
    doc.insert("main", 3, "é").unwrap();
    assert_eq!(doc.text("main"), "a😀éb");
    assert!(matches!(doc.insert("main", 2, "x"), Err(DocError::InsideCharacter { at: 2 })));
    assert!(matches!(doc.delete("main", 1..2), Err(DocError::InsideCharacter { at: 2 })));
    assert!(matches!(doc.delete("main", 4..6), Err(DocError::OutOfRange { at: 6, len: 5, .. })));
    assert_eq!(
        doc.insert("main", 9, "x").unwrap_err().to_string(),
        "position 9 is past the end of 'main' at 5"
    );
    doc.delete("main", 1..3).unwrap();
    assert_eq!(doc.text("main"), "aéb");
    assert!(matches!(doc.insert(&"n".repeat(252), 0, "x"), Err(DocError::NameTooLong)));
}

#[test]
fn a_long_insertion_becomes_updates_that_pass_the_check() {
    let text: String = "é😀xyz\n".repeat(3_000_000 / 10);
    assert!(text.len() > 2_990_000);
    let (mut doc, mut other) = (Doc::new(1), Doc::new(2));
    doc.insert("main", 0, "ab").unwrap();
    doc.insert("main", 1, &text).unwrap();
    let len = doc.len_utf16("main");
    doc.delete("main", 1..len - 1).unwrap();
    doc.insert(&"n".repeat(251), 0, &text).unwrap();
    let (mut clock, mut shape) = (0, Shape::default());
    for update in doc.take_updates(KIB_256) {
        assert!(update.len() < KIB_256, "{}", update.len());
        let checked = check(&update, 1, clock, &Clocks::default(), &shape).unwrap();
        clock = checked.end_clock;
        shape.record(checked);
        other.apply(&update).unwrap();
    }
    assert_eq!(other.text("main"), "ab");
    assert!(other.text(&"n".repeat(251)) == text);
    assert_eq!(other.digest_bytes(), doc.digest_bytes());
}

#[test]
fn updates_are_merged_up_to_a_size() {
    let mut doc = Doc::new(1);
    assert!(!doc.has_updates() && doc.take_updates(1000).is_empty());
    for at in 0..100 {
        doc.insert("main", at, "x").unwrap();
    }
    assert!(doc.has_updates());
    let merged = doc.take_updates(1 << 20);
    assert_eq!(merged.len(), 1);
    // Merging joins them to one struct or keeps a struct per key; either way nothing is lost.
    let mut other = Doc::new(2);
    assert_eq!(
        other.apply(&merged[0]).unwrap(),
        [TextChange { document: "main".into(), at: 0, deleted: 0, inserted: "x".repeat(100) }]
    );
    assert!(!doc.has_updates());
    for _ in 0..100 {
        doc.insert("main", 0, "y").unwrap();
    }
    let merged = doc.take_updates(200);
    assert!(merged.len() > 5 && merged.iter().all(|u| u.len() <= 200), "{}", merged.len());
    for update in merged {
        other.apply(&update).unwrap();
    }
    assert_eq!(other.text("main"), doc.text("main"));
}

#[test]
fn a_fresh_incarnation_goes_on_where_the_last_one_was() {
    let (mut doc, mut other) = (Doc::new(1), Doc::new(2));
    doc.insert("main", 0, "hello").unwrap();
    let mut updates = doc.take_updates(1000);
    doc.set_client(3);
    assert_eq!((doc.client(), doc.text("main").as_str()), (3, "hello"));
    doc.insert("main", 5, "!").unwrap();
    updates.append(&mut doc.take_updates(1000));
    for update in updates {
        other.apply(&update).unwrap();
    }
    assert_eq!(other.text("main"), "hello!");
    assert_eq!(other.digest_bytes(), doc.digest_bytes());
}

#[test]
fn an_update_that_is_not_ready_leaves_nothing_behind() {
    let (mut doc, mut other) = (Doc::new(1), Doc::new(2));
    doc.insert("main", 0, "a").unwrap();
    doc.insert("main", 1, "b").unwrap();
    let updates = doc.take_updates(0);
    assert!(matches!(other.apply(&updates[1]), Err(DocError::Pending)));
    other.apply(&updates[0]).unwrap();
    assert_eq!(other.text("main"), "a");
    other.apply(&updates[1]).unwrap();
    assert_eq!(other.text("main"), "ab");
    assert!(other.apply(&[1, 2, 3]).is_err());
}

#[test]
fn a_text_is_reported_from_its_first_change() {
    let (mut doc, mut other) = (Doc::new(1), Doc::new(2));
    doc.insert("notes", 0, "x").unwrap();
    let changes = other.apply(&doc.take_updates(1000)[0]).unwrap();
    assert_eq!(changes, [TextChange { document: "notes".into(), at: 0, deleted: 0, inserted: "x".into() }]);
    assert_eq!(other.documents(), ["text:notes"]);
    assert_eq!(other.text("main"), "");
}

#[test]
fn a_document_can_move_to_another_thread() {
    fn send<T: Send>(_: &T) {}
    send(&Doc::new(1));
}

fn dot(x: i32) -> Stroke {
    Stroke::new([0; 3], 16, vec![Point { x, y: 0, pressure: 255 }]).unwrap()
}

#[test]
fn drawings_converge_and_their_changes_are_told_to_others_only() {
    let mut room = Room::new(&[7, 9]);
    room.docs[0].draw("main", &dot(1)).unwrap();
    room.docs[0].draw("main", &dot(2)).unwrap();
    room.docs[1].draw("main", &dot(3)).unwrap();
    room.docs[1].draw("plan", &dot(4)).unwrap();
    assert!(room.docs.iter_mut().all(|doc| doc.take_drawn().is_empty()));
    room.publish(0, KIB_256);
    room.publish(1, KIB_256);
    let updates: Vec<Vec<u8>> = room.log.iter().map(|(_, _, update, _)| update.clone()).collect();
    for update in &updates[..1] {
        assert_eq!(room.docs[1].apply(update).unwrap(), vec![]);
    }
    for update in &updates[1..] {
        assert_eq!(room.docs[0].apply(update).unwrap(), vec![]);
    }
    assert_eq!(room.docs[1].take_drawn(), ["main".to_owned()].into());
    assert_eq!(room.docs[0].take_drawn(), ["main".to_owned(), "plan".to_owned()].into());
    assert_eq!(room.docs[0].digest_bytes(), room.docs[1].digest_bytes());
    let strokes = room.docs[0].strokes("main");
    assert_eq!(strokes, room.docs[1].strokes("main"));
    assert_eq!(strokes.len(), 3);

    assert_eq!(room.docs[0].erase("main", |stroke| *stroke == dot(2)), 1);
    assert_eq!(room.docs[0].erase("main", |stroke| *stroke == dot(2)), 0);
    let erased = room.docs[0].take_updates(KIB_256).remove(0);
    assert_ne!(room.docs[0].digest_bytes(), room.docs[1].digest_bytes());
    room.docs[1].apply(&erased).unwrap();
    assert_eq!(room.docs[0].digest_bytes(), room.docs[1].digest_bytes());

    room.docs[0].set_client(8);
    assert!(room.docs[0].take_drawn().is_empty());
    assert_eq!(room.docs[0].strokes("main"), room.docs[1].strokes("main"));
    let sizes: Vec<_> =
        room.docs[0].list().into_iter().map(|of| format!("{}:{} {:?}", of.kind, of.name, of.size)).collect();
    assert_eq!(sizes, ["canvas:main Some(2)", "canvas:plan Some(1)"]);
}

#[test]
fn a_digest_covers_what_is_drawn() {
    let drawn = |strokes: &[i32]| {
        let mut doc = Doc::new(7);
        for x in strokes {
            doc.draw("main", &dot(*x)).unwrap();
        }
        doc.digest_bytes()
    };
    assert_eq!(drawn(&[1, 2]), drawn(&[1, 2]));
    assert_ne!(drawn(&[1, 2]), drawn(&[1, 3]));
    assert_ne!(drawn(&[1, 2]), drawn(&[2, 1]));
}
