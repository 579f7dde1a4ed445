//! What is known of one target of echoes.

use crate::config::Config;
use linekeeper_contract::units::{Mono, Span};
use serde::{Deserialize, Serialize};

/// Shortest limit after which an echo counts as silent, however quick the target: scheduling on a loaded router
/// takes tens of milliseconds.
pub const QUICKEST: Span = Span::millis(100);

/// What is known of one target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetState {
    /// Smoothed round-trip time, microseconds; 0: none yet.
    pub srtt_us: u32,
    /// Its mean deviation (RFC 6298), microseconds.
    pub var_us: u32,
    /// Misses in a row while others answered.
    pub(super) misses: u8,
    /// Answers in a row while benched.
    pub(super) returns: u8,
    /// Its silence was said.
    pub(super) told: bool,
    /// When it is asked again, if it is bad.
    pub benched: Option<Mono>,
    /// Last answer.
    pub answered: Option<Mono>,
    /// When the echo was sent that was last answered.
    pub(super) answered_sent: Option<Mono>,
}

/// No target's limit is less.
pub(super) fn quickest(config: &Config) -> Span {
    QUICKEST.min(config.probe.timeout)
}

impl TargetState {
    pub(super) fn limit(&self, config: &Config) -> Span {
        if self.srtt_us == 0 {
            return config.probe.timeout;
        }
        let ms = u64::from(self.srtt_us) / 1_000 + u64::from(self.var_us) / 250 + 50;
        Span(ms).max(QUICKEST).min(config.probe.timeout.max(QUICKEST))
    }

    /// The longest that its round trip usually takes (RFC 6298's four deviations); zero while it is not known.
    pub(super) fn longest(&self) -> Span {
        Span((u64::from(self.srtt_us) + 4 * u64::from(self.var_us)).div_ceil(1_000))
    }

    pub(super) fn took(&mut self, rtt_us: u32) {
        // RFC 6298, section 2.
        if self.srtt_us == 0 {
            (self.srtt_us, self.var_us) = (rtt_us.max(1), rtt_us / 2);
        } else {
            let off = self.srtt_us.abs_diff(rtt_us);
            self.var_us = self.var_us - self.var_us / 4 + off / 4;
            self.srtt_us = (self.srtt_us - self.srtt_us / 8 + rtt_us / 8).max(1);
        }
    }
}
