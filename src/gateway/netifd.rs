//! OpenWrt's netifd, asked through `ubus`: which interface is the WAN, how it stands, and that something changed.
//!
//! Events are followed by one `ubus listen` that lives as long as we do. `ubus subscribe` would tell the status along with
//! the event, but is tied to the netifd that lived when it began: when that dies the subscription is gone and nobody
//! says so. The events on the bus outlive netifd, and `ubus.object.*` tells of its death and return. What came is
//! not read: any word is a reason to ask, and one call takes a millisecond.

use crate::program::{End, Ran, ask};
use linekeeper_judge::observation::Interface;
use serde_json::Value;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};

/// How long one call of ubus may take. A call takes some milliseconds; a netifd that has died is back after five seconds.
pub const CALL_WITHIN: Duration = Duration::from_secs(5);

/// At most so many interfaces are looked at to find the WAN's. Gateways have less than ten.
const INTERFACES_MOST: usize = 32;

/// What is listened to: interfaces going up and down, and objects coming and going, netifd's among them.
const EVENTS: [&str; 3] = ["network.interface", "ubus.object.add", "ubus.object.remove"];

/// Why something could not be known or done, in words.
pub type Words = String;

/// Reads `ubus call network.interface.X status`.
pub fn read(status: &Value) -> Interface {
    let flag = |key: &str| status.get(key).and_then(Value::as_bool).unwrap_or(false);
    let errors = status.get("errors").and_then(Value::as_array).into_iter().flatten();
    let code = errors.filter_map(|e| e.get("code")?.as_str()).next();
    match (flag("up"), flag("pending"), code) {
        (false, _, Some("NO_DEVICE")) => Interface::NoDevice,
        (false, _, Some(code)) => {
            Interface::Refused(code.chars().filter(|c| c.is_ascii_graphic()).take(CODE_MOST).collect())
        }
        (true, ..) if status.get("proto").and_then(Value::as_str) == Some("none") => Interface::NoProtocol,
        (true, ..) => Interface::Up,
        (false, true, None) => Interface::Pending,
        (false, false, None) if !flag("autostart") => Interface::TakenDown,
        (false, false, None) if !flag("available") => Interface::NoDevice,
        (false, false, None) => Interface::Waiting,
    }
}

/// The longest code of an error that is kept: netifd's have some twenty letters.
const CODE_MOST: usize = 64;

/// Asks netifd.
#[derive(Debug, Clone)]
pub struct Netifd {
    ubus: PathBuf,
}

impl Default for Netifd {
    fn default() -> Netifd {
        Netifd { ubus: "ubus".into() }
    }
}

impl Netifd {
    /// By another program in the place of `ubus`.
    pub fn by(ubus: &Path) -> Netifd {
        Netifd { ubus: ubus.to_owned() }
    }

    /// The program that is asked.
    pub fn ubus(&self) -> &Path {
        &self.ubus
    }

    /// OpenWrt's name of the WAN: the configured one if netifd has it, else the one with `device`, the one with the default
    /// route, or `wan`.
    ///
    /// # Errors
    /// In words, when netifd does not answer or knows no such interface.
    pub async fn find(&self, configured: Option<&str>, device: &str) -> Result<String, Words> {
        let ran = self.run(&["list", "network.interface.*"]).await;
        if !ran.succeeded() {
            return Err(format!("netifd has no interfaces: {}", trouble(&ran, CALL_WITHIN)));
        }
        let names: Vec<&str> =
            ran.output.lines().filter_map(|line| line.trim().strip_prefix("network.interface.")).collect();
        if let Some(name) = configured.filter(|name| names.contains(name)) {
            return Ok(name.to_owned());
        }
        let (mut ours, mut routed) = (None, None);
        for name in names.iter().take(INTERFACES_MOST).filter(|name| **name != "loopback") {
            let Ok(status) = self.status(name).await else { continue };
            let (mine, default) = weigh(device, &status);
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
            let wanted = configured.map_or(String::new(), |name| format!("has no interface {name}, "));
            format!(
                "netifd {wanted}knows none with the device {device}, none with a default route and no wan; name it in \
                 line.interface"
            )
        })
    }

    /// How netifd sees an interface.
    ///
    /// # Errors
    /// In words.
    pub async fn status(&self, name: &str) -> Result<Value, Words> {
        let ran = self.call(&[&object(name), "status"]).await;
        if !ran.succeeded() {
            return Err(format!("{name}: {}", trouble(&ran, CALL_WITHIN)));
        }
        linekeeper_contract::json::parse(ran.output.as_bytes())
            .map_err(|e| format!("netifd's status of {name} is not JSON: {e}"))
    }

    /// `ubus call WORDS…`
    pub async fn call(&self, words: &[&str]) -> Ran {
        self.run(&[&["-t", "4", "call"], words].concat()).await
    }

    async fn run(&self, words: &[&str]) -> Ran {
        let mut argv: Vec<OsString> = vec![self.ubus.clone().into()];
        argv.extend(words.iter().map(OsString::from));
        ask(&argv, CALL_WITHIN).await
    }

    /// Begins to listen; what changes shows as bytes on the child's standard output. The child goes with the value.
    ///
    /// # Errors
    /// As the kernel says it.
    pub fn listen(&self) -> std::io::Result<Child> {
        Command::new(&self.ubus)
            .arg("listen")
            .args(EVENTS)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
    }
}

/// Whether netifd's status of an interface is that of our device, and whether it has the default route.
fn weigh(device: &str, status: &Value) -> (bool, bool) {
    // IPv6 on the same device comes with the interface for IPv4, not the other way round.
    let mine = !device.is_empty()
        && [text(status, "l3_device"), text(status, "device")].contains(&device)
        && text(status, "proto") != "dhcpv6";
    let mut routes = status.get("route").and_then(Value::as_array).into_iter().flatten();
    (mine, routes.any(|r| r["target"] == "0.0.0.0" && r["mask"] == 0))
}

/// Lets all that reads netifd's answers have `bytes` as one, and throws away what they make of it: for tests with
/// hostile bytes.
pub fn swallow(bytes: &[u8]) {
    if let Ok(status) = linekeeper_contract::json::parse(bytes) {
        weigh("wan", &status);
        let _ = read(&status).words();
    }
}

/// A text in a status; empty where there is none.
pub fn text<'a>(status: &'a Value, key: &str) -> &'a str {
    status.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// An interface's object on the bus.
pub fn object(name: &str) -> String {
    format!("network.interface.{name}")
}

/// Why ubus did not succeed; its exit codes are more than its words.
pub fn trouble(ran: &Ran, limit: Duration) -> String {
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
