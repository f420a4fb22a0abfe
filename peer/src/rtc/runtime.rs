//! The executor one `PeerConnection` runs on: tokio, with the crate's timing and sockets put right.
//!
//! `webrtc` asks a `Runtime` for every timer, task and socket, which is the one place where its driver loop can be
//! changed from outside:
//!
//! - **Set-up.** What a datagram sets off (the `ClientHello` after an ICE check, the SCTP INIT after DTLS, the DCEP OPEN
//!   after SCTP) is queued after the loop has flushed its writes, and leaves when the next timer fires: up to 200 ms a
//!   step, and a new candidate does not wake the loop at all. While connecting, the next sleeps after a datagram or a
//!   [`nudge`](Pace::nudge) end at once, and no other lasts longer than [`CONNECTING_SLEEP`].
//! - **Idle.** An ICE agent wakes its loop every 200 ms for good. Once no data has moved for [`QUIET_AFTER`], that timer
//!   is stretched to [`QUIET_SLEEP`]; datagrams and sends still wake the loop at once.
//! - **Throughput.** Sockets get [`SOCKET_BUFFER`] in both directions.
//! - **Memory.** With UDP GRO the loop keeps two buffers of 96 kB for each socket. [`Socket`] receives into one buffer
//!   per thread instead and hands out single datagrams.
//! - **End.** [`Tamed::stopped`] resolves whenever the loop has ended, by whatever cause, a panic included.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{Notify, SetOnce};
use webrtc::runtime::{
    AsyncInterval, AsyncTcpListener, AsyncTcpStream, AsyncUdpSocket, JoinHandle, RecvMeta, Runtime,
    TokioRuntime, Transmit,
};

/// The longest sleep while connecting: the net under [`ROUNDS`], for steps that no datagram announces.
const CONNECTING_SLEEP: Duration = Duration::from_millis(5);
/// How often the loop runs again after a datagram while connecting. Two steps have been seen to follow one datagram.
const ROUNDS: u8 = 3;
/// The ICE agent's timer, and the shortest rest of it worth stretching. Shorter timers (the 50 ms of a blocked send,
/// the 100 ms of a close) are left alone.
const ICE_TIMER: Duration = Duration::from_millis(200);
const ICE_TIMER_REST: Duration = Duration::from_millis(150);
/// How long no data must have moved. Longer than SCTP's delayed acknowledgement and its usual retransmission timer,
/// which look like the ICE timer from here.
const QUIET_AFTER: Duration = Duration::from_secs(3);
/// Divides the 2 s between ICE keepalives, so that these leave on time.
const QUIET_SLEEP: Duration = Duration::from_secs(1);
/// Per direction; the kernel caps it at `rmem_max` and `wmem_max` without saying so.
const SOCKET_BUFFER: usize = 4 << 20;
/// A datagram on a path with an MTU of 1500 bytes; what the kernel coalesces is a multiple of at most this.
const SEGMENT: usize = 1500;
/// A name server that does not answer must not hold up the driver loop, which waits for it.
const RESOLVE_WAIT: Duration = Duration::from_secs(1);

/// When the driver loop of one connection runs.
#[derive(Debug)]
pub(super) struct Pace {
    connecting: AtomicBool,
    gathering: AtomicBool,
    rounds: AtomicU8,
    nudged: Notify,
    start: Instant,
    /// Milliseconds from `start` to the last datagram that was not STUN.
    moved: AtomicU64,
}

impl Pace {
    fn new() -> Pace {
        Pace {
            connecting: AtomicBool::new(false),
            gathering: AtomicBool::new(false),
            rounds: AtomicU8::new(0),
            nudged: Notify::new(),
            start: Instant::now(),
            moved: AtomicU64::new(0),
        }
    }

    /// From now on set-up is under way: both descriptions are about to be known.
    pub(super) fn connecting(&self) {
        self.connecting.store(true, Ordering::Release);
        self.nudge();
    }

    /// Servers are asked for candidates: what their answers set off is not to wait for a timer.
    pub(super) fn gathering(&self, gathering: bool) {
        self.gathering.store(gathering, Ordering::Release);
    }

