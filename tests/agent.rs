//! The agent as the tests start it: the gateway with what the lab adds.

fn main() -> std::process::ExitCode {
    linekeeper_lab::verb::main()
}
