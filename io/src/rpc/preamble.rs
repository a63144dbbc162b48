//! What both sides say first: who they are and which versions they speak.

use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tribune_base::codec::{DecodeError, Reader, Writer};
use tribune_base::id::ServerId;

use super::frame::{self, FrameError};

/// How a server introduces itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Preamble {
    /// The oldest version of the protocol it speaks.
    pub oldest: u64,
    /// The newest.
    pub newest: u64,
    /// Who it is.
    pub server: ServerId,
    /// Its datacenter.
    pub datacenter: String,
    /// Whether this connection carries what servers of different datacenters say to each other, and
    /// nothing else.
    pub across: bool,
}

/// Why two servers have nothing to say to each other. An operator has to change something.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unfit {
    /// It is this server itself, or one that took its identity along with a copy of its disk.
    #[error(
        "it has the id of this server. If it is another one, its data directory is a copy of this \
         one's: delete it there, and let that server join as a new one"
    )]
    Oneself,
    /// Servers of one cluster are of one datacenter.
    #[error(
        "it belongs to datacenter \"{theirs}\", and this server to \"{ours}\": correct \
         `datacenter`, or the addresses in `retry_join`, on one of the two"
    )]
    Datacenter {
        /// This server's.
        ours: String,
        /// The other's.
        theirs: String,
    },
    /// The releases are too far apart.
    #[error(
        "it speaks versions {} to {} of the protocol, and this server {} to {}: upgrade the older \
         one, through the releases between them", theirs.0, theirs.1, ours.0, ours.1
    )]
    Version {
        /// This server's oldest and newest.
        ours: (u64, u64),
        /// The other's.
        theirs: (u64, u64),
    },
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The network's.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Whoever it is speaks something else.
    #[error(
        "it does not speak this protocol. Only servers of this cluster may connect to `ports.server` \
         and, over TCP, to `ports.serf_lan`: those are the ports that `retry_join` is to name"
    )]
    Magic,
    /// It begins like one of us, and does not go on like one.
    #[error("its introduction is damaged: {0}")]
    Frame(#[from] FrameError),
    /// The same.
    #[error("its introduction makes no sense: {0}")]
    Malformed(#[from] DecodeError),
    /// It is one of us, but not one for us.
    #[error(transparent)]
    Unfit(#[from] Unfit),
}

impl Preamble {
    /// This release's, for a server.
    pub fn new(server: ServerId, datacenter: &str) -> Self {
        let datacenter = datacenter.to_owned();
        Self { oldest: OLDEST, newest: NEWEST, server, datacenter, across: false }
    }

    /// The same, for a connection of the other kind, if it is `across`.
    #[must_use]
    pub fn with_across(&self, across: bool) -> Self {
        Self { across, ..self.clone() }
    }

    /// Its bytes.
    pub fn encode(&self) -> BytesMut {
        let mut writer = Writer::new();
        writer.u64(1, self.oldest);
        writer.u64(2, self.newest);
        writer.u128(3, self.server.0);
        writer.str(4, &self.datacenter);
        writer.bool(5, self.across);
        let mut out = BytesMut::from(&MAGIC[..]);
        frame::put(&writer.finish(), &mut out);
        out
    }

    /// Take a preamble off the front of `buffer`, or `None` if more bytes have to come.
    ///
    /// # Errors
    ///
    /// It does not begin with one.
    pub fn take(buffer: &mut BytesMut) -> Result<Option<Self>, HandshakeError> {
        let len = buffer.len().min(MAGIC.len());
        if buffer[..len] != MAGIC[..len] {
            return Err(HandshakeError::Magic);
        }
        if len < MAGIC.len() {
            return Ok(None);
        }
        let mut rest = buffer.split_off(len);
        let payload = frame::take(&mut rest, LEN_MAX)?;
        let Some(payload) = payload else {
            buffer.unsplit(rest);
            return Ok(None);
        };
        *buffer = rest;
        Ok(Some(Self::decode(Reader::new(payload))?))
    }

    /// Read the other side's preamble. What came after it stays in `buffer`.
    ///
    /// # Errors
    ///
    /// It does not come.
    pub async fn read(
        stream: &mut (impl AsyncRead + Unpin),
        buffer: &mut BytesMut,
    ) -> Result<Self, HandshakeError> {
        loop {
            if let Some(preamble) = Self::take(buffer)? {
                return Ok(preamble);
            }
            if stream.read_buf(buffer).await? == 0 {
                return Err(HandshakeError::Io(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    /// The version to go on with.
    ///
    /// # Errors
    ///
    /// The two are not for each other.
    pub fn agree(&self, theirs: &Self) -> Result<u64, Unfit> {
        if self.server == theirs.server {
            return Err(Unfit::Oneself);
        }
        let meant = self.across && theirs.across;
        if self.datacenter != theirs.datacenter && !meant {
            let (ours, theirs) = (self.datacenter.clone(), theirs.datacenter.clone());
            return Err(Unfit::Datacenter { ours, theirs });
        }
        let version = self.newest.min(theirs.newest);
        if version < self.oldest.max(theirs.oldest) {
            let (ours, theirs) = ((self.oldest, self.newest), (theirs.oldest, theirs.newest));
            return Err(Unfit::Version { ours, theirs });
        }
        Ok(version)
    }

    fn decode(mut reader: Reader) -> Result<Self, DecodeError> {
        let (mut oldest, mut newest, mut server) = (0, 0, None);
        let (mut datacenter, mut across) = (String::new(), false);
        while let Some(field) = reader.field()? {
            match field.tag {
                1 => oldest = field.u64()?,
                2 => newest = field.u64()?,
                3 => server = Some(ServerId(field.u128()?)),
                4 => field.str()?.clone_into(&mut datacenter),
                5 => across = field.bool()?,
                _ => {}
            }
        }
        let server = server.ok_or(DecodeError::Missing { tag: 3 })?;
        Ok(Self { oldest, newest, server, datacenter, across })
    }
}

/// What every connection begins with.
pub const MAGIC: &[u8; 8] = b"tribrpc\n";

/// The versions of the protocol that this release speaks.
const OLDEST: u64 = 1;
const NEWEST: u64 = 1;

/// A name of a datacenter, and room for what later releases say.
const LEN_MAX: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn preamble(server: u128) -> Preamble {
        Preamble::new(ServerId(server), "dc1")
    }

    #[test]
    fn a_preamble_survives_in_whatever_pieces_it_comes() {
        let mut bytes = preamble(7).encode();
        bytes.extend_from_slice(b"what follows");
        let len = bytes.len() - 12;
        for cut in 0..len {
            let mut buffer = BytesMut::from(&bytes[..cut]);
            assert!(matches!(Preamble::take(&mut buffer), Ok(None)), "cut to {cut}");
            buffer.extend_from_slice(&bytes[cut..]);
            assert_eq!(Preamble::take(&mut buffer).unwrap(), Some(preamble(7)), "cut to {cut}");
            assert_eq!(&buffer[..], b"what follows");
        }
    }

    /// The bytes of the first release: later ones must still say this much.
    #[test]
    fn bytes_of_a_preamble() {
        let text: String = preamble(7).encode().iter().map(|it| format!("{it:02x}")).collect();
        let want = "747269627270630a1b0000005d8806be080110011a1000000000000000000000000000000007\
                    2203646331";
        assert_eq!(text, want);
    }

    #[test]
    fn a_web_client_is_told_apart_at_its_first_byte() {
        let mut buffer = BytesMut::from("GET");
        assert!(matches!(Preamble::take(&mut buffer), Err(HandshakeError::Magic)));
    }

    #[test]
    fn who_fits_whom() {
        let ours = Preamble { oldest: 2, newest: 4, ..preamble(1) };
        let theirs = |oldest, newest| Preamble { oldest, newest, ..preamble(2) };
        let unfit = |theirs| Err(Unfit::Version { ours: (2, 4), theirs });
        let elsewhere = Preamble { datacenter: "dc2".into(), ..theirs(2, 4) };
        let datacenter = Unfit::Datacenter { ours: "dc1".into(), theirs: "dc2".into() };
        let meant = elsewhere.with_across(true);
        assert_eq!(ours.with_across(true).agree(&meant), Ok(4), "they know that they are not one");
        assert_eq!(ours.agree(&meant), Err(datacenter.clone()));
        assert_eq!(ours.with_across(true).agree(&elsewhere), Err(datacenter.clone()));
        let cases = [
            ("the same", theirs(2, 4), Ok(4)),
            ("an older one", theirs(1, 3), Ok(3)),
            ("a newer one", theirs(4, 9), Ok(4)),
            ("too old", theirs(1, 1), unfit((1, 1))),
            ("too new", theirs(5, 9), unfit((5, 9))),
            ("elsewhere", elsewhere, Err(datacenter)),
            ("oneself", ours.clone(), Err(Unfit::Oneself)),
        ];
        for (name, theirs, want) in cases {
            assert_eq!(ours.agree(&theirs), want, "{name}");
        }
    }
}
