//! `symbolon page`: real processes, asked over real sockets.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "support/programs.rs"]
mod programs;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use programs::{DEADLINE, Homes, Rendezvous};
use serde_json::{Value, json};

/// A running `symbolon page`; killed when dropped.
struct Served {
    child: Child,
    told: Value,
    address: SocketAddr,
}

impl Served {
    fn start(homes: &Homes, home: &str, options: &[&str]) -> Self {
        let arguments = [&["--json", "page", "--listen", "127.0.0.1:0"], options].concat();
        let mut child = homes.command(home, &arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let told: Value = serde_json::from_str(&line).unwrap();
        let url = told["url"].as_str().unwrap();
        let address = url.strip_prefix("http://").unwrap().strip_suffix('/').unwrap().parse().unwrap();
        Self { child, told, address }
    }

    /// Sends a request over a connection of its own; gives head and body.
    fn ask(&self, request: &str) -> (String, Vec<u8>) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(format!("{request}\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let body = answer.split_off(end + 4);
        (String::from_utf8(answer).unwrap(), body)
    }

    fn get(&self, path: &str) -> (String, Vec<u8>) {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: {}", self.address))
    }

    fn config(&self) -> Value {
        serde_json::from_slice(&self.get("/config.json").1).unwrap()
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn cl5_an_agent_serves_the_page_on_loopback() {
    let homes = Homes::new();
    let served = Served::start(&homes, "a", &[]);
    assert!(served.address.ip().is_loopback());
    for path in symbolon_page::paths().chain(["/".to_owned()]) {
        let (head, body) = served.get(&path);
        let expected = symbolon_page::answer(&path, None, None);
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert_eq!(body, expected.body, "{path}");
        for (name, value) in expected.headers {
            assert!(head.contains(&format!("\r\n{name}: {value}\r\n")), "{path}: {name}: {head}");
        }
    }
    assert!(served.get("/nowhere").0.starts_with("HTTP/1.1 404 "));
    assert!(served.ask(&format!("POST / HTTP/1.1\r\nHost: {}", served.address)).0.contains(" 405 "));
    // Neither an agent nor a home was needed.
    assert!(!homes.path("a").exists());
}

#[test]
fn cl5_the_page_suggests_the_servers_of_the_homes_rooms() {
    let (homes, server) = (Homes::new(), Rendezvous::start());
    assert_eq!(Served::start(&homes, "a", &[]).config(), json!({ "servers": [] }));
    for name in ["notes", "plans"] {
        homes.run("a", &["create", name, "--server", &server.url]).done();
    }
    let served = Served::start(&homes, "a", &[]);
    assert_eq!(served.config(), json!({ "servers": [server.url] }));
    assert_eq!(served.told["servers"], json!([server.url]));
    assert!(served.get("/config.json").0.contains("\r\ncache-control: no-store\r\n"));

    let options = ["--server", "wss://a.example.org,wss://b.example.org"];
    let chosen = json!({ "servers": ["wss://a.example.org", "wss://b.example.org"] });
    assert_eq!(Served::start(&homes, "a", &options).config(), chosen);
    // Without the agent there is nothing to ask, and none is started.
    homes.run("a", &["down"]).done();
    assert_eq!(Served::start(&homes, "a", &[]).config(), json!({ "servers": [] }));
    assert_eq!(homes.run("a", &["--json", "down"]).json()["stopped"], false);
}

#[test]
fn cl5_a_page_asked_for_by_a_strangers_name_is_refused() {
    let homes = Homes::new();
    let served = Served::start(&homes, "a", &[]);
    let port = served.address.port();
    for host in [format!("localhost:{port}"), format!("127.0.0.1:{port}"), format!("[::1]:{port}")] {
        let (head, _) = served.ask(&format!("GET /config.json HTTP/1.1\r\nHost: {host}"));
        assert!(head.starts_with("HTTP/1.1 200 "), "{host}: {head}");
    }
    for host in [format!("evil.example:{port}"), "127.0.0.1".into(), "127.0.0.1:1".into(), String::new()] {
        let (head, body) = served.ask(&format!("GET /config.json HTTP/1.1\r\nHost: {host}"));
        assert!(head.starts_with("HTTP/1.1 421 "), "{host}: {head}");
        assert!(!String::from_utf8(body).unwrap().contains("servers"), "{host}");
    }
    let (head, _) = served.ask("GET /config.json HTTP/1.0");
    assert!(head.contains(" 421 "), "{head}");
    let absolute = format!("GET http://evil.example:{port}/config.json HTTP/1.1\r\nHost: 127.0.0.1:{port}");
    assert!(served.ask(&absolute).0.starts_with("HTTP/1.1 421 "));
}

#[test]
fn cl5_the_page_is_served_to_this_machine_alone() {
    let homes = Homes::new();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let ran = homes.run("a", &["page", "--listen", address]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{ran:?}");
        assert!(ran.err.contains("for this machine alone"), "{ran:?}");
    }
    let served = Served::start(&homes, "a", &[]);
    let taken = served.address.to_string();
    assert_eq!(homes.run("a", &["--json", "page", "--listen", &taken]).fails(), "listen");
    let words = homes.run("a", &["page", "--listen", &taken]);
    assert!(words.err.contains(&taken) && words.err.contains("--listen"), "{words:?}");
}

#[test]
fn cl5_serving_the_page_ends_politely() {
    let homes = Homes::new();
    for signal in ["INT", "TERM"] {
        let mut served = Served::start(&homes, "a", &[]);
        // One that stays connected does not hold it up.
        let _open = TcpStream::connect(served.address).unwrap();
        served.signal(signal);
        assert!(served.child.wait().unwrap().success(), "{signal}");
        assert!(TcpStream::connect(served.address).is_err());
    }
}

#[test]
fn cl5_the_page_is_opened_in_the_browser_if_asked() {
    use std::os::unix::fs::PermissionsExt as _;
    let homes = Homes::new();
    std::fs::create_dir_all(homes.path("bin")).unwrap();
    let opened = homes.path("bin/opened");
    let script = format!("#!/bin/sh\necho \"$@\" > {0}.new\nmv {0}.new {0}\n", opened.display());
    for name in ["bin/xdg-open", "bin/open"] {
        std::fs::write(homes.path(name), &script).unwrap();
        std::fs::set_permissions(homes.path(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:/usr/bin:/bin", homes.path("bin").display());
    let mut command = homes.command("a", &["page", "--open", "--listen", "127.0.0.1:0"]);
    let mut child = command.env("PATH", path).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let start = std::time::Instant::now();
    while !opened.exists() {
        assert!(start.elapsed() < DEADLINE);
        std::thread::yield_now();
    }
    let url = std::fs::read_to_string(opened).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(line.contains(url.trim()) && url.starts_with("http://127.0.0.1:"), "{line} {url}");
    let help = homes.run("a", &["page", "--help"]).done();
    assert!(help.contains("symbolon page --open") && help.contains("7601"), "{help}");
}
