//! Configuration: what people write becomes what the code trusts, or every fault is told at once.
//!
//! People write TOML; OpenWrt's init script turns UCI into JSON. Both become one tree of values, which
//! [`read`](read::read()) turns into a [`Config`]. Bare numbers exist only in that tree, with their unit in the text.

use linekeeper_contract::message::CommandName;
use linekeeper_contract::units::{Bytes, LocalTime, Millicelsius, Permille, Rate, Span};
use linekeeper_contract::vocabulary::{Protocol, Reading, Rung};
use std::net::IpAddr;
use std::path::PathBuf;

pub mod bounds;
pub mod desired;
pub mod fault;
mod host;
pub mod quantity;
pub mod read;

pub use fault::{Fault, Faults, Places};
pub use read::read;

/// All that may be configured, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Who we are.
    pub device: Device,
    /// Which line is watched.
    pub line: Line,
    /// What was sold.
    pub promise: Promise,
    /// How it is watched.
    pub probe: Probe,
    /// How its speed is tested.
    pub speed: Speed,
    /// Which resolvers are asked, and for what.
    pub name: Name,
    /// Which web page tells whether somebody is in between.
    pub web: Web,
    /// When the gateway itself does badly.
    pub health: Health,
    /// When the traffic is unusual.
    pub usage: Usage,
    /// When silence is an outage, and what belongs together.
    pub outage: Outage,
    /// What may be done about it.
    pub remedies: Remedies,
    /// When the customer is to be called.
    pub callback: Callback,
    /// The follow-up calls of a new installation.
    pub programme: Programme,
    /// What is told in ordinary times.
    pub telemetry: Telemetry,
    /// What of it all may leave the gateway.
    pub privacy: Privacy,
    /// What the platform may order.
    pub commands: Commands,
    /// What the platform may configure.
    pub desired: Desired,
    /// Where to tell it. `None`: nowhere (a gateway that only repairs).
    pub mqtt: Option<Mqtt>,
    /// What program is run when something changes. `None`: none.
    pub hooks: Option<Hooks>,
    /// What is kept on flash.
    pub store: Store,
    /// The status socket.
    pub socket: PathBuf,
}

/// Who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Unique among the operator's gateways; part of every topic. 1 to 64 of `A-Z a-z 0-9 . _ -`.
    pub id: String,
    /// The operator's opaque reference to the customer. Never a name or number.
    pub customer: Option<String>,
    /// The operator's name for the part of the network, levels divided by `/`.
    pub area: Option<String>,
    /// When the line was installed. Its offset is the one in which times are shown.
    pub installed: Option<LocalTime>,
    /// In which language callbacks are described.
    pub language: Language,
}

/// Languages of the descriptions that are read to customers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Language {
    /// `en`
    En,
    /// `zh-CN`
    ZhCn,
}

/// Which line is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The kernel's name of the WAN device, 1 to 15 bytes. `None`: the one with the default route.
    pub device: Option<String>,
    /// OpenWrt's name of the WAN interface, of which netifd is asked and which its driver restarts. `None`: the one that has the
    /// device, or the default route.
    pub interface: Option<String>,
    /// Each byte costs the customer money: no speed tests, only what passes by itself is looked at.
    ///
    /// Default false.
    pub metered: bool,
    /// How it gets its address.
    ///
    /// Default `dhcp`: what most fixed lines behind a modem or an ONT use.
    pub protocol: Protocol,
    /// The Ethernet device below a PPPoE session, whose concentrator is asked over it. The session's own device is gone with
    /// the session, and the kernel does not tell over which one it ran. `None`: what lies below a session is not seen.
    pub port: Option<String>,
}

