//! `symbolon-server health`: asks a running server whether it serves.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use symbolon_core::origin::Origin;
use symbolon_server::options::Given;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// From the first packet to the last byte of the answer.
const WITHIN: Duration = Duration::from_secs(5);

/// More than that is no answer to this question.
const MOST_BYTES: u64 = 4096;

/// Asks the server at `url`, or the one that the configuration describes.
pub(crate) async fn ask(url: Option<String>, given: &Given) -> Result<(), String> {
    let origin = match url {
        Some(url) => url.parse().map_err(|error| format!("{url}: {error}"))?,
        None => own(given)?,
    };
    match tokio::time::timeout(WITHIN, dial(&origin)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("the server at {origin} is not well: {error}")),
        Err(_) => Err(format!("the server at {origin} does not answer within {} s", WITHIN.as_secs())),
    }
}

/// Where the configured server listens, as seen from its own machine.
fn own(given: &Given) -> Result<Origin, String> {
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
    let scheme = if settings.config.tls.certificate.is_some() { "wss" } else { "ws" };
    format!("{scheme}://{}", SocketAddr::new(ip, address.port())).parse().map_err(|error| format!("{error}"))
}

async fn dial(origin: &Origin) -> Result<(), String> {
    let host = origin.host();
    let ask = async {
        let stream = TcpStream::connect((host, origin.port())).await?;
        if !origin.secure() {
            return get(stream, host).await;
        }
        let name = ServerName::try_from(host.to_owned()).map_err(std::io::Error::other)?;
        get(TlsConnector::from(Arc::new(anybody()?)).connect(name, stream).await?, host).await
    };
    ask.await.map_err(|error| error.to_string())?
}

/// TLS with whoever answers: the question is whether somebody serves, and nothing is said that is secret. A server asked
/// at its loopback address has no certificate for that.
fn anybody() -> std::io::Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Anybody(provider.signature_verification_algorithms);
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(std::io::Error::other)?;
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
}

#[derive(Debug)]
struct Anybody(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
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
