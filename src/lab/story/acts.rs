//! The seven acts.

use super::act::Act;
use super::telling::{SOON, Story};
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
/// How the judge's note on a short break begins.
const COUNTED: &str = "a break of ";

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

    pub(super) fn quiet(&mut self) -> Result<(), Error> {
        let mut act = Act { title: "quiet", broke: "nothing", at: clock::uptime(), ..Act::default() };
        let online = self.watch_until(&mut act, SOON, |r| r.kind == "state" && is_online(r) == Some(true));
        act.require(online, "the agent did not say that it is online");
        // Answered echoes are no message: the trace has them.
        let agent = &self.agent;
        let answered = online && clock::wait_until(SOON, || agent.count_in_trace("echo_answered") >= 4);
        act.require(answered, "no echo was answered");
        if answered {
            self.stage.say(
                Speaker::Gateway,
                "line up: gateway, anchor and world answer the first probes",
                &Value::Null,
            );
        }
        self.show_for(&mut act, BREATH);
        act.require(act.events().is_empty(), "an event was sent although nothing happened");
        act.outcome = "line up".to_owned();
        self.finish_act(act);
        Ok(())
    }

    pub(super) fn wedged_interface(&mut self) -> Result<(), Error> {
        self.stage.act("a wedged interface");
        let mut act = Act { title: "wedged interface", broke: "address, DHCP client", ..Act::default() };
        self.break_line(&mut act, "the address of wan0 is flushed and its DHCP client killed", World::wedge)?;
        self.expect_outage(&mut act, &[Domain::Access]);
        let closed = self.watch_until(&mut act, LATER, |r| event_is(r, EventName::IncidentClosed));
        act.require(closed, "the line did not come back");
        act.require(self.world.has_lease(), "the gateway has no lease");
        let healed =
            act.events().into_iter().filter_map(|e| e.remedy).any(|r| r.outcome == Some(Outcome::Healed));
        act.require(healed, "no remedy healed it");
        act.require(act.callbacks().is_empty(), "a callback was asked for");
        act.outcome = "healed by the gateway, no callback".to_owned();
        self.show_for(&mut act, BREATH);
        self.finish_act(act);
        Ok(())
    }

    pub(super) fn cable_out(&mut self) -> Result<(), Error> {
        self.stage.act("the cable is out for 3 s");
        let mut act = Act { title: "cable out", broke: "carrier, for 3 s", ..Act::default() };
        self.break_line(&mut act, "the cable of wan0 is pulled", World::cut_carrier)?;
        self.expect_outage(&mut act, &[Domain::Link]);
        let left = CABLE_OUT.saturating_sub(clock::since(act.at));
        self.show_for(&mut act, left);
        self.mend_line("the cable is put back", World::restore_carrier)?;
        let closed = self.watch_until(&mut act, LATER, |r| event_is(r, EventName::IncidentClosed));
        act.require(closed, "the line did not come back");
        act.require(act.callbacks().is_empty(), "a callback was asked for");
        act.outcome = "back with the cable, no callback".to_owned();
        self.show_for(&mut act, BREATH);
        self.finish_act(act);
        Ok(())
    }

    pub(super) fn hiccup(&mut self) -> Result<(), Error> {
        self.stage.act("a hiccup of 1.7 s");
        let mut act = Act { title: "hiccup", broke: "forwarding, for 1.7 s", ..Act::default() };
        let lost = self.agent.count_in_trace("echo_lost");
        self.break_line(&mut act, "the access router stops forwarding", World::silence_upstream)?;
        self.show_for(&mut act, HICCUP);
        self.mend_line("it forwards again, 1.7 s later", World::restore_upstream)?;
        self.show_for(&mut act, BREATH * 2);
        act.require(act.events().is_empty(), "an event was sent for a break shorter than the patience");
        act.require(act.callbacks().is_empty(), "a callback was asked for");
        // Either tells: a lost echo in the trace (the sensor gives up late), or the judge's own words in the log.
        let agent = &self.agent;
        let counted =
            |log: &str| log.lines().rev().find_map(|line| line.find(COUNTED).map(|at| line[at..].to_owned()));
        let noticed = clock::wait_until(SOON, || {
            agent.count_in_trace("echo_lost") > lost || counted(&agent.log()).is_some()
        });
        act.require(noticed, "the agent did not even notice");
        if act.faults.is_empty() {
            let said = counted(&self.agent.log()).unwrap_or_else(|| "echoes were lost".to_owned());
            let words = format!("{said}; shorter than its patience, nothing is sent");
            self.stage.say(Speaker::Gateway, &words, &Value::Null);
        }
        act.outcome = "counted, not acted on".to_owned();
        self.finish_act(act);
        Ok(())
    }

    pub(super) fn silent_loss(&mut self) -> Result<(), Error> {
        self.stage.act("silent loss beyond the access router");
        let mut act = Act { title: "silent loss", broke: "forwarding, the router answers", ..Act::default() };
        let what = "the access router stops forwarding and says nothing; it still answers itself";
        self.break_line(&mut act, what, World::silence_upstream)?;
        self.expect_outage(&mut act, &[Domain::Upstream]);
        let requested = self.watch_until(&mut act, LATER, |r| callback_is(r, CallbackState::Requested));
        act.require(requested, "no callback was asked for");
        let received =
            requested && self.watch_until(&mut act, SOON, |r| callback_is(r, CallbackState::Received));
        act.require(received, "the agent did not take the receipt");
        act.require(
            act.events().iter().all(|e| e.remedy.is_none()),
            "a remedy was tried although nothing on this side can help",
        );
        let evidence = act.callbacks().iter().any(|c| !c.evidence.facts.is_empty());
        act.require(evidence, "the callback came without evidence");
        let down = |status: &Value| status["line"] == "down";
        self.check_status(&mut act, down, "the line is down")?;
        self.show_for(&mut act, BREATH);
        self.mend_line("it forwards again", World::restore_upstream)?;
        let withdrawn = self.watch_until(&mut act, LATER, |r| callback_is(r, CallbackState::Withdrawn));
        act.require(withdrawn, "the callback was not withdrawn when the line came back");
        act.outcome = "callback asked for, received, withdrawn".to_owned();
        self.show_for(&mut act, BREATH);
        self.finish_act(act);
        Ok(())
    }

    pub(super) fn everything_dead(&mut self) -> Result<(), Error> {
        self.stage.act("everything dead, the backup too");
        let mut act = Act { title: "everything dead", broke: "access router, backup", ..Act::default() };
        self.stage.say(
            Speaker::World,
            "all is well; the line must hold 10 s to end its incident",
            &Value::Null,
        );
        self.show_for(&mut act, HELD);
        act.messages.clear();
        let ended = self.agent.count_in_trace("remedy_ended");
        self.break_line(
            &mut act,
            "the access router falls silent, DHCP and all, and the backup is off",
            |world| {
                world.set_backup(false)?;
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
        let tried = clock::wait_until(SOON, || agent.count_in_trace("remedy_ended") > ended);
        act.require(tried, "no remedy was tried");
        let left = ALL_DEAD.saturating_sub(clock::since(act.at));
        self.show_for(&mut act, left);
        act.require(
            act.messages.iter().all(|m| m.kind == "state"),
            "a message came through although all was dead",
        );
        let dead_until = clock::uptime();
        self.mend_line("the access router speaks again; the backup stays off", World::restore_access)?;
        let closed = self.watch_until(&mut act, LATER, |r| event_is(r, EventName::IncidentClosed));
        act.require(closed, "the line did not come back, or nobody was told");
        let opened = act.messages.iter().find(|r| reports_outage(r)).cloned();
        act.require(opened.is_some(), "the outage was never told");
        if let Some(opened) = &opened {
            act.require(opened.delay() >= Some(LATE), "the outage was told at once although all was dead");
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
        act.require(stamps.is_sorted(), "the messages did not come in the order of what they tell");
        let late = act.messages.iter().filter(|m| is_late(m, dead_until)).count();
        act.outcome = format!("{late} messages waited, came in order");
        self.world.set_backup(true)?;
        self.show_for(&mut act, BREATH);
        act.require(self.agent.process().is_alive(), "the agent is not alive any more");
        self.finish_act(act);
        Ok(())
    }

    pub(super) fn slower_than_promised(&mut self) -> Result<(), Error> {
        self.stage.act("slower than promised");
        let mut act =
            Act { title: "slower than promised", broke: "40 of 100 Mbit/s are left", ..Act::default() };
        let server = self.start_speed_server()?;
        match self.break_line(
            &mut act,
            "of the 100 Mbit/s that were sold 40 are left; hours between its tests are leapt over",
            |world| world.shape(SLOW.0, SLOW.1),
        ) {
            Ok(()) => self.show_short_rate_and_recovery(&mut act)?,
            Err(why) => {
                // A kernel without `tbf`: no fault of the agent's.
                self.stage.say(Speaker::World, &format!("left out: {why}"), &Value::Null);
                act.outcome = "left out: the line cannot be shaped here".to_owned();
            }
        }
        drop(server);
        act.require(self.agent.stop(), "the agent did not end when asked to");
        // Its goodbye is with the broker already.
        let offline = self.watch_until(&mut act, SOON, |r| r.kind == "state" && is_online(r) == Some(false));
        act.require(offline, "the agent did not say goodbye");
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
        act.leapt = true;
        // What the act before left to be said.
        act.messages.clear();
        let Some(short) = self.run_speed_tests_until(act, "no callback was asked for", |r| {
            callback_is(r, CallbackState::Requested)
        }) else {
            return Ok(());
        };
        let received = self.watch_until(act, SOON, |r| callback_is(r, CallbackState::Received));
        act.require(received, "the agent did not take the receipt");
        let samples = act.callbacks().iter().map(|c| c.evidence.samples.len()).max();
        act.require(samples >= Some(short), "the callback came without its samples");
        let broken = |status: &Value| status["promise"]["directions"][0]["verdict"]["verdict"] == "broken";
        self.check_status(act, broken, "the promise is broken")?;
        self.mend_line("the line is whole again", |world| world.shape(WHOLE.0, WHOLE.1))?;
        let missing = "the callback was not withdrawn when the line was whole again";
        if let Some(good) =
            self.run_speed_tests_until(act, missing, |r| callback_is(r, CallbackState::Withdrawn))
        {
            act.outcome = format!("callback on {short} tests, withdrawn on {good}");
        }
        Ok(())
    }

    /// Lets the agent make one speed test after the other, until `wanted` comes: after how many that showed something. What
    /// is missing else is `missing`, but for a machine on which too few show anything.
    pub(super) fn run_speed_tests_until(
        &mut self,
        act: &mut Act,
        missing: &str,
        wanted: impl Fn(&Received) -> bool,
    ) -> Option<usize> {
        let (mut shown, mut void) = (0, 0);
        for n in 1..=TESTS_MOST {
            let ended = self.agent.count_in_trace("speed_ended");
            if let Err(why) = ask(&self.agent.socket(), &Request::Hasten) {
                act.require(false, &format!("its clock does not leap: {why}"));
                return None;
            }
            let agent = &self.agent;
            if !clock::wait_until(SOON, || agent.count_in_trace("speed_ended") > ended) {
                act.require(false, "it made no speed test");
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
            if self.watch_until(act, FOLLOWS, &wanted) {
                return Some(shown);
            }
        }
        if void > 0 {
            // Right so: what cannot be measured is no reason to call anyone.
            act.outcome = format!("too busy a machine: {void} tests showed nothing, nobody was called");
        } else {
            act.require(false, missing);
        }
        None
    }
}
