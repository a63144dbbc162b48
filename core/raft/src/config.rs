//! Times and limits.

use tribune_base::time::Duration;

/// How patient a server is, and how much it takes on. [`Node::new`](crate::Node::new) refuses one
/// that does not pass [`Config::check`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// How often a leader says that it is there.
    pub heartbeat_interval: Duration,
    /// How long a follower waits for its leader at least; at most half as long again. Also how
    /// long a leader may go without a quorum, and how long a transfer may take.
    pub election_timeout: Duration,
    /// How long after the start of a heartbeat round, answered by a quorum, the leader may answer
    /// reads on its own. Less than `election_timeout`.
    pub lease: Duration,
    /// How long a leader's disk may take for a write before leadership is handed to a server with
    /// a healthier one.
    pub disk_patience: Duration,
    /// How long the news of a commit may wait for an append to travel with.
    pub commit_spread: Duration,

    /// Bytes of entries in one append; a single entry may be larger.
    pub append_bytes_max: usize,
    /// Entries in one append.
    pub append_entries_max: usize,
    /// Unanswered appends to one peer. Beyond, the peer waits.
    pub window_messages_max: usize,
    /// Unanswered bytes to one peer. Beyond, the peer waits.
    pub window_bytes_max: usize,

    /// Entries that wait for a quorum. Beyond, proposals are refused.
    pub uncommitted_entries_max: u64,
    /// Bytes that wait for a quorum. Beyond, proposals are refused.
    pub uncommitted_bytes_max: u64,
    /// Reads that wait for an answer. Beyond, they fail.
    pub reads_max: usize,

    /// Committed entries after which a snapshot is due.
    pub snapshot_entries_max: u64,
    /// Committed bytes after which a snapshot is due.
    pub snapshot_bytes_max: u64,
    /// Entries kept behind a snapshot, for followers that lag a little. A leader keeps up to four
    /// times as many, and as many bytes, for one that lags more and has been heard recently.
    pub trailing_entries_max: u64,
    /// Bytes kept behind a snapshot.
    pub trailing_bytes_max: u64,
    /// Bytes of a snapshot in one message.
    pub chunk_len_max: u64,
    /// Unanswered bytes of a snapshot to one peer.
    pub chunk_window_max: u64,
}

/// Why a [`Config`] makes no sense. The operator corrects it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// Two leaders could both believe they may answer reads.
    #[error("the lease must be shorter than the election timeout")]
    Lease,
    /// Followers would lose patience with a healthy leader.
    #[error("the heartbeat interval must be at most half the lease")]
    Heartbeat,
    /// Something of which there must be at least one is limited to none.
    #[error("a limit is zero")]
    Limit,
}

impl Config {
    /// For servers in one datacenter: a second of patience, times `multiplier`.
    pub fn lan(multiplier: u32) -> Self {
        Self {
            heartbeat_interval: Duration::from_millis(100) * multiplier,
            election_timeout: Duration::from_millis(1_000) * multiplier,
            lease: Duration::from_millis(500) * multiplier,
            disk_patience: Duration::from_millis(1_000) * multiplier,
            commit_spread: Duration::from_millis(50),
            append_bytes_max: 1 << 20,
            append_entries_max: 4_096,
            window_messages_max: 64,
            window_bytes_max: 8 << 20,
            uncommitted_entries_max: 65_536,
            uncommitted_bytes_max: 64 << 20,
            reads_max: 65_536,
            snapshot_entries_max: 16_384,
            snapshot_bytes_max: 64 << 20,
            trailing_entries_max: 10_240,
            trailing_bytes_max: 32 << 20,
            chunk_len_max: 256 << 10,
            chunk_window_max: 1 << 20,
        }
    }

    /// For servers on one machine, in a hurry.
    pub fn dev() -> Self {
        Self {
            heartbeat_interval: Duration::from_millis(20),
            election_timeout: Duration::from_millis(200),
            lease: Duration::from_millis(100),
            disk_patience: Duration::from_millis(200),
            commit_spread: Duration::from_millis(10),
            ..Self::lan(1)
        }
    }

    /// Whether this can work.
    ///
    /// # Errors
    ///
    /// The first thing that cannot.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.election_timeout <= self.lease {
            return Err(ConfigError::Lease);
        }
        if self.heartbeat_interval.is_zero() || self.lease < self.heartbeat_interval * 2 {
            return Err(ConfigError::Heartbeat);
        }
        let limits = [
            self.append_bytes_max as u64,
            self.append_entries_max as u64,
            self.window_messages_max as u64,
            self.window_bytes_max as u64,
            self.uncommitted_entries_max,
            self.uncommitted_bytes_max,
            self.reads_max as u64,
            self.snapshot_entries_max,
            self.snapshot_bytes_max,
            self.chunk_len_max,
            self.chunk_window_max,
            u64::try_from(self.disk_patience.as_nanos()).unwrap_or(u64::MAX),
        ];
        if limits.contains(&0) { Err(ConfigError::Limit) } else { Ok(()) }
    }
}

#[test]
fn presets_pass_and_nonsense_does_not() {
    let lan = Config::lan(1);
    let cases = [
        ("lan", lan.clone(), Ok(())),
        ("slow lan", Config::lan(5), Ok(())),
        ("dev", Config::dev(), Ok(())),
        ("no multiplier", Config::lan(0), Err(ConfigError::Lease)),
        ("lease", Config { lease: lan.election_timeout, ..lan.clone() }, Err(ConfigError::Lease)),
        (
            "heart",
            Config { heartbeat_interval: lan.lease, ..lan.clone() },
            Err(ConfigError::Heartbeat),
        ),
        ("limit", Config { append_entries_max: 0, ..lan }, Err(ConfigError::Limit)),
    ];
    for (name, config, want) in cases {
        assert_eq!(config.check(), want, "{name}");
    }
}
