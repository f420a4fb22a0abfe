//! Who is here, linked with whom, and what they show: real agents, and a server that keeps signals to itself.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "support/programs.rs"]
mod programs;
mod support;

use programs::{Homes, Rendezvous, kill};
use serde_json::{Value, json};
use support::World;
use support::proxy::Verdict;

/// Two homes, `a` and `b`, in the room `notes` and linked.
fn pair(server: &str) -> Homes {
    let homes = Homes::new();
    homes.run("a", &["create", "notes", "--server", server]).done();
    let invite = homes.run("a", &["--json", "invite", "notes"]).json();
    homes.run("b", &["join", invite["ticket"].as_str().unwrap()]).done();
    homes
}

fn until_edge(homes: &Homes, home: &str, state: &str) -> Value {
    let topology = homes.until(home, "topology", |topology| topology["edges"][0]["state"] == state);
    assert_eq!(topology["present"].as_array().unwrap().len(), 2);
    topology["edges"][0].clone()
}

fn reach(homes: &Homes, home: &str, reach: &str) {
    let so = |members: &Value| members.as_array().unwrap().iter().any(|member| member["reach"] == reach);
    homes.until(home, "members", so);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn me5_a_link_that_is_missing_is_shown_as_a_gap_and_as_a_claim_until_it_is_back() {
    let (_world, proxy) = World::behind_proxy().await;
    let homes = pair(&proxy.origin().to_string());
    let device = homes.run("b", &["--json", "id"]).json()["device"].clone();
    for home in ["a", "b"] {
        assert_eq!(until_edge(&homes, home, "confirmed")["by"], Value::Null);
        let words = homes.run(home, &["topology", "notes"]).done();
        assert!(words.starts_with("    1 2\n1 a   ●\n2 b ●\n\n"), "{words}");
        assert!(words.ends_with("\nConfirmed by both ends: 1 of 1.\n"), "{words}");
        assert!(homes.run(home, &["members", "notes"]).done().contains(" direct "));
    }

    proxy.hook(|frame| if frame.sent().is_some() { Verdict::Drop } else { Verdict::Pass });
    kill(homes.agent("b"));
    reach(&homes, "a", "away");
    let words = homes.run("a", &["topology", "notes"]).done();
    assert_eq!(words, "Nobody else is here.\n");
    let words = homes.run("a", &["members", "notes"]).done();
    assert!(words.contains("away since 20") && words.contains(" UTC"), "{words}");

    // It starts anew, is seen, and nothing that would link the two comes through.
    homes.agent("b");
    until_edge(&homes, "b", "gap");
    let words = homes.run("b", &["topology", "notes"]).done();
    assert!(words.contains("\n1 a   ·\n2 b ·\n"), "{words}");
    assert!(
        words.ends_with("\nConfirmed by both ends: 0 of 1.\n\nGaps:\n  a and b: neither reports a link\n")
    );
    assert_eq!(until_edge(&homes, "a", "claimed")["by"], device, "by its list from before");
    let words = homes.run("a", &["topology", "notes"]).done();
    assert!(words.contains("\n1 a   ◐\n2 b ◐\n"), "{words}");
    assert!(
        words.ends_with("\nOne-sided:\n  b reports a link with a; a does not report one with b\n"),
        "{words}"
    );
    reach(&homes, "a", "connecting");

    proxy.honest();
    for home in ["a", "b"] {
        until_edge(&homes, home, "confirmed");
        reach(&homes, home, "direct");
    }
}

#[test]
fn st5_what_a_member_shows_reaches_the_others_and_goes_with_it() {
    let server = Rendezvous::start();
    let homes = pair(&server.url);
    let device = homes.run("a", &["--json", "id"]).json()["device"].clone();
    let (mut a, mut b) = (homes.connect("a"), homes.connect("b"));
    b.call("subscribe", json!({ "room": "notes" }));
    for cursor in [3, 4] {
        let state = json!({ "user": { "name": "Ada" }, "cursor": cursor });
        assert_eq!(a.call("show", json!({ "room": "notes", "state": state })), json!({}));
        let shown = b.event("shown");
        assert_eq!((&shown["device"], &shown["state"]), (&device, &state));
        let mut fields = shown.clone();
        for extra in ["type", "room"] {
            fields.as_object_mut().unwrap().remove(extra);
        }
        for home in ["a", "b"] {
            assert_eq!(homes.connect(home).call("presence", json!({ "room": "notes" })), json!([fields]));
        }
    }
    a.ask("show", json!({ "room": "notes", "state": "x".repeat(17_000) }));
    assert_eq!(a.next().unwrap()["error"]["data"]["code"], "invalid_request");

    a.call("show", json!({ "room": "notes", "state": null }));
    assert_eq!(b.event("shown")["state"], Value::Null);
    a.call("show", json!({ "room": "notes", "state": { "cursor": 5 } }));
    assert_eq!(b.event("shown")["state"]["cursor"], 5);
    kill(homes.agent("a"));
    let gone = b.event("shown");
    assert_eq!((&gone["device"], &gone["state"]), (&device, &Value::Null));
    assert_eq!(homes.connect("b").call("presence", json!({ "room": "notes" })), json!([]));
}
