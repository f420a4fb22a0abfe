//! A server as a process of its own, and what the system knows of it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use symbolon_core::origin::Origin;

/// `USER_HZ`, in which Linux tells a process's times.
const TICKS_PER_SECOND: f64 = 100.0;

/// A process; killed when dropped.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    /// Bytes of resident memory.
    pub(crate) fn resident(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
    }

    /// Processor seconds, outside and inside the kernel.
    pub(crate) fn processor_seconds(&self) -> [f64; 2] {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        // The name, in brackets, may contain spaces; utime and stime are the 12th and 13th field after it.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        [11, 12].map(|field| fields[field].parse::<f64>().unwrap() / TICKS_PER_SECOND)
    }

    /// Processor seconds in all.
    pub(crate) fn seconds(&self) -> f64 {
        self.processor_seconds().iter().sum()
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// This project's server.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) origin: Origin,
}

impl Server {
    /// Without limits that a benchmark would meet.
    pub(crate) fn unlimited(threads: usize) -> Self {
        let threads = threads.to_string();
        Self::start(&[
            "--no-bans",
            "--threads",
            &threads,
            "--connections",
            "20000",
            "--connections-per-address",
            "20000",
            "--connection-rate",
            "1000000",
            "--idle-after",
            "1h",
            "--enter-rate",
            "1000000",
            "--message-rate",
            "1000000000",
            "--byte-rate",
            "1000000000000",
        ])
    }

    pub(crate) fn start(options: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_symbolon-server"))
            .args(["--listen", "127.0.0.1:0", "--key-file", "none", "--log", "warn"])
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let origin = line.trim().strip_prefix("listening on ").unwrap().parse().unwrap();
        Self { process: Process(child), origin }
    }
}
