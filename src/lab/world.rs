//! The internet in small: nine network namespaces, and the ways in which they break.
//!
//! Addresses come from the ranges for documentation (RFC 5737) and for benchmarks (RFC 2544, 198.18.0.0/15). Build it
//! inside an [`enclosure`](crate::enclosure): it wants to be root of its own `/run`.

use crate::{Error, clock, echo, run};
use linekeeper_contract::units::Rate;
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Where iproute2 keeps the names of network namespaces.
pub const NAMES: &str = "/run/netns";

/// The gateway's WAN device.
pub const WAN: &str = "wan0";
/// The gateway's second way out: reaches the platform and nothing else.
pub const BACKUP: &str = "backup0";
/// The access router, the gateway's default gateway. Serves DHCP.
pub const ISP: Ipv4Addr = Ipv4Addr::new(198, 18, 100, 1);
/// What its DHCP server leases to the gateway.
pub const LEASE: Ipv4Addr = Ipv4Addr::new(198, 18, 100, 10);
/// A host of the operator, beyond the access router.
pub const ANCHOR: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// A host of somebody else.
pub const WORLD: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 53);
/// A host of a third one.
pub const WORLD2: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 80);
/// The callback platform and its broker.
pub const PLATFORM: Ipv4Addr = Ipv4Addr::new(198, 18, 250, 10);
/// A computer of the customer.
pub const LAN_HOST: Ipv4Addr = Ipv4Addr::new(198, 18, 1, 10);

/// How long the gateway may take to get its first lease. It takes some 10 ms; the rest is for a loaded machine.
const FIRST_LEASE: Duration = Duration::from_secs(20);

/// A host: one network namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    /// The customer's gateway.
    Gateway,
    /// A computer behind it.
    Lan,
    /// The access node: a bridge between gateway and access router.
    Access,
    /// The access router.
    Isp,
    /// The operator's core router.
    Core,
    /// A host of the operator.
    Anchor,
    /// An independent host.
    World,
    /// Another one.
    World2,
    /// Broker and platform.
    Platform,
}

impl Host {
    /// All of them.
    pub const ALL: [Host; 9] = [
        Host::Gateway,
        Host::Lan,
        Host::Access,
        Host::Isp,
        Host::Core,
        Host::Anchor,
        Host::World,
        Host::World2,
        Host::Platform,
    ];

    /// The name of its network namespace.
    pub const fn name(self) -> &'static str {
        match self {
            Host::Gateway => "gw",
            Host::Lan => "lan",
            Host::Access => "access",
            Host::Isp => "isp",
            Host::Core => "core",
            Host::Anchor => "anchor",
            Host::World => "world",
            Host::World2 => "world2",
            Host::Platform => "platform",
        }
    }

    fn forwards(self) -> bool {
        matches!(self, Host::Gateway | Host::Isp | Host::Core)
    }

    /// What `ip -batch` is told inside its namespace, once all cables are there.
    fn setup(self) -> String {
        let mut lines = String::from("link set lo up\n");
        let mut interface = |name: &str, address: &str| {
            let _ = writeln!(lines, "link set {name} up");
            if !address.is_empty() {
                let _ = writeln!(lines, "addr add {address} dev {name}");
            }
        };
        let end = |address: &str, via: &str| {
            format!("link set eth0 up\naddr add {address}/24 dev eth0\nroute add default via {via}\n")
        };
        match self {
            Host::Gateway => {
                interface("lan0", "198.18.1.1/24");
                interface(WAN, "");
            }
            Host::Access => {
                lines += "link add br0 type bridge\nlink set br0 up\n";
                for port in ["subscriber", "uplink"] {
                    let _ = writeln!(lines, "link set {port} master br0\nlink set {port} up");
                }
            }
            Host::Isp => {
                interface("acc0", "198.18.100.1/24");
                interface("core0", "198.18.200.1/30");
                // Without NAT the customer's network needs a way back.
                let _ = writeln!(
                    lines,
                    "route add 198.18.1.0/24 via {LEASE}\nroute add default via 198.18.200.2"
                );
            }
            Host::Core => {
                interface("isp0", "198.18.200.2/30");
                interface("anchor0", "198.51.100.254/24");
                interface("world0", "203.0.113.254/24");
                interface("world20", "192.0.2.254/24");
                interface("platform0", "198.18.250.1/24");
                lines +=
                    "route add 198.18.100.0/24 via 198.18.200.1\nroute add 198.18.1.0/24 via 198.18.200.1\n";
            }
            Host::Lan => lines += &end(&LAN_HOST.to_string(), "198.18.1.1"),
            Host::Anchor => lines += &end(&ANCHOR.to_string(), "198.51.100.254"),
            Host::World => lines += &end(&WORLD.to_string(), "203.0.113.254"),
            Host::World2 => lines += &end(&WORLD2.to_string(), "192.0.2.254"),
            Host::Platform => {
                lines += &end(&PLATFORM.to_string(), "198.18.250.1");
                lines += "link set lte0 up\naddr add 198.18.9.1/30 dev lte0\n";
            }
        }
        lines
    }
}

