//! A minute of a line's life in seven acts, told with the real agent.
//!
//! Each act breaks something, waits for what the agent must say of it, mends it (where that is not the agent's part)
//! and waits again. It waits for messages with deadlines, not for fixed times; an act that does not go as told says
//! what was missing, and the next one begins. Only the hours between speed tests are not waited for: the agent's clock
//! leaps over them.

use crate::agent::{self, Agent, DEVICE};
use crate::broker::Broker;
use crate::platform::{Platform, Receipts, Received};
use crate::stage::{Row, Speaker, Stage, Voice};
use crate::world::{Host, Process, World};
use crate::{Error, clock};
use linekeeper::run::socket::{Request, ask};
use linekeeper_contract::message::{
    Callback, CallbackState, Domain, Event, EventName, Finding, IncidentState, Message, Outcome,
    ResolutionState,
};
use linekeeper_contract::units::Rate;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// For what takes two or three seconds when all is well: machines that compile beside us are slow.
const SOON: Duration = Duration::from_secs(20);
/// For what takes up to a dozen: a callback, a reconnect.
const LATER: Duration = Duration::from_secs(45);
/// So that people can read what was said.
const BREATH: Duration = Duration::from_millis(1_200);
/// The hiccup: longer than a probe interval and what counts as a break, shorter than the agent's patience.
const HICCUP: Duration = Duration::from_millis(1_700);
/// How long the cable is out.
const CABLE_OUT: Duration = Duration::from_secs(3);
/// How long everything is dead at least: until the agent asked for a callback that nobody hears.
const ALL_DEAD: Duration = Duration::from_secs(10);
/// How long a line must hold until its incident is over: the demo's hold-down and a little.
const HELD: Duration = Duration::from_millis(10_500);
/// What is left of the line that is slower than was sold, each way, and what it has else.
const SLOW: (Rate, Rate) = (Rate(40_000_000), Rate(10_000_000));
const WHOLE: (Rate, Rate) = (Rate(120_000_000), Rate(20_000_000));
/// More speed tests than the act should need one way: four short ones show it, six good ones the return. A busy machine may
/// spoil some.
const TESTS_MOST: usize = 16;
/// A message that comes this long after its fact was kept: far above what the wires take, far below the dead time.
const LATE: Duration = Duration::from_secs(3);
/// What follows from a speed test comes within this: two round trips over the wires and a write to flash.
const FOLLOWS: Duration = Duration::from_millis(300);
/// How often we look whether the agent still lives while we wait for its words.
const LOOK: Duration = Duration::from_millis(250);
/// How the judge's note on a short break begins.
const COUNTED: &str = "a break of ";
/// How many facts of a callback's evidence are shown.
const FACTS: usize = 5;
/// How many of the agent's last log lines are shown when an act fails.
const LOG_LINES: usize = 12;

/// Builds the world, plays the story, and says whether every act went as told.
///
/// # Errors
/// When the world itself cannot be built or broken.
pub fn tell(voice: Voice, keep: Option<&Path>, agent: Option<&Path>) -> Result<bool, Error> {
    let mut stage = Stage::new(voice);
    // A link to ourselves would mean another program once a child follows it.
    let own = std::env::current_exe().map_err(|e| Error::new("finding our own program", e))?;
    let program = agent.map_or_else(|| own.clone(), PathBuf::from);
    stage.act("quiet");
    let began = clock::uptime();
    let world = World::build(&own)?;
    let broker = Broker::start(&world)?;
    let platform =
        Platform::start(Some(crate::world::Host::Platform), Broker::address(), Receipts::Received)?;
    stage.say(
        Speaker::World,
        &format!(
            "nine hosts, a DHCP server and a broker stand after {}; all targets answer",
            words(clock::since(began))
        ),
        &Value::Null,
    );
    let agent = Agent::start(&world, &program, &(agent::configuration(&world) + &agent::promise()))?;
    let mut story = Story { stage, world, _broker: broker, platform, agent, place: 0, rows: Vec::new() };
    let played = story.play();
    if let Some(directory) = keep {
        story.agent.keep(directory)?;
    }
    played?;
    Ok(story.sum_up())
}

struct Story {
    stage: Stage,
    // Dropped in this order: the agent first, so that nothing of its is left in the namespaces.
    agent: Agent,
    platform: Platform,
    _broker: Broker,
    world: World,
    /// Up to where the platform's messages were shown.
    place: usize,
    rows: Vec<Row>,
}

