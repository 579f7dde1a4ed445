//! The answers of the layers of the line to active checks.

use super::line::Line;
use super::world::World;
use linekeeper_judge::check::{Ask, CheckOrder, Checked, Reply, Said};

/// Response time of a DHCP server or PPPoE concentrator, milliseconds.
const ACCESS_MS: u64 = 40;
/// Response time of a DNS resolver, milliseconds.
const NAME_MS: u64 = 25;
/// Time to fetch a small web page, milliseconds.
const PAGE_MS: u64 = 90;

/// The result of a check, and after how many milliseconds it is there.
pub(super) fn check_layer(line: &Line, world: &World, order: &CheckOrder) -> (u64, Checked) {
    let whole_limit = order.limit.0.max(1);
    let one = |whom: &str, said: Said, ms: u64, detail: &str| {
        let took_us = (said != Said::Silent && said != Said::NotChecked).then_some(ms as u32 * 1_000);
        Reply { whom: whom.into(), said, took_us, independent: false, detail: detail.into() }
    };
    if world.layers_unchecked {
        let unknown = one(order.ask.name(), Said::NotChecked, 0, "a log does not contain it");
        return (1, Checked { check: order.check, ask: order.ask, replies: vec![unknown] });
    }
    let way = line.carrier && line.admin_up && line.access;
    let or_silent = |there: bool, said: Said| if there { said } else { Said::Silent };
    let replies = match order.ask {
        Ask::Neighbour => match line.link().gateway {
            None => vec![one("gateway", Said::NotChecked, 0, "no default gateway is known")],
            Some(gateway) => {
                let said = or_silent(line.reaches_gateway(), Said::Answered);
                let ms = u64::from(world.gateway_rtt_us.div_ceil(1_000));
                vec![one(&gateway.to_string(), said, ms, "02:00:00:00:00:01")]
            }
        },
        Ask::Dhcp => {
            vec![one("198.51.100.1", or_silent(way, line.dhcp), ACCESS_MS, "a lease of 198.51.100.77")]
        }
        Ask::Pppoe => vec![one("bras-1", or_silent(way, line.pppoe), ACCESS_MS, "service internet")],
        Ask::Name => {
            let far = line.reaches_internet();
            let mut replies = vec![
                one("198.51.100.53", or_silent(far, line.names), NAME_MS, "udp"),
                one("198.51.100.54", or_silent(far, line.names), NAME_MS, "udp"),
                one("203.0.113.9", or_silent(far, Said::Answered), NAME_MS, "udp"),
            ];
            replies.iter_mut().skip(2).for_each(|r| r.independent = true);
            replies
        }
        Ask::Web => {
            let said = match (line.reaches_internet(), line.portal, line.names) {
                (false, _, _) => Said::Silent,
                (true, true, _) => Said::Forged,
                (true, false, Said::Silent) => Said::NotChecked,
                (true, false, _) => or_silent(!line.server_dead, Said::Answered),
            };
            vec![one("http://check.example/", said, PAGE_MS, "HTTP 204")]
        }
    };
    let took = match replies.iter().any(|r| r.said == Said::Silent) {
        true => whole_limit,
        false => replies.iter().filter_map(|r| r.took_us).max().map_or(1, |us| u64::from(us / 1_000)).max(1),
    };
    (took.min(whole_limit), Checked { check: order.check, ask: order.ask, replies })
}
