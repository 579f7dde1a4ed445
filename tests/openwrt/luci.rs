//! LuCI's pages in Debian's Chromium, with a runtime written for the tests (`tests/luci/runtime.js`) and statuses that the real
//! judge gives while it decides the golden traces again.
//!
//! `LINEKEEPER_PICTURES=DIR cargo test --test openwrt luci` leaves the pictures of the documents there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a trial that cannot go on fails by it"
)]

use crate::common::trial::{Test, here};
use crate::common::{agent_version, repository_path, repository_text};
use linekeeper::run::show::Answer;
use linekeeper_contract::message::CallbackState;
use linekeeper_contract::units::Mono;
use linekeeper_judge::Status;
use linekeeper_judge::outage::LineState;
use linekeeper_judge::promise::rule::Verdict;
use linekeeper_proving::replay::Replay;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file of the LuCI application.
fn app(path: &str) -> PathBuf {
    repository_path("openwrt/luci-app-linekeeper").join(path)
}

pub fn tests() -> Vec<Test> {
    const BROWSER: &[&str] = &["chromium"];
    let mut tests = here![every_text_is_translated];
    tests.push(Test::here("menu_and_acl_match_the_files", menu_and_rights));
    for language in ["en", "zh-Hans"] {
        for state in STATES {
            let name = format!("{}_in_{language}", state.name);
            tests.push(Test::here(name, move || shows(state, language)).needs(BROWSER));
        }
        let name = format!("settings_have_every_option_in_{language}");
        tests.push(Test::here(name, move || settings(language)).needs(BROWSER));
    }
    tests
}

/// What a page is to show.
struct State {
    name: &'static str,
    status: fn() -> Value,
    /// Whether UCI has it switched on.
    enabled: bool,
    /// Of each language, what must be read there, and what must not.
    says: [&'static [&'static str]; 2],
    /// What the overview's tile says.
    tile: [&'static str; 2],
    never: &'static [&'static str],
}

const STATES: &[State] = &[
    State {
        name: "never_started",
        status: || json!({ "error": "linekeeper: no linekeeper runs here", "config_faults": [] }),
        enabled: false,
        says: [&["Nobody watches the line", "switched off"], &["线路未受监测", "线路监测已关闭"]],
        tile: ["Nobody watches the line", "线路未受监测"],
        never: &["no linekeeper runs here"],
    },
    State {
        name: "refused_settings",
        status: || {
            json!({
                "error": "linekeeper: no linekeeper runs here <&>",
                "config_faults": ["probe.targets[0].host must be a host other than this gateway, is \"127.0.0.1\""],
            })
        },
        enabled: true,
        says: [
            &[
                "does not answer",
                "Parts of the settings are not used",
                "probe.targets[0].host",
                "here &lt;&amp;&gt;",
            ],
            &["守护程序无应答", "部分设置未生效", "probe.targets[0].host"],
        ],
        tile: ["Nobody watches the line", "线路未受监测"],
        never: &["switched off", "已关闭"],
    },
    State {
        name: "healthy",
        status: healthy,
        enabled: true,
        says: [
            &[
                "Up",
                "Download",
                "kept",
                "Upload",
                "not enough tests yet",
                "last test",
                "operator reached",
                "None so far",
                "99.987 %",
                "Follow-up calls after the installation: 24 h: done · 7 d: 2026-11-27 09:00",
            ],
            &[
                "正常",
                "下行",
                "达标",
                "测试次数不足",
                "已连接运营商",
                "可用率",
                "99.987 %",
                "24 小时: 已完成",
            ],
        ],
        tile: ["Promise, Download", "签约承诺（下行）"],
        never: &["Nobody watches", "not set", "99.988", "NaN"],
    },
    State {
        name: "outage_in_course",
        status: || status_of("03-not-healed", |s| s.remedies.len() == 2 && s.remedies[1].outcome.is_none()),
        enabled: true,
        says: [
            &[
                "Down",
                "Outage",
                "in progress",
                "the operator's first router",
                "Renew the address",
                "no effect",
                "1 of 24",
            ],
            &["中断", "宽带中断", "进行中", "运营商首跳路由器", "重新获取地址", "无效果"],
        ],
        tile: ["Outage · the operator's first router", "宽带中断 · 运营商首跳路由器"],
        never: &["round trip 2"],
    },
    State {
        name: "callback_received",
        status: || {
            status_of("03-not-healed", |s| s.callbacks.iter().any(|c| c.state == CallbackState::Received))
        },
        enabled: true,
        says: [
            &[
                "CB20261120-001",
                "Received by the operator",
                "tried without success: renewed the address once",
            ],
            &["CB20261120-001", "运营商已收到"],
        ],
        tile: ["Received by the operator", "运营商已收到"],
        never: &[],
    },
    State {
        name: "callback_requested_for_a_short_rate",
        status: || {
            status_of("10-short-of-the-promise", |s| {
                s.callbacks.iter().any(|c| c.state == CallbackState::Requested)
            })
        },
        enabled: true,
        says: [
            &[
                "broken",
                "36 Mbit/s",
                "40 % of the normal rate",
                "Requested, no receipt yet",
                "Slower than promised",
            ],
            &["未达标", "36 Mbit/s", "已请求，尚无回执", "低于签约速率"],
        ],
        tile: ["Requested, no receipt yet", "已请求，尚无回执"],
        never: &[],
    },
    State {
        name: "warned",
        status: warned,
        enabled: true,
        says: [
            &[
                "The operator knows of a fault in this area: fibre cut &lt;until noon&gt;",
                "Nothing that disturbs is done now: sysupgrade is at work",
                "Flash free: ",
                "4 % of the flash are free, for 2 h 0 min",
                "What repairs did for this line",
                "1 of 1",
                "0 of 7 · left out: it never helped",
                "Covered by the operator's notice",
                "Follow-up call, 7 d after the installation",
                "Unexpected restarts: 2 of this gateway, 1 of the watch alone",
            ],
            &[
                "运营商已获知本区域的故障",
                "闪存剩余",
                "已持续 2 小时 0 分",
                "各修复手段对本线路的效果",
                "0/7 · 不再尝试：从未奏效",
                "已包含在运营商公告中",
                "回访，安装后 7 天",
                "意外重启：网关 2 次",
            ],
        ],
        tile: ["Up", "正常"],
        never: &["undefined", "NaN"],
    },
    State {
        name: "clock_not_set",
        status: || status_of("06-clock-back-twenty-years", |s| !s.clock_synced),
        enabled: true,
        says: [&["The clock of this gateway is not set yet", "Unknown"], &["时钟尚未校准", "未知"]],
        tile: ["Unknown", "未知"],
        never: &[],
    },
];

