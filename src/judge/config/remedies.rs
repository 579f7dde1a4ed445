//! `[remedies]`: what may be done about a fault, and by whom.

use super::bounds::{Bounds, within};
use super::kinds::{Command, Flag, Words, count, file, quantity, quantity_form, row};
use super::options::{Form, Kind, Note, Right, Uci, options};
use super::reader::{Reader, Section, Show};
use linekeeper_contract::units::Span;
use linekeeper_contract::vocabulary::Rung;
use serde_json::Value;
use std::path::PathBuf;

/// What may be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remedies {
    /// Who does it.
    pub driver: Driver,
    /// The rungs that may be used, in order. Reboot is only in it if configured.
    pub ladder: Vec<Rung>,
    /// Settle time and budget of each rung, in the order of [`Rung::ALL`].
    pub limits: [RungLimits; 6],
    /// How long to wait before the same incident is worked on a second time; doubles with each pass up to a day.
    pub again: Span,
    /// Whether the record of each rung on this line orders the ladder and skips what never helped.
    pub learning: bool,
}

impl Remedies {
    /// What holds for one rung.
    pub fn limits(&self, rung: Rung) -> &RungLimits {
        match rung {
            Rung::Renew => &self.limits[0],
            Rung::OtherResolver => &self.limits[1],
            Rung::RestartInterface => &self.limits[2],
            Rung::RestartNetwork => &self.limits[3],
            Rung::PowerModem => &self.limits[4],
            Rung::Reboot => &self.limits[5],
        }
    }
}

/// What holds for one rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RungLimits {
    /// How long it may take before it is killed.
    pub limit: Span,
    /// How long to wait for the line to come back.
    pub settle: Span,
    /// How often in any 24 hours, 0 to 100.
    pub per_day: u32,
    /// How often in one incident, 0 to 100; a reboot once at most.
    pub per_incident: u32,
}

/// Who carries remedies out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Driver {
    /// Nobody: logs what would be done.
    None,
    /// `ip link` and the configured DHCP client.
    Linux(LinuxDriver),
    /// OpenWrt's netifd, by ubus.
    OpenWrt(OpenWrtDriver),
    /// Any program.
    Script {
        /// The program; gets the rung as its argument and the remedy as JSON on standard input.
        program: PathBuf,
    },
}

/// How the `linux` driver reaches what it needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LinuxDriver {
    /// The DHCP client's command, run in the background by `restart-interface`. Empty: the line has a fixed address.
    pub dhcp_client: Vec<String>,
    /// Where the client writes its process id; `renew` sends it SIGUSR1 (which makes udhcpc renew).
    pub dhcp_pidfile: Option<PathBuf>,
    /// Makes the DNS forwarder use `{resolver}`. Empty: not possible here.
    pub other_resolver: Vec<String>,
    /// Restarts all networking. Empty: not possible here.
    pub restart_network: Vec<String>,
    /// Switches the modem's power off and on. Empty: not possible here.
    pub power_modem: Vec<String>,
    /// Default `["reboot"]`.
    pub reboot: Vec<String>,
}

/// How the `openwrt` driver reaches what it needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OpenWrtDriver {
    /// `line.interface`.
    pub interface: Option<String>,
    /// Makes the DNS forwarder use `{resolver}`. Empty: not possible here.
    pub other_resolver: Vec<String>,
    /// Switches the modem's power off and on. Empty: not possible here.
    pub power_modem: Vec<String>,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum DriverName {
    None,
    Linux,
    OpenWrt,
    Script,
}

const DRIVERS: &[(&str, DriverName)] = &[
    ("none", DriverName::None),
    ("linux", DriverName::Linux),
    ("openwrt", DriverName::OpenWrt),
    ("script", DriverName::Script),
];
const REPAIRS: Right = Right::Signed("it decides what is done to the line");
const PROGRAM: Right = Right::Local("only the gateway's own configuration sets which programs it runs");

