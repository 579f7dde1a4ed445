//! Remedies against programs that misbehave, and on a device of our own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a trial that cannot go on fails by it"
)]

use crate::common::messages;
use crate::common::trial::{Test, here};
use linekeeper::act::remedy::Driver;
use linekeeper_contract::message::Message;
use linekeeper_contract::units::Span;
use linekeeper_contract::vocabulary::Rung;
use linekeeper_judge::action::Repair;
use linekeeper_judge::config::{self, LinuxDriver, Remedies, RungLimits};
use linekeeper_judge::observation::{RemedyId, RemedyResult};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

pub fn tests() -> Vec<Test> {
    let mut tests = here![
        script_receives_the_remedy,
        nonzero_exit_code_fails_with_the_last_output_line,
        timeout_kills_grandchildren_too,
        background_process_does_not_delay_the_result,
        unread_input_is_no_failure,
        long_output_is_cut_to_its_end,
        unrunnable_script_is_explained_with_advice,
        driver_none_only_says_what_it_would_do,
        renew_signals_the_client_or_fails_at_once,
        linux_driver_runs_the_configured_commands,
    ];
    tests.push(Test::private("restart_never_leaves_the_device_down", &[], on_a_device_of_our_own));
    tests
}

fn driver(which: config::Driver, device: &str) -> Driver {
    let limits =
        RungLimits { limit: Span::seconds(10), settle: Span::seconds(1), per_day: 1, per_incident: 1 };
    let remedies = Remedies {
        driver: which,
        ladder: Rung::ALL.to_vec(),
        limits: [limits; 6],
        again: Span::minutes(30),
        learning: true,
    };
    Driver::new(&remedies, device)
}

