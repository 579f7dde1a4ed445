//! The configuration that the platform wants, merged over the gateway's own.
//!
//! Policy, in prose:
//!
//! * It is a JSON Merge Patch (RFC 7396) over what the gateway was given: keys it does not name stay as they are, `null`
//!   brings a key's default back.
//! * The gateway's identity, its files, its credentials, the programs it runs, and what the platform may command or
//!   configure at all are set only by the gateway itself ([`Right::Local`] in the table of options): if
//!   the platform or the broker is compromised, the operator must not lose the gateways too.
//! * What decides what is done to the line, who is asked, where the messages go and how much data is spent
//!   ([`Right::Signed`]) is taken only from a configuration that is signed with `commands.key`, the key by which commands are
//!   signed: what an unsigned command may not do, an unsigned configuration may not do. Without a signature remedies can only
//!   be narrowed: none at all, or a part of the gateway's own ladder.
//! * What remains is checked as `linekeeper check` does. A key with a fault is rejected with the fault, and the
//!   rest is applied: one typing error does not block the rest. If no desired key causes a fault, all desired keys of its
//!   section are rejected.

use super::fault::{Faults, Places};
use super::options::Right;
use super::read::{Config, KEYS, RIGHTS, read};
use linekeeper_contract::json;
use linekeeper_contract::message::{CONFIG_DESIRED_SCHEMA, DesiredConfig, Rejected};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The largest desired configuration, bytes: it must fit in one packet that a gateway takes (32 KiB), and the commented
/// sample with every key is 9 kB.
pub const LARGEST: usize = 30 * 1024;
/// As many rejected keys are named: there are about eighty keys in all, and a message of 10 kB says enough.
const REJECTED: usize = 100;
/// The longest name of a version, bytes: a date and a commit.
const LONGEST_VERSION: usize = 64;

/// The result of merging a desired configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Laid {
    /// The gateway's own configuration with the accepted keys merged in.
    pub tree: Value,
    /// The same, read.
    pub config: Config,
    /// The keys that were accepted.
    pub taken: Vec<String>,
    /// The keys that were not.
    pub rejected: Vec<Rejected>,
}

/// Parses a message on `config/desired`. `None`: the configuration was withdrawn (an empty message).
///
/// # Errors
/// What is wrong and what is expected, in words that follow "it".
pub fn message(payload: &[u8]) -> Result<Option<DesiredConfig>, String> {
    if payload.is_empty() {
        return Ok(None);
    }
    if payload.len() > LARGEST {
        return Err(format!("has {} bytes, more than the limit of {LARGEST}", payload.len()));
    }
    let desired: DesiredConfig = json::read(payload)
        .map_err(|e| format!("is not an object with version and config: {:.200}", e.to_string()))?;
    if desired.schema.as_deref().is_some_and(|s| s != CONFIG_DESIRED_SCHEMA) {
        return Err(format!("has another schema, expected {CONFIG_DESIRED_SCHEMA:?}"));
    }
    let version = desired.version.as_bytes();
    if version.is_empty() || version.len() > LONGEST_VERSION || !version.iter().all(u8::is_ascii_graphic) {
        return Err(format!(
            "has an invalid version: must be 1 to {LONGEST_VERSION} visible ASCII characters"
        ));
    }
    if !desired.config.is_object() {
        return Err("has a config that is not an object of sections".into());
    }
    Ok(Some(desired))
}

/// Merges `desired` over `own`, the gateway's own tree, and rejects the keys that cannot be applied. `signed`: the message had a
/// good signature.
///
/// # Errors
/// Only if `own` alone has faults.
pub fn lay(own: &Value, desired: &Value, signed: bool) -> Result<Laid, Faults> {
    let base = read(own, &Places::none())?;
    let mut keys = split(desired);
    let mut rejected = Vec::new();
    keys.retain(|(key, value)| match forbidden(own, &base, key, value, signed) {
        Some(why) => {
            rejected.push(Rejected { key: key.clone(), reason: why });
            false
        }
        None => true,
    });
    loop {
        let mut tree = own.clone();
        for (key, value) in &keys {
            merge(&mut tree, &wrapped(key, value));
        }
        let faults = match read(&tree, &Places::none()) {
            Ok(config) => {
                rejected.sort();
                rejected.dedup();
                if rejected.len() > REJECTED {
                    let more = rejected.len() - REJECTED;
                    rejected.truncate(REJECTED);
                    rejected.push(Rejected { key: String::new(), reason: format!("and {more} more") });
                }
                let taken = keys.into_iter().map(|(key, _)| key).collect();
                return Ok(Laid { tree, config, taken, rejected });
            }
            Err(faults) => faults,
        };
        let mut blamed = BTreeSet::new();
        for fault in &faults.0 {
            let key = unit(&fault.path);
            let section = key.split('.').next().unwrap_or_default();
            let near = |wanted: &dyn Fn(&str) -> bool| -> Vec<String> {
                keys.iter().map(|(k, _)| k).filter(|k| wanted(k)).cloned().collect()
            };
            let mut found = near(&|k| k == key);
            if found.is_empty() {
                found = near(&|k| k.split('.').next() == Some(section));
            }
            for key in found {
                blamed.insert((key, fault.to_string()));
            }
        }
        if blamed.is_empty() {
            if keys.is_empty() {
                return Err(faults);
            }
            // Nothing of its own section: the whole does not go together.
            let words = faults.0.first().map_or_else(String::new, ToString::to_string);
            blamed = keys.iter().map(|(key, _)| (key.clone(), words.clone())).collect();
        }
        for (key, reason) in blamed {
            keys.retain(|(k, _)| *k != key);
            rejected.push(Rejected { key, reason });
        }
    }
}

