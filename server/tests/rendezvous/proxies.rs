//! RV6: clients behind a proxy are known by their own address, if the proxy is listed, and by no address they choose.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::{DEADLINE, ServerProcess, get_on, within};

const LISTED: &str = "127.0.0.3";
const UNLISTED: &str = "127.0.0.9";

async fn connect(server: &ServerProcess, from: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    let to: SocketAddr = server.address().parse().unwrap();
    within(socket.connect(to)).await.unwrap()
}

/// Asks for a WebSocket; the status, and the connection, which stays open.
async fn upgrade(mut stream: TcpStream, headers: &str) -> (Option<u16>, TcpStream) {
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n{headers}\r\n"
    );
    let _ = stream.write_all(request.as_bytes()).await;
    let mut start = [0; 12];
    let read = within(stream.read_exact(&mut start)).await;
    let status = read.ok().and_then(|_| std::str::from_utf8(&start[9..]).unwrap().parse().ok());
    (status, stream)
}

fn start(told_by: &str) -> ServerProcess {
    ServerProcess::start(&[
        "--trusted-proxies",
        LISTED,
        "--client-address",
        told_by,
        "--connections-per-address",
        "1",
    ])
}

#[tokio::test]
async fn rv6_seats_are_counted_by_the_address_a_listed_proxy_names() {
    for (told_by, header) in
        [("x-forwarded-for", "X-Forwarded-For: "), ("forwarded", "Forwarded: proto=https;for=")]
    {
        let server = start(told_by);
        let named = |address: &str| format!("{header}{address}\r\n");
        let (status, first) = upgrade(connect(&server, LISTED).await, &named("192.0.2.1")).await;
        assert_eq!(status, Some(101));
        assert_eq!(upgrade(connect(&server, LISTED).await, &named("192.0.2.1")).await.0, Some(503));
        // What stands before the proxy's own word was made up by the client.
        let forged = named("203.0.113.5, 192.0.2.1")
            .replace(", ", ", for=")
            .replace("For: 203.0.113.5, for=", "For: 203.0.113.5, ");
        assert_eq!(upgrade(connect(&server, LISTED).await, &forged).await.0, Some(503));
        let (status, _second) = upgrade(connect(&server, LISTED).await, &named("192.0.2.2")).await;
        assert_eq!(status, Some(101));
        drop(first);

        // One that is not listed is who it is, whatever it says.
        let (status, _own) = upgrade(connect(&server, UNLISTED).await, &named("192.0.2.7")).await;
        assert_eq!(status, Some(101));
        assert_eq!(
            upgrade(connect(&server, UNLISTED).await, &named("192.0.2.8")).await.0,
            None,
            "turned away"
        );
    }
}

#[tokio::test]
async fn rv6_the_proxy_protocol_is_read_from_listed_proxies_only() {
    let server = start("proxy-protocol");
    let said = |header: Vec<u8>, from: &'static str| {
        let server = &server;
        async move {
            let mut stream = connect(server, from).await;
            stream.write_all(&header).await.unwrap();
            upgrade(stream, "X-Forwarded-For: 192.0.2.99\r\n").await
        }
    };
    let text = |address: &str| format!("PROXY TCP4 {address} 127.0.0.1 4711 80\r\n").into_bytes();
    let mut binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f".to_vec();
    binary.extend([192, 0, 2, 2, 127, 0, 0, 1, 18, 103, 0, 80, 4, 0, 0]);

    let (status, _one) = said(text("192.0.2.1"), LISTED).await;
    assert_eq!(status, Some(101));
    let (status, _two) = said(binary.clone(), LISTED).await;
    assert_eq!(status, Some(101));
    assert_eq!(said(text("192.0.2.1"), LISTED).await.0, None, "its seat is taken");
    assert_eq!(said(binary, LISTED).await.0, None, "its seat is taken");
    assert_eq!(said(b"GET / HTTP/1.1\r\n".to_vec(), LISTED).await.0, None, "each connection begins with it");

    // From elsewhere it is no HTTP.
    let mut stream = connect(&server, UNLISTED).await;
    stream.write_all(&text("192.0.2.50")).await.unwrap();
    assert_eq!(get_on(stream, "/healthz", "").await.0, 400);
}

#[tokio::test]
async fn rv6_half_a_proxy_header_is_not_waited_for() {
    let config = symbolon_server::Config {
        listen: ([127, 0, 0, 1], 0).into(),
        handshake_within: Duration::from_millis(200),
        proxies: symbolon_server::proxy::Proxies {
            trusted: vec!["127.0.0.0/8".parse().unwrap()],
            told_by: symbolon_server::proxy::ClientAddress::ProxyProtocol,
        },
        ..Default::default()
    };
    let server = symbolon_server::Server::bind(config).await.unwrap();
    for said in ["", "PROXY TCP4 192.0.2.1", "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"] {
        let mut stream = within(TcpStream::connect(server.local_addr())).await.unwrap();
        stream.write_all(said.as_bytes()).await.unwrap();
        let closed = tokio::time::timeout(DEADLINE, stream.read(&mut [0; 10])).await.unwrap();
        assert!(matches!(closed, Ok(0) | Err(_)), "{said:?}");
    }
    within(server.shutdown()).await.unwrap();
}
