//! Network namespaces, and the commands of iproute2 in them.

use super::hosts::Host;
use crate::command::run;
use crate::error::Error;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// The directory in which iproute2 stores the names of network namespaces.
pub const NAMES: &str = "/run/netns";

/// Moves this thread into the network namespace of `host`. Its child processes start there too.
///
/// # Errors
/// The namespace does not exist.
pub fn enter_namespace(host: Host) -> Result<(), Error> {
    let path = Path::new(NAMES).join(host.name());
    let wrong = |e| Error::new(format!("entering network namespace {}", host.name()), e);
    let file = std::fs::File::open(path).map_err(wrong)?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).map_err(|e| wrong(e.into()))
}

/// Passes `lines` to one `ip -batch`, in the namespace of `host` or in our own.
pub(super) fn batch(host: Option<Host>, lines: &str) -> Result<(), Error> {
    let mut command = Command::new("ip");
    if let Some(host) = host {
        command.args(["-n", host.name()]);
    }
    command.args(["-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let wrong = |e| Error::new("running ip -batch (of iproute2)", e);
    let mut child = command.spawn().map_err(wrong)?;
    if let Some(mut pipe) = child.stdin.take() {
        pipe.write_all(lines.as_bytes()).map_err(wrong)?;
    }
    let out = child.wait_with_output().map_err(wrong)?;
    if out.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&out.stderr);
    let place = host.map_or("outside", Host::name);
    Err(Error::new(format!("setting up the lab's network ({place})"), said.trim()))
}

/// Runs `tc` in `host` with arguments separated by spaces.
pub(super) fn tc(host: Host, words: &str) -> Result<String, Error> {
    let out = run(Command::new("tc").args(["-n", host.name()]).args(words.split(' ')))?;
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// Runs `ip` in `host` with any arguments; for tests.
///
/// # Errors
/// The command fails.
pub fn ip(host: Host, words: &[&str]) -> Result<String, Error> {
    let out = run(Command::new("ip").args(["-n", host.name()]).args(words))?;
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}
