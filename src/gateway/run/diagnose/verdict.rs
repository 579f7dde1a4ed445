//! Where the fault lies, by elimination from the device outward: a pure function of what was seen.

use super::facts::{Echo, Facts};
use linekeeper_contract::message::Domain;
use linekeeper_contract::vocabulary::Protocol;
use linekeeper_judge::check::{Ask, Said};
use linekeeper_judge::diagnosis::reach;
use linekeeper_judge::observation::{Interface, Obstacle};
use std::fmt::Write as _;

/// Where the fault lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    /// `None`: there is none.
    pub(super) domain: Option<Domain>,
    /// What shows it.
    pub(super) carried_by: String,
    /// What to do about it.
    pub(super) advice: String,
}

/// Locates the fault by elimination, from the device outward. A layer that was not checked proves nothing.
pub(super) fn verdict(facts: &Facts) -> Verdict {
    let link = &facts.link;
    let device = if facts.device.is_empty() { "the WAN device" } else { facts.device.as_str() };
    let fault = |domain, carried_by: String, advice: &str| Verdict {
        domain: Some(domain),
        carried_by,
        advice: advice.to_owned(),
    };
    let domain = facts.place().domain;
    let whole = link.present && link.admin_up && !link.addresses.is_empty() && link.default_route;
    if let (Some(Ok((name, is))), false) = (&facts.interface, whole) {
        let words = format!("{name} {}", is.words());
        match is {
            Interface::TakenDown => {
                return fault(Domain::Link, words, &format!("take it up: `ifup {name}`, or LuCI's button"));
            }
            Interface::NoProtocol => return fault(domain, words, "install that package"),
            Interface::Refused(_) => {
                return fault(domain, words, "correct the interface's settings in /etc/config/network");
            }
            Interface::Up
            | Interface::Pending
            | Interface::Waiting
            | Interface::NoDevice
            | Interface::Gone => {}
        }
    }
    if !link.present {
        let words = if facts.device.is_empty() {
            "no device has a default route, and none is configured".to_owned()
        } else {
            format!("there is no device {device}")
        };
        return fault(domain, words, "look at `ip link`, and set line.device to the line's");
    }
    if !link.admin_up {
        let words = format!("{device} is switched off on this gateway");
        return fault(domain, words, "take the interface up (`ifup`, `ip link set … up`)");
    }
    if !link.carrier {
        let words = format!("{device} has no carrier");
        return fault(domain, words, "look at the cable, and at the modem and its power");
    }
    if let Some(verdict) = access_verdict(facts, device) {
        return verdict;
    }
    // A portal that answers with its own page is on the path, whatever else it lets through.
    if let Some(forged) = facts.said(Ask::Web, Said::Forged) {
        let words = format!("a login page or a filter answers for {}: {}", forged.whom, forged.detail);
        return fault(
            Domain::Portal,
            words,
            "open a web page and log in, or ask the operator about the filter",
        );
    }
    let answered: Vec<&str> = facts
        .targets
        .iter()
        .filter(|(_, _, echo)| matches!(echo, Echo::Answered(_)))
        .map(|(host, _, _)| host.as_str())
        .collect();
    let web = facts.said(Ask::Web, Said::Answered).is_some();
    if answered.is_empty() && !web {
        return beyond_the_gateway(facts, device);
    }
    if let Some(verdict) = name_verdict(facts) {
        return verdict;
    }
    let silent = |said| facts.said(Ask::Web, said);
    if let Some(reply) = silent(Said::Silent).or_else(|| silent(Said::Refused)) {
        let words =
            format!("the line carries, only {} does not answer as it should: {}", reply.whom, reply.detail);
        return fault(Domain::Server, words, "nothing at the line; ask who runs that server");
    }
    let carried_by = match (answered.len(), facts.targets.len()) {
        (0, _) => "the web answers (the targets do not: they may filter echoes)".to_owned(),
        (n, all) if n == all => "all targets answer".to_owned(),
        (n, all) => format!("{n} of {all} targets answer: the others alone are silent"),
    };
    Verdict { domain: None, carried_by, advice: "nothing".to_owned() }
}

/// Checks for an address and a default route.
fn access_verdict(facts: &Facts, device: &str) -> Option<Verdict> {
    let link = &facts.link;
    let missing = match (link.addresses.is_empty(), link.default_route) {
        (true, _) => "address",
        (false, false) => "default route",
        (false, true) => return None,
    };
    let mut carried_by = format!("{device} has a carrier and no {missing}");
    let offered = facts.said(Ask::Dhcp, Said::Answered).or_else(|| facts.said(Ask::Pppoe, Said::Answered));
    let advice = if let Some(reply) = offered {
        let _ = write!(carried_by, ", although {} offers one ({})", reply.whom, reply.detail);
        "take the interface down and up (`ifup`): the access network would answer"
    } else if let Some(reply) =
        facts.said(Ask::Dhcp, Said::Refused).or_else(|| facts.said(Ask::Pppoe, Said::Refused))
    {
        let _ = write!(carried_by, "; {} refuses: {}", reply.whom, reply.detail);
        "call the operator: the access network refuses this line"
    } else if facts.said(Ask::Dhcp, Said::Silent).or_else(|| facts.said(Ask::Pppoe, Said::Silent)).is_some() {
        carried_by.push_str(", and nobody in the access network answers");
        "restart the modem; if that does not help, call the operator: its access network is silent"
    } else if facts.protocol == Protocol::Static {
        "look at the address and the route that this gateway is configured with"
    } else {
        "take the interface down and up (`ifup`); if that does not help, call the operator"
    };
    Some(Verdict { domain: Some(facts.place().domain), carried_by, advice: advice.to_owned() })
}

