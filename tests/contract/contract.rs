//! The contract with the platform, over the set-up that `config/mosquitto` ships (TLS, client certificates, access list):
//! every message of every topic of a full story is held against its schema by an independent validator, and nothing of
//! the customer's gets out.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use crate::common::field::{
    KEPT, MqttMessage, Outcome, PATIENCE, Plan, Test, addresses, build, leaks, must, signal,
};
use crate::common::validator::{Case, validate};
use crate::common::{agent_binary, field, repository_path};
use libtest_mimic::Failed;
use linekeeper::run::socket::{Request, ask};
use linekeeper_lab::clock;
use linekeeper_lab::world::{Host, ISP, LEASE, PLATFORM, Process, World};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const NEEDS: &[&str] = &["mosquitto", "mosquitto_sub", "mosquitto_pub", "openssl"];
const DEVICE: &str = "gw-0001";
const ROOT: &str = "linekeeper/v1/";

/// The customer's data of the story. Whoever finds one of these outside its place has found a leak.
const REFERENCE: &str = "REF-CANARY-7731";
const NAME: &str = "Lin Daiyu";
const PHONE: &str = "+86 139 5550 1234";
/// What the program that cuts the modem's power says: the modem's and an administrator's addresses.
const MODEM: &str = "192.168.100.1";
const MODEM_MAC: &str = "4c:60:de:12:34:56";
const ADMINISTRATOR: &str = "10.77.0.9";
/// Civil time when the agent starts: half an hour before a day has passed since the installation.
const WALL: &str = "LINEKEEPER_LAB_WALL=2026-11-21T08:30:00+08:00";

pub fn tests() -> Vec<Test> {
    vec![
        Test::lab("all_messages_of_an_incident_follow_the_schemas", NEEDS, || story(false)),
        Test::lab("unmasked_addresses_are_detected", NEEDS, || story(true)),
        Test::lab("invalid_receipts_and_commands_are_refused_while_probing_continues", NEEDS, refusals),
        Test::lab("certificate_of_another_gateway_grants_no_topic", NEEDS, other_gateway),
    ]
}

/// The shipped broker, in the platform's namespace.
struct Broker {
    process: Option<Process>,
    room: PathBuf,
}

impl Broker {
    /// With certificates of an authority of its own.
    fn prepare(room: &str) -> Result<Broker, Failed> {
        let name = PLATFORM.to_string();
        let room = Path::new(KEPT).join(room);
        fs::create_dir_all(&room)?;
        let shipped = repository_path("config/mosquitto");
        for file in ["mosquitto.conf", "acl", "make-certificates"] {
            fs::copy(shipped.join(file), room.join(file))?;
        }
        let mut make = Command::new("sh");
        make.arg("make-certificates")
            .args(["--name", &name, "--name", "127.0.0.1", DEVICE, "gw-0002"])
            .current_dir(&room);
        let made = make.output()?;
        must(made.status.success(), || String::from_utf8_lossy(&made.stderr).into_owned())?;
        let file = room.join("mosquitto.conf");
        // In the enclosure nobody but root has a name; all else is as it is shipped.
        fs::write(&file, format!("user root\n{}", fs::read_to_string(&file)?))?;
        Ok(Broker { process: None, room })
    }

    fn start(world: &World) -> Result<Broker, Failed> {
        let mut broker = Broker::prepare("fleet")?;
        broker.up(world)?;
        Ok(broker)
    }

    fn up(&mut self, world: &World) -> Outcome {
        let log = fs::File::options().create(true).append(true).open(self.room.join("mosquitto.log"))?;
        let mut command = Command::new("mosquitto");
        command.args(["-c", "mosquitto.conf"]).current_dir(&self.room);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.process = Some(world.spawn_in(Host::Platform, &mut command)?);
        let at = |host, port| std::net::TcpStream::connect((host, port)).is_ok();
        let listens = || at(PLATFORM, 8883) && at(Ipv4Addr::LOCALHOST, 8884);
        let ready = world.run_in(Host::Platform, || clock::wait_until(PATIENCE, listens))?;
        must(ready, || {
            format!("mosquitto does not listen: {}", field::read(&self.room.join("mosquitto.log")))
        })
    }

