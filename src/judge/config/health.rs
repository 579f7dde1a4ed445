//! `[health]`: when the gateway itself is in trouble.

use super::bounds::{Bounds, within};
use super::kinds::{count, quantity, quantity_form, row};
use super::options::{Form, Kind, Note, Right, options};
use super::quantity::Quantity;
use super::reader::{Reader, Section};
use linekeeper_contract::units::{Millicelsius, Permille, Span};

/// When a warning is raised and when it ends. The two values form a hysteresis: a reading that wavers around one of them is
/// reported once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits<T> {
    /// At this value or beyond a warning is raised.
    pub failing: T,
    /// At this value or better the warning ends.
    pub recovering: T,
}

options! {
    /// When the gateway itself is in trouble.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Health = section "health", "Health" / "网关健康",
        "When the gateway itself is in trouble: warnings in the log, in `linekeeper status`, on the status page and as events to the \
         operator. A WAN port that negotiates a lower rate than before and three unexpected restarts within a day are \
         warnings too." /
        "网关自身状况不佳时：在日志、`linekeeper status` 和状态页中告警，并以事件告知运营商。WAN 口协商速率低于以往、\
         一天内三次无人下令的重启也会告警。" {
        /// How often the readings are taken.
        ///
        /// Default 60 s: memory leaks and fills flash over hours, heat over minutes. One look reads a dozen files and the
        /// list of processes. Bounds: five seconds already cost a small processor as much as all the echoes; after an hour the
        /// flash is full.
        every: Span = quantity(within(Span::seconds(5), Span::hours(1)), Span::seconds(60)).written("60 s"), Right::Remote,
            "Check interval" / "检查间隔",
            "How often the readings are taken." / "多久检查一次。";
        /// This many readings in a row beyond `failing` raise a warning.
        ///
        /// Default 5: five minutes. A backup, an update of filter lists or the customer's download keeps a small
        /// processor busy for less. Bounds: 1 warns at every peak; 60 are an hour at the default interval.
        readings: u32 = count(within(1, 60), 5), Right::Remote,
            "Readings in a row" / "连续读数",
            "This many readings in a row at `failing` or beyond raise a warning. One reading at `recovering` or better ends it." /
            "连续这么多次达到或越过告警值即告警，一次达到或好于恢复值即解除。";
        /// Processor in use.
        ///
        /// Default: fails at 95 %, recovers at 80 %. What routes at line rate without hardware help is at 80 to 90 % and
        /// well.
        cpu: Limits<Permille> = too_high(SHARE, Permille(950), Permille(800)), Right::Remote,
            "Processor in use" / "处理器占用", "Processor in use." / "";
        /// Memory that is available (the kernel's `MemAvailable`).
        ///
        /// Default: fails at 8 %, recovers at 15 %: of 128 MB these are 10 MB, below which the kernel of a small router
        /// begins to end processes, and 19 MB.
        memory: Limits<Permille> = too_low(SHARE, Permille(80), Permille(150)), Right::Remote,
            "Memory available" / "可用内存", "Memory that is available." / "";
        /// Flash that is free, of the store's file system.
        ///
        /// Default: fails at 5 %, recovers at 10 %: JFFS2 and UBIFS grow slow and then refuse as they run full.
        flash: Limits<Permille> = too_low(SHARE, Permille(50), Permille(100)), Right::Remote,
            "Flash free" / "闪存剩余", "Flash that is free, where `store.directory` is." / "";
        /// The hottest sensor.
        ///
        /// Default: fails at 95 °C, recovers at 85 °C: routers' processors and Wi-Fi radios throttle or switch off from
        /// 100 to 115 °C on. Bounds: a cool room to where silicon ends.
        temperature: Limits<Millicelsius> = too_high(
                within(Millicelsius(20_000), Millicelsius(150_000)), Millicelsius(95_000), Millicelsius(85_000),
            ), Right::Remote,
            "Hottest sensor" / "最高温度", "The hottest sensor." / "";
        /// Connection tracking table in use.
        ///
        /// Default: fails at 90 %, recovers at 75 %. When it is full every new connection of the customer's is dropped.
        conntrack: Limits<Permille> = too_high(SHARE, Permille(900), Permille(750)), Right::Remote,
            "Connection table in use" / "连接跟踪表占用", "Connection tracking table in use." / "";
        /// Received packets that were damaged on the WAN port.
        ///
        /// Default: fails at 1 %, recovers at 0.1 %. A sound copper port damages fewer than one in a million (IEEE 802.3
        /// allows a bit in 10^10); at 1 % a TCP connection over 20 ms is held to some 6 Mbit/s (Mathis).
        port_errors: Limits<Permille> = too_high(SHARE, Permille(10), Permille(1)), Right::Remote,
            "Packets damaged on the WAN port" / "WAN 口损坏的数据包",
            "Received packets that were damaged on the WAN port." / "";
    }
}

impl Default for Health {
    fn default() -> Health {
        <Health as super::options::Declared>::absent()
    }
}

/// Any share.
const SHARE: Bounds<Permille> = within(Permille(1), Permille(1_000));
const KEYS: &[&str] = &["failing", "recovering"];

/// On which side of its limit a reading is bad.
#[derive(Clone, Copy, PartialEq)]
enum Bad {
    High,
    Low,
}

/// A table of `failing` and `recovering`.
struct TwoLimits<Q> {
    bounds: Bounds<Q>,
    default: Limits<Q>,
    bad: Bad,
}

const fn too_high<Q: Copy>(bounds: Bounds<Q>, failing: Q, recovering: Q) -> TwoLimits<Q> {
    TwoLimits { bounds, default: Limits { failing, recovering }, bad: Bad::High }
}

const fn too_low<Q: Copy>(bounds: Bounds<Q>, failing: Q, recovering: Q) -> TwoLimits<Q> {
    TwoLimits { bounds, default: Limits { failing, recovering }, bad: Bad::Low }
}

impl<Q: Quantity> Kind for TwoLimits<Q> {
    type Value = Limits<Q>;

    fn absent(&self) -> Limits<Q> {
        self.default
    }

    fn read(&self, reader: &mut Reader<'_>, section: &Section<'_>, key: &str) -> Limits<Q> {
        let section = reader.section(section, key);
        let failing = reader.quantity(&section, "failing", self.bounds).unwrap_or(self.default.failing);
        let recovering =
            reader.quantity(&section, "recovering", self.bounds).unwrap_or(self.default.recovering);
        let (wrong, side) = match self.bad {
            Bad::High => (recovering >= failing, "below"),
            Bad::Low => (recovering <= failing, "above"),
        };
        if wrong {
            let words = format!("must be {side} {} ({failing}), is {recovering}", section.path("failing"));
            reader.fault(&section.path("recovering"), words);
        }
        reader.unknown(&section, KEYS);
        Limits { failing, recovering }
    }

    fn form(&self) -> Form {
        let form = || quantity_form(self.bounds);
        let Limits { failing, recovering } = self.default;
        Form::Table(vec![
            row("failing", form(), failing.to_string().into(), "%s: warn at"),
            row("recovering", form(), recovering.to_string().into(), "%s: recovers at"),
        ])
    }

    fn notes(&self) -> Vec<Note> {
        ["%s：告警值", "%s：恢复值"].map(|title| Note { title, ..Note::default() }).to_vec()
    }
}