/// What an act saw.
#[derive(Debug, Default)]
struct Act {
    title: &'static str,
    broke: &'static str,
    /// When it was broken.
    at: Duration,
    seen_after: Option<Duration>,
    messages: Vec<Received>,
    outcome: String,
    /// The agent's clock has leapt: its stamps and ours have nothing to do with each other.
    leapt: bool,
    /// What was missing or too much.
    faults: Vec<String>,
}

impl Act {
    fn events(&self) -> Vec<Event> {
        let all = self.messages.iter().filter(|m| !m.repeated).filter_map(|m| match m.message() {
            Some(Message::Event(event)) => Some(*event),
            _ => None,
        });
        all.collect()
    }

    fn callbacks(&self) -> Vec<Callback> {
        let all = self.messages.iter().filter(|m| !m.repeated).filter_map(|m| match m.message() {
            Some(Message::Callback(callback)) => Some(*callback),
            _ => None,
        });
        all.collect()
    }

    fn must(&mut self, holds: bool, what: &str) {
        if !holds {
            self.faults.push(what.to_owned());
        }
    }
}

impl Story {
    fn play(&mut self) -> Result<(), Error> {
        let acts = [
            Story::quiet,
            Story::wedged_interface,
            Story::cable_out,
            Story::hiccup,
            Story::silent_loss,
            Story::everything_dead,
            Story::slower_than_promised,
        ];
        for act in acts {
            act(self)?;
            if self.agent.process().alive() {
                // What an act that failed left broken must not break the next one too.
                self.world.restore_all()?;
            } else if self.rows.len() < acts.len() {
                let words = "the agent is not alive any more: the story ends here";
                self.stage.say(Speaker::World, words, &Value::Null);
                break;
            }
        }
        Ok(())
    }

    fn quiet(&mut self) -> Result<(), Error> {
        let mut act = Act { title: "quiet", broke: "nothing", at: clock::uptime(), ..Act::default() };
        let online = self.watch(&mut act, SOON, |r| r.kind == "state" && is_online(r) == Some(true));
        act.must(online, "the agent did not say that it is online");
        // Answered echoes are no message: the trace has them.
        let agent = &self.agent;
        let answered = online && clock::wait_until(SOON, || agent.traced("echo_answered") >= 4);
        act.must(answered, "no echo was answered");
        if answered {
            self.stage.say(
                Speaker::Gateway,
                "line up: gateway, anchor and world answer the first probes",
                &Value::Null,
            );
        }
        self.rest(&mut act, BREATH);
        act.must(act.events().is_empty(), "an event was sent although nothing happened");
        act.outcome = "line up".to_owned();
        self.close(act);
        Ok(())
    }

    fn wedged_interface(&mut self) -> Result<(), Error> {
        self.stage.act("a wedged interface");
        let mut act = Act { title: "wedged interface", broke: "address, DHCP client", ..Act::default() };
        self.breaks(&mut act, "the address of wan0 is flushed and its DHCP client killed", World::wedge)?;
        self.seen(&mut act, &[Domain::Access]);
        let closed = self.watch(&mut act, LATER, |r| event_is(r, EventName::IncidentClosed));
        act.must(closed, "the line did not come back");
        act.must(self.world.has_lease(), "the gateway has no lease");
        let healed =
            act.events().into_iter().filter_map(|e| e.remedy).any(|r| r.outcome == Some(Outcome::Healed));
        act.must(healed, "no remedy healed it");
        act.must(act.callbacks().is_empty(), "a callback was asked for");
        act.outcome = "healed by the gateway, no callback".to_owned();
        self.rest(&mut act, BREATH);
        self.close(act);
        Ok(())
    }

    fn cable_out(&mut self) -> Result<(), Error> {
        self.stage.act("the cable is out for 3 s");
        let mut act = Act { title: "cable out", broke: "carrier, for 3 s", ..Act::default() };
        self.breaks(&mut act, "the cable of wan0 is pulled", World::cut_carrier)?;
        self.seen(&mut act, &[Domain::Link]);
        let left = CABLE_OUT.saturating_sub(clock::since(act.at));
        self.rest(&mut act, left);
        self.mends("the cable is put back", World::restore_carrier)?;
        let closed = self.watch(&mut act, LATER, |r| event_is(r, EventName::IncidentClosed));
        act.must(closed, "the line did not come back");
        act.must(act.callbacks().is_empty(), "a callback was asked for");
        act.outcome = "back with the cable, no callback".to_owned();
        self.rest(&mut act, BREATH);
        self.close(act);
        Ok(())
    }

