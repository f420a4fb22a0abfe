//! One room, as the server knows it: who is there, and who is told what.

use std::collections::{BTreeMap, VecDeque};

use super::cluster::Elsewhere;
use crate::id::{SessionId, Topic};
use crate::signal::{Bytes, Present, ServerMessage};

/// A room has no place left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the room is full")]
pub struct RoomFull;

/// One message for some clients of the room, in the order of their ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// For whom.
    pub to: Vec<SessionId>,
    /// What they are told.
    pub message: ServerMessage,
}

/// The clients of one room.
///
/// After each `handle_*` the driver drains [`poll_output`](Self::poll_output) before anyone else may touch the room, so
/// that all its clients hear of arrivals and departures in one order. A room that [`is_empty`](Self::is_empty) is
/// dropped.
#[derive(Debug)]
pub struct TopicState {
    topic: Topic,
    present: BTreeMap<SessionId, Bytes>,
    /// Those in the room at other servers of the cluster, and not here.
    elsewhere: BTreeMap<SessionId, Bytes>,
    notices: VecDeque<Notice>,
}

impl TopicState {
    /// A room with nobody in it.
    pub fn new(topic: Topic) -> Self {
        Self { topic, present: BTreeMap::new(), elsewhere: BTreeMap::new(), notices: VecDeque::new() }
    }

    /// Whether nobody is in the room, other servers aside.
    pub fn is_empty(&self) -> bool {
        self.present.is_empty()
    }

    /// How many clients are in the room, other servers aside.
    pub fn len(&self) -> usize {
        self.present.len()
    }

    /// Lets `session` in, or, if it is inside, changes its announcement. Both ways it gets the list of the others, and
    /// the others are told.
    pub fn handle_enter(
        &mut self,
        session: SessionId,
        announcement: Bytes,
        clients_per_room: usize,
    ) -> Result<(), RoomFull> {
        let inside = self.present.contains_key(&session) || self.elsewhere.contains_key(&session);
        if self.present.len() + self.elsewhere.len() >= clients_per_room && !inside {
            return Err(RoomFull);
        }
        self.elsewhere.remove(&session);
        let mut peers: Vec<_> = self
            .present
            .iter()
            .chain(&self.elsewhere)
            .filter(|(other, _)| **other != session)
            .map(|(other, announcement)| Present { session: *other, announcement: announcement.clone() })
            .collect();
        peers.sort_by_key(|peer| peer.session);
        self.present.insert(session, announcement.clone());
        let topic = self.topic;
        self.notices
            .push_back(Notice { to: vec![session], message: ServerMessage::Entered { topic, peers } });
        self.tell_others(session, ServerMessage::Arrived { topic, session, announcement });
        Ok(())
    }

    /// `session` is gone from the room.
    pub fn handle_leave(&mut self, session: SessionId) {
        if self.present.remove(&session).is_some() {
            self.tell_others(session, ServerMessage::Left { topic: self.topic, session });
        }
    }

    /// What a signal becomes; nothing unless two different clients of the room are its ends. Changes nothing, so
    /// signals need no exclusive lock.
    pub fn relay(&self, from: SessionId, to: SessionId, body: Bytes) -> Option<Notice> {
        let both = from != to && self.present.contains_key(&from) && self.present.contains_key(&to);
        let message = ServerMessage::Signal { topic: self.topic, from, body };
        both.then(|| Notice { to: vec![to], message })
    }

    /// Whether this client is in the room at another server, so that a signal for it goes there.
    pub fn is_elsewhere(&self, session: SessionId) -> bool {
        self.elsewhere.contains_key(&session)
    }

