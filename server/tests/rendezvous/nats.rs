//! RV8: the bus as operators run it: with TLS, with accounts, as several nodes.

use std::path::Path;
use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::FutureExt as _;
use nkeys::KeyPair;
use serde_json::json;
use symbolon_core::signal::{Bytes, ClientMessage, ServerMessage};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::bus::{Nats, arrived};
use crate::support::{Client, ServerProcess, get, topic, within};
use crate::tls::Authority;

/// A server of the cluster whose key is in this folder, with its log kept.
fn server(folder: &Path, options: &[&str]) -> ServerProcess {
    let key = folder.join("key");
    ServerProcess::start_heard_with(&[&["--no-bans", "--key-file", key.to_str().unwrap()], options].concat())
}

/// A server that does not start.
fn refuses_to_start(options: &[&str]) -> String {
    let Output { status, stderr, .. } = Command::new(env!("CARGO_BIN_EXE_symbolon-server"))
        .args(["--listen", "127.0.0.1:0", "--origin", "ws://here"])
        .args(options)
        .output()
        .unwrap();
    assert!(!status.success());
    String::from_utf8(stderr).unwrap()
}

/// Clients at two servers meet, and a signal passes.
async fn meet(one: &ServerProcess, two: &ServerProcess) -> [Client; 2] {
    let (mut a, mut b) = (Client::signed_in(one).await, Client::signed_in(two).await);
    a.enter(topic(1), b"a").await;
    b.enter_and_meet(topic(1), b"b", &[(&a, b"a")]).await;
    a.expect(&arrived(1, &b, b"b")).await;
    a.say(&signal(&b, b"x")).await;
    b.expect(&signalled(&a, b"x")).await;
    [a, b]
}

fn signal(to: &Client, body: &[u8]) -> ClientMessage {
    ClientMessage::Signal { topic: topic(1), to: to.session(), body: Bytes(body.to_vec()) }
}

fn signalled(from: &Client, body: &[u8]) -> ServerMessage {
    ServerMessage::Signal { topic: topic(1), from: from.session(), body: Bytes(body.to_vec()) }
}

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).display().to_string()
}

#[tokio::test]
async fn rv8_a_bus_with_tls_is_known_by_the_authority_that_is_named_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (own, other) = (folder.path().join("own"), folder.path().join("other"));
    Authority::new().write(&own);
    Authority::new().write(&other);
    let [certificate, key, ca] = ["fullchain.pem", "privkey.pem", "ca.pem"].map(|name| path(&own, name));
    let nats = Nats::with(&["--tls", "--tlscert", &certificate, "--tlskey", &key]).await;
    let url = format!("tls://{}", nats.address());
    let servers = [(); 2].map(|()| server(folder.path(), &["--nats", &url, "--nats-ca", &ca]));
    meet(&servers[0], &servers[1]).await;

    let foreign = path(&other, "ca.pem");
    // Whether the system has authorities of its own or not, it is none of them.
    let cases = [
        (&["--nats", &url, "--nats-ca", &foreign][..], "UnknownIssuer: name the authority"),
        (&["--nats", &url], ""),
    ];
    for (options, why) in cases {
        let mut server = server(folder.path(), options);
        let line = server.logged(&format!("the bus cannot be reached at {url}")).await;
        assert!(line.contains(why), "{line}");
        // It serves its own clients all the same.
        server.assert_alive().await;
    }

    let text =
        refuses_to_start(&["--key-file", &path(folder.path(), "key"), "--nats", &url, "--nats-ca", &key]);
    assert!(text.contains("privkey.pem for the connection to NATS: there is no certificate in it"), "{text}");
}

#[tokio::test]
async fn rv8_a_bus_that_wants_certificates_gets_the_servers() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path();
    Authority::new().write(own);
    let [certificate, key, ca] = ["fullchain.pem", "privkey.pem", "ca.pem"].map(|name| path(own, name));
    let options = ["--tlsverify", "--tlscert", &certificate, "--tlskey", &key, "--tlscacert", &ca];
    let nats = Nats::with(&options).await;
    let ours = ["--nats", &nats.url(), "--nats-ca", &ca];
    let shown = ["--nats-certificate", &certificate, "--nats-certificate-key", &key];
    let servers = [(); 2].map(|()| server(own, &[&ours[..], &shown].concat()));
    meet(&servers[0], &servers[1]).await;
    let line = server(own, &ours).logged("the bus cannot be reached").await;
    assert!(line.contains("alert"), "{line}");
}

