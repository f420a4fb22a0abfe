//! RV1: rooms.

use symbolon_core::signal::{Bytes, ClientMessage, ServerMessage};

use crate::support::{Client, ServerProcess, topic};

fn arrived(room: u8, who: &Client, announcement: &[u8]) -> ServerMessage {
    let announcement = Bytes(announcement.to_vec());
    ServerMessage::Arrived { topic: topic(room), session: who.session(), announcement }
}

fn left(room: u8, who: &Client) -> ServerMessage {
    ServerMessage::Left { topic: topic(room), session: who.session() }
}

#[tokio::test]
async fn rv1_a_room_opens_with_its_first_client_and_all_are_told_who_comes_and_goes() {
    let server = ServerProcess::start(&[]);
    let mut a = Client::signed_in(&server).await;
    let mut b = Client::signed_in(&server).await;
    let mut c = Client::signed_in(&server).await;
    assert_eq!(a.enter(topic(1), b"a").await, []);
    assert_eq!(b.enter(topic(1), b"b").await, [(a.session(), b"a".to_vec())]);
    a.expect(&arrived(1, &b, b"b")).await;
    assert_eq!(c.enter(topic(1), b"c").await.len(), 2);
    a.expect(&arrived(1, &c, b"c")).await;
    b.expect(&arrived(1, &c, b"c")).await;

    b.say(&ClientMessage::Leave { topic: topic(1) }).await;
    a.expect(&left(1, &b)).await;
    c.expect(&left(1, &b)).await;
    let gone = left(1, &c);
    drop(c.socket);
    a.expect(&gone).await;
}

#[tokio::test]
async fn rv1_to_enter_again_is_to_announce_anew() {
    let server = ServerProcess::start(&[]);
    let mut a = Client::signed_in(&server).await;
    let mut b = Client::signed_in(&server).await;
    a.enter(topic(1), b"a").await;
    b.enter(topic(1), b"b").await;
    a.expect(&arrived(1, &b, b"b")).await;
    assert_eq!(b.enter(topic(1), b"b again").await, [(a.session(), b"a".to_vec())]);
    a.expect(&arrived(1, &b, b"b again")).await;
}

#[tokio::test]
async fn rv1_signals_go_only_between_clients_of_one_room() {
    let server = ServerProcess::start(&[]);
    let mut inside = Client::signed_in(&server).await;
    let mut other = Client::signed_in(&server).await;
    let mut outside = Client::signed_in(&server).await;
    inside.enter(topic(1), b"").await;
    other.enter(topic(1), b"").await;
    inside.expect(&arrived(1, &other, b"")).await;
    outside.enter(topic(2), b"").await;

    let signal =
        |room, to: &Client, body| ClientMessage::Signal { topic: topic(room), to: to.session(), body };
    outside.say(&signal(1, &inside, Bytes(vec![1]))).await;
    outside.say(&signal(2, &inside, Bytes(vec![2]))).await;
    inside.say(&signal(2, &outside, Bytes(vec![3]))).await;
    inside.say(&signal(1, &outside, Bytes(vec![4]))).await;
    // Each has an answer to something later: the server has dealt with all of the above.
    inside.enter(topic(3), b"").await;
    // What came after shows that nothing came before.
    outside.enter(topic(1), b"late").await;
    inside.expect(&arrived(1, &outside, b"late")).await;
    inside.say(&signal(1, &outside, Bytes(vec![5]))).await;
    let from = inside.session();
    outside.expect(&ServerMessage::Signal { topic: topic(1), from, body: Bytes(vec![5]) }).await;
    other.expect(&arrived(1, &outside, b"late")).await;
}

#[tokio::test]
async fn rv1_an_empty_room_disappears() {
    let server = ServerProcess::start(&["--clients-per-room", "1", "--rooms-per-client", "1"]);
    for round in 0..100 {
        let mut client = Client::signed_in(&server).await;
        for room in 0..50 {
            assert_eq!(client.enter(topic(room), &[round]).await, []);
            client.say(&ClientMessage::Leave { topic: topic(room) }).await;
        }
    }
}

#[tokio::test]
async fn rv1_all_members_hear_of_comings_and_goings_in_one_order() {
    let server = ServerProcess::start(&[]);
    let mut watchers = [Client::signed_in(&server).await, Client::signed_in(&server).await];
    watchers[0].enter(topic(1), b"").await;
    watchers[1].enter(topic(1), b"").await;
    watchers[0].expect(&arrived(1, &watchers[1], b"")).await;
    let mut walkers = Vec::new();
    for _ in 0..8 {
        let mut walker = Client::signed_in(&server).await;
        walkers.push(tokio::spawn(async move {
            for _ in 0..20 {
                walker.say(&ClientMessage::Enter { topic: topic(1), announcement: Bytes(vec![]) }).await;
                walker.say(&ClientMessage::Leave { topic: topic(1) }).await;
            }
            // Reading one's own last entry shows that the server has done all of it.
            let mut entered = 0;
            while entered < 20 {
                entered += u32::from(matches!(walker.next().await, Some(ServerMessage::Entered { .. })));
            }
            walker
        }));
    }
    let mut heard = [Vec::new(), Vec::new()];
    for (watcher, heard) in watchers.iter_mut().zip(&mut heard) {
        for _ in 0..8 * 20 * 2 {
            heard.push(watcher.next().await.unwrap());
        }
    }
    assert_eq!(heard[0], heard[1]);
    for walker in walkers {
        walker.await.unwrap();
    }
}
