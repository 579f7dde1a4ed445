//! `[usage]`: when the traffic is unusual.

use super::bounds::within;
use super::kinds::{Flag, count, quantity};
use super::options::{Right, options};
use linekeeper_contract::units::{Rate, Span};

/// How many weeks of history are kept of each hour.
pub const WEEKS: usize = 6;

options! {
    /// When the traffic is unusual for its hour of the week. `judge::usage` describes how that is decided.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Usage = section "usage", "Usage" / "流量",
        "When the traffic is unusual for its hour of the week: far more than usual in either direction, or next to nothing in a busy \
         hour. The operator gets an event, at most once a day. `callback` below decides whether a call is requested too." /
        "流量与每周该时段的平时水平相差很大时：任一方向远高于平时，或繁忙时段几乎没有流量。每天最多以事件告知运营商一次；\
         是否同时请求回访见下文。" {
        /// Whether the traffic is compared.
        ///
        /// Default true: it costs two kilobytes of memory and one write a day, and informs by an event a few times a year.
        enabled: bool = Flag(true), Right::Remote,
            "Enabled" / "启用", "Whether the traffic is compared." / "是否观察流量。";
        /// How long it must last to be reported.
        ///
        /// Default 15 min: an update of a telephone or of a till is over; a backup in the wrong hour is not. Bounds: less than
        /// a quarter of an hour is one download; what lasts for six hours shows on the next bill.
        lasts: Span = quantity(within(Span::minutes(15), Span::hours(6)), Span::minutes(15)), Right::Remote,
            "Minimum duration" / "过高须持续",
            "How long too much traffic must last to be reported. (Too little: an hour or longer.)" / "过高须持续的时长。（过低：一小时或更久。）";
        /// How many times the usual traffic is too much.
        ///
        /// Default 4: among weeks of one small business the same hour differs by a factor of two as often as not. Bounds: twice
        /// as much is any other week; a hundred times as much is not missed.
        factor: u32 = count(within(2, 100), 4), Right::Remote,
            "Factor" / "过高：达到平时的倍数",
            "Traffic counts as too much when it is this many times the usual." / "达到平时的这么多倍视为过高。";
        /// By how much it must be above the usual, whatever that is, and how much makes an hour worth missing.
        ///
        /// Default 1 Mbit/s: over a quarter of an hour 110 MB, which a leak that matters exceeds and a chatty camera does not.
        /// Bounds: a telephone call; all of a gigabit line.
        least: Rate = quantity(within(Rate(64_000), Rate(1_000_000_000)), Rate(1_000_000)), Right::Remote,
            "Minimum excess" / "且至少高出平时",
            "Too much traffic must also be at least this much above the usual. An hour is busy if it usually carries this much." /
            "过高还须至少高出平时这么多。平时达到此流量的时段视为繁忙。";
        /// How many weeks of history an hour needs before it is compared.
        ///
        /// Default 3: the median of three withstands one odd week. Bounds: one week is no custom; six are remembered.
        weeks: u32 = count(within(2, WEEKS as u32), 3), Right::Remote,
            "Weeks of history" / "须已了解的周数",
            "How many weeks of history an hour needs before it is compared." / "某个时段须了解多少周后才作判断。";
        /// Whether a callback is requested in addition to the event.
        ///
        /// Default false: what a business sends at night is its own affair, and is more often a backup than an attack.
        callback: bool = Flag(false), Right::Remote,
            "Request a call too" / "同时请求回访",
            "Whether too much traffic also requests a callback (severity low)." / "过高时是否也请求回访（低优先级）。";
    }
}

impl Default for Usage {
    fn default() -> Usage {
        <Usage as super::options::Declared>::absent()
    }
}
