//! How many connections one address may have.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use tokio::io::AsyncWriteExt as _;

use crate::net::Stream;

/// Counts open connections by where they come from.
#[derive(Clone, Debug)]
pub(super) struct Connections {
    max: usize,
    open: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

/// One connection's place. Given back when dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    from: IpAddr,
    open: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

impl Connections {
    /// At most `max` from one address; zero for no limit.
    pub(super) fn new(max: usize) -> Self {
        Self { max, open: Arc::default() }
    }

    /// A place for a connection from `from`, unless it has too many.
    pub(super) fn admit(&self, from: IpAddr) -> Option<Admitted> {
        let mut open = self.open.lock().expect("nobody panics while holding it");
        let count = open.entry(from).or_default();
        if self.max != 0 && self.max <= *count {
            return None;
        }
        *count += 1;
        Some(Admitted { from, open: Arc::clone(&self.open) })
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut open = self.open.lock().expect("nobody panics while holding it");
        let count = open.get_mut(&self.from).expect("an admitted connection is counted");
        *count -= 1;
        if *count == 0 {
            open.remove(&self.from);
        }
    }
}

/// Say why, and close.
pub(super) async fn refuse<S: Stream>(mut stream: S) {
    const TEXT: &str =
        "Your IP is issuing too many concurrent connections, please rate limit your calls\n";
    let answer = format!(
        "HTTP/1.1 429 Too Many Requests\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n{TEXT}",
        TEXT.len()
    );
    // The client may be gone already, which is as good.
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

#[test]
fn a_place_is_given_back() {
    let connections = Connections::new(1);
    let here: IpAddr = [127, 0, 0, 1].into();
    let there: IpAddr = [127, 0, 0, 2].into();
    let first = connections.admit(here);
    assert!(first.is_some());
    assert!(connections.admit(here).is_none());
    assert!(connections.admit(there).is_some());
    drop(first);
    assert!(connections.admit(here).is_some());
}
