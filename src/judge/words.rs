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
        (Finding::Outage, Domain::Device) => {
            ("The line is down: the gateway's WAN port is gone", "宽带中断：网关的外线端口不可用")
        }
        (Finding::Outage, Domain::Link) => {
            ("The line is down: no signal on the cable to the modem", "宽带中断：光猫或网线无信号")
        }
        (Finding::Outage, Domain::Access) => {
            ("The line is down: the operator's access gives no address", "宽带中断：运营商接入未分配地址")
        }
        (Finding::Outage, Domain::Gateway) => {
            ("The line is down: the operator's access does not answer", "宽带中断：运营商接入无应答")
        }
        (Finding::Outage, Domain::Upstream) => (
            "The line is down: the fault lies in the operator's network beyond the access",
            "宽带中断：故障位于运营商接入之后的网络",
        ),
        (Finding::NoNames, _) => {
            ("The line works, but internet names are not resolved properly", "线路正常，但域名解析异常")
        }
        (Finding::Portal, _) => (
            "The line works, but a login page stands in the way of the internet",
            "线路正常，但上网被认证页面拦截",
        ),
        (Finding::Outage, _) => {
            ("The line is down: nothing on the internet answers", "宽带中断：互联网无应答")
        }
        // The other findings bring a sentence of their own, with their figures.
        _ => ("The line is not as it should be", "线路异常"),
    };
    let mut text = match language {
        Language::En => en.to_string(),
        Language::ZhCn => zh.to_string(),
    };
    if finding == Finding::Flapping {
        text += &match language {
            Language::En => format!(" ({breaks} times)"),
            Language::ZhCn => format!("（{breaks}次）"),
        };
    }
    for rung in Rung::ALL {
        let times = tried
            .iter()
            .filter(|r| r.name == rung && matches!(r.outcome, Some(Outcome::NoEffect | Outcome::Interrupted)))
            .count();
        if times == 0 {
            continue;
        }
        text += &match (language, rung) {
            (Language::En, Rung::Renew) => format!("; renewed the address {times} times without effect"),
            (Language::En, Rung::OtherResolver) => {
                format!("; changed the name server {times} times without effect")
            }
            (Language::En, Rung::RestartInterface) => {
                format!("; restarted the interface {times} times without effect")
            }
            (Language::En, Rung::RestartNetwork) => {
                format!("; restarted the network {times} times without effect")
            }
            (Language::En, Rung::PowerModem) => format!("; restarted the modem {times} times without effect"),
            (Language::En, Rung::Reboot) => format!("; rebooted the gateway {times} times without effect"),
            (Language::ZhCn, Rung::Renew) => format!("，已自动续租地址{times}次未恢复"),
            (Language::ZhCn, Rung::OtherResolver) => format!("，已自动更换域名服务器{times}次未恢复"),
            (Language::ZhCn, Rung::RestartInterface) => format!("，已自动重启接口{times}次未恢复"),
            (Language::ZhCn, Rung::RestartNetwork) => format!("，已自动重启网络{times}次未恢复"),
            (Language::ZhCn, Rung::PowerModem) => format!("，已自动重启光猫{times}次未恢复"),
            (Language::ZhCn, Rung::Reboot) => format!("，已自动重启网关{times}次未恢复"),
        };
    }
    match language {
        Language::En => text.replace(" 1 times", " once") + ".",
        Language::ZhCn => text + "。",
    }
}

/// The customer asked to be called.
pub fn asked(language: Language, reason: &str) -> String {
    match (language, reason.is_empty()) {
        (Language::En, true) => "The customer asks to be called.".into(),
        (Language::En, false) => format!("The customer asks to be called: {reason}"),
        (Language::ZhCn, true) => "客户请求回电。".into(),
        (Language::ZhCn, false) => format!("客户请求回电：{reason}"),
    }
}

