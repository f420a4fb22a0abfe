//! Maps and sets as sorted vectors: iterated in the order of their keys, and a fraction of `BTreeMap` in a program that
//! is downloaded. An insert moves what is behind it, so these are for thousands of entries, not for millions.

use std::cmp::Ordering;
use std::slice;

/// A map, sorted by its keys.
#[derive(Clone, PartialEq, Eq)]
pub struct Map<K, V>(Vec<(K, V)>);

impl<K, V> Map<K, V> {
    /// An empty map.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Drops all entries.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The entries.
    pub fn iter(&self) -> Iter<'_, K, V> {
        Iter(self.0.iter())
    }

    /// The entries, their values to be changed.
    pub fn iter_mut(&mut self) -> IterMut<'_, K, V> {
        IterMut(self.0.iter_mut())
    }

    /// The keys.
    pub fn keys(&self) -> impl Iterator<Item = &K> + Clone {
        self.0.iter().map(|(key, _)| key)
    }

    /// The values, in the order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> + Clone {
        self.0.iter().map(|(_, value)| value)
    }

    /// The values, to be changed, in the order of their keys.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    /// Drops the entries that are not to be kept.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        self.0.retain_mut(|(key, value)| keep(key, value));
    }
}

impl<K: Ord, V> Map<K, V> {
    fn find(&self, key: &K) -> Result<usize, usize> {
        self.0.binary_search_by(|(other, _)| other.cmp(key))
    }

    /// The value of this key.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.find(key).ok().map(|at| &self.0[at].1)
    }

    /// The value of this key, to be changed.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.find(key).ok().map(|at| &mut self.0[at].1)
    }

    /// Whether there is an entry with this key.
    pub fn contains_key(&self, key: &K) -> bool {
        self.find(key).is_ok()
    }

    /// Sets the value of this key; the one it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.find(&key) {
            Ok(at) => Some(std::mem::replace(&mut self.0[at].1, value)),
            Err(at) => {
                self.0.insert(at, (key, value));
                None
            }
        }
    }

    /// Drops an entry; the value it had.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.find(key).ok().map(|at| self.0.remove(at).1)
    }

    /// The place of this key.
    pub fn entry(&mut self, key: K) -> Entry<'_, K, V> {
        let at = self.find(&key);
        Entry { map: self, key, at }
    }
}

/// The place of a key in a [`Map`].
#[derive(Debug)]
pub struct Entry<'a, K, V> {
    map: &'a mut Map<K, V>,
    key: K,
    at: Result<usize, usize>,
}

impl<'a, K, V> Entry<'a, K, V> {
    /// Its value, put there if it had none.
    pub fn or_insert_with(self, value: impl FnOnce() -> V) -> &'a mut V {
        let at = self.at.unwrap_or_else(|at| {
            self.map.0.insert(at, (self.key, value()));
            at
        });
        &mut self.map.0[at].1
    }

    /// Its value, put there if it had none.
    pub fn or_insert(self, value: V) -> &'a mut V {
        self.or_insert_with(|| value)
    }

    /// Its value, an empty one if it had none.
    pub fn or_default(self) -> &'a mut V
    where
        V: Default,
    {
        self.or_insert_with(V::default)
    }
}

/// The entries of a [`Map`].
#[derive(Debug, Clone)]
pub struct Iter<'a, K, V>(slice::Iter<'a, (K, V)>);

impl<'a, K, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(key, value)| (key, value))
    }
}

/// The entries of a [`Map`], their values to be changed.
#[derive(Debug)]
pub struct IterMut<'a, K, V>(slice::IterMut<'a, (K, V)>);

impl<'a, K, V> Iterator for IterMut<'a, K, V> {
    type Item = (&'a K, &'a mut V);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(key, value)| (&*key, value))
    }
}

impl<'a, K, V> IntoIterator for &'a Map<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a, K, V> IntoIterator for &'a mut Map<K, V> {
    type Item = (&'a K, &'a mut V);
    type IntoIter = IterMut<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

impl<K, V> IntoIterator for Map<K, V> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for Map<K, V> {
    /// The last value of a key counts. Quick only for entries that come sorted, or nearly so.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::new();
        for (key, value) in entries {
            map.insert(key, value);
        }
        map
    }
}

impl<K: Ord, V> From<Vec<(K, V)>> for Map<K, V> {
    /// In whatever order they are; the last value of a key counts.
    fn from(entries: Vec<(K, V)>) -> Self {
        Self(sort(entries, |(a, _), (b, _)| a.cmp(b)))
    }
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: std::fmt::Debug, V: std::fmt::Debug> std::fmt::Debug for Map<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

/// A set, sorted.
#[derive(Clone, PartialEq, Eq)]
pub struct Set<K>(Vec<K>);

impl<K> Set<K> {
    /// An empty set.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> slice::Iter<'_, K> {
        self.0.iter()
    }
}

