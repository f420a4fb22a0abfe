//! Processes that are not agents: the server's program, and NATS.
#![allow(dead_code, unreachable_pub, missing_docs)]

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// No test waits longer for a process.
const DEADLINE: Duration = Duration::from_secs(60);

/// The server's program, built beside the one under test.
pub struct ServerProcess {
    process: Child,
    pub listen: String,
}

impl ServerProcess {
    pub fn start(listen: &str, key: &Path, options: &[impl AsRef<OsStr>]) -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_symbolon")).with_file_name("symbolon-server");
        assert!(program.exists(), "build it first: cargo build -p symbolon-server");
        let mut process = Command::new(program)
            .args(["--listen", listen, "--log", "error", "--key-file"])
            .arg(key)
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let listen = line.trim().strip_prefix("listening on ws://").expect("it listens").to_owned();
        Self { process, listen }
    }

    pub fn url(&self) -> String {
        format!("ws://{}", self.listen)
    }

    pub fn address(&self) -> SocketAddr {
        self.listen.parse().unwrap()
    }

    /// As `systemctl stop` does it.
    pub fn terminate(&self) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    }

    pub fn is_running(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// Waits, on this thread, until it has ended by itself.
    pub fn wait(mut self) {
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // Signal 9: no goodbye.
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// A process of nats-server; killed when dropped.
pub struct Nats {
    process: Child,
    port: u16,
}

impl Nats {
    pub fn start() -> Self {
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let process = Command::new("nats-server")
            .args(["--addr", "127.0.0.1", "--port", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nats-server is needed for this test: apt-get install nats-server");
        // The first thing it says is how it is.
        let greets =
            || TcpStream::connect(("127.0.0.1", port)).is_ok_and(|mut s| s.read_exact(&mut [0]).is_ok());
        let start = Instant::now();
        while !greets() {
            assert!(start.elapsed() < DEADLINE, "nats-server does not answer");
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { process, port }
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
