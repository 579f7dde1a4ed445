//! From samples to figures: pure arithmetic.
//!
//! Everything is at the IP layer. The device's counters count what the kernel calls the length of a packet, on Ethernet
//! with the 14 bytes of its header (and so does the shaper `tbf`): those are taken off, packet by packet.
//!
//! **Download.** The line is what the device received. Our own part is what TCP says came in for us, header by header;
//! the rest is the customer's.
//!
//! **Upload.** What the device sent may be lost behind it, in the modem's own queue. Our own part of the line is what
//! the far end has, with the headers that carried it; the customer's is what the device sent less what we sent, less the
//! share that is lost of ours: both stood in the same queue. (Without that, 5 Mbit/s of the customer's UDP made a line of 10
//! look like one of 11.)
//!
//! Two traps of drivers. Some count a bundle of segments (GSO, GRO) as one packet with one header: seen by counting fewer
//! packets than we alone had segments, and then allowed for. Some refresh their counters once a second: seen by counters
//! that stand still while we receive, and then the customer's share is taken over the whole test.

use super::cpu::CpuNow;
use linekeeper_contract::units::Rate;
use linekeeper_contract::vocabulary::Direction;
use std::time::Duration;

/// Over so long a rate has to be sustained to count: one second, TR-471's sub-interval, as ten samples of 100 ms that may
/// come a little early.
pub(super) const WINDOW_LEAST: Duration = Duration::from_millis(950);

/// What a rate has to exceed `enough` by before a test stops early, permille.
///
/// 20: what the counters, the clock and a shaper's first burst can be wrong by in one second, seen in namespaces.
const MARGIN: u64 = 20;

/// A packet of the customer's, bytes, where its headers have to be guessed: most bytes travel in full packets.
const GUESSED_PACKET: f64 = 1300.0;

/// Ethernet's header as the kernel counts it.
pub(super) const ETHERNET: u32 = 14;

/// Everything that is known at one moment, counted since the test began.
#[derive(Debug, Clone, Default)]
pub(super) struct Sample {
    /// When.
    pub at: Duration,
    /// Of the device, in the test's direction, with link headers.
    pub device_bytes: u64,
    pub device_packets: u64,
    /// Of our connections.
    pub own: Own,
    /// Of the processors.
    pub cpu: CpuNow,
}

/// Our connections together, counted since the test began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Own {
    /// Payload that arrived at its end.
    pub payload: u64,
    /// Payload that passed the device, with what was sent again.
    pub passed: u64,
    /// Segments that passed the device in the test's direction.
    pub segments: u64,
    /// `passed` with the headers of its segments.
    pub wire: u64,
    /// `payload` with the headers that it takes.
    pub delivered: u64,
    /// Both directions, at the IP layer.
    pub cost: u64,
    /// Signs of loss: bytes sent again, or segments out of order.
    pub losses: u64,
    /// Time that upload connections had something to send, and of it waited for the peer's window and our buffer; µs.
    pub busy_us: u64,
    pub window_limited_us: u64,
    pub buffer_limited_us: u64,
}

/// What holds for the whole test.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    pub direction: Direction,
    /// Link header in the device's counters, bytes per packet.
    pub link_header: u32,
    /// Headers of our segments, bytes.
    pub headers: u32,
    /// Whether `Own` comes from the kernel; else from what we read and wrote.
    pub kernel: bool,
}

/// What the test saw beside the samples.
#[derive(Debug, Clone, Default)]
pub(super) struct Aside {
    pub idle_us: Vec<u32>,
    pub loaded_us: Vec<u32>,
    pub connections: u8,
    /// Largest window per connection, bytes: ours for a download, the peer's for an upload.
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
    /// Bundles count as one packet.
    bundles: bool,
    /// They stand still for longer than a sample: the customer's rate over the whole, bit/s.
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
        // Less than twenty may be a matter of who was read first.
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
        // The bundles were judged by what came second by second: not by this.
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
        // What we wrote may still wait in our own sockets, what we read was there before: the device alone knows the line.
        let line = rate(unpacked(bytes, packets, setting));
        let own = rate(wire).min(line);
        return Rates { line, own, customer: line - own, payload: payload.min(own) };
    }
    let customer = if reading.bundles {
        // The device counted our payload whole and one header for each bundle. How many of the packets are the
        // customer's follows from how many bytes are.
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
        // The counters know what passed.
        Direction::Download if !reading.bundles => (bytes - packets * link, wire.min(bytes - packets * link)),
        Direction::Download => (wire + customer, wire),
        Direction::Upload => (delivered + customer, delivered),
    };
    Rates { line: rate(line), own: rate(own), customer: rate(customer), payload }
}

/// What the device counted, at the IP layer. Bundles show by packets that would be longer than full ones: they are taken for
/// segments of TCP that the device counted with one header for all.
fn unpacked(bytes: f64, packets: f64, setting: &Setting) -> f64 {
    const FULL: f64 = 1500.0;
    let (link, headers) = (f64::from(setting.link_header), f64::from(setting.headers));
    if packets * (FULL + link) >= 0.95 * bytes {
        return bytes - packets * link;
    }
    let payload = bytes - packets * (headers + link);
    payload * FULL / (FULL - headers)
}

/// The rates of the last second, as far as there is one.
pub(super) fn last_second(samples: &[Sample], setting: &Setting) -> Option<(Rates, Duration)> {
    let last = samples.last()?;
    let first =
        samples.iter().rev().find(|s| last.at.saturating_sub(s.at) >= WINDOW_LEAST).or(samples.first())?;
    let over = last.at.saturating_sub(first.at);
    (over > Duration::ZERO).then(|| (between(first, last, setting, reading(samples, setting)), over))
}

/// Whether the last second shows, with a margin, that the line reaches `enough`.
pub(super) fn shows(samples: &[Sample], setting: &Setting, enough: Rate) -> bool {
    // Counters that refresh once a second would show a burst that never was; those of an upload of which the kernel tells
    // nothing, what is lost behind the device.
    if reading(samples, setting).coarse.is_some() || !setting.kernel && setting.direction == Direction::Upload
    {
        return false;
    }
    last_second(samples, setting).is_some_and(|(rates, over)| {
        over >= WINDOW_LEAST && rates.line * 1000.0 >= enough.0 as f64 * (1000 + MARGIN) as f64
    })
}