/// What was sold. What is absent was not promised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    /// Towards the customer.
    pub download: Rates,
    /// From the customer.
    pub upload: Rates,
    /// Highest round-trip time: what 95 of 100 stay within, to the nearest target. How that is judged is told in
    /// `judge::quality`.
    pub latency: Option<Span>,
    /// Highest share of lost packets. Judged there as well.
    pub loss: Option<Permille>,
    /// By what it is judged whether the rates are kept.
    ///
    /// Default `sequential`: finds a lasting shortfall in the fewest tests at a known rate of false alarms. The others
    /// are what some regulators, or the operator's own contract, want shown.
    pub rule: Rule,
    /// Share of the normal rate below which a test is short, 1 % to 100 % (rules `sequential` and `share`).
    ///
    /// Default 80 %: the line that the FCC draws for subsidised lines, and the one at which the sequential rule was
    /// tried on three real logs. Nearer to 100 % a test's own error and the rush hour weigh more than the line.
    pub threshold: Permille,
}

impl Default for Promise {
    fn default() -> Promise {
        Promise {
            download: Rates::default(),
            upload: Rates::default(),
            latency: None,
            loss: None,
            rule: Rule::Sequential,
            threshold: bounds::THRESHOLD_DEFAULT,
        }
    }
}

/// By what it is judged whether the rates are kept. Each is described where it is judged, in `judge::promise`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// `sequential`: a repeated sequential probability ratio test.
    Sequential,
    /// `bnetza-2021`: 30 tests on 3 days (Germany).
    Bnetza2021,
    /// `ctu-2021`: lasting and recurring deviations (Czechia).
    Ctu2021,
    /// `fcc-80-80`: 80 % of the tests at 80 % of the rate (United States, high-cost programme).
    Fcc8080,
    /// `share`: this many of the last so many tests short.
    Share {
        /// As many short ones break the promise, 2 to `of`.
        ///
        /// Default 4.
        short: u32,
        /// Of so many, 2 to 32.
        ///
        /// Default 6: two bursts of three tests, of which two each are short, found nearly as much as the sequential
        /// rule on the three logs.
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

/// The three contract numbers of one direction (BEREC BoR (20) 112: minimum, normally available, maximum).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rates {
    /// Never below.
    pub minimum: Option<Rate>,
    /// Most of the time.
    pub normal: Option<Rate>,
    /// Sometimes.
    pub maximum: Option<Rate>,
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
}

/// How the line is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Whom to ask, beside the line's own default gateway. 1 to 16.
    pub targets: Vec<Target>,
    /// Whether the default gateway is asked too.
    pub gateway: bool,
    /// Time between two echoes in quiet times, over all far targets in rotation.
    ///
    /// Default 500 ms: the rate of pfSense's dpinger. At 2 Hz of 60-byte IP packets the line carries about 10 MB a
    /// day each way; a target of three is asked every 1.5 s.
    pub interval: Span,
    /// When an echo counts as silent if no round-trip time is known; the ceiling of the adaptive limit after that.
    ///
    /// Default 1 s. RFC 2681 leaves it to the measurer; longer than any land line's loaded round trip but a
    /// badly bloated one, and the counters' veto covers those.
    pub timeout: Span,
    /// How long after a boot a line that was never up is only waited for.
    ///
    /// Default 2 min: a DSL modem trains in about one, an ONT registers in about half of one.
    pub grace: Span,
}

/// Whom to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// An address or a name.
    pub host: String,
    /// Where it stands.
    pub role: Role,
}

/// Where a target stands, from near to far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// In the operator's own network.
    Anchor,
    /// Beyond it, and independent of it.
    World,
}

impl Role {
    /// As configuration and facts write it.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Anchor => "anchor",
            Role::World => "world",
        }
    }
}