    fn hiccup(&mut self) -> Result<(), Error> {
        self.stage.act("a hiccup of 1.7 s");
        let mut act = Act { title: "hiccup", broke: "forwarding, for 1.7 s", ..Act::default() };
        let lost = self.agent.traced("echo_lost");
        self.breaks(&mut act, "the access router stops forwarding", World::silence_upstream)?;
        self.rest(&mut act, HICCUP);
        self.mends("it forwards again, 1.7 s later", World::restore_upstream)?;
        self.rest(&mut act, BREATH * 2);
        act.must(act.events().is_empty(), "an event was sent for a break shorter than the patience");
        act.must(act.callbacks().is_empty(), "a callback was asked for");
        // Either tells: a lost echo in the trace (the sensor gives up late), or the judge's own words in the log.
        let agent = &self.agent;
        let counted =
            |log: &str| log.lines().rev().find_map(|line| line.find(COUNTED).map(|at| line[at..].to_owned()));
        let noticed =
            clock::wait_until(SOON, || agent.traced("echo_lost") > lost || counted(&agent.log()).is_some());
        act.must(noticed, "the agent did not even notice");
        if act.faults.is_empty() {
            let said = counted(&self.agent.log()).unwrap_or_else(|| "echoes were lost".to_owned());
            let words = format!("{said}; shorter than its patience, nothing is sent");
            self.stage.say(Speaker::Gateway, &words, &Value::Null);
        }
        act.outcome = "counted, not acted on".to_owned();
        self.close(act);
        Ok(())
    }

    fn silent_loss(&mut self) -> Result<(), Error> {
        self.stage.act("silent loss beyond the access router");
        let mut act = Act { title: "silent loss", broke: "forwarding, the router answers", ..Act::default() };
        let what = "the access router stops forwarding and says nothing; it still answers itself";
        self.breaks(&mut act, what, World::silence_upstream)?;
        self.seen(&mut act, &[Domain::Upstream]);
        let requested = self.watch(&mut act, LATER, |r| callback_is(r, CallbackState::Requested));
        act.must(requested, "no callback was asked for");
        let received = requested && self.watch(&mut act, SOON, |r| callback_is(r, CallbackState::Received));
        act.must(received, "the agent did not take the receipt");
        act.must(
            act.events().iter().all(|e| e.remedy.is_none()),
            "a remedy was tried although nothing on this side can help",
        );
        let evidence = act.callbacks().iter().any(|c| !c.evidence.facts.is_empty());
        act.must(evidence, "the callback came without evidence");
        let down = |status: &Value| status["line"] == "down";
        self.status(&mut act, down, "the line is down")?;
        self.rest(&mut act, BREATH);
        self.mends("it forwards again", World::restore_upstream)?;
        let withdrawn = self.watch(&mut act, LATER, |r| callback_is(r, CallbackState::Withdrawn));
        act.must(withdrawn, "the callback was not withdrawn when the line came back");
        act.outcome = "callback asked for, received, withdrawn".to_owned();
        self.rest(&mut act, BREATH);
        self.close(act);
        Ok(())
    }

    /// What a person at the gateway would be told now.
    fn status(&self, act: &mut Act, holds: impl Fn(&Value) -> bool, what: &str) -> Result<(), Error> {
        let ask = |json: bool| {
            let mut command = Command::new(self.world.program());
            command.arg("status").arg("--socket").arg(self.agent.socket()).args(json.then_some("--json"));
            let out = self.world.exec_in(Host::Gateway, &mut command)?;
            Ok::<_, Error>(String::from_utf8_lossy(&out.stdout).into_owned())
        };
        let data = serde_json::from_str(&ask(true)?).unwrap_or(Value::Null);
        act.must(holds(&data["status"]), &format!("`linekeeper status` does not say that {what}"));
        self.stage.quote("linekeeper status", &ask(false)?, &data);
        Ok(())
    }

