//! The rate and duplex mode that the WAN port negotiated, from sysfs.
//!
//! `/sys/class/net/DEVICE/speed` and `duplex` show the same as `ethtool`, without an ioctl and without `unsafe`. A VLAN
//! shows the values of its port. PPP devices, tunnels and Wi-Fi have none; the device below them is not searched for.
//!
//! sysfs shows the network namespace of the process that mounted it. A process that was moved to another namespace with
//! the old `/sys` finds no such device there, or another one of the same name. The interface index tells them apart, and
//! then the rate is unknown.

use linekeeper_contract::units::Rate;
use std::path::Path;

/// Where sysfs lists network devices.
const SYSFS: &str = "/sys/class/net";

/// What drivers of old kernels write for "unknown": all bits of 16 or 32 set. Current ones write -1.
const UNKNOWN: [u64; 2] = [0xffff, 0xffff_ffff];

/// The negotiated rate of the device with this name and index, and whether it runs half duplex; `None` while unknown.
pub(super) fn negotiated(name: &str, index: u32) -> Option<(Rate, bool)> {
    negotiated_below(Path::new(SYSFS), name, index)
}

fn negotiated_below(root: &Path, name: &str, index: u32) -> Option<(Rate, bool)> {
    let read = |what: &str| std::fs::read_to_string(root.join(name).join(what)).ok();
    if read("ifindex")?.trim().parse() != Ok(index) {
        return None;
    }
    // Without a carrier, or where the driver has no rate, reading it is an error (EINVAL).
    let rate = megabits(&read("speed")?)?;
    // A driver without a rate shows `half` as its unset default, so duplex is read only together with a rate.
    Some((rate, read("duplex").is_some_and(|text| text.trim() == "half")))
}

/// Parses sysfs `speed`, such as `1000\n`, in Mbit/s.
pub(super) fn megabits(text: &str) -> Option<Rate> {
    let speed: u64 = text.trim().parse().ok()?;
    (speed > 0 && !UNKNOWN.contains(&speed)).then(|| Rate(speed.saturating_mul(1_000_000)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speed_values_of_drivers_are_parsed() {
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
    fn device_must_match_by_index() {
        let root = tempfile::tempdir().unwrap();
        let device = root.path().join("wan");
        std::fs::create_dir(&device).unwrap();
        std::fs::write(device.join("speed"), "1000\n").unwrap();
        assert_eq!(negotiated_below(root.path(), "wan", 7), None, "a device without a number");
        std::fs::write(device.join("ifindex"), "7\n").unwrap();
        assert_eq!(negotiated_below(root.path(), "wan", 7), Some((Rate(1_000_000_000), false)));
        for (text, half) in [("half\n", true), ("full\n", false), ("unknown\n", false)] {
            std::fs::write(device.join("duplex"), text).unwrap();
            assert_eq!(negotiated_below(root.path(), "wan", 7), Some((Rate(1_000_000_000), half)), "{text}");
        }
        std::fs::write(device.join("duplex"), "half\n").unwrap();
        std::fs::write(device.join("speed"), "-1\n").unwrap();
        assert_eq!(negotiated_below(root.path(), "wan", 7), None, "a driver that knows neither");
        std::fs::write(device.join("speed"), "1000\n").unwrap();
        assert_eq!(negotiated_below(root.path(), "wan", 8), None, "another namespace's device of this name");
        assert_eq!(negotiated_below(root.path(), "lan", 7), None);
    }
}