/// How the line's speed is tested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Speed {
    /// URLs of test servers, the preferred one first; `SpeedOrder::server` counts them from 0. Empty: no tests, only
    /// what passes by itself is looked at.
    pub servers: Vec<String>,
    /// The most that tests may cost in any 24 hours, both ways together.
    ///
    /// Default 1 GB: five whole rounds at 100/20 Mbit/s, of which four are enough for a finding.
    pub day: Bytes,
    /// The most that tests may cost in any 31 days.
    ///
    /// Default 20 GB: two thirds of it are ten rounds a day at 100/20 Mbit/s, as long as the line keeps its promise and
    /// tests end early; the rest is for suspicions.
    pub month: Bytes,
    /// How long a test takes that does not end early.
    ///
    /// Default 10 s: what TR-471 takes. The ramp is over after 2 or 3 s, and a shaper that lets a burst pass first
    /// shows its true rate after some seconds.
    pub seconds: Span,
    /// How many rounds of tests a quiet day has, spread over its hours.
    ///
    /// Default 10: on three real logs so many found 92 to 100 % of the slow episodes, none falsely, half of them
    /// within 2 h. When the budgets do not reach so far, it is as many as two thirds of them pay for.
    pub per_day: u32,
    /// When the line is quiet enough for a test.
    pub quiet: Quiet,
}

/// When the line is quiet enough for a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quiet {
    /// Over so long.
    ///
    /// Default 10 s: a page is loaded in less, and who watches or downloads does so for longer.
    pub window: Span,
    /// At most this share of the promise is in use, in each direction.
    ///
    /// Default 10 %: a call or a web radio goes on beside a test, a film or a download does not.
    pub share: Permille,
}

impl Default for Speed {
    fn default() -> Speed {
        Speed {
            servers: Vec::new(),
            day: bounds::DAY_DEFAULT,
            month: bounds::MONTH_DEFAULT,
            seconds: bounds::TEST_DEFAULT,
            per_day: bounds::PER_DAY_DEFAULT,
            quiet: Quiet { window: bounds::QUIET_WINDOW_DEFAULT, share: bounds::QUIET_SHARE_DEFAULT },
        }
    }
}

/// Which resolvers are asked, and for what.
///
/// How often is the judge's to say: seldom while the line is up, and when a fault has to be placed. `linekeeper
/// diagnose` asks once. Each time each resolver gets two small questions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The line's resolvers, at most 3. Empty: those that `resolv_conf` names.
    pub resolvers: Vec<IpAddr>,
    /// The file whose `nameserver` lines name the resolvers. `None`: the first that is there of
    /// [`bounds::RESOLV_CONF`], the line's own ones before those that a local resolver hides behind.
    pub resolv_conf: Option<PathBuf>,
    /// A resolver that is not the line's: if it answers and the line's does not, another resolver helps.
    ///
    /// Default: none is asked. It is asked whenever the line's own are. Whatever address stood here, every gateway of
    /// every operator would ask it, and its owner agreed to that with nobody; and to whom a fleet shows itself is the
    /// operator's to decide.
    pub independent: Option<IpAddr>,
    /// A name that exists.
    ///
    /// Default: the first of the names that stand in the configuration anyway (`speed.servers`, the brokers,
    /// `probe.targets`), which are the operator's to be asked for; where all are addresses, `example.com` (RFC 6761,
    /// 6.5). The question goes to the line's resolver, which knows that one by heart: nobody else is bothered, and a
    /// resolver that only knows what it knows is not found out by it. A name of the operator's own does that too if
    /// its records may be kept for a few seconds only.
    pub known: String,
    /// How often they are asked on a line that is up.
    ///
    /// Default 5 min: names that are dead for longer bring the customer's own call; of a fleet of a million, three
    /// thousand small questions a second over all resolvers, which an operator with fewer of either may want otherwise.
    pub every: Span,
}

/// Which web page tells whether somebody is in between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Web {
    /// `http://…`. By https a login page could not show itself.
    ///
    /// Default: none is asked, as no web server is everybody's to ask.
    pub url: Option<String>,
    /// What its server answers, 100 to 599.
    ///
    /// Default 204 (No Content): what those answer that are made for this, and no login page does.
    pub status: u16,
    /// What its answer consists of, white space at both ends aside. `None`: it is not looked at.
    pub body: Option<String>,
    /// How often it is asked on a line that is up.
    ///
    /// Default 15 min: a login page comes with a new session, which is looked at by itself, or with an unpaid bill, which
    /// does not hurry.
    pub every: Span,
}

