//! Where log lines go and how they look.

use std::error::Error;

use symbolon_server::options::Settings;
use symbolon_server::options::value::LogFormat;
use tracing_subscriber::EnvFilter;

/// Begins to log.
pub(crate) fn start(settings: &Settings) -> Result<(), Box<dyn Error>> {
    let lines = tracing_subscriber::fmt()
        .with_env_filter(settings.log.parse::<EnvFilter>()?)
        .with_writer(std::io::stderr);
    match settings.log_format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    Ok(())
}
