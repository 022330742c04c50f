//! What became of an upload in doubt: a search for its `identificativo_flusso` in everything said since.
//!
//! It answers "delivered" or "unknown", never "not delivered": an upload whose ACK is not there yet looks the same as one
//! that never arrived.

use std::sync::Arc;

use hub_core::{Receipt, Resolution, SendError, Span, Value};
use jiff::Timestamp;
use serde_json::json;

use super::Uploader;
use super::opened::Reading;
use crate::archive::{self, DOCUMENT_BYTES_MAX};
use crate::call::Trouble;
use crate::listing::{Item, Kind};
use crate::office::Office;
use crate::reference::{self, Answer, Flow};
use crate::time;

/// Where a flow may be found, in the order of how early it shows.
const LISTS: [Kind; 3] = [Kind::Ack, Kind::EsitoFlusso, Kind::EsitoApplicativo];
/// Pages read of one list in one search.
const PAGES_MAX: u64 = 200;
/// Answers opened in one search; the next search goes on from there.
const OPEN_MAX: usize = 500;

/// What one list had to say, for the evidence.
#[derive(Default)]
struct Look {
    pages: u64,
    items: usize,
    opened: usize,
    unreadable: usize,
    /// Whether something was left for the next search.
    incomplete: bool,
    found: Vec<(Item, Reading)>,
}

impl Uploader {
    pub(super) async fn search(&self, office: &Office, flow: &Flow, since: Timestamp) -> Result<Resolution, SendError> {
        let mut looked_at = Vec::new();
        let mut left = OPEN_MAX;
        for kind in LISTS {
            let look = self.look(kind, office, flow, since, &mut left).await.map_err(could_not_ask)?;
            looked_at.push(json!({
                "list": kind.list(), "since": time::text(time::local(since)), "pages": look.pages, "items": look.items,
                "opened_now": look.opened, "unreadable": look.unreadable, "complete": !look.incomplete,
            }));
            if let Some((item, reading)) = best(&look.found) {
                let evidence = self.evidence(flow, &looked_at);
                return Ok(Resolution::Delivered(receipt(kind, item, reading, flow, evidence)));
            }
        }
        Ok(Resolution::Unknown { evidence: self.evidence(flow, &looked_at) })
    }

    fn evidence(&self, flow: &Flow, looked_at: &[Value]) -> Value {
        json!({
            "identificativo_flusso": flow.identificativo, "codice_ente": flow.ente, "esercizio": flow.esercizio,
            "asked_at": self.clock.now().to_string(), "looked_at": looked_at,
        })
    }

    async fn look(
        &self,
        kind: Kind,
        office: &Office,
        flow: &Flow,
        since: Timestamp,
        left: &mut usize,
    ) -> Result<Look, Trouble> {
        let (mut look, mut number, mut total) = (Look::default(), 1, 1);
        while number <= total {
            if number > PAGES_MAX {
                look.incomplete = true;
                break;
            }
            let page = self.api.page(kind, office, time::local(since), number).await?;
            (total, number) = (page.pages_total, number + 1);
            look.pages += 1;
            look.unreadable += page.unreadable;
            for item in page.items {
                self.open(kind, office, flow, item, &mut look, left).await?;
            }
        }
        Ok(look)
    }

    async fn open(
        &self,
        kind: Kind,
        office: &Office,
        flow: &Flow,
        item: Item,
        look: &mut Look,
        left: &mut usize,
    ) -> Result<(), Trouble> {
        look.items += 1;
        let reading = match self.opened.get(kind, office, &item) {
            Some(reading) => reading,
            None if *left == 0 => {
                look.incomplete = true;
                return Ok(());
            }
            None => {
                (*left, look.opened) = (*left - 1, look.opened + 1);
                match self.fetch(kind, office, &item).await? {
                    Some(reading) => reading,
                    None => {
                        look.unreadable += 1;
                        return Ok(());
                    }
                }
            }
        };
        match &*reading {
            Ok(answer) if answer.is_about(flow) => look.found.push((item, reading)),
            Ok(_) => {}
            Err(_) => look.unreadable += 1,
        }
        Ok(())
    }

    /// Opens one answer; `None` if it is listed, but not there (yet).
    async fn fetch(&self, kind: Kind, office: &Office, item: &Item) -> Result<Option<Reading>, Trouble> {
        let zip = match self.api.download(kind, office, item).await {
            Ok(zip) => zip,
            Err(Trouble::Refused { .. }) => return Ok(None),
            Err(trouble) => return Err(trouble),
        };
        let read = archive::unpack(&zip, DOCUMENT_BYTES_MAX).and_then(|xml| reference::answer(&xml));
        if let Err(reason) = &read {
            tracing::warn!(kind = kind.name(), prog = item.prog, reason, "answer of SIOPE+ cannot be read");
        }
        let reading = Arc::new(read);
        self.opened.put(kind, office, item, reading.clone());
        Ok(Some(reading))
    }
}

fn could_not_ask(trouble: Trouble) -> SendError {
    let retry_after: Option<Span> = if let Trouble::Later { wish, .. } = &trouble { Some(*wish) } else { None };
    SendError::NotSent { retry_after, cause: format!("could not ask SIOPE+: {trouble}").into() }
}

/// The answer that counts. One that only says "this id was used before" (101) speaks of a repetition: another answer, if
/// there is one, speaks of the flow itself.
fn best(found: &[(Item, Reading)]) -> Option<(&Item, &Answer)> {
    let readable =
        found.iter().filter_map(|(item, reading)| reading.as_ref().as_ref().ok().map(|answer| (item, answer)));
    readable.min_by_key(|(item, answer)| (answer.is_only_a_repetition(), item.at(), item.prog.clone()))
}

fn receipt(kind: Kind, item: &Item, answer: &Answer, flow: &Flow, evidence: Value) -> Receipt {
    // The outcomes of orders have numbers of their own, which do not name the flow.
    let prog = (kind != Kind::EsitoApplicativo).then(|| item.prog.clone());
    let reply = json!({
        "prog_flusso": prog, "data_upload": null, "location": null, "identificativo_flusso": flow.identificativo,
        "found": {
            "list": kind.list(), "prog": item.prog, "data": item.data, "message": answer.kind,
            "stato_flusso": answer.stato, "codici": answer.codici,
        },
        "evidence": evidence,
    });
    Receipt { remote_id: prog, reply, raw: None }
}
