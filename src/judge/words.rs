//! The sentences that are read to customers: one table, in every language.

use super::quality::measure::Measure;
use super::usage::status::Kind;
use crate::config::Language;
use linekeeper_contract::message::{Domain, Finding, Outcome, Remedy};
use linekeeper_contract::units::{Permille, Rate, Span};
use linekeeper_contract::vocabulary::{Direction, Reading, Rung};

/// What is wrong, with what was tried: one sentence to be read aloud.
pub fn description(
    language: Language,
    finding: Finding,
    domain: Domain,
    breaks: u32,
    tried: &[Remedy],
) -> String {
    let (en, zh) = match (finding, domain) {
        (Finding::Flapping, _) => ("The line keeps breaking", "宽带反复中断"),
        (Finding::Outage, Domain::Device) => (
            "The line is down: the gateway's WAN port is not available",
            "宽带中断：网关的外线口（WAN 口）无法使用",
        ),
        (Finding::Outage, Domain::Link) => {
            ("The line is down: no signal on the cable to the modem", "宽带中断：连接光猫的网线没有信号")
        }
        (Finding::Outage, Domain::Access) => (
            "The line is down: at the moment the operator's network gives it no address",
            "宽带中断：暂时没有从运营商网络获取到上网地址",
        ),
        (Finding::Outage, Domain::Gateway) => (
            "The line is down: the operator's nearest equipment does not answer",
            "宽带中断：运营商离您最近的设备没有响应",
        ),
        (Finding::Outage, Domain::Upstream) => (
            "The line is down: the fault is further up in our network, not in your equipment",
            "宽带中断：故障在我们的上层网络，与您店内的设备无关",
        ),
        (Finding::NoNames, _) => (
            "The line works, but the names of websites cannot be looked up properly",
            "线路是通的，但网址解析不正常，网页可能打不开",
        ),
        (Finding::Portal, _) => (
            "The line works, but a login page stands in the way of the internet",
            "线路是通的，但打开网页时会被登录页面拦住",
        ),
        (Finding::Outage, _) => {
            ("The line is down: nothing on the internet answers", "宽带中断：暂时连不上互联网")
        }
        // The other findings bring a sentence of their own, with their figures.
        _ => ("The line is not as it should be", "宽带线路异常"),
    };
    let breaks = (finding == Finding::Flapping).then_some(breaks);
    let tried: Vec<String> =
        Rung::ALL.into_iter().filter_map(|rung| tried_in_vain(language, rung, tried)).collect();
    match language {
        Language::En => {
            let breaks = breaks.map(|n| format!(", {} so far", times(n))).unwrap_or_default();
            let tried = match tried.as_slice() {
                [] => String::new(),
                tried => format!("; tried without success: {}", tried.join(", ")),
            };
            format!("{en}{breaks}{tried}.")
        }
        Language::ZhCn => {
            let breaks = breaks.map(|n| format!("，已经断了 {n} 次")).unwrap_or_default();
            let tried = match tried.as_slice() {
                [] => String::new(),
                tried => format!("；已自动{}，仍未恢复", tried.join("、")),
            };
            format!("{zh}{breaks}{tried}。")
        }
    }
}

/// How often a rung was taken without healing the line; `None`: never.
fn tried_in_vain(language: Language, rung: Rung, tried: &[Remedy]) -> Option<String> {
    let in_vain =
        |r: &&Remedy| r.name == rung && matches!(r.outcome, Some(Outcome::NoEffect | Outcome::Interrupted));
    let count = u32::try_from(tried.iter().filter(in_vain).count()).unwrap_or(u32::MAX);
    let (en, zh) = match rung {
        Rung::Renew => ("renewed the address", "重新获取地址"),
        Rung::OtherResolver => ("changed the DNS server", "更换域名服务器"),
        Rung::RestartInterface => ("restarted the interface", "重启上网接口"),
        Rung::RestartNetwork => ("restarted the network", "重启网络"),
        Rung::PowerModem => ("restarted the modem", "重启光猫"),
        Rung::Reboot => ("rebooted the gateway", "重启网关"),
    };
    (count > 0).then(|| match language {
        Language::En => format!("{en} {}", times(count)),
        Language::ZhCn => format!("{zh} {count} 次"),
    })
}

