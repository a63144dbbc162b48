//! What the log wants of a disk: little enough that a test can be one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use tribune_wal::{Position, SegmentId};

/// A directory of segments.
pub(super) trait Device: Send + Sync + 'static {
    /// Create segment `id` with `len` zero bytes, all of it durable: length, zeros and name. What
    /// was there under that name is replaced.
    fn create(&self, id: SegmentId, len: u64) -> io::Result<Box<dyn Segment>>;

    /// Open segment `id` to go on writing to it.
    fn open(&self, id: SegmentId) -> io::Result<Box<dyn Segment>>;

    /// Remove segment `id`, durably.
    fn remove(&self, id: SegmentId) -> io::Result<()>;
}

/// A segment that is written to.
pub(super) trait Segment: Send {
    /// Write all of `bytes` at `offset`, which is within the segment.
    fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Return once everything written is durable.
    fn sync(&self) -> io::Result<()>;

    /// How many bytes the segment has.
    fn len(&self) -> u64;
}

/// Files in a directory.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    pub(super) path: PathBuf,
}

/// A file of that directory.
#[derive(Debug)]
struct SegmentFile {
    file: File,
    len: u64,
}

impl Device for Directory {
    /// The file gets its name last, so that a segment either exists whole or not at all.
    fn create(&self, id: SegmentId, len: u64) -> io::Result<Box<dyn Segment>> {
        let path = self.path.join(id.to_string());
        let unfinished = path.with_extension(UNFINISHED);
        let file = zeros(&unfinished, len).inspect_err(|_| {
            // Whatever room it took is needed by others.
            _ = fs::remove_file(&unfinished);
        })?;
        self.sync()?;
        fs::rename(&unfinished, &path)?;
        self.sync()?;
        Ok(Box::new(SegmentFile { file, len }))
    }

    fn open(&self, id: SegmentId) -> io::Result<Box<dyn Segment>> {
        let file = self.file(id)?;
        let len = file.metadata()?.len();
        Ok(Box::new(SegmentFile { file, len }))
    }

    fn remove(&self, id: SegmentId) -> io::Result<()> {
        fs::remove_file(self.path.join(id.to_string()))?;
        self.sync()
    }
}

impl Directory {
    /// Make the directory's entries durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    /// The segments there are, in order. Unfinished ones are removed.
    pub(super) fn list(&self) -> io::Result<Vec<SegmentId>> {
        let mut ids = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            if path.extension().is_some_and(|it| it == UNFINISHED) {
                fs::remove_file(&path)?;
            }
            let name = path.file_name().and_then(|it| it.to_str());
            ids.extend(name.and_then(SegmentId::from_file_name));
        }
        ids.sort_unstable();
        Ok(ids)
    }

    /// The file of a segment that exists.
    pub(super) fn file(&self, id: SegmentId) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).open(self.path.join(id.to_string()))
    }

    /// Make everything behind `end` in its segment zeros, durably: no old batch may follow a new
    /// one.
    pub(super) fn clear(&self, end: Position) -> io::Result<()> {
        let file = self.file(end.segment)?;
        let len = file.metadata()?.len();
        let mut at = end.offset;
        let mut page = [0; ZEROS.len()];
        while at < len {
            // To the next page, so that what follows is whole ones.
            let n = (ZEROS.len() as u64 - at % ZEROS.len() as u64).min(len - at);
            let page = &mut page[..usize::try_from(n).unwrap_or(ZEROS.len())];
            file.read_exact_at(page, at)?;
            if page.iter().any(|it| *it != 0) {
                file.write_all_at(&ZEROS[..page.len()], at)?;
            }
            at += n;
        }
        file.sync_data()
    }
}

impl Segment for SegmentFile {
    fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn len(&self) -> u64 {
        self.len
    }
}

/// A durable file of `len` zeros, every one of them allocated: a full disk shows here and not when
/// the log is written.
fn zeros(path: &Path, len: u64) -> io::Result<File> {
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
    let mut left = usize::try_from(len).map_err(io::Error::other)?;
    let mut unsynced = 0;
    while 0 < left {
        let n = left.min(ZEROS.len());
        file.write_all(&ZEROS[..n])?;
        left -= n;
        unsynced += n;
        if SYNC_EVERY <= unsynced {
            file.sync_data()?;
            unsynced = 0;
        }
    }
    file.sync_all()?;
    Ok(file)
}

const UNFINISHED: &str = "tmp";
/// One page at a time: larger writes leave larger folios in the page cache, which some kernels
/// handle as a whole. Measured (Linux 6.18, ext4, six runs of `durable_records_per_second`): the
/// median flush of one page took 48 to 64 us in a file filled by pages, and 56 to 72 us in one
/// filled by 1 MiB.
static ZEROS: [u8; 4096] = [0; 4096];
/// The writer shares the disk; it should not wait behind a whole segment of zeros.
const SYNC_EVERY: usize = 4 << 20;
