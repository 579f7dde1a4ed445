//! The WAN's interface as OpenWrt's netifd sees it: what the kernel does not show. Who took it down by hand, that it waits
//! for an answer for ever, that nothing runs its protocol, and which device it has.

use crate::netifd::{Netifd, read, text};
use linekeeper_judge::observation::{Interface, Observation, Part};
use serde_json::Value;
use std::pin::Pin;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::Child;
use tokio::sync::{mpsc, watch};
use tokio::time::{Sleep, sleep};

/// How long further events are awaited before netifd is asked: `down` alone gives four within 30 ms.
const BURST: Duration = Duration::from_millis(50);

/// After an event netifd is asked again so soon, and then after twice as long, up to [`AGAIN`]: an interface that begins to
/// wait for an answer is told by no event.
const SOON: Duration = Duration::from_millis(500);

/// How often it is asked although nothing was told, while it is up and we listen, and else. A call is a process of some
/// milliseconds.
const AGAIN: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(10));

/// The first and the longest wait before listening is tried again.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Failures in a row after which netifd is taken to be unreachable, and not only to be coming back.
const FAILURES: u32 = 3;

/// The devices that netifd says the WAN has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Named {
    /// The one that carries the addresses.
    pub device: Option<String>,
    /// The one that a PPPoE session runs over.
    pub port: Option<String>,
}

/// Begins to watch the interface `configured`, or the one that has `device`, or the default route. Tells
/// [`Observation::InterfaceSeen`] at the start and on each change, and [`Observation::PartSeen`] when netifd cannot be asked.
/// Ends when nobody listens.
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
        told: None,
        troubled: false,
        failures: 0,
        named,
        report,
    };
    tokio::spawn(watch.run());
    watcher
}

/// Nobody listens any more.
struct Unheard;

struct Watch {
    netifd: Netifd,
    configured: Option<String>,
    device: String,
    /// As it was found.
    name: Option<String>,
    told: Option<(String, Interface)>,
    troubled: bool,
    failures: u32,
    named: watch::Sender<Named>,
    report: mpsc::Sender<Observation>,
}

impl Watch {
    async fn run(mut self) {
        let mut ear = Ear::new(self.netifd.clone());
        let mut soon = SOON;
        loop {
            if self.ask().await.is_err() {
                return;
            }
            let up = self.told.as_ref().is_some_and(|(_, is)| *is == Interface::Up);
            let again = if up && ear.listens() { AGAIN.0 } else { AGAIN.1 };
            let wait = soon.min(again);
            soon = again.min(soon * 2);
            tokio::select! {
                () = sleep(wait) => {}
                () = ear.heard() => {
                    sleep(BURST).await;
                    soon = SOON;
                }
                () = self.report.closed() => return,
            }
        }
    }

    /// Asks how it stands, and tells what is new.
    async fn ask(&mut self) -> Result<(), Unheard> {
        let known = match &self.name {
            Some(name) => self.netifd.status(name).await.ok(),
            None => None,
        };
        let (name, status) = match (known, self.name.take()) {
            (Some(status), Some(name)) => (name, Ok(status)),
            // It is gone, or was never found.
            (_, before) => match self.netifd.find(self.configured.as_deref(), &self.device).await {
                Ok(name) => (name.clone(), self.netifd.status(&name).await),
                Err(why) => (before.or(self.configured.clone()).unwrap_or_else(|| "wan".into()), Err(why)),
            },
        };
        match status {
            Ok(status) => {
                self.failures = 0;
                self.name_devices(&name, &status);
                self.trouble(None).await?;
                self.name = Some(name.clone());
                self.tell(name, read(&status)).await
            }
            Err(why) => {
                self.failures = self.failures.saturating_add(1);
                if self.failures >= FAILURES {
                    let words = format!("netifd does not tell how {name} stands: {why}");
                    self.trouble(Some(words)).await?;
                }
                self.tell(name, Interface::Gone).await
            }
        }
    }

