//! What can be asked of the agent: `docs/CONTROL.md` has the list.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use symbolon::{DeviceId, InviteRequest, Origin, PeerEvent, RoomId, RoomStatus};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::jsonrpc::{Request, RpcError, params, response};
use super::texts::{self, MAIN, Snapshots};
use super::{Agent, canvas, events, members, serving};
use crate::failure::{self, Failure};

/// What a method gives.
pub(super) enum Answer {
    Result(Value),
    /// The result, and the events to push once it is told.
    Subscribed {
        result: Value,
        room: Option<RoomId>,
        events: Receiver<PeerEvent>,
    },
    Unsubscribed,
}

impl Answer {
    /// The result where there is no connection to push to.
    pub(super) fn into_result(self) -> Result<Value, RpcError> {
        match self {
            Self::Result(result) => Ok(result),
            Self::Subscribed { .. } | Self::Unsubscribed => {
                Err(RpcError::Request("subscribe and unsubscribe stand outside batches".into()))
            }
        }
    }
}

/// One connection's side of the agent.
pub(super) struct Session {
    pub(super) agent: Arc<Agent>,
    pub(super) snapshots: Mutex<Snapshots>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InRoom {
    pub(super) room: String,
}

impl Session {
    pub(super) fn new(agent: Arc<Agent>) -> Self {
        Self { agent, snapshots: Mutex::default() }
    }

    /// Whether a method takes as long as something outside takes to happen.
    pub(super) fn waits(method: &str) -> bool {
        matches!(method, "join" | "wait")
    }

    /// Answers the requests of a batch, one after the other.
    pub(super) async fn batch(session: Arc<Self>, requests: Vec<Result<Request, Value>>) -> Option<Value> {
        let mut answers = Vec::new();
        for request in requests {
            match request {
                Err(answer) => answers.push(answer),
                Ok(Request { id, method, params }) => {
                    let result = session.call(&method, params).await.and_then(Answer::into_result);
                    answers.extend(id.map(|id| response(id, result)));
                }
            }
        }
        (!answers.is_empty()).then_some(Value::Array(answers))
    }

    /// Does what a request asks.
    pub(super) async fn call(&self, method: &str, given: Value) -> Result<Answer, RpcError> {
        let answer = self.answer(method, given).await;
        let failed = match &answer {
            Err(RpcError::Failure(failure)) => Some(failure.code.as_str()),
            _ => None,
        };
        // Not with its parameters: a ticket may be among them.
        tracing::debug!(method, failed, "asked");
        if failed == Some("closed") {
            // Without its peer the agent is of no use; the next command starts another.
            self.agent.stop.notify_one();
        }
        answer
    }

    async fn answer(&self, method: &str, given: Value) -> Result<Answer, RpcError> {
        let result = match method {
            "hello" => self.hello(&params(given)?).await?,
            "create" => self.create(params(given)?).await?,
            "invite" => self.invite(params(given)?).await?,
            "join" => self.join(params(given)?).await?,
            "rooms" => self.rooms(&params(given)?).await?,
            "room" => describe(&self.room(&params::<InRoom>(given)?.room).await?),
            "members" | "topology" | "presence" | "show" => members::call(self, method, given).await?,
            "servers" => self.servers(&params(given)?).await?,
            "serve" => {
                let asked: serving::Asked = params(given)?;
                self.agent.serving.serve(&self.agent.peer, asked.into()).await?
            }
            "stop_serving" => {
                params::<Nothing>(given)?;
                json!({ "stopped": self.agent.serving.stop(&self.agent.peer).await? })
            }
            "leave" => self.leave(params(given)?).await?,
            "wait" => self.wait(params(given)?).await?,
            "subscribe" => return self.subscribe(params(given)?).await,
            "unsubscribe" => {
                params::<Nothing>(given)?;
                return Ok(Answer::Unsubscribed);
            }
            "digest" => self.digest(params(given)?).await?,
            "counters" => self.counters(&params(given)?).await?,
            "network_changed" => {
                params::<Nothing>(given)?;
                self.agent.peer.network_changed().await?;
                json!({})
            }
            "shutdown" => {
                params::<Nothing>(given)?;
                self.agent.stop.notify_one();
                json!({})
            }
            "text" | "insert" | "delete" | "snapshot" | "merge" => texts::call(self, method, given).await?,
            _ => canvas::call(self, method, given).await?,
        };
        Ok(Answer::Result(result))
    }

    pub(super) async fn room(&self, wanted: &str) -> Result<RoomStatus, RpcError> {
        Ok(self.agent.peer.find_room(wanted).await?)
    }

    async fn hello(&self, _: &Nothing) -> Result<Value, RpcError> {
        let peer = &self.agent.peer;
        Ok(json!({
            "version": env!("CARGO_PKG_VERSION"),
            "device": peer.device(),
            "name": peer.name(),
            "pid": std::process::id(),
            "home": self.agent.home.dir().display().to_string(),
            "serving": self.agent.serving.describe(peer).await?,
        }))
    }

    async fn create(&self, given: Create) -> Result<Value, RpcError> {
        let room = self.agent.peer.create(&given.name, &given.servers).await?;
        let servers = self.room(&room.to_string()).await?.servers;
        Ok(json!({ "room": room, "name": given.name, "servers": servers }))
    }

