//! Every state a crash may leave the disk in, and what recovery makes of it.
//!
//! A workload runs on a simulated device. After each thing the device is told, the crash states are
//! all combinations of what may have happened to each sector that no sync has confirmed: nothing,
//! the write, zeros, or garbage. Of each state recovery must return a whole number of batches, all
//! confirmed ones among them. Some states are cleared and read again, some crash while they are
//! being cleared, and some carry on as the next life of the log.
//!
//! `TRIBUNE_CRASH_STATES=20000000 cargo test --release -p tribune-wal crash -- --nocapture` covers
//! as many and says how fast.

use std::collections::BTreeMap;

use bytes::Bytes;
use tribune_base::rng::Rng;

use super::workload::{Disk, Habits, World, clear};
use crate::{Position, Recovered, Recovery, SegmentId, recover};

#[test]
#[allow(clippy::print_stdout, reason = "the figure is what a long run is for")]
fn crash_states_recover_what_was_confirmed() {
    let wanted = std::env::var_os("TRIBUNE_CRASH_STATES")
        .map_or(60_000, |it| it.to_str().unwrap().parse().unwrap());
    let started = cpu_minutes();
    let states = enumerate(wanted).unwrap_or_else(|wrong| panic!("{wrong}"));
    let millions = states as f64 / 1e6;
    let rate = cpu_minutes().zip(started).map(|(now, then)| millions / (now - then));
    println!("{states} crash states, {rate:.1?} million per CPU-minute");
}

/// `cargo test -p tribune-wal --features planted-bugs planted -- --nocapture` says how soon.
#[cfg(feature = "planted-bugs")]
#[test]
#[allow(clippy::print_stdout, reason = "the table is what a long run is for")]
fn planted_bugs_are_caught() {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use tribune_base::bug::{self, Bug, Standing};

    // Rot is no crash, and what is cleared after one does not come back: `faults` has these. The
    // others are mistakes of whoever writes and syncs, which `tribune-io` does.
    let elsewhere = [Bug::W03, Bug::W07, Bug::W04, Bug::W05, Bug::W16];
    let ours = |it: &&Bug| it.id().starts_with('W') && it.standing() == Standing::Planted;
    for bug in Bug::ALL.iter().filter(ours).filter(|it| !elsewhere.contains(it)) {
        let start = cpu_minutes();
        let found = catch_unwind(AssertUnwindSafe(|| bug::with(*bug, || enumerate(200_000))));
        let (id, title) = (bug.id(), bug.title());
        assert!(!matches!(found, Ok(Ok(_))), "nobody noticed {id}: {title}");
        if let Ok(Err(wrong)) = found {
            println!("{id} {wrong}");
        }
        let seconds = cpu_minutes().zip(start).map_or(0.0, |(now, then)| (now - then) * 60.0);
        println!("planted {id} | crash states | {seconds:.3}");
    }
}

/// What this thread has used, where the system says so.
fn cpu_minutes() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanos = stat.split_whitespace().next()?.parse::<f64>().ok()?;
    Some(nanos / 60e9)
}

/// Look at `wanted` crash states or a few more, and return how many; or at fewer, and return what
/// is wrong with the last.
fn enumerate(wanted: u64) -> Result<u64, String> {
    let mut count = 0;
    for seed in 0.. {
        let mut rng = Rng::new(seed);
        let world = World::new(Habits::draw(&mut rng));
        live(world, &mut rng, 3, wanted, &mut count)
            .map_err(|wrong| format!("seed {seed}, state {count}: {wrong}"))?;
        if wanted <= count {
            break;
        }
    }
    Ok(count)
}

/// Let `world` flush a few times. States that crashed in it live on `lives - 1` times.
fn live(
    mut world: World,
    rng: &mut Rng,
    lives: u32,
    wanted: u64,
    count: &mut u64,
) -> Result<(), String> {
    for _ in 0..4 + rng.below(8) {
        let mut next_lives = Vec::new();
        world.flush(rng, &mut |world, rng| {
            let crash = Crash::new(world);
            crash.all(rng, count)?;
            if 1 < lives && rng.chance(1, 6) {
                next_lives.push(crash.next_life(rng)?);
            }
            Ok::<_, String>(())
        })?;
        for next in next_lives {
            live(next, rng, lives - 1, wanted, count)?;
        }
        if wanted <= *count {
            break;
        }
    }
    Ok(())
}

/// A moment at which the power fails.
struct Crash<'a> {
    world: &'a World,
    /// The files that no unconfirmed write touches and that come before those it does.
    settled: Recovery,
    /// The files from the first touched one on, without the writes.
    base: Vec<(SegmentId, &'a [u8])>,
    /// What is not confirmed, sector by sector.
    sectors: Vec<Sector<'a>>,
}

