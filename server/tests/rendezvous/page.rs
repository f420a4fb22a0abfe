//! RV10: the page at `/`, over real sockets.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use symbolon_core::signal::ServerMessage;
use symbolon_server::{Config, Server};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::support::{Client, ServerProcess, topic, within};

const GUARDS: [&str; 6] = [
    "content-security-policy",
    "x-content-type-options",
    "referrer-policy",
    "permissions-policy",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
];

/// What came back.
#[derive(Debug)]
struct Got {
    status: u16,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

/// One connection, kept for further requests.
struct Browser(BufReader<TcpStream>);

impl Browser {
    async fn open(address: impl tokio::net::ToSocketAddrs) -> Self {
        Self(BufReader::new(within(TcpStream::connect(address)).await.unwrap()))
    }

    /// Sends the request line and headers, as they are, and reads one answer.
    async fn ask(&mut self, request: &str) -> Got {
        let head = format!("{request}\r\nHost: here\r\n\r\n");
        within(self.0.get_mut().write_all(head.as_bytes())).await.unwrap();
        within(self.answer(!request.starts_with("HEAD "))).await
    }

    async fn get(&mut self, path: &str) -> Got {
        self.ask(&format!("GET {path} HTTP/1.1")).await
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).await.unwrap();
        line.trim_end().to_owned()
    }

    async fn answer(&mut self, with_body: bool) -> Got {
        let status = self.line().await.split(' ').nth(1).expect("an answer").parse().unwrap();
        let mut headers = BTreeMap::new();
        loop {
            let line = self.line().await;
            let Some((name, value)) = line.split_once(": ") else { break };
            let before = headers.insert(name.to_ascii_lowercase(), value.to_owned());
            assert!(before.is_none(), "{name} stands twice");
        }
        let length = headers.get("content-length").map_or(0, |length: &String| length.parse().unwrap());
        let mut body = vec![0; if with_body { length } else { 0 }];
        self.0.read_exact(&mut body).await.unwrap();
        Got { status, headers, body }
    }
}

fn extension(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(_, extension)| extension)
}

/// One request over a connection of its own.
async fn ask(server: &ServerProcess, request: &str) -> Got {
    Browser::open(server.address()).await.ask(request).await
}

#[tokio::test]
async fn rv10_the_page_and_all_its_files_are_served_with_their_types() {
    let server = ServerProcess::start(&[]);
    let mut browser = Browser::open(server.address()).await;
    let root = browser.get("/").await;
    assert_eq!((root.status, root.headers["content-type"].as_str()), (200, "text/html; charset=utf-8"));
    assert!(root.body.starts_with(b"<!doctype html>") || root.body.starts_with(b"<!DOCTYPE html>"));
    // All over one connection.
    for path in symbolon_page::paths() {
        let got = browser.get(&path).await;
        let expected = symbolon_page::answer(&path, None, None);
        assert_eq!((got.status, got.body.as_slice()), (200, expected.body), "{path}");
        assert!(!got.body.is_empty(), "{path}");
        for (name, value) in &expected.headers {
            assert_eq!(got.headers[*name], *value, "{path}");
        }
        let kind = match extension(&path) {
            "html" => "text/html",
            "js" => "text/javascript",
            "css" => "text/css",
            "wasm" => "application/wasm",
            _ => "",
        };
        assert!(got.headers["content-type"].starts_with(kind), "{path}");
    }
}

#[tokio::test]
async fn rv10_what_can_be_compressed_is_sent_compressed() {
    let server = ServerProcess::start(&[]);
    let mut browser = Browser::open(server.address()).await;
    for path in symbolon_page::paths() {
        let plain = browser.get(&path).await;
        assert_eq!(plain.headers["vary"], "accept-encoding");
        assert!(!plain.headers.contains_key("content-encoding"));
        for accepted in ["br", "gzip"] {
            let got = browser.ask(&format!("GET {path} HTTP/1.1\r\nAccept-Encoding: {accepted}")).await;
            let Some(coding) = got.headers.get("content-encoding") else { continue };
            assert_eq!(coding, accepted);
            assert!(got.body.len() < plain.body.len(), "{path}");
            assert_ne!(got.headers["etag"], plain.headers["etag"]);
            assert_eq!(got.headers["content-type"], plain.headers["content-type"]);
        }
        let large = plain.body.len() > 4096 && extension(&path) != "png";
        if symbolon_page::BUILT && large {
            let both = browser.ask(&format!("GET {path} HTTP/1.1\r\nAccept-Encoding: gzip, br")).await;
            assert_eq!(both.headers.get("content-encoding").map(String::as_str), Some("br"), "{path}");
        }
    }
}

