//! CH-4, anti-entropy: once everything is put right, the catalog says of each agent what the agent
//! says of itself. An agent touches nobody else's rows; and what it has promised to keep, it has
//! after a restart.

use std::collections::BTreeMap;

use tribune_agent::Local as Registered;
use tribune_api::http::Response;
use tribune_base::id::{NodeId, ServerId};
use tribune_core::Wire;
use tribune_state::{Check, Command, Service, Snapshot};

use super::Report;
use super::kv::Asked;
use crate::workload::{Action, Local};

/// What agents have promised, and what they were shown.
#[derive(Debug, Default)]
pub(crate) struct Entropy {
    /// Whether an instance is at a place, as far as its owner was told. `None`: nobody knows.
    promised: BTreeMap<(usize, String), Option<bool>>,
    /// Whose rows an agent was last shown under its own name, if they are anybody's.
    shown: BTreeMap<usize, Option<NodeId>>,
}

impl Entropy {
    /// A client asks: until it is told, nobody knows.
    pub(crate) fn on_asked(&mut self, asked: &Asked) {
        if let Some((instance, _)) = promise(asked) {
            self.promised.insert((asked.server, instance), None);
        }
    }

    /// A client is told.
    pub(crate) fn on_told(&mut self, asked: &Asked, response: &Response) {
        let Some((instance, there)) = promise(asked) else { return };
        if response.status == 200 {
            self.promised.insert((asked.server, instance), Some(there));
        }
    }

    /// An agent has started, or is looked at: it keeps its promises.
    pub(crate) fn on_kept(&self, report: &mut Report, place: usize, local: &Registered) {
        let from = (place, String::new());
        let here = self.promised.range(from..).take_while(|((at, _), _)| *at == place);
        for ((_, instance), promised) in here {
            let there = local.service(instance).is_some();
            report.require(promised.is_none_or(|it| it == there), "CH-4", || {
                format!("place {place} promised {promised:?} about {instance}, and has it: {there}")
            });
        }
    }

    /// A client agent hears something: perhaps whose its name is.
    pub(crate) fn on_hear(&mut self, place: usize, message: &Wire) {
        if let Wire::Rows { rows: Some(rows), .. } = message {
            self.shown.insert(place, rows.id);
        }
    }

    /// A client agent says something: of other nodes' rows it says nothing.
    pub(crate) fn on_say(
        &self,
        report: &mut Report,
        place: usize,
        (name, id): (&str, NodeId),
        message: &Wire,
    ) {
        let Wire::Propose(proposals) = message else { return };
        let owner = self.shown.get(&place).copied().flatten();
        for proposal in proposals {
            let command = Command::decode(proposal.command.clone());
            let command = command.expect("agents say what servers know");
            let own = owner.is_none_or(|it| it == id);
            report.require(is_own(&command, name, id, own), "CH-4", || {
                let who = ServerId::from(id);
                format!("{who} is called {name}, as is {owner:?}, and says {command:?}")
            });
        }
    }
}

/// The instance that a request is about, and whether it is there afterwards.
fn promise(asked: &Asked) -> Option<(String, bool)> {
    let Action::Local(local) = asked.action else { return None };
    let there = match local {
        Local::Register(..) => true,
        Local::Deregister(_) => false,
        Local::Report(..)
        | Local::AddCheck(_)
        | Local::DropCheck(_)
        | Local::AddNodeCheck
        | Local::DropNodeCheck
        | Local::Maintain(..)
        | Local::MaintainNode(_)
        | Local::Health(_)
        | Local::Leave
        | Local::Enlist(_)
        | Local::Strike(_)
        | Local::StrikeNode => return None,
    };
    Some((Local::instance(local.subject(), asked.client), there))
}

/// Whether a command is about this agent only. `own`, if the rows of its name are its own, as far as
/// it knows: what it removes is not told apart by ids.
fn is_own(command: &Command, name: &str, id: NodeId, own: bool) -> bool {
    match command {
        Command::Batch(commands) => commands.iter().all(|it| is_own(it, name, id, own)),
        Command::Register(it) => it.node == name && it.id == Some(id),
        Command::Deregister(it) => {
            let whole = it.service_id.is_empty() && it.check_id.is_empty();
            it.node == name && own && !whole
        }
        Command::Kv(_) | Command::ReapTombstones { .. } | Command::Ignored => false,
        Command::SetAutopilot(_) | Command::PreparedQuery(_) | Command::SetCoordinate(_) => false,
    }
}