    fn down(&mut self) -> Outcome {
        let mut process = self.process.take().ok_or("mosquitto does not run")?;
        must(process.stop(PATIENCE), || "mosquitto does not end".into())
    }

    fn at(&self, file: &str) -> String {
        self.room.join("certificates").join(file).display().to_string()
    }

    /// Words for mosquitto's own clients, as the platform.
    fn login(&self) -> Vec<String> {
        let (ca, certificate, key) = (self.at("ca.pem"), self.at("platform.pem"), self.at("platform.key"));
        ["-h", "127.0.0.1", "-p", "8884", "-V", "mqttv5", "-q", "1", "--cafile", &ca, "--cert", &certificate]
            .into_iter()
            .chain(["--key", &key])
            .map(str::to_owned)
            .collect()
    }

    /// Publishes as the platform.
    fn publish(&self, world: &World, topic: &str, payload: &str, more: &[&str]) -> Outcome {
        let mut command = Command::new("mosquitto_pub");
        command.args(self.login()).args(["-t", &format!("{ROOT}{topic}")]).args(more);
        match payload {
            "" => command.arg("-n"),
            payload => command.args(["-m", payload]),
        };
        let out = world.exec_in(Host::Platform, &mut command)?;
        must(out.status.success(), || String::from_utf8_lossy(&out.stderr).into_owned())
    }
}

/// mosquitto_sub on everything, with what is around each message. Its session outlives it and the broker, as a
/// platform's does: a gateway that connects first loses nothing.
struct Tap {
    came: Arc<Mutex<Vec<Value>>>,
    _process: Process,
}

impl Tap {
    fn command(broker: &Broker) -> Command {
        let mut command = Command::new("mosquitto_sub");
        command.args(broker.login()).args(["-i", "subscriber", "-c", "-t", &format!("{ROOT}#")]);
        command
    }

    /// Leaves the subscription with the broker, to be listened to later.
    fn enrol(world: &World, broker: &Broker) -> Outcome {
        let out = world.exec_in(Host::Platform, Tap::command(broker).arg("-E"))?;
        must(out.status.success(), || String::from_utf8_lossy(&out.stderr).into_owned())
    }

    fn start(world: &World, broker: &Broker) -> Result<Tap, Failed> {
        let mut command = Tap::command(broker);
        command.args(["-F", "%j"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = world.spawn_in(Host::Platform, &mut command)?;
        let lines = BufReader::new(process.child().stdout.take().expect("a pipe")).lines();
        let came = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&came);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let message = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
                into.lock().unwrap_or_else(PoisonError::into_inner).push(message);
            }
        });
        let tap = Tap { came, _process: process };
        let listens = clock::wait_until(PATIENCE, || {
            broker.publish(world, "nobody/hello", "{}", &[]).is_ok() && !tap.all().is_empty()
        });
        must(listens, || "mosquitto_sub hears nothing".into())?;
        Ok(tap)
    }

    fn all(&self) -> Vec<Value> {
        self.came.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Messages on topics of gateways and areas, as the other ears have them.
    fn received(&self) -> Vec<MqttMessage> {
        let heard = |m: &Value| {
            let (device, kind) = m["topic"].as_str()?.strip_prefix(ROOT)?.split_once('/')?;
            let payload = m["payload"].as_str().unwrap_or_default();
            Some(MqttMessage {
                at: Duration::ZERO,
                retained: m["retain"] == 1,
                device: device.to_owned(),
                kind: kind.to_owned(),
                json: serde_json::from_str(payload).unwrap_or_default(),
            })
        };
        self.all().iter().filter_map(heard).filter(|h| h.kind != "hello").collect()
    }

    fn expect(&self, what: &str, wanted: impl Fn(&MqttMessage) -> bool) -> Result<MqttMessage, Failed> {
        let mut found = None;
        clock::wait_until(PATIENCE * 2, || {
            found = self.received().into_iter().find(&wanted);
            found.is_some()
        });
        found.ok_or_else(|| {
            let came: String = self.received().iter().map(|h| format!("\n  {}", field::brief(h))).collect();
            format!("{what} did not come; there came:{came}").into()
        })
    }

    fn callback(&self, id: &str, state: &str) -> Result<MqttMessage, Failed> {
        let what = format!("callback {id} {state}");
        self.expect(&what, |h| h.is_callback(state) && (id.is_empty() || h.text("/callback_id") == id))
    }
}

