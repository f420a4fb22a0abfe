//! A client of the server that is nobody's peer: it says what the test tells it to say.

use futures_util::{SinkExt as _, StreamExt as _};
use symbolon::Origin;
use symbolon_core::crypto::keys::SignKey;
use symbolon_core::id::{SessionId, Topic};
use symbolon_core::signal::{Bytes, ClientMessage, Hello, Present, ServerMessage};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::{deadline, unix_ms};

pub struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    key: SignKey,
    /// All that it heard in rooms.
    pub heard: Vec<ServerMessage>,
}

impl Client {
    /// Signed in, with a fresh session.
    pub async fn sign_in(origin: &Origin) -> Self {
        let (socket, _) =
            deadline(tokio_tungstenite::connect_async(origin.socket_url())).await.expect("it can be reached");
        let key = SignKey::from_secret(&rand::random());
        let mut this = Self { socket, key: key.clone(), heard: Vec::new() };
        let Some(ServerMessage::Challenge(challenge)) = this.next().await else { panic!("no challenge") };
        let hello = Hello::sign(&key, &challenge, 1, origin.clone(), unix_ms());
        this.say(&ClientMessage::Hello(hello)).await;
        let Some(ServerMessage::Welcome { .. }) = this.next().await else { panic!("no welcome") };
        this.heard.clear();
        this
    }

    pub fn session(&self) -> SessionId {
        self.key.session()
    }

    pub async fn say(&mut self, message: &ClientMessage) {
        deadline(self.socket.send(Message::text(message.encode()))).await.unwrap();
    }

    pub async fn enter(&mut self, topic: Topic, announcement: Vec<u8>) -> Vec<Present> {
        self.say(&ClientMessage::Enter { topic, announcement: Bytes(announcement) }).await;
        loop {
            match self.next().await {
                Some(ServerMessage::Entered { peers, .. }) => return peers,
                Some(_) => {}
                None => panic!("the server closed"),
            }
        }
    }

    pub async fn signal(&mut self, topic: Topic, to: SessionId, body: Vec<u8>) {
        self.say(&ClientMessage::Signal { topic, to, body: Bytes(body) }).await;
    }

    /// The next message; `None` once the server has closed.
    pub async fn next(&mut self) -> Option<ServerMessage> {
        deadline(async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Text(text))) => {
                        let message = ServerMessage::decode(&text).unwrap();
                        self.heard.push(message.clone());
                        return Some(message);
                    }
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                    Some(Ok(_)) => {}
                }
            }
        })
        .await
    }

    /// Reads up to the arrival or departure of somebody that `until` accepts.
    pub async fn read_until(&mut self, until: impl Fn(&ServerMessage) -> bool) {
        loop {
            let message = self.next().await.expect("the server is still there");
            if until(&message) {
                return;
            }
        }
    }

    /// All signals it was ever sent.
    pub fn signals(&self) -> Vec<Vec<u8>> {
        let body = |message: &ServerMessage| match message {
            ServerMessage::Signal { body, .. } => Some(body.0.clone()),
            _ => None,
        };
        self.heard.iter().filter_map(body).collect()
    }
}
