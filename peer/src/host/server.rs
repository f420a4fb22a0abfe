//! The server in this process.

use std::net::SocketAddr;
use std::path::Path;

use symbolon_core::id::ServerKey;
use symbolon_core::origin::Origin;
use symbolon_server::{Config, KeySource};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A server that stops when this is dropped.
#[derive(Debug)]
pub(super) struct Running {
    key: ServerKey,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// Takes the port.
pub(super) async fn listen(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            format!("{address} is taken by another program; end that one, or choose another port")
        }
        std::io::ErrorKind::AddrNotAvailable => {
            format!("{} is no address of this machine; 0.0.0.0 stands for all it has", address.ip())
        }
        std::io::ErrorKind::PermissionDenied => {
            format!("this user may not listen on {address}; choose a port from 1024 up")
        }
        _ => format!("cannot listen on {address}: {error}"),
    })
}

impl Running {
    /// Serves with the key of this file, which is made if it is missing.
    pub(super) async fn start(
        listener: TcpListener,
        key: &Path,
        origins: Vec<Origin>,
        page: bool,
    ) -> Result<Self, String> {
        let file = KeySource::File(key.to_owned());
        let key = tokio::task::spawn_blocking(move || file.load()).await;
        let key = key.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        let config = Config { origins, key: KeySource::Given(key.clone()), page, ..Config::default() };
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = symbolon_server::run(listener, config, async {
            // A sender that is dropped says the same.
            let _ = stopped.await;
        });
        let task = tokio::spawn(async {
            if let Err(error) = serving.await {
                tracing::error!("the hosted server ended: {error}");
            }
        });
        Ok(Self { key: key.server(), stop, task })
    }

    pub(super) fn key(&self) -> ServerKey {
        self.key
    }

    pub(super) async fn shutdown(self) {
        let _ = self.stop.send(());
        let _ = self.task.await;
    }
}
