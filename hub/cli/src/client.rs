//! The terminal's side of the admin API.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use hub_core::Value;
use serde_json::json;

/// Where the hub is, and who asks.
#[derive(Args, Debug)]
pub(crate) struct Target {
    /// Address of the admin API
    #[arg(long, env = "RACCORDO_API", default_value = "http://127.0.0.1:8181", global = true)]
    api: String,
    /// File that holds the token (or set RACCORDO_TOKEN)
    #[arg(long, env = "RACCORDO_TOKEN_FILE", global = true)]
    token_file: Option<std::path::PathBuf>,
    /// Prints JSON instead of lines
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

impl Target {
    /// Whether to print JSON.
    pub(crate) fn json(&self) -> bool {
        self.json
    }
}

/// `raccordo cases`
#[derive(Subcommand, Debug)]
pub(crate) enum Cases {
    /// Lists cases
    List {
        /// Only of this kind, for example `mandato` (messages without a case of their own have the kind `message`)
        #[arg(long)]
        kind: Option<String>,
        /// Only of this state
        #[arg(long)]
        state: Option<String>,
        /// Only of this entity
        #[arg(long)]
        entity: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Shows one case with its history
    Show {
        /// The case's id
        id: String,
    },
}

/// `raccordo tasks`
#[derive(Subcommand, Debug)]
pub(crate) enum Tasks {
    /// Lists open tasks
    List,
    /// Shows the document of a task
    Document {
        /// The task's id
        id: String,
    },
    /// Says yes to the document that is shown
    Approve(Word),
    /// Says no
    Reject(Word),
    /// Says done (tasks that ask for nothing else)
    Done(Word),
}

/// A word about a task.
#[derive(Args, Debug)]
pub(crate) struct Word {
    /// The task's id
    id: String,
    /// Why
    #[arg(long, default_value = "")]
    comment: String,
}

/// `raccordo dead`
#[derive(Subcommand, Debug)]
pub(crate) enum Dead {
    /// Lists parked and dead messages
    List,
    /// Shows one, with its evidence
    Show {
        /// Its id
        id: String,
    },
    /// Tries again (only what surely had no effect)
    Retry(Decision),
    /// It did arrive: go on as if the receipt had come
    Delivered(Decision),
    /// It did not arrive: send the same bytes again
    NotDelivered(Decision),
    /// It shall not be sent
    GiveUp(Decision),
}

/// A decision about a parked message.
#[derive(Args, Debug)]
pub(crate) struct Decision {
    /// Its id
    id: String,
    /// The proof, or the reason
    #[arg(long)]
    note: String,
}

/// A caller of the admin API.
pub(crate) struct Api {
    base: String,
    token: String,
    http: reqwest::Client,
}

impl Api {
    /// A caller of the hub that the command line names.
    pub(crate) fn of(target: &Target) -> anyhow::Result<Self> {
        api(target)
    }

    pub(crate) fn new(base: &str, token: &str) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?;
        Ok(Self { base: base.trim_end_matches('/').to_string(), token: token.to_string(), http })
    }

    pub(crate) async fn get(&self, path: &str, query: &[(&str, String)]) -> anyhow::Result<Value> {
        let url = reqwest::Url::parse_with_params(&format!("{}/api/v1/{path}", self.base), query)?;
        answer(self.http.get(url).bearer_auth(&self.token).send().await.context("the hub does not answer")?).await
    }

