//! OpenWrt's netifd, queried through `ubus`: which interface is the WAN, what state it is in, and when it changes.
//!
//! One `ubus listen` runs as long as this process and follows the events. `ubus subscribe` would deliver the status with
//! the event, but it is tied to one netifd process: when that dies, the subscription ends without any notice. Events on
//! the bus survive netifd, and `ubus.object.*` announces its death and return. The content of an event is not read: any
//! event is a reason to query, and one call takes a millisecond.

use crate::program::{RunResult, Termination, run_for_answer};
use linekeeper_judge::observation::Interface;
use rustix::process::{Signal, set_parent_process_death_signal};
use serde_json::Value;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};

/// How long one ubus call may take. A call takes a few milliseconds; procd restarts a dead netifd after five seconds.
pub const CALL_WITHIN: Duration = Duration::from_secs(5);

/// The most interfaces that are searched for the WAN. Gateways have fewer than ten.
const MAX_INTERFACES: usize = 32;

/// The events to listen for: interfaces going up and down, and bus objects (netifd's among them) appearing and leaving.
const EVENTS: [&str; 3] = ["network.interface", "ubus.object.add", "ubus.object.remove"];

/// Why a query or a command failed, as text for a log or a message.
pub type Words = String;

/// The state of an interface, from the answer to `ubus call network.interface.X status`.
///
/// `errors` holds the last error of whoever set one: it stays while a protocol handler dials again, and after `ifdown`. Only
/// netifd's own refusals tell a wrong setting, and only while it does not try: subsystem `proto`, or `interface` for a missing
/// device. A handler's error (`pppoe`: CONNECT_FAILED, PEER_DEAD; USER_REQUEST only says that pppd was terminated, which a
/// lost carrier does too) is an ordinary fault of the access. What somebody wants is `autostart`.
pub fn interface_state(status: &Value) -> Interface {
    let flag = |key: &str| status.get(key).and_then(Value::as_bool).unwrap_or(false);
    let errors = || {
        let errors = status.get("errors").and_then(Value::as_array).into_iter().flatten();
        errors.filter_map(|e| Some((text(e, "subsystem"), e.get("code")?.as_str()?)))
    };
    let short =
        |code: &str| code.chars().filter(|c| c.is_ascii_graphic()).take(MAX_ERROR_CODE_LENGTH).collect();
    if flag("up") {
        let nothing = text(status, "proto") == "none";
        return if nothing { Interface::NoProtocol } else { Interface::Up };
    }
    if flag("pending") {
        return Interface::Pending;
    }
    if !flag("autostart") {
        // With `option authfail 1` the handler gives up after a refused login; nobody took the interface down.
        let login = errors().map(|(_, code)| code).find(|code| code.starts_with("AUTH"));
        return login.map_or(Interface::TakenDown, |code| Interface::Refused(short(code)));
    }
    let refused = errors().find(|(subsystem, _)| matches!(*subsystem, "proto" | "interface"));
    match refused {
        Some(("interface", "NO_DEVICE")) => Interface::NoDevice,
        Some((_, code)) => Interface::Refused(short(code)),
        None if !flag("available") => Interface::NoDevice,
        None => Interface::Waiting,
    }
}

/// The most characters of an error code that are kept: netifd's have about twenty.
const MAX_ERROR_CODE_LENGTH: usize = 64;

/// The bus' socket, in OpenWrt since 21.02 and before.
const SOCKETS: [&str; 2] = ["/var/run/ubus/ubus.sock", "/var/run/ubus.sock"];

/// Which life of ubusd's it is: its socket's inode, and when that was made.
pub type BusId = (u64, i64, i64);

/// A client of netifd.
#[derive(Debug, Clone)]
pub struct Netifd {
    ubus: PathBuf,
    sockets: Vec<PathBuf>,
}

impl Default for Netifd {
    fn default() -> Netifd {
        Netifd { ubus: "ubus".into(), sockets: SOCKETS.map(PathBuf::from).to_vec() }
    }
}

