//! Commands that the owner configured for what a driver cannot do by itself.

use crate::program::{Termination, run};
use linekeeper_contract::vocabulary::Rung;
use linekeeper_judge::observation::RemedyResult;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

/// The package's program for `remedies.power_modem`, by the end of its path. It can be asked for `make-safe`; what else
/// is configured cannot, and run once more it would cut the power once more.
const MODEM_POWER: &str = "linekeeper/modem-power";

/// How long the modem's power may take to be returned: a pin to be exported and some tries to write it.
const POWER_WITHIN: Duration = Duration::from_secs(12);

/// The words of a command, `{device}` standing for the WAN device's name.
pub fn filled(command: &[String], device: &str) -> Vec<String> {
    command.iter().map(|word| word.replace("{device}", device)).collect()
}

/// Stands for the address of another resolver in `remedies.other_resolver`.
pub const RESOLVER: &str = "{resolver}";

/// The words of `remedies.other_resolver` with the address in place of [`RESOLVER`].
pub fn with_resolver(command: &[String], resolver: IpAddr) -> Vec<String> {
    command.iter().map(|word| word.replace(RESOLVER, &resolver.to_string())).collect()
}

/// Runs the command of `remedies.<key>` as a remedy, within `limit`. An empty one cannot be done here.
pub async fn configured(
    key: &str,
    command: &[String],
    device: &str,
    limit: Duration,
) -> (RemedyResult, String) {
    let (result, said, _) = carried_out(key, command, device, limit).await;
    (result, said)
}

/// Runs the command of `remedies.power_modem`. One that was killed in the middle may have left the modem without power.
pub async fn power_modem(command: &[String], device: &str, limit: Duration) -> (RemedyResult, String) {
    let (result, said, killed) = carried_out("power_modem", command, device, limit).await;
    if killed {
        let safe = modem_safe(Rung::PowerModem, command, device).await;
        return (result, format!("{said}{safe}"));
    }
    (result, said)
}

/// After the modem's power was cut: the modem with power, where that can be asked for. Returns what was done, to stand behind
/// what else there is to say; after any other rung, nothing.
pub async fn modem_safe(rung: Rung, command: &[String], device: &str) -> String {
    if rung != Rung::PowerModem {
        return String::new();
    }
    let mut argv = filled(command, device);
    if !argv.first().is_some_and(|program| Path::new(program).ends_with(MODEM_POWER)) {
        return "; whether the modem has power cannot be seen from here".into();
    }
    argv.insert(1, "make-safe".to_owned());
    let ran = run(&argv, b"", &[], POWER_WITHIN).await;
    match ran.succeeded() {
        true => format!("; {}", ran.output),
        false => format!("; {} {}", argv.join(" "), ran.failure(POWER_WITHIN)),
    }
}

/// How it ended, what there is to say of it, and whether it was killed.
async fn carried_out(
    key: &str,
    command: &[String],
    device: &str,
    limit: Duration,
) -> (RemedyResult, String, bool) {
    let argv = filled(command, device);
    if argv.is_empty() {
        return (RemedyResult::Unsupported, format!("remedies.{key} is not configured"), false);
    }
    let ran = run(&argv, b"", &[], limit).await;
    // Its other words may hold secrets (the key of a power socket), and this is told to the platform.
    let name = argv[0].clone();
    if ran.succeeded() {
        let said = if ran.output.is_empty() { name } else { format!("{name}: {}", ran.output) };
        return (RemedyResult::Done, said, false);
    }
    let why = ran.failure(limit);
    match ran.termination {
        Termination::NotStarted(_) => (RemedyResult::Failed, why, false),
        Termination::TimedOut => (RemedyResult::Overran, format!("{name} {why}"), true),
        Termination::Exited(status) => {
            (RemedyResult::Failed, format!("{name} {why}"), status.code().is_none())
        }
    }
}
