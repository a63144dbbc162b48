//! Where configuration comes from: files in order, then fragments, then flags.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tribune_base::hcl::{self, Format};

use super::check;
use super::host::Host;
use super::merge::Settings;
use super::runtime::Config;
use super::schema;

/// Everything that has a say in the configuration, the least important first.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The language of files whose names do not tell.
    format: Option<Format>,
    dev: bool,
    texts: Vec<Text>,
    problems: Vec<Problem>,
}

#[derive(Clone, Debug)]
struct Text {
    origin: String,
    format: Format,
    text: String,
}

/// One thing to fix.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// Where it is: a path, or `command line`.
    pub origin: String,
    /// What it is, in the original's words where it has some.
    pub message: String,
}

/// Why there is no configuration. The operator fixes what is listed; nothing has been started.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum BuildError {
    /// Some texts could not be read, or say what nobody knows.
    Unreadable(Vec<Problem>),
    /// Each text is well-formed, but together they make no sense.
    Senseless(Vec<Problem>),
}

impl std::error::Error for BuildError {}

impl Sources {
    /// No sources yet. `format` is the language of files whose names do not end in `.hcl` or `.json`.
    pub fn new(format: Option<Format>) -> Self {
        Self { format, ..Self::default() }
    }

    /// Development mode. It is the least important source, wherever it is mentioned.
    pub fn dev(&mut self) {
        self.dev = true;
    }

    /// Add the file at `path`, or the files directly inside it in the order of their names.
    pub fn path(&mut self, path: &Path) {
        match fs::metadata(path) {
            Err(error) => self.unreadable(path, &error),
            Ok(metadata) if metadata.is_dir() => self.dir(path),
            Ok(_) => self.file(path),
        }
    }

    /// Add a fragment of HCL.
    pub fn fragment(&mut self, text: &str) {
        self.text("-hcl", Format::Hcl, text.to_owned());
    }

    /// Add what the command line's other flags say, as one object.
    pub fn flags(&mut self, value: &Value) {
        self.text("command line", Format::Json, value.to_string());
    }

    /// Decide, or list everything there is to fix: an operator should not have to find out one
    /// restart at a time.
    ///
    /// # Errors
    ///
    /// Every problem of the files if there are any, otherwise everything that makes no sense about
    /// them all together.
    pub fn build(self, host: &Host) -> Result<Config, BuildError> {
        let Self { dev, texts, mut problems, .. } = self;
        let mut settings = Settings::default();
        if dev {
            let texts = Text { origin: "-dev".into(), format: Format::Hcl, text: DEV.into() };
            texts.read_into(&mut settings, &mut problems);
        }
        for text in texts {
            text.read_into(&mut settings, &mut problems);
        }
        if !problems.is_empty() {
            return Err(BuildError::Unreadable(problems));
        }
        check::build(&settings, dev, host).map_err(BuildError::Senseless)
    }

    fn dir(&mut self, path: &Path) {
        let known = |it: &PathBuf| self.format.or_else(|| format_of(it)).is_some() && it.is_file();
        let names = fs::read_dir(path)
            .and_then(|entries| entries.map(|it| Ok(it?.path())).collect::<io::Result<Vec<_>>>());
        match names {
            Err(error) => self.unreadable(path, &error),
            Ok(mut paths) => {
                paths.retain(known);
                paths.sort();
                paths.iter().for_each(|it| self.file(it));
            }
        }
    }

    fn file(&mut self, path: &Path) {
        let Some(format) = self.format.or_else(|| format_of(path)) else {
            let message = "file must have a .hcl or .json extension, or config-format must be set";
            return self.problems.push(Problem::new(&path.to_string_lossy(), message));
        };
        match fs::read_to_string(path) {
            Ok(text) => self.text(&path.to_string_lossy(), format, text),
            Err(error) => self.unreadable(path, &error),
        }
    }

    fn text(&mut self, origin: &str, format: Format, text: String) {
        self.texts.push(Text { origin: origin.to_owned(), format, text });
    }

    fn unreadable(&mut self, path: &Path, error: &io::Error) {
        // Without the number that the system's text ends in.
        let text = error.to_string().to_lowercase();
        let message = text.split(" (os error").next().unwrap_or_default();
        self.problems.push(Problem::new(&path.to_string_lossy(), message));
    }
}

