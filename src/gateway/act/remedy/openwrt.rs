//! Remedies on OpenWrt: netifd carries them out, `ubus` asks it.
//!
//! The one thing that must not happen is a WAN left down by us. netifd keeps an interface down for good after `down` until
//! somebody says `up`, also through a reload. (What somebody else took down is left so.) So `down` and `up` are one child process of their own, which goes on when
//! we are killed between them; whatever way a restart ends, `up` is sent once more; and after a death in the middle of a
//! remedy, or of the gateway, the judge has [`OpenWrt::make_safe`] called at the next start.

use super::configured::{configured, modem_safe, power_modem, with_resolver};
use super::leash::UpAgain;
use crate::netifd::{self, CALL_WITHIN, Netifd, Words, object, trouble};
use crate::program::{RunResult, run};
use crate::upgrade::running_writer;
use linekeeper_contract::units::Span;
use linekeeper_contract::vocabulary::Rung;
use linekeeper_judge::action::Repair;
use linekeeper_judge::config::OpenWrtDriver;
use linekeeper_judge::observation::{Interface, RemedyResult};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How long [`OpenWrt::make_safe`] tries. Three lives of a netifd that comes back only every five seconds.
const SAFE_WITHIN: Duration = Duration::from_secs(15);

/// How long it waits between two tries.
const TRY_AGAIN: Duration = Duration::from_millis(500);

/// Down and up in one process. `$1` is ubus, `$2` the object. `up` is sent whatever came of `down`, and its exit code counts.
const DOWN_AND_UP: &str = "\"$1\" -t 4 call \"$2\" down; \"$1\" -t 4 call \"$2\" up";

/// Asks netifd.
#[derive(Debug)]
pub struct OpenWrt {
    how: OpenWrtDriver,
    device: String,
    netifd: Netifd,
    proc: PathBuf,
}

impl OpenWrt {
    /// For the WAN device `device`, as the kernel names it: the interface is the configured one, or the one that has it.
    pub fn new(how: &OpenWrtDriver, device: &str) -> OpenWrt {
        OpenWrt {
            how: how.clone(),
            device: device.to_owned(),
            netifd: Netifd::default(),
            proc: "/proc".into(),
        }
    }

    /// With another program in the place of `ubus`, and another `/proc`.
    pub fn with(self, ubus: &Path, proc: &Path) -> OpenWrt {
        OpenWrt { netifd: Netifd::with_program(ubus), proc: proc.to_owned(), ..self }
    }

    /// Carries one remedy out.
    pub async fn repair(&self, repair: &Repair) -> (RemedyResult, String) {
        let limit: Duration = repair.limit.into();
        let done = match repair.rung {
            Rung::Renew => timeout(limit, self.renew()).await,
            Rung::RestartInterface => return self.restart(limit).await,
            Rung::OtherResolver => {
                let Some(resolver) = repair.resolver else {
                    return (RemedyResult::Unsupported, "no other resolver is known to answer".into());
                };
                let command = with_resolver(&self.how.other_resolver, resolver);
                return configured("other_resolver", &command, &self.device, limit).await;
            }
            Rung::RestartNetwork => timeout(limit, self.restart_network()).await,
            Rung::PowerModem => return power_modem(&self.how.power_modem, &self.device, limit).await,
            Rung::Reboot => timeout(limit, self.reboot()).await,
        };
        done.unwrap_or_else(|_| {
            (RemedyResult::Overran, format!("{} took longer than {}", repair.rung.as_str(), repair.limit))
        })
    }

    /// The interface allowed to be up. Says `up` until netifd has heard it: it may be just coming back itself.
    ///
    /// After a modem's power was cut, that first: without it `up` comes to nothing, and whoever ends us waits five seconds.
    pub async fn make_safe(&self, rung: Rung) -> String {
        let modem = modem_safe(rung, &self.how.power_modem, &self.device).await;
        format!("{}{modem}", self.interface_safe().await)
    }

    async fn interface_safe(&self) -> String {
        let mut last = String::from("no answer");
        let said = timeout(SAFE_WITHIN, async {
            loop {
                let why = match self.interface().await {
                    Ok(name) => match self.up(&name).await {
                        Ok(state) => return format!("{name} {}", state.words()),
                        Err(why) => why,
                    },
                    Err(why) => why,
                };
                last = why;
                sleep(TRY_AGAIN).await;
            }
        })
        .await;
        said.unwrap_or_else(|_| {
            let seconds = SAFE_WITHIN.as_secs();
            format!("the WAN could not be made sure of within {seconds} s ({last}); try `ifup` by hand")
        })
    }

