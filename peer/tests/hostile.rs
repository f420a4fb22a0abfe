//! A hostile server, on real sockets and real WebRTC: all it can do is to delay, to drop, and to see times and sizes.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::pedantic)]

mod support;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use support::client::Client;
use support::proxy::{FIRST_IK, FIRST_KK, PROOF, Proxy, SECOND, Verdict, announcements, signals};
use support::puppet::Puppet;
use support::{
    FOR_ONE_LINK, JOIN, SHORT, World, code, counters, deadline, link_down, linked, session, ticket, until,
    until_signed_in,
};
use symbolon::Peer;
use symbolon_core::admission::announce_nothing;
use symbolon_core::crypto::Rng;
use symbolon_core::id::{SessionId, Topic};
use symbolon_core::node::Input;
use symbolon_core::signal::{Bytes, ServerMessage};
use symbolon_server::key::KeySource;
use symbolon_server::{Config, Server};
use tokio_tungstenite::tungstenite::Message;

fn signal(topic: Topic, from: SessionId, body: &[u8]) -> ServerMessage {
    ServerMessage::Signal { topic, from, body: Bytes(body.to_vec()) }
}

/// Drops, on their way to the receiver, all signals of one kind.
fn withhold(proxy: &Proxy, kind: u8) {
    proxy.hook(move |frame| match frame.got() {
        Some((_, body)) if body.first() == Some(&kind) => Verdict::Drop,
        _ => Verdict::Pass,
    });
}

