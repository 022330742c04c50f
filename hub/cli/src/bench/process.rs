//! A program under test in its own process: started, watched, killed.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::sync::oneshot;

use super::machine::{field, kilobytes};

/// How long a program may take to say that it is ready.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How much of a failed program's log is shown.
const LOG_CHARS: usize = 2000;
/// Ticks of the kernel's CPU accounting: 100 a second on every Linux (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// A process of this same binary; killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
    ready: Option<oneshot::Receiver<String>>,
}

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Largest resident memory so far, in MiB.
    pub(crate) peak_rss_mib: f64,
    /// Resident memory now, in MiB.
    pub(crate) rss_mib: f64,
    /// CPU time of all threads, user and system, in seconds.
    pub(crate) cpu_s: f64,
}

impl Process {
    /// Starts `raccordo ARGS`; standard error goes to a file.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start(args: &[&OsStr], log: &Path) -> anyhow::Result<Self> {
        let binary = std::env::current_exe().context("cannot find this program's own file")?;
        let stderr = File::options().create(true).append(true).open(log);
        let stderr = stderr.with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(&binary);
        let command = command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr);
        let mut child = command.spawn().with_context(|| format!("cannot start {}", binary.display()))?;
        let stdout = child.stdout.take().context("invariant: standard output is piped")?;
        let (tell, ready) = oneshot::channel();
        // It reads on to the end, so that a late line never finds a closed pipe.
        drop(std::thread::spawn(move || watch(BufReader::new(stdout), tell)));
        Ok(Self { child, log: log.to_path_buf(), ready: Some(ready) })
    }

    /// Starts a hub that ends with this bench.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn hub(config: &Path, log: &Path) -> anyhow::Result<Self> {
        Self::start(&["run".as_ref(), "--until-stdin-closes".as_ref(), "--config".as_ref(), config.as_ref()], log)
    }

    /// The line with which it says that it is ready; its first line that names an address.
    ///
    /// # Errors
    /// When it ends before that, or takes longer than a minute; with the end of its log.
    pub(crate) async fn ready(&mut self) -> anyhow::Result<String> {
        let line = self.ready.take().context("it was waited for already")?;
        match tokio::time::timeout(READY_WITHIN, line).await {
            Ok(Ok(line)) => Ok(line),
            Ok(Err(_)) => bail!("the program ended before it was ready:\n{}", self.log_end()),
            Err(_) => bail!("the program was not ready after {READY_WITHIN:?}:\n{}", self.log_end()),
        }
    }

    /// Waits until the hub is ready; gives the address of its admin API.
    ///
    /// # Errors
    /// See [`Process::ready`].
    pub(crate) async fn hub_ready(&mut self) -> anyhow::Result<String> {
        let line = self.ready().await?;
        Ok(line.rsplit(' ').next().unwrap_or_default().to_string())
    }

    /// The end of what it has logged.
    pub(crate) fn log_end(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let skipped = text.chars().count().saturating_sub(LOG_CHARS);
        text.chars().skip(skipped).collect()
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has used.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        let read = |file: &str| {
            let path = format!("/proc/{}/{file}", self.id());
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
        };
        let status = read("status")?;
        let mib = |name: &str| {
            let size = field(&status, name).and_then(|size| kilobytes(&size));
            size.map(|kb| kb as f64 / 1024.0).with_context(|| format!("the program has ended:\n{}", self.log_end()))
        };
        Ok(Usage { peak_rss_mib: mib("VmHWM")?, rss_mib: mib("VmRSS")?, cpu_s: cpu_seconds(&read("stat")?) })
    }

    /// SIGKILL; on return the process is gone.
    ///
    /// # Errors
    /// When it had ended by itself.
    pub(crate) fn kill(mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the program had ended by itself ({status}):\n{}", self.log_end());
        }
        self.child.kill()?;
        let _ = self.child.wait()?;
        Ok(())
    }

    /// Ends it in order: its standard input closes.
    ///
    /// # Errors
    /// When it does not end well.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        drop(self.child.stdin.take());
        let (status, this) = tokio::task::spawn_blocking(move || (self.child.wait(), self)).await?;
        let status = status?;
        if status.success() { Ok(()) } else { bail!("the program ended badly ({status}):\n{}", this.log_end()) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// CPU time of this very process so far, in seconds: what the load costs.
pub(crate) fn own_cpu_s() -> f64 {
    std::fs::read_to_string("/proc/self/stat").map_or(0.0, |stat| cpu_seconds(&stat))
}

fn cpu_seconds(stat: &str) -> f64 {
    // The name may hold blanks and brackets: fields are counted after its last bracket, from field 3 on.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |field: usize| fields.get(field - 3).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(14) + ticks(15)) / TICKS_PER_SECOND
}

fn watch(mut lines: impl BufRead, tell: oneshot::Sender<String>) {
    let mut tell = Some(tell);
    let mut line = String::new();
    while matches!(lines.read_line(&mut line), Ok(count) if count > 0) {
        if line.contains("://") || line.starts_with("ready") {
            // Nobody listens if the bench has given up.
            let _told = tell.take().map(|tell| tell.send(line.trim().to_string()));
        }
        line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_behind_a_strange_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 3 0 1000 0 0";
        assert_eq!(cpu_seconds(stat), 2.0);
        assert!(own_cpu_s() >= 0.0);
    }

    #[test]
    fn the_first_line_with_an_address_is_told() {
        let (tell, mut told) = oneshot::channel();
        watch("route a\nready; admin API at http://127.0.0.1:1\nstopping\n".as_bytes(), tell);
        assert_eq!(told.try_recv().unwrap(), "ready; admin API at http://127.0.0.1:1");
    }
}
