//! The source `file`: a drop folder.

use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hub_core::plugin::{ConfigError, OpenCx, OpenError, SourceConfig};
use hub_core::{
    Body, Bytesize, Clock, Headers, Incoming, Intake, Media, MessageId, Source, SourceError, Span, Verdict, header,
    sha256_hex,
};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::FILE_PROBLEM;
use crate::scan::{self, NotRead, Print};
use crate::settle::{Exit, Left};

/// Bytes of one batch; the file that passes the mark is the last one.
const BATCH_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Messages of one batch, whatever the configuration says.
const BATCH_MAX: usize = 500;

/// Takes the files of a drop folder, each as one message, and moves them away once they are durable.
///
/// A file is taken when its size and time have not changed for `stable_for`. Names that begin with `.` or end with
/// `.tmp` or `.part` are not seen: write under such a name and rename. Subfolders and symbolic links are not seen
/// either. Headers: `file-name`, `origin` (the path). The same file dropped again (name and content) is the same message.
///
/// A file larger than `max` is handed over with its first `max` bytes, as bytes of no kind, and the header
/// `file-problem`: it is parked with that reason, and its neighbours go on. A file that cannot be read stays where it is,
/// with a warning in the log.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DropFolder {
    /// The folder; it must exist.
    folder: String,
    /// Which names: `*` is any run of characters, `?` exactly one.
    #[serde(default = "any")]
    pattern: String,
    /// Where taken files go, on the same disk; made if missing. Default: `.done` in the folder.
    done: Option<String>,
    /// What happens to taken files.
    #[serde(default)]
    settle: Settling,
    /// How long a file must not have changed before it is taken.
    #[serde(default = "stable_for")]
    stable_for: Span,
    /// How often the folder is looked at.
    #[serde(default = "every")]
    every: Span,
    /// The largest file that is taken whole.
    #[serde(default = "max")]
    max: Bytesize,
    /// Files taken at once, at most 500.
    #[serde(default = "batch")]
    batch: usize,
}

/// What happens to taken files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Settling {
    /// They are moved to `done`.
    #[default]
    Move,
    /// They are deleted.
    Remove,
}

fn any() -> String {
    "*".into()
}
fn stable_for() -> Span {
    Span(Duration::from_millis(500))
}
fn every() -> Span {
    Span(Duration::from_secs(1))
}
fn max() -> Bytesize {
    Bytesize(5 * 1024 * 1024)
}
fn batch() -> usize {
    256
}

#[async_trait]
impl SourceConfig for DropFolder {
    const KIND: &'static str = "file";

    fn check(&self) -> Vec<ConfigError> {
        let mut problems = Vec::new();
        if self.batch == 0 || self.batch > BATCH_MAX {
            problems.push(ConfigError::at("/batch", format!("must be between 1 and {BATCH_MAX}")));
        }
        if self.every.0 < Duration::from_millis(10) {
            problems.push(ConfigError::at("/every", "is too short; write at least `10ms`"));
        }
        if self.done.is_some() && self.settle == Settling::Remove {
            problems.push(ConfigError::at("/done", "has no meaning with `settle: remove`; leave one of them out"));
        }
        problems
    }

    async fn open(&self, cx: &OpenCx) -> Result<Box<dyn Source>, OpenError> {
        let folder = cx.path(&self.folder);
        let done = self.done.as_ref().map_or_else(|| folder.join(".done"), |done| cx.path(done));
        let exit = Exit { folder: folder.clone(), done, settling: self.settle };
        prepare(&exit).map_err(|e| OpenError(format!("drop folder `{}`: {e}", folder.display())))?;
        Ok(Box::new(Folder {
            clock: cx.clock.clone(),
            route: cx.route.clone(),
            exit,
            pattern: self.pattern.clone(),
            max: self.max.0,
            batch: self.batch,
            stable_for: self.stable_for.0,
            every: self.every.0,
            seen: HashMap::new(),
            ripe: VecDeque::new(),
            offered: Vec::new(),
        }))
    }
}