impl Netifd {
    /// A client that runs another program in place of `ubus`.
    pub fn with_program(ubus: &Path) -> Netifd {
        Netifd { ubus: ubus.to_owned(), sockets: vec![ubus.with_extension("sock")] }
    }

    /// Which life of ubusd's it is; `None` while it does not run. `ubus listen` does not end when ubusd dies, and hears nothing of
    /// the next one.
    pub fn bus_id(&self) -> Option<BusId> {
        let found = self.sockets.iter().find_map(|socket| std::fs::metadata(socket).ok())?;
        Some((found.ino(), found.ctime(), found.ctime_nsec()))
    }

    /// The program that is run.
    pub fn ubus(&self) -> &Path {
        &self.ubus
    }

    /// OpenWrt's name of the WAN: the configured one if netifd has it, else the one with `device`, else the main uplink
    /// ([`main_uplink`]), or `wan`.
    ///
    /// # Errors
    /// When netifd does not answer or has no such interface.
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
        let mut known = Vec::new();
        for name in names.iter().take(MAX_INTERFACES).filter(|name| **name != "loopback") {
            let Ok(status) = self.status(name).await else { continue };
            if is_on_device(device, &status) {
                return Ok((*name).to_owned());
            }
            known.push((*name, status));
        }
        // OpenWrt's default name.
        let usual = names.iter().copied().find(|name| *name == "wan");
        main_uplink(&known).or(usual).map(str::to_owned).ok_or_else(|| {
            let wanted = configured.map_or(String::new(), |name| format!("has no interface {name}, "));
            format!(
                "netifd {wanted}knows none with the device {device}, none with a default route and no wan; name it in \
                 line.interface"
            )
        })
    }

    /// netifd's status of an interface.
    ///
    /// # Errors
    /// When netifd does not answer in time, or its answer is not JSON.
    pub async fn status(&self, name: &str) -> Result<Value, Words> {
        let ran = self.call(&[&object(name), "status"]).await;
        if !ran.succeeded() {
            return Err(format!("{name}: {}", trouble(&ran, CALL_WITHIN)));
        }
        linekeeper_contract::json::parse(ran.output.as_bytes())
            .map_err(|e| format!("netifd's status of {name} is not JSON: {e}"))
    }

    /// `ubus call WORDS…`
    pub async fn call(&self, words: &[&str]) -> RunResult {
        self.run(&[&["-t", "4", "call"], words].concat()).await
    }

    async fn run(&self, words: &[&str]) -> RunResult {
        let mut argv: Vec<OsString> = vec![self.ubus.clone().into()];
        argv.extend(words.iter().map(OsString::from));
        run_for_answer(&argv, CALL_WITHIN).await
    }

    /// Starts listening: each event appears as bytes on the child's standard output. Dropping the child kills it, and so does
    /// our own death, however we die: it would listen on for ever. To be called on the main thread, whose end the kernel
    /// watches.
    ///
    /// # Errors
    /// The error of starting the process.
    pub fn listen(&self) -> std::io::Result<Child> {
        let mut command = Command::new(&self.ubus);
        #[expect(unsafe_code, reason = "there is no other way to ask for a signal at the parent's death")]
        // SAFETY: the closure runs between fork and exec, where only async-signal-safe calls are allowed: it makes one system
        // call, and neither allocates nor locks.
        unsafe {
            command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
        }
        command
            .arg("listen")
            .args(EVENTS)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
    }
}

/// Whether this is the status of the interface on `device`.
fn is_on_device(device: &str, status: &Value) -> bool {
    // Of two interfaces on one device, the IPv4 one counts: restarting it brings up IPv6 too, not the other way round.
    !device.is_empty()
        && [text(status, "l3_device"), text(status, "device")].contains(&device)
        && text(status, "proto") != "dhcpv6"
}

/// Protocols that carry packets over another uplink. Such an interface may have the best default route and is never the line.
const TUNNELS: &[&str] = &[
    "464xlat",
    "6in4",
    "6rd",
    "6to4",
    "dslite",
    "gre",
    "gretap",
    "grev6",
    "grev6tap",
    "ipip",
    "ipip6",
    "l2tp",
    "map",
    "nebula",
    "openconnect",
    "openvpn",
    "pptp",
    "sstp",
    "tailscale",
    "tinc",
    "vpnc",
    "vti",
    "vti6",
    "vxlan",
    "vxlan6",
    "wireguard",
    "xfrm",
    "yggdrasil",
    "zerotier",
];