/// What rpcd's plugin answers at the first moment of a golden trace at which `when` holds.
fn status_of(golden: &str, when: fn(&Status) -> bool) -> Value {
    let trace = repository_text(&format!("tests/golden/{golden}/trace.jsonl"));
    let mut replay = Replay::new();
    let mut began = None;
    for line in trace.lines() {
        replay.process_line(line).unwrap();
        let entry: Value = serde_json::from_str(line).unwrap();
        let Some(at) = entry["at"].as_u64() else { continue };
        let began = *began.get_or_insert(at);
        let judge = replay.judge().unwrap();
        let status = judge.status(Mono(at));
        if when(&status) {
            return answer(status, at - began);
        }
    }
    panic!("{golden}: that never was");
}

fn answer(status: Status, running_ms: u64) -> Value {
    let answer = Answer {
        device_id: "gw-0001".into(),
        version: agent_version().into(),
        running_ms,
        mqtt: true,
        waiting: usize::from(!status.broker),
        dropped: 0,
        status,
    };
    let mut told = serde_json::to_value(answer).unwrap();
    told["config_faults"] = json!([]);
    told
}

/// A week of a good line with two short evenings: more than any golden trace holds.
fn healthy() -> Value {
    const HOUR: u64 = 3_600_000;
    let mut told = status_of("11-back-at-the-promise", |s| {
        s.promise.as_ref().is_some_and(|p| p.directions.iter().any(|d| d.verdict == Verdict::Kept))
    });
    let result = |n: u64, normal: u64, short: bool| {
        let share = if short { 500 + n * 37 % 200 } else { 960 + n * 53 % 90 };
        json!({
            "ms_ago": 1_500_000 + n * 7 * HOUR / 2 + n * 613_000 % HOUR,
            "line": normal * share / 1_000,
            "share": share,
            "server": (n % 5 != 4).then_some("http://speed.isp.example/"),
            "short": short,
        })
    };
    let side = |direction: &str, verdict: Value, count: u64, normal: u64, short: &[u64]| {
        let mut side = json!({
            "direction": direction,
            "why": "",
            "enough": normal * 8 / 10,
            "last": (0..count).rev().map(|n| result(n, normal, short.contains(&n))).collect::<Vec<_>>(),
            "busy_hours": [2, 12],
            "other_hours": [0, 36],
        });
        side["verdict"] = verdict;
        side
    };
    let status = &mut told["status"];
    for (key, value) in [
        ("line", json!("up")),
        ("since_ms", json!(79 * HOUR)),
        ("rtt_us", json!(9_800)),
        ("traffic_bps", json!([12_400_000, 1_100_000])),
        ("broker", json!(true)),
        ("callbacks", json!([])),
        ("recent", json!([])),
    ] {
        status[key] = value;
    }
    let tally = |up: u64, line: u64, remedies: u64, unknown: u64, ppm: u64| {
        json!({
            "available_ppm": ppm, "up_ms": up, "line_ms": line, "remedies_ms": remedies, "tests_ms": 0,
            "power_ms": 0, "unknown_ms": unknown,
        })
    };
    let dated = |date: &str, mut of: Value| {
        of["date"] = date.into();
        of
    };
    // 999879 is 99.9879 %: what is not all is not rounded up to more than it is.
    let whole = tally(96 * HOUR, 41_000, 0, 41_000, 999_879);
    status["availability"] = json!({
        "total": whole,
        "days": [
            dated("2026-11-19", tally(24 * HOUR, 41_000, 0, 0, 999_525)),
            dated("2026-11-20", tally(24 * HOUR, 0, 0, 41_000, 1_000_000)),
            dated("2026-11-21", tally(14 * HOUR, 0, 0, 0, 1_000_000)),
        ],
        "months": [dated("2026-11", whole.clone())],
    });
    status["programme"] = json!([
        { "name": "24h", "due": "2026-11-21T09:00:00.000+08:00", "done": true },
        { "name": "7d", "due": "2026-11-27T09:00:00.000+08:00", "done": false },
        { "name": "30d", "due": "2026-12-20T09:00:00.000+08:00", "done": false },
    ]);
    status["promise"]["directions"] = json!([
        side("download", json!({ "verdict": "kept" }), 47, 90_000_000, &[20, 21, 34]),
        side("upload", json!({ "verdict": "inconclusive", "reason": "too_few" }), 6, 18_000_000, &[]),
    ]);
    status["promise"]["day"][0] = json!(312_000_000);
    status["promise"]["month"][0] = json!(7_400_000_000_u64);
    status["promise"]["next_test_ms"] = json!(5_400_000);
    // It is what the daemon's own type holds, no more and no less.
    let typed: Status = serde_json::from_value(status.clone()).unwrap();
    assert_eq!(&serde_json::to_value(&typed).unwrap(), status);
    answer(typed, 96 * HOUR)
}

