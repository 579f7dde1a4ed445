//! Reads the platform's commands: leniently in what they may have beside, strictly in what is used. Pure; the broker's
//! envelope comes beside the bytes.

use linekeeper_contract::json;
use linekeeper_contract::message::{Arguments, COMMAND_SCHEMA, Command, CommandName, Reason, signed_text};
use linekeeper_contract::units::{LocalTime, Span};
use linekeeper_judge::config::hex;
use linekeeper_judge::observation::{CommandRefused, Commanded, Signature};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The largest command that is read, in bytes.
///
/// 4 KiB: ids, dates and a signature take half a kilobyte; the rest is room for fields that others may add.
pub const LARGEST_COMMAND: usize = 4 * 1024;

/// The longest correlation data that is given back, in bytes: it stands in each answer on flash. Sixteen are usual.
pub const LONGEST_CORRELATION: usize = 64;

/// The longest id, in bytes.
pub const LONGEST_ID: usize = 64;

/// What the broker says of a message, beside its content.
#[derive(Debug, Clone, Copy, Default)]
pub struct Envelope<'a> {
    /// It was retained.
    pub retained: bool,
    /// MQTT 5 correlation data.
    pub correlation: Option<&'a [u8]>,
    /// MQTT 5 message expiry interval, seconds.
    pub expiry_s: Option<u32>,
}

/// What a message on topic `command` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// A command.
    Command(Box<Commanded>),
    /// None, but its id could be read: it can be answered.
    Refused(CommandRefused),
    /// None, in words that follow "it": only the log can be told.
    Unreadable(String),
}

/// Reads one message that came for the gateway `device_id`, and looks at its signature with `key`.
pub fn parse(payload: &[u8], envelope: Envelope<'_>, device_id: &str, key: Option<&[u8; 32]>) -> Parsed {
    let value: Value = match json::parse(payload) {
        Ok(value) => value,
        Err(e) => return Parsed::Unreadable(format!("is not JSON: {e}")),
    };
    let Value::Object(fields) = &value else { return Parsed::Unreadable("is no JSON object".into()) };
    let visible =
        |id: &str| !id.is_empty() && id.len() <= LONGEST_ID && id.bytes().all(|b| b.is_ascii_graphic());
    let id = match fields.get("id") {
        Some(Value::String(id)) if visible(id) => id.clone(),
        _ => return Parsed::Unreadable(format!("has no id of 1 to {LONGEST_ID} visible ASCII characters")),
    };
    // Too long to be given back is not given back: who sent it sees that it is not answered by it.
    let correlation = envelope.correlation.filter(|c| c.len() <= LONGEST_CORRELATION).map(digits);
    let refuse = |reason, detail: String| {
        Parsed::Refused(CommandRefused { id: id.clone(), correlation: correlation.clone(), reason, detail })
    };
    if payload.len() > LARGEST_COMMAND {
        let size = payload.len();
        return refuse(Reason::TooLarge, format!("it has {size} bytes, at most {LARGEST_COMMAND} are read"));
    }
    if envelope.correlation.is_some() && correlation.is_none() {
        return refuse(
            Reason::TooLarge,
            format!("its correlation data is longer than {LONGEST_CORRELATION} bytes"),
        );
    }
    let command = match command(fields, id.clone()) {
        Ok(command) => command,
        Err(why) => return refuse(Reason::Malformed, why),
    };
    if command.device_id.as_deref().is_some_and(|d| d != device_id) {
        return refuse(Reason::OtherDevice, "it is for another gateway".into());
    }
    let signature = match (key, fields.get("signature").filter(|s| !s.is_null())) {
        (None, _) => Signature::Unchecked,
        (Some(_), None) => Signature::Absent,
        (Some(key), Some(signature)) => {
            // The expiry as it was written: another spelling of the same moment is another text.
            let expires = fields.get("expires").and_then(Value::as_str).unwrap_or_default();
            let text = signed_text(device_id, &command.id, command.command, expires, &command.arguments);
            let signature = signature.as_str().and_then(hex::<64>);
            let good = signature
                .is_some_and(|s| UnparsedPublicKey::new(&ED25519, key).verify(text.as_bytes(), &s).is_ok());
            if good { Signature::Good } else { Signature::Bad }
        }
    };
    Parsed::Command(Box::new(Commanded {
        command,
        signature,
        retained: envelope.retained,
        broker_left: envelope.expiry_s.map(|s| Span::seconds(s.into())),
        correlation,
    }))
}

