//! Decides how urgent a kernel notification is for the watch of the WAN device.

use super::tables::{LOWER_UP, UP, name_in};
use crate::sense::netlink::{
    RTM_DELADDR, RTM_DELLINK, RTM_DELROUTE, RTM_NEWADDR, RTM_NEWLINK, RTM_NEWROUTE, u32_at,
};

/// How urgent a notification is; later variants are more urgent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum News {
    /// Irrelevant.
    Nothing,
    /// A change whose burst is over: read the tables.
    Settled,
    /// Read the tables when the burst is over.
    Change,
    /// The device may have lost its carrier or be gone: read the tables now.
    Loss,
}

/// The urgency of a notification. `watched` are the indexes of the device and its port (0: none), `names` their names.
pub(super) fn classify(kind: u16, body: &[u8], watched: [u32; 2], names: [Option<&[u8]>; 2]) -> News {
    let index = u32_at(body, 4);
    let ours = index.is_some_and(|index| index != 0 && watched.contains(&index));
    match kind {
        RTM_DELLINK if ours => News::Loss,
        RTM_NEWLINK if ours => match u32_at(body, 8) {
            Some(flags) if flags & UP != 0 && flags & LOWER_UP != 0 => News::Change,
            _ => News::Loss,
        },
        // The device may be back with another index, or renamed to the wanted name.
        RTM_NEWLINK => match name_in(body) {
            found @ Some(_) if names.contains(&found) => News::Change,
            _ => News::Nothing,
        },
        RTM_NEWADDR | RTM_DELADDR if ours => News::Change,
        // Only default routes matter, of any device: destination length 0.
        RTM_NEWROUTE | RTM_DELROUTE if body.get(1) == Some(&0) => News::Change,
        _ => News::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tables::Tables;
    use super::*;

    #[test]
    fn truncated_messages_are_ignored() {
        let mut read = Tables::default();
        // A default route (main table, unicast) with an attribute that claims more than there is.
        let mut route = vec![2, 0, 0, 0, 254, 0, 0, 1, 0, 0, 0, 0];
        route.extend_from_slice(&[200, 0, 4, 0, 1]);
        for length in 0..=route.len() {
            read.add_route(&route[..length]);
            read.add_address(&route[..length]);
            read.add_link(&route[..length]);
            classify(RTM_NEWLINK, &route[..length], [1, 0], [None, None]);
        }
        assert!(read.routes.is_empty() && read.devices.is_empty());
    }
}
