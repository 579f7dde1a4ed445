//! The connection to the broker: one task owns it, and nothing that it was given is lost with it.
//!
//! The outbox is the queue. What rumqttc keeps of it in memory is thrown away with each connection: every attempt gets
//! a client of its own, and on every CONNACK the subscription is made and all that is not acknowledged is sent again,
//! in order. A message leaves the outbox when the broker acknowledged it (PUBACK), and the platform tells
//! repetitions by their id.
//!
//! A dead connection is noticed by the acknowledgement that does not come ([`ACK_LIMIT`]), long before the keep-alive
//! does. Waits between attempts are uniform between nothing and their cap (full jitter), so that a fleet does not come
//! back as a herd.

pub mod command;
mod connection;
mod ended;
mod keeper;
pub mod notice;
pub mod receipt;
mod receiving;
mod refusals;
mod sending;
mod summaries;
pub mod tls;
mod wiring;

pub use self::connection::ACK_LIMIT;
pub use self::summaries::Routine;
pub use self::wiring::{Time, Wiring};

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

/// How long saying goodbye may take.
const END_WITHIN: Duration = Duration::from_secs(1);

/// The running connection.
#[derive(Debug)]
pub struct Mqtt {
    nudge: Arc<Notify>,
    stop: watch::Sender<Option<String>>,
    task: JoinHandle<()>,
}

impl Mqtt {
    /// Begins to connect, and goes on for ever. A broker that is not there yet is normal.
    pub fn start(wiring: Wiring) -> Mqtt {
        let nudge = Arc::new(Notify::new());
        let new = lock(&wiring.outbox).new_messages();
        let summary = Arc::clone(&routine(&wiring.routine).new);
        let (stop, stopped) = watch::channel(None);
        let keeper = Keeper {
            root: format!("linekeeper/v1/{}/", wiring.device_id),
            new,
            summary,
            notices: Notices::new(wiring.area.as_deref()),
            wiring,
            nudge: Arc::clone(&nudge),
            stopped,
            failures: 0,
            stood: false,
            unheard: 0,
            turn: 0,
            last_failure: None,
            last_refusal: None,
            trials: BTreeMap::new(),
            barren: 0,
            careful: 0,
            given_up: Vec::new(),
            telling: None,
            states: 0,
            disk_again: Mono(0),
            report_again: Mono(0),
        };
        Mqtt { nudge, stop, task: tokio::spawn(keeper.run()) }
    }

    /// The line came back: connects within a second, and does not trust a connection that owes answers.
    pub fn nudge(&self) {
        self.nudge.notify_one();
    }

    /// Says goodbye (`online: false` with the reason) if connected, and ends. Takes at most a second.
    pub async fn end(self, reason: &str) {
        let Mqtt { stop, mut task, .. } = self;
        let _ = stop.send(Some(reason.to_owned()));
        if timeout(END_WITHIN, &mut task).await.is_err() {
            debug!("the broker did not let us go within {END_WITHIN:?}");
            task.abort();
        }
    }
}
