//! The program `linekeeper`: see [`linekeeper::cli`].

fn main() -> std::process::ExitCode {
    linekeeper::cli::main()
}
