//! The health of the gateway itself, and whether somebody is working on it.
//!
//! Memory comes from sysinfo: what is available without swapping takes several files and an estimate on older kernels. The
//! rest is a dozen short files below `/proc` and `/sys`, read here. sysinfo's features for sensors, disks and processes list
//! far more than is needed (every mount, every process with its files) and cannot read from another root in a test; those
//! for processor and load take 42 KiB on a router, most of it to parse fractions and clock rates, and panic on a load that is
//! no number.

use super::throughput::cpu::{Core, all_cores};
use crate::upgrade::{is_firmware_writer, is_package_manager};
use linekeeper_contract::units::Span;
use linekeeper_judge::check::DeviceSeen;
use linekeeper_judge::observation::Observation;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use sysinfo::System;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

/// The most sensors that are read of each class, and inputs of each sensor: the largest gateways have a dozen.
const SENSORS: usize = 32;

/// The plausible range of a temperature, thousandths of a degree Celsius. Unwired sensors show -273 °C, or 200 and more.
const PLAUSIBLE: std::ops::RangeInclusive<i32> = -40_000..=150_000;

/// The most processes that are examined. A router has about 100. A longer list is a fork bomb, and then an administrator's
/// session cannot be recognised anyway.
const PROCESSES: usize = 8_192;

/// Where the kernel's pseudo file systems are mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    /// `/proc`
    pub proc: PathBuf,
    /// `/sys`
    pub sys: PathBuf,
}

impl Default for Roots {
    fn default() -> Roots {
        Roots { proc: "/proc".into(), sys: "/sys".into() }
    }
}

/// Starts reading. Reports [`Observation::DeviceSeen`] and, when it changes, [`Observation::HandsOffSeen`], at once and
/// then after each `every`. `store` is a path on the flash whose free space is reported. Ends when the receiver is gone.
pub fn spawn(every: Span, store: PathBuf, roots: Roots, report: mpsc::Sender<Observation>) {
    tokio::spawn(run(every, Reader::new(roots, store), report));
}

async fn run(every: Span, mut reader: Reader, report: mpsc::Sender<Observation>) {
    let mut tick = tokio::time::interval(Duration::from(every));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = None;
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = report.closed() => return,
        }
        let why = hands_off_reason_in(&reader.roots);
        // Always reported at the start: somebody may have left while the daemon was not running.
        if told.as_ref() != Some(&why) {
            told = Some(why.clone());
            if report.send(Observation::HandsOffSeen { why }).await.is_err() {
                return;
            }
        }
        if report.send(Observation::DeviceSeen(reader.read())).await.is_err() {
            return;
        }
    }
}

/// Reads the gateway's health.
#[derive(Debug)]
pub struct Reader {
    roots: Roots,
    store: PathBuf,
    system: System,
    /// The processors' times at the reading before.
    previous: Option<Core>,
}

impl Reader {
    /// One that has read nothing yet.
    pub fn new(roots: Roots, store: PathBuf) -> Reader {
        Reader { roots, store, system: System::new(), previous: None }
    }

    /// A reading. The processor's share is that since the one before; it is absent in the first, and where no clock tick
    /// (10 ms) passed between two.
    pub fn read(&mut self) -> DeviceSeen {
        self.system.refresh_memory();
        DeviceSeen {
            cpu: self.processor_use(),
            load: fs::read_to_string(self.roots.proc.join("loadavg")).ok().and_then(|text| load(&text)),
            memory_free: permille(self.system.available_memory(), self.system.total_memory()),
            flash_free: flash_free(&self.store),
            temperature: hottest(&self.roots.sys),
            conntrack: conntrack(&self.roots.proc),
        }
    }

    /// How busy all cores were since the reading before, permille.
    fn processor_use(&mut self) -> Option<u16> {
        let now = all_cores(&fs::read_to_string(self.roots.proc.join("stat")).ok()?)?;
        let before = self.previous.replace(now)?;
        permille(now.busy.saturating_sub(before.busy), now.total.saturating_sub(before.total))
    }
}

