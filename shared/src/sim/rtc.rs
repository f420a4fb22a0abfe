//! Virtual `PeerConnection`s: an offer and the answer to it make a pair of ends that carry parts in order.

use std::collections::VecDeque;
use std::time::Duration;

use super::host::Document;
use super::net::{Place, RETRY, Stream, between};
use super::{Event, HostId, World};
use crate::node::{Input, LinkId};

/// Bytes an end may have on the way; the rest waits, and with it the word that it was sent.
const WINDOW: usize = 256 * 1024;

/// How long a path may be shut before a connection says so, in milliseconds.
const NOTICE_MS: (u64, u64) = (4_000, 29_000);

/// One end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EndId(u64);

pub(super) struct End {
    pub(super) host: HostId,
    boots: u64,
    link: LinkId,
    /// The offer that this end answers.
    offer: Option<EndId>,
    /// The other end, once offer and answer fit.
    other: Option<(EndId, HostId)>,
    open: bool,
    /// Nothing gets here any more, and nobody is told.
    cut: bool,
    inward: Stream<Inward>,
    /// Bytes on the way from here.
    flying: usize,
    waiting: VecDeque<Vec<u8>>,
    /// Since when the path to here is shut, and how long until that is noticed.
    shut: Option<(Duration, Option<Duration>)>,
}

enum Inward {
    Part(Vec<u8>),
    Closed,
}

impl<D: Document> World<D> {
    pub(super) fn make_end(&mut self, host: HostId, link: LinkId, offer: Option<&str>) {
        let offer = match offer.map(|offer| offer.strip_prefix("sim-offer:").and_then(|id| id.parse().ok())) {
            None => None,
            Some(Some(id)) => Some(EndId(id)),
            // Not an offer: the connection that was made never says anything.
            Some(None) => return,
        };
        self.number += 1;
        let id = EndId(self.number);
        let boots = self.hosts[host.0].boots;
        self.hosts[host.0].connections += 1;
        let Some(running) = &mut self.hosts[host.0].running else { return };
        running.ends.insert(link, id);
        let (open, cut, inward, waiting) = (false, false, Stream::default(), VecDeque::new());
        let end =
            End { host, boots, link, offer, other: None, open, cut, inward, flying: 0, waiting, shut: None };
        self.ends.insert(id, end);
        self.note("connection", id.0, &[]);
        let gathering = Duration::from_millis(1 + self.rng.below(60));
        self.after(gathering, Event::Described(id));
        let late = gathering + Duration::from_millis(self.rng.below(100));
        self.after(late, Event::Candidate(id));
    }

    /// Whether the end is its host's; `false` while that is off. An end of a sleeper is looked at again later.
    fn stands(&mut self, id: EndId, again: Event) -> Option<(HostId, LinkId)> {
        let end = self.ends.get(&id)?;
        let (host, link) = (end.host, end.link);
        if self.hosts[host.0].boots != end.boots || self.hosts[host.0].running.is_none() {
            return None;
        }
        if let Some(until) = self.hosts[host.0].asleep {
            self.at(until + Duration::from_micros(1), again);
            return None;
        }
        Some((host, link))
    }

    pub(super) fn described(&mut self, id: EndId) {
        let Some((host, link)) = self.stands(id, Event::Described(id)) else { return };
        let offer = self.ends.get(&id).and_then(|end| end.offer);
        let sdp = match offer {
            Some(offer) => format!("sim-answer:{}:{}", id.0, offer.0),
            None => format!("sim-offer:{}", id.0),
        };
        self.input(host, Input::Description { link, sdp });
    }

    pub(super) fn candidate_found(&mut self, id: EndId) {
        let Some((host, link)) = self.stands(id, Event::Candidate(id)) else { return };
        let candidate = format!("{{\"candidate\":\"sim {}\"}}", id.0);
        self.input(host, Input::Candidate { link, candidate });
    }

