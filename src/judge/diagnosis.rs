//! Locates the fault by elimination, from the device outward. What was not checked is `unknown`, not false.
//!
//! Policy, in prose: the kernel's state of the device comes first, then the source of the address (DHCP or PPPoE), then the
//! first router on the other side, then everything beyond it. The first one proven faulty is the domain. Proof is an
//! answer, or no answer to a check that was made; a check that was not or could not be made proves nothing. An unanswered
//! echo proves less than an unanswered address request (ARP, neighbour discovery): routers may filter the former and need
//! the latter.
//!
//! | the link | the access | the gateway | domain |
//! |---|---|---|---|
//! | any, and netifd cannot use the interface's settings | | | `device` |
//! | the WAN device is gone | | | `device` |
//! | the same on a PPPoE line, whose device goes with its session | whatever PPPoE says | | `access` |
//! | taken down, or no carrier | | | `link` |
//! | no address, or no default route | whatever DHCP or PPPoE says | | `access` |
//! | the same on a line with a fixed address | | | `device`: only this gateway configures it |
//! | whole | | answers echoes | `upstream` |
//! | whole | PPPoE: no concentrator, or it refuses | does not | `access` |
//! | whole | PPPoE: a concentrator | does not | `unknown`: the session itself is not seen |
//! | whole | DHCP refuses | answers its address, no echoes | `access`: the lease is void |
//! | whole | DHCP offers, or a fixed address | answers its address, no echoes | `upstream`: no fault at the gateway |
//! | whole | DHCP silent, or not asked | answers its address, no echoes | `unknown`: a server may ignore a client that has a lease |
//! | whole | | does not answer its address | `gateway` |
//! | whole | | its address was not asked; echoes it used to answer | `gateway` |
//! | whole | | its address was not asked; it never answered echoes | `unknown` |
//!
//! While the line is up and carries packets:
//!
//! | the web | the names | finding | domain |
//! |---|---|---|---|
//! | a foreign page in between | any (a login portal answers for every name) | `portal` | `portal` |
//! | | a resolver answers for a name that does not exist | `no_names` | `name` |
//! | | every configured resolver is silent or refuses | `no_names` | `name` |
//! | silent or refused (a server of its own), or the page | one resolver answers | none | |

pub use super::outage::line::GatewayEcho;

use super::outage::line::Cause;
use crate::check::Said;
use linekeeper_contract::message::{Domain, Finding};
use linekeeper_contract::vocabulary::Protocol;
use linekeeper_contract::vocabulary::Rung;

/// All that a break is located by. `None`: not checked since it began, or it could not be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// What the link itself says is wrong.
    pub link: Option<Cause>,
    /// How the line gets its address.
    pub protocol: Protocol,
    /// Echoes to the gateway.
    pub gateway: GatewayEcho,
    /// The gateway's link-layer address.
    pub neighbour: Option<Said>,
    /// A DHCPDISCOVER.
    pub dhcp: Option<Said>,
    /// A PADI.
    pub pppoe: Option<Said>,
    /// netifd cannot use the settings of the interface: nothing runs its protocol, or it refuses them.
    pub ill_set: bool,
}

/// A piece of evidence for a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// What the link says.
    Link(Cause),
    /// The address is fixed.
    Fixed,
    /// netifd cannot use the interface's settings.
    IllSet,
    /// The gateway answers echoes.
    GatewayAnswers,
    /// The gateway stopped answering echoes.
    GatewayStopped,
    /// The gateway never answered echoes.
    GatewayNever,
    /// The gateway's link-layer address is answered.
    NeighbourAnswers,
    /// It is not answered.
    NeighbourSilent,
    /// A lease is offered.
    DhcpOffers,
    /// DHCP refuses.
    DhcpRefuses,
    /// DHCP is silent.
    DhcpSilent,
    /// A PPPoE concentrator answers.
    PppoeAnswers,
    /// The concentrator refuses.
    PppoeRefuses,
    /// No concentrator answers.
    PppoeSilent,
    /// Resolvers are silent or refuse.
    NamesDead,
    /// A resolver answers for what does not exist.
    NamesForged,
    /// Somebody in between answers in the web server's place.
    WebForged,
}

