//! Every option of the program: one table from which the file, the environment, the flags, `check` and the
//! documentation come.
//!
//! A flag counts more than the environment, the environment more than the file, the file more than the default.
//!
//! # Layout
//! - [`table`]: the options, by section; a new one is one entry there (or in the section's own file).
//! - [`value`]: how a value of each kind is read and shown.
//! - [`command`]: the command line.
//! - [`mod@file`]: the TOML file.
//! - [`check`]: what holds and where it came from, and what is wrong with it.
//! - [`document`]: `docs/CONFIGURATION.md` and the example file.

pub mod check;
pub mod command;
pub mod document;
pub mod file;
pub mod table;
mod turn;
pub mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::Config;
use crate::key::KeySource;
use value::LogFormat;

/// What the program is told: the server's configuration, and what concerns the program alone.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The server's.
    pub config: Config,
    /// How long clients have to go elsewhere after SIGTERM.
    pub drain: Duration,
    /// Threads that serve; 0 for one to each processor.
    pub threads: usize,
    /// What is logged.
    pub log: String,
    /// How it is logged.
    pub log_format: LogFormat,
}

impl Default for Settings {
    fn default() -> Self {
        let from = |variable| std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
        let state = from("XDG_STATE_HOME").or_else(|| Some(from("HOME")?.join(".local/state")));
        let key = KeySource::File(state.unwrap_or_default().join("symbolon-server/key"));
        Self {
            config: Config { key, ..Config::default() },
            drain: Duration::from_secs(10),
            threads: 0,
            log: "info".to_owned(),
            log_format: LogFormat::Text,
        }
    }
}

/// One section of the file.
#[derive(Debug)]
pub struct Section {
    /// As in the file; empty for what stands before the first section.
    pub name: &'static str,
    /// For people.
    pub title: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// Its options.
    pub options: &'static [Opt],
}

/// One option.
#[derive(Debug, Clone, Copy)]
pub struct Opt {
    /// In the file, within its section.
    pub key: &'static str,
    /// On the command line, without `--`; the environment's name follows from it.
    pub flag: &'static str,
    /// Whether flag and variable say the opposite of the key: `page = false` is `--no-page`.
    pub inverted: bool,
    /// How it is written.
    pub form: value::Form,
    /// What stands for the value in help.
    pub placeholder: &'static str,
    /// A value for the example file, where the default is no value.
    pub example: &'static str,
    /// The default in words, where it depends on the machine or on other options.
    pub default: Option<&'static str>,
    /// What it does.
    pub help: &'static str,
    /// Whether SIGHUP changes it in a running server.
    pub reloads: bool,
    /// Whether it is never shown.
    pub secret: bool,
    /// Takes the value over.
    pub read: fn(&mut Settings, &[String]) -> Result<(), String>,
    /// The value that holds.
    pub show: fn(&Settings) -> Vec<String>,
}

impl Opt {
    /// The environment variable.
    pub fn variable(&self) -> String {
        format!("SYMBOLON_{}", self.flag.replace('-', "_").to_ascii_uppercase())
    }

    /// What holds, for people and for the file.
    pub fn shown(&self, settings: &Settings) -> String {
        let values = (self.show)(settings);
        if self.secret && !values.is_empty() { "(set)".to_owned() } else { self.form.write(&values) }
    }

    /// From a flag or a variable.
    fn texts(&self, text: &str) -> Vec<String> {
        match self.form {
            value::Form::List => text.split(',').map(|item| item.trim().to_owned()).collect(),
            _ => vec![text.to_owned()],
        }
    }

    fn set(&self, settings: &mut Settings, texts: &[String], source: &Source) -> Result<(), String> {
        let inverted = self.inverted && !matches!(source, Source::File(_));
        if inverted && let [text] = texts {
            let opposite = !<bool as value::Value>::read(std::slice::from_ref(text))?;
            return (self.read)(settings, &[opposite.to_string()]);
        }
        (self.read)(settings, texts)
    }
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody said anything.
    Default,
    /// This line of the file.
    File(usize),
    /// This variable.
    Environment(String),
    /// The command line.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(line) => write!(f, "file, line {line}"),
            Self::Environment(variable) => f.write_str(variable),
            Self::Flag(flag) => write!(f, "--{flag}"),
        }
    }
}

/// What the operator has said, before it is understood. Kept for a reload, which reads the file again.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// The file.
    pub file: Option<PathBuf>,
    /// Flags, by name, each with all the values it was given.
    pub flags: BTreeMap<&'static str, Vec<String>>,
    /// The variables of the options.
    pub environment: BTreeMap<String, String>,
}

/// What holds, and where it came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What holds.
    pub settings: Settings,
    /// Where each option's value came from, in the order of the table.
    pub sources: Vec<(&'static Opt, Source)>,
}

impl Given {
    /// Reads the file and puts everything together; all that is wrong is said at once.
    pub fn load(&self) -> Result<Loaded, Vec<String>> {
        let mut settings = Settings::default();
        let mut wrong = Vec::new();
        let mut file = match &self.file {
            None => file::Values::default(),
            Some(path) => file::read(path, &mut wrong),
        };
        let mut sources = Vec::new();
        for section in table::SECTIONS {
            for option in section.options {
                let mut from = Source::Default;
                let variable = option.variable();
                let said = [
                    // An empty text, here as there, is what a compose file makes of a variable that was left out.
                    file.take(section, option)
                        .filter(|(_, texts)| option.form != value::Form::Text || *texts != [""])
                        .map(|(line, texts)| (Source::File(line), texts)),
                    self.environment
                        .get(&variable)
                        .filter(|text| !text.is_empty())
                        .map(|text| (Source::Environment(variable), option.texts(text))),
                    self.flags.get(option.flag).map(|given| {
                        let texts = given.iter().flat_map(|text| option.texts(text)).collect();
                        (Source::Flag(option.flag.to_owned()), texts)
                    }),
                ];
                for (source, texts) in said.into_iter().flatten() {
                    if let Err(reason) = option.set(&mut settings, &texts, &source) {
                        wrong.push(self.complaint(section, option, &source, &reason));
                    }
                    from = source;
                }
                sources.push((option, from));
            }
        }
        if wrong.is_empty() { Ok(Loaded { settings, sources }) } else { Err(wrong) }
    }

    fn complaint(&self, section: &Section, option: &Opt, source: &Source, reason: &str) -> String {
        match (source, &self.file) {
            (Source::File(line), Some(path)) => {
                format!("{}:{line}: {}: {reason}", path.display(), section.path(option))
            }
            _ => format!("{source}: {reason}"),
        }
    }
}

impl Section {
    /// The option's name with its section's.
    pub fn path(&self, option: &Opt) -> String {
        if self.name.is_empty() { option.key.to_owned() } else { format!("{}.{}", self.name, option.key) }
    }
}

#[cfg(test)]
mod tests;
