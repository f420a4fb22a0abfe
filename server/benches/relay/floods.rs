//! Those who mean harm: each kind from a loopback address of its own, as fast as it is let or as the pause allows.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use symbolon_core::id::Topic;
use symbolon_core::origin::Origin;
use symbolon_core::signal::{Bytes, ClientMessage};
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;

use crate::client::{Client, Outcome, connect, signal, topic};

/// What the floods are, and how often each was tried.
pub(crate) struct Floods {
    tasks: Vec<JoinHandle<()>>,
    pub(crate) tried: Vec<(&'static str, Arc<AtomicU64>)>,
}

impl Drop for Floods {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Floods {
    /// All of them at once.
    pub(crate) fn start(origin: &Origin) -> Self {
        let mut floods = Self { tasks: Vec::new(), tried: Vec::new() };
        floods.add("connections that come and go", origin, 4, 2, come_and_go);
        floods.add("connections that say nothing", origin, 300, 1000, say_nothing);
        floods.add("heads that drip", origin, 100, 1000, drip);
        floods.add("heads of 1 MiB", origin, 2, 50, large_head);
        floods.add("pings without end", origin, 4, 20, ping);
        floods.add("texts that are no messages", origin, 4, 20, garbage);
        floods.add("frames that announce 10 MiB", origin, 4, 20, large_frame);
        floods.add("messages that do not end", origin, 100, 1000, unfinished);
        floods.add("readers that do not read", origin, 8, 100, unread);
        floods.add("clients that enter again and again", origin, 8, 100, enter);
        floods.add("more messages than are let", origin, 4, 20, too_much);
        floods
    }

    fn add<F: Future<Output = Outcome<()>> + Send>(
        &mut self,
        name: &'static str,
        origin: &Origin,
        tasks: usize,
        pause_ms: u64,
        attack: impl Fn(Ipv4Addr, Origin) -> F + Copy + Send + 'static,
    ) {
        let tried = Arc::new(AtomicU64::new(0));
        let from = Ipv4Addr::new(127, 0, 1, 1 + self.tried.len() as u8);
        for _ in 0..tasks {
            let (tried, origin) = (Arc::clone(&tried), origin.clone());
            self.tasks.push(tokio::spawn(async move {
                loop {
                    // However it ends, for it is meant to end badly.
                    let _ = attack(from, origin.clone()).await;
                    tried.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(pause_ms)).await;
                }
            }));
        }
        self.tried.push((name, tried));
    }
}

async fn come_and_go(from: Ipv4Addr, origin: Origin) -> Outcome<()> {
    connect(from, origin.port()).await?;
    Ok(())
}

async fn say_nothing(from: Ipv4Addr, origin: Origin) -> Outcome<()> {
    use tokio::io::AsyncReadExt as _;
    let mut stream = connect(from, origin.port()).await?;
    stream.read_u8().await?;
    Ok(())
}

async fn drip(from: Ipv4Addr, origin: Origin) -> Outcome<()> {
    let mut stream = connect(from, origin.port()).await?;
    stream.write_all(b"GET /ws HTTP/1.1\r\nHost: here\r\nX-Slow: ").await?;
    loop {
        tokio::time::sleep(Duration::from_millis(700)).await;
        stream.write_all(b"a").await?;
    }
}

async fn large_head(from: Ipv4Addr, origin: Origin) -> Outcome<()> {
    let mut stream = connect(from, origin.port()).await?;
    stream.write_all(b"GET /ws HTTP/1.1\r\nHost: here\r\nX-Large: ").await?;
    for _ in 0..1024 {
        stream.write_all(&[b'a'; 1024]).await?;
    }
    Ok(())
}

async fn ping(from: Ipv4Addr, origin: Origin) -> Outcome<()> {
    let mut client = Client::try_signed_in(from, &origin).await?;
    loop {
        for _ in 0..64 {
            client.socket.feed(Message::Ping(vec![7; 125].into())).await?;
        }
        client.socket.flush().await?;
    }
}

async fn garbage(from: Ipv4Addr, origin: Origin) -> Outcome<()> {
    let mut client = Client::try_signed_in(from, &origin).await?;
    client.socket.send(Message::text("[".repeat(90_000))).await?;
    client.try_next().await?;
    Ok(())
}

async fn large_frame(from: Ipv4Addr, origin: Origin) -> Outcome<()> {
    let mut client = Client::try_signed_in(from, &origin).await?;
    let header = [&[0x81, 0xff][..], &(10_u64 << 20).to_be_bytes(), &[0; 4]].concat();
    client.socket.get_mut().write_all(&header).await?;
    client.try_next().await?;
    Ok(())
}

async fn unfinished(from: Ipv4Addr, origin: Origin) -> Outcome<()> {
    let mut client = Client::try_signed_in(from, &origin).await?;
    // 90 000 bytes are announced, and all but the last come.
    let begun = [&[0x81, 0xff][..], &90_000_u64.to_be_bytes(), &[0; 4], &vec![b' '; 89_999]].concat();
    client.socket.get_mut().write_all(&begun).await?;
    while client.try_next().await.is_ok() {}
    Ok(())
}

async fn unread(from: Ipv4Addr, origin: Origin) -> Outcome<()> {
    let room = Topic::from_bytes(rand::random());
    let mut deaf = Client::try_signed_in(from, &origin).await?;
    let mut loud = Client::try_signed_in(from, &origin).await?;
    deaf.try_enter(room).await?;
    loud.try_enter(room).await?;
    let text = signal(room, deaf.session, 60_000);
    loop {
        loud.socket.send(Message::Text(text.clone())).await?;
        // The rates allow that much.
        tokio::time::sleep(Duration::from_millis(80)).await;
    }
}

async fn enter(from: Ipv4Addr, origin: Origin) -> Outcome<()> {
    let client = Client::try_signed_in(from, &origin).await?;
    let (mut write, mut read) = client.socket.split();
    let text = ClientMessage::Enter { topic: topic(77, 0), announcement: Bytes(vec![7; 256]) }.encode();
    let reading = async { while let Some(Ok(_)) = read.next().await {} };
    let writing = async { while write.send(Message::text(text.clone())).await.is_ok() {} };
    tokio::join!(reading, writing);
    Ok(())
}

async fn too_much(from: Ipv4Addr, origin: Origin) -> Outcome<()> {
    let mut client = Client::try_signed_in(from, &origin).await?;
    let room = Topic::from_bytes(rand::random());
    client.try_enter(room).await?;
    let text = signal(room, client.session, 100);
    loop {
        client.socket.send(Message::Text(text.clone())).await?;
    }
}