    fn everything_dead(&mut self) -> Result<(), Error> {
        self.stage.act("everything dead, the backup too");
        let mut act = Act { title: "everything dead", broke: "access router, backup", ..Act::default() };
        self.stage.say(
            Speaker::World,
            "all is well; the line must hold 10 s to end its incident",
            &Value::Null,
        );
        self.rest(&mut act, HELD);
        act.messages.clear();
        let ended = self.agent.traced("remedy_ended");
        self.breaks(
            &mut act,
            "the access router falls silent, DHCP and all, and the backup is off",
            |world| {
                world.backup(false)?;
                world.silence_access()
            },
        )?;
        self.stage.say(
            Speaker::Gateway,
            "no way out: it works down its ladder, its messages wait on flash",
            &Value::Null,
        );
        // Nothing comes through by which we could know, but the trace is at hand.
        let agent = &self.agent;
        let tried = clock::wait_until(SOON, || agent.traced("remedy_ended") > ended);
        act.must(tried, "no remedy was tried");
        let left = ALL_DEAD.saturating_sub(clock::since(act.at));
        self.rest(&mut act, left);
        act.must(
            act.messages.iter().all(|m| m.kind == "state"),
            "a message came through although all was dead",
        );
        let dead_until = clock::uptime();
        self.mends("the access router speaks again; the backup stays off", World::restore_access)?;
        let closed = self.watch(&mut act, LATER, |r| event_is(r, EventName::IncidentClosed));
        act.must(closed, "the line did not come back, or nobody was told");
        let opened = act.messages.iter().find(|r| opens(r)).cloned();
        act.must(opened.is_some(), "the outage was never told");
        if let Some(opened) = &opened {
            act.must(opened.delay() >= Some(LATE), "the outage was told at once although all was dead");
            act.must(is_marked_late(opened), "the outage's message is not marked as late");
        }
        act.seen_after = opened
            .as_ref()
            .map(|r| r.at.saturating_sub(r.delay().unwrap_or_default()).saturating_sub(act.at));
        let stamps: Vec<u64> = act
            .messages
            .iter()
            .filter(|m| !m.repeated && m.message().is_some())
            .filter_map(|m| m.json["time"]["uptime_ms"].as_u64())
            .collect();
        act.must(stamps.is_sorted(), "the messages did not come in the order of what they tell");
        let late = act.messages.iter().filter(|m| is_late(m, dead_until)).count();
        act.outcome = format!("{late} messages waited, came in order");
        self.world.backup(true)?;
        self.rest(&mut act, BREATH);
        act.must(self.agent.process().alive(), "the agent is not alive any more");
        self.close(act);
        Ok(())
    }

    fn slower_than_promised(&mut self) -> Result<(), Error> {
        self.stage.act("slower than promised");
        let mut act =
            Act { title: "slower than promised", broke: "40 of 100 Mbit/s are left", ..Act::default() };
        let server = self.speed_server()?;
        match self.breaks(
            &mut act,
            "of the 100 Mbit/s that were sold 40 are left; hours between its tests are leapt over",
            |world| world.shape(SLOW.0, SLOW.1),
        ) {
            Ok(()) => self.short_and_back(&mut act)?,
            Err(why) => {
                // A kernel without `tbf`: no fault of the agent's.
                self.stage.say(Speaker::World, &format!("left out: {why}"), &Value::Null);
                act.outcome = "left out: the line cannot be shaped here".to_owned();
            }
        }
        drop(server);
        act.must(self.agent.end(), "the agent did not end when asked to");
        // Its goodbye is with the broker already.
        let offline = self.watch(&mut act, SOON, |r| r.kind == "state" && is_online(r) == Some(false));
        act.must(offline, "the agent did not say goodbye");
        self.close(act);
        Ok(())
    }

