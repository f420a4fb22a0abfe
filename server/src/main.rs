//! `symbolon-server`: arguments, logs, signals.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use symbolon_core::origin::Origin;
use symbolon_core::rendezvous::Rate;
use symbolon_core::signal::{IceServer, Limits};
use symbolon_server::{Config, KeySource, Server};
use tracing_subscriber::EnvFilter;

const EXAMPLES: &str = "\
Examples:
  symbolon-server
      for this machine only, at ws://127.0.0.1:7600, with the page at http://127.0.0.1:7600/
  symbolon-server --listen 0.0.0.0:7600 --origin wss://rooms.example.org
      behind a proxy that speaks TLS
  symbolon-server --ice-server stun:stun.example.org:3478 --log debug

Every option can also be set in the environment; lists are separated by commas.";

/// The rendezvous server: brings the clients of a room together and need not be trusted.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
struct Arguments {
    /// Address and port to listen on; port 0 lets the system choose.
    #[arg(long, env = "SYMBOLON_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:7600")]
    listen: SocketAddr,
    /// An address that clients dial, such as `wss://rooms.example.org`. [default: `ws://` and the address]
    #[arg(long = "origin", env = "SYMBOLON_ORIGIN", value_delimiter = ',')]
    origins: Vec<Origin>,
    /// File with the server's key, made if missing; `none` for a new key at every start.
    /// [default: symbolon-server/key in `$XDG_STATE_HOME` or ~/.local/state]
    #[arg(long, env = "SYMBOLON_KEY_FILE", value_name = "PATH")]
    key_file: Option<PathBuf>,
    /// A STUN or TURN server that clients are told to use, such as stun:stun.example.org:3478.
    #[arg(long = "ice-server", env = "SYMBOLON_ICE_SERVER", value_name = "URL", value_delimiter = ',')]
    ice_servers: Vec<String>,

    /// Largest message, in bytes.
    #[arg(long, env = "SYMBOLON_MESSAGE_BYTES", value_name = "BYTES", default_value_t = Config::default().limits.message)]
    message_bytes: usize,
    /// Rooms one client may be in.
    #[arg(long, env = "SYMBOLON_ROOMS_PER_CLIENT", value_name = "N", default_value_t = Config::default().limits.rooms)]
    rooms_per_client: usize,
    /// Clients one room may hold, at most 256.
    #[arg(long, env = "SYMBOLON_CLIENTS_PER_ROOM", value_name = "N", default_value_t = Config::default().limits.clients_per_room)]
    clients_per_room: usize,
    /// Connections in total.
    #[arg(long, env = "SYMBOLON_CONNECTIONS", value_name = "N", default_value_t = Config::default().connections)]
    connections: usize,
    /// Connections from one IPv4 address or one IPv6 /64.
    #[arg(long, env = "SYMBOLON_CONNECTIONS_PER_ADDRESS", value_name = "N", default_value_t = Config::default().connections_per_address)]
    connections_per_address: usize,
    /// Messages a second from one client; ten times as many at once.
    #[arg(long, env = "SYMBOLON_MESSAGE_RATE", value_name = "N", default_value_t = Config::default().messages.per_second)]
    message_rate: u64,
    /// Bytes a second from one client; eight times as many at once.
    #[arg(long, env = "SYMBOLON_BYTE_RATE", value_name = "BYTES", default_value_t = Config::default().bytes.per_second)]
    byte_rate: u64,
    /// Bytes that may wait for one client before it is closed as one that does not read.
    #[arg(long, env = "SYMBOLON_OUTBOX_BYTES", value_name = "BYTES", default_value_t = Config::default().outbox_bytes)]
    outbox_bytes: usize,
    /// Bytes held for all clients together: what they have not read, and what they have begun to send.
    #[arg(long, env = "SYMBOLON_BUFFER_BYTES", value_name = "BYTES", default_value_t = Config::default().buffer_bytes)]
    buffer_bytes: usize,

