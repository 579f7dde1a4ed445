//! `config/schemas` and `config/asyncapi.json` against the types of the program: both say the same, or a trial fails.
//!
//! A field that is added to a message does not compile here before it is written down below, and is then refused by its
//! schema until it stands there too. The same holds for the words of enumerations.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a trial that cannot go on fails by it"
)]

use crate::common::trial::Test;
use crate::common::validator::{Case, schema, schemas, validate};
use crate::common::{repository_path, repository_text, validator};
use linekeeper::act::mqtt::{command, notice, receipt};
use linekeeper::privacy::{Privacy, UNMASKED_FIELDS};
use linekeeper_contract::message::*;
use linekeeper_contract::recording::{Recording, Run};
use linekeeper_contract::units::{Bytes, LocalTime, Rate, Wall};
use linekeeper_contract::vocabulary::{Direction, Limit, Rung, SpeedFailure};
use linekeeper_judge::config::{Config, desired};
use linekeeper_judge::lives::Ending;
use linekeeper_judge::observation::{Part, ReceiptState};
use linekeeper_judge::outage::LineState;
use linekeeper_judge::promise::rule;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const VALIDATOR: &[&str] = &[validator::PACKAGE];

pub fn tests() -> Vec<Test> {
    vec![
        Test::here("every field that is written is in its schema", all_fields_are_known).needs(VALIDATOR),
        Test::here("a missing required field is rejected", missing_required_fields_are_rejected)
            .needs(VALIDATOR),
        Test::here("every example is valid", examples_are_valid).needs(VALIDATOR),
        Test::here("every message of the golden scenarios is valid", golden_messages_are_valid)
            .needs(VALIDATOR),
        Test::here("readers and schemas refuse the same", readers_agree).needs(VALIDATOR),
        Test::here("readers ignore unknown fields", unknown_fields_are_ignored).needs(VALIDATOR),
        Test::here("every enum value is in its schema", enum_values_are_in_the_schemas),
        Test::here(
            "the AsyncAPI document lists every topic and schema",
            asyncapi_lists_every_topic_and_schema,
        ),
        Test::here(
            "fields exempt from masking are identifiers in the schemas",
            identifier_fields_are_exempt_from_masking,
        ),
    ]
}

// ---- what the program writes ----

fn stamp(full: bool) -> Stamp {
    let wall = LocalTime { wall: Wall(1_795_141_927_123), offset_minutes: 480 };
    Stamp { wall: full.then_some(wall), synced: full, boot_id: "boot".into(), uptime_ms: 7 }
}

fn recording() -> Recording {
    let runs = vec![Run { n: 7, times: 1 }, Run { n: 0, times: 9 }];
    Recording {
        from: stamp(true),
        broke: 3,
        line: "ud?-".into(),
        link: "+x-".into(),
        ours: "rt.".into(),
        asked: runs.clone(),
        answered: runs.clone(),
        lost: runs.clone(),
        rtt_us: runs.clone(),
        rx_kbps: runs.clone(),
        tx_kbps: runs,
    }
}

fn incident(full: bool) -> Incident {
    Incident {
        id: "IN20261120-001".into(),
        finding: Finding::Outage,
        fault_domain: Domain::Access,
        state: IncidentState::Open,
        opened: stamp(full),
        closed: full.then(|| stamp(full)),
        breaks: 1,
        down_ms: 2,
        about: full.then(|| "flash".into()),
    }
}

fn remedy(full: bool) -> Remedy {
    Remedy {
        name: Rung::Renew,
        began: stamp(full),
        took_ms: full.then_some(1),
        outcome: full.then_some(Outcome::NoEffect),
        detail: "said".into(),
    }
}

fn event(full: bool) -> Event {
    Event {
        schema: EVENT_SCHEMA.into(),
        id: "gw-1/m/E1".into(),
        device_id: "gw-1".into(),
        time: stamp(full),
        event: EventName::IncidentClosed,
        why: "because".into(),
        incident: incident(full),
        remedy: full.then(|| remedy(full)),
        recorder: full.then(|| Box::new(recording())),
    }
}

