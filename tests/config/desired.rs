//! The configuration that the platform wants, laid over the gateway's own: what is taken, what is not, and why.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use linekeeper_contract::units::{Rate, Span};
use linekeeper_judge::config::desired::{LARGEST, Laid, lay, message};
use linekeeper_judge::config::options::Right;
use linekeeper_judge::config::read::{KEYS, options};
use linekeeper_judge::config::{Places, read};
use proptest::prelude::*;
use serde_json::{Value, json};

fn own() -> Value {
    json!({
        "device": { "id": "gw-1", "customer": "CUST1" },
        "promise": { "download": { "normal": "50 Mbit/s", "maximum": "60 Mbit/s" } },
        "probe": { "targets": [{ "host": "192.0.2.1", "role": "anchor" }], "interval": "1 s" },
        "outage": { "hold_down": "1 min" },
        "remedies": { "driver": "script", "program": "/usr/sbin/mend" },
        "mqtt": { "broker": "mqtts://broker.isp.example", "ca": "/etc/ca.pem" },
    })
}

fn laid(desired: Value) -> Laid {
    lay(&own(), &desired, true).unwrap_or_else(|faults| panic!("{faults}"))
}

fn laid_unsigned(own: &Value, desired: Value) -> Laid {
    lay(own, &desired, false).unwrap_or_else(|faults| panic!("{faults}"))
}

fn rejected(laid: &Laid) -> Vec<&str> {
    laid.rejected.iter().map(|r| r.key.as_str()).collect()
}

#[test]
fn desired_configuration_is_a_merge_patch() {
    let of = laid(json!({
        "promise": { "download": { "normal": "40 Mbit/s" }, "upload": { "normal": "10 Mbit/s" } },
        "probe": { "interval": null },
        "outage": { "patience": "3 s" },
    }));
    assert_eq!(of.rejected, []);
    assert_eq!(of.config.promise.download.normal, Some(Rate(40_000_000)));
    assert_eq!(of.config.promise.download.maximum, Some(Rate(60_000_000)), "what is not named stays");
    assert_eq!(of.config.promise.upload.normal, Some(Rate(10_000_000)));
    assert_eq!(of.config.probe.interval, Span::millis(500), "null: the default");
    assert_eq!((of.config.outage.patience, of.config.outage.hold_down), (Span::seconds(3), Span::minutes(1)));
    assert_eq!(of.config.device.customer.as_deref(), Some("CUST1"));
    assert_eq!(read(&of.tree, &Places::none()).unwrap(), of.config);
    assert_eq!(laid(json!({})).config, read(&own(), &Places::none()).unwrap());
}

#[test]
fn faulty_keys_are_rejected_and_the_rest_is_applied() {
    let of = laid(json!({
        "outage": { "patience": "3 s", "flapping": 1_000 },
        "probe": { "intervall": "1 s", "timeout": "2 s", "targets": [{ "host": "192.0.2.9", "role": "isp" }] },
        "weather": { "rain": true },
        "speed": 7,
    }));
    assert_eq!(
        rejected(&of),
        ["outage.flapping", "probe.intervall", "probe.targets", "speed", "weather.rain"]
    );
    assert!(of.rejected[2].reason.contains("anchor or world"), "{:?}", of.rejected);
    assert_eq!((of.config.outage.patience, of.config.probe.timeout), (Span::seconds(3), Span::seconds(2)));
    assert_eq!(of.config.probe.targets[0].host, "192.0.2.1");
    // The fault is told at a key of the gateway's own: the desired one that contradicts it goes.
    let of = laid(json!({ "outage": { "patience": "2 min" }, "probe": { "timeout": "2 s" } }));
    assert_eq!(rejected(&of), ["outage.patience"]);
    let of = laid(json!({ "remedies": { "ladder": ["reboot", "hammer"] }, "probe": { "timeout": "2 s" } }));
    assert_eq!(
        (rejected(&of), of.taken.as_slice()),
        (vec!["remedies.ladder"], &["probe.timeout".to_string()][..])
    );
}

