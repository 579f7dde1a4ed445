//! Simulated speed tests.

use super::state::{Event, Simulation};
use crate::simulate::world::Recorded;
use linekeeper_contract::units::{Bytes, Permille, Rate, Span};
use linekeeper_contract::vocabulary::{Direction, Limit, SpeedFailure};
use linekeeper_judge::speed::{Confidence, Figures, SpeedEnded, SpeedOrder, SpeedOutcome, TestId};

/// How long a speed test takes to show that the line is fast enough, milliseconds.
const ENOUGH_AFTER: u64 = 3_000;
/// Duration of a failed logged test, milliseconds.
const LOGGED_FAILS: u64 = 1_000;
/// How far ahead a logged speed test may lie to serve as the result of a requested one, milliseconds: two days, the
/// longest time for which the judge lets one result represent the line.
const LOGGED_LATER: u64 = 2 * 86_400_000;

impl Simulation {
    /// Starts a test that measures the line as it is at the start. The tests of the speed engine cover how a real test behaves
    /// when the line changes.
    pub(super) fn start_speed_test(&mut self, order: &SpeedOrder) {
        let full = match order.direction {
            Direction::Download => self.world.rates.0,
            Direction::Upload => self.world.rates.1,
        };
        let line_rate = Rate(full.0 * u64::from(self.line.rate_share) / 1_000);
        let line = match self.recorded_rate(order.direction) {
            Ok(recorded) => recorded.unwrap_or(self.line.port.map_or(line_rate, |port| line_rate.min(port))),
            Err((reason, why)) => {
                let outcome = SpeedOutcome::Failed { reason, detail: why.into(), retry_after: None };
                let SpeedOrder { test, server, direction, .. } = *order;
                let (cost, took) = (Bytes(0), Span(LOGGED_FAILS));
                let ended = SpeedEnded { test, server, direction, cost, took, outcome };
                self.schedule_after(LOGGED_FAILS, Event::Measured(self.life, Box::new(ended)));
                return;
            }
        };
        let per_ms = (line.0 / 8_000).max(1);
        let enough = order.enough.is_some_and(|enough| line >= enough);
        let most = if enough { ENOUGH_AFTER.min(order.seconds_most.0) } else { order.seconds_most.0 };
        let took = most.min(order.bytes_most.0 / per_ms);
        let (rx, tx) = match order.direction {
            Direction::Download => (per_ms, per_ms / 40),
            Direction::Upload => (per_ms / 40, per_ms),
        };
        self.add_test_traffic();
        self.speed_test = Some((order.test, self.now, self.now + took, rx, tx));
        self.line.testing = true;
        let customer = self.line.load;
        if self.line.server_dead {
            let outcome = SpeedOutcome::Failed {
                reason: SpeedFailure::ServerUnreachable,
                detail: "the server does not answer".into(),
                retry_after: None,
            };
            let (test, server, direction) = (order.test, order.server, order.direction);
            let ended =
                SpeedEnded { test, server, direction, cost: Bytes(0), took: Span::seconds(5), outcome };
            self.schedule_after(5_000, Event::Measured(self.life, Box::new(ended)));
            return;
        }
        let figures = Figures {
            line,
            line_mean: line,
            own: line,
            customer: Rate(0),
            own_payload: line,
            spread: Permille(20),
            confidence: Confidence::High,
            limit: if customer && !enough { Limit::Customer } else { Limit::Line },
            stopped_early: enough,
            connections: 4,
            idle_rtt_us: None,
            loaded_rtt_us: None,
            rpm: None,
        };
        let ended = SpeedEnded {
            test: order.test,
            server: order.server,
            direction: order.direction,
            cost: Bytes((rx + tx) * took),
            took: Span(took),
            outcome: SpeedOutcome::Measured(figures),
        };
        self.schedule_after(took, Event::Measured(self.life, Box::new(ended)));
    }

    /// The logged rate for a test that starts now; `None` if this line does not come from a log. Each logged test is used once:
    /// a low result that was used three times would count as three low results.
    pub(super) fn recorded_rate(
        &mut self,
        direction: Direction,
    ) -> Result<Option<Rate>, (SpeedFailure, &'static str)> {
        let log = &self.world.recorded;
        if log.is_empty() {
            return Ok(None);
        }
        let rate = |r: &Recorded| match direction {
            Direction::Download => r.download,
            Direction::Upload => r.upload,
        };
        let from = log.partition_point(|r| r.at.0 < self.now);
        let near = log[from..].iter().take_while(|r| r.at.0 - self.now <= LOGGED_LATER);
        // A row with only the other direction is skipped. A row without any rate is a failed test.
        let mut answers = near.filter(|r| rate(r).is_some() || (r.download, r.upload) == (None, None));
        let next = answers.next().ok_or((SpeedFailure::Local, "the log has no test here"))?;
        let answered = match direction {
            Direction::Download => &mut self.answered_tests.0,
            Direction::Upload => &mut self.answered_tests.1,
        };
        if answered.replace(next.at) == Some(next.at) {
            return Err((SpeedFailure::Local, "the log has no other test yet"));
        }
        rate(next).map(Some).ok_or((SpeedFailure::ServerUnreachable, "the logged test failed"))
    }

    pub(super) fn abort_speed_test(&mut self, test: TestId) {
        let Some((_, from, until, rx, tx)) = self.speed_test.filter(|t| t.0 == test && self.now < t.2) else {
            return;
        };
        self.speed_test = Some((test, from, self.now, rx, tx));
        self.add_test_traffic();
        let life = self.life;
        let at = self.events.iter().position(|(at, event)| {
            *at == until && matches!(event, Event::Measured(of, ended) if *of == life && ended.test == test)
        });
        let Some((_, Event::Measured(_, mut ended))) = at.map(|at| self.events.remove(at)) else { return };
        let took = self.now - from;
        (ended.cost, ended.took) = (Bytes((rx + tx) * took), Span(took));
        ended.outcome = SpeedOutcome::Failed {
            reason: SpeedFailure::Aborted,
            detail: "it was told to end".into(),
            retry_after: None,
        };
        self.schedule_after(1, Event::Measured(life, ended));
    }

    /// Adds the bytes of our own test since the last reading of the counters, or since the test started.
    pub(super) fn add_test_traffic(&mut self) {
        let Some((_, from, until, rx, tx)) = self.speed_test else { return };
        let overlap = until.min(self.now).saturating_sub(from.max(self.counted_last));
        if self.now >= until {
            self.speed_test = None;
        }
        if self.line.reaches_internet() {
            self.test_bytes = (self.test_bytes.0 + rx * overlap, self.test_bytes.1 + tx * overlap);
        }
    }
}
