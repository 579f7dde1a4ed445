//! `[store]` and `[status]`: where the gateway keeps its files.

use super::bounds::{LONGEST_SOCKET_PATH, SOCKET_DEFAULT, within};
use super::kinds::{file, path, quantity, text};
use super::options::{Pattern, Right, options};
use super::reader::Show;
use linekeeper_contract::units::Bytes;
use std::path::PathBuf;

const FILES: Right = Right::Local("only the gateway's own configuration sets where it keeps its files");
/// The place for a program's state in the Filesystem Hierarchy Standard.
const DIRECTORY: &str = "/var/lib/linekeeper";

options! {
    /// What is stored on flash.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Store = section "store", "Flash" / "闪存", "What is stored on flash." / "保存在闪存中的内容。" {
        /// The directory for the snapshot and the outbox.
        ///
        /// Default `/var/lib/linekeeper`: the place for a program's state in the Filesystem Hierarchy Standard. OpenWrt's /var is RAM.
        directory: PathBuf = file(Show::Open).or(|| PathBuf::from(DIRECTORY), Some(DIRECTORY)), FILES,
            "Directory" / "目录",
            "The directory for what must survive a power cut. On OpenWrt sysupgrade keeps /etc/linekeeper, and /var is RAM." /
            "断电后须保留的内容所在的目录。在 OpenWrt 上 sysupgrade 会保留 /etc/linekeeper；/var 位于内存中。",
            openwrt "/etc/linekeeper/store";
        /// The most that waiting messages may take.
        ///
        /// Default 256 kB: some 140 messages, almost a week of an hourly incident with its remedies. Bounds: a dozen messages at
        /// least; 16 MB is all that small flash has to spare.
        outbox: Bytes = quantity(within(Bytes(16_000), Bytes(16_000_000)), Bytes(256_000)), FILES,
            "Waiting messages" / "待发消息上限",
            "The most space that waiting messages may take." / "待发消息最多占用的空间。";
    }
}

options! {
    /// The status socket.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Status = section "status", "Socket" / "套接字",
        "The socket that `linekeeper status`, LuCI and the button connect to." / "`linekeeper status`、LuCI 和按键所用的通信接口。" {
        /// The socket's path. At most what `sun_path` holds.
        ///
        /// Default `/var/run/linekeeper.sock`: OpenWrt keeps its sockets there; elsewhere it is a link to `/run`.
        socket: PathBuf = text(Pattern::Path, Show::Open, |text| path(text, LONGEST_SOCKET_PATH))
            .or(|| PathBuf::from(SOCKET_DEFAULT), Some(SOCKET_DEFAULT)), FILES,
            "Socket" / "套接字",
            "The socket's path." / "套接字的路径。",
            openwrt "/var/run/linekeeper/socket";
    }
}
