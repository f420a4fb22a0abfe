//! Ends a run that hangs: a case that takes too long is printed, and the process aborts.

use std::io::Write;
use std::sync::{Mutex, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Long past what any case takes, even in a debug build on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

static RUNNING: Mutex<Vec<(Instant, u64, String)>> = Mutex::new(Vec::new());
static WATCHDOG: Once = Once::new();

/// A case that runs until this is dropped.
pub struct Running(u64);

/// Watches a case from here on; `case` is what is printed if it does not end.
#[must_use]
pub fn watched(case: String) -> Running {
    WATCHDOG.call_once(|| drop(thread::spawn(watch)));
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    let id = running.iter().map(|(_, id, _)| id + 1).max().unwrap_or(0);
    running.push((Instant::now(), id, case));
    Running(id)
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|(_, id, _)| *id != self.0);
    }
}

fn watch() {
    loop {
        thread::sleep(Duration::from_millis(200));
        let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, _, case)) = running.iter().find(|(from, ..)| from.elapsed() > LIMIT) {
            // Past the harness, which would keep captured output to itself.
            let _ = writeln!(std::io::stderr(), "still running after {LIMIT:?}: {case}");
            std::process::abort();
        }
    }
}