/// The cables: which device of which host goes where.
const CABLES: [(Host, &str, Host, &str); 9] = [
    (Host::Lan, "eth0", Host::Gateway, "lan0"),
    (Host::Gateway, WAN, Host::Access, "subscriber"),
    (Host::Access, "uplink", Host::Isp, "acc0"),
    (Host::Isp, "core0", Host::Core, "isp0"),
    (Host::Core, "anchor0", Host::Anchor, "eth0"),
    (Host::Core, "world0", Host::World, "eth0"),
    (Host::Core, "world20", Host::World2, "eth0"),
    (Host::Core, "platform0", Host::Platform, "eth0"),
    (Host::Gateway, BACKUP, Host::Platform, "lte0"),
];

/// A process in the world, ended (and collected) when this is dropped.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Its id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Whether it still runs.
    pub fn alive(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }

    /// Its end of standard output or error, if they were piped.
    pub fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// Asks it to end (SIGTERM), waits up to `patience`, then ends it by force. Says whether it went by itself.
    pub fn end(&mut self, patience: Duration) -> bool {
        let _ = signal(self.0.id(), Signal::TERM);
        let went = clock::wait_until(patience, || !self.alive());
        self.kill();
        went
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends a signal to a process by its number.
fn signal(id: u32, signal: Signal) -> Result<(), Error> {
    let pid = i32::try_from(id).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| Error::new("sending a signal", "no such process id"))?;
    kill_process(pid, signal).map_err(|e| Error::new(format!("sending {signal:?} to process {id}"), e))
}

/// The network, its DHCP server and the gateway's DHCP client. Gone when dropped.
#[derive(Debug)]
pub struct World {
    /// The `linekeeper` program: plays DHCP server and client.
    program: PathBuf,
    /// Where pid files lie.
    directory: PathBuf,
    server: Mutex<Option<Process>>,
    client: Mutex<Option<Process>>,
}

impl World {
    /// Builds all, starts DHCP server and client, and returns once the gateway has its first lease and all targets
    /// answer. Takes well under a second.
    ///
    /// `program` is the `linekeeper` executable, with feature `lab`.
    ///
    /// # Errors
    /// Where the kernel or iproute2 refuse, with what they say.
    pub fn build(program: &Path) -> Result<World, Error> {
        let directory = PathBuf::from("/run/linekeeper-lab");
        std::fs::create_dir_all(&directory).map_err(|e| Error::new("making the lab's directory", e))?;
        let world = World {
            program: program.to_owned(),
            directory,
            server: Mutex::new(None),
            client: Mutex::new(None),
        };
        let mut outside = String::new();
        for host in Host::ALL {
            let _ = writeln!(outside, "netns add {}", host.name());
        }
        for (left, left_device, right, right_device) in CABLES {
            let (left, right) = (left.name(), right.name());
            let _ = writeln!(
                outside,
                "link add {left_device} netns {left} type veth peer name {right_device} netns {right}"
            );
        }
        batch(None, &outside)?;
        for host in Host::ALL {
            world.sysctl(host, "net/ipv4/conf/all/rp_filter", "0")?;
            world.sysctl(host, "net/ipv4/ip_forward", if host.forwards() { "1" } else { "0" })?;
            batch(Some(host), &host.setup())?;
        }
        world.backup(true)?;
        world.start_dhcp()?;
        world.start_dhcp_client()?;
        if !clock::wait_until(FIRST_LEASE, || world.has_lease()) {
            return Err(Error::new("building the lab's network", "the gateway got no DHCP lease"));
        }
        for target in [ISP, ANCHOR, WORLD, WORLD2, PLATFORM] {
            if world.ping(Host::Gateway, target, Duration::from_secs(5)).is_none() {
                return Err(Error::new("building the lab's network", format!("{target} does not answer")));
            }
        }
        Ok(world)
    }

