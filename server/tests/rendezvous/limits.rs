//! RV5: limits, and what becomes of those who exceed them.

use std::time::Instant;

use symbolon_core::signal::{Bytes, ClientMessage, MAX_ANNOUNCEMENT, MAX_BODY, RefusalCode, ServerMessage};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::support::{Client, DEADLINE, ServerProcess, topic, within};

fn enter(room: u8, len: usize) -> ClientMessage {
    ClientMessage::Enter { topic: topic(room), announcement: Bytes(vec![0; len]) }
}

#[tokio::test]
async fn rv5_the_welcome_names_the_limits_and_they_hold() {
    let server = ServerProcess::start(&["--rooms-per-client", "3", "--clients-per-room", "2"]);
    let (mut client, limits) = Client::welcomed(&server).await;
    assert_eq!((limits.rooms, limits.clients_per_room), (3, 2));
    for room in 0..3 {
        client.enter(topic(room), b"").await;
    }
    client.say(&enter(3, 0)).await;
    client.expect_silent_close().await;

    let mut pair = [Client::signed_in(&server).await, Client::signed_in(&server).await];
    pair[0].enter(topic(9), b"").await;
    pair[1].enter(topic(9), b"").await;
    let mut third = Client::signed_in(&server).await;
    third.say(&enter(9, 0)).await;
    assert_eq!(third.expect_refusal().await.code, RefusalCode::Full);
    // Neither inside has heard of it.
    assert!(matches!(pair[0].next().await, Some(ServerMessage::Arrived { .. })));
    pair[1].say(&ClientMessage::Leave { topic: topic(9) }).await;
    assert!(matches!(pair[0].next().await, Some(ServerMessage::Left { .. })));
}

#[tokio::test]
async fn rv5_the_largest_sizes_pass_and_one_more_byte_does_not() {
    let server = ServerProcess::start(&[]);
    let mut one = Client::signed_in(&server).await;
    let mut two = Client::signed_in(&server).await;
    one.enter(topic(1), &[7; MAX_ANNOUNCEMENT]).await;
    assert_eq!(two.enter(topic(1), b"").await[0].1.len(), MAX_ANNOUNCEMENT);
    let signal =
        |len: usize| ClientMessage::Signal { topic: topic(1), to: two.session(), body: Bytes(vec![5; len]) };
    let (largest, too_large) = (signal(MAX_BODY), signal(MAX_BODY + 1));
    one.say(&largest).await;
    assert!(matches!(two.next().await, Some(ServerMessage::Signal { body, .. }) if body.0.len() == MAX_BODY));
    one.say(&too_large).await;
    one.next().await;
    one.expect_silent_close().await;
    two.next().await;
    two.say(&enter(2, MAX_ANNOUNCEMENT + 1)).await;
    two.expect_silent_close().await;
}

#[tokio::test]
async fn rv5_a_client_that_says_too_much_is_closed_without_a_word() {
    let server = ServerProcess::start(&["--message-rate", "5"]);
    let mut client = Client::signed_in(&server).await;
    for _ in 0..60 {
        client.send(Message::text(ClientMessage::Leave { topic: topic(1) }.encode())).await;
    }
    client.expect_silent_close().await;
    let mut client = Client::signed_in(&server).await;
    for _ in 0..60 {
        client.send(Message::Ping(vec![].into())).await;
    }
    client.expect_silent_close().await;
}

#[tokio::test]
async fn rv5_connections_are_limited_in_total_and_per_address() {
    for limit in ["--connections", "--connections-per-address"] {
        let server = ServerProcess::start(&[limit, "2"]);
        let first = Client::signed_in(&server).await;
        let _second = Client::signed_in(&server).await;
        let mut turned = within(TcpStream::connect(server.address())).await.unwrap();
        assert!(matches!(within(turned.read(&mut [0])).await, Ok(0) | Err(_)));
        drop(first);
        connect_when_let_in(&server).await;
    }
}

#[tokio::test]
async fn rv5_the_address_of_a_violator_waits_longer_each_time() {
    let server = ServerProcess::start_with(&["--key-file", "none"]);
    let mut waits = Vec::new();
    let mut client = Client::connect(&server).await;
    let not_utf8 = Frame::message(vec![0xff], OpCode::Data(Data::Text), true);
    for garbage in [Message::text("garbage"), Message::binary(vec![1]), Message::Frame(not_utf8)] {
        client.next().await;
        client.send(garbage).await;
        client.expect_silent_close().await;
        let since = Instant::now();
        assert!(Client::try_connect(&server).await.is_err(), "the address waits");
        client = connect_when_let_in(&server).await;
        waits.push(since.elapsed().as_secs_f64());
    }
    assert!(waits.windows(2).all(|pair| pair[1] > 1.4 * pair[0]), "{waits:?}");
    assert!((0.8..2.0).contains(&waits[0]), "the first wait is short: {waits:?}");
}

/// Tries again until the server lets it in; there is no event to wait for.
async fn connect_when_let_in(server: &ServerProcess) -> Client {
    let until = Instant::now() + DEADLINE;
    loop {
        if let Ok(client) = Client::try_connect(server).await {
            return client;
        }
        assert!(Instant::now() < until, "it should have been let in by now");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