fn callback(full: bool) -> Callback {
    Callback {
        schema: CALLBACK_SCHEMA.into(),
        id: "gw-1/m/CB1".into(),
        callback_id: "CB1".into(),
        device_id: "gw-1".into(),
        customer_id: full.then(|| "CUST1001".into()),
        area: full.then(|| "north-3".into()),
        state: CallbackState::Requested,
        covered_by: full.then(|| "D-1".into()),
        time: stamp(full),
        severity: Severity::Urgent,
        trigger: Trigger { dimension: Dimension::Data, name: "outage".into() },
        issues: vec![Issue {
            kind: "disconnect".into(),
            code: "outage.access".into(),
            description: "The line is down.".into(),
        }],
        opened: stamp(full),
        incident_id: full.then(|| "IN1".into()),
        evidence: Evidence {
            finding: full.then_some(Finding::Outage),
            fault_domain: Domain::Access,
            facts: vec![Fact {
                at: stamp(full),
                name: "echo.silent".into(),
                subject: "198.51.100.1".into(),
                detail: "silent".into(),
            }],
            samples: Vec::new(),
            rule: "rule".into(),
            recorder: full.then(|| Box::new(recording())),
        },
        remedies: vec![remedy(full)],
        resolution: Resolution {
            state: ResolutionState::Open,
            by: full.then(|| "renew".into()),
            resolution_time_s: full.then_some(1),
        },
        satisfaction_score: full.then_some(5),
        issue_types: if full { vec!["slow".into()] } else { Vec::new() },
    }
}

fn result(full: bool) -> CommandResult {
    CommandResult {
        schema: COMMAND_RESULT_SCHEMA.into(),
        id: "gw-1/m/command/C/done".into(),
        device_id: "gw-1".into(),
        command_id: "C".into(),
        command: full.then_some(CommandName::Check),
        state: CommandState::Done,
        time: stamp(full),
        started_boot_id: full.then(|| "boot".into()),
        outcome: full.then_some(CommandOutcome::Ok),
        reason: full.then_some(Reason::Failed),
        detail: "looked".into(),
        result: if full { json!({ "line": "up" }) } else { Value::Null },
        correlation: full.then(|| "00fe".into()),
    }
}

fn telemetry(full: bool) -> Telemetry {
    let test = SpeedSummary {
        direction: Direction::Download,
        server: "http://speed.isp.example/".into(),
        line: full.then_some(Rate(1)),
        limit: full.then_some(Limit::Line),
        idle_rtt_us: full.then_some(1),
        loaded_rtt_us: full.then_some(2),
        failed: full.then_some(SpeedFailure::Local),
        cost: Bytes(1),
    };
    let verdict = VerdictSummary {
        direction: Direction::Upload,
        verdict: "inconclusive".into(),
        reason: full.then(|| "too few".into()),
    };
    let us = full.then_some(1);
    Telemetry {
        schema: TELEMETRY_SCHEMA.into(),
        id: "gw-1/m/T0".into(),
        device_id: "gw-1".into(),
        since: stamp(full),
        time: stamp(full),
        line: Some(LineSummary { up_ms: 1, down_ms: 2, unknown_ms: 3, disconnects: 4 }),
        echo: Some(EchoSummary {
            answered: 1,
            lost: 2,
            least_us: us,
            median_us: us,
            p95_us: us,
            most_us: us,
        }),
        traffic: Some(TrafficSummary { rx_bytes: 1, tx_bytes: 2, rx_most: Rate(3), tx_most: Rate(4) }),
        speed: Some(SpeedReport { tests: vec![test], verdicts: vec![verdict] }),
    }
}

fn reported(full: bool) -> Value {
    let report = ReportedConfig {
        schema: CONFIG_REPORTED_SCHEMA.into(),
        device_id: "gw-1".into(),
        version: full.then(|| "v1".into()),
        desired: full.then(|| "v1".into()),
        state: ConfigState::Applied,
        rejected: vec![Rejected { key: "device.id".into(), reason: "no".into() }],
        reason: full.then(|| "because".into()),
    };
    // What `act::mqtt` adds.
    let mut report = json!(report);
    report["id"] = "gw-1/config/s/1".into();
    report["time"] = json!(stamp(full));
    report
}

/// Each message that the program writes: with everything that it can hold, and with as little as it can.
fn written() -> Vec<(Value, Value)> {
    let mut both = vec![
        (json!(event(true)), json!(event(false))),
        (json!(callback(true)), json!(callback(false))),
        (json!(result(true)), json!(result(false))),
        (json!(telemetry(true)), json!(telemetry(false))),
        (reported(true), reported(false)),
    ];
    both[..4].iter_mut().for_each(|(full, _)| full["late"] = true.into());
    let mut bare = telemetry(false);
    (bare.line, bare.echo, bare.traffic, bare.speed) = (None, None, None, None);
    both.push((json!(telemetry(true)), json!(bare)));
    both
}

