//! In place of the server, where the program is built without it.

use std::net::SocketAddr;
use std::path::Path;

use symbolon_core::id::ServerKey;
use symbolon_core::origin::Origin;

/// There is none.
#[derive(Debug)]
pub(super) enum Running {}

#[expect(clippy::unused_async)]
impl Running {
    pub(super) async fn start(_: SocketAddr, _: &Path, _: bool) -> Result<Self, String> {
        Err("this program was built without a server; build it with the feature `serve`".to_owned())
    }

    pub(super) fn answer_for(&mut self, _: Vec<Origin>) {}

    pub(super) fn address(&self) -> SocketAddr {
        match *self {}
    }

    pub(super) fn key(&self) -> ServerKey {
        match *self {}
    }

    pub(super) async fn shutdown(self) {
        match self {}
    }
}
