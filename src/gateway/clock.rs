//! The one clock: the only place where time enters the program.
//!
//! Decisions compare only [`Mono`]: `CLOCK_BOOTTIME` plus a base that is stored on flash, so that it continues across
//! restarts and reboots. Unlike the clock behind `std::time::Instant`, `CLOCK_BOOTTIME` also counts the time a gateway is
//! suspended. Wall time is an observation, sent by [`watch`], and is used for labels and due dates only.

use linekeeper_contract::units::{Mono, Span, Wall};
use linekeeper_judge::observation::Observation;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// How often [`watch`] compares wall time with the monotonic clock.
///
/// 10 s: wall time is for labels, and one comparison costs three system calls. With a much longer interval, messages
/// stamped between the setting of the clock and the comparison would carry a label from the wrong year.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// Wall time counts as unchanged while it has moved less than this against the monotonic clock, milliseconds.
///
/// 1 s: NTP slews by at most 500 ppm, so a slew goes unreported for at least half an hour, and no label is ever wrong by
/// more than 1 s.
const MOVED_AT_LEAST_MS: u64 = 1_000;

/// Where the hotplug script of OpenWrt's ntpd leaves its mark: an environment variable, and the path without it. The folder is
/// on a file system in memory, so that the mark is of this boot.
const NTP_SEEN: (&str, &str) = ("LINEKEEPER_NTP_SEEN", "/var/run/linekeeper-clock/set");

/// The part of the clock that a snapshot stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockSnapshot {
    /// The kernel's boot id when the snapshot was made.
    pub boot_id: String,
    /// [`Clock::base`] at that moment.
    pub base: Mono,
    /// [`Clock::now`] at that moment.
    pub saved_at: Mono,
}

/// The monotonic clock of this installation. All clones show the same time.
#[derive(Debug, Clone)]
pub struct Clock {
    base: Mono,
    boot_id: Arc<str>,
    /// The clock was seen to be set in this boot.
    was_set: Arc<AtomicBool>,
    /// Exists once NTP has set the clock or found it right.
    ntp_seen: Arc<Path>,
    /// How far the lab has advanced the clock, milliseconds, and who waits for that.
    #[cfg(feature = "lab")]
    advance: Arc<(std::sync::atomic::AtomicUsize, tokio::sync::Notify)>,
}

impl Clock {
    /// Continues from the last snapshot.
    ///
    /// In the same boot, the clock continues as if the process had never ended. In another boot, it continues from the
    /// moment of the snapshot plus the time since this boot. Without a snapshot, it counts from this boot.
    pub fn start(snapshot: Option<ClockSnapshot>) -> Clock {
        // Without /proc, boots cannot be told apart: an empty id never matches.
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let boot_id = boot_id.trim();
        Clock {
            base: base_for_boot(snapshot, boot_id, boottime_span()),
            boot_id: boot_id.into(),
            was_set: Arc::default(),
            ntp_seen: std::env::var_os(NTP_SEEN.0).map_or(NTP_SEEN.1.into(), PathBuf::from).into(),
            #[cfg(feature = "lab")]
            advance: Arc::default(),
        }
    }

    /// The present moment. Never runs backwards.
    pub fn now(&self) -> Mono {
        self.base() + boottime_span()
    }

    /// How long the kernel has been up, suspended time included.
    pub fn uptime(&self) -> Span {
        boottime_span()
    }

    /// The kernel's boot id; empty if /proc does not show one.
    pub fn boot_id(&self) -> &str {
        &self.boot_id
    }

    /// What this clock showed when this kernel booted: for the snapshot.
    pub fn base(&self) -> Mono {
        self.base + self.advance_total()
    }

    /// Advances the clock, in the lab, where nobody wants to wait hours for a schedule. Wall time advances with it; the
    /// kernel's uptime does not.
    #[cfg(feature = "lab")]
    pub fn advance(&self, length: Span) {
        let millis = usize::try_from(length.0).unwrap_or(usize::MAX);
        self.advance.0.fetch_add(millis, std::sync::atomic::Ordering::SeqCst);
        self.advance.1.notify_waiters();
    }

    /// Returns when the lab has advanced the clock. Outside the lab it never returns.
    pub async fn advanced(&self) {
        #[cfg(feature = "lab")]
        self.advance.1.notified().await;
        #[cfg(not(feature = "lab"))]
        std::future::pending::<()>().await;
    }

