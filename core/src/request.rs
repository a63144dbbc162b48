//! The ledger of requests: each is answered exactly once.

use std::collections::{BTreeMap, BTreeSet};

use tribune_agent::{ChangeSeq, Local, SyncId};
use tribune_api::http::{OwnedRequest, Response};
use tribune_api::operator::OperatorCall;
use tribune_api::plan::{Read, Write, WriteAnswer};
use tribune_api::prepared::Failover;
use tribune_base::id::{Index, LogId, ServerId};
use tribune_base::time::Instant;

/// A client's request, from the moment it reaches the node until it is answered.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct RequestId(pub u64);

impl RequestId {
    /// Whether no client of this agent has it: another agent asks, or the node itself.
    pub const fn is_own(self) -> bool {
        OWN <= self.0
    }
}

/// Marks the requests that came from no client of this agent. The shell counts those from zero.
pub(crate) const OWN: u64 = 1 << 63;

/// What a request is waiting for.
#[derive(Debug)]
pub(crate) enum Pending {
    /// Somebody to lead.
    Leader(Held),
    /// Its command to be committed.
    Commit {
        /// What the client is told then.
        answer: WriteAnswer,
        /// And how it is written.
        pretty: bool,
    },
    /// The leader to commit its command.
    Forward(Write),
    /// The leader to answer it.
    Asked,
    /// A change of the cluster to be committed.
    Reconfigure(Response),
    /// Another server to lead.
    HandOver {
        /// How the answer is written.
        pretty: bool,
    },
    /// The cluster to let go of this server.
    Leave,
    /// A quorum to confirm who leads.
    Confirmation(Waiting),
    /// The state to catch up with what was committed when it asked.
    Apply {
        /// How far.
        index: Index,
        /// To answer what.
        waiting: Waiting,
    },
    /// Something to change.
    Change(Waiting),
    /// Another datacenter to find something.
    Failover(Box<Failover>),
    /// The shell to render its answer.
    Rendering(Waiting),
    /// The shell to answer a packet.
    Resolving,
    /// Another datacenter to answer it.
    Across,
    /// This agent's own change to be durable, and in the catalog.
    Settling {
        /// Which change.
        change: ChangeSeq,
        /// What the client is told then.
        response: Response,
    },
}

/// What is tried again when somebody leads.
#[derive(Debug)]
pub(crate) enum Held {
    Write(Write),
    Read(Waiting),
    Operator(Question),
}

/// A question about the servers, on its way to whoever leads.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// What is wanted.
    pub(crate) call: OperatorCall,
    /// As it came.
    pub(crate) request: OwnedRequest,
    /// Until when somebody may be found who leads.
    pub(crate) hold_until: Instant,
}

/// A read on its way through the node.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    /// What is read.
    pub(crate) read: Read,
    /// A hash of the answer the client has.
    pub(crate) seen: Option<u64>,
    /// When it is answered whether anything changed or not.
    pub(crate) patience: Instant,
    /// Until when somebody may be found who can answer.
    pub(crate) hold_until: Instant,
}

/// Who proposed a command, and wants to hear what became of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Proposer {
    /// A client.
    Client(RequestId),
    /// The local agent, bringing the catalog up to date.
    Sync(SyncId),
    /// Another agent.
    Agent {
        /// Which.
        from: ServerId,
        /// Its number for the command.
        serial: u64,
    },
    /// The leader, doing its duty: nobody waits.
    Duty,
}

/// Everything that was asked and not yet answered.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// What each waits for, and until when it can.
    pending: BTreeMap<RequestId, (Pending, Instant)>,
    /// Invariant: exactly the deadlines of `pending` that are not [`Instant::NEVER`].
    deadlines: BTreeSet<(Instant, RequestId)>,
    /// Invariant: every client here is a `Pending::Commit`, or cancelled.
    proposed: BTreeMap<LogId, Proposer>,
    /// How many of `pending` are a `Pending::Apply`, and how many a `Pending::Settling`: a commit
    /// must not look through everybody to find that nobody waits for it.
    applying: usize,
    settling: usize,
}