/// A follow-up callback of the programme; `name` as the programme writes due times.
pub fn follow_up(language: Language, name: &str, broken: bool) -> String {
    let (count, unit) = name.split_at(name.find(|c: char| !c.is_ascii_digit()).unwrap_or(name.len()));
    let text = match (language, unit) {
        (Language::En, unit) => {
            let unit = match unit {
                "d" => "days",
                "h" => "hours",
                "min" => "minutes",
                _ => "seconds",
            };
            let broken = if broken { " At this moment the line is disturbed." } else { "" };
            return format!(
                "Follow-up call {count} {unit} after the installation: how does the line do?{broken}"
            );
        }
        (Language::ZhCn, "d") => format!("安装后{count}天回访：了解宽带使用情况"),
        (Language::ZhCn, "h") => format!("安装后{count}小时回访：了解宽带使用情况"),
        (Language::ZhCn, "min") => format!("安装后{count}分钟回访：了解宽带使用情况"),
        (Language::ZhCn, _) => format!("安装后{count}秒回访：了解宽带使用情况"),
    };
    text + if broken { "（目前线路存在故障）。" } else { "。" }
}

/// The platform ordered to ask again, some time after a complaint was handled.
pub fn recheck(language: Language, broken: bool) -> String {
    let text = match (language, broken) {
        (Language::En, false) => "Follow-up call after a complaint: does the line do well now?",
        (Language::En, true) => {
            "Follow-up call after a complaint: does the line do well now? At this moment it is disturbed."
        }
        (Language::ZhCn, false) => "投诉处理后回访：了解宽带目前是否正常。",
        (Language::ZhCn, true) => "投诉处理后回访：了解宽带目前是否正常（目前线路存在故障）。",
    };
    text.into()
}

/// One direction of the line is slower than was sold.
pub fn short_rate(
    language: Language,
    direction: Direction,
    is: Rate,
    normal: Rate,
    share: Permille,
) -> String {
    match language {
        Language::En => {
            let name = match direction {
                Direction::Download => "Download",
                Direction::Upload => "Upload",
            };
            format!(
                "{name} is slower than was agreed: about {is} of the normal {normal} ({share}), in tests over some time."
            )
        }
        Language::ZhCn => {
            let name = match direction {
                Direction::Download => "下行",
                Direction::Upload => "上行",
            };
            format!("宽带{name}速率低于签约速率：多次测速约为{is}，为签约常用速率{normal}的{share}。")
        }
    }
}

/// The port negotiated less than was sold.
pub fn short_port(language: Language, is: Rate, sold: Rate) -> String {
    match language {
        Language::En => {
            format!(
                "The cable between the gateway and the modem carries only {is}, {sold} were agreed: cable or port."
            )
        }
        Language::ZhCn => format!("网关与光猫之间的端口仅协商到{is}，签约速率为{sold}：请检查网线或端口。"),
    }
}

/// Round trips are longer, or losses more, than was promised.
pub fn quality(language: Language, measure: Measure, is: &str, promised: &str) -> String {
    match (language, measure) {
        (Language::En, Measure::Latency) => format!(
            "The line answers too slowly: 95 of 100 answers take up to {is}, at most {promised} were agreed. Calls and remote \
             work suffer from it."
        ),
        (Language::En, Measure::Loss) => format!(
            "The line loses data on the way: about {is}, at most {promised} was agreed. Calls break up and pages load slowly."
        ),
        (Language::ZhCn, Measure::Latency) => {
            format!("宽带网络延迟偏高：95%的响应需要{is}以内，约定不超过{promised}，通话和远程办公会受影响。")
        }
        (Language::ZhCn, Measure::Loss) => {
            format!("宽带网络丢包偏高：约{is}，约定不超过{promised}，通话可能断续，网页打开变慢。")
        }
    }
}

