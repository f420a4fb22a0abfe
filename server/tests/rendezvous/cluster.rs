//! RV8: several servers as one, with real servers and Debian's nats-server.

use std::time::{Duration, Instant};

use symbolon_core::crypto::keys::SignKey;
use symbolon_core::signal::{Bytes, ClientMessage, RefusalCode, ServerMessage};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::bus::{Nats, Servers, arrived, left};
use crate::support::{Client, ServerProcess, topic, within};

/// After so long a silent server is gone to the others; what is to be heard at once is heard sooner.
const LEASE: Duration = symbolon_core::rendezvous::cluster::LEASE;

fn signal(room: u8, to: &Client, body: &[u8]) -> ClientMessage {
    ClientMessage::Signal { topic: topic(room), to: to.session(), body: Bytes(body.to_vec()) }
}

fn signalled(room: u8, from: &Client, body: &[u8]) -> ServerMessage {
    ServerMessage::Signal { topic: topic(room), from: from.session(), body: Bytes(body.to_vec()) }
}

#[tokio::test]
async fn rv8_clients_of_one_room_on_different_servers_meet() {
    let nats = Nats::start().await;
    let servers = Servers::start(&nats, 3, &[]).await;
    let [mut a, mut b, mut c] = servers.clients().await;
    assert_eq!(a.enter(topic(1), b"a").await, []);
    b.enter_and_meet(topic(1), b"b", &[(&a, b"a")]).await;
    a.expect(&arrived(1, &b, b"b")).await;
    // To whom is in the room already, everybody is known at once.
    let mut late = Client::signed_in(&servers[0]).await;
    assert_eq!(late.enter(topic(1), b"late").await.len(), 2);
    a.expect(&arrived(1, &late, b"late")).await;
    b.expect(&arrived(1, &late, b"late")).await;

    a.say(&signal(1, &b, b"to b")).await;
    b.expect(&signalled(1, &a, b"to b")).await;
    b.say(&signal(1, &a, b"to a")).await;
    a.expect(&signalled(1, &b, b"to a")).await;

    b.enter(topic(1), b"b again").await;
    a.expect(&arrived(1, &b, b"b again")).await;
    late.expect(&arrived(1, &b, b"b again")).await;

    // Another room: nothing passes between the two.
    c.enter(topic(2), b"c").await;
    c.say(&signal(1, &a, b"from outside")).await;
    c.say(&signal(2, &a, b"from the next room")).await;
    a.say(&signal(1, &c, b"to the next room")).await;
    a.say(&signal(2, &c, b"into the next room")).await;
    // An answer to something later: the server has dealt with what was said.
    a.enter(topic(3), b"").await;
    c.enter_and_meet(topic(1), b"c", &[(&a, b"a"), (&b, b"b again"), (&late, b"late")]).await;
    a.expect(&arrived(1, &c, b"c")).await;

    b.say(&ClientMessage::Leave { topic: topic(1) }).await;
    a.expect(&left(1, &b)).await;
    c.expect(&left(1, &b)).await;
    let gone = left(1, &c);
    drop(c.socket);
    a.expect(&gone).await;
}

#[tokio::test]
async fn rv8_the_largest_signals_and_announcements_pass_between_servers() {
    let nats = Nats::start().await;
    let servers = Servers::start(&nats, 2, &[]).await;
    let [mut a, mut b] = servers.clients().await;
    let announcement = [7; symbolon_core::signal::MAX_ANNOUNCEMENT];
    a.enter(topic(1), &announcement).await;
    b.enter_and_meet(topic(1), &announcement, &[(&a, &announcement)]).await;
    a.expect(&arrived(1, &b, &announcement)).await;
    let body = vec![5; symbolon_core::signal::MAX_BODY];
    a.say(&signal(1, &b, &body)).await;
    b.expect(&signalled(1, &a, &body)).await;
}

