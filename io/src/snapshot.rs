//! Snapshots of the state, as files: written whole or not at all, the newest two kept.
//!
//! A file is named `<term>-<index>.snap` after the last entry in it, in hexadecimal, so that names
//! sort as logs do. It gets that name when every byte of it is durable. The format is
//! `tribune_wal`'s: any damage shows, and the file before the newest is there to fall back on, as
//! is the log from its end on.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tribune_base::id::{Index, LogId, Term};
use tribune_state::Store;
use tribune_wal::{Piece, SnapshotReader, SnapshotWriter};

/// A snapshot that was read through once and found whole.
#[derive(Debug)]
pub struct Loaded {
    /// What was saved with it.
    pub meta: Bytes,
    /// The last entry in it.
    pub last: LogId,
    /// The state, in the chunks it was saved in. They are verified again as they come.
    pub chunks: Chunks,
    /// Newer files that are damaged: for the log, an operator should look at the disk.
    pub warnings: Vec<String>,
}

/// The chunks of a snapshot, read one at a time.
#[derive(Debug)]
pub struct Chunks<R = BufReader<File>> {
    file: R,
    path: PathBuf,
    reader: SnapshotReader,
    /// How many bytes the file still has.
    left: u64,
    done: bool,
}

/// Why no snapshot was loaded, though there should be one.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There are files, and none of them is whole. Going on without would lose confirmed data.
    #[error(
        "all snapshots in {} are damaged: {}. Check the disk. If the other servers have a quorum, \
         remove this server from the cluster, delete its data directory and let it join again as a \
         new server; otherwise restore from a copy", .dir.display(), .problems.join("; ")
    )]
    Damaged {
        /// The directory.
        dir: PathBuf,
        /// What is wrong with each file, the newest first.
        problems: Vec<String>,
    },

    /// The directory cannot be read.
    #[error("cannot read the snapshots in {}: {error}", .dir.display())]
    Io {
        /// The directory.
        dir: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// Write a snapshot into `dir`, durably, and remove all but the newest two.
///
/// # Errors
///
/// The disk's. What was there before is still there; trying again is safe, when there is room.
pub fn save(
    dir: &Path,
    meta: impl AsRef<[u8]>,
    last: LogId,
    chunks: impl Iterator<Item = Bytes>,
) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let unfinished = dir.join(file_name(last)).with_extension(UNFINISHED);
    write_file(&unfinished, meta.as_ref(), last, chunks).inspect_err(|_| {
        // Half a snapshot is of no use, and on a full disk its room is.
        _ = fs::remove_file(&unfinished);
    })?;
    publish(dir, &unfinished, last)
}

/// Give a durable file the name of a snapshot, durably, and remove all but the newest two.
fn publish(dir: &Path, unfinished: &Path, last: LogId) -> io::Result<()> {
    fs::rename(unfinished, dir.join(file_name(last)))?;
    File::open(dir)?.sync_all()?;
    // Only now: until here, the older ones were all there was.
    for (_, old) in list(dir)?.into_iter().skip(KEPT) {
        fs::remove_file(old)?;
    }
    Ok(())
}

/// Read `len` bytes of the snapshot `last` in `dir`, or what is left of it, and whether it ends with
/// them. `None` if there is no such snapshot.
///
/// # Errors
///
/// The disk's.
pub fn read_piece(
    dir: &Path,
    last: LogId,
    offset: u64,
    len: u64,
) -> io::Result<Option<(Bytes, bool)>> {
    let mut file = match File::open(dir.join(file_name(last))) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let left = file.metadata()?.len().saturating_sub(offset);
    let mut piece = vec![0; usize::try_from(left.min(len)).map_err(io::Error::other)?];
    file.seek(io::SeekFrom::Start(offset))?;
    file.read_exact(&mut piece)?;
    Ok(Some((piece.into(), left <= len)))
}

