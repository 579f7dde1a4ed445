//! Errors of the configuration reader: every fault at once, each with what must be, what is, and where.

// Clippy knows `#[test]` functions as tests, not what they call.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test's way to fail")]

use crate::common::{repository_path, repository_text};
use linekeeper::config_text::{Format, load_text};
use linekeeper_contract::units::{Bytes, LocalTime, Millicelsius, Permille, Rate, Span};
use linekeeper_contract::vocabulary::{Protocol, Reading, Rung};
use linekeeper_judge::config::options::{Entry, Form, Note};
use linekeeper_judge::config::read::KEYS;
use linekeeper_judge::config::{
    Broker, Budget, Config, Driver, Faults, Group, Health, HookOn, Hooks, Language, Limits, LinuxDriver,
    Name, OpenWrtDriver, Places, Quiet, Role, Rule, RungLimits, Shared, Speed, TlsVersion, Usage, Web, read,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::path::PathBuf;

/// The smallest tree that is accepted.
fn small() -> Value {
    json!({ "device": { "id": "gw-1" }, "probe": { "targets": [{ "host": "192.0.2.1", "role": "anchor" }] } })
}

/// [`small`] with other values laid over it.
fn small_with(changes: Value) -> Value {
    fn lay(under: &mut Value, over: Value) {
        match (under, over) {
            (Value::Object(under), Value::Object(over)) => {
                for (key, value) in over {
                    lay(under.entry(key).or_insert(Value::Null), value);
                }
            }
            (under, over) => *under = over,
        }
    }
    let mut tree = small();
    lay(&mut tree, changes);
    tree
}

fn accepted(changes: Value) -> Config {
    read(&small_with(changes), &Places::none()).unwrap_or_else(|faults| panic!("{faults}"))
}

/// The faults of [`small`] with `changes`, one line each.
fn fault_lines(changes: Value) -> Vec<String> {
    lines(read(&small_with(changes), &Places::none()).expect_err("must be refused"))
}

fn lines(faults: Faults) -> Vec<String> {
    let text = faults.to_string();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("configuration rejected:"));
    lines.map(|line| line.strip_prefix("  - ").expect("each fault on its line").to_owned()).collect()
}

#[test]
fn five_faults_give_five_lines() {
    let text = r#"[device]
id = "gw-0001"

[promise]
download = { normal = "0 Mbit/s", maximum = "100 Mbit/s" }

[probe]
intervall = "1 s"
timeout = 1000
targets = [
    { host = "198.51.100.1", role = "anchor" },
    { host = "203.0.113.53", role = "isp" },
]

[mqtt]
broker = "mqtts://broker.isp.example"
ca = "/etc/linekeeper/ca.pem"
key = "/etc/linekeeper/device.key"
"#;
    let faults = load_text(text, Format::Toml).unwrap_err();
    assert_eq!(
        faults.to_string(),
        r#"configuration rejected:
  - probe.targets[1].role must be anchor or world, is "isp" (line 12)
  - probe.timeout must be 100 ms to 10 s, is 1000: name the unit, as in "500 ms" (line 9)
  - probe.intervall is not a key here; did you mean probe.interval? (line 8)
  - promise.download.normal must be 64 kbit/s to 100 Gbit/s, is "0 Mbit/s" (line 5)
  - mqtt.certificate is missing: mqtt.key needs it (line 15)"#
    );
}

#[test]
fn smallest_configuration_has_the_documented_defaults() {
    let config = accepted(json!({}));
    assert_eq!(config.device.id, "gw-1");
    assert_eq!((config.device.customer, config.device.area, config.device.installed), (None, None, None));
    assert_eq!(config.device.language, Language::En);
    assert_eq!(config.line.device, None);
    assert!(!config.line.metered);
    assert_eq!(config.line.protocol, Protocol::Dhcp);
    assert_eq!(config.promise, Default::default());
    assert_eq!((config.promise.rule, config.promise.threshold), (Rule::Sequential, Permille(800)));
    assert_eq!(config.speed, Speed::default());
    assert!(config.speed.servers.is_empty());
    assert_eq!(
        (config.speed.budget.day, config.speed.budget.month),
        (Bytes(1_000_000_000), Bytes(20_000_000_000))
    );
    assert_eq!((config.speed.seconds, config.speed.per_day), (Span::seconds(10), 10));
    assert_eq!(config.speed.quiet, Quiet { window: Span::seconds(10), share: Permille(100) });
    let asked = Name {
        resolvers: vec![],
        resolv_conf: None,
        independent: None,
        known: "example.com".into(),
        every: Span::minutes(5),
    };
    assert_eq!(config.name, asked);
    assert_eq!(config.web, Web { url: None, status: 204, body: None, every: Span::minutes(15) });
    assert_eq!(config.health, Health::default());
    assert_eq!((config.health.every, config.health.readings), (Span::seconds(60), 5));
    let limits =
        |failing, recovering| Limits { failing: Permille(failing), recovering: Permille(recovering) };
    assert_eq!((config.health.cpu, config.health.memory), (limits(950, 800), limits(80, 150)));
    assert_eq!((config.health.flash, config.health.conntrack), (limits(50, 100), limits(900, 750)));
    let hot = Limits { failing: Millicelsius(95_000), recovering: Millicelsius(85_000) };
    assert_eq!(config.health.temperature, hot);
    assert_eq!(config.health.port_errors, limits(10, 1));
    let usage = Usage {
        enabled: true,
        lasts: Span::minutes(15),
        factor: 4,
        least: Rate(1_000_000),
        weeks: 3,
        callback: false,
    };
    assert_eq!((config.usage, &config.callback.warnings[..]), (usage, &[][..]));
    let share = accepted(json!({ "promise": { "rule": "share" } }));
    assert_eq!(share.promise.rule, Rule::Share { short: 4, of: 6 });
    assert!(config.probe.gateway);
    assert_eq!(config.probe.interval, Span::millis(500));
    assert_eq!(config.probe.timeout, Span::seconds(1));
    assert_eq!(config.probe.grace, Span::minutes(2));
    assert_eq!(config.outage.patience, Span::seconds(2));
    assert_eq!(config.outage.hold_down, Span::minutes(5));
    assert_eq!(config.outage.flapping, 5);
    assert_eq!(config.outage.veto, Rate(10_000));
    assert_eq!(config.remedies.driver, Driver::None);
    assert_eq!(config.remedies.ladder, [Rung::Renew, Rung::RestartInterface]);
    assert_eq!(config.remedies.again, Span::minutes(30));
    assert!(config.remedies.learning);
    let rung = |rung, limit, settle, per_day, per_incident| {
        let limits = RungLimits { limit, settle, per_day, per_incident };
        assert_eq!(*config.remedies.limits(rung), limits, "{}", rung.as_str());
    };
    rung(Rung::Renew, Span::seconds(10), Span::seconds(4), 24, 12);
    rung(Rung::OtherResolver, Span::seconds(10), Span::seconds(15), 6, 3);
    rung(Rung::RestartInterface, Span::seconds(15), Span::seconds(8), 6, 6);
    rung(Rung::RestartNetwork, Span::seconds(45), Span::seconds(20), 3, 3);
    rung(Rung::PowerModem, Span::seconds(60), Span::minutes(3), 3, 3);
    rung(Rung::Reboot, Span::minutes(2), Span::minutes(4), 1, 1);
    assert_eq!(config.callback.after, Span::seconds(60));
    assert_eq!(config.callback.quality, Span::minutes(30));
    assert_eq!(config.callback.receipt, Span::seconds(60));
    assert_eq!(config.programme.after, [Span::hours(24), Span::days(7), Span::days(30)]);
    assert_eq!(
        (config.telemetry.every, &config.telemetry.fields[..]),
        (Some(Span::hours(1)), &Group::ALL[..])
    );
    assert_eq!(accepted(json!({ "telemetry": { "fields": [] } })).telemetry.every, None);
    assert_eq!((config.privacy.full_addresses, &config.privacy.fields[..]), (false, &Shared::ALL[..]));
    assert_eq!(accepted(json!({ "privacy": { "fields": [] } })).privacy.fields, []);
    assert_eq!(config.mqtt, None);
    assert_eq!(config.store.directory, PathBuf::from("/var/lib/linekeeper"));
    assert_eq!(config.store.outbox, Bytes(256_000));
    assert_eq!(config.socket, PathBuf::from("/var/run/linekeeper.sock"));

    let mqtt = accepted(json!({ "mqtt": { "broker": "mqtt://192.0.2.9" } })).mqtt.unwrap();
    assert_eq!(mqtt.brokers, [Broker { host: "192.0.2.9".into(), port: 1883, tls: false }]);
    assert_eq!((mqtt.ca, mqtt.client, mqtt.login), (None, None, None));
    assert_eq!(mqtt.tls, TlsVersion::V13);
    // The system's own authorities do.
    let mqtts = accepted(json!({ "mqtt": { "broker": "mqtts://a.example" } })).mqtt.unwrap();
    assert_eq!((mqtts.ca, mqtts.brokers[0].tls), (None, true));
    assert_eq!(mqtt.keep_alive, Span::seconds(30));
    assert_eq!(mqtt.reconnect, Span::minutes(5));
    assert_eq!(mqtt.session, Span::days(1));

    let linux = json!({ "driver": "linux", "ladder": ["restart-interface", "reboot"] });
    let Driver::Linux(linux) = accepted(json!({ "remedies": linux })).remedies.driver else {
        panic!("linux")
    };
    assert_eq!(linux, LinuxDriver { reboot: vec!["reboot".into()], ..LinuxDriver::default() });
}