#[tokio::test]
async fn rv8_whoever_sits_before_a_bus_with_tls_gets_no_plain_word_and_leads_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    Authority::new().write(folder.path());
    let [certificate, key, ca] =
        ["fullchain.pem", "privkey.pem", "ca.pem"].map(|name| path(folder.path(), name));
    let nats = Nats::with(&["--tls", "--tlscert", &certificate, "--tlskey", &key]).await;
    let (between, elsewhere) =
        (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let url = format!("nats://anna:s3cr3t@{}", between.local_addr().unwrap());
    let mut server = server(folder.path(), &["--nats", &url, "--nats-ca", &ca]);
    // What comes before TLS can be changed: here, that there is TLS at all, and where else the bus is.
    let elsewhere_too = elsewhere.local_addr().unwrap().to_string();
    let meddle = async |tls: bool| {
        let (near, _) = within(between.accept()).await.unwrap();
        let mut near = BufReader::new(near);
        let mut far = BufReader::new(within(TcpStream::connect(nats.address())).await.unwrap());
        let mut info = String::new();
        within(far.read_line(&mut info)).await.unwrap();
        let mut info: serde_json::Value = serde_json::from_str(info.strip_prefix("INFO ").unwrap()).unwrap();
        info["tls_required"] = tls.into();
        info["connect_urls"] = json!([elsewhere_too]);
        near.write_all(format!("INFO {info}\r\n").as_bytes()).await.unwrap();
        let begin = within(near.fill_buf()).await.unwrap()[0];
        assert_eq!(begin, 0x16, "a handshake");
        (near, far)
    };
    let (mut near, _) = meddle(false).await;
    near.write_all(b"-ERR 'Unknown Protocol Operation'\r\n").await.unwrap();
    drop(near);
    let line = server.logged("the bus cannot be reached").await;
    assert!(line.contains("it does not speak TLS"), "{line}");

    let (mut near, mut far) = meddle(true).await;
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => panic!("it ended"),
        _ = server.logged("connected to the bus") => {}
    }
    drop((near, far));
    for _ in 0..3 {
        drop(within(between.accept()).await.unwrap());
    }
    assert!(elsewhere.accept().now_or_never().is_none());
}

/// What NATS' own tool makes: an operator, an account of it, and users of the account.
struct Operator {
    key: KeyPair,
    account: KeyPair,
}

impl Operator {
    fn new() -> Self {
        Self { key: KeyPair::new_operator(), account: KeyPair::new_account() }
    }

