//! What happens to a packet: understood with care, answered within the size its sender can take.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use hickory_proto::op::{Edns, Message, Query};
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsCode, EdnsOption};
use tribune_api::dns::{
    self, Answer, Config, Elsewhere, Owner, Question, Rcode, RecordData, RecordKind,
};
use tribune_api::prepared::{Asker, Rows};
use tribune_base::rng::Rng;

use super::Source;
use super::encode::{Header, Names, Section, Writer};

/// How a packet came in, and its answer goes out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Transport {
    /// In a datagram: small, unless the client says otherwise.
    Udp,
    /// In a stream.
    Tcp,
}

/// Answers packets, one after the other, reusing its memory.
#[derive(Debug)]
pub struct Responder<S> {
    source: Arc<S>,
    rng: Rng,
    /// The question's name, as text.
    name: String,
    /// Who knows the answer to the last question, if that is not this datacenter.
    elsewhere: Option<Elsewhere>,
    names: Names,
}

impl<S: Source> Responder<S> {
    /// Answer from `source`, in an order that follows from `seed`.
    pub fn new(source: Arc<S>, seed: u64) -> Self {
        let (name, names) = (String::new(), Names::default());
        Self { source, rng: Rng::new(seed), name, elsewhere: None, names }
    }

    /// Who knows the answer to the last question, if that is not this datacenter. What was said to it
    /// is what to say if nobody knows.
    pub fn elsewhere(&mut self) -> Option<Elsewhere> {
        self.elsewhere.take()
    }

    /// Where answers come from.
    pub(super) fn source(&self) -> &Arc<S> {
        &self.source
    }

    /// Add the response to `packet`, which `asker` has sent, to the end of `response`. Returns false if there is none:
    /// what is not a request must not be answered, or two servers could go on for ever. `found` is what
    /// other datacenters have, if they were asked.
    pub fn respond(
        &mut self,
        packet: &[u8],
        transport: Transport,
        asker: &Asker,
        found: Option<&Rows>,
        response: &mut Vec<u8>,
    ) -> bool {
        let Some(header) = request_header(packet) else { return false };
        let refuse = |rcode: Rcode, names: &mut Names, response: &mut Vec<u8>| {
            let writer = Writer::new(response, names, true);
            writer.finish(Header { rcode: rcode as u8, ..header });
            true
        };
        if header.opcode != 0 {
            return refuse(Rcode::NotImp, &mut self.names, response);
        }
        let Ok(message) = Message::from_vec(packet) else {
            return refuse(Rcode::FormErr, &mut self.names, response);
        };
        let [query] = message.queries.as_slice() else {
            return refuse(Rcode::FormErr, &mut self.names, response);
        };
        let config = self.source.config();
        let sender = Sender::new(transport, message.edns.as_ref());
        let mut answer = self.answer(query, &sender, asker, found, &config);
        self.elsewhere = answer.elsewhere.take();

        let mut writer = Writer::new(response, &mut self.names, !config.disable_compression);
        writer.question(query, &self.name);
        write(writer, header, &answer, &sender, &config);
        true
    }

    fn answer(
        &mut self,
        query: &Query,
        sender: &Sender,
        asker: &Asker,
        found: Option<&Rows>,
        config: &Config,
    ) -> Answer {
        spell(query, &mut self.name);
        if sender.version_unknown {
            // The response code of that is in the OPT row.
            return Answer::default();
        }
        if !matches!(query.query_class().into(), CLASS_IN | CLASS_ANY) {
            return Answer { rcode: Rcode::Refused, ..Answer::default() };
        }
        let kind = kind(query.query_type().into());
        let answers_max = sender.answers_max(kind, config);
        let asker = &sender.asker(asker);
        let question = Question { name: &self.name, kind, answers_max, asker, found };
        match self.source.snapshot() {
            Some(snapshot) => {
                let now_unix = self.source.now_unix();
                let places = self.source.places();
                dns::answer(&question, &snapshot, &places, config, now_unix, &mut self.rng)
            }
            None => dns::unavailable(&question, config),
        }
    }
}

/// The datacenter that the question in `packet` is about, if that is another one than ours.
pub(super) fn datacenter(packet: &[u8], config: &Config) -> Option<String> {
    let message = Message::from_vec(packet).ok()?;
    let [query] = message.queries.as_slice() else { return None };
    // The zone as a whole is the same everywhere.
    let kind = kind(query.query_type().into());
    if matches!(kind, RecordKind::Soa | RecordKind::Ns | RecordKind::Axfr) {
        return None;
    }
    let mut name = String::new();
    spell(query, &mut name);
    dns::datacenter(&name, config)
}

/// Say no to `packet`; nothing, if it is no request.
pub(super) fn refuse(packet: &[u8], rcode: Rcode) -> Vec<u8> {
    let mut response = Vec::new();
    if let Some(header) = request_header(packet) {
        let mut names = Names::default();
        let writer = Writer::new(&mut response, &mut names, true);
        writer.finish(Header { rcode: rcode as u8, ..header });
    }
    response
}

