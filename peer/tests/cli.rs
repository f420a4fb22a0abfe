//! The command line as people and scripts meet it: real processes, a real server, real WebRTC.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "support/programs.rs"]
mod programs;

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use programs::{Homes, Rendezvous, kill};
use serde_json::{Value, json};

const COMMANDS: [&str; 19] = [
    "id",
    "create",
    "invite",
    "join",
    "rooms",
    "members",
    "topology",
    "wait",
    "cat",
    "edit",
    "follow",
    "documents",
    "draw",
    "leave",
    "up",
    "status",
    "down",
    "completions",
    "man",
];

#[test]
fn cl1_every_command_speaks_json() {
    let (homes, server) = (Homes::new(), Rendezvous::start());
    let a = |arguments: &[&str]| homes.run("a", &[&["--json"], arguments].concat()).json();
    let b = |arguments: &[&str]| homes.run("b", &[&["--json"], arguments].concat()).json();

    let (id_a, id_b) = (a(&["id"]), b(&["id"]));
    assert_eq!(id_a["device"].as_str().unwrap().len(), 43);
    assert_eq!(id_a["name"], "a");
    let made = a(&["create", "notes", "--server", &server.url]);
    let room = made["room"].as_str().unwrap();
    assert_eq!(made["name"], "notes");
    a(&["edit", "notes", "--insert", "hello"]);

    let device = id_b["device"].as_str().unwrap();
    let invite = a(&["invite", "notes", "--to", device, "--expires", "15m"]);
    let ticket = invite["ticket"].as_str().unwrap();
    assert!(invite["link"].as_str().unwrap().ends_with(&format!("#{ticket}")));
    assert_eq!(invite["invite"].as_str().unwrap().len(), 43);
    let until = invite["expires_at"].as_str().unwrap();
    assert!(until.ends_with('Z') && until.len() == 20, "{until}");

    assert_eq!(b(&["join", ticket]), json!({ "room": room, "name": "notes" }));
    assert_eq!(b(&["cat", "notes"]), json!({ "text": "hello" }));
    assert_eq!(a(&["wait", "notes", "--members", "2"])["online"], 2);
    b(&["edit", room, "--insert", "> ", "--at", "start"]);
    b(&["edit", &room[..8], "--delete", "2..3"]);
    a(&["wait", "notes", "--text-contains", "> ello"]);
    let text = json!({ "kind": "text", "name": "main", "size": 6, "unit": "characters" });
    assert_eq!(a(&["documents", "notes"]), json!([text]));
    assert_eq!(a(&["draw", "notes", "--line", "1,2"]), json!({ "drawn": 1 }));
    let dot = json!({ "color": "#3366cc", "width": 3, "points": [[1, 2]] });
    assert_eq!(a(&["draw", "notes"]), json!({ "strokes": [dot] }));
    assert_eq!(a(&["cat", "notes"])["text"], "> ello");

    let rooms = a(&["rooms"]);
    let expected =
        json!([{ "room": room, "name": "notes", "members": 2, "links": 1, "servers": [server.url] }]);
    assert_eq!(rooms, expected);
    let members = a(&["members", "notes"]);
    let of =
        |device: &Value| members.as_array().unwrap().iter().find(|m| m["device"] == *device).unwrap().clone();
    assert_eq!(
        of(&id_b["device"]),
        json!({
            "device": id_b["device"], "name": "b", "user": "b", "self": false, "online": true, "link": "direct",
            "reach": "direct", "through": [], "last_seen": of(&id_b["device"])["last_seen"], "invited_by": id_a["device"],
        })
    );
    assert_eq!(of(&id_a["device"])["self"], true);
    assert_eq!(of(&id_a["device"])["invited_by"], Value::Null);

    let topology = a(&["topology", "notes"]);
    assert_eq!(topology["present"].as_array().unwrap().len(), 2, "{topology}");
    assert_eq!(topology["edges"].as_array().unwrap().len(), 1, "{topology}");
    assert_eq!(b(&["leave", "notes", "--yes"])["room"], room);
    assert_eq!(b(&["rooms"]), json!([]));
    let pages = homes.path("pages");
    assert_eq!(a(&["man", pages.to_str().unwrap()])["dir"], pages.to_str().unwrap());
    assert!(a(&["man"])["man"].as_str().unwrap().contains("symbolon"));
    assert!(a(&["completions", "bash"])["completions"].as_str().unwrap().contains("symbolon"));
    assert_eq!(a(&["up"])["started"], false);
    assert_eq!(a(&["down"])["stopped"], true);
}