/// When the gateway itself does badly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// How often it is looked at.
    ///
    /// Default 60 s: memory leaks and fills flash over hours, heat over minutes. One look reads a dozen files and the
    /// list of processes.
    pub every: Span,
    /// As many readings in a row beyond `failing` make a warning, 1 to 60.
    ///
    /// Default 5: five minutes. A backup, an update of filter lists or the customer's download keeps a small
    /// processor busy for less.
    pub readings: u32,
    /// Processor in use.
    ///
    /// Default: fails at 95 %, recovers at 80 %. What routes at line rate without hardware help is at 80 to 90 % and
    /// well.
    pub cpu: Limits<Permille>,
    /// Memory that is available (the kernel's `MemAvailable`).
    ///
    /// Default: fails at 8 %, recovers at 15 %: of 128 MB these are 10 MB, below which the kernel of a small router
    /// begins to end processes, and 19 MB.
    pub memory: Limits<Permille>,
    /// Flash that is free, of the store's file system.
    ///
    /// Default: fails at 5 %, recovers at 10 %: JFFS2 and UBIFS grow slow and then refuse as they run full.
    pub flash: Limits<Permille>,
    /// The hottest sensor.
    ///
    /// Default: fails at 95 °C, recovers at 85 °C: routers' processors and Wi-Fi radios throttle or switch off from
    /// 100 to 115 °C on.
    pub temperature: Limits<Millicelsius>,
    /// Connection tracking table in use.
    ///
    /// Default: fails at 90 %, recovers at 75 %. When it is full every new connection of the customer's is dropped.
    pub conntrack: Limits<Permille>,
    /// Received packets that were damaged on the WAN port.
    ///
    /// Default: fails at 1 %, recovers at 0.1 %. A sound copper port damages fewer than one in a million (IEEE 802.3 allows
    /// a bit in 10^10); at 1 % a TCP connection over 20 ms is held to some 6 Mbit/s (Mathis).
    pub port_errors: Limits<Permille>,
}

impl Default for Health {
    fn default() -> Health {
        Health {
            every: bounds::HEALTH_EVERY_DEFAULT,
            readings: bounds::HEALTH_READINGS_DEFAULT,
            cpu: bounds::CPU_DEFAULT,
            memory: bounds::MEMORY_DEFAULT,
            flash: bounds::FLASH_DEFAULT,
            temperature: bounds::TEMPERATURE_DEFAULT,
            conntrack: bounds::CONNTRACK_DEFAULT,
            port_errors: bounds::PORT_ERRORS_DEFAULT,
        }
    }
}

/// When the traffic is unusual for its hour of the week. How that is judged is told in `judge::usage`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Whether it is looked at.
    ///
    /// Default true: it costs two kilobytes of memory and one write a day, and informs by an event a few times a year.
    pub enabled: bool,
    /// How long it must last to count.
    ///
    /// Default 15 min: an update of a telephone or of a till is over; a backup in the wrong hour is not.
    pub lasts: Span,
    /// How many times as much as usual is too much, 2 to 100.
    ///
    /// Default 4: among weeks of one small business the same hour differs by a factor of two as often as not.
    pub factor: u32,
    /// By how much it must be above the usual, whatever that is, and how much makes an hour worth missing.
    ///
    /// Default 1 Mbit/s: over a quarter of an hour 110 MB, which a leak that matters exceeds and a chatty camera does not.
    pub least: Rate,
    /// How many weeks must be known of an hour before it is spoken of, 2 to 6.
    ///
    /// Default 3: the median of three withstands one odd week.
    pub weeks: u32,
    /// Whether the platform is asked to call, and not only told.
    ///
    /// Default false: what a business sends at night is its own affair, and more often a backup than a burglar.
    pub callback: bool,
}

