//! The fast view of the line: what was asked, what came back, and what follows for the line. The policy stands in
//! [`super`].

use super::line::{Cause, LineState, Turn};
use super::silent::{FORGET, Flight, Silent};
use super::target::{TargetState, quickest};
use crate::action::Action;
use crate::config::Config;
use crate::observation::{Counted, Link, Obstacle, ProbeId, TargetId};
use crate::text::phase;
use linekeeper_contract::units::{Mono, Rate, Span};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Time between two rounds of a suspicion. 250 ms: a round trip of most lines fits in, and eight rounds in the default
/// patience make it next to impossible that random loss alone silences them all.
pub const ROUND: Span = Span::millis(250);
/// Time between two rounds while the line is down or unknown: the return is seen within half a second, and a dead line
/// cannot be disturbed by ten echoes a second.
pub const DOWN_ROUND: Span = Span::millis(500);
/// Far targets asked in one round, at most. Four: enough to tell a target's fault from the line's, and a round stays
/// below 300 bytes.
pub const BURST: usize = 4;
/// A silence at least this long that did not become an outage is counted as a disconnect. One second: the shortest
/// break that people on a call notice.
pub const HICCUP: Span = Span::seconds(1);
/// How long an address or default route may be away before it counts: a renewal that changes the address removes the
/// old one first.
pub const RENUMBER: Span = Span::millis(300);
/// Within this the second answer must follow the first for the line to be up. Three down rounds.
pub const CONFIRM: Span = Span::millis(1_500);
/// Misses in a row, while others answer, after which a target is bad (cake-autorate uses 3 too).
pub const BENCH_AFTER: u8 = 3;
/// Misses in a row, and silence, after which a bad target is said to be one. On a line that loses a fifth, three misses
/// in a row come every few minutes; eight over five minutes come less than once a day.
pub const BENCH_TOLD: (u8, Span) = (8, Span::minutes(5));
/// How often a bad target is asked again.
pub const BENCH_RETRY: Span = Span::seconds(60);
/// How soon a bad target that answered is asked again.
pub const BENCH_CONFIRM: Span = Span::seconds(5);
/// Answers in a row after which a bad target is good again.
pub const BENCH_RETURN: u8 = 3;
/// How often the gateway is asked in quiet times: only its habit of answering is to be known.
pub const GATEWAY_EVERY: Span = Span::seconds(10);
/// Longer than this without any observation is a gap in our own watching. Five seconds: ten times the longest wait
/// between two of our own ticks.
pub const GAP: Span = Span::seconds(5);
/// A tick is wanted at least this often, so that slow watching without counters is not taken for a gap. Less than half
/// of [`GAP`].
pub(super) const WATCHED: Span = Span::seconds(2);
/// Echoes outstanding at most. 5 s of rounds at [`ROUND`] with [`BURST`] targets and the gateway are 100; twice that
/// until they are forgotten without the sensor's word.
pub(super) const FLIGHTS: usize = 256;
/// A rotation longer than this is not worth resting in: ten minutes.
pub(super) const ROTATION_MOST: Span = Span::minutes(10);
/// Without a reading for so long the counters are not waited for: they come every second.
pub(super) const COUNTERS_LATE: Span = Span::millis(2_500);
/// Packets per second, beside our own answers, below which incoming bytes are not traffic: stray scans.
pub(super) const VETO_PACKETS: u64 = 5;
/// Windows of traffic in a row that show a line up whose echoes are all silent (an ISP that begins to filter them).
pub(super) const TRAFFIC_RETURN: u8 = 5;
/// Bytes of one of our echo replies at the IP layer.
pub(super) const ECHO_BYTES: u64 = 60;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Suspicion {
    /// When the first silent echo was sent.
    pub(super) since: Mono,
    /// When the round was sent that may decide.
    pub(super) last_round: Option<Mono>,
}