/// Write a piece of another server's snapshot. Offset zero starts a new file.
///
/// # Errors
///
/// The disk's; or [`io::ErrorKind::InvalidData`], if the file does not end at `offset`.
pub fn write_piece(dir: &Path, offset: u64, data: &[u8]) -> io::Result<()> {
    let path = dir.join(RECEIVED);
    let mut file = if offset == 0 {
        File::create(path)?
    } else {
        let file = match File::options().append(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
            file => file?,
        };
        // An attempt before this one may have written a part of it.
        let len = file.metadata()?.len();
        if len < offset {
            let text = format!("the file ends at {len}, and the next piece begins at {offset}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        file.set_len(offset)?;
        file
    };
    file.write_all(data)
}

/// Make what [`write_piece`] wrote the snapshot `last`, durably, and read back what it says.
///
/// # Errors
///
/// The disk's; or [`io::ErrorKind::InvalidData`], if the pieces are not that snapshot.
pub fn install(dir: &Path, last: LogId) -> io::Result<Store> {
    let path = dir.join(RECEIVED);
    let (_, chunks) = Chunks::open(&path)?.begin(last)?;
    let store = restore(chunks)?;
    File::open(&path)?.sync_all()?;
    publish(dir, &path, last)?;
    Ok(store)
}

/// The state that `chunks` say.
///
/// # Errors
///
/// The disk's; or [`io::ErrorKind::InvalidData`], if they say none.
pub fn restore(chunks: impl Iterator<Item = io::Result<Bytes>>) -> io::Result<Store> {
    let mut broken = None;
    let store =
        Store::restore(chunks.map_while(|it| it.map_err(|error| broken = Some(error)).ok()));
    match (broken, store) {
        (Some(error), _) => Err(error),
        (None, store) => store.map_err(|it| io::Error::new(io::ErrorKind::InvalidData, it)),
    }
}

/// A snapshot as the bytes of its file.
pub fn to_bytes(meta: &[u8], last: LogId, chunks: impl Iterator<Item = Bytes>) -> Bytes {
    let mut out = Vec::new();
    write(&mut out, meta, last, chunks).expect("memory takes everything");
    out.into()
}

/// `len` of `bytes`, or what is left of them, and whether they end there.
pub fn piece(bytes: &Bytes, offset: u64, len: u64) -> (Bytes, bool) {
    let at = |it: u64| usize::try_from(it).unwrap_or(usize::MAX).min(bytes.len());
    let (start, end) = (at(offset), at(offset.saturating_add(len)));
    (bytes.slice(start..end), end == bytes.len())
}

/// What the bytes of a file say: what was saved with the snapshot `last`, and its chunks.
///
/// # Errors
///
/// [`io::ErrorKind::InvalidData`]: they are not that snapshot.
pub fn from_bytes(bytes: Bytes, last: LogId) -> io::Result<(Bytes, Vec<Bytes>)> {
    let left = bytes.len() as u64;
    let (file, reader) = (io::Cursor::new(bytes), SnapshotReader::default());
    let path = PathBuf::from(file_name(last));
    let (meta, chunks) = Chunks { file, path, reader, left, done: false }.begin(last)?;
    Ok((meta, chunks.collect::<io::Result<_>>()?))
}

/// Find the newest snapshot in `dir` that is whole. `None` if none was ever saved there.
///
/// The file is read through before it is believed, so that a restore does not break off halfway.
///
/// # Errors
///
/// There are snapshots, but none is whole; or the directory cannot be read.
pub fn load_newest(dir: &Path) -> Result<Option<Loaded>, LoadError> {
    let files = match clear(dir).and_then(|()| list(dir)) {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(LoadError::Io { dir: dir.to_owned(), error }),
    };
    let mut problems = Vec::new();
    for (last, path) in files {
        match verify(&path, last) {
            Ok((meta, chunks)) => {
                return Ok(Some(Loaded { meta, last, chunks, warnings: problems }));
            }
            Err(error) => problems.push(format!("{}: {error}", path.display())),
        }
    }
    if problems.is_empty() {
        return Ok(None);
    }
    Err(LoadError::Damaged { dir: dir.to_owned(), problems })
}

impl<R: Read> Iterator for Chunks<R> {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        match self.piece() {
            Ok(Piece::Chunk(chunk)) => Some(Ok(chunk)),
            Ok(Piece::End) => {
                self.done = true;
                (0 < self.left).then(|| Err(self.damaged()))
            }
            Ok(Piece::Start { .. }) => {
                unreachable!("the reader accepts one start, the first frame")
            }
            Err(error) => {
                self.done = true;
                Some(Err(error))
            }
        }
    }
}

impl Chunks {
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let left = file.metadata()?.len();
        let file = BufReader::with_capacity(BUFFER_LEN, file);
        let reader = SnapshotReader::default();
        Ok(Self { file, path: path.to_owned(), reader, left, done: false })
    }
}

