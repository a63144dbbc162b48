//! A client of a cluster: writes a counter of its own through any server, reads everybody's from
//! any server, and tells the oracle.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tokio::time::{Instant, sleep};
use tribune_base::rng::Rng;
use tribune_base::time::Duration;

use super::client::{self, Answer};
use super::fault::name;
use super::oracle::Oracle;
use super::trace::Trace;

/// One of several clients.
#[derive(Debug)]
pub struct Writer {
    /// Which one, and of how many.
    pub number: u64,
    /// How many there are.
    pub count: u64,
    /// How many servers there are.
    pub servers: usize,
    /// What everything random in it follows from.
    pub seed: u64,
    /// Whether nothing is wrong any more, and nothing will be.
    pub healed: Rc<Cell<bool>>,
    /// What must hold.
    pub oracle: Rc<RefCell<Oracle>>,
    /// What happened.
    pub trace: Trace,
}

impl Writer {
    /// Write and read until everything is well; then find every server serving.
    ///
    /// # Errors
    ///
    /// Some server does not serve, though nothing is wrong with it.
    pub async fn run(self) -> turmoil::Result {
        let mut rng = Rng::stream(self.seed, &self.own_name());
        let mut value = 0;
        while !self.healed.get() {
            let through = rng.below(self.servers as u64) as usize;
            value += 1;
            if let Some(index) = self.position(&mut rng).await {
                self.write(through, value, index).await;
            }
            let other = rng.below(self.count);
            let from = rng.below(self.servers as u64) as usize;
            let mode = if rng.chance(1, 2) { "consistent" } else { "" };
            self.read(from, &key(other), mode).await;
            sleep(rng.up_to(Duration::from_millis(400))).await;
        }
        for server in 0..self.servers {
            self.find_serving(server, &mut value, &mut rng).await?;
        }
        Ok(())
    }

    /// The index of this client's key, from a server that knows.
    async fn position(&self, rng: &mut Rng) -> Option<u64> {
        let from = rng.below(self.servers as u64) as usize;
        self.read(from, &key(self.number), "consistent").await.map(|(_, index)| index)
    }

    /// Write `value`, unless the key has changed since `index`: a write that was given up may still
    /// come, but not after a later one.
    async fn write(&self, through: usize, value: u64, index: u64) -> bool {
        let key = key(self.number);
        self.oracle.borrow_mut().attempt(&key, value);
        let path = format!("/v1/kv/{key}?cas={index}");
        let written = client::call(&name(through), "PUT", &path, value.to_string(), PATIENCE).await;
        let (said, ok) = match &written {
            Ok(it) => {
                (format!("{} {}", it.status, it.body.escape_ascii()), &it.body[..] == b"true")
            }
            Err(error) => (error.kind().to_string(), false),
        };
        self.note(format_args!("put {value} at {index} through {}: {said}", name(through)));
        if ok {
            self.oracle.borrow_mut().acknowledge(&key, value);
        }
        ok
    }

    /// Read a counter and its index, if the server answers. An index of zero, if there is no such
    /// key.
    async fn read(&self, from: usize, key: &str, mode: &str) -> Option<(u64, u64)> {
        let path = format!("/v1/kv/{key}?raw&{mode}");
        let floor = self.oracle.borrow().floor(key);
        let answer = client::call(&name(from), "GET", &path, "", PATIENCE).await;
        let Answer { status, index, body } = match answer {
            Ok(answer) => answer,
            Err(error) => {
                self.note(format_args!("get {key} {mode} from {}: {}", name(from), error.kind()));
                return None;
            }
        };
        let value = match status {
            200 => str::from_utf8(&body).ok()?.parse().ok()?,
            404 => 0,
            _ => {
                let text = body.escape_ascii();
                self.note(format_args!("get {key} {mode} from {}: {status} {text}", name(from)));
                return None;
            }
        };
        let index = index.unwrap_or_default();
        self.note(format_args!("get {key} {mode} from {}: {value} at {index}", name(from)));
        self.oracle.borrow_mut().read_since(key, floor, value, index);
        Some((value, if status == 404 { 0 } else { index }))
    }

    /// Wait until `server` takes a write and shows it.
    async fn find_serving(&self, server: usize, value: &mut u64, rng: &mut Rng) -> turmoil::Result {
        let deadline = Instant::now() + RECOVERY_MAX;
        while Instant::now() < deadline {
            let key = key(self.number);
            if let Some((_, index)) = self.read(server, &key, "consistent").await {
                *value += 1;
                if self.write(server, *value, index).await
                    && self.read(server, &key, "").await.is_some_and(|(it, _)| it == *value)
                {
                    return Ok(());
                }
            }
            sleep(rng.up_to(Duration::from_millis(400))).await;
        }
        Err(format!("{} does not serve {RECOVERY_MAX:?} after everything healed", name(server))
            .into())
    }

    fn note(&self, what: std::fmt::Arguments<'_>) {
        let at = turmoil::sim_elapsed().unwrap_or_default();
        self.trace.note(at, &self.own_name(), what);
    }

    fn own_name(&self) -> String {
        format!("c{}", self.number)
    }
}

fn key(number: u64) -> String {
    format!("counter/{number}")
}

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a cluster may take to serve again.
const RECOVERY_MAX: Duration = Duration::from_secs(30);
