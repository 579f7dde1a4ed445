//! Availability accounting, and how the runs of this program ended.
//!
//! [`ledger`] keeps the accounts, [`lives`] decides how the last run ended. This module feeds both. How the last run ended
//! is decided at the start, while the state of the ladder and the time of the last snapshot are still known. Time is
//! charged by the state of the line after each step.

pub mod ledger;
pub mod lives;

use super::concern::{Concern, Quiet, until};
use super::context::{Context, Facts};
use super::outage::line::LineState;
use super::outbox::Outbox;
use super::signal::Signal;
use super::snapshot::{Kept, Parts};
use super::status::Status;
use crate::action::Level;
use crate::config::Config;
use crate::observation::{Beat, Charge, Memory, Observation, Started};
use ledger::Ledger;
use linekeeper_contract::message::Fact;
use linekeeper_contract::units::{Mono, Span, Wall};
use linekeeper_contract::vocabulary::Rung;
use lives::{Beginning, Ending, Found, Lives};

/// The availability ledger, and what is remembered of earlier runs.
#[derive(Debug, Clone, Default)]
pub struct Books {
    ledger: Ledger,
    lives: Lives,
}

impl Concern for Books {
    fn new(_config: &Config) -> Books {
        Books::default()
    }

    fn observe(&mut self, cx: &Context<'_>, seen: &Observation, out: &mut Outbox) {
        match seen {
            Observation::Started(started) => self.started(cx, started, out),
            Observation::ClockSet { wall, synced: true } => self.dated(cx, *wall, out),
            Observation::Stopping => {
                out.save();
                self.lives.stopping();
                out.note(Level::Info, "asked to end".into());
            }
            _ => {}
        }
    }

    fn on_signal(&mut self, cx: &Context<'_>, signal: &Signal, _out: &mut Outbox) {
        if let Signal::Unwatched { gap } = signal {
            self.ledger.charge(cx.now - *gap, Charge::Unknown, cx.offset());
        }
    }

    fn end_step(&mut self, cx: &Context<'_>) {
        let line = &cx.facts.line;
        let ours = match &cx.facts.remedy {
            _ if line.state != LineState::Down => None,
            Some(r) if !r.settles && ledger::interrupts(r.rung) => Some(Charge::Remedies),
            _ if line.loaded => Some(Charge::Tests),
            _ => None,
        };
        self.ledger.stand(cx.now, line.state, line.since, ours, cx.offset());
    }

    fn publish_facts(&mut self, facts: &mut Facts) {
        facts.beginning = self.lives.beginning;
    }

    fn deadline(&self, _cx: &Context<'_>) -> Option<Mono> {
        None
    }

    fn quiet_until(&self, cx: &Context<'_>, _quiet: Quiet) -> Option<Mono> {
        until(self.deadline(cx))
    }

    fn fill_status(&self, cx: &Context<'_>, status: &mut Status) {
        status.unasked = self.lives.unasked;
        status.availability = self.ledger.told(cx.now, cx.offset());
        status.beginning = self.lives.beginning;
    }

    fn save(&self, parts: &mut Parts) {
        parts.put("ledger", &self.ledger);
        parts.put("lives", &self.lives);
    }

    fn load(&mut self, kept: &Kept<'_>) -> Result<(), String> {
        self.ledger = kept.get("ledger")?;
        self.lives = kept.get("lives")?;
        Ok(())
    }
}

impl Books {
    /// What the heartbeat of this life tells the next one in the same boot.
    pub fn beat(&self, now: Mono) -> Beat {
        let (charge, since) = self.ledger.standing();
        Beat { at: now, charge, since }
    }

    /// How long the books have been kept: what all their charges add up to.
    pub fn kept_for(&self, now: Mono) -> Span {
        self.ledger.kept_for(now)
    }

    fn started(&mut self, cx: &Context<'_>, started: &Started, out: &mut Outbox) {
        if started.memory == Memory::Restored && !self.lives.asked_to_end() {
            out.numbers.pass_over();
        }
        self.lived(cx, started, out);
        match started.memory {
            Memory::None => out.note(Level::Info, "first start: nothing is remembered".into()),
            Memory::Restored => out.note(Level::Info, "started; what was known is remembered".into()),
            Memory::Lost => {
                out.note(Level::Warn, "started; the memory could not be read and begins anew".into());
            }
        }
    }

    /// Says how the last life ended, and charges the time between.
    fn lived(&mut self, cx: &Context<'_>, started: &Started, out: &mut Outbox) {
        let found = Found {
            memory: started.memory,
            rebooted: cx.facts.life.rebooted,
            by_us: cx.facts.remedy.is_some_and(|r| r.rung == Rung::Reboot),
            saved: cx.facts.saved,
            uptime: started.uptime,
            beat: started.beat.as_ref(),
            offset_minutes: cx.offset(),
        };
        let began = self.lives.started(cx.now, found, &mut self.ledger);
        let level = match began.how {
            // As it should be, and said elsewhere.
            Ending::NotKnown | Ending::Restarted => return,
            Ending::RebootedByUs | Ending::Rebooted => Level::Info,
            Ending::Crashed | Ending::PowerCut => Level::Warn,
        };
        out.note(level, format!("{}; {}", began.how.words(), away(&began)));
        let why = match began.how {
            Ending::PowerCut => "gateway.power_cut",
            Ending::Crashed => "gateway.process_died",
            Ending::RebootedByUs | Ending::Rebooted => "gateway.rebooted",
            Ending::Restarted | Ending::NotKnown => return,
        };
        // Who reads the evidence of an incident must know that part of it was not watched.
        out.signal(Signal::Evidence(Fact {
            at: cx.stamp(cx.now),
            name: why.into(),
            subject: "gateway".into(),
            detail: format!("{}; {}", began.how.words(), away(&began)),
        }));
        if !cx.flight.is_empty() {
            out.signal(Signal::Evidence(Fact {
                at: cx.stamp(cx.now),
                name: "recorder.kept".into(),
                subject: "gateway".into(),
                detail: format!("{} s of the flight recorder were kept over it", cx.flight.len()),
            }));
        }
    }

    /// Civil time was told, and is to be trusted.
    fn dated(&mut self, cx: &Context<'_>, wall: Wall, out: &mut Outbox) {
        self.ledger.set(cx.now, wall, cx.offset());
        if let Some(began) = self.lives.set(cx.now, wall, cx.offset(), &mut self.ledger) {
            out.note(Level::Info, format!("the clock is set: {}; {}", began.how.words(), away(&began)));
        }
    }
}

/// For how long nobody watched, in words.
fn away(began: &Beginning) -> String {
    let least = Span(began.away_least_ms);
    match began.away_most_ms {
        Some(most) if most == began.away_least_ms => format!("nobody watched for {least}"),
        Some(most) => format!("nobody watched for {least} at least and {} at most", Span(most)),
        None => format!("nobody watched for {least} at least"),
    }
}