/// Every key that the platform may not set, and every section of which it may set nothing. A key that is missing here may be
/// set from afar: whoever changes this list changes what a platform that is taken over can do to the gateways.
const LOCAL: &[&str] = &[
    "device.id",
    "name.resolv_conf",
    "remedies.dhcp_client",
    "remedies.dhcp_pidfile",
    "remedies.other_resolver",
    "remedies.restart_network",
    "remedies.power_modem",
    "remedies.reboot",
    "remedies.program",
    "privacy.addresses",
    "privacy.fields",
    "commands.allow",
    "commands.key",
    "desired.accept",
    "desired.within",
    "mqtt.ca",
    "mqtt.certificate",
    "mqtt.key",
    "mqtt.username",
    "mqtt.password_file",
    "mqtt.tls",
    "hooks.program",
    "hooks.on",
    "hooks.limit",
    "store.directory",
    "store.outbox",
    "status.socket",
];

/// Every key that the platform may set only in a signed configuration: see [`LOCAL`].
const SIGNED: &[&str] = &[
    "line.device",
    "line.interface",
    "line.port",
    "probe.targets",
    "probe.gateway",
    "speed.servers",
    "speed.budget",
    "speed.per_day",
    "name.resolvers",
    "name.independent",
    "name.exists",
    "web.url",
    "remedies.driver",
    "remedies.ladder",
    "remedies.again",
    "remedies.learning",
    "remedies.limit",
    "remedies.settle",
    "remedies.per_day",
    "remedies.per_incident",
    "mqtt.broker",
    "mqtt.brokers",
];

/// Whoever can write to the broker but has no key.
#[test]
fn unsigned_configuration_cannot_do_what_an_unsigned_command_may_not() {
    let own = json!({
        "device": { "id": "gw-1" },
        "probe": { "targets": [{ "host": "192.0.2.1", "role": "anchor" }] },
        "remedies": { "driver": "openwrt", "ladder": ["renew", "restart-interface"] },
        "mqtt": { "broker": "mqtts://broker.isp.example", "ca": "/etc/ca.pem" },
    });
    let before = laid_unsigned(&own, json!({})).config;
    for (attack, config) in [
        ("reboot", json!({ "remedies": { "ladder": ["renew", "reboot"], "per_day": { "reboot": 100 } } })),
        ("take a remedy", json!({ "remedies": { "driver": "script", "again": "1 min" } })),
        ("default rungs", json!({ "remedies": { "ladder": null } })),
        ("all defaults", json!({ "remedies": null, "probe": null, "mqtt": null })),
        ("another broker", json!({ "mqtt": { "broker": "mqtts://evil.example" } })),
        (
            "another broker, in a list",
            json!({ "mqtt": { "brokers": ["mqtts://evil.example"], "broker": null } }),
        ),
        ("silent targets", json!({ "probe": { "targets": [{ "host": "203.0.113.99", "role": "anchor" }] } })),
        ("another line", json!({ "line": { "device": "lo" } })),
        ("silent resolvers", json!({ "name": { "resolvers": ["203.0.113.99"] } })),
        (
            "the customer's data",
            json!({ "speed": { "budget": { "day": "100 GB" }, "servers": ["http://victim.example/"] } }),
        ),
    ] {
        let of = laid_unsigned(&own, config);
        assert_eq!(of.config, before, "{attack}");
        assert!(!of.rejected.is_empty(), "{attack}");
    }
    // Less may be ordered by anybody.
    let of = laid_unsigned(&own, json!({ "remedies": { "ladder": ["renew"] } }));
    assert_eq!((of.rejected.len(), of.config.remedies.ladder.len()), (0, 1));
    let of = laid_unsigned(&own, json!({ "remedies": { "driver": "none", "ladder": [] } }));
    assert_eq!((of.rejected.len(), of.config.remedies.ladder.len()), (0, 0));
}