    /// The `linekeeper` program.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// A directory that dies with the enclosure.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Runs `work` on a thread inside the network namespace of `host`. What it starts stays there.
    ///
    /// # Errors
    /// When the namespace cannot be entered, or `work` panicked.
    pub fn within<T: Send>(&self, host: Host, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
        let entering = || format!("entering network namespace {}", host.name());
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| enter_namespace(host).map(|()| work()));
            thread.join().map_err(|_| Error::new(entering(), "the work there panicked"))?
        })
    }

    /// Runs a command in `host` to its end, whatever its exit code.
    ///
    /// # Errors
    /// When it cannot be run at all.
    pub fn exec_in(&self, host: Host, command: &mut Command) -> Result<Output, Error> {
        self.within(host, || command.output().map_err(|e| Error::new(format!("running {command:?}"), e)))?
    }

    /// Starts a command in `host`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn_in(&self, host: Host, command: &mut Command) -> Result<Process, Error> {
        let spawn =
            || command.spawn().map(Process).map_err(|e| Error::new(format!("starting {command:?}"), e));
        self.within(host, spawn)?
    }

    /// One echo from `host` to `to`; how long it took, or `None` when none came back or none could be sent.
    pub fn ping(&self, host: Host, to: Ipv4Addr, patience: Duration) -> Option<Duration> {
        self.within(host, || echo::ping(to, patience)).ok()?.ok()?
    }

    /// What the gateway's `ip addr` says of its WAN device.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn wan_addresses(&self) -> Result<Vec<Ipv4Addr>, Error> {
        let out =
            self.exec_in(Host::Gateway, Command::new("ip").args(["-4", "-o", "addr", "show", "dev", WAN]))?;
        let text = String::from_utf8_lossy(&out.stdout);
        Ok(text
            .lines()
            .filter_map(|line| line.split_whitespace().skip_while(|word| *word != "inet").nth(1))
            .filter_map(|prefix| prefix.split('/').next()?.parse().ok())
            .collect())
    }

    /// Whether the gateway has an address on its WAN device, and a default route.
    pub fn has_lease(&self) -> bool {
        let route = self.exec_in(Host::Gateway, Command::new("ip").args(["-4", "route", "show", "default"]));
        self.wan_addresses().is_ok_and(|all| !all.is_empty()) && route.is_ok_and(|out| !out.stdout.is_empty())
    }

    /// Whether the gateway's WAN device has a carrier.
    pub fn has_carrier(&self) -> bool {
        let out = self.exec_in(Host::Gateway, Command::new("ip").args(["-o", "link", "show", "dev", WAN]));
        out.is_ok_and(|out| String::from_utf8_lossy(&out.stdout).contains("LOWER_UP"))
    }

    /// The DHCP client's command: what an agent's `linux` driver is to run for `restart-interface`.
    pub fn dhcp_client(&self) -> Vec<String> {
        let program = self.program.display().to_string();
        let pidfile = self.dhcp_pidfile().display().to_string();
        [program.as_str(), "lab", "dhcp-client", "--device", WAN, "--pidfile", &pidfile]
            .map(str::to_owned)
            .into()
    }

    /// Where the DHCP client writes its process id.
    pub fn dhcp_pidfile(&self) -> PathBuf {
        self.directory.join("dhcp-client.pid")
    }

    /// Starts the gateway's DHCP client, in place of the one that we may have started before.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_dhcp_client(&self) -> Result<(), Error> {
        let words = self.dhcp_client();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null());
        let mut client = lock(&self.client);
        *client = None;
        *client = Some(self.spawn_in(Host::Gateway, &mut command)?);
        Ok(())
    }

    // The faults.

    /// Pulls the WAN cable: the gateway loses its carrier.
    ///
    /// # Errors
    /// When `ip` fails (so below).
    pub fn cut_carrier(&self) -> Result<(), Error> {
        batch(Some(Host::Access), "link set subscriber down\n")
    }

    /// Puts the cable back.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn restore_carrier(&self) -> Result<(), Error> {
        batch(Some(Host::Access), "link set subscriber up\n")
    }

    /// The access router falls silent, DHCP and ARP included, and nothing comes through; the carrier stays.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn silence_access(&self) -> Result<(), Error> {
        batch(Some(Host::Access), "link set uplink down\n")
    }

    /// The access router speaks again.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn restore_access(&self) -> Result<(), Error> {
        batch(Some(Host::Access), "link set uplink up\n")
    }

    /// The access router stops forwarding, without a word: it answers, what lies beyond does not.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn silence_upstream(&self) -> Result<(), Error> {
        self.sysctl(Host::Isp, "net/ipv4/ip_forward", "0")
    }

    /// It forwards again.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn restore_upstream(&self) -> Result<(), Error> {
        self.sysctl(Host::Isp, "net/ipv4/ip_forward", "1")
    }

    /// The operator's DHCP server dies.
    pub fn stop_dhcp(&self) {
        *lock(&self.server) = None;
    }

    /// It lives (again).
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_dhcp(&self) -> Result<(), Error> {
        let mut command = Command::new(&self.program);
        command.args(["lab", "dhcp-server", "--device", "acc0"]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut server = lock(&self.server);
        *server = None;
        *server = Some(self.spawn_in(Host::Isp, &mut command)?);
        Ok(())
    }

    /// The gateway's WAN interface wedges: its DHCP client dies without a word and its addresses are gone.
    ///
    /// # Errors
    /// When `ip` fails. A DHCP client that is already dead is none.
    pub fn wedge(&self) -> Result<(), Error> {
        let written = std::fs::read_to_string(self.dhcp_pidfile()).unwrap_or_default();
        if let Ok(id) = written.trim().parse() {
            let _ = signal(id, Signal::KILL);
        }
        *lock(&self.client) = None;
        batch(Some(Host::Gateway), &format!("addr flush dev {WAN}\n"))
    }

    /// Switches the backup uplink on or off. It carries traffic to the platform only, as an operator's management
    /// bearer does; its route has a high metric and yields to any other to the same host.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn backup(&self, on: bool) -> Result<(), Error> {
        let lines = if on {
            format!(
                "link set {BACKUP} up\naddr replace 198.18.9.2/30 dev {BACKUP}\n\
                 route replace {PLATFORM}/32 via 198.18.9.1 dev {BACKUP} metric 1024\n"
            )
        } else {
            // The address goes too, as a modem's does: connections over it break at once.
            format!("addr flush dev {BACKUP}\nlink set {BACKUP} down\n")
        };
        batch(Some(Host::Gateway), &lines)
    }

    /// Shapes the line as an operator does, at the access router towards the gateway and at the access node away from it, so
    /// that the gateway's own counters see what is left of it. Bundles of segments (GSO) are left to the gateway alone: on
    /// a real line nothing else that arrives is one.
    ///
    /// `tbf` counts what the kernel calls a packet's length, with the 14 bytes of Ethernet's header: of `down`, full packets
    /// leave 1500/1514 to the IP layer.
    ///
    /// # Errors
    /// When `tc` or `ip` refuse.
    pub fn shape(&self, down: Rate, up: Rate) -> Result<(), Error> {
        self.unshape()?;
        for (host, device) in [
            (Host::Lan, "eth0"),
            (Host::Anchor, "eth0"),
            (Host::World, "eth0"),
            (Host::World2, "eth0"),
            (Host::Isp, "acc0"),
        ] {
            batch(Some(host), &format!("link set dev {device} gso_max_segs 1\n"))?;
        }
        for (host, device, rate) in [(Host::Isp, "acc0", down), (Host::Access, "uplink", up)] {
            // 4 ms worth: less, and a busy machine that comes late to the bucket finds it overflown.
            let burst = (rate.0 / 8 / 250).max(5_000);
            tc(
                host,
                &format!("qdisc add dev {device} root tbf rate {}bit burst {burst}b latency 50ms", rate.0),
            )?;
        }
        Ok(())
    }

    /// Ends it.
    ///
    /// # Errors
    /// When `tc` cannot be run.
    pub fn unshape(&self) -> Result<(), Error> {
        for (host, device) in [(Host::Isp, "acc0"), (Host::Access, "uplink")] {
            let shaped = tc(host, &format!("qdisc show dev {device}"))?;
            if shaped.contains("tbf") {
                tc(host, &format!("qdisc del dev {device} root"))?;
            }
        }
        Ok(())
    }

    /// Ends all faults but [`wedge`](World::wedge), which a gateway has to mend itself.
    ///
    /// # Errors
    /// When `ip` or the kernel refuse.
    pub fn restore_all(&self) -> Result<(), Error> {
        self.restore_carrier()?;
        self.restore_access()?;
        self.restore_upstream()?;
        self.backup(true)?;
        self.unshape()?;
        if !lock(&self.server).as_mut().is_some_and(Process::alive) {
            self.start_dhcp()?;
        }
        Ok(())
    }

    fn sysctl(&self, host: Host, key: &str, value: &str) -> Result<(), Error> {
        let path = format!("/proc/sys/{key}");
        self.within(host, || std::fs::write(&path, value))?
            .map_err(|e| Error::new(format!("writing {value} to {path} in {}", host.name()), e))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        *lock(&self.client) = None;
        *lock(&self.server) = None;
        if let Ok(Ok(id)) = std::fs::read_to_string(self.dhcp_pidfile()).map(|text| text.trim().parse()) {
            let _ = signal(id, Signal::KILL);
        }
        let names: String = Host::ALL.iter().map(|host| format!("netns del {}\n", host.name())).collect();
        let _ = batch(None, &names);
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A lock that a panic elsewhere does not take from us: what it guards is only a process.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Moves this thread into the network namespace of `host`; all that it starts lives there.
///
/// # Errors
/// When there is no such namespace.
pub fn enter_namespace(host: Host) -> Result<(), Error> {
    let path = Path::new(NAMES).join(host.name());
    let wrong = |e| Error::new(format!("entering network namespace {}", host.name()), e);
    let file = std::fs::File::open(path).map_err(wrong)?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).map_err(|e| wrong(e.into()))
}

