//! Where nodes are that cannot say so themselves: what somebody else has measured and written down.
//!
//! Nobody is woken, and no index moves, when a node does: those who wait for a change of the catalog
//! wait for nodes that come and go.

use tribune_base::codec::{DecodeError, Reader, Writer};
use tribune_base::coordinate::{Coordinate, DIMENSIONS};

/// A coordinate, bit by bit: equal states must be equal bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Spot([u64; NUMBERS]);

/// Where a node is from now on. One that is not in the catalog is nowhere.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SetCoordinate {
    /// Its name.
    pub node: String,
    /// Where.
    pub spot: Spot,
}

impl From<Coordinate> for Spot {
    fn from(it: Coordinate) -> Self {
        let mut bits = [0; NUMBERS];
        let numbers = it.vec.into_iter().chain([it.error, it.adjustment, it.height]);
        bits.iter_mut().zip(numbers).for_each(|(bits, it)| *bits = it.to_bits());
        Self(bits)
    }
}

impl From<Spot> for Coordinate {
    fn from(Spot(bits): Spot) -> Self {
        let [vec @ .., error, adjustment, height] = bits.map(f64::from_bits);
        Self { vec, error, adjustment, height }
    }
}

/// Fields: 1 the node, 2 each number's bits, in the order in which the API shows them.
pub(crate) fn write(writer: &mut Writer, node: &str, Spot(bits): &Spot) {
    writer.str(1, node);
    let bytes: Vec<u8> = bits.iter().flat_map(|it| it.to_be_bytes()).collect();
    writer.bytes(2, &bytes);
}

pub(crate) fn read(mut reader: Reader) -> Result<SetCoordinate, DecodeError> {
    let (mut node, mut spot) = (String::new(), None);
    while let Some(field) = reader.field()? {
        match field.tag {
            1 => field.str()?.clone_into(&mut node),
            2 => {
                let bytes = field.bytes()?;
                let (numbers, rest) = bytes.as_chunks::<8>();
                let bits: Vec<_> = numbers.iter().map(|it| u64::from_be_bytes(*it)).collect();
                let bits = bits.try_into().ok().filter(|_| rest.is_empty());
                spot = Some(Spot(bits.ok_or_else(|| field.senseless())?));
            }
            _ => {}
        }
    }
    Ok(SetCoordinate { node, spot: spot.ok_or(DecodeError::Missing { tag: 2 })? })
}

/// The vector's, the error, the adjustment and the height.
const NUMBERS: usize = DIMENSIONS + 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Command, Deregistration, Registration};
    use crate::store::Store;

    fn coordinate(x: f64) -> Coordinate {
        let mut it = Coordinate { adjustment: -0.5, ..Coordinate::default() };
        it.vec[7] = x;
        it
    }

    fn set(node: &str, x: f64) -> Command {
        Command::SetCoordinate(SetCoordinate { node: node.into(), spot: coordinate(x).into() })
    }

    #[test]
    fn a_node_is_somewhere_for_as_long_as_it_is_there() {
        let mut store = Store::default();
        store.next(&set("n1", 1.0));
        assert_eq!(store.view().coordinates().count(), 0, "nobody is called that");
        let node =
            Registration { node: "n1".into(), address: "a".into(), ..Registration::default() };
        store.next(&Command::Register(node.clone()));
        let index = store.view().node("n1").0;
        let moved = store.next(&set("N1", 2.0));
        assert!(moved.touched.is_empty(), "{moved:?}");
        assert_eq!(store.view().node("n1").0, index);
        let all: Vec<_> = store.view().coordinates().collect();
        assert_eq!(all, [("n1", coordinate(2.0))]);

        let restored = Store::restore(store.view().records()).unwrap();
        assert_eq!(restored, store);
        let gone = Deregistration { node: "n1".into(), ..Deregistration::default() };
        store.next(&Command::Deregister(gone));
        store.next(&Command::Register(node));
        assert_eq!(store.view().coordinates().count(), 0);
    }
}