    async fn tell(&mut self, name: String, is: Interface) -> Result<(), Unheard> {
        let told = Some((name, is));
        if self.told == told {
            return Ok(());
        }
        self.told = told;
        let Some((name, is)) = self.told.clone() else { return Ok(()) };
        self.report.send(Observation::InterfaceSeen { name, is }).await.map_err(|_| Unheard)
    }

    async fn trouble(&mut self, trouble: Option<String>) -> Result<(), Unheard> {
        if std::mem::replace(&mut self.troubled, trouble.is_some()) == trouble.is_some() {
            return Ok(());
        }
        let told = Observation::PartSeen { part: Part::Interface, trouble };
        self.report.send(told).await.map_err(|_| Unheard)
    }

    fn name_devices(&self, name: &str, status: &Value) {
        let last = self.named.borrow().clone();
        let named = devices(name, status, &last);
        self.named.send_if_modified(|old| {
            let changed = *old != named;
            *old = named;
            changed
        });
    }
}

/// Which devices the interface `name` has. A session's goes with it: then it is the one that it had, or will have.
pub fn devices(name: &str, status: &Value, last: &Named) -> Named {
    let some = |key| Some(text(status, key).to_owned()).filter(|device| !device.is_empty());
    let (above, below) = (some("l3_device"), some("device"));
    if text(status, "proto") == "pppoe" {
        let session =
            || last.device.clone().filter(|_| last.port.is_some()).unwrap_or(format!("pppoe-{name}"));
        let device = above.unwrap_or_else(session);
        let port = below.filter(|below| *below != device).or_else(|| last.port.clone());
        return Named { device: Some(device), port };
    }
    Named { device: above.or(below).or_else(|| last.device.clone()), port: None }
}

/// The one child that listens; a new one when it has died.
struct Ear {
    netifd: Netifd,
    child: Option<Child>,
    retry: Duration,
    /// What is left of the wait before listening is tried again: asking goes on meanwhile.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Ear {
    fn new(netifd: Netifd) -> Ear {
        let child = netifd.listen().ok();
        Ear { netifd, child, retry: RETRY.0, waiting: None }
    }

    fn listens(&self) -> bool {
        self.child.is_some()
    }

    /// Comes back when something was said, or when listening began anew: what happened meanwhile was not heard.
    async fn heard(&mut self) {
        if let Some(output) = self.child.as_mut().and_then(|child| child.stdout.as_mut()) {
            let mut said = [0; 1024];
            if output.read(&mut said).await.is_ok_and(|n| n > 0) {
                self.retry = RETRY.0;
                return;
            }
        }
        // Its output is closed: it ends, or is made to when it goes out of sight.
        self.child = None;
        self.waiting.get_or_insert_with(|| Box::pin(sleep(self.retry))).as_mut().await;
        self.waiting = None;
        self.retry = RETRY.1.min(self.retry * 2);
        self.child = self.netifd.listen().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_session_that_is_gone_keeps_its_name_and_the_port_below_it() {
        let up = json!({ "proto": "pppoe", "l3_device": "pppoe-wan", "device": "eth1" });
        let down = json!({ "proto": "pppoe", "device": "eth1" });
        let wanted = Named { device: Some("pppoe-wan".into()), port: Some("eth1".into()) };
        let first = devices("wan", &up, &Named::default());
        assert_eq!(first, wanted);
        assert_eq!(devices("wan", &down, &first), wanted);
        assert_eq!(devices("wan", &down, &Named::default()), wanted, "it was never up in our life");
        let renamed = json!({ "proto": "pppoe", "l3_device": "ppp7", "device": "eth1" });
        assert_eq!(devices("wan", &down, &devices("wan", &renamed, &first)).device.as_deref(), Some("ppp7"));
    }

    #[test]
    fn an_interface_that_was_never_up_has_the_device_it_is_to_have() {
        let device = |status| devices("wan", &status, &Named::default()).device;
        assert_eq!(device(json!({ "proto": "dhcp", "device": "eth1" })).as_deref(), Some("eth1"));
        assert_eq!(
            device(json!({ "proto": "dhcp", "device": "eth0.2", "l3_device": "br-wan" })).as_deref(),
            Some("br-wan")
        );
        assert_eq!(device(json!({ "proto": "dhcp" })), None);
    }
}
