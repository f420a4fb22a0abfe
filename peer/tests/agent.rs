//! The agent as other programs meet it: `docs/CONTROL.md`, on real sockets.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "support/programs.rs"]
mod programs;

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use programs::{Homes, Program, Rendezvous, kill};
use serde_json::{Value, json};

#[test]
fn cl3_other_programs_get_answers_and_notifications() {
    let (homes, server) = (Homes::new(), Rendezvous::start());
    homes.agent("a");
    let mut program = homes.connect("a");
    let hello = program.call("hello", json!({}));
    assert_eq!(hello["version"], env!("CARGO_PKG_VERSION"));
    let made = program.call("create", json!({ "name": "notes", "servers": [server.url] }));
    assert_eq!(made["name"], "notes");
    program.call("insert", json!({ "room": "notes", "text": "one" }));

    let mut listener = homes.connect("a");
    let start = listener.call("subscribe", json!({ "room": "notes" }));
    assert_eq!(start["text"], "one");
    program.call("insert", json!({ "room": "no", "text": "two", "at": 0 }));
    let event = listener.event("text");
    assert_eq!(event["room"], made["room"]);
    assert_eq!(event["author"], hello["device"]);
    let change = json!({ "document": "main", "at": 0, "deleted": 0, "inserted": "two" });
    assert_eq!(event["changes"], json!([change]));

    let snapshot = program.call("snapshot", json!({ "room": "notes" }));
    assert_eq!(snapshot["text"], "twoone");
    listener.call("insert", json!({ "room": "notes", "text": "!" }));
    program.call("merge", json!({ "snapshot": snapshot["snapshot"], "text": "two one" }));
    assert_eq!(program.call("text", json!({ "room": "notes" }))["text"], "two one!");

    listener.call("unsubscribe", json!({}));
    program.call("delete", json!({ "room": "notes", "from": 0, "to": 4 }));
    assert_eq!(listener.call("text", json!({ "room": "notes" }))["text"], "one!");
}

#[test]
fn a_request_that_waits_holds_up_no_other() {
    let (homes, server) = (Homes::new(), Rendezvous::start());
    homes.agent("a");
    let mut program = homes.connect("a");
    program.call("create", json!({ "name": "notes", "servers": [server.url] }));
    let waiting =
        program.ask("wait", json!({ "room": "notes", "text_contains": "done", "timeout_ms": 60_000 }));
    let inserting = program.ask("insert", json!({ "room": "notes", "text": "it is done" }));
    // The one that waited may hear of the text before the one that wrote it hears that it is on disk.
    let answers = [program.next().unwrap(), program.next().unwrap()];
    let answer = |id: i64| answers.iter().find(|answer| answer["id"] == id).expect("both are answered");
    assert_eq!(answer(waiting)["result"]["online"], 1);
    assert!(answer(inserting)["error"].is_null());
    program.ask("wait", json!({ "room": "notes", "members": 2, "timeout_ms": 50 }));
    assert_eq!(program.next().unwrap()["error"]["data"]["code"], "timeout");
}

