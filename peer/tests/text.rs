//! The text that members share: it converges, names its authors, and survives, on real sockets and real WebRTC.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::pedantic)]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use minicbor::{Decoder, Encoder};
use support::puppet::Puppet;
use support::{JOIN, World, deadline, event, ticket, until};
use symbolon::{DeviceId, Peer, PeerEvent, RoomId};
use symbolon_core::crypto::keys::{Domain, SignKey};
use symbolon_core::frames::ChainId;
use symbolon_core::mesh::{Item, Message};
use symbolon_core::node::{Event, Input};
use yrs::{OffsetKind, ReadTxn as _, StateVector, Text as _, Transact as _};

/// Concurrent edits of one writer: in a real program a few are always on their way.
const AT_ONCE: usize = 20;

/// One writer of the big test.
struct Writer {
    peer: Peer,
    name: &'static str,
    /// How many letters it has put into `main`.
    letters: u32,
}

impl Writer {
    /// So many edits: letters of its own at any place of `main`, and now and then a change of `scratch`.
    async fn write(&mut self, room: RoomId, edits: usize) {
        let mut left = edits;
        while left > 0 {
            let group = left.min(AT_ONCE);
            left -= group;
            let peer = &self.peer;
            let name = self.name;
            let mut before = self.letters;
            let edits = (0..group).map(|n| {
                let scratch = n % 10 == 9;
                let at = rand::random::<u32>() % (before + 1);
                before += u32::from(!scratch);
                async move {
                    if scratch {
                        peer.insert(room, "scratch", Some(0), &name.repeat(3)).await.unwrap();
                        peer.delete(room, "scratch", 0..2).await.unwrap();
                    } else {
                        peer.insert(room, "main", Some(at), name).await.unwrap();
                    }
                }
            });
            join_all(edits.collect::<Vec<_>>()).await;
            self.letters = before;
        }
    }

