//! What clients do with services: they register them at an agent, report how they are, and look for
//! them.

use tribune_base::rng::Rng;
use tribune_base::time::Duration;
use tribune_state::Status;

use super::{Action, Script, draw_patience, script};

/// The number of a service's name, or of a node's.
pub type Name = u8;

/// The services there are.
pub const SERVICES: [&str; 3] = ["web", "db", "cache"];

/// The nodes that may be asked for: servers, and client agents.
pub const NODES: [&str; 11] = ["n1", "n2", "n3", "n4", "n5", "a1", "a2", "a3", "a4", "a5", OUTSIDE];

/// A node that no agent runs on.
pub const OUTSIDE: &str = "outside";

/// The states that checks are looked up by.
pub const STATES: [&str; 4] = ["any", "passing", "warning", "critical"];

/// What a client wants of one agent: it has an instance of each service there, and nobody else
/// touches them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Local {
    /// Register its instance of a service.
    Register(Name, Checked),
    /// Remove it.
    Deregister(Name),
    /// Report how it is.
    Report(Name, Status),
    /// Add one more check to it.
    AddCheck(Name),
    /// Remove that.
    DropCheck(Name),
    /// Add a check of the node.
    AddNodeCheck,
    /// Remove that.
    DropNodeCheck,
    /// Take it out of use, or back into use.
    Maintain(Name, bool),
    /// Take the node out of use, or back into use.
    MaintainNode(bool),
    /// Ask how it is.
    Health(Name),
    /// Have the agent leave, if it is no server.
    Leave,
    /// Write an instance that no agent knows into the catalog, with a check.
    Enlist(Name),
    /// Remove it there.
    Strike(Name),
    /// Remove its node there.
    StrikeNode,
}

/// How a service is checked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Checked {
    /// Not at all.
    Not,
    /// Somebody reports.
    Ttl,
    /// The agent looks.
    Probe,
    /// Both.
    Both,
}

/// What a client wants to see of the catalog.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(missing_docs)] // As the endpoints are called.
pub enum Look {
    Health(Name),
    Passing(Name),
    Instances(Name),
    Checks(Name),
    Node(Name),
    NodeChecks(Name),
    State(Name),
    Nodes,
    Services,
    /// The hosts and ports of a service, over DNS.
    Dns(Name),
}

impl Local {
    /// What it is called in a trace.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Register(..) => "register",
            Self::Deregister(_) => "deregister",
            Self::Report(_, Status::Passing) => "pass",
            Self::Report(_, Status::Warning) => "warn",
            Self::Report(_, Status::Critical | Status::Maintenance) => "fail",
            Self::AddCheck(_) | Self::AddNodeCheck => "add-check",
            Self::DropCheck(_) | Self::DropNodeCheck => "drop-check",
            Self::Maintain(_, true) | Self::MaintainNode(true) => "maintain",
            Self::Maintain(_, false) | Self::MaintainNode(false) => "resume",
            Self::Health(_) => "agent-health",
            Self::Leave => "leave-pool",
            Self::Enlist(_) => "enlist",
            Self::Strike(_) | Self::StrikeNode => "strike",
        }
    }

    /// The service it is about; empty for the node.
    pub const fn subject(self) -> &'static str {
        match self {
            Self::Register(name, _)
            | Self::Deregister(name)
            | Self::Report(name, _)
            | Self::AddCheck(name)
            | Self::DropCheck(name)
            | Self::Maintain(name, _)
            | Self::Health(name)
            | Self::Enlist(name)
            | Self::Strike(name) => SERVICES[name as usize % SERVICES.len()],
            Self::AddNodeCheck
            | Self::DropNodeCheck
            | Self::MaintainNode(_)
            | Self::Leave
            | Self::StrikeNode => "",
        }
    }
}

