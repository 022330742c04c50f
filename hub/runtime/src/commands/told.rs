//! Verdicts between hubs. They are a courtesy: what they are about is durable, and whoever hears nothing asks again.

use bytes::Bytes;
use hub_core::{MessageId, Problem, Span, Verdict as Admission};
use serde::{Deserialize, Serialize};

use crate::hub::{Shared, Verdict};
use crate::record::{decode, encode};
use crate::{Decided, Released};

/// A verdict as it travels.
#[derive(Serialize, Deserialize)]
struct Told {
    command: String,
    said: Said,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Said {
    Decided(Decided),
    Released(Released),
    Stored { id: MessageId, case: String, again: bool },
    Parked { id: MessageId },
    Refused { problems: Vec<Problem> },
    Conflict { detail: String },
    Busy { seconds: u64 },
}

impl From<Verdict> for Said {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Decided(decided) => Self::Decided(decided),
            Verdict::Released(released) => Self::Released(released),
            Verdict::Admitted(Admission::Stored { id, case, again }) => Self::Stored { id, case, again },
            Verdict::Admitted(Admission::Parked { id }) => Self::Parked { id },
            Verdict::Admitted(Admission::Refused { problems }) => Self::Refused { problems },
            Verdict::Admitted(Admission::Conflict { detail }) => Self::Conflict { detail },
            Verdict::Admitted(Admission::Busy { retry_after }) => Self::Busy { seconds: retry_after.0.as_secs() },
        }
    }
}

impl From<Said> for Verdict {
    fn from(said: Said) -> Self {
        Self::Admitted(match said {
            Said::Decided(decided) => return Self::Decided(decided),
            Said::Released(released) => return Self::Released(released),
            Said::Stored { id, case, again } => Admission::Stored { id, case, again },
            Said::Parked { id } => Admission::Parked { id },
            Said::Refused { problems } => Admission::Refused { problems },
            Said::Conflict { detail } => Admission::Conflict { detail },
            Said::Busy { seconds } => Admission::Busy { retry_after: Span(std::time::Duration::from_secs(seconds)) },
        })
    }
}

/// Gives a verdict to whoever asked: here, or at the hub whose epoch begins the command's name.
pub(crate) fn answer(shared: &Shared, command: &str, verdict: Verdict) {
    let epoch = command.rsplit_once('-').map_or("", |(epoch, _)| epoch);
    if epoch == shared.backbone.epoch() {
        return shared.hear_verdict(command, verdict);
    }
    // The asker of an earlier life of the store of one hub is gone; of another hub it may live.
    let told = Bytes::from(encode(&Told { command: command.to_owned(), said: verdict.into() }));
    let (backbone, epoch) = (shared.backbone.clone(), epoch.to_owned());
    drop(tokio::spawn(async move {
        if let Err(error) = backbone.reply(&epoch, told).await {
            tracing::debug!(epoch, %error, "a verdict was not told");
        }
    }));
}

/// Hears what other hubs say, until the hub stops.
pub(crate) async fn listen(shared: std::sync::Arc<Shared>) {
    loop {
        let told = tokio::select! {
            biased;
            () = shared.stopped() => return,
            told = shared.backbone.told() => told,
        };
        let read = told.map_err(Into::into).and_then(|bytes| decode::<Told>("a verdict of another hub", &bytes));
        match read {
            Ok(Told { command, said }) => shared.hear_verdict(&command, said.into()),
            Err(crate::Error::Format(detail)) => tracing::warn!(detail, "a verdict cannot be read"),
            Err(error) => return shared.fail(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_come_back_as_they_were_sent() {
        let stored = Admission::Stored { id: MessageId::from_text("m".to_owned()), case: "c".into(), again: true };
        let busy = Admission::Busy { retry_after: Span(std::time::Duration::from_secs(5)) };
        for verdict in [stored, Admission::Conflict { detail: "d".into() }, busy] {
            let told = Told { command: "e-1".into(), said: Verdict::Admitted(verdict.clone()).into() };
            let back: Told = decode("told", &encode(&told)).unwrap();
            assert!(matches!(back.said.into(), Verdict::Admitted(read) if read == verdict));
        }
    }
}
