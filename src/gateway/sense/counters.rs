//! Traffic of the WAN device: its packet and byte counters, read once a second over rtnetlink. While the line is in doubt,
//! the packets that prove something are counted beside them ([`unicast`](super::unicast)).

use crate::clock::Clock;
use crate::sense::link::LinkFacts;
use crate::sense::netlink::{Kernel, Question, RTM_NEWLINK, attributes, u64_at};
use crate::sense::unicast::Unicast;
use linekeeper_contract::units::{Mono, Span};
use linekeeper_judge::observation::{Counted, Observation, Part};
use std::io;
use std::net::IpAddr;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

/// Time between two readings.
///
/// 1 s: the traffic must be known within the time before an outage is declared, and drivers that read their counters
/// from hardware refresh them no faster.
const INTERVAL: Duration = Duration::from_secs(1);

/// `IFLA_STATS64` of linux/if_link.h; it holds a `rtnl_link_stats64`.
const IFLA_STATS64: u16 = 23;
/// The header of a link message, `ifinfomsg`.
const HEADER: usize = 16;

/// The counters since the device was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) rx_packets: u64,
    pub(super) tx_packets: u64,
    pub(super) rx_bytes: u64,
    pub(super) tx_bytes: u64,
    rx_errors: u64,
    multicast: u64,
}

/// One reading of the counters: of which device, and when.
#[derive(Debug, Clone, Copy)]
struct Reading {
    index: u32,
    at: Mono,
    totals: Totals,
}

/// How long packets are counted after the line was last in doubt.
///
/// 60 s: a line that is doubted once is doubted again soon, and only whole readings count.
const LINGER: Span = Span::seconds(60);

/// Starts reading the counters of the device in `link`. Reports nothing while there is none. Ends when the receiver of
/// `report` is gone. `doubt`: whether the line is in doubt.
pub fn spawn(
    link: watch::Receiver<LinkFacts>,
    doubt: watch::Receiver<bool>,
    report: mpsc::Sender<Observation>,
    clock: Clock,
) {
    tokio::spawn(run(link, doubt, report, clock));
}

/// The count of what proves something, on one device.
struct Proof {
    device: (u32, Option<IpAddr>),
    since: Mono,
    unicast: Unicast,
}

/// Starts or ends the count as the doubt wants it. Without permission there is none: the counters alone must do.
fn adjust(proof: &mut Option<Proof>, link: &LinkFacts, wanted: bool, now: Mono) {
    let device = (link.index, link.link.gateway);
    proof.take_if(|proof| !wanted || proof.device != device);
    if wanted && proof.is_none() && link.index != 0 {
        *proof = Unicast::start(link.index, link.link.gateway).ok().map(|unicast| Proof {
            device,
            since: now,
            unicast,
        });
    }
}

async fn run(
    link: watch::Receiver<LinkFacts>,
    mut doubt: watch::Receiver<bool>,
    report: mpsc::Sender<Observation>,
    clock: Clock,
) {
    let mut proof: Option<Proof> = None;
    let mut doubted: Option<Mono> = None;
    let mut kernel = None;
    let mut last: Option<Reading> = None;
    let mut in_trouble = false;
    let mut tick = tokio::time::interval(INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = clock.advanced() => {}
            Ok(()) = doubt.changed() => {
                if *doubt.borrow_and_update() {
                    let now = clock.now();
                    doubted = Some(now);
                    adjust(&mut proof, &link.borrow(), true, now);
                }
                continue;
            }
            () = report.closed() => return,
        }
        let now = clock.now();
        if *doubt.borrow() {
            doubted = Some(now);
        }
        let wanted = doubted.is_some_and(|last| now.since(last) < LINGER);
        let proven = proof.as_ref().map(|proof| (proof.since, proof.unicast.take()));
        adjust(&mut proof, &link.borrow(), wanted, now);
        let index = link.borrow().index;
        if index == 0 {
            continue;
        }
        let now = match read(&mut kernel, index) {
            Ok(Some(totals)) => Reading { index, at: clock.now(), totals },
            Ok(None) => continue,
            Err(error) => {
                // The next tick opens a new socket.
                kernel = None;
                if !in_trouble {
                    in_trouble = true;
                    let trouble = Some(format!("cannot read the counters of the WAN device: {error}"));
                    if report.send(Observation::PartSeen { part: Part::Counters, trouble }).await.is_err() {
                        return;
                    }
                }
                continue;
            }
        };
        if in_trouble {
            in_trouble = false;
            if report.send(Observation::PartSeen { part: Part::Counters, trouble: None }).await.is_err() {
                return;
            }
        }
        let Some(before) = last.replace(now) else { continue };
        let mut counted = difference(before, now);
        if !counted.reset {
            counted.rx_proof = proven.filter(|(since, _)| *since <= before.at).map(|(_, packets)| packets);
        }
        if report.send(Observation::Counted(counted)).await.is_err() {
            return;
        }
    }
}

