//! The configuration that the platform wants: put in force on trial, kept only when it proved itself, else returned from.
//!
//! Policy, in prose:
//!
//! * What is desired is laid over the gateway's own configuration ([`linekeeper_judge::config::desired`]) and put in force by
//!   beginning anew in the same process; not while a remedy or a speed test runs.
//! * It is on trial until the broker was connected and an echo of a far target came back, both under it, for at most
//!   `desired.within`. Then it is written down as good. Else the last good one is in force again, and the platform
//!   is told why. On trial nothing is done to the line and nobody is called: wrong targets look like an outage.
//! * The trial itself is on flash before it begins. A process that finds one there died in it, and returns.
//! * The same desired message again (the broker gives the retained one with each connection) is nothing new, whatever
//!   became of it. To have it tried again, the platform publishes it under another version.
//! * What is on flash is the desired patch, not what it gave: when the gateway's own file changes, it is laid over that.

use crate::act::{durable, frame};
use linekeeper_contract::json;
use linekeeper_contract::message::{
    CONFIG_REPORTED_SCHEMA, ConfigState, DesiredConfig, Rejected, ReportedConfig, signed_configuration,
};
use linekeeper_contract::units::{Mono, Span};
use linekeeper_judge::config::desired::{self, Laid, lay};
use linekeeper_judge::config::{Config, Places, hex};
use linekeeper_judge::observation::{Observation, TargetId};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::path::PathBuf;
use tracing::{info, warn};

const FILE: &str = "desired.json";
const FORMAT: &str = "linekeeper.desired.v1";
/// The largest file that is read: two patches of the largest size, and what became of them.
const LARGEST: u64 = 256 * 1024;

/// New desired configurations that are looked at in [`LOOKS_WINDOW`]; of more, the latest waits.
///
/// Six: a person who mends slips needs no more, and at three writes of some kilobytes each a platform that never ends
/// costs 100 writes an hour.
const LOOKS: usize = 6;
/// See [`LOOKS`].
const LOOKS_WINDOW: Span = Span::minutes(10);

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing.
    Nothing,
    /// Tell the platform.
    Report,
    /// Begin anew, as soon as nothing is in course.
    Restart,
}

/// One desired configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Version {
    /// `None`: nothing is desired any more.
    version: Option<String>,
    config: Value,
    /// Its signature was good when it came.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    signed: bool,
}

/// What became of what was last desired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Verdict {
    version: Option<String>,
    /// CRC-32 and length of the message: tells a repetition.
    print: (u32, usize),
    state: ConfigState,
    rejected: Vec<Rejected>,
    reason: Option<String>,
}

/// What is on flash.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    good: Option<Version>,
    trial: Option<Version>,
    last: Option<Verdict>,
}

/// The trial of this life.
#[derive(Debug, Clone, Copy)]
struct Trial {
    until: Mono,
    broker: bool,
    echo: bool,
}

/// Where desired configurations are looked at.
#[derive(Debug)]
pub struct Desk {
    own: Value,
    accept: bool,
    within: Span,
    device_id: String,
    /// By which it may be signed.
    key: Option<[u8; 32]>,
    path: Option<PathBuf>,
    kept: Kept,
    trial: Option<Trial>,
    /// When new ones were looked at.
    looks: VecDeque<Mono>,
}

impl Desk {
    /// Reads what is kept beside the gateway's own configuration. `idle`: nothing is kept and nothing accepted.
    pub fn open(own: Value, config: &Config, idle: bool) -> Desk {
        let path = (!idle && config.desired.accept).then(|| config.store.directory.join(FILE));
        let (accept, within) = (path.is_some(), config.desired.within);
        let mut desk = Desk {
            own,
            accept,
            within,
            device_id: config.device.id.clone(),
            key: config.commands.key,
            path,
            kept: Kept::default(),
            trial: None,
            looks: VecDeque::new(),
        };
        if let Some(path) = &desk.path {
            durable::clear_temporary(path);
            match durable::read_bounded(path, LARGEST) {
                Ok(None) => {}
                Ok(Some((content, _))) => match decode(&content) {
                    Some(kept) => desk.kept = kept,
                    None => {
                        let aside = durable::set_aside(path);
                        warn!(
                            "{} is damaged; {aside}. The gateway's own configuration is in force",
                            path.display()
                        );
                    }
                },
                Err(e) => warn!("{}", durable::words("cannot read", path, &e)),
            }
        }
        if desk.kept.trial.is_some() {
            desk.give_up("the process ended while it was on trial");
        }
        desk
    }

