//! The runner of the test programs. Each test declares what it needs, where it runs, and whether it must run alone.
//!
//! A test runs as a function of this process, in private namespaces, or in the lab's enclosure. For the latter two the test
//! program starts itself again for that one test. Such tests can run in parallel, and nothing of them is left afterwards.
//! If namespaces or a needed program are missing, the test is ignored with the reason; with `LINEKEEPER_REQUIRE_ALL=1` it
//! fails.

use super::world::{enter_private, private_unavailable};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use linekeeper_lab::{Entered, clock, enter};
use std::io::{Read as _, Seek as _};
use std::process::{Command, ExitCode, Stdio};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

/// Set for a child process: the name of its test.
const TRIAL: &str = "LINEKEEPER_TRIAL";
/// Set for a child process: the place of its test, or with [`play`] the name of its part.
const PLACE: &str = "LINEKEEPER_TRIAL_PLACE";
const PART: &str = "LINEKEEPER_TRIAL_PART";
/// The child's exit code if namespaces are not available.
const REFUSED: u8 = 77;
/// Timeout of a test.
const TIMEOUT: Duration = Duration::from_secs(600);
/// Locked exclusively by a test that must run alone, shared by all others.
static MACHINE: RwLock<()> = RwLock::new(());

pub type Outcome = Result<(), Failed>;

/// The return types of test functions.
pub trait IntoOutcome {
    fn into_outcome(self) -> Outcome;
}

impl IntoOutcome for () {
    fn into_outcome(self) -> Outcome {
        Ok(())
    }
}

