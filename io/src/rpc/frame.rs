//! Frames: where one payload ends and the next begins, and whether it arrived as it was sent.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

/// Why bytes are not a frame. Where the next one begins is unknown: the connection is of no more
/// use.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FrameError {
    /// Longer than anything that is sent here.
    #[error("a frame of {len} bytes is longer than {len_max}")]
    TooLong {
        /// How long it says it is.
        len: u32,
        /// How long it may be.
        len_max: usize,
    },
    /// Not the bytes that were sent.
    #[error("the checksum of a frame is wrong")]
    Checksum,
}

/// Append `payload` to `out` as a frame.
///
/// # Panics
///
/// It is 4 GiB or longer.
pub fn put(payload: &[u8], out: &mut BytesMut) {
    let len = u32::try_from(payload.len()).expect("limits are far below 4 GiB");
    out.reserve(HEADER_LEN + payload.len());
    out.put_u32_le(len);
    out.put_u32_le(checksum(len, payload));
    out.put_slice(payload);
}

/// Take the first payload out of `buffer`, or `None` if more bytes have to come.
///
/// # Errors
///
/// It does not begin with a frame of at most `len_max` bytes.
pub fn take(buffer: &mut BytesMut, len_max: usize) -> Result<Option<Bytes>, FrameError> {
    let Some((head, _)) = buffer.split_first_chunk::<HEADER_LEN>() else { return Ok(None) };
    let mut head = &head[..];
    let (len, crc) = (head.get_u32_le(), head.get_u32_le());
    if usize::try_from(len).map_or(true, |it| len_max < it) {
        return Err(FrameError::TooLong { len, len_max });
    }
    let end = HEADER_LEN + len as usize;
    if buffer.len() < end {
        return Ok(None);
    }
    let payload = buffer.split_to(end).freeze().slice(HEADER_LEN..);
    if crc == checksum(len, &payload) { Ok(Some(payload)) } else { Err(FrameError::Checksum) }
}

fn checksum(len: u32, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&len.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

/// What stands before a payload.
pub const HEADER_LEN: usize = 8;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LEN_MAX: usize = 1_000;

    fn framed(payloads: &[Vec<u8>]) -> BytesMut {
        let mut out = BytesMut::new();
        payloads.iter().for_each(|it| put(it, &mut out));
        out
    }

    proptest! {
        /// However TCP cuts the stream.
        #[test]
        fn payloads_come_back_in_order(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..9),
            cut in 1..60_usize,
        ) {
            let (mut buffer, mut found) = (BytesMut::new(), Vec::new());
            for piece in framed(&payloads).chunks(cut) {
                buffer.put_slice(piece);
                while let Some(payload) = take(&mut buffer, LEN_MAX).unwrap() {
                    found.push(payload.to_vec());
                }
            }
            prop_assert_eq!(found, payloads);
            prop_assert!(buffer.is_empty());
        }

        #[test]
        fn any_bytes_are_frames_or_an_error(bytes: Vec<u8>) {
            let mut buffer = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = take(&mut buffer, LEN_MAX) {}
        }
    }

    #[test]
    fn every_flipped_bit_shows() {
        let whole = framed(&[b"payload".to_vec()]);
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(take(&mut flipped, LEN_MAX), Ok(Some(_))), "bit {bit}");
        }
    }

    #[test]
    fn silence_is_no_frame() {
        let mut zeros = BytesMut::zeroed(64);
        assert_eq!(take(&mut zeros, LEN_MAX), Err(FrameError::Checksum));
    }

    #[test]
    fn a_promise_of_too_much_is_refused_before_it_is_kept() {
        let mut buffer = BytesMut::from(&b"\xff\xff\xff\x7f\0\0\0\0"[..]);
        let capacity = buffer.capacity();
        let error = FrameError::TooLong { len: 0x7fff_ffff, len_max: LEN_MAX };
        assert_eq!(take(&mut buffer, LEN_MAX), Err(error));
        assert_eq!(buffer.capacity(), capacity);
    }
}
