//! The certificate: read, watched, and replaced while connections stay up.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, ServerConfig};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config::TlsFiles;

/// How often the files are looked at. Two `stat`s; no way of watching sees all the ways in which certificates are put in
/// place (renames, links to folders that are swapped, network volumes).
const WATCH_EVERY: Duration = Duration::from_secs(2);

/// How long one that did not speak TLS may take to read that it should.
const LINGER: Duration = Duration::from_secs(1);

const NOT_TLS: &str = "this port speaks TLS; use https:// or wss://\n";

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Only one of the two files is named.
    #[error(
        "a certificate needs its key, and a key its certificate: set both `tls.certificate` and `tls.key`"
    )]
    Half,
    /// A running server cannot begin to speak TLS, or cease to.
    #[error("TLS is switched on and off by a restart")]
    Switch,
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is there and is not what it should be.
    #[error("{path} holds no {what} in PEM")]
    Pem {
        /// The file.
        path: PathBuf,
        /// A certificate, or a key.
        what: &'static str,
    },
    /// They do not work together.
    #[error("the certificate in {path} and its key do not work: {source}")]
    Pair {
        /// The certificate's file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

/// TLS for one listener.
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    certificate: Arc<Certificate>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

/// The certificate shown to the next who connects.
#[derive(Debug)]
struct Certificate {
    files: Mutex<Files>,
    shown: RwLock<Arc<CertifiedKey>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    /// What was there when they were last read; nothing if they could not be looked at.
    seen: Option<[Look; 2]>,
}

/// Enough of a file to tell that another one is in its place.
type Look = (u64, SystemTime, u64);

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.shown.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// Both files, if TLS is wanted.
pub(crate) fn wanted(files: &TlsFiles) -> Result<Option<(PathBuf, PathBuf)>, TlsError> {
    match (&files.certificate, &files.key) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => Ok(Some((certificate.clone(), key.clone()))),
        _ => Err(TlsError::Half),
    }
}

/// Whether the files can be used.
pub fn check(files: &TlsFiles) -> Result<(), TlsError> {
    match wanted(files)? {
        Some((certificate, key)) => load(&certificate, &key).map(drop),
        None => Ok(()),
    }
}

fn load(certificate: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let read =
        |path: &Path| std::fs::read(path).map_err(|source| TlsError::File { path: path.to_owned(), source });
    let no = |path: &Path, what| TlsError::Pem { path: path.to_owned(), what };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(certificate)?).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(|| no(certificate, "certificate"))?;
    let secret = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|_| no(key, "private key"))?;
    CertifiedKey::from_der(chain, secret, &rustls::crypto::ring::default_provider())
        .map_err(|source| TlsError::Pair { path: certificate.to_owned(), source })
}

impl Tls {
    /// Reads the certificate, if one is wanted.
    pub(crate) fn new(files: &TlsFiles) -> Result<Option<Self>, TlsError> {
        let Some((certificate, key)) = wanted(files)? else { return Ok(None) };
        let files = Files { seen: look(&certificate, &key), certificate, key };
        let shown = RwLock::new(Arc::new(load(&files.certificate, &files.key)?));
        let certificate = Arc::new(Certificate { files: Mutex::new(files), shown });
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|source| TlsError::Pair { path: PathBuf::new(), source })?;
        let mut config = builder
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&certificate) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Some(Self { acceptor: TlsAcceptor::from(Arc::new(config)), certificate }))
    }

    /// For what is not HTTP; shows the same certificate, also when it is replaced.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }

    /// Looks at the files for ever; dropped with the server.
    pub(crate) fn watch(&self) -> impl Future<Output = ()> + Send + 'static {
        let certificate = Arc::clone(&self.certificate);
        async move {
            loop {
                tokio::time::sleep(WATCH_EVERY).await;
                let certificate = Arc::clone(&certificate);
                let _ = tokio::task::spawn_blocking(move || certificate.refresh(None)).await;
            }
        }
    }

    /// Reads the files, which may be others than before, at once.
    pub(crate) fn reload(&self, files: (PathBuf, PathBuf)) -> Result<(), TlsError> {
        self.certificate.refresh(Some(files))
    }

    /// The handshake; nothing if the other end does not speak TLS.
    pub(crate) async fn accept(&self, mut stream: TcpStream) -> io::Result<Option<TlsStream<TcpStream>>> {
        // A TLS record begins with a small number, a request with a letter.
        let mut first = [0];
        if stream.peek(&mut first).await? == 1 && first[0].is_ascii_alphabetic() {
            let _ = tokio::time::timeout(LINGER, explain(&mut stream)).await;
            return Ok(None);
        }
        self.acceptor.accept(stream).await.map(Some)
    }
}

/// Answers an HTTP request that came without TLS, and waits until the answer is read: unread input resets the connection
/// and what was written with it.
async fn explain(stream: &mut TcpStream) -> io::Result<()> {
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{NOT_TLS}",
        NOT_TLS.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

impl Certificate {
    /// Reads the files again if they have changed or if somebody asks; what cannot be used changes nothing.
    fn refresh(&self, asked: Option<(PathBuf, PathBuf)>) -> Result<(), TlsError> {
        let (files, told) = {
            let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
            let told = asked.is_some();
            if let Some((certificate, key)) = asked {
                (files.certificate, files.key) = (certificate, key);
            }
            let now = look(&files.certificate, &files.key);
            if !told && (now.is_none() || now == files.seen) {
                return Ok(());
            }
            // Before they are read: what is written while they are read shows the next time.
            files.seen = now;
            (files.clone(), told)
        };
        match load(&files.certificate, &files.key) {
            Ok(new) => {
                let mut shown = self.shown.write().unwrap_or_else(PoisonError::into_inner);
                if shown.cert != new.cert {
                    *shown = Arc::new(new);
                    tracing::info!("new connections are shown the new certificate");
                }
                Ok(())
            }
            Err(error) => {
                tracing::error!("the old certificate stays: {error}");
                if told { Err(error) } else { Ok(()) }
            }
        }
    }
}

fn look(certificate: &Path, key: &Path) -> Option<[Look; 2]> {
    let one = |path: &Path| {
        // Follows links, which is what is swapped.
        let metadata = std::fs::metadata(path).ok()?;
        Some((number(&metadata), metadata.modified().ok()?, metadata.len()))
    };
    Some([one(certificate)?, one(key)?])
}

#[cfg(unix)]
fn number(metadata: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn number(_: &std::fs::Metadata) -> u64 {
    0
}
