//! Reads the platform's receipts: leniently in what they may have beside, strictly in what is used.

use linekeeper_contract::json;
use linekeeper_judge::observation::{Receipt, ReceiptState};
use serde_json::Value;

/// Schema name of a receipt, where it gives one.
pub const RECEIPT_SCHEMA: &str = "linekeeper.receipt.v1";

/// The largest receipt that is read, in bytes.
///
/// 8 KiB: an id, a state and a sentence take some hundred bytes; what is larger is not a receipt.
pub const LARGEST_RECEIPT: usize = 8 * 1024;

/// The longest callback id, in bytes. Ours are below 40.
const LONGEST_ID: usize = 128;

/// The most characters of the platform's reason that are kept.
const REASON_KEPT: usize = 500;

/// Issue types in one receipt: a call is about a few things.
const ISSUE_TYPES: usize = 8;

/// The most characters of an issue type, and of who resolved it: words and references, no stories.
const WORD_KEPT: usize = 64;

/// Reads one receipt.
///
/// # Errors
/// What is wrong and what is expected, in words that follow "receipt refused:".
pub fn parse(payload: &[u8]) -> Result<Receipt, String> {
    if payload.len() > LARGEST_RECEIPT {
        return Err(format!("it has {} bytes, expected at most {LARGEST_RECEIPT}", payload.len()));
    }
    let value: Value =
        json::parse(payload).map_err(|e| format!("it is not JSON: {e}; expected an object"))?;
    let Value::Object(fields) = &value else {
        return Err(format!("it is {}, expected a JSON object", kind(&value)));
    };
    let field = |name: &str| fields.get(name).filter(|v| !v.is_null());
    if let Some(schema) = field("schema")
        && schema.as_str() != Some(RECEIPT_SCHEMA)
    {
        return Err(format!("schema is {}, expected {RECEIPT_SCHEMA:?}", shown(schema)));
    }
    let callback_id = match field("callback_id") {
        Some(Value::String(id)) if !id.is_empty() && id.len() <= LONGEST_ID => id.clone(),
        other => {
            return Err(format!(
                "callback_id is {}, expected the id of a callback, 1 to {LONGEST_ID} bytes",
                other.map_or("missing".into(), shown)
            ));
        }
    };
    let state = match field("state").and_then(Value::as_str) {
        Some("received") => ReceiptState::Received,
        Some("scheduled") => ReceiptState::Scheduled,
        Some("closed") => ReceiptState::Closed,
        Some("refused") => ReceiptState::Refused,
        _ => {
            return Err(format!(
                "state is {}, expected received, scheduled, closed or refused",
                field("state").map_or("missing".into(), shown)
            ));
        }
    };
    let reason = match field("reason") {
        None => None,
        Some(Value::String(text)) => Some(text.chars().take(REASON_KEPT).collect()),
        Some(other) => return Err(format!("reason is {}, expected a text", shown(other))),
    };
    let satisfaction_score = match field("satisfaction_score") {
        None => None,
        Some(score) => {
            match score.as_u64().and_then(|n| u8::try_from(n).ok()).filter(|n| (1..=5).contains(n)) {
                Some(score) => Some(score),
                None => {
                    return Err(format!("satisfaction_score is {}, expected 1 to 5 or null", shown(score)));
                }
            }
        }
    };
    let issue_types = match field("issue_types") {
        None => Vec::new(),
        Some(Value::Array(list)) if list.len() <= ISSUE_TYPES => list
            .iter()
            .map(|of| word(of).ok_or_else(|| format!("issue_types holds {}, expected {WORD}", shown(of))))
            .collect::<Result<Vec<String>, String>>()?,
        Some(other) => {
            let is =
                other.as_array().map_or_else(|| shown(other), |list| format!("a list of {}", list.len()));
            return Err(format!("issue_types is {is}, expected a list of at most {ISSUE_TYPES} words"));
        }
    };
    let resolved_by = match field("resolved_by") {
        None => None,
        Some(of) => Some(word(of).ok_or_else(|| format!("resolved_by is {}, expected {WORD}", shown(of)))?),
    };
    Ok(Receipt { callback_id, state, reason, satisfaction_score, issue_types, resolved_by })
}

