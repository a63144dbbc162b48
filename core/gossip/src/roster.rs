//! Everybody a pool knows.
//!
//! Members stand in slots, a few to a chunk, and chunks are shared between clones until one of them
//! changes something. A pool alone pays nothing for that; ten thousand simulated pools that agree
//! about ten thousand members need room for one roster, and for what they disagree about.

use std::sync::Arc;

use tribune_base::hash::{fnv1a, fnv1a_from};
use tribune_base::id::NodeId;
use tribune_base::time::Instant;
use tribune_base::tree::Tree;

use crate::member::{Identity, Member, Record, State};

/// Where a member stands. Used again when it is forgotten.
pub(crate) type Slot = u32;

/// The members of a pool, by place, by name and by id.
#[derive(Clone, Debug)]
pub struct Roster {
    chunks: Vec<Arc<[Option<Record>; CHUNK]>>,
    free: Vec<Slot>,
    names: Tree<Arc<str>, Slot>,
    ids: Tree<NodeId, Slot>,
    /// How many are alive or suspect.
    live: usize,
    /// For each bucket of names, what its members are, combined: equal on two sides if what they
    /// know is.
    digests: Arc<[u64; BUCKETS]>,
}

impl Default for Roster {
    fn default() -> Self {
        Self {
            chunks: Vec::new(),
            free: Vec::new(),
            names: Tree::default(),
            ids: Tree::default(),
            live: 0,
            digests: Arc::new([0; BUCKETS]),
        }
    }
}

impl FromIterator<Identity> for Roster {
    /// A pool in which all of these are alive and have nothing to say.
    fn from_iter<T: IntoIterator<Item = Identity>>(identities: T) -> Self {
        let mut roster = Self::default();
        for identity in identities {
            roster.insert(Record {
                member: Member::new(identity, 1),
                state: State::Alive,
                since: Instant::START,
                going: false,
                pruned: false,
            });
        }
        roster
    }
}

impl Roster {
    /// Add a member whose name is not there yet.
    pub(crate) fn insert(&mut self, record: Record) -> Slot {
        let slot = self.free.pop().unwrap_or_else(|| {
            let first = (self.chunks.len() * CHUNK) as Slot;
            self.chunks.push(Arc::new([const { None }; CHUNK]));
            self.free.extend((first + 1..first + CHUNK as Slot).rev());
            first
        });
        let Member { name, id, .. } = &record.member;
        let before = self.names.insert(name.clone(), slot);
        assert!(before.is_none(), "{name} is there already");
        self.ids.insert(*id, slot);
        *self.place(slot) = Some(record);
        self.enter(slot);
        slot
    }

    /// Forget a member.
    pub(crate) fn remove(&mut self, slot: Slot) -> Member {
        self.exit(slot);
        let member = self.place(slot).take().expect("the slot is taken").member;
        self.names.remove(&member.name);
        if self.ids.get(&member.id) == Some(&slot) {
            self.ids.remove(&member.id);
        }
        self.free.push(slot);
        member
    }

    /// Change a member. Its name stays.
    pub(crate) fn edit<T>(&mut self, slot: Slot, change: impl FnOnce(&mut Record) -> T) -> T {
        self.exit(slot);
        let id = self.get(slot).member.id;
        let record = self.place(slot).as_mut().expect("the slot is taken");
        let result = change(record);
        let now = record.member.id;
        if id != now {
            if self.ids.get(&id) == Some(&slot) {
                self.ids.remove(&id);
            }
            self.ids.insert(now, slot);
        }
        self.enter(slot);
        result
    }

    /// The member in a slot that is taken.
    pub(crate) fn get(&self, slot: Slot) -> &Record {
        self.at(slot).expect("the slot is taken")
    }

    /// The member in a slot, if there is one.
    pub(crate) fn at(&self, slot: Slot) -> Option<&Record> {
        self.chunks.get(slot as usize / CHUNK)?[slot as usize % CHUNK].as_ref()
    }

    /// Where the member of this name stands.
    pub(crate) fn find(&self, name: &str) -> Option<Slot> {
        self.names.get(name).copied()
    }

    /// Where the last member that came with this id stands.
    pub(crate) fn find_id(&self, id: NodeId) -> Option<Slot> {
        self.ids.get(&id).copied()
    }

