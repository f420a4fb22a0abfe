//! `symbolon-server health`: asks a running server whether it serves.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use symbolon_core::origin::Origin;
use symbolon_server::options::Given;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// From the first packet to the last byte of the answer.
const WITHIN: Duration = Duration::from_secs(5);

/// More than that is no answer to this question.
const MOST_BYTES: u64 = 4096;

/// Asks the server at `url`, or the one that the configuration describes.
pub(crate) async fn ask(url: Option<String>, given: &Given) -> Result<(), String> {
    let place = match url {
        Some(url) => {
            let origin: Origin = url.parse().map_err(|error| format!("{url}: {error}"))?;
            (origin.host().to_owned(), origin.port())
        }
        None => own(given)?,
    };
    let asked = format!("{}:{}", place.0, place.1);
    match tokio::time::timeout(WITHIN, dial(place)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("the server at {asked} is not well: {error}")),
        Err(_) => Err(format!("the server at {asked} does not answer within {} s", WITHIN.as_secs())),
    }
}

/// Where the configured server listens, as seen from its own machine.
fn own(given: &Given) -> Result<(String, u16), String> {
    let settings = given.load().map_err(|wrong| wrong.join("\n"))?.settings;
    let address = settings.config.listen;
    if address.port() == 0 {
        return Err("the configuration leaves the port to the system; say which server to ask".to_owned());
    }
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    Ok((ip.to_string(), address.port()))
}

async fn dial((host, port): (String, u16)) -> Result<(), String> {
    let stream = TcpStream::connect((host.as_str(), port)).await.map_err(|error| error.to_string())?;
    get(stream, &host).await.map_err(|error| error.to_string())?
}

async fn get(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    host: &str,
) -> std::io::Result<Result<(), String>> {
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MOST_BYTES).read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.lines().next().unwrap_or_default();
    Ok(if status.starts_with("HTTP/1.1 200 ") { Ok(()) } else { Err(format!("it says {status:?}")) })
}
