//! What the connection to the broker needs from the daemon.

use super::summaries::Routine;
use crate::act::outbox::Outbox;
use crate::privacy::Privacy;
use linekeeper_contract::message::Stamp;
use linekeeper_contract::units::{Mono, Wall};
use linekeeper_judge::config;
use linekeeper_judge::observation::Observation;
use serde_json::Value;
use std::sync::{Arc, Mutex};
use tokio::sync::{mpsc, watch};

/// The clock, as this part needs it.
pub trait Clock: Send + Sync {
    /// Our monotonic clock.
    fn now(&self) -> Mono;
    /// The current time, as it stands in messages.
    fn stamp(&self) -> Stamp;
    /// The civil time at which this boot began, if it is known.
    fn boot_at(&self) -> Option<Wall>;
}

/// What the connection needs from the daemon.
pub struct ConnectionParts {
    /// The configuration of the connection.
    pub mqtt: config::Mqtt,
    /// Part of every topic, and the client id.
    pub device_id: String,
    /// The operator's name for this part of the network, whose notices are listened for.
    pub area: Option<String>,
    /// The offset in which corrected times are shown.
    pub offset_minutes: i16,
    /// What waits to be sent.
    pub outbox: Arc<Mutex<Outbox>>,
    /// The body of the retained state; schema, ids, time, `online` and `dropped` are added here.
    pub state: watch::Receiver<Value>,
    /// Routine summaries.
    pub routine: Arc<Mutex<Routine>>,
    /// The key by which commands are signed, if there is one.
    pub command_key: Option<[u8; 32]>,
    /// Receives the payload of `config/desired`, unread; only the latest counts. `None`: not subscribed to.
    pub desired: Option<watch::Sender<Vec<u8>>>,
    /// The body of the retained `config/reported`; ids and time are added here. Null: nothing to report.
    pub reported: watch::Receiver<Value>,
    /// Where observations go.
    pub saw: mpsc::Sender<Observation>,
    /// What may leave the gateway.
    pub privacy: Privacy,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}
