//! DNS questions by hand (RFC 1035), so that a test of DNS does not use the library under test.

/// A question of type A for `name`, which has no dot at its end.
pub fn question(name: &str) -> Vec<u8> {
    let mut packet = vec![0x12, 0x34, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        packet.push(u8::try_from(label.len()).expect("a label is short"));
        packet.extend_from_slice(label.as_bytes());
    }
    packet.extend_from_slice(&[0, 0, 1, 0, 1]);
    packet
}

/// The response code of an answer: 0 no error, 3 no such name.
pub fn rcode(answer: &[u8]) -> u8 {
    answer[3] & 0x0f
}

/// How many records the answer section has.
pub fn answer_count(answer: &[u8]) -> u16 {
    u16::from_be_bytes([answer[6], answer[7]])
}

/// How long the first record of the answer section may be remembered, in seconds. `None`, if there
/// is none.
pub fn first_ttl(answer: &[u8]) -> Option<u32> {
    if answer_count(answer) == 0 {
        return None;
    }
    // After the header comes the question: its name, type and class. The record's own name may be a
    // pointer (two bytes), and its type and class are four more.
    let after = |mut at: usize| loop {
        match answer[at] {
            0 => return at + 1,
            it if 0xc0 <= it => return at + 2,
            it => at += 1 + usize::from(it),
        }
    };
    let ttl = after(after(12) + 4) + 4;
    Some(u32::from_be_bytes(answer[ttl..ttl + 4].try_into().ok()?))
}