    async fn restart(&mut self, world: &World) {
        self.peer.close().await;
        self.peer = world.peer(self.name).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn st1_three_concurrent_writers_1000_edits_each_with_offline_spells_converge() {
    let (world, proxy) = World::behind_proxy().await;
    let a = world.peer("a").await;
    let room = a.create("plans", &[world.origin()]).await.unwrap();
    let b = world.joined("b", &a, room).await;
    let c = world.joined("c", &a, room).await;
    let writer = |peer, name| Writer { peer, name, letters: 0 };
    let (mut a, mut b, mut c) = (writer(a, "a"), writer(b, "b"), writer(c, "c"));
    // All together.
    tokio::join!(a.write(room, 300), b.write(room, 300), c.write(room, 300));
    // With the server away, c starts anew and finds nobody; the other two go on over the mesh.
    proxy.refuse();
    c.restart(&world).await;
    tokio::join!(a.write(room, 200), b.write(room, 200), c.write(room, 300));
    assert_eq!(support::linked(&c.peer, room).await, 0);
    // Each for itself.
    a.restart(&world).await;
    b.restart(&world).await;
    tokio::join!(a.write(room, 250), b.write(room, 250), c.write(room, 200));
    assert_eq!(support::linked(&a.peer, room).await + support::linked(&b.peer, room).await, 0);
    // The server is back, and nobody stops writing for that.
    proxy.honest();
    for writer in [&a, &b, &c] {
        writer.peer.network_changed().await.unwrap();
    }
    tokio::join!(a.write(room, 250), b.write(room, 250), c.write(room, 200));

    let expected = (a.letters + b.letters + c.letters) as usize;
    let writers = [&a, &b, &c];
    for writer in writers {
        let complete = async || writer.peer.text(room, "main").await.unwrap().len() == expected;
        deadline(until(&writer.peer, complete)).await;
        let digest = async || {
            let digests = join_all(writers.map(|writer| writer.peer.digest(room))).await;
            digests.windows(2).all(|pair| pair[0].as_ref().unwrap() == pair[1].as_ref().unwrap())
        };
        deadline(until(&writer.peer, digest)).await;
        let text = writer.peer.text(room, "main").await.unwrap();
        for of in writers {
            assert_eq!(text.matches(of.name).count(), of.letters as usize, "letters of {}", of.name);
        }
    }
    assert_eq!(a.letters, 900);
    let scratch = join_all(writers.map(|writer| writer.peer.text(room, "scratch"))).await;
    assert!(scratch.iter().all(|text| text.as_ref().unwrap() == scratch[0].as_ref().unwrap()));
    assert!(!scratch[0].as_ref().unwrap().is_empty());
}

fn written(event: &PeerEvent) -> Option<(DeviceId, String)> {
    match event {
        PeerEvent::Text { author, changes, .. } => {
            Some((*author, changes.iter().map(|change| change.inserted.as_str()).collect()))
        }
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn st6_every_change_carries_its_author() {
    let world = World::new().await;
    let a = world.peer("a").await;
    let room = a.create("plans", &[world.origin()]).await.unwrap();
    let b = world.joined("b", &a, room).await;
    let c = world.joined("c", &b, room).await;
    for peer in [&a, &b, &c] {
        deadline(world.until_links(peer, room, 2)).await;
    }
    for (writer, word) in [(&a, "one "), (&b, "two "), (&c, "three ")] {
        let mut readers = [a.subscribe(), b.subscribe(), c.subscribe()];
        writer.insert(room, "main", None, word).await.unwrap();
        for reader in &mut readers {
            assert_eq!(event(reader, written).await, (writer.device(), word.to_owned()));
        }
    }
    // A newcomer learns it from whoever gives it the state.
    let d = world.peer("d").await;
    let mut events = d.subscribe();
    d.join(&ticket(&c, room).await, JOIN).await.unwrap();
    let mut seen = BTreeMap::new();
    for event in support::drain(&mut events) {
        if let Some((author, word)) = written(&event) {
            seen.entry(author).or_insert_with(String::new).push_str(&word);
        }
    }
    let expected = [(&a, "one "), (&b, "two "), (&c, "three ")];
    assert_eq!(seen, expected.map(|(peer, word)| (peer.device(), word.to_owned())).into());
}

/// A frame in which `author` writes `text`, first of its incarnation, signed by `key`.
fn frame(room: RoomId, author: DeviceId, incarnation: u32, text: &str, key: &SignKey) -> Vec<u8> {
    let client = ChainId { author, incarnation }.client();
    let mut options = yrs::Options::with_client_id(yrs::block::ClientID::new(client));
    options.offset_kind = OffsetKind::Utf16;
    let doc = yrs::Doc::with_options(options);
    let main = doc.get_or_insert_text("text:main");
    main.insert(&mut doc.transact_mut(), 0, text);
    let update = doc.transact().encode_state_as_update_v1(&StateVector::default());
    let mut body = Vec::new();
    let mut cbor = Encoder::new(&mut body);
    cbor.map(6).unwrap();
    cbor.u8(0).unwrap().bytes(room.as_bytes()).unwrap();
    cbor.u8(1).unwrap().bytes(author.as_bytes()).unwrap();
    cbor.u8(2).unwrap().u32(incarnation).unwrap();
    cbor.u8(3).unwrap().u32(0).unwrap();
    cbor.u8(5).unwrap().array(0).unwrap();
    cbor.u8(6).unwrap().bytes(&update).unwrap();
    let signature = key.sign(Domain::Frame, &body);
    wire(&body, signature.as_bytes())
}

fn wire(body: &[u8], signature: &[u8; 64]) -> Vec<u8> {
    let mut out = Vec::new();
    Encoder::new(&mut out).array(2).unwrap().bytes(body).unwrap().bytes(signature).unwrap();
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn st6_a_change_forged_for_another_author_is_refused_and_its_bringer_cut() {
    let world = World::new().await;
    let a = world.peer("a").await;
    let room = a.create("plans", &[world.origin()]).await.unwrap();
    let b = world.joined("b", &a, room).await;
    b.insert(room, "main", None, "by b").await.unwrap();
    deadline(world.until_text(&a, room, "by b")).await;
    let mut m = Puppet::new("m");
    assert!(m.join(&ticket(&a, room).await, JOIN).await);
    m.until_links(room, 2).await;
    let push = |frame: Vec<u8>| Message::Push(vec![Item::Frame(frame.into())]);

    // Its own change, made by the same hand, is taken: what is refused below is refused for its author alone.
    m.inject(&push(frame(room, m.device(), 7, "by m; ", &m.keys.sign)));
    for peer in [&a, &b] {
        let both = async || {
            let text = peer.text(room, "main").await.unwrap();
            text.contains("by m; ") && text.contains("by b")
        };
        tokio::select! {
            () = m.run() => unreachable!("it runs for ever"),
            () = deadline(until(peer, both)) => {}
        }
    }
    let text = a.text(room, "main").await.unwrap();

    // A real change of b with another content; one in b's name from nothing; one of b's with m's signature.
    let real =
        m.stored(&room, b'h').into_iter().find(|frame| frame.windows(4).any(|w| w == b"by b")).unwrap();
    let mut decoder = Decoder::new(&real);
    decoder.array().unwrap();
    let (body, signature) = (decoder.bytes().unwrap().to_vec(), decoder.bytes().unwrap().to_vec());
    let at = body.windows(4).position(|window| window == b"by b").unwrap();
    let altered = [&body[..at], b"BY B", &body[at + 4..]].concat();
    let signature: [u8; 64] = signature.try_into().unwrap();
    drop(m);
    let forgeries: [&dyn Fn(&SignKey) -> Vec<u8>; 4] = [
        &|_| wire(&altered, &signature),
        &|key| frame(room, b.device(), 7, "forged ", key),
        &|key| wire(&body, key.sign(Domain::Frame, &body).as_bytes()),
        &|key| wire(&altered, key.sign(Domain::Frame, &altered).as_bytes()),
    ];
    for (n, forgery) in forgeries.iter().enumerate() {
        let mut m = Puppet::new(&format!("m{n}"));
        assert!(m.join(&ticket(&a, room).await, JOIN).await);
        m.until_links(room, 2).await;
        let m_device = m.device();
        let mut events = [a.subscribe(), b.subscribe()];
        m.inject(&push(forgery(&m.keys.sign)));
        for events in &mut events {
            let cut = event(events, |event| match event {
                PeerEvent::Node(Event::Cut { device, .. }) => Some(*device),
                _ => None,
            });
            tokio::select! {
                () = m.run() => unreachable!("it runs for ever"),
                cut = cut => assert_eq!(cut, m_device, "who brought it is at fault"),
            }
        }
    }
    for peer in [&a, &b] {
        assert_eq!(peer.text(room, "main").await.unwrap(), text);
    }
    // Between the honest all goes on.
    b.insert(room, "main", None, "!").await.unwrap();
    deadline(world.until_text(&a, room, &format!("{text}!"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn st8_offline_edits_merge_sending_only_what_is_missing() {
    let world = World::new().await;
    let a = world.peer("a").await;
    let room = a.create("plans", &[world.origin()]).await.unwrap();
    let seed = rand::random();
    let mut x = Puppet::with_seed("x", seed);
    let for_x = ticket(&a, room).await;
    assert!(x.join(&for_x, JOIN).await);
    let long: String = (0..40_000).map(|n| format!("{:04x} ", n % 65536)).collect();
    for part in long.as_bytes().chunks(20_000) {
        a.insert(room, "main", None, std::str::from_utf8(part).unwrap()).await.unwrap();
    }
    let has = |x: &Puppet, frames: u32| {
        let (_, frontier) = x.node.log(&room)?;
        (frontier.0.values().sum::<u32>() >= frames).then_some(())
    };
    x.run_until(|x| has(x, 10)).await;
    let all = x.stored(&room, b'h');
    let known: usize = all.iter().map(Vec::len).sum();
    assert!(known > 200_000, "{known}");
    let stored = x.stored.clone();
    drop(x);
    deadline(world.until_links(&a, room, 0)).await;
    for n in 0..5 {
        a.insert(room, "main", Some(n), "new").await.unwrap();
    }

    let mut x = Puppet::restored("x", seed, stored);
    let received = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&received);
    x.tamper = Some(Box::new(move |input| {
        if let Input::Part { part, .. } = &input {
            count.fetch_add(part.len(), Ordering::SeqCst);
        }
        vec![input]
    }));
    x.start();
    x.run_until(|x| has(x, 15)).await;
    let received = received.load(Ordering::SeqCst);
    assert!(received < 10_000, "{received} bytes for five words");
    let fresh: usize = x.stored(&room, b'h').iter().map(Vec::len).sum::<usize>() - known;
    assert!(received > fresh, "{received} bytes were counted, {fresh} were needed");
}

#[tokio::test(flavor = "multi_thread")]
async fn st8_two_who_wrote_alone_merge_when_they_meet() {
    let (world, proxy) = World::behind_proxy().await;
    let a = world.peer("a").await;
    let room = a.create("plans", &[world.origin()]).await.unwrap();
    let b = world.joined("b", &a, room).await;
    a.insert(room, "main", None, "middle").await.unwrap();
    deadline(world.until_text(&b, room, "middle")).await;
    proxy.refuse();
    b.close().await;
    let b = world.peer("b").await;
    assert_eq!(b.text(room, "main").await.unwrap(), "middle");
    a.insert(room, "main", Some(0), "before ").await.unwrap();
    b.insert(room, "main", None, " after").await.unwrap();
    let base = b.snapshot(room, "main").await.unwrap();
    b.merge_edit(room, "main", base, "Middle after").await.unwrap();
    proxy.honest();
    a.network_changed().await.unwrap();
    b.network_changed().await.unwrap();
    for peer in [&a, &b] {
        deadline(world.until_text(peer, room, "before Middle after")).await;
    }
    assert_eq!(a.digest(room).await.unwrap(), b.digest(room).await.unwrap());
}