options! {
    /// The section as written in the file.
    pub(super) struct Written = section "remedies", "Repairs" / "修复",
        "What may be done about a fault." / "出现故障时可以做什么。" {
        /// Who carries remedies out.
        ///
        /// Default `none`: the operator decides what a gateway may do to a customer's line.
        driver: Option<DriverName> = DriverKind, REPAIRS,
            "Carried out by" / "执行方式",
            "Who carries remedies out. \"none\": nobody; the log says what would be done. \"linux\": `ip link` and the DHCP client below. \
             \"openwrt\": netifd, by ubus. \"script\": the program below." /
            "由谁执行。",
            labels [
                "nobody: only log what would be done" / "不执行：仅提示本应执行的操作",
                "ip link and a DHCP client of your own" / "ip link 与自备 DHCP 客户端",
                "OpenWrt (netifd)" / "OpenWrt（netifd）",
                "a program of your own" / "自备程序",
            ];
        /// The rungs that may be used, in order.
        ///
        /// Default renew and restart-interface: what any gateway can do without harm. Whether power-modem and reboot are allowed is for the operator to decide.
        ladder: Vec<Rung> = Words {
                all: &Rung::ALL, name: Rung::as_str, least: 0, default: &[Rung::Renew, Rung::RestartInterface],
                what: "rungs", again: "is listed twice, is {}",
            }, REPAIRS,
            "Remedies, in order" / "可尝试的步骤（按顺序）",
            "The rungs that may be used, in order: renew (the DHCP lease), other-resolver, restart-interface, restart-network, \
             power-modem, reboot." /
            "可按顺序使用的步骤。",
            labels [
                "Renew the address" / "重新获取地址",
                "Use another name server" / "改用其他域名服务器",
                "Restart the interface" / "重启接口",
                "Restart all networking" / "重启全部网络",
                "Switch the modem off and on" / "光猫断电重启",
                "Reboot the gateway" / "重启网关",
            ], uci [Uci::None, Uci::Strict];
        /// How long to wait before the same incident is worked on a second time; doubles with each pass up to a day.
        ///
        /// Default 30 min: a server takes frequent renewals for an attack, and what did not help now seldom helps soon. Bounds:
        /// less than a minute is no pause; after a day a person is at it.
        again: Span = quantity(within(Span::minutes(1), Span::days(1)), Span::minutes(30)), REPAIRS,
            "Next pass after" / "同一事件再次处理间隔",
            "How long to wait before the same incident is worked on again; doubles with each pass up to a day." /
            "同一事件再次处理前等待的时长；每轮加倍，最长一天。";
        /// Whether the record of each rung on this line orders the ladder and skips what never helped.
        ///
        /// Default true: most lines fail in one way again and again, and what repaired it last repairs it soonest. The record is
        /// kept in any case.
        learning: bool = Flag(true), REPAIRS,
            "Learn from this line" / "从本线路学习",
            "Whether a rung that repaired this line before is tried first, and one that never helped is skipped." /
            "曾经修好过本线路的步骤是否先尝试，从未奏效的是否不再尝试。";
        /// The DHCP client's command, run in the background by `restart-interface`. Empty: the line has a fixed address.
        dhcp_client: Vec<String> = Command(&[]), PROGRAM,
            "DHCP client" / "DHCP 客户端",
            "The DHCP client's command. Without it the line has a fixed address." /
            "DHCP 客户端的命令。留空：线路使用固定地址。",
            example ["udhcpc", "-f", "-i", "eth1", "-p", "/run/udhcpc.eth1.pid"], with "driver" ["linux"];
        /// Where the client writes its process id; `renew` sends it SIGUSR1 (which makes udhcpc renew).
        dhcp_pidfile: Option<PathBuf> = file(Show::Open),
            Right::Local("only the gateway's own configuration sets which processes it signals"),
            "File with the client's process id" / "客户端进程号文件",
            "Where the client writes its process id; `renew` sends it SIGUSR1 and needs this." /
            "客户端写入进程号的文件；重新获取地址时向它发送 SIGUSR1。",
            example "/run/udhcpc.eth1.pid", with "driver" ["linux"];
        /// Makes the DNS forwarder use `{resolver}`. Empty: not possible here.
        other_resolver: Vec<String> = Command(&[]), PROGRAM,
            "Command for another name server" / "换用其他域名服务器的命令",
            "What lets names be asked of {resolver}, one that was seen to answer; `other-resolver` needs this." /
            "改向 {resolver} 查询域名的命令；{resolver} 代表有应答的那一个。",
            example ["/usr/local/sbin/use-resolver", "{resolver}"], with "driver" ["linux", "openwrt"];
        /// Restarts all networking. Empty: not possible here.
        restart_network: Vec<String> = Command(&[]), PROGRAM,
            "Command to restart all networking" / "重启全部网络的命令",
            "What restarts all networking; `restart-network` needs this." / "重启全部网络的命令。",
            example ["/etc/init.d/network", "restart"], with "driver" ["linux"];
        /// Switches the modem's power off and on. Empty: not possible here.
        power_modem: Vec<String> = Command(&[]), PROGRAM,
            "Command for the modem's power" / "光猫断电命令",
            "What cuts and returns the modem's power; `power-modem` needs this. On OpenWrt /usr/libexec/linekeeper/modem-power \
             does it by a `config gpio_switch` of /etc/config/system: its section or its `option name`, and the seconds without \
             power, 1 to 300, 10 without it (less than the rung may take)." /
            "切断并恢复光猫供电的命令。OpenWrt 上可用 /usr/libexec/linekeeper/modem-power，参数为 /etc/config/system 中\
             gpio_switch 的节名或名称，以及断电秒数（1 到 300，默认 10）。",
            example ["/usr/libexec/linekeeper/modem-power", "modem_power", "10"], with "driver" ["linux", "openwrt"];
        /// What `reboot` runs.
        ///
        /// Default `["reboot"]`.
        reboot: Vec<String> = Command(&["reboot"]), PROGRAM,
            "Command for a reboot" / "重启命令",
            "What `reboot` runs." / "重启网关时运行的命令。",
            example ["reboot"], with "driver" ["linux"];
        /// The program of the driver `script`; gets the rung as its argument and the remedy as JSON on standard input.
        program: Option<PathBuf> = file(Show::Open), PROGRAM,
            "Program" / "程序",
            "Gets the rung as its argument and the remedy as JSON on standard input." /
            "以修复步骤为参数调用，修复的 JSON 从标准输入给出。",
            example "/usr/local/sbin/linekeeper-remedy", with "driver" ["script"];
        /// How long each rung may take before it is killed.
        ///
        /// Default of renew 10 s: a DHCP client asks at 0, 4 and 8 s (RFC 2131, 4.1), after that its server is silent. Of
        /// other-resolver 10 s: it writes a file and tells the forwarder. Of restart-interface 15 s: down, up, and a fresh
        /// DISCOVER with its retries. Of restart-network 45 s: netifd stops and starts every interface within about 20 s. Of
        /// power-modem 1 min: off for some seconds and on. Of reboot 2 min: to go down with all services stopping. Bounds:
        /// nothing real is over within a second at every time; ten minutes with a program that hangs are ten minutes without
        /// a callback.
        limit: [Span; 6] = Times(within(Span::seconds(1), Span::minutes(10)), [
                Span::seconds(10), Span::seconds(10), Span::seconds(15), Span::seconds(45), Span::minutes(1), Span::minutes(2),
            ]), REPAIRS,
            "%s: may take" / "%s：最长耗时",
            "How long each rung may take before it is killed." / "";
        /// How long to wait for the line to come back.
        ///
        /// Default of renew 4 s: the echoes of all targets. Of other-resolver 15 s: two checks of the names with their time
        /// limits. Of restart-interface 8 s: the address, the route and the echoes. Of restart-network 20 s: as long again as
        /// it takes. Of power-modem 3 min: a modem is in service again within two or three minutes. Of reboot 4 min: the boot
        /// and the line. Bounds: half an hour is what a cable modem may take to find its channels again.
        settle: [Span; 6] = Times(within(Span::seconds(1), Span::minutes(30)), [
                Span::seconds(4), Span::seconds(15), Span::seconds(8), Span::seconds(20), Span::minutes(3), Span::minutes(4),
            ]), REPAIRS,
            "%s: the line is back after" / "%s：线路恢复等待时间",
            "How long to wait for the line to come back. Before power-modem and reboot the carrier must also have been lost \
             for this long, because a modem that starts or retrains comes back by itself." / "";
        /// How often it may run in any 24 hours.
        ///
        /// Default of renew 24: once an hour, a server takes frequent renewals for an attack. Of other-resolver 6: it breaks
        /// nobody's connections. Of restart-interface 6: each time every connection of the customer's breaks. Of
        /// restart-network 3: the customer's own network breaks with it, so half as often as the interface alone. Of
        /// power-modem 3: what three attempts did not repair is not the modem. Of reboot 1: a gateway that reboots again and again is the
        /// worst that this program could do. Bounds: 0 switches a rung off; a hundred are one in a quarter of an hour.
        per_day: [u32; 6] = Counts([100; 6], [24, 6, 6, 3, 3, 1]), REPAIRS,
            "%s: times a day" / "%s：每日次数",
            "How often it may run in any 24 hours." / "",
            uci [Uci::Instead("0")];
        /// How often it may run in one incident, however long that lasts.
        ///
        /// Default of renew 12: by then the passes are a day apart. Of other-resolver 3, restart-interface 6, restart-network
        /// 3, power-modem 3: what so many attempts did not repair has another cause. Of reboot 1, which is also the most: what did not help
        /// once does not help the second time, and a loop of reboots is the worst that this program could do.
        per_incident: [u32; 6] = Counts([100, 100, 100, 100, 100, 1], [12, 3, 6, 3, 3, 1]), REPAIRS,
            "%s: times in an incident" / "%s：每次故障的次数",
            "How often it may run in one incident, however long that lasts." / "",
            uci [Uci::Instead("0")];
    }
}

