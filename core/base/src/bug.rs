//! Mistakes that can be planted, to see whether the tests find them.
//!
//! Each entry of [`Bug`] is one line somewhere under `core/`, written `bug!(R01)`. Without the
//! cargo feature `planted-bugs` that is the constant `false`, and the line is gone. With it, one
//! bug at a time can be switched on for a thread.
//!
//! A value that belongs to the thread is the exception to the rule that core keeps no state of its
//! own: a bug may be anywhere, in a checksum as well as in an election, and handing it through
//! everything would leave traces in the program that is shipped. Simulations run on one thread,
//! and the server does not compile with the feature.

#[cfg(feature = "planted-bugs")]
use std::cell::Cell;

/// Whether bugs can be planted in this build.
pub const PLANTABLE: bool = cfg!(feature = "planted-bugs");

/// Whether the mistake of this name is planted: `bug!(R01)`.
#[macro_export]
macro_rules! bug {
    ($id:ident) => {
        $crate::bug::is_planted($crate::bug::Bug::$id)
    };
}

/// Whether `bug` is planted in this thread.
#[cfg(not(feature = "planted-bugs"))]
#[inline]
pub const fn is_planted(_: Bug) -> bool {
    false
}

/// Whether `bug` is planted in this thread.
#[cfg(feature = "planted-bugs")]
pub fn is_planted(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// Run `test` with `bug` planted in this thread, and only there.
#[cfg(feature = "planted-bugs")]
pub fn with<T>(bug: Bug, test: impl FnOnce() -> T) -> T {
    /// Takes the bug out again, also when `test` panics, which is what it is for.
    struct Restore(Option<Bug>);

    impl Drop for Restore {
        fn drop(&mut self) {
            PLANTED.set(self.0);
        }
    }

    let _restore = Restore(PLANTED.replace(Some(bug)));
    test()
}

/// `work` for another thread, which gets what is planted in this one.
#[cfg(feature = "planted-bugs")]
pub fn carry<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let planted = PLANTED.get();
    move || {
        PLANTED.set(planted);
        work()
    }
}

/// `work` for another thread.
#[cfg(not(feature = "planted-bugs"))]
pub const fn carry<W>(work: W) -> W {
    work
}

#[cfg(feature = "planted-bugs")]
thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// What became of an entry of the catalogue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// It can be switched on.
    Planted,
    /// It cannot be made here, or changes nothing that anybody could see: why.
    Equivalent(&'static str),
    /// What it would break is not there yet, or is not under `core/`: what.
    NotYet(&'static str),
}

/// The enum, and what is known of each variant, from one table.
macro_rules! catalogue {
    ($($id:ident $title:literal $standing:expr;)*) => {
        /// The catalogue. `R`: elections and the replicated log; `M`: membership; `S`: snapshots;
        /// `W`: the write-ahead log; `K`: keys, sessions and blocking queries; `C`: the catalog;
        /// `G`: gossip; `D`: datacenters.
        #[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
        pub enum Bug {
            $(#[doc = $title] $id,)*
        }

        impl Bug {
            /// All of them, in order.
            pub const ALL: &[Self] = &[$(Self::$id,)*];

            /// Its name.
            pub const fn id(self) -> &'static str {
                match self {
                    $(Self::$id => stringify!($id),)*
                }
            }

            /// What is wrong when it is planted.
            pub const fn title(self) -> &'static str {
                match self {
                    $(Self::$id => $title,)*
                }
            }

            /// What became of it.
            pub const fn standing(self) -> Standing {
                match self {
                    $(Self::$id => $standing,)*
                }
            }
        }
    };
}

use Standing::{Equivalent, NotYet, Planted};

/// Leader and follower skip terms in such a way that neither skips an entry on which they agree.
const STALE_TAIL: &str = "the first append that a follower accepts begins exactly where the logs \
    part, so it removes whatever is stale behind it";

