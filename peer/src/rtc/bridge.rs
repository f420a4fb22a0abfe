//! TURN over TCP and TLS for a `webrtc` that speaks it over UDP only.
//!
//! Each such server gets a socket on loopback, which `webrtc` is given in its place; what is sent there goes on through
//! a stream, and back. The stream is opened only once the connection has not come about without it for
//! [`OPEN_AFTER`]: it is the way of last resort, and costs the server a connection.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use symbolon_core::rendezvous::turn::{Cut, cut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::IceServer;

/// URLs taken from all servers together; each costs sockets.
const MAX_URLS: usize = 16;
/// Streams one connection may open.
const MAX_BRIDGES: usize = 4;
/// How long a connection may take before streams are tried as well. A direct one takes a few round trips.
const OPEN_AFTER: Duration = Duration::from_secs(1);
/// Looking up the name, connecting and TLS.
const CONNECT: Duration = Duration::from_secs(10);
/// A message of `webrtc` fits in a datagram.
const DATAGRAM: usize = 64 * 1024;
const READ: usize = 16 * 1024;

/// The bridges of one connection; they end with it.
pub(super) struct Bridges {
    tasks: JoinSet<()>,
    settled: watch::Sender<bool>,
}

impl Bridges {
    /// The servers as `webrtc` may have them, with a bridge for each that it cannot reach by itself.
    pub(super) async fn build(
        servers: Vec<IceServer>,
        local: &[IpAddr],
        roots: &[Vec<u8>],
    ) -> (Vec<IceServer>, Self) {
        let (settled, watched) = watch::channel(false);
        let mut bridges = Self { tasks: JoinSet::new(), settled };
        let mut left = MAX_URLS;
        let mut out = Vec::new();
        for server in servers {
            let mut urls = Vec::new();
            for url in server.urls.iter().filter_map(|url| Url::parse(url)) {
                if left == 0 {
                    break;
                }
                left -= 1;
                match url.transport {
                    Transport::Udp => urls.push(url.text()),
                    Transport::Tcp | Transport::Tls if bridges.tasks.len() < MAX_BRIDGES => {
                        match bridges.add(url, local, roots, watched.clone()).await {
                            Ok(url) => urls.push(url),
                            Err(error) => tracing::debug!(%error, "no way to a TURN server"),
                        }
                    }
                    Transport::Tcp | Transport::Tls => {}
                }
            }
            if !urls.is_empty() {
                out.push(IceServer { urls, ..server });
            }
        }
        (out, bridges)
    }

    /// The connection is there: bridges that have not been used are not needed.
    pub(super) fn settle(&self) {
        self.settled.send_replace(true);
    }

    async fn add(
        &mut self,
        url: Url,
        local: &[IpAddr],
        roots: &[Vec<u8>],
        settled: watch::Receiver<bool>,
    ) -> io::Result<String> {
        let loopback: IpAddr = if local.is_empty() || local.iter().any(IpAddr::is_ipv4) {
            Ipv4Addr::LOCALHOST.into()
        } else {
            Ipv6Addr::LOCALHOST.into()
        };
        let socket = UdpSocket::bind((loopback, 0)).await?;
        let near = format!("turn:{}?transport=udp", socket.local_addr()?);
        let tls =
            (url.transport == Transport::Tls).then(|| tls_config(roots)).transpose()?.map(TlsConnector::from);
        self.tasks.spawn(async move {
            if let Err(error) = run(&socket, &url, tls, settled).await {
                tracing::debug!(%error, "a way to a TURN server ended");
            }
        });
        Ok(near)
    }
}