/// Looks for what would only fail when the first file is done.
fn prepare(exit: &Exit) -> io::Result<()> {
    let folder = fs::metadata(&exit.folder)?;
    if !folder.is_dir() {
        return Err(io::Error::other("is not a folder"));
    }
    if exit.settling == Settling::Move {
        fs::create_dir_all(&exit.done)?;
        if fs::metadata(&exit.done)?.dev() != folder.dev() {
            let done = exit.done.display();
            return Err(io::Error::other(format!("`done: {done}` is on another disk, files cannot be moved there")));
        }
    }
    Ok(())
}

/// What is remembered of a file between two looks.
#[derive(Debug)]
struct Seen {
    print: Print,
    since: Timestamp,
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Not taken yet.
    Waiting,
    /// Taken and durable, but it could not be moved: that alone is tried again.
    Stuck { mark: String },
    /// Left alone until it changes (not admitted, or unreadable).
    Left,
    /// Not before this instant.
    Later { until: Timestamp },
}

#[derive(Clone, Debug)]
struct Offered {
    name: OsString,
    print: Print,
    mark: String,
}

struct Folder {
    clock: Arc<dyn Clock>,
    route: String,
    exit: Exit,
    pattern: String,
    max: u64,
    batch: usize,
    stable_for: Duration,
    every: Duration,
    seen: HashMap<OsString, Seen>,
    /// Files of the last look that may be taken, by name.
    ripe: VecDeque<(OsString, Print)>,
    offered: Vec<Offered>,
}

impl Folder {
    /// One look: remembers what is new, forgets what is gone, and names what may be taken now.
    async fn look(&mut self) -> Result<VecDeque<(OsString, Print)>, SourceError> {
        let (folder, pattern) = (self.exit.folder.clone(), self.pattern.clone());
        let files = blocking(move || scan::files(&folder, &pattern)).await?.map_err(|e| {
            let folder = self.exit.folder.display();
            SourceError::unavailable(format!("drop folder `{folder}` cannot be read: {e}"))
        })?;
        let now = self.clock.now();
        let mut seen = HashMap::with_capacity(files.len());
        for (name, print) in &files {
            let known = self.seen.remove(name).filter(|known| known.print == *print);
            let fresh = Seen { print: *print, since: now, state: State::Waiting };
            let _ = seen.insert(name.clone(), known.unwrap_or(fresh));
        }
        self.seen = seen;
        Ok(files.into_iter().filter(|(name, _)| self.is_ripe(name, now)).collect())
    }

    fn is_ripe(&self, name: &OsString, now: Timestamp) -> bool {
        let Some(seen) = self.seen.get(name) else { return false };
        match &seen.state {
            State::Waiting => now >= seen.since + self.stable_for,
            State::Later { until } => now >= *until,
            State::Stuck { .. } | State::Left => false,
        }
    }

    /// Reads the next of the ripe files, at most a batch. A burst is looked at once for many batches: whether a file is still
    /// what was seen is checked when it is read.
    async fn take(&mut self) -> Result<Vec<Incoming>, SourceError> {
        self.offered.clear();
        let (folder, max, batch) = (self.exit.folder.clone(), self.max, self.batch);
        let mut ripe = std::mem::take(&mut self.ripe);
        let read = move || {
            let files = scan::read_some(&folder, &mut ripe, max, (batch, BATCH_BYTES_MAX));
            (files, ripe)
        };
        let (files, rest) = blocking(read).await?;
        self.ripe = rest;
        let mut messages = Vec::with_capacity(files.len());
        for (name, print, read) in files {
            match read {
                Ok(bytes) => messages.push(self.offer(name, print, bytes)),
                Err(why) => self.not_read(&name, &why),
            }
        }
        Ok(messages)
    }

    fn offer(&mut self, name: OsString, print: Print, bytes: Vec<u8>) -> Incoming {
        let shown = name.to_string_lossy().into_owned();
        let exact = hex::encode(name.as_encoded_bytes());
        let (size, content) = (print.bytes.to_string(), sha256_hex(&bytes));
        let id = MessageId::derive(&["file", &self.route, &exact, &size, &content]);
        let mut headers = Headers::new();
        let _ = headers.insert(header::ORIGIN.into(), self.exit.folder.join(&name).display().to_string());
        let mut media = Media::of_file_name(&shown);
        if print.bytes > self.max {
            media = Media::Bytes;
            let problem = format!("file has {size} bytes, at most {} are taken; only the first are kept", self.max);
            let _ = headers.insert(FILE_PROBLEM.into(), problem);
        }
        let _ = headers.insert(header::FILE_NAME.into(), shown);
        self.offered.push(Offered { name, print, mark: id.as_str().chars().take(8).collect() });
        Incoming { id, key: None, headers, body: Body::new(media, bytes), answerable: false }
    }