/// All that warns, besides what a restart of the interface mended.
fn warned() -> Value {
    let mut told = status_of("02-healed-by-restart", |s| {
        s.rungs.iter().any(|r| r.healed == 1) && s.line == LineState::Up
    });
    let status = &mut told["status"];
    status["notice"] = "fibre cut <until noon>".into();
    status["hands_off"] = "sysupgrade is at work".into();
    status["interface"] = json!(["wan", "taken_down"]);
    status["warnings"] =
        json!([{ "name": "flash", "text": "4 % of the flash are free", "since_ms": 7_200_000 }]);
    status["unasked"] = json!({ "crashes": 1, "power_cuts": 2 });
    status["callbacks"] = json!([
        { "callback_id": "CB20261120-001", "state": "covered", "trigger": "no_names",
          "description": "Names are not resolved although the line carries." },
        { "callback_id": "CB20261127-001", "state": "received", "trigger": "7d",
          "description": "The new line has been in use for seven days." },
    ]);
    let left_out = json!({
        "rung": "reboot", "domain": "access", "tried": 7, "healed": 0, "heal_ms": null, "left_out": true,
    });
    status["rungs"].as_array_mut().unwrap().push(left_out);
    let typed: Status = serde_json::from_value(status.clone()).unwrap();
    assert_eq!(&serde_json::to_value(&typed).unwrap(), status);
    answer(typed, 7_200_000)
}