/// The keys that only the `linux` driver has.
const LINUX_ONLY: &[&str] = &["dhcp_client", "dhcp_pidfile", "restart_network", "reboot"];
/// The keys of the drivers that run commands for what netifd does not do.
const RUN_KEYS: &[&str] = &["other_resolver", "power_modem"];

impl Written {
    /// The section's values, with a driver that must be able to carry out the ladder. `section` is the same as it was read
    /// from. `interface` is `line.interface`.
    pub(super) fn remedies(
        self,
        reader: &mut Reader<'_>,
        root: &Section<'_>,
        interface: Option<&String>,
    ) -> Remedies {
        let section =
            Section { path: root.path("remedies"), map: root.get("remedies").and_then(Value::as_object) };
        let limits = std::array::from_fn(|rung| RungLimits {
            limit: self.limit[rung],
            settle: self.settle[rung],
            per_day: self.per_day[rung],
            per_incident: self.per_incident[rung],
        });
        let (ladder, again, learning) = (self.ladder.clone(), self.again, self.learning);
        Remedies { driver: self.driver(reader, &section, interface), ladder, limits, again, learning }
    }

    fn driver(self, reader: &mut Reader<'_>, section: &Section<'_>, interface: Option<&String>) -> Driver {
        let Some(name) = self.driver else { return Driver::None };
        for key in LINUX_ONLY.iter().filter(|key| section.has(key) && name != DriverName::Linux) {
            reader.fault(&section.path(key), "is valid only with remedies.driver = \"linux\"");
        }
        let runs = matches!(name, DriverName::Linux | DriverName::OpenWrt);
        for key in RUN_KEYS.iter().filter(|key| section.has(key) && !runs) {
            reader.fault(&section.path(key), "is valid only with remedies.driver = \"linux\" or \"openwrt\"");
        }
        if section.has("program") && name != DriverName::Script {
            reader.fault(&section.path("program"), "is valid only with remedies.driver = \"script\"");
        }
        let mut needs = |rung: Rung, driver: &str, key: &str| {
            let (rung, key) = (rung.as_str(), section.path(key));
            let words = format!("has {rung}, for which the {driver} driver needs {key}");
            reader.fault(&section.path("ladder"), words);
        };
        match name {
            DriverName::None => Driver::None,
            DriverName::Linux => {
                for rung in &self.ladder {
                    let needed = match rung {
                        Rung::Renew => (!section.has("dhcp_pidfile")).then_some("dhcp_pidfile"),
                        // Without a DHCP client the line has a fixed address, and `ip link` is enough.
                        Rung::RestartInterface => None,
                        Rung::OtherResolver => self.other_resolver.is_empty().then_some("other_resolver"),
                        Rung::RestartNetwork => self.restart_network.is_empty().then_some("restart_network"),
                        Rung::PowerModem => self.power_modem.is_empty().then_some("power_modem"),
                        Rung::Reboot => self.reboot.is_empty().then_some("reboot"),
                    };
                    if let Some(key) = needed {
                        needs(*rung, "linux", key);
                    }
                }
                Driver::Linux(LinuxDriver {
                    dhcp_client: self.dhcp_client,
                    dhcp_pidfile: self.dhcp_pidfile,
                    other_resolver: self.other_resolver,
                    restart_network: self.restart_network,
                    power_modem: self.power_modem,
                    reboot: self.reboot,
                })
            }
            DriverName::OpenWrt => {
                for (rung, key, command) in [
                    (Rung::OtherResolver, "other_resolver", &self.other_resolver),
                    (Rung::PowerModem, "power_modem", &self.power_modem),
                ] {
                    if self.ladder.contains(&rung) && command.is_empty() {
                        needs(rung, "openwrt", key);
                    }
                }
                Driver::OpenWrt(OpenWrtDriver {
                    interface: interface.cloned(),
                    other_resolver: self.other_resolver,
                    power_modem: self.power_modem,
                })
            }
            DriverName::Script => {
                if !section.has("program") {
                    reader.missing(&section.path("program"), "the script driver needs a program to run");
                }
                Driver::Script { program: self.program.unwrap_or_default() }
            }
        }
    }
}

