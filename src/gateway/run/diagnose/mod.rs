//! `linekeeper diagnose`: every layer is asked now, without the daemon, and the answers say where the fault lies.
//!
//! Asking and weighing are apart: [`ask`] fills [`Facts`], [`verdict`] is a pure function of them. Where the fault lies it leaves
//! to the judge's own tables ([`linekeeper_judge::diagnosis`]); the words for people and what to do are its own.

mod ask;
mod facts;
mod report;
mod verdict;

use self::ask::ask;
use self::report::{rows, shown, written};
use self::verdict::verdict;
use crate::run::socket::{self, Request};
use linekeeper_contract::message::Domain;
use linekeeper_judge::config::Config;
use std::io::IsTerminal as _;

/// Asks all, and gives what is to be printed and whether the line is without a fault.
///
/// # Errors
/// In words, when nothing can be asked at all.
pub fn diagnose(config: &Config, as_json: bool) -> Result<(String, bool), String> {
    let daemon = socket::ask(&config.socket, &Request::Status).ok();
    if std::io::stderr().is_terminal() && !as_json {
        eprintln!("asking every layer, some seconds …");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("cannot start: the kernel gives no event queue: {e}"))?;
    let facts = runtime.block_on(ask(config));
    // A name lookup that still hangs is not waited for.
    runtime.shutdown_background();
    let verdict = verdict(&facts);
    let rows = rows(&facts, config);
    let well = matches!(verdict.domain, None | Some(Domain::Server));
    let text = if as_json {
        format!("{}\n", written(config, &facts, &rows, &verdict, daemon.as_ref()))
    } else {
        shown(config, &facts, &rows, &verdict, daemon.as_ref())
    };
    Ok((text, well))
}
