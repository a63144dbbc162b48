//! The machines of one server, wired to each other.
//!
//! Everything that makes a server more than the sum of its protocols is here, and nowhere else: a
//! committed entry changes the state, a change wakes a blocking query, a lost leadership fails the
//! proposals of that reign. One input goes in, all its consequences come out, in one order.

use std::collections::VecDeque;
use std::sync::Arc;

use tribune_agent::{CheckDefinition, Local, PersistedFile, ServiceDefinition};
use tribune_api::error::Error;
use tribune_api::http::Response;
use tribune_api::plan::Write;
use tribune_base::bug;
use tribune_base::id::{Index, LogId, ServerId, Uuid};
use tribune_base::rng::Rng;
use tribune_base::time::{Duration, Instant, WallTime};
use tribune_gossip::{Change, MemberEvent};
use tribune_raft as raft;
use tribune_state::{Store, Watches};

use crate::across::Across;
use crate::area::Area;
use crate::bootstrap::Newcomer;
use crate::client::force_leave;
use crate::config::Config;
use crate::event::Event;
use crate::fired::{self, Fired};
use crate::forward::Forwards;
use crate::gossip::{self, Gossip, News};
use crate::input::{Call, Input};
use crate::keys::KeyringRequests;
use crate::leader::Reign;
use crate::leave::Leave;
use crate::output::Output;
use crate::request::{Held, Ledger, Pending, Question, RequestId};
use crate::roster::{Roster, host_port};
use crate::router::Router;
use crate::view::{Shown, View};
use crate::wire::{Inquiry, Wire};

/// One server. See the [crate documentation](crate) for the contract.
#[derive(Debug)]
pub struct Node {
    pub(crate) config: Config,
    pub(crate) raft: raft::Node,
    pub(crate) store: Store,
    pub(crate) watches: Watches,
    pub(crate) local: Local,
    pub(crate) ledger: Ledger,
    pub(crate) gossip: Gossip,
    /// The pool where all datacenters meet, if this server is in it.
    pub(crate) wan: Option<Gossip>,
    /// When to look who is missing there.
    pub(crate) flood_at: Instant,
    pub(crate) router: Router,
    pub(crate) across: Across,
    pub(crate) fired: Fired,
    pub(crate) keyrings: KeyringRequests,
    pub(crate) roster: Roster,
    pub(crate) forwards: Forwards,
    /// Set, while this server may not take part in consensus.
    pub(crate) newcomer: Option<Newcomer>,
    /// Whether an operator has said who the servers are, and the log does not say so yet.
    pub(crate) recovering: bool,
    /// Set, once it is on its way out.
    pub(crate) leave: Option<Leave>,
    /// When those who wait for a leader try again anyway.
    retry: Instant,
    /// What this server does because it leads. `None` while it does not.
    pub(crate) reign: Option<Reign>,
    pub(crate) rng: Rng,
    /// Whether the log takes no more.
    pub(crate) no_space: bool,
    /// The last entry of the two newest snapshots, older first. The log from the older one on is
    /// kept: if the newer one turns out to be damaged, the two together are as good.
    snapshots: (Index, Index),
    /// Invariant: never behind what `Output::Commit` said.
    pub(crate) applied: Index,
    pub(crate) now: Instant,
    pub(crate) outputs: VecDeque<Output>,
}

/// What a node finds on its disk when it starts. Empty the first time.
#[derive(Debug, Default)]
pub struct Restored {
    /// The newest snapshot's state.
    pub store: Store,
    /// What the log and the snapshot say of consensus.
    pub raft: raft::Restored,
    /// Who the servers are from now on, whatever the log says: a quorum of the others is lost for
    /// good. Only with a log, and with this server among them.
    pub recover: Option<raft::Configuration>,
    /// What this agent had registered.
    pub files: Vec<PersistedFile>,
    /// What its configuration registers.
    pub services: Vec<ServiceDefinition>,
    /// What its configuration checks.
    pub checks: Vec<CheckDefinition>,
}

