//! What an operator says about the bus.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::nats;

/// How servers that act as one find each other. Without an address there is no cluster.
#[derive(Debug, Clone)]
pub struct ClusterConfig {
    /// The NATS servers.
    pub nats: Vec<NatsUrl>,
    /// The cluster's name: the first part of every subject.
    pub name: String,
    /// A credentials file of NATS.
    pub credentials: Option<PathBuf>,
    /// Whom to trust for TLS, as PEM; the system's authorities if nothing is said.
    pub ca: Option<PathBuf>,
    /// The certificate to show, as PEM.
    pub certificate: Option<PathBuf>,
    /// Its key, as PEM.
    pub certificate_key: Option<PathBuf>,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            nats: Vec::new(),
            name: "symbolon".to_owned(),
            credentials: None,
            ca: None,
            certificate: None,
            certificate_key: None,
        }
    }
}

/// The address of a NATS server: `nats://` or `tls://`, and perhaps who to be there. What it shows is the place only.
#[derive(Clone, PartialEq, Eq)]
pub struct NatsUrl(String);

impl NatsUrl {
    /// All of it, secrets included.
    pub fn secret_text(&self) -> &str {
        &self.0
    }
}

impl FromStr for NatsUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // What is wrong is not quoted: there may be a password in it.
        nats::place(text).map(|_| Self(text.to_owned())).ok_or_else(|| {
            "this is no address of a NATS server; write nats://HOST:4222 or tls://HOST:4222".to_owned()
        })
    }
}

impl fmt::Display for NatsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&nats::place(&self.0).unwrap_or_default())
    }
}

impl fmt::Debug for NatsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NatsUrl({self})")
    }
}

/// Whether a text can be a cluster's name: a part of a subject.
pub fn is_name(text: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    !text.is_empty() && text.len() <= 64 && text.chars().all(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rv8_the_address_of_the_bus_shows_no_secret() {
        let url: NatsUrl = "nats://anna:s3cr%20et@bus.example.org".parse().unwrap();
        assert_eq!(
            format!("{url} {url:?}"),
            "nats://bus.example.org:4222 NatsUrl(nats://bus.example.org:4222)"
        );
        for wrong in ["", "http://s3cret@host", "nats://", "ws://s3cret@host", "nats://s3cret@ho st"] {
            let error = wrong.parse::<NatsUrl>().unwrap_err();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn rv8_a_cluster_name_is_one_part_of_a_subject() {
        assert!(is_name("symbolon") && is_name("Rooms_2-a"));
        for wrong in ["", "a.b", "*", ">", "a b", "ä", &"x".repeat(65)] {
            assert!(!is_name(wrong), "{wrong}");
        }
    }
}