#[test]
fn the_table_of_options_says_what_the_platform_may_set() {
    let table = options();
    let rights = table.iter().flat_map(|heading| {
        let of = |entry: &linekeeper_judge::config::options::Entry| {
            (format!("{}.{}", heading.section, entry.key), entry.right)
        };
        heading.entries.iter().map(of).collect::<Vec<_>>()
    });
    let (local, others): (Vec<_>, Vec<_>) = rights.partition(|(_, right)| matches!(right, Right::Local(_)));
    let (signed, remote): (Vec<_>, Vec<_>) =
        others.into_iter().partition(|(_, right)| matches!(right, Right::Signed(_)));
    assert_eq!(signed.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), SIGNED);
    assert_eq!(local.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), LOCAL);
    assert!(remote.len() > 30, "{} keys may be set from afar", remote.len());
    // And what the table says is what is done.
    for (key, right) in local.iter().chain(&signed).chain(&remote) {
        let (section, name) = key.split_once('.').unwrap();
        for value in [json!("/tmp/x"), Value::Null, json!(["x"]), json!({ "x": 1 })] {
            let of = laid(json!({ section: { name: value } }));
            let refused = of.rejected.iter().find(|rejected| rejected.key == *key);
            let unsigned = laid_unsigned(&own(), json!({ section: { name: value } }));
            let refused_unsigned = unsigned.rejected.iter().find(|rejected| rejected.key == *key);
            match right {
                Right::Signed(why) => {
                    let wanted = format!("must be signed with commands.key: {why}");
                    assert_eq!(refused_unsigned.map(|r| &r.reason), Some(&wanted), "{key}");
                    assert_eq!(unsigned.config, laid(json!({})).config, "{key}");
                    assert!(refused.is_none_or(|r| !r.reason.starts_with("must be signed")), "{key}");
                }
                Right::Local(why) => {
                    assert_eq!(refused.map(|r| r.reason.as_str()), Some(*why), "{key}");
                    assert_eq!(of.config, laid(json!({})).config, "{key}");
                }
                Right::Remote => {
                    assert_eq!(unsigned, of, "{key}: signed or not");
                    let own = |r: &str| r.starts_with("only the gateway's own configuration sets");
                    assert!(!refused.is_some_and(|r| own(&r.reason)), "{key}: {refused:?}");
                }
            }
        }
    }
}

#[test]
fn section_with_local_keys_cannot_be_removed() {
    for key in LOCAL {
        let section = key.split('.').next().unwrap();
        let of = laid(json!({ section: null }));
        assert_eq!(rejected(&of), [section]);
        assert_eq!(of.config, laid(json!({})).config, "{section}");
    }
    // Nor does a stray key of a section that is all the gateway's own get as far as being read.
    let of = laid(json!({ "commands": { "x": 1 }, "mqtt": { "x": 1 } }));
    assert_eq!(of.rejected[0].reason, "only the gateway's own configuration sets which commands are allowed");
    assert!(of.rejected[1].reason.contains("is not a key here"), "{:?}", of.rejected);
    let of = laid(json!({
        "commands": { "allow": ["reboot"] }, "store": { "directory": "/tmp" }, "desired": { "within": "1 h" },
        "status": { "socket": "/tmp/s" }, "mqtt": { "keep_alive": "40 s" },
    }));
    assert_eq!(rejected(&of), ["commands.allow", "desired.within", "status.socket", "store.directory"]);
    assert_eq!(of.config.mqtt.unwrap().keep_alive, Span::seconds(40));
}

/// Whatever the driver: a key that is added later and names a file or a program is not forgotten in [`LOCAL`].
#[test]
fn no_key_sets_a_file_or_a_program() {
    for driver in ["none", "linux", "openwrt", "script"] {
        let mut base = own();
        base["remedies"] = json!({ "driver": driver, "ladder": [] });
        if driver == "script" {
            base["remedies"]["program"] = "/usr/sbin/mend".into();
        }
        for (section, key) in KEYS.iter().flat_map(|(s, keys)| keys.iter().map(move |k| (*s, *k))) {
            // The customer's reference may look like anything.
            if (section, key) == ("device", "customer") {
                continue;
            }
            for value in [json!("/tmp/theirs"), json!(["/tmp/theirs"])] {
                let desired = json!({ section: { key: value } });
                let of = lay(&base, &desired, true).unwrap_or_else(|faults| panic!("{faults}"));
                assert!(!format!("{:?}", of.config).contains("theirs"), "{section}.{key} with {driver}");
            }
        }
    }
}

