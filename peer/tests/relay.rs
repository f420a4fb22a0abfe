//! Peers that are given no other way than the server's relay, on real sockets.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::pedantic)]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use support::{World, deadline, until};
use symbolon::Peer;
use symbolon_server::Config;
use symbolon_server::config::TlsFiles;
use symbolon_server::turn::{TurnConfig, TurnUse};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio_rustls::TlsConnector;

/// A relay on this machine, which may send to this machine: there is no other in a test.
fn relay() -> TurnConfig {
    TurnConfig { allow_private: vec!["127.0.0.0/8".parse().unwrap()], ..TurnConfig::default() }
}

fn used(world: &World) -> TurnUse {
    world.server.as_ref().unwrap().turn_use().unwrap()
}

async fn relayed_peer(world: &World, name: &str, roots: &[Vec<u8>]) -> Peer {
    let mut options = world.options(name);
    options.rtc.roots = roots.to_vec();
    options.rtc.relay_only = true;
    Peer::open_with(options).await.unwrap()
}

/// Two peers meet through the relay and through nothing else, and what one writes reaches the other.
async fn meet_through(turn: TurnConfig) {
    meet_in(World::with_relay(turn).await, Vec::new()).await;
}

async fn meet_in(world: World, roots: Vec<Vec<u8>>) {
    let a = relayed_peer(&world, "a", &roots).await;
    let room = a.create("plans", &[world.origin()]).await.unwrap();
    let b = relayed_peer(&world, "b", &roots).await;
    let ticket = support::ticket(&a, room).await;
    b.join(&ticket, support::JOIN).await.unwrap();
    let text = "through the relay ".repeat(5000);
    a.insert(room, "main", None, &text).await.unwrap();
    deadline(world.until_text(&b, room, &text)).await;
    assert!(used(&world).bytes > text.len() as u64, "{:?}", used(&world));

    // Whoever leaves gives its relays back.
    b.close().await;
    deadline(until(&a, async || support::linked(&a, room).await == 0)).await;
    a.close().await;
    deadline(async {
        while used(&world).allocations > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rv7_two_peers_with_nothing_but_the_relay_meet_over_udp() {
    meet_through(TurnConfig { udp: vec!["127.0.0.1:0".parse().unwrap()], ..relay() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rv7_two_peers_with_nothing_but_the_relay_meet_over_tcp() {
    meet_through(TurnConfig { tcp: vec!["127.0.0.1:0".parse().unwrap()], ..relay() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rv7_two_peers_with_nothing_but_the_relay_meet_over_tls() {
    let authority = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let files = tempfile::tempdir().unwrap();
    let (certificate, key) = (files.path().join("certificate"), files.path().join("key"));
    std::fs::write(&certificate, authority.cert.pem()).unwrap();
    std::fs::write(&key, authority.signing_key.serialize_pem()).unwrap();
    let tls = TlsFiles { certificate: Some(certificate), key: Some(key) };
    let turn = TurnConfig { tls: vec!["127.0.0.1:0".parse().unwrap()], ..relay() };
    let root = authority.cert.der().to_vec();
    // The peers' own connection goes through somebody who speaks TLS for them: they trust browsers' authorities alone.
    let front = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("ws://{}", front.local_addr().unwrap());
    let config =
        Config { tls, turn, origins: vec![origin.parse().unwrap()], ..support::config("127.0.0.1:0") };
    let world = World::with(config).await;
    tokio::spawn(speak_tls(front, world.server.as_ref().unwrap().local_addr(), root.clone()));
    meet_in(world, vec![root]).await;
}

async fn speak_tls(front: TcpListener, to: SocketAddr, root: Vec<u8>) {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(root)).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let tls = TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()));
    while let Ok((mut near, _)) = front.accept().await {
        let tls = tls.clone();
        tokio::spawn(async move {
            let far = TcpStream::connect(to).await.unwrap();
            let mut far = tls.connect("127.0.0.1".try_into().unwrap(), far).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
        });
    }
}

/// Killed when dropped.
struct Coturn(std::process::Child);

impl Drop for Coturn {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Debian's coturn with a secret, on a port that was free a moment ago; gives the port.
async fn coturn(secret: &str, folder: &std::path::Path) -> (Coturn, u16) {
    let program = ["/usr/bin/turnserver", "/usr/sbin/turnserver", "/usr/local/bin/turnserver"]
        .into_iter()
        .find(|path| std::path::Path::new(path).is_file())
        .expect("coturn is missing; on Debian: apt-get install coturn");
    let port = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let coturn = std::process::Command::new(program)
        .args(["-n", "--listening-ip", "127.0.0.1", "--relay-ip", "127.0.0.1", "--listening-port"])
        .arg(port.to_string())
        .args([
            "--use-auth-secret",
            "--static-auth-secret",
            secret,
            "--realm",
            "coturn",
            "--no-tls",
            "--no-dtls",
        ])
        .args([
            "--no-cli",
            "--allow-loopback-peers",
            "--log-file",
            "stdout",
            "--userdb",
            "none.sqlite",
            "--pidfile",
            "pid",
        ])
        .current_dir(folder)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .map(Coturn)
        .unwrap();
    // It is there once it answers a binding request.
    let asking = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let request = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12]].concat();
    deadline(async {
        loop {
            let _ = asking.send_to(&request, ("127.0.0.1", port)).await;
            let answer =
                tokio::time::timeout(Duration::from_millis(100), asking.recv_from(&mut [0; 500])).await;
            if matches!(answer, Ok(Ok(_))) {
                break;
            }
        }
    })
    .await;
    (coturn, port)
}

#[tokio::test(flavor = "multi_thread")]
async fn rv7_a_coturn_elsewhere_takes_the_credentials_of_this_server() {
    for transport in ["udp", "tcp"] {
        let folder = tempfile::tempdir().unwrap();
        let (_coturn, port) = coturn("north", folder.path()).await;
        let external = vec![format!("turn:127.0.0.1:{port}?transport={transport}")];
        let turn = TurnConfig { external, secret: Some("north".into()), ..TurnConfig::default() };
        let world = World::with_relay(turn).await;
        let a = relayed_peer(&world, "a", &[]).await;
        let room = a.create("plans", &[world.origin()]).await.unwrap();
        let b = relayed_peer(&world, "b", &[]).await;
        let ticket = support::ticket(&a, room).await;
        b.join(&ticket, support::JOIN).await.unwrap();
        a.insert(room, "main", None, "through coturn").await.unwrap();
        deadline(world.until_text(&b, room, "through coturn")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rv7_a_direct_way_is_preferred_to_the_relay() {
    let here = vec!["127.0.0.1:0".parse().unwrap()];
    let world = World::with_relay(TurnConfig { udp: here.clone(), tcp: here, ..relay() }).await;
    let a = world.peer("a").await;
    let room = a.create("plans", &[world.origin()]).await.unwrap();
    let b = world.joined("b", &a, room).await;
    let text = "not through the relay ".repeat(5000);
    a.insert(room, "main", None, &text).await.unwrap();
    deadline(world.until_text(&b, room, &text)).await;
    assert!(used(&world).bytes < 10_000, "{:?}", used(&world));
}