impl Default for Usage {
    fn default() -> Usage {
        Usage {
            enabled: true,
            lasts: bounds::USAGE_LASTS_DEFAULT,
            factor: bounds::USAGE_FACTOR_DEFAULT,
            least: bounds::USAGE_LEAST_DEFAULT,
            weeks: bounds::USAGE_WEEKS_DEFAULT,
            callback: false,
        }
    }
}

/// Where something begins to fail and where it is well again: two values, so that a reading that wavers about one is told
/// once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits<T> {
    /// At this or beyond it fails.
    pub failing: T,
    /// At this or better it is well.
    pub recovering: T,
}

/// When silence is an outage, and what belongs together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// A break shorter than this is counted as a disconnect and not acted on.
    ///
    /// Default 2 s. Declared after it plus one probe interval and one time limit: about 2.4 s in the median.
    pub patience: Span,
    /// Breaks that follow each other within this are one incident.
    ///
    /// Default 5 min: in 156 days of one real line it merged 926 breaks into 478 incidents; half an hour would have
    /// merged them into 294, and kept an incident open for longer than a customer calls it one.
    pub hold_down: Span,
    /// As many breaks in one incident make it `flapping`, 2 to 100.
    ///
    /// Default 5: one break and its repeat are one fault; five within hold-downs of 5 min are a line that nobody
    /// can work on, although each break mends itself.
    pub flapping: u32,
    /// Incoming unicast traffic at or above this is proof of life, whatever the echoes say.
    ///
    /// Default 10 kbit/s, cake-autorate's stall threshold: above what the answers to our own burst to a live
    /// gateway amount to, below any use of the line.
    pub veto: Rate,
}

/// What may be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remedies {
    /// Who does it.
    pub driver: Driver,
    /// The rungs that may be used, in order. Reboot is only in it if configured.
    pub ladder: Vec<Rung>,
    /// Settle time and budget of each rung, in the order of [`Rung::ALL`].
    pub limits: [RungLimits; 6],
    /// How long to wait before the same incident is worked on a second time; doubles with each pass up to a day.
    ///
    /// Default 30 min: a server takes frequent renewals for an attack, and what did not help now seldom helps soon.
    pub again: Span,
    /// Whether the record of each rung on this line orders the ladder and skips what never helped.
    ///
    /// Default true: most lines fail in one way again and again, and what mended it last mends it soonest. The record is
    /// kept in any case.
    pub learning: bool,
}

impl Remedies {
    /// What holds for one rung.
    pub fn limits(&self, rung: Rung) -> &RungLimits {
        match rung {
            Rung::Renew => &self.limits[0],
            Rung::OtherResolver => &self.limits[1],
            Rung::RestartInterface => &self.limits[2],
            Rung::RestartNetwork => &self.limits[3],
            Rung::PowerModem => &self.limits[4],
            Rung::Reboot => &self.limits[5],
        }
    }
}

/// What holds for one rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RungLimits {
    /// How long it may take before it is ended by force.
    pub limit: Span,
    /// How long after it the line has to come back.
    pub settle: Span,
    /// How often in any 24 hours, 0 to 100.
    pub per_day: u32,
    /// How often in one incident, 0 to 100; a reboot once at most.
    pub per_incident: u32,
}

/// Who carries remedies out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Driver {
    /// Nobody: says what it would do.
    None,
    /// `ip link` and the configured DHCP client.
    Linux(LinuxDriver),
    /// OpenWrt's netifd, by ubus.
    OpenWrt(OpenWrtDriver),
    /// Any program.
    Script {
        /// The program; gets the rung as its argument and the remedy as JSON on standard input.
        program: PathBuf,
    },
}