/// The app's JavaScript: module name → text.
fn files() -> BTreeMap<String, String> {
    let base = app("htdocs/luci-static/resources");
    let mut found = BTreeMap::new();
    let mut folders = vec![base.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(&base).unwrap().with_extension("");
                found.insert(name.to_str().unwrap().replace('/', "."), fs::read_to_string(path).unwrap());
            }
        }
    }
    found
}

/// msgid → msgstr, of the two files of a folder: the pages' own words, and those of the table of options.
fn translations(folder: &str, ending: &str) -> BTreeMap<String, String> {
    let mut words = translations_in(&format!("{folder}/linekeeper.{ending}"));
    for (id, said) in translations_in(&format!("{folder}/linekeeper-options.{ending}")) {
        assert!(words.insert(id.clone(), said).is_none(), "{id:?} stands in both files of {folder}");
    }
    words
}

fn translations_in(file: &str) -> BTreeMap<String, String> {
    let text = fs::read_to_string(app(&format!("po/{file}"))).unwrap();
    let quoted = |line: &str| -> String { serde_json::from_str(line.split_once(' ').unwrap().1).unwrap() };
    let mut words = BTreeMap::new();
    let mut id = String::new();
    for line in text.lines() {
        if line.starts_with("msgid ") {
            id = quoted(line);
        } else if line.starts_with("msgstr ") && !id.is_empty() {
            assert!(words.insert(id.clone(), quoted(line)).is_none(), "{id:?} stands twice in {file}");
        }
    }
    words
}

/// Options of UCI for the settings page: the shipped file with everything in it.
fn uci(enabled: bool) -> Map<String, Value> {
    let text = repository_text("openwrt/linekeeper/files/linekeeper.config");
    let mut sections: Map<String, Value> = Map::new();
    let mut section = String::new();
    for line in text.lines() {
        let bare = line.trim_start().trim_start_matches('#').trim_start();
        let words: Vec<&str> = bare.splitn(3, ' ').collect();
        match words.as_slice() {
            ["config", _, name] => {
                section = name.trim_matches('\'').to_owned();
                sections.insert(section.clone(), json!({}));
            }
            ["option", name, value] if value.starts_with('\'') => {
                sections[&section][*name] = value.trim_matches('\'').into();
            }
            ["list", name, value] if value.starts_with('\'') => {
                let items = &mut sections[&section][*name];
                if items.is_null() {
                    *items = json!([]);
                }
                items.as_array_mut().unwrap().push(value.trim_matches('\'').into());
            }
            _ => {}
        }
    }
    sections["main"]["enabled"] = (if enabled { "1" } else { "0" }).into();
    sections
}

struct Page<'a> {
    show: &'a [&'a str],
    clicks: &'a [&'a str],
    status: Value,
    uci: Map<String, Value>,
    tab: usize,
    picture: &'a str,
    height: u32,
}

