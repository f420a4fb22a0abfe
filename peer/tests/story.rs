//! The story of the design, steps 1 to 5, on real sockets and real WebRTC.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::Duration;

use support::{World, deadline};
use symbolon::{InviteRequest, PeerEvent};
use symbolon_core::node::Event;

#[tokio::test(flavor = "multi_thread")]
async fn ad1_a_ticket_opens_a_room_and_the_text_converges() {
    let world = World::new().await;
    let a = world.peer("a").await;
    let b = world.peer("b").await;
    let room = a.create("plans", &[world.origin()]).await.unwrap();
    a.insert(room, "main", None, "hello").await.unwrap();
    let ticket = a.invite(room, InviteRequest::default()).await.unwrap();
    let started = std::time::Instant::now();
    assert_eq!(b.join(&ticket, Duration::from_secs(20)).await.unwrap(), room);
    println!("joined in {:?}", started.elapsed());
    assert_eq!(b.text(room, "main").await.unwrap(), "hello");
    b.insert(room, "main", None, " world").await.unwrap();
    deadline(world.until_text(&a, room, "hello world")).await;
    let c = world.peer("c").await;
    let ticket = b.invite(room, InviteRequest::default()).await.unwrap();
    c.join(&ticket, Duration::from_secs(20)).await.unwrap();
    assert_eq!(c.text(room, "main").await.unwrap(), "hello world");
    for peer in [&a, &b, &c] {
        deadline(world.until_links(peer, room, 2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn me2_a_lost_link_is_signalled_over_the_mesh_with_the_server_gone() {
    let mut world = World::new().await;
    let room = {
        let a = world.peer("a").await;
        let room = a.create("plans", &[world.origin()]).await.unwrap();
        let request = InviteRequest { uses: 2, ..InviteRequest::default() };
        let ticket = a.invite(room, request).await.unwrap();
        let (b, c) = (world.peer("b").await, world.peer("c").await);
        for peer in [&b, &c] {
            peer.join(&ticket, Duration::from_secs(20)).await.unwrap();
        }
        for peer in [&a, &b, &c] {
            deadline(world.until_links(peer, room, 2)).await;
        }
        world.server.take().unwrap().shutdown().await.unwrap();
        let made = b.counters().await.unwrap().connections_made;
        let mut events = b.subscribe();
        b.reset_link(room, c.device()).await.unwrap();
        deadline(async {
            let up = |event: &PeerEvent| matches!(event, PeerEvent::Node(Event::LinkUp { device, .. }) if *device == c.device());
            while !up(&events.recv().await.unwrap()) {}
        })
        .await;
        assert!(
            b.counters().await.unwrap().connections_made > made,
            "a new connection, made without a server"
        );
        b.insert(room, "main", None, "over the new link").await.unwrap();
        deadline(world.until_text(&c, room, "over the new link")).await;
        for peer in [&a, &b, &c] {
            peer.close().await;
        }
        room
    };
    drop((world, room));
}
