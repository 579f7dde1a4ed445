//! Remedies on OpenWrt: netifd carries them out, `ubus` asks it.
//!
//! The one thing that must not happen is a WAN left down by us. netifd keeps an interface down for good after `down` until
//! somebody says `up`, also through a reload. So `down` and `up` are one child process of their own, which goes on when
//! we are killed between them; whatever way a restart ends, `up` is sent once more; and after a death in the middle of a
//! remedy, or of the gateway, the judge has [`OpenWrt::make_safe`] called at the next start.

use super::command::{End, Ran, run};
use super::configured::configured;
use super::leash::UpAgain;
use crate::action::{Repair, Rung};
use crate::config::OpenWrtDriver;
use crate::observation::RemedyResult;
use crate::units::Span;
use serde_json::Value;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How long one call of ubus may take. A call takes some milliseconds; a netifd that has died is back after five seconds.
const CALL_WITHIN: Duration = Duration::from_secs(5);

/// How long [`OpenWrt::make_safe`] tries. Three lives of a netifd that comes back only every five seconds.
const SAFE_WITHIN: Duration = Duration::from_secs(15);

/// How long it waits between two tries.
const TRY_AGAIN: Duration = Duration::from_millis(500);

/// At most so many interfaces are looked at to find the WAN's. Gateways have less than ten.
const INTERFACES_MOST: usize = 32;

/// Down and up in one process. `$1` is ubus, `$2` the object. `up` is sent whatever came of `down`, and its exit code counts.
const DOWN_AND_UP: &str = "\"$1\" -t 4 call \"$2\" down; \"$1\" -t 4 call \"$2\" up";

/// Programs during which a reboot does harm: the firmware or packages are being written.
const WRITERS: [&str; 5] = ["sysupgrade", "upgraded", "firstboot", "opkg", "apk"];

/// Asks netifd.
#[derive(Debug)]
pub struct OpenWrt {
    how: OpenWrtDriver,
    device: String,
    ubus: PathBuf,
    proc: PathBuf,
}

/// An interface as netifd sees it: what can be told apart, and what a remedy has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interface {
    /// It has what it needs. netifd says so also of a line that is dead behind it.
    Up,
    /// It waits for an answer (DHCP, PPP), if need be for ever.
    Pending,
    /// It is down and would come up by itself: no carrier.
    Waiting,
    /// Somebody called `down`: it stays so until `up`.
    TakenDown,
    /// Its device is missing.
    NoDevice,
    /// "Up", but nothing runs its protocol: the handler is not installed.
    NoProtocol,
    /// netifd refuses its settings; its code says why.
    Refused(String),
}

impl Interface {
    /// Reads `ubus call network.interface.X status`.
    pub fn of(status: &Value) -> Interface {
        let flag = |key: &str| status.get(key).and_then(Value::as_bool).unwrap_or(false);
        let errors = status.get("errors").and_then(Value::as_array).into_iter().flatten();
        let code = errors.filter_map(|e| e.get("code")?.as_str()).next();
        match (flag("up"), flag("pending"), code) {
            (false, _, Some("NO_DEVICE")) => Interface::NoDevice,
            (false, _, Some(code)) => Interface::Refused(code.to_owned()),
            (true, ..) if status.get("proto").and_then(Value::as_str) == Some("none") => {
                Interface::NoProtocol
            }
            (true, ..) => Interface::Up,
            (false, true, None) => Interface::Pending,
            (false, false, None) if !flag("autostart") => Interface::TakenDown,
            (false, false, None) if !flag("available") => Interface::NoDevice,
            (false, false, None) => Interface::Waiting,
        }
    }

    fn words(&self) -> String {
        match self {
            Interface::Up => "is up".into(),
            Interface::Pending => "waits for an answer".into(),
            Interface::Waiting => "is down and waits for its carrier".into(),
            Interface::TakenDown => "was taken down by somebody".into(),
            Interface::NoDevice => "has no device".into(),
            Interface::NoProtocol => {
                "has a protocol for which there is no handler; install the package that brings it (ppp-mod-pppoe)"
                    .into()
            }
            Interface::Refused(code) => format!("has settings that netifd refuses ({code})"),
        }
    }
}

