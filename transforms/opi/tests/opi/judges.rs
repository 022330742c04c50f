//! Who judges flows: our schema by two independent validators, and the official schema where it is at hand.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use transform_xml::Schema;

use crate::world::root;

/// Our own schema, compiled once.
pub(crate) fn ours() -> &'static Schema {
    static SCHEMA: OnceLock<Schema> = OnceLock::new();
    SCHEMA.get_or_init(|| Schema::open(&our_path(), &root().join("config")).unwrap())
}

pub(crate) fn our_path() -> PathBuf {
    root().join("config/schemas/opi/flusso_ordinativi-1.7.1.xsd")
}

/// The official schema, if this machine has it; it is not part of the repository.
pub(crate) fn official_path() -> Option<PathBuf> {
    let path = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/standards/siope/OPI_FLUSSO_ORDINATIVI_V_1_7_1.xsd"
    ));
    let found = path.exists();
    if !found {
        eprintln!("skipped: the official OPI schema is not on this machine");
    }
    found.then_some(path)
}

/// Whether libxml2's validator is there. With `RACCORDO_REQUIRE_TOOLS=1` it must be.
pub(crate) fn has_xmllint() -> bool {
    let found = Command::new("xmllint").arg("--version").stderr(Stdio::null()).status().is_ok();
    assert!(found || std::env::var_os("RACCORDO_REQUIRE_TOOLS").is_none(), "xmllint is not installed");
    if !found {
        eprintln!("skipped: xmllint is not installed");
    }
    found
}

/// What libxml2 says about several documents at once: the names of those that it refuses.
pub(crate) fn xmllint_refuses(schema: &Path, documents: &[(String, String)]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let write = |(name, text): &(String, String)| {
        let path = folder.path().join(format!("{name}.xml"));
        std::fs::write(&path, text).unwrap();
        path
    };
    let paths: Vec<_> = documents.iter().map(write).collect();
    let mut command = Command::new("xmllint");
    let said = command.args(["--nonet", "--noout", "--schema"]).arg(schema).args(&paths).output().unwrap();
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    let valid = |path: &Path| said.lines().any(|line| line == format!("{} validates", path.display()));
    let verdicts = documents.iter().zip(&paths).filter(|(_, path)| !valid(path));
    verdicts.map(|((name, _), _)| name.clone()).collect()
}
