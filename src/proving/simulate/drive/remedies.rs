//! Simulated remedies. All durations are in milliseconds.

use super::state::{Event, LEASE, Simulation};
use linekeeper_contract::units::Span;
use linekeeper_contract::vocabulary::Rung;
use linekeeper_judge::action::Repair;
use linekeeper_judge::config::Driver;
use linekeeper_judge::observation::RemedyResult;

/// From `reboot` to the end of the process.
const SHUTDOWN: u64 = 3_000;
/// How long `restart-interface` keeps the interface down, and how long it takes in total.
const DOWN: u64 = 1_000;
const RESTART: u64 = 3_000;
/// The same for `restart-network`.
const NETWORK_DOWN: u64 = 5_000;
const NETWORK_RESTART: u64 = 12_000;
/// How long `other-resolver` takes.
const RESOLVER: u64 = 300;
/// How long the driver keeps the modem's power off, and when the modem is back in service.
const POWER_OFF: u64 = 10_000;
const MODEM_BACK: u64 = 40_000;

impl Simulation {
    pub(super) fn start_remedy(&mut self, repair: &Repair) {
        let (life, remedy, rung) = (self.life, repair.remedy, repair.rung);
        self.report.remedies.push((Span(self.now), rung));
        let over = |result, detail: &str| Event::Over(life, remedy, rung, result, detail.into());
        if self.config.remedies.driver == Driver::None {
            let event = over(RemedyResult::Pretended, "driver is none");
            self.schedule_after(1, event);
            return;
        }
        if let Some(why) = self.world.cannot.get(&rung) {
            let event = over(RemedyResult::Failed, why);
            self.schedule_after(50, event);
            return;
        }
        match rung {
            Rung::Renew => self.schedule_after(LEASE, over(RemedyResult::Done, "asked the DHCP server")),
            Rung::OtherResolver => {
                self.schedule_after(RESOLVER, over(RemedyResult::Done, "asks another resolver"))
            }
            Rung::RestartInterface => {
                self.schedule_after(1, Event::AdminDown(life));
                self.schedule_after(DOWN, Event::AdminUp(life));
                self.schedule_after(RESTART, over(RemedyResult::Done, "took the interface down and up"));
            }
            Rung::RestartNetwork => {
                self.schedule_after(1, Event::AdminDown(life));
                self.schedule_after(NETWORK_DOWN, Event::AdminUp(life));
                self.schedule_after(NETWORK_RESTART, over(RemedyResult::Done, "restarted all networking"));
            }
            Rung::PowerModem => {
                self.schedule_after(1, Event::Unpower);
                self.schedule_after(POWER_OFF, over(RemedyResult::Done, "cut the modem's power"));
                self.schedule_after(MODEM_BACK, Event::Repower);
            }
            Rung::Reboot => self.schedule_after(SHUTDOWN, Event::GoDown(life)),
        }
    }
}
