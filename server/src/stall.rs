//! Finds connections whose other end asks and does not read: they would hold their seats for ever.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream whose writes are counted.
#[derive(Debug)]
pub(crate) struct Watched<S> {
    stream: S,
    writes: Arc<Writes>,
}

/// Twice the number of writes that were taken, and one more while one waits.
#[derive(Debug, Default)]
struct Writes(AtomicU64);

/// The stream, and what resolves when one write has waited for `limit`, or up to twice as long.
///
/// Once nobody waits for it any more, as after an upgrade, nothing is watched.
pub(crate) fn watch<S>(stream: S, limit: Duration) -> (Watched<S>, impl Future<Output = ()>) {
    let writes = Arc::new(Writes::default());
    let watched = Watched { stream, writes: Arc::clone(&writes) };
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
    (watched, stalled)
}

impl<S> Watched<S> {
    /// The stream, no longer watched.
    pub(crate) fn into_inner(self) -> S {
        self.stream
    }
}

impl Writes {
    /// Which write waits.
    fn waiting(&self) -> Option<u64> {
        let count = self.0.load(Ordering::Relaxed);
        (count % 2 == 1).then_some(count)
    }

    fn note<T>(&self, outcome: Poll<T>) -> Poll<T> {
        let count = self.0.load(Ordering::Relaxed);
        // One task writes; the watcher only looks.
        if outcome.is_pending() != (count % 2 == 1) {
            self.0.store(count + 1, Ordering::Relaxed);
        }
        outcome
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.writes.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
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
        let (mut near, stalled) = watch(near, limit);
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
}
