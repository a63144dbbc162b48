//! A writer on a simulated device, and what it knows to be true.

use std::collections::BTreeMap;

use bytes::Bytes;
use tribune_base::id::{Index, ServerId};
use tribune_base::rng::Rng;

use crate::{Entry, HardState, Position, Record, Recovered, SegmentId, Tail};

/// A disk's files. What a sync confirmed is in `files`; what was written since is in `pending`.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    pub(super) files: BTreeMap<SegmentId, Vec<u8>>,
    /// In the order they were written; the disk may choose another.
    pub(super) pending: Vec<Write>,
    /// A file whose directory entry is not confirmed.
    pub(super) unnamed: Option<SegmentId>,
}

#[derive(Clone, Debug)]
pub(super) struct Write {
    pub(super) segment: SegmentId,
    pub(super) offset: usize,
    pub(super) bytes: Vec<u8>,
}

/// What the log says after a batch.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    pub(super) end: Position,
    pub(super) hard_state: HardState,
    /// The index of the first of `entries`, or of the next one.
    pub(super) first: Index,
    pub(super) entries: Vec<Entry>,
}

/// Knobs that a run draws once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Habits {
    pub(super) segment_len: usize,
    /// New segments hold the remains of old ones.
    pub(super) recycles: bool,
    /// A flush over two segments syncs neither before both are written.
    pub(super) syncs_late: bool,
    pub(super) payload_len_max: u64,
    /// All batches are of one entry and one length, so that old frames stand where new ones end.
    pub(super) uniform: bool,
}

/// A log, the device it is on, and the truth about it.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) habits: Habits,
    pub(super) disk: Disk,
    tail: Tail,
    /// What the log said after each batch; the first is before any.
    pub(super) history: Vec<Moment>,
    /// How many of `history` are confirmed.
    pub(super) confirmed: usize,
    /// Entries up to here may be gone.
    pub(super) forgotten: Index,
    begins: BTreeMap<SegmentId, Index>,
    /// What removed segments held.
    remains: Vec<Vec<u8>>,
}

impl Habits {
    pub(super) fn draw(rng: &mut Rng) -> Self {
        Self {
            segment_len: [1024, 1536, 2048, 4096][rng.below(4) as usize],
            recycles: rng.chance(2, 3),
            syncs_late: rng.chance(1, 2),
            payload_len_max: [24, 120, 400][rng.below(3) as usize],
            uniform: rng.chance(1, 4),
        }
    }
}

impl World {
    pub(super) fn new(habits: Habits) -> Self {
        let end = Position::default();
        let hard_state = HardState::default();
        let start = Moment { end, hard_state, first: Index(1), entries: Vec::new() };
        Self {
            habits,
            disk: Disk::default(),
            tail: Tail::default(),
            history: vec![start],
            confirmed: 0,
            forgotten: Index(0),
            begins: BTreeMap::new(),
            remains: Vec::new(),
        }
    }

    /// The machine comes back with `files`; recovery said `recovered`, which is the truth as of
    /// `moment`. Its owner does what the format asks for.
    pub(super) fn restart(
        &mut self,
        files: BTreeMap<SegmentId, Vec<u8>>,
        recovered: &Recovered,
        moment: usize,
    ) {
        self.disk = Disk { files, ..Disk::default() };
        self.tail = recovered.tail;
        self.history.truncate(moment + 1);
        self.begins = recovered.segments.iter().copied().collect();
        let end = self.tail.position();
        clear(&mut self.disk.files, end);
        self.tail.synced();
        self.confirmed = moment;
        self.mark();
        self.sync(&mut Vec::new());
    }

    /// One flush: a few batches, durable together. `crash` sees the disk at every step of it.
    pub(super) fn flush<E>(
        &mut self,
        rng: &mut Rng,
        crash: &mut impl FnMut(&Self, &mut Rng) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut run = Vec::new();
        let mut run_at = self.tail.position();
        let mut written = Vec::new();
        for _ in 0..=rng.below(3) {
            let records = self.draw_batch(rng);
            let room = self.room();
            if room < Tail::batch_len(&records) {
                self.write(run_at, std::mem::take(&mut run), &mut written);
                crash(self, rng)?;
                if !self.habits.syncs_late {
                    self.sync(&mut written);
                    crash(self, rng)?;
                }
                let id = self.tail.position().segment.next();
                self.create(rng, id, Tail::BEGIN_LEN + Tail::batch_len(&records), crash)?;
                self.begins.insert(id, self.tail.next());
                run_at = Position { segment: id, offset: 0 };
                self.tail.begin(id, &mut run);
            }
            self.tail.append(&records, &mut run);
            self.remember(&records);
        }
        self.write(run_at, run, &mut written);
        crash(self, rng)?;
        self.sync(&mut written);
        crash(self, rng)?;
        if rng.chance(1, 4) {
            self.mark();
            crash(self, rng)?;
        }
        if rng.chance(1, 6) {
            self.forget();
            crash(self, rng)?;
        }
        Ok(())
    }

    fn room(&self) -> usize {
        let at = self.tail.position();
        self.disk.files.get(&at.segment).map_or(0, Vec::len).saturating_sub(at.offset as usize)
    }

