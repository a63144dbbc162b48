//! Segments, mapped for reading. The only file with `unsafe`.
#![allow(unsafe_code, reason = "mapping a file is unsafe, and worth it once: see `map`")]

use std::fs::File;
use std::io;

use bytes::Bytes;
use memmap2::{Advice, Mmap};

/// What `file` holds, without copying it. It is unmapped with the last slice.
///
/// It is flushed first: what a process wrote and did not flush before it died is still only in the
/// kernel's memory, and whoever reads it may rely on it.
pub(super) fn map(file: &File) -> io::Result<Bytes> {
    file.sync_data()?;
    if file.metadata()?.len() == 0 {
        return Ok(Bytes::new());
    }
    // SAFETY: The bytes must not change and the file must not shrink while they are borrowed. The
    // directory is locked for this process, this module's parent neither writes to a segment that
    // it has mapped nor truncates one ever, and all of a segment is allocated before it is used.
    let map = unsafe { Mmap::map(file)? };
    // Advice may be declined; nothing depends on it.
    _ = map.advise(Advice::Sequential);
    Ok(Bytes::from_owner(map))
}