/// The part of a write that falls into one sector.
struct Sector<'a> {
    /// Which of `base`.
    file: usize,
    offset: usize,
    bytes: &'a [u8],
}

/// What became of a sector.
#[derive(Clone, Copy)]
enum Fate {
    Old,
    New,
    Zero,
    Garbage,
}

impl<'a> Crash<'a> {
    fn new(world: &'a World) -> Self {
        let Disk { files, pending, .. } = &world.disk;
        let touched = pending.iter().map(|it| it.segment).min();
        let is_settled = |id: &SegmentId| touched.is_some_and(|it| *id < it);
        let mut settled = Recovery::default();
        for (id, bytes) in files.iter().filter(|(id, _)| is_settled(id)) {
            settled.segment(*id, &Bytes::copy_from_slice(bytes));
        }
        let base: Vec<_> = files
            .iter()
            .filter(|(id, _)| !is_settled(id))
            .map(|(id, bytes)| (*id, bytes.as_slice()))
            .collect();
        let mut sectors = Vec::new();
        for write in pending {
            let file = base.iter().position(|(id, _)| *id == write.segment).unwrap();
            let mut at = 0;
            while at < write.bytes.len() {
                let offset = write.offset + at;
                let len = (SECTOR_LEN - offset % SECTOR_LEN).min(write.bytes.len() - at);
                sectors.push(Sector { file, offset, bytes: &write.bytes[at..at + len] });
                at += len;
            }
        }
        Self { world, settled, base, sectors }
    }

    /// Check every state there is, or, if there are too many, all in which each sector is old or
    /// new, and a sample of the others.
    fn all(&self, rng: &mut Rng, count: &mut u64) -> Result<(), String> {
        if let Some(unnamed) = self.world.disk.unnamed {
            self.check(&self.image(&self.draw_fates(rng), rng, Some(unnamed)), rng, count)?;
        }
        let n = self.sectors.len() as u32;
        let (choices, n) = if n <= EXHAUSTIVE_MAX { (4_u64, n) } else { (2, n.min(10)) };
        let mut fates = vec![Fate::New; self.sectors.len()];
        for state in 0..choices.pow(n) {
            let mut digits = state;
            for fate in fates.iter_mut().take(n as usize) {
                *fate = FATES[(digits % choices) as usize];
                digits /= choices;
            }
            self.check(&self.image(&fates, rng, None), rng, count)?;
        }
        if choices == 2 {
            for _ in 0..512 {
                self.check(&self.image(&self.draw_fates(rng), rng, None), rng, count)?;
            }
        }
        Ok(())
    }

    fn draw_fates(&self, rng: &mut Rng) -> Vec<Fate> {
        self.sectors.iter().map(|_| FATES[rng.below(4) as usize]).collect()
    }

    /// The files from the first touched one on, after the crash.
    fn image(
        &self,
        fates: &[Fate],
        rng: &mut Rng,
        lost: Option<SegmentId>,
    ) -> Vec<(SegmentId, Bytes)> {
        let mut files: Vec<_> = self.base.iter().map(|(id, bytes)| (*id, bytes.to_vec())).collect();
        for (sector, fate) in self.sectors.iter().zip(fates) {
            let end = sector.offset + sector.bytes.len();
            let place = &mut files[sector.file].1[sector.offset..end];
            match fate {
                Fate::Old => (),
                Fate::New => place.copy_from_slice(sector.bytes),
                Fate::Zero => place.fill(0),
                Fate::Garbage => garble(place, sector.bytes, rng),
            }
        }
        files.retain(|(id, _)| Some(*id) != lost);
        files.into_iter().map(|(id, bytes)| (id, Bytes::from(bytes))).collect()
    }

    /// What must hold of a state, whatever became of its sectors.
    fn check(
        &self,
        image: &[(SegmentId, Bytes)],
        rng: &mut Rng,
        count: &mut u64,
    ) -> Result<(), String> {
        *count += 1;
        let recovered = self.recover(image);
        judge(self.world, &recovered)?;
        // The rest costs more, so it is done for some.
        if rng.chance(1, 16) {
            *count += 1;
            let mut files = self.files(image);
            clear(&mut files, recovered.tail.position());
            let again = recover(&as_image(&files));
            if again != (Recovered { torn: false, ..recovered.clone() }) {
                return Err(format!("cleared, it is another log: {again:?}"));
            }
        }
        if rng.chance(1, 32) {
            *count += 1;
            // Zeros may complete a frame that garbage had broken, and then more of what was never
            // confirmed comes back. The reader who saw less of it crashed before saying so.
            let files = half_cleared(self.files(image), recovered.tail.position(), rng);
            let again = recover(&as_image(&files));
            judge(self.world, &again).map_err(|wrong| format!("half cleared: {wrong}"))?;
        }
        Ok(())
    }