/// Shows it, and gives the page's elements as text; fails on anything that a browser's console would tell.
#[track_caller]
fn browse(language: &str, page: &Page<'_>) -> String {
    let room = tempfile::tempdir().unwrap();
    let words = if language == "en" { BTreeMap::new() } else { translations("zh_Hans", "po") };
    let answers = json!({
        "status": page.status,
        "callback": { "callback_id": "CB20261121-002" },
        "diagnose": {
            "fault_domain": "link", "carried_by": "eth1 has no carrier",
            "advice": "look at the cable, and at the modem and its power",
            "layers": [
                { "layer": "device", "asked": "this gateway", "came_back": "cpu 3 %", "verdict": "ok" },
                { "layer": "link", "asked": "eth1", "came_back": "no <carrier>", "verdict": "missing" },
            ],
        },
        "speedtest": { "state": "done", "result": { "tests": [
            { "direction": "download", "outcome": { "outcome": "measured", "line": 89_100_000 } },
            { "direction": "upload", "outcome": { "outcome": "failed", "detail": "x" } },
        ]}},
    });
    let script = |value: &Value| value.to_string().replace("</", "<\\/");
    let html = format!(
        "<!DOCTYPE html><html lang=\"{}\"><head><meta charset=\"utf-8\"><style>{}</style><script>\n\
         const FILES = {}, WORDS = {}, ANSWERS = {}, UCI = {}, PAGE = {}, CLICKS = {}, SHOWN_TAB = {};\n{}</script></head>\
         <body><div id=\"page\"></div><pre id=\"errors\"></pre><pre id=\"calls\"></pre><pre id=\"done\"></pre></body></html>",
        language.replace('-', "_"),
        repository_text("tests/luci/page.css"),
        script(&json!(files())),
        script(&json!(words)),
        script(&answers),
        script(&Value::Object(page.uci.clone())),
        script(&json!(page.show)),
        script(&json!(page.clicks)),
        page.tab,
        repository_text("tests/luci/runtime.js"),
    );
    let file = room.path().join("page.html");
    fs::write(&file, html).unwrap();
    let run = |last: &[String]| {
        // A browser that hangs must not hold the tests for ever.
        let out = Command::new("timeout")
            .args(["120", "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"])
            .args(["--virtual-time-budget=20000", "--enable-logging=stderr", "--no-first-run"])
            .arg(format!("--user-data-dir={}", room.path().join("profile").display()))
            .args(last)
            .arg(format!("file://{}", file.display()))
            .env("TZ", "Asia/Shanghai")
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.success(), "{}: {told}", out.status);
        let console: Vec<&str> = told.lines().filter(|l| l.contains("CONSOLE")).collect();
        assert!(console.is_empty(), "{console:?}");
        String::from_utf8(out.stdout).unwrap()
    };
    let dom = run(&["--dump-dom".into()]);
    let body = dom.split("<body>").nth(1).expect("no body").to_owned();
    let errors = body.split("<pre id=\"errors\">").nth(1).unwrap().split("</pre>").next().unwrap();
    assert_eq!(errors, "", "in {language}");
    assert!(body.contains("all shown"), "it did not come to an end: {body}");
    let body = match (body.find("<style>"), body.find("</style>")) {
        (Some(from), Some(to)) => format!("{}{}", &body[..from], &body[to..]),
        _ => body,
    };
    if let Some(folder) = std::env::var_os("LINEKEEPER_PICTURES").filter(|_| !page.picture.is_empty()) {
        let picture = Path::new(&folder).join(format!("{}-{language}.png", page.picture));
        run(&[
            format!("--screenshot={}", picture.display()),
            format!("--window-size=940,{}", page.height),
            "--force-device-scale-factor=1".into(),
        ]);
    }
    body
}

