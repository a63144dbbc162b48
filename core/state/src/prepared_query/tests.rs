use super::*;

fn named(id: u128, name: &str) -> PreparedQuery {
    let service = ServiceQuery { service: "web".into(), ..ServiceQuery::default() };
    PreparedQuery { id: Uuid(id), name: name.into(), service, ..PreparedQuery::default() }
}

fn template(id: u128, name: &str) -> PreparedQuery {
    let template = Template { kind: "name_prefix_match".into(), ..Template::default() };
    PreparedQuery { template, ..named(id, name) }
}

fn create(table: &mut Table, at: u64, query: PreparedQuery) -> Result<bool, String> {
    let done = table.apply(Index(at), &Command::Create(Box::new(query)));
    table.check_integrity(Index(at)).unwrap();
    done.map_err(|it| it.to_string())
}

fn update(table: &mut Table, at: u64, query: PreparedQuery) -> Result<bool, String> {
    let done = table.apply(Index(at), &Command::Update(Box::new(query)));
    table.check_integrity(Index(at)).unwrap();
    done.map_err(|it| it.to_string())
}

#[test]
fn the_most_specific_name_answers() {
    let mut table = Table::default();
    let all = [template(1, ""), template(2, "geo-"), template(3, "geo-db"), named(4, "geo-db-1")];
    for (at, query) in (1..).zip(all.into_iter().chain([named(5, "geo"), template(6, "ü")])) {
        assert_eq!(create(&mut table, at, query), Ok(true));
    }
    let cases = [
        ("geo-db-1", 4),
        ("GEO-DB-1", 4),
        ("geo-db-12", 3),
        ("geo-db", 3),
        ("geo-da", 2),
        ("geo-", 2),
        ("geo", 5),
        // It has no template, so it answers to nothing but its name.
        ("geox", 1),
        ("anything", 1),
        ("", 1),
        ("üx", 6),
        ("ý", 1),
        // An id comes first.
        ("00000000-0000-0000-0000-000000000003", 3),
        ("00000000-0000-0000-0000-000000000009", 1),
    ];
    for (name, want) in cases {
        assert_eq!(table.resolve(name).map(|it| it.id.0), Some(want), "{name}");
    }
    table.apply(Index(9), &Command::Delete(Uuid(1))).unwrap();
    assert_eq!(table.resolve("anything"), None);
    assert_eq!(table.resolve("ý"), None);
    assert_eq!(table.resolve(""), None);
}

#[test]
fn two_queries_cannot_be_asked_for_by_one_name() {
    let mut table = Table::default();
    let refused = |text: &str| Err(text.to_owned());
    assert_eq!(create(&mut table, 1, named(1, "q1")), Ok(true));
    let taken = "aliases an existing query name";
    assert_eq!(create(&mut table, 2, named(2, "Q1")), refused(&format!("name 'Q1' {taken}")));
    assert_eq!(create(&mut table, 2, template(2, "q1")), refused(&format!("name 'q1' {taken}")));
    let id = "00000000-0000-0000-0000-000000000001";
    let is_id = format!("name '{id}' aliases an existing query ID");
    assert_eq!(create(&mut table, 2, named(2, id)), refused(&is_id));
    assert_eq!(create(&mut table, 3, template(3, "")), Ok(true));
    let catch_all = "a query template with an empty name already exists";
    assert_eq!(create(&mut table, 4, template(4, "")), refused(catch_all));
    // Its own name is no obstacle, and the old one is free again.
    assert_eq!(update(&mut table, 5, named(1, "q2")), Ok(true));
    assert_eq!(create(&mut table, 6, named(6, "q1")), Ok(true));
    assert_eq!(table.newest, Index(6));
    assert_eq!(table.get(Uuid(1)).map(|it| (it.create.0, it.modify.0)), Some((1, 5)));
}

#[test]
fn what_is_not_there_cannot_be_changed_and_what_says_the_same_changes_nothing() {
    let mut table = Table::default();
    let unknown = "Cannot modify non-existent prepared query: \
                   '00000000-0000-0000-0000-000000000007'";
    assert_eq!(update(&mut table, 1, named(7, "q")), Err(unknown.to_owned()));
    assert_eq!(
        table.apply(Index(1), &Command::Delete(Uuid(7))),
        Err(QueryRefusal::Unknown(Uuid(7)))
    );
    assert_eq!(create(&mut table, 2, named(7, "q")), Ok(true));
    assert_eq!(update(&mut table, 3, named(7, "q")), Ok(false));
    assert_eq!(table.newest, Index(2));
    let bound = PreparedQuery { session: Some(SessionId(Uuid(0x2a << 64))), ..named(8, "s") };
    let invalid = "invalid session \"00000000-0000-002a-0000-000000000000\"";
    assert_eq!(create(&mut table, 4, bound), Err(invalid.to_owned()));
    assert_eq!(table.apply(Index(5), &Command::Delete(Uuid(7))), Ok(true));
    assert_eq!(table.newest, Index(5));
}
