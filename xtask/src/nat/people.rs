//! The server, the agents, and what they are asked.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::net;

/// The name that agents dial; where it leads is in the laboratory's own `/etc/hosts`.
pub(super) const ORIGIN: &str = "ws://rooms.test:7600";

/// No single thing takes longer.
const SOON: Duration = Duration::from_secs(30);

/// Everybody in one case; they end with it.
pub(super) struct People<'a> {
    programs: &'a Path,
    homes: PathBuf,
    running: Vec<(String, Child)>,
}

impl<'a> People<'a> {
    pub(super) fn new(programs: &'a Path, homes: PathBuf) -> Result<Self, String> {
        std::fs::create_dir_all(&homes).map_err(|error| format!("{}: {error}", homes.display()))?;
        Ok(Self { programs, homes, running: Vec::new() })
    }

    /// Starts the server at this address, with STUN and TURN over UDP and TCP, and lets the name lead there.
    pub(super) fn start_server(&mut self, address: &str) -> Result<(), String> {
        let hosts = self.homes.join("hosts");
        // Written in place: it is mounted where everybody looks.
        std::fs::write(&hosts, format!("127.0.0.1 localhost\n{address} rooms.test\n"))
            .map_err(|error| format!("{}: {error}", hosts.display()))?;
        net::sh(&format!(
            "grep -q ' rooms.test$' /etc/hosts || mount --bind {} /etc/hosts",
            hosts.display()
        ))?;
        let (relay, listen) = (format!("{address}:3478"), format!("{address}:7600"));
        let mut server = net::command("server", &self.programs.join("symbolon-server"))
            .args(["--listen", &listen, "--origin", ORIGIN, "--log", "symbolon_server=info"])
            .args(["--turn-udp", &relay, "--turn-tcp", &relay])
            .arg("--key-file")
            .arg(self.homes.join("server.key"))
            .stdout(Stdio::piped())
            .stderr(self.log("server")?)
            .spawn()
            .map_err(|error| format!("the server cannot be started: {error}"))?;
        let out = server.stdout.take();
        self.running.push(("server".to_owned(), server));
        let mut line = String::new();
        if let Some(out) = out {
            BufReader::new(out).read_line(&mut line).map_err(|error| error.to_string())?;
        }
        line.starts_with("listening on").then_some(()).ok_or_else(|| "the server did not start".to_owned())
    }

    /// Ends whoever has this name.
    pub(super) fn end(&mut self, name: &str) {
        for (who, mut child) in std::mem::take(&mut self.running) {
            if who == name {
                let _ = child.kill();
                let _ = child.wait();
            } else {
                self.running.push((who, child));
            }
        }
    }

    /// An agent in a namespace, with a home of its own.
    pub(super) fn start_agent(&mut self, name: &str, namespace: &str) -> Result<(), String> {
        let agent = net::command(namespace, &self.programs.join("symbolon"))
            .arg("--home")
            .arg(self.homes.join(name))
            .args(["--log", "symbolon=debug", "up", "--foreground", "--user", name, "--device-name", name])
            .stdout(Stdio::null())
            .stderr(self.log(name)?)
            .spawn()
            .map_err(|error| format!("an agent cannot be started: {error}"))?;
        self.running.push((name.to_owned(), agent));
        let since = Instant::now();
        while self.ask(name, &["status"]).map_or(true, |said| said.starts_with("No agent")) {
            if since.elapsed() > SOON {
                return Err(format!("the agent {name} did not start"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// One command of one person's; gives what it printed.
    pub(super) fn ask(&self, name: &str, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new(self.programs.join("symbolon"))
            .arg("--home")
            .arg(self.homes.join(name))
            .args(arguments)
            .output()
            .map_err(|error| format!("symbolon cannot be started: {error}"))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("{name}: symbolon {}: {}", arguments.first().unwrap_or(&""), said.trim()))
    }

    /// By which way this agent's latest connection went.
    pub(super) fn way(&self, name: &str) -> Option<String> {
        let log = std::fs::read_to_string(self.homes.join(name).with_extension("log")).ok()?;
        // Colours stand between the words.
        let plain = |line: &str| {
            line.split('\u{1b}').map(|part| part.split_once('m').map_or(part, |it| it.1)).collect()
        };
        let lines = log.lines().map(plain);
        let way = |line: String| {
            line.split_once("way=\"").and_then(|(_, rest)| Some(rest.split_once('"')?.0.to_owned()))
        };
        lines.filter_map(way).next_back()
    }

    fn log(&self, name: &str) -> Result<File, String> {
        let path = self.homes.join(name).with_extension("log");
        let file = OpenOptions::new().create(true).append(true).open(&path);
        file.map_err(|error| format!("{}: {error}", path.display()))
    }

    /// The last of what everybody logged, for when it went wrong.
    pub(super) fn last_words(&self) -> String {
        let mut out = String::new();
        for name in ["server", "ada", "ben", "cleo"] {
            let log =
                std::fs::read_to_string(self.homes.join(name).with_extension("log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            for line in lines.get(lines.len().saturating_sub(30)..).unwrap_or_default() {
                let _ = writeln!(out, "    {name}: {line}");
            }
        }
        out
    }
}

impl Drop for People<'_> {
    fn drop(&mut self) {
        for (_, child) in &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = net::sh("umount /etc/hosts 2>/dev/null || true");
    }
}
