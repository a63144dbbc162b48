//! What tests do to a store: few names, so that commands collide.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use tribune_base::coordinate::Coordinate;
use tribune_base::id::{Index, NodeId, Uuid};
use tribune_base::time::{Duration, WallTime};

use crate::autopilot::{Autopilot, SetAutopilot};
use crate::command::{Command, Deregistration, Registration};
use crate::coordinate::SetCoordinate;
use crate::definition::Definition;
use crate::kv;
use crate::prepared_query::{self, Failover, PreparedQuery, ServiceQuery, Template};
use crate::store::{Applied, Store};
use crate::types::{Check, Service, ServiceAddress, Status, Weights};
use crate::watch::Topic;

pub(crate) const NODES: [&str; 4] = ["n1", "n2", "N1", "n3"];
pub(crate) const SERVICES: [&str; 4] = ["web", "db", "Web", "none"];

impl Store {
    /// Apply `command` at the next index.
    pub(crate) fn next(&mut self, command: &Command) -> Applied {
        self.apply(self.index().next(), WallTime(0), command)
    }
}

/// Short and nested.
pub(crate) fn key() -> impl Strategy<Value = Bytes> {
    prop_oneof![9 => "[ab](/[ab]){0,2}/?", 1 => "\\PC{0,3}"].prop_map(Bytes::from)
}

pub(crate) fn kv_command() -> impl Strategy<Value = kv::Command> {
    use kv::Command::{Cas, Delete, DeleteCas, DeleteTree, Set};
    let value = || "[xy]?".prop_map(Bytes::from);
    let index = || (0..20_u64).prop_map(Index);
    prop_oneof![
        4 => (key(), value(), 0..2_u64).prop_map(|(key, value, flags)| Set { key, value, flags }),
        2 => (key(), value(), index()).prop_map(|(key, value, index)| {
            Cas { key, value, flags: 0, index }
        }),
        2 => key().prop_map(|key| Delete { key }),
        1 => (key(), index()).prop_map(|(key, index)| DeleteCas { key, index }),
        1 => "[ab]?(/[ab])?/?".prop_map(|it| DeleteTree { prefix: it.into() }),
    ]
}

fn name(names: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(names).prop_map(str::to_owned)
}

fn meta() -> impl Strategy<Value = Option<BTreeMap<String, String>>> {
    prop::option::of(prop::collection::btree_map("[ab]", "[xy]?", 0..2))
}

fn service() -> impl Strategy<Value = Service> {
    let name = name(&SERVICES[..3]);
    let id = prop::sample::select(&["a", "b", "B"]);
    let tags = prop::collection::vec("[uv]?", 0..2);
    let address = prop::sample::select(&["", "10.0.0.1", "::1", "somewhere"]);
    (id, name, tags, address, -1..2_i64, meta()).prop_map(
        |(id, name, tags, address, port, meta)| {
            let named = |(name, address): (&String, &String)| {
                (name.clone(), ServiceAddress { address: address.clone(), port })
            };
            let tagged_addresses = meta.as_ref().map(|it| it.iter().map(named).collect());
            let weights = Weights { passing: port, warning: 1 };
            Service {
                id: id.into(),
                name,
                tags,
                address: address.into(),
                tagged_addresses,
                meta,
                port,
                weights,
                ..Service::default()
            }
        },
    )
}

fn check() -> impl Strategy<Value = Check> {
    let id = name(&["c", "d", "serfHealth"]);
    let service_id = name(&["", "a", "b"]);
    let status = prop::sample::select(&[Status::Passing, Status::Warning, Status::Critical]);
    let definition = prop::option::of("[xy]?")
        .prop_map(|http| http.map(|http| Box::new(Definition { http, ..Definition::default() })));
    let parts = (id, service_id, status, "[xy]?", definition);
    parts.prop_map(|(id, service_id, status, output, definition)| Check {
        id,
        service_id,
        status,
        output,
        definition,
        ..Check::default()
    })
}

pub(crate) fn registration() -> impl Strategy<Value = Registration> {
    let id = prop::option::of((1..4_u128).prop_map(|it| NodeId(Uuid(it << 64))));
    let address = prop::sample::select(&["10.0.0.1", "10.0.0.2", "::1", "0:0::1"]);
    let services = prop::collection::vec(service(), 0..3);
    let checks = prop::collection::vec(check(), 0..3);
    let parts = (id, name(&NODES), address, meta(), services, checks, any::<bool>());
    parts.prop_map(|(id, node, address, meta, mut services, mut checks, skip)| {
        // Saying two things about one row in one breath would touch it for nothing.
        services.sort_by(|a, b| a.id.cmp(&b.id));
        services.dedup_by(|a, b| a.id == b.id);
        checks.sort_by(|a, b| a.id.cmp(&b.id));
        checks.dedup_by(|a, b| a.id == b.id);
        Registration {
            id,
            node,
            address: address.into(),
            datacenter: "dc1".into(),
            tagged_addresses: meta.clone(),
            node_meta: meta,
            services,
            checks,
            skip_node_update: skip,
        }
    })
}

