//! Is the line up? Fast, from echoes, link events and counters.
//!
//! Policy, in prose:
//!
//! * In quiet times one far target after the other is asked, one echo per `probe.interval`. The gateway is asked now
//!   and then, only to learn whether it answers echoes at all.
//! * One silence starts a *suspicion*: every [`ROUND`] up to [`BURST`] far targets and the gateway are asked, one after
//!   the other, not in one breath: losses come in bursts, and what is sent together is lost together. A single answer to anything sent since the first silent echo ends it: an answer is proof of life, silence is only evidence.
//! * Incoming traffic that is not our own echoes, at `outage.veto` or more in a window that began after the first
//!   silence, ends it too: echoes may be filtered or drowned, but the line carries data. While counters come, such a
//!   window is waited for, however short the patience. Only packets that prove something count, where they can be told
//!   apart ([`Counted::rx_proof`](crate::observation::Counted::rx_proof)): ARP and other broadcasts of a shared segment go on
//!   when everything beyond it is dead. Where only the counters are known, traffic can delay an outage but never end one.
//! * The line is *down* when nothing ended the suspicion for `outage.patience` **and** a whole round that was sent
//!   after that is silent as well. The patience counts from when the first silent echo should have been back: it may
//!   have been lost on its last metre. A break shorter than the patience therefore can never be an outage: an echo
//!   sent after its end is answered. A break of at least [`HICCUP`] is counted as a disconnect.
//! * Loss of carrier or of the device is down at once; loss of the address or of the default route after [`RENUMBER`].
//!   An answer to an echo that was sent after it is proof of life here too: then the link is shown wrongly (PPPoE over
//!   the watched device, a driver that reports no carrier) and only silence counts.
//! * It is *up* again on the first answer of a far target, confirmed by a second within [`CONFIRM`].
//! * A target that misses [`BENCH_AFTER`] times in a row while others answer is a bad target: it leaves the rotation
//!   and is asked again every [`BENCH_RETRY`].
//! * While our own speed test fills the line ([`Watch::loaded`]), and for a moment after it, echoes are late or lost by
//!   our own doing: they teach no round-trip time, no target is blamed and no disconnect is counted. Outages are still
//!   found: what the test receives (data, or the acknowledgements of what it sends) comes from beyond the line and
//!   vetoes as any traffic does, and stops with the line.
//! * A gap in our own watching longer than [`GAP`] makes the state unknown, never down.
//! * A line that was not yet up since boot is only waited for until `probe.grace` has passed.

mod ask;
pub mod evidence;
pub mod line;
mod silent;
mod target;
pub mod watch;

pub use super::text::phase;
pub use line::{Cause, LineState, Turn};
pub use watch::*;

use super::concern::{Concern, NEVER, Quiet, Skipped};
use super::context::{Context, Facts};
use super::outbox::Outbox;
use super::promise::policy::UP_FOR;
use super::signal::Signal;
use super::snapshot::{Kept, Parts};
use super::status::{Status, TargetStatus};
use crate::action::Level;
use crate::config::Config;
use crate::observation::{Observation, TargetId};
use line::{Line, LinkFacts};
use linekeeper_contract::units::{Mono, Span};
use target::TargetState;

/// The watching of the line.
#[derive(Debug, Clone)]
pub struct Outage {
    watch: Watch,
    /// What changed in this step.
    turns: Vec<Turn>,
    /// The echo that is observed now belongs to the steady rotation and was sent then.
    steady: Option<Mono>,
    link: Option<LinkFacts>,
    /// What is shown of it is out of date.
    stale: Stale,
}

/// How much of what is shown is out of date: each step shows the line several times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stale {
    Nothing,
    /// Whether the echo belongs to the steady rotation: the line itself is judged, and shown, later in the step.
    Steady,
    /// Whether it is up: in quiet time nobody asks for more.
    Verdict,
    /// What echoes and time change.
    Echoes,
    All,
}

impl Concern for Outage {
    fn new(config: &Config) -> Outage {
        Outage { watch: Watch::new(config), turns: Vec::new(), steady: None, link: None, stale: Stale::All }
    }

