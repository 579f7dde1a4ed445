//! `[telemetry]` and `[privacy]`: what the periodic summaries contain, and what may leave the gateway at all.

use super::bounds::within;
use super::kinds::{Choice, Perhaps, Words, quantity};
use super::options::{Declared, Right, Uci, options};
use super::reader::{Reader, Section};
use linekeeper_contract::units::Span;

/// A group of fields in a summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// `line`: time up, down and unknown, disconnects.
    Line,
    /// `echo`: round trips and loss.
    Echo,
    /// `traffic`: bytes and peak rates.
    Traffic,
    /// `speed`: tests and verdicts.
    Speed,
}

impl Group {
    /// All.
    pub const ALL: [Group; 4] = [Group::Line, Group::Echo, Group::Traffic, Group::Speed];

    /// As configuration writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Group::Line => "line",
            Group::Echo => "echo",
            Group::Traffic => "traffic",
            Group::Speed => "speed",
        }
    }
}

/// A group of fields in callbacks, events and states. Fields outside these groups are always sent: without them the message
/// would be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shared {
    /// `customer`: the reference to the customer, in callbacks. A platform that knows whose gateway it is needs none.
    Customer,
    /// `facts`: what was seen, in callbacks.
    Facts,
    /// `samples`: measurements, and the summary of a follow-up call, in callbacks.
    Samples,
    /// `recorder`: the flight recorder's two minutes, with the traffic of each second, in callbacks and events.
    Recorder,
    /// `remedies`: what was tried, in callbacks. (Events tell each.)
    Remedies,
    /// `troubles`: which parts of the agent do not work and why, in the state.
    Troubles,
}

impl Shared {
    /// All.
    pub const ALL: [Shared; 6] = [
        Shared::Customer,
        Shared::Facts,
        Shared::Samples,
        Shared::Recorder,
        Shared::Remedies,
        Shared::Troubles,
    ];

    /// As configuration writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Shared::Customer => "customer",
            Shared::Facts => "facts",
            Shared::Samples => "samples",
            Shared::Recorder => "recorder",
            Shared::Remedies => "remedies",
            Shared::Troubles => "troubles",
        }
    }
}

options! {
    /// The periodic summaries.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Telemetry = section "telemetry", "Summaries" / "汇总",
        "Periodic summaries for the operator. They are kept in memory until they are sent, and dropped before anything else." /
        "平时向运营商报告的汇总，发送前存于内存，必要时最先丢弃。", check Telemetry::none_without_fields {
        /// How much time a summary covers. `None`: there are no summaries.
        ///
        /// Default 1 h: 24 messages of some 700 bytes a day, and the rush hour can be told from the others. Bounds: less than
        /// 5 min is no summary; one a day does not show the rush hour.
        every: Option<Span> = Perhaps(quantity(within(Span::minutes(5), Span::days(1)), Span::hours(1))), Right::Remote,
            "Summary interval" / "每份汇总覆盖",
            "How much time a summary covers." / "每份汇总所覆盖的时长。";
        /// Which groups of fields are sent.
        ///
        /// Default all: none of them shows what the customer does, only how much.
        fields: Vec<Group> = Words {
                all: &Group::ALL, name: Group::name, least: 0, default: &Group::ALL,
                what: "groups", again: "lists {} twice",
            }, Right::Remote,
            "Content" / "包含的内容",
            "Which groups of fields a summary contains. An empty list: no summaries." / "包含哪些字段。空列表：不发送汇总。",
            labels [
                "Line" / "线路", "Round trips and loss" / "往返时延与丢包", "Traffic" / "流量", "Speed tests" / "测速",
            ], uci [Uci::None, Uci::Strict];
    }
}

impl Telemetry {
    fn none_without_fields(&mut self, _: &mut Reader<'_>, _: &Section<'_>) {
        if self.fields.is_empty() {
            self.every = None;
        }
    }
}

const LEAVES: Right = Right::Local("only the gateway's own configuration sets what may leave it");

options! {
    /// What may leave the gateway. By what rules: [`linekeeper::privacy`].
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Privacy = section "privacy", "Privacy" / "隐私",
        "What may leave the gateway. Addresses of configured hosts are never masked. All other addresses are always masked in \
         the log." /
        "哪些信息可以离开网关。此处所设主机的地址从不遮盖，其他地址在日志中始终遮盖。" {
        /// Whether messages contain full addresses (`privacy.addresses = "full"`).
        ///
        /// Default `masked`: the network part is enough to see whose router or DNS server is meant, and a platform
        /// cannot leak what it does not have.
        full_addresses as "addresses": bool = Choice(&[("masked", false), ("full", true)]), LEAVES,
            "Addresses" / "地址",
            "Addresses in messages: \"masked\" (198.51.100.x, 2001:db8:1:x, 02:42:ac:xx:xx:xx) or \"full\"." /
            "消息中的地址：遮盖（198.51.100.x、2001:db8:1:x、02:42:ac:xx:xx:xx）或完整。",
            labels ["masked" / "遮盖", "in full" / "完整"];
        /// Which groups of fields are in callbacks, events and states.
        ///
        /// Default all: the agent who calls reads them, and they show that the call is justified.
        fields: Vec<Shared> = Words {
                all: &Shared::ALL, name: Shared::name, least: 0, default: &Shared::ALL,
                what: "groups", again: "lists {} twice",
            }, LEAVES,
            "What is sent" / "发送内容",
            "Which groups of fields are sent: customer (the reference to the customer), facts, samples (in callbacks), recorder \
             (the flight recorder, with each second's traffic), remedies (in callbacks), troubles (in the state)." /
            "发送哪些字段：客户编号、事实与测量值（在回访请求中）、逐秒记录、已尝试的修复、本机的故障（在状态中）。",
            labels [
                "Reference to the customer" / "客户编号", "What was seen" / "观察到的事实", "Measurements" / "测量值",
                "Two minutes, second by second" / "逐秒记录（两分钟）", "What was tried" / "已尝试的修复",
                "What does not work here" / "本机的故障",
            ], uci [Uci::None, Uci::Strict];
    }
}

impl Default for Privacy {
    fn default() -> Privacy {
        Privacy::absent()
    }
}
