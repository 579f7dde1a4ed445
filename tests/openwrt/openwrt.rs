//! The OpenWrt package without OpenWrt: init script, uci-defaults and rpcd plugin under busybox' shell with functions of
//! procd, uci and jshn written for the tests (`tests/openwrt/stub`), the package's Makefile under make.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a trial that cannot go on fails by it"
)]

use crate::common::trial::Test;
use crate::common::{agent_binary, agent_version, repository_path, repository_text};
use linekeeper::config_text;
use linekeeper::config_text::Format;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub fn tests() -> Vec<Test> {
    const SHELL: &[&str] = &["busybox", "/usr/bin/python3"];
    macro_rules! trials {
        ($needs:expr; $($name:literal: $run:ident),* $(,)?) => { [$(Test::here($name, $run).needs($needs)),*] };
    }
    let shell = trials![SHELL;
        "start_creates_one_instance_with_unlimited_respawn": start_makes_one_instance,
        "invalid_options_are_left_out_and_others_kept": invalid_options_are_left_out_and_others_kept,
        "options_depending_on_invalid_ones_are_left_out": options_depending_on_invalid_ones_are_left_out,
        "special_characters_are_preserved_and_never_executed": special_characters_are_preserved,
        "non_utf8_values_are_left_out": non_utf8_values_are_left_out,
        "many_invalid_options_take_bounded_time": many_bad_options,
        "a_disabled_service_has_no_instance": disabled_has_no_instance,
        "unusable_configuration_is_not_started": unusable_is_not_started,
        "reload_with_an_unusable_configuration_changes_nothing": unusable_reload_changes_nothing,
        "reload_rewrites_the_file_that_procd_compares": reload_rewrites,
        "service_options_set_arguments_jail_and_button": options_of_the_service,
        "record_sections_become_a_list_of_objects": records,
        "daemon_runs_on_the_generated_configuration_and_the_plugin_queries_it": daemon_runs,
        "every_key_of_the_sample_can_be_written_in_uci": every_key_of_the_sample,
        "shipped_file_documents_every_key_with_its_default": shipped_file,
        "documented_commands_configure_a_working_gateway": documented_commands,
        "first_boot_sets_the_device_id_from_the_board": first_boot,
        "holding_the_button_requests_a_callback": button,
        "event_of_ntpd_marks_the_clock_as_set": ntp,
        "gpio_switch_cuts_and_returns_modem_power": modem_power,
        "interrupted_power_cut_returns_modem_power": modem_power_comes_back,
        "unswitchable_modem_is_reported_and_keeps_power": modem_power_faults,
        "plugin_lists_its_methods": plugin_lists,
        "plugin_forwards_answers_and_errors": plugin_status,
        "plugin_diagnoses_with_the_daemons_configuration": plugin_diagnose,
        "plugin_forwards_the_callback_reason_unchanged": plugin_callback,
        "invalid_command_key_disables_commands": commands_without_their_key_are_left_out,
        "none_becomes_an_empty_list": none_is_an_empty_list,
        "invalid_privacy_fields_never_widen_the_list": faults_do_not_widen,
        "plugin_runs_speed_tests_in_the_background": plugin_speedtest,
    ];
    let make = trials![&["make"];
        "makefile_has_the_fields_that_the_feed_requires": makefile_fields,
        "makefile_installs_every_file_with_its_mode": makefile_installs,
        "makefile_includes_all_sources": makefile_prepares,
        "luci_makefile_has_the_required_fields": luci_makefile,
    ];
    shell.into_iter().chain(make).chain([Test::here("acls_and_capabilities_are_json", json_files)]).collect()
}

/// A file of the repository, for a command or an environment.
fn at(path: &str) -> String {
    repository_path(path).display().to_string()
}

/// A gateway's file system, as far as the scripts see it.
struct Gateway {
    room: tempfile::TempDir,
    variables: BTreeMap<String, String>,
}

impl Gateway {
    fn new(uci: &str) -> Gateway {
        let gateway = Gateway { room: tempfile::tempdir().unwrap(), variables: BTreeMap::new() };
        for folder in ["applets", "out", "run", "config", "buttons", "sys/br-lan"] {
            fs::create_dir_all(gateway.at(folder)).unwrap();
        }
        // Nothing but busybox: what only GNU's programs can do is no use on a gateway.
        let applets = gateway.at("applets");
        let listed = Command::new("busybox").arg("--list").output().unwrap();
        let busybox = which("busybox");
        std::os::unix::fs::symlink(&busybox, applets.join("busybox")).unwrap();
        for applet in String::from_utf8(listed.stdout).unwrap().lines().filter(|a| *a != "busybox") {
            std::os::unix::fs::symlink(&busybox, applets.join(applet)).unwrap();
        }
        fs::write(gateway.at("sys/br-lan/address"), "02:00:5E:10:00:0A\n").unwrap();
        gateway.uci(uci);
        gateway
    }

    fn at(&self, path: &str) -> PathBuf {
        self.room.path().join(path)
    }

    fn uci(&self, text: impl AsRef<[u8]>) {
        fs::write(self.at("config/linekeeper"), text).unwrap();
    }

    fn run(&self, words: &[&str], input: &str) -> Output {
        use std::io::Write as _;
        let mut child = self.shell(words).spawn().unwrap();
        // A script that does not read may be gone already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    fn shell(&self, words: &[&str]) -> Command {
        let stub = at("tests/openwrt/stub");
        let path = |p: &str| self.at(p).to_str().unwrap().to_owned();
        let mut command = Command::new(which("busybox"));
        command
            .arg("ash")
            .args(words)
            .current_dir(self.room.path())
            .env_clear()
            .env("PATH", format!("{stub}:{}", path("applets")))
            .env("STUB", &stub)
            .env("STUB_OUT", path("out"))
            .env("UCI_CONFIG_DIR", path("config"))
            .env("LINEKEEPER_LIB", at("openwrt/linekeeper/files"))
            .env("LINEKEEPER_RUN", path("run/linekeeper"))
            .env("LINEKEEPER_STORE", path("store"))
            .env("LINEKEEPER_SYS", path("sys"))
            .env("LINEKEEPER_BUTTONS", path("buttons"))
            .env("LINEKEEPER_CLOCK", path("clock"))
            .env("LINEKEEPER_UJAIL", path("ujail"))
            .env("LINEKEEPER_PROGRAM", agent_binary())
            .env("LINEKEEPER_JSHN", format!("{stub}/jshn.sh"))
            .envs(&self.variables)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        command
    }

    /// `/etc/init.d/linekeeper ACTION`: what procd was told, one call a line.
    fn init(&self, action: &str) -> String {
        let _ = fs::remove_file(self.at("out/procd"));
        let _ = fs::remove_file(self.at("out/log"));
        let common = at("tests/openwrt/stub/rc.common");
        let script = at("openwrt/linekeeper/files/linekeeper.init");
        let o = self.run(&[&common, &script, action], "");
        let said = String::from_utf8_lossy(&o.stderr);
        assert!(o.status.success() && said.is_empty(), "{action}: {}: {said}", o.status);
        self.text("out/procd").replace(self.room.path().to_str().unwrap(), "")
    }

    /// One of the package's other scripts.
    fn script(&self, name: &str, words: &[&str], input: &str) -> Output {
        let script = at(&format!("openwrt/linekeeper/files/{name}"));
        self.run(&[&[script.as_str()], words].concat(), input)
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap_or_default()
    }

    fn log(&self) -> String {
        self.text("out/log")
    }

    /// The JSON that the daemon would read, which `linekeeper check` must accept.
    #[track_caller]
    fn json(&self) -> Value {
        let path = self.at("run/linekeeper/config.json");
        let o = Command::new(agent_binary()).arg("check").arg(&path).output().unwrap();
        assert!(o.status.success(), "{}", String::from_utf8_lossy(&o.stderr));
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }

    /// A program in the place of the daemon's.
    fn program(&mut self, script: &str) {
        let path = self.at("program");
        fs::write(&path, format!("#!{} ash\n{script}", which("busybox").display())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        self.variables.insert("LINEKEEPER_PROGRAM".into(), path.to_str().unwrap().into());
    }

    /// `ubus call linekeeper METHOD INPUT`, as rpcd does it.
    #[track_caller]
    fn call(&self, method: &str, input: &str) -> Value {
        let o = self.script("linekeeper.rpcd", &["call", method], input);
        let said = String::from_utf8_lossy(&o.stdout).into_owned();
        serde_json::from_str(&said)
            .unwrap_or_else(|e| panic!("{method}: {e}: {said:?} {}", String::from_utf8_lossy(&o.stderr)))
    }
}

fn which(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).map(|p| p.join(name)).find(|p| p.exists()).expect(name)
}

const LEAST: &str = "
config linekeeper 'main'
	option enabled '1'
config device 'device'
	option id 'gw-0001'
