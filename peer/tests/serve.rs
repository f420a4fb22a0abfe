//! RV16: an agent that hosts the rendezvous for its rooms. Real processes, real WebRTC, and no other server.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "support/programs.rs"]
mod programs;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::time::Duration;

use programs::{DEADLINE, Homes, Rendezvous, kill};
use serde_json::{Value, json};
use symbolon::{Audience, InviteRequest, Options, Peer, Serve};

/// Ada's agent hosts a server; gives what it says about it.
fn ada_hosts(homes: &Homes, options: &[&str]) -> Value {
    let words = [&["--json", "up", "--serve", "127.0.0.1:0"], options].concat();
    homes.run("ada", &words).json()["serving"].clone()
}

fn status(homes: &Homes, home: &str) -> Value {
    homes.run(home, &["--json", "status"]).json()
}

fn write(homes: &Homes, name: &str, text: &str) {
    homes.run(name, &["edit", "notes", "--insert", text]).done();
}

fn until(homes: &Homes, name: &str, text: &str) {
    homes.run(name, &["wait", "notes", "--text-contains", text, "--timeout", "60s"]).done();
}

/// Ada founds the room `notes` and Ben joins it with a ticket.
fn ada_and_ben(homes: &Homes) {
    homes.run("ada", &["create", "notes"]).done();
    let ticket = homes.run("ada", &["--json", "invite", "notes"]).json()["ticket"].clone();
    homes.run("ben", &["join", ticket.as_str().unwrap()]).done();
}