/// How the `linux` driver reaches what it needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LinuxDriver {
    /// The DHCP client's command, run in the background by `restart-interface`. Empty: the line has a fixed address.
    pub dhcp_client: Vec<String>,
    /// Where the client writes its process id; `renew` sends it SIGUSR1 (udhcpc's sign for "renew").
    pub dhcp_pidfile: Option<PathBuf>,
    /// Lets names be asked of `{resolver}`. Empty: cannot be done here.
    pub other_resolver: Vec<String>,
    /// Restarts all networking. Empty: cannot be done here.
    pub restart_network: Vec<String>,
    /// Cuts and returns the modem's power. Empty: cannot be done here.
    pub power_modem: Vec<String>,
    /// Default `["reboot"]`.
    pub reboot: Vec<String>,
}

/// How the `openwrt` driver reaches what it needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OpenWrtDriver {
    /// `line.interface`.
    pub interface: Option<String>,
    /// Lets names be asked of `{resolver}`. Empty: cannot be done here.
    pub other_resolver: Vec<String>,
    /// Cuts and returns the modem's power. Empty: cannot be done here.
    pub power_modem: Vec<String>,
}

/// When the customer is to be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callback {
    /// An incident is not handed over before it has lasted this long.
    ///
    /// Default 60 s: no person can be called sooner, and an outage without a local remedy (beyond the operator's
    /// first router) often ends within the minute.
    pub after: Span,
    /// High latency, or loss, must have lasted so long before the customer is to be called about it.
    ///
    /// Default 30 min: the line works meanwhile, so nobody need hurry; evenings and weather that pass within it are not
    /// worth a call, and a fault that is repaired within it (a route that moves, a line card) needs none.
    pub quality: Span,
    /// How long to wait for a receipt after the broker's acknowledgement before asking again; doubles up to an hour.
    ///
    /// Default 60 s.
    pub receipt: Span,
    /// Of which warnings of the gateway the platform is asked to call the customer.
    ///
    /// Default none. Each is told as an event in any case; what it warns of has not happened yet, and most of it the
    /// operator mends from afar. Those that want the customer's hands are `temperature`, `port_errors`, `port_speed`,
    /// `port_duplex` and `restarts`: for an operator whose agents may ask for them.
    pub warnings: Vec<Reading>,
}

/// The follow-up calls of a new installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programme {
    /// How long after `device.installed` each is due, rising. Empty: none.
    ///
    /// Default 24 h, 7 d and 30 d: the day on which an installer's slip shows, the week in which habits have come, and
    /// the month after which a contract is judged.
    pub after: Vec<Span>,
}

/// What is told in ordinary times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telemetry {
    /// How much a summary covers. `None`: there are none.
    ///
    /// Default 1 h: 24 messages of some 700 bytes a day, and the rush hour can be told from the others.
    pub every: Option<Span>,
    /// Which groups of fields are sent.
    ///
    /// Default all: none of them says what the customer does, only how much.
    pub fields: Vec<Group>,
}

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

/// What may leave the gateway. By what rules: [`linekeeper::privacy`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Privacy {
    /// Addresses in messages stand as they are (`privacy.addresses = "full"`).
    ///
    /// Default false (`masked`): the network is enough to see whose router or resolver is meant, and what an operator's
    /// platform does not have it cannot lose.
    pub full_addresses: bool,
    /// Which groups of fields are in callbacks, events and states.
    ///
    /// Default all: they are what the agent who calls reads, and what shows that the call is right.
    pub fields: Vec<Shared>,
}

impl Default for Privacy {
    fn default() -> Privacy {
        Privacy { full_addresses: false, fields: Shared::ALL.to_vec() }
    }
}

/// A group of fields in callbacks, events and states. What is not named here is always sent: without it the message says
/// nothing.
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

/// What the platform may order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commands {
    /// The commands that are obeyed.
    ///
    /// Default check, speedtest, diagnose and programme: they ask, stay within the budget of tests, or ask for a call.
    /// What interrupts the customer (remedy, reboot) is the operator's to allow.
    pub allow: Vec<CommandName>,
    /// The Ed25519 public key by which `remedy` and `reboot` must be signed. `None`: they need no signature, and who may
    /// publish to the device's topic may give them.
    pub key: Option<[u8; 32]>,
}

