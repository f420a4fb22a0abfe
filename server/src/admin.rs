//! The operator's own listener: metrics, health, and a page of what goes on. It shows addresses, and is not for others.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::control::Control;
use crate::{ServerError, listen, metrics, status};

/// Connections at once; one operator and a few programs that scrape.
const CONNECTIONS: usize = 64;

/// Nothing from elsewhere, and no script at all.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A listener that is about to serve.
#[derive(Debug)]
pub(crate) struct Admin {
    listener: TcpListener,
    address: SocketAddr,
}

impl Admin {
    pub(crate) async fn bind(address: SocketAddr) -> Result<Self, ServerError> {
        let failed = |source| ServerError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers for ever; dropped with the server, after its clients: it is to be seen how they go.
    pub(crate) async fn serve(self, control: Control) {
        let router = router(control);
        let places = std::sync::Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(place) = std::sync::Arc::clone(&places).acquire_owned().await else { return };
            let Ok((stream, _)) = self.listener.accept().await else {
                tokio::time::sleep(listen::BREATHER).await;
                continue;
            };
            let router = router.clone();
            tokio::spawn(async move {
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(listen::HEAD_WITHIN)
                    .max_buf_size(listen::HEAD_BUFFER)
                    .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
                // One that does not read is not worth a place either.
                let _ = tokio::time::timeout(listen::HEAD_WITHIN * 6, connection).await;
                drop(place);
            });
        }
    }
}

fn router(control: Control) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/style.css", get(async || ([(CONTENT_TYPE, "text/css")], status::STYLE)))
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || "ok"))
        .route("/readyz", get(ready))
        .layer(from_fn(headers))
        .with_state(control)
}

async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn page(State(control): State<Control>) -> Response {
    ([(CONTENT_TYPE, "text/html; charset=utf-8")], status::page(&control)).into_response()
}

async fn metrics(State(control): State<Control>) -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics::text(&control)).into_response()
}

async fn ready(State(control): State<Control>) -> (StatusCode, &'static str) {
    control.ready()
}
