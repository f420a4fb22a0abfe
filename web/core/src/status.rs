//! What the application may ask, as objects.

use symbolon_core::node::{MemberStatus, Reach, RoomStatus, ServerStatus};
use symbolon_core::ticket::Ticket;
use symbolon_core::topology::{Edge, EdgeState, Topology};
use wasm_bindgen::JsValue;

use crate::js::{list, number, object, optional, text};

pub(crate) fn room(room: &RoomStatus) -> JsValue {
    object([
        ("id", text(room.id)),
        ("name", text(&room.name)),
        ("servers", list(room.servers.iter().map(text))),
        ("members", number(room.members as u64)),
        ("links", number(room.links as u64)),
    ])
}

pub(crate) fn member(member: &MemberStatus) -> JsValue {
    let (reach, through) = match &member.reach {
        Reach::Own => ("own", &[][..]),
        Reach::Direct => ("direct", &[][..]),
        Reach::Connecting => ("connecting", &[][..]),
        Reach::Through(devices) => ("through", &devices[..]),
        Reach::Away => ("away", &[][..]),
    };
    object([
        ("device", text(member.device)),
        ("user", text(&member.user)),
        ("name", text(&member.name)),
        ("own", member.own.into()),
        ("online", member.online.into()),
        ("linked", member.linked.into()),
        ("invited_by", optional(member.invited_by)),
        ("reach", reach.into()),
        ("through", list(through.iter().map(text))),
        ("last_seen", member.last_seen_ms.map_or(JsValue::UNDEFINED, number)),
    ])
}

pub(crate) fn server(server: &ServerStatus) -> JsValue {
    object([
        ("origin", text(&server.origin)),
        ("connected", server.session.is_some().into()),
        ("trouble", optional(server.trouble.as_deref())),
    ])
}

pub(crate) fn topology(topology: &Topology) -> JsValue {
    let edge = |edge: &Edge| {
        let (state, by) = match edge.state {
            EdgeState::Confirmed => ("confirmed", None),
            EdgeState::Claimed { by } => ("claimed", Some(by)),
            EdgeState::Gap => ("gap", None),
        };
        object([("a", text(edge.a)), ("b", text(edge.b)), ("state", state.into()), ("by", optional(by))])
    };
    object([
        ("present", list(topology.present.iter().map(text))),
        ("edges", list(topology.edges.iter().map(edge))),
    ])
}

pub(crate) fn ticket(ticket: &Ticket) -> JsValue {
    object([
        ("room", text(ticket.room)),
        ("servers", list(ticket.servers.iter().map(|server| text(&server.origin)))),
        ("issuer", text(ticket.issuer)),
        ("expires", number(ticket.expires)),
        ("bound", optional(ticket.bound)),
    ])
}
