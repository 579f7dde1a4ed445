//! `[promise]`: what the contract promises.

use super::bounds::within;
use super::kinds::{Choice, Maybe, count, quantity, table};
use super::options::{Right, options};
use super::reader::{Reader, Section};
use linekeeper_contract::units::{Bytes, Permille, Rate, Span};

/// The rule that decides whether the rates are kept. `judge::promise` describes each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Rule {
    /// `sequential`: a repeated sequential probability ratio test.
    #[default]
    Sequential,
    /// `bnetza-2021`: 30 tests on 3 days (Germany).
    Bnetza2021,
    /// `ctu-2021`: lasting and recurring deviations (Czechia).
    Ctu2021,
    /// `fcc-80-80`: 80 % of the tests at 80 % of the rate (United States, high-cost programme).
    Fcc8080,
    /// `share`: too many of the last tests short.
    Share {
        /// How many short tests break the promise: [`Share::short`].
        short: u32,
        /// Out of how many of the last tests: [`Share::of`].
        of: u32,
    },
}

impl Rule {
    /// As configuration and messages write it.
    pub const fn name(self) -> &'static str {
        match self {
            Rule::Sequential => "sequential",
            Rule::Bnetza2021 => "bnetza-2021",
            Rule::Ctu2021 => "ctu-2021",
            Rule::Fcc8080 => "fcc-80-80",
            Rule::Share { .. } => "share",
        }
    }
}

/// The numbers come from [`Promise::share`].
const SHARE: Rule = Rule::Share { short: 0, of: 0 };
const RULES: &[(&str, Rule)] = &[
    (Rule::Sequential.name(), Rule::Sequential),
    (Rule::Bnetza2021.name(), Rule::Bnetza2021),
    (Rule::Ctu2021.name(), Rule::Ctu2021),
    (Rule::Fcc8080.name(), Rule::Fcc8080),
    (SHARE.name(), SHARE),
];

options! {
    /// What the contract promises. An absent value is not promised.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Promise = section "promise", "Promise" / "签约承诺",
        "What the contract promises. An absent value is not promised." / "签约内容，留空表示未承诺。",
        check Promise::contradictions {
        /// Towards the customer.
        download: Rates = table::<Rates>(), Right::Remote,
            "Download" / "下行",
            "minimum: never below. normal: most of the time. maximum: sometimes." /
            "minimum：最低速率。normal：常态速率。maximum：最高速率。",
            shows { "minimum": "60 Mbit/s", "normal": "90 Mbit/s", "maximum": "100 Mbit/s" };
        /// From the customer.
        upload: Rates = table::<Rates>(), Right::Remote,
            "Upload" / "上行",
            "The same, from the customer." / "从客户发出的方向。",
            shows { "minimum": "12 Mbit/s", "normal": "18 Mbit/s", "maximum": "20 Mbit/s" };
        /// Highest round-trip time: 95 of 100 to the nearest target stay within it. `judge::quality` describes how
        /// that is decided.
        ///
        /// Bounds: below a millisecond no access network is; 10 s is beyond anything that is sold.
        latency: Option<Span> = Maybe(within(Span::millis(1), Span::seconds(10))), Right::Remote,
            "Highest round trip" / "最大往返时延",
            "Highest round-trip time: 95 of 100 must stay within it while nobody uses the line. If absent: no limit." /
            "最大往返时延：线路空闲时 100 次中有 95 次不超过它。留空：不判断时延。",
            shows "50 ms";
        /// Highest share of lost packets. `judge::quality` describes this too.
        ///
        /// Bounds: 0.1 % is the finest that some thousand echoes show; half lost is no service.
        loss: Option<Permille> = Maybe(within(Permille(1), Permille(500))), Right::Remote,
            "Highest loss" / "最大丢包率",
            "Highest share of lost packets. If absent: no limit." / "最大丢包率。留空：不判断丢包。",
            shows "1 %";
        /// The rule that decides whether the rates are kept.
        ///
        /// Default `sequential`: finds a lasting shortfall in the fewest tests at a known rate of false alarms. The others
        /// are what some regulators, or the operator's own contract, want shown.
        rule: Rule = Choice(RULES), Right::Remote,
            "Rule" / "判定规则",
            "The rule that decides whether the rates are kept: \"sequential\" (fewest tests for a known rate of false alarms), \
             \"bnetza-2021\" (Germany: 30 tests on 3 days), \"ctu-2021\" (Czechia: lasting and recurring deviations), \
             \"fcc-80-80\" (United States: 80 % of the evening's tests at 80 % of the rate), \"share\" (too many of the last \
             tests short)." /
            "按哪种规则判断是否达到签约速率。",
            labels [
                "sequential test (fewest tests)" / "序贯检验（测试次数最少）",
                "Bundesnetzagentur 2021 (Germany)" / "Bundesnetzagentur 2021（德国）",
                "ČTÚ 2021 (Czechia)" / "ČTÚ 2021（捷克）",
                "FCC 80/80 (United States)" / "FCC 80/80（美国）",
                "share of the last tests" / "最近若干次中的不达标次数",
            ];
        /// Share of the normal rate below which a test is short (rules `sequential` and `share`).
        ///
        /// Default 80 %: the line that the FCC draws for subsidised lines, and the one at which the sequential rule was
        /// tried on three real logs. Nearer to 100 % a test's own error and the rush hour weigh more than the line. Bounds:
        /// below 1 % is no line; above the whole no line is.
        threshold: Permille = quantity(within(Permille(10), Permille(1_000)), Permille(800)), Right::Remote,
            "Threshold" / "不达标阈值",
            "Share of the normal rate below which a test is short. For the rules \"sequential\" and \"share\"." /
            "相对常态速率的比例，低于它的测试视为不达标。用于序贯检验和次数规则。";
        /// The numbers of the rule `share`; [`Rule::Share`] has them.
        share: Share = table::<Share>(), Right::Remote,
            "" / "",
            "The promise counts as broken when this many of the last tests are short." / "",
            example { "short": 4, "of": 6 }, with "rule" ["share"];
    }
}