/// Why the platform may not set a key.
fn forbidden(own: &Value, base: &Config, key: &str, value: &Value, signed: bool) -> Option<String> {
    let rights = rights_of(key);
    let local = |right: &Right| match right {
        Right::Local(why) => Some((*why).to_owned()),
        Right::Signed(_) | Right::Remote => None,
    };
    let wants_signature = |right: &Right| match right {
        Right::Signed(why) => Some(format!("must be signed with commands.key: {why}")),
        Right::Local(_) | Right::Remote => None,
    };
    if let Some(why) = rights.iter().find_map(local) {
        return Some(why);
    }
    if !signed
        && !narrows(base, key, value)
        && let Some(why) = rights.iter().find_map(wants_signature)
    {
        return Some(why);
    }
    let plain = |v: &Value| match v {
        Value::String(url) => url.starts_with("mqtt://"),
        Value::Array(urls) => urls.iter().any(|u| u.as_str().is_some_and(|u| u.starts_with("mqtt://"))),
        _ => false,
    };
    let ours = ["broker", "brokers"].iter().filter_map(|k| own.get("mqtt")?.get(k)).any(plain);
    if (key == "mqtt.broker" || key == "mqtt.brokers") && plain(value) && !ours {
        return Some("the gateway's own broker uses mqtts://, so any other must too".into());
    }
    None
}

/// Whether a value allows no more to be done to the line than the gateway's own configuration does.
fn narrows(base: &Config, key: &str, value: &Value) -> bool {
    match key {
        "remedies.driver" => value == "none",
        "remedies.ladder" => value.as_array().is_some_and(|rungs| {
            let own = |rung: &Value| base.remedies.ladder.iter().any(|own| rung == own.as_str());
            rungs.iter().all(own)
        }),
        _ => false,
    }
}

/// The rights that decide about a path: of its key, or of a section as a whole those of all its keys, because a section of which
/// a part is local cannot be taken away or replaced. In a section that is local throughout, a key that does not exist is local
/// too. Nothing: there is no such section or key, which is told when it is read.
fn rights_of(path: &str) -> Vec<Right> {
    let (section, key) = match path.split_once('.') {
        Some((section, key)) => (section, Some(key)),
        None => (path, None),
    };
    let found = KEYS.iter().zip(RIGHTS).find(|((name, _), _)| *name == section);
    let Some(((_, keys), rights)) = found else { return Vec::new() };
    let Some(key) = key else { return rights.to_vec() };
    match keys.iter().position(|name| *name == key) {
        Some(at) => rights.get(at).copied().into_iter().collect(),
        None if rights.iter().all(|right| matches!(right, Right::Local(_))) => rights.to_vec(),
        None => Vec::new(),
    }
}

/// The desired keys, one for each key of a section. (A section that is no table stays whole, for its fault to be told.)
fn split(desired: &Value) -> Vec<(String, Value)> {
    let mut keys = Vec::new();
    for (section, content) in desired.as_object().into_iter().flatten() {
        match content {
            Value::Object(content) => {
                for (key, value) in content {
                    keys.push((format!("{section}.{key}"), value.clone()));
                }
            }
            other => keys.push((section.clone(), other.clone())),
        }
    }
    // The broker's two spellings exclude each other: the one that is desired takes the place of the other.
    for (one, other) in [("mqtt.broker", "mqtt.brokers"), ("mqtt.brokers", "mqtt.broker")] {
        let has = |keys: &[(String, Value)], key: &str| keys.iter().any(|(k, v)| k == key && !v.is_null());
        if has(&keys, one) && !keys.iter().any(|(k, _)| k == other) {
            keys.push((other.to_owned(), Value::Null));
        }
    }
    keys
}

/// The section and key that a fault's path lies in.
fn unit(path: &str) -> &str {
    path.match_indices(['.', '[']).nth(1).map_or(path, |(end, _)| &path[..end])
}

fn wrapped(key: &str, value: &Value) -> Value {
    let of = |key: &str, value: Value| Value::Object(Map::from_iter([(key.to_owned(), value)]));
    match key.split_once('.') {
        Some((section, key)) => of(section, of(key, value.clone())),
        None => of(key, value.clone()),
    }
}

/// RFC 7396, section 2.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else { return };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge(target.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}