    /// Set-up is over, well or not. To be called on open and before every close.
    pub(super) fn settled(&self) {
        self.connecting.store(false, Ordering::Release);
        self.gathering.store(false, Ordering::Release);
        self.rounds.store(0, Ordering::Release);
    }

    /// Wakes the driver loop, which does not notice a new remote candidate by itself.
    pub(super) fn nudge(&self) {
        self.nudged.notify_one();
    }

    /// A datagram went in or out. STUN begins with a byte below 4 (RFC 7983) and is no data.
    fn datagram(&self, contents: &[u8], received: bool) {
        if contents.first().is_some_and(|first| *first > 3) {
            let elapsed = self.start.elapsed().as_millis();
            self.moved.store(u64::try_from(elapsed).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        let hurried = self.connecting.load(Ordering::Acquire) || self.gathering.load(Ordering::Acquire);
        if received && hurried {
            self.rounds.store(ROUNDS, Ordering::Release);
        }
    }

    fn take_round(&self) -> bool {
        self.rounds.fetch_update(Ordering::AcqRel, Ordering::Acquire, |rounds| rounds.checked_sub(1)).is_ok()
    }

    fn sleep(&self, asked: Duration) -> Duration {
        let moved = Duration::from_millis(self.moved.load(Ordering::Relaxed));
        sleep_for(asked, self.connecting.load(Ordering::Acquire), self.start.elapsed().saturating_sub(moved))
    }
}

fn sleep_for(asked: Duration, connecting: bool, quiet: Duration) -> Duration {
    if connecting {
        asked.min(CONNECTING_SLEEP)
    } else if asked > ICE_TIMER_REST && asked <= ICE_TIMER && quiet > QUIET_AFTER {
        QUIET_SLEEP
    } else {
        asked
    }
}

/// Tokio as one `PeerConnection` needs it; see the module's doc.
#[derive(Debug)]
pub(super) struct Tamed {
    pub(super) pace: Arc<Pace>,
    stopped: Arc<SetOnce<()>>,
}

impl Tamed {
    pub(super) fn new() -> Tamed {
        Tamed { pace: Arc::new(Pace::new()), stopped: Arc::new(SetOnce::new()) }
    }

    /// Resolves when the driver loop has ended.
    pub(super) async fn stopped(&self) {
        self.stopped.wait().await;
    }
}

impl Runtime for Tamed {
    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) -> Box<dyn JoinHandle> {
        TokioRuntime.spawn(future)
    }

    fn spawn_reactor(
        &self,
        pool: usize,
        future: Pin<Box<dyn Future<Output = ()> + Send>>,
    ) -> Box<dyn JoinHandle> {
        struct Stopped(Arc<SetOnce<()>>);
        impl Drop for Stopped {
            fn drop(&mut self) {
                let _ = self.0.set(());
            }
        }
        let stopped = Stopped(Arc::clone(&self.stopped));
        let driver = Box::pin(async move {
            let _stopped = stopped;
            future.await;
        });
        TokioRuntime.spawn_reactor(pool, driver)
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let options = socket2::SockRef::from(&socket);
        let _ = options.set_recv_buffer_size(SOCKET_BUFFER);
        let _ = options.set_send_buffer_size(SOCKET_BUFFER);
        Ok(Arc::new(Socket {
            inner: TokioRuntime.wrap_udp_socket(socket)?,
            pace: Arc::clone(&self.pace),
            rest: Mutex::new(VecDeque::new()),
        }))
    }

    fn wrap_tcp_listener(&self, _: std::net::TcpListener) -> io::Result<Arc<dyn AsyncTcpListener>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// A remote candidate must not be able to make this peer open TCP connections.
    fn connect_tcp<'a>(
        &'a self,
        _: SocketAddr,
    ) -> Pin<Box<dyn Future<Output = io::Result<Arc<dyn AsyncTcpStream>>> + Send + 'a>> {
        Box::pin(std::future::ready(Err(io::ErrorKind::Unsupported.into())))
    }

    fn resolve_host<'a>(
        &'a self,
        host: &'a str,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>> {
        Box::pin(async move {
            tokio::time::timeout(RESOLVE_WAIT, TokioRuntime.resolve_host(host))
                .await
                .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        })
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
        let pace = Arc::clone(&self.pace);
        Box::pin(async move {
            if pace.take_round() {
                return tokio::task::yield_now().await;
            }
            tokio::select! {
                () = pace.nudged.notified() => {}
                () = tokio::time::sleep(pace.sleep(duration)) => {}
            }
        })
    }

    fn interval(&self, period: Duration) -> Box<dyn AsyncInterval> {
        TokioRuntime.interval(period)
    }

    fn block_on(&self, future: Pin<Box<dyn Future<Output = ()> + '_>>) {
        TokioRuntime.block_on(future);
    }

    fn yield_now(&self) -> Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
        TokioRuntime.yield_now()
    }

    fn name(&self) -> &'static str {
        "symbolon"
    }
}

