//! The WAN interface as OpenWrt's netifd sees it.
//!
//! netifd knows what the kernel does not show: that somebody took the interface down by hand, that it waits for an answer
//! without end, that no protocol handler runs, and which device the interface uses.

use crate::clock;
use crate::netifd::{BusId, Netifd, interface_state, text};
use linekeeper_judge::observation::{Interface, Observation, Part};
use serde_json::Value;
use std::pin::Pin;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::Child;
use tokio::sync::{mpsc, watch};
use tokio::time::{Sleep, sleep};

/// How long to collect further events before netifd is queried: `down` alone causes four within 30 ms.
const BURST: Duration = Duration::from_millis(50);

/// After an event, netifd is queried again after this time, then after twice as long, up to [`AGAIN`]: no event announces
/// that an interface starts waiting for an answer.
const SOON: Duration = Duration::from_millis(500);

/// How often netifd is queried without an event: while the interface is up and we receive events, and otherwise. Each
/// query runs a process for a few milliseconds.
const AGAIN: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(10));

/// The first and the longest delay before the listener is started again.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Consecutive failures after which netifd counts as unreachable rather than restarting.
const FAILURES: u32 = 3;

/// The devices of the WAN interface, according to netifd.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Named {
    /// OpenWrt's name of the interface.
    pub interface: Option<String>,
    /// The device that carries the addresses.
    pub device: Option<String>,
    /// The Ethernet device below a PPPoE session.
    pub port: Option<String>,
}

/// Starts watching the interface `configured`, or else the one on `device`, or else the one with the default route.
///
/// Reports [`Observation::InterfaceSeen`] at the start and on each change, and [`Observation::PartSeen`] when netifd
/// cannot be queried. Ends when the receiver of `report` is gone.
pub fn spawn(
    netifd: Netifd,
    configured: Option<String>,
    device: Option<String>,
    report: mpsc::Sender<Observation>,
) -> watch::Receiver<Named> {
    let (named, watcher) = watch::channel(Named::default());
    let watch = Watch {
        netifd,
        configured,
        device: device.unwrap_or_default(),
        name: None,
        last_reported: None,
        troubled: false,
        failures: 0,
        unsettled: None,
        named,
        report,
    };
    tokio::spawn(watch.run());
    watcher
}

/// How long an interface must wait for its carrier before that is believed.
///
/// 500 ms: after `down` and `up` netifd says for 10 to 60 ms that the interface is neither up nor on its way.
const SETTLE: Duration = Duration::from_millis(500);

/// The receiver of the observations is gone.
struct ReceiverGone;

struct Watch {
    netifd: Netifd,
    configured: Option<String>,
    device: String,
    /// The interface that was found.
    name: Option<String>,
    last_reported: Option<(String, Interface)>,
    troubled: bool,
    failures: u32,
    /// Since when it is neither up nor on its way, if that is not reported yet.
    unsettled: Option<Duration>,
    named: watch::Sender<Named>,
    report: mpsc::Sender<Observation>,
}

impl Watch {
    async fn run(mut self) {
        let mut listener = Listener::new(self.netifd.clone());
        let mut soon = SOON;
        loop {
            if self.query().await.is_err() {
                return;
            }
            let up = self.last_reported.as_ref().is_some_and(|(_, is)| *is == Interface::Up);
            let again = if up && listener.is_running() { AGAIN.0 } else { AGAIN.1 };
            let wait = if self.unsettled.is_some() { SETTLE } else { soon.min(again) };
            soon = again.min(soon * 2);
            tokio::select! {
                () = sleep(wait) => {}
                () = listener.event() => {
                    sleep(BURST).await;
                    soon = SOON;
                }
                () = self.report.closed() => return,
            }
        }
    }

    /// Queries the status and reports what changed.
    async fn query(&mut self) -> Result<(), ReceiverGone> {
        let known = match &self.name {
            Some(name) => self.netifd.status(name).await.ok(),
            None => None,
        };
        let known = self.unless_another_is_main(known).await;
        let (name, status) = match (known, self.name.take()) {
            (Some(status), Some(name)) => (name, Ok(status)),
            // The interface is gone, or was never found.
            (_, before) => match self.netifd.find(self.configured.as_deref(), &self.device).await {
                Ok(name) => (name.clone(), self.netifd.status(&name).await),
                Err(why) => (before.or(self.configured.clone()).unwrap_or_else(|| "wan".into()), Err(why)),
            },
        };
        match status {
            Ok(status) => {
                self.failures = 0;
                self.publish_devices(&name, &status);
                self.report_trouble(None).await?;
                self.name = Some(name.clone());
                self.report_state(name, interface_state(&status)).await
            }
            Err(why) => {
                self.failures = self.failures.saturating_add(1);
                if self.failures >= FAILURES {
                    let words = format!("netifd does not report the state of {name}: {why}");
                    self.report_trouble(Some(words)).await?;
                }
                self.report_state(name, Interface::Gone).await
            }
        }
    }

    /// `known`, or nothing if neither name nor device is configured and another interface is the main uplink now, by a lower
    /// metric: they were changed, or it was added. What somebody took down stays the line.
    async fn unless_another_is_main(&mut self, known: Option<Value>) -> Option<Value> {
        let status = known?;
        let is_free = self.configured.is_none() && self.device.is_empty();
        if !is_free || interface_state(&status) == Interface::TakenDown {
            return Some(status);
        }
        let Ok(main) = self.netifd.find(None, "").await else { return Some(status) };
        if self.name.as_ref() == Some(&main) {
            return Some(status);
        }
        let metric = |status: &Value| status.get("metric").and_then(Value::as_u64).unwrap_or(0);
        match self.netifd.status(&main).await {
            Ok(other) if metric(&other) < metric(&status) => None,
            Ok(_) | Err(_) => Some(status),
        }
    }

