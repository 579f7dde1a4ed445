//! Time stamps that can be corrected later.
//!
//! A gateway has no battery clock and boots with a wrong date. A stamp therefore holds the boot and the uptime beside the
//! civil time. Once the clock is set, the stamps of the same boot are corrected before the message is sent.

use crate::units::{LocalTime, Wall};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// When something happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Civil time; `null` while it is unknown.
    pub wall: Option<LocalTime>,
    /// Whether the clock was set when `wall` was read.
    pub synced: bool,
    /// The boot in which it happened: the kernel's boot id.
    pub boot_id: String,
    /// Milliseconds from that boot to the event.
    pub uptime_ms: u64,
}

/// Corrects every [`Stamp`] in `message` that was made in this boot before the clock was set.
///
/// `boot_at` is the civil time at which this boot started, `offset_minutes` the time zone, minutes east of UTC. Stamps of
/// other boots stay unchanged and unsynced: their civil time cannot be known.
pub fn correct_stamps(message: &mut Value, boot_id: &str, boot_at: Wall, offset_minutes: i16) {
    match message {
        Value::Object(map) => {
            let uncorrected = map.get("synced") == Some(&Value::Bool(false))
                && map.get("boot_id").and_then(Value::as_str) == Some(boot_id);
            if let (true, Some(uptime)) = (uncorrected, map.get("uptime_ms").and_then(Value::as_i64)) {
                let at = LocalTime { wall: Wall(boot_at.0.saturating_add(uptime)), offset_minutes };
                map.insert("wall".into(), Value::String(at.to_string()));
                map.insert("synced".into(), Value::Bool(true));
                return;
            }
            for value in map.values_mut() {
                correct_stamps(value, boot_id, boot_at, offset_minutes);
            }
        }
        Value::Array(list) => {
            for value in list {
                correct_stamps(value, boot_id, boot_at, offset_minutes);
            }
        }
        _ => {}
    }
}
