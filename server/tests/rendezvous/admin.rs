//! RV9: what the operator sees.

use symbolon_core::signal::{Bytes, ClientMessage, ServerMessage};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Client, ServerProcess, get, topic, within};

/// The value of a metric, with its labels.
fn value(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().unwrap()
}

#[tokio::test]
async fn rv9_metrics_tell_what_has_happened() {
    let mut server = ServerProcess::start(&["--admin-listen", "127.0.0.1:0"]);
    let admin = server.admin();
    let mut one = Client::signed_in(&server).await;
    let mut two = Client::signed_in(&server).await;
    one.enter(topic(1), b"").await;
    two.enter(topic(1), b"").await;
    one.next().await;
    for body in [vec![1; 10], vec![2; 20]] {
        one.say(&ClientMessage::Signal { topic: topic(1), to: two.session(), body: Bytes(body) }).await;
        two.next().await;
    }
    // Relayed to nobody is not relayed.
    one.say(&ClientMessage::Signal { topic: topic(1), to: one.session(), body: Bytes(vec![3; 40]) }).await;
    let mut bad = Client::connect(&server).await;
    bad.next().await;
    bad.send(Message::text("garbage")).await;
    bad.expect_silent_close().await;
    two.enter(topic(2), b"").await;

    let (status, text) = get(&admin, "/metrics").await;
    assert_eq!(status, 200);
    for (name, expected) in [
        ("symbolon_connections", 2.0),
        ("symbolon_sessions", 2.0),
        ("symbolon_rooms", 2.0),
        ("symbolon_relayed_messages_total", 2.0),
        ("symbolon_relayed_bytes_total", 30.0),
        ("symbolon_connections_accepted_total", 3.0),
        ("symbolon_closed_total{reason=\"violation\"}", 1.0),
        ("symbolon_closed_total{reason=\"gone\"}", 0.0),
        ("symbolon_turned_away_total{reason=\"banned\"}", 0.0),
        ("symbolon_sign_in_seconds_count", 2.0),
        ("symbolon_sign_in_seconds_bucket{le=\"+Inf\"}", 2.0),
        ("symbolon_draining", 0.0),
    ] {
        assert!((value(&text, name) - expected).abs() < 0.001, "{name} is not {expected} in\n{text}");
    }
    // Each line is a comment, or a name with labels and a number; each metric has a type before its values.
    let mut typed = std::collections::BTreeSet::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            assert!(typed.insert(rest.split(' ').next().unwrap()), "{line} comes twice");
        } else if !line.starts_with("# HELP ") {
            let (name, number) = line.rsplit_once(' ').unwrap();
            number.parse::<f64>().unwrap();
            let family = name.split('{').next().unwrap();
            let family = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| family.strip_suffix(end))
                .unwrap_or(family);
            assert!(typed.contains(family), "{line}");
        }
    }
    drop((one, two));
}

#[tokio::test]
async fn rv9_the_operators_page_shows_who_waits_and_asks_nobody_else_for_anything() {
    let mut server = ServerProcess::start_with(&["--key-file", "none", "--admin-listen", "127.0.0.1:0"]);
    let admin = server.admin();
    let (_, page) = get(&admin, "/").await;
    assert!(page.contains("<span class=\"good\">serving"), "{page}");
    assert_eq!(get(&server.address(), "/metrics").await.0, 404, "the main listener has none of this");
    let (mut honest, mut bad) = (Client::signed_in(&server).await, Client::connect(&server).await);
    bad.next().await;
    bad.send(Message::binary(vec![1])).await;
    bad.expect_silent_close().await;
    let (status, page) = get(&admin, "/").await;
    assert_eq!(status, 200);
    assert!(page.contains("<h2>Addresses that wait</h2><table><tr><td>127.0.0.1</td>"), "{page}");
    assert!(page.contains("<td>violation</td><td>1</td>"), "{page}");
    assert!(page.contains(&server.origin.to_string()), "{page}");
    for elsewhere in ["http://", "https://", "<script", "style=", "onclick"] {
        assert!(!page.contains(elsewhere), "{elsewhere} in\n{page}");
    }
    assert_eq!(get(&admin, "/style.css").await.0, 200);
    assert_eq!(get(&admin, "/ws").await.0, 404, "clients have no business here");
    let response = raw(&admin, "GET / HTTP/1.1").await;
    assert!(
        response.contains("content-security-policy: default-src 'none'; style-src 'self';"),
        "{response}"
    );
    assert!(raw(&admin, "POST / HTTP/1.1").await.starts_with("HTTP/1.1 405"), "it can only be read");
    honest.enter(topic(1), b"").await;
}

#[tokio::test]
async fn rv9_readiness_is_seen_at_the_operators_listener_while_it_drains() {
    let mut server = ServerProcess::start(&["--admin-listen", "127.0.0.1:0", "--drain", "1h"]);
    let admin = server.admin();
    let mut client = Client::signed_in(&server).await;
    assert_eq!(get(&admin, "/readyz").await, (200, "ready".to_owned()));
    server.signal("TERM");
    client.expect(&ServerMessage::Drain { drain_after: 3600 }).await;
    assert_eq!(get(&admin, "/readyz").await.0, 503);
    assert_eq!(get(&admin, "/healthz").await.0, 200);
    assert!((value(&get(&admin, "/metrics").await.1, "symbolon_draining") - 1.0).abs() < 0.1);
    assert!(get(&admin, "/").await.1.contains("draining"));
    drop(client);
    assert!(within(server.ended()).await);
}

async fn raw(address: &str, line: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = within(tokio::net::TcpStream::connect(address)).await.unwrap();
    stream.write_all(format!("{line}\r\nHost: here\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.unwrap();
    answer
}
