//! Manual work on the gateway, and netifd's state of the WAN interface.
//!
//! Policy, in prose:
//!
//! * While somebody works on the gateway, no disruptive remedy runs.
//! * An interface that was taken down by hand is no fault and is not brought up. If netifd cannot use the interface's
//!   settings, no remedy is tried: none would help.

use super::concern::{Concern, Quiet, until};
use super::context::{Context, Facts};
use super::outbox::Outbox;
use super::signal::Signal;
use super::snapshot::{Kept, Parts};
use super::status::Status;
use super::text::short;
use crate::action::Level;
use crate::config::Config;
use crate::observation::{Interface, Observation};
use linekeeper_contract::message::Fact;
use linekeeper_contract::units::Mono;

/// Whether somebody works on the gateway, and the state of the WAN interface.
#[derive(Debug, Clone, Default)]
pub struct ManualControl {
    /// Why no disruptive remedy may run now.
    hands_off: Option<String>,
    /// OpenWrt's name of the WAN interface, and its state as netifd reports it.
    interface: Option<(String, Interface)>,
    /// When the interface was brought up again after it had been taken down by hand.
    taken_up: Option<Mono>,
    /// The facts shown to other concerns are out of date.
    changed: bool,
}

impl Concern for ManualControl {
    fn new(_config: &Config) -> ManualControl {
        ManualControl::default()
    }

    fn observe(&mut self, cx: &Context<'_>, seen: &Observation, out: &mut Outbox) {
        match seen {
            Observation::Started(_) => (self.hands_off, self.interface, self.changed) = (None, None, true),
            Observation::InterfaceSeen { name, is } => self.interface_seen(cx, name, is, out),
            Observation::HandsOffSeen { why } => self.hands_off(why.as_deref().map(short), out),
            _ => {}
        }
    }

    fn publish_facts(&mut self, facts: &mut Facts) {
        if std::mem::take(&mut self.changed) {
            facts.hands_off.clone_from(&self.hands_off);
            facts.interface.clone_from(&self.interface);
            facts.taken_up = self.taken_up;
        }
    }

    fn deadline(&self, _cx: &Context<'_>) -> Option<Mono> {
        None
    }

    fn quiet_until(&self, cx: &Context<'_>, _quiet: Quiet) -> Option<Mono> {
        until(self.deadline(cx))
    }

    fn fill_status(&self, _cx: &Context<'_>, status: &mut Status) {
        status.hands_off.clone_from(&self.hands_off);
        status.interface.clone_from(&self.interface);
    }

    fn save(&self, parts: &mut Parts) {
        parts.put("hands_off", &self.hands_off);
        parts.put("interface", &self.interface);
        parts.put("taken_up", &self.taken_up);
    }

    fn load(&mut self, kept: &Kept<'_>) -> Result<(), String> {
        self.hands_off = kept.get("hands_off")?;
        self.interface = kept.get("interface")?;
        self.taken_up = kept.get("taken_up")?;
        self.changed = true;
        Ok(())
    }
}

impl ManualControl {
    fn hands_off(&mut self, why: Option<&str>, out: &mut Outbox) {
        if self.hands_off.as_deref() == why {
            return;
        }
        match why {
            Some(why) => {
                out.note(Level::Info, format!("nothing that disturbs is done to the gateway now: {why}"));
            }
            None => {
                out.note(Level::Info, "nobody works on the gateway any more".into());
                out.signal(Signal::HandsFree);
            }
        }
        (self.hands_off, self.changed) = (why.map(str::to_string), true);
    }

    fn interface_seen(&mut self, cx: &Context<'_>, name: &str, is: &Interface, out: &mut Outbox) {
        let was = self.interface.replace((short(name).to_string(), is.clone())).map(|(_, was)| was);
        self.changed = true;
        if was == Some(Interface::TakenDown) && *is != Interface::TakenDown {
            self.taken_up = Some(cx.now);
        }
        // While our own remedy restarts it, its being down means nothing.
        if was.as_ref() == Some(is) || cx.facts.is_acted_upon() {
            return;
        }
        let level = if *is == Interface::Up { Level::Debug } else { Level::Info };
        out.note(level, format!("netifd: {name} {}", is.words()));
        let fact = self.interface.as_ref().map(|(name, is)| Fact {
            at: cx.stamp(cx.now),
            name: format!("interface.{}", is.name()),
            subject: name.clone(),
            detail: format!("netifd: {name} {}", is.words()),
        });
        out.signal(Signal::InterfaceChanged { fact, taken_down: *is == Interface::TakenDown });
    }
}