#[tokio::test]
async fn rv10_what_a_browser_has_is_not_sent_again() {
    let server = ServerProcess::start(&[]);
    let mut browser = Browser::open(server.address()).await;
    let first = browser.ask("GET / HTTP/1.1\r\nAccept-Encoding: br").await;
    assert_eq!(first.headers["cache-control"], "no-cache");
    let again = format!("GET / HTTP/1.1\r\nAccept-Encoding: br\r\nIf-None-Match: {}", first.headers["etag"]);
    let got = browser.ask(&again).await;
    assert_eq!((got.status, got.body.len()), (304, 0));
    assert_eq!(got.headers["etag"], first.headers["etag"]);
    // The connection goes on after an answer without a body.
    assert_eq!(browser.ask("GET / HTTP/1.1\r\nIf-None-Match: \"other\"").await.status, 200);
    for path in symbolon_page::paths() {
        let kept = browser.get(&path).await.headers["cache-control"].clone();
        let asked_after =
            path.starts_with("/index.") || path.starts_with("/sw.") || path.contains("manifest");
        assert_eq!(kept == "no-cache", asked_after || !kept.contains("immutable"), "{path}: {kept}");
        assert!(!asked_after || kept == "no-cache", "{path}: {kept}");
    }
    if symbolon_page::BUILT {
        assert!(symbolon_page::paths().any(|path| {
            let answer = symbolon_page::answer(&path, None, None);
            extension(&path) == "js" && answer.header("cache-control").unwrap().contains("immutable")
        }));
    }
}

#[tokio::test]
async fn rv10_every_answer_of_the_page_has_the_security_headers() {
    let server = ServerProcess::start(&[]);
    let mut browser = Browser::open(server.address()).await;
    let known = browser.get("/").await.headers["etag"].clone();
    for request in [
        "GET / HTTP/1.1".to_owned(),
        "HEAD / HTTP/1.1".to_owned(),
        "GET /nowhere HTTP/1.1".to_owned(),
        "GET /config.json HTTP/1.1".to_owned(),
        "DELETE / HTTP/1.1".to_owned(),
        format!("GET / HTTP/1.1\r\nIf-None-Match: {known}"),
    ] {
        let got = browser.ask(&request).await;
        for guard in GUARDS {
            assert!(got.headers.contains_key(guard), "{request}: {guard}: {got:?}");
        }
        let policy = &got.headers["content-security-policy"];
        assert!(policy.starts_with("default-src 'none'; script-src 'self' 'wasm-unsafe-eval';"), "{policy}");
        assert_eq!(got.headers["x-content-type-options"], "nosniff");
        assert!(!got.headers.contains_key("access-control-allow-origin"));
        assert!(!got.headers.contains_key("set-cookie"));
    }
}