/// Why a step failed.
type Words = String;

impl OpenWrt {
    /// For the WAN device `device`, as the kernel names it: the interface is the configured one, or the one that has it.
    pub fn new(how: &OpenWrtDriver, device: &str) -> OpenWrt {
        OpenWrt { how: how.clone(), device: device.to_owned(), ubus: "ubus".into(), proc: "/proc".into() }
    }

    /// With another program in the place of `ubus`, and another `/proc`.
    pub fn with(self, ubus: &Path, proc: &Path) -> OpenWrt {
        OpenWrt { ubus: ubus.to_owned(), proc: proc.to_owned(), ..self }
    }

    /// Carries one remedy out.
    pub async fn repair(&self, repair: &Repair) -> (RemedyResult, String) {
        let limit: Duration = repair.limit.into();
        let done = match repair.rung {
            Rung::Renew => timeout(limit, self.renew()).await,
            Rung::RestartInterface => return self.restart(limit).await,
            Rung::OtherResolver => {
                let Some(resolver) = repair.resolver else {
                    return (RemedyResult::Unsupported, "no other resolver is known to answer".into());
                };
                let command = &self.how.other_resolver;
                let command: Vec<String> =
                    command.iter().map(|word| word.replace("{resolver}", &resolver.to_string())).collect();
                return configured("other_resolver", &command, &self.device, limit).await;
            }
            Rung::RestartNetwork => timeout(limit, self.restart_network()).await,
            Rung::PowerModem => {
                return configured("power_modem", &self.how.power_modem, &self.device, limit).await;
            }
            Rung::Reboot => timeout(limit, self.reboot()).await,
        };
        done.unwrap_or_else(|_| {
            (RemedyResult::Overran, format!("{} took longer than {}", repair.rung.name(), repair.limit))
        })
    }

    /// The interface allowed to be up. Says `up` until netifd has heard it: it may be just coming back itself.
    pub async fn make_safe(&self, rung: Rung) -> String {
        let mut last = String::from("no answer");
        let said = timeout(SAFE_WITHIN, async {
            loop {
                let why = match self.interface().await {
                    Ok(name) => match self.up(&name).await {
                        Ok(state) => return format!("{name} {}", state.words()),
                        Err(why) => why,
                    },
                    Err(why) => why,
                };
                last = why;
                sleep(TRY_AGAIN).await;
            }
        })
        .await;
        let safe = said.unwrap_or_else(|_| {
            let seconds = SAFE_WITHIN.as_secs();
            format!("the WAN could not be made sure of within {seconds} s ({last}); try `ifup` by hand")
        });
        match rung {
            Rung::PowerModem => format!("{safe}; whether the modem has power cannot be seen from here"),
            Rung::Renew
            | Rung::OtherResolver
            | Rung::RestartInterface
            | Rung::RestartNetwork
            | Rung::Reboot => safe,
        }
    }

    async fn renew(&self) -> (RemedyResult, String) {
        let done = async {
            let name = self.interface().await?;
            let status = self.status(&name).await?;
            let proto = status.get("proto").and_then(Value::as_str).unwrap_or_default().to_owned();
            match Interface::of(&status) {
                Interface::Up | Interface::Pending => {}
                other => return Err(format!("{name} {}: there is nothing to renew", other.words())),
            }
            if proto == "static" {
                return Ok((
                    RemedyResult::Unsupported,
                    format!("{name} has a fixed address: nothing to renew"),
                ));
            }
            self.call(&name, "renew").await?;
            Ok((RemedyResult::Done, format!("asked netifd to renew {name} ({proto})")))
        };
        done.await.unwrap_or_else(|why: Words| (RemedyResult::Failed, why))
    }

