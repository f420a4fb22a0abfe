//! What passes the check and what does not.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::pedantic)]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use common::watch::watched;
use common::{Clocks, Frame, Room, op, options};
use proptest::collection::vec;
use proptest::prelude::*;
use symbolon_core::canvas::MAX_STROKE;
use symbolon_core::update::{Checked, Shape, UpdateError, check};
use yrs::updates::decoder::Decode;
use yrs::{ReadTxn, Transact, Update};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(256)))]

    #[test]
    fn any_bytes_are_refused_or_pass_without_panic(bytes in vec(any::<u8>(), 0..200), start in 0..5u64) {
        let _ = check(&bytes, 7, start, &Clocks([(7, 5), (9, 3)].into()), &Shape::default());
    }

    #[test]
    fn plausible_bytes_are_refused_or_pass_without_panic(tail in vec(prop_oneof![0..12u8, 0x40..0x90u8, 115..128u8, any::<u8>()], 0..80)) {
        let bytes = [&[1, 3, 7, 0][..], &tail].concat();
        let _ = check(&bytes, 7, 0, &Clocks([(9, 3)].into()), &Shape::default());
    }

    #[test]
    fn every_update_of_an_honest_client_passes(ops in vec(op(), 1..60)) {
        let room = Room::run(&ops);
        prop_assert!(room.is_ok(), "{:?}", room.err());
    }

    #[test]
    fn merged_updates_of_an_honest_client_pass_and_mean_the_same(ops in vec(op(), 1..40), cut in 1..6usize) {
        let room = Room::run(&ops).unwrap();
        let merged = merged(&room.log, cut);
        let mut shape = Shape::default();
        let (one, other) = (doc(1), doc(2));
        for frame in &merged {
            let checked = check(&frame.update, frame.client, frame.start, &frame.known, &shape);
            prop_assert!(checked.is_ok(), "{:?} {:?}", frame, checked.err());
            shape.record(checked.unwrap());
            apply(&one, &frame.update);
        }
        for frame in &room.log {
            apply(&other, &frame.update);
        }
        prop_assert!(!one.transact().has_missing_updates());
        prop_assert_eq!(content(&one), content(&other));
    }

    #[test]
    fn a_mutated_update_is_refused_or_applies_cleanly(
        ops in vec(op(), 1..40),
        pick in any::<prop::sample::Index>(),
        mutations in vec((any::<prop::sample::Index>(), 0..5u8, any::<u8>()), 1..4),
        spare in vec(any::<u8>(), 1..4),
    ) {
        let room = Room::run(&ops).unwrap();
        if room.log.is_empty() {
            return Ok(());
        }
        let at = pick.index(room.log.len());
        let frame = &room.log[at];
        let mut bytes = frame.update.clone();
        for (place, kind, with) in mutations {
            if bytes.is_empty() {
                break;
            }
            let place = place.index(bytes.len());
            match kind {
                0 => bytes[place] = with,
                1 => bytes[place] = bytes[place].wrapping_add(with % 3).wrapping_sub(1),
                2 => { bytes.remove(place); }
                3 => bytes.insert(place, with % 16),
                _ => { bytes.splice(place..place, spare.iter().copied()); }
            }
        }
        let mut shape = Shape::default();
        let target = doc(99);
        for before in &room.log[..at] {
            shape.record(check(&before.update, before.client, before.start, &before.known, &shape).unwrap());
            apply(&target, &before.update);
        }
        if let Ok(checked) = check(&bytes, frame.client, frame.start, &frame.known, &shape) {
            let outcome = applies(&target, &bytes);
            prop_assert!(outcome.is_ok(), "{:?}\n{:?}\n{:?}", outcome, bytes, checked);
        }
    }
}

/// A struct as someone might craft it: any reference that encodes, honest or not.
#[derive(Debug, Clone)]
struct Crafted {
    left: Option<(bool, u8)>,
    right: Option<(bool, u8)>,
    parent: u8,
    sub: Option<bool>,
    content: u8,
}

fn crafted() -> impl Strategy<Value = Crafted> {
    let near = prop::option::weighted(0.6, (any::<bool>(), 0..13u8));
    (near.clone(), near, 0..10u8, prop::option::weighted(0.3, any::<bool>()), 0..10u8)
        .prop_map(|(left, right, parent, sub, content)| Crafted { left, right, parent, sub, content })
}

