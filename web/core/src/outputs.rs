//! What the node wants, as objects with a `type`.

use symbolon_core::frames::ChainId;
use symbolon_core::node::{Event, LinkId, Output, PresenceStatus, room_prefix};
use symbolon_core::signal::IceServer;
use wasm_bindgen::JsValue;

use crate::js::{bytes, list, number, object, optional, text};

/// One output, as a driver in JavaScript carries it out.
pub(crate) fn output(output: Output) -> JsValue {
    match output {
        Output::Persist { key, value } => {
            object([kind("persist"), ("key", bytes(&key)), ("value", bytes(&value))])
        }
        Output::Forget { room } => {
            object([kind("forget"), ("prefix", bytes(&room_prefix(&room))), ("room", text(room))])
        }
        Output::Dial { origin } => object([kind("dial"), ("origin", text(origin))]),
        Output::SendServer { origin, text: message } => {
            object([kind("send_server"), ("origin", text(origin)), ("text", message.into())])
        }
        Output::HangUp { origin } => object([kind("hang_up"), ("origin", text(origin))]),
        Output::MakeOffer { link, ice_servers } => {
            object([kind("make_offer"), id(link), ("ice_servers", servers(&ice_servers))])
        }
        Output::MakeAnswer { link, offer, ice_servers } => object([
            kind("make_answer"),
            id(link),
            ("offer", offer.into()),
            ("ice_servers", servers(&ice_servers)),
        ]),
        Output::AcceptAnswer { link, answer } => {
            object([kind("accept_answer"), id(link), ("answer", answer.into())])
        }
        Output::AddCandidate { link, candidate } => {
            object([kind("add_candidate"), id(link), ("candidate", candidate.into())])
        }
        Output::Send { link, part } => object([kind("send"), id(link), ("part", bytes(&part))]),
        Output::Close { link } => object([kind("close"), id(link)]),
        Output::Apply { room, chain, update } => {
            let [author, incarnation, _] = chain_members(&chain);
            object([kind("apply"), ("room", text(room)), author, incarnation, ("update", bytes(&update))])
        }
        Output::SetClient { room, client } => {
            object([kind("set_client"), ("room", text(room)), ("client", number(client))])
        }
        Output::Writer { room, was, writer } => object([
            kind("writer"),
            ("room", text(room)),
            ("was", was.into()),
            ("incarnation", writer.incarnation.into()),
            ("client", number(writer.client)),
        ]),
        Output::Collect { room } => object([kind("collect"), ("room", text(room))]),
        Output::Presence { room, presence: shown } => presence(text(room), &shown),
        Output::Event(event) => object([kind("event"), ("event", self::event(event))]),
    }
}

/// Who is linked with whom may have changed with it.
pub(crate) fn topology_changed(output: &Output) -> Option<JsValue> {
    let Output::Event(Event::Presence { room } | Event::LinkUp { room, .. } | Event::LinkDown { room, .. }) =
        output
    else {
        return None;
    };
    let event = object([kind("topology"), ("room", text(room))]);
    Some(object([kind("event"), ("event", event)]))
}

/// What a member shows; also a `presence` output.
pub(crate) fn presence(room: JsValue, shown: &PresenceStatus) -> JsValue {
    let [author, incarnation, client] = chain_members(&shown.chain);
    object([
        kind("presence"),
        ("room", room),
        ("device", author.1),
        incarnation,
        client,
        ("clock", number(shown.clock)),
        ("state", optional(shown.state.as_deref())),
    ])
}

fn event(event: Event) -> JsValue {
    match event {
        Event::Ready { room } => object([kind("ready"), ("room", text(room))]),
        Event::JoinFailed { room, failure } => object([
            kind("join_failed"),
            ("room", text(room)),
            ("code", failure.code().into()),
            ("message", text(failure)),
        ]),
        Event::Member { room, device } => of("member", text(room), text(device)),
        Event::LinkUp { room, device } => of("link_up", text(room), text(device)),
        Event::LinkDown { room, device, reason } => object([
            kind("link_down"),
            ("room", text(room)),
            ("device", text(device)),
            ("reason", text(reason)),
        ]),
        Event::Presence { room } => object([kind("presence"), ("room", text(room))]),
        Event::Synced { room, device } => of("synced", text(room), text(device)),
        Event::Cut { room, device, why } => {
            object([kind("cut"), ("room", text(room)), ("device", text(device)), ("why", why.into())])
        }
        Event::Server { origin, connected } => {
            object([kind("server"), ("server", text(origin)), ("connected", connected.into())])
        }
    }
}

fn of(name: &str, room: JsValue, device: JsValue) -> JsValue {
    object([kind(name), ("room", room), ("device", device)])
}

fn kind(name: &str) -> (&'static str, JsValue) {
    ("type", name.into())
}

fn id(link: LinkId) -> (&'static str, JsValue) {
    ("link", number(link.0))
}

fn chain_members(chain: &ChainId) -> [(&'static str, JsValue); 3] {
    [
        ("author", text(chain.author)),
        ("incarnation", chain.incarnation.into()),
        ("client", number(chain.client())),
    ]
}

/// As `RTCIceServer` has it.
fn servers(servers: &[IceServer]) -> JsValue {
    let one = |server: &IceServer| {
        let given = |value: &str| optional((!value.is_empty()).then_some(value));
        object([
            ("urls", list(server.urls.iter().map(text))),
            ("username", given(&server.username)),
            ("credential", given(&server.credential)),
        ])
    };
    list(servers.iter().map(one))
}
