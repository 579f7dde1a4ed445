//! What each key may hold, and what holds where it is absent.
//!
//! The argument for a default stands at the field of [`Config`](super::Config) it fills, the argument for its bounds
//! here.

use super::{Limits, RungLimits};
use linekeeper_contract::message::CommandName;
use linekeeper_contract::units::{Bytes, Millicelsius, Permille, Rate, Span};
use linekeeper_contract::vocabulary::Rung;

/// The least and the most that a key may hold, both allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds<T> {
    /// The least.
    pub least: T,
    /// The most.
    pub most: T,
}

impl<T> Bounds<T> {
    /// From `least` to `most`, both allowed.
    pub const fn new(least: T, most: T) -> Bounds<T> {
        Bounds { least, most }
    }
}

/// Any `promise` rate: ISDN's one channel to the fastest access that is sold. Outside is a slip in the unit.
pub const PROMISED_RATE: Bounds<Rate> = Bounds::new(Rate(64_000), Rate(100_000_000_000));
/// `promise.latency`: below a millisecond no access network is; 10 s is beyond anything that is sold.
pub const PROMISED_LATENCY: Bounds<Span> = Bounds::new(Span::millis(1), Span::seconds(10));
/// `promise.loss`: 0.1 % is the finest that some thousand echoes show; half lost is no service.
pub const PROMISED_LOSS: Bounds<Permille> = Bounds::new(Permille(1), Permille(500));
/// `promise.threshold`: below 1 % is no line; above the whole no line is.
pub const THRESHOLD: Bounds<Permille> = Bounds::new(Permille(10), Permille(1_000));
/// See [`Promise::threshold`](super::Promise::threshold).
pub const THRESHOLD_DEFAULT: Permille = Permille(800);
/// `promise.share.short` and `promise.share.of`: never on one test; 32 are three days' quiet tests, and all that is
/// kept of them.
pub const SHARE: Bounds<u32> = Bounds::new(2, 32);
/// See [`Rule::Share`](super::Rule::Share).
pub const SHARE_SHORT_DEFAULT: u32 = 4;
/// See [`Rule::Share`](super::Rule::Share).
pub const SHARE_OF_DEFAULT: u32 = 6;

/// `speed.servers`: one, and some to tell its faults from the line's. More than four confirm nothing that two do not.
pub const SERVERS: Bounds<usize> = Bounds::new(1, 4);
/// `speed.budget.day`: a megabyte is a few seconds of the slowest line that is sold; 100 GB are a hundred tests of the
/// fastest.
pub const DAY: Bounds<Bytes> = Bounds::new(Bytes(1_000_000), Bytes(100_000_000_000));
/// See [`Speed::day`](super::Speed::day).
pub const DAY_DEFAULT: Bytes = Bytes(1_000_000_000);
/// `speed.budget.month`: as the day's, and some days of those.
pub const MONTH: Bounds<Bytes> = Bounds::new(Bytes(1_000_000), Bytes(900_000_000_000));
/// See [`Speed::month`](super::Speed::month).
pub const MONTH_DEFAULT: Bytes = Bytes(20_000_000_000);
/// `speed.seconds`: after less than 3 s the median error of real wireless tests was 10 %; 30 s tell no more than 10.
pub const TEST: Bounds<Span> = Bounds::new(Span::seconds(3), Span::seconds(30));
/// See [`Speed::seconds`](super::Speed::seconds).
pub const TEST_DEFAULT: Span = Span::seconds(10);
/// `speed.per_day`: once a day is seldom, and honest; two an hour is what a suspicion gets.
pub const PER_DAY: Bounds<u32> = Bounds::new(1, 48);
/// See [`Speed::per_day`](super::Speed::per_day).
pub const PER_DAY_DEFAULT: u32 = 10;
/// `speed.quiet.window`: three readings of the counters at least; no line is quiet for longer than a minute by chance.
pub const QUIET_WINDOW: Bounds<Span> = Bounds::new(Span::seconds(3), Span::minutes(1));
/// See [`Quiet::window`](super::Quiet::window).
pub const QUIET_WINDOW_DEFAULT: Span = Span::seconds(10);
/// `speed.quiet.share`: our own echoes alone are 0.1 % of a slow line; a line in half use is not quiet.
pub const QUIET_SHARE: Bounds<Permille> = Bounds::new(Permille(1), Permille(500));
/// See [`Quiet::share`](super::Quiet::share).
pub const QUIET_SHARE_DEFAULT: Permille = Permille(100);
/// The longest URL of a test server: far above any in use, and still one line of a log.
pub const LONGEST_URL: usize = 255;

