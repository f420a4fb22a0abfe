//! What servers say to each other over the bus: CBOR, bounded (PROTOCOL §12).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::cbor::{self, ByteVec, Decode, DecodeError, Encode, Malformed, Reader, Writer};
use crate::id::{ServerKey, SessionId, Topic};
use crate::signal::{MAX_ANNOUNCEMENT, MAX_BODY, MAX_CLIENTS_PER_ROOM};

/// The version of what is said here.
pub const VERSION: u32 = 1;

/// The largest message on the bus, in bytes: a full room with the largest announcements takes 78 KiB.
pub const MAX_BUS_MESSAGE: usize = 96 * 1024;

/// The most servers of one cluster.
pub const MAX_SERVERS: usize = 256;

/// One start of one server, by 16 random bytes. A server that starts anew is another one to the others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instance([u8; 16]);

impl Instance {
    /// The instance with these bytes; fresh and random.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Instance({:.8}…)", self.to_string())
    }
}

impl Encode for Instance {
    fn encode(&self, writer: &mut Writer) {
        self.0.encode(writer);
    }
}

impl Decode<'_> for Instance {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Decode::decode(reader).map(Self)
    }
}

/// Where a message is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// To every server.
    All,
    /// To the servers with a client in this room.
    Room(Topic),
    /// To one server.
    Server(Instance),
}

impl Subject {
    /// The subject's name on the bus, for the cluster of this name.
    pub fn name(&self, cluster: &str) -> String {
        match self {
            Self::All => format!("{cluster}.all"),
            Self::Room(topic) => format!("{cluster}.room.{topic}"),
            Self::Server(instance) => format!("{cluster}.to.{instance}"),
        }
    }
}

/// A message, and who says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The sender.
    pub from: Instance,
    /// What it says.
    pub message: BusMessage,
}

/// What a server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BusMessage {
    /// The sender runs.
    Alive(Alive),
    /// The sender stops; its clients are gone.
    Goodbye,
    /// What has changed in a room, or how it stands.
    News(News),
    /// Everybody whom the sender has in a room.
    Snapshot(Snapshot),
    /// Asks for a snapshot.
    Ask(Topic),
    /// Asks for news of all rooms.
    Restate,
    /// A client's signal to a client of the receiver.
    Signal(BusSignal),
}

/// The sender runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alive {
    /// The version of these messages.
    pub version: u32,
    /// The server's key; the same on all servers of a cluster.
    pub key: ServerKey,
    /// The first bytes of a hash of its origins; the same on all servers too.
    pub origins: [u8; 8],
    /// In how many rooms it has somebody.
    pub rooms: u64,
    /// Whether the receiver is to say the same in return.
    pub greets: bool,
}

/// What has changed among the sender's clients in a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// The room.
    pub topic: Topic,
    /// The version to which the changes apply; 0 if nobody was there.
    pub before: u64,
    /// The version after them.
    pub version: u64,
    /// In their order. None: this is only how it stands.
    pub changes: Vec<Change>,
    /// Whether those who have somebody in the room are to answer with a snapshot.
    pub asks: bool,
    /// The versions the sender has of others, who need not answer if theirs is the same.
    pub have: Vec<(Instance, u64)>,
}

/// One client came, announced itself anew, or left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The client.
    pub session: SessionId,
    /// Its announcement; none if it left.
    pub announcement: Option<ByteVec>,
}

/// Everybody whom the sender has in a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The room.
    pub topic: Topic,
    /// The version this is.
    pub version: u64,
    /// Sessions and announcements.
    pub clients: Vec<(SessionId, ByteVec)>,
}

/// A signal on its way to the server of its receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusSignal {
    /// The room both are in.
    pub topic: Topic,
    /// The version of the room at the sender, so that the signal does not overtake its client's arrival.
    pub version: u64,
    /// Larger than that of every signal before.
    pub number: u64,
    /// The client that sends it.
    pub from: SessionId,
    /// The client it is for.
    pub to: SessionId,
    /// Opaque.
    pub body: ByteVec,
}

cbor::members! { Alive { 0: version, 1: key, 2: origins, 3: rooms, 4: greets } }
cbor::members! { News { 0: topic, 1: before, 2: version, 3: changes, 4: asks, 5: have } }
cbor::members! { Change { 0: session, 1: announcement } }
cbor::members! { Snapshot { 0: topic, 1: version, 2: clients } }
cbor::members! { BusSignal { 0: topic, 1: version, 2: number, 3: from, 4: to, 5: body } }

impl Encode for Envelope {
    fn encode(&self, writer: &mut Writer) {
        let mut head = |kind| {
            writer.list(3);
            writer.unsigned(kind);
            self.from.encode(writer);
        };
        match &self.message {
            BusMessage::Alive(alive) => {
                head(0);
                alive.encode(writer);
            }
            BusMessage::Goodbye => {
                head(1);
                writer.map(0);
            }
            BusMessage::News(news) => {
                head(2);
                news.encode(writer);
            }
            BusMessage::Snapshot(snapshot) => {
                head(3);
                snapshot.encode(writer);
            }
            BusMessage::Ask(topic) => {
                head(4);
                topic.encode(writer);
            }
            BusMessage::Restate => {
                head(5);
                writer.map(0);
            }
            BusMessage::Signal(signal) => {
                head(6);
                signal.encode(writer);
            }
        }
    }
}