/// The load of the last minute, thousandths of a process: the first word of `/proc/loadavg`, which has two decimals.
fn load(loadavg: &str) -> Option<u32> {
    let (whole, hundredths) = loadavg.split_ascii_whitespace().next()?.split_once('.')?;
    let number =
        |digits: &str| digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<u32>().ok())?;
    let hundredths = number(hundredths).filter(|_| hundredths.len() == 2)?;
    number(whole)?.checked_mul(1_000)?.checked_add(hundredths * 10)
}

/// `part` in thousandths of `whole`; `None` if `whole` is 0.
fn permille(part: u64, whole: u64) -> Option<u16> {
    let share = u128::from(part) * 1_000 / (whole > 0).then_some(u128::from(whole))?;
    u16::try_from(share.min(1_000)).ok()
}

/// Free space, permille, of the file system of `store` or of its nearest existing parent directory.
fn flash_free(store: &Path) -> Option<u16> {
    let told = store.ancestors().find_map(|path| rustix::fs::statvfs(path).ok())?;
    permille(told.f_bavail, told.f_blocks)
}

fn read_number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn conntrack(proc: &Path) -> Option<u16> {
    let netfilter = proc.join("sys/net/netfilter");
    permille(
        read_number(&netfilter.join("nf_conntrack_count"))?,
        read_number(&netfilter.join("nf_conntrack_max"))?,
    )
}

/// The highest temperature of all thermal zones and hardware monitors, thousandths of a degree Celsius.
fn hottest(sys: &Path) -> Option<i32> {
    let zones = entries(&sys.join("class/thermal"), "thermal_zone").map(|zone| zone.join("temp"));
    let monitors = entries(&sys.join("class/hwmon"), "hwmon");
    let inputs = monitors.flat_map(|monitor| entries(&monitor, "temp")).filter(|path| is_value(path));
    zones
        .chain(inputs)
        .filter_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok())
        .filter(|temperature| PLAUSIBLE.contains(temperature))
        .max()
}

/// Whether the file holds a current value and not a limit or a label.
fn is_value(path: &Path) -> bool {
    path.to_string_lossy().ends_with("_input")
}

fn entries(directory: &Path, begin: &str) -> impl Iterator<Item = PathBuf> + use<> {
    let begin = begin.to_owned();
    fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter(move |entry| entry.file_name().to_string_lossy().starts_with(&begin))
        .take(SENSORS)
        .map(|entry| entry.path())
}

/// Why nothing may be done to this gateway right now, read from /proc at this moment; to be called right before a reboot.
///
/// - An upgrade: `sysupgrade` is running (or `upgraded`, once that has ended everything else), or a package manager.
/// - An administrator: a child process of an SSH server that is not one of the server's own. A mere connection, as every
///   scanner makes, has none. A shell on a serial console and a session in LuCI are not detected.
///
/// In a process namespace of its own (procd's jail) the daemon sees no other process, and this is always `None`.
pub async fn hands_off_reason() -> Option<String> {
    hands_off_reason_in(&Roots::default())
}

/// The same as [`hands_off_reason`], read from `roots`.
pub fn hands_off_reason_in(roots: &Roots) -> Option<String> {
    let processes = processes(&roots.proc);
    for process in processes.values() {
        if is_firmware_writer(&process.name) {
            return Some("a firmware upgrade is running".into());
        }
        if is_package_manager(&process.name) {
            return Some(format!("packages are being installed ({})", process.name));
        }
    }
    let server = |name: &str| matches!(name, "dropbear" | "sshd" | "sshd-session" | "sshd-auth");
    let session = processes.values().find(|process| {
        let parent = processes.get(&process.parent);
        !server(&process.name) && parent.is_some_and(|parent| server(&parent.name))
    })?;
    Some(format!("an administrator is logged in (by SSH, in {})", session.name))
}

