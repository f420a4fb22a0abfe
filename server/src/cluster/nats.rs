//! The bus. The only file that knows the library for it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, ConnectOptions, Event, Server, ServerAddr, Subscriber};
use futures_util::Stream;
use percent_encoding::percent_decode_str;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use symbolon_core::rendezvous::cluster::MAX_BUS_MESSAGE;
use tokio::sync::watch;

use super::ClusterError;
use super::config::ClusterConfig;

/// Messages that may wait for this server under one subject. What is more is lost, which is noticed.
const WAITING: usize = 4096;

/// What may wait to be written: then whoever publishes waits.
const UNWRITTEN: usize = 1024;

/// How soon a connection without a sign of life is found: after three of these.
const PING: Duration = Duration::from_secs(2);

/// The longest pause between attempts to connect.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How to connect.
pub(super) struct Options(ConnectOptions);

/// A connection to the bus, that comes back by itself.
#[derive(Debug)]
pub(super) struct Bus {
    client: Client,
    status: watch::Receiver<Status>,
    noted: Arc<watch::Sender<Status>>,
}

/// How it is, and what has been.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Status {
    /// Whether there is a connection.
    pub(super) up: bool,
    /// How often there was a new one.
    pub(super) connections: u64,
    /// How many messages were lost here because they were not taken in time.
    pub(super) lost: u64,
    /// The largest message it passes, if a server may have larger ones.
    pub(super) narrow: Option<usize>,
}

/// What went wrong on the way to the addresses, said once each until there is a connection.
#[derive(Debug, Default)]
struct Troubles {
    /// How often each address has failed.
    failed: BTreeMap<String, usize>,
    said: BTreeSet<(String, String)>,
}

/// What is said until there is a connection, at most.
const MOST_SAID: usize = 64;

/// What comes in under one subject. Given up when dropped.
#[derive(Debug)]
pub(super) struct Subscription(Subscriber);

/// There is no connection now.
#[derive(Debug)]
pub(super) struct Down;

/// Scheme, host and port of an address, if it is one.
pub(super) fn place(text: &str) -> Option<String> {
    let address: ServerAddr = text.parse().ok()?;
    let known = matches!(address.scheme(), "nats" | "tls") && !address.host().is_empty();
    known.then(|| shown(&address))
}

/// Without what is secret.
fn shown(address: &ServerAddr) -> String {
    format!("{}://{}:{}", address.scheme(), address.host(), address.port())
}

/// Reads what the configuration names.
pub(super) fn prepare(config: &ClusterConfig) -> Result<Options, ClusterError> {
    let mut options = ConnectOptions::new()
        .name("symbolon-server")
        .no_echo()
        .retry_on_initial_connect()
        .max_reconnects(None)
        .ping_interval(PING)
        .subscription_capacity(WAITING)
        .client_capacity(UNWRITTEN)
        .skip_subject_validation(true)
        .reconnect_delay_callback(|attempts| {
            let pause = Duration::from_millis(10 << attempts.min(10));
            // Servers that lost the same bus do not come back in step.
            pause.min(LONGEST_PAUSE).mul_f64(rand::random_range(0.5..=1.0))
        });
    let addresses: Vec<ServerAddr> =
        config.nats.iter().filter_map(|url| url.secret_text().parse().ok()).collect();
    let mut users: Vec<_> =
        addresses.iter().map(|address| (address.username(), address.password())).collect();
    users.retain(|(name, _)| name.is_some());
    users.dedup();
    let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    options = match users[..] {
        [] | [(None, _)] => options,
        [(Some(token), None)] => options.token(plain(token)),
        [(Some(user), Some(password))] => options.user_and_password(plain(user), plain(password)),
        _ => return Err(ClusterError::Users),
    };
    if let Some(path) = &config.credentials {
        let unusable = |source| ClusterError::Credentials { path: path.clone(), source };
        let text = std::fs::read_to_string(path).map_err(unusable)?;
        options = options.credentials(&text).map_err(unusable)?;
    }
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let mut tls = addresses.iter().any(ServerAddr::tls_required);
    if let Some(path) = &config.ca {
        read_certificates(path)?;
        options = options.add_root_certificates(path.clone());
        tls = true;
    }
    if let (Some(certificate), Some(key)) = (&config.certificate, &config.certificate_key) {
        read_certificates(certificate)?;
        PrivateKeyDer::from_pem_file(key).map_err(|error| no_pem(key, &error))?;
        options = options.add_client_certificate(certificate.clone(), key.clone());
        tls = true;
    }
    if tls {
        // A bus first says without TLS what it offers, and where else it can be reached: whoever sits in between must
        // neither talk a server out of TLS nor lead it elsewhere.
        options = options.require_tls(true).ignore_discovered_servers();
    }
    Ok(Options(options))
}

/// The library reads them at each attempt, and goes on trying with what cannot be read.
fn read_certificates(path: &Path) -> Result<(), ClusterError> {
    let certificates = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err(no_pem(path, &"there is no certificate in it")),
        Ok(_) => Ok(()),
        Err(error) => Err(no_pem(path, &error)),
    }
}

fn no_pem(path: &Path, why: &dyn std::fmt::Display) -> ClusterError {
    ClusterError::Pem { path: path.to_owned(), why: why.to_string() }
}

