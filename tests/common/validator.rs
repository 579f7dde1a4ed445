//! Validates messages against `config/schemas` with an independent validator (`validate.py`, on python3-jsonschema).

#![allow(dead_code, reason = "each test program uses its part")]
#![allow(clippy::expect_used, reason = "a test fails loudly")]

use super::repository_path;
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The required Debian package.
pub const PACKAGE: &str = "python3-jsonschema";

/// The directory of the schemas.
pub fn schemas() -> PathBuf {
    repository_path("config/schemas")
}

/// A Python interpreter with this package: the first on PATH, or Debian's.
pub fn python() -> Option<&'static str> {
    ["python3", "/usr/bin/python3"].into_iter().find(|python| {
        let tried = Command::new(python).args(["-c", "import jsonschema"]).stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success())
    })
}

/// A value, and whether its schema must take it.
pub struct Case {
    pub what: String,
    pub schema: String,
    pub value: Value,
    pub valid: bool,
    /// Unknown fields are faults.
    pub strict: bool,
}

impl Case {
    /// A message as the program writes it: every field must be known.
    pub fn ours(what: impl Into<String>, value: Value) -> Case {
        let schema = value["schema"].as_str().unwrap_or("no schema is named").to_owned();
        Case { what: what.into(), schema, value, valid: true, strict: true }
    }
}

/// Looks at all of them.
///
/// # Errors
/// What the validator says of those that came out otherwise.
pub fn validate(cases: &[Case]) -> Result<String, String> {
    let mut input = String::new();
    for case in cases {
        let Case { what, schema, value, valid, strict } = case;
        let line =
            json!({ "what": what, "schema": schema, "value": value, "valid": valid, "strict": strict });
        input += &format!("{line}\n");
    }
    let mut child = Command::new(python().ok_or("python3-jsonschema is not installed")?)
        .args(["-W", "error"])
        .arg(repository_path("tests/common/validate.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("python3: {e}"))?;
    let mut to = child.stdin.take().ok_or("no pipe to python3")?;
    let writes = std::thread::spawn(move || to.write_all(input.as_bytes()));
    let out = child.wait_with_output().map_err(|e| format!("python3: {e}"))?;
    let _ = writes.join();
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    if out.status.success() { Ok(said) } else { Err(said) }
}

/// One schema, as it is shipped.
pub fn schema(name: &str) -> Value {
    let text = std::fs::read_to_string(schemas().join(format!("{name}.json"))).expect(name);
    serde_json::from_str(&text).expect(name)
}