    async fn restart(&self, limit: Duration) -> (RemedyResult, String) {
        let began = async {
            let name = self.interface().await?;
            match Interface::of(&self.status(&name).await?) {
                state @ (Interface::NoDevice | Interface::NoProtocol | Interface::Refused(_)) => {
                    Err(format!("{name} {}: a restart does not change that", state.words()))
                }
                state => Ok((name, state)),
            }
        };
        let (name, before) = match timeout(limit, began).await {
            Ok(Ok(known)) => known,
            Ok(Err(why)) => return (RemedyResult::Failed, why),
            Err(_) => {
                return (RemedyResult::Overran, format!("netifd did not answer within {}", span(limit)));
            }
        };
        let leash = UpAgain::by([
            self.ubus.as_os_str(),
            "-t".as_ref(),
            "4".as_ref(),
            "call".as_ref(),
            object(&name).as_ref(),
            "up".as_ref(),
        ]);
        let outcome = timeout(limit, async {
            if before != Interface::TakenDown {
                let ran = self.down_and_up(&name, limit).await;
                if !ran.succeeded() {
                    return Err(format!("restarting {name}: {}", trouble(&ran, limit)));
                }
            }
            // Once more: it costs a millisecond, changes nothing where it is not needed, and tells how netifd sees it.
            self.up(&name).await
        })
        .await;
        let (result, said) = match outcome {
            Ok(Ok(_)) if before == Interface::TakenDown => {
                leash.disarm();
                return (RemedyResult::Done, format!("{name} had been taken down: took it up"));
            }
            Ok(Ok(after)) => {
                leash.disarm();
                return (RemedyResult::Done, format!("took {name} down and up: it {}", after.words()));
            }
            Ok(Err(why)) => (RemedyResult::Failed, why),
            Err(_) => (RemedyResult::Overran, format!("restarting {name} took longer than {}", span(limit))),
        };
        let safe = self.make_safe(Rung::RestartInterface).await;
        leash.disarm();
        (result, format!("{said}; {safe}"))
    }

    /// netifd ends and begins anew, with every interface that is meant to be up: it needs no `up` from us.
    async fn restart_network(&self) -> (RemedyResult, String) {
        let ran = self.ask(&["network", "restart"]).await;
        if ran.succeeded() {
            (RemedyResult::Done, "asked netifd to restart all networking".into())
        } else {
            let why = trouble(&ran, CALL_WITHIN);
            (RemedyResult::Failed, format!("asking netifd to restart all networking: {why}"))
        }
    }

    /// Never while firmware or packages are being written: that would make a brick of a slow line.
    async fn reboot(&self) -> (RemedyResult, String) {
        if let Some((id, name)) = self.writer() {
            return (RemedyResult::Failed, format!("{name} is at work (process {id}): not rebooted"));
        }
        let ran = self.ask(&["system", "reboot"]).await;
        if ran.succeeded() {
            (RemedyResult::Done, "asked procd to reboot".into())
        } else {
            (RemedyResult::Failed, format!("asking procd to reboot: {}", trouble(&ran, CALL_WITHIN)))
        }
    }

    /// A program at work that writes firmware or packages.
    fn writer(&self) -> Option<(String, &'static str)> {
        let entries = fs::read_dir(&self.proc).ok()?;
        entries.flatten().find_map(|entry| {
            let id = entry.file_name().into_string().ok()?;
            id.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
            let line = fs::read(entry.path().join("cmdline")).ok()?;
            // The program itself, or the script that a shell runs.
            let mut words = line.split(|b| *b == 0).take(2).map(String::from_utf8_lossy);
            let name = words
                .find_map(|word| WRITERS.into_iter().find(|name| word.rsplit('/').next() == Some(name)))?;
            Some((id, name))
        })
    }

    fn configured(&self) -> Option<&str> {
        self.how.interface.as_deref()
    }

    /// OpenWrt's name of the WAN: the configured one if netifd has it, else the one with our device, the one with the
    /// default route, or `wan`.
    async fn interface(&self) -> Result<String, Words> {
        let ran = self.run(&["list", "network.interface.*"]).await;
        if !ran.succeeded() {
            return Err(format!("netifd has no interfaces: {}", trouble(&ran, CALL_WITHIN)));
        }
        let names: Vec<&str> =
            ran.output.lines().filter_map(|line| line.trim().strip_prefix("network.interface.")).collect();
        if let Some(name) = self.configured().filter(|name| names.contains(name)) {
            return Ok(name.to_owned());
        }
        let (mut ours, mut routed) = (None, None);
        for name in names.iter().take(INTERFACES_MOST).filter(|name| **name != "loopback") {
            let Ok(status) = self.status(name).await else { continue };
            let (mine, default) = weigh(&self.device, &status);
            if mine && ours.is_none() {
                ours = Some(*name);
            }
            if default && routed.is_none() {
                routed = Some(*name);
            }
        }
        // What OpenWrt calls it where nobody chose otherwise.
        let usual = names.iter().copied().find(|name| *name == "wan");
        ours.or(routed).or(usual).map(str::to_owned).ok_or_else(|| {
            let wanted = self.configured().map_or(String::new(), |name| format!("has no interface {name}, "));
            format!(
                "netifd {wanted}knows none with the device {}, none with a default route and no wan; name it in \
                 line.interface",
                self.device
            )
        })
    }

