//! The command line: arguments in, one request to the agent or a few, words or JSON out.
//!
//! # Layout
//! - `args`: the arguments.
//! - `client`, `start`: the connection to the agent, which is started if there is none.
//! - `rooms`, `members`, `texts`, `canvas`, `device`, `up`, `page`, `docs`: the commands.
//! - `print`, `qr`: what they print.

mod args;
mod canvas;
mod client;
mod device;
mod docs;
mod members;
mod page;
mod print;
mod qr;
mod rooms;
mod start;
mod texts;
mod up;

use std::process::ExitCode;

use std::path::PathBuf;

use clap::Parser as _;
use tracing_subscriber::EnvFilter;

use crate::agent::place::Home;
use crate::failure::{Failure, USAGE};
use args::{Arguments, Command};
use client::Client;
use print::Out;

/// What every command works with.
struct Context {
    home: Home,
    out: Out,
    log: Option<String>,
    ca_file: Option<PathBuf>,
}

impl Context {
    /// The agent, started if there is none.
    fn agent(&self) -> Result<Client, Failure> {
        self.agent_named(&[])
    }

    /// The same, with further variables for an agent that is started.
    fn agent_named(&self, names: &[(&str, &str)]) -> Result<Client, Failure> {
        let ca_file = self.ca_file.as_ref().map(|path| path.display().to_string());
        let mut names = names.to_vec();
        names.extend(ca_file.as_deref().map(|path| ("SYMBOLON_CA_FILE", path)));
        start::connect(&self.home, self.log.as_deref(), &names)
    }
}

/// Does what the arguments say.
pub(crate) fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let out = Out { json: arguments.json };
    match begin(arguments, out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            out.failure(&failure);
            if failure.code == USAGE { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

fn begin(arguments: Arguments, out: Out) -> Result<(), Failure> {
    if let Some(filter) = &arguments.log {
        let filter = EnvFilter::try_new(filter)
            .map_err(|error| Failure::new(USAGE, format!("--log {filter:?}: {error}")))?;
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    }
    let home = Home::find(arguments.home)?;
    // A variable set to nothing is as good as none, and the agent runs in another folder.
    let ca_file = arguments.ca_file.filter(|path| !path.as_os_str().is_empty());
    let ca_file = ca_file.map(std::path::absolute).transpose();
    let ca_file = ca_file.map_err(|error| Failure::new("home", format!("--ca-file: {error}")))?;
    let context = Context { home, out, log: arguments.log, ca_file };
    match arguments.command {
        Command::Id => device::id(&context),
        Command::Up(given) => up::up(&context, given),
        Command::Status => up::status(&context),
        Command::Down => device::down(&context),
        Command::Create { name, servers } => rooms::create(&context, &name, &servers),
        Command::Invite(invite) => rooms::invite(&context, &invite),
        Command::Join { ticket, timeout } => rooms::join(&context, &ticket, timeout),
        Command::Rooms => rooms::rooms(&context),
        Command::Members { room } => members::members(&context, &room),
        Command::Topology { room } => members::topology(&context, &room),
        Command::Wait(wait) => rooms::wait(&context, &wait),
        Command::Leave { room, yes } => rooms::leave(&context, &room, yes),
        Command::Cat { room } => texts::cat(&context, &room),
        Command::Edit(edit) => texts::edit(&context, edit),
        Command::Documents { room } => canvas::documents(&context, &room),
        Command::Draw(draw) => canvas::draw(&context, &draw),
        Command::Follow { room } => texts::follow(&context, &room),
        Command::Page(given) => page::page(&context, given),
        Command::Completions { shell } => docs::completions(out, shell),
        Command::Man { dir } => docs::man(out, dir.as_deref()),
    }
}
