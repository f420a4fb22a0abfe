//! From an accepted socket to the bytes of a client whose address is known.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use hyper::HeaderMap;
use symbolon_core::time::Now;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use crate::client::Shared;
use crate::config::Config;
use crate::door::{Door, DoorSnapshot, Seat, Turned};
use crate::proxy::{self, Proxies};
use crate::stream::Stream;
use crate::tls::{self, Tls, TlsError};

/// Who comes in, and in which form.
#[derive(Debug)]
pub(crate) struct Gate {
    door: Arc<Door>,
    tls: Option<Tls>,
    proxies: RwLock<Arc<Proxies>>,
    handshake_within: Duration,
}

/// Why a connection did not get as far as HTTP.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotPassed {
    #[error("{0:?}")]
    Turned(Turned),
    #[error("{0}")]
    Broken(#[from] io::Error),
    #[error("it did not finish its handshake in time")]
    Late,
    #[error("it does not speak TLS")]
    Plain,
}

impl Gate {
    pub(crate) fn new(config: &Config) -> Result<Self, TlsError> {
        Ok(Self {
            door: Arc::new(Door::new(config.seats(), config.bans)),
            tls: Tls::new(&config.tls)?,
            proxies: RwLock::new(Arc::new(config.proxies.clone())),
            handshake_within: config.handshake_within,
        })
    }

    /// Whether it speaks TLS.
    pub(crate) fn secure(&self) -> bool {
        self.tls.is_some()
    }

    /// For other listeners with the same certificate.
    pub(crate) fn acceptor(&self) -> Option<TlsAcceptor> {
        self.tls.as_ref().map(Tls::acceptor)
    }

    /// Other limits, proxies and certificate from now on; whoever is inside stays. The error is of the certificate alone.
    pub(crate) fn reload(&self, config: &Config) -> Result<(), TlsError> {
        self.door.set_limits(config.seats());
        *self.proxies.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config.proxies.clone());
        match (&self.tls, tls::wanted(&config.tls)?) {
            (None, None) => Ok(()),
            (Some(tls), Some(files)) => tls.reload(files),
            _ => Err(TlsError::Switch),
        }
    }

    /// A seat for a connection from `address`.
    pub(crate) fn enter(&self, address: IpAddr, open: &mpsc::Sender<()>, now: Now) -> Result<Seat, Turned> {
        if self.proxies().trust(address) {
            self.door.enter_unnamed(open)
        } else {
            self.door.enter(address, open, now)
        }
    }

    /// What comes before HTTP: a PROXY header, a TLS handshake. Gives the stream and whose it is.
    pub(crate) async fn pass(
        &self,
        mut stream: TcpStream,
        address: IpAddr,
        seat: &Seat,
        shared: &Shared,
    ) -> Result<(Stream, IpAddr), NotPassed> {
        let passing = async {
            let announces = self.proxies().announces(address);
            let address =
                if announces { proxy::announced(&mut stream).await?.unwrap_or(address) } else { address };
            if announces {
                seat.sit(address, shared.clock.now()).map_err(NotPassed::Turned)?;
            }
            let Some(tls) = &self.tls else { return Ok((Stream::Plain(stream), address)) };
            let begin = Instant::now();
            let stream = tls.accept(stream).await?.ok_or(NotPassed::Plain)?;
            shared.metrics.tls.observe(begin.elapsed());
            Ok((Stream::Tls(Box::new(stream)), address))
        };
        tokio::time::timeout(self.handshake_within, passing).await.unwrap_or(Err(NotPassed::Late))
    }

    /// The client of a request on a connection of `address`.
    pub(crate) fn client(&self, address: IpAddr, headers: &HeaderMap) -> IpAddr {
        self.proxies().client(address, headers)
    }

    /// Runs as long as the server.
    pub(crate) fn watch_files(&self) -> impl Future<Output = ()> + Send + 'static {
        let watch = self.tls.as_ref().map(Tls::watch);
        async move {
            match watch {
                Some(watch) => watch.await,
                None => std::future::pending().await,
            }
        }
    }

    /// Who is inside and who waits outside.
    pub(crate) fn snapshot(&self, most: usize, now: Now) -> DoorSnapshot {
        self.door.snapshot(most, now)
    }

    fn proxies(&self) -> Arc<Proxies> {
        Arc::clone(&self.proxies.read().unwrap_or_else(PoisonError::into_inner))
    }
}