fn all_fields_are_known() {
    let cases: Vec<Case> = written()
        .into_iter()
        .flat_map(|(full, least)| [Case::ours("with everything", full), Case::ours("with the least", least)])
        .collect();
    println!("{}", validate(&cases).unwrap_or_else(|why| panic!("{why}")));
    // The test itself: one more field, and it is seen.
    let mut more = json!(event(true));
    more["incident"]["mood"] = "gloomy".into();
    assert!(validate(&[Case::ours("one more", more)]).unwrap_err().contains("mood"));
}

/// Every way to leave one field out, with where it stood.
fn without_one(value: &Value, place: &str, into: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(map) => {
            for (key, below) in map {
                let mut less = map.clone();
                less.remove(key);
                into.push((format!("{place}/{key}"), Value::Object(less)));
                let mut inner = Vec::new();
                without_one(below, &format!("{place}/{key}"), &mut inner);
                for (place, changed) in inner {
                    let mut whole = map.clone();
                    whole.insert(key.clone(), changed);
                    into.push((place, Value::Object(whole)));
                }
            }
        }
        Value::Array(items) => {
            for (at, below) in items.iter().enumerate() {
                let mut inner = Vec::new();
                without_one(below, &format!("{place}/{at}"), &mut inner);
                for (place, changed) in inner {
                    let mut whole = items.clone();
                    whole[at] = changed;
                    into.push((place, Value::Array(whole)));
                }
            }
        }
        _ => {}
    }
}

fn missing_required_fields_are_rejected() {
    let mut cases = Vec::new();
    for (_, least) in written() {
        let mut changed = Vec::new();
        without_one(&least, "", &mut changed);
        for (place, value) in changed {
            // Whole groups of a summary are configured away.
            let group = least["schema"] == TELEMETRY_SCHEMA
                && ["/line", "/echo", "/traffic", "/speed"].contains(&place.as_str());
            // Null where there is none, and absent from what an older program left in the outbox.
            let valid = group;
            let schema = least["schema"].as_str().unwrap().to_owned();
            cases.push(Case { what: format!("without {place}"), schema, value, valid, strict: false });
        }
    }
    assert!(cases.len() > 100, "{} fields", cases.len());
    println!("{}", validate(&cases).unwrap_or_else(|why| panic!("{why}")));
}

fn names() -> BTreeSet<String> {
    let files = std::fs::read_dir(schemas()).unwrap();
    let mut names: BTreeSet<String> = files
        .map(|f| f.unwrap().file_name().into_string().unwrap().strip_suffix(".json").unwrap().to_owned())
        .collect();
    assert!(names.remove("linekeeper.common.v1"));
    names
}

fn examples() -> Vec<Case> {
    let mut cases = Vec::new();
    for name in names() {
        let schema = schema(&name);
        assert_eq!(schema["title"], json!(name));
        let examples = schema["examples"].as_array().unwrap();
        assert!(!examples.is_empty(), "{name} has no example");
        for (n, value) in examples.iter().enumerate() {
            let what = format!("example {n}");
            cases.push(Case { what, schema: name.clone(), value: value.clone(), valid: true, strict: true });
        }
    }
    cases
}

fn examples_are_valid() {
    println!("{}", validate(&examples()).unwrap_or_else(|why| panic!("{why}")));
}

fn golden_messages_are_valid() {
    let golden = repository_path("tests/golden");
    let privacy = Privacy::default();
    let mut cases = Vec::new();
    for scenario in std::fs::read_dir(golden).unwrap() {
        let scenario = scenario.unwrap();
        let name = scenario.file_name().into_string().unwrap();
        let text = std::fs::read_to_string(scenario.path().join("actions.jsonl")).unwrap();
        for (n, line) in text.lines().enumerate() {
            let mut line: Value = serde_json::from_str(line).unwrap();
            let action = &mut line["action"];
            let message = match action["do"].as_str() {
                Some("publish") => action["message"].take(),
                Some("report") => {
                    action.as_object_mut().unwrap().remove("do");
                    action.take()
                }
                _ => continue,
            };
            let topic = if message["callback_id"].is_null() { "event" } else { "callback" };
            let mut sent = message.clone();
            privacy.redact(topic, &mut sent);
            let what = format!("{name}, line {}", n + 1);
            cases.push(Case::ours(format!("{what}, as sent"), sent));
            cases.push(Case::ours(what, message));
        }
    }
    assert!(cases.len() > 100);
    println!("{}", validate(&cases).unwrap_or_else(|why| panic!("{why}")));
}