fn plan(world: &World, broker: &Broker, device: &str) -> Plan {
    let brokers = format!(
        "broker = \"mqtts://{PLATFORM}\"\nca = {:?}\ncertificate = {:?}\nkey = {:?}",
        broker.at("ca.pem"),
        broker.at(&format!("{DEVICE}.pem")),
        broker.at(&format!("{DEVICE}.key")),
    );
    Plan::new(world, device).edit(&format!("broker = \"mqtt://{PLATFORM}:1883\""), &brokers)
}

fn story(full: bool) -> Outcome {
    let world = build()?;
    let broker = Broker::start(&world)?;
    let tap = Tap::start(&world, &broker)?;
    let says = format!("modem {MODEM} at {MODEM_MAC} obeyed {ADMINISTRATOR}");
    let mut plan = plan(&world, &broker, DEVICE)
        .edit(
            "customer = \"CUST1001\"\n",
            &format!("customer = \"{REFERENCE}\"\ninstalled = \"2026-11-20T09:00:00+08:00\"\n"),
        )
        .edit(
            "ladder = [\"renew\", \"restart-interface\"]",
            &format!("ladder = [\"power-modem\"]\npower_modem = [\"echo\", {says:?}]"),
        )
        .edit(
            "limit = { renew = \"2 s\", restart-interface = \"4 s\" }\n",
            "limit = { power-modem = \"4 s\" }\n",
        )
        .edit(
            "settle = { renew = \"1 s\", restart-interface = \"3 s\" }\n",
            "settle = { power-modem = \"1 s\" }\n",
        )
        .edit("after = \"8 s\"", "after = \"1 s\"");
    plan.prefix = vec!["env".into(), WALL.into()];
    if full {
        plan = plan.edit("[store]\n", "[privacy]\naddresses = \"full\"\n\n[store]\n");
        field::addresses_are_sent();
    }
    let mut agent = plan.start(&world)?;
    plan.expect_line("up")?;
    tap.expect("the birth", |h| h.kind == "state" && h.json["online"] == true)?;
    let to = |topic: &str| format!("{DEVICE}/{topic}");

    // Configuration.
    tap.expect("the first report", |h| h.kind == "config/reported" && h.text("/state") == "local")?;
    let desired = json!({
        "schema": "linekeeper.config-desired.v1", "version": "v1",
        "config": { "telemetry": { "every": "5 min" }, "store": { "directory": "/tmp" } },
    });
    let order = |id: &str, command: Value| -> Outcome {
        let mut order = json!({ "schema": "linekeeper.command.v1", "id": id });
        command.as_object().unwrap().iter().for_each(|(key, value)| order[key] = value.clone());
        let data = ["-D", "publish", "correlation-data", "ask-1"];
        broker.publish(&world, &to("command"), &order.to_string(), &data)
    };
    let result = |id: &str, state: &str| {
        tap.expect(&format!("{id} {state}"), |h| {
            h.kind == "command/result" && h.text("/command_id") == id && h.text("/state") == state
        })
    };
    // A command at the agent's heels: the broker is told that it came, so it is obeyed though another configuration
    // begins all anew.
    signal(agent.id(), Signal::STOP);
    broker.publish(&world, &to("config/desired"), &desired.to_string(), &["-r"])?;
    order("C0", json!({ "command": "check" }))?;
    signal(agent.id(), Signal::CONT);
    tap.expect("it is applied", |h| h.kind == "config/reported" && h.text("/state") == "applied")?;
    result("C0", "done")?;
    plan.expect_line("up")?;

    // Commands.
    order("C1", json!({ "command": "check" }))?;
    result("C1", "done")?;
    order("C2", json!({ "command": "reboot" }))?;
    result("C2", "refused")?;

    // An outage that no remedy mends: the address is gone and its client dead.
    let receipt = |id: &str, state: &str, more: Value| -> Outcome {
        let mut receipt = json!({ "schema": "linekeeper.receipt.v1", "callback_id": id, "state": state });
        more.as_object().unwrap().iter().for_each(|(key, value)| receipt[key] = value.clone());
        broker.publish(&world, &to("callback/receipt"), &receipt.to_string(), &[])
    };
    world.wedge()?;
    let requested = tap.callback("", "requested")?;
    let id = requested.text("/callback_id").to_owned();
    must(requested.json["customer_id"] == REFERENCE, || requested.json.to_string())?;
    receipt(&id, "received", json!({}))?;
    tap.callback(&id, "received")?;
    receipt(&id, "scheduled", json!({}))?;
    tap.callback(&id, "scheduled")?;
    order("C3", json!({ "command": "diagnose" }))?;
    result("C3", "done")?;
    world.start_dhcp_client()?;
    tap.callback(&id, "withdrawn")?;
    plan.expect_incident_end()?;

    // The customer asks, in their own words.
    let words = format!("{NAME}, please ring {PHONE}: nothing works since {ADMINISTRATOR} was here");
    let out = Command::new(agent_binary())
        .args(["callback", "--reason", &words, "--socket"])
        .arg(plan.socket())
        .output()?;
    must(out.status.success(), || String::from_utf8_lossy(&out.stderr).into_owned())?;
    let asked = tap.expect("the customer's callback", |h| {
        h.is_callback("requested") && h.text("/trigger/name") == "customer"
    })?;
    must(asked.text("/issues/0/description").contains(PHONE), || asked.json["issues"].to_string())?;
    let asked_id = asked.text("/callback_id").to_owned();
    receipt(&asked_id, "received", json!({}))?;
    receipt(&asked_id, "closed", json!({ "satisfaction_score": 4, "issue_types": ["service"] }))?;
    let closed = tap.callback(&asked_id, "closed")?;
    must(closed.json["satisfaction_score"] == 4, || closed.json.to_string())?;

    // The operator knows of the next outage before anybody asks.
    let notice = json!({
        "schema": "linekeeper.notice.v1", "id": "D-4711", "area": "north-3",
        "issued": "2026-11-21T08:00:00+08:00", "expires": "2026-11-21T12:00:00+08:00", "text": "Fibre cut",
    });
    broker.publish(&world, "area/north-3/notice", &notice.to_string(), &["-r"])?;
    plan.expect_log("the operator's notice D-4711 covers this area")?;
    world.silence_access()?;
    tap.expect("the covered callback", |h| h.is_callback("covered"))?;
    world.restore_access()?;
    broker.publish(&world, "area/north-3/notice", "", &["-r"])?;
    plan.expect_incident_end()?;

    // A day after the installation, and a summary.
    ask(&plan.socket(), &Request::Hasten)?;
    let due = tap.expect("the follow-up call", |h| {
        h.is_callback("requested") && h.text("/trigger/dimension") == "time"
    })?;
    receipt(due.text("/callback_id"), "refused", json!({ "reason": format!("{NAME} is away") }))?;
    tap.callback(due.text("/callback_id"), "refused")?;
    tap.expect("a summary", |h| h.kind == "telemetry")?;

    // A death, a birth and a goodbye.
    agent.kill();
    let is_will = |h: &MqttMessage| h.kind == "state" && h.text("/reason") == "connection lost";
    tap.expect("the will", is_will)?;
    let mut agent = plan.start(&world)?;
    plan.expect_line("up")?;
    field::signal(agent.id(), Signal::TERM);
    agent.child().wait()?;
    tap.expect("the goodbye", |h| h.kind == "state" && h.text("/reason") == "stopped")?;

    around(&tap)?;
    contents(&tap)?;
    privacy(&plan, &tap, full)
}

