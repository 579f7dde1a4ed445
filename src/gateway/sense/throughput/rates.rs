//! From samples to rates: pure arithmetic.
//!
//! All rates are at the IP layer. The device's counters include the link header (14 bytes per packet on Ethernet, as does
//! the shaper `tbf`), which is subtracted per packet.
//!
//! **Download.** The line's rate is what the device received. The test's part is what TCP received, with all headers; the
//! rest is the customer's.
//!
//! **Upload.** What the device sent may be lost behind it, in the modem's queue. The test's part is what the far end has
//! received, with its headers. The customer's part is what the device sent minus what the test sent, reduced by the same
//! loss ratio as the test's part: both wait in the same queue. (Without that, 5 Mbit/s of customer UDP made a line of
//! 10 Mbit/s look like one of 11.)
//!
//! Two quirks of drivers. Some count a bundle of segments (GSO, GRO) as one packet with one header: this is detected when
//! the device counts fewer packets than the test alone had segments, and corrected. Some refresh their counters only once
//! a second: this is detected when they stand still while the test receives, and then the customer's rate is averaged over
//! the whole test.

use super::cpu::CpuNow;
use linekeeper_contract::units::Rate;
use linekeeper_contract::vocabulary::Direction;
use std::time::Duration;

/// How long a rate has to be sustained to count: one second, TR-471's sub-interval, as ten samples of 100 ms that may come
/// a little early.
pub(super) const WINDOW_LEAST: Duration = Duration::from_millis(950);

/// By how much a rate has to exceed `enough` before a test stops early, permille.
///
/// 20: the largest error of the counters, the clock and a shaper's first burst in one second, observed in namespaces.
const MARGIN: u64 = 20;

/// The assumed size of a customer's packet, bytes, where headers have to be estimated: most bytes travel in full packets.
const GUESSED_PACKET: f64 = 1300.0;

/// The length of the Ethernet header as the kernel counts it, bytes.
pub(super) const ETHERNET: u32 = 14;

/// Everything that was read at one moment. Only differences between samples matter.
#[derive(Debug, Clone, Default)]
pub(super) struct Sample {
    /// Time since the boot.
    pub at: Duration,
    /// Counters of the device in the test's direction, link headers included.
    pub device_bytes: u64,
    pub device_packets: u64,
    /// Counters of the test's connections.
    pub own: Own,
    /// Processor times.
    pub cpu: CpuNow,
}

/// The sum of the test's connections since the test began; bytes, unless said otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Own {
    /// Payload that arrived at the receiver.
    pub payload: u64,
    /// Payload that passed the device, retransmissions included.
    pub passed: u64,
    /// Segments that passed the device in the test's direction.
    pub segments: u64,
    /// `passed` with the headers of its segments.
    pub wire: u64,
    /// `payload` with its headers.
    pub delivered: u64,
    /// Both directions together, at the IP layer.
    pub cost: u64,
    /// Signs of loss: retransmitted or out-of-order segments.
    pub losses: u64,
    /// Time that upload connections had data to send, and the parts spent waiting for the peer's window and our buffer; µs.
    pub busy_us: u64,
    pub window_limited_us: u64,
    pub buffer_limited_us: u64,
}

/// What stays the same during a test.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    pub direction: Direction,
    /// The link header in the device's counters, bytes per packet.
    pub link_header: u32,
    /// IP and TCP headers of the test's segments, bytes.
    pub headers: u32,
    /// Whether `Own` comes from the kernel's TCP statistics; otherwise from the bytes read and written.
    pub kernel: bool,
}

/// What a test recorded beside the samples.
#[derive(Debug, Clone, Default)]
pub(super) struct Aside {
    pub idle_us: Vec<u32>,
    pub loaded_us: Vec<u32>,
    pub connections: u8,
    /// The largest window of a connection, bytes: ours for a download, the peer's for an upload.
    pub window: u32,
    pub stopped_early: bool,
}

/// The rates between two samples, bit/s.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rates {
    pub line: f64,
    pub own: f64,
    pub customer: f64,
    pub payload: f64,
}

/// How the device's counters are to be read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Reading {
    /// Whether bundles count as one packet.
    bundles: bool,
    /// Set if the counters stand still for longer than a sample: the customer's rate over the whole test, bit/s.
    pub coarse: Option<f64>,
}

pub(super) fn more(a: u64, b: u64) -> f64 {
    b.saturating_sub(a) as f64
}

