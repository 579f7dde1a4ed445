//! `backtest`: errors in logs are reported with line and column, holes are not outages, each logged test counts once. If the
//! real logs in ../shared/traces exist, it also checks what is found in them (see tests/backtest/README.md).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]

use crate::common::agent_binary;
use crate::common::trial::{Outcome, TRACES, Test, here, traces};
use linekeeper::config_text::parse_tree;
use linekeeper_contract::units::{LocalTime, Rate, Span};
use linekeeper_proving::backtest::log::{Kind, Log};
use linekeeper_proving::backtest::{Found, Judged, Options, backtest, json, show};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// All tests of this module.
pub fn tests() -> Vec<Test> {
    let mut tests = here![
        invalid_logs_are_refused_with_line_and_column,
        command_line_reports_errors_with_exit_codes,
        holes_and_single_lost_pings_are_no_outages,
        down_states_are_outages_and_unknown_states_are_not,
        each_logged_test_is_used_once,
        two_configurations_are_compared,
        recorded_trace_is_a_valid_log
    ];
    tests.extend([
        Test::here("cable_line_keeps_its_promise", cable_line_keeps_its_promise).needs(&[TRACES]),
        Test::here("upgraded_line_has_one_slow_period", upgraded_line_has_one_slow_period).needs(&[TRACES]),
        Test::here("laptop_pings_give_no_false_outages", laptop_pings_give_no_false_outages).needs(&[TRACES]),
        Test::here("car_and_server_logs_are_read", car_and_server_logs_are_read).needs(&[TRACES]),
    ]);
    tests
}

fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn options(log: PathBuf) -> Options {
    Options { log, config: None, against: None, promise: None, plot: None }
}

fn judge(text: &str, promise: Option<(u64, Option<u64>)>) -> (Log, Judged) {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(file(folder.path(), "log.csv", text));
    options.promise = promise.map(|(down, up)| (Rate(down * 1_000_000), up.map(|up| Rate(up * 1_000_000))));
    let (log, mut judged) = backtest(&options, parse_tree).unwrap_or_else(|e| panic!("{e}"));
    (log, judged.remove(0))
}

