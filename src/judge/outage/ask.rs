//! Whom the watch asks, and when it must be asked itself.

use super::line::LineState;
use super::silent::Flight;
use super::target::{TargetState, quickest};
use super::watch::{
    BENCH_RETRY, BURST, DOWN_ROUND, FLIGHTS, GATEWAY_EVERY, ROTATION_MOST, ROUND, WATCHED, Watch,
};
use crate::action::Action;
use crate::config::Config;
use crate::observation::{ProbeId, TargetId};
use linekeeper_contract::units::{Mono, Span};

impl Watch {
    pub(super) fn ask(&mut self, now: Mono, config: &Config, out: &mut Vec<Action>) {
        if now >= self.next_round {
            let every = match (self.line, self.suspicion.is_some()) {
                (LineState::Up, false) => {
                    self.ask_next(now, out);
                    config.probe.interval
                }
                // In the grace after a boot nothing will be decided: a district that has its power back must not ask
                // for minutes as if it were about to.
                (LineState::Unknown, true) if now < self.grace_until => {
                    self.ask_round(now, config, out);
                    DOWN_ROUND
                }
                (LineState::Up | LineState::Unknown, true) => {
                    let decides = self.suspicion.as_ref().is_some_and(|s| s.last_round == Some(now));
                    let at_a_time = self.targets.len().clamp(1, BURST);
                    if decides {
                        self.ask_round(now, config, out);
                    } else {
                        let at = self.rotation % self.targets.len().max(1);
                        self.rotation = at + 1;
                        if at < self.targets.len() {
                            self.send(now, TargetId(at as u8), false, out);
                        }
                        if at.is_multiple_of(at_a_time) {
                            self.ask_gateway(now, config, false, out);
                        }
                    }
                    Span(ROUND.0 / at_a_time as u64)
                }
                (LineState::Unknown | LineState::Down, _) => {
                    self.ask_round(now, config, out);
                    DOWN_ROUND
                }
            };
            self.next_round = now + every;
        }
        if self.line == LineState::Up && self.suspicion.is_none() {
            if now >= self.next_gateway {
                self.next_gateway = now + GATEWAY_EVERY;
                self.ask_gateway(now, config, true, out);
            }
            if self.targets.iter().any(|t| t.benched.is_some_and(|b| now >= b)) {
                self.ask_benched(now, out);
            }
        }
    }

    /// Asks the bad targets whose turn it is.
    #[cold]
    fn ask_benched(&mut self, now: Mono, out: &mut Vec<Action>) {
        for at in 0..self.targets.len() {
            if self.targets[at].benched.is_some_and(|b| now >= b) {
                self.targets[at].benched = Some(now + BENCH_RETRY);
                self.send(now, TargetId(at as u8), false, out);
            }
        }
    }

    /// Asks the next target in rotation.
    pub(super) fn ask_next(&mut self, now: Mono, out: &mut Vec<Action>) {
        let n = self.targets.len();
        let first = if self.rotation < n { self.rotation } else { 0 };
        if let Some(at) = (first..n).chain(0..first).find(|&at| self.targets[at].benched.is_none()) {
            self.rotation = at + 1;
            self.send(now, TargetId(at as u8), true, out);
        }
    }

    /// Asks up to [`BURST`] far targets, those in rotation first, and the gateway.
    #[cold]
    pub(super) fn ask_round(&mut self, now: Mono, config: &Config, out: &mut Vec<Action>) {
        let n = self.targets.len();
        let mut order: Vec<usize> = (0..n).map(|step| (self.rotation + step) % n.max(1)).collect();
        order.sort_by_key(|&at| self.targets[at].benched.is_some());
        self.rotation = (self.rotation + BURST) % n.max(1);
        for at in order.into_iter().take(BURST) {
            self.send(now, TargetId(at as u8), false, out);
        }
        self.ask_gateway(now, config, false, out);
    }

    pub(super) fn ask_gateway(&mut self, now: Mono, config: &Config, steady: bool, out: &mut Vec<Action>) {
        if config.probe.gateway && self.link.as_ref().is_some_and(|l| l.gateway.is_some()) {
            self.send(now, TargetId::GATEWAY, steady, out);
        }
    }

    pub(super) fn send(&mut self, now: Mono, target: TargetId, steady: bool, out: &mut Vec<Action>) {
        if self.flights.len() + self.silent.flights.len() >= FLIGHTS {
            return;
        }
        self.probes += 1;
        let probe = ProbeId(self.probes);
        self.flights.push(Flight { probe, target, sent: now, weighed: false, steady });
        out.push(Action::Probe { probe, target });
    }

    /// When time must pass at the latest for something to be judged or asked.
    pub fn wake(&self, config: &Config) -> Mono {
        let mut at = self.next_round.min(self.seen + WATCHED);
        for flight in &self.flights {
            if flight.sent + quickest(config) >= at {
                break;
            }
            if let Some(state) = self.known(flight.target) {
                at = at.min(flight.sent + state.limit(config));
            }
        }
        let mut sooner = |m: Mono| at = at.min(m);
        if self.line != LineState::Down
            && let Some((cause, since)) = self.link_fault_since()
        {
            sooner(self.link_decides(cause, since, config));
        }
        if self.suspicion.as_ref().is_some_and(|s| s.last_round.is_none()) {
            self.decides(config).into_iter().for_each(&mut sooner);
        }
        if self.line == LineState::Up && self.suspicion.is_none() {
            sooner(self.next_gateway);
            self.targets.iter().filter_map(|t| t.benched).for_each(sooner);
        }
        at
    }

    /// How long it takes until every target in the quiet rotation was asked once. `None`: it is not the quiet
    /// rotation, something may come of what is seen.
    pub fn rotation(&self, config: &Config) -> Option<Span> {
        let told = |t: &TargetState| t.benched.is_none() || t.told;
        let blamed = |f: &Flight| {
            let of = self.targets.get(usize::from(f.target.0));
            of.is_none_or(|t| t.benched.is_some())
        };
        let quiet = self.line == LineState::Up
            && self.suspicion.is_none()
            && self.confirming.is_none()
            && self.faulty_link.is_none()
            && !self.blind
            && !self.loaded
            && self.targets.iter().all(told)
            && self.silent.flights.iter().all(blamed);
        let asked = self.targets.iter().filter(|t| t.benched.is_none()).count() as u64;
        let round = config.probe.interval.times(asked);
        (quiet && asked > 0 && round <= ROTATION_MOST).then_some(round)
    }

    /// So much time has passed in the quiet rotation, with nothing but answers: what was seen, was seen so much later.
    pub fn rested(&mut self, by: Span) {
        let later = |at: &mut Mono| *at = *at + by;
        for target in self.targets.iter_mut().chain([&mut self.gateway]) {
            if target.benched.is_none() {
                target.answered.iter_mut().chain(&mut target.answered_sent).for_each(later);
            }
            target.benched.iter_mut().for_each(later);
        }
        self.flights.iter_mut().chain(&mut self.silent.flights).for_each(|f| later(&mut f.sent));
        if let Some((began, ended)) = &mut self.counted {
            later(began);
            later(ended);
        }
        [&mut self.next_round, &mut self.next_gateway, &mut self.seen].into_iter().for_each(later);
    }
}
