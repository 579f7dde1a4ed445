//! Bounds of values, and how long texts and lists may be.
//!
//! The bounds of one key stand with the key in its section's file, with their argument.

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

/// From `least` to `most`, both allowed.
pub(crate) const fn within<T>(least: T, most: T) -> Bounds<T> {
    Bounds::new(least, most)
}

/// Where the line's resolvers are named: OpenWrt's netifd (dnsmasq reads it there), systemd-resolved, all others. The
/// first two name what the line gave, where the last one often names the local resolver alone.
pub const RESOLV_CONF: [&str; 3] =
    ["/tmp/resolv.conf.d/resolv.conf.auto", "/run/systemd/resolve/resolv.conf", "/etc/resolv.conf"];
/// The name that is asked for where the operator has none in the configuration.
pub const KNOWN_DEFAULT: &str = "example.com";
/// `status.socket`: OpenWrt keeps its sockets there; elsewhere it is a link to `/run`.
pub const SOCKET_DEFAULT: &str = "/var/run/linekeeper.sock";
/// The longest URL of a test server: far above any in use, and still one line of a log.
pub const LONGEST_URL: usize = 255;
/// The longest `web.body`, bytes: a word or a sentence.
pub const LONGEST_BODY: usize = 256;
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
