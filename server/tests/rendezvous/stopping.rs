//! RV9: how the server stops; health.

use std::time::{Duration, Instant};

use symbolon_core::signal::{Bytes, ClientMessage, RefusalCode, ServerMessage};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Client, ServerProcess, get, topic, within};

#[tokio::test]
async fn rv9_on_a_signal_clients_are_told_and_the_server_ends_in_time() {
    for signal in ["TERM", "INT"] {
        let server = ServerProcess::start(&["--drain", "1s"]);
        let mut inside = Client::signed_in(&server).await;
        inside.enter(topic(1), b"").await;
        let (mut early, _) = Client::challenged(&server).await;
        // One that neither reads nor answers must not hold it up.
        let mut deaf = Client::signed_in(&server).await;
        deaf.enter(topic(2), b"").await;
        let _half_open = TcpStream::connect(server.address()).await.unwrap();
        server.signal(signal);
        let since = Instant::now();
        if signal == "TERM" {
            inside.expect(&ServerMessage::Drain { drain_after: 1 }).await;
        }
        let (inside, early) = tokio::join!(inside.expect_refusal(), early.expect_refusal());
        assert_eq!([inside.code, early.code], [RefusalCode::ShuttingDown; 2]);
        assert!(server.ended().await);
        assert!(since.elapsed().as_secs() < 6);
        if signal == "TERM" {
            deaf.expect(&ServerMessage::Drain { drain_after: 1 }).await;
        }
        assert!(matches!(deaf.next().await, Some(ServerMessage::Error(_))));
    }
}

#[tokio::test]
async fn rv9_a_draining_server_is_not_ready_and_ends_when_all_have_gone() {
    let mut server = ServerProcess::start_heard(&["--drain", "1h"]);
    let mut one = Client::signed_in(&server).await;
    let mut two = Client::signed_in(&server).await;
    one.enter(topic(1), b"").await;
    two.enter(topic(1), b"").await;
    one.next().await;
    assert_eq!(get(&server.address(), "/readyz").await.0, 200);
    server.signal("TERM");
    one.expect(&ServerMessage::Drain { drain_after: 3600 }).await;
    two.expect(&ServerMessage::Drain { drain_after: 3600 }).await;
    assert_eq!(get(&server.address(), "/readyz").await.0, 503);
    assert_eq!(get(&server.address(), "/healthz").await.0, 200);
    // Those who are inside go on meanwhile, and whoever comes is told at once.
    one.say(&ClientMessage::Signal { topic: topic(1), to: two.session(), body: Bytes(vec![1]) }).await;
    two.expect(&ServerMessage::Signal { topic: topic(1), from: one.session(), body: Bytes(vec![1]) }).await;
    let (mut late, _) = Client::challenged(&server).await;
    assert_eq!(late.expect_refusal().await.code, RefusalCode::ShuttingDown);
    drop((one, two, late));
    server.logged("stopped").await;
    assert!(server.ended().await);
}

#[tokio::test]
async fn rv9_closes_are_spread_over_the_drain() {
    let server = ServerProcess::start(&["--drain", "2s"]);
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(Client::signed_in(&server).await);
    }
    server.signal("TERM");
    let mut closed = Vec::new();
    let waiting = clients.into_iter().map(|mut client| async move {
        client.expect(&ServerMessage::Drain { drain_after: 2 }).await;
        client.expect_refusal().await;
        Instant::now()
    });
    closed.extend(futures_util::future::join_all(waiting).await);
    closed.sort();
    let gaps = closed.windows(2).filter(|pair| pair[1] - pair[0] > Duration::from_millis(20)).count();
    assert!(gaps > 3, "they are not closed at once: {closed:?}");
    assert!(server.ended().await);
}

#[tokio::test]
async fn rv9_a_second_signal_ends_a_drain_at_once() {
    let server = ServerProcess::start(&["--drain", "1h"]);
    let mut client = Client::signed_in(&server).await;
    server.signal("TERM");
    client.expect(&ServerMessage::Drain { drain_after: 3600 }).await;
    server.signal("TERM");
    assert!(server.ended().await);
}

#[tokio::test]
async fn rv9_health_is_answered_over_http() {
    let server = ServerProcess::start(&[]);
    for (path, status, body) in
        [("/healthz", "200 OK", "ok"), ("/", "200 OK", "<html"), ("/nothing", "404 Not Found", "")]
    {
        let mut stream = within(TcpStream::connect(server.address())).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        within(stream.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        assert!(answer.contains(body), "{answer}");
    }
}

#[tokio::test]
async fn rv16_a_server_runs_inside_another_program() {
    let config = symbolon_server::Config { listen: ([127, 0, 0, 1], 0).into(), ..Default::default() };
    let server = symbolon_server::Server::bind(config).await.unwrap();
    let url = server.origins()[0].socket_url();
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    let challenge = within(futures_util::StreamExt::next(&mut socket)).await.unwrap().unwrap();
    let challenge = ServerMessage::decode(challenge.to_text().unwrap()).unwrap();
    assert!(matches!(challenge, ServerMessage::Challenge(challenge) if challenge.server_key == server.key()));
    let address = server.local_addr();
    within(server.shutdown()).await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}
