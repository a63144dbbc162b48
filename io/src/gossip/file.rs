//! Keyrings on disk: `serf/local.keyring` for the LAN pool, `serf/remote.keyring` for the WAN pool.
//!
//! A file is a JSON list of keys in base64, the primary one first. It is replaced as a whole, and
//! nobody but its owner may read it. Once it is there, it is what counts: a pool's key is changed by
//! commands, and the one in the configuration was only its first.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tribune_base::hcl::{self, Format, Value};

use super::key::{Key, KeyError};
use super::keyring::Keyring;
use crate::storage::sync_dir;

/// The LAN pool's, below the data directory.
pub const LAN: &str = "serf/local.keyring";

/// The WAN pool's, below the data directory.
pub const WAN: &str = "serf/remote.keyring";

/// Why there is no keyring. The operator repairs the file or removes it; an agent that went on
/// without would speak to nobody, or worse, in the clear.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The disk says no.
    #[error("{path}: {error}")]
    Disk {
        /// The file.
        path: PathBuf,
        /// What it says.
        error: io::Error,
    },
    /// It is no list of texts.
    #[error("{path}: {reason}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        reason: String,
    },
    /// A key in it is none.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// There is nothing in it.
    #[error("no keys present in keyring: {0}")]
    Empty(PathBuf),
}

/// The keyring to begin with, and whether the key of the configuration is missing in it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Beginning {
    /// `None`: this pool does not encrypt.
    pub keyring: Option<Keyring>,
    /// The file counts, and does not know the configuration's key: worth a warning.
    pub differs: bool,
}

/// The keyring of the file at `path`, or else one of the configuration's key, which is then saved
/// there. Without a path (`disable_keyring_file`), the configuration alone decides.
///
/// # Errors
///
/// There is a file that nobody can use, or none can be made.
pub fn begin(path: Option<&Path>, configured: Option<&Key>) -> Result<Beginning, FileError> {
    let fresh = || configured.cloned().map(Keyring::new);
    let Some(path) = path else { return Ok(Beginning { keyring: fresh(), differs: false }) };
    if let Some(keyring) = load(path)? {
        let differs = configured.is_some_and(|it| !keyring.keys().contains(it));
        return Ok(Beginning { keyring: Some(keyring), differs });
    }
    let keyring = fresh();
    if let Some(keyring) = &keyring {
        save(path, keyring)?;
    }
    Ok(Beginning { keyring, differs: false })
}

/// The keyring at `path`, if there is a file.
///
/// # Errors
///
/// There is one, and nobody can use it.
pub fn load(path: &Path) -> Result<Option<Keyring>, FileError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FileError::Disk { path: path.to_owned(), error }),
    };
    let syntax = |reason: String| FileError::Syntax { path: path.to_owned(), reason };
    let value = hcl::parse(&text, Format::Json).map_err(|error| syntax(error.to_string()))?;
    let items = value.as_array().ok_or_else(|| syntax("not a list of keys".to_owned()))?;
    let mut keyring: Option<Keyring> = None;
    for item in items {
        let text = item.as_str().ok_or_else(|| syntax("not a list of keys".to_owned()))?;
        let key = Key::parse(text)?;
        match &mut keyring {
            Some(keyring) => keyring.install(key),
            None => keyring = Some(Keyring::new(key)),
        }
    }
    keyring.map(Some).ok_or_else(|| FileError::Empty(path.to_owned()))
}

/// Replace the file at `path`: after a crash it holds the old keys or the new ones.
///
/// # Errors
///
/// The disk's. The old keys are then still there.
pub fn save(path: &Path, keyring: &Keyring) -> Result<(), FileError> {
    let keys = keyring.keys().iter().map(|it| Value::String(it.to_base64()));
    let text = Value::Array(keys.collect()).to_string();
    replace_secret(path, text.as_bytes())
        .map_err(|error| FileError::Disk { path: path.to_owned(), error })
}

