//! The point that the environment arms. Only with the feature `on`.

use std::io::Write;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Signal, getpid, kill_process};

use crate::Point;

/// `NAME` or `NAME:VISIT`, the first visit being 1.
const POINT: &str = "RACCORDO_FAILPOINT";
/// A file that gets the name of the point, and says that the process died there and nowhere else.
const MARK: &str = "RACCORDO_FAILPOINT_MARK";

/// Read once: it belongs to the process as its environment does.
static ARMED: OnceLock<Option<Armed>> = OnceLock::new();

#[derive(Debug)]
struct Armed {
    point: Point,
    visit: u64,
    visits: AtomicU64,
    mark: Option<PathBuf>,
}

/// Marks a place: the process dies here if the environment has armed the point.
///
/// # Panics
/// If the environment names a point that does not exist.
pub fn at(point: Point) {
    let armed = ARMED.get_or_init(|| std::env::var(POINT).ok().map(|text| Armed::read(&text)));
    if let Some(armed) = armed.as_ref().filter(|armed| armed.point == point)
        && armed.visits.fetch_add(1, Ordering::SeqCst) + 1 == armed.visit
    {
        armed.die();
    }
}

impl Armed {
    fn read(text: &str) -> Self {
        let (name, visit) = text.split_once(':').unwrap_or((text, "1"));
        let point = name.parse().unwrap_or_else(|error| panic!("{POINT}: {error}"));
        let visit = visit.parse().unwrap_or_else(|error| panic!("{POINT}: the visit `{visit}`: {error}"));
        Self { point, visit, visits: AtomicU64::new(0), mark: std::env::var_os(MARK).map(PathBuf::from) }
    }

    /// SIGKILL: no destructor, no buffer, no other thread does anything more.
    fn die(&self) -> ! {
        if let Some(mark) = &self.mark {
            let file = std::fs::File::options().create(true).append(true).open(mark);
            let written = file.and_then(|mut file| writeln!(file, "{}", self.point.name()));
            written.unwrap_or_else(|error| panic!("{MARK}: {}: {error}", mark.display()));
        }
        let killed = kill_process(getpid(), Signal::KILL);
        unreachable!("nobody survives SIGKILL: {killed:?}")
    }
}
