//! Commands on rooms and tickets.

use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::time::Duration;

use serde_json::{Value, json};
use symbolon::Origin;

use super::Context;
use super::args::{Invite, Wait};
use super::device::command;
use super::print::{printable, quoted, short, table};
use super::qr;
use crate::failure::{self, Failure, USAGE};

/// The longest text read as a ticket: more than any ticket has.
const MAX_TICKET: u64 = 64 << 10;

/// `symbolon create`
pub(super) fn create(context: &Context, name: &str, servers: &[Origin]) -> Result<(), Failure> {
    let made = context.agent()?.call("create", &json!({ "name": name, "servers": servers }))?;
    context.out.either(&made, || {
        let servers: Vec<&str> = list(&made["servers"]).map(word).collect();
        format!(
            "Founded {name}.\n\n  room     {}\n  servers  {}\n\nInvite someone:\n  {}",
            word(&made["room"]),
            servers.join(", "),
            command(context, &format!("invite {}", quoted(name))),
        )
    })
}

/// `symbolon invite`
pub(super) fn invite(context: &Context, given: &Invite) -> Result<(), Failure> {
    let expires = u64::try_from(given.expires.as_millis()).unwrap_or(u64::MAX);
    let params = json!({ "room": given.room, "expires_ms": expires, "uses": given.uses, "to": given.to });
    let made = context.agent()?.call("invite", &params)?;
    let json = json!({
        "ticket": made["ticket"], "link": made["link"], "invite": made["invite"], "expires_at": made["expires_at"],
    });
    context.out.either(&json, || {
        let whom = match (given.to, given.uses) {
            (Some(_), _) => "for that device alone".to_owned(),
            (None, 1) => "for one device".to_owned(),
            (None, uses) => format!("for {uses} devices"),
        };
        let until = word(&made["expires_at"]).replace('T', " ").replace('Z', " UTC");
        let mut words = format!(
            "A ticket to {}, {whom}, until {until}.\nIt is a secret: hand it over by a channel you trust.\n\n\
             Link:\n  {}\n\nOr on the other device:\n  symbolon join {}",
            printable(word(&made["name"])),
            word(&made["link"]),
            word(&made["ticket"]),
        );
        if given.qr {
            let code = qr::code(word(&made["link"]), io::stdout().is_terminal());
            words += "\n\n";
            words += code.as_deref().unwrap_or("The link is too long for a QR code.");
        }
        words
    })
}

/// `symbolon join`
pub(super) fn join(context: &Context, ticket: &str, timeout: Duration) -> Result<(), Failure> {
    let ticket = if ticket == "-" { ticket_from_stdin()? } else { ticket.to_owned() };
    // A text that is no ticket needs no agent to say so.
    let ticket = failure::ticket(&ticket)?.text();
    let params = json!({ "ticket": ticket, "timeout_ms": millis(timeout) });
    let joined = context.agent()?.call("join", &params)?;
    context.out.either(&joined, || {
        let name = word(&joined["name"]);
        format!(
            "Joined {}.\n\n  room  {}\n\nRead and write:\n  {}\n  {}",
            printable(name),
            word(&joined["room"]),
            command(context, &format!("cat {}", quoted(name))),
            command(context, &format!("edit {}", quoted(name))),
        )
    })
}

fn ticket_from_stdin() -> Result<String, Failure> {
    let mut text = String::new();
    if io::stdin().is_terminal() {
        eprintln!("Paste the ticket or the link, then Enter and Ctrl-D:");
    }
    io::stdin()
        .take(MAX_TICKET)
        .read_to_string(&mut text)
        .map_err(|error| Failure::new("io", format!("standard input cannot be read: {error}")))?;
    Ok(text)
}

/// `symbolon rooms`
pub(super) fn rooms(context: &Context) -> Result<(), Failure> {
    let rooms = context.agent()?.call("rooms", &json!({}))?;
    context.out.either(&rooms, || {
        let mut rows = vec![["NAME", "MEMBERS", "LINKS", "ROOM", "SERVERS"].map(String::from)];
        rows.extend(list(&rooms).map(|room| {
            let servers: Vec<&str> = list(&room["servers"]).map(word).collect();
            [
                word(&room["name"]).to_owned(),
                room["members"].to_string(),
                room["links"].to_string(),
                short(&room["room"]),
                servers.join(" "),
            ]
        }));
        if rows.len() == 1 {
            return "No rooms yet. Found one with `symbolon create`, or join one with `symbolon join`."
                .into();
        }
        table(&rows)
    })
}

/// `symbolon wait`
pub(super) fn wait(context: &Context, given: &Wait) -> Result<(), Failure> {
    let params = json!({
        "room": given.room,
        "members": given.members,
        "text_contains": given.text_contains,
        "timeout_ms": millis(given.timeout),
    });
    let so = context.agent()?.call("wait", &params)?;
    context.out.either(&so, || {
        let name = printable(word(&so["name"]));
        match (given.members, &given.text_contains) {
            (Some(_), None) => format!("{} members of {name} are online.", so["online"]),
            (None, _) => format!("The text of {name} contains it."),
            (Some(_), Some(_)) => {
                format!("{} members of {name} are online, and its text contains it.", so["online"])
            }
        }
    })
}

/// `symbolon leave`
pub(super) fn leave(context: &Context, wanted: &str, yes: bool) -> Result<(), Failure> {
    let mut agent = context.agent()?;
    let mut wanted = wanted.to_owned();
    if !yes {
        let room = agent.call("room", &json!({ "room": wanted }))?;
        if !confirmed(&room)? {
            return Err(Failure::new("not_confirmed", "nothing was done"));
        }
        // What was asked about, also if a name fits another room by now.
        word(&room["room"]).clone_into(&mut wanted);
    }
    let left = agent.call("leave", &json!({ "room": wanted }))?;
    context
        .out
        .either(&left, || format!("Left {}; nothing of it is stored here.", printable(word(&left["name"]))))
}

fn confirmed(room: &Value) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::new(USAGE, "leave asks before it deletes; without a terminal, say --yes"));
    }
    let rest = match room["members"].as_u64() {
        Some(1) => "You are its only member: its content is lost.".to_owned(),
        Some(members) => format!("The other {} keep it; coming back needs a new ticket.", members - 1),
        None => String::new(),
    };
    eprint!("Leave {} and delete what is stored of it here? {rest} [y/N] ", printable(word(&room["name"])));
    let mut answer = String::new();
    io::stderr()
        .flush()
        .and_then(|()| io::stdin().read_line(&mut answer))
        .map_err(|error| Failure::new("io", format!("the answer cannot be read: {error}")))?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
