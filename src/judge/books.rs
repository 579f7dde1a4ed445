//! What the judge has to do so that its ledger, its memory of lives and its flight recorder are told everything.

use super::flight::{AFTER, Seen};
use super::lives::{Beginning, Ending, Found};
use super::outage::LineState;
use super::{Judge, ledger};
use crate::action::Level;
use crate::observation::{Beat, Charge, Observation, Started};
use linekeeper_contract::message::Fact;
use linekeeper_contract::recording::Recording;
use linekeeper_contract::units::{Mono, Span, Wall};
use linekeeper_contract::vocabulary::Rung;

impl Judge {
    /// What the heartbeat of this life tells the next one in the same boot.
    pub fn beat(&self, now: Mono) -> Beat {
        let (charge, since) = self.state.ledger.standing();
        Beat { at: now, charge, since }
    }

    /// How long the books have been kept: what all their charges add up to.
    pub fn kept_for(&self, now: Mono) -> Span {
        self.state.ledger.kept_for(now)
    }

    /// A new life: says how the last one ended, and charges the time between. To be called while it is still known what
    /// the ladder was at and when the last snapshot was made.
    pub(super) fn lived(&mut self, now: Mono, started: &Started, rebooted: bool) {
        let running = self.state.ladder.running.as_ref().map(|r| r.rung);
        let found = Found {
            memory: started.memory,
            rebooted,
            by_us: running == Some(Rung::Reboot),
            saved: self.state.saved,
            uptime: started.uptime,
            beat: started.beat.as_ref(),
            offset_minutes: self.offset(),
        };
        let began = self.state.lives.started(now, found, &mut self.state.ledger);
        let level = match began.how {
            // As it should be, and said elsewhere.
            Ending::NotKnown | Ending::Restarted => return,
            Ending::RebootedByUs | Ending::Rebooted => Level::Info,
            Ending::Crashed | Ending::PowerCut => Level::Warn,
        };
        self.note(level, format!("{}; {}", began.how.words(), away(&began)));
        let why = match began.how {
            Ending::PowerCut => "gateway.power_cut",
            Ending::Crashed => "gateway.process_died",
            Ending::RebootedByUs | Ending::Rebooted => "gateway.rebooted",
            Ending::Restarted | Ending::NotKnown => return,
        };
        // Who reads the evidence of an incident must know that part of it was not watched.
        let at = self.stamp(now);
        let fact = Fact {
            at,
            name: why.into(),
            subject: "gateway".into(),
            detail: format!("{}; {}", began.how.words(), away(&began)),
        };
        let kept = (!self.flight.is_empty()).then(|| Fact {
            at: self.stamp(now),
            name: "recorder.kept".into(),
            subject: "gateway".into(),
            detail: format!("{} s of the flight recorder were kept over it", self.flight.len()),
        });
        if let Some(incident) = self.state.incident.as_mut().filter(|i| i.broken.is_some()) {
            incident.note_fact(fact);
            kept.into_iter().for_each(|fact| incident.note_fact(fact));
        }
    }

    /// The flight recorder takes in what it is to keep.
    pub(super) fn flies(&mut self, now: Mono, saw: &Observation) {
        let (watch, ladder) = (&self.state.watch, &self.state.ladder);
        self.flight.passes(now, || Seen {
            line: watch.line,
            link: watch.link_fault().is_none(),
            remedy: ladder.running.as_ref().is_some_and(|r| r.settles.is_none()),
            test: watch.loaded,
        });
        match saw {
            Observation::EchoAnswered { rtt_us, .. } => self.flight.answered(*rtt_us),
            Observation::EchoLost { .. } | Observation::EchoNotSent { .. } => self.flight.lost(),
            Observation::Counted(c) if !c.reset => self.flight.counted(c.over, c.rx_bytes, c.tx_bytes),
            _ => {}
        }
    }

    /// Cuts out an incident's part when the minute after its first break is over, or before our own reboot: the next life
    /// has another clock to label it by.
    pub(super) fn cut(&mut self, now: Mono) {
        let Some(incident) = &self.state.incident else {
            self.state.cut.clear();
            return;
        };
        let reboots = self.state.ladder.running.as_ref().is_some_and(|r| r.rung == Rung::Reboot);
        let over = reboots || now.0 / 1_000 >= incident.opened_at.0 / 1_000 + AFTER;
        if over
            && self.state.cut.of(&incident.id).is_none()
            && let Some(recording) = self.flight.around(incident.opened_at, |at| self.stamp(at))
        {
            let id = incident.id.clone();
            self.state.cut.keep(&id, recording);
        }
    }

    /// The part of the present incident: cut out, or as far as it goes.
    pub(super) fn recording(&self) -> Option<Box<Recording>> {
        let incident = self.state.incident.as_ref()?;
        let kept = self.state.cut.of(&incident.id).cloned();
        kept.or_else(|| self.flight.around(incident.opened_at, |at| self.stamp(at))).map(Box::new)
    }

    /// Civil time was told.
    pub(super) fn dated(&mut self, now: Mono, wall: Wall, synced: bool) {
        if !synced {
            return;
        }
        let offset = self.offset();
        self.state.ledger.set(now, wall, offset);
        if let Some(began) = self.state.lives.set(now, wall, offset, &mut self.state.ledger) {
            self.note(Level::Info, format!("the clock is set: {}; {}", began.how.words(), away(&began)));
        }
    }

    /// Nobody watched for `gap`.
    pub(super) fn unwatched(&mut self, now: Mono, gap: Span) {
        let offset = self.offset();
        self.state.ledger.charge(now - gap, Charge::Unknown, offset);
    }

    /// Charges time as the line stands after this step.
    pub(super) fn charge(&mut self, now: Mono) {
        let offset = self.offset();
        let watch = &self.state.watch;
        let ours = match &self.state.ladder.running {
            _ if watch.line != LineState::Down => None,
            Some(r) if r.settles.is_none() && ledger::interrupts(r.rung) => Some(Charge::Remedies),
            _ if watch.loaded => Some(Charge::Tests),
            _ => None,
        };
        self.state.ledger.stand(now, watch.line, watch.since, ours, offset);
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
