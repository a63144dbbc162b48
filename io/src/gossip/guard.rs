//! What stands between a pool and its network: what leaves is sealed, what comes is opened.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use bytes::Bytes;
use tracing::{debug, info};
use tribune_api::keyring::{KeyOrder, KeysOrWhy};
use tribune_core::Encryption;

use super::file;
use super::key::Key;
use super::keyring::Keyring;
use super::seal::{self, NONCE_LEN};

/// The guard of one pool. A clone is the same: who changes the keys changes them for all. The
/// default one lets everything pass, as a pool without keys wants it.
#[derive(Clone, Debug, Default)]
pub struct Guard(Option<Arc<Keys>>);

/// How strict a guard is. Both are off only while a pool is being encrypted, one member at a time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Strictness {
    /// Whether what comes in the clear is dropped.
    pub incoming: bool,
    /// Whether what leaves is sealed.
    pub outgoing: bool,
}

/// What is guarded. What is sealed as one does not open as another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A packet.
    Packet,
    /// What a member begins an exchange with.
    Request,
    /// What another ends it with.
    Answer,
}

struct Keys {
    keyring: ArcSwap<Keyring>,
    /// Where they are kept, if they are. Whoever changes them holds it: one after the other.
    file: Mutex<Option<PathBuf>>,
    pool: String,
    strictness: Strictness,
    /// The first nonce, and how many were used.
    first: u128,
    used: AtomicU64,
}

impl Guard {
    /// Guards `pool` with the keys of `keyring`. `entropy` must be fresh: nonces are counted from
    /// there. Members start far from each other, so that what they count does not meet: for ten
    /// thousand that send 2³² messages each, the chance is one in 2³⁷.
    ///
    /// Without a `file`, keys that are changed are forgotten when the agent ends.
    pub fn new(
        keyring: Keyring,
        file: Option<PathBuf>,
        pool: &str,
        strictness: Strictness,
        entropy: u128,
    ) -> Self {
        Self(Some(Arc::new(Keys {
            keyring: ArcSwap::from_pointee(keyring),
            file: Mutex::new(file),
            pool: pool.to_owned(),
            strictness,
            first: entropy,
            used: AtomicU64::new(0),
        })))
    }

    /// The keys, if this pool has any.
    pub fn keyring(&self) -> Option<Arc<Keyring>> {
        self.0.as_ref().map(|it| it.keyring.load_full())
    }

    /// What strangers can read of what this pool says.
    pub fn encryption(&self) -> Encryption {
        match &self.0 {
            None => Encryption::Off,
            Some(keys) if keys.strictness.outgoing => Encryption::On,
            Some(_) => Encryption::Incoming,
        }
    }

    /// Whether changes of the keys wait for a disk.
    pub fn is_on_disk(&self) -> bool {
        self.0.as_ref().is_some_and(|it| it.file.lock().is_ok_and(|it| it.is_some()))
    }

    /// Do what an operator wants done with the keys. What is changed is on disk before it counts: a
    /// member that came back with older keys would be a stranger.
    ///
    /// # Errors
    ///
    /// Nothing has changed; the text, in the words of the original, says why.
    pub fn carry_out(&self, order: &KeyOrder) -> KeysOrWhy {
        let change = *order != KeyOrder::List;
        let none = if change { "No keyring to modify" } else { "Keyring is empty" };
        let none = || format!("{none} (encryption not enabled)");
        let keys = self.0.as_ref().ok_or_else(none)?;
        let file = keys.file.lock().map_err(|error| error.to_string())?;
        let mut keyring = (*keys.keyring.load_full()).clone();
        let parse = |key: &str| Key::parse(key).map_err(|it| it.to_string());
        let changed = match order {
            KeyOrder::List => return Ok(keyring.keys().iter().map(Key::to_base64).collect()),
            KeyOrder::Install(key) => {
                keyring.install(parse(key)?);
                Ok(())
            }
            KeyOrder::Use(key) => keyring.make_primary(&parse(key)?),
            KeyOrder::Remove(key) => keyring.remove(&parse(key)?),
        };
        changed.map_err(|it| it.to_string())?;
        if let Some(path) = &*file {
            file::save(path, &keyring).map_err(|it| it.to_string())?;
        }
        info!(target: "gossip", ?order, keys = keyring.keys().len(), "The keyring has changed");
        keys.keyring.store(Arc::new(keyring));
        Ok(Vec::new())
    }

    /// What leaves, as it leaves.
    pub fn seal(&self, kind: Kind, plain: Bytes) -> Bytes {
        match &self.0 {
            Some(keys) if keys.strictness.outgoing => {
                seal::seal(&keys.keyring.load(), keys.nonce(), &keys.aad(kind), &plain)
            }
            Some(_) | None => plain,
        }
    }

    /// What has come, as it was meant. `None`, if a stranger has sent it.
    pub fn open(&self, kind: Kind, bytes: Bytes) -> Option<Bytes> {
        let Some(keys) = &self.0 else { return Some(bytes) };
        match seal::open(&keys.keyring.load(), &keys.aad(kind), &bytes) {
            Ok(plain) => Some(plain),
            // It may be in the clear. If it is not, the pool will make nothing of it.
            Err(_) if !keys.strictness.incoming => Some(bytes),
            Err(error) => {
                debug!(target: "gossip", ?kind, %error, "dropped what a stranger sent");
                None
            }
        }
    }
}

impl Keys {
    fn nonce(&self) -> [u8; NONCE_LEN] {
        let number = u128::from(self.used.fetch_add(1, Ordering::Relaxed));
        let bytes = self.first.wrapping_add(number).to_be_bytes();
        let (_, nonce) = bytes.split_last_chunk().expect("a nonce is shorter than that");
        *nonce
    }

