//! The command's end of the connection to the agent.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::agent::place::Home;
use crate::failure::Failure;

/// How long an agent may take to say that it is there.
const HELLO: Duration = Duration::from_secs(10);

/// A connection to the agent.
pub(crate) struct Client {
    lines: BufReader<UnixStream>,
    last_id: u64,
    /// What the agent said of itself.
    pub(crate) hello: Value,
}

impl Client {
    /// Connects to the agent of a home directory; `None` if there is none.
    pub(crate) fn connect(home: &Home) -> Result<Option<Self>, Failure> {
        let Some(client) = Self::connect_to_any_version(home)? else { return Ok(None) };
        let (own, other) = (env!("CARGO_PKG_VERSION"), client.hello["version"].as_str().unwrap_or("unknown"));
        if own != other {
            let message = format!(
                "the agent is of version {other}, this command of {own}; end the agent with `symbolon down`: the \
                 next command starts one of its own version"
            );
            return Err(Failure::new("agent_version", message));
        }
        Ok(Some(client))
    }

    /// The same, whatever the agent's version: for `down`.
    pub(crate) fn connect_to_any_version(home: &Home) -> Result<Option<Self>, Failure> {
        let Some(stream) = home.connect()? else { return Ok(None) };
        stream.set_read_timeout(Some(HELLO)).map_err(|error| gone(&error))?;
        let mut client = Self { lines: BufReader::new(stream), last_id: 0, hello: Value::Null };
        match client.call("hello", &json!({})) {
            Ok(hello) => client.hello = hello,
            // It was ending just now.
            Err(failure) if failure.code == "agent_gone" => return Ok(None),
            Err(failure) => return Err(failure),
        }
        client.lines.get_ref().set_read_timeout(None).map_err(|error| gone(&error))?;
        Ok(Some(client))
    }

    /// Asks the agent and waits for the answer.
    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Result<Value, Failure> {
        self.last_id += 1;
        let line = json!({ "jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params });
        // An agent that refuses a connection answers before it is asked.
        let sent = self.lines.get_mut().write_all(format!("{line}\n").as_bytes());
        loop {
            let Some(answer) = self.next()? else {
                return Err(gone(&sent.err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into())));
            };
            if let Some(error) = answer.get("error") {
                let message = error["message"].as_str().unwrap_or_default();
                // The protocol's own errors have no name; a command that gets one has a bug or asks for too much.
                let code = error["data"]["code"].as_str().unwrap_or("invalid_request");
                return Err(Failure::new(code, message));
            }
            if answer["id"] == self.last_id {
                return Ok(answer["result"].clone());
            }
        }
    }

    /// Waits until the agent has ended, which it was asked to.
    pub(crate) fn wait_for_end(&mut self, within: Duration) -> Result<(), Failure> {
        self.lines.get_ref().set_read_timeout(Some(within)).map_err(|error| gone(&error))?;
        while self.next()?.is_some() {}
        Ok(())
    }

    /// The next message of the agent; `None` when it is gone.
    pub(crate) fn next(&mut self) -> Result<Option<Value>, Failure> {
        let mut line = String::new();
        match self.lines.read_line(&mut line) {
            Ok(0) => Ok(None),
            Ok(_) if !line.ends_with('\n') => Ok(None),
            Ok(_) => serde_json::from_str(&line).map(Some).map_err(|error| {
                Failure::new("agent", format!("the agent's answer cannot be read: {error}"))
            }),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                Err(Failure::new("agent_silent", "the agent does not answer; end its process and try again"))
            }
            Err(error)
                if matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) =>
            {
                Ok(None)
            }
            Err(error) => Err(gone(&error)),
        }
    }
}

/// The agent ended before it answered.
pub(crate) fn gone(error: &io::Error) -> Failure {
    let why = match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
            String::new()
        }
        _ => format!(" ({error})"),
    };
    let message = format!("the agent ended before it answered{why}; look what was done before you try again");
    Failure::new("agent_gone", message)
}
