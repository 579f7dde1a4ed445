//! The network: its namespaces, its DHCP server and client, and what can be run in it.

use super::hosts::{ANCHOR, CABLES, Host, ISP, PLATFORM, WAN, WORLD, WORLD2};
use super::iproute::{batch, enter_namespace};
use super::process::{Process, signal};
use crate::clock;
use crate::echo;
use crate::error::Error;
use rustix::process::Signal;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Timeout for the gateway's first lease. It takes some 10 ms; the rest is a margin for a loaded machine.
const FIRST_LEASE: Duration = Duration::from_secs(20);

/// The network, its DHCP server and the gateway's DHCP client. Dropping it removes all of them.
#[derive(Debug)]
pub struct World {
    /// The `linekeeper` program, which also provides DHCP server and client.
    pub(super) program: PathBuf,
    /// The directory of the pid files.
    pub(super) directory: PathBuf,
    pub(super) server: Mutex<Option<Process>>,
    pub(super) client: Mutex<Option<Process>>,
}

impl World {
    /// Builds the network, starts DHCP server and client, and returns once the gateway has its first lease and all targets
    /// answer. This takes well under a second.
    ///
    /// `program` is the `linekeeper` executable, with feature `lab`.
    ///
    /// # Errors
    /// The kernel or iproute2 refuse; with their error message.
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
        world.set_backup(true)?;
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

    /// A directory that disappears with the enclosure.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Runs `work` on a thread inside the network namespace of `host`. Its sockets and child processes belong to that
    /// namespace.
    ///
    /// # Errors
    /// The namespace cannot be entered, or `work` panicked.
    pub fn run_in<T: Send>(&self, host: Host, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
        let entering = || format!("entering network namespace {}", host.name());
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| enter_namespace(host).map(|()| work()));
            thread.join().map_err(|_| Error::new(entering(), "the work there panicked"))?
        })
    }

    /// Runs a command in `host` to its end, whatever its exit code.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn exec_in(&self, host: Host, command: &mut Command) -> Result<Output, Error> {
        self.run_in(host, || command.output().map_err(|e| Error::new(format!("running {command:?}"), e)))?
    }

    /// Starts a command in `host`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn spawn_in(&self, host: Host, command: &mut Command) -> Result<Process, Error> {
        let spawn =
            || command.spawn().map(Process).map_err(|e| Error::new(format!("starting {command:?}"), e));
        self.run_in(host, spawn)?
    }

    /// Sends one echo request from `host` to `to`. Returns the round-trip time; `None` if there was no reply or the request
    /// could not be sent.
    pub fn ping(&self, host: Host, to: Ipv4Addr, patience: Duration) -> Option<Duration> {
        self.run_in(host, || echo::ping(to, patience)).ok()?.ok()?
    }

    /// The IPv4 addresses of the gateway's WAN device.
    ///
    /// # Errors
    /// `ip` fails.
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

    /// The command that starts the DHCP client, for the `linux` driver's remedy `restart-interface`.
    pub fn dhcp_client(&self) -> Vec<String> {
        let program = self.program.display().to_string();
        let pidfile = self.dhcp_pidfile().display().to_string();
        [program.as_str(), "lab", "dhcp-client", "--device", WAN, "--pidfile", &pidfile]
            .map(str::to_owned)
            .into()
    }

    /// The file with the DHCP client's process id.
    pub fn dhcp_pidfile(&self) -> PathBuf {
        self.directory.join("dhcp-client.pid")
    }

    /// Starts the gateway's DHCP client and replaces the one that was started before, if any.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_dhcp_client(&self) -> Result<(), Error> {
        let words = self.dhcp_client();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null());
        let mut client = lock(&self.client);
        *client = None;
        *client = Some(self.spawn_in(Host::Gateway, &mut command)?);
        Ok(())
    }

    pub(super) fn sysctl(&self, host: Host, key: &str, value: &str) -> Result<(), Error> {
        let path = format!("/proc/sys/{key}");
        self.run_in(host, || std::fs::write(&path, value))?
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

/// Locks a mutex even if it is poisoned: it guards only a process.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
