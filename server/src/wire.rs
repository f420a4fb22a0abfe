//! A client's byte stream after the upgrade: one task reads, and any task writes what fits at once.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::http::HttpStream;
use crate::stream::Stream;

/// Where the client's task reads.
#[derive(Debug)]
pub(crate) enum Reader {
    /// Straight from the socket.
    Plain(OwnedReadHalf),
    /// Through a layer that reads and writes with one state.
    Layered(Layered),
}

/// Where anybody writes, without waiting; only the client's task waits.
#[derive(Debug)]
pub(crate) enum Writer {
    Plain(PlainWriter),
    Layered(Layered),
}

/// The socket's half that writes. When tokio's own is dropped it shuts the socket down; here it is closed right after,
/// which says the same in one call less.
#[derive(Debug)]
pub(crate) struct PlainWriter(Option<OwnedWriteHalf>);

impl From<OwnedWriteHalf> for PlainWriter {
    fn from(half: OwnedWriteHalf) -> Self {
        Self(Some(half))
    }
}

impl PlainWriter {
    /// There until it is dropped.
    fn half(&self) -> io::Result<&OwnedWriteHalf> {
        self.0.as_ref().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Drop for PlainWriter {
    fn drop(&mut self) {
        if let Some(half) = self.0.take() {
            half.forget();
        }
    }
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

/// TLS, or whatever else is between hyper and the socket.
#[derive(Clone)]
pub(crate) struct Layered(Arc<Mutex<Box<dyn Duplex>>>);

/// What becomes of an upgraded connection.
pub(crate) struct Wire {
    pub(crate) reader: Reader,
    pub(crate) writer: Writer,
    /// What the client sent before it had the answer to its request.
    pub(crate) early: Vec<u8>,
    /// The answer to its request, to be written before anything else.
    pub(crate) held: Vec<u8>,
}

/// The two ends, and what is under way in each direction.
pub(crate) fn split(upgraded: Upgraded) -> Wire {
    match upgraded.downcast::<TokioIo<HttpStream<Stream>>>() {
        Ok(parts) => {
            let early = parts.read_buf.to_vec();
            let (stream, held) = parts.io.into_inner().into_parts();
            let (reader, writer) = match stream {
                Stream::Plain(socket) => {
                    let (reader, writer) = socket.into_split();
                    (Reader::Plain(reader), Writer::Plain(writer.into()))
                }
                layers @ Stream::Tls(_) => layered(Box::new(layers)),
            };
            Wire { reader, writer, early, held }
        }
        // Whatever else may once be there works too.
        Err(upgraded) => {
            let (reader, writer) = layered(Box::new(TokioIo::new(upgraded)));
            Wire { reader, writer, early: Vec::new(), held: Vec::new() }
        }
    }
}

fn layered(layers: Box<dyn Duplex>) -> (Reader, Writer) {
    let layered = Layered(Arc::new(Mutex::new(layers)));
    (Reader::Layered(layered.clone()), Writer::Layered(layered))
}

impl Reader {
    /// Reads what is there; no bytes are the end.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        ready!(match self {
            Self::Plain(socket) => Pin::new(socket).poll_read(cx, &mut buffer),
            Self::Layered(layered) => Pin::new(&mut *layered.lock()).poll_read(cx, &mut buffer),
        })?;
        Poll::Ready(Ok(buffer.filled().len()))
    }
}

impl Writer {
    /// Writes what fits at once. If it is less than everything, the client's task is to go on with
    /// [`poll_write`](Self::poll_write), for nobody is woken by this one.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.half()?.try_write(bytes),
            Self::Layered(layered) => {
                match layered.poll_write(&mut Context::from_waker(Waker::noop()), bytes) {
                    Poll::Ready(written) => written,
                    Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
                }
            }
        }
    }

    /// As [`try_write`](Self::try_write), but the task is woken when more fits.
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(socket) => loop {
                let socket = socket.half()?;
                ready!(socket.as_ref().poll_write_ready(cx))?;
                match socket.try_write(bytes) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    written => return Poll::Ready(written),
                }
            },
            Self::Layered(layered) => layered.poll_write(cx, bytes),
        }
    }

    /// Writes what a layer may still hold of what it took. Ready at once on a plain socket.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Layered(layered) => Pin::new(&mut *layered.lock()).poll_flush(cx),
        }
    }
}

impl Layered {
    fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.lock()).poll_write(cx, bytes)
    }

    fn lock(&self) -> MutexGuard<'_, Box<dyn Duplex>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Layered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Layered")
    }
}
