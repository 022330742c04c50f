//! The `raccordo` binary.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// Of the C libraries, too. Set up in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    raccordo::main()
}