/// Nothing beyond the gateway answers.
fn beyond_the_gateway(facts: &Facts, device: &str) -> Verdict {
    let call = "call the operator: nothing on this side can mend it";
    let all = match facts.targets.iter().map(|(_, _, echo)| echo).collect::<Vec<_>>().as_slice() {
        echoes if echoes.iter().all(|echo| matches!(echo, Echo::NotSent(Obstacle::NotAllowed))) => {
            return Verdict {
                domain: Some(Domain::Unknown),
                carried_by: "echoes may not be sent from here, and nothing else tells of the line".into(),
                advice: "run it as root, or with CAP_NET_RAW".into(),
            };
        }
        _ => "nothing beyond it does",
    };
    let restart = "restart the modem; if that does not help, call the operator";
    let placed = facts.place();
    let there = facts.said(Ask::Neighbour, Said::Answered);
    let (carried_by, advice) = match (placed.domain, there) {
        (Domain::Upstream, None) => (format!("the operator's first router answers, {all}"), call),
        (Domain::Upstream, Some(reply)) if !matches!(facts.gateway, Some(Echo::Answered(_))) => {
            (format!("the operator's first router is there ({}), {all}", reply.detail), call)
        }
        (Domain::Upstream, Some(_)) => (format!("the operator's first router answers, {all}"), call),
        (Domain::Gateway, _) => {
            ("no machine answers at the operator's first router's address".to_owned(), restart)
        }
        (Domain::Unknown, None) if facts.protocol != Protocol::Pppoe => (
            format!(
                "nothing answers over {device}, and whether the operator's first router is there is not known"
            ),
            restart,
        ),
        (_, _) => (format!("nothing answers over {device}; {}", placed.words()), restart),
    };
    let domain = placed.domain;
    Verdict { domain: Some(domain), carried_by, advice: advice.to_owned() }
}

/// Names that do not resolve, or that resolve to forged answers.
fn name_verdict(facts: &Facts) -> Option<Verdict> {
    let replies = facts.replies(Ask::Name);
    let own = || replies.iter().filter(|reply| !reply.independent);
    let other = replies.iter().any(|reply| reply.independent && reply.said == Said::Answered);
    // The judge's table. The web has been looked at.
    let (_, placed) = reach(facts.summed(Ask::Name), None)?;
    let fault = |carried_by: String, advice: &str| {
        Some(Verdict { domain: Some(placed.domain), carried_by, advice: advice.to_owned() })
    };
    if let Some(reply) = own().find(|reply| reply.said == Said::Forged) {
        let words = format!("the line carries, but {} makes answers up: {}", reply.whom, reply.detail);
        return fault(words, "use resolvers that you trust, and ask the operator who answers in their place");
    }
    let bad = own()
        .filter(|reply| !reply.whom.ends_with("(TCP)"))
        .filter(|reply| matches!(reply.said, Said::Silent | Said::Refused));
    let each: Vec<String> = bad.map(|reply| format!("{}: {}", reply.whom, reply.detail)).collect();
    let words = format!("the line carries, but no resolver of its own works ({})", each.join("; "));
    if other {
        fault(words, "use another resolver meanwhile: the independent one answers; and tell the operator")
    } else {
        fault(words, "try another resolver, and tell the operator")
    }
}

#[cfg(test)]
mod tests {
    use super::super::facts::samples::{dead_beyond, healthy, link, with};
    use super::*;

    #[test]
    fn what_netifd_knows_is_said_where_the_line_is_not_whole() {
        let of = |is: Interface, facts: Facts| {
            let facts = Facts { interface: Some(Ok(("wan".into(), is))), ..facts };
            verdict(&facts)
        };
        let bare = || link(|l| (l.addresses, l.default_route) = (Vec::new(), false));
        let down = of(Interface::TakenDown, link(|l| l.admin_up = false));
        assert_eq!(
            (down.domain, down.carried_by.as_str()),
            (Some(Domain::Link), "wan was taken down by somebody")
        );
        assert!(down.advice.contains("ifup wan"), "{}", down.advice);
        assert!(of(Interface::NoProtocol, bare()).carried_by.contains("no handler"));
        assert_eq!(of(Interface::NoProtocol, bare()).domain, Some(Domain::Device));
        assert!(of(Interface::Refused("X".into()), bare()).advice.contains("/etc/config/network"));
        // What netifd says of a line that works, or of one that waits, changes nothing.
        assert_eq!(of(Interface::Up, healthy()), verdict(&healthy()));
        assert_eq!(of(Interface::TakenDown, healthy()), verdict(&healthy()));
        assert_eq!(of(Interface::Pending, bare()), verdict(&bare()));
    }

