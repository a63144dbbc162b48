//! One process per data directory.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// Keeps other processes out of a directory until it is dropped, or the process ends, however.
#[derive(Debug)]
pub struct Lock {
    /// The operating system's lock goes with it.
    _file: File,
}

/// Why a directory is not ours.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it. Nothing has changed; stop, or use another directory.
    #[error(
        "{} is in use by another agent: stop that agent, or give this one a data directory of its \
         own", .dir.display()
    )]
    InUse {
        /// The directory.
        dir: PathBuf,
    },

    /// The lock file cannot be made, or the file system has no locks.
    #[error("cannot lock {}: {error}", .path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

impl Lock {
    /// Lock `dir`, which is created if need be.
    ///
    /// # Errors
    ///
    /// Another process has it, or the file system does not let us.
    pub fn acquire(dir: &Path) -> Result<Self, LockError> {
        let path = dir.join(FILE_NAME);
        let open = || {
            fs::create_dir_all(dir)?;
            OpenOptions::new().write(true).create(true).truncate(false).open(&path)
        };
        let file = open().map_err(|error| LockError::Io { path: path.clone(), error })?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::InUse { dir: dir.to_owned() }),
            Err(TryLockError::Error(error)) => Err(LockError::Io { path, error }),
        }
    }
}

/// The file whose lock stands for the directory. It stays behind; only its lock means something.
const FILE_NAME: &str = "lock";

#[test]
fn a_directory_has_one_owner_at_a_time() {
    let dir = std::env::temp_dir().join(format!("tribune-lock-{}", std::process::id()));
    let lock = Lock::acquire(&dir).unwrap();
    let refused = Lock::acquire(&dir).unwrap_err();
    assert!(matches!(&refused, LockError::InUse { dir: named } if *named == dir));
    assert!(refused.to_string().contains("in use by another agent"), "{refused}");
    drop(lock);
    Lock::acquire(&dir).unwrap();
    fs::remove_dir_all(dir).unwrap();
}
