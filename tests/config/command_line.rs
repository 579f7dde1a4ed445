//! The command line: words, exit codes, advice. No namespaces: what needs a running daemon is tested in the field.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use crate::common::{agent_binary, agent_version, repository_path};
use std::fs;
use std::process::{Command, Output};

fn linekeeper(words: &[&str]) -> Output {
    Command::new(agent_binary()).args(words).output().unwrap()
}

fn code(out: &Output) -> i32 {
    out.status.code().expect("it was killed")
}

fn out(out: &Output) -> String {
    String::from_utf8(out.stdout.clone()).unwrap()
}

fn err(out: &Output) -> String {
    String::from_utf8(out.stderr.clone()).unwrap()
}

#[track_caller]
fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "it does not say {word:?}:\n{text}");
    }
}

#[test]
fn help_is_printed_by_every_verb() {
    for words in [&["--help"][..], &["-h"], &["help"]] {
        let o = linekeeper(words);
        assert_eq!(code(&o), 0);
        says(&out(&o), &["Usage: linekeeper VERB", "run", "check", "status", "callback", "replay"]);
        assert_eq!(err(&o), "");
    }
    for verb in [
        "check",
        "replay",
        "run",
        "status",
        "callback",
        "diagnose",
        "speedtest",
        "simulate",
        "backtest",
        "lab",
    ] {
        for flag in ["--help", "-h"] {
            let o = linekeeper(&[verb, flag]);
            assert_eq!(code(&o), 0, "{verb}");
            says(&out(&o), &[&format!("linekeeper {verb}"), "Usage:"]);
            assert_eq!(err(&o), "", "{verb}");
        }
    }
}

/// Not on OpenWrt there is no such file; then it says where the options are explained.
#[test]
fn help_on_options_explains_them_or_says_where() {
    let o = linekeeper(&["help", "options"]);
    assert_eq!((code(&o), err(&o).as_str()), (0, ""));
    says(&out(&o), &["/usr/share/linekeeper/explained"]);
}

#[test]
fn version_is_printed() {
    for flag in ["--version", "-V"] {
        let o = linekeeper(&[flag]);
        assert_eq!((code(&o), out(&o)), (0, format!("linekeeper {}\n", agent_version())));
    }
}

#[test]
fn wrong_usage_exits_64_with_error_and_help() {
    for (words, wrong) in [
        (&[][..], "no verb"),
        (&["runn"], "\"runn\" is not a verb"),
        (&["check"], "one word is wanted after the verb, 0 given"),
        (&["check", "a", "b"], "one word is wanted after the verb, 2 given"),
        (&["check", "--fast", "a"], "--fast is not known here"),
        (&["replay"], "one word is wanted after the verb, 0 given"),
        (&["run", "--config"], "--config needs a value"),
        (&["run", "now"], "nothing more is wanted after the verb, 1 given"),
        (&["status", "--json=yes"], "--json=yes is not known here"),
        (&["callback", "--reason"], "--reason needs a value"),
    ] {
        let o = linekeeper(words);
        assert_eq!(code(&o), 64, "{words:?}: {}", err(&o));
        says(&err(&o), &[wrong, "Usage: linekeeper"]);
        assert_eq!(out(&o), "", "{words:?}");
    }
}

#[cfg(unix)]
#[test]
fn arguments_that_are_not_utf8_are_rejected_without_a_panic() {
    use std::os::unix::ffi::OsStrExt as _;
    let o = Command::new(agent_binary())
        .arg("check")
        .arg(std::ffi::OsStr::from_bytes(b"\xff.toml"))
        .output()
        .unwrap();
    assert_eq!(code(&o), 64);
    says(&err(&o), &["not UTF-8"]);
}

#[test]
fn every_shipped_sample_is_valid() {
    let mut samples = 0;
    for entry in fs::read_dir(repository_path("config")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "toml") {
            let o = linekeeper(&["check", path.to_str().unwrap()]);
            assert_eq!(code(&o), 0, "{}: {}", path.display(), err(&o));
            says(&out(&o), &["right, for device", path.to_str().unwrap()]);
            samples += 1;
        }
    }
    assert!(samples >= 2);
}

