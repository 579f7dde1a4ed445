//! Which parts of the daemon itself do not work.
//!
//! Policy, in prose:
//!
//! * Each change is logged once.
//! * When the store cannot be written, ids continue in a new series: the next process may resume from the old snapshot,
//!   and the ids it issues must differ from ours.

use super::concern::{Concern, Quiet, until};
use super::context::{Context, Facts};
use super::outbox::Outbox;
use super::snapshot::{Kept, Parts};
use super::status::Status;
use super::text::short;
use crate::action::Level;
use crate::config::Config;
use crate::observation::{Observation, Part};
use linekeeper_contract::units::Mono;
use std::collections::BTreeMap;

/// The state of the daemon's parts.
#[derive(Debug, Clone, Default)]
pub struct Agent {
    troubles: BTreeMap<Part, String>,
    broker: bool,
}

impl Concern for Agent {
    fn new(_config: &Config) -> Agent {
        Agent::default()
    }

    fn observe(&mut self, cx: &Context<'_>, seen: &Observation, out: &mut Outbox) {
        match seen {
            Observation::Started(_) => {
                self.broker = false;
                self.troubles.clear();
            }
            Observation::BrokerSeen { connected } => self.broker = *connected,
            Observation::PartSeen { part, trouble } => {
                self.part(cx, *part, trouble.as_deref().map(short), out);
            }
            _ => {}
        }
    }

    fn publish_facts(&mut self, facts: &mut Facts) {
        facts.stored = !self.troubles.contains_key(&Part::Store);
    }

    fn deadline(&self, _cx: &Context<'_>) -> Option<Mono> {
        None
    }

    fn quiet_until(&self, cx: &Context<'_>, _quiet: Quiet) -> Option<Mono> {
        until(self.deadline(cx))
    }

    fn fill_status(&self, _cx: &Context<'_>, status: &mut Status) {
        status.troubles.clone_from(&self.troubles);
        status.broker = self.broker;
    }

    fn save(&self, parts: &mut Parts) {
        parts.put("troubles", &self.troubles);
        parts.put("broker", &self.broker);
    }

    fn load(&mut self, kept: &Kept<'_>) -> Result<(), String> {
        self.troubles = kept.need("troubles")?;
        self.broker = kept.need("broker")?;
        Ok(())
    }
}

impl Agent {
    /// The parts that do not work, and why.
    pub fn troubles(&self) -> &BTreeMap<Part, String> {
        &self.troubles
    }

    fn part(&mut self, cx: &Context<'_>, part: Part, trouble: Option<&str>, out: &mut Outbox) {
        let before = self.troubles.get(&part).map(String::as_str);
        if before == trouble {
            return;
        }
        match trouble {
            Some(text) => {
                if part == Part::Store && before.is_none() {
                    out.numbers.forgot(&cx.clock.boot_id, cx.now);
                }
                out.note(Level::Warn, text.to_string());
                self.troubles.insert(part, text.to_string());
            }
            None => {
                out.note(Level::Info, format!("{part:?} works again").to_lowercase());
                self.troubles.remove(&part);
            }
        }
    }
}
