//! A client that says what it is told to say.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::{SinkExt as _, StreamExt as _};
use symbolon_core::crypto::keys::SignKey;
use symbolon_core::id::{SessionId, Topic};
use symbolon_core::origin::Origin;
use symbolon_core::signal::{Bytes, ClientMessage, Hello, ServerMessage};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

pub(crate) type Socket = WebSocketStream<TcpStream>;

/// What a client may meet.
pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Where honest clients come from; others come from other loopback addresses.
pub(crate) const HONEST: Ipv4Addr = Ipv4Addr::LOCALHOST;

pub(crate) struct Client {
    pub(crate) socket: Socket,
    pub(crate) session: SessionId,
}

/// A connection from a loopback address of choice.
pub(crate) async fn connect(from: Ipv4Addr, port: u16) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    // The system finds a port more easily for a connection than for a socket.
    if from != HONEST {
        socket.bind((from, 0).into())?;
    }
    let stream = socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A WebSocket at a path of whatever server listens there.
pub(crate) async fn web_socket(from: Ipv4Addr, port: u16, path: &str) -> Outcome<Socket> {
    let config = WebSocketConfig::default().read_buffer_size(4096).write_buffer_size(4096);
    let stream = connect(from, port).await?;
    let url = format!("ws://127.0.0.1:{port}{path}");
    Ok(client_async_with_config(url, stream, Some(config)).await?.0)
}

impl Client {
    pub(crate) async fn signed_in(origin: &Origin) -> Self {
        Self::try_signed_in(HONEST, origin).await.unwrap()
    }

    pub(crate) async fn try_signed_in(from: Ipv4Addr, origin: &Origin) -> Outcome<Self> {
        let socket = web_socket(from, origin.port(), "/ws").await?;
        let key = SignKey::from_secret(&rand::random());
        let mut client = Self { socket, session: key.session() };
        let ServerMessage::Challenge(challenge) = client.try_next().await? else {
            return Err("no challenge".into());
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64;
        let hello = Hello::sign(&key, &challenge, 1, origin.clone(), now);
        client.try_say(&ClientMessage::Hello(hello)).await?;
        match client.try_next().await? {
            ServerMessage::Welcome { .. } => Ok(client),
            other => Err(format!("not welcome: {other:?}").into()),
        }
    }

    pub(crate) async fn enter(&mut self, topic: Topic) {
        self.try_enter(topic).await.unwrap();
    }

    /// Enters; what comes before the answer is passed over.
    pub(crate) async fn try_enter(&mut self, topic: Topic) -> Outcome<()> {
        self.try_say(&ClientMessage::Enter { topic, announcement: Bytes(vec![0; 136]) }).await?;
        while !matches!(self.try_next().await?, ServerMessage::Entered { topic: entered, .. } if entered == topic)
        {
        }
        Ok(())
    }

    pub(crate) async fn try_say(&mut self, message: &ClientMessage) -> Outcome<()> {
        Ok(self.socket.send(Message::text(message.encode())).await?)
    }

    pub(crate) async fn next(&mut self) -> ServerMessage {
        self.try_next().await.unwrap()
    }

    pub(crate) async fn try_next(&mut self) -> Outcome<ServerMessage> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return Ok(ServerMessage::decode(text.as_str())?),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(other)) => return Err(format!("unexpected: {other:?}").into()),
                Some(Err(error)) => return Err(error.into()),
                None => return Err("closed".into()),
            }
        }
    }
}

/// The text of a signal.
pub(crate) fn signal(topic: Topic, to: SessionId, len: usize) -> Utf8Bytes {
    ClientMessage::Signal { topic, to, body: Bytes(vec![7; len]) }.encode().into()
}

/// The topic of this number.
pub(crate) fn topic(kind: u8, number: usize) -> Topic {
    let mut bytes = [kind; 32];
    bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
    Topic::from_bytes(bytes)
}
