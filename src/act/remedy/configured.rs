//! Commands that the owner configured for what a driver cannot do by itself.

use crate::observation::RemedyResult;
use crate::program::{End, run};
use std::time::Duration;

/// The words of a command, `{device}` standing for the WAN device's name.
pub fn filled(command: &[String], device: &str) -> Vec<String> {
    command.iter().map(|word| word.replace("{device}", device)).collect()
}

/// Runs the command of `remedies.<key>` as a remedy, within `limit`. An empty one cannot be done here.
pub async fn configured(
    key: &str,
    command: &[String],
    device: &str,
    limit: Duration,
) -> (RemedyResult, String) {
    let argv = filled(command, device);
    if argv.is_empty() {
        return (RemedyResult::Unsupported, format!("remedies.{key} is not configured"));
    }
    let ran = run(&argv, b"", &[], limit).await;
    // Its other words may hold secrets (the key of a power socket), and this is told to the platform.
    let name = argv[0].clone();
    if ran.succeeded() {
        let said = if ran.output.is_empty() { name } else { format!("{name}: {}", ran.output) };
        return (RemedyResult::Done, said);
    }
    let why = ran.failure(limit);
    match ran.end {
        End::NotStarted(_) => (RemedyResult::Failed, why),
        End::Overran => (RemedyResult::Overran, format!("{name} {why}")),
        End::Exited(_) => (RemedyResult::Failed, format!("{name} {why}")),
    }
}
