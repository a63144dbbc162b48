//! Answers that were sent and may not have arrived.
//!
//! A connection that ends takes with it what was on it, and nobody knows what that was. Whoever asked a
//! question hears that its connection is gone, and asks again. But answers come by another connection,
//! and whoever waits for one hears nothing. So they are sent again: one that has arrived after all is
//! the answer to no question any more.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::pool::Queued;

/// What to send again if the connection is lost. What is too much is let go, oldest first.
#[derive(Debug, Default)]
pub(super) struct Unfelt {
    /// Sent since the last pulse.
    newer: VecDeque<Queued>,
    /// Sent before that.
    older: VecDeque<Queued>,
    /// The bytes of all of them.
    len: usize,
}

impl Unfelt {
    /// This is on its way.
    pub(super) fn sent(&mut self, mut message: Queued) {
        if !message.is_answer {
            return;
        }
        message.uncount();
        self.len += message.payload.len();
        self.newer.push_back(message);
        while LEN_MAX < self.len
            && let Some(gone) = self.older.pop_front().or_else(|| self.newer.pop_front())
        {
            self.len -= gone.payload.len();
        }
    }

    /// The peer says that bytes arrive. It may have said so before the newest did: those wait for the
    /// next pulse.
    pub(super) fn felt(&mut self) {
        self.len -= self.older.iter().map(|it| it.payload.len()).sum::<usize>();
        self.older = std::mem::take(&mut self.newer);
    }

    /// The connection is lost: what to send by the next one, when `waiting` has not been sent at all.
    pub(super) fn lost(&mut self, waiting: VecDeque<Queued>) -> VecDeque<Queued> {
        let Self { newer, older, .. } = std::mem::take(self);
        let now = Instant::now();
        let again = older.into_iter().chain(newer).map(|mut it| {
            // Its time on the way does not count: it is only now that it waits.
            it.since = now;
            it
        });
        again.chain(waiting).collect()
    }
}

/// What is kept of them, in bytes.
const LEN_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tribune_api::http::Response;
    use tribune_core::Wire;

    use super::*;

    fn answer(len: usize, counted: &Arc<AtomicUsize>) -> Queued {
        let response = Some(Box::new(Response::json(200, vec![b'x'; len])));
        let message = Wire::Answer { serial: 1, response };
        Queued::new(message.encode(), &message, counted)
    }

    #[test]
    fn two_pulses_let_an_answer_go() {
        let (mut unfelt, counted) = (Unfelt::default(), Arc::default());
        unfelt.sent(answer(10, &counted));
        assert_eq!(counted.load(Ordering::Relaxed), 0, "it waits for room no more");
        unfelt.felt();
        unfelt.sent(answer(20, &counted));
        unfelt.felt();
        assert_eq!(unfelt.len, unfelt.older[0].payload.len());
        let waiting = VecDeque::from([answer(30, &counted)]);
        let again = unfelt.lost(waiting);
        assert_eq!(again.len(), 2, "the second, and the one that was not sent");
        assert_eq!(unfelt.len, 0);
    }

    #[test]
    fn what_is_too_much_is_let_go() {
        let (mut unfelt, counted) = (Unfelt::default(), Arc::default());
        for _ in 0..10 {
            unfelt.sent(answer(LEN_MAX / 4, &counted));
            unfelt.felt();
            unfelt.sent(answer(LEN_MAX / 4, &counted));
            assert!(unfelt.len <= LEN_MAX);
        }
        unfelt.sent(answer(LEN_MAX, &counted));
        assert_eq!((unfelt.len, unfelt.lost(VecDeque::new()).len()), (0, 0));
    }
}
