//! Messages cut into parts for a data channel, in two lanes so that a long one delays no short one (PROTOCOL §8.1).
//!
//! A part is one header byte (bit 0: the lane, bit 1: the last part of its message) and up to 16 KiB.

use std::collections::VecDeque;

use crate::mesh::MAX_MESSAGE;

/// Payload of one part, in bytes: what every WebRTC implementation carries.
pub const PART: usize = 16 * 1024;

/// How many bytes may be with the driver and not yet with SCTP.
const WINDOW: usize = 128 * 1024;

/// How many bytes may wait. A link that is this far behind is reset and starts over with an exchange of frontiers.
const MAX_QUEUED: usize = 8 * 1024 * 1024;

const BULK: u8 = 1;
const LAST: u8 = 2;

/// The two lanes of the sending side.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    lanes: [VecDeque<(Vec<u8>, usize)>; 2],
    queued: usize,
    unsent: usize,
    bulk_next: bool,
}

/// The queue is full.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Overflow;

impl Outbox {
    pub(super) fn push(&mut self, message: Vec<u8>, urgent: bool) -> Result<(), Overflow> {
        if self.queued + message.len() > MAX_QUEUED {
            return Err(Overflow);
        }
        self.queued += message.len();
        self.lanes[usize::from(!urgent)].push_back((message, 0));
        Ok(())
    }

    /// Bytes waiting here or with the driver.
    pub(super) fn pending(&self) -> usize {
        self.queued + self.unsent
    }

    /// The driver handed this many bytes to SCTP.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.unsent = self.unsent.saturating_sub(bytes);
    }

    /// The next part to hand to the driver, as long as its window is open. The lanes take turns.
    pub(super) fn next_part(&mut self) -> Option<Vec<u8>> {
        if self.unsent >= WINDOW {
            return None;
        }
        let first = usize::from(self.bulk_next);
        let lane = [first, 1 - first].into_iter().find(|lane| !self.lanes[*lane].is_empty())?;
        let (message, done) = self.lanes[lane].front_mut()?;
        let end = message.len().min(*done + PART);
        let last = end == message.len();
        let mut part = Vec::with_capacity(end - *done + 1);
        part.push(if lane == 1 { BULK } else { 0 } | if last { LAST } else { 0 });
        part.extend(&message[*done..end]);
        *done = end;
        self.queued -= part.len() - 1;
        if last {
            self.lanes[lane].pop_front();
        }
        self.unsent += part.len();
        self.bulk_next = lane == 0;
        Some(part)
    }
}

/// The two lanes of the receiving side.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    lanes: [Vec<u8>; 2],
}

/// Bytes that are no part, or a message over the limit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadPart;

impl Inbox {
    /// Takes one part; gives a message when it was the last of one.
    pub(super) fn take(&mut self, part: &[u8]) -> Result<Option<Vec<u8>>, BadPart> {
        let (&header, payload) = part.split_first().ok_or(BadPart)?;
        if header & !(BULK | LAST) != 0 || payload.len() > PART {
            return Err(BadPart);
        }
        let lane = &mut self.lanes[usize::from(header & BULK)];
        if lane.len() + payload.len() > MAX_MESSAGE {
            return Err(BadPart);
        }
        lane.extend(payload);
        Ok((header & LAST != 0).then(|| std::mem::take(lane)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_long_message_delays_no_short_one() {
        let mut outbox = Outbox::default();
        outbox.push(vec![1; 10 * PART], false).unwrap();
        outbox.push(vec![2; 3], true).unwrap();
        let mut inbox = Inbox::default();
        let first: Vec<_> =
            (0..2).filter_map(|_| inbox.take(&outbox.next_part().unwrap()).unwrap()).collect();
        assert_eq!(first, vec![vec![2; 3]]);
    }

    #[test]
    fn me12_a_slow_link_holds_a_bounded_number_of_bytes() {
        let mut outbox = Outbox::default();
        let mut pushed = 0;
        while outbox.push(vec![0; 100_000], false).is_ok() {
            pushed += 100_000;
        }
        assert!(pushed <= MAX_QUEUED);
        let mut handed = 0;
        while let Some(part) = outbox.next_part() {
            handed += part.len();
        }
        assert!(handed <= WINDOW + PART + 1);
    }

    proptest! {
        #[test]
        fn messages_arrive_whole_and_in_order_per_lane(
            messages in proptest::collection::vec((0usize..60_000, any::<bool>()), 1..12),
        ) {
            let (mut outbox, mut inbox) = (Outbox::default(), Inbox::default());
            for (n, (size, urgent)) in messages.iter().enumerate() {
                outbox.push(vec![n as u8; *size], *urgent).unwrap();
            }
            let mut got: Vec<Vec<u8>> = Vec::new();
            while let Some(part) = outbox.next_part() {
                outbox.sent(part.len());
                got.extend(inbox.take(&part).unwrap());
            }
            for lane in [true, false] {
                let sent = messages.iter().enumerate().filter(|(_, (_, urgent))| *urgent == lane);
                let sizes: Vec<usize> = sent.clone().map(|(_, (size, _))| *size).collect();
                let numbers: Vec<u8> = sent.filter(|(_, (size, _))| *size > 0).map(|(n, _)| n as u8).collect();
                let mine = got.iter().filter(|m| m.first().is_none_or(|n| messages[*n as usize].1 == lane));
                let nonempty: Vec<u8> = mine.clone().filter_map(|m| m.first().copied()).collect();
                prop_assert_eq!(nonempty, numbers);
                prop_assert!(mine.filter(|m| !m.is_empty()).all(|m| sizes.contains(&m.len())));
            }
        }

        #[test]
        fn any_bytes_are_a_part_or_an_error(parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..50)) {
            let mut inbox = Inbox::default();
            for part in parts {
                let _ = inbox.take(&part);
            }
        }
    }
}
