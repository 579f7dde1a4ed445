//! `linekeeper speedtest`: one test in each direction, at once, without the daemon.

use crate::sense::link;
use crate::sense::throughput::{Progress, Server, Stop, WanDevice, measure};
use linekeeper_contract::json;
use linekeeper_contract::units::{Bytes, Rate, Span};
use linekeeper_contract::vocabulary::{Direction, Limit};
use linekeeper_judge::config::{Promise, Rates};
use linekeeper_judge::promise::enough::enough;
use linekeeper_judge::speed::{Figures, SpeedEnded, SpeedOrder, SpeedOutcome, TestId};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// How long each direction takes: TR-471's 10 s and a ramp.
const SECONDS: Span = Span::seconds(12);

/// What each direction may cost at most if nothing else is said: 12 s at 1 Gbit/s.
pub const BYTES: Bytes = Bytes(1_500_000_000);

/// How long the kernel may take to show the WAN device. It takes milliseconds.
const DEVICE_LIMIT: Duration = Duration::from_secs(3);

/// How wide the bar is, characters.
const BAR: usize = 24;

/// What to test.
#[derive(Debug, Clone)]
pub struct Options {
    /// The server's address.
    pub server: String,
    /// The authority to trust for https; `None`: the system's.
    pub ca: Option<PathBuf>,
    /// The WAN device; `None`: the one with the default route.
    pub device: Option<String>,
    /// Which ways, in order.
    pub directions: Vec<Direction>,
    /// What each may cost at most.
    pub bytes: Bytes,
    /// What was sold.
    pub promise: Promise,
    /// Print JSON.
    pub json: bool,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As promised, or nothing was promised.
    Kept,
    /// Below the promise, and it is the line.
    Below,
    /// Not to be told.
    Unmeasured,
}

/// Tests, and gives what is to be printed.
///
/// # Errors
/// In words, when it cannot begin.
pub fn speedtest(options: &Options) -> Result<(String, Verdict), String> {
    let url = crate::sense::throughput::Url::parse(&options.server)?;
    let server = Server { url, ca: options.ca.clone() };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("cannot start: {e}"))?;
    let told = runtime.block_on(async {
        let device = wan(options.device.clone()).await?;
        let mut ended = Vec::new();
        for direction in &options.directions {
            ended.push(one(*direction, &server, &device, options.bytes).await);
        }
        Ok::<_, String>((device, ended))
    });
    // A name lookup that still hangs is not waited for.
    runtime.shutdown_background();
    let (device, ended) = told?;
    let verdicts: Vec<Verdict> =
        ended.iter().map(|e| verdict(e, promised(&options.promise, e.direction))).collect();
    let worst = verdicts.iter().copied().max().unwrap_or(Verdict::Unmeasured);
    let text = if options.json {
        format!("{}\n", as_json(options, &device, &ended, &verdicts, worst))
    } else {
        as_table(options, &ended, &verdicts)
    };
    Ok((text, worst))
}

async fn wan(configured: Option<String>) -> Result<WanDevice, String> {
    let (report, mut told) = mpsc::channel(8);
    tokio::spawn(async move { while told.recv().await.is_some() {} });
    let mut facts = link::spawn(configured.clone(), report);
    let waited = tokio::time::timeout(DEVICE_LIMIT, facts.wait_for(|f| f.index != 0)).await;
    match waited {
        Ok(Ok(found)) => Ok(found.device()),
        _ => Err(match configured {
            Some(name) => format!("there is no device {name}; `ip link` names those there are"),
            None => "no device has a default route; name the WAN device with --device".to_owned(),
        }),
    }
}

async fn one(direction: Direction, server: &Server, device: &WanDevice, bytes_most: Bytes) -> SpeedEnded {
    let order = SpeedOrder {
        test: TestId(0),
        server: 0,
        direction,
        enough: None,
        seconds_most: SECONDS,
        bytes_most,
        // Somebody asked for it and waits.
        gives_way: None,
    };
    let (progress, mut seen) = mpsc::channel(4);
    let (_go, stop) = watch::channel(Stop::No);
    let shown = std::io::stderr().is_terminal();
    let showing = async {
        while let Some(progress) = seen.recv().await {
            if shown {
                eprint!("\r{}", bar(direction, &progress));
                let _ = std::io::stderr().flush();
            }
        }
    };
    let (ended, ()) = tokio::join!(measure(&order, server, device, progress, stop), showing);
    if shown {
        eprint!("\r{:80}\r", "");
    }
    ended
}

const fn name(direction: Direction) -> &'static str {
    match direction {
        Direction::Download => "download",
        Direction::Upload => "upload",
    }
}