    /// The gateway's own configuration.
    pub fn own(&self) -> &Value {
        &self.own
    }

    /// The gateway's own configuration is another one from now on: what is desired, also what is on trial, is laid over
    /// that.
    pub fn renew(&mut self, own: Value, config: &Config, idle: bool) {
        let keeps = (!idle && config.desired.accept).then(|| config.store.directory.join(FILE));
        if keeps == self.path {
            (self.own, self.within) = (own, config.desired.within);
            (self.device_id, self.key) = (config.device.id.clone(), config.commands.key);
        } else {
            *self = Desk::open(own, config, idle);
        }
    }

    /// Whether anything desired is looked at.
    pub fn accepts(&self) -> bool {
        self.accept
    }

    /// What is to be in force now: on trial, or the last good one.
    pub fn in_force(&mut self) -> Result<(Value, Config), String> {
        let (on_trial, version) = match (&self.kept.trial, &self.kept.good) {
            (Some(trial), _) => (true, Some(trial)),
            (None, good) => (false, good.as_ref()),
        };
        let (patch, signed) = version.map_or_else(|| (json!({}), false), |v| (v.config.clone(), v.signed));
        let laid = lay(&self.own, &patch, signed).map_err(|faults| faults.to_string())?;
        if !on_trial {
            if let (Some(last), true) = (&mut self.kept.last, self.kept.good.is_some())
                && last.state == ConfigState::Applied
            {
                // The gateway's own part may have changed since.
                last.rejected = laid.rejected;
            }
            return Ok((laid.tree, laid.config));
        }
        cautious(laid)
    }

    /// Whether another desired configuration may be looked at: a platform that never ends wears out the flash.
    pub fn may_look(&self, now: Mono) -> bool {
        self.looks.len() < LOOKS || self.looks.front().is_some_and(|at| now.since(*at) >= LOOKS_WINDOW)
    }

    /// Something came on `config/desired`.
    pub fn came(&mut self, now: Mono, payload: &[u8]) -> Next {
        let print = (durable::crc32(payload), payload.len());
        if self.kept.last.as_ref().is_some_and(|last| last.print == print) {
            return Next::Nothing;
        }
        if self.looks.len() >= LOOKS {
            self.looks.pop_front();
        }
        self.looks.push_back(now);
        let verdict = |version, state, rejected, reason| Verdict { version, print, state, rejected, reason };
        let wanted = match desired::message(payload) {
            Err(why) => {
                warn!("the desired configuration is refused: it {why}");
                let reason = Some(format!("it {why}"));
                self.settle(verdict(None, ConfigState::Refused, Vec::new(), reason));
                return Next::Report;
            }
            Ok(None) if self.kept.good.is_none() && self.kept.trial.is_none() => {
                // Nothing was desired, and nothing is.
                if self.kept.last.is_some() {
                    self.settle(verdict(None, ConfigState::Local, Vec::new(), None));
                    return Next::Report;
                }
                return Next::Nothing;
            }
            Ok(None) => Version { version: None, config: json!({}), signed: false },
            Ok(Some(d)) => match self.is_signed(&d) {
                Ok(signed) => Version { version: Some(d.version), config: d.config, signed },
                Err(why) => {
                    warn!("the desired configuration {} is refused: {why}", d.version);
                    self.settle(verdict(Some(d.version), ConfigState::Refused, Vec::new(), Some(why.into())));
                    return Next::Report;
                }
            },
        };
        let name = wanted.version.clone().unwrap_or_else(|| "none".into());
        let laid = match lay(&self.own, &wanted.config, wanted.signed) {
            Ok(laid) => laid,
            // The gateway's own file was right when it was read; it cannot be wrong here.
            Err(faults) => {
                warn!("{faults}");
                return Next::Nothing;
            }
        };
        for Rejected { key, reason } in &laid.rejected {
            warn!("desired configuration {name}: {key} is not taken: {reason}");
        }
        if laid.taken.is_empty() && !laid.rejected.is_empty() {
            let reason = Some("no key of it can be taken".to_owned());
            self.settle(verdict(wanted.version, ConfigState::Refused, laid.rejected, reason));
            return Next::Report;
        }
        let (good, signed) =
            self.kept.good.as_ref().map_or_else(|| (json!({}), false), |v| (v.config.clone(), v.signed));
        let now = lay(&self.own, &good, signed);
        let same = self.trial.is_none() && now.is_ok_and(|now| now.config == laid.config);
        if same {
            info!("desired configuration {name} changes nothing");
            let state = if wanted.version.is_some() { ConfigState::Applied } else { ConfigState::Local };
            self.kept.good = wanted.version.is_some().then_some(wanted.clone());
            self.settle(verdict(wanted.version, state, laid.rejected, None));
            return Next::Report;
        }
        info!("desired configuration {name} goes on trial for {}", self.within);
        self.settle(verdict(wanted.version.clone(), ConfigState::Trying, laid.rejected, None));
        self.kept.trial = Some(wanted);
        self.trial = None;
        if let Err(why) = self.write() {
            // Without a note of it on flash, a death in the trial would begin it anew for ever.
            self.give_up(&format!("it cannot be tried safely: {why}"));
            return Next::Report;
        }
        Next::Restart
    }

