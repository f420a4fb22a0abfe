//! Commands on this device: who it is, and its agent.

use std::time::Duration;

use serde_json::json;

use super::Context;
use super::client::Client;
use super::print::quoted;
use crate::failure::Failure;

/// `symbolon id`
pub(super) fn id(context: &Context) -> Result<(), Failure> {
    let hello = context.agent()?.hello;
    let json = json!({ "device": hello["device"], "name": hello["name"] });
    context.out.either(&json, || {
        let word = |key: &str| hello[key].as_str().unwrap_or_default().to_owned();
        format!("device  {}\nname    {}\nhome    {}", word("device"), word("name"), word("home"))
    })
}

/// `symbolon down`
pub(super) fn down(context: &Context) -> Result<(), Failure> {
    let Some(mut agent) = Client::connect_to_any_version(&context.home)? else {
        return context.out.either(&json!({ "stopped": false }), || "No agent is running.".into());
    };
    match agent.call("shutdown", &json!({})) {
        // It may be gone before its answer is.
        Err(failure) if failure.code != "agent_gone" => return Err(failure),
        _ => {}
    }
    agent.wait_for_end(Duration::from_secs(20))?;
    context.out.either(&json!({ "stopped": true }), || "The agent has ended.".into())
}

/// A command for the user to run, for the home directory in use.
pub(super) fn command(context: &Context, words: &str) -> String {
    match context.home.named() {
        Some(dir) => format!("symbolon --home {} {words}", quoted(&dir.display().to_string())),
        None => format!("symbolon {words}"),
    }
}