/// A default of which the field's own documentation says something else would be a lie to the reader.
#[test]
fn each_default_has_its_argument() {
    let mut seen = 0;
    for (heading, notes) in
        linekeeper_judge::config::read::options().iter().zip(linekeeper_judge::config::read::notes())
    {
        for (entry, note) in heading.entries.iter().zip(notes.notes) {
            each_argued(&format!("{}.{}", heading.section, entry.key), entry, &note, &mut seen);
        }
    }
    assert!(seen > 60, "only {seen} defaults have an argument");
}

/// Where a default is, the documentation says it, and why. A table's argument stands with the table or with its keys.
fn each_argued(path: &str, entry: &Entry, note: &Note, seen: &mut usize) {
    let argument = note.argument.join(" ");
    let says =
        |default: &str| assert!(argument.contains(default), "{path} does not say {default:?}: {argument}");
    match (&entry.form, &entry.default) {
        (Form::Table(keys), _) if note.notes.iter().any(|note| !note.argument.is_empty()) => {
            for (key, note) in keys.iter().zip(&note.notes) {
                each_argued(&format!("{path}.{}", key.key), key, note, seen);
            }
            return;
        }
        (Form::Table(keys), _) => {
            for key in keys.iter().filter(|key| key.default.is_some()) {
                says("Default");
                let default = key.default.as_ref().unwrap();
                says(&default.as_str().map_or_else(|| default.to_string(), str::to_owned));
            }
        }
        (Form::Quantity { .. }, Some(default)) => says(&format!("Default {}", default.as_str().unwrap())),
        (Form::Count { .. } | Form::Flag, Some(default)) => says(&format!("Default {default}")),
        (Form::Choice(_), Some(default)) => says(default.as_str().unwrap()),
        (_, Some(_)) => says("Default"),
        (_, None) => return,
    }
    *seen += 1;
}

