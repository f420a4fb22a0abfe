//! The wall around `webrtc`, over loopback. One test at a time, since some count the sockets of this process.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::large_futures)]

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rtc::peer_connection::configuration::setting_engine::SctpMaxMessageSize;
use symbolon::rtc::{Connection, IceServer, MAX_MESSAGE, MAX_UNSENT, Rtc, RtcEvent, Settings};
use tokio::sync::mpsc::Receiver;
use tokio::sync::{Mutex, MutexGuard};
use webrtc::data_channel::DataChannel;
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCSessionDescription,
    SettingEngineBuilder,
};

static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// Ends a test that waits for something that never comes. Nothing here needs half of it, but for `silence`.
const DEADLINE: Duration = Duration::from_secs(30);

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("in time")
}

struct Side {
    connection: Connection,
    events: Receiver<RtcEvent>,
}

impl Side {
    fn new((connection, events): (Connection, Receiver<RtcEvent>)) -> Side {
        Side { connection, events }
    }

    async fn next(&mut self) -> RtcEvent {
        within(self.events.recv()).await.expect("Closed comes last, so there is one more event")
    }

    async fn description(&mut self) -> String {
        match self.next().await {
            RtcEvent::Description(sdp) => sdp,
            other => panic!("expected a description, got {other:?}"),
        }
    }

    async fn open(&mut self) {
        let event = self.next().await;
        assert!(matches!(event, RtcEvent::Open), "{event:?}");
    }

    async fn message(&mut self) -> Bytes {
        loop {
            match self.next().await {
                RtcEvent::Message(message) => return message,
                RtcEvent::Sent(_) => {}
                other => panic!("expected a message, got {other:?}"),
            }
        }
    }

    /// Reads on to the end. Fails if the connection opens, or if anything follows `Closed`.
    async fn closed(&mut self) -> String {
        loop {
            match self.next().await {
                RtcEvent::Closed(reason) => {
                    assert!(within(self.events.recv()).await.is_none(), "Closed comes once and last");
                    assert_ne!(reason, "the connection's task ended", "the task panicked");
                    return reason;
                }
                RtcEvent::Open => panic!("opened"),
                _ => {}
            }
        }
    }
}

async fn loopback() -> (Rtc, MutexGuard<'static, ()>) {
    let bind = Some(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]);
    (Rtc::new(Settings { bind, ..Settings::default() }), ONE_AT_A_TIME.lock().await)
}

/// An offerer and an answerer that have each other's description, as changed by `change`.
async fn introduced(rtc: &Rtc, change: impl Fn(String) -> String) -> (Side, Side) {
    let mut a = Side::new(rtc.offer(Vec::new()));
    let mut b = Side::new(rtc.answer(Vec::new(), change(a.description().await)));
    a.connection.accept_answer(change(b.description().await));
    (a, b)
}

async fn pair(rtc: &Rtc) -> (Side, Side) {
    let (mut a, mut b) = introduced(rtc, |sdp| sdp).await;
    a.open().await;
    b.open().await;
    (a, b)
}

/// The UDP sockets this process has open.
fn udp_sockets() -> usize {
    let tables: String = ["/proc/self/net/udp", "/proc/self/net/udp6"]
        .map(|path| std::fs::read_to_string(path).unwrap())
        .concat();
    let inodes: Vec<&str> = tables.lines().filter_map(|line| line.split_whitespace().nth(9)).collect();
    let links =
        std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
    links
        .filter(|link| inodes.iter().any(|inode| link.as_os_str() == format!("socket:[{inode}]").as_str()))
        .count()
}