#[test]
fn invalid_configuration_exits_78_with_every_fault() {
    let room = tempfile::tempdir().unwrap();
    let file = room.path().join("bad.toml");
    fs::write(
        &file,
        "[device]\nid = \"gw 1\"\n[probe]\ntargets = [{ host = \"198.51.100.1\", role = \"isp\" }]\n\
         interval = \"5 parsecs\"\n[outage]\npatiance = \"2 s\"\n",
    )
    .unwrap();
    let o = linekeeper(&["check", file.to_str().unwrap()]);
    assert_eq!(code(&o), 78);
    assert_eq!(out(&o), "");
    let said = err(&o);
    says(
        &said,
        &[
            "device.id",
            "(line 2",
            "probe.targets[0].role",
            "anchor or world",
            "\"isp\"",
            "(line 4",
            "probe.interval",
            "parsecs",
            "(line 5",
            "outage.patiance",
            "(line 7",
        ],
    );
    let faults = said.lines().filter(|line| line.trim_start().starts_with("- ")).count();
    assert_eq!(faults, 4, "{said}");
}

#[test]
fn missing_configuration_exits_66_with_advice() {
    let o = linekeeper(&["check", "/nowhere/linekeeper.toml"]);
    assert_eq!(code(&o), 66);
    says(&err(&o), &["/nowhere/linekeeper.toml", "No such file", "--config"]);
    let o = linekeeper(&["run", "--config", "/nowhere/linekeeper.toml"]);
    assert_eq!(code(&o), 66);
    says(&err(&o), &["/nowhere/linekeeper.toml"]);
}

#[test]
fn run_rejects_an_invalid_configuration_before_anything_else() {
    let room = tempfile::tempdir().unwrap();
    let file = room.path().join("bad.toml");
    fs::write(&file, "[device]\nid = \"\"\n").unwrap();
    let o = linekeeper(&["run", "--config", file.to_str().unwrap()]);
    assert_eq!(code(&o), 78);
    says(&err(&o), &["device.id", "probe.targets"]);
}

/// A header that is right, and what may follow it.
fn header() -> String {
    concat!(
        r#"{"schema":"linekeeper.trace.v1","version":"0.1.0","config":{"device":{"id":"gw-1"},"#,
        r#""probe":{"targets":[{"host":"198.51.100.1","role":"anchor"}]}},"snapshot":null}"#,
        "\n"
    )
    .to_string()
}

const STARTED: &str = "{\"at\":1000,\"observation\":{\"saw\":\"started\",\"boot_id\":\"b\",\"uptime\":1000,\"memory\":\"none\",\"watermark\":0}}\n";
const TICKED: &str = "{\"at\":2000,\"observation\":{\"saw\":\"ticked\"}}\n";

#[test]
fn invalid_trace_exits_65_with_line_and_column() {
    let room = tempfile::tempdir().unwrap();
    let file = room.path().join("trace.jsonl");
    let good = header() + STARTED + TICKED;
    let replay = |text: &[u8]| {
        fs::write(&file, text).unwrap();
        linekeeper(&["replay", file.to_str().unwrap()])
    };
    let o = replay(good.as_bytes());
    assert_eq!(code(&o), 0, "{}", err(&o));
    says(&out(&o), &["\"do\":\"note\"", "first start", "\"do\":\"save\""]);
    let all = out(&o);
    for (text, words) in [
        (String::from("rubbish\n"), &["line 1, column 1", "not the header of a trace"][..]),
        (
            header() + "{\"at\":1,\"observation\":{\"saw\":\"ghost\"}}\n",
            &["line 2, column 23: ", "observation", "saw", "ghost"],
        ),
        (good.clone() + "{\"at\":\n", &["line 4, column"]),
        (good.clone() + STARTED, &["line 4, column 1", "time runs back", "1000", "2000"]),
        (good.clone() + "{\"at\":3000,\"obs", &["line 4, column", "the last line is cut off"]),
        (
            header().replace("trace.v1", "trace.v9") + STARTED,
            &["line 1, column 12", "linekeeper.trace.v9", "linekeeper.trace.v1"],
        ),
        (header().replace("gw-1", "gw 1"), &["line 1, column 1", "device.id"]),
        (header().replace("null}", "{\"version\":7}}"), &["line 1, column 1", "version 7"]),
    ] {
        let o = replay(text.as_bytes());
        assert_eq!(code(&o), 65, "{text}: {}", err(&o));
        says(&err(&o), words);
        says(&err(&o), &[file.to_str().unwrap()]);
        // What was right before it is printed.
        assert!(all.starts_with(&out(&o)), "{text}");
    }
    let o = replay(b"\xff\xfe\x00\n");
    assert_eq!(code(&o), 65);
    let o = linekeeper(&["replay", "/nowhere/trace.jsonl"]);
    assert_eq!(code(&o), 66);
    says(&err(&o), &["/nowhere/trace.jsonl", "No such file"]);
}

