//! Bytes of prepared queries, in commands and in snapshots.

use tribune_base::codec::{DecodeError, Field, Reader, Writer};
use tribune_base::id::{Index, SessionId, Uuid};

use super::{Failover, PreparedQuery, ServiceQuery, Template};
use crate::row;

/// Fields: 1 id, 2 name, 3 session, 4 token, 5 kind of template, 6 its expression, 7 whether empty
/// tags go, 8 what is asked, 9 TTL, 10 and 11 when it was made and changed.
pub(crate) fn write(writer: &mut Writer, query: &PreparedQuery) {
    writer.present_bytes(1, &query.id.0.to_be_bytes());
    writer.str(2, &query.name);
    if let Some(session) = query.session {
        writer.present_bytes(3, &session.0.0.to_be_bytes());
    }
    writer.str(4, &query.token);
    writer.str(5, &query.template.kind);
    writer.str(6, &query.template.regexp);
    writer.bool(7, query.template.remove_empty_tags);
    writer.nested(8, |it| query.service.encode(it));
    writer.str(9, &query.dns_ttl);
    writer.u64(10, query.create.0);
    writer.u64(11, query.modify.0);
}

pub(crate) fn read(mut reader: Reader) -> Result<PreparedQuery, DecodeError> {
    let mut query = PreparedQuery::default();
    let mut template = Template::default();
    while let Some(field) = reader.field()? {
        match field.tag {
            1 => query.id = Uuid(field.u128()?),
            2 => query.name = text(&field)?,
            3 => query.session = Some(SessionId(Uuid(field.u128()?))),
            4 => query.token = text(&field)?,
            5 => template.kind = text(&field)?,
            6 => template.regexp = text(&field)?,
            7 => template.remove_empty_tags = field.bool()?,
            8 => query.service = ServiceQuery::decode(field.nested()?)?,
            9 => query.dns_ttl = text(&field)?,
            10 => query.create = Index(field.u64()?),
            11 => query.modify = Index(field.u64()?),
            _ => {}
        }
    }
    Ok(PreparedQuery { template, ..query })
}

impl ServiceQuery {
    /// Write it as a message: another datacenter may be asked to answer it.
    ///
    /// ```text
    ///   1  the service                 5  checks to ignore    9   service meta
    ///   2  how many of the nearest     6  near to what        10  whether in a mesh
    ///   3  other datacenters           7  tags
    ///   4  whether all must be well    8  node meta
    /// ```
    pub fn encode(&self, writer: &mut Writer) {
        writer.str(1, &self.service);
        writer.u64(2, self.failover.nearest_n);
        write_list(writer, 3, self.failover.datacenters.as_deref());
        writer.bool(4, self.only_passing);
        write_list(writer, 5, self.ignore_check_ids.as_deref());
        writer.str(6, &self.near);
        write_list(writer, 7, self.tags.as_deref());
        row::write_map(writer, 8, self.node_meta.as_ref());
        row::write_map(writer, 9, self.service_meta.as_ref());
        writer.bool(10, self.connect);
    }

    /// Read what [`encode`](Self::encode) wrote, here or in another release.
    ///
    /// # Errors
    ///
    /// It is no question for a service.
    pub fn decode(mut reader: Reader) -> Result<Self, DecodeError> {
        let mut this = Self::default();
        let mut failover = Failover::default();
        while let Some(field) = reader.field()? {
            match field.tag {
                1 => this.service = text(&field)?,
                2 => failover.nearest_n = field.u64()?,
                3 => failover.datacenters = Some(read_list(&field)?),
                4 => this.only_passing = field.bool()?,
                5 => this.ignore_check_ids = Some(read_list(&field)?),
                6 => this.near = text(&field)?,
                7 => this.tags = Some(read_list(&field)?),
                8 => this.node_meta = Some(row::read_map(&field)?),
                9 => this.service_meta = Some(row::read_map(&field)?),
                10 => this.connect = field.bool()?,
                _ => {}
            }
        }
        Ok(Self { failover, ..this })
    }
}

/// A list that may be empty, and is then not the same as none.
fn write_list(writer: &mut Writer, tag: u32, list: Option<&[String]>) {
    let Some(list) = list else { return };
    writer.nested(tag, |it| list.iter().for_each(|item| it.present_bytes(1, item.as_bytes())));
}

fn read_list(field: &Field) -> Result<Vec<String>, DecodeError> {
    let (mut reader, mut list) = (field.nested()?, Vec::new());
    while let Some(field) = reader.field()? {
        if field.tag == 1 {
            list.push(text(&field)?);
        }
    }
    Ok(list)
}

fn text(field: &Field) -> Result<String, DecodeError> {
    Ok(field.str()?.to_owned())
}