impl Crafted {
    fn encode(&self, author: u64) -> Vec<u8> {
        let of = |own: bool| if own { author } else { 9 };
        let (kind, content) = match self.content {
            0..=2 => (4, string("x😀z")),
            3 => (TYPE, vec![1]),
            4 => (TYPE, vec![0]),
            5 => (6, [string("b"), string("true")].concat()),
            6 => (1, vec![2]),
            7 => (ANY, vec![2, 126, 120]),
            _ => (BINARY, vec![2, 1, 7]),
        };
        let mut info = kind;
        let mut bytes = Vec::new();
        for (flag, near) in [(0x80, self.left), (0x40, self.right)] {
            if let Some((own, clock)) = near {
                info |= flag;
                bytes.extend(id(of(own), clock.into()));
            }
        }
        if self.sub.is_some() {
            info |= 0x20;
        }
        if bytes.is_empty() {
            match self.parent {
                0..=1 => bytes.extend([vec![1], string("text:main")].concat()),
                2 => bytes.extend([vec![1], string("array:a")].concat()),
                3 => bytes.extend([vec![1], string("map:m")].concat()),
                n @ 4..=5 => bytes.extend([vec![0], id(9, n.into())].concat()),
                8..=9 => bytes.extend([vec![1], string("canvas:c")].concat()),
                n => bytes.extend([vec![0], id(author, (n - 6).into())].concat()),
            }
            if let Some(sub) = self.sub {
                bytes.extend(string(if sub { "k" } else { "l" }));
            }
        }
        bytes.insert(0, info);
        bytes.extend(content);
        bytes
    }
}

/// What author 9 made for others to refer to: a text, a map, an array, values in that.
fn ground() -> Vec<u8> {
    section(
        9,
        0,
        &[
            in_root("text:main", STRING, &string("abcd")),
            in_root("map:m", TYPE | 0x20, &[string("k"), vec![1]].concat()),
            [vec![TYPE | 0x80], id(9, 3), vec![0]].concat(),
            in_type((9, 5), ANY, &[5, 126, 126, 126, 126, 126]),
            in_root("canvas:c", BINARY, &[1, 1]),
        ],
        NO_DELETES,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(2000)))]

    /// Structs are kept as long as the check keeps them; two such authors do not know each other.
    /// That both orders give one state is not promised: it takes honest neighbours (left before
    /// right), which only the list itself could tell.
    #[test]
    fn crafted_updates_that_pass_apply_cleanly_and_in_any_order(
        one in vec(crafted(), 1..12),
        two in vec(crafted(), 1..12),
        deletes in vec((0..12u64, 1..4u64), 0..3),
    ) {
        let mut shape = Shape::default();
        let ground = ground();
        shape.record(check(&ground, 9, 0, &Clocks::default(), &shape).unwrap());
        let known = Clocks([(9, 12)].into());
        let mut updates = Vec::new();
        for (author, structs) in [(7, one), (0x1f_ffff_ffff_ffff, two)] {
            let mut clock = 0;
            for crafted in structs {
                let update = section(author, clock, &[crafted.encode(author)], NO_DELETES);
                if let Ok(checked) = check(&update, author, clock, &known, &shape) {
                    clock = checked.end_clock;
                    shape.record(checked);
                    updates.push((author, update));
                }
            }
        }
        for (clock, len) in deletes {
            let update = [uint(0), uint(1), uint(9), uint(1), uint(clock), uint(len)].concat();
            if check(&update, 7, 0, &known, &shape).is_ok() {
                updates.push((7, update));
            }
        }
        // All of them, where `applies` names the one.
        let _running = watched(format!("{updates:?}"));
        let (ab, ba) = (doc(1), doc(2));
        apply(&ab, &ground);
        apply(&ba, &ground);
        for (_, update) in &updates {
            let outcome = applies(&ab, update);
            prop_assert!(outcome.is_ok(), "{:?} {:?}", outcome, updates);
        }
        for first in [false, true] {
            for (_, update) in updates.iter().filter(|(author, _)| (*author == 7) == first) {
                let outcome = applies(&ba, update);
                prop_assert!(outcome.is_ok(), "{:?} {:?}", outcome, updates);
            }
        }
    }
}

