//! A home directory: the device's seed, its names, and one transactional store (PROTOCOL §9).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use symbolon_core::id::RoomId;
use symbolon_core::node::room_prefix;
use symbolon_core::record::MAX_NAME;

use crate::error::OpenError;
use crate::trial::Trial;

const ENTRIES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("entries");

/// What redb keeps of the file in memory, in bytes. An agent holds its rooms in memory anyway.
const CACHE: usize = 4 * 1024 * 1024;

/// Names shown to other members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Profile {
    pub(crate) user: String,
    pub(crate) device: String,
}

/// An open home directory. Nobody else can open it until this is dropped.
pub(crate) struct Home {
    pub(crate) seed: [u8; 32],
    pub(crate) profile: Profile,
    pub(crate) store: Store,
    _lock: File,
}

/// Changes to be stored together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Write {
    Put(Vec<u8>, Vec<u8>),
    Forget(RoomId),
}

/// The store; cheap to clone. Its file is as it was until the first [`Store::commit`].
#[derive(Clone)]
pub(crate) struct Store {
    database: Arc<Database>,
    file: Trial,
}

impl Home {
    /// Opens a home, and makes it, readable by its owner alone, if there is none.
    pub(crate) fn open(path: &Path, user: Option<&str>, device: Option<&str>) -> Result<Self, OpenError> {
        let at = |file: &Path| {
            let path = file.to_owned();
            move |error| OpenError::Io { path, error }
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(at(path))?;
        let lock_path = path.join("lock");
        let lock = private(&lock_path).truncate(false).open(&lock_path).map_err(at(&lock_path))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(OpenError::InUse(path.to_owned())),
            Err(error) => return Err(at(&lock_path)(error.into())),
        }
        let seed = seed(&path.join("seed"))?;
        let profile = profile(&path.join("profile.json"), user, device)?;
        let store = Store::open(&path.join("store.redb"))?;
        Ok(Self { seed, profile, store, _lock: lock })
    }
}

fn private(_: &Path) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).read(true).write(true).mode(0o600);
    options
}

fn seed(path: &Path) -> Result<[u8; 32], OpenError> {
    let io = |error| OpenError::Io { path: path.to_owned(), error };
    match fs::read(path) {
        Ok(bytes) => {
            let seed: Result<[u8; 32], _> = bytes.try_into();
            seed.map_err(|bytes| OpenError::Damaged {
                path: path.to_owned(),
                what: format!("a seed has 32 bytes, this has {}", bytes.len()),
            })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let seed: [u8; 32] = rand::random();
            write_atomically(path, &seed).map_err(io)?;
            Ok(seed)
        }
        Err(error) => Err(io(error)),
    }
}

fn profile(path: &Path, user: Option<&str>, device: Option<&str>) -> Result<Profile, OpenError> {
    let io = |error| OpenError::Io { path: path.to_owned(), error };
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map_err(|error| OpenError::Damaged { path: path.to_owned(), what: error.to_string() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let profile = Profile {
                user: user.map_or_else(own_user, str::to_owned),
                device: device.map_or_else(own_host, str::to_owned),
            };
            for name in [&profile.user, &profile.device] {
                if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
                    return Err(OpenError::Name(format!(
                        "a name has 1 to {MAX_NAME} bytes and no control characters"
                    )));
                }
            }
            let json = serde_json::to_vec_pretty(&profile).map_err(|error| io(error.into()))?;
            write_atomically(path, &json).map_err(io)?;
            Ok(profile)
        }
        Err(error) => Err(io(error)),
    }
}

fn own_user() -> String {
    let named = |name: &str| std::env::var(name).ok().filter(|user| !user.is_empty());
    shortened(named("USER").or_else(|| named("LOGNAME")).unwrap_or_else(|| "somebody".to_owned()))
}

fn own_host() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    shortened(if host.is_empty() { "computer".to_owned() } else { host })
}

fn shortened(name: String) -> String {
    let name: String = name.chars().filter(|c| !c.is_control()).take(24).collect();
    if name.is_empty() { "somebody".to_owned() } else { name }
}

