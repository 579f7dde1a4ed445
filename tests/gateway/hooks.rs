//! Hooks against programs that are slow, hang, fail, are not there, and against floods: none of it holds anything up.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails loudly")]

use crate::common::messages;
use crate::common::trial::{Test, on_a_runtime};
use linekeeper::act::hook::{Hook, WAITING};
use linekeeper_contract::message::{CallbackState, Critical, EventName, Message, Outcome};
use linekeeper_contract::units::Span;
use linekeeper_judge::config::{HookOn, Hooks};
use linekeeper_judge::observation::{Observation, Part};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

pub fn tests() -> Vec<Test> {
    macro_rules! trials {
        ($($name:ident),* $(,)?) => { vec![$(Test::here(stringify!($name), || on_a_runtime($name()))),*] };
    }
    trials![
        hook_receives_the_change_and_a_clean_environment,
        hook_runs_only_for_configured_kinds_and_once_per_message,
        slow_hook_runs_in_order_and_never_twice_at_once,
        hanging_hook_is_killed_with_its_children_and_the_next_runs,
        failing_hook_is_reported_once_until_it_works,
        missing_or_unexecutable_hook_is_reported_with_advice,
        flood_of_changes_is_dropped_counted_and_never_blocks,
    ]
}

/// Far above what any of these take, on any machine.
const LONG: Duration = Duration::from_secs(60);

struct Bench {
    hook: Hook,
    saw: mpsc::Receiver<Observation>,
    room: tempfile::TempDir,
}

fn script(room: &Path, body: &str) -> PathBuf {
    let program = room.join("hook");
    // Written beside and moved: a script that is open for writing cannot be run.
    let new = room.join("hook.new");
    fs::write(&new, format!("#!/bin/sh\ncd {}\n{body}\n", room.display())).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(&new, &program).unwrap();
    program
}