fn cases(default: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

fn doc(client: u64) -> yrs::Doc {
    yrs::Doc::with_options(options(client, true, false))
}

fn apply(doc: &yrs::Doc, update: &[u8]) {
    doc.transact_mut().apply_update(Update::decode_v1(update).unwrap()).unwrap();
}

fn applies(doc: &yrs::Doc, update: &[u8]) -> Result<(), String> {
    let _running = watched(format!("{update:?}"));
    let from = Instant::now();
    catch_unwind(AssertUnwindSafe(|| {
        let update = Update::decode_v1(update).map_err(|e| e.to_string())?;
        let mut txn = doc.transact_mut();
        txn.apply_update(update).map_err(|e| e.to_string())?;
        txn.commit();
        if txn.has_missing_updates() {
            return Err("pending".to_owned());
        }
        Ok(())
    }))
    .map_err(|_| "panic".to_owned())??;
    if from.elapsed() > Duration::from_secs(1) {
        return Err("slow".to_owned());
    }
    let _ = content(doc);
    Ok(())
}

/// Text and everything else, in a stable form.
fn content(doc: &yrs::Doc) -> String {
    use yrs::types::text::YChange;
    use yrs::{GetString, Text, WriteTxn, types::ToJson};
    fn stable(any: &yrs::Any) -> String {
        match any {
            yrs::Any::Map(map) => {
                let mut entries: Vec<_> = map.iter().map(|(k, v)| format!("{k}:{}", stable(v))).collect();
                entries.sort();
                format!("{{{}}}", entries.join(","))
            }
            yrs::Any::Array(list) => format!("[{}]", list.iter().map(stable).collect::<Vec<_>>().join(",")),
            other => format!("{other:?}"),
        }
    }
    let mut txn = doc.transact_mut();
    let text = txn.get_or_insert_text("text:main");
    let map = txn.get_or_insert_map("map:m");
    let list = txn.get_or_insert_array("array:a");
    let xml = txn.get_or_insert_xml_fragment("xml:x");
    let canvas = txn.get_or_insert_array("canvas:main");
    let marks: Vec<_> = text
        .diff(&txn, YChange::identity)
        .iter()
        .map(|d| match &d.insert {
            yrs::Out::Any(any) => format!("{}{:?}", stable(any), d.attributes.as_ref().map(|a| a.len())),
            _ => "type".to_owned(),
        })
        .collect();
    format!(
        "{marks:?} {} {} {} {}",
        stable(&map.to_json(&txn)),
        stable(&list.to_json(&txn)),
        stable(&canvas.to_json(&txn)),
        xml.get_string(&txn)
    )
}

/// The log with up to `cut` consecutive updates of each author merged into one.
fn merged(log: &[Frame], cut: usize) -> Vec<Frame> {
    let mut open: std::collections::BTreeMap<usize, Vec<(usize, Frame)>> = Default::default();
    let mut groups: Vec<Vec<(usize, Frame)>> = Vec::new();
    for (at, frame) in log.iter().enumerate() {
        let group = open.entry(frame.author).or_default();
        group.push((at, frame.clone()));
        // What another has seen of it is sent by then.
        let seen_next = log.get(at + 1).is_some_and(|next| next.author != frame.author);
        if group.len() >= cut || seen_next {
            groups.push(open.remove(&frame.author).unwrap());
        }
    }
    groups.extend(open.into_values());
    groups.sort_by_key(|group| group[0].0);
    groups
        .into_iter()
        .map(|group| {
            let last = group.last().unwrap().1.clone();
            let update = yrs::merge_updates_v1(group.iter().map(|(_, f)| &f.update)).unwrap();
            Frame { update, start: group[0].1.start, ..last }
        })
        .collect()
}

// The concrete attacks. Author 7; 9 has three clocks in a list of the root `r`.

fn uint(mut n: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while n >= 0x80 {
        bytes.push(n as u8 | 0x80);
        n >>= 7;
    }
    bytes.push(n as u8);
    bytes
}

fn string(s: &str) -> Vec<u8> {
    [uint(s.len() as u64), s.as_bytes().to_vec()].concat()
}

fn id(client: u64, clock: u64) -> Vec<u8> {
    [uint(client), uint(clock)].concat()
}

/// One section of `client` from `clock` with these structs, and a delete set.
fn section(client: u64, clock: u64, structs: &[Vec<u8>], deletes: &[u8]) -> Vec<u8> {
    [uint(1), uint(structs.len() as u64), uint(client), uint(clock), structs.concat(), deletes.to_vec()]
        .concat()
}

fn in_root(root: &str, kind: u8, content: &[u8]) -> Vec<u8> {
    [vec![kind, 1], string(root), content.to_vec()].concat()
}

fn in_type(parent: (u64, u64), kind: u8, content: &[u8]) -> Vec<u8> {
    [vec![kind, 0], id(parent.0, parent.1), content.to_vec()].concat()
}

const NO_DELETES: &[u8] = &[0];
const BINARY: u8 = 3;
const STRING: u8 = 4;
const TYPE: u8 = 7;
const ANY: u8 = 8;

fn room() -> (Clocks, Shape) {
    let mut shape = Shape::default();
    let update = section(9, 0, &[in_root("r", STRING, &string("abc"))], NO_DELETES);
    let none = Clocks::default();
    let checked = check(&update, 9, 0, &none, &shape).unwrap();
    shape.record(checked);
    (Clocks([(9, 3)].into()), shape)
}

fn verdict(update: &[u8]) -> Result<Checked, UpdateError> {
    let (known, shape) = room();
    check(update, 7, 0, &known, &shape)
}

fn refused(update: &[u8]) -> UpdateError {
    verdict(update).unwrap_err()
}

#[test]
fn a_plain_insertion_passes() {
    let checked =
        verdict(&section(7, 0, &[in_root("text:main", STRING, &string("hé😀"))], NO_DELETES)).unwrap();
    assert_eq!((checked.end_clock, checked.structs, checked.deleted), (4, 1, 0));
}

#[test]
fn an_empty_update_passes() {
    assert_eq!(verdict(&[0, 0]).unwrap().end_clock, 0);
    assert_eq!(refused(&[]), UpdateError::Truncated);
}

#[test]
fn values_nested_100_000_deep_are_refused() {
    for open in [[117, 1].to_vec(), [118, 1, 0].to_vec()] {
        let value = [uint(1), open.repeat(100_000), vec![126]].concat();
        assert_eq!(refused(&section(7, 0, &[in_root("r", ANY, &value)], NO_DELETES)), UpdateError::TooDeep);
    }
    let value = [uint(1), [117, 1].repeat(64), vec![126]].concat();
    assert!(verdict(&section(7, 0, &[in_root("r", ANY, &value)], NO_DELETES)).is_ok());
}

#[test]
fn json_nested_100_000_deep_is_refused() {
    let json = string(&("[".repeat(100_000) + &"]".repeat(100_000)));
    assert_eq!(refused(&section(7, 0, &[in_root("text:main", 5, &json)], NO_DELETES)), UpdateError::TooDeep);
}

#[test]
fn types_nested_more_than_64_deep_are_refused() {
    let nest = |depth: u64| {
        let mut structs = vec![in_root("map:m", TYPE, &[1])];
        structs.extend((1..depth).map(|n| in_type((7, n - 1), TYPE, &[1])));
        section(7, 0, &structs, NO_DELETES)
    };
    assert!(verdict(&nest(65)).is_ok());
    assert_eq!(refused(&nest(66)), UpdateError::TooDeep);
    assert_eq!(refused(&nest(50_000)), UpdateError::TooDeep);
}

#[test]
fn types_nested_behind_a_sibling_count_as_deep() {
    // Each level: a text in the type, and the next type to the right of the text.
    let mut structs = vec![in_root("map:m", TYPE, &[2])];
    for level in 0..100 {
        let parent = (7, level * 2);
        structs.push(in_type(parent, STRING, &string("x")));
        structs.push([vec![TYPE | 0x80], id(7, level * 2 + 1), vec![2]].concat());
    }
    assert_eq!(refused(&section(7, 0, &structs, NO_DELETES)), UpdateError::TooDeep);
}

#[test]
fn huge_counts_are_refused_before_anything_is_reserved() {
    let huge = uint(250_000_000);
    for update in [
        [uint(1), huge.clone(), uint(7), uint(0)].concat(),
        [huge.clone(), vec![0]].concat(),
        [uint(0), huge.clone()].concat(),
        [uint(0), uint(1), uint(9), huge.clone()].concat(),
        section(7, 0, &[in_root("r", ANY, &huge)], NO_DELETES),
        section(7, 0, &[in_root("r", ANY, &[vec![1, 117], huge.clone()].concat())], NO_DELETES),
        section(7, 0, &[in_root("r", ANY, &[vec![1, 118], huge.clone()].concat())], NO_DELETES),
        section(7, 0, &[in_root("r", 3, &huge)], NO_DELETES),
    ] {
        assert!(matches!(refused(&update), UpdateError::Truncated | UpdateError::NotTheAuthor), "{update:?}");
    }
}

#[test]
fn a_ten_byte_delete_set_of_anothers_future_is_refused() {
    let deletes = |client: u64, clock: u64, len: u64| {
        [uint(0), uint(1), uint(client), uint(1), uint(clock), uint(len)].concat()
    };
    assert_eq!(deletes(9, 0, (1 << 31) - 1).len(), 10);
    assert_eq!(refused(&deletes(9, 0, (1 << 31) - 1)), UpdateError::UnknownReference);
    assert_eq!(refused(&deletes(9, 3, 1)), UpdateError::UnknownReference);
    assert_eq!(refused(&deletes(9, 2, 2)), UpdateError::UnknownReference);
    assert_eq!(refused(&deletes(8, 0, 1)), UpdateError::UnknownReference);
    assert_eq!(refused(&deletes(7, 0, 1)), UpdateError::UnknownReference);
    assert_eq!(refused(&deletes(9, (1 << 53) - 1, (1 << 53) - 1)), UpdateError::UnknownReference);
    assert_eq!(refused(&deletes(9, 0, 0)), UpdateError::Empty);
    assert_eq!(verdict(&deletes(9, 1, 2)).unwrap().deleted, 2);
}

#[test]
fn a_delete_set_that_decoders_read_differently_is_refused() {
    let twice =
        [uint(0), uint(2), uint(9), uint(1), uint(0), uint(1), uint(9), uint(1), uint(1), uint(1)].concat();
    assert_eq!(refused(&twice), UpdateError::DeleteSet);
    let unordered = [uint(0), uint(1), uint(9), uint(2), uint(1), uint(1), uint(0), uint(1)].concat();
    assert_eq!(refused(&unordered), UpdateError::DeleteSet);
    let overlapping = [uint(0), uint(1), uint(9), uint(2), uint(0), uint(2), uint(1), uint(1)].concat();
    assert_eq!(refused(&overlapping), UpdateError::DeleteSet);
}

#[test]
fn unknown_origins_and_parents_are_refused() {
    let after = |client, clock| {
        section(7, 0, &[[vec![STRING | 0x80], id(client, clock), string("x")].concat()], NO_DELETES)
    };
    let before = |client, clock| {
        section(7, 0, &[[vec![STRING | 0x40], id(client, clock), string("x")].concat()], NO_DELETES)
    };
    let under = |client, clock| section(7, 0, &[in_type((client, clock), STRING, &string("x"))], NO_DELETES);
    assert!(verdict(&after(9, 2)).is_ok() && verdict(&before(9, 0)).is_ok());
    for (client, clock) in [(9, 3), (8, 0), (7, 0), (7, 5), (9, u64::from(u32::MAX) + 1)] {
        for update in [after(client, clock), before(client, clock), under(client, clock)] {
            assert_eq!(refused(&update), UpdateError::UnknownReference, "{client} {clock}");
        }
    }
    assert_eq!(refused(&under(9, 0)), UpdateError::NotAParent);
}

#[test]
fn what_others_have_but_the_author_had_not_seen_is_refused() {
    let (_, shape) = room();
    let known = Clocks([(9, 2)].into());
    let after =
        |clock| section(7, 0, &[[vec![STRING | 0x80], id(9, clock), string("x")].concat()], NO_DELETES);
    assert!(check(&after(1), 7, 0, &known, &shape).is_ok());
    let refused = check(&after(2), 7, 0, &known, &shape).unwrap_err();
    assert_eq!(refused, UpdateError::UnknownReference);
}

#[test]
fn neighbours_from_different_places_are_refused() {
    let update = section(
        7,
        0,
        &[
            in_root("other", STRING, &string("x")),
            [vec![STRING | 0xc0], id(7, 0), id(9, 0), string("y")].concat(),
        ],
        NO_DELETES,
    );
    assert_eq!(refused(&update), UpdateError::Misplaced);
}

#[test]
fn values_in_a_text_are_refused() {
    assert_eq!(
        refused(&section(7, 0, &[in_root("text:main", ANY, &[1, 126])], NO_DELETES)),
        UpdateError::Misplaced
    );
    assert!(verdict(&section(7, 0, &[in_root("array:a", ANY, &[1, 126])], NO_DELETES)).is_ok());
}

/// `yrs` 0.28.1 reads such an array without end: it counts the string as two values and finds one.
#[test]
fn strings_among_values_are_refused() {
    let smile = string("😀");
    let nested = |type_ref: &[u8], kind: u8, content: &[u8]| {
        let holder = in_root("map:m", TYPE | 0x20, &[&string("k")[..], type_ref].concat());
        section(7, 0, &[holder, in_type((7, 0), kind, content)], NO_DELETES)
    };
    for root in ["array:a", "map:m", "xml:x"] {
        let update = section(7, 0, &[in_root(root, STRING, &smile)], NO_DELETES);
        assert_eq!(refused(&update), UpdateError::Misplaced, "{root}");
    }
    for values in [&[0][..], &[1], &[3, 1, b'p'], &[4]] {
        let update = nested(values, STRING, &smile);
        assert_eq!(refused(&update), UpdateError::Misplaced, "{values:?}");
    }
    let beside = section(
        7,
        0,
        &[in_root("array:a", ANY, &[1, 126]), [vec![STRING | 0x80], id(7, 0), smile.clone()].concat()],
        NO_DELETES,
    );
    assert_eq!(refused(&beside), UpdateError::Misplaced);

    for text in [&[2][..], &[6]] {
        assert!(verdict(&nested(text, STRING, &smile)).is_ok());
        assert_eq!(refused(&nested(text, ANY, &[1, 126])), UpdateError::Misplaced);
    }
}

/// Yjs shows the last unit of such a text and the mark as undefined, `yrs` the whole text and no mark.
#[test]
fn text_and_marks_under_a_map_key_are_refused() {
    let json = string("true");
    let others: [(u8, &[u8]); 3] =
        [(STRING, &string("xy")), (5, &json), (6, &[&string("b")[..], &json].concat())];
    for root in ["map:m", "text:main", "r"] {
        for (kind, content) in others {
            let entry = in_root(root, kind | 0x20, &[&string("k")[..], content].concat());
            assert_eq!(
                refused(&section(7, 0, &[entry], NO_DELETES)),
                UpdateError::Misplaced,
                "{root} {kind}"
            );
        }
        let entry = in_root(root, ANY | 0x20, &[&string("k")[..], &[1, 126]].concat());
        assert!(verdict(&section(7, 0, &[entry], NO_DELETES)).is_ok(), "{root}");
    }
}

/// `yrs` passes over them, Yjs shows them.
#[test]
fn what_is_no_xml_node_is_refused_among_nodes() {
    let element = [&[3][..], &string("p")].concat();
    let holder = in_root("xml:x", TYPE, &element);
    let json = string("true");
    let among = |kind: u8, content: &[u8]| {
        let inside = section(7, 0, &[holder.clone(), in_type((7, 0), kind, content)], NO_DELETES);
        let in_fragment = section(7, 0, &[in_root("xml:x", kind, content)], NO_DELETES);
        let (inside, in_fragment) = (verdict(&inside).map(drop), verdict(&in_fragment).map(drop));
        assert_eq!(inside, in_fragment, "{kind} {content:?}");
        inside
    };
    for node in [&element[..], &[4], &[6]] {
        assert_eq!(among(TYPE, node), Ok(()));
    }
    assert_eq!(among(1, &[1]), Ok(()));
    let others: [(u8, &[u8]); 7] = [
        (BINARY, &[1, 1]),
        (STRING, &string("x")),
        (5, &json),
        (TYPE, &[0]),
        (TYPE, &[1]),
        (TYPE, &[2]),
        (ANY, &[1, 126]),
    ];
    for (kind, content) in others {
        assert_eq!(among(kind, content), Err(UpdateError::Misplaced), "{kind} {content:?}");
    }
    let attribute =
        [vec![ANY | 0x20, 0], id(7, 0), string("class"), [&[1, 119][..], &string("x")].concat()].concat();
    assert!(verdict(&section(7, 0, &[holder, attribute], NO_DELETES)).is_ok());
}

#[test]
fn a_canvas_holds_strokes_and_nothing_else() {
    let on_canvas = |kind: u8, content: &[u8]| {
        verdict(&section(7, 0, &[in_root("canvas:main", kind, content)], NO_DELETES)).map(|_| ())
    };
    assert_eq!(on_canvas(BINARY, &[3, 1, 2, 3]), Ok(()));
    assert_eq!(on_canvas(1, &[2]), Ok(()), "strokes that were deleted as they were made");
    let json = string("true");
    let others: [(u8, &[u8]); 8] = [
        (STRING, &string("x")),
        (5, &json),
        (6, &[&string("b")[..], &json].concat()),
        (TYPE, &[0]),
        (TYPE, &[1]),
        (TYPE, &[2]),
        (ANY, &[1, 126]),
        (ANY, &[1, 116, 1, 1]),
    ];
    for (kind, content) in others {
        assert_eq!(on_canvas(kind, content), Err(UpdateError::Misplaced), "{kind} {content:?}");
        let beside = [in_root("canvas:main", BINARY, &[1, 1]), [&[kind | 0x80, 7, 0], content].concat()];
        assert_eq!(refused(&section(7, 0, &beside, NO_DELETES)), UpdateError::Misplaced, "{kind}");
    }
    for (kind, content) in [(BINARY, vec![1, 1]), (1, vec![1]), (ANY, vec![1, 126])] {
        let entry = in_root("canvas:main", kind | 0x20, &[string("k"), content].concat());
        assert_eq!(refused(&section(7, 0, &[entry], NO_DELETES)), UpdateError::Misplaced);
    }
}

#[test]
fn a_stroke_has_a_largest_size_and_another_value_has_not() {
    let of = |root: &str, len: usize| {
        let bytes = [uint(len as u64), vec![0; len]].concat();
        verdict(&section(7, 0, &[in_root(root, BINARY, &bytes)], NO_DELETES)).map(|_| ())
    };
    assert_eq!(of("canvas:main", MAX_STROKE), Ok(()));
    assert_eq!(of("canvas:main", MAX_STROKE + 1), Err(UpdateError::StrokeTooLarge));
    assert_eq!(of("canvas:", MAX_STROKE + 1), Err(UpdateError::StrokeTooLarge));
    assert_eq!(of("array:a", MAX_STROKE + 1), Ok(()));
}

/// Yjs 13.6.33, client 7, one update to a line: strokes pushed, inserted and deleted, in transactions of several steps,
/// undone and redone by its undo manager.
const YJS_DRAWS: &str = "\
    0101070003010b63616e7661733a6d61696e0b01cc22443000020000020200
    010207018307000b01cc2244300002040402028307010b01cc22443000020606020200
    000107010101
    01010703c3070007010b01cc22443000020404020200
    000107010202
    01020704c3070107020b01cc224430000206060202c3070007030b01cc22443000020404020200
    010307064307000b01cc224430000209090909c3070607000b01cc2244300002080808088307020b01cc2244300002010101010107010601
    010107094307060b01cc224430000209090909010703000104020703
    0105070ac3070707000b01cc224430000200000202c3070107040b01cc224430000206060202c3070007050b01cc224430000204040202c3070607070b01cc224430000208080808c3070207080b01cc22443000020101010100";

/// The same, merged by Yjs.
const YJS_MERGED: &str = "010f070003010b63616e7661733a6d61696e0b01cc2244300002000002028307000b01cc2244300002040402028307010b01cc224430000206060202c3070007010b01cc224430000204040202c3070107020b01cc224430000206060202c3070007030b01cc2244300002040402024307000b01cc224430000209090909c3070607000b01cc2244300002080808088307020b01cc2244300002010101014307060b01cc224430000209090909c3070707000b01cc224430000200000202c3070107040b01cc224430000206060202c3070007050b01cc224430000204040202c3070607070b01cc224430000208080808c3070207080b01cc224430000201010101010701000a";

#[test]
fn what_yjs_draws_passes_and_yrs_reads_the_same() {
    let unhex = |line: &str| -> Vec<u8> {
        let line = line.trim();
        (0..line.len()).step_by(2).map(|at| u8::from_str_radix(&line[at..at + 2], 16).unwrap()).collect()
    };
    let updates: Vec<Vec<u8>> = YJS_DRAWS.lines().map(unhex).collect();
    let by_yrs = yrs::merge_updates_v1(&updates).unwrap();
    let mut read = Vec::new();
    for script in [updates, vec![unhex(YJS_MERGED)], vec![by_yrs]] {
        let (mut shape, mut clock) = (Shape::default(), 0);
        let doc = doc(1);
        for update in script {
            let checked = check(&update, 7, clock, &Clocks::default(), &shape).unwrap();
            clock = checked.end_clock;
            shape.record(checked);
            apply(&doc, &update);
        }
        assert_eq!(clock, 15);
        read.push(strokes(&doc));
    }
    let expected = [[8, 8, 8, 8], [0, 0, 2, 2], [4, 4, 2, 2], [6, 6, 2, 2], [1, 1, 1, 1]];
    let expected = expected.map(|points| [&[1, 0xcc, 0x22, 0x44, 48, 0, 2][..], &points].concat());
    assert_eq!(read, vec![expected.to_vec(); 3]);
}

/// The binary values of the canvas `main`.
fn strokes(doc: &yrs::Doc) -> Vec<Vec<u8>> {
    use yrs::{Any, Array as _, Out};
    let txn = doc.transact();
    let canvas = txn.get_array("canvas:main").unwrap();
    canvas
        .iter(&txn)
        .map(|value| match value {
            Out::Any(Any::Buffer(bytes)) => bytes.to_vec(),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn gaps_skips_and_other_clients_are_refused() {
    let x = || in_root("r", STRING, &string("x"));
    assert_eq!(refused(&section(7, 1, &[x()], NO_DELETES)), UpdateError::Gap);
    assert_eq!(refused(&section(7, 0, &[x(), vec![10, 1], x()], NO_DELETES)), UpdateError::Gap);
    assert_eq!(refused(&section(9, 3, &[x()], NO_DELETES)), UpdateError::NotTheAuthor);
    assert_eq!(refused(&section(8, 0, &[x()], NO_DELETES)), UpdateError::NotTheAuthor);
    let two = [uint(2), uint(1), uint(7), uint(0), x(), uint(1), uint(9), uint(3), x(), vec![0]].concat();
    assert_eq!(refused(&two), UpdateError::NotTheAuthor);
    let (known, shape) = room();
    let back = check(&section(7, 0, &[x()], NO_DELETES), 7, 2, &known, &shape);
    assert_eq!(back.unwrap_err(), UpdateError::Gap);
}

#[test]
fn client_ids_over_53_bits_are_refused() {
    let big = 1_u64 << 53;
    let x = in_root("r", STRING, &string("x"));
    assert_eq!(refused(&section(big, 0, &[x], NO_DELETES)), UpdateError::ClientTooLarge);
    assert_eq!(
        refused(&[uint(0), uint(1), uint(big), uint(1), uint(0), uint(1)].concat()),
        UpdateError::ClientTooLarge
    );
    let after = [vec![STRING | 0x80], id(big, 0), string("x")].concat();
    assert_eq!(refused(&section(7, 0, &[after], NO_DELETES)), UpdateError::ClientTooLarge);
    let (known, shape) = room();
    assert_eq!(check(&[0, 0], big, 0, &known, &shape).unwrap_err(), UpdateError::ClientTooLarge);
}

#[test]
fn clocks_end_before_they_overflow() {
    let garbage = |len: u64| section(7, 0, &[[vec![0], uint(len)].concat()], NO_DELETES);
    assert!(verdict(&garbage((1 << 31) - 1)).is_ok());
    assert_eq!(refused(&garbage(1 << 31)), UpdateError::ClockTooLarge);
    assert_eq!(refused(&garbage((1 << 53) - 1)), UpdateError::ClockTooLarge);
    assert_eq!(refused(&garbage(0)), UpdateError::Empty);
}

#[test]
fn trailing_bytes_and_size_are_refused() {
    let x = in_root("r", STRING, &string("x"));
    assert_eq!(refused(&section(7, 0, &[x], &[0, 0])), UpdateError::TrailingBytes);
    assert_eq!(refused(&vec![0; (1 << 20) + 1]), UpdateError::TooLarge);
}

/// Why obsolete JSON is refused: `yrs` 0.28.1 reads one string more than there is.
#[test]
fn yrs_does_not_read_obsolete_json() {
    let update = section(7, 0, &[in_root("r", 2, &[1, 1, b'1'])], NO_DELETES);
    assert!(Update::decode_v1(&update).is_err());
}

#[test]
fn content_rooms_do_not_carry_is_refused() {
    // obsolete JSON, subdocument, move, nothing, and the types hook, link, document, undefined
    for (kind, content) in
        [(2, vec![1, 1, b'1']), (9, vec![1, b'g', 118, 0]), (11, vec![0, 0]), (0x10, vec![1])]
    {
        assert_eq!(
            refused(&section(7, 0, &[in_root("r", kind, &content)], NO_DELETES)),
            UpdateError::Unsupported
        );
    }
    for kind in [5, 7, 9, 15, 200] {
        assert_eq!(
            refused(&section(7, 0, &[in_root("r", TYPE, &[kind, 0, 0])], NO_DELETES)),
            UpdateError::Unsupported
        );
    }
    assert_eq!(refused(&section(7, 0, &[in_root("r", STRING, &[0])], NO_DELETES)), UpdateError::Empty);
    assert_eq!(refused(&section(7, 0, &[in_root("r", STRING, &[1, 0xff])], NO_DELETES)), UpdateError::Utf8);
    assert_eq!(
        refused(&section(7, 0, &[in_root(&"n".repeat(257), STRING, &string("x"))], NO_DELETES)),
        UpdateError::NameTooLong
    );
}
