//! From when a break may be worked on.

use super::steps::{CARRIER_PATIENCE, LINK_PATIENCE_MOST, LINK_SETTLE};
use crate::context::Context;
use crate::outage::line::{Cause, Line, LineState};
use linekeeper_contract::units::Mono;
use linekeeper_contract::vocabulary::Rung;

/// When a link that became whole again in a break that began at `since` is taken for settled.
pub fn link_settles(line: &Line, since: Mono) -> Option<Mono> {
    line.link_whole_since(since).map(|at| at + LINK_SETTLE)
}

/// When a break that began at `since` may be worked on.
pub fn ripe(cx: &Context<'_>, since: Mono) -> Mono {
    let line = &cx.facts.line;
    if line.state == LineState::Up {
        // Of the service: it is confirmed.
        return since;
    }
    let ripe = since + cx.config.outage.patience;
    let link = match line.fault {
        Some((cause, from)) if cause.at_once() => from + CARRIER_PATIENCE,
        Some(_) => ripe,
        None => link_settles(line, since).unwrap_or(ripe),
    };
    // Who took it up just now waits for it himself.
    let taken_up = cx.facts.taken_up.map_or(ripe, |at| at + CARRIER_PATIENCE);
    ripe.max(link.min(ripe + LINK_PATIENCE_MOST)).max(taken_up)
}

/// Until when the modem may be starting, in a break that began at `since`: it takes the carrier away meanwhile.
pub fn modem_starts(cx: &Context<'_>, since: Mono) -> Option<Mono> {
    let settle = cx.config.remedies.limits(Rung::PowerModem).settle;
    let line = &cx.facts.line;
    let until = match (line.fault, line.carrier_back) {
        (Some((Cause::NoCarrier, from)), _) => from + settle,
        (_, Some(back)) if back > since => back + LINK_SETTLE,
        (Some(_), _) | (None, _) => return None,
    };
    Some(until.min(since + settle + LINK_SETTLE))
}