struct Process {
    name: String,
    parent: u32,
}

fn processes(proc: &Path) -> BTreeMap<u32, Process> {
    fs::read_dir(proc)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.parse().ok()?;
            // The process may have ended meanwhile.
            let stat = fs::read(entry.path().join("stat")).ok()?;
            Some((number, parse_stat(&String::from_utf8_lossy(&stat))?))
        })
        .take(PROCESSES)
        .collect()
}

/// Parses `/proc/N/stat`: `N (name) S parent …`. The name may contain anything, also parentheses.
fn parse_stat(stat: &str) -> Option<Process> {
    let (begin, rest) = stat.rsplit_once(')')?;
    let (_, name) = begin.split_once('(')?;
    let name = name.chars().filter(|c| !c.is_control()).collect();
    Some(Process { name, parent: rest.split_whitespace().nth(1)?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fake(tempfile::TempDir);

    impl Fake {
        fn new() -> Fake {
            Fake(tempfile::tempdir().unwrap())
        }

        fn roots(&self) -> Roots {
            Roots { proc: self.0.path().join("proc"), sys: self.0.path().join("sys") }
        }

        fn with(self, file: &str, text: &str) -> Fake {
            let path = self.0.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
            self
        }

        fn process(self, number: u32, name: &str, parent: u32) -> Fake {
            self.with(&format!("proc/{number}/stat"), &format!("{number} ({name}) S {parent} 1 1 0 -1\n"))
        }
    }

    #[test]
    fn hottest_plausible_sensor_counts() {
        let fake = Fake::new()
            .with("sys/class/thermal/thermal_zone0/temp", "61500\n")
            .with("sys/class/thermal/thermal_zone1/temp", "-274000\n")
            .with("sys/class/thermal/cooling_device0/temp", "99000\n")
            .with("sys/class/hwmon/hwmon0/temp1_input", "72250\n")
            .with("sys/class/hwmon/hwmon0/temp1_crit", "110000\n")
            .with("sys/class/hwmon/hwmon0/temp2_input", "no\n");
        assert_eq!(hottest(&fake.roots().sys), Some(72_250));
        assert_eq!(hottest(&Fake::new().roots().sys), None);
    }

    #[test]
    fn conntrack_use_is_read_if_present() {
        let fake = Fake::new()
            .with("proc/sys/net/netfilter/nf_conntrack_count", "15360\n")
            .with("proc/sys/net/netfilter/nf_conntrack_max", "16384\n");
        assert_eq!(conntrack(&fake.roots().proc), Some(937));
        assert_eq!(conntrack(&Fake::new().roots().proc), None);
    }

    #[test]
    fn reading_of_this_machine_is_plausible() {
        let room = tempfile::tempdir().unwrap();
        let mut reader = Reader::new(Roots::default(), room.path().join("not/there/yet"));
        let first = reader.read();
        assert_eq!(first.cpu, None, "since when?");
        assert!(first.memory_free.is_some_and(|share| (1..=1_000).contains(&share)), "{first:?}");
        assert!(first.flash_free.is_some() && first.load.is_some(), "{first:?}");
        assert_eq!(
            (permille(1, 0), permille(3, 2), permille(u64::MAX, u64::MAX)),
            (None, Some(1_000), Some(1_000))
        );
    }

    #[test]
    fn processor_use_is_that_since_the_previous_reading() {
        let mut reader = Reader::new(Fake::new().roots(), PathBuf::from("/"));
        let mut read_with = |stat: &str| {
            let fake = Fake::new().with("proc/stat", stat);
            reader.roots = fake.roots();
            reader.read().cpu
        };
        assert_eq!(read_with("cpu  100 0 0 900 0 0 0 0 0 0\ncpu0 1 1 1 1\n"), None);
        assert_eq!(read_with("cpu  130 5 5 920 20 10 5 5 0 0\n"), Some(600));
        assert_eq!(read_with("cpu  130 5 5 920 20 10 5 5 0 0\n"), None, "no tick passed");
        assert_eq!(read_with("intr 5\n"), None);
        assert_eq!(read_with("cpu  131 5 5 920 20 10 5 5 0 0\n"), Some(1_000));
        // The kernel may take back time that it counted as waiting for a disk.
        assert_eq!(read_with("cpu  132 5 5 930 0 10 5 5 0 0\n"), None);
        assert_eq!(read_with("cpu  133 5 5 939 0 10 5 5 0 0\n"), Some(100));
    }

    #[test]
    fn load_is_read_as_the_kernel_writes_it() {
        assert_eq!(load("0.42 0.30 0.11 1/120 4711\n"), Some(420));
        assert_eq!(load("12.05 0.30 0.11 1/120 4711\n"), Some(12_050));
        for bad in ["", "x", "1", "1.5 2", "-1.00", "1.+5", "4294967.30 1"] {
            assert_eq!(load(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn upgrade_and_ssh_session_are_detected() {
        let idle = || Fake::new().process(1, "procd", 0).process(700, "dropbear", 1).process(900, "a) (b", 1);
        let why = |fake: &Fake| hands_off_reason_in(&fake.roots());
        assert_eq!(why(&idle()), None);
        assert_eq!(why(&Fake::new()), None);
        // A scanner that has not logged in.
        assert_eq!(why(&idle().process(701, "dropbear", 700)), None);
        let session = idle().process(701, "dropbear", 700).process(702, "ash", 701);
        assert_eq!(why(&session).as_deref(), Some("an administrator is logged in (by SSH, in ash)"));
        let openssh = idle().process(800, "sshd", 1).process(801, "sshd-session", 800);
        assert_eq!(why(&openssh), None);
        assert!(why(&openssh.process(802, "sftp-server", 801)).is_some());
        // Its server was ended meanwhile; or there is none but inetd.
        let orphan = Fake::new().process(701, "dropbear", 1).process(702, "ash", 701);
        assert!(why(&orphan).is_some());
        let inetd = Fake::new().process(50, "inetd", 1).process(701, "dropbear", 50).process(702, "ash", 701);
        assert!(why(&inetd).is_some());
        let upgrade = session.process(710, "sysupgrade", 702);
        assert_eq!(why(&upgrade).as_deref(), Some("a firmware upgrade is running"));
        assert!(why(&idle().process(5, "opkg", 1)).unwrap().contains("opkg"));
        // Cut off, as a process that ends between two reads is.
        assert_eq!(why(&idle().with("proc/33/stat", "33 (sysupgr").with("proc/34/stat", "")), None);
    }

    #[tokio::test]
    async fn absence_of_anyone_is_reported_at_the_start() {
        let fake = Fake::new();
        let (report, mut told) = mpsc::channel(8);
        spawn(Span::seconds(60), fake.0.path().to_owned(), fake.roots(), report);
        assert_eq!(told.recv().await, Some(Observation::HandsOffSeen { why: None }));
    }

    #[tokio::test]
    async fn health_is_reported_at_once_and_each_interval() {
        let fake = Fake::new().process(701, "dropbear", 1).process(702, "ash", 701);
        let (report, mut told) = mpsc::channel(8);
        spawn(Span::millis(20), fake.0.path().to_owned(), fake.roots(), report);
        assert!(matches!(told.recv().await, Some(Observation::HandsOffSeen { why: Some(_) })));
        assert!(matches!(told.recv().await, Some(Observation::DeviceSeen(_))));
        fs::remove_dir_all(fake.0.path().join("proc/702")).unwrap();
        loop {
            match told.recv().await {
                Some(Observation::HandsOffSeen { why }) => {
                    assert_eq!(why, None);
                    break;
                }
                Some(Observation::DeviceSeen(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}
