//! The peer's machine for browsers: [`symbolon_core::node::Node`] behind JavaScript values.
//!
//! ```text
//! WebSocket, RTCPeerConnection, IndexedDB, Yjs ── TypeScript ──► Core: strings, numbers, Uint8Arrays
//!                                                     ▲             │ parse, Node::handle…
//!                                                     └── outputs() ┘ objects with a `type`
//! ```
//!
//! Decides nothing: ids are parsed on the way in and written on the way out, everything else is the node's. What each
//! call means is said there. Rooms and devices are base64url text of 43 characters, times are milliseconds, link ids
//! and client ids are whole numbers below 2⁵³. What cannot be done is thrown, as an `Error` with a `code` (the codes of
//! `docs/CONTROL.md`).
//!
//! Left out: sockets, WebRTC, storage and merging, which the browser has.
//!
//! # Layout
//! - `outputs`: what is to be done, as objects; `status`: what the application may ask; `canvas`: strokes.
//! - `js`: objects and errors.

pub mod canvas;
mod js;
mod outputs;
mod status;

use std::time::Duration;

use js::{bytes, error, invalid, list, number, object, refused, text};
use js_sys::{Array, Uint8Array};
use symbolon_core::id::{DeviceId, RoomId};
use symbolon_core::node::{Config, Input, InviteOptions, LinkId, Node};
use symbolon_core::origin::Origin;
use symbolon_core::ticket::Ticket;
use symbolon_core::time::Now;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast as _, JsValue};

type Result<T> = std::result::Result<T, JsValue>;

/// One peer. Call order: the constructor, `restore`, `start`, then anything; `tell_time` before each turn, `outputs`
/// and `timeout` after it.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Core {
    node: Node,
    now: Now,
}

#[wasm_bindgen]
impl Core {
    /// A peer with no rooms. `seed` and `rng` are 32 bytes each, `rng` fresh ones.
    #[wasm_bindgen(constructor)]
    pub fn new(
        seed: &[u8],
        rng: &[u8],
        user: String,
        device: String,
        monotonic_ms: f64,
        unix_ms: f64,
    ) -> Result<Self> {
        let now = moment(monotonic_ms, unix_ms);
        let long = |bytes: &[u8]| bytes.try_into().map_err(|_| invalid("seeds have 32 bytes"));
        let config = Config { seed: long(seed)?, rng: long(rng)?, user, device };
        Ok(Self { node: Node::new(&config, now).map_err(refused)?, now })
    }

    /// The time for all that follows.
    pub fn tell_time(&mut self, monotonic_ms: f64, unix_ms: f64) {
        self.now = moment(monotonic_ms, unix_ms);
    }

    /// Takes back what `persist` outputs stored: pairs of key and value, in the order of the keys.
    pub fn restore(&mut self, entries: &Array) -> Result<()> {
        let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = Vec::with_capacity(entries.length() as usize);
        for entry in entries.iter() {
            let pair: Array = entry.dyn_into().map_err(|_| invalid("an entry is a key and a value"))?;
            let part = |n: u32| pair.get(n).dyn_into::<Uint8Array>().map(|bytes| bytes.to_vec());
            let pair = part(0).and_then(|key| Ok((key, part(1)?)));
            pairs.push(pair.map_err(|_| invalid("keys and values are bytes"))?);
        }
        let pairs = pairs.iter().map(|(key, value)| (&key[..], &value[..]));
        self.node.restore(pairs, self.now).map_err(|why| error("damaged", &why.to_string()))
    }

    /// Begins to dial the servers of the restored rooms.
    pub fn start(&mut self) {
        self.node.start(self.now);
    }

    /// This device.
    pub fn device(&self) -> String {
        self.node.device().to_string()
    }

    /// Founds a room; its id.
    pub fn create_room(&mut self, name: &str, servers: Vec<String>) -> Result<String> {
        let servers: std::result::Result<Vec<Origin>, _> = servers.iter().map(|text| text.parse()).collect();
        let servers = servers.map_err(|why| invalid(&format!("a server's address: {why}")))?;
        let room = self.node.create_room(name, &servers, self.now).map_err(refused)?;
        Ok(room.to_string())
    }

