//! What is answered at the status socket.

use super::daemon::Daemon;
use super::show;
use super::socket::Request;
#[cfg(feature = "lab")]
use super::watchdog::Watchdog;
use crate::act::outbox::lock;
use linekeeper_contract::json;
#[cfg(feature = "lab")]
use linekeeper_contract::units::Span;
use linekeeper_judge::observation::Observation;
use serde_json::{Value, json};

/// The longest reason that is passed on, in characters: some sentences.
const REASON_MOST: usize = 500;

/// The lab leaps over at most so much of waiting for one test: the longest pace that a schedule has, and more.
#[cfg(feature = "lab")]
const HASTE_MOST: Span = Span::days(2);

/// How often the watchdog looks at a loop that was wedged on purpose.
#[cfg(feature = "lab")]
const WEDGED_LOOK: std::time::Duration = std::time::Duration::from_millis(100);

impl Daemon {
    pub(super) fn answer_request(&mut self, request: Request) -> Value {
        match request {
            Request::Status => self.status(),
            Request::Callback { reason } => {
                // What people type must not grow without bound into every message.
                let reason: String = reason.chars().filter(|c| !c.is_control()).take(REASON_MOST).collect();
                self.step(Observation::CallbackAsked { reason });
                let id = self.judge.asked_callback().map(str::to_string);
                // Without a way to the platform nobody will call, and whoever asked must know.
                let told = self.outbox.is_some() || self.hook.is_some();
                json!({ "callback_id": id, "told": told })
            }
            #[cfg(feature = "lab")]
            Request::Wedge => {
                let _dog = Watchdog::start(WEDGED_LOOK);
                loop {
                    std::thread::park();
                }
            }
            #[cfg(feature = "lab")]
            Request::Hasten => {
                self.leap_until = Some(self.clock.now() + HASTE_MOST);
                json!({ "hastens": true })
            }
        }
    }

    pub(super) fn status(&self) -> Value {
        let now = self.clock.now();
        let (waiting, dropped) = self.outbox.as_ref().map_or((0, 0), |o| {
            let outbox = lock(o);
            let d = outbox.dropped();
            (outbox.len(), d.events + d.callbacks + d.refused + d.damaged)
        });
        let answer = show::Answer {
            device_id: self.judge.config().device.id.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            running_ms: now.since(self.began).0,
            mqtt: self.judge.config().mqtt.is_some(),
            waiting,
            dropped,
            status: self.judge.status(now),
        };
        json::to_tree(&answer).unwrap_or_else(|e| json!({"error": format!("cannot write the status: {e}")}))
    }
}
