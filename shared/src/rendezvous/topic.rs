//! One room, as the server knows it: who is there, and who is told what.

use std::collections::VecDeque;

use super::bucket::Bucket;
use super::terms::Rate;
use crate::id::{SessionId, Topic};
use crate::signal::{Bytes, Encoded, Present, Relayed, ServerMessage};
use crate::time::Now;

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
    /// In order. A list, because most rooms have few clients.
    present: Vec<Present>,
    enters: Bucket,
    notices: VecDeque<Notice>,
}

impl TopicState {
    /// A room with nobody in it.
    pub fn new(topic: Topic) -> Self {
        Self { topic, present: Vec::new(), enters: Bucket::default(), notices: VecDeque::new() }
    }

    /// Whether nobody is in the room.
    pub fn is_empty(&self) -> bool {
        self.present.is_empty()
    }

    /// How many clients are in the room.
    pub fn len(&self) -> usize {
        self.present.len()
    }

    /// Somebody wants to enter or announces itself anew; false if that is more than `rate` allows this room. Asked before
    /// [`handle_enter`](Self::handle_enter).
    pub fn handle_knock(&mut self, rate: Rate, now: Now) -> bool {
        self.enters.take(rate, 1, now.monotonic)
    }

    /// Lets `session` in, or, if it is inside, changes its announcement. Both ways it gets the list of the others, and
    /// the others are told.
    pub fn handle_enter(
        &mut self,
        session: SessionId,
        announcement: Bytes,
        clients_per_room: usize,
    ) -> Result<(), RoomFull> {
        let place = self.place(session);
        if self.present.len() >= clients_per_room && place.is_err() {
            return Err(RoomFull);
        }
        let peers = self.present.iter().filter(|other| other.session != session).cloned().collect();
        let present = Present { session, announcement: announcement.clone() };
        match place {
            Ok(place) => self.present[place] = present,
            Err(place) => {
                if self.present.len() < 4 {
                    self.present.reserve_exact(1);
                }
                self.present.insert(place, present);
            }
        }
        let topic = self.topic;
        self.notices
            .push_back(Notice { to: vec![session], message: ServerMessage::Entered { topic, peers } });
        self.tell_others(session, ServerMessage::Arrived { topic, session, announcement });
        Ok(())
    }

    /// `session` is gone from the room.
    pub fn handle_leave(&mut self, session: SessionId) {
        if let Ok(place) = self.place(session) {
            self.present.remove(place);
            self.tell_others(session, ServerMessage::Left { topic: self.topic, session });
        }
    }

    /// What a signal becomes; nothing unless two different clients of the room are its ends. Changes nothing, so
    /// signals need no exclusive lock.
    pub fn relay(&self, from: SessionId, to: SessionId, body: Encoded) -> Option<Relayed> {
        let both = from != to && self.place(from).is_ok() && self.place(to).is_ok();
        both.then_some(Relayed { to, topic: self.topic, from, body })
    }

    /// What clients are to be told, oldest first.
    pub fn poll_output(&mut self) -> Option<Notice> {
        let notice = self.notices.pop_front();
        if notice.is_none() {
            self.notices = VecDeque::new();
        }
        notice
    }

    /// Where the session is in the list, or belongs.
    fn place(&self, session: SessionId) -> Result<usize, usize> {
        self.present.binary_search_by_key(&session, |present| present.session)
    }

    fn tell_others(&mut self, session: SessionId, message: ServerMessage) {
        let to: Vec<_> =
            self.present.iter().map(|other| other.session).filter(|other| *other != session).collect();
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
        let body = || Encoded::from(&Bytes(vec![5]));
        room.handle_enter(session(1), Bytes::default(), 10).unwrap();
        assert_eq!(room.relay(session(1), session(1), body()), None);
        assert_eq!(room.relay(session(1), session(2), body()), None);
        assert_eq!(room.relay(session(2), session(1), body()), None);
        room.handle_enter(session(2), Bytes::default(), 10).unwrap();
        let relayed = Relayed { to: session(1), topic: TOPIC, from: session(2), body: body() };
        assert_eq!(room.relay(session(2), session(1), body()), Some(relayed));
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