/// Serves the first of the local addresses that ask; one relay through a stream is enough.
async fn run(
    socket: &UdpSocket,
    url: &Url,
    tls: Option<TlsConnector>,
    mut settled: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut first = vec![0; DATAGRAM];
    let (len, source) = socket.recv_from(&mut first).await?;
    first.truncate(len);
    socket.connect(source).await?;
    tokio::select! {
        _ = settled.wait_for(|settled| *settled) => return Ok(()),
        () = tokio::time::sleep(OPEN_AFTER) => {}
    }
    // The same request, sent again and again meanwhile.
    while socket.try_recv(&mut [0; 1]).is_ok() {}
    let stream = tokio::time::timeout(CONNECT, async {
        let stream = TcpStream::connect((url.host.as_str(), url.port)).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = tls else { return Ok(Stream::Plain(stream)) };
        let name = ServerName::try_from(url.host.clone()).map_err(io::Error::other)?;
        Ok(Stream::Tls(Box::new(tls.connect(name, stream).await?)))
    });
    match stream.await.unwrap_or_else(|_| Err::<Stream, io::Error>(io::ErrorKind::TimedOut.into()))? {
        Stream::Plain(stream) => carry(socket, stream, first).await,
        Stream::Tls(stream) => carry(socket, *stream, first).await,
    }
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

async fn carry<S: AsyncRead + AsyncWrite>(
    socket: &UdpSocket,
    stream: S,
    mut datagram: Vec<u8>,
) -> io::Result<()> {
    let (mut from, mut to) = tokio::io::split(stream);
    let out = async {
        loop {
            datagram.resize(datagram.len().next_multiple_of(4), 0);
            to.write_all(&datagram).await?;
            to.flush().await?;
            datagram.resize(DATAGRAM, 0);
            let len = socket.recv(&mut datagram).await?;
            datagram.truncate(len);
        }
    };
    let back = async {
        let mut left = Vec::new();
        loop {
            let mut at = 0;
            loop {
                let rest = left.get(at..).unwrap_or_default();
                match cut(rest) {
                    Cut::Garbage => return Err(io::ErrorKind::InvalidData.into()),
                    Cut::Incomplete => break,
                    Cut::Message { len, padded } => {
                        // One that does not fit into the queue is lost, like any datagram.
                        let _ = socket.try_send(rest.get(..len).unwrap_or_default());
                        at += padded;
                    }
                }
            }
            left.drain(..at);
            left.reserve(READ);
            if from.read_buf(&mut left).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    };
    tokio::select! {
        ended = out => ended,
        ended = back => ended,
    }
}

/// Trusts the authorities that browsers trust, and these.
pub(crate) fn tls_config(roots: &[Vec<u8>]) -> io::Result<Arc<ClientConfig>> {
    let mut store = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for root in roots {
        store.add(CertificateDer::from(root.clone())).map_err(io::Error::other)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport {
    Udp,
    Tcp,
    Tls,
}

/// The address of a STUN or TURN server (RFC 7064, RFC 7065). One in another form never reaches `webrtc`, which would
/// give up all others with it.
#[derive(Debug, PartialEq, Eq)]
struct Url {
    turn: bool,
    host: String,
    port: u16,
    transport: Transport,
}

impl Url {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once(':')?;
        let (authority, query) = rest.split_once('?').unwrap_or((rest, "transport="));
        let asked = query.strip_prefix("transport=")?;
        let (turn, transport, usual) = match (scheme, asked) {
            ("stun", "") => (false, Transport::Udp, 3478),
            ("turn", "" | "udp") => (true, Transport::Udp, 3478),
            ("turn", "tcp") => (true, Transport::Tcp, 3478),
            ("turns", "" | "tcp") => (true, Transport::Tls, 5349),
            _ => return None,
        };
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']')?;
                let _: Ipv6Addr = host.parse().ok()?;
                (host, port.strip_prefix(':').or_else(|| port.is_empty().then_some("")))
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, Some("")),
            },
        };
        let port = match port? {
            "" => usual,
            port => port.parse().ok().filter(|port| *port != 0)?,
        };
        let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        let fits = !host.is_empty() && host.len() <= 253 && host.chars().all(named);
        fits.then(|| Self { turn, host: host.to_owned(), port, transport })
    }

    fn text(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let port = self.port;
        if self.turn { format!("turn:{host}:{port}?transport=udp") } else { format!("stun:{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_servers_are_read_and_others_left_out() {
        for (text, expected) in [
            ("stun:example.org", "stun:example.org:3478"),
            ("stun:192.0.2.1:19302", "stun:192.0.2.1:19302"),
            ("turn:example.org", "turn:example.org:3478?transport=udp"),
            ("turn:[2001:db8::1]:99?transport=udp", "turn:[2001:db8::1]:99?transport=udp"),
        ] {
            assert_eq!(Url::parse(text).unwrap().text(), expected);
        }
        let url = Url::parse("turns:example.org").unwrap();
        assert_eq!((url.transport, url.port), (Transport::Tls, 5349));
        assert_eq!(Url::parse("turn:example.org:80?transport=tcp").unwrap().transport, Transport::Tcp);
        for bad in [
            "",
            "turn",
            "turn:",
            "http://example.org",
            "turn:example.org:0",
            "turn:example.org:70000",
            "turn:a b",
            "turn:[::1",
            "turn:[x]:1",
            "turn:[::1]1",
            "turns:example.org?transport=udp",
            "stun:h?transport=tcp",
            "turn:h?x=y",
            "turn:user@host",
            "turn:h/path",
        ] {
            assert_eq!(Url::parse(bad), None, "{bad}");
        }
    }

    #[tokio::test]
    async fn a_server_can_name_only_so_many_others() {
        let urls = |n: usize, of: &str| (0..n).map(|n| format!("{of}:host{n}.example")).collect();
        let server = |urls| IceServer { urls, ..IceServer::default() };
        let (out, bridges) =
            Bridges::build(vec![server(urls(9, "turns")), server(urls(100, "stun"))], &[], &[]).await;
        assert_eq!(bridges.tasks.len(), MAX_BRIDGES);
        assert_eq!(out.iter().map(|server| server.urls.len()).sum::<usize>(), MAX_BRIDGES + MAX_URLS - 9);
    }
}