impl Text {
    fn read_into(self, settings: &mut Settings, problems: &mut Vec<Problem>) {
        // In either language: who writes files one after the other begins with empty ones.
        if self.text.trim().is_empty() {
            return;
        }
        let value = match hcl::parse(&self.text, self.format) {
            Ok(value) => value,
            Err(error) => {
                let message = error.to_string();
                return problems.push(Problem { origin: self.origin, message });
            }
        };
        match schema::read(value) {
            Ok(more) => settings.add(&self.origin, more),
            Err(messages) => {
                problems.extend(messages.into_iter().map(|it| Problem::new(&self.origin, it)));
            }
        }
    }
}

impl Problem {
    pub(crate) fn new(origin: &str, message: impl Into<String>) -> Self {
        Self { origin: origin.to_owned(), message: message.into() }
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Vec::new();
        match self {
            Self::Unreadable(problems) => {
                for group in problems.chunk_by(|a, b| a.origin == b.origin) {
                    let (origin, count) = (&group[0].origin, group.len());
                    let noun = if count == 1 { "error" } else { "errors" };
                    lines.push(format!("failed to parse {origin}: {count} {noun} occurred:"));
                    lines.extend(group.iter().map(|it| format!("\t* {}", it.message)));
                }
            }
            Self::Senseless(problems) => {
                lines.extend(problems.iter().map(|it| format!("{} ({})", it.message, it.origin)));
            }
        }
        f.write_str(&lines.join("\n"))
    }
}

fn format_of(path: &Path) -> Option<Format> {
    match path.extension().and_then(OsStr::to_str) {
        Some("hcl") => Some(Format::Hcl),
        Some("json") => Some(Format::Json),
        _ => None,
    }
}

/// What development mode says: one server, alone and in memory, quick and talkative.
const DEV: &str = r#"
    bind_addr = "127.0.0.1"
    disable_anonymous_signature = true
    disable_keyring_file = true
    enable_debug = true
    log_level = "DEBUG"
    server = true
    ui = true
    performance { raft_multiplier = 1 }
    gossip_lan {
        gossip_interval = "100ms"
        probe_interval = "100ms"
        probe_timeout = "100ms"
        suspicion_mult = 3
    }
    gossip_wan {
        gossip_interval = "100ms"
        probe_interval = "100ms"
        probe_timeout = "100ms"
        suspicion_mult = 3
    }
"#;

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory with these files, as long as the value lives.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str, files: &[(&str, &str)]) -> Self {
            let name = format!("tribune-{name}-{}", std::process::id());
            let folder = Self(std::env::temp_dir().join(name));
            fs::create_dir_all(folder.0.join("inner.hcl")).unwrap();
            files.iter().for_each(|(name, text)| fs::write(folder.0.join(name), text).unwrap());
            folder
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_directory_is_read_in_the_order_of_names() {
        let folder = Folder::new(
            "order",
            &[
                ("b.json", r#"{ "node_name": "b", "data_dir": "/nowhere", "retry_join": ["b"] }"#),
                ("a.hcl", "node_name = \"a\"\nretry_join = [\"a\"]\nbind_addr = \"127.0.0.1\""),
                ("b.1.json", ""),
                ("c.txt", "not read"),
                ("inner.hcl/d.hcl", "node_name = \"d\""),
            ],
        );
        let mut sources = Sources::new(None);
        sources.path(&folder.0);
        let config = sources.build(&Host::default()).unwrap();
        assert_eq!((config.node_name.as_str(), config.join.retry_join.len()), ("b", 2));
        assert_eq!(config.join.retry_join, ["a", "b"]);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let folder = Folder::new("unreadable", &[("c.txt", "server = true"), ("d.json", "{")]);
        let (text, json) = (folder.0.join("c.txt"), folder.0.join("d.json"));
        let mut sources = Sources::new(None);
        [&PathBuf::from("/nowhere.hcl"), &text, &json].iter().for_each(|it| sources.path(it));
        let Err(BuildError::Unreadable(problems)) = sources.build(&Host::default()) else {
            panic!("there is nothing to read");
        };
        let origins: Vec<_> = problems.iter().map(|it| it.origin.as_str()).collect();
        let (text, json) = (text.to_str().unwrap(), json.to_str().unwrap());
        assert_eq!(origins, ["/nowhere.hcl", text, json]);
        assert_eq!(problems[0].message, "no such file or directory");
        assert!(problems[1].message.starts_with("file must have a .hcl or .json extension"));
    }
}
