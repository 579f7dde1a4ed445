//! How quality is judged: what echoes show, in windows. The policy stands in [`super`].

pub use super::measure::Measure;
use crate::observation::TargetId;
use crate::speed::Figures;
use linekeeper_contract::message::{Domain, Stamp};
use linekeeper_contract::units::{Mono, Permille, Rate, Span};
use linekeeper_contract::vocabulary::Direction;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// The least length of a window. A minute: a burst of losses, a change of routes, a page that loads are over.
pub const WINDOW: Span = Span::minutes(1);
/// Windows that are remembered, of each kind.
pub const WINDOWS: usize = 10;
/// So many of them decide. Eight of ten: two may have been good by chance while it lasts, and no burst of less than six
/// whole windows reaches it.
pub const ENOUGH: usize = 8;
/// The share of the promised round trip at which a window is fine. Nine tenths, and not half as in mwan3 (1000 and 500 ms)
/// or two fifths as in pfSense (500 and 200 ms): their limits are far above what a sound line does, a promise is not, and a
/// sound line that always takes four fifths of it must be able to recover.
pub const FINE_LATENCY: Permille = Permille(900);
/// The share of the promised loss at which a window is fine. Half, as in pfSense (20 and 10 %); mwan3 takes a quarter (40
/// and 10 %).
pub const FINE_LOSS: Permille = Permille(500);
/// Answers of each target in rotation after which a window of round trips may end.
pub const ANSWERS: u32 = 30;
/// Of so few answers of a target the 95th percentile is its longest one: none is told.
pub(super) const ANSWERS_LEAST: u16 = 20;
/// Echoes after which a window of losses may end, however high the limit.
pub const ECHOES: u32 = 60;
/// How long an echo is put aside: the sensor gives one up after 5 s, and the counters may be a second late.
pub const HOLD: Span = Span::seconds(6);
/// How long after a disturbance echoes do not count: a modem's queue that was filled is empty after two seconds.
pub const CALM: Span = Span::seconds(2);
/// Echoes put aside at most. Ten a second (`probe.interval` is 100 ms at least) for [`HOLD`], and some more after losses.
pub const YOUNG: usize = 96;
/// Targets at most, as in `probe.targets`.
pub(super) const TARGETS: usize = 16;
/// Where no rate was sold and next to nothing was seen: this fills no line.
pub(super) const LITTLE: Rate = Rate(64_000);
/// Tenths of the limit, in which round trips are counted; the last step holds all that is longer.
pub(super) const STEPS: usize = 32;
/// Echoes of the gateway, beside failing windows, from which its part can be told.
pub(super) const GATEWAY_ASKED: u32 = 20;

/// What is to be said or done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It is worse than was promised.
    Found(Measure),
    /// It still is, long after it was found.
    Lasts(Measure),
    /// It is over.
    Over(Measure),
}

/// The rest of the judge's world, as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub struct Scene {
    /// Now.
    pub now: Mono,
    /// The line is up, for a while, and nothing of ours disturbs it.
    pub fit: bool,
    /// Bit/s towards and from the customer since the last counters; `None`: they told nothing.
    pub traffic: Option<(u64, u64)>,
    /// Up to which rates the line is quiet, where rates were sold.
    pub quiet: Option<(Rate, Rate)>,
    /// The same as a share of the most that was seen.
    pub quiet_share: Permille,
    /// Far targets in rotation.
    pub targets: u32,
    /// The promised round trip.
    pub latency: Option<Span>,
    /// The promised loss.
    pub loss: Option<Permille>,
    /// How long it lasts before the customer is to be called.
    pub lasts: Span,
}

/// A steady echo whose worth is not known yet: when it was sent, to whom, and its round trip in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Young(Mono, TargetId, Option<u32>);

/// One target's round trips in tenths of the limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Trips {
    answers: u16,
    steps: [u16; STEPS],
}

impl Trips {
    pub(super) fn take(&mut self, rtt_us: u32, limit_us: u64) {
        // Step n holds what is above n tenths of the limit, up to n + 1 tenths.
        let step = (u64::from(rtt_us) * 10).div_ceil(limit_us.max(1)).max(1) - 1;
        let step = usize::try_from(step).unwrap_or(STEPS).min(STEPS - 1);
        self.answers = self.answers.saturating_add(1);
        self.steps[step] = self.steps[step].saturating_add(1);
    }

    /// The step of the 95th percentile, by the nearest rank.
    pub(super) fn p95(&self) -> Option<u32> {
        if self.answers < ANSWERS_LEAST {
            return None;
        }
        let rank = (u32::from(self.answers) * 95).div_ceil(100);
        let mut passed = 0;
        for (step, count) in self.steps.iter().enumerate() {
            passed += u32::from(*count);
            if passed >= rank {
                return u32::try_from(step).ok();
            }
        }
        None
    }
}