    /// Makes a ticket: `{ticket, link, invite}`.
    pub fn invite(
        &mut self,
        room: &str,
        expires_unix_ms: f64,
        uses: u32,
        to: Option<String>,
    ) -> Result<JsValue> {
        let bound: Option<DeviceId> =
            to.map(|to| to.parse().map_err(|_| invalid("that is no device"))).transpose()?;
        let options = InviteOptions { expires_ms: expires_unix_ms as u64, uses, bound };
        let ticket = self.node.invite(&room_id(room)?, &options, self.now).map_err(refused)?;
        Ok(object([
            ("ticket", ticket.text().into()),
            ("link", ticket.link().into()),
            ("invite", text(ticket.invite)),
        ]))
    }

    /// Asks to be let in; the room's id. Ends with a `ready` or `join_failed` event within the time.
    pub fn join(&mut self, ticket: &str, timeout_ms: f64) -> Result<String> {
        let ticket = parse_ticket(ticket)?;
        let timeout = Duration::from_millis(timeout_ms as u64);
        Ok(self.node.join(&ticket, timeout, self.now).map_err(refused)?.to_string())
    }

    /// Forgets a room.
    pub fn leave(&mut self, room: &str) -> Result<()> {
        self.node.leave(&room_id(room)?, self.now).map_err(refused)
    }

    /// Closes the link with a member, which is then set up anew.
    pub fn reset_link(&mut self, room: &str, device: &str) -> Result<()> {
        let device = device.parse().map_err(|_| invalid("that is no device"))?;
        self.node.reset_link(&room_id(room)?, &device, self.now).map_err(refused)
    }

    /// An address of this machine changed, or it woke up.
    pub fn network_changed(&mut self) {
        self.node.handle(Input::NetworkChanged, self.now);
    }

    /// A Y.Doc was opened: `{incarnation, client}`. `incarnation` is the one it had before another core took over.
    pub fn open_writer(&mut self, room: &str, incarnation: Option<u32>) -> Result<JsValue> {
        let writer = self.node.open_writer(&room_id(room)?, incarnation, self.now).map_err(refused)?;
        Ok(object([("incarnation", writer.incarnation.into()), ("client", number(writer.client))]))
    }

    /// A Y.Doc was closed.
    pub fn close_writer(&mut self, room: &str, incarnation: u32) -> Result<()> {
        self.node.close_writer(&room_id(room)?, incarnation, self.now);
        Ok(())
    }

    /// Some Y.Doc of the room has changes; leads to a `collect` output.
    pub fn local_changed(&mut self, room: &str) -> Result<()> {
        self.node.local_changed(&room_id(room)?, self.now);
        Ok(())
    }

    /// One update of one Y.Doc, in answer to `collect`.
    pub fn local_update(&mut self, room: &str, incarnation: u32, update: &[u8]) -> Result<()> {
        self.node.write(&room_id(room)?, incarnation, update, self.now).map_err(refused)
    }

    /// All accepted updates of a room, causes first.
    pub fn updates(&self, room: &str) -> Result<JsValue> {
        let room = room_id(room)?;
        Ok(list(self.node.updates(&room).filter(|(_, update)| !update.is_empty()).map(|(_, u)| bytes(u))))
    }

    /// What one Y.Doc shows: JSON text, or `undefined` for nothing any more.
    pub fn set_presence(&mut self, room: &str, incarnation: u32, state: Option<String>) -> Result<()> {
        self.node.set_presence(&room_id(room)?, incarnation, state, self.now).map_err(refused)
    }

    /// What everybody shows who is here.
    pub fn presence(&self, room: &str) -> Result<JsValue> {
        let room = room_id(room)?;
        Ok(list(self.node.presence(&room).iter().map(|shown| outputs::presence(text(room), shown))))
    }

    /// The WebSocket to a server is open.
    pub fn server_opened(&mut self, origin: &str) -> Result<()> {
        self.input(Input::ServerOpened { origin: parse_origin(origin)? });
        Ok(())
    }