    async fn invite(&self, given: Invite) -> Result<Value, RpcError> {
        let room = self.room(&given.room).await?;
        let request = InviteRequest {
            expires: Duration::from_millis(given.expires_ms.unwrap_or(24 * 3600 * 1000)),
            uses: given.uses.unwrap_or(1),
            to: given.to,
        };
        let ticket = self.agent.peer.invite(room.id, request).await?;
        Ok(json!({
            "ticket": ticket.text(),
            "link": ticket.link(),
            "invite": ticket.invite,
            "expires_at": failure::rfc3339(ticket.expires),
            "room": room.id,
            "name": room.name,
        }))
    }

    async fn join(&self, given: Join) -> Result<Value, RpcError> {
        let ticket = failure::ticket(&given.ticket)?;
        let timeout = Duration::from_millis(given.timeout_ms.unwrap_or(30_000));
        let id = self.agent.peer.join(&ticket, timeout).await?;
        let room = self.room(&id.to_string()).await?;
        Ok(json!({ "room": id, "name": room.name }))
    }

    async fn rooms(&self, _: &Nothing) -> Result<Value, RpcError> {
        Ok(self.agent.peer.rooms().await?.iter().map(describe).collect())
    }

    async fn servers(&self, _: &Nothing) -> Result<Value, RpcError> {
        let servers = self.agent.peer.servers().await?;
        let server = |server: &symbolon::ServerStatus| {
            json!({
                "server": server.origin,
                "key": server.key,
                "connected": server.session.is_some(),
                "trouble": server.trouble,
            })
        };
        Ok(servers.iter().map(server).collect())
    }

    async fn leave(&self, given: InRoom) -> Result<Value, RpcError> {
        let room = self.room(&given.room).await?;
        self.agent.peer.leave(room.id).await?;
        Ok(json!({ "room": room.id, "name": room.name }))
    }

    async fn digest(&self, given: InRoom) -> Result<Value, RpcError> {
        use sha2::Digest as _;
        let room = self.room(&given.room).await?;
        let digest = sha2::Sha256::digest(self.agent.peer.digest(room.id).await?);
        Ok(json!({ "sha256": super::hex(&digest) }))
    }

    async fn counters(&self, _: &Nothing) -> Result<Value, RpcError> {
        let counters = self.agent.peer.counters().await?;
        Ok(json!({
            "connections_made": counters.connections_made,
            "connections_alive": counters.connections_alive,
            "proofs_rejected": counters.proofs_rejected,
        }))
    }

    async fn wait(&self, given: Wait) -> Result<Value, RpcError> {
        if given.members.is_none() && given.text_contains.is_none() {
            return Err(RpcError::Params("wait needs members or text_contains".into()));
        }
        let room = self.room(&given.room).await?;
        let mut events = self.agent.peer.subscribe();
        let until_so = async {
            loop {
                texts::drain(&mut events);
                if let Some(online) = self.is_so(room.id, &given).await? {
                    return Ok(json!({ "room": room.id, "name": room.name, "online": online }));
                }
                loop {
                    match events.recv().await {
                        Ok(event) if events::room_of(&event) == Some(room.id) => break,
                        Ok(_) => {}
                        Err(RecvError::Lagged(_)) => break,
                        Err(RecvError::Closed) => return Err(symbolon::Error::Closed.into()),
                    }
                }
            }
        };
        let timeout = Duration::from_millis(given.timeout_ms.unwrap_or(30_000));
        let late = || Failure::new("timeout", "it did not come to that in time");
        tokio::time::timeout(timeout, until_so).await.unwrap_or_else(|_| Err(late().into()))
    }

    /// How many members are online, if all that is waited for is so.
    async fn is_so(&self, room: RoomId, given: &Wait) -> Result<Option<usize>, RpcError> {
        let peer = &self.agent.peer;
        let online = peer.members(room).await?.iter().filter(|member| member.online).count();
        if given.members.is_some_and(|wanted| online < wanted) {
            return Ok(None);
        }
        if let Some(part) = &given.text_contains
            && !peer.text(room, MAIN).await?.contains(part)
        {
            return Ok(None);
        }
        Ok(Some(online))
    }

    async fn subscribe(&self, given: Subscribe) -> Result<Answer, RpcError> {
        let mut events = self.agent.peer.subscribe();
        let Some(room) = given.room else {
            return Ok(Answer::Subscribed { result: json!({}), room: None, events });
        };
        let room = self.room(&room).await?;
        let document = given.document.as_deref().unwrap_or(MAIN);
        let text = texts::text_before(&self.agent.peer, room.id, document, &mut events).await?;
        let result = json!({ "room": room.id, "name": room.name, "text": text });
        Ok(Answer::Subscribed { result, room: Some(room.id), events })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    name: String,
    #[serde(default)]
    servers: Vec<Origin>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Invite {
    room: String,
    expires_ms: Option<u64>,
    uses: Option<u32>,
    to: Option<DeviceId>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Join {
    ticket: String,
    timeout_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wait {
    room: String,
    members: Option<usize>,
    text_contains: Option<String>,
    timeout_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Subscribe {
    room: Option<String>,
    document: Option<String>,
}

fn describe(room: &RoomStatus) -> Value {
    json!({
        "room": room.id,
        "name": room.name,
        "members": room.members,
        "links": room.links,
        "servers": room.servers,
    })
}
