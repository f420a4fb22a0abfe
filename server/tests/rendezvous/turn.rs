//! STUN and TURN inside the server (RV7), by a client of its own.

use std::time::Duration;

use stun_types::message::MessageWriteVec;
use stun_types::message::{Message, MessageClass};
use stun_types::prelude::*;
use symbolon_core::id::SessionId;
use symbolon_core::rendezvous::{Rate, TurnSecret, TurnTerms};
use symbolon_core::signal::{IceServer, ServerMessage};
use symbolon_core::time::Now;
use symbolon_server::turn::{TurnConfig, TurnLimits};
use symbolon_server::{Config, Server};
use tokio::net::UdpSocket;
use turn_types::attribute::{Data, RequestedTransport, XorPeerAddress};
use turn_types::message::{ALLOCATE, CREATE_PERMISSION};

use crate::support::{Client, unix_ms, within};
use crate::turn_client::{TurnClient, indicated};

const SECRET: &str = "a secret of these tests";

/// A relay that may send to this machine, which is all a test has.
fn relay() -> TurnConfig {
    let here = "127.0.0.1:0".parse().unwrap();
    TurnConfig {
        udp: vec![here],
        tcp: vec![here],
        secret: Some(SECRET.into()),
        allow_private: vec!["127.0.0.0/8".parse().unwrap()],
        ..TurnConfig::default()
    }
}

async fn serve(turn: TurnConfig) -> Server {
    let listen = "127.0.0.1:0".parse().unwrap();
    Server::bind(Config { listen, turn, bans: false, ..Config::default() }).await.unwrap()
}

async fn signed_in(server: &Server) -> (Client, Vec<IceServer>) {
    Client::with_ice_servers(&server.origins()[0]).await
}

async fn peer() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.unwrap()
}

async fn heard(socket: &UdpSocket) -> (Vec<u8>, std::net::SocketAddr) {
    let mut buffer = [0; 2000];
    let (len, from) = within(socket.recv_from(&mut buffer)).await.unwrap();
    (buffer[..len].to_vec(), from)
}

#[tokio::test]
async fn rv7_a_client_learns_its_own_address() {
    let server = serve(relay()).await;
    let (_client, ice) = signed_in(&server).await;
    assert!(ice[0].urls[0].starts_with("stun:127.0.0.1:"), "{ice:?}");
    for transport in ["udp", "tcp"] {
        let mut turn = TurnClient::new(&ice, transport).await;
        assert_eq!(turn.mapped_address().await, turn.local_addr());
    }
}

#[tokio::test]
async fn rv7_data_is_relayed_both_ways_with_and_without_a_channel() {
    let server = serve(relay()).await;
    let (_client, ice) = signed_in(&server).await;
    for transport in ["udp", "tcp"] {
        let mut turn = TurnClient::new(&ice, transport).await;
        let peer = peer().await;
        let at = peer.local_addr().unwrap();
        let relayed = turn.allocate().await.unwrap();

        turn.permit(at).await.unwrap();
        turn.indicate(at, b"hello").await;
        assert_eq!(heard(&peer).await, (b"hello".to_vec(), relayed));
        peer.send_to(b"hello yourself", relayed).await.unwrap();
        assert_eq!(indicated(&turn.recv().await), (at, b"hello yourself".to_vec()));

        turn.bind(0x4000, at).await.unwrap();
        turn.send(b"\x40\x00\x00\x03abc").await;
        assert_eq!(heard(&peer).await, (b"abc".to_vec(), relayed));
        peer.send_to(b"defgh", relayed).await.unwrap();
        assert_eq!(turn.recv().await, b"\x40\x00\x00\x05defgh\0\0\0");

        assert_eq!(turn.refresh(Duration::from_secs(900)).await, Ok(900));
        assert_eq!(server.turn_use().unwrap().bytes, 5 + 14 + 3 + 5 + u64::from(transport == "tcp") * 27);
        assert_eq!(turn.refresh(Duration::ZERO).await, Ok(0));
        assert_eq!(turn.permit(at).await, Err(437));
        assert_eq!(server.turn_use().unwrap().allocations, 0);
    }
}

