//! What must be true of pools, seen from outside (GO-1 to GO-8 of the catalogue of invariants).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tribune_base::time::{Duration, Instant};
use tribune_gossip::{Change, LTime, MemberEvent, Output, Pool, Status};

use super::network::Host;

/// Sees everything, and knows the truth.
#[derive(Debug, Default)]
pub struct Oracle {
    /// The first thing that was not as it must be.
    pub violation: Option<Violation>,
    /// What members have found out about each other.
    pub sightings: Vec<Sighting>,
    /// How often each change was seen.
    pub counts: BTreeMap<Change, u64>,
    /// How often a member was taken for dead by another that could reach it, although it was there,
    /// and not one of those that stall again and again.
    pub false_deaths: u64,
    /// The same of those who do.
    pub slow_deaths: u64,
    /// The same of others, by those who do: what they believe, until they look again.
    pub deaths_by_slow: u64,
    /// Whether the former must not happen.
    pub calm: bool,
    /// Members in conflict, by number of who complains.
    pub conflicts: Vec<(usize, String)>,
    /// Joins, and what became of them.
    pub joined: Vec<(usize, Result<usize, String>)>,
    /// User events, by who saw them.
    pub events: BTreeMap<(LTime, Arc<str>, bytes::Bytes), BTreeMap<usize, Instant>>,
    /// Answers to queries.
    pub answers: Vec<(usize, Arc<str>)>,
    /// Queries that have ended.
    pub queries_ended: u64,
    /// Whoever has left.
    pub left: BTreeSet<usize>,
    /// Whether each sighting is kept. In large pools they would be many.
    pub keep: bool,
    /// Whether everything that each member knows is looked at after each step. In large pools that
    /// takes long.
    pub thorough: bool,
    truths: Vec<Truth>,
    by_name: BTreeMap<Arc<str>, usize>,
    /// By observer and subject: the incarnation that was last seen dead, in this life of the
    /// observer.
    dead: BTreeMap<(usize, usize), u64>,
    /// By observer and subject: whether it was alive when it was last seen, in this life of the
    /// observer.
    seen: BTreeMap<(usize, usize), bool>,
    /// By observer: Lamport times.
    ltimes: BTreeMap<usize, [LTime; 3]>,
}

/// What went wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    /// Of the catalogue: `GO-4`.
    pub id: &'static str,
    /// When.
    pub at: Instant,
    /// What.
    pub text: String,
}

/// Somebody has found out something.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// When.
    pub at: Instant,
    /// Who.
    pub by: usize,
    /// About whom.
    pub of: Arc<str>,
    /// What.
    pub change: Change,
}

/// How a member really is.
#[derive(Debug)]
struct Truth {
    /// Where it belongs.
    pool: Arc<str>,
    up: bool,
    /// Since when it has been up or down.
    since: Instant,
    /// Since its beginning it has known everybody, as alive.
    informed: bool,
    /// The last moment that it knew nobody else.
    alone_at: Instant,
    /// The greatest incarnation that it has given itself, in any life.
    incarnation: u64,
    /// The last moment that it was stalled.
    stalled_until: Instant,
    /// It has been asked to leave.
    leaving: bool,
    /// Somebody else has declared that it has left.
    forced: bool,
}

impl Oracle {
    pub(super) fn up(&mut self, host: usize, pool: &Pool, now: Instant) {
        let name = pool.local().name.clone();
        if self.truths.len() <= host {
            self.truths.push(Truth {
                pool: pool.config().pool.clone(),
                up: true,
                since: now,
                informed: false,
                alone_at: Instant::START,
                incarnation: 0,
                stalled_until: Instant::START,
                leaving: false,
                forced: false,
            });
        }
        self.by_name.entry(name).or_insert(host);
        let truth = &mut self.truths[host];
        truth.up = true;
        truth.since = now;
        truth.informed = 1 < pool.len();
        truth.leaving = false;
        truth.forced = false;
        self.left.remove(&host);
        self.forget_memory_of(host);
    }

    pub(super) fn down(&mut self, host: usize, now: Instant) {
        let truth = &mut self.truths[host];
        truth.up = false;
        truth.since = now;
        // Whoever dies before it has said good-bye has not left.
        truth.leaving = self.left.contains(&host);
        self.forget_memory_of(host);
    }

    /// Whoever starts again knows nothing of what it saw.
    fn forget_memory_of(&mut self, host: usize) {
        self.dead.retain(|(by, _), _| *by != host);
        self.seen.retain(|(by, _), _| *by != host);
        self.ltimes.remove(&host);
        self.events.values_mut().for_each(|it| {
            it.remove(&host);
        });
    }