fn bar(direction: Direction, p: &Progress) -> String {
    let full = (p.took.0 * BAR as u64 / SECONDS.0.max(1)).min(BAR as u64) as usize;
    let line = p.line.to_string();
    format!(
        "{:<8} [{}{}] {line:<12} {} used  ",
        name(direction),
        "#".repeat(full),
        ".".repeat(BAR - full),
        p.cost
    )
}

fn rates(promise: &Promise, direction: Direction) -> &Rates {
    match direction {
        Direction::Download => &promise.download,
        Direction::Upload => &promise.upload,
    }
}

/// What was sold, and what of it one test has to show by the configured rule and threshold, as for the daemon.
fn promised(promise: &Promise, direction: Direction) -> Option<(Rate, Rate)> {
    let Rates { minimum, normal, maximum } = *rates(promise, direction);
    Some((normal.or(minimum).or(maximum)?, enough(promise, rates(promise, direction))?))
}

fn verdict(ended: &SpeedEnded, promised: Option<(Rate, Rate)>) -> Verdict {
    let SpeedOutcome::Measured(figures) = &ended.outcome else { return Verdict::Unmeasured };
    match promised {
        Some((_, enough)) if figures.line < enough => {
            if figures.limit == Limit::Line {
                Verdict::Below
            } else {
                Verdict::Unmeasured
            }
        }
        _ => Verdict::Kept,
    }
}

const fn limit_words(limit: Limit) -> &'static str {
    match limit {
        Limit::Line => "the line",
        Limit::Customer => "your own traffic",
        Limit::Server => "the test server",
        Limit::Window => "a TCP window or buffer",
        Limit::GatewayCpu => "this gateway's processor",
        Limit::Unknown => "not known",
    }
}

const fn word(verdict: Verdict, promised: bool) -> &'static str {
    match (verdict, promised) {
        (Verdict::Kept, false) => "measured",
        (Verdict::Kept, true) => "kept",
        (Verdict::Below, _) => "below",
        (Verdict::Unmeasured, _) => "inconclusive",
    }
}

fn as_json(
    options: &Options,
    device: &WanDevice,
    ended: &[SpeedEnded],
    verdicts: &[Verdict],
    worst: Verdict,
) -> Value {
    let tests: Vec<Value> = ended
        .iter()
        .zip(verdicts)
        .map(|(ended, verdict)| {
            let promised = promised(&options.promise, ended.direction);
            let mut test = json::to_tree(ended).unwrap_or_default();
            if let Some(test) = test.as_object_mut() {
                // Of no meaning outside a daemon.
                test.remove("test");
                test.remove("server");
                test.insert("promised".into(), json!(promised.map(|p| p.0)));
                test.insert("enough".into(), json!(promised.map(|p| p.1)));
                test.insert("verdict".into(), json!(word(*verdict, promised.is_some())));
            }
            test
        })
        .collect();
    let any = ended.iter().any(|e| promised(&options.promise, e.direction).is_some());
    json!({
        "schema": "linekeeper.speedtest.v1",
        "server": options.server,
        "device": device.name,
        "verdict": word(worst, any),
        "tests": tests,
    })
}

fn millis(us: Option<u32>) -> String {
    us.map_or("-".into(), |us| format!("{}.{} ms", us / 1_000, us % 1_000 / 100))
}

fn as_table(options: &Options, ended: &[SpeedEnded], verdicts: &[Verdict]) -> String {
    let mut rows: Vec<[String; 8]> =
        vec![["", "line", "mean", "yours", "idle", "loaded", "cost", "limited by"].map(str::to_owned)];
    let mut words = String::new();
    for (ended, verdict) in ended.iter().zip(verdicts) {
        let direction = name(ended.direction);
        match &ended.outcome {
            SpeedOutcome::Measured(Figures {
                line,
                line_mean,
                customer,
                idle_rtt_us,
                loaded_rtt_us,
                limit,
                ..
            }) => {
                rows.push([
                    direction.to_owned(),
                    line.to_string(),
                    line_mean.to_string(),
                    customer.to_string(),
                    millis(*idle_rtt_us),
                    millis(*loaded_rtt_us),
                    ended.cost.to_string(),
                    limit_words(*limit).to_owned(),
                ]);
                if let Some((promised, enough)) = promised(&options.promise, ended.direction) {
                    let said = match verdict {
                        Verdict::Kept => "as promised",
                        Verdict::Below => "below what was promised",
                        Verdict::Unmeasured => "below what was promised, but that may not be the line",
                    };
                    let _ = writeln!(words, "{direction}: {said} ({promised}; {enough} have to be shown)");
                }
            }
            SpeedOutcome::Failed { detail, retry_after, .. } => {
                let _ = write!(words, "{direction} not measured: {detail}");
                if let Some(after) = retry_after {
                    let _ = write!(words, "; it asks to come again in {after}");
                }
                words.push('\n');
            }
        }
    }
    let mut text = String::new();
    if rows.len() > 1 {
        super::show::table(&mut text, &rows);
        text.push_str("Rates at the IP layer; line: its best second, your own traffic included.\n");
    }
    text + &words
}

