//! What a diagnosis saw of the line and of this gateway.

use linekeeper_contract::units::Mono;
use linekeeper_contract::vocabulary::Protocol;
use linekeeper_judge::check::{Ask, Checked, DeviceSeen, Reply, Said};
use linekeeper_judge::checks::sum_up;
use linekeeper_judge::config::Role;
use linekeeper_judge::diagnosis::{GatewayEcho, Placed, Seen, place};
use linekeeper_judge::observation::{Interface, Link, Obstacle};
use linekeeper_judge::outage::Cause;

/// What became of the echoes to one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Echo {
    /// The shortest round trip, microseconds.
    Answered(u32),
    Silent,
    NotSent(Obstacle),
}

/// All that was seen.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) protocol: Protocol,
    /// The WAN device's name; empty while none is known.
    pub(super) device: String,
    pub(super) link: Link,
    /// `None`: there is no gateway to ask, or it is not to be asked.
    pub(super) gateway: Option<Echo>,
    /// Host, role, and what it did.
    pub(super) targets: Vec<(String, Role, Echo)>,
    pub(super) checks: Vec<Checked>,
    /// OpenWrt's name of the interface and how netifd sees it, where it was to be asked; in words why it could not.
    pub(super) interface: Option<Result<(String, Interface), String>>,
    pub(super) seen: DeviceSeen,
    pub(super) hands_off: Option<String>,
}

impl Facts {
    pub(super) fn replies(&self, ask: Ask) -> &[Reply] {
        self.checks.iter().find(|checked| checked.ask == ask).map_or(&[], |checked| &checked.replies)
    }

    pub(super) fn said(&self, ask: Ask, said: Said) -> Option<&Reply> {
        self.replies(ask).iter().find(|reply| reply.said == said)
    }

    /// A layer's replies taken together, as the judge does.
    pub(super) fn summed(&self, ask: Ask) -> Option<Said> {
        self.checks.iter().find(|checked| checked.ask == ask).map(|checked| sum_up(checked, Mono(0)).said)
    }

    /// Where a break lies, by the judge's table.
    pub(super) fn place(&self) -> Placed {
        place(&Seen {
            link: Cause::of(&self.link),
            protocol: self.protocol,
            gateway: match self.gateway {
                Some(Echo::Answered(_)) => GatewayEcho::Answers,
                // Whether it ever did is not known here.
                _ => GatewayEcho::Never,
            },
            neighbour: self.summed(Ask::Neighbour),
            dhcp: self.summed(Ask::Dhcp),
            pppoe: self.summed(Ask::Pppoe),
            ill_set: matches!(&self.interface, Some(Ok((_, is))) if is.is_ill_set()),
        })
    }
}

#[cfg(test)]
pub(super) mod samples {
    use super::*;
    use linekeeper_judge::check::CheckId;
    use linekeeper_judge::observation::Link;

    pub(in super::super) fn healthy() -> Facts {
        Facts {
            protocol: Protocol::Dhcp,
            device: "wan".into(),
            link: Link {
                present: true,
                admin_up: true,
                carrier: true,
                addresses: vec!["192.0.2.2".parse().unwrap()],
                gateway: "192.0.2.1".parse().ok(),
                default_route: true,
                speed: None,
                half_duplex: false,
            },
            gateway: Some(Echo::Answered(40)),
            targets: vec![
                ("198.51.100.1".into(), Role::Anchor, Echo::Answered(900)),
                ("203.0.113.53".into(), Role::World, Echo::Answered(9_000)),
            ],
            checks: Vec::new(),
            interface: None,
            seen: DeviceSeen::default(),
            hands_off: None,
        }
    }

    pub(in super::super) fn with(mut facts: Facts, ask: Ask, said: &[(Said, bool)]) -> Facts {
        let replies = said.iter().enumerate().map(|(n, (said, independent))| Reply {
            whom: format!("r{n}"),
            said: *said,
            took_us: None,
            independent: *independent,
            detail: "in words".into(),
        });
        facts.checks.push(Checked { check: CheckId(0), ask, replies: replies.collect() });
        facts
    }

    pub(in super::super) fn dead_beyond(mut facts: Facts) -> Facts {
        facts.targets.iter_mut().for_each(|target| target.2 = Echo::Silent);
        facts
    }

    pub(in super::super) fn link(change: impl FnOnce(&mut Link)) -> Facts {
        let mut facts = dead_beyond(healthy());
        change(&mut facts.link);
        facts
    }
}