#[test]
fn every_key_is_read() {
    let config = accepted(json!({
        "device": {
            "customer": "客户-12", "area": "north-3/olt-7", "installed": "2026-11-20T09:00:00+08:00",
            "language": "zh-CN",
        },
        "line": { "device": "eth1.835", "metered": true, "protocol": "static" },
        "promise": {
            "download": { "minimum": "60 Mbit/s", "normal": "90 Mbit/s", "maximum": "1 Gbit/s" },
            "upload": { "normal": "2.5 Mbit/s" }, "latency": "50 ms", "loss": "0.5 %",
            "rule": "share", "threshold": "90 %", "share": { "short": 3, "of": 8 },
        },
        "speed": {
            "servers": ["http://speed.example/", "https://[2001:db8::9]:8443/x"],
            "budget": { "day": "2 GB", "month": "30 GB" }, "seconds": "5 s", "per_day": 24,
            "quiet": { "window": "30 s", "share": "5 %" },
        },
        "probe": {
            "targets": [{ "host": "2001:db8::1", "role": "anchor" }, { "host": "ping.example", "role": "world" }],
            "gateway": false, "interval": "1 s", "timeout": "2s", "grace": "0 s",
        },
        "name": {
            "resolvers": ["192.0.2.53", "2001:db8::53"], "resolv_conf": "/run/resolv.conf",
            "independent": "203.0.113.53", "exists": "resolves.example", "every": "1 min",
        },
        "web": { "url": "http://web.example/x", "status": 200, "body": " success\n", "every": "2 min" },
        "health": {
            "every": "10 s", "readings": 3, "cpu": { "failing": "90 %", "recovering": "50 %" },
            "memory": { "recovering": "20 %" }, "temperature": { "failing": "80 °C", "recovering": "70.5 C" },
        },
        "outage": { "patience": "3 s", "hold_down": "1 h", "flapping": 9, "veto": "20 kbit/s" },
        "remedies": {
            "driver": "linux", "ladder": ["reboot", "power-modem", "renew", "restart-interface"], "again": "1 h",
            "limit": { "renew": "20 s" }, "settle": { "restart-interface": "30 s" }, "per_day": { "reboot": 0 },
            "dhcp_client": ["udhcpc", "-i", "eth1"], "dhcp_pidfile": "/run/udhcpc.pid",
            "power_modem": ["/sbin/modem"], "reboot": ["/sbin/reboot", "-f"], "learning": false,
            "per_incident": { "renew": 2, "reboot": 0 }, "restart_network": ["/etc/init.d/network", "restart"],
            "other_resolver": ["use", "{resolver}"],
        },
        "callback": { "after": "0 s", "quality": "5 min", "receipt": "1 h", "warnings": ["flash", "port_speed"] },
        "usage": {
            "enabled": false, "lasts": "6 h", "factor": 2, "least": "64 kbit/s", "weeks": 6, "callback": true,
        },
        "mqtt": {
            "brokers": ["mqtts://a.example", "mqtts://[2001:db8::2]:99"], "ca": "/ca", "certificate": "/c", "key": "/k",
            "username": "gw", "password_file": "/p", "keep_alive": "1 min", "reconnect": "10 s", "session": "30 d",
        },
        "hooks": { "program": "/etc/linekeeper/hook", "on": ["callback", "remedy"], "limit": "30 s" },
        "store": { "directory": "/data", "outbox": "1 MB" },
        "status": { "socket": "/run/lk.sock" },
    }));
    let hooks = Hooks {
        program: "/etc/linekeeper/hook".into(),
        on: vec![HookOn::Callback, HookOn::Remedy],
        limit: Span::seconds(30),
    };
    assert_eq!(config.hooks, Some(hooks));
    assert_eq!(config.device.customer.as_deref(), Some("客户-12"));
    assert_eq!(config.device.area.as_deref(), Some("north-3/olt-7"));
    assert_eq!(config.device.installed, LocalTime::parse("2026-11-20T09:00:00+08:00").ok());
    assert_eq!(config.offset_minutes(), 480);
    assert_eq!(config.device.language, Language::ZhCn);
    assert_eq!(config.line.device.as_deref(), Some("eth1.835"));
    assert_eq!(config.promise.download.minimum, Some(Rate(60_000_000)));
    assert_eq!(config.promise.download.normal, Some(Rate(90_000_000)));
    assert_eq!(config.promise.download.maximum, Some(Rate(1_000_000_000)));
    assert_eq!(config.promise.upload.normal, Some(Rate(2_500_000)));
    assert_eq!((config.promise.latency, config.promise.loss), (Some(Span::millis(50)), Some(Permille(5))));
    assert!(config.line.metered);
    assert_eq!(config.line.protocol, Protocol::Static);
    let pppoe = accepted(json!({ "line": { "device": "pppoe-wan", "protocol": "pppoe", "port": "eth1" } }));
    assert_eq!((pppoe.line.protocol, pppoe.line.port.as_deref()), (Protocol::Pppoe, Some("eth1")));
    assert_eq!(
        (config.promise.rule, config.promise.threshold),
        (Rule::Share { short: 3, of: 8 }, Permille(900))
    );
    assert_eq!(
        config.speed,
        Speed {
            servers: vec!["http://speed.example/".into(), "https://[2001:db8::9]:8443/x".into()],
            budget: Budget { day: Bytes(2_000_000_000), month: Bytes(30_000_000_000) },
            seconds: Span::seconds(5),
            per_day: 24,
            quiet: Quiet { window: Span::seconds(30), share: Permille(50) },
        }
    );
    let addresses = ["192.0.2.53", "2001:db8::53", "203.0.113.53"].map(|a| a.parse().unwrap());
    assert_eq!(config.name.resolvers, addresses[..2]);
    assert_eq!(config.name.resolv_conf, Some("/run/resolv.conf".into()));
    assert_eq!(config.name.independent, Some(addresses[2]));
    assert_eq!(config.name.known, "resolves.example");
    assert_eq!(config.name.every, Span::minutes(1));
    let page = Web {
        url: Some("http://web.example/x".into()),
        status: 200,
        body: Some("success".into()),
        every: Span::minutes(2),
    };
    assert_eq!(config.web, page);
    assert_eq!((config.health.every, config.health.readings), (Span::seconds(10), 3));
    assert_eq!(config.health.cpu, Limits { failing: Permille(900), recovering: Permille(500) });
    assert_eq!(config.health.memory, Limits { failing: Permille(80), recovering: Permille(200) });
    let hot = Limits { failing: Millicelsius(80_000), recovering: Millicelsius(70_500) };
    assert_eq!(config.health.temperature, hot);
    let usage = Usage {
        enabled: false,
        lasts: Span::hours(6),
        factor: 2,
        least: Rate(64_000),
        weeks: 6,
        callback: true,
    };
    assert_eq!(config.usage, usage);
    assert_eq!(config.callback.warnings, [Reading::Flash, Reading::PortSpeed]);
    for (name, rule) in [
        ("sequential", Rule::Sequential),
        ("bnetza-2021", Rule::Bnetza2021),
        ("ctu-2021", Rule::Ctu2021),
        ("fcc-80-80", Rule::Fcc8080),
    ] {
        assert_eq!(accepted(json!({ "promise": { "rule": name } })).promise.rule, rule);
        assert_eq!(rule.name(), name);
    }
    let targets: Vec<_> = config.probe.targets.iter().map(|t| (t.host.as_str(), t.role)).collect();
    assert_eq!(targets, [("2001:db8::1", Role::Anchor), ("ping.example", Role::World)]);
    assert!(!config.probe.gateway);
    assert_eq!(config.probe.interval, Span::seconds(1));
    assert_eq!((config.probe.timeout, config.probe.grace), (Span::seconds(2), Span::ZERO));
    assert_eq!((config.outage.patience, config.outage.hold_down), (Span::seconds(3), Span::hours(1)));
    assert_eq!((config.outage.flapping, config.outage.veto), (9, Rate(20_000)));
    let remedies = &config.remedies;
    assert_eq!(remedies.ladder, [Rung::Reboot, Rung::PowerModem, Rung::Renew, Rung::RestartInterface]);
    assert_eq!(remedies.again, Span::hours(1));
    assert_eq!(remedies.limits(Rung::Renew).limit, Span::seconds(20));
    assert_eq!(remedies.limits(Rung::RestartInterface).settle, Span::seconds(30));
    assert_eq!(remedies.limits(Rung::Reboot).per_day, 0);
    let per_incident = |rung| remedies.limits(rung).per_incident;
    assert_eq!((per_incident(Rung::Renew), per_incident(Rung::Reboot)), (2, 0));
    assert!(!remedies.learning);
    assert_eq!(
        remedies.driver,
        Driver::Linux(LinuxDriver {
            dhcp_client: vec!["udhcpc".into(), "-i".into(), "eth1".into()],
            dhcp_pidfile: Some("/run/udhcpc.pid".into()),
            other_resolver: vec!["use".into(), "{resolver}".into()],
            restart_network: vec!["/etc/init.d/network".into(), "restart".into()],
            power_modem: vec!["/sbin/modem".into()],
            reboot: vec!["/sbin/reboot".into(), "-f".into()],
        })
    );
    assert_eq!((config.callback.after, config.callback.receipt), (Span::ZERO, Span::hours(1)));
    assert_eq!(config.callback.quality, Span::minutes(5));
    let mqtt = config.mqtt.unwrap();
    assert_eq!(mqtt.brokers[0], Broker { host: "a.example".into(), port: 8883, tls: true });
    assert_eq!(mqtt.brokers[1], Broker { host: "2001:db8::2".into(), port: 99, tls: true });
    assert_eq!(mqtt.ca, Some("/ca".into()));
    assert_eq!(mqtt.client, Some(("/c".into(), "/k".into())));
    assert_eq!(mqtt.login, Some(("gw".into(), "/p".into())));
    assert_eq!((mqtt.keep_alive, mqtt.reconnect), (Span::minutes(1), Span::seconds(10)));
    assert_eq!(mqtt.session, Span::days(30));
    assert_eq!((config.store.directory, config.store.outbox), ("/data".into(), Bytes(1_000_000)));
    assert_eq!(config.socket, PathBuf::from("/run/lk.sock"));

    let script = json!({ "driver": "script", "program": "/sbin/remedy", "ladder": ["power-modem"] });
    let openwrt = json!({ "driver": "openwrt", "ladder": ["power-modem", "reboot"], "power_modem": ["/x"] });
    let driver = accepted(json!({ "remedies": openwrt, "line": { "interface": "wan" } })).remedies.driver;
    assert_eq!(
        driver,
        Driver::OpenWrt(OpenWrtDriver {
            interface: Some("wan".into()),
            power_modem: vec!["/x".into()],
            ..OpenWrtDriver::default()
        })
    );
    let driver = accepted(json!({ "remedies": script })).remedies.driver;
    assert_eq!(driver, Driver::Script { program: "/sbin/remedy".into() });
}