fn unknown_fields_are_ignored() {
    let mut cases = examples();
    for case in &mut cases {
        case.value["new_field"] = json!({ "deep": [1] });
        case.strict = false;
    }
    println!("{}", validate(&cases).unwrap_or_else(|why| panic!("{why}")));
    cases.iter_mut().for_each(|case| case.strict = true);
    let refused = validate(&cases).unwrap_err();
    assert_eq!(refused.matches("refuses it").count(), cases.len(), "{refused}");
}

// ---- what the program reads ----

/// Whether the program takes a message of this schema, where it reads it.
fn takes(name: &str, value: &Value) -> Option<bool> {
    let bytes = value.to_string().into_bytes();
    Some(match name {
        "linekeeper.receipt.v1" => receipt::parse(&bytes).is_ok(),
        "linekeeper.notice.v1" => {
            notice::parse(&bytes, value["area"].as_str().unwrap_or_default()).is_ok_and(|n| n.is_some())
        }
        "linekeeper.command.v1" => {
            let read = command::parse(&bytes, command::Envelope::default(), "gw-0001", None);
            matches!(read, command::Parsed::Command(_))
        }
        "linekeeper.config-desired.v1" => desired::message(&bytes).is_ok_and(|d| d.is_some()),
        _ => return None,
    })
}

fn readers_agree() {
    let mut cases = Vec::new();
    for case in examples() {
        if takes(&case.schema, &case.value).is_none() {
            continue;
        }
        let mut changed = vec![("as it is".to_owned(), case.value.clone())];
        without_one(&case.value, "", &mut changed);
        // What a configuration holds is the configuration's matter, and not its message's.
        changed.retain(|(place, _)| !place.starts_with("/config/"));
        for key in case.value.as_object().unwrap().keys() {
            for other in
                [json!(null), json!(true), json!([]), json!(-1), json!("no such word\u{7}"), json!({})]
            {
                // These are read for what they are, or by who else reads them.
                let free = ["config", "issue_types", "text", "reason", "signature", "device_id", "area"];
                if free.contains(&key.as_str()) || key == "id" && other.is_string() {
                    continue;
                }
                // An empty object of arguments is none.
                if key == "arguments" && other == json!({}) || key == "callback_id" && other.is_string() {
                    continue;
                }
                let mut value = case.value.clone();
                value[key] = other.clone();
                changed.push((format!("with {key} {other}"), value));
            }
        }
        for (what, value) in changed {
            let valid = takes(&case.schema, &value).unwrap();
            let what = format!("{} {what}, as the program has it", case.what);
            cases.push(Case { what, schema: case.schema.clone(), value, valid, strict: false });
        }
    }
    assert!(cases.len() > 80 && cases.iter().any(|c| c.valid) && cases.iter().any(|c| !c.valid));
    println!("{}", validate(&cases).unwrap_or_else(|why| panic!("{why}")));
}

// ---- enumerations ----

/// All words of an enumeration; one that is added does not compile until it is named here.
macro_rules! all {
    ($type:ty: $($word:ident),+) => {{
        fn is_named(word: $type) -> Value {
            match word {
                $(<$type>::$word => json!(word),)+
            }
        }
        [$(<$type>::$word),+].map(is_named).to_vec()
    }};
}