    fn speed_server(&self) -> Result<Process, Error> {
        let mut command = Command::new(self.world.program());
        command.args(["lab", "speed-server", "--listen", "0.0.0.0:80"]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        self.world.spawn_in(Host::Anchor, &mut command)
    }

    fn short_and_back(&mut self, act: &mut Act) -> Result<(), Error> {
        act.leapt = true;
        // What the act before left to be said.
        act.messages.clear();
        let Some(short) =
            self.tests(act, "no callback was asked for", |r| callback_is(r, CallbackState::Requested))
        else {
            return Ok(());
        };
        let received = self.watch(act, SOON, |r| callback_is(r, CallbackState::Received));
        act.must(received, "the agent did not take the receipt");
        let samples = act.callbacks().iter().map(|c| c.evidence.samples.len()).max();
        act.must(samples >= Some(short), "the callback came without its samples");
        let broken = |status: &Value| status["promise"]["directions"][0]["verdict"]["verdict"] == "broken";
        self.status(act, broken, "the promise is broken")?;
        self.mends("the line is whole again", |world| world.shape(WHOLE.0, WHOLE.1))?;
        let missing = "the callback was not withdrawn when the line was whole again";
        if let Some(good) = self.tests(act, missing, |r| callback_is(r, CallbackState::Withdrawn)) {
            act.outcome = format!("callback on {short} tests, withdrawn on {good}");
        }
        Ok(())
    }

    /// Lets the agent make one speed test after the other, until `wanted` comes: after how many that showed something. What
    /// is missing else is `missing`, but for a machine on which too few show anything.
    fn tests(&mut self, act: &mut Act, missing: &str, wanted: impl Fn(&Received) -> bool) -> Option<usize> {
        let (mut shown, mut void) = (0, 0);
        for n in 1..=TESTS_MOST {
            let ended = self.agent.traced("speed_ended");
            if let Err(why) = ask(&self.agent.socket(), &Request::Hasten) {
                act.must(false, &format!("its clock does not leap: {why}"));
                return None;
            }
            let agent = &self.agent;
            if !clock::wait_until(SOON, || agent.traced("speed_ended") > ended) {
                act.must(false, "it made no speed test");
                return None;
            }
            // The log says what came of it, and is written before any message is sent.
            let log = self.agent.log();
            let told = |l: &&str| l.contains(" is to be shown") || l.contains("nothing is shown");
            if let Some(line) = log.lines().rev().find(told) {
                *(if line.contains("nothing is shown") { &mut void } else { &mut shown }) += 1;
                let words = line.trim_start().trim_start_matches("INFO ");
                self.stage.say(Speaker::Gateway, &format!("test {n}: {words}"), &Value::Null);
            }
            if self.watch(act, FOLLOWS, &wanted) {
                return Some(shown);
            }
        }
        if void > 0 {
            // Right so: what cannot be measured is no reason to call anyone.
            act.outcome = format!("too busy a machine: {void} tests showed nothing, nobody was called");
        } else {
            act.must(false, missing);
        }
        None
    }

    /// Breaks something, and remembers when.
    fn breaks(
        &mut self,
        act: &mut Act,
        words: &str,
        fault: impl Fn(&World) -> Result<(), Error>,
    ) -> Result<(), Error> {
        act.at = clock::uptime();
        fault(&self.world)?;
        self.stage.say(Speaker::World, words, &Value::Null);
        Ok(())
    }

    fn mends(&mut self, words: &str, mend: impl Fn(&World) -> Result<(), Error>) -> Result<(), Error> {
        mend(&self.world)?;
        self.stage.say(Speaker::World, words, &Value::Null);
        Ok(())
    }

    /// Waits until the agent says that the line is down, and that the fault lies in one of `domains`.
    fn seen(&mut self, act: &mut Act, domains: &[Domain]) {
        if !self.watch(act, SOON, opens) {
            act.must(false, "the outage was not seen");
            return;
        }
        let Some(message) = act.messages.iter().find(|r| opens(r)) else { return };
        let Some(Message::Event(event)) = message.message() else { return };
        // A new incident is stamped when it was declared; one that opens again, when the line went: there only the
        // arrival tells when we knew.
        let known = match event.event {
            EventName::IncidentOpened => Duration::from_millis(event.time.uptime_ms),
            _ => message.at,
        };
        act.seen_after = Some(known.saturating_sub(act.at));
        let domain = event.incident.fault_domain;
        act.must(
            domains.contains(&domain),
            &format!("the fault was placed in {}, not in {}", domain.name(), domains[0].name()),
        );
    }

    /// Shows what comes in until `wanted` says yes; says whether it did within `patience`.
    fn watch(&mut self, act: &mut Act, patience: Duration, wanted: impl Fn(&Received) -> bool) -> bool {
        let began = clock::uptime();
        loop {
            let left = patience.saturating_sub(clock::since(began));
            let Some(next) = self.platform.wait_for(self.place, left.min(LOOK), |_| true) else {
                // A dead agent says nothing more; its last words are heard before we look.
                if left <= LOOK || !self.agent.process().alive() {
                    return false;
                }
                continue;
            };
            self.place = next.place + 1;
            self.show(act, &next);
            let found = !next.repeated && wanted(&next);
            act.messages.push(next);
            if found {
                return true;
            }
        }
    }

    /// Lets time pass, and shows what comes in meanwhile.
    fn rest(&mut self, act: &mut Act, length: Duration) {
        self.watch(act, length, |_| false);
    }

    fn show(&self, act: &Act, received: &Received) {
        let data = json!({ "topic": received.topic, "message": received.json });
        if received.repeated {
            self.stage.say(Speaker::Platform, "the same again, dropped by its id", &data);
            return;
        }
        let delay = received.delay();
        let arrival = match delay {
            _ if act.leapt => "on leapt time".to_owned(),
            Some(delay) if is_marked_late(received) => {
                format!("{} after the fact, marked as late", words(delay))
            }
            Some(delay) => format!("{} after the fact", words(delay)),
            None => "without a time".to_owned(),
        };
        match received.message() {
            Some(Message::Event(event)) => {
                self.stage.say(Speaker::Gateway, &event_words(&event, act), &data);
                let name = serde_json::to_value(event.event).ok();
                let name = name.as_ref().and_then(Value::as_str).unwrap_or_default().replace('_', " ");
                self.stage.say(Speaker::Platform, &format!("has \"{name}\", {arrival}"), &Value::Null);
            }
            Some(Message::Callback(callback)) => {
                for line in callback_words(&callback, &arrival) {
                    self.stage.say(Speaker::Platform, &line, &data);
                }
            }
            Some(Message::CommandResult(result)) => {
                let words = format!("command {} is {}, {arrival}", result.command_id, result.state.name());
                self.stage.say(Speaker::Platform, &words, &data);
            }
            None if received.kind == "state" => {
                self.stage.say(Speaker::Platform, &state_words(received), &data);
            }
            None => {
                self.stage.say(Speaker::Platform, &format!("has a message on {}", received.topic), &data);
            }
        }
    }

    /// Writes the act's line of the table, and says what went wrong.
    fn close(&mut self, act: Act) {
        for fault in &act.faults {
            self.stage.say(Speaker::World, &format!("NOT AS TOLD: {fault}"), &Value::Null);
        }
        if !act.faults.is_empty() {
            let log = self.agent.log();
            let lines: Vec<&str> = log.lines().collect();
            for line in &lines[lines.len().saturating_sub(LOG_LINES)..] {
                eprintln!("agent: {line}");
            }
        }
        let mut tried: Vec<String> = Vec::new();
        for remedy in
            act.events().into_iter().filter(|e| e.event == EventName::RemedyEnded).filter_map(|e| e.remedy)
        {
            let outcome = remedy.outcome.and_then(|o| serde_json::to_value(o).ok());
            let outcome = outcome.as_ref().and_then(Value::as_str).unwrap_or("?").replace('_', " ");
            tried.push(format!("{}: {outcome}", remedy.name.name()));
        }
        let events = act.events().len();
        let mut received = vec![match events {
            0 => "no event".to_owned(),
            1 => "1 event".to_owned(),
            n => format!("{n} events"),
        }];
        let states: Vec<String> = act.callbacks().iter().map(|c| state_name(c.state)).collect();
        if !states.is_empty() {
            received.push(format!("callback {}", states.join(", ")));
        }
        let as_told = act.faults.is_empty();
        self.rows.push(Row {
            cells: [
                act.title.to_owned(),
                act.broke.to_owned(),
                act.seen_after.map_or("-".to_owned(), words),
                if tried.is_empty() { "-".to_owned() } else { tried.join(", ") },
                if as_told { act.outcome } else { format!("NOT AS TOLD: {}", act.faults.join("; ")) },
                received.join(", "),
            ],
            as_told,
        });
    }

    fn sum_up(&self) -> bool {
        self.stage.table(["act", "broke", "seen", "tried", "outcome", "platform received"], &self.rows);
        let failed = self.rows.iter().filter(|row| !row.as_told).count();
        let words = match failed {
            0 => "every act went as told".to_owned(),
            n => format!("{n} of {} acts did not go as told", self.rows.len()),
        };
        self.stage.end(&words, failed == 0);
        failed == 0
    }
}

/// Whether the state message says online; `None` if it says neither.
fn is_online(received: &Received) -> Option<bool> {
    if received.device != DEVICE {
        return None;
    }
    match (&received.json["online"], received.json["state"].as_str()) {
        (Value::Bool(online), _) => Some(*online),
        (_, Some("online")) => Some(true),
        (_, Some("offline")) => Some(false),
        _ => None,
    }
}

fn event_is(received: &Received, name: EventName) -> bool {
    matches!(received.message(), Some(Message::Event(event)) if event.event == name)
}

fn callback_is(received: &Received, state: CallbackState) -> bool {
    matches!(received.message(), Some(Message::Callback(callback)) if callback.state == state)
}

/// The line went: a new incident, or one that opens again within its hold-down.
fn opens(received: &Received) -> bool {
    let Some(Message::Event(event)) = received.message() else { return false };
    matches!(event.event, EventName::IncidentOpened | EventName::IncidentUpdated)
        && event.incident.state == IncidentState::Open
}

/// The agent says itself that it had to wait.
fn is_marked_late(received: &Received) -> bool {
    received.json["late"] == true
}

/// It tells of a time before `moment`, and came after it.
fn is_late(received: &Received, moment: Duration) -> bool {
    received.message().is_some()
        && received
            .delay()
            .is_some_and(|delay| received.at >= moment && received.at.saturating_sub(delay) < moment)
}

/// The retained state: online or not, and how the line does.
fn state_words(received: &Received) -> String {
    let online = match is_online(received) {
        Some(true) => "online",
        Some(false) => "offline",
        None => "neither online nor offline",
    };
    let mut words = format!("{} is {online}", received.device);
    let field = |name: &str| received.json[name].as_str();
    if let Some(reason) = field("reason") {
        let _ = write!(words, " ({reason})");
    }
    if let (Some(true), Some(line)) = (is_online(received), field("line")) {
        let _ = write!(words, ", its line is {line}");
        if let (true, Some(domain)) = (line != "up", field("fault_domain")) {
            let _ = write!(words, " ({domain})");
        }
    }
    words
}

fn event_words(event: &Event, act: &Act) -> String {
    match event.event {
        EventName::IncidentOpened if event.incident.finding == Finding::ShortRate => {
            format!("the promise is BROKEN: {}", event.why)
        }
        EventName::IncidentClosed if event.incident.finding == Finding::ShortRate => {
            format!("the promise is KEPT: {}", event.why)
        }
        EventName::IncidentOpened => {
            let after = Duration::from_millis(event.time.uptime_ms).saturating_sub(act.at);
            format!("the line is DOWN, known {} after it broke: {}", words(after), event.why)
        }
        EventName::IncidentUpdated => format!("{} ({})", event.why, event.incident.id),
        EventName::IncidentClosed => format!("the line is UP: {}", event.why),
        EventName::RemedyBegun => {
            let name = event.remedy.as_ref().map_or("remedy", |r| r.name.name());
            format!("tries {name}: {}", event.why)
        }
        EventName::RemedyEnded => event.why.clone(),
    }
}

fn callback_words(callback: &Callback, arrival: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let id = &callback.callback_id;
    match callback.state {
        CallbackState::Requested => {
            let say = callback.issues.first().map_or("", |issue| issue.description.as_str());
            lines.push(format!("callback {id} REQUESTED, {arrival}"));
            lines.push(format!("· to be read to the customer: \u{201c}{say}\u{201d}"));
            let facts = &callback.evidence.facts;
            // The latest: a callback's incident may carry older breaks.
            for fact in &facts[facts.len().saturating_sub(FACTS)..] {
                lines.push(format!("· evidence: {} {}: {}", fact.name, fact.subject, fact.detail));
            }
            lines.push(format!("answers {id} with the receipt \"received\""));
        }
        CallbackState::Withdrawn => {
            let by = match (callback.resolution.state, &callback.resolution.by) {
                (ResolutionState::Resolved, Some(by)) => format!(" (resolved by {by})"),
                _ => String::new(),
            };
            lines.push(format!("callback {id} WITHDRAWN: nobody need call{by}"));
        }
        other => lines.push(format!("callback {id} {}", state_name(other))),
    }
    lines
}

fn state_name(state: CallbackState) -> String {
    let name = serde_json::to_value(state).ok();
    name.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn words(length: Duration) -> String {
    linekeeper_contract::units::Span(u64::try_from(length.as_millis()).unwrap_or(u64::MAX)).to_string()
}