/// Hands `lines` to one `ip -batch`, in the namespace of `host` or in our own.
fn batch(host: Option<Host>, lines: &str) -> Result<(), Error> {
    let mut command = Command::new("ip");
    if let Some(host) = host {
        command.args(["-n", host.name()]);
    }
    command.args(["-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let wrong = |e| Error::new("running ip -batch (of iproute2)", e);
    let mut child = command.spawn().map_err(wrong)?;
    if let Some(mut pipe) = child.stdin.take() {
        pipe.write_all(lines.as_bytes()).map_err(wrong)?;
    }
    let out = child.wait_with_output().map_err(wrong)?;
    if out.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&out.stderr);
    let place = host.map_or("outside", Host::name);
    Err(Error::new(format!("setting up the lab's network ({place})"), said.trim()))
}

/// Runs `tc` in `host`, words divided by spaces.
fn tc(host: Host, words: &str) -> Result<String, Error> {
    let out = run(Command::new("tc").args(["-n", host.name()]).args(words.split(' ')))?;
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// Runs `ip` with words of our own choice in `host`; for tests.
///
/// # Errors
/// When it fails.
pub fn ip(host: Host, words: &[&str]) -> Result<String, Error> {
    let out = run(Command::new("ip").args(["-n", host.name()]).args(words))?;
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}
