//! Peers that are given no other way than the server's relay, on real sockets.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::pedantic)]

mod support;

use std::time::Duration;

use support::{World, deadline, until};
use symbolon::Peer;
use symbolon_server::turn::{TurnConfig, TurnUse};

/// A relay on this machine, which may send to this machine: there is no other in a test.
fn relay() -> TurnConfig {
    TurnConfig { allow_private: vec!["127.0.0.0/8".parse().unwrap()], ..TurnConfig::default() }
}

fn used(world: &World) -> TurnUse {
    world.server.as_ref().unwrap().turn_use().unwrap()
}

async fn relayed_peer(world: &World, name: &str) -> Peer {
    let mut options = world.options(name);
    options.rtc.relay_only = true;
    Peer::open_with(options).await.unwrap()
}

/// Two peers meet through the relay and through nothing else, and what one writes reaches the other.
async fn meet_through(turn: TurnConfig) {
    let world = World::with_relay(turn).await;
    let a = relayed_peer(&world, "a").await;
    let room = a.create("plans", &[world.origin()]).await.unwrap();
    let b = relayed_peer(&world, "b").await;
    let ticket = support::ticket(&a, room).await;
    b.join(&ticket, support::JOIN).await.unwrap();
    let text = "through the relay ".repeat(5000);
    a.insert(room, "main", None, &text).await.unwrap();
    deadline(world.until_text(&b, room, &text)).await;
    assert!(used(&world).bytes > text.len() as u64, "{:?}", used(&world));

    // Whoever leaves gives its relays back.
    b.close().await;
    deadline(until(&a, async || support::linked(&a, room).await == 0)).await;
    a.close().await;
    deadline(async {
        while used(&world).allocations > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rv7_two_peers_with_nothing_but_the_relay_meet_over_udp() {
    meet_through(TurnConfig { udp: vec!["127.0.0.1:0".parse().unwrap()], ..relay() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rv7_two_peers_with_nothing_but_the_relay_meet_over_tcp() {
    meet_through(TurnConfig { tcp: vec!["127.0.0.1:0".parse().unwrap()], ..relay() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rv7_a_direct_way_is_preferred_to_the_relay() {
    let here = vec!["127.0.0.1:0".parse().unwrap()];
    let world = World::with_relay(TurnConfig { udp: here.clone(), tcp: here, ..relay() }).await;
    let a = world.peer("a").await;
    let room = a.create("plans", &[world.origin()]).await.unwrap();
    let b = world.joined("b", &a, room).await;
    let text = "not through the relay ".repeat(5000);
    a.insert(room, "main", None, &text).await.unwrap();
    deadline(world.until_text(&b, room, &text)).await;
    assert!(used(&world).bytes < 10_000, "{:?}", used(&world));
}