impl<R: Read> Chunks<R> {
    /// Read up to the first chunk of the snapshot `last`. Returns what was saved with it.
    fn begin(mut self, last: LogId) -> io::Result<(Bytes, Self)> {
        match self.piece()? {
            // Copied, so that the frame it came in can go.
            Piece::Start { last: found, meta } if found == last => {
                Ok((Bytes::copy_from_slice(&meta), self))
            }
            Piece::Start { .. } | Piece::Chunk(_) | Piece::End => Err(self.damaged()),
        }
    }

    /// Read the next frame, whatever it is.
    fn piece(&mut self) -> io::Result<Piece> {
        let mut header = [0; SnapshotReader::HEADER_LEN];
        let rest = self.left.checked_sub(header.len() as u64).ok_or_else(|| self.damaged())?;
        self.file.read_exact(&mut header)?;
        let len = SnapshotReader::frame_len(&header);
        let body_len = len - header.len() as u64;
        self.left = rest.checked_sub(body_len).ok_or_else(|| self.damaged())?;
        let mut frame = vec![0; usize::try_from(len).map_err(io::Error::other)?];
        frame[..header.len()].copy_from_slice(&header);
        self.file.read_exact(&mut frame[header.len()..])?;
        self.reader.frame(&frame.into()).ok_or_else(|| self.damaged())
    }

    fn damaged(&self) -> io::Error {
        let path = self.path.display();
        let text = format!("{path} is damaged, {} bytes before its end", self.left);
        io::Error::new(io::ErrorKind::InvalidData, text)
    }
}

fn write_file(
    path: &Path,
    meta: &[u8],
    last: LogId,
    chunks: impl Iterator<Item = Bytes>,
) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(BUFFER_LEN, File::create(path)?);
    write(&mut file, meta, last, chunks)?;
    file.into_inner()?.sync_all()
}

fn write(
    file: &mut impl io::Write,
    meta: &[u8],
    last: LogId,
    chunks: impl Iterator<Item = Bytes>,
) -> io::Result<()> {
    let mut writer = SnapshotWriter::default();
    let mut frame = Vec::new();
    writer.start(last, meta, &mut frame);
    file.write_all(&frame)?;
    for chunk in chunks {
        frame.clear();
        writer.chunk(&chunk, &mut frame);
        file.write_all(&frame)?;
    }
    frame.clear();
    writer.end(&mut frame);
    file.write_all(&frame)
}

/// Read all of `path`, then return to its first chunk.
fn verify(path: &Path, last: LogId) -> io::Result<(Bytes, Chunks)> {
    let (meta, mut chunks) = Chunks::open(path)?.begin(last)?;
    let (reader, left) = (chunks.reader.clone(), chunks.left);
    let at = chunks.file.stream_position()?;
    chunks.by_ref().try_for_each(|it| it.map(drop))?;
    chunks.file.seek(io::SeekFrom::Start(at))?;
    Ok((meta, Chunks { reader, left, done: false, ..chunks }))
}

/// Remove what was never finished, by a process before this one.
fn clear(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|it| it == UNFINISHED) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// The snapshots in `dir`, the newest first.
fn list(dir: &Path) -> io::Result<Vec<(LogId, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|it| it.to_str());
        if let Some(last) = name.and_then(parse_file_name) {
            files.push((last, path));
        }
    }
    files.sort_unstable_by(|a, b| b.cmp(a));
    Ok(files)
}

fn file_name(last: LogId) -> String {
    format!("{:016x}-{:016x}.snap", last.term.0, last.index.0)
}

