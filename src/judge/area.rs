//! The operator's notice that an area is out of service: what it changes, for whom and for how long.
//!
//! Policy, in prose:
//!
//! * A notice is for us if our `device.area` is its area, or lies below it on the operator's own map (`north-3` covers
//!   `north-3/olt-7`, and not `north-30`). Without an area of our own none is.
//! * It holds from its arrival to its expiry, at most [`HOLDS_MOST`] after it was issued: a notice that somebody forgot
//!   must not silence an area for ever, however often it is delivered. One that is expired, or issued more than [`AHEAD`] in the future, does not hold.
//! * Its age is only known by a clock that is set. **While ours is not, no notice is believed**: notices are retained, and
//!   one of last year would be handed to a gateway that boots without a date. Believed wrongly it keeps a dead line
//!   without help and its customer without a call; not believed it costs a futile step or a call too many. It is kept, and
//!   weighed again when the clock is set. One that was weighed holds on our own clock, whatever civil time does later.
//! * While it holds no remedy is begun (nothing here mends a district), and a callback about the line is `covered`
//!   instead of requested: the platform knows who sits in the dark, and nobody calls one by one.
//! * When it ends and the line is still dead, the ladder and the callback wait once more, by a share of [`SPREAD`] that is
//!   hashed from the device: a district must not come back to its DHCP server as one.

use super::concern::{Concern, Quiet, until};
use super::context::{Context, Facts};
use super::outbox::Outbox;
use super::signal::Signal;
use super::snapshot::{Kept, Parts};
use super::status::Status;
use super::text::{beginning, phase, short};
use crate::action::Level;
use crate::check::AreaNotice;
use crate::config::Config;
use crate::observation::Observation;
use linekeeper_contract::units::{Mono, Span, Wall};
use serde::{Deserialize, Serialize};

/// The longest that one notice holds after it was issued. Three days: no repair of a network takes longer without the
/// operator's saying so again.
pub const HOLDS_MOST: Span = Span::days(3);
/// How far ahead of our clock a notice may have been issued: two clocks that are both set differ by less.
pub const AHEAD: Span = Span::minutes(10);
/// Over how long the gateways of an area come back. Five minutes: ten thousand on one access node are 33 a second, which
/// any DHCP server bears, and a customer whom nothing but a remedy helps waits 2.5 min longer in the mean.
pub const SPREAD: Span = Span::minutes(5);
/// The longest text of a notice that is kept.
const TEXT: usize = 200;

/// What is known of the area.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Area {
    notice: Option<AreaNotice>,
    /// Until when it holds, on our own clock.
    holds: Option<Mono>,
    /// After one ended: until when we hold back.
    spread: Option<Mono>,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Nothing that matters.
    None,
    /// For the log: why it does not count.
    Ignored(String),
    /// It holds now.
    Began(String),
    /// It held, and does no more.
    Ended(String),
}

