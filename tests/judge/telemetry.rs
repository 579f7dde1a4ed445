//! The hourly summary: what is in it, when it comes, and that it adds up.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use linekeeper_contract::message::Telemetry;
use linekeeper_contract::units::{Mono, Span};
use linekeeper_judge::Judge;
use linekeeper_judge::action::Action;
use linekeeper_judge::config::{Config, Places, read};
use linekeeper_judge::observation::{Counted, Link, Memory, Observation, ProbeId, Started, TargetId};
use serde_json::{Value, json};

fn config(id: &str, telemetry: Value) -> Config {
    let tree = json!({
        "device": { "id": id },
        "probe": { "targets": [{ "host": "198.51.100.1", "role": "anchor" }], "gateway": false, "interval": "1 s" },
        "remedies": { "driver": "none", "ladder": [] },
        "telemetry": telemetry,
    });
    read(&tree, &Places::default()).expect("a good configuration")
}

/// Watches a line whose echoes take `rtt_us(ms)`; `None` is lost. Gives the summaries with the moment of each.
fn watch(config: &Config, until: Span, rtt_us: impl Fn(u64) -> Option<u32>) -> Vec<(u64, Telemetry)> {
    let mut judge = Judge::new(config.clone());
    let mut told = Vec::new();
    let mut now = 0u64;
    let mut next_count = 1_000;
    let up = Link {
        present: true,
        admin_up: true,
        carrier: true,
        addresses: vec!["192.0.2.2".parse().unwrap()],
        default_route: true,
        ..Link::default()
    };
    let started = Started {
        boot_id: "b".into(),
        uptime: Span::seconds(60),
        memory: Memory::None,
        watermark: 0,
        beat: None,
        taken: None,
    };
    // Answers under way.
    let mut coming: Vec<(u64, Observation)> =
        vec![(0, Observation::Started(started)), (0, Observation::LinkSeen(up))];
    while now < until.0 {
        coming.sort_by_key(|(at, _)| *at);
        let wake = judge.next_deadline().0.max(now);
        let first = coming.first().map_or(u64::MAX, |(at, _)| *at);
        let (at, saw) = if first <= wake.min(next_count) {
            coming.remove(0)
        } else if next_count <= wake {
            let counted = Counted {
                over: Span::seconds(1),
                rx_bytes: 1_000,
                tx_bytes: 500,
                rx_unicast: 10,
                tx_packets: 5,
                ..Counted::default()
            };
            next_count += 1_000;
            (next_count - 1_000, Observation::Counted(counted))
        } else {
            (wake, Observation::Ticked)
        };
        now = at.max(now);
        for action in judge.step(Mono(now), &saw) {
            match action {
                Action::Probe { probe: ProbeId(id), target: TargetId(t) } => {
                    let (probe, target) = (ProbeId(id), TargetId(t));
                    match rtt_us(now) {
                        Some(rtt_us) => {
                            let after = u64::from(rtt_us).div_ceil(1_000);
                            coming.push((now + after, Observation::EchoAnswered { probe, target, rtt_us }));
                        }
                        None => coming.push((now + 5_000, Observation::EchoLost { probe, target })),
                    }
                }
                Action::Report(report) => told.push((now, *report)),
                _ => {}
            }
        }
    }
    told
}

#[test]
fn telemetry_of_a_quiet_day_adds_up() {
    let told = watch(&config("gw-1", json!({})), Span::hours(24), |ms| Some(10_000 + (ms % 1_000) as u32));
    assert_eq!(told.len(), 24);
    for (n, (at, summary)) in told.iter().enumerate() {
        assert_eq!(summary.id.rsplit('/').next().unwrap(), format!("T{n}"));
        let line = summary.line.as_ref().unwrap();
        let covered = line.up_ms + line.down_ms + line.unknown_ms;
        let since = if n == 0 { 0 } else { told[n - 1].0 };
        assert_eq!(covered, at - since, "every millisecond is in one state");
        assert_eq!((line.down_ms, line.disconnects), (0, 0));
        let echo = summary.echo.as_ref().unwrap();
        assert_eq!(echo.lost, 0);
        assert!(echo.least_us.unwrap() >= 10_000 && echo.most_us.unwrap() < 11_000);
        let median = echo.median_us.unwrap();
        assert!((10_000..11_000).contains(&median), "{median}");
        let traffic = summary.traffic.as_ref().unwrap();
        assert_eq!(traffic.rx_bytes, 2 * traffic.tx_bytes);
        assert_eq!((traffic.rx_most.0, traffic.tx_most.0), (8_000, 4_000));
        // The intervals lie on the hour of the device's own phase.
        if n > 0 {
            assert_eq!((at - told[0].0) / 1_000, n as u64 * 3_600, "on time");
            assert!((3_590..=3_600).contains(&(traffic.rx_bytes / 1_000)), "{}", traffic.rx_bytes);
        }
        assert!(summary.speed.as_ref().unwrap().verdicts.is_empty(), "nothing was sold");
    }
}

#[test]
fn outage_appears_in_its_hour_only() {
    let (from, to) = (5_000_000, 5_060_000);
    let dead = |ms: u64| if (from..to).contains(&ms) { None } else { Some(10_000) };
    let told = watch(&config("gw-1", json!({})), Span::hours(3), dead);
    let down: Vec<u64> = told.iter().map(|(_, s)| s.line.as_ref().unwrap().down_ms).collect();
    let hour = told.iter().position(|(at, _)| *at > to).unwrap();
    assert!((55_000..=60_000).contains(&down[hour]), "{down:?}");
    assert_eq!(down.iter().sum::<u64>(), down[hour], "{down:?}");
}

#[test]
fn fleet_spreads_its_telemetry_over_time() {
    let mut seconds: Vec<u64> = (0..40)
        .map(|n| {
            watch(&config(&format!("gw-{n:04}"), json!({})), Span::hours(1), |_| Some(1_000))[0].0 / 1_000
        })
        .collect();
    seconds.sort_unstable();
    seconds.dedup();
    assert!(seconds.len() >= 35, "{seconds:?}");
    assert!(seconds[0] < 900 && *seconds.last().unwrap() > 2_700, "spread over the hour: {seconds:?}");
}

#[test]
fn only_configured_telemetry_is_published() {
    let only = json!({ "every": "10 min", "fields": ["echo"] });
    let told = watch(&config("gw-1", only), Span::hours(1), |_| Some(1_000));
    assert_eq!(told.len(), 6);
    let value = serde_json::to_value(&told[0].1).unwrap();
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["device_id", "echo", "id", "schema", "since", "time"]);
    assert!(watch(&config("gw-1", json!({ "fields": [] })), Span::hours(3), |_| Some(1_000)).is_empty());
}
