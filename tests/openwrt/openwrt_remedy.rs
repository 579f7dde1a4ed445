//! Remedies on OpenWrt against a netifd written for the tests (`tests/openwrt/netifd`), whose answers are the real one's.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a trial that cannot go on fails by it"
)]

use crate::common::trial::{Test, play};
use crate::common::{messages, repository_path, repository_text};
use linekeeper::act::remedy::openwrt::OpenWrt;
use linekeeper::netifd::{self, Netifd as Asked};
use linekeeper::sense::interface::{self, Named};
use linekeeper_contract::message::Message;
use linekeeper_contract::units::Span;
use linekeeper_contract::vocabulary::Rung;
use linekeeper_judge::action::Repair;
use linekeeper_judge::config::OpenWrtDriver;
use linekeeper_judge::observation::{Interface, Observation, Part, RemedyId, RemedyResult};
use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Tells the second process where its netifd is.
const NETIFD: &str = "LINEKEEPER_OPENWRT_TEST_NETIFD";

/// The part of a process that repairs, and is killed at it.
pub const VICTIM: &str = "openwrt-victim";

pub fn tests() -> Vec<Test> {
    vec![
        Test::here("netifd_states_are_distinguished", every_state),
        Test::here("restart_takes_the_interface_down_and_up", restart),
        Test::here("restart_is_refused_where_it_cannot_help", not_restarted),
        Test::here("interface_taken_down_by_an_administrator_stays_down", taken_down),
        Test::here("each_netifd_change_is_reported_once", told),
        Test::here("dead_event_listener_is_restarted", deaf),
        Test::here("missing_configured_interface_falls_back_to_the_default_route", absent),
        Test::here("missing_ubus_is_reported_once_and_retried", no_ubus),
        Test::here("renew_needs_a_lease", renew),
        Test::here("interface_is_found_by_name_device_or_route", found),
        Test::here("hanging_netifd_costs_at_most_the_limit", hangs),
        Test::here("make_safe_waits_for_netifd_to_return", make_safe),
        Test::here("reboot_is_refused_only_while_flash_is_written", reboot),
        Test::here("modem_power_is_cut_by_the_configured_command", power_modem),
        Test::here("dropped_restart_leaves_the_wan_up", dropped),
        Test::here("killed_process_never_leaves_the_wan_down", deaths),
        Test::here("killed_process_leaves_no_listener", no_listener_is_left),
        Test::here("listener_is_started_again_for_another_bus", another_bus),
    ]
}

/// The part of a process that listens to netifd.
pub const LISTENING: &str = "listening";

/// It.
pub fn listen_until_killed() -> ExitCode {
    let Some(folder) = std::env::var_os(NETIFD) else { return ExitCode::FAILURE };
    let asked = Asked::with_program(&Path::new(&folder).join("ubus"));
    wait(async {
        let (report, mut told) = tokio::sync::mpsc::channel(64);
        let _named = interface::spawn(asked, Some("wan".into()), None, report);
        while told.recv().await.is_some() {}
    });
    ExitCode::SUCCESS
}

/// The second process.
pub fn repair_until_killed() -> ExitCode {
    let Some(folder) = std::env::var_os(NETIFD) else { return ExitCode::FAILURE };
    repair(&driver(Path::new(&folder), None, "eth1"), Rung::RestartInterface, 60);
    ExitCode::SUCCESS
}

struct Netifd(tempfile::TempDir);

impl Netifd {
    fn new(line: &str) -> Netifd {
        let netifd = Netifd(tempfile::tempdir().unwrap());
        netifd.is(line);
        netifd.takes("0");
        let folder = netifd.0.path();
        fs::create_dir(folder.join("proc")).unwrap();
        let script = format!(
            "#!/bin/sh\nexec {} {} \"$@\"\n",
            repository_path("tests/openwrt/netifd").display(),
            folder.display()
        );
        fs::write(folder.join("ubus"), script).unwrap();
        fs::set_permissions(folder.join("ubus"), fs::Permissions::from_mode(0o755)).unwrap();
        netifd
    }

    fn is(&self, line: &str) {
        fs::write(self.0.path().join("line.new"), line).unwrap();
        fs::rename(self.0.path().join("line.new"), self.0.path().join("line")).unwrap();
    }

    /// How many seconds `down` takes after its effect.
    fn takes(&self, seconds: &str) {
        fs::write(self.0.path().join("slow"), seconds).unwrap();
    }