    pub(super) fn stalled(&mut self, host: usize, until: Instant) {
        let truth = &mut self.truths[host];
        truth.stalled_until = truth.stalled_until.max(until);
    }

    /// Whether it was away of late: it may not have heard, or not have been heard in time.
    fn is_slow(&self, host: usize, now: Instant) -> bool {
        now.since(self.truths[host].stalled_until) < SLOW_WINDOW
    }

    /// It has been asked to leave: from now on it is not a failure if it is gone.
    pub fn leaving(&mut self, host: usize) {
        self.truths[host].leaving = true;
    }

    /// Whether it has been asked to.
    pub fn is_leaving(&self, host: usize) -> bool {
        self.truths[host].leaving
    }

    /// Somebody else has said that it has left.
    pub fn forced(&mut self, name: &str) {
        if let Some(host) = self.by_name.get(name) {
            self.truths[*host].forced = true;
        }
    }

    pub(super) fn observe(&mut self, by: usize, hosts: &[Host], output: &Output, now: Instant) {
        match output {
            Output::Member(event) => self.observe_member(by, hosts, event, now),
            Output::Event(event) => {
                let key = (event.ltime, event.name.clone(), event.payload.clone());
                let again = self.events.entry(key).or_default().insert(by, now).is_some();
                if again {
                    let text = format!("{by} saw the event {} again", event.name);
                    self.violate("GO-8", now, text);
                }
            }
            Output::Conflict { reason, .. } => self.conflicts.push((by, reason.to_string())),
            Output::Joined { result, .. } => {
                let result = result.as_ref().map(|it| *it).map_err(ToString::to_string);
                self.joined.push((by, result));
            }
            Output::Left => {
                self.left.insert(by);
            }
            Output::Answer { from, .. } => self.answers.push((by, from.clone())),
            Output::QueryEnded { .. } => self.queries_ended += 1,
            Output::Query(_) | Output::Packet { .. } | Output::Exchange { .. } => {}
        }
    }

    fn observe_member(&mut self, by: usize, hosts: &[Host], event: &MemberEvent, now: Instant) {
        let MemberEvent { change, member } = event;
        *self.counts.entry(*change).or_default() += 1;
        if self.keep {
            let of = member.name.clone();
            self.sightings.push(Sighting { at: now, by, of, change: *change });
        }
        let Some(of) = self.by_name.get(&member.name).copied() else { return };
        if self.find(by, &member.name).is_none() {
            let text = format!("{by} sees {}, who is not of this pool", member.name);
            return self.violate("GO-4", now, text);
        }
        let alive = matches!(change, Change::Join | Change::Update);
        let was_alive = self.seen.insert((by, of), alive).unwrap_or(self.truths[by].informed);
        let truth = &self.truths[of];
        match change {
            Change::Failed | Change::Leave => {
                self.dead.insert((by, of), member.incarnation);
                let there = truth.up && hosts[of].group == hosts[by].group;
                let slow = self.is_slow(of, now) || self.is_slow(by, now);
                if *change == Change::Failed && truth.leaving && there && self.calm && !slow {
                    let text = format!("{by} takes {of}, who is leaving, for failed");
                    self.violate("GO-6", now, text);
                } else if *change == Change::Failed && there && !truth.forced && was_alive {
                    // Whoever never saw it alive, or took it for gone before, repeats the verdict of
                    // somebody else, who was looked at when it was given. That may be about an
                    // earlier life for as long as nobody knows of the new one: those who come back
                    // to another part of the pool are found by trying one of the failed now and
                    // then, and no time is promised for that.
                    self.observe_death(by, of, hosts[of].slow.is_some(), now);
                }
            }
            Change::Join | Change::Update => {
                let dead = self.dead.get(&(by, of)).copied();
                if *change == Change::Join && dead.is_some_and(|it| member.incarnation <= it) {
                    let text = format!(
                        "{by} sees {of} come back with incarnation {}, with which it died",
                        member.incarnation
                    );
                    self.violate("GO-4", now, text);
                }
            }
            // Whoever has forgotten somebody cannot know what it said.
            Change::Reap => {
                self.dead.remove(&(by, of));
            }
        }
    }

    /// Somebody is taken for dead who is there.
    fn observe_death(&mut self, by: usize, of: usize, slow: bool, now: Instant) {
        if slow || self.is_slow(of, now) {
            self.slow_deaths += 1;
            return;
        }
        if self.is_slow(by, now) {
            self.deaths_by_slow += 1;
            return;
        }
        self.false_deaths += 1;
        // Whoever has just come back is dead to those who have not heard of it.
        let Truth { since, alone_at, .. } = self.truths[of];
        if self.calm && RETURN_MAX < now.since(since.max(alone_at)) {
            self.violate("GO-3", now, format!("{by} takes {of} for dead, which it is not"));
        }
    }