/// `probe.targets`: the judge asks them in rotation; at the default interval 16 take 8 s for a round.
pub const TARGETS: Bounds<usize> = Bounds::new(1, 16);
/// `probe.interval`: ten a second is half of cake-autorate's rate and already 50 MB a day; once a minute still tells
/// an outage within minutes.
pub const INTERVAL: Bounds<Span> = Bounds::new(Span::millis(100), Span::minutes(1));
/// See [`Probe::interval`](super::Probe::interval).
pub const INTERVAL_DEFAULT: Span = Span::millis(500);
/// `probe.timeout`: geostationary satellites answer in 0.6 s; nothing useful answers after 10 s.
pub const TIMEOUT: Bounds<Span> = Bounds::new(Span::millis(100), Span::seconds(10));
/// See [`Probe::timeout`](super::Probe::timeout).
pub const TIMEOUT_DEFAULT: Span = Span::seconds(1);
/// `probe.grace`: none, where the modem is known to be up; an hour is longer than any modem's own update.
pub const GRACE: Bounds<Span> = Bounds::new(Span::ZERO, Span::hours(1));
/// See [`Probe::grace`](super::Probe::grace).
pub const GRACE_DEFAULT: Span = Span::minutes(2);
/// `probe.gateway`: asked. It costs one more echo a round and tells the operator's first router from what is beyond.
pub const GATEWAY_DEFAULT: bool = true;

/// `outage.patience`: shorter than two lost echoes is noise; ten minutes of silence are an outage to anyone.
pub const PATIENCE: Bounds<Span> = Bounds::new(Span::millis(500), Span::minutes(10));
/// See [`Outage::patience`](super::Outage::patience).
pub const PATIENCE_DEFAULT: Span = Span::seconds(2);
/// `outage.hold_down`: 6 h is the longest for which figures exist (926 breaks become 99 incidents).
pub const HOLD_DOWN: Bounds<Span> = Bounds::new(Span::seconds(10), Span::hours(6));
/// See [`Outage::hold_down`](super::Outage::hold_down).
pub const HOLD_DOWN_DEFAULT: Span = Span::minutes(5);
/// `outage.flapping`: one break does not flap; a hundred say it to no one sooner.
pub const FLAPPING: Bounds<u32> = Bounds::new(2, 100);
/// See [`Outage::flapping`](super::Outage::flapping).
pub const FLAPPING_DEFAULT: u32 = 5;
/// `outage.veto`: less than 1 kbit/s is one packet in some seconds, which strays; above 10 Mbit/s no quiet line would
/// ever prove itself.
pub const VETO: Bounds<Rate> = Bounds::new(Rate(1_000), Rate(10_000_000));
/// See [`Outage::veto`](super::Outage::veto).
pub const VETO_DEFAULT: Rate = Rate(10_000);

/// `name.resolvers`: as many as resolv.conf(5) takes (`MAXNS`).
pub const RESOLVERS: Bounds<usize> = Bounds::new(1, 3);
/// Where the line's resolvers are named: OpenWrt's netifd (dnsmasq reads it there), systemd-resolved, all others. The
/// first two name what the line gave, where the last one often names the local resolver alone.
pub const RESOLV_CONF: [&str; 3] =
    ["/tmp/resolv.conf.d/resolv.conf.auto", "/run/systemd/resolve/resolv.conf", "/etc/resolv.conf"];
