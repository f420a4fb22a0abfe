//! The library's front: one [`Peer`] per home directory.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use symbolon_core::canvas::Stroke;
use symbolon_core::id::{DeviceId, RoomId};
use symbolon_core::node::{Event, InviteOptions, MemberStatus, PresenceStatus, RoomStatus, ServerStatus};
use symbolon_core::origin::Origin;
use symbolon_core::ticket::Ticket;
use symbolon_core::topology::Topology;
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::doc::{DocumentStatus, EditBase, TextChange};
use crate::driver::{self, Command};
use crate::error::{Error, OpenError};
use crate::host::{Host, Hosted, Serve};
use crate::rtc;

/// Commands that may wait for the driver.
const COMMANDS: usize = 64;

/// Events a subscriber may lag behind before it misses some.
const EVENTS: usize = 1024;

/// How to open a peer.
#[derive(Debug, Clone)]
pub struct Options {
    /// The directory that holds the device's seed and its rooms. Made if it is missing, for its owner alone.
    pub home: PathBuf,
    /// The user's name, for a home that has none yet.
    pub user: Option<String>,
    /// The device's name, for a home that has none yet.
    pub device_name: Option<String>,
    /// How WebRTC connections are made.
    pub rtc: rtc::Settings,
    /// Certificates in PEM of authorities to believe besides those that browsers believe; for servers that have a
    /// certificate of their operator's own authority.
    pub ca_file: Option<PathBuf>,
}

impl Options {
    /// The defaults for a home directory.
    pub fn new(home: impl Into<PathBuf>) -> Self {
        Self {
            home: home.into(),
            user: None,
            device_name: None,
            rtc: rtc::Settings::default(),
            ca_file: None,
        }
    }
}

/// What a ticket is to offer.
#[derive(Debug, Clone)]
pub struct InviteRequest {
    /// How long it lasts.
    pub expires: Duration,
    /// How many devices may use it.
    pub uses: u32,
    /// The only device that may.
    pub to: Option<DeviceId>,
}

impl Default for InviteRequest {
    fn default() -> Self {
        Self { expires: Duration::from_secs(24 * 3600), uses: 1, to: None }
    }
}

/// Something that happened.
#[derive(Debug, Clone)]
pub enum PeerEvent {
    /// In a room, with a member or with a server.
    Node(Event),
    /// A text changed, by a member or from here.
    Text {
        /// In which room.
        room: RoomId,
        /// Who changed it.
        author: DeviceId,
        /// How; one after the other.
        changes: Vec<TextChange>,
    },
    /// Strokes were added to a canvas or taken away, by a member or from here.
    Canvas {
        /// In which room.
        room: RoomId,
        /// Who did it.
        author: DeviceId,
        /// The canvas' name.
        document: String,
    },
    /// A member, or this device, shows something else of itself, or nothing any more.
    Presence {
        /// In which room.
        room: RoomId,
        /// Who and what.
        presence: PresenceStatus,
    },
}

/// What a peer has counted since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    /// WebRTC connections ever made.
    pub connections_made: u64,
    /// WebRTC connections there are now.
    pub connections_alive: u64,
    /// Newcomers' proofs that were met with silence.
    pub proofs_rejected: u64,
}

/// A device in its rooms. Cheap to clone; all clones are the same peer.
///
/// What a method has done when it returns is on disk and will reach the other members, whatever ends next.
#[derive(Debug, Clone)]
pub struct Peer {
    device: DeviceId,
    name: String,
    home: Arc<Path>,
    commands: mpsc::Sender<Command>,
    events: broadcast::Sender<PeerEvent>,
}

impl Peer {
    /// Opens the peer of a home directory, which nobody else may have open. Needs a tokio runtime.
    pub async fn open(home: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_with(Options::new(home.as_ref())).await
    }

    /// Opens a peer with options.
    pub async fn open_with(options: Options) -> Result<Self, OpenError> {
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let (events, _) = broadcast::channel(EVENTS);
        let home = Arc::from(options.home.as_path());
        let (device, name) = driver::start(options, inbox, events.clone()).await?;
        Ok(Self { device, name, home, commands, events })
    }

