//! A speed test that the platform orders: through the same guard and the same budgets as our own.

use super::policy::{APART, Promise, Running, SETTLE, Scene, Turn, bar};
use super::server;
use crate::speed::TestId;
use linekeeper_contract::message::Reason;
use linekeeper_contract::vocabulary::Direction;

/// What becomes of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// These tests are begun, one after the other.
    Began(Vec<TestId>),
    /// Not at this moment, and why.
    NotNow(&'static str),
    /// Not at all, and why.
    Never(Reason, String),
}

impl Promise {
    /// Begins a round of tests now, of one direction or of each that was sold, if guard and budgets let it.
    pub fn commanded(
        &mut self,
        scene: &Scene<'_>,
        direction: Option<Direction>,
        turns: &mut Vec<Turn>,
    ) -> Asked {
        let Scene { now, config, .. } = *scene;
        let never = |why: &str| Asked::Never(Reason::Unsupported, why.to_string());
        if config.line.metered {
            return never("the line is metered: no speed tests");
        }
        if config.speed.servers.is_empty() {
            return never("no test server is configured (speed.servers)");
        }
        let legs: Vec<Direction> = Direction::ALL
            .into_iter()
            .filter(|d| direction.is_none_or(|wanted| wanted == *d) && bar(config, *d).is_some())
            .collect();
        if legs.is_empty() {
            return never(
                "nothing was sold in that direction, so that what a test costs has no bound (promise)",
            );
        }
        if self.port.found {
            return never("the port negotiated less than was sold: a test would measure the cable");
        }
        if self.running.is_some() {
            return Asked::NotNow("another test runs");
        }
        if !scene.free {
            return Asked::NotNow("the line is not whole, or was not for long");
        }
        if now.since(self.started) < SETTLE || self.ended.is_some_and(|at| now.since(at) < APART) {
            return Asked::NotNow("too soon after the start or the last test");
        }
        if self.quiet(scene, &legs, false).is_err() {
            return Asked::NotNow("the customer uses the line");
        }
        let Ok(server) = server::choose(&self.servers, now, false) else {
            return Asked::NotNow("each test server asked to be left alone for a while");
        };
        let Some((legs, length)) = self.afford(now, config, legs) else {
            return Asked::Never(Reason::Budget, "the budget of speed tests is spent (speed.budget)".into());
        };
        let before = self.tests;
        self.launch(scene, legs, length, server, false, turns);
        Asked::Began((before + 1..=self.tests).map(TestId).collect())
    }

    /// Other servers are configured than before: what was found about and by the old ones says nothing of the new.
    pub fn servers_changed(&mut self) {
        self.servers.clear();
        for direction in Direction::ALL {
            self.side_mut(direction).begin_anew();
        }
    }

    /// Whether a test runs.
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Whether a test runs or is still to come in the round that runs.
    pub fn runs(&self, test: TestId) -> bool {
        let in_round =
            |r: &Running| r.order.test == test || r.rest.iter().any(|(order, _)| order.test == test);
        self.running.as_ref().is_some_and(in_round)
    }
}
