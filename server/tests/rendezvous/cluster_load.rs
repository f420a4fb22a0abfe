//! RV8 under load: rooms over three servers, of which one is killed, and a bus that is killed and comes back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use rand::seq::IndexedRandom as _;
use symbolon_core::id::{SessionId, Topic};
use symbolon_core::signal::{Bytes, ClientMessage, ServerMessage};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use crate::bus::{Nats, Servers};
use crate::support::{Client, topic};

const ROOMS: u8 = 6;
const CLIENTS_PER_SERVER: usize = 8;

/// The lease of a dead server, and what a busy machine needs.
const AGREED_WITHIN: Duration = Duration::from_secs(40);

type Views = BTreeMap<Topic, BTreeMap<SessionId, Vec<u8>>>;

/// What one client was told.
#[derive(Default)]
struct Heard {
    view: Views,
    signals: BTreeMap<(SessionId, Vec<u8>), usize>,
    wrong: Vec<String>,
}

/// What one member may still have to say; more than the whole load has for it.
const MOST_UNSAID: usize = 4096;

struct Member {
    server: usize,
    session: SessionId,
    say: mpsc::Sender<ClientMessage>,
    heard: Arc<Mutex<Heard>>,
}

impl Heard {
    fn hear(&mut self, message: ServerMessage) {
        match message {
            ServerMessage::Entered { topic, peers } => {
                let peers = peers.into_iter().map(|peer| (peer.session, peer.announcement.0));
                self.view.insert(topic, peers.collect());
            }
            ServerMessage::Arrived { topic, session, announcement } => {
                let Some(room) = self.view.get_mut(&topic) else { return };
                if room.insert(session, announcement.0.clone()) == Some(announcement.0) {
                    self.wrong.push(format!("{session:?} arrived twice in {topic:?}"));
                }
            }
            ServerMessage::Left { topic, session } => {
                let Some(room) = self.view.get_mut(&topic) else { return };
                if room.remove(&session).is_none() {
                    self.wrong.push(format!("{session:?} left {topic:?} and was not there"));
                }
            }
            ServerMessage::Signal { topic, from, body } => {
                if self.view.get(&topic).is_some_and(|room| !room.contains_key(&from)) {
                    self.wrong.push(format!("a signal from {from:?}, which is not in {topic:?}"));
                }
                *self.signals.entry((from, body.0)).or_default() += 1;
            }
            other => self.wrong.push(format!("{other:?}")),
        }
    }
}

impl Member {
    fn start(server: usize, client: Client) -> Self {
        let (say, mut said) = mpsc::channel::<ClientMessage>(MOST_UNSAID);
        let heard = Arc::new(Mutex::new(Heard::default()));
        let session = client.session();
        let (mut sink, mut stream) = client.socket.split();
        let into = Arc::clone(&heard);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    message = stream.next() => match message {
                        Some(Ok(Message::Text(text))) => {
                            into.lock().unwrap().hear(ServerMessage::decode(&text).unwrap());
                        }
                        Some(Ok(_)) => {}
                        Some(Err(_)) | None => return,
                    },
                    message = said.recv() => {
                        let Some(message) = message else { return };
                        if let ClientMessage::Leave { topic } = &message {
                            into.lock().unwrap().view.remove(topic);
                        }
                        if sink.send(Message::text(message.encode())).await.is_err() {
                            return;
                        }
                    }
                }
            }
        });
        Self { server, session, say, heard }
    }
}

struct Load {
    members: Vec<Member>,
    truth: Views,
}

impl Load {
    /// Members come, announce themselves anew and leave.
    async fn churn(&mut self, deeds: usize) {
        for _ in 0..deeds {
            let member = self.members.choose(&mut rand::rng()).unwrap();
            let topic = topic(rand::random_range(0..ROOMS));
            let room = self.truth.entry(topic).or_default();
            let inside = room.contains_key(&member.session);
            let message = if inside && rand::random_bool(0.5) {
                room.remove(&member.session);
                ClientMessage::Leave { topic }
            } else {
                let announcement = rand::random::<[u8; 8]>().to_vec();
                room.insert(member.session, announcement.clone());
                ClientMessage::Enter { topic, announcement: Bytes(announcement) }
            };
            member.say.try_send(message).unwrap();
            tokio::time::sleep(Duration::from_millis(rand::random_range(0..6))).await;
        }
    }