/// The main uplink: of the interfaces with a default route, and of those that wait for one, the one with the lowest metric;
/// IPv4 before IPv6, and `wan` before its equals. So a backup is not the line even while the main uplink is dead.
fn main_uplink<'a>(known: &[(&'a str, Value)]) -> Option<&'a str> {
    let rank = |name: &str, status: &Value| {
        let flag = |key: &str| status.get(key).and_then(Value::as_bool).unwrap_or(false);
        let proto = text(status, "proto");
        let has_default = |target: &str| {
            let mut routes = status.get("route").and_then(Value::as_array).into_iter().flatten();
            routes.any(|r| r["target"] == target && r["mask"] == 0)
        };
        let (v4, v6) = (has_default("0.0.0.0"), has_default("::"));
        let waits = !flag("up") && flag("autostart") && !matches!(proto, "static" | "none" | "");
        let metric = status.get("metric").and_then(Value::as_u64).unwrap_or(0);
        let is_v6_only = proto == "dhcpv6" || v6 && !v4;
        (!TUNNELS.contains(&proto) && (v4 || v6 || waits)).then_some((
            metric,
            is_v6_only,
            name != "wan",
            !(v4 || v6),
        ))
    };
    let ranked = known.iter().filter_map(|(name, status)| Some((rank(name, status)?, *name)));
    ranked.min().map(|(_, name)| name)
}

/// Runs every parser of netifd's answers on `bytes` and discards the results: for tests with hostile input.
pub fn parse_and_discard(bytes: &[u8]) {
    if let Ok(status) = linekeeper_contract::json::parse(bytes) {
        is_on_device("wan", &status);
        let _ = interface_state(&status).words();
        let _ = main_uplink(&[("wan", status)]);
    }
}

/// A text field of a status; empty if it is missing.
pub fn text<'a>(status: &'a Value, key: &str) -> &'a str {
    status.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The name of an interface's object on the bus.
pub fn object(name: &str) -> String {
    format!("network.interface.{name}")
}

