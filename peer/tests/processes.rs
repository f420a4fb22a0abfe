//! What holds when real processes die: agents and the server are killed with signal 9 and started again.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "support/processes.rs"]
mod processes;
#[path = "support/programs.rs"]
mod programs;

use processes::ServerProcess;
use programs::{Homes, kill};

const EVERYBODY: [&str; 3] = ["ada", "ben", "cleo"];

fn serve(listen: &str, homes: &Homes) -> ServerProcess {
    ServerProcess::start(listen, &homes.path("server.key"), &[""; 0])
}

/// A room of three, everybody linked with everybody.
fn three(homes: &Homes, server: &ServerProcess) {
    homes.run("ada", &["create", "plans", "--server", &server.url()]).done();
    for name in ["ben", "cleo"] {
        let invitation = homes.run("ada", &["--json", "invite", "plans"]).json();
        homes.run(name, &["join", invitation["ticket"].as_str().unwrap()]).done();
    }
    for name in EVERYBODY {
        homes.run(name, &["wait", "plans", "--members", "3", "--timeout", "60s"]).done();
    }
}

fn write(homes: &Homes, name: &str, text: &str) {
    homes.run(name, &["edit", "plans", "--insert", text]).done();
}

fn until(homes: &Homes, name: &str, text: &str) {
    homes.run(name, &["wait", "plans", "--text-contains", text, "--timeout", "60s"]).done();
}

fn links(homes: &Homes, name: &str) -> usize {
    let members = homes.run(name, &["--json", "members", "plans"]).json();
    members.as_array().unwrap().iter().filter(|member| member["link"] == "direct").count()
}

#[test]
fn me2_edits_reach_everybody_with_the_server_process_killed() {
    let homes = Homes::new();
    let server = serve("127.0.0.1:0", &homes);
    three(&homes, &server);
    drop(server);
    for name in EVERYBODY {
        write(&homes, name, &format!("[{name} writes on]"));
    }
    for name in EVERYBODY {
        for other in EVERYBODY {
            until(&homes, name, &format!("[{other} writes on]"));
        }
        assert_eq!(links(&homes, name), 2, "{name} lost a link with the server");
    }
    // An agent that dies now finds nobody, keeps what it has, and takes edits.
    kill(homes.agent("ben"));
    write(&homes, "ben", "[ben alone]");
    let text = homes.run("ben", &["cat", "plans"]).done();
    assert!(EVERYBODY.iter().all(|name| text.contains(&format!("[{name} writes on]"))), "{text}");
}

#[test]
fn me3_killed_agents_and_a_killed_server_find_each_other_again_and_lose_nothing() {
    let homes = Homes::new();
    let server = serve("127.0.0.1:0", &homes);
    let listen = server.listen.clone();
    three(&homes, &server);
    write(&homes, "ada", "[before]");
    until(&homes, "ben", "[before]");
    kill(homes.agent("ben"));
    write(&homes, "ada", "[while ben was dead]");
    until(&homes, "cleo", "[while ben was dead]");
    drop(server);
    // Ben comes back to a dead server and writes alone; Ada dies too and comes back.
    write(&homes, "ben", "[by ben alone]");
    kill(homes.agent("ada"));
    write(&homes, "ada", "[by ada after her death]");
    let _server = serve(&listen, &homes);
    for name in EVERYBODY {
        homes.run(name, &["wait", "plans", "--members", "3", "--timeout", "60s"]).done();
        for text in ["[before]", "[while ben was dead]", "[by ben alone]", "[by ada after her death]"] {
            until(&homes, name, text);
        }
    }
    let texts: Vec<String> = EVERYBODY.iter().map(|name| homes.run(name, &["cat", "plans"]).done()).collect();
    assert_eq!(texts[0], texts[1]);
    assert_eq!(texts[0], texts[2]);
}

#[test]
fn st9_an_edit_that_returned_0_survives_a_kill_right_after_it() {
    let homes = Homes::new();
    let server = serve("127.0.0.1:0", &homes);
    homes.run("ada", &["create", "plans", "--server", &server.url()]).done();
    let mut expected = String::new();
    for n in 0..12 {
        let agent = homes.agent("ada");
        let text = format!("[{n}]");
        write(&homes, "ada", &text);
        kill(agent);
        expected.push_str(&text);
    }
    assert_eq!(homes.run("ada", &["cat", "plans"]).done(), expected);
}

#[test]
fn ad4_a_third_peer_is_admitted_with_the_inviters_agent_killed() {
    let homes = Homes::new();
    let server = serve("127.0.0.1:0", &homes);
    homes.run("ada", &["create", "plans", "--server", &server.url()]).done();
    let for_ben = homes.run("ada", &["--json", "invite", "plans"]).json();
    homes.run("ben", &["join", for_ben["ticket"].as_str().unwrap()]).done();
    write(&homes, "ada", "hello");
    let for_cleo = homes.run("ben", &["--json", "invite", "plans"]).json();
    // The invite went to Ada over the mesh before; hers is in the same order of gossip as this mark.
    write(&homes, "ben", "[mark]");
    until(&homes, "ada", "[mark]");
    kill(homes.agent("ben"));
    homes.run("cleo", &["join", for_cleo["link"].as_str().unwrap()]).done();
    until(&homes, "cleo", "hello");
    let members = homes.run("cleo", &["--json", "members", "plans"]).json();
    assert_eq!(members.as_array().unwrap().len(), 3);
}
