//! Which messages damage took from the outbox's file.

use super::record::Place;
use std::collections::BTreeSet;

/// Which messages a file speaks of.
#[derive(Default)]
pub(super) struct Mentioned {
    /// The last mark's place.
    pub(super) mark: Option<Place>,
    /// What waited then, by first and last of each row.
    pub(super) waited: Vec<(Place, Place)>,
    /// Those with a line of their own that can be read.
    pub(super) seen: BTreeSet<Place>,
}

/// Adds to `missing` the rows between `first` and `last`, both of one life, of which nothing is seen.
pub(super) fn gaps(seen: &BTreeSet<Place>, first: Place, last: Place, missing: &mut Vec<(Place, Place)>) {
    if first > last {
        return;
    }
    let mut next = Some(first);
    for place in seen.range(first..=last) {
        if let Some(from) = next.filter(|from| from < place) {
            missing.push((from, Place { number: place.number - 1, ..*place }));
        }
        next = place.next();
    }
    if let Some(from) = next.filter(|from| *from <= last) {
        missing.push((from, last));
    }
}

/// Whether this is one that damage took: then it is not any more.
pub(super) fn take_from_missing(missing: &mut Vec<(Place, Place)>, place: Place) -> bool {
    let Some(at) = missing.iter().position(|(first, last)| (*first..=*last).contains(&place)) else {
        return false;
    };
    let (first, last) = missing.swap_remove(at);
    if first < place {
        missing.push((first, Place { number: place.number - 1, ..place }));
    }
    if let Some(next) = place.next().filter(|next| *next <= last) {
        missing.push((next, last));
    }
    true
}
