//! Draws a log and the incidents found on it as SVG.

use super::judged::Judged;
use super::log::{Kind, Log};
use linekeeper_contract::units::{Rate, Span};

const WIDTH: f64 = 1_200.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 46.0;
const HEIGHT: f64 = 260.0;
/// Height of one configuration's row of incidents below the log.
const BAND: f64 = 46.0;
/// The most columns of points. More than three points in a column of pixels run together, so only the lowest and the
/// highest of each column are drawn.
const COLUMNS: usize = 1_100;

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn colour(finding: &str) -> &'static str {
    match finding {
        "outage" => "#c62828",
        "flapping" => "#ad1457",
        _ => "#ef6c00",
    }
}

/// A round number for the upper end of an axis.
fn ceiling(most: f64) -> f64 {
    let mut unit = 1.0;
    while unit * 10.0 < most {
        unit *= 10.0;
    }
    [1.0, 2.0, 2.5, 5.0, 10.0].iter().map(|n| n * unit).find(|n| *n >= most).unwrap_or(most)
}

/// Draws a log and the incidents that each configuration found on it.
pub fn svg(title: &str, log: &Log, judged: &[Judged], promise: Option<(Rate, Option<Rate>)>) -> String {
    let height = TOP + HEIGHT + 40.0 + BAND * judged.len() as f64 + 10.0;
    let whole = log.lasts.0.max(1) as f64;
    let x = |at: Span| LEFT + (WIDTH - LEFT - RIGHT) * (at.0 as f64 / whole).min(1.0);
    // Round-trip times have rare outliers: the axis ends at the 95th percentile, and higher values are drawn at its top.
    let mut values: Vec<u64> = log.points.iter().filter_map(|(_, v)| *v).collect();
    values.sort_unstable();
    let high = values.get(values.len().saturating_sub(1) * 95 / 100).copied().unwrap_or(1);
    let (unit, scale) = match log.kind {
        Kind::Speeds => ("download, Mbit/s", 1e3),
        Kind::Pings | Kind::Trace => ("round trip, ms", 1e3),
        Kind::States => ("up", 1.0),
        Kind::Usage => ("traffic", 1e3),
    };
    let sold = promise.filter(|_| log.kind == Kind::Speeds).map(|(down, _)| down.0 as f64 / 1e6);
    let most = ceiling((high as f64 / scale).max(sold.unwrap_or(0.0)).max(0.001) * 1.02);
    let y = |value: f64| TOP + HEIGHT - HEIGHT * (value / most).clamp(0.0, 1.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n<text x=\"{LEFT}\" y=\"20\" \
         font-size=\"15\">{}</text>\n<text x=\"{LEFT}\" y=\"38\" fill=\"#555\">{unit}; red ticks: {}; grey: no data</text>\n",
        escape(title),
        match log.kind {
            Kind::Speeds => "failed tests",
            Kind::Pings | Kind::Trace => "lost",
            Kind::States | Kind::Usage => "not known",
        }
    );
    let bottom = TOP + HEIGHT;
    for (from, length) in &log.holes {
        let (a, b) = (x(*from), x(*from + *length));
        out += &format!(
            "<rect x=\"{a:.1}\" y=\"{TOP}\" width=\"{:.2}\" height=\"{HEIGHT}\" fill=\"#e0e0e0\"/>\n",
            (b - a).max(0.3)
        );
    }
    for j in judged {
        for f in &j.incidents {
            let (a, b) = (x(f.begins_ms), x(f.ends_ms.unwrap_or(log.lasts)));
            out += &format!(
                "<rect x=\"{a:.1}\" y=\"{TOP}\" width=\"{:.2}\" height=\"{HEIGHT}\" fill=\"{}\" opacity=\"0.15\"/>\n",
                (b - a).max(1.0),
                colour(f.finding)
            );
        }
    }
    for n in 0..=4 {
        let value = most * f64::from(n) / 4.0;
        out += &format!(
            "<line x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{1:.1}\" y2=\"{1:.1}\" stroke=\"#ccc\" stroke-width=\"0.5\"/>\
             <text x=\"{2:.1}\" y=\"{3:.1}\" text-anchor=\"end\" fill=\"#555\">{value}</text>\n",
            WIDTH - RIGHT,
            y(value),
            LEFT - 6.0,
            y(value) + 4.0
        );
    }
    for n in 0..=6u64 {
        let at = Span(log.lasts.0 / 6 * n);
        let label = log.moment(at);
        let label = if log.lasts > Span::days(3) { &label[..10] } else { &label[5..16] };
        let anchor = match n {
            0 => "start",
            6 => "end",
            _ => "middle",
        };
        out += &format!(
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\" fill=\"#555\">{label}</text>\n",
            x(at),
            bottom + 18.0
        );
    }
    if let Some(sold) = sold {
        out += &format!(
            "<line x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{1:.1}\" y2=\"{1:.1}\" stroke=\"#2e7d32\" stroke-dasharray=\"6 3\"/>\
             <text x=\"{2:.1}\" y=\"{3:.1}\" text-anchor=\"end\" fill=\"#2e7d32\">sold</text>\n",
            WIDTH - RIGHT,
            y(sold),
            WIDTH - RIGHT - 4.0,
            y(sold) - 4.0
        );
    }
    points(&mut out, log, scale, x, y, bottom);
    for (place, j) in judged.iter().enumerate() {
        let top = bottom + 34.0 + BAND * place as f64;
        out += &format!(
            "<text x=\"{LEFT}\" y=\"{:.1}\" fill=\"#333\">{}</text>\n",
            top + 8.0,
            escape(&j.config)
        );
        let row = top + 13.0;
        out += &format!(
            "<rect x=\"{LEFT}\" y=\"{row:.1}\" width=\"{:.1}\" height=\"16\" fill=\"#f3f6f3\"/>\n",
            WIDTH - LEFT - RIGHT
        );
        for test in thinned(&j.tests, x) {
            out += &format!(
                "<rect x=\"{test:.1}\" y=\"{:.1}\" width=\"0.6\" height=\"4\" fill=\"#90a4ae\"/>\n",
                row + 12.0
            );
        }
        for f in &j.incidents {
            let (a, b) = (x(f.begins_ms), x(f.ends_ms.unwrap_or(log.lasts)));
            let words = format!("{} {} {}: {}", f.id, f.finding, log.moment(f.begins_ms), f.evidence);
            out += &format!(
                "<rect x=\"{a:.1}\" y=\"{row:.1}\" width=\"{:.2}\" height=\"12\" fill=\"{}\"><title>{}</title></rect>\n",
                (b - a).max(1.0),
                colour(f.finding),
                escape(&words)
            );
            if f.callback.is_some() {
                let at = x(f.known_ms);
                out += &format!(
                    "<path d=\"M{at:.1} {:.1} l-4 8 h8 z\" fill=\"#1565c0\"><title>callback</title></path>\n",
                    row + 14.0
                );
            }
        }
    }
    out += &format!(
        "<text x=\"{:.1}\" y=\"20\" text-anchor=\"end\"><tspan fill=\"#c62828\">■ outage</tspan> <tspan \
         fill=\"#ad1457\">■ flapping</tspan> <tspan fill=\"#ef6c00\">■ short of the promise</tspan> <tspan \
         fill=\"#1565c0\">▲ callback</tspan> <tspan fill=\"#90a4ae\">| test</tspan></text>\n</svg>\n",
        WIDTH - RIGHT
    );
    out
}

