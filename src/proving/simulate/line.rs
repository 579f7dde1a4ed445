//! The true state of the line, and the fate of an echo request on it.

use super::random::Random;
use super::world::{Trouble, World};
use linekeeper_contract::units::{Rate, Span};
use linekeeper_judge::check::Said;
use linekeeper_judge::observation::{Link, TargetId};
use std::net::{IpAddr, Ipv4Addr};

/// The address that the operator's DHCP server assigns.
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 77));
/// The operator's first router.
const GATEWAY: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));
/// What a full queue adds to a round trip, microseconds (opnsense/core#4971 saw 1.1 s).
const QUEUE_US: u32 = 1_200_000;
/// How many of a thousand echo requests a full queue drops.
const QUEUE_DROPS: u16 = 700;
/// Download of a customer who fills the line, bytes per millisecond (40 Mbit/s), in full packets.
const FULL: u64 = 5_000;
/// One step of the burst model, milliseconds.
const SLOT_MS: u64 = 10;
/// Steps after which the past of the burst model is forgotten: 64 steps of 10 ms are several bursts.
const SLOTS: usize = 64;
/// How many of a thousand echo requests are lost inside a burst.
const BURST_LOSS: u64 = 900;
/// One in the fixed-point numbers below.
const ONE: u64 = 1 << 32;

/// The two-state loss model of Gilbert and Elliott, sampled exactly at the moments of echo requests.
#[derive(Debug, Clone)]
struct Bursts {
    /// Share of time inside bursts, of [`ONE`].
    share: u64,
    /// The remaining influence of the past after that many steps, of [`ONE`].
    memory: [u64; SLOTS],
    bad: bool,
    at: u64,
}

impl Bursts {
    fn new(loss: u16, mean_ms: u64) -> Bursts {
        let share = (u64::from(loss) * ONE / BURST_LOSS).min(ONE);
        // The chance to leave a burst is 1/length per step; the chance to enter one follows from the share.
        let leave = ONE / (mean_ms / SLOT_MS).max(1);
        let enter =
            if share >= ONE { ONE } else { ((leave >> 16) * (share >> 4) / ((ONE - share) >> 4)) << 16 };
        let keep = ONE.saturating_sub(leave).saturating_sub(enter);
        let mut memory = [ONE; SLOTS];
        for n in 1..SLOTS {
            memory[n] = ((u128::from(memory[n - 1]) * u128::from(keep)) >> 32) as u64;
        }
        Bursts { share, memory, bad: false, at: 0 }
    }

    fn loses(&mut self, now: u64, random: &mut Random) -> bool {
        let steps = ((now - self.at) / SLOT_MS).min(SLOTS as u64) as usize;
        if steps > 0 {
            let memory = self.memory.get(steps).copied().unwrap_or(0);
            let from = if self.bad { ONE } else { 0 };
            // share + (from - share) * memory
            let bad = if from >= self.share {
                self.share + (((u128::from(from - self.share)) * u128::from(memory)) >> 32) as u64
            } else {
                self.share - ((u128::from(self.share) * u128::from(memory)) >> 32) as u64
            };
            self.bad = u64::from(random.next()) < bad;
            self.at = now;
        }
        self.bad && random.chance(BURST_LOSS as u16)
    }
}

/// The fate of an echo request.
pub(super) enum Fate {
    /// The reply arrives after so many microseconds, unless the line breaks meanwhile.
    Returns(u32),
    /// No reply arrives.
    Vanishes,
    /// It cannot be sent: no route.
    NoWay,
    /// It cannot be sent: the gateway's address is unknown.
    NoAddress,
}