/// What is to be known about whoever asks.
#[derive(Debug)]
struct Sender {
    transport: Transport,
    /// The largest message it can take.
    len_max: usize,
    /// It speaks EDNS (RFC 6891), and this is what to answer in kind.
    edns: Option<SenderEdns>,
    /// It speaks an EDNS that we do not.
    version_unknown: bool,
}

#[derive(Debug)]
struct SenderEdns {
    len_max: u16,
    dnssec_ok: bool,
    /// The body of a client subnet option (RFC 7871).
    subnet: Option<Vec<u8>>,
    /// The address in it.
    client: Option<IpAddr>,
}

impl Sender {
    fn new(transport: Transport, edns: Option<&Edns>) -> Self {
        let version_unknown = edns.is_some_and(|it| it.version() != 0);
        let edns = edns.map(|it| SenderEdns {
            len_max: it.max_payload().clamp(UDP_LEN, UDP_LEN_MAX),
            dnssec_ok: it.flags().dnssec_ok,
            subnet: it.option(EdnsCode::Subnet).and_then(subnet),
            client: it.option(EdnsCode::Subnet).and_then(client),
        });
        let len_max = match transport {
            Transport::Udp => edns.as_ref().map_or(UDP_LEN, |it| it.len_max),
            Transport::Tcp => TCP_LEN_MAX,
        };
        Self { transport, len_max: len_max.into(), edns, version_unknown }
    }

    /// Who asks in the end: a resolver may say for whom it does.
    fn asker<'a>(&self, asker: &'a Asker) -> Cow<'a, Asker> {
        match self.edns.as_ref().and_then(|it| it.client) {
            Some(ip) => Cow::Owned(Asker { ip: Some(ip), ..asker.clone() }),
            None => Cow::Borrowed(asker),
        }
    }

    /// How many rows to try. What they weigh is found out when they are written.
    fn answers_max(&self, kind: RecordKind, config: &Config) -> usize {
        match (self.transport, kind) {
            (Transport::Udp, _) if self.len_max <= UDP_LEN.into() => {
                match config.udp_answer_limit {
                    0 => UDP_ANSWERS_MAX,
                    limit => limit.min(UDP_ANSWERS_MAX),
                }
            }
            (Transport::Udp, _) => self.len_max / ROW_LEN_MIN,
            (Transport::Tcp, RecordKind::Srv) => TCP_SRV_ANSWERS_MAX,
            (Transport::Tcp, _) => TCP_ANSWERS_MAX,
        }
    }

    fn opt_len(&self) -> usize {
        let subnet = |it: &SenderEdns| it.subnet.as_ref().map_or(0, |it| 4 + it.len());
        self.edns.as_ref().map_or(0, |it| OPT_LEN + subnet(it))
    }
}

/// Write `answer`: what does not fit goes, additional rows first, but for the addresses of services:
/// an instance that cannot be reached without another question is worth less than one fewer. Only a
/// missing answer is worth the truncation bit: the client can do without the rest (RFC 2181,
/// section 9).
fn write(
    mut writer: Writer<'_>,
    header: Header,
    answer: &Answer,
    sender: &Sender,
    config: &Config,
) {
    let len_max = sender.len_max.saturating_sub(sender.opt_len());
    let fits = |section, writer: &mut Writer<'_>, rows: &[dns::Record]| {
        rows.iter().all(|it| writer.row(section, it, len_max))
    };
    let before = writer.len();
    let (mut whole, empty);
    if sender.edns.is_some() && sender.transport == Transport::Udp && is_service(answer) {
        whole = write_service(&mut writer, answer, len_max) && !answer.truncated;
        empty = writer.len() == before;
    } else {
        whole = fits(Section::Answer, &mut writer, &answer.answers) && !answer.truncated;
        empty = writer.len() == before;
        whole &= fits(Section::Authority, &mut writer, &answer.authority);
        fits(Section::Additional, &mut writer, &answer.additionals);
    }

    if let Some(edns) = &sender.edns {
        let rcode_high = if sender.version_unknown { BADVERS_HIGH } else { 0 };
        writer.opt(edns.len_max, rcode_high, edns.dnssec_ok, edns.subnet.as_deref());
    }
    // Over TCP there is nowhere to go from here, so the bit would say nothing.
    let told = config.enable_truncate || empty;
    let truncated = !whole && told && sender.transport == Transport::Udp;
    writer.finish(Header {
        authoritative: answer.authoritative,
        truncated,
        // So the original says it: a resolver that knows better is asked for the names of
        // addresses, even if there is none.
        recursion_available: answer.recurse && answer.rcode == Rcode::ServFail,
        rcode: answer.rcode as u8,
        ..header
    });
}

fn is_service(answer: &Answer) -> bool {
    let srv = |it: &dns::Record| matches!(it.data, RecordData::Srv { .. });
    answer.answers.first().is_some_and(srv) && answer.authority.is_empty()
}

