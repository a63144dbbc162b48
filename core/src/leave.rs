//! Going: so that those who stay notice as little as possible.

use std::collections::BTreeSet;

use tribune_api::http::{Method, OwnedRequest, Response};
use tribune_api::operator::{OperatorCall, PeerName};
use tribune_base::time::{Duration, Instant};

use crate::area::Area;
use crate::node::Node;
use crate::output::Output;
use crate::request::{Pending, Question, RequestId};

/// A server on its way out.
#[derive(Debug)]
pub(crate) struct Leave {
    /// Whether the cluster is to go on without it for good.
    for_good: bool,
    /// When it stops, whether everything is in order or not.
    deadline: Instant,
    /// Who asked for it, and waits.
    asked_by: Option<RequestId>,
    /// The question to the leader, to be let go.
    question: Option<RequestId>,
    /// When to look again.
    next: Instant,
    /// Whether the cluster has let go.
    done: bool,
    /// Whether it has told the pools.
    told: bool,
    /// In which of them others do not know it yet, as far as can be.
    staying: BTreeSet<Area>,
    /// Whether it has stopped.
    stopped: bool,
}

impl Leave {
    pub(crate) fn poll_timeout(&self) -> Instant {
        if self.told { self.deadline } else { self.next.min(self.deadline) }
    }
}

impl Node {
    /// Whether this server is going for good.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leave.as_ref().is_some_and(|it| it.for_good)
    }

    /// Stop; the cluster stays as it is, and expects this server back.
    pub(crate) fn stop(&mut self) {
        self.go(None, false, self.raft.config().election_timeout);
    }

    /// Leave the cluster, then stop.
    pub(crate) fn leave(&mut self, asked_by: RequestId) {
        self.go(Some(asked_by), true, LEAVE_MAX);
    }

    fn go(&mut self, asked_by: Option<RequestId>, for_good: bool, patience: Duration) {
        let (now, deadline) = (self.now, self.now + patience);
        if let Some(before) = &mut self.leave {
            before.deadline = before.deadline.min(deadline);
            if let Some(id) = asked_by {
                self.reply(id, Response::empty(200));
            }
            return;
        }
        let leave = Leave {
            for_good,
            deadline,
            asked_by,
            question: None,
            next: now,
            done: false,
            told: false,
            staying: BTreeSet::new(),
            stopped: false,
        };
        self.leave = Some(leave);
        // Everybody hears of it, before it is silence.
        self.roster.hasten(now);
        if let Some(id) = asked_by {
            self.ledger.wait(id, Pending::Leave, Instant::NEVER);
        }
        self.go_on_leaving();
    }

    /// Take the next step out, if it is time.
    pub(crate) fn go_on_leaving(&mut self) {
        let Some(leave) = self.leave.as_ref().filter(|it| !it.stopped) else { return };
        if leave.told {
            if leave.deadline <= self.now {
                self.left();
            }
            return;
        }
        let configuration = self.raft.configuration();
        let own = self.raft.id();
        let needed = configuration.voters.keys().any(|it| *it != own);
        let member = configuration.is_member(own) && !leave.done;
        let finished = if leave.for_good { !member } else { !self.raft.is_leader() };
        if !needed || finished || leave.deadline <= self.now {
            return self.gone();
        }
        if self.now < leave.next {
            return;
        }
        let (for_good, question) = (leave.for_good, leave.question);
        if self.raft.is_leader() {
            // Refused while it is at it, or while nobody can take over: tried again until the end.
            let _ = self.raft.transfer(self.now, None);
        } else if for_good && question.is_none_or(|it| !self.ledger.is_waiting(it)) {
            self.ask_to_be_removed();
        }
        if let Some(leave) = &mut self.leave {
            leave.next = self.now + LEAVE_STEP;
        }
    }

    fn ask_to_be_removed(&mut self) {
        let Some(leader) = self.other_leader() else { return };
        let request = OwnedRequest {
            method: Method::Delete,
            path: "/v1/operator/raft/peer".to_owned(),
            query: format!("id={}", self.config.id),
            token: None,
            body: bytes::Bytes::new(),
            asker: Default::default(),
        };
        let id = self.own_request();
        let call = OperatorCall::RemovePeer(PeerName::Id(self.raft.id()));
        let hold_until = self.now + LEAVE_STEP;
        self.forward_question(leader, id, Question { call, request, hold_until });
        if let Some(leave) = &mut self.leave {
            leave.question = Some(id);
        }
    }

    /// The leader has answered `id`. Whether that was this server's own question, to be let go.
    pub(crate) fn was_let_go(&mut self, id: RequestId, response: &Response) -> bool {
        let own = self.leave.as_ref().is_some_and(|it| it.question == Some(id));
        if own {
            if let Some(leave) = &mut self.leave {
                leave.done = response.status == 200;
            }
            self.go_on_leaving();
        }
        own
    }

    /// Consensus goes on without this server. So does the pool, as soon as it has heard of it.
    fn gone(&mut self) {
        let Some(leave) = &mut self.leave else { return };
        if leave.for_good && !leave.told {
            leave.told = true;
            leave.deadline = self.now + TELL_MAX;
            leave.staying.insert(Area::Lan);
            if let Some(wan) = &mut self.wan {
                leave.staying.insert(Area::Wan);
                wan.leave(self.now);
            }
            return self.gossip.leave(self.now);
        }
        self.left();
    }

    /// Others in one of the pools know that this server is gone.
    pub(crate) fn left_pool(&mut self, area: Area) {
        let Some(leave) = &mut self.leave else { return };
        leave.staying.remove(&area);
        if leave.staying.is_empty() {
            self.left();
        }
    }

    /// Everybody knows that this server is gone, or has had the time to hear of it.
    fn left(&mut self) {
        let Some(leave) = &mut self.leave else { return };
        leave.stopped = true;
        leave.deadline = Instant::NEVER;
        leave.next = Instant::NEVER;
        if let Some(id) = leave.asked_by.take()
            && self.ledger.take(id).is_some()
        {
            self.reply(id, Response::empty(200));
        }
        self.outputs.push_back(Output::Stop);
    }
}

/// How long leaving may take. Then the server stops, and the cluster finds out by itself.
const LEAVE_MAX: Duration = Duration::from_secs(5);

/// How long the pool may take to hear that this server is gone.
const TELL_MAX: Duration = Duration::from_secs(15);

/// How often the next step is tried.
const LEAVE_STEP: Duration = Duration::from_millis(100);
