//! Asks again and again.

use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use serde_json::Value;
use tokio::time::sleep;

use super::form;
use super::plan::{Kind, Plan};
use super::progress::{Change, Progress};
use crate::client::{Asker, Reply};

/// Watches what a plan says, at one agent.
#[derive(Clone, Debug)]
pub(crate) struct Watcher {
    asker: Asker,
    plan: Plan,
    progress: Progress,
    /// How long to leave the agent alone first.
    pause: Duration,
}

/// What came of waiting.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// Something to tell.
    Changed(Change),
    /// The agent cannot say. The next step begins with a pause.
    Failed {
        /// Why.
        error: String,
        /// How long the pause is.
        retry: Duration,
    },
}

impl Watcher {
    /// Watch by asking `asker`, as whom the plan says if it does.
    pub(crate) fn new(mut asker: Asker, plan: Plan) -> Self {
        if !plan.token.is_empty() {
            asker.headers.retain(|it| it.0 != TOKEN);
            asker.headers.push((TOKEN, plan.token.clone()));
        }
        Self { asker, plan, progress: Progress::default(), pause: Duration::ZERO }
    }

    /// Wait for the next change, or for a failure.
    pub(crate) async fn step(&mut self) -> Step {
        sleep(std::mem::take(&mut self.pause)).await;
        loop {
            match self.ask().await {
                Ok((index, value)) => {
                    if let Some(change) = self.progress.answered(index, value) {
                        return Step::Changed(change);
                    }
                }
                Err(error) => {
                    self.pause = self.progress.failed();
                    return Step::Failed { error, retry: self.pause };
                }
            }
        }
    }

    /// What `step` failed with, as one line for people.
    pub(crate) fn complaint(&self, error: &str, retry: Duration) -> String {
        let kind = self.plan.type_name();
        let retry = tribune_base::duration::format(retry);
        format!("Watch errored: type={kind} error={error:?} retry={retry}")
    }

    /// The state after what is known, as soon as there is one.
    async fn ask(&self) -> Result<(u64, Value), String> {
        let (path, query) = self.plan.request()?;
        let known = self.progress.index();
        let index = known.map(|it| it.to_string());
        let mut query: Vec<_> = query.iter().map(|(name, it)| (*name, it.as_str())).collect();
        query.extend(index.iter().map(|it| ("index", it.as_str())));
        let reply = self.asker.request(&Method::GET, &path, &query, Bytes::new()).await;
        let reply = reply.map_err(|error| error.to_string())?;
        let index = reply.index.unwrap_or(0);
        let value = form::shape(&self.plan.kind, self.value(reply)?);
        Ok(match (&self.plan.kind, known) {
            (Kind::Event(_), Some(known)) => (index, form::events_after(known, value)),
            _ => (index, value),
        })
    }

    fn value(&self, reply: Reply) -> Result<Value, String> {
        // Only keys answer 404, which says that there are none.
        if reply.status == 404 && matches!(self.plan.kind, Kind::Key(_) | Kind::KeyPrefix(_)) {
            return Ok(Value::Null);
        }
        reply.json().map_err(|error| error.to_string())
    }
}

const TOKEN: &str = "X-Consul-Token";
