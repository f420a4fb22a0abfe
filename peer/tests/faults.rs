//! Servers that die, peers that drop, disks that fill up or rot, on real sockets and real WebRTC.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::pedantic)]

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use support::{JOIN, World, deadline, event, link_down, linked, ticket, until, until_signed_in};
use symbolon::{OpenError, Options, Peer, PeerEvent, RoomId};
use symbolon_core::node::Event;

/// Opens a home that a peer may just be about to let go of.
async fn reopen(options: Options) -> Peer {
    deadline(async {
        loop {
            match Peer::open_with(options.clone()).await {
                Ok(peer) => return peer,
                Err(OpenError::InUse(_)) => tokio::time::sleep(Duration::from_millis(10)).await,
                Err(error) => panic!("{error}"),
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn me2_edits_and_gossip_go_on_with_the_server_killed() {
    let mut world = World::new().await;
    let a = world.peer("a").await;
    let room = a.create("plans", &[world.origin()]).await.unwrap();
    let b = world.joined("b", &a, room).await;
    let c = world.joined("c", &b, room).await;
    let peers = [&a, &b, &c];
    for peer in peers {
        deadline(world.until_links(peer, room, 2)).await;
    }
    let made: Vec<u64> = [a.counters().await, b.counters().await, c.counters().await]
        .map(|c| c.unwrap().connections_made)
        .into();
    let mut events = a.subscribe();
    world.stop_server().await;
    for peer in peers {
        until_signed_in(peer, false).await;
    }
    let mut text = String::new();
    for (peer, word) in peers.iter().zip(["one ", "two ", "three"]) {
        peer.insert(room, "main", None, word).await.unwrap();
        text.push_str(word);
        for peer in peers {
            deadline(world.until_text(peer, room, &text)).await;
        }
    }
    // An invite made now is known to the others when the server is back, with its issuer away.
    let for_d = ticket(&c, room).await;
    c.insert(room, "main", None, ".").await.unwrap();
    text.push('.');
    for peer in peers {
        deadline(world.until_text(peer, room, &text)).await;
    }
    assert!(!support::drain(&mut events).iter().any(link_down));
    for (peer, made) in peers.iter().zip(made) {
        assert_eq!(peer.counters().await.unwrap().connections_made, made);
    }
    c.close().await;
    world.start_server().await;
    let d = world.peer("d").await;
    d.join(&for_d, JOIN).await.unwrap();
    assert_eq!(d.text(room, "main").await.unwrap(), text);
}

/// UDP sockets of this machine on this address, by port.
fn udp_ports(address: &str) -> Option<BTreeSet<u16>> {
    let output = Command::new("ss").args(["-Huan", "src", address]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let port = |line: &str| line.split_whitespace().nth(3)?.rsplit(':').next()?.parse().ok();
    output.status.success().then(|| text.lines().filter_map(port).collect())
}

/// One link between members breaks while the server is dead: the kernel is told to destroy its socket.
#[tokio::test(flavor = "multi_thread")]
async fn me2_a_broken_link_is_signalled_anew_over_the_mesh_with_the_server_dead() {
    let mut world = World::new().await;
    // Addresses of their own, so that the sockets of one peer are told from those of others.
    let net = format!("127.{}.{}", 1 + rand::random::<u8>() % 250, rand::random::<u8>());
    let open = async |world: &World, name: &str, n: u8| {
        let mut options = world.options(name);
        options.rtc.bind = Some(vec![format!("{net}.{n}").parse().unwrap()]);
        Peer::open_with(options).await.unwrap()
    };
    let a = open(&world, "a", 1).await;
    let room = a.create("plans", &[world.origin()]).await.unwrap();
    let b = open(&world, "b", 2).await;
    b.join(&ticket(&a, room).await, JOIN).await.unwrap();
    deadline(world.until_links(&b, room, 1)).await;
    let address = format!("{net}.2");
    let Some(before) = udp_ports(&address).filter(|ports| ports.len() == 1) else {
        println!("skipped: `ss` does not show this machine's sockets");
        return;
    };
    let c = open(&world, "c", 3).await;
    c.join(&ticket(&a, room).await, JOIN).await.unwrap();
    for peer in [&a, &b, &c] {
        deadline(world.until_links(peer, room, 2)).await;
    }
    let between: Vec<u16> = udp_ports(&address).unwrap().difference(&before).copied().collect();
    assert_eq!(between.len(), 1, "the socket of the link between b and c");
    world.stop_server().await;
    for peer in [&a, &b, &c] {
        until_signed_in(peer, false).await;
    }
    let made = (b.counters().await.unwrap().connections_made, c.counters().await.unwrap().connections_made);
    let mut events = (a.subscribe(), b.subscribe(), c.subscribe());
    let socket = format!("{address}:{}", between[0]);
    let killed = Command::new("ss").args(["-Kuan", "src", &socket]).output().unwrap();
    if udp_ports(&address).unwrap().contains(&between[0]) {
        println!("skipped: the kernel destroys no sockets: {killed:?}");
        return;
    }
    // Who notices first calls, through a; the other one may hear of the new link before it misses the old one.
    for (events, other) in [(&mut events.1, c.device()), (&mut events.2, b.device())] {
        event(events, |event| match event {
            PeerEvent::Node(Event::LinkUp { device, .. }) if *device == other => Some(()),
            _ => None,
        })
        .await;
    }
    for peer in [&a, &b, &c] {
        deadline(world.until_links(peer, room, 2)).await;
        assert!(peer.servers().await.unwrap()[0].session.is_none(), "no server took part");
    }
    assert!(!support::drain(&mut events.0).iter().any(link_down), "a's links stayed");
    let after = (b.counters().await.unwrap().connections_made, c.counters().await.unwrap().connections_made);
    assert!(after.0 > made.0 && after.1 > made.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn me3_the_server_restarts_and_everyone_is_found_again() {
    let mut world = World::new().await;
    let a = world.peer("a").await;
    let room = a.create("plans", &[world.origin()]).await.unwrap();
    let b = world.joined("b", &a, room).await;
    let for_c = ticket(&a, room).await;
    deadline(world.until_links(&a, room, 1)).await;
    let made = (a.counters().await.unwrap(), b.counters().await.unwrap());
    let mut events = (a.subscribe(), b.subscribe());
    for _ in 0..2 {
        world.stop_server().await;
        for peer in [&a, &b] {
            until_signed_in(peer, false).await;
        }
        world.start_server().await;
        for peer in [&a, &b] {
            until_signed_in(peer, true).await;
        }
    }
    let c = world.peer("c").await;
    c.join(&for_c, JOIN).await.unwrap();
    for peer in [&a, &b, &c] {
        deadline(world.until_links(peer, room, 2)).await;
    }
    for events in [&mut events.0, &mut events.1] {
        assert!(!support::drain(events).iter().any(link_down), "no link was disturbed");
    }
    for (peer, made) in [(&a, made.0), (&b, made.1)] {
        let after = peer.counters().await.unwrap();
        let made = after.connections_made - made.connections_made;
        assert!(support::FOR_ONE_LINK.contains(&made), "only that with c, not {made}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn me3_all_start_before_their_server_does() {
    let mut world = World::new().await;
    let a = world.peer("a").await;
    let room = a.create("plans", &[world.origin()]).await.unwrap();
    let b = world.joined("b", &a, room).await;
    a.close().await;
    b.close().await;
    world.stop_server().await;
    let (a, b) = (world.peer("a").await, world.peer("b").await);
    a.insert(room, "main", None, "early").await.unwrap();
    world.start_server().await;
    for peer in [&a, &b] {
        deadline(world.until_links(peer, room, 1)).await;
        deadline(world.until_text(peer, room, "early")).await;
    }
}

/// Runs a peer in a runtime of its own and ends that: no task of it gets another turn.
async fn dropped(options: Options, then: impl AsyncFnOnce(&Peer)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let peer = runtime.spawn(reopen(options)).await.unwrap();
    then(&peer).await;
    runtime.shutdown_background();
}

#[tokio::test(flavor = "multi_thread")]
async fn me3_a_peer_that_is_dropped_without_goodbye_comes_back() {
    let world = World::new().await;
    let a = world.peer("a").await;
    let room = a.create("plans", &[world.origin()]).await.unwrap();
    let for_b = ticket(&a, room).await;
    let mut events = a.subscribe();
    for round in 0..3 {
        dropped(world.options("b"), async |b: &Peer| {
            b.join(&for_b, JOIN).await.unwrap();
            deadline(world.until_links(b, room, 1)).await;
            b.insert(room, "main", None, &format!("{round} ")).await.unwrap();
        })
        .await;
    }
    let b = reopen(world.options("b")).await;
    assert_eq!(b.text(room, "main").await.unwrap(), "0 1 2 ", "what was acknowledged is on disk");
    deadline(world.until_links(&b, room, 1)).await;
    deadline(world.until_text(&a, room, "0 1 2 ")).await;
    deadline(until(&a, async || {
        let counted = a.counters().await.unwrap();
        linked(&a, room).await == 1 && counted.connections_alive == 1
    }))
    .await;
    let cut = support::drain(&mut events)
        .into_iter()
        .find(|event| matches!(event, PeerEvent::Node(Event::Cut { .. })));
    assert!(cut.is_none(), "nobody takes a crash for a fraud: {cut:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn st9_everything_survives_reopening() {
    let world = World::new().await;
    let a = world.peer("a").await;
    let room = a.create("plans", &[world.origin()]).await.unwrap();
    let empty = a.create("empty", &[world.origin()]).await.unwrap();
    let b = world.joined("b", &a, room).await;
    a.insert(room, "main", None, "one").await.unwrap();
    a.insert(room, "notes", None, "two").await.unwrap();
    a.delete(room, "main", 0..1).await.unwrap();
    deadline(world.until_text(&b, room, "ne")).await;
    let unused = ticket(&a, room).await;
    let (digest, members) = (a.digest(room).await.unwrap(), a.members(room).await.unwrap().len());
    let (device, name) = (a.device(), a.name().to_owned());
    a.close().await;
    assert_eq!(a.text(room, "main").await.unwrap_err().code(), "closed");
    for _ in 0..3 {
        let a = world.peer("a").await;
        assert_eq!((a.device(), a.name()), (device, &name[..]));
        let names: Vec<String> = a.rooms().await.unwrap().into_iter().map(|room| room.name).collect();
        assert_eq!(names.len(), 2);
        assert!(names.contains(&"plans".to_owned()) && names.contains(&"empty".to_owned()));
        assert_eq!(a.text(room, "main").await.unwrap(), "ne");
        assert_eq!(a.text(room, "notes").await.unwrap(), "two");
        assert_eq!(a.digest(room).await.unwrap(), digest);
        assert_eq!(a.members(room).await.unwrap().len(), members);
        deadline(world.until_links(&a, room, 1)).await;
        a.close().await;
    }
    let a = world.peer("a").await;
    a.leave(empty).await.unwrap();
    let c = world.peer("c").await;
    c.join(&unused, JOIN).await.unwrap();
    c.insert(room, "main", None, "xt").await.unwrap();
    deadline(world.until_text(&a, room, "next")).await;
    a.close().await;
    let a = world.peer("a").await;
    assert_eq!(a.text(room, "main").await.unwrap(), "next");
    assert_eq!(a.rooms().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn cl4_two_peers_in_one_home_are_one_too_many() {
    let world = World::new().await;
    let a = world.peer("a").await;
    let error = Peer::open_with(world.options("a")).await.unwrap_err();
    assert!(matches!(error, OpenError::InUse(_)), "{error}");
    a.close().await;
    world.peer("a").await;
}

/// A home with a room and some history, closed.
async fn home_with_history(world: &World, name: &str) -> (PathBuf, RoomId, String) {
    let a = world.peer(name).await;
    let room = a.create("plans", &["ws://127.0.0.1:9".parse().unwrap()]).await.unwrap();
    let mut text = String::new();
    for n in 0..60 {
        let word = format!("{n} ").repeat(n);
        a.insert(room, "main", None, &word).await.unwrap();
        text.push_str(&word);
    }
    a.close().await;
    (world.home(name), room, text)
}

/// What is in the files at a moment at which nobody closed them is what a kill leaves behind.
#[tokio::test(flavor = "multi_thread")]
async fn st9_what_a_kill_leaves_opens_with_all_that_was_acknowledged() {
    let world = World::new().await;
    let a = world.peer("a").await;
    let room = a.create("plans", &["ws://127.0.0.1:9".parse().unwrap()]).await.unwrap();
    let mut text = String::new();
    for n in 0..20 {
        let word = format!("{n} ").repeat(n * n);
        a.insert(room, "main", None, &word).await.unwrap();
        text.push_str(&word);
        let copy = world.home(&format!("copy{n}"));
        std::fs::create_dir(&copy).unwrap();
        for file in ["seed", "profile.json", "store.redb"] {
            std::fs::copy(world.home("a").join(file), copy.join(file)).unwrap();
        }
        let again = Peer::open(&copy).await.unwrap();
        assert_eq!(again.text(room, "main").await.unwrap(), text);
        again.insert(room, "main", None, "on").await.unwrap();
        again.close().await;
        let again = Peer::open(&copy).await.unwrap();
        assert_eq!(again.text(room, "main").await.unwrap(), format!("{text}on"));
        again.close().await;
    }
}

/// Opens a home whose store somebody changed: either all is there, or it says so and changes nothing.
async fn open_changed(home: &Path, bytes: &[u8], room: RoomId, text: &str, what: &str) -> bool {
    let store = home.join("store.redb");
    std::fs::write(&store, bytes).unwrap();
    match deadline(Peer::open(home)).await {
        Ok(peer) => {
            let read = peer.text(room, "main").await;
            assert!(read.as_ref().is_ok_and(|read| read == text), "{what}: opened, and gives {read:?}");
            let digest = peer.digest(room).await.unwrap();
            peer.insert(room, "main", None, "more").await.unwrap();
            assert_ne!(peer.digest(room).await.unwrap(), digest);
            peer.close().await;
            true
        }
        Err(error) => {
            assert!(matches!(error, OpenError::Damaged { .. }), "{what}: {error}");
            assert!(error.to_string().contains("store.redb"), "{what}: {error}");
            assert!(std::fs::read(&store).unwrap() == bytes, "{what}: the file was changed");
            false
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn st9_a_rotten_store_is_noticed_and_left_as_it_is() {
    let world = World::new().await;
    let (home, room, text) = home_with_history(&world, "a").await;
    let good = std::fs::read(home.join("store.redb")).unwrap();
    // The parts that say something, and where they begin and end; the rest of the file is empty space.
    let mut places: BTreeSet<usize> = (0..320).collect();
    let used = good.chunks(512).enumerate().filter(|(_, chunk)| chunk.iter().any(|byte| *byte != 0));
    for (n, chunk) in used {
        let full = chunk.iter().rposition(|byte| *byte != 0).unwrap();
        places.extend([n * 512, n * 512 + full / 3, n * 512 + full]);
    }
    let places: Vec<usize> = places.into_iter().collect();
    let (mut opened, mut refused) = (0, 0);
    for at in &places {
        let mut bytes = good.clone();
        bytes[*at] ^= 1 << (at % 8);
        let what = format!("byte {at} of {}", good.len());
        if open_changed(&home, &bytes, room, &text, &what).await { opened += 1 } else { refused += 1 }
    }
    println!("{} places changed: {opened} opened with everything, {refused} refused", places.len());
    assert!(refused > 20, "some changes matter");
}

#[tokio::test(flavor = "multi_thread")]
async fn st9_a_store_that_was_cut_short_is_noticed_and_left_as_it_is() {
    let world = World::new().await;
    let (home, room, text) = home_with_history(&world, "a").await;
    let good = std::fs::read(home.join("store.redb")).unwrap();
    let mut refused = 0;
    let mut lengths: BTreeSet<usize> = [1, 8, 9, 63, 64, 319, 320, 4095, 4096, 4097].into();
    lengths.extend((1..60).map(|n| good.len() * n / 60));
    lengths.extend([good.len() - 1, good.len() - 4096]);
    for length in lengths {
        let what = format!("cut to {length} of {}", good.len());
        refused += usize::from(!open_changed(&home, &good[..length], room, &text, &what).await);
    }
    assert!(refused > 20, "some of it matters");
}

/// A small file system of its own; gone when dropped.
struct Disk(PathBuf);

impl Disk {
    /// `None` where one may not mount.
    fn new(at: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let options = format!("size={size},mode=700");
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).output().ok()?;
        if !mount.status.success() {
            println!("skipped: no file system of one's own: {}", String::from_utf8_lossy(&mount.stderr));
            return None;
        }
        Some(Self(at.to_owned()))
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        assert!(Command::new("mount").args(["-o", &options]).arg(&self.0).status().unwrap().success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn st9_a_full_disk_is_said_and_nothing_acknowledged_is_lost() {
    let world = World::new().await;
    let Some(disk) = Disk::new(&world.home("disk"), "16m") else { return };
    let mut options = world.options("a");
    options.home = disk.0.join("home");
    let filler = disk.0.join("filler");
    std::fs::write(&filler, vec![1; 10 * 1024 * 1024]).unwrap();
    let a = Peer::open_with(options.clone()).await.unwrap();
    let room = a.create("plans", &[world.origin()]).await.unwrap();
    let b = world.joined("b", &a, room).await;
    let for_c = ticket(&a, room).await;
    let mut acknowledged = String::new();
    let error = loop {
        // Letters without pattern, so that nothing makes them smaller.
        let word: String = (0..50_000).map(|_| char::from(b'a' + rand::random::<u8>() % 26)).collect();
        match a.insert(room, "main", None, &word).await {
            Ok(()) => acknowledged.push_str(&word),
            Err(error) => break error,
        }
        assert!(acknowledged.len() < 20_000_000, "the disk never filled up");
    };
    assert_eq!(error.code(), "store");
    assert!(error.to_string().contains("free space"), "{error}");
    assert!(!acknowledged.is_empty());
    for _ in 0..3 {
        assert_eq!(a.insert(room, "main", None, "x").await.unwrap_err().code(), "store");
        assert_eq!(a.create("other", &[world.origin()]).await.unwrap_err().code(), "store");
    }
    let c = world.peer("c").await;
    assert!(c.join(&for_c, support::SHORT).await.is_err() || linked(&c, room).await > 0, "b may let it in");
    let of_b = b.text(room, "main").await.unwrap();
    assert!(acknowledged.starts_with(&of_b), "nobody was told what is not on disk");
    a.close().await;
    // Still full: says so, or opens and says so at the first change; nothing is lost either way.
    match Peer::open_with(options.clone()).await {
        Ok(a) => {
            assert!(a.text(room, "main").await.unwrap() == acknowledged);
            a.close().await;
        }
        Err(error) => assert!(matches!(error, OpenError::Io { .. }), "{error}"),
    }
    std::fs::remove_file(&filler).unwrap();
    let a = Peer::open_with(options).await.unwrap();
    assert!(a.text(room, "main").await.unwrap() == acknowledged, "all that was acknowledged is there");
    a.insert(room, "main", Some(0), "and on: ").await.unwrap();
    acknowledged.insert_str(0, "and on: ");
    deadline(world.until_text(&b, room, &acknowledged)).await;
    a.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn st9_a_home_that_cannot_be_written_is_named() {
    let world = World::new().await;
    let Some(disk) = Disk::new(&world.home("disk"), "16m") else { return };
    let mut options = world.options("a");
    options.home = disk.0.join("home");
    let a = Peer::open_with(options.clone()).await.unwrap();
    let room = a.create("plans", &[world.origin()]).await.unwrap();
    a.insert(room, "main", None, "kept").await.unwrap();
    a.close().await;
    disk.remount("ro");
    for home in [options.home.clone(), disk.0.join("another")] {
        let error = Peer::open_with(Options { home, ..options.clone() }).await.unwrap_err();
        assert!(matches!(error, OpenError::Io { .. }), "{error}");
        assert!(error.to_string().contains("ead-only"), "{error}");
    }
    disk.remount("rw");
    let a = Peer::open_with(options).await.unwrap();
    assert_eq!(a.text(room, "main").await.unwrap(), "kept");
    a.close().await;
}
