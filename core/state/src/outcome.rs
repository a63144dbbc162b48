//! What came of a command, and its bytes: whoever asked may be on another server.

use tribune_base::codec::{DecodeError, Reader, Writer};
use tribune_base::id::{NodeId, Uuid};

use crate::prepared_query::QueryRefusal;
use crate::row;

/// What whoever asked is told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Whether it was done. False: a condition did not hold, and nothing changed.
    Done(bool),
    /// It makes no sense in this state. Nothing changed.
    Refused(Refusal),
    /// One for each command of a batch.
    Batch(Vec<Self>),
    /// The command is of a newer release, which allows to ignore it.
    Ignored,
}

/// Why a command makes no sense. Whoever sent it is at fault, and nothing has changed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// A check of a service that is not there.
    #[error("failed inserting check: Missing service registration on node \"{node}\"")]
    MissingService {
        /// The node that has no such service.
        node: String,
    },
    /// A check of another node.
    #[error("check node \"{check_node}\" does not match node \"{node}\"")]
    CheckNode {
        /// The node that the check names.
        check_node: String,
        /// The node that is registered.
        node: String,
    },
    /// A name that another node has.
    #[error(transparent)]
    NameReserved(Box<NameReserved>),
    /// A prepared query that cannot be, or is not there.
    #[error(transparent)]
    PreparedQuery(QueryRefusal),
}

/// The name of a node that is alive cannot be taken by another.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "failed inserting node: Error while renaming Node ID: \"{id}\": Node name {name} is reserved \
     by node {} with name {owner_name}",
    owner.map_or_else(String::new, |it| it.to_string())
)]
pub struct NameReserved {
    /// The name.
    pub name: String,
    /// Who wants it.
    pub id: NodeId,
    /// Who has it.
    pub owner: Option<NodeId>,
    /// How that one spells it.
    pub owner_name: String,
}

impl Outcome {
    /// Write it as a message:
    ///
    /// ```text
    ///   1  what it is: 1 done, 2 refused, 3 a batch, 4 ignored
    ///   2  whether it was done
    ///   3  why it was refused
    ///   4  of a batch, the outcome of each
    /// ```
    pub fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Done(done) => {
                writer.u64(KIND, DONE);
                writer.bool(2, *done);
            }
            Self::Refused(refusal) => {
                writer.u64(KIND, REFUSED);
                writer.nested(3, |it| refusal.encode(it));
            }
            Self::Batch(outcomes) => {
                writer.u64(KIND, BATCH);
                for outcome in outcomes {
                    assert!(!matches!(outcome, Self::Batch(_)), "a batch inside a batch");
                    writer.nested(4, |it| outcome.encode(it));
                }
            }
            Self::Ignored => writer.u64(KIND, IGNORED),
        }
    }

    /// Read what [`encode`](Self::encode) wrote, here or in another release.
    ///
    /// # Errors
    ///
    /// It is no outcome this release knows.
    pub fn decode(reader: Reader) -> Result<Self, DecodeError> {
        Self::read(reader, true)
    }

    /// Batches do not nest, so that decoding cannot be made to recurse.
    fn read(mut reader: Reader, outer: bool) -> Result<Self, DecodeError> {
        let (mut kind, mut done) = (0, false);
        let (mut refusal, mut outcomes) = (None, Vec::new());
        while let Some(field) = reader.field()? {
            match field.tag {
                KIND => kind = field.u64()?,
                2 => done = field.bool()?,
                3 => refusal = Some(Refusal::decode(field.nested()?)?),
                4 if outer => outcomes.push(Self::read(field.nested()?, false)?),
                4 => return Err(field.senseless()),
                _ => {}
            }
        }
        Ok(match kind {
            DONE => Self::Done(done),
            REFUSED => Self::Refused(refusal.ok_or(DecodeError::Missing { tag: 3 })?),
            BATCH if outer => Self::Batch(outcomes),
            IGNORED => Self::Ignored,
            0 => return Err(DecodeError::Missing { tag: KIND }),
            _ => return Err(DecodeError::Value { tag: KIND }),
        })
    }
}

