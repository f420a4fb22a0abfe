//! RV2, RV3, RV15: the challenge and its answer.

use symbolon_core::crypto::keys::SignKey;
use symbolon_core::origin::Origin;
use symbolon_core::signal::{Bytes, Challenge, ClientMessage, Hello, RefusalCode};
use tokio::io::AsyncReadExt as _;
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Client, ServerProcess, topic, unix_ms, within};

#[tokio::test]
async fn rv2_nothing_is_answered_before_sign_in() {
    let server = ServerProcess::start(&[]);
    let signal = ClientMessage::Signal {
        topic: topic(1),
        to: SignKey::from_secret(&[1; 32]).session(),
        body: Bytes(vec![]),
    };
    let early = [
        ClientMessage::Enter { topic: topic(1), announcement: Bytes(vec![]) }.encode(),
        ClientMessage::Leave { topic: topic(1) }.encode(),
        signal.encode(),
        "hello".into(),
    ];
    for text in early {
        let (mut client, _) = Client::challenged(&server).await;
        client.send(Message::text(text)).await;
        client.expect_silent_close().await;
    }
}

#[tokio::test]
async fn rv2_no_hello_in_time_is_closed_in_silence() {
    let server = ServerProcess::start(&[]);
    let started = std::time::Instant::now();
    let (mut client, _) = Client::challenged(&server).await;
    client.expect_silent_close().await;
    assert!((9..15).contains(&started.elapsed().as_secs()), "ten seconds, not {:?}", started.elapsed());
}

#[tokio::test]
async fn rv2_a_refused_client_gets_exactly_one_error_with_a_code_then_the_close() {
    type Answer = fn(&Client, &Challenge) -> Hello;
    let elsewhere = || "wss://elsewhere.example".parse::<Origin>().unwrap();
    let cases: [(RefusalCode, Answer); 5] = [
        (RefusalCode::WrongOrigin, |client, challenge| {
            Hello::sign(&client.key, challenge, 1, "wss://elsewhere.example".parse().unwrap(), unix_ms())
        }),
        (RefusalCode::ClockSkew, |client, challenge| {
            Hello::sign(&client.key, challenge, 1, client.origin.clone(), unix_ms() - 62_000)
        }),
        (RefusalCode::ClockSkew, |client, challenge| {
            Hello::sign(&client.key, challenge, 1, client.origin.clone(), unix_ms() + 62_000)
        }),
        (RefusalCode::BadSignature, |client, challenge| {
            let stranger = SignKey::from_secret(&[9; 32]);
            Hello { session: stranger.session(), ..client.hello(challenge) }
        }),
        (RefusalCode::UnsupportedVersion, |client, challenge| {
            Hello::sign(&client.key, challenge, 2, client.origin.clone(), unix_ms())
        }),
    ];
    let server = ServerProcess::start(&[]);
    for (code, answer) in cases {
        let (mut client, challenge) = Client::challenged(&server).await;
        client.say(&ClientMessage::Hello(answer(&client, &challenge))).await;
        // More on the way must neither be answered nor drown the error.
        client.say(&ClientMessage::Enter { topic: topic(1), announcement: Bytes(vec![0; 200]) }).await;
        let refusal = client.expect_refusal().await;
        assert_eq!(refusal.code, code);
        assert!(!refusal.message.contains(&elsewhere().to_string()), "nothing is echoed");
    }
    server.assert_alive().await;
}

#[tokio::test]
async fn rv2_a_refusal_is_not_overtaken_by_a_reset() {
    let server = ServerProcess::start(&[]);
    let (mut client, challenge) = Client::challenged(&server).await;
    client.say(&ClientMessage::Hello(Hello { version: 9, ..client.hello(&challenge) })).await;
    // Unread input on the server's side makes a careless close a reset.
    for _ in 0..100 {
        client.send(Message::text("x".repeat(4000))).await;
    }
    let mut rest = Vec::new();
    within(client.raw().read_to_end(&mut rest)).await.expect("an orderly end");
    assert!(String::from_utf8_lossy(&rest).contains("unsupported_version"));
}

#[tokio::test]
async fn rv2_a_hello_replayed_on_another_connection_is_refused() {
    let server = ServerProcess::start(&[]);
    let (mut first, challenge) = Client::challenged(&server).await;
    let hello = ClientMessage::Hello(first.hello(&challenge));
    let (mut second, _) = Client::challenged(&server).await;
    second.say(&hello).await;
    assert_eq!(second.expect_refusal().await.code, RefusalCode::BadSignature);
    first.say(&hello).await;
    assert!(first.next().await.is_some());
}

#[tokio::test]
async fn rv2_a_session_signs_in_once_at_a_time() {
    let server = ServerProcess::start(&[]);
    let mut first = Client::signed_in(&server).await;
    let (mut second, challenge) = Client::challenged(&server).await;
    second.key = first.key.clone();
    second.say(&ClientMessage::Hello(second.hello(&challenge))).await;
    assert_eq!(second.expect_refusal().await.code, RefusalCode::SessionInUse);
    assert_eq!(first.enter(topic(1), b"").await, []);
}

#[tokio::test]
async fn rv3_the_server_signs_its_challenge_with_a_lasting_key_and_its_addresses() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let options =
        ["--key-file", path.to_str().unwrap(), "--origin", "wss://rooms.example.org,ws://127.0.0.1:1"];
    let mut keys = Vec::new();
    let mut nonces = Vec::new();
    for _ in 0..2 {
        let server = ServerProcess::start_with(&options);
        let (_, challenge) = Client::challenged(&server).await;
        let origins: Vec<String> = challenge.origins.iter().map(ToString::to_string).collect();
        assert_eq!(origins, ["wss://rooms.example.org", "ws://127.0.0.1:1"]);
        let moved = Challenge { origins: vec![server.origin.clone()], ..challenge.clone() };
        assert!(moved.verify().is_err(), "the addresses are under the signature");
        assert!(challenge.time.abs_diff(unix_ms()) < 10_000);
        keys.push(challenge.server_key);
        nonces.push(challenge.nonce);
    }
    assert_eq!(keys[0], keys[1]);
    assert_ne!(nonces[0], nonces[1]);
}

#[tokio::test]
async fn rv15_an_unknown_version_gets_a_clear_error_naming_the_versions_served() {
    let server = ServerProcess::start(&[]);
    let (mut client, challenge) = Client::challenged(&server).await;
    assert_eq!(challenge.versions, [1]);
    // A later version may look quite different.
    client.send(Message::text(r#"{"type":"hello","version":7,"keys":{"session":"..."}}"#)).await;
    let refusal = client.expect_refusal().await;
    assert_eq!(refusal.code, RefusalCode::UnsupportedVersion);
    assert!(refusal.message.contains("version 1"), "{}", refusal.message);
}

#[tokio::test]
async fn rv15_fields_of_later_versions_are_ignored() {
    let server = ServerProcess::start(&[]);
    let mut client = Client::signed_in(&server).await;
    let enter = ClientMessage::Enter { topic: topic(1), announcement: Bytes(vec![]) }.encode();
    client.send(Message::text(enter.replacen('{', r#"{"later":{"a":[1,null]},"#, 1))).await;
    assert!(client.next().await.is_some());
}
