//! `linekeeper diagnose`: checks every layer that can be checked right now, without the daemon, and locates the fault.
//!
//! `ask` does the checks and fills `facts::Facts`; `verdict` is a pure function of them. The fault is located with the
//! tables that the judge uses ([`linekeeper_judge::diagnosis`]). The texts and the advice are written here.

mod ask;
mod facts;
mod report;
mod verdict;

use self::ask::ask;
use self::report::{rows, to_json, to_text};
use self::verdict::verdict;
use crate::run::socket::{self, Request};
use linekeeper_contract::message::Domain;
use linekeeper_judge::config::Config;
use std::io::IsTerminal as _;

/// Checks every layer. Returns the text to print, and whether the line has no fault.
///
/// # Errors
/// A text, when no check can be made at all.
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
        format!("{}\n", to_json(config, &facts, &rows, &verdict, daemon.as_ref()))
    } else {
        to_text(config, &facts, &rows, &verdict, daemon.as_ref())
    };
    Ok((text, well))
}
