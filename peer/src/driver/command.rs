//! What the application asks, and how the driver answers.

use std::ops::Range;
use std::time::Duration;

use symbolon_core::canvas::{Stroke, hits};
use symbolon_core::id::{DeviceId, RoomId};
use symbolon_core::node::{InviteOptions, MemberStatus, PresenceStatus, RoomStatus, ServerStatus};
use symbolon_core::origin::Origin;
use symbolon_core::ticket::Ticket;
use symbolon_core::topology::Topology;
use tokio::sync::oneshot;

use super::Driver;
use crate::doc::{Doc, DocError, DocumentStatus, EditBase, TextChange};
use crate::error::Error;
use crate::host::{Host, Hosted};
use crate::peer::{Counters, PeerEvent};

type Reply<T> = oneshot::Sender<T>;

/// An answer that waits for the disk.
pub(super) type Answer = Box<dyn FnOnce(Result<(), Error>) + Send>;

/// What a [`Peer`](crate::Peer) asks of its driver.
pub(crate) enum Command {
    Create { name: String, servers: Vec<Origin>, reply: Reply<Result<RoomId, Error>> },
    Invite { room: RoomId, options: InviteOptions, reply: Reply<Result<Ticket, Error>> },
    Join { ticket: Ticket, timeout: Duration, reply: Reply<Result<RoomId, Error>> },
    Leave { room: RoomId, reply: Reply<Result<(), Error>> },
    Rooms(Reply<Vec<RoomStatus>>),
    Members { room: RoomId, reply: Reply<Result<Vec<MemberStatus>, Error>> },
    Servers(Reply<Vec<ServerStatus>>),
    Text { room: RoomId, name: String, reply: Reply<Result<String, Error>> },
    Insert { room: RoomId, name: String, at: Option<u32>, text: String, reply: Reply<Result<(), Error>> },
    Delete { room: RoomId, name: String, range: Range<u32>, reply: Reply<Result<(), Error>> },
    Snapshot { room: RoomId, name: String, reply: Reply<Result<EditBase, Error>> },
    MergeEdit { room: RoomId, name: String, base: EditBase, new: String, reply: Reply<Result<(), Error>> },
    Documents { room: RoomId, reply: Reply<Result<Vec<DocumentStatus>, Error>> },
    Strokes { room: RoomId, name: String, reply: Reply<Result<Vec<Stroke>, Error>> },
    Draw { room: RoomId, name: String, stroke: Stroke, reply: Reply<Result<(), Error>> },
    Erase { room: RoomId, name: String, place: (i32, i32), radius: u32, reply: Reply<Result<usize, Error>> },
    Topology { room: RoomId, reply: Reply<Result<Topology, Error>> },
    SetPresence { room: RoomId, state: Option<String>, reply: Reply<Result<(), Error>> },
    Presence { room: RoomId, reply: Reply<Result<Vec<PresenceStatus>, Error>> },
    Digest { room: RoomId, reply: Reply<Result<Vec<u8>, Error>> },
    Counters(Reply<Counters>),
    ResetLink { room: RoomId, device: DeviceId, reply: Reply<Result<(), Error>> },
    NetworkChanged(Reply<()>),
    Host { host: Host, reply: Reply<Hosted> },
    TakeHost(Reply<Option<Host>>),
    Hosted(Reply<Option<Hosted>>),
    Close(Reply<()>),
}

