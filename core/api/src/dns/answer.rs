//! What the zone says to a question.

use std::net::IpAddr;

use tribune_base::rng::Rng;
use tribune_state::{Node, OwnedInstance, Snapshot};

use super::host::{self, Target};
use super::lookup::Candidate;
use super::name::{self, Lookup, NameError, Parsed};
use super::zone::Zone;
use super::{Answer, Config, Elsewhere, Owner, Question, Rcode, Record, RecordData, RecordKind};
use super::{alias, lookup, service, soa, txt};
use crate::coordinate::Places;
use crate::plan::Consistency;
use crate::prepared::{self, Asker, Execution, Failover, Resolved};

/// Answer `question` from `snapshot`; `places` is where its nodes are. `now_unix` is the zone's serial number: seconds since 1970.
///
/// Clients take the first row, so the order is what balances load: it is drawn from `rng` anew for
/// every question. That a name exists without rows of the type asked for, and that it does not
/// exist, are different answers (RFC 2308, section 2); a service that has no instance to offer does
/// not exist.
pub fn answer(
    question: &Question<'_>,
    snapshot: &Snapshot,
    places: &Places,
    config: &Config,
    now_unix: u64,
    rng: &mut Rng,
) -> Answer {
    let name = question.name.strip_suffix('.').unwrap_or(question.name).to_ascii_lowercase();
    let parsed = name::parse(&name, config);
    let domain = match parsed {
        Err(NameError::OutsideDomain) => return elsewhere(Rcode::Refused),
        Err(NameError::Unknown { domain }) | Ok(Parsed { domain, .. }) => domain,
    };
    let datacenter = &config.datacenter;
    let zone = Zone { config, snapshot, places, datacenter, domain, now_unix };
    let mut answer = Answer { authoritative: true, ..Answer::default() };
    let exists = match (parsed, question.kind) {
        (Ok(Parsed { lookup: Lookup::Reverse(address), .. }), _) => {
            return reverse(&zone, question.kind, address);
        }
        (_, RecordKind::Axfr) => return Answer { rcode: Rcode::NotImp, ..answer },
        // The zone as a whole is asked for, whatever the name.
        (_, RecordKind::Soa) => {
            answer.answers.push(soa::record(&zone));
            (answer.authority, answer.additionals) = soa::name_servers(&zone, rng);
            return answer;
        }
        (_, RecordKind::Ns) => {
            (answer.answers, answer.additionals) = soa::name_servers(&zone, rng);
            true
        }
        (Err(_), _) => false,
        (Ok(parsed), _) => below(&zone, question, &name, parsed, rng, &mut answer),
    };
    if !exists {
        let elsewhere = answer.elsewhere.take();
        answer = Answer { rcode: Rcode::NxDomain, authoritative: true, ..Answer::default() };
        answer.elsewhere = elsewhere;
    }
    if answer.answers.is_empty() {
        answer.authority.push(soa::record(&zone));
    }
    answer
}

/// The datacenter whose catalog `question` is about, if that is another one than ours.
pub fn datacenter(question: &str, config: &Config) -> Option<String> {
    let name = question.strip_suffix('.').unwrap_or(question).to_ascii_lowercase();
    let parsed = name::parse(&name, config).ok()?;
    let datacenter = parsed.datacenter.filter(|it| *it != config.datacenter)?;
    (!matches!(parsed.lookup, Lookup::Address(_))).then(|| datacenter.to_owned())
}

/// What to say when the catalog cannot be had: nobody leads, or the leader is out of reach.
pub fn unavailable(question: &Question<'_>, config: &Config) -> Answer {
    let name = question.name.strip_suffix('.').unwrap_or(question.name).to_ascii_lowercase();
    match name::parse(&name, config) {
        Err(NameError::OutsideDomain) => elsewhere(Rcode::Refused),
        Ok(Parsed { lookup: Lookup::Reverse(_), .. }) => elsewhere(Rcode::ServFail),
        Ok(_) | Err(NameError::Unknown { .. }) => {
            Answer { rcode: Rcode::ServFail, authoritative: true, ..Answer::default() }
        }
    }
}

/// Add what there is of a name within the zone. Returns whether the name exists.
fn below(
    zone: &Zone<'_>,
    question: &Question<'_>,
    name: &str,
    parsed: Parsed<'_>,
    rng: &mut Rng,
    answer: &mut Answer,
) -> bool {
    let known = parsed.datacenter.is_none_or(|it| it == zone.config.datacenter);
    match parsed.lookup {
        // An address is the same everywhere.
        Lookup::Address(address) => {
            let wanted = address.filter(|it| host::wanted(question.kind, *it));
            let wanted = wanted.filter(|_| !matches!(question.kind, RecordKind::Srv));
            let ttl = zone.config.node_ttl;
            answer.answers.extend(wanted.map(|it| Record::of_question(ttl, host::address(it))));
            true
        }
        _ if !known => {
            answer.elsewhere = parsed.datacenter.map(|it| Elsewhere::Datacenter(it.to_owned()));
            false
        }
        Lookup::Apex | Lookup::Inner => true,
        Lookup::Service { name: service, tag } => {
            let mut candidates = lookup::candidates(zone.snapshot, zone.config, service, tag);
            rng.shuffle(&mut candidates);
            let ttl = zone.config.service_ttl.of(service);
            of_candidates(zone, question, name, &candidates, ttl, rng, answer)
        }
        Lookup::PreparedQuery(query) => of_query(zone, question, name, query, rng, answer),
        Lookup::Node(name) => {
            let (_, node) = zone.snapshot.node(name);
            if let Some(node) = node {
                of_node(zone, question.kind, node, rng, answer);
            }
            node.is_some()
        }
        Lookup::Reverse(_) => false,
    }
}

