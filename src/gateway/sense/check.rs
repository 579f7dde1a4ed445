//! Runs the checks of single layers: the one place that knows which sensor runs which check.

use crate::sense::access::{Gates, check_dhcp, check_neighbour, check_pppoe};
use crate::sense::link::LinkFacts;
use crate::sense::wan::WanDevice;
use crate::sense::{name, web};
use linekeeper_contract::vocabulary::Protocol;
use linekeeper_judge::check::{Ask, CheckOrder, Checked, REPLIES, Reply, Said};
use linekeeper_judge::config::Config;
use std::time::Duration;
use tokio::time::timeout;

/// How long after its limit a check is aborted. Each check keeps its own limit; this grace covers a busy processor.
const GRACE: Duration = Duration::from_millis(500);

/// Checks one layer of the line now, over `device`, and returns at least one reply and at most [`REPLIES`].
///
/// A layer that cannot be checked in the line's present state (`facts`) is reported as not checked, and nothing is sent.
/// Takes at most the order's limit plus half a second. `gates` limit how often servers are asked; the caller keeps them
/// between checks.
pub async fn run_check(
    order: &CheckOrder,
    device: &WanDevice,
    facts: &LinkFacts,
    config: &Config,
    gates: &Gates,
) -> Checked {
    let limit = Duration::from(order.limit) + GRACE;
    let mut replies = match obstacle(order.ask, config.line.protocol, facts) {
        Some(why) => vec![reply(order.ask, Said::NotChecked, why)],
        None => match timeout(limit, run_sensor(order, device, facts, config, gates)).await {
            Ok(replies) => replies,
            Err(_) => {
                vec![reply(order.ask, Said::NotChecked, "this gateway was too busy to ask in time")]
            }
        },
    };
    if replies.is_empty() {
        replies.push(reply(order.ask, Said::NotChecked, "there was nothing to ask"));
    }
    replies.truncate(REPLIES);
    Checked { check: order.check, ask: order.ask, replies }
}

async fn run_sensor(
    order: &CheckOrder,
    device: &WanDevice,
    facts: &LinkFacts,
    config: &Config,
    gates: &Gates,
) -> Vec<Reply> {
    match order.ask {
        Ask::Neighbour => check_neighbour(device, facts.link.gateway, order.limit).await,
        Ask::Dhcp => check_dhcp(device, order.limit, &gates.dhcp).await,
        // The session's own device is point-to-point and vanishes with the session.
        Ask::Pppoe => {
            let port = facts.port.clone().map(|(name, index)| WanDevice { name, index, interface: None });
            check_pppoe(port.as_ref().unwrap_or(device), order.limit, &gates.pppoe).await
        }
        Ask::Name => name::check_resolvers(device, &config.name, order.limit).await,
        Ask::Web => vec![web::check_page(device, &config.web, &config.name, order.limit).await],
    }
}

/// Why a layer cannot be checked now. Sending anyway would leave by another device, or not at all.
fn obstacle(ask: Ask, protocol: Protocol, facts: &LinkFacts) -> Option<&'static str> {
    let link = &facts.link;
    if !ask.is_of(protocol) {
        return Some(match protocol {
            Protocol::Dhcp => "the line gets its address by DHCP",
            Protocol::Pppoe => "the line is a PPPoE session",
            Protocol::Static => "the line's address is fixed",
        });
    }
    let below = ask == Ask::Pppoe && facts.port.is_some();
    if facts.index == 0 && !below || !link.present {
        return Some("the WAN device is not there");
    }
    if !link.admin_up {
        return Some("the WAN device is switched off");
    }
    if !link.carrier {
        return Some("the WAN device has no carrier");
    }
    match ask {
        Ask::Neighbour | Ask::Dhcp | Ask::Pppoe => None,
        // Without an address of the device, the kernel would use the address of another one.
        Ask::Name | Ask::Web if link.addresses.is_empty() && link.gateway.is_none() => {
            Some("the WAN device has no address")
        }
        Ask::Name | Ask::Web => None,
    }
}

fn reply(ask: Ask, said: Said, detail: &str) -> Reply {
    let whom = ask.name().to_owned();
    Reply { whom, said, took_us: None, independent: false, detail: detail.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config_text::{Format, load_text};
    use linekeeper_contract::units::Span;
    use linekeeper_judge::check::CheckId;
    use linekeeper_judge::observation::Link;

    #[tokio::test]
    async fn layer_that_cannot_be_checked_is_reported_as_not_checked() {
        let config = load_text(include_str!("../../../config/smallest.json"), Format::Json).unwrap();
        let device = WanDevice { name: "none".into(), index: 9, interface: None };
        let bare = Link { present: true, admin_up: true, carrier: true, ..Link::default() };
        let whole = Link { addresses: vec!["192.0.2.2".parse().unwrap()], ..bare.clone() };
        for (link, ask, why) in [
            (Link::default(), Ask::Dhcp, "is not there"),
            (Link { admin_up: false, ..whole.clone() }, Ask::Name, "switched off"),
            (Link { carrier: false, ..whole.clone() }, Ask::Neighbour, "no carrier"),
            (bare.clone(), Ask::Name, "no address"),
            (bare.clone(), Ask::Web, "no address"),
            (whole.clone(), Ask::Web, "no web.url"),
            (whole.clone(), Ask::Pppoe, "by DHCP"),
        ] {
            let order = CheckOrder { check: CheckId(3), ask, limit: Span::millis(50) };
            let facts = LinkFacts { name: "none".into(), index: 9, link, port: None, interface: None };
            let checked = run_check(&order, &device, &facts, &config, &Gates::default()).await;
            assert_eq!((checked.check, checked.ask, checked.replies.len()), (CheckId(3), ask, 1));
            assert_eq!(checked.replies[0].said, Said::NotChecked);
            assert!(checked.replies[0].detail.contains(why), "{checked:?}");
        }
    }
}