/// The state of the line.
#[derive(Debug)]
pub(super) struct Line {
    pub carrier: bool,
    pub admin_up: bool,
    pub leased: bool,
    pub access: bool,
    routed: bool,
    /// How the DHCP server, the PPPoE concentrator and the resolvers respond.
    pub dhcp: Said,
    pub pppoe: Said,
    pub names: Said,
    /// A login page intercepts web requests.
    pub portal: bool,
    pub server_dead: bool,
    upstream: bool,
    filters: bool,
    dead: u16,
    loss: u16,
    /// Extra round-trip time beyond the operator's first router, and on the access itself, microseconds.
    delay: u32,
    access_delay: u32,
    bursts: Option<Bursts>,
    /// The share that is lost in bursts and by repeated breaks, permille.
    pattern_loss: u16,
    pub load: bool,
    /// A speed test of ours fills the line.
    pub testing: bool,
    /// The share of its rates that the line delivers, permille.
    pub rate_share: u16,
    /// What the port negotiated.
    pub port: Option<Rate>,
    /// The customer's download without filling the line, bit/s.
    customer_rate: u64,
    unseen: bool,
    /// Down because of a repeated break.
    pub beat: bool,
    /// Down because a remedy switched the modem off.
    pub unpowered: bool,
    carrier_lost: bool,
    /// The last moment at which the way to the far targets, and to the gateway, was broken.
    far_broken_until: u64,
    near_broken_until: u64,
    carries_since: u64,
    carried: u64,
}

impl Line {
    pub fn new(port: Option<Rate>) -> Line {
        Line {
            carrier: true,
            admin_up: true,
            leased: true,
            access: true,
            routed: true,
            dhcp: Said::Answered,
            pppoe: Said::Answered,
            names: Said::Answered,
            portal: false,
            server_dead: false,
            upstream: true,
            filters: false,
            dead: 0,
            loss: 0,
            delay: 0,
            access_delay: 0,
            bursts: None,
            pattern_loss: 0,
            load: false,
            testing: false,
            rate_share: 1_000,
            port,
            customer_rate: 0,
            unseen: false,
            beat: false,
            unpowered: false,
            carrier_lost: false,
            far_broken_until: 0,
            near_broken_until: 0,
            carries_since: 0,
            carried: 0,
        }
    }