    async fn report_state(&mut self, name: String, is: Interface) -> Result<(), ReceiverGone> {
        let told = Some((name, is));
        if self.last_reported == told {
            self.unsettled = None;
            return Ok(());
        }
        if told.as_ref().is_some_and(|(_, is)| *is == Interface::Waiting) {
            let now = clock::since_boot();
            if now.saturating_sub(*self.unsettled.get_or_insert(now)) < SETTLE {
                return Ok(());
            }
        }
        self.unsettled = None;
        self.last_reported = told;
        let Some((name, is)) = self.last_reported.clone() else { return Ok(()) };
        self.report.send(Observation::InterfaceSeen { name, is }).await.map_err(|_| ReceiverGone)
    }

    async fn report_trouble(&mut self, trouble: Option<String>) -> Result<(), ReceiverGone> {
        if std::mem::replace(&mut self.troubled, trouble.is_some()) == trouble.is_some() {
            return Ok(());
        }
        let told = Observation::PartSeen { part: Part::Interface, trouble };
        self.report.send(told).await.map_err(|_| ReceiverGone)
    }

    fn publish_devices(&self, name: &str, status: &Value) {
        let last = self.named.borrow().clone();
        let named = devices(name, status, &last);
        self.named.send_if_modified(|old| {
            let changed = *old != named;
            *old = named;
            changed
        });
    }
}

/// The devices of interface `name`. A PPPoE session's device vanishes with the session: then it is the device the session
/// had, or the one it will get by default. `last` is the previous result.
pub fn devices(name: &str, status: &Value, last: &Named) -> Named {
    let some = |key| Some(text(status, key).to_owned()).filter(|device| !device.is_empty());
    let (above, below) = (some("l3_device"), some("device"));
    if text(status, "proto") == "pppoe" {
        let session =
            || last.device.clone().filter(|_| last.port.is_some()).unwrap_or(format!("pppoe-{name}"));
        let device = above.unwrap_or_else(session);
        let port = below.filter(|below| *below != device).or_else(|| last.port.clone());
        return Named { interface: Some(name.to_owned()), device: Some(device), port };
    }
    let device = above.or(below).or_else(|| last.device.clone());
    Named { interface: Some(name.to_owned()), device, port: None }
}

/// How often to look whether ubusd is another one: one stat(2).
const LOOK_AT_BUS: Duration = Duration::from_secs(5);

/// The `ubus listen` child; it is started again when it has died, and when it listens to a bus that has.
struct Listener {
    netifd: Netifd,
    child: Option<Child>,
    /// The bus that it listens to.
    bus: Option<BusId>,
    retry: Duration,
    /// The running delay before the next start. Queries continue meanwhile.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Listener {
    fn new(netifd: Netifd) -> Listener {
        let (bus, child) = (netifd.bus_id(), netifd.listen().ok());
        Listener { netifd, child, bus, retry: RETRY.0, waiting: None }
    }

    fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// Returns when there is another bus than the one that is listened to.
    async fn another_bus(netifd: &Netifd, bus: Option<BusId>) {
        loop {
            sleep(LOOK_AT_BUS).await;
            // While there is none, there is nothing to listen to.
            if netifd.bus_id().is_some_and(|now| Some(now) != bus) {
                return;
            }
        }
    }

    /// Returns when an event came, or when the listener was started again: events in between were missed.
    async fn event(&mut self) {
        if let Some(output) = self.child.as_mut().and_then(|child| child.stdout.as_mut()) {
            let mut said = [0; 1024];
            let came = tokio::select! {
                read = output.read(&mut said) => read.is_ok_and(|n| n > 0),
                () = Listener::another_bus(&self.netifd, self.bus) => false,
            };
            if came {
                self.retry = RETRY.0;
                return;
            }
        }
        // Its output is closed, or it is deaf: it has ended, or is killed when dropped.
        self.child = None;
        self.waiting.get_or_insert_with(|| Box::pin(sleep(self.retry))).as_mut().await;
        self.waiting = None;
        self.retry = RETRY.1.min(self.retry * 2);
        self.bus = self.netifd.bus_id();
        self.child = self.netifd.listen().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ended_session_keeps_its_device_and_port() {
        let up = json!({ "proto": "pppoe", "l3_device": "pppoe-wan", "device": "eth1" });
        let down = json!({ "proto": "pppoe", "device": "eth1" });
        let interface = Some("wan".into());
        let wanted = Named { interface, device: Some("pppoe-wan".into()), port: Some("eth1".into()) };
        let first = devices("wan", &up, &Named::default());
        assert_eq!(first, wanted);
        assert_eq!(devices("wan", &down, &first), wanted);
        assert_eq!(devices("wan", &down, &Named::default()), wanted, "it was never up in our life");
        let renamed = json!({ "proto": "pppoe", "l3_device": "ppp7", "device": "eth1" });
        assert_eq!(devices("wan", &down, &devices("wan", &renamed, &first)).device.as_deref(), Some("ppp7"));
    }

    #[test]
    fn interface_that_was_never_up_has_its_configured_device() {
        let device = |status| devices("wan", &status, &Named::default()).device;
        assert_eq!(device(json!({ "proto": "dhcp", "device": "eth1" })).as_deref(), Some("eth1"));
        assert_eq!(
            device(json!({ "proto": "dhcp", "device": "eth0.2", "l3_device": "br-wan" })).as_deref(),
            Some("br-wan")
        );
        assert_eq!(device(json!({ "proto": "dhcp" })), None);
    }
}
