//! The server's Ed25519 key and the file it is kept in: 43 characters of base64url and a line feed, mode 0600.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use symbolon_core::crypto::keys::SignKey;

/// Where a server's key comes from. Clients remember it and refuse a server whose key has changed.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// A new one at every start.
    Ephemeral,
    /// The caller's.
    Given(SignKey),
    /// A file, made if it is missing.
    File(PathBuf),
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file is there and is not a key.
    #[error("{0} is not a key file; restore it from a backup, or move it away to get a new key")]
    NotAKey(PathBuf),
    /// The file cannot be read or made.
    #[error("cannot use the key file {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl KeySource {
    /// The key; reads or makes the file if that is where it is.
    pub fn load(&self) -> Result<SignKey, KeyError> {
        match self {
            Self::Ephemeral => Ok(SignKey::from_secret(&rand::random())),
            Self::Given(key) => Ok(key.clone()),
            Self::File(path) => {
                load_or_make(path).map_err(|source| KeyError::File { path: path.clone(), source })?
            }
        }
    }
}

fn load_or_make(path: &Path) -> std::io::Result<Result<SignKey, KeyError>> {
    if !path.try_exists()? {
        make(path)?;
    }
    warn_if_others_can_read(path)?;
    let text = std::fs::read_to_string(path)?;
    let mut secret = [0; 32];
    Ok(match URL_SAFE_NO_PAD.decode_slice(text.trim_end(), &mut secret) {
        Ok(32) => Ok(SignKey::from_secret(&secret)),
        _ => Err(KeyError::NotAKey(path.to_owned())),
    })
}

/// Writes a new key beside `path` and links it there: the file is never half written, and of two servers that start at
/// once the second takes the first one's key.
fn make(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    writeln!(file, "{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()))?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => std::fs::File::open(folder)?.sync_all(),
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.error),
    }
}

#[cfg(unix)]
fn warn_if_others_can_read(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    if std::fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
        tracing::warn!("others can read the key file {}; run: chmod 600 on it", path.display());
    }
    Ok(())
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps)]
fn warn_if_others_can_read(_: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rv3_the_key_survives_a_restart_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/key");
        let load = || KeySource::File(path.clone()).load().unwrap().server();
        let first = load();
        assert_eq!(load(), first);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left behind");
    }

    #[test]
    fn rv3_a_broken_key_file_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "precious").unwrap();
        assert!(matches!(KeySource::File(path.clone()).load(), Err(KeyError::NotAKey(_))));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn rv3_servers_that_start_at_once_agree_on_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let keys: Vec<_> = std::thread::scope(|scope| {
            let load = || KeySource::File(path.clone()).load().unwrap().server();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(load)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
    }
}
