//! TURN through streams: messages say where they end (RFC 8656 §12.5, RFC 8489 §6.2.2).

use std::sync::Arc;
use std::time::Duration;

use symbolon_core::rendezvous::turn::{Cut, cut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::io::{BREATHER, Turn};
use super::machine::{Client, Via, canonical};

/// From the connection, or from the end of the last relay, to the next.
const RELAY_WITHIN: Duration = Duration::from_secs(30);

/// What may wait for one client; the rest is dropped, as datagrams are.
const WAITING: usize = 256;

/// What is read at once.
const READ: usize = 16 * 1024;

/// Serves connections until it is stopped.
pub(super) async fn accept(turn: Arc<Turn>, listener: TcpListener, tls: Option<TlsAcceptor>) {
    let (open, _closed) = mpsc::channel(1);
    // They end with this.
    let mut served = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = served.join_next() => continue,
        };
        let Ok((stream, address)) = accepted else {
            tokio::time::sleep(BREATHER).await;
            continue;
        };
        let address = canonical(address);
        let Ok(seat) = turn.door.enter(address.ip(), &open, turn.clock.now()) else {
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (turn, tls) = (Arc::clone(&turn), tls.clone());
        served.spawn(async move {
            let _seat = seat;
            let Some(tls) = tls else { return serve(&turn, stream, address).await };
            if let Ok(Ok(stream)) = tokio::time::timeout(RELAY_WITHIN, tls.accept(stream)).await {
                serve(&turn, stream, address).await;
            }
        });
    }
}

/// Serves one connection until it ends.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Send + 'static>(
    turn: &Turn,
    stream: S,
    address: std::net::SocketAddr,
) {
    let (writer, mut waiting) = mpsc::channel::<Vec<u8>>(WAITING);
    let client = Client { address, via: Via::Stream(turn.stream_opened(writer)) };
    let (mut from, mut to) = tokio::io::split(stream);
    let write = async {
        while let Some(bytes) = waiting.recv().await {
            if to.write_all(&bytes).await.is_err() || to.flush().await.is_err() {
                return;
            }
        }
    };
    let read = async {
        let mut left = Vec::new();
        let mut serves = false;
        loop {
            let read = read_more(&mut from, &mut left);
            let more = if serves {
                read.await
            } else {
                match tokio::time::timeout(RELAY_WITHIN, read).await {
                    Ok(more) => more,
                    Err(_) => return,
                }
            };
            if !more {
                return;
            }
            let mut at = 0;
            loop {
                let rest = left.get(at..).unwrap_or_default();
                match cut(rest) {
                    Cut::Garbage => return,
                    Cut::Incomplete => break,
                    Cut::Message { len, padded } => {
                        serves = turn.stream_message(client, rest.get(..len).unwrap_or_default());
                        at += padded;
                    }
                }
            }
            left.drain(..at);
            if left.is_empty() {
                left = Vec::new();
            }
        }
    };
    tokio::select! {
        () = write => {}
        () = read => {}
    }
    turn.stream_closed(client);
}

/// Adds what has come; false at the end. Never holds more than one message and one read.
async fn read_more(from: &mut (impl AsyncRead + Unpin), left: &mut Vec<u8>) -> bool {
    left.reserve(READ);
    matches!(from.read_buf(left).await, Ok(1..))
}
