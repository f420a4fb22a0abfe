//! A server, a room and peers on this machine, with the real programs.

use std::io::{BufRead as _, BufReader, IsTerminal as _, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use crate::run::{cargo, programs, step};
use crate::web;

/// What may follow `cargo xtask demo`. With `--built`, the programs that lie there are used as they are.
pub(crate) const OPTIONS: [&str; 2] = ["--no-open", "--built"];

/// How long something that is to happen at once may take.
const SOON: Duration = Duration::from_secs(30);

/// A room is ready, on the page and for a terminal, until Ctrl-C.
pub(crate) fn show(options: &[&str]) -> Result<(), String> {
    if !options.contains(&"--built") {
        build()?;
    }
    Demo::new()?.room(!options.contains(&"--no-open"))
}

/// Builds all, and shows that it works.
pub(crate) fn check() -> Result<(), String> {
    build()?;
    check_what_is_built()
}

/// Shows three peers meet, and that the room that [`show`] opens can be joined.
pub(crate) fn check_what_is_built() -> Result<(), String> {
    Demo::new()?.story()?;
    room_can_be_joined()
}

fn build() -> Result<(), String> {
    web::build()?;
    step("programs", &mut cargo(["build", "-p", "symbolon-server", "-p", "symbolon"]))
}

struct Demo {
    programs: PathBuf,
    homes: PathBuf,
    server: Option<Child>,
    cleaner: Cleaner,
}

impl Demo {
    fn new() -> Result<Self, String> {
        let programs = programs()?;
        let homes = std::env::temp_dir().join(format!("symbolon-demo-{}", std::process::id()));
        std::fs::create_dir(&homes).map_err(|error| format!("{}: {error}", homes.display()))?;
        let cleaner = Cleaner::start(&homes, &programs.join("symbolon"))?;
        Ok(Self { programs, homes, server: None, cleaner })
    }

    fn room(&mut self, open: bool) -> Result<(), String> {
        let origin = self.start_server()?;
        self.peer("ada", &["up", "--user", "Ada", "--device-name", "terminal"])?;
        self.peer("ada", &["create", "plans", "--server", &origin])?;
        self.peer("ada", &["edit", "plans", "--insert", "Ada: shall we meet?\n"])?;
        let invitation = self.peer("ada", &["invite", "plans", "--uses", "16", "--qr"])?;
        let link = invitation.lines().map(str::trim).find(|line| line.starts_with("http"));
        let link = link.ok_or("the invite names no link")?.to_owned();

        say("A room is ready, with Ada in it. The page leads there:");
        println!("  {link}\n");
        for line in invitation.lines().filter(|line| line.contains(['█', '▀', '▄'])) {
            // The code is drawn for a dark background, which a terminal need not have.
            if std::io::stdout().is_terminal() {
                println!("\u{1b}[97;40m{line}\u{1b}[0m");
            } else {
                println!("{line}");
            }
        }
        let command = |home: &str, words: &str| {
            let home = self.homes.join(home);
            println!("  {} --home {} {words}", self.programs.join("symbolon").display(), home.display());
        };
        say("From a terminal you meet whoever is on the page:");
        command("you", &format!("join '{link}'"));
        command("you", "follow plans");
        say("What Ada sees:");
        command("ada", "members plans");
        command("ada", "cat plans");
        say("Up to 16 devices can join. Ctrl-C ends it all.");
        let _ = std::io::stdout().flush();
        if open && std::io::stdout().is_terminal() {
            open_in_browser(&link);
        }
        match self.server.as_mut().map(Child::wait) {
            Some(Err(error)) => Err(format!("the server is lost: {error}")),
            _ => Err("the server has ended".to_owned()),
        }
    }

    fn story(&mut self) -> Result<(), String> {
        let origin = self.start_server()?;
        say("A server runs. It brings people together and need not be trusted:");
        println!("  symbolon-server --listen {}", origin.trim_start_matches("ws://"));
        say("It has the page, too:");
        for (path, expected) in [("/", "<!doctype html>"), ("/config.json", "{\"rendezvous\":true}")] {
            let got = get(origin.trim_start_matches("ws://"), path)?;
            if !got.starts_with("HTTP/1.1 200") || !got.to_ascii_lowercase().contains(expected) {
                return Err(format!("GET {path} is answered by {got}"));
            }
            println!("  {}{path}", origin.replace("ws://", "http://"));
        }

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
        Ok(())
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
        std::fs::write(self.homes.join("server.pid"), server.id().to_string())
            .map_err(|error| format!("{}: {error}", self.homes.display()))?;
        let mut first = String::new();
        if let Some(out) = server.stdout.take() {
            BufReader::new(out).read_line(&mut first).map_err(|error| error.to_string())?;
        }
        let origin = first.trim().strip_prefix("listening on ").map(str::to_owned);
        origin.map(|origin| (server, origin)).ok_or_else(|| "the server did not start".to_owned())
    }

    fn stop_server(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = std::fs::remove_file(self.homes.join("server.pid"));
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
        self.stop_server();
        self.cleaner.clean();
    }
}

/// Ends agents and server and removes the homes once this program is gone, however it ends: Ctrl-C leaves it no time,
/// and agents are in sessions of their own.
struct Cleaner {
    shell: Child,
    /// Closed when this program ends.
    alive: Option<ChildStdin>,
}

const CLEAN: &str = r#"
trap '' INT HUP TERM
cat >/dev/null
for home in "$1"/*/; do
    if [ -e "$home/lock" ]; then "$2" --home "$home" down >/dev/null 2>&1; fi
done
if [ -e "$1/server.pid" ]; then kill "$(cat "$1/server.pid")" 2>/dev/null; fi
rm -rf "$1"
"#;

impl Cleaner {
    fn start(homes: &Path, symbolon: &Path) -> Result<Self, String> {
        let mut shell = Command::new("sh")
            .args(["-c", CLEAN, "clean"])
            .args([homes, symbolon])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("sh cannot be started: {error}"))?;
        let alive = shell.stdin.take();
        Ok(Self { shell, alive })
    }

    fn clean(&mut self) {
        self.alive = None;
        let _ = self.shell.wait();
    }
}

/// Starts `cargo xtask demo` as a person does, joins the room with what it prints, and ends it.
fn room_can_be_joined() -> Result<(), String> {
    let lost = |error: std::io::Error| format!("the demo is lost: {error}");
    let this = std::env::current_exe().map_err(lost)?;
    let mut shown = Command::new(this)
        .args(["demo", "--no-open", "--built"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(lost)?;
    let homes = std::env::temp_dir().join(format!("symbolon-demo-{}", shown.id()));
    let joined = shown.stdout.take().ok_or_else(|| "the demo says nothing".to_owned()).and_then(|out| {
        let mut lines = BufReader::new(out).lines().map_while(Result::ok);
        // The command as it is printed, home and all. It goes on to print, so somebody must go on to listen.
        let join = lines.find(|line| line.contains(" join 'http")).ok_or("no way to join is shown")?;
        let both = format!("{join} && {} cat plans", join.split(" join ").next().unwrap_or_default());
        let output = Command::new("sh").args(["-c", &both]).output().map_err(lost)?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        drop(lines);
        if text.contains("shall we meet?") { Ok(()) } else { Err(format!("joining gives {output:?}")) }
    });
    // As hard as it can end.
    let _ = shown.kill();
    let _ = shown.wait();
    joined?;
    let since = Instant::now();
    while homes.exists() {
        if since.elapsed() > SOON {
            return Err(format!("{} is left behind", homes.display()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    say("The room of `cargo xtask demo` can be joined from a terminal, and nothing is left of it.");
    Ok(())
}

/// An answer as it comes over the wire.
fn get(address: &str, path: &str) -> Result<String, String> {
    let lost = |error: std::io::Error| format!("GET {path}: {error}");
    let mut stream = TcpStream::connect(address).map_err(lost)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(lost)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(lost)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Opens a link where there is a desktop to open it on.
fn open_in_browser(link: &str) {
    let desktop = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    if desktop || cfg!(target_os = "macos") {
        let quiet = Command::new(program).arg(link).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        if quiet.is_ok() {
            say("Your browser opens it.");
        }
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