    #[test]
    fn faults_are_placed() {
        use Ask::{Dhcp, Name, Neighbour, Pppoe, Web};
        use Domain::{Access, Device, Gateway, Link, Portal, Server, Unknown, Upstream};
        use Said::{Answered, Forged, NotChecked, Refused, Silent};
        let one = |said| [(said, false)];
        let no_address = || link(|l| l.addresses.clear());
        let gone = || {
            let mut facts = dead_beyond(healthy());
            facts.gateway = Some(Echo::Silent);
            facts
        };
        let mut one_silent = healthy();
        one_silent.targets[0].2 = Echo::Silent;
        let mut filters = healthy();
        filters.gateway = Some(Echo::Silent);
        let mut helpless = gone();
        helpless.targets.iter_mut().for_each(|t| t.2 = Echo::NotSent(Obstacle::NotAllowed));
        for (facts, domain, words) in [
            (healthy(), None, "all targets answer"),
            (one_silent, None, "1 of 2 targets answer"),
            (filters, None, "all targets answer"),
            (link(|l| l.present = false), Some(Domain::Device), "no device wan"),
            (link(|l| l.admin_up = false), Some(Link), "switched off"),
            (link(|l| l.carrier = false), Some(Link), "no carrier"),
            (no_address(), Some(Access), "no address"),
            (with(no_address(), Dhcp, &one(Answered)), Some(Access), "although r0 offers one"),
            (
                with(Facts { protocol: Protocol::Pppoe, ..no_address() }, Pppoe, &one(Refused)),
                Some(Access),
                "r0 refuses",
            ),
            (with(no_address(), Dhcp, &one(Silent)), Some(Access), "nobody in the access network"),
            (link(|l| l.default_route = false), Some(Access), "no default route"),
            (dead_beyond(healthy()), Some(Upstream), "answers, nothing beyond"),
            (with(with(gone(), Neighbour, &one(Answered)), Dhcp, &one(Answered)), Some(Upstream), "is there"),
            // A server may ignore who has a lease.
            (
                with(with(gone(), Neighbour, &one(Answered)), Dhcp, &one(Silent)),
                Some(Unknown),
                "DHCP server is silent",
            ),
            (with(with(gone(), Neighbour, &one(Answered)), Dhcp, &one(Refused)), Some(Access), "refuses"),
            (Facts { protocol: Protocol::Static, ..no_address() }, Some(Device), "no address"),
            (
                with(Facts { protocol: Protocol::Pppoe, ..gone() }, Pppoe, &one(Silent)),
                Some(Access),
                "no PPPoE",
            ),
            (with(gone(), Neighbour, &one(Silent)), Some(Gateway), "no machine answers"),
            (with(gone(), Neighbour, &one(NotChecked)), Some(Unknown), "not known"),
            (gone(), Some(Unknown), "not known"),
            (helpless, Some(Unknown), "may not be sent"),
            (with(healthy(), Web, &one(Forged)), Some(Portal), "login page"),
            // Most portals let nothing else through.
            (with(dead_beyond(healthy()), Web, &one(Forged)), Some(Portal), "login page"),
            (with(dead_beyond(healthy()), Web, &one(Answered)), None, "they may filter echoes"),
            (with(healthy(), Web, &one(Silent)), Some(Server), "only r0"),
            (with(healthy(), Web, &one(NotChecked)), None, "all targets"),
            (
                with(healthy(), Name, &[(Silent, false), (Refused, false)]),
                Some(Domain::Name),
                "r0: in words; r1",
            ),
            (
                with(healthy(), Name, &[(Silent, false), (Answered, true)]),
                Some(Domain::Name),
                "no resolver of its own",
            ),
            (with(healthy(), Name, &[(Silent, false), (Answered, false)]), None, "all targets"),
            (with(healthy(), Name, &[(Answered, false), (Silent, true)]), None, "all targets"),
            // As the judge has it: the independent one shows nothing about the line's own.
            (with(healthy(), Name, &[(Answered, false), (Forged, true)]), None, "all targets"),
            (
                with(healthy(), Name, &[(Answered, false), (Forged, false)]),
                Some(Domain::Name),
                "r1 makes answers up",
            ),
            (with(healthy(), Name, &one(NotChecked)), None, "all targets"),
            // Where nothing carries, silent resolvers tell nothing more.
            (with(dead_beyond(healthy()), Name, &one(Silent)), Some(Upstream), "nothing beyond"),
        ] {
            let verdict = verdict(&facts);
            assert_eq!(verdict.domain, domain, "{verdict:?} of {facts:?}");
            assert!(verdict.carried_by.contains(words), "{verdict:?}: {words}");
            assert!(!verdict.carried_by.contains('\n') && !verdict.advice.contains('\n'));
        }
    }
}
