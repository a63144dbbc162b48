//! The writer: one flush after the other, each for everything that queued up during the last.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tribune_base::bug;
use tribune_base::id::Index;
use tribune_wal::{SegmentId, Tail};

use super::device::Segment;
use super::keeper::Shared;
use super::{Batch, Event};

/// Appends to the log.
pub(super) struct Writer {
    shared: Arc<Shared>,
    events: UnboundedSender<Event>,
    /// How long segments are, unless a batch needs a longer one.
    segment_len: u64,

    /// Behind what is encoded.
    tail: Tail,
    /// The segment the tail is in, if any.
    segment: Option<Box<dyn Segment>>,
    /// Encoded, not written. Kept for its capacity.
    buffer: Vec<u8>,
    /// Where in `segment` the buffer goes.
    buffer_at: u64,
    /// The last batch in `buffer`.
    buffered: Option<u64>,
    /// The segment in `buffer` that nothing durable was written to yet.
    begun: Option<(SegmentId, Index)>,

    /// Taken from the queue, not encoded.
    pending: VecDeque<Batch>,
    /// The first of `pending` waits for a segment.
    stuck: bool,
    /// The log ends with an empty batch that vouches for the others.
    vouched: bool,
}

/// What woke the writer.
enum Task {
    Flush,
    Vouch,
    Stop,
}

impl Writer {
    /// A writer that goes on from `tail` in `segment`.
    pub(super) fn new(
        shared: Arc<Shared>,
        events: UnboundedSender<Event>,
        segment_len: u64,
        tail: Tail,
        segment: Option<Box<dyn Segment>>,
    ) -> Self {
        Self {
            shared,
            events,
            segment_len,
            tail,
            buffer_at: tail.position().offset,
            vouched: segment.is_none(),
            segment,
            buffer: Vec::new(),
            buffered: None,
            begun: None,
            pending: VecDeque::new(),
            stuck: false,
        }
    }

    /// Vouch for what was recovered before anybody relies on it. If the disk never had it (an
    /// earlier flush failed, and the kernel remembers what it could not write), that will show as
    /// damage after the next power failure, and not pass for a torn tail.
    pub(super) fn vouch_durably(&mut self) -> io::Result<()> {
        if bug!(W16) {
            return Ok(());
        }
        self.vouch()?;
        self.segment.as_ref().map_or(Ok(()), |it| it.sync())?;
        self.tail.synced();
        Ok(())
    }

    /// Work until the log is closed or the disk fails.
    pub(super) fn run(mut self) {
        loop {
            let done = match self.wait() {
                Task::Flush => self.flush(),
                Task::Vouch => self.vouch(),
                // A crash closes nothing, unless it is simulated by someone who lets this run.
                Task::Stop if bug!(D06) => return drop(self.segment.map(|it| it.sync())),
                Task::Stop => return,
            };
            if let Err(error) = done {
                // What is on the disk now is anybody's guess, so this is the last word.
                _ = self.events.send(Event::Failed(error));
                return self.shared.close();
            }
        }
    }

    /// Sleep until there is something to do, and take all of it.
    fn wait(&mut self) -> Task {
        let mut state = self.shared.lock();
        loop {
            if state.closed {
                return Task::Stop;
            }
            self.pending.append(&mut state.queue);
            let is_stuck = self.stuck && state.prepared.is_none();
            if !self.pending.is_empty() && !is_stuck {
                return Task::Flush;
            }
            if self.vouched {
                let wait = self.shared.writer.wait(state);
                state = wait.unwrap_or_else(PoisonError::into_inner);
            } else {
                let wait = self.shared.writer.wait_timeout(state, IDLE);
                let (guard, timeout) = wait.unwrap_or_else(PoisonError::into_inner);
                state = guard;
                if timeout.timed_out() && state.queue.is_empty() && !state.closed {
                    return Task::Vouch;
                }
            }
        }
    }