fn replace_secret(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder)?;
    let unfinished = path.with_added_extension("tmp");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    // One that somebody left behind keeps its permissions.
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    sync_dir(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A data directory, as long as the value lives.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("tribune-keyring-{name}-{}", std::process::id());
            let folder = Self(std::env::temp_dir().join(name));
            _ = fs::remove_dir_all(&folder.0);
            fs::create_dir_all(&folder.0).unwrap();
            folder
        }

        fn lan(&self) -> PathBuf {
            self.0.join(LAN)
        }

        fn write(&self, text: &str) {
            fs::create_dir_all(self.lan().parent().unwrap()).unwrap();
            fs::write(self.lan(), text).unwrap();
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            _ = fs::remove_dir_all(&self.0);
        }
    }

    fn key(n: u8) -> Key {
        Key::new(&[n; 32]).unwrap()
    }

    #[test]
    fn the_first_key_comes_from_the_configuration_and_is_kept() {
        let folder = Folder::new("first");
        let begun = begin(Some(&folder.lan()), Some(&key(1))).unwrap();
        let want = Beginning { keyring: Some(Keyring::new(key(1))), differs: false };
        assert_eq!(begun, want);
        let text = fs::read_to_string(folder.lan()).unwrap();
        assert_eq!(text, format!("[\"{}\"]", key(1).to_base64()));
        let mode = fs::metadata(folder.lan()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        // Nobody needs to be told twice.
        assert_eq!(begin(Some(&folder.lan()), None).unwrap(), want);
    }

    #[test]
    fn the_file_counts_more_than_the_configuration() {
        let folder = Folder::new("counts");
        let mut keyring = Keyring::new(key(1));
        keyring.install(key(2));
        keyring.make_primary(&key(2)).unwrap();
        save(&folder.lan(), &keyring).unwrap();
        let begin = |n| begin(Some(&folder.lan()), Some(&key(n))).unwrap();
        let kept = |differs| Beginning { keyring: Some(keyring.clone()), differs };
        assert_eq!(begin(1), kept(false));
        assert_eq!(begin(3), kept(true));
        assert_eq!(load(&folder.lan()).unwrap(), Some(keyring.clone()));
    }

    #[test]
    fn without_a_file_the_configuration_decides_alone() {
        let folder = Folder::new("without");
        save(&folder.lan(), &Keyring::new(key(1))).unwrap();
        let begun = begin(None, Some(&key(2))).unwrap();
        assert_eq!(begun, Beginning { keyring: Some(Keyring::new(key(2))), differs: false });
        assert_eq!(begin(None, None).unwrap().keyring, None);
        // And without either, nothing is encrypted, and nothing is written.
        let path = folder.0.join(WAN);
        assert_eq!(begin(Some(&path), None).unwrap().keyring, None);
        assert!(!path.exists());
    }

    #[test]
    fn a_file_that_nobody_can_use_is_not_passed_over() {
        let folder = Folder::new("unusable");
        let path = folder.lan();
        let cases = [
            ("[]", format!("no keys present in keyring: {}", path.display())),
            ("[\"x\"]", "illegal base64 data at input byte 0".to_owned()),
            ("[\"eHh4\"]", "key size must be 16, 24 or 32 bytes".to_owned()),
            ("{}", format!("{}: not a list of keys", path.display())),
            ("[1]", format!("{}: not a list of keys", path.display())),
        ];
        for (text, want) in cases {
            folder.write(text);
            let error = begin(Some(&path), Some(&key(1))).unwrap_err();
            assert_eq!(error.to_string(), want, "{text}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        folder.write("zz");
        assert!(matches!(load(&path), Err(FileError::Syntax { .. })));
    }

    #[test]
    fn a_file_left_open_to_all_is_closed_when_it_is_replaced() {
        let folder = Folder::new("closed");
        folder.write("[]");
        let unfinished = folder.lan().with_added_extension("tmp");
        for path in [&folder.lan(), &unfinished] {
            fs::write(path, "left behind").unwrap();
            fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
        }
        save(&folder.lan(), &Keyring::new(key(1))).unwrap();
        let mode = fs::metadata(folder.lan()).unwrap().permissions().mode();
        assert_eq!((mode & 0o777, unfinished.exists()), (0o600, false));
    }
}
