//! `raccordo bench month`, small: three real processes, and every order counted by what the simulator saw.

use std::process::Command;

use serde_json::Value;

/// What issue 4 asks for; more may stand beside it.
const KEYS: [&str; 9] =
    ["orders", "seconds", "lost", "duplicates", "rss_mib", "p50_ms", "p99_ms", "cpu_s", "disk_bytes_per_order"];

#[test]
fn a_small_month_loses_nothing_and_sends_nothing_twice() {
    let arguments =
        ["bench", "month", "--json", "--orders", "20", "--entities", "4", "--senders", "4", "--within", "120"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_raccordo"));
    let run = command.args(arguments).args(["--dir", env!("CARGO_TARGET_TMPDIR")]).output().expect("the binary runs");
    let said = String::from_utf8_lossy(&run.stdout);
    let sheet: Value = serde_json::from_str(said.lines().last().unwrap_or_default())
        .unwrap_or_else(|e| panic!("{e}: {said}{}", String::from_utf8_lossy(&run.stderr)));
    for key in KEYS {
        assert!(sheet[key].is_number(), "{key} of {sheet}");
    }
    assert_eq!((&sheet["orders"], &sheet["closed"]), (&Value::from(20), &Value::from(20)), "{sheet}");
    assert_eq!((&sheet["lost"], &sheet["duplicates"]), (&Value::from(0), &Value::from(0)), "{sheet}");
    assert!(run.status.success(), "{sheet}");
}