/// The fast view of the line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// The verdict.
    pub line: LineState,
    /// Since when.
    pub since: Mono,
    /// The last that was told of the link.
    pub link: Option<Link>,
    /// The far targets, in the order of the configuration.
    pub targets: Vec<TargetState>,
    /// The default gateway.
    pub gateway: TargetState,
    /// Disconnects shorter than the patience since the first start.
    pub hiccups: u64,
    /// Incoming and outgoing bit/s of the last counter window.
    pub traffic: Option<(u64, u64)>,
    /// The address that `gateway` is about.
    pub(super) gateway_address: Option<IpAddr>,
    /// Beginning and end of the last counter window.
    pub(super) counted: Option<(Mono, Mono)>,
    /// The last counter window that showed traffic while echoes were silent ended then.
    pub(super) carried: Option<Mono>,
    pub(super) faulty_link: Option<(Cause, Mono)>,
    /// When a fault of the link last ended.
    pub link_mended: Option<Mono>,
    /// When a carrier that was away last came back.
    #[serde(default)]
    pub carrier_back: Option<Mono>,
    pub(super) suspicion: Option<Suspicion>,
    pub(super) confirming: Option<Mono>,
    /// Echoes within their limit, in the order of sending.
    pub(super) flights: Vec<Flight>,
    /// Echoes whose limit has passed, or that could not be sent, in the order of sending. Beside the others, because on
    /// a lossy line there are a hundred of them and each step looks at those in flight.
    #[serde(default)]
    pub(super) silent: Silent,
    pub(super) probes: u64,
    pub(super) rotation: usize,
    pub(super) next_round: Mono,
    pub(super) next_gateway: Mono,
    pub(super) grace_until: Mono,
    pub(super) seen: Mono,
    /// Our own answers since the last counter window.
    pub(super) own_answers: u64,
    pub(super) busy_windows: u8,
    pub(super) vetoing: bool,
    pub(super) blind: bool,
    /// Our own speed test fills the line, or just did.
    #[serde(default)]
    pub loaded: bool,
}

impl Watch {
    /// Knows nothing yet.
    pub fn new(config: &Config) -> Watch {
        Watch {
            line: LineState::Unknown,
            since: Mono(0),
            link: None,
            targets: vec![TargetState::default(); config.probe.targets.len()],
            gateway: TargetState::default(),
            hiccups: 0,
            traffic: None,
            gateway_address: None,
            counted: None,
            carried: None,
            faulty_link: None,
            link_mended: None,
            carrier_back: None,
            suspicion: None,
            confirming: None,
            flights: Vec::new(),
            silent: Silent::default(),
            probes: 0,
            rotation: 0,
            next_round: Mono(0),
            next_gateway: Mono(0),
            grace_until: Mono(0),
            seen: Mono(0),
            own_answers: 0,
            busy_windows: 0,
            vetoing: false,
            blind: false,
            loaded: false,
        }
    }

    /// The list of targets changed from one life to the next: what is known of a host goes with it to its new place.
    pub fn retarget(&mut self, was: &[String], are: &[String]) {
        let known = std::mem::take(&mut self.targets);
        let of = |host: &String| was.iter().position(|h| h == host).and_then(|at| known.get(at).cloned());
        self.targets = are.iter().map(|host| of(host).unwrap_or_default()).collect();
    }

    /// A new life of the process: what was in flight is void, what was known of the line is unknown.
    pub fn started(&mut self, now: Mono, uptime: Span, config: &Config) {
        self.targets.resize(config.probe.targets.len(), TargetState::default());
        let hiccups = self.hiccups;
        let targets = std::mem::take(&mut self.targets);
        *self = Watch::new(config);
        self.hiccups = hiccups;
        // Their round-trip times may serve again; when they last answered belongs to the other life.
        self.targets = targets
            .into_iter()
            .map(|t| TargetState { srtt_us: t.srtt_us, var_us: t.var_us, ..TargetState::default() })
            .collect();
        self.forget(now);
        // A fleet that boots together after a power cut must not probe in step.
        self.next_round = now + Span(phase(&config.device.id) % config.probe.interval.0.max(1));
        self.grace_until = (now - uptime) + config.probe.grace;
    }