fn repair(rung: Rung, limit: Span) -> Repair {
    let Message::Event(event) = messages::event(1, "b", 0, 0).message else { panic!("an event is an event") };
    Repair { remedy: RemedyId(7), rung, incident: Some(Box::new(event.incident)), limit, resolver: None }
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// Writes a shell script and runs it as a remedy.
fn scripted(body: &str, limit: Span) -> (RemedyResult, String, tempfile::TempDir) {
    let room = tempfile::tempdir().unwrap();
    let program = script(room.path(), body);
    let (result, said) =
        run(driver(config::Driver::Script { program }, "wan0").repair(&repair(Rung::Renew, limit)));
    (result, said, room)
}

fn script(room: &Path, body: &str) -> PathBuf {
    let program = room.join("mend");
    fs::write(&program, format!("#!/bin/sh\ncd {}\n{body}\n", room.display())).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    program
}

/// Far above what any of these take, on any machine.
const LONG: Span = Span::seconds(60);

fn wait_until(what: &str, mut is: impl FnMut() -> bool) {
    for _ in 0..3_000 {
        if is() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("not within 30 s: {what}");
}

fn pid_in(file: &Path) -> Option<u32> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// Gone, or a zombie that somebody else has to bury.
fn is_gone(pid: u32) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default().is_empty()
}

fn script_receives_the_remedy() {
    let (result, said, room) = scripted(
        "cat > input; echo \"$1 $# $LINEKEEPER_RUNG $LINEKEEPER_INCIDENT $LINEKEEPER_DEVICE$LINEKEEPER_RESOLVER\" > told; echo mended",
        LONG,
    );
    assert_eq!(result, RemedyResult::Done, "{said}");
    assert!(said.ends_with("renew: mended"), "{said}");
    let told = fs::read_to_string(room.path().join("told")).unwrap();
    assert_eq!(told, "renew 1 renew IN20261120-001 wan0\n");
    let input: Repair = serde_json::from_slice(&fs::read(room.path().join("input")).unwrap()).unwrap();
    assert_eq!(input, repair(Rung::Renew, LONG));
}

fn nonzero_exit_code_fails_with_the_last_output_line() {
    let (result, said, _room) = scripted("echo one; echo 'no \x1b[31mmodem' >&2; echo; exit 3", LONG);
    assert_eq!(result, RemedyResult::Failed);
    assert!(said.contains("exit code 3: no  [31mmodem"), "no control characters: {said}");
    let (result, said, _room) = scripted("kill -9 $$", LONG);
    assert_eq!(result, RemedyResult::Failed);
    assert!(said.contains("signal 9"), "{said}");
}

fn timeout_kills_grandchildren_too() {
    let body = "sh -c 'sleep 1000 & echo $! > grandchild; wait' & echo began; wait";
    let (result, said, room) = scripted(body, Span::seconds(1));
    assert_eq!(result, RemedyResult::Overran);
    assert!(said.contains("within 1 s and was killed: began"), "{said}");
    let grandchild = pid_in(&room.path().join("grandchild")).expect("it began within a second");
    wait_until("the grandchild is gone", || is_gone(grandchild));
}

fn background_process_does_not_delay_the_result() {
    let (result, said, room) = scripted("sleep 1000 & echo $! > background; echo left it", LONG);
    assert_eq!(result, RemedyResult::Done);
    assert!(said.ends_with("left it"), "{said}");
    let left = pid_in(&room.path().join("background")).unwrap();
    assert!(!is_gone(left), "what a script starts on purpose lives on");
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(left as i32).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
}

fn unread_input_is_no_failure() {
    let room = tempfile::tempdir().unwrap();
    let mut large = repair(Rung::Reboot, LONG);
    // More than a pipe holds, and less than an environment variable may have.
    large.incident.as_mut().unwrap().id = "x".repeat(100_000);
    for (body, expected) in [("exec <&-; exit 0", RemedyResult::Done), ("exit 4", RemedyResult::Failed)] {
        let program = script(room.path(), body);
        let (result, said) = run(driver(config::Driver::Script { program }, "wan0").repair(&large));
        assert_eq!(result, expected, "{said:.200}");
    }
}

fn long_output_is_cut_to_its_end() {
    let (result, said, _room) =
        scripted("yes flood | head -c 3000000; yes flood | head -c 3000000 >&2; echo end", LONG);
    assert_eq!(result, RemedyResult::Done);
    assert!(said.ends_with("end") && said.len() < 4_300, "{} {:.100}", said.len(), said);
}

fn unrunnable_script_is_explained_with_advice() {
    let room = tempfile::tempdir().unwrap();
    let program = room.path().join("none");
    let (result, said) =
        run(driver(config::Driver::Script { program: program.clone() }, "w")
            .repair(&repair(Rung::Renew, LONG)));
    assert_eq!(result, RemedyResult::Failed);
    assert!(said.contains("none") && said.contains("install it"), "{said}");
    fs::write(&program, "#!/bin/sh\n").unwrap();
    let (result, said) =
        run(driver(config::Driver::Script { program: program.clone() }, "w")
            .repair(&repair(Rung::Renew, LONG)));
    assert_eq!(result, RemedyResult::Failed);
    assert!(said.contains("chmod +x"), "{said}");
    let safe = run(driver(config::Driver::Script { program }, "w").make_safe(Rung::Renew));
    assert!(safe.contains("chmod +x"), "{safe}");
}

fn driver_none_only_says_what_it_would_do() {
    let (result, said) = run(driver(config::Driver::None, "wan0").repair(&repair(Rung::Reboot, LONG)));
    assert_eq!(result, RemedyResult::Pretended);
    assert!(said.starts_with("would reboot"), "{said}");
}

fn renew_signals_the_client_or_fails_at_once() {
    let room = tempfile::tempdir().unwrap();
    let pidfile = room.path().join("pid");
    // `echo ready` comes after the trap, so that the signal cannot come before it.
    let program = script(
        room.path(),
        "trap 'echo yes > renewed' USR1\necho ready > ready\nwhile :; do sleep 0.05; done",
    );
    let how = |pidfile: Option<&Path>| {
        config::Driver::Linux(LinuxDriver {
            dhcp_client: vec![program.display().to_string()],
            dhcp_pidfile: pidfile.map(Path::to_owned),
            ..LinuxDriver::default()
        })
    };
    let renew = |which| run(driver(which, "wan0").repair(&repair(Rung::Renew, LONG)));
    assert_eq!(renew(how(None)).0, RemedyResult::Unsupported);
    let (result, said) = renew(how(Some(&pidfile)));
    assert_eq!(result, RemedyResult::Failed);
    assert!(said.contains("does not run"), "{said}");

    let mut client = Command::new(&program).spawn().unwrap();
    fs::write(&pidfile, client.id().to_string()).unwrap();
    wait_until("the client is ready", || room.path().join("ready").exists());
    let (result, said) = renew(how(Some(&pidfile)));
    assert_eq!(result, RemedyResult::Done, "{said}");
    wait_until("the client was signalled", || room.path().join("renewed").exists());
    client.kill().unwrap();
    // Dead, which takes its time on a busy machine, and not waited for yet: a zombie is no client either.
    let cmdline = format!("/proc/{}/cmdline", client.id());
    wait_until("the client is dead", || fs::read(&cmdline).unwrap_or_default().is_empty());
    let (result, said) = renew(how(Some(&pidfile)));
    assert_eq!(result, RemedyResult::Failed, "{said}");
    client.wait().unwrap();
}

fn linux_driver_runs_the_configured_commands() {
    let how = LinuxDriver {
        power_modem: ["sh", "-c", "echo cut for {device}"].map(str::to_owned).to_vec(),
        reboot: ["sh", "-c", "sleep 1000"].map(str::to_owned).to_vec(),
        ..LinuxDriver::default()
    };
    let linux = driver(config::Driver::Linux(how), "wan0");
    let (result, said) = run(linux.repair(&repair(Rung::PowerModem, LONG)));
    // Its words may hold secrets: they are not told.
    assert_eq!((result, said.as_str()), (RemedyResult::Done, "sh: cut for wan0"));
    let (result, said) = run(linux.repair(&repair(Rung::Reboot, Span::millis(200))));
    assert!(result == RemedyResult::Overran && said.contains("200 ms") && !said.contains("1000"), "{said}");
    let how = LinuxDriver {
        restart_network: ["sh", "-c", "echo restarted"].map(str::to_owned).to_vec(),
        other_resolver: ["sh", "-c", "echo $0 for {device}", "{resolver}"].map(str::to_owned).to_vec(),
        ..LinuxDriver::default()
    };
    let linux = driver(config::Driver::Linux(how), "wan0");
    let (result, said) = run(linux.repair(&repair(Rung::RestartNetwork, LONG)));
    assert!(result == RemedyResult::Done && said.ends_with("restarted"), "{said}");
    let (result, said) = run(linux.repair(&repair(Rung::OtherResolver, LONG)));
    assert!(result == RemedyResult::Failed && said.contains("no other resolver"), "{said}");
    let other = Repair { resolver: "192.0.2.53".parse().ok(), ..repair(Rung::OtherResolver, LONG) };
    let (result, said) = run(linux.repair(&other));
    assert!(result == RemedyResult::Done && said.ends_with("192.0.2.53 for wan0"), "{said}");
    let bare = driver(config::Driver::Linux(LinuxDriver::default()), "wan0");
    let (result, said) = run(bare.repair(&repair(Rung::PowerModem, LONG)));
    assert!(result == RemedyResult::Unsupported && said.contains("power_modem"), "{said}");
}

fn ip(arguments: &str) {
    assert!(Command::new("ip").args(arguments.split(' ')).status().unwrap().success(), "{arguments}");
}

fn is_up() -> bool {
    let shown = Command::new("ip").args(["-o", "link", "show", "dev", "wan0"]).output().unwrap().stdout;
    String::from_utf8_lossy(&shown).split(['<', '>']).nth(1).unwrap().split(',').any(|flag| flag == "UP")
}

fn on_a_device_of_our_own() {
    ip("link add wan0 type veth peer name far0");
    ip("link set dev wan0 up");
    let room = tempfile::tempdir().unwrap();
    let pidfile = room.path().join("pid");
    let at = room.path().display().to_string();
    // A stubborn client: it does not end when asked, and says that it was.
    let program = script(
        room.path(),
        "trap 'echo asked >> asked' TERM\necho $$ > pid\necho $1 >> started\nwhile :; do sleep 0.05; done",
    );
    let linux = |client: &str| {
        let how = LinuxDriver {
            dhcp_client: vec![client.to_owned(), "{device}".into()],
            dhcp_pidfile: Some(pidfile.clone()),
            ..LinuxDriver::default()
        };
        driver(config::Driver::Linux(how), "wan0")
    };
    let client = program.display().to_string();
    let starts = || fs::read_to_string(format!("{at}/started")).unwrap_or_default().lines().count();

    // Nothing runs yet: a restart starts it.
    let (result, said) = run(linux(&client).repair(&repair(Rung::RestartInterface, LONG)));
    assert_eq!(result, RemedyResult::Done, "{said}");
    wait_until("the client runs", || starts() == 1 && pid_in(&pidfile).is_some());
    assert_eq!(fs::read_to_string(format!("{at}/started")).unwrap(), "wan0\n");
    let first = pid_in(&pidfile).unwrap();
    let session = |pid: u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit(')').next().unwrap().split_whitespace().nth(3).unwrap().to_owned()
    };
    assert_ne!(session(first), session(std::process::id()), "it lives in a session of its own");

    // The runtime that started it is gone and it lives on; a second restart ends it by force.
    assert!(!is_gone(first) && is_up());
    let (result, said) = run(linux(&client).repair(&repair(Rung::RestartInterface, LONG)));
    assert_eq!(result, RemedyResult::Done, "{said}");
    assert!(is_gone(first) && Path::new(&format!("{at}/asked")).exists());
    wait_until("the client runs again", || starts() == 2 && pid_in(&pidfile).is_some_and(|p| p != first));
    assert!(is_up());

    // Make-safe brings up what was left down, and leaves the client that runs.
    ip("link set dev wan0 down");
    let said = run(linux(&client).make_safe(Rung::RestartInterface));
    assert!(is_up() && said.contains("its DHCP client runs"), "{said}");
    assert_eq!(starts(), 2);

    // Too little time: it says so, and all is up again.
    let (result, said) = run(linux(&client).repair(&repair(Rung::RestartInterface, Span::millis(1))));
    assert_eq!(result, RemedyResult::Overran, "{said}");
    assert!(is_up());

    // Dropped half-way, by our own end.
    ip("link set dev wan0 down");
    run(async {
        let linux = linux(&client);
        let restart = repair(Rung::RestartInterface, LONG);
        let _ = tokio::time::timeout(Duration::from_millis(30), linux.repair(&restart)).await;
    });
    wait_until("the device is up after a dropped restart", is_up);

    // A client that cannot be started is a failure, and the device is up all the same.
    let (result, said) = run(linux("/nowhere/udhcpc").repair(&repair(Rung::RestartInterface, LONG)));
    assert_eq!(result, RemedyResult::Failed);
    assert!(said.contains("/nowhere/udhcpc"), "{said}");
    assert!(is_up());
    let (result, said) = run(linux("/bin/false").repair(&repair(Rung::RestartInterface, LONG)));
    assert_eq!(result, RemedyResult::Failed);
    assert!(said.contains("exit code 1"), "{said}");
    assert!(is_up());

    // A device that is gone.
    ip("link del wan0");
    let (result, said) = run(linux(&client).repair(&repair(Rung::RestartInterface, LONG)));
    assert_eq!(result, RemedyResult::Failed);
    assert!(said.contains("wan0"), "{said}");
}
