//! One function for each figure.

use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::client::{Client, Socket, signal, topic};
use crate::process::{Process, Server};

pub(crate) const PAIRS: usize = 8;
pub(crate) const BODY: usize = 1536;
const RUN: Duration = Duration::from_secs(5);

/// Bytes of resident memory that `count` clients take in all, each in so many rooms of its own; and how many are left of
/// them once they are gone.
pub(crate) async fn idle(threads: usize, count: usize, rooms: u8) -> (f64, f64) {
    let server = Server::unlimited(threads);
    drop(Client::signed_in(&server.origin).await);
    let before = server.process.resident() as f64;
    let mut clients = Vec::with_capacity(count);
    while clients.len() < count {
        let mut client = Client::signed_in(&server.origin).await;
        for room in 0..rooms {
            client.enter(topic(room, clients.len())).await;
        }
        clients.push(client);
    }
    let held = server.process.resident() as f64 - before;
    drop(clients);
    // Nothing says when the server has seen the last of them go.
    let mut left = f64::MAX;
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        left = left.min(server.process.resident() as f64 - before);
    }
    (held, left)
}

/// Clients that connect, sign in and go, per processor second of the server.
pub(crate) async fn connects(threads: usize) -> f64 {
    const COUNT: usize = 6000;
    const AT_ONCE: usize = 16;
    let server = Server::unlimited(threads);
    drop(Client::signed_in(&server.origin).await);
    let before = server.process.seconds();
    let tasks: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let origin = server.origin.clone();
            tokio::spawn(async move {
                for _ in 0..COUNT / AT_ONCE {
                    drop(Client::signed_in(&origin).await);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    COUNT as f64 / (server.process.seconds() - before)
}

/// Clients that enter rooms, one after the other: how many clients hear of it, per processor second of the server.
pub(crate) async fn arrivals(threads: usize) -> f64 {
    const CLIENTS: usize = 100;
    const ROOMS: usize = 40;
    let server = Server::unlimited(threads);
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(Client::signed_in(&server.origin).await);
    }
    let (entered, mut all_entered) = tokio::sync::mpsc::channel(CLIENTS);
    let mut doors = Vec::new();
    let mut readers = Vec::new();
    for client in clients {
        let (mut write, mut read) = client.socket.split();
        let (door, mut rooms) = tokio::sync::mpsc::channel::<Message>(1);
        doors.push(door);
        tokio::spawn(async move {
            while let Some(message) = rooms.recv().await {
                write.send(message).await.unwrap();
            }
        });
        let entered = entered.clone();
        readers.push(tokio::spawn(async move {
            let (mut heard, mut awaited) = (0_usize, ROOMS * (CLIENTS - 1) / 2);
            while let Some(Ok(Message::Text(text))) = read.next().await {
                if text.starts_with("{\"type\":\"arrived\"") {
                    heard += 1;
                } else {
                    entered.send(()).await.unwrap();
                }
                awaited = awaited.saturating_sub(1);
            }
            heard
        }));
    }
    let before = server.process.seconds();
    for room in 0..ROOMS {
        let announcement = symbolon_core::signal::Bytes(vec![0; 136]);
        let enter =
            symbolon_core::signal::ClientMessage::Enter { topic: topic(9, room), announcement }.encode();
        for door in &doors {
            door.send(Message::text(enter.clone())).await.unwrap();
            all_entered.recv().await.unwrap();
        }
    }
    let seconds = server.process.seconds() - before;
    drop(server);
    let mut heard = 0;
    for reader in readers {
        heard += reader.await.unwrap();
    }
    heard as f64 / seconds
}

/// What a relay cost.
pub(crate) struct Relayed {
    pub(crate) signals: f64,
    /// Processor seconds of the server, outside and inside the kernel.
    pub(crate) user: f64,
    pub(crate) kernel: f64,
    pub(crate) wall: f64,
}

/// Pairs of clients, each in a room of their own: one sends, the other sends back.
pub(crate) async fn relay(threads: usize, window: usize) -> Relayed {
    let server = Server::unlimited(threads);
    let mut pairs = Vec::new();
    for n in 0..PAIRS {
        let topic = topic(n as u8, 0);
        let mut a = Client::signed_in(&server.origin).await;
        let mut b = Client::signed_in(&server.origin).await;
        a.enter(topic).await;
        b.enter(topic).await;
        a.next().await;
        pairs.push((a.socket, b.socket, signal(topic, b.session, BODY), signal(topic, a.session, BODY)));
    }
    bounce(&[&server.process], pairs, window).await
}

/// Sends what is given back and forth for a while.
pub(crate) async fn bounce(
    processes: &[&Process],
    pairs: Vec<(Socket, Socket, Utf8Bytes, Utf8Bytes)>,
    window: usize,
) -> Relayed {
    let used = || {
        processes
            .iter()
            .map(|process| process.processor_seconds())
            .fold([0.0, 0.0], |a, b| [a[0] + b[0], a[1] + b[1]])
    };
    let (started, before) = (Instant::now(), used());
    let until = started + RUN;
    let tasks: Vec<_> = pairs
        .into_iter()
        .map(|(a, b, to_b, to_a)| {
            let echo = tokio::spawn(answer(b, to_a, 0, until));
            (tokio::spawn(answer(a, to_b, window, until)), echo)
        })
        .collect();
    let mut received = 0;
    for (a, b) in tasks {
        received += a.await.unwrap() + b.await.unwrap();
    }
    let after = used();
    Relayed {
        signals: received as f64,
        user: after[0] - before[0],
        kernel: after[1] - before[1],
        wall: started.elapsed().as_secs_f64(),
    }
}

/// Sends `first` signals, then one for each that arrives; counts those that arrived.
async fn answer(mut socket: Socket, signal: Utf8Bytes, first: usize, until: Instant) -> u64 {
    for _ in 0..first {
        socket.feed(Message::Text(signal.clone())).await.unwrap();
    }
    socket.flush().await.unwrap();
    let mut received = 0;
    let ended = tokio::time::sleep_until((until + Duration::from_millis(50)).into());
    tokio::pin!(ended);
    loop {
        tokio::select! {
            biased;
            message = socket.next() => match message {
                Some(Ok(Message::Text(_))) => received += 1,
                Some(Ok(_)) => continue,
                _ => return received,
            },
            () = &mut ended => return received,
        }
        if Instant::now() < until {
            socket.send(Message::Text(signal.clone())).await.unwrap();
        }
    }
}