    /// Silence after which a client is pinged: 25s, 500ms, 2m.
    #[arg(long, env = "SYMBOLON_PING_INTERVAL", value_name = "TIME", default_value = "25s", value_parser = duration)]
    ping_interval: Duration,
    /// Silence after which a client counts as dead.
    #[arg(long, env = "SYMBOLON_DEAD_AFTER", value_name = "TIME", default_value = "60s", value_parser = duration)]
    dead_after: Duration,
    /// Time in no room after which a client is closed.
    #[arg(long, env = "SYMBOLON_IDLE_AFTER", value_name = "TIME", default_value = "5m", value_parser = duration)]
    idle_after: Duration,
    /// Serve no page: only a line of text at `/`.
    #[arg(long, env = "SYMBOLON_NO_PAGE")]
    no_page: bool,
    /// Do not let the addresses of clients that break the protocol wait; for tests and benchmarks.
    #[arg(long, env = "SYMBOLON_NO_BANS")]
    no_bans: bool,
    /// What to log on stderr: error, warn, info, debug, trace, or a filter such as `symbolon_server=debug`.
    #[arg(long, env = "SYMBOLON_LOG", value_name = "FILTER", default_value = "info")]
    log: EnvFilter,
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = Arguments::parse();
    let log = std::mem::take(&mut arguments.log);
    tracing_subscriber::fmt().with_env_filter(log).with_writer(std::io::stderr).init();
    match serve(arguments.into()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(config: Config) -> Result<(), Box<dyn std::error::Error>> {
    let unreachable = config.origins.is_empty() && config.listen.ip().is_unspecified();
    if unreachable {
        tracing::warn!("clients cannot sign in at {}; name what they dial with --origin", config.listen);
    }
    let page = config.page;
    let stop = stop_signal()?;
    let server = Server::bind(config).await?;
    // Programs that start a server read this line to learn the port.
    writeln!(std::io::stdout(), "listening on ws://{}", server.local_addr())?;
    if page && symbolon_page::BUILT {
        tracing::info!("the page is at http://{}/", server.local_addr());
    } else if page {
        tracing::warn!("this program was built without the page; `cargo xtask web` makes it");
    }
    tracing::info!("ready");
    stop.await;
    tracing::info!("stopping");
    server.shutdown().await?;
    tracing::info!("stopped");
    Ok(())
}

/// Resolves at SIGINT or SIGTERM.
#[cfg(unix)]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Resolves at Ctrl-C.
#[cfg(not(unix))]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}

impl From<Arguments> for Config {
    fn from(arguments: Arguments) -> Self {
        let ice_server =
            |url| IceServer { urls: vec![url], username: String::new(), credential: String::new() };
        Self {
            listen: arguments.listen,
            origins: arguments.origins,
            key: key_source(arguments.key_file),
            ice_servers: arguments.ice_servers.into_iter().map(ice_server).collect(),
            limits: Limits {
                message: arguments.message_bytes,
                rooms: arguments.rooms_per_client,
                clients_per_room: arguments.clients_per_room,
            },
            messages: Rate {
                per_second: arguments.message_rate,
                burst: arguments.message_rate.saturating_mul(10),
            },
            bytes: Rate { per_second: arguments.byte_rate, burst: arguments.byte_rate.saturating_mul(8) },
            connections: arguments.connections,
            connections_per_address: arguments.connections_per_address,
            outbox_bytes: arguments.outbox_bytes,
            buffer_bytes: arguments.buffer_bytes,
            ping_every: arguments.ping_interval,
            dead_after: arguments.dead_after,
            idle_after: arguments.idle_after,
            bans: !arguments.no_bans,
            page: !arguments.no_page,
            ..Self::default()
        }
    }
}

fn key_source(path: Option<PathBuf>) -> KeySource {
    let from = |variable| std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    match path {
        Some(path) if path.as_os_str() == "none" => KeySource::Ephemeral,
        Some(path) => KeySource::File(path),
        None => {
            let state = from("XDG_STATE_HOME").or_else(|| Some(from("HOME")?.join(".local/state")));
            KeySource::File(state.unwrap_or_default().join("symbolon-server/key"))
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| "a time is a number and ms, s, m or h, such as 25s")?;
    let ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("a time ends in ms, s, m or h, such as 25s".into()),
    };
    if number == 0 {
        return Err("a time is longer than nothing".into());
    }
    Ok(Duration::from_millis(number.saturating_mul(ms)))
}
