//! Where log lines go and how they look.

use std::error::Error;

use symbolon_server::options::Settings;
use symbolon_server::options::value::LogFormat;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

/// A hold on what is logged.
pub(crate) struct Logs(reload::Handle<EnvFilter, Registry>);

/// Begins to log.
pub(crate) fn start(settings: &Settings) -> Result<Logs, Box<dyn Error>> {
    let (filter, handle) = reload::Layer::new(filter(&settings.log)?);
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match settings.log_format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(filter).with(lines).try_init()?;
    Ok(Logs(handle))
}

impl Logs {
    /// Another filter from now on.
    pub(crate) fn set(&self, filter: &str) {
        if let Ok(filter) = self::filter(filter)
            && let Err(error) = self.0.reload(filter)
        {
            tracing::error!("the log filter stays: {error}");
        }
    }
}

/// The library for STUN warns of every datagram that is none: anybody could fill a disk with that. The library for NATS
/// names subjects, and with them topics, in what it has to say to its own developers, and repeats every second that it is
/// refused, which is said once elsewhere.
fn filter(text: &str) -> Result<EnvFilter, ParseError> {
    let filter = text.parse::<EnvFilter>()?;
    Ok(filter.add_directive("stun_types=off".parse()?).add_directive("async_nats=off".parse()?))
}
