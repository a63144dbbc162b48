//! A node with a disk that is slower than memory, and a state that is a list of entries.

use std::collections::VecDeque;

use bytes::Bytes;
use tribune_base::id::{Index, LogId, ServerId};
use tribune_base::time::Instant;
use tribune_raft::{Config, Entry, Node, Persist, Restored, SnapshotMeta};

/// One server of the world.
pub(crate) struct Server {
    pub(crate) id: ServerId,
    /// `None` while it is down.
    pub(crate) node: Option<Node>,
    /// Counts starts, so that completions of an earlier life are recognised.
    pub(crate) life: u64,
    /// Until when it sleeps.
    pub(crate) paused_until: Instant,
    /// The timer that is set.
    pub(crate) timer: Instant,
    pub(crate) disk: Restored,
    /// The disk as it will be when everything is written.
    pub(crate) log: Restored,
    pub(crate) writes: VecDeque<Persist>,
    /// The replicated state.
    pub(crate) applied: Vec<Entry>,
    /// The saved snapshot, and the temporary file.
    pub(crate) snapshot: Bytes,
    pub(crate) incoming: Vec<u8>,
}

impl Server {
    pub(crate) fn new(id: ServerId) -> Self {
        Self {
            id,
            node: None,
            life: 0,
            paused_until: Instant::START,
            timer: Instant::NEVER,
            disk: Restored::default(),
            log: Restored::default(),
            writes: VecDeque::new(),
            applied: Vec::new(),
            snapshot: Bytes::new(),
            incoming: Vec::new(),
        }
    }

    /// Start with what is on disk.
    pub(crate) fn start(&mut self, config: &Config, seed: u64, now: Instant) {
        self.life += 1;
        self.timer = Instant::NEVER;
        self.applied = decode(&self.snapshot);
        let last = self.disk.snapshot.as_ref().map_or(Index(0), |it| it.last.index);
        assert_eq!(self.applied.len() as u64, last.0);
        self.log = self.disk.clone();
        let node = Node::new(self.id, config.clone(), self.disk.clone(), seed, now);
        self.node = Some(node);
    }

    /// Where the log on disk ends.
    pub(crate) fn end(&self) -> LogId {
        let snapshot = self.disk.snapshot.as_ref().map(|it| it.last).unwrap_or_default();
        self.disk.entries.last().map_or(snapshot, |it| it.id.max(snapshot))
    }

    /// Lose everything in memory; `survivors` of the unconfirmed batches had made it to the disk.
    pub(crate) fn crash(&mut self, survivors: usize) {
        self.node = None;
        let survivors = survivors.min(self.writes.len());
        for persist in self.writes.drain(..survivors) {
            write(&mut self.disk, persist);
        }
        self.writes.clear();
        self.incoming.clear();
    }

    pub(crate) fn submit(&mut self, persist: Persist) {
        write(&mut self.log, persist.clone());
        self.writes.push_back(persist);
    }

    /// The oldest batch is on disk.
    pub(crate) fn complete(&mut self, now: Instant) {
        let Some(persist) = self.writes.pop_front() else { return };
        let seq = persist.seq;
        write(&mut self.disk, persist);
        self.node.as_mut().unwrap().persisted(now, seq);
    }

    pub(crate) fn apply(&mut self, entry: Entry) {
        assert_eq!(entry.id.index.0, self.applied.len() as u64 + 1, "applied out of order");
        self.applied.push(entry);
    }

    /// The state as it is now.
    pub(crate) fn capture(&self, last: LogId) -> Bytes {
        assert_eq!(
            self.applied.last().map(|it| it.id),
            Some(last),
            "not the state it is said to be"
        );
        encode(&self.applied)
    }

    /// A snapshot of our own is on disk; it may come too late.
    pub(crate) fn saved(&mut self, now: Instant, meta: SnapshotMeta, bytes: Bytes) {
        let old = self.disk.snapshot.as_ref().map_or(Index(0), |it| it.last.index);
        if old < meta.last.index {
            self.snapshot = bytes;
            self.disk.snapshot = Some(meta.clone());
            self.log.snapshot = Some(meta.clone());
        }
        self.node.as_mut().unwrap().snapshot_saved(now, meta);
    }

    /// The temporary file becomes the snapshot, and the state.
    pub(crate) fn install(&mut self, meta: &SnapshotMeta) {
        self.snapshot = Bytes::from(std::mem::take(&mut self.incoming));
        self.applied = decode(&self.snapshot);
        self.disk.snapshot = Some(meta.clone());
        self.log.snapshot = Some(meta.clone());
        assert_eq!(self.applied.last().map(|it| it.id), Some(meta.last), "a spliced snapshot");
    }

    /// The log may forget, on disk too.
    pub(crate) fn forget(&mut self, through: Index) {
        self.disk.entries.retain(|it| through < it.id.index);
        self.log.entries.retain(|it| through < it.id.index);
    }
}

/// What a write-ahead log does with a batch.
fn write(disk: &mut Restored, persist: Persist) {
    let Persist { hard_state, truncate_from, entries, .. } = persist;
    disk.hard_state = hard_state.unwrap_or(disk.hard_state);
    if let Some(from) = truncate_from {
        disk.entries.retain(|it| it.id.index < from);
    }
    for entry in entries {
        let last = disk.entries.last().map(|it| it.id.index.next());
        assert!(last.is_none_or(|it| it == entry.id.index), "the log on disk has a gap");
        disk.entries.push(entry);
    }
}

/// The length of each entry, and its bytes.
fn encode(entries: &[Entry]) -> Bytes {
    let mut bytes = Vec::new();
    for entry in entries {
        let entry = entry.to_bytes();
        bytes.extend((entry.len() as u32).to_be_bytes());
        bytes.extend(entry);
    }
    Bytes::from(bytes)
}

fn decode(bytes: &Bytes) -> Vec<Entry> {
    let mut bytes = bytes.clone();
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let len = u32::from_be_bytes(bytes.split_to(4).as_ref().try_into().unwrap());
        entries.push(Entry::from_bytes(bytes.split_to(len as usize)).unwrap());
    }
    entries
}
