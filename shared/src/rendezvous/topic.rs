//! One room, as the server knows it: who is there, and who is told what.

use std::collections::VecDeque;

use super::bucket::Bucket;
use super::cluster::Elsewhere;
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
    /// Those in the room at other servers of the cluster and not here, in order.
    elsewhere: Vec<Present>,
    enters: Bucket,
    notices: VecDeque<Notice>,
}

impl TopicState {
    /// A room with nobody in it.
    pub fn new(topic: Topic) -> Self {
        Self {
            topic,
            present: Vec::new(),
            elsewhere: Vec::new(),
            enters: Bucket::default(),
            notices: VecDeque::new(),
        }
    }

    /// Whether nobody is in the room, other servers aside.
    pub fn is_empty(&self) -> bool {
        self.present.is_empty()
    }

    /// How many clients are in the room, other servers aside.
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
        let known = place_in(&self.elsewhere, session);
        if self.present.len() + self.elsewhere.len() >= clients_per_room && place.is_err() && known.is_err() {
            return Err(RoomFull);
        }
        if let Ok(known) = known {
            self.elsewhere.remove(known);
        }
        let others = self.present.iter().chain(&self.elsewhere);
        let mut peers: Vec<_> = others.filter(|other| other.session != session).cloned().collect();
        if !self.elsewhere.is_empty() {
            peers.sort_unstable_by_key(|peer| peer.session);
        }
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
    ///
    /// # Errors
    /// The body, if it is for nobody here.
    pub fn relay(&self, from: SessionId, to: SessionId, body: Encoded) -> Result<Relayed, Encoded> {
        let both = from != to && self.place(from).is_ok() && self.place(to).is_ok();
        if both { Ok(Relayed { to, topic: self.topic, from, body }) } else { Err(body) }
    }

    /// Whether this client is in the room at another server, so that a signal for it goes there.
    pub fn is_elsewhere(&self, session: SessionId) -> bool {
        place_in(&self.elsewhere, session).is_ok()
    }

    /// What the cluster says of the room. Clients here are told of what is new to them.
    pub fn handle_elsewhere(&mut self, what: Elsewhere) {
        let topic = self.topic;
        match what {
            Elsewhere::Cleared => {
                for Present { session, .. } in std::mem::take(&mut self.elsewhere) {
                    self.tell_others(session, ServerMessage::Left { topic, session });
                }
            }
            Elsewhere::Arrived(session, announcement) => {
                let present = Present { session, announcement: announcement.clone() };
                match place_in(&self.elsewhere, session) {
                    _ if self.place(session).is_ok() => return,
                    Ok(place) if self.elsewhere[place] == present => return,
                    Ok(place) => self.elsewhere[place] = present,
                    Err(place) => self.elsewhere.insert(place, present),
                }
                self.tell_others(session, ServerMessage::Arrived { topic, session, announcement });
            }
            Elsewhere::Left(session) => {
                if let Ok(place) = place_in(&self.elsewhere, session) {
                    self.elsewhere.remove(place);
                    self.tell_others(session, ServerMessage::Left { topic, session });
                }
            }
        }
    }

    /// What a signal from another server becomes; nothing unless its sender is known here and its receiver is here.
    pub fn relay_in(&self, from: SessionId, to: SessionId, body: Encoded) -> Option<Relayed> {
        let known = self.is_elsewhere(from) || self.place(from).is_ok();
        let both = known && from != to && self.place(to).is_ok();
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
        place_in(&self.present, session)
    }

    fn tell_others(&mut self, session: SessionId, message: ServerMessage) {
        let to: Vec<_> =
            self.present.iter().map(|other| other.session).filter(|other| *other != session).collect();
        if !to.is_empty() {
            self.notices.push_back(Notice { to, message });
        }
    }
}

fn place_in(list: &[Present], session: SessionId) -> Result<usize, usize> {
    list.binary_search_by_key(&session, |present| present.session)
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
        assert_eq!(room.relay(session(1), session(1), body()), Err(body()));
        assert_eq!(room.relay(session(1), session(2), body()), Err(body()));
        assert_eq!(room.relay(session(2), session(1), body()), Err(body()));
        room.handle_enter(session(2), Bytes::default(), 10).unwrap();
        let relayed = Relayed { to: session(1), topic: TOPIC, from: session(2), body: body() };
        assert_eq!(room.relay(session(2), session(1), body()), Ok(relayed));
    }

    #[test]
    fn rv5_a_full_room_lets_nobody_in_but_hears_those_inside() {
        let mut room = TopicState::new(TOPIC);
        room.handle_enter(session(1), Bytes::default(), 1).unwrap();
        assert_eq!(room.handle_enter(session(2), Bytes::default(), 1), Err(RoomFull));
        assert_eq!(room.handle_enter(session(1), Bytes(vec![7]), 1), Ok(()));
        assert_eq!(room.len(), 1);
    }

    #[test]
    fn rv8_those_at_other_servers_are_listed_told_and_counted() {
        let mut room = TopicState::new(TOPIC);
        let announcement = |n: u8| Bytes(vec![n]);
        room.handle_enter(session(3), announcement(3), 3).unwrap();
        drain(&mut room);
        let arrived = |n: u8, said: u8| ServerMessage::Arrived {
            topic: TOPIC,
            session: session(n),
            announcement: announcement(said),
        };
        for said in [1, 1, 7] {
            room.handle_elsewhere(Elsewhere::Arrived(session(1), announcement(said)));
        }
        // Said twice, told once.
        let told: Vec<_> = drain(&mut room).into_iter().map(|notice| (notice.to, notice.message)).collect();
        assert_eq!(told, [(vec![session(3)], arrived(1, 1)), (vec![session(3)], arrived(1, 7))]);

        room.handle_enter(session(2), announcement(2), 3).unwrap();
        let peers = [(1, 7), (3, 3)]
            .map(|(n, said)| Present { session: session(n), announcement: announcement(said) });
        let entered = ServerMessage::Entered { topic: TOPIC, peers: peers.to_vec() };
        assert_eq!(drain(&mut room)[0], Notice { to: vec![session(2)], message: entered });
        assert_eq!(room.handle_enter(session(4), announcement(4), 3), Err(RoomFull));

        let body = || Encoded::from(&Bytes(vec![5]));
        assert!(room.is_elsewhere(session(1)) && !room.is_elsewhere(session(2)));
        assert_eq!(room.relay(session(2), session(1), body()), Err(body()));
        assert_eq!(room.relay_in(session(1), session(2), body()).unwrap().to, session(2));
        assert_eq!(room.relay_in(session(9), session(2), body()), None);
        assert_eq!(room.relay_in(session(1), session(9), body()), None);

        // It comes over to this server, and is nobody else's any more.
        room.handle_enter(session(1), announcement(8), 3).unwrap();
        room.handle_elsewhere(Elsewhere::Left(session(1)));
        assert_eq!(room.len(), 3);
        room.handle_elsewhere(Elsewhere::Arrived(session(5), announcement(5)));
        drain(&mut room);
        room.handle_elsewhere(Elsewhere::Cleared);
        let left = ServerMessage::Left { topic: TOPIC, session: session(5) };
        let all = vec![session(1), session(2), session(3)];
        assert_eq!(drain(&mut room), [Notice { to: all, message: left }]);
    }
}
