//! The people of the demo: they look at what they are asked to approve, and say yes.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use hub_core::Value;
use rand::Rng;
use rand::distr::Alphanumeric;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::client::{Api, segment};

/// Pause between two looks at the task list.
const LOOK_EVERY: Duration = Duration::from_millis(150);

/// Who works at the authority: person, role, token.
#[derive(Clone, Debug)]
pub struct Team(Vec<(&'static str, &'static str, String)>);

impl Team {
    /// Gives everyone a token; they stand in files of the demo's folder, readable by their owner only.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn new(dir: &Path) -> anyhow::Result<Self> {
        let mut team = Vec::new();
        for (person, role) in
            [("anna.approva", "approvatore"), ("bruno.approva", "approvatore"), ("carla.controlla", "controllore")]
        {
            let token: String = rand::rng().sample_iter(Alphanumeric).take(40).map(char::from).collect();
            crate::demo::world::write_private(&dir.join(format!("token-{person}")), &token)?;
            if role == "controllore" {
                crate::demo::world::write_private(&dir.join("token-controllore"), &token)?;
            }
            team.push((person, role, token));
        }
        Ok(Self(team))
    }

    /// The tokens as `admin.tokens` of `hub.yaml` wants them.
    #[must_use]
    pub fn tokens(&self) -> Value {
        let of =
            |(person, role, token): &(&str, &str, String)| json!({ "token": token, "person": person, "roles": [role] });
        Value::Array(self.0.iter().map(of).collect())
    }

    /// The token of the first person with a role.
    #[must_use]
    pub fn token(&self, role: &str) -> &str {
        self.0.iter().find(|(_, r, _)| *r == role).map_or("", |(_, _, token)| token)
    }
}

/// People at work.
#[derive(Debug)]
pub struct People {
    stop: watch::Sender<bool>,
    work: Vec<JoinHandle<()>>,
}

impl People {
    /// Everyone begins to work through their tasks.
    ///
    /// # Errors
    /// When the address is none.
    pub fn start(admin: &str, team: Team) -> anyhow::Result<Self> {
        let stop = watch::Sender::new(false);
        let mut work = Vec::new();
        for (person, role, token) in team.0 {
            let api = Api::new(admin, &token)?;
            let stop = stop.subscribe();
            work.push(tokio::spawn(async move { work_through(&api, person, role, stop).await }));
        }
        Ok(Self { stop, work })
    }

    /// Everyone goes home.
    pub async fn stop(self) {
        let _ = self.stop.send_replace(true);
        for work in self.work {
            // A person whose hub was killed under them has nothing more to say.
            drop(work.await);
        }
    }
}

async fn work_through(api: &Api, person: &str, role: &str, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        if let Err(error) = one_look(api, person, role).await {
            tracing::debug!(person, %error, "the hub does not answer");
        }
        tokio::select! {
            _ = stop.changed() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// Looks at all tasks of one's role once; the owner judges what is said twice or too late.
async fn one_look(api: &Api, person: &str, role: &str) -> anyhow::Result<()> {
    let tasks = api.get("tasks", &[("limit", "200".into())]).await?;
    for task in tasks["items"].as_array().into_iter().flatten() {
        let mine = task["role"] == role || task["escalated_to"] == role;
        let said = task["approved_by"].as_array().into_iter().flatten().any(|who| who == person);
        if !mine || said {
            continue;
        }
        let id = task["id"].as_str().context("a task has an id")?;
        let decision = if task["kind"] == "todo" { "done" } else { "approve" };
        let word = json!({ "decision": decision, "comment": "demo", "sha256": task["sha256"] });
        if let Err(error) = api.post(&format!("tasks/{}/decision", segment(id)), &word).await {
            tracing::debug!(person, id, %error, "the word did not count");
        }
    }
    Ok(())
}
