//! Starting the agent, the server it hosts, and how both are.

use std::net::{Ipv4Addr, SocketAddr};

use clap::Args;
use serde_json::{Value, json};
use symbolon::{Options, Origin, Serve};

use super::Context;
use super::client::Client;
use super::print::table;
use crate::agent;
use crate::agent::serving::Choice;
use crate::failure::Failure;

#[derive(Debug, Args)]
pub(crate) struct Up {
    /// Stay in the foreground and be the agent.
    #[arg(long)]
    pub(crate) foreground: bool,
    /// Your name, for a home directory that has none yet.
    #[arg(long, env = "SYMBOLON_USER", value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// This device's name, for a home directory that has none yet.
    #[arg(long, env = "SYMBOLON_DEVICE_NAME", value_name = "NAME")]
    pub(crate) device_name: Option<String>,
    /// Host a server in the agent. [default: 0.0.0.0:7600]
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "0.0.0.0:7600", value_parser = listen)]
    pub(crate) serve: Option<SocketAddr>,
    /// The address that others dial, if it is not this machine's: repeat the option or separate them by commas.
    #[arg(long, value_name = "URL", value_delimiter = ',', requires = "serve")]
    pub(crate) serve_as: Vec<Origin>,
    /// Serve no page to browsers, only the rendezvous.
    #[arg(long, requires = "serve")]
    pub(crate) no_page: bool,
    /// Host a server no longer.
    #[arg(long, conflicts_with = "serve")]
    pub(crate) no_serve: bool,
    /// Leave the terminal's session, so that closing the terminal does not end the agent.
    #[arg(long, hide = true, requires = "foreground")]
    pub(crate) own_session: bool,
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
    let mut agent = context.agent_named(&names)?;
    let mut serving = agent.hello["serving"].clone();
    if let Some(listen) = up.serve {
        let params = json!({ "listen": listen, "servers": up.serve_as, "page": !up.no_page });
        serving = agent.call("serve", &params)?;
    } else if up.no_serve {
        agent.call("stop_serving", &json!({}))?;
        serving = Value::Null;
    }
    let hello = &agent.hello;
    let json = json!({
        "device": hello["device"], "name": hello["name"], "pid": hello["pid"], "started": !running,
        "serving": serving,
    });
    context.out.either(&json, || {
        let is = if running { "was running already" } else { "is running" };
        let agent = format!("The agent of {} {is} (process {}).", word(&hello["name"]), hello["pid"]);
        with_server(agent, &serving)
    })
}

fn foreground(context: &Context, up: Up) -> Result<(), Failure> {
    if up.own_session {
        // Fails only for the leader of a session, which then has its own already.
        let _ = rustix::process::setsid();
    }
    context.home.make()?;
    let choice = match up.serve {
        Some(listen) => Choice::Serve(Serve { listen, servers: up.serve_as, page: !up.no_page }),
        None if up.no_serve => Choice::Stop,
        None => Choice::Kept,
    };
    let mut options = Options::new(context.home.dir());
    // A variable set to nothing is as good as none.
    options.user = up.user.filter(|name| !name.is_empty());
    options.device_name = up.device_name.filter(|name| !name.is_empty());
    options.ca_file.clone_from(&context.ca_file);
    let socket = context.home.socket().display().to_string();
    agent::run(options, context.home.clone(), choice, |ready| {
        let pid = std::process::id();
        let json = json!({
            "device": ready.device, "name": ready.name, "pid": pid, "socket": socket, "serving": ready.serving,
        });
        // Whoever started it may be gone; the agent is there for others.
        let agent = format!("The agent of {} is running; programs reach it at {socket}.", ready.name);
        context.out.tell(&json, &with_server(agent, &ready.serving));
    })
}

/// `symbolon status`
pub(super) fn status(context: &Context) -> Result<(), Failure> {
    let Some(mut agent) = Client::connect(&context.home)? else {
        return context.out.either(&json!({ "running": false }), || "No agent is running.".into());
    };
    let servers = agent.call("servers", &json!({}))?;
    let hello = &agent.hello;
    let json = json!({
        "running": true,
        "device": hello["device"], "name": hello["name"], "pid": hello["pid"], "version": hello["version"],
        "serving": hello["serving"], "servers": servers,
    });
    context.out.either(&json, || {
        let agent = format!("The agent of {} is running (process {}).", word(&hello["name"]), hello["pid"]);
        let mut rows = vec![["SERVER", "STATE"].map(String::from)];
        rows.extend(servers.as_array().into_iter().flatten().map(|server| {
            let state = match (server["connected"] == true, server["trouble"].as_str()) {
                (true, _) => "connected",
                (false, None) => "connecting",
                (false, Some(trouble)) => trouble,
            };
            [word(&server["server"]).to_owned(), state.to_owned()]
        }));
        let mut words = with_server(agent, &hello["serving"]);
        if rows.len() > 1 {
            words += "\n\n";
            words += &table(&rows);
        }
        words
    })
}

/// Adds what there is to know about the hosted server.
fn with_server(agent: String, serving: &Value) -> String {
    if let Some(trouble) = serving["trouble"].as_str() {
        return format!("{agent}\n\nIt is to host a server and cannot: {trouble}. It goes on trying.");
    }
    let Some(servers) = serving["servers"].as_array() else { return agent };
    let servers: Vec<&str> = servers.iter().map(word).collect();
    let mut words = vec![agent, String::new()];
    words.push(format!("It hosts a server; rooms founded here meet at {}.", servers.join(" and ")));
    if serving["page"] == true && symbolon_page::BUILT {
        let pages = servers.iter().filter_map(|server| Some(server.parse::<Origin>().ok()?.page_url()));
        words.push(format!("Browsers find the page at {}", pages.collect::<Vec<_>>().join(" and ")));
    }
    if let Some(warning) = warning(serving) {
        words.extend([String::new(), warning]);
    }
    words.join("\n")
}

/// Who cannot reach it, and how they could.
fn warning(serving: &Value) -> Option<String> {
    let listen: SocketAddr = serving["listen"].as_str()?.parse().ok()?;
    match serving["audience"].as_str()? {
        "machine" if listen.ip().is_loopback() => Some(format!(
            "Only programs on this machine can reach it. For others: symbolon up --serve 0.0.0.0:{}",
            listen.port()
        )),
        "machine" => Some(
            "Only programs on this machine can reach it, which is in no network now. Name the address that others \
             dial with --serve-as."
                .into(),
        ),
        "network" => Some(format!(
            "Only devices in the same network can reach it. For others, let your router pass port {} on to this \
             machine and name the address they dial: --serve-as ws://ADDRESS:PORT",
            listen.port()
        )),
        _ => None,
    }
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// An address, or a port of all addresses.
fn listen(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.trim_start_matches(':').parse::<u16>() {
        return Ok((Ipv4Addr::UNSPECIFIED, port).into());
    }
    let text =
        text.strip_prefix("localhost:").map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
    text.parse().map_err(|_| {
        "an address has an IP address of this machine and a port, such as 0.0.0.0:7600 for all it has".into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rv16_an_address_to_serve_at_is_read_as_people_write_it() {
        for (text, address) in [
            ("7600", "0.0.0.0:7600"),
            (":7600", "0.0.0.0:7600"),
            ("localhost:1", "127.0.0.1:1"),
            ("[::]:1", "[::]:1"),
        ] {
            assert_eq!(listen(text), Ok(address.parse().unwrap()));
        }
        for wrong in ["", "70000", "example.org:7600", "127.0.0.1", "wss://a"] {
            assert!(listen(wrong).is_err(), "{wrong}");
        }
    }
}
