//! Keys of another datacenter → this one's. The source wins.
//!
//! For each prefix, the leader asks the source for all its keys, and then again and again for what
//! is newer, waiting there. What the answer says is compared with what is here, and the differences
//! go into the log, some at a time. A change that somebody makes here below the prefix is a
//! difference like any other: it is put right again.
//!
//! Nothing is remembered over a change of leaders but the keys themselves. The next one asks for all
//! of them, and writes what differs: nothing is written twice, and nothing is missed.

use tribune_api::http::{OwnedRequest, Response};
use tribune_api::replication::{Listing, PrefixStatus, Status, listing, request};
use tribune_base::id::Index;
use tribune_base::rng::Rng;
use tribune_base::time::{Duration, Instant};
use tribune_state::{Command, Snapshot, Topic, kv};

use crate::across::Asker;
use crate::config::KvReplication;
use crate::node::Node;
use crate::request::Proposer;

/// All prefixes.
#[derive(Debug, Default)]
pub(crate) struct Replication {
    source: String,
    streams: Vec<Stream>,
}

/// One prefix.
#[derive(Debug)]
struct Stream {
    prefix: bytes::Bytes,
    /// What the source has, as far as it has said.
    source: Option<Listing>,
    /// What of that is here.
    replicated: Index,
    /// The index of what is here, when it was last the same. Zero: compare.
    compared: Index,
    /// An entry of the log to wait for, before comparing again.
    proposed: Option<Index>,
    /// Whether the source was asked and has not answered.
    asked: bool,
    /// When to ask it.
    next: Instant,
    /// When to propose again what was refused.
    retry: Option<Instant>,
    /// Since when this datacenter has been behind. `None`: it is not.
    behind_since: Option<Instant>,
    contact: Option<Instant>,
    /// How often in a row the source could not be asked.
    failures: u32,
    written: u64,
    removed: u64,
    resyncs: u64,
    errors: u64,
    last_error: String,
}

/// What to do.
#[derive(Debug, Eq, PartialEq)]
enum Action {
    /// Ask the source; the answer is to be [heard](Replication::heard).
    Ask(OwnedRequest),
    /// Have this committed, and say where in the log it is.
    Propose(Command),
}

impl Replication {
    pub(super) fn new(config: Option<&KvReplication>, now: Instant) -> Self {
        let Some(config) = config else { return Self::default() };
        let streams = config.prefixes.iter().map(|it| Stream::new(it, now)).collect();
        Self { source: config.source.clone(), streams }
    }

    pub(super) fn poll_timeout(&self) -> Instant {
        self.streams.iter().map(Stream::poll_timeout).min().unwrap_or(Instant::NEVER)
    }

    /// The next thing to do, and for which prefix. `local` is what is here, up to `applied`.
    fn poll(&mut self, now: Instant, applied: Index, local: &Snapshot) -> Option<(usize, Action)> {
        let mut streams = self.streams.iter_mut().enumerate();
        streams.find_map(|(n, it)| Some((n, it.poll(now, applied, local)?)))
    }

    /// The source has answered, or could not be asked.
    fn heard(&mut self, now: Instant, n: usize, said: Result<Listing, String>, rng: &mut Rng) {
        if let Some(stream) = self.streams.get_mut(n) {
            stream.heard(now, said, rng);
        }
    }

    fn status(&self, now: Instant) -> Status {
        let prefixes = self.streams.iter().map(|it| it.status(now)).collect();
        Status { source: self.source.clone(), prefixes }
    }
}

impl Stream {
    fn new(prefix: &str, now: Instant) -> Self {
        Self {
            prefix: bytes::Bytes::copy_from_slice(prefix.as_bytes()),
            source: None,
            replicated: Index(0),
            compared: Index(0),
            proposed: None,
            asked: false,
            next: now,
            retry: None,
            behind_since: Some(now),
            contact: None,
            failures: 0,
            written: 0,
            removed: 0,
            resyncs: 0,
            errors: 0,
            last_error: String::new(),
        }
    }

    fn poll_timeout(&self) -> Instant {
        let next = if self.asked { Instant::NEVER } else { self.next };
        self.retry.map_or(next, |it| it.min(next))
    }

    fn poll(&mut self, now: Instant, applied: Index, local: &Snapshot) -> Option<Action> {
        if self.proposed.is_some_and(|it| it <= applied) {
            self.proposed = None;
        }
        if self.retry.is_some_and(|it| it <= now) {
            self.retry = None;
        }
        if self.proposed.is_none()
            && self.retry.is_none()
            && let Some(command) = self.compare(now, local)
        {
            return Some(Action::Propose(command));
        }
        if self.asked || now < self.next {
            return None;
        }
        self.asked = true;
        let index = self.source.as_ref().map_or(Index(0), |it| it.index);
        Some(Action::Ask(request(&self.prefix, index, WAIT)))
    }

    /// What to change, if anything is not as the source has it.
    fn compare(&mut self, now: Instant, local: &Snapshot) -> Option<Command> {
        let source = self.source.as_ref()?;
        let here = local.index_of(&Topic::KvPrefix(self.prefix.clone()));
        if here == self.compared {
            return None;
        }
        let commands = differences(source, &self.prefix, local);
        if commands.is_empty() {
            self.compared = here;
            self.replicated = source.index;
            self.behind_since = None;
            return None;
        }
        self.behind_since.get_or_insert(now);
        Some(Command::Batch(commands.into_iter().map(Command::Kv).collect()))
    }

