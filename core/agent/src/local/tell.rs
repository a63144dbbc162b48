//! What goes to the catalog, and what comes back.

use std::collections::BTreeSet;

use tribune_base::time::Instant;
use tribune_state::{Command, Deregistration, Outcome, Registration};

use super::Local;
use crate::output::{CatalogRows, Event, Output, SyncFailed, SyncId};
use crate::sync::{self, Differences, Key, Step};

impl Local {
    /// The catalog was read as [`Output::ReadCatalog`] asked.
    pub fn catalog_read(&mut self, now: Instant, id: SyncId, catalog: &CatalogRows) {
        let Differences { disowned, keys, tags } = sync::compare(&self.comparable(), catalog);
        self.sync.read(now, id, &self.config, !disowned);
        for (service, tags) in tags {
            self.adopt_tags(&service, tags);
        }
        for key in keys {
            match &key {
                Key::Service(id) if !self.tables.services.contains_key(id) => {
                    self.event(Event::ServiceForgotten { service: id.clone() });
                }
                Key::Check(id) if !self.tables.checks.contains_key(id) => {
                    self.event(Event::CheckForgotten { check: id.clone() });
                }
                Key::Node | Key::Service(_) | Key::Check(_) => {}
            }
            self.sync.mark(key, self.change);
        }
        self.finish(now);
    }

    /// The commands of a [`Output::Sync`] were committed, with one outcome for each; or it, or a
    /// [`Output::ReadCatalog`], came to nothing.
    pub fn synced(&mut self, now: Instant, id: SyncId, result: Result<Vec<Outcome>, SyncFailed>) {
        match result {
            Ok(outcomes) => self.on_written(now, id, outcomes),
            Err(SyncFailed) => {
                let retry_after = self.sync.failed(now, id, &self.config);
                self.event(Event::SyncFailed { retry_after });
            }
        }
        self.finish(now);
    }

    /// Start the next exchange, if there is something to exchange and nothing is out.
    pub(super) fn tell(&mut self, now: Instant) {
        match self.sync.next(now) {
            None => {}
            Some(Step::Read(id)) => self.outputs.push_back(Output::ReadCatalog { id }),
            Some(Step::Write(id)) => {
                let (commands, keys) = self.commands().into_iter().unzip();
                self.sync.sending(keys);
                self.outputs.push_back(Output::Sync { id, commands });
            }
        }
    }

    fn on_written(&mut self, now: Instant, id: SyncId, outcomes: Vec<Outcome>) {
        let sent = self.sync.written(id);
        assert!(sent.len() == outcomes.len(), "{} outcomes for {id:?}", outcomes.len());
        for (keys, outcome) in sent.into_iter().zip(outcomes) {
            match outcome {
                Outcome::Done(_) | Outcome::Batch(_) | Outcome::Ignored => {
                    // The name is ours now: what else is filed under it, nobody knows.
                    if !self.sync.is_owned() {
                        self.sync.compare_soon(now);
                    }
                }
                Outcome::Refused(refusal) => {
                    if matches!(refusal, tribune_state::Refusal::NameReserved(_)) {
                        self.sync.disown();
                    }
                    let what = keys.iter().map(name).collect::<Vec<_>>().join(", ");
                    self.event(Event::SyncRefused { what, reason: refusal.to_string() });
                }
            }
        }
    }

    /// What to commit, with the rows that each command tells of.
    ///
    /// A service and its checks are one command: the service without the checks would be healthy.
    /// Every registration names the node by its id, so that none succeeds under another's name.
    fn commands(&self) -> Vec<(Command, Vec<Key>)> {
        let dirty = self.sync.dirty();
        if !self.sync.is_owned() {
            return vec![(Command::Register(self.registration()), vec![Key::Node])];
        }
        let mut commands = Vec::new();
        if dirty.contains_key(&Key::Node) {
            commands.push((Command::Register(self.registration()), vec![Key::Node]));
        }
        for service in self.dirty_services() {
            commands.push(self.register(&service));
        }
        // First what is new, then what is gone: a service that moves is never nowhere.
        let gone = dirty.keys().filter_map(|key| Some((self.deregistration(key)?, key)));
        for (deregistration, key) in gone {
            commands.push((Command::Deregister(deregistration), vec![key.clone()]));
        }
        commands.truncate(self.config.sync_batch_max);
        commands
    }

    /// The services of which something is to be registered; empty for the node.
    fn dirty_services(&self) -> BTreeSet<String> {
        let about = |key: &Key| match key {
            Key::Node => None,
            Key::Service(id) => self.tables.services.contains_key(id).then(|| id.clone()),
            Key::Check(id) => self.tables.checks.get(id).map(|it| it.row.service_id.clone()),
        };
        self.sync.dirty().keys().filter_map(about).collect()
    }

    /// Everything the catalog has to be told about a service; about the node if that is empty.
    fn register(&self, service: &str) -> (Command, Vec<Key>) {
        let dirty = self.sync.dirty();
        let mut registration = self.registration();
        let mut keys = Vec::new();
        if let Some(local) = self.tables.services.get(service) {
            let key = Key::Service(service.to_owned());
            let changed = dirty.contains_key(&key);
            // Somebody may have removed it. But what it says may be older than what is there.
            if changed || !local.row.enable_tag_override {
                registration.services.push(local.row.clone());
            }
            if changed {
                keys.push(key);
            }
        }
        for id in self.tables.check_ids(service) {
            let key = Key::Check(id.clone());
            if dirty.contains_key(&key) {
                registration.checks.push(self.tables.checks[id].row.clone());
                keys.push(key);
            }
        }
        (Command::Register(registration), keys)
    }

    /// Nothing but the node.
    fn registration(&self) -> Registration {
        let node = self.tables.node.clone();
        Registration {
            id: node.id,
            node: node.name,
            address: node.address,
            datacenter: node.datacenter,
            tagged_addresses: node.tagged_addresses,
            node_meta: node.meta,
            services: Vec::new(),
            checks: Vec::new(),
            skip_node_update: false,
        }
    }

    /// How to remove the row of `key`, if it is gone here.
    fn deregistration(&self, key: &Key) -> Option<Deregistration> {
        let node = self.config.node.clone();
        match key {
            Key::Node => None,
            Key::Service(id) => (!self.tables.services.contains_key(id)).then(|| Deregistration {
                node,
                service_id: id.clone(),
                check_id: String::new(),
            }),
            Key::Check(id) => (!self.tables.checks.contains_key(id)).then(|| Deregistration {
                node,
                service_id: String::new(),
                check_id: id.clone(),
            }),
        }
    }

    fn comparable(&self) -> sync::Local<'_> {
        sync::Local {
            node: &self.tables.node,
            services: self.tables.services.iter().map(|(id, it)| (id.as_str(), &it.row)).collect(),
            checks: self
                .tables
                .checks
                .iter()
                .map(|(id, it)| (id.as_str(), (&it.row, it.deferred.is_some())))
                .collect(),
        }
    }

    fn adopt_tags(&mut self, id: &str, tags: Vec<String>) {
        // What was changed here and not yet told wins.
        if self.sync.dirty().contains_key(&Key::Service(id.to_owned())) {
            return;
        }
        let service = self.tables.services.get_mut(id).expect("compared with what is here");
        service.row.tags = tags;
        self.tables.refresh_checks_of(id);
        self.event(Event::TagsAdopted { service: id.to_owned() });
    }
}

/// For people.
fn name(key: &Key) -> String {
    match key {
        Key::Node => "node".into(),
        Key::Service(id) => format!("service {id:?}"),
        Key::Check(id) => format!("check {id:?}"),
    }
}
