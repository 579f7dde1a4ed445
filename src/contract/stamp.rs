//! When a fact happened, written so that it can be corrected later.

use crate::units::{LocalTime, Wall};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// When something was, said so that it can be corrected later: gateways boot with a wrong date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Civil time; `null` while it is not known at all.
    pub wall: Option<LocalTime>,
    /// Whether `wall` comes from a clock that was set.
    pub synced: bool,
    /// The boot in which it was.
    pub boot_id: String,
    /// Milliseconds from that boot to the moment.
    pub uptime_ms: u64,
}

/// Corrects every [`Stamp`] inside `message` that was made before the clock was set in the same boot.
///
/// `boot_at` is the civil time at which that boot began, as known now. Stamps of other boots stay as they are and
/// stay marked: for them it cannot be known.
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
