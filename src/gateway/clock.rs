//! The one clock: the only place where time enters.
//!
//! Decisions compare only [`Mono`]. It is `CLOCK_BOOTTIME` (which, other than the clock behind
//! `std::time::Instant`, also counts a suspended gateway's time) plus a base that is kept on flash, so that it goes on
//! over restarts and reboots. Civil time is only told, by [`watch`], for labels and due dates.

use linekeeper_contract::units::{Mono, Span, Wall};
use linekeeper_judge::observation::Observation;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// How often [`watch`] compares civil time with our own.
///
/// 10 s: civil time is for labels, and one look costs three system calls. Much longer, and what is stamped between
/// the setting of the clock and the look gets a label from the wrong year.
const LOOK: Duration = Duration::from_secs(10);

/// Civil time that moved less than this against our own is still the same.
///
/// 1 s: NTP slews by at most 500 ppm, so this lets a slew by in silence for half an hour at the least, and no label
/// is ever wrong by more than it.
const MOVED: u64 = 1_000;

/// What a snapshot keeps of the clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The kernel's boot id when the snapshot was made.
    pub boot_id: String,
    /// [`Clock::base`] then.
    pub base: Mono,
    /// [`Clock::now`] then.
    pub saved_at: Mono,
}

/// Our own monotonic clock. Clones are the same clock.
#[derive(Debug, Clone)]
pub struct Clock {
    base: Mono,
    boot_id: Arc<str>,
    /// By how many milliseconds the lab has let it leap.
    #[cfg(feature = "lab")]
    leapt: Arc<(std::sync::atomic::AtomicUsize, tokio::sync::Notify)>,
}

impl Clock {
    /// Goes on from what the last snapshot kept.
    ///
    /// In the boot of the snapshot, as if the process had never ended; in another one, from the moment of the snapshot
    /// plus the time since this boot; without a snapshot, from the boot.
    pub fn start(kept: Option<Kept>) -> Clock {
        // Without /proc there is no telling of boots: the empty id is never taken for the same.
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let boot_id = boot_id.trim();
        Clock {
            base: base(kept, boot_id, boottime()),
            boot_id: boot_id.into(),
            #[cfg(feature = "lab")]
            leapt: Arc::default(),
        }
    }

    /// This moment. Never runs back.
    pub fn now(&self) -> Mono {
        self.base() + boottime()
    }

    /// How long the kernel has been up, suspended time included.
    pub fn uptime(&self) -> Span {
        boottime()
    }

    /// The kernel's boot id; empty if it tells none.
    pub fn boot_id(&self) -> &str {
        &self.boot_id
    }

    /// What our clock showed when this kernel booted: for the snapshot.
    pub fn base(&self) -> Mono {
        self.base + self.leapt()
    }

    /// Lets it leap: in the lab, where nobody wants to wait hours for a schedule. Civil time leaps with it; the kernel's
    /// uptime does not.
    #[cfg(feature = "lab")]
    pub fn leap(&self, length: Span) {
        let millis = usize::try_from(length.0).unwrap_or(usize::MAX);
        self.leapt.0.fetch_add(millis, std::sync::atomic::Ordering::SeqCst);
        self.leapt.1.notify_waiters();
    }

    /// Returns when it has leapt. Outside the lab it never does.
    pub async fn leaps(&self) {
        #[cfg(feature = "lab")]
        self.leapt.1.notified().await;
        #[cfg(not(feature = "lab"))]
        std::future::pending::<()>().await;
    }

    #[cfg(feature = "lab")]
    fn leapt(&self) -> Span {
        Span(self.leapt.0.load(std::sync::atomic::Ordering::SeqCst) as u64)
    }

    #[cfg(not(feature = "lab"))]
    fn leapt(&self) -> Span {
        Span::ZERO
    }

    /// What the snapshot is to keep, as of now.
    pub fn kept(&self) -> Kept {
        Kept { boot_id: self.boot_id.to_string(), base: self.base(), saved_at: self.now() }
    }

    /// Civil time, right or wrong.
    pub fn wall(&self) -> Wall {
        #[expect(clippy::disallowed_methods, reason = "the one place where civil time enters")]
        let now = std::time::SystemTime::now();
        let millis = |d: Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
        let wall = match now.duration_since(std::time::UNIX_EPOCH) {
            Ok(after) => millis(after),
            Err(before) => -millis(before.duration()),
        };
        #[cfg(feature = "lab")]
        let wall = wall.saturating_add(pretended_ahead().unwrap_or(0));
        Wall(wall.saturating_add_unsigned(self.leapt().0))
    }

    /// Whether the kernel says that something disciplines its clock (`STA_UNSYNC` is cleared).
    ///
    /// False also where the kernel does not answer.
    pub fn synced(&self) -> bool {
        #[cfg(feature = "lab")]
        if pretended_ahead().is_some() {
            return true;
        }
        kernel_clock_status().is_some_and(|status| status & libc::STA_UNSYNC == 0)
    }

    /// Returns when `moment` has come: at once if it has passed, never early.
    pub async fn sleep_until(&self, moment: Mono) {
        // The runtime's timer stands still in suspend and rounds to its own milliseconds: it proposes, our clock decides.
        loop {
            let left = moment.since(self.now());
            if left == Span::ZERO {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(left.into()) => {}
                () = self.leaps() => {}
            }
        }
    }
}