fn shows(state: &State, language: &str) {
    let page = Page {
        show: &["view.linekeeper.status"],
        clicks: if (state.status)()["status"].is_object() {
            &["lk-find", "lk-call", "lk-speed"]
        } else {
            &[]
        },
        status: (state.status)(),
        uci: uci(state.enabled),
        tab: 0,
        picture: "",
        height: 0,
    };
    let body = browse(language, &page);
    let says = state.says[usize::from(language != "en")];
    for words in says {
        assert!(body.contains(words), "{} does not say {words:?} in {language}:\n{body}", state.name);
    }
    for words in state.never {
        assert!(!body.contains(words), "{} says {words:?} in {language}:\n{body}", state.name);
    }
    if !page.clicks.is_empty() {
        assert!(body.contains(r#"["callback","very slow &lt;b&gt;since&lt;/b&gt; Monday"]"#), "{body}");
        assert!(body.contains(r#"["speedtest",true]"#) && body.contains("CB20261121-002"), "{body}");
        assert!(body.contains("89.1 Mbit/s"), "{body}");
        let found = ["Fault lies in: cable or modem", "故障位置：网线或光猫"][usize::from(language != "en")];
        assert!(body.contains(found) && body.contains("look at the cable"), "{body}");
        assert!(body.contains("no &lt;carrier&gt;"), "{body}");
    }
    // The tile says the same in short. Nobody clicks: this is the picture.
    let tile = Page { show: &["view.status.include.35_linekeeper"], clicks: &[], picture: "", ..page };
    let body = browse(language, &tile);
    let said = state.tile[usize::from(language != "en")];
    assert!(body.contains(said), "the tile does not say {said:?} in {language}:\n{body}");
    if std::env::var_os("LINEKEEPER_PICTURES").is_some() {
        let height = match state.name {
            "healthy" => 1380,
            "warned" => 1810,
            "never_started" => 300,
            _ => 1400,
        };
        // What a look for the fault shows stands in one of them.
        let clicks: &[&str] = if state.name == "warned" { &["lk-find"] } else { &[] };
        let status = Page { show: &["view.linekeeper.status"], clicks, picture: state.name, height, ..tile };
        browse(language, &status);
        let name = format!("{}-tile", state.name);
        let tile = Page {
            show: &["view.status.include.35_linekeeper"],
            clicks: &[],
            status: (state.status)(),
            uci: uci(state.enabled),
            tab: 0,
            picture: &name,
            height: 300,
        };
        browse(language, &tile);
    }
}

fn settings(language: &str) {
    let uci = uci(true);
    let wanted: BTreeSet<String> = uci
        .iter()
        .flat_map(|(section, options)| {
            options.as_object().unwrap().keys().map(move |o| format!("{section}.{o}"))
        })
        .collect();
    let page = |tab, picture, uci| Page {
        show: &["view.linekeeper.settings"],
        clicks: &[],
        status: json!({}),
        uci,
        tab,
        picture,
        height: 820,
    };
    let body = browse(language, &page(4, "settings", uci));
    let there: BTreeSet<String> =
        body.split("data-option=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect();
    assert_eq!(there, wanted, "the settings and the shipped file differ");
    // A firmware's own file may hold next to nothing.
    browse(language, &page(0, "", Map::from_iter([("main".to_owned(), json!({ "enabled": "1" }))])));
}

/// What stands in `_('…')` or `_("…")`.
fn texts(source: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for part in source.split("_(").skip(1) {
        let Some(quote) = part.chars().next().filter(|c| matches!(c, '\'' | '"')) else { continue };
        let end = part[1..].find(quote).unwrap();
        let text = &part[1..=end];
        assert!(!text.contains('\\'), "{text:?}: write it without a backslash");
        assert_eq!(part[end + 2..].chars().next(), Some(')'), "{text:?} is no plain text");
        found.insert(text.to_owned());
    }
    found
}

fn every_text_is_translated() {
    let mut wanted: BTreeSet<String> = files().values().flat_map(|text| texts(text)).collect();
    for (file, key) in [
        ("root/usr/share/luci/menu.d/luci-app-linekeeper.json", "title"),
        ("root/usr/share/rpcd/acl.d/luci-app-linekeeper.json", "description"),
    ] {
        let tree: Value = serde_json::from_str(&fs::read_to_string(app(file)).unwrap()).unwrap();
        wanted.extend(tree.as_object().unwrap().values().map(|v| v[key].as_str().unwrap().to_owned()));
    }
    for (folder, ending) in [("zh_Hans", "po"), ("templates", "pot")] {
        let there: BTreeSet<String> = translations(folder, ending).into_keys().collect();
        assert_eq!(
            there.symmetric_difference(&wanted).collect::<Vec<_>>(),
            Vec::<&String>::new(),
            "{folder}"
        );
    }
    for (id, words) in translations("zh_Hans", "po") {
        assert!(!words.is_empty(), "{id:?} is not translated");
        let places = |text: &str| -> Vec<String> {
            let all = text.split('%').skip(1).filter_map(|p| p.chars().next());
            all.filter(|c| matches!(c, 's' | 'd')).map(String::from).collect()
        };
        assert_eq!(places(&id), places(&words), "{id:?} and {words:?} have other places for values");
    }
}

fn menu_and_rights() {
    let read =
        |file: &str| -> Value { serde_json::from_str(&fs::read_to_string(app(file)).unwrap()).unwrap() };
    let menu = read("root/usr/share/luci/menu.d/luci-app-linekeeper.json");
    let rights = read("root/usr/share/rpcd/acl.d/luci-app-linekeeper.json");
    let modules = files();
    for (place, entry) in menu.as_object().unwrap() {
        if entry["action"]["type"] == "view" {
            let module = format!("view.{}", entry["action"]["path"].as_str().unwrap().replace('/', "."));
            assert!(modules.contains_key(&module), "{place} shows {module}, which there is not");
        }
        for acl in entry["depends"]["acl"].as_array().into_iter().flatten() {
            assert!(rights.get(acl.as_str().unwrap()).is_some(), "{place} wants {acl}, which nobody defines");
        }
    }
    // Whatever a page calls it may call.
    let group = &rights["luci-app-linekeeper"];
    let may: BTreeSet<&str> = ["read", "write"]
        .iter()
        .flat_map(|kind| group[kind]["ubus"]["linekeeper"].as_array().unwrap())
        .map(|m| m.as_str().unwrap())
        .collect();
    for text in modules.values() {
        for method in text.split("method: '").skip(1).map(|rest| rest.split('\'').next().unwrap()) {
            assert!(may.contains(method), "a page calls {method}, which the ACL does not allow");
        }
    }
}