#[tokio::test]
async fn rv8_a_server_that_stops_in_order_is_missed_at_once() {
    let nats = Nats::start().await;
    let mut servers = Servers::start(&nats, 2, &["--drain", "0s"]).await;
    let [mut a, mut b] = servers.clients().await;
    a.enter(topic(1), b"a").await;
    b.enter_and_meet(topic(1), b"b", &[(&a, b"a")]).await;
    a.expect(&arrived(1, &b, b"b")).await;
    let since = Instant::now();
    servers[1].signal("TERM");
    assert_eq!(b.expect_refusal().await.code, RefusalCode::ShuttingDown);
    a.expect(&left(1, &b)).await;
    assert!(since.elapsed() < LEASE / 2, "{:?}", since.elapsed());
    assert!(servers.0.pop().unwrap().ended().await);
    assert!(since.elapsed() < LEASE);
}

#[tokio::test]
async fn rv8_a_killed_server_takes_only_its_own_clients() {
    let nats = Nats::start().await;
    let mut servers = Servers::start(&nats, 3, &["--message-rate", "1000000"]).await;
    let [mut a, mut b, mut c] = servers.clients().await;
    a.enter(topic(1), b"a").await;
    b.enter_and_meet(topic(1), b"b", &[(&a, b"a")]).await;
    a.expect(&arrived(1, &b, b"b")).await;
    c.enter_and_meet(topic(1), b"c", &[(&a, b"a"), (&b, b"b")]).await;
    a.expect(&arrived(1, &c, b"c")).await;
    b.expect(&arrived(1, &c, b"c")).await;
    servers.0.pop();
    // All the time until its death is certain, the others talk: each signal arrives once, in order.
    let gone = left(1, &c);
    let (mut a_heard, mut b_heard) = (false, false);
    let mut sent = 0_u64;
    while !(a_heard && b_heard) {
        let body = sent.to_be_bytes();
        a.say(&signal(1, &b, &body)).await;
        b.say(&signal(1, &a, &body)).await;
        let (to_a, to_b) = (signalled(1, &b, &body), signalled(1, &a, &body));
        for (client, due, heard) in [(&mut a, to_a, &mut a_heard), (&mut b, to_b, &mut b_heard)] {
            loop {
                match client.next().await {
                    Some(message) if message == due => break,
                    Some(message) if message == gone && !*heard => *heard = true,
                    other => panic!("{other:?}"),
                }
            }
        }
        sent += 1;
    }
    assert!(sent > 100, "{sent}");
    // A new server in its place is met like any other.
    let place = Servers::one(&nats, &servers.1, &[]);
    let mut d = Client::signed_in(&place).await;
    d.enter_and_meet(topic(1), b"d", &[(&a, b"a"), (&b, b"b")]).await;
    a.expect(&arrived(1, &d, b"d")).await;
}

#[tokio::test]
async fn rv8_while_the_bus_is_away_each_server_serves_its_own_and_afterwards_all_is_known() {
    let mut nats = Nats::reserve();
    // Not there yet: no server waits for it.
    let servers = Servers::start_before(&nats, 2, &[]);
    let [mut a, mut b] = servers.clients().await;
    let mut near = Client::signed_in(&servers[0]).await;
    a.enter(topic(1), b"a").await;
    assert_eq!(b.enter(topic(1), b"b").await, []);
    assert_eq!(near.enter(topic(1), b"near").await.len(), 1);
    a.expect(&arrived(1, &near, b"near")).await;
    nats.run().await;
    a.expect(&arrived(1, &b, b"b")).await;
    near.expect(&arrived(1, &b, b"b")).await;
    b.expect_all(&[arrived(1, &a, b"a"), arrived(1, &near, b"near")]).await;

    nats.kill();
    // What happens meanwhile: one leaves, one comes, one announces itself anew.
    near.say(&ClientMessage::Leave { topic: topic(1) }).await;
    a.expect(&left(1, &near)).await;
    let mut new = Client::signed_in(&servers[1]).await;
    let known = new.enter(topic(1), b"new").await;
    assert!(known.iter().any(|(session, _)| *session == b.session()));
    b.expect(&arrived(1, &new, b"new")).await;
    a.enter(topic(1), b"a again").await;
    nats.run().await;
    // Short of the lease nobody has left: exactly what is new is told.
    a.expect(&arrived(1, &new, b"new")).await;
    b.expect_all(&[arrived(1, &a, b"a again"), left(1, &near)]).await;
    a.say(&signal(1, &new, b"welcome")).await;
    let mut seen = Vec::new();
    while seen.last() != Some(&signalled(1, &a, b"welcome")) {
        seen.push(new.next().await.unwrap());
    }
    a.say(&signal(1, &b, b"still here")).await;
    b.expect(&signalled(1, &a, b"still here")).await;
}