    /// Whether it has a good signature. A bad one is refused: somebody meant it to be good.
    fn is_signed(&self, desired: &DesiredConfig) -> Result<bool, &'static str> {
        let (Some(key), Some(signature)) = (&self.key, &desired.signature) else { return Ok(false) };
        let text = signed_configuration(&self.device_id, &desired.version, &desired.config);
        let is_good = hex::<64>(signature)
            .is_some_and(|s| UnparsedPublicKey::new(&ED25519, key).verify(text.as_bytes(), &s).is_ok());
        if is_good {
            Ok(true)
        } else {
            Err("its signature is wrong: it is not by commands.key, or not for this text")
        }
    }

    /// Begins the trial, if one is due; the configuration is in force from now.
    pub fn begin(&mut self, now: Mono) {
        self.trial =
            self.kept.trial.is_some().then(|| Trial { until: now + self.within, broker: false, echo: false });
    }

    /// When the trial ends, if one is in course.
    pub fn deadline(&self) -> Option<Mono> {
        self.trial.map(|t| t.until)
    }

    /// Something was seen. `Report`: the trial is passed.
    pub fn saw(&mut self, observation: &Observation) -> Next {
        let Some(trial) = &mut self.trial else { return Next::Nothing };
        match observation {
            Observation::BrokerSeen { connected } => trial.broker |= connected,
            Observation::EchoAnswered { target, .. } => trial.echo |= *target != TargetId::GATEWAY,
            _ => {}
        }
        if !(trial.broker && trial.echo) {
            return Next::Nothing;
        }
        self.trial = None;
        let version = self.kept.trial.take();
        let version = version.filter(|v| v.version.is_some());
        let name = version.as_ref().and_then(|v| v.version.as_deref()).unwrap_or("none");
        info!("desired configuration {name} is kept: the broker was reached and an echo came back");
        if let Some(last) = &mut self.kept.last {
            last.state = if version.is_some() { ConfigState::Applied } else { ConfigState::Local };
        }
        self.kept.good = version;
        if let Err(why) = self.write() {
            warn!("{why}; after a restart the one before is in force again");
        }
        Next::Report
    }

    /// The trial's time is over.
    pub fn failed(&mut self) {
        let Some(trial) = self.trial else { return };
        let what = match (trial.broker, trial.echo) {
            (false, false) => "the broker was not reached and no echo came back",
            (false, true) => "the broker was not reached (echoes came back)",
            (true, _) => "no echo came back (the broker was reached)",
        };
        self.give_up(&format!("{what} within {}", self.within));
    }

    fn give_up(&mut self, why: &str) {
        self.trial = None;
        let version = self.kept.trial.take().and_then(|v| v.version).unwrap_or_else(|| "none".into());
        warn!("desired configuration {version} is returned from: {why}");
        if let Some(last) = &mut self.kept.last {
            last.state = ConfigState::Returned;
            last.reason = Some(why.to_owned());
        }
        if let Err(why) = self.write() {
            warn!("{why}");
        }
    }

    fn settle(&mut self, verdict: Verdict) {
        self.kept.last = Some(verdict);
        if let Err(why) = self.write() {
            warn!("{why}");
        }
    }

    /// What is told on `config/reported`.
    pub fn report(&self, device_id: &str) -> Value {
        if !self.accept {
            return Value::Null;
        }
        let last = self.kept.last.as_ref();
        let in_force = self.kept.trial.as_ref().or(self.kept.good.as_ref());
        let report = ReportedConfig {
            schema: CONFIG_REPORTED_SCHEMA.into(),
            device_id: device_id.into(),
            version: in_force.and_then(|v| v.version.clone()),
            desired: last.and_then(|l| l.version.clone()),
            state: last.map_or(ConfigState::Local, |l| l.state),
            rejected: last.map_or_else(Vec::new, |l| l.rejected.clone()),
            reason: last.and_then(|l| l.reason.clone()),
        };
        json::to_tree(&report).unwrap_or(Value::Null)
    }

    fn write(&self) -> Result<(), String> {
        let Some(path) = &self.path else { return Ok(()) };
        let body = json::write(&self.kept)
            .map_err(|e| format!("the desired configuration cannot be written as JSON: {e}"))?;
        durable::replace(path, &frame::encode(FORMAT, body.as_bytes())).map(|_| ())
    }
}

