//! Configuration files: HCL or JSON in, one value type out.

pub use serde_json::Value;

/// Which of the two languages a text is in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// HashiCorp's configuration language.
    Hcl,
    /// JSON.
    Json,
}

/// Why a text could not be read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(String);

/// Read `text`. Blocks become objects; several blocks of one name, a list of them.
///
/// # Errors
///
/// What is wrong with it, and where.
pub fn parse(text: &str, format: Format) -> Result<Value, ParseError> {
    match format {
        Format::Hcl => hcl::from_str(text).map_err(|error| ParseError(error.to_string())),
        Format::Json => serde_json::from_str(text).map_err(|error| ParseError(error.to_string())),
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
}

#[test]
fn a_mistake_is_located() {
    let error = parse("a = 1\nb = {", Format::Hcl).unwrap_err();
    assert!(error.to_string().contains("2"), "{error}");
}