    /// The part of a configuration that names the operator and has the account ready.
    fn config(&self) -> String {
        let operator = token(&self.key, &self.key, "operator", json!({}));
        let any = json!({ "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1 });
        let account = token(&self.key, &self.account, "account", json!({ "limits": any }));
        let id = self.account.public_key();
        format!("operator: {operator}\nresolver: MEMORY\nresolver_preload: {{ {id}: {account} }}\n")
    }

    /// A credentials file of a new user.
    fn credentials(&self) -> String {
        let user = KeyPair::new_user();
        let limits = json!({ "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1 });
        let user_token = token(&self.account, &user, "user", limits);
        let seed = user.seed().unwrap();
        format!(
            "-----BEGIN NATS USER JWT-----\n{user_token}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        )
    }
}

/// A JWT as NATS has them, version 2.
fn token(issuer: &KeyPair, subject: &KeyPair, kind: &str, mut about: serde_json::Value) -> String {
    about["type"] = kind.into();
    about["version"] = 2.into();
    let subject = subject.public_key();
    let claims = json!({ "jti": "x", "iat": 1, "iss": issuer.public_key(), "name": kind, "sub": subject, "nats": about });
    let header = json!({ "typ": "JWT", "alg": "ed25519-nkey" });
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let signed = format!("{header}.{claims}");
    let signature = URL_SAFE_NO_PAD.encode(issuer.sign(signed.as_bytes()).unwrap());
    format!("{signed}.{signature}")
}

#[tokio::test]
async fn rv8_a_bus_takes_the_credentials_of_its_account_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let (config, good, bad) = (
        path(folder.path(), "nats.conf"),
        path(folder.path(), "good.creds"),
        path(folder.path(), "bad.creds"),
    );
    let operator = Operator::new();
    std::fs::write(&config, operator.config()).unwrap();
    std::fs::write(&good, operator.credentials()).unwrap();
    std::fs::write(&bad, Operator::new().credentials()).unwrap();
    let nats = Nats::with(&["--config", &config]).await;
    let url = nats.url();
    let servers = [(); 2].map(|()| server(folder.path(), &["--nats", &url, "--nats-credentials", &good]));
    meet(&servers[0], &servers[1]).await;

    for options in [&["--nats", &url, "--nats-credentials", &bad][..], &["--nats", &url]] {
        let mut server = server(folder.path(), options);
        let line = server.logged(&format!("the bus cannot be reached at {url}")).await;
        assert!(line.contains("authorization violation: it does not take"), "{line}");
        server.assert_alive().await;
        server.signal("INT");
        // That it is tried again and again is not said again and again.
        server.logged("stopped").await;
        let said = server.all_logs().await;
        assert_eq!(said.iter().filter(|line| line.contains("violation")).count(), 1, "{said:#?}");
    }

    let text = refuses_to_start(&["--nats", &url, "--nats-credentials", &config]);
    assert!(text.contains("cannot use the NATS credentials"), "{text}");
}

#[tokio::test]
async fn rv8_a_bus_takes_a_token_from_its_address_and_one_user_is_the_user_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let nats = Nats::with(&["--auth", "t0k/en"]).await;
    let address = nats.address();
    let good = format!("nats://t0k%2Fen@{address}");
    let servers = [(); 2].map(|()| server(folder.path(), &["--nats", &good]));
    meet(&servers[0], &servers[1]).await;
    let mut wrong = server(folder.path(), &["--nats", &format!("nats://t0ken@{address}")]);
    let line = wrong.logged(&format!("the bus cannot be reached at nats://{address}")).await;
    assert!(line.contains("authorization violation: it does not take") && !line.contains("t0ken"), "{line}");

    let text = refuses_to_start(&["--nats", &format!("{good},nats://t0ken@{address}")]);
    assert!(text.contains("name different users") && !text.contains("t0k"), "{text}");
}

#[tokio::test]
async fn rv8_a_bus_that_passes_too_little_is_an_error_that_the_operator_sees() {
    let folder = tempfile::tempdir().unwrap();
    let config = path(folder.path(), "nats.conf");
    std::fs::write(&config, "max_payload: 65536\n").unwrap();
    let nats = Nats::with(&["--config", &config]).await;
    let servers =
        [(); 2].map(|()| server(folder.path(), &["--nats", &nats.url(), "--admin-listen", "127.0.0.1:0"]));
    for mut server in servers {
        let line = server.logged("the bus passes messages of 65536 bytes at most").await;
        assert!(line.contains("ERROR") && line.contains("`max_payload`"), "{line}");
        let page = get(&server.admin(), "/").await.1;
        assert!(page.contains("<td>too narrow: it loses what is over 64.0\u{a0}KiB</td>"), "{page}");
    }
}

#[tokio::test]
async fn rv8_a_server_whose_node_of_the_bus_dies_goes_on_at_another() {
    let folder = tempfile::tempdir().unwrap();
    let port = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let between = [port(), port(), port()];
    let shown = [port(), port(), port()].map(|port| format!("127.0.0.1:{port}"));
    let routes = between.map(|port| format!("nats://127.0.0.1:{port}")).join(",");
    let mut nodes = Vec::new();
    for (own, shown) in between.iter().zip(&shown) {
        let (own, at) = (format!("nats://127.0.0.1:{own}"), shown.rsplit(':').next().unwrap());
        nodes.push(
            Nats::with(&["--cluster", &own, "--cluster_name", "bus", "--routes", &routes, "--http_port", at])
                .await,
        );
    }
    let urls = nodes.iter().map(Nats::url).collect::<Vec<_>>().join(",");
    let mut first = server(folder.path(), &["--nats", &urls]);
    first.logged("connected to the bus").await;
    let mut at = None;
    for (place, shown) in shown.iter().enumerate() {
        let about: serde_json::Value = serde_json::from_str(&get(shown, "/connz").await.1).unwrap();
        let connections = about["connections"].as_array().unwrap();
        if connections.iter().any(|connection| connection["name"] == "symbolon-server") {
            assert_eq!(at.replace(place), None, "it is at one node");
        }
    }
    let mut second = server(folder.path(), &["--nats", &urls]);
    second.logged("another server of the cluster is there").await;
    let [mut a, mut b] = meet(&first, &second).await;

    nodes[at.expect("it is at a node")].kill();
    first.logged("connected to the bus").await;
    // The other may have been at the same node, and be on its way: what is sent before it has come is lost.
    for number in 0_u32.. {
        a.say(&signal(&b, &number.to_be_bytes())).await;
        if let Ok(message) = tokio::time::timeout(std::time::Duration::from_millis(100), b.next()).await {
            // The first that b hears of it all: nobody has left.
            assert!(matches!(message, Some(ServerMessage::Signal { from, .. }) if from == a.session()));
            break;
        }
        assert!(number < 200, "no signal passes");
    }
    b.say(&signal(&a, b"back")).await;
    a.expect(&signalled(&b, b"back")).await;
    let mut late = Client::signed_in(&second).await;
    assert!(late.enter(topic(1), b"late").await.iter().any(|(session, _)| *session == a.session()));
    a.expect(&arrived(1, &late, b"late")).await;
}
