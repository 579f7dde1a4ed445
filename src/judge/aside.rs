//! Incidents of findings about a line that works, which stand beside the line's own: slower, or worse, than was promised.

use super::callback::change::Change;
use super::context::Context;
use super::outbox::{News, Outbox};
use super::signal::Signal;
use linekeeper_contract::message::{self, Domain, EventName, Finding, IncidentState, Stamp};
use linekeeper_contract::units::Mono;

/// One that is open, as the platform sees it.
pub fn public(
    cx: &Context<'_>,
    id: &str,
    finding: Finding,
    domain: Domain,
    opened: &Stamp,
) -> message::Incident {
    message::Incident {
        id: id.to_owned(),
        finding,
        about: None,
        fault_domain: domain,
        state: IncidentState::Open,
        opened: cx.mended(opened),
        closed: None,
        breaks: 0,
        down_ms: 0,
    }
}

/// Closes one that was found at `opened_at`, and withdraws its callback if nobody called yet.
pub fn close(
    cx: &Context<'_>,
    out: &mut Outbox,
    open: message::Incident,
    why: &str,
    callback: Option<String>,
    opened_at: Mono,
) {
    let closed = Some(cx.stamp(cx.now));
    let public = message::Incident { state: IncidentState::Closed, closed, ..open };
    out.announce(cx, public.clone(), News::new(EventName::IncidentClosed, cx.now, why));
    out.signal(Signal::EndedAside(Box::new(public)));
    let Some(callback_id) = callback else { return };
    let seconds = cx.now.since(opened_at).whole_seconds();
    let change = Box::new(Change::Over { seconds, withdraw: true });
    out.signal(Signal::CallChanged { callback_id, change });
}