    fn driver(&self) -> OpenWrt {
        driver(self.0.path(), None, "eth1")
    }

    fn is_down(&self) -> bool {
        self.0.path().join("down").exists()
    }

    /// What was asked beside status and list.
    fn asked(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.0.path().join("calls")).unwrap_or_default();
        let asked = calls.lines().filter(|l| !l.ends_with("status") && !l.starts_with("list"));
        asked.map(|l| l.replace("call network.interface.", "")).collect()
    }
}

fn driver(folder: &Path, interface: Option<&str>, device: &str) -> OpenWrt {
    let how = OpenWrtDriver { interface: interface.map(str::to_owned), ..OpenWrtDriver::default() };
    OpenWrt::new(&how, device).with(&folder.join("ubus"), &folder.join("proc"))
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn order(rung: Rung, seconds: u64) -> Repair {
    let Message::Event(event) = messages::event(1, "boot-1", 1_000, 0).message else { panic!("no event") };
    let incident = Box::new(event.incident);
    Repair {
        remedy: RemedyId(1),
        rung,
        incident: Some(incident),
        limit: Span::seconds(seconds),
        resolver: None,
    }
}

fn repair(driver: &OpenWrt, rung: Rung, seconds: u64) -> (RemedyResult, String) {
    wait(driver.repair(&order(rung, seconds)))
}

#[track_caller]
fn says(said: &(RemedyResult, String), result: RemedyResult, words: &str) {
    assert!(said.0 == result && said.1.contains(words), "wanted {result:?} with {words:?}, got {said:?}");
}

/// Waits for a condition; a machine that takes longer than a minute has other troubles.
#[track_caller]
fn until(mut holds: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("that did not come");
}

fn every_state() {
    let refused = Interface::Refused("INVALID_ADDRESS".into());
    for (sample, state) in [
        ("dhcp-up", Interface::Up),
        ("static-up", Interface::Up),
        // "Up" all the same: that the line is dead only the probes see.
        ("up-but-blackholed", Interface::Up),
        ("static-no-carrier", Interface::Up),
        ("pending-dhcp", Interface::Pending),
        ("dhcp-no-server", Interface::Pending),
        ("lease-expired", Interface::Pending),
        ("no-carrier", Interface::Waiting),
        ("down", Interface::TakenDown),
        ("auto0", Interface::TakenDown),
        ("error-no-device", Interface::NoDevice),
        ("error-unknown-proto", Interface::NoProtocol),
        ("error-invalid-address", refused),
    ] {
        let text = repository_text(&format!("tests/openwrt/samples/wan-{sample}.json"));
        assert_eq!(netifd::interface_state(&serde_json::from_str(&text).unwrap()), state, "{sample}");
    }
    // netifd's answer to a question it does not understand, or another program's.
    for text in ["{}", "[]", "null", "{\"up\":\"yes\"}"] {
        assert_ne!(netifd::interface_state(&serde_json::from_str(text).unwrap()), Interface::Up, "{text}");
    }
}

fn restart() {
    for (line, after) in [
        ("dhcp-up", "it is up"),
        ("up-but-blackholed", "it is up"),
        ("static-no-carrier", "it is up"),
        // A wedged client gets its answer after it.
        ("pending-dhcp", "it is up"),
        ("dhcp-no-server", "it waits for an answer"),
        ("no-carrier", "it is down and waits for its carrier"),
    ] {
        let netifd = Netifd::new(line);
        let said = repair(&netifd.driver(), Rung::RestartInterface, 60);
        says(&said, RemedyResult::Done, &format!("took wan down and up: {after}"));
        assert_eq!(netifd.asked(), ["wan down", "wan up", "wan up"], "{line}");
        assert!(!netifd.is_down());
    }
}

fn not_restarted() {
    for (line, why) in [
        ("error-no-device", "wan has no device: a restart does not change that"),
        ("error-unknown-proto", "install the package"),
        ("error-invalid-address", "netifd refuses (INVALID_ADDRESS)"),
        ("gone", "disabled, or netifd does not run"),
        ("denied", "ACL"),
    ] {
        let netifd = Netifd::new(line);
        says(&repair(&netifd.driver(), Rung::RestartInterface, 60), RemedyResult::Failed, why);
        assert_eq!(netifd.asked(), [""; 0], "{line}");
    }
    // No ubus at all: another system.
    let nowhere = driver(Path::new("/nowhere"), None, "eth1");
    says(&repair(&nowhere, Rung::RestartInterface, 60), RemedyResult::Failed, "cannot run /nowhere/ubus");
}

fn taken_down() {
    let netifd = Netifd::new("dhcp-up");
    fs::write(netifd.0.path().join("down"), "").unwrap();
    let said = repair(&netifd.driver(), Rung::RestartInterface, 60);
    says(&said, RemedyResult::Failed, "wan was taken down by somebody: it is left so");
    assert_eq!(netifd.asked(), [""; 0]);
    assert!(netifd.is_down());
    // After a death of our own in the middle it is taken up: then it was us.
    assert_eq!(wait(netifd.driver().make_safe(Rung::RestartInterface)), "wan is up");
    assert!(!netifd.is_down());
}

/// Watches an interface of `netifd`'s while `during` does things to it.
fn watches<T>(netifd: &Netifd, interface: Option<&str>, during: impl AsyncFnOnce(&mut Watched) -> T) -> T {
    let asked = Asked::with_program(&netifd.0.path().join("ubus"));
    wait(async {
        let (report, told) = tokio::sync::mpsc::channel(64);
        let named = interface::spawn(asked, interface.map(str::to_owned), None, report);
        during(&mut Watched { told, named }).await
    })
}

struct Watched {
    told: tokio::sync::mpsc::Receiver<Observation>,
    named: tokio::sync::watch::Receiver<Named>,
}

impl Watched {
    async fn next(&mut self) -> Observation {
        let limit = Duration::from_secs(60);
        tokio::time::timeout(limit, self.told.recv()).await.expect("nothing is told").expect("it has ended")
    }

    async fn sees(&mut self, name: &str, state: Interface) {
        assert_eq!(self.next().await, Observation::InterfaceSeen { name: name.into(), is: state });
    }
}

impl Netifd {
    /// netifd says that something happened.
    fn event(&self) {
        use std::io::Write as _;
        let file = fs::File::options().append(true).create(true).open(self.0.path().join("events"));
        let line = "{ \"network.interface\": {\"action\":\"ifdown\",\"interface\":\"wan\"} }\n";
        file.unwrap().write_all(line.as_bytes()).unwrap();
    }

    fn listener(&self) -> Option<Pid> {
        Pid::from_raw(fs::read_to_string(self.0.path().join("listener")).ok()?.trim().parse().ok()?)
    }
}

/// Every row of the table, one after the other, each by an event or by asking again.
fn told() {
    let netifd = Netifd::new("dhcp-up");
    watches(&netifd, Some("wan"), async |watched| {
        watched.sees("wan", Interface::Up).await;
        let devices = watched.named.borrow().clone();
        let interface = Some("wan".into());
        assert_eq!(devices, Named { interface, device: Some("eth1".into()), port: None });
        for (line, state) in [
            ("dhcp-no-server", Interface::Pending),
            ("no-carrier", Interface::Waiting),
            ("error-no-device", Interface::NoDevice),
            ("error-unknown-proto", Interface::NoProtocol),
            ("error-invalid-address", Interface::Refused("INVALID_ADDRESS".into())),
            ("auto0", Interface::TakenDown),
            // What is dead behind an interface that is up, netifd does not know.
            ("static-no-carrier", Interface::Up),
        ] {
            netifd.is(line);
            netifd.event();
            watched.sees("wan", state).await;
        }
        netifd.is("up-but-blackholed");
        netifd.event();
        fs::write(netifd.0.path().join("down"), "").unwrap();
        netifd.event();
        watched.sees("wan", Interface::TakenDown).await;
        // Taken up again, and waiting: of that there is no event.
        netifd.is("dhcp-no-server");
        fs::remove_file(netifd.0.path().join("down")).unwrap();
        watched.sees("wan", Interface::Pending).await;
        // netifd dies and comes back.
        netifd.is("gone");
        watched.sees("wan", Interface::Gone).await;
        netifd.is("dhcp-up");
        loop {
            match watched.next().await {
                Observation::InterfaceSeen { is, .. } => break assert_eq!(is, Interface::Up),
                Observation::PartSeen { part: Part::Interface, .. } => {}
                other => panic!("{other:?}"),
            }
        }
        let listens = fs::read_to_string(netifd.0.path().join("listens")).unwrap();
        assert_eq!(listens, "listen network.interface ubus.object.add ubus.object.remove\n", "one child");
    });
}

fn deaf() {
    let netifd = Netifd::new("dhcp-up");
    watches(&netifd, None, async |watched| {
        watched.sees("wan", Interface::Up).await;
        for line in ["no-carrier", "dhcp-up", "no-carrier"] {
            let old = loop {
                match netifd.listener() {
                    Some(pid) => break pid,
                    None => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            };
            let _ = kill_process(old, Signal::KILL);
            netifd.is(line);
            let state = if line == "dhcp-up" { Interface::Up } else { Interface::Waiting };
            watched.sees("wan", state).await;
            while netifd.listener().is_none_or(|new| new == old) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    });
}

fn absent() {
    let netifd = Netifd::new("dhcp-up");
    watches(&netifd, Some("wwan"), async |watched| {
        watched.sees("wan", Interface::Up).await;
        assert_eq!(watched.named.borrow().device.as_deref(), Some("eth1"));
    });
    // Disabled in the configuration, the object is gone.
    let netifd = Netifd::new("disabled");
    watches(&netifd, Some("wan"), async |watched| watched.sees("wan", Interface::Gone).await);
}

fn no_ubus() {
    let netifd = Netifd::new("dhcp-up");
    fs::rename(netifd.0.path().join("ubus"), netifd.0.path().join("away")).unwrap();
    watches(&netifd, Some("wan"), async |watched| {
        watched.sees("wan", Interface::Gone).await;
        let Observation::PartSeen { part: Part::Interface, trouble: Some(words) } = watched.next().await
        else {
            panic!("that is not told")
        };
        assert!(words.contains("cannot run"), "{words}");
        fs::rename(netifd.0.path().join("away"), netifd.0.path().join("ubus")).unwrap();
        let back = watched.next().await;
        assert_eq!(back, Observation::PartSeen { part: Part::Interface, trouble: None });
        watched.sees("wan", Interface::Up).await;
    });
}

fn renew() {
    for (line, result, words) in [
        ("dhcp-up", RemedyResult::Done, "asked netifd to renew wan (dhcp)"),
        ("pending-dhcp", RemedyResult::Done, "asked netifd to renew wan (dhcp)"),
        ("static-up", RemedyResult::Unsupported, "fixed address"),
        ("no-carrier", RemedyResult::Failed, "waits for its carrier: there is nothing to renew"),
        ("error-unknown-proto", RemedyResult::Failed, "no handler"),
        ("gone", RemedyResult::Failed, "netifd does not run"),
    ] {
        let netifd = Netifd::new(line);
        says(&repair(&netifd.driver(), Rung::Renew, 60), result, words);
        let asked = netifd.asked();
        assert_eq!(asked == ["wan renew"], result == RemedyResult::Done, "{line}: {asked:?}");
    }
}

fn found() {
    let netifd = Netifd::new("dhcp-up");
    let folder = netifd.0.path();
    for (interface, device, name) in [
        (Some("lan"), "eth1", "lan"),
        // A name that netifd does not know: the device tells, and of two on it the one for IPv4.
        (Some("wwan"), "eth1", "wan"),
        (None, "eth1", "wan"),
        (None, "br-lan", "lan"),
        // A device that nobody has, or none: the default route tells.
        (None, "ppp0", "wan"),
        (None, "", "wan"),
    ] {
        let said = repair(&driver(folder, interface, device), Rung::Renew, 60);
        assert!(said.1.contains(name), "{interface:?} {device}: {said:?}");
    }
    // None of these: what OpenWrt calls it by default.
    netifd.is("pending-dhcp");
    says(&repair(&driver(folder, None, "ppp0"), Rung::Renew, 60), RemedyResult::Done, "renew wan");
    netifd.is("no-wan");
    let said = repair(&driver(folder, Some("wwan"), "ppp0"), Rung::Renew, 60);
    says(&said, RemedyResult::Failed, "has no interface wwan, knows none with the device ppp0");
    assert!(said.1.contains("line.interface"), "{said:?}");
}

fn hangs() {
    let netifd = Netifd::new("hangs");
    says(&repair(&netifd.driver(), Rung::RestartInterface, 1), RemedyResult::Overran, "1 s");
    says(&repair(&netifd.driver(), Rung::Renew, 1), RemedyResult::Overran, "took longer than 1 s");
    assert!(!netifd.is_down());
    // `down` never comes back, and yet `up` is sent.
    netifd.is("dhcp-up");
    netifd.takes("600");
    let said = repair(&netifd.driver(), Rung::RestartInterface, 1);
    says(&said, RemedyResult::Overran, "took longer than 1 s; wan is up");
    assert!(!netifd.is_down());
}

fn make_safe() {
    let netifd = Netifd::new("dhcp-up");
    fs::write(netifd.0.path().join("down"), "").unwrap();
    assert_eq!(wait(netifd.driver().make_safe(Rung::RestartInterface)), "wan is up");
    assert!(!netifd.is_down());
    // Where nothing is broken nothing changes.
    assert_eq!(wait(netifd.driver().make_safe(Rung::Renew)), "wan is up");
    assert!(wait(netifd.driver().make_safe(Rung::PowerModem)).contains("whether the modem has power"));
    // netifd has just died; it comes back after it was asked in vain.
    fs::write(netifd.0.path().join("down"), "").unwrap();
    netifd.is("gone");
    let calls = netifd.0.path().join("calls");
    fs::remove_file(&calls).unwrap();
    std::thread::scope(|scope| {
        let safe = scope.spawn(|| wait(netifd.driver().make_safe(Rung::RestartInterface)));
        until(|| calls.exists());
        netifd.is("dhcp-up");
        assert_eq!(safe.join().unwrap(), "wan is up");
    });
    assert!(!netifd.is_down());
}

fn reboot() {
    let netifd = Netifd::new("dhcp-up");
    let process = |id: &str, words: &str| {
        let folder = netifd.0.path().join("proc").join(id);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("cmdline"), words).unwrap();
        folder
    };
    process("1", "/sbin/procd\0");
    process("self", "sysupgrade\0");
    process("77", "");
    process("78", "vi\0/root/notes\0sysupgrade\0");
    for (words, name) in [
        ("/bin/sh\0/sbin/sysupgrade\0-n\0/tmp/x.bin\0", "sysupgrade"),
        ("/sbin/upgraded\0", "upgraded"),
        ("opkg\0install\0x\0", "opkg"),
        ("/usr/bin/apk\0add\0x\0", "apk"),
    ] {
        let folder = process("99", words);
        let said = repair(&netifd.driver(), Rung::Reboot, 60);
        says(&said, RemedyResult::Failed, &format!("{name} is at work (process 99): not rebooted"));
        assert_eq!(netifd.asked(), [""; 0]);
        fs::remove_dir_all(folder).unwrap();
    }
    says(&repair(&netifd.driver(), Rung::Reboot, 60), RemedyResult::Done, "asked procd to reboot");
    assert_eq!(netifd.asked(), ["call system reboot"]);
}

fn power_modem() {
    let netifd = Netifd::new("dhcp-up");
    let said = repair(&netifd.driver(), Rung::PowerModem, 60);
    says(&said, RemedyResult::Unsupported, "remedies.power_modem is not configured");
    let with = |words: &[&str]| {
        let power_modem = words.iter().map(|w| (*w).to_owned()).collect();
        OpenWrt::new(&OpenWrtDriver { power_modem, ..OpenWrtDriver::default() }, "eth1")
    };
    let said = repair(&with(&["echo", "cut", "{device}"]), Rung::PowerModem, 60);
    says(&said, RemedyResult::Done, "echo: cut eth1");
    says(&repair(&with(&["sh", "-c", "exit 3"]), Rung::PowerModem, 60), RemedyResult::Failed, "exit code 3");
    let said = repair(&with(&["sleep", "600"]), Rung::PowerModem, 1);
    says(&said, RemedyResult::Overran, "was killed");
    assert!(said.1.ends_with("whether the modem has power cannot be seen from here"), "{said:?}");
    // The package's own is asked to return the power where it was killed, and at the next start.
    let room = netifd.0.path().join("linekeeper");
    fs::create_dir(&room).unwrap();
    let ours = room.join("modem-power");
    let script = format!(
        "#!/bin/sh\ncase $1 in make-safe) echo \"$* has power\" ;; kill) kill -9 $$ ;; *) sleep 600 ;; esac\necho >>{}/ran\n",
        room.display()
    );
    fs::write(&ours, script).unwrap();
    fs::set_permissions(&ours, fs::Permissions::from_mode(0o755)).unwrap();
    let ours = ours.to_str().unwrap();
    for (switch, result) in [("modem", RemedyResult::Overran), ("kill", RemedyResult::Failed)] {
        let said = repair(&with(&[ours, switch]), Rung::PowerModem, 1);
        says(&said, result, &format!("; make-safe {switch} has power"));
    }
    // Before anything is asked of netifd, which may be away for long.
    netifd.is("dhcp-up");
    let driver = OpenWrt::new(
        &OpenWrtDriver { power_modem: vec![ours.into(), "{device}".into()], ..OpenWrtDriver::default() },
        "eth1",
    )
    .with(&netifd.0.path().join("ubus"), Path::new("/proc"));
    assert_eq!(wait(driver.make_safe(Rung::PowerModem)), "wan is up; make-safe eth1 has power");
    fs::remove_file(room.join("ran")).unwrap();
    assert_eq!(wait(driver.make_safe(Rung::RestartInterface)), "wan is up");
    assert!(!room.join("ran").exists());
}

/// The daemon ends: its task is dropped while `down` is in course.
fn dropped() {
    let netifd = Netifd::new("dhcp-up");
    netifd.takes("600");
    let driver = netifd.driver();
    wait(async {
        let order = order(Rung::RestartInterface, 60);
        tokio::select! {
            said = driver.repair(&order) => panic!("it came to an end: {said:?}"),
            () = async {
                while !netifd.is_down() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            } => {}
        }
    });
    until(|| !netifd.is_down());
}

fn kill_hard(pid: u32) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    let _ = kill_process(pid, Signal::KILL);
}

/// SIGKILL at points all over the time between `down` and `up`: alone, where the helper goes on by itself, and together
/// with the helper (a power cut without netifd's new beginning, the worst there is), where the next life mends it.
/// ubusd dies and comes back. The listener lives on, and hears nothing of the new bus.
fn another_bus() {
    let netifd = Netifd::new("dhcp-up");
    let socket = netifd.0.path().join("ubus.sock");
    fs::write(&socket, "").unwrap();
    watches(&netifd, Some("wan"), async |watched| {
        watched.sees("wan", Interface::Up).await;
        let first = netifd.listener().unwrap();
        fs::remove_file(&socket).unwrap();
        fs::write(netifd.0.path().join("another"), "").unwrap();
        fs::rename(netifd.0.path().join("another"), &socket).unwrap();
        // What happened meanwhile is asked for, without an event.
        netifd.is("dhcp-no-server");
        watched.sees("wan", Interface::Pending).await;
        // Its own thread watches, so this one must not block.
        for _ in 0..600 {
            if netifd.listener().is_some_and(|now| now != first) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_ne!(netifd.listener(), Some(first));
        let place = fs::read_to_string(netifd.0.path().join("events")).unwrap_or_default().len();
        netifd.is("dhcp-up");
        netifd.event();
        watched.sees("wan", Interface::Up).await;
        assert!(fs::metadata(netifd.0.path().join("events")).unwrap().len() as usize > place);
    });
}

fn no_listener_is_left() {
    for round in 0..20 {
        let netifd = Netifd::new("dhcp-up");
        let mut victim = play(LISTENING).env(NETIFD, netifd.0.path()).spawn().unwrap();
        until(|| netifd.listener().is_some_and(|pid| test_kill_process(pid).is_ok()));
        let listener = netifd.listener().unwrap();
        std::thread::sleep(Duration::from_millis(round * 3));
        kill_hard(victim.id());
        victim.wait().unwrap();
        until(|| test_kill_process(listener).is_err());
    }
}

fn deaths() {
    const POINTS: u64 = 24;
    for together in [false, true] {
        let mut in_between = 0;
        for point in 0..POINTS {
            let netifd = Netifd::new("dhcp-up");
            netifd.takes("0.4");
            let folder = netifd.0.path().to_owned();
            let mut victim = play(VICTIM).env(NETIFD, &folder).spawn().unwrap();
            until(|| netifd.is_down());
            std::thread::sleep(Duration::from_millis(point * 12));
            kill_hard(victim.id());
            victim.wait().unwrap();
            let helper = fs::read_to_string(folder.join("down")).unwrap_or_default();
            in_between += u64::from(netifd.is_down());
            if together {
                if let Some(group) = helper.trim().parse().ok().and_then(Pid::from_raw) {
                    let _ = kill_process_group(group, Signal::KILL);
                }
                // The next life: the judge says which rung was interrupted.
                let said = wait(netifd.driver().make_safe(Rung::RestartInterface));
                assert_eq!(said, "wan is up", "point {point}");
            } else {
                until(|| !netifd.is_down());
            }
            assert!(!netifd.is_down(), "point {point}");
        }
        assert!(in_between >= 20, "only {in_between} of {POINTS} deaths were between down and up");
    }
}