/// Topics, flags and properties.
fn around(tap: &Tap) -> Outcome {
    let mut topics = BTreeSet::new();
    for message in tap.all() {
        let topic = message["topic"].as_str().unwrap_or_default();
        let Some((_, kind)) = topic.strip_prefix(ROOT).and_then(|rest| rest.split_once('/')) else {
            return Err(format!("what is {topic}?").into());
        };
        topics.insert(kind.to_owned());
        must(message["qos"] == 1, || format!("{topic} comes at QoS {}", message["qos"]))?;
        if field::is_from_gateway(kind) {
            let about = &message["properties"];
            must(about["content-type"] == "application/json", || format!("{topic}: {message}"))?;
            must(about["payload-format-indicator"] == 1, || format!("{topic}: {message}"))?;
        }
    }
    topics.remove("hello");
    let wanted = [
        "callback",
        "callback/receipt",
        "command",
        "command/result",
        "config/desired",
        "config/reported",
        "event",
        "north-3/notice",
        "state",
        "telemetry",
    ];
    let wanted: BTreeSet<String> = wanted.into_iter().map(str::to_owned).collect();
    must(topics == wanted, || format!("topics with traffic: {topics:?}"))?;
    let answer = tap.all().into_iter().find(|m| {
        m["topic"].as_str().is_some_and(|t| t.ends_with("command/result"))
            && m["payload"].as_str().is_some_and(|p| p.contains("\"C1\""))
    });
    let data = answer.map(|m| m["properties"]["correlation-data"].clone()).unwrap_or_default();
    must(data == "ask-1", || format!("the correlation data is {data}"))
}

