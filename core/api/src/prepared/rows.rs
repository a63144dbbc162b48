//! What came of an execution, for other servers and for DNS: rows instead of JSON.

use bytes::Bytes;
use tribune_base::codec::{DecodeError, Reader, Writer};
use tribune_state::{OwnedInstance, ServiceQuery};

use super::execute::{Executed, Execution};
use crate::error::Error;
use crate::http::{Method, OwnedRequest};
use crate::plan::{Consistency, Context, Plan, Query, Read};

/// What a query has found, wherever that is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Rows {
    /// Where.
    pub datacenter: String,
    /// What was asked for.
    pub service: String,
    /// How long it may be remembered, as the query says it; empty if it does not.
    pub ttl: String,
    /// In the order they are to be tried.
    pub instances: Vec<OwnedInstance>,
}

impl Rows {
    /// Read what an execution with [`Execution::rows`] was answered, here or in another release.
    ///
    /// # Errors
    ///
    /// It is none.
    pub fn decode(body: Bytes) -> Result<Self, DecodeError> {
        let (mut this, mut reader) = (Self::default(), Reader::new(body));
        while let Some(field) = reader.field()? {
            match field.tag {
                1 => field.str()?.clone_into(&mut this.datacenter),
                2 => field.str()?.clone_into(&mut this.service),
                3 => field.str()?.clone_into(&mut this.ttl),
                4 => this.instances.push(OwnedInstance::decode(field.nested()?)?),
                _ => {}
            }
        }
        // Whoever has found nothing says where, at least.
        if this.datacenter.is_empty() { Err(DecodeError::Missing { tag: 1 }) } else { Ok(this) }
    }
}

impl Executed<'_> {
    /// Write it as a message: 1 the datacenter, 2 the service, 3 the TTL, 4 an instance, each.
    pub(super) fn encode(&self) -> Bytes {
        let mut writer = Writer::new();
        writer.str(1, self.datacenter);
        writer.str(2, &self.query.service.service);
        writer.str(3, &self.query.dns_ttl);
        for instance in self.instances {
            writer.nested(4, |it| instance.encode(it));
        }
        writer.finish()
    }
}

impl Execution {
    /// Put it to a server of another datacenter, which does not know the query.
    ///
    /// ```text
    ///   1  what is asked for     3  whether in a mesh
    ///   2  the limit             4  how fresh: 1 consistent, 2 stale
    /// ```
    pub(super) fn to_request(&self) -> OwnedRequest {
        let mut writer = Writer::new();
        if let Some(asked) = &self.asked {
            writer.nested(1, |it| asked.encode(it));
        }
        writer.u64(2, self.limit as u64);
        writer.bool(3, self.connect);
        writer.u64(
            4,
            match self.consistency {
                Consistency::Default => 0,
                Consistency::Consistent => 1,
                Consistency::Stale => 2,
            },
        );
        OwnedRequest {
            method: Method::Other,
            path: PATH.to_owned(),
            query: String::new(),
            token: None,
            body: writer.finish(),
            asker: Default::default(),
        }
    }

    /// Read what [`to_request`](Self::to_request) wrote. `None` if it is another request.
    pub(super) fn of_request(request: &OwnedRequest) -> Option<Result<Self, DecodeError>> {
        (request.path == PATH).then(|| Self::decode(request.body.clone()))
    }

    fn decode(body: Bytes) -> Result<Self, DecodeError> {
        let (mut this, mut asked) = (Self { rows: true, ..Self::default() }, None);
        let mut reader = Reader::new(body);
        while let Some(field) = reader.field()? {
            match field.tag {
                1 => asked = Some(ServiceQuery::decode(field.nested()?)?),
                2 => this.limit = usize::try_from(field.u64()?).unwrap_or(usize::MAX),
                3 => this.connect = field.bool()?,
                4 => {
                    this.consistency = match field.u64()? {
                        1 => Consistency::Consistent,
                        2 => Consistency::Stale,
                        _ => Consistency::Default,
                    }
                }
                _ => {}
            }
        }
        let asked = asked.ok_or(DecodeError::Missing { tag: 1 })?;
        Ok(Self { asked: Some(asked), ..this })
    }
}

/// The plan for what a server of another datacenter asks, whose own has nothing. `None` if the request
/// is another.
pub fn plan_from_afar(request: &OwnedRequest, context: &Context) -> Option<Plan> {
    let execution = Execution::of_request(request)?;
    Some(match execution {
        Ok(execution) => Plan::Read(Read {
            consistency: execution.consistency,
            query: Query::ExecuteQuery(Box::new(execution)),
            max_stale: None,
            min_index: tribune_base::id::Index(0),
            wait: context.query_wait_default,
            pretty: false,
        }),
        Err(error) => Plan::Answer(Error::bad(error.to_string()).into()),
    })
}

/// No path of HTTP begins like this.
const PATH: &str = "query:execute";