/// One target's echoes, and how many of them were lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Drops {
    asked: u16,
    lost: u16,
}

impl Drops {
    /// Loses a larger share.
    pub(super) fn worse_than(&self, other: &Drops) -> bool {
        u32::from(self.lost) * u32::from(other.asked) > u32::from(other.lost) * u32::from(self.asked)
    }
}

/// What the operator's first router said in a window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Gateway {
    pub(super) answered: u16,
    pub(super) lost: u16,
    /// Answers above the promised round trip.
    pub(super) late: u16,
}

impl Gateway {
    pub(super) fn take(&mut self, rtt_us: Option<u32>, limit_us: Option<u64>) {
        let counted = match rtt_us {
            Some(_) => &mut self.answered,
            None => &mut self.lost,
        };
        *counted = counted.saturating_add(1);
        if rtt_us.zip(limit_us).is_some_and(|(rtt, limit)| u64::from(rtt) > limit) {
            self.late = self.late.saturating_add(1);
        }
    }
}

/// How a window ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Class {
    Failing,
    Between,
    Fine,
}

/// A window that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Window {
    pub(super) began: Mono,
    pub(super) ended: Mono,
    /// The 95th percentile in tenths of the limit (not above that), or the echoes lost.
    pub(super) bad: u32,
    /// Of so many answers, or echoes.
    pub(super) of: u32,
    pub(super) class: Class,
    pub(super) gateway: Gateway,
}

/// The incident of one measure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Poor {
    pub(super) id: String,
    pub(super) domain: Domain,
    /// When the first of its windows began.
    pub(super) opened: Stamp,
    pub(super) opened_at: Mono,
    pub(super) callback: Option<String>,
}

/// One measure's windows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Judged {
    /// The limit by which they were judged, microseconds or permille.
    pub(super) limit: u64,
    /// When the window in course has begun.
    pub(super) began: Option<Mono>,
    pub(super) gateway: Gateway,
    pub(super) windows: VecDeque<Window>,
    pub(super) poor: Option<Poor>,
}

impl Judged {
    pub(super) fn count(&self, class: Class) -> usize {
        self.windows.iter().filter(|w| w.class == class).count()
    }

    /// The window in course is old enough. What was sent within [`HOLD`] is not in it yet.
    pub(super) fn ripe(&self, now: Mono) -> bool {
        self.began.is_some_and(|began| now.since(began) >= WINDOW + HOLD)
    }

    /// It ends.
    pub(super) fn end(
        &mut self,
        scene: &Scene,
        measure: Measure,
        bad: u32,
        of: u32,
        class: Class,
    ) -> Option<Turn> {
        let began = self.began.take()?;
        let gateway = std::mem::take(&mut self.gateway);
        if self.windows.len() >= WINDOWS {
            self.windows.pop_front();
        }
        self.windows.push_back(Window { began, ended: scene.now - HOLD, bad, of, class, gateway });
        match &self.poor {
            None if self.count(Class::Failing) >= ENOUGH => Some(Turn::Found(measure)),
            None => None,
            Some(_) if self.count(Class::Fine) >= ENOUGH => Some(Turn::Over(measure)),
            Some(poor) => {
                let lasts = class == Class::Failing && scene.now.since(poor.opened_at) >= scene.lasts;
                (lasts && poor.callback.is_none()).then_some(Turn::Lasts(measure))
            }
        }
    }

    pub(super) fn failing(&self) -> impl Iterator<Item = &Window> {
        self.windows.iter().filter(|w| w.class == Class::Failing)
    }

    /// What the first router said in the windows that failed.
    pub(super) fn domain(&self, measure: Measure) -> Domain {
        let sum = |of: fn(&Window) -> u32| self.failing().map(of).fold(0u64, |sum, n| sum + u64::from(n));
        let answered = sum(|w| w.gateway.answered.into());
        let asked = answered + sum(|w| w.gateway.lost.into());
        if answered == 0 || asked < u64::from(GATEWAY_ASKED) {
            return Domain::Unknown;
        }
        match measure {
            Measure::Latency if sum(|w| w.gateway.late.into()) * 20 > answered => Domain::Access,
            Measure::Latency => Domain::Upstream,
            Measure::Loss => {
                let (gone, lost, of) = (sum(|w| w.gateway.lost.into()), sum(|w| w.bad), sum(|w| w.of));
                // Half of what the far ones lose is too much for chance; three that should be lost and are not as well.
                if gone >= 2 && gone * of * 2 >= lost * asked {
                    Domain::Access
                } else if lost * asked >= 3 * of {
                    Domain::Upstream
                } else {
                    Domain::Unknown
                }
            }
        }
    }
}