    /// Nobody watched for a while: nothing may be concluded from the silence.
    pub(super) fn forget(&mut self, now: Mono) {
        self.line = LineState::Unknown;
        self.since = now;
        self.suspicion = None;
        self.confirming = None;
        self.flights.clear();
        self.silent = Silent::default();
        self.faulty_link = self.link.as_ref().and_then(Cause::of).map(|c| (c, now));
        self.own_answers = 0;
        self.busy_windows = 0;
        self.next_round = now;
        self.next_gateway = now;
        self.seen = now;
    }

    /// Tells whether nobody looked for longer than [`GAP`], and forgets what may not be concluded over it.
    pub fn gap(&mut self, now: Mono) -> Option<Span> {
        let gap = now.since(self.seen);
        self.seen = now;
        if gap <= GAP {
            return None;
        }
        self.forget(now);
        Some(gap)
    }

    /// An echo reply came. When that echo was sent, if it is one of the steady rotation.
    pub fn answered(
        &mut self,
        now: Mono,
        probe: ProbeId,
        target: TargetId,
        rtt_us: u32,
        turns: &mut Vec<Turn>,
    ) -> Option<Mono> {
        self.blind = false;
        self.own_answers += 1;
        // From before a gap it proves nothing about now, and the flight is no longer known.
        let Flight { sent, steady, .. } = self.landed(probe)?;
        let told = steady.then_some(sent);
        let loaded = self.loaded;
        let state = self.state_of(target)?;
        if !loaded {
            state.took(rtt_us);
        }
        state.misses = 0;
        state.answered = Some(now);
        state.answered_sent = state.answered_sent.max(Some(sent));
        if target == TargetId::GATEWAY {
            return told;
        }
        if state.benched.is_some() {
            state.returns += 1;
            state.benched = Some(now + BENCH_CONFIRM);
            if state.returns >= BENCH_RETURN {
                state.benched = None;
                if std::mem::take(&mut state.told) {
                    turns.push(Turn::BadTarget { target, bad: false });
                }
            }
        }
        self.life(now, sent, turns);
        told
    }

    /// Takes an echo out, whether it is late or not.
    pub(super) fn landed(&mut self, probe: ProbeId) -> Option<Flight> {
        match self.flights.iter().position(|f| f.probe == probe) {
            Some(at) => Some(self.flights.remove(at)),
            None => self.silent.take(probe),
        }
    }

    /// Something that was sent (or a window that began) at `from` proves life.
    pub(super) fn life(&mut self, now: Mono, from: Mono, turns: &mut Vec<Turn>) {
        match self.line {
            LineState::Up => {
                if self.suspicion.as_ref().is_some_and(|s| from >= s.since) {
                    self.end_suspicion(now, from, turns);
                }
            }
            LineState::Down | LineState::Unknown => {
                if from < self.since {
                    return;
                }
                // One answer is not enough to be up, and enough not to be down.
                if self.suspicion.as_ref().is_some_and(|s| from >= s.since) {
                    self.suspicion = None;
                }
                match self.confirming {
                    None => {
                        self.confirming = Some(now);
                        self.next_round = now;
                    }
                    Some(first) => self.up(now, first, turns),
                }
            }
        }
    }

    pub(super) fn up(&mut self, now: Mono, first: Mono, turns: &mut Vec<Turn>) {
        self.line = LineState::Up;
        self.since = first;
        self.confirming = None;
        self.suspicion = None;
        self.grace_until = Mono(0);
        self.excuse(now);
        self.next_round = now;
        turns.push(Turn::Returned { at: first });
    }

    /// What was sent at `from` was answered: until then the line may have been broken, from then on it was not. (By the
    /// moment of the answer, each late answer over a filled line would count as a break.)
    pub(super) fn end_suspicion(&mut self, now: Mono, from: Mono, turns: &mut Vec<Turn>) {
        let Some(suspicion) = self.suspicion.take() else { return };
        let length = from.since(suspicion.since);
        if length >= HICCUP && !self.loaded {
            self.hiccups += 1;
            turns.push(Turn::Hiccup { length });
            // In a break of the line all miss: that is no target's fault.
            self.excuse(now);
        }
    }

