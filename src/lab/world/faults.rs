//! The faults: how the network breaks and is mended.

use super::hosts::{BACKUP, Host, PLATFORM, WAN};
use super::iproute::{batch, tc};
use super::network::{World, lock};
use super::process::{Process, signal};
use crate::error::Error;
use linekeeper_contract::units::Rate;
use rustix::process::Signal;
use std::process::{Command, Stdio};

impl World {
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
}
