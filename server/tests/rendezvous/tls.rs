//! RV6: TLS inside the server.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use symbolon_core::signal::{Bytes, ClientMessage, ServerMessage};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::{Connector, connect_async_tls_with_config};

use crate::support::{Client, DEADLINE, ServerProcess, get, topic, within};

/// An authority, and a certificate of it for this machine.
pub(crate) struct Authority {
    root: CertificateDer<'static>,
    root_pem: String,
    certificate: String,
    key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let name = format!("authority {:016x}", rand::random::<u64>());
        params.distinguished_name.push(DnType::CommonName, name);
        let root_key = KeyPair::generate().unwrap();
        let root = params.self_signed(&root_key).unwrap();
        let issuer = Issuer::new(params, root_key);
        let key = KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
        let (root, root_pem) = (root.der().clone(), root.pem());
        Self { root, root_pem, certificate: leaf.pem(), key: key.serialize_pem() }
    }

    pub(crate) fn write(&self, folder: &Path) {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("fullchain.pem"), &self.certificate).unwrap();
        std::fs::write(folder.join("privkey.pem"), &self.key).unwrap();
        std::fs::write(folder.join("ca.pem"), &self.root_pem).unwrap();
    }

    /// A client that believes this authority and nobody else.
    fn client(&self) -> Connector {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        Connector::Rustls(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
    }

    /// Signed in by way of TLS; nothing if the certificate is another authority's.
    async fn signed_in(&self, server: &ServerProcess) -> Option<Client> {
        let connecting =
            connect_async_tls_with_config(server.origin.socket_url(), None, true, Some(self.client()));
        let (socket, _) = within(connecting).await.ok()?;
        let key = symbolon_core::crypto::keys::SignKey::from_secret(&rand::random());
        let mut client = Client { socket, key, origin: server.origin.clone() };
        let Some(ServerMessage::Challenge(challenge)) = client.next().await else {
            panic!("the challenge comes first")
        };
        assert!(challenge.origins.contains(&client.origin));
        client.say(&ClientMessage::Hello(client.hello(&challenge))).await;
        assert!(matches!(client.next().await, Some(ServerMessage::Welcome { .. })));
        Some(client)
    }
}

/// As certbot and Kubernetes do it: files named by links, and a link that is swapped.
fn put(folder: &Path, generation: &str, authority: &Authority) {
    authority.write(&folder.join(generation));
    let new = folder.join("new");
    std::os::unix::fs::symlink(generation, &new).unwrap();
    std::fs::rename(&new, folder.join("live")).unwrap();
}

fn options(folder: &Path) -> [String; 4] {
    let path = |name: &str| folder.join("live").join(name).display().to_string();
    ["--tls-certificate".into(), path("fullchain.pem"), "--tls-key".into(), path("privkey.pem")]
}

#[tokio::test]
async fn rv6_a_certificate_is_replaced_while_connections_stay_up() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second, third] = [(); 3].map(|()| Authority::new());
    put(folder.path(), "1", &first);
    let options = options(folder.path());
    let mut server = ServerProcess::start_heard(&options.each_ref().map(String::as_str));
    assert!(server.origin.secure());
    let mut one = first.signed_in(&server).await.unwrap();
    let mut two = first.signed_in(&server).await.unwrap();
    one.enter(topic(1), b"").await;
    two.enter(topic(1), b"").await;
    one.next().await;

    // Signals go to and fro all the time, and none is lost.
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let traffic = tokio::spawn(async move {
        let mut rounds = 0_u32;
        while stopped.try_recv().is_err() {
            for (from, to) in [(0, 1), (1, 0)] {
                let pair = [&mut one, &mut two];
                let body = Bytes(rounds.to_be_bytes().to_vec());
                let (sender, receiver) = (pair[from].session(), pair[to].session());
                pair[from]
                    .say(&ClientMessage::Signal { topic: topic(1), to: receiver, body: body.clone() })
                    .await;
                pair[to].expect(&ServerMessage::Signal { topic: topic(1), from: sender, body }).await;
            }
            rounds += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        rounds
    });

    // The files are watched.
    put(folder.path(), "2", &second);
    server.logged("shown the new certificate").await;
    assert!(second.signed_in(&server).await.is_some());
    assert!(first.signed_in(&server).await.is_none());

    // One that cannot be used changes nothing, whether it is no certificate or has another's key.
    std::fs::write(folder.path().join("2/fullchain.pem"), "-----BEGIN CERTIFICATE-----\n").unwrap();
    server.logged("the old certificate stays").await;
    std::fs::write(folder.path().join("2/fullchain.pem"), &third.certificate).unwrap();
    server.signal("HUP");
    server.logged("the old certificate stays").await;
    assert!(second.signed_in(&server).await.is_some());

    // A signal is quicker than the watch.
    put(folder.path(), "3", &third);
    server.signal("HUP");
    server.logged("shown the new certificate").await;
    assert!(third.signed_in(&server).await.is_some());

    stop.send(()).unwrap();
    assert!(within(traffic).await.unwrap() > 10);
}

