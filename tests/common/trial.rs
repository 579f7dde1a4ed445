//! Test programs made of trials: each trial says what it needs, where it runs, and whether it must have the machine alone.
//!
//! A trial runs here, as a function of this process; or in private namespaces; or in the lab's enclosure. For the latter
//! two this same program is started once more for the one trial, so trials run side by side, and nothing is left of them.
//! Where namespaces or a needed program are missing, a trial is ignored and says why; with `LINEKEEPER_REQUIRE_ALL=1` it
//! fails.

use super::world::{enter_private, private_is_refused};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use linekeeper_lab::{Entered, clock, enter};
use std::io::{Read as _, Seek as _};
use std::process::{Command, ExitCode, Stdio};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

/// Set for a child: the trial it is to run.
const TRIAL: &str = "LINEKEEPER_TRIAL";
/// Set for a child: where it is to run it, and for [`play`] the part it is to play.
const PLACE: &str = "LINEKEEPER_TRIAL_PLACE";
const PART: &str = "LINEKEEPER_TRIAL_PART";
/// The child's exit code for "no namespaces here".
const REFUSED: u8 = 77;
/// No trial takes longer than this, unless it hangs.
const LIMIT: Duration = Duration::from_secs(600);
/// Held exclusively by a trial that must be alone, shared by every other.
static MACHINE: RwLock<()> = RwLock::new(());

pub type Outcome = Result<(), Failed>;

/// What a trial may return.
pub trait Ended {
    fn outcome(self) -> Outcome;
}

impl Ended for () {
    fn outcome(self) -> Outcome {
        Ok(())
    }
}

impl Ended for Outcome {
    fn outcome(self) -> Outcome {
        self
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In this process.
    Here,
    /// In network, mount and process namespaces of its own; see [`super::world`].
    Private,
    /// In the lab's enclosure; see `linekeeper_lab`.
    Lab,
}

impl Place {
    fn name(self) -> &'static str {
        match self {
            Place::Here => "here",
            Place::Private => "private",
            Place::Lab => "lab",
        }
    }

    /// Why it is not to be had on this machine, if so.
    fn refused(self) -> Option<String> {
        match self {
            Place::Here => None,
            Place::Private => private_is_refused(),
            Place::Lab => {
                let out = child("", self).output().expect("this program runs again");
                let refused = out.status.code() == Some(REFUSED.into());
                refused.then(|| String::from_utf8_lossy(&out.stderr).trim().to_owned())
            }
        }
    }
}

/// One trial.
pub struct Test {
    name: String,
    place: Place,
    needs: Vec<&'static str>,
    prefers: Vec<&'static str>,
    alone: bool,
    limit: Duration,
    run: Box<dyn FnOnce() -> Outcome + Send>,
}

