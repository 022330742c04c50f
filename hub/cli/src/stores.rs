//! `raccordo backup`, `restore`, `recover`: old stores, kept and put back.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use hub_backbone::backup::{self, About, Lies};
use hub_core::{Clock, Value};
use hub_runtime::SystemClock;
use serde_json::json;

use crate::client::{Target, api, segment};
use crate::settings::Config;

/// `raccordo backup`
#[derive(Args, Debug)]
pub(crate) struct Backup {
    /// The configuration
    #[arg(long, default_value = "config/hub.yaml")]
    config: PathBuf,
    /// A new folder for the backup
    #[arg(long)]
    to: PathBuf,
    /// An earlier backup on the same disk: blobs that are in it are linked, not copied
    #[arg(long)]
    base: Option<PathBuf>,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// `raccordo restore`
#[derive(Args, Debug)]
pub(crate) struct Restore {
    /// The configuration
    #[arg(long, default_value = "config/hub.yaml")]
    config: PathBuf,
    /// The backup
    #[arg(long)]
    from: PathBuf,
    /// Moves a store that is there aside
    #[arg(long)]
    replace: bool,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// `raccordo recover`
#[derive(Args, Debug)]
pub(crate) struct Recover {
    #[command(flatten)]
    target: Target,
    /// The lane that `--release` is about, for example `siope/UFAAAA`
    #[arg(long, requires = "release")]
    lane: Option<String>,
    /// Lets the lane's messages be sent: you say that no other hub runs on a later state of the store, and that what the
    /// receiver does not show was not sent
    #[arg(long, requires_all = ["lane", "note"])]
    release: bool,
    /// Ends the recovery; every lane with messages has to be released before
    #[arg(long, conflicts_with = "release", requires = "note")]
    end: bool,
    /// The reason; it is kept with the decision
    #[arg(long)]
    note: Option<String>,
}

/// Where the store of a configuration lies.
fn lies(config: &Config) -> anyhow::Result<Lies> {
    let anchor = Some(config.anchor()?);
    Ok(Lies { database: config.store()?, archive: config.archive(), blobs: config.blobs(), anchor })
}

/// Copies the store, which a hub may have open.
pub(crate) async fn backup(options: Backup) -> anyhow::Result<()> {
    let store = lies(&Config::load_names(&options.config)?)?;
    let Backup { to, base, json, .. } = options;
    let (folder, made) = (to.clone(), SystemClock.now().to_string());
    let work = move || backup::make(&store, &folder, base.as_deref(), &made);
    let about = tokio::task::spawn_blocking(work).await?.context("no backup was made")?;
    tell(json, &of(&about, &to), || {
        let About { records, segments, blobs, bytes, .. } = &about;
        format!(
            "backup in {}: {records} records, {segments} sealed segments, {blobs} blobs, {bytes} bytes, read again and compared",
            to.display()
        )
    });
    Ok(())
}

/// Puts a backup back.
pub(crate) async fn restore(options: Restore) -> anyhow::Result<()> {
    let store = lies(&Config::load_names(&options.config)?)?;
    let Restore { from, replace, json, .. } = options;
    let now = SystemClock.now().to_string();
    let (folder, lies) = (from.clone(), store.clone());
    let work = move || backup::put_back(&folder, &lies, replace, &now);
    let done = tokio::task::spawn_blocking(work).await?.context("nothing was restored")?;
    let mut value = of(&done.about, &from);
    value["blobs_written"] = json!(done.blobs_written);
    value["moved_to"] = json!(done.moved_to);
    tell(json, &value, || {
        let aside = done.moved_to.as_ref().map(|path| format!("; the store that was there is {}", path.display()));
        let at = store.database.display();
        let made = &done.about.made;
        format!(
            "restored the backup of {made} to {at}{}\nthe hub starts in recovery: nothing is sent until `raccordo recover` \
             releases it lane by lane",
            aside.unwrap_or_default()
        )
    });
    Ok(())
}

fn of(about: &About, folder: &Path) -> Value {
    json!({
        "folder": folder, "store": about.store, "made": about.made,
        "records": about.records, "segments": about.segments, "blobs": about.blobs, "bytes": about.bytes,
    })
}

fn tell(json: bool, value: &Value, words: impl FnOnce() -> String) {
    if json { println!("{value}") } else { println!("{}", words()) }
}

/// Shows the recovery, or says a word about it.
pub(crate) async fn recover(options: Recover) -> anyhow::Result<()> {
    let api = api(&options.target)?;
    let body = json!({ "note": options.note.unwrap_or_default() });
    let word = match (&options.lane, options.release, options.end) {
        (Some(lane), true, _) => Some(format!("recovery/lanes/{}/release", segment(lane))),
        (_, _, true) => Some("recovery/end".to_owned()),
        _ => None,
    };
    if let Some(path) = word {
        println!("{}", api.post(&path, &body).await?);
        return Ok(());
    }
    let recovery = api.get("recovery", &[]).await?;
    if options.target.json {
        println!("{recovery}");
    } else {
        print!("{}", shown(&recovery));
    }
    Ok(())
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The recovery for people.
fn shown(recovery: &Value) -> String {
    if recovery["active"] != true {
        return "no recovery: everything is sent as usual\n".into();
    }
    let mut lines = vec![format!("in recovery since {}: {}", text(&recovery["began"]), text(&recovery["reason"]))];
    lines.extend(list(&recovery["gaps"]).iter().map(|gap| format!("  missing: {}", text(gap))));
    lines.push(format!("a lost life of the hub may have sent something after {}", text(&recovery["since"])));
    lines.extend(list(&recovery["lanes"]).iter().flat_map(lane));
    lines.push(format!("{} messages were settled by proof of their receivers", recovery["settled"]));
    for one in list(&recovery["settled_messages"]) {
        lines.push(format!("  {}  {}  {}", text(&one["case"]), text(&one["lane"]), text(&one["id"])));
    }
    let unclaimed = &recovery["unclaimed"];
    lines.push(format!("{unclaimed} answers came that nobody awaits: about messages that the store has lost"));
    for one in list(&recovery["unclaimed_answers"]) {
        lines.push(format!("  {}  {}", text(&one["name"]), text(&one["key"])));
    }
    lines.join("\n") + "\n"
}

fn lane(lane: &Value) -> Vec<String> {
    let state = match lane["released_by"].as_str() {
        Some(by) => format!("released by {by} at {}", text(&lane["released_at"])),
        None => "HELD".to_owned(),
    };
    let (waiting, proposed, to_decide) = (&lane["waiting"], &lane["proposed"], &lane["to_decide"]);
    let name = text(&lane["lane"]);
    let mut lines = vec![format!(
        "lane {name}: {state}; {waiting} wait, {proposed} would be sent, {to_decide} to decide one by one"
    )];
    for one in list(&lane["messages"]) {
        let (case, state, proposal) = (text(&one["case"]), text(&one["state"]), text(&one["proposal"]));
        let said = match &one["evidence"] {
            Value::Null => String::new(),
            evidence => format!(", last: {}", text(evidence).chars().take(300).collect::<String>()),
        };
        lines.push(format!(
            "  {proposal:<8} {case}  {state}, asked {} times{said}  [{}]",
            one["asked"],
            text(&one["id"])
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_see_what_is_held_and_what_is_proposed() {
        assert!(shown(&json!({ "active": false })).starts_with("no recovery"));
        let message = json!({
            "id": "o1-a", "case": "UFAAAA/2026/1", "state": "in_doubt", "asked": 2, "proposal": "release",
            "evidence": { "listed": 3 },
        });
        let lane = json!({
            "lane": "siope/UFAAAA", "released_by": null, "waiting": 1, "proposed": 1, "to_decide": 0, "messages": [message],
        });
        let told = shown(&json!({
            "active": true, "began": "t1", "since": "t0", "reason": "old", "gaps": ["outbox/1: 3 missing"],
            "lanes": [lane], "settled": 4, "settled_messages": [], "unclaimed": 1,
            "unclaimed_answers": [{ "name": "siope-ack", "key": "flow-7" }],
        }));
        for part in ["old", "missing: outbox/1", "siope/UFAAAA: HELD", "release  UFAAAA/2026/1", "4 messages", "flow-7"]
        {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
}