/// The driver's name. `None`: the name is unknown, so its needs cannot be checked.
struct DriverKind;

impl Kind for DriverKind {
    type Value = Option<DriverName>;
    fn absent(&self) -> Option<DriverName> {
        Some(DriverName::None)
    }
    fn read(&self, reader: &mut Reader<'_>, section: &Section<'_>, key: &str) -> Option<DriverName> {
        if section.has(key) { reader.choice(section, key, DRIVERS) } else { self.absent() }
    }
    fn form(&self) -> Form {
        Form::Choice(DRIVERS.iter().map(|(name, _)| *name).collect())
    }
    fn default(&self) -> Option<Value> {
        Some("none".into())
    }
}

const RUNGS: [&str; 6] = {
    let mut names = [""; 6];
    let mut at = 0;
    while at < names.len() {
        names[at] = Rung::ALL[at].as_str();
        at += 1;
    }
    names
};
const TITLES: [[&str; 2]; 6] = [
    ["Renew the address", "重新获取地址"],
    ["Use another name server", "改用其他域名服务器"],
    ["Restart the interface", "重启接口"],
    ["Restart all networking", "重启全部网络"],
    ["Switch the modem off and on", "光猫断电重启"],
    ["Reboot the gateway", "重启网关"],
];

fn titles() -> Vec<Note> {
    TITLES.map(|[_, title]| Note { title, ..Note::default() }).to_vec()
}

