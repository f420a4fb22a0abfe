//! Where a home directory is, and where its agent's socket is.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tokio::net::UnixListener;

use crate::failure::Failure;

/// The longest path a Unix socket can have: `sun_path` less the zero at its end.
const MAX_SOCKET_PATH: usize = 107;

/// A home directory, by its absolute path.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    dir: PathBuf,
    named: bool,
}

impl Home {
    /// The named directory, or the user's own.
    pub(crate) fn find(named: Option<PathBuf>) -> Result<Self, Failure> {
        let from = |variable| std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
        // What the environment names, commands need not name again.
        let is_named = named.is_some()
            && named.as_deref().map(Path::as_os_str) != std::env::var_os("SYMBOLON_HOME").as_deref();
        let dir = named
            .filter(|dir| !dir.as_os_str().is_empty())
            .or_else(|| from("XDG_DATA_HOME").filter(|dir| dir.is_absolute()).map(|dir| dir.join("symbolon")))
            .or_else(|| from("HOME").map(|dir| dir.join(".local/share/symbolon")))
            .ok_or_else(|| Failure::new("home", "there is no home directory to keep things in"))?;
        let dir = std::path::absolute(&dir).map_err(|error| Failure::path("home", &dir, &error))?;
        Ok(Self { dir, named: is_named })
    }

    /// The directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The directory, if it was named and is not just the user's own.
    pub(crate) fn named(&self) -> Option<&Path> {
        self.named.then_some(&self.dir)
    }

    /// What the agent writes to its standard error.
    pub(crate) fn log(&self) -> PathBuf {
        self.dir.join("agent.log")
    }

    /// Makes the directory, for its owner alone, if it is missing.
    pub(crate) fn make(&self) -> Result<(), Failure> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.dir);
        made.map_err(|error| Failure::path("home", &self.dir, &error))
    }

    /// Connects to the agent; `None` if there is none.
    pub(crate) fn connect(&self) -> Result<Option<UnixStream>, Failure> {
        for path in self.socket_paths() {
            match UnixStream::connect(&path) {
                Ok(stream) => return Ok(Some(stream)),
                Err(error) => match error.kind() {
                    io::ErrorKind::NotFound
                    | io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::NotADirectory => {}
                    _ => return Err(Failure::path("agent", &path, &error)),
                },
            }
        }
        Ok(None)
    }

    /// Listens on the socket, in place of one that is there.
    pub(super) fn listen(&self) -> Result<UnixListener, Failure> {
        let path = self.socket();
        let fails = |error: io::Error| Failure::path("agent", &path, &error);
        if let Some(dir) = path.parent().filter(|dir| *dir != self.dir) {
            private_dir(dir)?;
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fails(error)),
            _ => {}
        }
        let listener = UnixListener::bind(&path).map_err(fails)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(fails)?;
        Ok(listener)
    }

    /// Removes the socket. Only for the agent, while it has the store.
    pub(super) fn remove_socket(&self) {
        let _ = fs::remove_file(self.socket());
    }

    /// Where the agent listens.
    pub(crate) fn socket(&self) -> PathBuf {
        let mut paths = self.socket_paths();
        paths.swap_remove(0)
    }

    /// Where an agent may listen: in the home directory, or, if that makes too long a path, in a directory for such
    /// things. The agent may have been started where the environment named another one.
    fn socket_paths(&self) -> Vec<PathBuf> {
        let path = self.dir.join("agent.sock");
        if path.as_os_str().len() <= MAX_SOCKET_PATH {
            return vec![path];
        }
        // Two spellings of one directory are to lead to one agent.
        let dir = self.dir.canonicalize().unwrap_or_else(|_| self.dir.clone());
        let hash = Sha256::digest(dir.as_os_str().as_bytes());
        let name = format!("{}.sock", super::hex(&hash[..16]));
        let user = rustix::process::getuid().as_raw();
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_absolute());
        let mut paths: Vec<PathBuf> = runtime
            .into_iter()
            .map(|dir| dir.join("symbolon"))
            .chain([
                PathBuf::from(format!("/tmp/symbolon-{user}")),
                format!("/run/user/{user}/symbolon").into(),
            ])
            .map(|dir| dir.join(&name))
            .filter(|path| path.as_os_str().len() <= MAX_SOCKET_PATH)
            .collect();
        paths.dedup();
        paths
    }
}

/// Makes a directory for its owner alone. In `/tmp` somebody else may have been first.
fn private_dir(dir: &Path) -> Result<(), Failure> {
    let fails = |error: io::Error| Failure::path("agent", dir, &error);
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(fails(error)),
        _ => {}
    }
    let found = fs::symlink_metadata(dir).map_err(fails)?;
    if !found.is_dir() || found.uid() != rustix::process::getuid().as_raw() || found.mode() & 0o077 != 0 {
        let message = format!(
            "{} is not a directory for you alone; remove it, or set XDG_RUNTIME_DIR, or use a home directory with a \
             shorter path",
            dir.display()
        );
        return Err(Failure::new("agent", message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_home_has_its_socket_elsewhere() {
        let short = Home { dir: "/tmp/a".into(), named: true };
        assert_eq!(short.socket(), Path::new("/tmp/a/agent.sock"));
        let long = Home { dir: format!("/tmp/{}", "a".repeat(120)).into(), named: true };
        let other = Home { dir: format!("/tmp/{}", "b".repeat(120)).into(), named: true };
        assert!(long.socket_paths().iter().all(|path| path.as_os_str().len() <= MAX_SOCKET_PATH));
        assert_ne!(long.socket(), other.socket());
    }

    #[test]
    fn a_directory_that_others_can_use_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let (open, link) = (dir.path().join("open"), dir.path().join("link"));
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(private_dir(&open).is_err());
        std::os::unix::fs::symlink(dir.path(), &link).unwrap();
        assert!(private_dir(&link).is_err());
        assert!(private_dir(&dir.path().join("new")).is_ok());
        assert!(private_dir(&dir.path().join("new")).is_ok(), "its own is used again");
    }
}