impl IntoOutcome for Outcome {
    fn into_outcome(self) -> Outcome {
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

    /// Why it is not available on this machine; `None` if it is.
    fn unavailable(self) -> Option<String> {
        match self {
            Place::Here => None,
            Place::Private => private_unavailable(),
            Place::Lab => {
                let out = child("", self).output().expect("this program runs again");
                let refused = out.status.code() == Some(REFUSED.into());
                refused.then(|| String::from_utf8_lossy(&out.stderr).trim().to_owned())
            }
        }
    }
}

/// One test.
pub struct Test {
    name: String,
    place: Place,
    needs: Vec<&'static str>,
    prefers: Vec<&'static str>,
    alone: bool,
    early: bool,
    timeout: Duration,
    run: Box<dyn FnOnce() -> Outcome + Send>,
}

impl Test {
    fn new<E: IntoOutcome>(
        name: impl Into<String>,
        place: Place,
        needs: &[&'static str],
        run: impl FnOnce() -> E + Send + 'static,
    ) -> Test {
        let run = Box::new(|| run().into_outcome());
        let (needs, prefers) = (needs.to_vec(), Vec::new());
        Test { name: name.into(), place, needs, prefers, alone: false, early: false, timeout: TIMEOUT, run }
    }

    /// A test in this process.
    pub fn here<E: IntoOutcome>(name: impl Into<String>, run: impl FnOnce() -> E + Send + 'static) -> Test {
        Test::new(name, Place::Here, &[], run)
    }

    /// A test in private namespaces, which needs these programs.
    pub fn private<E: IntoOutcome>(
        name: impl Into<String>,
        needs: &[&'static str],
        run: impl FnOnce() -> E + Send + 'static,
    ) -> Test {
        Test::new(name, Place::Private, needs, run)
    }

    /// A test in the lab's enclosure, which needs these programs.
    pub fn lab<E: IntoOutcome>(
        name: impl Into<String>,
        needs: &[&'static str],
        run: impl FnOnce() -> E + Send + 'static,
    ) -> Test {
        Test::new(name, Place::Lab, needs, run)
    }

    /// Adds programs that the test needs; it is ignored if one is missing.
    pub fn needs(mut self, needs: &[&'static str]) -> Test {
        self.needs.extend(needs);
        self
    }

    /// Adds programs that the test can replace; they must exist only with `LINEKEEPER_REQUIRE_ALL=1`.
    pub fn prefers(mut self, programs: &[&'static str]) -> Test {
        self.prefers.extend(programs);
        self
    }

    /// Runs it alone, because it measures times or rates.
    pub fn alone(mut self) -> Test {
        self.alone = true;
        self
    }

    /// Starts it before others, because it takes more than half a minute and all others would wait for its end.
    pub fn early(mut self) -> Test {
        self.early = true;
        self
    }

    /// Extends the timeout.
    pub fn longer(mut self, by: Duration) -> Test {
        self.timeout += by;
        self
    }

    fn missing_programs(&self, required: bool) -> Option<String> {
        let wanted = self.needs.iter().chain(self.prefers.iter().filter(|_| required));
        let absent: Vec<&str> = wanted.copied().filter(|need| !is_installed(need)).collect();
        (!absent.is_empty()).then(|| format!("not installed: {}", absent.join(", ")))
    }
}

/// Makes tests from functions that run in this process and need nothing.
macro_rules! here {
    ($($name:ident),* $(,)?) => { vec![$($crate::common::trial::Test::here(stringify!($name), $name)),*] };
}
pub(crate) use here;

/// Runs a future on a runtime like the daemon's.
pub fn on_a_runtime<F: Future>(work: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

/// `PATH`, extended by the directories in which Debian installs mosquitto and nft.
pub fn path() -> String {
    format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}

/// The need of a test that reads logs of real lines.
pub const TRACES: &str = "the logs of real lines in ../shared/traces, or where LINEKEEPER_TRACES points";

/// The directory with the logs of real lines, if it exists.
pub fn traces() -> Option<std::path::PathBuf> {
    let named = std::env::var_os("LINEKEEPER_TRACES").map(std::path::PathBuf::from);
    Some(named.unwrap_or_else(|| super::repository_path("../shared/traces"))).filter(|place| place.is_dir())
}

/// Whether a program, or a Python module by its Debian package name, is installed.
pub fn is_installed(need: &str) -> bool {
    match need {
        super::validator::PACKAGE => super::validator::python().is_some(),
        TRACES => traces().is_some(),
        program => std::env::split_paths(&path()).any(|directory| directory.join(program).exists()),
    }
}

/// A name with its function.
type Named<T> = (&'static str, fn() -> T);

/// A test program: its modules, and the parts that its child processes play.
pub struct Program {
    parallel_tests: usize,
    modules: Vec<Named<Vec<Test>>>,
    parts: Vec<Named<ExitCode>>,
}

impl Program {
    /// A program that runs this many tests in parallel unless the command line says otherwise.
    pub fn with_parallel_tests(parallel_tests: usize) -> Program {
        Program { parallel_tests, modules: Vec::new(), parts: Vec::new() }
    }

    pub fn module(mut self, name: &'static str, tests: fn() -> Vec<Test>) -> Program {
        self.modules.push((name, tests));
        self
    }

    /// Adds a part, which a child process started by [`play`] runs.
    pub fn part(mut self, name: &'static str, run: fn() -> ExitCode) -> Program {
        self.parts.push((name, run));
        self
    }

    /// Runs the tests that the command line selects; in a child process, its test or its part.
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
            return run_in_child(all, &name);
        }
        let mut all: Vec<Test> = all.collect();
        // Tests that run alone come last, so that they block no others.
        all.sort_by_key(|test| (test.alone, !test.early));
        let mut arguments = Arguments::from_args();
        arguments.test_threads.get_or_insert(self.parallel_tests);
        let refused = [Place::Here, Place::Private, Place::Lab].map(|place| {
            let asked = !arguments.list && all.iter().any(|test| test.place == place);
            (place, asked.then(|| place.unavailable()).flatten())
        });
        let required = std::env::var("LINEKEEPER_REQUIRE_ALL").is_ok_and(|value| value == "1");
        let trials = all.into_iter().map(|test| {
            let place = refused.iter().find(|(place, _)| *place == test.place);
            let missing = place.and_then(|(_, why)| why.clone()).or_else(|| test.missing_programs(required));
            Trial::ignorable_test(test.name.clone(), move || match missing {
                Some(why) if required => Err(format!("LINEKEEPER_REQUIRE_ALL is set, and {why}").into()),
                Some(why) => Ok(Completion::ignored_with(why)),
                None => run_test(test).map(|()| Completion::Completed),
            })
        });
        libtest_mimic::run(&arguments, trials.collect()).exit_code()
    }
}

/// A command that runs this same program in the given part.
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

fn run_test(test: Test) -> Outcome {
    let (_exclusive, _shared);
    if test.alone {
        _exclusive = MACHINE.write().unwrap_or_else(PoisonError::into_inner);
    } else {
        _shared = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
    }
    if test.place == Place::Here {
        return (test.run)();
    }
    let mut output = tempfile::tempfile()?;
    let began = clock::uptime();
    let mut process =
        child(&test.name, test.place).stdout(output.try_clone()?).stderr(output.try_clone()?).spawn()?;
    let mut status = None;
    clock::wait_until(test.timeout, || {
        status = process.try_wait().ok().flatten();
        status.is_some()
    });
    if status.is_none() {
        // The enclosure ends together with its outer process.
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
    // A single write, so that the output of parallel tests does not mix.
    let took = clock::since(began).as_secs_f64();
    let shown: String = said.lines().map(|line| format!("  {line}\n")).collect();
    println!("{} ({took:.1} s)\n{shown}", test.name);
    match status {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(format!("it ended with {status}:\n{said}").into()),
        None => Err(format!("it hung for {} s:\n{said}", test.timeout.as_secs()).into()),
    }
}

/// Enters the namespaces and runs the test with this name; without a name it only enters.
fn run_in_child(all: impl Iterator<Item = Test>, name: &str) -> ExitCode {
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
            println!("FAILED: {}", failed.message().unwrap_or("no message"));
            super::field::print_logs();
            ExitCode::FAILURE
        }
    }
}

pub fn must(holds: bool, what: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(what().into()) }
}
