//! A persistent ordered map: what snapshots are made of.

use std::borrow::Borrow;
use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use imbl::OrdMap;

/// An ordered map whose clone is O(1) and shares everything until one of the two is changed.
///
/// A writer keeps writing while any number of readers, and the snapshot going to disk, keep the map
/// as it was. A thin type over a kept library, so that a bench may change the library.
#[derive(Clone)]
pub struct Tree<K, V>(OrdMap<K, V>);

/// A key of bytes that is cheap to clone, as the inner nodes of a [`Tree`] do.
pub type Key = Arc<[u8]>;

impl<K, V> Default for Tree<K, V> {
    fn default() -> Self {
        Self(OrdMap::default())
    }
}

impl<K: Ord + Clone, V: Clone> Tree<K, V> {
    /// Set `key` to `value` and return what it was.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.0.insert(key, value)
    }

    /// Remove `key` and return what it was.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.0.remove(key)
    }

    /// The value at `key`, to change in place.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.0.get_mut(key)
    }

    /// The value at `key`.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.0.get(key)
    }

    /// The key equal to `key` as it stands in the map, and its value.
    pub fn get_key_value<Q: Ord + ?Sized>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
    {
        self.0.get_key_value(key)
    }

    /// Whether there is a value at `key`.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.0.contains_key(key)
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All keys and values, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.0.iter()
    }

    /// All values, in the order of their keys.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    /// The keys in `range`, and their values, in order.
    pub fn range<R, Q>(&self, range: R) -> impl DoubleEndedIterator<Item = (&K, &V)>
    where
        R: RangeBounds<Q>,
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.0.range(range)
    }

    /// The greatest key, and its value.
    pub fn last(&self) -> Option<(&K, &V)> {
        self.0.get_max().map(|(key, value)| (key, value))
    }
}

impl<V: Clone> Tree<Key, V> {
    /// The keys that start with `prefix`, and their values, in order.
    pub fn prefix<'a>(
        &'a self,
        prefix: &[u8],
    ) -> impl DoubleEndedIterator<Item = (&'a Key, &'a V)> {
        let end = prefix_end(prefix);
        let end = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        self.0.range::<_, [u8]>((Bound::Included(prefix), end))
    }
}

/// The smallest key greater than all that start with `prefix`. `None` if there is no such key.
fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let kept = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix[..=kept].to_vec();
    end[kept] += 1;
    Some(end)
}

impl<K: Ord + fmt::Debug, V: fmt::Debug> fmt::Debug for Tree<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<K: Ord, V: PartialEq> PartialEq for Tree<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<K: Ord, V: Eq> Eq for Tree<K, V> {}

impl<K: Ord + Clone, V: Clone> FromIterator<(K, V)> for Tree<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(items: I) -> Self {
        Self(items.into_iter().collect())
    }
}

#[test]
fn a_clone_stays_as_it_was() {
    let mut tree = Tree::default();
    tree.insert(1, "one");
    let before = tree.clone();
    tree.insert(2, "two");
    tree.remove(&1);
    assert_eq!(before.get(&1), Some(&"one"));
    assert_eq!(before.len(), 1);
    assert_eq!(tree.iter().collect::<Vec<_>>(), [(&2, &"two")]);
}

#[test]
fn a_prefix_ends_where_the_next_one_starts() {
    let key = |bytes: &[u8]| Key::from(bytes);
    let keys: [&[u8]; 6] = [b"a", b"a/", b"a/1", b"a\xff", b"a\xff\xff", b"b"];
    let tree: Tree<Key, ()> = keys.iter().map(|it| (key(it), ())).collect();
    let under = |prefix: &[u8]| tree.prefix(prefix).map(|(it, ())| it.to_vec()).collect::<Vec<_>>();
    assert_eq!(under(b"a/"), [b"a/".to_vec(), b"a/1".to_vec()]);
    assert_eq!(under(b"a\xff"), [b"a\xff".to_vec(), b"a\xff\xff".to_vec()]);
    assert_eq!(under(b"\xff"), Vec::<Vec<u8>>::new());
    assert_eq!(under(b"").len(), keys.len());
}
