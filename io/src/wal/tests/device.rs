//! A directory that asks the test first.

use std::io;
use std::sync::Arc;

use tribune_wal::SegmentId;

use crate::wal::device::{Device, Directory, Segment};

/// What is about to happen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Op {
    Create,
    Write,
    Sync,
}

/// Called before each [`Op`]: may wait, and may refuse.
pub(super) type Hook = Arc<dyn Fn(Op) -> io::Result<()> + Send + Sync>;

pub(super) struct Hooked {
    pub(super) directory: Directory,
    pub(super) hook: Hook,
}

struct HookedSegment {
    segment: Box<dyn Segment>,
    hook: Hook,
}

impl Hooked {
    fn hooked(&self, segment: Box<dyn Segment>) -> Box<dyn Segment> {
        Box::new(HookedSegment { segment, hook: Arc::clone(&self.hook) })
    }
}

impl Device for Hooked {
    fn create(&self, id: SegmentId, len: u64) -> io::Result<Box<dyn Segment>> {
        (self.hook)(Op::Create)?;
        self.directory.create(id, len).map(|it| self.hooked(it))
    }

    fn open(&self, id: SegmentId) -> io::Result<Box<dyn Segment>> {
        self.directory.open(id).map(|it| self.hooked(it))
    }

    fn remove(&self, id: SegmentId) -> io::Result<()> {
        self.directory.remove(id)
    }
}

impl Segment for HookedSegment {
    fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        (self.hook)(Op::Write)?;
        self.segment.write(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        (self.hook)(Op::Sync)?;
        self.segment.sync()
    }

    fn len(&self) -> u64 {
        self.segment.len()
    }
}