#[test]
fn cl7_a_failure_has_a_code_for_programs_and_a_next_step_for_people() {
    let (homes, server) = (Homes::new(), Rendezvous::start());
    let fails = |arguments: &[&str]| {
        let code = homes.run("a", &[&["--json"], arguments].concat()).fails();
        let words = homes.run("a", arguments);
        assert_eq!((words.code, words.out.as_str()), (Some(1), ""), "{words:?}");
        assert!(words.err.starts_with("error: ") && !words.err.contains('{'), "{words:?}");
        (code, words.err)
    };
    homes.run("a", &["create", "notes", "--server", &server.url]).done();
    homes.run("a", &["create", "notebook", "--server", &server.url]).done();
    let ticket = |more: &[&str]| {
        let made = homes.run("a", &[&["--json", "invite", "notes"], more].concat()).json();
        made["ticket"].as_str().unwrap().to_owned()
    };

    assert_eq!(fails(&["cat", "nowhere"]).0, "no_such_room");
    assert_eq!(fails(&["cat", "note"]).0, "ambiguous_room");
    assert_eq!(fails(&["create", "", "--server", &server.url]).0, "invalid_name");
    let (code, words) = fails(&["join", "hello"]);
    assert_eq!(code, "malformed_ticket");
    assert!(words.contains("symbolon invite"), "{words}");
    let cut = &ticket(&[])[..60];
    assert_eq!(fails(&["join", cut]).0, "malformed_ticket");
    assert_eq!(fails(&["join", &format!("http://127.0.0.1:1/#{cut}")]).0, "malformed_ticket");
    assert_eq!(fails(&["edit", "notes", "--delete", "3..9"]).0, "out_of_range");
    assert_eq!(fails(&["wait", "notes", "--members", "2", "--timeout", "50ms"]).0, "timeout");

    let device = homes.run("a", &["--json", "id"]).json()["device"].as_str().unwrap().to_owned();
    let others = ticket(&["--to", &device]);
    assert_eq!(homes.run("b", &["--json", "join", &others]).fails(), "not_for_this_device");
    let expired = ticket(&["--expires", "1ms"]);
    assert_eq!(homes.run("b", &["--json", "join", &expired]).fails(), "expired");
    let used = ticket(&[]);
    homes.run("b", &["join", &used]).done();
    assert_eq!(homes.run("c", &["--json", "join", &used, "--timeout", "3s"]).fails(), "nobody_answered");
    drop(server);
    let nowhere = homes.run("d", &["--json", "join", &ticket(&[]), "--timeout", "3s"]);
    assert_eq!(nowhere.fails(), "server_unreachable");
}

#[test]
fn wrong_usage_ends_with_2() {
    let homes = Homes::new();
    for arguments in [
        &[][..],
        &["fly"],
        &["up", "--no-page"],
        &["create", "notes", "--server", "rooms.example.org"],
        &["invite", "notes", "--expires", "soon"],
        &["invite", "notes", "--uses", "0"],
        &["invite", "notes", "--to", "me"],
        &["join"],
        &["wait", "notes"],
        &["edit", "notes", "--at", "start"],
        &["edit", "notes", "--delete", "5..1"],
        &["edit", "notes", "--delete", "0..1", "--insert", "x"],
        &["leave", "notes", "--perhaps"],
        &["completions", "abacus"],
        &["id", "--log", "a=b=c"],
    ] {
        let ran = homes.run("a", arguments);
        assert_eq!(ran.code, Some(2), "{arguments:?}: {ran:?}");
        assert!(!ran.err.is_empty() && ran.out.is_empty(), "{ran:?}");
    }
    assert!(!homes.path("a").exists(), "wrong usage leaves no trace");
}

#[test]
fn cl1_help_has_an_example_for_every_command() {
    let homes = Homes::new();
    let listed = homes.run("a", &["--help"]).done();
    for command in COMMANDS {
        assert!(listed.contains(&format!("\n  {command} ")), "{command} is not listed");
        let help = homes.run("a", &[command, "--help"]).done();
        assert!(help.contains("Examples:") && help.contains("symbolon"), "{command}");
    }
}