/// Why a ubus call failed. ubus reports this by its exit code; its output says little.
pub fn trouble(ran: &RunResult, limit: Duration) -> String {
    let code = match &ran.termination {
        Termination::Exited(status) => status.code(),
        Termination::TimedOut | Termination::NotStarted(_) => None,
    };
    match code {
        Some(4) => "it is not there: disabled, or netifd does not run".into(),
        Some(7) => "no answer from ubus in time".into(),
        Some(252) => "ubus' ACL does not allow it".into(),
        Some(253) => "it has no such method".into(),
        _ => ran.failure(limit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn main_uplink_is_neither_a_backup_nor_a_tunnel() {
        let interface = |name: &'static str, proto: &str, up: bool, metric: u32, default: &str| {
            let route = match default {
                "" => json!([]),
                target => json!([{ "target": target, "mask": 0, "nexthop": "192.0.2.1" }]),
            };
            (name, json!({ "proto": proto, "up": up, "autostart": true, "metric": metric, "route": route }))
        };
        let lan = || interface("lan", "static", true, 0, "");
        let wan = |up: bool, metric| interface("wan", "dhcp", up, metric, if up { "0.0.0.0" } else { "" });
        let lte = |up: bool, metric| interface("lte", "qmi", up, metric, if up { "0.0.0.0" } else { "" });
        let wan6 = || interface("wan6", "dhcpv6", true, 0, "::");
        let vpn = || interface("wg0", "wireguard", true, 0, "0.0.0.0");
        for (what, known, expected) in [
            ("a backup before it in the list", vec![lan(), lte(true, 20), wan(true, 10)], Some("wan")),
            ("metrics swapped", vec![lan(), lte(true, 5), wan(true, 10)], Some("lte")),
            ("a VPN with the best route", vec![vpn(), wan(true, 10)], Some("wan")),
            ("the main uplink dead", vec![lte(true, 20), vpn(), wan(false, 10)], Some("wan")),
            ("the backup dead", vec![lte(false, 20), wan(true, 10)], Some("wan")),
            ("no metrics", vec![lte(true, 0), wan(true, 0)], Some("wan")),
            ("no metrics, the main uplink dead", vec![lte(true, 0), wan(false, 0)], Some("wan")),
            (
                "IPv6 only, IPv4 through 464XLAT",
                vec![interface("clat", "464xlat", true, 2_048, "0.0.0.0"), wan6()],
                Some("wan6"),
            ),
            ("DS-Lite", vec![interface("wan6_4", "dslite", true, 0, "0.0.0.0"), wan6()], Some("wan6")),
            ("both families", vec![wan6(), wan(true, 0)], Some("wan")),
            ("only a tunnel", vec![lan(), vpn()], None),
        ] {
            assert_eq!(main_uplink(&known), expected, "{what}");
        }
    }

    #[test]
    fn states_of_netifd_are_read_as_it_means_them() {
        use Interface::{NoDevice, NoProtocol, Pending, Refused, TakenDown, Up, Waiting};
        let refused = |code: &str| Refused(code.into());
        // up, pending, available, autostart, protocol, error: as netifd of 25.12 says them.
        let cases = [
            ("up", (true, false, true, true), "pppoe", None, Up),
            ("without a protocol", (true, false, true, true), "none", None, NoProtocol),
            ("dialling for the first time", (false, true, true, true), "pppoe", None, Pending),
            ("in vain", (false, true, true, true), "pppoe", Some(("pppoe", "CONNECT_FAILED")), Pending),
            ("session lost", (false, true, true, true), "pppoe", Some(("pppoe", "PEER_DEAD")), Pending),
            (
                "wrong password",
                (false, true, true, true),
                "pppoe",
                Some(("pppoe", "AUTH_TOPEER_FAILED")),
                Pending,
            ),
            (
                "wrong password, authfail 1",
                (false, false, true, false),
                "pppoe",
                Some(("pppoe", "AUTH_TOPEER_FAILED")),
                refused("AUTH_TOPEER_FAILED"),
            ),
            (
                "after ifdown",
                (false, false, true, false),
                "pppoe",
                Some(("pppoe", "USER_REQUEST")),
                TakenDown,
            ),
            ("just after ifdown", (false, false, true, false), "pppoe", None, TakenDown),
            (
                "just after our up",
                (false, false, true, true),
                "pppoe",
                Some(("pppoe", "USER_REQUEST")),
                Waiting,
            ),
            ("no carrier", (false, false, true, true), "pppoe", Some(("pppoe", "USER_REQUEST")), Waiting),
            ("a modem without a SIM", (false, true, true, true), "qmi", Some(("qmi", "PIN_FAILED")), Pending),
            ("DHCP without a server", (false, true, true, true), "dhcp", None, Pending),
            ("taken down", (false, false, true, false), "dhcp", None, TakenDown),
            ("no device", (false, false, false, true), "dhcp", Some(("interface", "NO_DEVICE")), NoDevice),
            (
                "a wrong address",
                (false, false, true, true),
                "static",
                Some(("proto", "INVALID_ADDRESS")),
                refused("INVALID_ADDRESS"),
            ),
            // Somebody took it down in spite of what else is wrong.
            (
                "a wrong address, down",
                (false, false, true, false),
                "static",
                Some(("proto", "INVALID_GATEWAY")),
                TakenDown,
            ),
        ];
        for (what, (up, pending, available, autostart), proto, error, expected) in cases {
            let mut status = json!({ "up": up, "pending": pending, "available": available,
                "autostart": autostart, "proto": proto });
            if let Some((subsystem, code)) = error {
                status["errors"] = json!([{ "subsystem": subsystem, "code": code }]);
            }
            assert_eq!(interface_state(&status), expected, "{what}");
        }
        for broken in [json!(null), json!([]), json!({ "errors": [3, {}, { "code": 1 }] })] {
            assert_eq!(interface_state(&broken), TakenDown, "{broken}");
        }
    }
}
