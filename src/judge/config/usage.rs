//! `[usage]`: when the traffic is unusual.

use super::bounds::within;
use super::kinds::{Flag, count, quantity};
use super::options::{Right, options};
use linekeeper_contract::units::{Rate, Span};

/// As many weeks of each hour are remembered.
pub const WEEKS: usize = 6;

options! {
    /// When the traffic is unusual for its hour of the week. How that is judged is told in `judge::usage`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Usage = section "usage", "Usage" / "流量",
        "When the traffic is unusual for its hour of the week: far more than usual either way, or next to nothing in a busy hour. \
         The operator is told by an event, once a day at most; whether a call is asked for as well is `callback` below." /
        "流量与每周该时段的平时水平相差很大时：任一方向远高于平时，或繁忙时段几乎没有流量。每天最多以事件告知运营商一次；\
         是否同时请求回访见下文。" {
        /// Whether it is looked at.
        ///
        /// Default true: it costs two kilobytes of memory and one write a day, and informs by an event a few times a year.
        enabled: bool = Flag(true), Right::Remote,
            "Look at it" / "启用", "Whether it is looked at." / "是否观察流量。";
        /// How long it must last to count.
        ///
        /// Default 15 min: an update of a telephone or of a till is over; a backup in the wrong hour is not. Bounds: less than
        /// a quarter of an hour is one download; what lasts for six is told by the next bill.
        lasts: Span = quantity(within(Span::minutes(15), Span::hours(6)), Span::minutes(15)), Right::Remote,
            "Too much must last" / "过高须持续",
            "How long too much must last. (Too little: an hour or longer.)" / "过高须持续的时长。（过低：一小时或更久。）";
        /// How many times as much as usual is too much.
        ///
        /// Default 4: among weeks of one small business the same hour differs by a factor of two as often as not. Bounds: twice
        /// as much is any other week; a hundred times as much is not missed.
        factor: u32 = count(within(2, 100), 4), Right::Remote,
            "Too much is so many times the usual" / "过高：达到平时的倍数",
            "Too much is so many times the usual." / "达到平时的这么多倍视为过高。";
        /// By how much it must be above the usual, whatever that is, and how much makes an hour worth missing.
        ///
        /// Default 1 Mbit/s: over a quarter of an hour 110 MB, which a leak that matters exceeds and a chatty camera does not.
        /// Bounds: a telephone call; all of a gigabit line.
        least: Rate = quantity(within(Rate(64_000), Rate(1_000_000_000)), Rate(1_000_000)), Right::Remote,
            "And at least so much above it" / "且至少高出平时",
            "Too much is also at least so much above the usual. An hour is busy if it usually carries as much." /
            "过高还须至少高出平时这么多。平时达到此流量的时段视为繁忙。";
        /// How many weeks must be known of an hour before it is spoken of.
        ///
        /// Default 3: the median of three withstands one odd week. Bounds: one week is no custom; six are remembered.
        weeks: u32 = count(within(2, WEEKS as u32), 3), Right::Remote,
            "Weeks that must be known" / "须已了解的周数",
            "How many weeks must be known of an hour before it is spoken of." / "某个时段须了解多少周后才作判断。";
        /// Whether the platform is asked to call, and not only told.
        ///
        /// Default false: what a business sends at night is its own affair, and more often a backup than a burglar.
        callback: bool = Flag(false), Right::Remote,
            "Ask for a call as well" / "同时请求回访",
            "Whether too much makes a callback as well (severity low)." / "过高时是否也请求回访（低优先级）。";
    }
}

impl Default for Usage {
    fn default() -> Usage {
        <Usage as super::options::Declared>::absent()
    }
}