    fn recover(&self, image: &[(SegmentId, Bytes)]) -> Recovered {
        let mut recovery = self.settled.clone();
        for (id, bytes) in image {
            recovery.segment(*id, bytes);
        }
        recovery.finish()
    }

    /// All files, settled or not.
    fn files(&self, image: &[(SegmentId, Bytes)]) -> BTreeMap<SegmentId, Vec<u8>> {
        let first = self.base.first().map(|(id, _)| *id);
        let settled = self.world.disk.files.iter().filter(|(id, _)| Some(**id) < first);
        let mut files: BTreeMap<_, _> = settled.map(|(id, it)| (*id, it.clone())).collect();
        files.extend(image.iter().map(|(id, bytes)| (*id, bytes.to_vec())));
        files
    }

    /// One of the states, restarted.
    fn next_life(&self, rng: &mut Rng) -> Result<World, String> {
        let image = self.image(&self.draw_fates(rng), rng, None);
        let recovered = self.recover(&image);
        let moment = judge(self.world, &recovered)?;
        let mut world = self.world.clone();
        world.restart(self.files(&image), &recovered, moment);
        Ok(world)
    }
}

/// Everything confirmed, nothing that was not written, nothing in part. Returns which moment of
/// history was recovered.
fn judge(world: &World, recovered: &Recovered) -> Result<usize, String> {
    if let Some(damage) = recovered.damage {
        return Err(format!("a crash is taken for damage: {damage}"));
    }
    let end = recovered.tail.position();
    let Some(n) = world.history.iter().rposition(|it| it.end == end) else {
        return Err(format!("ends at {end}, where no batch ended"));
    };
    if n < world.confirmed {
        return Err(format!("{n} batches of {} confirmed ones", world.confirmed));
    }
    let moment = &world.history[n];
    if moment.hard_state != recovered.hard_state {
        return Err(format!("{:?} instead of {:?}", recovered.hard_state, moment.hard_state));
    }
    if world.forgotten.next() < recovered.first && moment.first < recovered.first {
        return Err(format!("begins at {} too late", recovered.first));
    }
    let next = moment.first.0 + moment.entries.len() as u64;
    let from = recovered.first.0.max(moment.first.0).min(next);
    let kept = &moment.entries[(from - moment.first.0) as usize..];
    if recovered.entries != kept || recovered.tail.next().0 != next {
        return Err(format!("{:?} instead of {kept:?}", recovered.entries));
    }
    Ok(n)
}

fn as_image(files: &BTreeMap<SegmentId, Vec<u8>>) -> Vec<(SegmentId, Bytes)> {
    files.iter().map(|(id, bytes)| (*id, Bytes::copy_from_slice(bytes))).collect()
}

/// `files` after a crash while they were being cleared.
fn half_cleared(
    mut files: BTreeMap<SegmentId, Vec<u8>>,
    end: Position,
    rng: &mut Rng,
) -> BTreeMap<SegmentId, Vec<u8>> {
    // The newest goes first: see what the reader's caller owes.
    let kept = end.segment.0 + rng.below(3);
    files.retain(|id, _| id.0 <= kept);
    if let Some(bytes) = files.get_mut(&end.segment) {
        let mut at = end.offset as usize;
        while at < bytes.len() {
            let to = ((at / SECTOR_LEN + 1) * SECTOR_LEN).min(bytes.len());
            match rng.below(3) {
                0 => bytes[at..to].fill(0),
                1 => garble(&mut bytes[at..to], &[], rng),
                _ => (),
            }
            at = to;
        }
    }
    files
}

/// A write that broke off inside the sector: part of it, or noise.
fn garble(place: &mut [u8], written: &[u8], rng: &mut Rng) {
    let noise = rng.draw();
    if noise.is_multiple_of(2) && !written.is_empty() {
        let cut = (noise >> 8) as usize % written.len();
        place[..cut].copy_from_slice(&written[..cut]);
    } else {
        for (byte, n) in place.iter_mut().zip(0..) {
            *byte = noise.rotate_left(n) as u8;
        }
    }
}

const FATES: [Fate; 4] = [Fate::Old, Fate::New, Fate::Zero, Fate::Garbage];
const SECTOR_LEN: usize = 512;
/// Up to so many sectors, all of their states are looked at.
const EXHAUSTIVE_MAX: u32 = 6;