    #[inline]
    fn observe(&mut self, cx: &Context<'_>, seen: &Observation, out: &mut Outbox) {
        let (now, watch, turns) = (cx.now, &mut self.watch, &mut self.turns);
        self.steady = None;
        self.stale = match seen {
            Observation::Ticked | Observation::EchoAnswered { .. } | Observation::EchoLost { .. } => {
                self.stale.max(Stale::Steady)
            }
            _ => Stale::All,
        };
        if let Observation::Started(started) = seen {
            if let Some(others) = &cx.facts.life.other_hosts {
                let hosts: Vec<String> = cx.config.probe.targets.iter().map(|t| t.host.clone()).collect();
                watch.retarget(others, &hosts);
            }
            watch.started(now, started.uptime, &cx.config);
            self.link = None;
        } else if let Some(gap) = watch.gap(now) {
            self.stale = Stale::All;
            tell_gap(gap, out);
        }
        watch.loaded = cx.is_loaded();
        match seen {
            Observation::EchoAnswered { probe, target, rtt_us } => {
                self.steady = watch.answered(now, *probe, *target, *rtt_us, turns);
            }
            Observation::EchoLost { probe, target: _ } => self.steady = watch.lost(*probe),
            Observation::EchoNotSent { probe, target: _, obstacle } => watch.not_sent(*probe, *obstacle),
            Observation::LinkSeen(link) => {
                watch.link_seen(now, link);
                self.link = Some(LinkFacts::of(link));
            }
            Observation::Counted(counted) => watch.counted(now, counted, &cx.config, turns),
            _ => {}
        }
    }

    fn on_signal(&mut self, cx: &Context<'_>, signal: &Signal, out: &mut Outbox) {
        match signal {
            Signal::LineTurned(turn) => self.turned(cx, turn, out),
            // It did not come back after what we did to it: now it is a break like any other.
            Signal::BreakStays { cause } => self.broke(cx, cx.now, *cause, out),
            _ => {}
        }
    }

    #[inline]
    fn publish_facts(&mut self, facts: &mut Facts) {
        match self.stale {
            Stale::Nothing => {}
            Stale::Steady => facts.line.steady = self.steady,
            Stale::Verdict => self.show_verdict(&mut facts.line),
            Stale::Echoes | Stale::All => self.show_line(&mut facts.line),
        }
    }

    /// What is next to be asked changes with each echo: that is told apart ([`Outage::next_question`]).
    fn deadline(&self, _cx: &Context<'_>) -> Option<Mono> {
        None
    }

    fn quiet_until(&self, cx: &Context<'_>, quiet: Quiet) -> Option<Mono> {
        let watch = &self.watch;
        let may = match quiet {
            Quiet::Watched => watch.line == LineState::Up && !watch.loaded,
            // And only in the steps that the quiet rotation allows: that is asked apart ([`Outage::rotation`]).
            Quiet::Passed { .. } => cx.now.since(watch.since) > UP_FOR,
        };
        may.then_some(NEVER)
    }

    fn wants_routine(_seen: &Observation) -> bool {
        true
    }

    fn catch_up(&mut self, _cx: &Context<'_>, skipped: &Skipped<'_>) {
        self.watch.rested(skipped.by);
        self.stale = Stale::All;
    }

    fn fill_status(&self, cx: &Context<'_>, status: &mut Status) {
        let watch = &self.watch;
        let target = |host: &str, role: &str, t: &TargetState| TargetStatus {
            host: host.into(),
            role: role.into(),
            rtt_us: (t.srtt_us > 0).then_some(t.srtt_us),
            answered_ms_ago: t.answered.map(|at| cx.now.since(at).0),
            bad: t.benched.is_some(),
        };
        if cx.config.probe.gateway {
            status.targets.push(target("gateway", "gateway", &watch.gateway));
        }
        for (t, s) in cx.config.probe.targets.iter().zip(&watch.targets) {
            status.targets.push(target(&t.host, t.role.name(), s));
        }
        status.line = watch.line;
        status.since_ms = cx.now.since(watch.since).0;
        status.rtt_us = watch.rtt_us();
        status.traffic_bps = watch.traffic;
        status.disconnects = watch.hiccups;
    }

    fn save(&self, parts: &mut Parts) {
        parts.put("watch", &self.watch);
    }

    fn load(&mut self, kept: &Kept<'_>) -> Result<(), String> {
        self.watch = kept.need("watch")?;
        self.link = self.watch.link.as_ref().map(LinkFacts::of);
        self.stale = Stale::All;
        Ok(())
    }
}

impl Outage {
    /// Judges the line, and asks what is to be asked: the first that is decided in a step. How many echoes are sent. `quiet`: it
    /// is a quiet time so far.
    pub(super) fn judge(&mut self, cx: &Context<'_>, quiet: bool, out: &mut Outbox) -> usize {
        let actions = out.actions();
        let before = actions.len();
        self.watch.advance(cx.now, &cx.config, actions, &mut self.turns);
        let sent = actions.len() - before;
        self.stale = self.stale.max(if quiet { Stale::Verdict } else { Stale::Echoes });
        if !self.turns.is_empty() {
            self.tell_turns(out);
        }
        sent
    }

