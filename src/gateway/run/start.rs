//! The start under one configuration: reads the stored state and starts every part.

use super::daemon::{Daemon, Options, Past};
use super::heartbeat::Heartbeat;
use super::labels::Labels;
use super::log;
use super::socket;
use crate::act::durable;
use crate::act::hook::Hook;
use crate::act::mqtt;
use crate::act::outbox::lock;
use crate::act::outbox::{Known, Outbox};
use crate::act::store::{self, Store};
use crate::clock::{self, Clock};
use crate::netifd::Netifd;
use crate::privacy::Privacy;
use crate::sense::{counters, device, echo, interface, link};
use linekeeper_judge::Judge;
use linekeeper_judge::config;
use linekeeper_judge::observation::{Memory, Observation, Started};
use linekeeper_judge::outage::LineState;
use linekeeper_judge::usage::Usual;
use serde::Deserialize;
use serde_json::json;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::{info, warn};

/// Observations waiting to be judged. Sensors together tell some twenty a second at most; a second's worth of them
/// waits while a flash write takes its time.
const WAITING: usize = 64;

impl Daemon {
    pub(super) fn start(past: Past, options: &Options) -> Result<Daemon, String> {
        let Past { mut desk, asked, judge: known, routine } = past;
        let (tree, mut config) = desk.in_force()?;
        log::follow(&config);
        let asks_netifd = config.asks_netifd();
        if options.dry_run {
            config.remedies.driver = config::Driver::None;
            config.mqtt = None;
        }
        // First of all: two at one store would write over each other's messages.
        let asked = match asked.map_or_else(|| socket::listen(&config.socket), Ok) {
            Ok(asked) => Some(asked),
            Err(socket::Deaf::Another(why)) if !options.dry_run => return Err(why),
            Err(socket::Deaf::Another(why) | socket::Deaf::Trouble(why)) => {
                warn!("{why}; `linekeeper status` will not work");
                None
            }
        };
        // Another one may have another socket.
        let held = if options.dry_run {
            None
        } else {
            // Its trouble is told when the store is opened.
            let _ = durable::make_directory(&config.store.directory);
            durable::lock_directory(&config.store.directory)?
        };
        let (store, found) = if options.dry_run {
            let found = store::Opened {
                kept: None,
                memory: Memory::None,
                taken: None,
                usual: None,
                troubles: Vec::new(),
            };
            (None, found)
        } else {
            let (store, found) = Store::open(&config.store.directory);
            (Some(store), found)
        };
        for trouble in &found.troubles {
            warn!("{trouble}");
        }
        let mut memory = found.memory;
        let clock = Clock::start(found.kept.as_ref().map(|k| clock::ClockSnapshot {
            boot_id: k.boot_id.clone(),
            base: k.base,
            saved_at: k.saved_at,
        }));
        let mut restored = None;
        if let Some(known) = known.as_ref().or(found.kept.as_ref().map(|k| &k.judge)) {
            match Judge::restore(config.clone(), known) {
                Ok(judge) => {
                    restored = Some(judge);
                    memory = Memory::Restored;
                }
                Err(why) => {
                    warn!("{why}; the judge begins anew");
                    memory = Memory::Lost;
                }
            }
        }
        let mut judge = restored.unwrap_or_else(|| Judge::new(config.clone()));
        // On flash it is a day older than what the last life of this process knew.
        if let Some(usual) = found.usual.filter(|_| judge.usual().is_empty()) {
            match Usual::deserialize(usual) {
                Ok(usual) => judge.restore_usual(usual),
                Err(e) => {
                    warn!("what is usual on this line is learnt anew: its record is not as expected: {e}")
                }
            }
        }
        let outbox = match (&config.mqtt, options.dry_run) {
            (Some(_), false) => {
                let known = Known {
                    given: judge.last_message_number(),
                    messages: found.kept.as_ref().map_or(&[], |kept| kept.messages.as_slice()),
                };
                let (outbox, troubles) = Outbox::open(&config.store.directory, config.store.outbox.0, known);
                for trouble in troubles {
                    warn!("{trouble}");
                }
                Some(Arc::new(Mutex::new(outbox)))
            }
            _ => None,
        };
        let (report, reports) = mpsc::channel(WAITING);
        let (port, device) = (config.line.port.clone(), config.line.device.clone());
        let link = if asks_netifd {
            let name = config.line.interface.clone();
            let named = interface::spawn(Netifd::default(), name, device.clone(), report.clone());
            link::spawn_named(port, device, named, report.clone())
        } else {
            link::spawn_over(port, device, report.clone())
        };
        let probes = echo::spawn(config.probe.targets.clone(), link.clone(), report.clone());
        let (doubt, doubted) = watch::channel(false);
        counters::spawn(link.clone(), doubted, report.clone(), clock.clone());
        let roots = device::Roots::default();
        device::spawn(config.health.every, config.store.directory.clone(), roots, report.clone());
        tokio::spawn(clock::watch(clock.clone(), report.clone()));
        let (state, states) = watch::channel(json!({}));
        let (reported, reports_out) = watch::channel(desk.report(&config.device.id));
        let (want, wanted) = watch::channel(Vec::new());
        let now = clock.now();
        let (heartbeat, beat) =
            if options.dry_run { (None, None) } else { Heartbeat::start(&config.socket, clock.boot_id()) };
        desk.begin(now);
        let mut daemon = Daemon {
            desk,
            wanted,
            reported,
            restart: false,
            judge,
            tree,
            began: now,
            line: LineState::Unknown,
            dry_run: options.dry_run,
            file: options.config.clone(),
            record: options.record.clone(),
            recorder: None,
            _lock: held,
            store,
            store_trouble: None,
            outbox,
            outbox_trouble: None,
            link,
            probes,
            doubt,
            report,
            reports,
            own: VecDeque::new(),
            asked,
            state,
            mqtt: None,
            routine,
            repair: None,
            speed: None,
            echoes_in_flight: 0,
            leap_until: None,
            checks: JoinSet::new(),
            gates: Arc::default(),
            heartbeat,
            hook: None,
            clock,
        };
        if let (Some(hooks), false) = (&config.hooks, options.dry_run) {
            daemon.hook = Some(Hook::start(hooks, &config.device.id, daemon.report.clone()));
        }
        daemon.begin_recording();
        let watermark = daemon.outbox.as_ref().map_or(0, |o| lock(o).highest_number());
        daemon.step(Observation::Started(Started {
            boot_id: daemon.clock.boot_id().to_string(),
            uptime: daemon.clock.uptime(),
            memory,
            watermark,
            beat,
            taken: found.taken,
        }));
        daemon.update_state();
        if let (Some(mqtt), Some(outbox)) = (&config.mqtt, &daemon.outbox) {
            let offset_minutes = config.offset_minutes();
            daemon.mqtt = Some(mqtt::Mqtt::start(mqtt::ConnectionParts {
                mqtt: mqtt.clone(),
                device_id: config.device.id.clone(),
                area: config.device.area.clone(),
                offset_minutes,
                outbox: Arc::clone(outbox),
                state: states,
                routine: Arc::clone(&daemon.routine),
                command_key: config.commands.key,
                desired: daemon.desk.accepts().then_some(want),
                reported: reports_out,
                privacy: Privacy::new(&config),
                saw: daemon.report.clone(),
                clock: Arc::new(Labels { clock: daemon.clock.clone(), offset_minutes }),
            }));
        }
        info!("linekeeper {} watches for {}", env!("CARGO_PKG_VERSION"), config.device.id);
        Ok(daemon)
    }
}
