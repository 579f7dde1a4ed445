//! `[line]`: which line is watched.

use super::bounds::{LONGEST_DEVICE_NAME, LONGEST_INTERFACE_NAME};
use super::kinds::{Choice, Flag, text};
use super::options::{ASKED, Pattern, Right, Uci, options};
use super::reader::{Reader, Section, Show};
use linekeeper_contract::vocabulary::Protocol;

options! {
    /// Which line is watched.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Line = section "line", "Line" / "线路", "Which line is watched." / "监测哪条线路。",
        check Line::contradictions {
        /// The kernel's name of the WAN device, 1 to 15 bytes. `None`: the one with the default route.
        device: Option<String> = text(Pattern::Plain, Show::Open, device_name), ASKED,
            "WAN device" / "WAN 设备",
            "The kernel's name of the WAN device, like eth1 or pppoe-wan. If absent: the device with the default route." /
            "WAN 设备在内核中的名称，如 eth1 或 pppoe-wan。留空：默认路由所在的设备。",
            shows "eth1";
        /// OpenWrt's name of the WAN interface. netifd is queried about it, and its driver restarts it. `None`: the interface
        /// with the device, or with the default route.
        interface: Option<String> = text(Pattern::Plain, Show::Open, interface_name), ASKED,
            "Interface" / "接口",
            "OpenWrt's name of the WAN interface, like wan. netifd is queried about its state, and remedies restart it. If \
             absent: the interface with the device, or with the default route." /
            "线路在 OpenWrt 中的接口名，如 wan：向 netifd 查询其状态，修复时重启它。留空：使用该设备或默认路由所在的接口。",
            example "wan";
        /// The customer pays by volume: no speed tests run, and only the customer's own traffic is observed.
        ///
        /// Default false.
        metered: bool = Flag(false), Right::Remote,
            "Metered" / "按流量计费",
            "The customer pays by volume: run no speed tests." / "流量计费：不进行测速。",
            uci [Uci::Instead("1")];
        /// How the line gets its address.
        ///
        /// Default `dhcp`: what most fixed lines behind a modem or an ONT use.
        protocol: Protocol = Choice(&[
                ("dhcp", Protocol::Dhcp), ("pppoe", Protocol::Pppoe), ("static", Protocol::Static),
            ]), Right::Remote,
            "Address from" / "地址获取方式",
            "How the line gets its address: \"dhcp\", \"pppoe\" (the device is then that of the session, like pppoe-wan) or \
             \"static\"." /
            "线路如何获取地址。PPPoE 时，设备为会话的设备，如 pppoe-wan。",
            labels ["DHCP" / "DHCP", "PPPoE" / "PPPoE", "a fixed one" / "固定地址"];
        /// The Ethernet device below a PPPoE session, over which the concentrator is probed. The session's own device disappears
        /// with the session, and the kernel does not say which port it used. `None`: nothing below the session is checked.
        port: Option<String> = text(Pattern::Plain, Show::Open, device_name), ASKED,
            "Port below the session" / "会话所在端口",
            "The Ethernet device below the session, like eth1. The concentrator is probed over it. Without it a lost \
             session is noticed, but not its cause." /
            "会话之下的以太网设备，如 eth1，经它询问接入集中器。留空：能发现会话中断，但不知其原因。",
            example "eth1", with "protocol" ["pppoe"];
    }
}

impl Line {
    fn contradictions(&mut self, reader: &mut Reader<'_>, section: &Section<'_>) {
        if self.port.is_none() {
            return;
        }
        let path = section.path("port");
        if self.protocol != Protocol::Pppoe {
            reader.fault(
                &path,
                "is valid only with line.protocol = \"pppoe\": on other lines the port is line.device",
            );
        } else if self.device.is_none() {
            reader.missing(
                &section.path("device"),
                &format!("set the session's device too, because {path} is set"),
            );
        } else if self.port == self.device {
            reader.fault(&path, "must differ from line.device, which is the session's");
        }
    }
}

/// The kernel's own rule: `dev_valid_name()`.
fn device_name(text: &str) -> Result<String, String> {
    let bad = |c: char| c == '/' || c == ':' || c == '\0' || c.is_whitespace();
    let longest = LONGEST_DEVICE_NAME;
    if text.is_empty() || text.len() > longest || text == "." || text == ".." || text.contains(bad) {
        return Err(format!("a network device's name: 1 to {longest} bytes without spaces, / or :"));
    }
    Ok(text.to_owned())
}

/// UCI's own rule for names, and netifd's length.
fn interface_name(text: &str) -> Result<String, String> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let longest = LONGEST_INTERFACE_NAME;
    if text.is_empty() || text.len() > longest || !text.bytes().all(good) {
        return Err(format!("an interface's name in OpenWrt: 1 to {longest} of A-Z a-z 0-9 _"));
    }
    Ok(text.to_owned())
}