    /// What the cluster says of the room. Clients here are told of what is new to them.
    pub fn handle_elsewhere(&mut self, what: Elsewhere) {
        let topic = self.topic;
        match what {
            Elsewhere::Cleared => {
                for (session, _) in std::mem::take(&mut self.elsewhere) {
                    self.tell_others(session, ServerMessage::Left { topic, session });
                }
            }
            Elsewhere::Arrived(session, announcement) => {
                let known = self.present.contains_key(&session)
                    || self.elsewhere.get(&session) == Some(&announcement);
                if !known {
                    self.elsewhere.insert(session, announcement.clone());
                    self.tell_others(session, ServerMessage::Arrived { topic, session, announcement });
                }
            }
            Elsewhere::Left(session) => {
                if self.elsewhere.remove(&session).is_some() {
                    self.tell_others(session, ServerMessage::Left { topic, session });
                }
            }
            Elsewhere::Signal { from, to, body } => {
                let inside = self.elsewhere.contains_key(&from) || self.present.contains_key(&from);
                if inside && from != to && self.present.contains_key(&to) {
                    let message = ServerMessage::Signal { topic, from, body };
                    self.notices.push_back(Notice { to: vec![to], message });
                }
            }
        }
    }

    /// What clients are to be told, oldest first.
    pub fn poll_output(&mut self) -> Option<Notice> {
        let notice = self.notices.pop_front();
        if notice.is_none() {
            self.notices = VecDeque::new();
        }
        notice
    }

    fn tell_others(&mut self, session: SessionId, message: ServerMessage) {
        let to: Vec<_> = self.present.keys().copied().filter(|other| *other != session).collect();
        if !to.is_empty() {
            self.notices.push_back(Notice { to, message });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: Topic = Topic::from_bytes([9; 32]);

    fn session(n: u8) -> SessionId {
        SessionId::from_bytes([n; 32])
    }

    fn drain(room: &mut TopicState) -> Vec<Notice> {
        std::iter::from_fn(|| room.poll_output()).collect()
    }

    #[test]
    fn rv1_arrivals_and_departures_are_told_to_the_others() {
        let mut room = TopicState::new(TOPIC);
        for n in [3, 1, 2] {
            room.handle_enter(session(n), Bytes(vec![n]), 10).unwrap();
        }
        let notices = drain(&mut room);
        let present = |n: u8| Present { session: session(n), announcement: Bytes(vec![n]) };
        let entered = |to: u8, peers: &[u8]| Notice {
            to: vec![session(to)],
            message: ServerMessage::Entered {
                topic: TOPIC,
                peers: peers.iter().map(|n| present(*n)).collect(),
            },
        };
        let arrived = |n: u8, to: &[u8]| Notice {
            to: to.iter().map(|n| session(*n)).collect(),
            message: ServerMessage::Arrived {
                topic: TOPIC,
                session: session(n),
                announcement: Bytes(vec![n]),
            },
        };
        assert_eq!(
            notices,
            [entered(3, &[]), entered(1, &[3]), arrived(1, &[3]), entered(2, &[1, 3]), arrived(2, &[1, 3])]
        );
        room.handle_leave(session(1));
        room.handle_leave(session(1));
        let left = ServerMessage::Left { topic: TOPIC, session: session(1) };
        assert_eq!(drain(&mut room), [Notice { to: vec![session(2), session(3)], message: left }]);
        room.handle_leave(session(2));
        room.handle_leave(session(3));
        assert!(room.is_empty());
    }

    #[test]
    fn rv1_a_signal_needs_both_in_the_room() {
        let mut room = TopicState::new(TOPIC);
        room.handle_enter(session(1), Bytes::default(), 10).unwrap();
        assert_eq!(room.relay(session(1), session(1), Bytes::default()), None);
        assert_eq!(room.relay(session(1), session(2), Bytes::default()), None);
        assert_eq!(room.relay(session(2), session(1), Bytes::default()), None);
        room.handle_enter(session(2), Bytes::default(), 10).unwrap();
        let message = ServerMessage::Signal { topic: TOPIC, from: session(2), body: Bytes(vec![5]) };
        assert_eq!(
            room.relay(session(2), session(1), Bytes(vec![5])),
            Some(Notice { to: vec![session(1)], message })
        );
    }

    #[test]
    fn rv5_a_full_room_lets_nobody_in_but_hears_those_inside() {
        let mut room = TopicState::new(TOPIC);
        room.handle_enter(session(1), Bytes::default(), 1).unwrap();
        assert_eq!(room.handle_enter(session(2), Bytes::default(), 1), Err(RoomFull));
        assert_eq!(room.handle_enter(session(1), Bytes(vec![7]), 1), Ok(()));
        assert_eq!(room.len(), 1);
    }
}