pub(super) fn reading(samples: &[Sample], setting: &Setting) -> Reading {
    let mut reading = Reading { bundles: false, coarse: None };
    let (mut moved, mut stood) = (0, 0);
    for pair in samples.windows(2) {
        let segments = more(pair[0].own.segments, pair[1].own.segments);
        let packets = more(pair[0].device_packets, pair[1].device_packets);
        // Up to twenty segments may be an effect of the order of reading.
        if segments > 20.0 {
            if packets == 0.0 {
                stood += 1;
            } else {
                moved += 1;
                reading.bundles |= setting.kernel && packets < 0.9 * segments;
            }
        }
    }
    if stood > moved / 2
        && let (Some(first), Some(last)) = (samples.first(), samples.last())
    {
        // With coarse counters, `bundles` was judged from bursts and is not valid.
        reading.bundles = false;
        reading.coarse = Some(between(first, last, setting, reading).customer);
    }
    reading
}

pub(super) fn between(a: &Sample, b: &Sample, setting: &Setting, reading: Reading) -> Rates {
    let seconds = b.at.saturating_sub(a.at).as_secs_f64().max(1e-3);
    let rate = |bytes: f64| bytes * 8.0 / seconds;
    let link = f64::from(setting.link_header);
    let bytes = more(a.device_bytes, b.device_bytes);
    let packets = more(a.device_packets, b.device_packets);
    let wire = more(a.own.wire, b.own.wire);
    let payload = rate(more(a.own.payload, b.own.payload));
    let delivered = more(a.own.delivered, b.own.delivered);
    if let Some(customer) = reading.coarse {
        let own = rate(match setting.direction {
            Direction::Download => wire,
            Direction::Upload => delivered,
        });
        return Rates { line: own + customer, own, customer, payload };
    }
    if !setting.kernel {
        // Written bytes may still wait in our sockets, read bytes arrived earlier: only the device knows the line's rate.
        let line = rate(unpacked(bytes, packets, setting));
        let own = rate(wire).min(line);
        return Rates { line, own, customer: line - own, payload: payload.min(own) };
    }
    let customer = if reading.bundles {
        // The device counted the test's full payload but one header per bundle. The customer's number of packets is
        // estimated from the customer's bytes.
        let header = f64::from(setting.headers) + link;
        let rest = bytes - more(a.own.passed, b.own.passed) - packets * header;
        let with_link = rest / (1.0 - header / GUESSED_PACKET);
        with_link * (1.0 - link / GUESSED_PACKET)
    } else {
        bytes - packets * link - wire
    }
    .max(0.0);
    let arrives = match setting.direction {
        Direction::Upload if wire > 0.0 => (delivered / wire).min(1.0),
        _ => 1.0,
    };
    let customer = customer * arrives;
    let (line, own) = match setting.direction {
        // The device's counters are exact.
        Direction::Download if !reading.bundles => (bytes - packets * link, wire.min(bytes - packets * link)),
        Direction::Download => (wire + customer, wire),
        Direction::Upload => (delivered + customer, delivered),
    };
    Rates { line: rate(line), own: rate(own), customer: rate(customer), payload }
}

/// The bytes that the device counted, at the IP layer. Bundles show as packets longer than a full one: they are treated as
/// TCP segments that the device counted with one common header.
fn unpacked(bytes: f64, packets: f64, setting: &Setting) -> f64 {
    const FULL: f64 = 1500.0;
    let (link, headers) = (f64::from(setting.link_header), f64::from(setting.headers));
    if packets * (FULL + link) >= 0.95 * bytes {
        return bytes - packets * link;
    }
    let payload = bytes - packets * (headers + link);
    payload * FULL / (FULL - headers)
}

/// The rates of the last second, or of as much as there is, and that duration.
pub(super) fn last_second(samples: &[Sample], setting: &Setting) -> Option<(Rates, Duration)> {
    let last = samples.last()?;
    let first =
        samples.iter().rev().find(|s| last.at.saturating_sub(s.at) >= WINDOW_LEAST).or(samples.first())?;
    let over = last.at.saturating_sub(first.at);
    (over > Duration::ZERO).then(|| (between(first, last, setting, reading(samples, setting)), over))
}

/// Whether the last second proves, with a margin, that the line reaches `enough`.
pub(super) fn shows(samples: &[Sample], setting: &Setting, enough: Rate) -> bool {
    // Counters that refresh once a second would show a burst that never happened. Those of an upload without the kernel's
    // TCP statistics include what is lost behind the device.
    if reading(samples, setting).coarse.is_some() || !setting.kernel && setting.direction == Direction::Upload
    {
        return false;
    }
    last_second(samples, setting).is_some_and(|(rates, over)| {
        over >= WINDOW_LEAST && rates.line * 1000.0 >= enough.0 as f64 * (1000 + MARGIN) as f64
    })
}
