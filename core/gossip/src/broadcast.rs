//! News on its way to everybody: what was told least goes first, a newer word about something
//! replaces the older one, and after so many times it has been told enough (SWIM, section 4.1).

use std::cmp::Reverse;
use std::collections::BTreeMap;

use bytes::Bytes;
use tribune_base::bug;
use tribune_base::codec::Writer;
use tribune_base::hash::fnv1a;

/// What a piece of news is about.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Subject {
    /// Whether a member is alive; its name, hashed.
    Member(u64),
    /// Whether it means to stay; its name, hashed.
    Intent(u64),
    /// Nothing that could be replaced; a number of its own.
    Other(u64),
}

#[derive(Debug)]
struct Broadcast {
    subject: Subject,
    tag: u32,
    body: Bytes,
}

/// How often it was told, and then the newest first.
type Place = (u32, Reverse<u64>);

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct Broadcasts {
    queue: BTreeMap<Place, Broadcast>,
    places: BTreeMap<Subject, Place>,
    serial: u64,
    /// Of [`Broadcasts::fill`], kept for its room.
    told: Vec<(Place, Broadcast)>,
}

impl Subject {
    pub(crate) fn member(name: &str) -> Self {
        Self::Member(fnv1a(name.as_bytes()))
    }

    pub(crate) fn intent(name: &str) -> Self {
        Self::Intent(fnv1a(name.as_bytes()))
    }
}

impl Broadcasts {
    /// Tell everybody; forget what was to be told about the same subject. Beyond `len_max` what
    /// was told most goes.
    pub(crate) fn push(&mut self, subject: Option<Subject>, tag: u32, body: Bytes, len_max: usize) {
        self.serial += 1;
        let subject = subject.unwrap_or(Subject::Other(self.serial));
        let place = (0, Reverse(self.serial));
        if let Some(before) = self.places.insert(subject, place) {
            self.queue.remove(&before);
        }
        self.queue.insert(place, Broadcast { subject, tag, body });
        while len_max.max(1) < self.queue.len() {
            let (_, dropped) = self.queue.pop_last().expect("there are some");
            self.places.remove(&dropped.subject);
        }
    }

    /// Put as much as fits into a packet of at most `budget` bytes. What was told `transmits_max`
    /// times by then is forgotten.
    pub(crate) fn fill(&mut self, writer: &mut Writer, budget: usize, transmits_max: u32) {
        let mut misfits = 0;
        let mut from = (0, Reverse(u64::MAX));
        while misfits < MISFITS_MAX && writer.len() + OVERHEAD_MIN < budget {
            let Some((place, it)) = self.queue.range(from..).next() else { break };
            let place = *place;
            // The place right behind this one: newer ones stand before older ones.
            from = (place.0, Reverse(place.1.0 - 1));
            if budget < writer.len() + framed_len(it.body.len()) {
                misfits += 1;
                continue;
            }
            let it = self.queue.remove(&place).expect("it was just there");
            writer.present_bytes(it.tag, &it.body);
            self.told.push((place, it));
        }
        for ((transmits, serial), it) in self.told.drain(..) {
            let limit = if bug!(G08) { 1 } else { transmits_max };
            if transmits + 1 < limit {
                let place = (transmits + 1, serial);
                self.places.insert(it.subject, place);
                self.queue.insert(place, it);
            } else {
                self.places.remove(&it.subject);
            }
        }
        debug_assert_eq!(self.queue.len(), self.places.len());
    }

    /// Whether there is still something to tell about `subject`.
    pub(crate) fn contains(&self, subject: Subject) -> bool {
        self.places.contains_key(&subject)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }
}

/// Bytes of a message with its tag and length. Tags are below sixteen.
const fn framed_len(body_len: usize) -> usize {
    let prefix = if body_len < 0x80 { 2 } else { 3 };
    prefix + body_len
}

/// How many that do not fit are passed over in search of one that does.
const MISFITS_MAX: u32 = 16;
/// With less room than this it is not worth looking.
const OVERHEAD_MIN: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn body(len: usize) -> Bytes {
        vec![b'x'; len].into()
    }

    /// The tags of what the next packet of this size carries.
    fn packet(broadcasts: &mut Broadcasts, budget: usize) -> Vec<u32> {
        let mut writer = Writer::new();
        broadcasts.fill(&mut writer, budget, 3);
        assert!(writer.len() <= budget);
        let mut reader = tribune_base::codec::Reader::new(writer.finish());
        std::iter::from_fn(|| reader.field().unwrap()).map(|it| it.tag).collect()
    }

    #[test]
    fn what_was_told_least_goes_first_and_the_newest_of_that() {
        let mut broadcasts = Broadcasts::default();
        for tag in [3, 4, 5] {
            broadcasts.push(None, tag, body(40), 10);
        }
        assert_eq!(packet(&mut broadcasts, 90), [5, 4]);
        assert_eq!(packet(&mut broadcasts, 90), [3, 5]);
        assert_eq!(packet(&mut broadcasts, 90), [4, 3], "told once each");
        assert_eq!(packet(&mut broadcasts, 200), [5, 4, 3]);
        assert!(broadcasts.is_empty(), "three times each is enough");
    }

    #[test]
    fn a_newer_word_replaces_the_older_one() {
        let mut broadcasts = Broadcasts::default();
        let subject = Some(Subject::member("x"));
        broadcasts.push(subject, 8, body(4), 10);
        packet(&mut broadcasts, 100);
        broadcasts.push(subject, 9, body(4), 10);
        for _ in 0..3 {
            assert_eq!(packet(&mut broadcasts, 100), [9], "and counts from the beginning");
        }
        assert!(packet(&mut broadcasts, 100).is_empty());
    }

    #[test]
    fn what_does_not_fit_lets_others_pass() {
        let mut broadcasts = Broadcasts::default();
        broadcasts.push(None, 3, body(10), 10);
        broadcasts.push(None, 4, body(200), 10);
        assert_eq!(packet(&mut broadcasts, 100), [3]);
        assert_eq!(packet(&mut broadcasts, 300), [4, 3]);
    }

    #[test]
    fn a_full_queue_forgets_what_was_told_most() {
        let mut broadcasts = Broadcasts::default();
        broadcasts.push(None, 3, body(4), 2);
        packet(&mut broadcasts, 100);
        broadcasts.push(None, 4, body(4), 2);
        broadcasts.push(None, 5, body(4), 2);
        assert_eq!(packet(&mut broadcasts, 100), [5, 4]);
        assert_eq!(broadcasts.len(), 2);
    }
}