fn enum_values_are_in_the_schemas() {
    let rungs = all!(Rung: Renew, OtherResolver, RestartInterface, RestartNetwork, PowerModem, Reboot);
    let directions = all!(Direction: Download, Upload);
    let commands = all!(CommandName: Check, Speedtest, Diagnose, Remedy, Reboot, Programme);
    // (Verdicts without a reason, and why there is none.)
    let verdicts = all!(rule::Reason: TooFew, CrossTraffic, GatewayCpu, Server, Window, Unconfirmed, Port, Budget,
        Clock, Local, Unknown);
    let common = "linekeeper.common.v1";
    for (name, pointer, words) in [
        (common, "/$defs/rung", rungs.clone()),
        (common, "/$defs/direction", directions.clone()),
        (
            common,
            "/$defs/finding",
            all!(Finding: Outage, Flapping, ShortRate, NoNames, Portal, Device, HighLatency, Loss, Usage),
        ),
        (
            common,
            "/$defs/domain",
            all!(Domain: Device, Lan, Link, Access, Gateway, Upstream, Name, Portal, Server, Unknown),
        ),
        (common, "/$defs/line", all!(LineState: Unknown, Up, Down)),
        (common, "/$defs/incident/properties/state", all!(IncidentState: Open, Closed)),
        (
            common,
            "/$defs/remedy/properties/outcome",
            all!(Outcome: Healed, NoEffect, Failed, Pretended, Interrupted),
        ),
        (common, "/$defs/verdict/properties/reason", verdicts),
        (
            "linekeeper.event.v1",
            "/properties/event",
            all!(EventName: IncidentOpened, IncidentUpdated, IncidentClosed, RemedyBegun, RemedyEnded),
        ),
        (
            "linekeeper.callback.v1",
            "/properties/state",
            all!(CallbackState: Covered, Requested, Received, Scheduled, Closed, Withdrawn, Refused),
        ),
        ("linekeeper.callback.v1", "/properties/severity", all!(Severity: Routine, Urgent, Low)),
        (
            "linekeeper.callback.v1",
            "/properties/trigger/properties/dimension",
            all!(Dimension: Time, Event, Data),
        ),
        (
            "linekeeper.callback.v1",
            "/properties/resolution/properties/state",
            all!(ResolutionState: Open, Resolved),
        ),
        (
            "linekeeper.state.v1",
            "/properties/troubles/propertyNames",
            all!(Part: Echo, Link, Counters, Store, Outbox, Recorder, Access, Name, Web, Device, Hook, Interface, Broker),
        ),
        (
            "linekeeper.state.v1",
            "/properties/began",
            all!(Ending: NotKnown, Restarted, Crashed, RebootedByUs, Rebooted, PowerCut),
        ),
        (
            "linekeeper.telemetry.v1",
            "/properties/speed/properties/tests/items/properties/limit",
            all!(Limit: Line, Customer, Server, Window, GatewayCpu, Unknown),
        ),
        (
            "linekeeper.telemetry.v1",
            "/properties/speed/properties/tests/items/properties/failed",
            all!(SpeedFailure: ServerUnreachable, ServerAnswer, ServerCertificate, ServerBusy, CustomerBusy, Local,
                Aborted),
        ),
        ("linekeeper.command-result.v1", "/properties/command", commands.clone()),
        (
            "linekeeper.command-result.v1",
            "/properties/state",
            all!(CommandState: Accepted, Started, Done, Refused, Expired),
        ),
        ("linekeeper.command-result.v1", "/properties/outcome", all!(CommandOutcome: Ok, Failed)),
        (
            "linekeeper.command-result.v1",
            "/properties/reason",
            all!(Reason: Malformed, TooLarge, OtherDevice, Retained, NotAllowed, Unsigned, BadSignature, Expired,
                TooMany, Budget, HandsOff, Unsupported, Failed, Interrupted),
        ),
        (
            "linekeeper.config-reported.v1",
            "/properties/state",
            all!(ConfigState: Local, Trying, Applied, Returned, Refused),
        ),
        (
            "linekeeper.receipt.v1",
            "/properties/state",
            all!(ReceiptState: Received, Scheduled, Closed, Refused),
        ),
        ("linekeeper.command.v1", "/properties/command", commands),
        ("linekeeper.command.v1", "/properties/arguments/properties/rung", rungs),
        ("linekeeper.command.v1", "/properties/arguments/properties/direction", directions),
    ] {
        let schema = schema(name);
        let there = schema.pointer(pointer).unwrap_or_else(|| panic!("{name} has no {pointer}"));
        let there: BTreeSet<&str> = there["enum"]
            .as_array()
            .unwrap_or_else(|| panic!("{name}{pointer} is no enumeration"))
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let words: BTreeSet<&str> = words.iter().map(|w| w.as_str().unwrap()).collect();
        assert_eq!(there, words, "{name}{pointer}");
    }
}

// ---- the AsyncAPI document ----

