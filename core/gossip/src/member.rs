//! What is known of a member.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;

use tribune_base::id::NodeId;
use tribune_base::time::Instant;

use crate::lamport::LTime;

/// Who a member says it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Identity {
    /// Its name, which is unique in its pool.
    pub name: Arc<str>,
    /// Its id, which it keeps under another name and on another address.
    pub id: NodeId,
    /// Where it can be reached.
    pub addr: SocketAddr,
    /// What else it says of itself.
    pub tags: Tags,
}

/// What a member says of itself: few, short, and shared between those who say the same.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tags(Arc<BTreeMap<Arc<str>, Arc<str>>>);

/// A member, as this one sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Member {
    /// Its name.
    pub name: Arc<str>,
    /// Its id.
    pub id: NodeId,
    /// Where it can be reached.
    pub addr: SocketAddr,
    /// What it says of itself.
    pub tags: Tags,
    /// How it is.
    pub status: Status,
    /// Counts how often it had to say that it lives, or had something new to say.
    pub incarnation: u64,
    /// When it last joined or left.
    pub status_ltime: LTime,
}

/// How a member is. The numbers are those that programs know.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Status {
    /// Nothing is known.
    #[default]
    None = 0,
    /// It is there, as far as anybody can tell.
    Alive = 1,
    /// It has said that it is about to leave, or somebody has said so for it.
    Leaving = 2,
    /// It has left.
    Left = 3,
    /// It is not there, and nobody had said that it would not be.
    Failed = 4,
}

/// What the failure detector thinks of a member; in the order in which one overrides another of the
/// same incarnation (SWIM, section 4.2).
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum State {
    Alive,
    Suspect,
    Dead,
    /// Dead by its own account.
    Left,
}

/// What is said of a member: of two claims the greater one holds, whichever comes first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Claim {
    pub(crate) incarnation: u64,
    pub(crate) state: State,
}

/// A member and what nobody outside needs to know of it.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) member: Member,
    pub(crate) state: State,
    /// When it went from living to dead or back.
    pub(crate) since: Instant,
    /// The last thing that it meant to do, or that was said for it, was to leave.
    pub(crate) going: bool,
    /// It is to be forgotten as soon as it has left.
    pub(crate) pruned: bool,
}

impl Identity {
    /// An agent with these tags.
    pub fn new(
        name: impl Into<Arc<str>>,
        id: NodeId,
        addr: SocketAddr,
        tags: impl Into<Tags>,
    ) -> Self {
        Self { name: name.into(), id, addr, tags: tags.into() }
    }
}

impl Member {
    /// A member that is alive.
    pub(crate) fn new(identity: Identity, incarnation: u64) -> Self {
        let Identity { name, id, addr, tags } = identity;
        let (status, status_ltime) = (Status::Alive, LTime(0));
        Self { name, id, addr, tags, status, incarnation, status_ltime }
    }

    /// Who it says it is.
    pub fn identity(&self) -> Identity {
        let Self { name, id, addr, tags, .. } = self;
        Identity { name: name.clone(), id: *id, addr: *addr, tags: tags.clone() }
    }
}

impl State {
    /// Whether it is alive, or might be.
    pub(crate) const fn is_live(self) -> bool {
        match self {
            Self::Alive | Self::Suspect => true,
            Self::Dead | Self::Left => false,
        }
    }
}

impl Record {
    pub(crate) const fn claim(&self) -> Claim {
        Claim { incarnation: self.member.incarnation, state: self.state }
    }

    /// How it is follows from what it is and what it means to be.
    pub(crate) const fn settle(&mut self) {
        self.member.status = match (self.state, self.going) {
            (State::Alive | State::Suspect, false) => Status::Alive,
            (State::Alive | State::Suspect, true) => Status::Leaving,
            (State::Dead, false) => Status::Failed,
            (State::Dead, true) | (State::Left, _) => Status::Left,
        };
    }
}

impl Status {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Alive => "alive",
            Self::Leaving => "leaving",
            Self::Left => "left",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Deref for Tags {
    type Target = BTreeMap<Arc<str>, Arc<str>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl From<BTreeMap<Arc<str>, Arc<str>>> for Tags {
    fn from(tags: BTreeMap<Arc<str>, Arc<str>>) -> Self {
        Self(Arc::new(tags))
    }
}

impl FromIterator<(Arc<str>, Arc<str>)> for Tags {
    fn from_iter<T: IntoIterator<Item = (Arc<str>, Arc<str>)>>(tags: T) -> Self {
        Self(Arc::new(tags.into_iter().collect()))
    }
}

#[test]
fn the_greater_claim_holds() {
    let claim = |incarnation, state| Claim { incarnation, state };
    let ascending = [
        claim(1, State::Alive),
        claim(1, State::Suspect),
        claim(1, State::Dead),
        claim(1, State::Left),
        claim(2, State::Alive),
        claim(2, State::Suspect),
    ];
    assert!(ascending.is_sorted());
}