fn candidate_json(line: &str) -> String {
    format!(r#"{{"candidate":"{line}","sdpMid":"0","sdpMLineIndex":0}}"#)
}

fn candidates(sdp: &str) -> Vec<String> {
    sdp.lines()
        .filter_map(|line| line.strip_prefix("a="))
        .filter(|line| line.starts_with("candidate:"))
        .map(candidate_json)
        .collect()
}

fn without_candidates(sdp: &str) -> String {
    sdp.lines().filter(|line| !line.contains("candidate")).flat_map(|line| [line, "\r\n"]).collect()
}

#[tokio::test]
async fn messages_go_both_ways() {
    let (rtc, _guard) = loopback().await;
    let (mut a, mut b) = pair(&rtc).await;
    a.connection.send(Bytes::from_static(b"to b"));
    b.connection.send(Bytes::from_static(b"to a"));
    assert_eq!(b.message().await, "to b");
    assert_eq!(a.message().await, "to a");
    let largest = Bytes::from(vec![1; MAX_MESSAGE]);
    a.connection.send(largest.clone());
    assert_eq!(b.message().await, largest);
    assert_eq!((rtc.made(), rtc.alive()), (2, 2));
}

#[tokio::test]
async fn without_settings_every_local_address_is_offered() {
    let (_, _guard) = loopback().await;
    let (mut a, mut b) = introduced(&Rtc::new(Settings::default()), |sdp| sdp).await;
    a.open().await;
    b.open().await;
    let mut c =
        Side::new(Rtc::new(Settings { bind: Some(Vec::new()), ..Settings::default() }).offer(Vec::new()));
    assert!(c.closed().await.starts_with("no local address could be bound"));
}

#[tokio::test]
async fn four_thousand_messages_arrive_in_order() {
    const SIZE: usize = 16 * 1024;
    let (rtc, _guard) = loopback().await;
    let (mut a, mut b) = pair(&rtc).await;
    let sending = async {
        let mut unsent = 0;
        for number in 0..4000_u32 {
            let mut message = vec![0; SIZE];
            message[..4].copy_from_slice(&number.to_be_bytes());
            a.connection.send(message.into());
            unsent += SIZE;
            while unsent + SIZE > MAX_UNSENT {
                match a.next().await {
                    RtcEvent::Sent(bytes) => unsent -= bytes,
                    other => panic!("{other:?}"),
                }
            }
        }
    };
    let receiving = async {
        for number in 0..4000_u32 {
            let message = b.message().await;
            assert_eq!((message.len(), &message[..4]), (SIZE, &number.to_be_bytes()[..]));
        }
    };
    tokio::join!(sending, receiving);
}

#[tokio::test]
async fn a_reader_that_stops_slows_its_peer_and_loses_nothing() {
    const SIZE: usize = 16 * 1024;
    let (rtc, _guard) = loopback().await;
    let (mut a, mut b) = pair(&rtc).await;
    let (mut given, mut taken) = (0, 0);
    // `b` reads nothing. The windows between here and there hold a few MiB, and then `Sent` must stop.
    loop {
        while given - taken + SIZE <= MAX_UNSENT {
            let number = u32::try_from(given / SIZE).unwrap();
            let message: BytesMut = number.to_be_bytes().iter().chain(&[0; SIZE - 4]).copied().collect();
            a.connection.send(message.freeze());
            given += SIZE;
        }
        match tokio::time::timeout(Duration::from_secs(1), a.events.recv()).await {
            Ok(Some(RtcEvent::Sent(bytes))) => taken += bytes,
            Ok(other) => panic!("{other:?}"),
            Err(_) => break,
        }
        assert!(given < 64 << 20, "nothing slows the sender");
    }
    for number in 0..u32::try_from(given / SIZE).unwrap() {
        assert_eq!(b.message().await[..4], number.to_be_bytes());
    }
}

#[tokio::test]
async fn a_close_reaches_the_peer_and_frees_everything() {
    let (rtc, _guard) = loopback().await;
    let before = udp_sockets();
    let (mut a, mut b) = pair(&rtc).await;
    assert_eq!(udp_sockets(), before + 2, "one socket a connection, none for multicast DNS");
    a.connection.close();
    a.connection.close();
    assert_eq!(a.closed().await, "closed here");
    assert_eq!(b.closed().await, "the peer closed the connection");
    assert_eq!((rtc.made(), rtc.alive(), udp_sockets()), (2, 0, before));
}

#[tokio::test]
async fn a_drop_closes_too_at_any_time() {
    let (rtc, _guard) = loopback().await;
    let before = udp_sockets();
    let (a, mut b) = pair(&rtc).await;
    drop(a.connection);
    assert_eq!(b.closed().await, "the peer closed the connection");
    let mut unread = a.events;
    while within(unread.recv()).await.is_some() {}

    let (connection, mut events) = rtc.offer(Vec::new());
    drop(connection);
    while within(events.recv()).await.is_some() {}

    let (mut a, b) = pair(&rtc).await;
    drop(b.events);
    assert_eq!(a.closed().await, "the peer closed the connection");

    let mut waiting = Side::new(rtc.offer(Vec::new()));
    waiting.description().await;
    drop(waiting.connection);
    while within(waiting.events.recv()).await.is_some() {}
    drop(b.connection);
    within(async {
        while rtc.alive() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(udp_sockets(), before);
}

#[tokio::test]
async fn bad_descriptions_close_with_a_reason() {
    let (rtc, _guard) = loopback().await;
    let mut whole = Side::new(rtc.offer(Vec::new()));
    let good = whole.description().await;
    let table = [
        (String::new(), "the peer's description is not one of a single data channel"),
        ("garbage".to_owned(), "the peer's description is not one of a single data channel"),
        (
            good.replace("m=application", "m=audio"),
            "the peer's description is not one of a single data channel",
        ),
        (
            format!("{good}{}", "a=x\r\n".repeat(10_000)),
            "the peer's description is not one of a single data channel",
        ),
        (good.replace("v=0", "v=zero"), "the peer's description was refused"),
        (good.replace("a=ice-ufrag", "a=nothing"), "the peer's description was refused"),
        (good.replace("a=fingerprint", "a=nothing"), "the peer's description was refused"),
    ];
    for (sdp, reason) in table {
        let mut b = Side::new(rtc.answer(Vec::new(), sdp.clone()));
        assert_eq!(b.closed().await, reason, "{sdp}");
        let mut a = Side::new(rtc.offer(Vec::new()));
        a.description().await;
        a.connection.accept_answer(sdp.replace("actpass", "passive"));
        assert_eq!(a.closed().await, reason, "{sdp}");
    }
    whole.connection.close();
    whole.closed().await;
    assert_eq!(rtc.alive(), 0);
}

#[tokio::test]
async fn mangled_descriptions_never_panic_or_hang() {
    let (rtc, _guard) = loopback().await;
    let mut whole = Side::new(rtc.offer(Vec::new()));
    let good = whole.description().await;
    for seed in 0..400_usize {
        let mut sdp = good.clone().into_bytes();
        let at = seed * 7919 % sdp.len();
        match seed % 4 {
            0 => sdp[at] = b"0:/ \n-9x"[seed / 4 % 8],
            1 => drop(sdp.drain(at..sdp.len().min(at + seed % 37))),
            2 => sdp.truncate(at),
            _ => sdp.splice(at..at, std::iter::repeat_n(b'9', seed % 23)).for_each(drop),
        }
        let Ok(sdp) = String::from_utf8(sdp) else { continue };
        let mut b = Side::new(rtc.answer(Vec::new(), sdp));
        if let RtcEvent::Closed(reason) = b.next().await {
            assert_ne!(reason, "the connection's task ended", "seed {seed} panicked");
        } else {
            b.connection.close();
            assert_eq!(b.closed().await, "closed here", "seed {seed}");
        }
    }
    assert_eq!(rtc.alive(), 1);
}

#[tokio::test]
async fn a_second_answer_closes() {
    let (rtc, _guard) = loopback().await;
    let (a, mut b) = pair(&rtc).await;
    b.connection.accept_answer("anything".to_owned());
    assert_eq!(b.closed().await, "an answer that nothing asked for");
    drop(a);
}

#[tokio::test]
async fn late_and_early_candidates_count_and_bad_ones_do_not() {
    let (rtc, _guard) = loopback().await;
    let mut a = Side::new(rtc.offer(Vec::new()));
    let offer = a.description().await;
    let mut b = Side::new(rtc.answer(Vec::new(), without_candidates(&offer)));
    let answer = b.description().await;
    for bad in ["", "garbage", "{}", r#"{"candidate":7}"#, r#"{"candidate":""}"#] {
        a.connection.add_candidate(bad.to_owned());
        b.connection.add_candidate(bad.to_owned());
    }
    b.connection.add_candidate(candidate_json("candidate:1 1 tcp 1 127.0.0.1 9 typ host tcptype passive"));
    b.connection.add_candidate(candidate_json("candidate:1 1 udp 1 peer.example 5000 typ host"));
    // Before the answer, for the offerer; after the descriptions, for the answerer.
    for candidate in candidates(&answer) {
        a.connection.add_candidate(candidate);
    }
    a.connection.accept_answer(without_candidates(&answer));
    // Late on purpose: nothing is awaited here.
    tokio::time::sleep(Duration::from_millis(300)).await;
    for candidate in candidates(&offer) {
        b.connection.add_candidate(candidate);
    }
    a.open().await;
    b.open().await;
}

#[tokio::test]
async fn a_slow_stun_server_delays_only_its_own_candidate() {
    let (rtc, _guard) = loopback().await;
    let server = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let stun =
        IceServer { urls: vec![format!("stun:{}", server.local_addr().unwrap())], ..IceServer::default() };
    let mut a = Side::new(rtc.offer(vec![stun]));
    let offer = a.description().await;
    assert_eq!(candidates(&offer).len(), 1);
    let mut request = [0; 1500];
    let (_, from) = within(server.recv_from(&mut request)).await.unwrap();
    // A success with one XOR-MAPPED-ADDRESS: 192.0.2.1, port 7 (RFC 8489, 14.2).
    let mut response = vec![1, 1, 0, 12];
    response.extend_from_slice(&request[4..20]);
    response.extend_from_slice(&[0, 0x20, 0, 8, 0, 1, 0x21, 7 ^ 0x12]);
    response.extend([192, 0, 2, 1].iter().zip(&request[4..8]).map(|(byte, mask)| byte ^ mask));
    server.send_to(&response, from).await.unwrap();
    match a.next().await {
        RtcEvent::Candidate(json) => {
            assert!(json.contains("192.0.2.1 7 typ srflx"), "{json}");
            assert!(json.contains(r#""sdpMid":"0","sdpMLineIndex":0"#), "{json}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_swapped_fingerprint_never_opens() {
    let (rtc, _guard) = loopback().await;
    let zeroed = |sdp: String| {
        let (head, tail) = sdp.split_once("a=fingerprint:sha-256 ").unwrap();
        format!("{head}a=fingerprint:sha-256 00:00{}", &tail[5..])
    };
    let swapped = async |of_the_offer: bool| {
        let mut a = Side::new(rtc.offer(Vec::new()));
        let offer = a.description().await;
        let mut b = Side::new(rtc.answer(Vec::new(), if of_the_offer { zeroed(offer) } else { offer }));
        let answer = b.description().await;
        a.connection.accept_answer(if of_the_offer { answer } else { zeroed(answer) });
        // One side notices the wrong fingerprint, the other that the handshake leads nowhere.
        tokio::join!(a.closed(), b.closed());
    };
    tokio::join!(swapped(false), swapped(true));
    assert_eq!(rtc.alive(), 0);
}

#[tokio::test]
async fn too_much_to_send_closes() {
    let (rtc, _guard) = loopback().await;
    let (mut a, mut b) = pair(&rtc).await;
    a.connection.send(Bytes::from(vec![0; MAX_MESSAGE + 1]));
    assert_eq!(a.closed().await, "a message to send was above 64 KiB");
    assert_eq!(b.closed().await, "the peer closed the connection");

    let mut a = Side::new(rtc.offer(Vec::new()));
    a.description().await;
    for _ in 0..=MAX_UNSENT / MAX_MESSAGE {
        a.connection.send(Bytes::from(vec![0; MAX_MESSAGE]));
    }
    assert_eq!(a.closed().await, "more than 256 KiB were waiting to be sent");
}

/// A path between two peers that can be cut.
async fn relay(a: SocketAddr, b: SocketAddr, socket: Arc<tokio::net::UdpSocket>) {
    let mut buffer = vec![0; 65_536];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        let _ = socket.send_to(&buffer[..length], if from == a { b } else { a }).await;
    }
}

fn address(sdp: &str) -> SocketAddr {
    let line = sdp.lines().find(|line| line.starts_with("a=candidate:")).unwrap();
    let fields: Vec<&str> = line.split(' ').collect();
    format!("{}:{}", fields[4], fields[5]).parse().unwrap()
}

#[tokio::test]
async fn silence_ends_a_connection() {
    let (rtc, _guard) = loopback().await;
    let middle = Arc::new(tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let port = middle.local_addr().unwrap().port();
    let moved = |sdp: &str| sdp.replace(&format!(" {} typ", address(sdp).port()), &format!(" {port} typ"));
    let mut a = Side::new(rtc.offer(Vec::new()));
    let offer = a.description().await;
    let mut b = Side::new(rtc.answer(Vec::new(), moved(&offer)));
    let answer = b.description().await;
    let path = tokio::spawn(relay(address(&offer), address(&answer), Arc::clone(&middle)));
    a.connection.accept_answer(moved(&answer));
    a.open().await;
    b.open().await;
    path.abort();
    let start = std::time::Instant::now();
    assert_eq!(a.closed().await, "no path to the peer, or it is not who its description says");
    assert_eq!(b.closed().await, "no path to the peer, or it is not who its description says");
    println!("noticed after {:.1?}", start.elapsed());
}

struct Stranger;
impl PeerConnectionEventHandler for Stranger {}

/// A peer that speaks `webrtc` without the wall, and its channels.
async fn stranger(
    rtc: &Rtc,
    labels: &[&str],
) -> (impl PeerConnection + use<>, Vec<Arc<dyn DataChannel>>, Side) {
    let stranger = PeerConnectionBuilder::new()
        .with_handler(Arc::new(Stranger))
        .with_setting_engine(
            SettingEngineBuilder::new().with_sctp_max_message_size(SctpMaxMessageSize::Unbounded).build(),
        )
        .with_udp_addrs(vec!["127.0.0.1:0"])
        .build()
        .await
        .unwrap();
    let mut channels = Vec::new();
    for label in labels {
        channels.push(stranger.create_data_channel(label, None).await.unwrap());
    }
    let offer = stranger.create_offer(None).await.unwrap();
    stranger.set_local_description(offer).await.unwrap();
    let offer = stranger.local_description().await.unwrap();
    let mut b = Side::new(rtc.answer(Vec::new(), offer.sdp));
    // Whatever the answer says of sizes, this peer goes beyond.
    let answer = b.description().await.replace("a=max-message-size:65536", "a=max-message-size:262144");
    stranger.set_remote_description(RTCSessionDescription::answer(answer).unwrap()).await.unwrap();
    (stranger, channels, b)
}

#[tokio::test]
async fn a_channel_that_is_not_ours_closes() {
    let (rtc, _guard) = loopback().await;
    let (other, _channels, mut b) = stranger(&rtc, &["other"]).await;
    assert_eq!(b.closed().await, "the peer opened a channel that is not ours");
    other.close().await.unwrap();

    let (two, _channels, mut b) = stranger(&rtc, &["symbolon", "symbolon"]).await;
    let reason = loop {
        match b.next().await {
            RtcEvent::Open => {}
            RtcEvent::Closed(reason) => break reason,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(reason, "the peer opened a channel that is not ours");
    two.close().await.unwrap();
    assert_eq!(rtc.alive(), 0);
}

#[tokio::test]
async fn a_message_above_the_limit_is_not_accepted() {
    let (rtc, _guard) = loopback().await;
    let (peer, channels, mut b) = stranger(&rtc, &["symbolon"]).await;
    b.open().await;
    channels[0].send(BytesMut::from(&vec![1; 3 * MAX_MESSAGE][..])).await.unwrap();
    channels[0].send(BytesMut::from(&b"small"[..])).await.unwrap();
    assert_eq!(b.message().await, "small");
    peer.close().await.unwrap();
    assert_eq!(b.closed().await, "the peer closed the connection");
}
