//! Those who mean well: pairs in rooms of their own, who number what they send and check what they are sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use symbolon_core::id::{SessionId, Topic};
use symbolon_core::origin::Origin;
use symbolon_core::signal::{Bytes, ClientMessage, RefusalCode, ServerMessage};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;

use crate::client::{Client, Socket, topic};

/// Between two signals of one client.
const PACE: Duration = Duration::from_millis(50);

/// Clients, in pairs.
pub(crate) struct Honest {
    clients: Vec<JoinHandle<Result<Heard, String>>>,
    common: Arc<Common>,
}

struct Common {
    began: Instant,
    quiet: AtomicBool,
    sent: AtomicU64,
    received: AtomicU64,
}

/// What one client found.
pub(crate) struct Heard {
    /// From one client's send to the other's receipt, in microseconds.
    delays: Vec<u32>,
    /// Whether the server said that it stops.
    told: bool,
}

/// What all found.
pub(crate) struct Found {
    pub(crate) sent: u64,
    pub(crate) received: u64,
    /// Sorted.
    pub(crate) delays: Vec<u32>,
    pub(crate) told: usize,
    pub(crate) wrong: Vec<String>,
}

impl Honest {
    pub(crate) async fn start(origin: &Origin, pairs: usize) -> Self {
        let common = Arc::new(Common {
            began: Instant::now(),
            quiet: AtomicBool::new(false),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
        });
        let mut clients = Vec::new();
        for pair in 0..pairs {
            let room = topic(200, pair);
            let mut a = Client::signed_in(origin).await;
            let mut b = Client::signed_in(origin).await;
            a.enter(room).await;
            b.enter(room).await;
            let (of_a, of_b) = (a.session, b.session);
            clients.push(tokio::spawn(converse(a.socket, room, of_b, Arc::clone(&common))));
            clients.push(tokio::spawn(converse(b.socket, room, of_a, Arc::clone(&common))));
        }
        Self { clients, common }
    }

    /// No more is sent; waits until all that was sent has come, or half a minute.
    pub(crate) async fn quieten(&self) {
        self.common.quiet.store(true, Ordering::SeqCst);
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            tokio::time::sleep(4 * PACE).await;
            let sent = self.common.sent.load(Ordering::SeqCst);
            if sent == self.common.received.load(Ordering::SeqCst) || Instant::now() > until {
                return;
            }
        }
    }

    /// Waits until the server has ended all of them.
    pub(crate) async fn ended(self) -> Found {
        let mut found = Found { sent: 0, received: 0, delays: Vec::new(), told: 0, wrong: Vec::new() };
        for client in self.clients {
            match client.await {
                Ok(Ok(Heard { delays, told })) => {
                    found.delays.extend(delays);
                    found.told += usize::from(told);
                }
                Ok(Err(wrong)) => found.wrong.push(wrong),
                Err(panicked) => found.wrong.push(panicked.to_string()),
            }
        }
        found.sent = self.common.sent.load(Ordering::SeqCst);
        found.received = self.common.received.load(Ordering::SeqCst);
        found.delays.sort_unstable();
        found
    }
}

impl Found {
    /// In milliseconds.
    pub(crate) fn percentile(&self, percent: f64) -> f64 {
        let place = (self.delays.len() as f64 * percent / 100.0) as usize;
        self.delays
            .get(place.min(self.delays.len().saturating_sub(1)))
            .map_or(f64::NAN, |us| f64::from(*us) / 1000.0)
    }
}

/// Sends at its pace and checks that nothing is missing of what comes.
async fn converse(
    socket: Socket,
    room: Topic,
    other: SessionId,
    common: Arc<Common>,
) -> Result<Heard, String> {
    let (mut write, mut read) = socket.split();
    let mut heard = Heard { delays: Vec::new(), told: false };
    let (mut sent, mut received) = (0_u64, 0_u64);
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            message = read.next() => match message {
                Some(Ok(Message::Text(text))) => match ServerMessage::decode(text.as_str()) {
                    Ok(ServerMessage::Signal { from, body: Bytes(body), .. }) if from == other => {
                        let number = |at: usize| body.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
                        if number(0) != Some(received) {
                            return Err(format!("signal {received} was awaited, and {:?} came", number(0)));
                        }
                        received += 1;
                        common.received.fetch_add(1, Ordering::SeqCst);
                        let delay = common.began.elapsed().as_micros() as u64 - number(8).unwrap_or(0);
                        heard.delays.push(u32::try_from(delay).unwrap_or(u32::MAX));
                    }
                    Ok(ServerMessage::Error(refusal)) if refusal.code == RefusalCode::ShuttingDown => heard.told = true,
                    Ok(ServerMessage::Arrived { .. } | ServerMessage::Left { .. } | ServerMessage::Welcome { .. }) => {}
                    other => return Err(format!("{other:?} came")),
                },
                Some(Ok(_)) => {}
                Some(Err(_)) | None if common.quiet.load(Ordering::SeqCst) => return Ok(heard),
                end => return Err(format!("the connection ended in the middle: {end:?}")),
            },
            _ = pace.tick() => if !common.quiet.load(Ordering::SeqCst) {
                let now = common.began.elapsed().as_micros() as u64;
                let size = 200 + (sent as usize * 997) % 4000;
                let mut body = vec![7; size];
                body[..8].copy_from_slice(&sent.to_be_bytes());
                body[8..16].copy_from_slice(&now.to_be_bytes());
                let text = ClientMessage::Signal { topic: room, to: other, body: Bytes(body) }.encode();
                sent += 1;
                common.sent.fetch_add(1, Ordering::SeqCst);
                if let Err(error) = write.send(Message::text(text)).await {
                    return Err(format!("the connection broke in the middle: {error}"));
                }
            },
        }
    }
}
