//! `tribune kv import`

use clap::Args;
use serde_json::Value;
use serde_json::error::Category;
use tribune_base::json;

use super::{Entry, path};
use crate::cli::client::Client;
use crate::cli::target::Target;
use crate::cli::terminal::{Failure, Terminal};

/// Read keys in as JSON
#[derive(Args, Debug)]
pub(crate) struct Import {
    /// Put this before every key.
    #[arg(long, default_value = "", value_name = "string")]
    prefix: String,
    #[command(flatten)]
    target: Target,
    /// The data: itself, @file, or - for the standard input.
    #[arg(value_name = "DATA")]
    args: Vec<String>,
}

impl Import {
    pub(crate) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        let data = match self.args.as_slice() {
            [] => return Err(Failure::new("Error! Missing DATA argument")),
            [argument] => terminal.data(argument).map_err(|error| format!("Error! {error}"))?,
            args => {
                let count = args.len();
                return Err(Failure::new(format!("Too many arguments (expected 1, got {count})")));
            }
        };
        if data.is_empty() {
            return Err(Failure::new("Error! Empty DATA argument"));
        }
        let client = Client::new(&self.target, terminal)
            .map_err(|error| format!("Error connecting to Consul agent: {error}"))?;
        let entries = read(&data).map_err(|reason| format!("Cannot unmarshal data: {reason}"))?;
        for entry in entries {
            let key = format!("{}{}", self.prefix, entry.key);
            let value = json::base64_decode(&entry.value)
                .map_err(|error| format!("Error base 64 decoding value for key {key}: {error}"))?;
            let flags = entry.flags.to_string();
            let query: &[_] = if entry.flags == 0 { &[] } else { &[("flags", flags.as_str())] };
            let written = client.put(&path(&key), query, value).and_then(|it| it.ok());
            written
                .map_err(|error| format!("Error! Failed writing data for key {key}: {error}"))?;
            terminal.line(format!("Imported: {key}"));
        }
        Ok(())
    }
}

/// Syntax first, so that a slip of the pen is not taken for a wrong kind of value.
fn read(data: &[u8]) -> Result<Vec<Entry>, String> {
    let value: Value = serde_json::from_slice(data).map_err(|error| explain(data, &error))?;
    serde_json::from_value(value).map_err(|error| error.to_string())
}

/// What is wrong with `data`, in the words that people search for.
fn explain(data: &[u8], error: &serde_json::Error) -> String {
    let at = data.split_inclusive(|it| *it == b'\n').take(error.line().saturating_sub(1));
    let at = at.map(<[u8]>::len).sum::<usize>() + error.column().saturating_sub(1);
    let found = data.get(at).map_or(' ', |it| char::from(*it));
    let text = error.to_string();
    match error.classify() {
        Category::Eof => "unexpected end of JSON input".to_owned(),
        Category::Syntax if text.starts_with("key must be a string") => {
            format!("invalid character '{found}' looking for beginning of object key string")
        }
        Category::Syntax if text.starts_with("expected value") => {
            format!("invalid character '{found}' looking for beginning of value")
        }
        Category::Syntax | Category::Data | Category::Io => text,
    }
}

#[test]
fn mistakes_in_json_read_like_the_originals() {
    let cases = [
        ("bad", "invalid character 'b' looking for beginning of value"),
        ("[{bad", "invalid character 'b' looking for beginning of object key string"),
        ("[\n {bad", "invalid character 'b' looking for beginning of object key string"),
        ("{bad", "invalid character 'b' looking for beginning of object key string"),
        ("[", "unexpected end of JSON input"),
        ("{}", "invalid type: map, expected a sequence"),
    ];
    for (data, want) in cases {
        assert_eq!(read(data.as_bytes()).unwrap_err(), want, "{data}");
    }
}
