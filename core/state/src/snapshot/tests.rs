use bytes::Bytes;
use proptest::prelude::*;
use tribune_base::codec::Writer;

use super::*;
use crate::command::Command;
use crate::kv;
use crate::script::command;
use crate::store::Store;

fn many_keys(count: u32) -> Store {
    let mut store = Store::default();
    for n in 0..count {
        let key = Bytes::from(format!("key/{n}"));
        let value = Bytes::from(vec![n as u8; 256]);
        store.next(&Command::Kv(kv::Command::Set { key, value, flags: u64::from(n % 3) }));
    }
    store
}

proptest! {
    #[test]
    fn what_is_restored_is_what_was_kept(commands in prop::collection::vec(command(), 0..40)) {
        let mut store = Store::default();
        commands.iter().for_each(|it| _ = store.next(it));
        let mut restored = Store::restore(store.view().records()).unwrap();
        prop_assert_eq!(&restored, &store);
        prop_assert_eq!(restored.view().digest(), store.view().digest());

        // And stays the same from then on.
        for command in &commands {
            prop_assert_eq!(restored.next(command), store.next(command));
        }
        prop_assert_eq!(&restored, &store);
    }

    #[test]
    fn any_bytes_are_a_state_or_an_error(chunks: Vec<Vec<u8>>) {
        let _ = Store::restore(chunks.into_iter().map(Bytes::from));
    }

    #[test]
    fn damage_is_noticed_or_harmless(
        commands in prop::collection::vec(command(), 0..20),
        at: prop::sample::Index,
        byte: u8,
    ) {
        let mut store = Store::default();
        commands.iter().for_each(|it| _ = store.next(it));
        let mut bytes = store.view().records().flatten().collect::<Vec<u8>>();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(restored) = Store::restore([bytes.into()]) {
            prop_assert_eq!(restored.view().check_integrity(), Ok(()));
        }
    }

    #[test]
    fn a_part_is_not_a_snapshot(
        commands in prop::collection::vec(command(), 0..20),
        cut: prop::sample::Index,
    ) {
        let mut store = Store::default();
        commands.iter().for_each(|it| _ = store.next(it));
        let bytes = store.view().records().flatten().collect::<Bytes>();
        let part = bytes.slice(..cut.index(bytes.len()));
        prop_assert!(Store::restore([part]).is_err());
    }
}

#[test]
fn chunks_are_bounded_and_all_of_them_count() {
    let store = many_keys(2_000);
    let chunks = store.view().records().collect::<Vec<_>>();
    assert!(chunks.iter().all(|it| it.len() < 66 << 10));
    assert_eq!(chunks.len(), 9);
    assert_eq!(Store::restore(chunks.clone()), Ok(store));

    let mut fewer = chunks;
    fewer.remove(4);
    let error = Err(RestoreError::Inconsistent("records are missing"));
    assert_eq!(Store::restore(fewer), error);
}

#[test]
fn the_state_may_change_while_it_is_kept() {
    let mut store = many_keys(1_000);
    let before = Store::restore(store.view().records());
    let mut records = store.view().records();
    let first = records.next();
    store.next(&Command::Kv(kv::Command::DeleteTree { prefix: Bytes::new() }));
    assert_eq!(Store::restore(first.into_iter().chain(records)), before);
}

#[test]
fn the_future_says_what_may_be_skipped() {
    let with = |kind, count| {
        let mut writer = Writer::new();
        writer.nested(HEADER, |it| {
            it.u64(1, VERSION);
            it.u64(2, 7);
        });
        writer.nested(kind, |it| it.str(9, "what we cannot know"));
        writer.nested(END, |it| it.u64(1, count));
        Store::restore([writer.finish()]).map(|it| it.index().0)
    };
    assert_eq!(with(1_000 << 1 | IGNORABLE, 2), Ok(7));
    assert_eq!(with(1_000 << 1, 2), Err(RestoreError::Unknown { kind: 1_000 }));
    assert_eq!(with(KV, 3), Err(RestoreError::Inconsistent("records are missing")));
    assert_eq!(with(HEADER, 2), Err(RestoreError::Inconsistent("two headers")));
}
