//! How busy this gateway's processors are, and how long the test's own thread waits for one.

use std::time::Duration;

/// The most cores that are read: far more than any gateway has.
const CORES_MOST: usize = 64;

/// The times of one core since the boot, clock ticks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::sense) struct Core {
    /// Total time.
    pub total: u64,
    /// Time that was not idle.
    pub busy: u64,
    /// Time in hardware and software interrupts.
    pub interrupts: u64,
}

/// The processor times at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct CpuNow {
    /// Each core, in order.
    pub cores: Vec<Core>,
    /// How long this thread ran, and how long it was ready and waited for a core; `None` if the kernel does not show it.
    pub thread: Option<(Duration, Duration)>,
}

/// Reads `/proc`. What the kernel does not show is left out.
pub(super) fn read() -> CpuNow {
    CpuNow {
        cores: cores(&std::fs::read_to_string("/proc/stat").unwrap_or_default()),
        // The thread and not the process: the daemon's runtime has one thread, which does all the work of a test.
        thread: thread(&std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default()),
    }
}

/// Runs both parsers on `text` and discards the results: for tests with hostile input.
pub(in crate::sense) fn parse_and_discard(text: &str) {
    cores(text);
    all_cores(text);
    thread(text);
}

/// The times of each core: the lines `cpu0`, `cpu1`, … of `/proc/stat`.
fn cores(stat: &str) -> Vec<Core> {
    let each = stat.lines().filter(|l| l.starts_with("cpu") && !l.starts_with("cpu "));
    each.take(CORES_MOST).map(times).collect()
}

/// The times of all cores together, which `/proc/stat` begins with; `None` where it does not.
pub(in crate::sense) fn all_cores(stat: &str) -> Option<Core> {
    stat.lines().next().filter(|line| line.starts_with("cpu ")).map(times)
}

/// `cpu0 user nice system idle iowait irq softirq steal …` of proc(5).
fn times(line: &str) -> Core {
    let mut fields = [0u64; 8];
    for (field, word) in fields.iter_mut().zip(line.split_ascii_whitespace().skip(1)) {
        *field = word.parse().unwrap_or(0);
    }
    let total = fields.iter().fold(0, |sum: u64, f| sum.saturating_add(*f));
    let idle = fields[3].saturating_add(fields[4]);
    Core { total, busy: total.saturating_sub(idle), interrupts: fields[5].saturating_add(fields[6]) }
}

/// `ran waited slices`, the first two in nanoseconds.
fn thread(schedstat: &str) -> Option<(Duration, Duration)> {
    let mut words =
        schedstat.split_ascii_whitespace().map(|w| w.parse::<u64>().ok().map(Duration::from_nanos));
    Some((words.next()??, words.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_and_threads() {
        let stat = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 10 1 20 60 5 1 2 1 0 0\ncpu1 0 0 0 7\nintr 5\n";
        let seen = cores(stat);
        assert_eq!(seen[0], Core { total: 100, busy: 35, interrupts: 3 });
        assert_eq!(seen[1], Core { total: 7, busy: 0, interrupts: 0 });
        assert_eq!(seen.len(), 2);
        assert_eq!(all_cores(stat), Some(Core { total: 72, busy: 54, interrupts: 18 }));
        assert_eq!((all_cores("intr 5\n"), all_cores("")), (None, None));
        assert_eq!(thread("5000 70 3\n"), Some((Duration::from_nanos(5000), Duration::from_nanos(70))));
        assert_eq!(thread(""), None);
        assert!(!read().cores.is_empty());
    }
}