thread_local! {
    /// What a socket of this thread receives into, before its datagrams are handed out.
    static RECEIVED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A UDP socket that tells its connection's [`Pace`] of every datagram and hands them out one by one.
#[derive(Debug)]
struct Socket {
    inner: Arc<dyn AsyncUdpSocket>,
    pace: Arc<Pace>,
    /// Datagrams that came coalesced with one already handed out; at most one receive's worth.
    rest: Mutex<VecDeque<(Bytes, RecvMeta)>>,
}

impl Socket {
    /// Receives once and splits what came by its stride. The first datagram goes to `hand_out`.
    fn receive(
        &self,
        cx: &mut Context<'_>,
        rest: &mut VecDeque<(Bytes, RecvMeta)>,
        hand_out: impl FnOnce(&[u8], RecvMeta),
    ) -> Poll<io::Result<()>> {
        RECEIVED.with_borrow_mut(|buffer| {
            buffer.resize(self.inner.max_gro_segments().max(2) * SEGMENT, 0);
            let mut meta = [RecvMeta::default()];
            match self.inner.poll_recv(cx, &mut [IoSliceMut::new(buffer)], &mut meta) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(_)) => {}
            }
            let [meta] = meta;
            let received = buffer.get(..meta.len).unwrap_or(buffer);
            self.pace.datagram(received, true);
            let (first, others) =
                received.split_at(meta.stride.clamp(1, received.len().max(1)).min(received.len()));
            hand_out(first, meta);
            if !others.is_empty() {
                let others = Bytes::copy_from_slice(others);
                let mut at = 0;
                while at < others.len() {
                    let end = others.len().min(at + meta.stride.max(1));
                    rest.push_back((others.slice(at..end), meta));
                    at = end;
                }
            }
            Poll::Ready(Ok(()))
        })
    }
}

impl AsyncUdpSocket for Socket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn poll_send(&self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        self.pace.datagram(transmit.contents, false);
        self.inner.poll_send(cx, transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let (Some(buf), Some(slot)) = (bufs.first_mut(), meta.first_mut()) else {
            return Poll::Ready(Ok(0));
        };
        let mut hand_out = |datagram: &[u8], meta: RecvMeta| {
            let len = datagram.len().min(buf.len());
            buf[..len].copy_from_slice(&datagram[..len]);
            *slot = meta;
            slot.len = len;
            slot.stride = len.max(1);
        };
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((datagram, meta)) = rest.pop_front() {
            hand_out(&datagram, meta);
            return Poll::Ready(Ok(1));
        }
        self.receive(cx, &mut rest, hand_out).map_ok(|()| 1)
    }

    fn max_gso_segments(&self) -> usize {
        self.inner.max_gso_segments()
    }
}