    /// This device.
    pub fn device(&self) -> DeviceId {
        self.device
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Everything that happens from now on. A subscriber that lags misses events and is told how many.
    pub fn subscribe(&self) -> broadcast::Receiver<PeerEvent> {
        self.events.subscribe()
    }

    /// Hosts a server in this process, in place of one that is hosted already: rooms that are founded from then on meet
    /// there unless said otherwise. It ends with the peer.
    pub async fn serve(&self, serve: &Serve) -> Result<Hosted, Error> {
        // It may have the port that is asked for.
        self.stop_serving().await?;
        let host = Host::start(&self.home, serve).await.map_err(Error::Serve)?;
        self.ask(|reply| Command::Host { host, reply }).await
    }

    /// Ends the hosted server, if there is one; says whether there was.
    pub async fn stop_serving(&self) -> Result<bool, Error> {
        let host = self.ask(Command::TakeHost).await?;
        let was = host.is_some();
        if let Some(host) = host {
            host.shutdown().await;
        }
        Ok(was)
    }

    /// The server that is hosted here.
    pub async fn hosted(&self) -> Result<Option<Hosted>, Error> {
        self.ask(Command::Hosted).await
    }

    /// Founds a room. Without servers it meets at the one that is hosted here.
    pub async fn create(&self, name: &str, servers: &[Origin]) -> Result<RoomId, Error> {
        let (name, servers) = (name.to_owned(), servers.to_vec());
        self.ask(|reply| Command::Create { name, servers, reply }).await?
    }

    /// Makes a ticket.
    pub async fn invite(&self, room: RoomId, request: InviteRequest) -> Result<Ticket, Error> {
        let expires = u64::try_from(request.expires.as_millis()).unwrap_or(u64::MAX);
        let options = InviteOptions {
            expires_ms: driver::unix_ms().saturating_add(expires),
            uses: request.uses,
            bound: request.to,
        };
        self.ask(|reply| Command::Invite { room, options, reply }).await?
    }

    /// Joins with a ticket; done once admitted and in sync.
    pub async fn join(&self, ticket: &Ticket, timeout: Duration) -> Result<RoomId, Error> {
        let ticket = ticket.clone();
        self.ask(|reply| Command::Join { ticket, timeout, reply }).await?
    }

    /// Forgets a room and deletes what is stored of it here.
    pub async fn leave(&self, room: RoomId) -> Result<(), Error> {
        self.ask(|reply| Command::Leave { room, reply }).await?
    }

    /// All rooms, by id.
    pub async fn rooms(&self) -> Result<Vec<RoomStatus>, Error> {
        self.ask(Command::Rooms).await
    }

    /// The room with this name or id, or the only one whose name or id begins so.
    pub async fn find_room(&self, wanted: &str) -> Result<RoomStatus, Error> {
        let rooms = self.rooms().await?;
        let exact: Vec<&RoomStatus> =
            rooms.iter().filter(|room| room.name == wanted || room.id.to_string() == wanted).collect();
        let begins =
            |room: &&RoomStatus| room.name.starts_with(wanted) || room.id.to_string().starts_with(wanted);
        let found = if exact.is_empty() && !wanted.is_empty() {
            rooms.iter().filter(begins).collect()
        } else {
            exact
        };
        match found[..] {
            [] => Err(Error::NoSuchRoom(wanted.to_owned())),
            [room] => Ok(room.clone()),
            _ => Err(Error::AmbiguousRoom(wanted.to_owned())),
        }
    }

    /// The room's members, oneself included, by device.
    pub async fn members(&self, room: RoomId) -> Result<Vec<MemberStatus>, Error> {
        self.ask(|reply| Command::Members { room, reply }).await?
    }

    /// Who of those who are here is linked with whom, and who says so.
    pub async fn topology(&self, room: RoomId) -> Result<Topology, Error> {
        self.ask(|reply| Command::Topology { room, reply }).await?
    }

    /// Shows something to the other members while this device is here: JSON of at most 16 KiB, as editors' awareness
    /// has it; or nothing any more. It is never stored.
    pub async fn set_presence(&self, room: RoomId, state: Option<&str>) -> Result<(), Error> {
        let state = state.map(str::to_owned);
        self.ask(|reply| Command::SetPresence { room, state, reply }).await?
    }

    /// What everybody shows who is here, this device included.
    pub async fn presence(&self, room: RoomId) -> Result<Vec<PresenceStatus>, Error> {
        self.ask(|reply| Command::Presence { room, reply }).await?
    }

    /// How the servers are.
    pub async fn servers(&self) -> Result<Vec<ServerStatus>, Error> {
        self.ask(Command::Servers).await
    }

    /// The text document `name` (`main` is the default one); empty if nobody wrote to it.
    pub async fn text(&self, room: RoomId, name: &str) -> Result<String, Error> {
        let name = name.to_owned();
        self.ask(|reply| Command::Text { room, name, reply }).await?
    }

    /// Inserts at a position in UTF-16 units; `None` is the end.
    pub async fn insert(&self, room: RoomId, name: &str, at: Option<u32>, text: &str) -> Result<(), Error> {
        let (name, text) = (name.to_owned(), text.to_owned());
        self.ask(|reply| Command::Insert { room, name, at, text, reply }).await?
    }

    /// Deletes a range of UTF-16 units.
    pub async fn delete(&self, room: RoomId, name: &str, range: Range<u32>) -> Result<(), Error> {
        let name = name.to_owned();
        self.ask(|reply| Command::Delete { room, name, range, reply }).await?
    }

    /// The text as a starting point for [`Peer::merge_edit`].
    pub async fn snapshot(&self, room: RoomId, name: &str) -> Result<EditBase, Error> {
        let name = name.to_owned();
        self.ask(|reply| Command::Snapshot { room, name, reply }).await?
    }

    /// Applies the difference between a snapshot and `new`; what others wrote meanwhile stays.
    pub async fn merge_edit(&self, room: RoomId, name: &str, base: EditBase, new: &str) -> Result<(), Error> {
        let (name, new) = (name.to_owned(), new.to_owned());
        self.ask(|reply| Command::MergeEdit { room, name, base, new, reply }).await?
    }

    /// The documents of a room to which somebody wrote, by kind and name.
    pub async fn documents(&self, room: RoomId) -> Result<Vec<DocumentStatus>, Error> {
        self.ask(|reply| Command::Documents { room, reply }).await?
    }

    /// The strokes of the canvas `name` (`main` is the default one), the lowest first; none if nobody drew.
    pub async fn strokes(&self, room: RoomId, name: &str) -> Result<Vec<Stroke>, Error> {
        let name = name.to_owned();
        self.ask(|reply| Command::Strokes { room, name, reply }).await?
    }

    /// Puts a stroke on top of a canvas.
    pub async fn draw(&self, room: RoomId, name: &str, stroke: Stroke) -> Result<(), Error> {
        let name = name.to_owned();
        self.ask(|reply| Command::Draw { room, name, stroke, reply }).await?
    }

    /// Takes away the strokes that a round eraser touches; says how many these were. In sixteenths.
    pub async fn erase(
        &self,
        room: RoomId,
        name: &str,
        place: (i32, i32),
        radius: u32,
    ) -> Result<usize, Error> {
        let name = name.to_owned();
        self.ask(|reply| Command::Erase { room, name, place, radius, reply }).await?
    }

    /// Bytes that are equal on two peers that have the same changes of a room.
    pub async fn digest(&self, room: RoomId) -> Result<Vec<u8>, Error> {
        self.ask(|reply| Command::Digest { room, reply }).await?
    }

    /// What was counted since the start.
    pub async fn counters(&self) -> Result<Counters, Error> {
        self.ask(Command::Counters).await
    }

    /// Closes the link with a member, which is then set up anew like any lost link.
    pub async fn reset_link(&self, room: RoomId, device: DeviceId) -> Result<(), Error> {
        self.ask(|reply| Command::ResetLink { room, device, reply }).await?
    }

    /// An address of this machine changed, or it woke up: everything that waits tries again at once.
    pub async fn network_changed(&self) -> Result<(), Error> {
        self.ask(Command::NetworkChanged).await
    }

    /// Closes all connections and the store. Other clones get [`Error::Closed`] from then on.
    pub async fn close(&self) {
        let _ = self.ask(Command::Close).await;
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)
    }
}
