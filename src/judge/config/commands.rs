//! `[commands]` and `[desired]`: which commands the platform may give, and what it may configure.

use super::bounds;
use super::kinds::{Flag, Words, hex, quantity, text};
use super::options::{Pattern, Right, Uci, options};
use super::reader::Show;
use linekeeper_contract::message::CommandName;
use linekeeper_contract::units::Span;

const ORDERED: Right = Right::Local("only the gateway's own configuration sets which commands are allowed");
const CONFIGURED: Right =
    Right::Local("only the gateway's own configuration sets what the platform may configure");

options! {
    /// Which commands the platform may give.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Commands = section "commands", "Commands" / "远程指令",
        "Which commands the platform may give over MQTT." / "运营商可通过 MQTT 下达的指令。" {
        /// The allowed commands.
        ///
        /// Default check, speedtest, diagnose and programme: they only measure, stay within the test budget, or request a call.
        /// The operator decides whether commands that interrupt the customer (remedy, reboot) are allowed.
        allow: Vec<CommandName> = Words {
                all: &CommandName::ALL, name: CommandName::as_str, least: 0,
                default: &[
                    CommandName::Check, CommandName::Speedtest, CommandName::Diagnose, CommandName::Programme,
                ],
                what: "commands", again: "is listed twice, is {}",
            }, ORDERED,
            "Allowed" / "执行的指令",
            "The allowed commands: check, speedtest, diagnose, remedy (one rung of the ladder), reboot, programme (request a \
             call at a later time). Remedy and reboot interrupt the customer and run only if they are listed here." /
            "执行的指令。修复和重启会中断您的使用，只有在此列出才执行。",
            labels [
                "Check the line" / "检查线路", "Test the speed" / "测速", "Find the fault" / "查找故障", "Repair" / "修复",
                "Reboot the gateway" / "重启网关", "Ask for a call later" / "预约回访",
            ], uci [Uci::None, Uci::Strict];
        /// The Ed25519 public key by which `remedy` and `reboot` must be signed. `None`: they need no signature, and anybody who may
        /// publish to the device's topic may give them.
        key: Option<[u8; 32]> = text(Pattern::Digits, Show::Open, |text| {
                hex::<32>(text).ok_or_else(|| "an Ed25519 public key, 64 hexadecimal digits".to_owned())
            }), ORDERED,
            "Public key" / "公钥",
            "Ed25519 public key, 64 hexadecimal digits: with it, remedy and reboot must be signed. On OpenWrt this whole \
             section is left out if the key is invalid." /
            "Ed25519 公钥，64 位十六进制数字：填写后，修复和重启指令必须带签名。在 OpenWrt 上，公钥无法识别时整个部分都会被忽略。",
            example "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", uci [Uci::Whole];
    }
}

options! {
    /// What the platform may configure.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Desired = section "desired", "Remote settings" / "远程设置",
        "What the platform may configure over MQTT. Its settings override the ones here." /
        "运营商可通过 MQTT 下发的设置；它们叠加在本设置之上，此处不显示。" {
        /// Whether `config/desired` is accepted.
        ///
        /// Default true. Each key declares whether the platform may set it.
        accept: bool = Flag(true), CONFIGURED,
            "Accept them" / "接受远程设置",
            "Whether a desired configuration is accepted. It can never change the gateway's identity, its files and programs, \
             its credentials, whom it trusts, and the sections commands, desired, privacy, store and status." /
            "是否采纳远程设置。网关身份、文件与程序、凭据以及指令、远程设置、隐私、闪存和套接字部分始终不受影响。",
            uci [Uci::Instead("0")];
        /// A new configuration is kept only if the broker connects and an echo is answered within this time.
        ///
        /// Default 3 min: the connection's first attempts come within 1, 2, 4, 8 … s, so that some eight are made; an echo
        /// comes within a second. A gateway that was cut off is back before anybody has asked for it. Bounds: a restart, a TLS
        /// handshake and a lost SYN or two take 10 s; for an hour nobody may be cut off.
        within: Span = quantity(bounds::within(Span::seconds(10), Span::hours(1)), Span::minutes(3)), CONFIGURED,
            "Kept if it works within" / "在此时间内正常才保留",
            "A new configuration is kept only if the broker connects and an echo is answered within this time." /
            "在此时间内连上消息代理并收到探测应答，新设置才会保留。";
    }
}