/// Round trips beside and under a speed test's load, microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Loaded {
    pub(super) at: Mono,
    pub(super) idle_us: Option<u32>,
    pub(super) loaded_us: u32,
}

/// All that is known of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Quality {
    pub(super) young: VecDeque<Young>,
    /// Nothing that was sent before counts.
    pub(super) calm_from: Mono,
    /// The most that was seen each way in a second.
    pub(super) most: (u64, u64),
    pub(super) trips: Vec<Trips>,
    pub(super) drops: Vec<Drops>,
    pub(super) latency: Judged,
    pub(super) loss: Judged,
    /// Of the last test each way.
    pub(super) loaded: (Option<Loaded>, Option<Loaded>),
}

impl Quality {
    pub(super) fn of(&self, measure: Measure) -> &Judged {
        match measure {
            Measure::Latency => &self.latency,
            Measure::Loss => &self.loss,
        }
    }

    pub(super) fn of_mut(&mut self, measure: Measure) -> &mut Judged {
        match measure {
            Measure::Latency => &mut self.latency,
            Measure::Loss => &mut self.loss,
        }
    }

    /// A steady echo ended: the round trip in microseconds, or none: lost.
    pub fn saw(&mut self, sent: Mono, target: TargetId, rtt_us: Option<u32>) {
        if sent < self.calm_from {
            return;
        }
        if self.young.len() >= YOUNG {
            self.young.pop_front();
        }
        self.young.push_back(Young(sent, target, rtt_us));
    }

    /// Nothing that is known of the last seconds counts.
    pub fn disturbed(&mut self, now: Mono) {
        self.young.clear();
        self.calm_from = now + CALM;
    }

    /// A new life of the process, perhaps with other targets: the windows in course are void.
    pub fn started(&mut self, now: Mono) {
        self.disturbed(now);
        self.trips.clear();
        self.drops.clear();
        for judged in [&mut self.latency, &mut self.loss] {
            (judged.began, judged.gateway) = (None, Gateway::default());
        }
    }

    /// A speed test gave figures.
    pub fn tested(&mut self, at: Mono, direction: Direction, figures: &Figures) {
        let Some(loaded_us) = figures.loaded_rtt_us else { return };
        let loaded = Some(Loaded { at, idle_us: figures.idle_rtt_us, loaded_us });
        match direction {
            Direction::Download => self.loaded.0 = loaded,
            Direction::Upload => self.loaded.1 = loaded,
        }
    }

    /// Whether the customer uses the line.
    pub(super) fn busy(&mut self, scene: &Scene) -> bool {
        let Some((rx, tx)) = scene.traffic else { return true };
        self.most = (self.most.0.max(rx), self.most.1.max(tx));
        let part = |most: u64| {
            let part = u128::from(most) * u128::from(scene.quiet_share.0) / 1_000;
            u64::try_from(part).unwrap_or(u64::MAX).max(LITTLE.0)
        };
        let (down, up) = match scene.quiet {
            Some((down, up)) => (down.0, up.0),
            None => (part(self.most.0), part(self.most.1)),
        };
        rx > down || tx > up
    }

    /// The counters moved: about once a second. What the echoes of six seconds ago show can be told now.
    pub fn counted(&mut self, scene: &Scene, turns: &mut Vec<Turn>) {
        let now = scene.now;
        let latency = scene.latency.map(|span| span.0.saturating_mul(1_000));
        let loss = scene.loss.map(|share| u64::from(share.0));
        for (measure, limit) in [(Measure::Latency, latency), (Measure::Loss, loss)] {
            let judged = self.of_mut(measure);
            if judged.limit != limit.unwrap_or(0) {
                // Judged by another promise, or by none any more.
                let poor = judged.poor.take();
                *judged = Judged { limit: limit.unwrap_or(0), poor, ..Judged::default() };
                if judged.poor.is_some() {
                    turns.push(Turn::Over(measure));
                }
                match measure {
                    Measure::Latency => self.trips.clear(),
                    Measure::Loss => self.drops.clear(),
                }
            }
        }
        if latency.is_none() && loss.is_none() {
            return;
        }
        if self.busy(scene) || !scene.fit {
            self.disturbed(now);
            return;
        }
        let Quality { young, trips, drops, latency: of_trips, loss: of_drops, .. } = self;
        young.retain(|echo| {
            let Young(sent, target, rtt_us) = *echo;
            if now.since(sent) < HOLD {
                return true;
            }
            if latency.is_some() {
                let began = *of_trips.began.get_or_insert(sent);
                of_trips.began = Some(began.min(sent));
            }
            if loss.is_some() {
                let began = *of_drops.began.get_or_insert(sent);
                of_drops.began = Some(began.min(sent));
            }
            if target == TargetId::GATEWAY {
                of_trips.gateway.take(rtt_us, latency);
                of_drops.gateway.take(rtt_us, latency);
                return false;
            }
            if let (Some(rtt_us), Some(limit), Some(of)) = (rtt_us, latency, place(trips, target)) {
                of.take(rtt_us, limit);
            }
            if let (Some(_), Some(of)) = (loss, place(drops, target)) {
                of.asked = of.asked.saturating_add(1);
                of.lost = of.lost.saturating_add(u16::from(rtt_us.is_none()));
            }
            false
        });
        if latency.is_some() && self.latency.ripe(now) {
            turns.extend(self.end_trips(scene));
        }
        if loss.is_some() && self.loss.ripe(now) {
            turns.extend(self.end_drops(scene));
        }
    }

