//! LV, liveness: once everything is put right, somebody leads, writes are committed, and all servers
//! agree, each within its bound (`reliability`, section 3.2).

use tribune_base::time::Duration;

use crate::moment::Moment;

/// How a cluster recovers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Liveness {
    /// When everything was put right.
    pub healed: Option<Moment>,
    /// Whether anybody writes since.
    pub probed: bool,
    /// Since when somebody leads; once all writes are acknowledged, since when somebody did.
    pub led: Option<Moment>,
    /// Writes acknowledged since.
    pub acknowledged: u64,
    /// When all of them were.
    pub served: Option<Moment>,
    /// When all servers agreed.
    pub agreed: Option<Moment>,
    /// When the catalog said of all agents what is true.
    pub mended: Option<Moment>,
}

/// Writes that are to be acknowledged after everything is put right.
pub const WRITES: u64 = 20;

impl Liveness {
    /// Whether everything has come true.
    pub(crate) const fn is_over(&self) -> bool {
        self.agreed.is_some() && self.mended.is_some()
    }

    /// Which bound is passed at `now`, if any. `patience` is the longest a server waits for a leader.
    pub fn overdue(&self, now: Moment, patience: Duration) -> Option<(&'static str, &'static str)> {
        let healed = self.healed?;
        match (self.led, self.served) {
            (None, _) if healed + patience * 10 < now => Some(("LV-1", "nobody leads")),
            (Some(led), None) if led + SERVE_MAX < now => Some(("LV-2", "writes get nowhere")),
            (_, Some(served)) if self.agreed.is_none() && served + AGREE_MAX < now => {
                Some(("LV-3", "the servers do not agree, or somebody still waits"))
            }
            _ => None,
        }
    }

    /// Whether the catalog should be right by now: it has had the time for the pool to notice who is
    /// there, and for agents that compare so often to have done it.
    pub fn is_late(&self, now: Moment, (interval, retry): (Duration, Duration)) -> bool {
        let patience = DETECT_MAX.max(SYNC_MAX + (interval + retry) * 2);
        self.mended.is_none() && self.served.is_some_and(|it| it + patience < now)
    }
}

/// How long it takes a small pool to notice who has failed, and who is back.
const DETECT_MAX: Duration = Duration::from_secs(90);

/// How long an exchange with the catalog may take, and what follows it.
const SYNC_MAX: Duration = Duration::from_secs(40);

/// How long twenty writes may take.
const SERVE_MAX: Duration = Duration::from_secs(10);

/// How long the last server may take to catch up, and the last question to be answered.
const AGREE_MAX: Duration = Duration::from_secs(40);

#[test]
fn each_bound_is_noticed() {
    let at = |secs| Moment::default() + Duration::from_secs(secs);
    let patience = Duration::from_secs(2);
    let healed = Liveness { healed: Some(at(10)), ..Liveness::default() };
    let led = Liveness { led: Some(at(11)), ..healed };
    let served = Liveness { served: Some(at(12)), ..led };
    let agreed = Liveness { agreed: Some(at(13)), ..served };
    let id = |it: Liveness, now| it.overdue(at(now), patience).map(|it| it.0);
    assert_eq!(id(Liveness::default(), 999), None);
    assert_eq!([id(healed, 30), id(healed, 31)], [None, Some("LV-1")]);
    assert_eq!([id(led, 21), id(led, 22)], [None, Some("LV-2")]);
    assert_eq!([id(served, 52), id(served, 53)], [None, Some("LV-3")]);
    assert_eq!(id(agreed, 999), None);
}
