//! Where does the fault lie? By elimination from the device outward; what was not checked is `unknown`, not false.
//!
//! | seen | domain |
//! |---|---|
//! | the WAN device is gone | `device` |
//! | taken down, or no carrier | `link` |
//! | no address, or no default route | `access` |
//! | the gateway answers, nothing beyond it does | `upstream` |
//! | the gateway used to answer and does not | `gateway` |
//! | the gateway never answers echoes (it may filter them) | `unknown` |

use super::outage::{Cause, Watch};
use crate::action::Rung;
use crate::message::Domain;
use crate::units::Mono;

/// The domain of a break that began at `since`.
pub fn domain(watch: &Watch, since: Mono) -> Domain {
    match watch.link_fault() {
        Some(Cause::NoDevice) => Domain::Device,
        Some(Cause::AdminDown | Cause::NoCarrier) => Domain::Link,
        Some(Cause::NoAddress | Cause::NoRoute) => Domain::Access,
        Some(Cause::Silence) | None => {
            if watch.gateway_answered_since(since) {
                Domain::Upstream
            } else if watch.gateway_answers() {
                Domain::Gateway
            } else {
                Domain::Unknown
            }
        }
    }
}

/// Whether a rung can do anything about a fault in this domain.
///
/// Beyond the operator's first router nothing on this side helps; without a carrier there is nobody to renew a lease
/// with; and a reboot needs more than not knowing.
pub const fn makes_sense(domain: Domain, rung: Rung) -> bool {
    match (domain, rung) {
        (Domain::Access | Domain::Gateway, _) => true,
        (Domain::Unknown, Rung::Renew | Rung::RestartInterface | Rung::PowerModem) => true,
        (Domain::Link, Rung::RestartInterface | Rung::PowerModem | Rung::Reboot) => true,
        (Domain::Device, Rung::RestartInterface | Rung::Reboot) => true,
        (Domain::Unknown, Rung::Reboot) => false,
        (Domain::Link, Rung::Renew) => false,
        (Domain::Device, Rung::Renew | Rung::PowerModem) => false,
        (Domain::Upstream | Domain::Lan | Domain::Server | Domain::Name | Domain::Portal, _) => false,
    }
}