    /// Ends the window of round trips, if there are enough of them.
    pub(super) fn end_trips(&mut self, scene: &Scene) -> Option<Turn> {
        let answers: u32 = self.trips.iter().map(|t| u32::from(t.answers)).sum();
        if answers < ANSWERS * scene.targets.max(1) {
            return None;
        }
        let (p95, of) = self.trips.iter().filter_map(|t| Some((t.p95()?, t.answers))).min()?;
        self.trips.iter_mut().for_each(|t| *t = Trips::default());
        // Step 9 reaches up to the limit.
        let upto = p95 + 1;
        let class = if upto > 10 {
            Class::Failing
        } else if upto * 100 <= u32::from(FINE_LATENCY.0) {
            Class::Fine
        } else {
            Class::Between
        };
        self.latency.end(scene, Measure::Latency, upto, of.into(), class)
    }

    /// Ends the window of losses, if there are enough echoes without the worst target's.
    pub(super) fn end_drops(&mut self, scene: &Scene) -> Option<Turn> {
        let limit = self.loss.limit.max(1);
        let seen = || self.drops.iter().filter(|d| d.asked > 0);
        let mut worst: Option<&Drops> = None;
        if seen().count() > 1 {
            for drops in seen() {
                if worst.is_none_or(|worst| drops.worse_than(worst)) {
                    worst = Some(drops);
                }
            }
        }
        let apart = worst.copied().unwrap_or_default();
        let sum = |of: fn(&Drops) -> u16| seen().map(|d| u64::from(of(d))).sum::<u64>();
        let asked = sum(|d| d.asked).saturating_sub(apart.asked.into());
        let lost = sum(|d| d.lost).saturating_sub(apart.lost.into());
        if asked < u64::from(ECHOES).max(1_000u64.div_ceil(limit)) {
            return None;
        }
        self.drops.iter_mut().for_each(|d| *d = Drops::default());
        let class = if lost * 1_000 > limit * asked {
            Class::Failing
        } else if lost * 1_000_000 <= limit * asked * u64::from(FINE_LOSS.0) {
            Class::Fine
        } else {
            Class::Between
        };
        let whole = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        self.loss.end(scene, Measure::Loss, whole(lost), whole(asked), class)
    }

    /// A whole line, whose round trips are within this, changes nothing here: no window failed, nothing was lost.
    pub fn rests(&self, longest_us: Option<u64>) -> bool {
        let calm = |judged: &Judged| judged.poor.is_none() && judged.count(Class::Failing) == 0;
        let limit = self.latency.limit;
        let short = limit == 0
            || longest_us.is_some_and(|us| us.saturating_mul(1_000) <= limit * u64::from(FINE_LATENCY.0));
        let whole = self.drops.iter().all(|d| d.lost == 0) && self.young.iter().all(|y| y.2.is_some());
        short && whole && calm(&self.latency) && calm(&self.loss)
    }

    /// So much time has passed in which everything was answered as before.
    pub fn rested(&mut self, by: Span) {
        let later = |at: &mut Mono| *at = *at + by;
        self.young.iter_mut().for_each(|y| later(&mut y.0));
        later(&mut self.calm_from);
        for judged in [&mut self.latency, &mut self.loss] {
            judged.began.iter_mut().for_each(later);
        }
    }
}

/// A target's place in a list that grows to it.
pub(super) fn place<T: Clone + Default>(list: &mut Vec<T>, target: TargetId) -> Option<&mut T> {
    let at = usize::from(target.0);
    if at >= TARGETS {
        return None;
    }
    if list.len() <= at {
        list.resize(at + 1, T::default());
    }
    list.get_mut(at)
}
