//! The keys of one pool.

use super::key::Key;

/// Several keys, the primary one first: it seals, every one opens.
///
/// Changing the key of a pool takes three steps, each finished everywhere before the next begins:
/// [`install`](Self::install) the new key, [`make_primary`](Self::make_primary), and
/// [`remove`](Self::remove) the old one. In between, what is sealed under either is understood.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Keyring {
    /// Invariant: there is at least one, and no two are alike.
    keys: Vec<Key>,
}

/// Why a keyring stays as it is, in the words of the original.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyringError {
    /// Install the key before using it.
    #[error("Requested key is not in the keyring")]
    Absent,
    /// Use another key before removing this one.
    #[error("Removing the primary key is not allowed")]
    Primary,
}

impl Keyring {
    /// One key, and the primary one.
    pub fn new(primary: Key) -> Self {
        Self { keys: vec![primary] }
    }

    /// Open what is sealed under `key` from now on. Installed twice is installed.
    pub fn install(&mut self, key: Key) {
        if !self.keys.contains(&key) {
            self.keys.push(key);
        }
        self.check_invariants();
    }

    /// Seal under `key` from now on.
    ///
    /// # Errors
    ///
    /// It is not installed; nothing has changed.
    pub fn make_primary(&mut self, key: &Key) -> Result<(), KeyringError> {
        let at = self.keys.iter().position(|it| it == key).ok_or(KeyringError::Absent)?;
        self.keys[..=at].rotate_right(1);
        self.check_invariants();
        Ok(())
    }

    /// Forget `key`. One that is not there is forgotten already.
    ///
    /// # Errors
    ///
    /// It is the primary key; nothing has changed.
    pub fn remove(&mut self, key: &Key) -> Result<(), KeyringError> {
        if self.primary() == key {
            return Err(KeyringError::Primary);
        }
        self.keys.retain(|it| it != key);
        self.check_invariants();
        Ok(())
    }

    /// The key that seals.
    pub fn primary(&self) -> &Key {
        &self.keys[0]
    }

    /// All keys, the primary one first.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    fn check_invariants(&self) {
        assert!(!self.keys.is_empty(), "the keyring is empty");
        let twice = |(n, key): (usize, &Key)| self.keys[..n].contains(key);
        debug_assert!(!self.keys.iter().enumerate().any(twice), "a key is there twice");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> Key {
        Key::new(&[n; 32]).unwrap()
    }

    #[test]
    fn the_primary_key_comes_first_and_the_others_in_their_order() {
        let mut ring = Keyring::new(key(1));
        for n in [2, 3, 4, 2, 1] {
            ring.install(key(n));
        }
        assert_eq!(ring.keys(), [1, 2, 3, 4].map(key));
        assert_eq!(ring.make_primary(&key(3)), Ok(()));
        assert_eq!(ring.keys(), [3, 1, 2, 4].map(key));
        assert_eq!(ring.make_primary(&key(3)), Ok(()));
        assert_eq!(ring.primary(), &key(3));
        assert_eq!(ring.remove(&key(1)), Ok(()));
        assert_eq!(ring.keys(), [3, 2, 4].map(key));
    }

    #[test]
    fn the_primary_key_stays_and_an_absent_one_is_no_primary() {
        let mut ring = Keyring::new(key(1));
        ring.install(key(2));
        let before = ring.clone();
        assert_eq!(ring.remove(&key(1)), Err(KeyringError::Primary));
        assert_eq!(ring.make_primary(&key(9)), Err(KeyringError::Absent));
        assert_eq!(ring.remove(&key(9)), Ok(()));
        assert_eq!(ring, before);
    }
}
