//! SIGHUP: reads the configuration again and takes over what can change in a running server.

use symbolon_server::Server;
use symbolon_server::options::{Given, Loaded, table};

use crate::logs::Logs;

/// Reads what was given again; a configuration that is wrong changes nothing. Gives what holds now.
pub(crate) fn reload(given: &Given, before: Loaded, server: &Server, logs: &Logs) -> Loaded {
    let told = match given.load() {
        Ok(told) => told,
        Err(wrong) => {
            for reason in wrong {
                tracing::error!("the configuration is wrong and nothing of it is taken over: {reason}");
            }
            return before;
        }
    };
    let mut now = before;
    let mut changes = 0;
    for section in table::SECTIONS {
        for option in section.options {
            let new = (option.show)(&told.settings);
            if new == (option.show)(&now.settings) {
                continue;
            }
            changes += 1;
            let name = section.path(option);
            if !option.reloads {
                tracing::warn!("{name} has changed, which takes a restart");
            } else if (option.read)(&mut now.settings, &new).is_ok() {
                tracing::info!("{name} is now {}", option.shown(&now.settings));
            }
        }
    }
    logs.set(&now.settings.log);
    match server.reload(&now.settings.config) {
        Ok(()) if changes == 0 => tracing::info!("the configuration is read again; no option has changed"),
        Ok(()) => tracing::info!("the configuration is read again"),
        Err(error) => tracing::error!("the configuration is read again, but for the certificate: {error}"),
    }
    Loaded { sources: told.sources, ..now }
}