impl Refusal {
    /// Fields: 1 which, 2 the node or what a query is called, 3 the other name; of a reserved name
    /// also 4 and 5, who wants it and who has it; 6 the id of a query or of a session.
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::MissingService { node } => {
                writer.u64(KIND, MISSING_SERVICE);
                writer.str(2, node);
            }
            Self::CheckNode { check_node, node } => {
                writer.u64(KIND, CHECK_NODE);
                writer.str(2, node);
                writer.str(3, check_node);
            }
            Self::NameReserved(reserved) => {
                writer.u64(KIND, NAME_RESERVED);
                writer.str(2, &reserved.name);
                writer.str(3, &reserved.owner_name);
                row::write_node_id(writer, 4, Some(reserved.id));
                row::write_node_id(writer, 5, reserved.owner);
            }
            Self::PreparedQuery(refusal) => {
                let (kind, name, id) = match refusal {
                    QueryRefusal::Unknown(id) => (QUERY_UNKNOWN, "", *id),
                    QueryRefusal::NameTaken(name) => (QUERY_NAME_TAKEN, name.as_str(), Uuid(0)),
                    QueryRefusal::NameIsId(name) => (QUERY_NAME_IS_ID, name.as_str(), Uuid(0)),
                    QueryRefusal::CatchAllTaken => (QUERY_CATCH_ALL_TAKEN, "", Uuid(0)),
                    QueryRefusal::UnknownSession(id) => (QUERY_UNKNOWN_SESSION, "", *id),
                };
                writer.u64(KIND, kind);
                writer.str(2, name);
                writer.u128(6, id.0);
            }
        }
    }

    fn decode(mut reader: Reader) -> Result<Self, DecodeError> {
        let (mut kind, mut node, mut other) = (0, String::new(), String::new());
        let (mut id, mut owner, mut query) = (None, None, Uuid(0));
        while let Some(field) = reader.field()? {
            match field.tag {
                KIND => kind = field.u64()?,
                2 => field.str()?.clone_into(&mut node),
                3 => field.str()?.clone_into(&mut other),
                4 => id = Some(row::read_node_id(&field)?),
                5 => owner = Some(row::read_node_id(&field)?),
                6 => query = Uuid(field.u128()?),
                _ => {}
            }
        }
        Ok(match kind {
            MISSING_SERVICE => Self::MissingService { node },
            CHECK_NODE => Self::CheckNode { check_node: other, node },
            NAME_RESERVED => Self::NameReserved(Box::new(NameReserved {
                name: node,
                id: id.ok_or(DecodeError::Missing { tag: 4 })?,
                owner,
                owner_name: other,
            })),
            QUERY_UNKNOWN => Self::PreparedQuery(QueryRefusal::Unknown(query)),
            QUERY_NAME_TAKEN => Self::PreparedQuery(QueryRefusal::NameTaken(node)),
            QUERY_NAME_IS_ID => Self::PreparedQuery(QueryRefusal::NameIsId(node)),
            QUERY_CATCH_ALL_TAKEN => Self::PreparedQuery(QueryRefusal::CatchAllTaken),
            QUERY_UNKNOWN_SESSION => Self::PreparedQuery(QueryRefusal::UnknownSession(query)),
            0 => return Err(DecodeError::Missing { tag: KIND }),
            _ => return Err(DecodeError::Value { tag: KIND }),
        })
    }
}

const KIND: u32 = 1;

const DONE: u64 = 1;
const REFUSED: u64 = 2;
const BATCH: u64 = 3;
const IGNORED: u64 = 4;

const MISSING_SERVICE: u64 = 1;
const CHECK_NODE: u64 = 2;
const NAME_RESERVED: u64 = 3;
const QUERY_UNKNOWN: u64 = 8;
const QUERY_NAME_TAKEN: u64 = 9;
const QUERY_NAME_IS_ID: u64 = 10;
const QUERY_CATCH_ALL_TAKEN: u64 = 11;
const QUERY_UNKNOWN_SESSION: u64 = 12;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id() -> impl Strategy<Value = NodeId> {
        any::<u128>().prop_map(|it| NodeId(Uuid(it)))
    }

    fn query_refusal() -> impl Strategy<Value = QueryRefusal> {
        let id = || any::<u128>().prop_map(Uuid);
        prop_oneof![
            id().prop_map(QueryRefusal::Unknown),
            "[a-z]{0,5}".prop_map(QueryRefusal::NameTaken),
            "[a-z]{0,5}".prop_map(QueryRefusal::NameIsId),
            Just(QueryRefusal::CatchAllTaken),
            id().prop_map(QueryRefusal::UnknownSession),
        ]
    }

    fn refusal() -> impl Strategy<Value = Refusal> {
        let name = || "[a-z]{0,5}";
        let reserved = (name(), id(), prop::option::of(id()), name());
        prop_oneof![
            name().prop_map(|node| Refusal::MissingService { node }),
            (name(), name()).prop_map(|(check_node, node)| Refusal::CheckNode { check_node, node }),
            reserved.prop_map(|(name, id, owner, owner_name)| {
                Refusal::NameReserved(Box::new(NameReserved { name, id, owner, owner_name }))
            }),
            query_refusal().prop_map(Refusal::PreparedQuery),
        ]
    }

    fn single() -> impl Strategy<Value = Outcome> {
        prop_oneof![
            any::<bool>().prop_map(Outcome::Done),
            refusal().prop_map(Outcome::Refused),
            Just(Outcome::Ignored),
        ]
    }

    fn outcome() -> impl Strategy<Value = Outcome> {
        prop_oneof![single(), prop::collection::vec(single(), 0..4).prop_map(Outcome::Batch)]
    }

    fn decode(bytes: impl Into<bytes::Bytes>) -> Result<Outcome, DecodeError> {
        Outcome::decode(Reader::new(bytes.into()))
    }

    proptest! {
        #[test]
        fn bytes_are_the_outcome(outcome in outcome()) {
            let mut writer = Writer::new();
            outcome.encode(&mut writer);
            prop_assert_eq!(decode(writer.finish()), Ok(outcome));
        }

        #[test]
        fn any_bytes_are_an_outcome_or_an_error(bytes: Vec<u8>) {
            _ = decode(bytes);
        }
    }

    #[test]
    fn batches_do_not_nest() {
        let mut writer = Writer::new();
        writer.u64(KIND, BATCH);
        writer.nested(4, |it| it.u64(KIND, BATCH));
        assert_eq!(decode(writer.finish()), Err(DecodeError::Value { tag: KIND }));
    }
}