/// Every message of every topic against its schema; ours without a field that it does not know.
fn contents(tap: &Tap) -> Outcome {
    let mut cases = Vec::new();
    let mut states = BTreeSet::new();
    for (n, heard) in tap.received().into_iter().enumerate() {
        // Taken back.
        if heard.json.is_null() {
            continue;
        }
        if heard.kind == "callback" {
            states.insert(heard.text("/state").to_owned());
        }
        if heard.kind == "event" {
            states.insert(heard.text("/event").to_owned());
        }
        let what = format!("message {}: {}", n + 1, field::brief(&heard));
        cases.push(Case::ours(what, heard.json));
    }
    for wanted in [
        "requested",
        "received",
        "scheduled",
        "closed",
        "withdrawn",
        "covered",
        "refused",
        "incident_opened",
        "incident_closed",
        "remedy_begun",
        "remedy_ended",
    ] {
        must(states.contains(wanted), || format!("nothing was {wanted}: {states:?}"))?;
    }
    println!("{}", validate(&cases)?);
    // And they are those of the topics.
    for heard in tap.received().iter().filter(|h| !h.json.is_null()) {
        let schema = heard.text("/schema");
        let kind = heard.kind.rsplit_once("north-3/").map_or(heard.kind.as_str(), |(_, kind)| kind);
        let wanted = match kind {
            "callback/receipt" => "receipt".to_owned(),
            other => other.replace('/', "-"),
        };
        must(schema == format!("linekeeper.{wanted}.v1"), || format!("{schema} on {}", heard.kind))?;
    }
    Ok(())
}

