//! `[speed]`: how the line's speed is tested.

use super::bounds::{Bounds, within};
use super::host;
use super::kinds::{count, quantity, table};
use super::options::{ASKED, Form, Kind, Pattern, Right, Uci, options};
use super::promise::Promise;
use super::reader::{Reader, Section, Show, join};
use linekeeper_contract::units::{Bytes, Permille, Span};

/// After less than 3 s the median error of real wireless tests was 10 %; 30 s tell no more than 10.
const TEST: Bounds<Span> = within(Span::seconds(3), Span::seconds(30));

const SPENDS: Right = Right::Signed("it decides how much of the customer's data is spent");

options! {
    /// How the line's speed is tested.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Speed = section "speed", "Speed tests" / "测速",
        "How the line's speed is tested. Without servers no tests run, and only the customer's own traffic is observed." /
        "如何测速。未设置服务器则不测速，只观察自然产生的流量。", check Speed::contradictions {
        /// URLs of test servers, the preferred one first; `SpeedOrder::server` counts them from 0. Empty: no tests
        /// run, and only the customer's own traffic is observed. 1 to 4: the others tell the first one's faults from the
        /// line's; more than four confirm nothing that two do not.
        servers: Vec<String> = Servers(within(1, 4)), ASKED,
            "Servers" / "服务器",
            "Web servers for download and upload, the preferred one first. They should be in the operator's network, near the \
             access; otherwise the test measures the internet. A second server tells a fault of the server from one of the \
             line. http:// costs less processor time than https://." /
            "可上传下载的 Web 服务器，首选在前，应位于运营商网内、靠近接入侧，否则测到的是互联网。多设一台可区分服务器故障与线路故障。\
             http:// 比 https:// 更省网关的处理器。",
            shows ["http://speed.isp.example/", "http://speed2.isp.example/"];
        /// How much data tests may use.
        budget: Budget = table::<Budget>(), SPENDS,
            "" / "", "The most data that tests may use in any 24 hours and in any 31 days." / "";
        /// Duration of a test, unless it ends early.
        ///
        /// Default 10 s: what TR-471 takes. The ramp is over after 2 or 3 s, and a shaper that lets a burst pass first
        /// shows its true rate after some seconds. Bounds: after less than 3 s the median error of real wireless tests was
        /// 10 %; 30 s tell no more than 10.
        seconds: Span = quantity(TEST, Span::seconds(10)), Right::Remote,
            "Test duration" / "单次时长",
            "Duration of a test, unless it ends early." / "未提前结束的测试所用的时长。";
        /// How many rounds of tests a quiet day has, spread over its hours.
        ///
        /// Default 10: one about every two and a half hours, so that an episode of an evening meets two or three, and a short one is
        /// followed by more. When the budgets do not reach so far, it is as many as two thirds of them pay for. Bounds: once a day is
        /// seldom, and honest; two an hour is what a suspicion gets.
        per_day: u32 = count(within(1, 48), 10), SPENDS,
            "Rounds a day" / "每日轮数",
            "Rounds of tests on a quiet day, spread over its hours." / "正常的一天内的测速轮数，分布在各个时段。",
            uci [Uci::Instead("1")];
        /// When the line is quiet enough for a test.
        quiet: Quiet = table::<Quiet>(), Right::Remote,
            "" / "", "A test waits until no more than this share of the promise was in use during this window." / "";
    }
}

options! {
    /// How much data tests may use, both directions together.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Budget {
        /// The most in any 24 hours.
        ///
        /// Default 1 GB: five whole rounds at 100/20 Mbit/s, of which four are enough for a finding. Bounds: a megabyte is a
        /// few seconds of the slowest line that is sold; 100 GB are a hundred tests of the fastest.
        day: Bytes = quantity(within(Bytes(1_000_000), Bytes(100_000_000_000)), Bytes(1_000_000_000)), Right::Remote,
            "Most in 24 hours" / "24 小时上限", "" / "", uci [Uci::Whole];
        /// The most in any 31 days.
        ///
        /// Default 20 GB: two thirds of it are ten rounds a day at 100/20 Mbit/s, as long as the line keeps its promise and
        /// tests end early; the rest is for suspicions. Bounds: as the day's, and some days of those.
        month: Bytes = quantity(within(Bytes(1_000_000), Bytes(900_000_000_000)), Bytes(20_000_000_000)), Right::Remote,
            "Most in 31 days" / "31 天上限", "" / "", uci [Uci::Whole];
    }
}

options! {
    /// When the line is quiet enough for a test.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Quiet {
        /// The window over which use is measured.
        ///
        /// Default 10 s: a page is loaded in less, and who watches or downloads does so for longer. Bounds: three readings of
        /// the counters at least; no line is quiet for longer than a minute by chance.
        window: Span = quantity(within(Span::seconds(3), Span::minutes(1)), Span::seconds(10)), Right::Remote,
            "Quiet over" / "空闲观察窗口", "" / "";
        /// At most this share of the promise is in use, in each direction.
        ///
        /// Default 10 %: a call or a web radio goes on beside a test, a film or a download does not. Bounds: our own echoes
        /// alone are 0.1 % of a slow line; a line in half use is not quiet.
        share: Permille = quantity(within(Permille(1), Permille(500)), Permille(100)), Right::Remote,
            "Quiet below" / "空闲阈值", "Share of the promise in use." / "已占用签约速率的比例。";
    }
}

impl Default for Speed {
    fn default() -> Speed {
        <Speed as super::options::Declared>::absent()
    }
}

impl Speed {
    fn contradictions(&mut self, reader: &mut Reader<'_>, section: &Section<'_>) {
        let Budget { day, month } = self.budget;
        if day > month {
            let path = section.path("budget");
            reader
                .fault(&format!("{path}.day"), format!("must not be above {path}.month ({month}), is {day}"));
        }
    }

    /// Notes a fault if the budget does not cover a single test: such tests would silently never run.
    pub(super) fn affordable(&self, reader: &mut Reader<'_>, root: &Section<'_>, promise: &Promise) {
        if self.servers.is_empty() {
            return;
        }
        let least = [&promise.download, &promise.upload]
            .into_iter()
            .filter_map(|rates| rates.cost_most(TEST.least))
            .max();
        let day = self.budget.day;
        if let Some(least) = least.filter(|least| *least > day) {
            let path = join(&join(&root.path("speed"), "budget"), "day");
            let seconds = TEST.least;
            reader.fault(
                &path,
                format!("must cover one test of {seconds} at the promised rate, {least}, is {day}"),
            );
        }
    }
}

/// A list of URLs of test servers.
struct Servers(Bounds<usize>);

impl Kind for Servers {
    type Value = Vec<String>;

    fn absent(&self) -> Vec<String> {
        Vec::new()
    }

    fn read(&self, reader: &mut Reader<'_>, section: &Section<'_>, key: &str) -> Vec<String> {
        let items = reader.list(section, key, self.0, "URLs", Show::Secret).unwrap_or_default();
        let mut servers: Vec<String> = Vec::new();
        for (path, item) in items {
            match item.as_str().map(|text| (text, host::server(text))) {
                None => reader.must(&path, "text like \"http://speed.isp.example/\"", item, Show::Secret),
                Some((_, Err(words))) => reader.fault(&path, words),
                Some((text, Ok(()))) if servers.iter().any(|known| known == text) => {
                    reader.fault(&path, "is given twice");
                }
                Some((text, Ok(()))) => servers.push(text.to_owned()),
            }
        }
        servers
    }

    fn form(&self) -> Form {
        Form::List { pattern: Pattern::Server, least: self.0.least, most: self.0.most }
    }
}
