//! The memory that all clients' unread and unfinished messages may take together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What one client may hold in any case: those who hold much cannot lock out those who hold little.
const FREE: usize = 16 * 1024;

/// Bytes held for all clients, and how many may be.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: usize,
    held: AtomicUsize,
}

/// What is held for one client; given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    bytes: usize,
}

/// All have too much together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spent;

impl Budget {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, held: AtomicUsize::new(0) })
    }

    /// Bytes held for all clients.
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

impl Share {
    pub(crate) fn new(budget: &Arc<Budget>) -> Self {
        Self { budget: Arc::clone(budget), bytes: 0 }
    }

    /// So much is held now. It is counted even if it is too much: then it is to be given back soon.
    pub(crate) fn set(&mut self, bytes: usize) -> Result<(), Spent> {
        let before = std::mem::replace(&mut self.bytes, bytes);
        if bytes <= before {
            if bytes < before {
                self.budget.held.fetch_sub(before - bytes, Ordering::Relaxed);
            }
            return Ok(());
        }
        let all = self.budget.held.fetch_add(bytes - before, Ordering::Relaxed) + (bytes - before);
        if bytes > FREE && all > self.budget.limit { Err(Spent) } else { Ok(()) }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rv5_all_clients_together_hold_so_much_and_no_more() {
        let budget = Budget::new(100_000);
        let mut large = Share::new(&budget);
        let mut other = Share::new(&budget);
        assert_eq!(large.set(90_000), Ok(()));
        assert_eq!(other.set(20_000), Err(Spent));
        assert_eq!(other.set(10_000), Ok(()), "little is always held");
        assert_eq!(large.set(50_000), Ok(()));
        assert_eq!(other.set(50_000), Ok(()));
        drop(large);
        assert_eq!(budget.held(), 50_000);
        drop(other);
        assert_eq!(budget.held(), 0);
    }
}
