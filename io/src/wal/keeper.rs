//! The keeper: creates segments ahead of need, removes old ones, and waits out a full disk.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tribune_base::id::Index;
use tribune_wal::SegmentId;

use super::device::{Device, Segment};
use super::writer;
use super::{Batch, Event};

/// What the log's threads and its owner share.
pub(super) struct Shared {
    state: Mutex<State>,
    /// Something for the writer.
    pub(super) writer: Condvar,
    /// Something for the keeper.
    pub(super) keeper: Condvar,
}

/// The two mailboxes, the writer's and the keeper's.
#[derive(Default)]
pub(super) struct State {
    /// For the writer: what to write, in order.
    pub(super) queue: VecDeque<Batch>,
    /// For the writer: the next segment.
    pub(super) prepared: Option<Box<dyn Segment>>,
    /// For the keeper: which segment to prepare, and of what length.
    pub(super) wanted: Option<(SegmentId, u64)>,
    /// For the keeper: segments in use, with the index each begins at.
    pub(super) segments: VecDeque<(SegmentId, Index)>,
    /// For the keeper: entries up to here are in a snapshot.
    pub(super) forget: Index,
    /// For both: it is over.
    pub(super) closed: bool,
}

impl Shared {
    pub(super) fn new(state: State) -> Arc<Self> {
        let state = Mutex::new(state);
        Arc::new(Self { state, writer: Condvar::new(), keeper: Condvar::new() })
    }

    /// A thread that panicked left the mailboxes as good as they were: nothing is done under the
    /// lock but moving values.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stop both threads.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.writer.notify_one();
        self.keeper.notify_one();
    }
}

/// Looks after the segments that are not being written.
pub(super) struct Keeper {
    pub(super) shared: Arc<Shared>,
    pub(super) device: Arc<dyn Device>,
    pub(super) events: UnboundedSender<Event>,
    /// Where the segments are, for messages.
    pub(super) path: PathBuf,
    /// Whether operators were told that the disk is full.
    pub(super) full: bool,
}

/// Something for the keeper to do.
enum Task {
    Create(SegmentId, u64),
    Remove(SegmentId),
    Stop,
}

impl Keeper {
    /// Work until the log is closed.
    pub(super) fn run(mut self) {
        loop {
            let done = match self.next() {
                Task::Create(id, len) => self.create(id, len),
                Task::Remove(id) => self.device.remove(id),
                Task::Stop => return,
            };
            if let Err(error) = done {
                // Old segments that stay and new ones that never come both end in a full log. What
                // is worse, nobody knows what the disk does to the segment in use.
                _ = self.events.send(Event::Failed(error));
                return self.shared.close();
            }
        }
    }

    fn next(&mut self) -> Task {
        let mut state = self.shared.lock();
        let mut waited = !self.full;
        loop {
            if state.closed {
                return Task::Stop;
            }
            // Removing comes first: it makes room.
            if let Some(&(_, begins)) = state.segments.get(1)
                && begins <= state.forget.next()
                && let Some((id, _)) = state.segments.pop_front()
            {
                return Task::Remove(id);
            }
            match state.wanted {
                Some((id, len)) if waited => return Task::Create(id, len),
                Some(_) => {
                    let wait = self.shared.keeper.wait_timeout(state, RETRY);
                    let (guard, timeout) = wait.unwrap_or_else(PoisonError::into_inner);
                    state = guard;
                    waited = timeout.timed_out();
                }
                None => {
                    let wait = self.shared.keeper.wait(state);
                    state = wait.unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    fn create(&mut self, id: SegmentId, len: u64) -> io::Result<()> {
        match self.device.create(id, len) {
            Ok(segment) => {
                if std::mem::take(&mut self.full) {
                    _ = self.events.send(Event::Space);
                }
                let mut state = self.shared.lock();
                // The writer may have asked for a larger one meanwhile.
                if state.wanted == Some((id, len)) {
                    state.wanted = None;
                    state.prepared = Some(segment);
                    self.shared.writer.notify_one();
                }
                Ok(())
            }
            Err(error) if writer::is_full(&error) => {
                if !std::mem::replace(&mut self.full, true) {
                    let path = self.path.join(id.to_string());
                    _ = self.events.send(Event::NoSpace(format!(
                        "the disk is full: {} needs {len} bytes ({error}); writes are refused \
                         until there is room, so free some on that file system or enlarge it",
                        path.display()
                    )));
                }
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

/// How often a full disk is asked again.
const RETRY: Duration = Duration::from_secs(1);
