//! Starts the agent when there is none.

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::client::Client;
use crate::agent::place::Home;
use crate::failure::Failure;

/// How long an agent may take to open its home directory: all rooms are read and checked.
const START: Duration = Duration::from_secs(60);

/// How long the winner may take when two commands start an agent at once.
const OTHER_START: Duration = Duration::from_secs(10);

/// How long to wait before another look whether the winner is there.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// An agent's log is begun anew over this size.
const MAX_LOG: u64 = 1 << 20;

/// Connects to the agent; starts it first if there is none, with these variables in its environment.
pub(crate) fn connect(home: &Home, log: Option<&str>, names: &[(&str, &str)]) -> Result<Client, Failure> {
    if let Some(client) = Client::connect(home)? {
        return Ok(client);
    }
    home.make()?;
    let started = start(home, log, names);
    let other = matches!(&started, Err(failure) if failure.code == "in_use");
    if !other {
        started.clone()?;
    }
    // Another command may have started one at the same time; its socket is there in a moment.
    let deadline = Instant::now() + OTHER_START;
    loop {
        if let Some(client) = Client::connect(home)? {
            return Ok(client);
        }
        if Instant::now() > deadline {
            started?;
            return Err(Failure::new("agent", "the agent started and cannot be reached"));
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Starts an agent and waits until it can be reached or says why not.
fn start(home: &Home, log: Option<&str>, names: &[(&str, &str)]) -> Result<(), Failure> {
    let path = home.log();
    let fails = |error| Failure::path("home", &path, &error);
    let long = path.metadata().is_ok_and(|found| found.len() > MAX_LOG);
    let mut file =
        OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path).map_err(fails)?;
    if long {
        file.set_len(0).map_err(fails)?;
    }
    let before = file.seek(SeekFrom::End(0)).map_err(fails)?;

    let no_agent = |error| Failure::new("agent", format!("the agent cannot be started: {error}"));
    let mut command = Command::new(std::env::current_exe().map_err(no_agent)?);
    command.arg("--home").arg(home.dir()).args(["--json", "up", "--foreground", "--own-session"]);
    if let Some(filter) = log {
        command.env("SYMBOLON_LOG", filter);
    }
    let agent = command
        .envs(names.iter().copied())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(file.try_clone().map_err(fails)?)
        .spawn()
        .map_err(no_agent)?;
    if let Some(said) = first_line(agent)? {
        return match said.get("error") {
            None => Ok(()),
            Some(error) => Err(Failure::new(
                error["code"].as_str().unwrap_or("agent"),
                error["message"].as_str().unwrap_or("the agent did not start"),
            )),
        };
    }
    let mut words = String::new();
    let _ = file.seek(SeekFrom::Start(before)).and_then(|_| file.take(MAX_LOG).read_to_string(&mut words));
    let last = words.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it left no word why");
    Err(Failure::new("agent", format!("the agent ended while starting: {last} (see {})", path.display())))
}

/// What the agent says first; `None` if it ended without a word.
fn first_line(mut agent: Child) -> Result<Option<Value>, Failure> {
    let Some(stdout) = agent.stdout.take() else { return Ok(None) };
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = BufReader::new(stdout).read_line(&mut line);
        let _ = tell.send(read.ok().and_then(|_| serde_json::from_str::<Value>(&line).ok()));
        // An agent that failed is gone in a moment; one that runs outlives this command.
        let _ = agent.wait();
    });
    match told.recv_timeout(START) {
        Ok(said) => Ok(said),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            let message = format!("the agent has not started within {} s; try again", START.as_secs());
            Err(Failure::new("agent", message))
        }
    }
}
