//! A server of the test's own, with the jars that `./test` has put into `target/objects`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use hub_core::Secret;
use hub_objects::S3Settings;

/// Stopped and removed when dropped.
pub(crate) struct Server {
    folder: PathBuf,
    settings: S3Settings,
}

impl Server {
    /// `None`: there is none to be had, and the reason is said.
    pub(crate) fn start() -> Option<Self> {
        let shared = root().join("target/objects");
        if !shared.join("jars").is_dir() {
            missing(&format!("nothing in {}: `examples/objects/objects get target/objects`", shared.display()));
            return None;
        }
        let folder = shared.with_file_name(format!("objects-{}", uuid::Uuid::now_v7().simple()));
        std::fs::create_dir_all(&folder).expect("a folder");
        std::os::unix::fs::symlink(shared.join("jars"), folder.join("jars")).expect("a link");
        let said = run("start", &folder, &["--for", "300"]);
        Some(Self { folder, settings: settings(&said) })
    }

    pub(crate) fn settings(&self) -> S3Settings {
        self.settings.clone()
    }

    /// `kill`, `pause` or `resume`.
    pub(crate) fn tell(&self, command: &str) {
        let _nothing = run(command, &self.folder, &[] as &[&str]);
    }

    /// Starts it after a kill, where it was.
    pub(crate) fn again(&self) {
        let said = run("start", &self.folder, &["--for", "300"]);
        assert!(said.starts_with(&self.settings.endpoint), "at the same address: {said}");
    }

    /// Where the server keeps a blob.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join("data/blobs/raccordo").join(&name[..2]).join(name)
    }

    pub(crate) fn drop_bucket(&self) {
        std::fs::remove_dir_all(self.folder.join("data/blobs")).expect("the bucket goes");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _nothing = run("stop", &self.folder, &[] as &[&str]);
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn run(command: &str, folder: &Path, options: &[impl AsRef<OsStr>]) -> String {
    let done = Command::new(root().join("examples/objects/objects")).arg(command).arg(folder).args(options).output();
    let done = done.expect("the script runs");
    assert!(done.status.success(), "objects {command}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

fn settings(said: &str) -> S3Settings {
    let words: Vec<&str> = said.split(' ').collect();
    let text = serde_json::json!({
        "endpoint": words[0], "bucket": "blobs", "access_key": words[1], "secret_key": words[2], "insecure": true,
    });
    let settings: S3Settings = serde_json::from_value(text).expect("settings");
    assert!(!format!("{settings:?}").contains(Secret::expose(&settings.secret_key)));
    settings
}

fn missing(reason: &str) {
    let required = std::env::var("RACCORDO_REQUIRE_TOOLS").as_deref() == Ok("1");
    assert!(!required, "an object store is required (RACCORDO_REQUIRE_TOOLS=1) and cannot be had: {reason}");
    println!("skipped: an object store cannot be had: {reason}");
}
