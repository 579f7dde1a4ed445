//! The program `linekeeper-lab`: see [`linekeeper_lab::verb::main`].

fn main() -> std::process::ExitCode {
    linekeeper_lab::verb::main()
}
