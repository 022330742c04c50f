//! A hub in its own process.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A hub in its own process; killed when dropped, so that a failing test leaves nothing behind.
pub(crate) struct Life {
    process: Child,
    /// Address of the admin API, if it has one.
    pub(crate) admin: String,
}

impl Life {
    /// Starts a hub and waits until it is ready.
    pub(crate) fn begin(config: &Path) -> Self {
        Self::of(&mut Command::new(env!("CARGO_BIN_EXE_raccordo")), config)
    }

    /// The same, with everything that it logs (its debug lines too) in a file.
    pub(crate) fn begin_logged(config: &Path, log: std::fs::File) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_raccordo"));
        Self::of(command.env("RACCORDO_LOG", "debug").stderr(log), config)
    }

    fn of(command: &mut Command, config: &Path) -> Self {
        let command = command.args(["run", "--until-stdin-closes", "--config"]).arg(config);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the hub starts");
        let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        let ready = lines.by_ref().map_while(Result::ok).find(|line| line.starts_with("ready"));
        let Some(ready) = ready else {
            drop(process.kill());
            drop(process.wait());
            panic!("the hub ended before it was ready");
        };
        // Nobody reads on: keep the pipe open in a thread, so that a late line does not end the hub.
        drop(std::thread::spawn(move || lines.for_each(drop)));
        let admin = ready.rsplit(' ').next().expect("an address").to_string();
        Self { process, admin }
    }

    /// A line of `/proc/PID/status`, for example `VmRSS` or its peak `VmHWM`, in kB.
    pub(crate) fn memory_kb(&self, line: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("it lives");
        let value = status.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(':'));
        value.and_then(|value| value.trim().strip_suffix(" kB")?.parse().ok()).expect("a number")
    }

    /// Ends in order: standard input closes.
    pub(crate) fn end(mut self) {
        drop(self.process.stdin.take());
        let status = self.process.wait().expect("the hub ends");
        assert!(status.success(), "the hub ends well: {status}");
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.process.kill().expect("SIGKILL");
        drop(self.process.wait());
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Waits until a file is there and not empty.
pub(crate) async fn appears(path: &Path) -> String {
    let begun = Instant::now();
    loop {
        match std::fs::read_to_string(path) {
            Ok(text) if !text.is_empty() => return text,
            _ => assert!(begun.elapsed() < Duration::from_secs(20), "{} does not appear", path.display()),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
