//! The state of the WAN device in the kernel: carrier, addresses, default route.
//!
//! The kernel's notifications say *that* something changed; the present state is then read from its tables. Following the
//! notifications alone would be cheaper and wrong: IPv4 routes that vanish with a device or an address are not announced,
//! and a replaced route is announced only as a new one.

mod choice;
mod news;
mod tables;

pub use choice::LinkFacts;

use crate::sense::interface::Named;
use crate::sense::netlink::{Events, Kernel, next_message};
use crate::sense::port;
use choice::{Choice, Trouble};
use linekeeper_judge::observation::{Link, Observation, Part};
use news::{News, classify};
use std::io;
use std::time::Duration;
use tables::Tables;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

/// How long to collect further notifications before the tables are read.
///
/// 50 ms: an interface that comes up causes a dozen notifications within a few milliseconds. A loss does not wait.
const BURST: Duration = Duration::from_millis(50);

/// How often the tables are read without a notification.
///
/// 60 s: a safety net in case a notification was missed; it costs 1 ms.
const REREAD_INTERVAL: Duration = Duration::from_secs(60);

/// The first and the longest delay before another try when the kernel refuses a query.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Starts watching `device`, or the device with the default route if it is `None`.
///
/// Reports [`Observation::LinkSeen`] at the start and on each change, and [`Observation::PartSeen`] when it cannot watch.
/// The returned receiver shows the state as of the last change; before the first reading its index is 0.
///
/// The device with the default route is the one with the lowest metric in the main table, IPv4 before IPv6. Once found, it
/// is kept while its route is missing, unless another device takes its place with the same or a lower metric: a failover
/// to a device with a higher metric does not mean that the line works again.
pub fn spawn(device: Option<String>, report: mpsc::Sender<Observation>) -> watch::Receiver<LinkFacts> {
    spawn_over(None, device, report)
}

/// The same as [`spawn_over`], where netifd names the devices. Unless one is configured, the named device is watched; it
/// is known even before it first has a default route.
pub fn spawn_named(
    port: Option<String>,
    device: Option<String>,
    named: watch::Receiver<Named>,
    report: mpsc::Sender<Observation>,
) -> watch::Receiver<LinkFacts> {
    spawn_watch(port, device, Some(named), report)
}

/// The same as [`spawn`], for a PPPoE session over the Ethernet device `port`. If the port is down or has no carrier, so has
/// the session. While the session's device is missing, the line counts as one without an address, not without a device.
pub fn spawn_over(
    port: Option<String>,
    device: Option<String>,
    report: mpsc::Sender<Observation>,
) -> watch::Receiver<LinkFacts> {
    spawn_watch(port, device, None, report)
}

fn spawn_watch(
    port: Option<String>,
    device: Option<String>,
    named: Option<watch::Receiver<Named>>,
    report: mpsc::Sender<Observation>,
) -> watch::Receiver<LinkFacts> {
    let (facts, watcher) = watch::channel(LinkFacts::default());
    let mut choice = Choice::new(port, device);
    choice.asks_netifd = named.is_some();
    tokio::spawn(Watch { choice, named, report, facts, last_reported: None, trouble: Trouble::None }.run());
    watcher
}

/// The receiver of the observations is gone.
struct ReceiverGone;

/// Why a watch ended: nobody receives any more, or the kernel refused.
enum End {
    ReceiverGone,
    Refused(io::Error),
}

impl From<ReceiverGone> for End {
    fn from(_: ReceiverGone) -> End {
        End::ReceiverGone
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> End {
        End::Refused(error)
    }
}

struct Watch {
    choice: Choice,
    /// The devices that netifd names, on OpenWrt.
    named: Option<watch::Receiver<Named>>,
    report: mpsc::Sender<Observation>,
    facts: watch::Sender<LinkFacts>,
    last_reported: Option<Link>,
    trouble: Trouble,
}

impl Watch {
    async fn run(mut self) {
        let mut wait = RETRY.0;
        loop {
            let error = match self.watch(&mut wait).await {
                Ok(()) | Err(End::ReceiverGone) => return,
                Err(End::Refused(error)) => error,
            };
            let words = format!("cannot ask the kernel about the network: {error}; trying again");
            if self.report_trouble(Trouble::Kernel, words).await.is_err() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => wait = RETRY.1.min(wait * 2),
                () = self.report.closed() => return,
            }
        }
    }