    pub(super) fn accept_answer(&mut self, host: HostId, link: LinkId, answer: &str) {
        let running = self.hosts[host.0].running.as_ref();
        let Some(id) = running.and_then(|running| running.ends.get(&link)).copied() else { return };
        let parsed = answer.strip_prefix("sim-answer:").and_then(|rest| rest.split_once(':'));
        let Some((Ok(answering), Ok(offering))) = parsed.map(|(a, o)| (a.parse(), o.parse())) else { return };
        let answering = EndId(answering);
        let fits = self.ends.get(&answering).is_some_and(|end| end.offer == Some(id));
        if EndId(offering) != id || !fits {
            return;
        }
        let other = self.ends.get(&answering).map(|end| (answering, end.host));
        if let Some(end) = self.ends.get_mut(&id) {
            end.other = other;
        }
        if let Some(end) = self.ends.get_mut(&answering) {
            end.other = Some((id, host));
        }
        let delay = self.conditions.delay(&mut self.rng) * 3;
        self.after(delay, Event::Connect(id));
    }

    pub(super) fn connect(&mut self, id: EndId) {
        let Some(end) = self.ends.get(&id) else { return };
        let Some((other, there)) = end.other else { return };
        let (host, cut) = (end.host, end.cut);
        if cut || self.ends.get(&other).is_none_or(|end| end.cut) {
            return;
        }
        if !self.reaches(Place::Host(host), Place::Host(there)) {
            self.after(RETRY, Event::Connect(id));
            return;
        }
        for end in [id, other] {
            let delay = self.conditions.delay(&mut self.rng);
            self.after(delay, Event::Opened(end));
        }
    }

    pub(super) fn opened(&mut self, id: EndId) {
        let Some((host, link)) = self.stands(id, Event::Opened(id)) else { return };
        let Some(end) = self.ends.get_mut(&id) else { return };
        end.open = true;
        let waiting = end.inward.next().is_some();
        self.input(host, Input::Opened { link });
        if waiting {
            self.after(Duration::ZERO, Event::Part(id));
        }
    }

    pub(super) fn send_part(&mut self, host: HostId, link: LinkId, part: Vec<u8>) {
        let running = self.hosts[host.0].running.as_ref();
        let Some(id) = running.and_then(|running| running.ends.get(&link)).copied() else { return };
        let Some(end) = self.ends.get_mut(&id) else { return };
        self.hosts[host.0].sent += part.len() as u64;
        end.waiting.push_back(part);
        self.fly(id);
    }

    /// Puts parts on their way as long as the window is open.
    fn fly(&mut self, id: EndId) {
        while let Some(end) = self.ends.get_mut(&id)
            && end.flying < WINDOW
            && let Some(part) = end.waiting.pop_front()
        {
            end.flying += part.len();
            let (other, bytes) = (end.other, part.len());
            let soon = Duration::from_micros(200 + self.rng.below(2000));
            self.after(soon, Event::Sent(id, bytes));
            if let Some((other, _)) = other {
                self.fly_to(other, Inward::Part(part));
            }
        }
    }

    fn fly_to(&mut self, id: EndId, what: Inward) {
        let delay = self.conditions.delay(&mut self.rng);
        let at = self.now + delay;
        let Some(end) = self.ends.get_mut(&id) else { return };
        let arrival = end.inward.push(at, what);
        if let Some(at) = arrival.filter(|_| end.open) {
            self.at(at, Event::Part(id));
        }
    }

    pub(super) fn sent(&mut self, id: EndId, bytes: usize) {
        if let Some((host, link)) = self.stands(id, Event::Sent(id, bytes)) {
            self.input(host, Input::Sent { link, bytes });
        }
    }

    pub(super) fn part_arrival(&mut self, id: EndId) {
        let Some((host, link)) = self.stands(id, Event::Part(id)) else { return };
        let Some(end) = self.ends.get(&id) else { return };
        let Some((other, there)) = end.other else { return };
        if end.cut {
            return;
        }
        // Parts that came before the channel was open were not counted then.
        if let Some(at) = end.inward.next().filter(|at| *at > self.now) {
            self.at(at, Event::Part(id));
            return;
        }
        if !self.reaches(Place::Host(host), Place::Host(there)) {
            return self.path_shut(id, other);
        }
        let Some(end) = self.ends.get_mut(&id) else { return };
        end.shut = None;
        let Some(what) = end.inward.pop() else { return };
        if let Some(at) = end.inward.next() {
            self.at(at, Event::Part(id));
        }
        match what {
            Inward::Part(part) => {
                self.note("part", id.0, &part);
                if let Some(sender) = self.ends.get_mut(&other) {
                    sender.flying = sender.flying.saturating_sub(part.len());
                    self.fly(other);
                }
                self.input(host, Input::Part { link, part });
            }
            Inward::Closed => self.lose(id, "closed by the other side"),
        }
    }

