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
    /// Ed25519 signature over [`signed_configuration`], 128 hexadecimal digits. Some keys are taken only with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

/// The text that the signature of a [`DesiredConfig`] covers: schema, device id, version and configuration, each on its own
/// line, without a line end after the last.
///
/// The configuration is written as JSON without spaces, with the keys of each object sorted by their bytes and with characters
/// beyond ASCII as they are: in Python `json.dumps(config, sort_keys=True, separators=(",", ":"), ensure_ascii=False)`.
pub fn signed_configuration(device_id: &str, version: &str, config: &Value) -> String {
    let mut text = format!("{CONFIG_DESIRED_SCHEMA}\n{device_id}\n{version}\n");
    write_sorted(config, &mut text);
    text
}

fn write_sorted(value: &Value, into: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| *key);
            into.push('{');
            for (n, (key, value)) in fields.into_iter().enumerate() {
                if n > 0 {
                    into.push(',');
                }
                into.push_str(&Value::String(key.clone()).to_string());
                into.push(':');
                write_sorted(value, into);
            }
            into.push('}');
        }
        Value::Array(items) => {
            into.push('[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    into.push(',');
                }
                write_sorted(item, into);
            }
            into.push(']');
        }
        plain => into.push_str(&plain.to_string()),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn signed_text_does_not_depend_on_order_and_spaces() {
        let text = r#"{ "b": [1, {"z": null, "a": true}], "a": {"é\n": "0.5 %"} }"#;
        let config: Value = serde_json::from_str(text).unwrap_or_default();
        assert_eq!(
            signed_configuration("gw-1", "7", &config),
            "linekeeper.config-desired.v1\ngw-1\n7\n{\"a\":{\"é\\n\":\"0.5 %\"},\"b\":[1,{\"a\":true,\"z\":null}]}"
        );
        assert!(signed_configuration("gw-1", "7", &json!({})).ends_with("\n{}"));
    }
}
