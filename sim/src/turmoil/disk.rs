//! A simulated disk: the log's real bytes, in memory, with a crash model.
//!
//! What was written and not synced when the host crashes is gone in part: each 512-byte sector of
//! it keeps its old bytes, has the new ones, or is torn (`reliability`: WA-3, WA-4). What was synced
//! stays. The disk outlives its host, as disks do: the factory that starts the host again holds it.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};
use tribune_base::id::{Index, LogId};
use tribune_base::rng::Rng;
use tribune_base::time::Duration;
use tribune_io::driver::Storage;
use tribune_io::snapshot;
use tribune_io::wal::{Batch, Event, Wal};
use tribune_raft::SnapshotMeta;
use tribune_state::{Snapshot, Store};
use tribune_wal::{Recovered, SegmentId, Tail};

/// One host's disk. A clone is the same disk.
#[derive(Clone, Debug)]
pub struct Disk(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    rng: Rng,
    segments: BTreeMap<SegmentId, Segment>,
    /// Registrations, by name.
    files: BTreeMap<String, Bytes>,
    /// The newest snapshot: what it covers, and the state in chunks.
    snapshot: Option<(SnapshotMeta, Vec<Bytes>)>,
    /// The pieces of another server's snapshot. Never synced: a crash takes them.
    received: Vec<u8>,
    /// How many of those became *the* snapshot.
    installed: u32,
    /// Told apart by this: what an earlier life of the host still does must not be done.
    life: u64,
    /// A planted bug (W05): writes are confirmed before they are durable, and most of them stay in
    /// the cache for a while.
    lies: bool,
}

#[derive(Debug)]
struct Segment {
    /// The index of its first entry.
    begins: Index,
    /// What a read sees.
    written: Vec<u8>,
    /// What a crash leaves for certain.
    synced: Vec<u8>,
    /// Invariant: outside of this the two are equal.
    dirty: std::ops::Range<usize>,
}

/// The log on a simulated disk.
#[derive(Debug)]
pub struct SimWal {
    disk: Disk,
    life: u64,
    queue: Arc<Mutex<VecDeque<Batch>>>,
    ready: Arc<Notify>,
}

/// Everything else on a simulated disk.
#[derive(Clone, Debug)]
pub struct SimStorage {
    disk: Disk,
    life: u64,
}

impl Disk {
    /// An empty disk whose crashes follow from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            rng: Rng::stream(seed, "disk"),
            segments: BTreeMap::new(),
            files: BTreeMap::new(),
            snapshot: None,
            received: Vec::new(),
            installed: 0,
            life: 0,
            lies: false,
        })))
    }

    /// From now on writes are confirmed before they are durable: a bug that must be noticed.
    pub fn start_lying(&self) {
        self.lock().lies = true;
    }

    /// The host starts, for the first time or after a crash: lose what a crash loses, and read back
    /// what is left.
    pub fn start(&self, events: mpsc::UnboundedSender<Event>) -> (SimWal, SimStorage, Found) {
        let mut state = self.lock();
        state.life += 1;
        state.crash();
        let recovered = state.recover();
        let found = Found {
            files: state.files.clone(),
            snapshot: state.snapshot.clone(),
            log: recovered.clone(),
        };
        let life = state.life;
        drop(state);
        let (queue, ready) = (Arc::default(), Arc::new(Notify::new()));
        let wal = SimWal {
            disk: self.clone(),
            life,
            queue: Arc::clone(&queue),
            ready: Arc::clone(&ready),
        };
        let writer =
            Writer { disk: self.clone(), life, queue, ready, events, tail: recovered.tail };
        tokio::spawn(writer.run());
        (wal, SimStorage { disk: self.clone(), life }, found)
    }

    /// How often its host has started.
    pub fn life(&self) -> u64 {
        self.lock().life
    }

    /// How many snapshots of other servers were installed here.
    pub fn installed(&self) -> u32 {
        self.lock().installed
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("a simulation has one thread")
    }
}

