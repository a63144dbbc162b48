//! A prepared query that finds nothing here → other datacenters, one after the other.

use tribune_api::http::Response;
use tribune_api::plan::{Query, Read};
use tribune_api::prepared::Failover;
use tribune_base::id::Index;
use tribune_base::time::{Duration, Instant};

use crate::across::Asker;
use crate::node::Node;
use crate::request::{Pending, RequestId};

impl Node {
    /// Where to look for what `read` does not find here, if anywhere.
    pub(crate) fn failover(&self, read: &Read) -> Option<Box<Failover>> {
        let Query::ExecuteQuery(execution) = &read.query else { return None };
        let places = self.gossip.places();
        Failover::begin(execution, self.store.view(), places, read.pretty).map(Box::new)
    }

    /// Ask the next datacenter, or answer if there is none.
    pub(crate) fn fail_over(&mut self, id: RequestId, mut failover: Box<Failover>) {
        let Some((datacenter, request)) = failover.ask_next() else {
            return self.end_failover(id, &failover);
        };
        self.ledger.wait(id, Pending::Failover(failover), Instant::NEVER);
        self.forward_to(&datacenter, request, false, PATIENCE, Asker::Failover(id));
    }

    /// A datacenter has answered; `None`, if it could not.
    pub(crate) fn failed_over(&mut self, id: RequestId, response: Option<&Response>) {
        // Its client may be gone.
        let Some(Pending::Failover(mut failover)) = self.ledger.take(id) else { return };
        if failover.answered(response) {
            self.end_failover(id, &failover);
        } else {
            self.fail_over(id, failover);
        }
    }

    fn end_failover(&mut self, id: RequestId, failover: &Failover) {
        let meta = self.view().meta(self.now, Index(1), failover.consistency());
        self.reply(id, failover.response(meta));
    }
}

/// How long a datacenter may take that is asked because another has nothing, besides the way there
/// and back. There may be a nearer one that hangs, and a client that has a patience of its own.
const PATIENCE: Duration = Duration::from_secs(1);