impl Decode<'_> for Envelope {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        reader.tuple(3)?;
        let kind = reader.integer()?;
        let from = Instance::decode(reader)?;
        let message = match kind {
            0 => BusMessage::Alive(Decode::decode(reader)?),
            1 => {
                reader.skip()?;
                BusMessage::Goodbye
            }
            2 => BusMessage::News(Decode::decode(reader)?),
            3 => BusMessage::Snapshot(Decode::decode(reader)?),
            4 => BusMessage::Ask(Decode::decode(reader)?),
            5 => {
                reader.skip()?;
                BusMessage::Restate
            }
            6 => BusMessage::Signal(Decode::decode(reader)?),
            _ => return Err(Malformed),
        };
        Ok(Self { from, message })
    }
}

impl Envelope {
    /// Reads one message.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > MAX_BUS_MESSAGE {
            return Err(DecodeError::new("a message is too long"));
        }
        let envelope: Self = cbor::decode(bytes)?;
        let short = |announcement: &ByteVec| announcement.len() <= MAX_ANNOUNCEMENT;
        let fits = match &envelope.message {
            BusMessage::News(news) => {
                news.changes.len() <= MAX_CLIENTS_PER_ROOM
                    && news.have.len() <= MAX_SERVERS
                    && news.changes.iter().all(|change| change.announcement.as_ref().is_none_or(short))
            }
            BusMessage::Snapshot(snapshot) => {
                snapshot.clients.len() <= MAX_CLIENTS_PER_ROOM
                    && snapshot.clients.iter().all(|(_, announcement)| short(announcement))
            }
            BusMessage::Signal(signal) => signal.body.len() <= MAX_BODY,
            _ => true,
        };
        if fits { Ok(envelope) } else { Err(DecodeError::new("more than a room holds")) }
    }

    /// The message as CBOR.
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn examples() -> Vec<BusMessage> {
        let topic = Topic::from_bytes([4; 32]);
        let [one, two] = [5, 6].map(|n| SessionId::from_bytes([n; 32]));
        let announcement = ByteVec::from(vec![0xde, 0xad]);
        vec![
            BusMessage::Alive(Alive {
                version: VERSION,
                key: ServerKey::from_bytes([1; 32]),
                origins: [2; 8],
                rooms: 3,
                greets: true,
            }),
            BusMessage::Goodbye,
            BusMessage::News(News {
                topic,
                before: 7,
                version: 9,
                changes: vec![
                    Change { session: one, announcement: Some(announcement.clone()) },
                    Change { session: two, announcement: None },
                ],
                asks: false,
                have: vec![(Instance::from_bytes([8; 16]), 300)],
            }),
            BusMessage::Snapshot(Snapshot { topic, version: 9, clients: vec![(one, announcement)] }),
            BusMessage::Ask(topic),
            BusMessage::Restate,
            BusMessage::Signal(BusSignal {
                topic,
                version: 9,
                number: 10,
                from: one,
                to: two,
                body: vec![1, 2, 3].into(),
            }),
        ]
    }

    #[test]
    fn rv8_every_kind_of_message_is_read_as_it_was_written_and_as_documented() {
        let documented = include_str!("../../../../docs/PROTOCOL.md");
        for message in examples() {
            let envelope = Envelope { from: Instance::from_bytes([7; 16]), message };
            let bytes = envelope.encode();
            assert_eq!(Envelope::decode(&bytes).unwrap(), envelope);
            let hex: String = bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
            assert!(documented.contains(&hex), "not in the document: {envelope:?}\n{hex}");
        }
    }

    #[test]
    fn rv8_the_fullest_room_fits_into_a_message_and_more_is_refused() {
        let snapshot = |clients: usize, announcement: usize| {
            let clients = (0..clients)
                .map(|n| (SessionId::from_bytes([n as u8; 32]), vec![0; announcement].into()))
                .collect();
            let message = BusMessage::Snapshot(Snapshot {
                topic: Topic::from_bytes([1; 32]),
                version: u64::MAX,
                clients,
            });
            Envelope::decode(&Envelope { from: Instance::from_bytes([7; 16]), message }.encode())
        };
        assert!(snapshot(MAX_CLIENTS_PER_ROOM, MAX_ANNOUNCEMENT).is_ok());
        assert!(snapshot(MAX_CLIENTS_PER_ROOM + 1, 0).is_err());
        assert!(snapshot(1, MAX_ANNOUNCEMENT + 1).is_err());
        assert!(snapshot(MAX_CLIENTS_PER_ROOM + 100, MAX_ANNOUNCEMENT).is_err());
    }

    proptest! {
        #[test]
        fn rv8_garbage_from_the_bus_is_refused_and_nothing_else(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            example in 0..7_usize,
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let _ = Envelope::decode(&bytes);
            let message = examples().swap_remove(example);
            let mut spoiled = Envelope { from: Instance::from_bytes([7; 16]), message }.encode();
            let at = at.index(spoiled.len());
            spoiled[at] = byte;
            let _ = Envelope::decode(&spoiled);
            spoiled.truncate(at);
            prop_assert!(Envelope::decode(&spoiled).is_err());
        }
    }
}
