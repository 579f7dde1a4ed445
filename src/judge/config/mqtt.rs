//! `[mqtt]`: how to reach the platform.

use super::bounds::{Bounds, LONGEST_USERNAME, within};
use super::host::{self, Broker};
use super::kinds::{Choice, file, quantity, text};
use super::options::{Form, Kind, Pattern, Right, Uci, options};
use super::reader::{Reader, Section, Show};
use linekeeper_contract::units::Span;
use serde_json::Value;
use std::path::PathBuf;

/// How to reach the platform.
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
    /// The oldest TLS version accepted with `mqtts`.
    pub tls: TlsVersion,
    /// MQTT keep-alive.
    pub keep_alive: Span,
    /// The longest wait between two attempts to connect; each wait is uniform between 0 and its cap (full jitter).
    pub reconnect: Span,
    /// How long the broker keeps our session (and the receipts in it) while we are offline.
    pub session: Span,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum TlsVersion {
    /// `1.2` (RFC 5246).
    V12,
    /// `1.3` (RFC 8446).
    #[default]
    V13,
}

const PROVES: Right = Right::Local("only the gateway's own configuration sets its credentials");
const MOVES: Right = Right::Signed("another broker gets the gateway's login and its messages");
const TRUSTS: Right = Right::Local("only the gateway's own configuration sets what it trusts");

options! {
    /// The section as written in the file.
    pub(super) struct Written = section "mqtt", "Operator" / "运营商",
        "The platform's MQTT broker. Without a broker nothing is reported." / "运营商平台的位置。未设置消息代理则不上报。",
        check Written::contradictions {
        /// The broker, where there is but one.
        broker: Vec<Broker> = One, MOVES,
            "Broker" / "消息代理",
            "mqtts:// (port 8883) or mqtt:// (port 1883, not encrypted)." / "",
            shows "mqtts://broker.isp.example:8883", uci [Uci::Absent];
        /// Brokers, tried in order. 1 or 2: a primary and a backup. A longer list only makes each round of attempts
        /// longer.
        brokers: Vec<Broker> = Several, MOVES,
            "Broker" / "消息代理",
            "mqtts:// (port 8883) or mqtt:// (port 1883, not encrypted); a primary and optionally a backup." /
            "mqtts://（端口 8883）或 mqtt://（端口 1883，不加密）；一个主用，一个备用。",
            example ["mqtts://a.isp.example", "mqtts://b.isp.example"];
        /// The certificate authority's PEM file, for `mqtts`.
        ca: Option<PathBuf> = file(Show::Secret), TRUSTS,
            "Authority" / "CA 证书",
            "The PEM file of the authority that signed the broker's certificate; no other is trusted. If absent: the public \
             authorities in the system's bundle (on OpenWrt, package ca-bundle)." /
            "签发消息代理证书的 CA 的 PEM 文件，只信任它；留空则信任系统自带的 CA（OpenWrt 的 ca-bundle 软件包）。",
            shows "/etc/linekeeper/ca.pem", uci [Uci::Whole];
        /// Our certificate, PEM.
        certificate: Option<PathBuf> = file(Show::Secret), PROVES,
            "Certificate" / "证书",
            "This gateway's certificate, PEM. Needs the key." / "本网关的证书，PEM 格式；需要对应私钥。",
            shows "/etc/linekeeper/device.pem";
        /// Its key, PEM.
        key: Option<PathBuf> = file(Show::Secret), PROVES,
            "Key" / "私钥",
            "The certificate's private key, PEM. Needs the certificate." / "对应私钥，PEM 格式；需要证书。",
            shows "/etc/linekeeper/device.key";
        /// The user name.
        username: Option<String> = text(Pattern::Plain, Show::Secret, username), PROVES,
            "User name" / "用户名",
            "The user name. Needs the password file." / "用户名；需要密码文件。",
            example "gw-0001";
        /// The file that holds the password.
        password_file: Option<PathBuf> = file(Show::Secret), PROVES,
            "Password file" / "密码文件",
            "The file whose first line is the password. Needs the user name." / "首行为密码的文件；需要用户名。",
            example "/etc/linekeeper/password";
        /// The oldest TLS version accepted with `mqtts`.
        ///
        /// Default 1.3: brokers have spoken it since 2019. An older broker must be configured.
        tls: TlsVersion = Choice(&[("1.2", TlsVersion::V12), ("1.3", TlsVersion::V13)]), TRUSTS,
            "Oldest TLS" / "最低 TLS 版本",
            "The oldest TLS version accepted with mqtts://: \"1.2\" for a broker that needs it, or \"1.3\"." /
            "与 mqtts:// 代理通信时接受的最低 TLS 版本；代理需要时可选 1.2。",
            labels ["TLS 1.2" / "TLS 1.2", "TLS 1.3" / "TLS 1.3"], with "ca" [];
        /// MQTT keep-alive.
        ///
        /// Default 30 s: a dead connection is noticed within twice that by the protocol, and sooner by an acknowledgement that
        /// does not come. Bounds: the client library takes no less than 5 s; after an hour every NAT has forgotten us.
        keep_alive: Span = quantity(within(Span::seconds(5), Span::hours(1)), Span::seconds(30)), Right::Remote,
            "Keep-alive" / "保活间隔",
            "The MQTT keep-alive, in whole seconds." / "MQTT 的保活间隔，整秒。";
        /// The longest wait between two attempts to connect; each wait is uniform between 0 and its cap (full jitter).
        ///
        /// Default 5 min. Bounds: at one second a whole fleet connects at once; an hour is the longest that a callback should wait for a broker.
        reconnect: Span = quantity(within(Span::seconds(1), Span::hours(1)), Span::minutes(5)), Right::Remote,
            "Longest reconnect delay" / "最长重连等待",
            "The longest wait between two attempts to connect." / "两次连接尝试之间最长的等待。";
        /// How long the broker keeps our session (and the receipts in it) while we are offline.
        ///
        /// Default 1 d. Bounds: a minute spans a reconnect; brokers seldom keep more than a month.
        session: Span = quantity(within(Span::minutes(1), Span::days(30)), Span::days(1)), Right::Remote,
            "The broker keeps messages for" / "消息代理保留消息时长",
            "How long the broker keeps our session and its messages while we are offline, in whole seconds." /
            "本网关离线时消息代理保留消息的时长，整秒。";
    }
}