/// Each fault alone, with its full words.
#[test]
fn each_fault_has_its_text() {
    let target = |host: &str, role: &str| json!({ "host": host, "role": role });
    let long = "x".repeat(200);
    let short_of_it = format!("{:?}…", "x".repeat(60));
    for (changes, words) in [
        // Missing.
        (json!({ "probe": { "targets": [] } }), "probe.targets must hold 1 to 16 targets, holds 0"),
        (
            json!({ "probe": { "targets": [{ "role": "world" }] } }),
            "probe.targets[0].host is missing: an IPv4 or IPv6 address or a DNS name",
        ),
        (
            json!({ "probe": { "targets": [{ "host": "192.0.2.1" }] } }),
            "probe.targets[0].role is missing: anchor (in the operator's network) or world (beyond it)",
        ),
        (
            json!({ "mqtt": {} }),
            "mqtt.broker is missing: set the URL of the platform's broker, as in \"mqtts://broker.isp.example:8883\"",
        ),
        (
            json!({ "mqtt": { "broker": "mqtt://a.example", "username": "u" } }),
            "mqtt.password_file is missing: mqtt.username needs it",
        ),
        (
            json!({ "remedies": { "driver": "script" } }),
            "remedies.program is missing: the script driver needs a program to run",
        ),
        (
            json!({ "programme": { "after": ["7 d", "24 h"] } }),
            "programme.after[1] must be later than the one before it, is 1 d",
        ),
        (
            json!({ "programme": { "after": ["5 s"] } }),
            "programme.after[0] must be 1 min to 800 d, is \"5 s\"",
        ),
        (
            json!({ "telemetry": { "fields": ["line", "names"] } }),
            "telemetry.fields[1] must be line, echo, traffic or speed, is \"names\"",
        ),
        (json!({ "telemetry": { "fields": ["line", "line"] } }), "telemetry.fields[1] lists \"line\" twice"),
        (
            json!({ "privacy": { "addresses": "half" } }),
            "privacy.addresses must be masked or full, is \"half\"",
        ),
        (
            json!({ "privacy": { "fields": ["names"] } }),
            "privacy.fields[0] must be customer, facts, samples, recorder, remedies or troubles, is \"names\"",
        ),
        // Unknown.
        (json!({ "devise": {} }), "devise is not a key here; did you mean device?"),
        (json!({ "colour": 1 }), "colour is not a key here"),
        (
            json!({ "probe": { "patience": "2 s" } }),
            "probe.patience is not a key here; did you mean outage.patience?",
        ),
        (
            json!({ "remedies": { "settle": { "restart_interface": "5 s" } } }),
            "remedies.settle.restart_interface is not a key here; did you mean remedies.settle.restart-interface?",
        ),
        (json!({ "line": { "a.b\n": 1 } }), "line.\"a.b\\n\" is not a key here"),
        // Wrong types.
        (json!({ "device": { "id": 7 } }), "device.id must be text, is 7"),
        (json!({ "device": { "customer": null } }), "device.customer must be text, is null"),
        (json!({ "line": "eth1" }), "line must be a table"),
        (json!({ "probe": { "gateway": "yes" } }), "probe.gateway must be true or false, is \"yes\""),
        (
            json!({ "probe": { "targets": "192.0.2.1" } }),
            "probe.targets must be a list of targets, is \"192.0.2.1\"",
        ),
        (
            json!({ "probe": { "targets": ["192.0.2.1"] } }),
            "probe.targets[0] must be a table of host and role, is \"192.0.2.1\"",
        ),
        (
            json!({ "outage": { "flapping": "5" } }),
            "outage.flapping must be a whole number of 2 to 100, without quotes, is \"5\"",
        ),
        (
            json!({ "outage": { "flapping": 1 } }),
            "outage.flapping must be a whole number of 2 to 100, without quotes, is 1",
        ),
        (
            json!({ "outage": { "flapping": 2.5 } }),
            "outage.flapping must be a whole number of 2 to 100, without quotes, is 2.5",
        ),
        // Quantities.
        (
            json!({ "probe": { "interval": "5" } }),
            "probe.interval must be 100 ms to 1 min, is \"5\": name the unit, as in \"500 ms\"",
        ),
        (
            json!({ "probe": { "interval": [] } }),
            "probe.interval must be 100 ms to 1 min, is a list: write it like \"500 ms\"",
        ),
        (
            json!({ "probe": { "interval": "5 sec" } }),
            "probe.interval must be 100 ms to 1 min, is \"5 sec\": the units are ms, s, min, h and d",
        ),
        (
            json!({ "probe": { "interval": "0.5 ms" } }),
            "probe.interval must be 100 ms to 1 min, is \"0.5 ms\": too fine; the units are ms, s, min, h and d",
        ),
        (json!({ "probe": { "interval": "-5 s" } }), "probe.interval must be 100 ms to 1 min, is \"-5 s\""),
        (
            json!({ "promise": { "upload": { "normal": "100 MB/s" } } }),
            "promise.upload.normal must be 64 kbit/s to 100 Gbit/s, is \"100 MB/s\": the units are bit/s, kbit/s, \
             Mbit/s and Gbit/s",
        ),
        (
            json!({ "promise": { "loss": 1 } }),
            "promise.loss must be 0.1 % to 50 %, is 1: name the unit, as in \"0.5 %\"",
        ),
        (json!({ "hooks": { "program": "/h", "on": [] } }), "hooks.on must hold 1 to 3 changes, holds 0"),
        (
            json!({ "hooks": { "program": "/h", "limit": "2 min" } }),
            "hooks.limit must be 1 s to 1 min, is \"2 min\"",
        ),
        (
            json!({ "hooks": { "program": "/h", "on": ["outage"] } }),
            "hooks.on[0] must be incident, remedy or callback, is \"outage\"",
        ),
        (json!({ "store": { "outbox": "20 GB" } }), "store.outbox must be 16 kB to 16 MB, is \"20 GB\""),
        (
            json!({ "mqtt": { "broker": "mqtt://a.example", "keep_alive": "5.5 s" } }),
            "mqtt.keep_alive must be whole seconds, as MQTT counts it, is 5.5 s",
        ),
        (
            json!({ "promise": { "threshold": "0.5 %" } }),
            "promise.threshold must be 1 % to 100 %, is \"0.5 %\"",
        ),
        (json!({ "speed": { "seconds": "1 min" } }), "speed.seconds must be 3 s to 30 s, is \"1 min\""),
        (
            json!({ "speed": { "budget": { "day": "1 kB" } } }),
            "speed.budget.day must be 1 MB to 100 GB, is \"1 kB\"",
        ),
        (
            json!({ "speed": { "per_day": 0 } }),
            "speed.per_day must be a whole number of 1 to 48, without quotes, is 0",
        ),
        (
            json!({ "speed": { "quiet": { "share": "60 %" } } }),
            "speed.quiet.share must be 0.1 % to 50 %, is \"60 %\"",
        ),
        (
            json!({ "promise": { "rule": "share", "share": { "of": 33 } } }),
            "promise.share.of must be a whole number of 2 to 32, without quotes, is 33",
        ),
        (
            json!({ "promise": { "rule": "always" } }),
            "promise.rule must be sequential, bnetza-2021, ctu-2021, fcc-80-80 or share, is \"always\"",
        ),
        (json!({ "speed": { "budget": "1 GB" } }), "speed.budget must be a table"),
        (json!({ "speed": { "budget": { "week": "1 GB" } } }), "speed.budget.week is not a key here"),
        (json!({ "speed": { "servers": [] } }), "speed.servers must hold 1 to 4 URLs, holds 0"),
        (
            json!({ "speed": { "servers": ["mqtt://a.example"] } }),
            "speed.servers[0] must start with http:// or https://",
        ),
        (
            json!({ "speed": { "servers": ["http://a.example/", "http://a.example/"] } }),
            "speed.servers[1] is given twice",
        ),
        (
            json!({ "name": { "resolvers": ["127.0.0.53"] } }),
            "name.resolvers[0] must be a host other than this gateway, is \"127.0.0.53\"",
        ),
        (
            json!({ "name": { "resolvers": ["dns.example"] } }),
            "name.resolvers[0] must be an IPv4 or IPv6 address, is \"dns.example\"",
        ),
        (
            json!({ "name": { "resolvers": ["192.0.2.53", "192.0.2.53"] } }),
            "name.resolvers[1] is given twice",
        ),
        (
            json!({ "line": { "device": "eth1", "port": "eth1" } }),
            "line.port is valid only with line.protocol = \"pppoe\": on other lines the port is line.device",
        ),
        (
            json!({ "line": { "port": "eth1", "protocol": "pppoe" } }),
            "line.device is missing: set the session's device too, because line.port is set",
        ),
        (
            json!({ "line": { "device": "eth1", "port": "eth1", "protocol": "pppoe" } }),
            "line.port must differ from line.device, which is the session's",
        ),
        (
            json!({ "name": { "resolvers": ["192.0.2.53"], "independent": "192.0.2.53" } }),
            "name.independent must not be one of name.resolvers",
        ),
        (json!({ "name": { "exists": "192.0.2.1" } }), "name.exists must be a DNS name, is \"192.0.2.1\""),
        (
            json!({ "web": { "url": "https://a.example/" } }),
            "web.url must be an http:// URL: a login page cannot intercept https://",
        ),
        (json!({ "web": { "status": 200 } }), "web.url is missing: web.status needs it"),
        (
            json!({ "web": { "url": "http://a.example/", "body": "x" } }),
            "web.body must not be set with web.status 204: such a response has no body",
        ),
        (
            json!({ "health": { "cpu": { "recovering": "95 %" } } }),
            "health.cpu.recovering must be below health.cpu.failing (95 %), is 95 %",
        ),
        (
            json!({ "health": { "flash": { "recovering": "1 %" } } }),
            "health.flash.recovering must be above health.flash.failing (5 %), is 1 %",
        ),
        (
            json!({ "health": { "temperature": { "failing": "95 F" } } }),
            "health.temperature.failing must be 20 °C to 150 °C, is \"95 F\": the units are °C or C",
        ),
        (json!({ "usage": { "lasts": "14 min" } }), "usage.lasts must be 15 min to 6 h, is \"14 min\""),
        (
            json!({ "usage": { "factor": 1 } }),
            "usage.factor must be a whole number of 2 to 100, without quotes, is 1",
        ),
        (
            json!({ "usage": { "weeks": 7 } }),
            "usage.weeks must be a whole number of 2 to 6, without quotes, is 7",
        ),
        (
            json!({ "usage": { "least": "1 kbit/s" } }),
            "usage.least must be 64 kbit/s to 1 Gbit/s, is \"1 kbit/s\"",
        ),
        (
            json!({ "callback": { "warnings": ["flash", "heat"] } }),
            "callback.warnings[1] must be cpu, memory, flash, temperature, conntrack, port_errors, port_speed, restarts or port_duplex, is \
             \"heat\"",
        ),
        (json!({ "callback": { "warnings": ["cpu", "cpu"] } }), "callback.warnings[1] lists \"cpu\" twice"),
        // Words and names.
        (
            json!({ "device": { "id": "gw/1" } }),
            "device.id must be 1 to 64 of A-Z a-z 0-9 . _ -, is \"gw/1\"",
        ),
        (
            json!({ "device": { "id": long } }),
            &format!("device.id must be 1 to 64 of A-Z a-z 0-9 . _ -, is {short_of_it}"),
        ),
        (
            json!({ "device": { "area": "north//olt" } }),
            "device.area must be at most 128 of A-Z a-z 0-9 . _ -, with single / between the levels, is \"north//olt\"",
        ),
        (
            json!({ "device": { "customer": "a\u{1b}[2J" } }),
            "device.customer must be 1 to 64 characters, none of them a control character",
        ),
        (
            json!({ "device": { "installed": "yesterday" } }),
            "device.installed must be a date like 2026-11-20T09:00:00+08:00, is \"yesterday\"",
        ),
        (json!({ "device": { "language": "de" } }), "device.language must be en or zh-CN, is \"de\""),
        (
            json!({ "line": { "device": "interface-number-1" } }),
            "line.device must be a network device's name: 1 to 15 bytes without spaces, / or :, is \
             \"interface-number-1\"",
        ),
        (
            json!({ "store": { "directory": "data" } }),
            "store.directory must be an absolute path, is \"data\"",
        ),
        (
            json!({ "status": { "socket": format!("/{}", "s".repeat(107)) } }),
            &format!(
                "status.socket must be a path of at most 107 bytes, is {:?}…",
                format!("/{}", "s".repeat(59))
            ),
        ),
        // Hosts and brokers.
        (
            json!({ "probe": { "targets": [target("127.0.0.1", "world")] } }),
            "probe.targets[0].host must be a host other than this gateway, is \"127.0.0.1\"",
        ),
        (
            json!({ "probe": { "targets": [target("239.1.1.1", "world")] } }),
            "probe.targets[0].host must be the address of a single host, is \"239.1.1.1\"",
        ),
        (
            json!({ "probe": { "targets": [target("no_name", "world")] } }),
            "probe.targets[0].host must be an IPv4 or IPv6 address or a DNS name, is \"no_name\"",
        ),
        (
            json!({ "mqtt": { "broker": "http://a.example" } }),
            "mqtt.broker must start with mqtts:// or mqtt://",
        ),
        (
            json!({ "mqtt": { "brokers": ["mqtt://a.example", "mqtt://b.example", "mqtt://c.example"] } }),
            "mqtt.brokers must hold 1 to 2 URLs, holds 3",
        ),
        // Contradictions.
        (
            json!({ "promise": { "download": { "minimum": "2 Mbit/s", "normal": "1 Mbit/s" } } }),
            "promise.download.minimum must not be above promise.download.normal (1 Mbit/s), is 2 Mbit/s",
        ),
        (
            json!({ "promise": { "upload": { "normal": "2 Mbit/s", "maximum": "1 Mbit/s" } } }),
            "promise.upload.normal must not be above promise.upload.maximum (1 Mbit/s), is 2 Mbit/s",
        ),
        (
            json!({ "promise": { "upload": { "minimum": "2 Mbit/s", "maximum": "1 Mbit/s" } } }),
            "promise.upload.minimum must not be above promise.upload.maximum (1 Mbit/s), is 2 Mbit/s",
        ),
        (
            json!({ "promise": { "rule": "share", "share": { "short": 7 } } }),
            "promise.share.short must not be above promise.share.of (6), is 7",
        ),
        (
            json!({ "promise": { "share": { "short": 2 } } }),
            "promise.share is valid only with promise.rule = \"share\"",
        ),
        (
            json!({ "speed": { "budget": { "day": "2 GB", "month": "1 GB" } } }),
            "speed.budget.day must not be above speed.budget.month (1 GB), is 2 GB",
        ),
        (
            json!({
                "promise": { "download": { "maximum": "1 Gbit/s" } },
                "speed": { "servers": ["http://a.example/"], "budget": { "day": "400 MB" } },
            }),
            "speed.budget.day must cover one test of 3 s at the promised rate, 431.2 MB, is 400 MB",
        ),
        (
            json!({ "outage": { "patience": "1 min", "hold_down": "10 s" } }),
            "outage.patience must not be above outage.hold_down (10 s), is 1 min",
        ),
        (
            json!({ "probe": { "targets": [target("a.example", "world"), target("A.Example", "anchor")] } }),
            "probe.targets[1].host is listed twice, is \"A.Example\"",
        ),
        (
            json!({ "probe": { "targets": [target("2001:db8::1", "world"), target("2001:DB8:0::1", "world")] } }),
            "probe.targets[1].host is listed twice, is \"2001:DB8:0::1\"",
        ),
        (
            json!({ "remedies": { "ladder": ["renew", "reboot", "renew"] } }),
            "remedies.ladder[2] is listed twice, is \"renew\"",
        ),
        (
            json!({ "remedies": { "ladder": ["restart"] } }),
            "remedies.ladder[0] must be renew, other-resolver, restart-interface, restart-network, power-modem or reboot, is \"restart\"",
        ),
        (
            json!({ "remedies": { "driver": "linux" } }),
            "remedies.ladder has renew, for which the linux driver needs remedies.dhcp_pidfile",
        ),
        (
            json!({ "remedies": { "driver": "linux", "ladder": ["other-resolver"] } }),
            "remedies.ladder has other-resolver, for which the linux driver needs remedies.other_resolver",
        ),
        (
            json!({ "remedies": { "driver": "linux", "ladder": ["restart-network"] } }),
            "remedies.ladder has restart-network, for which the linux driver needs remedies.restart_network",
        ),
        (
            json!({ "remedies": { "per_incident": { "reboot": 2 } } }),
            "remedies.per_incident.reboot must be a whole number of 0 to 1, without quotes, is 2",
        ),
        (json!({ "line": { "protocol": "ppp" } }), "line.protocol must be dhcp, pppoe or static, is \"ppp\""),
        (
            json!({ "remedies": { "driver": "linux", "ladder": ["power-modem"] } }),
            "remedies.ladder has power-modem, for which the linux driver needs remedies.power_modem",
        ),
        (
            json!({ "remedies": { "driver": "linux", "ladder": ["reboot"], "reboot": [] } }),
            "remedies.ladder has reboot, for which the linux driver needs remedies.reboot",
        ),
        (
            json!({ "remedies": { "reboot": ["x"] } }),
            "remedies.reboot is valid only with remedies.driver = \"linux\"",
        ),
        (
            json!({ "remedies": { "program": "/x" } }),
            "remedies.program is valid only with remedies.driver = \"script\"",
        ),
        (
            json!({ "remedies": { "driver": "openwrt", "ladder": ["power-modem"] } }),
            "remedies.ladder has power-modem, for which the openwrt driver needs remedies.power_modem",
        ),
        (
            json!({ "remedies": { "power_modem": ["x"] } }),
            "remedies.power_modem is valid only with remedies.driver = \"linux\" or \"openwrt\"",
        ),
        (
            json!({ "line": { "interface": "wan@eth0" } }),
            "line.interface must be an interface's name in OpenWrt: 1 to 15 of A-Z a-z 0-9 _, is \"wan@eth0\"",
        ),
        (
            json!({ "remedies": { "driver": "ssh" } }),
            "remedies.driver must be none, linux, openwrt or script, is \"ssh\"",
        ),
        (
            json!({ "mqtt": { "broker": "mqtt://a.example", "ca": "/ca" } }),
            "mqtt.ca is valid only with mqtts://, but mqtt.broker is mqtt://",
        ),
        (
            json!({ "mqtt": { "broker": "mqtt://a.example", "brokers": ["mqtt://b.example"] } }),
            "mqtt.broker must not be set together with mqtt.brokers; put both brokers into that list",
        ),
        (
            json!({ "mqtt": { "brokers": ["mqtt://a.example", "mqtt://A.example:1883"] } }),
            "mqtt.brokers[1] is given twice",
        ),
    ] {
        assert_eq!(fault_lines(changes.clone()), [words], "{changes}");
    }
    assert_eq!(
        lines(read(&json!({}), &Places::none()).unwrap_err()),
        [
            "device.id is missing: set a name that no other gateway of the operator has",
            "probe.targets is missing: list at least one target, as in [{ host = \"198.51.100.1\", role = \"anchor\" }]",
        ]
    );
    let no_table = read(&json!([]), &Places::none()).unwrap_err().to_string();
    assert!(
        no_table.starts_with("configuration rejected:\n  - must be a table with the sections device, line"),
        "{no_table}"
    );
}

