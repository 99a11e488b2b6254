//! The kubectl plugin's binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    pguser_operator::plugin::main()
}
