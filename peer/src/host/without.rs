//! In place of the server, where the program is built without it.

use std::net::SocketAddr;
use std::path::Path;

use symbolon_core::id::ServerKey;
use symbolon_core::origin::Origin;
use tokio::net::TcpListener;

const MISSING: &str = "this program was built without a server; build it with the feature `serve`";

/// There is none.
#[derive(Debug)]
pub(super) enum Running {}

#[expect(clippy::unused_async)]
pub(super) async fn listen(_: SocketAddr) -> Result<TcpListener, String> {
    Err(MISSING.to_owned())
}

#[expect(clippy::unused_async)]
impl Running {
    pub(super) async fn start(_: TcpListener, _: &Path, _: Vec<Origin>, _: bool) -> Result<Self, String> {
        Err(MISSING.to_owned())
    }

    pub(super) fn key(&self) -> ServerKey {
        match *self {}
    }

    pub(super) async fn shutdown(self) {
        match self {}
    }
}