/// Write instances of a service, each with the addresses of its host, and what else there is about
/// these hosts if there is room. False, if not all instances fit.
fn write_service(writer: &mut Writer<'_>, answer: &Answer, len_max: usize) -> bool {
    // They come in the order of the hosts that they are of.
    let addresses = || answer.additionals.iter().filter(|it| address_len(it) != 0);
    let (mut ahead, mut reserved, mut kept) = (addresses().peekable(), 0, 0);
    for row in &answer.answers {
        let mut own = reserved;
        while let Some(address) = ahead.next_if(|it| is_about(it, row)) {
            own += address_len(address);
        }
        // One is better than none, whatever it lacks.
        let room = if kept == 0 { len_max } else { len_max.saturating_sub(own) };
        if !writer.row(Section::Answer, row, room) {
            break;
        }
        (reserved, kept) = (own, kept + 1);
    }
    let kept = &answer.answers[..kept];
    let of_kept = |it: &&dns::Record| kept.iter().any(|row| is_about(it, row));
    let others = answer.additionals.iter().filter(|it| address_len(it) == 0);
    let mut additionals = addresses().chain(others).filter(of_kept);
    additionals.all(|it| writer.row(Section::Additional, it, len_max));
    kept.len() == answer.answers.len()
}

/// Whether `additional` is about the host that the service of `row` is on.
fn is_about(additional: &dns::Record, row: &dns::Record) -> bool {
    match (&additional.owner, &row.data) {
        (Owner::Name(name), RecordData::Srv { target, .. }) => name == target,
        _ => false,
    }
}

/// How long a row is that has an address, behind a pointer to its name; zero, if it has none.
const fn address_len(record: &dns::Record) -> usize {
    const HEAD_LEN: usize = 12;
    match record.data {
        RecordData::A(_) => HEAD_LEN + 4,
        RecordData::Aaaa(_) => HEAD_LEN + 16,
        RecordData::Cname(_)
        | RecordData::Ns(_)
        | RecordData::Ptr(_)
        | RecordData::Soa(_)
        | RecordData::Srv { .. }
        | RecordData::Txt(_) => 0,
    }
}

/// The header of a request, as its response repeats it. `None` if it is not a request.
fn request_header(packet: &[u8]) -> Option<Header> {
    let [id_high, id_low, high, low, ..] = *packet.first_chunk::<12>()?;
    let is_response = high & 0x80 != 0;
    (!is_response).then_some(Header {
        id: u16::from_be_bytes([id_high, id_low]),
        opcode: high >> 3 & 0xf,
        recursion_desired: high & 0x01 != 0,
        checking_disabled: low & 0x10 != 0,
        ..Header::default()
    })
}

/// Write the question's name as text. Bytes that no name of ours has become a letter that no name
/// of ours has: a dot within a label would be taken for the end of it.
fn spell(query: &Query, name: &mut String) {
    name.clear();
    for label in query.name().iter() {
        if !name.is_empty() {
            name.push('.');
        }
        let plain = |it: &u8| it.is_ascii_graphic() && !matches!(it, b'.' | b'\\');
        name.extend(label.iter().map(|it| if plain(it) { char::from(*it) } else { '\\' }));
    }
}

/// The option to send back: we made no use of it, so the answer holds for everybody.
fn subnet(option: &EdnsOption) -> Option<Vec<u8>> {
    let EdnsOption::Subnet(subnet) = option else { return None };
    let unused = ClientSubnet::new(subnet.addr(), subnet.source_prefix(), 0);
    Vec::try_from(&unused).ok()
}

fn client(option: &EdnsOption) -> Option<IpAddr> {
    let EdnsOption::Subnet(subnet) = option else { return None };
    Some(subnet.addr())
}

const fn kind(number: u16) -> RecordKind {
    match number {
        1 => RecordKind::A,
        2 => RecordKind::Ns,
        5 => RecordKind::Cname,
        6 => RecordKind::Soa,
        12 => RecordKind::Ptr,
        16 => RecordKind::Txt,
        28 => RecordKind::Aaaa,
        33 => RecordKind::Srv,
        252 => RecordKind::Axfr,
        255 => RecordKind::Any,
        _ => RecordKind::Other,
    }
}

/// What everybody can take (RFC 1035, section 4.2.1).
const UDP_LEN: u16 = 512;

/// What we are willing to send in one datagram.
const UDP_LEN_MAX: u16 = 4_096;

/// What the length before a message in a stream can say.
const TCP_LEN_MAX: u16 = u16::MAX;

/// So many rows at most without EDNS, whatever the settings say.
const UDP_ANSWERS_MAX: usize = 8;

/// So many rows at most in a stream.
const TCP_ANSWERS_MAX: usize = 4_096;
const TCP_SRV_ANSWERS_MAX: usize = 1_024;

/// An IPv4 address, and everything before it.
const ROW_LEN_MIN: usize = 16;

/// An OPT row without options.
const OPT_LEN: usize = 11;

/// The response code of an unknown version of EDNS is 16 (RFC 6891, section 9): its low bits are
/// zero, and these are the high ones.
const BADVERS_HIGH: u8 = 1;

const CLASS_IN: u16 = 1;
const CLASS_ANY: u16 = 255;