/// What the platform may configure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    /// Whether `config/desired` is looked at at all.
    ///
    /// Default true. What it may never touch is in [`desired::LOCAL_ONLY`].
    pub accept: bool,
    /// A new configuration is kept when within this time the broker was connected and an echo came back.
    ///
    /// Default 3 min: the connection's first attempts come within 1, 2, 4, 8 … s, so that some eight are made; an echo
    /// comes within a second. A gateway that was cut off is back before anybody has asked for it.
    pub within: Span,
}

/// Where the platform is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mqtt {
    /// Brokers, tried in order; 1 or 2.
    pub brokers: Vec<Broker>,
    /// The certificate authority's PEM file, for `mqtts`.
    pub ca: Option<PathBuf>,
    /// Our certificate and key, PEM.
    pub client: Option<(PathBuf, PathBuf)>,
    /// User name and the file that holds the password (its first line).
    pub login: Option<(String, PathBuf)>,
    /// The oldest version of TLS that is spoken, for `mqtts`.
    ///
    /// Default 1.3, which brokers have spoken since 2019. Who has an older one says so.
    pub tls: TlsVersion,
    /// MQTT keep-alive. Default 30 s: a dead connection is noticed within twice that by the protocol, and sooner by
    /// an acknowledgement that does not come.
    pub keep_alive: Span,
    /// The longest wait between two attempts to connect; each wait is uniform between 0 and its cap (full jitter).
    ///
    /// Default 5 min.
    pub reconnect: Span,
    /// How long the broker keeps our session (and the receipts in it) while we are away. Default 1 day.
    pub session: Span,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// `1.2` (RFC 5246).
    V12,
    /// `1.3` (RFC 8446).
    V13,
}

/// Where one broker is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Name or address.
    pub host: String,
    /// 1883 or 8883 if the URL names none.
    pub port: u16,
    /// `mqtts`.
    pub tls: bool,
}

/// A program of the operator's that is run when something changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hooks {
    /// The program.
    pub program: PathBuf,
    /// On which changes it is run, each once, at least one.
    ///
    /// Default: all.
    pub on: Vec<HookOn>,
    /// How long it may take before it is ended by force.
    ///
    /// Default 10 s: what a script does with `uci`, `ubus` or `logger` is over in one, a mail in some.
    pub limit: Span,
}

/// What a hook is run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HookOn {
    /// An incident opened, was updated or closed.
    Incident,
    /// A remedy began or ended.
    Remedy,
    /// A callback changed.
    Callback,
}

impl HookOn {
    /// All.
    pub const ALL: [HookOn; 3] = [HookOn::Incident, HookOn::Remedy, HookOn::Callback];

    /// As configuration writes it.
    pub const fn name(self) -> &'static str {
        match self {
            HookOn::Incident => "incident",
            HookOn::Remedy => "remedy",
            HookOn::Callback => "callback",
        }
    }
}

/// What is kept on flash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// The directory for the snapshot and the outbox.
    pub directory: PathBuf,
    /// The most that waiting messages may take, 16 kB to 16 MB.
    ///
    /// Default 256 kB: some 140 messages, almost a week of an hourly incident with its remedies.
    pub outbox: Bytes,
}

impl Config {
    /// The offset from UTC in which times are shown, minutes: that of `device.installed`, else 0.
    pub fn offset_minutes(&self) -> i16 {
        self.device.installed.map_or(0, |t| t.offset_minutes)
    }

    /// Whether OpenWrt's netifd is asked how the interface stands: where it carries out the remedies, or the interface is
    /// given by its name.
    pub fn asks_netifd(&self) -> bool {
        self.line.interface.is_some() || matches!(self.remedies.driver, Driver::OpenWrt(_))
    }
}