/// What to bind when the settings name nothing: every address of this machine that a peer can be told, loopback
/// included (two peers on one machine), link-local ones not (they need a scope that no candidate carries).
pub(super) fn local_addresses() -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = if_addrs::get_if_addrs()
        .unwrap_or_default()
        .into_iter()
        .filter(|interface| !interface.is_link_local())
        .map(|interface| interface.ip())
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const NOW: Duration = Duration::ZERO;
    const QUIET: Duration = Duration::from_secs(4);

    #[test]
    fn sleeps_are_short_while_connecting_and_long_only_for_the_quiet_ice_timer() {
        for (asked, connecting, quiet, slept) in [
            (200 * MS, true, QUIET, CONNECTING_SLEEP),
            (MS, true, NOW, MS),
            (200 * MS, false, NOW, 200 * MS),
            (200 * MS, false, QUIET, QUIET_SLEEP),
            (199 * MS, false, QUIET, QUIET_SLEEP),
            (100 * MS, false, QUIET, 100 * MS),
            (50 * MS, false, QUIET, 50 * MS),
            (1500 * MS, false, QUIET, 1500 * MS),
        ] {
            assert_eq!(sleep_for(asked, connecting, quiet), slept, "{asked:?} {connecting} {quiet:?}");
        }
    }

    #[test]
    fn a_datagram_sets_off_extra_rounds_only_while_connecting() {
        let pace = Pace::new();
        pace.datagram(&[22], true);
        assert!(!pace.take_round());
        pace.connecting();
        pace.datagram(&[22], true);
        assert!((0..ROUNDS).all(|_| pace.take_round()));
        assert!(!pace.take_round());
        pace.datagram(&[22], true);
        pace.settled();
        assert!(!pace.take_round());
    }

    #[tokio::test]
    async fn a_nudge_ends_a_sleep() {
        let runtime = Tamed::new();
        let sleep = runtime.sleep(Duration::from_hours(1));
        runtime.pace.nudge();
        tokio::time::timeout(Duration::from_secs(5), sleep).await.unwrap();
    }

    #[tokio::test]
    async fn the_end_of_the_driver_is_noticed_even_after_a_panic() {
        let runtime = Tamed::new();
        let handle = runtime.spawn_reactor(1, Box::pin(async { panic!("a driver that panics, on purpose") }));
        tokio::time::timeout(Duration::from_secs(5), runtime.stopped()).await.unwrap();
        drop(handle);
    }

    #[tokio::test]
    async fn sockets_get_the_largest_buffers_the_kernel_allows() {
        let largest = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let options = socket2::SockRef::from(&largest);
        let _ = options.set_recv_buffer_size(SOCKET_BUFFER);
        let _ = options.set_send_buffer_size(SOCKET_BUFFER);
        let ours = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let kept = ours.try_clone().unwrap();
        let _wrapped = Tamed::new().wrap_udp_socket(ours).unwrap();
        let kept = socket2::SockRef::from(&kept);
        assert_eq!(kept.recv_buffer_size().unwrap(), options.recv_buffer_size().unwrap());
        assert_eq!(kept.send_buffer_size().unwrap(), options.send_buffer_size().unwrap());
    }

    /// Receives the numbers 0, 1, 2 … as datagrams of 1200 bytes, three and a half at a time.
    #[derive(Debug)]
    struct Coalesced;

    impl AsyncUdpSocket for Coalesced {
        fn local_addr(&self) -> io::Result<SocketAddr> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn poll_send(&self, _: &mut Context<'_>, _: &Transmit<'_>) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn poll_recv(
            &self,
            _: &mut Context<'_>,
            bufs: &mut [IoSliceMut<'_>],
            meta: &mut [RecvMeta],
        ) -> Poll<io::Result<usize>> {
            for (at, byte) in bufs[0].iter_mut().take(4200).enumerate() {
                *byte = u8::try_from(at / 1200).unwrap();
            }
            (meta[0].len, meta[0].stride) = (4200, 1200);
            Poll::Ready(Ok(1))
        }

        fn max_gro_segments(&self) -> usize {
            64
        }
    }

    #[test]
    fn coalesced_datagrams_are_handed_out_one_by_one() {
        let socket = Socket {
            inner: Arc::new(Coalesced),
            pace: Arc::new(Pace::new()),
            rest: Mutex::new(VecDeque::new()),
        };
        assert_eq!(socket.max_gro_segments(), 1, "the driver's own buffers stay small");
        let mut buffer = [9; 2000];
        let mut cx = Context::from_waker(std::task::Waker::noop());
        for (length, number) in [(1200, 0), (1200, 1), (1200, 2), (600, 3), (1200, 0)] {
            let mut meta = [RecvMeta::default()];
            let received = socket.poll_recv(&mut cx, &mut [IoSliceMut::new(&mut buffer)], &mut meta);
            assert!(matches!(received, Poll::Ready(Ok(1))));
            assert_eq!((meta[0].len, meta[0].stride), (length, length));
            assert!(buffer[..length].iter().all(|byte| *byte == number));
        }
    }
}
