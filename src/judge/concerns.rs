//! The list of concerns, in the order in which they run. A new concern is added here.

use super::agent::Agent;
use super::area::AreaNotices;
use super::books::Books;
use super::callback::Callbacks;
use super::checks::LayerChecks;
use super::command::PlatformCommands;
use super::concern::{Concern, Quiet, Skipped};
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

/// Run all concerns.
pub(super) const ALL: u8 = 0;
/// Run only the concerns that record this routine observation.
pub(super) const ROUTINE: u8 = 1;

/// Declares the concerns in the order in which they run.
macro_rules! concerns {
    ($($name:ident: $concern:ty,)+) => {
        /// All concerns, in the order in which they run.
        #[derive(Debug, Clone)]
        pub(super) struct Concerns {
            $(pub(super) $name: $concern,)+
        }

        impl Concerns {
            pub(super) fn new(config: &Config) -> Concerns {
                Concerns { $($name: <$concern as Concern>::new(config),)+ }
            }

            /// Passes an observation to them.
            pub(super) fn observe<const WHO: u8>(
                &mut self,
                core: &mut Core,
                now: Mono,
                seen: &Observation,
                out: &mut Outbox,
            ) {
                $(if WHO == ALL || <$concern as Concern>::wants_routine(seen) {
                    self.$name.observe(&core.context(now), seen, out);
                    self.$name.publish_facts(&mut core.shared.facts);
                    self.deliver(core, now, out);
                })+
            }

            /// Lets them decide what to do.
            pub(super) fn advance<const WHO: u8>(
                &mut self,
                core: &mut Core,
                now: Mono,
                seen: &Observation,
                out: &mut Outbox,
            ) {
                $(if WHO == ALL || <$concern as Concern>::wants_routine(seen) {
                    self.$name.advance(&core.context(now), seen, out);
                    self.$name.publish_facts(&mut core.shared.facts);
                    self.deliver(core, now, out);
                })+
            }

            /// Lets them record the result of the step.
            pub(super) fn end_step(&mut self, core: &Core, now: Mono) {
                $(self.$name.end_step(&core.context(now));)+
            }

            /// Passes a signal to all of them.
            fn on_signal(&mut self, core: &mut Core, now: Mono, signal: &Signal, out: &mut Outbox) {
                $(self.$name.on_signal(&core.context(now), signal, out);
                self.$name.publish_facts(&mut core.shared.facts);)+
            }

            /// Publishes the facts of all of them.
            pub(super) fn publish_facts(&mut self, facts: &mut Facts) {
                $(self.$name.publish_facts(facts);)+
            }

            /// When one of them must run again at the latest.
            pub(super) fn deadline(&self, cx: &Context<'_>) -> Option<Mono> {
                let mut at = super::concern::NEVER;
                $(if let Some(deadline) = self.$name.deadline(cx) {
                    at = at.min(deadline);
                })+
                (at < super::concern::NEVER).then_some(at)
            }

            /// Until when none of them needs to run. Both kinds of quiet period follow from this.
            pub(super) fn quiet_until(&self, cx: &Context<'_>, quiet: Quiet) -> Option<Mono> {
                let mut until = super::concern::NEVER;
                $(until = until.min(self.$name.quiet_until(cx, quiet)?);)+
                Some(until)
            }

            /// Accounts for time that was skipped.
            pub(super) fn catch_up(&mut self, cx: &Context<'_>, skipped: &Skipped<'_>) {
                $(self.$name.catch_up(cx, skipped);)+
            }

            /// Fills in the status.
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
    /// Delivers the queued signals. The signals that a signal causes are delivered before the next one. All concerns get a
    /// signal before any of them gets a signal that it caused.
    #[inline]
    pub(super) fn deliver(&mut self, core: &mut Core, now: Mono, out: &mut Outbox) {
        if out.is_waiting() {
            self.deliver_all(core, now, out);
        }
    }

    #[inline(never)]
    fn deliver_all(&mut self, core: &mut Core, now: Mono, out: &mut Outbox) {
        while let Some(signal) = out.next_signal() {
            let queue = out.set_aside();
            match signal {
                Signal::StatusWanted => {
                    let status = Box::new(self.status(&core.context(now)));
                    self.on_signal(core, now, &Signal::StatusGiven(status), out);
                }
                signal => self.on_signal(core, now, &signal, out),
            }
            self.deliver(core, now, out);
            out.restore(queue);
        }
    }

    /// The status of the line.
    pub(super) fn status(&self, cx: &Context<'_>) -> Status {
        let mut status = Status { clock_synced: cx.clock.synced(), ..Status::blank() };
        self.fill_status(cx, &mut status);
        status
    }
}