fn asyncapi() -> Value {
    let path = repository_path("config/asyncapi.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Every `$ref` in `value` leads to something.
fn follow(document: &Value, value: &Value, seen: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            if let Some(reference) = map.get("$ref") {
                let reference = reference.as_str().unwrap();
                seen.insert(reference.to_owned());
                let there = match reference.split_once('#') {
                    Some(("", pointer)) => document.pointer(pointer).is_some(),
                    _ => schemas().join("..").join(reference).exists(),
                };
                assert!(there, "{reference} leads to nothing");
            }
            map.values().for_each(|below| follow(document, below, seen));
        }
        Value::Array(items) => items.iter().for_each(|below| follow(document, below, seen)),
        _ => {}
    }
}

fn asyncapi_lists_every_topic_and_schema() {
    let document = asyncapi();
    assert_eq!(document["asyncapi"], "3.0.0");
    let mut seen = BTreeSet::new();
    follow(&document, &document, &mut seen);
    for name in names() {
        assert!(seen.contains(&format!("schemas/{name}.json")), "{name} is not in it");
    }
    // Each channel with who writes to it, against the broker's access list.
    let list = repository_text("config/mosquitto/acl");
    let mut allowed: BTreeMap<String, &str> = BTreeMap::new();
    for line in list.lines().filter_map(|line| line.strip_prefix("pattern ")) {
        let (may, topic) = line.split_once(' ').unwrap();
        let action = if may == "write" { "send" } else { "receive" };
        let address = topic.replace("%u", "{device}").replace("area/#", "area/{area}/notice");
        allowed.insert(address, action);
    }
    let mut named = BTreeMap::new();
    let retained = ["state", "config/desired", "config/reported", "notice"];
    for (name, operation) in document["operations"].as_object().unwrap() {
        let channel = operation["channel"]["$ref"].as_str().unwrap().strip_prefix("#/channels/").unwrap();
        let address = document["channels"][channel]["address"].as_str().unwrap();
        let retain = retained.iter().any(|end| address.ends_with(&format!("/{end}")));
        assert_eq!(operation["bindings"]["mqtt"]["retain"], retain, "{name}");
        assert_eq!(operation["bindings"]["mqtt"]["qos"], 1, "{name}");
        named.insert(address.to_owned(), operation["action"].as_str().unwrap());
        let message = &document["components"]["messages"][channel];
        assert_eq!(message["contentType"], "application/json", "{name}");
        let schema = schema(message["name"].as_str().unwrap());
        let examples: Vec<&Value> =
            message["examples"].as_array().unwrap().iter().map(|e| &e["payload"]).collect();
        let theirs: Vec<&Value> = schema["examples"].as_array().unwrap().iter().collect();
        assert_eq!(examples, theirs, "{name}: the examples are those of the schema");
    }
    assert_eq!(named, allowed);
}

/// The fields of a schema, wherever they stand, with what they hold.
fn fields(schema: &Value, into: &mut Vec<(String, Value)>) {
    match schema {
        Value::Object(map) => {
            for (key, below) in map {
                if let ("properties", Value::Object(properties)) = (key.as_str(), below) {
                    into.extend(properties.iter().map(|(name, held)| (name.clone(), held.clone())));
                }
                if !matches!(key.as_str(), "examples" | "enum" | "const") {
                    fields(below, into);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|below| fields(below, into)),
        _ => {}
    }
}

/// A field that is masked, and that somebody compares, would be found out late; one that is not masked, and holds words,
/// too late.
fn identifier_fields_are_exempt_from_masking() {
    let mut all = Vec::new();
    for name in names().into_iter().chain(["linekeeper.common.v1".to_owned()]) {
        fields(&schema(&name), &mut all);
    }
    for name in UNMASKED_FIELDS {
        assert!(all.iter().any(|(field, _)| field == name), "no message has {name}");
    }
    for (field, held) in &all {
        let says = held["description"].as_str().unwrap_or_default();
        let words = says.contains("English") || says.contains("in words") || says.contains("For people");
        assert!(
            !(words && UNMASKED_FIELDS.contains(&field.as_str())),
            "{field} is not masked, and holds words"
        );
        let ends = field == "id" || field.ends_with("_id");
        assert!(!ends || UNMASKED_FIELDS.contains(&field.as_str()), "{field} is masked, and is a name");
    }
    let _: fn(&Config) -> Privacy = Privacy::new;
}
