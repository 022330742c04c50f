//! A hub in its own process that may end at any time, and is started again as a supervisor would.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use hub_failpoint::Point;

/// Its process is killed when dropped.
pub(crate) struct Hub {
    config: PathBuf,
    log: PathBuf,
    process: Child,
    ready: Receiver<String>,
    admin: Option<String>,
    /// It does not work, and nobody is to wait for it: frozen, or cut off.
    pub(crate) apart: bool,
    /// How often it ended by itself.
    pub(crate) ends: usize,
}

impl Hub {
    /// Starts it; `log` gets everything that it says, one life after the other.
    pub(crate) fn begin(config: &Path, log: &Path) -> Self {
        let (process, ready) = spawn(config, log, None);
        let (config, log) = (config.to_owned(), log.to_owned());
        Self { config, log, process, ready, admin: None, apart: false, ends: 0 }
    }

    /// A new life after the last one.
    pub(crate) fn again(&mut self) {
        (self.process, self.ready) = spawn(&self.config, &self.log, None);
        (self.admin, self.apart) = (None, false);
    }

    /// A new life that freezes at the first visit of a point. Gives the file that then has the point's name.
    pub(crate) fn again_until(&mut self, point: Point) -> PathBuf {
        let mark = self.config.with_extension("mark");
        drop(std::fs::remove_file(&mark));
        (self.process, self.ready) = spawn(&self.config, &self.log, Some((point, &mark)));
        (self.admin, self.apart) = (None, false);
        mark
    }

    /// The address of its admin API, once it is ready.
    pub(crate) fn admin(&mut self) -> Option<String> {
        if let Ok(admin) = self.ready.try_recv() {
            self.admin = Some(admin);
        }
        self.admin.clone()
    }

    /// Starts it again if it has ended without being told to.
    pub(crate) fn look_after(&mut self) {
        if let Some(status) = self.process.try_wait().expect("the process is ours") {
            println!("  a hub has ended by itself ({status}) and is started again; see {}", self.log.display());
            self.ends += 1;
            self.again();
        }
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.process.kill().expect("SIGKILL");
        drop(self.process.wait());
    }

    /// Ends it in order.
    pub(crate) fn end(&mut self) {
        drop(self.process.stdin.take());
        let status = self.process.wait().expect("the hub ends");
        assert!(status.success(), "the hub ends well: {status}; see {}", self.log.display());
    }

    /// Lets it go on after it was frozen.
    pub(crate) fn go_on(&mut self) {
        let told = Command::new("kill").args(["-CONT", &self.process.id().to_string()]).status();
        assert!(told.is_ok_and(|status| status.success()), "SIGCONT");
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn spawn(config: &Path, log: &Path, freezes: Option<(Point, &Path)>) -> (Child, Receiver<String>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_raccordo"));
    command.args(["run", "--until-stdin-closes", "--config"]).arg(config);
    if let Some((point, mark)) = freezes {
        command.env("RACCORDO_FAILPOINT", format!("{}:1:freeze", point.name())).env("RACCORDO_FAILPOINT_MARK", mark);
    }
    let said = File::options().create(true).append(true).open(log).expect("a log");
    command.env("RACCORDO_LOG", "info").stderr(said).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = command.spawn().expect("the hub starts");
    let lines = BufReader::new(process.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let (tell, ready) = channel();
    drop(std::thread::spawn(move || {
        for line in lines.filter(|line| line.starts_with("ready")) {
            // Nobody listens to a hub that was killed.
            drop(tell.send(line.rsplit(' ').next().expect("an address").to_string()));
        }
    }));
    (process, ready)
}
