//! The seven acts.

use super::act::Act;
use super::steps::{Story, TIMEOUT};
use super::words::{callback_is, event_is, is_late, is_marked_late, is_online, reports_outage};
use crate::clock;
use crate::error::Error;
use crate::platform::Received;
use crate::stage::Speaker;
use crate::world::{Host, Process, World};
use linekeeper::run::socket::{Request, ask};
use linekeeper_contract::message::{CallbackState, Domain, EventName, Outcome};
use linekeeper_contract::units::Rate;
use serde_json::Value;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Timeout for steps that normally take up to a dozen seconds: a callback, a reconnect.
const LONG_TIMEOUT: Duration = Duration::from_secs(45);
/// Pause that lets people read the output.
const READING_PAUSE: Duration = Duration::from_millis(1_200);
/// Length of the hiccup: longer than the probe interval and the shortest break that is counted, shorter than the agent's
/// patience.
const HICCUP: Duration = Duration::from_millis(1_700);
/// How long the cable is out.
const CABLE_OUT: Duration = Duration::from_secs(3);
/// How long everything is dead at least: until the agent has requested a callback that cannot be delivered.
const ALL_DEAD: Duration = Duration::from_secs(10);
/// How long the line must stay up until its incident is closed for good: the demo's hold-down and a margin.
const HELD: Duration = Duration::from_millis(10_500);
/// Rates of the slow line and of the normal line, down and up.
const SLOW: (Rate, Rate) = (Rate(40_000_000), Rate(10_000_000));
const NORMAL: (Rate, Rate) = (Rate(120_000_000), Rate(20_000_000));
/// Limit of speed tests per direction of change. Four slow ones confirm the finding, six good ones the recovery; a busy
/// machine may spoil some.
const TESTS_MAX: usize = 16;
/// A message that arrives this long after its fact was stored meanwhile: far longer than the transmission takes, far
/// shorter than the outage.
const LATE: Duration = Duration::from_secs(3);
/// How long the messages caused by a speed test may take: two round trips and a write to flash.
const AFTER_TEST: Duration = Duration::from_millis(300);
/// How the judge's log line about a short break starts.
const SHORT_BREAK: &str = "a break of ";

