//! Consensus → state: what is committed is applied, and everybody it concerns hears of it.

use bytes::Bytes;
use tribune_api::error::Error;
use tribune_api::plan::Write;
use tribune_base::codec::{self, Reader, Writer};
use tribune_base::id::Index;
use tribune_base::time::WallTime;
use tribune_raft::{Entry, Payload, ProposeError, Role};
use tribune_state::{Command, DecodeError, Outcome};

use crate::event::Event;
use crate::forward::outcomes;
use crate::leader::Reign;
use crate::node::Node;
use crate::request::{Held, Pending, Proposer, RequestId};
use crate::wire::Rejected;

/// What a log entry holds: a command, and when its leader proposed it.
///
/// ```text
///   1  the leader's wall clock, in milliseconds since 1970
///   2  the command
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Envelope {
    /// The stamp every server applies, whatever its own clock says.
    pub stamp: WallTime,
    /// What to do.
    pub command: Command,
}

impl Envelope {
    /// As it stands in the log.
    pub fn encode(&self) -> Bytes {
        Self::wrap(self.stamp, &self.command.encode())
    }

    /// The same, of a command that is encoded already.
    pub(crate) fn wrap(stamp: WallTime, command: &[u8]) -> Bytes {
        let mut writer = Writer::with_capacity(command.len() + 16);
        writer.u64(1, stamp.0);
        writer.present_bytes(2, command);
        writer.finish()
    }

    /// Read one back.
    ///
    /// # Errors
    ///
    /// These bytes are no command this release knows, and it may not be ignored.
    pub fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        let (mut stamp, mut command) = (WallTime::default(), None);
        let mut reader = Reader::new(bytes);
        while let Some(field) = reader.field()? {
            match field.tag {
                1 => stamp = WallTime(field.u64()?),
                2 => command = Some(Command::decode(field.bytes()?)?),
                _ => {}
            }
        }
        Ok(Self { stamp, command: command.ok_or(codec::DecodeError::Missing { tag: 2 })? })
    }
}

impl Node {
    /// Commit a client's command.
    pub(crate) fn write(&mut self, id: RequestId, write: Write) {
        if self.no_space {
            return self.reply(id, Error::DiskFull.into());
        }
        let (answer, pretty) = (write.answer, write.pretty);
        match self.raft.propose(self.now, Envelope::wrap(self.wall(), &write.command.encode())) {
            Ok(at) => {
                self.ledger.propose(at, Proposer::Client(id));
                let pending = Pending::Commit { answer, pretty };
                self.ledger.wait(id, pending, self.now + self.config.write_max);
            }
            // Somebody else is about to lead.
            Err(ProposeError::Transferring | ProposeError::NotLeader { .. }) => {
                self.hold(id, Held::Write(write));
            }
            Err(error @ ProposeError::Overloaded { .. }) => {
                self.reply(id, Error::from(error).into());
            }
        }
    }

    /// Append a command to the log, and remember who wants to hear of it. Returns its place.
    pub(crate) fn propose(
        &mut self,
        command: Command,
        proposer: Proposer,
    ) -> Result<Index, ProposeError> {
        let envelope = Envelope { stamp: self.wall(), command };
        let at = self.raft.propose(self.now, envelope.encode())?;
        self.ledger.propose(at, proposer);
        Ok(at.index)
    }

    /// Entries are committed: apply them, in order.
    pub(crate) fn apply(&mut self, entries: Vec<Entry>) {
        let mut configured = false;
        for entry in entries {
            assert_eq!(self.applied.next(), entry.id.index, "applied out of order");
            self.applied = entry.id.index;
            match entry.payload {
                Payload::Command(bytes) => {
                    // A command that another release wrote and this one does not know must not be
                    // skipped: a stopped replica is better than one that differs.
                    let envelope = Envelope::decode(bytes)
                        .unwrap_or_else(|error| panic!("entry {}: {error}", entry.id));
                    let applied =
                        self.store.apply(entry.id.index, envelope.stamp, &envelope.command);
                    for touch in &applied.touched {
                        self.touch(touch);
                    }
                    if let Some(proposer) = self.ledger.committed(entry.id) {
                        self.tell(proposer, entry.id.index, applied.outcome);
                    }
                }
                Payload::Configuration(_) => {
                    configured = true;
                    if let Some(Proposer::Client(id)) = self.ledger.committed(entry.id)
                        && let Some(Pending::Reconfigure(response)) = self.ledger.take(id)
                    {
                        self.reply(id, response);
                    }
                }
                Payload::Empty => {}
            }
        }
        if configured {
            self.configured();
            self.reconcile_now();
            if self.recovering && self.raft.is_configuration_settled() {
                self.recovering = false;
                self.outputs.push_back(crate::Output::Recovered);
            }
        }
        self.caught_up();
        self.release_synced();
        self.establish();
        self.replicate();
    }

    /// Tell whoever proposed a command what came of it.
    fn tell(&mut self, proposer: Proposer, index: Index, outcome: Outcome) {
        match proposer {
            Proposer::Client(id) => {
                if let Some(Pending::Commit { answer, pretty }) = self.ledger.take(id) {
                    self.reply(id, answer.response(outcome, pretty));
                }
            }
            Proposer::Sync(id) => {
                self.local.synced(self.now, id, Ok(outcomes(outcome)));
                self.settle();
            }
            Proposer::Agent { from, serial } => self.result(from, serial, Ok((index, outcome))),
            Proposer::Duty => {}
        }
    }

    /// This server plays another part: what it had proposed is no longer in its hands.
    pub(crate) fn role_changed(
        &mut self,
        role: Role,
        term: tribune_base::id::Term,
        leader: Option<tribune_base::id::ServerId>,
    ) {
        self.outputs.push_back(crate::Output::Event(Event::RoleChanged { role, term, leader }));
        self.abandon_forwards();
        if role == Role::Leader {
            // Entries up to here may be our predecessors' and not yet applied: until they are, this
            // server knows less than what was acknowledged.
            let interval = self.raft.config().heartbeat_interval;
            let replication = self.config.kv_replication.as_ref();
            let last = self.raft.last().index;
            self.reign = Some(Reign::new(last, self.now, interval, replication));
            self.establish();
            return;
        }
        self.reign = None;
        for proposer in self.ledger.abandon_proposed() {
            match proposer {
                Proposer::Client(id) => {
                    if self.ledger.take(id).is_some() {
                        self.reply(id, Error::LeadershipLost.into());
                    }
                }
                Proposer::Sync(id) => {
                    self.local.synced(self.now, id, Err(tribune_agent::SyncFailed));
                }
                Proposer::Agent { from, serial } => {
                    self.result(from, serial, Err(Rejected::LeadershipLost));
                }
                Proposer::Duty => {}
            }
        }
        if self.other_leader().is_some() {
            self.handed_over();
            self.local.retry_sync(self.now);
            self.release_held();
        }
        self.go_on_leaving();
    }

    /// Take up office, once everything committed before it is applied.
    pub(crate) fn establish(&mut self) {
        let Some(reign) = &mut self.reign else { return };
        if reign.is_established() || self.applied < reign.since() {
            return;
        }
        reign.establish(self.now);
        let term = self.raft.term();
        self.outputs.push_back(crate::Output::Event(Event::Established { term }));
        self.reconcile();
        self.begin_autopilot();
        self.local.retry_sync(self.now);
        self.release_held();
    }
}