/// Waits until everything the proxy has said to this peer so far has been taken in.
async fn caught_up(proxy: &Proxy, peer: &Peer) {
    proxy.until_read(&session(peer).await).await;
    // What was read waits in a channel of 256; between two commands the driver takes in up to 256 inputs.
    for _ in 0..4 {
        counters(peer).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rv3_a_server_that_is_not_the_one_dialled_is_refused() {
    // An honest server elsewhere, whose challenge somebody relays under another address.
    let world = World::new().await;
    let proxy = Proxy::start().await;
    proxy.upstream(world.server.as_ref().unwrap().local_addr());
    let a = world.peer("a").await;
    let room = a.create("plans", &[proxy.origin()]).await.unwrap();
    let b = world.peer("b").await;
    assert_eq!(code(b.join(&ticket(&a, room).await, SHORT).await), "wrong_server");
    let trouble = a.servers().await.unwrap()[0].trouble.clone().unwrap();
    assert!(trouble.contains("says it is") && trouble.contains(&world.origin().to_string()), "{trouble}");
    let frames = proxy.frames();
    assert!(frames.iter().any(|frame| frame.text.contains("challenge")), "it was challenged");
    assert_eq!(frames.iter().filter(|frame| frame.from_client).count(), 0, "and said nothing to that");
}

#[tokio::test(flavor = "multi_thread")]
async fn rv3_a_changed_server_key_is_refused() {
    let (world, proxy) = World::behind_proxy().await;
    let a = world.peer("a").await;
    let room = a.create("plans", &[world.origin()]).await.unwrap();
    until_signed_in(&a, true).await;
    let carries_the_key = ticket(&a, room).await;
    assert!(carries_the_key.servers[0].key.is_some());
    let config = Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        origins: vec![proxy.origin()],
        key: KeySource::Ephemeral,
        ..Config::default()
    };
    let impostor = Server::bind(config).await.unwrap();
    let mark = proxy.mark();
    let connection = proxy.attempts() + 1;
    proxy.upstream(impostor.local_addr());
    proxy.cut();
    proxy.until_ended(connection).await;
    let trouble = a.servers().await.unwrap()[0].trouble.clone().unwrap();
    assert!(trouble.contains("another key"), "{trouble}");
    let b = world.peer("b").await;
    assert_eq!(code(b.join(&carries_the_key, SHORT).await), "wrong_server");
    assert_eq!(proxy.frames()[mark..].iter().filter(|frame| frame.from_client).count(), 0);
    // Also after a restart: the key is on disk.
    a.close().await;
    let connection = proxy.attempts() + 1;
    let a = world.peer("a").await;
    proxy.until_ended(connection).await;
    assert!(a.servers().await.unwrap()[0].trouble.clone().unwrap().contains("another key"));
    assert_eq!(proxy.frames()[mark..].iter().filter(|frame| frame.from_client).count(), 0);
    // The right one is known again at once.
    proxy.upstream(world.server.as_ref().unwrap().local_addr());
    a.network_changed().await.unwrap();
    until_signed_in(&a, true).await;
    b.join(&carries_the_key, JOIN).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn ad5_a_byte_changed_anywhere_in_a_handshake_leads_nowhere() {
    let (world, proxy) = World::behind_proxy().await;
    let a = world.peer("a").await;
    let room = a.create("plans", &[world.origin()]).await.unwrap();
    proxy.until_entered().await;
    let for_b = ticket(&a, room).await;
    let topic = for_b.secret.topic();
    let b = world.peer("b").await;
    // Whatever is signalled is held back, changed in every byte, one at a time, and only then let through.
    proxy.hook(|frame| if frame.got().is_some() { Verdict::Drop } else { Verdict::Pass });
    let attack = async {
        let (b_session, a_session, proof) = proxy.signal(0, PROOF, 0).await;
        let announcement = Bytes(announce_nothing(&mut Rng::from_seed([1; 32])));
        for at in 1..proof.len() {
            let mut changed = proof.clone();
            changed[at] ^= 1 << (at % 8);
            // A session may send a few proofs only; the server can pretend that it left and came back.
            let announcement = announcement.clone();
            proxy.say_to(&a_session, &ServerMessage::Left { topic, session: b_session });
            proxy.say_to(&a_session, &ServerMessage::Arrived { topic, session: b_session, announcement });
            proxy.say_to(&a_session, &signal(topic, b_session, &changed));
        }
        caught_up(&proxy, &a).await;
        let counted = counters(&a).await;
        assert_eq!((counted.proofs_rejected, counted.connections_made), (proof.len() as u64 - 1, 0));
        proxy.say_to(&a_session, &signal(topic, b_session, &proof));

        let (.., first) = proxy.signal(0, FIRST_IK, 0).await;
        for at in 0..first.len() {
            let mut changed = first.clone();
            changed[at] ^= 1 << (at % 8);
            proxy.say_to(&b_session, &signal(topic, a_session, &changed));
        }
        proxy.say_to(&b_session, &signal(topic, a_session, &first));

        let (.., second) = proxy.signal(0, SECOND, 0).await;
        // Further on a change ends the attempt: see the next test.
        for at in 0..9 {
            let mut changed = second.clone();
            changed[at] ^= 1 << (at % 8);
            proxy.say_to(&a_session, &signal(topic, b_session, &changed));
        }
        proxy.say_to(&a_session, &signal(topic, b_session, &second));
    };
    let (joined, ()) = tokio::join!(b.join(&for_b, JOIN), attack);
    joined.unwrap();
    deadline(world.until_links(&a, room, 1)).await;
    assert_eq!((counters(&a).await.connections_made, counters(&b).await.connections_made), (1, 1));
    assert_eq!(signals(&proxy.frames(), SECOND).len(), 1, "only the real first message was answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn ad5_a_changed_answer_makes_no_link_and_the_next_attempt_works() {
    let (world, proxy) = World::behind_proxy().await;
    let a = world.peer("a").await;
    let room = a.create("plans", &[world.origin()]).await.unwrap();
    until_signed_in(&a, true).await;
    let for_b = ticket(&a, room).await;
    let b = world.peer("b").await;
    // The ephemeral key, the sealed answer, its end; then an answer cut short, and one that is too long.
    let changes: [fn(&mut Vec<u8>); 5] = [
        |body| body[9] ^= 1,
        |body| body[60] ^= 1,
        |body| *body.last_mut().unwrap() ^= 1,
        |body| body.truncate(20),
        |body| body.push(0),
    ];
    for change in changes {
        proxy.hook(move |frame| match frame.server() {
            Some(ServerMessage::Signal { topic, from, mut body }) if body.0[0] == SECOND => {
                change(&mut body.0);
                Verdict::Instead(vec![Message::text(ServerMessage::Signal { topic, from, body }.encode())])
            }
            _ => Verdict::Pass,
        });
        assert_eq!(code(b.join(&for_b, SHORT).await), "no_connection");
        assert_eq!((linked(&a, room).await, b.rooms().await.unwrap().len()), (0, 0));
        assert_eq!(a.members(room).await.unwrap().len(), 1, "nobody was let in");
    }
    assert_eq!(counters(&a).await.connections_made, 5);
    assert_eq!(counters(&b).await.connections_made, 5);
    proxy.honest();
    b.join(&for_b, JOIN).await.unwrap();
    deadline(world.until_links(&a, room, 1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ad5_answers_exchanged_between_two_newcomers_make_no_link() {
    let (world, proxy) = World::behind_proxy().await;
    let a = world.peer("a").await;
    let room = a.create("plans", &[world.origin()]).await.unwrap();
    until_signed_in(&a, true).await;
    let tickets = [ticket(&a, room).await, ticket(&a, room).await];
    let topic = tickets[0].secret.topic();
    let (b, c) = (world.peer("b").await, world.peer("c").await);
    withhold(&proxy, SECOND);
    let exchange = async {
        let one = proxy.signal(0, SECOND, 0).await;
        let two = proxy.signal(0, SECOND, 1).await;
        assert_ne!(one.0, two.0);
        let mixed = |head: &[u8], tail: &[u8]| [&head[..9], &tail[9..]].concat();
        for (from, body) in [
            // As it is, under the other's name; then with the mark of the other's attempt.
            (one.0, two.2.clone()),
            (two.0, one.2.clone()),
            (one.0, mixed(&one.2, &two.2)),
            (two.0, mixed(&two.2, &one.2)),
        ] {
            proxy.say_to(&one.1, &signal(topic, from, &body));
        }
    };
    let (first, second, ()) = tokio::join!(b.join(&tickets[0], SHORT), c.join(&tickets[1], SHORT), exchange);
    assert_eq!((code(first), code(second)), ("no_connection", "no_connection"));
    assert_eq!((linked(&a, room).await, counters(&a).await.connections_made), (0, 2));
    assert_eq!((counters(&b).await.connections_made, counters(&c).await.connections_made), (1, 1));
    proxy.honest();
    let (first, second) = tokio::join!(b.join(&tickets[0], JOIN), c.join(&tickets[1], JOIN));
    first.unwrap();
    second.unwrap();
    for peer in [&a, &b, &c] {
        deadline(world.until_links(peer, room, 2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ad5_what_is_replayed_or_moved_makes_no_connection() {
    let (world, proxy) = World::behind_proxy().await;
    let a = world.peer("a").await;
    let room = a.create("plans", &[world.origin()]).await.unwrap();
    let b = world.joined("b", &a, room).await;
    let c = world.joined("c", &a, room).await;
    let peers = [&a, &b, &c];
    for peer in peers {
        deadline(world.until_links(peer, room, 2)).await;
    }
    // Old sessions of b, and a first message of each kind, to have more to replay.
    let old_b = session(&b).await;
    proxy.cut();
    for peer in peers {
        deadline(until(peer, async || peer.members(room).await.unwrap().iter().all(|m| m.online))).await;
    }
    deadline(until(&b, async || {
        let now = b.servers().await.unwrap()[0].session;
        now.is_some() && now != Some(old_b)
    }))
    .await;
    for peer in peers {
        until_signed_in(peer, true).await;
    }
    let fresh = ticket(&a, room).await;
    let topic = fresh.secret.topic();
    // Comes to c after the invite.
    a.insert(room, "main", None, "all").await.unwrap();
    deadline(world.until_text(&c, room, "all")).await;
    b.close().await;
    let b = world.peer("b").await;
    for peer in [&a, &b, &c] {
        deadline(world.until_links(peer, room, 2)).await;
    }
    let peers = [&a, &b, &c];
    for peer in peers {
        until_signed_in(peer, true).await;
    }
    let recorded = proxy.frames();
    let mut stranger = Client::sign_in(&world.origin()).await;
    stranger.enter(topic, announce_nothing(&mut Rng::from_seed([2; 32]))).await;
    let mut made = Vec::new();
    let mut downs = Vec::new();
    for peer in peers {
        made.push(counters(peer).await);
        downs.push(peer.subscribe());
    }
    let (mut replayed, mut kinds) = (0, std::collections::BTreeSet::new());
    for peer in peers {
        let own = session(peer).await;
        // Every announcement ever made, under its old session and under ones it was not made for.
        for (of, announcement) in announcements(&recorded) {
            let anew = SessionId::from_bytes(rand::random());
            for session in [of, anew, stranger.session(), session(&a).await] {
                if session != own {
                    let announcement = Bytes(announcement.clone());
                    proxy.say_to(&own, &ServerMessage::Arrived { topic, session, announcement });
                }
            }
        }
        // Back to what is true, so that what comes next comes from sessions that are known.
        for (session, announcement) in announcements(&recorded) {
            if session != own {
                let announcement = Bytes(announcement);
                proxy.say_to(&own, &ServerMessage::Arrived { topic, session, announcement });
            }
        }
        // Every signal ever sent, to whomever, from its sender and from others, twice.
        for frame in &recorded {
            let (Some((_, body)), Some(sender)) = (frame.sent(), frame.session) else { continue };
            kinds.insert(body[0]);
            for from in [sender, sender, stranger.session(), session(&a).await, session(&c).await] {
                proxy.say_to(&own, &signal(topic, from, &body));
                replayed += 1;
            }
        }
    }
    assert!(replayed > 100 && kinds.contains(&PROOF) && kinds.contains(&FIRST_IK) && kinds.contains(&SECOND));
    println!("replayed {replayed} signals of kinds {kinds:?}");
    for peer in peers {
        caught_up(&proxy, peer).await;
    }
    // An honest join shows that all of them still listen; it costs each one connection.
    let d = world.peer("d").await;
    d.join(&fresh, JOIN).await.unwrap();
    for peer in [&a, &b, &c, &d] {
        deadline(world.until_links(peer, room, 3)).await;
    }
    for ((peer, before), mut events) in peers.iter().zip(made).zip(downs) {
        let after = counters(peer).await;
        let made = after.connections_made - before.connections_made;
        assert!(FOR_ONE_LINK.contains(&made), "only that with d, not {made}");
        assert!(!support::drain(&mut events).iter().any(link_down), "no link was disturbed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ad5_an_announcement_moved_to_another_session_makes_nobody_call() {
    let (world, proxy) = World::behind_proxy().await;
    let a = world.peer("a").await;
    let room = a.create("plans", &[world.origin()]).await.unwrap();
    let for_b = ticket(&a, room).await;
    let topic = for_b.secret.topic();
    let b = world.peer("b").await;
    b.join(&for_b, JOIN).await.unwrap();
    let (to_a, of_b) = (session(&a).await, session(&b).await);
    // As a newcomer, then, once it knows that it is let in, as a member.
    let by_b = |frames: &[support::proxy::Frame]| {
        announcements(frames).iter().filter(|(of, _)| *of == of_b).count() >= 2
    };
    proxy.until(|frames| by_b(frames).then_some(())).await;
    let announced = announcements(&proxy.frames());
    b.close().await;
    deadline(world.until_links(&a, room, 0)).await;
    let before = counters(&a).await;
    let mut thief = Client::sign_in(&world.origin()).await;
    let mut nobody = vec![thief.session()];
    for (_, announcement) in &announced {
        // The thief is there itself, so that whatever is sent to it arrives.
        thief.enter(topic, announcement.clone()).await;
        let announcement = Bytes(announcement.clone());
        let session = SessionId::from_bytes(rand::random());
        proxy.say_to(&to_a, &ServerMessage::Arrived { topic, session, announcement });
        nobody.push(session);
    }
    let c = world.joined("c", &a, room).await;
    // Long enough for the larger device to call, too: a member that came back is called within this.
    let b = world.peer("b").await;
    for peer in [&a, &b, &c] {
        deadline(world.until_links(peer, room, 2)).await;
    }
    caught_up(&proxy, &a).await;
    let made = counters(&a).await.connections_made - before.connections_made;
    assert!((2..=4).contains(&made), "those with b and c, not {made}");
    let to_nobody = |frame: &support::proxy::Frame| {
        frame.sent().is_some_and(|(to, body)| nobody.contains(&to) && body[0] != PROOF)
    };
    assert_eq!(proxy.frames().iter().filter(|frame| to_nobody(frame)).count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn ad5_a_proof_moved_to_another_session_or_member_is_met_with_silence() {
    let (world, proxy) = World::behind_proxy().await;
    let a = world.peer("a").await;
    let room = a.create("plans", &[world.origin()]).await.unwrap();
    let b = world.joined("b", &a, room).await;
    let for_c = ticket(&a, room).await;
    let topic = for_c.secret.topic();
    a.insert(room, "main", None, "all").await.unwrap();
    deadline(world.until_text(&b, room, "all")).await;
    let mut thief = Client::sign_in(&world.origin()).await;
    thief.enter(topic, announce_nothing(&mut Rng::from_seed([2; 32]))).await;
    let (to_a, to_b) = (session(&a).await, session(&b).await);
    let mark = proxy.mark();
    withhold(&proxy, PROOF);
    let before = [counters(&a).await, counters(&b).await];
    let c = world.peer("c").await;
    let steal = async {
        let mut proofs = [proxy.signal(mark, PROOF, 0).await, proxy.signal(mark, PROOF, 1).await];
        proofs.sort_by_key(|(_, to, _)| *to != to_a);
        let (from_c, [for_a, for_b]) = (proofs[0].0, proofs.map(|(.., body)| body));
        for member in [&to_a, &to_b] {
            proxy.until_told(member, &from_c).await;
        }
        // To the right member from the thief's session, and from the right session to the wrong member.
        proxy.say_to(&to_a, &signal(topic, thief.session(), &for_a));
        proxy.say_to(&to_b, &signal(topic, thief.session(), &for_b));
        proxy.say_to(&to_a, &signal(topic, from_c, &for_b));
        proxy.say_to(&to_b, &signal(topic, from_c, &for_a));
        proxy.say_to(&to_a, &signal(topic, to_b, &for_a));
        caught_up(&proxy, &a).await;
        caught_up(&proxy, &b).await;
        let after = [counters(&a).await, counters(&b).await];
        assert_eq!(after[0].proofs_rejected - before[0].proofs_rejected, 3);
        assert_eq!(after[1].proofs_rejected - before[1].proofs_rejected, 2);
        for (after, before) in after.iter().zip(&before) {
            assert_eq!(after.connections_made, before.connections_made);
        }
        // The real ones, twice each: the second time they have been seen.
        for _ in 0..2 {
            proxy.say_to(&to_a, &signal(topic, from_c, &for_a));
            proxy.say_to(&to_b, &signal(topic, from_c, &for_b));
        }
    };
    let (joined, ()) = tokio::join!(c.join(&for_c, JOIN), steal);
    joined.unwrap();
    for peer in [&a, &b, &c] {
        deadline(world.until_links(peer, room, 2)).await;
    }
    for (peer, before) in [&a, &b].into_iter().zip(&before) {
        assert!(FOR_ONE_LINK.contains(&(counters(peer).await.connections_made - before.connections_made)));
    }
    assert!((2..=4).contains(&counters(&c).await.connections_made));
    assert_eq!(thief.signals(), Vec::<Vec<u8>>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn ad6_a_connection_with_another_fingerprint_than_the_sealed_one_never_opens() {
    let world = World::new().await;
    let a = world.peer("a").await;
    let room = a.create("plans", &[world.origin()]).await.unwrap();
    let for_x = ticket(&a, room).await;
    // Its keys are good and its ticket is, but the one whose certificate answers is not the one of the handshake.
    let mut x = Puppet::new("x");
    let swapped = Arc::new(Mutex::new(0));
    let count = Arc::clone(&swapped);
    x.tamper = Some(Box::new(move |input| match input {
        Input::Description { link, sdp } => {
            let line = sdp.lines().find(|line| line.starts_with("a=fingerprint:")).unwrap().to_owned();
            let (head, last) = line.split_at(line.len() - 1);
            let other = if last == "0" { "1" } else { "0" };
            *count.lock().unwrap() += 1;
            vec![Input::Description { link, sdp: sdp.replace(&line, &format!("{head}{other}")) }]
        }
        other => vec![other],
    }));
    assert!(!x.join(&for_x, SHORT).await);
    assert_eq!(*swapped.lock().unwrap(), 1);
    assert_eq!((linked(&a, room).await, a.members(room).await.unwrap().len()), (0, 1));
    assert_eq!(counters(&a).await.connections_made, 1, "it was tried");
    // With the right one it is let in.
    x.tamper = None;
    x.events.clear();
    assert!(x.join(&for_x, JOIN).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn me3_forged_departures_and_phantom_arrivals_disturb_no_link() {
    let (world, proxy) = World::behind_proxy().await;
    let a = world.peer("a").await;
    let room = a.create("plans", &[world.origin()]).await.unwrap();
    let for_b = ticket(&a, room).await;
    let topic = for_b.secret.topic();
    let b = world.peer("b").await;
    b.join(&for_b, JOIN).await.unwrap();
    deadline(world.until_links(&a, room, 1)).await;
    let (to_a, of_b) = (session(&a).await, session(&b).await);
    let before = (counters(&a).await, counters(&b).await);
    let mut events = (a.subscribe(), b.subscribe());
    let announcement = announcements(&proxy.frames()).into_iter().rfind(|(of, _)| *of == of_b).unwrap().1;
    let arrived = ServerMessage::Arrived { topic, session: of_b, announcement: Bytes(announcement.clone()) };
    for _ in 0..20 {
        proxy.say_to(&to_a, &ServerMessage::Left { topic, session: of_b });
        proxy.say_to(&to_a, &arrived);
        let phantom = SessionId::from_bytes(rand::random());
        let announcement = Bytes(announcement.clone());
        proxy.say_to(&to_a, &ServerMessage::Arrived { topic, session: phantom, announcement });
    }
    proxy.say_to(&to_a, &ServerMessage::Left { topic, session: of_b });
    // A split view: b, says the server, is alone.
    proxy.say_to(&of_b, &ServerMessage::Entered { topic, peers: Vec::new() });
    caught_up(&proxy, &a).await;
    caught_up(&proxy, &b).await;
    a.insert(room, "main", None, "still").await.unwrap();
    deadline(world.until_text(&b, room, "still")).await;
    b.insert(room, "main", None, " here").await.unwrap();
    deadline(world.until_text(&a, room, "still here")).await;
    assert_eq!((linked(&a, room).await, linked(&b, room).await), (1, 1));
    let after = (counters(&a).await, counters(&b).await);
    assert_eq!(after.0.connections_made, before.0.connections_made);
    assert_eq!(after.1.connections_made, before.1.connections_made);
    for events in [&mut events.0, &mut events.1] {
        assert!(!support::drain(events).iter().any(link_down));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn me12_a_flood_from_a_server_is_taken_in_whole() {
    let (world, proxy) = World::behind_proxy().await;
    let a = world.peer("a").await;
    let room = a.create("plans", &[world.origin()]).await.unwrap();
    proxy.until_entered().await;
    let topic = ticket(&a, room).await.secret.topic();
    let own = session(&a).await;
    let signals = 5000;
    for n in 0..signals {
        // A session may send a few proofs only.
        let from = SessionId::from_bytes([(n % 251) as u8; 32]);
        let announcement = Bytes(vec![0; 72]);
        proxy.say_to(&own, &ServerMessage::Left { topic, session: from });
        proxy.say_to(&own, &ServerMessage::Arrived { topic, session: from, announcement });
        proxy.say_to(&own, &signal(topic, from, &[PROOF; 100]));
    }
    caught_up(&proxy, &a).await;
    assert_eq!(counters(&a).await.proofs_rejected, signals, "each was counted");
}

/// Everything a server may throw at a client that is no message of the protocol.
fn rubbish() -> Vec<Message> {
    vec![
        Message::text(""),
        Message::text("null"),
        Message::text("{\"type\":\"arrived\"}"),
        Message::text(format!("{}1{}", "[".repeat(60_000), "]".repeat(60_000))),
        Message::text(format!("{{\"type\":\"entered\",\"topic\":\"{}\",\"peers\":[]}}", "A".repeat(43))),
        Message::text("\u{0}\u{7f}{}".repeat(1000)),
        Message::Binary(vec![0; 100_000].into()),
        Message::Binary(Vec::new().into()),
        Message::Ping(vec![7; 100].into()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn as2_rubbish_from_a_server_harms_nobody() {
    let (world, proxy) = World::behind_proxy().await;
    let a = world.peer("a").await;
    let room = a.create("plans", &[world.origin()]).await.unwrap();
    proxy.until_entered().await;
    let for_b = ticket(&a, room).await;
    let topic = for_b.secret.topic();
    let own = session(&a).await;
    for message in rubbish() {
        proxy.raw_to(&own, message);
    }
    // 256 arrivals, more members than a room may have, and a flood of what has no meaning now.
    for n in 0..2000u32 {
        let announcement = Bytes(vec![1; 72]);
        let session = SessionId::from_bytes([&n.to_be_bytes()[..], &[9; 28]].concat().try_into().unwrap());
        proxy.say_to(&own, &ServerMessage::Arrived { topic, session, announcement });
        proxy.say_to(&own, &signal(topic, session, &[PROOF; 300]));
    }
    caught_up(&proxy, &a).await;
    assert_eq!(session(&a).await, own, "still signed in");
    world.joined("b", &a, room).await;
    // In the place of every word of the server.
    for message in rubbish() {
        let connection = proxy.attempts() + 1;
        proxy.hook(
            move |frame| {
                if frame.from_client { Verdict::Pass } else { Verdict::Instead(vec![message.clone()]) }
            },
        );
        proxy.cut();
        a.network_changed().await.unwrap();
        proxy.until(|frames| frames.iter().any(|frame| frame.connection >= connection).then_some(())).await;
        proxy.honest();
        proxy.cut();
        a.network_changed().await.unwrap();
        until_signed_in(&a, true).await;
    }
    world.joined("c", &a, room).await;
}

/// Five attempts after the first take at least half of 0.5 s·(1 + 1.5 + 1.5² + …).
const SIX_ATTEMPTS: Duration = Duration::from_millis(3200);

#[tokio::test(flavor = "multi_thread")]
async fn me3_a_server_that_breaks_off_is_not_dialled_in_a_loop() {
    let (world, proxy) = World::behind_proxy().await;
    let a = world.peer("a").await;
    let room = a.create("plans", &[world.origin()]).await.unwrap();
    let b = world.joined("b", &a, room).await;
    let ways: [(&str, Box<dyn Fn(&Proxy)>); 3] = [
        ("closes at once", Box::new(Proxy::refuse)),
        (
            "sends 10 MB in place of a challenge",
            Box::new(|proxy| {
                proxy.hook(|frame| match frame.server() {
                    Some(ServerMessage::Challenge(_)) => {
                        Verdict::Instead(vec![Message::text("x".repeat(10_000_000))])
                    }
                    _ => Verdict::Pass,
                });
            }),
        ),
        (
            "welcomes and then sends 10 MB",
            Box::new(|proxy| {
                proxy.hook(|frame| match frame.server() {
                    Some(ServerMessage::Entered { .. }) => {
                        Verdict::Instead(vec![Message::Binary(vec![0; 10_000_000].into())])
                    }
                    _ => Verdict::Pass,
                });
            }),
        ),
    ];
    b.close().await;
    for (what, way) in ways {
        way(&proxy);
        proxy.cut();
        a.network_changed().await.unwrap();
        let before = proxy.attempts();
        proxy.until_attempts(before + 1).await;
        let began = Instant::now();
        proxy.until_attempts(before + 6).await;
        assert!(began.elapsed() > SIX_ATTEMPTS, "{what}: six attempts in {:?}", began.elapsed());
        proxy.honest();
        a.network_changed().await.unwrap();
        until_signed_in(&a, true).await;
    }
    // And it is none the worse for it.
    world.joined("c", &a, room).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn me4_both_call_at_once_and_one_connection_remains() {
    let (world, proxy) = World::behind_proxy().await;
    let a = world.peer("a").await;
    let room = a.create("plans", &[world.origin()]).await.unwrap();
    let for_b = ticket(&a, room).await;
    let topic = for_b.secret.topic();
    let b = world.peer("b").await;
    b.join(&for_b, JOIN).await.unwrap();
    deadline(world.until_links(&a, room, 1)).await;
    let before = [counters(&a).await, counters(&b).await];

    // Each one's call is held until the other has called too: the larger device does so after its patience.
    let mark = proxy.mark();
    proxy.hook(|frame| {
        let call = frame.sent().is_some_and(|(_, body)| body[0] == FIRST_KK);
        if call { Verdict::Drop } else { Verdict::Pass }
    });
    a.reset_link(room, b.device()).await.unwrap();
    let calls = [proxy.signal(mark, FIRST_KK, 0).await, proxy.signal(mark, FIRST_KK, 1).await];
    assert_eq!((calls[0].0, calls[0].1), (calls[1].1, calls[1].0), "each called the other");
    proxy.honest();
    for (from, to, body) in &calls {
        proxy.say_to(to, &signal(topic, *from, body));
    }
    for peer in [&a, &b] {
        deadline(world.until_links(peer, room, 1)).await;
    }
    a.insert(room, "main", None, "over the one that remains").await.unwrap();
    deadline(world.until_text(&b, room, "over the one that remains")).await;
    let after = [counters(&a).await, counters(&b).await];
    let made: u64 = (0..2).map(|n| after[n].connections_made - before[n].connections_made).sum();
    assert_eq!(made, 3, "two offers and the answer to the smaller device's");
    assert_eq!((linked(&a, room).await, linked(&b, room).await), (1, 1));
    deadline(async {
        for peer in [&a, &b] {
            support::until(peer, async || counters(peer).await.connections_alive == 1).await;
        }
    })
    .await;
}