impl Story {
    pub(super) fn play(&mut self) -> Result<(), Error> {
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
            if self.agent.process().is_alive() {
                // A fault that a failed act left behind must not disturb the next act.
                self.world.restore_all()?;
            } else if self.rows.len() < acts.len() {
                let words = "the agent has died; the demo ends here";
                self.stage.say(Speaker::World, words, &Value::Null);
                break;
            }
        }
        Ok(())
    }

    pub(super) fn quiet(&mut self) -> Result<(), Error> {
        let mut act = Act { title: "quiet", fault: "nothing", at: clock::uptime(), ..Act::default() };
        let online = self.watch_until(&mut act, TIMEOUT, |r| r.kind == "state" && is_online(r) == Some(true));
        act.require(online, "the agent did not report that it is online");
        // Answered echoes cause no message; the trace shows them.
        let agent = &self.agent;
        let answered = online && clock::wait_until(TIMEOUT, || agent.count_in_trace("echo_answered") >= 4);
        act.require(answered, "no echo was answered");
        if answered {
            self.stage.say(
                Speaker::Gateway,
                "line up: gateway, anchor and world answer the first probes",
                &Value::Null,
            );
        }
        self.show_for(&mut act, READING_PAUSE);
        act.require(act.events().is_empty(), "an event was sent although nothing happened");
        act.outcome = "line up".to_owned();
        self.finish_act(act);
        Ok(())
    }

    pub(super) fn wedged_interface(&mut self) -> Result<(), Error> {
        self.stage.act("a wedged interface");
        let mut act = Act { title: "wedged interface", fault: "address, DHCP client", ..Act::default() };
        self.break_line(&mut act, "the address of wan0 is flushed and its DHCP client killed", World::wedge)?;
        self.expect_outage(&mut act, &[Domain::Access]);
        let closed = self.watch_until(&mut act, LONG_TIMEOUT, |r| event_is(r, EventName::IncidentClosed));
        act.require(closed, "the line did not come back");
        act.require(self.world.has_lease(), "the gateway has no lease");
        let healed =
            act.events().into_iter().filter_map(|e| e.remedy).any(|r| r.outcome == Some(Outcome::Healed));
        act.require(healed, "no remedy repaired the line");
        act.require(act.callbacks().is_empty(), "a callback was requested");
        act.outcome = "repaired by the gateway, no callback".to_owned();
        self.show_for(&mut act, READING_PAUSE);
        self.finish_act(act);
        Ok(())
    }

    pub(super) fn cable_out(&mut self) -> Result<(), Error> {
        self.stage.act("the cable is out for 3 s");
        let mut act = Act { title: "cable out", fault: "carrier, for 3 s", ..Act::default() };
        self.break_line(&mut act, "the cable of wan0 is pulled", World::cut_carrier)?;
        self.expect_outage(&mut act, &[Domain::Link]);
        let left = CABLE_OUT.saturating_sub(clock::since(act.at));
        self.show_for(&mut act, left);
        self.mend_line("the cable is put back", World::restore_carrier)?;
        let closed = self.watch_until(&mut act, LONG_TIMEOUT, |r| event_is(r, EventName::IncidentClosed));
        act.require(closed, "the line did not come back");
        act.require(act.callbacks().is_empty(), "a callback was requested");
        act.outcome = "up again with the cable, no callback".to_owned();
        self.show_for(&mut act, READING_PAUSE);
        self.finish_act(act);
        Ok(())
    }

    pub(super) fn hiccup(&mut self) -> Result<(), Error> {
        self.stage.act("a hiccup of 1.7 s");
        let mut act = Act { title: "hiccup", fault: "forwarding, for 1.7 s", ..Act::default() };
        let lost = self.agent.count_in_trace("echo_lost");
        self.break_line(&mut act, "the access router stops forwarding", World::silence_upstream)?;
        self.show_for(&mut act, HICCUP);
        self.mend_line("it forwards again, 1.7 s later", World::restore_upstream)?;
        self.show_for(&mut act, READING_PAUSE * 2);
        act.require(act.events().is_empty(), "an event was sent for a break shorter than the patience");
        act.require(act.callbacks().is_empty(), "a callback was requested");
        // A lost echo in the trace (the sensor gives up late) or the judge's log line shows that the agent noticed.
        let agent = &self.agent;
        let counted = |log: &str| {
            log.lines().rev().find_map(|line| line.find(SHORT_BREAK).map(|at| line[at..].to_owned()))
        };
        let noticed = clock::wait_until(TIMEOUT, || {
            agent.count_in_trace("echo_lost") > lost || counted(&agent.log()).is_some()
        });
        act.require(noticed, "the agent did not notice the break");
        if act.failures.is_empty() {
            let noted = counted(&self.agent.log()).unwrap_or_else(|| "echoes were lost".to_owned());
            let words = format!("{noted}; shorter than its patience, so nothing is sent");
            self.stage.say(Speaker::Gateway, &words, &Value::Null);
        }
        act.outcome = "counted, not acted on".to_owned();
        self.finish_act(act);
        Ok(())
    }

    pub(super) fn silent_loss(&mut self) -> Result<(), Error> {
        self.stage.act("silent loss beyond the access router");
        let mut act = Act { title: "silent loss", fault: "forwarding; the router answers", ..Act::default() };
        let what = "the access router silently stops forwarding; it still answers itself";
        self.break_line(&mut act, what, World::silence_upstream)?;
        self.expect_outage(&mut act, &[Domain::Upstream]);
        let requested =
            self.watch_until(&mut act, LONG_TIMEOUT, |r| callback_is(r, CallbackState::Requested));
        act.require(requested, "no callback was requested");
        let received =
            requested && self.watch_until(&mut act, TIMEOUT, |r| callback_is(r, CallbackState::Received));
        act.require(received, "the agent did not process the receipt");
        act.require(
            act.events().iter().all(|e| e.remedy.is_none()),
            "a remedy was tried although none can help",
        );
        let evidence = act.callbacks().iter().any(|c| !c.evidence.facts.is_empty());
        act.require(evidence, "the callback contains no evidence");
        let down = |status: &Value| status["line"] == "down";
        self.check_status(&mut act, down, "the line is down")?;
        self.show_for(&mut act, READING_PAUSE);
        self.mend_line("it forwards again", World::restore_upstream)?;
        let withdrawn =
            self.watch_until(&mut act, LONG_TIMEOUT, |r| callback_is(r, CallbackState::Withdrawn));
        act.require(withdrawn, "the callback was not withdrawn when the line came back");
        act.outcome = "callback requested, received, withdrawn".to_owned();
        self.show_for(&mut act, READING_PAUSE);
        self.finish_act(act);
        Ok(())
    }

    pub(super) fn everything_dead(&mut self) -> Result<(), Error> {
        self.stage.act("everything dead, including the backup");
        let mut act = Act { title: "everything dead", fault: "access router, backup", ..Act::default() };
        self.stage.say(
            Speaker::World,
            "waiting: the incident ends when the line has been up for 10 s",
            &Value::Null,
        );
        self.show_for(&mut act, HELD);
        act.messages.clear();
        let ended = self.agent.count_in_trace("remedy_ended");
        self.break_line(
            &mut act,
            "the access router stops responding, DHCP included, and the backup is off",
            |world| {
                world.set_backup(false)?;
                world.silence_access()
            },
        )?;
        self.stage.say(
            Speaker::Gateway,
            "no uplink: it tries its remedies; its messages wait on flash",
            &Value::Null,
        );
        // No message can arrive, but the trace shows what the agent does.
        let agent = &self.agent;
        let tried = clock::wait_until(TIMEOUT, || agent.count_in_trace("remedy_ended") > ended);
        act.require(tried, "no remedy was tried");
        let left = ALL_DEAD.saturating_sub(clock::since(act.at));
        self.show_for(&mut act, left);
        act.require(
            act.messages.iter().all(|m| m.kind == "state"),
            "a message arrived although everything was dead",
        );
        let dead_until = clock::uptime();
        self.mend_line("the access router responds again; the backup stays off", World::restore_access)?;
        let closed = self.watch_until(&mut act, LONG_TIMEOUT, |r| event_is(r, EventName::IncidentClosed));
        act.require(closed, "the line did not come back, or its return was not reported");
        let opened = act.messages.iter().find(|r| reports_outage(r)).cloned();
        act.require(opened.is_some(), "the outage was never reported");
        if let Some(opened) = &opened {
            act.require(
                opened.delay() >= Some(LATE),
                "the outage was reported at once although everything was dead",
            );
            act.require(is_marked_late(opened), "the outage's message is not marked as late");
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
        act.require(stamps.is_sorted(), "the messages did not arrive in the order of their facts");
        let late = act.messages.iter().filter(|m| is_late(m, dead_until)).count();
        act.outcome = format!("{late} messages waited, then arrived in order");
        self.world.set_backup(true)?;
        self.show_for(&mut act, READING_PAUSE);
        act.require(self.agent.process().is_alive(), "the agent has died");
        self.finish_act(act);
        Ok(())
    }

    pub(super) fn slower_than_promised(&mut self) -> Result<(), Error> {
        self.stage.act("slower than promised");
        let mut act =
            Act { title: "slower than promised", fault: "rate: 40 of 100 Mbit/s", ..Act::default() };
        let server = self.start_speed_server()?;
        match self.break_line(
            &mut act,
            "the line is throttled to 40 of the 100 Mbit/s sold; the hours between speed tests are skipped",
            |world| world.shape(SLOW.0, SLOW.1),
        ) {
            Ok(()) => self.show_short_rate_and_recovery(&mut act)?,
            Err(why) => {
                // A kernel without `tbf` is not the agent's fault.
                self.stage.say(Speaker::World, &format!("skipped: {why}"), &Value::Null);
                act.outcome = "skipped: this kernel cannot limit the rate".to_owned();
            }
        }
        drop(server);
        act.require(self.agent.stop(), "the agent did not stop on SIGTERM");
        // The broker already has the agent's last state.
        let offline =
            self.watch_until(&mut act, TIMEOUT, |r| r.kind == "state" && is_online(r) == Some(false));
        act.require(offline, "the agent did not report that it is offline");
        self.finish_act(act);
        Ok(())
    }

    pub(super) fn start_speed_server(&self) -> Result<Process, Error> {
        let mut command = Command::new(self.world.program());
        command.args(["lab", "speed-server", "--listen", "0.0.0.0:80"]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        self.world.spawn_in(Host::Anchor, &mut command)
    }

    pub(super) fn show_short_rate_and_recovery(&mut self, act: &mut Act) -> Result<(), Error> {
        act.clock_jumped = true;
        // Drop the last messages of the previous act.
        act.messages.clear();
        let Some(short) = self.run_speed_tests_until(act, "no callback was requested", |r| {
            callback_is(r, CallbackState::Requested)
        }) else {
            return Ok(());
        };
        let received = self.watch_until(act, TIMEOUT, |r| callback_is(r, CallbackState::Received));
        act.require(received, "the agent did not process the receipt");
        let samples = act.callbacks().iter().map(|c| c.evidence.samples.len()).max();
        act.require(samples >= Some(short), "the callback lacks the samples");
        let broken = |status: &Value| status["promise"]["directions"][0]["verdict"]["verdict"] == "broken";
        self.check_status(act, broken, "the promise is broken")?;
        self.mend_line("the line has its full rate again", |world| world.shape(NORMAL.0, NORMAL.1))?;
        let missing = "the callback was not withdrawn when the line had its full rate again";
        if let Some(good) =
            self.run_speed_tests_until(act, missing, |r| callback_is(r, CallbackState::Withdrawn))
        {
            act.outcome = format!("callback on {short} tests, withdrawn on {good}");
        }
        Ok(())
    }

    /// Lets the agent run speed tests until a message is `wanted`, and returns the number of conclusive tests. Otherwise the
    /// act fails with `missing`, unless the machine was too busy for conclusive tests.
    pub(super) fn run_speed_tests_until(
        &mut self,
        act: &mut Act,
        missing: &str,
        wanted: impl Fn(&Received) -> bool,
    ) -> Option<usize> {
        let (mut conclusive, mut inconclusive) = (0, 0);
        for n in 1..=TESTS_MAX {
            let ended = self.agent.count_in_trace("speed_ended");
            if let Err(why) = ask(&self.agent.socket(), &Request::Hasten) {
                act.require(false, &format!("its clock cannot be advanced: {why}"));
                return None;
            }
            let agent = &self.agent;
            if !clock::wait_until(TIMEOUT, || agent.count_in_trace("speed_ended") > ended) {
                act.require(false, "it ran no speed test");
                return None;
            }
            // The log has the result, and is written before any message is sent.
            let log = self.agent.log();
            let is_result = |l: &&str| l.contains(" is to be shown") || l.contains("nothing is shown");
            if let Some(line) = log.lines().rev().find(is_result) {
                *(if line.contains("nothing is shown") { &mut inconclusive } else { &mut conclusive }) += 1;
                let words = line.trim_start().trim_start_matches("INFO ");
                self.stage.say(Speaker::Gateway, &format!("test {n}: {words}"), &Value::Null);
            }
            if self.watch_until(act, AFTER_TEST, &wanted) {
                return Some(conclusive);
            }
        }
        if inconclusive > 0 {
            // This is correct: a test that cannot measure must not cause a call.
            act.outcome = format!("this machine is too busy: {inconclusive} inconclusive tests, no callback");
        } else {
            act.require(false, missing);
        }
        None
    }
}