impl Test {
    fn new<E: Ended>(
        name: impl Into<String>,
        place: Place,
        needs: &[&'static str],
        run: impl FnOnce() -> E + Send + 'static,
    ) -> Test {
        let run = Box::new(|| run().outcome());
        let (needs, prefers) = (needs.to_vec(), Vec::new());
        Test { name: name.into(), place, needs, prefers, alone: false, limit: LIMIT, run }
    }

    /// In this process.
    pub fn here<E: Ended>(name: impl Into<String>, run: impl FnOnce() -> E + Send + 'static) -> Test {
        Test::new(name, Place::Here, &[], run)
    }

    /// In private namespaces, with these programs.
    pub fn private<E: Ended>(
        name: impl Into<String>,
        needs: &[&'static str],
        run: impl FnOnce() -> E + Send + 'static,
    ) -> Test {
        Test::new(name, Place::Private, needs, run)
    }

    /// In the lab's enclosure, with these programs.
    pub fn lab<E: Ended>(
        name: impl Into<String>,
        needs: &[&'static str],
        run: impl FnOnce() -> E + Send + 'static,
    ) -> Test {
        Test::new(name, Place::Lab, needs, run)
    }

    /// It is ignored where one of these is missing.
    pub fn needs(mut self, needs: &[&'static str]) -> Test {
        self.needs.extend(needs);
        self
    }

    /// It has a substitute for these; only where everything is required must they be there.
    pub fn prefers(mut self, programs: &[&'static str]) -> Test {
        self.prefers.extend(programs);
        self
    }

    /// It measures time or rates so finely that nothing may run beside it.
    pub fn alone(mut self) -> Test {
        self.alone = true;
        self
    }

    /// It may take this much longer than others.
    pub fn longer(mut self, by: Duration) -> Test {
        self.limit += by;
        self
    }

    fn absent(&self, required: bool) -> Option<String> {
        let wanted = self.needs.iter().chain(self.prefers.iter().filter(|_| required));
        let absent: Vec<&str> = wanted.copied().filter(|need| !is_installed(need)).collect();
        (!absent.is_empty()).then(|| format!("not installed: {}", absent.join(", ")))
    }
}

/// Trials that run here and need nothing, by the names of their functions.
macro_rules! here {
    ($($name:ident),* $(,)?) => { vec![$($crate::common::trial::Test::here(stringify!($name), $name)),*] };
}
pub(crate) use here;

/// Runs it on a runtime like the daemon's.
pub fn on_a_runtime<F: Future>(work: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

/// `PATH`, with where Debian keeps mosquitto and nft.
pub fn path() -> String {
    format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}

/// What a trial needs that reads logs of real lines.
pub const TRACES: &str = "the logs of real lines in ../shared/traces, or where LINEKEEPER_TRACES points";

/// Where the logs of real lines are, if they are there.
pub fn traces() -> Option<std::path::PathBuf> {
    let named = std::env::var_os("LINEKEEPER_TRACES").map(std::path::PathBuf::from);
    Some(named.unwrap_or_else(|| super::repository_path("../shared/traces"))).filter(|place| place.is_dir())
}

/// Whether a program, or a module of Python by Debian's name, is to be had.
pub fn is_installed(need: &str) -> bool {
    match need {
        super::validator::PACKAGE => super::validator::python().is_some(),
        TRACES => traces().is_some(),
        program => std::env::split_paths(&path()).any(|directory| directory.join(program).exists()),
    }
}

/// A function by its name.
type Named<T> = (&'static str, fn() -> T);

/// A test program: its modules and the parts that its children play.
pub struct Program {
    beside: usize,
    modules: Vec<Named<Vec<Test>>>,
    parts: Vec<Named<ExitCode>>,
}

impl Program {
    /// Runs so many trials side by side if the command line does not say otherwise.
    pub fn beside(beside: usize) -> Program {
        Program { beside, modules: Vec::new(), parts: Vec::new() }
    }

    pub fn module(mut self, name: &'static str, tests: fn() -> Vec<Test>) -> Program {
        self.modules.push((name, tests));
        self
    }

    /// What a child started by [`play`] does.
    pub fn part(mut self, name: &'static str, run: fn() -> ExitCode) -> Program {
        self.parts.push((name, run));
        self
    }

    /// Runs the trials as the command line asks; in a child, its one trial or its part.
    pub fn run(self) -> ExitCode {
        if let Ok(part) = std::env::var(PART) {
            let found = self.parts.iter().find(|(name, _)| *name == part);
            return found.map_or(ExitCode::FAILURE, |(_, run)| run());
        }
        let all = self.modules.iter().flat_map(|(module, tests)| {
            tests().into_iter().map(move |mut test| {
                test.name = format!("{module}::{}", test.name);
                test
            })
        });
        if let Ok(name) = std::env::var(TRIAL) {
            return inside(all, &name);
        }
        let mut all: Vec<Test> = all.collect();
        // At the end, where they make nobody wait.
        all.sort_by_key(|test| test.alone);
        let mut arguments = Arguments::from_args();
        arguments.test_threads.get_or_insert(self.beside);
        let refused = [Place::Here, Place::Private, Place::Lab].map(|place| {
            let asked = !arguments.list && all.iter().any(|test| test.place == place);
            (place, asked.then(|| place.refused()).flatten())
        });
        let required = std::env::var("LINEKEEPER_REQUIRE_ALL").is_ok_and(|value| value == "1");
        let trials = all.into_iter().map(|test| {
            let place = refused.iter().find(|(place, _)| *place == test.place);
            let missing = place.and_then(|(_, why)| why.clone()).or_else(|| test.absent(required));
            Trial::ignorable_test(test.name.clone(), move || match missing {
                Some(why) if required => Err(format!("LINEKEEPER_REQUIRE_ALL is set, and {why}").into()),
                Some(why) => Ok(Completion::ignored_with(why)),
                None => outside(test).map(|()| Completion::Completed),
            })
        });
        libtest_mimic::run(&arguments, trials.collect()).exit_code()
    }
}

/// This same program, to play the part that it has under this name.
pub fn play(part: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program's path"));
    command.env(PART, part);
    command
}

fn child(name: &str, place: Place) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program's path"));
    command.env(TRIAL, name).env(PLACE, place.name()).env("PATH", path()).stdin(Stdio::null());
    command
}

fn outside(test: Test) -> Outcome {
    let (_alone, _beside);
    if test.alone {
        _alone = MACHINE.write().unwrap_or_else(PoisonError::into_inner);
    } else {
        _beside = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
    }
    if test.place == Place::Here {
        return (test.run)();
    }
    let mut output = tempfile::tempfile()?;
    let began = clock::uptime();
    let mut process =
        child(&test.name, test.place).stdout(output.try_clone()?).stderr(output.try_clone()?).spawn()?;
    let mut status = None;
    clock::wait_until(test.limit, || {
        status = process.try_wait().ok().flatten();
        status.is_some()
    });
    if status.is_none() {
        // The enclosure goes with its outer program.
        super::field::signal(process.id(), rustix::process::Signal::TERM);
        if !clock::wait_until(Duration::from_secs(30), || matches!(process.try_wait(), Ok(Some(_)))) {
            let _ = process.kill();
        }
    }
    let _ = process.wait();
    output.rewind()?;
    let mut bytes = Vec::new();
    output.read_to_end(&mut bytes)?;
    let said = String::from_utf8_lossy(&bytes);
    // One write, so that the words of trials beside each other do not mix.
    let took = clock::since(began).as_secs_f64();
    let shown: String = said.lines().map(|line| format!("  {line}\n")).collect();
    println!("{} ({took:.1} s)\n{shown}", test.name);
    match status {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(format!("it ended with {status}:\n{said}").into()),
        None => Err(format!("it hung for {} s:\n{said}", test.limit.as_secs()).into()),
    }
}

/// Enters the place and runs the one trial; without a name it only enters.
fn inside(all: impl Iterator<Item = Test>, name: &str) -> ExitCode {
    let lab = std::env::var(PLACE).is_ok_and(|place| place == Place::Lab.name());
    let entered = if lab { enter().map_err(|e| e.to_string()) } else { enter_private() };
    match entered {
        Ok(Entered::Inside) => {}
        Ok(Entered::Ended(code)) => return ExitCode::from(code),
        Ok(Entered::Refused(why)) => {
            eprintln!("{why}");
            return ExitCode::from(REFUSED);
        }
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::FAILURE;
        }
    }
    let Some(test) = all.into_iter().find(|test| test.name == name) else {
        return if name.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    };
    let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(test.run));
    let outcome = run.unwrap_or_else(|_| Err("it panicked".into()));
    match outcome.and_then(|()| if lab { super::field::nothing_leaked() } else { Ok(()) }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            println!("FAILED: {}", failed.message().unwrap_or("without a word"));
            super::field::keep_what_tells();
            ExitCode::FAILURE
        }
    }
}

pub fn must(holds: bool, what: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(what().into()) }
}
