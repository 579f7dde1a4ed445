//! Reads the counters of the WAN device and of our own connections at one moment.

use super::cpu;
use super::plan::{OVERHEAD, Plan, Trouble};
use super::rates::{ETHERNET, Own, Sample, Setting};
use super::tcp::{Diag, TcpNow};
use crate::clock;
use crate::sense::counters::{self, Totals};
use crate::sense::netlink::{Kernel, Question, RTM_NEWLINK};
use linekeeper_contract::vocabulary::{Direction, SpeedFailure};
use std::io;

/// The statistics of one connection.
#[derive(Debug, Clone, Copy, Default)]
struct ConnectionStats {
    now: TcpNow,
    /// The largest segment so far, bytes of payload.
    mss: u32,
    /// Payload that arrived, estimated from the number of segments, of which nearly all are full. TCP's own byte count stops
    /// at a loss and jumps when the gap is filled; segments are counted when they arrive.
    by_segments: u64,
}

impl ConnectionStats {
    fn update(&mut self, now: TcpNow, direction: Direction) {
        let (segments, before, mss, bytes) = match direction {
            Direction::Download => {
                (now.data_segments_in, self.now.data_segments_in, now.mss_in, now.received)
            }
            Direction::Upload => (now.delivered, self.now.delivered, now.mss_out, now.acked),
        };
        self.mss = self.mss.max(mss);
        if self.now.headers == 0 || segments == 0 {
            // At first the kernel has not seen a full segment yet, and an old kernel reports nothing else.
            self.by_segments = bytes;
        } else {
            self.by_segments += u64::from(segments.wrapping_sub(before)) * u64::from(self.mss);
        }
        self.now = now;
    }
}

/// Reads the counters of the device and of the test's connections.
pub(super) struct Gauge {
    index: u32,
    kernel: Option<Kernel>,
    pub diag: Option<Diag>,
    /// The last statistics of each connection, in the order of `Books::ends`.
    known: Vec<ConnectionStats>,
    /// The counters at the first sample.
    start: Option<Totals>,
    pub window: u32,
}

impl Gauge {
    pub(super) fn new(index: u32) -> Gauge {
        Gauge { index, kernel: None, diag: Diag::connect().ok(), known: Vec::new(), start: None, window: 0 }
    }

    /// The link header in the device's counters, bytes. Ethernet has one; PPP and tunnels count from the IP header.
    pub(super) fn link_header(&mut self) -> Result<u32, Trouble> {
        const ARPHRD_ETHER: u16 = 1;
        let mut kind = None;
        let mut asking = || -> io::Result<()> {
            Kernel::connect()?.ask_one(Question::Link(self.index), |message, body| {
                if message == RTM_NEWLINK && body.len() >= 4 {
                    kind = Some(u16::from_ne_bytes([body[2], body[3]]));
                }
            })
        };
        match (asking(), kind) {
            (Ok(()), Some(kind)) => Ok(if kind == ARPHRD_ETHER { ETHERNET } else { 0 }),
            (Ok(()), None) => {
                Err(Trouble::new(SpeedFailure::Local, "the kernel does not say what the WAN device is"))
            }
            (Err(e), _) => {
                Err(Trouble::new(SpeedFailure::Local, format!("asking the kernel about the WAN device: {e}")))
            }
        }
    }

    pub(super) fn take_sample(&mut self, plan: &Plan, setting: &mut Setting) -> Result<Sample, Trouble> {
        let local = |why: String| {
            Trouble::new(SpeedFailure::Local, format!("reading the counters of {}: {why}", plan.device))
        };
        let totals = counters::read(&mut self.kernel, self.index)
            .map_err(|e| local(e.to_string()))?
            .ok_or_else(|| local("the device has gone".into()))?;
        let at = clock::since_boot();
        let start = *self.start.get_or_insert(totals);
        let own = self.own(plan, setting);
        let (bytes, packets) = match setting.direction {
            Direction::Download => {
                (totals.rx_bytes.checked_sub(start.rx_bytes), totals.rx_packets.checked_sub(start.rx_packets))
            }
            Direction::Upload => {
                (totals.tx_bytes.checked_sub(start.tx_bytes), totals.tx_packets.checked_sub(start.tx_packets))
            }
        };
        let (Some(device_bytes), Some(device_packets)) = (bytes, packets) else {
            return Err(local("they went back: the device was made anew".into()));
        };
        Ok(Sample { at, device_bytes, device_packets, own, cpu: cpu::read() })
    }

    fn own(&mut self, plan: &Plan, setting: &mut Setting) -> Own {
        let books = plan.books();
        self.known.resize(books.ends.len(), ConnectionStats::default());
        let mut asked = true;
        for (known, end) in self.known.iter_mut().zip(&books.ends) {
            if !end.open {
                continue;
            }
            // If the connection is gone (NotFound), its last statistics stay.
            match self.diag.as_mut().map(|diag| diag.ask(end.local, end.remote, self.index)) {
                Some(Ok(now)) => known.update(now, setting.direction),
                _ => asked &= known.now.headers != 0,
            }
        }
        if !asked && self.known.iter().all(|k| k.now.headers == 0) {
            setting.kernel = false;
        }
        if !setting.kernel {
            let headers = u64::from(setting.headers);
            let segments = books.payload / 1448;
            let wire = books.payload + segments * headers;
            return Own {
                payload: books.payload,
                passed: books.payload,
                segments,
                wire,
                delivered: wire,
                cost: books.payload * OVERHEAD / 100,
                ..Own::default()
            };
        }
        drop(books);
        let mut own = Own::default();
        for known in &self.known {
            let k = &known.now;
            let headers = u64::from(k.headers);
            if headers != 0 {
                setting.headers = k.headers;
            }
            let (arrived, passed, segments, mss) = match setting.direction {
                Direction::Download => (k.received, known.by_segments, u64::from(k.segments_in), k.mss_in),
                Direction::Upload => {
                    // Linux before 4.19 does not report the sent bytes: the acknowledged ones are close.
                    let sent = if k.sent == 0 { k.acked } else { k.sent };
                    let arrived = if k.delivered == 0 { k.acked } else { known.by_segments };
                    (arrived, sent, u64::from(k.segments_out), k.mss_out)
                }
            };
            let wire = passed + segments * headers;
            own.payload += arrived;
            own.passed += passed;
            own.segments += segments;
            own.wire += wire;
            own.delivered += arrived + arrived / u64::from(mss.max(1)) * headers;
            own.losses += match setting.direction {
                Direction::Download => u64::from(k.out_of_order),
                Direction::Upload => k.resent / u64::from(mss.max(1)),
            };
            own.cost += k.received
                + k.sent.max(k.acked)
                + (u64::from(k.segments_in) + u64::from(k.segments_out)) * headers;
            own.busy_us += k.busy_us;
            own.window_limited_us += k.window_limited_us;
            own.buffer_limited_us += k.buffer_limited_us;
            let window = match setting.direction {
                Direction::Download => k.our_window,
                Direction::Upload => k.peer_window,
            };
            self.window = self.window.max(window);
        }
        own
    }
}
