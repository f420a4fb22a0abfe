//! What a command or the agent could not do: a code for programs, a sentence for people.

use std::io;
use std::path::Path;

use symbolon::OpenError;
use symbolon::Ticket;

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: String,
    pub(crate) message: String,
}

/// The code of a failure that is a wrong use of the command line; such a command ends with 2.
pub(crate) const USAGE: &str = "usage";

impl Failure {
    pub(crate) fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into() }
    }

    /// A file or directory that cannot be used.
    pub(crate) fn path(code: &str, path: &Path, error: &io::Error) -> Self {
        Self::new(code, format!("{} cannot be used: {error}", path.display()))
    }

    /// What to do next, where the message does not say it.
    pub(crate) fn next_step(&self) -> Option<&'static str> {
        Some(match self.code.as_str() {
            "expired" => "Ask for a new ticket: a member makes one with `symbolon invite ROOM`.",
            "not_for_this_device" => {
                "Ask for one that is: a member makes it with `symbolon invite ROOM --to` and the device \
                 that `symbolon id` shows here."
            }
            "malformed_ticket" => "A member makes a ticket with `symbolon invite ROOM`.",
            "nobody_answered" => "Ask a member to be online and try again, or ask for a new ticket.",
            "server_unreachable" => {
                "Check the network and that the server runs; a member can tell you its address."
            }
            "wrong_server" => "Do not go on before you know why: ask whoever runs the server.",
            "no_connection" => "Try again; if it stays so, a firewall may stand between you and all members.",
            "join_under_way" => "Wait for it: `symbolon rooms` shows the room once this device is in.",
            "store" => "Then end the agent with `symbolon down`; the next command starts it anew.",
            "no_server" => {
                "Name one with --server or SYMBOLON_SERVER, or host one on this machine: `symbolon up --serve`."
            }
            "serve" => "`symbolon up --serve ADDRESS` chooses where to host a server, `--no-serve` ends it.",
            "invalid_name" => "Choose another name.",
            "listen" => "Choose another address with --listen; port 0 lets the system choose.",
            "home" => "Name a directory that you may write with --home or SYMBOLON_HOME.",
            _ => return None,
        })
    }
}

impl From<symbolon::Error> for Failure {
    fn from(error: symbolon::Error) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let code = match error {
            OpenError::InUse(_) => "in_use",
            OpenError::Io { .. } | OpenError::NoAuthority(_) | OpenError::Authority(_) => "home",
            OpenError::Damaged { .. } => "damaged",
            OpenError::Name(_) => "invalid_name",
        };
        Self::new(code, error.to_string())
    }
}

/// Reads a ticket, as text or as a link.
pub(crate) fn ticket(text: &str) -> Result<Ticket, Failure> {
    text.parse().map_err(|error| symbolon::Error::Ticket(error).into())
}

/// Milliseconds since 1970 as RFC 3339 in UTC, to the second.
pub(crate) fn rfc3339(unix_ms: u64) -> String {
    // The last moment that has four digits for its year.
    const LAST: u64 = 253_402_300_799;
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs((unix_ms / 1000).min(LAST));
    humantime::format_rfc3339_seconds(at).to_string()
}