impl By {
    /// A description in words.
    pub const fn words(self) -> &'static str {
        match self {
            By::Link(cause) => cause.words(),
            By::Fixed => "the address is fixed, nobody gives it",
            By::IllSet => "netifd cannot use the interface's settings",
            By::GatewayAnswers => "the gateway answers echoes, nothing beyond it does",
            By::GatewayStopped => "the gateway stopped answering echoes",
            By::GatewayNever => "the gateway never answered echoes",
            By::NeighbourAnswers => "the gateway's address is answered",
            By::NeighbourSilent => "the gateway's address is not answered",
            By::DhcpOffers => "the DHCP server offers a lease",
            By::DhcpRefuses => "the DHCP server refuses",
            By::DhcpSilent => "the DHCP server is silent",
            By::PppoeAnswers => "a PPPoE concentrator answers",
            By::PppoeRefuses => "the PPPoE concentrator refuses",
            By::PppoeSilent => "no PPPoE concentrator answers",
            By::NamesDead => "no configured resolver answers",
            By::NamesForged => "a resolver answers for a name that does not exist",
            By::WebForged => "somebody in between answers in the web's place",
        }
    }
}

/// A fault domain and its evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Where the fault lies.
    pub domain: Domain,
    /// The evidence, from near to far.
    pub by: &'static [By],
}

impl Placed {
    /// The evidence in one line.
    pub fn words(&self) -> String {
        self.by.iter().map(|by| by.words()).collect::<Vec<_>>().join("; ")
    }
}

/// The domain of a break: the first table above.
pub const fn place(seen: &Seen) -> Placed {
    const fn placed(domain: Domain, by: &'static [By]) -> Placed {
        Placed { domain, by }
    }
    if seen.ill_set && seen.link.is_some() {
        return placed(Domain::Device, &[By::IllSet]);
    }
    match seen.link {
        Some(Cause::NoDevice) if matches!(seen.protocol, Protocol::Pppoe) => {
            return match seen.pppoe {
                Some(Said::Silent) => placed(Domain::Access, &[By::Link(Cause::NoDevice), By::PppoeSilent]),
                Some(Said::Refused) => placed(Domain::Access, &[By::Link(Cause::NoDevice), By::PppoeRefuses]),
                Some(Said::Answered) => {
                    placed(Domain::Access, &[By::Link(Cause::NoDevice), By::PppoeAnswers])
                }
                Some(Said::Forged | Said::NotChecked) | None => {
                    placed(Domain::Access, &[By::Link(Cause::NoDevice)])
                }
            };
        }
        Some(Cause::NoDevice) => return placed(Domain::Device, &[By::Link(Cause::NoDevice)]),
        Some(Cause::AdminDown) => return placed(Domain::Link, &[By::Link(Cause::AdminDown)]),
        Some(Cause::NoCarrier) => return placed(Domain::Link, &[By::Link(Cause::NoCarrier)]),
        Some(Cause::NoAddress) => return no_address(seen),
        Some(Cause::NoRoute) => {
            return match seen.protocol {
                Protocol::Static => placed(Domain::Device, &[By::Link(Cause::NoRoute), By::Fixed]),
                Protocol::Dhcp | Protocol::Pppoe => placed(Domain::Access, &[By::Link(Cause::NoRoute)]),
            };
        }
        Some(Cause::Silence) | None => {}
    }
    if matches!(seen.gateway, GatewayEcho::Answers) {
        return placed(Domain::Upstream, &[By::GatewayAnswers]);
    }
    if matches!(seen.protocol, Protocol::Pppoe) {
        return match seen.pppoe {
            Some(Said::Silent) => placed(Domain::Access, &[By::PppoeSilent]),
            Some(Said::Refused) => placed(Domain::Access, &[By::PppoeRefuses]),
            Some(Said::Answered) => placed(Domain::Unknown, &[By::PppoeAnswers]),
            Some(Said::Forged | Said::NotChecked) | None => by_echoes(seen.gateway),
        };
    }
    match seen.neighbour {
        Some(Said::Answered) => match (seen.protocol, seen.dhcp) {
            (Protocol::Static, _) => placed(Domain::Upstream, &[By::NeighbourAnswers, By::Fixed]),
            (_, Some(Said::Answered)) => placed(Domain::Upstream, &[By::NeighbourAnswers, By::DhcpOffers]),
            (_, Some(Said::Refused)) => placed(Domain::Access, &[By::NeighbourAnswers, By::DhcpRefuses]),
            (_, Some(Said::Silent)) => placed(Domain::Unknown, &[By::NeighbourAnswers, By::DhcpSilent]),
            (_, Some(Said::Forged | Said::NotChecked) | None) => {
                placed(Domain::Unknown, &[By::NeighbourAnswers])
            }
        },
        Some(Said::Silent) => placed(Domain::Gateway, &[By::NeighbourSilent]),
        Some(Said::Refused | Said::Forged | Said::NotChecked) | None => by_echoes(seen.gateway),
    }
}

