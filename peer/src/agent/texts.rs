//! Methods on a room's texts.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use serde::Deserialize;
use serde_json::{Value, json};
use symbolon::{EditBase, Peer, PeerEvent, RoomId};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

use super::jsonrpc::{RpcError, params};
use super::methods::Session;
use crate::failure::Failure;

/// The text that is meant if none is named.
pub(super) const MAIN: &str = "main";

/// Snapshots one connection may hold. Each has a copy of its room's document.
const SNAPSHOTS: usize = 8;

/// How often a text that changes while it is read is read again.
const ATTEMPTS: usize = 1000;

/// What a connection opened editors with, by the numbers it knows them by. A number is never used again.
#[derive(Default)]
pub(super) struct Snapshots {
    held: BTreeMap<u64, Snapshot>,
    given: u64,
}

#[derive(Clone)]
struct Snapshot {
    room: RoomId,
    document: String,
    base: EditBase,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    pub(super) room: String,
    pub(super) document: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Insert {
    room: String,
    document: Option<String>,
    at: Option<u32>,
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Delete {
    room: String,
    document: Option<String>,
    from: u32,
    to: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Merge {
    snapshot: u64,
    text: String,
}

/// Does what a request asks of a text.
pub(super) async fn call(session: &Session, method: &str, given: Value) -> Result<Value, RpcError> {
    let peer = &session.agent.peer;
    match method {
        "text" => {
            let Which { room, document } = params(given)?;
            let room = session.room(&room).await?;
            let text = peer.text(room.id, document.as_deref().unwrap_or(MAIN)).await?;
            Ok(json!({ "text": text }))
        }
        "insert" => {
            let Insert { room, document, at, text } = params(given)?;
            let room = session.room(&room).await?;
            peer.insert(room.id, document.as_deref().unwrap_or(MAIN), at, &text).await?;
            Ok(json!({}))
        }
        "delete" => {
            let Delete { room, document, from, to } = params(given)?;
            if from > to {
                return Err(RpcError::Params("from comes before to".into()));
            }
            let room = session.room(&room).await?;
            peer.delete(room.id, document.as_deref().unwrap_or(MAIN), from..to).await?;
            Ok(json!({}))
        }
        "snapshot" => snapshot(session, params(given)?).await,
        "merge" => merge(session, params(given)?).await,
        _ => Err(RpcError::Method(method.to_owned())),
    }
}

async fn snapshot(session: &Session, Which { room, document }: Which) -> Result<Value, RpcError> {
    let room = session.room(&room).await?.id;
    let document = document.unwrap_or_else(|| MAIN.to_owned());
    let base = session.agent.peer.snapshot(room, &document).await?;
    let text = base.text().to_owned();
    let mut snapshots = lock(session);
    if snapshots.held.len() >= SNAPSHOTS {
        let message =
            format!("a connection holds at most {SNAPSHOTS} snapshots; merge one, or connect again");
        return Err(Failure::new("too_many_snapshots", message).into());
    }
    snapshots.given += 1;
    let number = snapshots.given;
    snapshots.held.insert(number, Snapshot { room, document, base });
    Ok(json!({ "snapshot": number, "text": text }))
}

async fn merge(session: &Session, given: Merge) -> Result<Value, RpcError> {
    let found = lock(session).held.get(&given.snapshot).cloned();
    let Some(Snapshot { room, document, base }) = found else {
        return Err(RpcError::Params(format!("this connection has no snapshot {}", given.snapshot)));
    };
    session.agent.peer.merge_edit(room, &document, base, &given.text).await?;
    lock(session).held.remove(&given.snapshot);
    Ok(json!({}))
}

fn lock(session: &Session) -> std::sync::MutexGuard<'_, Snapshots> {
    session.snapshots.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A text such that every event still in `events` is later than it.
pub(super) async fn text_before(
    peer: &Peer,
    room: RoomId,
    document: &str,
    events: &mut Receiver<PeerEvent>,
) -> Result<String, RpcError> {
    for _ in 0..ATTEMPTS {
        drain(events);
        let text = peer.text(room, document).await?;
        // What came in the meantime may be in the text or not: then it is read again.
        if events.is_empty() {
            return Ok(text);
        }
    }
    Err(Failure::new("busy", "the text changes faster than it can be read; try again").into())
}

/// Throws away the events that are there.
pub(super) fn drain(events: &mut Receiver<PeerEvent>) {
    while !matches!(events.try_recv(), Err(TryRecvError::Empty | TryRecvError::Closed)) {}
}