#[test]
fn cl1_completions_and_man_pages_are_made() {
    let homes = Homes::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(homes.run("a", &["completions", shell]).done().contains("invite"), "{shell}");
    }
    assert!(homes.run("a", &["man"]).done().starts_with(".ie"), "roff");
    let dir = homes.path("deep/man1");
    homes.run("a", &["man", dir.to_str().unwrap()]).done();
    for page in std::iter::once("symbolon.1".to_owned()).chain(COMMANDS.map(|c| format!("symbolon-{c}.1"))) {
        assert!(std::fs::read_to_string(dir.join(&page)).unwrap().contains(".TH"), "{page}");
    }
}

#[test]
fn a_ticket_is_read_from_standard_input_and_never_logged() {
    let (homes, server) = (Homes::new(), Rendezvous::start());
    homes.run("a", &["--log", "trace", "create", "notes", "--server", &server.url]).done();
    let made = homes.run("a", &["--json", "invite", "notes"]).json();
    let ran =
        homes.feed("b", &["--log", "trace", "join", "-"], &format!("\n{}\n", made["link"].as_str().unwrap()));
    assert!(ran.out.contains("Joined notes"), "{ran:?}");
    assert_eq!(homes.feed("c", &["--json", "join", "-"], "").fails(), "malformed_ticket");
    let ticket = made["ticket"].as_str().unwrap();
    for (home, method) in [("a", "invite"), ("b", "join")] {
        let log = std::fs::read_to_string(homes.path(home).join("agent.log")).unwrap();
        assert!(log.contains(&format!("method=\"{method}\"")), "{home} logs what was asked: {log}");
        assert!(!log.contains(&ticket[..40]), "{home} logs a ticket");
    }
}

#[test]
fn what_a_command_did_outlives_the_agent() {
    let (homes, server) = (Homes::new(), Rendezvous::start());
    homes.run("a", &["create", "notes", "--server", &server.url]).done();
    for line in ["one\n", "two\n", "three\n"] {
        homes.feed("a", &["edit", "notes", "--insert", "-"], line).done();
        kill(homes.agent("a"));
    }
    assert_eq!(homes.run("a", &["cat", "notes"]).done(), "one\ntwo\nthree\n");
}

#[test]
fn an_editor_session_keeps_what_others_wrote_meanwhile() {
    let (homes, server) = (Homes::new(), Rendezvous::start());
    homes.run("a", &["create", "notes", "--server", &server.url]).done();
    homes.run("a", &["edit", "notes", "--insert", "one\ntwo\n"]).done();
    let edit = |editor: &str| -> programs::Ran {
        homes.command("a", &["--json", "edit", "notes"]).env("VISUAL", editor).output().unwrap().into()
    };
    let meanwhile = format!(
        "{} --home {} edit notes --insert zero, --at start && sed -i s/two/2/",
        env!("CARGO_BIN_EXE_symbolon"),
        homes.path("a").display()
    );
    assert_eq!(edit(&meanwhile).json()["changed"], true);
    assert_eq!(homes.run("a", &["cat", "notes"]).done(), "zero,one\n2\n");
    assert_eq!(edit("true").json()["changed"], false);
    assert_eq!(edit("false").fails(), "editor");
    assert_eq!(edit("no-such-editor").fails(), "editor");
    assert_eq!(edit("stat -c %a >&2; true").json()["changed"], false);

    let pid = homes.agent("a");
    let ran = edit(&format!("kill -KILL {pid} && sed -i s/one/1/"));
    assert_eq!(ran.code, Some(1));
    let message =
        serde_json::from_str::<Value>(&ran.out).unwrap()["error"]["message"].as_str().unwrap().to_owned();
    let (_, kept) = message.rsplit_once("what you wrote is in ").unwrap();
    assert_eq!(std::fs::read_to_string(kept).unwrap(), "zero,1\n2\n");
    std::fs::remove_file(kept).unwrap();
}