#[test]
fn secrets_are_not_repeated() {
    let secret = "hunter2";
    let pem = "-----BEGIN PRIVATE KEY-----hunter2";
    for changes in [
        json!({ "mqtt": { "broker": "mqtts://gw:hunter2@broker.isp.example" } }),
        json!({ "mqtt": { "broker": "hunter2" } }),
        json!({ "speed": { "servers": ["http://gw:hunter2@speed.example/", "hunter2"] } }),
        json!({ "mqtt": { "brokers": "hunter2" } }),
        json!({ "mqtt": { "brokers": [["hunter2"]] } }),
        json!({ "mqtt": { "broker": "mqtt://a.example", "password": secret } }),
        json!({ "mqtt": { "broker": "mqtt://a.example", "username": "u", "password_file": secret } }),
        json!({ "mqtt": { "broker": "mqtt://a.example", "username": "hunter2\n", "password_file": "/p" } }),
        json!({ "mqtt": { "broker": "mqtts://a.example", "ca": "/ca", "certificate": "/c", "key": pem } }),
        json!({ "mqtt": { "broker": "mqtts://a.example", "ca": "/ca", "certificate": pem, "key": "/k" } }),
        json!({ "mqtt": secret }),
        json!({ "remedies": { "driver": "linux", "ladder": [], "power_modem": "curl -u x:hunter2" } }),
        json!({ "remedies": { "driver": "linux", "ladder": [], "power_modem": ["", "hunter2\0"] } }),
    ] {
        let words = fault_lines(changes.clone()).join("\n");
        assert!(!words.contains(secret), "{changes}: {words}");
    }
    let words = fault_lines(json!({ "mqtt": { "broker": "mqtt://a.example", "password": secret } }));
    assert_eq!(words, ["mqtt.password is not a key here; did you mean mqtt.password_file?"]);
}