/// Add what there is of the instances of a service. Returns whether there is one.
fn of_candidates(
    zone: &Zone<'_>,
    question: &Question<'_>,
    name: &str,
    candidates: &[Candidate<'_>],
    ttl: u32,
    rng: &mut Rng,
    answer: &mut Answer,
) -> bool {
    match question.kind {
        RecordKind::A | RecordKind::Aaaa | RecordKind::Any | RecordKind::Cname => {
            service::addresses(zone, question, name, candidates, ttl, answer);
        }
        RecordKind::Srv => service::hosts(zone, question, name, candidates, ttl, rng, answer),
        RecordKind::Axfr
        | RecordKind::Ns
        | RecordKind::Ptr
        | RecordKind::Soa
        | RecordKind::Txt
        | RecordKind::Other => {}
    }
    !candidates.is_empty()
}

/// Add what the prepared query called `query` finds. Returns whether that is anything.
fn of_query(
    zone: &Zone<'_>,
    question: &Question<'_>,
    name: &str,
    query: &str,
    rng: &mut Rng,
    answer: &mut Answer,
) -> bool {
    if let Some(found) = question.found {
        let instances: Vec<_> = found.instances.iter().map(OwnedInstance::borrow).collect();
        let candidates: Vec<_> = instances.iter().map(Candidate::of).collect();
        let zone = &Zone { datacenter: &found.datacenter, ..*zone };
        let ttl = query_ttl(zone, &found.service, &found.ttl);
        return of_candidates(zone, question, name, &candidates, ttl, rng, answer);
    }
    let Ok(resolved) = Resolved::find(zone.snapshot, query) else { return false };
    let found = resolved.query();
    let agent = [&question.asker.agent, &zone.config.node].into_iter().find(|it| !it.is_empty());
    let agent = agent.cloned().unwrap_or_default();
    let execution = Execution {
        name: query.to_owned(),
        asker: Asker { agent, zone: None, ..question.asker.clone() },
        rows: true,
        consistency: Consistency::Stale,
        seed: rng.draw(),
        ..Execution::default()
    };
    if Failover::begin(&execution, zone.snapshot, zone.places, false).is_some() {
        answer.elsewhere = Some(Elsewhere::Query(Box::new(execution)));
        return false;
    }
    let instances = execution.instances(&found.service, zone.snapshot, zone.places);
    let candidates: Vec<_> = instances.iter().map(Candidate::of).collect();
    let ttl = query_ttl(zone, &found.service.service, &found.dns_ttl);
    of_candidates(zone, question, name, &candidates, ttl, rng, answer)
}

/// How long what a query finds may be remembered: as it says, or as the agent's settings do.
fn query_ttl(zone: &Zone<'_>, service: &str, ttl: &str) -> u32 {
    prepared::ttl(ttl).ok().flatten().map_or_else(
        || zone.config.service_ttl.of(&service.to_ascii_lowercase()),
        |it| u32::try_from(it.as_secs()).unwrap_or(u32::MAX),
    )
}

/// Add the address of a node, and what else is known about it.
fn of_node(zone: &Zone<'_>, kind: RecordKind, node: &Node, rng: &mut Rng, answer: &mut Answer) {
    let ttl = zone.config.node_ttl;
    let texts = |rng| txt::rows(node, &Owner::Question, ttl, rng);
    match kind {
        RecordKind::A | RecordKind::Aaaa | RecordKind::Any | RecordKind::Cname => {
            match host::target(host::of_node(node, kind, zone.config.afar)) {
                Target::Ip(address) if host::wanted(kind, address) => {
                    answer.answers.push(Record::of_question(ttl, host::address(address)));
                }
                Target::Ip(_) => {}
                Target::Host(host) => {
                    alias::rows(zone, kind, Owner::Question, host, ttl, &mut answer.answers);
                }
            }
            if matches!(kind, RecordKind::Any) {
                answer.answers.extend(texts(rng));
            } else if zone.config.enable_additional_node_meta_txt {
                answer.additionals.extend(texts(rng));
            }
        }
        RecordKind::Txt => answer.answers.extend(texts(rng)),
        RecordKind::Axfr
        | RecordKind::Ns
        | RecordKind::Ptr
        | RecordKind::Soa
        | RecordKind::Srv
        | RecordKind::Other => {}
    }
}

/// The name of an address: that of the node that has it, or else of a service.
fn reverse(zone: &Zone<'_>, kind: RecordKind, address: Option<IpAddr>) -> Answer {
    let Some(name) = address.and_then(|it| name_of(zone, it)) else {
        return elsewhere(Rcode::ServFail);
    };
    let mut answer = Answer { authoritative: true, ..Answer::default() };
    if matches!(kind, RecordKind::Ptr | RecordKind::Any) {
        let ttl = zone.config.ptr_ttl;
        answer.answers.push(Record::of_question(ttl, RecordData::Ptr(name)));
    }
    answer
}

fn name_of(zone: &Zone<'_>, address: IpAddr) -> Option<String> {
    let address = address.to_string();
    if let Some(node) = zone.snapshot.node_by_address(&address).first() {
        return Some(zone.node_name(&node.name));
    }
    let instances = zone.snapshot.service_by_address(&address);
    Some(zone.service_name(&instances.first()?.service.name))
}

/// Somebody else's name. `rcode` is what to say if there is nobody to ask.
fn elsewhere(rcode: Rcode) -> Answer {
    Answer { rcode, recurse: true, ..Answer::default() }
}
