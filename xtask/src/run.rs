//! Starting other programs.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What was done, and how long it took.
static STEPS: Mutex<Vec<(String, Duration)>> = Mutex::new(Vec::new());

/// The top of the source tree.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Where cargo puts the programs it builds for development; this one among them.
pub(crate) fn programs() -> Result<PathBuf, String> {
    let here = std::env::current_exe().map_err(|error| format!("this program is nowhere: {error}"))?;
    Ok(here.parent().unwrap_or(&here).to_owned())
}

/// `cargo` with these arguments, in the source tree.
pub(crate) fn cargo<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).args(arguments);
    // What cargo told this program about itself would make it build some dependencies anew.
    for (name, _) in std::env::vars_os() {
        let about_us = name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_")
                || name.starts_with("CARGO_MANIFEST_")
                || name.starts_with("CARGO_BIN_")
        });
        if about_us {
            command.env_remove(name);
        }
    }
    command
}

/// `npm` with these arguments, in `web`.
pub(crate) fn npm<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new("npm");
    command.current_dir(root().join("web")).args(arguments);
    command
}

/// Runs a step to its end and says what it was and how long it took.
pub(crate) fn step(name: &str, command: &mut Command) -> Result<(), String> {
    timed(name, || {
        let status = command.status().map_err(|error| format!("{name}: cannot be started: {error}"))?;
        if status.success() { Ok(()) } else { Err(format!("{name}: failed ({status})")) }
    })
}

/// The same for what is no single program.
pub(crate) fn timed<T>(name: &str, work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    println!("── {name}");
    let began = Instant::now();
    let done = work()?;
    let took = began.elapsed();
    println!("── {name}: done in {:.0} s", took.as_secs_f64());
    STEPS.lock().unwrap_or_else(PoisonError::into_inner).push((name.to_owned(), took));
    Ok(done)
}

/// Prints how long each step took.
pub(crate) fn print_durations() {
    let steps = STEPS.lock().unwrap_or_else(PoisonError::into_inner);
    let total: Duration = steps.iter().map(|(_, took)| *took).sum();
    println!();
    for (name, took) in steps.iter() {
        println!("{:>6.0} s  {name}", took.as_secs_f64());
    }
    println!("{:>6.0} s  in all", total.as_secs_f64());
}

/// Where a program is that a shell would find.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file())
}