    /// Nothing gets through. After a while both ends are told, or neither ever is.
    fn path_shut(&mut self, id: EndId, other: EndId) {
        let notice = Duration::from_millis(between(NOTICE_MS, &mut self.rng));
        let silent = self.conditions.silently(&mut self.rng);
        let now = self.now;
        let Some(end) = self.ends.get_mut(&id) else { return };
        let (since, notice) = *end.shut.get_or_insert((now, (!silent).then_some(notice)));
        if notice.is_some_and(|notice| now >= since + notice) {
            self.lose(id, "nothing gets through");
            self.lose(other, "nothing gets through");
        } else {
            self.after(RETRY, Event::Part(id));
        }
    }

    /// The host of an end learns that its connection is over.
    fn lose(&mut self, id: EndId, why: &str) {
        let Some(end) = self.ends.remove(&id) else { return };
        let (host, link, boots) = (end.host, end.link, end.boots);
        if self.hosts[host.0].boots == boots
            && let Some(running) = &mut self.hosts[host.0].running
        {
            running.ends.remove(&link);
            self.note("connection lost", id.0, &[]);
            self.input(host, Input::Closed { link, reason: why.to_owned() });
        }
    }

    pub(super) fn close_end(&mut self, host: HostId, link: LinkId) {
        let Some(running) = &mut self.hosts[host.0].running else { return };
        let Some(end) = running.ends.remove(&link).and_then(|id| self.ends.remove(&id)) else { return };
        let silent = end.cut || self.conditions.silently(&mut self.rng);
        if let Some((other, _)) = end.other.filter(|_| !silent) {
            self.fly_to(other, Inward::Closed);
        }
    }

    /// Nothing gets through between this end and the other any more; nobody is told.
    pub(super) fn cut_end(&mut self, id: EndId) {
        let Some(end) = self.ends.get_mut(&id) else { return };
        end.cut = true;
        if let Some((other, _)) = end.other
            && let Some(other) = self.ends.get_mut(&other)
        {
            other.cut = true;
        }
    }

    /// Breaks all connections between two hosts, silently or not. Says how many there were.
    pub fn cut_link(&mut self, one: HostId, other: HostId, silent: bool) -> usize {
        let with = |end: &End| end.host == one && end.other.is_some_and(|(_, there)| there == other);
        let ends: Vec<EndId> = self.ends.iter().filter(|(_, end)| with(end)).map(|(id, _)| *id).collect();
        self.note("cut link", one.0 as u64, &[other.0 as u8, u8::from(silent)]);
        for id in &ends {
            let other = self.ends.get(id).and_then(|end| end.other);
            if silent {
                self.cut_end(*id);
            } else {
                self.lose(*id, "cut");
                if let Some((other, _)) = other {
                    self.lose(other, "cut");
                }
            }
        }
        ends.len()
    }

    /// Gives a host this part, as if `from` had sent it over their link: what a member that breaks the rules says.
    pub fn inject_part(&mut self, to: HostId, from: HostId, part: Vec<u8>) {
        let with = |end: &End| end.host == to && end.open && end.other.is_some_and(|(_, at)| at == from);
        let link = self.ends.values().find(|end| with(end)).map(|end| end.link);
        if let Some(link) = link {
            self.note("injected part", link.0, &part);
            self.input(to, Input::Part { link, part });
        }
    }

    /// How many open connections there are between two hosts.
    pub fn open_connections(&self, one: HostId, other: HostId) -> usize {
        let with = |end: &&End| end.host == one && end.open && end.other.is_some_and(|(_, at)| at == other);
        self.ends.values().filter(with).count()
    }
}
