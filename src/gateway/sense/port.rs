//! What the WAN port negotiated, from sysfs.
//!
//! `/sys/class/net/DEVICE/speed` and `duplex` are what `ethtool` shows, without an ioctl and without `unsafe`; VLANs tell their port's.
//! A PPP device, a tunnel and Wi-Fi have none: what lies below them is not looked for.
//!
//! sysfs shows the network namespace of whoever mounted it. A process that was put into another one with the old `/sys`
//! sees no such device there, or one of the same name: told apart by the kernel's number, and then the rate is not known.

use linekeeper_contract::units::Rate;
use std::path::Path;

/// Where the kernel shows devices.
const SYSFS: &str = "/sys/class/net";

/// How drivers of old kernels write "not known": all bits of 16 or 32, beside today's -1.
const UNKNOWN: [u64; 2] = [0xffff, 0xffff_ffff];

/// The rate that the device of this name and number negotiated, and whether for one direction at a time; `None` while it is not
/// known.
pub(super) fn negotiated(name: &str, index: u32) -> Option<(Rate, bool)> {
    look(Path::new(SYSFS), name, index)
}

fn look(root: &Path, name: &str, index: u32) -> Option<(Rate, bool)> {
    let read = |what: &str| std::fs::read_to_string(root.join(name).join(what)).ok();
    if read("ifindex")?.trim().parse() != Ok(index) {
        return None;
    }
    // Without a carrier, or where the driver has no rate, reading it is an error (EINVAL).
    let rate = megabits(&read("speed")?)?;
    // Of a driver that has no rate `half` says nothing: it is what it never set.
    Some((rate, read("duplex").is_some_and(|text| text.trim() == "half")))
}

/// `1000\n`, in Mbit/s.
pub(super) fn megabits(text: &str) -> Option<Rate> {
    let speed: u64 = text.trim().parse().ok()?;
    (speed > 0 && !UNKNOWN.contains(&speed)).then(|| Rate(speed.saturating_mul(1_000_000)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_drivers_write() {
        for (text, rate) in [
            ("100\n", Some(Rate(100_000_000))),
            ("2500\n", Some(Rate(2_500_000_000))),
            ("-1\n", None),
            ("0\n", None),
            ("65535\n", None),
            ("4294967295\n", None),
            ("", None),
            ("fast\n", None),
        ] {
            assert_eq!(megabits(text), rate, "{text:?}");
        }
    }

    #[test]
    fn only_the_device_that_is_meant() {
        let root = tempfile::tempdir().unwrap();
        let device = root.path().join("wan");
        std::fs::create_dir(&device).unwrap();
        std::fs::write(device.join("speed"), "1000\n").unwrap();
        assert_eq!(look(root.path(), "wan", 7), None, "a device without a number");
        std::fs::write(device.join("ifindex"), "7\n").unwrap();
        assert_eq!(look(root.path(), "wan", 7), Some((Rate(1_000_000_000), false)));
        for (text, half) in [("half\n", true), ("full\n", false), ("unknown\n", false)] {
            std::fs::write(device.join("duplex"), text).unwrap();
            assert_eq!(look(root.path(), "wan", 7), Some((Rate(1_000_000_000), half)), "{text}");
        }
        std::fs::write(device.join("duplex"), "half\n").unwrap();
        std::fs::write(device.join("speed"), "-1\n").unwrap();
        assert_eq!(look(root.path(), "wan", 7), None, "a driver that knows neither");
        std::fs::write(device.join("speed"), "1000\n").unwrap();
        assert_eq!(look(root.path(), "wan", 8), None, "another namespace's device of this name");
        assert_eq!(look(root.path(), "lan", 7), None);
    }
}
