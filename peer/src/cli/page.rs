//! `symbolon page`: the page, served from this program to browsers on this machine.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use http::header::HOST;
use http::uri::Authority;
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use symbolon::Origin;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;

use super::Context;
use super::client::Client;
use crate::failure::Failure;

/// Beside the server's 7600. Always the same, since a browser keeps what a page stores by the page's address.
const PORT: u16 = 7601;

/// Connections at a time; a browser opens six.
const CONNECTIONS: usize = 64;

/// From the connection, or from the last answer, to the end of the next request's head.
const HEAD_WITHIN: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(crate) struct Page {
    /// Address of this machine and port; port 0 lets the system choose.
    #[arg(long, value_name = "ADDRESS", default_value_t = (Ipv4Addr::LOCALHOST, PORT).into(), value_parser = loopback)]
    listen: SocketAddr,
    /// A server that the page suggests for new rooms; repeat the option or separate them by commas.
    /// [default: the server that you host and those of your rooms, if the agent is up]
    #[arg(long = "server", env = "SYMBOLON_SERVER", value_name = "URL", value_delimiter = ',')]
    servers: Vec<Origin>,
    /// Open the page in the browser.
    #[arg(long)]
    open: bool,
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}").parse(),
        None => text.parse::<SocketAddr>(),
    };
    let address = address.map_err(|_| "an address has a port, such as 127.0.0.1:7601 or [::1]:7601")?;
    if address.ip().is_loopback() {
        return Ok(address);
    }
    Err("the page is for this machine alone, so only addresses such as 127.0.0.1 and ::1 will do; \
         symbolon-server serves it to others"
        .into())
}

/// `symbolon page`
pub(super) fn page(context: &Context, given: Page) -> Result<(), Failure> {
    let servers = if given.servers.is_empty() {
        known_servers(context)
    } else {
        given.servers.iter().map(|server| Value::from(server.to_string())).collect()
    };
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new("io", format!("the page cannot be served: {error}")))?
        .block_on(serve(context, &given, servers))
}

/// The server that is hosted here, then those of this home's rooms in the rooms' order, as far as the agent can be asked.
fn known_servers(context: &Context) -> Vec<Value> {
    // Nothing of the page needs the agent: without it, there is merely nothing to suggest.
    let asked = Client::connect(&context.home).and_then(|agent| {
        let Some(mut agent) = agent else { return Ok(Vec::new()) };
        let mut has_servers = vec![agent.hello["serving"].take()];
        if let Value::Array(rooms) = agent.call("rooms", &json!({}))? {
            has_servers.extend(rooms);
        }
        Ok(has_servers)
    });
    let asked = asked.unwrap_or_else(|failure| {
        tracing::debug!("no servers to suggest: {}", failure.message);
        Vec::new()
    });
    let mut servers = Vec::new();
    for one in &asked {
        for server in one["servers"].as_array().into_iter().flatten() {
            if !servers.contains(server) {
                servers.push(server.clone());
            }
        }
    }
    servers
}

