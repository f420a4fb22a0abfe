//! The WebSocket to one server: text goes in, text and pings come out.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use symbolon_core::node::Input;
use symbolon_core::origin::Origin;
use symbolon_core::signal::MAX_SERVER_MESSAGE;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream};

/// Messages that may wait for a server. A server that is this far behind is given up.
const OUTBOX: usize = 512;

/// Opening the connection, TLS and the upgrade.
const CONNECT: Duration = Duration::from_secs(10);

/// A connection to a server, or the attempt at one. Dropping it closes it.
pub(crate) struct Socket {
    outbox: mpsc::Sender<String>,
    task: JoinHandle<()>,
    /// Which attempt this is: what an earlier one still says does not count.
    pub(crate) attempt: u64,
}

/// Which authorities are believed.
#[derive(Clone)]
pub(crate) struct Trust(Option<Connector>);

impl Trust {
    /// Those that browsers believe, and these.
    pub(crate) fn new(roots: &[Vec<u8>]) -> std::io::Result<Self> {
        if roots.is_empty() {
            return Ok(Self(None));
        }
        Ok(Self(Some(Connector::Rustls(crate::rtc::tls_config(roots)?))))
    }
}

/// What a socket says, and in which attempt.
#[derive(Debug)]
pub(crate) struct SocketEvent {
    pub(crate) attempt: u64,
    pub(crate) origin: Origin,
    pub(crate) input: Input,
}

impl Socket {
    /// Begins to connect; to `near`, if the server is in this process.
    pub(crate) fn dial(
        origin: Origin,
        near: Option<SocketAddr>,
        trust: Trust,
        attempt: u64,
        events: mpsc::Sender<SocketEvent>,
    ) -> Self {
        let (outbox, inbox) = mpsc::channel(OUTBOX);
        let task = tokio::spawn(async move {
            let say = |input| {
                let (events, origin) = (events.clone(), origin.clone());
                async move { events.send(SocketEvent { attempt, origin, input }).await.is_ok() }
            };
            let reason = run(&origin, near, trust, inbox, say).await;
            let input = Input::ServerClosed { origin: origin.clone(), reason };
            let _ = events.send(SocketEvent { attempt, origin, input }).await;
        });
        Self { outbox, task, attempt }
    }

    /// Queues a message; `false` if the server is too slow to take it.
    pub(crate) fn send(&self, text: String) -> bool {
        self.outbox.try_send(text).is_ok()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Runs one connection to its end and says why it ended.
async fn run<F>(
    origin: &Origin,
    near: Option<SocketAddr>,
    trust: Trust,
    mut inbox: mpsc::Receiver<String>,
    say: impl Fn(Input) -> F,
) -> String
where
    F: Future<Output = bool>,
{
    let mut socket = match tokio::time::timeout(CONNECT, connect(origin, near, trust)).await {
        Ok(Ok(socket)) => socket,
        Ok(Err(error)) => return plain(&error),
        Err(_) => return "no answer".to_owned(),
    };
    if !say(Input::ServerOpened { origin: origin.clone() }).await {
        return String::new();
    }
    loop {
        tokio::select! {
            text = inbox.recv() => {
                let Some(text) = text else { return String::new() };
                if let Err(error) = socket.feed(Message::text(text)).await {
                    return plain(&error);
                }
                while let Ok(text) = inbox.try_recv() {
                    if let Err(error) = socket.feed(Message::text(text)).await {
                        return plain(&error);
                    }
                }
                if let Err(error) = socket.flush().await {
                    return plain(&error);
                }
            }
            message = socket.next() => {
                let input = match message {
                    Some(Ok(Message::Text(text))) => {
                        Input::ServerText { origin: origin.clone(), text: text.as_str().to_owned() }
                    }
                    Some(Ok(Message::Ping(_))) => Input::ServerPing { origin: origin.clone() },
                    Some(Ok(Message::Close(_))) | None => return "closed by the server".to_owned(),
                    Some(Ok(_)) => continue,
                    Some(Err(error)) => return plain(&error),
                };
                if !say(input).await {
                    return String::new();
                }
            }
        }
    }
}

async fn connect(
    origin: &Origin,
    near: Option<SocketAddr>,
    trust: Trust,
) -> Result<WebSocketStream<MaybeTlsStream<TcpStream>>, tungstenite::Error> {
    let config = WebSocketConfig::default()
        .read_buffer_size(4096)
        .write_buffer_size(4096)
        .max_message_size(Some(MAX_SERVER_MESSAGE))
        .max_frame_size(Some(MAX_SERVER_MESSAGE));
    let url = origin.socket_url();
    let (socket, _) = match near {
        None => tokio_tungstenite::connect_async_tls_with_config(url, Some(config), true, trust.0).await?,
        Some(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            tokio_tungstenite::client_async_with_config(url, MaybeTlsStream::Plain(stream), Some(config))
                .await?
        }
    };
    Ok(socket)
}

fn plain(error: &tungstenite::Error) -> String {
    match error {
        tungstenite::Error::Io(error) => match error.kind() {
            std::io::ErrorKind::ConnectionRefused => "nothing listens there".to_owned(),
            _ => error.to_string(),
        },
        tungstenite::Error::Http(response) => {
            format!("it answers with HTTP {}, so it is no Symbolon server", response.status().as_u16())
        }
        tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => {
            "closed by the server".to_owned()
        }
        other => other.to_string(),
    }
}
