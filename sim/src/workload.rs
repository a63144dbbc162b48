//! What clients do: scripts of requests, drawn before the run, so that any of them can be left out.

mod catalog;

use tribune_base::rng::Rng;
use tribune_base::time::Duration;

pub use self::catalog::{Checked, Local, Look, NODES, Name, OUTSIDE, SERVICES, STATES, TTL};

/// What one client does, one thing after the other.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// In this order.
    pub ops: Vec<Op>,
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub struct Op {
    /// Its number in the script as drawn: what it writes is made of it, whatever is left out.
    pub serial: u32,
    /// How long the client waits before.
    pub gap: Duration,
    /// Which agent it asks: the leader, as far as anybody knows, or this one.
    pub server: Option<u32>,
    /// What it wants.
    pub action: Action,
}

/// What a client may want.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Set a key to a value that nothing else is ever set to.
    Set(Key),
    /// The same, if the key has not changed since this client looked.
    Cas(Key),
    /// The same, if the key is not there.
    Create(Key),
    /// Delete a key.
    Delete(Key),
    /// The same, if the key has not changed since this client looked.
    DeleteCas(Key),
    /// Delete everything under a prefix.
    DeleteTree(Key),
    /// Read a key.
    Get(Key, Mode),
    /// Read everything under a prefix.
    List(Key, Mode),
    /// Read the names under a prefix.
    Keys(Key, Mode),
    /// Wait until a key changes.
    Watch(Key, Mode, Patience),
    /// Wait until anything under a prefix changes.
    WatchTree(Key, Mode, Patience),
    /// Wait until there are other names under a prefix.
    WatchKeys(Key, Mode, Patience),
    /// Something about the agent that is asked, and what it offers.
    Local(Local),
    /// See something of the catalog, or wait until it changes.
    Look(Look, Mode, Option<Patience>),
}

/// The number of a key, or of a prefix.
pub type Key = u8;

/// How fresh an answer must be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// From the leader, under its lease.
    Default,
    /// Confirmed by a quorum.
    Consistent,
    /// From anybody.
    Stale,
}

/// How long a client waits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Patience {
    /// What it tells the server.
    pub wait: Duration,
    /// When it goes away without a word, if it does.
    pub leaves: Option<Duration>,
}

/// The keys there are.
pub const KEYS: [&str; 8] = ["a", "a/b", "a/b/c", "a/d", "b", "b/e", "c", "d/f/g"];

/// The prefixes that are asked for.
pub const PREFIXES: [&str; 6] = ["", "a", "a/", "a/b", "d/", "x"];

impl Action {
    /// What it is called in a trace.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Set(_) => "set",
            Self::Cas(_) => "cas",
            Self::Create(_) => "create",
            Self::Delete(_) => "delete",
            Self::DeleteCas(_) => "delete-cas",
            Self::DeleteTree(_) => "delete-tree",
            Self::Get(..) => "get",
            Self::List(..) => "list",
            Self::Keys(..) => "keys",
            Self::Watch(..) => "watch",
            Self::WatchTree(..) => "watch-tree",
            Self::WatchKeys(..) => "watch-keys",
            Self::Local(it) => it.name(),
            Self::Look(it, ..) => it.name(),
        }
    }

    /// The key, the prefix, the service or the node it is about.
    pub const fn subject(self) -> &'static str {
        match self {
            Self::Set(key)
            | Self::Cas(key)
            | Self::Create(key)
            | Self::Delete(key)
            | Self::DeleteCas(key)
            | Self::Get(key, _)
            | Self::Watch(key, ..) => KEYS[key as usize % KEYS.len()],
            Self::DeleteTree(key)
            | Self::List(key, _)
            | Self::Keys(key, _)
            | Self::WatchTree(key, ..)
            | Self::WatchKeys(key, ..) => PREFIXES[key as usize % PREFIXES.len()],
            Self::Local(it) => it.subject(),
            Self::Look(it, ..) => it.subject(),
        }
    }

    /// Tells questions apart that are about the same: whoever waits for an answer to one of them has
    /// seen nothing of the others.
    pub const fn kind(self) -> u8 {
        match self {
            Self::Set(_)
            | Self::Cas(_)
            | Self::Create(_)
            | Self::Delete(_)
            | Self::DeleteCas(_)
            | Self::DeleteTree(_)
            | Self::Local(_)
            | Self::Get(..)
            | Self::Watch(..) => 0,
            Self::List(..) | Self::Keys(..) | Self::WatchTree(..) | Self::WatchKeys(..) => 1,
            Self::Look(it, ..) => it.kind(),
        }
    }

    /// Whether it is about keys.
    pub const fn is_about_keys(self) -> bool {
        !matches!(self, Self::Local(_) | Self::Look(..))
    }

    /// How fresh the answer must be; `None` for a write.
    pub const fn mode(self) -> Option<Mode> {
        match self {
            Self::Get(_, mode)
            | Self::List(_, mode)
            | Self::Keys(_, mode)
            | Self::Watch(_, mode, _)
            | Self::WatchTree(_, mode, _)
            | Self::WatchKeys(_, mode, _)
            | Self::Look(_, mode, _) => Some(mode),
            Self::Set(_)
            | Self::Cas(_)
            | Self::Create(_)
            | Self::Delete(_)
            | Self::DeleteCas(_)
            | Self::DeleteTree(_)
            | Self::Local(_) => None,
        }
    }
}