fn privacy(plan: &Plan, tap: &Tap, full: bool) -> Outcome {
    let references = [REFERENCE, NAME, PHONE];
    let (trace, log) = (field::read(&plan.record.as_ref().unwrap().join("trace.jsonl")), plan.log());
    let addresses_known = [LEASE.to_string(), ISP.to_string()];
    let known = [NAME, PHONE, MODEM, MODEM_MAC, ADMINISTRATOR, REFERENCE];
    // What the agent never knew it cannot keep to itself: all of it went through it. (The last life's trace alone is there.)
    let deeds = tap.received();
    let all: String = deeds.iter().map(|h| h.json.to_string()).collect();
    must(all.contains(NAME) && all.contains(PHONE) && all.contains(REFERENCE), || "nobody was named".into())?;
    must(addresses_known.iter().any(|a| trace.contains(a)), || format!("{addresses_known:?} were not seen"))?;
    let words = |h: &MqttMessage| h.kind == "callback" && h.text("/trigger/name") == "customer";
    // Where it may stand: the reference in its field, the customer's words in the sentence that they asked for.
    let mut heard = deeds.clone();
    for message in heard.iter_mut().filter(|h| words(h)) {
        for issue in message.json["issues"].as_array_mut().unwrap() {
            issue["description"] = Value::Null;
        }
    }
    let found = leaks(&heard, &log, &configured(plan), &references);
    if !full {
        must(found.is_empty(), || found.join("\n"))?;
        // Masked, and not left out.
        for part in ["198.18.100.x", "192.168.100.x", "4c:60:de:xx:xx:xx", "10.77.0.x"] {
            must(all.contains(part), || format!("{part} is in no message"))?;
        }
        for part in ["198.18.100.x", "4c:60:de:xx:xx:xx"] {
            must(log.contains(part), || format!("{part} is not in the log"))?;
        }
        return Ok(());
    }
    // The search itself: everything is found that is there, in messages alone.
    println!("{} leaks, as {:?}", found.len(), found.first());
    for address in [LEASE.to_string(), ISP.to_string(), MODEM.into(), MODEM_MAC.into(), ADMINISTRATOR.into()]
    {
        must(found.iter().any(|leak| leak.starts_with(&address)), || {
            format!("{address} was not found: {found:?}")
        })?;
    }
    must(!found.iter().any(|leak| leak.contains(" in the log: ")), || found.join("\n"))?;
    let line = format!("{NAME} at {LEASE}, {MODEM_MAC}");
    must(leaks(&[], &line, "", &known).len() >= 3 && addresses(&line).len() == 2, || {
        "the search is blind".into()
    })
}

fn configured(plan: &Plan) -> String {
    // What the program is told to say is nobody's configuration of a host.
    plan.configuration.lines().filter(|line| !line.starts_with("power_modem")).collect::<Vec<_>>().join("\n")
}

