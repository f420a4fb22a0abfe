//! `symbolon-server`: what it is told, logs, signals, and what it tells its supervisor.

mod health;
mod logs;
mod reload;
mod signals;
mod supervisor;

use std::io::Write as _;
use std::process::ExitCode;

use symbolon_server::Server;
use symbolon_server::options::check::{self, Finding};
use symbolon_server::options::command::{self, Task};
use symbolon_server::options::{Given, Loaded, document};

use logs::Logs;
use signals::{Signal, Signals};
use supervisor::Phase;

/// Gives memory back within a quarter of a minute after clients have gone; the system's own keeps it for ever.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What is wrong with the arguments, the environment or the file; as other programs say it.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let (task, given) = match command::parse(std::env::args_os()) {
        Ok(told) => told,
        Err(error) => error.exit(),
    };
    match task {
        Task::Run => run(&given),
        Task::Check => match check::report(&given) {
            Ok(report) => print(&report),
            Err(report) => {
                print(&report);
                ExitCode::from(USAGE)
            }
        },
        Task::Health(url) => match on_threads(1, health::ask(url, &given)) {
            Ok(Ok(())) => ExitCode::SUCCESS,
            Ok(Err(reason)) => complain(&[reason], 1),
            Err(error) => complain(&[error.to_string()], 1),
        },
        Task::Example { markdown: true } => print(&document::markdown()),
        Task::Example { markdown: false } => print(&document::example()),
    }
}

fn run(given: &Given) -> ExitCode {
    let loaded = match given.load() {
        Ok(loaded) => loaded,
        Err(wrong) => return complain(&wrong, USAGE),
    };
    let logs = match logs::start(&loaded.settings) {
        Ok(logs) => logs,
        Err(error) => return complain(&[error.to_string()], USAGE),
    };
    for finding in check::findings(&loaded.settings) {
        match finding {
            Finding::Odd(text) => tracing::warn!("{text}"),
            Finding::Wrong(text) => return complain(&[text], USAGE),
        }
    }
    let serving = serve(given, loaded.clone(), &logs);
    match on_threads(loaded.settings.threads, serving).unwrap_or_else(|error| Err(error.into())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs on so many threads; on one to each processor if it is 0.
fn on_threads<T>(threads: usize, task: impl Future<Output = T>) -> std::io::Result<T> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if threads > 0 {
        builder.worker_threads(threads);
    }
    Ok(builder.enable_all().build()?.block_on(task))
}

async fn serve(given: &Given, mut loaded: Loaded, logs: &Logs) -> Result<(), Box<dyn std::error::Error>> {
    let page = loaded.settings.config.page;
    let mut signals = Signals::new()?;
    let server = Server::bind(loaded.settings.config.clone()).await?;
    // Programs that start a server read this line to learn the port.
    writeln!(std::io::stdout(), "listening on {}://{}", server.scheme(), server.local_addr())?;
    if let Some(admin) = server.admin_addr() {
        writeln!(std::io::stdout(), "operator's page at http://{admin}/")?;
    }
    if page && symbolon_page::BUILT {
        tracing::info!("the page is served at /");
    } else if page {
        tracing::warn!("this program was built without the page; `cargo xtask web` makes it");
    }
    tracing::info!("ready");
    supervisor::tell(Phase::Ready);
    let signal = loop {
        match signals.next().await {
            Signal::Reload => {
                supervisor::tell(Phase::Reloading);
                loaded = reload::reload(given, loaded, &server, logs);
                supervisor::tell(Phase::Ready);
            }
            last => break last,
        }
    };
    let over = loaded.settings.drain;
    if signal == Signal::Drain && !over.is_zero() {
        supervisor::tell(Phase::Draining);
        tracing::info!("telling clients to go elsewhere; another signal ends it at once");
        tokio::select! {
            () = server.drain(over) => {}
            () = signals.last() => return Ok(()),
        }
    }
    tracing::info!("stopping");
    supervisor::tell(Phase::Stopping);
    tokio::select! {
        stopped = server.shutdown() => stopped?,
        () = signals.last() => return Ok(()),
    }
    tracing::info!("stopped");
    Ok(())
}

fn print(text: &str) -> ExitCode {
    // A reader that went away, as `| head` does, is no failure.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn complain(wrong: &[String], code: u8) -> ExitCode {
    for reason in wrong {
        let _ = writeln!(std::io::stderr(), "error: {reason}");
    }
    ExitCode::from(code)
}