    /// What was asked before `now` and is silent says nothing about its target.
    #[cold]
    pub(super) fn excuse(&mut self, now: Mono) {
        self.flights.iter_mut().filter(|f| f.sent < now).for_each(|f| f.weighed = true);
        self.silent.excuse(now);
    }

    /// When the latest of the echoes was sent that a far target answered.
    pub(super) fn last_life(&self) -> Option<Mono> {
        self.targets.iter().filter_map(|t| t.answered_sent).max()
    }

    /// Charges silences to their targets where another target answered an echo sent no earlier.
    pub(super) fn weigh_targets(&mut self, now: Mono, turns: &mut Vec<Turn>) {
        if self.line != LineState::Up {
            return;
        }
        if self.loaded {
            self.excuse(now);
            return;
        }
        if self.silent.unweighed == 0 {
            return;
        }
        self.weigh_silent(now, turns);
    }

    #[inline(never)]
    fn weigh_silent(&mut self, now: Mono, turns: &mut Vec<Turn>) {
        let mut active = self.targets.iter().filter(|t| t.benched.is_none()).count();
        // Whom nobody outlived is not weighed yet: in a long silence those are all of them.
        let Some(life) = self.last_life() else { return };
        let first = self.silent.first_unweighed();
        let outlived = self.silent.flights[first..].iter_mut().take_while(|f| f.sent <= life);
        for flight in outlived.filter(|f| !f.weighed) {
            let at = usize::from(flight.target.0);
            let others = self.targets.iter().enumerate().filter(|(other, _)| *other != at);
            if !others.filter_map(|(_, t)| t.answered_sent).any(|sent| sent >= flight.sent) {
                continue;
            }
            flight.weighed = true;
            self.silent.unweighed -= 1;
            let Some(state) = self.targets.get_mut(at) else { continue };
            if state.answered_sent.is_some_and(|sent| sent >= flight.sent) {
                continue;
            }
            state.misses = state.misses.saturating_add(1);
            state.returns = 0;
            if state.misses >= BENCH_AFTER && state.benched.is_none() && active > 1 {
                active -= 1;
                state.benched = Some(now + BENCH_RETRY);
            }
            let long = state.answered.is_none_or(|at| now.since(at) >= BENCH_TOLD.1);
            if state.misses >= BENCH_TOLD.0 && long && state.benched.is_some() && !state.told {
                state.told = true;
                turns.push(Turn::BadTarget { target: flight.target, bad: true });
            }
        }
    }

    /// The sensor gave an echo up: as silent as can be, also where our own limit is longer than the sensor's. When it was
    /// sent, if it is one of the steady rotation.
    pub fn lost(&mut self, probe: ProbeId) -> Option<Mono> {
        if let Some(at) = self.flights.iter().position(|f| f.probe == probe) {
            let flight = self.flights.remove(at);
            self.silent.insert(flight);
        }
        self.silent.flights.iter().rev().find(|f| f.probe == probe && f.steady).map(|f| f.sent)
    }

    /// An echo could not be sent.
    pub fn not_sent(&mut self, probe: ProbeId, obstacle: Obstacle) {
        match obstacle {
            // The kernel sees no way out: as silent as can be.
            Obstacle::NoWay => {
                self.lost(probe);
            }
            // Our own blindness is not evidence.
            Obstacle::NoAddress | Obstacle::NotAllowed | Obstacle::Busy => {
                self.blind |= obstacle == Obstacle::NotAllowed;
                self.landed(probe);
            }
        }
    }

