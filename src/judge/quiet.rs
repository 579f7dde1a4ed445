//! Quiet periods: times in which routine observations (echoes, counters, ticks) cannot change a decision.
//!
//! In a quiet period a step runs only the concerns that record routine observations
//! ([`Concern::wants_routine`](super::concern::Concern::wants_routine)). That saves most of the cost of a year's steps.
//! A simulator may skip some of these periods altogether.

use super::books::lives::SAVE_EVERY;
use super::checks::layers::SUSPECTED_FOR;
use super::concern::Quiet;
use super::concerns::Concerns;
use super::core::Core;
use super::outage::line::LineState;
use crate::observation::Observation;
use linekeeper_contract::units::{Mono, Span};

/// A quiet period: the line is up and nothing is in progress.
///
/// It is computed at the end of a full step from the answers of all concerns
/// ([`Concern::quiet_until`](super::concern::Concern::quiet_until)). It ends early when any other observation arrives, the
/// line changes, or a concern ends it. It is not part of the state: a judge without it decides the same.
#[derive(Debug, Clone, Copy)]
pub(super) struct QuietPeriod {
    /// When it ends.
    pub(super) until: Mono,
    /// The result of [`next_due`], which does not change during the period.
    pub(super) due: Mono,
}

impl QuietPeriod {
    /// The quiet period that begins at `now`, if one does.
    pub(super) fn compute(core: &Core, concerns: &Concerns, now: Mono) -> Option<QuietPeriod> {
        let until = concerns.quiet_until(&core.context(now), Quiet::Watched)?;
        let due = next_due(core, concerns);
        let until = until.min(due);
        (until > now).then_some(QuietPeriod { until, due })
    }
}

/// Whether it is a routine observation of the watch.
pub(super) const fn is_routine(seen: &Observation) -> bool {
    matches!(
        seen,
        Observation::Ticked
            | Observation::EchoAnswered { .. }
            | Observation::EchoLost { .. }
            | Observation::Counted(_)
    )
}

/// Whether the line is still quiet, after it was judged in this step.
pub(super) fn is_line_still_quiet(core: &Core, now: Mono) -> bool {
    let line = &core.shared.facts.line;
    // A silence that lasts needs the checks.
    let suspected = line.suspected.is_some_and(|since| now.since(since) >= SUSPECTED_FOR);
    line.state == LineState::Up && !suspected
}

/// When the next thing is due that depends on time alone, apart from watching the line.
pub(super) fn next_due(core: &Core, concerns: &Concerns) -> Mono {
    let save = core.shared.facts.saved + SAVE_EVERY;
    concerns.deadline(&core.context(core.now)).map_or(save, |at| at.min(save))
}

/// Until when a simulator may skip time on an intact line, and in which steps of time.
pub(super) fn skippable_until(core: &Core, concerns: &Concerns, now: Mono) -> Option<(Mono, Span)> {
    let step = concerns.line.rotation(&core.shared.config)?;
    let quiet = Quiet::Passed { longest_us: concerns.line.longest_us() };
    let until = concerns.quiet_until(&core.context(now), quiet)?;
    let until = until.min(core.shared.facts.saved + SAVE_EVERY);
    Some((until, step)).filter(|(until, _)| *until > now)
}