impl Look {
    /// What it is called in a trace.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Health(_) => "health",
            Self::Passing(_) => "passing",
            Self::Instances(_) => "instances",
            Self::Checks(_) => "checks",
            Self::Node(_) => "node",
            Self::NodeChecks(_) => "node-checks",
            Self::State(_) => "state",
            Self::Nodes => "nodes",
            Self::Services => "services",
            Self::Dns(_) => "dns",
        }
    }

    /// What it is about.
    pub const fn subject(self) -> &'static str {
        match self {
            Self::Health(name)
            | Self::Passing(name)
            | Self::Instances(name)
            | Self::Checks(name)
            | Self::Dns(name) => SERVICES[name as usize % SERVICES.len()],
            Self::Node(name) | Self::NodeChecks(name) => NODES[name as usize % NODES.len()],
            Self::State(name) => STATES[name as usize % STATES.len()],
            Self::Nodes | Self::Services => "",
        }
    }

    /// Tells those apart that are about the same.
    pub const fn kind(self) -> u8 {
        match self {
            Self::Health(_) => 2,
            Self::Passing(_) => 3,
            Self::Instances(_) => 4,
            Self::Checks(_) => 5,
            Self::Node(_) => 6,
            Self::NodeChecks(_) => 7,
            Self::State(_) => 8,
            Self::Nodes => 9,
            Self::Services => 10,
            Self::Dns(_) => 11,
        }
    }

    /// Where it is asked for over HTTP.
    pub fn path(self) -> String {
        let (endpoint, subject) = match self {
            Self::Health(_) | Self::Passing(_) => ("health/service/", self.subject()),
            Self::Instances(_) => ("catalog/service/", self.subject()),
            Self::Checks(_) => ("health/checks/", self.subject()),
            Self::Node(_) => ("catalog/node/", self.subject()),
            Self::NodeChecks(_) => ("health/node/", self.subject()),
            Self::State(_) => ("health/state/", self.subject()),
            Self::Nodes => ("catalog/nodes", ""),
            Self::Services => ("catalog/services", ""),
            Self::Dns(_) => ("", ""),
        };
        format!("/v1/{endpoint}{subject}")
    }
}

/// The scripts of those who have services, and of those who look for them, in a run of this length
/// with so many agents, the first of which are servers.
pub(super) fn draw(seed: u64, length: Duration, servers: usize, agents: usize) -> Vec<Script> {
    let rng = &mut Rng::stream(seed, "catalog workload");
    let places = (servers + agents) as u64;
    let gap = Duration::from_millis([100, 400, 1_500][rng.below(3) as usize]);
    let quiet = rng.chance(1, 3);
    let leaves = rng.chance(1, 4);
    let owners = 1 + rng.below(3);
    let mut scripts = Vec::new();
    for _ in 0..owners {
        // Most have their services at client agents: that is what those are for.
        let home = if rng.chance(1, 4) {
            rng.below(places)
        } else {
            servers as u64 + rng.below(agents as u64)
        };
        let mut draw = |rng: &mut Rng| draw_local(rng, leaves);
        let mut script = script(rng, length, gap, quiet, &mut draw);
        for op in &mut script.ops {
            op.server = Some(if rng.chance(1, 8) { rng.below(places) } else { home } as u32);
        }
        scripts.push(script);
    }
    for _ in 0..1 + rng.below(2) {
        let mut draw = |rng: &mut Rng| draw_look(rng, false);
        scripts.push(script(rng, length, gap, false, &mut draw));
    }
    if rng.chance(1, 2) {
        let mut draw = |rng: &mut Rng| draw_look(rng, true);
        scripts.push(script(rng, length, gap / 2, false, &mut draw));
    }
    scripts.into_iter().map(|it| anywhere(rng, places, it)).collect()
}

/// Have requests that may go to anybody go to client agents, too.
fn anywhere(rng: &mut Rng, places: u64, mut script: Script) -> Script {
    for op in &mut script.ops {
        if op.server.is_none() && rng.chance(3, 4) {
            op.server = Some(rng.below(places) as u32);
        }
    }
    script
}

fn draw_local(rng: &mut Rng, leaves: bool) -> Action {
    let name = rng.below(SERVICES.len() as u64) as Name;
    let on = rng.chance(1, 2);
    Action::Local(match rng.below(40) {
        0..10 => {
            let checked = [Checked::Not, Checked::Ttl, Checked::Probe, Checked::Both];
            Local::Register(name, checked[rng.below(4) as usize])
        }
        10..14 => Local::Deregister(name),
        14..24 => {
            let status = [Status::Passing, Status::Warning, Status::Critical];
            Local::Report(name, status[rng.below(3) as usize])
        }
        24..27 => Local::AddCheck(name),
        27..29 => Local::DropCheck(name),
        29 => Local::AddNodeCheck,
        30 => Local::DropNodeCheck,
        31..34 => Local::Maintain(name, on),
        34..36 => Local::MaintainNode(on && rng.chance(1, 2)),
        36 if leaves => Local::Leave,
        37 => Local::Enlist(name),
        38 if on => Local::Strike(name),
        38 => Local::StrikeNode,
        _ => Local::Health(name),
    })
}

fn draw_look(rng: &mut Rng, waits: bool) -> Action {
    let (mode, patience) = draw_patience(rng);
    let name = rng.below(SERVICES.len() as u64) as Name;
    let node = rng.below(NODES.len() as u64) as Name;
    let look = match rng.below(16) {
        0..3 => Look::Health(name),
        3..7 => Look::Passing(name),
        7 => Look::Instances(name),
        8 => Look::Checks(name),
        9 => Look::Node(node),
        10 => Look::NodeChecks(node),
        11 => Look::State(rng.below(STATES.len() as u64) as Name),
        12 => Look::Nodes,
        13 => Look::Services,
        _ if waits => Look::Passing(name),
        _ => Look::Dns(name),
    };
    Action::Look(look, mode, waits.then_some(patience))
}