    /// The link changed.
    pub fn link_seen(&mut self, now: Mono, link: &Link) {
        let before = self.link.as_ref().and_then(Cause::of);
        let cause = Cause::of(link);
        if link.gateway.is_some() && link.gateway != self.gateway_address {
            self.gateway = TargetState::default();
            self.gateway_address = link.gateway;
        }
        if link.carrier && self.link.as_ref().is_some_and(|l| !l.carrier) {
            self.carrier_back = Some(now);
        }
        self.link = Some(link.clone());
        self.faulty_link = match (cause, self.faulty_link, self.link_fault_since()) {
            (None, _, _) => None,
            (Some(c), _, Some((_, since))) => Some((c, since)),
            // The same as was disproved.
            (Some(c), Some((was, since)), None) if was == c => Some((c, since)),
            (Some(c), _, None) => Some((c, now)),
        };
        if cause.is_some() && cause != before {
            // An answer to what is sent after it can disprove it within [`RENUMBER`].
            self.next_round = self.next_round.min(now + Span::millis(1));
        }
        if before.is_some() && cause.is_none() {
            // It just came back: ask at once.
            self.next_round = now;
            self.link_mended = Some(now);
        }
    }

    /// Whether the line is not up, or echoes are silent.
    pub fn is_doubted(&self) -> bool {
        self.line != LineState::Up || self.suspicion.is_some()
    }

    /// The counters moved.
    pub fn counted(&mut self, now: Mono, counted: &Counted, config: &Config, turns: &mut Vec<Turn>) {
        let own = std::mem::take(&mut self.own_answers);
        let began = now - counted.over;
        self.counted = Some((began, now));
        if counted.reset || counted.over == Span::ZERO {
            return;
        }
        let per_second =
            |n: u64| (u128::from(n) * 1_000 / u128::from(counted.over.0)).min(u128::from(u64::MAX)) as u64;
        let bits = per_second(counted.rx_bytes.saturating_sub(own * ECHO_BYTES).saturating_mul(8));
        self.traffic = Some((bits, per_second(counted.tx_bytes.saturating_mul(8))));
        // Counters also count ARP and other broadcasts of a shared segment, which go on when all beyond it is dead.
        let packets = counted.rx_proof.unwrap_or_else(|| counted.rx_unicast.saturating_sub(own));
        let busy =
            bits >= config.outage.veto.0 && per_second(packets) >= VETO_PACKETS && counted.tx_packets > 0;
        if !busy {
            self.busy_windows = 0;
            self.vetoing = false;
            return;
        }
        match self.line {
            LineState::Up => {
                if self.suspicion.as_ref().is_some_and(|s| began >= s.since) {
                    if !self.vetoing && !self.loaded {
                        self.vetoing = true;
                        turns.push(Turn::Vetoed { rate: Rate(bits) });
                    }
                    self.suspicion = None;
                    self.carried = Some(now);
                }
            }
            LineState::Down | LineState::Unknown => {
                if self.suspicion.as_ref().is_some_and(|s| began >= s.since) {
                    self.suspicion = None;
                    self.carried = Some(now);
                }
                // Only what was proven ends an outage.
                if began >= self.since && self.link_fault().is_none() && counted.rx_proof.is_some() {
                    self.busy_windows = self.busy_windows.saturating_add(1);
                    if self.busy_windows >= TRAFFIC_RETURN {
                        self.up(now, began, turns);
                    }
                }
            }
        }
    }

    /// Lets time pass: judges what is due, and asks what is to be asked.
    pub fn advance(&mut self, now: Mono, config: &Config, out: &mut Vec<Action>, turns: &mut Vec<Turn>) {
        self.judge_link(now, config, turns);
        self.judge_flights(now, config);
        self.weigh_targets(now, turns);
        if self.suspicion.is_some() {
            self.judge_suspicion(now, config, turns);
        }
        if self.confirming.is_some_and(|first| now.since(first) > CONFIRM) {
            self.confirming = None;
        }
        self.ask(now, config, out);
    }

    pub(super) fn judge_link(&mut self, now: Mono, config: &Config, turns: &mut Vec<Turn>) {
        if self.line == LineState::Down {
            return;
        }
        if let Some((cause, since)) = self.link_fault_since()
            && now >= self.link_decides(cause, since, config)
        {
            self.down(now, since, cause, turns);
        }
    }