    /// Make what is pending durable, as far as there is room for it.
    fn flush(&mut self) -> io::Result<()> {
        self.stuck = false;
        while let Some(batch) = self.pending.front_mut() {
            self.tail.bridge(&mut batch.records);
            let batch_len = Tail::batch_len(&batch.records);
            if self.room() < batch_len as u64 {
                self.write_and_sync()?;
                if !self.rotate(batch_len) {
                    self.stuck = true;
                    return Ok(());
                }
            }
            if let Some(batch) = self.pending.pop_front() {
                self.tail.append(&batch.records, &mut self.buffer);
                self.buffered = Some(batch.seq);
            }
            if FLUSH_LEN_MAX <= self.buffer.len() {
                break;
            }
        }
        self.write_and_sync()
    }

    /// How much fits into the segment.
    fn room(&self) -> u64 {
        let len = self.segment.as_ref().map_or(0, |it| it.len());
        len.saturating_sub(self.tail.position().offset)
    }

    /// One write, one flush, one word about it.
    fn write_and_sync(&mut self) -> io::Result<()> {
        let Some(segment) = self.segment.as_ref().filter(|_| !self.buffer.is_empty()) else {
            return Ok(());
        };
        segment.write(&self.buffer, self.buffer_at)?;
        if let Some(seq) = self.buffered.filter(|_| bug!(W05)) {
            _ = self.events.send(Event::Persisted(seq));
        }
        let synced = if bug!(D06) { Ok(()) } else { segment.sync() };
        match synced {
            Err(_) if bug!(W04) => segment.sync()?,
            done => done?,
        }
        self.tail.synced();
        self.vouched = false;
        self.empty_buffer();
        if let Some(seq) = self.buffered.take() {
            // Nobody listens any more when the agent stops.
            _ = self.events.send(Event::Persisted(seq));
        }
        if let Some(begun) = self.begun.take() {
            self.shared.lock().segments.push_back(begun);
            self.shared.keeper.notify_one();
        }
        Ok(())
    }

    /// Go on in the next segment, if it is there and long enough. Otherwise ask for it.
    fn rotate(&mut self, batch_len: usize) -> bool {
        let id = self.tail.position().segment.next();
        let needed = (Tail::BEGIN_LEN + batch_len) as u64;
        let mut state = self.shared.lock();
        let prepared = state.prepared.take().filter(|it| needed <= it.len());
        state.wanted = match (&prepared, state.wanted) {
            (Some(_), _) => Some((id.next(), self.segment_len)),
            (None, Some((_, len))) if needed <= len => return false,
            (None, _) => Some((id, needed.next_multiple_of(PAGE_LEN).max(self.segment_len))),
        };
        drop(state);
        self.shared.keeper.notify_one();
        let Some(segment) = prepared else { return false };

        self.begun = Some((id, self.tail.next()));
        self.segment = Some(segment);
        self.tail.begin(id, &mut self.buffer);
        self.buffer_at = 0;
        true
    }

    /// Nothing happened for a while: say on disk that everything was confirmed. The next flush
    /// takes this with it, or the kernel does in its own time.
    fn vouch(&mut self) -> io::Result<()> {
        self.vouched = true;
        let fits = Tail::batch_len(&[]) as u64 <= self.room();
        if let Some(segment) = self.segment.as_ref().filter(|_| fits) {
            self.tail.append(&[], &mut self.buffer);
            segment.write(&self.buffer, self.buffer_at)?;
            self.empty_buffer();
        }
        Ok(())
    }

    fn empty_buffer(&mut self) {
        self.buffer_at = self.tail.position().offset;
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_LEN_KEPT);
    }
}

/// Whether `error` says that there is no room, now.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// How long nothing must happen before the writer vouches for what did.
const IDLE: Duration = Duration::from_secs(1);
/// A flush is cut off behind the batch that reaches this, to bound memory and the wait for the
/// first confirmation.
const FLUSH_LEN_MAX: usize = 4 << 20;
/// What the buffer keeps of its memory between flushes.
const BUFFER_LEN_KEPT: usize = 1 << 20;
const PAGE_LEN: u64 = 4096;
