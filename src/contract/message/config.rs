//! Topics `config/desired` and `config/reported`: configuration from afar.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Schema name of [`DesiredConfig`].
pub const CONFIG_DESIRED_SCHEMA: &str = "linekeeper.config-desired.v1";
/// Schema name of [`ReportedConfig`].
pub const CONFIG_REPORTED_SCHEMA: &str = "linekeeper.config-reported.v1";

/// The configuration that the platform wants, on topic `config/desired` (retained).
///
/// `config` is laid over the gateway's own configuration as a JSON Merge Patch (RFC 7396): what it does not name stays,
/// `null` brings the default back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredConfig {
    /// [`CONFIG_DESIRED_SCHEMA`]; may be absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The platform's name for it: 1 to 64 visible ASCII characters.
    pub version: String,
    /// Sections and keys as in the configuration file.
    pub config: Value,
}

/// What became of it, on topic `config/reported` (retained).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedConfig {
    /// [`CONFIG_REPORTED_SCHEMA`].
    pub schema: String,
    /// Which gateway.
    pub device_id: String,
    /// The version in force; `null`: the gateway's own configuration alone.
    pub version: Option<String>,
    /// The version that was last desired, where its name could be read.
    pub desired: Option<String>,
    /// What became of it.
    pub state: ConfigState,
    /// What of it is not in force, and why.
    pub rejected: Vec<Rejected>,
    /// Why it was returned from or refused, in words.
    pub reason: Option<String>,
}

/// What became of a desired configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfigState {
    /// None is desired: the gateway's own configuration holds.
    Local,
    /// It is in force on trial.
    Trying,
    /// It is in force for good.
    Applied,
    /// It was tried, did not prove itself, and the last good one is in force again.
    Returned,
    /// Nothing of it can be put in force; what was in force stays.
    Refused,
}

/// One key that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rejected {
    /// Its path, as `linekeeper check` writes it.
    pub key: String,
    /// Why not.
    pub reason: String,
}
