//! Remedies.

use super::state::{LEASE, Rare, Simulation};
use linekeeper_contract::units::Span;
use linekeeper_contract::vocabulary::Rung;
use linekeeper_judge::action::Repair;
use linekeeper_judge::config::Driver;
use linekeeper_judge::observation::RemedyResult;

/// From `reboot` to the end of our process.
const SHUTDOWN: u64 = 3_000;
/// How long `restart-interface` keeps the interface down, and takes in all.
const DOWN: u64 = 1_000;
const RESTART: u64 = 3_000;
/// The same for all of the networking.
const NETWORK_DOWN: u64 = 5_000;
const NETWORK_RESTART: u64 = 12_000;
/// Until names are asked of another resolver.
const RESOLVER: u64 = 300;
/// How long the modem's power is off as the driver sees it, and until the modem is back in service.
const POWER_OFF: u64 = 10_000;
const MODEM_BACK: u64 = 40_000;

impl Simulation {
    pub(super) fn repair(&mut self, repair: &Repair) {
        let (life, remedy, rung) = (self.life, repair.remedy, repair.rung);
        self.report.remedies.push((Span(self.now), rung));
        let over = |result, detail: &str| Rare::Over(life, remedy, rung, result, detail.into());
        if self.config.remedies.driver == Driver::None {
            let rare = over(RemedyResult::Pretended, "driver is none");
            self.after(1, rare);
            return;
        }
        if let Some(why) = self.world.cannot.get(&rung) {
            let rare = over(RemedyResult::Failed, why);
            self.after(50, rare);
            return;
        }
        match rung {
            Rung::Renew => self.after(LEASE, over(RemedyResult::Done, "asked the DHCP server")),
            Rung::OtherResolver => self.after(RESOLVER, over(RemedyResult::Done, "asks another resolver")),
            Rung::RestartInterface => {
                self.after(1, Rare::AdminDown(life));
                self.after(DOWN, Rare::AdminUp(life));
                self.after(RESTART, over(RemedyResult::Done, "took the interface down and up"));
            }
            Rung::RestartNetwork => {
                self.after(1, Rare::AdminDown(life));
                self.after(NETWORK_DOWN, Rare::AdminUp(life));
                self.after(NETWORK_RESTART, over(RemedyResult::Done, "restarted all networking"));
            }
            Rung::PowerModem => {
                self.after(1, Rare::Unpower);
                self.after(POWER_OFF, over(RemedyResult::Done, "cut the modem's power"));
                self.after(MODEM_BACK, Rare::Repower);
            }
            Rung::Reboot => self.after(SHUTDOWN, Rare::GoDown(life)),
        }
    }
}