    /// All of them, in the order of their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Slot, &Record)> {
        self.names.values().map(|slot| (*slot, self.get(*slot)))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// How many of them are alive or suspect.
    pub(crate) const fn live(&self) -> usize {
        self.live
    }

    /// One more than the greatest slot that was ever taken.
    pub(crate) const fn slots(&self) -> u32 {
        (self.chunks.len() * CHUNK) as u32
    }

    /// One number for each bucket.
    pub(crate) fn digests(&self) -> &[u64; BUCKETS] {
        &self.digests
    }

    fn place(&mut self, slot: Slot) -> &mut Option<Record> {
        &mut Arc::make_mut(&mut self.chunks[slot as usize / CHUNK])[slot as usize % CHUNK]
    }

    /// Count a member in.
    fn enter(&mut self, slot: Slot) {
        self.toggle(slot);
        self.live += usize::from(self.get(slot).state.is_live());
    }

    /// Count a member out.
    fn exit(&mut self, slot: Slot) {
        self.toggle(slot);
        self.live -= usize::from(self.get(slot).state.is_live());
    }

    /// Exclusive or is its own inverse.
    fn toggle(&mut self, slot: Slot) {
        let record = self.get(slot);
        let (bucket, print) = (bucket(&record.member.name), fingerprint(record));
        Arc::make_mut(&mut self.digests)[bucket] ^= print;
    }
}

/// Which bucket a name is in.
pub(crate) fn bucket(name: &str) -> usize {
    (fnv1a(name.as_bytes()) >> 32) as usize % BUCKETS
}

/// What a member is, in a number. Who is suspect is not part of it: that passes by itself.
fn fingerprint(record: &Record) -> u64 {
    let Member { name, incarnation, status_ltime, .. } = &record.member;
    let state = match record.state {
        State::Alive | State::Suspect => 0,
        State::Dead => 1,
        State::Left => 2_u64,
    };
    let hash = fnv1a(name.as_bytes());
    let numbers = [*incarnation, status_ltime.0, state << 8 | u64::from(record.going)];
    numbers.iter().fold(hash, |hash, it| fnv1a_from(hash, &it.to_le_bytes()))
}

/// Into how many buckets names are divided: two sides that disagree about one member compare a
/// hundredth of what they know.
pub(crate) const BUCKETS: usize = 256;
/// Members in a chunk.
const CHUNK: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::member::Tags;
    use tribune_base::id::Uuid;

    fn roster(names: &[&str]) -> Roster {
        let identity = |(n, name): (usize, &&str)| {
            let id = NodeId(Uuid(n as u128 + 1));
            Identity::new(*name, id, ([127, 0, 0, 1], 8301).into(), Tags::default())
        };
        names.iter().enumerate().map(identity).collect()
    }

    #[test]
    fn members_come_in_the_order_of_their_names() {
        let roster = roster(&["c", "a", "b"]);
        let names: Vec<_> = roster.iter().map(|(_, it)| &*it.member.name).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!(roster.live(), 3);
    }

    #[test]
    fn digests_are_equal_if_what_is_known_is() {
        let (mut a, mut b) = (roster(&["x", "y"]), roster(&["y", "x"]));
        assert_eq!(a.digests(), b.digests(), "the order does not matter");
        let (x, y) = (a.find("x").unwrap(), b.find("x").unwrap());
        a.edit(x, |it| it.state = State::Dead);
        assert_ne!(a.digests(), b.digests());
        assert_eq!((a.live(), b.live()), (1, 2));
        b.edit(y, |it| it.state = State::Dead);
        assert_eq!(a.digests(), b.digests());
        a.remove(x);
        b.remove(y);
        assert_eq!(a.digests(), b.digests());
        assert_eq!((a.len(), a.live()), (1, 1));
    }

    #[test]
    fn a_slot_is_used_again() {
        let mut roster = roster(&["x", "y"]);
        let x = roster.find("x").unwrap();
        let mut record = roster.get(x).clone();
        roster.remove(x);
        record.member.name = "z".into();
        assert_eq!(roster.insert(record), x);
        assert_eq!(roster.find("x"), None);
        assert_eq!(roster.slots(), 16);
    }

    #[test]
    fn a_clone_stays_as_it_was() {
        let before = roster(&["x"]);
        let mut after = before.clone();
        after.edit(0, |it| it.member.incarnation = 7);
        assert_eq!(before.get(0).member.incarnation, 1);
    }
}
