//! The point that the environment arms. Only with the feature `on`.

use std::io::Write;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Signal, getpid, kill_process};

use crate::Point;

/// `NAME`, `NAME:VISIT` or `NAME:VISIT:freeze`, the first visit being 1.
const POINT: &str = "RACCORDO_FAILPOINT";
/// A file that gets the name of the point, and says that the process died (or froze) there and nowhere else.
const MARK: &str = "RACCORDO_FAILPOINT_MARK";

/// Read once: it belongs to the process as its environment does.
static ARMED: OnceLock<Option<Armed>> = OnceLock::new();

#[derive(Debug)]
struct Armed {
    point: Point,
    visit: u64,
    visits: AtomicU64,
    freezes: bool,
    mark: Option<PathBuf>,
}

/// Marks a place: the process dies or freezes here if the environment has armed the point.
///
/// # Panics
/// If the environment names a point that does not exist.
pub fn at(point: Point) {
    let armed = ARMED.get_or_init(|| std::env::var(POINT).ok().map(|text| Armed::read(&text)));
    if let Some(armed) = armed.as_ref().filter(|armed| armed.point == point)
        && armed.visits.fetch_add(1, Ordering::SeqCst) + 1 == armed.visit
    {
        armed.strike();
    }
}

impl Armed {
    fn read(text: &str) -> Self {
        let mut words = text.split(':');
        let point = words.next().unwrap_or_default().parse().unwrap_or_else(|error| panic!("{POINT}: {error}"));
        let visit = words.next().unwrap_or("1");
        let visit = visit.parse().unwrap_or_else(|error| panic!("{POINT}: the visit `{visit}`: {error}"));
        let freezes = match words.next() {
            None => false,
            Some("freeze") => true,
            Some(other) => panic!("{POINT}: `{other}` is not known; write `freeze`, or nothing"),
        };
        let mark = std::env::var_os(MARK).map(PathBuf::from);
        Self { point, visit, visits: AtomicU64::new(0), freezes, mark }
    }

    fn strike(&self) {
        self.mark();
        if self.freezes { Self::freeze() } else { Self::die() }
    }

    fn mark(&self) {
        if let Some(mark) = &self.mark {
            let file = std::fs::File::options().create(true).append(true).open(mark);
            let written = file.and_then(|mut file| writeln!(file, "{}", self.point.name()));
            written.unwrap_or_else(|error| panic!("{MARK}: {}: {error}", mark.display()));
        }
    }

    /// SIGKILL: no destructor, no buffer, no other thread does anything more.
    fn die() -> ! {
        let killed = kill_process(getpid(), Signal::KILL);
        unreachable!("nobody survives SIGKILL: {killed:?}")
    }

    /// SIGSTOP: all threads stand still until somebody sends SIGCONT; then the process goes on from here, knowing nothing.
    fn freeze() {
        kill_process(getpid(), Signal::STOP).unwrap_or_else(|error| panic!("SIGSTOP to this process: {error}"));
    }
}