    #[cfg(feature = "lab")]
    fn advance_total(&self) -> Span {
        Span(self.advance.0.load(std::sync::atomic::Ordering::SeqCst) as u64)
    }

    #[cfg(not(feature = "lab"))]
    fn advance_total(&self) -> Span {
        Span::ZERO
    }

    /// What a snapshot taken now has to store.
    pub fn snapshot(&self) -> ClockSnapshot {
        ClockSnapshot { boot_id: self.boot_id.to_string(), base: self.base(), saved_at: self.now() }
    }

    /// Wall time as this machine has it, set or not.
    pub fn wall(&self) -> Wall {
        #[expect(clippy::disallowed_methods, reason = "the one place where wall time enters")]
        let now = std::time::SystemTime::now();
        let millis = |d: Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
        let wall = match now.duration_since(std::time::UNIX_EPOCH) {
            Ok(after) => millis(after),
            Err(before) => -millis(before.duration()),
        };
        #[cfg(feature = "lab")]
        let wall = wall.saturating_add(lab_wall_ahead().unwrap_or(0));
        Wall(wall.saturating_add_unsigned(self.advance_total().0))
    }

    /// Whether wall time is set: NTP said so in this boot, or the kernel has reported its clock as synchronised
    /// (`STA_UNSYNC` cleared) since this process began.
    ///
    /// Either is remembered. busybox's ntpd clears the flag for 0.7 s every 32 s only, and a clock that was set once stays right
    /// to seconds for weeks without NTP. False if the kernel does not answer and no NTP reported.
    pub fn synced(&self) -> bool {
        #[cfg(feature = "lab")]
        if lab_wall_ahead().is_some() {
            return true;
        }
        if !self.was_set.load(Ordering::Relaxed)
            && (kernel_clock_status().is_some_and(|status| status & libc::STA_UNSYNC == 0)
                || self.ntp_seen.exists())
        {
            self.was_set.store(true, Ordering::Relaxed);
        }
        self.was_set.load(Ordering::Relaxed)
    }

    /// Returns at `moment`: at once if it has passed, never early.
    pub async fn sleep_until(&self, moment: Mono) {
        // The runtime's timer stops in suspend and rounds to its own milliseconds, so our clock is asked again when it fires.
        loop {
            let left = moment.since(self.now());
            if left == Span::ZERO {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(left.into()) => {}
                () = self.advanced() => {}
            }
        }
    }
}

/// Reports [`Observation::ClockSet`] at the start, whenever wall time moves by more than a second against the monotonic
/// clock, and whenever it becomes synchronised or stops being so. Ends when the receiver is gone.
pub async fn watch(clock: Clock, report: mpsc::Sender<Observation>) {
    let mut last_reported: Option<(i64, bool)> = None;
    loop {
        let (wall, synced) = (clock.wall(), clock.synced());
        let ahead = wall.0.saturating_sub_unsigned(clock.now().0);
        if last_reported
            .is_none_or(|(was, was_synced)| was_synced != synced || was.abs_diff(ahead) > MOVED_AT_LEAST_MS)
        {
            last_reported = Some((ahead, synced));
            if report.send(Observation::ClockSet { wall, synced }).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(CHECK_INTERVAL) => {}
            () = report.closed() => return,
        }
    }
}

/// How far the lab's wall time is ahead of the real one, milliseconds; `None` outside a lab that sets it.
///
/// Lab stories depend on the hour of the day. `LINEKEEPER_LAB_WALL` (RFC 3339) is the wall time at this process's first
/// call, and counts as synchronised.
#[cfg(feature = "lab")]
fn lab_wall_ahead() -> Option<i64> {
    static AHEAD: std::sync::OnceLock<Option<i64>> = std::sync::OnceLock::new();
    *AHEAD.get_or_init(|| {
        let wanted = std::env::var("LINEKEEPER_LAB_WALL").ok()?;
        let wanted = linekeeper_contract::units::LocalTime::parse(&wanted).ok()?.wall.0;
        #[expect(clippy::disallowed_methods, reason = "the lab's wall time is relative to the real one")]
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?;
        wanted.checked_sub(i64::try_from(now.as_millis()).ok()?)
    })
}