#[tokio::test]
async fn rv7_two_relays_of_one_server_reach_each_other() {
    // Nothing of this machine is allowed but the relays themselves.
    let server = serve(TurnConfig { allow_private: Vec::new(), ..relay() }).await;
    let (_client, ice) = signed_in(&server).await;
    let mut one = TurnClient::new(&ice, "udp").await;
    let mut two = TurnClient::new(&ice, "tcp").await;
    let (at_one, at_two) = (one.allocate().await.unwrap(), two.allocate().await.unwrap());
    one.permit(at_two).await.unwrap();
    two.permit(at_one).await.unwrap();
    one.indicate(at_two, b"hello").await;
    assert_eq!(indicated(&two.recv().await), (at_one, b"hello".to_vec()));

    // Other ports of the same address are not reached by it.
    let service = peer().await;
    one.indicate(service.local_addr().unwrap(), b"not for you").await;
    assert!(one.drain().await.is_empty());
    assert!(service.try_recv(&mut [0; 9]).is_err());
}

#[tokio::test]
async fn rv7_nobody_is_relayed_without_permission() {
    let server = serve(relay()).await;
    let (_client, ice) = signed_in(&server).await;
    let mut turn = TurnClient::new(&ice, "udp").await;
    let relayed = turn.allocate().await.unwrap();
    let stranger = UdpSocket::bind("127.0.0.2:0").await.unwrap();
    stranger.send_to(b"let me in", relayed).await.unwrap();
    turn.indicate(stranger.local_addr().unwrap(), b"uninvited").await;
    turn.send(b"\x40\x00\x00\x03abc").await;
    assert!(turn.drain().await.is_empty());
    assert!(stranger.try_recv(&mut [0; 9]).is_err());
    assert_eq!(server.turn_use().unwrap().bytes, 0);
}

#[tokio::test]
async fn rv7_private_addresses_are_refused_unless_allowed() {
    let server = serve(TurnConfig { allow_private: vec!["10.1.0.0/16".parse().unwrap()], ..relay() }).await;
    let (_client, ice) = signed_in(&server).await;
    let mut turn = TurnClient::new(&ice, "udp").await;
    turn.allocate().await.unwrap();
    for bad in
        ["127.0.0.2:80", "10.0.0.1:80", "169.254.169.254:80", "100.64.0.1:80", "224.0.0.1:80", "0.0.0.0:80"]
    {
        assert_eq!(turn.permit(bad.parse().unwrap()).await, Err(403), "{bad}");
        assert_eq!(turn.bind(0x4001, bad.parse().unwrap()).await, Err(403), "{bad}");
    }
    assert_eq!(turn.permit("[2606:4700::1]:80".parse().unwrap()).await, Err(443));
    // In the guise of IPv6, too.
    assert_eq!(turn.permit("[::ffff:10.0.0.1]:80".parse().unwrap()).await, Err(403));
    turn.permit("10.1.2.3:80".parse().unwrap()).await.unwrap();
    turn.permit("203.0.113.7:80".parse().unwrap()).await.unwrap();
}

#[tokio::test]
async fn rv7_only_the_right_credentials_of_a_session_that_is_there_get_a_relay() {
    let server = serve(relay()).await;
    let (_client, ice) = signed_in(&server).await;
    let mut wrong = TurnClient::new(&ice, "udp").await;
    wrong.password.push('x');
    assert_eq!(wrong.allocate().await, Err(401));

    let mut made_up = TurnClient::new(&ice, "udp").await;
    made_up.username = "9999999999:AAAAAAAAAAAAAAAA".into();
    made_up.password = TurnSecret::new(SECRET.into()).password(&made_up.username);
    assert_eq!(made_up.allocate().await, Err(401), "signed with the secret, but of no session");

    let (client, ice) = signed_in(&server).await;
    let terms =
        TurnTerms { urls: Vec::new(), secret: TurnSecret::new(SECRET.into()), life: Duration::from_secs(1) };
    let before = Now { unix_ms: unix_ms() - 5000, ..Now::default() };
    let expired = terms.grant(&client.session(), before);
    let mut late = TurnClient::new(&ice, "udp").await;
    (late.username, late.password) = (expired.username, expired.credential);
    assert_eq!(late.allocate().await, Err(401));

    let foreign = terms.grant(&SessionId::from_bytes([9; 32]), Now { unix_ms: unix_ms(), ..Now::default() });
    let mut right = TurnClient::new(&ice, "udp").await;
    let name = std::mem::replace(&mut right.username, foreign.username);
    assert_eq!(right.allocate().await, Err(401));
    right.username = name;
    right.allocate().await.unwrap();
    right.username = ice[1].username.replacen(':', "0:", 1);
    right.password = TurnSecret::new(SECRET.into()).password(&right.username);
    assert_eq!(right.permit("127.0.0.1:9".parse().unwrap()).await, Err(441), "a relay has one owner");
    assert_eq!(server.turn_use().unwrap().allocations, 1);
}

