//! A node, as the rest of the process sees it: a view to read from, and a queue to ask.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::{ArcSwap, Guard};
use tokio::sync::{mpsc, oneshot};
use tribune_api::error::Error;
use tribune_api::http::Response;
use tribune_base::hash::fnv1a;
use tribune_base::time::Instant;
use tribune_core::{Call, Input, RequestId, View};

use crate::clock::Clock;
use crate::shelf::Shelf;

/// Reads from a node's view and asks it what the view cannot answer. Cheap to clone.
#[derive(Clone, Debug)]
pub struct NodeHandle {
    shared: Arc<Shared>,
}

/// What the driver and all handles have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) view: ArcSwap<View>,
    pub(crate) shelf: Shelf,
    pub(crate) clock: Clock,
    next_id: AtomicU64,
    pub(crate) messages: mpsc::UnboundedSender<ToNode>,
}

/// What waits in the node's queue.
#[derive(Debug)]
pub(crate) enum ToNode {
    /// A client asks; the answer goes where it says.
    Request { id: RequestId, call: Call, client: Client },
    /// What a task of ours was asked to do is done.
    Report(Input),
    /// A rendered answer turned out to be the one these clients already have.
    Unchanged { clients: Vec<(RequestId, Client)>, index: tribune_base::id::Index },
    /// Stop, when others can go on without this node: whoever still waits then is told that nobody
    /// knows.
    Stop,
}

/// Where an answer goes.
pub(crate) type Client = oneshot::Sender<Response>;

impl NodeHandle {
    /// A handle, and the queue its requests arrive in. `view` is what there is to see before the
    /// node has started.
    pub(crate) fn new(clock: Clock, view: View) -> (Self, mpsc::UnboundedReceiver<ToNode>) {
        let (messages, queue) = mpsc::unbounded_channel();
        let next_id = AtomicU64::new(0);
        let view = ArcSwap::from_pointee(view);
        (
            Self {
                shared: Arc::new(Shared {
                    view,
                    shelf: Shelf::default(),
                    clock,
                    next_id,
                    messages,
                }),
            },
            queue,
        )
    }

    /// The newest state there is to read. Never blocks, and never crosses a thread.
    pub fn view(&self) -> Guard<Arc<View>> {
        self.shared.view.load()
    }

    /// What views have answered.
    pub fn shelf(&self) -> &Shelf {
        &self.shared.shelf
    }

    /// The time, as the node counts it.
    pub fn now(&self) -> Instant {
        self.shared.clock.now()
    }

    /// Ask the node, and wait for its answer. Dropping the future tells the node that nobody waits.
    ///
    /// # Errors
    ///
    /// The node stops, or has stopped.
    pub async fn call(&self, call: Call) -> Result<Response, Error> {
        let id = RequestId(self.shared.next_id.fetch_add(1, Ordering::Relaxed));
        // A write that is under way when the node stops may be on the disk already.
        let unanswered = match &call {
            Call::Write(_) => Error::LeadershipLost,
            Call::Operator { call, .. } if call.changes() => Error::LeadershipLost,
            Call::Forward { changes: true, .. } => Error::LeadershipLost,
            Call::Across { there, .. } if there.changes => Error::LeadershipLost,
            Call::Read { .. }
            | Call::Agent(_)
            | Call::Reload(_)
            | Call::Operator { .. }
            | Call::Join { .. }
            | Call::Alone { .. }
            | Call::ForceLeave { .. }
            | Call::Fire(_)
            | Call::Events(_)
            | Call::Keyring(_)
            | Call::Forward { .. }
            | Call::Across { .. } => Error::ShuttingDown,
        };
        let (client, answer) = oneshot::channel();
        let message = ToNode::Request { id, call, client };
        self.shared.messages.send(message).map_err(|_| Error::ShuttingDown)?;
        let mut abandoned = Abandoned { shared: Some(&self.shared), id };
        let response = answer.await.map_err(|_| unanswered)?;
        abandoned.shared = None;
        Ok(response)
    }

    /// A number that is another each time: to spread load, and for nothing that must stay secret.
    pub fn draw(&self) -> u64 {
        let count = self.shared.next_id.fetch_add(1, Ordering::Relaxed);
        fnv1a(&count.to_le_bytes())
    }

    /// Ask the node to stop.
    pub fn stop(&self) {
        // If the node is gone already, so much the better.
        let _ = self.shared.messages.send(ToNode::Stop);
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

/// Tells the node that a client is gone, unless it was answered before.
struct Abandoned<'a> {
    shared: Option<&'a Shared>,
    id: RequestId,
}

impl Drop for Abandoned<'_> {
    fn drop(&mut self) {
        if let Some(shared) = self.shared {
            let _ = shared.messages.send(ToNode::Report(Input::Cancel(self.id)));
        }
    }
}
