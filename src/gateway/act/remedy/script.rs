//! Remedies by any program.
//!
//! It is called with the name of the rung as its argument, the remedy as JSON on standard input, and
//! `LINEKEEPER_RUNG`, `LINEKEEPER_INCIDENT` (empty where the platform ordered it without one), `LINEKEEPER_DEVICE` and,
//! for `other-resolver`, `LINEKEEPER_RESOLVER` in its environment. Exit code 0 says that the remedy was carried out; any
//! other that it was not, and the last line it printed says why. At its limit it is killed with all its process group.
//! What it starts in the background should redirect its output.

use crate::program::{Termination, run};
use linekeeper_contract::json;
use linekeeper_contract::vocabulary::Rung;
use linekeeper_judge::action::Repair;
use linekeeper_judge::observation::RemedyResult;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the script may take to make things safe.
///
/// 30 s: it happens at the start, before the first remedy, and an interface is up within a few seconds.
const MAKE_SAFE_WITHIN: Duration = Duration::from_secs(30);

/// Runs the script.
#[derive(Debug)]
pub struct Script {
    program: PathBuf,
    device: String,
}

impl Script {
    /// `program`, for the WAN device `device`.
    pub fn new(program: &Path, device: &str) -> Script {
        Script { program: program.to_owned(), device: device.to_owned() }
    }

    /// Carries one remedy out.
    pub async fn repair(&self, repair: &Repair) -> (RemedyResult, String) {
        let json = match json::write(repair) {
            Ok(json) => json,
            Err(e) => return (RemedyResult::Failed, format!("the remedy cannot be written as JSON: {e}")),
        };
        let rung = repair.rung.as_str();
        let resolver = repair.resolver.map_or(String::new(), |r| r.to_string());
        let env = [
            ("LINEKEEPER_RUNG", rung),
            ("LINEKEEPER_INCIDENT", repair.incident.as_ref().map_or("", |i| i.id.as_str())),
            ("LINEKEEPER_DEVICE", self.device.as_str()),
            ("LINEKEEPER_RESOLVER", resolver.as_str()),
        ];
        let limit = repair.limit.into();
        let ran = run(&[self.program.as_os_str(), OsStr::new(rung)], json.as_bytes(), &env, limit).await;
        let name = self.program.display();
        if ran.succeeded() {
            let said = if ran.output.is_empty() { "it said nothing".into() } else { ran.output };
            return (RemedyResult::Done, format!("{name} {rung}: {said}"));
        }
        let why = ran.failure(limit);
        match ran.termination {
            Termination::NotStarted(_) => (RemedyResult::Failed, why),
            Termination::TimedOut => (RemedyResult::Overran, format!("{name} {rung} {why}")),
            Termination::Exited(_) => (RemedyResult::Failed, format!("{name} {rung} {why}")),
        }
    }

    /// Tells the script that this rung was interrupted: `make-safe` is its first argument, the rung the second.
    pub async fn make_safe(&self, rung: Rung) -> String {
        let env = [("LINEKEEPER_RUNG", rung.as_str()), ("LINEKEEPER_DEVICE", self.device.as_str())];
        let argv = [self.program.as_os_str(), OsStr::new("make-safe"), OsStr::new(rung.as_str())];
        let ran = run(&argv, b"", &env, MAKE_SAFE_WITHIN).await;
        let name = self.program.display();
        if ran.succeeded() {
            format!("{name} make-safe {}: done", rung.as_str())
        } else {
            format!("{name} make-safe {}: {}", rung.as_str(), ran.failure(MAKE_SAFE_WITHIN))
        }
    }
}
