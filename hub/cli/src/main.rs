//! The `raccordo` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    raccordo::main()
}