    /// Derives the state from the active faults.
    pub fn apply_faults<'f>(
        &mut self,
        now: u64,
        port: Option<Rate>,
        lasting: impl Iterator<Item = &'f Trouble>,
    ) {
        self.add_customer_traffic(now);
        let near_before = self.reaches_gateway();
        let far_before = self.reaches_internet();
        (self.access, self.upstream, self.filters, self.load) = (true, true, false, false);
        (self.dead, self.loss, self.carrier_lost, self.unseen) = (0, 0, false, false);
        (self.rate_share, self.port, self.customer_rate) = (1_000, port, 0);
        (self.delay, self.access_delay, self.pattern_loss) = (0, 0, 0);
        let micro = |span: &Span| u32::try_from(span.0.saturating_mul(1_000)).unwrap_or(u32::MAX);
        (self.dhcp, self.pppoe, self.names) = (Said::Answered, Said::Answered, Said::Answered);
        (self.routed, self.portal, self.server_dead) = (true, false, false);
        let mut bursts = None;
        for trouble in lasting {
            if trouble.takes_address() {
                self.leased = false;
            }
            match trouble {
                Trouble::Upstream => self.upstream = false,
                Trouble::Access => self.access = false,
                Trouble::Carrier => self.carrier_lost = true,
                Trouble::Address => {}
                Trouble::DhcpSilent => self.dhcp = Said::Silent,
                Trouble::DhcpRefuses => self.dhcp = Said::Refused,
                Trouble::PppoeSilent => self.pppoe = Said::Silent,
                Trouble::PppoeRefuses => self.pppoe = Said::Refused,
                Trouble::Route => self.routed = false,
                Trouble::NamesDead => self.names = Said::Silent,
                Trouble::NamesForged => self.names = Said::Forged,
                Trouble::Portal => self.portal = true,
                Trouble::ServerDead => self.server_dead = true,
                Trouble::Loss(permille) => self.loss = permille.0,
                Trouble::Bursts { loss, mean } => {
                    bursts = Some((loss.0, mean.0));
                    self.pattern_loss = self.pattern_loss.max(loss.0);
                }
                Trouble::Delay(span) => self.delay = self.delay.max(micro(span)),
                Trouble::AccessDelay(span) => self.access_delay = self.access_delay.max(micro(span)),
                Trouble::Breaks { length, every } => {
                    let share = length.0.saturating_mul(1_000) / every.0.max(1);
                    self.pattern_loss =
                        self.pattern_loss.max(u16::try_from(share.min(1_000)).unwrap_or(1_000));
                }
                Trouble::DeadTarget(at) => self.dead |= 1u16.checked_shl(u32::from(*at)).unwrap_or(0),
                Trouble::GatewayFilters => self.filters = true,
                Trouble::Unseen => self.unseen = true,
                Trouble::Load => self.load = true,
                Trouble::Slow(share) => self.rate_share = self.rate_share.min(share.0),
                Trouble::Uses(rate) => self.customer_rate = self.customer_rate.saturating_add(rate.0),
                Trouble::Port(rate) => self.port = Some(self.port.map_or(*rate, |p| p.min(*rate))),
                Trouble::BrokerAway
                | Trouble::BackupLost
                | Trouble::ReceiptsLost
                | Trouble::ReceiptsRefused
                | Trouble::PowerCut
                | Trouble::Killed(_)
                | Trouble::Frozen
                | Trouble::ClockSet { .. }
                | Trouble::HandsOff(_)
                | Trouble::Notice(_)
                | Trouble::Asks(_) => {}
            }
        }
        match (bursts, self.bursts.is_some()) {
            (Some((loss, mean)), false) => self.bursts = Some(Bursts::new(loss, mean)),
            (None, true) => self.bursts = None,
            (Some(_), true) | (None, false) => {}
        }
        self.refresh(now, near_before, far_before);
    }

    /// Applies a change that is not a fault (the effect of a remedy) and updates the records.
    pub fn change(&mut self, now: u64, change: impl FnOnce(&mut Line)) {
        self.add_customer_traffic(now);
        let (near, far) = (self.reaches_gateway(), self.reaches_internet());
        change(self);
        self.refresh(now, near, far);
    }

    fn refresh(&mut self, now: u64, near_before: bool, far_before: bool) {
        self.carrier = !self.carrier_lost && !self.unpowered;
        // A break that starts and ends at the same moment does not count.
        if !near_before || !self.reaches_gateway() {
            self.near_broken_until = now;
        }
        if !far_before || !self.reaches_internet() {
            self.far_broken_until = now;
        }
    }

    /// Whether the path to the operator's first router is intact.
    pub fn reaches_gateway(&self) -> bool {
        self.carrier && self.admin_up && self.leased && self.access
    }

    /// Whether the path to the far targets is intact.
    pub fn reaches_internet(&self) -> bool {
        self.reaches_gateway() && self.routed && self.upstream && !self.beat
    }

    /// Whether a fault that the gateway did not cause blocks the data flow. (The caller checks for a lost address.)
    pub fn is_faulted(&self) -> bool {
        self.carrier_lost || !self.access || !self.upstream || self.beat
    }

    /// Whether the line is quiet: the path, the names and the web work, every echo of a live target is answered, and the
    /// customer does not use the line or uses it evenly.
    pub fn is_quiet(&self) -> bool {
        let lossless = self.loss == 0 && self.bursts.is_none();
        let serves = self.names == Said::Answered && !self.portal;
        self.reaches_internet() && serves && lossless && !self.load && !self.testing
    }

    /// The share of lost round trips, permille.
    pub fn loss_share(&self) -> u16 {
        self.loss.max(self.pattern_loss)
    }

    /// The 95th percentile of round trips to the nearest far target on an unused line, microseconds.
    pub fn usual_rtt_us(&self, world: &World) -> u64 {
        let nearest = world.rtt_us.iter().min().copied().unwrap_or(0);
        let jitter = u64::from(world.jitter_us) * 95 / 100;
        u64::from(nearest) + jitter + u64::from(self.delay) + u64::from(self.access_delay)
    }

    /// Skips `by` milliseconds in which the line [was quiet](Line::is_quiet).
    pub fn skip(&mut self, by: u64) {
        self.carries_since += by;
    }

    /// Whether the operator can assign an address now.
    pub fn can_lease(&self) -> bool {
        self.carrier && self.admin_up && self.access
    }

    /// The link as the kernel shows it.
    pub fn link(&self) -> Link {
        let shown = self.leased && !self.unseen;
        let routed = shown && self.routed;
        Link {
            present: true,
            admin_up: self.admin_up,
            carrier: self.carrier && self.admin_up,
            addresses: if shown { vec![ADDRESS] } else { Vec::new() },
            gateway: routed.then_some(GATEWAY),
            default_route: routed,
            speed: self.port,
            half_duplex: false,
        }
    }

    /// The fate of an echo request that is sent now.
    pub fn fate(&mut self, now: u64, target: TargetId, world: &World, random: &mut Random) -> Fate {
        if !self.leased || !self.routed {
            return if target == TargetId::GATEWAY { Fate::NoAddress } else { Fate::NoWay };
        }
        if !self.admin_up {
            return Fate::NoWay;
        }
        let mut rtt = if world.jitter_us > 0 { random.below(world.jitter_us) } else { 0 };
        rtt = rtt.saturating_add(self.access_delay);
        if target == TargetId::GATEWAY {
            rtt += world.gateway_rtt_us;
            if !self.reaches_gateway() || self.filters {
                return Fate::Vanishes;
            }
        } else {
            let place = usize::from(target.0);
            rtt += world.rtt_us.get(place).or(world.rtt_us.last()).copied().unwrap_or(0);
            rtt = rtt.saturating_add(self.delay);
            if !self.reaches_internet() || (place < 16 && self.dead & (1 << place) != 0) {
                return Fate::Vanishes;
            }
        }
        if self.load || self.testing {
            rtt += QUEUE_US + random.below(QUEUE_US / 4);
            if random.chance(QUEUE_DROPS) {
                return Fate::Vanishes;
            }
        }
        if random.chance(self.loss) {
            return Fate::Vanishes;
        }
        if let Some(bursts) = &mut self.bursts
            && bursts.loses(now, random)
        {
            return Fate::Vanishes;
        }
        Fate::Returns(rtt)
    }

    /// Whether the path has been intact from `sent` until now.
    pub fn held_since(&self, sent: u64, target: TargetId) -> bool {
        let (whole, broken_until) = if target == TargetId::GATEWAY {
            (self.reaches_gateway(), self.near_broken_until)
        } else {
            (self.reaches_internet(), self.far_broken_until)
        };
        whole && broken_until <= sent
    }

    /// Adds the customer's traffic since the last call, in units of 1/8000 byte (bit/s times milliseconds).
    fn add_customer_traffic(&mut self, now: u64) {
        if self.reaches_internet() {
            self.carried +=
                (now - self.carries_since) * if self.load { FULL * 8_000 } else { self.customer_rate };
        }
        self.carries_since = now;
    }

    /// The customer's bytes received since the last call.
    pub fn take_customer_bytes(&mut self, now: u64) -> u64 {
        self.add_customer_traffic(now);
        std::mem::take(&mut self.carried) / 8_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_losses_have_the_given_share_and_are_correlated() {
        for (every, alike) in [(20, 700..820), (500, 180..240)] {
            let mut random = Random::new(1);
            let mut bursts = Bursts::new(200, 120);
            let lost: Vec<bool> = (0..400_000).map(|i| bursts.loses(i * every, &mut random)).collect();
            let all = lost.iter().filter(|l| **l).count() * 1_000 / lost.len();
            assert!((185..215).contains(&all), "{all} of 1000 lost");
            let pairs = lost.windows(2).filter(|w| w[0]).count();
            let both = lost.windows(2).filter(|w| w[0] && w[1]).count() * 1_000 / pairs;
            assert!(alike.contains(&both), "every {every} ms: after a loss {both} of 1000 are lost");
        }
    }
}
