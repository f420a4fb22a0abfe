//! A chat: every line typed is appended to the room's text, every line of others is printed.
//!
//! ```text
//! cargo run --example chat -- /tmp/ada new ws://127.0.0.1:7600      prints a ticket
//! cargo run --example chat -- /tmp/ben join symbolon1…
//! ```

use std::error::Error;
use std::time::Duration;

use symbolon::{InviteRequest, Peer, PeerEvent, RoomId, Ticket};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [home, verb, what] = &arguments[..] else {
        return Err("usage: chat HOME new SERVER | chat HOME join TICKET".into());
    };
    let peer = Peer::open(home).await?;
    let room = match verb.as_str() {
        "new" => {
            let room = peer.create("chat", &[what.parse()?]).await?;
            let request = InviteRequest { uses: 16, ..InviteRequest::default() };
            println!("{}", peer.invite(room, request).await?.text());
            room
        }
        _ => peer.join(&what.parse::<Ticket>()?, Duration::from_secs(30)).await?,
    };
    let talked = talk(&peer, room).await;
    peer.close().await;
    talked
}

async fn talk(peer: &Peer, room: RoomId) -> Result<(), Box<dyn Error>> {
    let mut events = peer.subscribe();
    let (send, mut typed) = mpsc::channel(1);
    std::thread::spawn(move || {
        std::io::stdin().lines().map_while(Result::ok).try_for_each(|line| send.blocking_send(line))
    });
    print!("{}", peer.text(room, "main").await?);
    loop {
        tokio::select! {
            line = typed.recv() => match line {
                Some(line) => peer.insert(room, "main", None, &format!("{line}\n")).await?,
                None => return Ok(()),
            },
            event = events.recv() => match event {
                Ok(PeerEvent::Text { room: of, author, changes }) if of == room && author != peer.device() => {
                    for change in changes {
                        print!("{}", change.inserted);
                    }
                }
                Ok(_) => {}
                Err(RecvError::Lagged(missed)) => eprintln!("({missed} events were missed)"),
                Err(RecvError::Closed) => return Ok(()),
            },
        }
    }
}