/// `once`, `twice`, `7 times`.
fn times(count: u32) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        count => format!("{count} times"),
    }
}

/// A rate as people say it: whole Mbit/s from 3 up, tenths below.
fn spoken_rate(language: Language, rate: Rate) -> String {
    const MEGA: u64 = 1_000_000;
    let tenths = (rate.0 + MEGA / 20) / (MEGA / 10);
    let number = match tenths {
        0 => "0.1".to_owned(),
        1..30 if !tenths.is_multiple_of(10) => format!("{}.{}", tenths / 10, tenths % 10),
        1..30 => (tenths / 10).to_string(),
        _ => ((rate.0 + MEGA / 2) / MEGA).to_string(),
    };
    match (language, tenths) {
        (Language::En, 0) => format!("less than {number} Mbit/s"),
        (Language::En, _) => format!("{number} Mbit/s"),
        (Language::ZhCn, 0) => format!("不到 {number} 兆"),
        (Language::ZhCn, _) => format!("{number} 兆"),
    }
}

/// A share as people say it in Chinese: in tenths.
fn spoken_share(share: Permille) -> String {
    const TENTHS: [&str; 10] = ["零", "一成", "两成", "三成", "四成", "五成", "六成", "七成", "八成", "九成"];
    let (whole, rest) = (usize::from(share.0 / 100), share.0 % 100);
    match (TENTHS.get(whole), TENTHS.get(whole + 1), rest) {
        (Some(_), _, _) if whole == 0 => "不到一成".to_owned(),
        (Some(tenths), _, ..25) => tenths.to_string(),
        (_, Some(next), 75..) => format!("将近{next}"),
        (Some(tenths), ..) => format!("{tenths}多"),
        (None, ..) => "十成".to_owned(),
    }
}

/// The customer asked to be called.
pub fn asked(language: Language, reason: &str) -> String {
    match (language, reason.is_empty()) {
        (Language::En, true) => "The customer asks to be called.".into(),
        (Language::En, false) => format!("The customer asks to be called: {reason}"),
        (Language::ZhCn, true) => "客户希望回电。".into(),
        (Language::ZhCn, false) => format!("客户希望回电：{reason}"),
    }
}

/// A follow-up callback of the programme; `name` as the programme writes due times.
pub fn follow_up(language: Language, name: &str, broken: bool) -> String {
    let (count, unit) = name.split_at(name.find(|c: char| !c.is_ascii_digit()).unwrap_or(name.len()));
    match language {
        Language::En => {
            let unit = match (unit, count) {
                ("d", "1") => "day",
                ("d", _) => "days",
                ("h", "1") => "hour",
                ("h", _) => "hours",
                ("min", "1") => "minute",
                ("min", _) => "minutes",
                (_, "1") => "second",
                _ => "seconds",
            };
            let broken = if broken { " Right now the line has a fault." } else { "" };
            format!("Follow-up call {count} {unit} after the installation: how does the line work?{broken}")
        }
        Language::ZhCn => {
            let unit = match unit {
                "d" => "天",
                "h" => "小时",
                "min" => "分钟",
                _ => "秒",
            };
            let broken = if broken { "目前线路有故障。" } else { "" };
            format!("安装 {count} {unit}后的回访：想了解您的宽带用得怎么样。{broken}")
        }
    }
}

/// The platform ordered to ask again, some time after a complaint was handled.
pub fn recheck(language: Language, broken: bool) -> String {
    let text = match (language, broken) {
        (Language::En, false) => "Follow-up call after a complaint: does the line work well now?",
        (Language::En, true) => {
            "Follow-up call after a complaint: does the line work well now? Right now it has a fault."
        }
        (Language::ZhCn, false) => "投诉处理后的回访：想了解您的宽带现在是否正常。",
        (Language::ZhCn, true) => "投诉处理后的回访：想了解您的宽带现在是否正常。目前线路有故障。",
    };
    text.into()
}