/// A broker that cannot prove itself gets nothing; and the line is watched and told of all the same.
fn refusals() -> Outcome {
    let world = build()?;
    let mut broker = Broker::prepare("fleet")?;
    let stranger = Broker::prepare("stranger")?;
    // A certificate of the right authority for another name, and one whose time is over.
    let sign = |name: &str, request: &str, more: &[&str]| -> Outcome {
        let at = |file: &str| broker.at(file);
        let extensions = broker.at("other.ext");
        fs::write(&extensions, format!("subjectAltName={name}\nextendedKeyUsage=serverAuth\n"))?;
        let mut make = Command::new("openssl");
        make.args([
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-subj",
            "/CN=broker",
        ]);
        make.args(["-keyout", &at(&format!("{request}.key")), "-out", &at("other.csr")]);
        let made = make.output()?;
        must(made.status.success(), || String::from_utf8_lossy(&made.stderr).into_owned())?;
        let mut sign = Command::new("openssl");
        sign.args(["x509", "-req", "-in", &at("other.csr"), "-CA", &at("ca.pem"), "-CAkey", &at("ca.key")]);
        sign.args(["-CAcreateserial", "-extfile", &extensions, "-out", &at(&format!("{request}.pem"))])
            .args(more);
        let signed = sign.output()?;
        must(signed.status.success(), || String::from_utf8_lossy(&signed.stderr).into_owned())
    };
    let ours = format!("IP:{PLATFORM}");
    sign("DNS:broker.isp.example", "name", &["-days", "10"])?;
    sign(&ours, "old", &["-days", "-1"])?;
    for file in ["broker.pem", "broker.key"] {
        fs::copy(broker.at(file), broker.at(&format!("good-{file}")))?;
    }
    let plan = plan(&world, &broker, DEVICE);
    broker.up(&world)?;
    Tap::enrol(&world, &broker)?;
    broker.down()?;
    let mut agent: Option<Process> = None;
    for (what, certificate, key, words) in [
        ("old", broker.at("old.pem"), broker.at("old.key"), "the broker's certificate has expired"),
        (
            "name",
            broker.at("name.pem"),
            broker.at("name.key"),
            "mqtt.broker must be a name in the certificate",
        ),
        (
            "stranger",
            stranger.at("broker.pem"),
            stranger.at("broker.key"),
            "from another authority than the one in mqtt.ca",
        ),
    ] {
        fs::copy(&certificate, broker.at("broker.pem"))?;
        fs::copy(&key, broker.at("broker.key"))?;
        broker.up(&world)?;
        if agent.is_none() {
            agent = Some(plan.start(&world)?);
            plan.expect_line("up")?;
        }
        plan.expect_log(words)?;
        // Watching goes on: a break is seen, and its end.
        world.silence_upstream()?;
        plan.expect_line("down")?;
        world.restore_upstream()?;
        plan.expect_line("up")?;
        let status = plan.status()?;
        must(status["status"]["broker"] == false, || format!("{what}: it is connected: {status}"))?;
        must(status["waiting"].as_u64() >= Some(2), || format!("{what}: nothing waits: {status}"))?;
        let line = plan.log().lines().find(|line| line.contains(words)).unwrap_or_default().to_owned();
        println!("{what}: {line}");
        broker.down()?;
    }
    for file in ["broker.pem", "broker.key"] {
        fs::copy(broker.at(&format!("good-{file}")), broker.at(file))?;
    }
    broker.up(&world)?;
    let tap = Tap::start(&world, &broker)?;
    // With the right one all comes that waited.
    tap.expect("the first break", |h| h.is_event("incident_opened") && h.json["late"] == true)?;
    let is_end = |h: &&MqttMessage| h.is_event("incident_closed");
    let all = clock::wait_until(PATIENCE, || tap.received().iter().filter(is_end).count() >= 3);
    must(all, || "not all that waited came".into())?;
    must(agent.is_some_and(|mut agent| agent.stop(PATIENCE)), || "it does not end".into())
}

/// A gateway that shows another's certificate is that one at the broker: its own topics are closed to it.
fn other_gateway() -> Outcome {
    let world = build()?;
    let broker = Broker::start(&world)?;
    let tap = Tap::start(&world, &broker)?;
    let plan = plan(&world, &broker, "gw-0002");
    let mut agent = plan.start(&world)?;
    plan.expect_line("up")?;
    let told = clock::wait_until(PATIENCE, || plan.log().contains("access list"));
    must(told, || "the log does not say what to look at".into())?;
    world.silence_upstream()?;
    plan.expect_line("down")?;
    world.restore_upstream()?;
    plan.expect_line("up")?;
    must(agent.stop(PATIENCE), || "it does not end".into())?;
    // What the broker sends itself, the will, is held to the list as well.
    must(tap.received().is_empty(), || format!("something got through: {:?}", tap.received()))?;
    let told: Vec<String> =
        plan.log().lines().filter(|l| l.contains("access list")).map(str::to_owned).collect();
    println!("{}", told.join("\n"));
    Ok(())
}
