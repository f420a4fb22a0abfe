//! One room across servers: who is here, who is at which other server, and whom the clients here are shown.

use std::collections::BTreeMap;
use std::time::Duration;

use super::message::{BusSignal, Change, Instance};
use crate::id::SessionId;
use crate::signal::{Bytes, MAX_CLIENTS_PER_ROOM};

/// How many clients of a room are shown to one another at most. Servers let clients in that do not know of each other
/// yet, so a full room can get fuller; the list of this many with the largest announcements still fits into a message.
pub const MAX_SHOWN: usize = MAX_CLIENTS_PER_ROOM + 44;

/// What the clients of the room here are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Elsewhere {
    /// Whoever was at another server is to be forgotten: the room is new here.
    Cleared,
    /// A client at another server is in the room, or announced itself anew.
    Arrived(SessionId, Bytes),
    /// A client at another server is gone.
    Left(SessionId),
}

/// What one room has for the clients here.
#[derive(Debug)]
pub(super) enum Told {
    Presence(Elsewhere),
    Signal { from: SessionId, to: SessionId, body: Bytes },
}

#[derive(Debug, Default)]
pub(super) struct Room {
    /// The clients here, with their announcements.
    pub(super) here: BTreeMap<SessionId, Bytes>,
    /// Of `here`, for other servers.
    pub(super) version: u64,
    /// Whether the bus was asked for the room's messages.
    pub(super) subscribed: bool,
    pub(super) elsewhere: BTreeMap<Instance, Remote>,
    /// Those the clients here know of, and where they are.
    shown: BTreeMap<SessionId, Instance>,
    /// Whether somebody is not shown because there was no place.
    crowded: bool,
    /// What is to be told, oldest first.
    pub(super) tell: Vec<Told>,
}

/// A room as another server has it.
#[derive(Debug, Default)]
pub(super) struct Remote {
    /// The version `clients` are; 0 before anything was heard.
    pub(super) version: u64,
    /// The newest version heard of.
    seen: u64,
    /// When it was last said that this is the version.
    pub(super) confirmed: Duration,
    /// When a snapshot was last asked for, if one is awaited.
    pub(super) asked: Option<Duration>,
    clients: BTreeMap<SessionId, Bytes>,
}

/// What became of a signal from another server.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Signalled {
    /// Told to its receiver.
    Told,
    /// Has overtaken its sender's arrival; whether that has to be asked for.
    Early { signal: BusSignal, ask: bool },
    /// One of the two is not in the room.
    Dropped,
}

impl Remote {
    pub(super) fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// A snapshot is to be asked for, unless one is awaited already.
    fn want(&mut self, now: Duration) -> bool {
        let wanted = self.asked.is_none();
        self.asked.get_or_insert(now);
        wanted
    }

    fn is_at(&mut self, version: u64, now: Duration) {
        self.version = version;
        self.seen = self.seen.max(version);
        self.confirmed = now;
        if self.seen == version {
            self.asked = None;
        }
    }
}

impl Room {
    pub(super) fn new(subscribed: bool) -> Self {
        Self { subscribed, ..Self::default() }
    }

    /// A client here came or announced itself anew; false if nothing is new.
    pub(super) fn enter(&mut self, session: SessionId, announcement: Bytes) -> bool {
        self.shown.remove(&session);
        let before = self.here.insert(session, announcement.clone());
        before.as_ref() != Some(&announcement)
    }

    /// A client here left; false if it was not here. If it is in the room at another server too, it is shown from there.
    pub(super) fn leave(&mut self, session: SessionId) -> bool {
        if self.here.remove(&session).is_none() {
            return false;
        }
        self.show_from_any(session);
        self.fill();
        true
    }

    /// Another server says what has changed. True if a snapshot is to be asked for.
    pub(super) fn handle_news(
        &mut self,
        from: Instance,
        before: u64,
        version: u64,
        changes: Vec<Change>,
        now: Duration,
    ) -> bool {
        let remote = self.elsewhere.entry(from).or_default();
        remote.seen = remote.seen.max(version);
        if version == remote.version {
            remote.confirmed = now;
            return false;
        }
        if version < remote.version {
            return false;
        }
        let fits = before == remote.version || before == 0;
        if changes.is_empty() || !fits {
            return remote.want(now);
        }
        if before == 0 {
            let now_there = |session: &SessionId| {
                changes.iter().any(|change| change.session == *session && change.announcement.is_some())
            };
            let gone: Vec<_> = remote.clients.keys().copied().filter(|s| !now_there(s)).collect();
            for session in gone {
                self.remote_left(from, session);
            }
        }
        for Change { session, announcement } in changes {
            match announcement {
                Some(announcement) => self.remote_arrived(from, session, Bytes(announcement.to_vec())),
                None => self.remote_left(from, session),
            }
        }
        self.fill();
        self.remote_is_at(from, version, now)
    }

