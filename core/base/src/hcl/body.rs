//! What stands between two braces, as it is collected: repeated blocks find each other here.

use std::collections::BTreeMap;

use serde_json::Value;

/// Attributes and blocks by name, in the order of their first appearance.
#[derive(Debug, Default)]
pub(super) struct Body {
    members: Vec<(String, Member)>,
    places: BTreeMap<String, usize>,
}

#[derive(Debug)]
enum Member {
    Attribute(Value),
    Blocks(Vec<Value>),
    /// Blocks by their next label.
    Labelled(Body),
}

impl Body {
    /// The attribute `name` is `value`, whatever it was before.
    pub(super) fn set(&mut self, name: String, value: Value) {
        *self.member(name) = Member::Attribute(value);
    }

    /// Another block `name`. It joins those with the same labels and replaces what is no such block.
    pub(super) fn add(
        &mut self,
        name: String,
        mut labels: impl Iterator<Item = String>,
        block: Value,
    ) {
        let mut member = self.member(name);
        for label in labels.by_ref() {
            if !matches!(member, Member::Labelled(_)) {
                *member = Member::Labelled(Self::default());
            }
            let Member::Labelled(inner) = member else { unreachable!("made one above") };
            member = inner.member(label);
        }
        if let Member::Blocks(blocks) = member {
            blocks.push(block);
        } else {
            *member = Member::Blocks(vec![block]);
        }
    }

    pub(super) fn into_value(self) -> Value {
        let value = |(name, member)| match member {
            Member::Attribute(value) => (name, value),
            Member::Blocks(mut blocks) if blocks.len() == 1 => (name, blocks.remove(0)),
            Member::Blocks(blocks) => (name, Value::Array(blocks)),
            Member::Labelled(inner) => (name, inner.into_value()),
        };
        self.members.into_iter().map(value).collect()
    }

    fn member(&mut self, name: String) -> &mut Member {
        let place = *self.places.entry(name).or_insert_with_key(|name| {
            self.members.push((name.clone(), Member::Blocks(Vec::new())));
            self.members.len() - 1
        });
        &mut self.members[place].1
    }
}