config probe 'probe'
	list anchor '198.51.100.1'
	list world '203.0.113.53'
";

fn start_makes_one_instance() {
    let gateway = Gateway::new(LEAST);
    let procd = gateway.init("start");
    let program = agent_binary();
    let wanted = format!(
        "open_instance\n\
         set_param|command|{program}|run|--config|/run/linekeeper/config.json|--syslog\n\
         set_param|env|LINEKEEPER_PLACES=/store /run/linekeeper/socket\n\
         set_param|respawn|3600|10|0\n\
         set_param|stderr|1\n\
         close_instance\n\
         set\n"
    );
    assert_eq!(procd, wanted);
    assert_eq!(gateway.log(), "");
    let room = gateway.room.path().to_str().unwrap();
    let wanted = json!({
        "device": { "id": "gw-0001" },
        "probe": { "targets": [
            { "host": "198.51.100.1", "role": "anchor" }, { "host": "203.0.113.53", "role": "world" },
        ]},
        "store": { "directory": format!("{room}/store") },
        "status": { "socket": format!("{room}/run/linekeeper/socket") },
    });
    assert_eq!(gateway.json(), wanted);
    let mode = fs::metadata(gateway.at("run/linekeeper/config.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "commands in it may hold secrets");
    let mode = fs::metadata(gateway.at("store")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "messages that wait are nobody's business");
    let link = fs::read_link(gateway.at("run/linekeeper.sock")).unwrap();
    assert_eq!(link, gateway.at("run/linekeeper/socket"));
    assert_eq!(gateway.init("triggers"), "add_reload_trigger|linekeeper\n");
}

fn invalid_options_are_left_out_and_others_kept() {
    let gateway = Gateway::new(
        "
config linekeeper 'main'
	option enabled '1'
config device 'device'
	option id 'gw 1'
	option customer 'CUST1001'
config line
	option metered 'maybe'
config promise 'promise'
	option download_normal '90 Mbit/s'
	option download_maximum '60 Mbit/s'
	option latency 'fast'
	option loss '1 %'
config probe 'probe'
	list anchor '198.51.100.1'
	list anchor '127.0.0.1'
	list world '203.0.113.53'
	option intervall '5 s'
config outage 'outage'
	option flapping '4 times'
	option patience '3 s'
config remedies 'remedies'
	list ladder 'renew'
	list ladder 'bounce'
	list ladder 'reboot'
	option per_day_reboot '1000'
	option settle_restart_interface '9 s'
config 'we-ird' 'x'
	option a 'b'
config colour 'colour'
	option red '1'
",
    );
    assert!(gateway.init("start").contains("open_instance"));
    let json = gateway.json();
    // Named after the board, as if no id had been written.
    assert_eq!(json["device"], json!({ "id": "gw-02005e10000a", "customer": "CUST1001" }));
    // Of what may not allow more than was meant, the least.
    assert_eq!(json["line"], json!({ "metered": true }));
    assert_eq!(
        json["promise"],
        json!({ "download": { "maximum": "60 Mbit/s" }, "loss": "1 %" }),
        "of two that contradict each other one stays"
    );
    let host = |at: usize| json["probe"]["targets"][at]["host"].as_str().unwrap_or_default().to_owned();
    assert_eq!([host(0), host(1), host(2)], ["198.51.100.1", "203.0.113.53", ""]);
    assert_eq!(json["probe"]["intervall"], Value::Null);
    assert_eq!(json["outage"], json!({ "patience": "3 s" }));
    assert_eq!(
        json["remedies"],
        json!({ "ladder": ["renew", "reboot"], "per_day": { "reboot": 0 }, "settle": { "restart-interface": "9 s" } })
    );
    let log = gateway.log();
    for words in [
        "device.id must be 1 to 64 of",
        "line.metered must be true or false, is \"maybe\"; left out: line.metered",
        "promise.download.normal must not be above promise.download.maximum",
        "promise.latency must be 1 ms to 10 s, is \"fast\"",
        "probe.targets[1].host must be a host other than this gateway, is \"127.0.0.1\"; left out: probe.targets#1",
        "probe.intervall is not a key here; did you mean probe.interval?",
        "outage.flapping must be a whole number",
        "remedies.ladder[1] must be renew",
        "remedies.per_day.reboot must be",
        "config we-ird is left out",
        "colour is not a key here",
    ] {
        assert!(log.contains(words), "no {words:?} in\n{log}");
    }
    assert!(log.lines().all(|l| l.starts_with("daemon.warn linekeeper: ")), "{log}");
    // For LuCI, the same.
    assert!(gateway.text("run/linekeeper/faults.txt").contains("outage.flapping"));
}

fn options_depending_on_invalid_ones_are_left_out() {
    let gateway = Gateway::new(&format!(
        "{LEAST}
config mqtt 'mqtt'
	option keep_alive '20 s'
config remedies 'remedies'
	option driver 'linux'
	list ladder 'power-modem'
	option again '1 h'
config callback 'callback'
	option after '2 min'
"
    ));
    assert!(gateway.init("start").contains("open_instance"));
    let json = gateway.json();
    // No broker, the linux driver without a client: neither can be mended by leaving one option out.
    assert_eq!(json["mqtt"], Value::Null);
    assert_eq!(json["remedies"], json!({ "ladder": [] }), "not the default's rungs");
    assert_eq!(json["callback"], json!({ "after": "2 min" }));
    let log = gateway.log();
    assert!(log.contains("mqtt.broker is missing") && log.contains("left out: mqtt\n"), "{log}");
    assert!(log.contains("left out: remedies.ladder\n") || log.contains("left out: remedies\n"), "{log}");
}

fn special_characters_are_preserved() {
    let odd = "Käufer №1 \"a\" 'b' `touch ran` $(touch ran) ${x} \\ \\n * ; | & # !";
    let quoted = odd.replace('\'', "'\\''");
    let gateway = Gateway::new(&format!(
        "{LEAST}
config device
	option customer '{quoted}'
	option area 'two
lines'
config remedies 'remedies'
	option driver 'script'
	option program '/opt/a b/*'
	list ladder 'renew'
"
    ));
    gateway.init("start");
    let json = gateway.json();
    assert_eq!(json["device"]["customer"], odd);
    assert_eq!(json["remedies"]["program"], "/opt/a b/*");
    // A line break is in no name of an area: said, and left out.
    assert_eq!(json["device"]["area"], Value::Null);
    assert!(gateway.log().contains("is \"two\\nlines\"; left out: device.area"), "{}", gateway.log());
    let ran: Vec<_> = fs::read_dir(gateway.room.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!ran.iter().any(|name| name == "ran"), "{ran:?}");
}

fn non_utf8_values_are_left_out() {
    for bad in [
        &b"\xff"[..],
        b"a\xc3",
        b"\xc0\xaf",
        b"\xe0\x80\x80",
        b"\xed\xa0\x80",
        b"\xf0\x80\x80\x80",
        b"\xf4\x90\x80\x80",
        b"\x80x",
    ] {
        let gateway = Gateway::new("");
        let uci =
            [LEAST.as_bytes(), b"config device\n\toption customer '", bad, b"'\n\toption area 'north'\n"]
                .concat();
        gateway.uci(uci);
        gateway.init("start");
        let json = gateway.json();
        assert_eq!(json["device"], json!({ "id": "gw-0001", "area": "north" }), "{bad:?}");
        assert!(gateway.log().contains("device.customer is left out: it is not UTF-8"), "{}", gateway.log());
    }
    for good in ["é", "中文", "𝄞", "\u{7ff}\u{800}\u{d7ff}\u{e000}\u{ffff}\u{10000}\u{10ffff}"] {
        let gateway = Gateway::new(&format!("{LEAST}config device\n\toption customer '{good}'\n"));
        gateway.init("start");
        assert_eq!(gateway.json()["device"]["customer"], good);
    }
}

fn many_bad_options() {
    let mut uci = LEAST.to_string();
    uci += "config outage\n";
    // More than `check` tells at once.
    for n in 0..120 {
        uci += &format!("\toption stray_{n} 'x'\n");
    }
    let gateway = Gateway::new(&uci);
    assert!(gateway.init("start").contains("open_instance"));
    assert_eq!(gateway.json()["outage"], Value::Null);
}

fn disabled_has_no_instance() {
    let gateway = Gateway::new(&LEAST.replace("enabled '1'", "enabled '0'"));
    assert_eq!(gateway.init("start"), "set\n");
    assert!(!gateway.at("run/linekeeper").exists());
    assert_eq!(gateway.log(), "");
}

fn unusable_is_not_started() {
    for uci in [
        "config linekeeper 'main'\n\toption enabled '1'\n",
        "config linekeeper 'main'\n\toption enabled '1'\nconfig probe\n\tlist anchor 'localhost'\n",
        "config linekeeper 'main'\n\toption enabled 'unclosed\n",
        "",
    ] {
        let gateway = Gateway::new(uci);
        assert_eq!(gateway.init("start"), "set\n", "{uci:?}");
        let log = gateway.log();
        assert!(log.contains("daemon.err linekeeper: not started: "), "{uci:?}: {log}");
        assert!(log.lines().count() < 10, "{log}");
    }
}

fn unusable_reload_changes_nothing() {
    let gateway = Gateway::new(LEAST);
    let before = gateway.init("start");
    let file = gateway.text("run/linekeeper/config.json");
    gateway.uci(LEAST.replace("198.51.100.1", "localhost").replace("203.0.113.53", "::1"));
    assert_eq!(gateway.init("reload"), before, "the instance must stay as it is");
    assert_eq!(gateway.text("run/linekeeper/config.json"), file);
    assert!(gateway.log().contains("probe.targets"), "{}", gateway.log());
    assert!(gateway.text("run/linekeeper/faults.txt").contains("probe.targets"));
    let left: Vec<_> =
        fs::read_dir(gateway.at("run/linekeeper")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
    // Mended, nothing is left of it.
    gateway.uci(LEAST);
    gateway.init("reload");
    assert_eq!(gateway.text("run/linekeeper/faults.txt"), "");
}

fn reload_rewrites() {
    let gateway = Gateway::new(LEAST);
    let before = gateway.init("start");
    gateway.uci(format!("{LEAST}config outage\n\toption patience '5 s'\n"));
    assert_eq!(gateway.init("reload"), before);
    assert_eq!(gateway.json()["outage"]["patience"], "5 s");
    let reload = |change: &str| {
        gateway.uci(format!("{LEAST}{change}"));
        gateway.init("reload")
    };
    // The one that runs is told, and goes on.
    fs::write(gateway.at("out/running"), "").unwrap();
    let told = "send_signal|linekeeper|*|HUP\n";
    assert_eq!(reload("config outage\n\toption patience '6 s'\n"), format!("{before}{told}"));
    assert_eq!(reload("config outage\n\toption patience '6 s'\n"), before, "nothing changed");
    assert_eq!(reload("config outage\n\toption patience 'soon'\n"), format!("{before}{told}"), "its default");
    assert_eq!(reload("config outage\n\toption patience 'late'\n"), before, "and again");
    // What it cannot change while it runs restarts it.
    for (change, line) in [
        (
            "config store 'store'\n\toption directory '/mnt/store'\n",
            "env|LINEKEEPER_PLACES=/mnt/store /run/linekeeper/socket",
        ),
        ("config status 'status'\n\toption socket '/tmp/s'\n", "env|LINEKEEPER_PLACES=/store /tmp/s"),
    ] {
        assert!(reload(change).contains(line), "{change}");
    }
    // Switched off, the running instance goes.
    gateway.uci(LEAST.replace("enabled '1'", "enabled 'off'"));
    assert_eq!(gateway.init("reload"), "set\n");
}

fn options_of_the_service() {
    let uci = LEAST.replace(
        "enabled '1'",
        "enabled '1'\n\toption verbose 'on'\n\toption dry_run 'yes'\n\toption jail '1'\n\toption button 'BTN_0'",
    );
    let gateway = Gateway::new(&uci);
    let procd = gateway.init("start");
    assert!(procd.contains("append_param|command|--verbose\nappend_param|command|--dry-run\n"), "{procd}");
    assert!(!procd.contains("jail") && !procd.contains("user"), "as root, where there is no ujail: {procd}");
    assert!(gateway.log().contains("no ujail"), "{}", gateway.log());
    assert_eq!(fs::read_link(gateway.at("buttons/BTN_0")).unwrap(), Path::new("linekeeper"));

    fs::write(gateway.at("ujail"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(gateway.at("ujail"), fs::Permissions::from_mode(0o755)).unwrap();
    // There is no such user here.
    fs::remove_file(gateway.at("applets/chown")).unwrap();
    fs::write(gateway.at("applets/chown"), "#!/bin/sh\necho \"$@\" >\"$STUB_OUT/chown\"\n").unwrap();
    fs::set_permissions(gateway.at("applets/chown"), fs::Permissions::from_mode(0o755)).unwrap();
    let procd = gateway.init("start");
    for line in [
        "set_param|file|/run/linekeeper/config.json\n",
        "add_jail|linekeeper|log|procfs|ronly\n",
        "add_jail_mount|/clock\n",
        "add_jail_mount_rw|/run/linekeeper|/store\n",
        "set_param|user|linekeeper\n",
        "set_param|capabilities|/etc/capabilities/linekeeper.json\n",
        "set_param|no_new_privs|1\n",
    ] {
        assert!(procd.contains(line), "no {line:?} in\n{procd}");
    }
    // A signal does not reach it there: another file restarts it.
    fs::write(gateway.at("out/running"), "").unwrap();
    gateway.uci(format!("{uci}config outage\n\toption patience '5 s'\n"));
    assert!(!gateway.init("reload").contains("send_signal"));
    gateway.uci(format!("{uci}config line 'line'\n\toption interface 'wan'\n"));
    let procd = gateway.init("start");
    assert!(
        procd.contains("add_jail|linekeeper|log|procfs|ronly|ubus\nadd_jail_mount|/bin/ubus\n"),
        "{procd}"
    );
    assert!(gateway.text("out/chown").starts_with("-R linekeeper:linekeeper"));
    gateway.uci(format!(
        "{uci}config remedies 'remedies'\n\toption driver 'script'\n\toption program '/bin/true'\n"
    ));
    assert!(!gateway.init("start").contains("jail"), "remedies want root");

    // A button that does something else stays as it is.
    fs::write(gateway.at("buttons/wps"), "#!/bin/sh\n").unwrap();
    gateway.uci(uci.replace("BTN_0", "wps"));
    gateway.init("start");
    assert_eq!(gateway.text("buttons/wps"), "#!/bin/sh\n");
    assert!(gateway.log().contains("does something else already"), "{}", gateway.log());
    gateway.uci(uci.replace("BTN_0", "../../x"));
    gateway.init("start");
    assert!(gateway.log().contains("is no name of a button"), "{}", gateway.log());
}

fn records() {
    let gateway = Gateway::new(
        "
config linekeeper 'main'
	option enabled '1'
config device 'device'
	option id 'gw-0001'
config target
	option host '198.51.100.1'
	option role 'anchor'
config target
	option host '203.0.113.53'
	option role 'moon'
config probe
	option gateway 'no'
config target
	option host '203.0.113.54'
	option role 'world'
",
    );
    gateway.init("start");
    assert_eq!(
        gateway.json()["probe"],
        json!({
            "gateway": false,
            "targets": [
                { "host": "198.51.100.1", "role": "anchor" }, { "host": "203.0.113.54", "role": "world" },
            ],
        })
    );
    assert!(gateway.log().contains("probe.targets[1].role must be anchor or world"), "{}", gateway.log());
}

/// The sample with every key, examples and defaults alike.
fn whole_sample() -> Value {
    let text = repository_text("config/linekeeper.toml");
    let text: Vec<&str> = text
        .lines()
        .map(|line| {
            let bare = line.strip_prefix('#').map(|l| l.strip_prefix(' ').unwrap_or(l));
            let key = |l: &&str| {
                l.split_once(" = ").is_some_and(|(key, _)| {
                    key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b == b'-')
                })
            };
            bare.filter(key).unwrap_or(line)
        })
        .collect();
    config_text::toml::parse(&text.join("\n")).unwrap().0
}

/// A section as UCI writes it: tables by their names and an underscore, targets by their roles.
fn as_uci(prefix: &str, map: &Map<String, Value>, uci: &mut String) {
    for (key, value) in map {
        let name = format!("{prefix}{}", key.replace('-', "_"));
        match value {
            Value::String(text) => *uci += &format!("\toption {name} '{text}'\n"),
            Value::Bool(flag) => *uci += &format!("\toption {name} '{}'\n", u8::from(*flag)),
            Value::Number(n) => *uci += &format!("\toption {name} '{n}'\n"),
            Value::Object(map) => as_uci(&format!("{name}_"), map, uci),
            Value::Array(items) if items.is_empty() => *uci += &format!("\toption {name} 'none'\n"),
            Value::Array(items) => {
                for item in items {
                    match item {
                        Value::String(text) => *uci += &format!("\tlist {name} '{text}'\n"),
                        Value::Object(target) => {
                            *uci += &format!(
                                "\tlist {} '{}'\n",
                                target["role"].as_str().unwrap(),
                                target["host"].as_str().unwrap()
                            );
                        }
                        other => panic!("{name}: {other}: say in `options` and here how UCI writes it"),
                    }
                }
            }
            Value::Null => {}
        }
    }
}

fn every_key_of_the_sample() {
    let sample = whole_sample();
    let mut uci = "config linekeeper 'main'\n\toption enabled '1'\n".to_string();
    for (section, value) in sample.as_object().unwrap() {
        uci += &format!("config {section} '{section}'\n");
        as_uci("", value.as_object().unwrap(), &mut uci);
    }
    // The build alone: all keys together contradict each other.
    let gateway = Gateway::new(&uci);
    let script = ". $LINEKEEPER_LIB/uci.sh; . $STUB/functions.sh; linekeeper_build built '|'";
    let o = gateway.run(&["-c", script], "");
    assert!(o.status.success(), "{}", String::from_utf8_lossy(&o.stderr));
    let built: Value = serde_json::from_slice(&fs::read(gateway.at("built")).unwrap()).unwrap();
    for (section, value) in sample.as_object().unwrap() {
        assert_eq!(&built[section], value, "{section}: does `options` know what is no text?");
    }
}

/// Key paths of a tree; list elements count as their list.
fn paths(prefix: &str, value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(k, v)| paths(&format!("{prefix}.{k}"), v, into)),
        _ => {
            into.insert(prefix.trim_start_matches('.').to_owned());
        }
    }
}

fn shipped_file() {
    let shipped = repository_text("openwrt/linekeeper/files/linekeeper.config");
    let uncommented = |examples: bool| {
        let line = |line: &str| {
            let bare = line.trim_start().strip_prefix('#').unwrap_or("-");
            let bare = if examples { bare.strip_prefix(' ').unwrap_or(bare) } else { bare };
            if bare.starts_with("option ") || bare.starts_with("list ") {
                format!("\t{bare}")
            } else {
                line.into()
            }
        };
        shipped.lines().map(line).collect::<Vec<_>>().join("\n")
    };
    // As it is shipped: quiet.
    let gateway = Gateway::new(&shipped);
    assert_eq!(gateway.init("start"), "set\n");
    assert_eq!(gateway.log(), "");

    // Every default written out is accepted, and is the default.
    let gateway = Gateway::new(
        &uncommented(false)
            .replace("enabled '0'", "enabled '1'")
            .replace("# list anchor", "list anchor")
            .replace("# list brokers 'mqtts:", "list brokers 'mqtt:"),
    );
    let procd = gateway.init("start");
    assert!(procd.contains("open_instance"), "{}", gateway.log());
    assert_eq!(gateway.log(), "");
    let mut tree = gateway.json();
    let read = |tree: &Value| config_text::load_text(&tree.to_string(), Format::Json).unwrap();
    let written = read(&tree);
    // All but what has no default here: who this is, whom to ask, whom to tell, and where things lie.
    let kept = ["device", "probe", "mqtt", "store", "status"];
    tree.as_object_mut().unwrap().retain(|section, _| kept.contains(&section.as_str()));
    tree["probe"] = json!({ "targets": tree["probe"]["targets"] });
    let defaults = read(&tree);
    assert_eq!(format!("{written:?}"), format!("{defaults:?}"), "an option shows another default than holds");

    // And no key is forgotten.
    let gateway = Gateway::new(&uncommented(true));
    let script = ". $LINEKEEPER_LIB/uci.sh; . $STUB/functions.sh; linekeeper_build built '|'";
    assert!(gateway.run(&["-c", script], "").status.success());
    let built: Value = serde_json::from_slice(&fs::read(gateway.at("built")).unwrap()).unwrap();
    let (mut wanted, mut there) = (BTreeSet::new(), BTreeSet::new());
    paths("", &whole_sample(), &mut wanted);
    paths("", &built, &mut there);
    // `list brokers` holds one as well as two.
    wanted.remove("mqtt.broker");
    assert_eq!(wanted.difference(&there).collect::<Vec<_>>(), Vec::<&String>::new());
    assert_eq!(there.difference(&wanted).collect::<Vec<_>>(), Vec::<&String>::new());
}

/// The `uci` commands of the documents, applied to the shipped file as `uci` would.
fn documented_commands() {
    const UCI: &str = "uci() { for word; do echo \"$word\"; done >>words; echo . >>words; }\n\
                       reload_config() { uci reload_config; }\n";
    for document in ["README.md", "openwrt/README.md"] {
        let text = repository_text(document);
        let commands: Vec<&str> =
            text.lines().filter(|l| l.starts_with("# uci ")).map(|l| l.trim_start_matches("# ")).collect();
        let shipped = repository_text("openwrt/linekeeper/files/linekeeper.config");
        let gateway = Gateway::new(&shipped);
        let o = gateway.run(&["-c", &format!("{UCI}{}", commands.join("\n"))], "");
        assert!(
            o.status.success() && o.stderr.is_empty(),
            "{document}: {}",
            String::from_utf8_lossy(&o.stderr)
        );
        // The first boot gave it a name.
        let mut uci =
            shipped.replace("config device 'device'\n", "config device 'device'\n\toption id 'gw-0001'\n");
        let words = gateway.text("words");
        let mut done = Vec::new();
        for command in words.split_terminator(".\n") {
            let words: Vec<&str> = command.lines().collect();
            done.push(words[0]);
            let [verb @ ("set" | "add_list"), assignment] = words[..] else { continue };
            let (key, value) = assignment.split_once('=').unwrap();
            let [_, section, option] = key.split('.').collect::<Vec<_>>()[..] else { panic!("{key}") };
            let begin =
                uci.find(&format!(" '{section}'\n")).unwrap_or_else(|| panic!("no section {section}"));
            let line = begin + uci[begin..].find('\n').unwrap() + 1;
            let kind = if verb == "set" { "option" } else { "list" };
            let end = uci[line..].find("\nconfig ").map_or(uci.len(), |end| line + end);
            let rest: String = uci[line..end]
                .lines()
                .filter(|l| verb != "set" || !l.starts_with(&format!("\toption {option} ")))
                .map(|l| format!("{l}\n"))
                .collect();
            uci.replace_range(line..end, &format!("{rest}\t{kind} {option} '{value}'\n"));
        }
        assert_eq!(done, ["add_list", "add_list", "set", "commit", "reload_config"], "{document}");
        gateway.uci(uci);
        assert!(gateway.init("start").contains("open_instance"), "{document}: {}", gateway.log());
        assert_eq!(gateway.log(), "", "{document}");
        let wanted = json!([
            { "host": "198.51.100.1", "role": "anchor" }, { "host": "203.0.113.53", "role": "world" },
        ]);
        assert_eq!(gateway.json()["probe"]["targets"], wanted, "{document}");
    }
}

fn first_boot() {
    let gateway = Gateway::new("");
    let o = gateway.script("linekeeper.defaults", &[], "");
    assert!(o.status.success() && o.stderr.is_empty(), "{}", String::from_utf8_lossy(&o.stderr));
    let uci = gateway.text("out/uci");
    assert!(uci.contains("linekeeper.device.id=gw-02005e10000a\n"), "{uci}");
    assert!(
        uci.contains("linekeeper.main=linekeeper\n") && uci.contains("linekeeper.device=device\n"),
        "{uci}"
    );
    assert_eq!(gateway.text("out/uci.log"), "committed linekeeper\n");
    // Again (a firmware's next version): nothing is written twice.
    gateway.script("linekeeper.defaults", &[], "");
    assert_eq!(gateway.text("out/uci"), uci);
    // A name that somebody gave stays.
    fs::write(
        gateway.at("out/uci"),
        "linekeeper.main=linekeeper\nlinekeeper.device=device\nlinekeeper.device.id=mine\n",
    )
    .unwrap();
    gateway.script("linekeeper.defaults", &[], "");
    assert!(!gateway.text("out/uci").contains("gw-"));
    // No board with an address: no id, and no failure.
    fs::write(gateway.at("sys/br-lan/address"), "00:00:00:00:00:00\n").unwrap();
    fs::remove_file(gateway.at("out/uci")).unwrap();
    assert!(gateway.script("linekeeper.defaults", &[], "").status.success());
    assert!(!gateway.text("out/uci").contains("device.id="));
}

fn ntp() {
    let mut gateway = Gateway::new(LEAST);
    fn event(gateway: &mut Gateway, action: &str) -> bool {
        gateway.variables.insert("ACTION".into(), action.into());
        let o = gateway.script("linekeeper.ntp", &[], "");
        let said = String::from_utf8_lossy(&o.stderr).into_owned();
        assert!(o.status.success() && said.is_empty(), "{action}: {said}");
        gateway.at("clock/set").exists()
    }
    assert!(!event(&mut gateway, "unsync"), "no server answered yet");
    assert!(event(&mut gateway, "step"));
    fs::remove_file(gateway.at("clock/set")).unwrap();
    // The clock was right from the start. Later silence of the servers does not make it wrong.
    for action in ["stratum", "periodic", "unsync"] {
        assert!(event(&mut gateway, action), "{action}");
    }
}

fn button() {
    let mut gateway = Gateway::new("");
    let fake = gateway.at("applets/linekeeper");
    let asks = "#!/bin/sh\nprintf '%s|' \"$@\" >>\"$STUB_OUT/asked\"\necho 'callback CB1 is under way'\n";
    let fails = "#!/bin/sh\necho 'no linekeeper runs here' >&2\nexit 69\n";
    let programs = |script: &str| {
        fs::write(&fake, script).unwrap();
        fs::set_permissions(&fake, fs::Permissions::from_mode(0o755)).unwrap();
    };
    programs(asks);
    let press = |gateway: &mut Gateway, action: &str, seen: Option<&str>| {
        gateway.variables.insert("ACTION".into(), action.into());
        gateway.variables.remove("SEEN");
        seen.map(|seen| gateway.variables.insert("SEEN".into(), seen.into()));
        let o = gateway.script("linekeeper.button", &[], "");
        let said = String::from_utf8_lossy(&o.stderr).into_owned();
        assert!(o.status.success() && said.is_empty(), "{action} {seen:?}: {said}");
    };
    // What is pressed, touched, or makes no sense asks nobody.
    for (action, seen) in [
        ("pressed", Some("0")),
        ("pressed", Some("3")),
        ("timeout", Some("5")),
        ("released", None),
        ("released", Some("")),
        ("released", Some("0")),
        ("released", Some("2")),
        ("released", Some("-4")),
        ("released", Some("4.5")),
        ("released", Some("five")),
        ("released", Some("99999999999999999999")),
    ] {
        press(&mut gateway, action, seen);
        assert!(!gateway.at("out/asked").exists() && gateway.log().is_empty(), "{action} {seen:?}");
    }
    press(&mut gateway, "released", Some("21"));
    assert!(!gateway.at("out/asked").exists());
    assert!(gateway.log().contains("daemon.warn linekeeper: button: held for 21 s"), "{}", gateway.log());
    fs::remove_file(gateway.at("out/log")).unwrap();
    for seen in ["3", "20"] {
        press(&mut gateway, "released", Some(seen));
        assert_eq!(gateway.text("out/asked"), "callback|--reason|the button on the gateway|");
        assert_eq!(gateway.log(), "daemon.notice linekeeper: button: callback CB1 is under way\n");
        fs::remove_file(gateway.at("out/asked")).unwrap();
        fs::remove_file(gateway.at("out/log")).unwrap();
    }

    // With a light. `sleep` writes down what it shows meanwhile.
    let light = gateway.at("leds/green:wps");
    fs::create_dir_all(&light).unwrap();
    let put = |name: &str, text: &str| fs::write(light.join(name), text).unwrap();
    put("trigger", "none timer [phy0tpt] default-on\n");
    put("brightness", "7\n");
    put("max_brightness", "255\n");
    fs::remove_file(gateway.at("applets/sleep")).unwrap();
    let sleep = "#!/bin/sh\nread -r b <\"$LINEKEEPER_LEDS/green:wps/brightness\"\nprintf '%s for %s s, ' \"$b\" \"$1\" >>\"$STUB_OUT/shown\"\n";
    fs::write(gateway.at("applets/sleep"), sleep).unwrap();
    fs::set_permissions(gateway.at("applets/sleep"), fs::Permissions::from_mode(0o755)).unwrap();
    gateway.variables.insert("LINEKEEPER_LEDS".into(), gateway.at("leds").to_str().unwrap().into());
    fs::write(gateway.at("out/uci"), "linekeeper.main.button_led=green:wps\n").unwrap();
    let shown = |gateway: &Gateway| {
        let shown = gateway.text("out/shown");
        let _ = fs::remove_file(gateway.at("out/shown"));
        let now = |name: &str| fs::read_to_string(light.join(name)).unwrap();
        // As it was before.
        assert_eq!((now("brightness").as_str(), now("trigger").as_str()), ("7\n", "phy0tpt\n"));
        put("trigger", "none timer [phy0tpt] default-on\n");
        shown
    };
    press(&mut gateway, "released", Some("4"));
    assert_eq!(shown(&gateway), "255 for 3 s, ");
    programs(fails);
    press(&mut gateway, "released", Some("4"));
    assert!(gateway.log().contains("daemon.warn linekeeper: button: no linekeeper runs here"));
    assert_eq!(shown(&gateway), "255 for 1 s, 0 for 1 s, 255 for 1 s, 0 for 1 s, 255 for 1 s, ");
    // A light that is not there, or a path, keeps nobody from being asked.
    programs(asks);
    for led in ["red:nowhere", "../buttons", ".hidden"] {
        let _ = fs::remove_file(gateway.at("out/asked"));
        fs::write(gateway.at("out/uci"), format!("linekeeper.main.button_led={led}\n")).unwrap();
        press(&mut gateway, "released", Some("4"));
        assert!(gateway.at("out/asked").exists() && !gateway.at("out/shown").exists(), "{led}");
    }
    assert!(gateway.log().contains("there is no light red:nowhere in"), "{}", gateway.log());
}

/// Pins as sysfs shows them, and switches on three of them: a named one, a numbered one, and one to be exported.
fn switches() -> Gateway {
    let mut gateway = Gateway::new("");
    for (pin, files) in [("modem", &["value"][..]), ("gpio12", &["value", "direction"])] {
        fs::create_dir_all(gateway.at("gpio").join(pin)).unwrap();
        for file in files {
            fs::write(gateway.at("gpio").join(pin).join(file), "as found\n").unwrap();
        }
    }
    let uci = "system.modem_power=gpio_switch\nsystem.modem_power.gpio_pin=modem\nsystem.modem_power.value=1\n\
               system.@gpio_switch[0]=gpio_switch\nsystem.@gpio_switch[0].name=LED\n\
               system.@gpio_switch[1]=gpio_switch\nsystem.@gpio_switch[1].name=LTE modem\n\
               system.@gpio_switch[1].gpio_pin=12\n\
               system.late=gpio_switch\nsystem.late.gpio_pin=7\nsystem.late.value=on\n\
               system.sys=system\nsystem.sys.gpio_pin=modem\n\
               system.bare=gpio_switch\nsystem.out=gpio_switch\nsystem.out.gpio_pin=../leds/green\n\
               system.gone=gpio_switch\nsystem.gone.gpio_pin=modem2\n\
               system.stuck=gpio_switch\nsystem.stuck.gpio_pin=stuck\n";
    fs::write(gateway.at("out/uci"), uci).unwrap();
    gateway.variables.insert("LINEKEEPER_GPIO".into(), gateway.at("gpio").to_str().unwrap().into());
    gateway
}

/// In the place of `sleep`: writes down for how long, and the pins meanwhile.
fn no_sleep(gateway: &Gateway) {
    fs::remove_file(gateway.at("applets/sleep")).unwrap();
    let sleep = "#!/bin/sh\ncd \"$LINEKEEPER_GPIO\" && echo \"$1 s\" $(cat modem/value gpio12/direction) >>\"$STUB_OUT/slept\"\n";
    fs::write(gateway.at("applets/sleep"), sleep).unwrap();
    fs::set_permissions(gateway.at("applets/sleep"), fs::Permissions::from_mode(0o755)).unwrap();
}

fn modem_power() {
    let gateway = switches();
    no_sleep(&gateway);
    let run = |words: &[&str]| {
        let _ = fs::remove_file(gateway.at("out/slept"));
        let o = gateway.script("modem-power", words, "");
        let said = String::from_utf8_lossy(&o.stderr).into_owned();
        assert!(o.status.success() && said.is_empty(), "{words:?}: {}: {said}", o.status);
        String::from_utf8(o.stdout).unwrap()
    };
    // By the section, a named pin that is high: low for ten seconds.
    assert_eq!(
        run(&["modem_power"]),
        "the modem was without power for 10 s (gpio_switch 'modem_power', pin modem back at 1)\n"
    );
    assert_eq!(
        (gateway.text("out/slept").as_str(), gateway.text("gpio/modem/value").as_str()),
        ("10 s 0 as found\n", "1\n")
    );
    // By the name, a numbered pin that is low as nothing is said: by its direction, as OpenWrt's own script.
    run(&["LTE modem", "3"]);
    assert_eq!(gateway.text("out/slept"), "3 s 1 high\n");
    assert_eq!(gateway.text("gpio/gpio12/direction"), "low\n");
    assert_eq!(gateway.text("gpio/gpio12/value"), "as found\n");
    // On alone, with whatever else stands in the command.
    fs::write(gateway.at("gpio/modem/value"), "0\n").unwrap();
    assert_eq!(
        run(&["make-safe", "modem_power", "10"]),
        "the modem has power (gpio_switch 'modem_power', pin modem at 1)\n"
    );
    assert_eq!((gateway.text("out/slept").as_str(), gateway.text("gpio/modem/value").as_str()), ("", "1\n"));
    // One that the kernel has not shown yet.
    let export = gateway.at("gpio/export");
    assert!(Command::new("mkfifo").arg(&export).status().unwrap().success());
    let kernel = std::thread::spawn(move || {
        let asked = fs::read_to_string(&export).unwrap();
        let pin = export.with_file_name(format!("gpio{}", asked.trim()));
        fs::create_dir(&pin).unwrap();
        fs::write(pin.join("value"), "0\n").unwrap();
    });
    // Really asleep, for as long as the kernel takes.
    fs::remove_file(gateway.at("applets/sleep")).unwrap();
    std::os::unix::fs::symlink(which("busybox"), gateway.at("applets/sleep")).unwrap();
    run(&["late", "1"]);
    kernel.join().unwrap();
    assert_eq!(gateway.text("gpio/gpio7/value"), "1\n");
}

fn modem_power_comes_back() {
    let gateway = switches();
    let script = at("openwrt/linekeeper/files/modem-power");
    let value = || gateway.text("gpio/modem/value");
    let cut = |signal: &str| {
        let mut child = gateway.shell(&[&script, "modem_power", "60"]).spawn().unwrap();
        let soon = |mut holds: Box<dyn FnMut() -> bool + '_>| {
            (0..3_000).any(|_| {
                std::thread::sleep(std::time::Duration::from_millis(10));
                holds()
            })
        };
        assert!(soon(Box::new(|| value() == "0\n")), "{signal}: not cut");
        let id = child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        let mut waited = 0_u32;
        let ended = soon(Box::new(|| {
            // busybox's `wait` misses a signal that comes just before it sleeps.
            waited += 1;
            if waited.is_multiple_of(100) {
                let _ = Command::new("kill").args([signal, &id]).status();
            }
            child.try_wait().unwrap().is_some()
        }));
        assert!(ended, "{signal}: the rest of the time was waited for");
        child.wait().unwrap().code()
    };
    for (signal, code) in [("-TERM", 143), ("-INT", 130), ("-HUP", 129)] {
        assert_eq!(cut(signal), Some(code), "{signal}");
        assert_eq!(value(), "1\n", "{signal}");
    }
    // Nothing can be done then, but afterwards.
    assert_eq!(cut("-KILL"), None);
    assert_eq!(value(), "0\n");
    assert!(gateway.script("modem-power", &["make-safe", "modem_power"], "").status.success());
    assert_eq!(value(), "1\n");
    // A write that fails at first is tried again; one that always fails is said loudly.
    let away = gateway.at("away");
    fs::remove_file(gateway.at("applets/sleep")).unwrap();
    let sleep = |last: u32| {
        // The pin's file is away from the first second without power until try number `last`.
        let text = format!(
            "#!/bin/sh\ncd \"$LINEKEEPER_GPIO/modem\" || exit\n\
             if [ \"$1\" = 4 ]; then mv value \"{0}\"; mkdir value; fi\n\
             echo >>\"$STUB_OUT/tries\"\n\
             if [ \"$(wc -l <\"$STUB_OUT/tries\")\" = {last} ]; then rmdir value; mv \"{0}\" value; fi\n",
            away.display()
        );
        fs::write(gateway.at("applets/sleep"), text).unwrap();
        fs::set_permissions(gateway.at("applets/sleep"), fs::Permissions::from_mode(0o755)).unwrap();
        let _ = fs::remove_file(gateway.at("out/tries"));
        gateway.script("modem-power", &["modem_power", "4"], "")
    };
    assert!(sleep(3).status.success());
    assert_eq!(value(), "1\n");
    let o = sleep(0);
    assert_eq!(o.status.code(), Some(74));
    let said = String::from_utf8(o.stderr).unwrap();
    assert!(said.contains("THE MODEM MAY BE WITHOUT POWER") && said.lines().count() == 1, "{said}");
}

fn modem_power_faults() {
    let gateway = switches();
    no_sleep(&gateway);
    // What nobody may write to, root neither.
    fs::create_dir_all(gateway.at("gpio/stuck/value")).unwrap();
    for (words, code, said) in [
        (&[][..], 64, "which switch?"),
        (&[""], 64, "which switch?"),
        (
            &["modem_power", "0"],
            64,
            "'0' is no time to be off; usage: modem-power SWITCH [SECONDS, 1 to 300]",
        ),
        (&["modem_power", "301"], 64, "301 s are too long"),
        (&["modem_power", "-1"], 64, "is no time"),
        (&["modem_power", "1000000000000000000000"], 64, "is no time"),
        (&["modem_power", "10", "now"], 64, "what is 'now'?"),
        (&["nothing"], 66, "is 'nothing', nor has it as `option name`; see `uci show system`"),
        // Another kind of section, and what could be a pattern or a path of uci's.
        (&["sys"], 66, "no `config gpio_switch`"),
        (&["modem_power.value"], 66, "no `config gpio_switch`"),
        (&["@gpio_switch[*]"], 66, "no `config gpio_switch`"),
        (&["LED"], 78, "'LED' has no `option gpio_pin`; add it"),
        (&["bare"], 78, "has no `option gpio_pin`"),
        (&["out"], 78, "gpio_pin '../leds/green', which is no pin's"),
        (&["gone"], 69, "the kernel has no"),
        (&["late"], 69, "gpio/gpio7 for the gpio_switch 'late'"),
        (&["stuck"], 74, "the modem keeps its power; run this as root"),
        (&["make-safe"], 64, "which switch?"),
        (&["make-safe", "nothing"], 66, "no `config gpio_switch`"),
        (&["make-safe", "stuck"], 74, "THE MODEM MAY BE WITHOUT POWER"),
    ] {
        let o = gateway.script("modem-power", words, "");
        let told = String::from_utf8_lossy(&o.stderr).into_owned();
        assert_eq!(o.status.code(), Some(code), "{words:?}: {told}");
        assert!(told.starts_with("modem-power: ") && told.contains(said), "{words:?}: {told}");
        assert!(o.stdout.is_empty());
        assert_eq!(gateway.text("gpio/modem/value"), "as found\n", "{words:?}");
    }
}

/// Everything together, but procd and rpcd: the init script's file, the real daemon (which only looks), the real plugin.
fn daemon_runs() {
    struct Daemon(std::process::Child);
    impl Drop for Daemon {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
    let mut gateway = Gateway::new(&format!("{LEAST}\nconfig outage\n\toption patience 'soon'\n"));
    gateway.init("start");
    let config = gateway.at("run/linekeeper/config.json");
    let mut command = Command::new(agent_binary());
    command.args(["run", "--dry-run", "--config"]).arg(&config).stderr(std::process::Stdio::null());
    let _daemon = Daemon(command.spawn().unwrap());
    for _ in 0..6_000 {
        if gateway.at("run/linekeeper/socket").exists() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    // The plugin finds it where the command line looks by default; here that is not /var/run.
    let program = agent_binary();
    gateway.program(&format!(
        "verb=$1\nshift\nexec {program} \"$verb\" --socket {} \"$@\"\n",
        gateway.at("run/linekeeper.sock").display()
    ));
    let told = gateway.call("status", "{}");
    assert_eq!(told["device_id"], "gw-0001", "{told}");
    assert_eq!(told["status"]["targets"][2]["host"], "203.0.113.53", "{told}");
    assert!(told["config_faults"][0].as_str().unwrap().starts_with("outage.patience must be"), "{told}");
    // There is no broker: it is noted, and whoever asks is told that nobody will call.
    let told = gateway.call("callback", "{\"reason\":\"slow\"}");
    let error = told["error"].as_str().unwrap();
    assert!(error.contains("nobody is told") && told["callback_id"].is_null(), "{told}");
    let socket = gateway.at("run/linekeeper.sock");
    let ask = |words: &[&str]| {
        Command::new(agent_binary()).args(["callback", "--socket"]).arg(&socket).args(words).output().unwrap()
    };
    let o = ask(&[]);
    assert_eq!((o.status.code(), o.stdout.len()), (Some(69), 0));
    assert!(String::from_utf8_lossy(&o.stderr).contains("nobody is told: no broker is configured"));
    let o = ask(&["--json"]);
    assert_eq!(o.status.code(), Some(69));
    let told: Value = serde_json::from_slice(&o.stdout).unwrap();
    assert_eq!(told["told"], false, "{told}");
    let told = gateway.call("status", "{}");
    assert_eq!(told["status"]["callbacks"][0]["trigger"], "customer", "{told}");
}

fn plugin_lists() {
    let mut gateway = Gateway::new("");
    let list = |gateway: &Gateway| -> Value {
        serde_json::from_slice(&gateway.script("linekeeper.rpcd", &["list"], "").stdout).unwrap()
    };
    gateway.program("echo '  status     how'\n");
    let without = json!({ "status": {}, "callback": { "reason": "text" }, "speedtest": { "start": true } });
    assert_eq!(list(&gateway), without);
    gateway.program("echo '  diagnose   where'\n");
    assert_eq!(list(&gateway)["diagnose"], json!({}));
}

/// It needs no daemon, so it has to be told which configuration the daemon would have. Exit code 1 is a fault found.
fn plugin_diagnose() {
    let mut gateway = Gateway::new("");
    gateway.program("echo \"$@\" >\"$STUB_OUT/words\"\necho '{\"fault_domain\":\"link\"}'\nexit 1\n");
    assert_eq!(gateway.call("diagnose", "{}"), json!({ "fault_domain": "link" }));
    let words = gateway.text("out/words");
    assert!(
        words.starts_with("diagnose --config ") && words.ends_with("run/linekeeper/config.json --json\n"),
        "{words}"
    );
    gateway.program("echo 'cannot read the configuration' >&2\nexit 66\n");
    assert_eq!(gateway.call("diagnose", "{}")["error"], "cannot read the configuration");
    // The real one knows this verb and lists it as the plugin expects.
    gateway.variables.insert("LINEKEEPER_PROGRAM".into(), agent_binary().into());
    let listed = gateway.script("linekeeper.rpcd", &["list"], "").stdout;
    assert_eq!(serde_json::from_slice::<Value>(&listed).unwrap()["diagnose"], json!({}));
}

/// Left out alone, a key that nobody can read would let orders through that are not signed.
fn commands_without_their_key_are_left_out() {
    let uci = "config commands\n\tlist allow 'reboot'\n\toption key 'd75a'\n";
    let gateway = Gateway::new(&format!("{LEAST}{uci}"));
    gateway.init("start");
    assert!(gateway.log().contains("; left out: commands\n"), "{}", gateway.log());
    // Nor are those that anybody may give without a key: `reboot` alone was named.
    assert_eq!(gateway.json()["commands"], json!({ "allow": [] }));
    // A command that there is not is left out alone; `allow` keeps what it names besides, and the key.
    let key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let uci = format!(
        "config commands\n\tlist allow 'reboot'\n\tlist allow 'format'\n\toption key '{key}'\n\
         config desired\n\toption accept '0'\n"
    );
    let gateway = Gateway::new(&format!("{LEAST}{uci}"));
    gateway.init("start");
    assert!(gateway.log().contains("; left out: commands.allow#1\n"), "{}", gateway.log());
    assert_eq!(gateway.json()["commands"], json!({ "allow": ["reboot"], "key": key }));
    assert_eq!(gateway.json()["desired"], json!({ "accept": false }));
}

/// UCI has no empty list, and three of ours mean something when they are empty.
fn none_is_an_empty_list() {
    let uci = "config programme\n\tlist after 'none'\nconfig telemetry\n\toption fields 'none'\n\
               config commands\n\tlist allow 'none'\n";
    let gateway = Gateway::new(&format!("{LEAST}{uci}"));
    gateway.init("start");
    assert_eq!(gateway.log(), "");
    let built = gateway.json();
    assert_eq!(built["programme"], json!({ "after": [] }));
    assert_eq!(built["telemetry"], json!({ "fields": [] }));
    assert_eq!(built["commands"], json!({ "allow": [] }));
    // Only where that is so; elsewhere it is a word like any other.
    let gateway = Gateway::new(&format!("{LEAST}config speed\n\tlist servers 'none'\n"));
    gateway.init("start");
    assert!(gateway.log().contains("left out: speed.servers#0"), "{}", gateway.log());
}

/// With their defaults these lists would send, or obey, what nobody named.
fn faults_do_not_widen() {
    for (section, name, one) in
        [("privacy", "fields", "facts"), ("telemetry", "fields", "line"), ("commands", "allow", "check")]
    {
        for wrong in ["'all'", "'Customer'", "'none '", "'\u{e9}'", "'none, facts'"] {
            let of = |more: &str| {
                let gateway =
                    Gateway::new(&format!("{LEAST}config {section}\n\tlist {name} {wrong}\n{more}"));
                assert!(gateway.init("start").contains("open_instance"));
                (gateway.json()[section].clone(), gateway.log())
            };
            let (built, log) = of("");
            assert_eq!(built, json!({ name: [] }), "{section} {wrong}");
            assert!(log.contains(&format!("{section}.{name}[0] must be")), "{log}");
            assert!(log.contains(&format!("left out: {section}.{name}#0\n")), "{log}");
            // What is understood beside it holds.
            assert_eq!(
                of(&format!("\tlist {name} '{one}'\n")).0,
                json!({ name: [one] }),
                "{section} {wrong}"
            );
        }
        // What does not even come as far as being read.
        let gateway = Gateway::new("");
        gateway.uci(
            [LEAST.as_bytes(), format!("config {section}\n\tlist {name} '").as_bytes(), b"\xff'\n"].concat(),
        );
        gateway.init("start");
        assert_eq!(gateway.json()[section], json!({ name: [] }), "{section}");
        assert!(gateway.log().contains("it is not UTF-8"), "{}", gateway.log());
        // Nothing said is the default, whatever else is wrong there.
        let gateway = Gateway::new(&format!("{LEAST}config {section}\n\toption stray 'x'\n"));
        gateway.init("start");
        assert_eq!(gateway.json()[section].get(name), None, "{section}");
    }
    // What has a default that might allow more than was meant.
    let uci = "config remedies\n\tlist ladder 'hammer'\n\toption per_day_reboot 'never'\n\toption per_incident_renew '-1'\n\
               config desired\n\toption accept 'never'\nconfig line\n\toption metered 'yess'\n\
               config speed\n\tlist servers 'http://speed.example/'\n\toption per_day 'few'\n";
    let gateway = Gateway::new(&format!("{LEAST}{uci}"));
    gateway.init("start");
    let built = gateway.json();
    assert_eq!(built["remedies"]["ladder"], json!([]));
    assert_eq!(built["remedies"]["per_day"]["reboot"], 0);
    assert_eq!(built["remedies"]["per_incident"]["renew"], 0);
    assert_eq!((&built["desired"]["accept"], &built["line"]["metered"]), (&json!(false), &json!(true)));
    assert_eq!(built["speed"]["per_day"], 1);
    for (section, fault) in [
        ("speed", "\tlist servers 'http://speed.example/'\n\toption budget_day 'little'\n"),
        ("mqtt", "\tlist brokers 'mqtts://broker.example'\n\toption ca 'ca.pem'\n"),
    ] {
        let gateway = Gateway::new(&format!("{LEAST}config {section}\n{fault}"));
        gateway.init("start");
        assert_eq!(gateway.json().get(section), None, "{section}: {}", gateway.log());
    }
    let gateway = Gateway::new(&LEAST.replace("enabled '1'", "enabled '1'\n\toption dry_run 'yess'"));
    assert!(gateway.init("start").contains("append_param|command|--dry-run"), "{}", gateway.log());
    // Where the whole section goes, what it would not have allowed is not allowed either.
    let uci = "config commands\n\tlist allow 'check'\n\toption key 'd75a'\n";
    let gateway = Gateway::new(&format!("{LEAST}{uci}"));
    gateway.init("start");
    assert_eq!(gateway.json()["commands"], json!({ "allow": [] }));
    // A reload with it is another configuration, and no wider one.
    gateway.uci(format!("{LEAST}config privacy\n\tlist fields 'facts'\n"));
    gateway.init("reload");
    assert_eq!(gateway.json()["privacy"], json!({ "fields": ["facts"] }));
    gateway.uci(format!("{LEAST}config privacy\n\tlist fields 'fact'\n"));
    gateway.init("reload");
    assert_eq!(gateway.json()["privacy"], json!({ "fields": [] }));
}

fn plugin_status() {
    let mut gateway = Gateway::new("");
    fs::create_dir_all(gateway.at("run/linekeeper")).unwrap();
    fs::write(gateway.at("run/linekeeper/faults.txt"), "a.b must be \"x\"\nc.d is not a key here\n").unwrap();
    let faults = json!(["a.b must be \"x\"", "c.d is not a key here"]);
    // Exit code 1 says that the line is down: an answer all the same.
    for code in [0, 1] {
        gateway.program(&format!(
            "[ \"$*\" = 'status --json' ] && echo '{{\"device_id\":\"gw\",\"n\":[1]}}'\nexit {code}\n"
        ));
        assert_eq!(
            gateway.call("status", "{}"),
            json!({ "device_id": "gw", "n": [1], "config_faults": faults })
        );
    }
    gateway.program("echo 'linekeeper: no linekeeper runs here (\"x\")' >&2\nexit 69\n");
    let told = gateway.call("status", "{}");
    assert_eq!(told["error"], "linekeeper: no linekeeper runs here (\"x\")");
    assert_eq!(told["config_faults"], faults);
    assert!(!gateway.script("linekeeper.rpcd", &["call", "format-flash"], "{}").status.success());
}

fn plugin_callback() {
    let mut gateway = Gateway::new("");
    gateway.program("shift\nprintf '%s' \"$1\" >\"$STUB_OUT/reason\"\necho '{\"callback_id\":\"CB1\"}'\n");
    let reason = "--socket=/x 'it' \"is\" $(touch ran) `touch ran` slow \\ 很慢";
    let told = gateway.call("callback", &json!({ "reason": reason }).to_string());
    assert_eq!(told, json!({ "callback_id": "CB1" }));
    assert_eq!(gateway.text("out/reason"), format!("--reason={reason}"));
    assert!(!gateway.at("ran").exists());
    // Nothing, or nothing that can be read, is no reason.
    for input in ["", "{}", "no JSON"] {
        assert_eq!(gateway.call("callback", input)["callback_id"], "CB1", "{input}");
        assert_eq!(gateway.text("out/reason"), "--reason=");
    }
}

fn plugin_speedtest() {
    let mut gateway = Gateway::new("");
    assert_eq!(gateway.call("speedtest", "{}"), json!({ "state": "none" }));
    // It goes on until it is told to end: no clock decides.
    let go = gateway.at("go");
    assert!(Command::new("mkfifo").arg(&go).status().unwrap().success());
    gateway.program(&format!(
        "echo \"$@\" >\"$STUB_OUT/words\"\nread -r x <{}\necho '{{\"tests\":[]}}'\n",
        go.display()
    ));
    assert_eq!(gateway.call("speedtest", "{\"start\":true}"), json!({ "state": "running", "seconds": 0 }));
    assert_eq!(gateway.call("speedtest", "{}")["state"], "running");
    assert_eq!(gateway.call("speedtest", "{\"start\":true}")["state"], "running", "one at a time");
    fs::write(&go, "\n").unwrap();
    let done = loop {
        let told = gateway.call("speedtest", "{}");
        if told["state"] != "running" {
            break told;
        }
    };
    assert_eq!(done, json!({ "state": "done", "result": { "tests": [] } }));
    let words = gateway.text("out/words");
    assert!(
        words.starts_with("speedtest --config ") && words.ends_with("run/linekeeper/config.json --json\n"),
        "{words}"
    );
    gateway.program("echo 'no test server is known' >&2\nexit 64\n");
    gateway.call("speedtest", "{\"start\":true}");
    let failed = loop {
        let told = gateway.call("speedtest", "{}");
        if told["state"] == "done" {
            break told;
        }
    };
    assert_eq!(failed["result"]["error"], "no test server is known");
}

/// The build system around the package's Makefile: `make WHAT` in it, with its variables and `install` for the modes.
fn make(words: &[&str]) -> (tempfile::TempDir, Output) {
    let room = tempfile::tempdir().unwrap();
    let top = room.path().to_str().unwrap();
    let include = at("tests/openwrt/make");
    for folder in ["feeds/packages/lang/rust", "installed/bin"] {
        fs::create_dir_all(room.path().join(folder)).unwrap();
    }
    fs::copy(format!("{include}/rules.mk"), room.path().join("rules.mk")).unwrap();
    fs::copy(
        format!("{include}/rust-package.mk"),
        room.path().join("feeds/packages/lang/rust/rust-package.mk"),
    )
    .unwrap();
    fs::write(room.path().join("installed/bin/linekeeper"), "program").unwrap();
    let out = Command::new("make")
        .args(["--no-print-directory", "-C", &at("openwrt/linekeeper")])
        .args([&format!("TOPDIR={top}"), &format!("INCLUDE_DIR={include}")])
        .args([&format!("PKG_BUILD_DIR={top}/build"), &format!("PKG_INSTALL_DIR={top}/installed")])
        .args([&format!("DESTINATION={top}/root")])
        .args(words)
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL")
        .output()
        .unwrap();
    assert!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
    (room, out)
}

fn makefile_fields() {
    let (_, out) = make(&["told"]);
    let told = String::from_utf8(out.stdout).unwrap();
    let fields: BTreeMap<&str, &str> = told.lines().filter_map(|l| l.split_once('=')).collect();
    let is = |name: &str, value: &str| assert_eq!(fields.get(name), Some(&value), "{name} in\n{told}");
    is("PKG_NAME", "linekeeper");
    // The feed's CI runs `--version` and wants to see it.
    is("PKG_VERSION", agent_version());
    is("PKG_BUILD_DEPENDS", "rust/host");
    is("CARGO_PKG_PROFILE", "router");
    is("RUST_PKG_FEATURES", "");
    is("called", "RustBinPackage linekeeper BuildPackage linekeeper");
    is("USERID", "linekeeper=433:linekeeper=433");
    is("DEPENDS", "@(rust)");
    is("conffiles", "/etc/config/linekeeper /etc/linekeeper/");
    is("compile", "cargo install --profile router --path src/gateway --no-default-features --bin linekeeper");
    let release = |field: &str| fields[field].parse::<u32>().is_ok_and(|n| n >= 1);
    assert!(release("PKG_RELEASE"));
    // What the profile must say itself, as the feed rewrites `release`.
    let manifest = repository_text("Cargo.toml");
    let profile = manifest.split("[profile.router]").nth(1).unwrap().split("\n[").next().unwrap();
    for line in [
        "opt-level = \"z\"",
        "lto = \"fat\"",
        "codegen-units = 1",
        "panic = \"abort\"",
        "overflow-checks = false",
        "debug = false",
    ] {
        assert!(profile.contains(line), "the profile router does not say {line}");
    }
}

fn makefile_installs() {
    let (room, _) = make(&["install"]);
    let root = room.path().join("root");
    let mut there = BTreeMap::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            if meta.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                there.insert(name, format!("{:o}", meta.permissions().mode() & 0o777));
            }
        }
    }
    let wanted = [
        ("etc/capabilities/linekeeper.json", "644"),
        ("etc/config/linekeeper", "600"),
        ("etc/hotplug.d/ntp/80-linekeeper", "755"),
        ("etc/init.d/linekeeper", "755"),
        ("etc/rc.button/linekeeper", "755"),
        ("etc/uci-defaults/80-linekeeper", "755"),
        ("lib/upgrade/keep.d/linekeeper", "644"),
        ("usr/libexec/linekeeper/modem-power", "755"),
        ("usr/libexec/rpcd/linekeeper", "755"),
        ("usr/sbin/linekeeper", "755"),
        ("usr/share/acl.d/linekeeper.json", "644"),
        ("usr/share/linekeeper/explained", "644"),
        ("usr/share/linekeeper/options", "644"),
        ("usr/share/linekeeper/uci.sh", "644"),
    ];
    let wanted = wanted.map(|(path, mode)| (path.to_owned(), mode.to_owned()));
    assert_eq!(there, BTreeMap::from(wanted));
    assert!(root.join("etc/linekeeper").is_dir());
    // Nothing in the folder is forgotten.
    let files = fs::read_dir(at("openwrt/linekeeper/files")).unwrap().count();
    // The program, and the configuration's second copy.
    assert_eq!(files + 2, there.len());
    // `uci commit` drops all comments, also at the first boot: what explains the options stands where it does not reach.
    let explained = fs::read_to_string(root.join("usr/share/linekeeper/explained")).unwrap();
    assert_eq!(explained, fs::read_to_string(root.join("etc/config/linekeeper")).unwrap());
    assert!(explained.contains("/usr/share/linekeeper/explained"));
}

