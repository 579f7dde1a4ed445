//! From samples to the figures of a test, and what limited the rate: pure arithmetic.

use super::cpu::CpuNow;
use super::rates::{Aside, Rates, Sample, Setting, WINDOW_LEAST, between, more, reading};
use linekeeper_contract::units::{Permille, Rate};
use linekeeper_contract::vocabulary::{Direction, Limit};
use linekeeper_judge::speed::{Confidence, Figures};
use std::time::Duration;

/// The figures of a test; `None` with fewer than two samples or without any payload.
pub(super) fn figures(samples: &[Sample], setting: &Setting, aside: &Aside) -> Option<Figures> {
    let (first, last) = (samples.first()?, samples.last()?);
    if samples.len() < 2 || last.own.payload == first.own.payload {
        return None;
    }
    let reading = reading(samples, setting);
    let each: Vec<Rates> = samples.windows(2).map(|p| between(&p[0], &p[1], setting, reading)).collect();
    let mut seconds: Vec<Rates> = Vec::new();
    for (i, from) in samples.iter().enumerate() {
        let Some(to) = samples[i..].iter().find(|s| s.at.saturating_sub(from.at) >= WINDOW_LEAST) else {
            break;
        };
        seconds.push(between(from, to, setting, reading));
    }
    seconds.sort_by(|a, b| a.line.total_cmp(&b.line));
    let best = match setting.direction {
        // What the device sent in its best second may be lost behind it, unnoticed: the median second is closer to the truth.
        Direction::Upload if !setting.kernel => seconds.get(seconds.len() / 2),
        _ => seconds.last(),
    };
    let best = best.copied();
    let short = best.is_none();
    let best = best.unwrap_or_else(|| between(first, last, setting, reading));
    let ramp = ramp(&each);
    let steady = &samples[ramp..];
    let after = steady.last()?.at.saturating_sub(steady.first()?.at);
    let mean = between(steady.first()?, steady.last()?, setting, reading);
    let spread = spread(&each[ramp..]);
    let (idle, loaded) = (median(&aside.idle_us), median(&aside.loaded_us));
    let limit = limit(steady, setting, aside, &mean);
    let confidence = match () {
        () if !setting.kernel && setting.direction == Direction::Upload => Confidence::Low,
        () if short || reading.coarse.is_some() && after < Duration::from_secs(4) => Confidence::Low,
        () if after >= Duration::from_secs(4) && spread <= 150 && setting.kernel => Confidence::High,
        () if after >= Duration::from_millis(700) && spread <= 300 => Confidence::Medium,
        () => Confidence::Low,
    };
    let whole = |rate: f64| Rate(rate.max(0.0).round() as u64);
    Some(Figures {
        line: whole(best.line),
        line_mean: whole(mean.line),
        own: whole(best.own),
        customer: whole(best.customer),
        own_payload: whole(best.payload),
        spread: Permille(spread),
        confidence,
        limit,
        stopped_early: aside.stopped_early,
        connections: aside.connections,
        idle_rtt_us: idle,
        loaded_rtt_us: loaded,
        rpm: loaded.map(|us| 60_000_000 / us.max(1)),
    })
}

/// Where the ramp-up ends: the first of three consecutive intervals whose mean reaches 90 % of the later median. At most
/// half of all intervals, so that a rate that never settles has a mean too.
fn ramp(each: &[Rates]) -> usize {
    let mut later: Vec<f64> = each[each.len() / 3..].iter().map(|r| r.line).collect();
    later.sort_by(f64::total_cmp);
    let usual = later.get(later.len() / 2).copied().unwrap_or(0.0);
    let reached = |w: &[Rates]| w.iter().map(|r| r.line).sum::<f64>() / w.len() as f64 >= 0.9 * usual;
    each.windows(3).position(reached).unwrap_or(0).min(each.len() / 2)
}

