//! Carries remedies out. Whether a remedy helped is decided by the probes, not here.
//!
//! A driver returns how the remedy ended, and a text that says what was done or what prevented it. It never exceeds its
//! time limit by more than the steps that make the line safe, and never leaves the line worse than before.

mod configured;
mod leash;
pub mod linux;
pub mod openwrt;
pub mod script;

use linekeeper_contract::vocabulary::Rung;
use linekeeper_judge::action::Repair;
use linekeeper_judge::config;
use linekeeper_judge::observation::RemedyResult;

/// Who carries remedies out.
#[derive(Debug)]
pub enum Driver {
    /// Nobody: says what it would do.
    None {
        /// The device it would do it to.
        device: String,
    },
    /// `ip link` and the DHCP client.
    Linux(linux::Linux),
    /// netifd, by ubus.
    OpenWrt(openwrt::OpenWrt),
    /// Any program.
    Script(script::Script),
}

impl Driver {
    /// The configured driver for the WAN device `device`.
    pub fn new(remedies: &config::Remedies, device: &str) -> Driver {
        match &remedies.driver {
            config::Driver::None => Driver::None { device: device.to_owned() },
            config::Driver::Linux(how) => Driver::Linux(linux::Linux::new(how, device)),
            config::Driver::OpenWrt(how) => Driver::OpenWrt(openwrt::OpenWrt::new(how, device)),
            config::Driver::Script { program } => Driver::Script(script::Script::new(program, device)),
        }
    }

    /// Carries one remedy out, within its limit and little more. Returns how it ended and what there is to say of it.
    pub async fn repair(&self, repair: &Repair) -> (RemedyResult, String) {
        match self {
            Driver::None { device } => {
                let to = repair.resolver.map_or(String::new(), |r| format!(" ({r})"));
                (RemedyResult::Pretended, format!("would {}{to} on {device}", deed(repair.rung)))
            }
            Driver::Linux(linux) => linux.repair(repair).await,
            Driver::OpenWrt(openwrt) => openwrt.repair(repair).await,
            Driver::Script(script) => script.repair(repair).await,
        }
    }

    /// Puts back what an interrupted remedy may have left broken. Harmless when nothing is. Returns what was done.
    pub async fn make_safe(&self, rung: Rung) -> String {
        match self {
            Driver::None { device } => format!("would make sure that {device} is up"),
            Driver::Linux(linux) => linux.make_safe(rung).await,
            Driver::OpenWrt(openwrt) => openwrt.make_safe(rung).await,
            // The contract with the script is that it brings up what it took down; `make-safe` lets it know.
            Driver::Script(script) => script.make_safe(rung).await,
        }
    }
}

/// What a rung does, to follow "would".
fn deed(rung: Rung) -> &'static str {
    match rung {
        Rung::Renew => "renew the DHCP lease",
        Rung::OtherResolver => "let names be asked of another resolver",
        Rung::RestartInterface => "take the interface down and up",
        Rung::RestartNetwork => "restart all networking",
        Rung::PowerModem => "cut the modem's power and return it",
        Rung::Reboot => "reboot the gateway because of the line",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rung_says_what_it_would_do() {
        for rung in Rung::ALL {
            assert!(!deed(rung).is_empty());
        }
    }
}
