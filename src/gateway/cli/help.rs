//! The help texts.

pub(super) const HELP: &str = "\
linekeeper watches a broadband line from the gateway, repairs what it can, and asks the operator to call the
customer when it cannot.

Usage: linekeeper VERB [OPTIONS]

  run        watch the line (the daemon)
  check      say whether a configuration is right, and every fault in it
  diagnose   ask every layer of the line now, and say where the fault lies
  status     how the line does, as the running daemon sees it
  callback   ask the operator to call (the customer asks)
  speedtest  measure how fast the line is, now
  replay     decide a recorded trace again and print the actions
  simulate   live through years of simulated lines and say how good the judgement was (built with `toml`)
  backtest   judge a log of a real line, and say what would have been found on it (built with `toml`)

  linekeeper help options explains every option of the configuration on OpenWrt.
  linekeeper VERB --help says more; linekeeper --version says which.
";

pub(super) const RUN_HELP: &str = "\
Watches the line until it is told to end.

Usage: linekeeper run [--config FILE] [--dry-run] [--record DIR] [--verbose] [--syslog]

  --config FILE  the configuration, TOML or JSON (default /etc/linekeeper.toml, or what
                 OpenWrt's init script made of UCI)
  --dry-run      watch and say what would be done: no remedy, no message, nothing on flash
  --record DIR   keep what is seen and decided in DIR (trace.jsonl, actions.jsonl; at most 160 MiB)
  --verbose      log each detail
  --syslog       log to the system's log and not to standard error

On SIGHUP the configuration is read again: a wrong one is refused, every fault in the log; a right one is put in force
and nothing that is known is lost. store.directory and status.socket are taken at a start only.

Logs go to standard error. Exit code 0 when told to end, 78 for a wrong configuration.
";

pub(super) const CHECK_HELP: &str = "\
Says whether a configuration is right, and every fault in it at once.

Usage: linekeeper check FILE [--json]

  --json  for programs: whether it is `right`, and its `faults`, each with `path`, `words` and `line`

Exit code 0 if it is right, 78 if it is not, 66 if the file cannot be read.
";

pub(super) const STATUS_HELP: &str = "\
Says how the line does, as the running daemon sees it.

Usage: linekeeper status [--json] [--socket PATH]

Exit code 0 if the line is up, 1 if it is down or unknown, 69 if no daemon answers.
";

pub(super) const CALLBACK_HELP: &str = "\
Asks the operator to call: the customer wants it.

Usage: linekeeper callback [--reason TEXT] [--json] [--socket PATH]

Exit code 0 if a callback is under way now, 69 if none is: no daemon answers, or it can tell nobody.
";

pub(super) const DIAGNOSE_HELP: &str = "\
Asks every layer of the line, now, and says where the fault lies and what to do. Needs no daemon; takes some seconds and
some kilobytes.

Usage: linekeeper diagnose [--config FILE] [--json]

  --config FILE  the configuration, TOML or JSON (default /etc/linekeeper.toml, or what
                 OpenWrt's init script made of UCI)

Echoes, ARP and DHCP need root or CAP_NET_RAW; what cannot be asked is said.
Exit code 0 if the line has no fault, 1 if it has one or that could not be told, 69 if nothing could be asked.
";

pub(super) const SPEEDTEST_HELP: &str = "\
Measures how fast the line is, now, each way for 12 s. Needs no daemon.

Usage: linekeeper speedtest [--server URL] [--config FILE] [--device NAME] [--ca FILE]
                            [--download-only | --upload-only] [--megabytes N] [--json]

  --server URL     a web server's directory with the objects `download` and `upload`
  --config FILE    take server, device and promise from there (default /etc/linekeeper.toml if there is one)
  --device NAME    the WAN device (default: the one with the default route)
  --ca FILE        for https: the authority to trust instead of the system's
  --megabytes N    each way may cost so much at most (default 1500)

Exit code 0 if the line is as promised (or nothing was promised), 1 if it is below, 69 if that could not be told.
";

pub(super) const REPLAY_HELP: &str = "\
Decides a recorded trace again and prints the actions, one JSON object a line: the same bytes as the actions.jsonl
that was recorded beside it.

Usage: linekeeper replay TRACE

Exit code 0 at the end of the trace, 65 where a line is not one of a trace.
";

pub(super) const SIMULATE_HELP: &str = "\
Lives through years of simulated lines, and says what was found, missed, mended and asked for.

Usage: linekeeper simulate [WORLD...] [--years N] [--seeds N] [--full] [--json]

  WORLD      a world's description (TOML, see config/worlds), or the name of one that comes with the program
             (default: all of those)
  --years N  how long each seed lasts, 1 to 100 (default 1)
  --seeds N  how many seeds each world has, 1 to 10000 (default 10)
  --full     live through the quiet times too, second by second (about ten times as long; the same outcome)

Exit code 0 at the end, 66 if a world cannot be read, 78 if one is wrong.
";

pub(super) const BACKTEST_HELP: &str = "\
Judges logs of real lines as if they happened now, and says what would have been found and what it would have cost.

Usage: linekeeper backtest LOG... [--config FILE] [--against FILE] [--promise DOWN[/UP]] [--plot FILE.svg] [--json]

  LOG              CSV with a first line of time,download_mbps,upload_mbps,latency_ms or time,target,rtt_ms or time,up
                   or time,value (times RFC 3339 or seconds since 1970), or a trace.jsonl of `run --record`
  --config FILE    judge by this configuration (default: the defaults; for a trace, its own)
  --against FILE   judge by this one as well, side by side
  --promise 50/10  what was sold, Mbit/s down and up, instead of what the configurations say
  --plot FILE.svg  draw the log with what was found (of one log)

Exit code 0 at the end, 65 if a log is wrong (with line and column), 66 if a file cannot be read, 78 if a
configuration is wrong.
";