/// Writes a file of mode 0600 that is there whole or not at all.
fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let mut file = private(&new).truncate(true).open(&new)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    if let Some(parent) = path.parent() {
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

impl Store {
    fn open(path: &Path) -> Result<Self, OpenError> {
        let damaged = |what: String| OpenError::Damaged { path: path.to_owned(), what };
        let io = |error| OpenError::Io { path: path.to_owned(), error };
        let file = private(path).truncate(false).open(path).map_err(io)?;
        check_readable(&file).map_err(io)?;
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE);
        let fresh = file.metadata().map_err(io)?.len() == 0;
        let file = Trial::new(file);
        // redb repairs what a crash left behind; what it cannot read it reports, and may assert on, which must not
        // take the process down. It trusts a file that was closed properly, so that is checked as well.
        let open = || {
            let mut database = builder.create_with_backend(file.clone())?;
            let sound = fresh || database.check_integrity()?;
            Ok(sound.then_some(database))
        };
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(open)) {
            Ok(Ok(Some(database))) => Ok(Self { database: Arc::new(database), file }),
            Ok(Ok(None)) => Err(damaged("its check sums do not fit".to_owned())),
            Ok(Err(redb::DatabaseError::DatabaseAlreadyOpen)) => Err(OpenError::InUse(path.to_owned())),
            Ok(Err(redb::DatabaseError::Storage(redb::StorageError::Io(error))))
                if error.kind() != io::ErrorKind::InvalidData
                    && error.kind() != io::ErrorKind::UnexpectedEof =>
            {
                Err(io(error))
            }
            Ok(Err(error)) => Err(damaged(error.to_string())),
            Err(_) => Err(damaged("it cannot be read".to_owned())),
        }
    }

    /// All entries, in the order of their keys.
    pub(crate) fn load(&self) -> Result<Vec<(Vec<u8>, Vec<u8>)>, redb::Error> {
        let read = self.database.begin_read()?;
        let table = match read.open_table(ENTRIES) {
            Ok(table) => table,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut out = Vec::new();
        for entry in table.iter()? {
            let (key, value) = entry?;
            out.push((key.value().to_vec(), value.value().to_vec()));
        }
        Ok(out)
    }

    /// Stores all of the writes or none; they are on the disk when this returns.
    pub(crate) fn commit(&self, writes: &[Write]) -> Result<(), redb::Error> {
        self.file.approve()?;
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(ENTRIES)?;
            for write in writes {
                match write {
                    Write::Put(key, value) => {
                        table.insert(&key[..], &value[..])?;
                    }
                    Write::Forget(room) => {
                        let prefix = room_prefix(room);
                        table.retain_in(&prefix[..].., |key, _| !key.starts_with(&prefix))?;
                    }
                }
            }
        }
        transaction.commit()?;
        Ok(())
    }
}

/// A directory in the place of the file, or a disk that cannot be read, shows here and not half-way.
fn check_readable(file: &File) -> io::Result<()> {
    let mut byte = [0];
    let mut reader = file;
    reader.read(&mut byte).map(|_| ())?;
    io::Seek::seek(&mut reader, io::SeekFrom::Start(0)).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_is_private_and_stays_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("home");
        let seed = Home::open(&path, Some("ada"), None).unwrap().seed;
        for file in ["seed", "profile.json", "store.redb", "lock"] {
            let mode = fs::metadata(path.join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
        let long = Home::open(&dir.path().join("other"), Some(&"x".repeat(200)), None);
        assert!(matches!(long, Err(OpenError::Name(_))));
        assert!(
            Home::open(&dir.path().join("other"), Some("x"), None).is_ok(),
            "a wrong name does not stick"
        );
        let again = Home::open(&path, Some("eve"), None).unwrap();
        assert_eq!((again.seed, again.profile.user.as_str()), (seed, "ada"));
        assert!(matches!(Home::open(&path, None, None), Err(OpenError::InUse(_))));
    }

    #[test]
    fn a_damaged_seed_or_store_is_named_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        drop(Home::open(dir.path(), None, None).unwrap());
        fs::write(dir.path().join("seed"), b"short").unwrap();
        assert!(matches!(Home::open(dir.path(), None, None), Err(OpenError::Damaged { .. })));
        assert_eq!(fs::read(dir.path().join("seed")).unwrap(), b"short");
        fs::remove_file(dir.path().join("seed")).unwrap();
        let garbage = vec![7; 20_000];
        fs::write(dir.path().join("store.redb"), &garbage).unwrap();
        assert!(matches!(Home::open(dir.path(), None, None), Err(OpenError::Damaged { .. })));
        assert_eq!(fs::read(dir.path().join("store.redb")).unwrap(), garbage);
    }

    #[test]
    fn forgetting_a_room_leaves_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(dir.path(), None, None).unwrap();
        let rooms = [RoomId::from_bytes([1; 32]), RoomId::from_bytes([2; 32]), RoomId::from_bytes([3; 32])];
        let key = |room: &RoomId| [&room_prefix(room)[..], b"x"].concat();
        let puts: Vec<Write> = rooms.iter().map(|room| Write::Put(key(room), vec![1])).collect();
        home.store.commit(&puts).unwrap();
        home.store.commit(&[Write::Forget(rooms[1])]).unwrap();
        let keys: Vec<Vec<u8>> = home.store.load().unwrap().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, vec![key(&rooms[0]), key(&rooms[2])]);
    }
}
