//! Remedies by `ip link` and the DHCP client, for gateways without OpenWrt's netifd.
//!
//! Whatever happens in between, the device ends up: each way out of a restart sends `up`.

use super::configured::{RESOLVER, configured, filled, modem_safe, power_modem, with_resolver};
use super::leash::UpAgain;
use crate::program::{RunResult, Termination, cannot_run, run};
use linekeeper_contract::vocabulary::Rung;
use linekeeper_judge::action::Repair;
use linekeeper_judge::config::LinuxDriver;
use linekeeper_judge::observation::RemedyResult;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How long one `ip link` may take. It is one netlink call; a driver that resets its hardware takes up to some seconds.
const IP_WITHIN: Duration = Duration::from_secs(5);

/// How long the DHCP client has between SIGTERM and SIGKILL. It has to send one DHCPRELEASE at most.
const CLIENT_ENDS_WITHIN: Duration = Duration::from_secs(1);

/// How often its end is looked for. It is not always our child, so it cannot be waited for.
const CLIENT_LOOK: Duration = Duration::from_millis(20);

/// How long a new DHCP client is watched for an error at once: a wrong option, a missing device.
const CLIENT_WATCHED: Duration = Duration::from_millis(300);

/// Runs the commands.
#[derive(Debug)]
pub struct Linux {
    how: LinuxDriver,
    device: String,
}

/// Why a step of a remedy failed.
type Words = String;

impl Linux {
    /// For the WAN device `device`. `{device}` in the commands stands for its name, `{resolver}` in `other_resolver` for
    /// the address of one that answers.
    pub fn new(how: &LinuxDriver, device: &str) -> Linux {
        Linux { how: how.clone(), device: device.to_owned() }
    }

    /// Carries one remedy out.
    pub async fn repair(&self, repair: &Repair) -> (RemedyResult, String) {
        match repair.rung {
            Rung::Renew => self.renew(),
            Rung::OtherResolver => self.other_resolver(repair).await,
            Rung::RestartInterface => self.restart(repair.limit.into()).await,
            Rung::RestartNetwork => {
                configured("restart_network", &self.how.restart_network, &self.device, repair.limit.into())
                    .await
            }
            Rung::PowerModem => power_modem(&self.how.power_modem, &self.device, repair.limit.into()).await,
            Rung::Reboot => configured("reboot", &self.how.reboot, &self.device, repair.limit.into()).await,
        }
    }

    /// The device up and its DHCP client running.
    pub async fn make_safe(&self, rung: Rung) -> String {
        let modem = modem_safe(rung, &self.how.power_modem, &self.device).await;
        let up = match self.up().await {
            Ok(()) => format!("{} is up", self.device),
            Err(why) => why,
        };
        let client = match self.client() {
            Client::NotConfigured => String::new(),
            Client::Running(pid) => {
                format!(", its DHCP client runs (process {})", pid.as_raw_nonzero())
            }
            Client::Gone(_) => match self.start_client().await {
                Ok(said) => format!(", {said}"),
                Err(why) => format!(", {why}"),
            },
        };
        format!("{up}{client}{modem}")
    }

    /// Asks the client for a renewal. Without a living client that fails at once: there is nothing to wait for.
    fn renew(&self) -> (RemedyResult, String) {
        match self.client() {
            Client::NotConfigured => {
                (RemedyResult::Unsupported, "no DHCP client: remedies.dhcp_pidfile is not configured".into())
            }
            Client::Gone(why) => (RemedyResult::Failed, why),
            Client::Running(pid) => match kill_process(pid, Signal::USR1) {
                Ok(()) => (
                    RemedyResult::Done,
                    format!("asked the DHCP client (process {}) to renew", pid.as_raw_nonzero()),
                ),
                Err(e) => (
                    RemedyResult::Failed,
                    format!("cannot signal the DHCP client (process {}): {e}", pid.as_raw_nonzero()),
                ),
            },
        }
    }

    /// The resolver is an [`IpAddr`](std::net::IpAddr): nothing that somebody on the way could put into a command.
    async fn other_resolver(&self, repair: &Repair) -> (RemedyResult, String) {
        let mut command = self.how.other_resolver.clone();
        if command.iter().any(|word| word.contains(RESOLVER)) {
            let Some(resolver) = repair.resolver else {
                return (RemedyResult::Failed, "no other resolver is known that answers".into());
            };
            command = with_resolver(&command, resolver);
        }
        configured("other_resolver", &command, &self.device, repair.limit.into()).await
    }

