//! `[outage]`: when silence counts as an outage.

use super::bounds::{Bounds, within};
use super::kinds::{count, quantity};
use super::options::{Right, options};
use super::reader::{Reader, Section};
use linekeeper_contract::units::{Rate, Span};

/// One break is no flapping. With more than a hundred the finding would come too late to be of use.
pub const FLAPPING: Bounds<u32> = within(2, 100);

options! {
    /// When silence counts as an outage, and which breaks form one incident.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Outage = section "outage", "Outage" / "宽带中断",
        "When silence counts as an outage, and which breaks form one incident." / "多久没有应答视为中断，哪些中断属于同一事件。",
        check Outage::contradictions {
        /// A shorter break is counted as a disconnect, and nothing is done about it.
        ///
        /// Default 2 s: declared after it plus one probe interval and one time limit, about 2.4 s in the median. Bounds: shorter
        /// than two lost echoes is noise; ten minutes of silence are an outage to anyone.
        patience: Span = quantity(within(Span::millis(500), Span::minutes(10)), Span::seconds(2)), Right::Remote,
            "Patience" / "容忍时长",
            "A shorter break is counted, but nothing is done about it." / "短于此值的中断只计数不处理。";
        /// Breaks that follow each other within this time are one incident.
        ///
        /// Default 5 min: in 156 days of one real line it merged 926 breaks into 478 incidents; half an hour would have
        /// merged them into 294, and kept an incident open for longer than a customer calls it one. Bounds: 6 h is the longest
        /// for which figures exist (926 breaks become 99 incidents).
        hold_down: Span = quantity(within(Span::seconds(10), Span::hours(6)), Span::minutes(5)), Right::Remote,
            "Hold-down" / "合并时长",
            "Breaks that follow each other within this time are one incident." / "在此时长内相继发生的中断视为同一事件。";
        /// An incident with this many breaks is `flapping`.
        ///
        /// Default 5: one break and its repeat are one fault; with five, each within 5 min of the last,
        /// nobody can work on the line, although each break ends by itself. Bounds: one break is no flapping; with more than a hundred the
        /// finding would come too late to be of use.
        flapping: u32 = count(FLAPPING, 5), Right::Remote,
            "Flapping from" / "闪断阈值",
            "An incident with this many breaks is flapping." / "同一事件中达到这么多次中断即为闪断。";
        /// Incoming unicast traffic at or above this rate proves that the line works, even if no echo is answered.
        ///
        /// Default 10 kbit/s: cake-autorate's stall threshold, above what the answers to our own burst to a live
        /// gateway amount to, below any use of the line. Bounds: less than 1 kbit/s is one stray packet every few seconds;
        /// above 10 Mbit/s no lightly used line would ever reach it.
        veto: Rate = quantity(within(Rate(1_000), Rate(10_000_000)), Rate(10_000)), Right::Remote,
            "Traffic that proves the line" / "证明线路可用的流量",
            "Incoming traffic at or above this rate proves that the line works, even if no echo is answered." /
            "入向流量达到此值即证明线路可用，无论探测结果如何。";
    }
}

impl Outage {
    fn contradictions(&mut self, reader: &mut Reader<'_>, section: &Section<'_>) {
        let Outage { patience, hold_down, .. } = *self;
        if patience > hold_down {
            reader.fault(
                &section.path("patience"),
                format!("must not be above outage.hold_down ({hold_down}), is {patience}"),
            );
        }
    }
}