/// One direction of the line is slower than was agreed: `is`, where `agreed` had to be there; `share` is the one of the
/// other.
pub fn short_rate(
    language: Language,
    direction: Direction,
    is: Rate,
    agreed: Rate,
    share: Permille,
) -> String {
    let (is, agreed) = (spoken_rate(language, is), spoken_rate(language, agreed));
    match (language, direction) {
        (Language::En, direction) => {
            let name = match direction {
                Direction::Download => "Download",
                Direction::Upload => "Upload",
            };
            format!(
                "{name} is slower than agreed: several tests show about {is}, {share} of the agreed {agreed}."
            )
        }
        (Language::ZhCn, direction) => {
            let name = match direction {
                Direction::Download => "下载",
                Direction::Upload => "上传",
            };
            let share = spoken_share(share);
            format!("宽带{name}比约定的慢：多次测速约 {is}，是签约速率 {agreed}的{share}。")
        }
    }
}

/// The port negotiated less than was sold.
pub fn short_port(language: Language, is: Rate, sold: Rate) -> String {
    let (is, sold) = (spoken_rate(language, is), spoken_rate(language, sold));
    match language {
        Language::En => format!(
            "The cable between the gateway and the modem carries only {is}, {sold} were agreed. The cable or the port is the \
             cause."
        ),
        Language::ZhCn => {
            format!("网关和光猫之间的网线只跑到 {is}，签约速率是 {sold}：请检查网线和网口。")
        }
    }
}

/// Round trips are longer, or losses more, than was promised.
pub fn quality(language: Language, measure: Measure, is: &str, promised: &str) -> String {
    match (language, measure) {
        (Language::En, Measure::Latency) => format!(
            "Replies take up to {is}; {promised} were agreed. Phone calls and remote work suffer from it."
        ),
        (Language::En, Measure::Loss) => format!(
            "The line loses {is} of the data; at most {promised} was agreed. Phone calls break up and pages load slowly."
        ),
        (Language::ZhCn, Measure::Latency) => format!(
            "网络延迟偏高：多数时候 {is}，约定是 {promised}以内。打电话和远程办公会受影响。",
            is = spoken_unit(is),
            promised = spoken_unit(promised)
        ),
        (Language::ZhCn, Measure::Loss) => {
            format!("网络丢包偏高：约 {is}，约定不超过 {promised}。通话可能断断续续，网页打开会变慢。")
        }
    }
}

/// `80 ms` as it is said in Chinese.
fn spoken_unit(text: &str) -> String {
    text.replace("ms", "毫秒")
}

/// The traffic is unusual: at `rate`, for `lasts` or longer, where `usual` is.
pub fn usage(language: Language, kind: Kind, rate: Rate, usual: Rate, lasts: Span) -> String {
    let minutes = lasts.whole_seconds() / 60;
    let (rate, usual) = (spoken_rate(language, rate), spoken_rate(language, usual));
    match (language, kind) {
        (Language::En, Kind::MuchReceived) => format!(
            "Far more data than usual is being received: about {rate} for over {minutes} minutes; about {usual} is usual at \
             this hour."
        ),
        (Language::En, Kind::MuchSent) => format!(
            "Far more data than usual is being sent: about {rate} for over {minutes} minutes; about {usual} is usual at this \
             hour. A backup, an infected machine or a data leak may be the cause."
        ),
        (Language::En, Kind::LittleReceived) => format!(
            "Hardly any data is being received at an hour that is usually busy: about {rate} for over {minutes} minutes; \
             about {usual} is usual. The line itself works."
        ),
        (Language::ZhCn, Kind::MuchReceived) => {
            format!("下载流量比平时高很多：约 {rate}，已经持续 {minutes} 分钟以上，这个时段平时约 {usual}。")
        }
        (Language::ZhCn, Kind::MuchSent) => format!(
            "上传流量比平时高很多：约 {rate}，已经持续 {minutes} 分钟以上，这个时段平时约 {usual}。可能是在备份，也可能是设备中毒或数据外泄。"
        ),
        (Language::ZhCn, Kind::LittleReceived) => format!(
            "平时繁忙的时段几乎没有下载流量：约 {rate}，已经持续 {minutes} 分钟以上，平时约 {usual}。线路本身正常。"
        ),
    }
}

