//! The examples in `deploy`: agents meet through Debian's nginx and Caddy, configured as the examples say.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "support/programs.rs"]
mod programs;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use programs::{DEADLINE, Homes};
use symbolon_server::key::KeySource;
use symbolon_server::{Config, Server};

fn example(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("deploy").join(path);
    fs::read_to_string(path).unwrap()
}

/// A program of the system; `None`, and a word about it, where it is not installed.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let found = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
    if found.is_none() {
        println!("{name} is not installed, so its example is not tried; on Debian: apt-get install {name}");
    }
    found
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A proxy's process; killed when dropped.
struct Proxy(Child);

impl Proxy {
    /// Starts it and waits until it listens.
    fn start(command: &mut Command, port: u16) -> Self {
        let mut proxy = Self(command.stdin(Stdio::null()).spawn().unwrap());
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(proxy.0.try_wait().unwrap().is_none(), "it has ended");
            assert!(start.elapsed() < DEADLINE, "it does not listen");
            std::thread::yield_now();
        }
        proxy
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

/// A server of this process that clients dial at another port.
struct Behind {
    runtime: tokio::runtime::Runtime,
    server: Option<Server>,
}

impl Behind {
    fn start(front: u16) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let origins = vec![format!("ws://127.0.0.1:{front}").parse().unwrap()];
        let config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            origins,
            key: KeySource::Ephemeral,
            ..Config::default()
        };
        let server = runtime.block_on(Server::bind(config)).unwrap();
        Self { runtime, server: Some(server) }
    }

    fn port(&self) -> u16 {
        self.server.as_ref().unwrap().local_addr().port()
    }
}

/// Two agents meet through the proxy, and a browser finds the page.
fn people_meet(homes: &Homes, port: u16, mut behind: Behind) {
    let server = format!("ws://127.0.0.1:{port}");
    homes.run("ada", &["create", "notes", "--server", &server]).done();
    let ticket = homes.run("ada", &["--json", "invite", "notes"]).json()["ticket"].clone();
    homes.run("ben", &["join", ticket.as_str().unwrap()]).done();
    homes.run("ben", &["edit", "notes", "--insert", "[ben]"]).done();
    homes.run("ada", &["wait", "notes", "--text-contains", "[ben]", "--timeout", "60s"]).done();
    let mut browser = TcpStream::connect(("127.0.0.1", port)).unwrap();
    browser.set_read_timeout(Some(DEADLINE)).unwrap();
    write!(browser, "GET /config.json HTTP/1.1\r\nHost: rooms.example.org\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    browser.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(r#"{"rendezvous":true}"#), "{answer}");
    // That the server tells its clients and ends goes through the proxy, too.
    let mut listener = homes.connect("ada");
    listener.call("subscribe", serde_json::json!({}));
    behind.runtime.block_on(behind.server.take().unwrap().shutdown()).unwrap();
    assert_eq!(listener.event("server")["connected"], false);
}

#[test]
fn rv6_members_meet_through_nginx_as_the_example_configures_it() {
    let Some(nginx) = program("nginx") else { return };
    let homes = Homes::new();
    let dir = homes.path("nginx");
    fs::create_dir(&dir).unwrap();
    let certificate = dir.join("certificate.pem");
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=rooms.example.org",
        ])
        .args(["-keyout", "key.pem", "-out", "certificate.pem"])
        .current_dir(&dir)
        .stderr(Stdio::null())
        .status();
    assert!(made.unwrap().success());
    let around = |site: &str| {
        format!(
            "pid {0}/pid; error_log stderr warn; worker_processes 1;\nevents {{}}\nhttp {{\naccess_log off;\n\
             client_body_temp_path {0}/body; proxy_temp_path {0}/proxy; fastcgi_temp_path {0}/fastcgi;\n\
             uwsgi_temp_path {0}/uwsgi; scgi_temp_path {0}/scgi;\n{site}\n}}\n",
            dir.display()
        )
    };
    let run = |site: &str| {
        let path = dir.join("nginx.conf");
        fs::write(&path, around(site)).unwrap();
        let mut command = Command::new(&nginx);
        command.arg("-p").arg(&dir).arg("-c").arg(path);
        command
    };

    // As it stands, but for the certificate, it is what nginx understands.
    let site = example("nginx/symbolon.conf");
    let folder = "/etc/letsencrypt/live/rooms.example.org";
    let as_it_stands = site
        .replace(&format!("{folder}/fullchain.pem"), &certificate.display().to_string())
        .replace(&format!("{folder}/privkey.pem"), &dir.join("key.pem").display().to_string());
    assert_ne!(as_it_stands, site);
    let checked = run(&as_it_stands).arg("-t").output().unwrap();
    assert!(checked.status.success(), "{checked:?}");

    // Without TLS, and at ports of its own, it serves.
    let port = free_port();
    let behind = Behind::start(port);
    let kept = |line: &&str| !line.contains("ssl_certificate") && !line.contains("listen [::]");
    let plain = site.lines().filter(kept).collect::<Vec<_>>().join("\n");
    let plain = plain
        .replace("listen 443 ssl;", &format!("listen 127.0.0.1:{port};"))
        .replace("listen 80;", &format!("listen 127.0.0.1:{};", free_port()))
        .replace("127.0.0.1:7600", &format!("127.0.0.1:{}", behind.port()));
    // Agents dial it by its address, which the redirection does not answer to.
    let _proxy = Proxy::start(run(&plain).args(["-g", "daemon off;"]), port);
    people_meet(&homes, port, behind);
}

#[test]
fn rv6_members_meet_through_caddy_as_the_example_configures_it() {
    let Some(caddy) = program("caddy") else { return };
    let homes = Homes::new();
    let dir = homes.path("caddy");
    fs::create_dir(&dir).unwrap();
    let run = |file: &str, config: &str| {
        let path = dir.join(file);
        fs::write(&path, config).unwrap();
        let mut command = Command::new(&caddy);
        command.env("HOME", &dir).env("XDG_DATA_HOME", &dir).env("XDG_CONFIG_HOME", &dir);
        command.arg(if file == "check" { "validate" } else { "run" });
        command.args(["--adapter", "caddyfile", "--config"]).arg(path).stderr(Stdio::null());
        command
    };
    for (site, servers) in
        [("caddy/Caddyfile", &["127.0.0.1:7600"][..]), ("cluster/Caddyfile", &["a:7600", "b:7600"])]
    {
        let text = example(site);
        assert!(run("check", &text).status().unwrap().success(), "{site}");
        let port = free_port();
        let behind = Behind::start(port);
        // It is asked for by an address here, and must not ask the world for a certificate.
        let mut text = text
            .replace(
                "rooms.example.org {",
                &format!("http://127.0.0.1:{port}, http://rooms.example.org:{port} {{"),
            )
            .replace("{$SYMBOLON_SITE::7600} {", &format!("http://:{port} {{"));
        for server in servers {
            assert!(text.contains(server), "{site}");
            text = text.replace(server, &format!("127.0.0.1:{}", behind.port()));
        }
        let text = if text.contains("admin off") { text } else { format!("{{\n\tadmin off\n}}\n{text}") };
        let _proxy = Proxy::start(&mut run("Caddyfile", &text), port);
        let homes = Homes::new();
        people_meet(&homes, port, behind);
    }
}