/// What a host finds on its disk when it starts.
#[derive(Clone, Debug)]
pub struct Found {
    /// Registrations, by name.
    pub files: BTreeMap<String, Bytes>,
    /// The newest snapshot: what it covers, and the state in chunks.
    pub snapshot: Option<(SnapshotMeta, Vec<Bytes>)>,
    /// What is left of the log.
    pub log: Recovered,
}

impl State {
    fn crash(&mut self) {
        self.received.clear();
        for segment in self.segments.values_mut() {
            let start = segment.dirty.start / SECTOR * SECTOR;
            for at in (start..segment.dirty.end).step_by(SECTOR) {
                let end = (at + SECTOR).min(segment.written.len());
                match self.rng.below(8) {
                    // A cache that keeps the order loses its end and nothing else: the log itself
                    // cannot tell, so that the oracles have to.
                    _ if self.lies => {}
                    0..4 => {}
                    4..7 => segment.synced[at..end].copy_from_slice(&segment.written[at..end]),
                    // Torn inside the sector.
                    _ => {
                        let cut = at + self.rng.below((end - at) as u64) as usize;
                        segment.synced[at..cut].copy_from_slice(&segment.written[at..cut]);
                    }
                }
            }
            segment.written.clone_from(&segment.synced);
            segment.dirty = 0..0;
        }
    }

    fn recover(&mut self) -> Recovered {
        let bytes = |it: &Segment| Bytes::from(it.written.clone());
        let segments: Vec<_> = self.segments.iter().map(|(id, it)| (*id, bytes(it))).collect();
        let recovered = tribune_wal::recover(&segments);
        assert_eq!(recovered.damage, None, "a crash is not damage");
        let end = recovered.tail.position();
        self.segments.retain(|id, _| *id <= end.segment);
        if let Some(segment) = self.segments.get_mut(&end.segment) {
            segment.written[end.offset as usize..].fill(0);
            segment.synced.clone_from(&segment.written);
        }
        recovered
    }

    /// Remove the segments whose entries are all in a snapshot.
    fn forget(&mut self, through: Index) {
        while let [first, second] = self.segments.keys().take(2).copied().collect::<Vec<_>>()[..]
            && self.segments[&second].begins <= through.next()
        {
            self.segments.remove(&first);
        }
    }

    fn write(&mut self, segment: SegmentId, begins: Index, offset: u64, bytes: &[u8]) {
        let new =
            || Segment { begins, written: vec![0; SEGMENT], synced: vec![0; SEGMENT], dirty: 0..0 };
        let segment = self.segments.entry(segment).or_insert_with(new);
        let range = offset as usize..offset as usize + bytes.len();
        segment.written[range.clone()].copy_from_slice(bytes);
        let dirty = &mut segment.dirty;
        *dirty = if dirty.start == dirty.end {
            range
        } else {
            dirty.start.min(range.start)..dirty.end.max(range.end)
        };
    }

    /// What the device does when it is told to make everything durable.
    fn flush(&mut self) {
        if !self.lies || self.rng.chance(1, LIES_PER_SYNC) {
            self.sync();
        }
    }

    fn sync(&mut self) {
        for segment in self.segments.values_mut().filter(|it| it.dirty.start < it.dirty.end) {
            let dirty = std::mem::take(&mut segment.dirty);
            segment.synced[dirty.clone()].copy_from_slice(&segment.written[dirty]);
        }
    }
}

/// Does for the simulated disk what the writer's thread does for the real one.
struct Writer {
    disk: Disk,
    life: u64,
    queue: Arc<Mutex<VecDeque<Batch>>>,
    ready: Arc<Notify>,
    events: mpsc::UnboundedSender<Event>,
    tail: Tail,
}

impl Writer {
    async fn run(mut self) {
        loop {
            let batches = std::mem::take(&mut *self.queue.lock().expect("one thread"));
            let Some(last) = batches.back().map(|it| it.seq) else {
                self.ready.notified().await;
                continue;
            };
            for batch in batches {
                self.write(batch);
            }
            let lies = self.disk.lock().lies;
            if lies && self.events.send(Event::Persisted(last)).is_err() {
                return;
            }
            let latency = self.disk.lock().rng.up_to(LATENCY_MAX);
            tokio::time::sleep(latency).await;
            if self.disk.lock().life != self.life {
                return;
            }
            self.disk.lock().flush();
            self.tail.synced();
            if !lies && self.events.send(Event::Persisted(last)).is_err() {
                return;
            }
        }
    }