    /// What must be true of a member at any time.
    pub(super) fn check(&mut self, host: usize, pool: &Pool, now: Instant) {
        let truth = &mut self.truths[host];
        truth.incarnation = truth.incarnation.max(pool.local().incarnation);
        if pool.live() == 1 {
            truth.alone_at = now;
        }
        let ltimes = pool.ltimes();
        let before = self.ltimes.insert(host, ltimes).unwrap_or_default();
        if before.iter().zip(&ltimes).any(|(before, after)| after < before) {
            self.violate("GO-8", now, format!("{host}: Lamport time goes back"));
        }
        let bound = 64 + 8 * pool.len();
        if bound < pool.broadcasts_len() {
            self.violate("GO-8", now, format!("{host}: the queue is longer than {bound}"));
        }
        let mut wrong = None;
        for member in pool.members() {
            // Whoever is not there yet is known to those who are to meet it.
            let Some(of) = self.by_name.get(&member.name).copied() else { continue };
            if self.find(host, &member.name).is_none() {
                wrong = Some(format!("{host} knows {}, who is not of this pool", member.name));
                break;
            }
            if self.truths[of].incarnation < member.incarnation {
                wrong = Some(format!(
                    "{host} has heard incarnation {} of {of}, who never said so",
                    member.incarnation
                ));
            }
        }
        if let Some(text) = wrong {
            self.violate("GO-4", now, text);
        }
    }

    /// The member of this name, if it belongs where `by` does.
    fn find(&self, by: usize, name: &str) -> Option<usize> {
        let of = *self.by_name.get(name)?;
        (self.truths[of].pool == self.truths[by].pool).then_some(of)
    }

    /// A packet that nobody may send.
    pub(super) fn too_long(&mut self, host: usize, len: usize, now: Instant) {
        self.violate("GO-8", now, format!("{host} sends a packet of {len} bytes"));
    }

    /// Something is not as it must be. The first such is kept.
    pub fn violate(&mut self, id: &'static str, at: Instant, text: String) {
        if self.violation.is_none() {
            self.violation = Some(Violation { id, at, text });
        }
    }

    /// Whether `pool` sees everybody as they are: whoever is up as alive, whoever left as left, and
    /// whoever is down as failed, or left, or not at all.
    pub fn is_true(&self, by: usize, pool: &Pool, hosts: &[Host]) -> Result<(), String> {
        for (of, host) in hosts.iter().enumerate() {
            let name = &host.identity.name;
            if self.find(by, name) != Some(of) {
                continue;
            }
            let status = pool.member(name).map_or(Status::None, |it| it.status);
            let truth = &self.truths[of];
            let right = if truth.up && !truth.leaving {
                status == Status::Alive && pool.member(name).is_some_and(|it| it.tags == tags(host))
            } else if truth.leaving {
                // Those who could not hear it cannot know.
                matches!(status, Status::Left | Status::None)
                    || status == Status::Failed && !self.calm
            } else {
                matches!(status, Status::Failed | Status::Left | Status::None)
            };
            if !right {
                let suspect = pool.is_suspect(name);
                return Err(format!(
                    "{by} sees {of} as {status} (suspect: {suspect}); up: {}, leaving: {}",
                    truth.up, truth.leaving
                ));
            }
        }
        Ok(())
    }

    /// How long ago a member crashed, if it is down.
    pub fn down_for(&self, host: usize, now: Instant) -> Option<Duration> {
        let truth = &self.truths[host];
        (!truth.up).then(|| now.since(truth.since))
    }

    /// Whether it is there, and has been for a while, without stalls.
    pub fn is_well(&self, host: usize, now: Instant, since: Duration) -> bool {
        let truth = &self.truths[host];
        truth.up && since <= now.since(truth.since) && since <= now.since(truth.stalled_until)
    }
}

/// Whoever was away in this time counts as slow: it covers a probe, and what a suspect has at least,
/// twice.
const SLOW_WINDOW: Duration = Duration::from_secs(15);

/// A member that starts again is known to do so after this time.
const RETURN_MAX: Duration = Duration::from_secs(30);

fn tags(host: &Host) -> tribune_gossip::Tags {
    host.pool.as_ref().map_or_else(|| host.identity.tags.clone(), |it| it.local().tags.clone())
}
