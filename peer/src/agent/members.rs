//! Methods on who is in a room: members, their links, what they show.

use serde::Deserialize;
use serde_json::{Value, json};
use symbolon::{Edge, EdgeState, MemberStatus, PresenceStatus, Reach};

use super::jsonrpc::{RpcError, params};
use super::methods::{InRoom, Session};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Show {
    room: String,
    state: Value,
}

/// Does what a request asks about the members of a room.
pub(super) async fn call(session: &Session, method: &str, given: Value) -> Result<Value, RpcError> {
    let peer = &session.agent.peer;
    if method == "show" {
        let Show { room, state } = params(given)?;
        let room = session.room(&room).await?.id;
        let state = (!state.is_null()).then(|| state.to_string());
        peer.set_presence(room, state.as_deref()).await?;
        return Ok(json!({}));
    }
    let room = session.room(&params::<InRoom>(given)?.room).await?.id;
    match method {
        "members" => Ok(peer.members(room).await?.iter().map(member).collect()),
        "topology" => {
            let topology = peer.topology(room).await?;
            let edges: Vec<Value> = topology.edges.iter().map(edge).collect();
            Ok(json!({ "present": topology.present, "edges": edges }))
        }
        "presence" => {
            let shown = peer.presence(room).await?;
            Ok(shown.iter().map(self::shown).collect())
        }
        _ => Err(RpcError::Method(method.to_owned())),
    }
}

fn member(member: &MemberStatus) -> Value {
    let reach = match &member.reach {
        Reach::Own => "own",
        Reach::Direct => "direct",
        Reach::Through(_) => "through",
        Reach::Connecting => "connecting",
        Reach::Away => "away",
    };
    let through = match &member.reach {
        Reach::Through(devices) => &devices[..],
        _ => &[],
    };
    json!({
        "device": member.device,
        "name": member.name,
        "user": member.user,
        "self": member.own,
        "online": member.online,
        "link": if member.linked { "direct" } else { "none" },
        "reach": reach,
        "through": through,
        "last_seen": member.last_seen_ms,
        "invited_by": member.invited_by,
    })
}

fn edge(edge: &Edge) -> Value {
    let (state, by) = match edge.state {
        EdgeState::Confirmed => ("confirmed", None),
        EdgeState::Claimed { by } => ("claimed", Some(by)),
        EdgeState::Gap => ("gap", None),
    };
    json!({ "a": edge.a, "b": edge.b, "state": state, "by": by })
}

/// What one Y.Doc of a member shows.
pub(super) fn shown(presence: &PresenceStatus) -> Value {
    // It was checked to be JSON; what does not read back is shown as nothing.
    let state: Value =
        presence.state.as_deref().and_then(|state| serde_json::from_str(state).ok()).unwrap_or_default();
    json!({
        "device": presence.chain.author,
        "incarnation": presence.chain.incarnation,
        "client": presence.chain.client(),
        "clock": presence.clock,
        "state": state,
    })
}