/// The scripts of a run of this length, with so many servers and client agents.
pub fn draw(seed: u64, length: Duration, servers: usize, agents: usize) -> Vec<Script> {
    let rng = &mut Rng::stream(seed, "workload");
    let clients = 1 + rng.below(4);
    let gap = Duration::from_millis([30, 200, 600, 2_000][rng.below(4) as usize]);
    let quiet = rng.chance(1, 4);
    let keys = [1, 3, 8][rng.below(3) as usize];
    let writes = [20, 50, 80][rng.below(3) as usize];
    let mut scripts: Vec<_> = (0..clients)
        .map(|_| {
            let mut draw = |rng: &mut Rng| {
                if rng.chance(writes, 100) { draw_write(rng, keys) } else { draw_read(rng, keys) }
            };
            script(rng, length, gap, quiet, &mut draw)
        })
        .collect();
    for _ in 0..rng.below(3) {
        let mut draw = |rng: &mut Rng| draw_watch(rng, keys);
        scripts.push(script(rng, length, gap / 2, false, &mut draw));
    }
    // Of most writes there is nothing to tell those who wait for names.
    let rng = &mut Rng::stream(seed, "watchers of names");
    if rng.chance(1, 4) {
        let mut draw = |rng: &mut Rng| {
            let (mode, patience) = draw_patience(rng);
            Action::WatchKeys(rng.below(PREFIXES.len() as u64) as Key, mode, patience)
        };
        scripts.push(script(rng, length, gap / 2, false, &mut draw));
        scripts.push(bursts(length));
    }
    if agents != 0 {
        scripts.extend(catalog::draw(seed, length, servers, agents));
    }
    scripts
}

fn script(
    rng: &mut Rng,
    length: Duration,
    gap: Duration,
    quiet: bool,
    draw: &mut dyn FnMut(&mut Rng) -> Action,
) -> Script {
    let mut ops = Vec::new();
    let mut at = Duration::ZERO;
    while at < length && ops.len() < OPS_MAX {
        // Some traps are only armed while nothing happens.
        let pause = quiet && rng.chance(1, 20);
        let gap = if pause { Duration::from_secs(4) } else { rng.up_to(gap * 2) };
        at += gap;
        let server = rng.chance(1, 4).then(|| rng.below(64) as u32);
        let action = draw(rng);
        let anywhere = action.mode() == Some(Mode::Stale) && rng.chance(3, 4);
        let server = if anywhere { Some(rng.below(64) as u32) } else { server };
        ops.push(Op { serial: ops.len() as u32, gap, server, action });
    }
    Script { ops }
}

/// Two changes at once and then a while of nothing: of the first there is nothing to tell those who
/// wait for names, and the second comes while somebody finds that out.
fn bursts(length: Duration) -> Script {
    let pair = |n: u32| {
        [Action::Set(0), if n.is_multiple_of(2) { Action::Create(3) } else { Action::Delete(3) }]
    };
    let count = u32::try_from(length.as_millis() / BURST_GAP.as_millis()).unwrap_or(u32::MAX);
    let actions = (0..count).flat_map(pair).enumerate();
    let op = |(n, action): (usize, Action)| {
        let gap = if n.is_multiple_of(2) { BURST_GAP } else { Duration::ZERO };
        Op { serial: n as u32, gap, server: None, action }
    };
    Script { ops: actions.map(op).collect() }
}

fn draw_write(rng: &mut Rng, keys: u64) -> Action {
    let key = rng.below(keys) as Key;
    match rng.below(20) {
        0..9 => Action::Set(key),
        9..13 => Action::Cas(key),
        13..15 => Action::Create(key),
        15..17 => Action::Delete(key),
        17 => Action::DeleteCas(key),
        18 => Action::DeleteTree(rng.below(PREFIXES.len() as u64) as Key),
        _ => Action::Set(key),
    }
}

fn draw_read(rng: &mut Rng, keys: u64) -> Action {
    let mode = [Mode::Default, Mode::Consistent, Mode::Stale][rng.below(3) as usize];
    let prefix = rng.below(PREFIXES.len() as u64) as Key;
    match rng.below(6) {
        0 => Action::List(prefix, mode),
        1 => Action::Keys(prefix, mode),
        _ => Action::Get(rng.below(keys) as Key, mode),
    }
}

fn draw_patience(rng: &mut Rng) -> (Mode, Patience) {
    let mode = [Mode::Default, Mode::Consistent, Mode::Stale][rng.below(3) as usize];
    let wait = Duration::from_millis([500, 3_000, 10_000][rng.below(3) as usize]);
    let leaves = rng.chance(1, 5).then(|| rng.up_to(wait));
    (mode, Patience { wait, leaves })
}

fn draw_watch(rng: &mut Rng, keys: u64) -> Action {
    let (mode, patience) = draw_patience(rng);
    if rng.chance(1, 3) {
        Action::WatchTree(rng.below(PREFIXES.len() as u64) as Key, mode, patience)
    } else {
        Action::Watch(rng.below(keys) as Key, mode, patience)
    }
}

/// How long nothing happens between bursts.
const BURST_GAP: Duration = Duration::from_millis(1_500);

/// Requests in one script.
const OPS_MAX: usize = 2_000;
