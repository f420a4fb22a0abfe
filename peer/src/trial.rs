//! A file that is only read until what it holds has turned out to be good.
//!
//! redb repairs what a crash left behind, and writes while it opens. If it cannot make sense of a file after all, the
//! file must be as it was: somebody may still read from it what this program cannot.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, PoisonError, RwLock};

use redb::StorageBackend;

/// A file on trial. Clones are the same file.
#[derive(Debug, Clone)]
pub(crate) struct Trial(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: File,
    /// What would have been written, in order; `None` once the file is approved.
    held: RwLock<Option<Vec<Change>>>,
}

#[derive(Debug)]
enum Change {
    Length(u64),
    Write(u64, Vec<u8>),
    Sync,
}

impl Trial {
    pub(crate) fn new(file: File) -> Self {
        Self(Arc::new(Inner { file, held: RwLock::new(Some(Vec::new())) }))
    }

    /// The file is good: carries out, in their order, the changes held back, and from now on all others at once.
    pub(crate) fn approve(&self) -> io::Result<()> {
        let mut held = self.0.held.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(changes) = &*held {
            changes.iter().try_for_each(|change| self.carry_out(change))?;
        }
        *held = None;
        Ok(())
    }

    fn change(&self, change: Change) -> io::Result<()> {
        let mut held = self.0.held.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(changes) = &mut *held {
            changes.push(change);
            return Ok(());
        }
        drop(held);
        self.carry_out(&change)
    }

    fn carry_out(&self, change: &Change) -> io::Result<()> {
        match change {
            Change::Length(length) => self.0.file.set_len(*length),
            Change::Write(at, bytes) => self.0.file.write_all_at(bytes, *at),
            Change::Sync => self.0.file.sync_data(),
        }
    }
}

impl StorageBackend for Trial {
    fn len(&self) -> io::Result<u64> {
        let held = self.0.held.read().unwrap_or_else(PoisonError::into_inner);
        let mut length = self.0.file.metadata()?.len();
        for change in held.iter().flatten() {
            match change {
                Change::Length(to) => length = *to,
                Change::Write(at, bytes) => length = length.max(at.saturating_add(bytes.len() as u64)),
                Change::Sync => {}
            }
        }
        Ok(length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let held = self.0.held.read().unwrap_or_else(PoisonError::into_inner);
        let Some(changes) = &*held else { return self.0.file.read_exact_at(out, offset) };
        read_or_zeros(&self.0.file, offset, out)?;
        for change in changes {
            match change {
                Change::Length(length) => {
                    let kept = usize::try_from(length.saturating_sub(offset)).unwrap_or(usize::MAX);
                    out.iter_mut().skip(kept).for_each(|byte| *byte = 0);
                }
                Change::Write(at, bytes) => {
                    let from = (*at).max(offset);
                    let to = at.saturating_add(bytes.len() as u64).min(offset + out.len() as u64);
                    if from < to {
                        let (target, source) = ((from - offset) as usize, (from - at) as usize);
                        let length = (to - from) as usize;
                        out[target..target + length].copy_from_slice(&bytes[source..source + length]);
                    }
                }
                Change::Sync => {}
            }
        }
        drop(held);
        let end = offset.saturating_add(out.len() as u64);
        if end > self.len()? { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.change(Change::Length(length))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.change(Change::Sync)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(Change::Write(offset, data.to_vec()))
    }
}

/// Reads what the file has there; beyond its end, zeros.
fn read_or_zeros(file: &File, offset: u64, out: &mut [u8]) -> io::Result<()> {
    out.fill(0);
    let mut done = 0;
    while done < out.len() {
        match file.read_at(&mut out[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_back_is_read_and_written_only_when_approved() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, b"0123456789").unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let trial = Trial::new(file);
        trial.write(2, b"ab").unwrap();
        trial.set_len(6).unwrap();
        trial.set_len(12).unwrap();
        trial.write(9, b"xyz").unwrap();
        trial.sync_data().unwrap();
        let mut out = [1; 12];
        trial.read(0, &mut out).unwrap();
        assert_eq!(&out, b"01ab45\0\0\0xyz");
        let mut middle = [1; 4];
        trial.read(3, &mut middle).unwrap();
        assert_eq!(&middle, b"b45\0");
        assert_eq!(trial.len().unwrap(), 12);
        assert!(trial.read(9, &mut [0; 4]).is_err(), "beyond the end");
        assert_eq!(std::fs::read(&path).unwrap(), b"0123456789");
        trial.approve().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"01ab45\0\0\0xyz");
        trial.write(0, b"!").unwrap();
        assert_eq!(std::fs::read(&path).unwrap()[0], b'!');
    }
}
