//! What members say to each other, in packets.

use std::net::SocketAddr;
use std::ops::Deref;

use bytes::Bytes;
use tribune_base::coordinate::Coordinate;
use tribune_base::id::NodeId;

use crate::lamport::LTime;

/// A text that lies in the packet it came in.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Text(Bytes);

/// One message of a packet.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// Are you there?
    Ping {
        /// Comes back with the answer.
        seq: u64,
        /// Who is meant: whoever has taken over the address of a member must not answer for it.
        target: Text,
    },
    /// Ask somebody whether it is there, and tell me.
    PingReq {
        /// Comes back with the answer.
        seq: u64,
        /// Who.
        target: Text,
        /// Where.
        addr: SocketAddr,
        /// Whether to say so, if there is no answer in time.
        nack: bool,
    },
    /// I am; or whom you asked about is.
    Ack {
        /// Of the question.
        seq: u64,
        /// Where the answering member is. None if it is somebody else's answer that is passed on.
        coordinate: Option<Coordinate>,
    },
    /// I am there, but whom you asked about does not answer.
    Nack {
        /// Of the question.
        seq: u64,
    },
    /// I am, and this is what I have to say of myself.
    Alive(Alive),
    /// It does not answer.
    Suspect(Accusation),
    /// It has not answered for too long; or, from itself, it has left.
    Dead(Accusation),
    /// It has joined, or is here to stay.
    Join {
        /// When.
        ltime: LTime,
        /// Who.
        name: Text,
    },
    /// It is about to leave, or has been asked to.
    Leave {
        /// When.
        ltime: LTime,
        /// Who.
        name: Text,
        /// Whether it is to be forgotten at once.
        prune: bool,
    },
    /// Something happened.
    Event(Event),
    /// A question to all.
    Query(QueryMessage),
    /// An answer to a question to all.
    Answer {
        /// Of the question.
        ltime: LTime,
        /// Of the question.
        id: u64,
        /// Who answers.
        from: Text,
        /// What.
        payload: Bytes,
    },
    /// Pass this on: the way from me to whom it is for may be worse than yours.
    Relay {
        /// To where.
        to: SocketAddr,
        /// A packet.
        packet: Bytes,
    },
}

impl Message {
    /// When it is heard among the messages of one packet. Whoever has said that it leaves is not
    /// failing when it is gone; and whoever says that it stays is no failure either, because it is
    /// there.
    pub(crate) const fn turn(&self) -> u8 {
        match self {
            Self::Leave { .. } => 0,
            Self::Ping { .. }
            | Self::PingReq { .. }
            | Self::Ack { .. }
            | Self::Nack { .. }
            | Self::Alive(_)
            | Self::Suspect(_)
            | Self::Dead(_)
            | Self::Event(_)
            | Self::Query(_)
            | Self::Answer { .. }
            | Self::Relay { .. } => 1,
            Self::Join { .. } => 2,
        }
    }
}

/// What a member says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Alive {
    /// Counts what it has said of itself.
    pub incarnation: u64,
    /// Its name.
    pub name: Text,
    /// Its id.
    pub id: NodeId,
    /// Where it can be reached.
    pub addr: SocketAddr,
    /// Its tags, encoded: most of what is said is known already, and they need not be looked at.
    pub tags: Bytes,
}

/// What a member says of another one.
#[derive(Clone, Debug, PartialEq)]
pub struct Accusation {
    /// What the accused last said of itself, as far as the accuser knows.
    pub incarnation: u64,
    /// The accused.
    pub name: Text,
    /// The accuser.
    pub from: Text,
}

/// A user event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When it was fired.
    pub ltime: LTime,
    /// What happened.
    pub name: Text,
    /// The rest of it.
    pub payload: Bytes,
    /// Whether only the last of several with this name is of interest.
    pub coalesce: bool,
}

/// A question to all.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryMessage {
    /// When it was asked.
    pub ltime: LTime,
    /// Tells it from others of the same time.
    pub id: u64,
    /// Where answers go.
    pub addr: SocketAddr,
    /// Who asks.
    pub from: Text,
    /// What.
    pub name: Text,
    /// The rest of it.
    pub payload: Bytes,
    /// How long answers are waited for, in milliseconds.
    pub timeout_ms: u64,
    /// Through how many others answers also go.
    pub relays: u64,
    /// Who is asked; all, if there are none.
    pub to: Vec<Text>,
}

impl Text {
    /// Bytes that are UTF-8.
    pub(crate) fn new(bytes: Bytes) -> Option<Self> {
        str::from_utf8(&bytes).is_ok().then_some(Self(bytes))
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        str::from_utf8(&self.0).expect("a text is checked when it is made")
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }
}