/// Tells [`Observation::ClockSet`] at the start and whenever civil time moves against our own by more than a second or
/// begins or ceases to be disciplined. Ends when nobody listens.
pub async fn watch(clock: Clock, report: mpsc::Sender<Observation>) {
    let mut told: Option<(i64, bool)> = None;
    loop {
        let (wall, synced) = (clock.wall(), clock.synced());
        let ahead = wall.0.saturating_sub_unsigned(clock.now().0);
        if told.is_none_or(|(was, was_synced)| was_synced != synced || was.abs_diff(ahead) > MOVED) {
            told = Some((ahead, synced));
            if report.send(Observation::ClockSet { wall, synced }).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = report.closed() => return,
        }
    }
}

/// In the lab the hour of the day matters more than what it is in truth: `LINEKEEPER_LAB_WALL` (RFC 3339) is what civil time is
/// taken to have been when this process first asked, and to be trusted. How far it is ahead, milliseconds.
#[cfg(feature = "lab")]
fn pretended_ahead() -> Option<i64> {
    static AHEAD: std::sync::OnceLock<Option<i64>> = std::sync::OnceLock::new();
    *AHEAD.get_or_init(|| {
        let wanted = std::env::var("LINEKEEPER_LAB_WALL").ok()?;
        let wanted = linekeeper_contract::units::LocalTime::parse(&wanted).ok()?.wall.0;
        #[expect(clippy::disallowed_methods, reason = "what the lab pretends civil time to be is told by it")]
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?;
        wanted.checked_sub(i64::try_from(now.as_millis()).ok()?)
    })
}

/// What our clock showed, or is taken to have shown, when this kernel booted.
fn base(kept: Option<Kept>, boot_id: &str, uptime: Span) -> Mono {
    match kept {
        None => Mono(0),
        // The second condition guards against a snapshot that was copied or a container whose boot time was shifted:
        // a clock that ran back would be worse than one that jumped ahead.
        Some(kept)
            if !boot_id.is_empty() && kept.boot_id == boot_id && kept.base + uptime >= kept.saved_at =>
        {
            kept.base
        }
        Some(kept) => kept.saved_at,
    }
}

fn boottime() -> Span {
    Span(u64::try_from(since_boot().as_millis()).unwrap_or(u64::MAX))
}

/// How long the kernel has been up, suspended time included (`CLOCK_BOOTTIME`).
///
/// By libc: rustix takes `time_t` for 64 bits on 32-bit MIPS with musl, where it has 32.
pub fn since_boot() -> Duration {
    #[expect(unsafe_code, reason = "std has no CLOCK_BOOTTIME, and rustix reads it wrongly on 32-bit MIPS")]
    // SAFETY: `timespec` is a C struct of two integers, for which all zeros are valid; the call writes only into it,
    // and it lives until the call returns.
    let now = unsafe {
        let mut now: libc::timespec = std::mem::zeroed();
        // It fails for an unknown clock only, and Linux has had this one since 2.6.39: then all stays zero.
        libc::clock_gettime(libc::CLOCK_BOOTTIME, &mut now);
        now
    };
    // Since the boot, so never negative; nanoseconds are below 10^9.
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// The status word of adjtimex(2), or nothing if the kernel refuses it.
fn kernel_clock_status() -> Option<i32> {
    #[expect(unsafe_code, reason = "rustix has no adjtimex; this only reads")]
    // SAFETY: `timex` is a C struct of integers, for which all zeros are valid. With `modes` 0 the call changes
    // nothing; it writes only into the struct, which lives until it returns.
    let (answer, status) = unsafe {
        let mut asked: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&mut asked), asked.status)
    };
    (answer >= 0).then_some(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(boot_id: &str, base: u64, saved_at: u64) -> Option<Kept> {
        Some(Kept { boot_id: boot_id.into(), base: Mono(base), saved_at: Mono(saved_at) })
    }

    #[test]
    fn goes_on_exactly_within_one_boot() {
        assert_eq!(base(kept("a", 500, 1_500), "a", Span(2_000)), Mono(500));
        assert_eq!(base(None, "a", Span(2_000)), Mono(0));
    }

    #[test]
    fn never_runs_back_over_a_reboot() {
        assert_eq!(base(kept("a", 500, 90_500), "b", Span(7)), Mono(90_500));
        // No id at all: it may have been a reboot.
        assert_eq!(base(kept("", 500, 90_500), "", Span(100_000)), Mono(90_500));
        // The id is ours and yet less time has passed than had then.
        assert_eq!(base(kept("a", 500, 90_500), "a", Span(7)), Mono(90_500));
    }

    #[test]
    fn a_restart_goes_on_and_a_reboot_begins_where_the_snapshot_was() {
        let first = Clock::start(None);
        assert_eq!(first.base(), Mono(0));
        let kept = first.kept();
        let second = Clock::start(Some(kept.clone()));
        assert_eq!(second.base(), Mono(0));
        assert!(second.now() >= kept.saved_at);
        let other = Clock::start(Some(Kept { boot_id: "another".into(), ..kept.clone() }));
        assert!(other.now() >= kept.saved_at + other.uptime().min(Span::seconds(1)));
    }

    #[tokio::test]
    async fn sleeps_until_the_moment_and_not_less() {
        let clock = Clock::start(None);
        let moment = clock.now() + Span::millis(30);
        clock.sleep_until(moment).await;
        assert!(clock.now() >= moment);
        clock.sleep_until(Mono(0)).await;
    }

    #[tokio::test]
    async fn civil_time_is_told_at_the_start_and_then_only_when_it_moves() {
        let clock = Clock::start(None);
        let (report, mut told) = mpsc::channel(4);
        let task = tokio::spawn(watch(clock.clone(), report));
        match told.recv().await {
            Some(Observation::ClockSet { wall, synced }) => {
                assert!(clock.wall().0 - wall.0 < 60_000);
                assert_eq!(synced, clock.synced());
            }
            other => panic!("{other:?}"),
        }
        drop(told);
        task.await.unwrap();
    }
}
