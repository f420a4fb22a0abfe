//! A laboratory of NATs: the real programs, in network namespaces of one machine.
//!
//! ```text
//!   a 10.1.0.2 ── nat-a 203.0.113.10 ┐                ┌ server 203.0.113.1, later .9
//!                                     ├── the internet ┤
//!   b 10.2.0.2 ── nat-b 203.0.113.20 ┘  203.0.113.0/24
//! ```
//!
//! Everything is made within namespaces of mounts, processes and networks that end with the process that made them, so
//! nothing is left behind however this ends.
//!
//! # Layout
//! - `cases`: what must work, and by which way.
//! - `net`: namespaces, links, NATs.
//! - `people`: the server, agents, and what they are asked.

mod cases;
mod net;
mod people;

use std::path::Path;
use std::process::{Command, Stdio};

use crate::run::{cargo, find, programs, step};

/// What a person who asked for it is told if it cannot be had.
pub(crate) fn run() -> Result<(), String> {
    let why = missing();
    if let Some(why) = why {
        return Err(format!("the laboratory of NATs cannot run here: {why}"));
    }
    step("programs", &mut cargo(["build", "--workspace", "--exclude", "xtask", "--all-features", "--bins"]))?;
    inside()
}

/// A part of all tests: where it cannot run, that is said and no more.
pub(crate) fn run_if_possible() -> Result<(), String> {
    match missing() {
        Some(why) => {
            println!("── laboratory of NATs: left out, because {why}");
            Ok(())
        }
        None => inside(),
    }
}

fn missing() -> Option<String> {
    if !cfg!(target_os = "linux") {
        return Some("it needs Linux".to_owned());
    }
    for (program, package) in
        [("unshare", "util-linux"), ("ip", "iproute2"), ("nft", "nftables"), ("mount", "mount")]
    {
        if find(program).is_none() && !Path::new("/usr/sbin").join(program).is_file() {
            return Some(format!("`{program}` is missing; on Debian: apt-get install {package}"));
        }
    }
    let tried = namespaces().args(["sh", "-c", TRIAL]).stdout(Stdio::null()).output();
    match tried {
        Ok(output) if output.status.success() => None,
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.lines().next().unwrap_or("not permitted");
            Some(format!("it needs root and a kernel with network namespaces and nftables ({said})"))
        }
        Err(error) => Some(format!("`unshare` cannot be started: {error}")),
    }
}

/// The rarest of what is needed.
const TRIAL: &str = "set -e; ip link add trial type veth peer name trial2; nft add table ip trial; \
    nft add chain ip trial nat '{ type nat hook postrouting priority 100; }'; \
    nft add rule ip trial nat masquerade random,fully-random";

/// A command in namespaces of its own that end, with all that is in them, when this program does.
fn namespaces() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    command
}

fn inside() -> Result<(), String> {
    let this = std::env::current_exe().map_err(|error| format!("this program is nowhere: {error}"))?;
    step("laboratory of NATs", namespaces().arg(this).args(["nat", "--inside"]))
}

/// Within the namespaces.
pub(crate) fn laboratory() -> Result<(), String> {
    let programs = programs()?;
    let homes = std::env::temp_dir().join(format!("symbolon-nat-{}", std::process::id()));
    std::fs::create_dir_all(&homes).map_err(|error| format!("{}: {error}", homes.display()))?;
    // Even what is written is gone with the namespaces.
    net::sh(&format!("mount -t tmpfs tmpfs {}", homes.display()))?;
    let result = cases::all(&programs, &homes);
    let _ = std::env::set_current_dir("/");
    let _ = net::sh(&format!("umount -l {0} && rmdir {0}", homes.display()));
    result
}