/// A single invalid line refuses the whole log; every error is reported with line and column.
fn invalid_logs_are_refused_with_line_and_column() -> Outcome {
    let good = "time,target,rtt_ms\n2026-01-01T00:00:00Z,a,1.5\n2026-01-01T00:01:00Z,a,\n1767225720,a,2\n";
    assert_eq!(Log::read(good).unwrap().rows, 3);
    let cases: &[(&str, &str)] = &[
        ("", "line 1, column 1: the first line must be time,download_mbps"),
        ("time;up\n1;1\n", "line 1, column 1: the first line must be"),
        ("time,download_mbps,latency_ms\n", "line 1, column 1: the columns of speeds are time,download_mbps"),
        ("time,up\n100,1\n", "line 1, column 1: has fewer than two rows"),
        ("time,up\n100,1\n90,1\n", "line 3, column 1: time runs backwards by 10 s"),
        ("time,up\n100,1\n110,yes\n", "line 3, column 5: up must be 1 or 0, or empty, is \"yes\""),
        ("time,up\n100,1\n110\n", "line 3, column 1: has 1 fields, the first line has 2"),
        ("time,up\n100,1\n110,1,1\n", "line 3, column 1: has 3 fields"),
        ("time,up\nyesterday,1\n110,1\n", "line 2, column 1: time must be a time: \"yesterday\""),
        ("time,up\n1767225720000,1\n110,1\n", "milliseconds are not accepted"),
        (
            "time,target,rtt_ms\n1,\u{5ba2}\u{6237},1\n2,a,-3\n",
            "line 3, column 5: rtt_ms must be a number of 0 to 60000",
        ),
        ("time,target,rtt_ms\n1,\u{5ba2}\u{6237},x\n2,a,3\n", "line 2, column 6: rtt_ms must be"),
        (
            "time,download_mbps\n1,1e3\n2,5\n",
            "line 2, column 3: download_mbps must be a number of 0 to 1000000",
        ),
        ("time,download_mbps\n1,NaN\n2,5\n", "line 2, column 3: download_mbps must be"),
        ("time,download_mbps\n1,\"5\"\n2,5\n", "line 2, column 3: download_mbps must be"),
        (
            "time,download_mbps,upload_mbps\n1,5,1\n2,5,-1\n",
            "line 3, column 5: upload_mbps must be a number of 0 to 1000000",
        ),
        (
            "time,download_mbps,upload_mbps,latency_ms\n1,5,1,20\n2,5,1,61000\n",
            "line 3, column 7: latency_ms must be",
        ),
        (
            "time,download_mbps,upload_mbps,latency_ms,jitter\n1,5,1,20,2\n",
            "line 1, column 1: the columns of speeds are",
        ),
        ("time,rtt_ms,target\n1,5,a\n", "line 1, column 1: the first line must be"),
        (
            "time,value\n1,0.5\n2,half\n",
            "line 3, column 3: value must be a number of 0 to 1000000, or empty, is \"half\"",
        ),
        ("time,value,label\n1,0.5,a\n2,0.5\n", "line 3, column 1: has 2 fields, the first line has 3"),
        ("time,value\n1,0.5\n0,0.5\n", "line 3, column 1: time runs backwards by 1 s"),
        ("time,target,rtt_ms\n5,a,1\n4,a,1\n", "line 3, column 1: time runs backwards by 1 s"),
        ("time,download_mbps\n5,1\n4,1\n", "line 3, column 1: time runs backwards by 1 s"),
        ("time,up\n2026-02-30T00:00:00Z,1\n110,1\n", "line 2, column 1: time must be a time"),
        ("{\"schema\":\"x\"}\n", "line 1, column 1: not the header of a trace: missing field"),
        ("{\"at\":5}\n", "line 1, column 1: not an entry of a trace: missing field"),
        (
            "{\"at\":5,\"observation\":{\"saw\":\"ticked\"}}\n{\"at\":4,\"observation\":{\"saw\":\"ticked\"}}\n",
            "line 2, column 1: time runs backwards",
        ),
        (
            "{\"schema\":\"linekeeper.trace.v9\",\"version\":\"1\",\"config\":{},\"snapshot\":null}\n",
            "line 1, column 12: the schema is \"linekeeper.trace.v9\", this program reads linekeeper.trace.v1",
        ),
        ("{\"at\":5,\"observation\":{\"saw\":\"ticked\"}}\n", "line 1, column 1: has fewer than two echoes"),
        (
            "{\"at\":5,\"observation\":{\"saw\":\"ticked\"}}\n{\"at\":6,\"obser",
            "line 2, column 14: not an entry of a trace: EOF",
        ),
    ];
    for (text, words) in cases {
        let Err(faults) = Log::read(text) else { panic!("{text:?} is accepted") };
        let output = faults[0].to_string();
        assert!(output.contains(words), "{text:?}: {output:?} does not contain {words:?}");
    }
    let targets: String =
        (0..257).fold("time,target,rtt_ms\n".into(), |text: String, n| text + &format!("{n},h{n},1\n"));
    let output = Log::read(&targets).unwrap_err()[0].to_string();
    assert_eq!(output, "line 258, column 5: target is one of more than 256 targets");
    // An error in the last line refuses the whole log, for each kind; each error in a line has its own column.
    for (head, row, bad, columns) in [
        ("time,download_mbps,upload_mbps,latency_ms", "5,1,20", "x,y,z", [5, 7, 9]),
        ("time,target,rtt_ms", "a,1", "a,z", [7, 0, 0]),
        ("time,up", "1", "z", [5, 0, 0]),
        ("time,value", "0.1", "z", [5, 0, 0]),
    ] {
        let rows: String = (100..150).fold(String::new(), |text, n| text + &format!("{n},{row}\n"));
        assert_eq!(Log::read(&format!("{head}\n{rows}")).unwrap().rows, 50, "{head}");
        let wrong = Log::read(&format!("{head}\n{rows}150,{bad}\n")).unwrap_err();
        let places: Vec<(usize, usize)> = wrong.iter().map(|w| (w.line, w.column)).collect();
        let wanted: Vec<(usize, usize)> = columns.iter().filter(|c| **c > 0).map(|c| (52, *c)).collect();
        assert_eq!(places, wanted, "{head}: {wrong:?}");
    }
    // Errors are listed together, but at most twenty.
    let many: String = (0..1_000).fold("time,up\n".into(), |text: String, n| text + &format!("{n},x\n"));
    assert_eq!(Log::read(&many).unwrap_err().len(), 20);
    Ok(())
}