/// The traffic is unusual: at `rate`, for `lasts` or longer, where `usual` is.
pub fn usage(language: Language, kind: Kind, rate: Rate, usual: Rate, lasts: Span) -> String {
    let minutes = lasts.whole_seconds() / 60;
    match (language, kind) {
        (Language::En, Kind::MuchReceived) => format!(
            "Far more than usual is being received: about {rate} for over {minutes} minutes, where about {usual} is usual at \
             this hour."
        ),
        (Language::En, Kind::MuchSent) => format!(
            "Far more than usual is being sent: about {rate} for over {minutes} minutes, where about {usual} is usual at this \
             hour. A backup, an infected machine or a leak of data may be the cause."
        ),
        (Language::En, Kind::LittleReceived) => format!(
            "Hardly anything is being received at an hour that is usually busy: about {rate} for over {minutes} minutes, where \
             about {usual} is usual. The line itself works."
        ),
        (Language::ZhCn, Kind::MuchReceived) => {
            format!("下行流量异常偏高：约{rate}，已持续{minutes}分钟以上，该时段平时约为{usual}。")
        }
        (Language::ZhCn, Kind::MuchSent) => format!(
            "上行流量异常偏高：约{rate}，已持续{minutes}分钟以上，该时段平时约为{usual}；可能是备份、设备中毒或数据外泄。"
        ),
        (Language::ZhCn, Kind::LittleReceived) => format!(
            "平时繁忙的时段几乎没有下行流量：约{rate}，已持续{minutes}分钟以上，平时约为{usual}；线路本身正常。"
        ),
    }
}

/// The gateway warns of itself; `figure` is its reading (of the port's rate: what it is and what it was).
pub fn warning(language: Language, reading: Reading, figure: &str) -> String {
    match (language, reading) {
        (Language::En, Reading::Cpu) => {
            format!("The gateway is overloaded: {figure} of its processor are in use.")
        }
        (Language::En, Reading::Memory) => {
            format!("The gateway is short of memory: {figure} of it are available.")
        }
        (Language::En, Reading::Flash) => {
            format!("The gateway's storage is nearly full: {figure} of it are free.")
        }
        (Language::En, Reading::Temperature) => {
            format!("The gateway is too hot ({figure}): it should stand where air can pass.")
        }
        (Language::En, Reading::Conntrack) => {
            format!("The gateway can hardly take more connections: {figure} of its table are in use.")
        }
        (Language::En, Reading::PortErrors) => format!(
            "Data is damaged between the gateway and the modem ({figure} of what is received): cable or port."
        ),
        (Language::En, Reading::PortSpeed) => format!(
            "The cable between the gateway and the modem carries less than it did ({figure}): cable or port."
        ),
        (Language::En, Reading::PortDuplex) => {
            "The cable between the gateway and the modem carries only one direction at a time (half duplex): cable or port, \
             or a fixed setting at one end."
                .to_owned()
        }
        (Language::En, Reading::Restarts) => {
            format!(
                "The gateway restarted {figure} times within a day unexpectedly: look at its power supply."
            )
        }
        (Language::ZhCn, Reading::Cpu) => format!("网关处理器负载过高：已使用{figure}。"),
        (Language::ZhCn, Reading::Memory) => format!("网关内存不足：可用{figure}。"),
        (Language::ZhCn, Reading::Flash) => format!("网关存储空间将满：剩余{figure}。"),
        (Language::ZhCn, Reading::Temperature) => format!("网关温度过高（{figure}）：请放置在通风处。"),
        (Language::ZhCn, Reading::Conntrack) => format!("网关连接数接近上限：连接表已使用{figure}。"),
        (Language::ZhCn, Reading::PortErrors) => {
            format!("网关与光猫之间的数据出现差错（占接收量的{figure}）：请检查网线或端口。")
        }
        (Language::ZhCn, Reading::PortSpeed) => {
            format!("网关与光猫之间的端口速率下降（{figure}）：请检查网线或端口。")
        }
        (Language::ZhCn, Reading::PortDuplex) => {
            "网关与光猫之间的端口仅协商为半双工：请检查网线、端口或两端的速率设置。".to_owned()
        }
        (Language::ZhCn, Reading::Restarts) => {
            format!("网关一天内意外重启{figure}次：请检查电源。")
        }
    }
}
