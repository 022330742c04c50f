//! The sink `file`: atomic writes.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use hub_core::plugin::{ConfigError, OpenCx, OpenError, SinkConfig};
use hub_core::{Attempt, Expr, Outgoing, Receipt, Repeat, SendError, Sink, sha256_hex};
use hub_failpoint::{Point, at as failpoint};
use schemars::JsonSchema;
use serde::Deserialize;

/// Longest file name that common file systems take, less room for the temporary ending.
const NAME_BYTES_MAX: usize = 200;

/// Writes the body to a file: under a temporary name first, then renamed, with both made durable. A reader never sees half
/// a file. Writing the same message again changes nothing.
///
/// Binds `path` and `sha256`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileSink {
    /// The folder; made if missing.
    folder: String,
    /// The file's name: no folder in it, at most 200 bytes, for example `case.id.replace("/", "-") + ".xml"`.
    #[expect(dead_code, reason = "evaluated by the runtime, which hands over its value in `Outgoing::params`")]
    name: Expr<String>,
    /// What happens when a file of this name with other content is there already.
    #[serde(default)]
    existing: Existing,
}

/// What happens when a file of this name with other content is there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Existing {
    /// The message is rejected: nobody's file is overwritten.
    #[default]
    Refuse,
    /// The file is replaced, at once and as a whole.
    Replace,
}

#[async_trait]
impl SinkConfig for FileSink {
    const KIND: &'static str = "file";

    fn check(&self) -> Vec<ConfigError> {
        let empty = self.folder.is_empty().then(|| ConfigError::at("/folder", "is empty; write a path"));
        empty.into_iter().collect()
    }

    fn repeat(&self) -> Repeat {
        Repeat::Harmless
    }

    async fn open(&self, cx: &OpenCx) -> Result<Arc<dyn Sink>, OpenError> {
        let folder = cx.path(&self.folder);
        fs::create_dir_all(&folder).map_err(|e| OpenError(format!("folder `{}`: {e}", folder.display())))?;
        Ok(Arc::new(Writer { folder, existing: self.existing }))
    }
}

#[derive(Clone, Debug)]
struct Writer {
    folder: PathBuf,
    existing: Existing,
}

#[async_trait]
impl Sink for Writer {
    async fn send(&self, out: &Outgoing, attempt: &Attempt) -> Result<Receipt, SendError> {
        let name = out.params.get("name").and_then(|name| name.as_str()).unwrap_or_default();
        let name =
            usable(name).map_err(|detail| SendError::Rejected { code: "file-name".into(), cause: detail.into() })?;
        let (writer, name, bytes, attempt) = (self.clone(), name.to_string(), out.body.bytes.clone(), attempt.clone());
        let asked = attempt.clone();
        let written = tokio::task::spawn_blocking(move || writer.write(&name, &bytes, &attempt)).await;
        written.unwrap_or_else(|e| Err(asked.failed(e)))
    }

    fn repeat(&self) -> Repeat {
        Repeat::Harmless
    }
}

/// A name that stays within the folder. Nothing is replaced: two messages must not end up under one name.
fn usable(name: &str) -> Result<&str, String> {
    let bad = |c: char| c == '/' || c == '\\' || c.is_control();
    let reason = match name {
        "" => "is empty or not a text",
        "." | ".." => "is a folder",
        _ if name.contains(bad) => {
            "holds a path separator or a control character; replace it, as in \
                                    `case.id.replace(\"/\", \"-\")`"
        }
        _ if name.len() > NAME_BYTES_MAX => "is longer than 200 bytes",
        _ => return Ok(name),
    };
    Err(format!("file name `{}` {reason}", name.escape_debug()))
}

impl Writer {
    fn write(&self, name: &str, bytes: &[u8], attempt: &Attempt) -> Result<Receipt, SendError> {
        let target = self.folder.join(name);
        if fs::read(&target).is_ok_and(|there| there == bytes) {
            // An earlier attempt has written it; it only has to be durable.
            self.sync_folder().map_err(|e| in_doubt(&target, &e))?;
            return Ok(receipt(&target, bytes));
        }
        let mark = sha256_hex(attempt.key.as_bytes());
        let temporary = self.folder.join(format!(".{name}.{}.tmp", &mark[..16]));
        let placed = self.place(&temporary, &target, bytes, attempt);
        if placed.is_err() {
            // What is left of a failed attempt is hidden and overwritten by the next one; removing it is tidiness.
            drop(fs::remove_file(&temporary));
        }
        placed.map(|()| receipt(&target, bytes))
    }

    fn place(&self, temporary: &Path, target: &Path, bytes: &[u8], attempt: &Attempt) -> Result<(), SendError> {
        let explain = |e: io::Error| attempt.failed(format!("file `{}`: {e}", target.display()));
        let mut file = File::create(temporary).map_err(explain)?;
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(explain)?;
        failpoint(Point::FileWritten);
        attempt.cross()?;
        match self.existing {
            Existing::Replace => fs::rename(temporary, target).map_err(explain)?,
            // A hard link fails when the name is taken, in one step; a rename would replace.
            Existing::Refuse => match fs::hard_link(temporary, target) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Err(taken(target)),
                linked => linked.and_then(|()| fs::remove_file(temporary)).map_err(explain)?,
            },
        }
        failpoint(Point::FileNamed);
        self.sync_folder().map_err(explain)
    }

    fn sync_folder(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }
}

fn taken(target: &Path) -> SendError {
    let detail = format!(
        "file `{}` exists with other content; choose a name that is unique, or write `existing: replace`",
        target.display()
    );
    SendError::Rejected { code: "file-exists".into(), cause: detail.into() }
}

fn in_doubt(target: &Path, error: &io::Error) -> SendError {
    SendError::InDoubt {
        cause: format!("file `{}` is there, but may not be durable: {error}", target.display()).into(),
    }
}

fn receipt(target: &Path, bytes: &[u8]) -> Receipt {
    let path = target.display().to_string();
    let reply = serde_json::json!({ "path": path, "sha256": sha256_hex(bytes) });
    Receipt { remote_id: Some(path), reply, raw: None }
}