/// A table of a time for each rung.
struct Times(Bounds<Span>, [Span; 6]);

impl Kind for Times {
    type Value = [Span; 6];
    fn absent(&self) -> [Span; 6] {
        self.1
    }
    fn read(&self, reader: &mut Reader<'_>, section: &Section<'_>, key: &str) -> [Span; 6] {
        let section = reader.section(section, key);
        let mut times = self.1;
        for (rung, time) in RUNGS.iter().zip(&mut times) {
            *time = reader.quantity(&section, rung, self.0).unwrap_or(*time);
        }
        reader.unknown(&section, &RUNGS);
        times
    }
    fn form(&self) -> Form {
        let rows = RUNGS.iter().zip(self.1).zip(TITLES);
        Form::Table(
            rows.map(|((key, time), [title, _])| {
                row(key, quantity_form(self.0), time.to_string().into(), title)
            })
            .collect(),
        )
    }
    fn notes(&self) -> Vec<Note> {
        titles()
    }
}

/// A table of a number for each rung: the most of each, and the default.
struct Counts([u32; 6], [u32; 6]);

impl Kind for Counts {
    type Value = [u32; 6];
    fn absent(&self) -> [u32; 6] {
        self.1
    }
    fn read(&self, reader: &mut Reader<'_>, section: &Section<'_>, key: &str) -> [u32; 6] {
        let section = reader.section(section, key);
        let mut counts = self.1;
        for ((rung, count), most) in RUNGS.iter().zip(&mut counts).zip(self.0) {
            *count = reader.count(&section, rung, within(0, most), *count);
        }
        reader.unknown(&section, &RUNGS);
        counts
    }
    fn form(&self) -> Form {
        let rows = RUNGS.iter().zip(self.0).zip(self.1).zip(TITLES);
        Form::Table(
            rows.map(|(((key, most), usual), [title, _])| {
                row(key, count(within(0, most), usual).form(), usual.into(), title)
            })
            .collect(),
        )
    }
    fn notes(&self) -> Vec<Note> {
        titles()
    }
}