    async fn restart(&self, limit: Duration) -> (RemedyResult, String) {
        let leash = UpAgain::by(["ip", "link", "set", "dev", &self.device, "up"]);
        let outcome = timeout(limit, self.down_and_up()).await;
        let (result, mut said) = match outcome {
            Ok(Ok(said)) => {
                leash.disarm();
                return (RemedyResult::Done, said);
            }
            Ok(Err(why)) => (RemedyResult::Failed, why),
            Err(_) => {
                let limit =
                    linekeeper_contract::units::Span(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
                (RemedyResult::Overran, format!("restarting {} took longer than {limit}", self.device))
            }
        };
        said.push_str("; ");
        said.push_str(&self.make_safe(Rung::RestartInterface).await);
        leash.disarm();
        (result, said)
    }

    async fn down_and_up(&self) -> Result<String, Words> {
        if let Client::Running(pid) = self.client() {
            end(pid).await;
        }
        self.ip("down").await?;
        self.up().await?;
        if self.how.dhcp_client.is_empty() {
            return Ok(format!("took {} down and up", self.device));
        }
        let started = self.start_client().await?;
        Ok(format!("took {} down and up, {started}", self.device))
    }

    async fn up(&self) -> Result<(), Words> {
        self.ip("up").await
    }

    async fn ip(&self, direction: &str) -> Result<(), Words> {
        let ran = run(&["ip", "link", "set", "dev", &self.device, direction], b"", &[], IP_WITHIN).await;
        if ran.succeeded() {
            return Ok(());
        }
        Err(format!("ip link set dev {} {direction}: {}", self.device, ran.failure(IP_WITHIN)))
    }

    /// Starts the DHCP client so that it lives longer than we do: in a session of its own where there is a `setsid`,
    /// else in a process group of its own, and with its outputs closed, because a pipe that ends with us would end it.
    async fn start_client(&self) -> Result<String, Words> {
        let argv = filled(&self.how.dhcp_client, &self.device);
        let Some((program, arguments)) = argv.split_first() else {
            return Ok("there is no DHCP client to start".into());
        };
        let spawn = |command: &mut tokio::process::Command| {
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
        };
        // Asked for by name first, because `setsid` would hide that it is missing.
        let name = OsStr::new(program);
        if !on_path(program) {
            return Err(cannot_run(name, &std::io::ErrorKind::NotFound.into()));
        }
        let mut child = if on_path("setsid") {
            spawn(tokio::process::Command::new("setsid").arg(program).args(arguments))
        } else {
            spawn(tokio::process::Command::new(program).args(arguments).process_group(0))
        }
        .map_err(|e| cannot_run(name, &e))?;
        match timeout(CLIENT_WATCHED, child.wait()).await {
            Ok(Ok(status)) if !status.success() => {
                let ran = RunResult { termination: Termination::Exited(status), output: String::new() };
                return Err(format!("the DHCP client {program} {}", ran.failure(CLIENT_WATCHED)));
            }
            // It went to the background by itself.
            Ok(_) => {}
            Err(_) => {
                // Somebody has to take its exit status, as long as we live.
                tokio::spawn(async move { child.wait().await });
            }
        }
        Ok(format!("started {program}"))
    }

    fn client(&self) -> Client {
        match &self.how.dhcp_pidfile {
            None => Client::NotConfigured,
            Some(file) => client_in(file, &self.how.dhcp_client),
        }
    }
}

/// What is known of the DHCP client.
#[derive(Debug, PartialEq)]
enum Client {
    NotConfigured,
    Running(Pid),
    /// Why it is taken for gone.
    Gone(Words),
}

fn client_in(file: &Path, command: &[String]) -> Client {
    let shown = file.display();
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(e) => return Client::Gone(format!("the DHCP client does not run: cannot read {shown}: {e}")),
    };
    // Above 1: neither "every process of the group", nor init.
    let Some(pid) = text.trim().parse().ok().filter(|n| *n > 1).and_then(Pid::from_raw) else {
        return Client::Gone(format!("{shown} holds no process id but {:.20?}", text.trim()));
    };
    let number = pid.as_raw_nonzero();
    // An empty command line is a process that ended and was not taken leave of.
    let running = fs::read(format!("/proc/{number}/cmdline")).unwrap_or_default();
    if test_kill_process(pid).is_err() || running.is_empty() {
        return Client::Gone(format!("the DHCP client does not run: process {number} of {shown} is gone"));
    }
    // Process ids are used again: a stale file must not turn our signals on somebody else.
    let base = |word: &str| word.rsplit('/').next().unwrap_or(word).to_owned();
    let names: Vec<String> =
        running.split(|b| *b == 0).take(3).map(|w| base(&String::from_utf8_lossy(w))).collect();
    let expected = command.iter().take(3).map(|w| base(w)).any(|w| !w.starts_with('-') && names.contains(&w));
    if !command.is_empty() && !expected {
        return Client::Gone(format!(
            "the DHCP client does not run: process {number} of {shown} is {} now",
            names.first().map_or("another", String::as_str)
        ));
    }
    Client::Running(pid)
}

/// Ends a process: asks first, then insists.
async fn end(pid: Pid) {
    let gone = || fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default().is_empty();
    let until_gone = || async {
        while !gone() {
            sleep(CLIENT_LOOK).await;
        }
    };
    let _ = kill_process(pid, Signal::TERM);
    if timeout(CLIENT_ENDS_WITHIN, until_gone()).await.is_err() {
        let _ = kill_process(pid, Signal::KILL);
        let _ = timeout(CLIENT_ENDS_WITHIN, until_gone()).await;
    }
}

/// Whether a program can be found as the shell would.
fn on_path(program: &str) -> bool {
    if program.contains('/') {
        return Path::new(program).exists();
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin:/sbin:/bin".into());
    std::env::split_paths(&path).any(|directory| directory.join(program).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_pid_file_never_aims_at_another_process() {
        let room = tempfile::tempdir().unwrap();
        let file = room.path().join("pid");
        let command = ["/sbin/udhcpc".to_owned(), "-i".into(), "{device}".into()];
        let gone = |content: &str, part: &str| {
            fs::write(&file, content).unwrap();
            match client_in(&file, &command) {
                Client::Gone(why) => assert!(why.contains(part), "{why}"),
                other => panic!("{content:?}: {other:?}"),
            }
        };
        gone(&std::process::id().to_string(), "now");
        gone("1", "no process id");
        gone("0", "no process id");
        gone("-5", "no process id");
        gone("", "no process id");
        gone("4194999", "gone");
        match client_in(&room.path().join("none"), &command) {
            Client::Gone(why) => assert!(why.contains("cannot read"), "{why}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_device_is_put_into_commands() {
        let linux = Linux::new(&LinuxDriver::default(), "wan0");
        assert_eq!(filled(&["a".into(), "-i{device}".into()], &linux.device), ["a", "-iwan0"]);
    }
}
