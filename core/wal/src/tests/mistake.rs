//! Mistakes in the checksum, planted to see whether the tests find them.

use std::cell::Cell;

use crate::segment::{Position, SegmentId};

/// What is left out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Mistake {
    /// Nothing.
    None,
    /// Each frame is checked for itself.
    Unchained,
    /// The segment's number is not covered.
    NoSegment,
    /// A frame is believed if its length is plausible.
    LengthOnly,
}

thread_local! {
    static PLANTED: Cell<Mistake> = const { Cell::new(Mistake::None) };
}

/// Run `test` with `mistake` in every checksum of this thread.
pub(super) fn with<T>(mistake: Mistake, test: impl FnOnce() -> T) -> T {
    PLANTED.set(mistake);
    let result = test();
    PLANTED.set(Mistake::None);
    result
}

/// What the checksum gets to see.
pub(crate) fn plant(chain: u32, at: Position, bytes: &[u8]) -> (u32, Position, &[u8]) {
    let anywhere = Position { segment: SegmentId(0), ..at };
    match PLANTED.get() {
        Mistake::None => (chain, at, bytes),
        Mistake::Unchained => (0, at, bytes),
        Mistake::NoSegment => (chain, anywhere, bytes),
        Mistake::LengthOnly => (0, Position::default(), &[]),
    }
}