options! {
    /// The three contract numbers of one direction (BEREC BoR (20) 112: minimum, normally available, maximum).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Rates {
        /// Never below.
        minimum: Option<Rate> = Maybe(RATE), Right::Remote,
            "%s, never below" / "%s最低速率", "" / "";
        /// Most of the time.
        normal: Option<Rate> = Maybe(RATE), Right::Remote,
            "%s, most of the time" / "%s常态速率", "" / "";
        /// Sometimes.
        maximum: Option<Rate> = Maybe(RATE), Right::Remote,
            "%s, sometimes" / "%s最高速率", "" / "";
    }
}

/// ISDN's one channel to the fastest access that is sold. Outside is a slip in the unit.
const RATE: super::bounds::Bounds<Rate> = within(Rate(64_000), Rate(100_000_000_000));

options! {
    /// The numbers of the rule `share`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Share {
        /// How many short tests break the promise, 2 to `of`.
        ///
        /// Default 4. Bounds: never on one test.
        short: u32 = count(within(2, 32), 4), Right::Remote,
            "Short tests" / "不达标次数", "" / "";
        /// Out of how many of the last tests.
        ///
        /// Default 6: two bursts of three tests, of which two each are short, found nearly as much as the sequential
        /// rule on the three logs. Bounds: 32 are three days' quiet tests, and all that is kept of them.
        of: u32 = count(within(2, 32), 6), Right::Remote,
            "Out of the last" / "最近测试次数", "" / "";
    }
}

impl Default for Promise {
    fn default() -> Promise {
        <Promise as super::options::Declared>::absent()
    }
}

impl Promise {
    fn contradictions(&mut self, reader: &mut Reader<'_>, section: &Section<'_>) {
        self.download.contradictions(reader, &section.path("download"));
        self.upload.contradictions(reader, &section.path("upload"));
        let path = section.path("share");
        match &mut self.rule {
            Rule::Share { short, of } => {
                (*short, *of) = (self.share.short, self.share.of);
                if short > of {
                    reader.fault(
                        &format!("{path}.short"),
                        format!("must not be above {path}.of ({of}), is {short}"),
                    );
                }
            }
            Rule::Sequential | Rule::Bnetza2021 | Rule::Ctu2021 | Rule::Fcc8080 => {
                if section.has("share") && section.get("rule").is_none_or(|rule| rule != "share") {
                    reader.fault(&path, "is valid only with promise.rule = \"share\"");
                }
            }
        }
    }
}

impl Rates {
    /// The highest of the numbers.
    pub fn highest(&self) -> Option<Rate> {
        self.maximum.max(self.normal).max(self.minimum)
    }

    /// What a test of this length costs at most, on a line that is no faster than was sold: 15 % are added for what
    /// goes the other way, for what is on its way when it ends, and for a line that is a little faster.
    pub fn cost_most(&self, length: Span) -> Option<Bytes> {
        let bits = u128::from(self.highest()?.0) * u128::from(length.0) * 115 / 100 / 1_000;
        Some(Bytes(u64::try_from(bits / 8).unwrap_or(u64::MAX)))
    }

    fn contradictions(&self, reader: &mut Reader<'_>, path: &str) {
        let mut ordered = |low: &str, below: Option<_>, high: &str, above: Option<_>| {
            if let (Some(below), Some(above)) = (below, above)
                && below > above
            {
                reader.fault(
                    &format!("{path}.{low}"),
                    format!("must not be above {path}.{high} ({above}), is {below}"),
                );
            }
        };
        ordered("minimum", self.minimum, "normal", self.normal);
        ordered("normal", self.normal, "maximum", self.maximum);
        if self.normal.is_none() {
            ordered("minimum", self.minimum, "maximum", self.maximum);
        }
    }
}
