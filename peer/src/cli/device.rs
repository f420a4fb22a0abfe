//! Commands on this device: who it is, and its agent.

use std::time::Duration;

use serde_json::json;
use symbolon::Options;

use super::Context;
use super::args::Up;
use super::client::Client;
use super::print::quoted;
use crate::agent;
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

/// `symbolon up`
pub(super) fn up(context: &Context, up: Up) -> Result<(), Failure> {
    if up.foreground {
        return foreground(context, up);
    }
    let running = Client::connect(&context.home)?.is_some();
    let names = [("SYMBOLON_USER", &up.user), ("SYMBOLON_DEVICE_NAME", &up.device_name)];
    let names: Vec<(&str, &str)> =
        names.into_iter().filter_map(|(variable, name)| Some((variable, name.as_deref()?))).collect();
    let hello = super::start::connect(&context.home, context.log.as_deref(), &names)?.hello;
    let json = json!({
        "device": hello["device"], "name": hello["name"], "pid": hello["pid"], "started": !running,
    });
    context.out.either(&json, || {
        let is = if running { "was running already" } else { "is running" };
        format!(
            "The agent of {} {is} (process {}).",
            hello["name"].as_str().unwrap_or_default(),
            hello["pid"]
        )
    })
}

fn foreground(context: &Context, up: Up) -> Result<(), Failure> {
    if up.own_session {
        // Fails only for the leader of a session, which then has its own already.
        let _ = rustix::process::setsid();
    }
    context.home.make()?;
    let mut options = Options::new(context.home.dir());
    // A variable set to nothing is as good as none.
    options.user = up.user.filter(|name| !name.is_empty());
    options.device_name = up.device_name.filter(|name| !name.is_empty());
    let socket = context.home.socket().display().to_string();
    agent::run(options, context.home.clone(), |ready| {
        let pid = std::process::id();
        let json = json!({ "device": ready.device, "name": ready.name, "pid": pid, "socket": socket });
        // Whoever started it may be gone; the agent is there for others.
        context
            .out
            .tell(&json, &format!("The agent of {} is running; programs reach it at {socket}.", ready.name));
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