catalogue! {
    R01 "entries of an older term are committed by counting" Planted;
    R02 "a vote is given before it is on disk" Planted;
    R03 "term and vote are not persisted" Planted;
    R04 "votes are given without comparing logs" Planted;
    R05 "logs are compared by length only" Planted;
    R06 "logs are compared by their last term only" Planted;
    R07 "a second vote is given in the same term" Planted;
    R08 "a candidate gives its vote away and stands on" Planted;
    R09 "the vote is kept when the term rises" Planted;
    R10 "a repeated vote counts twice" Planted;
    R11 "votes of an older term count" Planted;
    R12 "an append removes everything behind its beginning" Planted;
    R13 "a conflicting entry is replaced and what follows it kept" Planted;
    R14 "the term of the previous entry is not compared" Planted;
    R15 "appends of an older term are accepted" Planted;
    R16 "a leader ignores newer terms in answers" Planted;
    R17 "a follower commits beyond what the append reached" Equivalent(STALE_TAIL);
    R18 "a follower acknowledges its whole log" Equivalent(STALE_TAIL);
    R19 "answers to an earlier leadership count" Planted;
    R20 "half of the voters are a quorum" Planted;
    R20Even "half of an even number of voters is a quorum" Planted;
    R21 "what a follower has may go back" Planted;
    R22 "a leader counts itself before its own disk has written" Planted;
    R23 "a follower acknowledges before its disk has written" Planted;
    R24 "giving a vote does not restart the election timer" Planted;
    R25 "hearing the leader does not restart the election timer" Planted;
    R26 "giving a pre-vote counts as hearing a leader" Planted;
    R27 "election timeouts are not random" Planted;
    R28 "asking for pre-votes raises the term" Planted;
    R29 "pre-votes are given although the leader is heard" Planted;
    R30 "a former leader's own pre-votes are refused for ever" Equivalent(
        "whoever refuses because of a leader has forgotten it after an election timeout"
    );
    R31 "a leader without a quorum stays" Planted;
    R32 "non-voters count as hearing the leader" Planted;
    R33 "reads are answered before the term is established" Planted;
    R34 "reads are answered without asking a quorum" Planted;
    R35 "answers from before a read count for it" Planted;
    R36 "a follower reads before it has applied enough" Planted;
    R37 "the lease begins when the answers come" Planted;
    R38 "the lease is kept while leadership is handed over" Planted;
    R39 "the lease leaves no room for clocks that differ" Planted;
    R40 "a refused append keeps its place in the window" Planted;
    R41 "a lost piece of a snapshot is not sent again" Planted;
    R42 "committing stops at the first entry of an older term" Planted;
    R43 "a conflict goes back behind what is known to match" Planted;
    R44 "logs are compared by length before they are by term" Planted;
    R45 "a refused heartbeat of an earlier reign counts as an answer in this one" Planted;
    R46 "who hears a leader is up to date" Planted;

    M01 "the group is changed before the term is established" Planted;
    M02 "the group is changed while another change is on its way" Planted;
    M03 "the joint phase needs the new majority only" Planted;
    M04 "a truncated configuration stays in force" Planted;
    M05 "a snapshot's configuration is not restored" Planted;
    M06 "a removed leader keeps counting itself" Planted;
    M07 "non-voters are counted" Planted;
    M08 "servers stand without pre-votes and against a leader that is heard" Planted;
    M09 "a wiped server votes again under its old name" NotYet(
        "whoever owns the data directory gives the name: planted in a world, not in a machine"
    );
    M10 "a joint configuration is ignored at the start" Planted;

    S01 "an older snapshot is installed over newer state" Planted;
    S02 "a log that disagrees with an installed snapshot is kept" Planted;
    S03 "a snapshot is labelled with an older entry than it has" Planted;
    S04 "pieces of another snapshot are spliced in" Planted;
    S05 "the log is forgotten before the snapshot is durable" Planted;
    S06 "an append from before the first entry counts as matching" Equivalent(
        "what the log has forgotten is committed, and every leader's log agrees with that"
    );
    S07 "snapshots lack the tombstones" Planted;

    W01 "frames are believed by their length" Planted;
    W02 "checksums cover the body only" Planted;
    W03 "checksums are not chained and do not cover the segment" Planted;
    W04 "a failed sync is tried again" Planted;
    W05 "a batch is confirmed before it is synced" Planted;
    W06 "the directory is not synced" NotYet(
        "no simulated disk loses names: files and their directories are the real ones"
    );
    W07 "whatever is behind a bad frame is cut" Planted;
    W08 "a truncation is forgotten unless something follows it" Planted;
    W09 "segments are removed before it is written that they are" Equivalent(
        "nothing is written anywhere: each segment's start says what came before"
    );
    W10 "term and vote are overwritten in place" Equivalent(
        "they are records like all others, and nothing of a log is written twice"
    );
    W11 "the older of two places for the metadata wins" Equivalent("there are no such places");
    W12 "the next batch goes behind one that was written in part" Equivalent(
        "the writer stops at the first error, and the next one clears what it finds"
    );
    W13 "a flush leaves out the last page" Equivalent(
        "segments are written by `pwrite`, and a flush is always of the whole file"
    );
    W14 "a record over two segments is lost" Equivalent("a batch is in one segment");
    W15 "checksums do not cover the offset" Equivalent(
        "the chain alone puts every frame behind one other"
    );
    W16 "what only the kernel may have is relied on without vouching for it" Planted;
    W17 "a length beyond the end is followed" Planted;
    W18 "a crash in recovery spoils the next one" Equivalent(
        "recovery writes zeros behind the end and nothing else"
    );

    K01 "check-and-set at zero replaces what is there" Planted;
    K02 "a new leader does not time sessions" NotYet("sessions");
    K03 "all sessions end with their leader" NotYet("sessions");
    K04 "the lock delay is forgotten" NotYet("sessions");
    K05 "a session and what it holds end separately" NotYet("sessions");
    K06 "a session that ended gets a lock" NotYet("sessions");
    K07 "a change between an answer and the next wait is missed" Planted;
    K08 "deleting a tree wakes nobody" Planted;
    K09 "a restored state wakes nobody" Planted;
    K10 "deleting a key leaves no tombstone" Planted;
    K11 "writing what is there already is a change" Planted;
    K12 "a command that was handed to a leader is handed to the next one, too" Planted;
    K13 "stale answers claim to be fresh" Planted;
    K14 "a transaction happens in part" NotYet("transactions");
    K15 "the order of a hash table is part of the state" Equivalent(
        "there are no hash tables: a lint forbids them"
    );
    K16 "an answer is kept for longer than the state it is about" Planted;

    C01 "a warning outranks maintenance" Planted;
    C02 "a service goes and its checks stay" Planted;
    C03 "an agent brings another node of its name up to date" Planted;
    C04 "a node moves and no index tells" Planted;
    C05 "a new leader takes everybody for failed at first" Planted;
    C06 "DNS names critical instances" Planted;

    G01 "a refutation has the incarnation that it refutes" Planted;
    G02 "comparing brings the dead back with what they said when they lived" Planted;
    G03 "a suspicion overrides what the suspect has said since" Planted;
    G04 "members probe in the order of a list that they share" Planted;
    G05 "an answer to an earlier probe counts for this one" Planted;
    G06 "a suspicion goes on after it was refuted" Planted;
    G07 "the same member agrees with itself" Planted;
    G08 "news is told once, however many there are to hear it" Planted;
    G09 "an older piece of news replaces a newer one" Equivalent(
        "only what has changed a view is told, and what changes it is newer than what made it"
    );
    G10 "leaving is taken for failing" Planted;
    G11 "a name is given to another address while its owner lives" Planted;
    G12 "packets of other pools are looked at" Planted;
    G13 "events are seen again, and their time is not noted" Planted;

    D01 "servers forget which datacenter a client agent's request is for" Planted;
    D02 "what another datacenter has sent on is sent on once more" Planted;
    D03 "while one datacenter cannot be reached, others are not tried" Planted;
    D04 "a write whose connection is lost is put to another server" Planted;
    D05 "a server that cannot be reached is asked first" Planted;
    D06 "what was confirmed is only synced when the log is closed" Planted;
}

#[test]
fn names_are_unique_and_reasons_given() {
    let ids: std::collections::BTreeSet<_> = Bug::ALL.iter().map(|it| it.id()).collect();
    assert_eq!(ids.len(), Bug::ALL.len());
    for bug in Bug::ALL {
        match bug.standing() {
            Planted => {}
            Equivalent(why) | NotYet(why) => assert!(!why.is_empty(), "{}", bug.id()),
        }
    }
}

#[cfg(feature = "planted-bugs")]
#[test]
fn a_bug_is_planted_for_as_long_as_a_test_runs() {
    let planted = || (bug!(R01), bug!(R02));
    assert_eq!(planted(), (false, false));
    assert_eq!(with(Bug::R01, planted), (true, false));
    let panicked = std::panic::catch_unwind(|| with(Bug::R02, || panic!("found")));
    assert!(panicked.is_err());
    assert_eq!(planted(), (false, false));
    let carried = with(Bug::R02, || carry(planted));
    assert_eq!(with(Bug::R01, carried), (false, true));
}