    fn not_read(&mut self, name: &OsString, why: &NotRead) {
        let file = self.exit.folder.join(name);
        let now = self.clock.now();
        let Some(seen) = self.seen.get_mut(name) else { return };
        match why {
            NotRead::Changed => seen.since = now,
            NotRead::Failed(e) if e.kind() == io::ErrorKind::NotFound => {}
            NotRead::Failed(error) => {
                tracing::warn!(file = %file.display(), %error, "file cannot be read; it is tried again in a minute");
                seen.state = State::Later { until: now + Duration::from_secs(60) };
            }
        }
    }

    /// Moves files away that are durable already, but could not be moved before.
    async fn retry_stuck(&mut self) -> Result<(), SourceError> {
        let stuck = self.seen.iter().filter_map(|(name, seen)| match &seen.state {
            State::Stuck { mark } => Some(Offered { name: name.clone(), print: seen.print, mark: mark.clone() }),
            _ => None,
        });
        let stuck = stuck.collect::<Vec<_>>();
        self.leave(stuck).await
    }

    /// Moves files away that are durable.
    async fn leave(&mut self, files: Vec<Offered>) -> Result<(), SourceError> {
        if files.is_empty() {
            return Ok(());
        }
        let exit = self.exit.clone();
        let move_away = move || {
            let one = |file: Offered| (exit.leave(&exit.folder.join(&file.name), file.print, &file.mark), file);
            files.into_iter().map(one).collect::<Vec<_>>()
        };
        for (left, file) in blocking(move_away).await? {
            match left {
                Ok(Left::Gone | Left::Replaced) => drop(self.seen.remove(&file.name)),
                Err(error) => self.stuck(file, &error),
            }
        }
        Ok(())
    }

    fn stuck(&mut self, file: Offered, error: &io::Error) {
        let state = State::Stuck { mark: file.mark };
        if self.seen.get(&file.name).is_some_and(|seen| seen.state == state) {
            return;
        }
        let path = self.exit.folder.join(&file.name);
        tracing::warn!(file = %path.display(), %error, "file is durable, but cannot be moved away; it is not read again");
        let _ = self.seen.insert(file.name, Seen { print: file.print, since: self.clock.now(), state });
    }

    fn keep(&mut self, file: &Offered, verdict: &Verdict, state: State) {
        let path = self.exit.folder.join(&file.name);
        tracing::warn!(file = %path.display(), ?verdict, "file is not taken and stays where it is");
        if let Some(seen) = self.seen.get_mut(&file.name) {
            seen.state = state;
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, SourceError> {
    tokio::task::spawn_blocking(work).await.map_err(SourceError::unavailable)
}

#[async_trait]
impl Source for Folder {
    async fn next(&mut self) -> Result<Option<Intake>, SourceError> {
        loop {
            if self.ripe.is_empty() {
                self.retry_stuck().await?;
                self.ripe = self.look().await?;
            }
            let messages = self.take().await?;
            if !messages.is_empty() {
                return Ok(Some(Intake { messages, cursor: None }));
            }
            if !self.ripe.is_empty() {
                continue;
            }
            let young = self.seen.values().any(|seen| seen.state == State::Waiting);
            let pause = if young { self.every.min(self.stable_for.max(Duration::from_millis(10))) } else { self.every };
            self.clock.sleep_until(self.clock.now() + pause).await;
        }
    }

    async fn settle(&mut self, verdicts: Vec<Verdict>) -> Result<(), SourceError> {
        let mut durable = Vec::new();
        for (file, verdict) in std::mem::take(&mut self.offered).into_iter().zip(verdicts) {
            match &verdict {
                Verdict::Stored { .. } | Verdict::Parked { .. } => durable.push(file),
                Verdict::Busy { retry_after } => {
                    let until = self.clock.now() + retry_after.0;
                    self.keep(&file, &verdict, State::Later { until });
                }
                Verdict::Refused { .. } | Verdict::Conflict { .. } => self.keep(&file, &verdict, State::Left),
            }
        }
        self.leave(durable).await
    }
}
