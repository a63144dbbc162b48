//! A log that remembers nothing: development mode.

use tokio::sync::mpsc::UnboundedSender;
use tribune_base::id::Index;

use super::{Batch, Event, Wal};

/// Confirms every batch at once and keeps none.
#[derive(Debug)]
pub struct MemoryWal {
    events: UnboundedSender<Event>,
}

impl MemoryWal {
    /// A log that reports to `events`.
    pub const fn new(events: UnboundedSender<Event>) -> Self {
        Self { events }
    }
}

impl Wal for MemoryWal {
    fn submit(&mut self, batch: Batch) {
        // Nobody listens any more when the agent stops.
        _ = self.events.send(Event::Persisted(batch.seq));
    }

    fn forget(&mut self, _: Index) {}
}

#[test]
fn what_is_not_kept_is_confirmed_at_once() {
    let (sender, mut events) = tokio::sync::mpsc::unbounded_channel();
    MemoryWal::new(sender).submit(Batch { seq: 7, records: Vec::new() });
    assert!(matches!(events.try_recv(), Ok(Event::Persisted(7))));
}