#[test]
fn what_is_no_request_is_refused_and_the_agent_goes_on() {
    let homes = Homes::new();
    homes.agent("a");
    let mut program = homes.connect("a");
    assert_eq!(program.error("x".repeat(10 << 20)), -32600, "10 MB in one line");
    assert_eq!(program.error([0xff, 0, 0xfe]), -32700);
    assert_eq!(program.error("[".repeat(1 << 20)), -32700, "nesting");
    assert_eq!(program.error("{\"a\":".repeat(1 << 18)), -32700);
    assert_eq!(program.error("[]"), -32600);
    assert_eq!(program.error("42"), -32600);
    assert_eq!(program.error(r#"{"jsonrpc":"2.0","id":1,"method":"fly"}"#), -32601);
    assert_eq!(program.error(r#"{"jsonrpc":"2.0","id":1,"method":"text"}"#), -32602);
    assert_eq!(program.error(r#"{"jsonrpc":"2.0","id":1,"method":"text","params":{"room":7}}"#), -32602);
    assert_eq!(program.error(r#"{"jsonrpc":"2.0","id":1,"method":"text","params":["a"]}"#), -32602);
    assert_eq!(
        program.error(r#"{"jsonrpc":"2.0","id":1,"method":"merge","params":{"snapshot":9,"text":""}}"#),
        -32602
    );
    assert_eq!(program.error(r#"{"jsonrpc":"2.0","id":1,"method":"text","params":{"room":"none"}}"#), -32000);

    program.send(r#"{"jsonrpc":"2.0","method":"fly"}"#);
    program.send(
        r#"[{"jsonrpc":"2.0","id":"a","method":"rooms"},{"jsonrpc":"2.0","method":"rooms"},7,{"jsonrpc":"2.0","id":"b","method":"subscribe"}]"#,
    );
    let answers = program.next().unwrap();
    assert_eq!(answers.as_array().unwrap().len(), 3, "a notification has no answer: {answers}");
    assert_eq!(answers[0], json!({ "jsonrpc": "2.0", "id": "a", "result": [] }));
    assert_eq!(answers[1]["error"]["code"], -32600);
    assert_eq!(answers[2]["error"]["code"], -32600);
}

#[test]
fn three_megabytes_are_inserted_in_one_request() {
    let (homes, server) = (Homes::new(), Rendezvous::start());
    homes.agent("a");
    let mut program = homes.connect("a");
    program.call("create", json!({ "name": "notes", "servers": [server.url] }));
    let text = "0123456789 abcdef ghijklmnopqr\n".repeat(100_000);
    program.call("insert", json!({ "room": "notes", "text": text }));
    assert_eq!(program.call("text", json!({ "room": "notes" }))["text"], text);
}

#[test]
fn a_subscriber_that_does_not_read_is_disconnected() {
    let (homes, server) = (Homes::new(), Rendezvous::start());
    homes.agent("a");
    let mut writer = homes.connect("a");
    writer.call("create", json!({ "name": "notes", "servers": [server.url] }));
    let mut slow = homes.connect("a");
    slow.call("subscribe", json!({}));
    let text = "x".repeat(100_000);
    for _ in 0..220 {
        writer.call("insert", json!({ "room": "notes", "text": text, "at": 0 }));
        writer.call("delete", json!({ "room": "notes", "from": 0, "to": 100_000 }));
    }
    let mut events = 0;
    while slow.line().ends_with('\n') {
        events += 1;
    }
    assert!(events < 440, "it got {events} events");
}

#[test]
fn connections_are_bounded() {
    let homes = Homes::new();
    homes.agent("a");
    let mut programs: Vec<Program> = Vec::new();
    while programs.len() < 64 {
        let mut program = homes.connect("a");
        // The command's own seat may be free only in a moment.
        if program.is_welcome() {
            programs.push(program);
        }
    }
    let mut further = homes.connect("a");
    assert_eq!(further.next().unwrap()["error"]["data"]["code"], "too_many_connections");
    assert_eq!(further.next(), None);
    assert_eq!(homes.run("a", &["--json", "rooms"]).fails(), "too_many_connections");
    programs.pop();
    let start = std::time::Instant::now();
    while homes.run("a", &["rooms"]).code != Some(0) {
        assert!(start.elapsed() < programs::DEADLINE, "a free seat is given to the next");
    }
}

#[test]
fn a_second_agent_says_that_there_is_one() {
    let homes = Homes::new();
    let agent = homes.agent("a");
    assert_eq!(homes.run("a", &["--json", "up", "--foreground"]).fails(), "in_use");
    let words = homes.run("a", &["up", "--foreground"]);
    assert!(words.err.contains("in use by another process"), "{words:?}");
    assert_eq!(homes.agent("a"), agent, "the first one is not disturbed");
}

#[test]
fn commands_that_start_at_once_share_one_agent() {
    let homes = Homes::new();
    let started: Vec<_> = (0..6)
        .map(|_| homes.command("a", &["--json", "up"]).stdout(Stdio::piped()).spawn().unwrap())
        .collect();
    let pids: Vec<Value> = started
        .into_iter()
        .map(|child| programs::Ran::from(child.wait_with_output().unwrap()).json()["pid"].clone())
        .collect();
    assert!(pids.iter().all(|pid| *pid == pids[0]), "{pids:?}");
}

#[test]
fn the_socket_of_a_killed_agent_is_replaced() {
    let homes = Homes::new();
    let device = homes.run("a", &["--json", "id"]).json();
    let first = homes.agent("a");
    kill(first);
    assert!(homes.path("a").join("agent.sock").exists());
    assert_eq!(homes.run("a", &["--json", "id"]).json(), device);
    assert_ne!(homes.agent("a"), first);
}

#[test]
fn the_socket_is_for_its_owner_alone_and_goes_with_the_agent() {
    let homes = Homes::new();
    homes.agent("a");
    for (file, mode) in [("", 0o700), ("agent.sock", 0o600), ("agent.log", 0o600), ("store.redb", 0o600)] {
        let found = std::fs::metadata(homes.path("a").join(file)).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{file}");
    }
    assert_eq!(homes.run("a", &["--json", "down"]).json(), json!({ "stopped": true }));
    assert!(!homes.path("a").join("agent.sock").exists());
    assert_eq!(homes.run("a", &["--json", "down"]).json(), json!({ "stopped": false }));
}

#[test]
fn a_signal_ends_the_agent_in_order() {
    let homes = Homes::new();
    for signal in ["-TERM", "-INT"] {
        let mut agent = homes.command("a", &["--json", "up", "--foreground"]);
        let mut agent = agent.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(agent.stdout.take().unwrap()), &mut line)
            .unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(ready["pid"], agent.id());
        assert!(Command::new("kill").args([signal, &agent.id().to_string()]).status().unwrap().success());
        assert!(agent.wait().unwrap().success(), "{signal}");
        assert!(!homes.path("a").join("agent.sock").exists());
    }
}

#[test]
fn a_home_with_a_long_path_has_its_socket_elsewhere() {
    let homes = Homes::new();
    let long = "a".repeat(110);
    let runtime = homes.path("runtime");
    std::fs::create_dir(&runtime).unwrap();
    let run = |arguments: &[&str]| {
        programs::Ran::from(
            homes.command(&long, arguments).env("XDG_RUNTIME_DIR", &runtime).output().unwrap(),
        )
    };
    let first = run(&["--json", "up"]).json();
    assert_eq!(run(&["--json", "up"]).json()["pid"], first["pid"]);
    assert_eq!(std::fs::read_dir(runtime.join("symbolon")).unwrap().count(), 1);
    assert_eq!(run(&["--json", "down"]).json()["stopped"], true);
}

#[test]
fn what_keeps_an_agent_from_starting_is_said_by_the_command() {
    let homes = Homes::new();
    homes.run("a", &["id"]).done();
    homes.run("a", &["down"]).done();
    let store = homes.path("a").join("store.redb");
    std::fs::write(&store, "garbage".repeat(1000)).unwrap();
    assert_eq!(homes.run("a", &["--json", "rooms"]).fails(), "damaged");
    let words = homes.run("a", &["rooms"]);
    assert!(words.err.contains("store.redb is damaged"), "{words:?}");

    let file = homes.path("file");
    std::fs::write(&file, "").unwrap();
    assert_eq!(homes.run("file/home", &["--json", "id"]).fails(), "home");
    let words = homes.run("file/home", &["id"]);
    assert_eq!(words.code, Some(1));
    assert!(words.err.contains("--home"), "{words:?}");

    let locked = homes.path("locked");
    std::fs::create_dir(&locked).unwrap();
    std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o500)).unwrap();
    // Nothing is read-only for root.
    if std::fs::write(locked.join("probe"), "").is_err() {
        assert_eq!(homes.run("locked", &["--json", "id"]).fails(), "home");
    }
}
