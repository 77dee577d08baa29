//! The `ringback` command: arguments, logs, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    ringback::cli::main()
}
