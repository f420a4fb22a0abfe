//! The accept loop, and HTTP up to the WebSocket.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use axum::Extension;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use symbolon_core::origin;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

use crate::ServerError;
use crate::budget::Budget;
use crate::client::{self, Shared};
use crate::clock::Clock;
use crate::cluster::Joining;
use crate::config::Config;
use crate::control::Control;
use crate::door::Seat;
use crate::gate::Gate;
use crate::http::{self, Hold, HttpStream};
use crate::metrics::{self, ACCEPTED, Metrics, TURNED};
use crate::registry::Registry;
use crate::stream::Stream;
use crate::turn::TurnServer;
use crate::ws::handshake;

/// From the connection, or from the last answer, to the end of the next request's head.
pub(crate) const HEAD_WITHIN: Duration = Duration::from_secs(10);

/// The largest request head; the least that hyper allows.
pub(crate) const HEAD_BUFFER: usize = 8 * 1024;

/// How long clients may take to go when the server stops.
const DRAIN: Duration = Duration::from_secs(4);

/// The pause after the system had no file descriptor for a connection.
pub(crate) const BREATHER: Duration = Duration::from_millis(50);

/// What the page is told about whoever serves it.
const PAGE_CONFIG: &str = r#"{"rendezvous":true}"#;

/// A server that is about to serve.
pub(crate) struct Listening {
    listener: TcpListener,
    address: SocketAddr,
    gate: Arc<Gate>,
    shared: Arc<Shared>,
    joining: Option<Joining>,
    router: Router,
    read_within: Duration,
    /// Ends with this.
    _turn: Option<TurnServer>,
}

/// What a request handler knows.
#[derive(Clone)]
struct Visit {
    seat: Arc<Seat>,
    /// Who it is, unless a request names somebody else and may.
    address: IpAddr,
    gate: Arc<Gate>,
    shared: Arc<Shared>,
    /// Of its connection.
    hold: Hold,
}

impl Listening {
    pub(crate) fn new(listener: TcpListener, config: Config) -> Result<Self, ServerError> {
        let address = listener.local_addr()?;
        let gate = Gate::new(&config)?;
        let mut terms = config.terms(config.key.load()?, address, gate.secure());
        let clock = Clock::start();
        terms.turn = config.turn.elsewhere().map_err(ServerError::Turn)?;
        let turn = config.turn.listens().then(|| TurnServer::start(&config.turn, gate.acceptor(), clock));
        let turn = turn.transpose()?;
        if let Some(turn) = &turn {
            terms.ice_servers.extend(turn.stun.clone());
            terms.turn = Some(turn.terms.clone());
        }
        let joining = Joining::new(&config.cluster)?;
        let link = joining.as_ref().map(Joining::link);
        let metrics = Arc::new(Metrics::new());
        let shared = Shared {
            registry: Registry::new(
                terms.limits.clients_per_room,
                config.rooms,
                terms.room_enters,
                link,
                Arc::clone(&metrics),
            ),
            cluster: joining.as_ref().map(Joining::status),
            terms: RwLock::new(Arc::new(terms)),
            clock,
            turn: turn.as_ref().map(|server| Arc::clone(&server.turn)),
            outbox: config.outbox_bytes,
            budget: Budget::new(config.buffer_bytes),
            metrics,
        };
        Ok(Self {
            listener,
            address,
            gate: Arc::new(gate),
            shared: Arc::new(shared),
            joining,
            router: router(config.page),
            read_within: config.read_within,
            _turn: turn,
        })
    }

    /// What a running server can be told.
    pub(crate) fn control(&self) -> Control {
        Control { address: self.address, gate: Arc::clone(&self.gate), shared: Arc::clone(&self.shared) }
    }