    pub(crate) async fn text(&self, path: &str) -> anyhow::Result<String> {
        let request = self.http.get(format!("{}/api/v1/{path}", self.base)).bearer_auth(&self.token);
        Ok(request.send().await.context("the hub does not answer")?.error_for_status()?.text().await?)
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let request = self.http.post(format!("{}/api/v1/{path}", self.base)).bearer_auth(&self.token);
        let request = request.header("content-type", "application/json").body(body.to_string());
        answer(request.send().await.context("the hub does not answer")?).await
    }
}

async fn answer(response: reqwest::Response) -> anyhow::Result<Value> {
    let status = response.status();
    let text = response.text().await?;
    let value: Value = serde_json::from_str(&text).unwrap_or(Value::String(text));
    if !status.is_success() {
        let detail = value["detail"].as_str().map_or_else(|| value.to_string(), str::to_string);
        bail!("{status}: {detail}");
    }
    Ok(value)
}

pub(crate) fn api(target: &Target) -> anyhow::Result<Api> {
    let token = match &target.token_file {
        Some(file) => crate::settings::read_text(file, 4096)?.trim().to_string(),
        None => std::env::var("RACCORDO_TOKEN").context("set RACCORDO_TOKEN, or give --token-file")?,
    };
    Api::new(&target.api, &token)
}

/// Escapes one segment of a path (case ids hold slashes).
pub(crate) fn segment(text: &str) -> String {
    let keep = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
    text.bytes().map(|b| if keep(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

pub(crate) async fn messages(target: &Target) -> anyhow::Result<()> {
    let list = api(target)?.get("messages", &[]).await?;
    show_list(target, &list, &["at", "case", "entity", "source", "id"]);
    Ok(())
}

pub(crate) async fn cases(target: &Target, command: Cases) -> anyhow::Result<()> {
    let api = api(target)?;
    match command {
        Cases::List { kind, state, entity, limit } => {
            let mut query = vec![("limit", limit.to_string())];
            query.extend(kind.map(|kind| ("kind", kind)));
            query.extend(state.map(|state| ("state", state)));
            query.extend(entity.map(|entity| ("entity", entity)));
            show_list(target, &api.get("cases", &query).await?, &["id", "entity", "amount", "state", "changed_at"]);
        }
        Cases::Show { id } => {
            let path = format!("cases/{}", segment(&id));
            let timeline = api.get(&format!("{path}/timeline"), &[("limit", "200".into())]).await?;
            println!("{}", serde_json::to_string_pretty(&api.get(&path, &[]).await?)?);
            show_list(target, &timeline, &["at", "kind", "summary"]);
        }
    }
    Ok(())
}

pub(crate) async fn tasks(target: &Target, command: Tasks) -> anyhow::Result<()> {
    let api = api(target)?;
    let (word, decision) = match command {
        Tasks::List => {
            show_list(target, &api.get("tasks", &[]).await?, &["id", "kind", "role", "approvals", "title"]);
            return Ok(());
        }
        Tasks::Document { id } => {
            println!("{}", api.text(&format!("tasks/{}/document", segment(&id))).await?);
            return Ok(());
        }
        Tasks::Approve(word) => (word, "approve"),
        Tasks::Reject(word) => (word, "reject"),
        Tasks::Done(word) => (word, "done"),
    };
    let path = format!("tasks/{}", segment(&word.id));
    let task = api.get(&path, &[]).await?;
    let body = json!({ "decision": decision, "comment": word.comment, "sha256": task["sha256"] });
    println!("{}", api.post(&format!("{path}/decision"), &body).await?);
    Ok(())
}

pub(crate) async fn dead(target: &Target, command: Dead) -> anyhow::Result<()> {
    let api = api(target)?;
    let (decision, action) = match command {
        Dead::List => {
            show_list(target, &api.get("parked", &[]).await?, &["id", "kind", "case", "reason"]);
            return Ok(());
        }
        Dead::Show { id } => {
            let parked = api.get(&format!("parked/{}", segment(&id)), &[]).await?;
            println!("{}", serde_json::to_string_pretty(&parked)?);
            return Ok(());
        }
        Dead::Retry(decision) => (decision, "retry"),
        Dead::Delivered(decision) => (decision, "delivered"),
        Dead::NotDelivered(decision) => (decision, "not_delivered"),
        Dead::GiveUp(decision) => (decision, "give_up"),
    };
    let path = format!("parked/{}/release", segment(&decision.id));
    println!("{}", api.post(&path, &json!({ "action": action, "note": decision.note })).await?);
    Ok(())
}

/// Prints `items` of a page, the named fields of each on one line.
fn show_list(target: &Target, page: &Value, fields: &[&str]) {
    if target.json {
        println!("{page}");
        return;
    }
    let items = page["items"].as_array().cloned().unwrap_or_default();
    for item in &items {
        let cells: Vec<_> = fields.iter().map(|field| plain(&item[*field])).collect();
        println!("{}", cells.join("  "));
    }
    println!("{} shown", items.len());
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".into(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn ids_are_escaped_for_paths() {
        assert_eq!(super::segment("UFAAAA/2026/1"), "UFAAAA%2F2026%2F1");
    }
}