async fn serve(context: &Context, given: &Page, servers: Vec<Value>) -> Result<(), Failure> {
    let cannot = |error: io::Error| {
        let message = format!("the page cannot be served at {}: {error}", given.listen);
        Failure::new("listen", message)
    };
    // Before anybody is told that the page is there, so that no signal is missed.
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    let listener = TcpListener::bind(given.listen).await.map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    let url = format!("http://{address}/");
    let config = json!({ "servers": servers });

    let mut words = format!("The page is at {url} for browsers on this machine. Ctrl-C ends it.");
    if !symbolon_page::BUILT {
        words += "\nThis program was built without it, though: `cargo xtask web` makes the page, then build again.";
    }
    context.out.tell(&json!({ "url": url, "servers": config["servers"] }), &words);
    if given.open {
        open(url);
    }
    tokio::select! {
        () = accept(listener, address.port(), config.to_string().into()) => {}
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

async fn accept(listener: TcpListener, port: u16, config: Arc<str>) {
    let seats = Arc::new(Semaphore::new(CONNECTIONS));
    // The semaphore is never closed.
    while let Ok(seat) = Arc::clone(&seats).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let config = Arc::clone(&config);
                tokio::spawn(async move {
                    answer(stream, port, config).await;
                    drop(seat);
                });
            }
            Err(error) => {
                // Out of file descriptors, most likely; it passes when a connection ends.
                tracing::warn!("a connection was not accepted: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn answer(stream: TcpStream, port: u16, config: Arc<str>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let config = Arc::clone(&config);
        async move { Ok::<_, std::convert::Infallible>(respond(&request, port, &config)) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!("a browser's connection broke: {error}");
    }
}

fn respond(request: &Request<Incoming>, port: u16, config: &str) -> Response<Full<Bytes>> {
    if !is_for_us(request.uri(), request.headers(), port) {
        let words = "The page is served to this machine alone. Open it at the address that `symbolon page` printed.\n";
        return symbolon_page::say(StatusCode::MISDIRECTED_REQUEST, words).map(Full::new);
    }
    symbolon_page::respond(request, config).map(Full::new)
}

/// Whether the browser knows that it talks to this machine. A stranger's name that was made to lead here (DNS
/// rebinding) would let the stranger's page read ours.
fn is_for_us(uri: &Uri, headers: &HeaderMap, port: u16) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let Some(host) = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok()) else { return false };
    is_here(&host, port) && uri.authority().is_none_or(|authority| is_here(authority, port))
}

fn is_here(authority: &Authority, port: u16) -> bool {
    let host = authority.host();
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let here = host.eq_ignore_ascii_case("localhost")
        || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    here && !authority.as_str().contains('@') && authority.port_u16().unwrap_or(80) == port
}

/// Hands the address to the desktop.
fn open(url: String) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    // It may stay as long as the browser does.
    std::thread::spawn(move || {
        let quiet = Command::new(program)
            .arg(url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if !quiet.is_ok_and(|status| status.success()) {
            eprintln!("No browser could be opened with {program}; open the address yourself.");
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn cl5_only_addresses_of_this_machine_are_listened_on() {
        for (text, address) in [
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("127.9.9.9:80", "127.9.9.9:80"),
            ("[::1]:7601", "[::1]:7601"),
            ("localhost:7601", "127.0.0.1:7601"),
        ] {
            assert_eq!(loopback(text), Ok(address.parse().unwrap()));
        }
        for text in ["0.0.0.0:7601", "[::]:7601", "192.168.0.7:80", "8.8.8.8:53", "[fe80::1]:80"] {
            assert!(loopback(text).unwrap_err().contains("this machine alone"), "{text}");
        }
        for text in ["", "7601", ":7601", "127.0.0.1", "example.org:80", "localhost", "localhost:x"] {
            assert!(loopback(text).unwrap_err().contains("has a port"), "{text}");
        }
    }

    #[test]
    fn cl5_a_name_that_was_made_to_lead_here_is_refused() {
        let asked = |uri: &str, hosts: &[&str]| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(HOST, HeaderValue::from_str(host).unwrap());
            }
            is_for_us(&uri.parse().unwrap(), &headers, 7601)
        };
        for host in ["127.0.0.1:7601", "localhost:7601", "LOCALHOST:7601", "[::1]:7601", "127.0.0.2:7601"] {
            assert!(asked("/", &[host]), "{host}");
        }
        for host in [
            "",
            "evil.example:7601",
            "evil.example",
            "localhost.evil.example:7601",
            "evil.localhost:7601",
            "localhost.:7601",
            "127.0.0.1",
            "127.0.0.1:80",
            "127.0.0.1:76010",
            "127.0.0.1.evil.example:7601",
            "127.0.0.1@evil.example:7601",
            "evil@127.0.0.1:7601",
            "192.168.0.7:7601",
            "0.0.0.0:7601",
            "[::]:7601",
            "[::ffff:127.0.0.1]:7601",
        ] {
            assert!(!asked("/", &[host]), "{host}");
        }
        assert!(!asked("/", &[]));
        assert!(!asked("/", &["127.0.0.1:7601", "evil.example:7601"]));
        assert!(asked("http://127.0.0.1:7601/", &["127.0.0.1:7601"]));
        assert!(!asked("http://evil.example/", &["127.0.0.1:7601"]));
        // Where browsers leave the port out.
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("localhost"));
        assert!(is_for_us(&"/".parse().unwrap(), &headers, 80));
    }
}
