//! A server that is told to stop, as `systemctl` and a rolling upgrade do it: members go elsewhere, and nobody notices.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use support::client::Client;
use support::processes::{Nats, ServerProcess};
use support::proxy::{Frame, Proxy};
use support::{FOR_ONE_LINK, JOIN, deadline, link_down, session, ticket, until, until_signed_in};
use symbolon::{Options, Origin, Peer, RoomId};
use symbolon_core::id::SessionId;
use symbolon_core::signal::{RefusalCode, ServerMessage};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

async fn open(homes: &Path, name: &str) -> Peer {
    let mut options = Options::new(homes.join(name));
    options.user = Some(name.to_owned());
    options.device_name = Some(format!("{name}'s"));
    options.rtc.bind = Some(vec!["127.0.0.1".parse().unwrap()]);
    Peer::open_with(options).await.unwrap()
}

async fn until_all_linked(peers: &[Peer], room: RoomId) {
    for peer in peers {
        deadline(until(peer, async || support::linked(peer, room).await == peers.len() - 1)).await;
    }
}

async fn made(peer: &Peer) -> u64 {
    peer.counters().await.unwrap().connections_made
}

/// One member's view, looked at again and again while servers come and go.
struct View {
    peer: Peer,
    room: RoomId,
    made: u64,
    seen: Arc<Mutex<BTreeSet<String>>>,
    looking: JoinHandle<()>,
}

impl View {
    async fn of(peer: &Peer, room: RoomId) -> Self {
        let seen = Arc::new(Mutex::new(BTreeSet::new()));
        let (watched, mut changes, noted) = (peer.clone(), peer.subscribe(), Arc::clone(&seen));
        let known: Vec<_> = peer.members(room).await.unwrap().iter().map(|member| member.device).collect();
        let looking = tokio::spawn(async move {
            loop {
                match changes.recv().await {
                    Ok(event) if link_down(&event) => {
                        noted.lock().unwrap().insert(format!("{event:?}"));
                    }
                    Ok(_) => {}
                    Err(error) => {
                        noted.lock().unwrap().insert(error.to_string());
                        return;
                    }
                }
                for member in watched.members(room).await.unwrap_or_default() {
                    if known.contains(&member.device) && !member.own && !(member.online && member.linked) {
                        noted.lock().unwrap().insert(member.user);
                    }
                }
            }
        });
        Self { made: made(peer).await, peer: peer.clone(), room, seen, looking }
    }

    /// Every link is the one from before, and nobody was ever away; so many have come.
    async fn assert_unbroken(self, newcomers: u64) {
        self.looking.abort();
        let seen = self.seen.lock().unwrap().clone();
        assert!(seen.is_empty(), "away or without a link: {seen:?}");
        let new = made(&self.peer).await - self.made;
        let (least, most) = (newcomers * FOR_ONE_LINK.start(), newcomers * FOR_ONE_LINK.end());
        assert!((least..=most).contains(&new), "{new} connections for {newcomers} newcomers");
        assert!(self.peer.members(self.room).await.unwrap().iter().all(|member| member.online));
    }
}

/// Whether a balancer would send anybody there.
async fn ready(server: &ServerProcess) -> bool {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.starts_with("HTTP/1.1 200 ")
}

/// Waits, as a balancer does, until a server says that it is not to be sent anybody.
async fn until_not_ready(server: &ServerProcess) {
    deadline(async { while ready(server).await {} }).await;
}