#[cfg(test)]
mod tests {
    use super::*;
    use linekeeper_contract::units::Permille;
    use linekeeper_contract::vocabulary::SpeedFailure;
    use linekeeper_judge::speed::Confidence;

    fn ended(line: u64, limit: Limit) -> SpeedEnded {
        let outcome = SpeedOutcome::Measured(Figures {
            line: Rate(line),
            line_mean: Rate(line),
            own: Rate(line),
            customer: Rate(0),
            own_payload: Rate(line),
            spread: Permille(10),
            confidence: Confidence::High,
            limit,
            stopped_early: false,
            connections: 3,
            idle_rtt_us: Some(9_800),
            loaded_rtt_us: None,
            rpm: None,
        });
        let cost = Bytes(1_000);
        SpeedEnded {
            test: TestId(0),
            server: 0,
            direction: Direction::Download,
            cost,
            took: Span(1),
            outcome,
        }
    }

    #[test]
    fn only_the_line_can_break_a_promise() {
        let sold = Rates { normal: Some(Rate(100_000_000)), ..Rates::default() };
        let promised = promised(&Promise { download: sold, ..Promise::default() }, Direction::Download);
        assert_eq!(verdict(&ended(80_000_000, Limit::Line), promised), Verdict::Kept);
        assert_eq!(verdict(&ended(79_999_999, Limit::Line), promised), Verdict::Below);
        assert_eq!(verdict(&ended(1, Limit::Line), None), Verdict::Kept);
        for limit in [Limit::Customer, Limit::Server, Limit::Window, Limit::GatewayCpu, Limit::Unknown] {
            assert_eq!(verdict(&ended(79_999_999, limit), promised), Verdict::Unmeasured);
        }
    }

    #[test]
    fn the_configured_threshold_and_rule_decide() {
        let download =
            Rates { normal: Some(Rate(90_000_000)), maximum: Some(Rate(100_000_000)), ..Rates::default() };
        let said = |promise: &Promise, line| {
            verdict(&ended(line, Limit::Line), promised(promise, Direction::Download))
        };
        let strict =
            Promise { download, threshold: linekeeper_contract::units::Permille(950), ..Promise::default() };
        assert_eq!(said(&strict, 85_499_999), Verdict::Below);
        assert_eq!(said(&strict, 85_500_000), Verdict::Kept);
        let german =
            Promise { download, rule: linekeeper_judge::config::Rule::Bnetza2021, ..Promise::default() };
        assert_eq!(said(&german, 89_999_999), Verdict::Below);
        assert_eq!(said(&german, 90_000_000), Verdict::Kept);
        assert_eq!(said(&german, 1), Verdict::Below);
        assert_eq!(promised(&german, Direction::Upload), None);
    }

    #[test]
    fn what_people_see() {
        let options = Options {
            server: "http://h/".into(),
            ca: None,
            device: None,
            directions: vec![Direction::Download],
            bytes: BYTES,
            promise: Promise {
                download: Rates { normal: Some(Rate(100_000_000)), ..Rates::default() },
                ..Promise::default()
            },
            json: false,
        };
        let text = as_table(&options, &[ended(50_000_000, Limit::Line)], &[Verdict::Below]);
        assert!(text.contains("download   50 Mbit/s"), "{text}");
        assert!(text.contains("9.8 ms"), "{text}");
        assert!(
            text.contains("download: below what was promised (100 Mbit/s; 80 Mbit/s have to be shown)"),
            "{text}"
        );
        let mut failed = ended(0, Limit::Line);
        failed.outcome = SpeedOutcome::Failed {
            reason: SpeedFailure::ServerBusy,
            detail: "http://h/download is busy (503)".into(),
            retry_after: Some(Span::seconds(120)),
        };
        let text = as_table(&options, &[failed], &[Verdict::Unmeasured]);
        assert_eq!(
            text,
            "download not measured: http://h/download is busy (503); it asks to come again in 2 min\n"
        );
    }
}
