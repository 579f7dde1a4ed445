//! Routine summaries that wait for the broker: in memory only, the oldest dropped when there are too many.

use linekeeper_contract::message::Telemetry;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Routine summaries that wait in memory: two days of them at one an hour. The oldest gives way, and is counted.
const SUMMARIES: usize = 48;

/// Routine summaries on their way: in memory only, the oldest dropped when there are too many.
#[derive(Debug, Default)]
pub struct Routine {
    pub(super) waiting: VecDeque<Telemetry>,
    pub(super) dropped: u64,
    pub(super) new: Arc<Notify>,
}

impl Routine {
    /// Adds a summary; the oldest is dropped when there are too many.
    pub fn push(&mut self, summary: Telemetry) {
        if self.waiting.len() >= SUMMARIES {
            self.waiting.pop_front();
            self.dropped += 1;
        }
        self.waiting.push_back(summary);
        self.new.notify_one();
    }
}

pub(super) fn routine(summaries: &Mutex<Routine>) -> MutexGuard<'_, Routine> {
    summaries.lock().unwrap_or_else(PoisonError::into_inner)
}
