//! The real programs: `symbolon` processes, each home with its agent, and a server in this process.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::missing_panics_doc)]

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use symbolon_server::key::KeySource;
use symbolon_server::{Config, Server};

/// No test waits longer for one answer.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// What a command left behind.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// What it printed, if it was done.
    pub fn done(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }

    /// The JSON it printed, if it was done.
    pub fn json(self) -> Value {
        serde_json::from_str(&self.done()).unwrap()
    }

    /// The code of its failure, in JSON.
    pub fn fails(self) -> String {
        assert_eq!(self.code, Some(1), "{self:?}");
        let said: Value = serde_json::from_str(&self.out).unwrap();
        assert!(!said["error"]["message"].as_str().unwrap().is_empty());
        said["error"]["code"].as_str().unwrap().to_owned()
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Home directories, whose agents end with this.
pub struct Homes {
    dir: tempfile::TempDir,
}

impl Homes {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, home: &str) -> PathBuf {
        self.dir.path().join(home)
    }

    /// Asks a home's agent about the room `notes`, anew with every event there, until the answer is as wanted.
    pub fn until(&self, home: &str, method: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        // Two connections, so that no event is passed over while an answer is awaited.
        let (mut listener, mut program) = (self.connect(home), self.connect(home));
        listener.call("subscribe", json!({ "room": "notes" }));
        let start = Instant::now();
        loop {
            let answer = program.call(method, json!({ "room": "notes" }));
            if wanted(&answer) {
                return answer;
            }
            assert!(start.elapsed() < DEADLINE, "{method} still gives {answer}");
            listener.next().expect("the agent is there");
        }
    }

    /// A command for a home, not started yet.
    pub fn command(&self, home: &str, arguments: &[impl AsRef<OsStr>]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_symbolon"));
        for (variable, _) in std::env::vars_os() {
            let name = variable.to_string_lossy();
            if name.starts_with("SYMBOLON_") || name.starts_with("XDG_") {
                command.env_remove(&variable);
            }
        }
        let name = &home[..home.len().min(20)];
        command.env("HOME", self.dir.path()).env("SYMBOLON_USER", name).env("SYMBOLON_DEVICE_NAME", name);
        command.arg("--home").arg(self.path(home)).args(arguments).stdin(Stdio::null());
        command
    }

    pub fn run(&self, home: &str, arguments: &[impl AsRef<OsStr>]) -> Ran {
        self.command(home, arguments).output().unwrap().into()
    }

    /// Runs a command with something on its standard input.
    pub fn feed(&self, home: &str, arguments: &[impl AsRef<OsStr>], input: &str) -> Ran {
        let mut command = self.command(home, arguments);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap().into()
    }

    /// The process of a home's agent, which is started if there is none.
    pub fn agent(&self, home: &str) -> i64 {
        self.run(home, &["--json", "up"]).json()["pid"].as_i64().unwrap()
    }

    /// Another program's connection to a home's agent.
    pub fn connect(&self, home: &str) -> Program {
        Program::connect(&self.path(home).join("agent.sock"))
    }
}

impl Drop for Homes {
    fn drop(&mut self) {
        for home in std::fs::read_dir(self.dir.path()).unwrap().flatten() {
            if home.path().join("lock").exists() {
                let _ = self.command(home.file_name().to_str().unwrap(), &["down"]).output();
            }
        }
    }
}

/// Ends a process the hard way and waits until it is gone.
pub fn kill(pid: i64) {
    let killed = Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap();
    assert!(killed.success());
    let gone = || match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        // A process whose parent does not look is a zombie, and holds nothing any more.
        Ok(stat) => stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')),
        Err(_) => true,
    };
    let start = Instant::now();
    while !gone() {
        assert!(start.elapsed() < DEADLINE, "{pid} does not end");
        std::thread::yield_now();
    }
}

/// A program that speaks JSON-RPC with an agent.
pub struct Program {
    stream: BufReader<UnixStream>,
    last: i64,
}

impl Program {
    pub fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        Self { stream: BufReader::new(stream), last: 0 }
    }

    pub fn send(&mut self, line: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(line.as_ref()).unwrap();
        self.stream.get_mut().write_all(b"\n").unwrap();
    }

    /// The next line; `None` at the end.
    pub fn next(&mut self) -> Option<Value> {
        let line = self.line();
        (!line.is_empty()).then(|| serde_json::from_str(&line).unwrap())
    }

    /// The next line as it is; empty at the end.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
            read => drop(read.unwrap()),
        }
        line
    }

    /// Asks without waiting for the answer; gives the id it will have.
    pub fn ask(&mut self, method: &str, params: Value) -> i64 {
        self.last += 1;
        self.send(
            json!({ "jsonrpc": "2.0", "id": self.last, "method": method, "params": params }).to_string(),
        );
        self.last
    }

    /// Asks and waits for the answer, past what is pushed.
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        let id = self.ask(method, params);
        loop {
            let answer = self.next().expect("the agent is there");
            if answer["id"] == id {
                assert!(answer["error"].is_null(), "{answer}");
                return answer["result"].clone();
            }
        }
    }

    /// Whether the agent has a seat for this program.
    pub fn is_welcome(&mut self) -> bool {
        let hello = b"{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"hello\"}\n";
        self.stream.get_mut().write_all(hello).is_ok() && self.next().is_some_and(|answer| answer["id"] == 0)
    }

    /// The code of the answer to a line.
    pub fn error(&mut self, line: impl AsRef<[u8]>) -> i64 {
        self.send(line);
        self.next().unwrap()["error"]["code"].as_i64().unwrap()
    }

    /// The next event of a kind.
    pub fn event(&mut self, kind: &str) -> Value {
        let start = Instant::now();
        loop {
            assert!(start.elapsed() < DEADLINE, "no event {kind}");
            let message = self.next().expect("the agent is there");
            if message["method"] == "event" && message["params"]["type"] == kind {
                return message["params"].clone();
            }
        }
    }
}

/// A server in this process.
pub struct Rendezvous {
    pub url: String,
    _server: Server,
    _runtime: tokio::runtime::Runtime,
}

impl Rendezvous {
    pub fn start() -> Self {
        Self::start_with(Config::default())
    }

    /// With these settings, but a port and a key of its own.
    pub fn start_with(config: Config) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let config = Config { listen: "127.0.0.1:0".parse().unwrap(), key: KeySource::Ephemeral, ..config };
        let server = runtime.block_on(Server::bind(config)).unwrap();
        let url = format!("{}://{}", server.scheme(), server.local_addr());
        Self { url, _server: server, _runtime: runtime }
    }
}