    /// Waits until everybody knows exactly who is in its rooms.
    async fn agree(&self, when: &str) {
        let until = Instant::now() + AGREED_WITHIN;
        for member in &self.members {
            let mut due: Views = self.truth.clone();
            due.retain(|_, room| room.remove(&member.session).is_some());
            loop {
                let heard = member.heard.lock().unwrap().view.clone();
                if heard == due {
                    break;
                }
                assert!(
                    Instant::now() < until,
                    "{when}: {:?} knows\n{heard:?}\nand not\n{due:?}",
                    member.session
                );
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        for member in &self.members {
            assert_eq!(member.heard.lock().unwrap().wrong, Vec::<String>::new(), "{when}");
        }
    }

    /// Everybody signals everybody in its rooms, all at once; each signal arrives once.
    async fn signal(&self, round: u8) {
        let mut due: BTreeMap<SessionId, BTreeSet<(SessionId, Vec<u8>)>> = BTreeMap::new();
        for member in &self.members {
            for (topic, room) in &self.truth {
                if !room.contains_key(&member.session) {
                    continue;
                }
                for to in room.keys().filter(|to| **to != member.session) {
                    for n in 0..5 {
                        let body = [&[round, n], &topic.as_bytes()[..]].concat();
                        due.entry(*to).or_default().insert((member.session, body.clone()));
                        let signal = ClientMessage::Signal { topic: *topic, to: *to, body: Bytes(body) };
                        member.say.try_send(signal).unwrap();
                    }
                }
            }
        }
        let until = Instant::now() + AGREED_WITHIN;
        for member in &self.members {
            let due = due.remove(&member.session).unwrap_or_default();
            loop {
                let heard = member.heard.lock().unwrap().signals.clone();
                assert!(heard.values().all(|times| *times == 1), "a signal came twice");
                let of_this_round: BTreeSet<_> =
                    heard.into_keys().filter(|(_, body)| body[0] == round).collect();
                if of_this_round == due {
                    break;
                }
                let missing = due.difference(&of_this_round).count();
                assert!(Instant::now() < until, "{missing} signals are missing, of {}", due.len());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

#[tokio::test]
async fn rv8_rooms_over_three_servers_outlive_one_of_them_and_the_bus() {
    let mut nats = Nats::start().await;
    // All of them at one address, and in a hurry.
    let options =
        ["message", "enter", "room", "notice"].map(|what| [format!("--{what}-rate"), "1000000".to_owned()]);
    let options: Vec<&str> = options.iter().flatten().map(String::as_str).collect();
    let mut servers = Servers::start(&nats, 3, &options).await;
    let mut load = Load { members: Vec::new(), truth: Views::new() };
    for (number, server) in servers.0.iter().enumerate() {
        for _ in 0..CLIENTS_PER_SERVER {
            load.members.push(Member::start(number, Client::signed_in(server).await));
        }
    }
    load.churn(400).await;
    load.agree("at first").await;
    load.signal(1).await;

    // Signal 9, in the middle of everything.
    load.churn(100).await;
    servers.0.pop();
    let dead: Vec<_> =
        load.members.extract_if(.., |member| member.server == 2).map(|member| member.session).collect();
    load.truth.values_mut().for_each(|room| room.retain(|session, _| !dead.contains(session)));
    load.churn(300).await;
    load.agree("after a server was killed").await;
    load.signal(2).await;

    load.churn(50).await;
    nats.kill();
    load.churn(200).await;
    nats.run().await;
    load.churn(200).await;
    load.agree("after the bus was killed").await;
    load.signal(3).await;
}