    async fn renew(&self) -> (RemedyResult, String) {
        let done = async {
            let name = self.interface().await?;
            let status = self.netifd.status(&name).await?;
            let proto = netifd::text(&status, "proto").to_owned();
            match netifd::interface_state(&status) {
                Interface::Up | Interface::Pending => {}
                other => return Err(format!("{name} {}: there is nothing to renew", other.words())),
            }
            if proto == "static" {
                return Ok((
                    RemedyResult::Unsupported,
                    format!("{name} has a fixed address: nothing to renew"),
                ));
            }
            self.call(&name, "renew").await?;
            Ok((RemedyResult::Done, format!("asked netifd to renew {name} ({proto})")))
        };
        done.await.unwrap_or_else(|why: Words| (RemedyResult::Failed, why))
    }

    async fn restart(&self, limit: Duration) -> (RemedyResult, String) {
        let began = async {
            let name = self.interface().await?;
            match netifd::interface_state(&self.netifd.status(&name).await?) {
                // Whoever did that knows why. What we ourselves took down, [`OpenWrt::make_safe`] takes up.
                state @ Interface::TakenDown => Err(format!("{name} {}: it is left so", state.words())),
                state @ (Interface::NoDevice | Interface::NoProtocol | Interface::Refused(_)) => {
                    Err(format!("{name} {}: a restart does not change that", state.words()))
                }
                _ => Ok(name),
            }
        };
        let name = match timeout(limit, began).await {
            Ok(Ok(known)) => known,
            Ok(Err(why)) => return (RemedyResult::Failed, why),
            Err(_) => {
                return (RemedyResult::Overran, format!("netifd did not answer within {}", span(limit)));
            }
        };
        let leash = UpAgain::by([
            self.netifd.ubus().as_os_str(),
            "-t".as_ref(),
            "4".as_ref(),
            "call".as_ref(),
            object(&name).as_ref(),
            "up".as_ref(),
        ]);
        let outcome = timeout(limit, async {
            let ran = self.down_and_up(&name, limit).await;
            if !ran.succeeded() {
                return Err(format!("restarting {name}: {}", trouble(&ran, limit)));
            }
            // Once more: it costs a millisecond, changes nothing where it is not needed, and tells how netifd sees it.
            self.up(&name).await
        })
        .await;
        let (result, said) = match outcome {
            Ok(Ok(after)) => {
                leash.disarm();
                return (RemedyResult::Done, format!("took {name} down and up: it {}", after.words()));
            }
            Ok(Err(why)) => (RemedyResult::Failed, why),
            Err(_) => (RemedyResult::Overran, format!("restarting {name} took longer than {}", span(limit))),
        };
        let safe = self.make_safe(Rung::RestartInterface).await;
        leash.disarm();
        (result, format!("{said}; {safe}"))
    }

    /// netifd ends and begins anew, with every interface that is meant to be up: it needs no `up` from us.
    async fn restart_network(&self) -> (RemedyResult, String) {
        let ran = self.netifd.call(&["network", "restart"]).await;
        if ran.succeeded() {
            (RemedyResult::Done, "asked netifd to restart all networking".into())
        } else {
            let why = trouble(&ran, CALL_WITHIN);
            (RemedyResult::Failed, format!("asking netifd to restart all networking: {why}"))
        }
    }

    /// Never while firmware or packages are being written: that would make a brick of a slow line.
    async fn reboot(&self) -> (RemedyResult, String) {
        if let Some((id, name)) = running_writer(&self.proc) {
            return (RemedyResult::Failed, format!("{name} is at work (process {id}): not rebooted"));
        }
        let ran = self.netifd.call(&["system", "reboot"]).await;
        if ran.succeeded() {
            (RemedyResult::Done, "asked procd to reboot".into())
        } else {
            (RemedyResult::Failed, format!("asking procd to reboot: {}", trouble(&ran, CALL_WITHIN)))
        }
    }

    async fn interface(&self) -> Result<String, Words> {
        self.netifd.find(self.how.interface.as_deref(), &self.device).await
    }

    async fn call(&self, name: &str, method: &str) -> Result<(), Words> {
        let ran = self.netifd.call(&[&object(name), method]).await;
        if ran.succeeded() {
            Ok(())
        } else {
            Err(format!("{method} of {name}: {}", trouble(&ran, CALL_WITHIN)))
        }
    }

    /// `up`, and how netifd then sees it. It is up, or on its way: nobody's `down` holds it any more.
    async fn up(&self, name: &str) -> Result<Interface, Words> {
        self.call(name, "up").await?;
        match netifd::interface_state(&self.netifd.status(name).await?) {
            Interface::TakenDown => Err(format!("{name} is still taken down after `up`")),
            state => Ok(state),
        }
    }

    async fn down_and_up(&self, name: &str, limit: Duration) -> RunResult {
        let argv: [OsString; 6] = [
            "/bin/sh".into(),
            "-c".into(),
            DOWN_AND_UP.into(),
            "linekeeper".into(),
            self.netifd.ubus().to_owned().into(),
            object(name).into(),
        ];
        run(&argv, b"", &[], limit).await
    }
}

fn span(d: Duration) -> Span {
    Span(u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}