const fn no_address(seen: &Seen) -> Placed {
    let (domain, by): (Domain, &'static [By]) = match (seen.protocol, seen.dhcp, seen.pppoe) {
        (Protocol::Static, _, _) => (Domain::Device, &[By::Link(Cause::NoAddress), By::Fixed]),
        (Protocol::Dhcp, Some(Said::Answered), _) => {
            (Domain::Access, &[By::Link(Cause::NoAddress), By::DhcpOffers])
        }
        (Protocol::Dhcp, Some(Said::Refused), _) => {
            (Domain::Access, &[By::Link(Cause::NoAddress), By::DhcpRefuses])
        }
        (Protocol::Dhcp, Some(Said::Silent), _) => {
            (Domain::Access, &[By::Link(Cause::NoAddress), By::DhcpSilent])
        }
        (Protocol::Pppoe, _, Some(Said::Answered)) => {
            (Domain::Access, &[By::Link(Cause::NoAddress), By::PppoeAnswers])
        }
        (Protocol::Pppoe, _, Some(Said::Refused)) => {
            (Domain::Access, &[By::Link(Cause::NoAddress), By::PppoeRefuses])
        }
        (Protocol::Pppoe, _, Some(Said::Silent)) => {
            (Domain::Access, &[By::Link(Cause::NoAddress), By::PppoeSilent])
        }
        (Protocol::Dhcp | Protocol::Pppoe, _, _) => (Domain::Access, &[By::Link(Cause::NoAddress)]),
    };
    Placed { domain, by }
}

const fn by_echoes(gateway: GatewayEcho) -> Placed {
    match gateway {
        GatewayEcho::Answers => Placed { domain: Domain::Upstream, by: &[By::GatewayAnswers] },
        GatewayEcho::Stopped => Placed { domain: Domain::Gateway, by: &[By::GatewayStopped] },
        GatewayEcho::Never => Placed { domain: Domain::Unknown, by: &[By::GatewayNever] },
    }
}

/// What is wrong with the service of a line that is up: the second table above.
pub const fn reach(names: Option<Said>, web: Option<Said>) -> Option<(Finding, Placed)> {
    match (web, names) {
        (Some(Said::Forged), _) => {
            Some((Finding::Portal, Placed { domain: Domain::Portal, by: &[By::WebForged] }))
        }
        (_, Some(Said::Forged)) => {
            Some((Finding::NoNames, Placed { domain: Domain::Name, by: &[By::NamesForged] }))
        }
        (_, Some(Said::Silent | Said::Refused)) => {
            Some((Finding::NoNames, Placed { domain: Domain::Name, by: &[By::NamesDead] }))
        }
        (_, Some(Said::Answered | Said::NotChecked) | None) => None,
    }
}

/// Whether a remedy can help against a fault in this domain.
///
/// Nothing on this side helps against a fault beyond the operator's first router. Without a carrier there is no server to
/// renew a lease with. An unknown domain does not justify a reboot. For DNS only another resolver helps. Behind a login
/// page somebody has to log in.
pub const fn makes_sense(domain: Domain, rung: Rung) -> bool {
    match (domain, rung) {
        (
            Domain::Access | Domain::Gateway,
            Rung::Renew | Rung::RestartInterface | Rung::RestartNetwork | Rung::PowerModem | Rung::Reboot,
        ) => true,
        (Domain::Unknown, Rung::Renew | Rung::RestartInterface | Rung::RestartNetwork | Rung::PowerModem) => {
            true
        }
        (Domain::Link, Rung::RestartInterface | Rung::RestartNetwork | Rung::PowerModem | Rung::Reboot) => {
            true
        }
        (Domain::Device, Rung::RestartInterface | Rung::RestartNetwork | Rung::Reboot) => true,
        (Domain::Name, Rung::OtherResolver) => true,
        (
            Domain::Access | Domain::Gateway | Domain::Link | Domain::Unknown | Domain::Device,
            Rung::OtherResolver,
        ) => false,
        (Domain::Unknown, Rung::Reboot) => false,
        (Domain::Link, Rung::Renew) => false,
        (Domain::Device, Rung::Renew | Rung::PowerModem) => false,
        (
            Domain::Name,
            Rung::Renew | Rung::RestartInterface | Rung::RestartNetwork | Rung::PowerModem | Rung::Reboot,
        ) => false,
        (Domain::Upstream | Domain::Lan | Domain::Server | Domain::Portal, _) => false,
    }
}