#[test]
fn broker_may_change_but_not_to_plain_mqtt() {
    let of = laid(json!({ "mqtt": { "brokers": ["mqtts://a.example", "mqtts://b.example"] } }));
    assert_eq!(of.rejected, []);
    assert_eq!(of.config.mqtt.unwrap().brokers.len(), 2);
    for plain in
        [json!({ "broker": "mqtt://a.example" }), json!({ "brokers": ["mqtts://a.example", "mqtt://b"] })]
    {
        let of = laid(json!({ "mqtt": plain }));
        assert!(of.rejected.iter().any(|r| r.reason.contains("mqtts://")), "{:?}", of.rejected);
        assert_eq!(of.config.mqtt.unwrap().brokers[0].host, "broker.isp.example");
    }
}

#[test]
fn message_parsing_is_lenient_and_bounded() {
    assert_eq!(message(b""), Ok(None), "taken back");
    let good = br#"{"schema":"linekeeper.config-desired.v1","version":"7","config":{},"by":"ops"}"#;
    assert_eq!(message(good).unwrap().unwrap().version, "7");
    for (bad, word) in [
        (&b"{"[..], "not an object"),
        (br#"{"config":{}}"#, "version"),
        (br#"{"version":"","config":{}}"#, "version"),
        (br#"{"version":"a b","config":{}}"#, "version"),
        (br#"{"version":"1","config":[]}"#, "not an object"),
        (br#"{"version":"1","config":{},"schema":"x"}"#, "schema"),
        (&[b' '; LARGEST + 1], "limit"),
    ] {
        let said = message(bad).unwrap_err();
        assert!(said.contains(word), "{said}");
    }
}

/// Any tree with the words of a configuration in it, and some others.
fn desired() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[0-9]{1,3} (s|min|h|kbit/s|Mbit/s|MB|%)".prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        Just(json!(["renew"])),
        Just(json!([{ "host": "192.0.2.5", "role": "world" }])),
        Just(json!({ "normal": "5 Mbit/s" })),
    ];
    let key = prop::sample::select(
        KEYS.iter()
            .flat_map(|(s, keys)| keys.iter().map(move |k| (s.to_string(), k.to_string())))
            .collect::<Vec<_>>(),
    );
    let entry = prop_oneof![12 => key, 1 => ("[a-z.\\[\"]{0,6}", "[a-z.\\[\"]{0,6}")];
    prop::collection::vec((entry, leaf, any::<u8>()), 0..12).prop_map(|entries| {
        let mut tree = json!({});
        for ((section, key), value, whole) in entries {
            if whole == 0 {
                tree[section] = value;
            } else {
                if !tree[&section].is_object() {
                    tree[&section] = json!({});
                }
                tree[section][key] = value;
            }
        }
        tree
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is desired, what comes out is right, and is the gateway's own where it must be.
    #[test]
    fn no_desired_configuration_breaks_the_gateway(desired in desired()) {
        let unsigned = laid_unsigned(&own(), desired.clone()).config;
        let own = laid(json!({})).config;
        prop_assert_eq!(&unsigned.probe.targets, &own.probe.targets);
        prop_assert_eq!(&unsigned.mqtt.as_ref().unwrap().brokers, &own.mqtt.as_ref().unwrap().brokers);
        prop_assert!(unsigned.remedies.ladder.iter().all(|rung| own.remedies.ladder.contains(rung)));
        let of = laid(desired);
        prop_assert_eq!(&read(&of.tree, &Places::none()).unwrap(), &of.config);
        let before = laid(json!({})).config;
        let mqtt = of.config.mqtt.as_ref().unwrap();
        prop_assert_eq!(&of.config.device.id, "gw-1");
        prop_assert_eq!(mqtt.ca.as_deref(), Some(std::path::Path::new("/etc/ca.pem")));
        prop_assert!(mqtt.brokers.iter().all(|b| b.tls));
        prop_assert_eq!((&of.config.store, &of.config.commands), (&before.store, &before.commands));
        prop_assert_eq!(&of.config.socket, &before.socket);
    }
}
