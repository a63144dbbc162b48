use proptest::prelude::*;
use tribune_base::codec::Writer;

use super::*;
use crate::script::command;

proptest! {
    #[test]
    fn bytes_are_the_command(command in command()) {
        prop_assert_eq!(Command::decode(command.encode()), Ok(command));
    }

    #[test]
    fn any_bytes_are_a_command_or_an_error(bytes: Vec<u8>) {
        let _ = Command::decode(bytes.into());
    }

    #[test]
    fn damage_is_an_error_or_another_command(
        command in command(), at: prop::sample::Index, byte: u8,
    ) {
        let mut bytes = command.encode().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(command) = Command::decode(bytes.into()) {
            prop_assert_eq!(Command::decode(command.encode()), Ok(command));
        }
    }
}

#[test]
fn the_future_says_what_may_be_ignored() {
    let from_the_future = |ignorable| {
        let mut writer = Writer::new();
        writer.u64(1, 1_000);
        writer.bool(2, ignorable);
        writer.nested(3, |it| it.str(1, "what we cannot know"));
        writer.str(77, "not even that there is such a field");
        Command::decode(writer.finish())
    };
    assert_eq!(from_the_future(true), Ok(Command::Ignored));
    assert_eq!(from_the_future(false), Err(DecodeError::Unknown { kind: 1_000 }));
}

#[test]
fn batches_do_not_nest() {
    let mut writer = Writer::new();
    writer.u64(1, 33);
    writer.nested(3, |it| {
        it.nested(1, |it| {
            it.u64(1, 33);
            it.nested(3, |it| it.nested(1, |_| {}));
        });
    });
    assert!(matches!(Command::decode(writer.finish()), Err(DecodeError::Malformed(_))));
}
