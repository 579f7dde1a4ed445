//! How a judge is written into a snapshot, and read from one.

use super::concerns::Concerns;
use super::core::Core;
use super::flight::recorder::Flight;
use super::numbers::Numbers;
use super::snapshot::{Kept, Parts};
use super::usage::usual::Usual;
use serde_json::Value;

/// The snapshot's version. A reader refuses others rather than to misread them.
pub const SNAPSHOT_VERSION: u32 = 1;

/// Writes it. `usual` is only in what a trace begins with: on flash it is kept apart.
pub(super) fn write(
    core: &Core,
    concerns: &Concerns,
    numbers: &Numbers,
    flight: bool,
    usual: Option<&Usual>,
) -> Result<Value, String> {
    let mut state = Parts::default();
    core.save(numbers, &mut state);
    concerns.save(&mut state);
    let mut parts = Parts::default();
    parts.put("version", &SNAPSHOT_VERSION);
    if flight && !core.shared.flight.is_empty() {
        parts.put("flight", &core.shared.flight);
    }
    if let Some(usual) = usual {
        parts.put("usual", usual);
    }
    let written = state.whole().and_then(|state| {
        parts.put_tree("state", state);
        parts.whole()
    });
    written.map_err(|e| format!("cannot write the judge's state as JSON: {e}"))
}

/// Reads it. What is usual on this line is given back.
///
/// # Errors
/// In words, when it is not a snapshot of this version.
pub(super) fn read(
    snapshot: &Value,
    core: &mut Core,
    concerns: &mut Concerns,
    numbers: &mut Numbers,
) -> Result<Usual, String> {
    match snapshot.get("version").and_then(Value::as_u64) {
        Some(v) if v == u64::from(SNAPSHOT_VERSION) => {}
        Some(v) => {
            return Err(format!("the snapshot has version {v}, this program reads {SNAPSHOT_VERSION}"));
        }
        None => return Err("the snapshot has no version".into()),
    }
    parts(snapshot, core, concerns, numbers).map_err(|e| format!("the snapshot is not readable: {e}"))
}

fn parts(
    snapshot: &Value,
    core: &mut Core,
    concerns: &mut Concerns,
    numbers: &mut Numbers,
) -> Result<Usual, String> {
    let kept = Kept::of(snapshot).ok_or("it is no object")?;
    let state = kept.part("state")?;
    core.load(&state, numbers)?;
    concerns.load(&state)?;
    core.shared.flight = kept.get::<Option<Flight>>("flight")?.unwrap_or_default();
    Ok(kept.get::<Option<Usual>>("usual")?.unwrap_or_default())
}