    /// Another server says whom it has in the room. True if it has to be asked again.
    pub(super) fn handle_snapshot(
        &mut self,
        from: Instance,
        version: u64,
        clients: BTreeMap<SessionId, Bytes>,
        now: Duration,
    ) -> bool {
        let remote = self.elsewhere.entry(from).or_default();
        if version < remote.version {
            return false;
        }
        remote.asked = None;
        let gone: Vec<_> = remote.clients.keys().copied().filter(|s| !clients.contains_key(s)).collect();
        for session in gone {
            self.remote_left(from, session);
        }
        for (session, announcement) in clients {
            self.remote_arrived(from, session, announcement);
        }
        self.fill();
        self.remote_is_at(from, version, now)
    }

    /// Another server is gone, and its clients with it.
    pub(super) fn forget(&mut self, server: Instance) {
        let Some(remote) = self.elsewhere.get(&server) else { return };
        let gone: Vec<_> = remote.clients.keys().copied().collect();
        for session in gone {
            self.remote_left(server, session);
        }
        self.elsewhere.remove(&server);
        self.fill();
    }

    /// Where a client is that those here know of.
    pub(super) fn place_of(&self, session: SessionId) -> Option<Instance> {
        self.shown.get(&session).copied()
    }

    /// A signal came from another server.
    pub(super) fn handle_signal(&mut self, server: Instance, signal: BusSignal, now: Duration) -> Signalled {
        if !self.here.contains_key(&signal.to) {
            return Signalled::Dropped;
        }
        if self.is_known(server, signal.from) {
            let BusSignal { from, to, body, .. } = signal;
            self.tell.push(Told::Signal { from, to, body: Bytes(body.to_vec()) });
            return Signalled::Told;
        }
        let remote = self.elsewhere.entry(server).or_default();
        if signal.version <= remote.version {
            return Signalled::Dropped;
        }
        Signalled::Early { signal, ask: remote.want(now) }
    }

    /// Whether the clients here know that this one is in the room and that server has it.
    fn is_known(&self, server: Instance, session: SessionId) -> bool {
        let there = self.elsewhere.get(&server).is_some_and(|remote| remote.clients.contains_key(&session));
        there && (self.shown.contains_key(&session) || self.here.contains_key(&session))
    }

    /// Notes the version. True if something newer is known of.
    fn remote_is_at(&mut self, from: Instance, version: u64, now: Duration) -> bool {
        let Some(remote) = self.elsewhere.get_mut(&from) else { return false };
        remote.is_at(version, now);
        remote.seen > version && remote.want(now)
    }

    fn remote_arrived(&mut self, server: Instance, session: SessionId, announcement: Bytes) {
        let remote = self.elsewhere.entry(server).or_default();
        if remote.clients.len() >= MAX_CLIENTS_PER_ROOM && !remote.clients.contains_key(&session) {
            return;
        }
        let before = remote.clients.insert(session, announcement.clone());
        match self.shown.get(&session) {
            Some(place) if *place == server => {
                if before.as_ref() != Some(&announcement) {
                    self.tell.push(Told::Presence(Elsewhere::Arrived(session, announcement)));
                }
            }
            Some(_) => {}
            None => self.show(session, server, announcement),
        }
    }

    fn remote_left(&mut self, server: Instance, session: SessionId) {
        let Some(remote) = self.elsewhere.get_mut(&server) else { return };
        let announcement = remote.clients.remove(&session);
        if self.shown.get(&session) != Some(&server) {
            return;
        }
        self.shown.remove(&session);
        // The same session may be signed in at a further server: then it has not left.
        match self.elsewhere_with(session) {
            Some((place, theirs)) => {
                self.shown.insert(session, place);
                if announcement.as_ref() != Some(&theirs) {
                    self.tell.push(Told::Presence(Elsewhere::Arrived(session, theirs)));
                }
            }
            None => self.tell.push(Told::Presence(Elsewhere::Left(session))),
        }
    }