/// Whether a remedy exists on a line with this protocol: only a DHCP lease can be renewed.
pub const fn fits(protocol: Protocol, rung: Rung) -> bool {
    match (protocol, rung) {
        (Protocol::Dhcp, _) => true,
        (Protocol::Pppoe | Protocol::Static, Rung::Renew) => false,
        (Protocol::Pppoe | Protocol::Static, _) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: Seen = Seen {
        link: None,
        protocol: Protocol::Dhcp,
        gateway: GatewayEcho::Never,
        neighbour: None,
        dhcp: None,
        pppoe: None,
        ill_set: false,
    };

    #[test]
    fn the_table() {
        use Said::{Answered, Forged, NotChecked, Refused, Silent};
        let at = |seen: Seen, domain: Domain| {
            let placed = place(&seen);
            assert_eq!(placed.domain, domain, "{seen:?}");
            assert!(!placed.words().is_empty());
        };
        let link = |link, protocol| Seen { link: Some(link), protocol, ..WHOLE };
        at(link(Cause::NoDevice, Protocol::Dhcp), Domain::Device);
        at(link(Cause::NoDevice, Protocol::Pppoe), Domain::Access);
        at(link(Cause::AdminDown, Protocol::Pppoe), Domain::Link);
        at(link(Cause::NoCarrier, Protocol::Static), Domain::Link);
        for cause in [Cause::NoAddress, Cause::NoRoute] {
            at(link(cause, Protocol::Dhcp), Domain::Access);
            at(link(cause, Protocol::Pppoe), Domain::Access);
            at(link(cause, Protocol::Static), Domain::Device);
        }
        // What the kernel says stands, whatever was answered.
        let answered = Seen { neighbour: Some(Answered), dhcp: Some(Answered), ..WHOLE };
        at(Seen { link: Some(Cause::NoCarrier), ..answered }, Domain::Link);
        for link in [Cause::NoAddress, Cause::AdminDown, Cause::NoRoute] {
            at(Seen { link: Some(link), ill_set: true, ..answered }, Domain::Device);
        }
        at(Seen { ill_set: true, gateway: GatewayEcho::Answers, ..WHOLE }, Domain::Upstream);
        at(Seen { link: Some(Cause::NoAddress), ..answered }, Domain::Access);
        at(Seen { gateway: GatewayEcho::Answers, neighbour: Some(Silent), ..WHOLE }, Domain::Upstream);
        // Its address answers: no fault at the gateway, whatever its echoes do.
        for gateway in [GatewayEcho::Stopped, GatewayEcho::Never] {
            let dhcp = |dhcp| Seen { gateway, neighbour: Some(Answered), dhcp, ..WHOLE };
            at(dhcp(Some(Answered)), Domain::Upstream);
            at(dhcp(Some(Refused)), Domain::Access);
            for unknown in [None, Some(Silent), Some(NotChecked), Some(Forged)] {
                at(dhcp(unknown), Domain::Unknown);
            }
            at(Seen { protocol: Protocol::Static, ..dhcp(None) }, Domain::Upstream);
            at(Seen { gateway, neighbour: Some(Silent), dhcp: Some(Answered), ..WHOLE }, Domain::Gateway);
        }
        // Not asked, or not to be asked: unknown, and not false.
        for neighbour in [None, Some(NotChecked)] {
            at(Seen { neighbour, ..WHOLE }, Domain::Unknown);
            at(Seen { neighbour, gateway: GatewayEcho::Stopped, ..WHOLE }, Domain::Gateway);
        }
        let session = |pppoe| Seen { protocol: Protocol::Pppoe, pppoe, ..WHOLE };
        at(session(Some(Silent)), Domain::Access);
        at(session(Some(Refused)), Domain::Access);
        at(session(Some(Answered)), Domain::Unknown);
        at(session(None), Domain::Unknown);
    }

    #[test]
    fn names_and_the_web() {
        use Said::{Answered, Forged, NotChecked, Refused, Silent};
        let found = |names, web| reach(names, web).map(|(finding, placed)| (finding, placed.domain));
        let name = Some((Finding::NoNames, Domain::Name));
        for wrong in [Silent, Refused, Forged] {
            assert_eq!(found(Some(wrong), None), name);
            assert_eq!(found(Some(wrong), Some(Silent)), name);
            assert_eq!(found(Some(wrong), Some(Forged)), Some((Finding::Portal, Domain::Portal)));
        }
        for web in [None, Some(Silent), Some(Refused), Some(Answered), Some(NotChecked)] {
            assert_eq!(found(Some(Answered), web), None, "a web server of its own: {web:?}");
            assert_eq!(found(None, web), None);
        }
    }
}
