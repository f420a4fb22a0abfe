//! RV6: agents meet at a server that speaks TLS with a certificate of its operator's own authority.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "support/programs.rs"]
mod programs;

use programs::{Homes, Rendezvous};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use symbolon_server::config::{Config, TlsFiles};

#[test]
fn rv6_agents_meet_through_tls_if_they_are_told_whom_to_believe() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_key = KeyPair::generate().unwrap();
    let root = params.self_signed(&root_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &Issuer::new(params, root_key)).unwrap();
    std::fs::write(file("ca.pem"), root.pem()).unwrap();
    std::fs::write(file("cert.pem"), leaf.pem()).unwrap();
    std::fs::write(file("key.pem"), key.serialize_pem()).unwrap();
    let tls = TlsFiles { certificate: Some(file("cert.pem")), key: Some(file("key.pem")) };
    let server = Rendezvous::start_with(Config { tls, ..Config::default() });
    assert!(server.url.starts_with("wss://"));

    let homes = Homes::new();
    let ca = file("ca.pem").display().to_string();
    homes.run("ada", &["--ca-file", &ca, "create", "notes", "--server", &server.url]).done();
    let ticket = homes.run("ada", &["--json", "invite", "notes"]).json()["ticket"].clone();
    let ticket = ticket.as_str().unwrap();
    // Whoever does not know the authority does not speak to the server.
    assert_eq!(
        homes.run("eve", &["--json", "join", ticket, "--timeout", "3s"]).fails(),
        "server_unreachable"
    );
    let joined = homes.command("ben", &["join", ticket]).env("SYMBOLON_CA_FILE", &ca).output().unwrap();
    assert!(joined.status.success(), "{joined:?}");
    homes.run("ben", &["edit", "notes", "--insert", "through TLS"]).done();
    homes.run("ada", &["wait", "notes", "--text-contains", "through TLS", "--timeout", "60s"]).done();
    assert_eq!(
        homes.run("zoe", &["--json", "--ca-file", "/nowhere", "up"]).fails(),
        "home",
        "a file that is not there is said at once"
    );
}