    #[cold]
    fn tell_turns(&mut self, out: &mut Outbox) {
        for turn in self.turns.drain(..) {
            out.signal(Signal::LineTurned(turn));
        }
    }

    #[inline]
    fn show_verdict(&mut self, line: &mut Line) {
        line.state = self.watch.line;
        line.since = self.watch.since;
        line.suspected = self.watch.suspected();
        line.steady = self.steady;
        self.stale = Stale::Nothing;
    }

    fn show_line(&mut self, line: &mut Line) {
        let stale = self.stale;
        self.show_verdict(line);
        let watch = &self.watch;
        line.gateway_answers = watch.gateway_answers();
        line.gateway_answered = watch.gateway_answered();
        line.disconnects = watch.hiccups;
        line.loaded = watch.loaded;
        // An answer may disprove what the link says.
        if stale == Stale::All || line.fault.is_some() {
            line.fault = watch.link_fault_since();
        }
        if stale == Stale::All {
            line.link_mended = watch.link_mended;
            line.carrier_back = watch.carrier_back;
            line.link = self.link;
            line.traffic = watch.traffic;
            line.in_rotation = watch.in_rotation();
        }
    }

    /// The time is not quiet any more: the others may ask for all of the line.
    pub(super) fn end_quiet_period(&mut self) {
        self.stale = self.stale.max(Stale::Echoes);
    }

    /// Whether the line is not up, or is suspected of not being up.
    pub(super) fn is_doubted(&self) -> bool {
        self.watch.is_doubted()
    }

    /// When something is to be asked or judged at the latest.
    pub(super) fn next_question(&self, config: &Config) -> Mono {
        self.watch.wake(config)
    }

    /// In which steps of time a quiet line may be passed over.
    pub(super) fn rotation(&self, config: &Config) -> Option<Span> {
        self.watch.rotation(config)
    }

    /// The longest that the round trip of the best far target usually takes, microseconds.
    pub(super) fn longest_us(&self) -> Option<u64> {
        self.watch.longest_us()
    }

    /// Whom the quiet rotation asks; see [`Skipped::asked`].
    pub(super) fn asked(&self, config: &Config) -> Vec<(u32, Span)> {
        self.watch.asked(config).collect()
    }

    fn turned(&mut self, cx: &Context<'_>, turn: &Turn, out: &mut Outbox) {
        match turn {
            // While a remedy runs that was ordered on a whole line, the line breaks by our own doing.
            Turn::Broke { .. } if cx.facts.orders.on_whole_line.is_some() => {}
            Turn::Returned { .. } if cx.facts.orders.broke_it => {}
            Turn::Broke { since, cause } => self.broke(cx, *since, *cause, out),
            Turn::Returned { at } => out.signal(Signal::LineReturned { at: *at }),
            Turn::Hiccup { length } => {
                let patience = cx.config.outage.patience;
                out.note(
                    Level::Info,
                    format!("a break of {length}: counted, not acted on (patience {patience})"),
                );
            }
            Turn::BadTarget { target, bad } => {
                let host = host(&cx.config, *target);
                let text = if *bad {
                    format!(
                        "{host} alone stays silent: a bad target, out of rotation and asked every {BENCH_RETRY}",
                    )
                } else {
                    format!("{host} answers again: back in rotation")
                };
                out.note(Level::Info, text);
            }
            Turn::Vetoed { rate } => {
                out.note(
                    Level::Info,
                    format!("echoes are silent but {rate} come in: the line carries traffic, no outage"),
                );
            }
        }
    }

    fn broke(&self, cx: &Context<'_>, since: Mono, cause: Cause, out: &mut Outbox) {
        let targets = cx.config.probe.targets.iter().zip(&self.watch.targets);
        let targets = targets.map(|(t, state)| (t.host.as_str(), t.role.name(), state.answered));
        let facts = evidence::of_line(cx, since, cause, targets);
        out.signal(Signal::LineBroke { since, cause, facts });
    }
}

#[cold]
fn tell_gap(gap: Span, out: &mut Outbox) {
    out.signal(Signal::Unwatched { gap });
    out.note(Level::Warn, format!("nobody watched for {gap} (suspended or overloaded): the line is unknown"));
}

fn host(config: &Config, target: TargetId) -> &str {
    match config.probe.targets.get(usize::from(target.0)) {
        Some(t) => &t.host,
        None => "gateway",
    }
}
