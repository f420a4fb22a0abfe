//! By which way a device is called (PROTOCOL §8.5).

use std::time::Duration;

use super::room::Room;
use crate::id::{DeviceId, SessionId};
use crate::origin::Origin;

/// By which way the signals of one attempt travel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Path {
    /// Through a server, to this session.
    Server { origin: Origin, session: SessionId },
    /// Through a common neighbour, to this session.
    Mesh { via: DeviceId, session: SessionId },
}

impl Path {
    pub(super) fn session(&self) -> &SessionId {
        match self {
            Self::Server { session, .. } | Self::Mesh { session, .. } => session,
        }
    }
}

impl Room {
    /// The way by which a device is to be called now: the one that failed least; of those a common neighbour, then the
    /// newest session at a server.
    pub(super) fn path(&self, device: &DeviceId, now: Duration) -> Option<Path> {
        let mesh = self.mesh_path(device, now).map(|(path, failures)| (failures, 0, path));
        let servers = self.visible.iter().filter(|(_, visible)| visible.device == Some(*device));
        let servers = servers.map(|((origin, session), visible)| {
            let path = Path::Server { origin: origin.clone(), session: *session };
            (visible.failures, u64::MAX - visible.number, path)
        });
        let best = mesh.into_iter().chain(servers).min_by_key(|(failures, age, _)| (*failures, *age));
        best.map(|(.., path)| path)
    }

    /// Through a neighbour that claims a link with it, or with which it claims one.
    fn mesh_path(&self, device: &DeviceId, now: Duration) -> Option<(Path, u32)> {
        let peer = self.peers.get(device)?;
        let list = peer.fresh_list(now)?;
        let claims = |via: &DeviceId| {
            let theirs = self.peers.get(via).and_then(|peer| peer.fresh_list(now));
            theirs.is_some_and(|list| list.links.contains(device))
        };
        let via = self.up.keys().find(|via| list.links.contains(via) || claims(via))?;
        Some((Path::Mesh { via: *via, session: list.session }, peer.mesh_failures))
    }

    /// A call by this way came to nothing, or did not.
    pub(super) fn rate(&mut self, device: &DeviceId, path: &Path, failed: bool) {
        let failures = match path {
            Path::Server { origin, session } => {
                self.visible.get_mut(&(origin.clone(), *session)).map(|visible| &mut visible.failures)
            }
            Path::Mesh { .. } => self.peers.get_mut(device).map(|peer| &mut peer.mesh_failures),
        };
        if let Some(failures) = failures {
            *failures = if failed { failures.saturating_add(1) } else { 0 };
        }
    }
}