fn parse_file_name(name: &str) -> Option<LogId> {
    let (term, index) = name.strip_suffix(".snap")?.split_once('-')?;
    let number = |it| u64::from_str_radix(it, 16).ok();
    let last = LogId::new(Term(number(term)?), Index(number(index)?));
    (file_name(last) == name).then_some(last)
}

const UNFINISHED: &str = "tmp";
/// What the pieces of another server's snapshot become, one after the other.
const RECEIVED: &str = "received.tmp";
/// How many snapshots are kept: one more than is needed.
const KEPT: usize = 2;
const BUFFER_LEN: usize = 128 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory of its own, empty.
    fn temp_dir(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("tribune-{name}-{}", std::process::id()));
        _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    fn last(index: u64) -> LogId {
        LogId::new(Term(3), Index(index))
    }

    fn chunks(index: u64) -> impl Iterator<Item = Bytes> {
        (0..50).map(move |n| Bytes::from(format!("{index}-{n}").repeat(n * 20)))
    }

    fn save_some(dir: &Path, indexes: &[u64]) {
        for &index in indexes {
            save(dir, format!("meta {index}"), last(index), chunks(index)).unwrap();
        }
    }

    fn flip_byte(path: &Path) {
        let mut bytes = fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, bytes).unwrap();
    }

    #[test]
    fn the_newest_snapshot_comes_back() {
        let dir = temp_dir("snapshot-newest");
        assert!(load_newest(&dir.join("none")).unwrap().is_none());
        assert!(load_newest(&dir).unwrap().is_none());
        save_some(&dir, &[5, 70, 9]);

        let loaded = load_newest(&dir).unwrap().unwrap();
        assert_eq!((loaded.last, &loaded.meta[..]), (last(70), &b"meta 70"[..]));
        assert!(loaded.warnings.is_empty());
        assert!(loaded.chunks.map(Result::unwrap).eq(chunks(70)));

        let kept: Vec<_> = list(&dir).unwrap().into_iter().map(|(last, _)| last).collect();
        assert_eq!(kept, [last(70), last(9)]);
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_damaged_snapshot_is_named_and_the_one_before_it_used() {
        let dir = temp_dir("snapshot-damaged");
        save_some(&dir, &[5, 9]);
        flip_byte(&dir.join(file_name(last(9))));
        let loaded = load_newest(&dir).unwrap().unwrap();
        assert_eq!(loaded.last, last(5));
        assert!(loaded.warnings[0].contains(&file_name(last(9))), "{:?}", loaded.warnings);

        flip_byte(&dir.join(file_name(last(5))));
        let error = load_newest(&dir).unwrap_err().to_string();
        assert!(error.contains("all snapshots in") && error.contains("join again"), "{error}");
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_snapshot_under_another_name_is_damaged() {
        let dir = temp_dir("snapshot-renamed");
        save_some(&dir, &[5]);
        fs::rename(dir.join(file_name(last(5))), dir.join(file_name(last(6)))).unwrap();
        assert!(matches!(load_newest(&dir), Err(LoadError::Damaged { .. })));
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn an_unfinished_snapshot_never_existed() {
        let dir = temp_dir("snapshot-unfinished");
        save_some(&dir, &[5]);
        let unfinished = dir.join(file_name(last(9))).with_extension(UNFINISHED);
        fs::write(&unfinished, b"half").unwrap();
        assert_eq!(load_newest(&dir).unwrap().unwrap().last, last(5));
        assert!(!unfinished.exists());
        fs::remove_dir_all(dir).unwrap();
    }

    /// A snapshot of some state, and that state.
    fn save_state(dir: &Path, last: LogId) -> Store {
        let mut store = Store::default();
        for n in 1..=last.index.0 {
            let (key, value) = (Bytes::from(n.to_string()), Bytes::from(vec![n as u8; 3_000]));
            let set = tribune_state::kv::Command::Set { key, value, flags: n };
            let stamp = tribune_base::time::WallTime::default();
            store.apply(Index(n), stamp, &tribune_state::Command::Kv(set));
        }
        save(dir, "meta", last, store.snapshot().records()).unwrap();
        store
    }

    /// Read it here, in pieces of `len`, and write them there.
    fn send(from: &Path, to: &Path, last: LogId, len: u64) {
        let mut offset = 0;
        loop {
            let (piece, done) = read_piece(from, last, offset, len).unwrap().unwrap();
            write_piece(to, offset, &piece).unwrap();
            offset += piece.len() as u64;
            if done {
                return;
            }
        }
    }

    #[test]
    fn a_snapshot_travels_in_pieces() {
        let (here, there) = (temp_dir("snapshot-here"), temp_dir("snapshot-there"));
        let store = save_state(&here, last(40));
        assert_eq!(read_piece(&here, last(41), 0, 9).unwrap(), None);
        send(&here, &there, last(40), 1_000);
        assert!(load_newest(&there).unwrap().is_none(), "a crash takes what is not installed");

        save_some(&there, &[7]);
        // Again, from the first byte; and one piece twice, as after a failed attempt.
        send(&here, &there, last(40), 7_777);
        let (piece, _) = read_piece(&here, last(40), 7_777, 7_777).unwrap().unwrap();
        write_piece(&there, 7_777, &piece).unwrap();
        let (rest, done) = read_piece(&here, last(40), 15_554, 1 << 30).unwrap().unwrap();
        write_piece(&there, 15_554, &rest).unwrap();
        assert!(done);
        assert_eq!(install(&there, last(40)).unwrap(), store);

        let loaded = load_newest(&there).unwrap().unwrap();
        assert_eq!((loaded.last, &loaded.meta[..]), (last(40), &b"meta"[..]));
        assert_eq!(restore(loaded.chunks).unwrap(), store);
        for dir in [here, there] {
            fs::remove_dir_all(dir).unwrap();
        }
    }

    #[test]
    fn what_was_damaged_on_the_way_is_not_installed() {
        let (here, there) = (temp_dir("snapshot-sent"), temp_dir("snapshot-hurt"));
        save_state(&here, last(40));
        save_some(&there, &[7]);
        let kind = |result: io::Result<Store>| result.unwrap_err().kind();
        let flip = |_: &Path| flip_byte(&there.join(RECEIVED));
        let cut = |_: &Path| write_piece(&there, 5_000, b"").unwrap();
        for damage in [&flip as &dyn Fn(&Path), &cut] {
            send(&here, &there, last(40), 1 << 30);
            damage(&there);
            assert_eq!(kind(install(&there, last(40))), io::ErrorKind::InvalidData);
        }
        send(&here, &there, last(40), 1 << 30);
        let other = kind(install(&there, last(41)));
        assert_eq!(other, io::ErrorKind::InvalidData, "another snapshot than was promised");
        assert_eq!(load_newest(&there).unwrap().unwrap().last, last(7));
        assert_eq!(
            write_piece(&there, 1 << 40, b"").unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
        for dir in [here, there] {
            fs::remove_dir_all(dir).unwrap();
        }
    }

    #[test]
    fn a_snapshot_in_memory_is_that_on_disk() {
        let dir = temp_dir("snapshot-memory");
        let store = save_state(&dir, last(9));
        let file = Bytes::from(fs::read(dir.join(file_name(last(9)))).unwrap());
        assert_eq!(to_bytes(b"meta", last(9), store.snapshot().records()), file);
        let (meta, chunks) = from_bytes(file.clone(), last(9)).unwrap();
        assert_eq!(&meta[..], b"meta");
        assert_eq!(restore(chunks.into_iter().map(Ok)).unwrap(), store);
        assert_eq!(piece(&file, 3, 4), (file.slice(3..7), false));
        assert_eq!(piece(&file, 3, u64::MAX), (file.slice(3..), true));
        assert_eq!(piece(&file, u64::MAX, 4), (Bytes::new(), true));
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn damage_that_comes_after_the_first_look_shows_too() {
        let dir = temp_dir("snapshot-later");
        save_some(&dir, &[5]);
        let mut loaded = load_newest(&dir).unwrap().unwrap();
        flip_byte(&dir.join(file_name(last(5))));
        assert!(loaded.chunks.any(|it| it.is_err()));
        assert!(loaded.chunks.next().is_none());
        fs::remove_dir_all(dir).unwrap();
    }
}