/// The command, without its signature.
fn command(fields: &Map<String, Value>, id: String) -> Result<Command, String> {
    let text = |name: &str| -> Result<Option<String>, String> {
        match fields.get(name).filter(|v| !v.is_null()) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(format!("{name} is no text")),
        }
    };
    let schema = text("schema")?;
    if schema.as_deref().is_some_and(|s| s != COMMAND_SCHEMA) {
        return Err(format!("schema is not {COMMAND_SCHEMA}"));
    }
    let name = text("command")?;
    let name = name.and_then(|name| CommandName::ALL.into_iter().find(|c| c.as_str() == name));
    let names = CommandName::ALL.map(CommandName::as_str).join(", ");
    let command = name.ok_or_else(|| format!("command is none of {names}"))?;
    let moment = |name: &str| -> Result<Option<LocalTime>, String> {
        text(name)?.map(|t| LocalTime::parse(&t).map_err(|why| format!("{name} is {why}"))).transpose()
    };
    let valid_s = match fields.get("valid_s").filter(|v| !v.is_null()) {
        None => None,
        Some(v) => Some(v.as_u64().ok_or("valid_s is no whole number of seconds")?),
    };
    let arguments = match fields.get("arguments").filter(|v| !v.is_null()) {
        None => Arguments::default(),
        Some(Value::Object(of)) => Arguments {
            rung: argument(
                of,
                "rung",
                "one of renew, other-resolver, restart-interface, restart-network, power-modem",
            )?,
            direction: argument(of, "direction", "download or upload")?,
            delay_s: argument(of, "delay_s", "a whole number of seconds")?,
        },
        Some(_) => return Err("arguments is no object".into()),
    };
    Ok(Command {
        schema,
        id,
        device_id: text("device_id")?,
        command,
        arguments,
        issued: moment("issued")?,
        expires: moment("expires")?,
        valid_s,
        signature: None,
    })
}

fn argument<T: DeserializeOwned>(
    of: &Map<String, Value>,
    name: &str,
    wanted: &str,
) -> Result<Option<T>, String> {
    match of.get(name).filter(|v| !v.is_null()) {
        None => Ok(None),
        Some(value) => match json::from_tree::<T>(value) {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(format!("arguments.{name} is not {wanted}")),
        },
    }
}

