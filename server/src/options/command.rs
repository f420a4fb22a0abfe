//! The command line, made from the table.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::Styles;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::table::SECTIONS;
use super::value::Form;
use super::{Given, Opt, Settings};

const EXAMPLES: &str = "\
Examples:
  symbolon-server
      for this machine only, at ws://127.0.0.1:7600, with the page at http://127.0.0.1:7600/
  symbolon-server --listen 0.0.0.0:7600 --origin wss://rooms.example.org
      behind a proxy that speaks TLS
  symbolon-server config > server.toml && symbolon-server check --config server.toml
      begin a configuration file, and see what holds

Every option can be set by a flag, in the environment, or in a TOML file; the first of these that names it counts.
Lists are separated by commas. docs/CONFIGURATION.md has them all.";

/// What the program is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// Serve.
    Run,
    /// Say what holds and what is wrong with it.
    Check,
    /// Ask a running server whether it is well: this one, or the one that the configuration describes.
    Health(Option<String>),
    /// Print an example file, or the documentation.
    Example {
        /// `docs/CONFIGURATION.md` instead.
        markdown: bool,
    },
}

/// The command line as clap knows it.
pub fn command() -> Command {
    let config = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .global(true)
        .value_parser(clap::value_parser!(PathBuf))
        .help("The configuration file [env: SYMBOLON_CONFIG]");
    let check = Command::new("check").about("Say what holds, where it came from, and what is wrong with it");
    let health = Command::new("health")
        .about("Ask a running server whether it serves; ends with 0 if it does and 1 if not")
        .arg(
            Arg::new("url")
                .value_name("URL")
                .help("Such as https://rooms.example.org [default: the configuration's address]"),
        );
    let example =
        Command::new("config").about("Print a configuration file with every option and its default").arg(
            Arg::new("markdown").long("markdown").action(ArgAction::SetTrue).help("As docs/CONFIGURATION.md"),
        );
    let defaults = Settings::default();
    let mut command = Command::new("symbolon-server")
        .version(env!("CARGO_PKG_VERSION"))
        .about("The rendezvous server: brings the clients of a room together and need not be trusted")
        .after_help(EXAMPLES)
        .styles(Styles::styled())
        .arg(config)
        .subcommands([check, health, example]);
    for section in SECTIONS {
        for option in section.options {
            command = command.arg(flag(option, &defaults).help_heading(section.title));
        }
    }
    command
}

fn flag(option: &'static Opt, defaults: &Settings) -> Arg {
    let default = match option.default {
        Some(words) => words.to_owned(),
        None => (option.show)(defaults).join(","),
    };
    let default = match option.form {
        Form::Switch => format!("in the file: {} = {default}", option.key),
        _ if default.is_empty() => "none".to_owned(),
        _ => format!("default: {default}"),
    };
    let arg = Arg::new(option.flag)
        .long(option.flag)
        .global(true)
        .value_name(option.placeholder)
        .help(format!("{} [env: {}] [{default}]", option.help, option.variable()));
    match option.form {
        Form::Switch => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
        Form::List => arg.action(ArgAction::Append),
        Form::Number | Form::Text => arg,
    }
}

/// Reads the command line and the environment; ends the program for `--help` and for what makes no sense.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<(Task, Given), clap::Error> {
    let matches = command().try_get_matches_from(arguments)?;
    let (task, deepest) = match matches.subcommand() {
        Some(("check", inner)) => (Task::Check, inner),
        Some(("health", inner)) => (Task::Health(inner.get_one::<String>("url").cloned()), inner),
        Some(("config", inner)) => (Task::Example { markdown: inner.get_flag("markdown") }, inner),
        _ => (Task::Run, &matches),
    };
    Ok((task, given(deepest)?))
}

fn given(matches: &ArgMatches) -> Result<Given, clap::Error> {
    let mut given = Given::default();
    let variable = |name: &str| match std::env::var(name) {
        Ok(text) => Ok(Some(text)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(command().error(ErrorKind::InvalidUtf8, format!("{name} is not UTF-8")))
        }
    };
    let file = variable("SYMBOLON_CONFIG")?.filter(|path| !path.is_empty()).map(PathBuf::from);
    given.file = matches.get_one::<PathBuf>("config").cloned().or(file);
    for option in SECTIONS.iter().flat_map(|section| section.options) {
        if let Some(texts) = matches.get_many::<String>(option.flag) {
            given.flags.insert(option.flag, texts.cloned().collect());
        }
        if let Some(text) = variable(&option.variable())? {
            given.environment.insert(option.variable(), text);
        }
    }
    Ok(given)
}