/// Whether `area` is `of` or lies below it.
fn below(area: &str, of: &str) -> bool {
    !of.is_empty() && area.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Area {
    /// A notice came, changed or was taken back. `wall`: civil time, if it can be trusted.
    pub fn noticed(
        &mut self,
        now: Mono,
        notice: Option<&AreaNotice>,
        (device, area): (&str, Option<&str>),
        wall: Option<Wall>,
    ) -> Change {
        let notice = match notice {
            None => return self.end(now, device, "it was taken back"),
            Some(notice) => notice,
        };
        if !area.is_some_and(|area| below(area, &notice.area)) {
            let ours = area.unwrap_or("none");
            return Change::Ignored(format!(
                "the notice {} is for area {}, ours is {ours}",
                short(&notice.id),
                short(&notice.area)
            ));
        }
        if notice.ended {
            return match &self.notice {
                Some(kept) if kept.id == short(&notice.id) => {
                    self.end(now, device, "the operator says that it is over")
                }
                Some(_) | None => Change::None,
            };
        }
        if self.notice.as_ref().is_some_and(|n| n.id != short(&notice.id) || n.issued != notice.issued) {
            // Another one: what was known of the old one's time does not bind it.
            self.holds = None;
        }
        let mut kept = notice.clone();
        kept.id = short(&notice.id).to_string();
        kept.text.truncate(beginning(&kept.text, TEXT).len());
        self.notice = Some(kept);
        self.weigh(now, device, wall)
    }

    /// The clock was set, or a notice came: does it hold?
    pub fn weigh(&mut self, now: Mono, device: &str, wall: Option<Wall>) -> Change {
        let Some(notice) = &self.notice else { return Change::None };
        let id = notice.id.clone();
        let Some(wall) = wall else {
            return match self.holds {
                // It was weighed when the clock could be trusted.
                Some(_) => Change::None,
                None => Change::Ignored(format!(
                    "the notice {id} is not believed while the clock is not set: its age is not known"
                )),
            };
        };
        let seconds = u64::try_from(wall.0.div_euclid(1_000)).unwrap_or(0);
        if notice.issued > seconds.saturating_add(AHEAD.whole_seconds()) {
            return self.end(now, device, "it is from the future");
        }
        let expires = notice.expires.min(notice.issued.saturating_add(HOLDS_MOST.whole_seconds()));
        let left = Span(expires.saturating_sub(seconds).saturating_mul(1_000));
        if left == Span::ZERO {
            return self.end(now, device, "it has expired");
        }
        let new = self.holds.is_none();
        // Weighed again it cannot hold for longer than from the first time.
        let until = now + left;
        self.holds = Some(if new { until } else { self.holds.map_or(until, |was| was.min(until)) });
        self.spread = None;
        if !new {
            return Change::None;
        }
        let text = if notice.text.is_empty() { String::new() } else { format!(": {}", notice.text) };
        Change::Began(format!("the operator's notice {id} covers this area for {left} at most{text}"))
    }

    fn end(&mut self, now: Mono, device: &str, why: &str) -> Change {
        let gone = self.notice.take();
        let held = self.holds.take().is_some();
        let id = gone.map_or(String::new(), |n| n.id);
        if !held {
            return match id.is_empty() {
                true => Change::None,
                false => Change::Ignored(format!("the notice {id} does not hold: {why}")),
            };
        }
        let wait = Span(phase(device) % SPREAD.0);
        self.spread = Some(now + wait);
        Change::Ended(format!("the notice {id} holds no more: {why}; this gateway goes on in {wait}"))
    }

    /// Lets time pass.
    pub fn advance(&mut self, now: Mono, device: &str) -> Change {
        if self.spread.is_some_and(|at| now >= at) {
            self.spread = None;
        }
        match self.holds {
            Some(until) if now >= until => self.end(now, device, "its time is over"),
            Some(_) | None => Change::None,
        }
    }

    /// The notice that holds now.
    pub fn covers(&self) -> Option<&AreaNotice> {
        self.notice.as_ref().filter(|_| self.holds.is_some())
    }

    /// Whether remedies and callbacks wait, for the notice or after it.
    pub fn waits(&self) -> bool {
        self.holds.is_some() || self.spread.is_some()
    }

    /// When something changes by itself.
    pub fn wake(&self) -> Option<Mono> {
        self.holds.into_iter().chain(self.spread).min()
    }
}

/// The area's concern.
#[derive(Debug, Clone, Default)]
pub struct AreaNotices {
    area: Area,
}

impl Concern for AreaNotices {
    fn new(_config: &Config) -> AreaNotices {
        AreaNotices::default()
    }

    fn observe(&mut self, cx: &Context<'_>, seen: &Observation, out: &mut Outbox) {
        let device = &cx.config.device;
        match seen {
            Observation::AreaNoticed { notice } => {
                let us = (device.id.as_str(), device.area.as_deref());
                let change = self.area.noticed(cx.now, notice.as_ref(), us, cx.wall());
                self.changed(change, out);
            }
            Observation::ClockSet { .. } => {
                let change = self.area.weigh(cx.now, &device.id, cx.wall());
                self.changed(change, out);
            }
            _ => {}
        }
    }

    #[inline]
    fn advance(&mut self, cx: &Context<'_>, _seen: &Observation, out: &mut Outbox) {
        if self.area.waits() {
            let change = self.area.advance(cx.now, &cx.config.device.id);
            self.changed(change, out);
            if !self.area.waits() {
                out.signal(Signal::AreaSettled);
            }
        }
    }

    #[inline]
    fn publish_facts(&mut self, facts: &mut Facts) {
        if self.area.notice.is_none() && !self.area.waits() && !facts.area.waits {
            return;
        }
        facts.area.waits = self.area.waits();
        let covers = self.area.covers().map(|n| &n.id);
        if facts.area.covers.as_ref() != covers {
            facts.area.covers = covers.cloned();
        }
    }

    fn deadline(&self, _cx: &Context<'_>) -> Option<Mono> {
        self.area.wake()
    }

    fn quiet_until(&self, cx: &Context<'_>, quiet: Quiet) -> Option<Mono> {
        match quiet {
            Quiet::Watched if self.area.waits() => None,
            Quiet::Watched | Quiet::Passed { .. } => until(self.deadline(cx)),
        }
    }

    fn fill_status(&self, _cx: &Context<'_>, status: &mut Status) {
        status.notice = self.area.covers().map(|n| match n.text.is_empty() {
            true => n.id.clone(),
            false => format!("{}: {}", n.id, n.text),
        });
    }

    fn save(&self, parts: &mut Parts) {
        parts.put("area", &self.area);
    }

    fn load(&mut self, kept: &Kept<'_>) -> Result<(), String> {
        self.area = kept.get("area")?;
        Ok(())
    }
}

impl AreaNotices {
    fn changed(&self, change: Change, out: &mut Outbox) {
        match change {
            Change::None => {}
            Change::Ignored(why) => out.note(Level::Info, why),
            Change::Began(why) => {
                out.save();
                out.note(Level::Warn, why);
                if let Some(notice) = self.area.covers() {
                    out.signal(Signal::AreaNoticed { notice: notice.id.clone() });
                }
            }
            Change::Ended(why) => {
                out.save();
                out.note(Level::Warn, why);
                out.signal(Signal::AreaCleared);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_area_covers_what_lies_below_it() {
        for (ours, theirs, covered) in [
            ("north-3/olt-7", "north-3/olt-7", true),
            ("north-3/olt-7", "north-3", true),
            ("north-3/olt-7", "north", false),
            ("north-3/olt-7", "north-3/olt-70", false),
            ("north-3/olt-7", "north-3/olt-7/port-1", false),
            ("north-3/olt-7", "", false),
            ("north-3/olt-7", "south", false),
        ] {
            assert_eq!(below(ours, theirs), covered, "{ours} below {theirs}");
        }
    }
}