/// See [`Name::known`](super::Name::known).
pub const KNOWN_DEFAULT: &str = "example.com";
/// `web.status`: what HTTP knows.
pub const WEB_STATUS: Bounds<u32> = Bounds::new(100, 599);
/// See [`Web::status`](super::Web::status).
pub const WEB_STATUS_DEFAULT: u32 = 204;
/// The longest `web.body`, bytes: a word or a sentence.
pub const LONGEST_BODY: usize = 256;
/// `name.every` and `web.every`: what is wrong is asked again after 10 s anyway; a login page that is found after a day is found
/// by the customer.
pub const SERVICE_EVERY: Bounds<Span> = Bounds::new(Span::seconds(10), Span::days(1));
/// See [`Name::every`](super::Name::every).
pub const NAME_EVERY_DEFAULT: Span = Span::minutes(5);
/// See [`Web::every`](super::Web::every).
pub const WEB_EVERY_DEFAULT: Span = Span::minutes(15);
/// `health.every`: five seconds already cost a small processor as much as all the echoes; after an hour the flash is full.
pub const HEALTH_EVERY: Bounds<Span> = Bounds::new(Span::seconds(5), Span::hours(1));
/// See [`Health::every`](super::Health::every).
pub const HEALTH_EVERY_DEFAULT: Span = Span::seconds(60);
/// `health.readings`: one, for who wants every peak; an hour at the default interval.
pub const HEALTH_READINGS: Bounds<u32> = Bounds::new(1, 60);
/// See [`Health::readings`](super::Health::readings).
pub const HEALTH_READINGS_DEFAULT: u32 = 5;
/// Any share of `health`.
pub const HEALTH_SHARE: Bounds<Permille> = Bounds::new(Permille(1), Permille(1_000));
/// `health.temperature`: a cool room to where silicon ends.
pub const HEALTH_TEMPERATURE: Bounds<Millicelsius> = Bounds::new(Millicelsius(20_000), Millicelsius(150_000));
/// See [`Health::cpu`](super::Health::cpu).
pub const CPU_DEFAULT: Limits<Permille> = Limits { failing: Permille(950), recovering: Permille(800) };
/// See [`Health::memory`](super::Health::memory).
pub const MEMORY_DEFAULT: Limits<Permille> = Limits { failing: Permille(80), recovering: Permille(150) };
/// See [`Health::flash`](super::Health::flash).
pub const FLASH_DEFAULT: Limits<Permille> = Limits { failing: Permille(50), recovering: Permille(100) };
/// See [`Health::temperature`](super::Health::temperature).
pub const TEMPERATURE_DEFAULT: Limits<Millicelsius> =
    Limits { failing: Millicelsius(95_000), recovering: Millicelsius(85_000) };
/// See [`Health::conntrack`](super::Health::conntrack).
pub const CONNTRACK_DEFAULT: Limits<Permille> = Limits { failing: Permille(900), recovering: Permille(750) };
/// See [`Health::port_errors`](super::Health::port_errors).
pub const PORT_ERRORS_DEFAULT: Limits<Permille> = Limits { failing: Permille(10), recovering: Permille(1) };

/// `usage.lasts`: less than a quarter of an hour is one download; what lasts for six is told by the next bill.
pub const USAGE_LASTS: Bounds<Span> = Bounds::new(Span::minutes(15), Span::hours(6));
/// See [`Usage::lasts`](super::Usage::lasts).
pub const USAGE_LASTS_DEFAULT: Span = Span::minutes(15);
/// `usage.factor`: twice as much is any other week; a hundred times as much is not missed.
pub const USAGE_FACTOR: Bounds<u32> = Bounds::new(2, 100);
/// See [`Usage::factor`](super::Usage::factor).
pub const USAGE_FACTOR_DEFAULT: u32 = 4;
/// `usage.least`: a telephone call; all of a gigabit line.
pub const USAGE_LEAST: Bounds<Rate> = Bounds::new(Rate(64_000), Rate(1_000_000_000));
/// See [`Usage::least`](super::Usage::least).
pub const USAGE_LEAST_DEFAULT: Rate = Rate(1_000_000);
/// `usage.weeks`: one week is no custom; six are remembered.
pub const USAGE_WEEKS: Bounds<u32> = Bounds::new(2, crate::usage::WEEKS as u32);
/// See [`Usage::weeks`](super::Usage::weeks).
pub const USAGE_WEEKS_DEFAULT: u32 = 3;