    fn write(&mut self, mut batch: Batch) {
        self.tail.bridge(&mut batch.records);
        let len = Tail::batch_len(&batch.records);
        let at = self.tail.position();
        let mut bytes = Vec::new();
        let fits = at.segment != SegmentId(0) && at.offset as usize + len <= SEGMENT;
        let at = if fits {
            at
        } else {
            assert!(Tail::BEGIN_LEN + len <= SEGMENT, "a batch of {len} bytes is too large");
            self.tail.begin(SegmentId(at.segment.0 + 1), &mut bytes);
            let mut at = self.tail.position();
            at.offset = 0;
            at
        };
        let begins = self.tail.next();
        self.tail.append(&batch.records, &mut bytes);
        let mut state = self.disk.lock();
        if state.life == self.life {
            state.write(at.segment, begins, at.offset, &bytes);
        }
    }
}

impl Wal for SimWal {
    fn submit(&mut self, batch: Batch) {
        self.queue.lock().expect("one thread").push_back(batch);
        self.ready.notify_one();
    }

    fn forget(&mut self, through: Index) {
        let mut state = self.disk.lock();
        if state.life == self.life {
            state.forget(through);
        }
    }
}

impl Storage for SimStorage {
    async fn save(&self, writes: Vec<(String, Option<Bytes>)>) -> io::Result<()> {
        self.delay().await;
        let mut state = self.disk.lock();
        if state.life == self.life {
            for (name, content) in writes {
                match content {
                    Some(content) => _ = state.files.insert(name, content),
                    None => _ = state.files.remove(&name),
                }
            }
        }
        Ok(())
    }

    async fn save_snapshot(&self, meta: SnapshotMeta, snapshot: Snapshot) -> io::Result<()> {
        self.delay().await;
        let mut state = self.disk.lock();
        if state.life == self.life {
            state.snapshot = Some((meta, snapshot.records().collect()));
        }
        Ok(())
    }

    async fn read_snapshot(
        &self,
        last: LogId,
        offset: u64,
        len: u64,
    ) -> io::Result<Option<(Bytes, bool)>> {
        self.delay().await;
        let state = self.disk.lock();
        let saved = state.snapshot.as_ref().filter(|(meta, _)| meta.last == last);
        Ok(saved.map(|(meta, chunks)| {
            let meta = meta.configuration.to_bytes();
            let bytes = snapshot::to_bytes(&meta, last, chunks.iter().cloned());
            snapshot::piece(&bytes, offset, len)
        }))
    }

    async fn write_snapshot_piece(&self, _: LogId, offset: u64, data: Bytes) -> io::Result<()> {
        self.delay().await;
        let mut state = self.disk.lock();
        if state.life == self.life {
            state.received.truncate(offset as usize);
            state.received.extend_from_slice(&data);
        }
        Ok(())
    }

    async fn install_snapshot(&self, meta: SnapshotMeta) -> io::Result<Store> {
        self.delay().await;
        let mut state = self.disk.lock();
        let bytes = Bytes::from(std::mem::take(&mut state.received));
        let (_, chunks) = snapshot::from_bytes(bytes, meta.last)?;
        let store = snapshot::restore(chunks.iter().cloned().map(Ok))?;
        if state.life == self.life {
            state.snapshot = Some((meta, chunks));
            state.installed += 1;
        }
        Ok(store)
    }
}

impl SimStorage {
    async fn delay(&self) {
        let latency = self.disk.lock().rng.up_to(LATENCY_MAX);
        tokio::time::sleep(latency).await;
    }
}

/// How often a lying disk is told to sync until it does.
const LIES_PER_SYNC: u64 = 20;

const SECTOR: usize = 512;
const SEGMENT: usize = 256 << 10;
const LATENCY_MAX: Duration = Duration::from_millis(20);
