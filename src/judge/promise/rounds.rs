//! When a round of tests begins, of which directions, how long, and at which server.

use super::policy::{
    APART, POSTPONE, Promise, ROUNDS, Running, SETTLE, SHORTEST, Scene, Turn, UNHEARD, active, bar,
    quiet_most, rates, scatter,
};
use super::rule::{self, Reason};
use super::server;
use crate::action::Level;
use crate::config::{Config, Rule};
use crate::speed::{SpeedOrder, TestId};
use linekeeper_contract::units::{Bytes, Mono, Span};
use linekeeper_contract::vocabulary::Direction;

impl Promise {
    /// The directions that are to be tested now.
    pub(super) fn legs(&self, scene: &Scene<'_>) -> Vec<Direction> {
        let Scene { now, config, .. } = *scene;
        let quiet = self.due.is_some_and(|due| now >= due);
        let lately = Span(self.pace(config).0 / 4);
        let counts_tests = matches!(config.promise.rule, Rule::Bnetza2021 | Rule::Fcc8080);
        Direction::ALL
            .into_iter()
            .filter(|&d| bar(config, d).is_some())
            .filter(|&d| {
                let side = self.side(d);
                let soon = side.soon.is_some_and(|soon| now >= soon);
                let known = side.samples.last().is_some_and(|s| now.since(s.at) < lately);
                soon || (quiet && (counts_tests || (!known && side.soon.is_none())))
            })
            .collect()
    }

    /// When the next round is to begin.
    pub fn wanted(&self) -> Option<Mono> {
        let soon = self.download.soon.into_iter().chain(self.upload.soon).min();
        soon.into_iter().chain(self.due).min()
    }

    /// Puts off what is due: the quiet round to its next slot, the others for a while.
    pub(super) fn put_off(&mut self, scene: &Scene<'_>) {
        let now = scene.now;
        if self.due.is_some_and(|due| now >= due) {
            self.plan(scene);
        } else {
            self.round += 1;
        }
        for direction in Direction::ALL {
            if self.side(direction).soon.is_some_and(|soon| now >= soon) {
                self.side_mut(direction).soon = None;
                self.hurry(scene, direction);
            }
        }
    }

    pub(super) fn begin(&mut self, scene: &Scene<'_>, turns: &mut Vec<Turn>) {
        let Scene { now, config, .. } = *scene;
        if !active(config) || self.port.found {
            (self.due, self.download.soon, self.upload.soon) = (None, None, None);
            return;
        }
        if self.due.is_none() {
            self.slot = now + SETTLE;
            self.round += 1;
            self.due = Some(self.slot + scatter(config, self.round, self.pace(config)));
        }
        let Some(wanted) = self.wanted().filter(|at| now >= *at && self.running.is_none()) else { return };
        let given_up = now >= wanted + POSTPONE;
        let settled = now.since(self.started) >= SETTLE
            && self.ended.is_none_or(|at| now.since(at) >= APART || config.promise.rule == Rule::Ctu2021);
        if !scene.free || !settled {
            if given_up {
                self.put_off(scene);
            }
            return;
        }
        let legs = self.legs(scene);
        if legs.is_empty() {
            self.put_off(scene);
            return;
        }
        let forced = match self.quiet(scene, &legs, given_up) {
            Ok(forced) => forced,
            Err(reason) => {
                if given_up {
                    self.put_off(scene);
                    for leg in legs {
                        self.void(scene, leg, reason, false, turns);
                    }
                }
                return;
            }
        };
        let suspected = legs.iter().any(|&d| self.side(d).suspected() || self.side(d).broken);
        let change = suspected || config.promise.rule != Rule::Sequential;
        let server = match server::choose(&self.servers, now, change) {
            Ok(server) => server,
            Err(free) => {
                for leg in legs {
                    self.side_mut(leg).void = Some((now, Reason::Server));
                    self.side_mut(leg).soon = None;
                }
                let at = free + scatter(config, self.round, APART);
                self.due = Some(at.max(now + APART));
                return;
            }
        };
        let Some((legs, length)) = self.afford(now, config, legs.clone()) else {
            let need =
                legs.iter().filter_map(|&d| rates(config, d).cost_most(SHORTEST)).min().unwrap_or_default();
            let at = self.budget.frees(now, need, config.speed.budget.day, config.speed.budget.month);
            for leg in legs {
                self.side_mut(leg).soon = None;
                self.side_mut(leg).void = Some((now, Reason::Budget));
            }
            self.due = Some(at.max(now + APART));
            turns.push(Turn::Note(
                Level::Info,
                format!("no speed test: the budget is spent, there will be some in {}", at.since(now)),
            ));
            return;
        };
        self.launch(scene, legs, length, server, forced, turns);
    }