    async fn status(&self, name: &str) -> Result<Value, Words> {
        let ran = self.ask(&[&object(name), "status"]).await;
        if !ran.succeeded() {
            return Err(format!("{name}: {}", trouble(&ran, CALL_WITHIN)));
        }
        serde_json::from_str(&ran.output).map_err(|e| format!("netifd's status of {name} is not JSON: {e}"))
    }

    async fn call(&self, name: &str, method: &str) -> Result<(), Words> {
        let ran = self.ask(&[&object(name), method]).await;
        if ran.succeeded() {
            Ok(())
        } else {
            Err(format!("{method} of {name}: {}", trouble(&ran, CALL_WITHIN)))
        }
    }

    /// `up`, and how netifd then sees it. It is up, or on its way: nobody's `down` holds it any more.
    async fn up(&self, name: &str) -> Result<Interface, Words> {
        self.call(name, "up").await?;
        match Interface::of(&self.status(name).await?) {
            Interface::TakenDown => Err(format!("{name} is still taken down after `up`")),
            state => Ok(state),
        }
    }

    async fn down_and_up(&self, name: &str, limit: Duration) -> Ran {
        let argv: [OsString; 6] = [
            "/bin/sh".into(),
            "-c".into(),
            DOWN_AND_UP.into(),
            "linekeeper".into(),
            self.ubus.clone().into(),
            object(name).into(),
        ];
        run(&argv, b"", &[], limit).await
    }

    async fn ask(&self, words: &[&str]) -> Ran {
        self.run(&[&["-t", "4", "call"], words].concat()).await
    }

    async fn run(&self, words: &[&str]) -> Ran {
        let mut argv: Vec<OsString> = vec![self.ubus.clone().into()];
        argv.extend(words.iter().map(OsString::from));
        run(&argv, b"", &[], CALL_WITHIN).await
    }
}

/// Whether netifd's status of an interface is that of our device, and whether it has the default route.
fn weigh(device: &str, status: &Value) -> (bool, bool) {
    let text = |key: &str| status.get(key).and_then(Value::as_str).unwrap_or_default();
    // IPv6 on the same device comes with the interface for IPv4, not the other way round.
    let mine = !device.is_empty()
        && [text("l3_device"), text("device")].contains(&device)
        && text("proto") != "dhcpv6";
    let mut routes = status.get("route").and_then(Value::as_array).into_iter().flatten();
    (mine, routes.any(|r| r["target"] == "0.0.0.0" && r["mask"] == 0))
}

/// Lets all that reads netifd's answers have `bytes` as one, and throws away what they make of it: for tests with
/// hostile bytes.
pub fn swallow(bytes: &[u8]) {
    if let Ok(status) = serde_json::from_slice::<Value>(bytes) {
        weigh("wan", &status);
        let _ = Interface::of(&status).words();
    }
}

fn object(name: &str) -> String {
    format!("network.interface.{name}")
}

fn span(d: Duration) -> Span {
    Span(u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

/// Why ubus did not succeed; its exit codes are more than its words.
fn trouble(ran: &Ran, limit: Duration) -> String {
    let code = match &ran.end {
        End::Exited(status) => status.code(),
        End::Overran | End::NotStarted(_) => None,
    };
    match code {
        Some(4) => "it is not there: disabled, or netifd does not run".into(),
        Some(7) => "no answer from ubus in time".into(),
        Some(252) => "ubus' ACL does not allow it".into(),
        Some(253) => "it has no such method".into(),
        _ => ran.failure(limit),
    }
}
