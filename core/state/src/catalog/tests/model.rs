//! The catalog against the simplest thing that could be right.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tribune_base::id::Index;

use crate::catalog::SERF_HEALTH;
use crate::command::{Command, Deregistration, Registration};
use crate::outcome::Outcome;
use crate::script::{self, NODES, SERVICES};
use crate::store::{Snapshot, Store};
use crate::types::{Check, Name, Node, Service, Status, fold};

/// The catalog as plain maps. Which rows changed is found by comparing all of them.
#[derive(Clone, Default)]
struct Model(BTreeMap<Name, Row>);

type Row = (Node, BTreeMap<String, Service>, BTreeMap<String, Check>);

impl Model {
    fn apply(&mut self, at: Index, command: &Command) -> bool {
        let before = self.clone();
        let done = match command {
            Command::Register(registration) => self.register(registration),
            Command::Deregister(it) => {
                self.deregister(it);
                true
            }
            Command::Kv(_)
            | Command::SetAutopilot(_)
            | Command::PreparedQuery(_)
            | Command::SetCoordinate(_)
            | Command::ReapTombstones { .. }
            | Command::Batch(_)
            | Command::Ignored => unreachable!("not about the catalog"),
        };
        if done {
            self.stamp(at, &before);
        }
        done
    }

    fn register(&mut self, it: &Registration) -> bool {
        let key = fold(&it.node);
        let owner = self.0.get(&key).cloned();
        let before = self.0.iter().find(|(_, row)| it.id.is_some() && row.0.id == it.id);
        let before = before.map(|it| it.0.clone()).filter(|it| *it != key);
        if let (Some(id), Some((owner, _, checks))) = (it.id, &owner)
            && owner.id != Some(id)
        {
            let health = checks.get(SERF_HEALTH).map(|it| it.status);
            let agent = owner.id.is_some() && health.is_some_and(|it| it != Status::Critical);
            let guarded = health != Some(Status::Critical) && before.is_some();
            if agent || guarded {
                return false;
            }
        }
        let ids = it.services.iter().map(|it| &it.id);
        let ids: Vec<_> = owner.iter().flat_map(|it| it.1.keys()).chain(ids).collect();
        if it.checks.iter().any(|it| !it.service_id.is_empty() && !ids.contains(&&it.service_id)) {
            return false;
        }
        before.map(|it| self.0.remove(&it));
        let skip = it.skip_node_update && owner.is_some();
        let row = self.0.entry(key).or_default();
        if !skip {
            row.0.id = it.id.or(row.0.id);
            row.0.name = it.node.clone();
            row.0.address = it.address.clone();
            row.0.datacenter = it.datacenter.clone();
            row.0.tagged_addresses = it.tagged_addresses.clone();
            row.0.meta = it.node_meta.clone();
        }
        row.1.extend(it.services.iter().map(|it| (it.id.clone(), it.clone())));
        row.2.extend(it.checks.iter().map(|it| (it.id.clone(), it.clone())));
        true
    }

    fn deregister(&mut self, it: &Deregistration) {
        let key = fold(&it.node);
        let Some((_, services, checks)) = self.0.get_mut(&key) else { return };
        if !it.service_id.is_empty() {
            services.remove(&it.service_id);
            checks.retain(|_, check| check.service_id != it.service_id);
        } else if !it.check_id.is_empty() {
            checks.remove(&it.check_id);
        } else {
            self.0.remove(&key);
        }
    }

    fn stamp(&mut self, at: Index, before: &Self) {
        for (key, (node, services, checks)) in &mut self.0 {
            let old = before.0.get(key);
            let times = old.filter(|it| it.0.same(node)).map(|it| it.0.modify);
            node.create = old.map_or(at, |it| it.0.create);
            node.modify = times.unwrap_or(at);
            for (id, service) in services.iter_mut() {
                let old = old.and_then(|it| it.1.get(id));
                service.create = old.map_or(at, |it| it.create);
                service.modify = old.filter(|it| it.same(service)).map_or(at, |it| it.modify);
            }
            for (id, check) in checks {
                let service = services.get(&check.service_id);
                check.node = node.name.clone();
                check.service_name = service.map(|it| it.name.clone()).unwrap_or_default();
                check.service_tags = service.map(|it| it.tags.clone()).unwrap_or_default();
                let old = old.and_then(|it| it.2.get(id));
                check.create = old.map_or(at, |it| it.create);
                check.modify = old.filter(|it| it.same(check)).map_or(at, |it| it.modify);
            }
        }
    }

    fn agrees(&self, state: &Snapshot) {
        let rows = || self.0.values();
        assert!(state.nodes().1.eq(rows().map(|it| &it.0)));
        let checks = || rows().flat_map(|it| it.2.values());
        assert!(state.checks_in_state(None).1.into_iter().eq(checks()));
        for status in [Status::Passing, Status::Warning, Status::Critical] {
            let want = checks().filter(|it| it.status == status);
            assert!(state.checks_in_state(Some(status)).1.into_iter().eq(want), "{status}");
        }
        for name in NODES {
            let row = self.0.get(&fold(name));
            let services = state.node_services(name).1.into_iter().flat_map(|it| it.services);
            assert!(services.eq(row.iter().flat_map(|it| it.1.values())), "{name}");
            let want = row.iter().flat_map(|it| it.2.values());
            assert!(state.node_checks(name).1.into_iter().eq(want), "{name}");
        }
        for name in SERVICES {
            let here = |it: &Service| fold(&it.name) == fold(name);
            let mut want = Vec::new();
            for (node, services, checks) in rows() {
                for service in services.values().filter(|it| here(it)) {
                    let of_node = checks.values().filter(|it| it.is_of_node());
                    let own = |it: &&Check| !it.is_of_node() && it.service_id == service.id;
                    let all = of_node.chain(checks.values().filter(own));
                    want.push((node, service, all.collect::<Vec<_>>()));
                }
            }
            let got = state.health_service(name).1.into_iter();
            assert!(got.map(|it| (it.node, it.service, it.checks)).eq(want), "{name}");
        }
    }
}

proptest! {
    #[test]
    fn behaves_like_plain_maps(
        commands in prop::collection::vec(script::catalog_command(), 1..25)
    ) {
        let mut store = Store::default();
        let mut model = Model::default();
        for command in commands {
            let outcome = store.next(&command).outcome;
            let done = model.apply(store.index(), &command);
            prop_assert_eq!(outcome == Outcome::Done(true), done, "{:?}", command);
            model.agrees(store.view());
        }
    }
}