fn deregistration() -> impl Strategy<Value = Deregistration> {
    let service_id = prop_oneof![3 => Just(""), 2 => Just("a"), 1 => Just("b")];
    let check_id = prop_oneof![1 => Just(""), 1 => Just("c"), 1 => Just("d")];
    let parts = (name(&NODES), service_id, check_id);
    parts.prop_map(|(node, service_id, check_id)| Deregistration {
        node,
        service_id: service_id.into(),
        check_id: check_id.into(),
    })
}

pub(crate) fn catalog_command() -> impl Strategy<Value = Command> {
    prop_oneof![
        2 => registration().prop_map(Command::Register),
        1 => deregistration().prop_map(Command::Deregister),
    ]
}

fn set_autopilot() -> impl Strategy<Value = SetAutopilot> {
    let cas = prop::option::of((0..20_u64).prop_map(Index));
    let parts = (any::<bool>(), 0..3_u64, "[ab]?", any::<bool>(), cas);
    parts.prop_map(|(cleanup, number, tag, migration, cas)| {
        let settings = Autopilot {
            cleanup_dead_servers: cleanup,
            last_contact_threshold: Duration::from_nanos(number),
            max_trailing_logs: number,
            min_quorum: number,
            server_stabilization_time: Duration::from_secs(number),
            redundancy_zone_tag: tag.clone(),
            disable_upgrade_migration: migration,
            upgrade_version_tag: tag,
        };
        SetAutopilot { settings, cas }
    })
}

fn prepared_query() -> impl Strategy<Value = PreparedQuery> {
    let strings = || prop::option::of(prop::collection::vec("[xy]?", 0..2));
    let template = prop_oneof![Just(""), Just("name_prefix_match")];
    let service = ("[xy]?", 0..3_u64, strings(), any::<bool>(), strings(), meta(), meta())
        .prop_map(|(near, nearest_n, list, flag, tags, node_meta, service_meta)| ServiceQuery {
            service: "web".into(),
            failover: Failover { nearest_n, datacenters: list.clone() },
            only_passing: flag,
            ignore_check_ids: list,
            near,
            tags,
            node_meta,
            service_meta,
            connect: flag,
        });
    (0..4_u128, "([abA](-[ab])?)?", template, "[xy]?", service).prop_map(
        |(id, name, kind, text, service)| PreparedQuery {
            id: Uuid(id << 64),
            name,
            token: text.clone(),
            template: Template {
                kind: kind.into(),
                regexp: text.clone(),
                remove_empty_tags: service.connect,
            },
            dns_ttl: text,
            service,
            ..PreparedQuery::default()
        },
    )
}

fn query_command() -> impl Strategy<Value = prepared_query::Command> {
    use prepared_query::Command::{Create, Delete, Update};
    prop_oneof![
        2 => prepared_query().prop_map(|it| Create(Box::new(it))),
        1 => prepared_query().prop_map(|it| Update(Box::new(it))),
        1 => (0..4_u128).prop_map(|it| Delete(Uuid(it << 64))),
    ]
}

/// Any command that changes one thing.
pub(crate) fn single() -> impl Strategy<Value = Command> {
    prop_oneof![
        8 => kv_command().prop_map(Command::Kv),
        12 => catalog_command(),
        1 => set_autopilot().prop_map(Command::SetAutopilot),
        3 => query_command().prop_map(Command::PreparedQuery),
        2 => (name(&NODES), -1.0..1.0).prop_map(|(node, height)| {
            let spot = Coordinate { height, ..Coordinate::default() }.into();
            Command::SetCoordinate(SetCoordinate { node, spot })
        }),
        1 => (0..30_u64).prop_map(|it| Command::ReapTombstones { through: Index(it) }),
    ]
}

pub(crate) fn command() -> impl Strategy<Value = Command> {
    let batch = prop::collection::vec(single(), 0..4).prop_map(Command::Batch);
    prop_oneof![20 => single(), 3 => batch, 1 => Just(Command::Ignored)]
}

/// Everything that the commands here could change the answer to, and more.
pub(crate) fn topics() -> Vec<Topic> {
    let mut topics = vec![
        Topic::Autopilot,
        Topic::PreparedQueries,
        Topic::Catalog,
        Topic::Nodes,
        Topic::Services,
        Topic::ChecksState(None),
    ];
    for status in [Status::Passing, Status::Warning, Status::Critical] {
        topics.push(Topic::ChecksState(Some(status)));
    }
    for name in SERVICES {
        let of = [Topic::service(name), Topic::health(name), Topic::service_checks(name)];
        topics.extend(of);
    }
    for name in NODES {
        topics.extend([Topic::node_services(name), Topic::node_checks(name)]);
    }
    for key in ["", "a", "a/", "a/b", "a/b/", "a/b/a", "b", "b/a/a", "c"] {
        topics.extend([Topic::Kv(key.into()), Topic::KvPrefix(key.into())]);
    }
    topics.sort();
    topics.dedup();
    topics
}
