//! Starting other programs.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// The top of the source tree.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
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

/// Runs a step to its end and says what it was and how long it took.
pub(crate) fn step(name: &str, command: &mut Command) -> Result<(), String> {
    println!("── {name}");
    let began = Instant::now();
    let status = command.status().map_err(|error| format!("{name}: cannot be started: {error}"))?;
    if !status.success() {
        return Err(format!("{name}: failed ({status})"));
    }
    println!("── {name}: done in {:.0} s", began.elapsed().as_secs_f64());
    Ok(())
}

/// Whether a program can be started.
pub(crate) fn there_is(program: &str, argument: &str) -> bool {
    let quiet = Command::new(program).arg(argument).stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}