#[tokio::test]
async fn rv7_relays_are_counted_by_session_by_address_and_in_all() {
    let limits = TurnLimits {
        allocations: 5,
        allocations_per_session: 2,
        allocations_per_address: 4,
        peers: 2,
        ..TurnLimits::default()
    };
    let server = serve(TurnConfig { limits, ..relay() }).await;
    let mut clients = Vec::new();
    let mut turns = Vec::new();
    for expected in [[Ok(()), Ok(()), Err(486)], [Ok(()), Ok(()), Err(486)], [Err(486), Err(486), Err(486)]] {
        let (client, ice) = signed_in(&server).await;
        for expected in expected {
            let mut turn = TurnClient::new(&ice, "udp").await;
            assert_eq!(turn.allocate().await.map(drop), expected);
            turns.push(turn);
        }
        clients.push(client);
    }
    assert_eq!(turns[0].refresh(Duration::ZERO).await, Ok(0));
    turns[8].allocate().await.unwrap();

    let turn = &mut turns[1];
    for (peer, expected) in [("1", Ok(())), ("2", Ok(())), ("2", Ok(())), ("3", Err(508))] {
        assert_eq!(turn.permit(format!("127.0.0.{peer}:9").parse().unwrap()).await, expected);
    }
    assert_eq!(turn.bind(0x4000, "127.0.0.1:9".parse().unwrap()).await, Ok(()));
    assert_eq!(turn.bind(0x4000, "127.0.0.1:9".parse().unwrap()).await, Ok(()));
    assert_eq!(turn.bind(0x4000, "127.0.0.1:10".parse().unwrap()).await, Err(400), "another peer");
    assert_eq!(turn.bind(0x4001, "127.0.0.1:9".parse().unwrap()).await, Err(400), "another channel");
    assert_eq!(turn.bind(0x5000, "127.0.0.1:11".parse().unwrap()).await, Err(400), "no channel");
}

#[tokio::test]
async fn rv7_a_relay_carries_no_more_than_its_bandwidth() {
    let bandwidth = Rate { per_second: 1, burst: 3000 };
    let limits = TurnLimits { bandwidth, ..TurnLimits::default() };
    let server = serve(TurnConfig { limits, ..relay() }).await;
    let (_client, ice) = signed_in(&server).await;
    let mut turn = TurnClient::new(&ice, "udp").await;
    let peer = peer().await;
    let at = peer.local_addr().unwrap();
    turn.allocate().await.unwrap();
    turn.permit(at).await.unwrap();
    for _ in 0..5 {
        turn.indicate(at, &[7; 1000]).await;
    }
    turn.drain().await;
    for _ in 0..3 {
        assert_eq!(heard(&peer).await.0.len(), 1000);
    }
    let used = server.turn_use().unwrap();
    assert_eq!((used.bytes, used.dropped), (3000, 2));
}