    /// When a fault of the link makes the line down.
    pub(super) fn link_decides(&self, cause: Cause, since: Mono, config: &Config) -> Mono {
        let wait = match self.line {
            // Nobody was asked yet: an answer may still disprove it.
            LineState::Unknown => config.outage.patience,
            LineState::Up | LineState::Down if cause.at_once() => Span::ZERO,
            LineState::Up | LineState::Down => RENUMBER,
        };
        (since + wait).max(self.grace_until)
    }

    #[cold]
    pub(super) fn down(&mut self, now: Mono, since: Mono, cause: Cause, turns: &mut Vec<Turn>) {
        self.line = LineState::Down;
        self.since = since;
        self.suspicion = None;
        self.confirming = None;
        self.busy_windows = 0;
        self.next_round = self.next_round.min(now + DOWN_ROUND);
        turns.push(Turn::Broke { since, cause });
    }

    pub(super) fn judge_flights(&mut self, now: Mono, config: &Config) {
        let mut at = 0;
        // They are kept in the order in which they were sent: behind one that is younger than any limit are only such.
        let old = |f: &&Flight| now.since(f.sent) >= quickest(config);
        while let Some(flight) = self.flights.get(at).filter(old) {
            let limit = self.known(flight.target).map(|state| state.limit(config));
            if limit.is_some_and(|limit| now.since(flight.sent) >= limit) {
                let flight = self.flights.remove(at);
                self.silent.insert(flight);
            } else {
                at += 1;
            }
        }
        if self.silent.flights.is_empty() && self.flights.first().is_none_or(|f| now.since(f.sent) < FORGET) {
            return;
        }
        // The gateway may filter echoes, and a bad target is known to be bad: neither starts a suspicion.
        let counts =
            |f: &&Flight| self.targets.get(usize::from(f.target.0)).is_some_and(|t| t.benched.is_none());
        let settled = self.line == LineState::Down || self.suspicion.is_some();
        let first_silent =
            if settled { None } else { self.silent.flights.iter().find(counts).map(|f| f.sent) };
        let old = self.flights.iter().take_while(|f| now.since(f.sent) >= FORGET).count();
        self.flights.drain(..old);
        self.silent.forget(now);
        let Some(since) = first_silent else { return };
        // Somebody answered an echo sent no earlier: this one's silence is its own, told apart when it repeats.
        let last_life = self.last_life().max(self.carried);
        let since = match self.line {
            LineState::Up | LineState::Unknown if last_life.is_some_and(|l| l >= since) => {
                match self.silent_after(last_life) {
                    Some(later) => later,
                    None => return,
                }
            }
            LineState::Up => since,
            // Not known whether it was ever up: counted from when we began to look.
            LineState::Unknown => since.max(self.since),
            LineState::Down => return,
        };
        self.suspicion = Some(Suspicion { since, last_round: None });
        self.next_round = now;
    }

    /// The first silent echo of a target in rotation that was sent after `life`.
    pub(super) fn silent_after(&self, life: Option<Mono>) -> Option<Mono> {
        // Looked for from the end: on a line that lives almost always none was sent later.
        let later = |f: &&Flight| life.is_none_or(|l| f.sent > l);
        let from = self.silent.flights.iter().rev().take_while(later).count();
        let flights = &self.silent.flights;
        flights[flights.len() - from..]
            .iter()
            .find(|f| self.targets.get(usize::from(f.target.0)).is_some_and(|t| t.benched.is_none()))
            .map(|f| f.sent)
    }

