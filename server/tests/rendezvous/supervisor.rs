//! What systemd hears, at the socket it would have.

use tokio::net::UnixDatagram;

use crate::support::{ServerProcess, within};

/// The next state that systemd acts on; everything else is for people to read.
async fn next(socket: &UnixDatagram) -> String {
    let mut bytes = [0; 1024];
    let len = within(socket.recv(&mut bytes)).await.unwrap();
    let text = std::str::from_utf8(&bytes[..len]).unwrap();
    assert!(text.contains("STATUS="), "{text}");
    let states = text.lines().filter(|line| !line.starts_with("STATUS="));
    states.map(|line| line.split_once("_USEC=").map_or(line, |(name, _)| name)).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn rv9_systemd_is_told_when_a_server_is_ready_reloads_and_stops() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let server = ServerProcess::start_supervised(&["--key-file", "none", "--drain", "100ms"], &path);
    assert_eq!(next(&socket).await, "READY=1");
    server.signal("HUP");
    assert_eq!(next(&socket).await, "RELOADING=1 MONOTONIC");
    assert_eq!(next(&socket).await, "READY=1");
    server.signal("TERM");
    assert_eq!(next(&socket).await, "STOPPING=1");
    assert_eq!(next(&socket).await, "STOPPING=1");
    assert!(server.ended().await);
}