impl Bus {
    /// Begins to connect, and goes on until it succeeds.
    pub(super) async fn connect(options: Options, config: &ClusterConfig) -> Result<Self, ClusterError> {
        let (noted, status) = watch::channel(Status::default());
        let noted = Arc::new(noted);
        let sender = Arc::clone(&noted);
        let addresses: Vec<&str> = config.nats.iter().map(super::NatsUrl::secret_text).collect();
        let troubles = Arc::new(Mutex::new(Troubles::default()));
        let failing = Arc::clone(&troubles);
        let client = options
            .0
            .event_callback(move |event| {
                if event == Event::Connected {
                    troubles.lock().unwrap_or_else(PoisonError::into_inner).said.clear();
                }
                note(&sender, &event);
                std::future::ready(())
            })
            // Asked before each round of attempts, with what came of those before. Which is next is the library's choice.
            .reconnect_to_server_callback(move |servers, _| {
                failing.lock().unwrap_or_else(PoisonError::into_inner).look(&servers);
                std::future::ready(None)
            })
            .connect(addresses)
            .await
            .map_err(|error| ClusterError::Connect(error.kind().to_string()))?;
        Ok(Self { client, status, noted })
    }

    pub(super) fn status(&self) -> Status {
        *self.status.borrow()
    }

    /// Resolves when the status is no longer `known`.
    pub(super) async fn changed(&mut self, known: Status) {
        // The sender lives as long as this.
        let _ = self.status.wait_for(|status| *status != known).await;
    }

    /// Asks the library how it is, in case it dropped the event that says so, and what the bus can do, for which there is
    /// no event.
    pub(super) fn check(&self) {
        let up = self.client.connection_state() == State::Connected;
        let narrow = Some(self.client.max_payload()).filter(|most| up && *most < MAX_BUS_MESSAGE);
        self.noted.send_if_modified(|status| {
            let before = *status;
            status.connections += u64::from(up && !before.up);
            (status.up, status.narrow) = (up, narrow);
            *status != before
        });
    }

    /// Waits while too much is unwritten.
    pub(super) async fn publish(&mut self, subject: String, bytes: Vec<u8>) -> Result<(), Down> {
        let publishing = self.client.publish(subject, bytes.into());
        or_down(publishing, &mut self.status).await
    }

    pub(super) async fn subscribe(&mut self, subject: String) -> Result<Subscription, Down> {
        or_down(self.client.subscribe(subject), &mut self.status).await.map(Subscription)
    }

    /// Before there is a connection: it is asked for when there is.
    pub(super) async fn subscribe_first(&self, subject: String) -> Result<Subscription, ClusterError> {
        let subscribed = self.client.subscribe(subject).await;
        subscribed.map(Subscription).map_err(|error| ClusterError::Connect(error.to_string()))
    }

    /// Waits until everything is written.
    pub(super) async fn flush(&mut self) {
        let _ = or_down(self.client.flush(), &mut self.status).await;
    }
}

/// What would wait for a connection that may never come is given up.
async fn or_down<T, E>(
    doing: impl Future<Output = Result<T, E>>,
    status: &mut watch::Receiver<Status>,
) -> Result<T, Down> {
    tokio::select! {
        biased;
        done = doing => done.map_err(|_| Down),
        _ = status.wait_for(|status| !status.up) => Err(Down),
    }
}

fn note(sender: &watch::Sender<Status>, event: &Event) {
    match event {
        Event::Connected => sender.send_modify(|status| {
            status.up = true;
            status.connections += 1;
        }),
        Event::Disconnected | Event::Closed => sender.send_modify(|status| status.up = false),
        Event::SlowConsumer(_) => sender.send_modify(|status| status.lost += 1),
        // A refusal says who was refused, not the secret.
        Event::ServerError(error) => tracing::warn!(%error, "the bus complains"),
        // That an attempt failed; `Troubles` says why.
        Event::ClientError(_) | Event::LameDuckMode | Event::Draining => {}
    }
}

impl Troubles {
    fn look(&mut self, servers: &[Server]) {
        for server in servers {
            let place = shown(&server.addr);
            let before = self.failed.insert(place.clone(), server.failed_attempts).unwrap_or_default();
            let Some(error) = server.last_error.as_ref().filter(|_| server.failed_attempts > before) else {
                continue;
            };
            if self.said.len() < MOST_SAID && self.said.insert((place.clone(), error.clone())) {
                tracing::warn!(
                    "the bus cannot be reached at {place}: {error}{}; trying until it can",
                    advice(error)
                );
            }
        }
    }
}

/// What to do about an error of the library, if that is not plain from its words.
fn advice(error: &str) -> &'static str {
    let advices = [
        ("authorization violation", ": it does not take this server's user, token or credentials file"),
        ("UnknownIssuer", ": name the authority of its certificate with `cluster.nats_ca`"),
        ("not valid for name", ": its certificate is for another name than the address has"),
        ("CertificateRequired", ": it wants a certificate, `cluster.nats_certificate`"),
        ("corrupt message", ": it does not speak TLS"),
    ];
    advices.iter().find(|(words, _)| error.contains(words)).map_or("", |(_, advice)| advice)
}

impl Stream for Subscription {
    type Item = bytes::Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.0).poll_next(cx).map(|message| message.map(|message| message.payload))
    }
}