impl Bench {
    fn new(body: &str, limit: Span) -> Bench {
        Bench::on(body, limit, &HookOn::ALL)
    }
    fn on(body: &str, limit: Span, on: &[HookOn]) -> Bench {
        let room = tempfile::tempdir().unwrap();
        let program = script(room.path(), body);
        let (report, saw) = mpsc::channel(64);
        let hook = Hook::start(&Hooks { program, on: on.to_vec(), limit }, "gw-0001", report);
        Bench { hook, saw, room }
    }
    fn notify(&mut self, critical: &Critical) {
        self.hook.notify(&critical.message, "wan0");
    }
    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.room.path().join(name)).unwrap_or_default()
    }
    async fn until(&self, what: &str, is: impl Fn(&Bench) -> bool) {
        for _ in 0..6_000 {
            if is(self) {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("not within 60 s: {what}");
    }
    async fn trouble(&mut self) -> Option<String> {
        match timeout(LONG, self.saw.recv()).await.unwrap() {
            Some(Observation::PartSeen { part: Part::Hook, trouble }) => trouble,
            other => panic!("{other:?}"),
        }
    }
}

fn event(n: u64) -> Critical {
    messages::event(n, "boot", n, 10)
}

fn changed(n: u64, change: impl FnOnce(&mut linekeeper_contract::message::Event)) -> Critical {
    let mut critical = event(n);
    let Message::Event(e) = &mut critical.message else { panic!() };
    change(e);
    critical
}

async fn hook_receives_the_change_and_a_clean_environment() {
    let body =
        "cat >> all; env > env; echo \"$ACTION $INTERFACE $DEVICE $LINEKEEPER_EVENT\" >> told; echo done";
    let mut bench = Bench::new(body, Span::seconds(60));
    bench.notify(&event(1));
    bench.notify(&changed(2, |e| {
        e.event = EventName::RemedyEnded;
        e.remedy.as_mut().unwrap().outcome = Some(Outcome::NoEffect);
    }));
    bench.until("two calls", |b| b.file("told").lines().count() == 2).await;
    assert_eq!(bench.file("told"), "begun wan0 wan0 remedy\nended wan0 wan0 remedy\n");
    bench.until("the last one's environment", |b| b.file("env").contains("OUTCOME=no_effect")).await;
    let env = bench.file("env");
    for line in [
        "LINEKEEPER_ID=gw-0001/IN20261120-001/2",
        "LINEKEEPER_DEVICE_ID=gw-0001",
        "LINEKEEPER_INCIDENT=IN20261120-001",
        "LINEKEEPER_FINDING=outage",
        "LINEKEEPER_DOMAIN=access",
        "LINEKEEPER_REMEDY=renew",
        "LINEKEEPER_CALLBACK=",
    ] {
        assert!(env.lines().any(|l| l == line), "{line} in\n{env}");
    }
    // Nothing of ours: cargo's own variables are in this process.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    assert!(!env.contains("CARGO") && !env.contains("HOME="), "{env}");
    let mut callback = messages::callback(3, "boot", 3, 10);
    let Message::Callback(c) = &mut callback.message else { panic!() };
    c.state = CallbackState::Withdrawn;
    bench.notify(&callback);
    bench.until("the callback", |b| b.file("told").contains("withdrawn wan0 wan0 callback")).await;
    bench.until("its id", |b| b.file("env").contains("LINEKEEPER_CALLBACK=CB20261120-001")).await;
    // What stands on standard input is the message as the platform gets it.
    let given: Vec<Message> = serde_json::Deserializer::from_str(&bench.file("all"))
        .into_iter::<Message>()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(given.len(), 3);
    assert_eq!((&given[0], &given[2]), (&event(1).message, &callback.message));
    assert!(bench.saw.try_recv().is_err(), "all went well");
}

async fn hook_runs_only_for_configured_kinds_and_once_per_message() {
    let mut bench =
        Bench::on("echo $LINEKEEPER_ID >> told", Span::seconds(60), &[HookOn::Callback, HookOn::Incident]);
    bench.notify(&event(1));
    bench.notify(&messages::callback(2, "boot", 2, 0));
    // Asked for again, for want of a receipt: no change.
    bench.notify(&messages::callback(2, "boot", 2, 0));
    bench.notify(&changed(3, |e| (e.event, e.remedy) = (EventName::IncidentClosed, None)));
    bench.until("the last", |b| b.file("told").contains("/3")).await;
    assert_eq!(bench.file("told"), "gw-0001/CB20261120-001/2\ngw-0001/IN20261120-001/3\n");
}

async fn slow_hook_runs_in_order_and_never_twice_at_once() {
    let body =
        "[ -e busy ] && echo both >> told; : > busy; sleep 0.05; echo ${LINEKEEPER_ID##*/} >> told; rm busy";
    let mut bench = Bench::new(body, Span::seconds(60));
    for n in 1..=8 {
        bench.notify(&event(n));
    }
    bench.until("all eight", |b| b.file("told").lines().count() >= 8).await;
    assert_eq!(
        bench.file("told").split_whitespace().collect::<Vec<_>>(),
        ["1", "2", "3", "4", "5", "6", "7", "8"]
    );
    assert_eq!(bench.hook.dropped(), 0);
}

async fn hanging_hook_is_killed_with_its_children_and_the_next_runs() {
    let body = "if [ ${LINEKEEPER_ID##*/} = 1 ]; then sleep 1000 & echo $! > child; echo stuck; wait; fi; echo next > told";
    let mut bench = Bench::new(body, Span::millis(300));
    bench.notify(&event(1));
    bench.notify(&event(2));
    let trouble = bench.trouble().await.unwrap();
    assert!(trouble.contains("did not end within 300 ms and was killed: stuck"), "{trouble}");
    bench.until("the next", |b| b.file("told") == "next\n").await;
    assert_eq!(bench.trouble().await, None, "it works again");
    let child: u32 = bench.file("child").trim().parse().unwrap();
    let gone = |_: &Bench| fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default().is_empty();
    bench.until("its child is gone", gone).await;
}

async fn failing_hook_is_reported_once_until_it_works() {
    let mut bench = Bench::new("echo first; echo no mail server >&2; exit 3", Span::seconds(60));
    bench.notify(&event(1));
    let trouble = bench.trouble().await.unwrap();
    assert!(trouble.ends_with("ended with exit code 3: no mail server"), "{trouble}");
    bench.notify(&event(2));
    bench.notify(&event(3));
    script(bench.room.path(), "echo ${LINEKEEPER_ID##*/} >> told");
    bench.notify(&event(4));
    assert_eq!(bench.trouble().await, None, "and nothing between");
    bench.until("the last", |b| b.file("told").contains('4')).await;
}

async fn missing_or_unexecutable_hook_is_reported_with_advice() {
    let mut bench = Bench::new("", Span::seconds(60));
    fs::set_permissions(bench.room.path().join("hook"), fs::Permissions::from_mode(0o644)).unwrap();
    bench.notify(&event(1));
    let trouble = bench.trouble().await.unwrap();
    assert!(
        trouble.starts_with("the hook was not run: cannot run ") && trouble.contains("chmod +x"),
        "{trouble}"
    );
    let mut bench = Bench::new("", Span::seconds(60));
    fs::remove_file(bench.room.path().join("hook")).unwrap();
    bench.notify(&event(1));
    assert!(bench.trouble().await.unwrap().contains("correct its path in the configuration"));
}

async fn flood_of_changes_is_dropped_counted_and_never_blocks() {
    let mut bench = Bench::new("echo ${LINEKEEPER_ID##*/} >> told; sleep 1000", Span::seconds(1_000));
    bench.notify(&event(1));
    bench.until("the first", |b| b.file("told") == "1\n").await;
    // Nothing here waits: `tell` is no async function, and nobody reads what it reports.
    for n in 2..2_002 {
        bench.notify(&event(n));
    }
    assert_eq!(bench.hook.dropped(), 2_000 - WAITING as u64);
    let mut told = Vec::new();
    while let Ok(Observation::PartSeen { part: Part::Hook, trouble: Some(text) }) = bench.saw.try_recv() {
        told.push(text);
    }
    assert!((1..=12).contains(&told.len()), "{told:?}");
    assert!(told[0].contains("1 changes were not told to it"), "{told:?}");
    // The end of the agent ends the program.
    let mine = |dir: &Path| {
        let dir = dir.display().to_string();
        fs::read_dir("/proc").unwrap().flatten().any(|p| {
            let line = fs::read(p.path().join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(&dir)
        })
    };
    let room = bench.room.path().to_path_buf();
    assert!(mine(&room));
    let Bench { hook, room: keep, .. } = bench;
    drop(hook);
    for _ in 0..6_000 {
        if !mine(&room) {
            break;
        }
        sleep(Duration::from_millis(10)).await;
    }
    assert!(!mine(&room), "the program outlives the agent");
    drop(keep);
}
