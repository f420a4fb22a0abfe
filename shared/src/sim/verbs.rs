//! What a test does with a host and asks of it.

use std::time::Duration;

use super::host::Document;
use super::{HostId, World};
use crate::id::RoomId;
use crate::node::{Event, Node, VerbError};
use crate::origin::Origin;
use crate::ticket::Ticket;
use crate::time::Now;

impl<D: Document> World<D> {
    /// Whether the machine's process runs.
    pub fn is_running(&self, id: HostId) -> bool {
        self.hosts[id.0].running.is_some()
    }

    /// The node of a running machine.
    pub fn node(&self, id: HostId) -> Option<&Node> {
        self.hosts[id.0].running.as_ref().map(|running| &running.node)
    }

    /// The moment as a machine's own clocks have it.
    pub fn now_at(&self, id: HostId) -> Now {
        let zero = self.hosts[id.0].running.as_ref().map_or(self.now, |running| running.zero);
        Now { monotonic: self.now.saturating_sub(zero), ..self.now() }
    }

    /// A room's document on a running machine.
    pub fn doc(&self, id: HostId, room: &RoomId) -> Option<&D> {
        self.hosts[id.0].running.as_ref()?.docs.get(room)
    }

    /// What the nodes of this machine told their application since the last call.
    pub fn take_events(&mut self, id: HostId) -> Vec<Event> {
        std::mem::take(&mut self.hosts[id.0].told)
    }

    /// The same, left where they are.
    pub fn events(&self, id: HostId) -> &[Event] {
        &self.hosts[id.0].told
    }

    /// How many `PeerConnection`s this machine ever made.
    pub fn connections_made(&self, id: HostId) -> u64 {
        self.hosts[id.0].connections
    }

    /// How many bytes this machine ever gave to its data channels.
    pub fn bytes_sent(&self, id: HostId) -> u64 {
        self.hosts[id.0].sent
    }

    /// Uses a running node's verbs; `None` if it is off or asleep, or crashed over what it was to do.
    pub fn with<R>(&mut self, id: HostId, act: impl FnOnce(&mut Node, Now) -> R) -> Option<R> {
        let now = self.now_at(id);
        let host = &mut self.hosts[id.0];
        let (running, boots) = (host.running.as_mut().filter(|_| host.asleep.is_none())?, host.boots);
        let result = act(&mut running.node, now);
        self.carry_out(id);
        let host = &self.hosts[id.0];
        (host.running.is_some() && host.boots == boots).then_some(result)
    }

    /// Edits a room's document, as an application that waits: `Some` once the change is on disk.
    pub fn edit(&mut self, id: HostId, room: &RoomId, act: impl FnOnce(&mut D)) -> Option<()> {
        act(self.doc_mut(id, room)?);
        self.with(id, |node, now| node.flush(room, now))
    }

    /// Edits a room's document, as an editor does: the change goes out when the node asks for it.
    pub fn type_in(&mut self, id: HostId, room: &RoomId, act: impl FnOnce(&mut D)) -> Option<()> {
        act(self.doc_mut(id, room)?);
        self.with(id, |node, now| node.local_changed(room, now))
    }

    fn doc_mut(&mut self, id: HostId, room: &RoomId) -> Option<&mut D> {
        let host = &mut self.hosts[id.0];
        host.running.as_mut().filter(|_| host.asleep.is_none())?.docs.get_mut(room)
    }

    /// Founds a room.
    pub fn create_room(&mut self, id: HostId, servers: &[Origin]) -> Option<RoomId> {
        self.with(id, |node, now| node.create_room("room", servers, now))?.ok()
    }

    /// Uses a ticket.
    pub fn join(&mut self, id: HostId, ticket: &Ticket, timeout: Duration) -> Option<Result<(), VerbError>> {
        self.with(id, |node, now| node.join(ticket, timeout, now).map(|_| ()))
    }
}