#[test]
fn lists_are_bounded() {
    let many: Vec<Value> = (0..100_000).map(|n| json!({ "host": format!("h{n}"), "role": 5 })).collect();
    let words = fault_lines(json!({ "probe": { "targets": many } }));
    assert_eq!(words[0], "probe.targets must hold 1 to 16 targets, holds 100000");
    assert_eq!(words.len(), 17);
}

mod samples {
    use super::*;

    fn sample() -> String {
        repository_text("config/linekeeper.toml")
    }
    fn smallest() -> String {
        repository_text("config/smallest.toml")
    }

    fn parsed(text: &str) -> Config {
        load_text(text, Format::Toml).unwrap_or_else(|faults| panic!("{faults}\n{text}"))
    }

    /// Whether the line shows a key behind `mark`.
    fn key<'a>(line: &'a str, mark: &str) -> Option<&'a str> {
        let rest = line.strip_prefix(mark)?;
        let (key, _) = rest.split_once(" = ")?;
        key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b == b'-').then_some(rest)
    }

    #[test]
    fn every_shipped_sample_is_accepted() {
        let mut seen = 0;
        for entry in std::fs::read_dir(repository_path("config")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "toml") {
                let text = std::fs::read_to_string(&path).unwrap();
                load_text(&text, Format::detect(&path, &text))
                    .unwrap_or_else(|faults| panic!("{}: {faults}", path.display()));
                seen += 1;
            }
        }
        assert!(seen >= 2, "{seen} samples");
    }

    #[test]
    fn the_samples_comments_show_the_real_defaults() {
        let with_defaults: String =
            sample().lines().map(|line| key(line, "#").unwrap_or(line).to_owned() + "\n").collect();
        assert_ne!(with_defaults, sample());
        assert_eq!(parsed(&with_defaults), parsed(&sample()));
        // And they are all there: the smallest with them is the smallest.
        let shown = sample().lines().filter(|line| key(line, "#").is_some()).count();
        assert!(shown > 80, "{shown} defaults shown");
    }

    #[test]
    fn the_sample_shows_every_key() {
        for (section, keys) in KEYS {
            let start = sample().find(&format!("\n[{section}]\n")).unwrap_or_else(|| panic!("[{section}]"));
            let sample = sample();
            let part = &sample[start..];
            // The subtables of a section belong to it.
            let end = part[2..]
                .match_indices("\n[")
                .map(|(at, _)| at + 2)
                .find(|at| !part[*at..].starts_with(&format!("\n[{section}.")))
                .unwrap_or(part.len());
            for key in *keys {
                let shown = |line: &str| {
                    let line = line.trim_start_matches(['#', ' ']);
                    line.starts_with(&format!("{key} = ")) || line.starts_with(&format!("[{section}.{key}]"))
                };
                assert!(
                    part[..end].lines().any(shown),
                    "config/linekeeper.toml does not show {section}.{key}"
                );
            }
        }
    }

    #[test]
    fn the_samples_other_drivers_are_accepted() {
        let uncommented = |keys: &[&str], driver: &str| -> Config {
            let line = |line: &str| match key(line, "# ") {
                Some(rest) if keys.iter().any(|k| rest.starts_with(&format!("{k} = "))) => rest.to_owned(),
                _ if line == "#driver = \"none\"" => format!("driver = \"{driver}\""),
                _ => line.to_owned(),
            };
            parsed(&sample().lines().map(|l| line(l) + "\n").collect::<String>())
        };
        let keys =
            ["dhcp_client", "dhcp_pidfile", "other_resolver", "restart_network", "power_modem", "reboot"];
        let linux = uncommented(&keys, "linux");
        assert!(matches!(&linux.remedies.driver, Driver::Linux(l) if !l.power_modem.is_empty()));
        let script = uncommented(&["program"], "script");
        assert!(matches!(script.remedies.driver, Driver::Script { .. }));
        let login = uncommented(&["username", "password_file"], "none");
        assert!(login.mqtt.unwrap().login.is_some());
    }

    #[test]
    fn json_and_toml_of_the_same_are_the_same() {
        let json = &repository_text("config/smallest.json");
        assert_eq!(load_text(json, Format::Json), Ok(parsed(&smallest())));
    }

    #[test]
    fn a_date_may_be_a_date_or_a_text() {
        let with = |date: &str| {
            let id = "id = \"gw-0001\"";
            load_text(&smallest().replace(id, &format!("{id}\ninstalled = {date}")), Format::Toml)
        };
        let date = with("2026-11-20T09:00:00+08:00").unwrap().device.installed;
        assert_eq!(date, with("\"2026-11-20T09:00:00+08:00\"").unwrap().device.installed);
        assert_eq!(date.unwrap().offset_minutes, 480);
        // Without an offset nobody knows which moment is meant.
        assert_eq!(
            lines(with("2026-11-20T09:00:00").unwrap_err()),
            [
                "device.installed must be a date like 2026-11-20T09:00:00+08:00, is \"2026-11-20T09:00:00\" (line 4)"
            ]
        );
    }

    #[test]
    fn syntax_faults_name_line_and_column() {
        let told = |text: &str| lines(load_text(text, Format::Toml).unwrap_err());
        assert_eq!(
            told("[device]\nid = \"a\"\nid = \"b\"\n"),
            ["the text is not TOML: duplicate key (line 3, column 1)"]
        );
        let words = told("[device]\nid = \n[probe\n");
        assert!(words.len() == 2, "both are told: {words:?}");
        assert!(words.iter().all(|w| w.starts_with("the text is not TOML: ")), "{words:?}");
        assert!(words[0].ends_with("(line 2, column 6)"), "{words:?}");
        assert!(words[1].contains("(line 3, column "), "{words:?}");
    }

    proptest! {
        #[test]
        fn no_toml_text_panics(text in "\\PC{0,200}") {
            let _ = load_text(&text, Format::Toml);
        }

        /// A sample with a piece cut out or replaced: most of it still parses, so the faults come from deep inside.
        #[test]
        fn no_damaged_sample_panics(from in 0..sample().len(), cut in 0..40usize, new in "[\\PC\n]{0,12}") {
            let clean = |mut at: usize| { while !sample().is_char_boundary(at) { at -= 1 } at };
            let (from, to) = (clean(from), clean((from + cut).min(sample().len())));
            let text = format!("{}{new}{}", &sample()[..from], &sample()[to..]);
            if let Err(faults) = load_text(&text, Format::Toml) {
                prop_assert!(faults.to_string().lines().count() >= 2);
            }
        }
    }
}