impl Ledger {
    /// Note that `id` waits for something, until `deadline`.
    pub(crate) fn wait(&mut self, id: RequestId, pending: Pending, deadline: Instant) {
        self.count(&pending, 1);
        let before = self.pending.insert(id, (pending, deadline));
        assert!(before.is_none(), "{id:?} waits for two things");
        if deadline != Instant::NEVER {
            self.deadlines.insert((deadline, id));
        }
    }

    /// Note that `id` waits no longer. `None` if it did not: its client is gone.
    pub(crate) fn take(&mut self, id: RequestId) -> Option<Pending> {
        let (pending, deadline) = self.pending.remove(&id)?;
        self.deadlines.remove(&(deadline, id));
        self.count(&pending, -1);
        Some(pending)
    }

    fn count(&mut self, pending: &Pending, change: isize) {
        let count = match pending {
            Pending::Apply { .. } => &mut self.applying,
            Pending::Settling { .. } => &mut self.settling,
            Pending::Leader(_)
            | Pending::Commit { .. }
            | Pending::Forward(_)
            | Pending::Asked
            | Pending::Reconfigure(_)
            | Pending::HandOver { .. }
            | Pending::Leave
            | Pending::Confirmation(_)
            | Pending::Failover(_)
            | Pending::Change(_)
            | Pending::Rendering(_)
            | Pending::Resolving
            | Pending::Across => return,
        };
        *count = count.strict_add_signed(change);
    }

    /// Whether anybody waits for the state to catch up.
    pub(crate) fn waits_for_apply(&self) -> bool {
        self.applying != 0
    }

    /// Those who wait for a change of `local` that is on the disk and in the catalog, and what they
    /// are told.
    pub(crate) fn take_settled(&mut self, local: &Local) -> Vec<(RequestId, Response)> {
        if self.settling == 0 {
            return Vec::new();
        }
        let settled = |change| {
            let settled = local.is_settled(change);
            settled.saved && settled.synced
        };
        let wanted =
            |it: &Pending| matches!(it, Pending::Settling { change, .. } if settled(*change));
        let ids = self.waiting(wanted);
        let taken = ids.into_iter().map(|id| match self.take(id) {
            Some(Pending::Settling { response, .. }) => (id, response),
            other => unreachable!("{id:?} has settled, and waits for {other:?}"),
        });
        taken.collect()
    }

    /// The requests that wait for what `wanted` says, in the order they came.
    pub(crate) fn waiting(&self, wanted: impl Fn(&Pending) -> bool) -> Vec<RequestId> {
        self.pending.iter().filter(|(_, (it, _))| wanted(it)).map(|(id, _)| *id).collect()
    }

    /// Whether `id` waits for a change of the state.
    pub(crate) fn is_parked(&self, id: RequestId) -> bool {
        matches!(self.pending.get(&id), Some((Pending::Change(_), _)))
    }

    /// Whether `id` waits for anything.
    pub(crate) fn is_waiting(&self, id: RequestId) -> bool {
        self.pending.contains_key(&id)
    }

    /// Note who proposed the entry `at`.
    pub(crate) fn propose(&mut self, at: LogId, proposer: Proposer) {
        let before = self.proposed.insert(at, proposer);
        assert!(before.is_none(), "{at} was proposed twice");
    }

    /// Who proposed the entry `at`, if it was one of us.
    pub(crate) fn committed(&mut self, at: LogId) -> Option<Proposer> {
        self.proposed.remove(&at)
    }

    /// Everybody whose command is not committed yet. It may still be, but not under our eyes.
    pub(crate) fn abandon_proposed(&mut self) -> Vec<Proposer> {
        std::mem::take(&mut self.proposed).into_values().collect()
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    /// How many wait for a change.
    pub(crate) fn count_changes(&self) -> usize {
        self.pending.values().filter(|(it, _)| matches!(it, Pending::Change(_))).count()
    }

    /// The requests whose deadline has passed.
    pub(crate) fn overdue(&self, now: Instant) -> Vec<RequestId> {
        self.deadlines.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| *id).collect()
    }

    /// The earliest deadline.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }
}
