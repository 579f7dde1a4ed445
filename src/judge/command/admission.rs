//! Decides which commands are accepted, and until when they may start.

use super::journal::{DELAY_S, VALID_DEFAULT, VALID_MOST};
use crate::context::Context;
use crate::observation::{Commanded, Signature};
use linekeeper_contract::message::{CommandName, Reason};
use linekeeper_contract::units::{Mono, Span, Wall};
use linekeeper_contract::vocabulary::Rung;

/// Accepts a command and returns its latest start (monotonic, and civil time if known), or the reason to refuse it.
pub(super) fn admit(cx: &Context<'_>, came: &Commanded) -> Result<(Mono, Option<Wall>), (Reason, String)> {
    let command = &came.command;
    let name = command.command;
    if came.retained {
        let why = "it was retained by the broker and may be of long ago: commands are published without the retain \
                   flag";
        return Err((Reason::Retained, why.into()));
    }
    if command.device_id.as_ref().is_some_and(|d| *d != cx.config.device.id) {
        return Err((Reason::OtherDevice, "it is for another gateway".into()));
    }
    if !cx.config.commands.allow.contains(&name) {
        return Err((Reason::NotAllowed, format!("commands.allow does not have {}", name.as_str())));
    }
    match came.signature {
        Signature::Bad => {
            let why =
                "its signature is not by commands.key over this device, id, command, expiry and argument";
            return Err((Reason::BadSignature, why.into()));
        }
        Signature::Good if command.expires.is_none() => {
            return Err((Reason::Malformed, "a signed command must have `expires`".into()));
        }
        Signature::Absent | Signature::Unchecked
            if name.is_destructive() && cx.config.commands.key.is_some() =>
        {
            return Err((Reason::Unsigned, format!("{} must be signed here", name.as_str())));
        }
        Signature::Absent | Signature::Unchecked | Signature::Good => {}
    }
    let malformed = |why: &str| Err((Reason::Malformed, why.to_string()));
    match (name, command.arguments.rung, command.arguments.delay_s) {
        (CommandName::Remedy, None, _) => return malformed("remedy needs arguments.rung"),
        (CommandName::Remedy, Some(Rung::Reboot), _) => {
            return malformed("reboot is a command of its own");
        }
        (CommandName::Remedy, Some(rung), _) if !cx.config.remedies.ladder.contains(&rung) => {
            return Err((Reason::NotAllowed, format!("{} is not on remedies.ladder", rung.as_str())));
        }
        (CommandName::Programme, _, None) => return malformed("programme needs arguments.delay_s"),
        (CommandName::Programme, _, Some(s)) if !DELAY_S.contains(&s) => {
            return malformed("arguments.delay_s must be 60 to 7776000 (90 days)");
        }
        _ => {}
    }
    validity(cx, came)
}

/// The latest start of a command.
fn validity(cx: &Context<'_>, came: &Commanded) -> Result<(Mono, Option<Wall>), (Reason, String)> {
    let command = &came.command;
    let plus = |wall: Wall, s: u64| {
        Wall(wall.0.saturating_add(i64::try_from(s).unwrap_or(i64::MAX).saturating_mul(1_000)))
    };
    let issued = command.issued.map(|t| t.wall);
    let by_length = issued.zip(command.valid_s).map(|(at, s)| plus(at, s));
    let expires = command.expires.map(|t| t.wall).into_iter().chain(by_length).min();
    let between = |from: Wall, to: Wall| Span(u64::try_from(to.0.saturating_sub(from.0)).unwrap_or(0));
    let length = command.valid_s.map(|s| Span(s.saturating_mul(1_000)));
    let length = length.into_iter().chain(issued.zip(expires).map(|(from, to)| between(from, to))).min();
    let left = match (cx.wall(), expires) {
        (Some(wall), Some(expires)) => between(wall, expires),
        // The date is unknown here, or the command names none: its age is the time since it arrived.
        _ => length.unwrap_or(VALID_DEFAULT),
    };
    let left = came.broker_left.map_or(left, |b| b.min(left));
    if left == Span::ZERO {
        return Err((Reason::Expired, "it came after its time".into()));
    }
    if left > VALID_MOST {
        return Err((Reason::Malformed, format!("it is valid for longer than {VALID_MOST}")));
    }
    Ok((cx.now + left, expires))
}