impl Written {
    fn contradictions(&mut self, reader: &mut Reader<'_>, section: &Section<'_>) {
        self.brokers.append(&mut self.broker);
        for (key, span) in [("keep_alive", self.keep_alive), ("session", self.session)] {
            if !span.0.is_multiple_of(1_000) {
                let words = format!("must be whole seconds, as MQTT counts it, is {span}");
                reader.fault(&section.path(key), words);
            }
        }
        together(reader, section, "certificate", "key");
        together(reader, section, "username", "password_file");
        if !self.brokers.is_empty() && !self.brokers.iter().any(|broker| broker.tls) {
            for key in ["ca", "certificate", "key", "tls"].into_iter().filter(|key| section.has(key)) {
                reader.fault(&section.path(key), "is valid only with mqtts://, but mqtt.broker is mqtt://");
            }
        }
    }

    pub(super) fn mqtt(self) -> Mqtt {
        Mqtt {
            brokers: self.brokers,
            ca: self.ca,
            client: self.certificate.zip(self.key),
            login: self.username.zip(self.password_file),
            tls: self.tls,
            keep_alive: self.keep_alive,
            reconnect: self.reconnect,
            session: self.session,
        }
    }
}

/// Notes a fault if one of two keys is set without the other.
fn together(reader: &mut Reader<'_>, section: &Section<'_>, one: &str, other: &str) {
    for (has, lacks) in [(one, other), (other, one)] {
        if section.has(has) && !section.has(lacks) {
            reader.missing(&section.path(lacks), &format!("{} needs it", section.path(has)));
        }
    }
}

fn username(text: &str) -> Result<String, String> {
    if !(1..=LONGEST_USERNAME).contains(&text.len()) || text.chars().any(char::is_control) {
        return Err(format!("1 to {LONGEST_USERNAME} bytes without control characters"));
    }
    Ok(text.to_owned())
}

/// One broker: `broker`.
struct One;

impl Kind for One {
    type Value = Vec<Broker>;

    fn absent(&self) -> Vec<Broker> {
        Vec::new()
    }

    fn read(&self, reader: &mut Reader<'_>, section: &Section<'_>, key: &str) -> Vec<Broker> {
        let path = section.path(key);
        match (section.get(key), section.has("brokers")) {
            (Some(_), true) => {
                reader.fault(
                    &path,
                    "must not be set together with mqtt.brokers; put both brokers into that list",
                );
                Vec::new()
            }
            (Some(one), false) => brokers(reader, vec![(path, one)]),
            (None, true) => Vec::new(),
            (None, false) => {
                reader.missing(
                    &path,
                    "set the URL of the platform's broker, as in \"mqtts://broker.isp.example:8883\"",
                );
                Vec::new()
            }
        }
    }

    fn form(&self) -> Form {
        Form::Text(Pattern::Broker)
    }
}

/// A list of brokers: `brokers`.
struct Several;

const BROKERS: Bounds<usize> = within(1, 2);

impl Kind for Several {
    type Value = Vec<Broker>;

    fn absent(&self) -> Vec<Broker> {
        Vec::new()
    }

    fn read(&self, reader: &mut Reader<'_>, section: &Section<'_>, key: &str) -> Vec<Broker> {
        if section.has("broker") {
            return Vec::new();
        }
        let written = reader.list(section, key, BROKERS, "URLs", Show::Secret);
        brokers(reader, written.unwrap_or_default())
    }

    fn form(&self) -> Form {
        Form::List { pattern: Pattern::Broker, least: BROKERS.least, most: BROKERS.most }
    }
}

/// What was written as brokers; none if there was a fault in one of them.
fn brokers(reader: &mut Reader<'_>, written: Vec<(String, &Value)>) -> Vec<Broker> {
    let mut brokers: Vec<Broker> = Vec::new();
    let mut whole = true;
    for (path, value) in written {
        let Value::String(text) = value else {
            reader.must(&path, "text like \"mqtts://broker.isp.example:8883\"", value, Show::Secret);
            whole = false;
            continue;
        };
        match host::broker(text) {
            Err(words) => {
                reader.fault(&path, words);
                whole = false;
            }
            Ok(broker) => {
                let same = |b: &Broker| {
                    host::canonical(&b.host) == host::canonical(&broker.host) && b.port == broker.port
                };
                if brokers.iter().any(same) {
                    reader.fault(&path, "is given twice");
                }
                brokers.push(broker);
            }
        }
    }
    if whole { brokers } else { Vec::new() }
}
