use proptest::prelude::*;
use serde_json::json;

use super::*;

#[track_caller]
fn check(cases: &[(&str, Value)]) {
    for (text, want) in cases {
        assert_eq!(parse(text, Format::Hcl).as_ref(), Ok(want), "{text}");
    }
}

#[test]
fn both_languages_mean_the_same() {
    let hcl = r#"
        datacenter = "dub1"
        ports { http = 8501 }
        service { name = "web" }
        service { name = "db" }
    "#;
    let json = r#"{
        "datacenter": "dub1",
        "ports": { "http": 8501 },
        "service": [{ "name": "web" }, { "name": "db" }]
    }"#;
    assert_eq!(parse(hcl, Format::Hcl), parse(json, Format::Json));
    assert_eq!(parse(json, Format::Hcl), parse(json, Format::Json));
}

#[test]
fn items_need_nothing_between_them() {
    check(&[
        ("", json!({})),
        (r#"a = "/tmp/x" b = "y""#, json!({ "a": "/tmp/x", "b": "y" })),
        ("ports{grpc=-1 dns=8600}", json!({ "ports": { "grpc": -1, "dns": 8600 } })),
        ("t { a = \"x\" b = true }", json!({ "t": { "a": "x", "b": true } })),
        ("a = 1, b = 2,\nc = 3", json!({ "a": 1, "b": 2, "c": 3 })),
        ("a = 1\r\nb {\r\n}\r\n", json!({ "a": 1, "b": {} })),
        ("\u{feff}a = 1", json!({ "a": 1 })),
        (r#"ttl { "*" = "5s" "a b" = "1s" }"#, json!({ "ttl": { "*": "5s", "a b": "1s" } })),
        (r#"a.b-c_d = 1 ü = 2"#, json!({ "a.b-c_d": 1, "ü": 2 })),
        (
            r#"service { name="web" port=80 tags=["a","b",] meta { k = "v" } }"#,
            json!({ "service": { "name": "web", "port": 80, "tags": ["a", "b"], "meta": { "k": "v" } } }),
        ),
        ("# one\na = 1 // two\n/* three\n * lines */ b /**/ = 2 #", json!({ "a": 1, "b": 2 })),
    ]);
}

#[test]
fn blocks_of_one_name_join() {
    check(&[
        ("s { a = 1 } s { a = 2 }", json!({ "s": [{ "a": 1 }, { "a": 2 }] })),
        ("s { a = 1 } x = 1 s {} s {}", json!({ "s": [{ "a": 1 }, {}, {}], "x": 1 })),
        (
            r#"key_prefix "a/" { policy = "read" }"#,
            json!({ "key_prefix": { "a/": { "policy": "read" } } }),
        ),
        (
            r#"key "a" { p = 1 } key_prefix "" { p = 2 } key "b" { p = 3 }"#,
            json!({ "key": { "a": { "p": 1 }, "b": { "p": 3 } }, "key_prefix": { "": { "p": 2 } } }),
        ),
        (
            r#"key "a" { p = 1 } key "a" { p = 2 }"#,
            json!({ "key": { "a": [{ "p": 1 }, { "p": 2 }] } }),
        ),
        (
            r#"a b "c" { d = 1 } a b e { f = 2 }"#,
            json!({ "a": { "b": { "c": { "d": 1 }, "e": { "f": 2 } } } }),
        ),
        // Whoever says something else of the same name has the last word.
        ("a = 1 b = 2 a = 3", json!({ "a": 3, "b": 2 })),
        ("a = { x = 1 } a = { x = 2 }", json!({ "a": { "x": 2 } })),
        ("a = 1 a { x = 1 }", json!({ "a": { "x": 1 } })),
        ("a { x = 1 } a = 1", json!({ "a": 1 })),
        ("a { x = 1 } a b { x = 2 }", json!({ "a": { "b": { "x": 2 } } })),
        ("a b { x = 2 } a { x = 1 }", json!({ "a": { "x": 1 } })),
    ]);
}

#[test]
fn values() {
    check(&[
        ("a = true b = false c = null", json!({ "a": true, "b": false, "c": null })),
        ("a = [] b = [1, [2], {c = 3},]", json!({ "a": [], "b": [1, [2], { "c": 3 }] })),
        ("a = [ # one\n 1,\n /* two */ 2\n]", json!({ "a": [1, 2] })),
        ("a = { b = 1, \"c\" = 2 }", json!({ "a": { "b": 1, "c": 2 } })),
        (
            "a = { b : 1\n \"c\": { d { e = 2 } } }",
            json!({ "a": { "b": 1, "c": { "d": { "e": 2 } } } }),
        ),
        ("a = 0 b = -7 c = 18446744073709551615", json!({ "a": 0, "b": -7, "c": u64::MAX })),
        ("a = -9223372036854775808", json!({ "a": i64::MIN })),
        ("a = 0x1F b = -0Xff c = 0755 d = 00", json!({ "a": 31, "b": -255, "c": 493, "d": 0 })),
        ("a = 1.5 b = -0.25 c = 1e3", json!({ "a": 1.5, "b": -0.25, "c": 1000.0 })),
        ("a = 2.5E-1 b = 1e+2 c = 0.0", json!({ "a": 0.25, "b": 100.0, "c": 0.0 })),
    ]);
}

#[test]
fn strings() {
    check(&[
        (r#"a = "" b = "ü # // /* {""#, json!({ "a": "", "b": "ü # // /* {" })),
        (r#"a = "\"\\\n\r\t" b = "\u00fc\U0001F600""#, json!({ "a": "\"\\\n\r\t", "b": "ü😀" })),
        (r#"a = "$ $x ${b} $${c}""#, json!({ "a": "$ $x ${b} $${c}" })),
        (r#"a = "x${f("y", {z = "\n"})}w""#, json!({ "a": r#"x${f("y", {z = "\n"})}w"# })),
        (
            "a = <<EOF\n one \"x\"\n\n  two ${y}\nEOF\nb = 1",
            json!({ "a": " one \"x\"\n\n  two ${y}\n", "b": 1 }),
        ),
        ("a = <<EOF\nEOF", json!({ "a": "" })),
        ("a = <<EOF\r\nx\r\n EOF\r\n", json!({ "a": "x\n" })),
        ("a = <<EOF\nEOF2\nEOF", json!({ "a": "EOF2\n" })),
        // The closing mark says how far the lines are indented, unless one is less so.
        ("a = <<-EOF\n    x\n      y\n    EOF", json!({ "a": "x\n  y\n" })),
        ("a = <<-EOF\n    x\n  EOF", json!({ "a": "  x\n" })),
        ("a = <<-EOF\n  x\n y\n  EOF", json!({ "a": "  x\n y\n" })),
        ("a = [<<E\nx\nE\n, <<E\ny\nE\n]", json!({ "a": ["x\n", "y\n"] })),
    ]);
}

#[test]
fn a_mistake_is_located() {
    let number = "expected a number of at most 64 bits, found";
    let cases = [
        ("a = 1\nb = {", "line 2, column 6: expected a name or `}`, found the end of the text"),
        ("a", "line 1, column 2: expected `=` or `{`, found the end of the text"),
        ("a b = 1", "line 1, column 5: expected `{`, found `=`"),
        ("a = yes", "line 1, column 5: expected a value, found `yes`"),
        ("ü = \"ü\" @", "line 1, column 9: expected a name or the end of the text, found `@`"),
        ("a = 1 }", "line 1, column 7: expected a name or the end of the text, found `}`"),
        ("a {\r\n  1 = 2\r\n}", "line 2, column 3: expected a name or `}`, found `1`"),
        ("a = 1,, b = 2", "line 1, column 7: expected a name or the end of the text, found `,`"),
        ("a = [1 2]", "line 1, column 8: expected `,` or `]`, found `2`"),
        ("a = [,]", "line 1, column 6: expected a value, found `,`"),
        ("a = [1", "line 1, column 7: expected `,` or `]`, found the end of the text"),
        ("\n a = \"x\n\"", "line 2, column 6: expected a closing `\"` on the line of the string"),
        ("a = \"x", "line 1, column 5: expected a closing `\"` on the line of the string"),
        ("a = \"x${y {}\"", "line 1, column 7: expected a closing `}` after `${`"),
        ("a = \"\\ud800\"", "line 1, column 6: expected a character's number in 4 hex digits"),
        ("a = \"\\U+0000041\"", "line 1, column 6: expected a character's number in 8 hex digits"),
        ("a /* b", "line 1, column 3: expected `*/` after `/*`"),
        ("a = <<", "line 1, column 7: expected a word and the end of the line after `<<`"),
        ("a = <<E x\nE", "line 1, column 8: expected a word and the end of the line after `<<`"),
        ("a = <<E\nx", "line 1, column 5: expected a line `E` after this one"),
        ("a = - 1", "line 1, column 5: expected a value, found `-`"),
        ("a = 08", &format!("line 1, column 5: {number} `08`")),
        ("a = 0x", &format!("line 1, column 5: {number} `0x`")),
        ("a = 1.", &format!("line 1, column 5: {number} `1.`")),
        ("a = 1e", &format!("line 1, column 5: {number} `1e`")),
        ("a = 10s", &format!("line 1, column 5: {number} `10s`")),
        ("a = 1e999", &format!("line 1, column 5: {number} `1e999`")),
        ("a = 18446744073709551616", &format!("line 1, column 5: {number} `18446744073709551616`")),
    ];
    for (text, want) in cases {
        assert_eq!(parse(text, Format::Hcl).unwrap_err().to_string(), want, "{text}");
    }
    let error = parse("a = \"\\q\"", Format::Hcl).unwrap_err().to_string();
    assert!(error.starts_with("line 1, column 6: expected one of `\\\"`"), "{error}");
    let error = parse("{\n\"a\" 1}", Format::Hcl).unwrap_err().to_string();
    assert!(error.contains("line 2 column 5"), "{error}");
}

#[test]
fn nesting_has_a_limit() {
    let forms: [fn(usize) -> String; 4] = [
        |n| format!("a = {}{}", "[".repeat(n), "]".repeat(n)),
        |n| format!("{}{}", "a {".repeat(n), "}".repeat(n)),
        |n| format!("{}{}", "a = {".repeat(n), "}".repeat(n)),
        |n| format!("a {}{{}}", "b ".repeat(n - 1)),
    ];
    for form in forms {
        assert!(parse(&form(64), Format::Hcl).is_ok(), "{}", form(64));
        for n in [65, 100_000] {
            let error = parse(&form(n), Format::Hcl).unwrap_err().to_string();
            assert!(error.ends_with("expected at most 64 levels"), "{error}");
        }
    }
}

/// Pieces of the language, and of what is none.
const PIECES: &[&str] = &[
    "a", "b", "true", "null", "\"x\"", "\"", "\\", "\\u", "${", "$", "{", "}", "[", "]", "=", ":",
    ",", "\n", "\r\n", " ", "#", "//", "/*", "*/", "<<E\n", "<<-E\n", "\nE\n", " E", "-", "0",
    "0x", "17", "1.5", "e", "\u{feff}", "ü", "😀",
];

fn any_value() -> impl Strategy<Value = Value> {
    let text = "[ -#%-~ü\n]{0,6}";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f32>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(text, inner, 0..5)
                .prop_map(|it| it.into_iter().collect::<Value>()),
        ]
    })
}

proptest! {
    #[test]
    fn any_text_is_an_object_or_a_located_mistake(
        text in prop_oneof![
            any::<String>(),
            prop::collection::vec(prop::sample::select(PIECES), 0..40).prop_map(|it| it.concat()),
        ],
    ) {
        match parse(&text, Format::Hcl) {
            Ok(value) => prop_assert!(value.is_object()),
            Err(error) => prop_assert!(error.to_string().contains("column"), "{error}"),
        }
    }

    #[test]
    fn what_json_says_can_be_said_here(value in any_value()) {
        let text = format!("\"a\" : {value}");
        prop_assert_eq!(parse(&text, Format::Hcl), Ok(json!({ "a": value })));
    }
}
