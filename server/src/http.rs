//! The stream under HTTP. It finds connections whose other end asks and does not read: they would hold their seats for
//! ever. And it can keep its last words, which then travel with the first of whoever takes it over: the answer that makes
//! a connection a WebSocket is followed at once by the challenge, and in two writes that would be two packets and two
//! awakenings of the client.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most that is kept: more than any answer's head.
const MOST: usize = 8 * 1024;

/// A stream whose writes are counted, and kept once [`Hold`] says so.
#[derive(Debug)]
pub(crate) struct HttpStream<S> {
    stream: S,
    writes: Arc<Writes>,
    kept: Vec<u8>,
}

/// Says that from now on all that is written is kept.
#[derive(Debug, Clone)]
pub(crate) struct Hold(Arc<Writes>);

#[derive(Debug, Default)]
struct Writes {
    /// Twice the number of writes that were taken, and one more while one waits.
    count: AtomicU64,
    hold: AtomicBool,
}

/// The stream, what tells it to keep its words, and what resolves when one write has waited for `limit`, or up to twice as
/// long.
///
/// Once nobody waits for it any more, as after an upgrade, nothing is watched.
pub(crate) fn watch<S>(stream: S, limit: Duration) -> (HttpStream<S>, Hold, impl Future<Output = ()>) {
    let writes = Arc::new(Writes::default());
    let hold = Hold(Arc::clone(&writes));
    let watched = HttpStream { stream, writes: Arc::clone(&writes), kept: Vec::new() };
    let stalled = async move {
        let mut before = None;
        loop {
            tokio::time::sleep(limit).await;
            let now = writes.waiting();
            if now.is_some() && now == before {
                return;
            }
            before = now;
        }
    };
    (watched, hold, stalled)
}

impl Hold {
    pub(crate) fn hold(&self) {
        self.0.hold.store(true, Ordering::Relaxed);
    }
}

impl<S> HttpStream<S> {
    /// The stream itself, and what was kept and is still to be written to it.
    pub(crate) fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream, self.kept)
    }

    /// Keeps it, if it is to be kept.
    fn keep(&mut self, slices: &[io::IoSlice<'_>]) -> Option<io::Result<usize>> {
        if !self.writes.hold.load(Ordering::Relaxed) {
            return None;
        }
        let len = slices.iter().map(|slice| slice.len()).sum::<usize>();
        if self.kept.len() + len > MOST {
            return Some(Err(io::ErrorKind::OutOfMemory.into()));
        }
        for slice in slices {
            self.kept.extend_from_slice(slice);
        }
        Some(Ok(len))
    }
}

impl Writes {
    /// Which write waits.
    fn waiting(&self) -> Option<u64> {
        let count = self.count.load(Ordering::Relaxed);
        (count % 2 == 1).then_some(count)
    }

    fn note<T>(&self, outcome: Poll<T>) -> Poll<T> {
        let count = self.count.load(Ordering::Relaxed);
        // One task writes; the watcher only looks.
        if outcome.is_pending() != (count % 2 == 1) {
            self.count.store(count + 1, Ordering::Relaxed);
        }
        outcome
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for HttpStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for HttpStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(kept) = self.keep(&[io::IoSlice::new(bytes)]) {
            return Poll::Ready(kept);
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.writes.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(kept) = self.keep(slices) {
            return Poll::Ready(kept);
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.writes.note(written)
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
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn rv10_only_a_write_that_goes_on_waiting_is_a_stall() {
        let limit = Duration::from_millis(100);
        let (near, mut far) = tokio::io::duplex(1);
        let (mut near, _hold, stalled) = watch(near, limit);
        let mut stalled = std::pin::pin!(stalled);

        // A slow reader is no stall, and neither is silence.
        let slow = async {
            for _ in 0..10 {
                tokio::time::sleep(limit / 2).await;
                far.read_u8().await.unwrap();
            }
        };
        tokio::select! {
            () = &mut stalled => panic!("the other end reads"),
            _ = async { tokio::join!(slow, near.write_all(&[1; 10])) } => {}
        }
        assert!(tokio::time::timeout(4 * limit, &mut stalled).await.is_err());

        tokio::select! {
            () = &mut stalled => {}
            _ = near.write_all(&[1; 10]) => panic!("nobody reads"),
            () = tokio::time::sleep(Duration::from_secs(20)) => panic!("the stall is not seen"),
        }
    }

    #[tokio::test]
    async fn rv1_what_is_kept_is_given_to_who_takes_over_and_no_more_than_a_head() {
        let (near, mut far) = tokio::io::duplex(64);
        let (mut stream, hold, _stalled) = watch(near, Duration::from_secs(1));
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
        let (near, kept) = stream.into_parts();
        drop(near);
        let mut read = Vec::new();
        far.read_to_end(&mut read).await.unwrap();
        assert_eq!((&read[..], &kept[..]), (&b"before"[..], &b"101 and more"[..]));
    }
}