#[tokio::test]
async fn rv10_the_page_learns_that_its_server_is_a_rendezvous() {
    let server = ServerProcess::start(&[]);
    let got = ask(&server, "GET /config.json HTTP/1.1").await;
    assert_eq!((got.status, got.body.as_slice()), (200, &br#"{"rendezvous":true}"#[..]));
    assert_eq!(got.headers["content-type"], "application/json");
    assert_eq!(got.headers["cache-control"], "no-store");
}

#[tokio::test]
async fn rv10_a_head_has_the_headers_of_a_get_and_no_body() {
    let server = ServerProcess::start(&[]);
    let mut browser = Browser::open(server.address()).await;
    for path in symbolon_page::paths().chain(["/".into(), "/config.json".into(), "/nowhere".into()]) {
        let accept = "HTTP/1.1\r\nAccept-Encoding: br, gzip";
        let mut get = browser.ask(&format!("GET {path} {accept}")).await;
        let mut head = browser.ask(&format!("HEAD {path} {accept}")).await;
        assert_eq!(head.status, get.status, "{path}");
        get.headers.remove("date");
        head.headers.remove("date");
        assert_eq!(head.headers, get.headers, "{path}");
    }
    // Nothing of a body is left in the connection.
    assert_eq!(browser.get("/healthz").await.body, b"ok");
}

#[tokio::test]
async fn rv10_only_paths_of_the_page_are_answered() {
    let server = ServerProcess::start(&[]);
    for path in [
        "/nowhere",
        "/index.html/",
        "/assets/",
        "//",
        "//etc/passwd",
        "/../../../../../etc/passwd",
        "/assets/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2f..%2fetc/passwd",
        "/..\\..\\etc\\passwd",
        "/index.html%00.js",
        "/server.key",
        "/.git/config",
    ] {
        let got = ask(&server, &format!("GET {path} HTTP/1.1")).await;
        // A path that is none may be refused before it is looked up.
        assert!(got.status == 404 || got.status == 400, "{path}: {got:?}");
        assert!(!String::from_utf8_lossy(&got.body).contains("root:"), "{path}");
    }
    for (path, status) in [("/?a=b", 200), ("/index.html?x", 200), ("/ws", 400), ("/healthz", 200)] {
        assert_eq!(ask(&server, &format!("GET {path} HTTP/1.1")).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn rv10_the_page_is_read_and_never_written() {
    let server = ServerProcess::start(&[]);
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"] {
        let got = ask(&server, &format!("{method} / HTTP/1.1")).await;
        assert_eq!((got.status, got.headers["allow"].as_str()), (405, "GET, HEAD"), "{method}");
    }
    let mut browser = Browser::open(server.address()).await;
    let with_body = "POST / HTTP/1.1\r\nContent-Length: 1000000000";
    assert_eq!(browser.ask(with_body).await.status, 405);
    server.assert_alive().await;
}

#[tokio::test]
async fn rv10_without_the_page_there_is_a_line_of_text() {
    let server = ServerProcess::start(&["--no-page"]);
    let got = ask(&server, "GET / HTTP/1.1").await;
    assert_eq!((got.status, got.headers["content-type"].as_str()), (200, "text/plain; charset=utf-8"));
    assert_eq!(got.body, b"A Symbolon rendezvous server. Clients connect to /ws.\n");
    for path in ["/index.html", "/config.json", "/sw.js"] {
        assert_eq!(ask(&server, &format!("GET {path} HTTP/1.1")).await.status, 404, "{path}");
    }
    assert_eq!(ask(&server, "GET /healthz HTTP/1.1").await.body, b"ok");
    server.assert_alive().await;
}

#[tokio::test]
async fn rv10_the_page_is_served_beside_connected_clients() {
    let server = ServerProcess::start(&[]);
    let mut inside = Client::signed_in(&server).await;
    inside.enter(topic(1), b"one").await;
    let mut browser = Browser::open(server.address()).await;
    assert_eq!(browser.get("/").await.status, 200);
    let mut second = Client::signed_in(&server).await;
    assert_eq!(second.enter(topic(1), b"two").await.len(), 1);
    assert!(matches!(inside.next().await, Some(ServerMessage::Arrived { .. })));
    assert_eq!(browser.get("/").await.status, 200);
    server.assert_alive().await;
}

#[tokio::test]
async fn rv10_pages_of_any_origin_reach_the_rendezvous() {
    let server = ServerProcess::start(&[]);
    for origin in [
        format!("http://{}", server.address()),
        "http://127.0.0.1:7601".to_owned(),
        "https://rooms.example.org".to_owned(),
        "null".to_owned(),
    ] {
        let mut request = server.origin.socket_url().into_client_request().unwrap();
        request.headers_mut().insert("origin", origin.parse().unwrap());
        let (mut socket, _) = within(tokio_tungstenite::connect_async(request)).await.unwrap();
        let first = within(socket.next()).await.unwrap().unwrap();
        let first = ServerMessage::decode(first.to_text().unwrap()).unwrap();
        assert!(matches!(first, ServerMessage::Challenge(_)), "{origin}: {first:?}");
    }
}

#[tokio::test]
async fn rv10_who_asks_and_does_not_read_loses_its_seat() {
    let config = Config {
        listen: ([127, 0, 0, 1], 0).into(),
        read_within: Duration::from_millis(200),
        connections: 2,
        ..Config::default()
    };
    let server = Server::bind(config).await.unwrap();
    let mut greedy = TcpStream::connect(server.local_addr()).await.unwrap();
    // As many requests as it takes to fill every buffer on the way.
    let ended = within(async {
        let requests = "GET / HTTP/1.1\r\nHost: here\r\n\r\n".repeat(100);
        while greedy.write_all(requests.as_bytes()).await.is_ok() {}
    });
    // Who reads meanwhile, however long, is served.
    let served = async {
        let mut browser = Browser::open(server.local_addr()).await;
        for _ in 0..5 {
            assert_eq!(browser.get("/").await.status, 200);
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
    };
    tokio::join!(ended, served);
    within(server.shutdown()).await.unwrap();
}
