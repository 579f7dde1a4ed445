//! The quiet times: in which only those concerns are asked that keep something of each observation, and which a simulator may
//! pass over altogether.

use super::books::lives::SAVE_EVERY;
use super::checks::layers::SUSPECTED_FOR;
use super::concern::Quiet;
use super::concerns::Concerns;
use super::core::Core;
use super::outage::line::LineState;
use crate::observation::Observation;
use linekeeper_contract::units::{Mono, Span};

/// A line that is up, and nothing on foot: until then the ordinary course of watching (echoes, counters, ticks) changes
/// nothing but what those concerns keep that say so ([`super::concern::Concern::keeps`]). So a step in that time asks no other,
/// which is most of what a year's steps would cost.
///
/// It is worked out at the end of a whole step from what each concern answers ([`super::concern::Concern::quiet_until`]), and void as
/// soon as anything else comes in, the line turns, or a concern says so. It is no part of the state: a judge without it
/// decides the same.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ahead {
    /// Until when.
    pub(super) until: Mono,
    /// [`due`], which does not change meanwhile.
    pub(super) due: Mono,
}

impl Ahead {
    /// Works it out.
    pub(super) fn look(core: &Core, concerns: &Concerns, now: Mono) -> Option<Ahead> {
        let until = concerns.quiet_until(&core.context(now), Quiet::Watched)?;
        let due = due(core, concerns);
        let until = until.min(due);
        (until > now).then_some(Ahead { until, due })
    }
}

/// Whether an observation is of the ordinary course of watching.
pub(super) const fn is_ordinary(seen: &Observation) -> bool {
    matches!(
        seen,
        Observation::Ticked
            | Observation::EchoAnswered { .. }
            | Observation::EchoLost { .. }
            | Observation::Counted(_)
    )
}

/// Whether the ordinary course goes on, now that the line was judged.
pub(super) fn goes_on(core: &Core, now: Mono) -> bool {
    let line = &core.shared.facts.line;
    // Checks look at a silence that lasts.
    let suspected = line.suspected.is_some_and(|since| now.since(since) >= SUSPECTED_FOR);
    line.state == LineState::Up && !suspected
}

/// When something is to be done that time alone brings, beside the watching of the line.
pub(super) fn due(core: &Core, concerns: &Concerns) -> Mono {
    let save = core.shared.facts.saved + SAVE_EVERY;
    concerns.deadline(&core.context(core.now)).map_or(save, |at| at.min(save))
}

/// Until when, and in which steps of time, a simulator may pass over a whole line.
pub(super) fn passes_until(core: &Core, concerns: &Concerns, now: Mono) -> Option<(Mono, Span)> {
    let step = concerns.line.rotation(&core.shared.config)?;
    let quiet = Quiet::Passed { longest_us: concerns.line.longest_us() };
    let until = concerns.quiet_until(&core.context(now), quiet)?;
    let until = until.min(core.shared.facts.saved + SAVE_EVERY);
    Some((until, step)).filter(|(until, _)| *until > now)
}
