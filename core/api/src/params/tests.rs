use super::*;

fn context() -> Context {
    Context::new("dc1", "n1")
}

#[test]
fn names_and_values_are_decoded() {
    let params = Params::parse("a=1&&b&c=%2F+x&c=y%&%64=z&=nameless&e=%FF");
    let cases = [
        ("a", &["1"][..]),
        ("b", &[""]),
        ("c", &["/ x", "y%"]),
        ("d", &["z"]),
        ("e", &["\u{fffd}"]),
        ("none", &[]),
    ];
    for (name, want) in cases {
        assert_eq!(params.all(name).collect::<Vec<_>>(), want, "{name}");
        assert_eq!(params.has(name), !want.is_empty(), "{name}");
    }
}

#[test]
fn freshness() {
    let secs = Duration::from_secs;
    let fresh = |consistency, max_stale| Ok(Freshness { consistency, max_stale });
    let bad = |text: &'static str| Err(Error::bad(text));
    let cases = [
        ("", fresh(Consistency::Default, None)),
        ("pretty", fresh(Consistency::Default, None)),
        ("leader", fresh(Consistency::Default, None)),
        ("stale", fresh(Consistency::Stale, None)),
        // Presence counts, not the value.
        ("stale=false", fresh(Consistency::Stale, None)),
        ("consistent", fresh(Consistency::Consistent, None)),
        ("cached", fresh(Consistency::Default, None)),
        ("max_stale=5s", fresh(Consistency::Stale, Some(secs(5)))),
        ("max_stale=0s", fresh(Consistency::Default, None)),
        ("max_stale=-1s", fresh(Consistency::Default, None)),
        ("max_stale=x", bad("Invalid max_stale value \"x\"")),
        ("stale&consistent", bad("Cannot specify ?stale with ?consistent, conflicting semantics.")),
        (
            "cached&consistent",
            bad("Cannot specify ?cached with ?consistent, conflicting semantics."),
        ),
    ];
    for (query, want) in cases {
        assert_eq!(Params::parse(query).freshness(&context(), true), want, "{query}");
    }
}

#[test]
fn only_discovery_reads_ask_the_leader_again() {
    let want = Freshness { consistency: Consistency::Stale, max_stale: None };
    assert_eq!(Params::parse("max_stale=5s").freshness(&context(), false), Ok(want));
}

#[test]
fn a_configured_staleness_is_for_discovery_reads_that_do_not_say() {
    let five = Duration::from_secs(5);
    let context = Context { discovery_max_stale: five, ..context() };
    let cases = [
        ("", true, Consistency::Stale, Some(five)),
        ("", false, Consistency::Default, None),
        ("leader", true, Consistency::Default, None),
        ("consistent", true, Consistency::Consistent, None),
        ("max_stale=1s", true, Consistency::Stale, Some(Duration::from_secs(1))),
    ];
    for (query, discovery, consistency, max_stale) in cases {
        let got = Params::parse(query).freshness(&context, discovery);
        assert_eq!(got, Ok(Freshness { consistency, max_stale }), "{query} {discovery}");
    }
}

#[test]
fn waiting() {
    let secs = Duration::from_secs;
    let cases = [
        ("", Ok((Index(0), secs(300)))),
        ("index=7", Ok((Index(7), secs(300)))),
        ("index=7&wait=10s", Ok((Index(7), secs(10)))),
        ("index=7&wait=1h", Ok((Index(7), secs(600)))),
        ("wait=0s", Ok((Index(0), secs(300)))),
        ("wait=-5s", Ok((Index(0), secs(300)))),
        ("index=&wait=", Ok((Index(0), secs(300)))),
        ("index=18446744073709551615", Ok((Index(u64::MAX), secs(300)))),
        ("index=18446744073709551616", Err(Error::bad("Invalid index"))),
        ("index=-1", Err(Error::bad("Invalid index"))),
        ("index=+1", Err(Error::bad("Invalid index"))),
        ("wait=5", Err(Error::bad("Invalid wait time"))),
        ("wait=abc", Err(Error::bad("Invalid wait time"))),
    ];
    for (query, want) in cases {
        assert_eq!(Params::parse(query).waiting(&context()), want, "{query}");
    }
}

#[test]
fn numbers_are_refused_in_the_words_of_the_original() {
    let cases = [
        ("0", Ok(0)),
        ("18446744073709551615", Ok(u64::MAX)),
        ("", Err("strconv.ParseUint: parsing \"\": invalid syntax")),
        ("-1", Err("strconv.ParseUint: parsing \"-1\": invalid syntax")),
        ("+1", Err("strconv.ParseUint: parsing \"+1\": invalid syntax")),
        (
            "18446744073709551616",
            Err("strconv.ParseUint: parsing \"18446744073709551616\": value out of range"),
        ),
    ];
    for (text, want) in cases {
        assert_eq!(parse_u64(text), want.map_err(Error::bad), "{text}");
    }
}

#[test]
fn the_default_namespace_is_the_one_there_is() {
    let refused = |query| Params::parse(query).refuse_enterprise().map_err(|it| it.to_string());
    assert_eq!(refused("ns=&partition=default"), Ok(()));
    let text = "Bad request: Invalid query parameter: \"ns\" - Namespaces are a Consul Enterprise \
                feature";
    assert_eq!(refused("ns=team"), Err(text.to_owned()));
    assert!(refused("partition=p").is_err());
}

#[test]
fn selections() {
    let params = Params::parse("node-meta=a:b:c&node-meta=bare&near=_agent");
    let want = Selection {
        afar: false,
        node_meta: vec![("a".into(), "b:c".into()), ("bare".into(), String::new())],
        near: Some("_agent".into()),
        filter: None,
    };
    assert_eq!(params.selection(Rows::Nodes), Ok(want));
}