#[test]
fn follow_shows_the_text_and_then_every_change() {
    let (homes, server) = (Homes::new(), Rendezvous::start());
    homes.run("a", &["create", "notes", "--server", &server.url]).done();
    homes.run("a", &["edit", "notes", "--insert", "one"]).done();
    let mut follow =
        homes.command("a", &["--json", "follow", "notes"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(next(), json!({ "text": "one" }));
    homes.run("a", &["edit", "notes", "--insert", " two"]).done();
    // Drawings and other documents are not in what is followed.
    homes.run("a", &["draw", "notes", "--line", "1,2 3,4"]).done();
    homes.run("a", &["edit", "notes", "--delete", "0..4"]).done();
    assert_eq!(next()["changes"], json!([{ "at": 3, "deleted": 0, "inserted": " two" }]));
    assert_eq!(next()["changes"], json!([{ "at": 0, "deleted": 4, "inserted": "" }]));
    homes.run("a", &["down"]).done();
    assert_eq!(next()["error"]["code"], "agent_gone");
    assert_eq!(follow.wait().unwrap().code(), Some(1));
}

#[test]
fn leave_asks_first() {
    let (homes, server) = (Homes::new(), Rendezvous::start());
    homes.run("a", &["create", "notes", "--server", &server.url]).done();
    assert_eq!(homes.run("a", &["leave", "notes"]).code, Some(2), "nobody to ask");
    homes.run("a", &["cat", "notes"]).done();
    homes.run("a", &["leave", "notes", "--yes"]).done();
    assert_eq!(homes.run("a", &["--json", "cat", "notes"]).fails(), "no_such_room");
}

#[test]
fn cl7_an_invite_shows_a_code_for_cameras() {
    let (homes, server) = (Homes::new(), Rendezvous::start());
    homes.run("a", &["create", "notes", "--server", &server.url]).done();
    let words = homes.run("a", &["invite", "notes", "--qr"]).done();
    let code: Vec<&str> = words.lines().filter(|line| line.contains('█')).collect();
    assert!(code.len() > 20, "{words}");
    assert!(code.iter().all(|line| line.chars().count() == code[0].chars().count()));
    assert!(words.contains("symbolon join symbolon1"), "{words}");
}

#[test]
fn cl4_examples_run() {
    let server = Rendezvous::start();
    let examples = std::path::Path::new(env!("CARGO_BIN_EXE_symbolon")).with_file_name("examples");
    if !["hello", "chat"]
        .iter()
        .all(|name| is_newer(&examples.join(name), &examples.with_file_name("libsymbolon.rlib")))
    {
        build_examples();
    }
    let ran = programs::Ran::from(Command::new(examples.join("hello")).arg(&server.url).output().unwrap());
    assert!(ran.out.contains("hello from the first"), "{ran:?}");
    assert_eq!(ran.code, Some(0));

    let homes = Homes::new();
    let chat = |name: &str| {
        let mut command = Command::new(examples.join("chat"));
        command.arg(homes.path(name)).stdin(Stdio::piped()).stdout(Stdio::piped());
        command
    };
    let mut first = chat("chat-a").args(["new", &server.url]).spawn().unwrap();
    let mut lines = BufReader::new(first.stdout.take().unwrap()).lines();
    let ticket = lines.next().unwrap().unwrap();
    let mut second = chat("chat-b").args(["join", &ticket]).spawn().unwrap();
    std::io::Write::write_all(second.stdin.as_mut().unwrap(), b"is anyone there?\n").unwrap();
    let heard = lines.map(Result::unwrap).find(|line| line.contains("is anyone there?"));
    assert!(heard.is_some());
    drop((first.stdin.take(), second.stdin.take()));
    assert!(first.wait().unwrap().success() && second.wait().unwrap().success());
}

/// A run of all tests has built the examples, with its own choice of features; a run of this file alone has not.
fn build_examples() {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--package", "symbolon", "--example", "hello", "--example", "chat"]);
    // Build scripts that look at what cargo tells a test would run again, and all that depends on them.
    for (variable, _) in std::env::vars_os() {
        let name = variable.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") || name == "LD_LIBRARY_PATH"
        {
            build.env_remove(&variable);
        }
    }
    assert!(build.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success());
}

fn is_newer(file: &std::path::Path, than: &std::path::Path) -> bool {
    let when = |path: &std::path::Path| std::fs::metadata(path).and_then(|found| found.modified()).ok();
    when(file).is_some_and(|file| Some(file) >= when(than))
}
