//! The server in this process.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;

use symbolon_core::id::ServerKey;
use symbolon_core::origin::Origin;
use symbolon_server::{Config, KeySource, Server, ServerError};

/// A server that stops when this is dropped.
#[derive(Debug)]
pub(super) struct Running {
    config: Config,
    server: Server,
}

impl Running {
    /// Serves with the key of this file, which is made if it is missing. It answers for no address yet that others
    /// could dial.
    pub(super) async fn start(listen: SocketAddr, key: &Path, page: bool) -> Result<Self, String> {
        let file = KeySource::File(key.to_owned());
        let key = tokio::task::spawn_blocking(move || file.load()).await;
        let key = key.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        let config = Config { listen, key: KeySource::Given(key), page, ..Config::default() };
        let server = Server::bind(config.clone()).await.map_err(|error| words(&error))?;
        Ok(Self { config, server })
    }

    /// From now on it answers for these addresses.
    pub(super) fn answer_for(&mut self, origins: Vec<Origin>) {
        self.config.origins = origins;
        if let Err(error) = self.server.reload(&self.config) {
            tracing::error!("the hosted server keeps the addresses it had: {error}");
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.server.local_addr()
    }

    pub(super) fn key(&self) -> ServerKey {
        self.server.key()
    }

    pub(super) async fn shutdown(self) {
        if let Err(error) = self.server.shutdown().await {
            tracing::warn!("the hosted server did not end well: {error}");
        }
    }
}

fn words(error: &ServerError) -> String {
    let ServerError::Listen { address, source } = error else { return error.to_string() };
    match source.kind() {
        ErrorKind::AddrInUse => {
            format!("{address} is taken by another program; end that one, or choose another port")
        }
        ErrorKind::AddrNotAvailable => {
            format!("{} is no address of this machine; 0.0.0.0 stands for all it has", address.ip())
        }
        ErrorKind::PermissionDenied => {
            format!("this user may not listen on {address}; choose a port from 1024 up")
        }
        _ => format!("cannot listen on {address}: {source}"),
    }
}