/// The positions of tests, at most one per half pixel.
fn thinned(tests: &[Span], x: impl Fn(Span) -> f64) -> Vec<f64> {
    let mut places: Vec<f64> = Vec::new();
    for at in tests.iter().map(|at| x(*at)) {
        if places.last().is_none_or(|last| at - last >= 0.5) {
            places.push(at);
        }
    }
    places
}

fn points(
    out: &mut String,
    log: &Log,
    scale: f64,
    x: impl Fn(Span) -> f64,
    y: impl Fn(f64) -> f64,
    bottom: f64,
) {
    let many = log.points.len() > 3 * COLUMNS;
    let column = |at: Span| (at.0 as u128 * COLUMNS as u128 / u128::from(log.lasts.0.max(1))) as usize;
    let mut at = 0;
    while at < log.points.len() {
        let here = column(log.points[at].0);
        let end = if many {
            at + log.points[at..].iter().take_while(|p| column(p.0) == here).count()
        } else {
            at + 1
        };
        let group = &log.points[at..end.max(at + 1)];
        at = end.max(at + 1);
        let place = x(group[0].0);
        let known = || group.iter().filter_map(|(_, value)| *value);
        let lost = group.iter().filter(|(_, value)| value.is_none()).count();
        if let (Some(low), Some(high)) = (known().min(), known().max()) {
            let (low, high) = (y(low as f64 / scale), y(high as f64 / scale));
            *out += &if group.len() > 1 {
                format!(
                    "<line x1=\"{place:.1}\" x2=\"{place:.1}\" y1=\"{high:.1}\" y2=\"{:.1}\" stroke=\"#1565c0\"/>\n",
                    low + 1.0
                )
            } else {
                format!("<circle cx=\"{place:.1}\" cy=\"{low:.1}\" r=\"1.6\" fill=\"#1565c0\"/>\n")
            };
        }
        if lost > 0 {
            // As high as the share that is missing.
            let length = 4.0 + 26.0 * lost as f64 / group.len() as f64;
            *out += &format!(
                "<line x1=\"{place:.1}\" x2=\"{place:.1}\" y1=\"{bottom:.1}\" y2=\"{:.1}\" stroke=\"#c62828\"/>\n",
                bottom - length
            );
        }
    }
}
