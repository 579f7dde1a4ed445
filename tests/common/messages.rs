//! Critical messages, for tests of the outbox and the MQTT connection.

use linekeeper_contract::message::*;
use linekeeper_contract::vocabulary::Rung;

/// A stamp of boot `boot`, `ms` after it, with the clock not set.
pub fn stamp(boot: &str, ms: u64) -> Stamp {
    Stamp { wall: None, synced: false, boot_id: boot.into(), uptime_ms: ms }
}

/// Event number `n`, at `ms` of boot `boot`, with `padding` bytes of explanation.
pub fn event(n: u64, boot: &str, ms: u64, padding: usize) -> Critical {
    let incident = Incident {
        id: "IN20261120-001".into(),
        finding: Finding::Outage,
        about: None,
        fault_domain: Domain::Access,
        state: IncidentState::Open,
        opened: stamp(boot, ms),
        closed: None,
        breaks: 1,
        down_ms: 2_400,
    };
    let remedy = Remedy {
        name: Rung::Renew,
        began: stamp(boot, ms),
        took_ms: None,
        outcome: None,
        detail: "第一次\nrenew".into(),
    };
    let event = Event {
        schema: EVENT_SCHEMA.into(),
        id: format!("gw-0001/IN20261120-001/{n}"),
        device_id: "gw-0001".into(),
        time: stamp(boot, ms),
        event: EventName::RemedyBegun,
        why: "x".repeat(padding),
        incident,
        remedy: Some(remedy),
        recorder: None,
    };
    Critical { number: n, message: Message::Event(Box::new(event)) }
}

/// Callback number `n`.
#[allow(dead_code, reason = "not every test that uses this module needs one")]
pub fn callback(n: u64, boot: &str, ms: u64, padding: usize) -> Critical {
    let callback = Callback {
        schema: CALLBACK_SCHEMA.into(),
        id: format!("gw-0001/CB20261120-001/{n}"),
        callback_id: "CB20261120-001".into(),
        device_id: "gw-0001".into(),
        customer_id: Some("CUST1001".into()),
        area: None,
        state: CallbackState::Requested,
        covered_by: None,
        time: stamp(boot, ms),
        severity: Severity::Urgent,
        trigger: Trigger { dimension: Dimension::Data, name: "outage".into() },
        issues: vec![Issue {
            kind: "disconnect".into(),
            code: "outage.access".into(),
            description: "宽带中断".into(),
        }],
        opened: stamp(boot, ms),
        incident_id: Some("IN20261120-001".into()),
        evidence: Evidence {
            finding: Some(Finding::Outage),
            fault_domain: Domain::Access,
            facts: Vec::new(),
            samples: Vec::new(),
            rule: "y".repeat(padding),
            recorder: None,
        },
        remedies: Vec::new(),
        resolution: Resolution { state: ResolutionState::Open, by: None, resolution_time_s: None },
        satisfaction_score: None,
        issue_types: Vec::new(),
    };
    Critical { number: n, message: Message::Callback(Box::new(callback)) }
}

/// Routine summary number `n`, without the group `speed`.
#[allow(dead_code, reason = "not every test that uses this module needs one")]
pub fn telemetry(n: u64, boot: &str, ms: u64) -> Telemetry {
    Telemetry {
        schema: TELEMETRY_SCHEMA.into(),
        id: format!("gw-0001/T{n}"),
        device_id: "gw-0001".into(),
        since: stamp(boot, 0),
        time: stamp(boot, ms),
        line: Some(LineSummary { up_ms: 3_600_000, down_ms: 0, unknown_ms: 0, disconnects: 2 }),
        echo: Some(EchoSummary {
            answered: 7_190,
            lost: 10,
            least_us: Some(9_800),
            median_us: Some(10_800),
            p95_us: Some(14_400),
            most_us: Some(81_000),
        }),
        traffic: Some(TrafficSummary {
            rx_bytes: 1,
            tx_bytes: 2,
            rx_most: linekeeper_contract::units::Rate(8),
            tx_most: linekeeper_contract::units::Rate(16),
        }),
        speed: None,
    }
}
