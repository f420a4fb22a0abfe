//! RV9: how the server stops; health.

use std::time::Instant;

use symbolon_core::signal::{RefusalCode, ServerMessage};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Client, ServerProcess, topic, within};

#[tokio::test]
async fn rv9_on_a_signal_clients_are_told_and_the_server_ends_in_time() {
    for signal in ["TERM", "INT"] {
        let server = ServerProcess::start(&[]);
        let mut inside = Client::signed_in(&server).await;
        inside.enter(topic(1), b"").await;
        let (mut early, _) = Client::challenged(&server).await;
        // One that neither reads nor answers must not hold it up.
        let mut deaf = Client::signed_in(&server).await;
        deaf.enter(topic(2), b"").await;
        let _half_open = TcpStream::connect(server.address()).await.unwrap();
        server.signal(signal);
        let since = Instant::now();
        let (inside, early) = tokio::join!(inside.expect_refusal(), early.expect_refusal());
        assert_eq!([inside.code, early.code], [RefusalCode::ShuttingDown; 2]);
        assert!(server.ended().await);
        assert!(since.elapsed().as_secs() < 5);
        assert!(matches!(deaf.next().await, Some(ServerMessage::Error(_))));
    }
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
