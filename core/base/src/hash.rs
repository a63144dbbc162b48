//! A small hash that is the same in every release and on every machine. Not for enemies.

/// FNV-1a (Fowler, Noll and Vo) over `bytes`, with 64 bits.
pub fn fnv1a(bytes: &[u8]) -> u64 {
    fnv1a_from(FNV1A_START, bytes)
}

/// The same, continued from `start`: an earlier hash, or [`FNV1A_START`] with something mixed in.
pub fn fnv1a_from(start: u64, bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(start, step)
}

/// What FNV-1a starts from.
pub const FNV1A_START: u64 = 0xcbf2_9ce4_8422_2325;

#[test]
fn the_hash_is_the_published_one() {
    assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
    assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
}
