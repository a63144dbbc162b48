//! `tribune members`

use std::collections::BTreeMap;

use clap::Args;
use serde::Deserialize;
use tribune_base::json;

use super::client::Client;
use super::pattern;
use super::table;
use super::target::Target;
use super::terminal::{Failure, Terminal};

/// List the members of a cluster
#[derive(Args, Debug)]
pub(crate) struct Members {
    /// Show all of a member's tags.
    #[arg(long)]
    detailed: bool,
    /// Only members of this segment.
    #[arg(long, default_value = "_all", value_name = "name")]
    segment: String,
    /// Only members whose status (alive, leaving, left, failed) this expression matches.
    #[arg(long, default_value = ".*", value_name = "regexp")]
    status: String,
    /// The servers of all datacenters rather than the members of this one.
    #[arg(long)]
    wan: bool,
    #[command(flatten)]
    target: Target,
    #[arg(hide = true)]
    args: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Member {
    name: String,
    addr: String,
    port: u16,
    #[serde(default, deserialize_with = "json::null_is_empty")]
    tags: BTreeMap<String, String>,
    status: u8,
}

impl Members {
    pub(crate) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        let status = pattern::compile(&self.status)
            .map_err(|error| format!("Failed to compile status regexp: {error}"))?;
        let client = Client::new(&self.target, terminal)
            .map_err(|error| format!("Error connecting to Consul agent: {error}"))?;
        let mut query = vec![("segment", self.segment.as_str())];
        if self.wan {
            query.push(("wan", "1"));
        }
        let members = client.get("/v1/agent/members", &query).and_then(|it| it.json());
        let mut members: Vec<Member> =
            members.map_err(|error| format!("Error retrieving members: {error}"))?;
        members.retain(|it| status.is_match(it.status()));
        if members.is_empty() {
            return Err(Failure::silent(2));
        }
        members.sort_by(|a, b| (a.segment(), &a.name).cmp(&(b.segment(), &b.name)));
        let (heading, row): (&[_], fn(&Member) -> Vec<String>) = if self.detailed {
            (&["Node", "Address", "Status", "Tags"], Member::detailed)
        } else {
            (HEADING, Member::brief)
        };
        let heading = heading.iter().map(|it| (*it).to_owned()).collect();
        let rows = std::iter::once(heading).chain(members.iter().map(row));
        terminal.line(table::columns(rows));
        Ok(())
    }
}

impl Member {
    fn brief(&self) -> Vec<String> {
        let role = match self.tag("role") {
            "consul" => "server",
            "node" => "client",
            _ => "unknown",
        };
        // `1.8.7:c9322c3a` is a version and a revision.
        let build = self.tag("build").split(':').next().unwrap_or_default();
        let [address, status] = [self.address(), self.status().to_owned()];
        let rest = [role, build, self.tag("vsn"), self.tag("dc"), self.segment()];
        [self.name.clone(), address, status].into_iter().chain(rest.map(str::to_owned)).collect()
    }

    fn detailed(&self) -> Vec<String> {
        let tags: Vec<_> = self
            .tags
            .iter()
            .map(|(name, value)| match name.as_str() {
                "segment" => format!("segment={}", self.segment()),
                _ => format!("{name}={value}"),
            })
            .collect();
        vec![self.name.clone(), self.address(), self.status().to_owned(), tags.join(",")]
    }

    fn address(&self) -> String {
        if self.addr.contains(':') {
            return format!("[{}]:{}", self.addr, self.port);
        }
        format!("{}:{}", self.addr, self.port)
    }

    /// Servers are in all segments; who names none is in the default one.
    fn segment(&self) -> &str {
        match (self.tag("role"), self.tag("segment")) {
            ("consul", _) => "<all>",
            (_, "") => "<default>",
            (_, segment) => segment,
        }
    }

    fn status(&self) -> &'static str {
        match self.status {
            0 => "none",
            1 => "alive",
            2 => "leaving",
            3 => "left",
            4 => "failed",
            _ => "unknown",
        }
    }

    fn tag(&self, name: &str) -> &str {
        self.tags.get(name).map_or("", String::as_str)
    }
}

const HEADING: &[&str] =
    &["Node", "Address", "Status", "Type", "Build", "Protocol", "DC", "Segment"];