fn command_line_reports_errors_with_exit_codes() -> Outcome {
    let folder = tempfile::tempdir()?;
    let run = |words: &[&str]| {
        let out = Command::new(agent_binary()).arg("backtest").args(words).output().unwrap();
        (out.status.code(), String::from_utf8(out.stderr).unwrap(), String::from_utf8(out.stdout).unwrap())
    };
    let bad = file(folder.path(), "bad.csv", "time,up\n100,1\n110,maybe\n");
    let (code, output, out) = run(&[bad.to_str().unwrap()]);
    assert_eq!((code, out.as_str()), (Some(65), ""), "{output}");
    assert!(output.contains("refused:\n  - line 3, column 5: up must be 1 or 0"), "{output}");
    let (code, output, _) = run(&["/nowhere.csv"]);
    assert!(code == Some(66) && output.contains("cannot read the log /nowhere.csv"), "{code:?} {output}");
    let (code, output, _) = run(&[]);
    assert!(code == Some(64) && output.contains("no log is named"), "{code:?} {output}");
    let binary = folder.path().join("binary.csv");
    std::fs::write(&binary, b"time,up\n1,1\n2,\xff\n")?;
    let (code, output, _) = run(&[binary.to_str().unwrap()]);
    assert!(code == Some(65) && output.contains("line 3, column 3: not UTF-8"), "{code:?} {output}");
    let speeds = file(folder.path(), "speeds.csv", "time,download_mbps\n0,5\n3600,5\n");
    let (code, output, _) = run(&[speeds.to_str().unwrap()]);
    assert!(code == Some(78) && output.contains("--promise DOWN"), "{code:?} {output}");
    let (code, output, _) = run(&[speeds.to_str().unwrap(), "--promise", "fast"]);
    assert!(code == Some(64) && output.contains("--promise is DOWN or DOWN/UP"), "{code:?} {output}");
    Ok(())
}

/// One ping per minute: three lost in a row are an outage, two are not, and neither is a hole in the log.
fn holes_and_single_lost_pings_are_no_outages() -> Outcome {
    let mut text = String::from("time,target,rtt_ms\n");
    for minute in 0..600u64 {
        let lost = matches!(minute, 100 | 150 | 151 | 200..=206);
        let hole = (300..400).contains(&minute);
        if !hole {
            writeln!(text, "{},8.8.8.8,{}", minute * 60, if lost { "" } else { "20" })?;
        }
    }
    let (log, judged) = judge(&text, None);
    assert_eq!((log.kind, log.rows, log.bad, log.holes.len()), (Kind::Pings, 500, 10, 1));
    assert!(judged.changed.as_ref().unwrap().contains("raised from 2 s to 2 min 30 s"), "{judged:?}");
    assert_eq!(judged.incidents.len(), 1, "{:?}", judged.incidents);
    let found = &judged.incidents[0];
    assert_eq!((found.finding, found.domain), ("outage", "unknown"), "the log knows nothing of the gateway");
    assert!(found.begins_ms.0.abs_diff(199 * 60_000) < 5_000, "{found:?}");
    assert!(found.ends_ms.unwrap().0.abs_diff(206 * 60_000) < 5_000, "{found:?}");
    assert_eq!(judged.hiccups, 2, "the short ones are counted");
    Ok(())
}

fn down_states_are_outages_and_unknown_states_are_not() -> Outcome {
    let (_, judged) = judge("time,up\n0,1\n1000,0\n1030,1\n2000,\n5000,1\n9000,0\n9001,1\n9600,1\n", None);
    let found: Vec<(u64, u64)> =
        judged.incidents.iter().map(|f| (f.begins_ms.0 / 1_000, f.ends_ms.unwrap().0 / 1_000)).collect();
    assert_eq!(found, [(1_000, 1_030)], "{judged:?}");
    Ok(())
}

/// A single low test is never a finding, however often the judge orders tests meanwhile: each logged test is used once.
fn each_logged_test_is_used_once() -> Outcome {
    let log = |low: std::ops::Range<u64>| {
        (0..24 * 14).fold(String::from("time,download_mbps\n"), |text, hour| {
            text + &format!("{},{}\n", hour * 3_600, if low.contains(&hour) { 9 } else { 48 })
        })
    };
    let (_, judged) = judge(&log(100..101), Some((50, None)));
    assert!(judged.incidents.is_empty() && judged.tests.len() > 100, "{judged:?}");
    let (_, judged) = judge(&log(100..130), Some((50, None)));
    assert_eq!(judged.incidents.len(), 1, "{judged:?}");
    let found = &judged.incidents[0];
    let (from, until) = (found.begins_ms.0 / 3_600_000, found.ends_ms.unwrap().0 / 3_600_000);
    assert!((100..112).contains(&from) && (130..160).contains(&until), "{found:?}");
    assert_eq!(found.finding, "short_rate");
    Ok(())
}