impl Driver {
    pub(super) fn command(&mut self, command: Command) {
        let now = self.now();
        match command {
            Command::Create { name, servers, reply } => {
                let servers = if servers.is_empty() { self.own_servers() } else { servers };
                let result = match &servers[..] {
                    [] => Err(Error::NoServer),
                    servers => self.node.create_room(&name, servers, now).map_err(Error::from),
                };
                self.answer(reply, result);
            }
            Command::Invite { room, options, reply } => {
                let result = self.node.invite(&room, &options, now).map_err(Error::from);
                self.answer(reply, result);
            }
            Command::Join { ticket, timeout, reply } => match self.node.join(&ticket, timeout, now) {
                Ok(room) => match self.broken.clone() {
                    Some(why) => drop(reply.send(Err(Error::Store(why)))),
                    None => self.joining.push((room, reply)),
                },
                Err(error) => drop(reply.send(Err(error.into()))),
            },
            Command::Leave { room, reply } => {
                let result = self.node.leave(&room, now).map_err(Error::from);
                self.answer(reply, result);
            }
            Command::Rooms(reply) => drop(reply.send(self.node.rooms().collect())),
            Command::Members { room, reply } => {
                let members = self.node.members(&room, now);
                drop(reply.send(self.known(room).map(|()| members)));
            }
            Command::Servers(reply) => drop(reply.send(self.node.servers())),
            Command::Text { room, name, reply } => {
                drop(reply.send(self.doc(room).map(|doc| doc.text(&name))));
            }
            Command::Insert { room, name, at, text, reply } => {
                let result = self.edit(room, |doc| {
                    let at = at.unwrap_or_else(|| doc.len_utf16(&name));
                    doc.insert(&name, at, &text)?;
                    Ok(vec![TextChange { document: name.clone(), at, deleted: 0, inserted: text.clone() }])
                });
                self.answer(reply, result);
            }
            Command::Delete { room, name, range, reply } => {
                let result = self.edit(room, |doc| {
                    let (at, deleted) = (range.start, range.end.saturating_sub(range.start));
                    doc.delete(&name, range.clone())?;
                    Ok(vec![TextChange { document: name.clone(), at, deleted, inserted: String::new() }])
                });
                self.answer(reply, result);
            }
            Command::Snapshot { room, name, reply } => {
                drop(reply.send(self.doc(room).map(|doc| doc.snapshot(&name))));
            }
            Command::MergeEdit { room, name, base, new, reply } => {
                let result = self.edit(room, |doc| {
                    let before = doc.text(&name);
                    doc.merge_edit(&base, &new)?;
                    Ok(changed(&name, &before, &doc.text(&name)))
                });
                self.answer(reply, result);
            }
            Command::Documents { room, reply } => {
                drop(reply.send(self.doc(room).map(|doc| doc.list())));
            }
            Command::Strokes { room, name, reply } => {
                drop(reply.send(self.doc(room).map(|doc| doc.strokes(&name))));
            }
            Command::Draw { room, name, stroke, reply } => {
                let result = self.change(room, |doc| doc.draw(&name, &stroke));
                self.drew(room, name, result.is_ok());
                self.answer(reply, result);
            }
            Command::Erase { room, name, place: (x, y), radius, reply } => {
                let result =
                    self.change(room, |doc| Ok(doc.erase(&name, |stroke| hits(stroke, x, y, radius))));
                self.drew(room, name, result.as_ref().is_ok_and(|erased| *erased > 0));
                self.answer(reply, result);
            }
            Command::Topology { room, reply } => {
                let topology = self.node.topology(&room, now);
                drop(reply.send(self.known(room).map(|()| topology)));
            }
            Command::SetPresence { room, state, reply } => {
                // The one Y.Doc of a native peer.
                let incarnation = self.node.writer(&room).map_or(0, |writer| writer.incarnation);
                let result = self.node.set_presence(&room, incarnation, state, now).map_err(Error::from);
                drop(reply.send(result));
            }
            Command::Presence { room, reply } => {
                let presence = self.node.presence(&room);
                drop(reply.send(self.known(room).map(|()| presence)));
            }
            Command::Digest { room, reply } => {
                drop(reply.send(self.doc(room).map(|doc| doc.digest_bytes())));
            }
            Command::Counters(reply) => drop(reply.send(Counters {
                connections_made: self.rtc.made(),
                connections_alive: self.rtc.alive(),
                proofs_rejected: self.node.rejected_proofs(),
            })),
            Command::ResetLink { room, device, reply } => {
                let result = self.node.reset_link(&room, &device, now).map_err(Error::from);
                self.answer(reply, result);
            }
            Command::NetworkChanged(reply) => {
                self.node.handle(symbolon_core::node::Input::NetworkChanged, now);
                let _ = reply.send(());
            }
            Command::Host { host, reply } => {
                let hosted = host.hosted().clone();
                self.host = Some(host);
                // Whoever waits to dial it again need not wait any longer.
                self.node.handle(symbolon_core::node::Input::NetworkChanged, now);
                let _ = reply.send(hosted);
            }
            Command::TakeHost(reply) => drop(reply.send(self.host.take())),
            Command::Hosted(reply) => {
                let _ = reply.send(self.host.as_ref().map(|host| host.hosted().clone()));
            }
            // The loop ends on it.
            Command::Close(reply) => drop(reply),
        }
    }

