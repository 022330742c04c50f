//! A hub in its own process that a fail point will end.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use hub_failpoint::Point;

const SIGKILL: i32 = 9;

/// A hub in its own process that a fail point will end, perhaps before it is ready; killed when dropped.
pub(crate) struct Doomed {
    process: Child,
    point: Point,
    mark: PathBuf,
    /// Hears the address of the admin API once.
    ready: Receiver<String>,
}

impl Doomed {
    /// Starts a hub that dies at the given visit of a point.
    pub(crate) fn begin(config: &Path, point: Point, visit: u64) -> Self {
        let mark = config.with_file_name("failpoint.mark");
        drop(std::fs::remove_file(&mark));
        let mut command = Command::new(env!("CARGO_BIN_EXE_raccordo"));
        command.args(["run", "--until-stdin-closes", "--config"]).arg(config);
        command.env("RACCORDO_FAILPOINT", format!("{}:{visit}", point.name())).env("RACCORDO_FAILPOINT_MARK", &mark);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the hub starts");
        let lines = BufReader::new(process.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let (tell, ready) = channel();
        drop(std::thread::spawn(move || {
            for line in lines.filter(|line| line.starts_with("ready")) {
                // Nobody listens to a hub that has died.
                drop(tell.send(line.rsplit(' ').next().expect("an address").to_string()));
            }
        }));
        Self { process, point, mark, ready }
    }

    /// The address of the admin API, the first time that it is known.
    pub(crate) fn became_ready(&self) -> Option<String> {
        self.ready.try_recv().ok()
    }

    /// Lets it end in order: standard input closes.
    pub(crate) fn end(&mut self) {
        drop(self.process.stdin.take());
    }

    /// Whether it is dead.
    ///
    /// # Panics
    /// If it died of anything but its fail point.
    pub(crate) fn has_died(&mut self) -> bool {
        let Some(status) = self.process.try_wait().expect("the process is ours") else { return false };
        let mark = std::fs::read_to_string(&self.mark).unwrap_or_default();
        assert_eq!((status.signal(), mark.trim()), (Some(SIGKILL), self.point.name()), "{status}");
        true
    }
}

impl Drop for Doomed {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
