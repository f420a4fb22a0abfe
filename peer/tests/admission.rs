//! Who gets in and who does not, on real sockets and real WebRTC.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::pedantic)]

mod support;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use minicbor::Encoder;
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use support::client::Client;
use support::proxy::{Frame, PROOF, Verdict, signals};
use support::{
    FOR_ONE_LINK, JOIN, SHORT, World, code, counters, deadline, linked, session, ticket, unix_ms, until,
};
use symbolon::rtc::{Rtc, RtcEvent, Settings};
use symbolon::{InviteRequest, Peer, RoomId, Ticket};
use symbolon_core::admission::{announce, announce_nothing};
use symbolon_core::crypto::Rng;
use symbolon_core::crypto::keys::{BoxKey, BoxSecret, DeviceKeys, RoomSecret};
use symbolon_core::crypto::noise::{Initiator, Pattern};
use symbolon_core::id::SessionId;
use symbolon_core::link::{Kind, Signal, prologue};
use symbolon_core::record::{Author, Policy, Record};
use symbolon_core::signal::ServerMessage;

fn changed(ticket: &Ticket, change: impl FnOnce(&mut Ticket)) -> Ticket {
    let mut ticket = ticket.clone();
    change(&mut ticket);
    ticket
}

async fn short_lived(by: &Peer, room: RoomId) -> Ticket {
    let request = InviteRequest { expires: Duration::from_millis(300), ..InviteRequest::default() };
    by.invite(room, request).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn ad3_a_ticket_that_does_not_fit_gets_no_answer_and_no_connection() {
    let (world, proxy) = World::behind_proxy().await;
    let a = world.peer("a").await;
    let room = a.create("plans", &[world.origin()]).await.unwrap();
    let other_room = a.create("other", &[world.origin()]).await.unwrap();
    let used = ticket(&a, room).await;
    let b = world.peer("b").await;
    b.join(&used, JOIN).await.unwrap();
    let good = ticket(&a, room).await;
    let elsewhere = ticket(&a, other_room).await;
    let bound = InviteRequest { to: Some(b.device()), ..InviteRequest::default() };
    let bound = a.invite(room, bound).await.unwrap();
    let expired = short_lived(&a, room).await;
    // What arrives at b after the invites came over the same link: it knows them all.
    a.insert(room, "main", None, "here").await.unwrap();
    deadline(world.until_text(&b, room, "here")).await;
    while unix_ms() < expired.expires {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let members = [session(&a).await, session(&b).await];
    let before = (counters(&a).await, counters(&b).await);
    let mark = proxy.mark();

    let heard = [
        // Read by the members, and met with silence.
        ("a guessed seed", changed(&good, |ticket| ticket.seed = rand::random())),
        // As far as its holder knows, its end is far away.
        ("an expired one", changed(&expired, |ticket| ticket.expires = u64::MAX)),
        ("a used one", used.clone()),
        ("another device's", changed(&bound, |ticket| ticket.bound = None)),
        ("another room's", changed(&good, |ticket| ticket.room = other_room)),
        (
            "another room's invite",
            changed(&good, |ticket| (ticket.invite, ticket.seed) = (elsewhere.invite, elsewhere.seed)),
        ),
    ];
    let unheard = [
        ("a guessed secret", changed(&good, |ticket| ticket.secret = RoomSecret::from_bytes(rand::random()))),
        // Only a is in that other room.
        ("another room's secret", changed(&good, |ticket| ticket.secret = elsewhere.secret.clone())),
    ];
    let tries = heard.iter().chain(&unheard).enumerate().map(|(n, (what, ticket))| {
        let world = &world;
        async move {
            let joiner = world.peer(&format!("joiner{n}")).await;
            assert_eq!(code(joiner.join(ticket, SHORT).await), "nobody_answered", "{what}");
            assert_eq!(counters(&joiner).await.connections_made, 0, "{what}");
            joiner
        }
    });
    let joiners = join_all(tries).await;
    assert_eq!(joiners.len(), heard.len() + unheard.len());

    // A valid join through the same server shows that all of the above had its time.
    let c = world.peer("c").await;
    c.join(&good, JOIN).await.unwrap();
    deadline(world.until_links(&a, room, 2)).await;
    deadline(world.until_links(&b, room, 2)).await;
    let honest = [members[0], members[1], session(&c).await];
    let frames = proxy.frames();
    let told = |frame: &&Frame| {
        frame.got().is_some() && frame.session.is_none_or(|session| !honest.contains(&session))
    };
    assert_eq!(frames[mark..].iter().filter(told).count(), 0, "nobody else received a signal");
    let proofs = signals(&frames[mark..], PROOF).iter().filter(|(from, ..)| !honest.contains(from)).count();
    assert_eq!(proofs, heard.len() * members.len() + 1, "each of them did try");
    for (member, before, rejected) in [(&a, before.0, heard.len() + 1), (&b, before.1, heard.len())] {
        let after = counters(member).await;
        assert_eq!(after.proofs_rejected - before.proofs_rejected, rejected as u64);
        let made = after.connections_made - before.connections_made;
        assert!(FOR_ONE_LINK.contains(&made), "only that with c, not {made}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ad3_an_arrival_without_a_ticket_gets_nothing_whatever_it_sends() {
    let (world, proxy) = World::behind_proxy().await;
    let a = world.peer("a").await;
    let room = a.create("plans", &[world.origin()]).await.unwrap();
    proxy.until_entered().await;
    let for_b = ticket(&a, room).await;
    let topic = for_b.secret.topic();
    let mut stranger = Client::sign_in(&world.origin()).await;
    let mut rng = Rng::from_seed(rand::random());
    assert_eq!(stranger.enter(topic, announce_nothing(&mut rng)).await.len(), 1);
    let b = world.peer("b").await;
    b.join(&for_b, JOIN).await.unwrap();

    let mut bodies: Vec<Vec<u8>> = vec![Vec::new()];
    for kind in 0..=6u8 {
        for length in [0, 1, 7, 8, 9, 15, 16, 40, 48, 96, 200, 2000, 60_000] {
            bodies.push([&[kind][..], &(0..length).map(|_| rand::random()).collect::<Vec<u8>>()].concat());
        }
    }
    // And what others said in earnest, under its own name.
    bodies.extend(proxy.frames().iter().filter_map(Frame::sent).map(|(_, body)| body));
    let before = (counters(&a).await, counters(&b).await);
    let (to_a, to_b) = (session(&a).await, session(&b).await);
    let of_b_joining = signals(&proxy.frames(), PROOF)[0].0;
    let c = world.peer("c").await;
    let for_c = ticket(&a, room).await;
    let joining = c.join(&for_c, JOIN);
    let pestering = async {
        for (n, body) in bodies.iter().enumerate() {
            stranger.signal(topic, to_a, body.clone()).await;
            stranger.signal(topic, to_b, body.clone()).await;
            if n == 10 {
                // The newcomer, too, is told all of it while it joins.
                let there = proxy
                    .until(|frames| {
                        let known = [to_a, to_b, of_b_joining, stranger.session()];
                        signals(frames, PROOF).iter().map(|(from, ..)| *from).find(|s| !known.contains(s))
                    })
                    .await;
                for body in &bodies {
                    stranger.signal(topic, there, body.clone()).await;
                }
            }
        }
    };
    let (joined, ()) = tokio::join!(joining, pestering);
    joined.unwrap();
    for (peer, links) in [(&a, 2), (&b, 2), (&c, 2)] {
        deadline(world.until_links(peer, room, links)).await;
    }
    // Everything before this arrival was delivered before it.
    let mut last = Client::sign_in(&world.origin()).await;
    last.enter(topic, announce_nothing(&mut rng)).await;
    let session_of_last = last.session();
    stranger
        .read_until(|m| matches!(m, ServerMessage::Arrived { session, .. } if *session == session_of_last))
        .await;
    assert_eq!(stranger.signals(), Vec::<Vec<u8>>::new());
    let sent = proxy.frames();
    assert!(
        sent.iter().filter_map(Frame::sent).all(|(to, _)| to != stranger.session()),
        "nor were any sent to it"
    );
    for (member, before) in [(&a, before.0), (&b, before.1)] {
        let after = counters(member).await;
        assert!(after.proofs_rejected > before.proofs_rejected, "it was heard");
        let made = after.connections_made - before.connections_made;
        assert!(FOR_ONE_LINK.contains(&made), "only that with c, not {made}");
    }
    assert!((2..=4).contains(&counters(&c).await.connections_made), "with each of the two");
}

/// Everything in a JSON value that could be bytes in disguise, and the text itself.
fn views(text: &str) -> Vec<Vec<u8>> {
    fn strings(value: &serde_json::Value, out: &mut Vec<String>) {
        match value {
            serde_json::Value::String(text) => out.push(text.clone()),
            serde_json::Value::Array(values) => values.iter().for_each(|value| strings(value, out)),
            serde_json::Value::Object(map) => map.values().for_each(|value| strings(value, out)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    strings(&serde_json::from_str(text).unwrap(), &mut found);
    let mut out = vec![text.as_bytes().to_vec()];
    for text in found {
        out.extend(URL_SAFE_NO_PAD.decode(&text).ok());
        let hex = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        out.extend(text.as_bytes().chunks(2).map(hex).collect::<Option<Vec<u8>>>());
        out.push(text.into_bytes());
    }
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn ad5_the_server_sees_sessions_sizes_and_times_and_nothing_else() {
    let (world, proxy) = World::behind_proxy().await;
    let names = ["wilhelmina", "bartholomew", "clementine"];
    let a = world.peer(names[0]).await;
    let room = a.create("harvest-plans", &[world.origin()]).await.unwrap();
    a.insert(room, "main", None, "potatoes-in-may").await.unwrap();
    let first = ticket(&a, room).await;
    let b = world.peer(names[1]).await;
    b.join(&first, JOIN).await.unwrap();
    let second = ticket(&b, room).await;
    let c = world.peer(names[2]).await;
    c.join(&second, JOIN).await.unwrap();
    c.insert(room, "main", None, "; beans-in-june").await.unwrap();
    for peer in [&a, &b, &c] {
        deadline(world.until_links(peer, room, 2)).await;
        deadline(world.until_text(peer, room, "potatoes-in-may; beans-in-june")).await;
    }

    let base64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes).into_bytes();
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>().into_bytes();
    let mut secrets: Vec<(String, Vec<u8>)> = Vec::new();
    let mut add = |what: &str, bytes: &[u8]| {
        secrets.push((what.to_owned(), bytes.to_vec()));
        secrets.push((format!("{what}, base64url"), base64(bytes)));
        secrets.push((format!("{what}, hex"), hex(bytes)));
    };
    for (name, peer) in names.iter().zip([&a, &b, &c]) {
        let seed: [u8; 32] = std::fs::read(world.home(name).join("seed")).unwrap().try_into().unwrap();
        let keys = DeviceKeys::from_seed(&seed);
        assert_eq!(keys.id(), peer.device());
        add("device id", peer.device().as_bytes());
        add("box key", keys.box_secret.public().as_bytes());
        add("seed", &seed);
        add("name", name.as_bytes());
    }
    for ticket in [&first, &second] {
        add("invite id", ticket.invite.as_bytes());
        add("invite seed", &ticket.seed);
        add("invite key", &ticket.invite_key().public());
    }
    add("room id", room.as_bytes());
    add("room secret", first.secret.as_bytes());
    add("room name", b"harvest-plans");
    add("text", b"potatoes");
    add("text", b"beans-in");
    for sdp in ["a=fingerprint", "a=ice-ufrag", "a=candidate", "candidate:", "v=0\r\n", "webrtc-datachannel"]
    {
        add("SDP", sdp.as_bytes());
    }
    let address = b"127.0.0.1";
    let topic = *first.secret.topic().as_bytes();
    let (mut topics, mut bodies) = (0, 0);
    let frames = proxy.frames();
    for frame in &frames {
        // Peers and server name the server's own address when they greet each other; nothing else names any.
        let greeting = frame.text.contains("\"challenge\"") || frame.text.contains("\"hello\"");
        let contains = |view: &Vec<u8>, what: &[u8]| view.windows(what.len()).any(|window| window == what);
        bodies += usize::from(frame.sent().is_some());
        for view in views(&frame.text) {
            topics += usize::from(contains(&view, &topic));
            for (what, bytes) in &secrets {
                assert!(!contains(&view, bytes), "the server sees a {what} in {}", frame.text);
            }
            assert!(greeting || !contains(&view, address), "the server sees an address in {}", frame.text);
        }
    }
    assert!(bodies >= 6 && topics >= bodies, "the search looked where things would be: {bodies} {topics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ad2_a_bound_ticket_is_for_its_device_alone() {
    let world = World::new().await;
    let (a, b, c) = (world.peer("a").await, world.peer("b").await, world.peer("c").await);
    let room = a.create("plans", &[world.origin()]).await.unwrap();
    let bound = InviteRequest { to: Some(b.device()), ..InviteRequest::default() };
    let bound = a.invite(room, bound).await.unwrap();
    assert_eq!(code(c.join(&bound, SHORT).await), "not_for_this_device");
    let unbound = changed(&bound, |ticket| ticket.bound = None);
    assert_eq!(code(c.join(&unbound, SHORT).await), "nobody_answered");
    assert_eq!((counters(&a).await.connections_made, counters(&c).await.connections_made), (0, 0));
    b.join(&bound, JOIN).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn ad2_two_uses_admit_two_of_three_who_come_at_once() {
    let (world, proxy) = World::behind_proxy().await;
    let a = world.peer("a").await;
    let room = a.create("plans", &[world.origin()]).await.unwrap();
    proxy.until_entered().await;
    // Only a is asked: two members who each let somebody in at the same moment are another story (AD11).
    let asked = session(&a).await;
    proxy.hook(move |frame| match frame.sent() {
        Some((to, body)) if to != asked && body.first() == Some(&PROOF) => Verdict::Drop,
        _ => Verdict::Pass,
    });
    let two = a.invite(room, InviteRequest { uses: 2, ..InviteRequest::default() }).await.unwrap();
    let joiners = [world.peer("b").await, world.peer("c").await, world.peer("d").await];
    let results = join_all(joiners.iter().map(|joiner| joiner.join(&two, SHORT))).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 2, "{results:?}");
    proxy.honest();
    for (joiner, result) in joiners.iter().zip(&results) {
        if result.is_ok() {
            deadline(world.until_links(joiner, room, 2)).await;
        }
    }
    for (joiner, result) in joiners.iter().zip(results) {
        if result.is_err() {
            assert_eq!(code(result), "nobody_answered");
            assert_eq!(counters(joiner).await.connections_made, 0);
            // Nor later, when all of the mesh knows.
            assert_eq!(code(joiner.join(&two, SHORT).await), "nobody_answered");
        }
    }
    assert_eq!(a.members(room).await.unwrap().len(), 3);
    assert!((2..=4).contains(&counters(&a).await.connections_made), "with each of the two");
}

#[tokio::test(flavor = "multi_thread")]
async fn ad2_two_uses_admit_two_who_come_at_once_and_no_third() {
    let world = World::new().await;
    let a = world.peer("a").await;
    let room = a.create("plans", &[world.origin()]).await.unwrap();
    let two = a.invite(room, InviteRequest { uses: 2, ..InviteRequest::default() }).await.unwrap();
    let joiners = [world.peer("b").await, world.peer("c").await];
    for result in join_all(joiners.iter().map(|joiner| joiner.join(&two, JOIN))).await {
        result.unwrap();
    }
    // Linked with each other, so both have heard of both.
    for joiner in &joiners {
        deadline(world.until_links(joiner, room, 2)).await;
    }
    let d = world.peer("d").await;
    assert_eq!(code(d.join(&two, SHORT).await), "nobody_answered");
    assert_eq!(counters(&d).await.connections_made, 0);
    assert_eq!(a.members(room).await.unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn ad2_an_expired_ticket_is_refused_before_anybody_is_dialled() {
    let (world, proxy) = World::behind_proxy().await;
    let a = world.peer("a").await;
    let room = a.create("plans", &[world.origin()]).await.unwrap();
    let expired = short_lived(&a, room).await;
    while unix_ms() < expired.expires {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    support::until_signed_in(&a, true).await;
    let b = world.peer("b").await;
    let attempts = proxy.attempts();
    assert_eq!(code(b.join(&expired, SHORT).await), "expired");
    assert_eq!(proxy.attempts(), attempts);
    assert!(b.rooms().await.unwrap().is_empty());
}

/// Joins, writes, leaves, and comes back by the same ticket; `between` is what happens to the device meanwhile.
async fn comes_back(between: impl AsyncFn(&World, Peer) -> Peer) {
    let world = World::new().await;
    let a = world.peer("a").await;
    let room = a.create("plans", &[world.origin()]).await.unwrap();
    a.insert(room, "main", None, "one").await.unwrap();
    let for_b = ticket(&a, room).await;
    let b = world.peer("b").await;
    b.join(&for_b, JOIN).await.unwrap();
    b.insert(room, "main", None, " two").await.unwrap();
    deadline(world.until_text(&a, room, "one two")).await;
    b.leave(room).await.unwrap();
    assert!(b.rooms().await.unwrap().is_empty());
    deadline(world.until_links(&a, room, 0)).await;
    a.insert(room, "main", None, " three").await.unwrap();
    let b = between(&world, b).await;
    b.join(&for_b, JOIN).await.unwrap();
    assert_eq!(b.text(room, "main").await.unwrap(), "one two three");
    for word in [" four", " five"] {
        b.insert(room, "main", None, word).await.unwrap();
    }
    deadline(world.until_text(&a, room, "one two three four five")).await;
    assert_eq!(a.members(room).await.unwrap().len(), 2);
    assert_eq!(a.digest(room).await.unwrap(), b.digest(room).await.unwrap());
    // The ticket is no less used than before.
    let c = world.peer("c").await;
    assert_eq!(code(c.join(&for_b, SHORT).await), "nobody_answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn ad2_a_device_that_left_comes_back_by_its_ticket() {
    comes_back(async |_, b| b).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ad2_a_device_that_left_comes_back_by_its_ticket_after_a_restart() {
    comes_back(async |world, b| {
        b.close().await;
        world.peer("b").await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ad2_a_device_that_lost_its_store_comes_back_by_its_ticket() {
    comes_back(async |world, b| {
        b.close().await;
        std::fs::remove_file(world.home("b").join("store.redb")).unwrap();
        world.peer("b").await
    })
    .await;
}

/// What it wrote before it left is known to a member that is away when it comes back: it must not write under the
/// same numbers again, or that member would take it for a cheat.
#[tokio::test(flavor = "multi_thread")]
async fn ad2_a_device_that_comes_back_reuses_no_number_that_only_an_absent_member_has_seen() {
    let world = World::new().await;
    let a = world.peer("a").await;
    let room = a.create("plans", &[world.origin()]).await.unwrap();
    let b = world.joined("b", &a, room).await;
    let for_d = ticket(&a, room).await;
    let d = world.peer("d").await;
    d.join(&for_d, JOIN).await.unwrap();
    deadline(world.until_links(&b, room, 2)).await;
    a.close().await;
    d.insert(room, "main", None, "seen by b alone").await.unwrap();
    deadline(world.until_text(&b, room, "seen by b alone")).await;
    d.leave(room).await.unwrap();
    b.close().await;
    let a = world.peer("a").await;
    d.join(&for_d, JOIN).await.unwrap();
    d.insert(room, "main", None, "and then: ").await.unwrap();
    deadline(world.until_text(&a, room, "and then: ")).await;
    let b = world.peer("b").await;
    for peer in [&a, &b, &d] {
        deadline(until(peer, async || {
            let text = peer.text(room, "main").await.unwrap();
            text.contains("seen by b alone") && text.contains("and then: ")
        }))
        .await;
    }
    assert_eq!(a.digest(room).await.unwrap(), b.digest(room).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn ad4_any_member_admits_while_the_inviter_is_away() {
    let world = World::new().await;
    let a = world.peer("a").await;
    let room = a.create("plans", &[world.origin()]).await.unwrap();
    let b = world.joined("b", &a, room).await;
    let for_c = ticket(&a, room).await;
    // Comes over the same link after the invite.
    a.insert(room, "main", None, "hello").await.unwrap();
    deadline(world.until_text(&b, room, "hello")).await;
    a.close().await;
    let c = world.peer("c").await;
    c.join(&for_c, JOIN).await.unwrap();
    assert_eq!(c.text(room, "main").await.unwrap(), "hello");
    let members = b.members(room).await.unwrap();
    let entry = members.iter().find(|member| member.device == c.device()).unwrap();
    assert_eq!(entry.invited_by, Some(for_c.issuer));
    // The inviter hears of it when it is back, and lets nobody else in with that ticket.
    let a = world.peer("a").await;
    deadline(world.until_links(&a, room, 2)).await;
    deadline(until(&a, async || a.members(room).await.unwrap().len() == 3)).await;
    let d = world.peer("d").await;
    assert_eq!(code(d.join(&for_c, SHORT).await), "nobody_answered");
}

/// The membership records a closed home has stored.
fn stored_records(home: &std::path::Path, room: RoomId) -> Vec<Record> {
    const ENTRIES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("entries");
    let database = Database::open(home.join("store.redb")).unwrap();
    let prefix = [&symbolon_core::node::room_prefix(&room)[..], b"g"].concat();
    let read = database.begin_read().unwrap();
    let table = read.open_table(ENTRIES).unwrap();
    let entries = table.iter().unwrap().map(|entry| entry.unwrap());
    let mut out = Vec::new();
    for (key, value) in entries {
        if key.value().starts_with(&prefix) {
            // The store may keep a check sum behind what was given to it.
            let bytes = value.value();
            let record =
                (0..=bytes.len().min(40)).find_map(|cut| Record::decode(&bytes[..bytes.len() - cut]).ok());
            out.push(record.unwrap());
        }
    }
    out
}

/// Message 1 of Noise IK as a member would write it, by whoever has `own`.
fn first_ik(
    room: &RoomId,
    own: &BoxSecret,
    to: &BoxKey,
    sessions: (&SessionId, &SessionId),
    sdp: &str,
    records: &[Record],
) -> Vec<u8> {
    let mut payload = Vec::new();
    let mut cbor = Encoder::new(&mut payload);
    cbor.map(2).unwrap().u8(0).unwrap().str(sdp).unwrap().u8(1).unwrap().array(records.len() as u64).unwrap();
    for record in records {
        cbor.bytes(record.wire()).unwrap();
    }
    let tag: [u8; 8] = rand::random();
    let prologue = prologue(room, sessions.0, sessions.1, &tag);
    let mut rng = Rng::from_seed(rand::random());
    let (_, message) = Initiator::start(Pattern::Ik, own, to, &prologue, &payload, &mut rng).unwrap();
    Signal { kind: Kind::FirstIk, tag, payload: &message }.encode()
}

#[tokio::test(flavor = "multi_thread")]
async fn ad12_a_newcomer_refuses_who_cannot_show_a_chain() {
    let (world, proxy) = World::behind_proxy().await;
    let a = world.peer("a").await;
    let room = a.create("plans", &[world.origin()]).await.unwrap();
    let old = ticket(&a, room).await;
    let x = world.peer("x").await;
    x.join(&old, JOIN).await.unwrap();
    let fresh = ticket(&a, room).await;
    x.close().await;
    a.close().await;
    let a_seed: [u8; 32] = std::fs::read(world.home("a").join("seed")).unwrap().try_into().unwrap();
    let a_keys = DeviceKeys::from_seed(&a_seed);
    let records = stored_records(&world.home("a"), room);
    let genesis = records[0].clone();
    let invite = records.iter().find(|record| record.id() == fresh.invite).unwrap().clone();

    // Knows the room's secret from the old ticket, all records, and by whatever means the newcomer's box key; it
    // announces itself at the server as the member who issued the ticket.
    let mut rng = Rng::from_seed(rand::random());
    let forger = Author::new(DeviceKeys::from_seed(&[7; 32]), "a", "a's", 1).unwrap();
    let forged_genesis = forger.genesis("plans", Policy::default(), 1, &mut rng).unwrap();
    let forged_invite =
        forger.invite(room, vec![genesis.id()], 1, old.invite_key().public(), u64::MAX, 9, None).unwrap();
    let acceptance = forger.acceptance(room, forged_invite.id(), &old.invite_key()).unwrap();
    let signature = forger.countersignature(room, vec![forged_invite.id()], 1, acceptance.id()).unwrap();
    let own_chain = vec![genesis.clone(), forged_invite, acceptance, signature, invite.clone()];
    let genuine = vec![genesis.clone(), invite.clone()];
    let own = &forger.keys().box_secret;
    let topic = fresh.secret.topic();
    let rtc = Rtc::new(Settings { bind: Some(vec!["127.0.0.1".parse().unwrap()]), ..Settings::default() });
    let (_connection, mut events) = rtc.offer(Vec::new());
    let Some(RtcEvent::Description(sdp)) = deadline(events.recv()).await else { panic!("no offer") };

    let n = world.peer("n").await;
    let n_seed: [u8; 32] = std::fs::read(world.home("n").join("seed")).unwrap().try_into().unwrap();
    let n_box = DeviceKeys::from_seed(&n_seed).box_secret.public();
    let x_seed: [u8; 32] = std::fs::read(world.home("x").join("seed")).unwrap().try_into().unwrap();
    let x_keys = DeviceKeys::from_seed(&x_seed);
    // Even with a stolen signing key: the handshake needs the box key too.
    for announced in [&a_keys.sign, &forger.keys().sign, &x_keys.sign] {
        let mut fake = Client::sign_in(&world.origin()).await;
        let announcement = announce(&fresh.secret, &topic, &fake.session(), announced, &mut rng);
        fake.enter(topic, announcement).await;
        let mark = proxy.mark();
        let join = n.join(&fresh, SHORT);
        let play = async {
            let (newcomer, _, proof) = proxy.signal(mark, PROOF, 0).await;
            let sessions = (&fake.session(), &newcomer);
            let shown: [&[Record]; 6] = [
                &[],
                std::slice::from_ref(&genesis),
                &genuine,
                &records,
                &own_chain,
                &[forged_genesis.clone(), invite.clone()],
            ];
            for records in shown {
                fake.signal(topic, newcomer, first_ik(&room, own, &n_box, sessions, &sdp, records)).await;
            }
            // Its own proof, sent back.
            fake.signal(topic, newcomer, proof).await;
        };
        let (joined, ()) = tokio::join!(join, play);
        assert_eq!(code(joined), "nobody_answered");
        let to_fake = |frame: &Frame| frame.session == Some(fake.session()) && frame.got().is_some();
        let got: Vec<Vec<u8>> = proxy
            .frames()
            .iter()
            .filter(|frame| to_fake(frame))
            .map(|frame| frame.got().unwrap().1)
            .collect();
        assert!(got.len() == 1 && got[0][0] == PROOF, "it got the proof and no answer");
        assert_eq!(counters(&n).await.connections_made, 0);
    }

    // The same message by the member's own key is answered: it was the proof of membership that was missing.
    let mut fake = Client::sign_in(&world.origin()).await;
    fake.enter(topic, announce(&fresh.secret, &topic, &fake.session(), &a_keys.sign, &mut rng)).await;
    let mark = proxy.mark();
    let play = async {
        let (newcomer, ..) = proxy.signal(mark, PROOF, 0).await;
        let sessions = (&fake.session(), &newcomer);
        let body = first_ik(&room, &a_keys.box_secret, &n_box, sessions, &sdp, &genuine);
        fake.signal(topic, newcomer, body).await;
    };
    let (joined, ()) = tokio::join!(n.join(&fresh, SHORT), play);
    assert_eq!(code(joined), "no_connection");
    assert_eq!(counters(&n).await.connections_made, 1);
    drop(fake);

    let a = world.peer("a").await;
    n.join(&fresh, JOIN).await.unwrap();
    deadline(world.until_links(&a, room, 1)).await;
    assert_eq!(linked(&n, room).await, 1);
}