/// What the catalog says of an agent that the agent does not say of itself, or the other way round.
pub(crate) fn problem(state: &Snapshot, local: &Registered) -> Option<String> {
    let (name, config) = (local.config().node.as_str(), local.config());
    let Some(node) = state.node(name).1 else { return Some(format!("{name} is not there")) };
    if node.id != Some(config.node_id) || node.address != config.address {
        return Some(format!("{name} is at {}, and the catalog says {node:?}", config.address));
    }
    let services = state.node_services(name).1.map(|it| it.services).unwrap_or_default();
    let theirs = services.into_iter().filter(|it| it.id != "consul").map(service);
    let (theirs, ours): (Vec<_>, Vec<_>) =
        (theirs.collect(), local.services().map(service).collect());
    if theirs != ours {
        return Some(format!("{name} has {ours:?}, and the catalog says {theirs:?}"));
    }
    let checks = state.node_checks(name).1.into_iter();
    let theirs: Vec<_> = checks.filter(|it| it.id != "serfHealth").map(check).collect();
    let ours: Vec<_> = local.checks().map(check).collect();
    (theirs != ours).then(|| format!("{name} has {ours:?}, and the catalog says {theirs:?}"))
}

fn service(it: &Service) -> Service {
    let mut service = it.clone();
    (service.create, service.modify) = Default::default();
    // None and nothing are the same.
    service.meta = service.meta.filter(|it| !it.is_empty());
    service.tagged_addresses = service.tagged_addresses.filter(|it| !it.is_empty());
    service
}

/// What a check found may be told later, if it is as it was.
fn check(it: &Check) -> Check {
    let mut check = Check { output: String::new(), ..it.clone() };
    (check.create, check.modify) = Default::default();
    check
}

#[test]
fn what_is_another_s_is_not_touched() {
    use tribune_base::id::Uuid;
    use tribune_state::{Deregistration, Registration};

    let (me, other) = (NodeId(Uuid(1)), NodeId(Uuid(2)));
    let register = |id, node: &str| {
        Command::Register(Registration {
            id: Some(id),
            node: node.into(),
            ..Registration::default()
        })
    };
    let gone = |service: &str| {
        let service_id = service.to_owned();
        let gone = Deregistration { node: "a1".into(), service_id, ..Deregistration::default() };
        Command::Batch(vec![Command::Deregister(gone)])
    };
    let says = |command: &Command, own| is_own(command, "a1", me, own);
    assert!(says(&register(me, "a1"), true) && says(&register(me, "a1"), false), "it may ask");
    assert!(!says(&register(other, "a1"), true) && !says(&register(me, "a2"), true));
    assert!(says(&gone("web"), true));
    assert!(!says(&gone("web"), false), "those are another's");
    assert!(!says(&gone(""), true), "only leaders remove whole nodes");
}

#[test]
fn a_promise_is_kept_over_a_restart() {
    use tribune_base::id::Index;
    use tribune_base::time::Instant;

    let action = Action::Local(Local::Register(0, crate::workload::Checked::Not));
    let asked = Asked {
        client: 0,
        server: 3,
        life: 1,
        forwarded: true,
        action,
        serial: 0,
        value: bytes::Bytes::new(),
        known: 0,
        floor: Index(0),
    };
    let config = tribune_agent::Config::new("a1", NodeId::default(), "10.0.0.4");
    let empty = Registered::new(config, 1, Instant::START);
    let kept = |entropy: &Entropy| {
        let mut report = Report::default();
        entropy.on_kept(&mut report, 3, &empty);
        report.first.map(|it| it.id)
    };
    let mut entropy = Entropy::default();
    entropy.on_asked(&asked);
    assert_eq!(kept(&entropy), None, "nobody knows");
    entropy.on_told(&asked, &Response::empty(500));
    assert_eq!(kept(&entropy), None, "still nobody");
    entropy.on_told(&asked, &Response::empty(200));
    assert_eq!(kept(&entropy), Some("CH-4".into()), "it was promised");
}