/// The gateway warns of itself; `figure` is its reading (of the port's rate: what it is and what it was).
pub fn warning(language: Language, reading: Reading, figure: &str) -> String {
    match (language, reading) {
        (Language::En, Reading::Cpu) => {
            format!("The gateway is overloaded: its processor is {figure} busy.")
        }
        (Language::En, Reading::Memory) => {
            format!("The gateway is short of memory: only {figure} is available.")
        }
        (Language::En, Reading::Flash) => {
            format!("The gateway's storage is nearly full: only {figure} is free.")
        }
        (Language::En, Reading::Temperature) => {
            format!("The gateway is too hot ({figure}): please put it where air can circulate.")
        }
        (Language::En, Reading::Conntrack) => {
            format!("The gateway can hardly accept more connections: its connection table is {figure} full.")
        }
        (Language::En, Reading::PortErrors) => format!(
            "Data is damaged between the gateway and the modem ({figure} of what is received). The cable or the port is the cause."
        ),
        (Language::En, Reading::PortSpeed) => format!(
            "The cable between the gateway and the modem carries less than before ({figure}). The cable or the port is the cause."
        ),
        (Language::En, Reading::PortDuplex) => {
            "The cable between the gateway and the modem carries only one direction at a time (half duplex). The cable, the \
             port or a fixed setting at one end is the cause."
                .to_owned()
        }
        (Language::En, Reading::Restarts) => {
            format!(
                "The gateway restarted unexpectedly {figure} times within a day. Please check its power supply."
            )
        }
        (Language::ZhCn, Reading::Cpu) => format!("网关太忙：处理器已用到 {figure}。"),
        (Language::ZhCn, Reading::Memory) => format!("网关内存不足：只剩 {figure}。"),
        (Language::ZhCn, Reading::Flash) => format!("网关存储空间快满了：只剩 {figure}。"),
        (Language::ZhCn, Reading::Temperature) => format!("网关温度过高（{figure}）：请放在通风的地方。"),
        (Language::ZhCn, Reading::Conntrack) => format!("网关的连接数快到上限：连接表已用 {figure}。"),
        (Language::ZhCn, Reading::PortErrors) => {
            format!("网关和光猫之间的数据有差错（占接收量的 {figure}）：请检查网线和网口。")
        }
        (Language::ZhCn, Reading::PortSpeed) => {
            format!("网关和光猫之间的网口速率下降了（{figure}）：请检查网线和网口。")
        }
        (Language::ZhCn, Reading::PortDuplex) => {
            "网关和光猫之间只能单向轮流传输（半双工）：请检查网线、网口和两端的速率设置。".to_owned()
        }
        (Language::ZhCn, Reading::Restarts) => {
            format!("网关一天内意外重启了 {figure} 次：请检查电源。")
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails loudly")]
mod tests {
    use super::*;
    use linekeeper_contract::message::Stamp;

    fn tried(rung: Rung, outcome: Outcome) -> Remedy {
        let began = Stamp { wall: None, synced: false, boot_id: String::new(), uptime_ms: 0 };
        Remedy { name: rung, began, took_ms: Some(9_000), outcome: Some(outcome), detail: String::new() }
    }

    /// Every sentence in a language, with every variant of what it depends on.
    fn all(language: Language) -> Vec<String> {
        let domains = [
            Domain::Device,
            Domain::Lan,
            Domain::Link,
            Domain::Access,
            Domain::Gateway,
            Domain::Upstream,
            Domain::Name,
            Domain::Portal,
            Domain::Server,
            Domain::Unknown,
        ];
        let in_vain: Vec<Remedy> = Rung::ALL.iter().map(|rung| tried(*rung, Outcome::NoEffect)).collect();
        let mut said = Vec::new();
        for finding in Finding::ALL {
            for domain in domains {
                said.push(description(language, *finding, domain, 1, &[]));
                said.push(description(language, *finding, domain, 12, &in_vain));
            }
        }
        for broken in [false, true] {
            said.push(recheck(language, broken));
            said.extend(["24h", "7d", "1d", "30min", "10s"].map(|name| follow_up(language, name, broken)));
        }
        for direction in [Direction::Download, Direction::Upload] {
            for permille in (0..=1_000).step_by(5) {
                let (is, agreed) = (Rate(permille * 30_000), Rate(30_000_000));
                said.push(short_rate(language, direction, is, agreed, Permille(permille as u16)));
            }
        }
        said.push(short_port(language, Rate(10_000_000), Rate(1_000_000_000)));
        said.push(quality(language, Measure::Latency, "80 ms", "50 ms"));
        said.push(quality(language, Measure::Loss, "2.5 %", "1 %"));
        for kind in [Kind::MuchReceived, Kind::MuchSent, Kind::LittleReceived] {
            said.push(usage(language, kind, Rate(12_345_678), Rate(250_000), Span::minutes(45)));
        }
        said.extend(Reading::ALL.iter().map(|reading| warning(language, *reading, "97 %")));
        said.push(asked(language, ""));
        said
    }

    #[test]
    fn chinese_sentences_contain_no_english_words() {
        for text in all(Language::ZhCn) {
            let word =
                text.split(|c: char| !c.is_ascii_alphabetic()).find(|word| !matches!(*word, "" | "WAN"));
            assert_eq!(word, None, "{text}");
            assert!(text.ends_with('。') && !text.contains("。。"), "{text}");
        }
    }

    #[test]
    fn english_sentences_contain_no_chinese_and_end_once() {
        for text in all(Language::En) {
            assert!(text.is_ascii(), "{text}");
            assert!(text.ends_with(['.', '?']) && !text.contains(".."), "{text}");
        }
    }

    #[test]
    fn what_was_tried_in_vain_is_counted_and_what_healed_is_not() {
        let tried = [
            tried(Rung::Renew, Outcome::NoEffect),
            tried(Rung::Renew, Outcome::Interrupted),
            tried(Rung::RestartInterface, Outcome::NoEffect),
            tried(Rung::Reboot, Outcome::Healed),
        ];
        let text = |language| description(language, Finding::Outage, Domain::Access, 1, &tried);
        assert_eq!(
            text(Language::En),
            "The line is down: at the moment the operator's network gives it no address; tried without success: renewed the \
             address twice, restarted the interface once."
        );
        assert_eq!(
            text(Language::ZhCn),
            "宽带中断：暂时没有从运营商网络获取到上网地址；已自动重新获取地址 2 次、重启上网接口 1 次，仍未恢复。"
        );
    }

    #[test]
    fn rates_and_shares_are_said_as_people_say_them() {
        let text = |language, is, share| {
            short_rate(language, Direction::Download, Rate(is), Rate(30_000_000), Permille(share))
        };
        assert_eq!(
            text(Language::ZhCn, 6_360_000, 212),
            "宽带下载比约定的慢：多次测速约 6 兆，是签约速率 30 兆的两成。"
        );
        assert_eq!(
            text(Language::En, 1_460_000, 48),
            "Download is slower than agreed: several tests show about 1.5 Mbit/s, 4.8 % of the agreed 30 Mbit/s."
        );
        let shares = [
            (48, "不到一成"),
            (124, "一成"),
            (150, "一成多"),
            (275, "将近三成"),
            (960, "九成多"),
            (1_000, "十成"),
        ];
        for (share, said) in shares {
            assert_eq!(spoken_share(Permille(share)), said, "{share}");
        }
        assert_eq!(spoken_rate(Language::ZhCn, Rate(2_950_000)), "3 兆");
        assert_eq!(spoken_rate(Language::ZhCn, Rate(1_000_000_000)), "1000 兆");
        assert_eq!(spoken_rate(Language::En, Rate(40_000)), "less than 0.1 Mbit/s");
    }
}
