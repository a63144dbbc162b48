//! Instances of services that travel: to another datacenter, which has asked for them.

use tribune_base::codec::{DecodeError, Reader, Writer};

use crate::catalog::HealthInstance;
use crate::row;
use crate::types::{Check, Node, Service};

/// A [`HealthInstance`] of another datacenter's catalog.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct OwnedInstance {
    /// Where it runs.
    pub node: Node,
    /// What it is.
    pub service: Service,
    /// Its own checks and those of its node, by their ids.
    pub checks: Vec<Check>,
}

impl HealthInstance<'_> {
    /// Write it as a message: 1 the node, 2 the service, 3 a check, each.
    pub fn encode(&self, writer: &mut Writer) {
        writer.nested(1, |it| row::write_node(it, self.node));
        writer.nested(2, |it| row::write_service(it, self.service));
        for check in &self.checks {
            writer.nested(3, |it| row::write_check(it, check));
        }
    }
}

impl OwnedInstance {
    /// Read what [`HealthInstance::encode`] wrote, there or in another release.
    ///
    /// # Errors
    ///
    /// It is no instance.
    pub fn decode(mut reader: Reader) -> Result<Self, DecodeError> {
        let mut this = Self::default();
        while let Some(field) = reader.field()? {
            match field.tag {
                1 => this.node = row::read_node(field.nested()?)?,
                2 => this.service = row::read_service(field.nested()?)?,
                3 => this.checks.push(row::read_check(field.nested()?)?),
                _ => {}
            }
        }
        // What follows from the service does not travel.
        for check in this.checks.iter_mut().filter(|it| !it.is_of_node()) {
            this.service.name.clone_into(&mut check.service_name);
            this.service.tags.clone_into(&mut check.service_tags);
        }
        Ok(this)
    }

    /// The same, to look at.
    pub fn borrow(&self) -> HealthInstance<'_> {
        let checks = self.checks.iter().collect();
        HealthInstance { node: &self.node, service: &self.service, checks }
    }
}

#[test]
fn what_arrives_is_what_was_there() {
    use crate::command::Command;
    use crate::script::registration;
    use crate::store::Store;
    use proptest::prelude::*;

    proptest!(|(registrations in prop::collection::vec(registration(), 1..8))| {
        let mut store = Store::default();
        registrations.into_iter().for_each(|it| _ = store.next(&Command::Register(it)));
        let (_, instances) = store.view().health_service("web");
        for instance in instances {
            let mut writer = Writer::new();
            instance.encode(&mut writer);
            let arrived = OwnedInstance::decode(Reader::new(writer.finish())).unwrap();
            prop_assert_eq!(format!("{:?}", arrived.borrow()), format!("{instance:?}"));
        }
    });
}