/// Two configurations on one log, with the plot and the JSON output.
fn two_configurations_are_compared() -> Outcome {
    let folder = tempfile::tempdir()?;
    let mut text = String::from("time,up\n0,1\n");
    for n in 1..40u64 {
        write!(text, "{},0\n{},1\n", n * 600, n * 600 + 5)?;
    }
    text += "25000,1\n";
    let device = "[device]\nid = \"a\"\n[probe]\ntargets = [{ host = \"192.0.2.1\", role = \"world\" }]\n";
    let config = |name: &str, over: &str| file(folder.path(), name, &format!("{device}{over}"));
    let options = Options {
        config: Some(config("usual.toml", "")),
        against: Some(config("patient.toml", "[outage]\npatience = \"10 s\"\n")),
        plot: Some(folder.path().join("log.svg")),
        ..options(file(folder.path(), "log.csv", &text))
    };
    let (log, judged) = backtest(&options, parse_tree).unwrap();
    assert_eq!((judged[0].incidents.len(), judged[1].incidents.len()), (39, 0));
    assert_eq!((judged[0].hiccups, judged[1].hiccups), (0, 39));
    let output = show(&options.log, &log, &judged);
    assert!(output.contains("usual.toml") && output.contains("outages and flapping"), "{output}");
    assert_eq!(json(&options.log, &log, &judged)["judged"][0]["incidents"].as_array().unwrap().len(), 39);
    let svg = std::fs::read_to_string(folder.path().join("log.svg"))?;
    assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"));
    assert!(svg.matches("<title>IN").count() == 39 && svg.contains("patient.toml"));
    Ok(())
}

/// A trace of our own agent is judged like other logs.
fn recorded_trace_is_a_valid_log() -> Outcome {
    use linekeeper_judge::config::{Places, read};
    use linekeeper_judge::observation::{Entry, Observation};
    use linekeeper_proving::simulate::{Moment, Spectator, Trouble, World, run};
    struct Writer(String);
    impl Spectator for Writer {
        fn on_observation(&mut self, at: Moment, saw: &Observation) {
            let entry = Entry { at: at.agent, observation: saw.clone() };
            self.0 += &(serde_json::to_string(&entry).unwrap() + "\n");
        }
    }
    let tree = serde_json::json!({
        "device": { "id": "gw-0001" },
        "probe": { "targets": [
            { "host": "192.0.2.1", "role": "anchor" }, { "host": "192.0.2.2", "role": "world" },
        ] },
    });
    let header = serde_json::json!({
        "schema": "linekeeper.trace.v1", "version": "x", "config": tree, "snapshot": null
    });
    let world = World::quiet()
        .with_trouble(Span::minutes(10), Span::seconds(40), Trouble::Upstream)
        .with_trouble(Span::minutes(30), Span::seconds(20), Trouble::Carrier);
    // A `Value` sorts its keys, but the recorder writes the schema first.
    let rest = header.to_string().replace("\"schema\":\"linekeeper.trace.v1\",", "");
    let mut writer = Writer(format!("{{\"schema\":\"linekeeper.trace.v1\",{}\n", &rest[1..]));
    run(&read(&tree, &Places::none()).unwrap(), &world, 1, Span::hours(1), &mut writer);
    let (log, judged) = judge(&writer.0, None);
    assert_eq!(
        (log.kind, judged.config.as_str(), &judged.changed),
        (Kind::Trace, "the trace's configuration", &None)
    );
    let found: Vec<(u64, u64)> =
        judged.incidents.iter().map(|f| (f.begins_ms.0 / 1_000, f.ends_ms.unwrap().0 / 1_000)).collect();
    assert_eq!(found.len(), 2, "{found:?}");
    for ((from, until), (was_from, was_until)) in found.into_iter().zip([(600, 640), (1_800, 1_820)]) {
        assert!(
            from.abs_diff(was_from) <= 2 && until.abs_diff(was_until) <= 8,
            "{from} {until}: {was_from} {was_until}"
        );
    }
    Ok(())
}

