//! What is pushed to a program that subscribed.

use serde::Serialize;
use serde_json::{Value, json};
use symbolon::{Error, Event, PeerEvent, RoomId, TextChange};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::{jsonrpc, members};

/// The notification of an event, for a program that wants those of `room`, or of all.
pub(super) fn notification(event: &PeerEvent, room: Option<RoomId>) -> Option<Value> {
    let of = room_of(event);
    if room.is_some() && of.is_some() && room != of {
        return None;
    }
    Some(jsonrpc::notification("event", &describe(event)))
}

/// The room in which it happened; `None` for what is about a server.
pub(super) fn room_of(event: &PeerEvent) -> Option<RoomId> {
    match event {
        PeerEvent::Text { room, .. } | PeerEvent::Canvas { room, .. } | PeerEvent::Presence { room, .. } => {
            Some(*room)
        }
        PeerEvent::Node(event) => match event {
            Event::Ready { room }
            | Event::JoinFailed { room, .. }
            | Event::Member { room, .. }
            | Event::LinkUp { room, .. }
            | Event::LinkDown { room, .. }
            | Event::Presence { room }
            | Event::Synced { room, .. }
            | Event::Cut { room, .. } => Some(*room),
            Event::Server { .. } => None,
        },
    }
}

/// Logs what happens, without texts.
pub(super) async fn log(mut events: Receiver<PeerEvent>) {
    loop {
        match events.recv().await {
            Ok(PeerEvent::Node(event)) => tracing::debug!("{event:?}"),
            Ok(PeerEvent::Text { room, author, changes }) => {
                tracing::debug!(?room, ?author, changes = changes.len(), "a text changed");
            }
            Ok(PeerEvent::Presence { room, presence }) => {
                tracing::trace!(?room, author = ?presence.chain.author, "something else is shown");
            }
            Ok(PeerEvent::Canvas { room, author, .. }) => tracing::debug!(?room, ?author, "a canvas changed"),
            Err(RecvError::Lagged(missed)) => tracing::debug!(missed, "events were missed here"),
            Err(RecvError::Closed) => return,
        }
    }
}

#[derive(Serialize)]
struct Change<'a> {
    document: &'a str,
    at: u32,
    deleted: u32,
    inserted: &'a str,
}

impl<'a> From<&'a TextChange> for Change<'a> {
    fn from(change: &'a TextChange) -> Self {
        Self {
            document: &change.document,
            at: change.at,
            deleted: change.deleted,
            inserted: &change.inserted,
        }
    }
}

fn describe(event: &PeerEvent) -> Value {
    let event = match event {
        PeerEvent::Text { room, author, changes } => {
            let changes: Vec<Change<'_>> = changes.iter().map(Change::from).collect();
            return json!({ "type": "text", "room": room, "author": author, "changes": changes });
        }
        PeerEvent::Canvas { room, author, document } => {
            return json!({ "type": "canvas", "room": room, "author": author, "document": document });
        }
        PeerEvent::Presence { room, presence } => {
            let mut shown = members::shown(presence);
            shown["type"] = "shown".into();
            shown["room"] = json!(room);
            return shown;
        }
        PeerEvent::Node(event) => event,
    };
    match event {
        Event::Ready { room } => json!({ "type": "ready", "room": room }),
        Event::JoinFailed { room, failure } => {
            let message = failure.to_string();
            let code = Error::Join { room: *room, failure: failure.clone() }.code();
            json!({ "type": "join_failed", "room": room, "code": code, "message": message })
        }
        Event::Member { room, device } => json!({ "type": "member", "room": room, "device": device }),
        Event::LinkUp { room, device } => json!({ "type": "link_up", "room": room, "device": device }),
        Event::LinkDown { room, device, reason } => {
            json!({ "type": "link_down", "room": room, "device": device, "reason": reason.to_string() })
        }
        Event::Presence { room } => json!({ "type": "presence", "room": room }),
        Event::Synced { room, device } => json!({ "type": "synced", "room": room, "device": device }),
        Event::Cut { room, device, why } => {
            json!({ "type": "cut", "room": room, "device": device, "why": why })
        }
        Event::Server { origin, connected } => {
            json!({ "type": "server", "server": origin, "connected": connected })
        }
    }
}