/// `remedies.ladder`: what any gateway can do without harm. Power and reboot are the owner's to allow.
pub const LADDER_DEFAULT: [Rung; 2] = [Rung::Renew, Rung::RestartInterface];
/// `remedies.again`: less than a minute is no pause; after a day a person is at it.
pub const AGAIN: Bounds<Span> = Bounds::new(Span::minutes(1), Span::days(1));
/// See [`Remedies::again`](super::Remedies::again).
pub const AGAIN_DEFAULT: Span = Span::minutes(30);
/// `remedies.limit`: nothing real is over within a second at every time; ten minutes with a program that hangs are
/// ten minutes without a callback.
pub const RUNG_LIMIT: Bounds<Span> = Bounds::new(Span::seconds(1), Span::minutes(10));
/// `remedies.settle`: the same below; half an hour is what a cable modem may take to find its channels again.
pub const RUNG_SETTLE: Bounds<Span> = Bounds::new(Span::seconds(1), Span::minutes(30));
/// `remedies.per_day`: 0 switches a rung off; a hundred are one in a quarter of an hour.
pub const RUNG_PER_DAY: Bounds<u32> = Bounds::new(0, 100);
/// `remedies.per_incident`: as the day's.
pub const RUNG_PER_INCIDENT: Bounds<u32> = Bounds::new(0, 100);
/// `remedies.per_incident.reboot`: what did not help once does not help the second time, and a loop of reboots is the
/// worst that this program could do.
pub const REBOOTS_PER_INCIDENT: Bounds<u32> = Bounds::new(0, 1);
/// What holds for each rung, in the order of [`Rung::ALL`].
pub const RUNGS_DEFAULT: [RungLimits; 6] = [
    // renew. A DHCP client asks at 0, 4 and 8 s (RFC 2131, 4.1): after 10 s its server is silent. 4 s more bring the
    // echoes of all targets. Once an hour at most: a server takes frequent renewals for an attack. Twelve in one incident:
    // by then the passes are a day apart.
    RungLimits { limit: Span::seconds(10), settle: Span::seconds(4), per_day: 24, per_incident: 12 },
    // other-resolver. Writes a file and tells the forwarder; its settle time holds two checks of the names with their
    // time limits. It breaks nobody's connections, and what six did not mend is not the resolver.
    RungLimits { limit: Span::seconds(10), settle: Span::seconds(15), per_day: 6, per_incident: 3 },
    // restart-interface. Down, up, and a fresh DISCOVER with its retries; 8 s for the address, the route and the echoes.
    // Each time, every connection of the customer's breaks: six a day, and six in an incident, however long it lasts.
    RungLimits { limit: Span::seconds(15), settle: Span::seconds(8), per_day: 6, per_incident: 6 },
    // restart-network. netifd stops and starts every interface within about 20 s; the customer's own network breaks with
    // it, so half as often as the interface alone.
    RungLimits { limit: Span::seconds(45), settle: Span::seconds(20), per_day: 3, per_incident: 3 },
    // power-modem. Switching off for some seconds and on; a modem is in service again within two or three minutes. What
    // three did not mend is not the modem.
    RungLimits { limit: Span::minutes(1), settle: Span::minutes(3), per_day: 3, per_incident: 3 },
    // reboot. Two minutes to go down with all services stopping, four for the boot and the line. Once: a gateway that
    // reboots again and again is the worst that this program could do.
    RungLimits { limit: Span::minutes(2), settle: Span::minutes(4), per_day: 1, per_incident: 1 },
];

/// `callback.after`: at once, for who wants it; after a day the customer has called.
pub const AFTER: Bounds<Span> = Bounds::new(Span::ZERO, Span::days(1));
/// See [`Callback::after`](super::Callback::after).
pub const AFTER_DEFAULT: Span = Span::seconds(60);
/// `callback.quality`: windows that fail for five minutes are no more than suspicion; after a day the customer has called.
pub const QUALITY: Bounds<Span> = Bounds::new(Span::minutes(5), Span::days(1));
/// See [`Callback::quality`](super::Callback::quality).
pub const QUALITY_DEFAULT: Span = Span::minutes(30);
/// `callback.receipt`: sooner than 5 s the platform may still be at it; it doubles up to an hour anyway.
pub const RECEIPT: Bounds<Span> = Bounds::new(Span::seconds(5), Span::hours(1));
/// See [`Callback::receipt`](super::Callback::receipt).
pub const RECEIPT_DEFAULT: Span = Span::seconds(60);
/// `callback.warnings`: none, or all there are.
pub const WARNINGS: Bounds<usize> = Bounds::new(0, linekeeper_contract::vocabulary::Reading::ALL.len());

/// `programme.after`: none, where the operator calls by its own calendar; a call a month for a year.
pub const PROGRAMME: Bounds<usize> = Bounds::new(0, 12);
/// One of `programme.after`: within the first minute nobody has used the line; a follow-up after more than two years is
/// another matter.
pub const PROGRAMME_AFTER: Bounds<Span> = Bounds::new(Span::minutes(1), Span::days(800));
/// See [`Programme::after`](super::Programme::after).
pub const PROGRAMME_DEFAULT: [Span; 3] = [Span::hours(24), Span::days(7), Span::days(30)];

/// `telemetry.every`: sooner than 5 min is no summary; one a day says nothing of the rush hour.
pub const EVERY: Bounds<Span> = Bounds::new(Span::minutes(5), Span::days(1));
/// See [`Telemetry::every`](super::Telemetry::every).
pub const EVERY_DEFAULT: Span = Span::hours(1);
/// `telemetry.fields`: as many as there are; none is no telemetry.
pub const GROUPS: Bounds<usize> = Bounds::new(0, super::Group::ALL.len());