/// How long a service may go without a report.
pub const TTL: Duration = Duration::from_secs(4);

impl Local {
    /// The instance of a service that a client has at an agent: its id.
    pub fn instance(subject: &str, client: usize) -> String {
        format!("{subject}-{client}")
    }

    /// What is asked over HTTP, by a client that has done so many things: the path, the query and
    /// the body. No two instances have the same port.
    pub fn request(self, place: usize, client: usize, serial: u32) -> (String, String, String) {
        let id = Self::instance(self.subject(), client);
        let plain = |path: &str| (format!("/v1/agent/{path}"), String::new(), String::new());
        let enable = |path: &str, on: bool| {
            (format!("/v1/agent/{path}"), format!("enable={on}&reason=r{serial}"), String::new())
        };
        match self {
            Self::Register(name, checked) => {
                let port = 1_000 + place * 100 + client * 10 + name as usize % SERVICES.len();
                let body = format!(
                    r#"{{"ID":"{id}","Name":"{}","Port":{port},"Tags":["t{}"],"Meta":{{"serial":"{serial}"}},"Checks":[{}]}}"#,
                    self.subject(),
                    serial % 3,
                    checks(&id, checked).join(",")
                );
                let query = if serial.is_multiple_of(2) { "replace-existing-checks" } else { "" };
                ("/v1/agent/service/register".to_owned(), query.to_owned(), body)
            }
            Self::Deregister(_) => plain(&format!("service/deregister/{id}")),
            Self::Report(_, Status::Passing) => plain(&format!("check/pass/{id}:ttl")),
            Self::Report(_, Status::Warning) => plain(&format!("check/warn/{id}:ttl")),
            Self::Report(_, Status::Critical | Status::Maintenance) => {
                plain(&format!("check/fail/{id}:ttl"))
            }
            Self::AddCheck(_) => {
                let body = format!(
                    r#"{{"ID":"{id}:more","Name":"more","ServiceID":"{id}","TTL":"60s","Status":"passing"}}"#
                );
                ("/v1/agent/check/register".to_owned(), String::new(), body)
            }
            Self::DropCheck(_) => plain(&format!("check/deregister/{id}:more")),
            Self::AddNodeCheck => {
                let status = ["passing", "warning", "critical"][serial as usize % 3];
                let body = format!(
                    r#"{{"ID":"node-{client}","Name":"node","TTL":"60s","Status":"{status}"}}"#
                );
                ("/v1/agent/check/register".to_owned(), String::new(), body)
            }
            Self::DropNodeCheck => plain(&format!("check/deregister/node-{client}")),
            Self::Maintain(_, on) => enable(&format!("service/maintenance/{id}"), on),
            Self::MaintainNode(on) => enable("maintenance", on),
            Self::Health(_) => plain(&format!("health/service/id/{id}")),
            Self::Leave => plain("leave"),
            Self::Enlist(name) => {
                let port = 9_000 + client * 10 + name as usize % SERVICES.len();
                let status = ["passing", "warning", "critical"][serial as usize % 3];
                let body = format!(
                    r#"{{"Node":"{OUTSIDE}","Address":"10.9.0.1","Service":{{"ID":"{id}","Service":"{}","Port":{port}}},"Check":{{"CheckID":"{id}:up","Name":"up","Status":"{status}","ServiceID":"{id}"}}}}"#,
                    self.subject()
                );
                ("/v1/catalog/register".to_owned(), String::new(), body)
            }
            Self::Strike(_) => {
                let body = format!(r#"{{"Node":"{OUTSIDE}","ServiceID":"{id}"}}"#);
                ("/v1/catalog/deregister".to_owned(), String::new(), body)
            }
            Self::StrikeNode => {
                let body = format!(r#"{{"Node":"{OUTSIDE}"}}"#);
                ("/v1/catalog/deregister".to_owned(), String::new(), body)
            }
        }
    }
}

fn checks(id: &str, checked: Checked) -> Vec<String> {
    let ttl = format!(
        r#"{{"CheckID":"{id}:ttl","Name":"ttl","TTL":"{}s","Status":"passing"}}"#,
        TTL.as_secs()
    );
    let probe = format!(
        r#"{{"CheckID":"{id}:probe","Name":"probe","TCP":"127.0.0.1:1","Interval":"2s","Timeout":"1s"}}"#
    );
    match checked {
        Checked::Not => Vec::new(),
        Checked::Ttl => vec![ttl],
        Checked::Probe => vec![probe],
        Checked::Both => vec![ttl, probe],
    }
}