/// What the server answers to a browser that asks for its root.
fn root_of(listen: &str) -> String {
    let mut stream = TcpStream::connect(listen).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    write!(stream, "GET / HTTP/1.1\r\nHost: {listen}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn rv16_two_agents_meet_at_a_server_that_one_of_them_hosts() {
    let homes = Homes::new();
    let serving = ada_hosts(&homes, &[]);
    let (listen, server) = (serving["listen"].as_str().unwrap(), &serving["servers"][0]);
    assert_eq!(*server, format!("ws://{listen}"));
    assert_eq!(serving["audience"], "machine");
    ada_and_ben(&homes);
    write(&homes, "ben", "[ben]");
    until(&homes, "ada", "[ben]");
    for name in ["ada", "ben"] {
        let rooms = homes.run(name, &["--json", "rooms"]).json();
        assert_eq!(rooms[0]["servers"], json!([server]), "no other server");
        let status = status(&homes, name);
        let met = json!([{ "server": server, "key": serving["key"], "connected": true, "trouble": null }]);
        assert_eq!(status["servers"], met);
        assert_eq!(status["serving"], if name == "ada" { serving.clone() } else { Value::Null });
    }
    assert!(root_of(listen).contains("<html"), "it serves the page");
    let words = homes.run("ada", &["status"]).done();
    assert!(
        words.contains(server.as_str().unwrap()) && words.contains("Only programs on this machine"),
        "{words}"
    );

    homes.run("ada", &["down"]).done();
    assert!(TcpStream::connect(listen).is_err(), "it ends with its agent");
    assert_eq!(status(&homes, "ada"), json!({ "running": false }));
}

#[test]
fn rv16_after_the_host_was_killed_and_came_back_members_find_each_other_again() {
    let homes = Homes::new();
    let serving = ada_hosts(&homes, &[]);
    ada_and_ben(&homes);
    write(&homes, "ada", "[before]");
    until(&homes, "ben", "[before]");

    kill(homes.agent("ada"));
    write(&homes, "ben", "[while the host was dead]");
    // Any command starts the agent, and with it the server: same address, same key, or Ben would not come near it.
    until(&homes, "ada", "[while the host was dead]");
    assert_eq!(status(&homes, "ada")["serving"], serving);

    // Politely ended, with both away, and Ben's link not there to help.
    homes.run("ben", &["down"]).done();
    homes.run("ada", &["down"]).done();
    write(&homes, "ben", "[ben came first]");
    until(&homes, "ada", "[ben came first]");
    // Newcomers find their way in there, too.
    let ticket = homes.run("ben", &["--json", "invite", "notes"]).json()["ticket"].clone();
    homes.run("cleo", &["join", ticket.as_str().unwrap(), "--timeout", "60s"]).done();
    until(&homes, "cleo", "[ben came first]");
}

#[test]
fn rv16_a_running_agent_begins_and_ends_to_host_and_old_rooms_keep_their_servers() {
    let (homes, elsewhere) = (Homes::new(), Rendezvous::start());
    homes.run("ada", &["create", "old", "--server", &elsewhere.url]).done();
    assert_eq!(homes.run("ada", &["--json", "create", "none"]).fails(), "no_server");
    let serving = ada_hosts(&homes, &["--no-page"]);
    assert!(
        root_of(serving["listen"].as_str().unwrap()).contains("A Symbolon rendezvous server."),
        "no page"
    );
    let made = homes.run("ada", &["--json", "create", "new"]).json();
    assert_eq!(made["servers"], serving["servers"]);
    // Told once more, it moves; what is in tickets by then is the user's to keep.
    let moved = ada_hosts(&homes, &[]);
    assert_ne!(moved["listen"], serving["listen"]);
    assert_eq!(moved["key"], serving["key"]);
    assert!(TcpStream::connect(serving["listen"].as_str().unwrap()).is_err());

    let rooms = homes.run("ada", &["--json", "rooms"]).json();
    let servers = |name: &str| {
        rooms.as_array().unwrap().iter().find(|room| room["name"] == name).unwrap()["servers"].clone()
    };
    assert_eq!(servers("old"), json!([elsewhere.url]));
    assert_eq!(servers("new"), serving["servers"]);

    let stopped = homes.run("ada", &["--json", "up", "--no-serve"]).json();
    assert_eq!((&stopped["serving"], &stopped["started"]), (&Value::Null, &json!(false)));
    assert!(TcpStream::connect(moved["listen"].as_str().unwrap()).is_err());
    kill(homes.agent("ada"));
    assert_eq!(homes.run("ada", &["--json", "up"]).json()["serving"], Value::Null, "it stays so");
}

#[test]
fn rv16_a_port_that_is_taken_is_said_and_taken_up_when_it_is_free() {
    let homes = Homes::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    // Asked for, it is a failure, of the agent in the foreground as of one in the background.
    for foreground in [&[][..], &["--foreground"]] {
        let words = [&["--json", "up", "--serve", &address], foreground].concat();
        let ran = homes.run("ada", &words);
        assert!(ran.out.contains("is taken by another program"), "{ran:?}");
        assert_eq!(ran.fails(), "serve");
        homes.run("ada", &["down"]).done();
    }
    drop(taken);
    homes.run("ada", &["up", "--serve", &address]).done();
    homes.run("ada", &["create", "notes"]).done();
    homes.run("ada", &["down"]).done();

    // Chosen before, it is no reason to keep the rooms shut.
    let taken = TcpListener::bind(&address).unwrap();
    write(&homes, "ada", "[written all the same]");
    let serving = status(&homes, "ada")["serving"].clone();
    assert!(serving["trouble"].as_str().unwrap().contains("is taken by another program"), "{serving}");
    let mut listener = homes.connect("ada");
    listener.call("subscribe", json!({}));
    drop(taken);
    while listener.event("server")["connected"] != true {}
    assert_eq!(status(&homes, "ada")["serving"]["trouble"], Value::Null);
}

#[test]
fn rv16_the_host_reaches_its_server_whatever_others_dial() {
    let homes = Homes::new();
    let serving = ada_hosts(&homes, &["--serve-as", "wss://rooms.example.org"]);
    assert_eq!(serving["servers"], json!(["wss://rooms.example.org"]));
    assert_eq!(serving["audience"], "everybody");
    let mut listener = homes.connect("ada");
    listener.call("subscribe", json!({}));
    homes.run("ada", &["create", "notes"]).done();
    // Nobody resolves that name, and nothing speaks TLS.
    let event = listener.event("server");
    assert_eq!((&event["server"], &event["connected"]), (&serving["servers"][0], &json!(true)));
}

#[test]
fn rv16_in_the_foreground_it_says_where_it_hosts_and_ends_at_a_signal() {
    let homes = Homes::new();
    let mut command = homes.command("ada", &["--json", "up", "--foreground", "--serve", "127.0.0.1:0"]);
    let mut agent = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(agent.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let said: Value = serde_json::from_str(&line).unwrap();
    let listen = said["serving"]["listen"].as_str().unwrap();
    assert!(TcpStream::connect(listen).is_ok());
    let pid = agent.id().to_string();
    assert!(std::process::Command::new("kill").arg(&pid).status().unwrap().success());
    assert!(agent.wait().unwrap().success());
    assert!(TcpStream::connect(listen).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn rv16_a_peer_of_the_library_hosts_for_its_rooms() {
    let homes = tempfile::tempdir().unwrap();
    let peer = async |name: &str| {
        let mut options = Options::new(homes.path().join(name));
        options.rtc.bind = Some(vec!["127.0.0.1".parse().unwrap()]);
        Peer::open_with(options).await.unwrap()
    };
    let (a, b) = (peer("a").await, peer("b").await);
    let hosted = a.serve(&Serve::new("127.0.0.1:0".parse().unwrap())).await.unwrap();
    assert_eq!(hosted.audience, Audience::Machine);
    assert_eq!(a.hosted().await.unwrap(), Some(hosted.clone()));
    let room = a.create("notes", &[]).await.unwrap();
    a.insert(room, "main", None, "hello").await.unwrap();
    let ticket = a.invite(room, InviteRequest::default()).await.unwrap();
    b.join(&ticket, Duration::from_secs(40)).await.unwrap();
    assert_eq!(b.text(room, "main").await.unwrap(), "hello");
    a.close().await;
    assert!(TcpStream::connect(hosted.listen).is_err());
    b.close().await;
}
