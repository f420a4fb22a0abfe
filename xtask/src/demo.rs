//! A server, a room and three peers on this machine, with the real programs.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::run::{cargo, root, step};

pub(crate) fn run(stay: bool) -> Result<(), String> {
    let build = ["build", "-p", "symbolon-server", "-p", "symbolon"];
    step("build", &mut cargo(build))?;
    let programs = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let programs = programs.join("debug");
    let homes = std::env::temp_dir().join(format!("symbolon-demo-{}", std::process::id()));
    std::fs::create_dir_all(&homes).map_err(|error| format!("{}: {error}", homes.display()))?;
    let mut demo = Demo { programs, homes, server: None };
    demo.show(stay)
}

struct Demo {
    programs: PathBuf,
    homes: PathBuf,
    server: Option<Child>,
}

impl Demo {
    fn show(&mut self, stay: bool) -> Result<(), String> {
        let origin = self.start_server()?;
        say("A server runs. It brings people together and need not be trusted:");
        println!("  symbolon-server --listen {}", origin.trim_start_matches("ws://"));

        for (name, user, device) in
            [("ada", "Ada", "laptop"), ("ben", "Ben", "phone"), ("cleo", "Cleo", "workstation")]
        {
            self.peer(name, &["up", "--user", user, "--device-name", device])?;
        }
        say("Ada creates a room and writes into it:");
        self.peer("ada", &["create", "plans", "--server", &origin])?;
        self.peer("ada", &["edit", "plans", "--insert", "Ada: shall we meet?\n"])?;
        print!("{}", self.peer("ada", &["cat", "plans"])?);

        say("She makes a ticket and hands it to somebody, by whatever way she trusts:");
        let invitation = self.peer("ada", &["invite", "plans", "--uses", "3", "--qr"])?;
        print!("{invitation}");
        let ticket = self.peer("ada", &["invite", "plans", "--uses", "3", "--json"])?;
        let ticket = json_text(&ticket, "ticket").ok_or("the invite names no ticket")?;

        say("Ben and Cleo join with it. They are linked directly, not through the server:");
        for name in ["ben", "cleo"] {
            self.peer(name, &["join", &ticket])?;
        }
        for name in ["ada", "ben", "cleo"] {
            self.peer(name, &["wait", "plans", "--members", "3"])?;
        }
        print!("{}", self.peer("ada", &["members", "plans"])?);

        say("The server goes away. They write on:");
        self.stop_server();
        self.peer("ben", &["edit", "plans", "--insert", "Ben: yes, at noon.\n"])?;
        self.peer("ada", &["wait", "plans", "--text-contains", "noon"])?;
        self.peer("cleo", &["wait", "plans", "--text-contains", "noon"])?;
        self.peer("cleo", &["edit", "plans", "--insert", "Cleo: I bring bread.\n"])?;
        for name in ["ada", "ben"] {
            self.peer(name, &["wait", "plans", "--text-contains", "bread"])?;
        }
        let texts: Result<Vec<String>, String> =
            ["ada", "ben", "cleo"].iter().map(|name| self.peer(name, &["cat", "plans"])).collect();
        let texts = texts?;
        print!("{}", texts[0]);
        if texts.iter().any(|text| *text != texts[0]) {
            return Err("the three do not have the same text".to_owned());
        }
        say("The same text on all three.");
        if stay {
            self.stay(&origin)?;
        }
        Ok(())
    }

    /// A server is started again and a fresh ticket shown, for a terminal of one's own.
    fn stay(&mut self, origin: &str) -> Result<(), String> {
        self.server = Some(self.spawn_server(origin.trim_start_matches("ws://"))?.0);
        let ticket = self.peer("ada", &["invite", "plans", "--json"])?;
        let ticket = json_text(&ticket, "ticket").ok_or("the invite names no ticket")?;
        say("The server is back. Join from another terminal:");
        let program = self.programs.join("symbolon");
        println!("  {} --home {} join {ticket}", program.display(), self.homes.join("you").display());
        println!("  {} --home {} follow plans", program.display(), self.homes.join("you").display());
        say("Enter ends it.");
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map_err(|error| error.to_string())?;
        self.peer("you", &["down"]).map(|_| ()).or(Ok(()))
    }

    fn start_server(&mut self) -> Result<String, String> {
        let (server, origin) = self.spawn_server("127.0.0.1:0")?;
        self.server = Some(server);
        Ok(origin)
    }

    fn spawn_server(&self, listen: &str) -> Result<(Child, String), String> {
        let mut server = Command::new(self.programs.join("symbolon-server"))
            .args(["--listen", listen, "--log", "error"])
            .arg("--key-file")
            .arg(self.homes.join("server.key"))
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("the server cannot be started: {error}"))?;
        let mut first = String::new();
        if let Some(out) = server.stdout.take() {
            BufReader::new(out).read_line(&mut first).map_err(|error| error.to_string())?;
        }
        let origin = first.trim().strip_prefix("listening on ").map(str::to_owned);
        origin.map(|origin| (server, origin)).ok_or_else(|| "the server did not start".to_owned())
    }

    fn stop_server(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    /// Runs one command of one person's and gives what it printed.
    fn peer(&self, name: &str, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new(self.programs.join("symbolon"))
            .arg("--home")
            .arg(self.homes.join(name))
            .args(arguments)
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| format!("symbolon cannot be started: {error}"))?;
        if !output.status.success() {
            return Err(format!("{name}: symbolon {} failed", arguments.first().unwrap_or(&"")));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        for name in ["ada", "ben", "cleo", "you"] {
            if Path::exists(&self.homes.join(name)) {
                let _ = self.peer(name, &["down"]);
            }
        }
        self.stop_server();
        let _ = std::fs::remove_dir_all(&self.homes);
    }
}

fn say(text: &str) {
    println!("\n▸ {text}");
}

/// The text under a key of one flat JSON object whose texts need no escapes.
fn json_text(json: &str, key: &str) -> Option<String> {
    let (_, rest) = json.split_once(&format!("\"{key}\""))?;
    let (_, rest) = rest.split_once('"')?;
    let (text, _) = rest.split_once('"')?;
    Some(text.to_owned())
}
