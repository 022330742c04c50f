//! Which blobs a record or value names.

use std::collections::HashSet;

use hub_backbone::Topic;

use crate::Error;
use crate::claim::claimed;
use crate::record::{
    InboxRecord, OpenTask, Outbound, OutboxRecord, ParkedWork, StoredBody, Wait, WaitRecord, Work, decode,
};

/// Length of a blob's name: a SHA-256 in hexadecimal.
const NAME_CHARS: usize = 64;

/// Calls `found` for everything in `bytes` that looks like the name of a blob: a run of exactly 64 hexadecimal digits. More
/// is found than names blobs, and nothing that does is missed, whatever kind of record it is.
pub(super) fn mentions(bytes: &[u8], mut found: impl FnMut(&str)) {
    let digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    for run in bytes.split(|byte| !digit(byte)).filter(|run| run.len() == NAME_CHARS) {
        if let Ok(name) = std::str::from_utf8(run) {
            found(name);
        }
    }
}

/// Removes from `candidates` what `bytes` mentions.
pub(super) fn strike_out(candidates: &mut HashSet<String>, bytes: &[u8]) {
    if !candidates.is_empty() {
        mentions(bytes, |name| {
            let _ = candidates.remove(name);
        });
    }
}

/// The blobs without which a record of the log (`space`: none) or a value of keyed state cannot be worked on. For audits:
/// each of them must be there.
///
/// # Errors
/// If it cannot be read.
pub fn blobs_of(topic: Topic, space: Option<&str>, bytes: &[u8]) -> Result<Vec<String>, Error> {
    if let Some(blob) = claimed(bytes)? {
        return Ok(vec![blob]);
    }
    let what = format!("{} {}", topic.0, space.unwrap_or("record"));
    let work = match (topic, space) {
        (Topic::INBOX, None) => match decode(&what, bytes)? {
            InboxRecord::Work(work) => Some(*work),
            InboxRecord::Offered(offered) => return Ok(of_body(&offered.offer.body).into_iter().collect()),
            _ => None,
        },
        (Topic::OUTBOX, None) => match decode(&what, bytes)? {
            OutboxRecord::Send(out) => Some(out.work),
            _ => None,
        },
        (Topic::WAITS, None) => match decode(&what, bytes)? {
            WaitRecord::Open(wait) => Some(wait.work),
            WaitRecord::OpenTask(open) => open.work,
            _ => None,
        },
        (Topic::INBOX, Some("held")) => Some(decode::<Work>(&what, bytes)?),
        (Topic::INBOX, Some("parked")) => Some(decode::<ParkedWork>(&what, bytes)?.work),
        (Topic::OUTBOX, Some("outbound")) => Some(decode::<Outbound>(&what, bytes)?.work),
        (Topic::WAITS, Some("wait")) => Some(decode::<Wait>(&what, bytes)?.work),
        (Topic::WAITS, Some("task" | "expired")) => decode::<OpenTask>(&what, bytes)?.work,
        _ => None,
    };
    Ok(work.map(|work| of_work(&work)).unwrap_or_default())
}

fn of_work(work: &Work) -> Vec<String> {
    of_body(&work.body).into_iter().chain(work.base.clone()).collect()
}

fn of_body(body: &StoredBody) -> Option<String> {
    match body {
        StoredBody::Blob(_, name) => Some(name.clone()),
        StoredBody::Text(..) | StoredBody::Hex(..) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_wherever_they_stand_and_longer_runs_are_not_names() {
        let (name, other) = ("a".repeat(64), "0123456789abcdef".repeat(4));
        let text = format!(r#"{{"v":1,"x":"{name}","long":"{name}{name}","y":["{other}"],"short":"abc"}}"#);
        let mut found = Vec::new();
        mentions(text.as_bytes(), |name| found.push(name.to_string()));
        assert_eq!(found, [name.clone(), other.clone()]);
        let mut candidates: HashSet<String> = [name, "f".repeat(64)].into();
        strike_out(&mut candidates, text.as_bytes());
        assert_eq!(candidates, HashSet::from(["f".repeat(64)]));
    }
}