/// Reads the counters; `None` if the device does not exist (any more).
pub(super) fn read(kernel: &mut Option<Kernel>, index: u32) -> io::Result<Option<Totals>> {
    let kernel = match kernel {
        Some(kernel) => kernel,
        none => none.insert(Kernel::connect()?),
    };
    let mut totals = None;
    let answer = kernel.ask_one(Question::Link(index), |kind, body| {
        if kind == RTM_NEWLINK {
            totals = attributes(body, HEADER)
                .find(|(kind, _)| *kind == IFLA_STATS64)
                .and_then(|(_, value)| parse_totals(value));
        }
    });
    match answer {
        Ok(()) if totals.is_none() => Err(io::Error::other("the kernel reports no 64-bit counters")),
        Ok(()) => Ok(totals),
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
        Err(error) => Err(error),
    }
}

fn parse_totals(stats: &[u8]) -> Option<Totals> {
    let field = |n: usize| u64_at(stats, n * 8);
    Some(Totals {
        rx_packets: field(0)?,
        tx_packets: field(1)?,
        rx_bytes: field(2)?,
        tx_bytes: field(3)?,
        rx_errors: field(4)?,
        multicast: field(8)?,
    })
}

/// The traffic between two readings. A recreated device, or counters that went back, count as a reset without traffic.
fn difference(before: Reading, now: Reading) -> Counted {
    let over = now.at.since(before.at);
    let (a, b) = (before.totals, now.totals);
    let more = |a: u64, b: u64| b.checked_sub(a);
    let counted = || {
        if before.index != now.index {
            return None;
        }
        let multicast = more(a.multicast, b.multicast)?;
        Some(Counted {
            over,
            rx_bytes: more(a.rx_bytes, b.rx_bytes)?,
            tx_bytes: more(a.tx_bytes, b.tx_bytes)?,
            // Some drivers count a multicast frame before or after the frame itself, so the difference may be negative.
            rx_unicast: more(a.rx_packets, b.rx_packets)?.saturating_sub(multicast),
            rx_proof: None,
            tx_packets: more(a.tx_packets, b.tx_packets)?,
            rx_errors: more(a.rx_errors, b.rx_errors)?,
            reset: false,
        })
    };
    counted().unwrap_or(Counted { over, reset: true, ..Counted::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(index: u32, at: u64, n: u64) -> Reading {
        let totals = Totals {
            rx_packets: 10 * n,
            tx_packets: 9 * n,
            rx_bytes: 1_000 * n,
            tx_bytes: 900 * n,
            rx_errors: n,
            multicast: 3 * n,
        };
        Reading { index, at: Mono(at), totals }
    }

    #[test]
    fn difference_uses_the_measured_time() {
        let counted = difference(reading(3, 1_000, 2), reading(3, 2_004, 5));
        let expected = Counted {
            over: Span(1_004),
            rx_bytes: 3_000,
            tx_bytes: 2_700,
            rx_unicast: 21,
            rx_proof: None,
            tx_packets: 27,
            rx_errors: 3,
            reset: false,
        };
        assert_eq!(counted, expected);
    }

    #[test]
    fn decreasing_counters_or_a_new_device_count_as_reset() {
        let nothing = Counted { over: Span(1_000), reset: true, ..Counted::default() };
        assert_eq!(difference(reading(3, 0, 5), reading(3, 1_000, 2)), nothing);
        assert_eq!(difference(reading(3, 0, 2), reading(4, 1_000, 5)), nothing);
    }

    #[test]
    fn more_multicast_than_packets_gives_zero_unicast() {
        let (before, mut now) = (reading(3, 0, 1), reading(3, 1_000, 2));
        now.totals.multicast += 100;
        assert_eq!(difference(before, now).rx_unicast, 0);
    }
}
