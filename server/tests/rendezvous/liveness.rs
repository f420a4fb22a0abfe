//! RV14: the dead and the idle.

use symbolon_core::signal::ServerMessage;
use tokio_tungstenite::tungstenite::Message;

use futures_util::StreamExt as _;

use crate::support::{Client, ServerProcess, topic, within};

#[tokio::test]
async fn rv14_a_dead_connection_is_found_and_its_room_told() {
    let server = ServerProcess::start(&["--ping-interval", "200ms", "--dead-after", "1s"]);
    let mut alive = Client::signed_in(&server).await;
    alive.enter(topic(1), b"").await;
    // Never read again: its pongs, which the library sends while reading, stop.
    let mut dead = Client::signed_in(&server).await;
    dead.enter(topic(1), b"").await;
    let session = dead.session();
    assert!(matches!(alive.next().await, Some(ServerMessage::Arrived { .. })));
    alive.expect(&ServerMessage::Left { topic: topic(1), session }).await;
    drop(dead);
}

#[tokio::test]
async fn rv14_the_server_pings_and_a_pong_keeps_a_silent_client_in() {
    let server = ServerProcess::start(&["--ping-interval", "100ms", "--dead-after", "400ms"]);
    let mut client = Client::signed_in(&server).await;
    client.enter(topic(1), b"").await;
    for _ in 0..15 {
        assert!(matches!(within(client.socket.next()).await, Some(Ok(Message::Ping(_)))));
    }
    assert_eq!(client.enter(topic(2), b"").await, []);
}

#[tokio::test]
async fn rv14_a_client_in_no_room_is_closed_after_a_while() {
    let server = ServerProcess::start(&["--ping-interval", "100ms", "--idle-after", "500ms"]);
    let mut idle = Client::signed_in(&server).await;
    let mut busy = Client::signed_in(&server).await;
    busy.enter(topic(1), b"").await;
    idle.expect_silent_close().await;
    assert_eq!(busy.enter(topic(2), b"").await, []);
}
