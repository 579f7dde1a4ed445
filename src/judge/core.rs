//! What is no concern's alone: configuration, clock, flight recorder, and the facts that the concerns show.

use super::clock::Clock;
use super::context::{Context, Facts, Life, Shared};
use super::flight::recorder::{Flight, Seen};
use super::numbers::Numbers;
use super::outbox::Outbox;
use super::snapshot::{Kept, Parts};
use crate::config::Config;
use crate::observation::{Memory, Observation, Started};
use linekeeper_contract::units::{Mono, Wall};
use serde::{Deserialize, Serialize};

/// The shared core.
#[derive(Debug, Clone)]
pub(super) struct Core {
    pub(super) shared: Shared,
    /// When the last step was.
    pub(super) now: Mono,
    /// The hosts that are asked, and the servers that are tested: the configuration may change between two lives. Empty in
    /// snapshots of older versions.
    asked: (Vec<String>, Vec<String>),
}

/// How clock and numbers stand in a snapshot.
#[derive(Debug, Serialize, Deserialize)]
struct Dates {
    boot_id: String,
    boot_at: Mono,
    clock: Option<(Wall, Mono, bool)>,
    series: String,
    incidents: u64,
    callbacks: u64,
}

impl Core {
    pub(super) fn new(config: Config, flight: Flight) -> Core {
        let shared = Shared { config, clock: Clock::default(), facts: Facts::new(), flight };
        Core { shared, now: Mono(0), asked: Default::default() }
    }

    pub(super) fn context(&self, now: Mono) -> Context<'_> {
        Context { now, shared: &self.shared }
    }

    /// Takes an observation in, before any concern does.
    #[inline]
    pub(super) fn observe(&mut self, now: Mono, seen: &Observation, out: &mut Outbox) {
        self.now = now;
        self.shared.facts.was = self.shared.facts.line.state;
        self.record(now, seen);
        match seen {
            Observation::Started(started) => self.started(now, started, out),
            Observation::ClockSet { wall, synced } => self.shared.clock.set(now, *wall, *synced),
            _ => {}
        }
    }

    /// The flight recorder takes in what it is to keep.
    fn record(&mut self, now: Mono, seen: &Observation) {
        let facts = &self.shared.facts;
        self.shared.flight.passes(now, || Seen {
            line: facts.line.state,
            link: facts.line.fault.is_none(),
            remedy: facts.is_acted_upon(),
            test: facts.line.loaded,
        });
        match seen {
            Observation::EchoAnswered { rtt_us, .. } => self.shared.flight.answered(*rtt_us),
            Observation::EchoLost { .. } | Observation::EchoNotSent { .. } => self.shared.flight.lost(),
            Observation::Counted(c) if !c.reset => self.shared.flight.counted(c.over, c.rx_bytes, c.tx_bytes),
            _ => {}
        }
    }

    /// A new life: what differs from the last.
    #[cold]
    fn started(&mut self, now: Mono, started: &Started, out: &mut Outbox) {
        // The outbox knows of messages that the snapshot does not: it is an older one.
        let stale = started.memory == Memory::Restored && started.watermark > out.numbers.messages;
        let wiped = started.memory == Memory::None && started.watermark > 0;
        let lost = started.memory == Memory::Lost;
        let hosts = self.shared.config.probe.targets.iter().map(|t| t.host.clone()).collect::<Vec<_>>();
        let servers = self.shared.config.speed.servers.clone();
        let differs = |old: &[String], new: &[String]| !old.is_empty() && old != new;
        let other_servers = differs(&self.asked.1, &servers);
        let other_hosts = differs(&self.asked.0, &hosts);
        let (old_hosts, _) = std::mem::replace(&mut self.asked, (hosts, servers));
        self.shared.facts.life = Life {
            rebooted: self.shared.clock.boot_id != started.boot_id,
            lost: lost || wiped || stale,
            other_hosts: other_hosts.then_some(old_hosts),
            other_servers,
        };
        self.shared.clock.started(now, &started.boot_id, started.uptime);
        out.numbers.started(now, &started.boot_id, started.watermark);
        // Messages without a memory of them: what was numbered must not come again.
        if self.shared.facts.life.lost {
            out.numbers.forgot(&started.boot_id, now);
        }
        out.save();
    }

    pub(super) fn save(&self, numbers: &Numbers, parts: &mut Parts) {
        parts.put(
            "dates",
            &Dates {
                boot_id: self.shared.clock.boot_id.clone(),
                boot_at: self.shared.clock.boot_at,
                clock: self.shared.clock.clock,
                series: numbers.series.clone(),
                incidents: numbers.incidents,
                callbacks: numbers.callbacks,
            },
        );
        parts.put("asked", &self.asked);
        parts.put("messages", &numbers.messages);
        parts.put("memory", &numbers.memory);
        parts.put("saved", &self.shared.facts.saved);
    }

    pub(super) fn load(&mut self, kept: &Kept<'_>, numbers: &mut Numbers) -> Result<(), String> {
        let dates: Dates = kept.need("dates")?;
        let Dates { boot_id, boot_at, clock, series, incidents, callbacks } = dates;
        self.shared.clock = Clock { boot_id, boot_at, clock };
        let (messages, memory) = (kept.need("messages")?, kept.need("memory")?);
        *numbers = Numbers { series, incidents, callbacks, messages, memory };
        self.asked = kept.get("asked")?;
        self.shared.facts.saved = kept.need("saved")?;
        Ok(())
    }
}
