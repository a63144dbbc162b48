//! Snapshots on their way to another server, or from one: pieces, read and written in order.

use std::io;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tracing::error;
use tribune_base::id::{LogId, ServerId};
use tribune_core::Input;
use tribune_raft::SnapshotMeta;

use super::{SAVE_RETRY, Storage};
use crate::handle::ToNode;

/// What is to be done with a snapshot.
#[derive(Debug)]
pub(super) enum Chore {
    /// Read a piece, for a peer.
    Read { to: ServerId, last: LogId, offset: u64, len: u64 },
    /// Write a piece from the leader.
    Write { last: LogId, offset: u64, data: Bytes },
    /// All pieces are written.
    Install(SnapshotMeta),
}

/// A task that does one chore after the other, where waiting for a disk hurts nobody. How many wait
/// is bounded by the windows of consensus.
#[derive(Debug)]
pub(super) struct Snapshots(mpsc::UnboundedSender<Chore>);

impl Snapshots {
    /// Start the task in `edge`. What it has done, it says to `node`.
    pub(super) fn start<S: Storage>(
        storage: S,
        edge: &Handle,
        node: mpsc::UnboundedSender<ToNode>,
    ) -> Self {
        let (chores, mut queue) = mpsc::unbounded_channel();
        edge.spawn(async move {
            while let Some(chore) = queue.recv().await {
                let done = perform(&storage, chore).await;
                if node.send(ToNode::Report(done)).is_err() {
                    return;
                }
            }
        });
        Self(chores)
    }

    /// Do `chore` after those before it.
    pub(super) fn add(&self, chore: Chore) {
        // The task ends only with the process.
        let _ = self.0.send(chore);
    }
}

async fn perform<S: Storage>(storage: &S, chore: Chore) -> Input {
    match chore {
        Chore::Read { to, last, offset, len } => {
            let piece = storage.read_snapshot(last, offset, len).await;
            let piece = piece.unwrap_or_else(|error| {
                error!(%error, "a snapshot for another server cannot be read");
                None
            });
            Input::SnapshotRead { to, last, offset, piece }
        }
        Chore::Write { last, offset, data } => {
            let end = offset + data.len() as u64;
            while let Err(error) = storage.write_snapshot_piece(last, offset, data.clone()).await {
                // The end of the file is not where it was: that shows when it is installed.
                if error.kind() == io::ErrorKind::InvalidData {
                    break;
                }
                error!(%error, "a snapshot from the leader cannot be written; trying again");
                tokio::time::sleep(SAVE_RETRY).await;
            }
            Input::SnapshotWritten { last, end }
        }
        Chore::Install(meta) => loop {
            let last = meta.last;
            match storage.install_snapshot(meta.clone()).await {
                Ok(store) => break Input::SnapshotInstalled { last, store: Box::new(store) },
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    error!(%error, "a snapshot from the leader is damaged; it has to come again");
                    break Input::SnapshotDamaged { last };
                }
                Err(error) => {
                    error!(%error, "a snapshot from the leader cannot be kept; trying again");
                    tokio::time::sleep(SAVE_RETRY).await;
                }
            }
        },
    }
}