/// Which sessions were welcomed on connections of these numbers.
fn welcomed(frames: &[Frame], connections: impl Fn(usize) -> bool) -> BTreeSet<SessionId> {
    let welcomes = |frame: &&Frame| matches!(frame.server(), Some(ServerMessage::Welcome { .. }));
    let here = frames.iter().filter(|frame| connections(frame.connection)).filter(welcomes);
    here.filter_map(|frame| frame.session).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn rv9_members_move_to_the_other_server_of_a_cluster_before_theirs_has_drained() {
    let nats = Nats::start();
    let homes = tempfile::tempdir().unwrap();
    // One address, whose connections go to one server now, and to the other then.
    let balancer = Proxy::start().await;
    let origin = balancer.origin();
    let server = || {
        let options = ["--drain", "30s", "--no-bans", "--origin", &origin.to_string(), "--nats", &nats.url()];
        ServerProcess::start("127.0.0.1:0", &homes.path().join("server.key"), &options)
    };
    let (mut first, second) = (server(), server());

    balancer.upstream(first.address());
    let mut peers = vec![open(homes.path(), "ada").await];
    let room = peers[0].create("plans", std::slice::from_ref(&origin)).await.unwrap();
    for name in ["ben", "cleo", "dan"] {
        if name == "cleo" {
            balancer.upstream(second.address());
        }
        let peer = open(homes.path(), name).await;
        peer.join(&ticket(&peers[0], room).await, JOIN).await.unwrap();
        peers.push(peer);
    }
    until_all_linked(&peers, room).await;
    let mut sessions = Vec::new();
    let mut views = Vec::new();
    for peer in &peers {
        sessions.push(session(peer).await);
        views.push(View::of(peer, room).await);
    }
    assert_eq!(welcomed(&balancer.frames(), |n| n <= 2), BTreeSet::from([sessions[0], sessions[1]]));
    assert_eq!(balancer.attempts(), 4, "two at each server");
    // Somebody who does not care for what it is told keeps the server from ending early.
    balancer.upstream(first.address());
    let stubborn = Client::sign_in(&origin).await;
    first.terminate();
    until_not_ready(&first).await;
    balancer.upstream(second.address());

    // The room is open to newcomers all the while.
    let eve = open(homes.path(), "eve").await;
    eve.join(&ticket(&peers[0], room).await, JOIN).await.unwrap();
    assert!(first.is_running(), "it is still draining");

    // Who was there is signed in elsewhere, on a connection made after the drain began; the others stay where they are.
    for (peer, before) in peers[..2].iter().zip(&sessions) {
        let moved = async || peer.servers().await.unwrap()[0].session.is_some_and(|now| now != *before);
        deadline(until(peer, moved)).await;
    }
    assert!(first.is_running(), "nobody had to be cut off");
    let frames = balancer.frames();
    let refused = |frame: &Frame| matches!(frame.server(), Some(ServerMessage::Error(refusal)) if refusal.code == RefusalCode::ShuttingDown);
    // A balancer that has not asked yet may still send somebody there, who then tries again.
    assert!(!frames.iter().any(|frame| frame.connection <= 5 && refused(frame)), "nobody inside was closed");
    for peer in &peers[..2] {
        assert!(welcomed(&frames, |n| n > 5).contains(&session(peer).await));
    }
    for (peer, before) in peers.iter().zip(&sessions).skip(2) {
        assert_eq!(session(peer).await, *before);
    }
    drop(stubborn);
    deadline(tokio::task::spawn_blocking(move || first.wait())).await.unwrap();

    peers.push(eve);
    until_all_linked(&peers, room).await;
    peers[0].insert(room, "main", None, "all here").await.unwrap();
    for peer in &peers {
        deadline(until(peer, async || peer.text(room, "main").await.is_ok_and(|text| text == "all here")))
            .await;
    }
    for view in views {
        view.assert_unbroken(1).await;
    }
    for peer in peers {
        peer.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rv9_members_come_back_by_themselves_when_their_server_was_restarted() {
    let homes = tempfile::tempdir().unwrap();
    let start = |listen: &str| {
        let options = ["--drain", "5s", "--no-bans"];
        ServerProcess::start(listen, &homes.path().join("server.key"), &options)
    };
    let server = start("127.0.0.1:0");
    let origin: Origin = server.url().parse().unwrap();
    let listen = server.listen.clone();
    let mut peers = vec![open(homes.path(), "ada").await];
    let room = peers[0].create("plans", std::slice::from_ref(&origin)).await.unwrap();
    for name in ["ben", "cleo"] {
        let peer = open(homes.path(), name).await;
        peer.join(&ticket(&peers[0], room).await, JOIN).await.unwrap();
        peers.push(peer);
    }
    until_all_linked(&peers, room).await;
    let mut views = Vec::new();
    for peer in &peers {
        views.push((session(peer).await, View::of(peer, room).await));
    }

    server.terminate();
    deadline(tokio::task::spawn_blocking(move || server.wait())).await.unwrap();
    // Changes travel with no server there.
    peers[1].insert(room, "main", None, "meanwhile").await.unwrap();
    for peer in &peers {
        until_signed_in(peer, false).await;
        deadline(until(peer, async || peer.text(room, "main").await.is_ok_and(|text| text == "meanwhile")))
            .await;
    }
    let _server = start(&listen);
    for peer in &peers {
        until_signed_in(peer, true).await;
    }
    let dan = open(homes.path(), "dan").await;
    dan.join(&ticket(&peers[2], room).await, JOIN).await.unwrap();
    assert_eq!(dan.text(room, "main").await.unwrap(), "meanwhile");
    peers.push(dan);
    until_all_linked(&peers, room).await;
    for (peer, (before, view)) in peers.iter().zip(views) {
        assert_ne!(session(peer).await, before);
        view.assert_unbroken(1).await;
    }
    for peer in peers {
        peer.close().await;
    }
}
