//! The sensors: echo requests and interface counters.

use super::state::{COUNTED_EVERY, Echo, End, Simulation};
use crate::simulate::line::Fate;
use crate::simulate::spectator::Spectator;
use linekeeper_contract::units::Span;
use linekeeper_judge::observation::{Counted, Observation, Obstacle, ProbeId, TargetId};

/// Timeout of an echo request, milliseconds.
const GIVEN_UP: u64 = 5_000;
/// Bytes of an echo reply in the device counters: 60 at the IP layer plus 14 of the Ethernet header.
const REPLY_BYTES: u64 = 74;
/// Bytes of a stray packet.
const STRAY_BYTES: u64 = 100;
/// Bytes of a broadcast: the shortest frame.
const NOISE_BYTES: u64 = 60;

impl Simulation {
    pub(super) fn send_echo(&mut self, probe: ProbeId, target: TargetId) {
        self.report.probes += 1;
        let (at, end) = match self.line.fate(self.now, target, &self.world, &mut self.random) {
            Fate::Returns(rtt_us) => (self.now + u64::from(rtt_us.div_ceil(1_000)), End::Answered(rtt_us)),
            Fate::Vanishes => (self.now + GIVEN_UP, End::GivenUp),
            Fate::NoWay => (self.now, End::NotSent(Obstacle::NoWay)),
            Fate::NoAddress => (self.now, End::NotSent(Obstacle::NoAddress)),
        };
        self.queue_echo(Echo { at, sent: self.now, probe, target, end });
    }

    pub(super) fn queue_echo(&mut self, echo: Echo) {
        let place = self.echoes.iter().rposition(|e| e.at <= echo.at).map_or(0, |p| p + 1);
        self.echoes.insert(place, echo);
    }

    pub(super) fn finish_echo(&mut self, echo: Echo, spectator: &mut impl Spectator) {
        let Echo { sent, probe, target, end, .. } = echo;
        let saw = match end {
            End::Answered(_) if !self.line.held_since(sent, target) => {
                // It was in flight when the line broke.
                self.queue_echo(Echo { at: sent + GIVEN_UP, end: End::GivenUp, ..echo });
                return;
            }
            End::Answered(rtt_us) => {
                self.replies_received += 1;
                Observation::EchoAnswered { probe, target, rtt_us }
            }
            End::GivenUp => Observation::EchoLost { probe, target },
            End::NotSent(obstacle) => Observation::EchoNotSent { probe, target, obstacle },
        };
        self.observe(&saw, spectator);
    }

    pub(super) fn read_counters(&mut self, spectator: &mut impl Spectator) {
        let over = self.now - self.counted_last;
        self.add_test_traffic();
        let (test_rx, test_tx) = std::mem::take(&mut self.test_bytes);
        self.counted_last = self.now;
        let late = if self.world.late.0 > 0 { self.random.below(self.world.late.0 as u32 + 1) } else { 0 };
        self.counted_at = self.now + COUNTED_EVERY + u64::from(late);
        let replies = std::mem::take(&mut self.replies_received);
        let customer = self.line.take_customer_bytes(self.now);
        let stray = if self.line.reaches_internet() { self.world.stray.0 * over / 8_000 } else { 0 };
        let packets =
            replies + customer / 1_400 + stray / STRAY_BYTES + (test_rx.max(test_tx)).div_ceil(1_514);
        let noise = self.world.noise.0 * over / 8_000;
        let counted = Counted {
            over: Span(over),
            rx_bytes: replies * REPLY_BYTES + customer + stray + test_rx + noise,
            tx_bytes: replies * REPLY_BYTES + customer / 20 + test_tx,
            rx_unicast: packets + noise / NOISE_BYTES,
            rx_proof: Some(packets - replies),
            tx_packets: packets.max(1),
            rx_errors: 0,
            reset: false,
        };
        self.observe(&Observation::Counted(counted), spectator);
    }
}
