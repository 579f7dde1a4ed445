//! How the outbox is locked.

use crate::act::outbox::Outbox;
use std::sync::{Mutex, PoisonError};

/// The outbox is used by one thread; a panic while it was held cannot be survived anyway.
pub(super) fn lock(outbox: &Mutex<Outbox>) -> std::sync::MutexGuard<'_, Outbox> {
    outbox.lock().unwrap_or_else(PoisonError::into_inner)
}
