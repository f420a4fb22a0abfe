//! A stream whose last words before it changes hands travel with the first of whoever takes it over.
//!
//! The answer that makes an HTTP connection a WebSocket is followed at once by the challenge. In two writes that is two
//! packets and two awakenings of the client; in one it is one.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most that is held: more than any answer's head.
const MOST: usize = 8 * 1024;

/// A stream that can be told to keep what is written.
#[derive(Debug)]
pub(crate) struct Held<S> {
    stream: S,
    hold: Hold,
    held: Vec<u8>,
}

/// Tells it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hold(Arc<AtomicBool>);

impl Hold {
    /// From now on everything is kept.
    pub(crate) fn hold(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl<S> Held<S> {
    pub(crate) fn new(stream: S, hold: Hold) -> Self {
        Self { stream, hold, held: Vec::new() }
    }

    /// The stream, and what is still to be written to it.
    pub(crate) fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream, self.held)
    }

    /// Keeps it, if it is to be kept.
    fn keep(&mut self, slices: &[io::IoSlice<'_>]) -> Option<io::Result<usize>> {
        if !self.hold.0.load(Ordering::Relaxed) {
            return None;
        }
        let len = slices.iter().map(|slice| slice.len()).sum::<usize>();
        if self.held.len() + len > MOST {
            return Some(Err(io::ErrorKind::OutOfMemory.into()));
        }
        for slice in slices {
            self.held.extend_from_slice(slice);
        }
        Some(Ok(len))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Held<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Held<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.keep(&[io::IoSlice::new(bytes)]) {
            Some(kept) => Poll::Ready(kept),
            None => Pin::new(&mut self.stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.keep(slices) {
            Some(kept) => Poll::Ready(kept),
            None => Pin::new(&mut self.stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn rv1_what_is_held_is_given_to_who_takes_over_and_no_more_than_a_head() {
        let (near, mut far) = tokio::io::duplex(64);
        let hold = Hold::default();
        let mut stream = Held::new(near, hold.clone());
        stream.write_all(b"before").await.unwrap();
        hold.hold();
        stream.write_all(b"101").await.unwrap();
        assert_eq!(
            stream.write_vectored(&[io::IoSlice::new(b" and"), io::IoSlice::new(b" more")]).await.unwrap(),
            9
        );
        stream.flush().await.unwrap();
        let too_much = stream.write_all(&[0; MOST]).await.unwrap_err();
        assert_eq!(too_much.kind(), io::ErrorKind::OutOfMemory);
        let (near, held) = stream.into_parts();
        drop(near);
        let mut read = Vec::new();
        far.read_to_end(&mut read).await.unwrap();
        assert_eq!((&read[..], &held[..]), (&b"before"[..], &b"101 and more"[..]));
    }
}
