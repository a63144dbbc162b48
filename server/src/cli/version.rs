//! `tribune version`

use clap::{Args, ValueEnum};
use serde_json::json;
use serde_json::ser::{PrettyFormatter, Serializer};

use super::terminal::{Failure, Terminal};

/// Print the version
#[derive(Args, Debug)]
pub(crate) struct Version {
    /// In which form.
    #[arg(long, default_value = "pretty", value_name = "form")]
    format: Form,
    #[arg(hide = true)]
    args: Vec<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Form {
    Pretty,
    Json,
}

impl Version {
    pub(crate) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        match self.format {
            Form::Pretty => pretty(terminal),
            Form::Json => {
                let value = json!({
                    "Version": VERSION, "Revision": "", "Prerelease": "",
                    "RPC": { "Default": 2, "Min": 2, "Max": 3 },
                });
                terminal.line(indented(&value, b"   "));
            }
        }
        Ok(())
    }
}

/// The version for people.
pub(crate) fn pretty(terminal: &mut Terminal<'_>) {
    terminal.line(format!("Tribune v{VERSION}\n{PROTOCOL}\n"));
}

/// `value` with its fields one below the other.
pub(crate) fn indented(value: &impl serde::Serialize, indent: &[u8]) -> String {
    let mut text = Vec::new();
    let mut writer = Serializer::with_formatter(&mut text, PrettyFormatter::with_indent(indent));
    value.serialize(&mut writer).expect("values are always JSON");
    String::from_utf8(text).expect("JSON is UTF-8")
}

const VERSION: &str = env!("CARGO_PKG_VERSION");
const PROTOCOL: &str = "Protocol 2 spoken by default, understands 2 to 3 (agent will automatically \
                        use protocol >2 when speaking to compatible agents)";
