//! Rules of the house that a compiler does not know.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// Who may depend on whom: our own crates, then other people's packages. An edge is added here, in
/// the same commit, with a reviewer looking.
const LAYERS: &[(&str, &[&str], &[&str])] = &[
    (
        "core/base",
        &[],
        &["base64", "bytes", "imbl", "rand_xoshiro", "serde", "serde_json", "thiserror"],
    ),
    ("core/raft", &["base"], &["bytes", "thiserror"]),
    ("core/gossip", &["base"], &["bytes", "thiserror"]),
    ("core/wal", &["base"], &["bytes", "crc32fast", "thiserror"]),
    ("core/state", &["base"], &["bytes", "serde", "thiserror"]),
    ("core/agent", &["base", "state"], &["bytes", "serde", "serde_json", "thiserror"]),
    (
        "core/api",
        &["agent", "base", "raft", "state"],
        &["bytes", "percent-encoding", "regex", "serde", "serde_json", "thiserror"],
    ),
    ("core", &["agent", "api", "base", "raft", "state"], &["bytes", "thiserror"]),
    (
        "io",
        &["agent", "api", "base", "core", "raft", "state", "wal"],
        &[
            "arc-swap",
            "bytes",
            "crc32fast",
            "hickory-proto",
            "http",
            "http-body-util",
            "hyper",
            "hyper-util",
            "memmap2",
            "socket2",
            "thiserror",
            "tokio",
            "tracing",
        ],
    ),
    (
        "sim",
        &["agent", "api", "base", "core", "gossip", "io", "raft", "state", "wal"],
        &[
            "bytes",
            "clap",
            "http-body-util",
            "hyper",
            "hyper-util",
            "indicatif",
            "tokio",
            "tracing",
            "turmoil",
        ],
    ),
    (
        "server",
        &["agent", "api", "base", "core", "io", "raft", "state", "wal"],
        &[
            "bytes",
            "clap",
            "comfy-table",
            "http-body-util",
            "hyper",
            "hyper-util",
            "regex",
            "serde",
            "serde_json",
            "thiserror",
            "tokio",
            "tracing",
            "tracing-subscriber",
        ],
    ),
    ("tests", &[], &[]),
];

/// Packages that stay out of `core/`, however they are spelled.
const IMPURE: &[&str] = &["tokio", "hyper", "turmoil", "memmap2", "rand", "hickory-proto", "libc"];

#[test]
fn dependencies_point_down() {
    for (package, ours, others) in LAYERS {
        for dependency in dependencies(package) {
            match dependency.strip_prefix("tribune-") {
                Some(name) => {
                    assert!(ours.contains(&name), "{package} must not depend on {dependency}");
                }
                None => assert!(
                    others.contains(&dependency.as_str()),
                    "{package} must not depend on {dependency}"
                ),
            }
            let impure = package.starts_with("core") && IMPURE.contains(&dependency.as_str());
            assert!(!impure, "{package} is pure and must not depend on {dependency}");
        }
    }
}

#[test]
fn every_crate_is_in_the_table() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let members = manifest.split("members = [").nth(1).unwrap().split(']').next().unwrap();
    for member in members.split(',').map(|it| it.trim().trim_matches('"')) {
        let known = member.is_empty() || LAYERS.iter().any(|(package, ..)| *package == member);
        assert!(known, "{member} is not in the table");
    }
}

#[test]
fn unsafe_code_is_in_one_file() {
    let mut found = Vec::new();
    for file in sources() {
        let text = fs::read_to_string(&file).unwrap();
        let code = |line: &&str| !line.trim_start().starts_with("//");
        let keyword = concat!("unsafe", " ");
        let used = |line: &str| {
            ["{", "fn", "impl"].iter().any(|it| line.contains(&format!("{keyword}{it}")))
        };
        if text.lines().filter(code).any(used) {
            found.push(file);
        }
    }
    let found: Vec<_> = found.iter().map(|it| it.strip_prefix(root()).unwrap()).collect();
    assert_eq!(found, [Path::new("io/src/wal/segment.rs")]);
}

#[test]
fn every_core_crate_forbids_unsafe_code() {
    for (package, ..) in LAYERS.iter().filter(|(package, ..)| package.starts_with("core")) {
        let text = fs::read_to_string(root().join(package).join("src/lib.rs")).unwrap();
        assert!(text.contains("#![forbid(unsafe_code)]"), "{package}");
    }
}

#[test]
fn no_file_is_a_wall() {
    for file in sources() {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= 800, "{} has {lines} lines: it has a second concern", file.display());
    }
}

/// The packages `package` depends on, development dependencies aside.
fn dependencies(package: &str) -> Vec<String> {
    let manifest = fs::read_to_string(root().join(package).join("Cargo.toml")).unwrap();
    let Some(section) = manifest.split("\n[dependencies]\n").nth(1) else { return Vec::new() };
    let section = section.split("\n[").next().unwrap();
    let names = section.lines().filter_map(|it| it.split(['.', ' ', '=']).next());
    names.filter(|it| !it.is_empty()).map(str::to_owned).collect()
}

fn sources() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for (package, ..) in LAYERS {
        for folder in ["src", "tests", "benches"] {
            walk(&root().join(package).join(folder), &mut files);
        }
    }
    files.sort();
    files
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|it| it == "rs") {
            files.push(path);
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}
