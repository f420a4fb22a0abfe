//! Commands on a room's text.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::Context;
use super::args::{Edit, Place};
use super::client::Client;
use super::print::{self, printable, short};
use crate::failure::Failure;

/// The longest text read from standard input; a request has at most 4 MiB.
const MAX_TEXT: usize = 4 << 20;

/// `symbolon cat`
pub(super) fn cat(context: &Context, room: &str) -> Result<(), Failure> {
    let text = context.agent()?.call("text", &json!({ "room": room }))?;
    if context.out.json {
        return print::line(&text);
    }
    print::text(text["text"].as_str().unwrap_or_default())
}

/// `symbolon edit`
pub(super) fn edit(context: &Context, given: Edit) -> Result<(), Failure> {
    let Edit { room, insert, at, delete } = given;
    if let Some(range) = delete {
        let params = json!({ "room": room, "from": range.start, "to": range.end });
        context.agent()?.call("delete", &params)?;
    } else if let Some(text) = insert {
        let text = if text == "-" { text_from_stdin()? } else { text };
        let at = match at {
            Place::End => None,
            Place::Unit(unit) => Some(unit),
        };
        let params = json!({ "room": room, "at": at, "text": text });
        context.agent()?.call("insert", &params)?;
    } else if !in_editor(context, &room)? {
        return context.out.either(&json!({ "changed": false }), || "Nothing was changed.".into());
    }
    if context.out.json { print::line(&json!({ "changed": true })) } else { Ok(()) }
}

fn text_from_stdin() -> Result<String, Failure> {
    let mut bytes = Vec::new();
    io::stdin()
        .take(MAX_TEXT as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::new("io", format!("standard input cannot be read: {error}")))?;
    if bytes.len() > MAX_TEXT {
        return Err(Failure::new("too_long", "one insertion has at most 4 MiB; insert it in parts"));
    }
    String::from_utf8(bytes).map_err(|_| Failure::new("not_text", "standard input is not UTF-8 text"))
}

/// Lets the user edit the text; says whether anything was changed.
fn in_editor(context: &Context, room: &str) -> Result<bool, Failure> {
    let mut agent = context.agent()?;
    let base = agent.call("snapshot", &json!({ "room": room }))?;
    let text = base["text"].as_str().unwrap_or_default();
    let no_file = |error| Failure::new("io", format!("there is no place for the editor's file: {error}"));
    // For its owner alone, and removed when it goes out of scope.
    let mut file = tempfile::Builder::new().prefix("symbolon-").suffix(".txt").tempfile().map_err(no_file)?;
    file.write_all(text.as_bytes()).and_then(|()| file.flush()).map_err(no_file)?;
    run_editor(file.path())?;
    // Read by path: many editors put a new file in the old one's place.
    let new = std::fs::read(file.path()).map_err(no_file)?;
    let merged = match String::from_utf8(new) {
        Ok(new) if new == text => return Ok(false),
        Ok(new) => agent.call("merge", &json!({ "snapshot": base["snapshot"], "text": new })),
        Err(_) => Err(Failure::new("not_text", "what the editor saved is not UTF-8 text")),
    };
    merged.map(|_| true).map_err(|failure| {
        // What was typed is not to be lost with the file.
        match file.into_temp_path().keep() {
            Ok(path) => {
                let message = format!("{}; what you wrote is in {}", failure.message, path.display());
                Failure::new(&failure.code, message)
            }
            Err(_) => failure,
        }
    })
}

fn run_editor(path: &Path) -> Result<(), Failure> {
    let named = |variable| std::env::var(variable).ok().filter(|name| !name.trim().is_empty());
    let editor = named("VISUAL").or_else(|| named("EDITOR")).unwrap_or_else(|| "vi".into());
    // By a shell, since the variable may have arguments: `code --wait`.
    let status = Command::new("sh")
        .arg("-c")
        .arg(format!("{editor} \"$1\""))
        .arg("symbolon")
        .arg(path)
        .status()
        .map_err(|error| Failure::new("editor", format!("the editor cannot be started: {error}")))?;
    if status.success() {
        return Ok(());
    }
    let message =
        format!("the editor {editor:?} failed ({status}), so nothing was changed; name another in VISUAL");
    Err(Failure::new("editor", message))
}

/// `symbolon follow`
pub(super) fn follow(context: &Context, room: &str) -> Result<(), Failure> {
    let out = context.out;
    let mut agent = context.agent()?;
    let start = agent.call("subscribe", &json!({ "room": room }))?;
    if out.json {
        print::line(&json!({ "text": start["text"] }))?;
    } else {
        print::text(start["text"].as_str().unwrap_or_default())?;
    }
    let mut names = Names::default();
    while let Some(message) = agent.next()? {
        let event = &message["params"];
        if event["type"] != "text" {
            continue;
        }
        let all = event["changes"].as_array().into_iter().flatten();
        let changes: Vec<&Value> = all.filter(|change| change["document"] == "main").collect();
        if changes.is_empty() {
            continue;
        }
        if out.json {
            let only = ["at", "deleted", "inserted"];
            let fields =
                |change: &Value| only.iter().map(|key| ((*key).to_owned(), change[*key].clone())).collect();
            let changes: Vec<serde_json::Map<String, Value>> = changes.into_iter().map(fields).collect();
            print::line(&json!({ "author": event["author"], "changes": changes }))?;
            continue;
        }
        let author = names.of(context, &start["room"], &event["author"]);
        for change in changes {
            print::line(&format!("{author}  {}", printable(&describe(change))))?;
        }
    }
    Err(Failure::new("agent_gone", "the agent ended; follow again to start another"))
}

fn describe(change: &Value) -> String {
    let (at, deleted) = (&change["at"], change["deleted"].as_u64().unwrap_or(0));
    let inserted = change["inserted"].as_str().unwrap_or_default();
    let mut words = format!("at {at}:");
    if deleted > 0 {
        let _ = write!(words, " -{deleted}");
    }
    if !inserted.is_empty() {
        let _ = write!(words, " +{inserted:?}");
    }
    words
}

/// Members' names, asked for by a connection of its own, since events come over the other.
#[derive(Default)]
struct Names(BTreeMap<String, String>);

impl Names {
    fn of(&mut self, context: &Context, room: &Value, device: &Value) -> String {
        let key = device.as_str().unwrap_or_default();
        if !self.0.contains_key(key)
            && let Ok(Some(mut agent)) = Client::connect(&context.home)
            && let Ok(members) = agent.call("members", &json!({ "room": room }))
        {
            for member in members.as_array().into_iter().flatten() {
                if let (Some(device), Some(name)) = (member["device"].as_str(), member["name"].as_str()) {
                    self.0.insert(device.to_owned(), printable(name));
                }
            }
        }
        self.0.get(key).cloned().unwrap_or_else(|| short(device))
    }
}