    /// What is known on both sides: of which pool it is, and what.
    fn aad(&self, kind: Kind) -> Vec<u8> {
        let kind = match kind {
            Kind::Packet => b'p',
            Kind::Request => b'r',
            Kind::Answer => b'a',
        };
        [&[kind], self.pool.as_bytes()].concat()
    }
}

/// Keys do not belong into logs.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pool, strictness, .. } = self;
        f.debug_struct("Keys").field("pool", pool).field("strictness", strictness).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::Key;
    use super::*;

    const STRICT: Strictness = Strictness { incoming: true, outgoing: true };
    const PLAIN: &[u8] = b"a message";

    fn keyring(n: u8) -> Keyring {
        Keyring::new(Key::new(&[n; 32]).unwrap())
    }

    fn guard(n: u8, pool: &str, strictness: Strictness) -> Guard {
        Guard::new(keyring(n), None, pool, strictness, u128::from(n) << 64)
    }

    fn passes(from: &Guard, to: &Guard) -> bool {
        let sent = from.seal(Kind::Packet, PLAIN.into());
        to.open(Kind::Packet, sent).is_some_and(|it| it == PLAIN)
    }

    #[test]
    fn members_understand_each_other_and_strangers_nothing() {
        let (one, other) = (guard(1, "dc1", STRICT), guard(1, "dc1", STRICT));
        assert!(passes(&one, &other) && passes(&other, &one));
        let sealed = one.seal(Kind::Packet, PLAIN.into());
        assert!(!sealed.windows(PLAIN.len()).any(|it| it == PLAIN));
        for stranger in [guard(2, "dc1", STRICT), guard(1, "dc2", STRICT), Guard::default()] {
            assert!(!passes(&one, &stranger), "{stranger:?}");
            assert!(!passes(&stranger, &one), "{stranger:?}");
        }
    }

    #[test]
    fn nothing_opens_as_something_else() {
        let guard = guard(1, "dc1", STRICT);
        let kinds = [Kind::Packet, Kind::Request, Kind::Answer];
        for sealed_as in kinds {
            for opened_as in kinds {
                let sealed = guard.seal(sealed_as, PLAIN.into());
                let opened = guard.open(opened_as, sealed).is_some();
                assert_eq!(opened, sealed_as == opened_as, "{sealed_as:?} as {opened_as:?}");
            }
        }
    }

    /// First all can read and none seals, then all seal, then none listens to what is in the clear.
    #[test]
    fn a_pool_is_encrypted_one_member_at_a_time() {
        let steps = [(false, false), (false, true), (true, true)];
        let member = |(incoming, outgoing)| guard(1, "dc1", Strictness { incoming, outgoing });
        let steps = [Guard::default(), member(steps[0]), member(steps[1]), member(steps[2])];
        for (n, pair) in steps.windows(2).enumerate() {
            for (from, to) in [(0, 1), (1, 0), (0, 0), (1, 1)] {
                assert!(passes(&pair[from], &pair[to]), "step {n}, from {from} to {to}");
            }
        }
        assert!(!passes(&steps[0], &steps[3]), "the clear is over");
    }

    #[test]
    fn a_key_is_changed_under_traffic() {
        let (one, other) = (guard(1, "dc1", STRICT), guard(1, "dc1", STRICT));
        let (old, new) = (Key::new(&[1; 32]).unwrap(), Key::new(&[2; 32]).unwrap());
        for step in 0..3 {
            for member in [&one, &other] {
                let order = match step {
                    0 => KeyOrder::Install(new.to_base64()),
                    1 => KeyOrder::Use(new.to_base64()),
                    _ => KeyOrder::Remove(old.to_base64()),
                };
                assert_eq!(member.clone().carry_out(&order), Ok(vec![]));
                assert!(passes(&one, &other) && passes(&other, &one), "step {step}");
            }
        }
        assert!(!passes(&guard(1, "dc1", STRICT), &one), "the old key is worth nothing");
    }

    #[test]
    fn orders_are_refused_in_the_words_of_the_original() {
        let text = |n| Key::new(&[n; 32]).unwrap().to_base64();
        let off = Guard::default();
        let cases = [
            (&off, KeyOrder::List, "Keyring is empty (encryption not enabled)"),
            (&off, KeyOrder::Use(text(1)), "No keyring to modify (encryption not enabled)"),
        ];
        let on = guard(1, "dc1", STRICT);
        let more = [
            (&on, KeyOrder::Install("eHh4".to_owned()), "key size must be 16, 24 or 32 bytes"),
            (&on, KeyOrder::Use(text(2)), "Requested key is not in the keyring"),
            (&on, KeyOrder::Remove(text(1)), "Removing the primary key is not allowed"),
        ];
        for (guard, order, want) in cases.into_iter().chain(more) {
            assert_eq!(guard.carry_out(&order), Err(want.to_owned()), "{order:?}");
        }
        assert_eq!(on.carry_out(&KeyOrder::Remove(text(3))), Ok(vec![]));
        assert_eq!(on.carry_out(&KeyOrder::List), Ok(vec![text(1)]));
    }

    #[test]
    fn no_nonce_is_used_twice() {
        // Also where the count goes round.
        let guard = Guard::new(keyring(1), None, "dc1", STRICT, u128::MAX - 5);
        let nonce = |_| guard.seal(Kind::Packet, PLAIN.into()).slice(1..=NONCE_LEN);
        let nonces: std::collections::BTreeSet<_> = (0..1_000).map(nonce).collect();
        assert_eq!(nonces.len(), 1_000);
    }
}
