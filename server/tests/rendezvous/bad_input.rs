//! RV5: whatever arrives, the one who sent it is closed, the others notice nothing, and memory stays bounded.

use symbolon_core::signal::{Bytes, ClientMessage, ServerMessage};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};

use crate::support::{Client, ServerProcess, topic, within};

const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn rv5_texts_that_are_no_messages_close_their_sender_only() {
    let server = ServerProcess::start(&[]);
    let topic_43 = topic(1).to_string();
    let texts = [
        String::new(),
        "null".into(),
        "{}".into(),
        "[".repeat(90_000),
        r#"{"a":"#.repeat(18_000),
        format!(r#"{{"type":"leave","topic":"{topic_43}","x":{}"#, "[".repeat(90_000)),
        format!(r#"{{"type":"enter","topic":"{topic_43}","announcement":"not base64!"}}"#),
        format!(r#"{{"type":"enter","topic":"{topic_43}","announcement":"AB=="}}"#),
        format!(r#"{{"type":"enter","topic":"{topic_43}","topic":"{topic_43}","announcement":""}}"#),
        r#"{"type":"enter","topic":"short","announcement":""}"#.into(),
        r#"{"type":"shout"}"#.into(),
        r#"{"type":"welcome","ice_servers":[]}"#.into(),
        format!(r#"{{"type":"leave","topic":"{topic_43}"}} trailing"#),
        "9".repeat(90_000),
        "\u{0}".into(),
    ];
    for text in texts {
        let mut client = Client::signed_in(&server).await;
        client.send(Message::text(text)).await;
        client.expect_silent_close().await;
    }
    server.assert_alive().await;
}

#[tokio::test]
async fn rv5_frames_that_are_no_text_close_their_sender_only() {
    let server = ServerProcess::start(&[]);
    let not_utf8 = Frame::message(vec![0xc3, 0x28, 0xff], OpCode::Data(Data::Text), true);
    let reserved = Frame::from_payload(
        FrameHeader { rsv1: true, opcode: OpCode::Data(Data::Text), ..FrameHeader::default() },
        vec![1].into(),
    );
    let continued = Frame::message(vec![1], OpCode::Data(Data::Continue), true);
    for message in [
        Message::binary(vec![1, 2, 3]),
        Message::Frame(not_utf8),
        Message::Frame(reserved),
        Message::Frame(continued),
    ] {
        let mut client = Client::signed_in(&server).await;
        client.send(message).await;
        client.expect_silent_close().await;
    }
    let mut unmasked = Client::signed_in(&server).await;
    unmasked.raw().write_all(b"\x81\x02hi").await.unwrap();
    unmasked.expect_silent_close().await;
    server.assert_alive().await;
}

#[tokio::test]
async fn rv5_a_frame_of_10_mb_is_refused_at_its_header() {
    let server = ServerProcess::start(&[]);
    server.assert_alive().await;
    let before = server.resident();
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = Client::signed_in(&server).await;
        let header = [&[0x81, 0x80 | 127][..], &(10 * MIB as u64).to_be_bytes(), &[0; 4]].concat();
        client.raw().write_all(&header).await.unwrap();
        client.expect_silent_close().await;
        clients.push(client);
    }
    for _ in 0..20 {
        let mut client = Client::signed_in(&server).await;
        client.send(Message::text("x".repeat(10 * MIB))).await;
        client.expect_silent_close().await;
    }
    let grown = server.resident().saturating_sub(before);
    assert!(grown < 8 * MIB, "{grown} bytes more");
    server.assert_alive().await;
}

#[tokio::test]
async fn rv5_a_message_in_many_fragments_is_bounded_as_a_whole() {
    let server = ServerProcess::start(&[]);
    let mut client = Client::signed_in(&server).await;
    client.send(Message::Frame(Frame::message(vec![b' '; 1000], OpCode::Data(Data::Text), false))).await;
    for _ in 0..200 {
        let part = Frame::message(vec![b' '; 1000], OpCode::Data(Data::Continue), false);
        client.send(Message::Frame(part)).await;
    }
    client.expect_silent_close().await;
    server.assert_alive().await;
}

#[tokio::test]
async fn rv5_a_slow_reader_is_closed_and_slows_nobody() {
    let server = ServerProcess::start(&["--message-rate", "100000", "--byte-rate", "1000000000"]);
    let mut slow = Client::signed_in(&server).await;
    let mut sender = Client::signed_in(&server).await;
    let mut reader = Client::signed_in(&server).await;
    for client in [&mut slow, &mut sender, &mut reader] {
        client.enter(topic(1), b"").await;
    }
    let before = server.resident();
    let to = |to: &Client| ClientMessage::Signal {
        topic: topic(1),
        to: to.session(),
        body: Bytes(vec![3; 60_000]),
    };
    let (to_slow, to_reader) = (to(&slow), to(&reader));
    let mut peak = before;
    let left = ServerMessage::Left { topic: topic(1), session: slow.session() };
    // Until the server gives the slow one up, the other gets every message at once.
    for round in 0..2000 {
        sender.say(&to_slow).await;
        sender.say(&to_reader).await;
        peak = peak.max(server.resident());
        match reader.next().await {
            Some(ServerMessage::Signal { .. }) => assert!(round < 1999, "the slow reader is never given up"),
            Some(message) => {
                assert_eq!(message, left);
                break;
            }
            None => panic!("the reader was closed"),
        }
    }
    assert!(peak - before < 16 * MIB, "{} bytes more", peak - before);
    server.assert_alive().await;
}

#[tokio::test]
async fn rv5_rooms_and_sessions_of_the_gone_cost_nothing() {
    let server = ServerProcess::start(&["--message-rate", "100000"]);
    let mut settled = 0;
    for round in 0..6 {
        let mut clients = Vec::new();
        for _ in 0..20 {
            clients.push(Client::signed_in(&server).await);
        }
        for client in &mut clients {
            for _ in 0..64 {
                let topic = symbolon_core::id::Topic::from_bytes(rand::random());
                client.enter(topic, &[0; 256]).await;
            }
        }
        if round == 1 {
            settled = server.resident();
        }
    }
    let grown = server.resident().saturating_sub(settled);
    assert!(grown < 4 * MIB, "{grown} bytes more");
}

#[tokio::test]
async fn rv5_half_open_and_dripping_connections_are_closed() {
    let server = ServerProcess::start(&[]);
    let mut silent = within(TcpStream::connect(server.address())).await.unwrap();
    let mut dripping = within(TcpStream::connect(server.address())).await.unwrap();
    let mut huge = within(TcpStream::connect(server.address())).await.unwrap();
    dripping.write_all(b"GET /ws HTTP/1.1\r\nHost: here\r\nX-").await.unwrap();
    let (silent, dripping) = tokio::join!(
        within(async {
            let mut rest = Vec::new();
            silent.read_to_end(&mut rest).await
        }),
        within(async {
            let (mut read, mut write) = dripping.split();
            let drip = async {
                while write.write_all(b"a").await.is_ok() {
                    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
                }
            };
            let mut rest = Vec::new();
            tokio::select! {
                end = read.read_to_end(&mut rest) => end,
                () = drip => Ok(0),
            }
        }),
    );
    assert!(silent.is_ok());
    let _ = dripping;
    let _ = huge.write_all(&vec![b'a'; MIB]).await;
    let mut answer = Vec::new();
    let _ = within(huge.read_to_end(&mut answer)).await;
    server.assert_alive().await;
}