    /// A text message came from a server.
    pub fn server_text(&mut self, origin: &str, text: String) -> Result<()> {
        self.input(Input::ServerText { origin: parse_origin(origin)?, text });
        Ok(())
    }

    /// The WebSocket to a server is closed, or could not be opened.
    pub fn server_closed(&mut self, origin: &str, reason: String) -> Result<()> {
        self.input(Input::ServerClosed { origin: parse_origin(origin)?, reason });
        Ok(())
    }

    /// The offer or answer that was asked for.
    pub fn description(&mut self, link: f64, sdp: String) {
        self.input(Input::Description { link: link_id(link), sdp });
    }

    /// A further local candidate: JSON of `RTCIceCandidateInit`.
    pub fn candidate(&mut self, link: f64, candidate: String) {
        self.input(Input::Candidate { link: link_id(link), candidate });
    }

    /// The data channel is open.
    pub fn opened(&mut self, link: f64) {
        self.input(Input::Opened { link: link_id(link) });
    }

    /// A message came over the data channel.
    pub fn part(&mut self, link: f64, part: Vec<u8>) {
        self.input(Input::Part { link: link_id(link), part });
    }

    /// So many bytes of `send` outputs left the channel's buffer.
    pub fn sent(&mut self, link: f64, bytes: f64) {
        self.input(Input::Sent { link: link_id(link), bytes: bytes as usize });
    }

    /// The connection ended, by whatever cause.
    pub fn closed(&mut self, link: f64, reason: String) {
        self.input(Input::Closed { link: link_id(link), reason });
    }

    fn input(&mut self, input: Input) {
        self.node.handle(input, self.now);
    }

    /// When `handle_timeout` is wanted, on the monotonic clock.
    pub fn timeout(&self) -> Option<f64> {
        // Rounded up: a timer that fires too early finds nothing to do.
        self.node.poll_timeout().map(|at| (at.as_secs_f64() * 1000.0).ceil())
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self) {
        self.node.handle_timeout(self.now);
    }

    /// What is to be done, in order.
    pub fn outputs(&mut self) -> Array {
        let all = Array::new();
        while let Some(output) = self.node.poll_output() {
            let topology = outputs::topology_changed(&output);
            all.push(&outputs::output(output));
            topology.map(|event| all.push(&event));
        }
        all
    }

    /// All rooms.
    pub fn rooms(&self) -> JsValue {
        list(self.node.rooms().map(|room| status::room(&room)))
    }

    /// Who is in a room.
    pub fn members(&self, room: &str) -> Result<JsValue> {
        Ok(list(self.node.members(&room_id(room)?, self.now).iter().map(status::member)))
    }

    /// How the servers are.
    pub fn servers(&self) -> JsValue {
        list(self.node.servers().iter().map(status::server))
    }

    /// Who is linked with whom.
    pub fn topology(&self, room: &str) -> Result<JsValue> {
        Ok(status::topology(&self.node.topology(&room_id(room)?, self.now)))
    }
}

/// What a ticket, or a link with one, says: `{room, servers, issuer, expires, bound}`.
#[wasm_bindgen]
pub fn read_ticket(text: &str) -> Result<JsValue> {
    Ok(status::ticket(&parse_ticket(text)?))
}

fn parse_ticket(text: &str) -> Result<Ticket> {
    text.parse().map_err(|why| error("malformed_ticket", &format!("{why}")))
}

fn room_id(text: &str) -> Result<RoomId> {
    text.parse().map_err(|_| error("no_such_room", "there is no such room here"))
}

fn parse_origin(text: &str) -> Result<Origin> {
    text.parse().map_err(|_| invalid("that is no server's address"))
}

fn link_id(link: f64) -> LinkId {
    LinkId(link as u64)
}

fn moment(monotonic_ms: f64, unix_ms: f64) -> Now {
    let monotonic = Duration::try_from_secs_f64(monotonic_ms / 1000.0).unwrap_or_default();
    Now { monotonic, unix_ms: unix_ms as u64 }
}
