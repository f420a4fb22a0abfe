//! Several Y.Docs of one device, as the tabs of a browser have them: each writes as itself, and none loses sight of
//! the others.
#![allow(missing_docs, clippy::unwrap_used, clippy::pedantic)]

use std::collections::BTreeMap;
use std::time::Duration;

use symbolon_core::id::RoomId;
use symbolon_core::node::{Config, Node, Output, VerbError, Writer};
use symbolon_core::origin::Origin;
use symbolon_core::time::Now;
use yrs::updates::decoder::Decode;
use yrs::{GetString, ReadTxn, StateVector, Text, Transact, Update, WriteTxn};

const NOW: Now = Now { monotonic: Duration::ZERO, unix_ms: 1_800_000_000_000 };

/// A node, what it stored, and the documents of its tabs.
struct Browser {
    node: Node,
    stored: BTreeMap<Vec<u8>, Vec<u8>>,
    room: RoomId,
}

impl Browser {
    fn start(stored: BTreeMap<Vec<u8>, Vec<u8>>, room: Option<RoomId>) -> Self {
        let config = Config { seed: [1; 32], rng: [2; 32], user: "Ada".into(), device: "tablet".into() };
        let mut node = Node::new(&config, NOW).unwrap();
        node.restore(stored.iter().map(|(key, value)| (&key[..], &value[..])), NOW).unwrap();
        let origin: Origin = "ws://rendezvous.test".parse().unwrap();
        let room = room.unwrap_or_else(|| node.create_room("room", &[origin], NOW).unwrap());
        let mut browser = Self { node, stored, room };
        browser.drain();
        browser
    }

    fn drain(&mut self) -> Vec<Output> {
        let outputs: Vec<Output> = std::iter::from_fn(|| self.node.poll_output()).collect();
        for output in &outputs {
            if let Output::Persist { key, value } = output {
                self.stored.insert(key.clone(), value.clone());
            }
        }
        outputs
    }

    fn open(&mut self, wanted: Option<u32>) -> Tab {
        let writer = self.node.open_writer(&self.room, wanted, NOW).unwrap();
        self.drain();
        let tab = Tab { writer, doc: yrs::Doc::with_client_id(writer.client) };
        for (_, update) in self.node.updates(&self.room).filter(|(_, update)| !update.is_empty()) {
            tab.apply(update);
        }
        tab
    }

    /// Types in one tab; the others see it.
    fn insert(&mut self, tab: &Tab, at: u32, text: &str, others: &[&Tab]) {
        let update = tab.insert(at, text);
        self.node.write(&self.room, tab.writer.incarnation, &update, NOW).unwrap();
        self.drain();
        others.iter().for_each(|tab| tab.apply(&update));
    }
}

struct Tab {
    writer: Writer,
    doc: yrs::Doc,
}

impl Tab {
    fn apply(&self, update: &[u8]) {
        let mut txn = self.doc.transact_mut();
        txn.apply_update(Update::decode_v1(update).unwrap()).unwrap();
        assert!(txn.prune_pending().is_none());
    }

    fn insert(&self, at: u32, what: &str) -> Vec<u8> {
        let mut txn = self.doc.transact_mut();
        let text = txn.get_or_insert_text("text:main");
        text.insert(&mut txn, at, what);
        txn.encode_update_v1()
    }

    fn text(&self) -> String {
        let txn = self.doc.transact();
        txn.get_text("text:main").map_or_else(String::new, |text| text.get_string(&txn))
    }
}

#[test]
fn st1_two_tabs_of_one_device_write_between_each_others_words() {
    let mut browser = Browser::start(BTreeMap::new(), None);
    let (a, b) = (browser.open(None), browser.open(None));
    assert_ne!(a.writer, b.writer);
    // Each insertion lies between two characters of the other tab: its frame must name that tab's frames as seen.
    for n in 0..20 {
        let (tab, other) = if n % 2 == 0 { (&a, &b) } else { (&b, &a) };
        browser.insert(tab, n / 2, "x", &[other]);
    }
    assert_eq!(a.text(), "x".repeat(20));
    assert_eq!(b.text(), a.text());
    let chains: Vec<u32> = browser.node.updates(&browser.room).map(|(chain, _)| chain.incarnation).collect();
    assert_eq!(chains[..3], [a.writer.incarnation, b.writer.incarnation, a.writer.incarnation]);

    // Whoever gets the frames in their order can apply them.
    let third = browser.open(None);
    assert_eq!(third.text(), a.text());
    let state = third.doc.transact().encode_state_as_update_v1(&StateVector::default());
    assert_eq!(state, b.doc.transact().encode_state_as_update_v1(&StateVector::default()));
}

#[test]
fn st9_a_tab_gets_its_incarnation_back_and_a_closed_ones_is_used_again() {
    let mut browser = Browser::start(BTreeMap::new(), None);
    let (a, b) = (browser.open(None), browser.open(None));
    browser.insert(&a, 0, "one", &[&b]);
    browser.insert(&b, 3, " two", &[&a]);

    // The tab that held the node is gone; the other takes over and goes on with its own document.
    let mut next = Browser::start(browser.stored.clone(), Some(browser.room));
    let again = next.node.open_writer(&next.room, Some(b.writer.incarnation), NOW).unwrap();
    assert_eq!(again, b.writer);
    next.insert(&b, 7, " three", &[]);
    let fresh = next.open(None);
    assert_eq!(fresh.writer, a.writer, "the closed tab's");
    assert_eq!(fresh.text(), "one two three");
    next.insert(&fresh, 0, "zero ", &[&b]);
    assert_eq!(b.text(), "zero one two three");

    // One that is open is given to nobody else, whatever is asked for.
    let other = next.node.open_writer(&next.room, Some(b.writer.incarnation), NOW).unwrap();
    assert!(other != b.writer && other != fresh.writer);
    next.node.close_writer(&next.room, other.incarnation, NOW);
    let refused = next.node.write(&next.room, other.incarnation, &fresh.insert(0, "x"), NOW);
    assert!(matches!(refused, Err(VerbError::Change(_))));
}

#[test]
fn st11_a_tab_that_writes_as_another_is_refused() {
    let mut browser = Browser::start(BTreeMap::new(), None);
    let (a, b) = (browser.open(None), browser.open(None));
    let update = a.insert(0, "mine");
    let refused = browser.node.write(&browser.room, b.writer.incarnation, &update, NOW);
    assert!(matches!(refused, Err(VerbError::Change(_))), "{refused:?}");
    browser.node.write(&browser.room, a.writer.incarnation, &update, NOW).unwrap();
}

#[test]
fn cl1_no_rooms_id_looks_like_an_option() {
    let mut browser = Browser::start(BTreeMap::new(), None);
    let origin: Origin = "ws://rendezvous.test".parse().unwrap();
    for _ in 0..400 {
        let room = browser.node.create_room("room", std::slice::from_ref(&origin), NOW).unwrap();
        assert!(!room.to_string().starts_with('-'), "{room}");
    }
}
