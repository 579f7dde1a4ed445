//! `config linekeeper 'main'` of UCI: what OpenWrt's init script reads and the daemon does not.
//!
//! It is declared with the other options so that OpenWrt's file and the form have one source. Nothing here is read.

use super::kinds::{Flag, text};
use super::options::{Headed, Heading, HeadingNote, Pattern, Right, options};
use super::reader::Show;

const SCRIPT: Right = Right::Local("the init script reads it");

options! {
    /// The service.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Service = section "main", "General" / "常规",
        "The service. The minimum is `enabled` and one `list anchor` or `list world` below." /
        "服务。至少需要启用并设置一个探测目标。" {
        /// Whether the daemon is started.
        enabled: bool = Flag(true), SCRIPT,
            "Watch the line" / "监测线路",
            "Whether the line is watched. At least one target is needed." / "是否监测线路。至少需要一个探测目标。",
            shows false;
        /// `run --dry-run`.
        dry_run: bool = Flag(false), SCRIPT,
            "Dry run" / "仅提示",
            "Carry out no remedy, send no message and write nothing to flash; only log what would be done." /
            "不修复、不上报、不写闪存：只在系统日志中说明本应执行的操作。";
        /// `run --verbose`.
        verbose: bool = Flag(false), SCRIPT,
            "Verbose log" / "记录详细日志", "Log every detail." / "记录每个细节。";
        /// procd's jail.
        jail: bool = Flag(false), SCRIPT,
            "Run in a jail" / "在沙箱中运行",
            "Run without root privileges, if the firmware has procd-ujail. Remedies cannot run in the jail." /
            "固件带有 procd-ujail 时以非 root 权限运行，仅适用于不执行修复的情况。";
        /// The button that requests a call.
        button: Option<String> = text(Pattern::Plain, Show::Open, |text| Ok(text.to_owned())), SCRIPT,
            "Button" / "按键",
            "The button that requests a call when held for three seconds, by its name in /etc/rc.button." /
            "按住三秒即请求回访的网关按键：其在 /etc/rc.button 中的名称。",
            example "BTN_0";
        /// The LED that shows the result.
        button_led: Option<String> = text(Pattern::Plain, Show::Open, |text| Ok(text.to_owned())), SCRIPT,
            "LED of the button" / "按键指示灯",
            "The LED that shows the result, by its name in /sys/class/leds: on for three seconds if the call was requested, three blinks if not." /
            "显示是否已成功请求回访（常亮三秒，或闪烁三次）：其在 /sys/class/leds 中的名称。",
            example "green:wps";
    }
}

/// The section.
pub fn options() -> Heading {
    Service::heading()
}

/// The notes on its options.
pub fn notes() -> HeadingNote {
    Service::heading_note()
}
