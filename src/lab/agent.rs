//! The real agent on the lab's gateway: its configuration, process, log and trace.

use crate::broker;
use crate::error::Error;
use crate::world::{ANCHOR, Host, Process, WAN, WORLD, WORLD2, World};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The gateway's device id.
pub const DEVICE: &str = "gw-0001";

/// The civil time at which the agent of the demo starts. The hours after it hold both the discovery of a slow line and its
/// recovery within one quarter of the day.
pub const EVENING: &str = "2026-11-20T18:05:00Z";

/// How long a clean stop may take: the agent disconnects from the broker and writes its snapshot.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// A running agent. It is killed when dropped.
#[derive(Debug)]
pub struct Agent {
    process: Process,
    directory: PathBuf,
}

impl Agent {
    /// Writes `configuration` and starts `program run` with it in the gateway. Its standard output and error go to
    /// `agent.log`.
    ///
    /// # Errors
    /// The files cannot be written or the program cannot be started.
    pub fn start(world: &World, program: &Path, configuration: &str) -> Result<Agent, Error> {
        let directory = world.directory().join("agent");
        let wrong = |e| Error::new("getting the agent's directory ready", e);
        fs::create_dir_all(directory.join("record")).map_err(wrong)?;
        fs::create_dir_all(directory.join("store")).map_err(wrong)?;
        let file = directory.join("linekeeper.toml");
        fs::write(&file, configuration).map_err(wrong)?;
        let log = File::create(directory.join("agent.log")).map_err(wrong)?;
        let mut command = Command::new(program);
        command.arg("run").arg("--config").arg(&file).arg("--record").arg(directory.join("record"));
        // The evidence of a slow line contains the time of day, so the lab always starts in the evening.
        command.env("LINEKEEPER_LAB_WALL", EVENING);
        command.stdin(Stdio::null()).stdout(log.try_clone().map_err(wrong)?).stderr(log);
        let process = world.spawn_in(Host::Gateway, &mut command)?;
        Ok(Agent { process, directory })
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Stops the agent; returns whether it ended by itself.
    pub fn stop(&mut self) -> bool {
        self.process.stop(STOP_TIMEOUT)
    }

    /// The socket on which it answers `linekeeper status`.
    pub fn socket(&self) -> PathBuf {
        self.directory.join("linekeeper.sock")
    }

    /// The content of its log so far.
    pub fn log(&self) -> String {
        read(&self.directory.join("agent.log"))
    }

    /// How often `word` occurs in its trace so far.
    pub fn count_in_trace(&self, word: &str) -> usize {
        read(&self.directory.join("record/trace.jsonl")).matches(word).count()
    }

    /// Copies configuration, log and trace to `to`.
    ///
    /// # Errors
    /// The copies cannot be written.
    pub fn copy_to(&self, to: &Path) -> Result<(), Error> {
        copy(&self.directory, to)
            .map_err(|e| Error::new(format!("keeping the agent's files in {}", to.display()), e))
    }
}

/// Reads a file that may end in the middle of a character because it is being written.
fn read(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// Copies regular files and directories only: the store may contain a socket.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let target = to.join(entry.file_name());
        if kind.is_dir() {
            copy(&entry.path(), &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// What the demo adds to [`configuration`]: a contracted rate and a speed server. Speed tests are as short and as frequent
/// as allowed, so that people can watch.
pub fn promise() -> String {
    format!(
        r#"
[promise]
download = {{ normal = "{SOLD}" }}

[speed]
servers = ["http://{ANCHOR}/"]
seconds = "3 s"
per_day = 48
"#
    )
}

/// The contracted rate of the demo's customer.
const SOLD: &str = "100 Mbit/s";

/// The configuration of the demo: short times for an audience, everything else as in the field.
pub fn configuration(world: &World) -> String {
    let directory = world.directory().join("agent");
    let quoted: Vec<String> = world.dhcp_client().iter().map(|word| format!("{word:?}")).collect();
    format!(
        r#"# Written by `linekeeper lab`: times are short so that people can watch.
[device]
id = "{DEVICE}"
customer = "CUST1001"
area = "north-3/olt-7"
language = "en"

[line]
device = "{WAN}"

[probe]
targets = [
    {{ host = "{ANCHOR}", role = "anchor" }},
    {{ host = "{WORLD}", role = "world" }},
    {{ host = "{WORLD2}", role = "world" }},
]

[outage]
hold_down = "10 s"
flapping = 20

[remedies]
driver = "linux"
ladder = ["renew", "restart-interface"]
dhcp_client = [{dhcp_client}]
dhcp_pidfile = {pidfile:?}
limit = {{ renew = "2 s", restart-interface = "4 s" }}
settle = {{ renew = "1 s", restart-interface = "3 s" }}

[callback]
after = "8 s"
receipt = "5 s"

[mqtt]
broker = "mqtt://{broker}"
keep_alive = "5 s"
reconnect = "1 s"
session = "10 min"

[store]
directory = {store:?}

[status]
socket = {socket:?}
"#,
        dhcp_client = quoted.join(", "),
        pidfile = world.dhcp_pidfile(),
        broker = broker::Broker::address(),
        store = directory.join("store"),
        socket = directory.join("linekeeper.sock"),
    )
}