// ---- the real logs ----

fn day(text: &str) -> i64 {
    LocalTime::parse(&format!("{text}:00Z")).unwrap().wall.0
}

/// Whether an incident covers a moment.
fn covers(log: &Log, found: &Found, at: &str) -> bool {
    let at = day(at) - log.from.0;
    (found.begins_ms.0 as i64) <= at && found.ends_ms.is_none_or(|end| end.0 as i64 >= at)
}

fn real(folder: &Path, name: &str, promise: Option<(f64, Option<f64>)>) -> (Log, Judged) {
    let mbit = |n: f64| Rate((n * 1e6) as u64);
    let mut options = options(folder.join(name));
    options.promise = promise.map(|(down, up)| (mbit(down), up.map(mbit)));
    let (log, mut judged) = backtest(&options, parse_tree).unwrap_or_else(|e| panic!("{e}"));
    (log, judged.remove(0))
}

fn cable_line_keeps_its_promise() -> Outcome {
    let folder = &traces().ok_or("no logs")?;
    let (_, judged) = real(folder, "netrics_gig_hyde_park/ookla-speeds.csv", Some((940.0, Some(40.0))));
    assert!(judged.incidents.is_empty(), "{:?}", judged.incidents);
    let (log, judged) = real(folder, "netrics_gig_hyde_park/ndt7-speeds.csv", Some((850.0, None)));
    assert_eq!(judged.incidents.len(), 1, "{:?}", judged.incidents);
    assert!(covers(&log, &judged.incidents[0], "2021-08-29T12:00"), "{:?}", judged.incidents);
    Ok(())
}

fn upgraded_line_has_one_slow_period() -> Outcome {
    let folder = &traces().ok_or("no logs")?;
    let name = "speed_us_chicago_upgrade_30_to_85/speed-speeds.csv";
    let (log, judged) = real(folder, name, Some((30.0, Some(5.8))));
    assert_eq!(judged.incidents.len(), 1, "{:?}", judged.incidents);
    assert!(covers(&log, &judged.incidents[0], "2014-09-30T12:00"), "{:?}", judged.incidents);
    let (log, judged) = real(folder, name, Some((85.0, Some(23.0))));
    let before = &judged.incidents[0];
    assert!(
        covers(&log, before, "2014-09-14T00:00") && !covers(&log, before, "2014-09-25T00:00"),
        "{before:?}"
    );
    assert!(judged.incidents.iter().any(|f| covers(&log, f, "2014-09-30T12:00")), "{:?}", judged.incidents);
    assert!(judged.incidents.iter().all(|f| f.ends_ms.is_some()), "{:?}", judged.incidents);
    Ok(())
}

fn laptop_pings_give_no_false_outages() -> Outcome {
    let folder = &traces().ok_or("no logs")?;
    let (log, judged) = real(folder, "ping_il_1m_first8weeks/pings.csv", None);
    assert!(judged.changed.is_some());
    // 103 runs of three and more, 5 of thirty and more; runs that follow within the hold-down are one.
    assert!((30..=103).contains(&judged.incidents.len()), "{}", judged.incidents.len());
    assert!(judged.incidents.iter().any(|f| covers(&log, f, "2023-08-27T00:30")), "{:?}", judged.incidents);
    for found in &judged.incidents {
        let end = found.ends_ms.unwrap_or(log.lasts);
        let lost =
            log.points.iter().filter(|(at, rtt)| rtt.is_none() && found.begins_ms <= *at && *at <= end);
        assert!(lost.count() >= 3, "{found:?} is based on fewer than three lost pings");
    }
    Ok(())
}

fn car_and_server_logs_are_read() -> Outcome {
    let folder = &traces().ok_or("no logs")?;
    let (log, judged) = real(folder, "starlink_road_1s/seconds.csv", Some((100.0, None)));
    assert!(
        log.holes.len() > 10 && !judged.tests.is_empty() && judged.incidents.is_empty(),
        "{:?}",
        judged.incidents
    );
    let (log, judged) = real(folder, "usage_donut_eth1out_6/usage.csv", None);
    assert_eq!((log.kind, log.rows, judged.incidents.len()), (Kind::Usage, 17_568, 0));
    Ok(())
}