    async fn watch(&mut self, wait: &mut Duration) -> Result<(), End> {
        // Subscribe before the first reading, so that no change is missed in between.
        let mut events = Events::listen()?;
        let mut kernel = Kernel::connect()?;
        let mut naming = self.named.clone();
        if let Some(naming) = &mut naming {
            naming.mark_changed();
        }
        let mut again = tokio::time::interval(REREAD_INTERVAL);
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // The first tick is immediate.
            let mut news = tokio::select! {
                _ = again.tick() => News::Loss,
                news = self.news(&mut events) => news?,
                named = renamed(&mut naming) => {
                    self.choice.set_named(named);
                    News::Loss
                }
                () = self.report.closed() => return Ok(()),
            };
            while news != News::Nothing {
                if news == News::Change {
                    news = self.wait_for_burst_end(&mut events).await?;
                }
                let tables = Tables::read(&mut kernel)?;
                *wait = RETRY.0;
                self.report_state(&tables).await?;
                // Routes and addresses vanish after the carrier, so read once more when the burst is over.
                news = if news == News::Loss { News::Change } else { News::Nothing };
            }
        }
    }

    /// Waits for the end of a burst of changes; returns early on a loss.
    async fn wait_for_burst_end(&self, events: &mut Events) -> io::Result<News> {
        let end = tokio::time::sleep(BURST);
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => return Ok(News::Settled),
                news = self.news(events) => {
                    if news? == News::Loss {
                        return Ok(News::Loss);
                    }
                }
            }
        }
    }

    async fn news(&self, events: &mut Events) -> io::Result<News> {
        let mut news = News::Nothing;
        let facts = self.facts.borrow().clone();
        let ports = facts.port.as_ref().map_or(0, |(_, index)| *index);
        let watched = [facts.index, ports];
        let names =
            [self.choice.name(), self.choice.port().map(String::as_str)].map(|name| name.map(str::as_bytes));
        match events.next(|kind, body| news = news.max(classify(kind, body, watched, names))).await {
            Ok(()) => Ok(news),
            // The kernel dropped notifications; one of them may have been a loss.
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => Ok(News::Loss),
            Err(error) => Err(error),
        }
    }

    async fn report_state(&mut self, tables: &Tables) -> Result<(), ReceiverGone> {
        let mut facts = self.choice.facts(tables);
        if facts.link.carrier {
            // rtnetlink does not report the rate. A port renegotiates only with a new carrier, which is announced.
            let negotiated = match &facts.port {
                Some((name, index)) => port::negotiated(name, *index),
                None => port::negotiated(&facts.name, facts.index),
            };
            facts.link.speed = negotiated.map(|(rate, _)| rate);
            facts.link.half_duplex = negotiated.is_some_and(|(_, half)| half);
        }
        let link = facts.link.clone();
        self.facts.send_if_modified(|old| {
            let changed = *old != facts;
            *old = facts;
            changed
        });
        if self.last_reported.as_ref() != Some(&link) {
            self.last_reported = Some(link.clone());
            self.report.send(Observation::LinkSeen(link)).await.map_err(|_| ReceiverGone)?;
        }
        let (trouble, words) = self.choice.trouble(tables);
        self.report_trouble(trouble, words).await
    }

    async fn report_trouble(&mut self, trouble: Trouble, words: String) -> Result<(), ReceiverGone> {
        if self.trouble == trouble {
            return Ok(());
        }
        self.trouble = trouble;
        let trouble = (trouble != Trouble::None).then_some(words);
        self.report.send(Observation::PartSeen { part: Part::Link, trouble }).await.map_err(|_| ReceiverGone)
    }
}

/// Waits until netifd names other devices; for ever if there is no netifd.
async fn renamed(naming: &mut Option<watch::Receiver<Named>>) -> Named {
    if let Some(naming) = naming
        && naming.changed().await.is_ok()
    {
        return naming.borrow_and_update().clone();
    }
    std::future::pending().await
}

/// Parses `bytes` as netlink messages and discards the results: for tests with hostile input.
pub fn parse_and_discard(mut bytes: &[u8]) {
    let mut tables = Tables::default();
    while let Some((kind, _, _, body)) = next_message(&mut bytes) {
        classify(kind, body, [2, 3], [Some(b"eth1"), None]);
        tables.add_link(body);
        tables.add_address(body);
        tables.add_route(body);
    }
    for (index, device) in &tables.devices {
        tables.link(*index, device);
    }
}
