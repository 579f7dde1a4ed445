//! Connects sensors, judge and actors, and owns the clock, the recorder, the status socket and the shutdown.
//!
//! This is the only place that knows both sides.

mod daemon;
pub mod desired;
pub mod diagnose;
pub mod heartbeat;
mod labels;
pub mod log;
mod perform;
mod process;
mod questions;
pub mod recorder;
pub mod show;
pub mod socket;
pub mod speedtest;
mod start;
pub mod watchdog;

pub use self::daemon::Options;

use self::daemon::{Daemon, Past};
use self::desired::Desk;
use self::process::Process;
use linekeeper_judge::config::Config;
use serde_json::Value;
use std::sync::Arc;

/// Watches the line until SIGTERM or SIGINT. On SIGHUP the configuration is read again: a wrong one is refused with every
/// fault in the log, a right one is put in force with all that is known.
///
/// # Errors
/// In words, when not even the runtime can be made, or when another linekeeper is at work. Everything else is said in the
/// log and lived with.
pub fn run(tree: Value, config: Config, options: Options) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("cannot start: the kernel gives no event queue: {e}"))?;
    let result = runtime.block_on(async {
        let mut process = Process::begin()?;
        let desk = Desk::open(tree, &config, options.dry_run || config.mqtt.is_none());
        let mut past = Past { desk, asked: None, judge: None, routine: Arc::default() };
        loop {
            // Another configuration is put in force by beginning anew.
            match Daemon::start(past, &options)?.watch(&mut process).await? {
                Some(next) => past = next,
                None => return Ok(()),
            }
        }
    });
    // A name lookup may hold a thread for as long as the resolver takes; it is of no use any more.
    runtime.shutdown_background();
    result
}
