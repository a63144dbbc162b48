//! The file that names this process.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;

/// A file with this process's number, as long as the value lives.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
}

impl PidFile {
    /// Write the file, over whatever an earlier process left.
    ///
    /// # Errors
    ///
    /// What the system says. The caller does not start, because whoever asked for the file will
    /// look for the process there.
    pub fn create(path: &Path) -> io::Result<Self> {
        fs::write(path, process::id().to_string())?;
        Ok(Self { path: path.to_owned() })
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Somebody else may have removed it, and then it is gone as well.
        _ = fs::remove_file(&self.path);
    }
}

#[test]
fn the_file_lives_as_long_as_the_value() {
    let path = std::env::temp_dir().join(format!("tribune-{}.pid", process::id()));
    let file = PidFile::create(&path).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), process::id().to_string());
    drop(file);
    assert!(!path.exists());
}