/// Any JSON value, with the reader's own keys and near-right texts among it.
fn any_value() -> impl Strategy<Value = Value> {
    let texts = prop_oneof![
        "\\PC{0,20}",
        "-?[0-9]{0,30}(\\.[0-9]{0,30})? ?(ms|s|min|h|d|bit/s|kbit/s|Mbit/s|Gbit/s|B|kB|MB|GB|%|x)?",
        "mqtts?://[a-z0-9:@/.\\[\\]-]{0,20}",
        "[0-9a-f.:%/-]{0,20}",
        "[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{0,12})?(Z|[+-][0-9]{2}:[0-9]{2})?",
        Just("linux".to_owned()),
        Just("script".to_owned()),
        Just("renew".to_owned()),
        Just("anchor".to_owned()),
        Just("/path".to_owned()),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        texts.prop_map(Value::from),
    ];
    let mut keys: Vec<&str> =
        KEYS.iter().flat_map(|(section, keys)| keys.iter().chain([section])).copied().collect();
    keys.extend(["minimum", "normal", "maximum", "host", "role", "renew", "restart-interface"]);
    let key = prop_oneof![proptest::sample::select(keys).prop_map(str::to_owned), "\\PC{0,8}"];
    leaf.prop_recursive(4, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(key.clone(), inner, 0..10)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_value_panics(tree in any_value()) {
        let _ = read(&tree, &Places::none()).map_err(|faults| faults.to_string());
    }

    /// Each key in turn holds anything: every reader meets every kind of value.
    #[test]
    fn no_value_at_any_key_panics(value in any_value()) {
        for (section, keys) in KEYS {
            for key in *keys {
                let tree = small_with(json!({ *section: { *key: value } }));
                if let Err(faults) = read(&tree, &Places::none()) {
                    prop_assert!(!faults.0.is_empty());
                    for fault in &faults.0 {
                        prop_assert!(!fault.to_string().contains(char::is_control), "{fault}");
                    }
                }
            }
        }
    }

    #[test]
    fn no_json_text_panics(text in "\\PC{0,200}") {
        let _ = load_text(&text, Format::Json);
        let _ = load_text(&format!("{{{text}}}"), Format::Json);
    }

    /// A quantity is read to what it says, for every unit.
    #[test]
    fn spans_are_read_exactly(n in 1..60u64, unit in proptest::sample::select(vec![("s", 1_000), ("min", 60_000)])) {
        let config = accepted(json!({ "callback": { "after": format!("{n} {}", unit.0) } }));
        prop_assert_eq!(config.callback.after, Span(n * unit.1));
    }
}

/// The name that is asked for is the operator's own, where one stands in the configuration.
#[test]
fn name_exists_defaults_to_a_configured_name() {
    let exists = |changes: Value| accepted(changes).name.known;
    let targets =
        json!([{ "host": "192.0.2.1", "role": "anchor" }, { "host": "ping.example", "role": "world" }]);
    let broker = json!({ "broker": "mqtt://broker.example" });
    let servers = json!({ "servers": ["http://192.0.2.9/", "http://speed.example:8080/x"] });
    assert_eq!(exists(json!({})), "example.com");
    assert_eq!(exists(json!({ "probe": { "targets": targets } })), "ping.example");
    assert_eq!(exists(json!({ "probe": { "targets": targets }, "mqtt": broker })), "broker.example");
    assert_eq!(
        exists(json!({ "probe": { "targets": targets }, "mqtt": broker, "speed": servers })),
        "speed.example"
    );
    assert_eq!(exists(json!({ "speed": servers, "name": { "exists": "me.example" } })), "me.example");
    assert_eq!(exists(json!({ "speed": { "servers": ["http://[2001:db8::1]/"] } })), "example.com");
}
