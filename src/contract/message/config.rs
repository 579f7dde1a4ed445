//! Topics `config/desired` and `config/reported`: remote configuration.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Schema name of [`DesiredConfig`].
pub const CONFIG_DESIRED_SCHEMA: &str = "linekeeper.config-desired.v1";
/// Schema name of [`ReportedConfig`].
pub const CONFIG_REPORTED_SCHEMA: &str = "linekeeper.config-reported.v1";

/// The configuration that the platform wants, on topic `config/desired` (retained).
///
/// `config` is applied to the gateway's own configuration as a JSON Merge Patch (RFC 7396): keys that it does not name
/// stay unchanged, `null` restores the default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredConfig {
    /// [`CONFIG_DESIRED_SCHEMA`]; may be absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The platform's name for this version: 1 to 64 visible ASCII characters.
    pub version: String,
    /// Sections and keys as in the configuration file.
    pub config: Value,
}

/// The gateway's answer to it, on topic `config/reported` (retained).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedConfig {
    /// [`CONFIG_REPORTED_SCHEMA`].
    pub schema: String,
    /// The gateway's id.
    pub device_id: String,
    /// The version in force; `null`: only the gateway's own configuration.
    pub version: Option<String>,
    /// The version that was desired last, if its name could be read.
    pub desired: Option<String>,
    /// The state of the desired version.
    pub state: ConfigState,
    /// The keys that are not in force, and why.
    pub rejected: Vec<Rejected>,
    /// Why it was rolled back or refused, in words.
    pub reason: Option<String>,
}

/// The states of a desired configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfigState {
    /// None is desired: the gateway's own configuration is in force.
    Local,
    /// It is in force on trial: it is rolled back unless it proves itself.
    Trying,
    /// It is in force permanently.
    Applied,
    /// The trial failed and the last good configuration was restored.
    Returned,
    /// It cannot be applied at all; the previous configuration stays in force.
    Refused,
}

/// One key that was rejected.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rejected {
    /// Its path, in the notation of `linekeeper check`.
    pub key: String,
    /// Why it was rejected.
    pub reason: String,
}
