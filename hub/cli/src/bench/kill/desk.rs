//! The person at the admin API: looks at what is parked, asks the receiver, settles.

use anyhow::Context;
use hub_core::Value;
use serde_json::json;

use super::super::receiver::Receiver;
use crate::client::{Api, segment};

/// Rows of one page.
const PAGE: &str = "200";

/// The person's desk.
pub(super) struct Desk(Api);

/// A message that waits for a person.
#[derive(Debug)]
pub(super) struct Parked {
    id: String,
    kind: String,
    reason: String,
    evidence: Value,
    /// What would have been sent.
    pub(super) body: String,
}

impl Parked {
    /// Whether it is parked because nobody can know, and says which attempt of which life that is about.
    pub(super) fn is_proved_unknown(&self) -> bool {
        let evidence = self.evidence.as_object().is_some_and(|evidence| !evidence.is_empty());
        self.kind == "in_doubt" && evidence && !self.reason.is_empty()
    }
}

impl Desk {
    pub(super) fn new(api: Api) -> Self {
        Self(api)
    }

    /// Whether each file was received or waits for a person.
    pub(super) async fn is_done(&self, receiver: &Receiver, files: u32) -> anyhow::Result<bool> {
        let files = files as usize;
        let received = receiver.distinct();
        if received >= files {
            return Ok(true);
        }
        let parked = self.parked().await?;
        let only_parked = parked.iter().filter(|parked| receiver.times(&parked.body) == 0).count();
        Ok(received + only_parked >= files)
    }

    /// Everything that waits for a person.
    pub(super) async fn parked(&self) -> anyhow::Result<Vec<Parked>> {
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            let mut query = vec![("limit", PAGE.to_string())];
            query.extend(cursor.map(|cursor| ("cursor", cursor)));
            let page = self.0.get("parked", &query).await?;
            for row in page["items"].as_array().into_iter().flatten() {
                all.push(self.read(row).await?);
            }
            cursor = page["next"].as_str().map(str::to_string);
            if cursor.is_none() {
                return Ok(all);
            }
        }
    }

    async fn read(&self, row: &Value) -> anyhow::Result<Parked> {
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_string();
        let id = text("id");
        let body = self.0.text(&format!("parked/{}/body", segment(&id))).await?;
        Ok(Parked { kind: text("kind"), reason: text("reason"), evidence: row["evidence"].clone(), id, body })
    }

    /// Asks the receiver about each, and says to the hub what it said; gives how many had arrived.
    pub(super) async fn settle(&self, parked: &[Parked], receiver: &Receiver) -> anyhow::Result<usize> {
        let mut arrived = 0;
        for parked in parked {
            let has = receiver.times(&parked.body) > 0;
            arrived += usize::from(has);
            let action = if has { "delivered" } else { "not_delivered" };
            let word = json!({ "action": action, "note": "asked the receiver" });
            let path = format!("parked/{}/release", segment(&parked.id));
            let _done = self.0.post(&path, &word).await.with_context(|| format!("cannot settle {}", parked.id))?;
        }
        Ok(arrived)
    }
}