    fn own_servers(&self) -> Vec<Origin> {
        self.host.as_ref().map(|host| host.hosted().servers.clone()).unwrap_or_default()
    }

    /// Answers once all that the command led to is on disk.
    fn answer<T: Send + 'static>(&mut self, reply: Reply<Result<T, Error>>, result: Result<T, Error>) {
        match result {
            Ok(value) => {
                self.waiting.push(Box::new(move |stored| drop(reply.send(stored.map(|()| value)))));
            }
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    fn known(&self, room: RoomId) -> Result<(), Error> {
        self.node.room(&room).map(|_| ()).ok_or_else(|| Error::NoSuchRoom(room.to_string()))
    }

    fn doc(&mut self, room: RoomId) -> Result<&mut Doc, Error> {
        self.known(room)?;
        let client = self.node.log(&room).map_or(0, |(client, _)| client);
        Ok(self.docs.entry(room).or_insert_with(|| Doc::new(client)))
    }

    fn edit(
        &mut self,
        room: RoomId,
        change: impl FnOnce(&mut Doc) -> Result<Vec<TextChange>, DocError>,
    ) -> Result<(), Error> {
        let author: DeviceId = self.node.device();
        let changes = self.change(room, change)?;
        if !changes.is_empty() {
            let _ = self.events.send(PeerEvent::Text { room, author, changes });
        }
        Ok(())
    }

    fn change<T>(
        &mut self,
        room: RoomId,
        change: impl FnOnce(&mut Doc) -> Result<T, DocError>,
    ) -> Result<T, Error> {
        if let Some(why) = &self.broken {
            return Err(Error::Store(why.clone()));
        }
        let changed = change(self.doc(room)?).map_err(|error| match error {
            DocError::NameTooLong => Error::DocumentName(error.to_string()),
            other => Error::Edit(other.to_string()),
        })?;
        self.dirty.push(room);
        Ok(changed)
    }

    fn drew(&self, room: RoomId, document: String, changed: bool) {
        if changed {
            let _ = self.events.send(PeerEvent::Canvas { room, author: self.node.device(), document });
        }
    }
}

/// What turns one text into the other, as one change; nothing if they are equal.
fn changed(name: &str, before: &str, after: &str) -> Vec<TextChange> {
    if before == after {
        return Vec::new();
    }
    let same = |(a, b): &(char, char)| a == b;
    let start: usize = before.chars().zip(after.chars()).take_while(same).map(|(c, _)| c.len_utf8()).sum();
    let (old, new) = (&before[start..], &after[start..]);
    let end: usize =
        old.chars().rev().zip(new.chars().rev()).take_while(same).map(|(c, _)| c.len_utf8()).sum();
    let units = |text: &str| text.encode_utf16().count() as u32;
    vec![TextChange {
        document: name.to_owned(),
        at: units(&before[..start]),
        deleted: units(&old[..old.len() - end]),
        inserted: new[..new.len() - end].to_owned(),
    }]
}

#[cfg(test)]
mod tests {
    use super::changed;

    #[test]
    fn a_merged_edit_is_told_as_what_it_changed() {
        assert_eq!(changed("main", "same", "same"), vec![]);
        let told = |before, after| {
            let change = changed("main", before, after).remove(0);
            (change.at, change.deleted, change.inserted)
        };
        assert_eq!(told("", "new"), (0, 0, "new".to_owned()));
        assert_eq!(told("aaa", "aa"), (2, 1, String::new()));
        assert_eq!(told("😀 one two", "😀 one and two"), (7, 0, "and ".to_owned()));
        assert_eq!(told("😀", "😁"), (0, 2, "😁".to_owned()));
    }
}