/// (90th − 10th percentile) / median, permille.
fn spread(each: &[Rates]) -> u16 {
    let mut lines: Vec<f64> = each.iter().map(|r| r.line).collect();
    lines.sort_by(f64::total_cmp);
    let part =
        |tenths: usize| lines.get((lines.len().saturating_sub(1)) * tenths / 10).copied().unwrap_or(0.0);
    let middle = part(5);
    if middle <= 0.0 { 1000 } else { ((part(9) - part(1)) / middle * 1000.0).clamp(0.0, 1000.0) as u16 }
}

fn median(values: &[u32]) -> Option<u32> {
    let mut values = values.to_vec();
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

/// What limited the rate, by elimination.
///
/// A full line is visible in two ways. Packets queue before it: three of four round trips are longer by a fifth and 500 µs
/// (a busy gateway's own scheduling delays some, a standing queue delays all). Or packets are dropped: more than one in ten
/// thousand, which a clean path may lose anyway.
fn limit(steady: &[Sample], setting: &Setting, aside: &Aside, mean: &Rates) -> Limit {
    let (Some(a), Some(b)) = (steady.first(), steady.last()) else { return Limit::Unknown };
    if starved(&a.cpu, &b.cpu, b.at.saturating_sub(a.at)) {
        return Limit::GatewayCpu;
    }
    let idle = aside.idle_us.iter().min().copied();
    let mut loaded = aside.loaded_us.clone();
    loaded.sort_unstable();
    let loaded = loaded.get(loaded.len() / 4).copied();
    // A full line fills windows too, so windows are checked afterwards.
    if matches!((idle, loaded), (Some(idle), Some(loaded)) if loaded > idle + idle / 5 + 500) {
        return Limit::Line;
    }
    let idle = f64::from(idle.unwrap_or(0)) / 1e6;
    // Bytes in flight of one connection.
    let under_way = mean.own / 8.0 * idle / f64::from(aside.connections.max(1));
    let window_is_full = idle > 0.0 && under_way >= 0.6 * f64::from(aside.window);
    let lossy = more(a.own.losses, b.own.losses) * 10_000.0 > more(a.own.segments, b.own.segments);
    match setting.direction {
        _ if !setting.kernel => Limit::Unknown,
        Direction::Download if lossy => Limit::Line,
        Direction::Download if window_is_full => Limit::Window,
        Direction::Download => Limit::Server,
        Direction::Upload => {
            let busy = more(a.own.busy_us, b.own.busy_us).max(1.0);
            let windowed = more(a.own.window_limited_us, b.own.window_limited_us) / busy > 0.5;
            let buffered = more(a.own.buffer_limited_us, b.own.buffer_limited_us) / busy > 0.5;
            match (windowed, buffered) {
                // The peer's window is too small for the path, or closed because the peer does not read. Such a peer
                // also drops what it has no room for: that is not a loss on the line.
                (true, _) if window_is_full => Limit::Window,
                (true, _) => Limit::Server,
                (false, _) if lossy => Limit::Line,
                (false, true) => Limit::Window,
                (false, false) => Limit::Unknown,
            }
        }
    }
}

/// Whether the processor limited the test: a core was fully busy, and the test was its work or waited for it.
fn starved(a: &CpuNow, b: &CpuNow, over: Duration) -> bool {
    let (mut full, mut interrupts) = (false, false);
    for (a, b) in a.cores.iter().zip(&b.cores) {
        let total = more(a.total, b.total);
        // Fewer than thirty ticks (of 10 ms) are too few for a ratio.
        if total >= 30.0 && more(a.busy, b.busy) >= 0.95 * total {
            full = true;
            interrupts |= more(a.interrupts, b.interrupts) >= 0.5 * total;
        }
    }
    let seconds = over.as_secs_f64().max(1e-3);
    let ours = match (a.thread, b.thread) {
        (Some((ran_a, waited_a)), Some((ran_b, waited_b))) => {
            let ran = ran_b.saturating_sub(ran_a).as_secs_f64() / seconds;
            let waited = waited_b.saturating_sub(waited_a).as_secs_f64() / seconds;
            // The thread waited a fifth of the time, or ran nearly all of it.
            waited > 0.2 || ran > 0.85
        }
        // Unknown: a full core counts against the test, never against the line.
        _ => true,
    };
    full && (interrupts || ours)
}

#[cfg(test)]
mod tests {
    use super::super::cpu::Core;
    use super::super::rates::{Own, shows};
    use super::*;

    const SETTING: Setting =
        Setting { direction: Direction::Download, link_header: 14, headers: 52, kernel: true };

    /// `own` and `customer` full packets in each of `n` samples.
    fn flow(n: u64, own: u64, customer: u64) -> Vec<Sample> {
        (0..=n)
            .map(|i| Sample {
                at: Duration::from_millis(100 * i),
                device_bytes: i * (own + customer) * 1514,
                device_packets: i * (own + customer),
                own: Own {
                    payload: i * own * 1448,
                    passed: i * own * 1448,
                    segments: i * own,
                    wire: i * own * 1500,
                    delivered: i * own * 1500,
                    losses: i,
                    ..Own::default()
                },
                cpu: CpuNow {
                    cores: vec![Core { total: 10 * i, busy: i, interrupts: 0 }],
                    thread: Some((Duration::from_millis(i), Duration::ZERO)),
                },
            })
            .collect()
    }

    #[test]
    fn the_customers_traffic_counts_for_the_line() {
        for direction in [Direction::Download, Direction::Upload] {
            let setting = Setting { direction, ..SETTING };
            let f = figures(&flow(60, 250, 166), &setting, &Aside::default()).unwrap();
            assert_eq!(f.line, Rate(416 * 1500 * 80));
            assert_eq!(f.line_mean, f.line);
            assert_eq!(f.own, Rate(250 * 1500 * 80));
            assert_eq!(f.customer, Rate(166 * 1500 * 80));
            assert_eq!(f.own_payload, Rate(250 * 1448 * 80));
            assert_eq!((f.spread, f.confidence, f.limit), (Permille(0), Confidence::High, Limit::Line));
        }
    }

    #[test]
    fn without_the_kernels_word_the_device_is_believed() {
        for direction in [Direction::Download, Direction::Upload] {
            let setting = Setting { direction, kernel: false, ..SETTING };
            let mut samples = flow(60, 400, 100);
            // All that our sockets take is taken in the first second.
            for s in &mut samples[1..] {
                s.own.wire += 5_000_000;
                s.own.payload += 5_000_000;
            }
            let f = figures(&samples, &setting, &Aside::default()).unwrap();
            assert_eq!((f.line, f.line_mean), (Rate(500 * 1500 * 80), Rate(500 * 1500 * 80)));
            assert!(f.confidence < Confidence::High);
            // In bundles of ten.
            for (i, s) in (0u64..).zip(&mut samples) {
                (s.device_packets, s.device_bytes) = (i * 50, i * 50 * (10 * 1448 + 66));
            }
            let f = figures(&samples, &setting, &Aside::default()).unwrap();
            let off = f.line.0 as f64 / (500 * 1500 * 80) as f64;
            assert!((0.99..1.01).contains(&off), "{}", f.line);
        }
    }

    #[test]
    fn bundles_are_unpacked() {
        let mut samples = flow(60, 400, 100);
        for (i, s) in (0u64..).zip(&mut samples) {
            // Ours go in bundles of four, the customer's one by one.
            s.device_packets = i * 200;
            s.device_bytes = i * (100 * (4 * 1448 + 66) + 100 * 1514);
        }
        for direction in [Direction::Download, Direction::Upload] {
            let f = figures(&samples, &Setting { direction, ..SETTING }, &Aside::default()).unwrap();
            let off = |rate: Rate, packets: u64| rate.0 as f64 / (packets * 1500 * 80) as f64;
            assert!((0.99..1.01).contains(&off(f.line, 500)), "{}", f.line);
            assert!((0.97..1.03).contains(&off(f.customer, 100)), "{}", f.customer);
        }
    }

    #[test]
    fn counters_that_refresh_once_a_second_make_no_burst() {
        let mut samples = flow(60, 400, 100);
        for i in 0..samples.len() {
            let last = i / 10 * 10;
            samples[i].device_bytes = samples[last].device_bytes;
            samples[i].device_packets = samples[last].device_packets;
        }
        let f = figures(&samples, &SETTING, &Aside::default()).unwrap();
        assert_eq!(f.line, Rate(500 * 1500 * 80));
        assert!(!shows(&samples, &SETTING, Rate(1)));
    }

    #[test]
    fn enough_is_a_whole_second_with_a_margin() {
        let rate = 416 * 1500 * 80;
        assert!(shows(&flow(10, 250, 166), &SETTING, Rate(rate * 100 / 103)));
        assert!(!shows(&flow(10, 250, 166), &SETTING, Rate(rate)));
        assert!(!shows(&flow(8, 250, 166), &SETTING, Rate(rate / 2)));
    }

    #[test]
    fn the_ramp_is_not_in_the_mean() {
        let mut samples = flow(60, 400, 0);
        // Half as fast in the first second.
        for (i, s) in (0u64..).zip(&mut samples) {
            let missing = i.min(10) * 200;
            s.device_packets -= missing;
            s.device_bytes -= missing * 1514;
            s.own.wire -= missing * 1500;
        }
        let f = figures(&samples, &SETTING, &Aside::default()).unwrap();
        assert!(f.line_mean.0.abs_diff(400 * 1500 * 80) < 1_500_000, "{}", f.line_mean);
    }

    #[test]
    fn what_limited_it() {
        let limit_of = |samples: &[Sample], direction, aside: &Aside| {
            figures(samples, &Setting { direction, ..SETTING }, aside).unwrap().limit
        };
        let down = Direction::Download;
        let mut clean = flow(60, 400, 0);
        clean.iter_mut().for_each(|s| s.own.losses = 0);
        // Nothing lost, nothing waits: whoever sends could have sent more.
        let idle = Aside {
            idle_us: vec![10_000],
            loaded_us: vec![10_100],
            connections: 1,
            window: 1 << 24,
            ..Aside::default()
        };
        assert_eq!(limit_of(&clean, down, &idle), Limit::Server);
        assert_eq!(limit_of(&clean, down, &Aside { loaded_us: vec![30_000], ..idle.clone() }), Limit::Line);
        // 48 Mbit/s over 10 ms are 60 kB under way.
        assert_eq!(limit_of(&clean, down, &Aside { window: 65_535, ..idle.clone() }), Limit::Window);
        let mut slow_reader = clean.clone();
        for (i, s) in (0u64..).zip(&mut slow_reader) {
            (s.own.busy_us, s.own.window_limited_us) = (100_000 * i, 90_000 * i);
        }
        assert_eq!(limit_of(&slow_reader, Direction::Upload, &idle), Limit::Server);
        assert_eq!(
            limit_of(&slow_reader, Direction::Upload, &Aside { window: 65_535, ..idle.clone() }),
            Limit::Window
        );
        // The core is full: of interrupts, of our own work, of another's for which we wait.
        for (interrupts, ran, waited, starved) in
            [(8, 1, 0, true), (0, 90, 0, true), (0, 10, 30, true), (0, 10, 5, false)]
        {
            let mut busy = flow(60, 400, 0);
            for (i, s) in (0u64..).zip(&mut busy) {
                s.cpu.cores = vec![Core { total: 10 * i, busy: 10 * i, interrupts: interrupts * i }];
                s.cpu.thread = Some((Duration::from_millis(ran * i), Duration::from_millis(waited * i)));
            }
            let wanted = if starved { Limit::GatewayCpu } else { Limit::Line };
            assert_eq!(limit_of(&busy, down, &Aside::default()), wanted, "{interrupts} {ran} {waited}");
        }
    }

    #[test]
    fn too_little_has_no_figures_and_never_breaks() {
        assert!(figures(&[], &SETTING, &Aside::default()).is_none());
        assert!(figures(&flow(0, 1, 1), &SETTING, &Aside::default()).is_none());
        assert!(figures(&flow(5, 0, 1), &SETTING, &Aside::default()).is_none());
        for n in 1..12 {
            let f = figures(&flow(n, 1, 0), &SETTING, &Aside::default()).unwrap();
            assert_eq!(f.confidence == Confidence::Low, n < 10, "{n}");
        }
    }
}