    fn heard(&mut self, now: Instant, said: Result<Listing, String>, rng: &mut Rng) {
        self.asked = false;
        match said {
            Ok(listing) => {
                let before = self.source.as_ref().map_or(Index(0), |it| it.index);
                // It was restored from something older, or begun anew. Either way this is all of it.
                self.resyncs += u64::from(listing.index < before);
                self.source = Some(listing);
                self.compared = Index(0);
                self.contact = Some(now);
                self.failures = 0;
                self.next = now + PAUSE;
            }
            Err(why) => {
                self.failures += 1;
                self.errors += 1;
                self.last_error = why;
                self.behind_since.get_or_insert(now);
                let pause = RETRY * 2_u32.pow(self.failures.min(6) - 1);
                self.next = now + rng.jitter(pause.min(RETRY_MAX / 2));
            }
        }
    }

    /// What was to be proposed is in the log, at an index; or it is refused for now.
    fn proposed(&mut self, now: Instant, at: Option<Index>, (written, removed): (u64, u64)) {
        if at.is_some() {
            self.proposed = at;
            self.written += written;
            self.removed += removed;
        } else {
            self.retry = Some(now + RETRY);
        }
    }

    fn status(&self, now: Instant) -> PrefixStatus {
        PrefixStatus {
            prefix: String::from_utf8_lossy(&self.prefix).into_owned(),
            replicated: self.replicated,
            known: self.source.as_ref().map_or(Index(0), |it| it.index),
            lag: self.behind_since.map_or(Duration::ZERO, |it| now.since(it)),
            last_contact: self.contact.map(|it| now.since(it)),
            keys: self.source.as_ref().map_or(0, |it| it.entries.len()),
            written: self.written,
            removed: self.removed,
            resyncs: self.resyncs,
            errors: self.errors,
            last_error: self.last_error.clone(),
        }
    }
}

/// The first changes that make what is below `prefix` here what it is at the source.
fn differences(source: &Listing, prefix: &[u8], local: &Snapshot) -> Vec<kv::Command> {
    let mut commands = Vec::new();
    let mut len = 0;
    let (_, here) = local.kv_list(prefix);
    let strangers = here.filter(|(key, _)| !source.entries.contains_key(*key));
    for (key, _) in strangers.take(BATCH_MAX) {
        commands.push(kv::Command::Delete { key: bytes::Bytes::copy_from_slice(key) });
    }
    for (key, (value, flags)) in &source.entries {
        if BATCH_MAX <= commands.len() || BATCH_LEN_MAX <= len {
            break;
        }
        let here = local.kv_get(key).1;
        if here.is_some_and(|it| it.value() == value && it.flags() == *flags) {
            continue;
        }
        len += key.len() + value.len();
        let (key, value) = (key.clone(), value.clone());
        commands.push(kv::Command::Set { key, value, flags: *flags });
    }
    commands
}

/// How many keys a command writes, and how many it removes.
fn count(command: &Command) -> (u64, u64) {
    let Command::Batch(commands) = command else { return (0, 0) };
    let is_write = |it: &&Command| matches!(it, Command::Kv(kv::Command::Set { .. }));
    let written = commands.iter().filter(is_write).count() as u64;
    (written, commands.len() as u64 - written)
}

impl Node {
    /// Do what is to be done for keys to be as another datacenter has them, if this server leads.
    pub(crate) fn replicate(&mut self) {
        if self.config.kv_replication.is_none() || !self.leads() {
            return;
        }
        loop {
            let Some(reign) = &mut self.reign else { return };
            let replication = &mut reign.replication;
            let next = replication.poll(self.now, self.applied, self.store.view());
            let Some((stream, action)) = next else { return };
            match action {
                Action::Ask(request) => {
                    let source = replication.source.clone();
                    let asker = Asker::Replication { stream, term: self.raft.term() };
                    self.forward_to(&source, request, false, WAIT + WAIT / 8, asker);
                }
                Action::Propose(command) => {
                    let counts = count(&command);
                    let proposed = if self.no_space {
                        None
                    } else {
                        self.propose(command, Proposer::Duty).ok()
                    };
                    let Some(reign) = &mut self.reign else { return };
                    reign.replication.streams[stream].proposed(self.now, proposed, counts);
                }
            }
        }
    }

    /// The source has answered what was asked in a term, or nobody has.
    pub(crate) fn replicated(
        &mut self,
        stream: usize,
        term: tribune_base::id::Term,
        said: Result<&Response, String>,
    ) {
        let said = said.and_then(listing);
        let reign = self.reign.as_mut().filter(|_| term == self.raft.term());
        let Some(reign) = reign else { return };
        reign.replication.heard(self.now, stream, said, &mut self.rng);
        self.replicate();
    }

    /// How the replication is doing, as the leader knows.
    pub(crate) fn replication_status(&self) -> Status {
        self.reign.as_ref().map(|it| it.replication.status(self.now)).unwrap_or_default()
    }
}

/// How long the source may wait for a change before it says that there is none.
const WAIT: Duration = Duration::from_secs(60);

/// How long the source rests between two questions: what changes quickly is fetched together.
const PAUSE: Duration = Duration::from_millis(100);

/// How long it rests when it could not be asked, at first: twice as long each time, up to a maximum.
const RETRY: Duration = Duration::from_millis(500);

/// See [`RETRY`].
const RETRY_MAX: Duration = Duration::from_secs(10);

/// Keys that are changed by one entry of the log.
const BATCH_MAX: usize = 128;

/// Bytes of keys and values that are changed by one entry of the log, before the last one.
const BATCH_LEN_MAX: usize = 256 << 10;

#[cfg(test)]
mod tests;