/// What [`word`] takes.
const WORD: &str = "a text of 1 to 64 characters, none of them a control character";

fn word(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    let good = (1..=WORD_KEPT).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    good.then(|| text.to_owned())
}

/// What kind of value it is, in words.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A value as a log line can bear it.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Array(_) | Value::Object(_) => kind(value).to_owned(),
        // Written by Debug: no control character gets through to the log.
        Value::String(text) => format!("{:?}", text.chars().take(40).collect::<String>()),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_are_passed_over_and_null_is_absent() {
        let parsed = parse(
            br#"{"schema":"linekeeper.receipt.v1","callback_id":"CB1","state":"closed","reason":null,
                "satisfaction_score":4,"issue_types":["slow","\u7f51\u901f"],"resolved_by":"team-7","agent":{"deep":[1]}}"#,
        );
        let expected = Receipt {
            callback_id: "CB1".into(),
            state: ReceiptState::Closed,
            reason: None,
            satisfaction_score: Some(4),
            issue_types: vec!["slow".into(), "网速".into()],
            resolved_by: Some("team-7".into()),
        };
        assert_eq!(parsed, Ok(expected));
        assert!(super::parse(br#"{"callback_id":"CB1","state":"received"}"#).is_ok());
    }

    #[test]
    fn what_is_wrong_is_said_with_what_is_expected() {
        for (payload, what) in [
            (&b""[..], "not JSON"),
            (b"\xff\xfe", "not JSON"),
            (b"[]", "a list, expected a JSON object"),
            (br#"{"schema":"other.v1","callback_id":"c","state":"closed"}"#, "schema is \"other.v1\""),
            (br#"{"state":"closed"}"#, "callback_id is missing"),
            (br#"{"callback_id":"","state":"closed"}"#, "callback_id"),
            (br#"{"callback_id":7,"state":"closed"}"#, "callback_id is 7"),
            (br#"{"callback_id":"c"}"#, "state is missing, expected received, scheduled"),
            (br#"{"callback_id":"c","state":"done"}"#, "state is \"done\""),
            (br#"{"callback_id":"c","state":"closed","satisfaction_score":0}"#, "is 0, expected 1 to 5"),
            (br#"{"callback_id":"c","state":"closed","satisfaction_score":6}"#, "is 6, expected 1 to 5"),
            (br#"{"callback_id":"c","state":"closed","satisfaction_score":4.5}"#, "is 4.5"),
            (br#"{"callback_id":"c","state":"closed","satisfaction_score":"4"}"#, "is \"4\""),
            (br#"{"callback_id":"c","state":"closed","reason":[]}"#, "reason is a list"),
            (
                br#"{"callback_id":"c","state":"closed","issue_types":"x"}"#,
                "issue_types is \"x\", expected a list",
            ),
            (
                br#"{"callback_id":"c","state":"closed","issue_types":[""]}"#,
                "issue_types holds \"\", expected a text",
            ),
            (br#"{"callback_id":"c","state":"closed","issue_types":[1,1,1,1,1,1,1,1,1]}"#, "is a list of 9"),
            (
                br#"{"callback_id":"c","state":"closed","resolved_by":"a\u0007"}"#,
                "resolved_by is \"a\\u{7}\"",
            ),
        ] {
            let said = parse(payload).unwrap_err();
            assert!(said.contains(what), "{said}");
            assert!(said.contains("expected"), "{said}");
        }
        assert!(parse(&vec![b' '; LARGEST_RECEIPT + 1]).unwrap_err().contains("8193 bytes"));
    }

    #[test]
    fn nesting_does_not_exhaust_the_stack() {
        assert!(parse(&[b'['; LARGEST_RECEIPT]).is_err());
    }
}
