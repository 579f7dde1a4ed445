//! What the line itself shows of a break.

use super::line::Cause;
use crate::context::Context;
use linekeeper_contract::message::Fact;
use linekeeper_contract::units::{Mono, Rate};

/// What is seen of the line now, in a break that began at `since`. `targets`: host, role, and last answer of each.
pub fn of_line<'a>(
    cx: &Context<'_>,
    since: Mono,
    cause: Cause,
    targets: impl Iterator<Item = (&'a str, &'a str, Option<Mono>)>,
) -> Vec<Fact> {
    let line = &cx.facts.line;
    let mut facts = Vec::new();
    let mut fact = |at: Mono, name: &str, subject: &str, detail: String| {
        facts.push(Fact { at: cx.stamp(at), name: name.into(), subject: subject.into(), detail });
    };
    let device = cx.config.line.device.as_deref().unwrap_or("wan");
    let (name, words) = match line.link_fault() {
        None => ("link.up", "carrier, address and default route are there"),
        Some(Cause::NoDevice) => ("link.no_device", Cause::NoDevice.words()),
        Some(Cause::AdminDown) => ("link.admin_down", Cause::AdminDown.words()),
        Some(Cause::NoCarrier) => ("link.no_carrier", Cause::NoCarrier.words()),
        Some(Cause::NoAddress) => ("link.no_address", Cause::NoAddress.words()),
        Some(Cause::NoRoute) => ("link.no_route", Cause::NoRoute.words()),
        Some(Cause::Silence) => ("link.up", Cause::Silence.words()),
    };
    fact(since, name, device, words.into());
    if cause != Cause::Silence {
        return facts;
    }
    if cx.config.probe.gateway {
        let (name, words) = match (line.gateway_answered_since(since), line.gateway_answers) {
            (true, _) => ("gateway.answers", "the operator's first router answers echoes"),
            (false, true) => ("gateway.silent", "the operator's first router stopped answering echoes"),
            (false, false) => ("gateway.never_answered", "the operator's first router never answered echoes"),
        };
        fact(since, name, "gateway", words.into());
    }
    for (host, role, answered) in targets {
        let detail = match answered {
            Some(at) => format!("{role} target; last answered {} before the silence", since.since(at)),
            None => format!("{role} target; never answered"),
        };
        fact(since, "echo.silent", host, detail);
    }
    if let Some((rx, _)) = line.traffic {
        fact(since, "counters.quiet", device, format!("{} came in during the last second", Rate(rx)));
    }
    facts
}
