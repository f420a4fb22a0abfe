//! What holds and where it came from, and what is wrong with it.

use std::fmt::Write as _;

use super::table::SECTIONS;
use super::{Given, Loaded, Settings, Source};
use crate::key::KeySource;
use crate::tls;

/// Something an operator should know of a configuration that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The server would not start, or not do what it is told.
    Wrong(String),
    /// It may be meant.
    Odd(String),
}

/// What the values say together.
pub fn findings(settings: &Settings) -> Vec<Finding> {
    let config = &settings.config;
    let mut found = Vec::new();
    if let Err(error) = tls::check(&config.tls) {
        found.push(Finding::Wrong(error.to_string()));
    }
    let mut odd = |text: String| found.push(Finding::Odd(text));
    if config.origins.is_empty() && config.listen.ip().is_unspecified() {
        odd(format!(
            "clients cannot sign in at {}; name what they dial with `origins`, such as wss://rooms.example.org",
            config.listen
        ));
    }
    if config.proxies.trusted.iter().any(|network| network.prefix_len() == 0) {
        odd("`proxy.trusted` lists everybody: then anybody can choose the address it is known by".into());
    }
    if config.tls.certificate.is_some()
        && config.origins.iter().all(|origin| !origin.secure())
        && !config.origins.is_empty()
    {
        odd("with TLS clients dial wss://, and `origins` has none".into());
    }
    if config.admin.is_some_and(|admin| admin.ip().is_unspecified()) {
        odd("`admin.listen` is open to every network this machine is in, and shows addresses of clients"
            .into());
    }
    if config.ping_every >= config.dead_after {
        odd("`limits.ping_interval` is not shorter than `limits.dead_after`: silent clients are closed unasked".into());
    }
    if config.connections_per_address > config.connections {
        odd("`limits.connections_per_address` is more than `limits.connections`: one address may take all places"
            .into());
    }
    if !config.cluster.nats.is_empty() {
        if config.origins.is_empty() {
            odd("servers of a cluster name the same `origins`; without them each names its own address"
                .into());
        }
        if config.cluster.certificate.is_some() != config.cluster.certificate_key.is_some() {
            odd("`cluster.nats_certificate` and `cluster.nats_certificate_key` go together; neither is used"
                .into());
        }
    }
    if !config.bans {
        odd("`limits.bans` is off: clients that break the protocol may come back at once".into());
    }
    if !config.cluster.nats.is_empty() && matches!(config.key, KeySource::Ephemeral) {
        found.push(Finding::Wrong(
            "servers of a cluster share one key; name its file with `key_file`, the same on all".into(),
        ));
    }
    if let Err(why) = config.turn.elsewhere() {
        found.push(Finding::Wrong(format!("`turn`: {why}")));
    }
    if config.turn.listens()
        && config.turn.allow_private.iter().any(|network| network.to_string().ends_with("/0"))
    {
        found.push(Finding::Odd(
            "`turn.allow_private` lets strangers reach every machine that this one can".into(),
        ));
    }
    found
}

/// What `check` prints: every value with where it came from, and the findings. An error if the server would not start.
pub fn report(given: &Given) -> Result<String, String> {
    let loaded = match given.load() {
        Ok(loaded) => loaded,
        Err(wrong) => return Err(lines("error", &wrong)),
    };
    let mut out = values(&loaded);
    let mut wrong = Vec::new();
    for finding in findings(&loaded.settings) {
        match finding {
            Finding::Odd(text) => {
                let _ = writeln!(out, "warning: {text}");
            }
            Finding::Wrong(text) => wrong.push(text),
        }
    }
    if wrong.is_empty() {
        out.push_str("the configuration is good\n");
        Ok(out)
    } else {
        Err(out + &lines("error", &wrong))
    }
}

fn lines(what: &str, texts: &[String]) -> String {
    texts.iter().fold(String::new(), |out, text| out + what + ": " + text + "\n")
}

fn values(loaded: &Loaded) -> String {
    let mut out = String::new();
    let mut sources = loaded.sources.iter();
    for section in SECTIONS {
        if !section.name.is_empty() {
            let _ = writeln!(out, "\n[{}]", section.name);
        }
        for (option, source) in sources.by_ref().take(section.options.len()) {
            let shown = option.shown(&loaded.settings);
            let value = match (shown.as_str(), source, option.default) {
                ("" | "[]", Source::Default, Some(words)) => format!("# {} = {words}", option.key),
                ("", ..) => format!("# {} is not set", option.key),
                (shown, ..) => format!("{} = {shown}", option.key),
            };
            let _ = writeln!(out, "{value:<48} # {source}");
        }
    }
    out.push('\n');
    out
}
