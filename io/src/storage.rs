//! Where an agent keeps what is not in its log: its own registrations, and snapshots of the state.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::{Bytes, BytesMut};
use tribune_agent::PersistedFile;
use tribune_base::id::LogId;
use tribune_raft::SnapshotMeta;
use tribune_state::{Snapshot, Store};

use crate::clock;
use crate::driver::Storage;
use crate::snapshot;

/// Files below a data directory that is locked for this process.
#[derive(Clone, Debug)]
pub struct FileStorage {
    dir: Arc<Path>,
}

/// Nothing outlives the process: development mode. Only what other servers may ask for is kept, in
/// memory.
#[derive(Clone, Debug, Default)]
pub struct NoStorage(Arc<Mutex<Memory>>);

#[derive(Debug, Default)]
struct Memory {
    /// The newest snapshot.
    saved: Option<Saved>,
    /// The pieces of another server's.
    received: BytesMut,
}

#[derive(Debug)]
struct Saved {
    meta: SnapshotMeta,
    state: Snapshot,
    /// As a file, once somebody has asked for it.
    bytes: Option<Bytes>,
}

impl FileStorage {
    /// Keep everything below `dir`.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.into() }
    }

    /// Make the folders that files will be saved in, durably: a file is only as durable as the name
    /// of its folder.
    ///
    /// # Errors
    ///
    /// The disk's.
    pub fn prepare(&self) -> io::Result<()> {
        for folder in ["raft", SNAPSHOTS, "services", "checks", "checks/state"] {
            let folder = self.dir.join(folder);
            fs::create_dir_all(&folder)?;
            sync_dir(folder.parent().unwrap_or(&folder))?;
        }
        Ok(())
    }

    /// Every file in `folders`, in the order of their names.
    ///
    /// # Errors
    ///
    /// A folder or a file that is there cannot be read.
    pub fn load(&self, folders: &[&str]) -> io::Result<Vec<PersistedFile>> {
        let mut files = Vec::new();
        for folder in folders {
            let entries = match fs::read_dir(self.dir.join(folder)) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            for entry in entries {
                let path = entry?.path();
                let name = path.file_name().and_then(|it| it.to_str()).unwrap_or_default();
                if path.is_file() && !name.ends_with(UNFINISHED) {
                    files.push(PersistedFile {
                        name: format!("{folder}/{name}"),
                        bytes: fs::read(&path)?.into(),
                        age: clock::age(&path)?,
                    });
                }
            }
        }
        files.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(files)
    }
}

impl Storage for FileStorage {
    async fn save(&self, writes: Vec<(String, Option<Bytes>)>) -> io::Result<()> {
        let dir = Arc::clone(&self.dir);
        blocking(move || {
            let mut folders = Vec::new();
            for (name, content) in writes {
                let path = dir.join(&name);
                let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
                match content {
                    Some(content) => replace(&path, &content)?,
                    None => remove(&path)?,
                }
                if !folders.contains(&folder) {
                    folders.push(folder);
                }
            }
            folders.iter().try_for_each(|it| sync_dir(it))
        })
        .await
    }

    async fn save_snapshot(&self, meta: SnapshotMeta, state: Snapshot) -> io::Result<()> {
        let dir = self.dir.join(SNAPSHOTS);
        blocking(move || {
            snapshot::save(&dir, meta.configuration.to_bytes(), meta.last, state.records())
        })
        .await
    }

    async fn read_snapshot(
        &self,
        last: LogId,
        offset: u64,
        len: u64,
    ) -> io::Result<Option<(Bytes, bool)>> {
        let dir = self.dir.join(SNAPSHOTS);
        blocking(move || snapshot::read_piece(&dir, last, offset, len)).await
    }

    async fn write_snapshot_piece(&self, _: LogId, offset: u64, data: Bytes) -> io::Result<()> {
        let dir = self.dir.join(SNAPSHOTS);
        blocking(move || snapshot::write_piece(&dir, offset, &data)).await
    }

    async fn install_snapshot(&self, meta: SnapshotMeta) -> io::Result<Store> {
        let dir = self.dir.join(SNAPSHOTS);
        blocking(move || snapshot::install(&dir, meta.last)).await
    }
}

impl Storage for NoStorage {
    async fn save(&self, _: Vec<(String, Option<Bytes>)>) -> io::Result<()> {
        Ok(())
    }

    async fn save_snapshot(&self, meta: SnapshotMeta, state: Snapshot) -> io::Result<()> {
        self.lock().saved = Some(Saved { meta, state, bytes: None });
        Ok(())
    }

    async fn read_snapshot(
        &self,
        last: LogId,
        offset: u64,
        len: u64,
    ) -> io::Result<Option<(Bytes, bool)>> {
        let mut memory = self.lock();
        let Some(saved) = memory.saved.as_mut().filter(|it| it.meta.last == last) else {
            return Ok(None);
        };
        let Saved { meta, state, bytes } = saved;
        let meta = meta.configuration.to_bytes();
        let bytes = bytes.get_or_insert_with(|| snapshot::to_bytes(&meta, last, state.records()));
        Ok(Some(snapshot::piece(bytes, offset, len)))
    }

    async fn write_snapshot_piece(&self, _: LogId, offset: u64, data: Bytes) -> io::Result<()> {
        let received = &mut self.lock().received;
        received.truncate(usize::try_from(offset).map_err(io::Error::other)?);
        received.extend_from_slice(&data);
        Ok(())
    }

    async fn install_snapshot(&self, meta: SnapshotMeta) -> io::Result<Store> {
        let bytes = std::mem::take(&mut self.lock().received).freeze();
        let (_, chunks) = snapshot::from_bytes(bytes.clone(), meta.last)?;
        let store = snapshot::restore(chunks.into_iter().map(Ok))?;
        let state = store.snapshot();
        self.lock().saved = Some(Saved { meta, state, bytes: Some(bytes) });
        Ok(store)
    }
}

impl NoStorage {
    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().expect("nobody panics while holding it")
    }
}

/// Replace a small file as a whole: after a crash it has the old content or the new one.
///
/// # Errors
///
/// The disk's. The old content is then still there.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(UNFINISHED);
    let unfinished = PathBuf::from(unfinished);
    let mut file = File::create(&unfinished)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)
}

/// Remove a file that may not be there.
///
/// # Errors
///
/// It is there and stays.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Make the names in `dir` durable. A directory that was never made has none.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    match File::open(dir) {
        Ok(dir) => dir.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Wait for the disk where waiting hurts nobody.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// The folder of snapshots in a data directory.
pub const SNAPSHOTS: &str = "raft/snapshots";

/// What a file is called until it is whole.
const UNFINISHED: &str = ".tmp";