/// `privacy.fields`: none, or all there are.
pub const SHARED: Bounds<usize> = Bounds::new(0, super::Shared::ALL.len());

/// `commands.allow`: none, or all there are.
pub const COMMANDS: Bounds<usize> = Bounds::new(0, CommandName::ALL.len());
/// See [`Commands::allow`](super::Commands::allow).
pub const COMMANDS_DEFAULT: [CommandName; 4] =
    [CommandName::Check, CommandName::Speedtest, CommandName::Diagnose, CommandName::Programme];
/// `desired.within`: a restart, a TLS handshake and a lost SYN or two take 10 s; for an hour nobody may be cut off.
pub const WITHIN: Bounds<Span> = Bounds::new(Span::seconds(10), Span::hours(1));
/// See [`Desired::within`](super::Desired::within).
pub const WITHIN_DEFAULT: Span = Span::minutes(3);

/// `mqtt.brokers`: one, and one in reserve. A longer list makes each round of attempts longer and helps no one.
pub const BROKERS: Bounds<usize> = Bounds::new(1, 2);
/// `mqtt.keep_alive`: the client library takes no less than 5 s; after an hour every NAT has forgotten us.
pub const KEEP_ALIVE: Bounds<Span> = Bounds::new(Span::seconds(5), Span::hours(1));
/// See [`Mqtt::keep_alive`](super::Mqtt::keep_alive).
pub const KEEP_ALIVE_DEFAULT: Span = Span::seconds(30);
/// `mqtt.reconnect`: one second is a fleet at once; an hour is the longest that a callback should wait for a broker.
pub const RECONNECT: Bounds<Span> = Bounds::new(Span::seconds(1), Span::hours(1));
/// See [`Mqtt::reconnect`](super::Mqtt::reconnect).
pub const RECONNECT_DEFAULT: Span = Span::minutes(5);
/// `mqtt.session`: a minute spans a reconnect; brokers seldom keep more than a month.
pub const SESSION: Bounds<Span> = Bounds::new(Span::minutes(1), Span::days(30));
/// See [`Mqtt::session`](super::Mqtt::session).
pub const SESSION_DEFAULT: Span = Span::days(1);

/// `hooks.limit`: nothing real is over within a second at every time; events that wait for more than a minute each are
/// old news.
pub const HOOK_LIMIT: Bounds<Span> = Bounds::new(Span::seconds(1), Span::minutes(1));
/// See [`Hooks::limit`](super::Hooks::limit).
pub const HOOK_LIMIT_DEFAULT: Span = Span::seconds(10);

/// `store.directory`: where the file hierarchy standard has what a program keeps.
pub const DIRECTORY_DEFAULT: &str = "/var/lib/linekeeper";
/// `store.outbox`: a dozen messages at least; 16 MB is all that small flash has to spare.
pub const OUTBOX: Bounds<Bytes> = Bounds::new(Bytes(16_000), Bytes(16_000_000));
/// See [`Store::outbox`](super::Store::outbox).
pub const OUTBOX_DEFAULT: Bytes = Bytes(256_000);
/// `status.socket`: OpenWrt keeps its sockets there; elsewhere it is a link to `/run`.
pub const SOCKET_DEFAULT: &str = "/var/run/linekeeper.sock";

/// The longest device id: it is part of every topic and of every message's id.
pub const LONGEST_ID: usize = 64;
/// The longest customer reference.
pub const LONGEST_CUSTOMER: usize = 64;
/// The longest area: some levels of network names.
pub const LONGEST_AREA: usize = 128;
/// The longest device name: Linux's `IFNAMSIZ` less the end mark.
pub const LONGEST_DEVICE_NAME: usize = 15;
/// The longest name of an interface in OpenWrt: what a device made from it has room for (`pppoe-`…).
pub const LONGEST_INTERFACE_NAME: usize = 15;
/// The longest path: Linux's `PATH_MAX` less the end mark.
pub const LONGEST_PATH: usize = 4_095;
/// The longest path of a socket: `sun_path` less the end mark (unix(7)).
pub const LONGEST_SOCKET_PATH: usize = 107;
/// The longest user name: more than any broker's own list holds.
pub const LONGEST_USERNAME: usize = 256;
/// The most words of a command: far above any DHCP client's options.
pub const WORDS: usize = 64;
/// The longest word of a command: a path.
pub const LONGEST_WORD: usize = 4_095;
/// The largest text that is read: sixty times the commented sample. Larger is not a configuration.
pub const LARGEST_TEXT: usize = 512 * 1024;
