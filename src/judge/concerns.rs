//! The list of concerns. Whoever adds one adds a line here.

use super::agent::Agent;
use super::area::AreaNotices;
use super::books::Books;
use super::callback::Callbacks;
use super::checks::LayerChecks;
use super::command::PlatformCommands;
use super::concern::{Concern, Quiet, Rest};
use super::context::{Context, Facts};
use super::core::Core;
use super::device::Device;
use super::flight::IncidentRecording;
use super::handover::Handover;
use super::incident::Incidents;
use super::interface::ManualControl;
use super::ladder::Remedies;
use super::outage::Outage;
use super::outbox::Outbox;
use super::programme::FollowUps;
use super::promise::SpeedPromise;
use super::quality::LineQuality;
use super::service::Service;
use super::signal::Signal;
use super::snapshot::{Kept, Parts};
use super::status::Status;
use super::telemetry::Summaries;
use super::usage::UnusualUsage;
use crate::config::Config;
use crate::observation::Observation;
use linekeeper_contract::units::Mono;

/// All concerns are asked.
pub(super) const ALL: u8 = 0;
/// Only those are asked that keep something of such an observation.
pub(super) const KEEPERS: u8 = 1;

/// Declares the concerns in the order in which they are asked.
macro_rules! concerns {
    ($($name:ident: $concern:ty,)+) => {
        /// All concerns, in the order in which they are asked.
        #[derive(Debug, Clone)]
        pub(super) struct Concerns {
            $(pub(super) $name: $concern,)+
        }

        impl Concerns {
            pub(super) fn new(config: &Config) -> Concerns {
                Concerns { $($name: <$concern as Concern>::new(config),)+ }
            }

            /// Lets them take an observation in.
            pub(super) fn observe<const WHO: u8>(
                &mut self,
                core: &mut Core,
                now: Mono,
                seen: &Observation,
                out: &mut Outbox,
            ) {
                $(if WHO == ALL || <$concern as Concern>::keeps(seen) {
                    self.$name.observe(&core.context(now), seen, out);
                    self.$name.show(&mut core.shared.facts);
                    self.deliver(core, now, out);
                })+
            }

            /// Lets them decide what is to be done.
            pub(super) fn advance<const WHO: u8>(
                &mut self,
                core: &mut Core,
                now: Mono,
                seen: &Observation,
                out: &mut Outbox,
            ) {
                $(if WHO == ALL || <$concern as Concern>::keeps(seen) {
                    self.$name.advance(&core.context(now), seen, out);
                    self.$name.show(&mut core.shared.facts);
                    self.deliver(core, now, out);
                })+
            }

            /// Lets them enter how things stand.
            pub(super) fn close(&mut self, core: &Core, now: Mono) {
                $(self.$name.close(&core.context(now));)+
            }

            /// Lets them hear a signal.
            fn hear(&mut self, core: &mut Core, now: Mono, signal: &Signal, out: &mut Outbox) {
                $(self.$name.hear(&core.context(now), signal, out);
                self.$name.show(&mut core.shared.facts);)+
            }

            /// Lets them show what the others may know of them.
            pub(super) fn show(&mut self, facts: &mut Facts) {
                $(self.$name.show(facts);)+
            }

            /// When one of them must be asked again at the latest.
            pub(super) fn deadline(&self, cx: &Context<'_>) -> Option<Mono> {
                let mut at = super::concern::NEVER;
                $(if let Some(deadline) = self.$name.deadline(cx) {
                    at = at.min(deadline);
                })+
                (at < super::concern::NEVER).then_some(at)
            }

            /// Until when all of them may be passed over: the one answer of which the quiet times are made.
            pub(super) fn quiet_until(&self, cx: &Context<'_>, quiet: Quiet) -> Option<Mono> {
                let mut until = super::concern::NEVER;
                $(until = until.min(self.$name.quiet_until(cx, quiet)?);)+
                Some(until)
            }

            /// A time was passed over.
            pub(super) fn rested(&mut self, cx: &Context<'_>, rest: &Rest<'_>) {
                $(self.$name.rested(cx, rest);)+
            }

            /// What may be told.
            pub(super) fn fill_status(&self, cx: &Context<'_>, status: &mut Status) {
                $(self.$name.fill_status(cx, status);)+
            }

            pub(super) fn save(&self, parts: &mut Parts) {
                $(self.$name.save(parts);)+
            }

            pub(super) fn load(&mut self, kept: &Kept<'_>) -> Result<(), String> {
                $(self.$name.load(kept)?;)+
                Ok(())
            }
        }
    };
}

concerns! {
    line: Outage,
    books: Books,
    hands: ManualControl,
    agent: Agent,
    service: Service,
    incidents: Incidents,
    area: AreaNotices,
    remedies: Remedies,
    recording: IncidentRecording,
    handover: Handover,
    checks: LayerChecks,
    quality: LineQuality,
    promise: SpeedPromise,
    programme: FollowUps,
    telemetry: Summaries,
    device: Device,
    usage: UnusualUsage,
    callbacks: Callbacks,
    commands: PlatformCommands,
}

impl Concerns {
    /// Delivers the signals that wait, and what follows from each before the next. Everybody hears a signal before anybody
    /// hears what came of it.
    #[inline]
    pub(super) fn deliver(&mut self, core: &mut Core, now: Mono, out: &mut Outbox) {
        if out.is_waiting() {
            self.deliver_all(core, now, out);
        }
    }

    #[inline(never)]
    fn deliver_all(&mut self, core: &mut Core, now: Mono, out: &mut Outbox) {
        while let Some(signal) = out.next_signal() {
            let rest = out.put_aside();
            match signal {
                Signal::StatusWanted => {
                    let status = Box::new(self.status(&core.context(now)));
                    self.hear(core, now, &Signal::StatusGiven(status), out);
                }
                signal => self.hear(core, now, &signal, out),
            }
            self.deliver(core, now, out);
            out.go_on(rest);
        }
    }

    /// What may be told of the line.
    pub(super) fn status(&self, cx: &Context<'_>) -> Status {
        let mut status = Status { clock_synced: cx.clock.synced(), ..Status::blank() };
        self.fill_status(cx, &mut status);
        status
    }
}
