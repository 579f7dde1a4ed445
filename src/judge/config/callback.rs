//! `[callback]` and `[programme]`: when the operator is asked to call the customer.

use super::bounds::{Bounds, within};
use super::kinds::{Words, quantity};
use super::options::{Form, Kind, Pattern, Right, Uci, options};
use super::reader::{Reader, Section, Show};
use linekeeper_contract::units::Span;
use linekeeper_contract::vocabulary::Reading;
use serde_json::Value;

/// Zero requests a call at once. After a day the customer has called.
pub const AFTER: Bounds<Span> = within(Span::ZERO, Span::days(1));
/// Windows that fail for five minutes are no more than suspicion; after a day the customer has called.
pub const QUALITY: Bounds<Span> = within(Span::minutes(5), Span::days(1));

options! {
    /// When the operator is asked to call the customer.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Callback = section "callback", "Calls" / "回访",
        "When the operator is asked to call the customer." / "何时给客户回电。" {
        /// How long an incident must last before a callback is requested.
        ///
        /// Default 60 s: no person can be called sooner, and an outage without a local remedy (beyond the operator's
        /// first router) often ends within the minute. Bounds: zero requests a call at once; after a day the customer has called.
        after: Span = quantity(AFTER, Span::seconds(60)).written("60 s"), Right::Remote,
            "Request a call after" / "最早时机",
            "How long an incident must last before a callback is requested." / "事件持续达到此时长后才上报。";
        /// How long high latency or loss must last before a callback is requested.
        ///
        /// Default 30 min: the line works meanwhile, so there is no hurry. Busy evenings and weather that pass in this time are not
        /// worth a call, and a fault that is repaired in this time (a changed route, a line card) needs none. Bounds: windows
        /// that fail for five minutes are no more than suspicion.
        quality: Span = quantity(QUALITY, Span::minutes(30)), Right::Remote,
            "For high latency or loss after" / "时延或丢包持续多久后回电",
            "How long high latency or loss must last before a callback is requested." / "时延偏高或丢包须持续这么久。";
        /// How long to wait for a receipt after the broker's acknowledgement before repeating the request; doubles up to an hour.
        ///
        /// Default 60 s. Bounds: within 5 s the platform may still be processing the request; the wait doubles up to an hour anyway.
        receipt: Span = quantity(within(Span::seconds(5), Span::hours(1)), Span::seconds(60)).written("60 s"),
            Right::Remote,
            "Repeat after" / "重新请求间隔",
            "How long to wait for the platform's receipt before repeating the request; doubles up to an hour." /
            "未收到回执时多久后重新请求；逐次加倍，最长一小时。";
        /// Which warnings of the gateway also request a callback.
        ///
        /// Default none. Each warning is reported as an event in any case; what it warns of has not happened yet, and the
        /// operator can fix most of it remotely. Those that need the customer's hands are `temperature`, `port_errors`, `port_speed`,
        /// `port_duplex` and `restarts`: for an operator whose agents may ask for them.
        warnings: Vec<Reading> = Words {
                all: &Reading::ALL, name: Reading::as_str, least: 0, default: &[],
                what: "warnings", again: "lists {} twice",
            }, Right::Remote,
            "Call for warnings of" / "以下告警时请求回访",
            "Which warnings of the gateway also request a callback (severity low)." /
            "哪些网关告警也请求回访（低优先级）。",
            labels [
                "Processor in use" / "处理器占用",
                "Memory available" / "可用内存",
                "Flash free" / "闪存剩余",
                "Hottest sensor" / "最高温度",
                "Connection table in use" / "连接跟踪表占用",
                "Packets damaged on the WAN port" / "WAN 口损坏的数据包",
                "WAN port slower than before" / "WAN 口速率低于以往",
                "Unexpected restarts" / "意外重启",
                "WAN port at half duplex" / "WAN 口为半双工",
            ], uci [Uci::None];
    }
}

options! {
    /// The follow-up calls of a new installation.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Programme = section "programme", "Follow-up calls" / "回访",
        "The follow-up calls after a new installation. They need device.installed and a clock set by NTP." /
        "新装后的回访：需要安装日期和经 NTP 校准的时钟。" {
        /// How long after `device.installed` each is due, rising. Empty: none.
        ///
        /// Default 24 h, 7 d and 30 d: a day shows the installer's mistakes, a week covers the customer's habits, and after
        /// a month customers judge the contract. Bounds: none, where the operator calls by its own calendar; a call a
        /// month for a year. Within the first minute nobody has used the line; a follow-up after more than two years is another
        /// matter.
        after: Vec<Span> = Rising, Right::Remote,
            "Due after the installation" / "安装后多久到期",
            "How long after the installation each call is due, in ascending order: up to 12, each 1 min to 800 d." /
            "安装后多久回访，由小到大，最多 12 个，每个 1 min 到 800 d。",
            uci [Uci::None];
    }
}

/// A list of times, each later than the one before it.
struct Rising;

const DUE: [(&str, Span); 3] = [("24 h", Span::hours(24)), ("7 d", Span::days(7)), ("30 d", Span::days(30))];
const CALLS: Bounds<usize> = within(0, 12);

impl Kind for Rising {
    type Value = Vec<Span>;

    fn absent(&self) -> Vec<Span> {
        DUE.map(|(_, span)| span).to_vec()
    }

    fn read(&self, reader: &mut Reader<'_>, section: &Section<'_>, key: &str) -> Vec<Span> {
        let Some(written) = reader.list(section, key, CALLS, "times", Show::Open) else {
            return self.absent();
        };
        let mut times: Vec<Span> = Vec::new();
        for (path, value) in written {
            let bounds = within(Span::minutes(1), Span::days(800));
            let Some(span) = reader.quantity_at(&path, value, bounds) else { continue };
            if times.last().is_some_and(|last| *last >= span) {
                reader.fault(&path, format!("must be later than the one before it, is {span}"));
            }
            times.push(span);
        }
        times
    }

    fn form(&self) -> Form {
        Form::List { pattern: Pattern::Time, least: CALLS.least, most: CALLS.most }
    }

    fn default(&self) -> Option<Value> {
        Some(DUE.map(|(written, _)| written).to_vec().into())
    }
}
