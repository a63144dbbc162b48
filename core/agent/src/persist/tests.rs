use super::*;

fn write(files: &mut Files, seq: u64, path: &str, text: &'static str) {
    files.write(ChangeSeq(seq), path.into(), Some(text.into()));
}

#[test]
fn writes_of_one_file_do_not_overtake_each_other() {
    let mut files = Files::default();
    write(&mut files, 1, "services/a", "1");
    let Some(Output::Save { seq, .. }) = files.next() else { panic!("nothing to save") };
    assert_eq!(seq, ChangeSeq(1));
    write(&mut files, 2, "services/a", "2");
    write(&mut files, 4, "services/a", "4");
    assert_eq!(files.next(), None, "one is out");
    assert!(!files.has_saved(ChangeSeq(1)));

    files.saved(ChangeSeq(1));
    assert!(files.has_saved(ChangeSeq(1)) && !files.has_saved(ChangeSeq(2)));
    let writes = vec![("services/a".to_owned(), Some("4".into()))];
    assert_eq!(files.next(), Some(Output::Save { seq: ChangeSeq(4), writes }));
    assert!(!files.has_saved(ChangeSeq(3)), "a change between two that are being written");
    files.saved(ChangeSeq(4));
    assert!(files.has_saved(ChangeSeq(4)));
    assert_eq!(files.next(), None);
}

#[test]
#[should_panic(expected = "never asked for")]
fn only_what_was_asked_for_is_confirmed() {
    Files::default().saved(ChangeSeq(1));
}

#[test]
fn every_file_is_read_as_it_was_written() {
    let definition = ServiceDefinition {
        id: "w/1".into(),
        name: "web".into(),
        port: 80,
        tags: vec!["a".into()],
        token: "secret".into(),
        ..ServiceDefinition::default()
    };
    assert_eq!(read(&service(&definition)), Ok(Record::Service(definition)));
    let definition = CheckDefinition {
        id: "c".into(),
        name: "c".into(),
        service_id: "w/1".into(),
        ttl: tribune_base::time::Duration::from_secs(90),
        token: "secret".into(),
        ..CheckDefinition::default()
    };
    assert_eq!(read(&check(&definition)), Ok(Record::Check(Box::new(definition))));
    let row = maintenance::check("web", Some("upgrade"));
    assert_eq!(read(&maintenance(&row)), Ok(Record::Maintenance(row)));
    let row =
        Check { id: "c".into(), status: Status::Warning, output: "hm".into(), ..Check::default() };
    let last = State::new(&row);
    assert_eq!(last.status(), Some(Status::Warning));
    assert_eq!(read(&state(&last)), Ok(Record::State(last)));
}

#[test]
fn files_of_other_releases() {
    let service = |text: &str| matches!(read(text.as_bytes()), Ok(Record::Service(_)));
    // Of one that knows more, and says that this does not matter.
    assert!(service(r#"{"Version":1,"Token":"","Color":"red","Service":{"Name":"a","Color":1}}"#));
    // Of one that did not number its files.
    assert!(service(r#"{"Token":"","Service":{"ID":"a","Service":"a","Name":"a"}}"#));
    let later = read(br#"{"Version":2,"Service":{"Name":"a"}}"#);
    assert_eq!(later, Err("written by a later release".into()));
    for broken in ["", "{", "[]", "{}", r#"{"CheckID":"a","Status":"zz"}"#, "\0\0"] {
        assert!(read(broken.as_bytes()).is_err(), "{broken}");
    }
}

#[test]
fn paths_are_short_and_plain_whatever_the_id() {
    for id in ["", "web", "../../etc/passwd", "ü", &"x".repeat(10_000)] {
        let path = service_path(id);
        let name = path.strip_prefix("services/").unwrap();
        assert!(name.len() == 32 && name.bytes().all(|it| it.is_ascii_hexdigit()), "{path}");
    }
    // Written into users' data directories: may never change.
    assert_eq!(service_path("web"), "services/a68da3907b8b5822836dbc7992dfec19".to_owned());
}
