//! Peers at two servers that act as one, behind one address.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use support::processes::Nats;
use support::{JOIN, deadline, ticket, until};
use symbolon::{Options, Origin, Peer};
use symbolon_core::crypto::keys::SignKey;
use symbolon_server::cluster::ClusterConfig;
use symbolon_server::{Config, KeySource, Server};
use tokio::net::{TcpListener, TcpStream};

/// Passes each connection on to the next server in turn; to any other if that one does not answer.
async fn balance(listener: TcpListener, servers: [SocketAddr; 2], taken: Arc<[AtomicUsize; 2]>) {
    for turn in 0.. {
        let Ok((mut near, _)) = listener.accept().await else { return };
        let taken = Arc::clone(&taken);
        tokio::spawn(async move {
            for place in [turn % 2, (turn + 1) % 2] {
                if let Ok(mut far) = TcpStream::connect(servers[place]).await {
                    taken[place].fetch_add(1, Ordering::SeqCst);
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                    return;
                }
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rv8_peers_at_different_servers_found_and_join_a_room() {
    let nats = Nats::start();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let origin: Origin = format!("ws://{}", listener.local_addr().unwrap()).parse().unwrap();
    let key = SignKey::from_secret(&rand::random());
    let server = async || {
        let cluster = ClusterConfig { nats: vec![nats.url().parse().unwrap()], ..ClusterConfig::default() };
        let (origins, key) = (vec![origin.clone()], KeySource::Given(key.clone()));
        let listen = ([127, 0, 0, 1], 0).into();
        Server::bind(Config { listen, origins, key, cluster, ..Config::default() }).await.unwrap()
    };
    let (first, second) = (server().await, server().await);
    let taken = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let addresses = [first.local_addr(), second.local_addr()];
    tokio::spawn(balance(listener, addresses, Arc::clone(&taken)));

    let homes = tempfile::tempdir().unwrap();
    let peer = async |name: &str| {
        let mut options = Options::new(homes.path().join(name));
        options.user = Some(name.to_owned());
        options.device_name = Some(format!("{name}'s"));
        options.rtc.bind = Some(vec!["127.0.0.1".parse().unwrap()]);
        Peer::open_with(options).await.unwrap()
    };
    let ada = peer("ada").await;
    let room = ada.create("plans", std::slice::from_ref(&origin)).await.unwrap();
    ada.insert(room, "main", None, "hello").await.unwrap();
    let ben = peer("ben").await;
    ben.join(&ticket(&ada, room).await, JOIN).await.unwrap();
    assert_eq!([0, 1].map(|n| taken[n].load(Ordering::SeqCst)), [1, 1], "one peer at each server");
    assert_eq!(ben.text(room, "main").await.unwrap(), "hello");
    assert_eq!([&first, &second].map(|server| server.cluster().unwrap().servers()), [1, 1]);

    // One of the servers goes: whoever was there comes back through the other, and newcomers find everybody.
    deadline(second.shutdown()).await.unwrap();
    let cleo = peer("cleo").await;
    cleo.join(&ticket(&ben, room).await, JOIN).await.unwrap();
    deadline(until(&cleo, async || support::linked(&cleo, room).await == 2)).await;
    cleo.insert(room, "main", None, " all").await.unwrap();
    deadline(until(&ada, async || ada.text(room, "main").await.is_ok_and(|text| text == "hello all"))).await;
    assert!(first.cluster().unwrap().is_connected());
    for peer in [ada, ben, cleo] {
        peer.close().await;
    }
}
