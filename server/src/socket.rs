//! One client's WebSocket. The only file that knows the library behind it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use futures_util::{Sink, StreamExt as _};
use symbolon_core::rendezvous::Violation;
use symbolon_core::signal::{MAX_MESSAGE, MAX_SERVER_MESSAGE};
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::error::ProtocolError;

/// Taken by every connection, idle or not; the library's own choice is 128 KiB.
const READ_BUFFER: usize = 4 * 1024;

/// How much is collected before it is written without waiting for more. Taken only by connections that have had a burst;
/// against 4 KiB it saves a third of the processor time under load.
const WRITE_BUFFER: usize = 16 * 1024;

/// How long a client may take to read the last words and to answer the close.
const LINGER: Duration = Duration::from_secs(2);

/// One client's WebSocket.
pub(crate) struct Socket(WebSocket);

/// What to write.
#[derive(Debug, Clone)]
pub(crate) enum Outgoing {
    /// A text frame; one text for many clients is shared.
    Text(Text),
    /// A ping.
    Ping,
}

/// A text, cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Text(Utf8Bytes);

/// What was read.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// A text frame.
    Text(Text),
    /// A ping (answered already) or a pong.
    Alive,
    /// Something that no client of this protocol sends.
    Garbage(Violation),
    /// The connection is over.
    Gone,
}

/// The connection is over.
#[derive(Debug)]
pub(crate) struct Gone;

/// The close codes of RFC 6455 §7.4.1 that the server uses.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Farewell {
    /// 1000: not needed.
    Normal,
    /// 1001: the server stops.
    Away,
    /// 1008: refused; the error said why.
    Refused,
}

/// Answers the upgrade and serves the socket in a task of its own.
pub(crate) fn accept<F>(
    request: WebSocketUpgrade,
    serve: impl FnOnce(Socket) -> F + Send + 'static,
) -> Response
where
    F: Future<Output = ()> + Send + 'static,
{
    request
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(WRITE_BUFFER + 2 * MAX_SERVER_MESSAGE)
        .max_message_size(MAX_MESSAGE)
        .max_frame_size(MAX_MESSAGE)
        .on_upgrade(move |socket| serve(Socket(socket)))
}

impl Socket {
    /// The next thing that arrives.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Incoming> {
        Poll::Ready(match ready!(self.0.poll_next_unpin(cx)) {
            Some(Ok(Message::Text(text))) => Incoming::Text(Text(text)),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Incoming::Alive,
            Some(Ok(Message::Binary(_))) => Incoming::Garbage(Violation::NotText),
            Some(Ok(Message::Close(_))) | None => Incoming::Gone,
            Some(Err(error)) => classify(error),
        })
    }

    /// Whether [`write`](Self::write) may be called.
    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        Pin::new(&mut self.0).poll_ready(cx).map_err(|_| Gone)
    }

    /// Takes something to write.
    pub(crate) fn write(&mut self, outgoing: Outgoing) -> Result<(), Gone> {
        let message = match outgoing {
            Outgoing::Text(Text(text)) => Message::Text(text),
            Outgoing::Ping => Message::Ping(axum::body::Bytes::new()),
        };
        Pin::new(&mut self.0).start_send(message).map_err(|_| Gone)
    }

    /// Writes out what was taken.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        Pin::new(&mut self.0).poll_flush(cx).map_err(|_| Gone)
    }

    /// Writes the last words and a close frame, then waits until the client has read them: a socket closed with unread
    /// input is reset, and the reset overtakes what was written.
    pub(crate) async fn close(mut self, words: impl IntoIterator<Item = Outgoing>, farewell: Farewell) {
        let code = match farewell {
            Farewell::Normal => 1000,
            Farewell::Away => 1001,
            Farewell::Refused => 1008,
        };
        let _ = tokio::time::timeout(LINGER, async {
            for outgoing in words {
                std::future::poll_fn(|cx| self.poll_ready(cx)).await?;
                self.write(outgoing)?;
            }
            let frame = CloseFrame { code, reason: Utf8Bytes::default() };
            self.0.send(Message::Close(Some(frame))).await.map_err(|_| Gone)?;
            while let Some(Ok(_)) = self.0.next().await {}
            Ok::<(), Gone>(())
        })
        .await;
    }
}

impl Outgoing {
    pub(crate) fn text(text: String) -> Self {
        Self::Text(Text(text.into()))
    }

    /// What it weighs in an outbox.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Text(Text(text)) => text.len(),
            Self::Ping => 0,
        }
    }
}

impl Text {
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

fn classify(error: axum::Error) -> Incoming {
    match error.into_inner().downcast_ref::<WsError>() {
        Some(WsError::Capacity(_)) => Incoming::Garbage(Violation::TooLong),
        Some(WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => Incoming::Gone,
        Some(WsError::Protocol(_) | WsError::Utf8(_)) => Incoming::Garbage(Violation::NotText),
        _ => Incoming::Gone,
    }
}