/// On trial nothing is done to the line and nobody is called: wrong targets look like an outage.
fn cautious(laid: Laid) -> Result<(Value, Config), String> {
    use linekeeper_judge::config::callback::{AFTER, QUALITY};
    use linekeeper_judge::config::outage::FLAPPING;
    let mut tree = laid.tree;
    for (section, key, held) in [
        ("remedies", "ladder", json!([])),
        ("callback", "after", AFTER.most.to_string().into()),
        ("callback", "quality", QUALITY.most.to_string().into()),
        ("callback", "warnings", json!([])),
        ("outage", "flapping", FLAPPING.most.into()),
        ("usage", "callback", false.into()),
    ] {
        if !tree[section].is_object() {
            tree[section] = json!({});
        }
        tree[section][key] = held;
    }
    let config =
        linekeeper_judge::config::read(&tree, &Places::none()).map_err(|faults| faults.to_string())?;
    Ok((tree, config))
}

/// `None`: not exactly what [`Desk::write`] writes.
fn decode(content: &[u8]) -> Option<Kept> {
    json::read(frame::decode(FORMAT, content).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use linekeeper_judge::observation::ProbeId;

    fn own(directory: &std::path::Path, hold_down: &str, accept: bool) -> (Value, Config) {
        let tree = json!({
            "device": { "id": "gw-1" },
            "probe": { "targets": [{ "host": "192.0.2.1", "role": "anchor" }] },
            "outage": { "hold_down": hold_down },
            "mqtt": { "broker": "mqtt://192.0.2.9" },
            "desired": { "accept": accept },
            "store": { "directory": directory },
        });
        let config = linekeeper_judge::config::read(&tree, &Places::none()).unwrap();
        (tree, config)
    }

    #[test]
    fn only_a_good_signature_opens_the_keys_that_need_one() {
        use ring::signature::{Ed25519KeyPair, KeyPair};
        let room = tempfile::tempdir().unwrap();
        let pair = Ed25519KeyPair::from_seed_unchecked(&[5; 32]).unwrap();
        let hexadecimal = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        let config = json!({ "remedies": { "ladder": ["renew", "reboot"] } });
        let message = |version: &str, signed_for: &str| {
            let text = signed_configuration(signed_for, "1", &config);
            let signature = hexadecimal(pair.sign(text.as_bytes()).as_ref());
            json!({ "version": version, "config": config, "signature": signature }).to_string()
        };
        let unsigned = json!({ "version": "1", "config": config }).to_string();
        let desk = |with_key: bool| {
            let (mut tree, _) = own(room.path(), "5 min", true);
            if with_key {
                tree["commands"] = json!({ "key": hexadecimal(pair.public_key().as_ref()) });
            }
            let config = linekeeper_judge::config::read(&tree, &Places::none()).unwrap();
            let _ = std::fs::remove_file(room.path().join(FILE));
            Desk::open(tree, &config, false)
        };
        let mut good = desk(true);
        assert_eq!(good.came(Mono(1), message("1", "gw-1").as_bytes()), Next::Restart);
        assert!(good.kept.trial.as_ref().is_some_and(|trial| trial.signed));
        for (what, with_key, payload) in [
            ("without a signature", true, unsigned),
            ("for another gateway", true, message("1", "gw-2")),
            ("under another version", true, message("2", "gw-1")),
            ("the gateway has no key", false, message("1", "gw-1")),
        ] {
            let mut desk = desk(with_key);
            assert_eq!(desk.came(Mono(1), payload.as_bytes()), Next::Report, "{what}");
            assert_eq!(desk.kept.last.as_ref().map(|last| last.state), Some(ConfigState::Refused), "{what}");
            assert!(
                desk.kept.trial.is_none() && desk.in_force().unwrap().1.remedies.ladder.len() == 2,
                "{what}"
            );
        }
    }

    /// A reload of the gateway's own file: what the platform wants stays laid over it, for as long as it is accepted.
    #[test]
    fn another_own_configuration_goes_below_what_is_desired() {
        let room = tempfile::tempdir().unwrap();
        let (tree, config) = own(room.path(), "5 min", true);
        let mut desk = Desk::open(tree, &config, false);
        let outage = |desk: &mut Desk| {
            let outage = desk.in_force().unwrap().1.outage;
            (outage.patience, outage.hold_down)
        };
        let wanted = br#"{"version":"1","config":{"outage":{"patience":"3 s"}}}"#;
        assert_eq!(desk.came(Mono(1), wanted), Next::Restart);
        // On trial it stays on trial, over the other one, for its whole time.
        desk.begin(Mono(2));
        let (tree, config) = own(room.path(), "6 min", true);
        desk.renew(tree, &config, false);
        assert_eq!(outage(&mut desk), (Span::seconds(3), Span::minutes(6)));
        // Nothing about the line leads to a remedy or a call meanwhile.
        let held = desk.in_force().unwrap().1;
        assert!(held.remedies.ladder.is_empty() && !held.usage.callback, "{held:?}");
        assert_eq!((held.callback.after, held.callback.quality), (Span::days(1), Span::days(1)));
        assert_eq!(held.outage.flapping, 100);
        desk.begin(Mono(90_000));
        assert_eq!(desk.deadline(), Some(Mono(90_000) + config.desired.within));
        desk.saw(&Observation::BrokerSeen { connected: true });
        let answer = Observation::EchoAnswered { probe: ProbeId(1), target: TargetId(0), rtt_us: 900 };
        assert_eq!(desk.saw(&answer), Next::Report);
        let (tree, config) = own(room.path(), "7 min", true);
        desk.renew(tree, &config, false);
        assert_eq!(outage(&mut desk), (Span::seconds(3), Span::minutes(7)));
        // Not accepted any more, it is out of force, and back when it is accepted again.
        let (tree, config) = own(room.path(), "8 min", false);
        desk.renew(tree, &config, false);
        assert_eq!(outage(&mut desk), (Span::seconds(2), Span::minutes(8)));
        let (tree, config) = own(room.path(), "9 min", true);
        desk.renew(tree, &config, false);
        assert_eq!(outage(&mut desk), (Span::seconds(3), Span::minutes(9)));
    }
}
