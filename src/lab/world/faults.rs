//! Faults of the network: how to cause and how to end them.

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
    /// `ip` fails.
    pub fn cut_carrier(&self) -> Result<(), Error> {
        batch(Some(Host::Access), "link set subscriber down\n")
    }

    /// Puts the cable back.
    ///
    /// # Errors
    /// `ip` fails.
    pub fn restore_carrier(&self) -> Result<(), Error> {
        batch(Some(Host::Access), "link set subscriber up\n")
    }

    /// The access router stops responding, DHCP and ARP included, and forwards nothing; the carrier stays.
    ///
    /// # Errors
    /// `ip` fails.
    pub fn silence_access(&self) -> Result<(), Error> {
        batch(Some(Host::Access), "link set uplink down\n")
    }

    /// The access router responds again.
    ///
    /// # Errors
    /// `ip` fails.
    pub fn restore_access(&self) -> Result<(), Error> {
        batch(Some(Host::Access), "link set uplink up\n")
    }

    /// The access router silently stops forwarding: it still answers itself, everything beyond it does not.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn silence_upstream(&self) -> Result<(), Error> {
        self.sysctl(Host::Isp, "net/ipv4/ip_forward", "0")
    }

    /// It forwards again.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn restore_upstream(&self) -> Result<(), Error> {
        self.sysctl(Host::Isp, "net/ipv4/ip_forward", "1")
    }

    /// Stops the operator's DHCP server.
    pub fn stop_dhcp(&self) {
        *lock(&self.server) = None;
    }

    /// Starts it (again).
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_dhcp(&self) -> Result<(), Error> {
        let mut command = Command::new(&self.program);
        command.args(["lab", "dhcp-server", "--device", "acc0"]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut server = lock(&self.server);
        *server = None;
        *server = Some(self.spawn_in(Host::Isp, &mut command)?);
        Ok(())
    }

    /// The gateway's WAN interface wedges: its DHCP client is killed and its addresses are flushed.
    ///
    /// # Errors
    /// `ip` fails. A DHCP client that has already ended is no error.
    pub fn wedge(&self) -> Result<(), Error> {
        let written = std::fs::read_to_string(self.dhcp_pidfile()).unwrap_or_default();
        if let Ok(id) = written.trim().parse() {
            let _ = signal(id, Signal::KILL);
        }
        *lock(&self.client) = None;
        batch(Some(Host::Gateway), &format!("addr flush dev {WAN}\n"))
    }

    /// Switches the backup uplink on or off. It carries traffic to the platform only, as an operator's management
    /// bearer does; its route has a high metric, so any other route to the same host takes precedence.
    ///
    /// # Errors
    /// `ip` fails.
    pub fn set_backup(&self, on: bool) -> Result<(), Error> {
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
    /// that the gateway's counters see only the traffic that passed. Segment bundles (GSO) are disabled on all other hosts:
    /// on a real line no bundles arrive.
    ///
    /// `tbf` counts the kernel's packet length, which includes the 14 bytes of the Ethernet header: with full packets the IP
    /// layer gets 1500/1514 of `down`.
    ///
    /// # Errors
    /// `tc` or `ip` fail.
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

    /// Ends the shaping.
    ///
    /// # Errors
    /// `tc` fails.
    pub fn unshape(&self) -> Result<(), Error> {
        for (host, device) in [(Host::Isp, "acc0"), (Host::Access, "uplink")] {
            let shaped = tc(host, &format!("qdisc show dev {device}"))?;
            if shaped.contains("tbf") {
                tc(host, &format!("qdisc del dev {device} root"))?;
            }
        }
        Ok(())
    }

    /// Ends all faults but [`wedge`](World::wedge), which the gateway has to repair itself.
    ///
    /// # Errors
    /// `ip`, `tc` or the kernel refuse.
    pub fn restore_all(&self) -> Result<(), Error> {
        self.restore_carrier()?;
        self.restore_access()?;
        self.restore_upstream()?;
        self.set_backup(true)?;
        self.unshape()?;
        if !lock(&self.server).as_mut().is_some_and(Process::is_alive) {
            self.start_dhcp()?;
        }
        Ok(())
    }
}
