//! `[device]`: the gateway's identity.

use super::bounds::{LONGEST_AREA, LONGEST_CUSTOMER, LONGEST_ID};
use super::kinds::{Choice, text};
use super::options::{Pattern, Right, options};
use super::reader::Show;
use linekeeper_contract::units::LocalTime;

/// Languages of the descriptions that are read to customers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Language {
    /// `en`
    #[default]
    En,
    /// `zh-CN`
    ZhCn,
}

options! {
    /// The gateway's identity.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Device = section "device", "Gateway" / "网关", "The identity of this gateway." / "本网关的身份。" {
        /// Unique among the operator's gateways; part of every topic and of every message's id. 1 to 64 of
        /// `A-Z a-z 0-9 . _ -`.
        id: String = text(Pattern::Id, Show::Open, id)
            .required("set a name that no other gateway of the operator has"),
            Right::Local("only the gateway's own configuration sets its identity"),
            "Identity" / "标识",
            "Unique among the operator's gateways and part of every MQTT topic: 1 to 64 of the characters A-Z, a-z, 0-9, dot, \
             underscore and hyphen. On OpenWrt the first boot sets gw- and the board's MAC address." /
            "在运营商的所有网关中唯一，是每个 MQTT 主题的一部分：1 到 64 个字符，限 A-Z、a-z、0-9、点、下划线和连字符。\
             OpenWrt 首次启动时设为 gw- 加主板的 MAC 地址。",
            shows "gw-0001";
        /// The operator's opaque reference to the customer. Never a name or number. It is not written to the log,
        /// which should not reveal whose line it is.
        customer: Option<String> = text(Pattern::Plain, Show::Secret, customer), Right::Remote,
            "Customer" / "客户",
            "The operator's opaque reference to the customer. Never a name or a telephone number." /
            "运营商的内部客户编号，不得填写姓名或电话号码。",
            shows "CUST1001";
        /// The operator's name for the part of the network, levels divided by `/`.
        area: Option<String> = text(Pattern::Area, Show::Open, area), Right::Remote,
            "Area" / "区域",
            "The operator's name for this part of the network, levels divided by /." /
            "运营商对该网络区域的命名，各级之间用 / 分隔。",
            shows "north-3/olt-7";
        /// When the line was installed. Times are shown with its UTC offset.
        installed: Option<LocalTime> = text(Pattern::Date, Show::Open, installed), Right::Remote,
            "Installed" / "装机时间",
            "When the line was installed. Times are shown with its UTC offset." /
            "线路的装机时间，其 UTC 偏移即为显示时间所用的时区。",
            shows "2026-11-20T09:00:00+08:00";
        /// The language of callback texts.
        ///
        /// Default `en`.
        language: Language = Choice(&[("en", Language::En), ("zh-CN", Language::ZhCn)]), Right::Remote,
            "Language of callbacks" / "回访语言",
            "The language of callback texts: \"en\" or \"zh-CN\"." / "描述回访所用的语言。",
            labels ["English" / "English", "简体中文" / "简体中文"];
    }
}

const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

fn id(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > LONGEST_ID || !text.bytes().all(is_plain) {
        return Err(format!("1 to {LONGEST_ID} of A-Z a-z 0-9 . _ -"));
    }
    Ok(text.to_owned())
}

fn customer(text: &str) -> Result<String, String> {
    if !(1..=LONGEST_CUSTOMER).contains(&text.chars().count()) || text.chars().any(char::is_control) {
        return Err(format!("1 to {LONGEST_CUSTOMER} characters, none of them a control character"));
    }
    Ok(text.to_owned())
}

fn area(text: &str) -> Result<String, String> {
    let level = |level: &str| !level.is_empty() && level.bytes().all(is_plain);
    if text.len() > LONGEST_AREA || !text.split('/').all(level) {
        return Err(format!("at most {LONGEST_AREA} of A-Z a-z 0-9 . _ -, with single / between the levels"));
    }
    Ok(text.to_owned())
}

fn installed(text: &str) -> Result<LocalTime, String> {
    LocalTime::parse(text).map_err(|_| "a date like 2026-11-20T09:00:00+08:00".to_owned())
}