#[tokio::test]
async fn rv8_a_server_with_another_key_is_not_heard_and_both_say_so() {
    let nats = Nats::start().await;
    let one = Servers::start(&nats, 2, &[]).await;
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let (foreign, _other_key) = Servers::logging(&nats, &log);
    let [mut a, mut b] = one.clients().await;
    let mut c = Client::signed_in(&foreign).await;
    c.enter(topic(1), b"c").await;
    a.enter(topic(1), b"a").await;
    b.enter_and_meet(topic(1), b"b", &[(&a, b"a")]).await;
    a.expect(&arrived(1, &b, b"b")).await;
    within(async {
        while !std::fs::read_to_string(&log).unwrap().contains("another key or version") {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(!text.contains(&topic(1).to_string()) && !text.contains(&c.session().to_string()), "{text}");
    // Nothing has come in between.
    a.say(&signal(1, &b, b"x")).await;
    b.expect(&signalled(1, &a, b"x")).await;
    assert_eq!(c.enter(topic(1), b"c").await, []);
}

#[tokio::test]
async fn rv8_a_room_is_as_full_as_all_servers_together_know() {
    let nats = Nats::start().await;
    let servers = Servers::start(&nats, 3, &["--clients-per-room", "2"]).await;
    let [mut a, mut b, mut c] = servers.clients().await;
    let mut d = Client::signed_in(&servers[0]).await;
    a.enter(topic(1), b"a").await;
    b.enter_and_meet(topic(1), b"b", &[(&a, b"a")]).await;
    a.expect(&arrived(1, &b, b"b")).await;
    d.say(&ClientMessage::Enter { topic: topic(1), announcement: Bytes(vec![]) }).await;
    assert_eq!(d.expect_refusal().await.code, RefusalCode::Full);
    // A server that has nobody there does not know, lets its client in, and nobody is put out for it.
    c.enter_and_meet(topic(1), b"c", &[(&a, b"a"), (&b, b"b")]).await;
    b.say(&ClientMessage::Leave { topic: topic(1) }).await;
    c.expect(&left(1, &b)).await;
    let mut e = Client::signed_in(&servers[2]).await;
    e.say(&ClientMessage::Enter { topic: topic(1), announcement: Bytes(vec![]) }).await;
    assert_eq!(e.expect_refusal().await.code, RefusalCode::Full);
}

#[tokio::test]
async fn rv8_a_session_signed_in_at_two_servers_is_one_client_until_it_has_left_both() {
    let nats = Nats::start().await;
    let servers = Servers::start(&nats, 3, &[]).await;
    let key = SignKey::from_secret(&rand::random());
    let [mut watcher, _, _] = servers.clients::<3>().await;
    let mut first = Client::signed_in_as(&servers[1], key.clone()).await;
    let mut second = Client::signed_in_as(&servers[2], key).await;
    watcher.enter(topic(1), b"w").await;
    first.enter_and_meet(topic(1), b"same", &[(&watcher, b"w")]).await;
    watcher.expect(&arrived(1, &first, b"same")).await;
    second.enter_and_meet(topic(1), b"same", &[(&watcher, b"w")]).await;
    first.say(&ClientMessage::Leave { topic: topic(1) }).await;
    // Another server's word cannot be waited for, but one's own can: what comes from there comes after.
    let mut witness = Client::signed_in(&servers[1]).await;
    witness.enter_and_meet(topic(1), b"x", &[(&watcher, b"w"), (&second, b"same")]).await;
    watcher.expect(&arrived(1, &witness, b"x")).await;
    watcher.say(&signal(1, &second, b"which")).await;
    second.expect_among(&signalled(1, &watcher, b"which")).await;
    second.say(&ClientMessage::Leave { topic: topic(1) }).await;
    watcher.expect(&left(1, &second)).await;
}

#[tokio::test]
async fn rv8_garbage_on_the_bus_harms_nobody() {
    let nats = Nats::start().await;
    let servers = Servers::start(&nats, 2, &[]).await;
    let [mut a, mut b] = servers.clients().await;
    a.enter(topic(1), b"a").await;
    b.enter_and_meet(topic(1), b"b", &[(&a, b"a")]).await;
    a.expect(&arrived(1, &b, b"b")).await;
    let before = servers[0].resident();
    let mut raw = within(TcpStream::connect(nats.address())).await.unwrap();
    raw.write_all(b"CONNECT {\"verbose\":false}\r\n").await.unwrap();
    let room = format!("symbolon.room.{}", topic(1));
    for round in 0..2000_usize {
        let bytes: Vec<u8> = (0..round % 700).map(|_| rand::random()).collect();
        // Well-formed too: lists of a length that is not there, strangers by the thousand, a goodbye of nobody.
        let forged = match round % 4 {
            0 => [&[0x83, 0x02, 0x50][..], &rand::random::<[u8; 16]>(), &[0xbb, 0xff, 0xff, 0xff, 0xff]]
                .concat(),
            1 => [&[0x83, 0x01, 0x50][..], &rand::random::<[u8; 16]>(), &[0xa0]].concat(),
            2 => [&[0x9b][..], &u64::MAX.to_be_bytes()].concat(),
            _ => vec![0x81; 5000],
        };
        for payload in [bytes, forged] {
            for subject in ["symbolon.all", &room] {
                let head = format!("PUB {subject} {}\r\n", payload.len());
                raw.write_all(&[head.as_bytes(), &payload, b"\r\n"].concat()).await.unwrap();
            }
        }
    }
    raw.write_all(b"PING\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"PONG\r\n") {
        answer.push(within(raw.read_u8()).await.unwrap());
    }
    for n in 0..10 {
        a.say(&signal(1, &b, &[n])).await;
        b.expect(&signalled(1, &a, &[n])).await;
    }
    let grown = servers[0].resident().saturating_sub(before);
    assert!(grown < 16 * 1024 * 1024, "{grown} bytes more");
}

#[tokio::test]
async fn rv8_a_bus_that_asks_who_one_is_is_told_and_the_log_has_no_secret() {
    let nats = Nats::with(&["--user", "anna", "--pass", "s3cr3t/!"]).await;
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    let log = folder.path().join("log");
    let options = |url: &str| {
        vec!["--key-file".to_owned(), key.display().to_string(), "--nats".to_owned(), url.to_owned()]
    };
    let start = |url: &str, log: &std::path::Path| {
        let options = options(url);
        ServerProcess::start_logging(&options.iter().map(String::as_str).collect::<Vec<_>>(), log)
    };
    let good = format!("nats://anna:s3cr3t%2F%21@{}", nats.address());
    let servers = [start(&good, &log), start(&good, &folder.path().join("log2"))];
    let wrong_log = folder.path().join("wrong");
    let _wrong = start(&format!("nats://anna:wr0ng@{}", nats.address()), &wrong_log);
    let mut a = Client::signed_in(&servers[0]).await;
    let mut b = Client::signed_in(&servers[1]).await;
    a.enter(topic(1), b"a").await;
    b.enter_and_meet(topic(1), b"b", &[(&a, b"a")]).await;
    within(async {
        while !std::fs::read_to_string(&wrong_log)
            .unwrap()
            .contains("authorization violation: it does not take")
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    for log in [&log, &wrong_log] {
        let text = std::fs::read_to_string(log).unwrap();
        assert!(!text.contains("s3cr3t") && !text.contains("wr0ng"), "{text}");
    }
}
