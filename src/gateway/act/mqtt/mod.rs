//! The connection to the MQTT broker. One task owns it.
//!
//! The outbox is the queue. rumqttc's own queue is discarded with each connection: every attempt gets a new client. On
//! every CONNACK we subscribe again and send every unacknowledged message again, in order. A message leaves the outbox
//! when the broker has acknowledged it (PUBACK). The platform recognises repetitions by their id.
//!
//! A dead connection is detected by a missing acknowledgement ([`ACK_LIMIT`]), long before the keep-alive would. The wait
//! before an attempt is uniform between zero and its cap (full jitter), so that a fleet does not reconnect all at once.

pub mod command;
mod connection;
mod ended;
mod keeper;
pub mod notice;
mod parts;
pub mod receipt;
mod receiving;
mod refusals;
mod sending;
mod summaries;
pub mod tls;

pub use self::connection::ACK_LIMIT;
pub use self::parts::{Clock, ConnectionParts};
pub use self::summaries::Routine;

use self::connection::AckPatience;
use self::keeper::Keeper;
use self::notice::Notices;
use self::summaries::routine;
use crate::act::outbox::lock;
use linekeeper_contract::units::Mono;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::debug;

/// How long a clean disconnect may take.
const END_WITHIN: Duration = Duration::from_secs(1);

/// The running connection.
#[derive(Debug)]
pub struct Mqtt {
    nudge: Arc<Notify>,
    stop: watch::Sender<Option<String>>,
    task: JoinHandle<()>,
}

impl Mqtt {
    /// Starts the task, which keeps trying to connect until [`Mqtt::end`]. An unreachable broker is no error.
    pub fn start(parts: ConnectionParts) -> Mqtt {
        let nudge = Arc::new(Notify::new());
        let new = lock(&parts.outbox).new_messages();
        let summary = Arc::clone(&routine(&parts.routine).new);
        let (stop, stopped) = watch::channel(None);
        let keeper = Keeper {
            root: format!("linekeeper/v1/{}/", parts.device_id),
            new,
            summary,
            notices: Notices::new(parts.area.as_deref()),
            parts,
            nudge: Arc::clone(&nudge),
            stopped,
            failures: 0,
            reached_before: false,
            unheard: 0,
            broker_index: 0,
            last_failure: None,
            last_refusal: None,
            trials: BTreeMap::new(),
            fruitless_connections: 0,
            patience: AckPatience::new(),
            takeovers: 0,
            manners: BTreeMap::new(),
            single_sends_left: 0,
            given_up: Vec::new(),
            summary_under_way: None,
            state_number: 0,
            disk_again: Mono(0),
            report_again: Mono(0),
        };
        Mqtt { nudge, stop, task: tokio::spawn(keeper.run()) }
    }

    /// Tells the task that the line is back: it connects within a second, and drops a connection with overdue
    /// acknowledgements.
    pub fn nudge(&self) {
        self.nudge.notify_one();
    }

    /// Publishes `online: false` with `reason` if connected, then ends the task. Takes at most a second.
    pub async fn end(self, reason: &str) {
        let Mqtt { stop, mut task, .. } = self;
        let _ = stop.send(Some(reason.to_owned()));
        if timeout(END_WITHIN, &mut task).await.is_err() {
            debug!("the broker did not let us go within {END_WITHIN:?}");
            task.abort();
        }
    }
}