/// The clock's value at the boot of this kernel, for a snapshot taken in this or another boot.
fn base_for_boot(snapshot: Option<ClockSnapshot>, boot_id: &str, uptime: Span) -> Mono {
    match snapshot {
        None => Mono(0),
        // The last condition guards against a copied snapshot and a container with a shifted boot time: a clock that
        // runs backwards is worse than one that jumps ahead.
        Some(snapshot)
            if !boot_id.is_empty()
                && snapshot.boot_id == boot_id
                && snapshot.base + uptime >= snapshot.saved_at =>
        {
            snapshot.base
        }
        Some(snapshot) => snapshot.saved_at,
    }
}

fn boottime_span() -> Span {
    Span(u64::try_from(since_boot().as_millis()).unwrap_or(u64::MAX))
}

/// How long the kernel has been up, suspended time included (`CLOCK_BOOTTIME`).
///
/// Uses libc: rustix assumes a 64-bit `time_t` on 32-bit MIPS with musl, where it has 32 bits.
pub fn since_boot() -> Duration {
    #[expect(unsafe_code, reason = "std has no CLOCK_BOOTTIME, and rustix reads it wrongly on 32-bit MIPS")]
    // SAFETY: `timespec` is a C struct of two integers, for which all zeros are valid; the call writes only into it,
    // and it lives until the call returns.
    let now = unsafe {
        let mut now: libc::timespec = std::mem::zeroed();
        // It fails only for an unknown clock, and Linux has had this one since 2.6.39. On failure the result stays zero.
        libc::clock_gettime(libc::CLOCK_BOOTTIME, &mut now);
        now
    };
    // Time since the boot is never negative, and nanoseconds are below 10^9.
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// The status word of adjtimex(2); `None` if the kernel refuses the call.
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

    fn snapshot(boot_id: &str, base: u64, saved_at: u64) -> Option<ClockSnapshot> {
        Some(ClockSnapshot { boot_id: boot_id.into(), base: Mono(base), saved_at: Mono(saved_at) })
    }

    #[test]
    fn clock_continues_within_one_boot() {
        assert_eq!(base_for_boot(snapshot("a", 500, 1_500), "a", Span(2_000)), Mono(500));
        assert_eq!(base_for_boot(None, "a", Span(2_000)), Mono(0));
    }

    #[test]
    fn clock_never_runs_backwards_over_a_reboot() {
        assert_eq!(base_for_boot(snapshot("a", 500, 90_500), "b", Span(7)), Mono(90_500));
        // No id at all: it may have been a reboot.
        assert_eq!(base_for_boot(snapshot("", 500, 90_500), "", Span(100_000)), Mono(90_500));
        // The id is ours and yet less time has passed than had then.
        assert_eq!(base_for_boot(snapshot("a", 500, 90_500), "a", Span(7)), Mono(90_500));
    }

    #[test]
    fn restart_continues_and_reboot_starts_at_the_snapshot() {
        let first = Clock::start(None);
        assert_eq!(first.base(), Mono(0));
        let snapshot = first.snapshot();
        let second = Clock::start(Some(snapshot.clone()));
        assert_eq!(second.base(), Mono(0));
        assert!(second.now() >= snapshot.saved_at);
        let other = Clock::start(Some(ClockSnapshot { boot_id: "another".into(), ..snapshot.clone() }));
        assert!(other.now() >= snapshot.saved_at + other.uptime().min(Span::seconds(1)));
    }

    #[test]
    fn clock_counts_as_set_once_ntp_has_said_so() {
        let room = tempfile::tempdir().unwrap();
        let mark = room.path().join("set");
        let clock = Clock { ntp_seen: mark.as_path().into(), ..Clock::start(None) };
        let by_kernel = kernel_clock_status().is_some_and(|status| status & libc::STA_UNSYNC == 0);
        assert_eq!(clock.synced(), by_kernel);
        std::fs::write(&mark, "").unwrap();
        assert!(clock.synced());
        std::fs::remove_file(&mark).unwrap();
        assert!(clock.clone().synced(), "it is remembered");
    }

    #[tokio::test]
    async fn sleep_until_never_returns_early() {
        let clock = Clock::start(None);
        let moment = clock.now() + Span::millis(30);
        clock.sleep_until(moment).await;
        assert!(clock.now() >= moment);
        clock.sleep_until(Mono(0)).await;
    }

    #[tokio::test]
    async fn wall_time_is_reported_at_the_start_and_when_it_moves() {
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