#[tokio::test]
async fn rv7_a_stranger_is_sent_less_than_it_sends_and_a_flood_of_garbage_changes_nothing() {
    let limits = TurnLimits { strangers: Rate { per_second: 1, burst: 20 }, ..TurnLimits::default() };
    let server = serve(TurnConfig { limits, ..relay() }).await;
    let (_client, ice) = signed_in(&server).await;
    let mut owner = TurnClient::new(&ice, "udp").await;
    owner.allocate().await.unwrap();

    // Requests without credentials, as somebody sends who gives another's address for its own.
    let mut stranger = TurnClient::new(&ice, "udp").await;
    let request = stranger.signed(ALLOCATE, &[&RequestedTransport::new(RequestedTransport::UDP)]);
    let mut sent = 0;
    for n in 0..2000u32 {
        let mut request = request.clone();
        request[16..20].copy_from_slice(&n.to_be_bytes());
        stranger.send(&request).await;
        sent += request.len();
        // The server has the same thread, and its queue an end.
        tokio::task::yield_now().await;
    }
    // Whatever a datagram may hold.
    for n in 0..2000usize {
        let mut garbage: Vec<u8> = (0..n % 200).map(|_| rand::random()).collect();
        if let (Some(first), true) = (garbage.first_mut(), n % 2 == 0) {
            *first &= 0x43;
        }
        stranger.send(&garbage).await;
        let mut broken = request.clone();
        let at = n % broken.len();
        broken[at] ^= 1 << (n % 8);
        stranger.send(&broken).await;
        sent += garbage.len() + broken.len();
        tokio::task::yield_now().await;
    }
    // The owner of a relay is answered all the same; by then all of the above has been handled or lost.
    owner.permit("127.0.0.1:9".parse().unwrap()).await.unwrap();
    owner.refresh(Duration::from_secs(600)).await.unwrap();
    let mut got = 0;
    let mut longest = 0;
    while let Ok(bytes) = tokio::time::timeout(Duration::from_millis(200), stranger.recv()).await {
        got += bytes.len();
        longest = longest.max(bytes.len());
    }
    assert!(got > 0 && got * 10 < sent, "{got} bytes for {sent}");
    assert!(longest <= 3 * request.len(), "{longest} bytes for {}", request.len());
    assert_eq!(server.turn_use().unwrap().allocations, 1);
}

#[tokio::test]
async fn rv7_signed_garbage_is_refused_and_harms_nothing() {
    let server = serve(relay()).await;
    let (_client, ice) = signed_in(&server).await;
    let mut turn = TurnClient::new(&ice, "tcp").await;
    turn.allocate().await.unwrap();
    let data = Data::new(b"?");
    let nothing = |_: &mut MessageWriteVec| {};
    assert_eq!(turn.ask(CREATE_PERMISSION, nothing).await, Err(400));
    assert_eq!(turn.ask(CREATE_PERMISSION, |out| out.add_attribute(&data).unwrap()).await, Err(420));
    assert_eq!(turn.ask(ALLOCATE, nothing).await, Err(437));
    assert_eq!(turn.ask(stun_types::message::Method::new(0xb), nothing).await, Err(400));
    let request =
        turn.signed(CREATE_PERMISSION, &[&XorPeerAddress::new("127.0.0.1:9".parse().unwrap(), 1.into())]);
    for at in 0..request.len() {
        let mut broken = request.clone();
        broken[at] ^= 0x10;
        // In a stream, the wrong length would make garbage of all that follows.
        if !(2..4).contains(&at) && at != 0 {
            turn.send(&broken).await;
        }
    }
    for answer in turn.drain().await {
        let answer = Message::from_bytes(&answer).unwrap();
        assert!(answer.has_class(MessageClass::Error) || answer.has_class(MessageClass::Success));
    }
    turn.permit("127.0.0.1:9".parse().unwrap()).await.unwrap();
    // What is neither STUN nor channel data ends the stream, and with it the relay.
    turn.send(b"POST / HTTP/1.1\r\n\r\n").await;
    within(async {
        while server.turn_use().unwrap().allocations > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn rv7_credentials_are_renewed_before_they_expire() {
    let server = serve(TurnConfig { life: Duration::from_secs(2), ..relay() }).await;
    let (mut client, ice) = signed_in(&server).await;
    let Some(ServerMessage::IceServers { ice_servers }) = client.next().await else {
        panic!("new credentials come next")
    };
    assert_eq!(ice_servers[0], ice[0]);
    assert_eq!(ice_servers[1].urls, ice[1].urls);
    assert_ne!(ice_servers[1].username, ice[1].username);
    TurnClient::new(&ice_servers, "udp").await.allocate().await.unwrap();
}