impl Node {
    /// A server that continues where `restored` ends. Everything random in it follows from `seed`.
    pub fn new(config: Config, restored: Restored, seed: u64, now: Instant) -> Self {
        let id = ServerId::from(config.id);
        let fresh = restored.raft == raft::Restored::default();
        let snapshot = restored.raft.snapshot.as_ref();
        let applied = snapshot.map_or(Index(0), |it| it.last.index);
        let mut raft = raft::Node::new(id, config.raft.clone(), restored.raft, seed, now);
        if config.bootstrap_expect == 1 && fresh {
            let address = host_port(&config.address, config.server_port);
            raft.bootstrap(now, raft::Configuration::of_voters([(id, address)]))
                .expect("a server without any state can be told how to begin");
        }
        let newcomer = (raft.last().index == Index(0)).then(Newcomer::default);
        let mut rng = Rng::stream(seed, "node");
        let mut local = Local::new(config.agent.clone(), seed, now);
        local.restore(now, restored.files, restored.services, restored.checks);
        let recovering = restored.recover.is_some();
        if let Some(configuration) = restored.recover {
            raft.recover(now, configuration)
                .expect("the shell has looked whether this server can take part in a recovery");
        }
        let gossip = Gossip::lan(&config, &config.server_tags(), rng.draw(), now);
        // A stream of its own: who is in no such pool has the luck of a release without one.
        let mut afar = Rng::stream(seed, "wan");
        let mut this = Self {
            gossip,
            wan: Gossip::wan(&config, afar.draw(), now),
            flood_at: Instant::NEVER,
            router: Router::default(),
            across: Across::new(afar.draw() >> 1),
            fired: Fired::default(),
            keyrings: KeyringRequests::default(),
            roster: Roster::new(&config.join, host_port(&config.address, config.server_port), now),
            forwards: Forwards::new(rng.draw() >> 1),
            newcomer,
            recovering,
            leave: None,
            retry: Instant::NEVER,
            raft,
            applied,
            store: restored.store,
            watches: Watches::default(),
            local,
            ledger: Ledger::default(),
            reign: None,
            rng,
            no_space: false,
            snapshots: (applied, applied),
            now,
            outputs: VecDeque::new(),
            config,
        };
        this.configured();
        this
    }

    /// Take in one input. Its consequences are worked out by [`poll_output`](Self::poll_output).
    pub fn handle(&mut self, now: Instant, input: Input) {
        self.advance(now);
        match input {
            Input::Request { id, call } => self.request(id, call),
            Input::Cancel(id) => self.cancel(id),
            Input::Unchanged { ids, index } => self.unchanged(ids, index),
            Input::Served { ids, response } => self.served(ids, response),
            Input::Message { from, message } => self.hear(from, message),
            Input::Packet { area, from, packet } => {
                if bug!(G12)
                    && let Some(wan) = self.wan.as_mut().filter(|_| area == Area::Lan)
                {
                    wan.heard(now, from, packet.clone());
                }
                if let Some(pool) = self.pool(area) {
                    pool.heard(now, from, packet);
                }
            }
            Input::KeysDone { area, order, outcome } => {
                if let Some(pool) = self.pool(area) {
                    pool.keys_done(now, order, outcome);
                }
            }
            Input::Undelivered(inquiry) => self.undelivered(inquiry),
            // Here, whoever waits for something that was on it has a deadline.
            Input::Lost { to } => self.lost_across(&to),
            Input::SnapshotRead { to, last, offset, piece } => {
                self.raft.snapshot_read(now, to, last, offset, piece);
            }
            Input::SnapshotWritten { last, end } => self.raft.snapshot_written(now, last, end),
            Input::SnapshotInstalled { last, store } => self.installed(last, *store),
            Input::SnapshotDamaged { last } => self.raft.snapshot_damaged(now, last),
            Input::Stop => self.stop(),
            Input::Persisted(seq) => self.raft.persisted(now, seq),
            Input::NoSpace(advice) => {
                self.outputs.push_back(Output::Event(Event::NoSpace { advice }));
                self.no_space = true;
                // Refused if nobody else can lead, or if it happens already: others may have room.
                let _ = self.raft.transfer(now, None);
            }
            Input::Space => {
                self.no_space = false;
                self.outputs.push_back(Output::Event(Event::Space));
                self.local.retry_sync(now);
                self.reconcile_now();
            }
            Input::SnapshotSaved(meta) => {
                let index = meta.last.index;
                self.snapshots = (self.snapshots.1, index);
                self.raft.snapshot_saved(now, meta);
                self.outputs.push_back(Output::Event(Event::SnapshotSaved { index }));
            }
            Input::Checked { run, outcome } => self.local.checked(now, run, outcome),
            Input::Saved(change) => {
                self.local.saved(now, change);
                self.settle();
            }
        }
    }