#[tokio::test]
async fn rv6_who_speaks_plainly_to_the_tls_port_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "1", &Authority::new());
    let server = ServerProcess::start(&options(folder.path()).each_ref().map(String::as_str));
    let (status, body) = get(&server.address(), "/").await;
    assert_eq!(status, 400);
    assert!(body.contains("https://"), "{body}");
    let mut stream = within(TcpStream::connect(server.address())).await.unwrap();
    stream.write_all(&[0xff; 100]).await.unwrap();
    assert!(within(stream.read_to_end(&mut Vec::new())).await.is_ok_and(|read| read < 100), "closed");
    let health = tokio::task::spawn_blocking({
        let (address, options) = (server.address(), options(folder.path()));
        move || {
            std::process::Command::new(env!("CARGO_BIN_EXE_symbolon-server"))
                .args(["health", "--listen", &address])
                .args(options)
                .status()
        }
    });
    assert!(within(health).await.unwrap().unwrap().success(), "the health check speaks TLS");
}

#[tokio::test]
async fn rv6_a_handshake_that_does_not_go_on_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "1", &Authority::new());
    let config = symbolon_server::Config {
        listen: ([127, 0, 0, 1], 0).into(),
        handshake_within: Duration::from_millis(200),
        tls: symbolon_server::config::TlsFiles {
            certificate: Some(folder.path().join("live/fullchain.pem")),
            key: Some(folder.path().join("live/privkey.pem")),
        },
        ..Default::default()
    };
    let server = symbolon_server::Server::bind(config).await.unwrap();
    // One says nothing, one half of a first message.
    for said in [&[][..], &[22, 3, 1, 2, 0, 1, 0]] {
        let mut stream = within(TcpStream::connect(server.local_addr())).await.unwrap();
        stream.write_all(said).await.unwrap();
        let closed = tokio::time::timeout(DEADLINE, stream.read(&mut [0; 10])).await.unwrap();
        assert!(matches!(closed, Ok(0) | Err(_)));
    }
    within(server.shutdown()).await.unwrap();
}

#[tokio::test]
async fn rv6_a_page_and_a_socket_come_by_tls() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    put(folder.path(), "1", &authority);
    let server = ServerProcess::start(&options(folder.path()).each_ref().map(String::as_str));
    let Connector::Rustls(config) = authority.client() else { panic!("TLS") };
    let mut config = ClientConfig::clone(&config);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let stream = within(TcpStream::connect(server.address())).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = within(connector.connect("localhost".try_into().unwrap(), stream)).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert_eq!(crate::support::get_on(stream, "/healthz", "").await, (200, "ok".to_owned()));
    let mut client = authority.signed_in(&server).await.unwrap();
    client.enter(topic(1), b"").await;
    let _ = client.socket.close(None).await;
    while within(client.socket.next()).await.is_some() {}
}