    /// Whether the line is quiet enough: `Ok(true)` when it is not and the test is made all the same.
    pub(super) fn quiet(
        &self,
        scene: &Scene<'_>,
        legs: &[Direction],
        given_up: bool,
    ) -> Result<bool, Reason> {
        let Scene { now, config, .. } = *scene;
        let window = config.speed.quiet.window;
        if self.guard.quiet(now, window, quiet_most(config)).ok_or(Reason::Local)? {
            return Ok(false);
        }
        let long = |since: Option<Mono>, most: Span| since.is_none_or(|at| now.since(at) >= most);
        let force = given_up
            && legs.iter().any(|&d| {
                let side = self.side(d);
                let soon = if side.broken { side.returning() } else { side.suspected() };
                let most = if soon { POSTPONE } else { UNHEARD };
                long(self.forced, most) && long(side.heard, most)
            });
        if force { Ok(true) } else { Err(Reason::CrossTraffic) }
    }

    /// How long a round may be, and of which directions.
    pub(super) fn afford(
        &self,
        now: Mono,
        config: &Config,
        legs: Vec<Direction>,
    ) -> Option<(Vec<Direction>, Span)> {
        let free = self.budget.free(now, config.speed.budget.day, config.speed.budget.month);
        let share = Bytes(config.speed.budget.day.0 / ROUNDS);
        let cost = |legs: &[Direction], length: Span| {
            legs.iter()
                .filter_map(|&d| rates(config, d).cost_most(length))
                .fold(0u64, |n, c| n.saturating_add(c.0))
        };
        let whole = config.speed.seconds;
        let mut choices = vec![legs.clone()];
        choices.extend(legs.into_iter().map(|leg| vec![leg]));
        for legs in choices {
            let full = u128::from(cost(&legs, whole)).max(1);
            let pays = |bytes: Bytes| {
                Span((u128::from(whole.0) * u128::from(bytes.0) / full).min(u128::from(whole.0)) as u64)
            };
            let length = pays(share).max(SHORTEST).min(pays(free));
            // Rounded down to whole tenths of a second, so that a reserve is never above what is free.
            let length = Span(length.0 / 100 * 100);
            if length >= SHORTEST {
                return Some((legs, length));
            }
        }
        None
    }

    pub(super) fn launch(
        &mut self,
        scene: &Scene<'_>,
        legs: Vec<Direction>,
        length: Span,
        server: u8,
        forced: bool,
        turns: &mut Vec<Turn>,
    ) {
        let Scene { now, config, .. } = *scene;
        if let Some(server) = self.servers.get_mut(usize::from(server)) {
            server.used = Some(now);
        }
        let mut rest = Vec::new();
        for direction in legs {
            let Some(bytes) = rates(config, direction).cost_most(length) else { continue };
            self.tests += 1;
            let order = SpeedOrder {
                test: TestId(self.tests),
                server,
                direction,
                enough: bar(config, direction),
                seconds_most: length,
                bytes_most: bytes,
                // What would have kept the test from beginning, in the direction that only the engine can tell apart.
                gives_way: rates(config, direction)
                    .highest()
                    .filter(|_| !forced)
                    .map(|sold| rule::part(sold, config.speed.quiet.share)),
            };
            rest.push((order, self.budget.reserve(now, bytes)));
            self.side_mut(direction).soon = None;
        }
        if self.due.is_some_and(|due| now >= due) {
            self.plan(scene);
        } else {
            self.round += 1;
        }
        if rest.is_empty() {
            return;
        }
        if forced {
            self.forced = Some(now);
            let text =
                "the line is never quiet and nothing is known of it: it is tested although it is in use";
            turns.push(Turn::Note(Level::Info, text.into()));
        }
        let (order, reserve) = rest.remove(0);
        turns.push(Turn::Measure { order: order.clone(), reserved: true });
        self.running =
            Some(Running { order, reserve, began: now, rest, spent: Bytes(0), forced, aborted: None });
        self.guard.forget();
    }
}
