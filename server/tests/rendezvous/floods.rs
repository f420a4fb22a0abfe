//! RV5: floods, each against a server of its own: it goes on serving, and its memory stays bounded.

use std::net::Ipv4Addr;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use symbolon_core::signal::{Bytes, ClientMessage, RefusalCode, ServerMessage};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::support::{Client, ServerProcess, topic, within};

const MIB: usize = 1024 * 1024;

/// How much more memory a flood may take.
const MORE: usize = 24 * MIB;

/// A connection from another address than the honest ones.
async fn stranger(server: &ServerProcess) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::new(127, 0, 0, 66), 0).into()).unwrap();
    within(socket.connect(server.address().parse().unwrap())).await.unwrap()
}

#[tokio::test]
async fn rv5_an_address_that_connects_too_fast_is_turned_away_and_others_are_not() {
    let server = ServerProcess::start(&["--connection-rate", "1"]);
    let mut turned = 0;
    for _ in 0..200 {
        let mut stream = stranger(&server).await;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").await.ok();
        let mut answer = Vec::new();
        let _ = within(stream.read_to_end(&mut answer)).await;
        turned += usize::from(answer.is_empty());
    }
    // Sixteen at once, and a few that came a second later.
    assert!((100..=184).contains(&turned), "{turned} of 200");
    server.assert_alive().await;
}

#[tokio::test]
async fn rv5_connections_that_say_nothing_take_little_and_end() {
    let server = ServerProcess::start(&[]);
    server.assert_alive().await;
    let before = server.resident();
    let mut silent = Vec::new();
    for _ in 0..250 {
        silent.push(stranger(&server).await);
    }
    let mut dripping = Vec::new();
    for mut stream in silent.split_off(125) {
        stream.write_all(b"GET /ws HTTP/1.1\r\nX-Slow: ").await.unwrap();
        dripping.push(stream);
    }
    server.assert_alive().await;
    let grown = server.resident().saturating_sub(before);
    assert!(grown < MORE, "{grown} bytes more");
    // One byte at a time does not keep a head from being late.
    let ends = silent.into_iter().chain(dripping).map(|mut stream| async move {
        let mut byte = [0];
        loop {
            let _ = stream.write_all(b"a").await;
            let read = tokio::time::timeout(Duration::from_millis(300), stream.read(&mut byte)).await;
            if let Ok(Ok(0) | Err(_)) = read {
                return;
            }
        }
    });
    within(futures_util::future::join_all(ends)).await;
    server.assert_alive().await;
}

#[tokio::test]
async fn rv5_heads_of_a_mebibyte_are_refused() {
    let server = ServerProcess::start(&[]);
    server.assert_alive().await;
    let before = server.resident();
    for _ in 0..40 {
        let mut stream = stranger(&server).await;
        let _ = stream.write_all(b"GET /ws HTTP/1.1\r\nX-Large: ").await;
        let _ = stream.write_all(&vec![b'a'; MIB]).await;
        let mut answer = Vec::new();
        let _ = within(stream.read_to_end(&mut answer)).await;
        assert!(!answer.starts_with(b"HTTP/1.1 101"));
    }
    let grown = server.resident().saturating_sub(before);
    assert!(grown < MORE, "{grown} bytes more");
    server.assert_alive().await;
}

#[tokio::test]
async fn rv5_pings_without_end_are_answered_up_to_the_rate_and_no_further() {
    let server = ServerProcess::start(&["--message-rate", "20"]);
    let mut client = Client::signed_in(&server).await;
    for n in 0..150_u8 {
        client.send(Message::Ping(vec![n; 125].into())).await;
        match within(client.socket.next()).await {
            Some(Ok(Message::Pong(payload))) => assert_eq!(payload, vec![n; 125]),
            other => panic!("{other:?}"),
        }
    }
    for _ in 0..100 {
        let _ = client.socket.send(Message::Ping(vec![7; 125].into())).await;
    }
    while let Some(Ok(message)) = within(client.socket.next()).await {
        assert!(matches!(message, Message::Pong(_)), "{message:?}");
    }
    server.assert_alive().await;
}

#[tokio::test]
async fn rv5_messages_that_do_not_end_are_bounded_together() {
    let server = ServerProcess::start(&["--buffer-bytes", "2000000"]);
    let mut honest = Client::signed_in(&server).await;
    honest.enter(topic(1), b"").await;
    let before = server.resident();
    let mut held = Vec::new();
    let mut refused = 0;
    for _ in 0..100 {
        let mut client = Client::signed_in(&server).await;
        client
            .send(Message::Frame(Frame::message(vec![b' '; 89_000], OpCode::Data(Data::Text), false)))
            .await;
        client.send(Message::Ping(vec![].into())).await;
        match within(client.socket.next()).await {
            Some(Ok(Message::Pong(_))) => held.push(client),
            Some(Ok(Message::Text(text))) => {
                assert!(text.contains("rate_limited"), "{text}");
                refused += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(refused > 70 && held.len() > 10, "{} are held, {refused} refused", held.len());
    let grown = server.resident().saturating_sub(before);
    assert!(grown < MORE, "{grown} bytes more");
    // Who holds little is served as before.
    assert_eq!(honest.enter(topic(2), b"").await, []);
    drop(held);
    server.assert_alive().await;
}

#[tokio::test]
async fn rv5_who_announces_itself_again_and_again_is_refused_and_the_room_goes_on() {
    let server = ServerProcess::start(&["--enter-rate", "2"]);
    let mut one = Client::signed_in(&server).await;
    let mut loud = Client::signed_in(&server).await;
    one.enter(topic(1), b"").await;
    for _ in 0..40 {
        loud.say(&ClientMessage::Enter { topic: topic(1), announcement: Bytes(vec![1; 200]) }).await;
    }
    let mut entered = 0;
    let refusal = loop {
        match loud.next().await {
            Some(ServerMessage::Entered { .. }) => entered += 1,
            Some(ServerMessage::Error(refusal)) => break refusal,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((entered, refusal.code), (32, RefusalCode::RateLimited));
    server.assert_alive().await;
}

#[tokio::test]
async fn rv5_rooms_are_limited_in_total() {
    let server = ServerProcess::start(&["--rooms", "3"]);
    let mut one = Client::signed_in(&server).await;
    for room in 0..3 {
        one.enter(topic(room), b"").await;
    }
    let mut two = Client::signed_in(&server).await;
    two.enter(topic(1), b"").await;
    two.say(&ClientMessage::Enter { topic: topic(9), announcement: Bytes(vec![]) }).await;
    assert_eq!(two.expect_refusal().await.code, RefusalCode::Full);
    assert!(matches!(one.next().await, Some(ServerMessage::Arrived { .. })));
    assert!(matches!(one.next().await, Some(ServerMessage::Left { .. })));
    one.say(&ClientMessage::Leave { topic: topic(0) }).await;
    one.enter(topic(9), b"").await;
}
