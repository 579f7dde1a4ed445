//! The WAN device as the kernel shows it: carrier, addresses, default route.
//!
//! The kernel's announcements say *that* something changed; *what* holds now is then read from its tables. To follow
//! the announcements alone would be cheaper and wrong: IPv4 routes that go with a device or an address are not
//! announced, and a replaced route is announced only as a new one.

mod choice;
mod news;
mod tables;

pub use choice::LinkFacts;

use crate::sense::interface::Named;
use crate::sense::netlink::{Events, Kernel, next_message};
use crate::sense::port;
use choice::{Choice, Trouble};
use linekeeper_judge::observation::{Link, Observation, Part};
use news::{News, judge};
use std::io;
use std::time::Duration;
use tables::Tables;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

/// How long further announcements are awaited before the tables are read.
///
/// 50 ms: an interface that comes up announces a dozen things within a few milliseconds. A loss does not wait.
const BURST: Duration = Duration::from_millis(50);

/// How often the tables are read although nothing was announced.
///
/// 60 s: in case an announcement was missed in a way that nobody thought of; 1 ms of work.
const AGAIN: Duration = Duration::from_secs(60);

/// The first and the longest wait before another try when the kernel refuses to be asked.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Begins to watch `device`, or, when it is `None`, the one with the default route.
///
/// Tells [`Observation::LinkSeen`] at the start and on each change, and [`Observation::PartSeen`] when it cannot. The
/// receiver shows the state as of the last change; before the first reading it has index 0.
///
/// Which device "has the default route": the one of the lowest metric in the main table, IPv4 before IPv6. Once found
/// it is kept while its route is away, unless another one with the same or a lower metric takes its place: a line that
/// fails over to a dearer one has not healed.
pub fn spawn(device: Option<String>, report: mpsc::Sender<Observation>) -> watch::Receiver<LinkFacts> {
    spawn_over(None, device, report)
}

/// The same where somebody (OpenWrt's netifd) names the devices while we watch: unless one is configured, the named one is
/// watched, which is known before it ever had a default route.
pub fn spawn_named(
    port: Option<String>,
    device: Option<String>,
    named: watch::Receiver<Named>,
    report: mpsc::Sender<Observation>,
) -> watch::Receiver<LinkFacts> {
    begin(port, device, Some(named), report)
}

/// The same of a session (PPPoE) that runs over the Ethernet device `port`: what is switched off or without a carrier there is
/// so for the session, and while the session's device is away the line is one without an address, not one without a device.
pub fn spawn_over(
    port: Option<String>,
    device: Option<String>,
    report: mpsc::Sender<Observation>,
) -> watch::Receiver<LinkFacts> {
    begin(port, device, None, report)
}

fn begin(
    port: Option<String>,
    device: Option<String>,
    named: Option<watch::Receiver<Named>>,
    report: mpsc::Sender<Observation>,
) -> watch::Receiver<LinkFacts> {
    let (facts, watcher) = watch::channel(LinkFacts::default());
    let choice = Choice::new(port, device);
    tokio::spawn(Watch { choice, named, report, facts, told: None, trouble: Trouble::None }.run());
    watcher
}

/// Nobody listens any more.
struct Unheard;

/// Why a watch ended.
enum End {
    Unheard,
    Refused(io::Error),
}

impl From<Unheard> for End {
    fn from(_: Unheard) -> End {
        End::Unheard
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> End {
        End::Refused(error)
    }
}

struct Watch {
    choice: Choice,
    /// Who names the devices, if anybody does.
    named: Option<watch::Receiver<Named>>,
    report: mpsc::Sender<Observation>,
    facts: watch::Sender<LinkFacts>,
    told: Option<Link>,
    trouble: Trouble,
}

impl Watch {
    async fn run(mut self) {
        let mut wait = RETRY.0;
        loop {
            let error = match self.watch(&mut wait).await {
                Ok(()) | Err(End::Unheard) => return,
                Err(End::Refused(error)) => error,
            };
            let words = format!("cannot ask the kernel about the network: {error}; trying again");
            if self.tell_trouble(Trouble::Kernel, words).await.is_err() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => wait = RETRY.1.min(wait * 2),
                () = self.report.closed() => return,
            }
        }
    }

    async fn watch(&mut self, wait: &mut Duration) -> Result<(), End> {
        // Listening begins before the first reading, so that nothing falls between.
        let mut events = Events::listen()?;
        let mut kernel = Kernel::connect()?;
        let mut naming = self.named.clone();
        if let Some(naming) = &mut naming {
            naming.mark_changed();
        }
        let mut again = tokio::time::interval(AGAIN);
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // The first tick is immediate.
            let mut news = tokio::select! {
                _ = again.tick() => News::Loss,
                news = self.news(&mut events) => news?,
                named = renamed(&mut naming) => {
                    self.choice.names(named);
                    News::Loss
                }
                () = self.report.closed() => return Ok(()),
            };
            while news != News::Nothing {
                if news == News::Change {
                    news = self.collect(&mut events).await?;
                }
                let tables = Tables::read(&mut kernel)?;
                *wait = RETRY.0;
                self.tell(&tables).await?;
                // Routes and addresses go after the carrier: what was read at once may not be all.
                news = if news == News::Loss { News::Change } else { News::Nothing };
            }
        }
    }

    /// Lets a burst of changes pass; ends early with a loss.
    async fn collect(&self, events: &mut Events) -> io::Result<News> {
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
        match events.next(|kind, body| news = news.max(judge(kind, body, watched, names))).await {
            Ok(()) => Ok(news),
            // The kernel dropped announcements, and it may have been the one that matters.
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => Ok(News::Loss),
            Err(error) => Err(error),
        }
    }

    async fn tell(&mut self, tables: &Tables) -> Result<(), Unheard> {
        let mut facts = self.choice.facts(tables);
        if facts.link.carrier {
            // rtnetlink does not tell it. A port negotiates again only with a new carrier, which is announced.
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
        if self.told.as_ref() != Some(&link) {
            self.told = Some(link.clone());
            self.report.send(Observation::LinkSeen(link)).await.map_err(|_| Unheard)?;
        }
        let (trouble, words) = self.choice.trouble(tables);
        self.tell_trouble(trouble, words).await
    }

    async fn tell_trouble(&mut self, trouble: Trouble, words: String) -> Result<(), Unheard> {
        if self.trouble == trouble {
            return Ok(());
        }
        self.trouble = trouble;
        let trouble = (trouble != Trouble::None).then_some(words);
        self.report.send(Observation::PartSeen { part: Part::Link, trouble }).await.map_err(|_| Unheard)
    }
}

/// Waits for other names; for ever where nobody gives any.
async fn renamed(naming: &mut Option<watch::Receiver<Named>>) -> Named {
    if let Some(naming) = naming
        && naming.changed().await.is_ok()
    {
        return naming.borrow_and_update().clone();
    }
    std::future::pending().await
}

/// Reads messages as if the kernel had sent them, and throws away what they say: the door for tests with hostile bytes.
pub fn swallow(mut bytes: &[u8]) {
    let mut tables = Tables::default();
    while let Some((kind, _, _, body)) = next_message(&mut bytes) {
        judge(kind, body, [2, 3], [Some(b"eth1"), None]);
        tables.add_link(body);
        tables.add_address(body);
        tables.add_route(body);
    }
    for (index, device) in &tables.devices {
        tables.link(*index, device);
    }
}