#[test]
fn verbs_that_need_a_daemon_exit_69_without_one() {
    for verb in ["status", "callback"] {
        let o = linekeeper(&[verb, "--socket", "/nowhere/linekeeper.sock"]);
        assert_eq!(code(&o), 69, "{verb}");
        says(&err(&o), &["no linekeeper runs here", "/nowhere/linekeeper.sock", "start it", "--socket"]);
        assert_eq!(out(&o), "");
    }
}

#[test]
fn dead_or_invalid_socket_is_reported() {
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("s");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let o = linekeeper(&["status", "--socket", path.to_str().unwrap()]);
    assert_eq!(code(&o), 69);
    says(&err(&o), &["no linekeeper runs here", "refused"]);
    // Somebody listens who says something else.
    let path = room.path().join("t");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        use std::io::{BufRead as _, Write as _};
        let (mut stream, _) = listener.accept().unwrap();
        std::io::BufReader::new(stream.try_clone().unwrap()).read_line(&mut String::new()).unwrap();
        stream.write_all(b"HTTP/1.1 400\n").unwrap();
    });
    let o = linekeeper(&["status", "--socket", path.to_str().unwrap()]);
    assert_eq!(code(&o), 69);
    says(&err(&o), &["not JSON"]);
}

#[test]
fn closed_output_pipe_is_no_failure() {
    let room = tempfile::tempdir().unwrap();
    let file = room.path().join("trace.jsonl");
    let mut text = header();
    // More than a pipe holds.
    for n in 0..3_000 {
        text += &STARTED.replace("1000,\"obs", &format!("{},\"obs", 1_000 + n));
    }
    fs::write(&file, text).unwrap();
    let script = format!("{} replay {} | head -n 1; exit ${{PIPESTATUS[0]}}", agent_binary(), file.display());
    let o = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert_eq!(code(&o), 0, "{}", err(&o));
    assert_eq!(err(&o), "");
}

#[test]
fn check_json_has_the_same_faults_and_exit_code() {
    let room = tempfile::tempdir().unwrap();
    let file = room.path().join("c.json");
    let check = |text: &str| {
        fs::write(&file, text).unwrap();
        let o = linekeeper(&["check", "--json", file.to_str().unwrap()]);
        assert_eq!(err(&o), "");
        (code(&o), serde_json::from_str::<serde_json::Value>(&out(&o)).unwrap())
    };
    let right = r#"{"device":{"id":"a"},"probe":{"targets":[{"host":"192.0.2.1","role":"anchor"}]}}"#;
    assert_eq!(check(right), (0, serde_json::json!({ "right": true, "faults": [] })));
    let (code, told) = check(&right.replace("\"a\"", "\"a b\"").replace("192.0.2.1", "::1"));
    assert_eq!((code, &told["right"]), (78, &serde_json::json!(false)));
    assert_eq!(told["faults"][0]["path"], "device.id");
    assert_eq!(told["faults"][1]["path"], "probe.targets[0].host");
    assert!(told["faults"][0]["words"].as_str().unwrap().starts_with("must be 1 to 64"));
}