    /// Let time pass.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
        self.raft.handle_timeout(now);
        self.local.handle_timeout(now);
        self.gossip.handle_timeout(now);
        if let Some(wan) = &mut self.wan {
            wan.handle_timeout(now);
        }
        self.flood();
        self.look_around();
        self.expire_across();
        self.expire(now);
        let over = self.fired.expire(now);
        self.reply_all(over);
        if self.retry <= now {
            self.release_held();
        }
        if self.roster.poll_timeout() <= now {
            self.greet();
            self.gather();
            self.forget_silent();
            self.expire_forwards();
        }
        self.go_on_leaving();
        self.do_duties(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub fn poll_timeout(&self) -> Instant {
        let watches = self.watches.poll_timeout();
        let ledger = self.ledger.poll_timeout();
        let duties = self.reign.as_ref().map(Reign::poll_timeout);
        let leave = self.leave.as_ref().map(Leave::poll_timeout);
        let others = [watches, ledger, duties, leave].into_iter().flatten().min();
        let machines = self.raft.poll_timeout().min(self.local_timeout());
        let machines = machines.min(self.gossip.poll_timeout()).min(self.fired.poll_timeout());
        let machines = machines.min(self.roster.poll_timeout()).min(self.retry);
        let afar = self.wan.as_ref().map_or(Instant::NEVER, Gossip::poll_timeout);
        let afar = afar.min(self.flood_at).min(self.across.poll_timeout());
        let machines = machines.min(afar);
        others.map_or(machines, |it| it.min(machines))
    }

    /// The next thing to do, or `None` when the caller may wait for the next input.
    pub fn poll_output(&mut self) -> Option<Output> {
        if self.outputs.is_empty() {
            self.pump();
            self.check_invariants();
        }
        self.outputs.pop_front()
    }

    /// Tells views apart: whenever [`view`](Self::view) shows something else, this is another.
    pub fn shown(&self) -> Shown {
        Shown {
            applied: self.applied,
            term: self.raft.term(),
            leads: self.leads(),
            leader: self.raft.leader(),
            lease_until: self.raft.lease_until(),
            informed_at: self.raft.informed_at(),
            placed: self.gossip.placed(),
        }
    }

    /// What may be read of this node from now on without asking it. Cheap: it is asked for after
    /// every step that changed something.
    pub fn view(&self) -> View {
        View {
            snapshot: self.store.snapshot(),
            freshness: self.freshness(),
            leader_addr: self.raft.leader().and_then(|it| self.roster.member_address(it)),
            peers: self.roster.voters(),
            places: Arc::clone(self.gossip.places()),
        }
    }

    /// Who belongs to the cluster, as far as this server knows.
    pub fn configuration(&self) -> &raft::Configuration {
        self.raft.configuration()
    }

    /// Let the machines' outputs have their effects on each other, until there are none left.
    ///
    /// Never forwards a child's output: a child's event is rarely this node's event. The children
    /// are visited in a fixed order, and feed each other only through their public verbs.
    fn pump(&mut self) {
        for _ in 0..PUMP_ROUNDS_MAX {
            let mut quiet = true;
            while let Some(output) = self.raft.poll_output() {
                quiet = false;
                self.on_raft(output);
            }
            while let Some(output) = self.local.poll_output() {
                quiet = false;
                self.on_local(output);
            }
            while let Some(news) = self.gossip.poll(self.now, &mut self.outputs) {
                quiet = false;
                self.on_news(news);
            }
            while let Some(news) =
                self.wan.as_mut().and_then(|it| it.poll(self.now, &mut self.outputs))
            {
                quiet = false;
                self.on_wan_news(news);
            }
            if quiet {
                return self.flush_forwards();
            }
        }
        panic!("the machines of this node do not come to rest");
    }

    fn on_raft(&mut self, output: raft::Output) {
        match output {
            raft::Output::Persist(batch) => self.outputs.push_back(Output::Persist(batch)),
            raft::Output::Send { to, message } => self.say(to, Wire::Raft(message)),
            raft::Output::Commit(entries) => self.apply(entries),
            raft::Output::ReadReady { id, index } => self.confirmed(RequestId(id.0), index),
            raft::Output::ReadFailed { id } => self.unconfirmed(RequestId(id.0)),
            raft::Output::RoleChanged { role, term, leader } => {
                self.role_changed(role, term, leader);
            }
            raft::Output::TakeSnapshot(meta) => {
                let snapshot = self.store.snapshot();
                self.outputs.push_back(Output::SaveSnapshot { meta, snapshot });
            }
            raft::Output::ForgetLog { through } => {
                let through = through.min(self.snapshots.0);
                self.outputs.push_back(Output::ForgetLog { through });
            }
            raft::Output::ReadSnapshot { to, last, offset, len } => {
                self.outputs.push_back(Output::ReadSnapshot { to, last, offset, len });
            }
            raft::Output::WriteSnapshot { last, offset, data } => {
                self.outputs.push_back(Output::WriteSnapshot { last, offset, data });
            }
            raft::Output::InstallSnapshot(meta) => {
                self.outputs.push_back(Output::InstallSnapshot(meta));
            }
        }
    }

    /// Another server says something.
    fn hear(&mut self, from: ServerId, message: Wire) {
        match message {
            // Whoever has nothing may have had something: it waits until it is told.
            Wire::Raft(_) if self.newcomer.is_some() => {}
            Wire::Raft(message) => self.raft.step(self.now, from, message),
            Wire::Hello(hello) => self.on_hello(from, *hello),
            Wire::Gather { servers } => self.on_gather(from, servers),
            Wire::Gathered { servers } => self.on_gathered(from, servers),
            Wire::Found { servers } => self.on_found(from, servers),
            Wire::Welcome => self.on_welcome(),
            Wire::Propose(proposals) => self.on_propose(from, proposals),
            Wire::Proposed(results) => self.on_proposed(from, results),
            Wire::Ask { serial, request, last } => self.on_ask(from, serial, request, last),
            Wire::Answer { serial, response } => {
                let response = response.map_or_else(|| Error::NoClusterLeader.into(), |it| *it);
                self.on_answer(from, serial, response);
            }
            Wire::Forget { serial } => self.on_forget(from, serial),
            Wire::Here { address } => self.gossip.called(self.now, from, address),
            Wire::ReadRows { serial, node } => self.on_read_rows(from, serial, &node),
            // Those are answers to what a client agent asks.
            Wire::Rows { .. } => {}
            Wire::Forward { serial, from: address, datacenter, patience, request } => {
                self.on_forward(from, (serial, address), &datacenter, patience, request);
            }
            Wire::Forwarded { serial, response } => self.on_forwarded(from, serial, response),
            Wire::Retract { serial } => self.on_forget(from, serial),
            Wire::Exchange { area, serial, from, request } => {
                let (now, pool) = (self.now, self.pool(area));
                let answer = pool.and_then(|it| it.on_exchange(now, serial, &from, request));
                self.outputs.extend(answer);
            }
            Wire::Exchanged { area, serial, answer } => {
                let now = self.now;
                if let Some(pool) = self.pool(area) {
                    pool.on_exchanged(now, serial, answer);
                }
            }
        }
    }

    /// The pool has news.
    fn on_news(&mut self, news: News) {
        match news {
            News::Member(event) => self.on_member(&event),
            News::Joined(id, response) => self.reply(id, response),
            News::Fired(event) => {
                let woken = self.fired.hear(&event, &self.config.name, &self.local);
                self.reply_all(woken);
            }
            News::Keys(outcome) => self.keys_done(outcome),
            // Nobody asks in here for another datacenter.
            News::KeysWanted(..) => {}
            News::Left => self.left_pool(Area::Lan),
        }
    }

    fn on_member(&mut self, event: &MemberEvent) {
        self.outputs.push_back(Output::Event(Event::member(Area::Lan, event)));
        self.local.set_member_count(self.now, self.gossip.count());
        match event.change {
            Change::Join | Change::Update => {
                if let Some(server) = gossip::server(&event.member) {
                    self.roster.seed(&server.address, self.now);
                    self.flood_soon();
                }
            }
            Change::Failed => {
                self.doubt_guests(ServerId::from(event.member.id));
            }
            Change::Leave | Change::Reap => {
                self.forget_guests(ServerId::from(event.member.id));
            }
        }
        self.reconcile_change(event);
    }

    /// A question has not left this server: nobody is there. Others may answer it.
    fn undelivered(&mut self, inquiry: Inquiry) {
        match inquiry {
            Inquiry::Exchange(area, serial) => {
                let now = self.now;
                if let Some(pool) = self.pool(area) {
                    pool.undelivered(now, serial);
                }
            }
            Inquiry::Forward(serial) => self.not_forwarded(serial),
            Inquiry::Propose(serials) => self.not_proposed(&serials),
            Inquiry::Ask(serial) => self.not_asked(serial),
            // Only client agents ask that.
            Inquiry::ReadRows(_) => {}
        }
    }

    /// The state is another one, newer than the one before.
    fn installed(&mut self, last: LogId, store: Store) {
        self.store = store;
        self.applied = last.index;
        self.snapshots = (last.index, last.index);
        self.raft.snapshot_installed(self.now, last);
        self.outputs.push_back(Output::Event(Event::SnapshotInstalled { index: last.index }));
        self.configured();
        self.look_again();
        self.caught_up();
        self.release_synced();
    }

    fn request(&mut self, id: RequestId, call: Call) {
        let now = self.now;
        if self.config.requests_max <= self.ledger.len() + self.fired.len() + self.keyrings.len() {
            return self.reply(id, Error::Overloaded.into());
        }
        match call {
            Call::Write(write) => self.try_write(id, write),
            Call::Read { read, seen } => self.read(id, read, seen),
            Call::Agent(call) => self.agent_call(id, call),
            Call::Reload(reload) => self.reload(id, *reload),
            Call::Join { area, addrs } => match self.pool(area) {
                Some(pool) => pool.join(now, id, addrs),
                None => self.reply(id, Error::NoWanPool.into()),
            },
            Call::Alone { area } => {
                let alone = self.pool(area).map(|it| it.is_alone());
                self.reply(id, alone.unwrap_or_else(|| Error::NoWanPool.into()));
            }
            Call::ForceLeave { area, node, prune } => {
                let response = self.force_leave(area, &node, prune);
                self.reply(id, response);
            }
            Call::Across { request, there } => self.ask_across(id, request, &there),
            Call::Fire(fire) => {
                let response = fired::fire(&mut self.gossip, self.now, fire, &mut self.rng);
                self.reply(id, response);
            }
            Call::Keyring(call) => self.order_keys(id, call),
            Call::Events(list) => {
                if let Some(response) = self.fired.ask(self.now, id, list, &mut self.rng) {
                    self.reply(id, response);
                }
            }
            // A server answers by itself.
            Call::Forward { .. } => self.reply(id, Error::NotReady.into()),
            Call::Operator { call, request } => {
                let hold_until = self.now + self.config.hold_max;
                self.operate(id, Question { call, request, hold_until });
            }
        }
    }

    /// This server's part in a pool, if it has one.
    fn pool(&mut self, area: Area) -> Option<&mut Gossip> {
        match area {
            Area::Lan => Some(&mut self.gossip),
            Area::Wan => self.wan.as_mut(),
        }
    }

    fn force_leave(&mut self, area: Area, node: &str, prune: bool) -> Response {
        let now = self.now;
        // Who is gone for good here is so everywhere.
        if area == Area::Lan {
            let name = self.config.wan_name(node);
            if let Some(wan) = &mut self.wan {
                let _ = wan.force_leave(now, &name, prune);
            }
        }
        match self.pool(area) {
            Some(pool) => force_leave(pool, now, node, prune),
            None => Error::NoWanPool.into(),
        }
    }

    pub(crate) fn try_write(&mut self, id: RequestId, mut write: Write) {
        write.identify(|| draw_id(&mut self.rng));
        // A write needs no knowledge of the past: what it meets, it meets when it is applied.
        if self.raft.is_leader() {
            self.write(id, write);
        } else if let Some(leader) = self.other_leader() {
            self.forward_write(leader, id, write);
        } else {
            self.hold(id, Held::Write(write));
        }
    }

    /// Keep a request until somebody leads, but not for ever.
    pub(crate) fn hold(&mut self, id: RequestId, held: Held) {
        let deadline = match &held {
            Held::Read(waiting) => waiting.hold_until,
            Held::Operator(question) => question.hold_until,
            Held::Write(_) => self.now + self.config.hold_max,
        };
        self.ledger.wait(id, Pending::Leader(held), deadline);
        // Somebody is said to lead, and could not help: nobody will say when to try again.
        if self.raft.leader().is_some() && self.retry == Instant::NEVER {
            self.retry = self.now + RETRY + self.rng.up_to(RETRY);
        }
    }

    /// Somebody leads: everybody who waited for that tries again.
    pub(crate) fn release_held(&mut self) {
        self.retry = Instant::NEVER;
        for id in self.ledger.waiting(|it| matches!(it, Pending::Leader(_))) {
            match self.ledger.take(id) {
                Some(Pending::Leader(Held::Write(write))) => self.try_write(id, write),
                Some(Pending::Leader(Held::Read(waiting))) => self.try_read(id, waiting),
                Some(Pending::Leader(Held::Operator(question))) => self.operate(id, question),
                other => unreachable!("{id:?} waited for a leader, and now for {other:?}"),
            }
        }
    }

    /// Answer those whose time is over.
    fn expire(&mut self, now: Instant) {
        for id in self.ledger.overdue(now) {
            match self.ledger.take(id).expect("a deadline belongs to a request") {
                Pending::Leader(_) | Pending::Confirmation(_) | Pending::Apply { .. } => {
                    self.reply(id, Error::NoClusterLeader.into());
                }
                // The question or its answer is lost.
                Pending::Forward(_)
                | Pending::Asked
                | Pending::Reconfigure(_)
                | Pending::HandOver { .. } => {
                    self.reply(id, Error::Timeout.into());
                }
                // The catalog may take its time. The disk may not: what is not on it would not survive.
                Pending::Settling { change, response } => {
                    let saved = self.local.is_settled(change).saved;
                    self.reply(id, if saved { response } else { Error::Timeout.into() });
                }
                Pending::Commit { .. } => self.reply(id, Error::Timeout.into()),
                Pending::Change(_)
                | Pending::Rendering(_)
                | Pending::Resolving
                | Pending::Across
                | Pending::Failover(_)
                | Pending::Leave => {
                    unreachable!("{id:?} has no deadline in the ledger")
                }
            }
        }
        self.expire_watches(now);
    }

    pub(crate) fn reply(&mut self, id: RequestId, response: Response) {
        match self.forwards.guest(id) {
            Some(guest) => self.answer_to(guest, Some(response)),
            None => self.outputs.push_back(Output::Reply { id, response }),
        }
    }

    pub(crate) fn reply_all(&mut self, answers: Vec<(RequestId, Response)>) {
        for (id, response) in answers {
            self.reply(id, response);
        }
    }

    /// Whether this server leads and has applied everything its predecessors committed.
    pub(crate) fn leads(&self) -> bool {
        self.reign.as_ref().is_some_and(Reign::is_established)
    }

    /// What the clock on the wall says, as far as this node is concerned.
    pub(crate) fn wall(&self) -> WallTime {
        let elapsed = u64::try_from(self.now.since_start().as_millis()).unwrap_or(u64::MAX);
        WallTime(self.config.started.0.saturating_add(elapsed))
    }

    fn advance(&mut self, now: Instant) {
        assert!(self.now <= now, "time goes forward");
        self.now = now;
    }

    fn check_invariants(&self) {
        assert!(self.applied <= self.raft.commit());
        assert!(self.store.index() <= self.applied);
        debug_assert_eq!(self.ledger.count_changes(), self.watches.len());
    }
}

/// An id that nothing else has.
pub(crate) fn draw_id(rng: &mut Rng) -> Uuid {
    Uuid::from_entropy(u128::from(rng.draw()) << 64 | u128::from(rng.draw()))
}

/// More rounds than any input needs: the machines would be feeding each other for ever.
const PUMP_ROUNDS_MAX: usize = 1_000;

/// How long a request rests that a known leader could not help: up to twice as long.
const RETRY: Duration = Duration::from_millis(50);
