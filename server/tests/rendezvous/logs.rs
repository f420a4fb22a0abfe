//! RV9: what is logged, and what never is.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use symbolon_core::crypto::keys::SignKey;
use symbolon_core::signal::{Bytes, ClientMessage, ServerMessage};
use tokio::net::TcpSocket;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, client_async};

use crate::support::{Client, ServerProcess, topic, within};

const ADDRESSES: [&str; 3] = ["127.0.0.77", "127.0.0.78", "127.0.0.79"];
const BEHIND_PROXY: &str = "198.51.100.23";
const BODY: &[u8] = b"a body that nobody may read in a log";
const ANNOUNCEMENT: &[u8] = b"an announcement of somebody";
const GARBAGE: &str = "garbage-that-somebody-sends";

async fn connect(server: &ServerProcess, from: &str) -> Client {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    let stream = within(socket.connect(server.address().parse().unwrap())).await.unwrap();
    let mut request = server.origin.socket_url().into_client_request().unwrap();
    request.headers_mut().insert("x-forwarded-for", BEHIND_PROXY.parse().unwrap());
    let (socket, _) = within(client_async(request, MaybeTlsStream::Plain(stream))).await.unwrap();
    Client { socket, key: SignKey::from_secret(&rand::random()), origin: server.origin.clone() }
}

/// Everything that can happen to a server, and the secrets of those to whom it happened.
async fn full_run(format: &str) -> (Vec<String>, Vec<Vec<u8>>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("server.toml");
    std::fs::write(&file, "[limits]\nidle_after = \"5m\"\n").unwrap();
    let file = file.display().to_string();
    let mut server = ServerProcess::start_heard_with(&[
        "--key-file",
        "none",
        "--log",
        "trace",
        "--log-format",
        format,
        "--config",
        &file,
        "--trusted-proxies",
        ADDRESSES[2],
        "--drain",
        "1s",
    ]);
    let mut secrets = vec![topic(1).as_bytes().to_vec(), BODY.to_vec(), ANNOUNCEMENT.to_vec()];
    let mut clients = Vec::new();
    for address in ADDRESSES {
        let mut client = connect(&server, address).await;
        let Some(ServerMessage::Challenge(challenge)) = client.next().await else { panic!("a challenge") };
        let hello = client.hello(&challenge);
        secrets.extend([
            challenge.nonce.as_bytes().to_vec(),
            challenge.sig.0.as_bytes().to_vec(),
            challenge.server_key.as_bytes().to_vec(),
            hello.sig.0.as_bytes().to_vec(),
            client.session().as_bytes().to_vec(),
        ]);
        client.say(&ClientMessage::Hello(hello)).await;
        assert!(matches!(client.next().await, Some(ServerMessage::Welcome { .. })));
        client.enter(topic(1), ANNOUNCEMENT).await;
        clients.push(client);
    }
    let to = clients[1].session();
    clients[0].say(&ClientMessage::Signal { topic: topic(1), to, body: Bytes(BODY.to_vec()) }).await;
    loop {
        if let Some(ServerMessage::Signal { .. }) = clients[1].next().await {
            break;
        }
    }
    clients[0].say(&ClientMessage::Leave { topic: topic(1) }).await;
    clients[1].send(Message::text(GARBAGE)).await;
    while clients[1].next().await.is_some() {}
    server.logged("its address waits").await;
    // The address that waits is turned away.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{}:0", ADDRESSES[1]).parse().unwrap()).unwrap();
    let _ = within(socket.connect(server.address().parse().unwrap())).await;
    server.logged("turned away").await;
    std::fs::write(folder.path().join("server.toml"), "[limits]\nidle_after = \"6m\"\n").unwrap();
    server.signal("HUP");
    server.logged("read again").await;
    server.signal("TERM");
    for client in &mut clients {
        while client.next().await.is_some() {}
    }
    let lines = server.all_logs().await;
    assert!(server.ended().await);
    (lines, secrets)
}

#[tokio::test]
async fn rv9_a_full_run_logs_no_key_topic_session_address_or_body_at_any_level() {
    let (lines, secrets) = full_run("text").await;
    let all = lines.join("\n");
    assert!(lines.len() > 10 && all.contains("DEBUG"), "there is something to look at: {all}");
    for secret in secrets {
        let forms = [
            URL_SAFE_NO_PAD.encode(&secret),
            STANDARD.encode(&secret).trim_end_matches('=').to_owned(),
            String::from_utf8_lossy(&secret).into_owned(),
            format!("{secret:?}"),
            format!("{secret:02x?}"),
        ];
        for form in forms {
            assert!(!all.contains(&form), "{form} is in the log:\n{all}");
        }
    }
    for text in ADDRESSES.iter().chain(&[BEHIND_PROXY, GARBAGE]) {
        assert!(!all.contains(text), "{text} is in the log:\n{all}");
    }
}

#[tokio::test]
async fn rv9_logs_can_be_one_json_object_a_line() {
    let (lines, _) = full_run("json").await;
    for line in lines {
        let object: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
        for member in ["timestamp", "level", "target", "message"] {
            assert!(object[member].is_string(), "{line}");
        }
    }
}