    pub(crate) async fn serve(
        mut self,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), ServerError> {
        let joined = match self.joining.take() {
            Some(joining) => Some(joining.start(Arc::clone(&self.shared)).await?),
            None => None,
        };
        let (open, mut all_gone) = mpsc::channel::<()>(1);
        let (stop, stopped) = watch::channel(());
        let mut shutdown = std::pin::pin!(shutdown);
        let mut watch_files = std::pin::pin!(self.gate.watch_files());
        loop {
            let accepted = tokio::select! {
                () = &mut watch_files => continue,
                accepted = self.listener.accept() => accepted,
                () = &mut shutdown => break,
            };
            match accepted {
                Ok((stream, address)) => self.admit(stream, address, &open, &stopped),
                Err(error) => {
                    // Out of descriptors, or a connection that died in the queue: neither ends the server.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(BREATHER).await;
                }
            }
        }
        drop((self.listener, stop, open));
        self.shared.registry.stop();
        if tokio::time::timeout(DRAIN, all_gone.recv()).await.is_err() {
            tracing::info!("some clients did not go in time");
        }
        if let Some(joined) = joined {
            joined.stop().await;
        }
        Ok(())
    }

    fn admit(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        open: &mpsc::Sender<()>,
        stopped: &watch::Receiver<()>,
    ) {
        let (gate, shared) = (Arc::clone(&self.gate), Arc::clone(&self.shared));
        let seat = match gate.enter(address.ip(), open, shared.clock.now()) {
            Ok(seat) => seat,
            Err(reason) => {
                shared.metrics.count(TURNED, metrics::turned(reason));
                return tracing::debug!(?reason, "a connection is turned away");
            }
        };
        shared.metrics.count(ACCEPTED, "");
        // Without it a relayed signal may wait 40 ms for the acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        let (router, read_within, stopped) = (self.router.clone(), self.read_within, stopped.clone());
        tokio::spawn(async move {
            let passed = gate.pass(stream, address.ip(), &seat, &shared).await;
            let (stream, address) = match passed {
                Ok(passed) => passed,
                Err(reason) => {
                    shared.metrics.count(TURNED, metrics::not_passed(&reason));
                    return tracing::debug!(%reason, "a connection does not get to HTTP");
                }
            };
            let (stream, hold, stalled) = http::watch(stream, read_within);
            let visit = Visit { seat: Arc::new(seat), address, gate, shared, hold };
            answer(stream, stalled, router, visit, stopped).await;
        });
    }
}

/// Answers HTTP requests until the connection ends or becomes a WebSocket.
async fn answer(
    stream: HttpStream<Stream>,
    stalled: impl Future<Output = ()>,
    router: Router,
    visit: Visit,
    mut stopped: watch::Receiver<()>,
) {
    let service = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(visit.clone());
        service.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_BUFFER)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::select! {
        _ = connection => {}
        () = stalled => {}
        // The sender is dropped when the server stops.
        _ = stopped.changed() => {}
    }
}

fn router(with_page: bool) -> Router {
    let router = Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/readyz", get(ready))
        .route(origin::PATH, get(rendezvous));
    if with_page { router.fallback(page) } else { router.route("/", get(no_page)) }
}

/// Whether to send clients here.
async fn ready(Extension(visit): Extension<Visit>) -> (StatusCode, &'static str) {
    if visit.shared.registry.stopping() {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping")
    } else if visit.shared.cluster.as_ref().is_some_and(|cluster| !cluster.is_connected()) {
        // A bus that is away is away for all servers, and each still serves its own clients.
        (StatusCode::OK, "ready, without the bus to the other servers")
    } else {
        (StatusCode::OK, "ready")
    }
}

async fn page(request: Request) -> Response {
    symbolon_page::respond(&request, PAGE_CONFIG).map(Body::from)
}

async fn no_page() -> String {
    format!("A Symbolon rendezvous server. Clients connect to {}.\n", origin::PATH)
}

async fn rendezvous(Extension(visit): Extension<Visit>, mut request: Request) -> Response {
    let response = handshake::answer(&request);
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let client = visit.gate.client(visit.address, request.headers());
        if let Err(reason) = visit.seat.sit(client, visit.shared.clock.now()) {
            visit.shared.metrics.count(TURNED, metrics::turned(reason));
            tracing::debug!(?reason, "a client behind a proxy is turned away");
            // The connection is the proxy's, which wants an answer.
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        let upgrade = hyper::upgrade::on(&mut request);
        visit.hold.hold();
        tokio::spawn(async move {
            if let Ok(upgraded) = upgrade.await {
                client::serve(upgraded, visit.seat, visit.shared).await;
            }
        });
    }
    response
}