impl<K: Ord> Set<K> {
    /// Whether it is in here.
    pub fn contains(&self, key: &K) -> bool {
        self.0.binary_search(key).is_ok()
    }

    /// Puts it in; says whether it is new.
    pub fn insert(&mut self, key: K) -> bool {
        let place = self.0.binary_search(&key);
        if let Err(at) = place {
            self.0.insert(at, key);
        }
        place.is_err()
    }

    /// Takes it out; says whether it was in here.
    pub fn remove(&mut self, key: &K) -> bool {
        let place = self.0.binary_search(key);
        if let Ok(at) = place {
            self.0.remove(at);
        }
        place.is_ok()
    }
}

impl<'a, K> IntoIterator for &'a Set<K> {
    type Item = &'a K;
    type IntoIter = slice::Iter<'a, K>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<K> IntoIterator for Set<K> {
    type Item = K;
    type IntoIter = std::vec::IntoIter<K>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<K: Ord> FromIterator<K> for Set<K> {
    fn from_iter<I: IntoIterator<Item = K>>(keys: I) -> Self {
        let mut set = Self::new();
        for key in keys {
            set.insert(key);
        }
        set
    }
}

impl<K: Ord> From<Vec<K>> for Set<K> {
    /// In whatever order they are.
    fn from(keys: Vec<K>) -> Self {
        Self(sort(keys, K::cmp))
    }
}

impl<K> Default for Set<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: std::fmt::Debug> std::fmt::Debug for Set<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self).finish()
    }
}

/// Sorts; of those that are equal the last is kept. A tenth of the code of `slice::sort`, and no slower for what is
/// sorted already.
fn sort<T>(mut values: Vec<T>, order: impl Fn(&T, &T) -> Ordering + Copy) -> Vec<T> {
    if values.is_sorted_by(|a, b| order(a, b).is_lt()) {
        return values;
    }
    let mut last = sort(values.split_off(values.len() / 2), order).into_iter().peekable();
    let mut first = sort(values, order).into_iter().peekable();
    let mut out = Vec::new();
    loop {
        let order = match (first.peek(), last.peek()) {
            (Some(a), Some(b)) => order(a, b),
            (Some(_), None) => Ordering::Less,
            (None, _) => Ordering::Greater,
        };
        let smaller = if order.is_gt() { None } else { first.next() };
        let next = if order.is_lt() { smaller } else { last.next() };
        let Some(next) = next else { return out };
        out.push(next);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_map_and_a_set_do_what_those_of_std_do(steps in proptest::collection::vec((0u8..6, 0u8..20, 0u32..9), 0..200)) {
            let (mut map, mut set) = (Map::new(), Set::new());
            let (mut map_of_std, mut set_of_std) = (BTreeMap::new(), BTreeSet::new());
            for (step, key, value) in steps {
                match step {
                    0 | 1 => {
                        prop_assert_eq!(map.insert(key, value), map_of_std.insert(key, value));
                        prop_assert_eq!(set.insert(key), set_of_std.insert(key));
                    }
                    2 => {
                        prop_assert_eq!(map.remove(&key), map_of_std.remove(&key));
                        prop_assert_eq!(set.remove(&key), set_of_std.remove(&key));
                    }
                    3 => prop_assert_eq!(*map.entry(key).or_insert(value), *map_of_std.entry(key).or_insert(value)),
                    4 => {
                        map.values_mut().chain(map_of_std.values_mut()).for_each(|other| *other += value);
                    }
                    _ => {
                        map.retain(|other, _| *other != key);
                        map_of_std.retain(|other, _| *other != key);
                    }
                }
                prop_assert_eq!(map.get(&key), map_of_std.get(&key));
                prop_assert_eq!(set.contains(&key), set_of_std.contains(&key));
                prop_assert!(map.iter().eq(map_of_std.iter()) && set.iter().eq(set_of_std.iter()));
            }
        }

        #[test]
        fn of_the_values_of_a_key_the_last_counts(entries in proptest::collection::vec((0u8..40, 0u32..9), 0..60)) {
            let known = BTreeMap::from_iter(entries.clone());
            prop_assert!(Map::from_iter(entries.clone()).into_iter().eq(known.clone()));
            prop_assert!(Map::from(entries.clone()).into_iter().eq(known.clone()));
            let keys: Vec<u8> = entries.iter().map(|(key, _)| *key).collect();
            prop_assert!(Set::from(keys).into_iter().eq(known.into_keys()));
        }
    }
}