    fn show_from_any(&mut self, session: SessionId) {
        if let Some((place, announcement)) = self.elsewhere_with(session) {
            self.show(session, place, announcement);
        }
    }

    fn elsewhere_with(&self, session: SessionId) -> Option<(Instance, Bytes)> {
        let mut places = self.elsewhere.iter();
        places.find_map(|(place, remote)| Some((*place, remote.clients.get(&session)?.clone())))
    }

    fn show(&mut self, session: SessionId, place: Instance, announcement: Bytes) {
        if self.here.contains_key(&session) {
            return;
        }
        if self.here.len() + self.shown.len() >= MAX_SHOWN {
            self.crowded = true;
            return;
        }
        self.shown.insert(session, place);
        self.tell.push(Told::Presence(Elsewhere::Arrived(session, announcement)));
    }

    /// Shows those for whom there was no place before, as far as there is one now.
    fn fill(&mut self) {
        if !self.crowded || self.here.len() + self.shown.len() >= MAX_SHOWN {
            return;
        }
        self.crowded = false;
        let hidden: Vec<_> = self
            .elsewhere
            .values()
            .flat_map(|remote| remote.clients.keys())
            .filter(|session| !self.shown.contains_key(session) && !self.here.contains_key(session))
            .copied()
            .collect();
        for session in hidden {
            if !self.shown.contains_key(&session) {
                self.show_from_any(session);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn session(server: u8, n: u8) -> SessionId {
        let mut bytes = [server; 32];
        bytes[0] = n;
        SessionId::from_bytes(bytes)
    }

    fn clients(server: u8, numbers: std::ops::Range<u8>) -> BTreeMap<SessionId, Bytes> {
        numbers.map(|n| (session(server, n), Bytes(vec![n]))).collect()
    }

    #[test]
    fn rv8_of_a_room_fuller_than_a_message_the_rest_follows_as_places_become_free() {
        let mut room = Room::new(true);
        let mut known = BTreeSet::new();
        room.enter(session(0, 0), Bytes::default());
        let [one, two] = [1, 2].map(|n| Instance::from_bytes([n; 16]));
        let mut see = |room: &mut Room| {
            for told in room.tell.drain(..) {
                match told {
                    Told::Presence(Elsewhere::Arrived(session, _)) => assert!(known.insert(session)),
                    Told::Presence(Elsewhere::Left(session)) => assert!(known.remove(&session)),
                    other => panic!("{other:?}"),
                }
            }
            known.len()
        };
        room.handle_snapshot(one, 1, clients(1, 0..200), Duration::ZERO);
        room.handle_snapshot(two, 1, clients(2, 0..200), Duration::ZERO);
        assert_eq!(see(&mut room), MAX_SHOWN - 1);
        room.handle_snapshot(one, 2, clients(1, 0..150), Duration::ZERO);
        assert_eq!(see(&mut room), MAX_SHOWN - 1);
        room.handle_snapshot(two, 2, clients(2, 50..200), Duration::ZERO);
        assert_eq!(see(&mut room), MAX_SHOWN - 1);
        room.handle_snapshot(two, 3, clients(2, 60..200), Duration::ZERO);
        assert_eq!(see(&mut room), 290);
        room.forget(one);
        assert_eq!(see(&mut room), 140);
        assert_eq!(known, clients(2, 60..200).into_keys().collect());
    }

    #[test]
    fn rv8_a_session_at_several_servers_has_left_when_it_has_left_all() {
        let mut room = Room::new(true);
        let [one, two] = [1, 2].map(|n| Instance::from_bytes([n; 16]));
        let both = session(9, 9);
        let said = |text: u8| BTreeMap::from([(both, Bytes(vec![text]))]);
        room.handle_snapshot(one, 1, said(1), Duration::ZERO);
        room.handle_snapshot(two, 1, said(2), Duration::ZERO);
        room.handle_snapshot(one, 2, BTreeMap::new(), Duration::ZERO);
        room.handle_snapshot(two, 2, BTreeMap::new(), Duration::ZERO);
        let told: Vec<_> =
            std::mem::take(&mut room.tell).into_iter().map(|told| format!("{told:?}")).collect();
        let due = [
            Elsewhere::Arrived(both, Bytes(vec![1])),
            Elsewhere::Arrived(both, Bytes(vec![2])),
            Elsewhere::Left(both),
        ];
        assert_eq!(told, due.map(|due| format!("{:?}", Told::Presence(due))));
    }
}