    #[cold]
    pub(super) fn judge_suspicion(&mut self, now: Mono, config: &Config, turns: &mut Vec<Turn>) {
        let decides = self.decides(config);
        let Some(suspicion) = &mut self.suspicion else { return };
        if decides.is_none_or(|at| now < at) {
            return;
        }
        let Some(round) = suspicion.last_round else {
            // The deciding round: sent after the patience has passed.
            suspicion.last_round = Some(now);
            self.next_round = now;
            return;
        };
        let of_round = |f: &&Flight| f.sent == round && f.target != TargetId::GATEWAY;
        if self.flights.iter().any(|f| of_round(&f)) {
            return;
        }
        let asked = self.silent.flights.iter().rev().take_while(|f| f.sent >= round).filter(of_round).count();
        let since = suspicion.since;
        let weighed = self.counted.is_none_or(|(began, at)| began >= since || now.since(at) >= COUNTERS_LATE);
        if asked > 0 && !weighed {
            return;
        }
        if asked > 0 {
            self.down(now, since, Cause::Silence, turns);
        } else if now > round {
            // None of the round could be asked (no names resolved, no rights): that is our blindness. Look anew.
            self.suspicion = None;
        }
    }

    /// When the round may be sent that decides a suspicion.
    pub(super) fn decides(&self, config: &Config) -> Option<Mono> {
        let since = self.suspicion.as_ref()?.since;
        let rtt = self.targets.iter().filter(|t| t.benched.is_none()).map(TargetState::longest).max();
        let rtt = rtt.unwrap_or_default().min(config.probe.timeout);
        Some((since + rtt + config.outage.patience).max(self.grace_until))
    }

    pub(super) fn known(&self, target: TargetId) -> Option<&TargetState> {
        if target == TargetId::GATEWAY {
            Some(&self.gateway)
        } else {
            self.targets.get(usize::from(target.0))
        }
    }

    pub(super) fn state_of(&mut self, target: TargetId) -> Option<&mut TargetState> {
        if target == TargetId::GATEWAY {
            Some(&mut self.gateway)
        } else {
            self.targets.get_mut(usize::from(target.0))
        }
    }

    /// Whom the quiet rotation asks: the usual round trip, microseconds, and from one question to the next.
    pub fn asked(&self, config: &Config) -> impl Iterator<Item = (u32, Span)> {
        let far = || self.targets.iter().filter(|t| t.benched.is_none());
        let every = config.probe.interval.times(far().count() as u64);
        let gateway = Some(&self.gateway).filter(|g| g.srtt_us > 0 && config.probe.gateway);
        far().map(move |t| (t.srtt_us, every)).chain(gateway.map(|g| (g.srtt_us, GATEWAY_EVERY)))
    }

    /// When the echo was sent that the gateway last answered.
    pub fn gateway_answered(&self) -> Option<Mono> {
        self.gateway.answered_sent
    }

    /// Whether the gateway is known to answer echoes at all.
    pub fn gateway_answers(&self) -> bool {
        self.gateway.answered.is_some()
    }

    /// What the link says is wrong, if anything.
    pub fn link_fault(&self) -> Option<Cause> {
        self.link_fault_since().map(|(cause, _)| cause)
    }

    /// The same with its beginning. What an answer to a later echo disproved is no fault.
    pub fn link_fault_since(&self) -> Option<(Cause, Mono)> {
        let (cause, since) = self.faulty_link?;
        let disproved = self.targets.iter().filter_map(|t| t.answered_sent).any(|sent| sent > since);
        (!disproved).then_some((cause, since))
    }

    /// Since when the line is silent without being declared down.
    pub fn suspected(&self) -> Option<Mono> {
        self.suspicion.as_ref().map(|s| s.since)
    }

    /// Far targets in the rotation.
    pub fn in_rotation(&self) -> u32 {
        self.targets.iter().filter(|t| t.benched.is_none()).count() as u32
    }

    /// The longest that the round trip of the best far target usually takes, microseconds.
    pub fn longest_us(&self) -> Option<u64> {
        let known = self.targets.iter().filter(|t| t.benched.is_none() && t.srtt_us > 0);
        known.map(|t| u64::from(t.srtt_us) + 4 * u64::from(t.var_us)).min()
    }

    /// The smoothed round-trip time of the nearest far target, microseconds.
    pub fn rtt_us(&self) -> Option<u32> {
        self.targets.iter().filter(|t| t.benched.is_none() && t.srtt_us > 0).map(|t| t.srtt_us).min()
    }
}