fn luci_makefile() {
    let room = tempfile::tempdir().unwrap();
    let top = room.path();
    fs::create_dir_all(top.join("feeds/luci")).unwrap();
    fs::write(top.join("rules.mk"), "").unwrap();
    let stub = "told:\n\t@echo '$(LUCI_DEPENDS)|$(LUCI_PKGARCH)|$(PKG_VERSION)|$(LUCI_TITLE)'\n";
    fs::write(top.join("feeds/luci/luci.mk"), stub).unwrap();
    let out = Command::new("make")
        .args(["--no-print-directory", "-C", &at("openwrt/luci-app-linekeeper"), "told"])
        .arg(format!("TOPDIR={}", top.display()))
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL")
        .output()
        .unwrap();
    let version = agent_version();
    let wanted = format!("+luci-base +rpcd +linekeeper|all|{version}|LuCI support for linekeeper\n");
    assert_eq!(String::from_utf8_lossy(&out.stdout), wanted, "{}", String::from_utf8_lossy(&out.stderr));
}

fn makefile_prepares() {
    let (room, _) = make(&["prepare"]);
    let o = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--locked", "--no-deps", "--format-version=1"])
        .current_dir(room.path().join("build"))
        .output()
        .unwrap();
    assert!(o.status.success(), "{}", String::from_utf8_lossy(&o.stderr));
    let metadata: Value = serde_json::from_slice(&o.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let ours = packages.iter().find(|package| package["name"] == "linekeeper").unwrap();
    assert!(ours["manifest_path"].as_str().unwrap().ends_with("/src/gateway/Cargo.toml"), "{ours}");
}

fn json_files() {
    for file in ["linekeeper/files/linekeeper.acl", "linekeeper/files/linekeeper.capabilities"] {
        let text = repository_text(&format!("openwrt/{file}"));
        let _: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{file}: {e}"));
    }
}
