//! `[hooks]`: a program that runs when something changes.

use super::bounds::within;
use super::kinds::{Words, file, quantity};
use super::options::{Right, options};
use super::reader::Show;
use linekeeper_contract::units::Span;
use std::path::PathBuf;

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

const PROGRAM: Right = Right::Local("only the gateway's own configuration sets which programs it runs");

options! {
    /// A program of the operator that runs when something changes.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Hooks = section "hooks", "Program" / "程序",
        "A program that runs when something changes, as hotplug scripts do. Only one runs at a time, and the daemon does not wait for it. It \
         gets the event as JSON on standard input, as the platform does. Its environment is PATH and: ACTION (opened, updated, \
         closed; begun, ended; covered, requested, received, scheduled, closed, withdrawn, refused), INTERFACE and DEVICE (the \
         WAN device), LINEKEEPER_EVENT (incident, remedy or callback), LINEKEEPER_ID (the message's), LINEKEEPER_DEVICE_ID, \
         LINEKEEPER_INCIDENT, LINEKEEPER_FINDING, LINEKEEPER_DOMAIN, LINEKEEPER_REMEDY, LINEKEEPER_OUTCOME, \
         LINEKEEPER_CALLBACK; a variable that does not apply is empty. Without a program nothing runs." /
        "有变化时运行的程序，与热插拔脚本类似，一次只运行一个，不拖延任何处理。事件以 JSON 形式从标准输入给出，与平台收到的相同。\
         环境变量为 PATH 以及 ACTION（opened、updated、closed；begun、ended；covered、requested、received、scheduled、closed、\
         withdrawn、refused）、INTERFACE 和 DEVICE（WAN 设备）、LINEKEEPER_EVENT（incident、remedy 或 callback）、\
         LINEKEEPER_ID（消息编号）、LINEKEEPER_DEVICE_ID、LINEKEEPER_INCIDENT、LINEKEEPER_FINDING、LINEKEEPER_DOMAIN、\
         LINEKEEPER_REMEDY、LINEKEEPER_OUTCOME、LINEKEEPER_CALLBACK；事件没有的为空。没有程序则不运行任何东西。" {
        /// The program.
        program: PathBuf = file(Show::Open).required("set the path of the program"), PROGRAM,
            "Program" / "程序",
            "The program's path." / "程序的路径。",
            shows "/etc/linekeeper/hook";
        /// On which changes it is run, each once, at least one.
        ///
        /// Default: all.
        on: Vec<HookOn> = Words {
                all: &HookOn::ALL, name: HookOn::name, least: 1, default: &HookOn::ALL,
                what: "changes", again: "is given twice, is {}",
            }, PROGRAM,
            "Changes" / "哪些变化",
            "The changes on which it runs." / "在哪些变化时运行。",
            labels ["Incidents" / "故障事件", "Repairs" / "修复", "Calls" / "回访"], with "program" [];
        /// How long it may run before it is killed.
        ///
        /// Default 10 s: what a script does with `uci`, `ubus` or `logger` is over in one, a mail in some. Bounds: nothing real
        /// is over within a second at every time; events that wait for more than a minute each are old news.
        limit: Span = quantity(within(Span::seconds(1), Span::minutes(1)), Span::seconds(10)), PROGRAM,
            "Time limit" / "最长用时",
            "How long it may run before it is killed with its process group." / "超过此时长后连同其进程组一起终止。",
            with "program" [];
    }
}
