//! Which programs write firmware or packages, and whether one of them is running.
//!
//! This is the only list of them. The device sensor uses it to keep hands off the gateway, and the OpenWrt driver asks
//! once more right before a reboot.

use std::fs;
use std::path::Path;

/// Programs that write the firmware. `firstboot` erases the overlay.
const FIRMWARE_WRITERS: [&str; 3] = ["sysupgrade", "upgraded", "firstboot"];

/// Package managers.
const PACKAGE_MANAGERS: [&str; 3] = ["opkg", "apk", "dpkg"];

/// Whether a program of this name writes the firmware.
pub fn is_firmware_writer(name: &str) -> bool {
    FIRMWARE_WRITERS.contains(&name)
}

/// Whether a program of this name installs packages.
pub fn is_package_manager(name: &str) -> bool {
    PACKAGE_MANAGERS.contains(&name)
}

/// The process id and the name of a running program that writes firmware or packages, by the command lines in `proc`.
///
/// A script is recognised by the file that its shell runs, so the first two words of a command line are compared.
pub fn running_writer(proc: &Path) -> Option<(String, String)> {
    let entries = fs::read_dir(proc).ok()?;
    entries.flatten().find_map(|entry| {
        let id = entry.file_name().into_string().ok()?;
        id.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let words = line.split(|b| *b == 0).take(2).map(String::from_utf8_lossy);
        let mut names = words.filter_map(|word| word.rsplit('/').next().map(str::to_owned));
        let name = names.find(|name| is_firmware_writer(name) || is_package_manager(name))?;
        Some((id, name))
    })
}