/// Bytes as hexadecimal digits.
pub fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The reverse of [`digits`], for correlation data of any length.
pub fn bytes(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| std::str::from_utf8(pair).ok().and_then(hex::<1>).map(|[byte]| byte)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ring::signature::{Ed25519KeyPair, KeyPair};
    use serde_json::json;

    fn pair() -> (Ed25519KeyPair, [u8; 32]) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let key = pair.public_key().as_ref().try_into().unwrap();
        (pair, key)
    }

    fn signature(value: &Value, key: Option<&[u8; 32]>) -> Signature {
        match parse(value.to_string().as_bytes(), Envelope::default(), "gw-1", key) {
            Parsed::Command(came) => came.signature,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_signature_is_over_device_id_command_expiry_and_argument() {
        let (pair, key) = pair();
        let expires = "2026-11-20T12:00:00+08:00";
        let text = "linekeeper.command.v1\ngw-1\nC1\nremedy\n2026-11-20T12:00:00+08:00\nrenew";
        let signed = digits(pair.sign(text.as_bytes()).as_ref());
        let good = json!({
            "id": "C1", "command": "remedy", "expires": expires, "arguments": { "rung": "renew" },
            "signature": signed, "unknown": { "deep": [1] },
        });
        assert_eq!(signature(&good, Some(&key)), Signature::Good);
        assert_eq!(signature(&good, None), Signature::Unchecked);
        for (field, other) in [
            ("id", json!("C2")),
            ("command", json!("diagnose")),
            ("expires", json!("2026-11-21T12:00:00+08:00")),
            // The same moment in other words is not what was signed.
            ("expires", json!("2026-11-20T04:00:00Z")),
            ("arguments", json!({ "rung": "power-modem" })),
            ("arguments", json!({ "rung": "renew", "delay_s": 60 })),
            ("signature", json!("00".repeat(64))),
            ("signature", json!(signed[..126])),
            ("signature", json!(7)),
        ] {
            let mut bad = good.clone();
            bad[field] = other;
            assert_eq!(signature(&bad, Some(&key)), Signature::Bad, "{field}");
        }
        let mut unsigned = good.clone();
        unsigned["signature"] = Value::Null;
        assert_eq!(signature(&unsigned, Some(&key)), Signature::Absent);
        // For another gateway it is none.
        let parsed = parse(good.to_string().as_bytes(), Envelope::default(), "gw-2", Some(&key));
        assert!(matches!(parsed, Parsed::Command(c) if c.signature == Signature::Bad));
        let mut other_key = key;
        other_key[0] ^= 1;
        assert_eq!(signature(&good, Some(&other_key)), Signature::Bad);
    }

    #[test]
    fn what_cannot_be_obeyed_is_answered_where_its_id_can_be_read() {
        let with = |more: &str| format!(r#"{{"id":"C1","command":"check"{more}}}"#);
        for (payload, reason, word) in [
            (with(&format!(r#","x":"{}""#, "y".repeat(5_000))), Reason::TooLarge, "at most 4096"),
            (r#"{"id":"C1"}"#.into(), Reason::Malformed, "command is none of check, speedtest"),
            (r#"{"id":"C1","command":"format"}"#.into(), Reason::Malformed, "command is none of"),
            (with(r#","schema":"linekeeper.command.v2""#), Reason::Malformed, "schema"),
            (with(r#","expires":"tomorrow""#), Reason::Malformed, "expires is not a date"),
            (with(r#","valid_s":-1"#), Reason::Malformed, "valid_s"),
            (with(r#","valid_s":1.5"#), Reason::Malformed, "valid_s"),
            (with(r#","arguments":[]"#), Reason::Malformed, "arguments"),
            (with(r#","arguments":{"rung":"hammer"}"#), Reason::Malformed, "arguments.rung"),
            (with(r#","device_id":"gw-2""#), Reason::OtherDevice, "another gateway"),
            (with(r#","device_id":3"#), Reason::Malformed, "device_id is no text"),
        ] {
            match parse(payload.as_bytes(), Envelope::default(), "gw-1", None) {
                Parsed::Refused(refused) => {
                    assert_eq!((refused.id.as_str(), refused.reason), ("C1", reason), "{payload}");
                    assert!(refused.detail.contains(word), "{refused:?}");
                }
                other => panic!("{payload}: {other:?}"),
            }
        }
        for payload in ["", "[]", "{}", "\"C1\"", r#"{"id":""}"#, r#"{"id":"a b"}"#, r#"{"id":7}"#, "{"] {
            let parsed = parse(payload.as_bytes(), Envelope::default(), "gw-1", None);
            assert!(matches!(parsed, Parsed::Unreadable(_)), "{payload}: {parsed:?}");
        }
        let long = [0u8; LONGEST_CORRELATION + 1];
        let envelope = Envelope { correlation: Some(&long), ..Envelope::default() };
        assert!(matches!(parse(with("").as_bytes(), envelope, "gw-1", None), Parsed::Refused(_)));
    }

    #[test]
    fn the_envelope_comes_along() {
        let payload = br#"{"id":"C1","command":"programme","arguments":{"delay_s":60,"x":1},"issued":"2026-11-20T04:00:00Z"}"#;
        let envelope = Envelope { retained: true, correlation: Some(b"\x00\xfe"), expiry_s: Some(9) };
        let Parsed::Command(came) = parse(payload, envelope, "gw-1", None) else { panic!() };
        assert_eq!((came.retained, came.broker_left), (true, Some(Span::seconds(9))));
        assert_eq!(came.correlation.as_deref(), Some("00fe"));
        assert_eq!(bytes("00fe"), Some(vec![0, 0xfe]));
        assert_eq!((bytes("0"), bytes("zz"), bytes("é")), (None, None, None));
        assert_eq!(came.command.arguments.delay_s, Some(60));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_bytes_break_it(
            noise in prop::collection::vec(any::<u8>(), 0..200),
            at in 0usize..200,
            byte in any::<u8>(),
            correlation in prop::option::of(prop::collection::vec(any::<u8>(), 0..80)),
        ) {
            let (_, key) = pair();
            let envelope = Envelope { retained: false, correlation: correlation.as_deref(), expiry_s: None };
            let _ = parse(&noise, envelope, "gw-1", Some(&key));
            // One byte of a good one changed.
            let mut payload = br#"{"id":"C1","command":"remedy","arguments":{"rung":"renew"},"expires":"2026-11-20T12:00:00+08:00","valid_s":60,"signature":"00"}"#.to_vec();
            if let Some(place) = payload.get_mut(at) {
                *place = byte;
            }
            match parse(&payload, envelope, "gw-1", Some(&key)) {
                Parsed::Command(c) => prop_assert!(c.command.id.len() <= LONGEST_ID),
                Parsed::Refused(r) => prop_assert!(!r.id.is_empty() && r.id.len() <= LONGEST_ID),
                Parsed::Unreadable(why) => prop_assert!(!why.is_empty()),
            }
        }
    }
}