    fn write(&mut self, at: Position, bytes: Vec<u8>, written: &mut Vec<SegmentId>) {
        if !bytes.is_empty() {
            written.push(at.segment);
            let offset = at.offset as usize;
            self.disk.pending.push(Write { segment: at.segment, offset, bytes });
        }
    }

    fn sync(&mut self, written: &mut Vec<SegmentId>) {
        written.clear();
        for write in std::mem::take(&mut self.disk.pending) {
            write.apply(&mut self.disk.files);
        }
        self.tail.synced();
        self.confirmed = self.history.len() - 1;
    }

    /// Vouch for what was confirmed, without a sync.
    fn mark(&mut self) {
        let at = self.tail.position();
        if Tail::batch_len(&[]) <= self.room() {
            let mut bytes = Vec::new();
            self.tail.append(&[], &mut bytes);
            self.remember(&[]);
            self.write(at, bytes, &mut Vec::new());
        }
    }

    fn create<E>(
        &mut self,
        rng: &mut Rng,
        id: SegmentId,
        len: usize,
        crash: &mut impl FnMut(&Self, &mut Rng) -> Result<(), E>,
    ) -> Result<(), E> {
        let len = len.max(self.habits.segment_len);
        if self.disk.files.get(&id).is_some_and(|it| len <= it.len()) {
            return Ok(());
        }
        let mut bytes = vec![0; len];
        if self.habits.recycles && !self.remains.is_empty() {
            let old = &self.remains[rng.below(self.remains.len() as u64) as usize];
            let len = old.len().min(len);
            bytes[..len].copy_from_slice(&old[..len]);
        }
        self.disk.files.insert(id, bytes);
        self.disk.unnamed = Some(id);
        crash(self, rng)?;
        self.disk.unnamed = None;
        crash(self, rng)
    }

    /// A snapshot holds some of what is confirmed; segments wholly before it go.
    fn forget(&mut self) {
        let moment = &self.history[self.confirmed];
        let next = moment.first.0 + moment.entries.len() as u64;
        self.forgotten = self.forgotten.max(Index(next.saturating_sub(2)));
        while let Some((&id, _)) = self.disk.files.first_key_value()
            && let Some(begins) = self.begins.get(&id.next())
            && *begins <= self.forgotten.next()
            && self.disk.pending.iter().all(|it| id < it.segment)
        {
            let bytes = self.disk.files.remove(&id).unwrap();
            self.remains.push(bytes);
        }
    }

    fn draw_batch(&self, rng: &mut Rng) -> Vec<Record> {
        let last = self.history.last().unwrap();
        let mut term = last.hard_state.term;
        let mut next = self.tail.next();
        let mut records = Vec::new();
        if self.habits.uniform {
            let payload = Bytes::copy_from_slice(&rng.draw().to_le_bytes());
            return vec![Record::Entry(Entry { index: next, term, payload })];
        }
        for _ in 0..=rng.below(4) {
            match rng.below(8) {
                0 => {
                    term = term.next();
                    let vote = rng.chance(1, 2).then(|| ServerId(u128::from(rng.draw())));
                    records.push(Record::HardState(HardState { term, vote }));
                }
                1 => {
                    let back = rng.below(4).min(next.0 - 1);
                    next = Index((next.0 - back).max(self.forgotten.0 + 1));
                    records.push(Record::Truncate { from: next });
                }
                2 if rng.chance(1, 8) => {
                    next = Index(next.0 + 10);
                    records.push(Record::Truncate { from: next });
                }
                _ => {
                    let payload = (0..rng.below(self.habits.payload_len_max))
                        .map(|_| rng.draw() as u8)
                        .collect::<Bytes>();
                    records.push(Record::Entry(Entry { index: next, term, payload }));
                    next = next.next();
                }
            }
        }
        records
    }

    /// The simplest thing that could be right.
    fn remember(&mut self, records: &[Record]) {
        let mut moment = self.history.last().unwrap().clone();
        for record in records {
            match record {
                Record::Entry(entry) => moment.entries.push(entry.clone()),
                Record::HardState(hard_state) => moment.hard_state = *hard_state,
                Record::Truncate { from } => {
                    let next = moment.first.0 + moment.entries.len() as u64;
                    moment.entries.retain(|it| it.index < *from);
                    if next < from.0 || *from < moment.first {
                        moment.entries.clear();
                        moment.first = *from;
                    }
                }
            }
        }
        moment.end = self.tail.position();
        self.history.push(moment);
    }
}

impl Write {
    fn apply(&self, files: &mut BTreeMap<SegmentId, Vec<u8>>) {
        let file = files.get_mut(&self.segment).unwrap();
        file[self.offset..self.offset + self.bytes.len()].copy_from_slice(&self.bytes);
    }
}

/// What the owner of the files does before it appends.
pub(super) fn clear(files: &mut BTreeMap<SegmentId, Vec<u8>>, end: Position) {
    files.retain(|id, _| *id <= end.segment);
    if let Some(bytes) = files.get_mut(&end.segment) {
        bytes[end.offset as usize..].fill(0);
    }
}
