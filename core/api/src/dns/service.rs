//! The rows of a service: addresses, or hosts and ports.

use std::collections::BTreeSet;
use std::net::IpAddr;

use tribune_base::rng::Rng;

use super::host::{self, Target};
use super::lookup::Candidate;
use super::zone::Zone;
use super::{Answer, Owner, Question, Record, RecordData, RecordKind, alias, txt};

/// Answer with the addresses of `candidates`, in their order.
///
/// Instances that are somewhere else by name are named only if none has an address, and then only
/// one of them: a name has one canonical name at most (RFC 1034, section 3.6.2).
pub(super) fn addresses(
    zone: &Zone<'_>,
    question: &Question<'_>,
    name: &str,
    candidates: &[Candidate<'_>],
    ttl: u32,
    answer: &mut Answer,
) {
    let limit = match zone.config.a_record_limit {
        0 => usize::MAX,
        limit => limit,
    };
    let mut seen: BTreeSet<IpAddr> = BTreeSet::new();
    let mut elsewhere = None;
    for candidate in candidates {
        match place(candidate, question.kind, name, zone.config.afar) {
            (Target::Host(host), _) => elsewhere = elsewhere.or(Some(host)),
            (Target::Ip(address), _) if !host::wanted(question.kind, address) => {}
            (Target::Ip(address), _) if seen.contains(&address) => {}
            (Target::Ip(_), _) if limit <= seen.len() => break,
            (Target::Ip(_), _) if question.answers_max <= seen.len() => {
                answer.truncated = true;
                break;
            }
            (Target::Ip(address), _) => {
                seen.insert(address);
                answer.answers.push(Record::of_question(ttl, host::address(address)));
            }
        }
    }
    if let (true, Some(host)) = (answer.answers.is_empty(), elsewhere) {
        alias::rows(zone, question.kind, Owner::Question, host, ttl, &mut answer.answers);
        answer.truncated |= question.answers_max < answer.answers.len();
        answer.answers.truncate(question.answers_max);
    }
}

/// Answer with the hosts and ports of `candidates`, in their order, and the addresses of the hosts.
pub(super) fn hosts(
    zone: &Zone<'_>,
    question: &Question<'_>,
    name: &str,
    candidates: &[Candidate<'_>],
    ttl: u32,
    rng: &mut Rng,
    answer: &mut Answer,
) {
    let mut described: BTreeSet<&str> = BTreeSet::new();
    let mut named: BTreeSet<String> = BTreeSet::new();
    let mut seen: BTreeSet<(&str, &str, i64)> = BTreeSet::new();
    for candidate in candidates {
        let Candidate { node, service, .. } = candidate;
        let key = (node.name.as_str(), service.address.as_str(), service.port);
        if seen.contains(&key) {
            continue;
        }
        if question.answers_max <= seen.len() {
            answer.truncated = true;
            break;
        }
        seen.insert(key);

        let (place, is_node) = place(candidate, RecordKind::Srv, name, zone.config.afar);
        let target = match place {
            Target::Ip(_) if is_node => zone.node_name(&node.name),
            Target::Ip(address) => zone.address_name(address),
            Target::Host(host) => host.to_owned(),
        };
        let rows = &mut answer.additionals;
        // Instances may share a host.
        if named.insert(target.clone()) {
            match place {
                Target::Ip(address) => {
                    rows.push(Record::of(&*target, ttl, host::address(address)));
                }
                Target::Host(host) => alias::resolve(zone, RecordKind::Any, host, rows),
            }
        }
        if zone.config.enable_additional_node_meta_txt && described.insert(&node.name) {
            let owner = zone.node_name(&node.name);
            rows.extend(txt::rows(node, &Owner::Name(owner), ttl, rng));
        }
        let port = u16::try_from(host::port(service, zone.config.afar)).unwrap_or(0);
        let data = RecordData::Srv { priority: 1, weight: candidate.weight(), port, target };
        answer.answers.push(Record::of_question(ttl, data));
    }
}

/// Where an instance is, and whether that is simply where its node is.
fn place<'a>(
    candidate: &Candidate<'a>,
    kind: RecordKind,
    name: &str,
    afar: bool,
) -> (Target<'a>, bool) {
    let Candidate { node, service, .. } = candidate;
    let on_node = || {
        let address = host::of_node(node, kind, afar);
        (host::target(address), address == node.address)
    };
    let Some(own) = host::of_service(service, kind, afar) else { return on_node() };
    let target = host::target(own);
    // Somebody registered the very name that is asked for: that would lead nowhere.
    let circular = matches!(target, Target::Host(host) if host.eq_ignore_ascii_case(name));
    if circular { on_node() } else { (target, false) }
}
